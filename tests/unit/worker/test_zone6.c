/* Link-local addresses on a worker with two ports: the zone says which one, out and in (RFC 4007). */
// SPDX-License-Identifier: MIT
#include "tests/unit/net/rig6.h"
#include <errno.h>
#include "stack/base/checksum.h"
#include "stack/wire/udp.h"
#include "tests/unit/worker/udp_rig.h"

enum { ETH = 14, FIRST = 7, SECOND = 8, NOWHERE = 9 };

static struct netif second, *both[2];
static const struct ipaddr second_ll = { .b = { 0xfe, 0x80, [15] = 3 } };
static uint8_t msg[2048], pkt[2048];

/* fe80::2 is ours on the first port, fe80::3 on the second; fe80::1 is a station on either. */
static void setup(void)
{
	wrig_setup();
	rig.nif.ifindex = FIRST;
	rig6_add();
	second = rig.nif;
	second.index = 1;
	second.ifindex = SECOND;
	second.mtu = 1400;
	second.mac[5] = 3;
	second.n_addrs = 1;
	second.addr[0] = (struct netif_addr){ .addr = second_ll, .plen = 64 };
	ck_assert_int_eq(route_add_netif(&rig.routes, &second), 0);
	both[0] = &rig.nif;
	both[1] = &second;
	w[0].conf.netif = w[0].net.netif = both;
	w[0].conf.n_netif = w[0].net.n_netif = 2;
	stats_this_thread = &w[0].stats;
	w[0].net.now_ns = now;
	for (int i = 0; i < 2; i++)
		neigh_learn(w[0].net.neigh, both[i], &RIG6_PEER_LL, rig_peer_mac(), NEIGH_HEARD_REQUEST,
			    now);
	rig.n_sent = 0;
}

static struct endpoint at(struct ipaddr a, uint32_t zone)
{
	return (struct endpoint){ .addr = a, .port = 80, .scope = zone };
}

START_TEST(a_zone_decides_about_the_way) /* RFC 4007 6 */
{
	const struct endpoint first = at(RIG6_PEER_LL, FIRST), other = at(RIG6_PEER_LL, SECOND);
	const struct endpoint none = at(RIG6_PEER_LL, 0), nowhere = at(RIG6_PEER_LL, NOWHERE);
	struct ipaddr src;

	ck_assert_uint_eq(worker_host.path_mss(&w[0], &first), 1440);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &other), 1340);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &other), 1400);
	ck_assert(worker_host.source_addr(&w[0], &first, false, &src));
	ck_assert(ipaddr_eq(&src, &RIG6_LL));
	ck_assert(worker_host.source_addr(&w[0], &other, false, &src));
	ck_assert(ipaddr_eq(&src, &second_ll));
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &none), 0);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &nowhere), 0);
	ck_assert(!worker_host.source_addr(&w[0], &nowhere, false, &src));
}
END_TEST

START_TEST(an_address_is_ours_in_its_zone_only)
{
	const struct endpoint here = at(second_ll, SECOND), there = at(second_ll, FIRST);

	ck_assert(worker_host.is_local(&w[0], &here));
	ck_assert(!worker_host.is_local(&w[0], &there));
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &here), LOOP_MSS);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &there), 1440);
}
END_TEST

static void expect_source(uint8_t mac_end, const struct ipaddr *src)
{
	struct ip6 h;

	tx_flush(&w[0]);
	ck_assert_uint_eq(rig.n_sent, 1);
	rig6_sent(0, &h);
	ck_assert_uint_eq(rig.sent[0].b[11], mac_end);
	ck_assert(ipaddr_eq(&h.src, src));
	ck_assert(ipaddr_eq(&h.dst, &RIG6_PEER_LL));
	rig.n_sent = 0;
}

