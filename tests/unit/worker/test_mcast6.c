/* IPv6 groups through whole workers: joined ones are heard, filtered, looped, and reported by MLD. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/udp_rig.h"
#include <errno.h>
#include "stack/base/checksum.h"
#include "stack/net/mcast.h"
#include "stack/net/ndp.h"
#include "stack/wire/gmp.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/ip6.h"
#include "tests/unit/net/rig6.h"

static struct udp_sock a, b;
static struct ipaddr G, H; /* ff15::1:2:3 and its neighbour */

/* The addresses of the port are joined and told before a test begins. */
static void start(void)
{
	G = a6("ff15::1:2:3");
	H = a6("ff15::1:2:4");
	rig6_add();
	udp_rig_start();
	wrig_run();
	rig.n_sent = 0;
}
static void setup(void)
{
	wrig_setup();
	start();
}
static void setup_two(void)
{
	wrig_setup_two();
	start();
}

static struct worker *worker_of_port(uint16_t port)
{
	struct worker *me = &w[chan_port_worker(port, worker_set.n)];

	stats_this_thread = &me->stats;
	me->now_ns = me->net.now_ns = now;
	return me;
}

static struct udp_sock *bind6(struct udp_sock *s, const char *addr, uint16_t port)
{
	memset(s, 0, sizeof(*s));
	udp_sock_init(s);
	s->v6 = true;
	s->local = (struct endpoint){ .addr = a6(addr), .port = port };
	udp_bind(&worker_of_port(port)->sock.udp, s);
	return s;
}

static int op(struct udp_sock *s, enum udp_group_op what, const char *source)
{
	struct ipaddr src = a6(source ? source : "::");

	return udp_group_op(&worker_of_port(s->local.port)->sock.udp, s, what, &G, &src, 7);
}

static void rx(const char *src, const struct ipaddr *dst, uint16_t dport, uint16_t n)
{
	uint8_t pkt[2000], u[UDP_HDR_LEN + 1500];
	struct ipaddr from = a6(src);
	uint32_t len = udp_emit(&(struct udp_dgram){ .sport = 9, .dport = dport, .len = n }, u) + n;

	for (uint32_t i = 0; i < n; i++)
		u[UDP_HDR_LEN + i] = udp_rig_byte(i);
	udp_store_csum(u, csum_fold(csum_add(csum_pseudo(&from, dst, IP_PROTO_UDP, len), u, len)));
	wrig_rx(wrig_frame_of(ETH_TYPE_IP6, pkt, rig6_packet(pkt, &from, dst, IP_PROTO_UDP, u, len)));
}

static int send6(struct sock_udp_tx *tx, uint16_t sport, const struct ipaddr *dst, uint16_t dport, uint32_t n)
{
	static uint8_t data[8000];
	struct sock_piece piece = { data, n };

	for (uint32_t i = 0; i < n; i++)
		data[i] = udp_rig_byte(i);
	tx->local = (struct endpoint){ .addr = a6("::"), .port = sport };
	tx->remote = (struct endpoint){ .addr = *dst, .port = dport };
	return worker_host.udp_output(worker_of_port(sport), tx, &piece, 1);
}

/* Frame i is a version 2 report with one record of this type and number of sources (RFC 3810 5, 5.2). */
static void is_report(uint32_t i, enum gmp_record type, uint32_t n)
{
	static const uint8_t mac[] = { 0x33, 0x33, 0, 0, 0, 0x16 };
	struct ipaddr routers = ip6_link_group(0x16);
	struct ip6 h;

	ck_assert_uint_lt(i, rig.n_sent);
	ck_assert_mem_eq(rig.sent[i].b, mac, 6);
	const uint8_t *p = rig6_sent(i, &h);

	ck_assert_uint_eq(h.hops, 1);
	ck_assert_uint_eq(h.next, IP6_HOPOPTS);
	ck_assert(ipaddr_eq(&h.src, &RIG6_LL) && ipaddr_eq(&h.dst, &routers));
	ck_assert_uint_eq(p[0], IP_PROTO_ICMP6);
	ck_assert_uint_eq(load_be32(p + 2), 0x05020000); /* RFC 2711 */
	ck_assert(icmp6_csum_ok(&h.src, &h.dst, p + 8, h.payload_len - 8u));
	p += 8;
	ck_assert_uint_eq(p[0], ICMP6_T_MLD_REPORT2);
	ck_assert_uint_eq(load_be16(p + 6), 1);
	ck_assert_uint_eq(p[8], type);
	ck_assert_uint_eq(load_be16(p + 10), n);
	ck_assert_mem_eq(p + 12, G.b, 16);
	ck_assert_uint_eq(h.payload_len, 8 + 8 + 20 + 16 * n);
}

