/* bind, listen, connect, shutdown and the names of a stream socket; accept is in sock_accept.c. */
// SPDX-License-Identifier: MIT
#include "shim/sock_conn.h"
#include <unistd.h>
#include "shim/addr.h"
#include "shim/engine.h"
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/sock_opt.h"
#include "shim/wait.h"
#include "stack/chan/stream.h"

enum { PORT_TRIES = 16, CONNECT_DONE = 1 };

/* ---- bind ---- */
static bool claims_loopback(const struct chan_app *app)
{
	return app->e->flags & CHAN_ENGINE_LOOPBACK;
}

/* Why an address can only be the kernel's, or -1. */
static int bind_reason(const struct sock *s, const struct chan_app *app, const struct endpoint *ep)
{
	if (ipaddr_is_any(&ep->addr))
		return s->family == AF_INET6 && s->b->opts.flags & CHAN_O_V6ONLY ?
			       (int)CHAN_REASON_bind_v6 : -1;
	if (ipaddr_is_loopback(&ep->addr)) /* ::1 is the kernel's for connect(), too */
		return claims_loopback(app) && !addr_is_v6(&ep->addr) ? -1 : CHAN_REASON_bind_loopback;
	if (engine_route(app, &ep->addr) == CHAN_ROUTE_LOCAL)
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

/* Reserves ep in the engine; s is attached afterwards. */
static int bind_stack(struct sock *s, struct chan_app *app, const struct endpoint *ep)
{
	struct chan_req req = {
		.op = CHAN_OP_BIND,
		.type = SOCK_STREAM,
		.v6 = s->family == AF_INET6,
		.local = *ep,
		.opts = s->b->opts,
	};
	struct chan_rep rep;
	uint32_t noted = atomic_load(&s->b->flags); /* by a shutdown() too early */
	int r = chan_call(app, chan_pick_worker(app), &req, &rep);

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
		r = bind_stack(s, app, &at);
		if (r == 0)
			r = sock_put_under(s, k);
	}
	while (n)
		libc.close(tried[--n]);
	if (r < 0)
		return r;
	atomic_fetch_or(&s->flags, SOCK_TWIN);
	if (s->epoll_items)
		epoll_sock_twin(s);
	return 0;
}

/* The engine would not, though it is no matter of the address: the kernel may. -1: tell the program. */
static int refusal(int err)
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

