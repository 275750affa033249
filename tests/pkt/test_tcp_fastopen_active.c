/* TCP Fast Open, the client's side (RFC 7413): what rides on the SYN, and what comes of it. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

static const uint8_t some_cookie[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

/* Another connection to the same server, its ISN is from now on the test's 0. */
static void open_again(struct rig *r)
{
	struct tcp_flow f = r->flow;

	f.local.port = (uint16_t)(81 + r->n_sock);
	r->flow = f;
	r->c = &rig_new_sock(r)->c;
	r->c->opts = r->opt.o;
	r->c->opts.fastopen_syn = true;
	r->c->opts.rcvbuf = 65535;
	ck_assert_int_eq(tcp_connect(&r->env, r->c, &f, r->now_ns), 0);
	r->iss = r->c->iss.v;
	rig_after_us(r, 0);
}

/* A client that has a cookie of its server, which announced this MSS. */
static struct rig *client(const struct rig_opts *o, uint16_t mss)
{
	struct rig *r = rig_start(o);

	open_again(r);
	OUT(r, .seq = 0, .flags = S, .fo = 1);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = mss, .fo = 9, .cookie = some_cookie);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	rig_abort(r);
	rig_drain(r);
	return r;
}
#define CLIENT(mss, ...) client(RIG_OPTS(.fastopen = TCP_FO_CLIENT, __VA_ARGS__), mss)

START_TEST(syn_waits_for_the_data) /* RFC 7413 4.2.2 client */
{
	struct rig *r = CLIENT(1460);
	open_again(r);
	QUIET(r);
	ck_assert_uint_eq(r->c->fo_room, 1420);
	rig_send(r, 100);
	OUT(r, .seq = 0, .flags = S, .len = 100, .fo = 9, .cookie = some_cookie);
	IN(r, .seq = 0, .ack = 101, .flags = S | A, .mss = 1460);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 101, .ack = 1, .flags = A);
	ck_assert(r->c->fo_acked);
	ck_assert_uint_eq(r->c->tx_bytes, 100);
	COUNT(r, tcp_fastopen_active, 1);
	EVENTS(r, TCPE_CONNECTED | TCPE_WRITABLE);
	rig_send(r, 5);
	OUT(r, .seq = 101, .ack = 1, .flags = A, .len = 5);
	rig_free(r);
}
END_TEST

START_TEST(syn_takes_what_the_server_s_mss_allows) /* RFC 7413 4.1.3: the cookie is kept with the MSS */
{
	struct rig *r = CLIENT(600);
	open_again(r);
	ck_assert_uint_eq(r->c->fo_room, 560);
	rig_send(r, 1000);
	OUT(r, .seq = 0, .flags = S, .len = 560, .fo = 9, .cookie = some_cookie);
	IN(r, .seq = 0, .ack = 561, .flags = S | A, .mss = 600);
	OUT(r, .seq = 561, .ack = 1, .flags = A, .len = 440);
	rig_free(r);
}
END_TEST

START_TEST(data_not_taken_leaves_at_once) /* RFC 7413 4.2.2 client 3 */
{
	struct rig *r = CLIENT(1460);
	open_again(r);
	rig_send(r, 100);
	OUT(r, .seq = 0, .flags = S, .len = 100, .fo = 9);
	rig_after_ms(r, 30);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 100);
	ck_assert(!r->c->fo_acked);
	ck_assert_uint_eq(r->c->rtt.srtt_us, 30000);
	IN(r, .seq = 1, .ack = 101, .flags = A);
	ck_assert_uint_eq(r->c->tx_bytes, 100);
	rig_free(r);
}
END_TEST

START_TEST(part_of_the_data_may_be_taken)
{
	struct rig *r = CLIENT(1460);
	open_again(r);
	rig_send(r, 100);
	rig_drain(r);
	IN(r, .seq = 0, .ack = 61, .flags = S | A, .mss = 1460);
	OUT(r, .seq = 61, .ack = 1, .flags = A | P, .len = 40);
	ck_assert_uint_eq(r->c->tx_bytes, 60);
	rig_free(r);
}
END_TEST

START_TEST(syn_ack_beyond_the_data_is_wrong) /* RFC 9293 3.10.7.3 first */
{
	struct rig *r = CLIENT(1460);
	open_again(r);
	rig_send(r, 100);
	rig_drain(r);
	IN(r, .seq = 0, .ack = 102, .flags = S | A, .mss = 1460);
	OUT(r, .seq = 102, .flags = R);
	STATE(r, SYN_SENT);
	rig_free(r);
}
END_TEST

START_TEST(lost_syn_is_repeated_without_data_and_option) /* RFC 7413 4.1.3.1 */
{
	struct rig *r = CLIENT(1460);
	open_again(r);
	rig_send(r, 100);
	OUT(r, .seq = 0, .flags = S, .len = 100, .fo = 9);
	rig_after_ms(r, 1000);
	OUT(r, .seq = 0, .flags = S);
	COUNT(r, tcp_fastopen_lost, 1);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 100);
	IN(r, .seq = 1, .ack = 101, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(late_syn_ack_of_the_lost_one_is_good)
{
	struct rig *r = CLIENT(1460);
	open_again(r);
	rig_send(r, 100);
	rig_after_ms(r, 1000);
	rig_drain(r);
	IN(r, .seq = 0, .ack = 101, .flags = S | A, .mss = 1460);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 101, .ack = 1, .flags = A);
	ck_assert_uint_eq(r->c->tx_bytes, 100);
	rig_free(r);
}
END_TEST

