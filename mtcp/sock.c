/* Sockets of a context: made, bound, listening, accepted, ended, and their names. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "mtcp/addr.h"
#include "mtcp/ctx.h"
#include "mtcp/export.h"
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"

enum { NEVER = 7200 };

/* mTCP sends at once, and one thread each listens on the same port. */
static struct chan_opts first_opts(void)
{
	struct chan_opts o = { .flags = CHAN_O_NODELAY | CHAN_O_REUSEADDR };
	int timeout = mtcp_config.tcp_timeout;

	o.rcvbuf = (uint32_t)mtcp_config.rcvbuf_size;
	o.sndbuf = (uint32_t)mtcp_config.sndbuf_size;
	if (timeout > 0) { /* a peer that is silent, asked twice, is gone after it */
		o.flags |= CHAN_O_KEEPALIVE;
		o.keepidle_s = timeout < NEVER ? ((uint32_t)timeout + 1) / 2 : NEVER;
		o.keepintvl_s = max_u32(o.keepidle_s / 2, 1);
		o.user_timeout_ms = min_u32((uint32_t)timeout, INT32_MAX / 1000) * 1000;
	}
	return o;
}

EXPORT int mtcp_socket(mctx_t mctx, int domain, int type, int protocol)
{
	struct mtcp_context *m = ctx_of(mctx);
	struct slot *s;

	if (!m)
		return -1;
	if (domain != AF_INET)
		return fail(EAFNOSUPPORT);
	if (type != SOCK_STREAM)
		return fail(EINVAL);
	if (protocol != 0 && protocol != IPPROTO_TCP)
		return fail(EPROTONOSUPPORT);
	s = slot_take(m, MTCP_SOCK_STREAM);
	if (!s)
		return fail(ENFILE);
	s->opts = first_opts();
	return slot_number(m, s);
}

/* A place in the present engine, at ep, on a data thread of it. 0 or -errno. */
static int bind_on(struct mtcp_context *m, struct slot *s, const struct endpoint *ep, uint32_t worker)
{
	struct link *l = link_get(m);
	struct chan_req req = { .op = CHAN_OP_BIND, .type = SOCK_STREAM, .local = *ep };
	struct chan_rep rep;
	int r;

	if (!l)
		return -ENETDOWN;
	if (!addr_is_ours(&l->app, &ep->addr))
		return -EADDRNOTAVAIL;
	if (ep->port)
		s->opts.flags |= CHAN_O_REUSEPORT;
	req.opts = s->opts;
	r = chan_call(&l->app, worker % l->app.n_workers, &req, &rep);
	if (r < 0)
		return r == -ENOTCONN ? -ENETDOWN : r;
	chan_hold(&l->app, rep.sock);
	chan_sock_b(&l->app, rep.sock)->opts = req.opts;
	if (ctx_lock(m) < 0)
		return -EDEADLK;
	link_enter(m, s, l, rep.sock, rep.gen);
	ctx_unlock(m);
	return 0;
}

static int bind_at(struct mtcp_context *m, struct slot *s, const struct endpoint *ep)
{
	return bind_on(m, s, ep, (uint32_t)m->cpu);
}

int sock_rehome(struct mtcp_context *m, struct slot *s, uint32_t worker)
{
	struct chan_req req = { .op = CHAN_OP_UNBIND, .sock = s->id, .gen = s->gen };
	struct endpoint at = slot_a(s)->local;
	struct chan_opts opts = slot_b(s)->opts;
	struct link *l = s->link;
	uint32_t home = slot_a(s)->worker;
	int r;

	if (ctx_lock(m) < 0)
		return -EDEADLK;
	link_leave(m, s);
	ctx_unlock(m);
	if (link_serves(l))
		chan_call(&l->app, home, &req, NULL);
	s->opts = opts;
	r = bind_on(m, s, &at, worker);
	if (r < 0)
		s->flags &= (uint8_t)~SLOT_BOUND;
	return r;
}

int sock_follow(struct mtcp_context *m, struct slot *s)
{
	return !s->link || link_serves(s->link) ? 0 : sock_rehome(m, s, (uint32_t)m->cpu);
}

