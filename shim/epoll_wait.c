/* Waiting on epoll sets: takes changes off the event queue, keeps the ready list by Linux's rules, asks
 * the kernel's set often enough, and sleeps in one place for both worlds. */
// SPDX-License-Identifier: MIT
#include "shim/epoll.h"
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shim/fault.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/signal.h"
#include "shim/sock.h"
#include "shim/sock_elder.h"
#include "shim/wait.h"
#include "stack/chan/evq.h"
#include "stack/chan/lock.h"
#include "stack/chan/user.h"
#include "stack/chan/wait.h"

/* While sockets of ours keep a set busy the kernel's part is asked every so many calls or so often. */
enum { ASK_CALLS = 16, ASK_NS = 50000 };
enum { SLICE_NS = 2000000 }; /* sleeps of a set with items that no event queue reports */

/* ---- edges and masks ---- */
static void look(const struct sock *s, struct epoll_edge *e)
{
	const struct chan_sock_a *a = s->a;

	e->flags = atomic_load_explicit(&a->flags, memory_order_acquire);
	e->rx_tail = chan_rx_end(a, s->b);
	e->tx_una = chan_tx_freed(a);
	e->state = atomic_load_explicit(&a->state, memory_order_acquire);
	e->err_seq = atomic_load_explicit(&a->err_seq, memory_order_acquire);
	if (elder_any())
		e->rx_tail += elder_tail(s);
	e->shut = atomic_load_explicit(&s->b->flags, memory_order_acquire) &
		  (CHAN_B_SHUT_RD | CHAN_B_SHUT_WR);
}

/* The key that Linux's wake-up would carry: which events are new since the last look. A change of
 * state wakes for everything. Room to send shows by bytes acknowledged: the engine tells of it only
 * when it was asked to. */
static uint32_t new_events(const struct epoll_item *it)
{
	const struct epoll_edge *old = &it->edge;
	struct epoll_edge now;
	uint32_t m = 0;

	look(it->sock, &now);
	if (now.state != old->state || now.err_seq != old->err_seq || now.shut != old->shut ||
	    (now.flags ^ old->flags) & (CHAN_A_RX_FIN | CHAN_A_TX_DONE))
		return UINT32_MAX;
	if (now.rx_tail != old->rx_tail)
		m |= EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND;
	if (now.tx_una != old->tx_una)
		m |= EPOLL_OUT;
	return m;
}

uint32_t epoll_item_mask(struct epoll_item *it)
{
	const uint32_t out = EPOLLOUT | EPOLLWRNORM;
	struct sock *s = it->sock;
	uint32_t m;

	if (it->inner) {
		int fd = epoll_set_fd(it->inner);

		it->inner_edges = it->inner->edges;
		m = fd >= 0 && epoll_set_is_ready(it->inner, fd) ? EPOLLIN | EPOLLRDNORM : 0;
		return m & it->events;
	}
	if (unlikely(!s))
		return 0;
	/* First the look, then the mask: what happens in between is a new edge. */
	look(s, &it->edge);
	m = sock_readiness(s);
	if (it->events & out && !(m & out) && sock_is_attached(s)) {
		sock_want_out(s);
		m = sock_readiness(s);
	}
	return m & it->events;
}

void epoll_item_attached(struct epoll_item *it)
{
	const uint32_t news = EPOLLIN | EPOLLPRI | EPOLLERR | EPOLLHUP | EPOLLRDHUP;
	struct sock *s = it->sock;

	look(s, &it->edge);
	if (sock_is_dgram(s) ? sock_readiness(s) & news : it->edge.state != CHAN_ST_OPEN || sock_is_dead(s))
		epoll_item_queue(it);
}

static void notice(struct epoll_item *it)
{
	if (!(it->events & ~(uint32_t)EPOLL_PRIVATE))
		return; /* ONESHOT has fired */
	if (it->events & EPOLLET && it->sock && !(new_events(it) & it->events))
		return;
	epoll_item_queue(it);
}

/* What no queue reports: see also sock_elder.h. */
static void notice_unheard(struct epoll_set *set)
{
	struct epoll_item *it;

	for (uint32_t i = 0; (it = epoll_item_nth(i)) != NULL; i++) {
		struct sock *s = it->set == set ? it->sock : NULL;

		if (s && (it->flags & ITEM_UNHEARD || atomic_load(&s->elder.app)))
			notice(it);
	}
}

