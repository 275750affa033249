/* Frames in, frames out, byte for byte. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/worker_rig.h"
#include "stack/base/checksum.h"
#include "stack/wire/arp.h"
#include "stack/wire/show.h"

static const char *shown(uint32_t i)
{
	static char text[SHOW_MAX];

	show_frame(rig.sent[i].b, rig.sent[i].len, text, sizeof(text));
	return text;
}

START_TEST(arp_is_answered)
{
	wrig_meet_peer();
	ck_assert_uint_eq(COUNT(0, arp_tx_reply), 1);
	ck_assert_uint_eq(COUNT(0, port_rx_pkts), 1);
	ck_assert_uint_eq(COUNT(0, port_tx_pkts), 1);
	ck_assert_uint_eq(COUNT(0, port_tx_bytes), 60);
}
END_TEST

START_TEST(ping_is_answered)
{
	uint8_t b[100];
	uint32_t n = wrig_make_echo(b, 56);

	wrig_meet_peer();
	wrig_rx_ip4(RIG_PEER, IP_PROTO_ICMP, b, n);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(rig.sent[0].len, 14 + 20 + n);
	ck_assert(icmp_csum_ok(rig.sent[0].b + 34, n));
	ck_assert_mem_eq(rig.sent[0].b + 42, b + 8, 56);
}
END_TEST

START_TEST(ping_before_arp_waits_for_it)
{
	uint8_t b[100], p[ARP_LEN];
	uint32_t n = wrig_make_echo(b, 56);
	struct arp_pkt a = { .op = ARP_OP_REPLY, .sha = rig_peer_mac(), .spa = RIG_PEER,
			     .tpa = RIG_US };

	wrig_rx_ip4(RIG_PEER, IP_PROTO_ICMP, b, n);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_str_eq(shown(0), "ARP who-has 10.77.0.1 tell 10.77.0.2 (02:00:00:00:00:02)");
	arp_emit(&a, p);
	wrig_rx(wrig_frame_of(ETH_TYPE_ARP, p, sizeof(p)));
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 2);
	ck_assert_uint_eq(rig.sent[1].len, 34 + n);
	ck_assert_uint_eq(rig.sent[1].b[5], 1);
}
END_TEST

START_TEST(syn_to_a_closed_port_draws_this_reset)
{
	struct tcp_seg seg = { .sport = 40000, .dport = 81, .seq = { 1000 }, .flags = TCPF_SYN,
			       .wnd = 1000 };
	static const uint8_t tcp[] = {
		0, 81, 0x9c, 0x40, 0, 0, 0, 0, 0, 0, 0x03, 0xe9, 0x50, TCPF_RST | TCPF_ACK, 0, 0,
		0xa9, 0xd0, 0, 0,
	};
	static const uint8_t eth[] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 };
	struct ipaddr us = ipaddr_v4(RIG_US), peer = ipaddr_v4(RIG_PEER);
	struct ip4 h;

	wrig_meet_peer();
	wrig_rx_tcp(RIG_PEER, &seg);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(rig.sent[0].len, 54);
	const uint8_t *b = rig.sent[0].b;
	ck_assert_mem_eq(b, eth, sizeof(eth));
	ck_assert_int_eq(ip4_parse(&h, b + 14, 40), 20);
	ck_assert(ip4_csum_ok(b + 14, 20));
	ck_assert_uint_eq(h.src, RIG_US);
	ck_assert_uint_eq(h.dst, RIG_PEER);
	ck_assert_uint_eq(h.proto, IP_PROTO_TCP);
	ck_assert_uint_eq(h.ttl, 64);
	ck_assert_uint_eq(h.total_len, 40);
	ck_assert(h.dont_frag);
	ck_assert_mem_eq(b + 34, tcp, 16);
	ck_assert_uint_eq(csum_fold(csum_add(csum_pseudo(&us, &peer, IP_PROTO_TCP, 20), b + 34,
					     20)), 0);
}
END_TEST

START_TEST(syn_ack_has_the_ttl_tos_and_df_of_its_listener)
{
	struct tcp_seg seg = { .sport = 40000, .dport = 80, .seq = { 1000 }, .flags = TCPF_SYN,
			       .wnd = 1000 };
	struct tcp_sockopts o = { .rcvbuf = 65535, .ttl = 7, .tos = 0x12, .may_cut = true };
	struct tcp_listener tl = { .local = { .port = 80, .addr = ipaddr_v4(0) }, .backlog = 1, .opts = &o };
	struct wrig_listener l;
	struct ip4 h;

	wrig_meet_peer();
	wrig_listen(0, &l, &tl);
	wrig_rx_tcp(RIG_PEER, &seg);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(rig.sent[0].b[47], TCPF_SYN | TCPF_ACK);
	ck_assert_int_eq(ip4_parse(&h, rig.sent[0].b + 14, rig.sent[0].len - 14), 20);
	ck_assert_uint_eq(h.ttl, 7);
	ck_assert_uint_eq(h.tos, 0x10); /* the lower two bits are ECN's */
	ck_assert(!h.dont_frag);
	wrig_unlisten(0, &l);
}
END_TEST

