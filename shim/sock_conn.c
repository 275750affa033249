/* connect, shutdown and the names of a stream socket. */
// SPDX-License-Identifier: MIT
#include "shim/sock_conn.h"
#include <unistd.h>
#include <netinet/tcp.h>
#include "shim/addr.h"
#include "shim/engine.h"
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/route.h"
#include "shim/sock_async.h"
#include "shim/sock_elder.h"
#include "shim/sock_iov.h"
#include "shim/sock_opt.h"
#include "shim/wait.h"
#include "stack/chan/stream.h"

enum { CONNECT_DONE = 1 };

/* ---- connect ---- */
/* Linux gives back a port that bind() was not told, keeps the address that it was, and getsockname() goes
 * on to show both. Drops the engine's socket. */
static void drop_port(struct sock *s)
{
	bool addr_kept = sock_has(s, SOCK_BOUND | SOCK_ADDR_KEPT);
	struct endpoint local = s->a->local;

	sock_drop(s);
	if (!s->draft)
		return;
	if (sock_has(s, SOCK_BOUND)) {
		s->bound.port = 0;
		local.addr = s->bound.addr;
		local.scope = s->bound.scope;
		atomic_fetch_or(&s->flags, SOCK_PORT_LOOSE);
	}
	if (!addr_kept)
		local = (struct endpoint){ .addr = addr_any(s->family), .port = local.port };
	s->draft->a.local = local;
}

/* A failed attempt leaves a socket as good as new, but bound if it was; nothing is left of a shutdown(). */
static void connect_reset(struct sock *s)
{
	bool again = sock_has(s, SOCK_BOUND) && sock_has(s, SOCK_PORT_GIVEN);
	uint32_t kept = SOCK_PORT_GIVEN | SOCK_ADDR_KEPT | SOCK_OWN_FILE | (again ? 0 : SOCK_BOUND);
	struct endpoint ep = s->bound;

	atomic_fetch_and(&s->flags, kept);
	drop_port(s);
	if (s->draft)
		atomic_store(&s->draft->b.flags, 0);
	atomic_store_explicit(&s->mode, SOCK_UNDECIDED, memory_order_release);
	if (!again)
		return;
	s->bound = (struct endpoint){ 0 };
	sock_bind_locked(s, &ep);
}