START_TEST(segments_leave_by_the_port_of_the_zone)
{
	struct tcp_seg seg = { .sport = 80, .dport = 80, .flags = TCPF_ACK };
	struct tcp_flow flow = { at(second_ll, SECOND), at(RIG6_PEER_LL, SECOND) };

	worker_host.tcp_output(&w[0], &flow, &seg, NULL, 0, NULL);
	expect_source(3, &second_ll);
	flow = (struct tcp_flow){ at(RIG6_LL, FIRST), at(RIG6_PEER_LL, FIRST) };
	worker_host.tcp_output(&w[0], &flow, &seg, NULL, 0, NULL);
	expect_source(2, &RIG6_LL);
	flow.remote.scope = NOWHERE;
	worker_host.tcp_output(&w[0], &flow, &seg, NULL, 0, NULL);
	tx_flush(&w[0]);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

static int send_udp(struct endpoint from, struct endpoint to)
{
	const struct sock_udp_tx tx = { .local = from, .remote = to };
	struct sock_piece piece = { "x", 1 };

	return worker_host.udp_output(&w[0], &tx, &piece, 1);
}

START_TEST(datagrams_leave_by_the_port_of_the_zone)
{
	const struct endpoint any = at((struct ipaddr){ .b = { 0 } }, 0);

	ck_assert_int_eq(send_udp(any, at(RIG6_PEER_LL, SECOND)), 0);
	expect_source(3, &second_ll);
	ck_assert_int_eq(send_udp(any, at(RIG6_PEER_LL, FIRST)), 0);
	expect_source(2, &RIG6_LL);
	ck_assert_int_eq(send_udp(any, at(RIG6_PEER_LL, 0)), -ENETUNREACH);
	/* RFC 4007 9: an address of a link does not leave it. */
	ck_assert_int_eq(send_udp(at(second_ll, SECOND), at(RIG6_PEER_LL, FIRST)), -ENETUNREACH);
	ck_assert_int_eq(send_udp(at(second_ll, SECOND), at(RIG6_PEER, 0)), -ENETUNREACH);
	tx_flush(&w[0]);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

/* Gives worker 0 a segment that draws a reset. */
static void rx_on(struct netif *nif, const struct ipaddr *src, const struct ipaddr *dst)
{
	struct tcp_seg seg = { .sport = 4000, .dport = 81, .flags = TCPF_SYN };
	uint32_t len = tcp_seg_emit(&seg, msg);

	tcp_store_csum(msg, csum_fold(csum_add(csum_pseudo(src, dst, IP_PROTO_TCP, len), msg, len)));
	struct rte_mbuf *m = wrig_frame_of(ETH_TYPE_IP6, pkt,
					   rig6_packet(pkt, src, dst, IP_PROTO_TCP, msg, len));
	memcpy(pkt_data(m), nif->mac, 6);
	rx_bridged(&w[0], nif, m); /* as if it had just come in by nif */
	tcp_flush(&w[0].sock.tcp, now);
}

START_TEST(answers_leave_by_the_port_the_question_came_in)
{
	rx_on(&second, &RIG6_PEER_LL, &second_ll);
	expect_source(3, &second_ll);
	rx_on(&rig.nif, &RIG6_PEER_LL, &RIG6_LL);
	expect_source(2, &RIG6_LL);
	/* Our address of the other link is nobody's here ... */
	rx_on(&rig.nif, &RIG6_PEER_LL, &second_ll);
	tx_flush(&w[0]);
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert_uint_eq(COUNT(0, ip6_drop_dst), 1);
	/* ... and may be another station's. */
	rx_on(&rig.nif, &second_ll, &RIG6_LL);
	ck_assert_uint_eq(COUNT(0, ip6_drop_src), 0);
	ck_assert_uint_eq(COUNT(0, tcp_rx_segs), 3);
	rx_on(&second, &second_ll, &second_ll);
	ck_assert_uint_eq(COUNT(0, ip6_drop_src), 1);
}
END_TEST

/* Part of a datagram of 1200 bytes from the station to fe80::2, which both ports have here. */
static void rx_fragment(struct netif *nif, uint32_t off, uint32_t end)
{
	uint32_t n = rig6_udp(msg, &RIG6_PEER_LL, &RIG6_LL, pkt, 1192) - IP6_HDR_LEN;
	uint8_t part[1300];

	ck_assert_uint_eq(n, 1200);
	ip6_emit_frag(IP_PROTO_UDP, off, end < n, 55, part);
	memcpy(part + IP6_FRAG_LEN, msg + IP6_HDR_LEN + off, end - off);
	n = rig6_packet(pkt, &RIG6_PEER_LL, &RIG6_LL, IP6_FRAGMENT, part, IP6_FRAG_LEN + end - off);
	struct rte_mbuf *m = wrig_frame_of(ETH_TYPE_IP6, pkt, n);
	memcpy(pkt_data(m), nif->mac, 6);
	memset(pkt, 0, sizeof(pkt));
	rx_bridged(&w[0], nif, m);
}

START_TEST(fragments_come_together_on_their_link) /* RFC 4007 6 */
{
	const struct route r = { .prefix = RIG6_LL, .plen = 128, .kind = ROUTE_LOCAL, .nif = &second,
				 .src = RIG6_LL };

	ck_assert_int_eq(route_add(&rig.routes, &r), 0);
	second.addr[second.n_addrs++] = (struct netif_addr){ .addr = RIG6_LL, .plen = 64 };
	memset(pkt, 0, sizeof(pkt));
	rx_fragment(&rig.nif, 0, 800);
	rx_fragment(&second, 800, 1200); /* of another one */
	ck_assert_uint_eq(COUNT(0, ip6_frag_ok), 0);
	rx_fragment(&second, 0, 800);
	ck_assert_uint_eq(COUNT(0, ip6_frag_ok), 1);
	rx_fragment(&rig.nif, 800, 1200);
	ck_assert_uint_eq(COUNT(0, ip6_frag_ok), 2);
	ck_assert_uint_eq(COUNT(0, udp_drop_noport), 2);
	tx_flush(&w[0]);
	rig.n_sent = 0;
}
END_TEST

START_TEST(what_is_told_of_a_path_holds_on_its_link)
{
	const struct endpoint first = at(RIG6_PEER_LL, FIRST), other = at(RIG6_PEER_LL, SECOND);

	worker_host.path_told(&w[0], &first, 1300);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &first), 1300);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &other), 1400);
}
END_TEST

