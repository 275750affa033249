/* posix_spawn, system, popen. libc makes their children with the parent's memory and knows nothing
 * of what stands at our numbers. That is right as long as no socket of ours is concerned, and then
 * libc does it. Else the child is a copy of this process that carries out the file actions by the
 * shim's own calls and hands over what is left, like any other program that forks and execs. */
// SPDX-License-Identifier: MIT
#pragma once
#include <spawn.h>
#include <stdio.h>
#include "shim/exec.h"

int spawn_program(pid_t *pid, const struct exec_target *target, const posix_spawn_file_actions_t *actions,
		  const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
int spawn_system(const char *command);
FILE *spawn_popen(const char *command, const char *type);

/* ---- spawn_actions.c: file actions, noted as they are added, because libc keeps them to itself ---- */
/* Do they copy a socket of ours? */
bool spawn_actions_copy_ours(const posix_spawn_file_actions_t *actions);
/* Are all of them known? actions may be NULL. */
bool spawn_actions_are_known(const posix_spawn_file_actions_t *actions);
/* In the child: 0 or -errno. */
int spawn_actions_run(const posix_spawn_file_actions_t *actions);
