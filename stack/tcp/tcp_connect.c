/* Active open: SYN-SENT and simultaneous open (RFC 9293 3.5, 3.10.7.3), initial sequence numbers
 * (RFC 6528) and what our SYNs announce. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "stack/base/be.h"
#include "stack/tcp/tcp_core.h"

/* Addresses and ports as siphash input, without padding. */
struct flow_key {
	struct ipaddr local, remote;
	uint32_t ports, salt;
};

static uint32_t keyed(const struct siphash_key *key, const struct tcp_flow *flow, uint32_t ports,
		      uint32_t salt)
{
	struct flow_key k = {
		.local = endpoint_key(&flow->local),
		.remote = endpoint_key(&flow->remote),
		.ports = ports,
		.salt = salt,
	};

	return (uint32_t)siphash(key, &k, sizeof(k));
}

uint32_t tcp_flow_keyed(const struct siphash_key *key, const struct tcp_flow *flow, uint32_t salt)
{
	return keyed(key, flow, (uint32_t)flow->local.port << 16 | flow->remote.port, salt);
}

seq_t tcp_isn(const struct tcp_env *env, const struct tcp_flow *flow, uint64_t now_ns)
{
	/* 64 ns a number, as Linux: outruns most connections, wraps in 275 s */
	return seq_of(tcp_flow_keyed(&env->key, flow, TCP_SALT_ISN) + (uint32_t)(now_ns >> 6));
}

uint32_t tcp_ts_offset(const struct tcp_env *env, const struct tcp_flow *flow)
{
	/* RFC 7323 5.4: per host pair, so that it keeps growing over successive connections */
	return keyed(&env->key, flow, 0, TCP_SALT_STAMP);
}

uint16_t tcp_announced_mss(struct tcp_env *env, const struct tcp_flow *flow, uint16_t user_mss)
{
	uint16_t mss = env->ops->path_mss(env, flow);

	return user_mss >= TCP_MSS_MIN && user_mss < mss ? user_mss : mss;
}

uint8_t tcp_choose_wscale(uint32_t rcvbuf)
{
	uint32_t want = max_u32(rcvbuf, TCP_WND_WANT);
	uint8_t scale = 0;

	while (scale < TCP_WSCALE_MAX && (uint64_t)UINT16_MAX << scale < want)
		scale++;
	return scale;
}

bool tcp_tuple_in_use(struct tcp_env *env, const struct tcp_flow *flow, uint64_t now_ns)
{
	struct tcp_node *n = tcp_table_lookup(env, flow);

	if (!n)
		return false;
	return n->kind != TCPN_TIMEWAIT ||
	       !tcp_timewait_may_reuse(container_of(n, struct tcp_timewait, node), now_ns);
}

int tcp_connect(struct tcp_env *env, struct tcp_conn *c, const struct tcp_flow *flow,
		uint64_t now_ns)
{
	if (tcp_tuple_in_use(env, flow, now_ns))
		return -EADDRNOTAVAIL;
	uint16_t mss = tcp_announced_mss(env, flow, c->opts.user_mss);
	if (mss == 0)
		return -ENETUNREACH;
	seq_t iss = tcp_isn(env, flow, now_ns);
	struct tcp_node *old = tcp_table_lookup(env, flow);
	if (old) {
		struct tcp_timewait *tw = container_of(old, struct tcp_timewait, node);

		iss = tcp_timewait_next_isn(tw);
		tcp_timewait_free(env, tw);
		STAT_INC(tcp_timewait_reused);
	}
	tcp_conn_start(env, c, flow, now_ns);
	c->iss = c->snd_una = c->snd_nxt = iss;
	c->syn_due = true;
	c->snd_end = seq_add(iss, 1);
	c->adv_mss = mss;
	c->path_mss = mss;
	c->ts_offset = tcp_ts_offset(env, flow);
	tcp_fo_connect(env, c, now_ns);
	tcp_set_state(c, TCPS_SYN_SENT, now_ns);
	STAT_INC(tcp_active_open);
	tcp_want_output(env, c);
	return 0;
}

