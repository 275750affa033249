/* Data both ways: segmentation, order, ACK policy, Nagle, cork. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(data_is_cut_into_segments_and_pushed_at_the_end) /* RFC 9293 3.7.1, 3.9.1 */
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 2500);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 1001, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 2001, .ack = 1, .flags = A | P, .len = 500);
	IN(r, .seq = 1, .ack = 2501, .flags = A);
	EVENTS(r, TCPE_WRITABLE);
	ck_assert_uint_eq(tcp_tx_una(r->c), 2500);
	rig_free(r);
}
END_TEST

START_TEST(initial_window_is_ten_segments) /* RFC 6928 2 */
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 30000);
	ck_assert_uint_eq(rig_drain(r), 10);
	rig_free(r);
	r = rig_established(.path_mss = 8000, .mss = 8000);
	rig_send(r, 60000);
	ck_assert_uint_eq(rig_drain(r), 2); /* max(2 * MSS, 14600) */
	rig_free(r);
}
END_TEST

START_TEST(slow_start_doubles_then_avoidance_adds_one) /* RFC 5681 3.1 */
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 60000);
	ck_assert_uint_eq(rig_drain(r), 10);
	IN(r, .seq = 1, .ack = 10001, .flags = A);
	ck_assert_uint_eq(r->c->cwnd, 20000);
	ck_assert_uint_eq(rig_drain(r), 20);
	r->c->ssthresh = 20000;
	IN(r, .seq = 1, .ack = 30001, .flags = A);
	ck_assert_uint_eq(r->c->cwnd, 21000);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(window_that_is_not_used_does_not_grow) /* RFC 7661 */
{
	struct rig *r = rig_established(.mss = 1000);
	uint32_t cwnd = r->c->cwnd;
	for (uint32_t i = 0; i < 50; i++) {
		rig_send(r, 100);
		OUT(r, .seq = 1 + 100 * i, .ack = 1, .flags = A, .len = 100);
		IN(r, .seq = 1, .ack = 101 + 100 * i, .flags = A);
	}
	ck_assert_uint_eq(r->c->cwnd, cwnd);
	rig_free(r);
}
END_TEST

START_TEST(idle_connection_starts_slowly_again) /* RFC 5681 4.1 */
{
	struct rig *r = rig_established(.mss = 1000);
	r->c->cwnd = 40000;
	rig_send(r, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1);
	IN(r, .seq = 1, .ack = 2, .flags = A);
	rig_after_ms(r, 5000);
	rig_send(r, 40000);
	ck_assert_uint_eq(rig_drain(r), 10);
	rig_free(r);
}
END_TEST

/* RFC 2861 3, as Linux: half for each timeout of silence, never below the initial window; ssthresh keeps
 * three quarters of what there was, and nothing is lost by less than a timeout. */
START_TEST(each_timeout_of_silence_halves_the_window)
{
	static const struct { uint32_t rtos; uint32_t cwnd; } t[] = {
		{ 0, 80000 }, { 1, 40000 }, { 2, 20000 }, { 3, 10000 }, { 9, 10000 },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct rig *r = rig_established(.mss = 1000, .rtt_ms = 100);
		rig_send(r, 1);
		rig_drain(r);
		IN(r, .seq = 1, .ack = 2, .flags = A);
		r->c->cwnd = 80000;
		r->c->ssthresh = 30000;
		uint64_t rto_us = tcp_rtt_rto_us(&r->c->rtt);
		rig_after_us(r, t[i].rtos * rto_us + rto_us / 2);
		rig_send(r, 1);
		rig_drain(r);
		ck_assert_uint_eq(r->c->cwnd, t[i].cwnd);
		ck_assert_uint_eq(r->c->ssthresh, t[i].rtos ? 60000 : 30000);
		COUNT(r, tcp_idle_restart, t[i].rtos != 0);
		rig_free(r);
	}
}
END_TEST

/* RFC 7661 in short, as Linux' tcp_is_cwnd_limited(): half of it in use is enough in slow start, all of it
 * must be later. */
START_TEST(a_window_grows_when_the_application_fills_it)
{
	static const struct { uint32_t sent, ssthresh; bool grows; } t[] = {
		{ 4000, UINT32_MAX, false }, { 5000, UINT32_MAX, true }, { 10000, UINT32_MAX, true },
		{ 5000, 5000, false }, { 9000, 5000, false }, { 10000, 5000, true },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct rig *r = rig_established(.mss = 1000, .o.cc = RIG_RENO);
		uint32_t before = r->c->cwnd;
		ck_assert_uint_eq(before, 10000);
		r->c->ssthresh = t[i].ssthresh;
		rig_send(r, t[i].sent);
		rig_drain(r);
		IN(r, .seq = 1, .ack = 1 + t[i].sent, .flags = A);
		ck_assert_int_eq(r->c->cwnd > before, t[i].grows);
		rig_free(r);
	}
}
END_TEST

