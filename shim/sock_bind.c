/* bind and listen of a stream socket: on the stack, in the kernel, or both. */
// SPDX-License-Identifier: MIT
#include <unistd.h>
#include "shim/addr.h"
#include "shim/engine.h"
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/route.h"
#include "shim/sock_async.h"
#include "shim/sock_conn.h"
#include "shim/sock_limit.h"
#include "shim/sock_opt.h"
#include "stack/chan/stream.h"

enum { PORT_TRIES = 16 };

int sock_refusal(int err)
{
	switch (err) {
	case -ENOTCONN:
		return CHAN_REASON_engine_gone;
	case -EACCES:
		return CHAN_REASON_unlisted_port;
	case -EDQUOT:
		return CHAN_REASON_quota;
	case -ENOBUFS:
	case -ENOMEM:
	case -ENFILE:
		return CHAN_REASON_pool_exhausted;
	case -EOPNOTSUPP:
		return CHAN_REASON_call_unsupported;
	default:
		return -1;
	}
}

/* ---- bind ---- */
/* Why an address can only be the kernel's, or -1. */
static int bind_reason(const struct sock *s, const struct chan_app *app, const struct endpoint *ep)
{
	if (ipaddr_is_any(&ep->addr)) /* :: serves IPv4, too, unless it must not */
		return s->b->opts.flags & CHAN_O_V6ONLY && s->family == AF_INET6 && !route_has_v6(app) ?
			       (int)CHAN_REASON_bind_v6 : -1;
	if (ipaddr_is_loopback(&ep->addr))
		return sock_claims_loopback(app) ? -1 : (int)CHAN_REASON_bind_loopback;
	if (route_is_own(app, ep))
		return -1;
	return ipaddr_is_v4(&ep->addr) ? CHAN_REASON_bind_foreign_addr : CHAN_REASON_bind_v6;
}

/* A bound kernel socket for ep; *port is what it got. Number or -errno. */
static int twin_open(struct sock *s, const struct endpoint *ep, uint16_t *port)
{
	int k = libc.socket(s->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, s->protocol);
	struct sockaddr_storage ss;
	socklen_t len = addr_emit(&ss, s->family, ep);
	struct endpoint got;
	int r;

	if (k < 0)
		return -errno;
	sock_opt_replay(s, k);
	if (libc.bind(k, (struct sockaddr *)&ss, len) < 0)
		goto fail;
	len = sizeof(ss);
	if (libc.getsockname(k, (struct sockaddr *)&ss, &len) < 0)
		goto fail;
	addr_parse(&got, s->family, (struct sockaddr *)&ss, len, ADDR_BIND);
	*port = got.port;
	return k;
fail:
	r = -errno;
	libc.close(k);
	return r;
}

/* Reserves ep in the engine, on a data thread; s is attached afterwards. */
static int bind_stack(struct sock *s, struct chan_app *app, const struct endpoint *ep, uint32_t worker)
{
	struct chan_req req = {
		.op = CHAN_OP_BIND,
		.type = SOCK_STREAM,
		.v6 = s->family == AF_INET6,
		.arg[1] = sock_port_range(s),
		.local = *ep,
		.opts = s->b->opts,
	};
	struct chan_rep rep;
	uint32_t noted = atomic_load(&s->b->flags); /* by a shutdown() too early */
	int r = chan_call(app, worker, &req, &rep);

	if (r < 0)
		return r;
	sock_attach(s, app, rep.sock, rep.gen);
	atomic_fetch_or(&s->b->flags, noted);
	s->bound = rep.local;
	return 0;
}

/* Any address: the kernel and the stack, on the same port. For port 0 the kernel chooses, and chooses again
 * while the stack has that one in use; the sockets tried so far stay open, so that it moves on. */
static int bind_both(struct sock *s, struct chan_app *app, const struct endpoint *ep)
{
	int tried[PORT_TRIES], n = 0, r = -EADDRINUSE;
	struct endpoint at = *ep;

	while (r == -EADDRINUSE && n < (ep->port ? 1 : PORT_TRIES)) {
		int k = twin_open(s, ep, &at.port);

		if (k < 0) {
			r = k;
			break;
		}
		tried[n++] = k;
		r = bind_stack(s, app, &at, chan_pick_worker(app));
		if (r == 0 && unlikely(sock_has(s, SOCK_OWN_FILE)))
			sock_async_twin(s);
		if (r == 0)
			r = sock_put_under(s, k);
	}
	while (n)
		libc.close(tried[--n]);
	if (r < 0)
		return r;
	atomic_fetch_or(&s->flags, SOCK_TWIN);
	return 0;
}

