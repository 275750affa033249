/* Wrappers around a network interface: a pcap file of all its frames, and seeded faults. Each is
 * itself a struct netif, made before the workers start and before routes name the port; it takes
 * over the addresses that the inner one has when it is made. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/net/netif.h"

struct rte_mempool;

/* Parts of a million, so that a drop of 0.01% can be asked for. */
struct netif_fault {
	uint32_t drop_ppm, dup_ppm, reorder_ppm, corrupt_ppm;
	uint64_t seed;
	bool rx, tx;
};
/* "drop=1%,dup=0.5%,reorder=2%,corrupt=0.1%,seed=7,dir=rx" in any order; dir is rx, tx or both (the
 * default). 0 or -EINVAL, *f untouched. */
int netif_fault_parse(const char *spec, struct netif_fault *f);

/* Every frame of inner goes to the file at path (more: behind what it has). 0 and the wrapper, or
 * -errno. */
int netif_wrap_pcap(struct netif *inner, const char *path, bool more, struct netif **out);
/* Frames of inner suffer f. mbufs: for duplicates. 0 or -ENOMEM. */
int netif_wrap_fault(struct netif *inner, const struct netif_fault *f, struct rte_mempool *mbufs,
		     struct netif **out);
/* Frees the wrapper, not what it wraps. Returns what it wraps. */
struct netif *netif_unwrap(struct netif *nif);
