/* A datagram socket's life in this process: made, given its place in the engine, shared, handed to the
 * kernel, released; its readiness and file flags. */
// SPDX-License-Identifier: MIT
#include "shim/dgram_int.h"
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "shim/explain.h"
#include "shim/fault.h"
#include "shim/libc.h"
#include "shim/sock_async.h"
#include "shim/sock_conn.h"
#include "shim/sock_elder.h"
#include "stack/base/sys.h"
#include "stack/chan/user.h"

static const struct object_ops dgram_ops = { .type = OBJECT_SOCK };
static struct object_pool pool = { .ops = &dgram_ops, .size = sizeof(struct dgram) };

/* ---- made ---- */
bool dgram_add(struct sock *s)
{
	struct object *o = object_new(&pool);

	if (o)
		s->dgram = container_of(o, struct dgram, obj);
	return o != NULL;
}

static struct sock *new_sock(int domain, int type, int protocol, int fd)
{
	struct sock *s = sock_new((uint16_t)domain, (uint16_t)protocol, SOCK_STACK);

	if (!s || !sock_draft_add(s) || !dgram_add(s)) {
		if (s)
			sock_discard(s);
		return NULL;
	}
	s->type = SOCK_DGRAM;
	atomic_store(&s->draft->a.state, CHAN_ST_OPEN);
	s->draft->a.type = SOCK_DGRAM;
	s->a = &s->draft->a;
	s->b = &s->draft->b;
	atomic_store(&s->b->file_flags, type & SOCK_NONBLOCK ? O_NONBLOCK : 0);
	atomic_store(&s->dgram->hint_fd, fd);
	object_publish(&s->obj);
	return s;
}

/* The kernel's half is there from the start: without one there is no socket either. */
int dgram_open(int domain, int type, int protocol)
{
	enum chan_reason no = CHAN_REASON_no_engine;
	struct chan_app *app = engine_get(&no);
	struct sock *s;
	int fd;

	if (!app) {
		explain_kernel(no);
		return engine_config()->fail ? -ENETDOWN : SOCK_TO_KERNEL;
	}
	engine_put(app);
	fault_arm();
	fd = libc.socket(domain, type, protocol);
	if (fd < 0)
		return -errno;
	fdtab_fresh(fd);
	s = fd < FDTAB_SIZE ? new_sock(domain, type, protocol, fd) : NULL;
	if (!s) {
		explain_kernel(CHAN_REASON_pool_exhausted);
		return fd;
	}
	fdtab_set(fd, &s->obj);
	sock_put(s);
	return fd;
}

int dgram_fd(const struct sock *s)
{
	int fd = atomic_load_explicit(&s->dgram->hint_fd, memory_order_relaxed);

	if (likely(fd >= 0 && atomic_load_explicit(&fdtab[fd], memory_order_relaxed) == &s->obj))
		return fd;
	fd = sock_fd(s);
	atomic_store_explicit(&s->dgram->hint_fd, fd, memory_order_relaxed);
	return fd;
}

/* ---- its place in the engine ---- */
/* What sock_attach() does not know. */
static void copy_options(struct chan_sock_b *to, const struct chan_sock_b *from)
{
	atomic_store(&to->peek_off, atomic_load(&from->peek_off));
	atomic_store(&to->dg_flags, atomic_load(&from->dg_flags));
	atomic_store(&to->dg_send, atomic_load(&from->dg_send));
	atomic_store(&to->dg_mcast_if, atomic_load(&from->dg_mcast_if));
	atomic_store(&to->dg_mcast_ip, atomic_load(&from->dg_mcast_ip));
	atomic_store(&to->dg_mcast_if6, atomic_load(&from->dg_mcast_if6));
	atomic_store(&to->dg_flowinfo, atomic_load(&from->dg_flowinfo));
	atomic_store(&to->dg_frag, atomic_load(&from->dg_frag));
}

void dgram_adopt(struct sock *s, struct chan_app *app, const struct chan_rep *rep)
{
	const uint32_t shut = CHAN_B_SHUT_RD | CHAN_B_SHUT_WR;
	struct chan_sock_b *b = chan_sock_b(app, rep->sock);

	copy_options(b, s->b);
	atomic_fetch_or(&b->flags, atomic_load(&s->b->flags) & shut);
	sock_attach(s, app, rep->sock, rep->gen);
	dgram_rejoin(s);
}