EXPORT int mtcp_bind(mctx_t mctx, int sockid, const struct sockaddr *addr, socklen_t addrlen)
{
	struct slot *s = sock_of(mctx, sockid);
	struct endpoint ep;
	int r;

	if (!s)
		return -1;
	if (!addr || s->flags & (SLOT_BOUND | SLOT_CONNECTED) || addr_parse(&ep, addr, addrlen) < 0)
		return fail(EINVAL);
	r = bind_at(mctx, s, &ep);
	if (r < 0)
		return fail(-r);
	s->flags |= SLOT_BOUND;
	return 0;
}

/* ---- listeners ---- */
/* Every context may listen on a port, but once. */
static bool is_listened_on(const struct mtcp_context *m, const struct endpoint *ep)
{
	for (const struct slot *s = m->listeners; s; s = s->next_listener) {
		struct endpoint at = slot_a(s)->local;

		if (at.port == ep->port && (ipaddr_is_any(&at.addr) || ipaddr_is_any(&ep->addr) ||
					    ipaddr_eq(&at.addr, &ep->addr)))
			return true;
	}
	return false;
}

static int listen_call(struct slot *s, int backlog)
{
	struct chan_req req = {
		.op = CHAN_OP_LISTEN,
		.sock = s->id,
		.gen = s->gen,
		.arg = { (uint64_t)backlog },
		.opts = slot_b(s)->opts,
	};
	int r = chan_call(&s->link->app, slot_a(s)->worker, &req, NULL);

	return r == -ENOTCONN ? -ENETDOWN : r;
}

int listener_move(struct mtcp_context *m, struct slot *s, const struct endpoint *ep)
{
	int r = bind_at(m, s, ep);

	return r < 0 ? r : listen_call(s, s->backlog);
}

void listener_forget(struct mtcp_context *m, struct slot *s)
{
	struct slot **p = &m->listeners;

	while (*p && *p != s)
		p = &(*p)->next_listener;
	if (*p)
		*p = s->next_listener;
	follow_close(m, s);
}

EXPORT int mtcp_listen(mctx_t mctx, int sockid, int backlog)
{
	struct slot *s = sock_of(mctx, sockid);
	struct endpoint any = { .addr = ipaddr_v4(0) }, at;
	int r;

	if (!s)
		return -1;
	if (backlog <= 0 || s->flags & SLOT_CONNECTED)
		return fail(EINVAL);
	r = s->kind == MTCP_SOCK_LISTENER ? 0 : sock_follow(mctx, s);
	if (r == 0 && !s->link)
		r = bind_at(mctx, s, &any);
	if (r < 0)
		return fail(-r);
	at = slot_a(s)->local;
	if (s->kind != MTCP_SOCK_LISTENER && is_listened_on(mctx, &at))
		return fail(EADDRINUSE);
	s->backlog = (uint16_t)min_u32((uint32_t)backlog, UINT16_MAX);
	r = listen_call(s, s->backlog);
	if (r < 0)
		return fail(-r);
	s->flags |= SLOT_BOUND;
	if (s->kind == MTCP_SOCK_LISTENER)
		return 0;
	s->kind = MTCP_SOCK_LISTENER;
	s->next_listener = mctx->listeners;
	mctx->listeners = s;
	if (ctx_lock(mctx) == 0) {
		set_notice(s);
		ctx_unlock(mctx);
	}
	return 0;
}

/* The next connection: -EAGAIN, none. */
static int accept_next(struct mtcp_context *m, struct slot *s, struct link **l, uint32_t *id, uint32_t *gen)
{
	int r = -EAGAIN;

	if (unlikely(s->elder != NULL))
		r = follow_accept(m, s, l, id, gen);
	if (r == 0)
		return 0;
	*l = s->link;
	return chan_accept_pop(&s->link->app, s->id, id, gen);
}

static bool has_next(const struct slot *s)
{
	return chan_rx_avail(slot_a(s), slot_b(s)) || (s->elder && follow_has(s));
}

