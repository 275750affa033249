/* How large segments may be: the search of RFC 4821 with Linux tcp_mtu_probing 1 and 2, and what a router
 * has told (RFC 1191). What ICMP may do otherwise is in test_tcp_options.c. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

enum { BASE = 1024 };

/* All of [1, end) out in segments of mss but for a probe at `at`. */
static void out_all(struct rig *r, uint32_t from, uint32_t n, uint32_t mss)
{
	for (uint32_t i = 0; i < n; i++)
		OUT(r, .seq = from + i * mss, .ack = 1, .flags = A, .len = mss);
}

START_TEST(nothing_gets_through_three_seconds_long_then_smaller_segments) /* RFC 4821 7.7; tcp_retries1 */
{
	struct rig *r = rig_established(.mtu_probing = TCP_MTU_BLACK_HOLE);
	rig_send(r, 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 1460);
	for (int i = 0; i < 3; i++) {
		rig_after_rto(r);
		OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 1460);
	}
	rig_after_rto(r);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = BASE);
	COUNT(r, tcp_mtu_black_hole, 1);
	rig_after_rto(r);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = BASE / 2);
	rig_after_rto(r);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = BASE / 4);
	IN(r, .seq = 1, .ack = 1 + BASE / 4, .flags = A);
	ck_assert_uint_eq(r->c->mss, BASE / 4);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(black_hole_is_not_looked_for_unless_asked)
{
	struct rig *r = rig_established();
	rig_send(r, 1460);
	rig_after_ms(r, 20000);
	COUNT(r, tcp_mtu_black_hole, 0);
	ck_assert_uint_eq(r->c->mss, 1460);
	rig_drain(r);
	rig_free(r);
}
END_TEST

/* cwnd is that of eleven segments: a probe may leave. */
static struct rig *probing(int variant, bool sack)
{
	struct rig *r = rig_make(&(struct rig_opts){ .variant = variant, .sack = sack, .rtt_ms = 10,
						     .mtu_probing = TCP_MTU_ALWAYS },
				 TCPS_ESTABLISHED);
	ck_assert_uint_eq(r->c->mss, BASE);
	rig_send(r, 60 * BASE);
	out_all(r, 1, 10, BASE);
	QUIET(r);
	rig_after_ms(r, 10);
	IN(r, .seq = 1, .ack = 1 + 4 * BASE, .flags = A);
	COUNT(r, tcp_mtu_probe, 1);
	OUT(r, .seq = 1 + 10 * BASE, .ack = 1, .flags = A, .len = 1242); /* (1024 + 1460) / 2 */
	return r;
}

START_TEST(probe_that_arrives_makes_segments_longer) /* RFC 4821 7.6.1 */
{
	struct rig *r = probing(_i, true);
	uint32_t next = 1 + 10 * BASE + 1242;
	rig_drain(r);
	uint32_t cwnd = r->c->cwnd;
	IN(r, .seq = 1, .ack = next, .flags = A);
	COUNT(r, tcp_mtu_probe_ok, 1);
	ck_assert_uint_eq(r->c->mss, 1242);
	ck_assert_uint_ge(r->c->cwnd, cwnd);
	rig_drain(r);
	ck_assert_uint_eq(r->c->mtu_probing, 1351); /* the next one is on its way */
	rig_free(r);
}
END_TEST

