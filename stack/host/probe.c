/* Address probes. RFC 5227 waits for seconds, for the sake of sleeping stations; this is meant for
 * the wrong address in a configuration, whose owner answers at once. */
// SPDX-License-Identifier: MIT
#include "stack/host/probe.h"
#include <time.h>
#include <rte_mbuf.h>
#include "stack/base/util.h"
#include "stack/net/pkt.h"
#include "stack/wire/arp.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/nd.h"

enum { WAIT_MS = 30, BURST = 32 };

static void send_probe(struct netif *nif, struct rte_mempool *mbufs, uint32_t ip4)
{
	struct eth e = { .dst = eth_addr_broadcast(), .type = ETH_TYPE_ARP };
	struct arp_pkt a = { .op = ARP_OP_REQUEST, .tpa = ip4 };
	struct rte_mbuf *m = rte_pktmbuf_alloc(mbufs);

	if (!m)
		return;
	memcpy(&e.src, nif->mac, sizeof(e.src));
	a.sha = e.src;
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, ETH_FRAME_MIN);
	if (p) {
		memset(p, 0, ETH_FRAME_MIN);
		arp_emit(&a, p + eth_emit(&e, p));
	}
	if (!p || nif->ops->tx_burst(nif, 0, &m, 1) != 1)
		pkt_free(m);
}

/* RFC 4862 5.4.2, as short as the others. */
static void send_probe6(struct netif *nif, struct rte_mempool *mbufs, const struct ipaddr *a)
{
	const struct nd_msg ns = { .type = ICMP6_T_ND_NS, .target = *a };
	const struct ipaddr any = { 0 }, dst = ip6_solicited_node(a);
	struct eth e = { .dst = eth_addr_of_group6(dst.b + 12), .type = ETH_TYPE_IP6 };
	struct rte_mbuf *m = rte_pktmbuf_alloc(mbufs);
	struct ip6 h = { .src = any, .dst = dst, .next = IP_PROTO_ICMP6, .hops = ND_HOPS };
	uint8_t b[ND_EMIT_MAX];

	if (!m)
		return;
	h.payload_len = (uint16_t)nd_emit(&ns, b);
	icmp6_put_csum(&any, &dst, b, h.payload_len);
	memcpy(&e.src, nif->mac, sizeof(e.src));
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, ETH_HDR_LEN + IP6_HDR_LEN + h.payload_len);
	if (p) {
		p += eth_emit(&e, p);
		p += ip6_emit(&h, p);
		memcpy(p, b, h.payload_len);
	}
	if (!p || nif->ops->tx_burst(nif, 0, &m, 1) != 1)
		pkt_free(m);
}

static int index_of(const struct netif *nif, const struct ipaddr *a)
{
	for (int i = 0; i < nif->n_addrs; i++) {
		if (ipaddr_eq(&nif->addr[i].addr, a))
			return i;
	}
	return -1;
}

/* An advertisement, or somebody else's probe, for an address of ours. */
static int claimed6(const struct netif *nif, const uint8_t *p, uint32_t n)
{
	struct ip6 h;
	struct nd_msg m;

	if (ip6_parse(&h, p, n) < 0 || h.next != IP_PROTO_ICMP6 || h.hops != ND_HOPS ||
	    !icmp6_csum_ok(&h.src, &h.dst, p + IP6_HDR_LEN, h.payload_len) ||
	    nd_parse(&m, p + IP6_HDR_LEN, h.payload_len) < 0)
		return -1;
	if (m.type != ICMP6_T_ND_NA && !(m.type == ICMP6_T_ND_NS && ipaddr_is_any(&h.src)))
		return -1;
	return index_of(nif, &m.target);
}

/* The index of the address that the frame claims, or -1. */
static int claimed(const struct netif *nif, struct rte_mbuf *m, struct eth_addr *owner)
{
	struct arp_pkt a;
	struct eth e;
	int n = m->nb_segs == 1 ? eth_parse(&e, pkt_data(m), pkt_len(m)) : -1;

	if (n >= 0 && e.type == ETH_TYPE_IP6 && memcmp(&e.src, nif->mac, sizeof(e.src)) != 0) {
		*owner = e.src;
		return claimed6(nif, pkt_data(m) + n, pkt_len(m) - (uint32_t)n);
	}
	if (n < 0 || e.type != ETH_TYPE_ARP ||
	    arp_parse(&a, pkt_data(m) + n, pkt_len(m) - (uint32_t)n) < 0 ||
	    memcmp(&a.sha, nif->mac, sizeof(a.sha)) == 0)
		return -1;
	struct ipaddr sender = ipaddr_v4(a.spa);
	*owner = a.sha;
	return index_of(nif, &sender);
}

static int look(struct netif *nif, struct eth_addr *owner)
{
	struct rte_mbuf *m[BURST];
	int found = -1;

	for (uint16_t q = 0; q < nif->n_queues; q++) {
		uint16_t n = nif->ops->rx_burst(nif, q, m, BURST);

		for (uint16_t i = 0; i < n; i++) {
			if (found < 0)
				found = claimed(nif, m[i], owner);
			pkt_free(m[i]);
		}
	}
	return found;
}

int probe_addresses(struct netif *nif, struct rte_mempool *mbufs, struct eth_addr *owner)
{
	const struct timespec nap = { .tv_nsec = NSEC_PER_MSEC };
	int found = -1;

	for (int i = 0; i < nif->n_addrs; i++) {
		if (ipaddr_is_v4(&nif->addr[i].addr))
			send_probe(nif, mbufs, ipaddr_get_v4(&nif->addr[i].addr));
		else
			send_probe6(nif, mbufs, &nif->addr[i].addr);
	}
	for (int ms = 0; ms < WAIT_MS && found < 0; ms++) {
		nanosleep(&nap, NULL);
		found = look(nif, owner);
	}
	return found;
}
