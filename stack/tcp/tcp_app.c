/* What the application does to a connection: write, read, half-close, close, abort, options. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_core.h"

void tcp_app_wrote(struct tcp_env *env, struct tcp_conn *c, uint32_t tail, uint64_t now_ns)
{
	seq_t end = seq_add(c->iss, 1 + tail);

	if (tcp_is_closed(c) || c->fin_queued || !seq_gt(end, c->snd_end))
		return;
	if (tcp_rate_is_dry(c))
		tcp_rate_dry(c);
	c->snd_end = end;
	if (c->brake == TCP_BRAKE_IDLE)
		tcp_brake_set(c, TCP_BRAKE_BUSY, now_ns);
	if (unlikely(c->fo_held))
		c->syn_due = true;
	tcp_want_output(env, c);
}

/* The application has read: does that end the delay of an ACK (RFC 1122 4.2.3.2, RFC 9293 3.8.6.3)? */
static bool read_is_acked(const struct tcp_conn *c)
{
	bool full = seq_diff(c->rcv_nxt, c->rcv_acked) > c->rcv_mss;

	return c->ack_delayed && (full || (c->rx_head == tcp_rx_tail(c) && tcp_read_acks(c)));
}

/* A window update is, when it at least doubles what the peer may send. */
static bool update_is_worth_it(const struct tcp_conn *c)
{
	uint64_t twice = 2ull * seq_diff(c->rcv_adv, c->rcv_nxt);

	if (likely(twice > c->opts.rcvbuf)) /* more than the whole buffer is never promised */
		return false;
	seq_t edge = tcp_window_edge(c);
	return seq_gt(edge, c->rcv_adv) && seq_diff(edge, c->rcv_nxt) >= twice;
}

void tcp_app_read(struct tcp_env *env, struct tcp_conn *c, uint32_t head, uint64_t now_ns)
{
	if (head - c->rx_head > tcp_rx_tail(c) - c->rx_head)
		return; /* backwards, or beyond what there is */
	c->rx_head = head;
	if (tcp_is_closed(c) || c->fin_rcvd || !c->syn_acked)
		return;
	tcp_tune_read(c, now_ns);
	if (read_is_acked(c) || update_is_worth_it(c)) {
		c->ack_now = true;
		tcp_want_output(env, c);
	}
}

/* Our FIN is to follow the data: the states that RFC 9293 3.10.4 names. */
static void queue_fin(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (c->fin_queued)
		return;
	c->fin_queued = true;
	if (c->state == TCPS_ESTABLISHED)
		tcp_set_state(c, TCPS_FIN_WAIT_1, now_ns);
	else if (c->state == TCPS_CLOSE_WAIT)
		tcp_set_state(c, TCPS_LAST_ACK, now_ns);
	/* SYN-RECEIVED: "queue this until the connection is ESTABLISHED" */
	tcp_want_output(env, c);
}

void tcp_shutdown(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (tcp_is_closed(c))
		return;
	if (c->state == TCPS_SYN_SENT)
		tcp_done(env, c, ECONNRESET, now_ns); /* as Linux disconnects */
	else
		queue_fin(env, c, now_ns);
}

void tcp_shutdown_rcv(struct tcp_conn *c)
{
	c->rcv_shut = true;
}

static void abort_conn(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (tcp_is_closed(c))
		return;
	/* What was written before leaves before, as if write() had sent it itself. */
	if (c->syn_acked && !list_empty(&c->pend_link))
		tcp_output(env, c, now_ns);
	if (c->state != TCPS_SYN_SENT)
		tcp_emit_rst(env, c, now_ns);
	tcp_done(env, c, 0, now_ns);
}

void tcp_abort(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	c->orphan = true;
	abort_conn(env, c, now_ns);
	tcp_settle(env, c);
}

void tcp_close(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	c->orphan = true;
	if (tcp_is_closed(c) || c->state == TCPS_SYN_SENT || tcp_rx_tail(c) != c->rx_head) {
		abort_conn(env, c, now_ns); /* RFC 2525 2.17: a RST tells that data was lost */
	} else if (c->state == TCPS_FIN_WAIT_2) {
		if (c->opts.linger2_s < 0)
			tcp_emit_rst(env, c, now_ns);
		tcp_orphan_fin_wait_2(env, c, now_ns);
	} else {
		queue_fin(env, c, now_ns);
		tcp_timer_orphaned(env, c, now_ns);
	}
	tcp_settle(env, c);
}

void tcp_opts_changed(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (tcp_is_closed(c))
		return;
	c->opts.may_cut |= c->mtu.locked;
	tcp_tune_opts(c);
	if (c->syn_acked || c->syn_rcvd)
		tcp_cc_start(env, c, false);
	else
		c->cc = tcp_cc_for(env, c->opts.cc);
	tcp_pace_changed(c);
	if (c->opts.quickack) {
		c->pingpong = false;
		c->quick = TCP_QUICK_SEGS;
		c->ack_now |= c->ack_delayed;
	} else if (c->opts.delack) {
		c->pingpong = true; /* until an ACK has had to wait for its timer */
	}
	tcp_timer_keepalive_changed(env, c, now_ns);
	tcp_want_output(env, c);
}