static void drain_queue(struct epoll_set *set, struct epoll_queue *q)
{
	/* What other programs mark comes from the first word on each time: all of it at once, or those behind
	 * would starve. */
	enum { BATCH = 1024, ROUNDS = 64 };
	uint32_t ids[BATCH], n, rounds = 0;
	bool lost = false, any_lost = false;

	do {
		n = chan_evq_drain(q->app, q->evq, ids, BATCH, &q->overflow, &lost);
		for (uint32_t i = 0; i < n; i++)
			for (struct epoll_item *it = q->by_id[ids[i]]; it; it = it->next_id)
				notice(it);
		any_lost |= lost; /* said once; a full ring takes many rounds */
	} while (n > BATCH - 64 && ++rounds < ROUNDS);
	if (any_lost)
		epoll_queue_each(q, notice);
	set->busy = (uint32_t)(q - set->queue);
}

/* Event queues -> ready list. */
static void drain(struct epoll_set *set)
{
	if (unlikely(set->unheard) || elder_any())
		notice_unheard(set);
	EPOLL_EACH_QUEUE(q, set)
		if (chan_evq_pending(q->app, q->evq, q->overflow))
			drain_queue(set, q);
}

/* Sets inside this one have no queue that reports here. */
static void look_inside(struct epoll_set *set)
{
	for (struct epoll_item *it = set->inner_items; it; it = it->next_inner) {
		struct epoll_set *inner = it->inner;
		bool changed = !(it->events & EPOLLET);

		if (!changed && epoll_lock_take(&inner->lock) == 0) {
			if (atomic_load(&inner->live)) {
				drain(inner);
				look_inside(inner);
			}
			changed = inner->edges != it->inner_edges;
			epoll_lock_give(&inner->lock);
		}
		if (changed)
			notice(it);
	}
}

/* ---- taking events ---- */
/* Number of events or, when not even the first can be stored, -EFAULT. */
static int collect(struct epoll_set *set, struct epoll_event *ev, int max)
{
	int n = 0;

	for (uint32_t left = set->n_ready; left > 0 && n < max && set->head; left--) {
		struct epoll_item *it = set->head;
		struct epoll_event e = { .events = epoll_item_mask(it), .data.u64 = it->data };

		if (e.events && unlikely(user_put(&ev[n], &e, sizeof(e)) < 0))
			return n > 0 ? n : -EFAULT; /* it stays */
		epoll_item_unqueue(it);
		if (!e.events)
			continue;
		n++;
		if (it->events & EPOLLONESHOT) {
			it->events &= (uint32_t)EPOLL_PRIVATE;
		} else if (!(it->events & EPOLLET)) {
			epoll_item_queue(it); /* level: stays until it is found not to be ready */
			set->edges--;
		}
	}
	return n;
}

/* Its socket is an error now. */
static void notice_end(struct epoll_item *it)
{
	if (it->events & ~(uint32_t)EPOLL_PRIVATE)
		epoll_item_queue(it);
}

static void bell_rang(struct epoll_set *set, struct epoll_queue *q)
{
	if (!q->app)
		return;
	if (likely(chan_alive(q->app))) {
		epoll_queue_heard(q);
		return;
	}
	set->queue_died = true;
	epoll_queue_each(q, notice_end);
}

/* One of our own registrations in the kernel's set has fired. */
static void cookie_fired(struct epoll_set *set, uint64_t which, uint32_t events)
{
	struct epoll_item *it;

	if (which < EPOLL_QUEUES) {
		bell_rang(set, &set->queue[which]);
		return;
	}
	if (which == EPOLL_COOKIE_KICK)
		return;
	it = epoll_item_nth((uint32_t)which - EPOLL_COOKIE_ITEM);
	if (!it || it->set != set || !(it->flags & ITEM_COOKIE))
		return;
	if (it->events & ~(uint32_t)EPOLL_PRIVATE)
		epoll_item_queue(it);
}

/* Takes our own events out of what the kernel gave; returns how many are the program's. */
static int sift(struct epoll_set *set, struct epoll_event *ev, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		uint64_t data = ev[i].data.u64;

		if ((data & ~0xffffffffull) == set->cookie)
			cookie_fired(set, data - set->cookie, ev[i].events);
		else
			ev[kept++] = ev[i];
	}
	return kept;
}

