/* Local ports: Linux's rules of bind() and listen() as a table, ephemeral choice, lifetimes. */
// SPDX-License-Identifier: MIT
#include "stack/net/ports.h"
#include <errno.h>
#include <pthread.h>
#include "stack/base/util.h"
#include "stack/net/route.h"
#include "tests/unit/unit.h"

static struct ports *p;
static uint64_t now = NSEC_PER_SEC;

static void setup(void) { p = ports_new(65536, 11); }
static void teardown(void)
{
	ck_assert_uint_eq(ports_count(p), 0);
	ports_free(p);
}

static struct ports_req req(const char *addr, uint16_t port, uint32_t flags)
{
	struct ports_req r = { .proto = PORTS_TCP, .flags = flags, .uid = 1000 };
	uint8_t plen;

	ck_assert_int_eq(route_parse_prefix(addr, &r.local.addr, &plen), 0);
	r.local.port = port;
	return r;
}

enum { A = PORTS_REUSEADDR, P = PORTS_REUSEPORT, V = PORTS_V6ONLY };
static const struct {
	const char *name;
	const char *a1;
	uint32_t f1;
	bool listens;
	const char *a2;
	uint32_t f2;
	int bind2, listen2;
} rules[] = {
	{ "same address", "10.0.0.1", 0, false, "10.0.0.1", 0, -EADDRINUSE, 0 },
	{ "other address", "10.0.0.1", 0, true, "10.0.0.2", 0, 0, 0 },
	{ "any after specific", "10.0.0.1", 0, false, "0.0.0.0", 0, -EADDRINUSE, 0 },
	{ "specific after any", "0.0.0.0", 0, false, "10.0.0.1", 0, -EADDRINUSE, 0 },
	{ "reuseaddr of one", "0.0.0.0", A, false, "0.0.0.0", 0, -EADDRINUSE, 0 },
	{ "reuseaddr of both", "0.0.0.0", A, false, "0.0.0.0", A, 0, 0 },
	{ "reuseaddr of both, one listens", "0.0.0.0", A, true, "0.0.0.0", A, -EADDRINUSE, 0 },
	{ "reuseaddr, listener on another address", "10.0.0.1", A, true, "10.0.0.2", A, 0, 0 },
	{ "reuseport of both, one listens", "0.0.0.0", P, true, "0.0.0.0", P, 0, 0 },
	{ "reuseport of one", "0.0.0.0", P, true, "0.0.0.0", 0, -EADDRINUSE, 0 },
	{ "reuseport against reuseaddr", "0.0.0.0", P, false, "0.0.0.0", A, -EADDRINUSE, 0 },
	{ "dual stack any after IPv4", "10.0.0.1", 0, false, "::", 0, -EADDRINUSE, 0 },
	{ "v6only any after IPv4", "10.0.0.1", 0, true, "::", V, 0, 0 },
	{ "IPv4 any after dual stack any", "::", 0, true, "0.0.0.0", 0, -EADDRINUSE, 0 },
	{ "IPv6 address beside IPv4 any", "0.0.0.0", 0, true, "2001:db8::1", 0, 0, 0 },
	{ "v6only any after IPv6 address", "2001:db8::1", 0, false, "::", V, -EADDRINUSE, 0 },
};

START_TEST(bind_conflicts_follow_linux)
{
	struct ports_req r1 = req(rules[_i].a1, 80, rules[_i].f1);
	struct ports_req r2 = req(rules[_i].a2, 80, rules[_i].f2);
	struct port_hold *h1, *h2 = NULL;

	ck_assert_int_eq(ports_bind(p, &r1, now, &h1), 0);
	if (rules[_i].listens)
		ck_assert_int_eq(ports_listen(p, h1, now), 0);
	ck_assert_msg(ports_bind(p, &r2, now, &h2) == rules[_i].bind2, "%s", rules[_i].name);
	if (h2) {
		ck_assert_msg(ports_listen(p, h2, now) == rules[_i].listen2, "%s", rules[_i].name);
		ports_put(p, h2, 0);
	}
	ports_put(p, h1, 0);
}
END_TEST

