/* Congestion control: a controller is a const table of functions. Adding one is a file and a line
 * in tcp_cc.c. cwnd and ssthresh are bytes and live in the connection; what else a controller needs
 * is its member of c->cc_state. Loss is found by tcp_recovery.c. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

struct tcp_conn;

struct tcp_cc_ops {
	const char *name; /* TCP_CONGESTION */
	/* The connection is established; mss and the initial cwnd are set. */
	void (*init)(struct tcp_conn *c);
	/* acked bytes of new data are acknowledged outside loss recovery or while a timeout is
	 * repaired, and cwnd was what limited the sender (RFC 7661 3). */
	void (*acked)(struct tcp_conn *c, uint32_t acked, uint64_t now_ns);
	/* A loss was found while `flight` bytes were out: the new ssthresh. */
	uint32_t (*ssthresh)(struct tcp_conn *c, uint32_t flight);
};

extern const struct tcp_cc_ops tcp_cc_reno;
/* Never NULL: an unknown index is the default. */
const struct tcp_cc_ops *tcp_cc_by_index(uint8_t index);
/* Index of a name, or -1. */
int tcp_cc_find(const char *name);
