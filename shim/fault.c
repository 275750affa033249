/* SIGSEGV and SIGBUS: tells a fault in a copy from the program's own, and does for a program without a
 * handler what the kernel would have done. Which handler it has is kept by signal.c.
 *
 * The kernel kills on a fault while the signal is blocked, also in a copy. sigmask.c therefore lets the two
 * through in threads that use sockets of ours, and tells the program otherwise. */
// SPDX-License-Identifier: MIT
#include "shim/fault.h"
#include <stdatomic.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include "shim/libc.h"
#include "shim/signal.h"
#include "stack/base/sys.h"
#include "stack/base/util.h"

static const int guarded[FAULT_SIGNALS] = { SIGSEGV, SIGBUS };
_Atomic bool fault_armed;

/* What the kernel has now becomes what the program has: signal.c wraps it. Another thread may change it
 * in between; then its choice is wrapped. */
static void arm_one(int sig)
{
	struct sigaction now, was;

	if (libc.sigaction(sig, NULL, &now) < 0)
		return;
	for (int i = 0; i < 8; i++) {
		if (signal_replace(sig, &now, &was) < 0 || was.sa_sigaction == now.sa_sigaction)
			return;
		now = was;
	}
}

void fault_arm(void)
{
	int saved = errno;

	if (likely(atomic_load_explicit(&fault_armed, memory_order_relaxed)))
		return;
	if (!atomic_exchange(&fault_armed, true))
		for (int i = 0; i < FAULT_SIGNALS; i++)
			arm_one(guarded[i]);
	errno = saved;
}

/* Will the same instruction fault again? Not if somebody sent the signal, nor for memory errors that are
 * reported some time later. */
static bool comes_again(int sig, const siginfo_t *info)
{
	return info->si_code > 0 && !(sig == SIGBUS && info->si_code == BUS_MCEERR_AO);
}

void fault_unhandled(int sig, siginfo_t *info, bool ignored)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	/* An ignored fault kills; an ignored message is lost. */
	if (ignored && !comes_again(sig, info))
		return;
	libc.sigaction(sig, &dfl, NULL);
	if (!comes_again(sig, info))
		sys_call4(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), sig, (long)info);
}

/* The program has blocked the signal, but we let it through. A fault kills then; a message stays pending, now
 * really blocked. */
static void arrive_blocked(int sig, siginfo_t *info, ucontext_t *uc)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	if (comes_again(sig, info)) {
		libc.sigaction(sig, &dfl, NULL);
		return;
	}
	sigaddset(&uc->uc_sigmask, sig);
	sys_call4(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), sig, (long)info);
}

bool fault_caught(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uintptr_t to = user_fixup((uintptr_t)uc->uc_mcontext.gregs[REG_RIP]);

	if (to && comes_again(sig, info)) {
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)to;
		return true;
	}
	if (unlikely(fault_is_held(sig))) {
		arrive_blocked(sig, info, uc);
		return true;
	}
	return false;
}

void fault_exec_begins(struct fault_exec *x)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };

	x->mask = fault_mask;
	fault_mask_real(x->mask);

	for (int i = 0; i < FAULT_SIGNALS; i++) {
		x->changed[i] = fault_guards(guarded[i]) && signal_is_ignored(guarded[i]) &&
				libc.sigaction(guarded[i], &ign, &x->was[i]) == 0;
	}
}

void fault_exec_failed(const struct fault_exec *x)
{
	int saved = errno;

	for (int i = 0; i < FAULT_SIGNALS; i++)
		if (x->changed[i])
			libc.sigaction(guarded[i], &x->was[i], NULL);
	fault_mask_ours(x->mask);
	errno = saved;
}
