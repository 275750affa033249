/* The receive buffer follows the bandwidth-delay product (dynamic right-sizing, as Linux does it): what the
 * application reads in a round trip, twice, is the window that lets the sender double. Nothing shrinks
 * again; memory is the host's and follows what really arrives. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

enum { RTT_GUESS_US = 100000, SPARE_SEGS = 16 };

void tcp_tune_read(struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_tune *t = &c->tune;
	uint64_t rtt_us = c->rtt.srtt_us ? c->rtt.srtt_us : RTT_GUESS_US;

	if (now_ns - t->since_ns < rtt_us * NSEC_PER_USEC)
		return;
	uint64_t want = 2ull * (c->rx_head - t->head) + (uint32_t)SPARE_SEGS * c->adv_mss;
	/* A first look that comes late says nothing about a round trip. */
	if (t->since_ns && want > c->opts.rcvbuf) {
		t->rcvbuf = (uint32_t)min_u64(want, c->opts.rcvbuf_max);
		c->opts.rcvbuf = max_u32(c->opts.rcvbuf, t->rcvbuf);
		STAT_INC(tcp_rcvbuf_grown);
	}
	t->head = c->rx_head;
	t->since_ns = now_ns;
}

void tcp_tune_opts(struct tcp_conn *c)
{
	c->opts.rcvbuf = max_u32(c->opts.rcvbuf, min_u32(c->tune.rcvbuf, c->opts.rcvbuf_max));
}
