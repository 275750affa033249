/* A stream socket as the application sees it: undecided, then either on the stack (this object) or the
 * kernel's (no object any more). One struct sock per process and socket; what processes share after a
 * fork (flags, options, positions, locks) is in the engine's tables, a (read-only) and b.
 *
 * Life: socket() makes it undecided, its number a dup of the anchor. bind() to any address puts a kernel
 * socket (the twin) at the number and reserves the port in the engine. listen() and connect() decide.
 * Deciding for the kernel clears the table entries: late callers see mode SOCK_KERNEL and use libc. */
// SPDX-License-Identifier: MIT
#pragma once
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include "shim/fdtab.h"
#include "shim/object.h"
#include "stack/chan/layout.h"
#include "stack/chan/reasons.h"

struct chan_app;
struct msghdr;
struct epoll_item;
struct dgram;

enum sock_mode { SOCK_UNDECIDED, SOCK_STACK, SOCK_KERNEL };
enum sock_flags { /* bits 16 to 24 of a datagram socket: dgram_int.h */
	SOCK_BOUND = 1 << 0,	 /* bind() has succeeded */
	SOCK_TWIN = 1 << 1,	 /* a kernel socket sits at our numbers, not a dup of the anchor */
	SOCK_LISTENING = 1 << 2,
	SOCK_CONNECT_TOLD = 1 << 3, /* the outcome of connect() has been told to the program */
	SOCK_DEAD_TOLD = 1 << 4, /* the engine ended and the program has had its ECONNRESET */
	SOCK_MORE = 1 << 5,	 /* the last send had MSG_MORE */
	SOCK_STRAY = 1 << 6,	 /* sock_after_fork(): no descriptor of it seen yet */
	SOCK_FORKED = 1 << 7,	 /* bound when a fork shared it, decided by either: sock_forked.h */
	SOCK_WAS_CONNECTED = 1 << 8, /* connect() has succeeded: another one is EISCONN for ever */
	SOCK_ACCEPTED = 1 << 9,	 /* came from accept() */
	SOCK_EDGE_OUT = 1 << 11, /* a datagram socket whose room to send is watched with EPOLLET */
	SOCK_PORT_GIVEN = 1 << 12, /* bind() named the port */
	SOCK_PORT_LOOSE = 1 << 13, /* it did not, and the socket has been closed since: may bind anew */
	SOCK_ADDR_KEPT = 1 << 14,  /* accepted on a given address, which outlives the connection */
	SOCK_OWN_FILE = 1 << 15, /* the file at our numbers is ours alone: sock_async.h */
	SOCK_SYN_HELD = 1 << 16, /* TCP_FASTOPEN_CONNECT: connected for the program, the SYN waits for data */
	SOCK_LOST = 1 << 28,	   /* sock_lost(): its numbers are about to be closed */
	SOCK_DISCONNECTING = 1 << 10, /* shut down after a failed attempt: connect() is EINVAL */
};

/* What only a socket that was made by socket() needs: its state before the engine knows it, and the
 * options as the program gave them, so that a kernel socket can be given the same. */
enum { SOCK_OPTS = 4 * 96 };
/* Not, by TCP_FASTOPEN_CONNECT, by MSG_FASTOPEN. */
enum sock_fastopen { SOCK_FO_NONE, SOCK_FO_CONNECT, SOCK_FO_MSG };
struct sock_draft {
	struct object obj;	/* only for the pool */
	uint64_t opt_set[SOCK_OPTS / 64]; /* bit i: opt_val[i] is what the program has set */
	int32_t opt_val[SOCK_OPTS];
	uint8_t fo_key[CHAN_FO_KEY_MAX]; /* TCP_FASTOPEN_KEY: so many bytes */
	uint32_t fo_key_len;
	struct chan_sock_a a;
	struct chan_sock_b b;
};
/* What a socket has left behind at another engine: sock_elder.h. */
struct sock_elder {
	_Atomic(struct chan_app *) app; /* NULL: nothing */
	uint32_t id, gen;
};
struct sock {
	struct object obj;
	_Atomic uint32_t mode;	/* enum sock_mode; SOCK_KERNEL is final */
	_Atomic uint32_t flags; /* enum sock_flags */
	/* In the engine; app == NULL and id == CHAN_SOCK_NEW: it has none yet, then a and b point into
	 * the draft, so that options and flags always live in b. */
	struct chan_app *app;
	uint32_t id, gen;
	const struct chan_sock_a *a;
	struct chan_sock_b *b;
	_Atomic uint32_t moves; /* odd while app, id, gen, a and b change: sock_place() */
	struct sock_elder elder; /* under the lock */
	struct sock_draft *draft; /* NULL: came from accept() and has not needed one */
	struct dgram *dgram;	/* of a datagram socket: dgram_int.h */
	_Atomic uint32_t lock;	/* bind, listen, connect, decisions: owner's tid */
	uint16_t family;	/* AF_INET or AF_INET6, as the program asked */
	uint8_t protocol;
	uint8_t type;		/* SOCK_STREAM or SOCK_DGRAM (then: shim/dgram.h) */
	uint32_t backlog;
	uint64_t number;	/* of this socket alone on this host, whoever has it: SO_COOKIE, st_ino */
	_Atomic int own_error;	/* sock_set_error() */
	_Atomic int line_fd;	/* sock_async.c: its signal line, hidden, -1: none, or at the numbers */
	int async_fd;		/* number that O_ASYNC was switched on by */
	bool line_here;		/* the line is at the numbers */
	uint8_t fo_wanted;	/* enum sock_fastopen: may the connect() under way do it? ... */
	uint16_t fo_room;	/* ... Its SYN waits for so many bytes */
	uint32_t flowinfo;	/* sin6_flowinfo of the connect() under way */
	uint32_t handed;	/* handover.c's, under its lock: number in the bundle + 1 */
	struct endpoint bound;	/* what bind() got; port 0: not bound */
	/* epoll.c's: registrations of this socket in epoll sets of this process, under epoll.c's lock */
	struct epoll_item *epoll_items;
};
extern struct object_pool sock_pool;

