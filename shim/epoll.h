/* Epoll sets that hold sockets of ours: what epoll.c, epoll_ctl.c, epoll_wait.c, poll.c and process.c share.
 *
 * The program's descriptor is a real kernel epoll descriptor. The kernel's set holds the program's
 * kernel descriptors and, behind random data words ("cookies"), our own: the doorbell of the set's
 * event queue, an eventfd by which one thread wakes another (the kick), the kernel twins of listeners
 * and the sets inside this one; all edge-triggered. Sockets on the stack are items of our own table.
 * A set gets an object when it is made and becomes live with the first such item; until then waiting
 * in it is the kernel's call and a count.
 *
 * Locks: epoll_lock, then set->lock. Tables and lists change under both, so either is enough to read
 * them; the ready list, events and edges of a set's items need set->lock only. */
// SPDX-License-Identifier: MIT
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/single_threaded.h>
#include "shim/fdtab.h"
#include "shim/object.h"
#include "shim/signal.h"
#include "stack/chan/lock.h"

struct chan_app;
struct sock;

enum { EPOLL_PRIVATE = (int)(EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE) };
/* What a wake-up about room to send carries. */
enum { EPOLL_OUT = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND };
enum epoll_item_flags {
	ITEM_READY = 1 << 0, /* on the ready list */
	ITEM_COOKIE = 1 << 1, /* its descriptor is in the kernel's set behind a cookie */
	ITEM_UNHEARD = 1 << 2, /* there is no event queue for it: looked at often */
};
enum { EPOLL_QUEUES = 4 }; /* living engines, and clients of one, that a set hears of at once */
/* Cookies of our own registrations in the kernel's set: the doorbell of queue i is number i. */
enum { EPOLL_COOKIE_KICK = EPOLL_QUEUES, EPOLL_COOKIE_ITEM };
/* What the socket looked like when it was last looked at: an edge is a difference. */
struct epoll_edge {
	uint32_t rx_tail, tx_una, state, flags, err_seq, shut;
};
struct epoll_item {
	struct epoll_set *set;	 /* NULL: free */
	struct sock *sock;	 /* not counted: items go before their socket; NULL: see inner */
	struct epoll_set *inner; /* a set inside this one, not counted either */
	int fd;			 /* number it was added under: half of its key */
	uint32_t index;		 /* in the pool, for the cookie */
	uint32_t events, flags;
	struct epoll_queue *queue; /* of the set, that it is subscribed to; NULL: none */
	uint32_t id;		   /* in the engine while subscribed */
	uint64_t data;
	struct epoll_edge edge;
	uint32_t inner_edges; /* inner->edges when last looked at */
	struct epoll_item *next_fd;    /* same number, another socket */
	struct epoll_item *next_id;    /* same socket, another number */
	struct epoll_item *next_owner; /* of the same socket or inner set, in any set */
	struct epoll_item *next_inner; /* of the same set: sets inside it; free list */
	struct epoll_item *prev, *next; /* ready list */
};

/* Where the sockets of one attachment report their changes. */
struct epoll_queue {
	struct chan_app *app; /* NULL: unused */
	uint32_t evq, overflow;
	_Atomic int doorbell;	   /* hidden descriptor, -1: none */
	struct epoll_item **by_id; /* sparse, CHAN_MAX_SOCKS long; kept for the next queue here */
};
struct epoll_set {
	struct object obj;
	_Atomic uint32_t lock;
	_Atomic uint32_t live;
	_Atomic uint32_t stale;	   /* inherited over a fork, see epoll_adopt() */
	_Atomic uint32_t sleeping; /* threads in (or on their way into) the kernel's wait */
	_Atomic uint32_t plain;	   /* the same while it is not live; EPOLL_PLAIN_OVER: it is */
	_Atomic int kick;	   /* hidden descriptor, -1: none */
	_Atomic int hint_fd;	   /* a number that was seen to be this set's */
	uint64_t cookie;	   /* + EPOLL_COOKIE_, for items + their index */
	struct epoll_queue queue[EPOLL_QUEUES];
	uint32_t n_queues; /* those behind it were never used */
	uint32_t busy;	   /* the one that last had something */
	bool queue_died;   /* the engine of one has ended */
	_Atomic uint32_t kernel_fds; /* registrations in the kernel's set other than doorbell and kick */
	uint32_t calls;	     /* since the kernel's set was last asked */
	uint64_t asked_ns;
	uint32_t edges;	     /* items put on the ready list so far */
	uint32_t unheard;    /* items with ITEM_UNHEARD */
	uint32_t n_items;
	struct epoll_item **by_fd;	    /* sparse, FDTAB_SIZE long */
	struct epoll_item *inner_items;	    /* sets inside this one */
	struct epoll_item *outer_items;	    /* registrations of this set in others */
	struct epoll_item *head, *tail;	    /* ready list */
	uint32_t n_ready;
};

