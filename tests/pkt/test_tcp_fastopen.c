/* TCP Fast Open, the server's side (RFC 7413): cookies, connections that are open before the final ACK, and
 * how many of these there may be. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

#define SERVER_OF(n, ...) rig_listening(.fastopen = TCP_FO_SERVER, .o.fastopen = n, __VA_ARGS__)
#define SERVER(...) SERVER_OF(4, __VA_ARGS__)

/* The cookie that the server gives to this client, who does not go on. */
static void ask(struct rig *r, uint8_t cookie[8])
{
	IN(r, .seq = 700, .flags = S, .mss = 1460, .fo = 1, .rport = 7);
	ck_assert_uint_eq(r->n_out, 1);
	ck_assert(r->out[0].seg.has_fo);
	ck_assert_uint_eq(r->out[0].seg.fo.len, 8);
	memcpy(cookie, r->out[0].seg.fo.b, 8);
	rig_drain(r);
}

START_TEST(cookie_is_given_to_who_asks) /* RFC 7413 4.2.1 */
{
	struct rig *r = SERVER();
	uint8_t first[8], again[8];
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 1);
	memcpy(first, r->out[0].seg.fo.b, 8);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A, .fo = 9);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED); /* in the usual way */
	ck_assert(!r->c->fo_child);
	ask(r, again);
	ck_assert_mem_eq(first, again, 8);
	rig_free(r);
}
END_TEST

START_TEST(data_of_the_syn_is_there_at_once) /* RFC 7413 4.2.2 */
{
	struct rig *r = SERVER();
	uint8_t cookie[8];
	ask(r, cookie);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 100);
	STATE(r, SYN_RCVD);
	ck_assert(rig_sock_of(r->c)->accepted);
	OUT(r, .seq = 0, .ack = 101, .flags = S | A, .wnd = 65435);
	rig_read_n(r, 100);
	QUIET(r);
	ck_assert_uint_eq(r->listener.n_fo, 1);
	IN(r, .seq = 101, .ack = 1, .flags = A, .len = 5);
	STATE(r, ESTABLISHED);
	ck_assert_uint_eq(r->listener.n_fo, 0);
	OUT(r, .seq = 1, .ack = 106, .flags = A);
	rig_read_n(r, 5);
	COUNT(r, tcp_fastopen_passive, 1);
	rig_free(r);
}
END_TEST

START_TEST(answer_need_not_wait_for_the_final_ack) /* RFC 7413 4.2.2, figure 2 */
{
	struct rig *r = SERVER();
	uint8_t cookie[8];
	ask(r, cookie);
	IN(r, .seq = 0, .flags = S, .mss = 1000, .fo = 9, .cookie = cookie, .len = 10, .wnd = 1500);
	OUT(r, .seq = 0, .ack = 11, .flags = S | A);
	rig_read(r);
	rig_send(r, 3000);
	OUT(r, .seq = 1, .ack = 11, .flags = A, .len = 1000); /* as far as the SYN's window goes */
	rig_close(r); /* its FIN is for the time after */
	rig_drain(r);
	IN(r, .seq = 11, .ack = 1001, .flags = A, .wnd = 9000);
	STATE(r, FIN_WAIT_1);
	OUT(r, .seq = 1001, .ack = 11, .flags = A, .len = 1000);
	OUT(r, .seq = 2001, .ack = 11, .flags = F | A | P, .len = 1000);
	IN(r, .seq = 11, .ack = 3002, .flags = A | F);
	rig_drain(r);
	RELEASED(r);
	rig_free(r);
}
END_TEST

START_TEST(wrong_cookie_means_the_usual_handshake) /* RFC 7413 4.2.2: the data is not acknowledged */
{
	struct rig *r = SERVER();
	uint8_t cookie[8], good[8];
	ask(r, good);
	memcpy(cookie, good, 8);
	cookie[3] ^= 1;
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 100);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A, .fo = 9, .cookie = good);
	COUNT(r, tcp_fastopen_failed, 1);
	ck_assert_ptr_null(r->c);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	rig_read_n(r, 100);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 5, .cookie = good, .len = 9, .rport = 9);
	COUNT(r, tcp_fastopen_failed, 2); /* too short */
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(data_without_the_option_is_not_taken)
{
	struct rig *r = SERVER();
	IN(r, .seq = 0, .flags = S, .mss = 1460, .len = 100);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	ck_assert_ptr_null(r->c);
	rig_free(r);
}
END_TEST

