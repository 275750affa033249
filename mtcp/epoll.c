/* Event sets: registrations and ready lists. Waiting is epoll_wait.c's. */
// SPDX-License-Identifier: MIT
#include "mtcp/epoll.h"
#include <stdlib.h>
#include "mtcp/ctx.h"
#include "mtcp/export.h"
#include "stack/chan/evq.h"
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"

int ctx_lock(struct mtcp_context *m) { return chan_lock(&m->lock); }
void ctx_unlock(struct mtcp_context *m) { chan_unlock(&m->lock); }

/* ---- what holds now, and what is new ---- */
static struct edge look(const struct slot *s)
{
	const struct chan_sock_a *a = slot_a(s);
	struct edge e = { .flags = atomic_load_explicit(&a->flags, memory_order_acquire) };

	e.rx_tail = chan_rx_end(a, slot_b(s));
	e.tx_una = chan_tx_freed(a);
	e.state = atomic_load_explicit(&a->state, memory_order_acquire);
	e.err_seq = atomic_load_explicit(&a->err_seq, memory_order_acquire);
	return e;
}

/* The events that something has happened for since the last look. */
static uint32_t news(const struct slot *s)
{
	const struct edge *old = &s->edge;
	struct edge now = look(s);
	uint32_t m = 0;

	if (now.state != old->state || now.err_seq != old->err_seq || slot_is_dead(s) ||
	    (now.flags ^ old->flags) & (CHAN_A_RX_FIN | CHAN_A_TX_DONE))
		return UINT32_MAX;
	if (now.rx_tail != old->rx_tail)
		m |= MTCP_EPOLLIN | MTCP_EPOLLPRI | MTCP_EPOLLRDNORM | MTCP_EPOLLRDBAND;
	if (now.tx_una != old->tx_una)
		m |= MTCP_EPOLLOUT | MTCP_EPOLLWRNORM;
	return m;
}

/* The channel's bits are Linux's, and mTCP's are, too. */
static uint32_t sock_mask(struct slot *s)
{
	const uint32_t out = MTCP_EPOLLOUT | MTCP_EPOLLWRNORM;
	uint32_t m;

	if (!s->link || slot_state(s) == CHAN_ST_OPEN)
		return 0; /* no connection, no events: as in mTCP */
	s->edge = look(s); /* first the look, then the mask: what happens in between is a new edge */
	if (s->kind == MTCP_SOCK_LISTENER)
		return chan_rx_avail(slot_a(s), slot_b(s)) || (s->elder && follow_has(s)) ?
			       MTCP_EPOLLIN | MTCP_EPOLLRDNORM : 0;
	m = chan_readiness(slot_a(s), slot_b(s));
	if (s->events & out && !(m & out)) {
		chan_tx_want(slot_a(s), slot_b(s));
		m = chan_readiness(slot_a(s), slot_b(s));
	}
	if (unlikely(slot_is_dead(s))) {
		m |= MTCP_EPOLLIN | MTCP_EPOLLOUT | MTCP_EPOLLRDHUP | MTCP_EPOLLHUP;
		if (!(s->flags & SLOT_DEAD_TOLD))
			m |= MTCP_EPOLLERR;
	}
	return m;
}

uint32_t slot_mask(struct slot *s)
{
	uint32_t m = s->kind == MTCP_SOCK_PIPE ? pipe_mask(s) : sock_mask(s);

	return m & s->events;
}

/* ---- ready lists ---- */
void set_queue(struct slot *s)
{
	struct epoll_set *e = s->set;

	if (s->flags & SLOT_READY)
		return;
	s->flags |= SLOT_READY;
	s->next = NULL;
	s->prev = e->tail;
	if (e->tail)
		e->tail->next = s;
	else
		e->head = s;
	e->tail = s;
	e->n_ready++;
}

void set_unqueue(struct slot *s)
{
	struct epoll_set *e = s->set;

	if (!(s->flags & SLOT_READY))
		return;
	s->flags &= (uint8_t)~SLOT_READY;
	if (s->prev)
		s->prev->next = s->next;
	else
		e->head = s->next;
	if (s->next)
		s->next->prev = s->prev;
	else
		e->tail = s->prev;
	e->n_ready--;
}

void set_wake(struct epoll_set *e)
{
	uint64_t one = 1;

	if (e->sleeping)
		sys_write(e->wake_fd, &one, sizeof(one));
}

