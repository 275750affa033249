/* Multicast through whole workers: joined groups are heard, filtered, looped and reported. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/udp_rig.h"
#include <errno.h>
#include "stack/base/checksum.h"
#include "stack/net/igmp.h"
#include "stack/net/mcast.h"
#include "stack/wire/igmp.h"

#define G 0xef010203u
#define FAR 0x0a4d0007u

static struct udp_sock a, b;

static void setup(void)
{
	wrig_setup();
	udp_rig_start();
}
static void setup_two(void)
{
	wrig_setup_two();
	udp_rig_start();
}

static int op(struct udp_sock *s, enum udp_group_op what, uint32_t source)
{
	struct worker *me = &w[chan_port_worker(s->local.port, worker_set.n)];
	struct ipaddr g = ipaddr_v4(G), src = ipaddr_v4(source);

	stats_this_thread = &me->stats;
	return udp_group_op(&me->sock.udp, s, what, &g, &src, 7);
}

/* Frame i is a version 3 report with one record of this type and number of sources. */
static void is_report(uint32_t i, enum gmp_record type, uint32_t n)
{
	static const uint8_t mac[] = { 1, 0, 0x5e, 0, 0, 0x16 };
	const uint8_t *p = rig.sent[i].b;
	struct ip4 h;

	ck_assert_uint_lt(i, rig.n_sent);
	ck_assert_mem_eq(p, mac, 6);
	ck_assert_int_eq(ip4_parse(&h, p + 14, rig.sent[i].len - 14), 24);
	ck_assert(ip4_csum_ok(p + 14, 24));
	ck_assert_uint_eq(load_be32(p + 34), 0x94040000); /* RFC 2113 */
	ck_assert_uint_eq(h.ttl, 1);
	ck_assert_uint_eq(h.tos, 0xc0);
	ck_assert_uint_eq(h.proto, IP_PROTO_IGMP);
	ck_assert_uint_eq(h.src, RIG_US);
	ck_assert_uint_eq(h.dst, IGMP_V3_ROUTERS);
	p += 14 + 24;
	ck_assert_uint_eq(p[0], IGMP_T_REPORT3);
	ck_assert_uint_eq(load_be16(p + 6), 1);
	ck_assert_uint_eq(p[8], type);
	ck_assert_uint_eq(load_be16(p + 10), n);
	ck_assert_uint_eq(load_be32(p + 12), G);
}

START_TEST(only_joined_groups_are_heard)
{
	udp_rig_bind(&a, 0, 53);
	udp_rig_rx(RIG_PEER, G, 9, 53, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 0);
	ck_assert_int_eq(op(&a, UDP_JOIN, 0), 0);
	wrig_run();
	udp_rig_rx(RIG_PEER, G, 9, 53, 10);
	udp_rig_rx(RIG_PEER, G, 9, 53, 20000);
	udp_rig_rx(RIG_PEER, G + 1, 9, 53, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 2);
	ck_assert(note[0].multicast && note[1].multicast);
	ck_assert_uint_eq(note[1].len, 20000);
	ck_assert_uint_eq(ipaddr_get_v4(&note[0].to.addr), G);
	/* RFC 1122 3.2.2: never an error about a group */
	rig.n_sent = 0;
	udp_rig_rx(RIG_PEER, G, 9, 57, 10);
	udp_rig_rx(RIG_PEER, MCAST_ALL_HOSTS, 9, 57, 10);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert_uint_eq(COUNT(chan_port_worker(57, worker_set.n), udp_drop_nomember), 2);
	udp_rig_unbind(&a);
}
END_TEST

START_TEST(sources_are_filtered_before_and_at_the_socket)
{
	udp_rig_bind(&a, 0, 53);
	udp_rig_bind(&b, 0, 53); /* hears what the other has joined, as on Linux */
	op(&a, UDP_JOIN_SOURCE, RIG_PEER);
	udp_rig_rx(RIG_PEER, G, 9, 53, 10);
	udp_rig_rx(FAR, G, 9, 53, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 2);
	op(&b, UDP_JOIN, 0);
	udp_rig_rx(FAR, G, 9, 53, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 3);
	ck_assert_ptr_eq(note[2].s, &b);
	udp_rig_unbind(&a);
	udp_rig_unbind(&b);
}
END_TEST

