/* A peer with SACK: the scoreboard, pipe, what is sent again and in which order, rate reduction. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

/* Ten segments of 1000 bytes are out, 20 more are written. */
static struct rig *ten_out(int variant)
{
	struct rig *r = rig_make(&(struct rig_opts){ .variant = variant, .mss = 1000, .rtt_ms = 10,
						     .sack = true, .o.nodelay = true,
						     .o.cc = RIG_RENO },
				 TCPS_ESTABLISHED);
	rig_send(r, 30000);
	ck_assert_uint_eq(rig_drain(r), 10);
	rig_events(r);
	rig_after_ms(r, 10);
	return r;
}

#define SEG(r, n) OUT(r, .seq = (n), .ack = 1, .flags = A, .len = 1000)

START_TEST(each_block_lets_one_new_segment_out) /* RFC 3042, RFC 6675 5 (3) */
{
	struct rig *r = ten_out(_i);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 2001 } });
	SEG(r, 10001);
	ck_assert_uint_eq(tcp_pipe(r->c), 10000);
	ck_assert_int_eq(r->c->recovery, TCPR_DISORDER);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 3001 } });
	SEG(r, 11001);
	QUIET(r);
	COUNT(r, tcp_fast_retrans, 0);
	rig_free(r);
}
END_TEST

START_TEST(third_held_segment_starts_recovery) /* RFC 6675 5, RFC 8985 6.2 step 4 */
{
	struct rig *r = ten_out(_i);
	IN_MORE(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 2001 } });
	IN_MORE(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 3001 } });
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 4001 } });
	SEG(r, 1);
	QUIET(r);
	ck_assert_uint_eq(r->c->ssthresh, 5000);
	ck_assert_uint_eq(tcp_pipe(r->c), 7000);
	COUNT(r, tcp_fast_retrans, 1);
	rig_free(r);
}
END_TEST

START_TEST(one_ack_with_three_segments_is_enough) /* RFC 6675 4 IsLost: bytes count, not ACKs */
{
	struct rig *r = ten_out(_i);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 4001 } });
	SEG(r, 1);
	rig_free(r);
}
END_TEST

START_TEST(all_holes_below_are_sent_again_lowest_first) /* RFC 6675 5 (4.1), NextSeg rule 1 */
{
	struct rig *r = ten_out(_i);
	IN(r, .seq = 1, .ack = 1, .flags = A,
	   .sack = { { 8001, 10001 }, { 4001, 6001 }, { 1001, 2001 } });
	SEG(r, 1); /* RFC 6937: nothing is in the network, up to ssthresh may be */
	SEG(r, 2001);
	SEG(r, 3001);
	SEG(r, 6001);
	SEG(r, 7001);
	QUIET(r);
	ck_assert_uint_eq(tcp_pipe(r->c), 5000);
	IN(r, .seq = 1, .ack = 2001, .flags = A, .sack = { { 8001, 10001 }, { 4001, 6001 } });
	SEG(r, 10001);
	QUIET(r);
	IN(r, .seq = 1, .ack = 6001, .flags = A, .sack = { { 8001, 10001 } });
	SEG(r, 11001);
	SEG(r, 12001);
	QUIET(r);
	IN(r, .seq = 1, .ack = seq_diff(r->c->snd_nxt, r->c->iss), .flags = A);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	ck_assert_uint_eq(r->c->cwnd, 5000);
	ck_assert_uint_eq(rig_drain(r), 5);
	COUNT(r, tcp_fast_retrans, 1);
	COUNT(r, tcp_rto_fired, 0);
	rig_free(r);
}
END_TEST

START_TEST(rate_shrinks_in_proportion) /* RFC 6937 3: five leave for ten that are delivered */
{
	struct rig *r = ten_out(_i);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 4001 } });
	SEG(r, 1);
	uint32_t sent = 1;
	for (uint32_t end = 5001; end <= 10001; end += 1000) {
		IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, end } });
		sent += rig_drain(r);
		ck_assert_uint_le(tcp_pipe(r->c), 10000);
	}
	ck_assert_uint_ge(sent, 4);
	ck_assert_uint_le(sent, 5);
	ck_assert_uint_le(tcp_pipe(r->c), 5000);
	IN(r, .seq = 1, .ack = 10001, .flags = A);
	ck_assert_uint_eq(r->c->cwnd, 5000);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(impossible_blocks_are_not_believed) /* RFC 6675 4, RFC 2018 5.1 */
{
	struct rig *r = ten_out(_i);
	/* not sent yet; empty; upside down; and what is next, but not acknowledged */
	IN(r, .seq = 1, .ack = 1, .flags = A,
	   .sack = { { 9001, 11001 }, { 5001, 5001 }, { 7001, 6001 }, { 1, 9001 } });
	QUIET(r);
	ck_assert(tcp_runs_empty(&r->c->board));
	COUNT(r, tcp_drop_sack, 4);
	rig_free(r);
}
END_TEST

