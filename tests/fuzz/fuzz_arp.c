/* Fuzz target: the input is a program for ARP and the neighbour cache: requests, answers and announcements of
 * many stations, true, lying and torn, packets that want to leave, and time. The table and its queues stay
 * bounded, an address is used only if its owner has told it, requests are few, and no buffer is lost. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/stats.h"
#include "stack/net/arp.h"
#include "stack/net/ip4.h"
#include "stack/net/neigh.h"
#include "stack/wire/arp.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/mbufs.h"

enum { MAX = 12, HOSTS = 32, MACS = 4, PORTS = 2, STEPS = 400, MTU = 1500, ASKS = 3 };
#define US 0x0a4d0002u /* on port 0; 10.78.0.2 on port 1 */
#define SECOND 0x0a4d0003u
#define GATEWAY 0x0a4d0001u
#define HOST 0x0a4d0010u

/* What a station has been said to be, by whom it may be believed. */
struct station {
	uint8_t told; /* bits: one per MAC address that an acceptable packet has named */
	uint64_t asked_ns[ASKS];
	uint32_t n_asked;
};

static struct {
	struct net_env env;
	struct netif nif[PORTS], *nifs[PORTS];
	struct route_table routes;
	struct stats stats;
	struct station station[PORTS][256];
	struct arp_pkt last;  /* that came */
	uint32_t answers;     /* that left since */
	bool full;	      /* the table was */
	bool broken;	      /* a packet was torn: nobody knows what it says */
} f;

static struct eth_addr mac_of(uint32_t i) { return (struct eth_addr){ { 2, 0, 0, 0, 1, (uint8_t)i } }; }
static struct eth_addr own_mac(uint32_t port)
{
	struct eth_addr a;

	memcpy(&a, f.nif[port].mac, sizeof(a));
	return a;
}

static bool is_told(uint32_t port, uint32_t ip4, const struct eth_addr *mac)
{
	/* a torn packet may have named any other */
	return f.broken || (mac->b[4] == 1 && mac->b[5] < MACS &&
			    f.station[port][ip4 & 0xff].told & 1u << mac->b[5]);
}

/* ---- what leaves ---- */
static void arp_left(uint32_t port, const struct eth *eth, const uint8_t *p, uint32_t n)
{
	struct arp_pkt a;

	CHECK(arp_parse(&a, p, n) == ARP_LEN && n + ETH_HDR_LEN == ETH_FRAME_MIN);
	CHECK(eth_addr_eq(a.sha, own_mac(port)) && eth_addr_eq(eth->src, a.sha));
	CHECK(a.spa >> 8 == (US >> 8) + (port << 8));
	if (a.op == ARP_OP_REPLY) {
		f.answers++;
		if (!f.broken) {
			CHECK(f.last.op == ARP_OP_REQUEST && a.spa == f.last.tpa);
			CHECK(a.tpa == f.last.spa && eth_addr_eq(a.tha, f.last.sha));
		}
		CHECK(eth_addr_eq(eth->dst, a.tha));
		return;
	}
	CHECK(a.tpa >> 8 == a.spa >> 8); /* on the link, or an announcement */
	if (a.tpa == a.spa)
		return;
	struct station *s = &f.station[port][a.tpa & 0xff];
	/* Whatever wants to leave: not three at a time. An entry that was evicted starts again. */
	uint64_t *at = &s->asked_ns[s->n_asked++ % ASKS];
	f.full |= neigh_count(f.env.neigh) == MAX;
	CHECK(s->n_asked <= ASKS || f.full || f.env.now_ns > *at);
	*at = f.env.now_ns;
	CHECK(eth_addr_eq(eth->dst, eth_addr_broadcast()) || is_told(port, a.tpa, &eth->dst));
}

static void ip4_left(uint32_t port, const struct eth *eth, const uint8_t *p, uint32_t n)
{
	struct ip4 h;

	CHECK(ip4_parse(&h, p, n) == IP4_HDR_MIN && h.total_len == n);
	if (h.dst >> 28 == 0xe || (h.dst & 0xff) == 0xff) {
		CHECK(eth_addr_is_multicast(eth->dst));
		return;
	}
	uint32_t hop = h.dst >> 16 == US >> 16 || h.dst >> 16 == (US >> 16) + 1 ? h.dst : GATEWAY;
	CHECK(!eth_addr_is_zero(eth->dst) && !eth_addr_is_multicast(eth->dst));
	CHECK(!eth_addr_eq(eth->dst, own_mac(port)));
	CHECK(is_told(port, hop, &eth->dst));
}