START_TEST(a_wrong_tcp_checksum_is_dropped_unless_the_port_vouches)
{
	struct tcp_seg seg = { .sport = 40000, .dport = 81, .flags = TCPF_SYN };
	static const uint64_t flags[] = { 0, RTE_MBUF_F_RX_L4_CKSUM_BAD,
					  RTE_MBUF_F_RX_L4_CKSUM_GOOD };
	uint8_t b[100];
	uint32_t n = wrig_make_tcp(b, RIG_PEER, &seg);

	wrig_meet_peer();
	b[17] ^= 1;
	for (int i = 0; i < 3; i++) {
		wrig_rx_ip4(RIG_PEER, IP_PROTO_TCP, b, n);
		rig.rx[rig.n_rx - 1]->ol_flags = flags[i];
	}
	wrig_run();
	ck_assert_uint_eq(COUNT(0, tcp_drop_csum), 2);
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(udp_to_no_socket_draws_port_unreachable)
{
	uint8_t b[100];
	uint32_t n = rig_udp(b, RIG_PEER, RIG_US, "hello", 5);

	wrig_meet_peer();
	wrig_rx(wrig_frame_of(ETH_TYPE_IP4, b, n));
	wrig_run();
	ck_assert_uint_eq(COUNT(0, udp_drop_noport), 1);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(rig.sent[0].b[34], ICMP_T_UNREACH);
	ck_assert_uint_eq(rig.sent[0].b[35], ICMP_C_PORT);
	b[28] ^= 1;
	wrig_rx(wrig_frame_of(ETH_TYPE_IP4, b, n));
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(other_protocols_draw_protocol_unreachable)
{
	wrig_meet_peer();
	wrig_rx_ip4(RIG_PEER, 132, "abcdefgh", 8);
	wrig_run();
	ck_assert_uint_eq(COUNT(0, ip4_drop_proto), 1);
	ck_assert_uint_eq(rig.sent[0].b[35], ICMP_C_PROTO);
}
END_TEST

START_TEST(a_fragmented_ping_is_answered_in_fragments)
{
	uint8_t b[5000];
	uint32_t n = wrig_make_echo(b, 4000);

	wrig_meet_peer();
	wrig_rx_fragments(b, n, 1480);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 3);
	ck_assert_uint_eq(COUNT(0, ip4_frag_rx), 3);
	ck_assert_uint_eq(COUNT(0, ip4_frag_ok), 1);
	ck_assert_mem_eq(rig.sent[1].b + 34, b + 1480, 1480);
}
END_TEST

START_TEST(a_packet_in_several_buffers_is_read)
{
	uint8_t b[9000];
	uint32_t n = wrig_make_echo(b, 8000);

	wrig_meet_peer();
	wrig_rx_ip4(RIG_PEER, IP_PROTO_ICMP, b, n);
	ck_assert_uint_gt(rig.rx[0]->nb_segs, 1);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 6);
}
END_TEST

/* Whatever was joined is one segment to who has no connection for it. */
START_TEST(a_joined_segment_to_a_closed_port_draws_one_reset)
{
	struct tcp_seg seg = { .sport = 40000, .dport = 81, .seq = { 1000 }, .flags = TCPF_SYN,
			       .len = 5000 };
	static const uint64_t flags[] = { 0, RTE_MBUF_F_RX_L4_CKSUM_NONE | RTE_MBUF_F_RX_LRO };
	static const uint16_t lens[] = { 5000, 1400 }; /* in several buffers, in one */
	uint8_t b[6000];

	wrig_meet_peer();
	for (int i = 0; i < 4; i++) {
		rig.n_sent = 0;
		seg.len = lens[i / 2];
		wrig_rx_ip4(RIG_PEER, IP_PROTO_TCP, b, wrig_make_tcp(b, RIG_PEER, &seg));
		struct rte_mbuf *m = rig.rx[rig.n_rx - 1];

		ck_assert((m->nb_segs > 1) == (seg.len == 5000));
		m->ol_flags = flags[i % 2];
		m->tso_segsz = 536;
		ck_assert(pkt_is_single(m) == (i == 2));
		wrig_run();
		ck_assert_uint_eq(rig.n_sent, 1);
		ck_assert_uint_eq(load_be32(rig.sent[0].b + 42), 1000 + 1 + seg.len);
	}
	ck_assert_uint_eq(COUNT(0, tcp_drop_csum), 0);
}
END_TEST

START_TEST(frames_that_are_not_for_us_are_counted)
{
	uint8_t b[60] = { 0 };
	struct rte_mbuf *m = wrig_frame_of(ETH_TYPE_IP4, b, 46);

	pkt_data(m)[5] = 77; /* another station */
	wrig_rx(m);
	wrig_rx(wrig_frame_of(0x88cc, b, 46));
	b[1] = 5;
	wrig_rx(wrig_frame_of(ETH_TYPE_VLAN, b, 46));
	wrig_rx(rig_mbuf(b, 10));
	wrig_run();
	ck_assert_uint_eq(COUNT(0, eth_drop_dst), 1);
	ck_assert_uint_eq(COUNT(0, eth_drop_type), 2);
	ck_assert_uint_eq(COUNT(0, eth_drop_short), 1);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("rx");

	rig_eal();
	tcase_add_checked_fixture(tc, wrig_setup, wrig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, arp_is_answered);
	tcase_add_test(tc, ping_is_answered);
	tcase_add_test(tc, ping_before_arp_waits_for_it);
	tcase_add_test(tc, syn_to_a_closed_port_draws_this_reset);
	tcase_add_test(tc, syn_ack_has_the_ttl_tos_and_df_of_its_listener);
	tcase_add_test(tc, a_wrong_tcp_checksum_is_dropped_unless_the_port_vouches);
	tcase_add_test(tc, udp_to_no_socket_draws_port_unreachable);
	tcase_add_test(tc, other_protocols_draw_protocol_unreachable);
	tcase_add_test(tc, a_fragmented_ping_is_answered_in_fragments);
	tcase_add_test(tc, a_packet_in_several_buffers_is_read);
	tcase_add_test(tc, a_joined_segment_to_a_closed_port_draws_one_reset);
	tcase_add_test(tc, frames_that_are_not_for_us_are_counted);
	return unit_run("rx", tc);
}
