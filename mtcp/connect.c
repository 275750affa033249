/* mtcp_connect() and where its source addresses come from. */
// SPDX-License-Identifier: MIT
#include "mtcp/addr.h"
#include "mtcp/ctx.h"
#include "mtcp/export.h"
#include "stack/chan/stream.h"

/* mTCP makes a table here of the ports whose answers the NIC gives to this core. The engine chooses ports
 * by itself, and brings what arrives to the context that has the socket: what is left is the
 * choice of source addresses. */
EXPORT int mtcp_init_rss(mctx_t mctx, in_addr_t saddr_base, int num_addr, in_addr_t daddr, in_addr_t dport)
{
	struct mtcp_context *m = ctx_of(mctx);

	if (!m)
		return -1;
	if (num_addr < 1)
		return fail(EINVAL);
	m->sources = (struct sources){
		.base = be32_get((be32){ saddr_base }),
		.n = saddr_base == INADDR_ANY ? 0 : (uint32_t)num_addr,
	};
	return 0;
}

/* The next source address that is the stack's, or any. */
static struct ipaddr next_source(struct mtcp_context *m, const struct chan_app *app)
{
	struct sources *src = &m->sources;

	for (uint32_t i = 0; i < src->n; i++) {
		struct ipaddr a = ipaddr_v4(src->base + src->next);

		src->next = (src->next + 1) % src->n;
		if (addr_is_ours(app, &a))
			return a;
	}
	return ipaddr_v4(0);
}

/* -EINPROGRESS, or another -errno; -EXDEV: *home is the data thread to be bound on. */
static int start_here(struct mtcp_context *m, struct slot *s, const struct endpoint *to, uint32_t *home)
{
	struct link *l = s->link ? s->link : link_get(m);
	struct chan_req req = {
		.op = CHAN_OP_CONNECT,
		.sock = s->link ? s->id : CHAN_SOCK_NEW,
		.gen = s->gen,
		.type = SOCK_STREAM,
		.local = { .addr = ipaddr_v4(0) },
		.remote = *to,
		.opts = *slot_opts(s),
	};
	struct chan_rep rep;
	uint32_t worker;
	int r;

	if (!l)
		return -ENETDOWN;
	if (!addr_has_route(&l->app, &to->addr))
		return -ENETUNREACH;
	if (ipaddr_is_any(&to->addr)) /* this host */
		req.remote.addr = ipaddr_v4(INADDR_LOOPBACK);
	if (!s->link && m->sources.n)
		req.local.addr = next_source(m, &l->app);
	worker = s->link ? slot_a(s)->worker : (uint32_t)m->cpu % l->app.n_workers;
	r = chan_call(&l->app, worker, &req, &rep);
	/* Each data thread has ports of its own to choose from. */
	for (uint32_t i = 1; r == -EADDRNOTAVAIL && !s->link && i < l->app.n_workers; i++)
		r = chan_call(&l->app, (worker + i) % l->app.n_workers, &req, &rep);
	if (r == -EXDEV)
		*home = chan_rep_u32(&rep);
	if (r != 0 && r != -EINPROGRESS)
		return r == -ENOTCONN ? -ENETDOWN : r;
	if (!s->link) {
		chan_hold(&l->app, rep.sock);
		chan_sock_b(&l->app, rep.sock)->opts = req.opts;
		if (ctx_lock(m) < 0)
			return -EDEADLK;
		link_enter(m, s, l, rep.sock, rep.gen);
		ctx_unlock(m);
	}
	s->flags |= SLOT_CONNECTED;
	return -EINPROGRESS;
}

/* Which data thread a flow belongs to is known when both of its ends are. A bound socket may be on another
 * one. */
static int start(struct mtcp_context *m, struct slot *s, const struct endpoint *to)
{
	uint32_t home = 0;
	int r = sock_follow(m, s);

	if (r < 0)
		return r;
	r = start_here(m, s, to, &home);
	if (r == -EXDEV) {
		r = sock_rehome(m, s, home);
		if (r == 0)
			r = start_here(m, s, to, &home);
	}
	return r == -EADDRNOTAVAIL || r == -EXDEV ? -EAGAIN : r;
}

static int outcome(struct mtcp_context *m, struct slot *s)
{
	for (;;) {
		uint32_t seen = chan_sock_seq(slot_a(s));
		uint32_t state = slot_state(s);
		int r;

		if (slot_is_dead(s))
			return -ECONNRESET;
		if (state == CHAN_ST_CONNECTED)
			return 0;
		if (state != CHAN_ST_CONNECTING) {
			r = chan_take_error(slot_a(s), slot_b(s));
			return r ? -r : -ECONNABORTED;
		}
		r = slot_wait(m, s, seen);
		if (r < 0)
			return r;
	}
}

EXPORT int mtcp_connect(mctx_t mctx, int sockid, const struct sockaddr *addr, socklen_t addrlen)
{
	struct slot *s = sock_of(mctx, sockid);
	struct endpoint to;
	int r;

	if (!s)
		return -1;
	if (s->kind != MTCP_SOCK_STREAM)
		return fail(ENOTSOCK);
	if (!addr)
		return fail(EFAULT);
	if (addr_parse(&to, addr, addrlen) < 0)
		return fail(EAFNOSUPPORT);
	if (s->flags & SLOT_CONNECTED)
		return fail(slot_state(s) == CHAN_ST_CONNECTED ? EISCONN : EALREADY);
	r = start(mctx, s, &to);
	if (r == -EINPROGRESS && !(s->flags & SLOT_NONBLOCK))
		r = outcome(mctx, s);
	return r < 0 ? fail(-r) : 0;
}
