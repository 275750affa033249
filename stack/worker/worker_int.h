/* What the files of worker/ share among themselves. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/net/icmp4.h"
#include "stack/net/ip4.h"
#include "stack/worker/worker.h"

enum {
	RX_BURST = 32,
	TX_BURST = 32,
	TX_QUEUE = 512,		/* frames a port may be behind */
	TX_TRIES = 4,		/* bursts offered before we go on with other work */
	TX_STUCK_US = 2000,	/* a port that takes nothing for so long loses what waits */
	LOOP_MSS = 16384,	/* payload of a segment to ourselves */
	LOOP_SEGS = 512,
	LOOP_PASSES = 8,	/* rounds of local input and output in one loop */
	MAIL_SLOTS = 1024,
	STEER_SLOTS = 4096,
};

/* tx.c: the transmit queues. */
int tx_init(struct worker *w);
void tx_fini(struct worker *w);
/* net_env.tx: queues m for nif, sends when a burst is full. */
void tx_push(void *arg, struct netif *nif, struct rte_mbuf *m);
/* Sends what waits. True: some of it still does. */
bool tx_flush(struct worker *w);
bool tx_pending(const struct worker *w);

/* rx.c: frames from ports and from other workers. Return how many there were. */
uint32_t rx_ports(struct worker *w);
uint32_t rx_steered(struct worker *w);

/* steer.c: frames that belong to another worker. */
enum steer_kind { STEER_FRAME = 1, STEER_ARP_COPY };
/* Owner of a datagram; our own number for what any worker may serve. */
uint32_t steer_owner(const struct worker *w, const struct ip4_in *in);
/* Hands m, a whole frame received on nif, to worker `to`. Consumes m. */
void steer_give(struct worker *w, uint32_t to, struct netif *nif, struct rte_mbuf *m,
		enum steer_kind kind);
/* A copy for each of the others: their neighbour caches learn from it. */
void steer_copy_all(struct worker *w, struct netif *nif, const struct rte_mbuf *m);
/* A reassembled datagram has no frame any more: makes one. */
void steer_datagram(struct worker *w, uint32_t to, const struct ip4_in *in);

/* host.c: what sock/ asks of us. */
extern const struct sock_host worker_host;
void host_neigh_unreachable(struct worker *w, struct rte_mbuf *m);

/* loop.c: segments to our own addresses. */
int loop_init(struct worker *w);
void loop_fini(struct worker *w);
void loop_push(struct worker *w, const struct tcp_flow *flow, const struct tcp_seg *seg,
	       const struct sock_piece *piece, unsigned n_pieces);
/* Feeds what waited at the start of the call into TCP. Returns how many segments. */
uint32_t loop_drain(struct worker *w);
bool loop_pending(const struct worker *w);

/* mail.c */
int mail_init(struct worker *w);
void mail_fini(struct worker *w);
uint32_t mail_drain(struct worker *w);

/* idle.c: spinning and sleeping. */
int idle_init(struct worker *w);
void idle_fini(struct worker *w);
/* The thread that sleeps is the caller's: what belongs to it. */
void idle_thread_start(struct worker *w);
/* After each loop; busy: it had work. May sleep. */
void idle_step(struct worker *w, bool busy);
uint64_t worker_clock_ns(void);
