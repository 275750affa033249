/* What applications did to their sockets, what the TCP core asks of them, and the door that the worker
 * uses. */
// SPDX-License-Identifier: MIT
#include "stack/sock/sock.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/log.h"
#include "stack/base/trace.h"
#include "stack/sock/sock_int.h"

void sock_violation(struct client_worker *cw, const char *what)
{
	struct sock_mail m = { .type = SOCK_MAIL_VIOLATION, .from = cw->env->worker,
			       .p = cw->client };

	if (cw->violated || cw->deleting)
		return;
	STAT_INC(chan_violation);
	LOG(sock, WARN, "client=%u pid=%u detached: %s", cw->client->conf.number,
	    cw->client->conf.pid, what);
	atomic_store_explicit(&cw->client->a->detached, 1, memory_order_release);
	cw->violated = cw->env->host->mail(cw->env->host_arg, UINT32_MAX, &m);
}

/* ---- what the application did ---- */
bool sock_take_tx_to(struct sock *s, uint32_t tail)
{
	struct sock_seg *seg;
	uint32_t from, room;

	if (s->tx.n == s->tx.first) {
		room = 0;
	} else {
		seg = ring_last(&s->tx);
		from = (int32_t)(s->tx_una - seg->s.start) > 0 ? s->tx_una : seg->s.start;
		room = seg->s.size - (s->tx_tail - from);
		/* una may be ahead of what is published: that is only more room */
		if (s->tx_tail - from > seg->s.size)
			room = 0;
	}
	if (chan_take_value(&s->tx_tail, tail, room))
		return true;
	sock_violation(s->cw, "tx_tail out of range");
	return false;
}

bool sock_take_tx(struct sock *s)
{
	if (unlikely(s->flags_a & CHAN_A_LANE))
		return sock_lane_take_tx(s);
	return sock_take_tx_to(s, atomic_load_explicit(&s->b->tx_tail, memory_order_acquire));
}

bool sock_take_rx(struct sock *s)
{
	if (unlikely(s->flags_a & CHAN_A_LANE))
		return sock_lane_take_rx(s);
	return sock_take_rx_to(s, atomic_load_explicit(&s->b->rx_head, memory_order_acquire));
}

bool sock_take_rx_to(struct sock *s, uint32_t head)
{
	uint32_t before = s->rx_head;

	if (!chan_take_value(&s->rx_head, head, s->rx_tail - s->rx_head)) {
		sock_violation(s->cw, "rx_head out of range");
		return false;
	}
	if (s->dgram && !sock_dgram_read(s, before)) {
		sock_violation(s->cw, "rx_head in the middle of a datagram");
		return false;
	}
	if (s->rx_head != before && !s->l)
		sock_ring_trim(s, REGION_DOWN, s->rx_head);
	return true;
}

struct chan_opts sock_read_opts(const struct chan_sock_b *b)
{
	struct chan_opts o;

	/* Loaded once; a value torn by a concurrent change is clamped like any other. */
	memcpy(&o, (const void *)&b->opts, sizeof(o));
	__asm__ volatile("" ::: "memory");
	return o;
}

static uint32_t clamp_buf(uint32_t v)
{
	return min_u32(max_u32(v, SOCK_BUF_MIN), SOCK_BUF_MAX);
}

/* IP_PMTUDISC_WANT and _DO: path MTU discovery, as Linux's ip_dont_fragment() reads it for streams. */
static bool wants_pmtu(uint8_t mtu_disc)
{
	return mtu_disc == 0 || mtu_disc == 1 + 1 || mtu_disc == 2 + 1;
}

struct tcp_sockopts sock_opts(const struct chan_opts *o)
{
	uint32_t clamp = o->window_clamp ? max_u32(o->window_clamp, SOCK_CLAMP_MIN) : UINT32_MAX;

