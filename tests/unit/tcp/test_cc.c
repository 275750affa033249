/* The congestion controllers' table and NewReno's arithmetic. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_conn.h"
#include "tests/unit/unit.h"

static struct tcp_conn conn(uint32_t cwnd, uint32_t ssthresh)
{
	struct tcp_conn c = { .mss = 1000, .cwnd = cwnd, .ssthresh = ssthresh };

	tcp_cc_reno.init(&c);
	return c;
}

START_TEST(names_and_indices_agree)
{
	int i = tcp_cc_find("reno");
	ck_assert_int_ge(i, 0);
	ck_assert_ptr_eq(tcp_cc_of((uint8_t)i), &tcp_cc_reno);
	ck_assert_int_eq(tcp_cc_find("none such"), -1);
	ck_assert_ptr_eq(tcp_cc_of(255), &tcp_cc_cubic);
	ck_assert_ptr_eq(tcp_cc_of(0), &tcp_cc_cubic);
}
END_TEST

START_TEST(slow_start_grows_by_what_is_acknowledged) /* RFC 5681 (2), RFC 3465 */
{
	struct tcp_conn c = conn(10000, UINT32_MAX);
	tcp_cc_reno.acked(&c, 3000, 0);
	ck_assert_uint_eq(c.cwnd, 13000);
}
END_TEST

START_TEST(avoidance_grows_by_one_segment_a_window) /* RFC 5681 (3) */
{
	struct tcp_conn c = conn(10000, 5000);
	for (int i = 0; i < 9; i++)
		tcp_cc_reno.acked(&c, 1000, 0);
	ck_assert_uint_eq(c.cwnd, 10000);
	tcp_cc_reno.acked(&c, 1000, 0);
	ck_assert_uint_eq(c.cwnd, 11000);
}
END_TEST

START_TEST(one_ack_crosses_from_start_to_avoidance)
{
	struct tcp_conn c = conn(9000, 10000);
	tcp_cc_reno.acked(&c, 11000, 0);
	ck_assert_uint_eq(c.cwnd, 11000);
}
END_TEST

START_TEST(loss_halves_what_is_in_flight) /* RFC 5681 (4) */
{
	struct tcp_conn c = conn(40000, UINT32_MAX);
	ck_assert_uint_eq(tcp_cc_reno.ssthresh(&c, 30000, TCP_CC_LOSS), 15000);
	ck_assert_uint_eq(tcp_cc_reno.ssthresh(&c, 1, TCP_CC_LOSS), 2000);
}
END_TEST

START_TEST(a_mark_takes_a_fifth_in_avoidance_and_half_in_slow_start) /* RFC 8511 3 (ABE), RFC 3168 */
{
	struct tcp_conn avoiding = conn(40000, 20000), starting = conn(40000, UINT32_MAX);
	ck_assert_uint_eq(tcp_cc_reno.ssthresh(&avoiding, 40000, TCP_CC_ECN), 32000);
	ck_assert_uint_eq(tcp_cc_reno.ssthresh(&avoiding, 40000, TCP_CC_LOSS), 20000);
	ck_assert_uint_eq(tcp_cc_reno.ssthresh(&starting, 40000, TCP_CC_ECN), 20000);
	ck_assert_uint_eq(tcp_cc_reno.ssthresh(&avoiding, 1000, TCP_CC_ECN), 2000);
}
END_TEST

START_TEST(window_has_an_end)
{
	struct tcp_conn c = conn(1u << 29, UINT32_MAX);
	for (int i = 0; i < 10; i++)
		tcp_cc_reno.acked(&c, 1u << 30, 0);
	ck_assert_uint_le(c.cwnd, 1u << 30);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp_cc");

	tcase_add_test(tc, names_and_indices_agree);
	tcase_add_test(tc, slow_start_grows_by_what_is_acknowledged);
	tcase_add_test(tc, avoidance_grows_by_one_segment_a_window);
	tcase_add_test(tc, one_ack_crosses_from_start_to_avoidance);
	tcase_add_test(tc, loss_halves_what_is_in_flight);
	tcase_add_test(tc, a_mark_takes_a_fifth_in_avoidance_and_half_in_slow_start);
	tcase_add_test(tc, window_has_an_end);
	return unit_run("tcp/cc", tc);
}
