/* Sockets of the stack across an exec: a bundle that says which numbers are which sockets.
 *
 * A bundle is a sealed memfd: a head, then records (a socket, a number). It and the token's engine
 * socket that stands in it are the only descriptors of the shim without CLOEXEC, and only for the
 * time of the exec. The new program finds it without an environment variable, just below
 * RLIMIT_NOFILE (or, when these numbers are in use, below one of a few others): a handful of
 * fcntl() at its start, nothing to leak into children. What the kernel has of a socket (the twin of
 * a listener, the kernel's half of a datagram socket, a signal line) is at its number and survives
 * by itself. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/chan/layout.h"

struct sock;
struct object;
struct chan_app;

enum {
	HANDOVER_MAGIC = 0x464e4842,
	HANDOVER_VERSION = CHAN_VERSION << 8 | 2,
	HANDOVER_ENGINES = 4,	/* of one bundle */
	HANDOVER_NO_ENGINE = -1, /* the socket has no place in an engine yet */
};
struct handover_head {
	uint32_t magic, version;
	_Atomic uint32_t taken; /* the first program that finds it has it */
	uint32_t n_engines;
	int32_t token[HANDOVER_ENGINES]; /* numbers of descriptors */
	uint64_t size;
};
enum handover_kind { HANDOVER_SOCK = 1, HANDOVER_FD };
/* One socket; its struct sock_draft and struct dgram follow as far as it has them, without their
 * struct object. */
struct handover_sock {
	uint32_t kind;
	uint32_t len; /* of the record */
	int32_t engine; /* index of the token, or HANDOVER_NO_ENGINE */
	uint32_t id, gen;
	int32_t elder_engine; /* the same for its elder: sock_elder.h */
	uint32_t elder_id, elder_gen;
	uint32_t mode, flags, backlog;
	int32_t own_error;
	int32_t line_fd, async_fd;
	uint8_t line_here, has_draft, has_dgram, type;
	uint16_t family;
	uint8_t protocol, pad;
	uint64_t number;
	struct endpoint bound;
};
struct handover_fd {
	uint32_t kind;
	uint32_t len;
	int32_t fd;
	uint32_t sock; /* the n-th socket in the bundle */
};

/* Where a bundle may be: number i, descending preference; -1: past the last. */
int handover_place(unsigned i);

/* ---- before an exec ---- */
struct handover {
	bool begun;
	int bundle;
	int token[HANDOVER_ENGINES];
	uint32_t proc[HANDOVER_ENGINES];
	struct chan_app *app[HANDOVER_ENGINES];
	uint32_t n_engines;
	uint32_t n_socks;
};
/* Is any socket at a number without CLOEXEC? Keeps errno. */
bool handover_is_wanted(void);
/* Makes a bundle of all sockets at numbers without CLOEXEC. True: there is one, and forks wait until
 * handover_undo(). False: nothing to hand over. Keeps errno. */
bool handover_begin(struct handover *h);
/* The exec has failed. Keeps errno. */
void handover_undo(struct handover *h);

/* One socket, for a ticket: a memfd of the same shape, with one record. Descriptor or -errno. */
int handover_record(struct sock *s);

/* ---- in the new program (handover_in.c) ---- */
/* What such a memfd says, as socket id of app, with a reference; line_fd: its line's descriptor or
 * -1. NULL: it says nothing of the kind. */
struct object *handover_read(int memfd, struct chan_app *app, uint32_t id, uint32_t gen, int line_fd);
/* At its start, before anything else has sockets. */
void handover_arrive(void);
