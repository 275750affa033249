/* Free objects form a stack: the object used last, still in the cache, is handed out next. */
// SPDX-License-Identifier: MIT
#include "stack/base/pool.h"
#include <errno.h>
#include <stdlib.h>
#include "stack/base/bug.h"
#include "stack/base/util.h"

/* A build with AddressSanitizer reports the use of an object after its return. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { OBJ_ALIGN = 16, CHUNK_HDR = CACHE_LINE };
_Static_assert(sizeof(struct pool_chunk) <= CHUNK_HDR, "objects start on the next cache line");

static void *libc_alloc(void *ctx, size_t bytes)
{
	return aligned_alloc(CACHE_LINE, align_up(bytes, CACHE_LINE));
}

static void libc_free(void *ctx, void *p, size_t bytes) { free(p); }

const struct pool_mem pool_mem_libc = { .alloc = libc_alloc, .free = libc_free };

void pool_init(struct pool *p, size_t obj_size, uint32_t per_chunk, uint32_t max,
	       const struct pool_mem *mem)
{
	CHECK(obj_size > 0 && per_chunk > 0);
	*p = (struct pool){
		.mem = mem,
		.obj_size = (uint32_t)align_up(obj_size, OBJ_ALIGN),
		.per_chunk = per_chunk,
		.max = max,
	};
}

uint32_t pool_fini(struct pool *p)
{
	struct pool_chunk *next;

	for (struct pool_chunk *c = p->chunks; c; c = next) {
		next = c->next;
		ASAN_UNPOISON_MEMORY_REGION(c, c->bytes);
		if (c->owned)
			p->mem->free(p->mem->ctx, c, c->bytes);
	}
	p->chunks = NULL;
	p->free = NULL;
	p->total = 0;
	return p->live;
}

static void put_free(struct pool *p, void *obj)
{
	struct pool_slot *s = obj;

	s->next = p->free;
	p->free = s;
	ASAN_POISON_MEMORY_REGION(obj, p->obj_size);
}

static uint32_t add_chunk(struct pool *p, void *mem, size_t bytes, bool owned)
{
	struct pool_chunk *c = mem;
	uint8_t *objs = (uint8_t *)mem + CHUNK_HDR;

	if (bytes < CHUNK_HDR + p->obj_size)
		return 0;
	*c = (struct pool_chunk){ .next = p->chunks, .bytes = bytes, .owned = owned };
	p->chunks = c;
	uint32_t n = (uint32_t)min_u64((bytes - CHUNK_HDR) / p->obj_size, p->max - p->total);
	/* Backwards, so that they are handed out in the order of their addresses. */
	for (uint32_t i = n; i-- > 0;)
		put_free(p, objs + (size_t)i * p->obj_size);
	p->total += n;
	return n;
}

uint32_t pool_add(struct pool *p, void *mem, size_t bytes)
{
	CHECK((uintptr_t)mem % CACHE_LINE == 0);
	return add_chunk(p, mem, bytes, false);
}

static bool grow(struct pool *p)
{
	uint32_t n = min_u32(p->per_chunk, p->max - p->total);
	size_t bytes = CHUNK_HDR + (size_t)n * p->obj_size;

	if (n == 0 || !p->mem)
		return false;
	void *mem = p->mem->alloc(p->mem->ctx, bytes);
	return mem && add_chunk(p, mem, bytes, true) > 0;
}

void *pool_alloc(struct pool *p)
{
	if (unlikely(!p->free) && !grow(p))
		return NULL;
	struct pool_slot *s = p->free;
	ASAN_UNPOISON_MEMORY_REGION(s, p->obj_size);
	p->free = s->next;
	p->live++;
	return s;
}

void pool_free(struct pool *p, void *obj)
{
	if (!obj)
		return;
	CHECK(p->live > 0);
	p->live--;
	put_free(p, obj);
}

int pool_reserve(struct pool *p, uint32_t n)
{
	while (p->total < n) {
		if (!grow(p))
			return -ENOMEM;
	}
	return 0;
}
