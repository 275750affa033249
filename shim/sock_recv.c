/* Bytes from a stream into the program's memory, with Linux's order of checks: what is there first,
 * then end, error, timeout and signal. Messages are sock_msg.c's. */
// SPDX-License-Identifier: MIT
#include "shim/sock_io.h"
#include <unistd.h>
#include "shim/libc.h"
#include "shim/sock_async.h"
#include "shim/sock_conn.h"
#include "shim/sock_errq.h"
#include "shim/sock_iov.h"
#include "shim/sock_urgent.h"
#include "shim/wait.h"
#include "stack/chan/stream.h"
#include "stack/chan/user.h"
#include "stack/chan/wait.h"

/* With MSG_TRUNC nothing is copied; with MSG_PEEK everything stays (with both, that is a count). skip: where
 * SO_PEEK_OFF says to begin. more: further CHAN_RX_*. */
static ssize_t recv_step(struct sock *s, const struct iov_walk *w, int flags, uint32_t skip, int more)
{
	int rx = more | (flags & MSG_PEEK ? CHAN_RX_PEEK : 0) | (flags & MSG_TRUNC ? CHAN_RX_DISCARD : 0);
	int n;
	const struct iovec *iov = iov_piece(w, &n);

	return chan_rx_read(s->app, s->id, iov, n, rx, skip);
}

/* Will no more bytes come? To be asked before looking how many there are. */
static bool recv_ended(const struct sock *s)
{
	return atomic_load_explicit(&s->a->flags, memory_order_acquire) & CHAN_A_RX_FIN ||
	       atomic_load_explicit(&s->a->state, memory_order_acquire) == CHAN_ST_CLOSED ||
	       atomic_load_explicit(&s->b->flags, memory_order_relaxed) & CHAN_B_SHUT_RD;
}

/* Is there anything but "not yet" to be said when no bytes are found? Asked before looking for them: what
 * ends a stream is told by the engine after the stream's last bytes. */
static bool recv_is_over(const struct sock *s)
{
	uint32_t state = atomic_load_explicit(&s->a->state, memory_order_acquire);

	return recv_ended(s) || chan_has_error(s->a, s->b) || sock_is_broken(s) ||
	       (state != CHAN_ST_CONNECTED && state != CHAN_ST_CONNECTING);
}

int sock_recv_why(struct sock *s)
{
	uint32_t fa = atomic_load_explicit(&s->a->flags, memory_order_acquire);
	uint32_t state = atomic_load_explicit(&s->a->state, memory_order_acquire);
	int err;

	if (fa & CHAN_A_RX_FIN)
		return 0;
	err = sock_take_error(s);
	if (err)
		return -err;
	if (atomic_load(&s->b->flags) & CHAN_B_SHUT_RD || state == CHAN_ST_CLOSED || sock_is_broken(s))
		return 0;
	return state == CHAN_ST_CONNECTED || state == CHAN_ST_CONNECTING ? -EAGAIN : -ENOTCONN;
}

/* Not connected; but there may be the error of a connection that was. */
static int recv_idle(struct sock *s)
{
	int err = sock_take_error(s);

	if (err)
		return -err;
	return atomic_load(&s->b->flags) & CHAN_B_SHUT_RD ? 0 : -ENOTCONN;
}

