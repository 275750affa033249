/* Fuzz target: the input is an IPv4 packet for a worker with datagram sockets and groups: UDP, IGMP, and ICMP
 * errors. Its checksums are put right, or nothing would get past them. The worker lives on from input to
 * input: -s and -r of the same numbers repeat a failure. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <stdlib.h>
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/checksum.h"
#include "stack/net/mcast.h"
#include "stack/net/neigh.h"
#include "stack/net/ports.h"
#include "stack/wire/igmp.h"
#include "stack/wire/udp.h"
#include "stack/worker/worker_int.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mbufs.h"

#define US 0x0a4d0002u
#define PEER 0x0a4d0001u
#define GROUP 0xef010203u

static struct worker w;
static struct netif nif, *nifs[1] = { &nif };
static struct route_table routes;
static struct udp_sock socks[4];
static volatile uint32_t sink;
static uint64_t now = 1000 * NSEC_PER_SEC;

static void read_all(const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sink += p[i];
}

static void deliver(struct udp_env *env, struct udp_sock *s, const struct udp_rx *rx)
{
	CHECK(rx->to.port == s->local.port && rx->len <= FUZZ_MAX);
	read_all(rx->p, rx->len);
}

static void error(struct udp_env *env, struct udp_sock *s, const struct udp_error *e)
{
	CHECK(e->local.port == s->local.port && e->err > 0);
	read_all(e->p, e->len);
}

static void changed(struct udp_env *env, const struct ipaddr *group, uint32_t ifindex)
{
	worker_host.group_changed(&w, group, ifindex);
}

static const struct udp_ops ops = { deliver, error, changed };

static uint16_t rx_burst(struct netif *n, uint16_t q, struct rte_mbuf **m, uint16_t max) { return 0; }
static uint16_t tx_burst(struct netif *n, uint16_t q, struct rte_mbuf **m, uint16_t max)
{
	rte_pktmbuf_free_bulk(m, max);
	return max;
}
static const struct netif_ops nif_ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

static void bind_sock(struct udp_sock *s, uint32_t ip4, uint16_t port, uint16_t peer)
{
	udp_sock_init(s);
	s->local = (struct endpoint){ .addr = ipaddr_v4(ip4), .port = port };
	if (peer)
		s->remote = (struct endpoint){ .addr = ipaddr_v4(PEER), .port = peer };
	udp_bind(&w.sock.udp, s);
}

static void start(void)
{
	struct ipaddr peer = ipaddr_v4(PEER), group = ipaddr_v4(GROUP);

	nif = (struct netif){ .ops = &nif_ops, .name = "fuzz0", .mac = { 2, 0, 0, 0, 0, 2 },
			      .mtu = 1500, .n_queues = 1, .n_addrs = 1, .ifindex = 2 };
	nif.addr[0] = (struct netif_addr){ ipaddr_v4(US), 120 };
	route_init(&routes);
	CHECK(route_add_netif(&routes, &nif) == 0 && route_add_gateway(&routes, &peer) == 0);
	struct worker_conf conf = {
		.n_workers = 1, .cpu = -1, .mbufs = fuzz_pool(), .netif = nifs, .n_netif = 1,
		.routes = &routes, .ports = ports_new(16, 1), .groups = mcast_new(1, 1),
		.max_conns = 16, .seed = 1,
	};
	CHECK(worker_init(&w, &conf) == 0);
	worker_set.n = 1;
	worker_set.w[0] = &w;
	w.sock.udp.ops = &ops;
	bind_sock(&socks[0], 0, 53, 0);
	bind_sock(&socks[1], US, 53, 99);
	bind_sock(&socks[2], 0, 5353, 0);
	bind_sock(&socks[3], 0, 5353, 0);
	struct ipaddr a = ipaddr_v4(PEER), b = ipaddr_v4(0x0a4d0063);
	CHECK(udp_group_op(&w.sock.udp, &socks[2], UDP_JOIN, &group, &a, 2) == 0);
	CHECK(udp_group_op(&w.sock.udp, &socks[2], UDP_BLOCK, &group, &b, 2) == 0);
	group = ipaddr_v4(GROUP + 1);
	CHECK(udp_group_op(&w.sock.udp, &socks[3], UDP_JOIN_SOURCE, &group, &a, 2) == 0);
	neigh_learn(w.neigh, &nif, &peer, (struct eth_addr){ { 2, 0, 0, 0, 0, 1 } },
		    NEIGH_HEARD_REQUEST, now);
}

/* The length, unless the last byte says otherwise, and the checksums where the packet has room for them. */
static void mend(uint8_t *p, uint32_t n)
{
	struct ip4 h;

	if (n >= IP4_HDR_MIN && !(p[n - 1] & 0x40)) {
		p[0] = 0x45;
		store_be16(p + 2, (uint16_t)n);
	}
	int hdr = ip4_parse(&h, p, n);

	if (hdr < 0)
		return;
	uint8_t *l4 = p + hdr;
	uint32_t len = h.total_len - (uint32_t)hdr;
	uint32_t at = h.proto == IP_PROTO_UDP ? 6 : 2;

	p[10] = p[11] = 0;
	uint16_t c = csum_fold(csum_add(0, p, (size_t)hdr));
	memcpy(p + 10, &c, 2);
	if (len < at + 2)
		return;
	l4[at] = l4[at + 1] = 0; /* UDP: none */
	if (h.proto == IP_PROTO_UDP)
		return;
	c = csum_fold(csum_add(0, l4, len));
	memcpy(l4 + at, &c, 2);
}

