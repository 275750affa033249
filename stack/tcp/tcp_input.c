/* Arriving segments: the fast path, then RFC 9293 3.10.7.4 step by step with the checks of
 * RFC 5961 and RFC 7323. Builds no segment itself. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "stack/tcp/tcp_core.h"

enum { PAWS_TICKS = 1 };
/* A part of tcp_input() and tcp_input_pieces(): a call is a tenth of what a plain segment costs. */
#define INLINE static inline __attribute__((always_inline))
#define TS_OUTDATED_NS (24ull * 24 * 3600 * NSEC_PER_SEC) /* RFC 7323 5.5 */

static void drop(struct tcp_conn *c, const struct tcp_seg *seg, enum tcp_drop why, uint64_t now_ns)
{
	TRACE(TCP_DROP, c->id, now_ns, why, seg->seq.v, seg->ack.v);
}

static void ack_at_flush(struct tcp_env *env, struct tcp_conn *c)
{
	c->ack_now = true;
	tcp_want_output(env, c);
}

/* RFC 7323 4.3 (2): only a segment that covers Last.ACK.sent is echoed. What is all old does not count for
 * PAWS (5.3 R2): a needless retransmission would make it throw away what it has overtaken. But it is
 * echoed, where Linux has the last that counted: when it was our ACK that got lost, that one is as old
 * as the timeout, and the peer takes it for a round trip. */
static void take_timestamp(struct tcp_conn *c, const struct tcp_seg *seg, uint64_t now_ns)
{
	seq_t end = seq_add(seg->seq, tcp_seg_space(seg));

	if (!c->ts_ok || !seg->has_ts || seq_gt(seg->seq, c->rcv_acked))
		return;
	if (seq_lt(end, c->rcv_acked)) {
		uint32_t lead = seg->tsval - c->ts_recent;

		if ((int32_t)(lead - c->ts_lead) > 0)
			c->ts_lead = lead;
		return;
	}
	if ((int32_t)(seg->tsval - c->ts_recent) >= 0 ||
	    now_ns - c->ts_recent_ns >= TS_OUTDATED_NS) {
		c->ts_recent = seg->tsval;
		c->ts_recent_ns = now_ns;
		c->ts_lead = 0;
	}
}

/* Header prediction: the next segment in order, or an ACK of new data, and nothing else to say. What is false
 * for most of the others comes first. */
static inline bool is_plain(const struct tcp_conn *c, const struct tcp_seg *seg)
{
	if (seg->seq.v != c->rcv_nxt.v || (seg->flags & ~TCPF_PSH) != TCPF_ACK)
		return false;
	if (seg->wnd != c->snd_wnd_raw) /* window news */
		return false;
	if (c->state != TCPS_ESTABLISHED || c->persist || c->urg_rx || c->fin_seen)
		return false;
	if (c->recovery != TCPR_OPEN || seg->n_sack || !tcp_runs_empty(&c->reass)) /* a hole somewhere */
		return false;
	if (c->ecn_ok && (seg->ecn == TCP_ECN_CE || c->ecn_echo || (seg->ecn && !c->ecn_seen)))
		return false;
	if (c->ts_ok && (!seg->has_ts || (int32_t)(seg->tsval - c->ts_recent) < 0))
		return false;
	if (seq_gt(seg->ack, c->snd_nxt) || seg->len > seq_diff(c->rcv_adv, c->rcv_nxt))
		return false;
	/* a pure ACK must acknowledge something; with data it may repeat the last one */
	return seq_diff(seg->ack, c->snd_una) - !seg->len < 1u << 31;
}

INLINE void fast_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		       const void *payload, uint64_t now_ns)
{
	if (c->ts_ok && seq_le(seg->seq, c->rcv_acked)) { /* as take_timestamp() */
		c->ts_recent = seg->tsval;
		c->ts_recent_ns = now_ns;
		c->ts_lead = 0;
	}
	c->last_rx_ns = now_ns;
	c->keep_probes = 0;
	c->snd_wl1 = seg->seq;
	if (!seq_eq(seg->ack, c->snd_una))
		tcp_ack_new(env, c, seg, NULL, now_ns);
	if (seg->len == 0)
		return;
	tcp_tune_data(c, seg, now_ns);
	uint32_t pos = seq_diff(seg->seq, c->irs) - 1; /* both SYNs are behind, the FIN is ahead */
	if (env->ops->rx_write(env, c, pos, payload, seg->len) < 0) {
		STAT_INC(tcp_drop_nomem);
		drop(c, seg, TCP_DROP_NOMEM, now_ns);
		return;
	}
	tcp_data_next(env, c, seg->len, now_ns);
}