	return (struct tcp_sockopts){
		.rcvbuf = min_u32(o->rcvbuf ? clamp_buf(o->rcvbuf) : SOCK_RCVBUF, clamp),
		.rcvbuf_max = o->rcvbuf ? 0 : min_u32(SOCK_RCVBUF_MAX, clamp),
		.sndbuf = o->sndbuf ? clamp_buf(o->sndbuf) : SOCK_SNDBUF_MAX,
		.nodelay = o->flags & CHAN_O_NODELAY,
		.cork = o->flags & CHAN_O_CORK,
		.keepalive = o->flags & CHAN_O_KEEPALIVE,
		.quickack = o->flags & CHAN_O_QUICKACK,
		.delack = o->flags & CHAN_O_DELACK,
		.user_mss = o->user_mss,
		.keepidle_s = min_u32(o->keepidle_s, 32767),
		.keepintvl_s = min_u32(o->keepintvl_s, 32767),
		.keepcnt = min_u32(o->keepcnt, 127),
		.user_timeout_ms = o->user_timeout_ms,
		.syncnt = min_u32(o->syncnt, 127),
		.linger2_s = o->linger2_s > 120 ? 120 : o->linger2_s,
		.ttl = o->ttl,
		.tos = o->tos,
		.minttl = o->minttl,
		.hops = o->hops,
		.tclass = o->tclass,
		.minhops = o->minhops,
		.cc = o->cc,
		.defer = o->defer,
		.fastopen = o->fastopen,
		.fastopen_no_cookie = o->flags & CHAN_O_FO_NO_COOKIE,
		.may_cut = !wants_pmtu(o->mtu_disc),
		.deaf6 = o->mtu_disc6 > 3 + 1, /* IPV6_PMTUDISC_INTERFACE, _OMIT */
		.no_label = o->flags & CHAN_O_NO_LABEL,
		.label = o->flowinfo & IP6_LABEL_MASK,
		.no_rehash = o->flags & CHAN_O_NO_REHASH,
	};
}

struct tcp_sockopts sock_tcp_opts(const struct chan_sock_b *b, const struct chan_opts *o)
{
	struct tcp_sockopts t = sock_opts(o);

	t.pacing = atomic_load_explicit(&b->pacing, memory_order_relaxed);
	return t;
}

void sock_note_opts(struct sock *s, const struct chan_opts *o)
{
	s->stamp = o->flags & CHAN_O_TIMESTAMP;
	s->recverr = o->flags & CHAN_O_RECVERR;
	s->recverr6 = o->flags & CHAN_O_RECVERR6;
	s->lowat = o->notsent_lowat != 0;
}

void sock_take_opts(struct sock *s)
{
	struct sock_env *env = s->cw->env;
	struct chan_opts o = sock_read_opts(s->b);

	if (s->hold && !s->passive)
		ports_set_flags(env->ports, s->hold, sock_port_flags(o.flags));
	if (s->dgram) {
		sock_dgram_opts(s, &o);
		return;
	}
	s->sndbuf = o.sndbuf ? clamp_buf(o.sndbuf) : 0;
	sock_note_opts(s, &o);
	if (s->sndbuf)
		s->a->sndbuf = s->sndbuf;
	if (s->l)
		sock_listener_opts(s, &o);
	uint8_t turn = s->conn.opts.label_turn;
	s->conn.opts = sock_tcp_opts(s->b, &o);
	s->conn.opts.label_turn = turn;
	if (s->started && !ipaddr_is_v4(&s->a->remote.addr))
		s->conn.opts.minttl = o.minhops;
	if (s->started)
		tcp_opts_changed(&env->tcp, &s->conn, env->now_ns);
}

/* shutdown() of a listener ends listening, as on Linux. */
static void listener_dirty(struct sock *s)
{
	uint32_t flags = atomic_load_explicit(&s->b->flags, memory_order_acquire);

	sock_accept_taken(s);
	if (!(flags & CHAN_B_SHUT_RD))
		return;
	sock_unlisten(s);
	sock_set_state(s, CHAN_ST_OPEN);
}

bool sock_take_shut_rd(struct sock *s)
{
	uint32_t flags = atomic_load_explicit(&s->b->flags, memory_order_acquire);

	if (likely(!(flags & CHAN_B_SHUT_RD) || (s->flags_b & CHAN_B_SHUT_RD)))
		return false;
	s->flags_b |= CHAN_B_SHUT_RD;
	tcp_shutdown_rcv(&s->conn);
	sock_touch(s, true);
	return true;
}