START_TEST(offload_takes_whole_segments_at_once)
{
	struct rig *r = rig_established(.mss = 1000, .tso_bytes = 5500);
	rig_send(r, 10300);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 5000);
	OUT(r, .seq = 5001, .ack = 1, .flags = A, .len = 5000);
	IN(r, .seq = 1, .ack = 10001, .flags = A);
	OUT(r, .seq = 10001, .ack = 1, .flags = A | P, .len = 300);
	rig_free(r);
}
END_TEST

START_TEST(first_segments_are_acknowledged_at_once) /* quick ACKs, as Linux */
{
	struct rig *r = rig_established();
	for (uint32_t i = 0; i < 16; i++) {
		IN(r, .seq = 1 + 10 * i, .ack = 1, .flags = A, .len = 10);
		OUT(r, .seq = 1, .ack = 11 + 10 * i, .flags = A);
	}
	IN(r, .seq = 161, .ack = 1, .flags = A, .len = 10);
	QUIET(r);
	rig_after_ms(r, 40);
	OUT(r, .seq = 1, .ack = 171, .flags = A);
	rig_read_n(r, 170);
	rig_free(r);
}
END_TEST

START_TEST(lone_segment_is_acknowledged_after_40_ms) /* RFC 9293 3.8.6.3 */
{
	struct rig *r = rig_established(.delack = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	EVENTS(r, TCPE_READABLE);
	rig_after_us(r, 39999);
	QUIET(r);
	rig_after_us(r, 1);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	COUNT(r, tcp_delack, 1);
	rig_free(r);
}
END_TEST

/* RFC 9293 3.8.6.3 wants an ACK early rather than late, and only what reads slowly needs the delay: as
 * Linux, whoever has read everything and does not answer what it reads tells so at once. Without that a
 * sender that Nagle holds back waits for the delayed ACK with every small segment. */
START_TEST(read_of_all_that_came_sends_the_delayed_ack)
{
	struct rig *r = rig_established(.delack = true);
	for (uint32_t i = 0; i < 3; i++) {
		IN(r, .seq = 1 + 100 * i, .ack = 1, .flags = A, .len = 100);
		QUIET(r);
		rig_read_n(r, 60); /* something is left */
		QUIET(r);
		rig_read(r);
		OUT(r, .seq = 1, .ack = 101 + 100 * i, .flags = A);
		rig_after_ms(r, 40);
		QUIET(r);
	}
	COUNT(r, tcp_delack, 0);
	rig_free(r);
}
END_TEST

START_TEST(read_that_will_be_answered_keeps_the_delay)
{
	struct rig *r = rig_established(.delack = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	rig_send(r, 10);
	OUT(r, .seq = 1, .ack = 101, .flags = A | P, .len = 10);
	rig_read(r);
	IN(r, .seq = 101, .ack = 11, .flags = A, .len = 100);
	rig_read(r);
	QUIET(r);
	IN(r, .seq = 201, .ack = 11, .flags = A, .len = 100); /* but a second small one does not wait */
	rig_read(r);
	OUT(r, .seq = 11, .ack = 301, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(read_behind_more_than_one_full_segment_sends_the_delayed_ack)
{
	struct rig *r = rig_established(.mss = 1000, .delack = true);
	r->c->rcv_mss = 1000;
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	rig_read(r);
	QUIET(r);
	IN(r, .seq = 1001, .ack = 1, .flags = A, .len = 999);
	QUIET(r);
	rig_read_n(r, 1);
	OUT(r, .seq = 1, .ack = 2000, .flags = A);
	rig_read(r);
	QUIET(r);
	rig_free(r);
}
END_TEST

START_TEST(every_second_full_segment_is_acknowledged) /* RFC 9293 3.8.6.3, RFC 5681 4.2 */
{
	struct rig *r = rig_established(.mss = 1000, .delack = true);
	r->c->rcv_mss = 1000;
	for (uint32_t i = 0; i < 4; i++) {
		IN(r, .seq = 1 + 2000 * i, .ack = 1, .flags = A, .len = 1000);
		QUIET(r);
		IN(r, .seq = 1001 + 2000 * i, .ack = 1, .flags = A, .len = 1000);
		OUT(r, .seq = 1, .ack = 2001 + 2000 * i, .flags = A);
	}
	rig_free(r);
}
END_TEST

START_TEST(burst_is_acknowledged_once)
{
	struct rig *r = rig_established(.mss = 1000);
	for (uint32_t i = 0; i < 8; i++)
		IN_MORE(r, .seq = 1 + 1000 * i, .ack = 1, .flags = A, .len = 1000);
	rig_after_us(r, 0);
	OUT(r, .seq = 1, .ack = 8001, .flags = A);
	rig_read_n(r, 8000);
	rig_free(r);
}
END_TEST

START_TEST(ack_rides_on_the_answer)
{
	struct rig *r = rig_established(.delack = true);
	for (uint32_t i = 0; i < 5; i++) {
		IN(r, .seq = 1 + 10 * i, .ack = 1 + 20 * i, .flags = A, .len = 10);
		rig_read(r);
		if (i == 0) /* not known yet that it answers */
			OUT(r, .seq = 1, .ack = 11, .flags = A);
		rig_send(r, 20);
		OUT(r, .seq = 1 + 20 * i, .ack = 11 + 10 * i, .flags = A | P, .len = 20);
		ck_assert(r->c->pingpong);
	}
	rig_free(r);
}
END_TEST

START_TEST(quickack_option_sends_what_is_owed)
{
	struct rig *r = rig_established(.delack = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	QUIET(r);
	r->c->opts.quickack = true;
	rig_set_opts(r);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(out_of_order_data_waits_for_the_hole) /* RFC 9293 3.10.7.4 seventh, RFC 5681 4.2 */
{
	struct rig *r = rig_established();
	IN(r, .seq = 101, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A); /* duplicate ACK at once */
	IN(r, .seq = 301, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 0);
	ck_assert_uint_eq(tcp_rx_max(r->c), 400);
	COUNT(r, tcp_ooo_segs, 2);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 201, .flags = A);
	IN(r, .seq = 151, .ack = 1, .flags = A, .len = 200); /* overlaps both sides */
	OUT(r, .seq = 1, .ack = 401, .flags = A);
	rig_read_n(r, 400);
	rig_free(r);
}
END_TEST

START_TEST(each_out_of_order_segment_draws_its_own_duplicate_ack) /* RFC 5681 4.2 */
{
	struct rig *r = rig_established(.mss = 1000);
	for (uint32_t i = 1; i <= 5; i++)
		IN_MORE(r, .seq = 1 + 1000 * i, .ack = 1, .flags = A, .len = 1000);
	for (int i = 0; i < 5; i++)
		OUT(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 1, .ack = 6001, .flags = A);
	rig_read_n(r, 6000);
	rig_free(r);
}
END_TEST

START_TEST(too_many_holes_are_dropped_and_repaired)
{
	enum { MOST = TCP_RUNS_MOST - 1 };
	struct rig *r = rig_established();
	for (uint32_t i = 1; i <= MOST + 5u; i++)
		IN(r, .seq = 1 + 4 * i, .ack = 1, .flags = A, .len = 2);
	ck_assert_uint_eq(rig_drain(r), MOST);
	COUNT(r, tcp_drop_nomem, 5);
	for (uint32_t i = 0; i < MOST + 6u; i++)
		IN(r, .seq = 1 + 4 * i, .ack = 1, .flags = A, .len = 4);
	rig_drain(r);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 4 * (MOST + 6u));
	rig_read(r);
	rig_after_ms(r, 40);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(old_data_is_acknowledged_again) /* RFC 9293 3.10.7.4 first */
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	IN(r, .seq = 51, .ack = 1, .flags = A, .len = 100); /* half old */
	OUT(r, .seq = 1, .ack = 151, .flags = A);
	rig_read_n(r, 150);
	rig_free(r);
}
END_TEST

START_TEST(ack_of_a_repeated_segment_still_counts)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	rig_send(r, 50);
	OUT(r, .seq = 1, .ack = 101, .flags = A, .len = 50);
	IN(r, .seq = 1, .ack = 51, .flags = A, .len = 100);
	OUT(r, .seq = 51, .ack = 101, .flags = A);
	ck_assert_uint_eq(tcp_tx_una(r->c), 50);
	rig_free(r);
}
END_TEST

START_TEST(segment_without_memory_is_not_acknowledged)
{
	struct rig *r = rig_established();
	r->rx_fail = 1;
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	QUIET(r);
	COUNT(r, tcp_drop_nomem, 1);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	r->rx_fail = 1; /* and one out of order */
	IN(r, .seq = 301, .ack = 1, .flags = A, .len = 100);
	QUIET(r);
	ck_assert_uint_eq(tcp_rx_max(r->c), 100);
	rig_free(r);
}
END_TEST

START_TEST(nagle_holds_a_second_small_segment) /* RFC 9293 3.7.4 */
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 10);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	rig_send(r, 10);
	rig_send(r, 10);
	QUIET(r);
	IN(r, .seq = 1, .ack = 11, .flags = A);
	OUT(r, .seq = 11, .ack = 1, .flags = A | P, .len = 20);
	rig_send(r, 1500); /* a full segment leaves, the rest waits */
	OUT(r, .seq = 31, .ack = 1, .flags = A, .len = 1000);
	QUIET(r);
	IN(r, .seq = 1, .ack = 1031, .flags = A);
	OUT(r, .seq = 1031, .ack = 1, .flags = A | P, .len = 500);
	rig_free(r);
}
END_TEST

START_TEST(small_segment_follows_full_ones_at_once) /* Minshall's refinement, as Linux */
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 1100);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 1001, .ack = 1, .flags = A | P, .len = 100);
	rig_free(r);
}
END_TEST

