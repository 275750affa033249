/* BBR's model of the path (draft-ietf-ccwg-bbr 5.5): rounds, the highest rate and the shortest round trip
 * of late, how ACKs come in lumps, and what losses say about how much may be in flight.
 *
 * One thing is not the draft's: there every round with a loss makes it slower, so that a path that loses 2 %
 * at random, on a radio link say, keeps a tenth of its rate. Here a loss counts if round trips have got
 * longer too, as they do before a queue overflows, and more is lost than without, or if it is one of many.
 * And what is lost without a queue is sent on top, so that the estimated rate arrives. (BBR's first version,
 * which Linux has, counts no loss.) */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_bbr.h"
#include "stack/tcp/tcp_core.h"

enum { BETA_NUM = 7, BETA_DEN = 10, FULL_BW_ROUNDS = 3, EXTRA_ROUNDS = 5, OFFLOAD_QUANTA = 3,
       RTT_NOISE_US = 100, FEW_SEGS = 2, CALM_SEGS = 64 };
#define MIN_RTT_FILTER_NS (10 * NSEC_PER_SEC)
#define PROBE_RTT_INTERVAL_NS (5 * NSEC_PER_SEC)

/* ---- volumes (5.6.4.2) ---- */
uint32_t bbr_bdp(const struct tcp_conn *c, uint64_t bw, uint32_t gain)
{
	const struct tcp_bbr *s = bbr_of(c);

	if (s->min_rtt_us == BBR_INF || bw == 0)
		return (uint32_t)TCP_INIT_SEGS * c->mss;
	uint64_t bdp = min_u64(bw * s->min_rtt_us / (NSEC_PER_SEC / NSEC_PER_USEC), TCP_CWND_MAX);
	return (uint32_t)min_u64(bdp * gain / BBR_UNIT, TCP_CWND_MAX);
}

uint32_t bbr_budget(const struct tcp_conn *c, uint32_t inflight)
{
	uint32_t offload = OFFLOAD_QUANTA * tcp_pace_quantum(c);

	inflight = max_u32(max_u32(inflight, offload), (uint32_t)BBR_MIN_SEGS * c->mss);
	if (bbr_of(c)->state == BBR_UP)
		inflight += 2u * c->mss;
	return inflight;
}

uint32_t bbr_inflight(const struct tcp_conn *c, uint64_t bw, uint32_t gain)
{
	return bbr_budget(c, bbr_bdp(c, bw, gain));
}

uint32_t bbr_target_inflight(const struct tcp_conn *c)
{
	return min_u32(bbr_bdp(c, bbr_of(c)->bw, BBR_UNIT), c->cwnd);
}

/* ---- resets ---- */
void bbr_start_round(struct tcp_conn *c)
{
	bbr_of(c)->next_round_delivered = tcp_delivered(c);
}

void bbr_reset_full_bw(struct tcp_bbr *s)
{
	s->full_bw = 0;
	s->full_bw_count = 0;
	s->full_bw_now = false;
}

void bbr_reset_short_term(struct tcp_bbr *s)
{
	s->bw_shortterm = BBR_BW_INF;
	s->inflight_shortterm = BBR_INF;
}

void bbr_reset_congestion(struct tcp_bbr *s)
{
	s->loss_in_round = s->ecn_in_round = false;
	s->bw_latest = 0;
	s->inflight_latest = 0;
}

void bbr_model_init(struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_bbr *s = bbr_of(c);

	*s = (struct tcp_bbr){
		.min_rtt_us = c->rtt.srtt_us ? c->rtt.srtt_us : BBR_INF,
		.probe_rtt_min_us = c->rtt.srtt_us ? c->rtt.srtt_us : BBR_INF,
		.min_rtt_ns = now_ns,
		.probe_rtt_min_ns = now_ns,
		.extra_acked_ns = now_ns,
		.inflight_longterm = BBR_INF,
		.up_acked_per_inc = BBR_INF,
		.undo_state = BBR_NO_STATE,
		.round_rtt_us = BBR_INF,
		.last_round_rtt_us = BBR_INF,
		.round_lost = c->lost_bytes,
	};
	bbr_reset_short_term(s);
	bbr_start_round(c);
	s->loss_round_delivered = s->next_round_delivered;
}

bool bbr_is_probing(const struct tcp_bbr *s)
{
	return s->state == BBR_STARTUP || s->state == BBR_REFILL || s->state == BBR_UP;
}

