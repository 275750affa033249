/* The timing wheel: exact due times, long deadlines, changes from within the pop loop, and a random
 * life compared with a plain list of due times. */
// SPDX-License-Identifier: MIT
#include "stack/base/wheel.h"
#include <string.h>
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

#define HOUR_NS (3600 * NSEC_PER_SEC)
#define START_NS (123 * NSEC_PER_SEC + 4567)

static struct wheel wheel;

static void fresh(uint64_t now_ns)
{
	memset(&wheel, 0xa5, sizeof(wheel));
	wheel_init(&wheel, now_ns);
}

/* The only timer fires at due_ns, not a nanosecond earlier, and is then gone. */
static void check_fires_at(struct wheel_timer *t, uint64_t due_ns)
{
	ck_assert_uint_le(wheel_next_ns(&wheel), due_ns);
	ck_assert_ptr_null(wheel_pop_due(&wheel, due_ns - 1));
	ck_assert_ptr_eq(wheel_pop_due(&wheel, due_ns), t);
	ck_assert(!t->armed);
	ck_assert_ptr_null(wheel_pop_due(&wheel, due_ns));
	ck_assert_uint_eq(wheel.armed, 0);
	ck_assert_uint_eq(wheel_next_ns(&wheel), UINT64_MAX);
}

static const struct {
	const char *name;
	uint64_t after_ns;
} delays[] = {
	{ "one nanosecond", 1 },
	{ "less than a tick", 10000 },
	{ "a tick", WHEEL_TICK_NS },
	{ "63 ticks", 63 * WHEEL_TICK_NS },
	{ "64 ticks", 64 * WHEEL_TICK_NS },
	{ "65 ticks and a bit", 65 * WHEEL_TICK_NS + 77 },
	{ "40 ms", 40 * NSEC_PER_MSEC },
	{ "200 ms", 200 * NSEC_PER_MSEC },
	{ "a minute", 60 * NSEC_PER_SEC },
	{ "2 hours", 2 * HOUR_NS },
	{ "12 days", 12 * 24 * HOUR_NS },
	{ "14 days", 14 * 24 * HOUR_NS },
	{ "a year", 365 * 24 * HOUR_NS },
};

START_TEST(a_timer_fires_exactly_when_due)
{
	struct wheel_timer t;

	fresh(START_NS);
	wheel_timer_init(&t, 3);
	wheel_arm(&wheel, &t, START_NS + delays[_i].after_ns);
	ck_assert_uint_eq(wheel.armed, 1);
	check_fires_at(&t, START_NS + delays[_i].after_ns);
	ck_assert_uint_eq(t.kind, 3);
}
END_TEST

START_TEST(sleeping_until_next_ns_reaches_every_deadline_in_few_steps)
{
	struct wheel_timer t;
	uint64_t due = START_NS + delays[_i].after_ns, now = START_NS;
	int steps = 0;

	fresh(START_NS);
	wheel_timer_init(&t, 0);
	wheel_arm(&wheel, &t, due);
	while (!wheel_pop_due(&wheel, now)) {
		uint64_t next = wheel_next_ns(&wheel);

		ck_assert_msg(next > now && next <= due, "%s: next in the past", delays[_i].name);
		now = next;
		/* Two for each level; a year is 29 turns of the top level, each cut in 64. */
		ck_assert_msg(++steps < 64, "%s: too many steps", delays[_i].name);
	}
	ck_assert_uint_eq(now, due);
}
END_TEST

START_TEST(a_due_time_in_the_past_fires_at_once)
{
	struct wheel_timer t;

	fresh(START_NS);
	wheel_timer_init(&t, 0);
	wheel_arm(&wheel, &t, START_NS - NSEC_PER_SEC);
	ck_assert_uint_le(wheel_next_ns(&wheel), START_NS);
	ck_assert_ptr_eq(wheel_pop_due(&wheel, START_NS), &t);
	wheel_arm(&wheel, &t, 0);
	ck_assert_ptr_eq(wheel_pop_due(&wheel, START_NS), &t);
}
END_TEST

