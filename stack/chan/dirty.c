/* The engine takes dirty marks: top to bottom, see dirty.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/dirty.h"

/* Takes the sockets below bit i of top; false when ids is too full for a whole low word and the rest was
 * put back. */
static bool take_top(struct chan_dirty *d, unsigned i, uint32_t *ids, uint32_t *n, uint32_t max)
{
	uint64_t mid = atomic_exchange_explicit(&d->mid[i], 0, memory_order_seq_cst);

	while (mid) {
		unsigned j = (unsigned)__builtin_ctzll(mid);

		if (max - *n < 64) {
			atomic_fetch_or_explicit(&d->mid[i], mid, memory_order_seq_cst);
			atomic_fetch_or_explicit(&d->top, 1ull << i, memory_order_seq_cst);
			return false;
		}
		mid &= mid - 1;
		uint64_t low = atomic_exchange_explicit(&d->low[i * 64 + j], 0,
							memory_order_seq_cst);
		for (; low; low &= low - 1)
			ids[(*n)++] = i << 12 | j << 6 | (uint32_t)__builtin_ctzll(low);
	}
	return true;
}

uint32_t chan_dirty_take(struct chan_dirty *d, uint32_t *ids, uint32_t max)
{
	uint64_t top = atomic_load_explicit(&d->top, memory_order_relaxed);
	uint32_t n = 0;

	for (; top; top &= top - 1) {
		unsigned i = (unsigned)__builtin_ctzll(top);

		atomic_fetch_and_explicit(&d->top, ~(1ull << i), memory_order_seq_cst);
		if (!take_top(d, i, ids, &n, max))
			break;
	}
	return n;
}