static void tx(void *arg, struct netif *nif, struct rte_mbuf *m)
{
	uint32_t port = nif->index;
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	struct eth eth;

	CHECK(eth_parse(&eth, p, m->pkt_len) == ETH_HDR_LEN && eth_addr_eq(eth.src, own_mac(port)));
	if (eth.type == ETH_TYPE_ARP)
		arp_left(port, &eth, p + ETH_HDR_LEN, m->pkt_len - ETH_HDR_LEN);
	else
		ip4_left(port, &eth, p + ETH_HDR_LEN, m->data_len - ETH_HDR_LEN);
	rte_pktmbuf_free(m);
}

static void on_request(void *arg, struct netif *nif, const struct ipaddr *target,
		       const struct eth_addr *mac)
{
	arp_request(&f.env, nif, ipaddr_get_v4(target), mac);
}
static void on_send(void *arg, struct netif *nif, void *pkt, const struct eth_addr *mac)
{
	memcpy(rte_pktmbuf_mtod((struct rte_mbuf *)pkt, void *), mac, sizeof(*mac));
	tx(NULL, nif, pkt);
}
static void on_drop(void *arg, struct netif *nif, void *pkt, bool unreachable) { rte_pktmbuf_free(pkt); }
static const struct neigh_ops ops = { on_request, on_send, on_drop };

/* ---- what happens ---- */
static uint32_t address_in(struct input *in, uint32_t port)
{
	uint8_t b = u8(in);

	switch (b >> 5) {
	case 7:
		return b & 1 ? 0xe0000001 : b & 2 ? 0 : b & 4 ? 0xffffffff : 0x08080808;
	case 6:
		return (b & 1 ? US : SECOND) + (port << 16);
	case 5:
		return GATEWAY + (port << 16);
	default:
		return HOST + (port << 16) + b % HOSTS;
	}
}

/* It said that spa is at sha: believed of stations of the link that are not ours. */
static void note(uint32_t port, const struct arp_pkt *a)
{
	if (a->spa >> 8 == (US >> 8) + (port << 8) && a->sha.b[4] == 1 && a->sha.b[5] < MACS)
		f.station[port][a->spa & 0xff].told |= (uint8_t)(1u << a->sha.b[5]);
}

static void arp_in(struct input *in, uint8_t what)
{
	uint32_t port = what & 1, n = ARP_LEN;
	uint8_t how = u8(in), p[64] = { 0 };
	struct arp_pkt a = { .op = what & 2 ? ARP_OP_REPLY : ARP_OP_REQUEST };

	a.sha = how & 16 ? own_mac(port) : mac_of(how % MACS);
	a.spa = address_in(in, port);
	a.tpa = what & 4 ? address_in(in, port) : US + (port << 16);
	arp_emit(&a, p);
	for (uint32_t k = how >> 5 & 3; k; k--) {
		p[u8(in) % ARP_LEN] = u8(in);
		f.broken = true;
	}
	if (how & 128)
		n = u8(in) % sizeof(p);
	f.last = a;
	f.answers = 0;
	note(port, &a);
	arp_input(&f.env, &f.nif[port], p, n, how & 8 ? ARP_LEARN_ONLY : ARP_ANSWER);
	CHECK(f.answers <= !(how & 8));
	if (!f.broken && n >= ARP_LEN && a.op == ARP_OP_REQUEST && !(how & 24) && !(what & 4) &&
	    a.spa >> 8 == (US >> 8) + (port << 8) && (a.spa & 0xff) >= (HOST & 0xff))
		CHECK(f.answers == 1);
}

static void send(struct input *in, uint8_t what)
{
	static uint8_t body[4000];
	struct ip4_out o = { .proto = IP_PROTO_UDP, .src = US + ((what & 1) << 16) };
	struct iovec iov = { body, what & 8 ? u16(in) % sizeof(body) : u8(in) };

	o.dst = address_in(in, what & 1);
	for (uint32_t repeat = what & 4 ? u8(in) % 32 : 1; repeat; repeat--) {
		int err = ip4_send(&f.env, &o, &iov, 1);

		CHECK(err <= 0);
		o.dst += (what & 16) != 0;
	}
}

static void after(struct input *in)
{
	uint64_t end = f.env.now_ns + ((uint64_t)1 << u8(in) % 37), next;

	while ((next = neigh_next_ns(f.env.neigh)) <= end) {
		f.env.now_ns = max_u64(f.env.now_ns, next);
		neigh_advance(f.env.neigh, f.env.now_ns);
	}
	f.env.now_ns = end;
}

