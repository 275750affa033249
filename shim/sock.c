/* A stream socket's life in this process: made, decided, shared, released; its state and
 * errors. Connections are made in sock_conn.c, bytes moved in sock_recv.c and sock_send.c,
 * options kept in sock_opt.c. */
// SPDX-License-Identifier: MIT
#include "shim/signal.h"
#include "shim/sock.h"
#include <string.h>
#include <unistd.h>
#include "shim/addr.h"
#include "shim/dgram.h"
#include "shim/engine.h"
#include "shim/explain.h"
#include "shim/fault.h"
#include "shim/libc.h"
#include "shim/sock_async.h"
#include "shim/sock_conn.h"
#include "shim/sock_elder.h"
#include "shim/sock_forked.h"
#include "shim/sock_opt.h"
#include "shim/wait.h"
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"

static void sock_release(struct object *o);
static const struct object_ops sock_ops = { .type = OBJECT_SOCK, .release = sock_release };
static const struct object_ops draft_ops = { .type = OBJECT_SOCK };
struct object_pool sock_pool = { .ops = &sock_ops, .size = sizeof(struct sock) };
static struct object_pool draft_pool = { .ops = &draft_ops, .size = sizeof(struct sock_draft) };

/* ---- the anchor: what every placeholder is a copy of ---- */
static _Atomic int anchor_fd = -1;

static _Atomic uint32_t anchor_lock;

/* The number of the anchor, made now if need be; or -errno. */
static int anchor(void)
{
	int fd = atomic_load_explicit(&anchor_fd, memory_order_acquire);

	if (likely(fd >= 0))
		return fd;
	if (chan_lock(&anchor_lock) < 0)
		return -ENFILE;
	fd = atomic_load(&anchor_fd);
	if (fd < 0) {
		fd = libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		fd = fd < 0 ? -errno : fdtab_hide(fd, &anchor_fd);
	}
	chan_unlock(&anchor_lock);
	return fd;
}

int sock_placeholder(int flags)
{
	int from = anchor();
	int fd = from < 0 ? -1 : libc.fcntl(from, flags & SOCK_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);

	return from < 0 ? from : fd < 0 ? -errno : fd;
}

/* ---- numbers ---- */
struct sock *sock_enter_slow(struct object *o, int *fd)
{
	if (likely(o->ops->type == OBJECT_SOCK)) {
		signal_call_begins();
		fault_thread();
		sock_catch_up(sock_of(o));
		return sock_of(o);
	}
	if (o->ops->type == OBJECT_HIDDEN)
		*fd = -1;
	fdtab_put(o);
	return NULL;
}

struct sock *sock_get(int fd)
{
	struct object *o = fdtab_get_type(fd, OBJECT_SOCK);

	return o ? sock_of(o) : NULL;
}

/* The next number >= from of s. */
static int next_fd(const struct sock *s, int from)
{
	int fd = fdtab_next(from);

	while (fd >= 0 && atomic_load_explicit(&fdtab[fd], memory_order_relaxed) != &s->obj)
		fd = fdtab_next(fd + 1);
	return fd;
}

int sock_fd(const struct sock *s)
{
	return next_fd(s, 0);
}

int sock_put_under(struct sock *s, int k)
{
	int r = 0;

	if (unlikely(sock_has(s, SOCK_OWN_FILE)))
		sock_async_inherit(s, k);
	for (int fd = next_fd(s, 0); fd >= 0; fd = next_fd(s, fd + 1)) {
		int cloexec = libc.fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0;

		if (libc.dup3(k, fd, cloexec) < 0)
			r = -errno;
	}
	if (unlikely(sock_has(s, SOCK_OWN_FILE)))
		sock_async_placed(s);
	return r;
}

/* ---- made and released ---- */
/* The process that makes a socket and how many it has made before: above what the kernel numbers its
 * sockets with (32 bits). */
static _Atomic uint64_t last_number; /* 0: none in this process */

