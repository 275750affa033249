/* What leaves a worker: segments of sockets, checksums, full ports, local segments, routes. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/udp_rig.h"
#include "stack/base/checksum.h"
#include "stack/worker/route_export.h"

START_TEST(a_stuck_port_loses_frames_but_not_the_loop)
{
	struct tcp_seg seg = { .sport = 40000, .dport = 81, .flags = TCPF_SYN };

	wrig_meet_peer();
	rig.tx_room = 0;
	for (int k = 0; k < 2 * TX_QUEUE; k += 64) {
		for (int i = 0; i < 64; i++)
			wrig_rx_tcp(RIG_PEER, &seg);
		ck_assert(worker_poll(&w[0], now));
	}
	ck_assert_uint_eq(COUNT(0, port_drop_tx_full), TX_QUEUE);
	now += (TX_STUCK_US + 1) * NSEC_PER_USEC;
	worker_poll(&w[0], now);
	ck_assert_uint_eq(COUNT(0, port_drop_tx_full), 2 * TX_QUEUE);
	ck_assert(!tx_pending(&w[0]));
	rig.tx_room = 100;
	wrig_rx_tcp(RIG_PEER, &seg);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

/* While the port takes nothing: what may wait is told to, what may not is queued as far as it goes. */
START_TEST(a_port_that_is_behind_makes_senders_wait)
{
	struct sock_udp_tx tx = { .may_wait = true };
	struct udp_sock a;
	uint32_t n = 0;

	wrig_meet_peer();
	udp_rig_start();
	udp_rig_bind(&a, 0, 53);
	rig.tx_room = 0;
	while (udp_rig_send(&tx, 53, RIG_PEER, 9, 10) == 0)
		ck_assert_uint_lt(n++, TX_QUEUE);
	ck_assert_uint_eq(n, TX_QUEUE);
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 9, 10), -EAGAIN);
	/* To ourselves there is no port in the way. */
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_US, 53, 10), 0);
	tx.may_wait = false;
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 9, 10), 0);
	ck_assert_uint_eq(COUNT(0, port_drop_tx_full), 1);
	udp_rig_unbind(&a);
}
END_TEST

/* Sends a segment of three pieces with odd lengths; the frame must be right. */
static void output_pieces(uint32_t len, bool offload)
{
	static uint8_t data[4000];
	struct tcp_flow flow = { { ipaddr_v4(RIG_US), .port = 81 },
				 { ipaddr_v4(RIG_PEER), .port = 4000 } };
	struct tcp_seg seg = { .sport = 81, .dport = 4000, .seq = { 5 }, .flags = TCPF_ACK,
			       .has_ts = true, .tsval = 1, .tsecr = 2, .len = len };
	uint32_t cut = len / 3 | 1, cut2 = cut + (len / 5 | 1);
	struct sock_piece piece[3] = { { data, cut }, { data + cut, cut2 - cut },
				       { data + cut2, len - cut2 } };

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i >> 3 ^ i);
	rig.n_sent = 0;
	rig.nif.tx_csum_l4 = rig.nif.tx_csum_ip = offload;
	stats_this_thread = &w[0].stats;
	w[0].net.now_ns = now;
	worker_host.tcp_output(&w[0], &flow, &seg, piece, 3, NULL);
	tx_flush(&w[0]);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(rig.sent[0].len, 14 + 20 + 32 + len);
	ck_assert_mem_eq(rig.sent[0].b + 66, data, len);
}

START_TEST(pieces_of_odd_length_sum_up)
{
	struct ipaddr us = ipaddr_v4(RIG_US), peer = ipaddr_v4(RIG_PEER);

	wrig_meet_peer();
	for (uint32_t len = 10; len < 1449; len++) {
		output_pieces(len, false);
		uint32_t sum = csum_pseudo(&us, &peer, IP_PROTO_TCP, 32 + len);
		ck_assert_uint_eq(csum_fold(csum_add(sum, rig.sent[0].b + 34, 32 + len)), 0);
	}
}
END_TEST

START_TEST(a_port_with_offload_gets_the_pseudo_sum_and_marks)
{
	struct ipaddr us = ipaddr_v4(RIG_US), peer = ipaddr_v4(RIG_PEER);

	wrig_meet_peer();
	output_pieces(777, true);
	uint16_t want = csum_fold_plain(csum_pseudo(&us, &peer, IP_PROTO_TCP, 32 + 777));
	ck_assert_mem_eq(rig.sent[0].b + 34 + 16, &want, 2);
	uint64_t marks = RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
	ck_assert_uint_eq(rig.sent[0].ol_flags & marks, marks);
}
END_TEST