START_TEST(arming_again_moves_the_timer)
{
	struct wheel_timer t;

	fresh(START_NS);
	wheel_timer_init(&t, 0);
	wheel_arm(&wheel, &t, START_NS + 5 * HOUR_NS);
	wheel_arm(&wheel, &t, START_NS + 100);
	wheel_arm(&wheel, &t, START_NS + NSEC_PER_SEC);
	ck_assert_uint_eq(wheel.armed, 1);
	check_fires_at(&t, START_NS + NSEC_PER_SEC);
}
END_TEST

START_TEST(a_disarmed_timer_never_fires_and_disarming_twice_is_harmless)
{
	struct wheel_timer t;

	fresh(START_NS);
	wheel_timer_init(&t, 0);
	wheel_disarm(&wheel, &t);
	wheel_arm(&wheel, &t, START_NS + 1000);
	wheel_disarm(&wheel, &t);
	wheel_disarm(&wheel, &t);
	ck_assert_uint_eq(wheel.armed, 0);
	ck_assert_uint_eq(wheel_next_ns(&wheel), UINT64_MAX);
	ck_assert_ptr_null(wheel_pop_due(&wheel, START_NS + HOUR_NS));
}
END_TEST

START_TEST(a_timer_already_found_due_can_be_disarmed_or_moved)
{
	struct wheel_timer t[3];

	fresh(START_NS);
	for (int i = 0; i < 3; i++) {
		wheel_timer_init(&t[i], 0);
		wheel_arm(&wheel, &t[i], START_NS + 10);
	}
	ck_assert_ptr_eq(wheel_pop_due(&wheel, START_NS + 10), &t[0]);
	wheel_disarm(&wheel, &t[1]);
	wheel_arm(&wheel, &t[2], START_NS + NSEC_PER_SEC);
	ck_assert_ptr_null(wheel_pop_due(&wheel, START_NS + 10));
	check_fires_at(&t[2], START_NS + NSEC_PER_SEC);
}
END_TEST

START_TEST(a_timer_rearmed_from_within_the_pop_loop_fires_on_each_period)
{
	struct wheel_timer t;
	uint64_t now = START_NS, period = 3 * NSEC_PER_MSEC, fired = 0;

	fresh(now);
	wheel_timer_init(&t, 0);
	wheel_arm(&wheel, &t, now + period);
	for (int i = 1; i <= 1000; i++) {
		now += period;
		while (wheel_pop_due(&wheel, now)) {
			fired++;
			wheel_arm(&wheel, &t, now + period);
		}
		ck_assert_uint_eq(fired, i);
	}
}
END_TEST

START_TEST(one_long_jump_pops_timers_of_different_ticks_in_order)
{
	struct wheel_timer t[50];
	uint64_t last = 0;
	int n = 0;

	fresh(START_NS);
	for (int i = 0; i < 50; i++) {
		wheel_timer_init(&t[i], (uint8_t)i);
		wheel_arm(&wheel, &t[i], START_NS + (uint64_t)((i * 37) % 50) * HOUR_NS / 10);
	}
	for (struct wheel_timer *f; (f = wheel_pop_due(&wheel, START_NS + 6 * HOUR_NS)); n++) {
		ck_assert_uint_ge(f->due_ns, last);
		last = f->due_ns;
	}
	ck_assert_int_eq(n, 50);
}
END_TEST

START_TEST(a_clock_that_steps_back_fires_nothing_early)
{
	struct wheel_timer t;

	fresh(START_NS);
	wheel_timer_init(&t, 0);
	ck_assert_ptr_null(wheel_pop_due(&wheel, START_NS + NSEC_PER_SEC));
	wheel_arm(&wheel, &t, START_NS + NSEC_PER_SEC / 2);
	ck_assert_ptr_null(wheel_pop_due(&wheel, START_NS));
	ck_assert_ptr_eq(wheel_pop_due(&wheel, START_NS + NSEC_PER_SEC / 2), &t);
}
END_TEST