static uint64_t new_number(void)
{
	uint64_t none = 0;

	if (unlikely(!atomic_load_explicit(&last_number, memory_order_relaxed)))
		atomic_compare_exchange_strong(&last_number, &none, (uint64_t)sys_getpid() << 32);
	return atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
}

void sock_number_anew(void)
{
	atomic_store(&last_number, 0);
}

struct sock *sock_new(uint16_t family, uint16_t protocol, enum sock_mode mode)
{
	struct object *o = object_new(&sock_pool);
	struct sock *s;

	if (!o)
		return NULL;
	s = sock_of(o);
	s->family = family;
	s->protocol = (uint8_t)protocol;
	s->type = SOCK_STREAM;
	s->id = CHAN_SOCK_NEW;
	s->number = new_number();
	atomic_store(&s->line_fd, -1);
	atomic_store_explicit(&s->mode, mode, memory_order_release);
	return s;
}

bool sock_draft_add(struct sock *s)
{
	struct object *o = object_new(&draft_pool);
	struct sock_draft *d = (struct sock_draft *)o;

	if (!o)
		return false;
	atomic_store(&d->a.state, CHAN_ST_OPEN);
	d->a.sndbuf = sock_opt_default_sndbuf();
	s->draft = d;
	return true;
}

void sock_discard(struct sock *s)
{
	sock_release(&s->obj);
}

static struct sock *new_undecided(uint16_t family, int type, uint16_t protocol)
{
	struct sock *s = sock_new(family, protocol, SOCK_UNDECIDED);

	if (!s)
		return NULL;
	if (!sock_draft_add(s)) {
		sock_discard(s);
		return NULL;
	}
	s->a = &s->draft->a;
	s->b = &s->draft->b;
	atomic_store(&s->b->file_flags, type & SOCK_NONBLOCK ? O_NONBLOCK : 0);
	object_publish(&s->obj);
	return s;
}

