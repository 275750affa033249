/* Tickets: how a socket of the stack goes to another process as a descriptor (SCM_RIGHTS).
 *
 * A ticket is one end of a pair of AF_UNIX stream sockets whose other end the engine has; it stands
 * for one socket, which lives at least as long as a copy of the ticket does. A process that has the
 * shim shows it to the engine (a claim) and has the socket; to any other it is a connected socket
 * through which the engine passes the bytes (the relay, stack/host/relay.c).
 *
 * A ticket is known by its peer's name, which begins with CHAN_TICKET_NAME. The engine knows it by
 * its inode. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/chan/app.h"

#define CHAN_TICKET_NAME "\0fastnet-ticket-"
enum {
	CHAN_TICKET_NAME_LEN = sizeof(CHAN_TICKET_NAME) - 1,
	CHAN_TICKET_FDS = 3, /* what else belongs to a socket: the shim's business */
};
/* TICKET, kind. */
enum chan_ticket_kind {
	CHAN_TICKET_PASS,
	CHAN_TICKET_RELAY, /* who gets it has no shim: the relay works from the end of this process on */
};
/* The answer to CLAIM: kind. */
enum chan_claim_kind {
	CHAN_CLAIM_HELD,  /* number = sock, size = gen; the process holds it. fds: what belongs to it */
	CHAN_CLAIM_OTHER, /* it is another client's, whose number is `number`; fd: a token for it */
};

/* A ticket for socket id, which this process holds, in *fd. 0 or -errno. */
int chan_ticket_open(struct chan_app *app, struct chan_msg *m, const int *with, unsigned n, int *fd);
/* Shows fd. 0 with *m as the engine answered and fds[*n], or -errno: -ENOENT no ticket, -EALREADY
 * too late, the relay works on it; -EPERM another user's. */
int chan_ticket_claim(struct chan_app *app, int fd, struct chan_msg *m, int *fds, unsigned *n);
/* The same by a process that is not attached, at the engine of `path`: the answer is a token. */
int chan_ticket_claim_at(const char *path, int fd, struct chan_msg *m, int *fds, unsigned *n);
