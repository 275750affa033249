/* Loss recovery: decides when it begins and ends. What is lost is found by time (tcp_rack.c, RFC 8985) or,
 * for a peer without SACK, by duplicate ACKs (RFC 5681 3.2, RFC 6582); how fast it is sent again is
 * tcp_prr.c's, and the size of the window afterwards the controller's (tcp_cc_*.c). */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_core.h"

/* RFC 5681 (4): what limited transmit has sent beyond the window does not count; what this very ACK has
 * acknowledged does. */
static uint32_t flight_size(const struct tcp_conn *c, uint32_t acked)
{
	return min_u32(seq_diff(c->snd_nxt, c->snd_una) + acked, c->cwnd);
}

static void reduce(struct tcp_conn *c, enum tcp_recovery to, enum tcp_cc_cause cause, uint32_t acked)
{
	tcp_undo_save(c);
	c->ssthresh = c->cc->ssthresh(c, flight_size(c, acked), cause);
	c->recovery = (uint8_t)to;
	c->recover = c->snd_nxt;
	if (!c->model)
		tcp_prr_start(c);
}

static void enter_fast(struct tcp_conn *c, uint32_t delivered, uint32_t acked)
{
	STAT_INC(tcp_fast_retrans);
	if (c->recovery == TCPR_CWR) { /* has been reduced for the same round trip */
		c->recovery = TCPR_FAST;
		c->recover = c->snd_nxt;
	} else {
		reduce(c, TCPR_FAST, TCP_CC_LOSS, acked);
	}
	c->tlp_out = false;
	if (c->prr)
		tcp_prr_acked(c, delivered, TCP_PRR_ENTER);
}

static void lost(struct tcp_env *env, struct tcp_conn *c, uint32_t delivered, uint32_t acked)
{
	if (unlikely(c->mtu_probing) && tcp_mtu_is_probe_lost(c))
		tcp_mtu_probe_lost(env, c);
	else
		enter_fast(c, delivered, acked);
}

/* All that was out when it began is acknowledged. */
static void recovered(struct tcp_conn *c)
{
	if (c->prr)
		c->cwnd = max_u32(c->ssthresh, c->mss);
	if (c->recovery == TCPR_FAST && !c->sack_ok && !c->model) /* RFC 6582 3.2 step 3 (1): no burst */
		c->cwnd = min_u32(c->ssthresh, max_u32(tcp_pipe(c), c->mss) + c->mss);
	if (c->recovery >= TCPR_FAST)
		tcp_rack_recovered(c);
	STAT_INC(tcp_recovered);
	c->prr = false;
	c->frto = false;
	c->dupacks = 0;
	c->reno_held = 0;
	c->recovery = TCPR_DISORDER;
	if (c->cc->recovered)
		c->cc->recovered(c);
}

/* F-RTO, RFC 5682 2.1 and 3.1: only the head has been sent again. If what arrives next proves that the
 * rest was just late, the timeout was spurious. */
static bool frto_acked(struct tcp_env *env, struct tcp_conn *c, const struct tcp_news *news)
{
	if (news->orig) { /* step 3b: never sent again, and arrived */
		STAT_INC(tcp_frto_spurious);
		return true;
	}
	if (seq_gt(c->snd_nxt, c->recover)) { /* step 3: an answer to the two new ones */
		if (!news->acked) { /* 3a */
			c->frto = false;
			c->cwnd = 3u * c->mss;
		}
	} else if (news->acked) { /* step 2b: two new ones, if there are any */
		if (seq_gt(c->snd_end, c->snd_nxt) && tcp_wnd_room(c))
			c->cwnd = tcp_pipe(c) + 2u * c->mss;
		else
			c->frto = false;
	} else if (!c->sack_ok) { /* 2a */
		c->frto = false;
	}
	return false;
}

