/* What an exec needs around it: signals, sockets, environment. */
// SPDX-License-Identifier: MIT
#pragma once
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include "shim/fault.h"
#include "shim/handover.h"

/* What is to be run. */
struct exec_target {
	int dirfd;	  /* AT_FDCWD, or where path begins; path "" or NULL: the file itself */
	const char *path;
	bool search;	  /* a name without a slash is looked for in PATH */
};
/* Tickets that stand at the numbers of sockets for the time of an exec. */
enum { EXEC_RELAYS = 64 };
struct exec_relay {
	bool begun;
	unsigned n;
	struct {
		int fd;
		int was; /* a copy of what was there, -1: it is still there */
		int fl;	 /* its file flags */
		const void *sock;
	} at[EXEC_RELAYS];
};
struct exec {
	struct fault_exec fault;
	struct handover hand;
	struct exec_relay relay;
	char *const *envp; /* for the new program */
	void *env_map;	   /* it is ours, not the program's */
	size_t env_len;
};
void exec_begins(struct exec *x, const struct exec_target *target, char *const envp[]);
/* It has failed, or a child has done it. */
void exec_ends(struct exec *x);

/* ---- exec_relay.c: sockets for a program that can't have the shim ---- */
void exec_relay_begins(struct exec_relay *r);
void exec_relay_undo(struct exec_relay *r);

/* ---- exec_env.c ---- */
/* Remembers what LD_PRELOAD and the FASTNET_ variables were when the program was started. */
void exec_env_start(void);
/* A program that gets sockets of the stack needs the shim: when envp lacks it, x->envp becomes a
 * copy with it. */
void exec_env_complete(struct exec *x);
void exec_env_free(struct exec *x);

/* ---- exec_target.c ---- */
/* Will the dynamic linker load the shim into it? Also true where that can't be told. */
bool exec_target_takes_shim(const struct exec_target *t);
/* Calls try() with the paths that execvp() would try for file, until it returns 0 or an error that
 * ends the search. 0 or -errno, as execvp() would say it. */
int exec_search(const char *file, int (*try)(const char *path, void *arg), void *arg);
