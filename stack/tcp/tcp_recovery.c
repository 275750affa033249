/* Loss recovery: fast retransmit and NewReno (RFC 5681 3.2, RFC 6582, limited transmit RFC 3042 in
 * tcp_output.c), and go-back after a timeout. Decides what is lost and when recovery ends; the size
 * of the window is the controller's (tcp_cc_*.c). */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_core.h"

enum { DUP_THRESH = 3 };

static void enter_fast(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	STAT_INC(tcp_fast_retrans);
	c->recovery = TCPR_FAST;
	c->recover = c->snd_nxt;
	c->ssthresh = c->cc->ssthresh(c, tcp_flight(c));
	tcp_retransmit_head(env, c, now_ns);
	c->cwnd = c->ssthresh + DUP_THRESH * c->mss; /* RFC 6582 3.2 step 2 */
}

void tcp_recovery_dupack(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (c->dupacks < UINT8_MAX)
		c->dupacks++;
	if (c->recovery == TCPR_FAST) {
		/* Each duplicate says that a segment has left the network; never past what one
		 * receive window of duplicates can justify. */
		c->cwnd = min_u32(c->cwnd + c->mss, c->ssthresh + tcp_flight(c) + c->mss);
	} else if (c->recovery == TCPR_OPEN && c->dupacks == DUP_THRESH &&
		   seq_gt(c->snd_una, c->recover)) { /* RFC 6582 4.1: not for an old loss again */
		enter_fast(env, c, now_ns);
	}
	tcp_want_output(env, c);
}

static void fast_acked(struct tcp_env *env, struct tcp_conn *c, uint32_t acked, uint64_t now_ns)
{
	if (seq_ge(c->snd_una, c->recover)) { /* full acknowledgement */
		c->recovery = TCPR_OPEN;
		c->cwnd = min_u32(c->ssthresh, max_u32(tcp_flight(c), c->mss) + c->mss);
		return;
	}
	/* partial: the next hole starts here; deflate by what has left */
	tcp_retransmit_head(env, c, now_ns);
	c->cwnd -= min_u32(acked, c->cwnd);
	if (acked >= c->mss)
		c->cwnd += c->mss;
	c->cwnd = max_u32(c->cwnd, c->mss);
}

void tcp_recovery_acked(struct tcp_env *env, struct tcp_conn *c, uint32_t acked, uint64_t now_ns)
{
	c->dupacks = 0;
	if (c->recovery == TCPR_OPEN && seq_diff(c->snd_una, c->recover) > 1u << 30)
		c->recover = seq_sub(c->snd_una, 1); /* long ago: must not seem to lie ahead */
	if (c->recovery == TCPR_FAST) {
		fast_acked(env, c, acked, now_ns);
		return;
	}
	if (c->recovery == TCPR_LOSS && seq_ge(c->snd_una, c->recover)) {
		c->recovery = TCPR_OPEN;
		c->snd_ptr = c->snd_nxt;
	}
	if (c->cwnd_limited || c->recovery == TCPR_LOSS)
		c->cc->acked(c, acked, now_ns);
}

void tcp_recovery_timeout(struct tcp_conn *c)
{
	/* RFC 5681 (4): once per loss, not again when its retransmission is lost too */
	if (c->recovery != TCPR_LOSS || c->rtt.backoff == 0)
		c->ssthresh = c->cc->ssthresh(c, seq_diff(c->snd_nxt, c->snd_una));
	c->recovery = TCPR_LOSS;
	c->recover = c->snd_nxt;
	c->snd_ptr = c->snd_una;
	c->cwnd = c->mss;
	c->dupacks = 0;
	c->rtt_timing = false; /* Karn */
}
