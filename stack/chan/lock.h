/* Locks in shared memory that outlive their owner: the word holds the owner's thread id, bit 31 says
 * that others wait. A waiter sleeps on the futex at most CHAN_LOCK_SLICE at a time, then looks whether
 * the owner still lives and steals the lock of a dead one: everything they guard is published by one
 * store at the end (tx_tail, rx_head, head), so that a half-done job of a dead thread is simply not
 * there. The engine never takes them. Safe in signal handlers: a thread that holds the lock already
 * gets -EDEADLK, and the caller treats that as "would block". */
// SPDX-License-Identifier: MIT
#pragma once
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include "stack/base/util.h"

enum { CHAN_LOCK_WAITERS = (int)0x80000000, CHAN_LOCK_SLICE_MS = 50 };

/* This thread's id, cached. The cache must be dropped in the child of a fork, before any lock. */
extern __thread uint32_t chan_tid_cache __attribute__((tls_model("initial-exec"), visibility("hidden")));
uint32_t chan_tid_slow(void);
static inline uint32_t chan_tid(void)
{
	return likely(chan_tid_cache) ? chan_tid_cache : chan_tid_slow();
}
static inline void chan_tid_reset(void) { chan_tid_cache = 0; }

int chan_lock_slow(_Atomic uint32_t *word, uint32_t tid);
void chan_unlock_wake(_Atomic uint32_t *word);

/* 0, or -EDEADLK: this thread (below us on its stack) holds it. */
static inline int chan_lock(_Atomic uint32_t *word)
{
	uint32_t tid = chan_tid(), free = 0;

	if (likely(atomic_compare_exchange_strong_explicit(word, &free, tid, memory_order_acquire,
							   memory_order_relaxed)))
		return 0;
	return chan_lock_slow(word, tid);
}
/* 0, or -EBUSY when anybody holds it. */
static inline int chan_trylock(_Atomic uint32_t *word)
{
	uint32_t free = 0;

	return atomic_compare_exchange_strong_explicit(word, &free, chan_tid(),
						       memory_order_acquire,
						       memory_order_relaxed) ? 0 : -EBUSY;
}
/* A full barrier. */
static inline void chan_unlock(_Atomic uint32_t *word)
{
	if (unlikely(atomic_exchange_explicit(word, 0, memory_order_seq_cst) & CHAN_LOCK_WAITERS))
		chan_unlock_wake(word);
}
