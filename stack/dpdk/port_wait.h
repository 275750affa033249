/* What a data thread can sleep on until a port has frames: it differs by driver. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { PORT_QUEUES_MAX = 16, PORT_FDS_SEEN = 1024 };
/* Which descriptors the process had before the driver opened its own. */
struct port_fds {
	uint64_t had[PORT_FDS_SEEN / 64];
};

enum port_wait_kind {
	PORT_WAIT_FRAMES,  /* readable while frames wait */
	PORT_WAIT_COUNTER, /* of interrupts, to be armed and read */
	PORT_WAIT_SET,	   /* an epoll set of such counters */
};

struct port_wait { /* [k] constant after port_wait_find  [a] atomic, by driver's events */
	uint16_t port_id, n_queues; /* [k] */
	int fd[PORT_QUEUES_MAX];    /* [k] -1: nothing to sleep on */
	enum port_wait_kind kind;   /* [k] */
	int nudge_fd;		    /* [k] wakes when the peer comes or goes, -1: needs none */
	_Atomic uint32_t has_peer;  /* [a] 0: nobody who could be told to interrupt us */
};

void port_fds_note(struct port_fds *f);
/* After start: fills *w for n queues. intr: the port was configured with rx interrupts. *w must not
 * move afterwards. */
void port_wait_find(struct port_wait *w, uint16_t port_id, uint16_t n_queues, bool intr,
		    const struct port_fds *before);
void port_wait_fini(struct port_wait *w);
void port_wait_arm(struct port_wait *w, uint16_t queue, bool on);