/* Only the kernel can: a socket that it refuses stays undecided. */
static int bind_kernel(struct sock *s, const struct endpoint *ep, enum chan_reason why)
{
	int r;

	s->bound = *ep;
	atomic_fetch_or(&s->flags, SOCK_BOUND);
	r = sock_to_kernel_locked(s, why);
	if (r == SOCK_TO_KERNEL)
		return 0;
	s->bound = (struct endpoint){ 0 };
	atomic_fetch_and(&s->flags, ~(uint32_t)SOCK_BOUND);
	return r;
}

/* Bound or connected already. Linux looks at the address first: nobody's is EADDRNOTAVAIL. Not so
 * __inet6_bind(). */
static int bind_again(const struct sock *s, const struct endpoint *ep)
{
	struct endpoint at = { .addr = ep->addr };
	struct sockaddr_storage ss;
	int k, r = 0;

	if (!s->app || s->b->opts.flags & CHAN_O_FREEBIND || s->family == AF_INET6 ||
	    bind_reason(s, s->app, ep) != (int)CHAN_REASON_bind_foreign_addr)
		return -EINVAL;
	k = libc.socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (k < 0)
		return -EINVAL;
	if (libc.bind(k, (struct sockaddr *)&ss, addr_emit(&ss, s->family, &at)) < 0)
		r = -errno;
	libc.close(k);
	return r == -EADDRNOTAVAIL ? r : -EINVAL;
}

/* Gives up what it is bound to, on both sides. */
static void unbind(struct sock *s)
{
	uint32_t noted = atomic_load(&s->b->flags) & (CHAN_B_SHUT_RD | CHAN_B_SHUT_WR);

	sock_twin_drop(s);
	sock_drop(s);
	atomic_fetch_or(&s->b->flags, noted);
	s->bound = (struct endpoint){ 0 };
	atomic_fetch_and(&s->flags, ~(uint32_t)(SOCK_BOUND | SOCK_PORT_LOOSE));
}

int sock_bind_on(struct sock *s, uint32_t worker)
{
	struct chan_app *app = s->app;
	int r;

	engine_ref(app);
	sock_drop(s);
	r = bind_stack(s, app, &s->bound, worker);
	engine_put(app);
	if (r < 0)
		unbind(s);
	return r;
}

/* IP_BIND_ADDRESS_NO_PORT: connect() or listen() will choose the port. */
static int bind_address(struct sock *s, const struct endpoint *ep)
{
	s->bound = *ep;
	s->draft->a.local = *ep;
	atomic_fetch_or(&s->flags, SOCK_PORT_LOOSE);
	return 0;
}

int sock_bind_locked(struct sock *s, const struct endpoint *ep)
{
	enum chan_reason no = CHAN_REASON_no_engine;
	struct chan_app *app;
	int r, why;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (sock_mode(s) == SOCK_STACK)
		sock_close_ended(s);
	if (sock_has(s, SOCK_PORT_LOOSE) && sock_mode(s) == SOCK_UNDECIDED)
		unbind(s);
	if (sock_has(s, SOCK_BOUND) || sock_mode(s) != SOCK_UNDECIDED)
		return bind_again(s, ep);
	if (s->b->opts.flags & CHAN_O_V6ONLY && s->family == AF_INET6 && ipaddr_is_v4(&ep->addr))
		return -EINVAL;
	app = engine_get(&no);
	if (!app)
		return bind_kernel(s, ep, no);
	why = bind_reason(s, app, ep);
	if (why < 0 && !ep->port && sock_opt_value(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT)) {
		r = bind_address(s, ep);
	} else if (why < 0) {
		r = ipaddr_is_any(&ep->addr) ? bind_both(s, app, ep) :
					       bind_stack(s, app, ep, chan_pick_worker(app));
		why = r < 0 ? sock_refusal(r) : -1;
	}
	engine_put(app);
	if (why >= 0)
		return bind_kernel(s, ep, (enum chan_reason)why);
	if (r == 0)
		atomic_fetch_or(&s->flags, SOCK_BOUND);
	if (r == 0 && addr_is_v6(&ep->addr)) /* __inet6_bind(): and nothing else from now on */
		s->b->opts.flags |= CHAN_O_V6ONLY;
	return r;
}

