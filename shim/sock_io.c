/* Bytes between the program's memory and a stream, with Linux's order of checks: what is there first,
 * then end, error, timeout and signal. */
// SPDX-License-Identifier: MIT
#include "shim/sock_io.h"
#include <unistd.h>
#include "shim/libc.h"
#include "shim/sock_conn.h"
#include "shim/wait.h"
#include "stack/chan/stream.h"

enum {
	IOV_LIMIT = 1024,	/* UIO_MAXIOV */
	MSG_END = 0x200,	/* MSG_FIN of Linux, MSG_EOF elsewhere: send and half-close in one call */
};

#define USER_END 0x7ffffffff000ull /* TASK_SIZE of x86-64 with four levels */

/* The bytes of an iovec that the kernel would take, or -errno. *bad: an address in it that nobody can
 * have; the kernel finds out when it copies, not before. */
static ssize_t iov_len(const struct iovec *iov, int n, bool *bad)
{
	size_t total = 0;

	if (n < 0 || n > IOV_LIMIT)
		return -EINVAL;
	if (n && (uintptr_t)iov < 4096)
		return -EFAULT;
	for (int i = 0; n > 1 && i < n; i++)
		if ((ssize_t)iov[i].iov_len < 0)
			return -EINVAL;
	for (int i = 0; i < n; i++) {
		size_t len = min_u64(iov[i].iov_len, RW_LIMIT - total);

		if (n == 1 ? len && (uintptr_t)iov->iov_base + len > USER_END :
			     (uintptr_t)iov[i].iov_base + iov[i].iov_len > USER_END)
			return -EFAULT;
		*bad |= len && (uintptr_t)iov[i].iov_base < 4096;
		total += len;
	}
	return (ssize_t)total;
}

/* Walks an iovec in as many steps as a blocking call takes. */
struct walk {
	const struct iovec *iov;
	int n;
	struct iovec cur; /* rest of iov[0], once a step has ended inside it */
	bool inside;
	bool bad; /* has an address that can't be */
};

static void walk_advance(struct walk *w, size_t done)
{
	while (w->n > 0) {
		const struct iovec *v = w->inside ? &w->cur : w->iov;

		if (done < v->iov_len) {
			w->cur = (struct iovec){ (char *)v->iov_base + done, v->iov_len - done };
			w->inside = true;
			return;
		}
		done -= v->iov_len;
		w->iov++;
		w->n--;
		w->inside = false;
	}
}
/* The next piece to hand over: the rest of one element, or all elements. */
static const struct iovec *walk_piece(const struct walk *w, int *n)
{
	*n = w->inside ? 1 : w->n;
	return w->inside ? &w->cur : w->iov;
}

/* ---- receive ---- */
static ssize_t recv_step(struct sock *s, const struct walk *w, int flags)
{
	int rx = flags & MSG_PEEK ? CHAN_RX_PEEK : flags & MSG_TRUNC ? CHAN_RX_DISCARD : 0;
	int n;
	const struct iovec *iov = walk_piece(w, &n);

	return chan_rx_read(s->app, s->id, iov, n, rx, 0);
}

/* Nothing to read: why not? 0 end of file, -EAGAIN wait, or the error. */
static int recv_why(struct sock *s)
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

/* What can be said before looking at the stream; 1: look. */
static int recv_refused(struct sock *s, int flags)
{
	uint32_t mode = sock_mode(s);

	if (mode == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (mode == SOCK_UNDECIDED || sock_has(s, SOCK_LISTENING))
		return -ENOTCONN;
	return flags & MSG_OOB ? -EINVAL : 1;
}

static ssize_t recv_loop(struct sock *s, struct walk *w, size_t len, int flags)
{
	bool wait = !(flags & MSG_DONTWAIT) && !sock_is_nonblocking(s);
	bool bad = w->bad;
	size_t lowat = atomic_load_explicit(&s->b->rcvlowat, memory_order_relaxed), copied = 0;
	size_t target = flags & MSG_WAITALL ? len : min_u64(lowat ? lowat : 1, len);
	uint64_t deadline = 0;

	for (;;) {
		uint32_t seen = atomic_load_explicit(&s->a->evseq, memory_order_acquire);
		ssize_t r = bad ? 0 : recv_step(s, w, flags);

		if (bad && chan_rx_avail(s->a, s->b))
			return -EFAULT;
		if (r > 0) {
			copied = flags & MSG_PEEK ? (size_t)r : copied + (size_t)r;
			if (!(flags & MSG_PEEK))
				walk_advance(w, (size_t)r);
			if (copied >= target)
				return (ssize_t)copied;
		} else if (r == 0 && len == 0 && chan_rx_avail(s->a, s->b)) {
			return 0; /* recv() of nothing waits until something is there */
		} else if (r == -ENOBUFS && !sock_is_broken(s)) {
			return copied ? (ssize_t)copied : -ENOBUFS;
		}
		/* The last bytes may have come with the FIN after our look. */
		if (chan_rx_avail(s->a, s->b) > (flags & MSG_PEEK ? copied : 0) && r >= 0)
			continue;
		if (copied) {
			if (chan_rx_eof(s->a, s->b) || chan_has_error(s->a, s->b) || !wait ||
			    sock_is_broken(s))
				return (ssize_t)copied;
		} else {
			r = recv_why(s);
			if (r != -EAGAIN || !wait)
				return r;
		}
		if (!deadline)
			deadline = wait_deadline_ms(atomic_load(&s->b->rcvtimeo_ms));
		r = wait_sock(s, seen, deadline);
		if (r < 0)
			return copied ? (ssize_t)copied : r;
	}
}

ssize_t sock_recv(struct sock *s, const struct iovec *iov, int n, int flags)
{
	struct walk w = { .iov = iov, .n = n };
	ssize_t len = iov_len(iov, n, &w.bad);
	int r = recv_refused(s, flags);

	if (r != 1)
		return r;
	/* Discarding (MSG_TRUNC of TCP) needs no memory to write to. */
	if (flags & MSG_TRUNC && !(flags & MSG_PEEK))
		w.bad = false;
	return len < 0 ? len : recv_loop(s, &w, (size_t)len, flags);
}

static int rwf_to_msg(int rwf)
{
	return rwf & RWF_NOWAIT ? MSG_DONTWAIT : 0;
}

ssize_t sock_readv(struct sock *s, const struct iovec *iov, int n, int rwf)
{
	bool bad = false;
	ssize_t len = iov_len(iov, n, &bad);

	if (rwf & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT))
		return -EOPNOTSUPP;
	return len <= 0 ? len : sock_recv(s, iov, n, rwf_to_msg(rwf));
}

