/* Builds every segment that leaves: headers, options, window, and the RSTs and challenge ACKs that
 * answer what is wrong. Decides nothing about data. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

enum { CHALLENGE_PER_S = 1000 };

static void send_seg(struct tcp_env *env, const struct tcp_flow *flow, struct tcp_seg *seg,
		     struct tcp_conn *c, uint32_t tx_pos)
{
	seg->sport = flow->local.port;
	seg->dport = flow->remote.port;
	STAT_INC(tcp_tx_segs);
	env->ops->output(env, flow, seg, c, tx_pos);
}

/* A segment at c->snd_nxt or anywhere else, but for its number, flags and length. */
static inline void begin_seg(struct tcp_conn *c, struct tcp_seg *seg, uint64_t now_ns)
{
	tcp_seg_clear(seg);
	seg->sport = c->flow.local.port;
	seg->dport = c->flow.remote.port;
	seg->ack = c->rcv_nxt;
	seg->wnd = tcp_take_window(c);
	seg->mss = (uint16_t)tcp_send_mss(c); /* no option here: where a port cuts what is longer */
	if (c->ts_ok) {
		seg->has_ts = true;
		seg->tsval = tcp_ts_now(c->ts_offset, now_ns);
		seg->tsecr = c->ts_recent + c->ts_lead;
	}
}

static inline void emit_seg(struct tcp_env *env, struct tcp_conn *c, struct tcp_seg *seg, uint32_t n_mss,
			    uint64_t now_ns)
{
	c->tx_segs++;
	c->tx_data_segs += n_mss;
	TRACE(TCP_TX, c->id, now_ns, seg->seq.v, seg->ack.v, seg->len << 8 | seg->flags);
	STAT_INC(tcp_tx_segs);
	env->ops->output(env, &c->flow, seg, c, seq_diff(seg->seq, c->iss) - 1);
}

void tcp_emit(struct tcp_env *env, struct tcp_conn *c, uint8_t flags, seq_t seq, uint32_t len,
	      uint64_t now_ns)
{
	struct tcp_seg seg;

	begin_seg(c, &seg, now_ns);
	seg.seq = seq;
	seg.flags = flags;
	seg.len = len;
	if (unlikely(c->mtu_probe))
		seg.mss = (uint16_t)len;
	if (unlikely(tcp_sack_telling(c)))
		tcp_sack_fill(c, &seg);
	if (unlikely(c->ecn_ok))
		tcp_ecn_mark(c, &seg);
	if (unlikely(c->urg_tx))
		tcp_urgent_mark(c, &seg);
	tcp_ack_told(c);
	emit_seg(env, c, &seg, len <= c->mss ? len > 0 : (len + c->mss - 1) / c->mss, now_ns);
}

uint32_t tcp_emit_run(struct tcp_env *env, struct tcp_conn *c, uint32_t run, uint32_t each,
		      uint64_t now_ns)
{
	uint32_t n_mss = each <= c->mss ? 1 : (each + c->mss - 1) / c->mss;
	struct tcp_seg seg;

	begin_seg(c, &seg, now_ns);
	seg.flags = TCPF_ACK;
	seg.len = each;
	tcp_ack_told(c);
	for (; run > each; run -= each) {
		seg.seq = c->snd_nxt;
		c->snd_nxt = seq_add(c->snd_nxt, each);
		emit_seg(env, c, &seg, n_mss, now_ns);
	}
	return run;
}

/* Options of a SYN: ours, and in a SYN-ACK only what the peer has offered. */
static void syn_options(struct tcp_seg *seg, uint16_t mss, bool wscale_ok, uint8_t wscale,
			bool sack_ok)
{
	seg->sack_ok = sack_ok;
	seg->has_mss = true;
	seg->mss = mss;
	seg->has_wscale = wscale_ok;
	seg->wscale = wscale_ok ? wscale : 0;
}

static void put_fo(struct tcp_seg *seg, const struct tcp_fo *fo)
{
	seg->has_fo = fo->wanted || fo->len;
	seg->fo = *fo;
}

/* A SYN's window. With data already received it must not promise more than the buffer has. */
static uint32_t syn_window(const struct tcp_conn *c)
{
	uint32_t taken = c->syn_rcvd ? tcp_rx_tail(c) - c->rx_head : 0;

	return min_u32(c->opts.rcvbuf - min_u32(taken, c->opts.rcvbuf), UINT16_MAX);
}

void tcp_emit_syn(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	bool active = c->state == TCPS_SYN_SENT;
	uint32_t wnd = syn_window(c);
	struct tcp_seg seg = {
		.seq = c->iss,
		.ack = c->rcv_nxt,
		.flags = (uint8_t)(active ? TCPF_SYN | tcp_ecn_syn_flags(env, c) :
					   TCPF_SYN | TCPF_ACK | (c->ecn_ok ? TCPF_ECE : 0)),
		.wnd = (uint16_t)wnd, /* a SYN's window is never scaled (RFC 7323 2.2) */
		.has_ts = active || c->ts_ok,
		.len = active ? seq_diff(c->snd_nxt, c->iss) - 1 : 0, /* Fast Open */
	};

	put_fo(&seg, &c->fo);
	seg.tsval = seg.has_ts ? tcp_ts_now(c->ts_offset, now_ns) : 0;
	seg.tsecr = c->ts_ok ? c->ts_recent + c->ts_lead : 0;
	syn_options(&seg, c->adv_mss, active || c->syn_wscale,
		    tcp_choose_wscale(c->opts.rcvbuf), active || c->sack_ok);
	if (c->syn_rcvd) {
		c->rcv_adv = seq_max(c->rcv_adv, seq_add(c->rcv_nxt, wnd));
		c->rcv_acked = c->rcv_nxt;
	}
	c->ack_now = c->ack_delayed = false;
	c->tx_segs++;
	TRACE(TCP_TX, c->id, now_ns, seg.seq.v, seg.ack.v, seg.flags);
	send_seg(env, &c->flow, &seg, c, 0);
}

