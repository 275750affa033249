/* A network interface seen from the stack: addresses, MTU, offloads, and the ops that move bursts.
 * dpdk/port.c implements the ops over ethdev; netif_wrap.c stacks pcap and faults on any of them;
 * tests implement them over arrays. One struct netif per port, shared by the workers, constant after
 * start except through the control thread while the workers stand still. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"
#include "stack/wire/eth.h"

struct rte_mbuf;
struct netif;
enum { NETIF_MAX = 8, NETIF_ADDRS = 16 };
enum { NETIF_IFINDEX_LO = 1, NETIF_IFINDEX_BASE = 0x10000 };

enum netif_addr_flags {
	NETIF_ADDR_OPTIMISTIC = 1 << 0, /* in use, but perhaps another's, too (RFC 4429) */
	NETIF_ADDR_DEPRECATED = 1 << 1, /* not for what is new (RFC 4862 5.5.4) */
	NETIF_ADDR_TEMPORARY = 1 << 2,	/* RFC 8981 */
	NETIF_ADDR_AUTO = 1 << 3,	/* from a router: it does not say what is on the link (RFC 5942) */
};
struct netif_addr {
	struct ipaddr addr;
	uint8_t plen; /* of the 128-bit form */
	uint8_t flags;
};

struct netif_ops {
	/* At most n frames from `queue` into pkts; returns how many. The caller owns them. */
	uint16_t (*rx_burst)(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n);
	/* Hands over n frames; returns how many were taken (owned by the driver); the rest stays the
	 * caller's. */
	uint16_t (*tx_burst)(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n);
	/* Descriptors that are readable (level-triggered) while frames wait on `queue`: at most max into
	 * fds, returns how many. 0, or NULL here: the port can't be slept on, only polled now and then. */
	int (*rx_fds)(struct netif *nif, uint16_t queue, int *fds, int max);
	/* on: called before the last look at the queue that precedes a sleep; off: after waking (takes
	 * back a pending event). NULL: not needed. */
	void (*rx_arm)(struct netif *nif, uint16_t queue, bool on);
};

struct netif {
	const struct netif_ops *ops;
	void *priv;
	char name[32];
	uint8_t mac[6];
	uint16_t index;	    /* into host's table */
	uint32_t ifindex;   /* as applications know it: the kernel's number where it has one, else above
			     * NETIF_IFINDEX_BASE */
	uint16_t mtu;	    /* IP bytes in a frame */
	uint16_t n_queues;
	bool rx_csum;	    /* port verifies IP and TCP/UDP checksums (ol_flags say so per packet) */
	bool tx_csum_ip, tx_csum_l4;
	bool rss;	    /* port spreads by a hash that we know; else software steering */
	uint32_t tso_bytes; /* 0: no segmentation offload, else the most it takes at once */
	/* [a] True: now it takes no segments that are to be cut, its peer can't. NULL: it always does. */
	const _Atomic bool *tso_off;
	bool large_frames; /* of up to 64 KB are usual, and copied by a processor */
	bool tso_whole_len; /* the pseudo header of what is cut has its length, as virtio wants it */
	uint16_t mtu6;	    /* what a router says the link takes of IPv6, 0: nothing said */
	uint8_t hops6;	    /* the hop limit that it recommends, 0: none */
	uint32_t reachable6_ms, retrans6_ms; /* the timers of neighbour discovery that it wants, 0: none */
	uint16_t n_addrs;
	struct netif_addr addr[NETIF_ADDRS];
};

/* IPv6 bytes in a frame. */
static inline uint16_t netif_mtu6(const struct netif *nif)
{
	return nif->mtu6 && nif->mtu6 < nif->mtu ? nif->mtu6 : nif->mtu;
}
/* The address of nif that is a; NULL: it has none such. */
static inline const struct netif_addr *netif_find_addr(const struct netif *nif, const struct ipaddr *a)
{
	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		if (ipaddr_eq(&nif->addr[i].addr, a))
			return &nif->addr[i];
	}
	return NULL;
}
