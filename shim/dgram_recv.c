/* Datagrams in: from the receive ring and from the kernel's half, in turn so that neither starves; the error
 * queue; waiting for both. */
// SPDX-License-Identifier: MIT
#include <time.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <string.h>
#include "shim/addr.h"
#include "shim/dgram_int.h"
#include "shim/libc.h"
#include "shim/sock_conn.h"
#include "shim/sock_elder.h"
#include "shim/sock_errq.h"
#include "shim/wait.h"
#include "stack/base/sys.h"
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"

/* How often a call looks that can't be woken, because an unread error keeps the descriptor ready. */
static const uint64_t LOOK_NS = 2 * NSEC_PER_MSEC;

/* ---- from the stack ---- */
static void give_name(const struct sock *s, struct msghdr *msg, const struct endpoint *ep)
{
	struct sockaddr_storage ss;

	if (!msg->msg_name)
		return;
	msg->msg_namelen = addr_emit(&ss, s->family, ep);
	memcpy(msg->msg_name, &ss, msg->msg_namelen);
}

/* SO_PEEK_OFF follows what is peeked at and what is taken. */
static void move_peek(struct sock *s, int off, ssize_t by)
{
	int64_t to = off + by;

	atomic_store(&s->b->peek_off, (int32_t)(to > 0 ? to : 0) + 1);
}

static ssize_t from_stack(struct sock *s, struct msghdr *msg, size_t room, int flags)
{
	int off = atomic_load_explicit(&s->b->peek_off, memory_order_relaxed) - 1;
	bool peek = flags & MSG_PEEK;
	struct sock_place p;
	struct chan_dgram h;
	ssize_t n;
	int r = sock_take_error(s);

	if (unlikely(r)) /* the error goes before the data */
		return -r;
	if (likely(!elder_any()) || !elder_place(s, &p) || !chan_rx_avail(p.a, p.b))
		p = sock_place(s);
	n = chan_dgram_recv(p.app, p.id, &h, msg->msg_iov, (int)msg->msg_iovlen,
			    peek ? CHAN_DG_PEEK : 0, peek ? off : -1);
	if (n < 0)
		return n == -EDEADLK ? -EAGAIN : n;
	msg->msg_flags = flags & MSG_CMSG_CLOEXEC;
	/* From an offset only its end tells whether something is missing. */
	if ((size_t)n < h.len && !(peek && off > 0 && (size_t)n < room))
		msg->msg_flags |= MSG_TRUNC;
	atomic_store_explicit(&s->dgram->stamp_ns, h.time_ns, memory_order_relaxed);
	give_name(s, msg, &h.from);
	dgram_cmsg_out(s, msg, &h);
	if (flags & MSG_TRUNC)
		n = h.len;
	if (unlikely(off >= 0))
		move_peek(s, off, peek ? n : -n);
	return n;
}

/* ---- from the kernel ---- */
/* A raw call: no cancellation point while we hold references. */
static ssize_t from_kernel(int fd, struct msghdr *msg, int flags)
{
	return sys_call3(SYS_recvmsg, fd, (long)msg, flags | MSG_DONTWAIT);
}

/* What is there now; the side that gave last is asked last. */
static ssize_t from_either(struct sock *s, int fd, struct msghdr *msg, size_t room, int flags)
{
	ssize_t r = -EAGAIN;

	if (likely(!sock_has(s, SOCK_TWIN)))
		return from_stack(s, msg, room, flags);
	if (sock_has(s, DGRAM_TURN))
		r = from_kernel(fd, msg, flags);
	if (r == -EAGAIN) {
		r = from_stack(s, msg, room, flags);
		if (r >= 0 && !(flags & MSG_PEEK))
			dgram_set(s, DGRAM_TURN, 0);
		if (r != -EAGAIN || sock_has(s, DGRAM_TURN))
			return r;
		r = from_kernel(fd, msg, flags);
	}
	if (r >= 0 && !(flags & MSG_PEEK))
		dgram_set(s, 0, DGRAM_TURN);
	return r;
}

/* ---- waiting ---- */
/* A blocking call on a socket without a place in the engine: another thread may give it one, so that it
 * must have one to be woken. False: the kernel's half works alone. */
static bool may_hear_stack(struct sock *s, bool wait)
{
	if (dgram_hears_stack(s))
		return true;
	if (!wait || sock_mode(s) == SOCK_KERNEL || dgram_is_orphan(s) ||
	    sock_has(s, DGRAM_KERNEL_CONN | DGRAM_NO_STACK))
		return false;
	if (sock_lock(s) < 0)
		return false;
	if (sock_mode(s) != SOCK_KERNEL && !sock_has(s, DGRAM_KERNEL_CONN) && dgram_attach(s) == 0)
		dgram_twin(s);
	sock_unlock(s);
	return dgram_hears_stack(s);
}

static int rest(struct sock *s, int fd, uint32_t seen, uint64_t deadline)
{
	uint64_t slice;
	int r;

	if (likely(!sock_has(s, SOCK_TWIN)))
		return wait_sock(s, seen, deadline);
	if (likely(!(dgram_readiness(s) & EPOLLERR)))
		return wait_mixed(&s->obj, fd, POLLIN, deadline);
	slice = wait_now_ns() + LOOK_NS;
	r = wait_sock(s, seen, min_u64(slice, deadline));
	return r == -EAGAIN && slice < deadline ? 0 : r;
}

