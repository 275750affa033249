/* Whole workers over a port of arrays: frames in, frames out, byte for byte; two of them share flows;
 * one of them sleeps and is woken. */
// SPDX-License-Identifier: MIT
#include "tests/unit/net/rig.h"
#include <errno.h>
#include <pthread.h>
#include "stack/base/checksum.h"
#include "stack/net/flow.h"
#include "stack/net/ports.h"
#include "stack/wire/arp.h"
#include "stack/wire/icmp.h"
#include "stack/wire/show.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"
#include "stack/worker/route_export.h"
#include "stack/worker/worker_int.h"

static struct worker w[2];
static struct ports *ports;
static struct chan_engine engine;
static uint32_t n_workers;
static uint64_t now;

static void start(uint32_t n)
{
	n_workers = n;
	worker_set.n = n;
	for (uint32_t i = 0; i < n; i++) {
		struct worker_conf conf = {
			.number = i, .n_workers = n, .cpu = -1, .poll = WORKER_POLL_ADAPTIVE,
			.spin_us = 50, .mbufs = rig_pool, .netif = rig.nifs, .n_netif = 1,
			.routes = &rig.routes, .engine = &engine, .ports = ports,
			.max_conns = 1000, .seed = 77,
		};
		memset(&w[i], 0xa5, sizeof(w[i]));
		ck_assert_int_eq(worker_init(&w[i], &conf), 0);
		worker_set.w[i] = &w[i];
	}
}

static void setup_common(void)
{
	rig_setup();
	memset(&engine, 0, sizeof(engine));
	ports = ports_new(100, 1);
	now = worker_clock_ns();
}
static void setup(void)
{
	setup_common();
	start(1);
}
static void setup_two(void)
{
	setup_common();
	start(2);
}
static void teardown(void)
{
	for (uint32_t i = 0; i < n_workers; i++)
		worker_fini(&w[i]);
	ck_assert_uint_eq(ports_count(ports), 0);
	ports_free(ports);
	stats_this_thread = &rig.stats;
	rig_teardown();
}

/* Polls all workers until none has work. */
static void run(void)
{
	bool busy = true;

	for (int i = 0; i < 100 && busy; i++) {
		busy = false;
		for (uint32_t k = 0; k < n_workers; k++)
			busy |= worker_poll(&w[k], now);
	}
	ck_assert(!busy);
}

static void rx(struct rte_mbuf *m)
{
	if (rig.rx_at == rig.n_rx)
		rig.rx_at = rig.n_rx = 0;
	rig.rx[rig.n_rx++] = m;
}

static struct rte_mbuf *frame_of(uint16_t type, const void *p, uint32_t n)
{
	uint8_t b[70000];
	struct eth eth = { .src = rig_peer_mac(), .type = type };

	memcpy(eth.dst.b, rig.nif.mac, 6);
	eth_emit(&eth, b);
	memcpy(b + ETH_HDR_LEN, p, n);
	return rig_mbuf(b, ETH_HDR_LEN + n);
}

static void rx_ip4(uint32_t src, uint8_t proto, const void *p, uint32_t n)
{
	uint8_t b[70000];
	struct ip4 h = { .src = src, .dst = RIG_US, .proto = proto, .ttl = 64,
			 .total_len = (uint16_t)(20 + n) };

	ip4_emit(&h, b, IP4_CSUM_FILL);
	memcpy(b + 20, p, n);
	rx(frame_of(ETH_TYPE_IP4, b, 20 + n));
}

static uint32_t make_tcp(uint8_t *b, uint32_t src, const struct tcp_seg *seg)
{
	struct ipaddr from = ipaddr_v4(src), to = ipaddr_v4(RIG_US);
	uint32_t n = tcp_seg_emit(seg, b);

	memset(b + n, 'x', seg->len);
	n += seg->len;
	tcp_store_csum(b, csum_fold(csum_add(csum_pseudo(&from, &to, IP_PROTO_TCP, n), b, n)));
	return n;
}

static void rx_tcp(uint32_t src, const struct tcp_seg *seg)
{
	uint8_t b[2000];

	rx_ip4(src, IP_PROTO_TCP, b, make_tcp(b, src, seg));
}

/* The peer asks for our address: the workers know it from then on. */
static void meet_peer(void)
{
	struct arp_pkt a = { .op = ARP_OP_REQUEST, .sha = rig_peer_mac(), .spa = RIG_PEER,
			     .tpa = RIG_US };
	uint8_t p[ARP_LEN];

	arp_emit(&a, p);
	rx(frame_of(ETH_TYPE_ARP, p, sizeof(p)));
	run();
	ck_assert_uint_eq(rig.n_sent, 1);
	rig.n_sent = 0;
}

