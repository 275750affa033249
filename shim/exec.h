/* What an exec needs around it: signals, sockets, environment. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stddef.h>
#include "shim/fault.h"
#include "shim/handover.h"

struct exec {
	struct fault_exec fault;
	struct handover hand;
	char *const *envp; /* for the new program */
	void *env_map;	   /* it is ours, not the program's */
	size_t env_len;
};
void exec_begins(struct exec *x, char *const envp[]);
/* It has failed, or a child has done it. */
void exec_ends(struct exec *x);

/* ---- exec_env.c ---- */
/* Remembers what LD_PRELOAD and the FASTNET_ variables were when the program was started. */
void exec_env_start(void);
/* A program that gets sockets of the stack needs the shim: when envp lacks it, x->envp becomes a copy
 * with it. */
void exec_env_complete(struct exec *x);
void exec_env_free(struct exec *x);