/* Nothing comes any more: as if an empty datagram from nobody had. */
static ssize_t ended(struct msghdr *msg, int flags)
{
	if (msg->msg_name)
		msg->msg_namelen = 0;
	msg->msg_controllen = 0;
	msg->msg_flags = flags & MSG_CMSG_CLOEXEC;
	return 0;
}

/* ---- the error queue ---- */
/* sock_dequeue_err_skb(): the next one becomes the socket's error, whoever has taken that before. */
static void raise_next(struct sock *s)
{
	struct chan_dgram h;

	chan_take_error(s->a, s->b);
	if (chan_dgram_recv(s->app, s->id, &h, NULL, 0, CHAN_DG_PEEK | CHAN_DG_ERRQ, -1) < 0)
		h.err = 0;
	if (h.err || atomic_load_explicit(&s->own_error, memory_order_relaxed))
		sock_set_error(s, (int)h.err);
}

/* Of MSG_ZEROCOPY: from nobody, about no datagram in particular. */
static ssize_t recv_completion(struct sock *s, struct msghdr *msg, int flags)
{
	struct cmsg_out c = { .buf = msg->msg_control, .room = msg->msg_controllen };
	int r = errq_take(s, &c);

	if (r < 0)
		return r;
	ended(msg, flags);
	msg->msg_flags |= c.flags;
	msg->msg_controllen = c.used;
	return 0;
}

/* The oldest datagram that was too long for its way. */
static bool take_too_long(struct dgram *d, struct chan_dgram *h)
{
	bool some;

	if (!atomic_load_explicit(&d->n_long, memory_order_relaxed) || chan_lock(&d->long_lock) < 0)
		return false;
	some = d->n_long > 0;
	if (some) {
		h->info = d->too_long[0].mtu;
		h->to = d->too_long[0].to;
		memmove(d->too_long, d->too_long + 1, --d->n_long * sizeof(d->too_long[0]));
	}
	chan_unlock(&d->long_lock);
	return some;
}

static ssize_t recv_error(struct sock *s, struct msghdr *msg, int flags)
{
	struct chan_dgram h = { .err = EMSGSIZE, .origin = SO_EE_ORIGIN_LOCAL };
	ssize_t n;

	if (take_too_long(s->dgram, &h))
		n = 0;
	else if (dgram_has_stack(s) && chan_errq_pending(s->a, s->b))
		n = chan_dgram_recv(s->app, s->id, &h, msg->msg_iov, (int)msg->msg_iovlen,
				    CHAN_DG_ERRQ, -1);
	else if (dgram_has_stack(s) && chan_zc_pending(s->b))
		return recv_completion(s, msg, flags);
	else
		return SOCK_TO_KERNEL;
	if (n < 0)
		return n == -EDEADLK ? -EAGAIN : n;
	msg->msg_flags = (flags & MSG_CMSG_CLOEXEC) | MSG_ERRQUEUE;
	if ((size_t)n < h.len)
		msg->msg_flags |= MSG_TRUNC;
	give_name(s, msg, &h.to);
	dgram_cmsg_error(s, msg, &h);
	if (h.origin == SO_EE_ORIGIN_ICMP || h.origin == SO_EE_ORIGIN_ICMP6)
		raise_next(s);
	return n;
}

/* IPV6_RECVPATHMTU: a message without a datagram, before all others. False: there is none. */
static bool take_path(struct sock *s, struct msghdr *msg, int flags)
{
	struct dgram *d = s->dgram;
	struct dgram_long path;
	struct endpoint to;
	bool some;

	if (!atomic_load_explicit(&d->path_told, memory_order_relaxed) || chan_lock(&d->long_lock) < 0)
		return false;
	some = d->path_told;
	path = d->path;
	d->path_told = false;
	chan_unlock(&d->long_lock);
	if (!some)
		return false;
	to = (struct endpoint){ .addr = path.to.addr, .scope = path.to.scope };
	msg->msg_flags = flags & MSG_CMSG_CLOEXEC;
	give_name(s, msg, &to);
	dgram_cmsg_path(s, msg, &to, path.mtu);
	return true;
}

ssize_t dgram_recv(struct sock *s, int fd, struct msghdr *msg, size_t room, int flags)
{
	bool wait = !(flags & MSG_DONTWAIT) && !sock_is_nonblocking(s);
	uint64_t deadline = 0;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (unlikely(flags & MSG_ERRQUEUE))
		return recv_error(s, msg, flags);
	if (unlikely(dgram_flag(s, DGRAM_R_PATHMTU)) && take_path(s, msg, flags))
		return 0;
	if (unlikely(!may_hear_stack(s, wait) && !dgram_is_orphan(s)))
		return SOCK_TO_KERNEL;
	for (;;) {
		uint32_t seen = atomic_load_explicit(&s->a->evseq, memory_order_acquire);
		bool orphan = false;
		ssize_t r;

		if (unlikely(sock_mode(s) == SOCK_KERNEL))
			return SOCK_TO_KERNEL;
		if (unlikely(!dgram_hears_stack(s))) {
			orphan = dgram_is_orphan(s);
			if (!orphan)
				return SOCK_TO_KERNEL;
		}
		r = orphan ? from_kernel(fd, msg, flags) : from_either(s, fd, msg, room, flags);
		if (r != -EAGAIN || !wait)
			return r;
		if (atomic_load(&s->b->flags) & CHAN_B_SHUT_RD)
			return ended(msg, flags);
		if (!deadline)
			deadline = wait_deadline_ms(atomic_load(&s->b->rcvtimeo_ms));
		r = orphan ? dgram_rest_orphaned(s, fd, deadline) : rest(s, fd, seen, deadline);
		if (r < 0)
			return r;
	}
}
