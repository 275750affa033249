/* What keeps an engine that has handed over to another one: counted on each data thread, round by
 * round. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/net/ports.h"

struct sock_env;

/* Of all data threads together; a round begins when all have finished the last one. */
struct sock_drain {
	const struct ports_view *theirs; /* ports of the other engine */
	uint32_t round;			 /* from 2 on */
	/* Of the round: */
	_Atomic uint32_t conns;	    /* half-open ones, orphans and TIME-WAIT included */
	_Atomic uint32_t listeners; /* whose port is not listened on at the other engine */
	_Atomic uint32_t dgrams;    /* whose port is not used there */
	_Atomic uint32_t unread;    /* datagram sockets that have something to read */
	_Atomic uint32_t wet;	    /* listeners that have moved but are not empty */
	/* Round in which a port was last seen busy here or not listened on there. */
	_Atomic uint32_t busy[65536];
};

/* Adds what this data thread has, and keeps CHAN_A_DRY up to date. */
void sock_drain_look(struct sock_env *env, struct sock_drain *d);
