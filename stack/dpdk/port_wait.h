/* What a data thread can sleep on until a port has frames: it differs by driver. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { PORT_QUEUES_MAX = 16, PORT_FDS_SEEN = 1024 };
/* Which descriptors the process had before the driver opened its own. */
struct port_fds {
	uint64_t had[PORT_FDS_SEEN / 64];
};
struct port_wait {
	int fd[PORT_QUEUES_MAX]; /* -1: nothing to sleep on */
	bool intr;		 /* fd is an interrupt counter, to be armed and drained */
};

void port_fds_note(struct port_fds *f);
/* After start: fills *w for n queues. intr: the port was configured with rx interrupts. */
void port_wait_find(struct port_wait *w, uint16_t port_id, uint16_t n_queues, bool intr,
		    const struct port_fds *before);
void port_wait_arm(const struct port_wait *w, uint16_t port_id, uint16_t queue, bool on);
