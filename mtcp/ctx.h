/* A context of mTCP's interface: its descriptors, its links to engines, its event sets.
 *
 * A context is a client of the engine of its own, attached by the channel directly: no number of it is
 * a descriptor of the kernel's, and nothing of the shim is between a call and the rings. Two contexts
 * share no cache line.
 *
 * Who writes: one thread uses a context. Another one may write to a pipe of it, register signals, and
 * destroy nothing. `lock` guards what those two meet in: event sets and ready lists. */
// SPDX-License-Identifier: MIT
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include "mtcp/mtcp_api.h"
#include "stack/base/util.h"
#include "stack/chan/app.h"

enum {
	MTCP_CONTEXTS = 64,
	MTCP_LINKS = 4, /* engines with sockets of a context, the present one included */
	MTCP_NONE = -1,
};

/* One engine, as this context sees it. */
struct link {
	struct chan_app app;
	bool open;
	bool end_told;	    /* it has ended, and its sockets have been looked at */
	uint32_t socks;	    /* slots that are there */
	uint32_t evq;	    /* event queue of this context there */
	uint32_t overflow;  /* chan_evq_drain()'s */
	int bell_fd;	    /* its doorbell */
	uint32_t *by_id;    /* socket there -> slot + 1 */
};

/* What is new since the last look, for MTCP_EPOLLET. */
struct edge {
	uint32_t rx_tail, tx_una, flags, state, err_seq;
};

enum slot_flags {
	SLOT_NONBLOCK = 1 << 0, /* changed under the context's lock, which SLOT_READY beside it is, too */
	SLOT_BOUND = 1 << 1,
	SLOT_CONNECTED = 1 << 2, /* connect() has been called, or it came from accept() */
	SLOT_READY = 1 << 3,	 /* in the ready list of its set */
	SLOT_DEAD_TOLD = 1 << 4, /* the engine ended and SO_ERROR has said so */
	SLOT_WRITE_END = 1 << 5, /* of a pipe */
};
struct epoll_set;
struct pipe;
/* One descriptor. */
struct slot {
	uint8_t kind; /* enum socket_type */
	uint8_t flags; /* enum slot_flags */
	uint16_t backlog;
	uint32_t next_free; /* slot + 1 */
	/* a socket; link NULL: no engine knows it yet, and opts are here */
	struct link *link;
	uint32_t id, gen;
	union {
		struct chan_opts opts;	/* link == NULL */
		struct epoll_set *ep;	/* kind EPOLL */
		struct pipe *pipe;
	};
	/* a registration in an event set: one at a time, as in mTCP */
	struct epoll_set *set; /* NULL: none */
	uint32_t events;
	uint64_t data;
	struct edge edge;
	struct slot *prev, *next; /* ready list */
	struct slot *next_listener;
	struct slot_elder *elder; /* follow.c: a listener's place at the engine before */
};

/* An event set. */
struct epoll_set {
	struct slot *head, *tail; /* ready, or worth a look */
	uint32_t n_ready;
	uint32_t sleeping; /* threads in mtcp_epoll_wait() that may sleep */
	int wake_fd;	   /* eventfd: a ready list of a sleeper has grown, by another thread */
};

/* mtcp_init_rss(): source addresses that connect() takes in turn, host order. */
struct sources {
	uint32_t base, n, next; /* n == 0: the engine chooses */
};

struct mtcp_context {
	_Atomic uint32_t live;	/* 0: free or destroyed */
	_Atomic uint32_t lock;	/* owner's tid */
	int cpu;
	struct slot *slot;
	uint32_t n_slots, free; /* head of the free list: slot + 1 */
	uint32_t used;		/* slots that have ever been taken: the others are not in the list */
	struct link link[MTCP_LINKS];
	struct link *current; /* new sockets go there */
	struct slot *listeners;
	struct sources sources;
	uint64_t retry_ns; /* no other try to find an engine before */
	/* signals (init.c) */
	int kick_fd; /* eventfd that ends a sleep */
	_Atomic uint32_t interrupts;
	uint32_t interrupts_told;
};
extern struct mtcp_context mtcp_contexts[MTCP_CONTEXTS];

/* ---- conf.c ---- */
extern struct mtcp_conf mtcp_config;
enum { MTCP_CONF_TEXT = 1024 };
/* Reads the file into mtcp_config. 0, or -errno with one line in err; *warn: a line about what has no
 * effect here, "" if there is nothing. */
int conf_read(const char *path, char err[MTCP_CONF_TEXT], char warn[MTCP_CONF_TEXT]);

