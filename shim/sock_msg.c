/* Messages: sendmsg(), recvmsg() and the calls that take many of them. The headers are the program's: each is
 * copied once, checked in the kernel's order, and every address in it may be bad. */
// SPDX-License-Identifier: MIT
#include <limits.h>
#include <string.h>
#include "shim/libc.h"
#include "shim/sock_cmsg.h"
#include "shim/sock_conn.h"
#include "shim/sock_errq.h"
#include "shim/sock_io.h"
#include "shim/sock_iov.h"
#include "shim/sock_status.h"
#include "shim/sock_opt.h"
#include "shim/sock_urgent.h"
#include "shim/wait.h"
#include "stack/chan/user.h"

enum { CONTROL_MAX = 131072 /* net.core.optmem_max */ };

/* Linux's copy_msghdr_from_user(), up to the iovec. */
static int load_header(struct msghdr *own, const struct msghdr *user)
{
	if (user_get(own, user, sizeof(*own)) < 0)
		return -EFAULT;
	if (!own->msg_name)
		own->msg_namelen = 0;
	if ((int)own->msg_namelen < 0)
		return -EINVAL;
	own->msg_namelen = (socklen_t)min_u64(own->msg_namelen, sizeof(struct sockaddr_storage));
	return 0;
}

/* ---- receive ---- */
/* What a stream gives back beside the bytes: no name, and the control data so far. */
static int give_back(struct msghdr *user, const struct msghdr *h, const struct cmsg_out *c, int flags)
{
	socklen_t none = 0, room;
	size_t used = c->used;

	flags |= c->flags;
	if (h->msg_name) {
		if (user_get(&room, &user->msg_namelen, sizeof(room)) < 0)
			return -EFAULT;
		if ((int)room < 0)
			return -EINVAL;
		if (user_put(&user->msg_namelen, &none, sizeof(none)) < 0)
			return -EFAULT;
	}
	if (user_put(&user->msg_flags, &flags, sizeof(flags)) < 0 ||
	    user_put(&user->msg_controllen, &used, sizeof(used)) < 0)
		return -EFAULT;
	return 0;
}

static ssize_t recv_message(struct sock *s, struct msghdr *user, struct msghdr *h, int flags)
{
	int n = (int)h->msg_iovlen;
	struct iovec own[n > 0 ? n : 1];
	struct cmsg_out c = { .buf = h->msg_control, .room = h->msg_controllen };
	ssize_t len = iov_load(own, h->msg_iov, n), r;
	int err, out;

	if (len < 0)
		return len;
	out = flags & MSG_CMSG_CLOEXEC;
	if (unlikely(flags & MSG_ERRQUEUE))
		r = errq_take(s, &c);
	else if (unlikely(flags & MSG_OOB))
		r = sock_recv_oob(s, own, (size_t)len, flags, &out);
	else
		r = sock_recv(s, own, n, (size_t)len, flags);
	if (r < 0)
		return r;
	err = flags & MSG_ERRQUEUE ? 0 : sock_opt_cmsgs(s, &c, (size_t)r);
	if (err == 0)
		err = give_back(user, h, &c, out);
	return err < 0 ? err : r;
}

ssize_t sock_recvmsg(struct sock *s, struct msghdr *msg, int flags)
{
	struct msghdr h;
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	r = load_header(&h, msg);
	if (r < 0)
		return r;
	return h.msg_iovlen > IOV_LIMIT ? -EMSGSIZE : recv_message(s, msg, &h, flags);
}

/* The time that is left; recvmmsg() fails when it can't be told. */
static int give_left(struct timespec *timeout, uint64_t end)
{
	uint64_t now = wait_now_ns(), left = end > now ? end - now : 0;
	struct timespec ts = { (time_t)(left / NSEC_PER_SEC), (long)(left % NSEC_PER_SEC) };

	return user_put(timeout, &ts, sizeof(ts));
}

/* Messages until one fails or the time is over, which Linux looks at only in between. */
static int recv_many(struct sock *s, struct mmsghdr *msgs, unsigned int n, int flags, uint64_t end)
{
	int err = flags & MSG_ERRQUEUE ? 0 : -sock_take_error(s);
	unsigned int i = 0;

	while (!err && i < n) {
		struct msghdr *h = mmsg_header(msgs, i);
		ssize_t r = sock_recvmsg(s, h, flags & ~MSG_WAITFORONE);

		err = r < 0 ? (int)r : mmsg_give_length(h, r);
		if (err)
			break;
		i++;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (end && wait_now_ns() >= end)
			break;
	}
	if (i == 0)
		return err;
	/* The rest is told by the next call. */
	if (err && err != -EAGAIN && err != SOCK_TO_KERNEL)
		sock_set_error(s, -err);
	return (int)i;
}

