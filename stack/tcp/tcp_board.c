/* The scoreboard (RFC 6675 3): what the peer holds of what we have sent, what is taken for lost, what was
 * sent again. What is in no run is plainly in flight. Bookkeeping only: who is lost is decided by
 * tcp_rack.c and tcp_recovery.c. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_core.h"

static struct tcp_run_pool *pool(struct tcp_env *env) { return &env->table->run_pool; }

/* [start, end) has reached the peer, we did not know; run: what it was on the board, or NULL. */
static void delivered(struct tcp_conn *c, struct tcp_news *news, seq_t start, seq_t end,
		      const struct tcp_run *run)
{
	bool again = run && run->state != TCP_RUN_LOST;
	uint32_t us = again ? run->sent_us : tcp_sent_when(&c->sent, end);

	news->delivered += seq_diff(end, start);
	if (c->rate.n)
		tcp_rate_arrived(c, &news->pick, start, end, again, us);
	if (again) {
		news->again = true;
	} else {
		uint32_t sent_us = us;

		news->orig |= seq_lt(start, c->recover);
		/* Karn: it was sent once. The middle of a burst left no later than its end. */
		if (tcp_sent_within(&c->sent, start, end, &sent_us) ||
		    (tcp_rtt_wants_any(&c->rtt) && c->sent.n)) {
			uint32_t rtt_us = news->now_us - sent_us;

			news->rtt_us = news->has_rtt ? min_u32(news->rtt_us, rtt_us) : rtt_us;
			news->has_rtt = true;
		}
	}
	if (c->sack_ok)
		tcp_rack_delivered(c, news, end, us, again ? us : tcp_sent_since(&c->sent, end), again);
}

/* All of [start, end) that was not held yet. */
static void deliver_span(struct tcp_conn *c, struct tcp_news *news, seq_t start, seq_t end)
{
	const struct tcp_run *r = tcp_runs_find(&c->board, start);

	while (seq_lt(start, end)) {
		seq_t to = end;

		if (!r || seq_lt(start, r->start)) { /* up to the next run */
			if (r)
				to = seq_min(end, r->start);
			delivered(c, news, start, to, NULL);
		} else {
			to = seq_min(end, r->end);
			if (r->state != TCP_RUN_HELD)
				delivered(c, news, start, to, r);
			r = r->next;
		}
		start = to;
	}
}

/* RFC 2883 4: the first block, if it lies before the ACK or inside the second one. */
static bool is_dsack(const struct tcp_seg *seg)
{
	const struct tcp_sack_block *b = seg->sack;

	if (seq_le(b[0].end, seg->ack))
		return true;
	return seg->n_sack > 1 && seq_ge(b[0].start, b[1].start) && seq_le(b[0].end, b[1].end);
}

static void take_block(struct tcp_env *env, struct tcp_conn *c, const struct tcp_sack_block *b,
		       seq_t ack, struct tcp_news *news)
{
	seq_t start = seq_max(b->start, ack), end = b->end;
	const struct tcp_run *r;

	if (seq_le(end, ack))
		return; /* old news */
	/* Nobody holds what was not sent, nor what comes next without acknowledging it. */
	if (seq_ge(b->start, end) || seq_gt(end, c->snd_nxt) || seq_eq(b->start, ack)) {
		STAT_INC(tcp_drop_sack);
		return;
	}
	r = tcp_runs_find(&c->board, start);
	if (r && r->state == TCP_RUN_HELD && seq_le(r->start, start)) {
		if (seq_le(end, r->end))
			return; /* known */
		start = r->end;
	}
	if (!tcp_runs_room(pool(env), &c->board)) {
		STAT_INC(tcp_drop_sack); /* at worst it is sent again */
		return;
	}
	uint32_t held = c->board.bytes[TCP_RUN_HELD];
	deliver_span(c, news, start, end);
	tcp_runs_put(pool(env), &c->board, start, end, TCP_RUN_HELD, 0);
	news->sacked |= c->board.bytes[TCP_RUN_HELD] != held;
}

void tcp_board_sack(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		    struct tcp_news *news)
{
	uint32_t i = 0;

	if (is_dsack(seg)) {
		i = 1;
		if (seq_lt(seg->sack[0].start, seg->sack[0].end) &&
		    seq_ge(seg->sack[0].start, seq_sub(c->snd_una, c->max_snd_wnd)) &&
		    seq_le(seg->sack[0].end, c->snd_nxt)) {
			news->dsack = true;
			c->dsack_dups++;
			STAT_INC(tcp_dsack_rcvd);
			tcp_undo_dup(c, &seg->sack[0]);
		}
	}
	for (; i < seg->n_sack; i++)
		take_block(env, c, &seg->sack[i], seq_max(seg->ack, c->snd_una), news);
}

