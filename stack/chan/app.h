/* The application's side of the channel: attach, the maps of E, A, B and P, calls, held sockets,
 * fork. No malloc, no libc system call, safe in signal handlers except attach, detach, token and
 * child. One struct chan_app per process and engine, zeroed memory to begin with, never freed while
 * in use. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include "stack/base/util.h"
#include "stack/chan/dirty.h"
#include "stack/chan/hello.h"
#include "stack/chan/region.h"

enum { CHAN_BELLS = 64 };
/* The kick of another program's event queue: lane.c. */
struct chan_bell {
	uint64_t key;	 /* extent << 32 | queue, + 1; 0: free */
	uint32_t opened; /* of its inbox, for which fd is */
	uint32_t misses;
	_Atomic int fd;	 /* -1: not asked for */
};

/* All pointers are constant between attach and detach. Descriptors may be moved by the owner (dup to
 * another number, store it here, close the old one): each is loaded once per use. */
struct chan_app {
	const struct chan_engine *e;
	const struct chan_a *a;
	struct chan_b *b;
	const struct chan_sock_a *sock_a; /* [id] */
	struct chan_sock_b *sock_b;	  /* [id] */
	const struct chan_call_a *call_a;
	struct chan_call_b *call_b;
	const uint8_t *evq_a;
	struct chan_evq_b *evq_b;
	struct chan_held *held; /* of all processes: held[proc] */
	struct chan_proc_b *proc_b; /* of all processes */
	struct chan_heirs *heirs;
	size_t evq_stride;
	uint32_t n_workers;
	uint32_t proc;	 /* our number */
	uint32_t client; /* for messages */
	struct chan_key key; /* before attaching: of the client to join, if it is there; then ours */
	_Atomic uint32_t held_words; /* words of our bitmap that may be non-zero */
	_Atomic int fd;		     /* unix socket to the engine */
	_Atomic int event_fd[CHAN_MAX_WORKERS];
	_Atomic uint32_t lock;	     /* owner's tid: request and answer on fd */
	_Atomic bool unsettled;	     /* something was marked that our next look may ask about */
	_Atomic uint32_t next_worker; /* round robin of new sockets */
	_Atomic(void *) ext[CHAN_MAX_EXTENTS]; /* payload extents, mapped on demand */
	size_t ext_size[CHAN_MAX_EXTENTS];
	struct region re, ra, rb, rd;
	_Atomic uint32_t bell_lock;
	struct chan_bell bell[CHAN_BELLS];
	/* Keeps a new descriptor from the program's hands, at *where from then on: 0 or more, or -errno; and
	 * closes it. NULL: no bells. */
	int (*hide)(int fd, _Atomic int *where);
	void (*unhide)(_Atomic int *where);
};

/* Connects to the engine at path and maps everything. 0, or -errno: -ENOENT and -ECONNREFUSED mean
 * that no engine is there, -EPROTO that it speaks another version, else what the engine refused
 * with; text (of size n, may be NULL) then says it in words. Descriptors end up CLOEXEC and just
 * below RLIMIT_NOFILE. */
int chan_app_attach(struct chan_app *app, const char *path, char *text, size_t n);
/* The same for a process whose program has just been replaced: fd is the token's socket that the
 * one before has left it (and is used up). */
int chan_app_image(struct chan_app *app, int fd);
/* Unmaps and closes everything; nobody else may use app. */
void chan_app_detach(struct chan_app *app);
/* A copy of fd as high as the limit allows (CLOEXEC), fd closed; fd itself when that fails. */
int chan_fd_high(int fd);

/* Is there still somebody behind it? False when the engine ended or threw this client out. */
static inline bool chan_alive(const struct chan_app *app)
{
	return !(atomic_load_explicit(&app->e->alive, memory_order_relaxed) & FUTEX_OWNER_DIED) &&
	       !atomic_load_explicit(&app->a->detached, memory_order_relaxed);
}
/* It lives, but another engine has taken its place: CHAN_ENGINE_MOVED. */
static inline bool chan_moved(const struct chan_app *app)
{
	return atomic_load_explicit(&app->e->flags, memory_order_relaxed) & CHAN_ENGINE_MOVED;
}
static inline const struct chan_sock_a *chan_sock_a(const struct chan_app *app, uint32_t id)
{
	return &app->sock_a[id];
}
static inline struct chan_sock_b *chan_sock_b(const struct chan_app *app, uint32_t id)
{
	return &app->sock_b[id];
}
/* Base of payload extent n (struct chan_seg.extent), NULL when it can't be mapped (-> treat as would
 * block or ENOBUFS). Asks the engine the first time. */
void *chan_extent_slow(struct chan_app *app, uint32_t n);
static inline void *chan_extent(struct chan_app *app, uint32_t n)
{
	if (unlikely(n >= CHAN_MAX_EXTENTS))
		return NULL;
	void *p = atomic_load_explicit(&app->ext[n], memory_order_acquire);
	return likely(p != NULL) ? p : chan_extent_slow(app, n);
}

