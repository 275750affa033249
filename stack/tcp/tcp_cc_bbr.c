/* BBR version 3 (draft-ietf-ccwg-bbr-06): the state machine, and what follows from the model of the path:
 * pacing rate and window. The model is tcp_bbr_model.c's. Function by function as the draft's section 5;
 * what it leaves open, the answer to ECN, is that to loss: a round with marks is a round with too much
 * of it (3.7). */
// SPDX-License-Identifier: MIT
#include <linux/inet_diag.h>
#include "stack/tcp/tcp_bbr.h"
#include "stack/tcp/tcp_core.h"

enum {
	PACING_MARGIN_PERCENT = 1,
	HEADROOM_PERCENT = 15,
	STARTUP_LOSS_EVENTS = 6, /* BBRStartupFullLossCnt */
	STARTUP_ECN_ROUNDS = 2,
	DRAIN_ROUNDS = 3,
	RENO_ROUNDS = 63,
	UP_ROUNDS_MAX = 30,
};
#define PROBE_RTT_NS (200 * NSEC_PER_MSEC)
#define PROBE_WAIT_NS (2 * NSEC_PER_SEC) /* and up to one second more */

/* ---- control parameters (5.6) ---- */
static void set_pacing(struct tcp_conn *c, uint32_t gain)
{
	struct tcp_bbr *s = bbr_of(c);
	uint64_t rate = s->bw * gain / BBR_UNIT / 100 * (100 - PACING_MARGIN_PERCENT);

	/* not the draft's: bw is what arrives (tcp_bbr_model.c) */
	rate = rate * BBR_MILLION / (BBR_MILLION - bbr_own_loss(c));
	if (rate && (s->full_bw_reached || rate > c->pace_rate))
		c->pace_rate = rate;
}

/* Before anything is known: the initial window in a round trip. */
static void init_pacing(struct tcp_conn *c)
{
	uint64_t window = (uint64_t)TCP_INIT_SEGS * c->mss;
	uint64_t us = c->rtt.srtt_us ? c->rtt.srtt_us : 1000;

	bbr_of(c)->seen_rtt = c->rtt.srtt_us != 0;
	c->pace_rate = window * (NSEC_PER_SEC / NSEC_PER_USEC) / us * BBR_STARTUP_PACING / BBR_UNIT;
}

static uint32_t probe_rtt_cwnd(const struct tcp_conn *c)
{
	return max_u32(bbr_bdp(c, bbr_of(c)->bw, BBR_PROBE_RTT_CWND),
		       (uint32_t)BBR_MIN_SEGS * c->mss);
}

static uint32_t with_headroom(const struct tcp_conn *c)
{
	uint32_t most = bbr_of(c)->inflight_longterm;

	if (most == BBR_INF)
		return BBR_INF;
	uint32_t room = max_u32((uint32_t)((uint64_t)most * HEADROOM_PERCENT / 100), c->mss);
	return max_u32(most - min_u32(room, most), (uint32_t)BBR_MIN_SEGS * c->mss);
}

static bool in_probe_bw(const struct tcp_bbr *s)
{
	return s->state >= BBR_DOWN && s->state <= BBR_UP;
}

/* BoundCwndForModel() */
static void bound_cwnd(struct tcp_conn *c)
{
	const struct tcp_bbr *s = bbr_of(c);
	uint32_t cap = BBR_INF;

	if (s->state == BBR_PROBE_RTT || s->state == BBR_CRUISE)
		cap = with_headroom(c);
	else if (in_probe_bw(s))
		cap = s->inflight_longterm;
	cap = max_u32(min_u32(cap, s->inflight_shortterm), (uint32_t)BBR_MIN_SEGS * c->mss);
	c->cwnd = min_u32(c->cwnd, cap);
}

static void set_cwnd(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	const struct tcp_bbr *s = bbr_of(c);
	uint32_t extra = max_u32(s->extra_acked[0], s->extra_acked[1]);
	uint32_t most = bbr_budget(c, bbr_bdp(c, s->bw, s->cwnd_gain) + extra);

	if (s->full_bw_reached)
		c->cwnd = min_u32(c->cwnd + rs->acked, most);
	else if (c->cwnd < most || c->tx_bytes < (uint64_t)TCP_INIT_SEGS * c->mss)
		c->cwnd = min_u32(c->cwnd + rs->acked, TCP_CWND_MAX);
	c->cwnd = max_u32(c->cwnd, (uint32_t)BBR_MIN_SEGS * c->mss);
	if (s->state == BBR_PROBE_RTT)
		c->cwnd = min_u32(c->cwnd, probe_rtt_cwnd(c));
	bound_cwnd(c);
}