/* Bound or connected already. Linux looks at the address first: nobody's is EADDRNOTAVAIL. */
static int bind_again(const struct sock *s, const struct endpoint *ep)
{
	struct endpoint at = { .addr = ep->addr };
	struct sockaddr_storage ss;
	int k, r = 0;

	if (!s->app || s->b->opts.flags & CHAN_O_FREEBIND ||
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

static int bind_locked(struct sock *s, const struct endpoint *ep)
{
	enum chan_reason no = CHAN_REASON_no_engine;
	struct chan_app *app;
	int r, why;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (sock_has(s, SOCK_BOUND) || sock_mode(s) != SOCK_UNDECIDED)
		return bind_again(s, ep);
	app = engine_get(&no);
	if (!app)
		return bind_kernel(s, ep, no);
	why = bind_reason(s, app, ep);
	if (why < 0) {
		r = ipaddr_is_any(&ep->addr) ? bind_both(s, app, ep) : bind_stack(s, app, ep);
		why = r < 0 ? refusal(r) : -1;
	}
	engine_put(app);
	if (why >= 0)
		return bind_kernel(s, ep, (enum chan_reason)why);
	if (r == 0)
		atomic_fetch_or(&s->flags, SOCK_BOUND);
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
	r = bind_locked(s, &ep);
	sock_unlock(s);
	return r;
}

/* ---- listen ---- */
static int listen_locked(struct sock *s, int backlog)
{
	struct endpoint any = { .addr = ipaddr_v4(0) };
	struct chan_req req = { .op = CHAN_OP_LISTEN };
	int r = 0;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (sock_mode(s) == SOCK_STACK && !sock_has(s, SOCK_LISTENING))
		return -EINVAL;
	if (!sock_has(s, SOCK_BOUND))
		r = bind_locked(s, &any);
	if (r < 0 || sock_mode(s) == SOCK_KERNEL)
		return r < 0 ? r : SOCK_TO_KERNEL;
	/* As the kernel: the number is unsigned, and net.core.somaxconn is the limit it knows. */
	req.arg[0] = (unsigned)backlog > 65535 ? 65535 : (unsigned)backlog;
	s->backlog = (uint32_t)req.arg[0];
	atomic_fetch_and(&s->b->flags, ~(uint32_t)CHAN_B_SHUT_RD); /* again, after a shutdown */
	req.sock = s->id;
	req.gen = s->gen;
	req.opts = s->b->opts;
	r = sock_is_dead(s) ? -ENOTCONN : chan_call(s->app, s->a->worker, &req, NULL);
	if (r < 0 && sock_mode(s) == SOCK_UNDECIDED && refusal(r) >= 0)
		return sock_to_kernel_locked(s, (enum chan_reason)refusal(r));
	if (r < 0 && !sock_has(s, SOCK_TWIN))
		return r == -ENOTCONN ? -ENETDOWN : r;
	if (sock_has(s, SOCK_TWIN) && libc.listen(sock_fd(s), backlog) < 0)
		return -errno;
	if (sock_has(s, SOCK_LISTENING))
		return 0;
	explain_stack();
	if (sock_has(s, SOCK_TWIN))
		explain_kernel(CHAN_REASON_listen_twin);
	atomic_fetch_and(&s->flags, ~(uint32_t)(SOCK_CLOSED_RX | SOCK_CLOSED_TWICE));
	atomic_fetch_or(&s->flags, SOCK_LISTENING);
	atomic_store_explicit(&s->mode, SOCK_STACK, memory_order_release);
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

/* ---- connect ---- */
/* A failed attempt leaves a socket as good as new, but bound if it was. As in Linux, getsockname() goes
 * on to show the port it had, and nothing is left of a shutdown(). */
static void connect_reset(struct sock *s)
{
	bool bound = sock_has(s, SOCK_BOUND);
	struct endpoint ep = s->bound;
	uint16_t port = s->a->local.port;

	sock_drop(s);
	atomic_store(&s->flags, 0);
	s->bound = (struct endpoint){ 0 };
	if (s->draft) {
		atomic_store(&s->draft->b.flags, 0);
		s->draft->a.local = (struct endpoint){ .addr = ipaddr_v4(0), .port = port };
	}
	atomic_store_explicit(&s->mode, SOCK_UNDECIDED, memory_order_release);
	if (bound)
		bind_locked(s, &ep);
}

/* It is no longer under way: takes the result. */
static int connect_outcome(struct sock *s, uint32_t state)
{
	uint32_t id = s->id;
	int r = -sock_take_error(s);

	if (!r && state == CHAN_ST_CONNECTED) {
		atomic_fetch_or(&s->flags, SOCK_CONNECT_TOLD | SOCK_WAS_CONNECTED);
		return 0;
	}
	if (sock_lock(s) == 0) {
		if (s->id == id && sock_mode(s) == SOCK_STACK)
			connect_reset(s);
		sock_unlock(s);
	}
	return r ? r : -ECONNABORTED;
}

/* Waits for the outcome; 0 or -errno. */
static int connect_wait(struct sock *s)
{
	uint64_t deadline = wait_deadline_ms(atomic_load(&s->b->sndtimeo_ms));

	for (;;) {
		uint32_t seen = atomic_load_explicit(&s->a->evseq, memory_order_acquire);
		uint32_t state = atomic_load_explicit(&s->a->state, memory_order_acquire);
		int r;

		if (sock_is_broken(s) || state != CHAN_ST_CONNECTING)
			return connect_outcome(s, state);
		r = wait_sock(s, seen, deadline);
		if (r == -EAGAIN)
			return -EINPROGRESS;
		if (r < 0)
			return r;
	}
}

/* The second and later calls on a socket of the stack. 0: try anew, it is undecided again. */
static int connect_again(struct sock *s)
{
	uint32_t state = atomic_load_explicit(&s->a->state, memory_order_acquire);
	bool told = sock_has(s, SOCK_CONNECT_TOLD);
	int r;

	if (sock_has(s, SOCK_LISTENING | SOCK_WAS_CONNECTED | SOCK_ACCEPTED))
		return -EISCONN;
	if (sock_has(s, SOCK_DISCONNECTING))
		return -EINVAL;
	if (sock_is_broken(s) || state == CHAN_ST_CLOSED || state == CHAN_ST_FREE) {
		/* Linux: the first connect() after it takes the error. */
		r = -sock_take_error(s);
		connect_reset(s);
		return r ? r : told ? 0 : -ECONNABORTED;
	}
	if (state == CHAN_ST_CONNECTED) {
		atomic_fetch_or(&s->flags, SOCK_CONNECT_TOLD | SOCK_WAS_CONNECTED);
		return told ? -EISCONN : CONNECT_DONE;
	}
	return sock_is_nonblocking(s) ? -EALREADY : -EINPROGRESS;
}

static int connect_reason(const struct chan_app *app, const struct endpoint *to)
{
	if (addr_is_v6(&to->addr))
		return ipaddr_is_loopback(&to->addr) ? CHAN_REASON_connect_loopback :
						       CHAN_REASON_connect_v6;
	if (ipaddr_is_any(&to->addr) || ipaddr_is_loopback(&to->addr))
		return claims_loopback(app) ? -1 : (int)CHAN_REASON_connect_loopback;
	if (ipaddr_is_multicast(&to->addr) || !engine_route(app, &to->addr))
		return CHAN_REASON_connect_no_route;
	return -1;
}

/* Starts it in the engine: -EINPROGRESS or an error. */
static int connect_stack(struct sock *s, struct chan_app *app, const struct endpoint *to)
{
	struct chan_req req = {
		.op = CHAN_OP_CONNECT,
		.sock = s->id,
		.gen = s->gen,
		.type = SOCK_STREAM,
		.v6 = s->family == AF_INET6,
		.local = { .addr = ipaddr_v4(0) },
		.remote = *to,
		.opts = s->b->opts,
	};
	uint32_t worker = sock_is_attached(s) ? s->a->worker : chan_pick_worker(app);
	struct chan_rep rep;
	int r, k;

	if (ipaddr_is_any(&to->addr)) /* as Linux: this host */
		req.remote.addr = ipaddr_v4(0x7f000001);
	/* What a shutdown() before has noted would end the new connection at once. */
	atomic_fetch_and(&s->b->flags, ~(uint32_t)(CHAN_B_SHUT_RD | CHAN_B_SHUT_WR));
	r = chan_call(app, worker, &req, &rep);
	if (r != -EINPROGRESS && r != 0)
		return r;
	if (!sock_is_attached(s))
		sock_attach(s, app, rep.sock, rep.gen);
	if (sock_has(s, SOCK_TWIN)) {
		/* Bound to any address on both sides: the kernel's port is not needed any more. */
		k = sock_placeholder(SOCK_CLOEXEC);
		if (k >= 0) {
			sock_put_under(s, k);
			libc.close(k);
			atomic_fetch_and(&s->flags, ~(uint32_t)SOCK_TWIN);
		}
	}
	explain_stack();
	atomic_store(&s->own_error, 0);
	atomic_store_explicit(&s->mode, SOCK_STACK, memory_order_release);
	if (s->epoll_items)
		epoll_sock_attached(s);
	return -EINPROGRESS;
}

static int connect_new(struct sock *s, const struct endpoint *to)
{
	enum chan_reason no = CHAN_REASON_no_engine;
	bool fresh = !sock_is_attached(s);
	struct chan_app *app = fresh ? engine_get(&no) : s->app;
	int why, r = 0;

	if (!app)
		return sock_to_kernel_locked(s, no);
	why = connect_reason(app, to);
	if (why < 0) {
		r = connect_stack(s, app, to);
		why = refusal(r);
	}
	if (fresh)
		engine_put(app);
	return why >= 0 ? sock_to_kernel_locked(s, (enum chan_reason)why) : r;
}

static int connect_locked(struct sock *s, const struct endpoint *to)
{
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	/* The second call on a connection that is there has news once. */
	if (sock_mode(s) == SOCK_STACK && (r = connect_again(s)) != 0)
		return r == CONNECT_DONE ? 0 : r;
	return connect_new(s, to);
}

/* What Linux says before it looks at a bad address: the socket's own state. */
static int connect_bad_address(struct sock *s, int why)
{
	int r = 0;

	if (sock_mode(s) == SOCK_STACK)
		r = connect_again(s);
	return sock_mode(s) == SOCK_KERNEL ? SOCK_TO_KERNEL : r == CONNECT_DONE ? 0 : r ? r : why;
}

static bool is_live(uint32_t state)
{
	return state == CHAN_ST_CONNECTED || state == CHAN_ST_CONNECTING;
}

/* connect(AF_UNSPEC) ends the connection at once and leaves a socket as good as new. */
static int disconnect_locked(struct sock *s)
{
	struct chan_opts opts = s->b->opts;
	bool live;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (sock_mode(s) == SOCK_UNDECIDED)
		return 0;
	if (!s->draft && !sock_draft_add(s))
		return -ENOBUFS;
	live = is_live(atomic_load_explicit(&s->a->state, memory_order_acquire));
	s->b->opts.flags |= CHAN_O_LINGER; /* with time 0: reset */
	s->b->opts.linger_s = 0;
	atomic_fetch_add(&s->b->opt_seq, 1);
	connect_reset(s);
	s->b->opts.flags = (s->b->opts.flags & ~(uint32_t)CHAN_O_LINGER) | (opts.flags & CHAN_O_LINGER);
	s->b->opts.linger_s = opts.linger_s;
	if (live) /* tcp_disconnect(): what was cut off is told */
		atomic_store(&s->own_error, ECONNRESET);
	return 0;
}

int sock_connect(struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	bool unspec = (uintptr_t)addr >= 4096 && addr_is_unspec(addr, len);
	struct endpoint to;
	int bad = unspec ? 0 : addr_parse(&to, s->family, addr, len, ADDR_CONNECT), r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	/* These the system call itself refuses. */
	if (bad == -EFAULT || len > sizeof(struct sockaddr_storage) || (bad && len < 2))
		return bad;
	r = sock_lock(s);
	if (r < 0)
		return r;
	r = unspec ? disconnect_locked(s) : bad ? connect_bad_address(s, bad) : connect_locked(s, &to);
	sock_unlock(s);
	if (r == -EINPROGRESS && !sock_is_nonblocking(s))
		r = connect_wait(s);
	return r;
}

/* ---- shutdown ---- */
/* 0, 1: readiness has changed here and now, or -errno. */
static int shutdown_locked(struct sock *s, int how)
{
	uint32_t bits = (how != SHUT_WR ? CHAN_B_SHUT_RD : 0) | (how != SHUT_RD ? CHAN_B_SHUT_WR : 0);
	uint32_t state = atomic_load_explicit(&s->a->state, memory_order_acquire);

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (sock_mode(s) == SOCK_UNDECIDED) {
		atomic_fetch_or(&s->b->flags, bits); /* as the kernel: an error, but noted */
		return -ENOTCONN;
	}
	if (sock_has(s, SOCK_CLOSED_RX)) {
		if (bits & CHAN_B_SHUT_RD)
			atomic_fetch_or(&s->flags, SOCK_CLOSED_TWICE);
		return -ENOTCONN;
	}
	if (sock_has(s, SOCK_LISTENING)) {
		if (sock_has(s, SOCK_TWIN))
			libc.shutdown(sock_fd(s), how);
		if (bits & CHAN_B_SHUT_RD) {
			atomic_fetch_or(&s->flags, SOCK_CLOSED_RX);
			atomic_fetch_or(&s->b->flags, CHAN_B_SHUT_RD);
			chan_mark(s->app, s->id);
			sock_kick(s);
		}
		return 1;
	}
	if (sock_is_broken(s) || state == CHAN_ST_CLOSED || state == CHAN_ST_FREE) {
		/* Linux: an attempt whose failure nobody was told is SS_DISCONNECTING from now on. */
		if (!sock_has(s, SOCK_WAS_CONNECTED))
			atomic_fetch_or(&s->flags, SOCK_DISCONNECTING);
		return -ENOTCONN;
	}
	if (state == CHAN_ST_CONNECTING)
		return disconnect_locked(s);
	atomic_fetch_or(&s->flags, SOCK_CONNECT_TOLD | SOCK_WAS_CONNECTED);
	atomic_fetch_or(&s->b->flags, bits);
	chan_mark(s->app, s->id);
	sock_kick(s);
	return 1;
}

int sock_shutdown(struct sock *s, int how)
{
	int r;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	r = sock_lock(s);
	if (r < 0)
		return r;
	r = shutdown_locked(s, how);
	sock_unlock(s);
	if (r == 1 && s->epoll_items)
		epoll_sock_changed(s);
	return r == 1 ? 0 : r;
}

/* ---- names ---- */
int sock_getname(struct sock *s, struct sockaddr *addr, socklen_t *len)
{
	struct endpoint local;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	local = s->a->local;
	return addr_give(addr, len, s->family, &local);
}

int sock_getpeer(struct sock *s, struct sockaddr *addr, socklen_t *len)
{
	struct endpoint remote;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (sock_mode(s) != SOCK_STACK || sock_is_broken(s) ||
	    atomic_load_explicit(&s->a->state, memory_order_acquire) != CHAN_ST_CONNECTED)
		return -ENOTCONN;
	remote = s->a->remote;
	return addr_give(addr, len, s->family, &remote);
}