static uint32_t make_echo(uint8_t *b, uint32_t n)
{
	struct icmp_msg m = { .type = ICMP_T_ECHO, .id = 9, .seq = 1 };

	for (uint32_t i = 0; i < n; i++)
		b[8 + i] = (uint8_t)(i * 3);
	return icmp_emit(&m, b + 8, n, b);
}

static const char *shown(uint32_t i)
{
	static char text[SHOW_MAX];

	show_frame(rig.sent[i].b, rig.sent[i].len, text, sizeof(text));
	return text;
}

#define COUNT(i, name) w[i].stats.v[STAT_##name]

START_TEST(arp_is_answered)
{
	meet_peer();
	ck_assert_uint_eq(COUNT(0, arp_tx_reply), 1);
	ck_assert_uint_eq(COUNT(0, port_rx_pkts), 1);
	ck_assert_uint_eq(COUNT(0, port_tx_pkts), 1);
	ck_assert_uint_eq(COUNT(0, port_tx_bytes), 60);
}
END_TEST

START_TEST(ping_is_answered)
{
	uint8_t b[100];
	uint32_t n = make_echo(b, 56);

	meet_peer();
	rx_ip4(RIG_PEER, IP_PROTO_ICMP, b, n);
	run();
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(rig.sent[0].len, 14 + 20 + n);
	ck_assert(icmp_csum_ok(rig.sent[0].b + 34, n));
	ck_assert_mem_eq(rig.sent[0].b + 42, b + 8, 56);
}
END_TEST

