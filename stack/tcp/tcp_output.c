/* What may be sent now: the windows, Nagle, cork, silly-window avoidance, FIN, and the ACK that
 * nothing else carries. Parses no segment. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_core.h"

/* May a segment shorter than the MSS leave? len: what the windows let out of avail. */
static bool may_send_small(const struct tcp_conn *c, uint32_t len, uint32_t avail, bool by_cwnd)
{
	if (c->push)
		return true;
	if (len < avail) /* RFC 9293 3.8.6.2.1 (3): the peer's buffer may be that small */
		return !by_cwnd && len >= c->max_snd_wnd / 2;
	if (c->fin_queued || c->urg_tx) /* urgent: as Linux, past Nagle and cork */
		return true;
	if (c->opts.cork)
		return false;
	if (c->opts.nodelay)
		return true;
	/* Nagle as Minshall refined it: only another small segment in flight holds this one. */
	return !(seq_gt(c->snd_sml, c->snd_una) && seq_le(c->snd_sml, c->snd_nxt));
}

/* One new segment of len bytes, perhaps with the FIN. */
static inline void send_new(struct tcp_env *env, struct tcp_conn *c, uint32_t len, bool fin, uint32_t mss,
		     uint64_t now_ns)
{
	seq_t seq = c->snd_nxt, text_end = seq_add(seq, len);
	uint8_t flags = TCPF_ACK;

	if (len && seq_eq(text_end, c->snd_end))
		flags |= TCPF_PSH;
	if (fin) {
		flags |= TCPF_FIN;
		c->fin_sent = true;
	}
	c->snd_nxt = seq_add(text_end, fin);
	if (unlikely(c->paced))
		tcp_pace_sent(c, len, now_ns);
	if (len && len < mss)
		c->snd_sml = c->snd_nxt;
	tcp_emit(env, c, flags, seq, len, now_ns);
}

/* What must be remembered of the burst of new data that has just left, from start on. */
static void note_new(struct tcp_env *env, struct tcp_conn *c, seq_t start, uint64_t now_ns)
{
	tcp_sent_note(&c->sent, c->snd_nxt, tcp_us(now_ns));
	tcp_rate_sent(c, start, tcp_us(now_ns));
	if (unlikely(c->prr))
		c->prr_out += seq_diff(c->snd_nxt, start);
	tcp_note_answer(env, c, seq_lt(start, c->snd_end), now_ns);
	c->last_tx_ns = now_ns;
	tcp_timer_sent(env, c, now_ns);
}

void tcp_send_again(struct tcp_env *env, struct tcp_conn *c, seq_t start, seq_t end,
		    uint64_t now_ns)
{
	bool fin = c->fin_sent && seq_gt(end, c->snd_end);
	uint32_t len = seq_diff(end, start) - fin;
	bool last = len && seq_eq(seq_add(start, len), c->snd_end);

	STAT_INC(tcp_retrans_segs);
	c->rtx_segs++;
	c->rtx_total_bytes += len;
	if (c->prr)
		c->prr_out += len;
	if (c->paced)
		tcp_pace_sent(c, len, now_ns);
	if (unlikely(c->mtu_probing) && seq_lt(start, c->mtu.end) && seq_gt(end, c->mtu.start))
		c->mtu_probing = 0; /* whichever copy arrives: it tells nothing */
	tcp_undo_sent_again(c, len, now_ns);
	tcp_board_sent_again(env, c, start, end, tcp_us(now_ns));
	tcp_rate_sent_again(c, start, end, tcp_us(now_ns));
	c->last_tx_ns = now_ns;
	if (seq_eq(start, c->snd_una)) /* what is waited for: it gets a whole timeout */
		tcp_timer_restarted(env, c, now_ns);
	c->resending = true;
	tcp_emit(env, c, (uint8_t)(TCPF_ACK | (fin ? TCPF_FIN : 0) | (last ? TCPF_PSH : 0)), start,
		 len, now_ns);
	c->resending = false;
}

/* RFC 5681 4.1: a window that was not used for a timeout says nothing about the path any more. As Linux does
 * RFC 2861: it is halved for every timeout of silence, and slow start leads most of the way back. RFC 7661's
 * measure of what was used would let a program that answers in bursts keep more of it for minutes, and
 * then send all at once; for the rest its rule, growth only of what is used, is cwnd_limited. */
