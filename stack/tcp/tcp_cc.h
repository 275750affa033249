/* Congestion control: a controller is a const table of functions. Adding one is a file and a line in
 * stack/base/cc.def. cwnd and ssthresh are bytes and live in the connection; what else a controller
 * needs is its member of c->cc_state. Loss is found by tcp_rack.c and tcp_recovery.c. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "stack/base/seq.h"

struct tcp_conn;
struct tcp_env;
struct tcp_rate_sample;
union tcp_cc_info;

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
	/* From here on all may be NULL. Who has this lives on rates (struct tcp_model): it is called
	 * for every ACK of something, and cwnd and pace_rate are its own at any time. */
	void (*control)(struct tcp_env *env, struct tcp_conn *c, const struct tcp_rate_sample *rs);
	/* [start, end) was taken for lost. */
	void (*lost)(struct tcp_conn *c, seq_t start, seq_t end);
	/* All that was out when recovery began is acknowledged. */
	void (*recovered)(struct tcp_conn *c);
	/* A round trip was measured. */
	void (*rtt)(struct tcp_conn *c, uint32_t rtt_us);
	/* The last ssthresh() was a mistake. */
	void (*undo)(struct tcp_conn *c);
	/* Nothing was sent for idle_ns, and now something will be. Without control() only if that
	 * was long (RFC 5681 4.1). */
	void (*restart)(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns, uint64_t idle_ns);
	/* acked more bytes have arrived, and the peer tells (or not) that they met congestion. */
	void (*marked)(struct tcp_conn *c, uint32_t acked);
	/* For TCP_CC_INFO: how many bytes of it are filled in. */
	size_t (*info)(const struct tcp_conn *c, union tcp_cc_info *info);
};

#define CC_DEF(name) extern const struct tcp_cc_ops tcp_cc_##name;
#include "stack/base/cc.def"
#undef CC_DEF

/* By tcp_sockopts.cc. Never NULL: an unknown number is the default. */
const struct tcp_cc_ops *tcp_cc_of(uint8_t cc);
/* The same with the host's default. */
const struct tcp_cc_ops *tcp_cc_for(const struct tcp_env *env, uint8_t cc);
/* That number of a name, or -1. */
int tcp_cc_find(const char *name);
/* The controller that opts.cc names takes over, if it is another one; `again`: also the same one. */
void tcp_cc_start(const struct tcp_env *env, struct tcp_conn *c, bool again);
/* Gives back what it has beside the connection. */
void tcp_cc_stop(const struct tcp_env *env, struct tcp_conn *c);
/* RFC 5681 (2), (3) counted in bytes (RFC 3465); *count collects those of congestion avoidance. */
void tcp_cc_reno_grow(struct tcp_conn *c, uint32_t acked, uint32_t *count);