START_TEST(only_one_of_two_reuseaddr_sockets_may_listen)
{
	struct ports_req r = req("0.0.0.0", 80, A);
	struct port_hold *h1, *h2;

	ck_assert_int_eq(ports_bind(p, &r, now, &h1), 0);
	ck_assert_int_eq(ports_bind(p, &r, now, &h2), 0);
	ck_assert_int_eq(ports_listen(p, h1, now), 0);
	ck_assert_int_eq(ports_listen(p, h1, now), 0);
	ck_assert_int_eq(ports_listen(p, h2, now), -EADDRINUSE);
	ports_unlisten(p, h1);
	ck_assert_int_eq(ports_listen(p, h2, now), 0);
	ports_put(p, h1, 0);
	ports_put(p, h2, 0);
}
END_TEST

START_TEST(reuseport_is_for_one_user)
{
	struct ports_req r = req("0.0.0.0", 80, P);
	struct port_hold *h1, *h2;

	ck_assert_int_eq(ports_bind(p, &r, now, &h1), 0);
	r.uid = 1001;
	ck_assert_int_eq(ports_bind(p, &r, now, &h2), -EADDRINUSE);
	ports_put(p, h1, 0);
}
END_TEST

START_TEST(tcp_and_udp_do_not_meet)
{
	struct ports_req r = req("0.0.0.0", 53, 0);
	struct port_hold *h1, *h2;

	ck_assert_int_eq(ports_bind(p, &r, now, &h1), 0);
	r.proto = PORTS_UDP;
	ck_assert_int_eq(ports_bind(p, &r, now, &h2), 0);
	ports_put(p, h1, 0);
	ports_put(p, h2, 0);
}
END_TEST

START_TEST(accepted_connections_keep_the_port_of_a_closed_listener)
{
	struct ports_req plain = req("0.0.0.0", 80, 0), reuse = req("0.0.0.0", 80, A);
	struct port_hold *l, *h;

	ck_assert_int_eq(ports_bind(p, &reuse, now, &l), 0);
	ck_assert_int_eq(ports_listen(p, l, now), 0);
	ports_get(l); /* a connection */
	ports_unlisten(p, l);
	ports_put(p, l, 0);
	ck_assert_int_eq(ports_bind(p, &plain, now, &h), -EADDRINUSE);
	ck_assert_int_eq(ports_bind(p, &reuse, now, &h), 0);
	ck_assert_int_eq(ports_listen(p, h, now), 0);
	ports_put(p, h, 0);
	ports_put(p, l, 0);
}
END_TEST

START_TEST(time_wait_holds_the_port_until_its_end)
{
	struct ports_req plain = req("0.0.0.0", 80, 0), reuse = req("0.0.0.0", 80, A);
	struct port_hold *l, *h;

	ck_assert_int_eq(ports_bind(p, &reuse, now, &l), 0);
	ports_get(l);
	ports_put(p, l, now + 60 * NSEC_PER_SEC);
	ports_put(p, l, 0);
	ck_assert_int_eq(ports_bind(p, &plain, now, &h), -EADDRINUSE);
	ck_assert_int_eq(ports_bind(p, &reuse, now, &h), 0);
	ports_put(p, h, 0);
	ck_assert_int_eq(ports_bind(p, &plain, now + 61 * NSEC_PER_SEC, &h), 0);
	ports_put(p, h, 0);
}
END_TEST

START_TEST(port_zero_gives_distinct_free_ports_of_the_range)
{
	static struct port_hold *h[2000];
	static uint8_t used[65536];
	struct ports_req r = req("0.0.0.0", 0, A);

	for (int i = 0; i < 2000; i++) {
		ck_assert_int_eq(ports_bind(p, &r, now, &h[i]), 0);
		uint16_t port = ports_local(h[i]).port;
		ck_assert_uint_ge(port, PORTS_EPHEMERAL_MIN);
		ck_assert_uint_le(port, PORTS_EPHEMERAL_MAX);
		ck_assert_uint_eq(used[port]++, 0);
	}
	for (int i = 0; i < 2000; i++)
		ports_put(p, h[i], 0);
}
END_TEST