START_TEST(ping_before_arp_waits_for_it)
{
	uint8_t b[100], p[ARP_LEN];
	uint32_t n = make_echo(b, 56);
	struct arp_pkt a = { .op = ARP_OP_REPLY, .sha = rig_peer_mac(), .spa = RIG_PEER,
			     .tpa = RIG_US };

	rx_ip4(RIG_PEER, IP_PROTO_ICMP, b, n);
	run();
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_str_eq(shown(0), "ARP who-has 10.77.0.1 tell 10.77.0.2 (02:00:00:00:00:02)");
	arp_emit(&a, p);
	rx(frame_of(ETH_TYPE_ARP, p, sizeof(p)));
	run();
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

	meet_peer();
	rx_tcp(RIG_PEER, &seg);
	run();
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

START_TEST(a_wrong_tcp_checksum_is_dropped_unless_the_port_vouches)
{
	struct tcp_seg seg = { .sport = 40000, .dport = 81, .flags = TCPF_SYN };
	static const uint64_t flags[] = { 0, RTE_MBUF_F_RX_L4_CKSUM_BAD,
					  RTE_MBUF_F_RX_L4_CKSUM_GOOD };
	uint8_t b[100];
	uint32_t n = make_tcp(b, RIG_PEER, &seg);

	meet_peer();
	b[17] ^= 1;
	for (int i = 0; i < 3; i++) {
		rx_ip4(RIG_PEER, IP_PROTO_TCP, b, n);
		rig.rx[rig.n_rx - 1]->ol_flags = flags[i];
	}
	run();
	ck_assert_uint_eq(COUNT(0, tcp_drop_csum), 2);
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(udp_to_no_socket_draws_port_unreachable)
{
	uint8_t b[100];
	uint32_t n = rig_udp(b, RIG_PEER, RIG_US, "hello", 5);

	meet_peer();
	rx(frame_of(ETH_TYPE_IP4, b, n));
	run();
	ck_assert_uint_eq(COUNT(0, udp_drop_noport), 1);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(rig.sent[0].b[34], ICMP_T_UNREACH);
	ck_assert_uint_eq(rig.sent[0].b[35], ICMP_C_PORT);
	b[28] ^= 1;
	rx(frame_of(ETH_TYPE_IP4, b, n));
	run();
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(other_protocols_draw_protocol_unreachable)
{
	meet_peer();
	rx_ip4(RIG_PEER, 132, "abcdefgh", 8);
	run();
	ck_assert_uint_eq(COUNT(0, ip4_drop_proto), 1);
	ck_assert_uint_eq(rig.sent[0].b[35], ICMP_C_PROTO);
}
END_TEST

static void rx_fragments(const uint8_t *b, uint32_t n, uint32_t step)
{
	for (uint32_t off = 0; off < n; off += step) {
		uint32_t take = min_u32(step, n - off);
		uint8_t f[2000];
		struct ip4 h = { .src = RIG_PEER, .dst = RIG_US, .proto = IP_PROTO_ICMP, .ttl = 64,
				 .id = 55, .total_len = (uint16_t)(20 + take),
				 .frag_off = (uint16_t)off, .more_frags = off + take < n };

		ip4_emit(&h, f, IP4_CSUM_FILL);
		memcpy(f + 20, b + off, take);
		rx(frame_of(ETH_TYPE_IP4, f, 20 + take));
	}
}

START_TEST(a_fragmented_ping_is_answered_in_fragments)
{
	uint8_t b[5000];
	uint32_t n = make_echo(b, 4000);

	meet_peer();
	rx_fragments(b, n, 1480);
	run();
	ck_assert_uint_eq(rig.n_sent, 3);
	ck_assert_uint_eq(COUNT(0, ip4_frag_rx), 3);
	ck_assert_uint_eq(COUNT(0, ip4_frag_ok), 1);
	ck_assert_mem_eq(rig.sent[1].b + 34, b + 1480, 1480);
}
END_TEST

START_TEST(a_packet_in_several_buffers_is_read)
{
	uint8_t b[9000];
	uint32_t n = make_echo(b, 8000);

	meet_peer();
	rx_ip4(RIG_PEER, IP_PROTO_ICMP, b, n);
	ck_assert_uint_gt(rig.rx[0]->nb_segs, 1);
	run();
	ck_assert_uint_eq(rig.n_sent, 6);
}
END_TEST

START_TEST(frames_that_are_not_for_us_are_counted)
{
	uint8_t b[60] = { 0 };
	struct rte_mbuf *m = frame_of(ETH_TYPE_IP4, b, 46);

	pkt_data(m)[5] = 77; /* another station */
	rx(m);
	rx(frame_of(ETH_TYPE_IP6, b, 46));
	b[1] = 5;
	rx(frame_of(ETH_TYPE_VLAN, b, 46));
	rx(rig_mbuf(b, 10));
	run();
	ck_assert_uint_eq(COUNT(0, eth_drop_dst), 1);
	ck_assert_uint_eq(COUNT(0, eth_drop_type), 2);
	ck_assert_uint_eq(COUNT(0, eth_drop_short), 1);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

START_TEST(a_stuck_port_loses_frames_but_not_the_loop)
{
	struct tcp_seg seg = { .sport = 40000, .dport = 81, .flags = TCPF_SYN };

	meet_peer();
	rig.tx_room = 0;
	for (int k = 0; k < 2 * TX_QUEUE; k += 64) {
		for (int i = 0; i < 64; i++)
			rx_tcp(RIG_PEER, &seg);
		ck_assert(worker_poll(&w[0], now));
	}
	ck_assert_uint_eq(COUNT(0, port_drop_tx_full), TX_QUEUE);
	now += (TX_STUCK_US + 1) * NSEC_PER_USEC;
	worker_poll(&w[0], now);
	ck_assert_uint_eq(COUNT(0, port_drop_tx_full), 2 * TX_QUEUE);
	ck_assert(!tx_pending(&w[0]));
	rig.tx_room = 100;
	rx_tcp(RIG_PEER, &seg);
	run();
	ck_assert_uint_eq(rig.n_sent, 1);
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
	worker_host.tcp_output(&w[0], &flow, &seg, piece, 3, 0, 0);
	tx_flush(&w[0]);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(rig.sent[0].len, 14 + 20 + 32 + len);
	ck_assert_mem_eq(rig.sent[0].b + 66, data, len);
}

START_TEST(pieces_of_odd_length_sum_up)
{
	struct ipaddr us = ipaddr_v4(RIG_US), peer = ipaddr_v4(RIG_PEER);

	meet_peer();
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

	meet_peer();
	output_pieces(777, true);
	uint16_t want = csum_fold_plain(csum_pseudo(&us, &peer, IP_PROTO_TCP, 32 + 777));
	ck_assert_mem_eq(rig.sent[0].b + 34 + 16, &want, 2);
	uint64_t marks = RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
	ck_assert_uint_eq(rig.sent[0].ol_flags & marks, marks);
}
END_TEST

START_TEST(segments_to_ourselves_stay_off_the_wire)
{
	struct tcp_flow flow = { { ipaddr_v4(RIG_US), .port = 4000 },
				 { ipaddr_v4(RIG_US), .port = 81 } };
	struct tcp_seg seg = { .sport = 4000, .dport = 81, .seq = { 5 }, .flags = TCPF_SYN };

	stats_this_thread = &w[0].stats;
	worker_host.tcp_output(&w[0], &flow, &seg, NULL, 0, 0, 0);
	ck_assert(loop_pending(&w[0]));
	run();
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

	ck_assert_uint_eq(worker_host.path_mss(&w[0], &peer), 1460);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &far), 1460);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &us), LOOP_MSS);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &bcast), 0);
	ck_assert(worker_host.is_local(&w[0], &us));
	ck_assert(!worker_host.is_local(&w[0], &peer));
	ck_assert(worker_host.source_addr(&w[0], &far, &src));
	ck_assert(ipaddr_eq(&src, &us));
}
END_TEST

