/* RACK-TLP: loss by time, the reordering window and how it adapts, tail loss probes (RFC 8985). */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

/* n segments of 1000 bytes are out since one round trip (40 ms); nothing else is written. */
static struct rig *out(int variant, uint32_t n)
{
	struct rig *r = rig_make(&(struct rig_opts){ .variant = variant, .mss = 1000, .rtt_ms = 40,
						     .sack = true, .o.nodelay = true },
				 TCPS_ESTABLISHED);
	rig_send(r, 1000 * n);
	ck_assert_uint_eq(rig_drain(r), n);
	rig_events(r);
	rig_after_ms(r, 40);
	return r;
}

#define SEG(r, n) OUT(r, .seq = (n), .ack = 1, .flags = A, .len = 1000)
#define LAST(r, n) OUT(r, .seq = (n), .ack = 1, .flags = A | P, .len = 1000)

START_TEST(one_held_segment_waits_for_a_quarter_of_the_rtt) /* 6.2 steps 4, 5 */
{
	struct rig *r = out(_i, 3);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 2001 } });
	QUIET(r);
	rig_after_us(r, 9900);
	QUIET(r);
	rig_after_us(r, 200);
	SEG(r, 1);
	COUNT(r, tcp_rack_timer, 1);
	COUNT(r, tcp_fast_retrans, 1);
	rig_free(r);
}
END_TEST

START_TEST(what_comes_in_the_window_was_only_late) /* 6.2 step 3 */
{
	struct rig *r = out(_i, 3);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 2001 } });
	rig_after_ms(r, 5);
	IN(r, .seq = 1, .ack = 2001, .flags = A);
	ck_assert(r->c->rack.reordered);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_after_ms(r, 20);
	QUIET(r);
	COUNT(r, tcp_fast_retrans, 0);
	rig_free(r);
}
END_TEST

START_TEST(with_reordering_seen_three_duplicates_do_not_suffice) /* 6.2 step 4 */
{
	struct rig *r = out(_i, 8);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 2001 } });
	IN(r, .seq = 1, .ack = 2001, .flags = A);
	ck_assert(r->c->rack.reordered);
	IN(r, .seq = 1, .ack = 2001, .flags = A, .sack = { { 3001, 7001 } });
	QUIET(r); /* four are held, and still the window counts */
	rig_after_us(r, 10100);
	SEG(r, 2001);
	rig_free(r);
}
END_TEST

START_TEST(with_reordering_seen_the_window_grows_by_what_arrives) /* as Linux, not in jumps */
{
	struct rig *r = out(_i, 8);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 2001 } });
	IN(r, .seq = 1, .ack = 2001, .flags = A);
	uint32_t cwnd = r->c->cwnd;
	IN(r, .seq = 1, .ack = 2001, .flags = A, .sack = { { 3001, 5001 } });
	ck_assert_uint_eq(r->c->cwnd, cwnd + 2000);
	IN(r, .seq = 1, .ack = 5001, .flags = A);
	ck_assert_uint_eq(r->c->cwnd, cwnd + 3000);
	IN(r, .seq = 1, .ack = 8001, .flags = A);
	ck_assert_uint_eq(r->c->cwnd, cwnd + 6000);
	rig_free(r);
}
END_TEST

START_TEST(a_lost_retransmission_is_found) /* 6: the point of time-based detection */
{
	struct rig *r = out(_i, 6);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 5001 } });
	SEG(r, 1);
	rig_after_ms(r, 1);
	rig_send(r, 10000); /* and new data after it */
	ck_assert_uint_ge(rig_drain(r), 1);
	rig_after_ms(r, 40);
	uint32_t nxt = seq_diff(r->c->snd_nxt, r->c->iss);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, nxt } });
	SEG(r, 1);
	COUNT(r, tcp_lost_retrans, 1);
	COUNT(r, tcp_rto_fired, 0);
	rig_drain(r);
	rig_free(r);
}
END_TEST

/* The log of send times is coarse where a flight has many bursts: what may have left before the
 * retransmission says nothing about it. */
