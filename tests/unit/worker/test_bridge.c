/* Two engines on one port: the host w[0] has it, the guest w[1] is reached over the bridge. By the rig of
 * the datagram tests the sockets of even ports are the host's, those of odd ports the guest's. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <unistd.h>
#include "stack/net/mcast.h"
#include "stack/wire/arp.h"
#include "tests/unit/worker/udp_rig.h"

#define GROUP 0xe0000121u
#define BROADCAST 0x0a4d00ffu

static struct bridge host, guest;
static struct netif guest_nif, *guest_nifs[1] = { &guest_nif };
static struct route_table guest_routes;
static struct ports *guest_ports;
static struct mcast *guest_groups;
static struct chan_engine guest_engine;

static void start_guest(void)
{
	struct ipaddr gw = ipaddr_v4(RIG_PEER);

	guest_nif = rig.nif;
	route_init(&guest_routes);
	ck_assert_int_eq(route_add_netif(&guest_routes, &guest_nif), 0);
	ck_assert_int_eq(route_add_gateway(&guest_routes, &gw), 0);
	ck_assert_int_eq(route_add_loopback(&guest_routes), 0);
	guest_ports = ports_new(100, 2);
	guest_groups = mcast_new(1, 2);
	memset(&guest_engine, 0, sizeof(guest_engine));
	struct worker_conf conf = w[0].conf;
	conf.netif = guest_nifs;
	conf.routes = &guest_routes;
	conf.ports = guest_ports;
	conf.groups = guest_groups;
	conf.engine = &guest_engine;
	conf.seed = 78;
	memset(&w[1], 0xa5, sizeof(w[1]));
	ck_assert_int_eq(worker_init(&w[1], &conf), 0);
	worker_set.w[1] = &w[1];
	worker_set.n = 2;
}

static void setup(void)
{
	wrig_setup();
	start_guest();
	int fd = bridge_create(&guest, 1);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bridge_open(&host, fd, 1), 0);
	close(fd);
	ck_assert_int_eq(bridge_joined(&guest, 1), 0);
	host.bell[BRIDGE_GUEST][0] = dup(guest.bell[BRIDGE_GUEST][0]);
	guest.bell[BRIDGE_HOST][0] = dup(host.bell[BRIDGE_HOST][0]);
	stats_this_thread = &w[1].stats;
	bridge_take_port(&guest_nif, &guest);
	bridge_attach(&w[0], &host);
	bridge_attach(&w[1], &guest);
	udp_rig_start();
}

static void teardown(void)
{
	bridge_attach(&w[0], NULL);
	stats_this_thread = &w[1].stats;
	worker_fini(&w[1]);
	worker_set.n = 1;
	bridge_close(&host);
	bridge_close(&guest);
	ports_free(guest_ports);
	mcast_free(guest_groups);
	wrig_teardown();
}

/* Polls both until neither has work. */
static void run(void)
{
	bool busy = true;

	for (int i = 0; i < 100 && busy; i++)
		busy = (int)worker_poll(&w[0], now) | (int)worker_poll(&w[1], now);
	ck_assert(!busy);
}

static void meet_peer(void)
{
	struct arp_pkt a = { .op = ARP_OP_REQUEST, .sha = rig_peer_mac(), .spa = RIG_PEER,
			     .tpa = RIG_US };
	uint8_t p[ARP_LEN];

	arp_emit(&a, p);
	wrig_rx(wrig_frame_of(ETH_TYPE_ARP, p, sizeof(p)));
	run();
}

/* The TCP segment in the frame at i of those that left. */
static struct tcp_seg sent_seg(uint32_t i)
{
	struct tcp_seg seg;
	const uint8_t *p = rig.sent[i].b + ETH_HDR_LEN;

	ck_assert_uint_lt(i, rig.n_sent);
	ck_assert_uint_eq(p[9], IP_PROTO_TCP);
	ck_assert_int_gt(tcp_seg_parse(&seg, p + IP4_HDR_MIN,
				       rig.sent[i].len - ETH_HDR_LEN - IP4_HDR_MIN), 0);
	return seg;
}