static void learn_from_syn(const struct tcp_env *env, struct tcp_conn *c,
			   const struct tcp_seg *seg, uint64_t now_ns)
{
	struct tcp_syn_opts so = {
		.peer_mss = tcp_mss_of(seg, &c->flow),
		.our_mss = c->adv_mss,
		.ts_ok = seg->has_ts,
		.ts_recent = seg->tsval,
		.wscale_ok = seg->has_wscale,
		.sack_ok = seg->sack_ok,
		.snd_wscale = (uint8_t)min_u32(seg->wscale, TCP_WSCALE_MAX),
		.rcv_wscale = tcp_choose_wscale(c->opts.rcvbuf),
	};

	c->irs = seg->seq;
	c->rcv_nxt = seq_add(seg->seq, 1);
	c->rcv_acked = c->rcv_nxt;
	c->rcv_adv = seq_add(c->rcv_nxt, min_u32(c->opts.rcvbuf, UINT16_MAX));
	c->last_rx_ns = now_ns;
	c->syn_rcvd = true;
	c->syn_wscale = seg->has_wscale;
	c->ts_recent_ns = now_ns;
	tcp_conn_negotiated(env, c, &so);
	tcp_ecn_learn(env, c, seg->flags);
	c->snd_wnd = c->max_snd_wnd = seg->wnd; /* not scaled in a SYN */
	c->snd_wnd_raw = seg->wnd;
	c->snd_wl1 = seg->seq;
}

/* Our SYN is acknowledged by a SYN: the handshake is done. */
static void syn_sent_done(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
			  const void *payload, uint64_t now_ns)
{
	learn_from_syn(env, c, seg, now_ns);
	tcp_fo_synack(env, c, seg);
	tcp_set_state(c, TCPS_ESTABLISHED, now_ns);
	STAT_INC(tcp_established);
	tcp_ack_new(env, c, seg, NULL, now_ns);
	tcp_event(env, c, TCPE_CONNECTED | TCPE_WRITABLE);
	tcp_timer_keepalive_changed(env, c, now_ns);
	if (seg->len || seg->flags & TCPF_FIN || c->fo_client || !tcp_habit_speaks(env, c))
		c->ack_now = true;
	else
		tcp_timer_handshake_owed(env, c, now_ns);
	c->ack_delayed = !c->ack_now;
	tcp_want_output(env, c);
	if (seg->len || seg->flags & TCPF_FIN) {
		struct tcp_seg rest = *seg;

		rest.flags &= (uint8_t)~TCPF_SYN;
		rest.seq = c->rcv_nxt;
		tcp_data_input(env, c, &rest, payload, now_ns);
	}
}

void tcp_syn_sent_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
			const void *payload, uint64_t now_ns)
{
	bool ack = seg->flags & TCPF_ACK;
	seq_t most = seq_max(c->snd_nxt, seq_add(c->iss, c->fo_len ? c->fo_len + 1u : 0));
	bool ack_ok = ack && seq_gt(seg->ack, c->iss) && seq_le(seg->ack, most);

	if (ack && !ack_ok) { /* first: the ACK */
		STAT_INC(tcp_drop_ack);
		tcp_reply_rst(env, &c->flow, seg, now_ns);
		tcp_timer_syn_soon(env, c, now_ns);
		return;
	}
	if (seg->flags & TCPF_RST) { /* second: RST, which counts only with a good ACK */
		if (ack_ok) {
			STAT_INC(tcp_rx_rst);
			tcp_done(env, c, ECONNREFUSED, now_ns);
		} else {
			STAT_INC(tcp_drop_rst);
		}
		return;
	}
	/* third: security - not implemented */
	if (!(seg->flags & TCPF_SYN)) { /* fourth, fifth */
		STAT_INC(tcp_drop_flags);
		TRACE(TCP_DROP, c->id, now_ns, TCP_DROP_FLAGS, seg->seq.v, seg->ack.v);
		return;
	}
	if (ack_ok) {
		syn_sent_done(env, c, seg, payload, now_ns);
		return;
	}
	/* simultaneous open: text in the SYN is not kept, the peer sends it again, and so do we */
	if (c->fo_len)
		c->snd_nxt = seq_add(c->iss, 1);
	c->fo = (struct tcp_fo){ 0 };
	c->fo_held = false;
	c->fo_room = 0;
	learn_from_syn(env, c, seg, now_ns);
	tcp_set_state(c, TCPS_SYN_RCVD, now_ns);
	c->syn_due = true;
	tcp_want_output(env, c);
}
