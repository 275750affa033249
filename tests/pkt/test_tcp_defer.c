/* TCP_DEFER_ACCEPT: the connection waits in its record for the first bytes, as long as Linux lets it. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

/* A listener that defers `n` SYN-ACKs long; the handshake is done except for data. */
static struct rig *deferred(int variant, uint8_t n)
{
	struct rig *r = rig_make(&(struct rig_opts){ .variant = variant, .o.defer = n }, TCPS_LISTEN);

	IN(r, .seq = 0, .flags = S, .mss = 1460);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	QUIET(r);
	ck_assert_uint_eq(r->env.n_synq, 1);
	ck_assert_uint_eq(r->n_sock, 0);
	return r;
}

START_TEST(first_bytes_make_the_connection)
{
	struct rig *r = deferred(_i, 4);
	rig_after_ms(r, 700);
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	STATE(r, ESTABLISHED);
	ck_assert(rig_sock_of(r->c)->accepted);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	rig_read_n(r, 10);
	rig_free(r);
}
END_TEST

START_TEST(fin_without_a_byte_makes_it_too)
{
	struct rig *r = deferred(_i, 4);
	IN(r, .seq = 1, .ack = 1, .flags = A | F);
	STATE(r, CLOSE_WAIT);
	OUT(r, .seq = 1, .ack = 2, .flags = A);
	rig_free(r);
}
END_TEST

/* 1, 2, 4 and 8 seconds pass; only then the SYN-ACK goes out again, and the ACK that it draws will do. */
START_TEST(at_the_end_of_the_time_an_ack_will_do)
{
	struct rig *r = deferred(_i, 4);
	rig_after_ms(r, 14999);
	QUIET(r);
	IN(r, .seq = 1, .ack = 1, .flags = A); /* an ACK before that is only noted */
	ck_assert_uint_eq(r->n_sock, 0);
	rig_after_ms(r, 1);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	ck_assert(rig_sock_of(r->c)->accepted);
	COUNT(r, tcp_retrans_segs, 1);
	rig_free(r);
}
END_TEST

/* The peer that does not even answer then is asked until SYN-ACKs would not be repeated any more. */
START_TEST(peer_that_has_gone_is_forgotten)
{
	struct rig *r = deferred(_i, 2);
	rig_after_ms(r, 2999);
	QUIET(r);
	for (int again = 0; again < 4; again++) { /* after 3, 7, 15 and 31 s */
		rig_after_ms(r, again ? 4000ull << (again - 1) : 1);
		OUT(r, .seq = 0, .ack = 1, .flags = S | A);
		QUIET(r);
		ck_assert_uint_eq(r->env.n_synq, 1);
	}
	rig_after_ms(r, 32000);
	QUIET(r);
	ck_assert_uint_eq(r->env.n_synq, 0);
	COUNT(r, tcp_timeout, 1);
	rig_free(r);
}
END_TEST

/* More than the five repetitions of a SYN-ACK: whoever has answered is waited for all the same. */
START_TEST(long_time_is_waited_out)
{
	struct rig *r = deferred(_i, 7);
	rig_after_ms(r, 126999);
	QUIET(r);
	ck_assert_uint_eq(r->env.n_synq, 1);
	rig_after_ms(r, 1);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	rig_free(r);
}
END_TEST

/* Who never answered the SYN-ACK gets the usual ones. */
START_TEST(lost_syn_ack_is_repeated_as_ever)
{
	struct rig *r = rig_listening(.o.defer = 4);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	for (int again = 0; again < 3; again++) {
		rig_after_ms(r, 1000ull << again);
		OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	}
	IN(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_eq(r->n_sock, 0);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 1);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 2, .flags = A);
	rig_read_n(r, 1);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_defer", { first_bytes_make_the_connection }, { fin_without_a_byte_makes_it_too },
	 { at_the_end_of_the_time_an_ack_will_do }, { peer_that_has_gone_is_forgotten },
	 { long_time_is_waited_out }, { lost_syn_ack_is_repeated_as_ever })