static struct tcp_sockopts opts = { .rcvbuf = 65536, .sndbuf = 65536 };
static void listen_at(int i, struct wrig_listener *l, uint16_t port)
{
	const struct tcp_listener tl = { .local = { .addr = ipaddr_v4(RIG_US), .port = port },
					 .backlog = 8, .opts = &opts };

	wrig_listen(i, l, &tl);
}

START_TEST(both_learn_and_one_answers_who_has)
{
	meet_peer();
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(COUNT(0, arp_tx_reply), 1);
	ck_assert_uint_eq(COUNT(1, arp_tx_reply), 0);
	ck_assert_uint_eq(COUNT(1, bridge_rx), 1);
}
END_TEST

START_TEST(a_syn_goes_to_who_listens)
{
	struct tcp_seg syn = { .sport = 4000, .dport = 81, .flags = TCPF_SYN };
	struct wrig_listener l;

	meet_peer();
	rig.n_sent = 0;
	listen_at(1, &l, 81);
	wrig_rx_tcp(RIG_PEER, &syn);
	run();
	ck_assert_uint_eq(COUNT(0, tcp_rx_segs), 0);
	ck_assert_uint_eq(COUNT(1, tcp_rx_segs), 1);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(sent_seg(0).flags, TCPF_SYN | TCPF_ACK);
	wrig_unlisten(1, &l);
	/* It has moved: the next one is the host's, and what the guest knew is forgotten. */
	listen_at(0, &l, 81);
	syn.sport++;
	wrig_rx_tcp(RIG_PEER, &syn);
	run();
	ck_assert_uint_eq(COUNT(0, tcp_rx_segs), 1);
	ck_assert_uint_eq(COUNT(1, tcp_rx_segs), 1);
	ck_assert_uint_eq(sent_seg(1).flags, TCPF_SYN | TCPF_ACK);
	wrig_unlisten(0, &l);
}
END_TEST

/* The last ACK of a handshake that began before the listener moved. */
START_TEST(an_ack_that_meets_only_a_listener_is_the_guests)
{
	struct tcp_seg syn = { .sport = 4000, .dport = 81, .flags = TCPF_SYN };
	struct wrig_listener old, new;

	meet_peer();
	listen_at(1, &old, 81);
	wrig_rx_tcp(RIG_PEER, &syn);
	run();
	listen_at(0, &new, 81);
	rig.n_sent = 0;
	/* A wrong one, so that the answer says who has looked: RST with the number that it
	 * acknowledged. */
	struct tcp_seg ack = { .sport = 4000, .dport = 81, .flags = TCPF_ACK,
			       .seq = { 1 }, .ack = { 77 } };
	wrig_rx_tcp(RIG_PEER, &ack);
	run();
	ck_assert_uint_eq(COUNT(0, tcp_rx_segs), 0);
	ck_assert_uint_eq(COUNT(1, tcp_rx_segs), 2);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(sent_seg(0).flags & TCPF_RST, TCPF_RST);
	wrig_unlisten(0, &new);
	wrig_unlisten(1, &old);
}
END_TEST

START_TEST(an_ack_with_a_cookie_of_the_host_is_the_hosts)
{
	struct tcp_seg syn = { .sport = 4000, .dport = 81, .flags = TCPF_SYN, .seq = { 9 } };
	struct tcp_flow flow = { { ipaddr_v4(RIG_US), .port = 81 },
				 { ipaddr_v4(RIG_PEER), .port = 4000 } };
	struct wrig_listener l;

	meet_peer();
	rig.n_sent = 0;
	w[0].sock.tcp.syncookies = TCP_COOKIE_ALWAYS;
	listen_at(0, &l, 81);
	wrig_rx_tcp(RIG_PEER, &syn);
	run();
	struct tcp_seg ack = { .sport = 4000, .dport = 81, .flags = TCPF_ACK, .seq = { 10 },
			       .ack = seq_add(sent_seg(0).seq, 1) };
	ck_assert(tcp_knows(&w[0].sock.tcp, &flow, &ack, now));
	ack.ack.v += 0x123456;
	ck_assert(!tcp_knows(&w[0].sock.tcp, &flow, &ack, now));
	wrig_rx_tcp(RIG_PEER, &ack);
	run();
	ck_assert_uint_eq(COUNT(1, tcp_rx_segs), 1);
	wrig_unlisten(0, &l);
}
END_TEST

