/* Which socket gets a datagram: RFC 768's ports, RFC 1122 4.1, and Linux's order of preference. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "stack/base/util.h"
#include "tests/unit/udp/rig.h"

#define US "10.0.0.1"
#define US2 "10.0.0.2"
#define PEER "10.0.0.9"

/* The one socket that got it; NULL: none. */
static struct udp_sock *taker(const char *from, uint16_t sport, const char *to, uint16_t dport)
{
	uint32_t n = dgram(from, sport, to, dport);

	ck_assert_uint_le(n, 1);
	ck_assert_uint_eq(n, u.n_got);
	return n ? u.got[0] : NULL;
}

START_TEST(the_port_decides)
{
	struct udp_sock *a = bound(0, NULL, 53), *b = bound(1, NULL, 54);

	ck_assert_ptr_eq(taker(PEER, 9, US, 53), a);
	ck_assert_ptr_eq(taker(PEER, 9, US, 54), b);
	ck_assert_ptr_null(taker(PEER, 9, US, 55));
	udp_unbind(&u.env, a);
	ck_assert_ptr_null(taker(PEER, 9, US, 53));
}
END_TEST

/* Two ports whose numbers fall into one bucket are still two ports. */
START_TEST(all_ports_are_told_apart)
{
	struct udp_sock *a = bound(0, NULL, 4242);

	for (uint32_t p = 1; p < 65536; p++)
		ck_assert_ptr_eq(taker(PEER, 9, US, (uint16_t)p), p == 4242 ? a : NULL);
}
END_TEST

START_TEST(an_exact_address_beats_any_even_connected)
{
	struct udp_sock *any = bound(0, NULL, 53), *exact = bound(1, US, 53);

	any->remote = ep(PEER, 9); /* connected, but not bound to an address */
	ck_assert_ptr_eq(taker(PEER, 9, US, 53), exact);
	ck_assert_ptr_eq(taker(PEER, 9, US2, 53), any);
}
END_TEST

START_TEST(a_connected_socket_beats_an_unconnected_one_and_hears_its_peer_only)
{
	struct udp_sock *plain = bound(0, US, 53), *conn = bound(1, NULL, 53);

	connected(conn, US, PEER, 9);
	ck_assert_ptr_eq(taker(PEER, 9, US, 53), conn);
	ck_assert_ptr_eq(taker(PEER, 10, US, 53), plain);
	ck_assert_ptr_eq(taker("10.0.0.8", 9, US, 53), plain);
	udp_unbind(&u.env, plain);
	ck_assert_ptr_null(taker(PEER, 10, US, 53));
	/* dissolved: any again */
	connected(conn, NULL, NULL, 0);
	ck_assert_ptr_eq(taker(PEER, 10, US, 53), conn);
}
END_TEST

START_TEST(the_later_bound_wins_a_tie)
{
	struct udp_sock *a = bound(0, US, 53), *b = bound(1, US, 53);

	ck_assert_ptr_eq(taker(PEER, 9, US, 53), b);
	ck_assert_uint_lt(a->born, b->born);
	udp_unbind(&u.env, b);
	ck_assert_ptr_eq(taker(PEER, 9, US, 53), a);
	udp_bind(&u.env, b);
	connected(a, NULL, NULL, 0); /* its address changes: as if bound again */
	connected(a, US, NULL, 0);
	ck_assert_ptr_eq(taker(PEER, 9, US, 53), a);
}
END_TEST

START_TEST(the_own_family_comes_first)
{
	struct udp_sock *v4 = bound(0, NULL, 53), *v6 = bound6(1, "::", 53);

	ck_assert_ptr_eq(taker(PEER, 9, US, 53), v4);
	ck_assert_ptr_eq(taker("2001:db8::9", 9, "2001:db8::1", 53), v6);
	udp_unbind(&u.env, v4);
	ck_assert_ptr_eq(taker(PEER, 9, US, 53), v6); /* RFC 3493 3.7 */
	v6->v6only = true;
	ck_assert_ptr_null(taker(PEER, 9, US, 53)); /* RFC 3493 5.3 */
}
END_TEST

START_TEST(a_mapped_address_of_an_ipv6_socket_is_ipv4_only)
{
	struct udp_sock *s = bound6(0, US, 53);

	ck_assert_ptr_eq(taker(PEER, 9, US, 53), s);
	ck_assert_ptr_null(taker(PEER, 9, US2, 53));
	s->local = ep("0.0.0.0", 53);
	ck_assert_ptr_eq(taker(PEER, 9, US2, 53), s);
	ck_assert_ptr_null(taker("2001:db8::9", 9, "2001:db8::1", 53));
}
END_TEST

/* SO_REUSEPORT: each peer has one socket, all sockets get their share; who connects has left. */
START_TEST(reuseport_spreads_by_peer)
{
	uint32_t count[4] = { 0 };

	for (int i = 0; i < 4; i++) {
		u.s[i].reuseport = true;
		bound(i, NULL, 53);
	}
	for (uint16_t port = 1000; port < 2000; port++) {
		struct udp_sock *s = taker(PEER, port, US, 53);

		ck_assert_ptr_eq(taker(PEER, port, US, 53), s);
		count[s - u.s]++;
	}
	for (int i = 0; i < 4; i++)
		ck_assert_msg(count[i] > 150 && count[i] < 350, "%u", count[i]);
	connected(&u.s[3], US, PEER, 1000);
	ck_assert_ptr_eq(taker(PEER, 1000, US, 53), &u.s[3]);
	for (uint16_t port = 1001; port < 1100; port++)
		ck_assert_ptr_ne(taker(PEER, port, US, 53), &u.s[3]);
	/* one bound more precisely is a group of its own */
	u.s[4].reuseport = true;
	bound(4, US, 53);
	ck_assert_ptr_eq(taker(PEER, 1001, US, 53), &u.s[4]);
}
END_TEST