/* ---- rounds and rates (5.5.1 to 5.5.6) ---- */
static void update_round(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	s->round_start = rs->has && (int32_t)(rs->prior_delivered - s->next_round_delivered) >= 0;
	if (!s->round_start)
		return;
	bbr_start_round(c);
	s->rounds_since_probe++;
	s->drain_rounds++;
	if (++s->extra_rounds >= (s->full_bw_reached ? EXTRA_ROUNDS : 1)) {
		s->extra_rounds = 0;
		s->extra_acked[1] = s->full_bw_reached ? s->extra_acked[0] : 0;
		s->extra_acked[0] = 0;
	}
}

static void update_max_bw(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	update_round(c, rs);
	if (rs->rate && (rs->rate >= bbr_max_bw(s) || !rs->app_limited))
		s->max_bw[0] = max_u64(s->max_bw[0], rs->rate);
}

/* The shortest round trip of this round and the last that measured, BBR_INF: none. */
static uint32_t recent_rtt_us(const struct tcp_bbr *s)
{
	return min_u32(s->round_rtt_us, s->last_round_rtt_us);
}

/* Did something wait somewhere? By an eighth, as RFC 9406 asks. */
static bool is_queued(const struct tcp_bbr *s)
{
	uint32_t us = recent_rtt_us(s);

	return us == BBR_INF || us > s->min_rtt_us + s->min_rtt_us / 8 + RTT_NOISE_US;
}

/* Not the draft's: nothing was tried in a round in which the peer's window stopped us, in this one or in the
 * one whose packets it tells of, unless a queue stands all the same. What is lost twice keeps all behind
 * it in the peer's window, and a new connection's is not much larger than what is under way. */
static bool nothing_tried(struct tcp_conn *c)
{
	struct tcp_bbr *s = bbr_of(c);
	bool shut = c->rate.shut || s->was_shut;

	s->was_shut = c->rate.shut;
	c->rate.shut = false;
	return shut && (recent_rtt_us(s) == BBR_INF || !is_queued(s));
}

/* 5.3.1.2: three rounds in which more was tried and hardly more arrived. */
static void check_full_bw(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	if (!s->round_start)
		return;
	bool idle = nothing_tried(c);
	if (s->full_bw_now || rs->app_limited || !rs->rate)
		return;
	if (rs->rate >= s->full_bw + s->full_bw / 4) {
		bbr_reset_full_bw(s);
		s->full_bw = rs->rate;
		return;
	}
	if (idle)
		return;
	s->full_bw_now = ++s->full_bw_count >= FULL_BW_ROUNDS;
	s->full_bw_reached |= s->full_bw_now;
}

/* 5.5.9 */
static void update_aggregation(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);
	uint64_t us = min_u64((rs->now_ns - s->extra_acked_ns) / NSEC_PER_USEC, TCP_RTO_MAX_US);
	uint64_t expected = s->bw * us / (NSEC_PER_SEC / NSEC_PER_USEC);

	if (s->extra_acked_delivered <= expected) {
		s->extra_acked_delivered = 0;
		s->extra_acked_ns = rs->now_ns;
		expected = 0;
	}
	s->extra_acked_delivered = min_u32(s->extra_acked_delivered + rs->acked, TCP_CWND_MAX);
	uint32_t extra = s->extra_acked_delivered - (uint32_t)min_u64(expected, s->extra_acked_delivered);
	s->extra_acked[0] = max_u32(s->extra_acked[0], min_u32(extra, c->cwnd));
}

/* ---- congestion (5.5.10) ---- */
static uint32_t loss_percent(const struct tcp_bbr *s)
{
	return is_queued(s) ? BBR_LOSS_PERCENT : BBR_LOSS_ALONE_PERCENT;
}

/* The share that gets lost of n bytes, in millionths. */
static uint32_t loss_ppm(uint32_t lost, uint32_t n)
{
	return (uint32_t)((uint64_t)lost * BBR_MILLION / max_u32(n, 1));
}

/* What the path loses in the stretches in which nothing is sent on top; 0 until enough is known. */
static uint32_t calm_loss(const struct tcp_conn *c)
{
	const struct tcp_bbr *s = bbr_of(c);

	return s->calm_bytes < CALM_SEGS * c->mss ? 0 : loss_ppm(s->calm_lost, s->calm_bytes);
}

bool bbr_too_much_lost(const struct tcp_conn *c, uint32_t lost, uint32_t flight)
{
	uint32_t few = calm_loss(c) >= BBR_MILLION / 100 ? FEW_SEGS * c->mss : 0;

	return lost > (uint64_t)flight * loss_percent(bbr_of(c)) / 100 + few || (lost && !c->sack_ok);
}

