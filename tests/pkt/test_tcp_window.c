/* Flow control in both directions: edges, silly windows, probes, scaling. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(window_shrinks_with_unread_data_and_opens_when_read) /* RFC 9293 3.8.6 */
{
	struct rig *r = rig_established(.rcvbuf = 10000);
	for (uint32_t i = 0; i < 10; i++) {
		IN(r, .seq = 1 + 1000 * i, .ack = 1, .flags = A, .len = 1000);
		OUT(r, .seq = 1, .ack = 1001 + 1000 * i, .flags = A,
		    .wnd = i == 9 ? ZERO : (int)(9000 - 1000 * i));
	}
	rig_read_n(r, 500); /* a crumb: RFC 9293 3.8.6.2.2 */
	QUIET(r);
	rig_read_n(r, 500);
	OUT(r, .seq = 1, .ack = 10001, .flags = A, .wnd = 1000);
	rig_read_n(r, 500);
	QUIET(r);
	rig_read_n(r, 8500);
	OUT(r, .seq = 1, .ack = 10001, .flags = A, .wnd = 10000);
	rig_free(r);
}
END_TEST

START_TEST(reading_with_an_open_window_is_silent)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 1, .ack = 1001, .flags = A, .wnd = 64535);
	rig_read_n(r, 1000);
	QUIET(r);
	rig_free(r);
}
END_TEST

START_TEST(window_never_shrinks) /* RFC 9293 3.8.6: right edge */
{
	struct rig *r = rig_established(.rcvbuf = 20000);
	r->c->opts.rcvbuf = 1000;
	rig_set_opts(r);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 1, .ack = 1001, .flags = A, .wnd = 19000);
	IN(r, .seq = 1001, .ack = 1, .flags = A, .len = 19000); /* promised: taken */
	OUT(r, .seq = 1, .ack = 20001, .flags = A, .wnd = ZERO);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 20000);
	rig_read(r);
	rig_drain(r);
	rig_free(r);
}
END_TEST

/* TCP_WINDOW_CLAMP reaches the core as a smaller rcvbuf. */
START_TEST(window_that_is_clamped_closes_by_what_arrives)
{
	struct rig *r = rig_established(.rcvbuf = 20000);
	r->c->opts.rcvbuf = 4000;
	rig_set_opts(r);
	for (uint32_t i = 0; i < 20; i++) { /* the promise is kept, all is read at once */
		r->c->quick = 1;
		IN(r, .seq = 1 + 1000 * i, .ack = 1, .flags = A, .len = 1000);
		OUT(r, .seq = 1, .ack = 1001 + 1000 * i, .flags = A,
		    .wnd = i < 16 ? (int)(19000 - 1000 * i) : 3000);
		rig_read_n(r, 1000);
		QUIET(r);
	}
	rig_free(r);
}
END_TEST

START_TEST(data_beyond_the_window_is_cut) /* RFC 9293 3.10.7.4 first */
{
	struct rig *r = rig_established(.rcvbuf = 1000);
	IN(r, .seq = 1, .ack = 1, .flags = A | F, .len = 1500);
	OUT(r, .seq = 1, .ack = 1001, .flags = A, .wnd = ZERO);
	STATE(r, ESTABLISHED); /* the FIN was outside too */
	rig_read_n(r, 1000);
	OUT(r, .seq = 1, .ack = 1001, .flags = A, .wnd = 1000);
	IN(r, .seq = 2001, .ack = 1, .flags = A, .len = 10); /* wholly outside */
	OUT(r, .seq = 1, .ack = 1001, .flags = A, .wnd = 1000);
	COUNT(r, tcp_drop_window, 2);
	rig_free(r);
}
END_TEST

START_TEST(zero_window_takes_acks_and_answers_probes) /* RFC 9293 3.10.7.4, 3.8.6.1 */
{
	struct rig *r = rig_established(.rcvbuf = 1000);
	rig_send(r, 10);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 11, .ack = 1001, .flags = A, .wnd = ZERO);
	IN(r, .seq = 1001, .ack = 11, .flags = A, .len = 1); /* probe with a byte, and an ACK */
	OUT(r, .seq = 11, .ack = 1001, .flags = A, .wnd = ZERO);
	ck_assert_uint_eq(tcp_tx_una(r->c), 10);
	for (int i = 0; i < 3; i++) { /* probes with an old number: all answered */
		IN(r, .seq = 1000, .ack = 11, .flags = A);
		OUT(r, .seq = 11, .ack = 1001, .flags = A, .wnd = ZERO);
	}
	rig_read(r);
	OUT(r, .seq = 11, .ack = 1001, .flags = A, .wnd = 1000);
	rig_free(r);
}
END_TEST