/* What the kernel must do, and why; negative: it may be ours. */
static int kernel_reason(int domain, int type, int protocol)
{
	int base = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (engine_config()->disabled)
		return CHAN_REASON_disabled;
	if (domain != AF_INET && domain != AF_INET6)
		return CHAN_REASON_family;
	if (base != SOCK_STREAM && base != SOCK_DGRAM)
		return CHAN_REASON_type;
	if (protocol != 0 && protocol != (base == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
		return CHAN_REASON_protocol;
	return -1;
}

int sock_open(int domain, int type, int protocol)
{
	int why = kernel_reason(domain, type, protocol), fd;
	enum chan_reason no = CHAN_REASON_no_engine;
	struct chan_app *app;
	struct sock *s;

	if (fdtab_bypass)
		return SOCK_TO_KERNEL;
	if (why >= 0) {
		explain_kernel((enum chan_reason)why);
		return SOCK_TO_KERNEL;
	}
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_DGRAM)
		return dgram_open(domain, type, protocol);
	app = engine_get(&no);
	if (!app) {
		explain_kernel(no);
		return engine_config()->fail ? -ENETDOWN : SOCK_TO_KERNEL;
	}
	engine_put(app);
	fault_arm();
	fd = sock_placeholder(type);
	if (fd < 0)
		return fd;
	s = new_undecided((uint16_t)domain, type, (uint16_t)protocol);
	if (!s || fd >= FDTAB_SIZE) {
		libc.close(fd);
		if (s)
			sock_put(s);
		explain_kernel(CHAN_REASON_pool_exhausted);
		return SOCK_TO_KERNEL;
	}
	fdtab_set(fd, &s->obj);
	sock_put(s);
	return fd;
}

/* SO_LINGER with a time: the last close waits until all is acknowledged, or the time is over. */
static void linger(struct sock *s, uint32_t seconds)
{
	uint64_t deadline = wait_now_ns() + seconds * NSEC_PER_SEC;

	while (!sock_is_dead(s)) {
		uint32_t seen = chan_sock_seq(s->a);
		uint32_t state = atomic_load_explicit(&s->a->state, memory_order_acquire);

		if (atomic_load(&s->a->gen) != s->gen || state == CHAN_ST_FREE ||
		    state == CHAN_ST_CLOSED ||
		    atomic_load_explicit(&s->a->flags, memory_order_acquire) & CHAN_A_LINGERED)
			return;
		if (wait_sock(s, seen, deadline) < 0)
			return;
	}
}

/* ---- its place ---- */
/* Held while the place of a socket changes and over a fork, whose child could not tell what half a change
 * was meant to be. Innermost of all locks; no handler of the program runs under it. */
static _Atomic uint32_t place_lock;
static bool fork_has_it; /* under process.c's lock */

/* False: a handler that had to run at once, on top of whoever holds it. */
static bool place_begin(void)
{
	signal_hold();
	return chan_lock(&place_lock) == 0;
}

static void place_end(bool locked)
{
	if (locked)
		chan_unlock(&place_lock);
	signal_release();
}

void sock_fork_prepare(void)
{
	fork_has_it = place_begin();
}

void sock_fork_parent(void)
{
	place_end(fork_has_it);
}

void sock_fork_child(bool prepared)
{
	atomic_store(&place_lock, 0); /* another thread's, if nobody prepared */
	if (prepared)
		signal_release();
}

/* The engine's socket is no longer ours; what the program has set stays, in the draft. The caller gets the
 * reference on the engine. Under the place lock unless nobody else has s. */
static struct chan_app *forget(struct sock *s)
{
	struct chan_app *app = s->app;

	if (s->draft) {
		s->draft->b.opts = s->b->opts;
		atomic_store(&s->draft->b.file_flags, atomic_load(&s->b->file_flags));
		s->a = &s->draft->a;
		s->b = &s->draft->b;
	}
	s->id = CHAN_SOCK_NEW;
	s->app = NULL;
	return app;
}

/* Whoever is sent something to its port from now on finds nobody, on each data thread: the home hears of the
 * close before it answers, and what it tells the others comes before they do. */
static void close_everywhere(struct sock *s)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s->id, .gen = s->gen };
	uint32_t n = s->app->n_workers, home = s->a->worker;

	if (likely(n == 1) || !(sock_is_dgram(s) || sock_has(s, SOCK_LISTENING)))
		return;
	for (uint32_t i = 0; i < n; i++)
		chan_call(s->app, (home + i) % n, &req, NULL);
}

void sock_detach(struct sock *s)
{
	uint32_t wait_s = 0;

	if (!sock_is_attached(s))
		return;
	elder_drop(s);
	if (s->b->opts.flags & CHAN_O_LINGER && atomic_load(&s->a->state) == CHAN_ST_CONNECTED)
		wait_s = s->b->opts.linger_s;
	if (unlikely(sock_has(s, SOCK_OWN_FILE)))
		sock_async_leave(s);
	chan_unhold(s->app, s->id);
	close_everywhere(s);
	if (wait_s)
		linger(s, wait_s);
	engine_put(forget(s));
}

void sock_lost(struct sock *s)
{
	if (unlikely(sock_has(s, SOCK_OWN_FILE)))
		sock_async_leave(s);
	atomic_fetch_or(&s->flags, SOCK_LOST);
	engine_put(forget(s));
}

void sock_drop(struct sock *s)
{
	struct chan_req req = { .op = CHAN_OP_UNBIND, .sock = s->id, .gen = s->gen };
	struct chan_app *app;
	bool locked;

	if (!sock_is_attached(s))
		return;
	elder_drop(s);
	if (unlikely(sock_has(s, SOCK_OWN_FILE)))
		sock_async_leave(s);
	/* In this order: once the engine has dropped it the number may be another socket's of ours. */
	chan_unhold(s->app, s->id);
	chan_call(s->app, s->a->worker, &req, NULL);
	locked = place_begin();
	app = forget(s);
	place_end(locked);
	engine_put(app);
}