/* ---- epoll.c: sets ---- */
extern _Atomic uint32_t epoll_lock;
/* Both kinds of lock. A handler of the program does not run while this thread has one, so the lists that it
 * finds are whole. Still -EDEADLK where a handler had to run at once. */
static inline int epoll_lock_take(_Atomic uint32_t *word)
{
	int r;

	signal_hold();
	r = chan_lock(word);
	if (unlikely(r < 0))
		signal_release();
	return r;
}
static inline void epoll_lock_give(_Atomic uint32_t *word)
{
	chan_unlock(word);
	signal_release();
}
/* The set behind epfd with a reference, NULL: none of ours. */
struct epoll_set *epoll_set_get(int epfd);
static inline void epoll_set_put(struct epoll_set *set) { object_put(&set->obj); }
/* Gives a new epoll descriptor its object; fd, or -1 with errno kept when it is an error. */
int epoll_set_made(int fd);
/* Makes the set live: tables, cookie. 0 or -errno. Caller holds both locks. */
int epoll_set_enliven(struct epoll_set *set);
/* A descriptor number of the set, -1: none left. */
int epoll_set_fd(struct epoll_set *set);
/* Puts it on the ready list's tail (idempotent); the caller wakes: epoll_set_wake(). */
void epoll_item_queue(struct epoll_item *it);
/* Its socket has got a place in the engine: an edge only if that is one on Linux, too. */
void epoll_item_attached(struct epoll_item *it);
void epoll_item_unqueue(struct epoll_item *it);
/* Wakes one sleeper of the set, if there is one and something is ready. Caller holds set->lock. */
void epoll_set_wake(struct epoll_set *set);
/* Reads doorbells and kick empty, so that they don't make the descriptor readable any more. */
void epoll_set_hush(struct epoll_set *set);

/* ---- epoll_queue.c: event queues of a set ---- */
/* The one for the sockets of app, opened now if need be; NULL: none is to be had. Both locks. */
struct epoll_queue *epoll_queue_get(struct epoll_set *set, struct chan_app *app);
/* Closes the queues of engines that have ended; their items are ready then. Both locks. */
void epoll_queues_bury(struct epoll_set *set);
/* All of them: the set's last descriptor is closed. */
void epoll_queues_close(struct epoll_set *set);
/* Child of a fork: they stay the parent's. */
void epoll_queues_leave(struct epoll_set *set);
/* The doorbell rang: reads it empty. (The kick is edge-triggered and only counts.) */
void epoll_queue_heard(struct epoll_queue *q);
/* Calls f for each item of q. f may not remove it. */
void epoll_queue_each(struct epoll_queue *q, void (*f)(struct epoll_item *it));
/* The next queue of the set that is open, from q on. NULL: none. */
static inline struct epoll_queue *epoll_queue_next(struct epoll_set *set, struct epoll_queue *q)
{
	for (; q < set->queue + set->n_queues; q++)
		if (q->app)
			return q;
	return NULL;
}
#define EPOLL_EACH_QUEUE(q, set)                                                                   \
	for (struct epoll_queue *q = epoll_queue_next(set, (set)->queue); q;                       \
	     q = epoll_queue_next(set, q + 1))

/* ---- epoll_ctl.c: items ---- */
/* 0 or -errno; EPOLL_TO_KERNEL: none of our business, same arguments to libc. */
enum { EPOLL_TO_KERNEL = -4095 };
int epoll_set_ctl(int epfd, int op, int fd, struct epoll_event *ev);
struct epoll_item *epoll_item_nth(uint32_t index);
/* Unlinks and frees it; keeps the kernel's registration when the descriptor is gone anyway. Both locks. */
void epoll_item_remove(struct epoll_item *it);
/* Reports it to the queue of its engine from now on. Both locks. */
void epoll_item_subscribe(struct epoll_item *it);
/* Has the kernel's socket under the number of s anything to tell? One that is only bound always hangs up. */
bool epoll_watches_twin(const struct sock *s);
/* Registers fd of it in the kernel's set behind its cookie. 0 or -errno. */
int epoll_item_cookie(struct epoll_item *it);
/* Something about s changed by a call of this process. */
void epoll_sock_changed(struct sock *s);

