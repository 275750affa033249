/* The urgent pointer, sent and received (RFC 9293 3.8.5, RFC 6093; where they leave it open: Linux). */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

/* n bytes more, the last of them urgent. */
static void send_urgent(struct rig *r, uint32_t n)
{
	struct rig_sock *s = rig_sock_of(r->c);

	s->tx_tail += n;
	tcp_app_wrote(&r->env, r->c, s->tx_tail, r->now_ns);
	tcp_app_urgent(&r->env, r->c, s->tx_tail - 1);
	tcp_flush(&r->env, r->now_ns);
}

#define TOLD(r, n, pos) \
	do { \
		ck_assert_uint_eq((r)->n_urgent, (n)); \
		ck_assert_uint_eq((r)->urgent_pos, (pos)); \
	} while (0)

/* ---- send ---- */
START_TEST(pointer_names_the_byte_behind)
{
	struct rig *r = rig_established();
	send_urgent(r, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P | U, .len = 1, .urg = 1);
	IN(r, .seq = 1, .ack = 2, .flags = A);
	send_urgent(r, 3);
	OUT(r, .seq = 2, .ack = 1, .flags = A | P | U, .len = 3, .urg = 3);
	IN(r, .seq = 1, .ack = 5, .flags = A);
	rig_send(r, 5); /* urgent mode is over */
	OUT(r, .seq = 5, .ack = 1, .flags = A | P, .len = 5);
	rig_free(r);
}
END_TEST

START_TEST(every_segment_before_it_has_the_pointer)
{
	struct rig *r = rig_established(.mss = 1000);
	send_urgent(r, 2500);
	OUT(r, .seq = 1, .ack = 1, .flags = A | U, .len = 1000, .urg = 2500);
	OUT(r, .seq = 1001, .ack = 1, .flags = A | U, .len = 1000, .urg = 1500);
	OUT(r, .seq = 2001, .ack = 1, .flags = A | P | U, .len = 500, .urg = 500);
	rig_send(r, 1000); /* behind it */
	OUT(r, .seq = 2501, .ack = 1, .flags = A | P, .len = 1000);
	rig_free(r);
}
END_TEST

START_TEST(acks_say_it_too_while_it_waits)
{
	struct rig *r = rig_established(.wnd = 100);
	rig_send(r, 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 100);
	send_urgent(r, 1);
	QUIET(r); /* no room */
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	OUT(r, .seq = 101, .ack = 11, .flags = A | U, .urg = 1);
	rig_free(r);
}
END_TEST

START_TEST(closed_window_is_probed_with_the_pointer)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = ZERO);
	send_urgent(r, 20);
	QUIET(r);
	rig_after_ms(r, 1200);
	OUT(r, .seq = 1, .ack = 1, .flags = A | U, .urg = 20); /* acceptable: the peer learns */
	OUT(r, .seq = 0, .ack = 1, .flags = A | U, .urg = 21); /* draws an ACK */
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = 1000);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P | U, .len = 20, .urg = 20);
	rig_free(r);
}
END_TEST

START_TEST(retransmission_is_urgent_still)
{
	struct rig *r = rig_established();
	send_urgent(r, 5);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P | U, .len = 5, .urg = 5);
	rig_after_ms(r, 1100);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P | U, .len = 5, .urg = 5);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 3, .flags = A); /* a part of it */
	rig_drain(r);
	rig_after_ms(r, 3000);
	OUT(r, .seq = 3, .ack = 1, .flags = A | P | U, .len = 3, .urg = 3);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 6, .flags = A);
	rig_send(r, 1);
	OUT(r, .seq = 6, .ack = 1, .flags = A | P, .len = 1);
	rig_free(r);
}
END_TEST

