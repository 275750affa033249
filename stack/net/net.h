/* What the network layer of one data thread needs: ports, routes, neighbours, buffers, and a way out.
 * Owned by the worker; the functions of net/ take it as their first argument. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/base/rng.h"
#include "stack/net/netif.h"
#include "stack/net/route.h"

struct rte_mbuf;
struct rte_mempool;
struct neigh_table;
struct mcast;

/* Rate limit: burst tokens at most, rate tokens a second. Zeroed memory is an empty bucket. */
struct net_bucket {
	uint64_t tokens_ns; /* credit in ns of one token each 1e9 / rate */
	uint64_t last_ns;
};

struct net_env {
	struct netif **netif;
	uint32_t n_netif;
	const struct route_table *routes;
	struct neigh_table *neigh;
	const struct mcast *groups; /* NULL: none joined */
	struct rte_mempool *mbufs;
	struct rng rng;
	uint64_t now_ns; /* of this loop */
	uint16_t ip_id;	 /* of the next datagram */
	/* The last packet whose addresses were right. They can be wrong after a change of routes or
	 * addresses, for which the data threads stand still: mail_drain() forgets it. */
	struct { const struct netif *nif; uint32_t src, dst; } seen;
	struct { const struct netif *nif; struct ipaddr src, dst; } seen6;
	struct net_bucket echo, unreach;
	/* Takes a frame, complete from the Ethernet header on, to the transmit queue of nif. */
	void (*tx)(void *arg, struct netif *nif, struct rte_mbuf *m);
	void *arg;
};
