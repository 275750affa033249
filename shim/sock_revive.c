/* Listeners and datagram sockets outlive their engine: when a new one serves, they are there too. Connections
 * aren't. */
// SPDX-License-Identifier: MIT
#include "shim/sock_conn.h"
#include "shim/dgram.h"
#include "shim/engine.h"
#include "shim/sock_heir.h"
#include "shim/wait.h"
#include "stack/chan/app.h"

/* How often a process that sleeps looks for a new engine. */
enum { LOOK_MS = 250 };

static int listen_anew(struct sock *s, struct chan_app *app)
{
	struct chan_req req = {
		.op = CHAN_OP_BIND,
		.type = SOCK_STREAM,
		.v6 = s->family == AF_INET6,
		.local = s->bound,
		.opts = s->b->opts,
	};
	struct chan_rep rep;
	uint32_t worker = chan_pick_worker(app);
	int r = chan_call(app, worker, &req, &rep);

	if (r < 0)
		return r;
	sock_attach(s, app, rep.sock, rep.gen);
	req.op = CHAN_OP_LISTEN;
	req.sock = rep.sock;
	req.gen = rep.gen;
	req.arg[0] = s->backlog;
	return chan_call(app, s->a->worker, &req, NULL);
}

/* s listens on app instead of its dead engine: by the socket that another process which shares it has made
 * there, or by one of its own. 0 or -errno. */
static int relisten(struct sock *s, struct chan_app *app)
{
	int r = heir_find(s, app);

	if (r == -ENOENT) {
		r = listen_anew(s, app);
		if (r == 0)
			heir_made(s, app);
		heir_done(app);
	}
	if (r == 0 && s->epoll_items)
		epoll_sock_attached(s);
	return r;
}

static bool is_orphan(const struct sock *s)
{
	if (sock_is_dgram(s))
		return dgram_is_orphan(s);
	return sock_mode(s) == SOCK_STACK && sock_has(s, SOCK_LISTENING) &&
	       sock_is_dead(s);
}

/* How many there are; with app, they move to it. */
static uint32_t each_orphan(struct chan_app *app)
{
	struct object *o;
	uint32_t n = 0;

	for (uint32_t i = 0; (o = object_nth(&sock_pool, i)) != NULL; i++) {
		struct sock *s = sock_of(o);

		if (!object_try_get(o))
			continue;
		if (is_orphan(s)) {
			n++;
			if (app && sock_lock(s) == 0) {
				struct chan_app *old = s->app;

				if (is_orphan(s) && sock_is_dgram(s))
					dgram_revive(s, app);
				else if (is_orphan(s))
					relisten(s, app);
				if (s->app != old)
					engine_leave(old);
				sock_unlock(s);
			}
		}
		object_put(o);
	}
	return n;
}

uint64_t sock_revive(uint64_t deadline_ns)
{
	static _Atomic uint64_t next_ns;
	uint64_t now, next = atomic_load(&next_ns);
	enum chan_reason no;
	struct chan_app *app;

	if (likely(!engine_is_lost()))
		return deadline_ns;
	now = wait_now_ns();
	if (now < next || !atomic_compare_exchange_strong(&next_ns, &next,
							  now + LOOK_MS * NSEC_PER_MSEC))
		return min_u64(deadline_ns, next > now ? next : now + LOOK_MS * NSEC_PER_MSEC);
	if (!each_orphan(NULL))
		return deadline_ns;
	app = engine_get(&no);
	if (app) {
		each_orphan(app);
		engine_put(app);
		return deadline_ns;
	}
	return min_u64(deadline_ns, now + LOOK_MS * NSEC_PER_MSEC);
}