/* A device and virtio want different sums; who does not know IPv4's checksum gets it made. */
START_TEST(a_port_that_cuts_gets_the_pseudo_sum_that_it_wants)
{
	struct ipaddr us = ipaddr_v4(RIG_US), peer = ipaddr_v4(RIG_PEER);
	struct tcp_flow flow = { { us, .port = 81 }, { peer, .port = 4000 } };
	struct tcp_seg seg = { .sport = 81, .dport = 4000, .flags = TCPF_ACK, .mss = 1448, .has_ts = true,
			       .len = 1900 };
	static uint8_t data[1900];
	struct sock_piece piece = { data, sizeof(data) };

	wrig_meet_peer();
	stats_this_thread = &w[0].stats;
	rig.nif.tx_csum_l4 = true;
	rig.nif.tso_bytes = 64000;
	for (int virtio = 0; virtio < 2; virtio++) {
		uint16_t want = csum_fold_plain(csum_pseudo(&us, &peer, IP_PROTO_TCP,
							    virtio ? 32 + seg.len : 0));
		uint64_t marks = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4 |
				 (virtio ? 0 : RTE_MBUF_F_TX_IP_CKSUM);

		rig.nif.tso_whole_len = virtio;
		rig.nif.tx_csum_ip = !virtio;
		rig.n_sent = 0;
		worker_host.tcp_output(&w[0], &flow, &seg, &piece, 1, NULL);
		tx_flush(&w[0]);
		ck_assert_uint_eq(rig.n_sent, 1);
		ck_assert_uint_eq(rig.sent[0].len, 14 + 20 + 32 + seg.len);
		ck_assert_mem_eq(rig.sent[0].b + 34 + 16, &want, 2);
		ck_assert_uint_eq(rig.sent[0].ol_flags, marks);
		ck_assert(ip4_csum_ok(rig.sent[0].b + 14, 20) == virtio);
	}
}
END_TEST

/* And in usual ones where there are no more large ones, or only a little is left. */
START_TEST(long_segments_lie_in_large_buffers)
{
	enum { ROOM = 16384, LARGE = 7, LEN = 64000 };
	struct rte_mempool *large = rte_pktmbuf_pool_create("large", LARGE, 0, 0,
							    ROOM + RTE_PKTMBUF_HEADROOM, 0);
	static uint8_t data[LEN], got[LEN];
	struct sock_piece piece[2] = { { data, LEN / 3 }, { data + LEN / 3, LEN - LEN / 3 } };
	uint32_t bufs[3], before = rte_mempool_avail_count(rig_pool);
	struct rte_mbuf *m[3];

	for (uint32_t i = 0; i < LEN; i++)
		data[i] = (uint8_t)(i * i >> 5 ^ i);
	for (int i = 0; i < 3; i++) {
		m[i] = rte_pktmbuf_alloc(rig_pool);
		ck_assert(pieces_copy(&w[0], m[i], piece, 2, i ? large : NULL, NULL));
		bufs[i] = m[i]->nb_segs;
		ck_assert_uint_eq(m[i]->pkt_len, LEN);
		ck_assert_mem_eq(rte_pktmbuf_read(m[i], 0, LEN, got), data, LEN);
	}
	ck_assert_uint_gt(bufs[0], 30);
	ck_assert_uint_le(bufs[1], 8);
	ck_assert(bufs[2] > bufs[1] && bufs[2] < bufs[0]);
	ck_assert_uint_eq(rte_mempool_avail_count(large), 0);
	for (int i = 0; i < 3; i++)
		pkt_free(m[i]);
	ck_assert_uint_eq(rte_mempool_avail_count(large), LARGE);
	ck_assert_uint_eq(rte_mempool_avail_count(rig_pool), before);
	rte_mempool_free(large);
}
END_TEST

START_TEST(segments_to_be_cut_are_made_while_the_peer_takes_them)
{
	_Atomic bool off = true;

	rig.nif.tx_csum_l4 = true;
	rig.nif.tso_bytes = 64000;
	worker_poll(&w[0], now);
	ck_assert_uint_eq(w[0].sock.tcp.tso_bytes, 64000);
	rig.nif.tso_off = &off;
	worker_poll(&w[0], now);
	ck_assert_uint_eq(w[0].sock.tcp.tso_bytes, 0);
	off = false;
	worker_poll(&w[0], now);
	ck_assert_uint_eq(w[0].sock.tcp.tso_bytes, 64000);
}
END_TEST