START_TEST(only_joined_groups_are_heard)
{
	const struct ipaddr all = a6("ff02::1"), host = a6("ff01::1");

	bind6(&a, "::", 53);
	rx("2001:db8::1", &G, 53, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 0);
	ck_assert_int_eq(op(&a, UDP_JOIN, NULL), 0);
	wrig_run();
	rx("2001:db8::1", &G, 53, 10);
	rx("fe80::1", &G, 53, 20);
	rx("2001:db8::1", &H, 53, 10);
	rx("fe80::1", &all, 53, 30);  /* every station is in it */
	rx("fe80::1", &host, 53, 30); /* RFC 4291 2.7: not from a wire */
	wrig_run();
	ck_assert_uint_eq(n_notes, 3);
	ck_assert(note[0].multicast && ipaddr_eq(&note[0].to.addr, &G) && note[0].to.scope == 0);
	ck_assert_uint_eq(note[1].from.scope, 7);
	ck_assert_uint_eq(note[2].to.scope, 7);
	/* RFC 4443 2.4 (e): never an error about a group */
	rig.n_sent = 0;
	rx("2001:db8::1", &G, 57, 10);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert_uint_eq(COUNT(chan_port_worker(57, worker_set.n), udp_drop_nomember), 1);
	udp_rig_unbind(&a);
}
END_TEST

START_TEST(sources_are_filtered_before_and_at_the_socket)
{
	bind6(&a, "::", 53);
	bind6(&b, "::", 53); /* hears what the other has joined, as on Linux */
	op(&a, UDP_JOIN_SOURCE, "2001:db8::1");
	rx("2001:db8::1", &G, 53, 10);
	rx("2001:db8::7", &G, 53, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 2);
	b.mcast_own6 = true;
	rx("2001:db8::1", &G, 53, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 3);
	op(&b, UDP_JOIN, NULL);
	rx("2001:db8::7", &G, 53, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 4);
	ck_assert_ptr_eq(note[3].s, &b);
	udp_rig_unbind(&a);
	udp_rig_unbind(&b);
}
END_TEST

START_TEST(what_we_send_to_a_group_goes_out_and_to_members)
{
	static const uint8_t mac[] = { 0x33, 0x33, 0, 2, 0, 3 };
	struct sock_udp_tx tx = { .flags = CHAN_DG_MCAST_LOOP };
	const struct ipaddr link = a6("ff02::77"), host = a6("ff01::77");
	struct ip6 h;

	bind6(&a, "::", 53);
	ck_assert_int_eq(send6(&tx, 54, &G, 53, 100), 0);
	wrig_run();
	ck_assert_uint_eq(n_notes, 0);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_mem_eq(rig.sent[0].b, mac, 6); /* RFC 2464 7 */
	rig6_sent(0, &h);
	ck_assert_uint_eq(h.hops, 1);
	ck_assert(ipaddr_eq(&h.dst, &G) && ipaddr_eq(&h.src, &RIG6_US)); /* RFC 6724 5 rule 2 */
	op(&a, UDP_JOIN, NULL);
	wrig_run();
	rig.n_sent = 0;
	tx.ttl = 5;
	ck_assert_int_eq(send6(&tx, 54, &G, 53, 3000), 0);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 3); /* RFC 8200 4.5 */
	ck_assert_uint_eq(n_notes, 1);
	ck_assert(note[0].multicast);
	ck_assert_uint_eq(note[0].len, 3000);
	ck_assert_uint_eq(note[0].ifindex, 7);
	ck_assert_uint_eq(note[0].ttl, 5);
	tx.flags = 0; /* IPV6_MULTICAST_LOOP off */
	ck_assert_int_eq(send6(&tx, 54, &G, 53, 10), 0);
	wrig_run();
	ck_assert_uint_eq(n_notes, 1);
	rig.n_sent = 0;
	ck_assert_int_eq(send6(&tx, 54, &link, 53, 10), 0);
	ck_assert_int_eq(send6(&tx, 54, &host, 53, 10), 0); /* stays here */
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	rig6_sent(0, &h);
	ck_assert(ipaddr_eq(&h.src, &RIG6_LL));
	tx.ifindex = 99;
	ck_assert_int_eq(send6(&tx, 54, &G, 53, 10), -ENETUNREACH);
	udp_rig_unbind(&a);
}
END_TEST

START_TEST(with_hop_limit_0_members_here_hear_it_only)
{
	struct sock_udp_tx tx = { .flags = CHAN_DG_MCAST_LOOP | CHAN_DG_HOST_ONLY };

	bind6(&a, "::", 53);
	op(&a, UDP_JOIN, NULL);
	wrig_run();
	rig.n_sent = 0;
	ck_assert_int_eq(send6(&tx, 54, &G, 53, 100), 0);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert_uint_eq(n_notes, 1);
	ck_assert_uint_eq(note[0].ttl, 0);
	udp_rig_unbind(&a);
}
END_TEST

