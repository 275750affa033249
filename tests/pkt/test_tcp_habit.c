/* The first ACKs of a connection wait for what will carry them where earlier ones to the same service have
 * shown that something will. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

enum { SURE = 8 }; /* connections until it is relied on */

/* ---- a server ---- */
static void accepted(struct rig *r)
{
	r->flow.remote.port++;
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	r->iss = r->out[r->n_out - 1].seg.seq.v;
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	tcp_queue_add(&r->listener, TCPQ_ACCEPT, -1); /* the program has it */
	QUIET(r);
}

static void ended(struct rig *r)
{
	rig_abort(r);
	rig_drain(r);
	RELEASED(r);
}

/* n connections whose request is answered after so many ms. acked: at once, before the answer. */
static void serve(struct rig *r, int n, uint32_t ms, bool acked)
{
	for (int i = 0; i < n; i++) {
		accepted(r);
		IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 60);
		if (acked)
			OUT(r, .seq = 1, .ack = 61, .flags = A);
		rig_read(r);
		rig_after_ms(r, ms);
		QUIET(r);
		rig_send(r, 100);
		OUT(r, .seq = 1, .ack = 61, .flags = A | P, .len = 100);
		ended(r);
	}
}

START_TEST(request_waits_for_the_answer)
{
	struct rig *r = rig_listening();
	serve(r, SURE, 10, true);
	serve(r, 20, 10, false);
	rig_free(r);
}
END_TEST

START_TEST(server_that_takes_its_time_acknowledges_at_once)
{
	struct rig *r = rig_listening();
	serve(r, 3 * SURE, 41, true);
	rig_free(r);
}
END_TEST

/* An ACK that has waited in vain is the last for 64 connections, the next such for 128. */
static void disappoint(struct rig *r)
{
	accepted(r);
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 60);
	rig_read(r);
	QUIET(r);
	rig_after_ms(r, 40);
	OUT(r, .seq = 1, .ack = 61, .flags = A);
	ended(r);
}

START_TEST(disappointment_lasts_twice_as_long_each_time)
{
	struct rig *r = rig_listening();
	serve(r, SURE, 10, true);
	disappoint(r);
	serve(r, 64, 10, true);
	disappoint(r);
	serve(r, 128, 10, true);
	serve(r, 1, 10, false);
	rig_free(r);
}
END_TEST

START_TEST(two_segments_are_acknowledged_as_ever)
{
	struct rig *r = rig_listening();
	serve(r, SURE, 10, true);
	accepted(r);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1460);
	QUIET(r);
	IN(r, .seq = 1461, .ack = 1, .flags = A, .len = 1460);
	OUT(r, .seq = 1, .ack = 2921, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(quickack_means_at_once)
{
	struct rig *r = rig_listening();
	serve(r, SURE, 10, true);
	r->listen_opts.quickack = true;
	serve(r, SURE, 10, true);
	rig_free(r);
}
END_TEST

START_TEST(another_port_knows_nothing_of_it)
{
	struct rig *r = rig_listening();
	struct rig_opts opt = r->opt;
	serve(r, SURE, 10, true);
	rig_free(r);
	r = rig_make(&opt, TCPS_LISTEN); /* another engine neither */
	serve(r, SURE, 10, true);
	rig_free(r);
}
END_TEST

/* ---- a client ---- */
static void opens(struct rig *r, uint16_t port, bool acked)
{
	struct tcp_flow f = r->flow;

	r->flow.local.port = f.local.port = port;
	r->c = &rig_new_sock(r)->c;
	r->c->opts.rcvbuf = 65535;
	ck_assert_int_eq(tcp_connect(&r->env, r->c, &f, r->now_ns), 0);
	tcp_flush(&r->env, r->now_ns);
	r->iss = r->c->iss.v;
	OUT(r, .seq = 0, .flags = S);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	STATE(r, ESTABLISHED);
	if (acked)
		OUT(r, .seq = 1, .ack = 1, .flags = A);
	else
		QUIET(r);
	rig_events(r);
}

/* n connections that ask after so many ms, are answered, and are closed. */
static void ask(struct rig *r, int n, uint32_t ms, bool handshake_acked, bool answer_acked)
{
	for (int i = 0; i < n; i++) {
		opens(r, (uint16_t)(1000 + r->n_sock), handshake_acked);
		rig_after_ms(r, ms);
		rig_send(r, 60);
		OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 60);
		IN(r, .seq = 1, .ack = 61, .flags = A | P, .len = 100);
		if (answer_acked)
			OUT(r, .seq = 61, .ack = 101, .flags = A);
		rig_read(r);
		QUIET(r);
		rig_close(r);
		OUT(r, .seq = 61, .ack = 101, .flags = A | F);
		IN(r, .seq = 101, .ack = 62, .flags = R | A);
		RELEASED(r);
	}
}

START_TEST(handshake_waits_for_the_question_and_the_answer_for_the_close)
{
	struct rig *r = rig_new();
	ask(r, SURE, 1, true, true);
	ask(r, 16, 1, false, false);
	rig_free(r);
}
END_TEST

START_TEST(client_that_listens_first_acknowledges_the_handshake)
{
	struct rig *r = rig_new();
	ask(r, SURE, 2, true, true);
	ask(r, SURE, 2, true, false);
	rig_free(r);
}
END_TEST

START_TEST(silent_client_acknowledges_the_handshake_in_the_end)
{
	struct rig *r = rig_new();
	ask(r, SURE, 1, true, true);
	opens(r, 900, false);
	rig_after_ms(r, 1);
	QUIET(r);
	rig_after_ms(r, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	rig_abort(r);
	rig_drain(r);
	ask(r, 8, 1, true, false);
	rig_free(r);
}
END_TEST

/* ---- the peer's FIN ---- */
START_TEST(fin_after_text_waits_for_ours)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	IN(r, .seq = 11, .ack = 1, .flags = A | F);
	STATE(r, CLOSE_WAIT);
	QUIET(r);
	rig_read(r);
	rig_close(r);
	OUT(r, .seq = 1, .ack = 12, .flags = A | F);
	rig_free(r);
}
END_TEST

START_TEST(fin_behind_a_gap_that_is_filled_does_not_wait) /* RFC 5681 4.2 */
{
	struct rig *r = rig_established(.delack = true);
	IN(r, .seq = 11, .ack = 1, .flags = A | F);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	STATE(r, CLOSE_WAIT);
	OUT(r, .seq = 1, .ack = 12, .flags = A);
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(fin_that_nobody_follows_is_acknowledged_in_the_end)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	IN(r, .seq = 11, .ack = 1, .flags = A | F);
	rig_read(r);
	rig_after_ms(r, 39);
	QUIET(r);
	rig_after_ms(r, 1);
	OUT(r, .seq = 1, .ack = 12, .flags = A);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_habit", { request_waits_for_the_answer }, { server_that_takes_its_time_acknowledges_at_once },
	 { disappointment_lasts_twice_as_long_each_time }, { two_segments_are_acknowledged_as_ever },
	 { quickack_means_at_once }, { another_port_knows_nothing_of_it },
	 { handshake_waits_for_the_question_and_the_answer_for_the_close },
	 { client_that_listens_first_acknowledges_the_handshake },
	 { silent_client_acknowledges_the_handshake_in_the_end }, { fin_after_text_waits_for_ours },
	 { fin_behind_a_gap_that_is_filled_does_not_wait },
	 { fin_that_nobody_follows_is_acknowledged_in_the_end })
