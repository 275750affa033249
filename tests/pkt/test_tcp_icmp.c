/* What ICMP and ICMPv6 say, in each state (RFC 9293 3.9.2.2, RFC 5461, RFC 5927; over IPv6 RFC 4443 3): an
 * attempt ends by what is fatal, a connection never. Half-open requests: test_tcp_listen.c and
 * scripts/icmp. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

/* The errors as Linux maps types and codes; over IPv6: prohibited, no route, address, port, parameter. */
static const int errors[] = { EACCES, ENETUNREACH, EHOSTUNREACH, ECONNREFUSED, EPROTO };

static void told(struct rig *r, uint32_t seq, int err, bool hard, uint32_t mtu)
{
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + seq), err, hard, mtu, r->now_ns);
	rig_after_us(r, 0);
}

START_TEST(an_attempt_ends_by_any_error_about_it)
{
	static const enum tcp_state states[] = { TCPS_SYN_SENT, TCPS_SYN_RCVD };

	for (size_t i = 0; i < ARRAY_LEN(errors) * ARRAY_LEN(states); i++) {
		int err = errors[i / ARRAY_LEN(states)];
		struct rig *r = rig_make(RIG_OPTS(), states[i % ARRAY_LEN(states)]);

		told(r, 1, err, true, 0); /* of nothing that was sent */
		COUNT(r, tcp_icmp_refused, 1);
		ck_assert_int_eq(r->c->state, states[i % ARRAY_LEN(states)]);
		told(r, 0, err, true, 0);
		STATE(r, CLOSED);
		ck_assert_int_eq(r->c->error, err);
		ck_assert(rig_events(r) & TCPE_ERROR);
		rig_after_ms(r, 5000); /* nothing is sent again */
		rig_free(r);
	}
}
END_TEST

START_TEST(too_big_changes_sizes_and_no_state)
{
	struct rig *r = rig_syn_sent();

	told(r, 0, EMSGSIZE, false, rig_hdrs(r) + 1300);
	STATE(r, SYN_SENT);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_eq(r->c->mss, 1300);
	rig_free(r);
}
END_TEST

/* A connection in this state with something of ours in flight at number 1. */
static struct rig *in_flight(const struct rig_opts *o, enum tcp_state state)
{
	struct rig *r = rig_make(o, state);

	rig_events(r);
	if (state == TCPS_ESTABLISHED || state == TCPS_CLOSE_WAIT) {
		rig_send(r, 100);
		rig_drain(r);
	}
	ck_assert(!seq_eq(r->c->snd_una, r->c->snd_nxt));
	return r;
}

START_TEST(a_connection_goes_on_whatever_is_said) /* RFC 5461 4, RFC 1122 4.2.3.9 */
{
	static const enum tcp_state states[] = { TCPS_ESTABLISHED, TCPS_CLOSE_WAIT, TCPS_FIN_WAIT_1,
						 TCPS_CLOSING, TCPS_LAST_ACK };

	for (size_t i = 0; i < ARRAY_LEN(errors) * ARRAY_LEN(states); i++) {
		enum tcp_state state = states[i % ARRAY_LEN(states)];
		int err = errors[i / ARRAY_LEN(states)];
		struct rig *r = in_flight(RIG_OPTS(), state);

		told(r, 1, err, true, 0);
		QUIET(r);
		ck_assert_int_eq(r->c->state, state);
		ck_assert_int_eq(r->c->error, 0);
		ck_assert_int_eq(r->c->soft_error, err);
		EVENTS(r, TCPE_SOFT_ERROR);
		rig_after_rto(r);
		ck_assert_uint_eq(rig_drain(r), 1); /* it tries on */
		rig_free(r);
	}
}
END_TEST

START_TEST(what_is_all_acknowledged_can_have_met_nothing) /* RFC 5927 4.1 */
{
	struct rig *r = rig_fin_wait_2();

	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		told(r, 1, errors[i], true, 0);
	told(r, 1, EMSGSIZE, false, 1280);
	COUNT(r, tcp_icmp_refused, ARRAY_LEN(errors) + 1);
	STATE(r, FIN_WAIT_2);
	ck_assert_int_eq(r->c->soft_error, 0);
	rig_free(r);
}
END_TEST

START_TEST(time_wait_and_listeners_hear_nothing)
{
	struct rig *r = rig_time_wait();

	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		told(r, 1, errors[i], true, 0);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_free(r);
	r = rig_listening();
	told(r, 0, ECONNREFUSED, true, 0);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	ck_assert_uint_eq(rig_drain(r), 1);
	rig_free(r);
}
END_TEST

START_TEST(a_soft_error_is_why_it_timed_out) /* RFC 5461 4.1; as Linux, sk_err_soft */
{
	struct rig *r = in_flight(RIG_OPTS(.o.user_timeout_ms = 1000), TCPS_ESTABLISHED);

	told(r, 1, EHOSTUNREACH, false, 0);
	rig_after_ms(r, 5000);
	rig_drain(r);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, EHOSTUNREACH);
	rig_free(r);
}
END_TEST

START_TEST(an_orphan_is_not_ended_by_a_word)
{
	struct rig *r = in_flight(RIG_OPTS(), TCPS_ESTABLISHED);

	rig_close(r);
	rig_drain(r);
	told(r, 1, ECONNREFUSED, true, 0);
	ck_assert(!rig_sock_of(r->c)->released);
	STATE(r, FIN_WAIT_1);
	rig_free(r);
}
END_TEST

START_TEST(a_timeout_tries_another_way) /* RFC 6438: the flow label counts among equal paths; as Linux */
{
	struct rig *r = in_flight(RIG_OPTS(), TCPS_ESTABLISHED);
	uint8_t turn = r->c->opts.label_turn;

	rig_after_rto(r);
	rig_drain(r);
	ck_assert_uint_eq(r->c->opts.label_turn, turn + 1);
	rig_after_rto(r);
	rig_drain(r);
	ck_assert_uint_eq(r->c->opts.label_turn, turn + 2);
	rig_free(r);
	r = rig_syn_sent();
	turn = r->c->opts.label_turn;
	rig_after_ms(r, 1000);
	OUT(r, .seq = 0, .flags = S);
	ck_assert_uint_eq(r->c->opts.label_turn, turn + 1);
	rig_free(r);
	r = in_flight(RIG_OPTS(.o.no_rehash = true), TCPS_ESTABLISHED); /* SO_TXREHASH */
	rig_after_rto(r);
	rig_drain(r);
	ck_assert_uint_eq(r->c->opts.label_turn, 0);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_icmp", { an_attempt_ends_by_any_error_about_it }, { too_big_changes_sizes_and_no_state },
	 { a_connection_goes_on_whatever_is_said }, { what_is_all_acknowledged_can_have_met_nothing },
	 { time_wait_and_listeners_hear_nothing }, { a_soft_error_is_why_it_timed_out },
	 { an_orphan_is_not_ended_by_a_word }, { a_timeout_tries_another_way })