/* Second: RST (RFC 5961 3.2). Only the exact next number counts, others in the window are asked
 * for it by a challenge ACK. */
static void input_rst(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		      uint64_t now_ns)
{
	int error = ECONNRESET;

	if (!seq_eq(seg->seq, c->rcv_nxt)) {
		STAT_INC(tcp_drop_window);
		drop(c, seg, TCP_DROP_WINDOW, now_ns);
		if (seq_gt(seg->seq, c->rcv_nxt) && seq_le(seg->seq, c->rcv_adv))
			tcp_challenge_ack(env, c, now_ns);
		return;
	}
	STAT_INC(tcp_rx_rst);
	tcp_fo_end(c, TCP_FO_RESET, now_ns);
	if (c->state == TCPS_CLOSE_WAIT)
		error = EPIPE; /* as Linux: the reading side has been told already */
	tcp_done(env, c, error, now_ns);
}

/* An unacceptable segment is answered (3.10.7.4 first), but two peers that disagree must not
 * exchange pure ACKs for ever: those are answered twice a second, except probes, whose number just
 * before the window tells them apart. */
static void answer_unacceptable(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
				uint64_t now_ns)
{
	bool probe = seg->seq.v + 1 == c->rcv_nxt.v;
	seq_t end = seq_add(seg->seq, tcp_seg_space(seg));

	tcp_sack_note_dup(c, seg->seq, seq_min(end, c->rcv_nxt)); /* Linux tells it, too: a peer that asks
								   * whether its retransmission was needed
								   * waits for it */
	if (tcp_seg_space(seg) == 0 && !probe) {
		if (c->oow_ack_ns && now_ns - c->oow_ack_ns < TCP_OOW_NS) {
			STAT_INC(tcp_oow_limited);
			return;
		}
		c->oow_ack_ns = now_ns;
	}
	ack_at_flush(env, c);
}

/* First: PAWS, then the sequence number. True: goes on. */
static bool input_acceptable(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
			     uint64_t now_ns)
{
	uint32_t space = tcp_seg_space(seg);
	seq_t end = seq_add(seg->seq, space);
	/* A peer that stops sending timestamps is tolerated, as Linux does (RFC 7323 3.2 SHOULD), and so is
	 * one tick. */
	bool paws = c->ts_ok && seg->has_ts && (int32_t)(seg->tsval - c->ts_recent) < -PAWS_TICKS &&
		    now_ns - c->ts_recent_ns < TS_OUTDATED_NS;

	if (paws) {
		STAT_INC(tcp_drop_paws);
		drop(c, seg, TCP_DROP_PAWS, now_ns);
		answer_unacceptable(env, c, seg, now_ns);
		return false;
	}
	bool closed = seq_eq(c->rcv_adv, c->rcv_nxt); /* then the ACK of what starts there counts */
	bool beyond = seq_gt(seg->seq, c->rcv_adv) ||
		      (seq_eq(seg->seq, c->rcv_adv) && space && !closed);
	bool old = space ? seq_le(end, c->rcv_nxt) : seq_lt(seg->seq, c->rcv_nxt);
	/* All old: its ACK may still be news, as long as it can be a repetition at all. */
	bool repeated = old && space &&
			seq_diff(c->rcv_nxt, seg->seq) <= max_u32(c->opts.rcvbuf, UINT16_MAX);
	if (!beyond && (!old || repeated))
		return true;
	STAT_INC(tcp_drop_window);
	drop(c, seg, TCP_DROP_WINDOW, now_ns);
	answer_unacceptable(env, c, seg, now_ns);
	return false;
}