/* The kernel's set, now. Not libc's function: this is no cancellation point. */
static int ask(struct epoll_set *set, int epfd, struct epoll_event *ev, int max)
{
	int saved = errno;
	long n = libc.syscall(SYS_epoll_pwait, epfd, ev, max, 0, NULL, (size_t)_NSIG / 8);

	errno = saved;
	set->calls = 0;
	return n <= 0 ? 0 : sift(set, ev, (int)n);
}

static bool is_due(struct epoll_set *set)
{
	uint64_t now;

	if (set->kernel_fds == 0)
		return false;
	now = wait_now_ns();
	if (++set->calls < ASK_CALLS && now - set->asked_ns < ASK_NS)
		return false;
	set->asked_ns = now;
	return true;
}

/* n events are there already, r is the next count or an error. */
static inline int plus(int n, int r)
{
	return r >= 0 ? n + r : n > 0 ? n : r;
}

/* What there is without waiting. Caller holds set->lock. */
static int gather(struct epoll_set *set, int epfd, const struct epoll_wait_args *args)
{
	struct epoll_event *ev = args->events;
	bool due = is_due(set);
	int n = 0, max = args->max;

	drain(set);
	look_inside(set);
	if (due && set->n_ready >= (uint32_t)max) {
		n = ask(set, epfd, ev, (max + 1) / 2); /* its share, or it would starve */
		due = false;
	}
	n = plus(n, collect(set, ev + n, max - n));
	if (n == max || n < 0 || !(due || (n == 0 && args->deadline_ns == 0)))
		return n;
	n += ask(set, epfd, ev + n, max - n);
	return n > 0 ? n : collect(set, ev, max);
}

/* ---- sleeping ---- */
bool epoll_set_rest_begin(struct epoll_set *set)
{
	bool empty = true;

	if (epoll_lock_take(&set->lock) < 0)
		return false;
	atomic_fetch_add(&set->sleeping, 1);
	if (atomic_load(&set->live)) {
		EPOLL_EACH_QUEUE(q, set)
			if (!chan_evq_sleep(q->app, q->evq, q->overflow))
				empty = false;
		for (struct epoll_item *it = set->inner_items; it; it = it->next_inner)
			if (!epoll_set_rest_begin(it->inner))
				empty = false;
		if (set->head)
			empty = false;
	}
	epoll_lock_give(&set->lock);
	return empty;
}

void epoll_set_rest_end(struct epoll_set *set)
{
	if (epoll_lock_take(&set->lock) < 0)
		return;
	atomic_fetch_sub(&set->sleeping, 1);
	if (atomic_load(&set->live)) {
		EPOLL_EACH_QUEUE(q, set)
			chan_evq_awake(q->app, q->evq);
		for (struct epoll_item *it = set->inner_items; it; it = it->next_inner)
			epoll_set_rest_end(it->inner);
	}
	epoll_lock_give(&set->lock);
}

/* Cancelled in the kernel's wait. */
static void cancelled(void *arg)
{
	struct epoll_set *set = arg;

	epoll_set_rest_end(set);
	epoll_set_put(set);
}

static int kernel_wait(const struct epoll_set *set, int epfd, const struct epoll_wait_args *args)
{
	uint64_t now = wait_now_ns(), deadline = args->deadline_ns;

	if (unlikely(set->unheard) && now + SLICE_NS < deadline)
		deadline = now + SLICE_NS;

	uint64_t left = deadline > now ? deadline - now : 0;
	struct timespec ts = { .tv_sec = (time_t)(left / 1000000000u),
			       .tv_nsec = (long)(left % 1000000000u) };
	bool forever = deadline == WAIT_FOREVER;
	uint64_t ms = (left + 999999u) / 1000000u;
	int r;

	if (args->fine)
		r = libc.epoll_pwait2(epfd, args->events, args->max, forever ? NULL : &ts,
				      args->mask);
	else
		r = libc.epoll_pwait(epfd, args->events, args->max,
				     forever ? -1 : ms > INT_MAX ? INT_MAX : (int)ms, args->mask);
	return r < 0 ? -errno : r;
}

