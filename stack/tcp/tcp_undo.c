/* Was that retransmission needless? Eifel detection by timestamps (RFC 3522), by D-SACKs for all that
 * was sent again (RFC 3708), and the response (RFC 4015): the window grows back. F-RTO (RFC 5682), which
 * asks the same after a timeout, is tcp_recovery.c's. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_core.h"

static bool again_under_way(const struct tcp_conn *c)
{
	return c->board.bytes[TCP_RUN_AGAIN] + c->board.bytes[TCP_RUN_LOST_AGAIN];
}

void tcp_undo_save(struct tcp_conn *c)
{
	/* One reduction after the other: the oldest window is the right one. */
	if (c->recovery < TCPR_FAST || !c->undo.ok)
		c->undo = (struct tcp_undo){ .cwnd = c->prr ? 0 : c->cwnd, .ssthresh = c->ssthresh,
					     .stamp = c->undo.stamp, .stamped = c->undo.stamped };
	c->undo.ok = true;
	c->undo.from = c->snd_una;
	c->undo.left = 0;
	c->undo.sent = false;
	/* What an episode before this one has sent again may still come back, with its stamp. */
	c->undo.stamped = c->undo.stamped && again_under_way(c);
}

void tcp_undo_sent_again(struct tcp_conn *c, uint32_t len, uint64_t now_ns)
{
	c->undo.left += len;
	c->undo.sent = true;
	if (!c->undo.stamped && c->ts_ok) {
		c->undo.stamped = true;
		c->undo.stamp = tcp_ts_now(c->ts_offset, now_ns);
	}
}

void tcp_undo_dup(struct tcp_conn *c, const struct tcp_sack_block *b)
{
	uint32_t len = seq_diff(b->end, b->start);
	bool probe = c->tlp_out && c->tlp_again && seq_eq(b->end, c->tlp_end);

	if (c->undo.ok && seq_gt(b->end, c->undo.from))
		c->undo.left -= min_u32(len, c->undo.left);
	if (!probe) /* RFC 8985 6.2 step 4: a probe is not the detector's fault */
		tcp_rack_dsack(c);
}

bool tcp_undo_wanted(const struct tcp_conn *c, const struct tcp_news *news)
{
	const struct tcp_undo *u = &c->undo;
	const struct tcp_seg *seg = news->seg;

	if (!u->ok || !u->sent || seq_diff(c->snd_una, u->from) > 1u << 30) /* long ago */
		return false;
	/* RFC 3522 3.2 step 5: the echo is older than the retransmission */
	if (news->acked && u->stamped && seg->has_ts && seg->tsecr &&
	    (int32_t)(seg->tsecr - u->stamp) < 0) {
		STAT_INC(tcp_undo_eifel);
		return true;
	}
	if (u->left == 0 && news->dsack) {
		STAT_INC(tcp_undo_dsack);
		return true;
	}
	return false;
}

/* RFC 4015 3.2 (9): no burst, slow start leads back. */
void tcp_undo(struct tcp_env *env, struct tcp_conn *c, const struct tcp_news *news)
{
	uint32_t step = min_u32(max_u32(news->acked, c->mss), (uint32_t)TCP_INIT_SEGS * c->mss);

	if (c->recovery == TCPR_FAST && c->sack_ok) /* what came late had been overtaken */
		tcp_rack_overtaken(c);
	tcp_board_unlose(env, c);
	c->undo.ok = false;
	c->prr = false;
	c->frto = false;
	c->ssthresh = max_u32(c->ssthresh, c->undo.ssthresh);
	if (c->undo.cwnd) { /* (9): pipe_prev */
		c->cwnd = max_u32(c->mss, min_u32(c->undo.cwnd, tcp_pipe(c) + step));
		if (c->ssthresh != UINT32_MAX || c->cwnd < c->undo.cwnd)
			c->ssthresh = max_u32(c->ssthresh, c->undo.cwnd);
	}
	c->rtt.backoff = 0;
	if (c->cc->undo)
		c->cc->undo(c);
	c->recovery = TCPR_DISORDER;
}