void dgram_drop(struct sock *s)
{
	struct chan_sock_b *keep = &s->draft->b;

	if (!sock_is_attached(s))
		return;
	copy_options(keep, s->b);
	atomic_store(&keep->flags, atomic_load(&s->b->flags) & (CHAN_B_SHUT_RD | CHAN_B_SHUT_WR));
	atomic_store(&keep->rcvtimeo_ms, atomic_load(&s->b->rcvtimeo_ms));
	atomic_store(&keep->sndtimeo_ms, atomic_load(&s->b->sndtimeo_ms));
	sock_drop(s);
}

int dgram_attach(struct sock *s)
{
	struct chan_req req = {
		.op = CHAN_OP_BIND,
		.sock = CHAN_SOCK_NEW,
		.type = SOCK_DGRAM,
		.v6 = s->family == AF_INET6,
		.arg = { CHAN_ARG_NO_PORT },
		.local = { .addr = ipaddr_v4(0) },
		.opts = s->b->opts,
	};
	enum chan_reason no;
	struct chan_app *app;
	struct chan_rep rep;
	int r;

	if (dgram_has_stack(s))
		return 0;
	app = engine_get(&no);
	if (!app)
		return -ENETDOWN;
	r = chan_call(app, chan_pick_worker(app), &req, &rep);
	if (r == 0)
		dgram_adopt(s, app, &rep);
	engine_put(app);
	return r;
}

void dgram_twin(struct sock *s)
{
	if (sock_has(s, SOCK_TWIN))
		return;
	dgram_set(s, SOCK_TWIN, 0);
	if (s->epoll_items)
		epoll_sock_twin(s);
}

void dgram_count(struct sock *s)
{
	if (!(atomic_fetch_or(&s->flags, DGRAM_COUNTED) & DGRAM_COUNTED))
		explain_stack();
}

int dgram_to_kernel(struct sock *s, enum chan_reason why)
{
	dgram_drop(s);
	explain_kernel(why);
	atomic_store_explicit(&s->mode, SOCK_KERNEL, memory_order_release);
	if (s->epoll_items)
		epoll_sock_to_kernel(s);
	for (int fd = sock_fd(s); fd >= 0; fd = sock_fd(s))
		fdtab_clear(fd);
	return SOCK_TO_KERNEL;
}

/* Another process is about to have it, too. What either does to it must be seen by both, so the stack's half
 * is made now, and the kernel's is never taken to be idle. */
void dgram_settle(struct sock *s)
{
	if (sock_mode(s) == SOCK_KERNEL || sock_lock(s) < 0)
		return;
	dgram_set(s, DGRAM_SHARED, 0);
	if (!sock_has(s, DGRAM_KERNEL_CONN | DGRAM_NO_STACK))
		dgram_attach(s);
	if (!sock_has(s, DGRAM_ONLY_STACK))
		dgram_twin(s);
	sock_unlock(s);
}

void dgram_after_fork(struct sock *s)
{
	atomic_store(&s->dgram->cork_lock, 0);
	atomic_store(&s->dgram->long_lock, 0);
}

void dgram_release(struct sock *s)
{
	struct dgram *d = s->dgram;

	if (d->cork)
		munmap(d->cork, DGRAM_CORK_SIZE);
	dgram_groups_free(d);
	s->dgram = NULL;
	object_free(&pool, &d->obj);
}

/* ---- readiness ---- */
uint32_t dgram_kernel_events(const struct sock *s, int fd, short events)
{
	struct pollfd p = { .fd = fd < 0 ? dgram_fd(s) : fd, .events = events };
	struct timespec now = { 0 };

	/* A raw call: no cancellation point. */
	if (p.fd < 0 || sys_call6(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0, 0) <= 0)
		return 0;
	return (uint32_t)(uint16_t)p.revents;
}

