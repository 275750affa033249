/* Listening sockets: the accept ring, and listeners that several workers serve. The home worker owns the
 * socket and its ring; each other worker has a proxy that takes handshakes of the flows that it
 * receives and reports finished ones to the home worker by mail. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

static bool mail(struct sock_env *env, uint32_t to, uint32_t type, const struct listener *l,
		 uint64_t b)
{
	struct sock_mail m = { .type = type, .from = env->worker, .p = l->client,
			       .a = (uint64_t)l->sock << 32 | l->gen, .b = b, .c = l->round };

	return sock_post(env, to, &m);
}

static struct client_worker *cw_here(struct sock_env *env, struct client *c)
{
	struct client_worker *cw = c->cw[env->worker];

	return cw->env && !cw->deleting ? cw : NULL;
}

/* A socket of this worker by `id << 32 | gen`. */
static struct sock *find(struct client_worker *cw, uint64_t name)
{
	struct sock *s = cw ? sock_find(cw, (uint32_t)(name >> 32)) : NULL;

	return s && s->gen == (uint32_t)name ? s : NULL;
}

/* ---- the accept ring ---- */
static void tell_worker(struct sock_env *env, struct listener *l, const struct sock_pending *p,
			uint32_t type)
{
	mail(env, p->worker, type, l, (uint64_t)p->sock << 32 | p->gen);
}

/* The socket belongs to the application from now on, or is reset when nobody will take it. */
static void give(struct client_worker *cw, struct sock *s, bool taken)
{
	struct tcp_listener *tl = s->conn.listener;

	if (!s->queued)
		return;
	s->queued = false;
	s->conn.listener = NULL;
	if (tl)
		tcp_queue_add(tl, TCPQ_ACCEPT, -1);
	if (!taken)
		sock_abort(s);
	else
		sock_check_held(s);
}

void sock_accept_taken(struct sock *home)
{
	struct client_worker *cw = home->cw;
	struct sock_env *env = cw->env;
	struct listener *l = home->l;

	if (!chan_take_pos(&home->rx_head, &home->b->rx_head, l->tail - home->rx_head)) {
		sock_violation(cw, "accept position out of range");
		return;
	}
	while (l->head != home->rx_head) {
		struct sock_pending p = l->pending[l->head++ & l->pending_mask];
		struct sock *s = p.worker == env->worker ?
					 find(cw, (uint64_t)p.sock << 32 | p.gen) : NULL;

		if (p.worker != env->worker)
			tell_worker(env, l, &p, SOCK_MAIL_TAKEN);
		else if (s)
			give(cw, s, true); /* may close s, never a listener */
	}
	sock_ring_trim(home, REGION_DOWN, home->rx_head);
}

/* Room for n entries; positions go on, so a larger ring begins at the present tail. */
static int ring_reserve(struct sock *home, uint32_t n)
{
	struct listener *l = home->l;
	uint32_t size = pow2_ceil(max_u32(n, 2));
	struct sock_pending *p;

	if (l->pending && l->pending_mask + 1 >= size)
		return 0;
	p = calloc(size, sizeof(*p));
	if (!p)
		return -ENOMEM;
	uint32_t bytes = max_u32(size * (uint32_t)sizeof(struct chan_accept), 1u << BUDDY_SHIFT);
	int err = sock_ring_open(home, REGION_DOWN, l->tail, bytes);
	if (err) {
		free(p);
		return err;
	}
	for (uint32_t i = l->head; i != l->tail; i++)
		p[i & (size - 1)] = l->pending[i & l->pending_mask];
	free(l->pending);
	l->pending = p;
	l->pending_mask = size - 1;
	return 0;
}

/* Publishes one connection to accept(). False: no room. */
static bool ring_push(struct listener *l, uint32_t worker, uint32_t id, uint32_t gen)
{
	struct sock *home = l->home;
	struct sock_seg *seg = ring_last(&home->rx);
	uint32_t entries = seg->s.size / (uint32_t)sizeof(struct chan_accept);
	struct chan_accept e = { id, gen };

	sock_accept_taken(home);
	if (l->tail - l->head > l->pending_mask)
		return false;
	l->pending[l->tail & l->pending_mask] = (struct sock_pending){ id, gen, worker };
	memcpy(seg->base + ((l->tail - seg->s.start) & (entries - 1)) * sizeof(e), &e, sizeof(e));
	home->rx_tail = ++l->tail;
	atomic_store_explicit(&home->a->rx_tail, l->tail, memory_order_release);
	/* With a queue getting long, or to pass the news on, we must hear of accept() at once. */
	if (tcp_queue_len(&l->tl, TCPQ_ACCEPT) > l->tl.backlog / 2 || home->cw->env->n_workers > 1)
		sock_set_flag(home, CHAN_A_WANT_HEAD, 0);
	sock_signal(home, SOCK_SIGNAL_IN);
	sock_touch(home, true);
	return true;
}