START_TEST(fin_is_taken_even_with_a_closed_window)
{
	struct rig *r = rig_established(.rcvbuf = 1000);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 1, .ack = 1001, .flags = A, .wnd = ZERO);
	IN(r, .seq = 1001, .ack = 1, .flags = A | F);
	STATE(r, CLOSE_WAIT);
	rig_after_ms(r, 40);
	OUT(r, .seq = 1, .ack = 1002, .flags = A, .wnd = ZERO);
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(peers_window_limits_us) /* RFC 9293 3.8.6 */
{
	struct rig *r = rig_established(.mss = 1000, .wnd = 2500);
	rig_send(r, 5000);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 1001, .ack = 1, .flags = A, .len = 1000);
	QUIET(r); /* 500 would be silly: 3.8.6.2.1 */
	IN(r, .seq = 1, .ack = 2001, .flags = A);
	OUT(r, .seq = 2001, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 3001, .ack = 1, .flags = A, .len = 1000);
	rig_free(r);
}
END_TEST

START_TEST(half_of_the_largest_window_is_not_silly) /* RFC 9293 3.8.6.2.1 (3) */
{
	struct rig *r = rig_established(.mss = 1000, .wnd = 600);
	rig_send(r, 5000);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 600);
	IN(r, .seq = 1, .ack = 601, .flags = A, .wnd = 300);
	OUT(r, .seq = 601, .ack = 1, .flags = A, .len = 300);
	IN(r, .seq = 1, .ack = 901, .flags = A, .wnd = 200);
	QUIET(r);
	rig_after_rto(r); /* (4): the override */
	OUT(r, .seq = 901, .ack = 1, .flags = A, .len = 200);
	rig_free(r);
}
END_TEST

START_TEST(closed_window_is_probed_with_backoff) /* RFC 9293 3.8.6.1 */
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 1000);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	IN(r, .seq = 1, .ack = 1001, .flags = A, .wnd = ZERO);
	rig_send(r, 5000);
	QUIET(r);
	for (int i = 0; i < 5; i++) {
		rig_until_rto(r);
		QUIET(r);
		rig_after_us(r, 1);
		ck_assert_uint_eq(r->c->rtt.backoff, i + 1);
		OUT(r, .seq = 1000, .ack = 1, .flags = A);
		IN(r, .seq = 1, .ack = 1001, .flags = A, .wnd = ZERO);
	}
	COUNT(r, tcp_persist_probe, 5);
	IN(r, .seq = 1, .ack = 1001, .flags = A, .wnd = 3000);
	ck_assert_uint_eq(rig_drain(r), 3);
	rig_free(r);
}
END_TEST

START_TEST(probes_that_are_answered_go_on_for_ever) /* RFC 9293 3.8.6.1: MUST stay open */
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = ZERO);
	rig_send(r, 10);
	uint32_t probes = 0;
	for (int i = 0; i < 3600; i++) {
		rig_after_ms(r, 1000);
		if (rig_drain(r)) {
			probes++;
			IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = ZERO);
		}
	}
	ck_assert_uint_gt(probes, 30);
	STATE(r, ESTABLISHED);
	rig_free(r);
}
END_TEST

START_TEST(probes_without_any_answer_give_up)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = ZERO);
	rig_send(r, 10);
	rig_after_ms(r, 1200 * 1000);
	ck_assert_uint_eq(rig_drain(r), 15 + 1); /* and a RST */
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ETIMEDOUT);
	rig_free(r);
}
END_TEST

START_TEST(orphan_does_not_probe_for_ever)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = ZERO);
	rig_send(r, 10);
	rig_close(r);
	for (int i = 0; i < 200; i++) {
		rig_after_ms(r, 1000);
		if (rig_drain(r))
			IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = ZERO);
	}
	rig_drain(r);
	RELEASED(r);
	rig_free(r);
}
END_TEST

START_TEST(fin_waits_for_the_window)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = ZERO);
	rig_shutdown(r);
	QUIET(r);
	rig_after_rto(r);
	OUT(r, .seq = 0, .ack = 1, .flags = A);
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = 10);
	OUT(r, .seq = 1, .ack = 1, .flags = A | F);
	rig_free(r);
}
END_TEST

START_TEST(shrunk_window_still_retransmits) /* RFC 9293 3.8.6: robust against shrinking */
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 3000);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = ZERO);
	QUIET(r);
	rig_after_rto(r);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	IN(r, .seq = 1, .ack = 3001, .flags = A, .wnd = 5000);
	rig_free(r);
}
END_TEST

