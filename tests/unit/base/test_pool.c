/* Object pools: growth, limits, memory of the caller, counting. */
// SPDX-License-Identifier: MIT
#include "stack/base/pool.h"
#include <errno.h>
#include <string.h>
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

struct counted {
	int allocs, frees;
	int refuse_after;
};

static void *counted_alloc(void *ctx, size_t bytes)
{
	struct counted *c = ctx;

	if (c->allocs >= c->refuse_after)
		return NULL;
	c->allocs++;
	return memset(pool_mem_libc.alloc(NULL, bytes), 0xa5, bytes);
}

static void counted_free(void *ctx, void *p, size_t bytes)
{
	struct counted *c = ctx;

	c->frees++;
	memset(p, 0x5a, bytes);
	pool_mem_libc.free(NULL, p, bytes);
}

START_TEST(objects_are_distinct_aligned_and_counted)
{
	struct pool p;
	void *objs[100];

	pool_init(&p, 64, 16, 100, &pool_mem_libc);
	for (int i = 0; i < 100; i++) {
		objs[i] = pool_alloc(&p);
		ck_assert_ptr_nonnull(objs[i]);
		ck_assert_uint_eq((uintptr_t)objs[i] % 64, 0);
		memset(objs[i], i, 64);
	}
	for (int i = 0; i < 100; i++) {
		for (int b = 0; b < 64; b++)
			ck_assert_uint_eq(((uint8_t *)objs[i])[b], i);
	}
	ck_assert_uint_eq(p.live, 100);
	for (int i = 0; i < 100; i++)
		pool_free(&p, objs[i]);
	ck_assert_uint_eq(p.live, 0);
	ck_assert_uint_eq(pool_fini(&p), 0);
}
END_TEST

START_TEST(a_pool_at_its_maximum_gives_null_until_something_returns)
{
	struct pool p;
	void *a, *b;

	pool_init(&p, 24, 8, 2, &pool_mem_libc);
	a = pool_alloc(&p);
	b = pool_alloc(&p);
	ck_assert(a && b && a != b);
	ck_assert_ptr_null(pool_alloc(&p));
	pool_free(&p, a);
	ck_assert_ptr_eq(pool_alloc(&p), a);
	pool_free(&p, a);
	pool_free(&p, b);
	pool_free(&p, NULL);
	ck_assert_uint_eq(pool_fini(&p), 0);
}
END_TEST

START_TEST(the_object_returned_last_is_handed_out_first)
{
	struct pool p;

	pool_init(&p, 40, 8, 8, &pool_mem_libc);
	void *a = pool_alloc(&p), *b = pool_alloc(&p);
	pool_free(&p, a);
	pool_free(&p, b);
	ck_assert_ptr_eq(pool_alloc(&p), b);
	ck_assert_ptr_eq(pool_alloc(&p), a);
	ck_assert_uint_eq(pool_fini(&p), 2);
}
END_TEST

START_TEST(a_pool_without_allocator_lives_on_the_memory_it_is_given)
{
	static uint8_t mem[64 + 10 * 32] __attribute__((aligned(64)));
	struct pool p;
	int n = 0;

	pool_init(&p, 32, 1, 1000, NULL);
	ck_assert_ptr_null(pool_alloc(&p));
	ck_assert_int_eq(pool_reserve(&p, 1), -ENOMEM);
	ck_assert_uint_eq(pool_add(&p, mem, 64), 0);
	ck_assert_uint_eq(pool_add(&p, mem, sizeof(mem)), 10);
	for (uint8_t *o; (o = pool_alloc(&p)); n++)
		ck_assert(o >= mem && o + 32 <= mem + sizeof(mem));
	ck_assert_int_eq(n, 10);
	ck_assert_uint_eq(pool_fini(&p), 10);
}
END_TEST

START_TEST(every_chunk_goes_back_and_a_refusal_leaves_the_pool_usable)
{
	struct counted c = { .refuse_after = 3 };
	struct pool_mem mem = { counted_alloc, counted_free, &c };
	struct pool p;
	void *last = NULL;
	int n = 0;

	pool_init(&p, 16, 4, 1000, &mem);
	ck_assert_int_eq(pool_reserve(&p, 8), 0);
	ck_assert_int_eq(c.allocs, 2);
	for (void *o; (o = pool_alloc(&p)); n++)
		last = o;
	ck_assert_int_eq(n, 12);
	ck_assert_int_eq(pool_reserve(&p, 13), -ENOMEM);
	pool_free(&p, last);
	ck_assert_ptr_eq(pool_alloc(&p), last);
	ck_assert_uint_eq(pool_fini(&p), 12);
	ck_assert_int_eq(c.frees, 3);
}
END_TEST

START_TEST(random_use_never_hands_out_a_live_object)
{
	enum { MAX = 64 };
	uint64_t *objs[MAX] = { 0 };
	struct pool p;
	struct rng r;
	uint32_t live = 0;

	rng_seed(&r, unit_seed());
	pool_init(&p, sizeof(uint64_t), 7, MAX, &pool_mem_libc);
	for (uint64_t step = 1; step < 20000; step++) {
		uint32_t i = rng_below(&r, MAX);

		if (objs[i]) {
			ck_assert_uint_eq(*objs[i] % MAX, i);
			pool_free(&p, objs[i]);
			objs[i] = NULL;
			live--;
		} else {
			objs[i] = pool_alloc(&p);
			ck_assert_ptr_nonnull(objs[i]);
			*objs[i] = step * MAX + i;
			live++;
		}
		ck_assert_uint_eq(p.live, live);
	}
	ck_assert_uint_eq(pool_fini(&p), live);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pool");

	tcase_add_test(tc, objects_are_distinct_aligned_and_counted);
	tcase_add_test(tc, a_pool_at_its_maximum_gives_null_until_something_returns);
	tcase_add_test(tc, the_object_returned_last_is_handed_out_first);
	tcase_add_test(tc, a_pool_without_allocator_lives_on_the_memory_it_is_given);
	tcase_add_test(tc, every_chunk_goes_back_and_a_refusal_leaves_the_pool_usable);
	tcase_add_test(tc, random_use_never_hands_out_a_live_object);
	return unit_run("base/pool", tc);
}