START_TEST(lost_probe_is_sent_again_in_pieces_and_is_no_congestion) /* RFC 4821 7.6.2, 7.4 */
{
	struct rig *r = probing(_i, true);
	uint32_t start = 1 + 10 * BASE, end = start + 1242;
	uint32_t more = rig_drain(r);
	ck_assert_uint_ge(more, 4);
	IN(r, .seq = 1, .ack = start, .flags = A);
	rig_drain(r);
	uint32_t cwnd = r->c->cwnd, ssthresh = r->c->ssthresh;
	rig_after_ms(r, 10);
	IN(r, .seq = 1, .ack = start, .flags = A, .sack = { { end, end + 4 * BASE } });
	COUNT(r, tcp_mtu_probe_lost, 1);
	OUT(r, .seq = start, .ack = 1, .flags = A, .len = BASE);
	OUT(r, .seq = start + BASE, .ack = 1, .flags = A, .len = 1242 - BASE);
	ck_assert_uint_ge(r->c->cwnd, cwnd);
	ck_assert_uint_eq(r->c->ssthresh, ssthresh);
	ck_assert_uint_eq(r->c->mss, BASE);
	ck_assert_uint_eq(r->c->mtu.high, 1241);
	rig_drain(r);
	IN(r, .seq = 1, .ack = end + 4 * BASE, .flags = A);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(lost_probe_without_sack) /* RFC 4821 7.6.2 by RFC 6582's third duplicate */
{
	struct rig *r = probing(_i, false);
	uint32_t start = 1 + 10 * BASE;
	rig_drain(r);
	IN(r, .seq = 1, .ack = start, .flags = A);
	rig_drain(r);
	uint32_t ssthresh = r->c->ssthresh;
	for (int i = 0; i < 3; i++)
		IN_MORE(r, .seq = 1, .ack = start, .flags = A);
	IN(r, .seq = 1, .ack = start, .flags = A);
	COUNT(r, tcp_mtu_probe_lost, 1);
	ck_assert_uint_eq(r->c->ssthresh, ssthresh);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(router_that_answers_the_probe_ends_it) /* RFC 4821 7.6.3 */
{
	struct rig *r = probing(_i, true);
	uint32_t start = 1 + 10 * BASE;
	rig_drain(r);
	uint32_t ssthresh = r->c->ssthresh;
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + start), EMSGSIZE, false,
		       rig_hdrs(r) + 1230, r->now_ns);
	tcp_flush(&r->env, r->now_ns);
	ck_assert_uint_eq(r->c->mtu.high, 1230);
	ck_assert_uint_eq(r->c->mss, BASE);
	ck_assert_uint_eq(r->c->ssthresh, ssthresh);
	/* only the probe goes again */
	ck_assert_uint_eq(tcp_lost(r->c) + r->c->board.bytes[TCP_RUN_AGAIN], 1242);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(path_that_fell_is_tried_again_after_ten_minutes) /* RFC 1191 6.3 */
{
	struct rig *r = rig_established();
	rig_send(r, 100);
	rig_drain(r);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EMSGSIZE, false,
		       rig_hdrs(r) + 1300, r->now_ns);
	COUNT(r, tcp_pmtu_fell, 1);
	rig_after_ms(r, 0);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 101, .flags = A);
	ck_assert_uint_eq(r->c->mss, 1300);
	rig_after_ms(r, 599000);
	rig_send(r, 1400);
	OUT(r, .seq = 101, .ack = 1, .flags = A, .len = 1300);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1501, .flags = A);
	rig_after_ms(r, 1000);
	rig_send(r, 1460);
	OUT(r, .seq = 1501, .ack = 1, .flags = A | P, .len = 1460);
	ck_assert_uint_eq(r->c->mss, 1460);
	rig_free(r);
}
END_TEST

START_TEST(path_that_grows_leaves_a_window_of_a_segment)
{
	struct rig *r = rig_established(.mss = 8960, .path_mss = 8960);
	rig_send(r, 1000);
	rig_drain(r);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EMSGSIZE, false,
		       rig_hdrs(r) + 1300, r->now_ns);
	rig_after_ms(r, 1000); /* a timeout */
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1001, .flags = A);
	ck_assert_uint_eq(r->c->mss, 1300);
	ck_assert_uint_lt(r->c->cwnd, 8960);
	rig_after_ms(r, 600000);
	rig_send(r, 2 * 8960);
	OUT(r, .seq = 1001, .ack = 1, .flags = A, .len = 8960);
	ck_assert_uint_eq(r->c->mss, 8960);
	ck_assert_uint_ge(r->c->cwnd, 8960);
	rig_free(r);
}
END_TEST

START_TEST(less_than_the_smallest_mtu_lets_routers_cut) /* Linux's min_pmtu; RFC 1191 3 */
{
	struct rig *r = rig_established();
	rig_send(r, 1460);
	rig_drain(r);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EMSGSIZE, false, 296, r->now_ns);
	if (rig_is_v6(r)) { /* RFC 8201 4, RFC 8200 5: they never do, it is no link of IPv6 */
		COUNT(r, tcp_pmtu_fell, 0);
		ck_assert_uint_eq(r->c->mss, 1460);
		rig_free(r);
		return;
	}
	ck_assert_uint_eq(r->c->mss, 512);
	ck_assert(r->c->opts.may_cut);
	r->c->opts.may_cut = false;
	rig_set_opts(r);
	ck_assert(r->c->opts.may_cut);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(what_icmp_quotes_must_be_in_flight) /* RFC 5927 4.1 */
{
	struct rig *r = rig_established();
	rig_send(r, 1460);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1461, .flags = A);
	rig_send(r, 1000);
	rig_drain(r);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EMSGSIZE, false, 600, r->now_ns);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 2461), EHOSTUNREACH, true, 0, r->now_ns);
	COUNT(r, tcp_icmp_refused, 2);
	ck_assert_uint_eq(r->c->mss, 1460);
	ck_assert_int_eq(r->c->soft_error, 0);
	rig_free(r);
}
END_TEST

START_TEST(segments_announced_stay_those_of_the_interface) /* RFC 6691: the MSS option is about us */
{
	struct rig *r = rig_syn_sent();
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss), EMSGSIZE, false,
		       rig_hdrs(r) + 1300, r->now_ns);
	rig_after_ms(r, 1000);
	OUT(r, .seq = 0, .flags = S, .mss = 1460);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_eq(r->c->mss, 1300);
	rig_free(r);
}
END_TEST