START_TEST(what_nobody_knows_is_refused_once)
{
	struct tcp_seg syn = { .sport = 4000, .dport = 99, .flags = TCPF_SYN };

	meet_peer();
	rig.n_sent = 0;
	wrig_rx_tcp(RIG_PEER, &syn);
	run();
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(sent_seg(0).flags, TCPF_RST | TCPF_ACK);
	udp_rig_rx(RIG_PEER, RIG_US, 5, 998, 10);
	run();
	ck_assert_uint_eq(rig.n_sent, 2);
	ck_assert_uint_eq(rig.sent[1].b[ETH_HDR_LEN + 9], IP_PROTO_ICMP);
	ck_assert_uint_eq(COUNT(0, udp_drop_noport), 0);
	ck_assert_uint_eq(COUNT(1, udp_drop_noport), 1);
}
END_TEST

START_TEST(a_datagram_goes_to_who_has_the_port)
{
	struct udp_sock a, b;

	meet_peer();
	rig.n_sent = 0;
	udp_rig_bind(&a, RIG_US, 1000);
	udp_rig_bind(&b, 0, 1001);
	echo = true;
	udp_rig_rx(RIG_PEER, RIG_US, 5, 1000, 100);
	udp_rig_rx(RIG_PEER, RIG_US, 5, 1001, 200);
	run();
	ck_assert_uint_eq(n_notes, 2);
	ck_assert_ptr_eq(note[0].s, &a);
	ck_assert_ptr_eq(note[1].s, &b);
	ck_assert_uint_eq(note[1].len, 200);
	ck_assert_uint_eq(rig.n_sent, 2);
	/* In fragments: each puts them together, only one has the port, nobody is told that another
	 * one has not. */
	echo = false;
	udp_rig_rx(RIG_PEER, RIG_US, 5, 1000, 4000);
	udp_rig_rx(RIG_PEER, RIG_US, 5, 1001, 4000);
	udp_rig_rx(RIG_PEER, RIG_US, 5, 1003, 4000);
	run();
	ck_assert_uint_eq(n_notes, 4);
	ck_assert_uint_eq(note[3].len, 4000);
	ck_assert_uint_eq(rig.n_sent, 2);
	udp_rig_unbind(&a);
	udp_rig_unbind(&b);
}
END_TEST

START_TEST(both_hear_what_is_for_many)
{
	struct udp_sock a, b;

	meet_peer();
	rig.n_sent = 0;
	udp_rig_bind(&a, 0, 1000);
	udp_rig_bind(&b, 0, 1001);
	a.broadcast = b.broadcast = true;
	udp_rig_rx(RIG_PEER, BROADCAST, 5, 1000, 30);
	udp_rig_rx(RIG_PEER, BROADCAST, 5, 1001, 30);
	run();
	ck_assert_uint_eq(n_notes, 2);
	ck_assert_ptr_eq(note[0].s, &a);
	ck_assert_ptr_eq(note[1].s, &b);
	ck_assert_uint_eq(rig.n_sent, 0);
	udp_rig_unbind(&a);
	udp_rig_unbind(&b);
}
END_TEST

