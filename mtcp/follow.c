/* Listeners outlive their engine: when it has ended, or another one has taken its place, they listen at the
 * next one. One that hands over may still have connections for accept(): its place is kept as the elder
 * until nothing more will come. Connections stay where they are. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include "mtcp/ctx.h"
#include "mtcp/export.h"
#include "stack/chan/evq.h"
#include "stack/chan/stream.h"
#include "stack/chan/wait.h"

enum { LOOK_MS = 50 };

struct slot_elder {
	struct link *link;
	uint32_t id, gen;
};

static void drop(struct slot_elder *e)
{
	e->link->by_id[e->id] = 0;
	e->link->socks--;
	chan_unsubscribe(&e->link->app, e->id, e->link->evq);
	chan_unhold(&e->link->app, e->id);
}

static const struct chan_sock_a *elder_a(const struct slot_elder *e)
{
	return chan_sock_a(&e->link->app, e->id);
}

static bool elder_avail(const struct slot_elder *e)
{
	return chan_alive(&e->link->app) &&
	       chan_rx_avail(elder_a(e), chan_sock_b(&e->link->app, e->id)) != 0;
}

/* Will nothing more come? */
static bool is_dry(const struct slot_elder *e)
{
	bool dry = !chan_alive(&e->link->app) ||
		   atomic_load_explicit(&elder_a(e)->flags, memory_order_acquire) & CHAN_A_DRY;

	return dry && !elder_avail(e);
}

void follow_close(struct mtcp_context *m, struct slot *s)
{
	if (!s->elder)
		return;
	drop(s->elder);
	free(s->elder);
	s->elder = NULL;
}

bool follow_has(const struct slot *s) { return elder_avail(s->elder); }

int follow_accept(struct mtcp_context *m, struct slot *s, struct link **l, uint32_t *id, uint32_t *gen)
{
	*l = s->elder->link;
	if (!elder_avail(s->elder))
		return -EAGAIN;
	return chan_accept_pop(&s->elder->link->app, s->elder->id, id, gen);
}

bool follow_is_due(const struct mtcp_context *m)
{
	for (const struct slot *s = m->listeners; s; s = s->next_listener)
		if (unlikely(s->elder || !link_serves(s->link)))
			return true;
	return false;
}

uint64_t follow_until(const struct mtcp_context *m, uint64_t deadline)
{
	if (likely(!follow_is_due(m)))
		return deadline;
	return min_u64(deadline, chan_now_ns() + LOOK_MS * NSEC_PER_MSEC);
}

/* s listens at the present engine from now on. */
static void move(struct mtcp_context *m, struct slot *s, struct slot_elder *e)
{
	struct endpoint at = slot_a(s)->local;
	struct chan_opts opts = slot_b(s)->opts;

	*e = (struct slot_elder){ s->link, s->id, s->gen };
	s->link = NULL;
	s->opts = opts;
	if (listener_move(m, s, &at) < 0) {
		if (s->link)
			link_leave(m, s);
		s->link = e->link;
		s->id = e->id;
		s->gen = e->gen;
		free(e);
		return;
	}
	if (chan_alive(&e->link->app)) {
		s->elder = e;
		return;
	}
	drop(e);
	free(e);
}

void follow(struct mtcp_context *m)
{
	for (struct slot *s = m->listeners; s; s = s->next_listener) {
		struct slot_elder *e;
		struct link *l;

		if (s->elder && is_dry(s->elder))
			follow_close(m, s);
		if (s->elder || link_serves(s->link))
			continue;
		l = link_get(m);
		if (!l || !link_serves(l))
			return;
		e = malloc(sizeof(*e));
		if (e)
			move(m, s, e);
	}
}
