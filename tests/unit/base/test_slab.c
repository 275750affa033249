/* Slabs: objects, limits, and memory that goes back. */
// SPDX-License-Identifier: MIT
#include "stack/base/slab.h"
#include <string.h>
#include "stack/base/rng.h"
#include "tests/unit/unit.h"

enum { SIZE = 100 << 10, MANY = 400 }; /* 20 a page */
static void *objs[MANY];

static void take(struct slab *s, int from, int to)
{
	for (int i = from; i < to; i++) {
		objs[i] = slab_alloc(s);
		ck_assert_ptr_nonnull(objs[i]);
		ck_assert_uint_eq((uintptr_t)objs[i] % 64, 0);
		memset(objs[i], i, SIZE);
	}
}

static void check(int i)
{
	const uint8_t *b = objs[i];

	for (int at = 0; at < SIZE; at += 1023)
		ck_assert_uint_eq(b[at], (uint8_t)i);
	ck_assert_uint_eq(b[SIZE - 1], (uint8_t)i);
}

START_TEST(objects_are_distinct_and_counted)
{
	struct slab s;

	slab_init(&s, SIZE, MANY);
	ck_assert_uint_eq(s.n_pages, 0);
	take(&s, 0, MANY);
	ck_assert_uint_eq(s.live, MANY);
	ck_assert_uint_eq(s.n_pages, MANY / s.per_page);
	ck_assert_ptr_null(slab_alloc(&s)); /* the maximum */
	for (int i = 0; i < MANY; i++)
		check(i);
	slab_free(&s, objs[7]);
	ck_assert_ptr_eq(slab_alloc(&s), objs[7]);
	ck_assert_uint_eq(slab_fini(&s), MANY);
}
END_TEST

START_TEST(pages_go_back_but_a_few)
{
	struct slab s;

	slab_init(&s, SIZE, MANY);
	for (int round = 0; round < 3; round++) {
		take(&s, 0, MANY);
		for (int i = 0; i < MANY; i++)
			slab_free(&s, objs[(i * 7) % MANY]);
		ck_assert_uint_eq(s.live, 0);
		ck_assert_uint_le(s.n_pages, SLAB_SPARE);
		ck_assert_uint_eq(s.n_pages, s.n_empty);
	}
	ck_assert_uint_eq(slab_fini(&s), 0);
	ck_assert_uint_eq(s.n_pages, 0);
}
END_TEST

/* One object more and one less must not take a page from the kernel each time. */
START_TEST(a_page_is_kept_at_the_border)
{
	struct slab s;

	slab_init(&s, SIZE, MANY);
	take(&s, 0, (int)s.per_page);
	void *last = slab_alloc(&s);
	for (int i = 0; i < 100; i++) {
		ck_assert_uint_eq(s.n_pages, 2);
		slab_free(&s, last);
		ck_assert_uint_eq(s.n_pages, 2);
		ck_assert_ptr_eq(slab_alloc(&s), last);
	}
	slab_free(&s, last);
	ck_assert_uint_eq(slab_fini(&s), s.per_page);
}
END_TEST

START_TEST(any_order)
{
	bool out[MANY] = { false };
	struct slab s;
	struct rng rng;
	uint32_t n = 0;

	rng_seed(&rng, (uint64_t)_i);
	slab_init(&s, SIZE, MANY);
	for (int step = 0; step < 3000; step++) {
		int i = (int)rng_below(&rng, MANY);

		/* Mostly filling, then mostly emptying. */
		if (out[i] && rng_below(&rng, 8) < (step / 750 % 2 ? 7u : 2u)) {
			check(i);
			slab_free(&s, objs[i]);
			out[i] = false;
			n--;
		} else if (!out[i]) {
			take(&s, i, i + 1);
			out[i] = true;
			n++;
		}
		ck_assert_uint_eq(s.live, n);
		ck_assert_uint_le(n, s.n_pages * s.per_page);
	}
	ck_assert_uint_eq(slab_fini(&s), n);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("slab");

	tcase_add_test(tc, objects_are_distinct_and_counted);
	tcase_add_test(tc, pages_go_back_but_a_few);
	tcase_add_test(tc, a_page_is_kept_at_the_border);
	tcase_add_loop_test(tc, any_order, 1, 4);
	return unit_run("base/slab", tc);
}