void sock_take_shut_wr(struct sock *s)
{
	struct sock_env *env = s->cw->env;
	uint32_t flags = atomic_load_explicit(&s->b->flags, memory_order_acquire);

	if (likely(!(flags & CHAN_B_SHUT_WR) || (s->flags_b & CHAN_B_SHUT_WR)))
		return;
	if (s->lane && sock_lane_owes(s))
		return; /* asked again when these bytes have passed */
	s->flags_b |= CHAN_B_SHUT_WR;
	sock_set_flag(s, CHAN_A_TX_DONE, 0);
	tcp_shutdown(&env->tcp, &s->conn, env->now_ns);
	sock_touch(s, true);
}

static void conn_dirty(struct sock *s)
{
	struct sock_env *env = s->cw->env;
	uint32_t flags = atomic_load_explicit(&s->b->flags, memory_order_acquire);

	if (!sock_take_tx(s) || !sock_take_rx(s))
		return;
	if (s->is_near || unlikely(!s->near_known))
		sock_pipe(s);
	/* Once more: what is behind the text that has just gone. */
	if (unlikely(s->lane))
		sock_lane_look(s);
	if (tcp_tx_nxt(&s->conn) != s->tx_tail) /* what is left */
		tcp_app_wrote(&env->tcp, &s->conn, s->tx_tail, env->now_ns);
	/* It found no room for more, before it marked what there was room for. */
	if (unlikely(!(flags & CHAN_B_TX_WAIT) != !(s->flags_a & CHAN_A_TX_WAKE)))
		tcp_app_waits(&s->conn, env->now_ns);
	if (unlikely(s->flags_a & CHAN_A_SYN_HELD) && s->conn.syn_due)
		sock_set_flag(s, 0, CHAN_A_SYN_HELD);
	/* Looked at again: it was set before the tail that we have taken, but perhaps after `flags`. */
	if (unlikely(atomic_load_explicit(&s->b->flags, memory_order_relaxed) & CHAN_B_URGENT))
		sock_take_urgent(s);
	if (s->rx_head != s->conn.rx_head)
		sock_head_moved(s);
	if (flags & CHAN_B_SHUT_WR)
		sock_take_shut_wr(s);
	sock_take_shut_rd(s);
}

void sock_dirty(struct sock *s)
{
	uint32_t opt_seq = atomic_load_explicit(&s->b->opt_seq, memory_order_acquire);
	uint32_t close_seq = atomic_load_explicit(&s->b->close_seq, memory_order_acquire);

	STAT_INC(chan_dirty);
	if (s->closing)
		return;
	if (unlikely(s->line_comes) && sock_has_line(s))
		sock_line_came(s);
	if (opt_seq != s->opt_seq) {
		s->opt_seq = opt_seq;
		sock_take_opts(s);
	}
	if (s->dgram)
		sock_dgram_dirty(s);
	else if (s->l)
		listener_dirty(s);
	else if (s->started)
		conn_dirty(s);
	if (close_seq != s->close_seq) {
		s->close_seq = close_seq;
		sock_check_held(s);
	}
}

/* ---- what the core asks ---- */
static void output(struct tcp_env *tcp, const struct tcp_flow *flow, const struct tcp_seg *seg,
		   struct tcp_conn *c, uint32_t tx_pos)
{
	struct sock_env *env = env_of(tcp);
	struct sock_piece piece[8];
	unsigned n = 0;

	if (seg->len) {
		n = sock_tx_pieces(sock_of(c), tx_pos, seg->len, piece);
		if (n == 0)
			return;
		sock_sent(sock_of(c), tx_pos + seg->len);
	}
	env->host->tcp_output(env->host_arg, flow, seg, piece, n, c ? &c->opts : tcp->synack_opts);
}

static uint16_t path_mss(struct tcp_env *tcp, const struct tcp_flow *flow)
{
	struct sock_env *env = env_of(tcp);

	return env->host->path_mss(env->host_arg, &flow->remote);
}

/* Less than the first hop takes: then somebody has told. */
static uint16_t path_known(struct tcp_env *tcp, const struct tcp_flow *flow)
{
	struct sock_env *env = env_of(tcp);
	uint32_t mtu = env->host->path_mtu(env->host_arg, &flow->remote);
	uint32_t hdrs = ipaddr_is_v4(&flow->remote.addr) ? 40 : 60;

	return mtu > hdrs && mtu - hdrs < path_mss(tcp, flow) ? (uint16_t)(mtu - hdrs) : 0;
}

