/* Finding, starting and attaching to an engine without the program noticing; and what the shim's
 * environment variables say. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include "stack/chan/app.h"
#include "stack/chan/reasons.h"

struct engine_config {
	bool disabled;	/* FASTNET_DISABLE=1: everything stays with the kernel */
	bool autostart; /* FASTNET_AUTOSTART */
	bool fail;	/* FASTNET_FALLBACK=fail: new sockets fail without an engine */
	bool loopback;	/* FASTNET_LOOPBACK=stack */
	bool deephook;	/* FASTNET_DEEPHOOK */
	const char *socket; /* FASTNET_SOCKET, NULL: the default path */
	const char *engine; /* FASTNET_ENGINE: the program to start, NULL: look for it */
};
/* Read once, on first use or at start-up. */
const struct engine_config *engine_config(void);

/* The engine for a new socket, attached (and started) now if need be, with a reference for the
 * caller; NULL: none, *why says so. A failure is remembered for a moment, so that not every
 * socket() tries again. One that has handed over goes on serving who can't reach the next (a chroot). */
struct chan_app *engine_get(enum chan_reason *why);
/* Attaches by the token that the program before this one has left (its number is used up): as if
 * this process had attached itself. With a reference for the caller; NULL: the engine has ended. */
struct chan_app *engine_adopt(int token);
/* The engine that ticket fd is to be shown to: the current one, or one that is attached to now, as
 * a process of the ticket's client if it can be. With a reference; NULL: none. */
struct chan_app *engine_for_ticket(int fd);
/* The next attachment from *i on to an engine that has handed over and lives. With a reference; NULL:
 * past the last. */
struct chan_app *engine_moved(unsigned *i);
/* An attachment to client number `client` of the engine that app belongs to. With a reference;
 * NULL: none. */
struct chan_app *engine_of_client(const struct chan_app *app, uint32_t client);
/* One more reference to an engine that the caller knows to be referenced. */
void engine_ref(struct chan_app *app);
/* The last one of a dead engine frees its maps. */
void engine_put(struct chan_app *app);
/* A reference of something that has moved away from old, whose maps another thread may be looking at
 * still: it is given back when something moves away from the engine after that one. Until then each of
 * its sleepers has been woken by its end. */
void engine_leave(struct chan_app *old);
/* The i-th attachment, living or dead, NULL: past the last. Detached slots are skipped. For fork. */
struct chan_app *engine_nth(unsigned *i);

/* Was attached, and the engine has ended or handed over; nobody has found the next one yet. */
bool engine_is_lost(void);
/* The engine that serves now, as the client that old is: where sockets go that can't stay with old.
 * With a reference; NULL: none yet. */
struct chan_app *engine_next(const struct chan_app *old);
/* Child of a fork: locks that other threads of the parent held are free. */
void engine_after_fork(void);

/* The route of an address in the engine's table: enum CHAN_ROUTE_*, 0: none. Implemented by
 * route.c. */
uint32_t engine_route(const struct chan_app *app, const struct ipaddr *addr);