START_TEST(whether_sizes_are_heard_is_an_option_of_the_family) /* IPV6_MTU_DISCOVER, as Linux */
{
	static const struct { bool may_cut, deaf6; uint32_t four, six; } row[] = {
		{ false, false, 1300, 1300 }, { true, false, 1460, 1300 }, { false, true, 1300, 1460 } };
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct rig *r = rig_established(.o.may_cut = row[i].may_cut, .o.deaf6 = row[i].deaf6);
		rig_send(r, 1460);
		rig_drain(r);
		tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EMSGSIZE, false,
			       rig_hdrs(r) + 1300, r->now_ns);
		rig_after_us(r, 0);
		ck_assert_uint_eq(r->c->mss, rig_is_v6(r) ? row[i].six : row[i].four);
		rig_drain(r);
		rig_free(r);
	}
}
END_TEST

/* The link takes packets of another size from now on. */
static void link_takes(struct rig *r, uint16_t mss)
{
	r->opt.path_mss = mss;
	tcp_path_changed(&r->env, r->c, r->now_ns);
	rig_after_us(r, 0);
}

START_TEST(link_that_shrinks_makes_shorter_segments_and_back) /* RFC 4861 6.3.4, RFC 8201 4 */
{
	struct rig *r = rig_established();
	rig_send(r, 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 1460);
	link_takes(r, 1220);
	QUIET(r); /* what is under way has left the link */
	COUNT(r, tcp_path_changed, 1);
	rig_send(r, 2000);
	OUT(r, .seq = 1461, .ack = 1, .flags = A, .len = 1220);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 3461, .flags = A);
	rig_drain(r);
	link_takes(r, 1460);
	rig_send(r, 1460);
	OUT(r, .seq = 3461, .ack = 1, .flags = A | P, .len = 1460);
	link_takes(r, 9000); /* the peer takes no more than it said */
	ck_assert_uint_eq(r->c->mss, 1460);
	rig_free(r);
}
END_TEST

START_TEST(what_is_sent_again_fits_the_link_as_it_is_now)
{
	struct rig *r = rig_established();
	rig_send(r, 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 1460);
	link_takes(r, 1220);
	rig_after_rto(r);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1220);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1461, .flags = A);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(link_that_grows_does_not_gainsay_a_router_behind_it) /* RFC 8201 4, 5.3 */
{
	struct rig *r = rig_established();
	rig_send(r, 100);
	rig_drain(r);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EMSGSIZE, false,
		       rig_hdrs(r) + 1300, r->now_ns);
	rig_after_ms(r, 0);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 101, .flags = A);
	link_takes(r, 1260);
	ck_assert_uint_eq(r->c->mss, 1260);
	link_takes(r, 1460);
	ck_assert_uint_le(r->c->mss, 1300);
	rig_after_ms(r, 600000);
	rig_send(r, 1460);
	OUT(r, .seq = 101, .ack = 1, .flags = A | P, .len = 1460);
	rig_free(r);
}
END_TEST

START_TEST(link_that_shrinks_during_the_handshake)
{
	struct rig *r = rig_syn_sent();
	link_takes(r, 1220);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_eq(r->c->mss, 1220);
	rig_free(r);
}
END_TEST

START_TEST(a_way_that_is_gone_leaves_sizes_as_they_are)
{
	struct rig *r = rig_established();
	link_takes(r, UINT16_MAX); /* the rig's word for no route */
	ck_assert_uint_eq(r->c->mss, 1460);
	COUNT(r, tcp_path_changed, 0);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_mtu", { nothing_gets_through_three_seconds_long_then_smaller_segments },
	 { black_hole_is_not_looked_for_unless_asked }, { probe_that_arrives_makes_segments_longer },
	 { lost_probe_is_sent_again_in_pieces_and_is_no_congestion }, { lost_probe_without_sack },
	 { router_that_answers_the_probe_ends_it }, { path_that_fell_is_tried_again_after_ten_minutes },
	 { path_that_grows_leaves_a_window_of_a_segment },
	 { less_than_the_smallest_mtu_lets_routers_cut }, { what_icmp_quotes_must_be_in_flight },
	 { segments_announced_stay_those_of_the_interface },
	 { whether_sizes_are_heard_is_an_option_of_the_family },
	 { link_that_shrinks_makes_shorter_segments_and_back },
	 { what_is_sent_again_fits_the_link_as_it_is_now },
	 { link_that_grows_does_not_gainsay_a_router_behind_it },
	 { link_that_shrinks_during_the_handshake }, { a_way_that_is_gone_leaves_sizes_as_they_are })
