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
	if (endpoint_same_addr(&a->local, &b->local))
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
	l->n_synq = l->n_young = 0;
	l->cookie_ns = 0;
	list_init(&l->fo);
	l->n_fo = l->n_fo_reset = 0;
	list_push(bucket, &l->link);
	env->table->n_listeners++;
	return 0;
}

/* ---- a listener goes, others of its port stay ---- */
static bool is_closed(struct tcp_env *env, struct tcp_listener *l)
{
	return env->ops->listener_closed && env->ops->listener_closed(env, l);
}

static bool may_take_over(struct tcp_env *env, struct tcp_listener *l, const struct tcp_listener *from)
{
	return l != from && l->reuseport && l->local.port == from->local.port &&
	       endpoint_same_addr(&l->local, &from->local) && !is_closed(env, l);
}

/* Who serves the flow in the place of l; NULL: nobody. */
static struct tcp_listener *heir(struct tcp_env *env, const struct tcp_listener *l,
				 const struct tcp_flow *flow)
{
	struct list *bucket = listen_bucket(env, l->local.port);
	uint32_t n = 0;

	if (!l->reuseport)
		return NULL;
	list_for_each(it, bucket)
		n += may_take_over(env, container_of(it, struct tcp_listener, link), l);
	uint32_t skip = (uint32_t)((uint64_t)tcp_flow_hash(env, flow) * n >> 32);
	list_for_each(it, bucket) {
		struct tcp_listener *other = container_of(it, struct tcp_listener, link);

		if (may_take_over(env, other, l) && skip-- == 0)
			return other;
	}
	return NULL;
}

static void synq_move(struct tcp_synq *q, struct tcp_listener *to)
{
	tcp_queue_add(q->listener, TCPQ_SYN, -1);
	tcp_queue_add(q->listener, TCPQ_YOUNG, -(q->retries == 0));
	q->listener = to;
	tcp_queue_add(to, TCPQ_SYN, 1);
	tcp_queue_add(to, TCPQ_YOUNG, q->retries == 0);
	STAT_INC(tcp_listener_moved);
}

/* Who gets the connection that begins, NULL: nobody. What an application has closed takes none any more, even
 * if the news of it is still on the way. */
static struct tcp_listener *taker(struct tcp_env *env, struct tcp_listener *l, const struct tcp_flow *flow)
{
	return is_closed(env, l) ? heir(env, l, flow) : l;
}

void tcp_unlisten(struct tcp_env *env, struct tcp_listener *l)
{
	struct tcp_table *t = env->table;

	for (uint32_t i = 0; i < t->synq_used && l->n_synq; i++) {
		struct tcp_synq *q = &t->synq[i];
		struct tcp_listener *other = q->listener == l ? heir(env, l, &q->flow) : NULL;

		if (other)
			synq_move(q, other);
		else if (q->listener == l)
			tcp_table_put_synq(env, q);
	}
	tcp_fo_unlisten(l);
	CHECK(l->n_synq == 0 && l->n_fo == 0);
	list_del(&l->link);
	t->n_listeners--;
}

/* How well l suits a segment to local, 0 = not at all: an exact address before a wildcard of the
 * same family before "::" for IPv4. */