int sock_recvmmsg(struct sock *s, struct mmsghdr *msgs, unsigned int n, int flags,
		  struct timespec *timeout)
{
	struct timespec ts;
	uint64_t end = 0;
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (timeout) {
		if (user_get(&ts, timeout, sizeof(ts)) < 0)
			return -EFAULT;
		if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long)NSEC_PER_SEC)
			return -EINVAL;
		end = wait_now_ns() +
		      min_u64((uint64_t)ts.tv_sec, INT64_MAX / NSEC_PER_SEC / 2) * NSEC_PER_SEC +
		      (uint64_t)ts.tv_nsec;
	}
	r = recv_many(s, msgs, n, flags, end);
	return r > 0 && timeout && give_left(timeout, end) < 0 ? -EFAULT : r;
}

/* ---- send ---- */
/* What Linux's sock_cmsg_send() takes on a stream; other levels are not looked at. */
static int check_control(const struct cmsghdr *first, size_t len)
{
	struct msghdr m = { .msg_control = (void *)first, .msg_controllen = len };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > len - (size_t)((char *)c - (char *)first))
			return -EINVAL;
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SO_TIMESTAMPING || c->cmsg_type == SO_MARK) {
			if (c->cmsg_len != CMSG_LEN(sizeof(uint32_t)))
				return -EINVAL;
		} else if (c->cmsg_type != SCM_RIGHTS && c->cmsg_type != SCM_CREDENTIALS) {
			return -EINVAL;
		}
	}
	return 0;
}

/* Is it readable, then, of a socket that may send, is it known? */
static int load_control(struct sock *s, const struct msghdr *h)
{
	enum chan_status st;
	size_t len = h->msg_controllen;
	_Alignas(struct cmsghdr) char own[256];

	if (!len)
		return 0;
	if (len > CONTROL_MAX)
		return -ENOBUFS;
	/* A stream acts on none of it; more than anybody sends is only tried for being readable. */
	for (size_t at = 0; at < len; at += sizeof(own))
		if (user_get(own, (const char *)h->msg_control + at, min_u64(len - at, sizeof(own))) < 0)
			return -EFAULT;
	st = sock_write_state(s);
	if (len > sizeof(own) || (st != CHAN_OK && st != CHAN_SHOULD_WAIT))
		return 0;
	return check_control((struct cmsghdr *)own, len);
}

static ssize_t send_message(struct sock *s, const struct msghdr *h, int flags)
{
	int n = (int)h->msg_iovlen;
	struct iovec own[n > 0 ? n : 1];
	ssize_t len;
	int r;

	len = iov_load(own, h->msg_iov, n);
	if (len < 0)
		return len;
	r = load_control(s, h);
	if (r < 0)
		return r;
	if (unlikely(flags & MSG_FASTOPEN))
		return sock_send_fast(s, own, n, (size_t)len, flags & ~SOCK_SEND_ALL, h->msg_name,
				      h->msg_namelen);
	return sock_send(s, own, n, (size_t)len, flags & ~SOCK_SEND_ALL);
}

ssize_t sock_sendmsg(struct sock *s, const struct msghdr *msg, int flags)
{
	struct sockaddr_storage to;
	struct msghdr h;
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	r = load_header(&h, msg);
	if (r < 0)
		return r;
	if (user_get(&to, h.msg_name, h.msg_namelen) < 0)
		return -EFAULT;
	if (h.msg_iovlen > IOV_LIMIT)
		return -EMSGSIZE;
	return send_message(s, &h, flags);
}

int sock_sendmmsg(struct sock *s, struct mmsghdr *msgs, unsigned int n, int flags)
{
	unsigned int i;

	for (i = 0; i < n && i < IOV_LIMIT; i++) {
		struct msghdr *h = mmsg_header(msgs, i);
		ssize_t r = sock_sendmsg(s, h, flags);

		if (r >= 0 && mmsg_give_length(h, r) < 0)
			r = -EFAULT;
		if (r < 0)
			return i ? (int)i : (int)r;
	}
	return (int)i;
}
