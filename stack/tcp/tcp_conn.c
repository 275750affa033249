/* Birth and death of a connection, and tcp_set_state(), the only writer of ->state. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_conn.h"
#include "stack/base/bug.h"
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_core.h"

#define BIT(s) (1u << TCPS_##s)
/* RFC 9293 figure 5. A state change that only the application or a timer can cause (abort, give up)
 * leads to CLOSED from everywhere. */
static const uint32_t may_follow[] = {
	[TCPS_CLOSED] = BIT(SYN_SENT) | BIT(SYN_RCVD),
	[TCPS_LISTEN] = 0, /* a listener is not a connection */
	[TCPS_SYN_SENT] = BIT(CLOSED) | BIT(SYN_RCVD) | BIT(ESTABLISHED),
	[TCPS_SYN_RCVD] = BIT(CLOSED) | BIT(ESTABLISHED),
	[TCPS_ESTABLISHED] = BIT(CLOSED) | BIT(FIN_WAIT_1) | BIT(CLOSE_WAIT),
	[TCPS_CLOSE_WAIT] = BIT(CLOSED) | BIT(LAST_ACK),
	[TCPS_FIN_WAIT_1] = BIT(CLOSED) | BIT(FIN_WAIT_2) | BIT(CLOSING),
	[TCPS_CLOSING] = BIT(CLOSED) | BIT(TIME_WAIT),
	[TCPS_LAST_ACK] = BIT(CLOSED),
	[TCPS_FIN_WAIT_2] = BIT(CLOSED) | BIT(TIME_WAIT),
	[TCPS_TIME_WAIT] = BIT(CLOSED),
};

void tcp_set_state(struct tcp_conn *c, enum tcp_state next, uint64_t now_ns)
{
	TRACE(TCP_STATE, c->id, now_ns, c->state, next, 0);
	CHECK(may_follow[c->state] & 1u << next);
	c->state = next;
}

void tcp_conn_start(struct tcp_env *env, struct tcp_conn *c, const struct tcp_flow *flow,
		    uint64_t now_ns)
{
	c->flow = *flow;
	c->node.kind = TCPN_CONN;
	c->node.hash = tcp_flow_hash(env, flow);
	tcp_table_add(env, &c->node);
	list_init(&c->touch_link);
	list_init(&c->pend_link);
	list_init(&c->delack_link);
	list_init(&c->fo_link);
	wheel_timer_init(&c->timer, TCPT_CONN);
	c->last_rx_ns = now_ns;
	c->rcv_mss = TCP_DEFAULT_MSS;
	c->quick = TCP_QUICK_SEGS;
	c->cc = tcp_cc_for(env, c->opts.cc);
	tcp_mtu_init(env, c, now_ns);
	c->counted = true;
	env->n_conns++;
}

void tcp_conn_negotiated(const struct tcp_env *env, struct tcp_conn *c, const struct tcp_syn_opts *so)
{
	c->peer_mss = so->peer_mss;
	c->adv_mss = so->our_mss;
	c->ts_ok = so->ts_ok;
	c->ts_recent = so->ts_recent;
	c->sack_ok = so->sack_ok;
	c->ecn_ok = so->ecn_ok;
	c->snd_wscale = so->wscale_ok ? so->snd_wscale : 0;
	c->rcv_wscale = so->wscale_ok ? so->rcv_wscale : 0;
	c->tune.round_end = c->rcv_nxt;
	tcp_mtu_negotiated(c);
	c->rcv_mss = (uint16_t)min_u32(c->mss, TCP_DEFAULT_MSS);
	c->ssthresh = UINT32_MAX;
	c->cwnd = min_u32(TCP_INIT_SEGS * c->mss, max_u32(2 * c->mss, 14600)); /* RFC 6928 2 */
	tcp_cc_start(env, c, true);
	c->recover = c->iss;
	c->snd_sml = c->iss;
}

/* No table, no timer, no output any more; the host may still look at c. */
static void detach(struct tcp_env *env, struct tcp_conn *c)
{
	tcp_join_end(c);
	tcp_timer_stop(env, c);
	tcp_table_del(env, &c->node);
	tcp_fo_end(c, TCP_FO_DONE, 0);
	list_del(&c->pend_link);
	tcp_runs_clear(&env->table->run_pool, &c->reass);
	tcp_runs_clear(&env->table->run_pool, &c->board);
	tcp_cc_stop(env, c);
	c->n_sack = 0;
	c->dsack = false;
	c->ack_now = c->ack_delayed = false;
}

void tcp_done(struct tcp_env *env, struct tcp_conn *c, int error, uint64_t now_ns)
{
	if (c->state == TCPS_CLOSED)
		return;
	detach(env, c);
	tcp_brake_set(c, TCP_BRAKE_IDLE, now_ns);
	tcp_set_state(c, TCPS_CLOSED, now_ns);
	c->error = error;
	tcp_event(env, c, error ? TCPE_ERROR | TCPE_CLOSED : TCPE_CLOSED);
}

void tcp_to_record(struct tcp_env *env, struct tcp_conn *c, uint64_t life_ns, uint64_t now_ns)
{
	struct tcp_timewait *tw = tcp_timewait_new(env);

	if (c->ack_now || c->ack_delayed)
		tcp_emit_ack(env, c, now_ns); /* no flush will see c any more */
	detach(env, c);
	tcp_brake_set(c, TCP_BRAKE_IDLE, now_ns);
	if (tw) {
		tw->node.hash = c->node.hash;
		tw->flow = c->flow;
		tw->snd_nxt = c->snd_nxt;
		tw->rcv_nxt = c->rcv_nxt;
		tw->rcv_adv = c->rcv_adv;
		tw->rcv_wscale = c->rcv_wscale;
		tw->ts_ok = c->ts_ok;
		tw->ts_recent = c->ts_recent;
		tw->ts_recent_ns = now_ns;
		tw->ts_offset = c->ts_offset;
		tw->fin_wait2 = !c->fin_rcvd;
		tw->kept = env->ops->record_new ? env->ops->record_new(env, c) : NULL;
		tcp_table_add(env, &tw->node);
		wheel_arm(&env->wheel, &tw->timer, now_ns + life_ns);
	}
	if (c->fin_rcvd) {
		tcp_set_state(c, TCPS_TIME_WAIT, now_ns);
		STAT_INC(tcp_timewait);
	} else {
		tcp_set_state(c, TCPS_CLOSED, now_ns);
	}
	tcp_event(env, c, TCPE_CLOSED);
}

void tcp_orphan_fin_wait_2(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	int32_t life_s = c->opts.linger2_s;

	if (life_s < 0) {
		tcp_done(env, c, 0, now_ns);
		return;
	}
	tcp_to_record(env, c, life_s ? (uint64_t)life_s * NSEC_PER_SEC : TCP_TIMEWAIT_NS, now_ns);
}

void tcp_release(struct tcp_env *env, struct tcp_conn *c)
{
	list_del(&c->touch_link);
	env->n_conns--;
	c->counted = false;
	STAT_INC(tcp_closed);
	env->ops->released(env, c);
}