/* What is in the ring is gone: accept() finds nothing. */
static void queue_hide(struct sock *s)
{
	s->rx_tail = s->rx_head;
	atomic_store_explicit(&s->a->rx_tail, s->rx_tail, memory_order_release);
}

/* ---- listen() ---- */
/* What a home listener and its proxies count together: the last one to go frees it. */
struct counts {
	struct tcp_listen_all all;
	_Atomic uint32_t refs;
};

static struct counts *counts_of(struct listener *l)
{
	return l->tl.all ? container_of(l->tl.all, struct counts, all) : NULL;
}

static int counts_new(struct listener *l)
{
	struct counts *k = aligned_alloc(_Alignof(struct counts), sizeof(*k));

	if (!k)
		return -ENOMEM;
	memset(k, 0, sizeof(*k));
	atomic_init(&k->refs, 1);
	l->tl.all = &k->all;
	return 0;
}

static void counts_get(struct listener *l)
{
	atomic_fetch_add_explicit(&counts_of(l)->refs, 1, memory_order_relaxed);
}

static void listener_free(struct listener *l)
{
	struct counts *k = counts_of(l);

	if (k && atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) == 1)
		free(k);
	free(l->pending);
	free(l);
}

void sock_listen_unsent(struct sock_env *env, struct listener *proxy)
{
	ports_put(env->ports, proxy->hold, 0);
	listener_free(proxy);
}

static void fill(struct listener *l, struct sock *s, uint32_t backlog)
{
	struct chan_opts o = sock_read_opts(s->b);

	l->client = s->cw->client;
	l->sock = s->id;
	l->gen = s->gen;
	l->round = s->n_listens;
	l->home_worker = s->cw->env->worker;
	l->hold = s->hold;
	l->is_v6 = s->v6;
	l->opts = sock_tcp_opts(s->b, &o);
	l->close_seq = atomic_load_explicit(&s->b->close_seq, memory_order_acquire);
	l->tl.local = s->local;
	l->tl.v6only = o.flags & CHAN_O_V6ONLY;
	l->tl.reuseport = o.flags & CHAN_O_REUSEPORT;
	l->tl.backlog = backlog;
	l->tl.opts = &l->opts;
	list_init(&l->link);
	list_init(&l->tl.link);
}

/* Others serve it too; each gets a proxy of its own to keep, or news for the one that it has. Returns how
 * many were told. */
static uint32_t tell_others(struct sock *s, uint32_t backlog, uint32_t type)
{
	struct sock_env *env = s->cw->env;
	uint32_t n = 0;

	for (uint32_t w = 0; w < env->n_workers; w++) {
		struct listener *proxy = w != env->worker ? calloc(1, sizeof(*proxy)) : NULL;

		if (!proxy)
			continue;
		fill(proxy, s, backlog);
		proxy->tl.all = s->l->tl.all;
		proxy->tl.fo_keys = s->l->tl.fo_keys;
		counts_get(proxy);
		ports_get(s->hold);
		struct sock_mail m = { .type = type, .from = env->worker, .p = proxy };
		if (sock_post(env, w, &m))
			n++;
		else
			sock_listen_unsent(env, proxy);
	}
	return n;
}

/* It may have listened before: positions go on, and accept() has perhaps taken one connection more than
 * the end of that has found taken. */
static bool queue_begin(struct sock *s)
{
	if (!chan_take_pos(&s->rx_head, &s->b->rx_head, 1)) {
		sock_violation(s->cw, "accept position out of range");
		return false;
	}
	queue_hide(s);
	return true;
}

int sock_listen(struct sock *s, uint32_t backlog, const struct tcp_fo_keys *keys, uint32_t slot,
		uint32_t seq)
{
	struct sock_env *env = s->cw->env;
	struct listener *l = s->l;
	int err = ports_listen(env->ports, s->hold, env->now_ns);

	if (err)
		return err;
	bool fresh = !l;
	if (fresh) {
		l = queue_begin(s) ? calloc(1, sizeof(*l)) : NULL;
		if (!l) {
			err = -ENOMEM;
			goto fail_port;
		}
		s->l = l;
		s->n_listens++;
		l->home = s;
		l->head = l->tail = s->rx_tail;
		fill(l, s, backlog);
	}
	err = fresh && env->n_workers > 1 ? counts_new(l) : 0;
	if (!err)
		err = ring_reserve(s, backlog + 1 + env->n_workers);
	if (!err && fresh)
		err = tcp_listen(&env->tcp, &l->tl);
	if (err)
		goto fail_listener;
	l->tl.backlog = backlog;
	if (keys->n)
		l->tl.fo_keys = *keys;
	l->acks = tell_others(s, backlog, SOCK_MAIL_LISTEN);
	l->call_slot = slot;
	l->call_seq = seq;
	if (fresh) {
		list_push(&s->cw->listeners, &l->link);
		sock_set_state(s, CHAN_ST_LISTENING);
	}
	return l->acks ? 1 : 0;
fail_listener:
	if (fresh) {
		s->l = NULL;
		listener_free(l);
	}
fail_port:
	if (fresh)
		ports_unlisten(env->ports, s->hold);
	return err;
}

