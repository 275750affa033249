/* mtcp_pipe(): bytes between threads of the program, so that a thread that waits in mtcp_epoll_wait() can
 * be spoken to. A ring under a lock of its own; the context's lock only where the event set is told. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>
#include "mtcp/ctx.h"
#include "mtcp/export.h"
#include "mtcp/mtcp_epoll.h"
#include "stack/chan/lock.h"

enum { PIPE_SIZE = 65536 };

struct pipe {
	_Atomic uint32_t lock;
	uint32_t head, tail;	/* bytes read, bytes written; free-running */
	struct slot *end[2];	/* the reading and the writing one, NULL: closed */
	_Atomic uint32_t moves; /* +1 with each change: what a blocking call sleeps on */
	uint8_t ring[PIPE_SIZE];
};

EXPORT int mtcp_pipe(mctx_t mctx, int pipeid[2])
{
	struct mtcp_context *m = ctx_of(mctx);
	struct slot *end[2];
	struct pipe *p;

	if (!m)
		return -1;
	if (!pipeid)
		return fail(EFAULT);
	p = calloc(1, sizeof(*p));
	if (!p)
		return fail(ENOMEM);
	end[0] = slot_take(m, MTCP_SOCK_PIPE);
	end[1] = end[0] ? slot_take(m, MTCP_SOCK_PIPE) : NULL;
	if (!end[1]) {
		if (end[0])
			slot_give(m, end[0]);
		free(p);
		return fail(ENFILE);
	}
	end[1]->flags |= SLOT_WRITE_END;
	for (int i = 0; i < 2; i++) {
		end[i]->pipe = p;
		p->end[i] = end[i];
		pipeid[i] = slot_number(m, end[i]);
	}
	return 0;
}

/* The other end may have news. */
static void tell(struct mtcp_context *m, struct pipe *p, int end)
{
	atomic_fetch_add(&p->moves, 1);
	sys_futex_wake(&p->moves, INT32_MAX);
	if (ctx_lock(m) < 0)
		return;
	if (p->end[end])
		set_notice(p->end[end]);
	ctx_unlock(m);
}

/* The ring from pos on, around its end: *n bytes at once, at most. */
static uint8_t *run(struct pipe *p, uint32_t pos, size_t *n)
{
	size_t at = pos % PIPE_SIZE;

	*n = min_u64(*n, PIPE_SIZE - at);
	return p->ring + at;
}

/* Bytes moved. */
static ssize_t take(struct pipe *p, void *buf, size_t len)
{
	uint32_t n;

	if (chan_lock(&p->lock) < 0)
		return 0;
	n = (uint32_t)min_u64(len, p->tail - p->head);
	for (size_t done = 0, part; done < n; done += part) {
		part = n - done;
		const uint8_t *from = run(p, p->head + (uint32_t)done, &part);
		memcpy((char *)buf + done, from, part);
	}
	p->head += n;
	chan_unlock(&p->lock);
	return n;
}

static ssize_t put(struct pipe *p, const void *buf, size_t len)
{
	uint32_t n;

	if (chan_lock(&p->lock) < 0)
		return 0;
	n = (uint32_t)min_u64(len, PIPE_SIZE - (p->tail - p->head));
	for (size_t done = 0, part; done < n; done += part) {
		part = n - done;
		uint8_t *to = run(p, p->tail + (uint32_t)done, &part);
		memcpy(to, (const char *)buf + done, part);
	}
	p->tail += n;
	chan_unlock(&p->lock);
	return n;
}

static int pause_for(struct mtcp_context *m, struct pipe *p, uint32_t seen)
{
	struct sys_waitv v[2] = {
		{ .val = seen, .addr = (uintptr_t)&p->moves, .flags = SYS_WAITV_U32 },
		{ .val = m->interrupts_told, .addr = (uintptr_t)&m->interrupts, .flags = SYS_WAITV_U32 },
	};

	if (set_interrupted(m))
		return -EINTR;
	sys_futex_waitv(v, 2, NULL);
	return set_interrupted(m) ? -EINTR : 0;
}

ssize_t pipe_read(struct mtcp_context *m, struct slot *s, void *buf, size_t len, bool nonblock)
{
	struct pipe *p = s->pipe;

	if (s->flags & SLOT_WRITE_END)
		return -EBADF;
	for (;;) {
		uint32_t seen = atomic_load(&p->moves);
		bool closed = !p->end[1];
		ssize_t n = len ? take(p, buf, len) : 0;
		int r;

		if (n > 0) {
			tell(m, p, 1);
			return n;
		}
		if (closed || !len)
			return 0;
		if (nonblock)
			return -EAGAIN;
		r = pause_for(m, p, seen);
		if (r < 0)
			return r;
	}
}

ssize_t pipe_write(struct mtcp_context *m, struct slot *s, const void *buf, size_t len)
{
	struct pipe *p = s->pipe;

	if (!(s->flags & SLOT_WRITE_END))
		return -EBADF;
	for (;;) {
		uint32_t seen = atomic_load(&p->moves);
		ssize_t n;
		int r;

		if (!p->end[0])
			return -EPIPE;
		n = len ? put(p, buf, len) : 0;
		if (n > 0)
			tell(m, p, 0);
		if (n > 0 || !len)
			return n;
		if (s->flags & SLOT_NONBLOCK)
			return -EAGAIN;
		r = pause_for(m, p, seen);
		if (r < 0)
			return r;
	}
}

uint32_t pipe_bytes(const struct slot *s)
{
	return s->pipe->tail - s->pipe->head;
}

uint32_t pipe_mask(const struct slot *s)
{
	const struct pipe *p = s->pipe;
	uint32_t used = pipe_bytes(s);

	if (s->flags & SLOT_WRITE_END)
		return !p->end[0] ? MTCP_EPOLLERR | MTCP_EPOLLOUT : used < PIPE_SIZE ? MTCP_EPOLLOUT : 0;
	return (used ? MTCP_EPOLLIN : 0) | (p->end[1] ? 0 : MTCP_EPOLLHUP);
}

/* Under the context's lock. */
void pipe_close(struct mtcp_context *m, struct slot *s)
{
	struct pipe *p = s->pipe;
	int end = s->flags & SLOT_WRITE_END ? 1 : 0;

	p->end[end] = NULL;
	atomic_fetch_add(&p->moves, 1);
	sys_futex_wake(&p->moves, INT32_MAX);
	if (p->end[!end])
		set_notice(p->end[!end]);
	else
		free(p);
}
