/* SCM_RIGHTS: in messages that go, sockets of ours are replaced by tickets (pass_ticket.c); in those that
 * come, tickets are sockets again. */
// SPDX-License-Identifier: MIT
#include "shim/pass.h"
#include <stdbool.h>
#include <string.h>
#include "shim/fault.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/pass_ticket.h"
#include "shim/sock.h"
#include "shim/sock_iov.h"
#include "stack/chan/user.h"

enum { MESSAGES_MAX = 1024 /* UIO_MAXIOV */ };

/* The numbers in control message c: how many, the first at *fds. */
static size_t rights_in(struct cmsghdr *c, unsigned char **fds)
{
	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
		return 0;
	*fds = CMSG_DATA(c);
	return (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

/* ---- sending ---- */
/* A message's control data in our own memory, sockets of ours replaced by tickets. Pointers that can't be
 * right are the kernel's to refuse. Rights beyond CONTROL_MAX bytes are not looked for. */
enum { CONTROL_MAX = 4096, RIGHTS_MAX = 253 /* SCM_MAX_FD */ };
struct outgoing {
	_Alignas(struct cmsghdr) char control[CONTROL_MAX];
	struct msghdr msg;
	int ticket[RIGHTS_MAX];
	unsigned n;
};

/* What goes instead of *fd: 0, or -errno. */
static int replace(struct outgoing *out, int *fd)
{
	struct object *o = fdtab_get(*fd);
	int r = 0;

	if (!o)
		return 0;
	if (o->ops->type == OBJECT_HIDDEN) {
		r = -EBADF;
	} else if (o->ops->type == OBJECT_SOCK && pass_needs_ticket(sock_of(o))) {
		r = out->n < RIGHTS_MAX ? pass_ticket(sock_of(o), *fd) : -EINVAL;
		if (r >= 0)
			*fd = out->ticket[out->n++] = r;
	}
	fdtab_put(o);
	return r < 0 ? r : 0;
}

static void sent(struct outgoing *out)
{
	int saved = errno;

	while (out->n > 0)
		libc.close(out->ticket[--out->n]);
	errno = saved;
}

/* 1: out->msg is to be sent instead; 0: nothing of ours is in it; -errno. */
static int prepare(struct outgoing *out, const struct msghdr *user)
{
	int r = 0;

	out->n = 0;
	if (user_get(&out->msg, user, sizeof(out->msg)) < 0 ||
	    out->msg.msg_controllen < sizeof(struct cmsghdr) || out->msg.msg_controllen > CONTROL_MAX)
		return 0;
	if (user_get(out->control, out->msg.msg_control, out->msg.msg_controllen) < 0)
		return 0;
	out->msg.msg_control = out->control;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&out->msg); c && r == 0; c = CMSG_NXTHDR(&out->msg, c)) {
		unsigned char *fds = NULL;
		size_t n = rights_in(c, &fds);
		size_t room = (size_t)(out->control + out->msg.msg_controllen - (char *)fds);

		for (size_t i = 0; i < n && (i + 1) * sizeof(int) <= room && r == 0; i++) {
			int fd;

			memcpy(&fd, fds + i * sizeof(fd), sizeof(fd));
			r = replace(out, &fd);
			memcpy(fds + i * sizeof(fd), &fd, sizeof(fd));
		}
	}
	if (r < 0)
		sent(out);
	return r < 0 ? r : out->n > 0;
}

/* A process without anything of ours has nothing to look for, and nothing that catches bad pointers. */
static inline bool has_ours(void)
{
	if (likely(fdtab_end() == 0))
		return false;
	fault_thread();
	return true;
}

ssize_t pass_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct outgoing out;
	ssize_t r;
	int p = has_ours() ? prepare(&out, msg) : 0;

	if (likely(p == 0))
		return libc.sendmsg(fd, msg, flags);
	if (p < 0)
		return to_errno(p);
	r = libc.sendmsg(fd, &out.msg, flags);
	sent(&out);
	return r;
}

/* Has any of them control data? */
static bool has_any_control(struct mmsghdr *msgs, unsigned int n)
{
	struct msghdr h;

	for (unsigned int i = 0; i < n; i++)
		if (user_get(&h, mmsg_header(msgs, i), sizeof(h)) == 0 &&
		    h.msg_controllen >= sizeof(struct cmsghdr))
			return true;
	return false;
}

int pass_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	unsigned int i = 0;

	n = (unsigned int)min_u64(n, MESSAGES_MAX);
	if (!has_ours() || !has_any_control(msgs, n))
		return libc.sendmmsg(fd, msgs, n, flags);
	/* One by one; those before the one that can't go are sent. */
	for (; i < n; i++) {
		ssize_t r = pass_sendmsg(fd, mmsg_header(msgs, i), flags);

		if (r < 0)
			return i ? (int)i : -1;
		if (mmsg_give_length(mmsg_header(msgs, i), r) < 0)
			return i ? (int)i : (int)to_errno(-EFAULT);
	}
	return (int)i;
}

/* ---- receiving ---- */
/* The kernel has just filled msg in. */
static inline bool has_control(const struct msghdr *msg)
{
	return msg->msg_control && msg->msg_controllen >= sizeof(struct cmsghdr);
}

static void arrived(const struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
		unsigned char *fds = NULL;
		size_t n = rights_in(c, &fds);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, fds + i * sizeof(fd), sizeof(fd));
			pass_arrived(fd);
		}
	}
}

ssize_t pass_recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t r = libc.recvmsg(fd, msg, flags);

	if (r >= 0 && unlikely(has_control(msg)))
		arrived(msg);
	return r;
}

int pass_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *timeout)
{
	int r = libc.recvmmsg(fd, msgs, n, flags, timeout);

	for (int i = 0; i < r; i++)
		if (unlikely(has_control(&msgs[i].msg_hdr)))
			arrived(&msgs[i].msg_hdr);
	return r;
}