START_TEST(port_zero_may_ask_for_a_remainder)
{
	static struct port_hold *h[1000];
	struct ports_req r = req("0.0.0.0", 0, 0);

	r.proto = PORTS_UDP;
	r.modulus = 3;
	r.remainder = 2;
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(ports_bind(p, &r, now, &h[i]), 0);
		ck_assert_uint_eq(ports_local(h[i]).port % 3, 2);
	}
	for (int i = 0; i < 1000; i++)
		ports_put(p, h[i], 0);
}
END_TEST

/* Linux's udp_lib_lport_inuse(): no listening, so SO_REUSEADDR of both always shares, SO_REUSEPORT of both
 * for one user. */
static const struct {
	const char *name, *a1;
	uint32_t f1;
	const char *a2;
	uint32_t f2, uid2;
	int bind2;
} udp_rules[] = {
	{ "same address", "10.0.0.1", 0, "10.0.0.1", 0, 1000, -EADDRINUSE },
	{ "any beside specific", "10.0.0.1", 0, "0.0.0.0", 0, 1000, -EADDRINUSE },
	{ "other address", "10.0.0.1", 0, "10.0.0.2", 0, 1000, 0 },
	{ "reuseaddr of one", "10.0.0.1", A, "10.0.0.1", 0, 1000, -EADDRINUSE },
	{ "reuseaddr of both", "10.0.0.1", A, "10.0.0.1", A, 1000, 0 },
	{ "reuseaddr of both, other user", "10.0.0.1", A, "0.0.0.0", A, 1001, 0 },
	{ "reuseport of one", "10.0.0.1", P, "10.0.0.1", 0, 1000, -EADDRINUSE },
	{ "reuseport of both", "10.0.0.1", P, "10.0.0.1", P, 1000, 0 },
	{ "reuseport of both, other user", "10.0.0.1", P, "10.0.0.1", P, 1001, -EADDRINUSE },
	{ "both of both, other user", "10.0.0.1", A | P, "10.0.0.1", A | P, 1001, 0 },
	{ "dual stack any", "::", 0, "10.0.0.1", 0, 1000, -EADDRINUSE },
	{ "v6only any", "::", V, "10.0.0.1", 0, 1000, 0 },
};

START_TEST(udp_bind_conflicts_follow_linux)
{
	struct ports_req r1 = req(udp_rules[_i].a1, 53, udp_rules[_i].f1);
	struct ports_req r2 = req(udp_rules[_i].a2, 53, udp_rules[_i].f2);
	struct port_hold *h1, *h2 = NULL;

	r1.proto = r2.proto = PORTS_UDP;
	r2.uid = udp_rules[_i].uid2;
	ck_assert_int_eq(ports_bind(p, &r1, now, &h1), 0);
	ck_assert_msg(ports_bind(p, &r2, now, &h2) == udp_rules[_i].bind2, "%s",
		      udp_rules[_i].name);
	if (h2)
		ports_put(p, h2, 0);
	ports_put(p, h1, 0);
}
END_TEST

static int refusals;
static bool any_port(void *arg, uint16_t port) { return true; }
static bool no_port(void *arg, uint16_t port)
{
	refusals++;
	return false;
}
static bool odd_port(void *arg, uint16_t port) { return port & 1; }

static struct endpoint server(uint16_t port)
{
	return (struct endpoint){ .addr = ipaddr_v4(0x0a4d0001), .port = port };
}

START_TEST(connects_to_one_place_walk_through_the_ports)
{
	struct ports_req r = req("10.77.0.2", 0, 0);
	struct endpoint to = server(80);
	struct port_hold *h[3];

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(ports_connect(p, &r, &to, any_port, NULL, now, &h[i]), 0);
	uint16_t first = ports_local(h[0]).port;
	ck_assert_uint_ge(first, PORTS_EPHEMERAL_MIN);
	ck_assert_uint_ne(ports_local(h[1]).port, first);
	ck_assert_uint_ne(ports_local(h[2]).port, ports_local(h[1]).port);
	for (int i = 0; i < 3; i++)
		ports_put(p, h[i], 0);
}
END_TEST

enum { LO = 40000, N = 21, EVEN = 11 };
static uint32_t seen;
static bool not_seen(void *arg, uint16_t port) { return !(seen >> (port - LO) & 1); }

