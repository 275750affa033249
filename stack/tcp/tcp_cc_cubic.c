/* CUBIC, RFC 9438, with HyStart++ for slow start (RFC 9406). Windows in bytes, time in milliseconds. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_conn.h"

/* 4.6, 4.1: beta 0.7, C 0.4 segments per second cubed. */
enum { BETA_NUM = 7, BETA_DEN = 10, T_MAX_MS = 1 << 20, BETA_ECN_PERCENT = 85 };
/* 4.3: alpha = 3 (1 - beta) / (1 + beta) = 9 / 17 */
enum { ALPHA_NUM = 9, ALPHA_DEN = 17 };

static uint32_t cube_root(uint64_t n)
{
	uint64_t r = 0;

	for (int bit = 20; bit >= 0; bit--) { /* 2^21 cubed is 2^63 */
		uint64_t t = r | 1ull << bit;

		if (t * t * t <= n)
			r = t;
	}
	return (uint32_t)r;
}

/* Figure 1: C (t - K)^3 + W_max. */
static uint32_t w_cubic(const struct tcp_conn *c, uint64_t t_ms)
{
	const struct tcp_cubic *s = &c->cc_state.cubic;
	int64_t off = (int64_t)min_u64(t_ms, T_MAX_MS) - s->k_ms;
	int64_t cube = off * off * off / 1000000; /* of tenths of seconds, times 1000 */
	int64_t w = (int64_t)s->w_max + cube * c->mss * 4 / 10 / 1000;

	return w < 0 ? 0 : w > TCP_CWND_MAX ? TCP_CWND_MAX : (uint32_t)w;
}

/* 4.2: the congestion-avoidance stage starts here. */
static void start_epoch(struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_cubic *s = &c->cc_state.cubic;

	s->epoch_ns = max_u64(now_ns, 1);
	s->w_est = c->cwnd;
	s->est_rest = s->grow_rest = 0;
	s->k_ms = 0;
	if (s->w_max > c->cwnd) /* Figure 2: K = cbrt((W_max - cwnd_epoch) / C) */
		s->k_ms = cube_root((uint64_t)(s->w_max - c->cwnd) * 2500000000ull / c->mss);
	else
		s->w_max = c->cwnd; /* 4.8, 4.10: after a timeout, or slow start went beyond it */
}

/* 4.3, Figure 4: what Reno would have by now. */
static void grow_estimate(struct tcp_conn *c, uint32_t acked)
{
	struct tcp_cubic *s = &c->cc_state.cubic;
	bool catching_up = s->w_est < s->cwnd_prior;
	uint64_t step = (uint64_t)acked * c->mss * (catching_up ? ALPHA_NUM : ALPHA_DEN) + s->est_rest;
	uint64_t unit = (uint64_t)c->cwnd * ALPHA_DEN;

	s->w_est = min_u32(s->w_est + (uint32_t)(step / unit), TCP_CWND_MAX);
	s->est_rest = step % unit;
}

static void avoid(struct tcp_conn *c, uint32_t acked, uint64_t now_ns)
{
	struct tcp_cubic *s = &c->cc_state.cubic;

	if (!s->epoch_ns)
		start_epoch(c, now_ns);
	uint64_t t_ms = (now_ns - s->epoch_ns) / NSEC_PER_MSEC;
	grow_estimate(c, acked);
	if (w_cubic(c, t_ms) < s->w_est) { /* 4.3 */
		c->cwnd = max_u32(c->cwnd, s->w_est);
		return;
	}
	/* 4.2: target, at most half as much again; 4.4, 4.5: (target - cwnd) / cwnd per segment */
	uint32_t target = w_cubic(c, t_ms + c->rtt.srtt_us / 1000);
	target = min_u32(max_u32(target, c->cwnd), c->cwnd + c->cwnd / 2);
	uint64_t step = (uint64_t)(target - c->cwnd) * acked + s->grow_rest;
	s->grow_rest = step % c->cwnd;
	c->cwnd = min_u32(c->cwnd + (uint32_t)min_u64(step / c->cwnd, target - c->cwnd),
			  TCP_CWND_MAX);
}

static void cubic_init(struct tcp_conn *c)
{
	c->cc_state.cubic = (struct tcp_cubic){ 0 };
}

static void cubic_acked(struct tcp_conn *c, uint32_t acked, uint64_t now_ns)
{
	if (c->cwnd < c->ssthresh) {
		uint32_t grow = tcp_hystart_grow(c, &c->cc_state.cubic.hystart, acked, now_ns);
		uint32_t room = c->ssthresh > c->cwnd ? c->ssthresh - c->cwnd : 0;

		c->cwnd = min_u32(c->cwnd + min_u32(grow, room), TCP_CWND_MAX);
		if (grow <= room)
			return;
		acked = grow - room;
	}
	avoid(c, acked, now_ns);
}

static uint32_t cubic_ssthresh(struct tcp_conn *c, uint32_t flight, enum tcp_cc_cause cause)
{
	struct tcp_cubic *s = &c->cc_state.cubic;

	s->undo_w_max = s->w_max;
	s->undo_epoch_ns = s->epoch_ns;
	s->cwnd_prior = c->cwnd;
	/* 4.7: fast convergence, when the last maximum is not reached any more */
	s->w_max = c->cwnd < s->w_max ? c->cwnd / 2 + (uint32_t)((uint64_t)c->cwnd * BETA_NUM /
								  (2 * BETA_DEN)) : c->cwnd;
	s->epoch_ns = 0;
	s->hystart.left = 1; /* RFC 9406 4.2: of the first slow start */
	if (cause == TCP_CC_TIMEOUT)
		s->w_max = 0; /* 4.8: K is 0 in the first stage after it */
	if (cause == TCP_CC_ECN && c->cwnd >= c->ssthresh) /* RFC 8511 3: a mark comes before loss */
		return max_u32((uint32_t)((uint64_t)flight * BETA_ECN_PERCENT / 100), 2u * c->mss);
	return max_u32((uint32_t)((uint64_t)flight * BETA_NUM / BETA_DEN), 2u * c->mss); /* 4.6 */
}

/* While the window is not used it does not grow: a round trip then says nothing about what growth does. */
static void cubic_rtt(struct tcp_conn *c, uint32_t rtt_us)
{
	if (c->cwnd_limited && c->cwnd < c->ssthresh)
		tcp_hystart_rtt(c, &c->cc_state.cubic.hystart, rtt_us);
}

/* 4.9.1 */
static void cubic_undo(struct tcp_conn *c)
{
	c->cc_state.cubic.w_max = c->cc_state.cubic.undo_w_max;
	c->cc_state.cubic.epoch_ns = c->cc_state.cubic.undo_epoch_ns;
	if (c->ssthresh == UINT32_MAX) /* the first slow start goes on */
		c->cc_state.cubic.hystart.left = 0;
}

/* 5.8: time without data is not time in which the window was tried. */
static void cubic_restart(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns, uint64_t idle_ns)
{
	if (c->cc_state.cubic.epoch_ns)
		c->cc_state.cubic.epoch_ns += idle_ns;
}

const struct tcp_cc_ops tcp_cc_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.acked = cubic_acked,
	.ssthresh = cubic_ssthresh,
	.rtt = cubic_rtt,
	.undo = cubic_undo,
	.restart = cubic_restart,
};
