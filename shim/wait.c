/* The one place where a thread blocks on a single socket. */
// SPDX-License-Identifier: MIT
#include "shim/wait.h"
#include <errno.h>
#include <pthread.h>
#include "shim/signal.h"
#include "shim/sock.h"
#include "stack/chan/wait.h"

uint64_t wait_now_ns(void)
{
	return chan_now_ns();
}

uint64_t wait_deadline_ms(uint32_t timeo_ms)
{
	if (timeo_ms == WAIT_NEVER_MS)
		return 1;
	return timeo_ms ? chan_now_ns() + timeo_ms * NSEC_PER_MSEC : WAIT_FOREVER;
}

/* pthread_cancel() while asleep: the exported function's reference goes. (A count left in b->waiters
 * costs needless wakes only.) */
static void cancelled(void *arg)
{
	sock_put(arg);
}

/* until: an earlier look than the deadline's, for what no event tells of. */
static int sleep_on(struct sock *s, uint32_t seen, uint64_t deadline_ns, uint64_t until)
{
	volatile int r = 0; /* lives across the cancellation frame */
	/* With a time limit Linux ends the call whatever the handler's SA_RESTART says. */
	enum signal_count ends = deadline_ns == WAIT_FOREVER ? SIGNAL_ENDS : SIGNAL_ANY;
	struct sock_place p = sock_place(s);
	int type;

	pthread_cleanup_push(cancelled, s);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	r = chan_sock_wait(p.app, p.id, seen, until, &signal_runs[ends], signal_mark[ends]);
	pthread_setcanceltype(type, NULL);
	pthread_cleanup_pop(0);
	if (likely(until == deadline_ns))
		return r;
	if (r == -EINTR && ends == SIGNAL_ENDS && !signal_interrupted(ends)) {
		signal_call_begins();
		return 0;
	}
	return r == -ETIMEDOUT ? 0 : r;
}

int wait_sock(struct sock *s, uint32_t seen, uint64_t deadline_ns)
{
	uint32_t moves = atomic_load_explicit(&s->moves, memory_order_acquire);
	uint64_t until;
	int r;

	if (!atomic_load_explicit(&s->obj.refs, memory_order_relaxed)) { /* being released: linger */
		r = chan_sock_wait(s->app, s->id, seen, deadline_ns, NULL, 0);
	} else {
		until = sock_revive(deadline_ns);
		if (unlikely(atomic_load_explicit(&s->moves, memory_order_relaxed) != moves))
			return 0; /* seen is of another place */
		r = sleep_on(s, seen, deadline_ns, until);
	}
	/* -EPIPE: the engine is gone, which the caller's next look tells it. */
	return r == -ETIMEDOUT ? -EAGAIN : r == -EINTR ? -EINTR : 0;
}
