/* The same two link-local addresses and ports on two links are two connections (RFC 4007 6): in the table of
 * 4-tuples, in requests, cookies and TIME-WAIT, for listeners and for what ICMPv6 says. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"
#include "tests/unit/unit.h"

enum { FIRST = 7, SECOND = 8 };

/* What the rig's short forms speak of, for each link. */
struct link {
	struct tcp_flow flow;
	uint32_t iss;
	struct tcp_conn *c;
};

static struct tcp_flow on_link(uint32_t zone, uint16_t port, uint16_t rport)
{
	static const struct ipaddr us = { .b = { 0xfe, 0x80, [15] = 1 } };
	static const struct ipaddr peer = { .b = { 0xfe, 0x80, [15] = 2 } };

	return (struct tcp_flow){ .local = { .addr = us, .port = port, .scope = zone },
				  .remote = { .addr = peer, .port = rport, .scope = zone } };
}

static struct link link_of(uint32_t zone)
{
	return (struct link){ .flow = on_link(zone, 80, 40000) };
}

static void turn_to(struct rig *r, const struct link *l)
{
	r->flow = l->flow;
	r->iss = l->iss;
	r->c = l->c;
}

static struct rig *start(enum tcp_cookie_mode cookies)
{
	const struct rig_opts o = { .variant = RIG_V6, .cookies = cookies };

	return rig_start(&o);
}

/* On any address of ours. */
static struct rig *listening(enum tcp_cookie_mode cookies)
{
	struct rig *r = start(cookies);

	r->flow = (struct tcp_flow){ .local = { .port = 80 } };
	rig_listen_start(r);
	return r;
}

/* A SYN on this link; what answers it must have left by the same one. */
static void ask(struct rig *r, struct link *l)
{
	turn_to(r, l);
	IN(r, .seq = 0, .flags = S, .mss = 1440);
	ck_assert_uint_eq(r->n_out - r->next_out, 1);
	r->iss = l->iss = r->out[r->next_out].seg.seq.v;
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
}

static void established(struct rig *r, struct link *l)
{
	turn_to(r, l);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	l->c = r->c;
	ck_assert_uint_eq(r->c->flow.remote.scope, l->flow.remote.scope);
	rig_events(r);
}

START_TEST(two_links_two_connections)
{
	struct rig *r = listening(TCP_COOKIE_OFF);
	struct link a = link_of(FIRST), b = link_of(SECOND);

	ask(r, &a);
	ask(r, &b);
	ck_assert_uint_eq(r->env.n_synq, 2);
	ck_assert_uint_ne(a.iss, b.iss); /* RFC 6528: nobody's number tells another's */
	established(r, &a);
	established(r, &b);
	ck_assert_ptr_ne(a.c, b.c);
	turn_to(r, &a);
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 100);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	ck_assert_uint_eq(tcp_rx_tail(a.c), 100);
	ck_assert_uint_eq(tcp_rx_tail(b.c), 0);
	turn_to(r, &b); /* a RST on one link is none on the other */
	IN(r, .seq = 1, .flags = R);
	STATE(r, CLOSED);
	ck_assert_int_eq(a.c->state, TCPS_ESTABLISHED);
	turn_to(r, &a);
	rig_send(r, 5);
	OUT(r, .seq = 1, .ack = 101, .flags = A | P, .len = 5);
	rig_free(r);
}
END_TEST

START_TEST(a_cookie_is_good_on_its_link_only)
{
	struct rig *r = listening(TCP_COOKIE_ALWAYS);
	struct link a = link_of(FIRST), b = link_of(SECOND);

	ask(r, &a);
	ask(r, &b);
	ck_assert_uint_ne(a.iss, b.iss);
	uint32_t own = b.iss;
	b.iss = a.iss;
	turn_to(r, &b);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	COUNT(r, tcp_cookie_failed, 1);
	OUT(r, .seq = 1, .flags = R);
	b.iss = own;
	established(r, &b);
	established(r, &a);
	COUNT(r, tcp_cookie_taken, 2);
	rig_free(r);
}
END_TEST

