/* NewReno's window: slow start, congestion avoidance and halving (RFC 5681 3.1), counting bytes
 * (RFC 3465) so that one ACK for a whole burst opens the window as many small ones would. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_conn.h"

void tcp_cc_reno_grow(struct tcp_conn *c, uint32_t acked, uint32_t *count)
{
	if (c->cwnd < c->ssthresh) {
		uint32_t grow = min_u32(acked, c->ssthresh - c->cwnd);

		c->cwnd = min_u32(c->cwnd + grow, TCP_CWND_MAX);
		acked -= grow;
	}
	*count += min_u32(acked, c->cwnd);
	if (*count >= c->cwnd) { /* one segment per round trip */
		*count -= c->cwnd;
		c->cwnd = min_u32(c->cwnd + c->mss, TCP_CWND_MAX);
	}
}

static void reno_init(struct tcp_conn *c)
{
	c->cc_state.reno.acked = 0;
}

static void reno_acked(struct tcp_conn *c, uint32_t acked, uint64_t now_ns)
{
	tcp_cc_reno_grow(c, acked, &c->cc_state.reno.acked);
}

static uint32_t reno_ssthresh(struct tcp_conn *c, uint32_t flight, enum tcp_cc_cause cause)
{
	c->cc_state.reno.acked = 0;
	if (cause == TCP_CC_ECN && c->cwnd >= c->ssthresh) /* RFC 8511 3: a mark comes before loss */
		return max_u32((uint32_t)(flight * 8ull / 10), 2u * c->mss);
	return max_u32(flight / 2, 2u * c->mss); /* (4) */
}

const struct tcp_cc_ops tcp_cc_reno = {
	.name = "reno",
	.init = reno_init,
	.acked = reno_acked,
	.ssthresh = reno_ssthresh,
};
