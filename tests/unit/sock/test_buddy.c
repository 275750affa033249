/* The buddy allocator against a map of pages. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <string.h>
#include "stack/base/rng.h"
#include "stack/sock/buddy.h"

enum { PAGES = 1024, LIVE = 200 };

static void check_free(const struct buddy *b, const uint8_t *map, uint32_t page)
{
	uint32_t first, end;

	ck_assert(buddy_find_free(b, page, &first, &end) == !map[page]);
	if (map[page])
		return;
	ck_assert(first <= page && page < end);
	ck_assert_ptr_null(memchr(map + first, 1, end - first));
}

/* What has been used is below the top; when the free pages below it have been given back it is lowered. */
static void check_top(struct buddy *b, const uint8_t *map, uint8_t *touched)
{
	ck_assert_ptr_null(memchr(touched + b->top, 1, PAGES - b->top));
	buddy_lower(b);
	ck_assert_ptr_null(memchr(map + b->top, 1, PAGES - b->top));
	memcpy(touched, map, PAGES);
	ck_assert(!b->top || map[b->top - 1]);
}

START_TEST(random_blocks_never_overlap_and_all_merge_again)
{
	static uint8_t map[PAGES], touched[PAGES];
	struct { uint32_t at, order; } live[LIVE];
	uint32_t n = 0;
	struct buddy b;
	struct rng r;

	rng_seed(&r, unit_seed());
	memset(map, 0, sizeof(map));
	memset(touched, 0, sizeof(touched));
	ck_assert_int_eq(buddy_init(&b, (uint64_t)PAGES << BUDDY_SHIFT), 0);
	for (int i = 0; i < 200000; i++) {
		if (n < LIVE && rng_below(&r, 2)) {
			uint32_t order = rng_below(&r, 6), at = buddy_alloc(&b, order);

			if (at == BUDDY_NONE)
				continue;
			/* One assertion costs more than all of this. */
			if ((at & ((1u << order) - 1)) || memchr(map + at, 1, 1u << order))
				ck_abort_msg("block %u of order %u", at, order);
			memset(map + at, 1, 1u << order);
			memset(touched + at, 1, 1u << order);
			live[n].at = at;
			live[n++].order = order;
		} else if (n) {
			uint32_t k = rng_below(&r, n);

			memset(map + live[k].at, 0, 1u << live[k].order);
			buddy_free(&b, live[k].at, live[k].order);
			live[k] = live[--n];
		}
		if (i % 16 == 0)
			check_free(&b, map, rng_below(&r, PAGES));
		if (i % 256 == 0)
			check_top(&b, map, touched);
	}
	while (n) {
		n--;
		buddy_free(&b, live[n].at, live[n].order);
	}
	ck_assert_uint_eq(b.used, 0);
	ck_assert_uint_eq(buddy_alloc(&b, 10), 0); /* one piece again */
	ck_assert_uint_eq(buddy_alloc(&b, 0), BUDDY_NONE);
	buddy_fini(&b);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("buddy");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, random_blocks_never_overlap_and_all_merge_again);
	return unit_run("buddy", tc);
}