/* ---- the states (5.3) ---- */
static void enter(struct tcp_bbr *s, enum tcp_bbr_state state)
{
	static const struct { uint16_t pacing, cwnd; } gain[] = {
		[BBR_STARTUP] = { BBR_STARTUP_PACING, BBR_CWND_GAIN },
		[BBR_DRAIN] = { BBR_DRAIN_PACING, BBR_CWND_GAIN },
		[BBR_DOWN] = { BBR_DOWN_PACING, BBR_CWND_GAIN },
		[BBR_CRUISE] = { BBR_UNIT, BBR_CWND_GAIN },
		[BBR_REFILL] = { BBR_UNIT, BBR_CWND_GAIN },
		[BBR_UP] = { BBR_UP_PACING, BBR_UP_CWND },
		[BBR_PROBE_RTT] = { BBR_UNIT, BBR_PROBE_RTT_CWND },
	};

	s->state = (uint8_t)state;
	s->pacing_gain = gain[state].pacing;
	s->cwnd_gain = gain[state].cwnd;
}

static void start_down(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_bbr *s = bbr_of(c);

	bbr_reset_congestion(s);
	s->was_calm = s->calm_done = false;
	s->up_acked_per_inc = BBR_INF;
	s->rounds_since_probe = rng_below(env->rng, 2); /* PickProbeWait() */
	s->probe_wait_ns = PROBE_WAIT_NS + rng_below(env->rng, 1000) * NSEC_PER_MSEC;
	s->cycle_ns = now_ns;
	s->ack_phase = BBR_ACKS_STOPPING;
	bbr_start_round(c);
	enter(s, BBR_DOWN);
}

static void start_refill(struct tcp_conn *c)
{
	struct tcp_bbr *s = bbr_of(c);

	bbr_reset_short_term(s);
	s->up_rounds = 0;
	s->up_acked = 0;
	s->prev_probe_precautionary = false;
	s->ack_phase = BBR_ACKS_REFILLING;
	bbr_start_round(c);
	enter(s, BBR_REFILL);
}

/* RaiseInflightLongtermSlope() */
static void raise_slope(struct tcp_conn *c)
{
	struct tcp_bbr *s = bbr_of(c);

	s->up_acked_per_inc = max_u32(c->cwnd >> s->up_rounds, c->mss);
	s->up_rounds += s->up_rounds < UP_ROUNDS_MAX;
}

static void start_up(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	s->ack_phase = BBR_ACKS_STARTING;
	bbr_start_round(c);
	bbr_reset_full_bw(s);
	s->full_bw = rs->rate;
	enter(s, BBR_UP);
	raise_slope(c);
}

/* ProbeInflightLongtermUpward() */
static void probe_upward(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	if (!c->cwnd_limited || c->cwnd < s->inflight_longterm)
		return;
	s->up_acked += rs->acked;
	if (s->up_acked >= s->up_acked_per_inc) {
		uint64_t n = s->up_acked / s->up_acked_per_inc;

		s->up_acked -= (uint32_t)n * s->up_acked_per_inc;
		s->inflight_longterm = (uint32_t)min_u64(s->inflight_longterm + n * c->mss,
							 TCP_CWND_MAX);
	}
	if (s->round_start)
		raise_slope(c);
}

/* AdaptLongTermModel(). True: it has decided about the state. */
static bool adapt_long_term(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	if (s->ack_phase == BBR_ACKS_STARTING && s->round_start)
		s->ack_phase = BBR_ACKS_FEEDBACK;
	if (s->ack_phase == BBR_ACKS_STOPPING && s->round_start) {
		s->is_bw_probe_sample = false;
		s->ack_phase = BBR_ACKS_INIT;
		if (in_probe_bw(s) && !rs->app_limited && s->max_bw[0]) { /* AdvanceMaxBwFilter() */
			s->max_bw[1] = s->max_bw[0];
			s->max_bw[0] = 0;
		}
		if (in_probe_bw(s) && s->prev_probe_precautionary && !s->prev_probe_too_high) {
			start_refill(c);
			return true;
		}
	}
	if (!rs->has || bbr_too_much_lost(c, rs->lost, rs->flight) ||
	    s->inflight_longterm == BBR_INF)
		return false;
	s->inflight_longterm = max_u32(s->inflight_longterm, rs->flight);
	if (s->state == BBR_UP)
		probe_upward(c, rs);
	return false;
}

static bool time_to_probe(const struct tcp_conn *c, uint64_t now_ns)
{
	const struct tcp_bbr *s = bbr_of(c);
	uint32_t reno_rounds = bbr_target_inflight(c) / c->mss;

	return now_ns > s->cycle_ns + s->probe_wait_ns ||
	       s->rounds_since_probe >= min_u32(reno_rounds, RENO_ROUNDS);
}

