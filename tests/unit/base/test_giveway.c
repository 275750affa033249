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

/* How many waits are left out. */
static uint32_t left_out(void)
{
	uint32_t n = 0;

	for (giveway_count(&g); giveway_barred(&g); giveway_count(&g))
		n++;
	return n;
}

START_TEST(after_one_who_keeps_it_waits_are_left_out_and_more_each_time)
{
	uint32_t bar = GIVEWAY_BAR_MIN;

	for (int i = 0; i < 6; i++) {
		away_for(KEPT);
		ck_assert(giveway_barred(&g));
		ck_assert_uint_eq(left_out(), bar);
		bar = min_u32(bar * GIVEWAY_BAR_TIMES, GIVEWAY_BAR_MAX);
	}
}
END_TEST

START_TEST(after_many_good_waits_few_are_left_out)
{
	for (int i = 0; i < 4; i++)
		away_for(KEPT);
	left_out();
	for (int i = 0; i < GIVEWAY_SOON * GIVEWAY_BAR_MAX; i++)
		giveway_count(&g);
	away_for(KEPT);
	ck_assert_uint_eq(left_out(), GIVEWAY_BAR_MIN);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("giveway");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_processor_that_nobody_else_wants_is_given_away_ever_more_rarely);
	tcase_add_test(tc, one_that_others_use_is_given_away_at_once_when_spinning_begins);
	tcase_add_test(tc, the_time_of_others_is_told_and_our_own_is_not);
	tcase_add_test(tc, after_one_who_keeps_it_waits_are_left_out_and_more_each_time);
	tcase_add_test(tc, after_many_good_waits_few_are_left_out);
	return unit_run("base/giveway", tc);
}
