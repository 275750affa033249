/* Signal handlers that ran during a blocking call. The kernel ends or restarts a sleep that a signal hits;
 * a handler that runs while the shim is awake in between (spinning, or after a needless wake-up)
 * must have the same effect, so handlers are counted. Nothing else about them changes. */
// SPDX-License-Identifier: MIT
#pragma once
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SIGNAL_TLS _Thread_local __attribute__((tls_model("initial-exec")))
enum signal_count {
	SIGNAL_ANY,  /* handlers that ran in this thread */
	SIGNAL_ENDS, /* those without SA_RESTART */
	SIGNAL_COUNTS,
};
extern SIGNAL_TLS _Atomic uint32_t signal_runs[SIGNAL_COUNTS];
extern SIGNAL_TLS uint32_t signal_mark[SIGNAL_COUNTS]; /* runs when the present call began */

/* At the entry of each call that may block. */
static inline void signal_call_begins(void)
{
	for (int i = 0; i < SIGNAL_COUNTS; i++)
		signal_mark[i] = atomic_load_explicit(&signal_runs[i], memory_order_relaxed);
}
static inline int signal_interrupted(enum signal_count which)
{
	return atomic_load_explicit(&signal_runs[which], memory_order_relaxed) != signal_mark[which];
}

/* sigaction() as the program means it; *was is what the kernel had, which may be a handler of ours. */
int signal_replace(int sig, const struct sigaction *act, struct sigaction *was);
/* Does the program ignore sig? */
bool signal_is_ignored(int sig);
