/* Received text and FIN (RFC 9293 3.10.7.4 seventh, eighth): trims to the window, stores in order
 * or ahead of it, and decides how soon it is acknowledged (RFC 5681 4.2, RFC 9293 3.8.6.3). */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "stack/tcp/tcp_core.h"

void tcp_estimate_peer_mss(struct tcp_conn *c, uint32_t len)
{
	uint32_t most = c->adv_mss ? c->adv_mss : TCP_DEFAULT_MSS;

	c->rcv_mss = (uint16_t)min_u32(len, max_u32(most, c->rcv_mss));
}

static inline void data_in_order(struct tcp_env *env, struct tcp_conn *c, uint32_t len)
{
	c->rcv_nxt = seq_add(c->rcv_nxt, len);
	c->rx_bytes += len;
	tcp_event(env, c, TCPE_READABLE);
}

static inline void data_grew(struct tcp_env *env, struct tcp_conn *c, uint32_t seg_len, uint64_t now_ns)
{
	if (unlikely(seg_len > c->rcv_mss))
		tcp_estimate_peer_mss(c, seg_len);
	/* after a pause the peer may be in slow start again: help it as in the beginning */
	if (now_ns - c->last_rx_data_ns > (uint64_t)tcp_rtt_base_us(&c->rtt) * NSEC_PER_USEC)
		c->quick = TCP_QUICK_SEGS;
	c->last_rx_data_ns = now_ns;
	if (unlikely(seq_ge(c->rcv_nxt, c->tune.round_end)))
		tcp_tune_round(c, now_ns);
	c->ack_delayed = true;
	if (seg_len < c->rcv_mss) {
		c->rx_small_more |= c->rx_small;
		c->rx_small = true;
	}
	if (seq_diff(c->rcv_nxt, c->rcv_acked) >= 2u * c->rcv_mss) {
		c->ack_now = true;
	} else if (c->quick && !c->pingpong) {
		c->quick--;
		c->ack_now = true;
	}
	if (c->ack_now || !seq_eq(c->snd_nxt, c->snd_end))
		tcp_want_output(env, c);
	else if (!c->delack_ns)
		tcp_timer_ack_owed(env, c, now_ns);
}

void tcp_data_next(struct tcp_env *env, struct tcp_conn *c, uint32_t len, uint64_t now_ns)
{
	data_in_order(env, c, len);
	data_grew(env, c, len, now_ns);
}

/* What was parked behind a hole that is filled now. */
static void take_parked(struct tcp_env *env, struct tcp_conn *c)
{
	struct tcp_run *r;

	while ((r = c->reass.first) && seq_le(r->start, c->rcv_nxt)) {
		if (seq_gt(r->end, c->rcv_nxt))
			data_in_order(env, c, seq_diff(r->end, c->rcv_nxt));
		tcp_runs_trim(&env->table->run_pool, &c->reass, c->rcv_nxt);
	}
	tcp_sack_received(c);
}

/* [seq, end) next in order. */
static void store_next(struct tcp_env *env, struct tcp_conn *c, seq_t end, uint64_t now_ns)
{
	struct tcp_run *hole_end = c->reass.first;
	uint32_t len = seq_diff(end, c->rcv_nxt);

	if (unlikely(hole_end) && seq_lt(hole_end->start, end)) /* RFC 2883 4.2 */
		tcp_sack_note_dup(c, hole_end->start, seq_min(hole_end->end, end));
	data_in_order(env, c, len);
	if (unlikely(hole_end))
		take_parked(env, c);
	c->ack_now |= hole_end != NULL; /* RFC 5681 4.2: at once when a gap is filled */
	data_grew(env, c, len, now_ns);
}

/* [seq, end) ahead of it. False: not kept. */
static bool store_ahead(struct tcp_env *env, struct tcp_conn *c, seq_t seq, seq_t end)
{
	struct tcp_run *r = tcp_runs_find(&c->reass, seq);

	if (r && seq_lt(r->start, end)) { /* RFC 2883 4.1, 4.2 */
		seq_t dup_end = seq_min(r->end, end);

		tcp_sack_note_dup(c, seq_max(r->start, seq), dup_end);
		if (seq_le(r->start, seq) && seq_eq(dup_end, end))
			STAT_INC(tcp_dup_segs);
	}
	if (!tcp_runs_put(&env->table->run_pool, &c->reass, seq, end, TCP_RUN_HELD, 0))
		return false;
	STAT_INC(tcp_ooo_segs);
	c->ooo_segs++;
	tcp_tune_ahead(c);
	tcp_sack_note(c, tcp_runs_find(&c->reass, seq));
	return true;
}

/* len bytes at seq >= rcv_nxt, inside the window. False: not kept. */
static bool store(struct tcp_env *env, struct tcp_conn *c, seq_t seq, const void *p, uint32_t len,
		  uint64_t now_ns)
{
	uint32_t pos = seq_diff(seq, c->irs) - 1;
	seq_t end = seq_add(seq, len);
	bool in_order = seq_eq(seq, c->rcv_nxt);

	if (env->ops->rx_write(env, c, pos, p, len) < 0 ||
	    (!in_order && !store_ahead(env, c, seq, end))) {
		STAT_INC(tcp_drop_nomem);
		TRACE(TCP_DROP, c->id, now_ns, TCP_DROP_NOMEM, seq.v, len);
		return false;
	}
	if (in_order)
		store_next(env, c, end, now_ns);
	else
		tcp_emit_ack(env, c, now_ns); /* each one a duplicate ACK, RFC 5681 4.2 */
	return true;
}