static void path_told(struct tcp_env *tcp, const struct tcp_flow *flow, uint32_t mtu)
{
	struct sock_env *env = env_of(tcp);

	if (env->host->path_told)
		env->host->path_told(env->host_arg, &flow->remote, mtu);
}

static const struct tcp_ops ops = {
	.output = output,
	.rx_write = sock_rx_write,
	.conn_new = sock_conn_new,
	.accepted = sock_accepted,
	.listener_closed = sock_listener_closed,
	.released = sock_released,
	.record_new = sock_record_new,
	.record_gone = sock_record_gone,
	.urgent = sock_urgent,
	.path_mss = path_mss,
	.path_known = path_known,
	.path_told = path_told,
};

/* ---- the worker's door ---- */
int sock_env_init(struct sock_env *env, uint64_t now_ns)
{
	env->priv = calloc(1, sizeof(*env->priv));
	if (!env->priv)
		return -ENOMEM;
	env->now_ns = now_ns;
	env->tcp.ops = &ops;
	env->tcp.host = env;
	list_init(&env->clients);
	list_init(&env->closing);
	list_init(&env->priv->event);
	list_init(&env->priv->rings);
	list_init(&env->priv->later);
	slab_init(&env->priv->socks, sizeof(struct sock),
		  env->tcp.max_conns ? env->tcp.max_conns + SOCK_BLOCK : UINT32_MAX);
	env->udp.ops = &sock_udp_ops;
	env->udp.host = env;
	int err = tcp_env_init(&env->tcp, now_ns);
	if (!err && (err = udp_env_init(&env->udp)) < 0)
		tcp_env_fini(&env->tcp);
	if (err) {
		free(env->priv);
		env->priv = NULL;
	}
	return err;
}

void sock_env_fini(struct sock_env *env)
{
	CHECK(list_empty(&env->clients) && list_empty(&env->closing));
	sock_post_forget(env, NULL);
	tcp_env_fini(&env->tcp);
	udp_env_fini(&env->udp);
	CHECK(slab_fini(&env->priv->socks) == 0);
	free(env->priv);
	env->priv = NULL;
}

static inline void ahead(const struct sock *s)
{
	for (size_t at = 0; at < 3 * CACHE_LINE; at += CACHE_LINE)
		__builtin_prefetch((const char *)&s->cw + at, 1);
	__builtin_prefetch(&s->tx);
}

void sock_ahead(const struct tcp_conn *c)
{
	ahead(container_of(c, const struct sock, conn));
}

void sock_ahead_shared(const struct tcp_conn *c)
{
	const struct sock *s = container_of(c, const struct sock, conn);

	__builtin_prefetch(s->a, 1);
	__builtin_prefetch(s->b);
	if (s->rx.n != s->rx.first) {
		const struct sock_seg *seg = &s->rx.seg[(s->rx.n - 1) % CHAN_SEGS];

		__builtin_prefetch(seg->base + ((s->rx_end - seg->s.start) & (seg->s.size - 1)), 1);
	}
}

/* The same for a socket that is about to be looked at. */
static void ahead_dirty(struct client_worker *cw, uint32_t id)
{
	const struct sock *s = sock_find(cw, id);

	if (!s)
		return;
	__builtin_prefetch(&cw->client->sock_a[id], 1);
	__builtin_prefetch(&cw->client->sock_b[id]);
	__builtin_prefetch(s, 1);
	tcp_conn_ahead(&s->conn);
	ahead(s);
}

/* Dirty sockets of a client, at most SOCK_TAKE. True when there may be more. */
static bool poll_dirty(struct sock_env *env, struct client_worker *cw, struct chan_dirty *d)
{
	uint32_t n = chan_dirty_take(d, env->priv->ids, SOCK_TAKE);
	bool many = unlikely(cw->n_socks >= SOCK_MANY);

	for (uint32_t i = 0; many && i < n && i < SOCK_AHEAD; i++)
		ahead_dirty(cw, env->priv->ids[i]);
	for (uint32_t i = 0; i < n && !cw->violated; i++) {
		if (many && i + SOCK_AHEAD < n)
			ahead_dirty(cw, env->priv->ids[i + SOCK_AHEAD]);
		struct sock *s = sock_find(cw, env->priv->ids[i]);

		if (s)
			sock_dirty(s);
	}
	return n > SOCK_TAKE - 64 && !cw->violated;
}