void sock_listener_opts(struct sock *s, const struct chan_opts *o)
{
	s->l->opts = sock_tcp_opts(s->b, o);
	sock_listener_changed(s);
}

void sock_listener_changed(struct sock *s)
{
	tell_others(s, s->l->tl.backlog, SOCK_MAIL_LISTEN_OPTS);
}

/* Connections that came through l and that nobody took are reset, as on Linux. One that is being taken at
 * this moment has its process' bit: its accept() sees then that the queue is gone and lets go, or it was
 * quicker. */
static void drop_children(struct client_worker *cw, struct listener *l)
{
	atomic_thread_fence(memory_order_seq_cst);
	list_for_each_safe(it, next, &cw->socks) {
		struct sock *s = container_of(it, struct sock, link);

		if (s->conn.listener != &l->tl || !s->started)
			continue;
		s->conn.listener = NULL;
		s->queued = false;
		if (!s->established || !sock_is_held(cw->client, s->id))
			sock_abort(s);
	}
}

void sock_unlisten(struct sock *s)
{
	struct sock_env *env = s->cw->env;
	struct listener *l = s->l;

	sock_accept_taken(s);
	queue_hide(s);
	/* Pairs with the fence in chan_accept_pop(): who has not seen this has its bit by now. */
	atomic_thread_fence(memory_order_seq_cst);
	sock_accept_taken(s);
	tcp_unlisten(&env->tcp, &l->tl);
	ports_unlisten(env->ports, s->hold);
	list_del(&l->link);
	s->l = NULL;
	drop_children(s->cw, l);
	for (uint32_t w = 0; w < env->n_workers; w++) {
		if (w != env->worker)
			mail(env, w, SOCK_MAIL_UNLISTEN, l, 0);
	}
	sock_set_flag(s, 0, CHAN_A_WANT_HEAD);
	queue_hide(s);
	listener_free(l);
}

/* To the program close() is done when it returns: this does not wait for the mark that it has left, or
 * for the home worker's mail. */
bool sock_listener_closed(struct tcp_env *tcp, struct tcp_listener *tl)
{
	struct listener *l = container_of(tl, struct listener, tl);
	const struct chan_sock_b *b = &l->client->sock_b[l->sock];
	uint32_t seq = atomic_load_explicit(&b->close_seq, memory_order_acquire);

	(void)tcp;
	if (seq == l->close_seq)
		return false;
	if (!sock_is_held(l->client, l->sock))
		return true;
	l->close_seq = seq;
	return false;
}

/* ---- passive connections ---- */
struct tcp_conn *sock_conn_new(struct tcp_env *tcp, struct tcp_listener *tl,
			       const struct tcp_flow *flow)
{
	struct sock_env *env = env_of(tcp);
	struct listener *l = container_of(tl, struct listener, tl);
	struct client_worker *cw = cw_here(env, l->client);
	struct sock *s = cw && !cw->violated ? sock_new(cw) : NULL;

	if (!s)
		return NULL;
	if (sock_ring_open(s, REGION_UP, 0, SOCK_TX_FIRST) < 0) {
		sock_free(s);
		return NULL;
	}
	const struct sock *home = l->home;
	const struct chan_sock_b *from = home ? home->b : &l->client->sock_b[l->sock];
	struct chan_opts o = sock_read_opts(from);
	s->b->opts = o; /* inherited, visible to getsockopt() */
	s->sndbuf = o.sndbuf ? l->opts.sndbuf : 0;
	sock_note_opts(s, &o);
	if (s->sndbuf)
		s->a->sndbuf = s->sndbuf;
	s->v6 = l->is_v6;
	s->a->v6 = l->is_v6;
	s->a->local = flow->local;
	s->a->remote = flow->remote;
	s->local = flow->local;
	s->hold = l->hold;
	ports_get(s->hold);
	s->passive = s->started = true;
	s->conn.id = s->id;
	l->embryos++;
	tcp_queue_add(tl, TCPQ_ACCEPT, 1);
	return &s->conn;
}

