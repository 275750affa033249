/* Loss detection by time: RFC 8985 6. Decides which of what was sent is lost, and when to look again.
 * Does not retransmit (tcp_output.c) and does not touch cwnd. Only for peers that do SACK. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

enum { REO_PERSIST = 16, REO_MULT_MAX = 254, FEW_RUNS = 64, PAUSES = 16 };

/* RACK_sent_after(): was a, that ends at a_end, sent after b? */
static bool sent_after(uint32_t a_us, seq_t a_end, uint32_t b_us, seq_t b_end)
{
	return tcp_us_lt(b_us, a_us) || (a_us == b_us && seq_gt(a_end, b_end));
}

/* Not the copy that was sent again rtt_us ago has arrived, but the first one? Then what was sent before that
 * copy may well be under way, and is not late. The echo is older than the copy (6.2 step 2), if the ACK
 * covers it: one that tells of it in a SACK block echoes what came before the hole (RFC 7323 4.3), so that
 * the second copy looks like the first, and does not speed up what is found missing. Where order is lost
 * that is the lesser evil. */
static bool is_first_copy(const struct tcp_conn *c, const struct tcp_news *news, seq_t end, uint32_t rtt_us)
{
	const struct tcp_seg *seg = news->seg;
	uint64_t sent_ns = news->now_ns - rtt_us * (uint64_t)NSEC_PER_USEC;

	if (rtt_us < c->rtt.min_us)
		return true;
	return seg && seg->has_ts && seg->tsecr && (seq_le(end, seg->ack) || c->rack.reordered) &&
	       (int32_t)(seg->tsecr - tcp_ts_now(c->ts_offset, sent_ns)) < 0;
}

/* 6.2 steps 1 to 3, for something newly delivered that left between since_us and us. */
void tcp_rack_delivered(struct tcp_conn *c, struct tcp_news *news, seq_t end, uint32_t us,
			uint32_t since_us, bool again)
{
	struct tcp_rack *k = &c->rack;
	uint32_t rtt_us = news->now_us - us;

	/* Step 3. The pieces of one ACK come in any order: they are compared with what was before. */
	if (seq_gt(end, k->fack))
		k->fack = end;
	if (seq_lt(end, news->fack) && !again) {
		k->reordered = true;
		c->reord_seen++;
		c->reord_bytes = max_u32(c->reord_bytes, seq_diff(news->fack, end) + c->mss);
	}
	if (again && is_first_copy(c, news, end, rtt_us)) /* step 2 */
		return;
	if (!k->valid || sent_after(us, end, k->us, k->end)) {
		k->us = us;
		k->end = end;
	}
	if (!k->valid || sent_after(since_us, end, k->since_us, k->since_end)) {
		k->since_us = since_us;
		k->since_end = end;
	}
	k->rtt_us = rtt_us;
	k->since_rtt_us = news->now_us - since_us;
	k->valid = true;
	news->rack = true;
}

/* Step 3 can't see it when what came late had been sent again by then. (Linux counts it, too.) */
void tcp_rack_overtaken(struct tcp_conn *c)
{
	c->rack.reordered = true;
	c->reord_seen++;
}

/* Step 4: how much later than its successors may something arrive? */
static uint32_t reo_wnd_us(const struct tcp_conn *c)
{
	const struct tcp_rack *k = &c->rack;
	bool enough = c->dupacks >= TCP_DUP_THRESH ||
		      c->board.bytes[TCP_RUN_HELD] >= (uint32_t)TCP_DUP_THRESH * c->mss;

	if (!k->reordered && (c->recovery >= TCPR_FAST || enough))
		return 0;
	return (uint32_t)min_u64((k->reo_mult + 1ull) * (c->rtt.min_us / 4), c->rtt.srtt_us);
}

/* A D-SACK: the window was too short. At most one step a round trip; forgotten after 16 recoveries. */
void tcp_rack_dsack(struct tcp_conn *c)
{
	struct tcp_rack *k = &c->rack;

	if (k->in_round && seq_lt(c->snd_una, k->dsack_round))
		return;
	k->in_round = true;
	k->dsack_round = c->snd_nxt;
	k->persist = REO_PERSIST;
	if (k->reo_mult < REO_MULT_MAX)
		k->reo_mult++;
}

void tcp_rack_recovered(struct tcp_conn *c)
{
	struct tcp_rack *k = &c->rack;

	k->in_round &= seq_lt(c->snd_una, k->dsack_round);
	if (k->persist && --k->persist == 0)
		k->reo_mult = 0;
}

/* A long list is not searched for every ACK and every microsecond: what is late is found a little later. */
static uint32_t pause_of(const struct tcp_conn *c)
{
	return c->board.n > FEW_RUNS ? c->rtt.srtt_us / PAUSES : 0;
}