/* What a thread did before a call must be seen before the call is: close(), then bind() of the same
 * port; a datagram to ourselves, then the receiver's connect(). So the calls are taken first and carried
 * out last, and all marks in between. A client that marks without end delays itself and the others by a
 * bounded number of rounds. */
bool sock_poll_client(struct sock_env *env, struct client_worker *cw)
{
	struct chan_dirty *d = &cw->client->b->dirty[env->worker];
	uint64_t calls[CHAN_MAX_CALLS / 64], any = 0;

	if (cw->deleting || cw->violated || !chan_dirty_any(d))
		return false;
	for (uint32_t i = 0; i < CHAN_MAX_CALLS / 64; i++)
		any |= calls[i] = chan_dirty_take_calls(d, i);
	for (uint32_t round = 0; poll_dirty(env, cw, d) && any; round++) {
		if (round == CHAN_MAX_SOCKS / SOCK_TAKE)
			break;
	}
	if (any && !cw->violated) {
		env->host->udp_settle(env->host_arg);
		sock_calls(cw, calls);
	}
	return true;
}

void sock_settle(struct sock_env *env)
{
	list_for_each_safe(it, next, &env->clients) {
		struct client_worker *cw = container_of(it, struct client_worker, link);
		struct chan_dirty *d = &cw->client->b->dirty[env->worker];
		uint32_t round = 0;

		while (!cw->violated && poll_dirty(env, cw, d) && round++ < CHAN_MAX_SOCKS / SOCK_TAKE)
			;
	}
}

bool sock_poll(struct sock_env *env)
{
	bool work = false;

	list_for_each_safe(it, next, &env->clients) {
		struct client_worker *cw = container_of(it, struct client_worker, link);

		work |= sock_poll_client(env, cw);
		if (unlikely(cw->shed)) {
			sock_shed(cw);
			work = true;
		}
	}
	if (unlikely(env->priv->n_late))
		work |= sock_late_poll(env);
	if (unlikely(!list_empty(&env->priv->later)))
		sock_post_rest(env);
	if (!list_empty(&env->closing))
		client_drain(env);
	return work;
}

bool sock_has_work(const struct sock_env *env)
{
	if (!list_empty(&env->tcp.pending) || !list_empty(&env->tcp.touched) ||
	    !list_empty(&env->priv->event) || !list_empty(&env->priv->later))
		return true;
	list_for_each(it, &env->closing) {
		if (container_of(it, struct client_worker, link)->n_socks == 0)
			return true;
	}
	list_for_each(it, &env->clients) {
		struct client_worker *cw = container_of(it, struct client_worker, link);

		if (cw->shed || (!cw->violated && chan_dirty_any(&cw->client->b->dirty[env->worker])))
			return true;
	}
	return false;
}

void sock_mail(struct sock_env *env, const struct sock_mail *msg)
{
	switch (msg->type) {
	case SOCK_MAIL_CLIENT_ADD:
	case SOCK_MAIL_CLIENT_DEL:
	case SOCK_MAIL_PROC_GONE:
		client_mail(env, msg);
		break;
	case SOCK_MAIL_LISTEN:
	case SOCK_MAIL_LISTEN_OPTS:
	case SOCK_MAIL_UNLISTEN:
	case SOCK_MAIL_LISTEN_ACK:
	case SOCK_MAIL_ACCEPTED:
	case SOCK_MAIL_TAKEN:
	case SOCK_MAIL_DROPPED:
		sock_listen_mail(env, msg);
		break;
	case SOCK_MAIL_SETTLE:
	case SOCK_MAIL_SETTLED:
		sock_late_mail(env, msg);
		break;
	case SOCK_MAIL_CALL:
		msg->fn(env, msg->p);
		break;
	default:
		break;
	}
}