static bool time_to_cruise(const struct tcp_conn *c)
{
	uint32_t flight = tcp_pipe(c);

	return flight <= with_headroom(c) &&
	       flight <= bbr_inflight(c, bbr_max_bw(bbr_of(c)), BBR_UNIT);
}

static bool time_to_go_down(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	if (s->prev_probe_too_high && tcp_pipe(c) >= s->inflight_longterm) {
		s->prev_probe_precautionary = true;
		return true;
	}
	if (c->cwnd_limited && c->cwnd >= s->inflight_longterm) {
		bbr_reset_full_bw(s); /* it is our own limit that keeps the rate down */
		s->full_bw = rs->rate;
		return false;
	}
	return s->full_bw_now;
}

/* UpdateProbeBWCyclePhase() */
static void update_cycle(struct tcp_env *env, struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	if (!s->full_bw_reached || adapt_long_term(c, rs))
		return;
	switch ((enum tcp_bbr_state)s->state) {
	case BBR_DOWN:
	case BBR_CRUISE:
		if (time_to_probe(c, rs->now_ns))
			start_refill(c);
		else if (s->state == BBR_DOWN && time_to_cruise(c))
			enter(s, BBR_CRUISE);
		break;
	case BBR_REFILL:
		if (s->round_start) {
			s->is_bw_probe_sample = true;
			start_up(c, rs);
		}
		break;
	case BBR_UP:
		if (time_to_go_down(c, rs)) {
			s->prev_probe_too_high = false;
			start_down(env, c, rs->now_ns);
		}
		break;
	default:
		break;
	}
}

/* 5.3.1: the plateau has been seen, or losses, or marks, round after round. */
static void check_startup(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);
	bool lossy = s->loss_round_start && c->recovery >= TCPR_FAST &&
		     (s->loss_events >= STARTUP_LOSS_EVENTS || !c->sack_ok) &&
		     bbr_too_much_lost(c, rs->lost, rs->flight);

	if (s->loss_round_start)
		s->loss_events = 0;
	if (s->state != BBR_STARTUP)
		return;
	if (!s->full_bw_reached && (lossy || s->ecn_rounds >= STARTUP_ECN_ROUNDS)) {
		s->undo_state = BBR_STARTUP;
		s->full_bw_reached = true;
		s->inflight_longterm = max_u32(bbr_bdp(c, bbr_max_bw(s), BBR_UNIT),
					       s->inflight_latest);
	}
	if (s->full_bw_reached) {
		enter(s, BBR_DRAIN);
		s->drain_rounds = 0;
	}
}

static void check_drain(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_bbr *s = bbr_of(c);

	if (s->state == BBR_DRAIN && (tcp_pipe(c) <= bbr_inflight(c, bbr_max_bw(s), BBR_UNIT) ||
				      s->drain_rounds > DRAIN_ROUNDS))
		start_down(env, c, now_ns);
}

static void restore_cwnd(struct tcp_conn *c)
{
	c->cwnd = max_u32(c->cwnd, bbr_of(c)->prior_cwnd);
}

/* CheckProbeRTTDone(), ExitProbeRTT() */
static void check_probe_rtt_done(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_bbr *s = bbr_of(c);

	if (!s->probe_rtt_done_ns || now_ns <= s->probe_rtt_done_ns)
		return;
	s->probe_rtt_min_ns = now_ns;
	restore_cwnd(c);
	bbr_reset_short_term(s);
	if (s->full_bw_reached) {
		start_down(env, c, now_ns);
		enter(s, BBR_CRUISE);
	} else {
		enter(s, BBR_STARTUP);
	}
}

static void handle_probe_rtt(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_bbr *s = bbr_of(c);

	tcp_rate_dry(c); /* low rates on purpose */
	if (!s->probe_rtt_done_ns && tcp_pipe(c) <= probe_rtt_cwnd(c)) {
		s->probe_rtt_done_ns = now_ns + PROBE_RTT_NS;
		s->probe_rtt_round_done = false;
		bbr_start_round(c);
	} else if (s->probe_rtt_done_ns) {
		s->probe_rtt_round_done |= s->round_start;
		if (s->probe_rtt_round_done)
			check_probe_rtt_done(env, c, now_ns);
	}
}

static void check_probe_rtt(struct tcp_env *env, struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	if (s->state != BBR_PROBE_RTT && s->probe_rtt_expired && !s->idle_restart) {
		s->prior_cwnd = c->recovery < TCPR_FAST ? c->cwnd : max_u32(s->prior_cwnd, c->cwnd);
		enter(s, BBR_PROBE_RTT);
		s->probe_rtt_done_ns = 0;
		s->ack_phase = BBR_ACKS_STOPPING;
		bbr_start_round(c);
	}
	if (s->state == BBR_PROBE_RTT)
		handle_probe_rtt(env, c, rs->now_ns);
	if (rs->acked)
		s->idle_restart = false;
}