/* Without SACK: the third duplicate, or a partial ACK, says that the next one is lost. */
static void reno_detect(struct tcp_env *env, struct tcp_conn *c, const struct tcp_news *news)
{
	seq_t head = seq_add(c->snd_una, min_u32(c->mss, seq_diff(c->snd_nxt, c->snd_una)));
	bool third = c->recovery <= TCPR_CWR && c->dupacks == TCP_DUP_THRESH &&
		     seq_gt(c->snd_una, c->recover); /* RFC 6582 4.1: not for an old loss again */
	bool partial = c->recovery == TCPR_FAST && news->acked;

	if ((third || partial) && !seq_eq(head, c->snd_una))
		tcp_board_lose(env, c, c->snd_una, head);
}

static void detect(struct tcp_env *env, struct tcp_conn *c, struct tcp_news *news)
{
	uint32_t before = tcp_lost(c);

	if (c->sack_ok)
		tcp_timer_reordering(env, c, tcp_rack_detect(env, c, news->now_us), news->now_ns);
	else
		reno_detect(env, c, news);
	news->lost = tcp_lost(c) > before;
}

/* May header prediction serve what comes next? */
static void calm_down(struct tcp_conn *c)
{
	if (c->recovery != TCPR_DISORDER || !tcp_runs_empty(&c->board) || c->tlp_out ||
	    (c->dupacks && !c->sack_ok))
		return;
	c->recovery = TCPR_OPEN;
	c->dupacks = 0;
	c->reno_held = 0;
}

/* An ACK that repeats the last one, or brings blocks without moving snd_una. */
static void count_dupack(struct tcp_conn *c, struct tcp_news *news)
{
	if (c->sack_ok && !news->sacked)
		return;
	if (c->dupacks < UINT8_MAX)
		c->dupacks++;
	if (c->recovery == TCPR_OPEN)
		c->recovery = TCPR_DISORDER;
	if (!c->sack_ok && c->recovery != TCPR_LOSS) {
		/* RFC 6937 3: each stands for one segment, as long as any can be out */
		uint32_t out = seq_diff(c->snd_nxt, c->snd_una), most = out - min_u32(out, c->mss);
		uint32_t held = min_u32(c->reno_held + c->mss, most);

		news->delivered = held - min_u32(held, c->reno_held);
		c->reno_held = held;
	}
}

/* Where order is lost all the time something is missing all the time, and what has arrived counts, in
 * whatever order: else the window grows in jumps whenever the late one comes, each a burst (as Linux). */
static uint32_t growth(const struct tcp_conn *c, const struct tcp_news *news)
{
	return c->rack.reordered && c->recovery == TCPR_DISORDER ? news->delivered : news->acked;
}

static void grow(struct tcp_conn *c, const struct tcp_news *news)
{
	bool partial = news->acked && !c->sack_ok; /* RFC 6582 3.2 step 3: sent again at once */
	uint32_t acked = growth(c, news);

	if (c->prr)
		tcp_prr_acked(c, news->delivered, partial ? TCP_PRR_ENTER :
			      news->acked && !news->lost ? TCP_PRR_GOOD : TCP_PRR_LOSING);
	else if (!c->frto && acked && (c->cwnd_limited || c->recovery == TCPR_LOSS))
		c->cc->acked(c, acked, news->now_ns);
}

void tcp_recovery_open_acked(struct tcp_conn *c, uint32_t acked, uint64_t now_ns)
{
	c->recover = seq_sub(c->snd_una, 1); /* never lags behind by half of the numbers */
	c->rate.delivered_us = tcp_us(now_ns);
	if (c->cwnd_limited)
		c->cc->acked(c, acked, now_ns);
}

static void tell_rate(struct tcp_env *env, struct tcp_conn *c, const struct tcp_news *news)
{
	struct tcp_rate_sample rs = {
		.now_ns = news->now_ns,
		.acked = news->delivered,
		.rtt_us = news->has_rtt ? news->rtt_us : 0,
	};

	c->rate.delivered_us = news->now_us;
	tcp_rate_sample(c, &news->pick, news->now_ns, &rs);
	if (c->cc->control)
		c->cc->control(env, c, &rs);
}