/* Two of its parts are tcp_cc_bbr.c's: it leaves ProbeBW_UP when go_down says so. */
void bbr_inflight_too_high(struct tcp_conn *c, uint32_t safe, bool app_limited)
{
	struct tcp_bbr *s = bbr_of(c);
	uint32_t least = (uint32_t)((uint64_t)bbr_target_inflight(c) * BETA_NUM / BETA_DEN);

	s->prev_probe_too_high = true;
	s->is_bw_probe_sample = false; /* one answer to each probe */
	if (!app_limited)
		s->inflight_longterm = max_u32(safe, least);
	if (s->state == BBR_UP) {
		s->undo_state = BBR_UP;
		s->go_down = true;
	}
}

void bbr_save_upon_loss(struct tcp_conn *c)
{
	struct tcp_bbr *s = bbr_of(c);
	bool last_good = c->recovery < TCPR_FAST && s->state != BBR_PROBE_RTT;

	s->prior_cwnd = last_good ? c->cwnd : max_u32(s->prior_cwnd, c->cwnd); /* SaveCwnd() */
	s->undo_state = BBR_NO_STATE;
	s->undo_bw_shortterm = s->bw_shortterm;
	s->undo_inflight_shortterm = s->inflight_shortterm;
	s->undo_inflight_longterm = s->inflight_longterm;
}

void bbr_note_loss(struct tcp_conn *c)
{
	struct tcp_bbr *s = bbr_of(c);

	if (!s->loss_in_round) {
		s->loss_round_delivered = tcp_delivered(c);
		bbr_save_upon_loss(c);
	}
	s->loss_in_round = true;
}

/* InflightAtLoss(): of the lost range, how much lies before losses crossed the threshold? */
static uint32_t inflight_at_loss(uint32_t percent, uint32_t flight, uint32_t lost, uint32_t size)
{
	uint32_t flight_before = flight - min_u32(size, flight);
	uint32_t lost_before = lost - min_u32(size, lost);
	int64_t may = (int64_t)flight_before * percent / 100 - lost_before;

	if (may <= 0)
		return flight_before;
	return flight_before + (uint32_t)(may * 100 / (100 - percent));
}

void bbr_lost(struct tcp_conn *c, seq_t start, seq_t end)
{
	struct tcp_bbr *s = bbr_of(c);
	const struct tcp_rate_mark *m = tcp_rate_near(c, end);

	bbr_note_loss(c);
	s->loss_events += s->loss_events < UINT8_MAX;
	if (!s->is_bw_probe_sample || !m)
		return;
	/* what left behind it in the same burst */
	uint32_t later = seq_gt(m->end, end) ? seq_diff(m->end, end) : 0;
	bool one_burst = later < tcp_pace_quantum(c);
	uint32_t flight = m->flight - (one_burst ? min_u32(m->flight, later) : 0);
	uint32_t lost = c->lost_bytes - m->lost;
	if (bbr_too_much_lost(c, lost, flight))
		bbr_inflight_too_high(c, inflight_at_loss(loss_percent(s), flight, lost,
							  seq_diff(end, start)), m->app_limited);
}

static void update_latest(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	s->bw_latest = max_u64(s->bw_latest, rs->rate);
	s->inflight_latest = max_u32(s->inflight_latest, rs->delivered);
	s->round_dry |= rs->app_limited;
	s->loss_round_start = rs->has &&
			      (int32_t)(rs->prior_delivered - s->loss_round_delivered) >= 0;
	if (rs->rtt_us)
		s->round_rtt_us = min_u32(s->round_rtt_us, rs->rtt_us);
}

/* Does what was lost in the round that ends say that it was too much? Round trips are also longer where
 * a host was away for a moment, and then what is lost at random must not count: a rate that has gone down
 * to what arrived in such a round stays there until the next probe. */
static bool loss_counts(const struct tcp_conn *c)
{
	const struct tcp_bbr *s = bbr_of(c);
	uint32_t lost = c->lost_bytes - s->round_lost;
	uint64_t all = (uint64_t)lost + (tcp_delivered(c) - s->loss_round_delivered);
	uint64_t ppm = BBR_LOSS_ALONE_PERCENT * BBR_MILLION / 100;

	if (is_queued(s))
		ppm = BBR_LOSS_PERCENT * BBR_MILLION / 100 + calm_loss(c);
	return s->loss_in_round && (s->ecn_in_round || !c->sack_ok ||
				    lost > all * ppm / BBR_MILLION + FEW_SEGS * c->mss);
}

