/* All timers of a connection as events: retransmission (RFC 6298 5), persist (RFC 9293 3.8.6.1),
 * delayed ACK (3.8.6.3), keepalive (3.8.4), tail loss probe and reordering window (RFC 8985), pacing. Other
 * files say what happened; only this one arms.
 *
 * A connection has one wheel_timer. A deadline that moves away is just written down: the timer
 * then fires too early, finds nothing due, and is armed for what is left. So an ACK that restarts
 * the retransmission timer costs one store.
 *
 * The delayed ACK is not on the wheel: it is armed and stopped with each request that is answered, and a
 * timer that stays behind for it fires long after, with nothing to do, when the connection's memory has
 * grown cold. With 100,000 connections that was an eighth of all time (docs/profile.md). All of a
 * kind are delayed by the same time, so a queue in the order of arming is in the order of what is due, and
 * the neighbours there are still warm. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "stack/tcp/tcp_core.h"

static uint64_t rto_ns(const struct tcp_conn *c)
{
	return (uint64_t)tcp_rtt_rto_us(&c->rtt) * NSEC_PER_USEC;
}

static void set_deadline(struct tcp_env *env, struct tcp_conn *c, enum tcp_deadline d,
			 uint64_t due_ns)
{
	c->deadline_ns[d] = due_ns;
	if (!c->timer.armed || c->timer.due_ns > due_ns)
		wheel_arm(&env->wheel, &c->timer, due_ns);
}

/* RFC 5482: the last timeout does not go beyond the application's patience. */
static uint64_t rtx_due_ns(const struct tcp_conn *c, uint64_t now_ns)
{
	uint64_t due_ns = now_ns + rto_ns(c);

	if (likely(!c->opts.user_timeout_ms) || !c->stall_ns || !c->syn_acked || c->orphan)
		return due_ns;
	uint64_t end_ns = c->stall_ns + c->opts.user_timeout_ms * NSEC_PER_MSEC;
	return min_u64(due_ns, max_u64(end_ns, now_ns + NSEC_PER_MSEC));
}

/* RFC 8985 7.2: counted from the newest data or ACK, and never behind the timeout itself. */
static void arm_probe(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint64_t pto_ns = tcp_tlp_timeout_ns(c);

	if (pto_ns)
		set_deadline(env, c, TCPD_RACK,
			     min_u64(now_ns + pto_ns, c->deadline_ns[TCPD_RTX]));
}

void tcp_timer_restarted(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (c->persist)
		tcp_timer_window_opened(c);
	set_deadline(env, c, TCPD_RTX, rtx_due_ns(c, now_ns));
}

void tcp_timer_paced(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	set_deadline(env, c, TCPD_PACE, max_u64(c->pace_ns, now_ns + 1));
}

void tcp_timer_sent(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (!c->deadline_ns[TCPD_RTX] || c->persist) /* (5.1) */
		tcp_timer_restarted(env, c, now_ns);
	arm_probe(env, c, now_ns);
}

void tcp_timer_acked(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (seq_eq(c->snd_una, c->snd_nxt)) {
		c->deadline_ns[TCPD_RTX] = c->deadline_ns[TCPD_RACK] = 0; /* (5.2) */
		return;
	}
	set_deadline(env, c, TCPD_RTX, rtx_due_ns(c, now_ns)); /* (5.3) */
	arm_probe(env, c, now_ns);
}

void tcp_timer_reordering(struct tcp_env *env, struct tcp_conn *c, uint32_t wait_us,
			  uint64_t now_ns)
{
	c->deadline_ns[TCPD_RACK] = 0;
	if (wait_us)
		set_deadline(env, c, TCPD_RACK, now_ns + wait_us * NSEC_PER_USEC);
}

void tcp_timer_stalled(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (c->deadline_ns[TCPD_RTX])
		return;
	c->persist = true;
	c->retries = 0;
	c->rtt.backoff = 0;
	set_deadline(env, c, TCPD_RTX, rtx_due_ns(c, now_ns));
}

