/* Sockets of ours in poll() and select(): see poll_ours.h. A thread borrows an event queue from a list of
 * the process only while it sleeps. */
// SPDX-License-Identifier: MIT
#include "shim/poll_ours.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shim/engine.h"
#include "shim/epoll.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/poll.h"
#include "shim/sock.h"
#include "shim/sock_forked.h"
#include "shim/wait.h"
#include "stack/chan/lane.h"
#include "stack/chan/evq.h"
#include "stack/chan/lock.h"
#include "stack/chan/wait.h"

/* ---- event queues to borrow ---- */
struct poll_queue {
	struct chan_app *app; /* NULL: this slot is free */
	uint32_t evq, overflow;
	_Atomic int doorbell;
	_Atomic uint32_t taken;
};
enum { QUEUES = 1024, EMPTY_ROUNDS = 4096 };
static struct poll_queue queues[QUEUES];
static _Atomic uint32_t n_queues; /* slots ever used */

static bool queue_open(struct poll_queue *q, struct chan_app *app)
{
	int pipe_fd;

	if (q->app && !chan_alive(q->app)) {
		fdtab_hidden_close(&q->doorbell);
		engine_put(q->app);
		q->app = NULL;
	}
	if (q->app)
		return q->app == app;
	if (chan_evq_open(app, &q->evq, &pipe_fd, -1) < 0)
		return false;
	if (fdtab_hide(pipe_fd, &q->doorbell) < 0) {
		chan_evq_close(app, q->evq);
		return false;
	}
	q->overflow = 0;
	engine_ref(app);
	q->app = app;
	return true;
}

static struct poll_queue *queue_take(struct chan_app *app)
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		struct poll_queue *q = &queues[i];
		uint32_t used = atomic_load(&n_queues), free = 0;

		if (!atomic_compare_exchange_strong(&q->taken, &free, 1))
			continue;
		if (queue_open(q, app)) {
			while (i >= used && !atomic_compare_exchange_weak(&n_queues, &used, i + 1))
				;
			return q;
		}
		atomic_store(&q->taken, 0);
		if (i >= used)
			break; /* a new one can't be had */
	}
	return NULL;
}

static void queue_give(struct poll_queue *q)
{
	atomic_store_explicit(&q->taken, 0, memory_order_release);
}

void poll_prepare(struct chan_app *app)
{
	struct poll_queue *q = queue_take(app);

	if (q)
		queue_give(q);
}

void poll_fork_child(void)
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		if (queues[i].app) {
			fdtab_hidden_close(&queues[i].doorbell);
			engine_put(queues[i].app);
		}
		queues[i].app = NULL;
		atomic_store(&queues[i].taken, 0);
	}
	atomic_store(&n_queues, 0);
}

/* A byte that comes after the last look at the doorbell only makes the next sleep a short one. */
static void queue_empty(struct poll_queue *q, bool rang)
{
	uint32_t ids[64];
	char junk[64];
	bool lost = false;
	int saved = errno;

	if (rang) {
		while (libc.syscall(SYS_read, atomic_load(&q->doorbell), junk, sizeof(junk)) ==
		       (long)sizeof(junk))
			;
		errno = saved;
		chan_evq_heard(q->app, q->evq);
	}
	for (int i = 0; i < EMPTY_ROUNDS; i++)
		if (chan_evq_drain(q->app, q->evq, ids, 64, &q->overflow, &lost) == 0)
			break;
}

/* ---- the group ---- */
static struct epoll_set *set_of(const struct poll_ours *p)
{
	return p->o && p->o->ops->type == OBJECT_EPOLL ? container_of(p->o, struct epoll_set, obj) :
							 NULL;
}

static struct sock *sock_in(const struct poll_ours *p)
{
	return p->o && p->o->ops->type == OBJECT_SOCK ? sock_of(p->o) : NULL;
}

bool poll_ours_add(struct poll_group *g, int fd, uint32_t slot, uint32_t want)
{
	struct poll_ours *p = &g->ours[g->n];
	struct object *o = fdtab_get(fd);
	struct epoll_set *set;
	bool ours = true;

	if (!o)
		return false;
	*p = (struct poll_ours){ .o = o, .fd = fd, .slot = slot, .want = want };
	set = set_of(p);
	if (o->ops->type == OBJECT_HIDDEN) {
		fdtab_put(o);
		p->o = NULL;
	} else if (!set) {
		sock_catch_up(sock_of(o));
		sock_settle(sock_of(o));
		ours = sock_mode(sock_of(o)) != SOCK_KERNEL;
	} /* a set that has none of ours yet may get one while we sleep */
	if (ours)
		g->n++;
	else
		fdtab_put(o);
	return ours;
}

void poll_ours_drop(struct poll_group *g)
{
	while (g->n > 0) {
		struct poll_ours *p = &g->ours[--g->n];

		if (p->o)
			fdtab_put(p->o);
	}
}

