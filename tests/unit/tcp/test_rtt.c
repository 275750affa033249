/* RFC 6298's estimator. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_rtt.h"
#include "tests/unit/unit.h"

/* Each a round trip of its own. */
static void sample(struct tcp_rtt *r, uint32_t us, uint32_t now_us)
{
	seq_t sent = r->srtt_us ? seq_add(r->round, 1) : (seq_t){ UINT32_MAX - 3 };

	tcp_rtt_sample(r, us, now_us, sent, sent);
}

START_TEST(starts_with_one_second) /* 2.1 */
{
	struct tcp_rtt r = { 0 };
	ck_assert_uint_eq(tcp_rtt_rto_us(&r), 1000000);
	ck_assert_uint_eq(tcp_rtt_base_us(&r), 1000000);
}
END_TEST

START_TEST(first_sample_sets_both) /* 2.2 */
{
	struct tcp_rtt r = { 0 };
	sample(&r, 400000, 0);
	ck_assert_uint_eq(r.srtt_us, 400000);
	ck_assert_uint_eq(r.var_us, 200000);
	ck_assert_uint_eq(tcp_rtt_rto_us(&r), 1200000);
}
END_TEST

START_TEST(later_samples_are_smoothed) /* 2.3: RTTVAR first, from the old SRTT */
{
	struct tcp_rtt r = { 0 };
	sample(&r, 400000, 0);
	sample(&r, 800000, 0);
	ck_assert_uint_eq(r.var_us, (3 * 200000 + 400000) / 4);
	ck_assert_uint_eq(r.srtt_us, (7 * 400000 + 800000) / 8);
	ck_assert_uint_eq(r.min_us, 400000);
	sample(&r, 100000, 0);
	ck_assert_uint_eq(r.min_us, 100000);
}
END_TEST

START_TEST(the_minimum_is_forgotten_in_time) /* RFC 8985 6.2 step 1; 300 s as Linux */
{
	struct tcp_rtt r = { 0 };
	uint32_t start = UINT32_MAX - 1000000; /* the clock wraps */
	sample(&r, 10000, start);
	for (uint32_t s = 1; s < 150; s++)
		sample(&r, 50000, start + s * 1000000);
	ck_assert_uint_eq(r.min_us, 10000);
	for (uint32_t s = 150; s < 300; s++)
		sample(&r, 40000, start + s * 1000000);
	ck_assert_uint_eq(r.min_us, 10000);
	sample(&r, 60000, start + 300000000);
	ck_assert_uint_eq(r.min_us, 40000);
	sample(&r, 30000, start + 301000000);
	ck_assert_uint_eq(r.min_us, 30000);
}
END_TEST

START_TEST(stays_between_its_bounds) /* 2.4 (ours: 200 ms), 2.5 */
{
	struct tcp_rtt r = { 0 };
	for (int i = 0; i < 100; i++)
		sample(&r, 0, 0);
	ck_assert_uint_eq(r.srtt_us, 1);
	ck_assert_uint_eq(tcp_rtt_rto_us(&r), TCP_RTO_MIN_US + 1);
	for (int i = 0; i < 100; i++)
		sample(&r, UINT32_MAX, 0);
	ck_assert_uint_eq(tcp_rtt_rto_us(&r), TCP_RTO_MAX_US);
}
END_TEST

START_TEST(backoff_doubles_up_to_two_minutes) /* 5.5 */
{
	struct tcp_rtt r = { 0 };
	sample(&r, 100, 0);
	for (int i = 0; i < 256; i++) {
		r.backoff = (uint8_t)i;
		uint64_t want = i < 20 ? 200100ull << i : TCP_RTO_MAX_US;
		if (want > TCP_RTO_MAX_US)
			want = TCP_RTO_MAX_US;
		ck_assert_uint_eq(tcp_rtt_rto_us(&r), want);
	}
	ck_assert_uint_eq(tcp_rtt_base_us(&r), 200100);
}
END_TEST

START_TEST(a_steady_path_keeps_the_floor_above_its_round_trip) /* 2.4, as Linux */
{
	struct tcp_rtt r = { 0 };
	for (int i = 0; i < 100; i++)
		sample(&r, 100000, 0);
	ck_assert_uint_le(r.var_us, 1);
	ck_assert_uint_eq(tcp_rtt_rto_us(&r), 100000 + TCP_RTO_MIN_US);
}
END_TEST

START_TEST(a_shorter_round_trip_hardly_adds_to_the_timeout) /* as Linux, of the Eifel timer's findings */
{
	struct tcp_rtt r = { 0 };
	for (int i = 0; i < 100; i++)
		sample(&r, 400000, 0);
	uint32_t was_us = r.var_us;
	sample(&r, 80000, 0);
	ck_assert_uint_eq(r.var_us, was_us + (320000 - was_us) / 32);
}
END_TEST

START_TEST(the_largest_variation_of_a_round_trip_counts) /* RFC 7323 G; as Linux */
{
	seq_t una = { 1000 }, nxt = { 101000 };
	struct tcp_rtt r = { 0 };
	tcp_rtt_sample(&r, 100000, 0, una, nxt); /* the round lasts until all this is acknowledged */
	tcp_rtt_sample(&r, 500000, 0, una, nxt);
	ck_assert_uint_eq(r.var_us, (3 * 50000 + 400000) / 4);
	uint32_t slack_us = 4 * r.var_us;
	ck_assert_uint_eq(tcp_rtt_rto_us(&r), r.srtt_us + slack_us);
	for (int i = 0; i < 50; i++) { /* many that are all alike, one flight */
		tcp_rtt_sample(&r, 150000, 0, una, nxt);
		ck_assert_uint_eq(tcp_rtt_rto_us(&r), r.srtt_us + slack_us);
	}
	ck_assert_uint_lt(4 * r.var_us, TCP_RTO_MIN_US);
	una = seq_add(nxt, 1); /* the flight that had it ends: not yet, it was within it */
	tcp_rtt_sample(&r, 150000, 0, una, una);
	ck_assert_uint_eq(tcp_rtt_rto_us(&r), r.srtt_us + slack_us);
	for (int i = 0; i < 3; i++) {
		una = seq_add(una, 1);
		tcp_rtt_sample(&r, 150000, 0, una, una);
		slack_us -= (slack_us - TCP_RTO_MIN_US) / 4;
		ck_assert_uint_eq(tcp_rtt_rto_us(&r), r.srtt_us + slack_us);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp_rtt");

	tcase_add_test(tc, starts_with_one_second);
	tcase_add_test(tc, first_sample_sets_both);
	tcase_add_test(tc, later_samples_are_smoothed);
	tcase_add_test(tc, the_minimum_is_forgotten_in_time);
	tcase_add_test(tc, stays_between_its_bounds);
	tcase_add_test(tc, a_steady_path_keeps_the_floor_above_its_round_trip);
	tcase_add_test(tc, a_shorter_round_trip_hardly_adds_to_the_timeout);
	tcase_add_test(tc, the_largest_variation_of_a_round_trip_counts);
	tcase_add_test(tc, backoff_doubles_up_to_two_minutes);
	return unit_run("tcp/rtt", tc);
}