uint32_t dgram_readiness(const struct sock *s)
{
	const short in = POLLIN | POLLRDNORM | POLLPRI | POLLRDBAND;
	uint32_t m;

	if (!dgram_hears_stack(s))
		return dgram_kernel_events(s, -1, in | POLLOUT | POLLWRNORM | POLLWRBAND | POLLRDHUP);
	m = chan_dgram_readiness(s->a, s->b);
	if (elder_any() && elder_avail(s))
		m |= EPOLLIN | EPOLLRDNORM;
	if (sock_has(s, SOCK_TWIN) && (m & (EPOLLIN | EPOLLERR)) != (EPOLLIN | EPOLLERR))
		m |= dgram_kernel_events(s, -1, in) & (uint32_t)(in | POLLERR);
	if (atomic_load_explicit(&s->dgram->n_long, memory_order_relaxed) ||
	    atomic_load_explicit(&s->own_error, memory_order_relaxed))
		m |= EPOLLERR;
	return m;
}

/* ---- file flags: the kernel's half has them, b->file_flags is what all processes see quickly ---- */
int dgram_get_fl(struct sock *s, int fd)
{
	return SOCK_TO_KERNEL;
}

static void mirror(struct sock *s, uint32_t mask, uint32_t fl)
{
	uint32_t old = atomic_load(&s->b->file_flags);

	while (!atomic_compare_exchange_weak(&s->b->file_flags, &old, (old & ~mask) | (fl & mask)))
		;
}

/* The kernel's half has it already, the line to the stack may not. */
static void change_async(struct sock *s, int fd, bool on)
{
	if (unlikely(on != !!(atomic_load(&s->b->file_flags) & O_ASYNC)))
		sock_async_switch(s, fd, on);
}

int dgram_set_fl(struct sock *s, int fd, int fl)
{
	if (libc.fcntl(fd, F_SETFL, fl) < 0)
		return -errno;
	change_async(s, fd, fl & O_ASYNC);
	mirror(s, O_NONBLOCK | O_ASYNC, (uint32_t)fl);
	return 0;
}

/* ---- ioctl ---- */
static int give(void *arg, const void *from, size_t n)
{
	return user_put(arg, from, n);
}

static int give_int(void *arg, int v)
{
	return give(arg, &v, sizeof(v));
}

static int set_flag(struct sock *s, int fd, unsigned long req, void *arg)
{
	uint32_t bit = req == FIONBIO ? O_NONBLOCK : O_ASYNC;

	int on;

	if (libc.ioctl(fd, req, arg) < 0)
		return -errno;
	if (user_get(&on, arg, sizeof(on)) < 0)
		return 0;
	if (bit == O_ASYNC)
		change_async(s, fd, on);
	mirror(s, bit, on ? bit : 0);
	return 0;
}

/* When the last datagram came, as a timeval or a timespec; SOCK_TO_KERNEL: none through the stack. */
static int stamp(struct sock *s, unsigned long req, void *arg)
{
	uint64_t ns = atomic_load_explicit(&s->dgram->stamp_ns, memory_order_relaxed);
	uint64_t part = req == SIOCGSTAMP_OLD || req == SIOCGSTAMP_NEW ? 1000 : 1;
	int64_t pair[2] = { (int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC / part) };

	return ns ? give(arg, pair, sizeof(pair)) : SOCK_TO_KERNEL;
}

int dgram_ioctl(struct sock *s, int fd, unsigned long req, void *arg)
{
	struct sock_place p;
	ssize_t n;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	switch (req) {
	case FIONBIO:
	case FIOASYNC:
		return set_flag(s, fd, req, arg);
	case FIOSETOWN:
	case SIOCSPGRP:
		return sock_async_ioctl(s, fd, req, arg);
	case SIOCINQ: /* FIONREAD */
		if (likely(!elder_any()) || !elder_place(s, &p) || !chan_rx_avail(p.a, p.b))
			p = sock_place(s);
		n = dgram_hears_stack(s) ? chan_dgram_next_len(p.app, p.id) : -EAGAIN;
		return n < 0 ? SOCK_TO_KERNEL : give_int(arg, (int)n);
	case SIOCOUTQ: /* TIOCOUTQ */
		if (!dgram_has_stack(s))
			return SOCK_TO_KERNEL;
		return give_int(arg, (int)(atomic_load(&s->b->tx_tail) - atomic_load(&s->a->tx_una)));
	case SIOCGSTAMP_OLD:
	case SIOCGSTAMPNS_OLD:
	case SIOCGSTAMP_NEW:
	case SIOCGSTAMPNS_NEW:
		return stamp(s, req, arg);
	default:
		return SOCK_TO_KERNEL;
	}
}
