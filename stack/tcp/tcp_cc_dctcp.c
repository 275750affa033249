/* DCTCP, RFC 8257: the window shrinks by half the share of bytes that met congestion, once a round trip.
 * Its other half, the exact echo of marks, is tcp_ecn.c's. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_conn.h"

/* 4.2: g = 1/16; alpha is a share of ONE, and starts there. */
enum { G_SHIFT = 4, ONE = 1 << 20 };

static void new_window(struct tcp_conn *c)
{
	struct tcp_dctcp *s = &c->cc_state.dctcp;

	s->start = c->snd_una;
	s->end = c->snd_nxt; /* 3.3: DCTCP.WindowEnd */
	s->marked = 0;
}

static void dctcp_init(struct tcp_conn *c)
{
	c->cc_state.dctcp = (struct tcp_dctcp){ .alpha = ONE };
	new_window(c);
}

static void dctcp_acked(struct tcp_conn *c, uint32_t acked, uint64_t now_ns)
{
	tcp_cc_reno_grow(c, acked, &c->cc_state.dctcp.acked);
}

/* 3.3 steps 1 to 8. */
static void update_alpha(struct tcp_conn *c)
{
	struct tcp_dctcp *s = &c->cc_state.dctcp;
	uint32_t all = seq_diff(c->snd_una, s->start);
	uint64_t share = all ? (uint64_t)min_u32(s->marked, all) * ONE / all : 0;

	s->alpha = (uint32_t)(s->alpha - (s->alpha >> G_SHIFT) + (share >> G_SHIFT));
	if (s->alpha < 1 << G_SHIFT)
		s->alpha = 0; /* the rounding would never let it go */
	new_window(c);
}

static void dctcp_marked(struct tcp_conn *c, uint32_t acked)
{
	c->cc_state.dctcp.marked += acked;
}

static void dctcp_rtt(struct tcp_conn *c, uint32_t rtt_us)
{
	if (seq_gt(c->snd_una, c->cc_state.dctcp.end))
		update_alpha(c);
}

/* 3.3: cwnd (1 - alpha / 2); 3.5: loss is answered as by Reno. */
static uint32_t dctcp_ssthresh(struct tcp_conn *c, uint32_t flight, enum tcp_cc_cause cause)
{
	uint64_t cut = (uint64_t)c->cwnd * c->cc_state.dctcp.alpha / (2u * ONE);

	c->cc_state.dctcp.acked = 0;
	if (cause != TCP_CC_ECN)
		return max_u32(flight / 2, 2u * c->mss);
	return max_u32(c->cwnd - (uint32_t)cut, 2u * c->mss);
}

const struct tcp_cc_ops tcp_cc_dctcp = {
	.name = "dctcp",
	.wants_ecn = true,
	.init = dctcp_init,
	.acked = dctcp_acked,
	.ssthresh = dctcp_ssthresh,
	.rtt = dctcp_rtt,
	.marked = dctcp_marked,
};
