/* NewReno's window: slow start, congestion avoidance and halving (RFC 5681 3.1), counting bytes
 * (RFC 3465) so that one ACK for a whole burst opens the window as many small ones would. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_conn.h"

enum { CWND_MAX = 1 << 30 };

static void reno_init(struct tcp_conn *c)
{
	c->cc_state.reno.acked = 0;
}

static void reno_acked(struct tcp_conn *c, uint32_t acked, uint64_t now_ns)
{
	if (c->cwnd < c->ssthresh) {
		uint32_t grow = min_u32(acked, c->ssthresh - c->cwnd);

		c->cwnd = min_u32(c->cwnd + grow, CWND_MAX);
		acked -= grow;
	}
	c->cc_state.reno.acked += min_u32(acked, c->cwnd);
	if (c->cc_state.reno.acked >= c->cwnd) { /* one segment per round trip */
		c->cc_state.reno.acked -= c->cwnd;
		c->cwnd = min_u32(c->cwnd + c->mss, CWND_MAX);
	}
}

static uint32_t reno_ssthresh(struct tcp_conn *c, uint32_t flight)
{
	c->cc_state.reno.acked = 0;
	return max_u32(flight / 2, 2u * c->mss); /* (4) */
}

const struct tcp_cc_ops tcp_cc_reno = {
	.name = "reno",
	.init = reno_init,
	.acked = reno_acked,
	.ssthresh = reno_ssthresh,
};