START_TEST(packets_to_ourselves_cross_and_come_to_rest)
{
	struct sock_udp_tx tx = { .ttl = 64 };
	struct udp_sock a, b;

	udp_rig_bind(&a, 0, 1000);
	udp_rig_bind(&b, 0, 1001);
	/* From each to the other, and to itself. */
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(udp_rig_send(&tx, (uint16_t)(1000 + i / 2), RIG_US,
					      (uint16_t)(1000 + i % 2), 3000 + i), 0);
	run();
	ck_assert_uint_eq(n_notes, 4);
	ck_assert_uint_eq(COUNT(0, bridge_tx), 1);
	ck_assert_uint_eq(COUNT(1, bridge_tx), 1);
	/* To a port that neither has: the sender hears it. */
	ck_assert_int_eq(udp_rig_send(&tx, 1000, RIG_US, 999, 50), 0);
	run();
	ck_assert_uint_eq(n_errors, 1);
	ck_assert_ptr_eq(error_sock, &a);
	ck_assert_int_eq(last_error.err, ECONNREFUSED);
	ck_assert_int_eq(udp_rig_send(&tx, 1001, RIG_US, 999, 50), 0);
	run();
	ck_assert_uint_eq(n_errors, 2);
	ck_assert_ptr_eq(error_sock, &b);
	ck_assert_uint_eq(rig.n_sent, 0);
	udp_rig_unbind(&a);
	udp_rig_unbind(&b);
}
END_TEST

/* A SYN from a program on one engine to a listener on the other one: the answer comes back there, finds
 * nobody who asked (the connection is the test's), and its RST ends the request. */
