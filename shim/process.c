/* The protocol of a fork: a token (a connected engine socket and a process number) is made before it, so
 * that the child needs nothing that it may not have any more (chroot, setuid, namespaces). */
// SPDX-License-Identifier: MIT
#include "shim/process.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shim/dgram.h"
#include "shim/engine.h"
#include "shim/epoll.h"
#include "shim/explain.h"
#include "shim/fdtab.h"
#include "shim/init.h"
#include "shim/libc.h"
#include "shim/poll.h"
#include "shim/sock.h"
#include "shim/sock_conn.h"
#include "shim/sock_forked.h"
#include "stack/chan/lock.h"

struct token {
	struct chan_app *app;
	uint32_t proc;
	int fd; /* -1: the engine gave none */
};
enum { TOKENS = 16 };
static struct token tokens[TOKENS];
static uint32_t n_tokens;
static _Atomic uint32_t fork_lock; /* held from prepare to parent: forks of several threads queue */
static _Atomic bool prepared;
static _Atomic int own_pid;

bool process_is_attached(void)
{
	unsigned i = 0;

	return engine_nth(&i) != NULL;
}

bool process_is_self(void)
{
	int pid = atomic_load_explicit(&own_pid, memory_order_relaxed);

	return pid == 0 || pid == (int)libc.syscall(SYS_getpid);
}

bool process_lock(void)
{
	return chan_lock(&fork_lock) == 0;
}

void process_unlock(void)
{
	chan_unlock(&fork_lock);
}

/* A socket whose fate is open is decided by one process once two have it. If it has a port at the engine, the
 * other one looks there; it may be another thread's, just between bind() and listen(). If it has no port
 * yet, it is nothing but a number and some options: whoever uses it has its own. Bound to an address
 * only, it is neither. */
static void settle(struct sock *s)
{
	if (sock_mode(s) == SOCK_UNDECIDED && sock_has(s, SOCK_BOUND) && sock_is_attached(s))
		sock_shares(s);
	else if (sock_mode(s) == SOCK_UNDECIDED && sock_has(s, SOCK_BOUND))
		sock_to_kernel(s, CHAN_REASON_fork_shared);
	if (sock_is_dgram(s))
		dgram_settle(s);
}

/* A look without a reference, which memory of this kind allows (object.h): of ten thousand connections
 * none is written to. */
static bool is_settled(int fd)
{
	const struct object *o = atomic_load_explicit(&fdtab[fd], memory_order_acquire);
	const struct sock *s;

	if (!o || o->ops->type != OBJECT_SOCK)
		return true;
	s = container_of(o, const struct sock, obj);
	return sock_mode(s) != SOCK_UNDECIDED && !sock_is_dgram(s);
}

static void settle_bound(void)
{
	for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1)) {
		struct sock *s = is_settled(fd) ? NULL : sock_get(fd);

		if (!s)
			continue;
		settle(s);
		sock_put(s);
	}
}

void process_fork_prepare(void)
{
	struct chan_app *app;
	int saved = errno;

	if (!process_is_attached())
		return;
	/* A signal handler that forks on top of our own fork: its child gets no token. */
	if (chan_lock(&fork_lock) < 0)
		return;
	/* A process that sleeps most of the time (the master of some workers) may not have noticed: its
	 * child is to have what its siblings have found again. */
	sock_revive_now();
	settle_bound();
	n_tokens = 0;
	for (unsigned i = 0; n_tokens < TOKENS && (app = engine_nth(&i)) != NULL; i++) {
		struct token *t = &tokens[n_tokens++];

		*t = (struct token){ .app = app, .fd = -1 };
		if (!chan_alive(app) || chan_app_token(app, &t->fd, &t->proc) < 0)
			t->fd = -1;
	}
	epoll_fork_prepare();
	sock_fork_prepare();
	atomic_store(&prepared, true);
	errno = saved;
}

void process_fork_parent(void)
{
	int saved = errno;

	if (!atomic_load(&prepared) ||
	    (atomic_load(&fork_lock) & ~(uint32_t)CHAN_LOCK_WAITERS) != chan_tid())
		return;
	atomic_store(&prepared, false);
	sock_fork_parent();
	epoll_fork_parent();
	for (uint32_t i = 0; i < n_tokens; i++)
		if (tokens[i].fd >= 0)
			libc.close(tokens[i].fd);
	n_tokens = 0;
	chan_unlock(&fork_lock);
	errno = saved;
}

