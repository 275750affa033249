/* RFC 9406 4.2, step by step; and for paths that reorder an older idea beside it, the length of the train of
 * ACKs (Ha and Rhee, "Taming the elephants: new TCP slow start", 2011; Linux looks at it on all paths). */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_hystart.h"
#include "stack/base/util.h"
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_conn.h"

/* 4.3 */
enum {
	MIN_RTT_THRESH_US = 4000,
	MAX_RTT_THRESH_US = 16000,
	MIN_RTT_DIVISOR = 8,
	N_RTT_SAMPLE = 8,
	CSS_GROWTH_DIVISOR = 4,
	CSS_ROUNDS = 5,
};
/* Of the train; the first two are Linux' figures. */
enum { TRAIN_GAP_US = 2000, TRAIN_MIN_SEGS = 16, TRAIN_GAPS = 16, TRAIN_PART = 3 };

/* What has arrived up to now. What comes late holds up snd_una, and would make rounds longer by its delay. */
static seq_t newest(const struct tcp_conn *c)
{
	return c->rack.reordered && c->recovery == TCPR_DISORDER ? seq_max(c->snd_una, c->rack.fack) :
								     c->snd_una;
}

static void round_over(struct tcp_conn *c, struct tcp_hystart *h, seq_t now, uint32_t now_us)
{
	h->round_end = c->snd_nxt;
	h->flight = seq_diff(c->snd_nxt, now);
	h->train_acked = h->train_over = 0;
	h->train_us = h->ack_us = now_us;
	h->last_us = h->current_us;
	h->current_us = 0;
	h->samples = 0;
	h->started = 1;
}

void tcp_hystart_rtt(struct tcp_conn *c, struct tcp_hystart *h, uint32_t rtt_us)
{
	rtt_us = max_u32(rtt_us, 1);
	h->current_us = h->current_us ? min_u32(h->current_us, rtt_us) : rtt_us;
	if (h->samples < N_RTT_SAMPLE)
		h->samples++;
}

/* Has the round trip grown by an eighth since the last round? */
static void look_for_growth(struct tcp_hystart *h)
{
	if (h->samples < N_RTT_SAMPLE || !h->last_us)
		return;
	uint32_t thresh_us = max_u32(MIN_RTT_THRESH_US,
				     min_u32(h->last_us / MIN_RTT_DIVISOR, MAX_RTT_THRESH_US));
	if (h->current_us >= h->last_us + thresh_us) {
		h->base_us = h->current_us;
		h->css_rounds = 1;
	}
}

/* A window leaves in one go, and its ACKs come back at the rate of the bottleneck: how long a part of it
 * takes tells what the path holds. RFC 9406 (4.3) does without, because joined ACKs hide it; that ends in an
 * overflow where the queue is short, which costs a round trip. But where segments come late what is sent
 * again overtakes them, and the peer's PAWS then throws them away (RFC 7323 5.3): loss after loss. Each
 * round delays some of the window and may tear it: so a third in one piece suffices, and a quarter more
 * than it says is the answer. Zero: none. */
static uint32_t path_holds(const struct tcp_conn *c, struct tcp_hystart *h, uint32_t acked, uint32_t now_us)
{
	uint32_t us = now_us - h->train_us;

	if (!c->rack.reordered || h->train_over)
		return 0;
	h->train_acked += acked;
	if (now_us - h->ack_us > max_u32(TRAIN_GAP_US, c->rtt.min_us / TRAIN_GAPS)) { /* torn */
		h->train_us = now_us;
		h->train_acked = us = 0;
	}
	h->ack_us = now_us;
	h->train_over = h->train_acked >= h->flight / TRAIN_PART;
	if (!h->train_over || h->flight < (uint32_t)TRAIN_MIN_SEGS * c->mss ||
	    us <= c->rtt.min_us / (2 * TRAIN_PART)) /* much less than the path holds */
		return 0;
	return (uint32_t)min_u64((uint64_t)h->train_acked * c->rtt.min_us / us * 5 / 4, TCP_CWND_MAX);
}

static void leave(struct tcp_conn *c, struct tcp_hystart *h, uint32_t ssthresh)
{
	h->left = 1;
	h->css_rounds = 0;
	c->ssthresh = max_u32(c->cwnd, ssthresh);
}

/* L is infinite here: one ACK may stand for a whole burst of a port that cuts and joins segments. */
uint32_t tcp_hystart_grow(struct tcp_conn *c, struct tcp_hystart *h, uint32_t acked, uint64_t now_ns)
{
	seq_t now = newest(c);
	uint32_t now_us = tcp_us(now_ns);

	if (h->left)
		return acked;
	if (!h->started || seq_gt(now, h->round_end)) {
		if (h->css_rounds && h->css_rounds++ >= CSS_ROUNDS) {
			leave(c, h, 0); /* no jitter: it stays long */
			return 0;
		}
		round_over(c, h, now, now_us);
	}
	uint32_t path = path_holds(c, h, acked, now_us);
	if (path) {
		leave(c, h, path);
		return acked;
	}
	if (!h->css_rounds) {
		look_for_growth(h);
	} else if (h->samples >= N_RTT_SAMPLE && h->current_us < h->base_us) {
		h->css_rounds = 0; /* it was jitter */
		h->base_us = 0;
	}
	return h->css_rounds ? acked / CSS_GROWTH_DIVISOR : acked;
}
