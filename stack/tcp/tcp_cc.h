/* Congestion control: a controller is a const table of functions. Adding one is a file and a line in
 * stack/base/cc.def. cwnd and ssthresh are bytes and live in the connection; what else a controller
 * needs is its member of c->cc_state. Loss is found by tcp_rack.c and tcp_recovery.c. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;

enum tcp_cc_cause { TCP_CC_LOSS, TCP_CC_TIMEOUT, TCP_CC_ECN };
enum { TCP_CWND_MAX = 1 << 30 };

struct tcp_cc_ops {
	const char *name; /* TCP_CONGESTION */
	bool wants_ecn;	  /* asks for it in our SYN, and answers every mark (RFC 8257) */
	/* The connection is established, mss and the initial cwnd are set; or the application has
	 * just chosen it. */
	void (*init)(struct tcp_conn *c);
	/* acked bytes of new data are acknowledged outside fast recovery, and cwnd was what limited
	 * the sender (RFC 7661 3). */
	void (*acked)(struct tcp_conn *c, uint32_t acked, uint64_t now_ns);
	/* While `flight` bytes were out something told of congestion: the new ssthresh. */
	uint32_t (*ssthresh)(struct tcp_conn *c, uint32_t flight, enum tcp_cc_cause cause);
	/* From here on all may be NULL. A round trip was measured. */
	void (*rtt)(struct tcp_conn *c, uint32_t rtt_us);
	/* The last ssthresh() was a mistake. */
	void (*undo)(struct tcp_conn *c);
	/* Nothing was sent for idle_ns, and now something will be. */
	void (*restart)(struct tcp_conn *c, uint64_t idle_ns);
	/* acked more bytes have arrived, and the peer tells (or not) that they met congestion. */
	void (*marked)(struct tcp_conn *c, uint32_t acked);
};

#define CC_DEF(name) extern const struct tcp_cc_ops tcp_cc_##name;
#include "stack/base/cc.def"
#undef CC_DEF

/* By tcp_sockopts.cc. Never NULL: an unknown number is the default. */
const struct tcp_cc_ops *tcp_cc_of(uint8_t cc);
/* That number of a name, or -1. */
int tcp_cc_find(const char *name);
/* RFC 5681 (2), (3) counted in bytes (RFC 3465); *count collects those of congestion avoidance. */
void tcp_cc_reno_grow(struct tcp_conn *c, uint32_t acked, uint32_t *count);
