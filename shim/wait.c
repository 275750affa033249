/* The one place where a thread blocks on a single socket. */
// SPDX-License-Identifier: MIT
#include "shim/wait.h"
#include <errno.h>
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

int wait_sock(struct sock *s, uint32_t seen, uint64_t deadline_ns)
{
	int r = chan_sock_wait(s->app, s->id, seen, deadline_ns, NULL, 0);

	/* -EPIPE: the engine is gone, which the caller's next look tells it. */
	return r == -ETIMEDOUT ? -EAGAIN : r == -EINTR ? -EINTR : 0;
}
