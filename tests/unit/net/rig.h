/* What the tests of the packet-buffer half of stack/net share: EAL without huge pages, one port over
 * arrays, a network layer around it whose frames are caught. Teardown asserts that no buffer leaked. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/base/util.h"
#include <rte_mbuf.h>
#include "stack/base/stats.h"
#include "stack/net/neigh.h"
#include "stack/net/net.h"
#include "stack/net/pkt.h"
#include "tests/unit/unit.h"

enum { RIG_FRAMES = 4096, RIG_BUFS = 4095 };
#define RIG_US 0x0a4d0002u   /* 10.77.0.2/24 */
#define RIG_PEER 0x0a4d0001u
#define RIG_NOW (100 * NSEC_PER_SEC)

struct rig_frame {
	uint32_t len;
	uint64_t ol_flags;
	uint8_t b[2048];
};

struct rig {
	struct netif nif;
	struct netif *nifs[1];
	struct route_table routes;
	struct net_env net;
	struct stats stats;
	uint32_t n_sent;
	struct rig_frame sent[RIG_FRAMES]; /* by net.tx, and by the port's tx_burst */
	uint32_t n_rx, rx_at;
	struct rte_mbuf *rx[RIG_FRAMES];   /* what the port's rx_burst gives */
	uint32_t tx_room;		   /* frames that tx_burst still takes */
	uint32_t bufs;			   /* free buffers at the start */
};
extern struct rig rig;

/* Once per program, before Check forks. */
void rig_eal(void);
extern struct rte_mempool *rig_pool;
/* Fixture: 10.77.0.2/24 on a port with MTU 1500, gateway 10.77.0.1, no neighbour known. */
void rig_setup(void);
void rig_teardown(void);
/* The peer's MAC address, and makes it known. */
struct eth_addr rig_peer_mac(void);
void rig_know_peer(void);
/* A buffer holding n bytes (chained if they do not fit). */
struct rte_mbuf *rig_mbuf(const void *p, uint32_t n);
/* A UDP packet with IPv4 header at p: returns its length. */
uint32_t rig_udp(void *p, uint32_t src, uint32_t dst, const void *data, uint16_t n);
#define STAT(name) rig.stats.v[STAT_##name]