void sock_close_ended(struct sock *s)
{
	uint32_t state = atomic_load_explicit(&s->a->state, memory_order_acquire);
	uint32_t kept = atomic_load(&s->flags) & (SOCK_WAS_CONNECTED | SOCK_ACCEPTED);
	int err;

	if (sock_has(s, SOCK_LISTENING) || sock_is_broken(s) || state != CHAN_ST_CLOSED ||
	    (!s->draft && !sock_draft_add(s)))
		return;
	err = sock_take_error(s);
	connect_reset(s);
	atomic_fetch_or(&s->flags, kept);
	atomic_store(&s->own_error, err);
	atomic_fetch_or(&s->b->flags, CHAN_B_SHUT_RD | CHAN_B_SHUT_WR);
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
		uint32_t seen = chan_sock_seq(s->a);
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

/* A SO_SNDTIMEO that has passed is as good as O_NONBLOCK. */
static bool connect_waits(const struct sock *s)
{
	return !sock_is_nonblocking(s) && atomic_load(&s->b->sndtimeo_ms) != WAIT_NEVER_MS;
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
	if (sock_has(s, SOCK_SYN_HELD) && state == CHAN_ST_CONNECTING)
		return connect_waits(s) ? -EINPROGRESS : -EISCONN;
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
	return connect_waits(s) ? -EINPROGRESS : -EALREADY;
}

/* As Linux: nobody in particular is this host, by IPv4 for who has an IPv4 address. */
static struct endpoint this_host(const struct sock *s, const struct endpoint *to)
{
	struct endpoint e = *to;
	bool v4 = s->family == AF_INET || ipaddr_is_v4(&to->addr) ||
		  (sock_has(s, SOCK_BOUND) && ipaddr_is_v4(&s->bound.addr));

	if (!ipaddr_is_any(&to->addr))
		return e;
	e.addr = v4 ? ipaddr_v4(0x7f000001) : (struct ipaddr){ .b = { [15] = 1 } };
	return e;
}

/* What is bound to an address of a link stays there (Linux: sk_bound_dev_if). 0 or -EINVAL. */
static int choose_zone(const struct sock *s, struct endpoint *to)
{
	uint32_t zone = sock_has(s, SOCK_BOUND) ? s->bound.scope : 0;

	if (!zone || !ipaddr_has_zone(&to->addr))
		return 0;
	if (to->scope && to->scope != zone)
		return -EINVAL;
	to->scope = zone;
	return 0;
}

static int connect_reason(const struct chan_app *app, const struct endpoint *to)
{
	if (ipaddr_is_loopback(&to->addr))
		return sock_claims_loopback(app) ? -1 : (int)CHAN_REASON_connect_loopback;
	if (ipaddr_is_multicast(&to->addr) || !route_leads(app, to))
		return addr_is_v6(&to->addr) ? CHAN_REASON_connect_v6 : CHAN_REASON_connect_no_route;
	return -1;
}

void sock_twin_drop(struct sock *s)
{
	bool own = sock_has(s, SOCK_OWN_FILE), is_line = own && atomic_load(&s->line_fd) >= 0;
	int k = -1;

	if (sock_has(s, SOCK_TWIN))
		k = unlikely(own) ? sock_async_untwin(s) : sock_placeholder(SOCK_CLOEXEC);
	if (k < 0)
		return;
	sock_put_under(s, k);
	libc.close(k);
	s->line_here = is_line;
	atomic_fetch_and(&s->flags, ~(uint32_t)SOCK_TWIN);
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
		.arg = { sock_has(s, SOCK_OWN_FILE) ? CHAN_ARG_LINE : 0, sock_port_range(s) },
		.local = { .addr = addr_any(s->family) },
		.remote = *to,
		.opts = s->b->opts,
	};
	uint32_t worker = sock_is_attached(s) ? s->a->worker : chan_pick_worker(app);
	struct chan_rep rep;
	int r;

	if (s->fo_wanted == SOCK_FO_MSG && !(app->e->flags & CHAN_ENGINE_FASTOPEN))
		return -EOPNOTSUPP;
	if (s->fo_wanted)
		req.arg[0] |= CHAN_ARG_FASTOPEN;
	if (sock_has(s, SOCK_BOUND)) { /* an address without a port: IP_BIND_ADDRESS_NO_PORT */
		req.local.addr = s->bound.addr;
		req.local.scope = s->bound.scope;
	}
	/* What a shutdown() before has noted would end the new connection at once. */
	atomic_fetch_and(&s->b->flags, ~(uint32_t)(CHAN_B_SHUT_RD | CHAN_B_SHUT_WR));
	if (!ipaddr_is_v4(&to->addr))
		req.opts.flowinfo = s->b->opts.flowinfo = s->flowinfo;
	r = chan_call(app, worker, &req, &rep);
	/* Each data thread has ports of its own to choose from. */
	for (uint32_t i = 1; r == -EADDRNOTAVAIL && !sock_is_attached(s) && i < app->n_workers; i++)
		r = chan_call(app, (worker + i) % app->n_workers, &req, &rep);
	if (r == -EXDEV) { /* which data thread a flow belongs to is known when both ends are */
		r = sock_bind_on(s, chan_rep_u32(&rep));
		if (r < 0)
			return r;
		req.sock = s->id;
		req.gen = s->gen;
		r = chan_call(app, s->a->worker, &req, &rep);
	}
	if (r != -EINPROGRESS && r != 0)
		return r == -EXDEV ? -EADDRNOTAVAIL : r;
	s->fo_room = (uint16_t)chan_rep_u32(&rep);
	if (!sock_is_attached(s))
		sock_attach(s, app, rep.sock, rep.gen);
	sock_twin_drop(s); /* bound to any address on both sides: the kernel's port has no use now */
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
	sock_follow(s);
	bool fresh = !sock_is_attached(s);
	struct chan_app *app = fresh ? engine_get(&no) : s->app;
	struct endpoint at = this_host(s, to);
	int why, r = choose_zone(s, &at);

	if (!app)
		return sock_to_kernel_locked(s, no);
	why = r < 0 ? -1 : connect_reason(app, &at);
	if (r < 0) {
		/* nobody is asked */
	} else if (why < 0 && s->b->opts.flags & CHAN_O_V6ONLY && s->family == AF_INET6 &&
	    ipaddr_is_v4(&at.addr)) {
		r = -ENETUNREACH;
	} else if (why < 0 && s->b->opts.flags & CHAN_O_DONTROUTE &&
		   engine_route(app, &at.addr) == CHAN_ROUTE_GATEWAY) {
		r = -ENETUNREACH;
	} else if (why < 0) {
		r = connect_stack(s, app, &at);
		why = sock_refusal(r);
	}
	if (fresh)
		engine_put(app);
	/* From an address of the stack the kernel can't reach anything. */
	if (why >= 0 && sock_has(s, SOCK_BOUND) && !sock_has(s, SOCK_TWIN))
		return -ENETUNREACH;
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
	if (sock_has(s, SOCK_WAS_CONNECTED | SOCK_ACCEPTED))
		return -EISCONN;
	return connect_new(s, to);
}