/* The socket behind fd with a reference, NULL: not one of ours. Release with sock_put(). */
struct sock *sock_get(int fd);
struct sock *sock_enter_slow(struct object *o, int *fd);
/* The same for exported functions: *fd becomes -1 when it is one of the shim's own descriptors, so that
 * going on to libc gives EBADF. */
static inline struct sock *sock_enter(int *fd)
{
	struct object *o = fdtab_get(*fd);

	return likely(!o) ? NULL : sock_enter_slow(o, fd);
}
static inline void sock_put(struct sock *s) { object_put(&s->obj); }
static inline struct sock *sock_of(struct object *o) { return container_of(o, struct sock, obj); }

/* The same for cancellation points: a pending pthread_cancel() is acted on while nothing is held. */
static inline struct sock *sock_enter_point(int *fd)
{
	if (unlikely(fdtab_has(*fd)))
		pthread_testcancel();
	return sock_enter(fd);
}

static inline uint32_t sock_mode(const struct sock *s)
{
	return atomic_load_explicit(&s->mode, memory_order_acquire);
}
static inline bool sock_has(const struct sock *s, uint32_t flag)
{
	return atomic_load_explicit(&s->flags, memory_order_acquire) & flag;
}
/* names_*.c hand datagram sockets to the functions of dgram.h, which get the number as well. */
static inline bool sock_is_dgram(const struct sock *s) { return s->type == SOCK_DGRAM; }
static inline bool sock_is_nonblocking(const struct sock *s)
{
	return atomic_load_explicit(&s->b->file_flags, memory_order_relaxed) & O_NONBLOCK;
}
/* Has it been attached to the engine (id, app valid)? Such a socket can be subscribed. */
static inline bool sock_is_attached(const struct sock *s) { return s->id != CHAN_SOCK_NEW; }
/* Where it is, all of one moment: it may be moving to another engine. */
struct sock_place {
	struct chan_app *app;
	uint32_t id, gen;
	const struct chan_sock_a *a;
	struct chan_sock_b *b;
};
static inline struct sock_place sock_place(const struct sock *s)
{
	struct sock_place p;
	uint32_t moves;

	do {
		while (unlikely((moves = atomic_load_explicit(&s->moves, memory_order_acquire)) & 1))
			sched_yield();
		p = (struct sock_place){ s->app, s->id, s->gen, s->a, s->b };
		atomic_thread_fence(memory_order_acquire);
	} while (unlikely(atomic_load_explicit(&s->moves, memory_order_relaxed) != moves));
	return p;
}
/* The engine that served it is gone. */
bool sock_is_dead(const struct sock *s);
/* EPOLL* bits that hold now (IN OUT RDHUP PRI ERR HUP, RDNORM WRNORM). A listener with a twin and
 * nothing in the stack's queue asks the kernel about its own (a system call). Unattached sockets answer
 * as Linux does (OUT | HUP). Does not set TX_WAIT: call sock_want_out() before sleeping for OUT. */
uint32_t sock_readiness(const struct sock *s);
/* Another thread's connect() may have gone through in the engine, and the peer may have answered, while
 * what became of it is not noted here yet: waits for that. For callers without a lock of epoll's. */