/* ---- what the core tells ---- */
static void bbr_init(struct tcp_conn *c)
{
	uint64_t now_ns = max_u64(c->last_rx_ns, c->last_tx_ns);

	bbr_model_init(c, now_ns);
	enter(bbr_of(c), BBR_STARTUP);
	init_pacing(c);
	c->ssthresh = UINT32_MAX;
}

/* All is done in control(). */
static void bbr_acked(struct tcp_conn *c, uint32_t acked, uint64_t now_ns) {}

/* UpdateOnACK() */
static void bbr_control(struct tcp_env *env, struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	if (s->go_down && s->state == BBR_UP)
		start_down(env, c, rs->now_ns);
	s->go_down = false;
	bbr_model_update(c, rs);
	check_startup(c, rs);
	check_drain(env, c, rs->now_ns);
	update_cycle(env, c, rs);
	bbr_update_min_rtt(c, rs);
	check_probe_rtt(env, c, rs);
	bbr_model_advance(c, rs);
	set_pacing(c, s->pacing_gain);
	if (!c->frto)
		set_cwnd(c, rs);
}

/* The window is the model's; what begins here is an episode that may turn out to be a mistake. */
static uint32_t bbr_ssthresh(struct tcp_conn *c, uint32_t flight, enum tcp_cc_cause cause)
{
	struct tcp_bbr *s = bbr_of(c);

	bbr_note_loss(c);
	if (cause == TCP_CC_ECN) {
		s->ecn_in_round = true;
		if (s->is_bw_probe_sample)
			bbr_inflight_too_high(c, flight, c->rate.dry);
	} else {
		bbr_save_upon_loss(c);
	}
	return c->ssthresh;
}

/* HandleSpuriousLossDetection() */
static void bbr_undo(struct tcp_conn *c)
{
	struct tcp_bbr *s = bbr_of(c);

	restore_cwnd(c);
	s->loss_in_round = false;
	s->go_down = false;
	bbr_reset_full_bw(s);
	s->bw_shortterm = max_u64(s->bw_shortterm, s->undo_bw_shortterm);
	s->inflight_shortterm = max_u32(s->inflight_shortterm, s->undo_inflight_shortterm);
	s->inflight_longterm = max_u32(s->inflight_longterm, s->undo_inflight_longterm);
	if (s->undo_state == BBR_STARTUP && s->state != BBR_STARTUP) {
		s->full_bw_reached = false;
		if (s->state != BBR_PROBE_RTT)
			enter(s, BBR_STARTUP);
	} else if (s->undo_state == BBR_UP && s->state != BBR_UP && s->state != BBR_PROBE_RTT) {
		start_refill(c);
	}
	s->undo_state = BBR_NO_STATE;
}

/* HandleRestartFromIdle() */
static void bbr_restart(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns, uint64_t idle_ns)
{
	struct tcp_bbr *s = bbr_of(c);

	if (!s->seen_rtt && c->rtt.srtt_us) { /* of our SYN */
		init_pacing(c);
		s->min_rtt_us = s->probe_rtt_min_us = c->rtt.min_us;
	}
	if (!c->rate.dry)
		return;
	s->idle_restart = true;
	s->extra_acked_ns = now_ns;
	if (in_probe_bw(s))
		set_pacing(c, BBR_UNIT);
	else if (s->state == BBR_PROBE_RTT)
		check_probe_rtt_done(env, c, now_ns);
}

static size_t bbr_info(const struct tcp_conn *c, union tcp_cc_info *info)
{
	const struct tcp_bbr *s = bbr_of(c);

	info->bbr = (struct tcp_bbr_info){
		.bbr_bw_lo = (uint32_t)s->bw,
		.bbr_bw_hi = (uint32_t)(s->bw >> 32),
		.bbr_min_rtt = s->min_rtt_us,
		.bbr_pacing_gain = s->pacing_gain,
		.bbr_cwnd_gain = s->cwnd_gain,
	};
	return sizeof(info->bbr);
}

const struct tcp_cc_ops tcp_cc_bbr = {
	.name = "bbr",
	.init = bbr_init,
	.acked = bbr_acked,
	.control = bbr_control,
	.ssthresh = bbr_ssthresh,
	.lost = bbr_lost,
	.undo = bbr_undo,
	.recovered = restore_cwnd,
	.restart = bbr_restart,
	.info = bbr_info,
};
