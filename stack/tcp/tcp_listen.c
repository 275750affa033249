/* Passive open: listeners, LISTEN (RFC 9293 3.10.7.2) and SYN-RECEIVED in records. A connection
 * exists only when the handshake is complete and the accept queue has room. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "stack/base/bug.h"
#include "stack/tcp/tcp_core.h"

static struct list *listen_bucket(struct tcp_env *env, uint16_t port)
{
	return &env->table->listen[port % TCP_LISTEN_BUCKETS];
}

static bool serves_v4(const struct tcp_listener *l)
{
	return ipaddr_is_v4(&l->local.addr) || (ipaddr_is_any(&l->local.addr) && !l->v6only);
}

static bool serves_v6(const struct tcp_listener *l)
{
	return !ipaddr_is_v4(&l->local.addr);
}

/* Would one segment suit both? Then Linux lets only one of them listen. */
static bool conflict(const struct tcp_listener *a, const struct tcp_listener *b)
{
	if (a->local.port != b->local.port || (a->reuseport && b->reuseport))
		return false;
	if (ipaddr_eq(&a->local.addr, &b->local.addr))
		return true;
	if (!ipaddr_is_any(&a->local.addr) && !ipaddr_is_any(&b->local.addr))
		return false;
	return (serves_v4(a) && serves_v4(b)) || (serves_v6(a) && serves_v6(b));
}

int tcp_listen(struct tcp_env *env, struct tcp_listener *l)
{
	struct list *bucket = listen_bucket(env, l->local.port);

	list_for_each(it, bucket) {
		if (conflict(l, container_of(it, struct tcp_listener, link)))
			return -EADDRINUSE;
	}
	l->n_synq = 0;
	list_push(bucket, &l->link);
	env->table->n_listeners++;
	return 0;
}

void tcp_unlisten(struct tcp_env *env, struct tcp_listener *l)
{
	struct tcp_table *t = env->table;

	for (uint32_t i = 0; i < t->synq_used && l->n_synq; i++) {
		if (t->synq[i].listener == l)
			tcp_table_put_synq(env, &t->synq[i]);
	}
	CHECK(l->n_synq == 0);
	list_del(&l->link);
	t->n_listeners--;
}

/* How well l suits a segment to local, 0 = not at all: an exact address before a wildcard of the
 * same family before "::" for IPv4. */
static int listener_score(const struct tcp_listener *l, const struct endpoint *local)
{
	if (l->local.port != local->port)
		return 0;
	if (ipaddr_eq(&l->local.addr, &local->addr))
		return 3;
	if (!ipaddr_is_any(&l->local.addr))
		return 0;
	if (ipaddr_is_v4(&l->local.addr) == ipaddr_is_v4(&local->addr))
		return 2;
	return ipaddr_is_v4(&local->addr) && serves_v4(l) ? 1 : 0;
}

struct tcp_listener *tcp_find_listener(struct tcp_env *env, const struct endpoint *local,
				       uint32_t hash)
{
	struct list *bucket = listen_bucket(env, local->port);
	struct tcp_listener *best = NULL;
	int best_score = 0;
	uint32_t n_best = 0;

	list_for_each(it, bucket) {
		struct tcp_listener *l = container_of(it, struct tcp_listener, link);
		int score = listener_score(l, local);

		if (score > best_score) {
			best = l;
			best_score = score;
			n_best = 1;
		} else if (score && score == best_score) {
			n_best++;
		}
	}
	if (n_best < 2)
		return best;
	uint32_t skip = (uint32_t)((uint64_t)hash * n_best >> 32); /* SO_REUSEPORT */
	list_for_each(it, bucket) {
		struct tcp_listener *l = container_of(it, struct tcp_listener, link);

		if (listener_score(l, local) == best_score && skip-- == 0)
			return l;
	}
	return best;
}

bool tcp_has_listener(struct tcp_env *env, const struct endpoint *local)
{
	return tcp_find_listener(env, local, 0) != NULL;
}

static void drop_syn(const struct tcp_seg *seg, enum tcp_drop why, uint64_t now_ns)
{
	if (why == TCP_DROP_BACKLOG)
		STAT_INC(tcp_drop_backlog);
	else
		STAT_INC(tcp_drop_nomem);
	TRACE(TCP_DROP, 0, now_ns, why, seg->seq.v, 0);
}

