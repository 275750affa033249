/* Giving the processor away: how often, and when no more. */
// SPDX-License-Identifier: MIT
#include "stack/base/giveway.h"
#include "tests/unit/unit.h"

enum { START = 1000000000, ALONE = 300, SHARED = 5000, KEPT = 4000000 };
static struct giveway g;
static uint64_t now;

static void setup(void)
{
	g = (struct giveway){ 0 };
	now = START;
	giveway_begin(&g, now);
}

/* Gives it away as soon as that is due; it comes back after ns. Returns how long we spun before. */
static uint64_t away_for(uint64_t ns)
{
	uint64_t from = now;

	while (!giveway_due(&g, now))
		now += 100;
	uint64_t left = now;

	now += ns;
	giveway_back(&g, left, now);
	return left - from;
}

START_TEST(a_processor_that_nobody_else_wants_is_given_away_ever_more_rarely)
{
	uint64_t before = 0;

	for (int i = 0; i < 10; i++) {
		uint64_t spun = away_for(ALONE);

		ck_assert_uint_ge(spun, before);
		before = spun;
	}
	ck_assert_uint_ge(before, GIVEWAY_RARELY_NS);
	ck_assert_uint_le(before, GIVEWAY_RARELY_NS + 100);
	giveway_begin(&g, now);
	ck_assert(!giveway_due(&g, now));
}
END_TEST

START_TEST(one_that_others_use_is_given_away_at_once_when_spinning_begins)
{
	for (int i = 0; i < 10; i++)
		away_for(ALONE);
	away_for(SHARED);
	ck_assert_uint_le(away_for(SHARED), GIVEWAY_OFTEN_NS + 100);
	giveway_begin(&g, now);
	ck_assert(giveway_due(&g, now));
}
END_TEST

START_TEST(the_time_of_others_is_told_and_our_own_is_not)
{
	ck_assert_uint_eq(giveway_back(&g, now, now + ALONE), 0);
	ck_assert_uint_eq(giveway_back(&g, now, now + SHARED), SHARED - GIVEWAY_ALONE_NS);
}
END_TEST

/* How many waits are left out, when each takes ns; *lasted: how long that was. */
static uint32_t left_out(uint64_t ns, uint64_t *lasted)
{
	uint64_t from = now;
	uint32_t n = 0;

	for (giveway_count(&g, now); giveway_barred(&g); giveway_count(&g, now)) {
		now += ns;
		n++;
	}
	*lasted = now - from;
	return n;
}

START_TEST(after_one_who_keeps_it_few_waits_are_left_out_then_more_as_long_as_he_stays)
{
	uint64_t bar = GIVEWAY_BAR_MIN_NS, lasted;

	away_for(KEPT);
	ck_assert(giveway_barred(&g));
	ck_assert_uint_eq(left_out(20000, &lasted), GIVEWAY_BAR_WAITS);
	for (int i = 0; i < 8; i++) {
		away_for(KEPT);
		left_out(20000, &lasted);
		ck_assert_uint_ge(lasted, bar);
		ck_assert_uint_lt(lasted, bar + 100000);
		bar = min_u64(bar * GIVEWAY_BAR_TIMES, GIVEWAY_BAR_MAX_NS);
	}
	ck_assert_uint_eq(bar, GIVEWAY_BAR_MAX_NS);
}
END_TEST

/* Waits of a thread that has little to do are few: not each of them shall meet him. */
START_TEST(slow_waits_are_left_out_by_number)
{
	uint64_t lasted;

	for (int i = 0; i < 3; i++) {
		away_for(KEPT);
		ck_assert_uint_ge(left_out(GIVEWAY_BAR_MAX_NS, &lasted), GIVEWAY_BAR_WAITS);
	}
}
END_TEST

START_TEST(after_good_waits_fewer_are_left_out_each_time)
{
	uint64_t lasted, before;

	for (int i = 0; i < 4; i++) {
		away_for(KEPT);
		left_out(20000, &lasted);
	}
	do {
		before = lasted;
		for (int i = 0; i < GIVEWAY_SOON; i++)
			giveway_count(&g, now);
		away_for(KEPT);
		ck_assert_uint_ge(left_out(20000, &lasted), GIVEWAY_BAR_WAITS);
		ck_assert_uint_lt(lasted, before);
	} while (lasted > GIVEWAY_BAR_MIN_NS);
	for (int i = 0; i < GIVEWAY_SOON; i++)
		giveway_count(&g, now);
	away_for(KEPT);
	ck_assert_uint_eq(left_out(20000, &lasted), GIVEWAY_BAR_WAITS);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("giveway");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_processor_that_nobody_else_wants_is_given_away_ever_more_rarely);
	tcase_add_test(tc, one_that_others_use_is_given_away_at_once_when_spinning_begins);
	tcase_add_test(tc, the_time_of_others_is_told_and_our_own_is_not);
	tcase_add_test(tc, after_one_who_keeps_it_few_waits_are_left_out_then_more_as_long_as_he_stays);
	tcase_add_test(tc, slow_waits_are_left_out_by_number);
	tcase_add_test(tc, after_good_waits_fewer_are_left_out_each_time);
	return unit_run("base/giveway", tc);
}