static void idle_restart(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint64_t idle_ns = now_ns - c->last_tx_ns;

	if (c->model) { /* what it knows has its own time */
		c->cc->restart(env, c, now_ns, idle_ns);
		return;
	}
	if (!c->last_tx_ns || idle_ns <= (uint64_t)tcp_rtt_rto_us(&c->rtt) * NSEC_PER_USEC)
		return;
	uint32_t least = min_u32(c->cwnd, (uint32_t)TCP_INIT_SEGS * c->mss);
	uint64_t rto_ns = (uint64_t)tcp_rtt_rto_us(&c->rtt) * NSEC_PER_USEC;

	STAT_INC(tcp_idle_restart);
	c->ssthresh = max_u32(c->ssthresh, c->cwnd / 2 + c->cwnd / 4);
	for (uint64_t left_ns = idle_ns; left_ns > rto_ns && c->cwnd > least; left_ns -= rto_ns)
		c->cwnd /= 2;
	c->cwnd = max_u32(c->cwnd, least);
	if (c->cc->restart)
		c->cc->restart(env, c, now_ns, idle_ns);
}

/* Most payload of one output. A port that cuts would give every piece the same urgent pointer. */
static uint32_t burst_size(const struct tcp_env *env, const struct tcp_conn *c, uint32_t mss)
{
	return env->tso_bytes > mss && !c->urg_tx ? env->tso_bytes - env->tso_bytes % mss : mss;
}

/* What is lost goes first (RFC 6675 5 (4.1), NextSeg rule 1). */
static void output_lost(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint32_t mss = tcp_send_mss(c), burst = burst_size(env, c, mss);
	struct tcp_run *r;

	while (!c->frto && (r = tcp_board_next_lost(c))) {
		uint32_t pipe = tcp_pipe(c), room = c->cwnd > pipe ? c->cwnd - pipe : 0;
		uint32_t all = seq_diff(r->end, r->start), len = min_u32(all, burst);
		seq_t start = r->start;

		room = min_u32(room, c->pace_budget);
		if (room < min_u32(all, mss))
			return;
		if (len > room)
			len = room - room % mss;
		/* a window that was taken back holds all but the head (RFC 9293 3.8.6) */
		if (!seq_eq(start, c->snd_una) &&
		    seq_diff(seq_add(start, len), c->snd_una) > c->snd_wnd)
			return;
		if (!tcp_runs_room(&env->table->run_pool, &c->board))
			return; /* it could not be remembered; an ACK gives room, or the timeout */
		tcp_send_again(env, c, start, seq_add(start, len), now_ns);
	}
}

/* A segment that is longer than what is known to get through (RFC 4821 7). */
static void output_mtu_probe(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint32_t len = tcp_mtu_probe_len(c, now_ns);

	if (len == 0)
		return;
	c->mtu_probe = true;
	send_new(env, c, len, false, tcp_send_mss(c), now_ns);
	c->mtu_probe = false;
}

