/* Pacing: with a limit on the rate (SO_MAX_PACING_RATE) or a controller that sets one, what leaves is spread
 * over time by the connection's timer. Else as Linux without a queue discipline that paces: the limit, or
 * twice the window a round trip in slow start, 1.2 times after it, whichever is less. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

enum { SLOW_PERCENT = 200, AVOID_PERCENT = 120, QUANTA_PER_S = 1000, QUANTUM_SEGS = 2,
       LATE_PART = 4 };
enum { MODEL_QUANTUM_MAX = 64 * 1024 };

void tcp_pace_changed(struct tcp_conn *c)
{
	c->paced = c->opts.pacing || c->model;
}

uint64_t tcp_pace_rate(const struct tcp_conn *c)
{
	uint64_t rate = c->opts.pacing ? c->opts.pacing : UINT64_MAX;

	if (c->model) {
		rate = min_u64(rate, c->pace_rate);
	} else if (c->rtt.srtt_us) {
		uint64_t percent = c->cwnd < c->ssthresh / 2 ? SLOW_PERCENT : AVOID_PERCENT;

		rate = min_u64(rate, (uint64_t)c->cwnd * percent * 10000 / c->rtt.srtt_us);
	}
	return max_u64(rate, 1);
}

/* A millisecond's worth at once, so that fast connections do not live on their timer. */
static uint32_t quantum(const struct tcp_conn *c, uint64_t rate)
{
	uint32_t most = c->model ? MODEL_QUANTUM_MAX : 1u << 30;

	return (uint32_t)max_u64(min_u64(rate / QUANTA_PER_S, most), QUANTUM_SEGS * c->mss);
}

uint32_t tcp_pace_quantum(const struct tcp_conn *c)
{
	return quantum(c, tcp_pace_rate(c));
}

/* What is left of the first ten segments, which leave at once: a burst that anyone may send (RFC 6928), and
 * spread over a guess of the round trip it would only make the first real one come later. As Linux. */
static uint32_t unpaced(const struct tcp_conn *c)
{
	uint64_t sent = c->tx_bytes + seq_diff(c->snd_nxt, c->snd_una);
	uint32_t first = (uint32_t)TCP_INIT_SEGS * c->mss;

	return sent < first ? first - (uint32_t)sent : 0;
}

uint32_t tcp_pace_budget(const struct tcp_conn *c, uint64_t now_ns)
{
	return max_u32(unpaced(c), now_ns < c->pace_ns ? 0 : tcp_pace_quantum(c));
}

/* How late may we be and still make up for it? Half a quantum. A model's rate is what the path carries:
 * whatever a busy processor makes late is lost for good, so up to a quarter of a round trip is made up
 * for, while the application has more; the queue has become as much shorter meanwhile. */
static uint64_t late_most_ns(const struct tcp_conn *c, uint64_t rate)
{
	uint64_t late_ns = quantum(c, rate) / 2 * NSEC_PER_SEC / rate;

	if (!c->model || c->rate.dry)
		return late_ns;
	return max_u64(late_ns, c->rtt.srtt_us * NSEC_PER_USEC / LATE_PART);
}

/* Time in which nothing was sent gives no credit; a timer that fires late is made up for. */
void tcp_pace_sent(struct tcp_conn *c, uint32_t len, uint64_t now_ns)
{
	uint64_t rate = tcp_pace_rate(c), late_ns = late_most_ns(c, rate);

	c->pace_budget -= min_u32(len, c->pace_budget);
	if (unpaced(c))
		return;
	if (c->pace_ns + late_ns < now_ns)
		c->pace_ns = now_ns;
	c->pace_ns += len * NSEC_PER_SEC / rate;
}