/* The peer may just have been rid of an old connection by our RST: as Linux, no second is lost. */
void tcp_timer_syn_soon(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (c->retries)
		return;
	c->deadline_ns[TCPD_RTX] = 0;
	set_deadline(env, c, TCPD_RTX, now_ns + TCP_SYN_SOON_NS);
}

void tcp_timer_window_opened(struct tcp_conn *c)
{
	c->persist = false;
	c->deadline_ns[TCPD_RTX] = 0;
	c->rtt.backoff = 0;
	c->retries = 0;
	c->stall_ns = 0;
}

void tcp_timer_ack_owed(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (c->delack_ns)
		return;
	c->delack_ns = now_ns + TCP_DELACK_NS;
	list_push(&env->delacks, &c->delack_link);
}

void tcp_timer_handshake_owed(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	c->delack_ns = now_ns + TCP_SPEAKS_NS;
	list_push(&env->handshakes, &c->delack_link);
}

static uint64_t keep_idle_ns(const struct tcp_conn *c)
{
	return (c->opts.keepidle_s ? c->opts.keepidle_s : 7200) * NSEC_PER_SEC;
}

static uint64_t keep_intvl_ns(const struct tcp_conn *c)
{
	return (c->opts.keepintvl_s ? c->opts.keepintvl_s : 75) * NSEC_PER_SEC;
}

void tcp_timer_keepalive_changed(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	c->keep_probes = 0;
	c->deadline_ns[TCPD_KEEP] = 0;
	if (c->opts.keepalive && c->syn_acked && !c->orphan)
		set_deadline(env, c, TCPD_KEEP,
			     max_u64(c->last_rx_ns + keep_idle_ns(c), now_ns + 1));
}

void tcp_timer_orphaned(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	c->deadline_ns[TCPD_KEEP] = 0;
	if (c->stall_ns) /* the orphan's patience starts when it became one */
		c->stall_ns = now_ns;
}

void tcp_timer_stop(struct tcp_env *env, struct tcp_conn *c)
{
	for (int d = 0; d < TCPD_COUNT; d++)
		c->deadline_ns[d] = 0;
	wheel_disarm(&env->wheel, &c->timer);
	c->delack_ns = 0;
	list_del(&c->delack_link);
}

static void give_up(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	STAT_INC(tcp_timeout);
	if (c->syn_acked)
		tcp_emit_rst(env, c, now_ns); /* RFC 9293 3.8.3 leaves it open; the peer may live */
	tcp_done(env, c, c->soft_error ? c->soft_error : ETIMEDOUT, now_ns);
}

/* Have the retransmissions or probes of c lasted too long (RFC 9293 3.8.3 R2, RFC 5482)? */
static bool out_of_patience(const struct tcp_conn *c, uint64_t now_ns)
{
	uint64_t waited_ns = now_ns - c->stall_ns;

	if (c->orphan)
		return waited_ns >= TCP_ORPHAN_NS;
	if (c->opts.user_timeout_ms)
		return waited_ns >= c->opts.user_timeout_ms * NSEC_PER_MSEC;
	return !c->persist && waited_ns >= TCP_R2_NS;
}

/* Perhaps it is one of several ways that swallows what we send: with another flow label routers choose
 * another one of equal cost (RFC 6438; Linux: sk_rethink_txhash()). */
static void try_another_way(struct tcp_conn *c)
{
	c->opts.label_turn += !c->opts.no_rehash;
}