static uint32_t readiness(const struct poll_ours *p)
{
	struct epoll_set *set = set_of(p);

	if (!p->o)
		return POLLNVAL;
	if (set)
		return epoll_set_is_ready(set, p->fd) ? EPOLLIN | EPOLLRDNORM : 0;
	return sock_readiness(sock_in(p));
}

uint32_t poll_ours_look(struct poll_group *g)
{
	uint32_t ready = 0;

	for (uint32_t i = 0; i < g->n; i++) {
		struct poll_ours *p = &g->ours[i];

		struct sock *s = sock_in(p);

		if (s)
			p->seen = chan_sock_seq(s->a);
		p->got = readiness(p) & (p->want | POLLNVAL);
		ready += p->got != 0;
	}
	return ready;
}

bool poll_ours_settle(const struct poll_group *g)
{
	bool any = false;

	for (uint32_t i = 0; i < g->n; i++) {
		struct sock *s = sock_in(&g->ours[i]);

		any |= s && sock_is_attached(s) && chan_settle(s->app);
	}
	return any;
}

bool poll_ours_has_kernel_half(const struct poll_ours *p)
{
	struct sock *s = sock_in(p);

	return set_of(p) || (s && sock_has(s, SOCK_TWIN));
}

/* The queue that s is subscribed to while the group is armed. NULL: none. */
static struct poll_queue *queue_of(const struct poll_group *g, const struct sock *s)
{
	if (s && sock_is_attached(s))
		for (uint32_t i = 0; i < g->n_queues; i++)
			if (g->queue[i]->app == s->app)
				return g->queue[i];
	return NULL;
}

/* The same, borrowed if need be. */
static struct poll_queue *queue_for(struct poll_group *g, const struct sock *s)
{
	struct poll_queue *q = queue_of(g, s);

	if (q || !s || !sock_is_attached(s) || sock_is_dead(s))
		return q;
	if (g->n_queues < POLL_BELLS)
		q = queue_take(s->app);
	if (q)
		g->queue[g->n_queues++] = q;
	else
		g->unheard = true;
	return q;
}

static void want_out(struct sock *s, uint32_t want)
{
	if (want & (EPOLLOUT | EPOLLWRNORM) && sock_is_attached(s))
		sock_want_out(s);
}

bool poll_ours_arm(struct poll_group *g)
{
	bool quiet = true, socks = false;

	g->n_queues = 0;
	g->unheard = false;
	for (g->armed = 0; g->armed < g->n; g->armed++) {
		struct poll_ours *p = &g->ours[g->armed];
		struct epoll_set *set = set_of(p);
		struct sock *s = sock_in(p);
		struct poll_queue *q = queue_for(g, s);

		if (set && !epoll_set_rest_begin(set))
			quiet = false;
		if (q)
			chan_subscribe(q->app, s->id, q->evq);
		if (s)
			want_out(s, p->want);
		socks |= s != NULL;
	}
	/* Something alone that has no place in an engine yet may get one by another thread. */
	g->unheard |= g->n_queues == 0 && socks;
	for (uint32_t i = 0; i < g->n_queues; i++)
		if (!chan_evq_sleep(g->queue[i]->app, g->queue[i]->evq, g->queue[i]->overflow))
			quiet = false;
	return quiet && poll_ours_look(g) == 0;
}

void poll_ours_disarm(struct poll_group *g)
{
	for (uint32_t i = 0; i < g->n_queues; i++)
		chan_evq_awake(g->queue[i]->app, g->queue[i]->evq);
	while (g->armed > 0) {
		struct poll_ours *p = &g->ours[--g->armed];
		struct epoll_set *set = set_of(p);
		struct sock *s = sock_in(p);
		struct poll_queue *q = queue_of(g, s);

		if (set)
			epoll_set_rest_end(set);
		if (q)
			chan_unsubscribe(q->app, s->id, q->evq);
	}
	while (g->n_queues > 0) {
		struct poll_queue *q = g->queue[--g->n_queues];

		queue_empty(q, g->rang >> g->n_queues & 1);
		queue_give(q);
	}
	g->rang = 0;
}

int poll_ours_doorbell(const struct poll_group *g, uint32_t i)
{
	return i < g->n_queues ? atomic_load(&g->queue[i]->doorbell) : -1;
}

bool poll_ours_is_one(const struct poll_group *g)
{
	struct sock *s = g->n == 1 ? sock_in(&g->ours[0]) : NULL;

	return s && sock_is_attached(s) && !sock_has(s, SOCK_TWIN) && !atomic_load(&s->elder.app);
}

bool poll_ours_spin(const struct poll_group *g)
{
	struct sock *s = g->n == 1 ? sock_in(&g->ours[0]) : NULL;

	return s && sock_is_attached(s) && !sock_is_dead(s) &&
	       chan_sock_spin(s->app, s->id, g->ours[0].seen);
}

int poll_ours_wait_one(struct poll_group *g, uint64_t deadline_ns)
{
	struct sock *s = sock_in(&g->ours[0]);
	uint32_t seen = chan_sock_seq(s->a);

	want_out(s, g->ours[0].want);
	if (poll_ours_look(g))
		return 0;
	return wait_sock(s, seen, deadline_ns);
}
