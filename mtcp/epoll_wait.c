/* mtcp_epoll_wait(): changes off the event queues, the ready list by epoll's rules, and sleeping. */
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <poll.h>
#include "mtcp/epoll.h"
#include "mtcp/export.h"
#include "stack/chan/evq.h"
#include "stack/chan/wait.h"

/* ---- event queues -> ready lists ---- */
static void notice_all(struct mtcp_context *m, const struct link *l)
{
	for (uint32_t i = 0; i < m->used; i++)
		if (m->slot[i].kind != MTCP_SOCK_UNUSED && m->slot[i].link == l)
			set_notice(&m->slot[i]);
}

static void drain_link(struct mtcp_context *m, struct link *l)
{
	enum { BATCH = 1024, ROUNDS = 64 }; /* as in shim/epoll_wait.c */
	uint32_t ids[BATCH], n, rounds = 0;
	bool lost = false, any_lost = false;

	do {
		n = chan_evq_drain(&l->app, l->evq, ids, BATCH, &l->overflow, &lost);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t number = l->by_id[ids[i]];

			if (number)
				set_notice(&m->slot[number - 1]);
		}
		any_lost |= lost; /* said once; a full ring takes many rounds */
	} while (n > BATCH - 64 && ++rounds < ROUNDS);
	if (unlikely(any_lost))
		notice_all(m, l);
}

static void drain(struct mtcp_context *m)
{
	for (int i = 0; i < MTCP_LINKS; i++) {
		struct link *l = &m->link[i];

		if (!l->open)
			continue;
		if (unlikely(!l->end_told && !chan_alive(&l->app))) {
			l->end_told = true;
			notice_all(m, l);
		}
		if (chan_evq_pending(&l->app, l->evq, l->overflow))
			drain_link(m, l);
	}
}

static int collect(struct epoll_set *e, struct mtcp_epoll_event *ev, int max)
{
	int n = 0;

	for (uint32_t left = e->n_ready; left > 0 && n < max && e->head; left--) {
		struct slot *s = e->head;
		uint32_t mask = slot_mask(s);

		set_unqueue(s);
		if (!mask)
			continue;
		ev[n].events = mask;
		ev[n].data.u64 = s->data;
		n++;
		if (s->events & MTCP_EPOLLONESHOT)
			s->events &= SET_PRIVATE;
		else if (!(s->events & (uint32_t)MTCP_EPOLLET))
			set_queue(s); /* level: stays until it is found not to be ready */
	}
	return n;
}

/* ---- sleeping ---- */
bool set_interrupted(struct mtcp_context *m)
{
	uint32_t now = atomic_load(&m->interrupts);
	bool is = now != m->interrupts_told;

	m->interrupts_told = now;
	return is;
}

static void empty(int fd)
{
	uint64_t buf[8];

	while (sys_read(fd, buf, sizeof(buf)) == (long)sizeof(buf))
		;
}

/* The doorbell rang. An end of file: its engine has ended, which drain() notices. */
static void bell_rang(struct link *l)
{
	empty(l->bell_fd);
	if (chan_alive(&l->app))
		chan_evq_heard(&l->app, l->evq);
}

/* Counts in or out; true: nothing to look at. */
static bool rest_begin(struct mtcp_context *m, struct epoll_set *e)
{
	bool idle = !e->head;

	e->sleeping++;
	for (int i = 0; i < MTCP_LINKS; i++)
		if (m->link[i].open && chan_alive(&m->link[i].app) &&
		    !chan_evq_sleep(&m->link[i].app, m->link[i].evq, m->link[i].overflow))
			idle = false;
	return idle;
}

static void rest_end(struct mtcp_context *m, struct epoll_set *e)
{
	e->sleeping--;
	for (int i = 0; i < MTCP_LINKS; i++)
		if (m->link[i].open && chan_alive(&m->link[i].app))
			chan_evq_awake(&m->link[i].app, m->link[i].evq);
}

enum { FD_WAKE, FD_KICK, FD_BELLS };

