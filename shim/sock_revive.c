/* Listeners, bound sockets and datagram sockets outlive their engine: when a new one serves, they are
 * there, too. Connections end with theirs: at once if it has died, or when they are closed if it has
 * handed over. */
// SPDX-License-Identifier: MIT
#include "shim/sock_conn.h"
#include "shim/dgram.h"
#include "shim/engine.h"
#include "shim/sock_elder.h"
#include "shim/sock_heir.h"
#include "shim/wait.h"
#include "stack/chan/app.h"

/* How often a process that sleeps looks for a new engine, at what it has left at the old one, and
 * whether that can be given up. */
enum { LOOK_MS = 250, ELDER_LOOK_MS = 2, ELDER_SWEEP_MS = 20 };

/* Times that sockets had to move, and the last one that has been seen to: while they differ some may be
 * at another engine than the current one. */
static _Atomic uint32_t calls, answered;

static inline bool is_settled(void)
{
	return atomic_load_explicit(&calls, memory_order_relaxed) ==
	       atomic_load_explicit(&answered, memory_order_relaxed);
}

void sock_revive_soon(void)
{
	atomic_fetch_add(&calls, 1);
}

static int bind_anew(const struct sock *s, struct chan_app *app, struct chan_rep *rep)
{
	const struct chan_req req = {
		.op = CHAN_OP_BIND,
		.type = SOCK_STREAM,
		.v6 = s->family == AF_INET6,
		.local = s->bound,
		.opts = s->b->opts,
	};

	return chan_call(app, chan_pick_worker(app), &req, rep);
}

/* Drops what BIND has made. */
static void unbind(struct chan_app *app, uint32_t id, uint32_t gen)
{
	const struct chan_req req = { .op = CHAN_OP_UNBIND, .sock = id, .gen = gen };
	uint32_t worker = chan_sock_a(app, id)->worker;

	chan_unhold(app, id);
	chan_call(app, worker, &req, NULL);
}

static int listen_anew(struct sock *s, struct chan_app *app)
{
	struct chan_req req = { .op = CHAN_OP_LISTEN, .arg = { s->backlog }, .opts = s->b->opts };
	struct chan_rep rep;
	int r = bind_anew(s, app, &rep);

	if (r < 0)
		return r;
	req.sock = rep.sock;
	req.gen = rep.gen;
	chan_hold(app, rep.sock);
	sock_opt_put_key(s, &req);
	r = chan_call(app, chan_sock_a(app, rep.sock)->worker, &req, NULL);
	if (r < 0)
		unbind(app, rep.sock, rep.gen);
	else
		sock_attach(s, app, rep.sock, rep.gen);
	return r;
}

/* s listens on app: by the socket that another process which shares it has made there, or by one of its
 * own. 0 or -errno. */
static int relisten(struct sock *s, struct chan_app *app)
{
	int r = heir_find(s, app);

	if (r == -ENOENT) {
		r = listen_anew(s, app);
		if (r == 0)
			heir_made(s, app);
		heir_done(app);
	}
	return r;
}

/* If its engine lives it stays there with what has come already: SYNs that arrive before the new one is
 * told find a listener on one of the two at any moment. */
static void move_listener(struct sock *s, struct chan_app *app)
{
	struct chan_app *old = s->app;
	bool lives = chan_alive(old);

	elder_retire(s);
	if (atomic_load(&s->elder.app))
		return;
	if (lives)
		elder_set(s);
	if (relisten(s, app) < 0) {
		if (lives)
			elder_unset(s);
		return;
	}
	if (!lives)
		engine_leave(old);
	if (s->epoll_items)
		epoll_sock_attached(s);
}

/* Nothing can have come to a socket that only has a port. */
static void move_bound(struct sock *s, struct chan_app *app)
{
	struct chan_app *old = s->app;
	uint32_t id = s->id, gen = s->gen;
	struct chan_rep rep;

	if (bind_anew(s, app, &rep) < 0)
		return;
	sock_attach(s, app, rep.sock, rep.gen);
	if (chan_alive(old))
		unbind(old, id, gen);
	engine_leave(old);
}