/* Something of [start, end) plainly in flight? */
static bool plain_in(const struct tcp_conn *c, seq_t start, seq_t end)
{
	const struct tcp_run *r = tcp_runs_find(&c->board, start);

	for (; seq_lt(start, end); r = r->next) {
		if (!r || seq_gt(r->start, start))
			return true;
		start = r->end;
	}
	return false;
}

/* What was sent once: of all that left before the newest delivered, what is overdue is a prefix. */
static uint32_t detect_plain(struct tcp_env *env, struct tcp_conn *c, uint32_t now_us,
			     uint32_t patience_us)
{
	const struct tcp_rack *k = &c->rack;
	uint32_t overdue_us = now_us - patience_us;
	seq_t from = seq_max(c->plain_from, c->snd_una);
	/* older than the newest delivered, in time or by number */
	seq_t older = tcp_sent_until(&c->sent, k->us - 1, from);
	seq_t same = seq_min(tcp_sent_until(&c->sent, k->us, from), k->end);
	seq_t before = seq_max(older, same);
	seq_t lost = seq_min(tcp_sent_until(&c->sent, overdue_us, from), before);

	if (seq_lt(from, lost) && tcp_board_lose(env, c, from, lost))
		c->plain_from = from = lost;
	if (!seq_lt(from, before) || !plain_in(c, from, before))
		return 0;
	uint32_t due_us = tcp_sent_when(&c->sent, seq_add(from, 1)) + patience_us;
	return max_u32(tcp_us_lt(now_us, due_us) ? due_us - now_us : 1, pause_of(c));
}

/* What was sent again, each piece at its own time. Only what surely left after it makes it late. */
static uint32_t detect_again(struct tcp_conn *c, uint32_t now_us, uint32_t patience_us)
{
	const struct tcp_rack *k = &c->rack;
	struct tcp_run *r = c->board.first;
	uint32_t wait_us = 0;

	if (c->board.bytes[TCP_RUN_AGAIN] == 0)
		return 0;
	uint32_t pause_us = pause_of(c), since_us = now_us - c->rack.looked_us;
	if (since_us < pause_us)
		return pause_us - since_us;
	c->rack.looked_us = now_us;
	for (; r && seq_lt(r->start, c->again_to); r = r->next) {
		if (r->state != TCP_RUN_AGAIN || !sent_after(k->since_us, k->since_end, r->sent_us, r->end))
			continue;
		int32_t left_us = (int32_t)(r->sent_us + patience_us - now_us);
		if (left_us <= 0)
			tcp_board_lose_again(c, r);
		else if (wait_us == 0 || (uint32_t)left_us < wait_us)
			wait_us = (uint32_t)left_us;
	}
	return wait_us;
}

/* Step 5, RACK_detect_loss(). Microseconds until it is worth looking again, 0: it is not. */
uint32_t tcp_rack_detect(struct tcp_env *env, struct tcp_conn *c, uint32_t now_us)
{
	if (!c->rack.valid)
		return 0;
	uint32_t reo_us = reo_wnd_us(c);
	/* Where times are coarse (tcp_sent.h) a window is meant not to be shorter than it is. */
	uint32_t rtt_us = reo_us ? c->rack.since_rtt_us : c->rack.rtt_us;
	uint32_t a_us = detect_plain(env, c, now_us, rtt_us + reo_us);
	uint32_t b_us = detect_again(c, now_us, c->rack.since_rtt_us + reo_us);

	return a_us && b_us ? min_u32(a_us, b_us) : max_u32(a_us, b_us);
}

/* 6.3: after a timeout the first one is lost, and everything that is older than a round trip. */
bool tcp_rack_timeout(struct tcp_env *env, struct tcp_conn *c, uint32_t now_us)
{
	bool by_time = c->sack_ok && c->rtt.srtt_us;
	uint32_t rtt_us = c->rack.valid ? c->rack.rtt_us : c->rtt.srtt_us;
	uint32_t overdue_us = now_us - rtt_us - reo_wnd_us(c);
	seq_t head = seq_add(c->snd_una, min_u32(c->mss, seq_diff(c->snd_nxt, c->snd_una)));
	seq_t lost = by_time ? tcp_sent_until(&c->sent, overdue_us, head) : c->snd_nxt;

	/* The peer holds what comes next and does not acknowledge it: it has thrown it away
	 * (RFC 2018 8). */
	if (c->board.first && c->board.first->state == TCP_RUN_HELD &&
	    seq_eq(c->board.first->start, c->snd_una)) {
		STAT_INC(tcp_sack_reneged);
		tcp_board_clear(env, c);
		lost = c->snd_nxt;
	}
	for (struct tcp_run *r = c->board.first; r; r = r->next) {
		bool old = !by_time || !tcp_us_lt(overdue_us, r->sent_us) || r == c->board.first;

		if (r->state == TCP_RUN_AGAIN && old)
			tcp_board_lose_again(c, r);
	}
	if (!tcp_board_lose(env, c, c->snd_una, seq_max(lost, head)))
		return false;
	c->plain_from = seq_max(lost, head);
	return true;
}
