/* IPv6 through two whole workers: each packet reaches the one that needs it, discovery reaches both. */
// SPDX-License-Identifier: MIT
#include "stack/base/checksum.h"
#include "stack/net/flow.h"
#include "stack/wire/udp.h"
#include "tests/unit/net/rig6.h"
#include "tests/unit/worker/worker_rig.h"

static uint8_t pkt[4096], msg[4096];

static void setup(void)
{
	wrig_setup_two();
	rig6_add();
}

static void rx(uint32_t n) { wrig_rx(wrig_frame_of(ETH_TYPE_IP6, pkt, n)); }

static void meet_peer(void)
{
	const struct nd_msg q = { .type = ICMP6_T_ND_NS, .target = RIG6_US, .has_slla = true,
				  .slla = rig_peer_mac() };

	rx(rig6_icmp(pkt, &RIG6_PEER, &RIG6_US, 255, msg, nd_emit(&q, msg)));
	wrig_run();
}

START_TEST(discovery_is_answered_once_and_heard_by_all)
{
	struct eth_addr mac;

	meet_peer();
	ck_assert_uint_eq(rig.n_sent, 1);
	for (int i = 0; i < 2; i++) {
		stats_this_thread = &w[i].stats;
		ck_assert(neigh_resolve(w[i].neigh, &rig.nif, &RIG6_PEER, NULL, &mac, now));
		ck_assert(eth_addr_eq(mac, rig_peer_mac()));
		ck_assert_uint_eq(COUNT(i, nd_rx_solicit), 1);
	}
}
END_TEST

START_TEST(flows_are_served_by_their_owner)
{
	uint32_t n[2] = { 0, 0 };

	meet_peer();
	for (uint16_t port = 40000; port < 40064; port++) {
		struct tcp_seg seg = { .sport = port, .dport = 81, .flags = TCPF_RST };
		uint32_t len = tcp_seg_emit(&seg, msg);
		uint32_t sum = csum_pseudo(&RIG6_PEER, &RIG6_US, IP_PROTO_TCP, len);

		tcp_store_csum(msg, csum_fold(csum_add(sum, msg, len)));
		n[flow_worker6(&RIG6_PEER, &RIG6_US, port, 81, 2)]++;
		rx(rig6_packet(pkt, &RIG6_PEER, &RIG6_US, IP_PROTO_TCP, msg, len));
	}
	wrig_run();
	ck_assert_uint_gt(n[0], 8);
	ck_assert_uint_gt(n[1], 8);
	for (int i = 0; i < 2; i++)
		ck_assert_uint_eq(COUNT(i, tcp_rx_segs), n[i]);
}
END_TEST

START_TEST(a_datagram_in_fragments_goes_to_its_owner)
{
	uint32_t owner, n = rig6_udp(msg, &RIG6_PEER, &RIG6_US, pkt, 1200) - IP6_HDR_LEN;
	uint8_t body[2000], first[16];

	meet_peer();
	rig.n_sent = 0;
	memcpy(body, msg + IP6_HDR_LEN, n);
	owner = chan_port_worker(2222, 2);
	for (uint32_t off = 0; off < n; off += 800) {
		uint32_t take = min_u32(800, n - off);

		ip6_emit_frag(IP_PROTO_UDP, off, off + take < n, 55, first);
		memcpy(msg, first, IP6_FRAG_LEN);
		memcpy(msg + IP6_FRAG_LEN, body + off, take);
		rx(rig6_packet(pkt, &RIG6_PEER, &RIG6_US, IP6_FRAGMENT, msg, IP6_FRAG_LEN + take));
	}
	wrig_run();
	ck_assert_uint_eq(COUNT(owner, udp_drop_noport), 1);
	ck_assert_uint_eq(COUNT(!owner, udp_drop_noport), 0);
	ck_assert_uint_eq(COUNT(0, ip6_frag_ok) + COUNT(1, ip6_frag_ok), 1);
	ck_assert_uint_eq(COUNT(owner, icmp6_tx_error), 1);
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(a_datagram_without_a_checksum_is_dropped)
{
	/* RFC 8200 8.1 */
	uint32_t n = rig6_udp(pkt, &RIG6_PEER, &RIG6_US, "x", 1);

	memset(pkt + IP6_HDR_LEN + 6, 0, 2);
	rx(n);
	wrig_run();
	ck_assert_uint_eq(COUNT(0, udp_drop_csum) + COUNT(1, udp_drop_csum), 1);
}
END_TEST

START_TEST(what_is_no_protocol_of_ours_is_told)
{
	struct ip6 h;

	meet_peer();
	rig.n_sent = 0;
	rx(rig6_packet(pkt, &RIG6_PEER, &RIG6_US, 200, msg, 20));
	rx(rig6_packet(pkt, &RIG6_PEER, &RIG6_US, IP6_NONE, msg, 20)); /* RFC 8200 4.7 */
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	const uint8_t *m = rig6_sent(0, &h);
	ck_assert(m[0] == ICMP6_T_PARAM && m[1] == ICMP6_C_NEXT && load_be32(m + 4) == 6);
}
END_TEST

START_TEST(an_echo_in_fragments_is_answered_in_fragments)
{
	uint32_t n = 3000;
	uint8_t echo[3000] = { ICMP6_T_ECHO }, body[1500];
	struct ip6 h;

	meet_peer();
	rig.n_sent = 0;
	icmp6_put_csum(&RIG6_PEER, &RIG6_US, echo, n);
	for (uint32_t off = 0; off < n; off += 1400) {
		uint32_t take = min_u32(1400, n - off);

		ip6_emit_frag(IP_PROTO_ICMP6, off, off + take < n, 56, body);
		memcpy(body + IP6_FRAG_LEN, echo + off, take);
		rx(rig6_packet(pkt, &RIG6_PEER, &RIG6_US, IP6_FRAGMENT, body, IP6_FRAG_LEN + take));
	}
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 3);
	rig6_sent(2, &h);
	ck_assert_uint_eq(h.next, IP6_FRAGMENT);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("rx6");

	rig_eal();
	tcase_add_checked_fixture(tc, setup, wrig_teardown);
	tcase_add_test(tc, discovery_is_answered_once_and_heard_by_all);
	tcase_add_test(tc, flows_are_served_by_their_owner);
	tcase_add_test(tc, a_datagram_in_fragments_goes_to_its_owner);
	tcase_add_test(tc, a_datagram_without_a_checksum_is_dropped);
	tcase_add_test(tc, what_is_no_protocol_of_ours_is_told);
	tcase_add_test(tc, an_echo_in_fragments_is_answered_in_fragments);
	return unit_run("rx6", tc);
}