ssize_t sock_recvmsg(struct sock *s, struct msghdr *msg, int flags)
{
	ssize_t r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if ((uintptr_t)msg < 4096)
		return -EFAULT;
	if (msg->msg_iovlen > IOV_LIMIT)
		return -EMSGSIZE;
	r = sock_recv(s, msg->msg_iov, (int)msg->msg_iovlen, flags);
	if (r < 0)
		return r;
	if (msg->msg_name)
		msg->msg_namelen = 0;
	msg->msg_controllen = 0;
	msg->msg_flags = 0;
	return r;
}

int sock_recvmmsg(struct sock *s, struct mmsghdr *msgs, unsigned int n, int flags,
		  struct timespec *timeout)
{
	uint64_t end = 0, now;
	unsigned int i;
	ssize_t r = 0;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (n && (uintptr_t)msgs < 4096)
		return -EFAULT;
	if (timeout) {
		if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000)
			return -EINVAL;
		end = wait_now_ns() + (uint64_t)timeout->tv_sec * NSEC_PER_SEC +
		      (uint64_t)timeout->tv_nsec;
	}
	for (i = 0; i < n && i < IOV_LIMIT; i++) {
		r = sock_recvmsg(s, &msgs[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (r < 0)
			break;
		msgs[i].msg_len = (unsigned int)r;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (r == 0 && msgs[i].msg_hdr.msg_iovlen)
			return (int)i + 1;
		/* Linux looks at the time only between messages. */
		now = timeout ? wait_now_ns() : 0;
		if (timeout && now >= end) {
			*timeout = (struct timespec){ 0 };
			return (int)i + 1;
		}
	}
	if (timeout && i) {
		now = wait_now_ns();
		end = end > now ? end - now : 0;
		*timeout = (struct timespec){ (time_t)(end / NSEC_PER_SEC), (long)(end % NSEC_PER_SEC) };
	}
	return i ? (int)i : (int)r;
}

/* ---- send ---- */
/* Linux's sk_stream_error(): the pending error, else EPIPE, and only that one raises the signal. */
static int send_broken(struct sock *s, int flags)
{
	int err = sock_take_error(s);

	/* A reset after the peer's FIN is an EPIPE, too. */
	if (err && err != EPIPE)
		return -err;
	if (!(flags & MSG_NOSIGNAL))
		sys_tgkill(sys_getpid(), sys_gettid(), SIGPIPE);
	return -EPIPE;
}

int sock_send_state(struct sock *s, int flags)
{
	uint32_t state;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (sock_mode(s) == SOCK_UNDECIDED || sock_has(s, SOCK_LISTENING))
		return send_broken(s, flags);
	state = atomic_load_explicit(&s->a->state, memory_order_acquire);
	if (state == CHAN_ST_CONNECTING && !sock_is_broken(s))
		return 0;
	if (state != CHAN_ST_CONNECTED || sock_is_broken(s) || chan_has_error(s->a, s->b) ||
	    atomic_load(&s->b->flags) & CHAN_B_SHUT_WR ||
	    atomic_load_explicit(&s->a->flags, memory_order_acquire) & CHAN_A_TX_DONE)
		return send_broken(s, flags);
	return 1;
}

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

int sock_send_wait(struct sock *s, uint32_t seen, uint64_t *deadline, int flags)
{
	if (flags & MSG_DONTWAIT || (sock_is_nonblocking(s) && !(flags & SOCK_SEND_ALL)))
		return -EAGAIN;
	if (!*deadline)
		*deadline = wait_deadline_ms(atomic_load(&s->b->sndtimeo_ms));
	return wait_sock(s, seen, *deadline);
}

static ssize_t send_loop(struct sock *s, struct walk *w, size_t len, int flags)
{
	uint64_t deadline = 0;
	size_t done = 0;

	for (;;) {
		uint32_t seen = atomic_load_explicit(&s->a->evseq, memory_order_acquire);
		/* A signal only when nothing was sent: then the count is the answer. */
		ssize_t r = sock_send_state(s, done ? flags | MSG_NOSIGNAL : flags);

		if (r < 0 && r != SOCK_TO_KERNEL && done)
			return (ssize_t)done;
		if (r < 0 || (r == 1 && len == 0))
			return r < 0 ? r : 0;
		if (r == 1) {
			int n;
			const struct iovec *iov = walk_piece(w, &n);

			sock_send_more(s, flags);
			r = chan_tx_write(s->app, s->id, iov, n);
			if (r > 0) {
				done += (size_t)r;
				if (done >= len)
					return (ssize_t)done;
				walk_advance(w, (size_t)r);
				continue;
			} else if (r == -ENOBUFS) {
				return done ? (ssize_t)done : r;
			}
		}
		r = sock_send_wait(s, seen, &deadline, flags);
		if (r < 0)
			return done ? (ssize_t)done : r;
	}
}

ssize_t sock_send(struct sock *s, const struct iovec *iov, int n, int flags)
{
	struct walk w = { .iov = iov, .n = n };
	ssize_t len = iov_len(iov, n, &w.bad), r;

	if (unlikely(flags & MSG_OOB) && sock_mode(s) != SOCK_KERNEL)
		return -EOPNOTSUPP;
	if (unlikely(w.bad)) {
		r = sock_send_state(s, flags);
		return r < 0 ? r : -EFAULT;
	}
	if (len < 0)
		return len;
	r = send_loop(s, &w, (size_t)len, flags);
	if (unlikely(flags & MSG_END) && r == len)
		sock_shutdown(s, SHUT_WR);
	return r;
}

ssize_t sock_writev(struct sock *s, const struct iovec *iov, int n, int rwf)
{
	if (rwf & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND))
		return -EOPNOTSUPP;
	return sock_send(s, iov, n, rwf_to_msg(rwf));
}