START_TEST(what_we_send_to_a_group_goes_out_and_to_members)
{
	static const uint8_t mac[] = { 1, 0, 0x5e, 1, 2, 3 };
	struct sock_udp_tx tx = { .flags = CHAN_DG_MCAST_LOOP };
	struct ip4 h;

	udp_rig_bind(&a, 0, 53);
	ck_assert_int_eq(udp_rig_send(&tx, 54, G, 53, 100), 0);
	wrig_run();
	ck_assert_uint_eq(n_notes, 0);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_mem_eq(rig.sent[0].b, mac, 6);
	ck_assert_int_eq(ip4_parse(&h, rig.sent[0].b + 14, 128), 20);
	ck_assert_uint_eq(h.ttl, 1);
	ck_assert_uint_eq(h.dst, G);
	op(&a, UDP_JOIN, 0);
	wrig_run();
	rig.n_sent = 0;
	tx.ttl = 5;
	ck_assert_int_eq(udp_rig_send(&tx, 54, G, 53, 3000), 0);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 3);
	ip4_parse(&h, rig.sent[0].b + 14, 1500);
	ck_assert_uint_eq(h.ttl, 5);
	ck_assert_uint_eq(n_notes, 1);
	ck_assert(note[0].multicast);
	ck_assert_uint_eq(note[0].len, 3000);
	ck_assert_uint_eq(note[0].ifindex, 7);
	tx.flags = 0; /* IP_MULTICAST_LOOP off */
	ck_assert_int_eq(udp_rig_send(&tx, 54, G, 53, 10), 0);
	wrig_run();
	ck_assert_uint_eq(n_notes, 1);
	tx.ifindex = 99;
	ck_assert_int_eq(udp_rig_send(&tx, 54, G, 53, 10), -ENETUNREACH);
	udp_rig_unbind(&a);
}
END_TEST

/* ip(7): IP_MULTICAST_TTL 0 does not leave the host. */
START_TEST(with_ttl_0_members_here_hear_it_only)
{
	struct sock_udp_tx tx = { .flags = CHAN_DG_MCAST_LOOP | CHAN_DG_HOST_ONLY |
					   CHAN_DG_DONT_FRAG };

	udp_rig_bind(&a, 0, 53);
	op(&a, UDP_JOIN, 0);
	wrig_run();
	rig.n_sent = 0;
	ck_assert_int_eq(udp_rig_send(&tx, 54, G, 53, 100), 0);
	ck_assert_int_eq(udp_rig_send(&tx, 54, G, 53, 1472), 0);
	ck_assert_int_eq(udp_rig_send(&tx, 54, G, 53, 1473), -EMSGSIZE);
	tx.flags &= ~(uint32_t)CHAN_DG_DONT_FRAG;
	ck_assert_int_eq(udp_rig_send(&tx, 54, G, 53, 3000), 0);
	tx.flags &= ~(uint32_t)CHAN_DG_MCAST_LOOP;
	ck_assert_int_eq(udp_rig_send(&tx, 54, G, 53, 3000), 0);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert_uint_eq(n_notes, 3);
	ck_assert_uint_eq(note[0].ttl, 0);
	ck_assert_uint_eq(note[2].len, 3000);
	udp_rig_unbind(&a);
}
END_TEST

START_TEST(groups_on_loopback_stay_there)
{
	struct sock_udp_tx tx = { .flags = CHAN_DG_MCAST_LOOP, .ifindex = 1 };
	struct ipaddr g = ipaddr_v4(G), none = ipaddr_v4(0);

	udp_rig_bind(&a, 0, 53);
	struct worker *me = &w[chan_port_worker(53, worker_set.n)];
	stats_this_thread = &me->stats;
	ck_assert_int_eq(udp_group_op(&me->sock.udp, &a, UDP_JOIN, &g, &none, 1), 0);
	ck_assert_int_eq(udp_rig_send(&tx, 54, G, 53, 100), 0);
	wrig_run();
	ck_assert_uint_eq(n_notes, 1);
	ck_assert_uint_eq(note[0].ifindex, 1);
	ck_assert_uint_eq(ipaddr_get_v4(&note[0].from.addr), 0x7f000001);
	ck_assert_uint_eq(rig.n_sent, 0);
	udp_rig_unbind(&a);
}
END_TEST

