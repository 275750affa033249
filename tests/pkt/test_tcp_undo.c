/* Retransmissions that were needless: F-RTO, Eifel, D-SACK, and how the window comes back. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

/* Six segments of 1000 bytes are out since one round trip (40 ms), unsent bytes are written. */
static struct rig *out(int variant, bool sack, bool ts, uint32_t unsent)
{
	struct rig *r = rig_make(&(struct rig_opts){ .variant = variant, .mss = ts ? 1012 : 1000,
						     .rtt_ms = 40, .sack = sack, .ts = ts,
						     .o.nodelay = true, .o.cc = RIG_RENO },
				 TCPS_ESTABLISHED);
	r->c->cwnd = 6000;
	rig_send(r, 6000 + unsent);
	ck_assert_uint_eq(rig_drain(r), 6);
	rig_events(r);
	rig_after_ms(r, 40);
	return r;
}

#define SEG(r, n) OUT(r, .seq = (n), .ack = 1, .flags = A, .len = 1000)

START_TEST(late_data_makes_a_timeout_spurious) /* RFC 5682 2.1 steps 2b, 3b */
{
	struct rig *r = out(_i, false, false, 10000);
	rig_after_ms(r, 200);
	SEG(r, 1);
	QUIET(r);
	ck_assert(r->c->frto);
	IN(r, .seq = 1, .ack = 1001, .flags = A); /* of which copy? */
	SEG(r, 6001);
	SEG(r, 7001);
	QUIET(r);
	IN(r, .seq = 1, .ack = 2001, .flags = A); /* this one was never sent again */
	COUNT(r, tcp_frto_spurious, 1);
	ck_assert(r->c->recovery <= TCPR_DISORDER);
	ck_assert_uint_eq(tcp_lost(r->c), 0);
	ck_assert_uint_ge(r->c->ssthresh, 6000);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 8001, .flags = A);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(duplicates_after_new_data_confirm_the_timeout) /* RFC 5682 2.1 step 3a */
{
	struct rig *r = out(_i, false, false, 10000);
	rig_after_ms(r, 200);
	SEG(r, 1);
	IN(r, .seq = 1, .ack = 1001, .flags = A);
	ck_assert_uint_eq(rig_drain(r), 2);
	IN(r, .seq = 1, .ack = 1001, .flags = A);
	ck_assert(!r->c->frto);
	SEG(r, 1001);
	COUNT(r, tcp_frto_spurious, 0);
	ck_assert_uint_eq(r->c->ssthresh, 3000);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(a_duplicate_first_confirms_it_at_once) /* RFC 5682 2.1 step 2a */
{
	struct rig *r = out(_i, false, false, 10000);
	rig_after_ms(r, 200);
	SEG(r, 1);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert(!r->c->frto);
	IN(r, .seq = 1, .ack = 1001, .flags = A);
	SEG(r, 1001);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(without_new_data_the_rest_goes_again) /* RFC 5682 2.1 step 2b */
{
	struct rig *r = out(_i, false, false, 0);
	rig_after_ms(r, 200);
	SEG(r, 1);
	IN(r, .seq = 1, .ack = 1001, .flags = A);
	SEG(r, 1001);
	SEG(r, 2001);
	QUIET(r);
	rig_free(r);
}
END_TEST

START_TEST(one_ack_for_a_hole_and_what_was_behind_it_proves_nothing) /* RFC 5682 2.1 */
{
	struct rig *r = out(_i, false, false, 0);
	rig_after_ms(r, 200);
	SEG(r, 1); /* the others had arrived, their duplicate ACKs were lost */
	IN(r, .seq = 1, .ack = 6001, .flags = A);
	COUNT(r, tcp_frto_spurious, 0);
	ck_assert_uint_eq(r->c->ssthresh, 3000);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_free(r);
}
END_TEST

START_TEST(held_originals_make_a_timeout_spurious_too) /* RFC 5682 3.1 step 3b */
{
	struct rig *r = out(_i, true, false, 0);
	rig_after_ms(r, 43); /* the probe */
	rig_drain(r);
	rig_after_ms(r, 245);
	SEG(r, 1);
	COUNT(r, tcp_rto_fired, 1);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 2001 } });
	COUNT(r, tcp_frto_spurious, 1);
	IN(r, .seq = 1, .ack = 6001, .flags = A);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(an_old_echo_undoes_fast_recovery) /* RFC 3522 3.2 steps 3 to 5, RFC 4015 3.2 */
{
	struct rig *r = out(_i, true, true, 0);
	uint32_t cwnd = r->c->cwnd, before = r->last_tsval;
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 4001 } });
	SEG(r, 1);
	ck_assert_uint_eq(r->c->ssthresh, 3000);
	rig_after_ms(r, 5);
	IN(r, .seq = 1, .ack = 6001, .flags = A, .tsecr = before);
	COUNT(r, tcp_undo_eifel, 1);
	ck_assert_uint_ge(r->c->ssthresh, cwnd); /* slow start leads back */
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_free(r);
}
END_TEST