START_TEST(nodelay_sends_at_once)
{
	struct rig *r = rig_established(.o.nodelay = true);
	for (uint32_t i = 0; i < 5; i++) {
		rig_send(r, 10);
		OUT(r, .seq = 1 + 10 * i, .ack = 1, .flags = A | P, .len = 10);
	}
	rig_free(r);
	r = rig_established();
	rig_send(r, 10);
	rig_send(r, 10);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	QUIET(r);
	r->c->opts.nodelay = true; /* set later: what waits leaves */
	rig_set_opts(r);
	OUT(r, .seq = 11, .ack = 1, .flags = A, .len = 10);
	rig_free(r);
}
END_TEST

START_TEST(cork_holds_small_segments_for_200_ms)
{
	struct rig *r = rig_established(.mss = 1000, .o.cork = true, .rtt_ms = 1);
	rig_send(r, 10);
	QUIET(r);
	rig_send(r, 1500);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	IN(r, .seq = 1, .ack = 1001, .flags = A);
	rig_until_rto(r);
	QUIET(r);
	rig_after_us(r, 1);
	OUT(r, .seq = 1001, .ack = 1, .flags = A | P, .len = 510);
	rig_send(r, 5);
	QUIET(r);
	r->c->opts.cork = false;
	IN(r, .seq = 1, .ack = 1511, .flags = A);
	rig_set_opts(r);
	OUT(r, .seq = 1511, .ack = 1, .flags = A, .len = 5);
	rig_free(r);
}
END_TEST

