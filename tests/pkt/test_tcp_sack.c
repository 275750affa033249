/* SACK as the receiver of data: negotiation, which blocks, D-SACK, and where they find room. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(syn_offers_and_synack_answers) /* RFC 2018 2 */
{
	struct rig *r = rig_syn_sent(.sack = true); /* its OUT compared the option */
	ck_assert(!r->c->sack_ok);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1000);
	ck_assert(r->c->sack_ok);
	rig_drain(r);
	rig_free(r);
	r = rig_listening(.sack = true);
	IN(r, .seq = 0, .flags = S, .mss = 1000);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A, .sack_ok = true);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert(r->c->sack_ok);
	rig_free(r);
}
END_TEST

START_TEST(a_peer_without_sack_hears_none) /* RFC 2018 2: "MUST NOT" */
{
	struct rig *r = rig_listening();
	IN(r, .seq = 0, .flags = S, .mss = 1000);
	ck_assert(!r->out[r->next_out].seg.sack_ok);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 1001, .ack = 1, .flags = A, .len = 1000);
	ck_assert_uint_eq(r->out[r->next_out].seg.n_sack, 0);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(simultaneous_open_negotiates_too) /* RFC 2018 2, RFC 9293 3.5 */
{
	struct rig *r = rig_syn_rcvd(.sack = true);
	ck_assert(r->c->sack_ok);
	rig_free(r);
}
END_TEST

START_TEST(first_block_holds_the_newest_segment) /* RFC 2018 4 */
{
	struct rig *r = rig_established(.sack = true);
	IN(r, .seq = 101, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 101, 201 } });
	IN(r, .seq = 301, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 301, 401 }, { 101, 201 } });
	IN(r, .seq = 201, .ack = 1, .flags = A, .len = 50); /* the older one grows */
	OUT(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 101, 251 }, { 301, 401 } });
	IN(r, .seq = 251, .ack = 1, .flags = A, .len = 50); /* both become one */
	OUT(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 101, 401 } });
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 401, .flags = A);
	rig_read_n(r, 400);
	rig_free(r);
}
END_TEST

START_TEST(four_blocks_fit_the_newest_first) /* RFC 2018 3, 4 */
{
	struct rig *r = rig_established(.sack = true);
	for (uint32_t i = 1; i <= 5; i++)
		IN(r, .seq = 1 + 200 * i, .ack = 1, .flags = A, .len = 100);
	ck_assert_uint_eq(r->n_out, 5);
	r->next_out = 4;
	OUT(r, .seq = 1, .ack = 1, .flags = A,
	    .sack = { { 1001, 1101 }, { 801, 901 }, { 601, 701 }, { 401, 501 } });
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 600); /* swallows two and a piece */
	OUT(r, .seq = 1, .ack = 701, .flags = A, /* RFC 2883 4.2: [201,301) came twice */
	    .sack = { { 201, 301 }, { 1001, 1101 }, { 801, 901 } });
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(a_duplicate_is_told_once) /* RFC 2883 4.1.1 */
{
	struct rig *r = rig_established(.sack = true, .delack = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 500);
	rig_after_ms(r, 40);
	OUT(r, .seq = 1, .ack = 501, .flags = A);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 500);
	OUT(r, .seq = 1, .ack = 501, .flags = A, .sack = { { 1, 501 } });
	rig_send(r, 10);
	OUT(r, .seq = 1, .ack = 501, .flags = A | P, .len = 10);
	COUNT(r, tcp_dsack_sent, 1);
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(a_duplicate_out_of_order_is_told_before_its_block) /* RFC 2883 4.1.2, 4.1.3 */
{
	struct rig *r = rig_established(.sack = true);
	IN(r, .seq = 501, .ack = 1, .flags = A, .len = 500);
	IN(r, .seq = 1001, .ack = 1, .flags = A, .len = 500);
	rig_drain(r);
	IN(r, .seq = 501, .ack = 1, .flags = A, .len = 500);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 501, 1001 }, { 501, 1501 } });
	rig_free(r);
}
END_TEST

START_TEST(partly_old_segments_tell_the_old_part) /* RFC 2883 4.2.1, 4.2.2 */
{
	struct rig *r = rig_established(.sack = true);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 500);
	rig_drain(r);
	IN(r, .seq = 251, .ack = 1, .flags = A, .len = 500);
	OUT(r, .seq = 1, .ack = 751, .flags = A, .sack = { { 251, 501 } });
	IN(r, .seq = 1001, .ack = 1, .flags = A, .len = 100);
	rig_drain(r);
	IN(r, .seq = 951, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 751, .flags = A, .sack = { { 1001, 1051 }, { 951, 1101 } });
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(timestamps_leave_room_for_three) /* RFC 2018 3 */
{
	struct rig *r = rig_established(.sack = true, .ts = true, .mss = 1000);
	for (uint32_t i = 1; i <= 4; i++)
		IN(r, .seq = 1 + 200 * i, .ack = 1, .flags = A, .len = 100);
	rig_drain(r);
	rig_send(r, 2000); /* and data makes room for them: 988 - 28 */
	for (int i = 0; i < 2; i++)
		OUT(r, .seq = 1 + 960 * (uint32_t)i, .ack = 1, .flags = A, .len = 960,
		    .sack = { { 801, 901 }, { 601, 701 }, { 401, 501 } });
	OUT(r, .seq = 1921, .ack = 1, .flags = A | P, .len = 80,
	    .sack = { { 801, 901 }, { 601, 701 }, { 401, 501 } });
	rig_free(r);
}
END_TEST

START_TEST(tiny_segments_keep_half_for_data)
{
	struct rig *r = rig_established(.sack = true, .mss = 48);
	for (uint32_t i = 1; i <= 4; i++)
		IN(r, .seq = 1 + 20 * i, .ack = 1, .flags = A, .len = 10);
	rig_drain(r);
	rig_send(r, 40);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 28, .sack = { { 81, 91 }, { 61, 71 } });
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(a_fin_before_told_blocks_ends_them)
{
	struct rig *r = rig_established(.sack = true);
	IN(r, .seq = 101, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 101, 201 } });
	IN(r, .seq = 51, .ack = 1, .flags = A | F, .len = 10);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 50);
	OUT(r, .seq = 1, .ack = 62, .flags = A);
	STATE(r, CLOSE_WAIT);
	rig_read(r);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_sack", { syn_offers_and_synack_answers }, { a_peer_without_sack_hears_none },
	 { simultaneous_open_negotiates_too }, { first_block_holds_the_newest_segment },
	 { four_blocks_fit_the_newest_first }, { a_duplicate_is_told_once },
	 { a_duplicate_out_of_order_is_told_before_its_block },
	 { partly_old_segments_tell_the_old_part }, { timestamps_leave_room_for_three },
	 { tiny_segments_keep_half_for_data }, { a_fin_before_told_blocks_ends_them })