START_TEST(a_new_echo_undoes_nothing) /* RFC 3522 3.2 step 5 */
{
	struct rig *r = out(_i, true, true, 0);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 4001 } });
	SEG(r, 1);
	rig_after_ms(r, 40);
	IN(r, .seq = 1, .ack = 6001, .flags = A);
	COUNT(r, tcp_undo_eifel, 0);
	ck_assert_uint_eq(r->c->cwnd, 3000);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_free(r);
}
END_TEST

START_TEST(an_old_echo_undoes_a_timeout) /* RFC 3522, RFC 4015 */
{
	struct rig *r = out(_i, false, true, 0);
	uint32_t before = r->last_tsval;
	rig_after_ms(r, 200);
	SEG(r, 1);
	IN(r, .seq = 1, .ack = 1001, .flags = A, .tsecr = before);
	COUNT(r, tcp_undo_eifel, 1);
	ck_assert_uint_eq(tcp_lost(r->c), 0);
	ck_assert_uint_eq(r->c->rtt.backoff, 0);
	QUIET(r);
	IN(r, .seq = 1, .ack = 6001, .flags = A);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_free(r);
}
END_TEST

START_TEST(dsack_for_all_that_was_sent_again_undoes) /* RFC 3708 3 */
{
	struct rig *r = out(_i, true, false, 0);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 2001, 5001 } });
	SEG(r, 1);
	SEG(r, 1001);
	IN(r, .seq = 1, .ack = 5001, .flags = A); /* so they were late */
	IN(r, .seq = 1, .ack = 5001, .flags = A, .sack = { { 1, 1001 } });
	COUNT(r, tcp_undo_dsack, 0); /* one of two */
	IN(r, .seq = 1, .ack = 5001, .flags = A, .sack = { { 1001, 2001 } });
	COUNT(r, tcp_undo_dsack, 1);
	COUNT(r, tcp_dsack_rcvd, 2);
	ck_assert_uint_ge(r->c->ssthresh, 6000);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 6001, .flags = A);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_free(r);
}
END_TEST

START_TEST(a_dsack_for_something_else_undoes_nothing) /* RFC 3708 3 */
{
	struct rig *r = out(_i, true, false, 0);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 2001, 5001 } });
	ck_assert_uint_eq(rig_drain(r), 2);
	IN(r, .seq = 1, .ack = 5001, .flags = A, .sack = { { 1001, 2001 } });
	COUNT(r, tcp_dsack_rcvd, 1);
	COUNT(r, tcp_undo_dsack, 0);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(an_echo_of_an_earlier_retransmission_is_not_old) /* RFC 3522 3.2: of which copy is it? */
{
	struct rig *r = out(_i, true, true, 4000);
	uint32_t before = r->last_tsval;

	IN(r, .seq = 1, .ack = 1, .flags = A, .tsecr = before, .sack = { { 1001, 2001 }, { 3001, 6001 } });
	SEG(r, 1);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A, .tsecr = before, .sack = { { 3001, 6001 } });
	rig_drain(r);
	COUNT(r, tcp_retrans_segs, 2); /* 1 and 2001 */
	uint32_t again = r->last_tsval;
	rig_after_ms(r, 5);
	IN(r, .seq = 1, .ack = 2001, .flags = A, .tsecr = before, .sack = { { 3001, 6001 } });
	COUNT(r, tcp_undo_eifel, 1); /* the first was late only ... */
	ck_assert(r->c->rack.reordered);
	rig_drain(r);
	rig_after_ms(r, 40);
	IN(r, .seq = 1, .ack = 2001, .flags = A, .tsecr = again,
	   .sack = { { 7001, 10001 }, { 3001, 6001 } });
	rig_after_ms(r, 40); /* ... and then another is lost */
	COUNT(r, tcp_fast_retrans, 2);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 6001, .flags = A, .tsecr = again, .sack = { { 7001, 10001 } });
	COUNT(r, tcp_undo_eifel, 1);
	rig_drain(r);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_undo", { an_echo_of_an_earlier_retransmission_is_not_old },
	 { late_data_makes_a_timeout_spurious },
	 { duplicates_after_new_data_confirm_the_timeout },
	 { a_duplicate_first_confirms_it_at_once }, { without_new_data_the_rest_goes_again },
	 { one_ack_for_a_hole_and_what_was_behind_it_proves_nothing },
	 { held_originals_make_a_timeout_spurious_too }, { an_old_echo_undoes_fast_recovery },
	 { a_new_echo_undoes_nothing }, { an_old_echo_undoes_a_timeout },
	 { dsack_for_all_that_was_sent_again_undoes }, { a_dsack_for_something_else_undoes_nothing })
