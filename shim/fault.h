/* Bad pointers of the program: the copies of stack/chan/user.h end with -EFAULT instead of a crash, while
 * every other fault finds the program's own handler as if the shim were not there. */
// SPDX-License-Identifier: MIT
#pragma once
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/util.h"
#include "stack/chan/user.h"

#define FAULT_TLS _Thread_local __attribute__((tls_model("initial-exec")))

/* From the first socket of ours on: our handler for SIGSEGV and SIGBUS comes before the program's. */
void fault_arm(void);
/* Has it been armed, and is sig one of the two? */
extern _Atomic bool fault_armed;
static inline bool fault_guards(int sig)
{
	return (sig == SIGSEGV || sig == SIGBUS) && atomic_load_explicit(&fault_armed, memory_order_acquire);
}
/* In the handler. True: it was one of our copies, *context goes on behind it; or the program has blocked the
 * signal in this thread, and what that means has been done. */
bool fault_caught(int sig, siginfo_t *info, void *context);
/* In the handler, where the program has none: what the kernel does by itself. */
void fault_unhandled(int sig, siginfo_t *info, bool ignored);

/* ---- sigmask.c ---- */
/* Are the two signals let through in this thread? Bit 0: that is known to be so. Bits 1 and 2: the program
 * believes that it has blocked SIGSEGV, SIGBUS. */
extern FAULT_TLS uint32_t fault_mask;
void fault_thread_slow(void);
/* At the entry of calls that copy from or to the program. */
static inline void fault_thread(void)
{
	if (unlikely(!fault_mask))
		fault_thread_slow();
}
/* In the handler: has the program blocked sig in this thread? */
bool fault_is_held(int sig);

/* An exec resets handlers, but what the program ignores stays ignored in the new one: so for the time of an
 * exec, or of a spawn, the kernel must know it. */
enum { FAULT_SIGNALS = 2 };
struct fault_exec {
	struct sigaction was[FAULT_SIGNALS];
	bool changed[FAULT_SIGNALS];
	uint32_t mask;
};
/* What the program has blocked is really blocked, or let through again. */
void fault_mask_real(uint32_t mask);
void fault_mask_ours(uint32_t mask);

void fault_exec_begins(struct fault_exec *x);
void fault_exec_failed(const struct fault_exec *x);
