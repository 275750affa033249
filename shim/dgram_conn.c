/* bind, connect, shutdown and the names of a datagram socket: which of its halves gets the port, and
 * which of them the peer. */
// SPDX-License-Identifier: MIT
#include <poll.h>
#include <unistd.h>
#include "shim/addr.h"
#include "shim/dgram_int.h"
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/route.h"
#include "shim/sock_conn.h"
#include "stack/chan/user.h"

enum { PORT_TRIES = 16, DRAIN_MAX = 65536 };

static const struct ipaddr any_addr = { .w = { 0, 0, 0, 0 } };

/* ---- the kernel's half ---- */
uint16_t dgram_kernel_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (libc.getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return 0;
	return be16_get((be16){ ((struct sockaddr_in *)&ss)->sin_port }); /* the same place in IPv6 */
}

static int kernel_bind(struct sock *s, int fd, const struct endpoint *ep)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_emit(&ss, s->family, ep);

	if (libc.bind(fd, (struct sockaddr *)&ss, len) < 0)
		return -errno;
	dgram_set(s, DGRAM_KERNEL_PORT, 0);
	return 0;
}

/* Dissolves a connection, and lets go of a port that nobody has named. */
static int kernel_disconnect(struct sock *s, int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	dgram_set(s, 0, DGRAM_KERNEL_PORT);
	return libc.connect(fd, &none, sizeof(none)) < 0 ? -errno : 0;
}

/* What has come in while nobody could hear it. */
static void kernel_drain(int fd)
{
	for (int i = 0; i < DRAIN_MAX; i++)
		if (sys_call6(SYS_recvfrom, fd, 0, 0, MSG_DONTWAIT, 0, 0) < 0)
			return;
}

static void stack_drain(struct sock *s)
{
	struct chan_dgram h;

	for (int i = 0; i < DRAIN_MAX; i++)
		if (chan_dgram_recv(s->app, s->id, &h, NULL, 0, 0, -1) < 0)
			return;
}

/* ---- the stack's half ---- */
/* A socket without a port may live on a thread that a port does not belong to: then it is made anew. */
static void leave_wrong_worker(struct sock *s, const struct chan_app *app, uint16_t port)
{
	if (dgram_has_stack(s) && port && !dgram_stack_port(s) &&
	    s->a->worker != chan_port_worker(port, s->app->n_workers))
		dgram_drop(s);
}

static uint32_t worker_for(const struct sock *s, struct chan_app *app, uint16_t port)
{
	if (dgram_has_stack(s))
		return s->a->worker;
	return port ? chan_port_worker(port, app->n_workers) : chan_pick_worker(app);
}

static struct chan_req request(const struct sock *s, uint32_t op)
{
	return (struct chan_req){
		.op = op,
		.sock = dgram_has_stack(s) ? s->id : CHAN_SOCK_NEW,
		.gen = dgram_has_stack(s) ? s->gen : 0,
		.type = SOCK_DGRAM,
		.v6 = s->family == AF_INET6,
		.opts = s->b->opts,
	};
}

static int call(struct sock *s, struct chan_app *app, struct chan_req *req, uint16_t port)
{
	bool fresh = !dgram_has_stack(s);
	struct chan_rep rep;
	int r = chan_call(fresh ? app : s->app, worker_for(s, app, port), req, &rep);

	if (r == 0 && fresh)
		dgram_adopt(s, app, &rep);
	return r;
}

int dgram_stack_bind(struct sock *s, struct chan_app *app, const struct endpoint *ep)
{
	struct chan_req req;

	leave_wrong_worker(s, app, ep->port);
	req = request(s, CHAN_OP_BIND);
	req.local = *ep;
	return call(s, app, &req, ep->port);
}

int dgram_stack_connect(struct sock *s, struct chan_app *app, uint16_t port,
			const struct endpoint *to)
{
	struct chan_req req;

	leave_wrong_worker(s, app, port);
	req = request(s, CHAN_OP_CONNECT);
	req.local = (struct endpoint){ .addr = addr_any(s->family), .port = port };
	if (sock_has(s, DGRAM_ONLY_STACK))
		req.local = (struct endpoint){ .addr = s->bound.addr, .port = port,
					       .scope = s->bound.scope };
	req.remote = *to;
	return call(s, app, &req, port);
}

