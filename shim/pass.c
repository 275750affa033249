/* SCM_RIGHTS: keeps a placeholder from reaching another process, where it would be a dead socket. */
// SPDX-License-Identifier: MIT
#include "shim/pass.h"
#include <stdbool.h>
#include <string.h>
#include "shim/explain.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/sock.h"

/* The numbers in control message c: how many, the first at *fds. */
static size_t rights_in(const struct cmsghdr *c, const unsigned char **fds)
{
	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
		return 0;
	*fds = CMSG_DATA(c);
	return (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

static inline bool has_control(const struct msghdr *msg)
{
	/* A pointer that can't be right is the kernel's to refuse. */
	return (uintptr_t)msg >= 4096 && msg->msg_controllen >= sizeof(struct cmsghdr) &&
	       (uintptr_t)msg->msg_control >= 4096;
}

/* May fd go to another process as it is? 0 or -errno. */
static int may_pass(int fd)
{
	struct object *o = fdtab_get(fd);
	struct sock *s;
	int r = 0;

	if (!o)
		return 0;
	if (o->ops->type == OBJECT_HIDDEN) {
		r = -EBADF;
	} else if (o->ops->type == OBJECT_SOCK) {
		s = sock_of(o);
		if (sock_mode(s) == SOCK_UNDECIDED)
			sock_to_kernel(s, CHAN_REASON_fork_shared);
		if (sock_mode(s) != SOCK_KERNEL) {
			explain_kernel(CHAN_REASON_call_unsupported);
			r = -EOPNOTSUPP;
		}
	}
	fdtab_put(o);
	return r;
}

static int may_pass_all(const struct msghdr *msg)
{
	int r = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c && r == 0;
	     c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
		const unsigned char *fds = NULL;
		size_t n = rights_in(c, &fds);

		for (size_t i = 0; i < n && r == 0; i++) {
			int fd;

			memcpy(&fd, fds + i * sizeof(fd), sizeof(fd));
			r = may_pass(fd);
		}
	}
	return r;
}

static void forget_arrived(const struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
		const unsigned char *fds = NULL;
		size_t n = rights_in(c, &fds);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, fds + i * sizeof(fd), sizeof(fd));
			fdtab_fresh(fd);
		}
	}
}

ssize_t pass_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	int r = unlikely(has_control(msg)) ? may_pass_all(msg) : 0;

	return r < 0 ? to_errno(r) : libc.sendmsg(fd, msg, flags);
}

int pass_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	/* The messages before the one that can't go are sent, as with any other error. */
	for (unsigned int i = 0; (uintptr_t)msgs >= 4096 && i < n && i < 1024; i++) {
		int r = unlikely(has_control(&msgs[i].msg_hdr)) ? may_pass_all(&msgs[i].msg_hdr) : 0;

		if (r < 0 && i == 0)
			return (int)to_errno(r);
		if (r < 0)
			n = i;
	}
	return libc.sendmmsg(fd, msgs, n, flags);
}

ssize_t pass_recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t r = libc.recvmsg(fd, msg, flags);

	if (r >= 0 && unlikely(has_control(msg)))
		forget_arrived(msg);
	return r;
}

int pass_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *timeout)
{
	int r = libc.recvmmsg(fd, msgs, n, flags, timeout);

	for (int i = 0; i < r; i++)
		if (unlikely(has_control(&msgs[i].msg_hdr)))
			forget_arrived(&msgs[i].msg_hdr);
	return r;
}
