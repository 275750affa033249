/* A libc for foreignfd.c whose calls do nothing once foreignstub_on is set: preloaded behind the shim it
 * leaves what the shim itself costs, without the noise of system calls. */
// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

int foreignstub_on;

#define STUB(ret, name, params, args)                                                              \
	ret name params                                                                            \
	{                                                                                          \
		static ret(*next) params;                                                          \
		if (__builtin_expect(foreignstub_on, 1))                                           \
			return 0;                                                                  \
		if (!next)                                                                         \
			next = (ret(*) params)dlsym(RTLD_NEXT, #name);                             \
		return next args;                                                                  \
	}
STUB(ssize_t, read, (int fd, void *b, size_t n), (fd, b, n))
STUB(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n))
STUB(ssize_t, readv, (int fd, const struct iovec *v, int n), (fd, v, n))
STUB(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
STUB(ssize_t, pread, (int fd, void *b, size_t n, off_t at), (fd, b, n, at))
STUB(ssize_t, recv, (int fd, void *b, size_t n, int f), (fd, b, n, f))
STUB(ssize_t, send, (int fd, const void *b, size_t n, int f), (fd, b, n, f))
STUB(ssize_t, recvfrom, (int fd, void *b, size_t n, int f, struct sockaddr *a, socklen_t *l),
     (fd, b, n, f, a, l))
STUB(ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f))
STUB(int, getsockopt, (int fd, int level, int name, void *v, socklen_t *l), (fd, level, name, v, l))
STUB(int, fcntl, (int fd, int cmd, long arg), (fd, cmd, arg))
STUB(int, epoll_wait, (int fd, struct epoll_event *e, int n, int ms), (fd, e, n, ms))
STUB(int, epoll_ctl, (int fd, int op, int other, struct epoll_event *e), (fd, op, other, e))
STUB(int, poll, (struct pollfd *p, nfds_t n, int ms), (p, n, ms))
STUB(int, select, (int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *tv), (n, r, w, x, tv))
STUB(int, dup, (int fd), (fd))
STUB(int, close, (int fd), (fd))
STUB(int, open, (const char *path, int flags, int mode), (path, flags, mode))