/* The doorbells of engines that live: one that has ended rings for ever. */
static unsigned gather_fds(const struct mtcp_context *m, const struct epoll_set *e, struct pollfd *fd,
			   int *link)
{
	unsigned n = FD_BELLS;

	fd[FD_WAKE] = (struct pollfd){ .fd = e->wake_fd, .events = POLLIN };
	fd[FD_KICK] = (struct pollfd){ .fd = m->kick_fd, .events = POLLIN };
	for (int i = 0; i < MTCP_LINKS; i++) {
		if (!m->link[i].open || !chan_alive(&m->link[i].app))
			continue;
		link[n] = i;
		fd[n++] = (struct pollfd){ .fd = m->link[i].bell_fd, .events = POLLIN };
	}
	return n;
}

/* Sleeps once. 0 or -EINTR. Called with the lock, returns with it. */
static int doze(struct mtcp_context *m, struct epoll_set *e, uint64_t deadline)
{
	struct pollfd fd[FD_BELLS + MTCP_LINKS];
	int link[FD_BELLS + MTCP_LINKS], r = 0;
	uint64_t now = chan_now_ns(), left = deadline > now ? deadline - now : 0;
	struct timespec ts = { (time_t)(left / NSEC_PER_SEC), (long)(left % NSEC_PER_SEC) };
	unsigned n = gather_fds(m, e, fd, link);

	if (rest_begin(m, e)) {
		ctx_unlock(m);
		r = sys_ppoll(fd, n, deadline == CHAN_FOREVER ? NULL : &ts);
		if (ctx_lock(m) < 0)
			return -EDEADLK;
	}
	rest_end(m, e);
	if (r <= 0)
		return r == -EINTR ? r : 0;
	if (fd[FD_WAKE].revents)
		empty(e->wake_fd);
	if (fd[FD_KICK].revents)
		empty(m->kick_fd);
	for (unsigned i = FD_BELLS; i < n; i++)
		if (fd[i].revents)
			bell_rang(&m->link[link[i]]);
	return 0;
}

/* Looks at the present engine's queue for a moment: sleeping costs more than the next event is far. */
static bool spin(const struct mtcp_context *m, uint64_t deadline)
{
	const struct link *l = m->current;

	if (!l || l->app.n_workers != 1 || !chan_alive(&l->app))
		return false;
	if (deadline != CHAN_FOREVER && chan_now_ns() + CHAN_SPIN_US * NSEC_PER_USEC > deadline)
		return false;
	return chan_evq_spin(&l->app, l->evq);
}

/* Until there are events, under the lock except while it sleeps. Their number or -errno. */
static int wait_locked(struct mtcp_context *m, struct epoll_set *e, struct mtcp_epoll_event *ev, int max,
		       int timeout)
{
	uint64_t deadline = timeout < 0 ? CHAN_FOREVER : 0;

	for (;;) {
		int n, r;

		drain(m);
		n = collect(e, ev, max);
		if (n > 0 || timeout == 0)
			return n;
		if (set_interrupted(m))
			return -EINTR;
		if (!deadline)
			deadline = chan_now_ns() + (uint64_t)timeout * NSEC_PER_MSEC;
		if (spin(m, deadline))
			continue;
		if (unlikely(follow_is_due(m))) {
			ctx_unlock(m);
			follow(m);
			if (ctx_lock(m) < 0)
				return -EDEADLK;
		}
		r = doze(m, e, follow_until(m, deadline));
		if (r == -EINTR)
			set_interrupted(m);
		if (r < 0)
			return r;
		if (deadline != CHAN_FOREVER && chan_now_ns() >= deadline)
			timeout = 0; /* one more look */
	}
}

EXPORT int mtcp_epoll_wait(mctx_t mctx, int epid, struct mtcp_epoll_event *events, int maxevents,
			   int timeout)
{
	struct mtcp_context *m = ctx_of(mctx);
	struct epoll_set *e = m ? set_of(m, epid) : NULL;
	int r;

	if (!e)
		return -1;
	if (!events || maxevents <= 0)
		return fail(EINVAL);
	if (ctx_lock(m) < 0)
		return fail(EDEADLK);
	r = wait_locked(m, e, events, maxevents, timeout);
	ctx_unlock(m);
	return r < 0 ? fail(-r) : r;
}
