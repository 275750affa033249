/* Each page has its own free objects and counts them; an object's page is found by its address. Objects that
 * were never used are not touched, so a page costs only what is used of it. */
// SPDX-License-Identifier: MIT
#include "stack/base/slab.h"
#include <sys/mman.h>
#include "stack/base/bug.h"
#include "stack/base/util.h"

/* A build with AddressSanitizer reports the use of an object after its return. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { OBJ_ALIGN = 64 };

struct slab_slot {
	struct slab_slot *next;
};
struct slab_page {
	struct list link;	/* slab.room or slab.full */
	struct slab_slot *free; /* returned, the last one first */
	uint32_t used;		/* objects that are out */
	uint32_t fresh;		/* objects from here on were never out */
};
_Static_assert(sizeof(struct slab_page) <= OBJ_ALIGN, "objects start on the next cache line");

void slab_init(struct slab *s, uint32_t obj_size, uint32_t max)
{
	CHECK(obj_size > 0 && obj_size <= SLAB_PAGE / 4);
	*s = (struct slab){ .obj_size = (uint32_t)align_up(obj_size, OBJ_ALIGN), .max = max };
	s->per_page = (SLAB_PAGE - OBJ_ALIGN) / s->obj_size;
	list_init(&s->room);
	list_init(&s->full);
}

/* A page at a multiple of its size: of a range twice as large the rest goes back. */
static void *map_page(bool huge)
{
	uint8_t *p = mmap(NULL, 2 * SLAB_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	size_t front = (size_t)(-(uintptr_t)p & (SLAB_PAGE - 1));
	if (front)
		munmap(p, front);
	munmap(p + front + SLAB_PAGE, SLAB_PAGE - front);
	if (huge)
		madvise(p + front, SLAB_PAGE, MADV_HUGEPAGE);
	return p + front;
}

static bool page_new(struct slab *s)
{
	struct slab_page *page = map_page(s->n_pages > 0);

	if (!page)
		return false;
	list_push_front(&s->room, &page->link);
	s->n_pages++;
	s->n_empty++;
	ASAN_POISON_MEMORY_REGION((uint8_t *)page + OBJ_ALIGN, SLAB_PAGE - OBJ_ALIGN);
	return true;
}

static void page_release(struct slab *s, struct slab_page *page)
{
	list_del(&page->link);
	s->n_pages--;
	ASAN_UNPOISON_MEMORY_REGION(page, SLAB_PAGE);
	munmap(page, SLAB_PAGE);
}

uint32_t slab_fini(struct slab *s)
{
	struct list *lists[] = { &s->room, &s->full };

	for (unsigned i = 0; i < ARRAY_LEN(lists); i++) {
		while (!list_empty(lists[i]))
			page_release(s, container_of(lists[i]->next, struct slab_page, link));
	}
	s->n_empty = 0;
	return s->live;
}

void *slab_alloc(struct slab *s)
{
	void *obj;

	if (s->live >= s->max || (unlikely(list_empty(&s->room)) && !page_new(s)))
		return NULL;
	struct slab_page *page = container_of(s->room.next, struct slab_page, link);
	if (page->free) {
		obj = page->free;
		ASAN_UNPOISON_MEMORY_REGION(obj, s->obj_size);
		page->free = page->free->next;
	} else {
		obj = (uint8_t *)page + OBJ_ALIGN + (size_t)page->fresh++ * s->obj_size;
		ASAN_UNPOISON_MEMORY_REGION(obj, s->obj_size);
	}
	if (page->used++ == 0)
		s->n_empty--;
	if (page->used == s->per_page) {
		list_del(&page->link);
		list_push(&s->full, &page->link);
	}
	s->live++;
	return obj;
}

void slab_free(struct slab *s, void *obj)
{
	struct slab_page *page = (void *)((uintptr_t)obj & ~(uintptr_t)(SLAB_PAGE - 1));
	struct slab_slot *slot = obj;

	CHECK(page->used > 0 && s->live > 0);
	slot->next = page->free;
	page->free = slot;
	ASAN_POISON_MEMORY_REGION(obj, s->obj_size);
	s->live--;
	if (page->used-- == s->per_page) {
		list_del(&page->link);
		list_push_front(&s->room, &page->link);
	}
	if (page->used)
		return;
	list_del(&page->link);
	list_push(&s->room, &page->link);
	s->n_empty++;
	/* Two for one: with fewer pages fewer are spare, down to the last. */
	for (int i = 0; i < 2 && s->n_empty > SLAB_SPARE + s->n_pages / 8; i++) {
		page_release(s, container_of(s->room.prev, struct slab_page, link));
		s->n_empty--;
	}
}