/* ---- sets without anything of ours: the kernel's own calls, at next to no cost ---- */
enum { EPOLL_PLAIN_OVER = (int)0x80000000 };
static inline uint32_t epoll_plain_add(_Atomic uint32_t *n, uint32_t by)
{
	if (__libc_single_threaded) /* one instruction is enough against signal handlers */
		__asm__ volatile("xaddl %0, %1" : "+r"(by), "+m"(*n));
	else
		by = atomic_fetch_add(n, by);
	return by;
}
/* True: the caller may wait by the kernel alone, and epoll_plain_end() follows. Its memory is type-stable,
 * so no reference is needed. A thread that is cancelled in between stays counted, which can only cost
 * needless wake-ups. */
static inline bool epoll_plain_begin(struct epoll_set *set)
{
	if (likely(!(epoll_plain_add(&set->plain, 1) & EPOLL_PLAIN_OVER)))
		return true;
	epoll_plain_add(&set->plain, UINT32_MAX);
	return false;
}
/* False: the set has become live meanwhile, and the caller is one of those `sleeping`. */
static inline bool epoll_plain_end(struct epoll_set *set)
{
	return likely(!(epoll_plain_add(&set->plain, UINT32_MAX) & EPOLL_PLAIN_OVER));
}
extern const struct object_ops epoll_set_ops;
/* The set behind epfd without a reference, when there is nothing of ours in it; else NULL. */
static inline struct epoll_set *epoll_set_plain(int epfd)
{
	struct object *o = (unsigned)epfd < FDTAB_SIZE ?
				   atomic_load_explicit(&fdtab[epfd], memory_order_acquire) : NULL;
	struct epoll_set *set = container_of(o, struct epoll_set, obj);

	if (!o || o->ops != &epoll_set_ops || fdtab_bypass)
		return NULL;
	return atomic_load_explicit(&set->live, memory_order_acquire) ? NULL : set;
}
/* Counted up in the child of a fork: who slept before it does not count as a sleeper any more. */
extern _Atomic uint32_t epoll_forks;

/* ---- epoll_wait.c ---- */
/* The clock is not read for a wait that has no need to. */
#define EPOLL_WAIT_LATER (WAIT_FOREVER - 2)

struct epoll_wait_args {
	struct epoll_event *events;
	int max;
	uint64_t deadline_ns; /* 0: don't wait; WAIT_FOREVER; EPOLL_WAIT_LATER */
	uint64_t wait_ns; /* with EPOLL_WAIT_LATER: so long, from when there is nothing at once */
	bool fine; /* the program's timeout has nanoseconds: epoll_pwait2 */
	const sigset_t *mask; /* NULL: leave it */
	bool slept; /* a plain wait, with the result in `result`, in which the set became live */
	int result;
};
/* Number of events or -errno. */
int epoll_set_wait(struct epoll_set *set, int epfd, const struct epoll_wait_args *args);
/* The mask that holds for an item now, and the edges noted as seen. */
uint32_t epoll_item_mask(struct epoll_item *it);
/* Does the set have something to report (POLLIN of its descriptor)? epfd: a number of it. */
bool epoll_set_is_ready(struct epoll_set *set, int epfd);
/* A thread is about to sleep on something outside that must wake when the set becomes ready (by the
 * kernel's own readiness of epfd). False: it is ready already or may be; epoll_set_rest_end() follows
 * either way. */
bool epoll_set_rest_begin(struct epoll_set *set);
void epoll_set_rest_end(struct epoll_set *set);

/* ---- fork (process.c) ---- */
/* Takes every lock / gives them back, in parent and child. */
void epoll_fork_prepare(void);
void epoll_fork_parent(void);
void epoll_fork_child(void);
/* The child's first use of a set that it got by fork: a kernel set and a queue of its own. */
int epoll_adopt(struct epoll_set *set);
