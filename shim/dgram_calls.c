/* The calls that move datagrams, in all their shapes: the program's headers, iovecs and addresses are
 * copied once and checked; dgram_send.c and dgram_recv.c do the rest. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "shim/dgram_int.h"
#include "shim/libc.h"
#include "shim/pass.h"
#include "shim/sock_iov.h"
#include "shim/wait.h"
#include "stack/chan/user.h"

enum { CONTROL_MAX = 4096 /* more than all messages that a datagram socket knows need */ };

static bool is_rwf(int rwf, int more)
{
	return !(rwf & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | more));
}

/* ---- in ---- */
/* move_addr_to_user() */
static int give_addr(const struct msghdr *h, struct sockaddr *addr, socklen_t *len)
{
	socklen_t room;

	if (user_get(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	if (user_put(addr, h->msg_name, min_u32(h->msg_namelen, room)) < 0 ||
	    user_put(len, &h->msg_namelen, sizeof(*len)) < 0)
		return -EFAULT;
	return 0;
}

static ssize_t recv_one(struct sock *s, int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
			socklen_t *len)
{
	struct sockaddr_storage from;
	struct iovec own;
	struct msghdr h = { .msg_iov = &own, .msg_iovlen = 1 };
	ssize_t r;
	int err;

	if (addr) {
		h.msg_name = &from;
		h.msg_namelen = sizeof(from);
	}
	if (iov_one(&own, buf, n, IOV_CUT_FIRST) < 0)
		return SOCK_TO_KERNEL;
	r = dgram_recv(s, fd, &h, own.iov_len, flags);
	err = r >= 0 && addr ? give_addr(&h, addr, len) : 0;
	return err < 0 ? err : r;
}

ssize_t dgram_recvfrom(struct sock *s, int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
		       socklen_t *len)
{
	return recv_one(s, fd, buf, n, flags, addr, len);
}

ssize_t dgram_read(struct sock *s, int fd, void *buf, size_t n)
{
	return n ? recv_one(s, fd, buf, n, 0, NULL, NULL) : SOCK_TO_KERNEL;
}

ssize_t dgram_readv(struct sock *s, int fd, const struct iovec *iov, int n, int rwf)
{
	struct iovec own[n > 0 && n <= IOV_LIMIT ? n : 1];
	struct msghdr h = { .msg_iov = own, .msg_iovlen = (size_t)n };
	ssize_t len;

	if (n <= 0 || n > IOV_LIMIT || !is_rwf(rwf, 0))
		return SOCK_TO_KERNEL;
	len = iov_load(own, iov, n);
	if (len <= 0)
		return SOCK_TO_KERNEL;
	return dgram_recv(s, fd, &h, (size_t)len, rwf & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

/* What recvmsg() stores beside the bytes. */
static int give_back(struct msghdr *user, const struct msghdr *asked, const struct msghdr *got)
{
	int err = asked->msg_name ? give_addr(got, asked->msg_name, &user->msg_namelen) : 0;

	if (err < 0)
		return err;
	if (user_put(&user->msg_flags, &got->msg_flags, sizeof(got->msg_flags)) < 0 ||
	    user_put(&user->msg_controllen, &got->msg_controllen, sizeof(got->msg_controllen)) < 0)
		return -EFAULT;
	return 0;
}

ssize_t dgram_recvmsg(struct sock *s, int fd, struct msghdr *user, int flags)
{
	struct sockaddr_storage from;
	struct msghdr asked, h;
	ssize_t len, r;
	int err, n;

	if (user_get(&asked, user, sizeof(asked)) < 0 || asked.msg_iovlen > IOV_LIMIT ||
	    (asked.msg_name && (int)asked.msg_namelen < 0))
		return SOCK_TO_KERNEL;
	n = (int)asked.msg_iovlen;
	struct iovec own[n > 0 ? n : 1];
	len = iov_load(own, asked.msg_iov, n);
	if (len < 0)
		return SOCK_TO_KERNEL;
	h = asked;
	h.msg_iov = own;
	h.msg_name = asked.msg_name ? &from : NULL;
	h.msg_namelen = asked.msg_name ? sizeof(from) : 0;
	r = dgram_recv(s, fd, &h, (size_t)len, flags);
	err = r >= 0 ? give_back(user, &asked, &h) : 0;
	return err < 0 ? err : r;
}

/* One of several: the kernel's, too, because sides may alternate. */
static ssize_t recv_next(struct sock *s, int fd, struct msghdr *h, int flags)
{
	ssize_t r = dgram_recvmsg(s, fd, h, flags & ~MSG_WAITFORONE);

	if (r == SOCK_TO_KERNEL) {
		r = pass_recvmsg(fd, h, flags & ~MSG_WAITFORONE);
		r = r < 0 ? -errno : r;
	}
	return r >= 0 && mmsg_give_length(h, r) < 0 ? -EFAULT : r;
}

/* The time that was left after the last message; recvmmsg() fails when it can't be told. */
static int give_left(struct timespec *timeout, uint64_t end, uint64_t now)
{
	uint64_t left = end > now ? end - now : 0;
	struct timespec ts = { (time_t)(left / NSEC_PER_SEC), (long)(left % NSEC_PER_SEC) };

	return user_put(timeout, &ts, sizeof(ts));
}

/* Linux looks at the time only between messages. */
static int recv_many(struct sock *s, int fd, struct mmsghdr *msgs, unsigned int n, int flags, uint64_t end,
		     uint64_t *last)
{
	unsigned int i = 0;
	ssize_t r = 0;

	while (i < n) {
		r = recv_next(s, fd, mmsg_header(msgs, i), flags);
		if (r < 0)
			break;
		i++;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (end && (*last = wait_now_ns()) >= end)
			break;
	}
	if (i && r < 0 && r != -EAGAIN)
		sock_set_error(s, (int)-r); /* the next call tells */
	return i ? (int)i : (int)r;
}

int dgram_recvmmsg(struct sock *s, int fd, struct mmsghdr *msgs, unsigned int n, int flags,
		   struct timespec *timeout)
{
	struct timespec ts;
	uint64_t end = 0, last = 0;
	int r;

	if (!dgram_hears_stack(s) && !(flags & MSG_ERRQUEUE))
		return SOCK_TO_KERNEL;
	if (timeout && (user_get(&ts, timeout, sizeof(ts)) < 0 || ts.tv_sec < 0 || ts.tv_nsec < 0 ||
			ts.tv_nsec >= 1000000000))
		return SOCK_TO_KERNEL;
	if (timeout)
		end = wait_now_ns() + (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
	r = flags & MSG_ERRQUEUE ? 0 : sock_take_error(s); /* of no message at all, too */
	if (r)
		return -r;
	r = recv_many(s, fd, msgs, (unsigned int)min_u32(n, IOV_LIMIT), flags, end, &last);
	return timeout && r > 0 && give_left(timeout, end, last) < 0 ? -EFAULT : r;
}

/* ---- out ---- */
ssize_t dgram_sendto(struct sock *s, int fd, const void *buf, size_t n, int flags,
		     const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_storage to;
	struct iovec own;
	struct msghdr h = { .msg_iov = &own, .msg_iovlen = 1 };

	/* Nobody looks at the address of a later piece. */
	if (addr && !(len == 0 && atomic_load(&s->dgram->cork_side) == DGRAM_STACK)) {
		if (len == 0)
			dgram_need_port(s, fd);
		if (len == 0 || len > sizeof(to) || user_get(&to, addr, len) < 0)
			return SOCK_TO_KERNEL;
		h.msg_name = &to;
		h.msg_namelen = len;
	}
	if (iov_one(&own, buf, n, IOV_CUT_FIRST) < 0)
		return SOCK_TO_KERNEL;
	return dgram_send(s, fd, &h, own.iov_len, flags);
}

ssize_t dgram_write(struct sock *s, int fd, const void *buf, size_t n)
{
	return dgram_sendto(s, fd, buf, n, 0, NULL, 0);
}

ssize_t dgram_writev(struct sock *s, int fd, const struct iovec *iov, int n, int rwf)
{
	struct iovec own[n > 0 && n <= IOV_LIMIT ? n : 1];
	struct msghdr h = { .msg_iov = own, .msg_iovlen = (size_t)n };
	ssize_t len;

	if (n <= 0 || n > IOV_LIMIT || !is_rwf(rwf, RWF_APPEND))
		return SOCK_TO_KERNEL;
	len = iov_load(own, iov, n);
	if (len <= 0)
		return SOCK_TO_KERNEL;
	return dgram_send(s, fd, &h, (size_t)len, rwf & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

ssize_t dgram_sendmsg(struct sock *s, int fd, const struct msghdr *user, int flags)
{
	_Alignas(struct cmsghdr) char control[CONTROL_MAX];
	struct sockaddr_storage to;
	struct msghdr h;
	ssize_t len;
	int n;

	if (user_get(&h, user, sizeof(h)) < 0 || h.msg_iovlen > IOV_LIMIT ||
	    h.msg_controllen > sizeof(control) || (h.msg_name && (int)h.msg_namelen < 0))
		return SOCK_TO_KERNEL;
	h.msg_namelen = h.msg_name ? (socklen_t)min_u64(h.msg_namelen, sizeof(to)) : 0;
	n = (int)h.msg_iovlen;
	struct iovec own[n > 0 ? n : 1];
	len = iov_load(own, h.msg_iov, n);
	if (len < 0 || user_get(&to, h.msg_name, h.msg_namelen) < 0 ||
	    user_get(control, h.msg_control, h.msg_controllen) < 0)
		return SOCK_TO_KERNEL;
	h.msg_iov = own;
	h.msg_name = h.msg_namelen ? &to : NULL;
	h.msg_control = control;
	return dgram_send(s, fd, &h, (size_t)len, flags);
}

int dgram_sendmmsg(struct sock *s, int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	unsigned int i;

	for (i = 0; i < n && i < IOV_LIMIT; i++) {
		struct msghdr *h = mmsg_header(msgs, i);
		ssize_t r = dgram_sendmsg(s, fd, h, flags);

		if (r == SOCK_TO_KERNEL) {
			r = pass_sendmsg(fd, h, flags);
			r = r < 0 ? -errno : r;
		}
		if (r >= 0 && mmsg_give_length(h, r) < 0)
			r = -EFAULT;
		if (r < 0)
			return i ? (int)i : (int)r;
	}
	return (int)i;
}
