/* What the tests of whole workers share: one or two of them, polled by hand on a fake clock. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/unit/net/rig.h"
#include "stack/sock/sock_int.h"
#include "stack/wire/tcp.h"
#include "stack/worker/worker_int.h"

extern struct worker w[2];
extern struct chan_engine engine;
extern struct mcast *groups;
extern uint64_t now;
#define COUNT(i, name) w[i].stats.v[STAT_##name]
#define AT(a) ((struct endpoint){ .addr = (a) })

/* A listener of a socket that no application has ever closed. */
struct wrig_listener {
	struct listener l;
	struct client client;
	struct chan_sock_b b;
};
void wrig_listen(int i, struct wrig_listener *x, const struct tcp_listener *tl);
void wrig_unlisten(int i, struct wrig_listener *x);

/* Fixtures. */
void wrig_setup(void);
void wrig_setup_two(void);
void wrig_teardown(void);
/* Polls all workers until none has work. */
void wrig_run(void);
/* The port will give this frame. */
void wrig_rx(struct rte_mbuf *m);
struct rte_mbuf *wrig_frame_of(uint16_t type, const void *p, uint32_t n);
void wrig_rx_ip4(uint32_t src, uint8_t proto, const void *p, uint32_t n);
/* A segment from src to us, seg->len bytes of payload, with its checksum. Returns its length. */
uint32_t wrig_make_tcp(uint8_t *b, uint32_t src, const struct tcp_seg *seg);
void wrig_rx_tcp(uint32_t src, const struct tcp_seg *seg);
/* An echo request of n data bytes; returns its length. */
uint32_t wrig_make_echo(uint8_t *b, uint32_t n);
/* The ICMP message at b in fragments of step bytes. */
void wrig_rx_fragments(const uint8_t *b, uint32_t n, uint32_t step);
/* The peer asks for our address: the workers know it from then on. */
void wrig_meet_peer(void);