/* Fifth in SYN-RECEIVED: the handshake is complete. False: the ACK was wrong. */
static bool syn_rcvd_ack(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
			 uint64_t now_ns)
{
	if (!seq_gt(seg->ack, c->snd_una) || seq_gt(seg->ack, c->snd_nxt)) {
		STAT_INC(tcp_drop_ack);
		tcp_reply_rst(env, &c->flow, seg, now_ns);
		return false;
	}
	tcp_set_state(c, TCPS_ESTABLISHED, now_ns);
	STAT_INC(tcp_established);
	c->snd_wnd_raw = seg->wnd;
	c->snd_wnd = (uint32_t)seg->wnd << c->snd_wscale;
	c->max_snd_wnd = max_u32(c->max_snd_wnd, c->snd_wnd);
	c->snd_wl1 = seg->seq;
	tcp_ack_new(env, c, seg, NULL, now_ns);
	if (c->fin_queued)
		tcp_set_state(c, TCPS_FIN_WAIT_1, now_ns);
	if (c->passive)
		tcp_habit_start(env, c);
	tcp_timer_keepalive_changed(env, c, now_ns);
	tcp_want_output(env, c);
	tcp_fo_end(c, TCP_FO_DONE, now_ns);
	if (c->fo_child)
		tcp_event(env, c, TCPE_WRITABLE); /* accepted long since */
	else if (c->listener)
		env->ops->accepted(env, c->listener, c);
	else
		tcp_event(env, c, TCPE_CONNECTED | TCPE_WRITABLE);
	return true;
}

/* RFC 9293 figure 8, line 6: both sides sent a SYN first, and the SYN-ACK is the ACK. */
static bool is_crossed_synack(const struct tcp_conn *c, const struct tcp_seg *seg)
{
	return c->state == TCPS_SYN_RCVD && (seg->flags & TCPF_SYN) && (seg->flags & TCPF_ACK) &&
	       !(seg->flags & TCPF_RST) && seq_eq(seg->seq, c->irs) && seq_eq(seg->ack, c->snd_nxt);
}

/* The client of a Fast Open has not heard our SYN-ACK. */
static bool is_repeated_syn(const struct tcp_conn *c, const struct tcp_seg *seg)
{
	return c->fo_child && c->state == TCPS_SYN_RCVD && seq_eq(seg->seq, c->irs) &&
	       (seg->flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == TCPF_SYN;
}

static void answer_repeated_syn(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (c->oow_ack_ns && now_ns - c->oow_ack_ns < TCP_OOW_NS) {
		STAT_INC(tcp_oow_limited);
		return;
	}
	c->oow_ack_ns = now_ns;
	c->syn_due = true;
	tcp_want_output(env, c);
}

/* All synchronised states. RST and SYN come before the sequence number here: RFC 5961 gives both
 * the same answer inside and outside the window, so the outcome is that of the RFC's order. */
static void slow_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		       const void *payload, uint64_t now_ns)
{
	if (seg->flags & TCPF_RST) {
		input_rst(env, c, seg, now_ns);
		return;
	}
	if (seg->flags & TCPF_SYN) { /* fourth, RFC 5961 4.2 */
		tcp_challenge_ack(env, c, now_ns);
		return;
	}
	if (!input_acceptable(env, c, seg, now_ns))
		return;
	if (!(seg->flags & TCPF_ACK)) { /* fifth */
		STAT_INC(tcp_drop_flags);
		drop(c, seg, TCP_DROP_FLAGS, now_ns);
		return;
	}
	if (c->state == TCPS_SYN_RCVD) {
		if (!syn_rcvd_ack(env, c, seg, now_ns))
			return;
	} else if (!tcp_ack_input(env, c, seg, now_ns)) {
		return;
	}
	take_timestamp(c, seg, now_ns);
	c->last_rx_ns = now_ns;
	c->keep_probes = 0;
	if (seg->len)
		tcp_tune_data(c, seg, now_ns);
	if (unlikely(c->ecn_ok) && seg->len)
		tcp_ecn_received(env, c, seg, now_ns);
	if (unlikely(seg->flags & TCPF_URG)) /* sixth */
		tcp_urgent_input(env, c, seg);
	if (tcp_seg_space(seg) && !tcp_is_closed(c))
		tcp_data_input(env, c, seg, payload, now_ns); /* seventh, eighth */
	tcp_urgent_received(c);
}

