/* Handshakes that go wrong or are meant to: half-open connections, crossed and odd SYNs, old duplicates,
 * timestamps at their edges. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

/* The peer has forgotten us and opens anew: it is asked, resets, and its next SYN finds the listener. */
START_TEST(peer_that_crashed_comes_back) /* RFC 9293 3.5.1 figure 9, RFC 5961 4.2 */
{
	struct rig *r = rig_listening();
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	IN(r, .seq = 400000, .flags = S, .mss = 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	IN(r, .seq = 1, .flags = R); /* its answer to that ACK */
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ECONNRESET);
	rig_after_ms(r, 1000);
	IN(r, .seq = 400000, .flags = S, .mss = 1460);
	r->iss = r->out[0].seg.seq.v;
	OUT(r, .seq = 0, .ack = 400001, .flags = S | A);
	IN(r, .seq = 400001, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	rig_free(r);
}
END_TEST

START_TEST(we_crashed_and_the_peer_sends) /* RFC 9293 3.5.1 figure 10 */
{
	struct rig *r = rig_listening();
	IN(r, .seq = 300, .ack = 100, .flags = A, .len = 10);
	OUT(r, .seq = 100, .flags = R);
	rig_free(r);
}
END_TEST

START_TEST(old_duplicate_syn_ends_by_the_peers_reset) /* RFC 9293 3.5 figure 8 */
{
	struct rig *r = rig_listening();
	IN(r, .seq = 90, .flags = S, .mss = 1460);
	OUT(r, .seq = 0, .ack = 91, .flags = S | A);
	IN(r, .seq = 91, .flags = R);
	ck_assert_uint_eq(r->env.n_synq, 0);
	IN(r, .seq = 100, .flags = S, .mss = 1460);
	ck_assert_uint_eq(r->env.n_synq, 1);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(crossed_syns_twenty_four_times) /* RFC 9293 3.5 figure 7 */
{
	struct rig *r = rig_new(.max_timewait = 1);
	for (uint16_t i = 0; i < 24; i++) {
		r->flow.local.port = (uint16_t)(1000 + i);
		r->c = &rig_new_sock(r)->c;
		r->c->opts.rcvbuf = 65535;
		ck_assert_int_eq(tcp_connect(&r->env, r->c, &r->flow, r->now_ns), 0);
		r->iss = r->c->iss.v;
		rig_after_us(r, 0);
		OUT(r, .seq = 0, .flags = S);
		IN(r, .seq = 0, .flags = S, .mss = 1460);
		OUT(r, .seq = 0, .ack = 1, .flags = S | A);
		if (i % 3 == 0) { /* ours was lost: the peer's comes again */
			rig_after_ms(r, 1000);
			OUT(r, .seq = 0, .ack = 1, .flags = S | A);
		}
		if (i % 2)
			IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
		else
			IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 7);
		STATE(r, ESTABLISHED);
		ck_assert_uint_eq(rig_events(r) & TCPE_CONNECTED, TCPE_CONNECTED);
		rig_drain(r);
		rig_read(r);
		rig_send(r, 5);
		OUT(r, .seq = 1, .ack = i % 2 ? 1 : 8, .flags = A | P, .len = 5);
		rig_abort(r);
		rig_drain(r);
	}
	COUNT(r, tcp_established, 24);
	rig_free(r);
}
END_TEST

START_TEST(text_of_a_syn_waits_for_its_repetition) /* RFC 9293 3.10.7.2 third, without RFC 7413 */
{
	struct rig *r = rig_listening();
	IN(r, .seq = 0, .flags = S, .mss = 1460, .len = 50);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A); /* not acknowledged */
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 50);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 51, .flags = A);
	rig_read_n(r, 50);
	rig_free(r);
}
END_TEST

START_TEST(text_of_a_syn_ack_is_taken) /* RFC 9293 3.10.7.3 fifth */
{
	struct rig *r = rig_syn_sent();
	IN(r, .seq = 0, .ack = 1, .flags = S | A | F, .mss = 1460, .len = 20);
	STATE(r, CLOSE_WAIT);
	OUT(r, .seq = 1, .ack = 22, .flags = A);
	rig_read_n(r, 20);
	rig_free(r);
}
END_TEST

START_TEST(odd_syns_make_no_connection) /* SYN with FIN, RST, nothing a client sends */
{
	static const uint8_t odd[] = { S | F, S | F | P, S | R, S | R | F, F, P, U, 0, F | P | U };
	struct rig *r = rig_listening();
	for (size_t i = 0; i < ARRAY_LEN(odd); i++)
		IN(r, .seq = (uint32_t)i * 1000, .flags = odd[i], .len = i % 2 ? 10 : 0);
	QUIET(r);
	ck_assert_uint_eq(r->env.n_synq, 0);
	rig_free(r);
}
END_TEST