/* So that a connect() to a port that bind() gave somebody does not come from that port, until no other is
 * left. */
START_TEST(bind_and_connect_take_ports_of_their_own_first)
{
	struct ports_req r = req("10.0.0.1", 0, 0);
	struct endpoint to = server(80);
	struct port_hold *h[N];
	int own = _i ? N - EVEN : EVEN;

	r.lo = LO;
	r.hi = LO + N - 1;
	seen = 0;
	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(_i ? ports_bind(p, &r, now, &h[i]) :
				      ports_connect(p, &r, &to, not_seen, NULL, now, &h[i]), 0);
		uint16_t port = ports_local(h[i]).port;
		ck_assert_int_eq(port % 2 == _i, i < own);
		seen |= 1u << (port - LO);
	}
	ck_assert_uint_eq(seen, (1u << N) - 1);
	for (int i = 0; i < N; i++)
		ports_put(p, h[i], 0);
}
END_TEST

START_TEST(connect_asks_the_caller_and_gives_up_in_the_end)
{
	struct ports_req r = req("10.77.0.2", 0, 0);
	struct endpoint to = server(80);
	struct port_hold *h;

	ck_assert_int_eq(ports_connect(p, &r, &to, no_port, NULL, now, &h), -EADDRNOTAVAIL);
	ck_assert_int_eq(refusals, PORTS_EPHEMERAL_MAX - PORTS_EPHEMERAL_MIN + 1);
	ck_assert_int_eq(ports_connect(p, &r, &to, odd_port, NULL, now, &h), 0);
	ck_assert(ports_local(h).port & 1);
	ports_put(p, h, 0);
}
END_TEST

static bool only(void *arg, uint16_t port) { return port == 40000; }

START_TEST(connections_share_a_port_with_each_other_but_not_with_bound_sockets)
{
	struct ports_req r = req("10.77.0.2", 0, 0), b = req("0.0.0.0", 40000, 0);
	struct endpoint to = server(80), to2 = server(81);
	struct port_hold *h1, *h2, *h3;

	ck_assert_int_eq(ports_connect(p, &r, &to, only, NULL, now, &h1), 0);
	ck_assert_int_eq(ports_connect(p, &r, &to2, only, NULL, now, &h2), 0);
	ck_assert_int_eq(ports_bind(p, &b, now, &h3), -EADDRINUSE);
	ports_put(p, h1, 0);
	ports_put(p, h2, 0);
	ck_assert_int_eq(ports_bind(p, &b, now, &h3), 0);
	ck_assert_int_eq(ports_connect(p, &r, &to, only, NULL, now, &h1), -EADDRNOTAVAIL);
	ports_put(p, h3, 0);
}
END_TEST

START_TEST(changed_flags_and_addresses_count)
{
	struct ports_req r = req("0.0.0.0", 80, 0), r2 = req("10.0.0.2", 80, A);
	struct endpoint specific = { .addr = ipaddr_v4(0x0a000001) };
	struct port_hold *h, *h2;

	ck_assert_int_eq(ports_bind(p, &r, now, &h), 0);
	ck_assert_int_eq(ports_bind(p, &r2, now, &h2), -EADDRINUSE);
	ports_set_flags(p, h, A);
	ck_assert_int_eq(ports_bind(p, &r2, now, &h2), 0);
	ports_put(p, h2, 0);
	ports_set_flags(p, h, 0);
	ports_set_addr(p, h, &specific);
	ck_assert_int_eq(ports_bind(p, &r2, now, &h2), 0);
	ports_put(p, h2, 0);
	ports_put(p, h, 0);
}
END_TEST

