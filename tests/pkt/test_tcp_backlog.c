/* The limits of a listener, as Linux has them: half-open connections, the accept queue, and the patience
 * with those who do not answer. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

static void syn(struct rig *r, uint16_t rport)
{
	IN(r, .seq = 0, .flags = S, .mss = 1460, .rport = rport);
}

START_TEST(backlog_limits_the_half_open) /* Linux: inet_csk_reqsk_queue_is_full() */
{
	struct rig *r = rig_listening(.backlog = 3);
	for (uint16_t p = 1; p <= 5; p++)
		syn(r, p);
	ck_assert_uint_eq(rig_drain(r), 3);
	ck_assert_uint_eq(r->listener.n_synq, 3);
	COUNT(r, tcp_drop_backlog, 2);
	rig_free(r);
}
END_TEST

START_TEST(backlog_and_one_more_may_wait_for_accept) /* Linux: sk_acceptq_is_full() */
{
	struct rig *r = rig_listening(.backlog = 1);
	r->listener.n_acceptq = 1;
	syn(r, 0);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	ck_assert_uint_eq(r->listener.n_acceptq, 2);
	syn(r, 9);
	QUIET(r); /* neither a SYN-ACK nor a RST: the peer tries again */
	COUNT(r, tcp_drop_backlog, 1);
	rig_free(r);
}
END_TEST

/* Two data threads serve one socket; iss: theirs, by port. */
static void begin(struct rig *r, uint32_t *iss, uint16_t rport)
{
	syn(r, rport);
	if (r->n_out)
		iss[rport] = r->out[r->n_out - 1].seg.seq.v;
}

static void end(struct rig *r, const uint32_t *iss, uint16_t rport)
{
	r->iss = iss[rport];
	IN(r, .seq = 1, .ack = 1, .flags = A, .rport = rport);
}

START_TEST(listeners_of_one_socket_share_its_limits)
{
	struct rig *a = rig_listening(.backlog = 3), *b = rig_listening(.backlog = 3);
	struct tcp_listen_all all = { 0 };
	uint32_t at_a[10], at_b[10];

	a->listener.all = b->listener.all = &all;
	for (uint16_t p = 1; p <= 2; p++) {
		begin(a, at_a, p);
		begin(b, at_b, p);
	}
	ck_assert_uint_eq(rig_drain(a), 2);
	ck_assert_uint_eq(rig_drain(b), 1);
	ck_assert_uint_eq(all.n[TCPQ_SYN], 3);
	ck_assert_uint_eq(all.n[TCPQ_YOUNG], 3);
	for (uint16_t p = 1; p <= 2; p++)
		end(a, at_a, p);
	end(b, at_b, 1);
	ck_assert_uint_eq(all.n[TCPQ_SYN], 0);
	ck_assert_uint_eq(all.n[TCPQ_YOUNG], 0);
	ck_assert_uint_eq(all.n[TCPQ_ACCEPT], 3);
	begin(a, at_a, 8);
	begin(b, at_b, 8);
	ck_assert_uint_eq(rig_drain(a) + rig_drain(b), 2);
	end(a, at_a, 8); /* backlog and one more */
	ck_assert_uint_eq(all.n[TCPQ_ACCEPT], 4);
	end(b, at_b, 8);
	ck_assert_uint_eq(b->listener.n_acceptq, 1);
	begin(a, at_a, 9);
	QUIET(a);
	tcp_queue_add(&a->listener, TCPQ_ACCEPT, -1); /* accept() of what the one has ... */
	end(b, at_b, 8); /* ... makes room at the other */
	ck_assert_uint_eq(b->listener.n_acceptq, 2);
	rig_free(a);
	rig_free(b);
	ck_assert_uint_eq(all.n[TCPQ_SYN], 0);
}
END_TEST

