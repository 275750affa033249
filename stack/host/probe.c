/* Address probes. RFC 5227 waits for seconds, for the sake of sleeping stations; this is meant for
 * the wrong address in a configuration, whose owner answers at once. */
// SPDX-License-Identifier: MIT
#include "stack/host/probe.h"
#include <time.h>
#include <rte_mbuf.h>
#include "stack/base/util.h"
#include "stack/net/pkt.h"
#include "stack/wire/arp.h"

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

/* The index of the address that the frame claims, or -1. */
static int claimed(const struct netif *nif, struct rte_mbuf *m, struct eth_addr *owner)
{
	struct arp_pkt a;
	struct eth e;
	int n = m->nb_segs == 1 ? eth_parse(&e, pkt_data(m), pkt_len(m)) : -1;

	if (n < 0 || e.type != ETH_TYPE_ARP ||
	    arp_parse(&a, pkt_data(m) + n, pkt_len(m) - (uint32_t)n) < 0 ||
	    memcmp(&a.sha, nif->mac, sizeof(a.sha)) == 0)
		return -1;
	for (int i = 0; i < nif->n_addrs; i++) {
		const struct ipaddr *addr = &nif->addr[i].addr;

		if (ipaddr_is_v4(addr) && a.spa == ipaddr_get_v4(addr)) {
			*owner = a.sha;
			return i;
		}
	}
	return -1;
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
	}
	for (int ms = 0; ms < WAIT_MS && found < 0; ms++) {
		nanosleep(&nap, NULL);
		found = look(nif, owner);
	}
	return found;
}