static void syn_timeout(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint32_t most = c->opts.syncnt ? c->opts.syncnt : TCP_SYN_RETRIES;

	if (c->state == TCPS_SYN_RCVD && !c->opts.syncnt)
		most = TCP_SYNACK_RETRIES + c->fo_child; /* as Linux */
	if (c->retries >= most || (c->orphan && out_of_patience(c, now_ns)) ||
	    (c->opts.user_timeout_ms && out_of_patience(c, now_ns))) {
		give_up(env, c, now_ns);
		return;
	}
	tcp_fo_syn_lost(env, c, now_ns);
	try_another_way(c);
	c->retries++;
	c->rtt.backoff++;
	c->rtx_segs++;
	STAT_INC(tcp_retrans_segs);
	c->syn_due = true;
	tcp_output(env, c, now_ns);
}

static void rto_fired(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	STAT_INC(tcp_rto_fired);
	TRACE(TCP_RTO, c->id, now_ns, c->rtt.backoff, tcp_rtt_rto_us(&c->rtt), 0);
	if (c->stall_ns == 0)
		c->stall_ns = now_ns - rto_ns(c);
	if (!c->syn_acked) {
		syn_timeout(env, c, now_ns);
		return;
	}
	if (out_of_patience(c, now_ns)) {
		give_up(env, c, now_ns);
		return;
	}
	c->deadline_ns[TCPD_RACK] = 0;
	try_another_way(c);
	tcp_mtu_timeout(env, c, now_ns);
	tcp_recovery_timeout(env, c, now_ns);
	if (c->rtt.backoff < UINT8_MAX)
		c->rtt.backoff++; /* (5.5) */
	tcp_retransmit_head(env, c, now_ns); /* (5.4), arms: (5.6) */
}

/* Nothing is in flight and something waits: for the window, or for company (Nagle, cork, SWS). */
static void persist_fired(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (c->snd_wnd > 0) { /* RFC 9293 3.8.6.2.1 (4): the override timeout */
		c->push = true;
		tcp_timer_window_opened(c);
		tcp_output(env, c, now_ns);
		return;
	}
	if (c->stall_ns == 0)
		c->stall_ns = now_ns;
	if (c->retries >= TCP_PROBE_RETRIES || out_of_patience(c, now_ns) ||
	    (c->orphan && c->rtt.backoff >= TCP_ORPHAN_BACKOFF)) {
		give_up(env, c, now_ns);
		return;
	}
	c->retries++;
	if (c->rtt.backoff < UINT8_MAX)
		c->rtt.backoff++;
	STAT_INC(tcp_persist_probe);
	/* What is urgent is told in spite of the window (RFC 9293 3.8.5); only a number that is next
	 * gets through to the peer's step six. */
	if (c->urg_tx && seq_diff(c->snd_up, c->snd_una) <= UINT16_MAX)
		tcp_emit(env, c, TCPF_ACK, c->snd_una, 0, now_ns);
	/* A number that is acknowledged already draws an ACK with the window (as Linux probes). */
	tcp_emit(env, c, TCPF_ACK, seq_sub(c->snd_una, 1), 0, now_ns);
	set_deadline(env, c, TCPD_RTX, rtx_due_ns(c, now_ns));
}

static void delack_fired(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	c->delack_ns = 0;
	list_del(&c->delack_link);
	if (!c->ack_delayed || tcp_is_closed(c))
		return;
	STAT_INC(tcp_delack);
	tcp_habit_late(env, c);
	c->pingpong = false; /* the application did not answer in time */
	tcp_emit_ack(env, c, now_ns);
}

static void keep_fired(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint64_t idle_ns = now_ns - c->last_rx_ns;
	uint32_t most = c->opts.keepcnt ? c->opts.keepcnt : 9;

	if (!seq_eq(c->snd_una, c->snd_nxt) || seq_lt(c->snd_nxt, c->snd_end)) {
		/* the retransmission or persist timer watches over the peer */
		set_deadline(env, c, TCPD_KEEP, now_ns + keep_idle_ns(c));
		return;
	}
	if (idle_ns < keep_idle_ns(c)) { /* something came since: lazily moved */
		set_deadline(env, c, TCPD_KEEP, c->last_rx_ns + keep_idle_ns(c));
		return;
	}
	bool dead = c->opts.user_timeout_ms ?
			    idle_ns >= c->opts.user_timeout_ms * NSEC_PER_MSEC && c->keep_probes :
			    c->keep_probes >= most;
	if (dead) {
		give_up(env, c, now_ns);
		return;
	}
	c->keep_probes++;
	STAT_INC(tcp_keepalive_probe);
	tcp_emit(env, c, TCPF_ACK, seq_sub(c->snd_una, 1), 0, now_ns);
	set_deadline(env, c, TCPD_KEEP, now_ns + keep_intvl_ns(c));
}

