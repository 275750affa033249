/* RFC 6298's estimator. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_rtt.h"
#include "tests/unit/unit.h"

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
	tcp_rtt_sample(&r, 400000, 0);
	ck_assert_uint_eq(r.srtt_us, 400000);
	ck_assert_uint_eq(r.var_us, 200000);
	ck_assert_uint_eq(tcp_rtt_rto_us(&r), 1200000);
}
END_TEST

START_TEST(later_samples_are_smoothed) /* 2.3: RTTVAR first, from the old SRTT */
{
	struct tcp_rtt r = { 0 };
	tcp_rtt_sample(&r, 400000, 0);
	tcp_rtt_sample(&r, 800000, 0);
	ck_assert_uint_eq(r.var_us, (3 * 200000 + 400000) / 4);
	ck_assert_uint_eq(r.srtt_us, (7 * 400000 + 800000) / 8);
	ck_assert_uint_eq(r.min_us, 400000);
	tcp_rtt_sample(&r, 100000, 0);
	ck_assert_uint_eq(r.min_us, 100000);
}
END_TEST

START_TEST(the_minimum_is_forgotten_in_time) /* RFC 8985 6.2 step 1; 300 s as Linux */
{
	struct tcp_rtt r = { 0 };
	uint32_t start = UINT32_MAX - 1000000; /* the clock wraps */
	tcp_rtt_sample(&r, 10000, start);
	for (uint32_t s = 1; s < 150; s++)
		tcp_rtt_sample(&r, 50000, start + s * 1000000);
	ck_assert_uint_eq(r.min_us, 10000);
	for (uint32_t s = 150; s < 300; s++)
		tcp_rtt_sample(&r, 40000, start + s * 1000000);
	ck_assert_uint_eq(r.min_us, 10000);
	tcp_rtt_sample(&r, 60000, start + 300000000);
	ck_assert_uint_eq(r.min_us, 40000);
	tcp_rtt_sample(&r, 30000, start + 301000000);
	ck_assert_uint_eq(r.min_us, 30000);
}
END_TEST

START_TEST(stays_between_its_bounds) /* 2.4 (ours: 200 ms), 2.5 */
{
	struct tcp_rtt r = { 0 };
	for (int i = 0; i < 100; i++)
		tcp_rtt_sample(&r, 0, 0);
	ck_assert_uint_eq(r.srtt_us, 1);
	ck_assert_uint_eq(tcp_rtt_rto_us(&r), TCP_RTO_MIN_US);
	for (int i = 0; i < 100; i++)
		tcp_rtt_sample(&r, UINT32_MAX, 0);
	ck_assert_uint_eq(tcp_rtt_rto_us(&r), TCP_RTO_MAX_US);
}
END_TEST

START_TEST(backoff_doubles_up_to_two_minutes) /* 5.5 */
{
	struct tcp_rtt r = { 0 };
	tcp_rtt_sample(&r, 100, 0);
	for (int i = 0; i < 256; i++) {
		r.backoff = (uint8_t)i;
		uint64_t want = i < 20 ? 200000ull << i : TCP_RTO_MAX_US;
		if (want > TCP_RTO_MAX_US)
			want = TCP_RTO_MAX_US;
		ck_assert_uint_eq(tcp_rtt_rto_us(&r), want);
	}
	ck_assert_uint_eq(tcp_rtt_base_us(&r), 200000);
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
	tcase_add_test(tc, backoff_doubles_up_to_two_minutes);
	return unit_run("tcp/rtt", tc);
}