static void sock_release(struct object *o)
{
	struct sock *s = sock_of(o);
	struct sock_draft *d = s->draft;
	int saved = errno;

	if (s->epoll_items)
		epoll_sock_released(s);
	sock_detach(s);
	if (s->dgram)
		dgram_release(s);
	if (d)
		object_free(&draft_pool, &d->obj);
	object_free(&sock_pool, o);
	errno = saved;
}

/* The place of s changes, as seen by sock_place(). A handler of the program that looks waits for it. */
static void place(struct sock *s, struct chan_app *app, uint32_t id, uint32_t gen, struct chan_sock_b *b)
{
	bool locked = place_begin();

	atomic_fetch_add(&s->moves, 1);
	atomic_thread_fence(memory_order_release);
	s->app = app;
	s->gen = gen;
	s->a = chan_sock_a(app, id);
	s->b = b;
	s->id = id;
	atomic_fetch_add_explicit(&s->moves, 1, memory_order_release);
	place_end(locked);
}

void sock_attach(struct sock *s, struct chan_app *app, uint32_t id, uint32_t gen)
{
	struct chan_sock_b *b = chan_sock_b(app, id);

	chan_hold(app, id);
	b->opts = s->b->opts;
	atomic_store(&b->file_flags, atomic_load(&s->b->file_flags));
	atomic_store(&b->rcvtimeo_ms, atomic_load(&s->b->rcvtimeo_ms));
	atomic_store(&b->sndtimeo_ms, atomic_load(&s->b->sndtimeo_ms));
	atomic_store(&b->rcvlowat, atomic_load(&s->b->rcvlowat));
	atomic_store(&b->pacing, atomic_load(&s->b->pacing));
	atomic_store(&b->peek_off, atomic_load(&s->b->peek_off));
	engine_ref(app);
	place(s, app, id, gen, b);
	if (unlikely(sock_has(s, SOCK_OWN_FILE)))
		sock_async_attached(s);
	if (s->epoll_items)
		epoll_sock_attached(s);
}

/* ---- to the kernel ---- */
/* A kernel socket like s: options, file flags and local address. Number or -errno. */
static int kernel_like(struct sock *s)
{
	int fl = (int)atomic_load(&s->b->file_flags);
	int k = libc.socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, s->protocol);
	struct sockaddr_storage ss;
	int r;

	if (k < 0)
		return -errno;
	sock_opt_replay(s, k);
	if (fl & ~O_ASYNC) /* that comes by number, when it is there */
		libc.fcntl(k, F_SETFL, fl & ~O_ASYNC);
	if (sock_has(s, SOCK_BOUND)) {
		socklen_t len = addr_emit(&ss, s->family, &s->bound);

		if (libc.bind(k, (struct sockaddr *)&ss, len) < 0) {
			r = -errno;
			libc.close(k);
			return r;
		}
	}
	return k;
}

int sock_to_kernel_locked(struct sock *s, enum chan_reason why)
{
	int r;

	if (sock_mode(s) != SOCK_UNDECIDED)
		return sock_mode(s) == SOCK_KERNEL ? SOCK_TO_KERNEL : -EINVAL;
	if (sock_has(s, SOCK_TWIN)) {
		/* The twin has been in place all along, but non-blocking. */
		libc.fcntl(sock_fd(s), F_SETFL, (int)atomic_load(&s->b->file_flags));
	} else {
		int k = kernel_like(s);

		if (k < 0)
			return k;
		r = sock_put_under(s, k);
		libc.close(k);
		if (r < 0)
			return r;
	}
	sock_drop(s);
	explain_kernel(why);
	atomic_store_explicit(&s->mode, SOCK_KERNEL, memory_order_release);
	if (s->epoll_items)
		epoll_sock_to_kernel(s);
	for (int fd = next_fd(s, 0); fd >= 0; fd = next_fd(s, fd + 1))
		fdtab_clear(fd);
	return SOCK_TO_KERNEL;
}

