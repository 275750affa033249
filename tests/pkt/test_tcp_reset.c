/* RST received and sent in every state. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(exact_reset_ends_every_state) /* RFC 9293 3.10.7.4 second, RFC 5961 3.2 */
{
	static const struct {
		enum tcp_state state;
		uint32_t seq;
		int error;
	} all[] = {
		{ TCPS_SYN_RCVD, 1, ECONNRESET }, { TCPS_ESTABLISHED, 1, ECONNRESET },
		{ TCPS_FIN_WAIT_1, 1, ECONNRESET }, { TCPS_FIN_WAIT_2, 1, ECONNRESET },
		{ TCPS_CLOSE_WAIT, 2, EPIPE },	    { TCPS_CLOSING, 2, ECONNRESET },
		{ TCPS_LAST_ACK, 2, ECONNRESET },
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct rig *r = rig_make(RIG_OPTS(), all[i].state);
		rig_events(r);
		IN(r, .seq = all[i].seq, .flags = R);
		STATE(r, CLOSED);
		ck_assert_int_eq(r->c->error, all[i].error);
		EVENTS(r, TCPE_ERROR | TCPE_CLOSED);
		COUNT(r, tcp_rx_rst, 1);
		rig_free(r);
	}
}
END_TEST

START_TEST(reset_in_the_window_is_challenged_everywhere) /* RFC 5961 3.2 */
{
	static const enum tcp_state all[] = { TCPS_SYN_RCVD, TCPS_ESTABLISHED, TCPS_FIN_WAIT_1,
		TCPS_FIN_WAIT_2, TCPS_CLOSE_WAIT, TCPS_CLOSING, TCPS_LAST_ACK };
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct rig *r = rig_make(RIG_OPTS(), all[i]);
		uint32_t nxt = tcp_rx_tail(r->c) + 1 + r->c->fin_rcvd;
		IN(r, .seq = nxt + 5, .flags = R);
		OUT(r, .seq = seq_diff(r->c->snd_nxt, r->c->iss), .ack = nxt, .flags = A);
		IN(r, .seq = nxt - 1, .flags = R); /* outside: silence */
		IN(r, .seq = nxt + 70000, .flags = R);
		QUIET(r);
		ck_assert_int_eq(r->c->state, all[i]);
		rig_free(r);
	}
}
END_TEST

START_TEST(syn_is_challenged_everywhere) /* RFC 5961 4.2 */
{
	static const enum tcp_state all[] = { TCPS_ESTABLISHED, TCPS_FIN_WAIT_1, TCPS_FIN_WAIT_2,
		TCPS_CLOSE_WAIT, TCPS_CLOSING, TCPS_LAST_ACK };
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct rig *r = rig_make(RIG_OPTS(), all[i]);
		uint32_t nxt = tcp_rx_tail(r->c) + 1 + r->c->fin_rcvd;
		uint32_t snd = seq_diff(r->c->snd_nxt, r->c->iss);
		IN(r, .seq = nxt + 5, .flags = S);
		OUT(r, .seq = snd, .ack = nxt, .flags = A);
		IN(r, .seq = nxt + 500000, .flags = S);
		QUIET(r); /* not twice in half a second */
		COUNT(r, tcp_challenge_limited, 1);
		rig_after_ms(r, 500);
		rig_drain(r);
		IN(r, .seq = nxt + 500000, .flags = S);
		OUT(r, .seq = snd, .ack = nxt, .flags = A);
		rig_after_ms(r, 500);
		rig_drain(r);
		IN(r, .seq = 0, .ack = 1, .flags = S | A); /* our ACK of its SYN was lost */
		OUT(r, .seq = snd, .ack = nxt, .flags = A);
		ck_assert_int_eq(r->c->state, all[i]);
		rig_free(r);
	}
}
END_TEST

/* One connection is asked for twice a second; only many together, or half-open ones, meet the limit. */
START_TEST(challenges_are_limited_globally) /* RFC 5961 7 */
{
	struct rig *r = rig_listening();
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	for (int i = 0; i < 5000; i++)
		IN(r, .seq = 100, .flags = R);
	uint32_t n = rig_drain(r);
	ck_assert_uint_ge(n, 500);
	ck_assert_uint_lt(n, 1500);
	COUNT(r, tcp_challenge_limited, 5000 - n);
	rig_after_ms(r, 1000);
	rig_drain(r);
	IN(r, .seq = 100, .flags = R);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(challenges_of_a_connection_are_rare) /* Linux: 500 ms, whatever draws them */
{
	struct rig *r = rig_established();
	for (int i = 0; i < 100; i++)
		IN(r, .seq = 100, .flags = R);
	IN(r, .seq = 1, .flags = S);
	IN(r, .seq = 1, .ack = 99, .flags = A);
	ck_assert_uint_eq(rig_drain(r), 1);
	COUNT(r, tcp_challenge_ack, 1);
	COUNT(r, tcp_challenge_limited, 101);
	rig_after_ms(r, 500);
	IN(r, .seq = 100, .flags = R);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(reset_of_an_orphan_releases_it)
{
	struct rig *r = rig_established();
	rig_close(r);
	OUT(r, .seq = 1, .ack = 1, .flags = F | A);
	IN(r, .seq = 1, .flags = R);
	RELEASED(r);
	rig_free(r);
}
END_TEST

START_TEST(reset_keeps_data_that_was_in_order)
{
	struct rig *r = rig_established();
	IN_MORE(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	IN(r, .seq = 11, .flags = R);
	STATE(r, CLOSED);
	EVENTS(r, TCPE_READABLE | TCPE_ERROR | TCPE_CLOSED);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 10);
	rig_free(r);
}
END_TEST

START_TEST(reset_from_nobody_carries_the_right_numbers) /* RFC 9293 3.10.7.1 */
{
	struct rig *r = rig_new();
	IN(r, .seq = 10, .flags = S | F, .len = 5);
	OUT(r, .seq = 0, .ack = 17, .flags = R | A);
	IN(r, .seq = 10, .ack = 99, .flags = F | A, .len = 5);
	OUT(r, .seq = 99, .flags = R);
	IN(r, .seq = 10, .flags = R);
	QUIET(r);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_reset", { exact_reset_ends_every_state },
	 { reset_in_the_window_is_challenged_everywhere }, { syn_is_challenged_everywhere },
	 { challenges_are_limited_globally },
	 { challenges_of_a_connection_are_rare }, { reset_of_an_orphan_releases_it },
	 { reset_keeps_data_that_was_in_order }, { reset_from_nobody_carries_the_right_numbers })
