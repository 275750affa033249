/* Both ends of a connection in one stack: what one application has written is with the other one in a single
 * step, as if a segment and its ACK had crossed at once. No segment is built and no timer set; afterwards
 * both ends stand where that exchange would have left them. So whatever is no plain text in order (FIN,
 * RST, urgent bytes, a closed window, something still in flight) simply goes the ordinary way from there.
 *
 * The host sees to it that no segment between the two is under way when it asks. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "stack/tcp/tcp_core.h"

/* A connection of ours with the addresses the other way round, whose numbers are those that c has sent. */
static struct tcp_conn *find_mate(struct tcp_env *env, struct tcp_conn *c)
{
	const struct tcp_flow back = { .local = c->flow.remote, .remote = c->flow.local };
	struct tcp_node *n = tcp_table_lookup(env, &back);
	struct tcp_conn *p = n && n->kind == TCPN_CONN ? container_of(n, struct tcp_conn, node) : NULL;

	/* Connected to itself (RFC 9293 figure 8 with one end): two streams in one set of numbers. */
	if (!p || p == c || p->mate || !seq_eq(p->irs, c->iss) || !seq_eq(c->irs, p->iss))
		return NULL;
	c->mate = p;
	p->mate = c;
	return p;
}

void tcp_join_end(struct tcp_conn *c)
{
	if (!c->mate)
		return;
	c->mate->mate = NULL;
	c->mate = NULL;
}

/* May plain text go from c to p: would it be sent at once, and taken at once? */
static bool may_pass(const struct tcp_conn *c, const struct tcp_conn *p)
{
	bool whole = c->state == TCPS_ESTABLISHED && p->state == TCPS_ESTABLISHED;
	bool half = c->state == TCPS_CLOSE_WAIT && p->state == TCPS_FIN_WAIT_2 && !p->orphan && !p->rcv_shut;

	if (!(whole || half) || c->fin_queued || p->fin_seen)
		return false;
	if (!seq_eq(p->rcv_nxt, c->snd_nxt) || c->recovery != TCPR_OPEN || !tcp_runs_empty(&p->reass))
		return false; /* something is lost */
	if (c->urg_tx || p->urg_rx || c->mtu_probing || c->ecn_cwr || p->ecn_echo)
		return false;
	if (c->model) /* it is made of what segments tell */
		return false;
	return !c->opts.cork && !c->opts.pacing && !p->opts.minttl;
}

/* p's ACK of all that there is, with its window, comes to c. */
static void ack_crosses(struct tcp_env *env, struct tcp_conn *c, struct tcp_conn *p, uint64_t now_ns)
{
	uint16_t field = tcp_take_window(p);

	if (unlikely(!seq_eq(c->snd_una, p->rcv_nxt))) {
		const struct tcp_seg ack = { .seq = p->snd_nxt, .ack = p->rcv_nxt, .flags = TCPF_ACK };

		tcp_ack_new(env, c, &ack, NULL, now_ns);
		p->tx_segs++;
		c->rx_segs++;
	}
	tcp_ack_told(p);
	c->snd_wl1 = p->snd_nxt;
	c->snd_wnd_raw = field;
	c->snd_wnd = (uint32_t)field << c->snd_wscale;
	c->max_snd_wnd = max_u32(c->max_snd_wnd, c->snd_wnd);
	c->last_rx_ns = now_ns;
	c->keep_probes = 0;
	if (unlikely(c->persist) && c->snd_wnd > 0)
		tcp_timer_window_opened(c);
}

uint32_t tcp_join_room(struct tcp_env *env, struct tcp_conn *c, uint32_t tail, struct tcp_conn **peer,
		       uint64_t now_ns)
{
	uint32_t want = tail - tcp_tx_nxt(c);

	if ((int32_t)want <= 0 || (c->state != TCPS_ESTABLISHED && c->state != TCPS_CLOSE_WAIT))
		return 0;
	struct tcp_conn *p = likely(c->mate != NULL) ? c->mate : find_mate(env, c);
	if (!p || unlikely(!may_pass(c, p)))
		return 0;
	if (unlikely(!seq_eq(c->snd_una, c->snd_nxt) || c->snd_wnd < want))
		ack_crosses(env, c, p, now_ns);
	*peer = p;
	return min_u32(want, c->snd_wnd);
}

