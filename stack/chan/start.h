/* Where the engine listens, and how a program (the shim, the tool) starts one without being able to
 * notice it itself. Raw system calls only: usable where libc's names are the shim's. No malloc. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

enum { CHAN_PATH_MAX = 108, CHAN_PATHS_MAX = 2, CHAN_START_ERR_MAX = 512 };

struct chan_paths {
	uint32_t n;
	char path[CHAN_PATHS_MAX][CHAN_PATH_MAX];
};
/* The unix sockets on which an engine for this process may listen, in the order to try: the
 * configured one alone (option socket; NULL or "": none), else the system's, then the user's. Both
 * carry the inode of the network namespace. A directory of the user that somebody else could have
 * made is left out. */
void chan_engine_paths(struct chan_paths *p, const char *configured);

struct chan_start {
	const char *engine; /* path of fastnetd; NULL or "": looked for near `beside` */
	const char *beside; /* path of the library or program that asks; NULL: /proc/self/exe */
	const char *socket; /* option socket, NULL: default */
	char *const *envp;  /* of the program; the engine gets its FASTNET_ variables only */
	uint32_t timeout_ms;
};
/* Starts an engine unless another one wins the race, and returns when one serves: 0, or -errno with
 * one line in err. Whatever happens, the program sees no SIGCHLD, no child in wait(-1), no new
 * descriptor. Takes at most timeout_ms. Blocks all signals of the calling thread meanwhile. */
int chan_engine_start(const struct chan_start *s, char err[CHAN_START_ERR_MAX]);
/* Is anybody listening on one of the paths? Connects and hangs up. */
int chan_engine_answers(const struct chan_paths *p);

/* What the engine writes to its ready descriptor: one of these as the first bytes of one line. */
#define CHAN_READY_OK "ok"
#define CHAN_READY_BUSY "busy"	 /* another engine has the socket */
#define CHAN_READY_ERROR "error" /* ": text" follows */
enum { CHAN_EXIT_FAILED = 1, CHAN_EXIT_USAGE = 2, CHAN_EXIT_BUSY = 3 };
