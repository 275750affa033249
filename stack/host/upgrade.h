/* One engine hands over to another one (fastnet engine upgrade). The old one starts the new one
 * and talks with it over a pair of unix sockets, in struct chan_msg with these types:
 *
 *   old                                         new
 *                                               reads its options, starts DPDK: everything slow
 *                                       READY   pid, number of data threads, version of the ABI
 *   TAKE    unix socket, lock, port's marks
 *   BRIDGE  its memory, our eventfds
 *                                       CLOSE   only when a port can't be open twice
 *   its data threads stand still,
 *   it closes its ports
 *   CLOSED
 *                                               opens its ports, makes its data threads
 *                                       OPEN    its eventfds
 *   sends by the bridge from here on
 *   GO                                          serves
 *   STATE   from time to time: what is left     shows it
 *   (end of file: has drained)
 *
 * Until GO either side may give up (FAIL with a line of text, or the end of the file), and the
 * old engine goes on as if nothing had been. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "stack/chan/layout.h"
#include "stack/host/host.h"

enum upgrade_type {
	UPGRADE_READY = 100, /* number = data threads, version = CHAN_VERSION, size = pid */
	UPGRADE_TAKE,	     /* text = struct upgrade_take; fds: unix socket, lock, marks if any */
	UPGRADE_BRIDGE,	     /* number = data threads, size = pid; fds: memory, an eventfd for each of them */
	UPGRADE_CLOSE,
	UPGRADE_CLOSED,
	UPGRADE_OPEN,	     /* number = data threads; fds: an eventfd for each */
	UPGRADE_GO,
	UPGRADE_STATE,	     /* text = struct upgrade_state */
	UPGRADE_FAIL,	     /* text */
	UPGRADE_CLAIM,	     /* new to old; number = pid, size = uid << 32 | gid; fds: for the answer, a
			      * ticket that the new one does not know */
};
#define UPGRADE_ARG "--takeover"

enum { UPGRADE_SAME = 5 };
struct upgrade_take {
	char socket_path[108];
	uint32_t has_autoport, net; /* struct autoport */
	char host[16], engine[16], addr[32];
	uint32_t n_ports;
	uint32_t shareable; /* the ports may be open twice */
	uint32_t ifindex[NETIF_MAX];
	uint64_t same[UPGRADE_SAME]; /* of each option that both must have alike, see takeover.c */
};
_Static_assert(sizeof(struct upgrade_take) <= sizeof(((struct chan_msg *)0)->text), "one message");

/* Fills same[]. */
void upgrade_same(const struct host *h, uint64_t same[UPGRADE_SAME]);

/* What keeps the old engine. */
struct upgrade_state {
	uint32_t pid, conns, listeners, dgrams, tickets;
};

struct control;
struct conn;
struct worker;

/* ---- the new engine: takeover.c ---- */
/* DPDK is up: says so and takes what the old one has. 0 or -errno, h->err set; nothing is changed
 * then. */
int takeover_take(struct host *h);
/* Before the ports are opened: the old one lets go of them if it has to. */
int takeover_ports(struct host *h);
/* Everything is ready to run: the old one hands over. When it returns 0 the new one serves. */
int takeover_go(struct host *h);
/* The data threads run: they get the frames that came meanwhile. */
void takeover_gap(struct host *h);
/* After a failure: nothing of the old one's is touched, and it is told why. */
void takeover_give_back(struct host *h);
/* In the loop of the control thread: watches the old engine until it ends. */
void takeover_watch(struct control *ctl);
void takeover_fini(struct control *ctl);
/* Rows for `engine status`. */
void takeover_status(const struct control *ctl, FILE *out);

/* ---- the old engine: upgrade.c ---- */
/* `upgrade [drain=SECONDS] [PATH]` of the tool on conn. 0: it will be answered later; or a positive errno
 * with the complaint in out. */
int upgrade_start(struct conn *conn, char **args, FILE *out);
/* The tool has hung up. */
void upgrade_conn_gone(struct control *ctl, const struct conn *conn);
void upgrade_fini(struct control *ctl);

/* drain.c: the old engine after GO. */
void drain_start(struct control *ctl, int fd, uint32_t limit_s);
void drain_fini(struct control *ctl);

/* claim.c: a ticket of the old engine is shown to the new one: asks, and answers. False: hang up. */
bool claim_of_guest(struct conn *conn);
/* The old one answers on fd; takes both descriptors over. */
void claim_for_host(struct control *ctl, const struct chan_msg *m, int fd, int ticket);

/* barrier.c: all data threads stand still. */
struct barrier;
/* NULL: they did not stop in time (and go on). */
struct barrier *barrier_close(struct host *h);
/* They go on, after each has called at(worker, arg), if not NULL. Frees b. */
void barrier_open(struct barrier *b, void (*at)(struct worker *w, void *arg), void *arg);
/* Each data thread calls at(worker, arg). False: not all did so in time. */
bool barrier_run(struct host *h, void (*at)(struct worker *w, void *arg), void *arg);
