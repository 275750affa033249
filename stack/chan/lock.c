/* The contended part of the locks in shared memory. */
// SPDX-License-Identifier: MIT
#include "stack/chan/lock.h"
#include <poll.h>
#include "stack/base/sys.h"
#include "stack/chan/wait.h"

__thread uint32_t chan_tid_cache __attribute__((tls_model("initial-exec"), visibility("hidden")));

uint32_t chan_tid_slow(void)
{
	chan_tid_cache = (uint32_t)sys_gettid();
	return chan_tid_cache;
}

enum { LOCK_SPINS = 200, LOCK_TID = ~CHAN_LOCK_WAITERS };

/* A thread id is free again when its thread has ended, but a process' own when its parent has reaped it:
 * which may be the one who waits here. */
static bool owner_is_dead(int tid)
{
	const struct timespec now = { 0 };
	struct pollfd p = { .events = POLLIN };

	if (sys_tkill(tid, 0) == -ESRCH)
		return true;
	p.fd = sys_pidfd_open(tid);
	if (p.fd < 0)
		return false;
	int n = sys_ppoll(&p, 1, &now);
	sys_close(p.fd);
	return n == 1;
}

int chan_lock_slow(_Atomic uint32_t *word, uint32_t tid)
{
	uint32_t old, flag = 0;

	if ((atomic_load_explicit(word, memory_order_relaxed) & LOCK_TID) == tid)
		return -EDEADLK;
	for (int i = 0; i < LOCK_SPINS; i++) {
		old = 0;
		if (atomic_compare_exchange_weak_explicit(word, &old, tid, memory_order_acquire,
							  memory_order_relaxed))
			return 0;
		cpu_relax();
	}
	for (;;) {
		old = atomic_load_explicit(word, memory_order_relaxed);
		if (old == 0) {
			/* Once asleep we can't know whether others are too: keep the flag. */
			if (atomic_compare_exchange_weak_explicit(word, &old, tid | flag,
								  memory_order_acquire,
								  memory_order_relaxed))
				return 0;
			continue;
		}
		if (!(old & CHAN_LOCK_WAITERS) &&
		    !atomic_compare_exchange_weak_explicit(word, &old, old | CHAN_LOCK_WAITERS,
							   memory_order_relaxed,
							   memory_order_relaxed))
			continue;
		old |= CHAN_LOCK_WAITERS;
		flag = CHAN_LOCK_WAITERS;
		uint64_t due = chan_now_ns() + CHAN_LOCK_SLICE_MS * NSEC_PER_MSEC;
		struct timespec ts = { (time_t)(due / NSEC_PER_SEC), (long)(due % NSEC_PER_SEC) };
		if (sys_futex_wait(word, old, &ts) != -ETIMEDOUT)
			continue;
		if (owner_is_dead((int)(old & LOCK_TID)) &&
		    atomic_compare_exchange_strong_explicit(word, &old, tid | flag,
							    memory_order_acquire,
							    memory_order_relaxed))
			return 0;
	}
}

void chan_unlock_wake(_Atomic uint32_t *word)
{
	sys_futex_wake(word, 1);
}