START_TEST(final_ack_waits_for_room) /* tcp(7), tcp_abort_on_overflow = 0 */
{
	struct rig *r = rig_listening(.backlog = 1);
	syn(r, 0);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	r->listener.n_acceptq = 2;
	IN(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	QUIET(r);
	ck_assert_ptr_null(r->c);
	COUNT(r, tcp_accept_overflow, 2);
	rig_after_ms(r, 1000);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	r->listener.n_acceptq = 1;
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	rig_read_n(r, 10);
	rig_free(r);
}
END_TEST

START_TEST(overflow_may_abort) /* tcp(7), tcp_abort_on_overflow = 1 */
{
	struct rig *r = rig_listening(.backlog = 1, .abort_on_overflow = true);
	syn(r, 0);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	r->listener.n_acceptq = 2;
	IN(r, .seq = 1, .ack = 1, .flags = A);
	OUT(r, .seq = 1, .flags = R);
	ck_assert_uint_eq(r->env.n_synq, 0);
	rig_free(r);
}
END_TEST

START_TEST(syn_ack_retries_are_the_listeners) /* tcp(7), TCP_SYNCNT */
{
	struct rig *r = rig_listening(.o.syncnt = 2);
	syn(r, 0);
	rig_after_ms(r, 3000);
	ck_assert_uint_eq(rig_drain(r), 3);
	rig_after_ms(r, 3999);
	ck_assert_uint_eq(r->env.n_synq, 1);
	rig_after_ms(r, 1);
	ck_assert_uint_eq(r->env.n_synq, 0);
	rig_free(r);
}
END_TEST

/* Half of the queue is for the young: old ones go after two repetitions instead of five, as Linux. */
START_TEST(crowd_of_old_ones_is_given_up_sooner)
{
	struct rig *r = rig_listening(.backlog = 16);
	for (uint16_t p = 1; p <= 9; p++)
		syn(r, p);
	rig_after_ms(r, 6999);
	ck_assert_uint_eq(r->env.n_synq, 9);
	rig_after_ms(r, 1);
	ck_assert_uint_eq(r->env.n_synq, 8); /* with eight of sixteen there is calm again */
	rig_after_ms(r, 55000);
	ck_assert_uint_eq(r->env.n_synq, 8);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(crowd_of_young_ones_is_not)
{
	struct rig *r = rig_listening(.backlog = 16);
	for (uint16_t p = 1; p <= 4; p++)
		syn(r, p);
	rig_after_ms(r, 6500);
	for (uint16_t p = 11; p <= 16; p++)
		syn(r, p);
	ck_assert_uint_eq(r->listener.n_young, 6);
	rig_after_ms(r, 500); /* the old ones' third repetition: twelve halves are more than ten */
	ck_assert_uint_eq(r->env.n_synq, 10);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(young_are_counted_whatever_becomes_of_them)
{
	struct rig *r = rig_listening(.backlog = 8);
	syn(r, 1);
	syn(r, 2);
	syn(r, 0);
	rig_drain(r);
	ck_assert_uint_eq(r->listener.n_young, 3);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_eq(r->listener.n_young, 2);
	rig_after_ms(r, 1000);
	ck_assert_uint_eq(r->listener.n_young, 0);
	ck_assert_uint_eq(r->listener.n_synq, 2);
	rig_after_ms(r, 70000);
	ck_assert_uint_eq(r->listener.n_synq, 0);
	ck_assert_uint_eq(r->listener.n_young, 0);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(syn_ack_wears_the_listeners_ip_options) /* ip(7): IP_TTL, IP_TOS, IP_MTU_DISCOVER */
{
	struct rig *r = rig_listening(.cookies = TCP_COOKIE_FULL, .backlog = 1);
	for (uint16_t p = 1; p <= 2; p++) { /* the second one is a cookie */
		syn(r, p);
		ck_assert_ptr_eq(r->out[0].opts, &r->listen_opts);
		rig_drain(r);
	}
	COUNT(r, tcp_cookie_sent, 1);
	rig_after_ms(r, 1000);
	ck_assert_ptr_eq(r->out[0].opts, &r->listen_opts);
	rig_drain(r);
	IN(r, .seq = 5, .ack = 9, .flags = A, .rport = 7); /* a RST is nobody's */
	ck_assert_ptr_null(r->out[0].opts);
	rig_drain(r);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_backlog", { backlog_limits_the_half_open },
	 { backlog_and_one_more_may_wait_for_accept }, { listeners_of_one_socket_share_its_limits },
	 { final_ack_waits_for_room },
	 { overflow_may_abort }, { syn_ack_retries_are_the_listeners },
	 { crowd_of_old_ones_is_given_up_sooner }, { crowd_of_young_ones_is_not },
	 { young_are_counted_whatever_becomes_of_them }, { syn_ack_wears_the_listeners_ip_options })