void tcp_board_acked(struct tcp_env *env, struct tcp_conn *c, seq_t ack, struct tcp_news *news)
{
	const struct tcp_news told = *news; /* by the blocks of the same segment */

	news->again = false;
	deliver_span(c, news, c->snd_una, ack);
	if (news->again) {
		/* What was sent once may have been there for long, without our knowing: the ACK waited for
		 * the retransmission. Only blocks that came out of order measure (as Linux). */
		news->has_rtt = told.has_rtt;
		news->rtt_us = told.rtt_us;
	}
	news->again |= told.again;
	tcp_runs_trim(pool(env), &c->board, ack);
	if (c->sack_ok)
		return;
	/* RFC 6937 3: what the duplicates have told is not delivered twice. Besides the hole, the ACK
	 * covers what they stood for. */
	uint32_t acked = seq_diff(ack, c->snd_una);
	uint32_t known = min_u32(c->reno_held, acked > c->mss ? acked - c->mss : 0);
	news->delivered -= min_u32(known, news->delivered);
	c->reno_held = min_u32(c->reno_held - known, seq_diff(c->snd_nxt, ack));
	if (news->again) /* nobody can tell which copies have arrived */
		news->orig = false;
}

static void note_lost(struct tcp_conn *c, seq_t start, seq_t end)
{
	if (tcp_lost(c) == 0 || seq_lt(start, c->lost_from))
		c->lost_from = start;
	c->lost_bytes += seq_diff(end, start);
	if (c->cc->lost)
		c->cc->lost(c, start, end);
}

bool tcp_board_lose(struct tcp_env *env, struct tcp_conn *c, seq_t start, seq_t end)
{
	struct tcp_run *prev, *r = tcp_runs_find(&c->board, start);

	for (prev = r ? r->prev : c->board.last; seq_lt(start, end);) {
		if (r && seq_le(r->start, start)) {
			start = r->end;
			prev = r;
			r = r->next;
			continue;
		}
		seq_t to = r ? seq_min(r->start, end) : end;
		note_lost(c, start, to);
		prev = tcp_runs_fill(pool(env), &c->board, prev, start, to, TCP_RUN_LOST);
		if (!prev)
			return false;
		start = seq_min(prev->end, end);
		r = prev->next;
	}
	return true;
}

void tcp_board_lose_again(struct tcp_conn *c, struct tcp_run *r)
{
	note_lost(c, r->start, r->end);
	tcp_runs_restate(&c->board, r, TCP_RUN_LOST_AGAIN);
	STAT_INC(tcp_lost_retrans);
}

struct tcp_run *tcp_board_next_lost(struct tcp_conn *c)
{
	struct tcp_run *r;

	if (tcp_lost(c) == 0)
		return NULL;
	r = tcp_runs_find(&c->board, seq_max(c->lost_from, c->snd_una));
	while (r && r->state != TCP_RUN_LOST && r->state != TCP_RUN_LOST_AGAIN)
		r = r->next;
	if (r)
		c->lost_from = r->start;
	return r;
}

bool tcp_board_sent_again(struct tcp_env *env, struct tcp_conn *c, seq_t start, seq_t end,
			  uint32_t now_us)
{
	if (!tcp_runs_put(pool(env), &c->board, start, end, TCP_RUN_AGAIN, now_us))
		return false;
	c->again_to = seq_max(c->again_to, end);
	return true;
}

/* What waits to be sent again was under way all the time. */
void tcp_board_unlose(struct tcp_env *env, struct tcp_conn *c)
{
	struct tcp_run *r = c->board.first, *next;

	for (; r && tcp_lost(c); r = next) {
		next = r->next;
		if (r->state == TCP_RUN_LOST)
			tcp_runs_drop(pool(env), &c->board, r);
		else if (r->state == TCP_RUN_LOST_AGAIN)
			tcp_runs_restate(&c->board, r, TCP_RUN_AGAIN);
	}
	c->plain_from = c->snd_una;
}

void tcp_board_begin(struct tcp_conn *c)
{
	c->plain_from = c->lost_from = c->again_to = c->snd_una;
	c->rack.fack = c->snd_una;
	c->rack.valid = false;
}

void tcp_board_clear(struct tcp_env *env, struct tcp_conn *c)
{
	tcp_runs_clear(pool(env), &c->board);
	c->reno_held = 0;
	tcp_board_begin(c);
}