START_TEST(urgent_syn_is_a_syn) /* nothing urgent can be in a SYN (RFC 9293 3.8.5) */
{
	struct rig *r = rig_listening();
	IN(r, .seq = 0, .flags = S | U | P, .mss = 1460, .urg = 3, .len = 5);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	ck_assert_uint_eq(r->n_urgent, 0);
	rig_free(r);
}
END_TEST

START_TEST(reset_is_not_subject_to_paws) /* RFC 7323 5.2 */
{
	struct rig *r = rig_established(.ts = true);
	IN(r, .seq = 1, .flags = R, .tsval = 1);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ECONNRESET);
	rig_free(r);
}
END_TEST

START_TEST(old_timestamp_is_dropped_and_answered) /* RFC 7323 5.3 R1 */
{
	struct rig *r = rig_established(.ts = true);
	uint32_t ts = r->c->ts_recent;
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .tsval = ts - 2);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .tsecr = ts);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 0);
	COUNT(r, tcp_drop_paws, 1);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .tsval = ts - 1); /* one tick: as Linux */
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	rig_read_n(r, 10);
	rig_free(r);
}
END_TEST

START_TEST(timestamp_may_wrap) /* RFC 7323 5.2: modulo 2^32 */
{
	struct rig *r = rig_established(.ts = true);
	r->c->ts_recent = UINT32_MAX;
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .tsval = 5);
	OUT(r, .seq = 1, .ack = 11, .flags = A, .tsecr = 5);
	IN(r, .seq = 11, .ack = 1, .flags = A, .len = 10, .tsval = UINT32_MAX);
	OUT(r, .seq = 1, .ack = 11, .flags = A, .tsecr = 5);
	COUNT(r, tcp_drop_paws, 1);
	rig_read_n(r, 10);
	rig_free(r);
}
END_TEST

START_TEST(timestamp_outlives_no_idle_month) /* RFC 7323 5.5: invalid after 24 days */
{
	struct rig *r = rig_established(.ts = true);
	uint32_t ts = r->c->ts_recent;
	rig_after_ms(r, 24ull * 24 * 3600 * 1000 + 1);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .tsval = ts - 1000);
	OUT(r, .seq = 1, .ack = 11, .flags = A, .tsecr = ts - 1000);
	rig_read_n(r, 10);
	rig_free(r);
}
END_TEST

START_TEST(timestamps_may_be_left_out) /* RFC 7323 3.2 lets us drop it; Linux does not */
{
	struct rig *r = rig_established(.ts = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10, .no_ts = true);
	OUT(r, .seq = 1, .ack = 11, .flags = A, .ts = true);
	rig_read_n(r, 10);
	rig_free(r);
}
END_TEST

START_TEST(final_ack_with_an_old_timestamp_is_refused) /* RFC 7323 5.3 R1 in SYN-RECEIVED */
{
	struct rig *r = rig_listening(.ts = true);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .ts = true, .tsval = 5000);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A, .ts = true, .tsecr = 5000);
	IN(r, .seq = 1, .ack = 1, .flags = A, .tsval = 4999);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .tsecr = 5000);
	ck_assert_ptr_null(r->c);
	IN(r, .seq = 1, .ack = 1, .flags = A, .tsval = 5000);
	STATE(r, ESTABLISHED);
	rig_free(r);
}
END_TEST

/* RFC 1337 2: what arrives in TIME-WAIT, whatever it is, neither ends it nor starts a war. */
START_TEST(time_wait_is_answered_twice_a_second)
{
	struct rig *r = rig_make(RIG_OPTS(), TCPS_TIME_WAIT);
	rig_close(r);
	for (int i = 0; i < 50; i++) {
		IN(r, .seq = 90000, .ack = 2, .flags = A);
		IN(r, .seq = 1, .flags = S);
		IN(r, .seq = 2, .flags = R);
	}
	ck_assert_uint_eq(rig_drain(r), 1);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	IN(r, .seq = 1, .ack = 2, .flags = A, .len = 1); /* old text: always */
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	rig_after_ms(r, 500);
	IN(r, .seq = 90000, .ack = 2, .flags = A);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_handshake", { peer_that_crashed_comes_back }, { we_crashed_and_the_peer_sends },
	 { old_duplicate_syn_ends_by_the_peers_reset }, { crossed_syns_twenty_four_times },
	 { text_of_a_syn_waits_for_its_repetition }, { text_of_a_syn_ack_is_taken },
	 { odd_syns_make_no_connection }, { urgent_syn_is_a_syn }, { reset_is_not_subject_to_paws },
	 { old_timestamp_is_dropped_and_answered }, { timestamp_may_wrap },
	 { timestamp_outlives_no_idle_month }, { timestamps_may_be_left_out },
	 { final_ack_with_an_old_timestamp_is_refused }, { time_wait_is_answered_twice_a_second })
