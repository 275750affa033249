/* Workers over the port of arrays of tests/unit/net/rig.c, and the frames that a peer sends them. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/worker_rig.h"
#include "stack/base/checksum.h"
#include "stack/net/mcast.h"
#include "stack/net/ports.h"
#include "stack/wire/arp.h"
#include "stack/wire/icmp.h"

struct worker w[2];
static struct ports *ports;
struct mcast *groups;
struct chan_engine engine;
static uint32_t n_workers;
uint64_t now;

static void start(uint32_t n)
{
	n_workers = n;
	worker_set.n = n;
	for (uint32_t i = 0; i < n; i++) {
		struct worker_conf conf = {
			.number = i, .n_workers = n, .cpu = -1, .poll = WORKER_POLL_ADAPTIVE,
			.spin_us = 50, .mbufs = rig_pool, .netif = rig.nifs, .n_netif = 1,
			.routes = &rig.routes, .engine = &engine, .ports = ports,
			.groups = groups, .loopback = true,
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
	groups = mcast_new(2, 1);
	now = worker_clock_ns();
}
void wrig_listen(int i, struct wrig_listener *x, const struct tcp_listener *tl)
{
	memset(x, 0, sizeof(*x));
	x->client.sock_b = &x->b;
	x->l.client = &x->client;
	x->l.tl = *tl;
	ck_assert_int_eq(tcp_listen(&w[i].sock.tcp, &x->l.tl), 0);
}

void wrig_unlisten(int i, struct wrig_listener *x)
{
	stats_this_thread = &w[i].stats;
	tcp_unlisten(&w[i].sock.tcp, &x->l.tl);
}

void wrig_setup(void)
{
	setup_common();
	start(1);
}
void wrig_setup_two(void)
{
	setup_common();
	start(2);
}
void wrig_teardown(void)
{
	for (uint32_t i = 0; i < n_workers; i++)
		worker_fini(&w[i]);
	ck_assert_uint_eq(ports_count(ports), 0);
	ports_free(ports);
	mcast_free(groups);
	stats_this_thread = &rig.stats;
	rig_teardown();
}

/* Polls all workers until none has work. */
void wrig_run(void)
{
	bool busy = true;

	for (int i = 0; i < 100 && busy; i++) {
		busy = false;
		for (uint32_t k = 0; k < n_workers; k++)
			busy |= worker_poll(&w[k], now);
	}
	ck_assert(!busy);
}

void wrig_rx(struct rte_mbuf *m)
{
	if (rig.rx_at == rig.n_rx)
		rig.rx_at = rig.n_rx = 0;
	rig.rx[rig.n_rx++] = m;
}

struct rte_mbuf *wrig_frame_of(uint16_t type, const void *p, uint32_t n)
{
	uint8_t b[70000];
	struct eth eth = { .src = rig_peer_mac(), .type = type };

	memcpy(eth.dst.b, rig.nif.mac, 6);
	eth_emit(&eth, b);
	memcpy(b + ETH_HDR_LEN, p, n);
	return rig_mbuf(b, ETH_HDR_LEN + n);
}

void wrig_rx_ip4(uint32_t src, uint8_t proto, const void *p, uint32_t n)
{
	uint8_t b[70000];
	struct ip4 h = { .src = src, .dst = RIG_US, .proto = proto, .ttl = 64,
			 .total_len = (uint16_t)(20 + n) };

	ip4_emit(&h, b, IP4_CSUM_FILL);
	memcpy(b + 20, p, n);
	wrig_rx(wrig_frame_of(ETH_TYPE_IP4, b, 20 + n));
}

uint32_t wrig_make_tcp(uint8_t *b, uint32_t src, const struct tcp_seg *seg)
{
	struct ipaddr from = ipaddr_v4(src), to = ipaddr_v4(RIG_US);
	uint32_t n = tcp_seg_emit(seg, b);

	memset(b + n, 'x', seg->len);
	n += seg->len;
	tcp_store_csum(b, csum_fold(csum_add(csum_pseudo(&from, &to, IP_PROTO_TCP, n), b, n)));
	return n;
}

void wrig_rx_tcp(uint32_t src, const struct tcp_seg *seg)
{
	uint8_t b[2000];

	wrig_rx_ip4(src, IP_PROTO_TCP, b, wrig_make_tcp(b, src, seg));
}

/* The peer asks for our address: the workers know it from then on. */
void wrig_meet_peer(void)
{
	struct arp_pkt a = { .op = ARP_OP_REQUEST, .sha = rig_peer_mac(), .spa = RIG_PEER,
			     .tpa = RIG_US };
	uint8_t p[ARP_LEN];

	arp_emit(&a, p);
	wrig_rx(wrig_frame_of(ETH_TYPE_ARP, p, sizeof(p)));
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 1);
	rig.n_sent = 0;
}

uint32_t wrig_make_echo(uint8_t *b, uint32_t n)
{
	struct icmp_msg m = { .type = ICMP_T_ECHO, .id = 9, .seq = 1 };

	for (uint32_t i = 0; i < n; i++)
		b[8 + i] = (uint8_t)(i * 3);
	return icmp_emit(&m, b + 8, n, b);
}

void wrig_rx_fragments(const uint8_t *b, uint32_t n, uint32_t step)
{
	for (uint32_t off = 0; off < n; off += step) {
		uint32_t take = min_u32(step, n - off);
		uint8_t f[2000];
		struct ip4 h = { .src = RIG_PEER, .dst = RIG_US, .proto = IP_PROTO_ICMP, .ttl = 64,
				 .id = 55, .total_len = (uint16_t)(20 + take),
				 .frag_off = (uint16_t)off, .more_frags = off + take < n };

		ip4_emit(&h, f, IP4_CSUM_FILL);
		memcpy(f + 20, b + off, take);
		wrig_rx(wrig_frame_of(ETH_TYPE_IP4, f, 20 + take));
	}
}