START_TEST(path_that_swallows_data_is_left_alone) /* RFC 7413 7.1 */
{
	struct rig *r = CLIENT(1460);
	for (int i = 0; i < 2; i++) {
		open_again(r);
		rig_send(r, 100);
		OUT(r, .seq = 0, .flags = S, .len = 100, .fo = 9);
		rig_after_ms(r, 1000);
		OUT(r, .seq = 0, .flags = S);
		rig_abort(r);
	}
	open_again(r);
	OUT(r, .seq = 0, .flags = S); /* neither data nor option */
	rig_abort(r);
	rig_after_ms(r, 60000);
	open_again(r);
	QUIET(r);
	rig_send(r, 100);
	OUT(r, .seq = 0, .flags = S, .len = 100, .fo = 9);
	IN(r, .seq = 0, .ack = 101, .flags = S | A, .mss = 1460); /* it works again */
	rig_drain(r);
	rig_abort(r);
	rig_drain(r);
	open_again(r);
	QUIET(r);
	rig_abort(r);
	rig_free(r);
}
END_TEST

START_TEST(server_may_replace_the_cookie)
{
	static const uint8_t other[4] = { 9, 9, 9, 9 };
	struct rig *r = CLIENT(1460);
	open_again(r);
	rig_send(r, 10);
	OUT(r, .seq = 0, .flags = S, .len = 10, .fo = 9);
	IN(r, .seq = 0, .ack = 11, .flags = S | A, .mss = 1460, .fo = 5, .cookie = other);
	rig_drain(r);
	rig_abort(r);
	rig_drain(r);
	open_again(r);
	rig_send(r, 10);
	OUT(r, .seq = 0, .flags = S, .len = 10, .fo = 5, .cookie = other);
	rig_free(r);
}
END_TEST

START_TEST(nothing_happens_unasked) /* Linux' tcp_fastopen bit 0; the program has to want it, too */
{
	struct rig *r = rig_new();
	open_again(r);
	OUT(r, .seq = 0, .flags = S);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	rig_free(r);
	r = CLIENT(1460);
	r->c = &rig_new_sock(r)->c;
	r->c->opts.rcvbuf = 65535;
	r->flow.local.port = 99;
	ck_assert_int_eq(tcp_connect(&r->env, r->c, &r->flow, r->now_ns), 0);
	r->iss = r->c->iss.v;
	rig_after_us(r, 0);
	OUT(r, .seq = 0, .flags = S);
	rig_free(r);
}
END_TEST

START_TEST(without_cookies_by_agreement) /* TCP_FASTOPEN_NO_COOKIE, Linux' tcp_fastopen bit 2 */
{
	for (int i = 0; i < 2; i++) {
		struct rig *r = rig_new(.fastopen = TCP_FO_CLIENT | (i ? TCP_FO_CLIENT_NO_COOKIE : 0),
					.o.fastopen_no_cookie = i == 0);
		open_again(r);
		rig_send(r, 10);
		OUT(r, .seq = 0, .flags = S, .len = 10);
		IN(r, .seq = 0, .ack = 11, .flags = S | A, .mss = 1460);
		OUT(r, .seq = 11, .ack = 1, .flags = A);
		rig_free(r);
	}
}
END_TEST

START_TEST(close_before_the_data_sends_nothing)
{
	struct rig *r = CLIENT(1460);
	open_again(r);
	rig_after_ms(r, 10000);
	QUIET(r);
	rig_close(r);
	QUIET(r);
	RELEASED(r);
	rig_free(r);
}
END_TEST

START_TEST(crossed_syns_forget_about_it) /* RFC 9293 3.5 figure 7 */
{
	struct rig *r = CLIENT(1460);
	open_again(r);
	rig_send(r, 10);
	OUT(r, .seq = 0, .flags = S, .len = 10, .fo = 9);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	rig_free(r);
	r = CLIENT(1460);
	open_again(r);
	IN(r, .seq = 0, .flags = S, .mss = 1460); /* ours still waits */
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	rig_free(r);
}
END_TEST

START_TEST(refusal_ends_it) /* RFC 9293 3.10.7.3 second */
{
	struct rig *r = CLIENT(1460);
	open_again(r);
	rig_send(r, 10);
	rig_drain(r);
	IN(r, .seq = 0, .ack = 11, .flags = R | A);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ECONNREFUSED);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_fastopen_active", { syn_waits_for_the_data },
	 { syn_takes_what_the_server_s_mss_allows }, { data_not_taken_leaves_at_once },
	 { part_of_the_data_may_be_taken }, { syn_ack_beyond_the_data_is_wrong },
	 { lost_syn_is_repeated_without_data_and_option }, { late_syn_ack_of_the_lost_one_is_good },
	 { path_that_swallows_data_is_left_alone }, { server_may_replace_the_cookie },
	 { nothing_happens_unasked }, { without_cookies_by_agreement },
	 { close_before_the_data_sends_nothing }, { crossed_syns_forget_about_it },
	 { refusal_ends_it })