static bool take_due(struct tcp_conn *c, enum tcp_deadline d, uint64_t now_ns)
{
	if (!c->deadline_ns[d] || c->deadline_ns[d] > now_ns || tcp_is_closed(c))
		return false;
	c->deadline_ns[d] = 0;
	return true;
}

static __attribute__((noinline)) void conn_fired(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX;

	if (take_due(c, TCPD_RACK, now_ns)) {
		if (c->recovery == TCPR_OPEN)
			tcp_tlp_fired(env, c, now_ns);
		else
			tcp_recovery_reordering_over(env, c, now_ns);
	}
	if (take_due(c, TCPD_RTX, now_ns)) {
		if (c->persist)
			persist_fired(env, c, now_ns);
		else
			rto_fired(env, c, now_ns);
	}
	if (take_due(c, TCPD_KEEP, now_ns))
		keep_fired(env, c, now_ns);
	if (take_due(c, TCPD_PACE, now_ns))
		tcp_output(env, c, now_ns);
	for (int d = 0; d < TCPD_COUNT; d++) {
		if (c->deadline_ns[d])
			next_ns = min_u64(next_ns, c->deadline_ns[d]);
	}
	if (next_ns != UINT64_MAX && (!c->timer.armed || c->timer.due_ns > next_ns))
		wheel_arm(&env->wheel, &c->timer, max_u64(next_ns, now_ns + 1));
	tcp_settle(env, c);
}

static void fired(struct tcp_env *env, struct wheel_timer *t, uint64_t now_ns)
{
	switch (t->kind) {
	case TCPT_CONN:
		conn_fired(env, container_of(t, struct tcp_conn, timer), now_ns);
		break;
	case TCPT_SYN:
		tcp_synq_timer_fired(env, container_of(t, struct tcp_synq, timer), now_ns);
		break;
	case TCPT_TIMEWAIT:
		tcp_timewait_free(env, container_of(t, struct tcp_timewait, timer));
		break;
	default:
		break;
	}
}

/* Of a list in which each waits equally long. */
static struct tcp_conn *first_of(const struct list *acks)
{
	return list_empty(acks) ? NULL : container_of(acks->next, struct tcp_conn, delack_link);
}

static uint64_t first_due_ns(const struct list *acks)
{
	const struct tcp_conn *c = first_of(acks);

	return c ? c->delack_ns : UINT64_MAX;
}

static void run_acks(struct tcp_env *env, const struct list *acks, uint64_t now_ns)
{
	struct tcp_conn *c;

	while ((c = first_of(acks)) && c->delack_ns <= now_ns) {
		delack_fired(env, c, now_ns);
		tcp_settle(env, c);
	}
}

uint64_t tcp_next_ns(const struct tcp_env *env)
{
	uint64_t acks_ns = min_u64(first_due_ns(&env->delacks), first_due_ns(&env->handshakes));

	return min_u64(wheel_next_ns(&env->wheel), acks_ns);
}

void tcp_advance(struct tcp_env *env, uint64_t now_ns)
{
	struct wheel_timer *t;

	run_acks(env, &env->delacks, now_ns);
	run_acks(env, &env->handshakes, now_ns);
	/* Whatever is armed in between is due later than now_ns, so this ends. */
	while ((t = wheel_pop_due(&env->wheel, now_ns)))
		fired(env, t, now_ns);
}