void sock_accepted(struct tcp_env *tcp, struct tcp_listener *tl, struct tcp_conn *c)
{
	struct sock_env *env = env_of(tcp);
	struct listener *l = container_of(tl, struct listener, tl);
	struct sock *s = sock_of(c);

	l->embryos--;
	s->established = s->queued = true;
	s->a->mss = c->mss;
	sock_near_buffer(s);
	sock_set_state(s, CHAN_ST_CONNECTED);
	if (l->home)
		ring_push(l, env->worker, s->id, s->gen); /* the core has seen that there is room */
	else
		mail(env, l->home_worker, SOCK_MAIL_ACCEPTED, l, (uint64_t)s->id << 32 | s->gen);
}

/* ---- mail ---- */
static struct listener *find_proxy(struct client_worker *cw, uint64_t name)
{
	list_for_each(it, &cw->proxies) {
		struct listener *l = container_of(it, struct listener, link);

		if (((uint64_t)l->sock << 32 | l->gen) == name)
			return l;
	}
	return NULL;
}

static void proxy_close(struct client_worker *cw, struct listener *l)
{
	struct sock_env *env = cw->env;

	tcp_unlisten(&env->tcp, &l->tl);
	drop_children(cw, l);
	list_del(&l->link);
	ports_put(env->ports, l->hold, 0);
	listener_free(l);
}

void sock_proxies_close(struct client_worker *cw)
{
	while (!list_empty(&cw->proxies))
		proxy_close(cw, container_of(cw->proxies.next, struct listener, link));
}

void sock_proxies_check(struct client_worker *cw)
{
	list_for_each_safe(it, next, &cw->proxies) {
		struct listener *l = container_of(it, struct listener, link);

		if (!sock_is_held(cw->client, l->sock))
			proxy_close(cw, l);
	}
}

/* A new proxy, or another backlog and other options for the one we have. */
static void mail_listen(struct sock_env *env, struct listener *fresh, bool new_options)
{
	struct client_worker *cw = cw_here(env, fresh->client);
	struct listener *old = cw ? find_proxy(cw, (uint64_t)fresh->sock << 32 | fresh->gen) : NULL;

	if (old) {
		old->tl.backlog = fresh->tl.backlog;
		old->opts = fresh->opts;
		old->tl.fo_keys = fresh->tl.fo_keys;
	}
	if (cw && !new_options)
		mail(env, fresh->home_worker, SOCK_MAIL_LISTEN_ACK, fresh, 0);
	fresh->tl.opts = &fresh->opts;
	list_init(&fresh->tl.link);
	if (!cw || old || new_options || tcp_listen(&env->tcp, &fresh->tl) < 0) {
		sock_listen_unsent(env, fresh);
		return;
	}
	list_push(&cw->proxies, &fresh->link);
}

static void mail_ack(struct client_worker *cw, struct sock *home, uint64_t round)
{
	struct listener *l = home ? home->l : NULL;

	if (l && l->round == round && l->acks && --l->acks == 0)
		sock_reply(cw, l->call_slot, l->call_seq, 0, home);
}

static void mail_accepted(struct sock_env *env, struct client_worker *cw,
			  const struct sock_mail *msg)
{
	struct sock *home = find(cw, msg->a);
	struct sock_mail no = { .type = SOCK_MAIL_DROPPED, .from = env->worker, .p = msg->p,
				.a = msg->a, .b = msg->b };

	/* Of a listen() that a shutdown() has ended: its worker hears of that, too, and resets it. */
	if (home && home->l && home->l->round == msg->c &&
	    ring_push(home->l, msg->from, (uint32_t)(msg->b >> 32), (uint32_t)msg->b))
		return;
	sock_post(env, msg->from, &no);
}

void sock_listen_mail(struct sock_env *env, const struct sock_mail *msg)
{
	if (msg->type == SOCK_MAIL_LISTEN || msg->type == SOCK_MAIL_LISTEN_OPTS) {
		mail_listen(env, msg->p, msg->type == SOCK_MAIL_LISTEN_OPTS);
		return;
	}
	/* Going: the other worker hears the same from the control thread. */
	struct client_worker *cw = cw_here(env, msg->p);
	struct listener *l;
	struct sock *s;

	if (!cw)
		return;
	switch (msg->type) {
	case SOCK_MAIL_LISTEN_ACK:
		mail_ack(cw, find(cw, msg->a), msg->c);
		break;
	case SOCK_MAIL_UNLISTEN:
		l = find_proxy(cw, msg->a);
		if (l)
			proxy_close(cw, l);
		break;
	case SOCK_MAIL_ACCEPTED:
		mail_accepted(env, cw, msg);
		break;
	default: /* TAKEN, DROPPED */
		s = find(cw, msg->b);
		if (s)
			give(cw, s, msg->type == SOCK_MAIL_TAKEN);
		break;
	}
}
