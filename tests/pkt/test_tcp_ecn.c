/* Explicit congestion notification (RFC 3168) and DCTCP (RFC 8257). */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

enum { ECT = TCP_ECN_ECT0, CE = TCP_ECN_CE };

/* Accepted from a peer that asked for ECN. */
static struct rig *granted(int variant, int cc)
{
	struct rig *r = rig_make(&(struct rig_opts){ .variant = variant, .sack = true, .delack = true,
						     .o.cc = (uint8_t)cc, .o.nodelay = true },
				 TCPS_LISTEN);
	IN(r, .seq = 0, .flags = S | E | W, .mss = 1000);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A | E, .sack_ok = true);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	ck_assert(r->c->ecn_ok);
	rig_events(r);
	r->c->quick = 0;
	r->c->last_rx_data_ns = r->now_ns;
	return r;
}

START_TEST(a_peer_that_asks_is_granted_it) /* RFC 3168 6.1.1 */
{
	struct rig *r = granted(_i, RIG_CUBIC);
	rig_send(r, 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 100, .ecn = ECT);
	rig_free(r);
}
END_TEST

START_TEST(who_does_not_ask_gets_none) /* RFC 3168 6.1.1: both flags make the request */
{
	static const uint8_t flags[] = { S, S | E, S | W };
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		struct rig *r = rig_listening(.sack = true);
		IN(r, .seq = 0, .flags = flags[i], .mss = 1000);
		OUT(r, .seq = 0, .ack = 1, .flags = S | A, .sack_ok = true);
		IN(r, .seq = 1, .ack = 1, .flags = A);
		rig_send(r, 100);
		OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 100);
		rig_free(r);
	}
}
END_TEST

/* The host wants ECN: our SYN has just left. */
static struct rig *asking(int variant)
{
	struct rig *r = rig_start(&(struct rig_opts){ .variant = variant, .sack = true });
	r->env.ecn = TCP_ECN_ON;
	r->c = &rig_new_sock(r)->c;
	r->c->opts.rcvbuf = r->opt.rcvbuf;
	ck_assert_int_eq(tcp_connect(&r->env, r->c, &r->flow, r->now_ns), 0);
	rig_after_us(r, 0);
	OUT(r, .seq = 0, .flags = S | E | W, .sack_ok = true);
	return r;
}

START_TEST(our_syn_asks_if_the_host_wants_it) /* RFC 3168 6.1.1 */
{
	struct rig *r = asking(_i);
	IN(r, .seq = 0, .ack = 1, .flags = S | A | E, .mss = 1000);
	ck_assert(r->c->ecn_ok);
	rig_drain(r);
	rig_free(r);
	r = asking(_i); /* a reflection of our flags is no yes */
	IN(r, .seq = 0, .ack = 1, .flags = S | A | E | W, .mss = 1000);
	ck_assert(!r->c->ecn_ok);
	rig_drain(r);
	rig_free(r);
	r = asking(_i);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1000);
	ck_assert(!r->c->ecn_ok);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(the_second_syn_does_not_ask) /* RFC 3168 6.1.1.1 */
{
	struct rig *r = asking(_i);
	rig_after_ms(r, 1000);
	OUT(r, .seq = 0, .flags = S, .sack_ok = true);
	IN(r, .seq = 0, .ack = 1, .flags = S | A | E, .mss = 1000);
	ck_assert(!r->c->ecn_ok);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(a_mark_is_echoed_until_the_window_was_reduced) /* RFC 3168 6.1.3 */
{
	struct rig *r = granted(_i, RIG_CUBIC);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1000, .ecn = CE);
	OUT(r, .seq = 1, .ack = 1001, .flags = A | E);
	IN(r, .seq = 1001, .ack = 1, .flags = A, .len = 1000, .ecn = ECT);
	OUT(r, .seq = 1, .ack = 2001, .flags = A | E);
	IN(r, .seq = 2001, .ack = 1, .flags = A | W, .len = 1000, .ecn = ECT);
	OUT(r, .seq = 1, .ack = 3001, .flags = A);
	COUNT(r, tcp_ecn_ce, 1);
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(an_echo_reduces_once_a_round_trip) /* RFC 3168 6.1.2 */
{
	struct rig *r = granted(_i, RIG_RENO);
	rig_send(r, 30000);
	ck_assert_uint_eq(rig_drain(r), 10);
	IN(r, .seq = 1, .ack = 1001, .flags = A | E);
	ck_assert_int_eq(r->c->recovery, TCPR_CWR);
	ck_assert_uint_eq(r->c->ssthresh, 5000);
	IN(r, .seq = 1, .ack = 3001, .flags = A | E);
	ck_assert_uint_eq(r->c->ssthresh, 5000);
	OUT(r, .seq = 10001, .ack = 1, .flags = A | W, .len = 1000, .ecn = ECT);
	IN(r, .seq = 1, .ack = 9001, .flags = A | E);
	OUT(r, .seq = 11001, .ack = 1, .flags = A, .len = 1000, .ecn = ECT);
	rig_drain(r);
	COUNT(r, tcp_ecn_reduced, 1);
	IN(r, .seq = 1, .ack = 11001, .flags = A);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	ck_assert_uint_eq(r->c->cwnd, 5000);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(what_is_sent_again_is_not_ect) /* RFC 3168 6.1.5; 6.1.4: nor are pure ACKs */
{
	struct rig *r = granted(_i, RIG_CUBIC);
	rig_send(r, 5000);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 4001 } });
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	rig_free(r);
}
END_TEST

START_TEST(dctcp_asks_and_echoes_exactly) /* RFC 8257 3.1, 3.2 */
{
	struct rig *r = granted(_i, RIG_DCTCP);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 400, .ecn = ECT);
	QUIET(r); /* delayed */
	IN(r, .seq = 401, .ack = 1, .flags = A, .len = 400, .ecn = CE);
	OUT(r, .seq = 1, .ack = 401, .flags = A); /* what came before the change */
	OUT(r, .seq = 1, .ack = 801, .flags = A | E);
	IN(r, .seq = 801, .ack = 1, .flags = A, .len = 400, .ecn = ECT);
	OUT(r, .seq = 1, .ack = 1201, .flags = A);
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(dctcp_shrinks_by_the_share_of_marks) /* RFC 8257 3.3 */
{
	struct rig *r = granted(_i, RIG_DCTCP);
	uint32_t una = 1;
	for (int i = 0; i < 100; i++) { /* alpha falls from 1 to nearly nothing */
		rig_send(r, 10000);
		rig_drain(r);
		rig_after_ms(r, 1);
		una = seq_diff(r->c->snd_nxt, r->c->iss);
		IN(r, .seq = 1, .ack = una, .flags = A);
	}
	ck_assert_uint_lt(r->c->cc_state.dctcp.alpha, 1 << 13);
	rig_drain(r);
	uint32_t cwnd = r->c->cwnd;
	rig_send(r, 2 * cwnd);
	rig_drain(r);
	IN(r, .seq = 1, .ack = una + 1000, .flags = A | E);
	ck_assert_uint_ge(r->c->ssthresh, cwnd - cwnd / 25); /* a single mark costs little */
	rig_drain(r);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_ecn", { a_peer_that_asks_is_granted_it }, { who_does_not_ask_gets_none },
	 { our_syn_asks_if_the_host_wants_it }, { the_second_syn_does_not_ask },
	 { a_mark_is_echoed_until_the_window_was_reduced }, { an_echo_reduces_once_a_round_trip },
	 { what_is_sent_again_is_not_ect }, { dctcp_asks_and_echoes_exactly },
	 { dctcp_shrinks_by_the_share_of_marks })