/* LISTEN, third: a SYN. */
static void listen_syn(struct tcp_env *env, struct tcp_listener *l, const struct tcp_flow *flow,
		       const struct tcp_seg *seg, const seq_t *hint, uint64_t now_ns)
{
	uint16_t mss = tcp_announced_mss(env, flow, l->opts ? l->opts->user_mss : 0);
	uint32_t rcvbuf = l->opts ? l->opts->rcvbuf : 0;

	if (mss == 0) /* no way back */
		return;
	if (l->n_acceptq > l->backlog || l->n_synq >= max_u32(l->backlog, TCP_SYNQ_MIN)) {
		drop_syn(seg, TCP_DROP_BACKLOG, now_ns);
		return;
	}
	struct tcp_synq *q = tcp_table_get_synq(env);
	if (!q) {
		drop_syn(seg, TCP_DROP_NOMEM, now_ns);
		return;
	}
	q->listener = l;
	l->n_synq++;
	q->flow = *flow;
	q->node.hash = tcp_flow_hash(env, flow);
	q->iss = hint ? *hint : tcp_isn(env, flow, now_ns);
	q->irs = seg->seq;
	q->peer_mss = seg->has_mss ? seg->mss : TCP_DEFAULT_MSS;
	q->our_mss = mss;
	q->wscale_ok = seg->has_wscale;
	q->snd_wscale = (uint8_t)min_u32(seg->wscale, TCP_WSCALE_MAX);
	q->rcv_wscale = tcp_choose_wscale(rcvbuf);
	q->ts_ok = seg->has_ts;
	q->sack_ok = seg->sack_ok;
	q->ecn_ok = tcp_ecn_granted(env, l->opts, seg->flags);
	q->ts_recent = seg->has_ts ? seg->tsval : 0;
	q->ts_offset = tcp_ts_offset(env, flow);
	q->wnd = min_u32(rcvbuf, UINT16_MAX);
	tcp_table_add(env, &q->node);
	wheel_arm(&env->wheel, &q->timer, now_ns + NSEC_PER_SEC);
	tcp_emit_synack(env, q, now_ns);
}

void tcp_listen_input(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		      const seq_t *hint, uint64_t now_ns)
{
	struct tcp_listener *l = NULL;

	if (!(seg->flags & TCPF_RST))
		l = tcp_find_listener(env, &flow->local, tcp_flow_hash(env, flow));
	if (!l) {
		STAT_INC(tcp_drop_noconn);
		tcp_reply_rst(env, flow, seg, now_ns);
		return;
	}
	if (seg->flags & TCPF_ACK) { /* second: nothing has been sent that it could acknowledge */
		STAT_INC(tcp_drop_ack);
		tcp_reply_rst(env, flow, seg, now_ns);
		return;
	}
	/* A SYN that also ends the connection is a scanner's (as Linux). */
	if ((seg->flags & (TCPF_SYN | TCPF_FIN)) == TCPF_SYN)
		listen_syn(env, l, flow, seg, hint, now_ns);
}

/* The handshake of q is complete: q becomes a connection. NULL: not now. */
static struct tcp_conn *synq_promote(struct tcp_env *env, struct tcp_synq *q,
				     const struct tcp_seg *seg, uint64_t now_ns)
{
	struct tcp_listener *l = q->listener;
	struct tcp_flow flow = q->flow;
	struct tcp_syn_opts so = {
		.peer_mss = q->peer_mss, .our_mss = q->our_mss,
		.ts_ok = q->ts_ok, .ts_recent = q->ts_recent, .wscale_ok = q->wscale_ok,
		.sack_ok = q->sack_ok, .ecn_ok = q->ecn_ok,
		.snd_wscale = q->snd_wscale, .rcv_wscale = q->rcv_wscale,
	};

	if (l->n_acceptq > l->backlog) {
		drop_syn(seg, TCP_DROP_BACKLOG, now_ns); /* the SYN-ACK's timer tries again */
		return NULL;
	}
	struct tcp_conn *c = env->ops->conn_new(env, l, &flow);
	if (!c) {
		drop_syn(seg, TCP_DROP_NOMEM, now_ns);
		return NULL;
	}
	if (l->opts)
		c->opts = *l->opts;
	c->listener = l;
	c->iss = c->snd_una = q->iss;
	c->snd_nxt = c->snd_end = seq_add(q->iss, 1);
	c->irs = q->irs;
	c->rcv_nxt = c->rcv_acked = seq_add(q->irs, 1);
	c->rcv_adv = seq_add(c->rcv_nxt, q->wnd);
	c->syn_rcvd = true;
	c->ts_offset = q->ts_offset;
	c->ts_recent_ns = now_ns;
	if (q->retries == 0) /* Karn */
		tcp_sent_note(&c->sent, c->snd_nxt, tcp_us(q->sent_ns));
	c->rtx_segs = q->retries;
	tcp_table_put_synq(env, q);
	tcp_conn_start(env, c, &flow, now_ns);
	tcp_conn_negotiated(c, &so);
	tcp_set_state(c, TCPS_SYN_RCVD, now_ns);
	STAT_INC(tcp_passive_open);
	return c;
}