START_TEST(stale_window_does_not_count) /* RFC 9293 3.10.7.4 fifth: SND.WL1, SND.WL2 */
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100, .wnd = 5000);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	IN(r, .seq = 101, .ack = 1, .flags = A, .wnd = 5000);
	IN(r, .seq = 51, .ack = 1, .flags = A, .len = 50, .wnd = 100);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	ck_assert_uint_eq(r->c->snd_wnd, 5000);
	rig_free(r);
}
END_TEST

START_TEST(scaled_windows_both_ways) /* RFC 7323 2.2, 2.3 */
{
	struct rig *r = rig_established(.ws = 10, .rcvbuf = 1 << 20, .wnd = 1000);
	ck_assert_uint_eq(r->c->snd_wscale, 9);
	ck_assert_uint_eq(r->c->rcv_wscale, 7);
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = 2000, .len = 1);
	OUT(r, .seq = 1, .ack = 2, .flags = A, .wnd = ((1 << 20) - 1) >> 7);
	ck_assert_uint_eq(r->c->snd_wnd, 2000 << 9);
	IN(r, .seq = 500002, .ack = 1, .flags = A, .len = 1000, .wnd = 2000);
	OUT(r, .seq = 1, .ack = 2, .flags = A);
	ck_assert_uint_eq(tcp_rx_max(r->c), 501001);
	rig_free(r);
}
END_TEST

START_TEST(scale_beyond_14_is_taken_for_14) /* RFC 7323 2.3 */
{
	struct rig *r = rig_established(.ws = 250);
	ck_assert_uint_eq(r->c->snd_wscale, 14);
	rig_free(r);
}
END_TEST

START_TEST(promise_is_kept_when_the_scale_rounds_it_down) /* RFC 7323 2.4 */
{
	struct rig *r = rig_established(.ws = 1, .rcvbuf = 12800);
	uint32_t edge = seq_diff(r->c->rcv_adv, r->c->irs);
	ck_assert_uint_ge(edge, 12800);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1);
	OUT(r, .seq = 1, .ack = 2, .flags = A, .wnd = 12799 >> 7);
	IN(r, .seq = 2, .ack = 1, .flags = A, .len = 12799); /* up to the old promise */
	rig_drain(r);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 12800);
	rig_free(r);
}
END_TEST

/* Its number is old, its ACK is the newest: the window counts from there. */
START_TEST(window_of_a_repeated_segment_counts_with_its_ack)
{
	struct rig *r = rig_established(.mss = 1000, .wnd = 3000);
	rig_send(r, 1000);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 1000);
	IN(r, .seq = 1001, .ack = 1, .flags = A, .len = 1000, .wnd = 3000); /* the one before is lost */
	OUT(r, .seq = 1001, .ack = 1, .flags = A);
	IN(r, .seq = 1, .ack = 1001, .flags = A, .len = 1000, .wnd = 2000);
	OUT(r, .seq = 1001, .ack = 2001, .flags = A);
	rig_send(r, 2500);
	OUT(r, .seq = 1001, .ack = 2001, .flags = A, .len = 1000);
	OUT(r, .seq = 2001, .ack = 2001, .flags = A, .len = 1000);
	QUIET(r);
	IN(r, .seq = 2001, .ack = 3001, .flags = A, .wnd = 3000);
	OUT(r, .seq = 3001, .ack = 2001, .flags = A | P, .len = 500);
	/* overtaken by it: older than what we know */
	IN(r, .seq = 2001, .ack = 2001, .flags = A, .wnd = 9000);
	ck_assert_uint_eq(r->c->snd_wnd, 3000);
	rig_free(r);
}
END_TEST

START_TEST(tiny_reads_of_a_full_buffer_send_few_updates)
{
	struct rig *r = rig_established(.rcvbuf = 60000);
	for (uint32_t i = 0; i < 60; i++)
		IN(r, .seq = 1 + 1000 * i, .ack = 1, .flags = A, .len = 1000);
	rig_drain(r);
	for (int i = 0; i < 6000; i++)
		rig_read_n(r, 10);
	ck_assert_uint_le(rig_drain(r), 8);
	rig_free(r);
}
END_TEST

/* What one round trip brings. */
static void fill_and_read(struct rig *r, uint32_t *at, uint32_t bytes)
{
	rig_after_ms(r, 100);
	for (uint32_t end = *at + bytes; *at != end; *at += 1000)
		IN_MORE(r, .seq = *at, .ack = 1, .flags = A, .len = 1000);
	rig_read(r);
	rig_drain(r);
}