bool tcp_join_may_skip(struct tcp_env *env, struct tcp_conn *c)
{
	const struct tcp_conn *p = likely(c->mate != NULL) ? c->mate : find_mate(env, c);

	if (!p || c->fin_queued || p->fin_seen ||
	    (c->state != TCPS_ESTABLISHED && c->state != TCPS_CLOSE_WAIT) ||
	    (p->state != TCPS_ESTABLISHED && p->state != TCPS_FIN_WAIT_1 && p->state != TCPS_FIN_WAIT_2))
		return false;
	return seq_eq(p->rcv_nxt, c->snd_nxt) && c->recovery == TCPR_OPEN && tcp_runs_empty(&p->reass);
}

/* What TCP_INFO counts: segments, and the ACKs that would not have ridden on an answer. */
static void count(struct tcp_conn *c, struct tcp_conn *p, uint32_t n)
{
	uint32_t mss = max_u32(c->mss, 1), segs = n <= mss ? 1 : (n + mss - 1) / mss;
	uint32_t acks = segs > 1 ? segs / 2 : !p->pingpong;

	c->tx_segs += segs;
	c->tx_data_segs += segs;
	p->rx_segs += segs;
	p->rx_data_segs += segs;
	p->tx_segs += acks;
	c->rx_segs += acks;
}

static void taken(struct tcp_env *env, struct tcp_conn *p, uint32_t n, uint32_t mss, uint64_t now_ns)
{
	if (unlikely(min_u32(n, mss) > p->rcv_mss))
		tcp_estimate_peer_mss(p, min_u32(n, mss));
	p->rcv_nxt = seq_add(p->rcv_nxt, n);
	p->rx_bytes += n;
	p->last_rx_ns = p->last_rx_data_ns = now_ns;
	p->keep_probes = 0;
	if (unlikely(seq_ge(p->rcv_nxt, p->tune.round_end)))
		tcp_tune_round(p, now_ns);
	tcp_event(env, p, TCPE_READABLE);
}

void tcp_join_passed(struct tcp_env *env, struct tcp_conn *c, uint32_t n, uint64_t now_ns)
{
	struct tcp_conn *p = c->mate;
	seq_t start = c->snd_nxt;

	TRACE(TCP_TX, c->id, now_ns, start.v, c->rcv_nxt.v, n << 8 | TCPF_PSH | TCPF_ACK);
	TRACE(TCP_RX, p->id, now_ns, start.v, c->rcv_nxt.v, n << 8 | TCPF_PSH | TCPF_ACK);
	STAT_INC(tcp_joined);
	count(c, p, n);
	p->snd_wl1 = start;
	taken(env, p, n, c->mss, now_ns);

	c->snd_nxt = c->snd_una = seq_add(start, n);
	c->snd_end = seq_max(c->snd_end, c->snd_nxt);
	c->tx_bytes += n;
	tcp_note_answer(env, c, true, now_ns);
	c->last_tx_ns = now_ns;
	c->retries = 0;
	c->stall_ns = 0;
	tcp_event(env, c, TCPE_WRITABLE);
	if (unlikely(c->brake != TCP_BRAKE_IDLE) && !tcp_unsent(c))
		tcp_brake_set(c, TCP_BRAKE_IDLE, now_ns);
	ack_crosses(env, c, p, now_ns);
}

void tcp_join_skip(struct tcp_env *env, struct tcp_conn *c, uint32_t n, uint32_t head, uint64_t now_ns)
{
	struct tcp_conn *p = c->mate;

	ack_crosses(env, c, p, now_ns);
	count(c, p, n);
	p->rcv_nxt = seq_add(p->rcv_nxt, n);
	p->rx_bytes += n;
	p->rx_head = head;
	p->last_rx_ns = p->last_rx_data_ns = now_ns;
	p->keep_probes = 0;
	/* The promise has been kept to where the stream is now; a window comes from there. */
	p->rcv_adv = seq_max(p->rcv_adv, p->rcv_nxt);
	tcp_tune_round(p, now_ns);
	tcp_tune_skip(p, n);
	c->snd_nxt = c->snd_una = seq_add(c->snd_nxt, n);
	c->snd_end = seq_max(c->snd_end, c->snd_nxt);
	c->tx_bytes += n;
	c->last_tx_ns = now_ns;
	c->retries = 0;
	c->stall_ns = 0;
	ack_crosses(env, c, p, now_ns);
}

void tcp_join_refused(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (!tcp_is_closed(c))
		tcp_done(env, c, c->state == TCPS_CLOSE_WAIT ? EPIPE : ECONNRESET, now_ns);
}