START_TEST(option_is_ignored_where_nobody_wants_it) /* tcp(7), TCP_FASTOPEN; Linux' tcp_fastopen bit 1 */
{
	static const uint8_t any[8];
	for (int i = 0; i < 2; i++) {
		struct rig *r = rig_listening(.fastopen = i ? TCP_FO_SERVER : TCP_FO_CLIENT,
					      .o.fastopen = i ? 0 : 4);
		IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 1);
		OUT(r, .seq = 0, .ack = 1, .flags = S | A);
		IN(r, .seq = 5, .flags = S, .mss = 1460, .fo = 9, .cookie = any, .len = 10, .rport = 9);
		rig_drain(r);
		ck_assert_ptr_null(r->c);
		rig_free(r);
	}
}
END_TEST

START_TEST(some_need_no_cookie) /* TCP_FASTOPEN_NO_COOKIE, Linux' tcp_fastopen 0x200; RFC 7413 5.1 warns */
{
	for (int i = 0; i < 2; i++) {
		struct rig *r = SERVER(.o.fastopen_no_cookie = i == 0);
		r->env.fastopen |= i ? TCP_FO_SERVER_NO_COOKIE : 0;
		IN(r, .seq = 0, .flags = S, .mss = 1460, .len = 10);
		STATE(r, SYN_RCVD);
		OUT(r, .seq = 0, .ack = 11, .flags = S | A);
		rig_read_n(r, 10);
		IN(r, .seq = 11, .ack = 1, .flags = A);
		STATE(r, ESTABLISHED);
		IN(r, .seq = 5, .flags = S, .mss = 1460, .rport = 9); /* neither data nor option */
		rig_drain(r);
		ck_assert_uint_eq(r->env.n_synq, 1);
		rig_free(r);
	}
}
END_TEST

START_TEST(all_listeners_may_have_it) /* Linux' tcp_fastopen 0x400: the limit is the backlog's */
{
	struct rig *r = rig_listening(.fastopen = TCP_FO_SERVER | TCP_FO_ALL_LISTENERS |
						  TCP_FO_SERVER_NO_COOKIE, .backlog = 1);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .len = 10);
	STATE(r, SYN_RCVD);
	rig_drain(r);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .len = 10, .rport = 9);
	ck_assert_uint_eq(r->env.n_synq, 1);
	COUNT(r, tcp_fastopen_overflow, 1);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(cookie_depends_on_the_client_and_expires) /* RFC 7413 4.1.2 */
{
	struct rig *r = SERVER();
	uint8_t cookie[8], other[8], later[8];
	ask(r, cookie);
	r->flow.remote.addr = rig_addr(r, 3);
	ask(r, other);
	ck_assert(memcmp(cookie, other, 8) != 0);
	r->flow.remote.addr = rig_addr(r, 2);
	rig_after_ms(r, 6 * 3600 * 1000);
	rig_drain(r);
	/* of the last period: good, and replaced */
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 10);
	STATE(r, SYN_RCVD);
	memcpy(later, r->out[0].seg.fo.b, 8);
	r->iss = r->c->iss.v;
	OUT(r, .seq = 0, .ack = 11, .flags = S | A, .fo = 9);
	ck_assert(memcmp(cookie, later, 8) != 0);
	IN(r, .seq = 11, .ack = 1, .flags = A);
	rig_read(r);
	rig_after_ms(r, 6 * 3600 * 1000);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 10, .rport = 9);
	ck_assert_uint_eq(r->env.n_synq, 1);
	COUNT(r, tcp_fastopen_failed, 1);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(pending_ones_are_limited) /* RFC 7413 4.2.2 PendingFastOpenRequests, tcp(7) */
{
	struct rig *r = SERVER_OF(2);
	uint8_t cookie[8];
	struct tcp_conn *first = NULL;
	ask(r, cookie);
	for (uint16_t p = 1; p <= 3; p++) {
		IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 10,
		   .rport = p);
		if (p == 1)
			first = r->c;
	}
	ck_assert_uint_eq(r->listener.n_fo, 2);
	ck_assert_uint_eq(r->env.n_synq, 2); /* the asker's and the third */
	COUNT(r, tcp_fastopen_overflow, 1);
	ck_assert_uint_eq(r->out[2].seg.ack.v, r->irs + 1);
	ck_assert(!r->out[2].seg.has_fo); /* as if we did not know the option */
	rig_drain(r);
	r->c = first; /* the application may abort one as well */
	rig_abort(r);
	ck_assert_uint_eq(r->listener.n_fo, 1);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(reset_ones_count_for_a_minute) /* RFC 7413 5.1: who resets them is no reason for more */
{
	struct rig *r = SERVER_OF(1);
	uint8_t cookie[8];
	ask(r, cookie);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 10);
	rig_drain(r);
	IN(r, .seq = 11, .flags = R);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ECONNRESET);
	ck_assert_uint_eq(r->listener.n_fo, 0);
	for (uint16_t p = 1; p <= 2; p++) {
		struct tcp_conn *before = r->c;
		rig_after_ms(r, p == 1 ? 59999 : 1);
		rig_drain(r);
		IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 10,
		   .rport = p);
		ck_assert((r->c == before) == (p == 1));
		rig_drain(r);
	}
	rig_free(r);
}
END_TEST

