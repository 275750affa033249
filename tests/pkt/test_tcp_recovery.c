/* A peer without SACK: fast retransmit, NewReno, limited transmit, rate reduction, the repair after
 * a timeout. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

/* Ten segments of 1000 bytes are out. */
static struct rig *ten_out(int variant)
{
	struct rig *r = rig_make(&(struct rig_opts){ .variant = variant, .mss = 1000, .rtt_ms = 10,
						     .o.cc = RIG_RENO },
				 TCPS_ESTABLISHED);
	rig_send(r, 30000);
	ck_assert_uint_eq(rig_drain(r), 10);
	rig_events(r);
	return r;
}

static void dupacks(struct rig *r, uint32_t ack, int n)
{
	while (n--)
		IN(r, .seq = 1, .ack = ack, .flags = A);
}

START_TEST(third_duplicate_retransmits) /* RFC 5681 3.2 steps 2, 3; RFC 3042 */
{
	struct rig *r = ten_out(_i);
	dupacks(r, 1, 1);
	OUT(r, .seq = 10001, .ack = 1, .flags = A, .len = 1000); /* limited transmit */
	dupacks(r, 1, 1);
	OUT(r, .seq = 11001, .ack = 1, .flags = A, .len = 1000);
	dupacks(r, 1, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	QUIET(r);
	COUNT(r, tcp_fast_retrans, 1);
	ck_assert_uint_eq(r->c->ssthresh, 5000); /* limited transmit does not count (3.2 step 2) */
	rig_free(r);
}
END_TEST

START_TEST(further_duplicates_let_out_new_data_in_proportion) /* RFC 6937 3 */
{
	struct rig *r = ten_out(_i);
	dupacks(r, 1, 3);
	rig_drain(r);
	dupacks(r, 1, 4); /* 12000 were out, 7000 have arrived: five are still in the network */
	QUIET(r);
	dupacks(r, 1, 1);
	OUT(r, .seq = 12001, .ack = 1, .flags = A, .len = 1000);
	dupacks(r, 1, 1);
	OUT(r, .seq = 13001, .ack = 1, .flags = A, .len = 1000);
	QUIET(r);
	rig_free(r);
}
END_TEST

START_TEST(full_ack_ends_recovery) /* RFC 6582 3.2 step 3 */
{
	struct rig *r = ten_out(_i);
	dupacks(r, 1, 5);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 12001, .flags = A);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	ck_assert_uint_le(r->c->cwnd, r->c->ssthresh);
	ck_assert_uint_eq(rig_drain(r), 2); /* min(ssthresh, flight + MSS): no burst */
	rig_free(r);
}
END_TEST

START_TEST(partial_ack_retransmits_the_next_hole) /* RFC 6582 3.2 step 3 */
{
	struct rig *r = ten_out(_i);
	dupacks(r, 1, 3);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 3001, .flags = A);
	OUT(r, .seq = 3001, .ack = 1, .flags = A, .len = 1000);
	ck_assert_int_eq(r->c->recovery, TCPR_FAST);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 7001, .flags = A);
	OUT(r, .seq = 7001, .ack = 1, .flags = A, .len = 1000);
	rig_drain(r);
	uint32_t nxt = seq_diff(r->c->snd_nxt, r->c->iss);
	IN(r, .seq = 1, .ack = nxt, .flags = A);
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_drain(r);
	COUNT(r, tcp_rto_fired, 0);
	rig_free(r);
}
END_TEST

START_TEST(duplicates_must_be_real) /* RFC 5681 2: no data, same window, something outstanding */
{
	struct rig *r = ten_out(_i);
	for (int i = 0; i < 5; i++)
		IN(r, .seq = 1 + 10 * i, .ack = 1, .flags = A, .len = 10);
	ck_assert_uint_eq(r->c->dupacks, 0);
	for (int i = 0; i < 5; i++)
		IN(r, .seq = 51, .ack = 1, .flags = A, .wnd = 60000 + i);
	ck_assert_uint_eq(r->c->dupacks, 0);
	rig_drain(r);
	rig_free(r);
	r = rig_established();
	dupacks(r, 1, 10);
	ck_assert_uint_eq(r->c->dupacks, 0);
	QUIET(r);
	rig_free(r);
}
END_TEST

/* Ten segments of 1000 bytes are out, and no more is to come. */
static struct rig *last_ten_out(int variant)
{
	struct rig *r = rig_make(&(struct rig_opts){ .variant = variant, .mss = 1000, .rtt_ms = 10,
						     .o.cc = RIG_RENO },
				 TCPS_ESTABLISHED);
	rig_send(r, 10000);
	ck_assert_uint_eq(rig_drain(r), 10);
	rig_events(r);
	return r;
}