START_TEST(an_address_of_a_link_is_another_on_each_link) /* RFC 4007 6; Linux: sk_bound_dev_if */
{
	struct ports_req a = req("fe80::1", 80, 0), b = a, any = req("::", 80, 0), c;
	struct port_hold *h[3];

	a.local.scope = 7;
	b.local.scope = 8;
	ck_assert_int_eq(ports_bind(p, &a, now, &h[0]), 0);
	ck_assert_int_eq(ports_bind(p, &a, now, &h[1]), -EADDRINUSE);
	ck_assert_int_eq(ports_bind(p, &b, now, &h[1]), 0);
	ck_assert_int_eq(ports_listen(p, h[0], now), 0);
	ck_assert_int_eq(ports_listen(p, h[1], now), 0);
	ck_assert_int_eq(ports_bind(p, &any, now, &h[2]), -EADDRINUSE);
	ports_put(p, h[0], 0);
	ports_put(p, h[1], 0);
	ck_assert_int_eq(ports_bind(p, &any, now, &h[2]), 0);
	ports_set_addr(p, h[2], &a.local); /* connected */
	c = b;
	ck_assert_int_eq(ports_bind(p, &a, now, &h[0]), -EADDRINUSE);
	ck_assert_int_eq(ports_bind(p, &c, now, &h[1]), 0);
	ports_put(p, h[1], 0);
	ports_put(p, h[2], 0);
}
END_TEST

START_TEST(a_full_table_says_so)
{
	struct ports *small = ports_new(2, 1);
	struct ports_req r = req("0.0.0.0", 0, 0);
	struct port_hold *h[3];

	ck_assert_int_eq(ports_bind(small, &r, now, &h[0]), 0);
	ck_assert_int_eq(ports_bind(small, &r, now, &h[1]), 0);
	ck_assert_int_eq(ports_bind(small, &r, now, &h[2]), -ENOBUFS);
	/* A reservation that only lingered makes room when its time is over. */
	ports_put(small, h[0], now + 10);
	ck_assert_int_eq(ports_bind(small, &r, now, &h[2]), -ENOBUFS);
	ck_assert_int_eq(ports_bind(small, &r, now + 10, &h[2]), 0);
	ports_put(small, h[1], 0);
	ports_put(small, h[2], 0);
	ck_assert_uint_eq(ports_count(small), 0);
	ports_free(small);
}
END_TEST

static void *churn(void *arg)
{
	struct ports_req r = { .local = { .addr = ipaddr_v4(0) }, .uid = 1 };
	struct port_hold *h;

	for (int i = 0; i < 20000; i++) {
		if (ports_bind(p, &r, now, &h) < 0)
			return (void *)1;
		ports_get(h);
		ports_put(p, h, 0);
		ports_put(p, h, 0);
	}
	return NULL;
}

START_TEST(threads_do_not_get_in_each_others_way)
{
	pthread_t th[3];
	void *bad;

	for (int i = 0; i < 3; i++)
		pthread_create(&th[i], NULL, churn, NULL);
	for (int i = 0; i < 3; i++) {
		pthread_join(th[i], &bad);
		ck_assert_ptr_null(bad);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ports");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, bind_conflicts_follow_linux, 0, ARRAY_LEN(rules));
	tcase_add_test(tc, port_zero_may_ask_for_a_remainder);
	tcase_add_loop_test(tc, udp_bind_conflicts_follow_linux, 0, ARRAY_LEN(udp_rules));
	tcase_add_test(tc, only_one_of_two_reuseaddr_sockets_may_listen);
	tcase_add_test(tc, reuseport_is_for_one_user);
	tcase_add_test(tc, tcp_and_udp_do_not_meet);
	tcase_add_test(tc, accepted_connections_keep_the_port_of_a_closed_listener);
	tcase_add_test(tc, time_wait_holds_the_port_until_its_end);
	tcase_add_test(tc, port_zero_gives_distinct_free_ports_of_the_range);
	tcase_add_test(tc, connects_to_one_place_walk_through_the_ports);
	tcase_add_loop_test(tc, bind_and_connect_take_ports_of_their_own_first, 0, 2);
	tcase_add_test(tc, connect_asks_the_caller_and_gives_up_in_the_end);
	tcase_add_test(tc, connections_share_a_port_with_each_other_but_not_with_bound_sockets);
	tcase_add_test(tc, changed_flags_and_addresses_count);
	tcase_add_test(tc, an_address_of_a_link_is_another_on_each_link);
	tcase_add_test(tc, a_full_table_says_so);
	tcase_add_test(tc, threads_do_not_get_in_each_others_way);
	return unit_run("ports", tc);
}