START_TEST(path_mtu_discovery_sets_df_and_can_be_switched_off) /* RFC 1191 */
{
	const struct tcp_sockopts discover = { .ttl = 7, .tos = 8 }, cut = { .may_cut = true };
	const struct tcp_sockopts *opts[] = { NULL, &discover, &cut };
	struct tcp_flow flow = { { ipaddr_v4(RIG_US), .port = 81 },
				 { ipaddr_v4(RIG_PEER), .port = 4000 } };
	struct tcp_seg seg = { .sport = 81, .dport = 4000, .seq = { 5 }, .flags = TCPF_ACK };

	wrig_meet_peer();
	rig.n_sent = 0;
	stats_this_thread = &w[0].stats;
	for (int i = 0; i < 3; i++)
		worker_host.tcp_output(&w[0], &flow, &seg, NULL, 0, opts[i]);
	tx_flush(&w[0]);
	ck_assert_uint_eq(rig.n_sent, 3);
	for (int i = 0; i < 3; i++) { /* fragment offset and flags, TTL, TOS */
		const uint8_t *ip = rig.sent[i].b + 14;

		ck_assert_uint_eq(ip[6], i < 2 ? 0x40 : 0);
		ck_assert_uint_eq(ip[7], 0);
		ck_assert_uint_eq(ip[8], i == 1 ? 7 : 64);
		ck_assert_uint_eq(ip[1], i == 1 ? 8 : 0);
	}
}
END_TEST

START_TEST(segments_to_ourselves_stay_off_the_wire)
{
	struct tcp_flow flow = { { ipaddr_v4(RIG_US), .port = 4000 },
				 { ipaddr_v4(RIG_US), .port = 81 } };
	struct tcp_seg seg = { .sport = 4000, .dport = 81, .seq = { 5 }, .flags = TCPF_SYN };

	stats_this_thread = &w[0].stats;
	worker_host.tcp_output(&w[0], &flow, &seg, NULL, 0, NULL);
	ck_assert(loop_pending(&w[0]));
	wrig_run();
	ck_assert(!loop_pending(&w[0]));
	ck_assert_uint_eq(rig.n_sent, 0);
	/* The SYN drew a reset, the reset drew nothing. */
	ck_assert_uint_eq(COUNT(0, tcp_rx_segs), 2);
}
END_TEST

START_TEST(questions_of_the_sockets_are_answered_from_the_routes)
{
	struct ipaddr us = ipaddr_v4(RIG_US), peer = ipaddr_v4(RIG_PEER);
	struct ipaddr bcast = ipaddr_v4(RIG_US | 255), far = ipaddr_v4(0x08080808), src;

	ck_assert_uint_eq(worker_host.path_mss(&w[0], &AT(peer)), 1460);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &AT(far)), 1460);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &AT(us)), LOOP_MSS);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &AT(bcast)), 0);
	ck_assert(worker_host.is_local(&w[0], &AT(us)));
	ck_assert(!worker_host.is_local(&w[0], &AT(peer)));
	ck_assert(worker_host.source_addr(&w[0], &AT(far), false, &src));
	ck_assert(ipaddr_eq(&src, &us));
}
END_TEST

START_TEST(routes_are_exported_without_broadcasts)
{
	rig.nif.ifindex = 7;
	route_export(&rig.routes, &engine);
	ck_assert_uint_eq(engine.n_routes, 3);
	ck_assert_uint_eq(engine.route[0].mtu, 65535);
	ck_assert_uint_eq(engine.route[0].ifindex, 7);
	ck_assert_uint_eq(engine.route[2].mtu, 1500);
	ck_assert_uint_eq(engine.route_seq, 2);
	ck_assert_uint_eq(engine.route[0].kind, CHAN_ROUTE_LOCAL);
	ck_assert_uint_eq(engine.route[1].plen, 120);
	ck_assert_uint_eq(engine.route[2].kind, CHAN_ROUTE_GATEWAY);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tx");

	rig_eal();
	tcase_add_checked_fixture(tc, wrig_setup, wrig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_stuck_port_loses_frames_but_not_the_loop);
	tcase_add_test(tc, a_port_that_is_behind_makes_senders_wait);
	tcase_add_test(tc, pieces_of_odd_length_sum_up);
	tcase_add_test(tc, a_port_with_offload_gets_the_pseudo_sum_and_marks);
	tcase_add_test(tc, a_port_that_cuts_gets_the_pseudo_sum_that_it_wants);
	tcase_add_test(tc, long_segments_lie_in_large_buffers);
	tcase_add_test(tc, segments_to_be_cut_are_made_while_the_peer_takes_them);
	tcase_add_test(tc, path_mtu_discovery_sets_df_and_can_be_switched_off);
	tcase_add_test(tc, segments_to_ourselves_stay_off_the_wire);
	tcase_add_test(tc, questions_of_the_sockets_are_answered_from_the_routes);
	tcase_add_test(tc, routes_are_exported_without_broadcasts);
	return unit_run("tx", tc);
}
