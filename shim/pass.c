/* SCM_RIGHTS: keeps a placeholder from reaching another process, where it would be a dead socket. */
// SPDX-License-Identifier: MIT
#include "shim/pass.h"
#include <stdbool.h>
#include <string.h>
#include "shim/explain.h"
#include "shim/fault.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/sock.h"
#include "shim/sock_iov.h"
#include "stack/chan/user.h"

/* The numbers in control message c: how many, the first at *fds. */
static size_t rights_in(const struct cmsghdr *c, const unsigned char **fds)
{
	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
		return 0;
	*fds = CMSG_DATA(c);
	return (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
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
		if (sock_is_dgram(s) && sock_mode(s) != SOCK_KERNEL) {
			/* The kernel's half goes; what comes through the stack stays here. */
			explain_kernel(CHAN_REASON_call_unsupported);
		} else if (sock_mode(s) != SOCK_KERNEL) {
			explain_kernel(CHAN_REASON_call_unsupported);
			r = -EOPNOTSUPP;
		}
	}
	fdtab_put(o);
	return r;
}

/* What a message is to give away, out of a copy of its control data: pointers that can't be right are the
 * kernel's to refuse. Rights beyond CONTROL_MAX bytes are not looked for. */
enum { CONTROL_MAX = 4096 };

static int may_pass_all(const struct msghdr *user)
{
	_Alignas(struct cmsghdr) char own[CONTROL_MAX];
	struct msghdr msg;
	int r = 0;

	if (user_get(&msg, user, sizeof(msg)) < 0 || msg.msg_controllen < sizeof(struct cmsghdr))
		return 0;
	msg.msg_controllen = min_u64(msg.msg_controllen, sizeof(own));
	if (user_get(own, msg.msg_control, msg.msg_controllen) < 0)
		return 0;
	msg.msg_control = own;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c && r == 0; c = CMSG_NXTHDR(&msg, c)) {
		const unsigned char *fds = NULL;
		size_t n = rights_in(c, &fds), room = (size_t)(own + msg.msg_controllen - (char *)fds);

		for (size_t i = 0; i < n && (i + 1) * sizeof(int) <= room && r == 0; i++) {
			int fd;

			memcpy(&fd, fds + i * sizeof(fd), sizeof(fd));
			r = may_pass(fd);
		}
	}
	return r;
}

/* A process without anything of ours has nothing to look for, and nothing that catches bad pointers. */
static inline bool has_ours(void)
{
	if (likely(fdtab_end() == 0))
		return false;
	fault_thread();
	return true;
}

/* The kernel has just filled msg in. */
static inline bool has_control(const struct msghdr *msg)
{
	return has_ours() && msg->msg_control && msg->msg_controllen >= sizeof(struct cmsghdr);
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
	int r = has_ours() ? may_pass_all(msg) : 0;

	return r < 0 ? to_errno(r) : libc.sendmsg(fd, msg, flags);
}

int pass_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	/* The messages before the one that can't go are sent, as with any other error. */
	for (unsigned int i = 0; has_ours() && i < n && i < 1024; i++) {
		int r = may_pass_all(mmsg_header(msgs, i));

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
