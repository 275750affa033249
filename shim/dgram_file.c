/* Datagrams from a file, and from and to a pipe: each call is one datagram, as the kernel's is. */
// SPDX-License-Identifier: MIT
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "shim/dgram_int.h"
#include "shim/libc.h"
#include "shim/pass.h"
#include "stack/base/sys.h"
#include "stack/chan/user.h"

enum { PIPE_BYTES = 65536 /* what the kernel moves at a time, through a pipe of 16 pages */ };

/* Too much for the stack of a thread. */
static void *buffer(void)
{
	void *p = mmap(NULL, PIPE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static ssize_t send_bytes(struct sock *s, int fd, void *p, size_t n, int flags)
{
	struct iovec iov = { .iov_base = p, .iov_len = n };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	return dgram_send(s, fd, &h, n, flags);
}

/* The kernel splices to nobody who appends. */
static bool appends(int fd)
{
	return libc.fcntl(fd, F_GETFL) & O_APPEND;
}

/* The kernel's half alone can say it all. */
static bool is_the_kernels(const struct sock *s)
{
	return sock_mode(s) == SOCK_KERNEL || sock_has(s, DGRAM_KERNEL_CONN | DGRAM_NO_STACK);
}

ssize_t dgram_sendfile(struct sock *s, int fd, int in, int64_t *offset, size_t count)
{
	int64_t at = 0;
	void *p;
	ssize_t r;

	if (is_the_kernels(s) || appends(fd) || fdtab_has(in) ||
	    (offset && (user_get(&at, offset, sizeof(at)) < 0 || at < 0)))
		return SOCK_TO_KERNEL;
	if (!offset)
		at = lseek(in, 0, SEEK_CUR);
	if (at < 0) /* no file */
		return SOCK_TO_KERNEL;
	p = buffer();
	if (!p)
		return -ENOMEM;
	/* Not libc's: no cancellation point with a map to give back. */
	count = min_u64(count, PIPE_BYTES);
	r = sys_call4(SYS_pread64, in, (long)p, (long)count, at);
	if (r > 0)
		r = send_bytes(s, fd, p, (size_t)r, 0);
	munmap(p, PIPE_BYTES);
	if (r <= 0)
		return r;
	at += r;
	if (!offset)
		lseek(in, at, SEEK_SET);
	return offset && user_put(offset, &at, sizeof(at)) < 0 ? -EFAULT : r;
}

/* False: something is wrong with the arguments, or there is nothing to do; the kernel's half says what.
 * wrong: how the pipe must not have been opened. */
static bool splice_ok(int pipe, int wrong, size_t n, unsigned int flags)
{
	const unsigned int known = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

	return n && !(flags & ~known) && (libc.fcntl(pipe, F_GETFL) & O_ACCMODE) != wrong &&
	       libc.fcntl(pipe, F_GETPIPE_SZ) > 0;
}

static bool pipe_waits(int pipe, unsigned int flags)
{
	return !(flags & SPLICE_F_NONBLOCK || libc.fcntl(pipe, F_GETFL) & O_NONBLOCK);
}

ssize_t dgram_splice_in(struct sock *s, int fd, int pipe, size_t n, unsigned int flags)
{
	int held = 0, msg = flags & SPLICE_F_MORE ? MSG_MORE : 0;
	ssize_t r;
	void *p;

	if (is_the_kernels(s) || !splice_ok(pipe, O_WRONLY, n, flags) || appends(fd))
		return SOCK_TO_KERNEL;
	libc.ioctl(pipe, FIONREAD, &held);
	if (!held && !pipe_waits(pipe, flags) &&
	    dgram_kernel_events(s, pipe, POLLIN | POLLHUP) == 0)
		return -EAGAIN;
	n = min_u64(n, PIPE_BYTES);
	/* Bytes leave the pipe only when they can go. */
	r = held > 0 ? dgram_may_send(s, fd, min_u64(n, (size_t)held), msg) : 0;
	if (r < 0)
		return r;
	p = buffer();
	if (!p)
		return -ENOMEM;
	r = sys_read(pipe, p, n);
	if (r > 0)
		r = send_bytes(s, fd, p, (size_t)r, msg);
	munmap(p, PIPE_BYTES);
	return r;
}

ssize_t dgram_splice_out(struct sock *s, int fd, int pipe, size_t n, unsigned int flags)
{
	struct iovec iov = { .iov_len = min_u64(n, PIPE_BYTES) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	int held = 0;
	ssize_t r;

	if (!dgram_hears_stack(s) || !splice_ok(pipe, O_RDONLY, n, flags))
		return SOCK_TO_KERNEL;
	if (!pipe_waits(pipe, flags) && libc.ioctl(pipe, FIONREAD, &held) == 0 &&
	    held >= libc.fcntl(pipe, F_GETPIPE_SZ))
		return -EAGAIN;
	iov.iov_base = buffer();
	if (!iov.iov_base)
		return -ENOMEM;
	r = dgram_recv(s, fd, &h, iov.iov_len, 0);
	if (r > 0)
		r = sys_write(pipe, iov.iov_base, (size_t)r);
	munmap(iov.iov_base, PIPE_BYTES);
	return r;
}