/* In the name of a listener: its options rule the IP header (as Linux, ttl, tos and DF). */
static void send_synq(struct tcp_env *env, const struct tcp_synq *q, struct tcp_seg *seg)
{
	env->synack_opts = q->listener->opts;
	send_seg(env, &q->flow, seg, NULL, 0);
	env->synack_opts = NULL;
}

void tcp_emit_synack(struct tcp_env *env, struct tcp_synq *q, const struct tcp_fo *fo,
		     uint64_t now_ns)
{
	struct tcp_seg seg = {
		.seq = q->iss,
		.ack = seq_add(q->irs, 1),
		.flags = (uint8_t)(TCPF_SYN | TCPF_ACK | (q->ecn_ok ? TCPF_ECE : 0)),
		.wnd = (uint16_t)q->wnd,
		.has_ts = q->ts_ok,
		.tsecr = q->ts_recent,
	};

	if (q->ts_ok)
		seg.tsval = q->cookie ? tcp_cookie_stamp(q, now_ns) : tcp_ts_now(q->ts_offset, now_ns);
	syn_options(&seg, q->our_mss, q->wscale_ok, q->rcv_wscale, q->sack_ok);
	if (fo)
		put_fo(&seg, fo);
	q->sent_ns = now_ns;
	send_synq(env, q, &seg);
}

void tcp_emit_synq_ack(struct tcp_env *env, struct tcp_synq *q, uint64_t now_ns)
{
	struct tcp_seg seg = {
		.seq = seq_add(q->iss, 1),
		.ack = seq_add(q->irs, 1),
		.flags = TCPF_ACK,
		.wnd = (uint16_t)(q->wnd >> (q->wscale_ok ? q->rcv_wscale : 0)),
		.has_ts = q->ts_ok,
		.tsval = q->ts_ok ? tcp_ts_now(q->ts_offset, now_ns) : 0,
		.tsecr = q->ts_recent,
	};

	send_synq(env, q, &seg);
}

void tcp_emit_timewait_ack(struct tcp_env *env, struct tcp_timewait *tw, uint64_t now_ns)
{
	uint32_t wnd = seq_gt(tw->rcv_adv, tw->rcv_nxt) ? seq_diff(tw->rcv_adv, tw->rcv_nxt) : 0;
	struct tcp_seg seg = {
		.seq = tw->snd_nxt,
		.ack = tw->rcv_nxt,
		.flags = TCPF_ACK,
		.wnd = (uint16_t)min_u32(wnd >> tw->rcv_wscale, UINT16_MAX),
		.has_ts = tw->ts_ok,
		.tsval = tw->ts_ok ? tcp_ts_now(tw->ts_offset, now_ns) : 0,
		.tsecr = tw->ts_ok ? tw->ts_recent : 0,
	};

	send_seg(env, &tw->flow, &seg, NULL, 0);
}

void tcp_emit_rst(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_seg seg = {
		.seq = c->snd_nxt,
		.ack = c->rcv_nxt,
		.flags = TCPF_RST | TCPF_ACK,
	};

	STAT_INC(tcp_tx_rst);
	TRACE(TCP_TX, c->id, now_ns, seg.seq.v, seg.ack.v, seg.flags);
	send_seg(env, &c->flow, &seg, c, 0);
}

void tcp_reply_rst(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		   uint64_t now_ns)
{
	struct tcp_seg rst = { .flags = TCPF_RST };

	if (seg->flags & TCPF_RST)
		return;
	if (seg->flags & TCPF_ACK) {
		rst.seq = seg->ack;
	} else {
		rst.flags |= TCPF_ACK;
		rst.ack = seq_add(seg->seq, tcp_seg_space(seg));
	}
	STAT_INC(tcp_tx_rst);
	send_seg(env, flow, &rst, NULL, 0);
}

bool tcp_may_challenge(struct tcp_env *env, uint64_t now_ns)
{
	struct tcp_challenge *ch = &env->challenge;

	if (ch->window_ns == 0 || now_ns - ch->window_ns >= NSEC_PER_SEC) {
		/* A fixed budget would let an attacker count our answers to others. */
		ch->window_ns = max_u64(now_ns, 1);
		ch->left = CHALLENGE_PER_S / 2 + rng_below(env->rng, CHALLENGE_PER_S);
	}
	if (ch->left == 0) {
		STAT_INC(tcp_challenge_limited);
		return false;
	}
	ch->left--;
	STAT_INC(tcp_challenge_ack);
	return true;
}

void tcp_challenge_ack(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (c->oow_ack_ns && now_ns - c->oow_ack_ns < TCP_OOW_NS) {
		STAT_INC(tcp_challenge_limited);
		return;
	}
	c->oow_ack_ns = now_ns;
	if (tcp_may_challenge(env, now_ns))
		tcp_emit_ack(env, c, now_ns);
}
