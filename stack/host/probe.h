/* Is an address of ours taken on the link? Asked once, before the data threads run. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/net/netif.h"
#include "stack/wire/eth.h"

struct rte_mempool;

/* Probes all IPv4 addresses of nif (RFC 5227 2.1.1, one probe and a short wait). The index of the
 * first that somebody else has, with who in *owner; -1: none. */
int probe_addresses(struct netif *nif, struct rte_mempool *mbufs, struct eth_addr *owner);