START_TEST(repeated_syn_draws_the_syn_ack_again)
{
	struct rig *r = SERVER();
	uint8_t cookie[8];
	ask(r, cookie);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 100);
	OUT(r, .seq = 0, .ack = 101, .flags = S | A);
	rig_after_ms(r, 600);
	IN(r, .seq = 0, .flags = S, .mss = 1460); /* RFC 7413 4.1.3.1: without data */
	OUT(r, .seq = 0, .ack = 101, .flags = S | A);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	QUIET(r);
	IN(r, .seq = 101, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	rig_read_n(r, 100);
	rig_free(r);
}
END_TEST

START_TEST(syn_ack_is_repeated_and_given_up)
{
	struct rig *r = SERVER();
	uint8_t cookie[8];
	ask(r, cookie);
	rig_after_ms(r, 70000);
	rig_drain(r);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 100);
	r->iss = r->c->iss.v;
	OUT(r, .seq = 0, .ack = 101, .flags = S | A);
	rig_send(r, 10);
	OUT(r, .seq = 1, .ack = 101, .flags = A | P, .len = 10);
	for (int i = 0; i < 6; i++) {
		rig_after_ms(r, 1000ull << i);
		OUT(r, .seq = 0, .ack = 101, .flags = S | A); /* the data waits for it */
		QUIET(r);
	}
	rig_after_ms(r, 64000);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ETIMEDOUT);
	ck_assert_uint_eq(r->listener.n_fo, 0);
	rig_free(r);
}
END_TEST

START_TEST(unlisten_leaves_them_alone)
{
	struct rig *r = SERVER();
	uint8_t cookie[8];
	ask(r, cookie);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 100);
	rig_drain(r);
	tcp_unlisten(&r->env, &r->listener);
	r->listening = false;
	memset(&r->listener, 0x5a, sizeof(r->listener));
	IN(r, .seq = 101, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	rig_read_n(r, 100);
	rig_free(r);
}
END_TEST

START_TEST(full_accept_queue_comes_first)
{
	struct rig *r = SERVER(.backlog = 1);
	uint8_t cookie[8];
	ask(r, cookie);
	r->listener.n_acceptq = 2;
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 100);
	QUIET(r);
	rig_free(r);
}
END_TEST

START_TEST(no_memory_means_the_usual_handshake)
{
	struct rig *r = SERVER();
	uint8_t cookie[8];
	ask(r, cookie);
	r->conn_fail = 1;
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 100);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	rig_read_n(r, 100);
	rig_free(r);
}
END_TEST

START_TEST(small_buffer_is_not_promised_twice)
{
	struct rig *r = SERVER(.rcvbuf = 150);
	uint8_t cookie[8];
	ask(r, cookie);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .fo = 9, .cookie = cookie, .len = 100);
	OUT(r, .seq = 0, .ack = 101, .flags = S | A, .wnd = 50);
	IN(r, .seq = 101, .ack = 1, .flags = A, .len = 50);
	OUT(r, .seq = 1, .ack = 151, .flags = A, .wnd = ZERO);
	rig_read_n(r, 150);
	rig_drain(r);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_fastopen", { cookie_is_given_to_who_asks }, { data_of_the_syn_is_there_at_once },
	 { answer_need_not_wait_for_the_final_ack }, { wrong_cookie_means_the_usual_handshake },
	 { data_without_the_option_is_not_taken }, { option_is_ignored_where_nobody_wants_it },
	 { some_need_no_cookie }, { all_listeners_may_have_it },
	 { cookie_depends_on_the_client_and_expires }, { pending_ones_are_limited },
	 { reset_ones_count_for_a_minute }, { repeated_syn_draws_the_syn_ack_again },
	 { syn_ack_is_repeated_and_given_up }, { unlisten_leaves_them_alone },
	 { full_accept_queue_comes_first }, { no_memory_means_the_usual_handshake },
	 { small_buffer_is_not_promised_twice })
