/* Options: MSS, window scale, timestamps and PAWS; path MTU. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(missing_mss_option_means_the_least_of_the_family) /* RFC 9293 3.7.1 MUST-15 */
{
	struct rig *r = rig_syn_sent();
	IN(r, .seq = 0, .ack = 1, .flags = S | A);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_eq(r->c->mss, rig_default_mss(r));
	rig_free(r);
	r = rig_listening();
	IN(r, .seq = 0, .flags = S);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_eq(r->c->mss, rig_default_mss(r));
	rig_free(r);
}
END_TEST

START_TEST(mss_is_the_smallest_of_peer_path_and_user) /* RFC 9293 3.7.1 MUST-16 */
{
	struct rig *r = rig_established(.mss = 9000, .path_mss = 1460);
	ck_assert_uint_eq(r->c->mss, 1460);
	rig_free(r);
	r = rig_established(.mss = 9000, .path_mss = 1460, .o.user_mss = 700);
	ck_assert_uint_eq(r->c->mss, 700);
	rig_free(r);
}
END_TEST

START_TEST(timestamps_are_taken_off_the_mss) /* RFC 6691 */
{
	struct rig *r = rig_established(.mss = 1000, .ts = true);
	ck_assert_uint_eq(r->c->mss, 988);
	rig_send(r, 1000);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 988, .ts = true);
	OUT(r, .seq = 989, .ack = 1, .flags = A | P, .len = 12, .ts = true);
	rig_free(r);
}
END_TEST

START_TEST(absurd_mss_is_raised)
{
	struct rig *r = rig_established(.mss = 1);
	ck_assert_uint_eq(r->c->mss, 48);
	rig_free(r);
	r = rig_syn_sent();
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 20, .ts = true);
	rig_drain(r);
	ck_assert_uint_eq(r->c->mss, 36);
	rig_free(r);
}
END_TEST

START_TEST(options_are_answered_only_when_offered) /* RFC 7323 2.2, 3.2 */
{
	struct rig *r = rig_listening();
	IN(r, .seq = 0, .flags = S, .mss = 1460, .ws = 3, .rport = 1);
	uint32_t seq = seq_diff(r->out[r->next_out].seg.seq, seq_of(r->iss));
	OUT(r, .seq = seq, .ack = 1, .flags = S | A, .ws = 8, .no_ts = true, .rport = 1);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .ts = true, .rport = 2);
	seq = seq_diff(r->out[r->next_out].seg.seq, seq_of(r->iss));
	OUT(r, .seq = seq, .ack = 1, .flags = S | A, .ws = ZERO, .ts = true, .rport = 2);
	rig_drain(r);
	rig_free(r);
	r = rig_established(); /* peer offered neither */
	ck_assert(!r->c->ts_ok);
	ck_assert_uint_eq(r->c->rcv_wscale, 0);
	rig_send(r, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1, .no_ts = true);
	rig_free(r);
}
END_TEST

START_TEST(scale_leaves_room_to_grow_to_six_megabytes)
{
	ck_assert_uint_eq(tcp_choose_wscale(0), 7);
	ck_assert_uint_eq(tcp_choose_wscale(6 << 20), 7);
	ck_assert_uint_eq(tcp_choose_wscale(16 << 20), 9);
	ck_assert_uint_eq(tcp_choose_wscale(UINT32_MAX), 14);
}
END_TEST

START_TEST(echo_is_of_the_segment_that_moves_the_window) /* RFC 7323 4.3 */
{
	struct rig *r = rig_established(.ts = true, .delack = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .tsval = 900100000);
	QUIET(r);
	IN(r, .seq = 11, .ack = 1, .flags = A, .len = 10, .tsval = 900100005);
	rig_after_ms(r, 40); /* delayed ACK: the echo is the earlier one's */
	OUT(r, .seq = 1, .ack = 21, .flags = A, .tsecr = 900100000);
	IN(r, .seq = 41, .ack = 1, .flags = A, .len = 10, .tsval = 900100050); /* a hole */
	OUT(r, .seq = 1, .ack = 21, .flags = A, .tsecr = 900100000);
	IN(r, .seq = 21, .ack = 1, .flags = A, .len = 20, .tsval = 900100060);
	OUT(r, .seq = 1, .ack = 51, .flags = A, .tsecr = 900100060);
	rig_free(r);
}
END_TEST

START_TEST(old_timestamp_is_dropped_and_answered) /* RFC 7323 5.3 R1 */
{
	struct rig *r = rig_established(.ts = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .tsval = 900100000);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	IN(r, .seq = 11, .ack = 1, .flags = A, .len = 10, .tsval = 900099998);
	OUT(r, .seq = 1, .ack = 11, .flags = A, .tsecr = 900100000);
	COUNT(r, tcp_drop_paws, 1);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 10);
	IN(r, .seq = 11, .ack = 1, .flags = A, .len = 10, .tsval = 900099999); /* one tick: as Linux */
	OUT(r, .seq = 1, .ack = 21, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(timestamps_wrap) /* RFC 7323 5.2 */
{
	struct rig *r = rig_established(.ts = true);
	r->c->ts_recent = UINT32_MAX - 1;
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .tsval = 5);
	OUT(r, .seq = 1, .ack = 11, .flags = A, .tsecr = 5);
	rig_free(r);
}
END_TEST