void sock_settle(struct sock *s);
/* Tells the engine that an event is wanted when the send buffer has room again. */
void sock_want_out(struct sock *s);
/* Some descriptor number of it in this process, -1: none left. */
int sock_fd(const struct sock *s);

/* ---- the calls; all return >= 0 or -errno. -ENOTSOCK... never by accident: SOCK_TO_KERNEL says that the
 * socket is the kernel's by now and the caller must use libc with the same arguments. ---- */
enum { SOCK_TO_KERNEL = -4095 };
/* A new descriptor, or SOCK_TO_KERNEL. type carries SOCK_NONBLOCK and SOCK_CLOEXEC. */
int sock_open(int domain, int type, int protocol);
int sock_bind(struct sock *s, const struct sockaddr *addr, socklen_t len);
int sock_listen(struct sock *s, int backlog);
/* A new descriptor. */
int sock_accept(struct sock *s, int fd, struct sockaddr *addr, socklen_t *len, int flags);
int sock_connect(struct sock *s, const struct sockaddr *addr, socklen_t len);
int sock_shutdown(struct sock *s, int how);
int sock_getname(struct sock *s, struct sockaddr *addr, socklen_t *len);
int sock_getpeer(struct sock *s, struct sockaddr *addr, socklen_t *len);
int sock_getopt(struct sock *s, int level, int name, void *val, socklen_t *len);
int sock_setopt(struct sock *s, int level, int name, const void *val, socklen_t len);
int sock_ioctl(struct sock *s, int fd, unsigned long req, void *arg);
/* F_GETFL and F_SETFL of the file (the other commands are the kernel's). */
int sock_get_fl(struct sock *s);
int sock_set_fl(struct sock *s, int fd, int fl);
/* Decides an undecided socket for the kernel: replays options and bind, takes every number. */
int sock_to_kernel(struct sock *s, enum chan_reason why);
/* Before a thread sleeps: when the engine has ended or handed over and there are sockets to take along,
 * looks for the next one (now and then) and moves them there. Returns when to look again, at most
 * deadline_ns; costs some loads while the engine serves. No lock of the shim may be held. */
uint64_t sock_revive(uint64_t deadline_ns);
/* The same at once, and whatever was tried lately: before a fork. */
void sock_revive_now(void);
/* This process has another engine: sockets may be left at the one before. */
void sock_revive_soon(void);
/* bind() has put s on an engine that has ended or handed over, and listen() or connect() comes now.
 * Caller holds the lock. */
void sock_follow(struct sock *s);
/* Around a fork: no socket is just changing its place in the engine. */
void sock_fork_prepare(void);
void sock_fork_parent(void);
void sock_fork_child(bool prepared);
/* Child of a fork, before anything else of the shim runs in it: references that only the parent's
 * threads had go, the rest is counted again. */
void sock_after_fork(void);
/* A part of it: numbers of new sockets are those of a new process. */
void sock_number_anew(void);
/* Wakes everything that waits in this process for s (shutdown by another thread). */
void sock_kick(struct sock *s);

/* ---- bytes (sock_recv.c, sock_send.c; the other shapes are in sock_io.h) ---- */
/* iov is ours (sock_iov.h), what it names the program's: len bytes in all. Sending raises SIGPIPE. */
ssize_t sock_recv(struct sock *s, const struct iovec *iov, int n, size_t len, int flags);
ssize_t sock_send(struct sock *s, const struct iovec *iov, int n, size_t len, int flags);
ssize_t sock_sendfile(struct sock *s, int in_fd, int64_t *offset, size_t count);
/* Takes the pending error (SO_ERROR); 0: none. */
int sock_take_error(struct sock *s);
/* An error that the next call of this process is to tell (recvmmsg(), after it has given messages). */
void sock_set_error(struct sock *s, int err);

/* ---- told by sock.c to epoll.c (implemented there; all without sock locks held) ---- */
/* s has got its place in the engine: sets that hold it subscribe now. */
void epoll_sock_attached(struct sock *s);
/* s went to the kernel, whose socket already sits at all its numbers: registrations become real ones. */
void epoll_sock_to_kernel(struct sock *s);
/* A kernel twin now sits at the numbers of s (bind to any address). */
void epoll_sock_twin(struct sock *s);
/* Readiness of s has changed by a call of this process (shutdown). */
void epoll_sock_changed(struct sock *s);
/* s is being released: registrations go. */
void epoll_sock_released(struct sock *s);
/* A datagram has left. For sockets with SOCK_EDGE_OUT. */
void epoll_sock_sent(struct sock *s);
