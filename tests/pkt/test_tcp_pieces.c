/* A segment that a port has joined from several, with its payload where the port has put it. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(what_was_joined_is_received_and_acknowledged_once)
{
	struct rig *r = rig_established(.mss = 1000);
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 7000, .piece = 1999);
	OUT(r, .seq = 1, .ack = 7001, .flags = A);
	EVENTS(r, TCPE_READABLE);
	rig_read(r);
	IN(r, .seq = 7001, .ack = 1, .flags = A | P, .len = 10, .piece = 1999); /* one that is short */
	OUT(r, .seq = 1, .ack = 7011, .flags = A);
	rig_events(r);
	rig_read(r);
	rig_free(r);
}
END_TEST

/* Else each segment of the usual length would count as a small one (tcp_read_acks()). */
START_TEST(pieces_do_not_tell_the_segments_length)
{
	struct rig *r = rig_established(.mss = 1000);
	uint16_t before = r->c->rcv_mss;
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 6000, .piece = 2000);
	OUT(r, .seq = 1, .ack = 6001, .flags = A);
	ck_assert_uint_eq(r->c->rcv_mss, before > 1000 ? before : 1000);
	rig_events(r);
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(the_fin_is_behind_the_last_piece)
{
	struct rig *r = rig_established(.mss = 1000);
	IN(r, .seq = 1, .ack = 1, .flags = A | P | F, .len = 5000, .piece = 2000);
	OUT(r, .seq = 1, .ack = 5002, .flags = A);
	EVENTS(r, TCPE_READABLE | TCPE_FIN);
	STATE(r, CLOSE_WAIT);
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(its_ack_counts_and_old_bytes_are_dropped)
{
	struct rig *r = rig_established(.mss = 1000);
	rig_send(r, 2000);
	ck_assert_uint_eq(rig_drain(r), 2);
	IN(r, .seq = 1, .ack = 1001, .flags = A, .len = 3000, .piece = 2000);
	OUT(r, .seq = 2001, .ack = 3001, .flags = A);
	ck_assert_uint_eq(tcp_tx_una(r->c), 1000);
	IN(r, .seq = 2001, .ack = 2001, .flags = A, .len = 4000, .piece = 1500);
	OUT(r, .seq = 2001, .ack = 6001, .flags = A);
	ck_assert_uint_eq(tcp_tx_una(r->c), 2000);
	rig_events(r);
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(ahead_of_a_hole_it_waits)
{
	struct rig *r = rig_established(.mss = 1000, .sack = true);
	IN(r, .seq = 1001, .ack = 1, .flags = A, .len = 4000, .piece = 2000);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 3001 } });
	OUT(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 5001 } });
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 1, .ack = 5001, .flags = A);
	rig_events(r);
	rig_read(r);
	rig_free(r);
}
END_TEST

/* Each piece by itself would be answered. */
START_TEST(what_is_not_ordinary_is_one_segment)
{
	struct rig *r = rig_fin_wait_2(.mss = 1000);
	IN(r, .seq = 1, .ack = 2, .flags = A, .len = 5000, .piece = 2000);
	OUT(r, .seq = 2, .ack = 5001, .flags = A);
	rig_events(r);
	rig_read(r);
	IN(r, .seq = 5001, .ack = 2, .flags = A, .len = 5000, .piece = 2000, .rport = 4711);
	OUT(r, .seq = 2, .flags = R, .rport = 4711);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_pieces", { what_was_joined_is_received_and_acknowledged_once },
	 { pieces_do_not_tell_the_segments_length }, { the_fin_is_behind_the_last_piece },
	 { its_ack_counts_and_old_bytes_are_dropped }, { ahead_of_a_hole_it_waits },
	 { what_is_not_ordinary_is_one_segment })
