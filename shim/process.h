/* fork and what is like it: the child gets its own place in the engine before it runs a line of the
 * program, and nothing it does harms the parent's sockets. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <sys/types.h>

/* Has this process ever attached to an engine? Else a fork is nobody's business. */
bool process_is_attached(void);
/* Around a fork that libc's fork() does not do itself (_Fork, clone, raw system calls). libc's
 * fork() and whatever calls it inside libc (daemon, forkpty) run these as pthread_atfork handlers.
 * */
void process_fork_prepare(void);
void process_fork_parent(void);
void process_fork_child(void);
/* No fork of another thread happens in between: it would take along what is meant for an exec.
 * False: a signal handler on top of our own fork. */
bool process_lock(void);
void process_unlock(void);
/* Is this thread's address space that of the process that made the table? False in a child that
 * shares memory (vfork, the inside of posix_spawn), whose descriptors are its own. A system call.
 * */
bool process_is_self(void);
