/* What sockets have left behind at an engine that hands over: see sock_elder.h. */
// SPDX-License-Identifier: MIT
#include "shim/sock_elder.h"
#include "shim/engine.h"

_Atomic uint32_t elder_count;

bool elder_place(const struct sock *s, struct sock_place *p)
{
	const struct sock_elder *e = &s->elder;

	p->app = atomic_load_explicit(&e->app, memory_order_acquire);
	if (!p->app)
		return false;
	p->id = e->id;
	p->gen = e->gen;
	p->a = chan_sock_a(p->app, e->id);
	p->b = chan_sock_b(p->app, e->id);
	return atomic_load_explicit(&p->a->gen, memory_order_relaxed) == p->gen;
}

uint32_t elder_avail(const struct sock *s)
{
	struct sock_place p;

	return elder_place(s, &p) ? chan_rx_avail(p.a, p.b) : 0;
}

uint32_t elder_tail(const struct sock *s)
{
	struct sock_place p;

	return elder_place(s, &p) ? atomic_load_explicit(&p.a->rx_tail, memory_order_acquire) : 0;
}

static void set(struct sock *s, struct chan_app *app, uint32_t id, uint32_t gen)
{
	s->elder.id = id;
	s->elder.gen = gen;
	atomic_store_explicit(&s->elder.app, app, memory_order_release);
	atomic_fetch_add(&elder_count, 1);
}

void elder_set(struct sock *s)
{
	set(s, s->app, s->id, s->gen);
}

void elder_take(struct sock *s, struct chan_app *app, uint32_t id, uint32_t gen)
{
	chan_hold(app, id);
	engine_ref(app);
	set(s, app, id, gen);
}

void elder_unset(struct sock *s)
{
	atomic_store(&s->elder.app, NULL);
	atomic_fetch_sub(&elder_count, 1);
}

void elder_drop(struct sock *s)
{
	struct chan_app *app = atomic_load_explicit(&s->elder.app, memory_order_relaxed);

	if (likely(!app))
		return;
	elder_unset(s);
	if (chan_alive(app))
		chan_unhold(app, s->elder.id);
	engine_leave(app);
}

/* Datagrams: the port is the new engine's, so that only what was on its way can still come. */
static bool is_done(const struct sock *s)
{
	struct sock_place p;

	if (!chan_alive(s->elder.app) || !elder_place(s, &p))
		return true;
	if (!sock_is_dgram(s) &&
	    !(atomic_load_explicit(&p.a->flags, memory_order_acquire) & CHAN_A_DRY))
		return false;
	return chan_rx_avail(p.a, p.b) == 0;
}

void elder_retire(struct sock *s)
{
	if (atomic_load_explicit(&s->elder.app, memory_order_relaxed) && is_done(s))
		elder_drop(s);
}

void elder_unlisten(struct sock *s)
{
	struct chan_req req = { .op = CHAN_OP_INFO };
	struct sock_place p;

	if (elder_place(s, &p) && chan_alive(p.app)) {
		atomic_fetch_or(&p.b->flags, CHAN_B_SHUT_RD);
		chan_mark(p.app, p.id);
		req.sock = p.id;
		req.gen = p.gen;
		chan_call(p.app, p.a->worker, &req, NULL); /* answered behind the mark */
	}
	elder_drop(s);
}