void tcp_recovery_news(struct tcp_env *env, struct tcp_conn *c, struct tcp_news *news, bool dup)
{
	bool settled = false; /* is cwnd? */

	if (dup || news->sacked)
		count_dupack(c, news);
	else if (news->acked)
		c->dupacks = 0;
	if (news->acked && !c->dupacks && c->recovery <= TCPR_CWR)
		c->reno_held = 0;
	if (c->tlp_out && tcp_tlp_acked(c, news) && c->recovery <= TCPR_DISORDER) {
		reduce(c, TCPR_CWR, TCP_CC_LOSS, news->acked); /* RFC 8985 7.4.2: a loss like any other */
		c->undo.ok = false;
		recovered(c);
	}
	if (tcp_undo_wanted(c, news) || (c->frto && frto_acked(env, c, news)))
		tcp_undo(env, c, news);
	else if (c->recovery >= TCPR_CWR && seq_ge(c->snd_una, c->recover) &&
		 !(c->frto && seq_lt(c->snd_una, c->snd_nxt))) {
		settled = c->prr;
		recovered(c);
	}
	if (news->ece && c->recovery < TCPR_CWR) { /* RFC 3168 6.1.2: once a round trip */
		STAT_INC(tcp_ecn_reduced);
		reduce(c, TCPR_CWR, TCP_CC_ECN, news->acked);
		c->undo.ok = false;
		c->ecn_cwr = true;
	}
	detect(env, c, news);
	if (tcp_lost(c) && c->recovery < TCPR_FAST) {
		lost(env, c, news->delivered, news->acked);
		settled = true;
	}
	if (!settled)
		grow(c, news);
	if (news->delivered)
		tell_rate(env, c, news);
	calm_down(c);
	tcp_recovery_trace(c, news->now_ns);
	tcp_want_output(env, c);
}

/* The reordering window has passed (RFC 8985 6.2 step 5). */
void tcp_recovery_reordering_over(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_news news = { .now_ns = now_ns, .now_us = tcp_us(now_ns) };

	STAT_INC(tcp_rack_timer);
	detect(env, c, &news);
	if (tcp_lost(c) && c->recovery < TCPR_FAST)
		lost(env, c, 0, 0);
	else if (tcp_lost(c) && c->prr)
		tcp_prr_acked(c, 0, TCP_PRR_ENTER);
	tcp_recovery_trace(c, now_ns);
	tcp_want_output(env, c);
}

void tcp_recovery_timeout(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	/* RFC 5681 (4): once per loss, not again when its retransmission is lost too */
	bool first = c->recovery < TCPR_FAST || seq_ge(c->snd_una, c->recover) ||
		     (c->recovery == TCPR_LOSS && c->rtt.backoff == 0);

	if (c->recovery == TCPR_OPEN)
		tcp_board_begin(c);
	/* RFC 5682 2.1 step 1: not when the same was being repaired already */
	c->frto = c->recovery < TCPR_FAST;
	if (first) {
		tcp_undo_save(c);
		c->ssthresh = c->cc->ssthresh(c, flight_size(c, 0), TCP_CC_TIMEOUT);
	}
	c->recovery = TCPR_LOSS;
	c->recover = c->snd_nxt;
	c->prr = false;
	c->tlp_out = false;
	c->dupacks = 0;
	c->reno_held = 0;
	tcp_rack_timeout(env, c, tcp_us(now_ns));
	c->cwnd = tcp_pipe(c) + c->mss;
	tcp_recovery_trace(c, now_ns);
}

void tcp_recovery_resend(struct tcp_env *env, struct tcp_conn *c, seq_t start, seq_t end)
{
	if (c->recovery == TCPR_OPEN)
		tcp_board_begin(c);
	tcp_board_lose(env, c, start, end);
	c->undo.ok = false;
	c->prr = c->frto = c->tlp_out = false;
	c->recovery = TCPR_LOSS;
	c->recover = c->snd_nxt;
	tcp_want_output(env, c);
}

void tcp_recovery_resend_all(struct tcp_env *env, struct tcp_conn *c)
{
	tcp_board_clear(env, c);
	tcp_recovery_resend(env, c, c->snd_una, c->snd_nxt);
	c->plain_from = c->snd_nxt;
}
