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

extern SIGNAL_TLS uint32_t signal_depth; /* handlers of the program that this thread is in */

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

/* ---- signal_hold.c: while our own lists are half changed ---- */
extern SIGNAL_TLS uint32_t signal_held; /* depth */
extern SIGNAL_TLS bool signal_kept;	/* one has come meanwhile */
void signal_send_kept(void);
/* In the child of a fork: it was the parent's. */
void signal_forget_kept(void);
/* In the handler. False: it has to run now. */
bool signal_keep(int sig, int flags, const siginfo_t *info, void *context);
/* Handlers of the program wait from here to the release. Nothing in between may block for long. */
static inline void signal_hold(void)
{
	signal_held++;
	atomic_signal_fence(memory_order_seq_cst);
}
static inline void signal_release(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (--signal_held == 0 && __builtin_expect(signal_kept, 0))
		signal_send_kept();
}

/* sigaction() as the program means it; *was is what the kernel had, which may be a handler of ours. */
int signal_replace(int sig, const struct sigaction *act, struct sigaction *was);
/* Does the program ignore sig? */
bool signal_is_ignored(int sig);
