/* The one place where a status of the write primitive (stack/chan/write.h) becomes the return value,
 * errno and signal of send(), write() and their relatives. */
// SPDX-License-Identifier: MIT
#include "shim/sock_status.h"
#include <errno.h>
#include <signal.h>
#include "shim/sock_conn.h"
#include "shim/sock_io.h"
#include "stack/base/sys.h"

enum answer {
	COUNT, /* the bytes sent so far */
	WAIT,  /* sleep until it changes; SO_SNDTIMEO and signals may end it */
	FAIL,  /* -1 and errno */
	BROKEN /* -1 and the socket's pending error, which is taken; if there is none: EPIPE and SIGPIPE
		* to the calling thread, the latter not with MSG_NOSIGNAL */
};

/* What was sent goes first: then the error, if it lasts, is for the next call. */
static const struct row {
	int err;
	enum answer blocking, blocking_part, nonblocking, nonblocking_part;
} table[CHAN_STATUSES] = {
	/* send(2): "no more than len"; a blocking one comes here only when all is sent */
	[CHAN_OK] =	       { 0, COUNT, COUNT, COUNT, COUNT },
	/* send(2) EAGAIN: "marked nonblocking and the requested operation would block"; write(2):
	 * "the number of bytes written may be less than count" */
	[CHAN_SHOULD_WAIT] =   { EAGAIN, WAIT, WAIT, FAIL, COUNT },
	/* send(2) EPIPE: "the local end has been shut down ... will also receive a SIGPIPE signal
	 * unless MSG_NOSIGNAL is set" */
	[CHAN_CLOSED_HERE] =   { EPIPE, BROKEN, COUNT, BROKEN, COUNT },
	/* tcp(7), write(2) EPIPE: "socket whose reading end is closed" */
	[CHAN_CLOSED_THERE] =  { EPIPE, BROKEN, COUNT, BROKEN, COUNT },
	/* send(2) ECONNRESET, tcp(7) ETIMEDOUT, ip(7) EHOSTUNREACH ...: told once, EPIPE from then on */
	[CHAN_RESET] =	       { EPIPE, BROKEN, COUNT, BROKEN, COUNT },
	/* POSIX says ENOTCONN; Linux says EPIPE of a TCP socket that is not connected, and raises the
	 * signal (net/socket: sk_stream_wait_connect()) */
	[CHAN_NOT_CONNECTED] = { EPIPE, BROKEN, COUNT, BROKEN, COUNT },
	/* send(2) EMSGSIZE: "requires that message be sent atomically, and the size ... impossible" */
	[CHAN_TOO_LONG] =      { EMSGSIZE, FAIL, FAIL, FAIL, FAIL },
	/* send(2) ENOMEM */
	[CHAN_NO_MEMORY] =     { ENOMEM, FAIL, COUNT, FAIL, COUNT },
	/* send(2) ENOTSOCK: "does not refer to a socket" that carries bytes */
	[CHAN_WRONG_TYPE] =    { ENOTSOCK, FAIL, FAIL, FAIL, FAIL },
	/* send(2) EBADF: "not a valid open file descriptor" */
	[CHAN_BAD_HANDLE] =    { EBADF, FAIL, COUNT, FAIL, COUNT },
	/* write(2) EBADF: "or is not open for writing" */
	[CHAN_ACCESS_DENIED] = { EBADF, FAIL, COUNT, FAIL, COUNT },
	/* send(2) EFAULT: "an invalid user space address was specified for an argument" */
	[CHAN_BAD_BUFFER] =    { EFAULT, FAIL, COUNT, FAIL, COUNT },
	/* send(2) EINVAL: "invalid argument passed" */
	[CHAN_INVALID] =       { EINVAL, FAIL, FAIL, FAIL, FAIL },
};

enum chan_status sock_write_state(struct sock *s)
{
	if (unlikely(sock_mode(s) != SOCK_STACK || sock_has(s, SOCK_LISTENING)))
		return CHAN_NOT_CONNECTED;
	if (unlikely(atomic_load_explicit(&s->own_error, memory_order_relaxed)))
		return CHAN_RESET;
	return chan_write_state(s->app, s->id);
}

bool sock_may_wait(const struct sock *s, int flags)
{
	return !(flags & MSG_DONTWAIT) && (!sock_is_nonblocking(s) || flags & SOCK_SEND_ALL);
}

/* Linux's sk_stream_error(). A reset after the peer's FIN is an EPIPE, too. */
static ssize_t broken(struct sock *s, int flags)
{
	int err = sock_take_error(s);

	if (err && err != EPIPE)
		return -err;
	if (!(flags & MSG_NOSIGNAL))
		sys_tgkill(sys_getpid(), sys_gettid(), SIGPIPE);
	return -EPIPE;
}

ssize_t sock_answer(struct sock *s, enum chan_status st, size_t done, int flags)
{
	const struct row *row = &table[st];
	enum answer a;

	if (sock_may_wait(s, flags))
		a = done ? row->blocking_part : row->blocking;
	else
		a = done ? row->nonblocking_part : row->nonblocking;
	switch (a) {
	case COUNT:
		return (ssize_t)done;
	case WAIT:
		return SOCK_ANSWER_WAIT;
	case BROKEN:
		return broken(s, flags);
	default:
		return -row->err;
	}
}
