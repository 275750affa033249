/* What may be sent now: the windows, Nagle, cork, silly-window avoidance, FIN, and the ACK that
 * nothing else carries. Parses no segment. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

enum { LIMITED_TRANSMIT = 2 }; /* RFC 3042: segments beyond cwnd for the first two duplicates */

/* Bytes from snd_ptr on that both windows let out. */
static uint32_t send_room(const struct tcp_conn *c, bool *by_cwnd)
{
	uint32_t cwnd = c->cwnd;
	uint32_t used = tcp_flight(c);

	if (c->recovery == TCPR_OPEN && c->dupacks)
		cwnd += min_u32(c->dupacks, LIMITED_TRANSMIT) * c->mss;
	*by_cwnd = cwnd < c->snd_wnd;
	uint32_t most = min_u32(cwnd, c->snd_wnd);
	return most > used ? most - used : 0;
}

/* May a segment shorter than the MSS leave? len: what the windows let out of avail. */
static bool may_send_small(const struct tcp_conn *c, uint32_t len, uint32_t avail, bool by_cwnd)
{
	if (c->push || seq_lt(c->snd_ptr, c->snd_nxt)) /* again: no reason to hold it back */
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

/* One segment [snd_ptr, snd_ptr + len), perhaps with the FIN, and what must be remembered of it. */
static void send_at_ptr(struct tcp_env *env, struct tcp_conn *c, uint32_t len, bool fin,
			uint64_t now_ns)
{
	seq_t seq = c->snd_ptr, end = seq_add(seq, len + fin);
	uint8_t flags = TCPF_ACK;

	if (len && seq_eq(seq_add(seq, len), c->snd_end))
		flags |= TCPF_PSH;
	if (fin) {
		flags |= TCPF_FIN;
		c->fin_sent = true;
	}
	if (seq_lt(seq, c->snd_nxt)) {
		STAT_INC(tcp_retrans_segs);
		c->rtx_segs++;
		c->rtx_total_bytes += len;
	} else if (!c->rtt_timing) {
		c->rtt_timing = true;
		c->rtt_seq = seq;
		c->rtt_start_ns = now_ns;
	}
	if (len && len < tcp_send_mss(c))
		c->snd_sml = end;
	c->snd_ptr = end;
	c->snd_nxt = seq_max(c->snd_nxt, end);
	if (len && now_ns - c->last_rx_data_ns < TCP_DELACK_NS && c->last_rx_data_ns)
		c->pingpong = true; /* the application answers within the delay of an ACK */
	c->last_tx_ns = now_ns;
	tcp_timer_sent(env, c, now_ns);
	tcp_emit(env, c, flags, seq, len, now_ns);
}

/* RFC 5681 4.1: a window that was not used for a timeout says nothing about the path any more. */
static void idle_restart(struct tcp_conn *c, uint64_t now_ns)
{
	uint64_t idle_ns = now_ns - c->last_tx_ns;

	if (c->last_tx_ns && idle_ns > (uint64_t)tcp_rtt_rto_us(&c->rtt) * NSEC_PER_USEC)
		c->cwnd = min_u32(c->cwnd, (uint32_t)TCP_INIT_SEGS * c->mss);
}

static void output_data(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint32_t mss = tcp_send_mss(c);
	/* A port that cuts would give every piece the same urgent pointer. */
	uint32_t burst = env->tso_bytes > mss && !c->urg_tx ? env->tso_bytes : mss;
	bool by_cwnd = false, sent = false, held = false;

	if (seq_eq(c->snd_una, c->snd_nxt))
		idle_restart(c, now_ns);
	while (seq_le(c->snd_ptr, c->snd_end)) {
		uint32_t avail = seq_diff(c->snd_end, c->snd_ptr);
		uint32_t room = send_room(c, &by_cwnd);
		uint32_t len = min_u32(min_u32(avail, room), burst);
		bool again = seq_lt(c->snd_ptr, c->snd_nxt);

		if (len > mss)
			len -= len % mss;
		/* a FIN takes a number, but no room in the congestion window */
		bool fin = c->fin_queued && len == avail && (room > len || by_cwnd || again);
		if (len == 0 && !fin) {
			held = avail > 0;
			break;
		}
		if (len < mss && !fin && !may_send_small(c, len, avail, by_cwnd)) {
			held = len < avail;
			break;
		}
		send_at_ptr(env, c, len, fin, now_ns);
		sent = true;
	}
	c->push = false;
	if (sent || held) {
		uint32_t flight = tcp_flight(c);

		/* RFC 7661 in short: it grows only when it is used, in slow start by half */
		c->cwnd_limited = (held && by_cwnd) || flight + c->mss > c->cwnd ||
				  (c->cwnd < c->ssthresh && flight >= c->cwnd / 2);
	}
	bool unsent = seq_lt(c->snd_nxt, c->snd_end) || (c->fin_queued && !c->fin_sent);
	if (unsent && seq_eq(c->snd_una, c->snd_nxt))
		tcp_timer_stalled(env, c, now_ns);
}

void tcp_retransmit_head(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint32_t out = seq_diff(c->snd_nxt, c->snd_una);
	uint32_t data = out - (c->fin_sent && !c->fin_acked);
	uint32_t len = min_u32(data, tcp_send_mss(c));
	bool fin = c->fin_sent && !c->fin_acked && len == data;
	seq_t end = seq_add(c->snd_una, len + fin);

	if (out == 0)
		return;
	STAT_INC(tcp_retrans_segs);
	c->rtx_segs++;
	c->rtx_total_bytes += len;
	c->rtt_timing = false; /* Karn; and what is timed behind a hole would measure the repair */
	c->snd_ptr = seq_max(c->snd_ptr, end);
	c->last_tx_ns = now_ns;
	tcp_timer_sent(env, c, now_ns);
	tcp_emit(env, c, (uint8_t)(TCPF_ACK | (fin ? TCPF_FIN : 0) | (len == data ? TCPF_PSH : 0)),
		 c->snd_una, len, now_ns);
}

static void output_syn(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (!seq_eq(c->snd_ptr, c->iss))
		return;
	if (seq_eq(c->snd_nxt, c->iss)) {
		c->snd_nxt = seq_add(c->iss, 1);
		c->rtt_timing = true;
		c->rtt_seq = c->iss;
		c->rtt_start_ns = now_ns;
	} else {
		c->rtt_timing = false; /* Karn */
	}
	c->snd_ptr = c->snd_nxt;
	tcp_timer_sent(env, c, now_ns);
	tcp_emit_syn(env, c, now_ns);
}

void tcp_output(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (tcp_is_closed(c))
		return;
	if (!c->syn_acked)
		output_syn(env, c, now_ns);
	else if (seq_lt(c->snd_ptr, c->snd_end) || (c->fin_queued && !c->fin_acked))
		output_data(env, c, now_ns);
	if (c->ack_now)
		tcp_emit_ack(env, c, now_ns);
	else if (c->ack_delayed)
		tcp_timer_ack_owed(env, c, now_ns);
}

void tcp_flush(struct tcp_env *env, uint64_t now_ns)
{
	struct list *n;

	/* tcp_output() puts nothing back: the list gets shorter */
	while ((n = list_pop(&env->pending)))
		tcp_output(env, container_of(n, struct tcp_conn, pend_link), now_ns);
}