START_TEST(window_grows_to_twice_what_is_read_in_a_round_trip) /* dynamic right-sizing */
{
	struct rig *r = rig_established(.rcvbuf = 51200, .rtt_ms = 100, .ws = 1,
					.o = { .rcvbuf_max = 300000 });
	uint32_t at = 1;
	for (int i = 0; i < 5; i++) { /* slow: nothing to gain */
		fill_and_read(r, &at, 10000);
		ck_assert_uint_eq(r->c->opts.rcvbuf, 51200);
	}
	fill_and_read(r, &at, 50000);
	ck_assert_uint_eq(r->c->opts.rcvbuf, 100000 + 16 * 1460);
	fill_and_read(r, &at, 120000);
	ck_assert_uint_eq(r->c->opts.rcvbuf, 240000 + 16 * 1460);
	r->c->opts.rcvbuf = 51200; /* an option was set: what has grown stays */
	rig_set_opts(r);
	ck_assert_uint_eq(r->c->opts.rcvbuf, 240000 + 16 * 1460);
	fill_and_read(r, &at, 260000);
	ck_assert_uint_eq(r->c->opts.rcvbuf, 300000);
	r->c->opts.rcvbuf = 51200; /* SO_RCVBUF: fixed from here on, and the promise is kept */
	r->c->opts.rcvbuf_max = 0;
	rig_set_opts(r);
	fill_and_read(r, &at, 290000);
	ck_assert_uint_eq(r->c->opts.rcvbuf, 51200);
	rig_free(r);
}
END_TEST

/* What lies behind a hole can't be read, and the sender needs as much again for its next round trip. */
START_TEST(window_grows_by_what_is_behind_a_hole)
{
	struct rig *r = rig_established(.rcvbuf = 51200, .rtt_ms = 100, .ws = 1,
					.o = { .rcvbuf_max = 200000 });
	for (uint32_t at = 1001; at < 40001; at += 1000)
		IN_MORE(r, .seq = at, .ack = 1, .flags = A, .len = 1000);
	ck_assert_uint_eq(r->c->opts.rcvbuf, 39000 + 16 * 1460);
	rig_drain(r);
	IN_MORE(r, .seq = 62001, .ack = 1, .flags = A, .len = 1); /* far away is not much */
	ck_assert_uint_eq(r->c->opts.rcvbuf, 39001 + 16 * 1460);
	rig_drain(r);
	for (uint32_t at = 40001; at < 60001; at += 1000)
		IN_MORE(r, .seq = at, .ack = 1, .flags = A, .len = 1000);
	ck_assert_uint_eq(r->c->opts.rcvbuf, 59001 + 16 * 1460);
	IN_MORE(r, .seq = 1, .ack = 1, .flags = A, .len = 1000); /* the hole is filled: it stays */
	rig_read(r);
	rig_drain(r);
	ck_assert_uint_eq(r->c->opts.rcvbuf, 59001 + 16 * 1460);
	r->c->opts.rcvbuf_max = 0; /* SO_RCVBUF: a fixed one does not */
	rig_set_opts(r);
	uint32_t fixed = r->c->opts.rcvbuf;
	for (uint32_t at = 61001; at < 100001; at += 1000)
		IN_MORE(r, .seq = at, .ack = 1, .flags = A, .len = 1000);
	ck_assert_uint_eq(r->c->opts.rcvbuf, fixed);
	rig_drain(r);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_window", { window_shrinks_with_unread_data_and_opens_when_read },
	 { reading_with_an_open_window_is_silent }, { window_never_shrinks },
	 { window_that_is_clamped_closes_by_what_arrives },
	 { data_beyond_the_window_is_cut }, { zero_window_takes_acks_and_answers_probes },
	 { fin_is_taken_even_with_a_closed_window }, { peers_window_limits_us },
	 { half_of_the_largest_window_is_not_silly }, { closed_window_is_probed_with_backoff },
	 { probes_that_are_answered_go_on_for_ever }, { probes_without_any_answer_give_up },
	 { orphan_does_not_probe_for_ever }, { fin_waits_for_the_window },
	 { shrunk_window_still_retransmits }, { stale_window_does_not_count },
	 { scaled_windows_both_ways }, { scale_beyond_14_is_taken_for_14 },
	 { promise_is_kept_when_the_scale_rounds_it_down },
	 { window_grows_to_twice_what_is_read_in_a_round_trip },
	 { window_grows_by_what_is_behind_a_hole },
	 { window_of_a_repeated_segment_counts_with_its_ack },
	 { tiny_reads_of_a_full_buffer_send_few_updates })
