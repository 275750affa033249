/* Bad pointers of the program: the copies of stack/chan/user.h end with -EFAULT instead of a crash, while
 * every other fault finds the program's own handler as if the shim were not there. */
// SPDX-License-Identifier: MIT
#pragma once
#include <signal.h>
#include <stdbool.h>
#include "stack/chan/user.h"

/* From the first socket of ours on: our handler for SIGSEGV and SIGBUS comes before the program's. */
void fault_arm(void);
/* Has it been armed, and is sig one of the two? */
bool fault_guards(int sig);
/* In the handler. True: it was one of our copies, *context goes on behind it. */
bool fault_caught(int sig, void *context);
/* In the handler, where the program has none: what the kernel does by itself. */
void fault_unhandled(int sig, siginfo_t *info, bool ignored);

/* An exec resets handlers, but what the program ignores stays ignored in the new one: so for the time of an
 * exec, or of a spawn, the kernel must know it. */
enum { FAULT_SIGNALS = 2 };
struct fault_exec {
	struct sigaction was[FAULT_SIGNALS];
	bool changed[FAULT_SIGNALS];
};
void fault_exec_begins(struct fault_exec *x);
void fault_exec_failed(const struct fault_exec *x);