START_TEST(routes_are_exported_without_broadcasts)
{
	route_export(&rig.routes, &engine);
	ck_assert_uint_eq(engine.n_routes, 3);
	ck_assert_uint_eq(engine.route_seq, 2);
	ck_assert_uint_eq(engine.route[0].kind, CHAN_ROUTE_LOCAL);
	ck_assert_uint_eq(engine.route[1].plen, 120);
	ck_assert_uint_eq(engine.route[2].kind, CHAN_ROUTE_GATEWAY);
}
END_TEST

START_TEST(flows_are_served_by_their_owner)
{
	uint32_t n[2] = { 0, 0 };

	meet_peer();
	ck_assert_uint_eq(COUNT(1, arp_tx_reply), 0); /* one answer, both have learned */
	for (uint16_t port = 40000; port < 40064; port++) {
		struct tcp_seg seg = { .sport = port, .dport = 81, .flags = TCPF_SYN };
		struct tcp_flow flow = { { ipaddr_v4(RIG_US), .port = 81 },
					 { ipaddr_v4(RIG_PEER), .port = port } };
		struct tcp_flow back = { flow.remote, flow.local };

		n[flow_worker4(RIG_PEER, RIG_US, port, 81, 2)]++;
		ck_assert_uint_eq(worker_host.flow_worker(&w[0], &flow),
				  flow_worker4(RIG_PEER, RIG_US, port, 81, 2));
		ck_assert_uint_eq(worker_host.flow_worker(&w[1], &back),
				  worker_host.flow_worker(&w[0], &flow));
		rx_tcp(RIG_PEER, &seg);
	}
	run();
	ck_assert_uint_gt(n[0], 8);
	ck_assert_uint_gt(n[1], 8);
	ck_assert_uint_eq(COUNT(0, tcp_rx_segs), n[0]);
	ck_assert_uint_eq(COUNT(1, tcp_rx_segs), n[1]);
	ck_assert_uint_eq(COUNT(0, worker_steered), n[1] + 1);
	ck_assert_uint_eq(rig.n_sent, 64);
}
END_TEST

START_TEST(fragments_of_a_datagram_meet_at_one_worker)
{
	uint8_t b[5000];
	uint32_t n = make_echo(b, 4000), owner = flow_worker4(RIG_PEER, RIG_US, 0, 0, 2);

	meet_peer();
	rx_fragments(b, n, 1480);
	run();
	ck_assert_uint_eq(COUNT(owner, ip4_frag_ok), 1);
	ck_assert_uint_eq(COUNT(!owner, ip4_frag_rx), 0);
	ck_assert_uint_eq(rig.n_sent, 3);
}
END_TEST

