/* Urgent data: see sock_urgent.h. The rules of the stream itself are in stack/chan/urgent.h; here is what
 * Linux's tcp_recvmsg() and tcp_recv_urg() make of them for the caller. */
// SPDX-License-Identifier: MIT
#include "shim/sock_urgent.h"
#include <errno.h>
#include <sys/socket.h>
#include "shim/signal.h"
#include "shim/sock_conn.h"
#include "stack/base/sys.h"
#include "stack/chan/stream.h"
#include "stack/chan/user.h"

/* Over, and not by the peer's FIN. */
static bool is_reset(const struct sock *s)
{
	return sock_is_broken(s) ||
	       (atomic_load_explicit(&s->a->state, memory_order_acquire) == CHAN_ST_CLOSED &&
		!(atomic_load_explicit(&s->a->flags, memory_order_acquire) & CHAN_A_RX_FIN));
}

/* The byte has been announced and is not here: never waits, whatever the socket's mode. */
static int oob_missing(const struct sock *s)
{
	uint32_t fa = atomic_load_explicit(&s->a->flags, memory_order_acquire);

	if (fa & CHAN_A_RX_FIN || atomic_load_explicit(&s->b->flags, memory_order_relaxed) & CHAN_B_SHUT_RD)
		return 0;
	return -EAGAIN;
}

ssize_t sock_recv_oob(struct sock *s, const struct iovec *iov, size_t len, int flags, int *msg_flags)
{
	uint8_t byte;
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (sock_has(s, SOCK_LISTENING))
		return -ENOTCONN;
	if (sock_mode(s) == SOCK_UNDECIDED || !chan_has_urgent(s->a))
		return -EINVAL;
	if (is_reset(s)) {
		struct chan_urg_view v = chan_urg_look(s->a, s->b);

		return v.on && !v.taken && !v.is_inline ? -ENOTCONN : -EINVAL;
	}
	chan_urg_wait(s->a);
	r = chan_urg_take(s->app, s->id, flags & MSG_PEEK, &byte);
	if (r == -EAGAIN)
		return oob_missing(s);
	if (r < 0)
		return r == -EDEADLK ? -EAGAIN : r;
	if (msg_flags)
		*msg_flags |= MSG_OOB | (len ? 0 : MSG_TRUNC);
	if (len == 0)
		return 0;
	while (iov->iov_len == 0)
		iov++;
	return flags & MSG_TRUNC || user_put(iov->iov_base, &byte, 1) == 0 ? 1 : -EFAULT;
}

/* The order of tcp_recvmsg(): what has been copied ends at the mark; a call that has nothing yet goes
 * beyond it, unless a signal is pending. That is where a handler of SIGURG gets its chance to take the
 * byte: the signal was sent before the pointer was published, and a system call on our side lets it in if
 * it has not been yet. */
ssize_t sock_urgent_before(struct sock *s, int flags, uint32_t skip, size_t copied, bool wait, int *rx)
{
	bool peek = flags & MSG_PEEK;
	struct chan_urg_view v;

	chan_urg_wait(s->a);
	v = chan_urg_look(s->a, s->b);
	if (!v.on)
		return 0;
	if (copied && v.ahead == (peek ? skip : 0) + (peek ? copied : 0))
		return (ssize_t)copied;
	if (v.ahead != (peek ? skip : 0))
		return 0;
	*rx |= CHAN_RX_PAST_MARK;
	if (copied || !(atomic_load_explicit(&s->b->flags, memory_order_relaxed) & CHAN_B_SIGNALS))
		return 0;
	sys_getpid();
	if (!signal_interrupted(SIGNAL_ENDS))
		return 0;
	return wait ? -EINTR : -EAGAIN;
}

uint32_t sock_urgent_holes(const struct sock *s, uint32_t skip)
{
	return chan_urg_holes(s->a, s->b, atomic_load_explicit(&s->b->rx_head, memory_order_relaxed) + skip);
}

bool sock_urgent_blocks(const struct sock *s)
{
	struct chan_urg_view v;

	if (likely(!chan_has_urgent(s->a)))
		return false;
	v = chan_urg_look(s->a, s->b);
	return v.on && v.ahead == 0 && v.here;
}

int sock_at_mark(struct sock *s)
{
	struct chan_urg_view v;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (!chan_has_urgent(s->a))
		return 0;
	chan_urg_wait(s->a);
	v = chan_urg_look(s->a, s->b);
	return v.on && v.ahead == 0;
}

uint32_t sock_inq(const struct sock *s)
{
	struct chan_urg_view v;

	if (likely(!chan_has_urgent(s->a)))
		return chan_rx_avail(s->a, s->b);
	chan_urg_wait(s->a);
	v = chan_urg_look(s->a, s->b);
	return v.on && v.here && !v.is_inline ? v.ahead : v.avail;
}