/* What can be said before looking at the stream; 1: look. */
static int recv_refused(struct sock *s, int flags)
{
	uint32_t mode;

	sock_settle(s);
	mode = sock_mode(s);
	if (mode == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (flags & MSG_ERRQUEUE) /* nobody asks for the message: taken all the same */
		return errq_take(s, &(struct cmsg_out){ 0 });
	if (sock_has(s, SOCK_LISTENING))
		return -ENOTCONN;
	return mode == SOCK_UNDECIDED ? recv_idle(s) : 1;
}

/* Bytes behind what a MSG_PEEK has copied, or that can still be taken. */
static bool recv_has_more(const struct sock *s, int flags, uint32_t skip, size_t copied)
{
	size_t past = flags & MSG_PEEK ? skip + copied : 0;

	if (unlikely(chan_has_urgent(s->a)))
		past += sock_urgent_holes(s, flags & MSG_PEEK ? skip : 0);
	return chan_rx_avail(s->a, s->b) > past;
}

/* The same for who wants none of them: those that no read would give, too. */
static bool recv_has_any(const struct sock *s, uint32_t skip)
{
	if (unlikely(chan_has_urgent(s->a)))
		return chan_urg_look(s->a, s->b).avail > skip;
	return chan_rx_avail(s->a, s->b) > skip;
}

/* Linux wakes a reader when SO_RCVLOWAT bytes are there, however many it has taken before. */
static int recv_wait(struct sock *s, uint32_t seen, uint64_t deadline, size_t lowat)
{
	for (;;) {
		bool has_line = atomic_load_explicit(&s->b->flags, memory_order_relaxed) & CHAN_B_SIGNALS;
		int r = unlikely(has_line) ? sock_async_wait(s, seen, deadline) :
					     wait_sock(s, seen, deadline);

		if (r < 0 || likely(lowat <= 1))
			return r;
		seen = chan_sock_seq(s->a);
		if (recv_ended(s) || chan_has_error(s->a, s->b) || sock_is_broken(s) ||
		    chan_rx_avail(s->a, s->b) >= lowat || chan_has_urgent(s->a))
			return 0;
	}
}

/* The time is over, or a signal came: one more look. */
static ssize_t recv_rest(struct sock *s, const struct iov_walk *w, int flags, uint32_t skip,
			 size_t copied, ssize_t why)
{
	ssize_t r = recv_step(s, w, flags, skip, 0);

	if (r > 0)
		copied = flags & MSG_PEEK ? (size_t)r : copied + (size_t)r;
	return copied ? (ssize_t)copied : why;
}

static ssize_t recv_loop(struct sock *s, struct iov_walk *w, size_t len, int flags, uint32_t skip)
{
	bool wait = !(flags & MSG_DONTWAIT) && !sock_is_nonblocking(s), settled = false;
	size_t lowat = atomic_load_explicit(&s->b->rcvlowat, memory_order_relaxed), copied = 0;
	size_t target = flags & MSG_WAITALL ? len : min_u64(lowat ? lowat : 1, len);
	uint64_t deadline = 0;

	for (;;) {
		uint32_t seen = chan_sock_seq(s->a);
		int more = 0;
		bool over;
		ssize_t r;

		if (unlikely(chan_has_urgent(s->a))) {
			r = sock_urgent_before(s, flags, skip, copied, wait, &more);
			if (r)
				return r;
		}
		r = recv_step(s, w, flags, skip, more);
		if (r > 0) {
			copied = flags & MSG_PEEK ? (size_t)r : copied + (size_t)r;
			if (!(flags & MSG_PEEK))
				iov_advance(w, (size_t)r);
			if (copied >= target)
				return (ssize_t)copied;
		} else if (r == 0 && len == 0 && recv_has_any(s, flags & MSG_PEEK ? skip : 0)) {
			return 0; /* recv() of nothing waits until something is there */
		} else if (r == -EFAULT || (r == -ENOBUFS && !sock_is_broken(s))) {
			return copied ? (ssize_t)copied : r;
		} else if (r == -EDEADLK && recv_has_more(s, flags, skip, copied)) {
			return copied ? (ssize_t)copied : -EAGAIN; /* who we interrupted takes them */
		}
		/* The last bytes may have come with the FIN after our look. */
		over = recv_is_over(s);
		if (recv_has_more(s, flags, skip, copied) && r >= 0)
			continue;
		if (copied && (over || !wait))
			return (ssize_t)copied;
		r = over && !copied ? sock_recv_why(s) : -EAGAIN;
		if (r == -EAGAIN && !wait && !settled && chan_settle(s->app)) {
			settled = true;
			continue;
		}
		if (r != -EAGAIN || !wait)
			return r;
		if (!deadline)
			deadline = wait_deadline_ms(atomic_load(&s->b->rcvtimeo_ms));
		r = recv_wait(s, seen, deadline, lowat);
		if (len == 0) /* whatever has ended the wait, if there was one */
			return atomic_load(&s->b->rcvtimeo_ms) == WAIT_NEVER_MS ? r : 0;
		if (r < 0)
			return recv_rest(s, w, flags, skip, copied, r);
	}
}

/* SO_PEEK_OFF: a peek begins there and moves it on, taking bytes moves it back. */
static ssize_t recv_with_offset(struct sock *s, struct iov_walk *w, size_t len, int flags)
{
	bool peek = flags & MSG_PEEK;
	int32_t off = atomic_load(&s->b->peek_off), to;
	ssize_t r = recv_loop(s, w, len, flags, peek ? (uint32_t)(off - 1) : 0);

	if (r <= 0)
		return r;
	do {
		if (off == 0) /* switched off meanwhile */
			break;
		to = peek ? off + (int32_t)r : off - 1 > r ? off - (int32_t)r : 1;
	} while (!atomic_compare_exchange_weak(&s->b->peek_off, &off, to));
	return r;
}

ssize_t sock_recv(struct sock *s, const struct iovec *iov, int n, size_t len, int flags)
{
	struct iov_walk w = { .iov = iov, .n = n };
	int r;

	if (unlikely(flags & MSG_OOB))
		return sock_recv_oob(s, iov, len, flags, NULL);
	r = recv_refused(s, flags);
	if (r != 1)
		return r;
	if (unlikely(atomic_load_explicit(&s->b->peek_off, memory_order_relaxed)))
		return recv_with_offset(s, &w, len, flags);
	return recv_loop(s, &w, len, flags, 0);
}

/* read() of nothing is 0 whatever the state, as in System V; recv() of nothing waits for data. */
ssize_t sock_read(struct sock *s, void *buf, size_t n)
{
	struct iovec iov;

	if (unlikely(sock_mode(s) == SOCK_KERNEL))
		return SOCK_TO_KERNEL;
	if (unlikely(iov_one(&iov, buf, n, IOV_WHOLE) < 0))
		return -EFAULT;
	return n ? sock_recv(s, &iov, 1, iov.iov_len, 0) : 0;
}

int sock_rwf(struct sock *s, int rwf)
{
	enum { KNOWN = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND, NO_SIGNAL = 0x100 };
	char byte;
	struct iovec one = { &byte, 1 };
	int saved = errno, fd = sock_fd(s), r = 0;

	/* What came after Linux 6.8 (NOAPPEND, NOSIGNAL ...) the kernel judges itself, on the placeholder:
	 * that one has nothing to read and is not connected. */
	if (rwf & ~KNOWN && libc.preadv2(fd, &one, 1, -1, rwf | RWF_NOWAIT) < 0 &&
	    (errno == EOPNOTSUPP || errno == EINVAL))
		r = -errno;
	errno = saved;
	if (r == 0)
		r = (rwf & RWF_NOWAIT ? MSG_DONTWAIT : 0) | (rwf & NO_SIGNAL ? MSG_NOSIGNAL : 0);
	return r;
}

ssize_t sock_vector(struct sock *s, struct iovec *own, const struct iovec *iov, int n, int rwf,
		    int *flags)
{
	ssize_t len;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (n < 0 || n > IOV_LIMIT)
		return -EINVAL;
	len = iov_load(own, iov, n);
	if (len <= 0)
		return len;
	*flags = rwf ? sock_rwf(s, rwf) : 0;
	return *flags < 0 ? *flags : len;
}

ssize_t sock_readv(struct sock *s, const struct iovec *iov, int n, int rwf)
{
	struct iovec own[n > 0 && n <= IOV_LIMIT ? n : 1];
	int flags;
	ssize_t len = sock_vector(s, own, iov, n, rwf, &flags);

	return len <= 0 ? len : sock_recv(s, own, n, (size_t)len, flags);
}

/* A connected stream has no source address: the length given back is 0. What can't be given back is an
 * error although the bytes have been taken, as in Linux. */
ssize_t sock_recvfrom(struct sock *s, void *buf, size_t n, int flags, struct sockaddr *addr,
		      socklen_t *len)
{
	struct iovec iov;
	socklen_t none = 0, room;
	ssize_t r;

	if (unlikely(sock_mode(s) == SOCK_KERNEL))
		return SOCK_TO_KERNEL;
	if (unlikely(iov_one(&iov, buf, n, IOV_CUT_FIRST) < 0))
		return -EFAULT;
	r = sock_recv(s, &iov, 1, iov.iov_len, flags);
	if (likely(!addr) || r < 0)
		return r;
	if (user_get(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	return user_put(len, &none, sizeof(none)) < 0 ? -EFAULT : r;
}