/* Maps all that there are now. */
void chan_extent_all(struct chan_app *app);

/* Tells the home worker to look at socket id: after each change of tx_tail, flags, close_seq, opts.
 * */
static inline void chan_mark(struct chan_app *app, uint32_t id)
{
	uint32_t w = app->sock_a[id].worker;

	if (unlikely(w >= app->n_workers))
		return;
	if (atomic_load_explicit(&app->sock_a[id].flags, memory_order_relaxed) & CHAN_A_NEAR)
		atomic_store_explicit(&app->unsettled, true, memory_order_relaxed);
	chan_dirty_set(&app->b->dirty[w], id);
	chan_ring(app->e, w, atomic_load_explicit(&app->event_fd[w], memory_order_relaxed));
}

/* ---- held sockets: which this process has descriptors of ---- */
static inline bool chan_holds(const struct chan_app *app, uint32_t id)
{
	return atomic_load_explicit(&app->held[app->proc].word[id / 64], memory_order_relaxed) >>
		       (id % 64) & 1;
}
/* From now on this process has it (after BIND or CONNECT made it; accept does it by itself). */
void chan_hold(struct chan_app *app, uint32_t id);
/* This process has closed its last descriptor of id: clears the bit, bumps close_seq, marks. The
 * engine closes the socket when no live process of the client holds it. */
void chan_unhold(struct chan_app *app, uint32_t id);

/* ---- calls ---- */
struct chan_req {
	uint32_t op; /* enum chan_op */
	uint32_t sock, gen;
	uint32_t type, v6;
	uint64_t arg[2];
	struct endpoint local, remote;
	struct chan_opts opts;
	uint8_t key[CHAN_FO_KEY_MAX];
};
struct chan_rep {
	uint32_t sock, gen;
	struct endpoint local;
	uint32_t len; /* bytes of payload */
	uint8_t payload[256];
};
/* A number that came with an answer; 0: none. */
static inline uint32_t chan_rep_u32(const struct chan_rep *rep)
{
	uint32_t v = 0;

	if (rep->len == sizeof(v))
		__builtin_memcpy(&v, rep->payload, sizeof(v));
	return v;
}
/* The worker that a new socket should live on. */
static inline uint32_t chan_pick_worker(struct chan_app *app)
{
	return app->n_workers <= 1 ? 0 :
		       atomic_fetch_add_explicit(&app->next_worker, 1, memory_order_relaxed) %
			       app->n_workers;
}
/* Carries out req on a data thread (the home worker for an existing socket; chan_pick_worker() for a
 * new one). Spins, then sleeps until the answer is there; not ended by signals (calls take
 * microseconds). rep may be NULL. The result of the call, 0 or -errno; -ENOTCONN: the engine is gone;
 * -ENOBUFS: all call slots taken. */
int chan_call(struct chan_app *app, uint32_t worker, const struct chan_req *req,
	      struct chan_rep *rep);

/* ---- the engine's unix socket ---- */
/* Sends m and receives its answer into m (and one descriptor into *fd when fd is not NULL; CLOEXEC,
 * moved up by chan_fd_high). 0 or -errno: the engine's refusal, -ENOTCONN: it is gone, -EDEADLK:
 * in a signal handler that interrupted another request. */
int chan_request(struct chan_app *app, struct chan_msg *m, int *fd);
/* The same with descriptors both ways: those of `out` go along and stay the caller's; *n is the room in `in`,
 * then how many have come (as they came, CLOEXEC). A refusal is told by m->err as well. */
struct chan_fds {
	const int *out;
	unsigned n_out;
	int *in;
	unsigned n_in;
};
int chan_exchange(struct chan_app *app, struct chan_msg *m, struct chan_fds *fds);
/* Opens event queue *evq; *pipe_fd is the read end of its doorbell (non-blocking). kick: an eventfd that
 * wakes who sleeps there as well, for other programs (stays the caller's); -1: none. */
int chan_evq_open(struct chan_app *app, uint32_t *evq, int *pipe_fd, int kick);
void chan_evq_close(struct chan_app *app, uint32_t evq);

/* ---- fork ---- */
/* Before a fork: *fd is a connected socket for the child, *proc its number; our held bits are copied
 * to it. When the fork fails, close fd. Sockets must not be closed by other threads between this and
 * the fork (hold the shim's fork lock), else the child must chan_unhold() what it does not have. */
int chan_app_token(struct chan_app *app, int *fd, uint32_t *proc);
/* The same, with nothing held. */
int chan_app_token_bare(struct chan_app *app, int *fd, uint32_t *proc);
/* Process `proc`, which does not live yet, has socket id, too. */
void chan_hold_as(struct chan_app *app, uint32_t proc, uint32_t id);
/* In the child, first thing: takes over the token (fd moves to app->fd's number). Resets this
 * thread's tid cache. Parent, afterwards: close fd. */
void chan_app_child(struct chan_app *app, int fd, uint32_t proc);