/* Once a round: what does this path lose by itself? On average of the rounds without a queue; and because
 * a path that polices its rate loses whatever is sent beyond it, no more than LossThresh above what
 * was lost in a stretch of each ProbeBW cycle in which nothing was sent on top. */
static void update_own_loss(struct tcp_conn *c)
{
	struct tcp_bbr *s = bbr_of(c);
	uint32_t lost = c->lost_bytes - s->round_lost;
	uint32_t all = lost + (tcp_delivered(c) - s->loss_round_delivered);
	uint32_t ppm = min_u32(loss_ppm(lost, all), BBR_OWN_LOSS_PERCENT * BBR_MILLION / 100);
	bool calm = !is_queued(s) && (s->state == BBR_DOWN || s->state == BBR_CRUISE);

	if (!is_queued(s) || ppm < s->own_loss_ppm)
		s->own_loss_ppm += ((int32_t)ppm - (int32_t)s->own_loss_ppm) / 8;
	if (calm && s->was_calm && !s->calm_done) {
		if (s->calm_bytes > 2u * CALM_SEGS * c->mss) {
			s->calm_lost /= 2;
			s->calm_bytes /= 2;
		}
		s->calm_lost += lost;
		s->calm_bytes += all;
		s->calm_done = true;
	}
	s->was_calm = calm;
}

uint32_t bbr_own_loss(const struct tcp_conn *c)
{
	const struct tcp_bbr *s = bbr_of(c);

	if (!s->calm_done || s->calm_bytes < CALM_SEGS * c->mss)
		return 0;
	return min_u32(s->own_loss_ppm, calm_loss(c) + BBR_LOSS_PERCENT * BBR_MILLION / 100);
}

/* 5.5.10.3: once a round, towards what was delivered in it. */
static void lower_bounds(struct tcp_conn *c)
{
	struct tcp_bbr *s = bbr_of(c);

	if (s->bw_shortterm == BBR_BW_INF)
		s->bw_shortterm = bbr_max_bw(s);
	if (s->inflight_shortterm == BBR_INF)
		s->inflight_shortterm = c->cwnd;
	s->bw_shortterm = max_u64(s->bw_latest, s->bw_shortterm / BETA_DEN * BETA_NUM);
	s->inflight_shortterm = max_u32(s->inflight_latest,
					s->inflight_shortterm / BETA_DEN * BETA_NUM);
}

void bbr_model_update(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	update_latest(c, rs);
	update_max_bw(c, rs);
	if (s->loss_round_start) {
		if (loss_counts(c) && !bbr_is_probing(s) && !s->round_dry)
			lower_bounds(c);
		s->round_dry = false;
		update_own_loss(c);
		s->loss_round_delivered = tcp_delivered(c);
		s->round_lost = c->lost_bytes;
		if (s->round_rtt_us != BBR_INF) /* what is sent again measures nothing */
			s->last_round_rtt_us = s->round_rtt_us;
		s->round_rtt_us = BBR_INF;
		s->loss_in_round = false;
		s->ecn_rounds = s->ecn_in_round ? s->ecn_rounds + (s->ecn_rounds < UINT8_MAX) : 0;
		s->ecn_in_round = false;
	}
	update_aggregation(c, rs);
	check_full_bw(c, rs);
}

/* 5.3.4.3 */
void bbr_update_min_rtt(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	s->probe_rtt_expired = rs->now_ns > s->probe_rtt_min_ns + PROBE_RTT_INTERVAL_NS;
	if (rs->rtt_us && (rs->rtt_us < s->probe_rtt_min_us || s->probe_rtt_expired)) {
		s->probe_rtt_min_us = rs->rtt_us;
		s->probe_rtt_min_ns = rs->now_ns;
	}
	if (s->probe_rtt_min_us < s->min_rtt_us ||
	    rs->now_ns > s->min_rtt_ns + MIN_RTT_FILTER_NS) {
		s->min_rtt_us = s->probe_rtt_min_us;
		s->min_rtt_ns = s->probe_rtt_min_ns;
	}
}

void bbr_model_advance(struct tcp_conn *c, const struct tcp_rate_sample *rs)
{
	struct tcp_bbr *s = bbr_of(c);

	if (s->loss_round_start) {
		s->bw_latest = rs->rate;
		s->inflight_latest = rs->delivered;
	}
	s->bw = min_u64(bbr_max_bw(s), s->bw_shortterm);
}