/* ---- in the child ---- */
/* No token (the engine has ended, or CHAN_MAX_PROCS are too few): to this process the engine is gone. The
 * number must not be anybody's, whose bits in the shared tables would be cleared by our closes. */
static void cut_off(struct chan_app *app)
{
	static struct chan_engine gone = { .alive = FUTEX_OWNER_DIED };

	gone.version = app->e->version;
	app->e = &gone;
	app->proc = CHAN_PROC_NONE;
}

/* True: the token has it already. */
static bool have_it(struct chan_app *app, uint64_t *have, uint32_t id)
{
	bool had = chan_holds(app, id);

	have[id / 64] |= 1ull << (id % 64);
	if (!had)
		chan_hold(app, id);
	return had;
}

/* The token was too early for s: has the parent's thread closed it before we held it? Then the id is free, or
 * another socket's, and one of ours soon, which would end when this one is closed. The data
 * thread, which frees ids, is the one to ask. */
static bool is_lost(struct chan_app *app, const struct sock *s)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s->id, .gen = s->gen };

	return chan_call(app, s->a->worker, &req, NULL) == -EBADF;
}

static void have_or_lose(struct chan_app *app, uint64_t *have, struct sock *s)
{
	if (have_it(app, have, s->id) || !is_lost(app, s))
		return;
	have[s->id / 64] &= ~(1ull << (s->id % 64));
	sock_lost(s);
}

/* Between token and fork other threads have closed sockets, or accepted some: held bits follow what
 * this process really has. What is lost was as good as closed: as if that had been before the fork. */
static void reconcile(struct chan_app *app)
{
	static uint64_t have[CHAN_MAX_SOCKS / 64];
	uint32_t words;

	/* Nobody else is here, so that no references are needed: pages stay shared with the parent. */
	for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1)) {
		struct object *o = atomic_load(&fdtab[fd]);
		struct sock *s = o->ops->type == OBJECT_SOCK ? sock_of(o) : NULL;

		if (s && s->app == app && sock_is_attached(s))
			have_or_lose(app, have, s);
		if (s && unlikely(atomic_load(&s->elder.app) == app))
			have_it(app, have, s->elder.id);
		if (s && unlikely(sock_has(s, SOCK_LOST))) {
			fdtab_clear(fd);
			libc.close(fd);
		}
	}
	words = atomic_load(&app->held_words);
	for (uint32_t w = 0; w < words && w < CHAN_MAX_SOCKS / 64; w++) {
		uint64_t extra = atomic_load(&app->held[app->proc].word[w]) & ~have[w];

		for (; extra; extra &= extra - 1)
			chan_unhold(app, w * 64 + (uint32_t)__builtin_ctzll(extra));
		have[w] = 0;
	}
}

static struct token *token_of(const struct chan_app *app)
{
	if (!atomic_load(&prepared))
		return NULL;
	for (uint32_t i = 0; i < n_tokens; i++)
		if (tokens[i].app == app && tokens[i].fd >= 0)
			return &tokens[i];
	return NULL;
}

void process_fork_child(void)
{
	struct chan_app *app;
	int saved = errno;

	chan_tid_reset();
	atomic_store(&own_pid, (int)libc.syscall(SYS_getpid));
	if (!process_is_attached()) {
		engine_after_fork(); /* another thread may have been about to attach */
		return;
	}
	for (unsigned i = 0; (app = engine_nth(&i)) != NULL; i++) {
		struct token *t = token_of(app);

		if (t)
			chan_app_child(app, t->fd, t->proc);
		else
			cut_off(app);
	}
	sock_fork_child(atomic_load(&prepared));
	epoll_fork_child();
	poll_fork_child();
	init_after_fork();
	for (unsigned i = 0; (app = engine_nth(&i)) != NULL; i++) {
		if (!token_of(app))
			continue;
		reconcile(app);
		explain_attached(app);
	}
	n_tokens = 0;
	atomic_store(&prepared, false);
	atomic_store(&fork_lock, 0);
	errno = saved;
}

/* As early as can be: child handlers run in the order of registration, prepare handlers in reverse, so
 * ours is the innermost. */
__attribute__((constructor(101))) static void process_init(void)
{
	atomic_store(&own_pid, (int)libc.syscall(SYS_getpid));
	pthread_atfork(process_fork_prepare, process_fork_parent, process_fork_child);
}