static void input(const struct ip4_in *in)
{
	struct icmp4_error e;

	if (ip4_is_fragment(&in->h))
		return;
	if (in->h.proto == IP_PROTO_UDP)
		rx_udp(&w, in);
	else if (in->h.proto == IP_PROTO_IGMP)
		rx_igmp(&w, in);
	else if (in->h.proto == IP_PROTO_ICMP && icmp4_input(&w.net, in, &e) &&
		 e.proto == IP_PROTO_UDP)
		rx_udp_error(&w, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ip4_in in;

	if (n == 0 || n > FUZZ_MAX)
		return 0;
	if (!w.conf.mbufs)
		start();
	uint8_t *b = malloc(n);
	memcpy(b, p, n);
	if (p[n - 1] % 8) /* some come with what they have */
		mend(b, (uint32_t)n);
	stats_this_thread = &w.stats;
	now += NSEC_PER_MSEC * p[n - 1];
	w.now_ns = w.sock.now_ns = w.net.now_ns = now;
	if (ip4_input(&w.net, &nif, b, (uint32_t)n, PKT_CSUM_UNKNOWN, true, &in) >= 0)
		input(&in);
	free(b);
	worker_poll(&w, now);
	CHECK(rte_mempool_in_use_count(w.conf.mbufs) < 64);
	return 0;
}

static uint32_t put_ip4(uint8_t *at, uint32_t dst, uint8_t proto, uint32_t n)
{
	struct ip4 ip = { .src = PEER, .dst = dst, .proto = proto, .ttl = 64,
			  .total_len = (uint16_t)(20 + n) };

	return n + ip4_emit(&ip, at, IP4_CSUM_FILL);
}

static uint32_t put_udp(uint8_t *at, uint32_t dst, uint16_t dport, uint16_t n)
{
	struct udp_dgram u = { .sport = 99, .dport = dport, .len = n };

	udp_emit(&u, at + 20);
	return put_ip4(at, dst, IP_PROTO_UDP, 8u + n);
}

static uint32_t put_error(uint8_t *at, uint8_t type, uint8_t code, uint16_t sport)
{
	struct icmp_msg m = { .type = type, .code = code, .mtu = 1000 };
	struct udp_dgram u = { .sport = sport, .dport = 99, .len = 30 };
	struct ip4 ip = { .src = US, .dst = PEER, .proto = IP_PROTO_UDP, .ttl = 1, .total_len = 58 };
	uint8_t quote[58] = { 0 };

	ip4_emit(&ip, quote, IP4_CSUM_FILL);
	udp_emit(&u, quote + 20);
	return put_ip4(at, US, IP_PROTO_ICMP, icmp_emit(&m, quote, sizeof(quote), at + 20));
}

static uint32_t put_query(uint8_t *at, uint32_t dst, uint32_t group, uint32_t n)
{
	uint8_t *q = at + 20;

	memset(q, 0, 64);
	q[0] = IGMP_T_QUERY;
	q[1] = 10;
	store_be32(q + 4, group);
	if (n == 8)
		return put_ip4(at, dst, IP_PROTO_IGMP, 8);
	q[8] = 2;
	q[9] = 125;
	store_be16(q + 10, (uint16_t)((n - 12) / 4));
	store_be32(q + 12, PEER);
	store_be32(q + 16, 0x0a4d0063);
	return put_ip4(at, dst, IP_PROTO_IGMP, n);
}

size_t fuzz_example(unsigned i, uint8_t *buf)
{
	memset(buf, 0, FUZZ_MAX);
	switch (i) {
	case 0:
		return put_udp(buf, US, 53, 40);
	case 1:
		return put_udp(buf, GROUP, 5353, 0);
	case 2:
		return put_udp(buf, 0xffffffff, 5353, 9);
	case 3:
		return put_udp(buf, US, 7, 1400);
	case 4:
		return put_error(buf, ICMP_T_UNREACH, ICMP_C_PORT, 53);
	case 5:
		return put_error(buf, ICMP_T_UNREACH, ICMP_C_FRAG_NEEDED, 53);
	case 6:
		return put_error(buf, ICMP_T_TIME_EXCEEDED, 0, 5353);
	case 7:
		return put_query(buf, MCAST_ALL_HOSTS, 0, 12);
	case 8:
		return put_query(buf, GROUP, GROUP, 20);
	case 9:
		return put_query(buf, MCAST_ALL_HOSTS, 0, 8);
	case 10:
		igmp_emit(IGMP_T_REPORT2, GROUP, buf + 20);
		return put_ip4(buf, GROUP, IP_PROTO_IGMP, 8);
	case 11:
		return put_query(buf, GROUP + 1, GROUP + 1, 32);
	}
	return 0;
}