/* The address is not looked at on a stream, but must be a possible one. */
ssize_t sock_sendto(struct sock *s, const void *buf, size_t n, int flags,
		    const struct sockaddr *addr, socklen_t len)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = n };

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (addr && len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	if (addr && len && (uintptr_t)addr < 4096)
		return -EFAULT;
	if (unlikely(flags & MSG_FASTOPEN) && sock_mode(s) == SOCK_UNDECIDED) {
		/* Without a cookie, what Linux does: connect, then send. */
		int r = sock_connect(s, addr, len);

		if (r < 0)
			return r;
	}
	return sock_send(s, &iov, 1, flags);
}

/* What Linux's sock_cmsg_send() takes on a stream. */
static int control_check(const struct msghdr *msg)
{
	if (!msg->msg_controllen)
		return 0;
	if ((uintptr_t)msg->msg_control < 4096)
		return -EFAULT;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
		if (c->cmsg_len < sizeof(*c))
			return -EINVAL;
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type != SCM_RIGHTS &&
		    c->cmsg_type != SCM_CREDENTIALS && c->cmsg_type != SO_TIMESTAMPING &&
		    c->cmsg_type != SO_MARK)
			return -EINVAL;
	}
	return 0;
}

ssize_t sock_sendmsg(struct sock *s, const struct msghdr *msg, int flags)
{
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if ((uintptr_t)msg < 4096)
		return -EFAULT;
	if (msg->msg_iovlen > IOV_LIMIT)
		return -EMSGSIZE;
	if (msg->msg_name && (int)msg->msg_namelen < 0)
		return -EINVAL;
	r = control_check(msg);
	if (r < 0)
		return r;
	if (unlikely(flags & MSG_FASTOPEN) && sock_mode(s) == SOCK_UNDECIDED) {
		r = sock_connect(s, msg->msg_name, msg->msg_namelen);
		if (r < 0)
			return r;
	}
	return sock_send(s, msg->msg_iov, (int)msg->msg_iovlen, flags);
}

int sock_sendmmsg(struct sock *s, struct mmsghdr *msgs, unsigned int n, int flags)
{
	unsigned int i;

	if (n && (uintptr_t)msgs < 4096)
		return sock_mode(s) == SOCK_KERNEL ? SOCK_TO_KERNEL : -EFAULT;
	for (i = 0; i < n && i < IOV_LIMIT; i++) {
		ssize_t r = sock_sendmsg(s, &msgs[i].msg_hdr, flags);

		if (r < 0)
			return i ? (int)i : (int)r;
		msgs[i].msg_len = (unsigned int)r;
	}
	return (int)i;
}