INLINE void conn_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		       const void *payload, uint64_t now_ns)
{
	TRACE(TCP_RX, c->id, now_ns, seg->seq.v, seg->ack.v, seg->len << 8 | seg->flags);
	c->rx_segs++;
	c->rx_data_segs += seg->len != 0;
	if (likely(is_plain(c, seg))) {
		fast_input(env, c, seg, payload, now_ns);
		return;
	}
	if (c->state == TCPS_SYN_SENT) {
		tcp_syn_sent_input(env, c, seg, payload, now_ns);
	} else if (is_repeated_syn(c, seg)) {
		answer_repeated_syn(env, c, now_ns);
	} else if (is_crossed_synack(c, seg)) {
		struct tcp_seg ack = *seg;

		ack.flags &= (uint8_t)~TCPF_SYN;
		ack.seq = c->rcv_nxt;
		ack.wnd = (uint16_t)(seg->wnd >> c->snd_wscale); /* was not scaled */
		slow_input(env, c, &ack, payload, now_ns);
		if (!tcp_is_closed(c))
			ack_at_flush(env, c); /* as Linux: the peer may still wait for ours */
	} else {
		slow_input(env, c, seg, payload, now_ns);
	}
	if (c->state == TCPS_FIN_WAIT_2 && c->orphan) {
		if (c->opts.linger2_s < 0) /* as Linux: nobody waits for the peer's FIN */
			tcp_reply_rst(env, &c->flow, seg, now_ns);
		tcp_orphan_fin_wait_2(env, c, now_ns);
	}
}

bool tcp_knows(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
	       uint64_t now_ns)
{
	uint32_t hash = tcp_flow_hash(env, flow);

	if (tcp_table_find(env, flow, hash))
		return true;
	const struct tcp_listener *l = tcp_find_listener(env, &flow->local, hash);
	uint8_t flags = seg->flags & (TCPF_SYN | TCPF_ACK | TCPF_RST);
	if (!l || flags == TCPF_SYN)
		return l != NULL;
	return flags == TCPF_ACK && l->cookie_ns &&
	       tcp_cookie_check(env, flow, seq_sub(seg->seq, 1), seq_sub(seg->ack, 1),
				now_ns);
}

void tcp_input(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
	       const void *payload, uint64_t now_ns)
{
	struct tcp_node *n = tcp_table_lookup(env, flow);
	struct tcp_conn *c = NULL;
	seq_t hint;

	STAT_INC(tcp_rx_segs);
	if (!n) {
		c = tcp_listen_input(env, flow, seg, payload, NULL, now_ns);
	} else if (n->kind == TCPN_CONN) {
		c = container_of(n, struct tcp_conn, node);
		if (unlikely(seg->ttl < c->opts.minttl)) { /* RFC 5082 3 */
			STAT_INC(tcp_drop_minttl);
			drop(c, seg, TCP_DROP_MINTTL, now_ns);
			return;
		}
	} else if (n->kind == TCPN_SYN) {
		c = tcp_synq_input(env, container_of(n, struct tcp_synq, node), seg, now_ns);
	} else if (tcp_timewait_input(env, container_of(n, struct tcp_timewait, node), seg, &hint,
				      now_ns)) {
		c = tcp_listen_input(env, flow, seg, payload, &hint, now_ns);
	}
	if (!c)
		return;
	conn_input(env, c, seg, payload, now_ns);
	tcp_settle(env, c);
}

bool tcp_input_pieces(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		      const struct tcp_piece *piece, uint32_t n, uint16_t mss, uint64_t now_ns)
{
	const uint8_t at_end = TCPF_PSH | TCPF_FIN;
	struct tcp_node *node = tcp_table_lookup(env, flow);
	struct tcp_seg part = *seg;

	if (!node || node->kind != TCPN_CONN || (seg->flags & ~at_end) != TCPF_ACK || n == 0)
		return false;
	struct tcp_conn *c = container_of(node, struct tcp_conn, node);
	if (c->state != TCPS_ESTABLISHED || seg->ttl < c->opts.minttl)
		return false;
	STAT_INC(tcp_rx_segs);
	part.flags &= (uint8_t)~at_end;
	uint16_t most = mss > c->rcv_mss ? mss : c->rcv_mss;
	for (uint32_t i = 0; i < n && !tcp_is_closed(c); i++) {
		if (i == n - 1)
			part.flags = seg->flags;
		part.len = piece[i].len;
		conn_input(env, c, &part, piece[i].p, now_ns);
		part.seq = seq_add(part.seq, part.len);
	}
	if (mss && c->rcv_mss > most) /* a piece says nothing about the peer's segments */
		c->rcv_mss = most;
	tcp_settle(env, c);
	return true;
}
