/* TIME-WAIT in a compact record (RFC 9293 3.10.7.4), and FIN-WAIT-2 of an orphan, which differs
 * only in that the peer's FIN is still to come. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

#define TS_OUTDATED_NS (24ull * 24 * 3600 * NSEC_PER_SEC) /* RFC 7323 5.5 */

struct tcp_timewait *tcp_timewait_new(struct tcp_env *env)
{
	struct tcp_timewait *tw = tcp_table_get_timewait(env);

	if (tw || list_empty(&env->table->timewait_age))
		return tw;
	tcp_timewait_free(env, container_of(env->table->timewait_age.next, struct tcp_timewait,
					    age));
	return tcp_table_get_timewait(env);
}

void tcp_timewait_free(struct tcp_env *env, struct tcp_timewait *tw)
{
	tcp_table_put_timewait(env, tw);
}

bool tcp_timewait_may_reuse(const struct tcp_timewait *tw, uint64_t now_ns)
{
	/* Our timestamps must have moved on, so that the peer takes the SYN for a new one. */
	return !tw->fin_wait2 && tw->ts_ok && now_ns - tw->ts_recent_ns > NSEC_PER_SEC;
}

static void restart(struct tcp_env *env, struct tcp_timewait *tw, uint64_t now_ns)
{
	wheel_arm(&env->wheel, &tw->timer, now_ns + TCP_TIMEWAIT_NS);
	list_del(&tw->age);
	list_push(&env->table->timewait_age, &tw->age);
}

static void take_timestamp(struct tcp_timewait *tw, const struct tcp_seg *seg, uint64_t now_ns)
{
	if (!tw->ts_ok || !seg->has_ts)
		return;
	tw->ts_recent = seg->tsval;
	tw->ts_recent_ns = now_ns;
}

/* FIN-WAIT-2 without an application: only a FIN without new text ends it well. */
static void fin_wait2_input(struct tcp_env *env, struct tcp_timewait *tw,
			    const struct tcp_seg *seg, uint64_t now_ns)
{
	seq_t end = seq_add(seg->seq, tcp_seg_space(seg));

	if (!(seg->flags & TCPF_ACK))
		return;
	if (seg->len && seq_gt(seq_add(seg->seq, seg->len), tw->rcv_nxt)) {
		STAT_INC(tcp_drop_after_close); /* RFC 9293 3.6.1 (RFC 1122 4.2.2.13) */
		tcp_reply_rst(env, &tw->flow, seg, now_ns);
		tcp_timewait_free(env, tw);
		return;
	}
	if (!(seg->flags & TCPF_FIN) || !seq_eq(end, seq_add(tw->rcv_nxt, 1))) {
		if (tcp_seg_space(seg)) /* old, or something before it is missing */
			tcp_emit_timewait_ack(env, tw, now_ns);
		return;
	}
	tw->rcv_nxt = end; /* the FIN */
	tw->fin_wait2 = false;
	take_timestamp(tw, seg, now_ns);
	STAT_INC(tcp_timewait);
	tcp_emit_timewait_ack(env, tw, now_ns);
	restart(env, tw, now_ns);
}

static bool may_restart_with(const struct tcp_timewait *tw, const struct tcp_seg *seg)
{
	if ((seg->flags & (TCPF_SYN | TCPF_ACK | TCPF_FIN)) != TCPF_SYN || tw->fin_wait2)
		return false;
	if (tw->ts_ok && seg->has_ts && (int32_t)(seg->tsval - tw->ts_recent) > 0)
		return true; /* RFC 6191 */
	return seq_gt(seg->seq, tw->rcv_nxt) && !(tw->ts_ok && seg->has_ts &&
						  (int32_t)(seg->tsval - tw->ts_recent) < 0);
}

/* RST: in FIN-WAIT-2 it ends the wait when it is exact; in TIME-WAIT it is ignored (RFC 1337). */
static void record_rst(struct tcp_env *env, struct tcp_timewait *tw, const struct tcp_seg *seg,
		       uint64_t now_ns)
{
	if (!tw->fin_wait2) {
		STAT_INC(tcp_drop_rst);
		return;
	}
	if (seq_eq(seg->seq, tw->rcv_nxt)) {
		STAT_INC(tcp_rx_rst);
		tcp_timewait_free(env, tw);
	} else if (seq_in(seg->seq, tw->rcv_nxt, seq_diff(tw->rcv_adv, tw->rcv_nxt)) &&
		   tcp_may_challenge(env, now_ns)) {
		tcp_emit_timewait_ack(env, tw, now_ns);
	}
}

/* What does not fit is answered, but two sides that disagree must not exchange ACKs for ever: twice a second,
 * except text, which no ACK carries (as Linux), and within the limit of all. */
static void challenge(struct tcp_env *env, struct tcp_timewait *tw, const struct tcp_seg *seg,
		      uint64_t now_ns)
{
	bool text = seg->len && !(seg->flags & TCPF_SYN);

	if (!text && tw->oow_ns && now_ns - tw->oow_ns < TCP_OOW_NS) {
		STAT_INC(tcp_challenge_limited);
		return;
	}
	if (!text)
		tw->oow_ns = now_ns;
	if (tcp_may_challenge(env, now_ns))
		tcp_emit_timewait_ack(env, tw, now_ns);
}

bool tcp_timewait_input(struct tcp_env *env, struct tcp_timewait *tw, const struct tcp_seg *seg,
			seq_t *hint, uint64_t now_ns)
{
	seq_t end = seq_add(seg->seq, tcp_seg_space(seg));
	bool old_ts = tw->ts_ok && seg->has_ts && (int32_t)(seg->tsval - tw->ts_recent) < 0 &&
		      now_ns - tw->ts_recent_ns < TS_OUTDATED_NS;

	if (seg->flags & TCPF_RST) {
		record_rst(env, tw, seg, now_ns);
		return false;
	}
	if (may_restart_with(tw, seg) && tcp_has_listener(env, &tw->flow.local)) {
		*hint = tcp_timewait_next_isn(tw);
		tcp_timewait_free(env, tw);
		STAT_INC(tcp_timewait_reused);
		return true;
	}
	if (seg->flags & TCPF_SYN || old_ts || seq_gt(seg->seq, tw->rcv_adv)) {
		if (old_ts)
			STAT_INC(tcp_drop_paws);
		else if (!(seg->flags & TCPF_SYN))
			STAT_INC(tcp_drop_window);
		challenge(env, tw, seg, now_ns);
		return false;
	}
	if (tw->fin_wait2) {
		fin_wait2_input(env, tw, seg, now_ns);
		return false;
	}
	if (seg->flags & TCPF_FIN && seq_eq(end, tw->rcv_nxt)) {
		/* "The only thing that can arrive in this state is a retransmission of the remote
		 * FIN. Acknowledge it, and restart the 2 MSL timeout." */
		take_timestamp(tw, seg, now_ns);
		tcp_emit_timewait_ack(env, tw, now_ns);
		restart(env, tw, now_ns);
	} else if (seg->len || !seq_eq(seg->seq, tw->rcv_nxt)) {
		challenge(env, tw, seg, now_ns);
	}
	return false;
}