/* Is there anything to do? Without the lock only a guess. */
static bool is_candidate(const struct sock *s)
{
	if (sock_mode(s) == SOCK_KERNEL || s->id == CHAN_SOCK_NEW)
		return false;
	return sock_is_dgram(s) || sock_has(s, SOCK_LISTENING) || atomic_load(&s->elder.app) ||
	       (sock_mode(s) == SOCK_UNDECIDED && sock_has(s, SOCK_BOUND));
}

static bool must_move(const struct sock *s)
{
	if (!sock_is_attached(s) || (chan_alive(s->app) && !chan_moved(s->app)))
		return false;
	if (sock_is_dgram(s))
		return dgram_must_move(s);
	return sock_mode(s) == SOCK_STACK ? sock_has(s, SOCK_LISTENING) :
					    sock_mode(s) == SOCK_UNDECIDED && sock_has(s, SOCK_BOUND);
}

static void move(struct sock *s, struct chan_app *app)
{
	if (sock_is_dgram(s))
		dgram_move(s, app);
	else if (sock_mode(s) == SOCK_STACK)
		move_listener(s, app);
	else
		move_bound(s, app);
}

/* Does what can be done for s. True: it is at an engine that it should leave. Caller holds the lock. */
static bool settle(struct sock *s, bool only_look)
{
	bool must = must_move(s);
	struct chan_app *app;

	if (must && !only_look && (app = engine_next(s->app)) != NULL) {
		move(s, app);
		engine_put(app);
		must = must_move(s);
	}
	return must;
}

/* How many are at an engine that they should leave, after as much as is possible has been done. */
static uint32_t each(bool only_look)
{
	struct object *o;
	uint32_t n = 0;

	for (uint32_t i = 0; (o = object_nth(&sock_pool, i)) != NULL; i++) {
		if (!object_try_get(o))
			continue;
		if (is_candidate(sock_of(o)) && sock_lock(sock_of(o)) == 0) {
			elder_retire(sock_of(o));
			n += settle(sock_of(o), only_look);
			sock_unlock(sock_of(o));
		}
		object_put(o);
	}
	return n;
}

/* Nobody attaches to a new engine for nothing: only if there is something to take there. */
void sock_revive_now(void)
{
	uint32_t call = atomic_load(&calls);

	if (likely(!engine_is_lost() && !elder_any() && is_settled()))
		return;
	if (each(true) == 0 || each(false) == 0)
		atomic_store(&answered, call);
	else if (is_settled())
		sock_revive_soon();
}

/* The earliest time of the next look of a thread that sleeps. */
static uint64_t next_look(uint64_t next_ns, uint64_t now)
{
	if (elder_any())
		return now + ELDER_LOOK_MS * NSEC_PER_MSEC;
	if (is_settled())
		return WAIT_FOREVER;
	return next_ns > now ? next_ns : now + LOOK_MS * NSEC_PER_MSEC;
}

uint64_t sock_revive(uint64_t deadline_ns)
{
	static _Atomic uint64_t next_ns;
	uint64_t now, next = atomic_load_explicit(&next_ns, memory_order_relaxed);

	if (likely(!engine_is_lost() && !elder_any() && is_settled()))
		return deadline_ns;
	now = wait_now_ns();
	if (now >= next && atomic_compare_exchange_strong(&next_ns, &next, now + LOOK_MS * NSEC_PER_MSEC)) {
		sock_revive_now();
		if (elder_any())
			atomic_store(&next_ns, now + ELDER_SWEEP_MS * NSEC_PER_MSEC);
	}
	return min_u64(deadline_ns, next_look(atomic_load(&next_ns), now));
}

void sock_follow(struct sock *s)
{
	if (unlikely(sock_mode(s) == SOCK_UNDECIDED && must_move(s)))
		settle(s, false);
}
