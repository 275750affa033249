/* Bulk flows through one bottleneck: senders and receivers are whole TCP cores, the wire is a rate, a delay,
 * a queue that drops at its tail (or marks), and seeded random loss; the clock is virtual. For what
 * a controller does with a path and with its neighbours there. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { FLOWS_MAX = 4, FLOWS_MSS = 1448, FLOWS_WIRE = FLOWS_MSS + 52 };

struct flows_conf {
	uint32_t mbit, rtt_us;
	uint32_t queue_bytes;	/* 0: one bandwidth-delay product, at least 30 kB */
	uint32_t mark_bytes;	/* ECN: longer queues are marked, 0 = never */
	uint32_t loss_ppm;	/* of data packets */
	uint32_t late_ppm;	/* of data packets, by up to a quarter of the round trip and 10 packets */
	uint32_t from_ms, to_ms; /* what is measured; the run ends with it */
	uint32_t n;		/* flows */
	const char *cc[FLOWS_MAX]; /* NULL: as the first */
	uint32_t start_ms[FLOWS_MAX];
	uint32_t chunk, every_ms; /* the application writes so much every so often; 0: all the time */
	uint32_t sndbuf_max;	/* a send buffer that follows the window, as a socket has it; 0: endless */
	uint32_t rcvbuf_max;	/* a receive buffer that grows, as a socket has it; 0: endless */
	uint32_t stall_us, stall_every_ms; /* so long the senders' host does nothing, so often */
	uint64_t seed;
};

struct flows_result {
	double share[FLOWS_MAX]; /* of what the bottleneck could have carried as payload */
	double sum;
	double jain;		 /* fairness index of the shares */
	uint32_t queue_max, queue_mean; /* bytes in the queue, as arriving packets found it */
	uint32_t resent_permille;
	/* of the first flow, at the end */
	uint64_t rate;		 /* as TCP_INFO says */
	bool rate_limited;
	uint64_t bw;		 /* BBR's */
	uint32_t min_rtt_us;
	bool in_startup;
};

struct flows_result flows_run(const struct flows_conf *conf);
