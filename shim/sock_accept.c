/* accept() of a stream socket: from the stack's queue, the kernel twin's, or both. */
// SPDX-License-Identifier: MIT
#include <unistd.h>
#include "shim/addr.h"
#include "shim/engine.h"
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/signal.h"
#include "shim/sock_conn.h"
#include "shim/sock_elder.h"
#include "shim/sock_opt.h"
#include "shim/wait.h"
#include "stack/base/sys.h"
#include "stack/chan/stream.h"

enum { ORPHAN_LOOK_MS = 250 };

/* The connection at the head of the stack's queue as a new descriptor; -EAGAIN: none. The number is
 * made first: without one the connection stays in the queue, as in the kernel. */
static int accept_stack(struct sock *s, const struct sock_place *p, int flags)
{
	struct sock *n;
	uint32_t id, gen;
	int fd, r;

	if (chan_rx_avail(p->a, p->b) == 0)
		return -EAGAIN;
	fd = sock_placeholder(flags);
	if (fd < 0)
		return fd;
	n = sock_new(s->family, s->protocol, SOCK_STACK);
	r = n && fd < FDTAB_SIZE ? chan_accept_pop(p->app, p->id, &id, &gen) : -ENFILE;
	if (r < 0) {
		libc.close(fd);
		if (n)
			sock_discard(n);
		return r == -EDEADLK ? -EAGAIN : r;
	}
	engine_ref(p->app);
	n->app = p->app;
	n->gen = gen;
	n->a = chan_sock_a(p->app, id);
	n->b = chan_sock_b(p->app, id);
	n->id = id;
	n->b->opts = s->b->opts;
	n->b->opts.defer = 0; /* the listener's own */
	atomic_store(&n->b->rcvtimeo_ms, atomic_load(&s->b->rcvtimeo_ms));
	atomic_store(&n->b->sndtimeo_ms, atomic_load(&s->b->sndtimeo_ms));
	atomic_store(&n->b->rcvlowat, atomic_load(&s->b->rcvlowat));
	atomic_store(&n->b->pacing, atomic_load(&s->b->pacing));
	atomic_store(&n->b->peek_off, atomic_load(&s->b->peek_off));
	atomic_store(&n->b->file_flags, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
	atomic_store(&n->flags, SOCK_CONNECT_TOLD | SOCK_ACCEPTED |
				(ipaddr_is_any(&p->a->local.addr) ? 0 : SOCK_ADDR_KEPT));
	sock_opt_inherit(n, s);
	explain_stack();
	object_publish(&n->obj);
	fdtab_set(fd, &n->obj);
	sock_put(n);
	return fd;
}

/* What waits at an engine that has handed over came first. */
static int accept_ours(struct sock *s, int flags)
{
	struct sock_place p;
	int n = -EAGAIN;

	if (elder_any() && elder_place(s, &p))
		n = accept_stack(s, &p, flags);
	if (likely(n == -EAGAIN)) {
		p = sock_place(s);
		n = accept_stack(s, &p, flags);
	}
	return n;
}

/* Either queue; *addr is filled from the right one. */
static int accept_any(struct sock *s, int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int n = accept_ours(s, flags);

	if (n >= 0 && addr) {
		struct sock *got = sock_get(n);
		struct endpoint remote = got->a->remote;
		int r = addr_give(addr, len, s->family, &remote);

		sock_put(got);
		if (r < 0) {
			fdtab_clear(n);
			libc.close(n);
			return r;
		}
	}
	if (n != -EAGAIN || !sock_has(s, SOCK_TWIN))
		return n;
	n = libc.accept4(fd, addr, len, flags);
	return n < 0 ? -errno : fdtab_fresh(n);
}

/* Its engine has ended, and there is no kernel half to wait for. The program is told once; if it goes on
 * accepting it waits for the next engine. 0: look again, or -errno. */
static int accept_orphaned(struct sock *s, uint64_t deadline)
{
	uint64_t until = sock_revive(sock_is_nonblocking(s) ? 0 : deadline), now = wait_now_ns();
	struct timespec ts = { 0 };

	if (!sock_is_dead(s)) {
		atomic_fetch_and(&s->flags, ~(uint32_t)SOCK_DEAD_TOLD);
		return 0;
	}
	if (!(atomic_fetch_or(&s->flags, SOCK_DEAD_TOLD) & SOCK_DEAD_TOLD))
		return -ENETDOWN;
	if (sock_is_nonblocking(s) || now >= deadline)
		return -EAGAIN;
	until = min_u64(until, now + ORPHAN_LOOK_MS * NSEC_PER_MSEC);
	if (until > now)
		ts.tv_nsec = (long)(until - now);
	if (sys_ppoll(NULL, 0, &ts) == -EINTR &&
	    signal_interrupted(deadline == WAIT_FOREVER ? SIGNAL_ENDS : SIGNAL_ANY))
		return -EINTR;
	return 0;
}

int sock_accept(struct sock *s, int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	uint64_t deadline = 0;
	int r;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	for (;;) {
		uint32_t seen = atomic_load_explicit(&s->a->evseq, memory_order_acquire);

		if (sock_mode(s) == SOCK_KERNEL)
			return SOCK_TO_KERNEL;
		if (!sock_has(s, SOCK_LISTENING))
			return -EINVAL;
		r = accept_any(s, fd, addr, len, flags);
		if (r != -EAGAIN)
			return r;
		if (!deadline)
			deadline = wait_deadline_ms(atomic_load(&s->b->rcvtimeo_ms));
		if (sock_is_dead(s) && !sock_has(s, SOCK_TWIN)) {
			r = accept_orphaned(s, deadline);
			if (r < 0)
				return r;
			continue;
		}
		if (sock_is_nonblocking(s))
			return -EAGAIN;
		r = sock_has(s, SOCK_TWIN) ? wait_mixed(&s->obj, fd, POLLIN, deadline) :
					     wait_sock(s, seen, deadline);
		if (r < 0)
			return r;
	}
}