/* A socket bound to a group of a link hears that link only. */
START_TEST(a_zone_is_an_interface)
{
	const struct ipaddr link = a6("ff02::77"), none = a6("::");

	bind6(&a, "ff02::77", 53);
	bind6(&b, "ff02::77", 53);
	a.local.scope = 7;
	b.local.scope = 8;
	struct worker *me = worker_of_port(53);
	ck_assert_int_eq(udp_group_op(&me->sock.udp, &a, UDP_JOIN, &link, &none, 7), 0);
	rx("fe80::1", &link, 53, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 1);
	ck_assert_ptr_eq(note[0].s, &a);
	udp_rig_unbind(&a);
	udp_rig_unbind(&b);
}
END_TEST

static void rx_query(void)
{
	uint8_t pkt[128], p[8 + 28] = { IP_PROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0, ICMP6_T_MLD_QUERY };
	const struct ipaddr all = a6("ff02::1"), from = RIG6_PEER_LL;

	store_be16(p + 8 + 4, 1000);
	p[8 + 24] = 2;
	p[8 + 25] = 125;
	icmp6_put_csum(&from, &all, p + 8, 28);
	uint32_t n = rig6_packet(pkt, &from, &all, IP6_HOPOPTS, p, sizeof(p));
	pkt[7] = 1;
	wrig_rx(wrig_frame_of(ETH_TYPE_IP6, pkt, n));
}

/* RFC 3810 6.1: at once, 6.2: when a router asks, and when a socket closes. */
START_TEST(routers_are_told)
{
	bind6(&a, "::", 53);
	op(&a, UDP_JOIN, NULL);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	is_report(0, GMP_TO_EX, 0);
	op(&a, UDP_BLOCK, "2001:db8::7");
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 2);
	is_report(1, GMP_TO_EX, 1);
	now += 5 * NSEC_PER_SEC;
	wrig_run();
	rig.n_sent = 0;
	rx_query();
	wrig_run();
	ck_assert_uint_eq(COUNT(0, mld_rx_query), 1);
	ck_assert_uint_eq(rig.n_sent, 0);
	now += NSEC_PER_SEC + NSEC_PER_MSEC;
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	is_report(0, GMP_IS_EX, 1);
	udp_rig_unbind(&a);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 2);
	is_report(1, GMP_TO_IN, 0);
}
END_TEST

/* Sockets of two workers in one group: one membership for the routers, each hears its own port. */
START_TEST(workers_share_a_membership)
{
	bind6(&a, "::", 53);
	bind6(&b, "::", 54);
	op(&a, UDP_JOIN, NULL);
	wrig_run();
	now += 5 * NSEC_PER_SEC;
	wrig_run();
	rig.n_sent = 0;
	op(&b, UDP_JOIN, NULL);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 0);
	rx("2001:db8::1", &G, 53, 10);
	rx("2001:db8::1", &G, 54, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 2);
	udp_rig_unbind(&a);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 0);
	udp_rig_unbind(&b);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	is_report(0, GMP_TO_IN, 0);
}
END_TEST

START_TEST(interfaces_are_found)
{
	struct ipaddr link = a6("ff02::77"), src;

	ck_assert_uint_eq(worker_host.find_interface(&w[0], 7, NULL, &G), 7);
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 8, NULL, &G), 0);
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 0, NULL, &G), 7);
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 0, NULL, &link), 7);
	const struct endpoint to = { .addr = G }, on_link = { .addr = link, .scope = 7 },
			      astray = { .addr = link, .scope = 8 };
	ck_assert(worker_host.source_addr(&w[0], &to, false, &src) && ipaddr_eq(&src, &RIG6_US));
	ck_assert(worker_host.source_addr(&w[0], &on_link, false, &src) && ipaddr_eq(&src, &RIG6_LL));
	ck_assert(!worker_host.source_addr(&w[0], &astray, false, &src));
	rig.nif.n_addrs -= 2; /* without an IPv6 address it has no IPv6 groups */
	rig.routes.n = 0;
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 0, NULL, &G), 0);
	rig.nif.n_addrs += 2;
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, only_joined_groups_are_heard);
	tcase_add_test(tc, sources_are_filtered_before_and_at_the_socket);
	tcase_add_test(tc, what_we_send_to_a_group_goes_out_and_to_members);
	tcase_add_test(tc, with_hop_limit_0_members_here_hear_it_only);
	tcase_add_test(tc, a_zone_is_an_interface);
	tcase_add_test(tc, routers_are_told);
	tcase_add_test(tc, interfaces_are_found);
}

int main(void)
{
	TCase *one = tcase_create("mcast6"), *two = tcase_create("two workers");

	rig_eal();
	tcase_add_checked_fixture(one, setup, wrig_teardown);
	add_tests(one);
	tcase_add_checked_fixture(two, setup_two, wrig_teardown);
	add_tests(two);
	tcase_add_test(two, workers_share_a_membership);
	int failed = unit_run("mcast6", one);
	return unit_run("mcast6 two", two) || failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
