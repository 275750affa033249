/* One client of the engine, a trust domain: its shared memory, processes, event queues, quotas. All
 * functions here are the control thread's; the data threads have their part behind cw[] (sock_priv.h).
 *
 * Life: client_new(); mail SOCK_MAIL_CLIENT_ADD by client_start(); ...; client_del() (its last process
 * ended, or SOCK_MAIL_VIOLATION came) has the data threads close or orphan its sockets. Each answers
 * SOCK_MAIL_CLIENT_GONE when its last orphan has drained (at most CLIENT_DRAIN_NS); the control thread hands
 * each of these to client_gone(), which is true when nobody can name the client any more: client_free().
 *
 *   control: accept() on the unix socket, HELLO checked
 *     c = client_new(&conf, &err); proc = client_add_proc(c);
 *     worker_add_fd(w[i], c->event_fd[i], WORKER_FD_CLIENT) for each i; client_start(c);
 *     WELCOME: number = proc, fds client_welcome_fds()
 *   EXTENT: client_extent(); EVQ_OPEN: client_evq_open(); EVQ_CLOSE: client_evq_close();
 *   TOKEN: client_add_proc() + a socketpair; pidfd or EOF: client_proc_gone();
 *     when client_n_procs() is 0: client_del() */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/list.h"
#include "stack/chan/layout.h"
#include "stack/chan/region.h"
#include "stack/sock/sock.h"

struct client_worker;
#define CLIENT_DRAIN_NS (60 * 1000000000ull)
#define CLIENT_EXTENT_BYTES (1ull << 30) /* of address space; memory comes with use */

/* Whose programs may write into each other's memory: those of one user in the same namespaces. */
struct client_realm {
	uint64_t ids, user_ns, pid_ns; /* uid << 32 | gid; inodes. user_ns 0: nobody else's */
};

struct client_conf {
	uint32_t number; /* for messages */
	uint32_t n_workers;
	uint32_t pid, uid, gid;
	bool low_ports;	     /* may bind ports below 1024 */
	struct chan_key key; /* by which its processes find it again under the next engine */
	uint32_t max_socks;  /* 0: CHAN_MAX_SOCKS */
	uint64_t max_bytes;  /* of payload rings, 0: unlimited */
	uint64_t drain_ns;   /* its connections may end for so long after it, 0: CLIENT_DRAIN_NS */
	const struct region *engine; /* E: a struct chan_engine */
	struct client_realm realm; /* of its first process */
	bool sealed;	     /* only sealed memfds: it may get no other files (client_down.h) */
	/* worker_mail() by number: false when the mailbox is full. */
	bool (*mail)(void *arg, uint32_t worker, const struct sock_mail *msg);
	void *mail_arg;
};

struct client_extent {
	struct region r;
	uint32_t worker;
};
enum client_proc_state { CLIENT_PROC_FREE, CLIENT_PROC_LIVE, CLIENT_PROC_ENDED };

struct client {			/* [k] constant after client_new [c] control only [a] atomic */
	struct client_conf conf;	/* [k] */
	void *host;			/* [c] the host's own */
	struct region ra, rb, rd;	/* [k] */
	struct chan_a *a;		/* [k] all pointers; contents as layout.h says */
	struct chan_b *b;
	struct chan_sock_a *sock_a;
	struct chan_sock_b *sock_b;
	struct chan_call_a *call_a;
	struct chan_call_b *call_b;
	uint8_t *evq_a;
	struct chan_evq_b *evq_b;
	struct chan_held *held;
	struct chan_proc_b *proc_b;
	size_t evq_stride;
	int event_fd[CHAN_MAX_WORKERS];	/* [k] */
	struct client_worker *cw[CHAN_MAX_WORKERS]; /* [k] each that worker's own */
	struct client_extent ext[CHAN_MAX_EXTENTS]; /* [c] filled before a worker learns of it */
	uint32_t n_ext;			/* [c] */
	struct client_peer *peers;	/* [c] other clients whose D is an extent here */
	uint32_t n_peers;		/* [c] */
	_Atomic uint32_t next_block;	/* [a] socket ids are given to workers in blocks of 4096 */
	_Atomic uint32_t n_socks;	/* [a] quota */
	_Atomic uint64_t n_bytes;	/* [a] quota */
	_Atomic uint64_t live[CHAN_MAX_PROCS / 64]; /* [a] bit: process number is live */
	uint8_t proc_state[CHAN_MAX_PROCS];	    /* [c] enum client_proc_state */
	_Atomic bool proc_passed[CHAN_MAX_PROCS];   /* [a] all workers have seen it end */
	uint32_t n_procs;		/* [c] live ones */
	_Atomic int evq_fd[CHAN_MAX_EVQS]; /* [a] write end + 1 of the doorbell, 0: not open */
	_Atomic int line_fd[CHAN_MAX_EVQS]; /* [a] of a signal line: the program's end + 1; evq_fd is ours */
	int evq_kick[CHAN_MAX_EVQS];	/* [c] eventfd + 1, by which other programs wake who sleeps there */
	uint16_t evq_proc[CHAN_MAX_EVQS]; /* [c] whose it is or was; of a line: nobody's */
	_Atomic uint32_t n_evqs;	/* [a] numbers below may be open */
	uint32_t n_gone;		/* [c] answers to CLIENT_DEL */
	bool deleting;			/* [c] */
};

