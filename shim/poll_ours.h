/* The part of a poll() or select() that is not the kernel's: sockets of ours and live epoll sets, looked
 * at, and made to ring a doorbell while the thread sleeps in the kernel. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shim/object.h"

struct poll_queue;
/* Attachments whose sockets one call hears of at once. */
enum { POLL_BELLS = 4 };
struct poll_ours {
	struct object *o; /* with a reference; NULL: one of the shim's own, invisible */
	int fd;
	uint32_t slot;	  /* of the caller: index of the pollfd */
	uint32_t want;	  /* EPOLL bits that end the wait */
	uint32_t got;
	uint32_t seen; /* evseq of a socket before the last look */
};
struct poll_group {
	struct poll_ours *ours;
	uint32_t n;
	struct poll_queue *queue[POLL_BELLS]; /* while armed */
	uint32_t n_queues;
	bool unheard; /* something is not reported by any of them */
	uint32_t armed;		  /* sets and sockets armed so far */
	uint32_t rang;		  /* bit i: the caller has seen doorbell i readable, read it */
};

/* Takes fd into the group when it is ours at this moment. False: it is the kernel's. */
bool poll_ours_add(struct poll_group *g, int fd, uint32_t slot, uint32_t want);
void poll_ours_drop(struct poll_group *g);
/* Fills in got; how many have some. */
uint32_t poll_ours_look(struct poll_group *g);
/* Nothing was ready and there is no time to wait: true when another look may find more (chan_settle()). */
bool poll_ours_settle(const struct poll_group *g);
/* The kernel must watch this number for POLLIN while we sleep (twin of a listener, epoll set). */
bool poll_ours_has_kernel_half(const struct poll_ours *p);
/* From now on a change rings. False: look again, there may be something already. Disarm follows either
 * way. */
bool poll_ours_arm(struct poll_group *g);
void poll_ours_disarm(struct poll_group *g);
/* Doorbell i while armed, -1: there is none. */
int poll_ours_doorbell(const struct poll_group *g, uint32_t i);
/* One socket of ours among the kernel's: looks at it for a moment before anything is armed. True: something
 * has changed. */
bool poll_ours_spin(const struct poll_group *g);
/* Only one socket of ours and no kernel half: sleeps on the socket itself; *handled false: can't. */
int poll_ours_wait_one(struct poll_group *g, uint64_t deadline_ns);
bool poll_ours_is_one(const struct poll_group *g);
