/* Bytes from a file into a stream, and between a stream and a pipe: sendfile() and splice(). */
// SPDX-License-Identifier: MIT
#include <sys/ioctl.h>
#include <unistd.h>
#include "shim/libc.h"
#include "shim/sock_io.h"
#include "shim/sock_iov.h"
#include "shim/sock_status.h"
#include "shim/sock_urgent.h"
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"
#include "stack/chan/user.h"

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

static ssize_t file_loop(struct sock *s, int in, int64_t *at, size_t count)
{
	uint64_t deadline = 0;
	size_t done = 0;

	while (done < count) {
		uint32_t seen = chan_sock_seq(s->a);
		enum chan_status st = sock_write_state(s);
		ssize_t r = 0;

		if (st == CHAN_OK) {
			sock_send_more(s, 0);
			r = file_step(s, in, at, count - done);
			if (r > 0) {
				done += (size_t)r;
				continue;
			}
			if (r == -EISDIR)
				return -EINVAL;
			/* The end of the file, or its own error. */
			if (r != -EAGAIN && r != -ENOTCONN)
				return done || r == 0 ? (ssize_t)done : r;
			st = chan_status_of(r);
		}
		r = sock_answer(s, st, done, 0);
		if (r != SOCK_ANSWER_WAIT)
			return r;
		r = sock_send_wait(s, seen, &deadline);
		if (r < 0)
			return done ? (ssize_t)done : r;
	}
	return (ssize_t)done;
}

ssize_t sock_sendfile(struct sock *s, int in, int64_t *offset, size_t count)
{
	int64_t at = 0;
	ssize_t r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (offset && user_get(&at, offset, sizeof(at)) < 0)
		return -EFAULT;
	if (fdtab_has(in)) /* a socket is no file to read from */
		return offset ? -ESPIPE : -EINVAL;
	/* Nor is a pipe; with an offset pread() says so itself. */
	if (!offset && lseek(in, 0, SEEK_CUR) < 0)
		return errno == ESPIPE ? -EINVAL : -errno;
	/* The kernel splices to nobody who appends. */
	if (at < 0 || (ssize_t)count < 0 || atomic_load(&s->b->file_flags) & O_APPEND)
		return -EINVAL;
	r = file_loop(s, in, offset ? &at : NULL, min_u64(count, RW_LIMIT));
	return offset && user_put(offset, &at, sizeof(at)) < 0 ? -EFAULT : r;
}

/* ---- pipes ---- */
static bool pipe_nonblocking(int pipe, unsigned int flags)
{
	return flags & SPLICE_F_NONBLOCK || libc.fcntl(pipe, F_GETFL) & O_NONBLOCK;
}

/* The arguments, in the kernel's order: 0 or -errno. wrong: how the pipe must not have been opened. */
static int splice_check(int pipe, int wrong, size_t n, unsigned int flags)
{
	int fl;

	if (n == 0)
		return 0;
	if (flags & ~(unsigned)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
		return -EINVAL;
	fl = libc.fcntl(pipe, F_GETFL);
	if (fl < 0 || (fl & O_ACCMODE) == wrong)
		return -EBADF;
	return libc.fcntl(pipe, F_GETPIPE_SZ) < 0 ? -EINVAL : 0;
}

ssize_t sock_splice_out(struct sock *s, int pipe, size_t n, unsigned int flags)
{
	char buf[SPLICE_BYTES];
	struct iovec iov = { .iov_base = buf, .iov_len = min_u64(n, sizeof(buf)) };
	int held = 0, room = libc.fcntl(pipe, F_GETPIPE_SZ);
	ssize_t got, put, r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	r = splice_check(pipe, O_RDONLY, n, flags);
	if (r < 0 || n == 0)
		return r;
	/* Leave alone what does not fit: a pipe takes a full buffer at once, or we wait for it. */
	if (libc.ioctl(pipe, FIONREAD, &held) == 0 && room - held < (int)iov.iov_len) {
		if (room <= held && pipe_nonblocking(pipe, flags))
			return -EAGAIN;
		if (room > held)
			iov.iov_len = (size_t)(room - held);
	}
	if (sock_urgent_blocks(s)) { /* an urgent byte: nobody waits for it to go away */
		r = sock_recv_why(s);
		return r == -EAGAIN && !sock_is_nonblocking(s) ? 0 : r;
	}
	/* SPLICE_F_NONBLOCK is about the pipe: the socket waits as its own O_NONBLOCK says. */
	got = n ? sock_recv(s, &iov, 1, iov.iov_len, MSG_PEEK) : 0;
	if (got <= 0)
		return got;
	put = libc.write(pipe, buf, (size_t)got);
	if (put < 0)
		return -errno;
	iov.iov_len = (size_t)put;
	return sock_recv(s, &iov, 1, iov.iov_len, MSG_TRUNC | MSG_DONTWAIT);
}

/* Empty, but somebody may still write: not at its end. */
static bool pipe_is_empty(int pipe)
{
	struct pollfd p = { .fd = pipe, .events = POLLIN };
	struct timespec now = { 0 };

	return sys_call6(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0, 0) == 0;
}

/* Waits for room in the send buffer: 0 or -errno. */
static ssize_t splice_room(struct sock *s, int msg)
{
	uint64_t deadline = 0;

	for (;;) {
		uint32_t seen = chan_sock_seq(s->a);
		enum chan_status st = sock_write_state(s);
		ssize_t r;

		if (st == CHAN_OK) {
			if (chan_tx_space(s->a, s->b) > 0)
				return 0;
			sock_want_out(s);
			if (chan_tx_space(s->a, s->b) > 0)
				return 0;
			st = CHAN_SHOULD_WAIT;
		}
		r = sock_answer(s, st, 0, msg);
		if (r != SOCK_ANSWER_WAIT)
			return r;
		r = sock_send_wait(s, seen, &deadline);
		if (r < 0)
			return r;
	}
}

ssize_t sock_splice_in(struct sock *s, int pipe, size_t n, unsigned int flags)
{
	int msg = flags & SPLICE_F_MORE ? MSG_MORE : 0;
	char buf[SPLICE_BYTES];
	struct iovec iov = { .iov_base = buf };
	ssize_t got, r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	r = splice_check(pipe, O_WRONLY, n, flags);
	if (r < 0 || n == 0)
		return r;
	if (atomic_load(&s->b->file_flags) & O_APPEND)
		return -EINVAL;
	if ((pipe_nonblocking(pipe, flags) || sock_is_nonblocking(s)) && pipe_is_empty(pipe))
		return -EAGAIN;
	/* Bytes leave the pipe only when there is room for them. */
	r = splice_room(s, msg);
	if (r < 0)
		return r;
	iov.iov_len = min_u64(min_u64(n, sizeof(buf)), chan_tx_space(s->a, s->b));
	got = libc.read(pipe, buf, iov.iov_len);
	if (got <= 0)
		return got < 0 ? -errno : 0;
	iov.iov_len = (size_t)got;
	/* Taken from the pipe means sent: room was there, and what is missing now is waited for. */
	return sock_send(s, &iov, 1, iov.iov_len, msg | SOCK_SEND_ALL);
}