/* Ends listening: Linux's socket is closed then, but bound, and may listen again or connect. */
static int unlisten_locked(struct sock *s)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s->id, .gen = s->gen };
	int fd = sock_has(s, SOCK_TWIN) ? sock_fd(s) : -1;

	if (fd >= 0)
		libc.shutdown(fd, SHUT_RD);
	elder_unlisten(s);
	atomic_fetch_and(&s->flags, ~(uint32_t)SOCK_LISTENING);
	atomic_store_explicit(&s->mode, SOCK_UNDECIDED, memory_order_release);
	atomic_fetch_or(&s->b->flags, CHAN_B_SHUT_RD);
	if (!sock_is_dead(s)) {
		chan_mark(s->app, s->id);
		chan_call(s->app, s->a->worker, &req, NULL); /* answered behind the mark */
		chan_accept_settle(s->app, s->id);
	}
	sock_kick(s); /* accept() is EINVAL now */
	atomic_fetch_and(&s->b->flags, ~(uint32_t)CHAN_B_SHUT_RD);
	if (!sock_has(s, SOCK_PORT_GIVEN)) {
		sock_twin_drop(s);
		drop_port(s);
	}
	return 0;
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
	int err;
	bool live;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (sock_mode(s) == SOCK_UNDECIDED)
		return 0;
	if (!s->draft && !sock_draft_add(s))
		return -ENOBUFS;
	if (sock_has(s, SOCK_LISTENING))
		return unlisten_locked(s);
	err = sock_take_error(s);
	live = is_live(atomic_load_explicit(&s->a->state, memory_order_acquire));
	s->b->opts.flags |= CHAN_O_LINGER; /* with time 0: reset */
	s->b->opts.linger_s = 0;
	atomic_fetch_add(&s->b->opt_seq, 1);
	connect_reset(s);
	s->b->opts.flags = (s->b->opts.flags & ~(uint32_t)CHAN_O_LINGER) | (opts.flags & CHAN_O_LINGER);
	s->b->opts.linger_s = opts.linger_s;
	/* tcp_disconnect(): what was cut off is told, and so is what nobody has been told yet. */
	atomic_store(&s->own_error, live ? ECONNRESET : err);
	return 0;
}