int sock_to_kernel(struct sock *s, enum chan_reason why)
{
	int r = sock_lock(s);

	if (r < 0)
		return r;
	r = sock_to_kernel_locked(s, why);
	sock_unlock(s);
	return r;
}

void sock_anchor_after_fork(void)
{
	atomic_store(&anchor_lock, 0);
}

/* ---- state ---- */
bool sock_is_dead(const struct sock *s)
{
	return sock_is_attached(s) && unlikely(!chan_alive(s->app));
}

/* Only what was connected (or about to be) breaks when the engine ends. */
bool sock_is_broken(const struct sock *s)
{
	return sock_mode(s) == SOCK_STACK && !sock_has(s, SOCK_LISTENING) && !sock_is_dgram(s) &&
	       sock_is_dead(s);
}

/* Are there connections in the queue of the kernel twin? A raw call: no cancellation point. */
static bool twin_is_readable(const struct sock *s)
{
	struct pollfd p = { .fd = sock_fd(s), .events = POLLIN };
	struct timespec now = { 0 };

	return p.fd >= 0 && sys_call6(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0, 0) > 0 &&
	       p.revents & POLLIN;
}

uint32_t sock_readiness(const struct sock *s)
{
	uint32_t mask, made;

	if (sock_is_dgram(s))
		return dgram_readiness(s);
	made = sock_made_elsewhere(s);
	/* tcp_poll() of a socket in state CLOSE. */
	if (!sock_is_attached(s) || (sock_mode(s) == SOCK_UNDECIDED && made == CHAN_ST_OPEN)) {
		mask = EPOLLOUT | EPOLLWRNORM | EPOLLHUP;
		if (atomic_load(&s->b->flags) & CHAN_B_SHUT_RD)
			mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
		if (unlikely(atomic_load_explicit(&s->own_error, memory_order_relaxed)))
			mask |= EPOLLERR;
		return mask;
	}
	mask = chan_readiness(s->a, s->b);
	if (sock_has(s, SOCK_LISTENING) || made == CHAN_ST_LISTENING) {
		/* An error from before then is nobody's business. */
		mask &= EPOLLIN | EPOLLRDNORM;
		if (elder_any() && elder_avail(s))
			mask = EPOLLIN | EPOLLRDNORM;
		if (!mask && sock_has(s, SOCK_TWIN) && twin_is_readable(s))
			mask = EPOLLIN | EPOLLRDNORM;
	} else if (unlikely(atomic_load_explicit(&s->own_error, memory_order_relaxed))) {
		mask |= EPOLLERR;
	}
	if (unlikely(sock_is_broken(s))) {
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP | EPOLLOUT | EPOLLWRNORM;
		if (!sock_has(s, SOCK_DEAD_TOLD))
			mask |= EPOLLERR;
	}
	return mask;
}

void sock_settle(struct sock *s)
{
	if (sock_mode(s) != SOCK_UNDECIDED || likely(!atomic_load_explicit(&s->lock, memory_order_acquire)))
		return;
	if (sock_lock(s) == 0)
		sock_unlock(s);
}

void sock_want_out(struct sock *s)
{
	if (sock_is_attached(s))
		chan_tx_want(s->a, s->b);
}

int sock_take_error(struct sock *s)
{
	int err = sock_is_attached(s) ? chan_take_error(s->a, s->b) : 0;

	if (!err && unlikely(atomic_load_explicit(&s->own_error, memory_order_relaxed)))
		err = atomic_exchange(&s->own_error, 0);
	if (!err && unlikely(sock_is_broken(s)) &&
	    !(atomic_fetch_or(&s->flags, SOCK_DEAD_TOLD) & SOCK_DEAD_TOLD))
		err = ECONNRESET;
	return err;
}

void sock_set_error(struct sock *s, int err)
{
	atomic_store(&s->own_error, err);
	if (s->epoll_items)
		epoll_sock_changed(s);
}

void sock_kick(struct sock *s)
{
	if (atomic_load(&s->b->waiters))
		sys_futex_wake(&s->a->evseq, INT32_MAX);
}