START_TEST(timeout_collapses_the_window_and_goes_back) /* RFC 5681 3.1 (4), RFC 6298 5.4 */
{
	struct rig *r = last_ten_out(_i);
	rig_after_rto(r);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	QUIET(r);
	ck_assert_uint_eq(r->c->cwnd, 1000);
	ck_assert_uint_eq(r->c->ssthresh, 5000);
	IN(r, .seq = 1, .ack = 1001, .flags = A); /* slow start over what was lost */
	OUT(r, .seq = 1001, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 2001, .ack = 1, .flags = A, .len = 1000);
	QUIET(r);
	IN(r, .seq = 1, .ack = 10001, .flags = A); /* the rest had arrived */
	ck_assert_int_eq(r->c->recovery, TCPR_OPEN);
	rig_send(r, 1000);
	OUT(r, .seq = 10001, .ack = 1, .flags = A, .len = 1000);
	rig_free(r);
}
END_TEST

START_TEST(second_timeout_keeps_ssthresh) /* RFC 5681 (4): once per loss */
{
	struct rig *r = ten_out(_i);
	rig_after_rto(r);
	rig_after_rto(r);
	ck_assert_uint_eq(rig_drain(r), 2);
	ck_assert_uint_eq(r->c->ssthresh, 5000);
	rig_free(r);
}
END_TEST

START_TEST(duplicates_after_a_timeout_do_not_retransmit_again) /* RFC 6582 4.1 */
{
	struct rig *r = ten_out(_i);
	rig_after_rto(r);
	rig_drain(r);
	dupacks(r, 1, 9);
	QUIET(r);
	COUNT(r, tcp_fast_retrans, 0);
	rig_free(r);
}
END_TEST

START_TEST(lost_tail_with_fin_is_repaired)
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 1500);
	rig_shutdown(r);
	rig_drain(r);
	rig_after_rto(r);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	IN(r, .seq = 1, .ack = 1001, .flags = A);
	OUT(r, .seq = 1001, .ack = 1, .flags = A | P | F, .len = 500);
	IN(r, .seq = 1, .ack = 1502, .flags = A);
	STATE(r, FIN_WAIT_2);
	rig_free(r);
}
END_TEST

START_TEST(window_halves_and_grows_again)
{
	struct rig *r = ten_out(_i);
	rig_send(r, 200000);
	dupacks(r, 1, 3);
	rig_drain(r);
	uint32_t una = seq_diff(r->c->snd_nxt, r->c->iss);
	for (int i = 0; i < 20; i++) {
		IN(r, .seq = 1, .ack = una, .flags = A);
		rig_drain(r);
		una = seq_diff(r->c->snd_nxt, r->c->iss);
	}
	ck_assert_uint_ge(r->c->cwnd, 20000); /* one segment a round trip */
	ck_assert_uint_le(r->c->cwnd, 28000);
	rig_free(r);
}
END_TEST

START_TEST(loss_after_three_gigabytes_is_still_found_fast) /* recover must not lag 2^31 behind */
{
	struct rig *r = rig_established(.mss = 1000, .ws = 15, .tso_bytes = 60000);
	uint32_t pos = 0;
	IN(r, .seq = 1, .ack = 1, .flags = A); /* the first scaled window */
	r->c->cwnd = 1 << 28;
	r->c->ssthresh = 1 << 28;
	while (pos < 3000u << 20) {
		rig_send(r, 1 << 24);
		pos += 1 << 24;
		rig_drain(r);
		IN(r, .seq = 1, .ack = 1 + pos, .flags = A);
	}
	rig_send(r, 10000);
	rig_drain(r);
	dupacks(r, 1 + pos, 3);
	OUT(r, .seq = 1 + pos, .ack = 1, .flags = A, .len = 1000);
	COUNT(r, tcp_fast_retrans, 1);
	rig_free(r);
}
END_TEST

START_TEST(forged_duplicates_cannot_inflate_without_end)
{
	struct rig *r = ten_out(_i);
	dupacks(r, 1, 3);
	rig_drain(r);
	dupacks(r, 1, 1000);
	ck_assert_uint_le(rig_drain(r), 30);
	ck_assert_uint_le(r->c->cwnd, 200000);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_recovery", { third_duplicate_retransmits },
	 { further_duplicates_let_out_new_data_in_proportion },
	 { full_ack_ends_recovery }, { partial_ack_retransmits_the_next_hole },
	 { duplicates_must_be_real }, { timeout_collapses_the_window_and_goes_back },
	 { second_timeout_keeps_ssthresh },
	 { duplicates_after_a_timeout_do_not_retransmit_again },
	 { lost_tail_with_fin_is_repaired }, { window_halves_and_grows_again },
	 { loss_after_three_gigabytes_is_still_found_fast },
	 { forged_duplicates_cannot_inflate_without_end })