enum { TIMERS = 200 };

struct life {
	struct wheel_timer t[TIMERS];
	uint64_t due[TIMERS]; /* the model: 0 is not armed */
	struct rng rng;
	uint64_t now;
};

static uint64_t random_delay(struct rng *r)
{
	/* Every order of magnitude from a nanosecond to 50 days. */
	return rng_u64(r) >> (12 + rng_below(r, 52));
}

static void random_change(struct life *l)
{
	uint32_t i = rng_below(&l->rng, TIMERS);

	if (rng_below(&l->rng, 4) == 0) {
		wheel_disarm(&wheel, &l->t[i]);
		l->due[i] = 0;
		return;
	}
	/* The model cannot tell the past from "now" once popping has started: always later. */
	l->due[i] = l->now + 1 + random_delay(&l->rng);
	wheel_arm(&wheel, &l->t[i], l->due[i]);
}

static void check_model(const struct life *l)
{
	uint64_t earliest = UINT64_MAX;
	uint32_t armed = 0;
	bool overdue = false;

	for (int i = 0; i < TIMERS; i++) {
		if (!l->due[i])
			continue;
		armed++;
		overdue |= l->due[i] <= l->now;
		earliest = min_u64(earliest, l->due[i]);
	}
	ck_assert_msg(!overdue, "a due timer was not popped");
	ck_assert_uint_eq(armed, wheel.armed);
	ck_assert_uint_le(wheel_next_ns(&wheel), earliest);
}

START_TEST(a_random_life_agrees_with_a_list_of_due_times)
{
	static struct life l;

	rng_seed(&l.rng, unit_seed());
	l.now = rng_u64(&l.rng) >> 2;
	fresh(l.now);
	for (int i = 0; i < TIMERS; i++)
		wheel_timer_init(&l.t[i], 0);
	for (int step = 0; step < 20000; step++) {
		for (uint32_t k = rng_below(&l.rng, 6); k > 0; k--)
			random_change(&l);
		if (rng_below(&l.rng, 3) == 0 && wheel.armed && wheel_next_ns(&wheel) > l.now)
			l.now = wheel_next_ns(&wheel);
		else
			l.now += random_delay(&l.rng);
		uint64_t last_tick = 0;
		for (struct wheel_timer *t; (t = wheel_pop_due(&wheel, l.now));) {
			int i = (int)(t - l.t);

			ck_assert_uint_eq(l.due[i], t->due_ns);
			ck_assert_uint_le(l.due[i], l.now);
			ck_assert_uint_ge(l.due[i] >> WHEEL_TICK_SHIFT, last_tick);
			last_tick = l.due[i] >> WHEEL_TICK_SHIFT;
			l.due[i] = 0;
			if (rng_below(&l.rng, 2))
				random_change(&l);
		}
		check_model(&l);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("wheel");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_timer_fires_exactly_when_due, 0, ARRAY_LEN(delays));
	tcase_add_loop_test(tc, sleeping_until_next_ns_reaches_every_deadline_in_few_steps, 0,
			    ARRAY_LEN(delays));
	tcase_add_test(tc, a_due_time_in_the_past_fires_at_once);
	tcase_add_test(tc, arming_again_moves_the_timer);
	tcase_add_test(tc, a_disarmed_timer_never_fires_and_disarming_twice_is_harmless);
	tcase_add_test(tc, a_timer_already_found_due_can_be_disarmed_or_moved);
	tcase_add_test(tc, a_timer_rearmed_from_within_the_pop_loop_fires_on_each_period);
	tcase_add_test(tc, one_long_jump_pops_timers_of_different_ticks_in_order);
	tcase_add_test(tc, a_clock_that_steps_back_fires_nothing_early);
	tcase_add_test(tc, a_random_life_agrees_with_a_list_of_due_times);
	return unit_run("base/wheel", tc);
}
