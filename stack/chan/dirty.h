/* Dirty marks: "look at this socket" and "there is a call", from the application to a data thread.
 *
 * Three levels of 64-bit words: low has a bit per socket, mid a bit per low word, top a bit per mid
 * word. The application sets bottom to top, the engine clears top to bottom. Marks are idempotent:
 * they can't overflow, and a thread that dies or is interrupted half way leaves at worst a low bit
 * that the next mark of a neighbour completes.
 *
 * No mark is lost. The application has stored what it wants seen, then does D1, D2, D3:
 *   D1 fetch_or(low)     a full barrier: the store before it is visible to whoever takes the bit
 *   D2 load(mid), or it in when the bit is clear
 *   D3 load(top), or it in when the bit is clear
 * The engine does T1 take a bit of top, T2 exchange(mid, 0), T3 exchange(low, 0), then reads the
 * socket. Suppose D3 saw the top bit set (or set it): a T1 follows. At its T2 the mid bit is there, or
 * an earlier T2, later than D2, has taken it, and the T3 after that one is later than D1. So in each
 * case a T3 later than D1 comes and takes the low bit, and what the engine reads then includes the
 * store. Skipping an or whose bit is set is therefore safe.
 *
 * No wake-up is lost. The data thread stores sleeping = 1, fences (S1), looks at top and calls, and
 * only then sleeps on its eventfds. The application's D1 or fetch_or(calls) is a full barrier (S2), then
 * it loads sleeping. Either the load sees 1 and rings, or S1 is later than S2 in the total order and
 * the look sees top: D3's bit was set before the load, by us or by another that has it still set. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include "stack/base/sys.h"
#include "stack/chan/layout.h"

/* ---- application ---- */
/* Rings a data thread that sleeps. Call after a full barrier that follows the mark. */
static inline void chan_ring(const struct chan_engine *e, uint32_t worker, int event_fd)
{
	if (atomic_load_explicit(&e->worker[worker].sleeping, memory_order_relaxed)) {
		uint64_t one = 1;

		sys_write(event_fd, &one, sizeof(one));
	}
}
/* Marks socket id (< CHAN_MAX_SOCKS) in the table of its home worker. */
static inline void chan_dirty_set(struct chan_dirty *d, uint32_t id)
{
	uint64_t low = 1ull << (id & 63), mid = 1ull << ((id >> 6) & 63), top = 1ull << (id >> 12);
	_Atomic uint64_t *m = &d->mid[id >> 12];

	atomic_fetch_or_explicit(&d->low[id >> 6], low, memory_order_seq_cst);
	if (!(atomic_load_explicit(m, memory_order_seq_cst) & mid))
		atomic_fetch_or_explicit(m, mid, memory_order_seq_cst);
	if (!(atomic_load_explicit(&d->top, memory_order_seq_cst) & top))
		atomic_fetch_or_explicit(&d->top, top, memory_order_seq_cst);
}
/* Says that call slot `slot` holds a request. */
static inline void chan_dirty_call(struct chan_dirty *d, uint32_t slot)
{
	atomic_fetch_or_explicit(&d->calls[slot >> 6], 1ull << (slot & 63), memory_order_seq_cst);
}

/* ---- engine: d is hostile memory, any bit may be set at any time ---- */
/* Anything to look at? One cache line. */
static inline bool chan_dirty_any(const struct chan_dirty *d)
{
	uint64_t any = atomic_load_explicit(&d->top, memory_order_relaxed);

	for (unsigned i = 0; i < CHAN_MAX_CALLS / 64; i++)
		any |= atomic_load_explicit(&d->calls[i], memory_order_relaxed);
	return any != 0;
}
/* Takes up to max (>= 64) marked sockets into ids; returns how many. What does not fit stays marked. */
uint32_t chan_dirty_take(struct chan_dirty *d, uint32_t *ids, uint32_t max);
/* Takes the marked call slots of word i. */
static inline uint64_t chan_dirty_take_calls(struct chan_dirty *d, uint32_t i)
{
	if (!atomic_load_explicit(&d->calls[i], memory_order_relaxed))
		return 0;
	return atomic_exchange_explicit(&d->calls[i], 0, memory_order_seq_cst);
}