START_TEST(second_urgent_byte_moves_the_pointer)
{
	struct rig *r = rig_established(.wnd = 10);
	send_urgent(r, 10);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P | U, .len = 10, .urg = 10);
	send_urgent(r, 10);
	QUIET(r);
	IN(r, .seq = 1, .ack = 11, .flags = A, .wnd = 10);
	OUT(r, .seq = 11, .ack = 1, .flags = A | P | U, .len = 10, .urg = 10);
	tcp_app_urgent(&r->env, r->c, 12); /* never to the left */
	IN(r, .seq = 1, .ack = 14, .flags = A, .wnd = 10);
	rig_after_ms(r, 1500);
	OUT(r, .seq = 14, .ack = 1, .flags = A | P | U, .len = 7, .urg = 7);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(sixteen_bits_are_the_limit)
{
	struct rig *r = rig_established(.ws = 8);
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = 1000);
	r->c->cwnd = 200000;
	send_urgent(r, 70000);
	OUT(r, .seq = 1, .ack = 1, .flags = A | U, .len = 1460, .urg = 65535);
	uint32_t seq = 1461;
	for (; 70001 - seq > 65535; seq += 1460)
		OUT(r, .seq = seq, .ack = 1, .flags = A | U, .len = 1460, .urg = 65535);
	OUT(r, .seq = seq, .ack = 1, .flags = A | U, .len = 1460, .urg = (uint16_t)(70001 - seq));
	rig_drain(r);
	/* again: far behind what is sent already a cut pointer would name a byte of no meaning */
	rig_after_ms(r, 1100);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1460);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(neither_nagle_nor_cork_holds_it)
{
	struct rig *r = rig_established(.o.cork = true);
	rig_send(r, 10);
	QUIET(r);
	send_urgent(r, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P | U, .len = 11, .urg = 11);
	send_urgent(r, 1);
	OUT(r, .seq = 12, .ack = 1, .flags = A | P | U, .len = 1, .urg = 1);
	rig_free(r);
}
END_TEST

START_TEST(no_segmentation_by_the_port_while_urgent)
{
	struct rig *r = rig_established(.tso_bytes = 30000, .mss = 1000);
	send_urgent(r, 2000);
	OUT(r, .seq = 1, .ack = 1, .flags = A | U, .len = 1000, .urg = 2000);
	OUT(r, .seq = 1001, .ack = 1, .flags = A | P | U, .len = 1000, .urg = 1000);
	IN(r, .seq = 1, .ack = 2001, .flags = A);
	rig_send(r, 3000);
	OUT(r, .seq = 2001, .ack = 1, .flags = A | P, .len = 3000);
	rig_free(r);
}
END_TEST

START_TEST(fin_follows_the_urgent_byte)
{
	struct rig *r = rig_established();
	struct rig_sock *s = rig_sock_of(r->c);
	s->tx_tail = 4;
	tcp_app_wrote(&r->env, r->c, 4, r->now_ns);
	tcp_app_urgent(&r->env, r->c, 3);
	rig_shutdown(r);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P | U | F, .len = 4, .urg = 4);
	IN(r, .seq = 1, .ack = 5, .flags = A); /* all but the FIN */
	rig_after_ms(r, 1500);
	OUT(r, .seq = 5, .ack = 1, .flags = A | F);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(nonsense_of_the_host_is_ignored)
{
	struct rig *r = rig_established();
	tcp_app_urgent(&r->env, r->c, 0); /* not written */
	rig_send(r, 10);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	IN(r, .seq = 1, .ack = 11, .flags = A);
	tcp_app_urgent(&r->env, r->c, 9); /* acknowledged */
	tcp_app_urgent(&r->env, r->c, 10);
	tcp_app_urgent(&r->env, r->c, (uint32_t)-1);
	rig_send(r, 10);
	OUT(r, .seq = 11, .ack = 1, .flags = A | P, .len = 10);
	rig_free(r);
}
END_TEST

/* ---- receive ---- */
START_TEST(pointer_is_told_before_the_byte_is_read)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A | U, .len = 10, .urg = 4);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	TOLD(r, 1, 3);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 10);
	rig_read_n(r, 10);
	IN(r, .seq = 11, .ack = 1, .flags = A | P, .len = 10); /* the fast path again */
	OUT(r, .seq = 1, .ack = 21, .flags = A);
	ck_assert(!r->c->urg_rx);
	COUNT(r, tcp_rx_urgent, 1);
	rig_free(r);
}
END_TEST

START_TEST(zero_pointer_names_the_first_byte) /* as Linux */
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A | U, .len = 2);
	OUT(r, .seq = 1, .ack = 3, .flags = A);
	TOLD(r, 1, 0);
	rig_free(r);
}
END_TEST

START_TEST(pointer_ahead_of_its_byte)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A | U, .urg = 100);
	TOLD(r, 1, 99);
	IN(r, .seq = 1, .ack = 1, .flags = A | U, .urg = 100, .len = 50);
	rig_drain(r);
	TOLD(r, 1, 99); /* no news */
	ck_assert(r->c->urg_rx);
	IN(r, .seq = 51, .ack = 1, .flags = A, .len = 49);
	rig_drain(r);
	ck_assert(r->c->urg_rx);
	IN(r, .seq = 100, .ack = 1, .flags = A, .len = 1);
	rig_drain(r);
	ck_assert(!r->c->urg_rx);
	rig_free(r);
}
END_TEST

