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

ssize_t dgram_sendfile(struct sock *s, int fd, int in, int64_t *offset, size_t count)
{
	int64_t at = 0;
	void *p;
	ssize_t r;

	if (!dgram_is_stack_conn(s) || fdtab_has(in) ||
	    (offset && (user_get(&at, offset, sizeof(at)) < 0 || at < 0)))
		return SOCK_TO_KERNEL;
	p = buffer();
	if (!p)
		return -ENOMEM;
	/* Not libc's: no cancellation point with a map to give back. */
	count = min_u64(count, PIPE_BYTES);
	r = offset ? sys_call4(SYS_pread64, in, (long)p, (long)count, at) : sys_read(in, p, count);
	if (r > 0)
		r = send_bytes(s, fd, p, (size_t)r, 0);
	munmap(p, PIPE_BYTES);
	if (r > 0 && offset) {
		at += r;
		if (user_put(offset, &at, sizeof(at)) < 0)
			return -EFAULT;
	}
	return r;
}

ssize_t dgram_splice_in(struct sock *s, int fd, int pipe, size_t n, unsigned int flags)
{
	int held = 0, wait = flags & SPLICE_F_NONBLOCK ? O_NONBLOCK : 0;
	ssize_t r;
	void *p;

	if (!dgram_is_stack_conn(s) || libc.fcntl(pipe, F_GETPIPE_SZ) < 0)
		return SOCK_TO_KERNEL;
	if (wait && libc.ioctl(pipe, FIONREAD, &held) == 0 && held == 0 &&
	    dgram_kernel_events(s, pipe, POLLIN | POLLHUP) == 0)
		return -EAGAIN;
	p = buffer();
	if (!p)
		return -ENOMEM;
	r = sys_read(pipe, p, min_u64(n, PIPE_BYTES));
	if (r > 0)
		r = send_bytes(s, fd, p, (size_t)r, flags & SPLICE_F_MORE ? MSG_MORE : 0);
	munmap(p, PIPE_BYTES);
	return r;
}

ssize_t dgram_splice_out(struct sock *s, int fd, int pipe, size_t n, unsigned int flags)
{
	struct iovec iov = { .iov_len = min_u64(n, PIPE_BYTES) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	int size = libc.fcntl(pipe, F_GETPIPE_SZ), held = 0;
	ssize_t r;

	if (!dgram_hears_stack(s) || size < 0)
		return SOCK_TO_KERNEL;
	if (flags & SPLICE_F_NONBLOCK && libc.ioctl(pipe, FIONREAD, &held) == 0 && held >= size)
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