START_TEST(timestamp_of_a_month_ago_proves_nothing) /* RFC 7323 5.5 */
{
	struct rig *r = rig_established(.ts = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .tsval = 900100000);
	rig_drain(r);
	rig_after_ms(r, 25ull * 24 * 3600 * 1000);
	IN(r, .seq = 11, .ack = 1, .flags = A, .len = 10, .tsval = 900000000);
	OUT(r, .seq = 1, .ack = 21, .flags = A, .tsecr = 900000000);
	rig_free(r);
}
END_TEST

START_TEST(reset_is_not_subject_to_paws) /* RFC 7323 5.2 */
{
	struct rig *r = rig_established(.ts = true);
	IN(r, .seq = 1, .flags = R, .tsval = 1);
	STATE(r, CLOSED);
	rig_free(r);
}
END_TEST

START_TEST(segment_without_the_option_is_tolerated) /* as Linux */
{
	struct rig *r = rig_established(.ts = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .no_ts = true);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(path_mtu_shrinks_the_segments_in_flight) /* RFC 1191 6.5, RFC 5927 7.2 */
{
	struct rig *r = rig_established(.mss = 1460);
	rig_send(r, 2920);
	rig_drain(r);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EMSGSIZE, true,
		       rig_hdrs(r) + 1240, r->now_ns);
	rig_after_us(r, 0);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1240);
	OUT(r, .seq = 1241, .ack = 1, .flags = A, .len = 1240);
	OUT(r, .seq = 2481, .ack = 1, .flags = A | P, .len = 440);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EMSGSIZE, true, 68, r->now_ns);
	/* no lower than an attacker's lie may take it; by IPv6 it is none at all (RFC 8201 4) */
	ck_assert_uint_eq(r->c->mss, rig_is_v6(r) ? 1240 : 512);
	rig_after_us(r, 0);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(path_mtu_means_nothing_without_df) /* RFC 1191 3; IP_PMTUDISC_DONT */
{
	struct rig *r = rig_established(.mss = 1460, .o.may_cut = true);
	rig_send(r, 2920);
	rig_drain(r);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EMSGSIZE, true, 1040, r->now_ns);
	rig_after_us(r, 0);
	QUIET(r);
	ck_assert_uint_eq(r->c->mss, 1460);
	rig_free(r);
}
END_TEST

START_TEST(path_mtu_that_says_nothing_new_is_ignored)
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 1000);
	rig_drain(r);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EMSGSIZE, true, 9000, r->now_ns);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 5000), EMSGSIZE, true, 600, r->now_ns);
	struct tcp_flow other = r->flow;
	other.remote.port++;
	tcp_icmp_error(&r->env, &other, seq_of(r->iss + 1), EMSGSIZE, true, 600, r->now_ns);
	ck_assert_uint_eq(r->c->mss, 1000);
	rig_free(r);
	r = rig_established(.mss = 1000); /* nothing in flight: only the size changes */
	rig_send(r, 1);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(isn_differs_by_tuple_and_grows_with_time) /* RFC 6528 3 */
{
	struct rig *r = rig_new();
	struct tcp_flow f = r->flow;
	uint32_t a = tcp_isn(&r->env, &f, r->now_ns).v;
	uint32_t later = tcp_isn(&r->env, &f, r->now_ns + 64000).v;
	ck_assert_uint_eq(later - a, 1000);
	f.remote.port++;
	uint32_t b = tcp_isn(&r->env, &f, r->now_ns).v;
	r->env.key.k[0]++;
	ck_assert_uint_ne(a, b);
	ck_assert_uint_ne(b, tcp_isn(&r->env, &f, r->now_ns).v);
	rig_free(r);
}
END_TEST

START_TEST(what_is_all_old_is_echoed_and_does_not_count) /* RFC 7323 5.3 R2, RFC 2883 4 */
{
	struct rig *r = rig_established(.ts = true, .sack = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .tsval = 900100000);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	IN(r, .seq = 11, .ack = 1, .flags = A, .len = 10, .tsval = 900100001);
	OUT(r, .seq = 1, .ack = 21, .flags = A);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .tsval = 900100050); /* sent again for nothing */
	OUT(r, .seq = 1, .ack = 21, .flags = A, .tsecr = 900100050, .sack = { { 1, 11 } });
	IN(r, .seq = 21, .ack = 1, .flags = A, .len = 10, .tsval = 900100040); /* had been overtaken by it */
	OUT(r, .seq = 1, .ack = 31, .flags = A, .tsecr = 900100040);
	COUNT(r, tcp_drop_paws, 0);
	IN(r, .seq = 11, .ack = 1, .flags = A, .len = 10, .tsval = 900100001); /* too old, and known */
	OUT(r, .seq = 1, .ack = 31, .flags = A, .tsecr = 900100040, .sack = { { 11, 21 } });
	COUNT(r, tcp_drop_paws, 1);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_options", { what_is_all_old_is_echoed_and_does_not_count },
	 { missing_mss_option_means_the_least_of_the_family },
	 { mss_is_the_smallest_of_peer_path_and_user }, { timestamps_are_taken_off_the_mss },
	 { absurd_mss_is_raised }, { options_are_answered_only_when_offered },
	 { scale_leaves_room_to_grow_to_six_megabytes },
	 { echo_is_of_the_segment_that_moves_the_window }, { old_timestamp_is_dropped_and_answered },
	 { timestamps_wrap }, { timestamp_of_a_month_ago_proves_nothing },
	 { reset_is_not_subject_to_paws }, { segment_without_the_option_is_tolerated },
	 { path_mtu_shrinks_the_segments_in_flight }, { path_mtu_means_nothing_without_df },
	 { path_mtu_that_says_nothing_new_is_ignored },
	 { isn_differs_by_tuple_and_grows_with_time })
