/* Bytes from the program's memory into a stream: send() and its plain relatives. What a failure means
 * is decided in sock_status.c, messages are sock_msg.c's. */
// SPDX-License-Identifier: MIT
#include "shim/sock_io.h"
#include "shim/libc.h"
#include "shim/sock_conn.h"
#include "shim/sock_errq.h"
#include "shim/sock_iov.h"
#include "shim/sock_status.h"
#include "shim/wait.h"
#include "stack/chan/stream.h"
#include "stack/chan/user.h"

enum {
	MSG_END = 0x200, /* MSG_FIN of Linux, MSG_EOF elsewhere: send and half-close in one call */
};

void sock_send_more(struct sock *s, int flags)
{
	bool more = flags & MSG_MORE;

	if (likely(more == sock_has(s, SOCK_MORE)))
		return;
	if (more && s->b->opts.flags & CHAN_O_CORK)
		return; /* TCP_CORK says so already, and stays */
	if (more) {
		atomic_fetch_or(&s->flags, SOCK_MORE);
		__atomic_fetch_or(&s->b->opts.flags, CHAN_O_CORK, __ATOMIC_SEQ_CST);
	} else {
		atomic_fetch_and(&s->flags, ~(uint32_t)SOCK_MORE);
		__atomic_fetch_and(&s->b->opts.flags, ~(uint32_t)CHAN_O_CORK, __ATOMIC_SEQ_CST);
	}
	atomic_fetch_add(&s->b->opt_seq, 1);
}

int sock_send_wait(struct sock *s, uint32_t seen, uint64_t *deadline)
{
	if (!*deadline)
		*deadline = wait_deadline_ms(atomic_load(&s->b->sndtimeo_ms));
	return wait_sock(s, seen, *deadline);
}

/* Hands over as much as goes. */
static enum chan_status send_step(struct sock *s, const struct iov_walk *w, size_t left, int flags,
				  size_t *sent)
{
	struct chan_handle h = { s->id, s->gen };
	const struct iovec *iov;
	int n;

	if (unlikely(sock_mode(s) != SOCK_STACK || sock_has(s, SOCK_LISTENING)))
		return CHAN_NOT_CONNECTED;
	if (unlikely(atomic_load_explicit(&s->own_error, memory_order_relaxed)))
		return CHAN_RESET;
	if (left > 0)
		sock_send_more(s, flags);
	iov = iov_piece(w, &n);
	return chan_write(s->app, h, flags & MSG_OOB ? CHAN_WRITE_URGENT : 0, iov, n, sent);
}

/* done: bytes that have gone already. */
static ssize_t send_loop(struct sock *s, struct iov_walk *w, size_t len, int flags, size_t done)
{
	uint64_t deadline = 0;

	for (;;) {
		uint32_t seen = chan_sock_seq(s->a);
		size_t sent = 0;
		enum chan_status st = send_step(s, w, len - done, flags, &sent);
		ssize_t r;

		done += sent;
		if (likely(st == CHAN_OK)) {
			if (likely(done >= len))
				return (ssize_t)done;
			iov_advance(w, sent);
			continue;
		}
		if (unlikely(st == CHAN_SHOULD_WAIT && sock_has(s, SOCK_SYN_HELD))) {
			int n;
			const struct iovec *iov = iov_piece(w, &n);
			int held = sock_send_held(s, iov, n, flags, &sent);

			done += sent;
			iov_advance(w, sent);
			if (held < 0 && !(held == -EINPROGRESS && done))
				return held;
			if (held < 0 || done >= len)
				return (ssize_t)done;
			continue;
		}
		r = sock_answer(s, st, done, flags);
		if (r != SOCK_ANSWER_WAIT)
			return r;
		r = sock_send_wait(s, seen, &deadline);
		if (r < 0)
			return done ? (ssize_t)done : r;
	}
}

ssize_t sock_send(struct sock *s, const struct iovec *iov, int n, size_t len, int flags)
{
	struct iov_walk w = { .iov = iov, .n = n };
	ssize_t r;

	if (unlikely(sock_mode(s) == SOCK_KERNEL))
		return SOCK_TO_KERNEL;
	r = send_loop(s, &w, len, flags, 0);
	if (unlikely(flags & MSG_ZEROCOPY) && r > 0)
		errq_zerocopy_sent(s);
	if (unlikely(flags & MSG_END) && r == (ssize_t)len)
		sock_shutdown(s, SHUT_WR);
	return r;
}

ssize_t sock_send_fast(struct sock *s, const struct iovec *iov, int n, size_t len, int flags,
		       const struct sockaddr *addr, socklen_t addr_len)
{
	struct iov_walk w = { .iov = iov, .n = n };
	size_t sent = 0;
	int r = sock_connect_fast(s, addr, addr_len, iov, n, flags, &sent);

	if (r == -EINPROGRESS && sent)
		return (ssize_t)sent;
	if (r < 0)
		return r;
	iov_advance(&w, sent);
	return sent == len && len ? (ssize_t)len : send_loop(s, &w, len, flags, sent);
}

ssize_t sock_write(struct sock *s, const void *buf, size_t n)
{
	struct iovec iov;

	if (unlikely(iov_one(&iov, buf, n, IOV_WHOLE) < 0))
		return sock_mode(s) == SOCK_KERNEL ? SOCK_TO_KERNEL : -EFAULT;
	return sock_send(s, &iov, 1, iov.iov_len, 0);
}

ssize_t sock_writev(struct sock *s, const struct iovec *iov, int n, int rwf)
{
	struct iovec own[n > 0 && n <= IOV_LIMIT ? n : 1];
	int flags;
	ssize_t len = sock_vector(s, own, iov, n, rwf, &flags);

	return len <= 0 ? len : sock_send(s, own, n, (size_t)len, flags);
}

/* The address is not looked at on a stream, but must be a possible one. */
ssize_t sock_sendto(struct sock *s, const void *buf, size_t n, int flags,
		    const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_storage to;
	struct iovec iov;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (unlikely(iov_one(&iov, buf, n, IOV_CUT_FIRST) < 0))
		return -EFAULT;
	if (addr && len > sizeof(to))
		return -EINVAL;
	if (addr && user_get(&to, addr, len) < 0)
		return -EFAULT;
	if (unlikely(flags & MSG_FASTOPEN))
		return sock_send_fast(s, &iov, 1, iov.iov_len, flags & ~SOCK_SEND_ALL,
				      addr ? (const struct sockaddr *)&to : NULL, len);
	return sock_send(s, &iov, 1, iov.iov_len, flags & ~SOCK_SEND_ALL);
}