START_TEST(what_is_sent_respects_the_mtu_of_a_router) /* RFC 4861 6.3.4 */
{
	const struct endpoint peer = at(RIG6_PEER, 0), linklocal = at(RIG6_PEER_LL, FIRST);
	const struct endpoint v4 = at(ipaddr_v4(RIG_PEER), 0);

	rig.nif.mtu6 = 1300;
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &peer), 1240);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &peer), 1300);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &linklocal), 1300);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &v4), 1460);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &v4), 1500);
}
END_TEST

static void teardown(void)
{
	w[0].conf.n_netif = w[0].net.n_netif = 1;
	wrig_teardown();
}

int main(void)
{
	TCase *tc = tcase_create("zone6");

	rig_eal();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_zone_decides_about_the_way);
	tcase_add_test(tc, an_address_is_ours_in_its_zone_only);
	tcase_add_test(tc, segments_leave_by_the_port_of_the_zone);
	tcase_add_test(tc, datagrams_leave_by_the_port_of_the_zone);
	tcase_add_test(tc, answers_leave_by_the_port_the_question_came_in);
	tcase_add_test(tc, fragments_come_together_on_their_link);
	tcase_add_test(tc, what_is_told_of_a_path_holds_on_its_link);
	tcase_add_test(tc, what_is_sent_respects_the_mtu_of_a_router);
	return unit_run("zone6", tc);
}