static void note_fin(struct tcp_env *env, struct tcp_conn *c, seq_t at, uint32_t seg_len,
		     uint64_t now_ns)
{
	struct tcp_run *last = c->reass.last;

	if (!c->fin_seen)
		c->fin_seq = at;
	c->fin_seen = true;
	if (last && seq_gt(last->end, at)) { /* text beyond it was a lie; the end never splits */
		tcp_runs_erase(&env->table->run_pool, &c->reass, at, last->end);
		c->n_sack = 0;
	}
	if (seq_gt(at, c->rcv_nxt) && seg_len == 0) /* text has been answered by store() */
		tcp_emit_ack(env, c, now_ns);
}

/* The peer's FIN is the next thing in order. */
static void take_fin(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	c->rcv_nxt = seq_add(c->rcv_nxt, 1);
	c->fin_rcvd = true;
	tcp_runs_clear(&env->table->run_pool, &c->reass); /* text beyond the FIN never existed */
	c->n_sack = 0;
	tcp_want_output(env, c);
	tcp_event(env, c, TCPE_FIN | TCPE_READABLE);
	/* As Linux, whose delay is nothing yet while no text has come: the application will close, too, and
	 * its FIN acknowledge this one. */
	if (c->state == TCPS_ESTABLISHED && c->last_rx_data_ns)
		c->ack_delayed = true;
	else
		c->ack_now = true;
	switch (c->state) {
	case TCPS_ESTABLISHED:
		tcp_set_state(c, TCPS_CLOSE_WAIT, now_ns);
		break;
	case TCPS_FIN_WAIT_1: /* our FIN is not acknowledged yet */
		tcp_set_state(c, TCPS_CLOSING, now_ns);
		break;
	case TCPS_FIN_WAIT_2:
		tcp_emit_ack(env, c, now_ns);
		tcp_to_record(env, c, TCP_TIMEWAIT_NS, now_ns);
		break;
	default:
		break;
	}
}

/* New text for an application that has closed, or shut down both ways: the peer must learn that nobody
 * reads it (RFC 9293 3.6.1, RFC 1122 4.2.2.13). */
static void data_after_close(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
			     uint64_t now_ns)
{
	STAT_INC(tcp_drop_after_close);
	TRACE(TCP_DROP, c->id, now_ns, TCP_DROP_CLOSED, 0, 0);
	tcp_reply_rst(env, &c->flow, seg, now_ns);
	tcp_done(env, c, c->orphan ? 0 : ECONNRESET, now_ns);
}

void tcp_data_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		    const void *payload, uint64_t now_ns)
{
	const uint8_t *p = payload;
	seq_t seq = seg->seq, end = seq_add(seq, seg->len);
	bool fin = seg->flags & TCPF_FIN, fin_waits = c->fin_seen;

	if (c->fin_rcvd || (c->state != TCPS_ESTABLISHED && c->state != TCPS_FIN_WAIT_1 &&
			    c->state != TCPS_FIN_WAIT_2 &&
			    !(c->fo_child && c->state == TCPS_SYN_RCVD))) {
		c->ack_now = true; /* a repetition: our ACK of the FIN was lost */
		tcp_want_output(env, c);
		return;
	}
	if (seq_lt(end, c->rcv_nxt) || (seq_eq(end, c->rcv_nxt) && seg->len && !fin)) {
		STAT_INC(tcp_dup_segs);
		tcp_sack_note_dup(c, seq, end);
		c->ack_now = true;
		tcp_want_output(env, c);
		return;
	}
	if (seq_lt(seq, c->rcv_nxt)) { /* the front is old */
		tcp_sack_note_dup(c, seq, seq_min(end, c->rcv_nxt));
		p += seq_diff(c->rcv_nxt, seq);
		seq = c->rcv_nxt;
	}
	if ((c->orphan || (c->rcv_shut && c->state != TCPS_ESTABLISHED)) && seq_gt(end, seq)) {
		data_after_close(env, c, seg, now_ns);
		return;
	}
	seq_t edge = c->fin_seen ? seq_min(c->fin_seq, c->rcv_adv) : c->rcv_adv;
	if (seq_gt(end, edge)) { /* the back does not fit */
		STAT_INC(tcp_drop_window);
		end = seq_max(edge, seq);
		fin = false;
		c->ack_now = true;
		tcp_want_output(env, c);
	}
	if (seq_gt(end, seq) && !store(env, c, seq, p, seq_diff(end, seq), now_ns))
		return;
	if (fin)
		note_fin(env, c, end, seg->len, now_ns);
	if (c->fin_seen && seq_eq(c->fin_seq, c->rcv_nxt)) {
		take_fin(env, c, now_ns);
		c->ack_now |= fin_waits; /* RFC 5681 4.2: a gap is filled */
	}
}
