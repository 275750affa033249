/* Datagram sockets outlive their engine, whether it has ended or handed over: the next one gives them
 * the same port, peer and groups. */
// SPDX-License-Identifier: MIT
#include <poll.h>
#include "shim/dgram_int.h"
#include "shim/signal.h"
#include "shim/sock_conn.h"
#include "shim/sock_elder.h"
#include "shim/sock_heir.h"
#include "shim/wait.h"
#include "stack/base/sys.h"

bool dgram_is_orphan(const struct sock *s)
{
	return sock_mode(s) == SOCK_STACK && sock_is_dead(s) && s->a->local.port &&
	       !sock_has(s, DGRAM_KERNEL_CONN);
}

/* The maps of the dead engine stay as long as somebody may look at them: what it knew is still there. */
static int bind_anew(struct sock *s, struct chan_app *app)
{
	uint16_t port = s->a->local.port;
	struct chan_req req = {
		.op = CHAN_OP_BIND,
		.sock = CHAN_SOCK_NEW,
		.type = SOCK_DGRAM,
		.v6 = s->family == AF_INET6,
		.arg = { port ? 0 : CHAN_ARG_NO_PORT },
		.local = { .addr = ipaddr_v4(0), .port = port },
		.opts = s->b->opts,
	};
	struct chan_rep rep;
	int r;

	if (sock_has(s, SOCK_BOUND)) {
		req.local.addr = s->bound.addr;
		req.local.scope = s->bound.scope;
	}
	r = chan_call(app, port ? chan_port_worker(port, app->n_workers) : chan_pick_worker(app), &req,
		      &rep);
	if (r < 0)
		return r;
	chan_hold(app, rep.sock);
	if (!ipaddr_is_any(&s->a->remote.addr)) {
		req.op = CHAN_OP_CONNECT;
		req.sock = rep.sock;
		req.gen = rep.gen;
		req.remote = s->a->remote;
		chan_call(app, chan_sock_a(app, rep.sock)->worker, &req, NULL);
	}
	dgram_adopt(s, app, &rep);
	return 0;
}

static int revive(struct sock *s, struct chan_app *app)
{
	int r = heir_find(s, app);

	if (r == -ENOENT) {
		r = bind_anew(s, app);
		if (r == 0)
			heir_made(s, app);
		heir_done(app);
	}
	return r;
}

bool dgram_must_move(const struct sock *s)
{
	if (sock_mode(s) != SOCK_STACK || sock_has(s, DGRAM_KERNEL_CONN))
		return false;
	return s->a->local.port || !sock_is_dead(s);
}

/* It still has something to do where it is: to send, or to tell the program. */
static bool is_busy(const struct sock *s)
{
	return atomic_load(&s->a->tx_una) != atomic_load(&s->b->tx_tail) ||
	       chan_errq_pending(s->a, s->b) || chan_has_error(s->a, s->b) || chan_zc_pending(s->b) ||
	       atomic_load(&s->dgram->cork_side) == DGRAM_STACK;
}

/* From when the new engine has the port on nothing more comes to the old one: what has come until then
 * is read from the elder, and that is nothing in most cases. */
static void leave_living(struct sock *s, struct chan_app *app)
{
	struct chan_app *old = s->app;
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s->id, .gen = s->gen };

	elder_retire(s);
	if (is_busy(s) || atomic_load(&s->elder.app))
		return;
	elder_set(s);
	if (revive(s, app) < 0) {
		elder_unset(s);
		return;
	}
	/* Answered when what it has at hand is in the ring. */
	chan_call(old, chan_sock_a(old, req.sock)->worker, &req, NULL);
	elder_retire(s);
	if (s->epoll_items)
		epoll_sock_attached(s);
}

void dgram_move(struct sock *s, struct chan_app *app)
{
	struct chan_app *old = s->app;

	if (chan_alive(old))
		leave_living(s, app);
	else if (revive(s, app) == 0)
		engine_leave(old);
}

void dgram_revive_now(struct sock *s)
{
	enum chan_reason no;
	struct chan_app *app = engine_get(&no);

	if (!app)
		return;
	if (sock_lock(s) == 0) {
		if (dgram_is_orphan(s))
			dgram_move(s, app);
		sock_unlock(s);
	}
	engine_put(app);
}

int dgram_rest_orphaned(struct sock *s, int fd, uint64_t deadline)
{
	uint64_t until = sock_revive(deadline), now = wait_now_ns();
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec ts = { 0 };

	if (!dgram_is_orphan(s))
		return 0;
	until = min_u64(until, now + NSEC_PER_SEC);
	if (until > now)
		ts = (struct timespec){ (time_t)((until - now) / NSEC_PER_SEC),
					(long)((until - now) % NSEC_PER_SEC) };
	if (sys_call6(SYS_ppoll, (long)&p, 1, (long)&ts, 0, 0, 0) == -EINTR &&
	    signal_interrupted(deadline == WAIT_FOREVER ? SIGNAL_ENDS : SIGNAL_ANY))
		return -EINTR;
	return wait_now_ns() >= deadline ? -EAGAIN : 0;
}