/* A segment that came in fragments belongs to another worker than its fragments. */
START_TEST(a_reassembled_segment_goes_to_its_owner)
{
	struct tcp_seg seg = { .dport = 81, .flags = TCPF_SYN, .len = 1000 };
	uint32_t meeting = flow_worker4(RIG_PEER, RIG_US, 0, 0, 2);
	uint8_t b[1200], f[1200];

	meet_peer();
	for (seg.sport = 40000; flow_worker4(RIG_PEER, RIG_US, seg.sport, 81, 2) == meeting;)
		seg.sport++;
	uint32_t n = make_tcp(b, RIG_PEER, &seg);
	for (uint32_t off = 0; off < n; off += 512) {
		uint32_t take = min_u32(512, n - off);
		struct ip4 h = { .src = RIG_PEER, .dst = RIG_US, .proto = IP_PROTO_TCP, .ttl = 64,
				 .id = 3, .total_len = (uint16_t)(20 + take),
				 .frag_off = (uint16_t)off, .more_frags = off + take < n };

		ip4_emit(&h, f, IP4_CSUM_FILL);
		memcpy(f + 20, b + off, take);
		rx(frame_of(ETH_TYPE_IP4, f, 20 + take));
	}
	run();
	ck_assert_uint_eq(COUNT(meeting, ip4_frag_ok), 1);
	ck_assert_uint_eq(COUNT(!meeting, tcp_rx_segs), 1);
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

static _Atomic uint32_t called;
static void on_call(struct sock_env *env, void *p) { atomic_fetch_add(&called, 1); }
static void *thread(void *arg)
{
	worker_run(arg);
	return NULL;
}

/* The worker is asleep, about to sleep or awake; each message must be taken within a second. */
START_TEST(no_message_is_missed_by_a_sleeper)
{
	struct sock_mail call = { .type = SOCK_MAIL_CALL, .fn = on_call };
	struct rng rng;
	pthread_t th;

	rng_seed(&rng, unit_seed());
	w[0].conf.poll = _i ? WORKER_POLL_SLEEP : WORKER_POLL_ADAPTIVE;
	pthread_create(&th, NULL, thread, &w[0]);
	for (uint32_t i = 1; i <= 5000; i++) {
		uint64_t until = worker_clock_ns() + rng_below(&rng, 100000), limit;

		while (worker_clock_ns() < until)
			cpu_relax();
		ck_assert(worker_mail(&w[0], &call));
		for (limit = worker_clock_ns() + NSEC_PER_SEC; atomic_load(&called) < i;)
			ck_assert_msg(worker_clock_ns() < limit, "message %u was missed", i);
	}
	worker_stop(&w[0]);
	pthread_join(th, NULL);
	ck_assert_uint_gt(COUNT(0, worker_sleeps), 0);
	/* It has announced itself at the start. */
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(a_full_mailbox_says_so)
{
	struct sock_mail call = { .type = SOCK_MAIL_CALL, .fn = on_call };
	uint32_t n = 0;

	while (n < 100000 && worker_mail(&w[0], &call))
		n++;
	ck_assert_uint_ge(n, MAIL_SLOTS - 1);
	ck_assert_uint_le(n, MAIL_SLOTS);
	run();
	ck_assert_uint_eq(called, n);
}
END_TEST

START_TEST(a_wrong_configuration_is_refused)
{
	struct worker_conf conf = w[0].conf;
	struct worker other;

	conf.number = 1;
	ck_assert_int_eq(worker_init(&other, &conf), -EINVAL);
	conf.number = 0;
	rig.nif.index = 3;
	ck_assert_int_eq(worker_init(&other, &conf), -EINVAL);
}
END_TEST

static void add_one(Suite *s)
{
	TCase *tc = tcase_create("one worker");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, arp_is_answered);
	tcase_add_test(tc, ping_is_answered);
	tcase_add_test(tc, ping_before_arp_waits_for_it);
	tcase_add_test(tc, syn_to_a_closed_port_draws_this_reset);
	tcase_add_test(tc, a_wrong_tcp_checksum_is_dropped_unless_the_port_vouches);
	tcase_add_test(tc, udp_to_no_socket_draws_port_unreachable);
	tcase_add_test(tc, other_protocols_draw_protocol_unreachable);
	tcase_add_test(tc, a_fragmented_ping_is_answered_in_fragments);
	tcase_add_test(tc, a_packet_in_several_buffers_is_read);
	tcase_add_test(tc, frames_that_are_not_for_us_are_counted);
	tcase_add_test(tc, a_stuck_port_loses_frames_but_not_the_loop);
	tcase_add_test(tc, pieces_of_odd_length_sum_up);
	tcase_add_test(tc, a_port_with_offload_gets_the_pseudo_sum_and_marks);
	tcase_add_test(tc, segments_to_ourselves_stay_off_the_wire);
	tcase_add_test(tc, questions_of_the_sockets_are_answered_from_the_routes);
	tcase_add_test(tc, routes_are_exported_without_broadcasts);
	tcase_add_loop_test(tc, no_message_is_missed_by_a_sleeper, 0, 2);
	tcase_add_test(tc, a_full_mailbox_says_so);
	tcase_add_test(tc, a_wrong_configuration_is_refused);
	suite_add_tcase(s, tc);
}

int main(void)
{
	Suite *s = suite_create("worker");
	TCase *tc = tcase_create("two workers");

	rig_eal();
	add_one(s);
	tcase_add_checked_fixture(tc, setup_two, teardown);
	tcase_add_test(tc, flows_are_served_by_their_owner);
	tcase_add_test(tc, fragments_of_a_datagram_meet_at_one_worker);
	tcase_add_test(tc, a_reassembled_segment_goes_to_its_owner);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