START_TEST(older_and_repeated_pointers_are_no_news)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A | U, .urg = 100, .len = 10);
	IN(r, .seq = 11, .ack = 1, .flags = A | U, .urg = 50, .len = 10);
	TOLD(r, 1, 99);
	IN(r, .seq = 1, .ack = 1, .flags = A | U, .urg = 5, .len = 10); /* read already */
	IN(r, .seq = 21, .ack = 1, .flags = A | U, .urg = 80, .len = 10);
	TOLD(r, 1, 99);
	IN(r, .seq = 31, .ack = 1, .flags = A | U, .urg = 71, .len = 10);
	TOLD(r, 2, 100);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(repetition_of_what_is_in_order_is_no_news)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A | U, .urg = 1, .len = 1);
	TOLD(r, 1, 0);
	IN(r, .seq = 1, .ack = 1, .flags = A | U, .urg = 1, .len = 1);
	IN(r, .seq = 1, .ack = 1, .flags = A | U, .urg = 1, .len = 1);
	TOLD(r, 1, 0);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(out_of_order_it_is_told_at_once)
{
	struct rig *r = rig_established();
	IN(r, .seq = 11, .ack = 1, .flags = A | U, .urg = 1, .len = 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	TOLD(r, 1, 10);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 0);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	OUT(r, .seq = 1, .ack = 12, .flags = A);
	ck_assert(!r->c->urg_rx);
	rig_free(r);
}
END_TEST

START_TEST(pointer_beyond_the_window)
{
	struct rig *r = rig_established(.rcvbuf = 1000);
	IN(r, .seq = 1, .ack = 1, .flags = A | U, .urg = 60000, .len = 1000);
	TOLD(r, 1, 59999);
	OUT(r, .seq = 1, .ack = 1001, .flags = A, .wnd = ZERO);
	IN(r, .seq = 1001, .ack = 1, .flags = A | U, .urg = 60000); /* closed: but announced */
	TOLD(r, 2, 60999);
	rig_drain(r);
	rig_read_n(r, 1000);
	OUT(r, .seq = 1, .ack = 1001, .flags = A, .wnd = 1000);
	rig_free(r);
}
END_TEST

START_TEST(segment_outside_the_window_tells_nothing)
{
	struct rig *r = rig_established();
	IN(r, .seq = 70000, .ack = 1, .flags = A | U, .urg = 1, .len = 1);
	IN(r, .seq = (uint32_t)-70000, .ack = 1, .flags = A | U, .urg = 65535, .len = 1);
	IN(r, .seq = 1, .ack = 70000, .flags = A | U, .urg = 1, .len = 1);
	ck_assert_uint_eq(r->n_urgent, 0);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(urgent_byte_with_the_fin)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A | U | F, .urg = 3, .len = 3);
	OUT(r, .seq = 1, .ack = 5, .flags = A);
	TOLD(r, 1, 2);
	STATE(r, CLOSE_WAIT);
	IN(r, .seq = 5, .ack = 1, .flags = A | U, .urg = 9); /* nothing comes after a FIN */
	TOLD(r, 1, 2);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(half_closed_by_us_it_is_told)
{
	struct rig *r = rig_fin_wait_2();
	IN(r, .seq = 1, .ack = 2, .flags = A | U, .urg = 1, .len = 1);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	TOLD(r, 1, 0);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_urgent", { pointer_names_the_byte_behind },
	 { every_segment_before_it_has_the_pointer }, { acks_say_it_too_while_it_waits },
	 { closed_window_is_probed_with_the_pointer }, { retransmission_is_urgent_still },
	 { second_urgent_byte_moves_the_pointer }, { sixteen_bits_are_the_limit },
	 { neither_nagle_nor_cork_holds_it }, { no_segmentation_by_the_port_while_urgent },
	 { fin_follows_the_urgent_byte }, { nonsense_of_the_host_is_ignored },
	 { pointer_is_told_before_the_byte_is_read }, { zero_pointer_names_the_first_byte },
	 { pointer_ahead_of_its_byte }, { older_and_repeated_pointers_are_no_news },
	 { repetition_of_what_is_in_order_is_no_news }, { out_of_order_it_is_told_at_once },
	 { pointer_beyond_the_window }, { segment_outside_the_window_tells_nothing },
	 { urgent_byte_with_the_fin }, { half_closed_by_us_it_is_told })