EXPORT int mtcp_accept(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen)
{
	struct slot *s = sock_of(mctx, sockid), *n;
	uint32_t id, gen;
	struct link *l;
	int r;

	if (!s)
		return -1;
	if (s->kind != MTCP_SOCK_LISTENER)
		return fail(EINVAL);
	/* Without a descriptor for it the connection stays in the queue. */
	n = slot_take(mctx, MTCP_SOCK_STREAM);
	if (!n)
		return fail(has_next(s) ? ENFILE : EAGAIN);
	for (;;) {
		uint32_t seen = chan_sock_seq(slot_a(s));

		r = accept_next(mctx, s, &l, &id, &gen);
		if (r == -EAGAIN && unlikely(follow_is_due(mctx)))
			follow(mctx);
		if (r != -EAGAIN || s->flags & SLOT_NONBLOCK)
			break;
		if (slot_is_dead(s)) {
			r = -ENETDOWN;
			break;
		}
		r = slot_wait(mctx, s, seen);
		if (r < 0)
			break;
	}
	if (r < 0) {
		slot_give(mctx, n);
		return fail(r == -EDEADLK ? EAGAIN : -r);
	}
	n->flags |= SLOT_CONNECTED;
	chan_sock_b(&l->app, id)->opts = slot_b(s)->opts;
	link_enter(mctx, n, l, id, gen);
	if (addr && addrlen)
		addr_give(addr, addrlen, &slot_a(n)->remote);
	return slot_number(mctx, n);
}

/* ---- the end ---- */
int slot_close(struct mtcp_context *m, struct slot *s)
{
	if (ctx_lock(m) < 0)
		return -EDEADLK;
	if (s->set)
		set_remove(s);
	switch (s->kind) {
	case MTCP_SOCK_LISTENER:
		listener_forget(m, s);
		link_leave(m, s);
		break;
	case MTCP_SOCK_STREAM:
		link_leave(m, s);
		break;
	case MTCP_SOCK_EPOLL:
		set_free(m, s->ep);
		break;
	case MTCP_SOCK_PIPE:
		pipe_close(m, s);
		break;
	default:
		break;
	}
	slot_give(m, s);
	ctx_unlock(m);
	return 0;
}

EXPORT int mtcp_close(mctx_t mctx, int sockid)
{
	struct mtcp_context *m = ctx_of(mctx);
	struct slot *s = m ? slot_of(m, sockid) : NULL;

	if (!s)
		return -1;
	return slot_close(m, s) < 0 ? fail(EDEADLK) : 0;
}

EXPORT int mtcp_abort(mctx_t mctx, int sockid)
{
	struct slot *s = sock_of(mctx, sockid);

	if (!s)
		return -1;
	if (s->kind != MTCP_SOCK_STREAM)
		return fail(ENOTSOCK);
	if (!(s->flags & SLOT_CONNECTED))
		return fail(ENOTCONN);
	if (s->link) { /* SO_LINGER with no time: the close resets */
		struct chan_sock_b *b = slot_b(s);

		b->opts.flags |= CHAN_O_LINGER;
		b->opts.linger_s = 0;
		atomic_fetch_add(&b->opt_seq, 1);
	}
	return slot_close(mctx, s) < 0 ? fail(EDEADLK) : 0;
}

EXPORT int mtcp_shutdown(mctx_t mctx, int sockid, int how)
{
	struct slot *s = sock_of(mctx, sockid);

	if (!s)
		return -1;
	if (how < SHUT_RD || how > SHUT_RDWR)
		return fail(EINVAL);
	if (slot_state(s) != CHAN_ST_CONNECTED || slot_is_dead(s))
		return fail(ENOTCONN);
	atomic_fetch_or(&slot_b(s)->flags, (how != SHUT_WR ? CHAN_B_SHUT_RD : 0) |
						   (how != SHUT_RD ? CHAN_B_SHUT_WR : 0));
	chan_mark(&s->link->app, s->id);
	if (ctx_lock(mctx) == 0) {
		set_notice(s);
		ctx_unlock(mctx);
	}
	return 0;
}

/* ---- names ---- */
EXPORT int mtcp_getsockname(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen)
{
	static const struct endpoint none;
	struct slot *s = sock_of(mctx, sockid);

	if (!s)
		return -1;
	if (!addr || !addrlen)
		return fail(EFAULT);
	addr_give(addr, addrlen, s->link ? &slot_a(s)->local : &none);
	return 0;
}

EXPORT int mtcp_getpeername(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen)
{
	struct slot *s = sock_of(mctx, sockid);

	if (!s)
		return -1;
	if (!addr || !addrlen)
		return fail(EFAULT);
	if (slot_state(s) != CHAN_ST_CONNECTED || slot_is_dead(s))
		return fail(ENOTCONN);
	addr_give(addr, addrlen, &slot_a(s)->remote);
	return 0;
}