START_TEST(without_negotiation_blocks_mean_nothing) /* RFC 2018 2 */
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 5000);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 4001 } });
	ck_assert(tcp_runs_empty(&r->c->board));
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(blocks_on_data_count_too) /* RFC 2018 4: on every segment */
{
	struct rig *r = ten_out(_i);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100, .sack = { { 1001, 4001 } });
	OUT(r, .seq = 1, .ack = 101, .flags = A, .len = 1000);
	rig_read(r);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(a_peer_that_throws_away_gets_it_again) /* RFC 2018 8 */
{
	struct rig *r = ten_out(_i);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 10001 } });
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1001, .flags = A); /* and all that it held is gone */
	rig_drain(r);
	rig_after_ms(r, 300);
	COUNT(r, tcp_sack_reneged, 1);
	SEG(r, 1001);
	ck_assert_uint_eq(r->c->board.bytes[TCP_RUN_HELD], 0);
	IN(r, .seq = 1, .ack = 2001, .flags = A);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(fin_in_a_hole_is_sent_again)
{
	struct rig *r = rig_established(.mss = 1000, .sack = true, .rtt_ms = 10);
	rig_send(r, 4500);
	rig_shutdown(r);
	rig_drain(r);
	rig_after_ms(r, 10);
	IN(r, .seq = 1, .ack = 1001, .flags = A, .sack = { { 2001, 4001 } });
	rig_after_ms(r, 3); /* the reordering window of min_rtt / 4 */
	SEG(r, 1001);
	IN(r, .seq = 1, .ack = 4001, .flags = A);
	rig_after_ms(r, 400);
	OUT(r, .seq = 4001, .ack = 1, .flags = A | P | F, .len = 500);
	IN(r, .seq = 1, .ack = 4502, .flags = A);
	STATE(r, FIN_WAIT_2);
	rig_free(r);
}
END_TEST

START_TEST(a_port_that_cuts_gets_whole_holes)
{
	struct rig *r = rig_make(RIG_OPTS(.mss = 1000, .rtt_ms = 10, .sack = true,
					  .tso_bytes = 64000, .o.cc = RIG_RENO), TCPS_ESTABLISHED);
	rig_send(r, 30000);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 10000);
	rig_after_ms(r, 10);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 4001, 10001 } });
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 4000);
	OUT(r, .seq = 10001, .ack = 1, .flags = A, .len = 1000);
	QUIET(r);
	rig_free(r);
}
END_TEST

START_TEST(memory_for_holes_may_run_out)
{
	struct rig *r = rig_established(.mss = 1000, .sack = true, .rtt_ms = 10, .ws = 8,
					.o.nodelay = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = 65535);
	r->c->cwnd = r->c->ssthresh = 10000000;
	rig_send(r, 3000000);
	rig_drain(r);
	rig_after_ms(r, 10);
	for (uint32_t i = 1; i < TCP_RUNS_MOST / 2 + 500; i++) {
		uint32_t at = 1 + 600 * i;
		IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { at, at + 300 } });
		rig_drain(r);
	}
	ck_assert_uint_le(r->c->board.n, TCP_RUNS_MOST);
	ck_assert_uint_gt(r->stats.v[STAT_tcp_drop_sack], 0);
	IN(r, .seq = 1, .ack = 3000001, .flags = A);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_board", { each_block_lets_one_new_segment_out }, { third_held_segment_starts_recovery },
	 { one_ack_with_three_segments_is_enough },
	 { all_holes_below_are_sent_again_lowest_first }, { rate_shrinks_in_proportion },
	 { impossible_blocks_are_not_believed }, { without_negotiation_blocks_mean_nothing },
	 { blocks_on_data_count_too }, { a_peer_that_throws_away_gets_it_again },
	 { fin_in_a_hole_is_sent_again }, { a_port_that_cuts_gets_whole_holes },
	 { memory_for_holes_may_run_out })
