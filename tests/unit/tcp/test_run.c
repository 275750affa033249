/* Lists of runs against an array with one state a number; the limits of the pool. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_run.h"
#include <string.h>
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

enum { SPACE = 300, NONE = 0xff, ROUNDS = 3000 };

static struct tcp_run_pool pool;
static struct tcp_runs list;
static uint8_t model[SPACE];
static uint32_t base;

static void setup(void)
{
	ck_assert_int_eq(tcp_run_pool_init(&pool), 0);
	list = (struct tcp_runs){ 0 };
	memset(model, NONE, sizeof(model));
}

static void teardown(void)
{
	tcp_runs_clear(&pool, &list);
	tcp_run_pool_fini(&pool);
}

static seq_t at(uint32_t i) { return seq_of(base + i); }

static void compare(void)
{
	uint32_t i = 0, n = 0, bytes[TCP_RUN_STATES] = { 0 };

	for (struct tcp_run *r = list.first; r; r = r->next, n++) {
		ck_assert(seq_lt(r->start, r->end));
		ck_assert_ptr_eq(r->next ? r->next->prev : list.last, r);
		for (; i < seq_diff(r->start, at(0)); i++)
			ck_assert_uint_eq(model[i], NONE);
		for (; i < seq_diff(r->end, at(0)); i++)
			ck_assert_uint_eq(model[i], r->state);
		bytes[r->state] += seq_diff(r->end, r->start);
		if (r->next && seq_eq(r->end, r->next->start))
			ck_assert(r->state != r->next->state || r->sent_us != r->next->sent_us);
	}
	for (; i < SPACE; i++)
		ck_assert_uint_eq(model[i], NONE);
	ck_assert_uint_eq(n, list.n);
	ck_assert_uint_eq(n, pool.live);
	ck_assert(memcmp(bytes, list.bytes, sizeof(bytes)) == 0);
}

static void find_all(void)
{
	for (uint32_t i = 0; i < SPACE; i++) {
		struct tcp_run *want = list.first;

		while (want && seq_le(want->end, at(i)))
			want = want->next;
		ck_assert_ptr_eq(tcp_runs_find(&list, at(i)), want);
	}
}

START_TEST(random_puts_erasures_and_trims_match_a_model)
{
	struct rng rng;

	rng_seed(&rng, unit_seed());
	base = rng_below(&rng, 2) ? UINT32_MAX - SPACE / 2 : rng_below(&rng, UINT32_MAX);
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t a = rng_below(&rng, SPACE), b = 1 + rng_below(&rng, SPACE);
		uint32_t n = rng_below(&rng, 16);
		uint8_t state = (uint8_t)rng_below(&rng, TCP_RUN_STATES);

		if (n == 0) {
			tcp_runs_trim(&pool, &list, at(a / 4));
			memset(model, NONE, a / 4);
			continue;
		}
		if (n < 10) /* mostly short ones */
			b = min_u32(a + 1 + rng_below(&rng, 8), SPACE);
		if (a >= b)
			continue;
		if (n % 3 == 0) {
			ck_assert(tcp_runs_erase(&pool, &list, at(a), at(b)));
			memset(model + a, NONE, b - a);
		} else {
			ck_assert(tcp_runs_put(&pool, &list, at(a), at(b), state, 0));
			memset(model + a, state, b - a);
		}
		compare();
		if (i % 100 == 0)
			find_all();
	}
}
END_TEST

START_TEST(what_was_sent_again_at_another_time_stays_apart)
{
	ck_assert(tcp_runs_put(&pool, &list, at(0), at(10), TCP_RUN_AGAIN, 5));
	ck_assert(tcp_runs_put(&pool, &list, at(10), at(20), TCP_RUN_AGAIN, 6));
	ck_assert_uint_eq(list.n, 2);
	ck_assert(tcp_runs_put(&pool, &list, at(0), at(10), TCP_RUN_AGAIN, 6));
	ck_assert_uint_eq(list.n, 1);
}
END_TEST

START_TEST(a_full_list_refuses_and_stays_as_it_was)
{
	uint32_t i = 0;

	while (tcp_runs_put(&pool, &list, at(2 * i), at(2 * i + 1), TCP_RUN_HELD, 0))
		i++;
	ck_assert_uint_ge(i, TCP_RUNS_MOST - 2);
	ck_assert_uint_le(list.n, TCP_RUNS_MOST);
	struct tcp_runs before = list;
	ck_assert(!tcp_runs_put(&pool, &list, at(2 * i), at(2 * i + 1), TCP_RUN_HELD, 0));
	ck_assert(memcmp(&before, &list, sizeof(list)) == 0);
	/* what was already there can still grow at the end, and shrink */
	ck_assert(tcp_runs_put(&pool, &list, at(2 * i - 1), at(2 * i), TCP_RUN_HELD, 0));
	tcp_runs_trim(&pool, &list, at(8));
	ck_assert(tcp_runs_put(&pool, &list, at(2 * i + 8), at(2 * i + 9), TCP_RUN_HELD, 0));
}
END_TEST

START_TEST(long_lists_leave_the_rest_of_the_pool_to_short_ones)
{
	enum { GREEDY = 40 };
	static struct tcp_runs greedy[GREEDY];

	memset(greedy, 0, sizeof(greedy));
	for (uint32_t g = 0; g < GREEDY; g++) {
		for (uint32_t i = 0; i < TCP_RUNS_MOST; i++)
			tcp_runs_put(&pool, &greedy[g], at(2 * i), at(2 * i + 1), TCP_RUN_HELD, 0);
	}
	ck_assert_uint_lt(pool.live, TCP_RUNS_POOL);
	for (uint32_t i = 0; i < TCP_RUNS_SHORT - 1; i++)
		ck_assert(tcp_runs_put(&pool, &list, at(2 * i), at(2 * i + 1), TCP_RUN_HELD, 0));
	for (uint32_t g = 0; g < GREEDY; g++)
		tcp_runs_clear(&pool, &greedy[g]);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp_run");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, random_puts_erasures_and_trims_match_a_model);
	tcase_add_test(tc, what_was_sent_again_at_another_time_stays_apart);
	tcase_add_test(tc, a_full_list_refuses_and_stays_as_it_was);
	tcase_add_test(tc, long_lists_leave_the_rest_of_the_pool_to_short_ones);
	return unit_run("tcp/run", tc);
}