/* Sleeps once. Number of the kernel's events, ours included, 0 or -errno. */
static int doze(struct epoll_set *set, int epfd, const struct epoll_wait_args *args)
{
	uint32_t forks = atomic_load_explicit(&epoll_forks, memory_order_relaxed);
	volatile int r = 0; /* lives across the cancellation frame */

	if (epoll_set_rest_begin(set)) {
		pthread_cleanup_push(cancelled, set);
		r = kernel_wait(set, epfd, args);
		pthread_cleanup_pop(0);
		/* The kernel has just been asked for its own. */
		set->calls = 0;
		set->asked_ns = wait_now_ns();
	}
	/* Not in a child that a signal handler forked while we slept. */
	if (likely(atomic_load_explicit(&epoll_forks, memory_order_relaxed) == forks))
		epoll_set_rest_end(set);
	return r;
}

/* Looks at the queue that was last busy for a moment: sleeping and waking cost more than the next event is
 * far. Without a lock: the maps stay, see engine_leave(). */
static bool spin(const struct epoll_set *set, uint64_t deadline)
{
	const struct epoll_queue *q = &set->queue[set->busy];
	const struct chan_app *app = q->app;

	if (!app || app->n_workers != 1 || !chan_alive(app) || set->unheard)
		return false;
	if (deadline != WAIT_FOREVER && wait_now_ns() + CHAN_SPIN_US * 1000ull > deadline)
		return false;
	return chan_evq_spin(app, q->evq);
}

static bool settle(struct epoll_set *set)
{
	bool any = false;

	EPOLL_EACH_QUEUE(q, set)
		any |= chan_settle(q->app);
	return any;
}

int epoll_set_wait(struct epoll_set *set, int epfd, const struct epoll_wait_args *args)
{
	bool last = args->deadline_ns == 0, settled = false;
	uint64_t deadline = args->deadline_ns;
	struct epoll_wait_args now;
	int r = 0, n;

	fault_thread();
	if (args->slept) {
		epoll_set_rest_end(set);
		r = args->result;
	}
	for (;;) {
		/* It may have been an event of ours that the kernel could not store. */
		if (unlikely(r == -EFAULT) && !epoll_set_is_ready(set, epfd))
			r = 0;
		/* A signal handler on top of our own code can't look, and must not wait. */
		if (epoll_lock_take(&set->lock) < 0)
			return -EINTR;
		if (unlikely(atomic_load(&set->stale)))
			epoll_adopt(set);
		n = r > 0 ? sift(set, args->events, r) : 0;
		if (n > 0)
			n = plus(n, collect(set, args->events + n, args->max - n));
		else
			n = gather(set, epfd, args);
		if (n == 0 && r == 0 && last && !settled && unlikely(settle(set))) {
			settled = true;
			n = gather(set, epfd, args);
		}
		epoll_set_wake(set);
		epoll_lock_give(&set->lock);
		if (n != 0 || r < 0)
			return n != 0 ? n : r;
		if (last)
			return 0;
		if (deadline == EPOLL_WAIT_LATER)
			deadline = wait_now_ns() + args->wait_ns;
		if (spin(set, deadline))
			continue;
		if (signal_interrupted(SIGNAL_ANY)) {
			r = -EINTR; /* ran while we were awake; one more look: events go first */
			continue;
		}
		now = *args;
		now.deadline_ns = sock_revive(deadline);
		r = doze(set, epfd, &now);
		last = deadline != WAIT_FOREVER && r == 0 && wait_now_ns() >= deadline;
	}
}

bool epoll_set_is_ready(struct epoll_set *set, int epfd)
{
	struct pollfd p = { .fd = epfd, .events = POLLIN };
	int saved = errno;
	bool ready = false;

	if (epoll_lock_take(&set->lock) < 0)
		return false;
	if (unlikely(atomic_load(&set->stale)))
		epoll_adopt(set);
	if (atomic_load(&set->live)) {
		drain(set);
		look_inside(set);
		while (set->head && !ready) {
			ready = epoll_item_mask(set->head) != 0;
			if (!ready)
				epoll_item_unqueue(set->head);
		}
		epoll_set_hush(set);
	}
	epoll_lock_give(&set->lock);
	if (!ready)
		ready = libc.syscall(SYS_poll, &p, 1, 0) > 0;
	errno = saved;
	return ready;
}
