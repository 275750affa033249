/* Pacing: with a limit on the rate (SO_MAX_PACING_RATE) what leaves is spread over time by the connection's
 * timer. As Linux without a queue discipline that paces: the limit, or twice the window a round trip in
 * slow start, 1.2 times after it, whichever is less. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

enum { SLOW_PERCENT = 200, AVOID_PERCENT = 120, QUANTA_PER_S = 1000, QUANTUM_SEGS = 2 };

static uint64_t rate_of(const struct tcp_conn *c)
{
	uint64_t rate = c->opts.pacing;

	if (c->rtt.srtt_us) {
		uint64_t percent = c->cwnd < c->ssthresh / 2 ? SLOW_PERCENT : AVOID_PERCENT;

		rate = min_u64(rate, (uint64_t)c->cwnd * percent * 10000 / c->rtt.srtt_us);
	}
	return max_u64(rate, 1);
}

uint32_t tcp_pace_budget(const struct tcp_conn *c, uint64_t now_ns)
{
	if (now_ns < c->pace_ns)
		return 0;
	/* a millisecond's worth at once, so that fast connections do not live on their timer */
	return (uint32_t)min_u64(max_u64(rate_of(c) / QUANTA_PER_S, QUANTUM_SEGS * c->mss), 1 << 30);
}

/* No credit for time in which nothing was sent. */
void tcp_pace_sent(struct tcp_conn *c, uint32_t len, uint64_t now_ns)
{
	c->pace_budget -= min_u32(len, c->pace_budget);
	c->pace_ns = max_u64(c->pace_ns, now_ns) + (len * NSEC_PER_SEC) / rate_of(c);
}