void set_notice(struct slot *s)
{
	if (!s->set || !(s->events & ~(uint32_t)SET_PRIVATE))
		return;
	if (s->events & (uint32_t)MTCP_EPOLLET && s->link && !s->elder && s->kind != MTCP_SOCK_PIPE &&
	    !(news(s) & s->events))
		return;
	set_queue(s);
	set_wake(s->set);
}

void set_attached(struct slot *s)
{
	chan_subscribe(&s->link->app, s->id, s->link->evq);
	set_queue(s);
	set_wake(s->set);
}

void set_remove(struct slot *s)
{
	set_unqueue(s);
	if (s->link)
		chan_unsubscribe(&s->link->app, s->id, s->link->evq);
	s->set = NULL;
	s->events = 0;
}

/* ---- sets ---- */
EXPORT int mtcp_epoll_create1(mctx_t mctx, int flags)
{
	struct mtcp_context *m = ctx_of(mctx);
	struct epoll_set *e;
	struct slot *s;

	if (!m)
		return -1;
	s = slot_take(m, MTCP_SOCK_EPOLL);
	if (!s)
		return fail(ENFILE);
	e = calloc(1, sizeof(*e));
	if (!e) {
		slot_give(m, s);
		return fail(ENOMEM);
	}
	e->wake_fd = link_eventfd();
	if (e->wake_fd < 0) {
		int err = -e->wake_fd;

		free(e);
		slot_give(m, s);
		return fail(err);
	}
	s->ep = e;
	return slot_number(m, s);
}

EXPORT int mtcp_epoll_create(mctx_t mctx, int size)
{
	return size <= 0 ? fail(EINVAL) : mtcp_epoll_create1(mctx, 0);
}

void set_free(struct mtcp_context *m, struct epoll_set *e)
{
	for (uint32_t i = 0; i < m->used; i++)
		if (m->slot[i].kind != MTCP_SOCK_UNUSED && m->slot[i].set == e)
			set_remove(&m->slot[i]);
	sys_close(e->wake_fd);
	free(e);
}

struct epoll_set *set_of(struct mtcp_context *m, int epid)
{
	struct slot *s = slot_of(m, epid);

	if (!s)
		return NULL;
	if (s->kind != MTCP_SOCK_EPOLL) {
		errno = EINVAL;
		return NULL;
	}
	return s->ep;
}

/* Under the lock. 0 or an errno. */
static int control(struct epoll_set *e, int op, struct slot *s, const struct mtcp_epoll_event *ev)
{
	switch (op) {
	case MTCP_EPOLL_CTL_ADD:
		if (s->set)
			return EEXIST;
		s->set = e;
		if (s->link)
			chan_subscribe(&s->link->app, s->id, s->link->evq);
		break;
	case MTCP_EPOLL_CTL_MOD:
		if (s->set != e)
			return ENOENT;
		break;
	case MTCP_EPOLL_CTL_DEL:
		if (s->set != e)
			return ENOENT;
		set_remove(s);
		return 0;
	default:
		return EINVAL;
	}
	s->events = ev->events | MTCP_EPOLLERR | MTCP_EPOLLHUP;
	s->data = ev->data.u64;
	set_queue(s); /* what holds already is news */
	set_wake(e);
	return 0;
}

EXPORT int mtcp_epoll_ctl(mctx_t mctx, int epid, int op, int sockid, struct mtcp_epoll_event *event)
{
	struct mtcp_context *m = ctx_of(mctx);
	struct epoll_set *e = m ? set_of(m, epid) : NULL;
	struct slot *s = e ? slot_of(m, sockid) : NULL;
	int err;

	if (!s)
		return -1;
	if ((!event && op != MTCP_EPOLL_CTL_DEL) || s->kind == MTCP_SOCK_EPOLL)
		return fail(EINVAL);
	if (ctx_lock(m) < 0)
		return fail(EDEADLK);
	err = control(e, op, s, event);
	ctx_unlock(m);
	return err ? fail(err) : 0;
}

EXPORT char *EventToString(uint32_t event)
{
	static const struct {
		uint32_t event;
		char name[8];
	} names[] = {
		{ MTCP_EPOLLNONE, "NONE" }, { MTCP_EPOLLIN, "IN" },   { MTCP_EPOLLPRI, "PRI" },
		{ MTCP_EPOLLOUT, "OUT" },   { MTCP_EPOLLERR, "ERR" }, { MTCP_EPOLLHUP, "HUP" },
		{ MTCP_EPOLLRDHUP, "RDHUP" },
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].event == event)
			return (char *)names[i].name;
	return (char *)"?";
}