/* 0 or -errno; then all is as it was. */
static int stack_disconnect(struct sock *s, bool free_port)
{
	struct chan_req req = request(s, CHAN_OP_CONNECT);

	req.remote.addr = ipaddr_v4(0);
	req.arg[0] = free_port ? CHAN_ARG_FREE_PORT : 0;
	return call(s, s->app, &req, dgram_stack_port(s));
}

/* ---- bind ---- */
enum { BIND_BOTH = -1, BIND_STACK = -2 };

/* To an IPv6 group: of a link it is one of an interface, which must be known. */
static int bind_group6(const struct sock *s, const struct chan_app *app, const struct endpoint *ep)
{
	bool zone = ipaddr_has_zone(&ep->addr);
	struct chan_route route;

	if (zone && ep->scope)
		return route_of_group6(app, ep->scope, &route) ? BIND_STACK : (int)CHAN_REASON_bind_v6;
	if (sock_has(s, DGRAM_DEVICE))
		return BIND_STACK;
	return zone || !route_has_v6(app) ? (int)CHAN_REASON_bind_v6 : BIND_BOTH;
}

/* BIND_*, or why only the kernel can. */
static int bind_where(const struct sock *s, const struct chan_app *app, const struct endpoint *ep)
{
	struct dgram_way way;
	struct endpoint at = *ep;

	if (ipaddr_is_any(&ep->addr) && sock_has(s, DGRAM_DEVICE))
		return BIND_STACK;
	if (s->family == AF_INET6 && s->b->opts.flags & CHAN_O_V6ONLY &&
	    (ipaddr_is_v4(&ep->addr) || !route_has_v6(app))) /* an IPv4 address it refuses */
		return CHAN_REASON_bind_v6;
	if (ipaddr_is_any(&ep->addr))
		return BIND_BOTH;
	if (ipaddr_is_loopback(&ep->addr))
		return dgram_claims_loopback(app) ? BIND_STACK : (int)CHAN_REASON_bind_loopback;
	if (route_is_own(app, ep))
		return BIND_STACK;
	if (!ipaddr_is_v4(&ep->addr))
		return ipaddr_is_multicast(&ep->addr) ? bind_group6(s, app, ep) : (int)CHAN_REASON_bind_v6;
	/* To a group or a broadcast address: hears only what was sent there, by any interface. */
	dgram_way(s, app, &at, &any_addr, 0, &way);
	if (way.group || ipaddr_get_v4(&ep->addr) == 0xffffffffu)
		return BIND_BOTH;
	return way.broadcast ? BIND_STACK : (int)CHAN_REASON_bind_foreign_addr;
}

static int bind_kernel(struct sock *s, int fd, const struct endpoint *ep, enum chan_reason why)
{
	int r = kernel_bind(s, fd, ep);

	if (r == 0)
		dgram_to_kernel(s, why);
	return r;
}

/* A port that the program has named: the stack first, because what the kernel has named stays. */
static int bind_named(struct sock *s, struct chan_app *app, int fd, const struct endpoint *ep)
{
	int r = dgram_stack_bind(s, app, ep);

	if (r == 0) {
		r = kernel_bind(s, fd, ep);
		if (r < 0)
			dgram_drop(s);
	} else if (sock_refusal(r) >= 0) {
		return bind_kernel(s, fd, ep, (enum chan_reason)sock_refusal(r));
	}
	return r;
}

/* The kernel chooses, and chooses again while the stack has that port in use. *at: any address. */
static int bind_chosen(struct sock *s, struct chan_app *app, int fd, struct endpoint *at)
{
	int r = -EADDRINUSE;

	for (int i = 0; i < PORT_TRIES && r == -EADDRINUSE; i++) {
		at->port = 0;
		r = kernel_bind(s, fd, at);
		if (r < 0)
			return r;
		at->port = dgram_kernel_port(fd);
		if (!at->port) /* IP_BIND_ADDRESS_NO_PORT: later */
			return 0;
		r = dgram_stack_bind(s, app, at);
		if (r == -EADDRINUSE)
			kernel_disconnect(s, fd);
	}
	/* The kernel's half has its port and works alone. */
	if (sock_refusal(r) >= 0) {
		dgram_to_kernel(s, (enum chan_reason)sock_refusal(r));
		return 0;
	}
	return r;
}

/* Any address, on both sides. */
static int bind_both(struct sock *s, struct chan_app *app, int fd, struct endpoint *ep)
{
	int r = ep->port ? bind_named(s, app, fd, ep) : bind_chosen(s, app, fd, ep);

	if (r == 0 && sock_mode(s) != SOCK_KERNEL) {
		if (addr_is_v6(&ep->addr))
			dgram_only_v6(s, fd);
		dgram_twin(s);
		dgram_count(s);
	}
	return r;
}

