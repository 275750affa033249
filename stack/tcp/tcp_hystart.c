/* RFC 9406 4.2, step by step. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_hystart.h"
#include "stack/base/util.h"
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

static void round_over(struct tcp_conn *c, struct tcp_hystart *h)
{
	h->round_end = c->snd_nxt;
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

/* L is infinite here: one ACK may stand for a whole burst of a port that cuts and joins segments. */
uint32_t tcp_hystart_grow(struct tcp_conn *c, struct tcp_hystart *h, uint32_t acked)
{
	if (h->left)
		return acked;
	if (!h->started || seq_gt(c->snd_una, h->round_end)) {
		if (h->css_rounds && h->css_rounds++ >= CSS_ROUNDS) {
			h->left = 1; /* no jitter: it stays long */
			h->css_rounds = 0;
			c->ssthresh = c->cwnd;
			return 0;
		}
		round_over(c, h);
	}
	if (!h->css_rounds) {
		look_for_growth(h);
	} else if (h->samples >= N_RTT_SAMPLE && h->current_us < h->base_us) {
		h->css_rounds = 0; /* it was jitter */
		h->base_us = 0;
	}
	return h->css_rounds ? acked / CSS_GROWTH_DIVISOR : acked;
}
