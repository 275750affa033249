/* Bytes: mtcp_read(), mtcp_write() and their vectors. Nothing between them and the rings but a look at
 * the descriptor. An error that ended the connection stays for SO_ERROR: here it is ENOTCONN. */
// SPDX-License-Identifier: MIT
#include <limits.h>
#include "mtcp/ctx.h"
#include "mtcp/export.h"
#include "stack/chan/stream.h"
#include "stack/chan/write.h"

/* No bytes were found: 0 end of the stream, -EAGAIN, or -ENOTCONN. To be asked before another look. */
static int why_none(const struct slot *s)
{
	uint32_t flags = atomic_load_explicit(&slot_a(s)->flags, memory_order_acquire);
	uint32_t state = slot_state(s);

	if (flags & CHAN_A_RX_FIN ||
	    atomic_load_explicit(&slot_b(s)->flags, memory_order_relaxed) & CHAN_B_SHUT_RD)
		return 0;
	return state == CHAN_ST_CONNECTED && !slot_is_dead(s) ? -EAGAIN : -ENOTCONN;
}

static __attribute__((noinline)) ssize_t read_slow(struct mtcp_context *m, struct slot *s,
						   const struct iovec *iov, int n, int rx, bool nonblock)
{
	for (;;) {
		uint32_t seen = chan_sock_seq(slot_a(s));
		int why = why_none(s);
		ssize_t r = chan_rx_read(&s->link->app, s->id, iov, n, rx, 0);

		if (r > 0)
			return r;
		if (r < 0)
			return r == -EDEADLK ? -EAGAIN : r == -ENOBUFS ? -ENOMEM : r;
		if (why != -EAGAIN || nonblock)
			return why;
		r = slot_wait(m, s, seen);
		if (r < 0)
			return r;
	}
}

static inline ssize_t read_iov(struct mtcp_context *m, struct slot *s, const struct iovec *iov, int n,
			       size_t len, int rx, bool nonblock)
{
	ssize_t r;

	if (unlikely(!s->link || s->kind != MTCP_SOCK_STREAM))
		return s->kind == MTCP_SOCK_STREAM ? -ENOTCONN : -ENOTSOCK;
	if (unlikely(len == 0))
		return 0;
	r = chan_rx_read(&s->link->app, s->id, iov, n, rx, 0);
	return likely(r > 0) ? r : read_slow(m, s, iov, n, rx, nonblock);
}

static inline ssize_t answer(ssize_t r)
{
	if (likely(r >= 0))
		return r;
	errno = (int)-r;
	return -1;
}

/* flags: of recv(). */
static inline ssize_t read_flags(mctx_t mctx, int sockid, char *buf, size_t len, int flags)
{
	struct mtcp_context *m = ctx_of(mctx);
	struct slot *s = likely(m != NULL) ? slot_of(m, sockid) : NULL;
	struct iovec iov = { buf, len };
	bool nonblock;

	if (unlikely(!s))
		return -1;
	nonblock = flags & MSG_DONTWAIT || s->flags & SLOT_NONBLOCK;
	if (unlikely(s->kind == MTCP_SOCK_PIPE))
		return answer(pipe_read(m, s, buf, len, nonblock));
	return answer(read_iov(m, s, &iov, 1, len, flags & MSG_PEEK ? CHAN_RX_PEEK : 0, nonblock));
}

EXPORT ssize_t mtcp_read(mctx_t mctx, int sockid, char *buf, size_t len)
{
	return read_flags(mctx, sockid, buf, len, 0);
}

EXPORT ssize_t mtcp_recv(mctx_t mctx, int sockid, char *buf, size_t len, int flags)
{
	if (flags & ~(MSG_PEEK | MSG_DONTWAIT))
		return fail(EINVAL);
	return read_flags(mctx, sockid, buf, len, flags);
}

/* Bytes of the vector: an int, as the calls return one; -1: too many. */
static ssize_t iov_bytes(const struct iovec *iov, int n)
{
	size_t total = 0;

	if (n < 0 || n > IOV_MAX || (n && !iov))
		return -1;
	for (int i = 0; i < n; i++)
		if (__builtin_add_overflow(total, iov[i].iov_len, &total) || total > INT_MAX)
			return -1;
	return (ssize_t)total;
}

EXPORT int mtcp_readv(mctx_t mctx, int sockid, const struct iovec *iov, int num_iov)
{
	struct slot *s = sock_of(mctx, sockid);
	ssize_t len = iov_bytes(iov, num_iov);

	if (!s)
		return -1;
	if (len < 0)
		return fail(EINVAL);
	return (int)answer(read_iov(mctx, s, iov, num_iov, (size_t)len, 0, s->flags & SLOT_NONBLOCK));
}

/* ---- writing ---- */
/* The page of mtcp_write(): room or EAGAIN in ESTABLISHED and CLOSE_WAIT, ENOTCONN in all other states. */
static int write_error(const struct slot *s, enum chan_status st)
{
	switch (st) {
	case CHAN_SHOULD_WAIT:
		return slot_state(s) == CHAN_ST_CONNECTING ? -ENOTCONN : -EAGAIN;
	case CHAN_NO_MEMORY:
		return -ENOMEM;
	case CHAN_BAD_BUFFER:
		return -EFAULT;
	default:
		return -ENOTCONN;
	}
}

static inline ssize_t write_iov(struct mtcp_context *m, struct slot *s, const struct iovec *iov, int n)
{
	struct chan_handle h = { s->id, s->gen };

	if (unlikely(!s->link || s->kind != MTCP_SOCK_STREAM))
		return s->kind == MTCP_SOCK_STREAM ? -ENOTCONN : -ENOTSOCK;
	for (;;) {
		uint32_t seen = chan_sock_seq(slot_a(s));
		size_t sent = 0;
		enum chan_status st = chan_write(&s->link->app, h, 0, iov, n, &sent);
		int r;

		if (likely(st == CHAN_OK))
			return (ssize_t)sent;
		r = write_error(s, st);
		if (r == -EAGAIN && !(s->flags & SLOT_NONBLOCK))
			r = slot_wait(m, s, seen);
		if (r < 0)
			return r;
	}
}

EXPORT ssize_t mtcp_write(mctx_t mctx, int sockid, const char *buf, size_t len)
{
	struct mtcp_context *m = ctx_of(mctx);
	struct slot *s = likely(m != NULL) ? slot_of(m, sockid) : NULL;
	struct iovec iov = { (char *)buf, len };

	if (unlikely(!s))
		return -1;
	if (unlikely(s->kind == MTCP_SOCK_PIPE))
		return answer(pipe_write(m, s, buf, len));
	return answer(write_iov(m, s, &iov, 1));
}

EXPORT int mtcp_writev(mctx_t mctx, int sockid, const struct iovec *iov, int num_iov)
{
	struct slot *s = sock_of(mctx, sockid);

	if (!s)
		return -1;
	if (iov_bytes(iov, num_iov) < 0)
		return fail(EINVAL);
	return (int)answer(write_iov(mctx, s, iov, num_iov));
}