static int bind_only_stack(struct sock *s, struct chan_app *app, int fd, struct endpoint *ep)
{
	int r = dgram_stack_bind(s, app, ep);

	if (r < 0)
		return r;
	*ep = s->a->local;
	if (addr_is_v6(&ep->addr))
		dgram_only_v6(s, fd);
	dgram_set(s, ipaddr_is_any(&ep->addr) ? 0 : DGRAM_ONLY_STACK, SOCK_TWIN);
	dgram_count(s);
	return 0;
}

/* Bound already; but Linux looks at the address first (of an IPv6 socket last), and nobody's is
 * EADDRNOTAVAIL. The kernel knows its own addresses, not the stack's. */
static int bind_again(const struct sock *s, int where, const struct endpoint *ep)
{
	struct endpoint at = { .addr = ep->addr };
	struct sockaddr_storage ss;
	socklen_t len = addr_emit(&ss, s->family, &at);
	int k, r = 0;

	if (where < 0 || s->b->opts.flags & CHAN_O_FREEBIND || s->family == AF_INET6)
		return -EINVAL;
	k = libc.socket(s->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (k < 0)
		return -EINVAL;
	if (libc.bind(k, (struct sockaddr *)&ss, len) < 0)
		r = -errno;
	libc.close(k);
	return r == -EADDRNOTAVAIL ? r : -EINVAL;
}

static int bind_locked(struct sock *s, int fd, struct endpoint *ep)
{
	uint32_t lock = ep->port ? DGRAM_PORT_LOCK : 0;
	enum chan_reason no = CHAN_REASON_no_engine;
	struct chan_app *app;
	int where, r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	app = engine_get(&no);
	if (!app) /* when it is bound: EINVAL, or what is worse with the address */
		return dgram_kernel_port(fd) ? SOCK_TO_KERNEL : bind_kernel(s, fd, ep, no);
	where = bind_where(s, app, ep);
	if (dgram_kernel_port(fd) || sock_has(s, SOCK_BOUND) || dgram_stack_port(s))
		r = bind_again(s, where, ep);
	else if (where >= 0)
		r = bind_kernel(s, fd, ep, (enum chan_reason)where);
	else
		r = where == BIND_BOTH ? bind_both(s, app, fd, ep) : bind_only_stack(s, app, fd, ep);
	engine_put(app);
	if (r == 0 && ep->port) {
		s->bound = *ep;
		dgram_set(s, SOCK_BOUND | lock, 0);
	}
	return r;
}

int dgram_bind(struct sock *s, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct endpoint ep;
	int r;

	/* What is wrong with an address the kernel says best. */
	if (sock_mode(s) == SOCK_KERNEL || addr_parse(&ep, s->family, addr, len, ADDR_BIND) < 0)
		return SOCK_TO_KERNEL;
	r = sock_lock(s);
	if (r < 0)
		return r;
	r = bind_locked(s, fd, &ep);
	sock_unlock(s);
	return r;
}

static int autobind_locked(struct sock *s, int fd)
{
	struct endpoint ep = { .addr = s->family == AF_INET ? ipaddr_v4(0) : any_addr };
	enum chan_reason no;
	struct chan_app *app;
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (dgram_stack_port(s))
		return 0;
	app = engine_get(&no);
	if (!app)
		return -ENETUNREACH;
	ep.port = dgram_kernel_port(fd);
	if (sock_has(s, DGRAM_ONLY_STACK | DGRAM_DEVICE)) {
		if (sock_has(s, DGRAM_ONLY_STACK))
			ep = (struct endpoint){ .addr = s->bound.addr, .scope = s->bound.scope };
		r = bind_only_stack(s, app, fd, &ep);
	} else if (ep.port) {
		r = dgram_stack_bind(s, app, &ep);
		if (r == 0)
			dgram_count(s);
	} else {
		r = bind_both(s, app, fd, &ep);
	}
	engine_put(app);
	return sock_mode(s) == SOCK_KERNEL ? SOCK_TO_KERNEL : r;
}

int dgram_autobind(struct sock *s, int fd)
{
	int r = sock_lock(s);

	if (r < 0)
		return -EAGAIN;
	r = autobind_locked(s, fd);
	sock_unlock(s);
	return r;
}

int dgram_need_port(struct sock *s, int fd)
{
	int r;

	if (likely(dgram_stack_port(s)) || sock_has(s, DGRAM_KERNEL_PORT | DGRAM_KERNEL_CONN))
		return 0;
	r = dgram_autobind(s, fd);
	/* Without an engine the kernel's half does it itself. */
	return r == SOCK_TO_KERNEL ? r : r < 0 && r != -ENETUNREACH ? -EAGAIN : 0;
}

/* A port of the stack's alone is the kernel's from now on, too; in vain when another has it there: then
 * the number differs. */
static void share_port(struct sock *s, int fd)
{
	struct endpoint ep = { .addr = s->family == AF_INET ? ipaddr_v4(0) : any_addr,
			       .port = dgram_stack_port(s) };

	if (ep.port && !dgram_kernel_port(fd))
		kernel_bind(s, fd, &ep);
}

int dgram_kernel_ready(struct sock *s, int fd)
{
	int r = 0;

	if (likely(sock_has(s, DGRAM_KERNEL_PORT | DGRAM_KERNEL_CONN)))
		return 0;
	if (!dgram_stack_port(s))
		return dgram_autobind(s, fd);
	if (sock_lock(s) < 0)
		return 0;
	if (sock_mode(s) == SOCK_KERNEL)
		r = SOCK_TO_KERNEL;
	else
		share_port(s, fd);
	sock_unlock(s);
	return r;
}

/* ---- connect ---- */
static enum chan_reason connect_reason(const struct endpoint *to)
{
	if (ipaddr_is_loopback(&to->addr))
		return CHAN_REASON_connect_loopback;
	return addr_is_v6(&to->addr) ? CHAN_REASON_connect_v6 : CHAN_REASON_connect_no_route;
}

static int connect_kernel(struct sock *s, int fd, const struct endpoint *to,
			  const struct sockaddr *addr, socklen_t len)
{
	if (sock_has(s, DGRAM_ONLY_STACK))
		return -ENETUNREACH;
	share_port(s, fd);
	if (libc.connect(fd, addr, len) < 0)
		return -errno;
	if (dgram_is_stack_conn(s))
		stack_disconnect(s, false);
	dgram_set(s, DGRAM_KERNEL_CONN, 0);
	dgram_twin(s);
	explain_kernel(connect_reason(to));
	return 0;
}

static int connect_stack(struct sock *s, struct chan_app *app, int fd, const struct endpoint *to)
{
	uint16_t port = dgram_stack_port(s) ? dgram_stack_port(s) : dgram_kernel_port(fd);
	int r = dgram_stack_connect(s, app, port, to);

	if (r < 0)
		return r;
	if (sock_has(s, DGRAM_KERNEL_CONN)) {
		kernel_disconnect(s, fd);
		stack_drain(s);
		dgram_set(s, 0, DGRAM_KERNEL_CONN);
	}
	/* From now on only the peer is heard; what the kernel's half has got already stays readable. */
	if (!sock_has(s, DGRAM_SHARED) && !dgram_kernel_events(s, fd, POLLIN))
		dgram_set(s, 0, SOCK_TWIN);
	dgram_cork_turn(s, to);
	dgram_count(s);
	return 0;
}

static int connect_locked(struct sock *s, int fd, struct endpoint *to, const struct sockaddr *addr,
			  socklen_t len)
{
	enum chan_reason no = CHAN_REASON_no_engine;
	struct chan_app *app;
	struct dgram_way way;
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	app = engine_get(&no);
	if (!app)
		return connect_kernel(s, fd, to, addr, len);
	r = dgram_zone_of_group6(s, to);
	dgram_way(s, app, to, &any_addr, 0, &way);
	if (s->family == AF_INET6 && s->b->opts.flags & CHAN_O_V6ONLY && ipaddr_is_v4(&to->addr)) {
		r = -ENETUNREACH;
	} else if (r == 0 && way.side == DGRAM_KERNEL) {
		r = connect_kernel(s, fd, to, addr, len);
	} else {
		r = r ? r : dgram_way_check(s, &way);
		if (r == 0)
			r = connect_stack(s, app, fd, to);
	}
	engine_put(app);
	return r;
}

/* Both halves lose their port; what has come in stays, and so does an error. */
static void unbind_locked(struct sock *s, int fd)
{
	if (dgram_stack_port(s) && stack_disconnect(s, true) < 0)
		dgram_drop(s);
	s->bound.port = 0;
	dgram_set(s, 0, SOCK_BOUND);
	if (sock_has(s, SOCK_TWIN) && !dgram_kernel_events(s, fd, POLLIN))
		dgram_set(s, 0, SOCK_TWIN);
}

/* Linux's udp_disconnect(): a port that the program has not named is free again, an address stays. */
static int disconnect_locked(struct sock *s, int fd)
{
	bool hidden = sock_has(s, DGRAM_KERNEL_CONN), deaf = !sock_has(s, SOCK_TWIN);

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	kernel_disconnect(s, fd);
	dgram_set(s, 0, DGRAM_KERNEL_CONN);
	if (!dgram_has_stack(s))
		return 0;
	if (hidden)
		stack_drain(s);
	if (!sock_has(s, DGRAM_PORT_LOCK | DGRAM_SHARED) && !dgram_has_groups(s)) {
		unbind_locked(s, fd);
		return 0;
	}
	if (!hidden && dgram_stack_port(s))
		stack_disconnect(s, false);
	if (!sock_has(s, DGRAM_ONLY_STACK)) {
		if (deaf)
			kernel_drain(fd);
		dgram_twin(s);
	}
	return 0;
}

int dgram_connect(struct sock *s, int fd, const struct sockaddr *user, socklen_t len)
{
	struct sockaddr_storage own;
	struct sockaddr *addr = (struct sockaddr *)&own;
	struct endpoint to;
	bool unspec;
	int r;

	if (sock_mode(s) == SOCK_KERNEL || len > sizeof(own) || user_get(&own, user, len) < 0)
		return SOCK_TO_KERNEL;
	unspec = len >= sizeof(own.ss_family) && own.ss_family == AF_UNSPEC;
	if (!unspec && dgram_parse(s, &to, addr, len) < 0) {
		if (len >= sizeof(own.ss_family))
			dgram_need_port(s, fd);
		return SOCK_TO_KERNEL;
	}
	r = sock_lock(s);
	if (r < 0)
		return r;
	r = unspec ? disconnect_locked(s, fd) : connect_locked(s, fd, &to, addr, len);
	if (r == 0 && !unspec && !ipaddr_is_v4(&to.addr))
		atomic_store(&s->b->dg_flowinfo,
			     dgram_flag(s, DGRAM_S_FLOWINFO) ? addr_flowinfo(addr, len) : 0);
	sock_unlock(s);
	if (r < 0 && r != SOCK_TO_KERNEL && !unspec)
		dgram_need_port(s, fd);
	if (r >= 0 && s->epoll_items && sock_is_attached(s)) /* Linux wakes nobody for this */
		epoll_sock_attached(s);
	return r;
}

/* ---- shutdown ---- */
/* The kernel's half says whether `how` is one, and ENOTCONN where the stack has no peer either: the
 * direction is closed nevertheless. */
int dgram_shutdown(struct sock *s, int fd, int how)
{
	uint32_t bits = (how != SHUT_WR ? CHAN_B_SHUT_RD : 0) | (how != SHUT_RD ? CHAN_B_SHUT_WR : 0);
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	r = libc.shutdown(fd, how) < 0 ? -errno : 0;
	if (r == -EINVAL)
		return r;
	atomic_fetch_or(&s->b->flags, bits);
	if (dgram_has_stack(s)) {
		chan_mark(s->app, s->id);
		sock_kick(s);
	}
	if (s->epoll_items)
		epoll_sock_changed(s);
	return dgram_is_stack_conn(s) ? 0 : r;
}

/* ---- names ---- */
int dgram_getname(struct sock *s, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct endpoint local = s->bound;

	if (sock_mode(s) == SOCK_KERNEL || sock_has(s, DGRAM_KERNEL_CONN))
		return SOCK_TO_KERNEL;
	if (dgram_stack_port(s))
		local = s->a->local;
	else if (!sock_has(s, DGRAM_ONLY_STACK)) /* then its engine has ended */
		return SOCK_TO_KERNEL;
	return addr_give(addr, len, s->family, &local);
}

int dgram_getpeer(struct sock *s, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct endpoint remote;

	if (sock_mode(s) == SOCK_KERNEL || !dgram_is_stack_conn(s))
		return SOCK_TO_KERNEL;
	remote = s->a->remote;
	if (!remote.port)
		return -ENOTCONN;
	return addr_give_flow(addr, len, s->family, &remote, dgram_flowinfo(s));
}
