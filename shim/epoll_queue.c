/* The event queues of an epoll set: one for each attachment whose sockets it holds, which are several when
 * an old engine drains beside the new one, or when sockets of another client have arrived. */
// SPDX-License-Identifier: MIT
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shim/engine.h"
#include "shim/epoll.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "stack/chan/evq.h"

enum { IDS_BYTES = CHAN_MAX_SOCKS * sizeof(void *) };

/* Room to note who is subscribed; kept from one queue to the next, emptied. */
static bool have_ids(struct epoll_queue *q)
{
	void *p = q->by_id;

	if (p) {
		madvise(p, IDS_BYTES, MADV_DONTNEED); /* zeroes it */
		return true;
	}
	p = mmap(NULL, IDS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	q->by_id = p == MAP_FAILED ? NULL : p;
	return q->by_id;
}

static struct chan_app *forget(struct epoll_queue *q)
{
	struct chan_app *app = q->app;

	fdtab_hidden_close(&q->doorbell);
	q->app = NULL;
	q->evq = q->overflow = 0;
	return app;
}

void epoll_queue_each(struct epoll_queue *q, void (*f)(struct epoll_item *it))
{
	for (uint32_t i = 0; i < CHAN_MAX_SOCKS; i++)
		for (struct epoll_item *it = q->by_id[i], *next; it; it = next) {
			next = it->next_id;
			f(it);
		}
}

/* Its socket is an error for ever, nothing will ring. */
static void strand(struct epoll_item *it)
{
	it->queue = NULL;
	epoll_item_queue(it);
}

void epoll_queues_bury(struct epoll_set *set)
{
	set->queue_died = false;
	EPOLL_EACH_QUEUE(q, set) {
		if (chan_alive(q->app))
			continue;
		epoll_queue_each(q, strand);
		engine_leave(forget(q));
	}
}

void epoll_queues_close(struct epoll_set *set)
{
	EPOLL_EACH_QUEUE(q, set) {
		if (!atomic_load(&set->stale) && chan_alive(q->app))
			chan_evq_close(q->app, q->evq);
		engine_put(forget(q));
	}
	for (unsigned i = 0; i < set->n_queues; i++)
		if (set->queue[i].by_id)
			munmap(set->queue[i].by_id, IDS_BYTES);
}

void epoll_queues_leave(struct epoll_set *set)
{
	EPOLL_EACH_QUEUE(q, set)
		engine_put(forget(q));
	set->queue_died = false;
}

static struct epoll_queue *free_queue(struct epoll_set *set)
{
	for (unsigned i = 0; i < EPOLL_QUEUES; i++) {
		struct epoll_queue *q = &set->queue[i];

		if (q->app)
			continue;
		if (i == set->n_queues)
			set->n_queues++;
		return q;
	}
	return NULL;
}

/* Has the doorbell of q ring in the kernel's set. 0 or -errno. */
static int hang_up(struct epoll_set *set, struct epoll_queue *q, int pipe_fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET,
				  .data.u64 = set->cookie + (uint64_t)(q - set->queue) };
	int fd = fdtab_hide(pipe_fd, &q->doorbell);

	if (fd < 0)
		return fd;
	if (libc.epoll_ctl(epoll_set_fd(set), EPOLL_CTL_ADD, fd, &ev) == 0)
		return 0;
	fdtab_hidden_close(&q->doorbell);
	return -errno;
}

struct epoll_queue *epoll_queue_get(struct epoll_set *set, struct chan_app *app)
{
	struct epoll_queue *q;
	uint32_t evq;
	int pipe_fd;

	EPOLL_EACH_QUEUE(there, set)
		if (there->app == app)
			return there;
	epoll_queues_bury(set);
	q = free_queue(set);
	if (!q || !have_ids(q) || chan_evq_open(app, &evq, &pipe_fd, atomic_load(&set->kick)) < 0)
		return NULL;
	if (hang_up(set, q, pipe_fd) < 0) {
		chan_evq_close(app, evq);
		return NULL;
	}
	q->evq = evq;
	q->overflow = 0;
	engine_ref(app);
	q->app = app;
	/* Threads that sleep in the set already are sleepers of this queue from now on. */
	if (atomic_load(&set->sleeping)) {
		atomic_fetch_add(&app->evq_b[evq].arm_seq, 1);
		chan_evq_sleepers(app, evq, (int32_t)atomic_load(&set->sleeping));
	}
	return q;
}

void epoll_queue_heard(struct epoll_queue *q)
{
	char junk[64];
	int saved = errno, bell = atomic_load(&q->doorbell);

	if (bell < 0)
		return;
	while (libc.syscall(SYS_read, bell, junk, sizeof(junk)) == (long)sizeof(junk))
		;
	chan_evq_heard(q->app, q->evq);
	errno = saved;
}
