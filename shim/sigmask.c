/* Exported: pthread_sigmask and sigprocmask. In threads that use sockets of ours SIGSEGV and SIGBUS are let
 * through, because the kernel kills on a fault that it can't deliver; what the program has blocked it is
 * told back. Limits: a bad pointer in a handler that runs with the two blocked (its own mask, or the
 * handler of one of them) kills, and a thread does not inherit what its maker has blocked so. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include <sys/syscall.h>
#include "shim/fault.h"
#include "shim/libc.h"
#include "stack/base/sys.h"

FAULT_TLS uint32_t fault_mask;

enum { KNOWN = 1, HELD_SEGV = 2, HELD_BUS = 4, HELD = HELD_SEGV | HELD_BUS };

/* The kernel's form: bit n - 1 is signal n. */
static inline uint64_t bit_of(int sig)
{
	return 1ull << (sig - 1);
}
#define GUARDED (bit_of(SIGSEGV) | bit_of(SIGBUS))

static uint32_t held_of(uint64_t set)
{
	return (set & bit_of(SIGSEGV) ? HELD_SEGV : 0) | (set & bit_of(SIGBUS) ? HELD_BUS : 0);
}
static uint64_t set_of(uint32_t held)
{
	return (held & HELD_SEGV ? bit_of(SIGSEGV) : 0) | (held & HELD_BUS ? bit_of(SIGBUS) : 0);
}

static int change(int how, const uint64_t *set, uint64_t *old)
{
	return (int)sys_call4(SYS_rt_sigprocmask, how, (long)set, (long)old, sizeof(*set));
}

void fault_thread_slow(void)
{
	const uint64_t guarded = GUARDED;
	uint64_t now = 0;

	if (!fault_guards(SIGSEGV) || change(SIG_BLOCK, NULL, &now) < 0)
		return;
	if (now & GUARDED)
		change(SIG_UNBLOCK, &guarded, NULL);
	fault_mask = KNOWN | held_of(now);
}

bool fault_is_held(int sig)
{
	return fault_mask & held_of(bit_of(sig));
}

void fault_mask_real(uint32_t mask)
{
	uint64_t set = set_of(mask);

	if (unlikely(set))
		change(SIG_BLOCK, &set, NULL);
}

void fault_mask_ours(uint32_t mask)
{
	uint64_t set = set_of(mask);

	if (unlikely(set))
		change(SIG_UNBLOCK, &set, NULL);
}

/* 0 or an errno, like pthread_sigmask(). */
static int change_ours(int how, const sigset_t *set, sigset_t *old)
{
	uint32_t held = fault_mask, next = held;
	sigset_t own;
	uint64_t given = 0;
	int r;

	if (set) {
		own = *set;
		memcpy(&given, &own, sizeof(given));
		if (how == SIG_BLOCK)
			next |= held_of(given);
		else if (how == SIG_UNBLOCK)
			next &= ~held_of(given);
		else
			next = (next & KNOWN) | held_of(given);
		if (how != SIG_UNBLOCK) {
			sigdelset(&own, SIGSEGV);
			sigdelset(&own, SIGBUS);
		}
	}
	/* What comes through while the call unblocks it is delivered. */
	fault_mask = held & next;
	r = libc.pthread_sigmask(how, set ? &own : NULL, old);
	fault_mask = r == 0 ? next : held;
	if (r != 0)
		return r;
	if (old && held & HELD_SEGV)
		sigaddset(old, SIGSEGV);
	if (old && held & HELD_BUS)
		sigaddset(old, SIGBUS);
	return 0;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return likely(!fault_mask) ? libc.pthread_sigmask(how, set, old) : change_ours(how, set, old);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	int r;

	if (likely(!fault_mask))
		return libc.sigprocmask(how, set, old);
	r = change_ours(how, set, old);
	if (r == 0)
		return 0;
	errno = r;
	return -1;
}