START_TEST(fin_takes_the_last_small_segment_along)
{
	struct rig *r = rig_established(.o.cork = true);
	rig_send(r, 10);
	QUIET(r);
	rig_shutdown(r);
	OUT(r, .seq = 1, .ack = 1, .flags = A | F | P, .len = 10);
	rig_free(r);
}
END_TEST

START_TEST(positions_that_make_no_sense_are_ignored)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	tcp_app_read(&r->env, r->c, 11, r->now_ns);
	tcp_app_read(&r->env, r->c, 0x80000000u, r->now_ns);
	ck_assert_uint_eq(r->c->rx_head, 0);
	tcp_app_wrote(&r->env, r->c, 0, r->now_ns);
	tcp_app_wrote(&r->env, r->c, (uint32_t)-5, r->now_ns);
	tcp_flush(&r->env, r->now_ns);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_data", { data_is_cut_into_segments_and_pushed_at_the_end },
	 { initial_window_is_ten_segments }, { slow_start_doubles_then_avoidance_adds_one },
	 { window_that_is_not_used_does_not_grow }, { idle_connection_starts_slowly_again },
	 { each_timeout_of_silence_halves_the_window }, { a_window_grows_when_the_application_fills_it },
	 { offload_takes_whole_segments_at_once }, { first_segments_are_acknowledged_at_once },
	 { lone_segment_is_acknowledged_after_40_ms }, { every_second_full_segment_is_acknowledged },
	 { read_of_all_that_came_sends_the_delayed_ack },
	 { read_that_will_be_answered_keeps_the_delay },
	 { read_behind_more_than_one_full_segment_sends_the_delayed_ack },
	 { burst_is_acknowledged_once }, { ack_rides_on_the_answer },
	 { quickack_option_sends_what_is_owed }, { out_of_order_data_waits_for_the_hole },
	 { each_out_of_order_segment_draws_its_own_duplicate_ack },
	 { too_many_holes_are_dropped_and_repaired }, { old_data_is_acknowledged_again },
	 { ack_of_a_repeated_segment_still_counts }, { segment_without_memory_is_not_acknowledged },
	 { nagle_holds_a_second_small_segment }, { small_segment_follows_full_ones_at_once },
	 { nodelay_sends_at_once }, { cork_holds_small_segments_for_200_ms },
	 { fin_takes_the_last_small_segment_along }, { positions_that_make_no_sense_are_ignored })