static void again_at(int variant, uint32_t lost)
{
	struct rig *r = rig_make(&(struct rig_opts){ .variant = variant, .mss = 1000, .rtt_ms = 100,
						     .ws = 8, .sack = true, .o.nodelay = true },
				 TCPS_ESTABLISHED);
	uint32_t hole = lost * 1000 + 1;

	r->c->cwnd = 500000;
	for (uint32_t ms = 0; ms < lost + 203; ms++) { /* one a ms; the third answer behind the hole tells */
		uint32_t to = ms < 100 ? 1 : (ms - 99) * 1000 + 1;

		if (to > hole + 1000)
			IN(r, .seq = 1, .ack = hole, .flags = A, .sack = { { hole + 1000, to } });
		else if (to > 1 && to <= hole)
			IN(r, .seq = 1, .ack = to, .flags = A);
		rig_send(r, 1000);
		rig_after_ms(r, 1);
		COUNT(r, tcp_retrans_segs, ms < lost + 103 ? 0 : 1);
	}
	COUNT(r, tcp_lost_retrans, 0);
	rig_after_ms(r, 30);
	IN(r, .seq = 1, .ack = hole, .flags = A, /* with what surely left after it */
	   .sack = { { hole + 1000, seq_diff(r->c->snd_nxt, r->c->iss) } });
	COUNT(r, tcp_lost_retrans, 1);
	rig_drain(r);
	rig_free(r);
}

START_TEST(a_retransmission_is_not_late_by_what_left_before)
{
	for (uint32_t lost = 0; lost < 16; lost++)
		again_at(_i, lost);
}
END_TEST

START_TEST(dsack_widens_the_window) /* 6.2 step 4: reo_wnd_mult, at most once a round trip */
{
	struct rig *r = out(_i, 4);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 4001 } });
	SEG(r, 1);
	IN(r, .seq = 1, .ack = 4001, .flags = A, .sack = { { 1, 1001 } });
	ck_assert_uint_eq(r->c->rack.reo_mult, 1);
	ck_assert_uint_eq(r->c->rack.persist, 16);
	rig_send(r, 4000);
	ck_assert_uint_eq(rig_drain(r), 4);
	IN(r, .seq = 1, .ack = 5001, .flags = A, .sack = { { 1, 1001 } });
	ck_assert_uint_eq(r->c->rack.reo_mult, 2);
	IN(r, .seq = 1, .ack = 6001, .flags = A, .sack = { { 1, 1001 } });
	ck_assert_uint_eq(r->c->rack.reo_mult, 2); /* the same round trip */
	rig_free(r);
}
END_TEST

START_TEST(a_lost_tail_is_probed_after_two_rtt) /* 7.2, 7.3 */
{
	struct rig *r = out(_i, 3);
	rig_after_ms(r, 41); /* 81 since they left */
	QUIET(r);
	rig_after_ms(r, 2);
	LAST(r, 2001);
	QUIET(r);
	COUNT(r, tcp_tlp_probe, 1);
	COUNT(r, tcp_rto_fired, 0);
	rig_free(r);
}
END_TEST

START_TEST(the_probe_makes_loss_visible) /* 7: what RACK needs is one ACK */
{
	struct rig *r = out(_i, 5);
	rig_after_ms(r, 43);
	LAST(r, 4001);
	rig_after_ms(r, 40);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 4001, 5001 } });
	rig_after_ms(r, 11);
	ck_assert_uint_ge(r->n_out, 1);
	SEG(r, 1);
	rig_drain(r);
	COUNT(r, tcp_rto_fired, 0);
	COUNT(r, tcp_fast_retrans, 1);
	rig_free(r);
}
END_TEST