static void bounded(void)
{
	struct neigh_row row[MAX + 1];
	uint32_t cursor = 0, n = neigh_rows(f.env.neigh, &cursor, row, ARRAY_LEN(row)), queued = 0;

	CHECK(n == neigh_count(f.env.neigh) && n <= MAX);
	for (uint32_t i = 0; i < n; i++) {
		CHECK(row[i].queued <= NEIGH_QUEUE && row[i].nif < PORTS);
		CHECK(!row[i].queued || row[i].state == NEIGH_INCOMPLETE);
		if (row[i].state != NEIGH_INCOMPLETE && row[i].state != NEIGH_FAILED)
			CHECK(!eth_addr_is_zero(row[i].mac) && !eth_addr_is_multicast(row[i].mac));
		queued += row[i].queued;
		for (uint32_t k = 0; k < i; k++)
			CHECK(!ipaddr_eq(&row[i].addr, &row[k].addr) || row[i].nif != row[k].nif);
	}
	/* chained buffers: a datagram is cut into frames of one buffer each */
	CHECK(rte_mempool_in_use_count(f.env.mbufs) == queued);
}

static void start(void)
{
	struct ipaddr gateway = ipaddr_v4(GATEWAY);

	memset(&f, 0, sizeof(f));
	stats_this_thread = &f.stats;
	route_init(&f.routes);
	for (uint16_t i = 0; i < PORTS; i++) {
		f.nif[i] = (struct netif){ .name = "fuzz", .mac = { 2, 0, 0, 0, 0, (uint8_t)(8 + i) },
					   .mtu = MTU, .n_queues = 1, .n_addrs = 2, .index = i };
		f.nif[i].addr[0] = (struct netif_addr){ ipaddr_v4(US + ((uint32_t)i << 16)), 120 };
		f.nif[i].addr[1] = (struct netif_addr){ ipaddr_v4(SECOND + ((uint32_t)i << 16)), 120 };
		f.nifs[i] = &f.nif[i];
		CHECK(route_add_netif(&f.routes, &f.nif[i]) == 0);
	}
	CHECK(route_add_gateway(&f.routes, &gateway) == 0);
	f.env = (struct net_env){ .netif = f.nifs, .n_netif = PORTS, .routes = &f.routes,
				  .mbufs = fuzz_pool(), .now_ns = 1000 * NSEC_PER_SEC, .tx = tx };
	f.env.neigh = neigh_new(MAX, 1, &ops, NULL, f.env.now_ns);
	CHECK(f.env.neigh);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input in = { p, p + n };

	if (n > FUZZ_MAX)
		return 0;
	start();
	for (int i = 0; in.p < in.end && i < STEPS; i++) {
		uint8_t op = u8(&in);
		struct ipaddr a;

		if (op < 120) {
			arp_in(&in, op);
		} else if (op < 200) {
			send(&in, op);
		} else if (op < 235) {
			after(&in);
		} else if (op < 253) {
			a = ipaddr_v4(address_in(&in, op & 1));
			neigh_confirm(f.env.neigh, &f.nif[op & 1], &a, f.env.now_ns);
		} else {
			arp_announce(&f.env, &f.nif[op & 1]);
		}
		bounded();
	}
	neigh_free(f.env.neigh);
	CHECK(rte_mempool_in_use_count(f.env.mbufs) == 0);
	return 0;
}

size_t fuzz_example(unsigned i, uint8_t *buf)
{
	static const uint8_t asked[] = { 0, 0, 5, 128, 9, 5, 1, 1, 6, 129, 9, 6 };
	static const uint8_t asks[] = { 128, 9, 5, 128, 9, 5, 2, 1, 5, 128, 9, 5, 200, 36, 128, 9, 5, 200,
					32, 2, 1, 5, 240, 5 };
	static const uint8_t silent[] = { 132, 9, 5, 12, 200, 30, 200, 30, 200, 30, 200, 31, 128, 9, 5, 200,
					  33 };
	static const uint8_t moved[] = { 0, 0, 5, 0, 1, 5, 128, 9, 5, 200, 31, 2, 1, 5, 128, 9, 5, 200, 33,
					 128, 9, 5, 200, 32, 200, 31, 200, 31, 200, 31 };
	static const uint8_t many[] = { 148, 9, 0, 31, 2, 2, 7, 148, 9, 0, 31, 200, 33 };
	static const uint8_t lies[] = { 0, 0, 0xc1, 0, 16, 5, 2, 0, 0xe1, 4, 0, 5, 9, 0, 64, 5, 3, 3, 0, 128,
					5, 27, 253, 254 };
	static const uint8_t via[] = { 128, 9, 0xe8, 2, 2, 0xa0, 128, 9, 0xe8, 136, 12, 0, 0xe8, 128, 2, 3 };
	static const struct { const uint8_t *p; size_t n; } all[] = {
		{ asked, sizeof(asked) }, { asks, sizeof(asks) }, { silent, sizeof(silent) },
		{ moved, sizeof(moved) }, { many, sizeof(many) }, { lies, sizeof(lies) },
		{ via, sizeof(via) },
	};

	if (i >= ARRAY_LEN(all))
		return 0;
	memcpy(buf, all[i].p, all[i].n);
	return all[i].n;
}