START_TEST(time_wait_is_that_of_its_link)
{
	struct rig *r = listening(TCP_COOKIE_OFF);
	struct link a = link_of(FIRST), b = link_of(SECOND);

	ask(r, &a);
	established(r, &a);
	rig_shutdown(r);
	OUT(r, .seq = 1, .ack = 1, .flags = F | A);
	IN(r, .seq = 1, .ack = 2, .flags = F | A);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_events(r);
	ck_assert(tcp_tuple_in_use(&r->env, &a.flow, r->now_ns));
	ck_assert(!tcp_tuple_in_use(&r->env, &b.flow, r->now_ns));
	ask(r, &b); /* no word of an old connection */
	established(r, &b);
	turn_to(r, &a); /* the peer's FIN once more */
	IN(r, .seq = 1, .ack = 2, .flags = F | A);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	turn_to(r, &b);
	STATE(r, ESTABLISHED);
	rig_free(r);
}
END_TEST

START_TEST(connects_from_one_port_to_the_same_name_on_two_links)
{
	struct rig *r = start(TCP_COOKIE_OFF);
	struct link l[2] = { link_of(FIRST), link_of(SECOND) };

	for (int i = 0; i < 2; i++) {
		r->flow = l[i].flow;
		r->c = l[i].c = &rig_new_sock(r)->c;
		r->c->opts.rcvbuf = 65535;
		ck_assert_int_eq(tcp_connect(&r->env, r->c, &r->flow, r->now_ns), 0);
		r->iss = l[i].iss = r->c->iss.v;
		rig_after_ms(r, 0);
		OUT(r, .seq = 0, .flags = S);
	}
	for (int i = 1; i >= 0; i--) {
		turn_to(r, &l[i]);
		IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1440);
		STATE(r, ESTABLISHED);
		OUT(r, .seq = 1, .ack = 1, .flags = A);
	}
	turn_to(r, &l[0]);
	rig_send(r, 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 100);
	/* RFC 5927: what the other link says is not about it. */
	tcp_icmp_error(&r->env, &l[1].flow, seq_of(l[0].iss + 1), EHOSTUNREACH, true, 0, r->now_ns);
	ck_assert_int_eq(l[0].c->soft_error, 0);
	tcp_icmp_error(&r->env, &l[0].flow, seq_of(l[0].iss + 1), EHOSTUNREACH, true, 0, r->now_ns);
	ck_assert_int_eq(l[0].c->soft_error, EHOSTUNREACH);
	ck_assert_int_eq(l[1].c->soft_error, 0);
	rig_free(r);
}
END_TEST

START_TEST(listeners_of_one_address_on_two_links)
{
	struct rig *r = start(TCP_COOKIE_OFF);
	struct tcp_sockopts opts = { .rcvbuf = 65535 };
	struct link a = link_of(FIRST), b = link_of(SECOND), none = link_of(9);
	struct tcp_listener one = { .local = a.flow.local, .backlog = 8, .opts = &opts };
	struct tcp_listener two = { .local = b.flow.local, .backlog = 8, .opts = &opts }, again = one;

	ck_assert_int_eq(tcp_listen(&r->env, &one), 0);
	ck_assert_int_eq(tcp_listen(&r->env, &again), -EADDRINUSE);
	ck_assert_int_eq(tcp_listen(&r->env, &two), 0);
	ask(r, &a);
	established(r, &a);
	ck_assert_ptr_eq(a.c->listener, &one);
	ask(r, &b);
	established(r, &b);
	ck_assert_ptr_eq(b.c->listener, &two);
	ck_assert(tcp_has_listener(&r->env, &a.flow.local));
	ck_assert(!tcp_has_listener(&r->env, &none.flow.local));
	turn_to(r, &none); /* nobody listens there */
	IN(r, .seq = 0, .flags = S);
	OUT(r, .seq = 0, .ack = 1, .flags = R | A);
	tcp_unlisten(&r->env, &one);
	ck_assert(!tcp_has_listener(&r->env, &a.flow.local));
	ck_assert(tcp_has_listener(&r->env, &b.flow.local));
	tcp_unlisten(&r->env, &two);
	a.c->listener = b.c->listener = NULL;
	rig_free(r);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp_zone");

	tcase_add_test(tc, two_links_two_connections);
	tcase_add_test(tc, a_cookie_is_good_on_its_link_only);
	tcase_add_test(tc, time_wait_is_that_of_its_link);
	tcase_add_test(tc, connects_from_one_port_to_the_same_name_on_two_links);
	tcase_add_test(tc, listeners_of_one_address_on_two_links);
	return unit_run("tcp_zone", tc);
}