START_TEST(routers_are_told)
{
	udp_rig_bind(&a, 0, 53);
	op(&a, UDP_JOIN, 0);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	is_report(0, GMP_TO_EX, 0);
	op(&a, UDP_BLOCK, FAR);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 2);
	is_report(1, GMP_TO_EX, 1);
	now += 5 * NSEC_PER_SEC;
	wrig_run();
	rig.n_sent = 0;
	/* a query for all, then the leave of a socket that closes */
	uint8_t q[12] = { IGMP_T_QUERY, 10, 0, 0, 0, 0, 0, 0, 2, 125 };
	uint16_t c = csum_fold(csum_add(0, q, 12));
	memcpy(q + 2, &c, 2);
	uint8_t p[14 + 20 + 12];
	struct ip4 h = { .src = 0, .dst = MCAST_ALL_HOSTS, .proto = IP_PROTO_IGMP, .ttl = 1,
			 .total_len = 32 };
	struct eth eth = { .dst = eth_addr_of_group4(MCAST_ALL_HOSTS), .src = rig_peer_mac(),
			   .type = ETH_TYPE_IP4 };
	eth_emit(&eth, p);
	ip4_emit(&h, p + 14, IP4_CSUM_FILL);
	memcpy(p + 34, q, 12);
	wrig_rx(rig_mbuf(p, sizeof(p)));
	wrig_run();
	ck_assert_uint_eq(COUNT(0, igmp_rx_query), 1);
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert_uint_le(group_next_ns(&w[0]), now + NSEC_PER_SEC + NSEC_PER_MSEC);
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
	udp_rig_bind(&a, 0, 53);
	udp_rig_bind(&b, 0, 54);
	op(&a, UDP_JOIN, 0);
	wrig_run();
	now += 5 * NSEC_PER_SEC;
	wrig_run();
	rig.n_sent = 0;
	op(&b, UDP_JOIN, 0);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 0);
	udp_rig_rx(RIG_PEER, G, 9, 53, 10);
	udp_rig_rx(RIG_PEER, G, 9, 54, 10);
	wrig_run();
	ck_assert_uint_eq(n_notes, 2);
	udp_rig_unbind(&a);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 0);
	udp_rig_unbind(&b);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(interfaces_are_found)
{
	struct ipaddr any = ipaddr_v4(0), us = ipaddr_v4(RIG_US), lo = ipaddr_v4(0x7f000001),
		      peer = ipaddr_v4(RIG_PEER), g = ipaddr_v4(G);

	ck_assert_uint_eq(worker_host.find_interface(&w[0], 7, &any, &g), 7);
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 8, &any, &g), 0);
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 1, &any, &g), 1);
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 0, &us, &g), 7);
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 0, &lo, &g), 1);
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 0, &peer, &g), 0);
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 0, &any, &g), 7);
	rig.routes.n--; /* no default route */
	ck_assert_uint_eq(worker_host.find_interface(&w[0], 0, &any, &g), 7);
	rig.routes.n++;
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, only_joined_groups_are_heard);
	tcase_add_test(tc, sources_are_filtered_before_and_at_the_socket);
	tcase_add_test(tc, what_we_send_to_a_group_goes_out_and_to_members);
	tcase_add_test(tc, with_ttl_0_members_here_hear_it_only);
	tcase_add_test(tc, groups_on_loopback_stay_there);
	tcase_add_test(tc, routers_are_told);
	tcase_add_test(tc, interfaces_are_found);
}

int main(void)
{
	TCase *one = tcase_create("mcast"), *two = tcase_create("two workers");

	rig_eal();
	tcase_add_checked_fixture(one, setup, wrig_teardown);
	add_tests(one);
	tcase_add_checked_fixture(two, setup_two, wrig_teardown);
	add_tests(two);
	tcase_add_test(two, workers_share_a_membership);
	int failed = unit_run("mcast", one);
	return unit_run("mcast two", two) || failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