static void output_new(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (unlikely(c->mtu_told) && now_ns >= c->mtu.until_ns)
		tcp_mtu_told_expired(env, c, now_ns);
	uint32_t mss = tcp_send_mss(c), burst = burst_size(env, c, mss);
	bool by_cwnd = false, held = false;
	seq_t start = c->snd_nxt;

	if (seq_eq(c->snd_una, c->snd_nxt))
		idle_restart(env, c, now_ns);
	if (unlikely(c->mtu_searching))
		output_mtu_probe(env, c, now_ns);
	while (tcp_unsent(c)) {
		uint32_t avail = seq_diff(c->snd_end, c->snd_nxt), pipe = tcp_pipe(c);
		uint32_t cwnd_room = c->cwnd > pipe ? c->cwnd - pipe : 0;
		uint32_t our_room = min_u32(cwnd_room, c->pace_budget);
		uint32_t wnd_room = tcp_wnd_room(c), room = min_u32(our_room, wnd_room);
		uint32_t run = min_u32(avail, room), len = min_u32(run, burst);

		if (run > burst && !c->paced && tcp_emit_alike(c)) { /* none of them is the last */
			tcp_emit_run(env, c, run, burst, now_ns);
			continue;
		}
		by_cwnd = our_room < wnd_room;
		if (len > mss)
			len -= len % mss;
		/* a FIN takes a number, but no room in the congestion window */
		bool fin = c->fin_queued && c->syn_acked && len == avail && (room > len || by_cwnd);
		if (len == 0 && !fin) {
			held = avail > 0;
			break;
		}
		if (len < mss && !fin && !may_send_small(c, len, avail, by_cwnd)) {
			held = len < avail;
			break;
		}
		send_new(env, c, len, fin, mss, now_ns);
	}
	c->push = false;
	bool sent = !seq_eq(c->snd_nxt, start);
	if (sent)
		note_new(env, c, start, now_ns);
	bool by_window = held && !by_cwnd && tcp_wnd_room(c) < min_u32(seq_diff(c->snd_end, c->snd_nxt), mss);
	if (sent || held) {
		uint32_t pipe = tcp_pipe(c);

		/* RFC 7661 in short: it grows only when it is used, in slow start by half */
		c->cwnd_limited = (held && by_cwnd && c->pace_budget >= mss) || pipe + c->mss > c->cwnd ||
				  (c->cwnd < c->ssthresh && pipe >= c->cwnd / 2 && !c->model);
	}
	if (unlikely(by_window || c->app_full || c->brake > TCP_BRAKE_BUSY))
		tcp_brake_output(c, by_window, now_ns);
	c->rate.shut |= by_window;
	if (tcp_unsent(c) && seq_eq(c->snd_una, c->snd_nxt))
		tcp_timer_stalled(env, c, now_ns);
}

bool tcp_send_one(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint32_t avail = seq_lt(c->snd_nxt, c->snd_end) ? seq_diff(c->snd_end, c->snd_nxt) : 0;
	uint32_t len = min_u32(min_u32(avail, tcp_wnd_room(c)), tcp_send_mss(c));

	if (len == 0)
		return false;
	seq_t start = c->snd_nxt;
	send_new(env, c, len, false, tcp_send_mss(c), now_ns);
	note_new(env, c, start, now_ns);
	return true;
}

void tcp_retransmit_head(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint32_t out = seq_diff(c->snd_nxt, c->snd_una);
	uint32_t fin = c->fin_sent && !c->fin_acked;
	uint32_t len = min_u32(out - fin, tcp_send_mss(c));
	const struct tcp_run *r = c->board.first;

	if (out == 0)
		return;
	if (len == out - fin)
		len += fin;
	seq_t end = seq_add(c->snd_una, len);
	if (r) /* not what the peer holds */
		end = seq_min(end, seq_eq(r->start, c->snd_una) ? r->end : r->start);
	tcp_send_again(env, c, c->snd_una, end, now_ns);
}

static void output_syn(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (!c->syn_due)
		return;
	c->syn_due = false;
	if (seq_eq(c->snd_nxt, c->iss)) {
		tcp_fo_syn_sent(c);
		tcp_sent_note(&c->sent, c->snd_nxt, tcp_us(now_ns));
	} else {
		c->sent.n = 0; /* Karn */
	}
	tcp_timer_sent(env, c, now_ns);
	tcp_emit_syn(env, c, now_ns);
}

void tcp_output(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (tcp_is_closed(c))
		return;
	if (!c->syn_acked)
		output_syn(env, c, now_ns);
	if (c->syn_acked || c->fo_child) { /* RFC 7413 4.2.2: the server need not wait */
		c->pace_budget = UINT32_MAX;
		if (unlikely(c->paced))
			c->pace_budget = tcp_pace_budget(c, now_ns);
		if (unlikely(c->recovery != TCPR_OPEN) && tcp_lost(c))
			output_lost(env, c, now_ns);
		if (tcp_unsent(c))
			output_new(env, c, now_ns);
		if (unlikely(c->paced) && c->pace_budget < c->mss &&
		    (tcp_lost(c) || seq_lt(c->snd_nxt, c->snd_end)))
			tcp_timer_paced(env, c, now_ns);
	}
	if (c->ack_now)
		tcp_emit_ack(env, c, now_ns);
	else if (c->ack_delayed)
		tcp_timer_ack_owed(env, c, now_ns);
}

void tcp_flush_pending(struct tcp_env *env, uint64_t now_ns)
{
	struct list *n;

	/* tcp_output() puts nothing back: the list gets shorter */
	while ((n = list_pop(&env->pending)))
		tcp_output(env, container_of(n, struct tcp_conn, pend_link), now_ns);
}