/* NULL and *err = -errno. Extents are sparse: A, B, and per worker one payload extent each way. */
struct client *client_new(const struct client_conf *conf, int *err);
/* Mails CLIENT_ADD to all workers: from here on they poll it. */
void client_start(struct client *c);
/* Only after client_gone() said true, or when client_start() was never called. */
void client_free(struct client *c);

/* To a data thread: waits for room in its mailbox. */
void client_mail_to(struct client *c, uint32_t worker, const struct sock_mail *m);
/* SOCK_MAIL_PEER_WANTED of worker: answers both clients' workers of that number (sock_lane_peer()). other:
 * NULL: there is none of that number any more. */
void client_peer_wanted(struct client *c, struct client *other, uint32_t number, uint32_t worker);
/* fds for WELCOME in their order: E, A, B, D, eventfds. Returns how many; they stay the client's. */
unsigned client_welcome_fds(const struct client *c, int *fds);
/* A process number for a new process, -ENOBUFS when there are too many. */
int client_add_proc(struct client *c);
/* Process proc ended: sockets that it alone held are closed. */
void client_proc_gone(struct client *c, uint32_t proc);
/* Process proc has socket id, or no longer: said by the engine for a process that is not one of the
 * program's. */
void client_hold(struct client *c, uint32_t proc, uint32_t id);
void client_unhold(struct client *c, uint32_t proc, uint32_t id);
/* Has any other process it? */
bool client_is_held_beside(const struct client *c, uint32_t proc, uint32_t id);
/* What two engines know the client by (ports_req.owner), 0: it has no key. */
static inline uint32_t client_owner(const struct client *c)
{
	return (uint32_t)(c->conf.key.nonce ^ c->conf.key.nonce >> 32);
}
static inline uint32_t client_n_procs(const struct client *c) { return c->n_procs; }
/* The extent's descriptor (stays the client's) or -EINVAL; size and kind (0 read-only, 1 read-write). */
int client_extent(const struct client *c, uint32_t number, uint64_t *size, uint32_t *kind);
/* SOCK_MAIL_EXTENT_WANTED: one more payload extent for worker. 0 or -errno. */
int client_extent_wanted(struct client *c, uint32_t worker, enum region_kind kind);
/* A new event queue of process proc: its number, and the read end of its doorbell in *fd (the caller's).
 * Or -errno. kick: -1, or an eventfd, which is the client's from then on. The queue is closed with its
 * process at the latest; not before as long as that may still speak of it, or a late word would mean the
 * next queue of this number. */
int client_evq_open(struct client *c, uint32_t proc, int kick, int *fd);
/* The kick of an open queue (stays the client's), -ENOENT: it has none. */
int client_evq_kick(const struct client *c, uint64_t evq);
/* The number of the client whose D is extent ext, UINT32_MAX: none. */
uint32_t client_peer_number(const struct client *c, uint32_t ext);
void client_evq_close(struct client *c, uint32_t proc, uint32_t number);
/* The same for a signal line (chan/line.h), which is a socket's and no process'; *fd: the program's end. */
int client_line_open(struct client *c, int *fd);
void client_line_close(struct client *c, uint32_t number);
/* A byte into each doorbell: whoever sleeps there wakes and looks. */
void client_ring_all(struct client *c);
/* Throws the client out: a->detached is set, its sleepers are woken by the workers. Idempotent. */
void client_del(struct client *c);
/* For each SOCK_MAIL_CLIENT_GONE. True: the last one, client_free() may follow. */
bool client_gone(struct client *c);
/* Extent E: sealed like A, a zeroed struct chan_engine with magic, version and n_workers set. 0 or
 * -errno. Then engine_alive_arm(). */
int client_engine_create(struct region *r, uint32_t n_workers);