START_TEST(the_probe_is_new_data_if_there_is_any) /* 7.3 step 2 */
{
	struct rig *r = out(_i, 10);
	rig_send(r, 5000); /* cwnd is full */
	QUIET(r);
	rig_after_ms(r, 43);
	SEG(r, 10001);
	QUIET(r);
	IN(r, .seq = 1, .ack = 11001, .flags = A);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	COUNT(r, tcp_tlp_repaired, 0);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(a_single_segment_is_probed_later) /* 7.2: the peer may delay its ACK */
{
	struct rig *r = out(_i, 1);
	rig_after_ms(r, 140);
	QUIET(r);
	rig_after_ms(r, 200);
	LAST(r, 1);
	COUNT(r, tcp_tlp_probe, 1);
	rig_free(r);
}
END_TEST

START_TEST(a_probe_that_repaired_costs_window) /* 7.4.2: ACK beyond, no D-SACK */
{
	struct rig *r = out(_i, 3);
	uint32_t cwnd = r->c->cwnd;
	rig_after_ms(r, 43);
	LAST(r, 2001);
	IN(r, .seq = 1, .ack = 3001, .flags = A);
	ck_assert(r->c->tlp_out);
	rig_send(r, 1000);
	LAST(r, 3001);
	IN(r, .seq = 1, .ack = 4001, .flags = A);
	COUNT(r, tcp_tlp_repaired, 1);
	ck_assert_uint_lt(r->c->cwnd, cwnd);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_free(r);
}
END_TEST

START_TEST(a_probe_that_came_twice_costs_nothing) /* 7.4.2: D-SACK; or a duplicate without SACK */
{
	struct rig *r = out(_i, 3);
	uint32_t cwnd = r->c->cwnd;
	rig_after_ms(r, 43);
	LAST(r, 2001);
	IN(r, .seq = 1, .ack = 3001, .flags = A);
	IN(r, .seq = 1, .ack = 3001, .flags = A, .sack = { { 2001, 3001 } });
	ck_assert(!r->c->tlp_out);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	ck_assert_uint_ge(r->c->cwnd, cwnd);
	ck_assert_uint_eq(r->c->rack.reo_mult, 0); /* 6.2: not the detector's fault */
	COUNT(r, tcp_tlp_repaired, 0);
	rig_free(r);
}
END_TEST

START_TEST(after_the_probe_the_timeout_starts_anew) /* 7.3 */
{
	struct rig *r = out(_i, 3);
	rig_after_ms(r, 43);
	LAST(r, 2001);
	rig_after_ms(r, 235);
	QUIET(r);
	rig_after_ms(r, 10);
	SEG(r, 1);
	COUNT(r, tcp_rto_fired, 1);
	COUNT(r, tcp_tlp_probe, 1);
	rig_free(r);
}
END_TEST

START_TEST(nobody_probes_a_peer_without_sack) /* 7.1 */
{
	struct rig *r = rig_established(.mss = 1000, .rtt_ms = 40);
	rig_send(r, 3000);
	rig_drain(r);
	rig_after_ms(r, 190);
	QUIET(r);
	COUNT(r, tcp_tlp_probe, 0);
	rig_free(r);
}
END_TEST

START_TEST(timeout_marks_only_what_is_old) /* 6.3 */
{
	struct rig *r = out(_i, 5);
	rig_after_ms(r, 43); /* the probe */
	rig_drain(r);
	rig_after_ms(r, 230);
	rig_send(r, 2000); /* left 14 ms before the timeout */
	ck_assert_uint_eq(rig_drain(r), 2);
	rig_after_ms(r, 14);
	SEG(r, 1);
	COUNT(r, tcp_rto_fired, 1);
	ck_assert_uint_eq(tcp_lost(r->c), 4000);
	ck_assert_uint_eq(tcp_pipe(r->c), 3000);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_rack", { one_held_segment_waits_for_a_quarter_of_the_rtt },
	 { what_comes_in_the_window_was_only_late },
	 { with_reordering_seen_three_duplicates_do_not_suffice },
	 { with_reordering_seen_the_window_grows_by_what_arrives },
	 { a_lost_retransmission_is_found }, { a_retransmission_is_not_late_by_what_left_before },
	 { dsack_widens_the_window },
	 { a_lost_tail_is_probed_after_two_rtt }, { the_probe_makes_loss_visible },
	 { the_probe_is_new_data_if_there_is_any }, { a_single_segment_is_probed_later },
	 { a_probe_that_repaired_costs_window }, { a_probe_that_came_twice_costs_nothing },
	 { after_the_probe_the_timeout_starts_anew }, { nobody_probes_a_peer_without_sack },
	 { timeout_marks_only_what_is_old })