int sock_bind(struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	struct endpoint ep;
	int r = addr_parse(&ep, s->family, addr, len, ADDR_BIND);

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (r < 0)
		return r;
	r = sock_lock(s);
	if (r < 0)
		return r;
	r = sock_bind_locked(s, &ep);
	if (r == 0 && ep.port)
		atomic_fetch_or(&s->flags, SOCK_PORT_GIVEN);
	sock_unlock(s);
	return r;
}

/* ---- listen ---- */
/* What bind() put off. */
static int bind_port_now(struct sock *s)
{
	enum chan_reason no = CHAN_REASON_no_engine;
	struct chan_app *app = engine_get(&no);
	struct endpoint ep = s->bound;
	int r;

	if (!app)
		return sock_to_kernel_locked(s, no);
	r = ipaddr_is_any(&ep.addr) ? bind_both(s, app, &ep) :
				      bind_stack(s, app, &ep, chan_pick_worker(app));
	engine_put(app);
	return r;
}

static int listen_locked(struct sock *s, int backlog)
{
	struct endpoint any = { .addr = addr_any(s->family) };
	struct chan_req req = { .op = CHAN_OP_LISTEN };
	int r = 0;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (sock_mode(s) == SOCK_STACK && !sock_has(s, SOCK_LISTENING))
		return -EINVAL;
	sock_follow(s);
	if (sock_has(s, SOCK_ADDR_KEPT))
		any.addr = s->a->local.addr;
	if (!sock_has(s, SOCK_BOUND))
		r = sock_bind_locked(s, &any);
	if (r == 0 && !sock_is_attached(s) && sock_mode(s) != SOCK_KERNEL)
		r = bind_port_now(s);
	if (r < 0 || sock_mode(s) == SOCK_KERNEL)
		return r < 0 ? r : SOCK_TO_KERNEL;
	/* As the kernel: the number is unsigned, and net.core.somaxconn is the limit it knows. */
	req.arg[0] = min_u32((unsigned)backlog, (unsigned)sock_backlog_max());
	s->backlog = (uint32_t)req.arg[0];
	atomic_fetch_and(&s->b->flags, ~(uint32_t)CHAN_B_SHUT_RD); /* of a shutdown() too early */
	req.sock = s->id;
	req.gen = s->gen;
	req.opts = s->b->opts;
	sock_opt_put_key(s, &req);
	r = sock_is_dead(s) ? -ENOTCONN : chan_call(s->app, s->a->worker, &req, NULL);
	if (r < 0 && sock_mode(s) == SOCK_UNDECIDED && sock_refusal(r) >= 0)
		return sock_to_kernel_locked(s, (enum chan_reason)sock_refusal(r));
	if (r < 0 && !sock_has(s, SOCK_TWIN))
		return r == -ENOTCONN ? -ENETDOWN : r;
	if (sock_has(s, SOCK_TWIN) && libc.listen(sock_fd(s), backlog) < 0)
		return -errno;
	if (sock_has(s, SOCK_LISTENING))
		return 0;
	explain_stack();
	if (sock_has(s, SOCK_TWIN))
		explain_kernel(CHAN_REASON_listen_twin);
	atomic_fetch_or(&s->flags, SOCK_LISTENING);
	atomic_store_explicit(&s->mode, SOCK_STACK, memory_order_release);
	if (s->epoll_items && sock_has(s, SOCK_TWIN))
		epoll_sock_twin(s);
	if (s->epoll_items)
		epoll_sock_attached(s);
	return 0;
}

int sock_listen(struct sock *s, int backlog)
{
	int r = sock_lock(s);

	if (r < 0)
		return r;
	r = listen_locked(s, backlog);
	sock_unlock(s);
	return r;
}