int sock_connect(struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	bool unspec = addr_is_unspec(addr, len), held;
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
	held = sock_has(s, SOCK_SYN_HELD);
	sock_flowinfo_note(s, addr, len);
	s->fo_wanted = sock_opt_value(s, IPPROTO_TCP, TCP_FASTOPEN_CONNECT) ? SOCK_FO_CONNECT : SOCK_FO_NONE;
	if (!held)
		s->fo_room = 0;
	r = unspec ? disconnect_locked(s) : bad ? connect_bad_address(s, bad) : connect_locked(s, &to);
	s->fo_wanted = SOCK_FO_NONE;
	if (r == -EINPROGRESS && s->fo_room && !held) { /* done, as far as the program is concerned */
		atomic_fetch_or(&s->flags, SOCK_SYN_HELD);
		r = 0;
	}
	sock_unlock(s);
	if (unspec && r == 0 && s->epoll_items) /* tcp_disconnect() always wakes */
		epoll_sock_changed(s);
	if (r == -EINPROGRESS && connect_waits(s))
		r = connect_wait(s);
	return r;
}

/* ---- Fast Open ---- */
/* The first bytes of iov go with the SYN, at most fo_room. How many, or -errno. */
static ssize_t ride_on_syn(struct sock *s, const struct iovec *iov, int n)
{
	struct iovec part[n > 0 ? n : 1];
	size_t left = s->fo_room;

	for (int i = 0; i < n; i++) {
		part[i] = iov[i];
		part[i].iov_len = min_u64(iov[i].iov_len, left);
		left -= part[i].iov_len;
	}
	s->fo_room = 0;
	return chan_tx_write(s->app, s->id, part, n);
}

/* Waits for the handshake, unless nobody wants that. */
static int fast_outcome(struct sock *s, int flags)
{
	return connect_waits(s) && !(flags & MSG_DONTWAIT) ? connect_wait(s) : -EINPROGRESS;
}

int sock_connect_fast(struct sock *s, const struct sockaddr *addr, socklen_t len, const struct iovec *iov,
		      int n, int flags, size_t *sent)
{
	struct endpoint to;
	int bad, r;
	ssize_t w = 0;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (addr_is_unspec(addr, len))
		return -EOPNOTSUPP;
	if (sock_has(s, SOCK_SYN_HELD))
		return sock_send_held(s, iov, n, flags, sent);
	bad = addr ? addr_parse(&to, s->family, addr, len, ADDR_CONNECT) : -EINVAL;
	if (bad == -EFAULT)
		return bad;
	r = sock_lock(s);
	if (r < 0)
		return r;
	sock_flowinfo_note(s, addr, len);
	s->fo_wanted = iov_total(iov, n) > 0 ? SOCK_FO_MSG : SOCK_FO_NONE;
	s->fo_room = 0;
	r = bad ? connect_bad_address(s, bad) : connect_locked(s, &to);
	s->fo_wanted = SOCK_FO_NONE;
	if (r == -EINPROGRESS && s->fo_room)
		w = ride_on_syn(s, iov, n);
	if (w < 0) { /* nothing has left */
		disconnect_locked(s);
		atomic_store(&s->own_error, 0);
		r = (int)w;
	}
	sock_unlock(s);
	*sent = w > 0 ? (size_t)w : 0;
	return r == -EINPROGRESS ? fast_outcome(s, flags) : r;
}

int sock_send_held(struct sock *s, const struct iovec *iov, int n, int flags, size_t *sent)
{
	int r = sock_lock(s);
	ssize_t w = 0;

	if (r < 0)
		return r;
	if (sock_mode(s) == SOCK_STACK && sock_has(s, SOCK_SYN_HELD) && s->fo_room)
		w = ride_on_syn(s, iov, n);
	if (w >= 0)
		atomic_fetch_and(&s->flags, ~(uint32_t)SOCK_SYN_HELD);
	sock_unlock(s);
	*sent = w > 0 ? (size_t)w : 0;
	return w < 0 ? (int)w : fast_outcome(s, flags);
}

/* ---- shutdown ---- */
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
	if (sock_has(s, SOCK_LISTENING)) {
		if (bits & CHAN_B_SHUT_RD)
			unlisten_locked(s);
		return 0;
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
	return 0;
}

/* Linux wakes those who wait for the socket whatever it says. */
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
	if (r != SOCK_TO_KERNEL && s->epoll_items)
		epoll_sock_changed(s);
	return r;
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
	return addr_give_flow(addr, len, s->family, &remote, sock_flowinfo(s));
}