START_TEST(broadcast_goes_to_all_who_are_bound_to_any_or_to_it)
{
	bound(0, NULL, 67);
	bound(1, "10.0.0.255", 67);
	bound(2, US, 67);
	bound(3, NULL, 67);
	connected(bound(4, NULL, 67), NULL, "10.0.0.8", 68);
	bound(5, NULL, 68);
	ck_assert_uint_eq(dgram(PEER, 68, "10.0.0.255", 67), 3);
	ck_assert_uint_eq(dgram("10.0.0.8", 68, "10.0.0.255", 67), 4);
	ck_assert_uint_eq(dgram(PEER, 68, "255.255.255.255", 67), 2);
}
END_TEST

START_TEST(an_error_is_for_the_socket_that_would_get_the_answer)
{
	struct udp_sock *any = bound(0, NULL, 5000), *conn = bound(1, NULL, 5000);
	struct udp_error e = { .local = ep(US, 5000), .remote = ep(PEER, 53),
			       .err = ECONNREFUSED, .hard = true };

	connected(conn, US, PEER, 53);
	ck_assert_uint_eq(udp_icmp_error(&u.env, &e), 1);
	ck_assert_ptr_eq(u.got[0], conn);
	ck_assert_int_eq(u.error.err, ECONNREFUSED);
	e.remote.port = 54;
	ck_assert_uint_eq(udp_icmp_error(&u.env, &e), 1);
	ck_assert_ptr_eq(u.got[1], any);
	e.local.port = 5001;
	ck_assert_uint_eq(udp_icmp_error(&u.env, &e), 0);
}
END_TEST

/* In zone: of both ends. */
static uint32_t dgram_on(uint32_t zone, uint16_t sport, uint16_t dport)
{
	struct udp_rx rx = { .from = ep("fe80::2", sport), .to = ep("fe80::1", dport), .ifindex = zone };

	rx.from.scope = rx.to.scope = zone;
	u.n_got = 0;
	return udp_input(&u.env, &rx);
}

START_TEST(an_address_of_a_link_is_heard_on_that_link) /* RFC 4007 6, 9 */
{
	struct udp_sock *any = bound6(0, "::", 53), *one = bound6(1, "fe80::1", 53);
	struct udp_sock *two = bound6(2, "fe80::1", 53), *conn = bound6(3, "::", 54);
	struct udp_error e = { .local = ep("fe80::1", 54), .remote = ep("fe80::2", 9),
			       .err = ECONNREFUSED, .hard = true };
	struct endpoint local = ep("fe80::1", 54), peer = ep("fe80::2", 9);

	one->local.scope = 7;
	two->local.scope = 8;
	ck_assert_uint_eq(dgram_on(7, 9, 53), 1);
	ck_assert_ptr_eq(u.got[0], one);
	ck_assert_uint_eq(dgram_on(8, 9, 53), 1);
	ck_assert_ptr_eq(u.got[0], two);
	ck_assert_uint_eq(dgram_on(9, 9, 53), 1);
	ck_assert_ptr_eq(u.got[0], any);
	local.scope = peer.scope = 7;
	udp_connect(&u.env, conn, &local, &peer);
	ck_assert_uint_eq(dgram_on(7, 9, 54), 1);
	ck_assert_ptr_eq(u.got[0], conn);
	ck_assert_uint_eq(dgram_on(8, 9, 54), 0); /* another station of that name */
	u.n_got = 0;
	e.local.scope = e.remote.scope = 8;
	ck_assert_uint_eq(udp_icmp_error(&u.env, &e), 0);
	e.local.scope = e.remote.scope = 7;
	ck_assert_uint_eq(udp_icmp_error(&u.env, &e), 1);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("input");

	tcase_add_checked_fixture(tc, urig_setup, urig_teardown);
	tcase_add_test(tc, the_port_decides);
	tcase_add_test(tc, all_ports_are_told_apart);
	tcase_add_test(tc, an_exact_address_beats_any_even_connected);
	tcase_add_test(tc, a_connected_socket_beats_an_unconnected_one_and_hears_its_peer_only);
	tcase_add_test(tc, the_later_bound_wins_a_tie);
	tcase_add_test(tc, the_own_family_comes_first);
	tcase_add_test(tc, a_mapped_address_of_an_ipv6_socket_is_ipv4_only);
	tcase_add_test(tc, reuseport_spreads_by_peer);
	tcase_add_test(tc, broadcast_goes_to_all_who_are_bound_to_any_or_to_it);
	tcase_add_test(tc, an_error_is_for_the_socket_that_would_get_the_answer);
	tcase_add_test(tc, an_address_of_a_link_is_heard_on_that_link);
	return unit_run("input", tc);
}