/* ---- ctx.c ---- */
/* A free descriptor as `kind`, NULL: none. */
struct slot *slot_take(struct mtcp_context *m, enum socket_type kind);
void slot_give(struct mtcp_context *m, struct slot *s);
static inline int slot_number(const struct mtcp_context *m, const struct slot *s)
{
	return (int)(s - m->slot);
}
static inline int fail(int err)
{
	errno = err;
	return -1;
}
/* The context behind a handle, alive; NULL and errno. */
static inline struct mtcp_context *ctx_of(mctx_t m)
{
	if (unlikely(!m || !atomic_load_explicit(&m->live, memory_order_acquire))) {
		errno = m ? EPERM : EINVAL;
		return NULL;
	}
	return m;
}
/* The descriptor, in use; NULL and EBADF. */
static inline struct slot *slot_of(struct mtcp_context *m, int sockid)
{
	if (unlikely((unsigned)sockid >= m->n_slots || m->slot[sockid].kind == MTCP_SOCK_UNUSED)) {
		errno = EBADF;
		return NULL;
	}
	return &m->slot[sockid];
}
/* The socket behind it; NULL: errno is EBADF, or ENOTSOCK for what is none. */
static inline struct slot *sock_of(mctx_t mctx, int sockid)
{
	struct mtcp_context *m = ctx_of(mctx);
	struct slot *s = m ? slot_of(m, sockid) : NULL;

	if (s && unlikely(s->kind != MTCP_SOCK_STREAM && s->kind != MTCP_SOCK_LISTENER)) {
		errno = ENOTSOCK;
		return NULL;
	}
	return s;
}
static inline const struct chan_sock_a *slot_a(const struct slot *s)
{
	return chan_sock_a(&s->link->app, s->id);
}
static inline struct chan_sock_b *slot_b(const struct slot *s)
{
	return chan_sock_b(&s->link->app, s->id);
}
static inline uint32_t slot_state(const struct slot *s)
{
	return s->link ? atomic_load_explicit(&slot_a(s)->state, memory_order_acquire) : CHAN_ST_OPEN;
}
/* Its engine has ended, and what was connected there with it. */
static inline bool slot_is_dead(const struct slot *s) { return s->link && !chan_alive(&s->link->app); }
/* The options, wherever they live. */
static inline struct chan_opts *slot_opts(struct slot *s)
{
	return s->link ? &slot_b(s)->opts : &s->opts;
}
/* Sleeps until something about s changes: 0, or -EINTR. seen: a->evseq before the look. */
int slot_wait(struct mtcp_context *m, const struct slot *s, uint32_t seen);

/* ---- sock.c ---- */
/* A bound socket gives up its place and has the same address on another data thread. 0 or -errno: it is not
 * bound any more. */
int sock_rehome(struct mtcp_context *m, struct slot *s, uint32_t worker);
/* Before a bound socket listens or connects: its place is at the engine that serves now. As above. */
int sock_follow(struct mtcp_context *m, struct slot *s);

/* ---- link.c ---- */
/* New sockets belong there. */
static inline bool link_serves(const struct link *l)
{
	return l->open && chan_alive(&l->app) && !chan_moved(&l->app);
}
/* The engine that serves, attached; NULL and errno: none (ENETDOWN). */
struct link *link_get(struct mtcp_context *m);
/* s is socket id there from now on, and reports to its event set. */
void link_enter(struct mtcp_context *m, struct slot *s, struct link *l, uint32_t id, uint32_t gen);
/* The engine's socket is given up: closed when nobody else has it. */
void link_leave(struct mtcp_context *m, struct slot *s);
void link_close_all(struct mtcp_context *m);
/* An eventfd out of the program's way, or -errno. */
int link_eventfd(void);
/* In the child of a fork: nothing of the engine's is ours. */
void link_forget_all(struct mtcp_context *m);
/* One try to reach an engine, starting it if need be: 0, or -errno with one line in err. */
int link_find(struct chan_app *app, const struct chan_key *key, char err[MTCP_CONF_TEXT]);
/* mtcp_init() has attached already: the first context takes that over. */
extern struct chan_app link_first;
extern _Atomic bool link_has_first;

/* ---- epoll.c ---- */
int ctx_lock(struct mtcp_context *m);
void ctx_unlock(struct mtcp_context *m);
/* Something about s may have changed: its set looks at it. Under the lock. */
void set_notice(struct slot *s);
/* s reports to no set any more. Under the lock. */
void set_remove(struct slot *s);
/* s has got its place in an engine, or another one. Under the lock. */
void set_attached(struct slot *s);
void set_free(struct mtcp_context *m, struct epoll_set *e);
/* The events that hold now. */
uint32_t slot_mask(struct slot *s);
bool set_interrupted(struct mtcp_context *m);

/* ---- pipe.c ---- */
ssize_t pipe_read(struct mtcp_context *m, struct slot *s, void *buf, size_t len, bool nonblock);
ssize_t pipe_write(struct mtcp_context *m, struct slot *s, const void *buf, size_t len);
uint32_t pipe_mask(const struct slot *s);
uint32_t pipe_bytes(const struct slot *s);
void pipe_close(struct mtcp_context *m, struct slot *s);

/* ---- follow.c: listeners go where the engine goes ---- */
/* Moves those whose engine has ended or handed over to the present one. Not under the lock. */
void follow(struct mtcp_context *m);
/* Is there anything for it to do? */
bool follow_is_due(const struct mtcp_context *m);
/* When to look again, at most deadline (of CLOCK_MONOTONIC). */
uint64_t follow_until(const struct mtcp_context *m, uint64_t deadline);
/* sock.c's part of it: a listener without a place gets one at ep. 0 or -errno. */
int listener_move(struct mtcp_context *m, struct slot *s, const struct endpoint *ep);
/* The next connection that has come to the place before: as chan_accept_pop(). */
int follow_accept(struct mtcp_context *m, struct slot *s, struct link **l, uint32_t *id, uint32_t *gen);
bool follow_has(const struct slot *s);
void follow_close(struct mtcp_context *m, struct slot *s);