static uint8_t synq_defer(const struct tcp_synq *q)
{
	return q->listener->opts ? q->listener->opts->defer : 0;
}

static void synq_challenge(struct tcp_env *env, struct tcp_synq *q, uint64_t now_ns)
{
	if (tcp_may_challenge(env, now_ns))
		tcp_emit_synq_ack(env, q, now_ns);
}

struct tcp_conn *tcp_synq_input(struct tcp_env *env, struct tcp_synq *q, const struct tcp_seg *seg,
				uint64_t now_ns)
{
	seq_t rcv_nxt = seq_add(q->irs, 1);
	uint32_t flags = seg->flags & (TCPF_SYN | TCPF_ACK | TCPF_RST);
	bool old_ts = q->ts_ok && seg->has_ts && (int32_t)(seg->tsval - q->ts_recent) < 0;

	if (flags == TCPF_SYN && seq_eq(seg->seq, q->irs)) { /* the same SYN again */
		if (q->ts_ok && seg->has_ts && !old_ts)
			q->ts_recent = seg->tsval;
		if (now_ns - q->sent_ns >= TCP_OOW_NS)
			tcp_emit_synack(env, q, now_ns);
		return NULL;
	}
	/* first: sequence number. Zero window: only the very next one. */
	if (!seq_in(seg->seq, rcv_nxt, max_u32(q->wnd, 1)) || (old_ts && !(flags & TCPF_RST))) {
		STAT_INC(tcp_drop_window);
		if (!(flags & TCPF_RST))
			synq_challenge(env, q, now_ns);
		return NULL;
	}
	if (flags & TCPF_RST) { /* second, RFC 5961 3 */
		if (!seq_eq(seg->seq, rcv_nxt)) {
			synq_challenge(env, q, now_ns);
			return NULL;
		}
		STAT_INC(tcp_rx_rst);
		tcp_table_put_synq(env, q);
		return NULL;
	}
	if (flags & TCPF_SYN) { /* fourth, RFC 5961 4 */
		synq_challenge(env, q, now_ns);
		return NULL;
	}
	if (!(flags & TCPF_ACK)) /* fifth */
		return NULL;
	if (!seq_eq(seg->ack, seq_add(q->iss, 1))) {
		STAT_INC(tcp_drop_ack);
		tcp_reply_rst(env, &q->flow, seg, now_ns);
		return NULL;
	}
	/* As Linux defers accept(): the bare ACK is noted, the connection waits for its first bytes. */
	if (q->retries < synq_defer(q) && seg->len == 0 && !(seg->flags & TCPF_FIN)) {
		q->acked = true;
		return NULL;
	}
	return synq_promote(env, q, seg, now_ns);
}

void tcp_synq_timer_fired(struct tcp_env *env, struct tcp_synq *q, uint64_t now_ns)
{
	uint8_t defer = synq_defer(q);

	q->retries++;
	if (q->retries > TCP_SYNACK_RETRIES && !(q->acked && q->retries <= defer)) {
		STAT_INC(tcp_timeout);
		tcp_table_put_synq(env, q);
		return;
	}
	/* Who has answered is asked again only when the time for data is over: that ACK will do. */
	if (!q->acked || q->retries >= defer) {
		STAT_INC(tcp_retrans_segs);
		tcp_emit_synack(env, q, now_ns);
	}
	wheel_arm(&env->wheel, &q->timer, now_ns + (NSEC_PER_SEC << min_u32(q->retries, 7)));
}
