/* Datagram sockets outlive their engine: the next one gives them the same port, peer and groups. */
// SPDX-License-Identifier: MIT
#include <poll.h>
#include "shim/dgram_int.h"
#include "shim/signal.h"
#include "shim/sock_conn.h"
#include "shim/sock_heir.h"
#include "shim/wait.h"
#include "stack/base/sys.h"

bool dgram_is_orphan(const struct sock *s)
{
	return sock_mode(s) == SOCK_STACK && sock_is_dead(s) && s->a->local.port &&
	       !sock_has(s, DGRAM_KERNEL_CONN);
}

/* The maps of the dead engine stay as long as somebody may look at them: what it knew is still there. */
static int bind_anew(struct sock *s, struct chan_app *app)
{
	struct endpoint local = { .addr = ipaddr_v4(0), .port = s->a->local.port };
	struct endpoint remote = s->a->remote;

	if (sock_has(s, SOCK_BOUND))
		local.addr = s->bound.addr;
	int r = dgram_stack_bind(s, app, &local);
	if (r < 0)
		return r;
	if (!ipaddr_is_any(&remote.addr))
		dgram_stack_connect(s, app, local.port, &remote);
	return 0;
}

void dgram_revive(struct sock *s, struct chan_app *app)
{
	int r = heir_find(s, app);

	if (r != -ENOENT)
		return;
	if (bind_anew(s, app) == 0)
		heir_made(s, app);
	heir_done(app);
}

void dgram_revive_now(struct sock *s)
{
	enum chan_reason no;
	struct chan_app *app = engine_get(&no);

	if (!app)
		return;
	if (sock_lock(s) == 0) {
		if (dgram_is_orphan(s))
			dgram_revive(s, app);
		sock_unlock(s);
	}
	engine_put(app);
}

int dgram_rest_orphaned(struct sock *s, int fd, uint64_t deadline)
{
	uint64_t until = sock_revive(deadline), now = wait_now_ns();
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec ts = { 0 };

	if (!dgram_is_orphan(s))
		return 0;
	until = min_u64(until, now + NSEC_PER_SEC);
	if (until > now)
		ts = (struct timespec){ (time_t)((until - now) / NSEC_PER_SEC),
					(long)((until - now) % NSEC_PER_SEC) };
	if (sys_call6(SYS_ppoll, (long)&p, 1, (long)&ts, 0, 0, 0) == -EINTR &&
	    signal_interrupted(deadline == WAIT_FOREVER ? SIGNAL_ENDS : SIGNAL_ANY))
		return -EINTR;
	return wait_now_ns() >= deadline ? -EAGAIN : 0;
}
