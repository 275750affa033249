/* Bytes from a file into a stream, and between a stream and a pipe: sendfile() and splice(). */
// SPDX-License-Identifier: MIT
#include <sys/ioctl.h>
#include <unistd.h>
#include "shim/libc.h"
#include "shim/sock_io.h"
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"

enum {
	SPLICE_BYTES = 16384,	/* on the stack of a thread that may have little */
	SENDFILE_BYTES = 262144, /* per read into the send ring: a signal is noticed between two */
};

/* ---- from a file ---- */
/* One read of the file straight into the send ring. Bytes, 0 at the end of the file, -EAGAIN when
 * the ring is full (an event is asked for), or -errno. */
static ssize_t file_step(struct sock *s, int in, int64_t *offset, size_t want)
{
	ssize_t room, r;
	void *p;

	if (chan_lock(&s->b->tx_lock) < 0)
		return -EAGAIN;
	room = chan_tx_chunk(s->app, s->id, (uint32_t)min_u64(want, SENDFILE_BYTES), &p);
	if (room <= 0) {
		chan_unlock(&s->b->tx_lock);
		return room == 0 ? -EAGAIN : room;
	}
	room = (ssize_t)min_u64((uint64_t)room, want);
	/* Not libc's: those are cancellation points, and we hold a lock. */
	r = offset ? sys_call4(SYS_pread64, in, (long)p, room, *offset) : sys_read(in, p, (size_t)room);
	if (r > 0)
		chan_tx_commit(s->app, s->id, (uint32_t)r);
	chan_unlock(&s->b->tx_lock);
	if (r > 0 && offset)
		*offset += r;
	return r;
}

ssize_t sock_sendfile(struct sock *s, int in, int64_t *offset, size_t count)
{
	int64_t at = offset && (uintptr_t)offset >= 4096 ? *offset : 0;
	uint64_t deadline = 0;
	size_t done = 0;
	ssize_t r = 0;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (offset && (uintptr_t)offset < 4096)
		return -EFAULT;
	if (fdtab_has(in) || at < 0) /* a socket is no file to read from */
		return -EINVAL;
	count = min_u64(count, RW_LIMIT);
	while (done < count) {
		uint32_t seen = atomic_load_explicit(&s->a->evseq, memory_order_acquire);

		r = sock_send_state(s, done ? MSG_NOSIGNAL : 0);
		if (r < 0)
			break;
		if (r == 1) {
			sock_send_more(s, 0);
			r = file_step(s, in, offset ? &at : NULL, count - done);
			if (r == 0)
				break;
			if (r > 0) {
				done += (size_t)r;
				continue;
			}
			if (r != -EAGAIN && r != -ENOTCONN)
				break;
		}
		r = sock_send_wait(s, seen, &deadline, 0);
		if (r < 0)
			break;
	}
	if (offset)
		*offset = at;
	return done ? (ssize_t)done : r;
}

/* ---- pipes ---- */
static bool pipe_nonblocking(int pipe, unsigned int flags)
{
	return flags & SPLICE_F_NONBLOCK || libc.fcntl(pipe, F_GETFL) & O_NONBLOCK;
}

ssize_t sock_splice_out(struct sock *s, int pipe, size_t n, unsigned int flags)
{
	char buf[SPLICE_BYTES];
	struct iovec iov = { .iov_base = buf, .iov_len = min_u64(n, sizeof(buf)) };
	int held = 0, room = libc.fcntl(pipe, F_GETPIPE_SZ);
	ssize_t got, put;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (room < 0)
		return -EINVAL;
	/* Leave alone what does not fit: a pipe takes a full buffer at once, or we wait for it. */
	if (libc.ioctl(pipe, FIONREAD, &held) == 0 && room - held < (int)iov.iov_len) {
		if (room <= held && pipe_nonblocking(pipe, flags))
			return -EAGAIN;
		if (room > held)
			iov.iov_len = (size_t)(room - held);
	}
	/* SPLICE_F_NONBLOCK is about the pipe: the socket waits as its own O_NONBLOCK says. */
	got = n ? sock_recv(s, &iov, 1, MSG_PEEK) : 0;
	if (got <= 0)
		return got;
	put = libc.write(pipe, buf, (size_t)got);
	if (put < 0)
		return -errno;
	iov.iov_len = (size_t)put;
	return sock_recv(s, &iov, 1, MSG_TRUNC | MSG_DONTWAIT);
}

/* Empty, but somebody may still write: not at its end. */
static bool pipe_is_empty(int pipe)
{
	struct pollfd p = { .fd = pipe, .events = POLLIN };
	struct timespec now = { 0 };

	return sys_call6(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0, 0) == 0;
}

ssize_t sock_splice_in(struct sock *s, int pipe, size_t n, unsigned int flags)
{
	int msg = flags & SPLICE_F_MORE ? MSG_MORE : 0;
	char buf[SPLICE_BYTES];
	struct iovec iov = { .iov_base = buf };
	uint64_t deadline = 0;
	ssize_t got;
	int r;

	if (sock_mode(s) != SOCK_KERNEL && libc.fcntl(pipe, F_GETPIPE_SZ) < 0)
		return -EINVAL;
	if ((flags & SPLICE_F_NONBLOCK || sock_is_nonblocking(s)) && pipe_is_empty(pipe))
		return -EAGAIN;
	/* Bytes leave the pipe only when there is room for them. */
	for (;;) {
		uint32_t seen = atomic_load_explicit(&s->a->evseq, memory_order_acquire);

		r = sock_send_state(s, msg);
		if (r < 0)
			return r;
		if (r == 1 && chan_tx_space(s->a, s->b) > 0)
			break;
		if (r == 1)
			sock_want_out(s);
		r = r == 1 && chan_tx_space(s->a, s->b) > 0 ? 0 : sock_send_wait(s, seen, &deadline, msg);
		if (r < 0)
			return r;
	}
	iov.iov_len = min_u64(min_u64(n, sizeof(buf)), chan_tx_space(s->a, s->b));
	got = libc.read(pipe, buf, iov.iov_len);
	if (got <= 0)
		return got < 0 ? -errno : 0;
	iov.iov_len = (size_t)got;
	/* Taken from the pipe means sent: room was there, and what is missing now is waited for. */
	return sock_send(s, &iov, 1, msg | SOCK_SEND_ALL);
}
