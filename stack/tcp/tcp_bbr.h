/* What BBR knows about a path and where it stands (draft-ietf-ccwg-bbr section 2), shared by its two files:
 * tcp_bbr_model.c measures, tcp_cc_bbr.c decides. Connections that use another controller have none of
 * it: it comes from a pool (tcp_cc.c). */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_conn.h"
#include "stack/tcp/tcp_rate.h"

/* Gains are in 256ths, as struct tcp_bbr_info has them. */
enum {
	BBR_UNIT = 256,
	BBR_STARTUP_PACING = 709, /* 2.77 */
	BBR_DRAIN_PACING = 128,
	BBR_DOWN_PACING = 230,	  /* 0.90 */
	BBR_UP_PACING = 320,
	BBR_CWND_GAIN = 512,
	BBR_UP_CWND = 576,
	BBR_PROBE_RTT_CWND = 128,
	BBR_MILLION = 1000000,
	BBR_MIN_SEGS = 4,	  /* MinPipeCwnd */
	BBR_LOSS_PERCENT = 2,	  /* LossThresh, ... */
	BBR_OWN_LOSS_PERCENT = 8, /* what a path may lose by itself, at most, to be compensated */
	BBR_LOSS_ALONE_PERCENT = 15, /* ... and where no queue goes with it */
};
#define BBR_BW_INF UINT64_MAX
#define BBR_INF UINT32_MAX

enum tcp_bbr_state { BBR_STARTUP, BBR_DRAIN, BBR_DOWN, BBR_CRUISE, BBR_REFILL, BBR_UP, BBR_PROBE_RTT,
		     BBR_NO_STATE };
/* What the ACKs that come in tell of (BBR.ack_phase). */
enum tcp_bbr_acks { BBR_ACKS_INIT, BBR_ACKS_REFILLING, BBR_ACKS_STARTING, BBR_ACKS_FEEDBACK,
		    BBR_ACKS_STOPPING };

/* Names as in the draft where it has one. Rates are bytes a second, volumes bytes. */
struct tcp_bbr {
	uint8_t state, undo_state, ack_phase; /* enum tcp_bbr_state, enum tcp_bbr_acks */
	uint8_t full_bw_count, ecn_rounds, up_rounds, extra_rounds;
	uint8_t loss_events; /* discontiguous ranges lost in this round */
	bool full_bw_now, full_bw_reached, round_start, loss_round_start;
	bool loss_in_round, ecn_in_round, is_bw_probe_sample;
	bool was_shut;		/* the peer's window stopped us in the round before */
	bool round_dry;		/* what arrived in it says little: there was nothing to send */
	bool prev_probe_too_high, prev_probe_precautionary;
	bool probe_rtt_expired, probe_rtt_round_done, idle_restart, seen_rtt;
	bool was_calm, calm_done; /* the round before; this cycle's */
	bool go_down;	     /* losses say so: at the next ACK */
	uint16_t pacing_gain, cwnd_gain;

	uint64_t max_bw[2];  /* of this ProbeBW cycle, and of the one before */
	uint64_t bw, bw_shortterm, bw_latest, full_bw;
	uint64_t undo_bw_shortterm;
	uint32_t inflight_longterm, inflight_shortterm, inflight_latest;
	uint32_t undo_inflight_shortterm, undo_inflight_longterm;
	uint32_t prior_cwnd;
	uint32_t extra_acked[2], extra_acked_delivered; /* the last few rounds, and those before */
	uint32_t min_rtt_us, probe_rtt_min_us;
	uint32_t round_rtt_us, last_round_rtt_us; /* shortest of this round and the one before,
						   * BBR_INF = none */
	uint32_t round_lost; /* c->lost_bytes when the round began */
	/* What the path loses whatever the rate: millionths on average of rounds without a queue, and what
	 * was lost of what was sent in calm ones, of which each ProbeBW cycle has one. */
	uint32_t own_loss_ppm, calm_lost, calm_bytes;
	uint32_t rounds_since_probe, drain_rounds;
	uint32_t next_round_delivered, loss_round_delivered;
	uint32_t up_acked_per_inc, up_acked;

	uint64_t cycle_ns, probe_wait_ns;
	uint64_t min_rtt_ns, probe_rtt_min_ns, probe_rtt_done_ns; /* the last: 0 = not begun */
	uint64_t extra_acked_ns;
};

/* What a controller that lives on rates has beside the connection. */
struct tcp_model {
	struct tcp_bbr bbr;
	struct tcp_rate_mark mark[TCP_RATE_MARKS];
	struct tcp_model *next; /* in the pool */
};

static inline struct tcp_bbr *bbr_of(const struct tcp_conn *c) { return &c->model->bbr; }
static inline uint64_t bbr_max_bw(const struct tcp_bbr *s)
{
	return s->max_bw[0] > s->max_bw[1] ? s->max_bw[0] : s->max_bw[1];
}

/* ---- tcp_bbr_model.c ---- */
void bbr_model_init(struct tcp_conn *c, uint64_t now_ns);
/* BDPMultiple(): what a path of that rate holds, times the gain. */
uint32_t bbr_bdp(const struct tcp_conn *c, uint64_t bw, uint32_t gain);
/* Inflight(): the same, and what offloads and delayed ACKs need. */
uint32_t bbr_inflight(const struct tcp_conn *c, uint64_t bw, uint32_t gain);
/* QuantizationBudget() */
uint32_t bbr_budget(const struct tcp_conn *c, uint32_t inflight);
uint32_t bbr_target_inflight(const struct tcp_conn *c);
void bbr_start_round(struct tcp_conn *c);
void bbr_reset_full_bw(struct tcp_bbr *s);
void bbr_reset_short_term(struct tcp_bbr *s);
void bbr_reset_congestion(struct tcp_bbr *s);
bool bbr_is_probing(const struct tcp_bbr *s);
/* What an ACK tells: the first half, before the state machine looks, ... */
void bbr_model_update(struct tcp_conn *c, const struct tcp_rate_sample *rs);
/* ... the round trip, and the end. */
void bbr_update_min_rtt(struct tcp_conn *c, const struct tcp_rate_sample *rs);
void bbr_model_advance(struct tcp_conn *c, const struct tcp_rate_sample *rs);
/* IsInflightTooHigh(). What is lost without a queue, below a seventh, is not our rate's fault. */
bool bbr_too_much_lost(const struct tcp_conn *c, uint32_t lost, uint32_t flight);
/* HandleInflightTooHigh(): safe is what could be in flight without it. */
void bbr_inflight_too_high(struct tcp_conn *c, uint32_t safe, bool app_limited);
/* Millionths of what is sent that have to be sent on top: the path loses them whatever the rate. */
uint32_t bbr_own_loss(const struct tcp_conn *c);
void bbr_note_loss(struct tcp_conn *c);
void bbr_save_upon_loss(struct tcp_conn *c);
/* HandleLostPacket() for what is behind start and before end. */
void bbr_lost(struct tcp_conn *c, seq_t start, seq_t end);