START_TEST(a_handshake_with_ourselves_crosses)
{
	for (int from = 0; from < 2; from++) {
		struct tcp_flow flow = { { ipaddr_v4(RIG_US), .port = 4000 },
					 { ipaddr_v4(RIG_US), .port = 81 } };
		struct tcp_seg syn = { .sport = 4000, .dport = 81, .flags = TCPF_SYN,
				       .seq = { 5 }, .has_mss = true, .mss = 1000 };
		struct wrig_listener l;
		uint64_t before = COUNT(!from, tcp_rx_segs), back = COUNT(from, tcp_rx_segs);

		listen_at(!from, &l, 81);
		stats_this_thread = &w[from].stats;
		worker_host.tcp_output(&w[from], &flow, &syn, NULL, 0, NULL);
		run();
		ck_assert_uint_eq(COUNT(!from, tcp_rx_segs), before + 2); /* SYN, RST */
		ck_assert_uint_eq(COUNT(from, tcp_rx_segs), back + 1);	   /* SYN-ACK */
		ck_assert_uint_eq(l.l.tl.n_synq, 0);
		wrig_unlisten(!from, &l);
	}
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

START_TEST(a_full_ring_loses_and_goes_on)
{
	uint8_t b[1000] = { 0 };
	const struct bridge_piece piece = { b, sizeof(b) };
	struct tcp_seg syn = { .sport = 4000, .dport = 99, .flags = TCPF_SYN };
	uint32_t n = 0;

	meet_peer();
	rig.n_sent = 0;
	while (bridge_put(&host, 0, BRIDGE_FRAME, 0, &piece, 1))
		n++;
	ck_assert_uint_eq(n, BRIDGE_SLOTS);
	wrig_rx_tcp(RIG_PEER, &syn);
	worker_poll(&w[0], now);
	ck_assert_uint_eq(COUNT(0, bridge_drop_full), 1);
	run();
	ck_assert_uint_eq(rig.n_sent, 0);
	wrig_rx_tcp(RIG_PEER, &syn);
	run();
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(records_of_all_lengths_come_whole)
{
	static uint8_t b[BRIDGE_RECORD_MAX + 1], back[BRIDGE_RECORD_MAX];
	struct bridge_record r;
	uint32_t n = 0;

	for (uint32_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i * 7 ^ i >> 8);
	for (uint32_t len = 0; len <= BRIDGE_RECORD_MAX; len += 1 + len / 3 + len % 5, n++) {
		const struct bridge_piece piece[2] = { { b, len / 3 }, { b + len / 3, len - len / 3 } };

		ck_assert(bridge_put(&host, 0, BRIDGE_LOCAL, 3, piece, 2));
		ck_assert_int_eq(bridge_get(&guest, 0, &r, back), 1);
		ck_assert_uint_eq(r.len, len);
		ck_assert_uint_eq(r.nif, 3);
		ck_assert_mem_eq(back, b, len);
	}
	ck_assert_uint_gt(n, 20);
	const struct bridge_piece long_one = { b, sizeof(b) };
	ck_assert(!bridge_put(&host, 0, BRIDGE_LOCAL, 3, &long_one, 1));
	ck_assert_int_eq(bridge_get(&guest, 0, &r, back), 0);
}
END_TEST

START_TEST(what_no_engine_writes_is_dropped)
{
	struct bridge_ring *r = &host.mem->ring[BRIDGE_HOST][0];
	static const struct {
		struct bridge_record rec;
		uint8_t first; /* byte of what follows */
	} bad[] = {
		{ { .len = UINT32_MAX, .kind = BRIDGE_FRAME } },
		{ { .len = BRIDGE_RECORD_MAX, .kind = BRIDGE_FRAME } }, /* more than was filled */
		{ { .len = 5, .kind = BRIDGE_FRAME } },
		{ { .len = 1600, .kind = BRIDGE_FRAME } },
		{ { .len = 100, .kind = BRIDGE_FRAME, .nif = 9 } },
		{ { .len = 100, .kind = 77 } },
		{ { .len = 10, .kind = BRIDGE_LOCAL, .nif = BRIDGE_NO_NIF }, 0x45 },
		{ { .len = 100, .kind = BRIDGE_LOCAL, .nif = BRIDGE_NO_NIF }, 0x45 },
		{ { .len = 100, .kind = BRIDGE_REFUSED, .nif = BRIDGE_NO_NIF }, 0x60 },
	};
	uint32_t n = sizeof(bad) / sizeof(bad[0]);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t tail = atomic_load(&r->tail);
		uint8_t *slot = r->slot[tail % BRIDGE_SLOTS];

		memset(slot, 0, BRIDGE_SLOT);
		memcpy(slot, &bad[i].rec, sizeof(bad[i].rec));
		slot[sizeof(bad[i].rec)] = bad[i].first;
		atomic_store(&r->tail, tail + 1);
		worker_poll(&w[1], now);
		ck_assert_uint_eq(COUNT(1, bridge_drop_bad), i + 1);
		ck_assert(bridge_is_empty(&guest, 0));
	}
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

START_TEST(one_that_is_not_of_our_version_is_not_joined)
{
	struct bridge b, other;
	int fd = bridge_create(&b, 1);

	b.mem->version++;
	ck_assert_int_eq(bridge_open(&other, fd, 1), -EPROTO);
	b.mem->version--;
	b.mem->n_workers[BRIDGE_GUEST] = 99;
	ck_assert_int_eq(bridge_open(&other, fd, 1), -EPROTO);
	ck_assert_int_eq(bridge_joined(&b, 0), -EPROTO);
	ck_assert_int_eq(bridge_joined(&b, CHAN_MAX_WORKERS + 1), -EPROTO);
	bridge_close(&b);
	close(fd);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("bridge");

	rig_eal();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, both_learn_and_one_answers_who_has);
	tcase_add_test(tc, a_syn_goes_to_who_listens);
	tcase_add_test(tc, an_ack_that_meets_only_a_listener_is_the_guests);
	tcase_add_test(tc, an_ack_with_a_cookie_of_the_host_is_the_hosts);
	tcase_add_test(tc, what_nobody_knows_is_refused_once);
	tcase_add_test(tc, a_datagram_goes_to_who_has_the_port);
	tcase_add_test(tc, both_hear_what_is_for_many);
	tcase_add_test(tc, packets_to_ourselves_cross_and_come_to_rest);
	tcase_add_test(tc, a_handshake_with_ourselves_crosses);
	tcase_add_test(tc, a_full_ring_loses_and_goes_on);
	tcase_add_test(tc, records_of_all_lengths_come_whole);
	tcase_add_test(tc, what_no_engine_writes_is_dropped);
	tcase_add_test(tc, one_that_is_not_of_our_version_is_not_joined);
	return unit_run("bridge", tc);
}