static int listener_score(const struct tcp_listener *l, const struct endpoint *local)
{
	if (l->local.port != local->port)
		return 0;
	if (endpoint_same_addr(&l->local, local))
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

static uint32_t rcvbuf_of(const struct tcp_listener *l) { return l->opts ? l->opts->rcvbuf : 0; }

/* What both ways of keeping a half-open connection know of it. */
static void synq_init(struct tcp_env *env, struct tcp_synq *q, struct tcp_listener *l,
		      const struct tcp_flow *flow, uint16_t our_mss)
{
	q->listener = l;
	q->flow = *flow;
	q->our_mss = our_mss;
	q->rcv_wscale = tcp_choose_wscale(rcvbuf_of(l));
	q->ts_offset = tcp_ts_offset(env, flow);
	q->wnd = min_u32(rcvbuf_of(l), UINT16_MAX);
}

static void synq_learn(struct tcp_env *env, struct tcp_synq *q, const struct tcp_seg *seg)
{
	q->irs = seg->seq;
	q->peer_mss = tcp_mss_of(seg, &q->flow);
	q->wscale_ok = seg->has_wscale;
	q->snd_wscale = (uint8_t)min_u32(seg->wscale, TCP_WSCALE_MAX);
	q->ts_ok = seg->has_ts;
	q->sack_ok = seg->sack_ok;
	q->ecn_ok = tcp_ecn_granted(env, q->listener->opts, seg->flags);
	q->ts_recent = seg->has_ts ? seg->tsval : 0;
}

/* The handshake of q is complete: a connection like it. NULL: not now. */
static struct tcp_conn *conn_of_synq(struct tcp_env *env, const struct tcp_synq *q,
				     const struct tcp_seg *seg, uint64_t now_ns)
{
	struct tcp_listener *l = q->listener;
	struct tcp_conn *c = env->ops->conn_new(env, l, &q->flow);

	if (!c) {
		drop_syn(seg, TCP_DROP_NOMEM, now_ns);
		return NULL;
	}
	if (l->opts)
		c->opts = *l->opts;
	if (l->opts && !ipaddr_is_v4(&q->flow.remote.addr))
		c->opts.minttl = l->opts->minhops;
	c->listener = l;
	c->passive = true;
	c->iss = c->snd_una = q->iss;
	c->snd_nxt = c->snd_end = seq_add(q->iss, 1);
	c->irs = q->irs;
	c->rcv_nxt = c->rcv_acked = seq_add(q->irs, 1);
	c->rcv_adv = seq_add(c->rcv_nxt, q->wnd);
	c->syn_rcvd = true;
	c->ts_offset = q->ts_offset;
	c->ts_recent_ns = now_ns;
	if (q->retries == 0 && !q->cookie) /* Karn; a cookie does not know when it was sent */
		tcp_sent_note(&c->sent, c->snd_nxt, tcp_us(q->sent_ns));
	c->rtx_segs = q->retries;
	c->rx_segs = 1; /* the SYN; Linux does not count our answer */
	return c;
}

/* It takes the place of q in the table, where q is not any more. */
static struct tcp_conn *conn_begin(struct tcp_env *env, struct tcp_conn *c,
				   const struct tcp_synq *q, uint64_t now_ns)
{
	struct tcp_syn_opts so = {
		.peer_mss = q->peer_mss, .our_mss = q->our_mss,
		.ts_ok = q->ts_ok, .ts_recent = q->ts_recent, .wscale_ok = q->wscale_ok,
		.sack_ok = q->sack_ok, .ecn_ok = q->ecn_ok,
		.snd_wscale = q->snd_wscale, .rcv_wscale = q->rcv_wscale,
	};

	tcp_conn_start(env, c, &q->flow, now_ns);
	tcp_conn_negotiated(env, c, &so);
	tcp_set_state(c, TCPS_SYN_RCVD, now_ns);
	STAT_INC(tcp_passive_open);
	return c;
}

/* Nothing is kept but the time: the ACK will tell all. */
static void answer_by_cookie(struct tcp_env *env, struct tcp_listener *l,
			     const struct tcp_flow *flow, const struct tcp_seg *seg,
			     uint16_t our_mss, uint64_t now_ns)
{
	struct tcp_synq q = { .cookie = true };

	synq_init(env, &q, l, flow, our_mss);
	synq_learn(env, &q, seg);
	if (!q.ts_ok) /* no place for them */
		q.wscale_ok = q.sack_ok = q.ecn_ok = false;
	q.iss = tcp_cookie_make(env, flow, q.irs, &q.peer_mss, now_ns);
	l->cookie_ns = max_u64(now_ns, 1);
	STAT_INC(tcp_cookie_sent);
	tcp_emit_synack(env, &q, NULL, now_ns);
}

/* RFC 7413 4.2.2: the connection is open, its data can be read, and the SYN-ACK is still to leave. False:
 * there can be none now. */
static bool open_at_once(struct tcp_env *env, const struct tcp_synq *q, const struct tcp_fo *answer,
			 const struct tcp_seg *seg, const void *payload, uint64_t now_ns)
{
	struct tcp_conn *c = conn_of_synq(env, q, seg, now_ns);
	struct tcp_seg text = *seg;

	if (!c)
		return false;
	conn_begin(env, c, q, now_ns);
	tcp_fo_begin(q->listener, c, seg);
	c->fo = *answer;
	text.flags = TCPF_ACK;
	text.seq = c->rcv_nxt;
	if (seg->len)
		tcp_data_input(env, c, &text, payload, now_ns);
	env->ops->accepted(env, q->listener, c);
	tcp_want_output(env, c);
	return true;
}

/* LISTEN, third: a SYN. Who was in TIME-WAIT a moment ago (hint) is real, and needs no room that it did
 * not have: no limit but the accept queue's holds for it, as on Linux. */
static void listen_syn(struct tcp_env *env, struct tcp_listener *l, const struct tcp_flow *flow,
		       const struct tcp_seg *seg, const void *payload, const seq_t *hint,
		       uint64_t now_ns)
{
	struct tcp_fo answer = { 0 };
	uint16_t mss = tcp_announced_mss(env, flow, l->opts ? l->opts->user_mss : 0);
	bool full = tcp_queue_len(l, TCPQ_SYN) >= l->backlog && !hint;
	struct tcp_synq *q = NULL;

	if (mss == 0) { /* no way back */
		STAT_INC(tcp_drop_noroute);
		return;
	}
	if (tcp_acceptq_is_full(l) || (full && env->syncookies == TCP_COOKIE_OFF)) {
		drop_syn(seg, TCP_DROP_BACKLOG, now_ns);
		return;
	}
	if (!full && (env->syncookies != TCP_COOKIE_ALWAYS || hint))
		q = tcp_table_get_synq(env);
	if (!q && (hint || env->syncookies == TCP_COOKIE_OFF)) {
		drop_syn(seg, TCP_DROP_NOMEM, now_ns);
		return;
	}
	if (!q) {
		answer_by_cookie(env, l, flow, seg, mss, now_ns);
		return;
	}
	tcp_queue_add(l, TCPQ_SYN, 1);
	tcp_queue_add(l, TCPQ_YOUNG, 1);
	synq_init(env, q, l, flow, mss);
	synq_learn(env, q, seg);
	q->node.hash = tcp_flow_hash(env, flow);
	q->iss = hint ? *hint : tcp_isn(env, flow, now_ns);
	if (unlikely(tcp_fo_syn(env, l, flow, seg, &answer, now_ns)) &&
	    open_at_once(env, q, &answer, seg, payload, now_ns)) {
		tcp_table_put_synq(env, q);
		return;
	}
	tcp_table_add(env, &q->node);
	wheel_arm(&env->wheel, &q->timer, now_ns + NSEC_PER_SEC);
	tcp_emit_synack(env, q, &answer, now_ns);
}

/* An ACK for a listener: does it bring back a cookie? NULL: no, it has been dealt with. */
static struct tcp_conn *cookie_input(struct tcp_env *env, struct tcp_listener *l,
				     const struct tcp_flow *flow, const struct tcp_seg *seg,
				     uint64_t now_ns)
{
	struct tcp_synq q = { .cookie = true };
	bool looked_for = env->syncookies != TCP_COOKIE_OFF && !(seg->flags & TCPF_SYN) &&
			  l->cookie_ns && now_ns - l->cookie_ns < TCP_COOKIE_NS;
	bool ok = false;

	if (looked_for) {
		synq_init(env, &q, l, flow,
			  tcp_announced_mss(env, flow, l->opts ? l->opts->user_mss : 0));
		q.irs = seq_sub(seg->seq, 1);
		q.iss = seq_sub(seg->ack, 1);
		q.peer_mss = tcp_cookie_check(env, flow, q.irs, q.iss, now_ns);
		q.ts_ok = seg->has_ts;
		q.ts_recent = seg->tsval;
		ok = q.peer_mss && q.our_mss && (!q.ts_ok || tcp_cookie_unstamp(&q, seg->tsecr));
		if (!ok)
			STAT_INC(tcp_cookie_failed);
	}
	if (!ok) {
		STAT_INC(tcp_drop_ack);
		tcp_reply_rst(env, flow, seg, now_ns);
		return NULL;
	}
	if (tcp_acceptq_is_full(l)) {
		STAT_INC(tcp_accept_overflow);
		drop_syn(seg, TCP_DROP_BACKLOG, now_ns);
		return NULL;
	}
	struct tcp_conn *c = conn_of_synq(env, &q, seg, now_ns);
	if (!c)
		return NULL;
	STAT_INC(tcp_cookie_taken);
	return conn_begin(env, c, &q, now_ns);
}

struct tcp_conn *tcp_listen_input(struct tcp_env *env, const struct tcp_flow *flow,
				  const struct tcp_seg *seg, const void *payload, const seq_t *hint,
				  uint64_t now_ns)
{
	struct tcp_listener *l = NULL;

	if (!(seg->flags & TCPF_RST))
		l = tcp_find_listener(env, &flow->local, tcp_flow_hash(env, flow));
	if (l)
		l = taker(env, l, flow);
	if (!l) {
		STAT_INC(tcp_drop_noconn);
		tcp_reply_rst(env, flow, seg, now_ns);
		return NULL;
	}
	bool v4 = ipaddr_is_v4(&flow->remote.addr);
	if (l->opts && seg->ttl < (v4 ? l->opts->minttl : l->opts->minhops)) {
		STAT_INC(tcp_drop_minttl);
		TRACE(TCP_DROP, 0, now_ns, TCP_DROP_MINTTL, seg->seq.v, seg->ack.v);
		return NULL;
	}
	if (seg->flags & TCPF_ACK) /* second: nothing is known of what it could acknowledge */
		return cookie_input(env, l, flow, seg, now_ns);
	/* A SYN that also ends the connection is a scanner's (as Linux). */
	if ((seg->flags & (TCPF_SYN | TCPF_FIN)) == TCPF_SYN)
		listen_syn(env, l, flow, seg, payload, hint, now_ns);
	else
		STAT_INC(tcp_drop_flags);
	return NULL;
}

/* The handshake of q is complete: q becomes a connection. NULL: not now. */
static struct tcp_conn *synq_promote(struct tcp_env *env, struct tcp_synq *q,
				     const struct tcp_seg *seg, uint64_t now_ns)
{
	struct tcp_listener *l = taker(env, q->listener, &q->flow);

	if (!l) /* what is done about its other connections will be done about this one */
		l = q->listener;
	if (l != q->listener)
		synq_move(q, l);
	if (tcp_acceptq_is_full(l)) {
		STAT_INC(tcp_accept_overflow);
		drop_syn(seg, TCP_DROP_BACKLOG, now_ns);
		q->acked = true; /* the SYN-ACK's timer asks for the ACK again */
		if (env->abort_on_overflow) {
			tcp_reply_rst(env, &q->flow, seg, now_ns);
			tcp_table_put_synq(env, q);
		}
		return NULL;
	}
	struct tcp_conn *c = conn_of_synq(env, q, seg, now_ns);
	if (!c)
		return NULL;
	struct tcp_synq was = *q;
	tcp_table_put_synq(env, q);
	return conn_begin(env, c, &was, now_ns);
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
		if (!q->oow_ns || now_ns - q->oow_ns >= TCP_OOW_NS) {
			q->oow_ns = now_ns;
			tcp_emit_synack(env, q, NULL, now_ns);
		} else {
			STAT_INC(tcp_oow_limited);
		}
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
	if (!(flags & TCPF_ACK)) { /* fifth */
		STAT_INC(tcp_drop_flags);
		return NULL;
	}
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

/* How often a SYN-ACK is repeated. A queue that is half full keeps that half for the young: the more of
 * it is old, the less patience for the old, down to two repetitions (as Linux). */
static uint32_t synack_retries(struct tcp_listener *l)
{
	uint32_t all = tcp_queue_len(l, TCPQ_SYN);
	uint32_t most = l->opts && l->opts->syncnt ? l->opts->syncnt : TCP_SYNACK_RETRIES;

	if (2 * (uint64_t)all <= max_u32(TCP_SYNQ_CALM, l->backlog))
		return most;
	for (uint64_t young = 2ull * tcp_queue_len(l, TCPQ_YOUNG); most > 2 && all >= young; young *= 2)
		most--;
	return most;
}

void tcp_synq_timer_fired(struct tcp_env *env, struct tcp_synq *q, uint64_t now_ns)
{
	uint32_t most = synack_retries(q->listener);
	uint8_t defer = synq_defer(q);

	tcp_queue_add(q->listener, TCPQ_YOUNG, -(q->retries == 0));
	q->retries++;
	if (q->retries > most && !(q->acked && q->retries <= defer)) {
		STAT_INC(tcp_timeout);
		tcp_table_put_synq(env, q);
		return;
	}
	/* Who has answered is asked again only when the time for data is over: that ACK will do. */
	if (!q->acked || q->retries >= defer) {
		STAT_INC(tcp_retrans_segs);
		tcp_emit_synack(env, q, NULL, now_ns);
	}
	wheel_arm(&env->wheel, &q->timer, now_ns + (NSEC_PER_SEC << min_u32(q->retries, 7)));
}
