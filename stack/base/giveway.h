/* Giving the processor away while spinning, because whom we wait for may need it: when, and when no more.
 * Knows times only; the caller reads the clock and makes the call. One of these to a thread.
 *
 * A processor that comes back at once was wanted by nobody: the next time is later. One that others
 * have used for a moment is shared with threads that give it back, most likely those we wait for:
 * then giving it away early is worth more than spinning. Who keeps it for GIVEWAY_KEPT_NS computes, and
 * takes a whole tick of the kernel each time: then it is better to sleep at once, because who sleeps and is
 * woken comes first. That can't be known beforehand, only made rare: in so many waits nothing is
 * given away, and in more when it soon happens again. Waits are counted, not time, because each may make
 * somebody late, and it is their share that counts. The first time they are few: the host of a virtual
 * machine that takes the processor for some milliseconds looks the same, and who spins and gives nothing
 * away holds up those he waits for. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/util.h"

enum {
	GIVEWAY_ALONE_NS = 1500, /* a call without another thread takes 0.1 to 1 us, two switches 2 to 5 */
	GIVEWAY_OFTEN_NS = 500,
	GIVEWAY_RARELY_NS = 8000,
	GIVEWAY_KEPT_NS = 1500000, /* the kernel's slice on two processors is 1.4 ms, on more it is longer */
	GIVEWAY_BAR_MIN = 4,
	GIVEWAY_BAR_TIMES = 8,
	GIVEWAY_BAR_MAX = 16384,
	GIVEWAY_SOON = 8, /* times the last bar: so many good waits make the next bar a short one */
};

/* Zeroed memory is the valid start state: alone as far as we know. */
struct giveway {
	uint64_t at_ns;	 /* next time */
	uint32_t gap_ns; /* from one time to the next */
	uint32_t barred; /* waits in which not to spin, and this one */
	uint32_t bar;	 /* how many they were last time */
	uint32_t good;	 /* waits since then */
};

/* Somebody keeps the processor. */
static inline bool giveway_barred(const struct giveway *g) { return g->barred > 0; }
/* Another wait begins. */
static inline void giveway_count(struct giveway *g)
{
	if (g->barred > 0)
		g->barred--;
	else if (g->good < UINT32_MAX)
		g->good++;
}
/* Spinning begins: the processor is due at once where others have wanted it lately. */
static inline void giveway_begin(struct giveway *g, uint64_t now_ns)
{
	g->at_ns = now_ns + (g->gap_ns > GIVEWAY_OFTEN_NS ? g->gap_ns : 0);
}
static inline bool giveway_due(const struct giveway *g, uint64_t now_ns) { return now_ns >= g->at_ns; }

/* We were away from the processor between the two times, by our own will or not. Returns how long others
 * had it, at most. */
static inline uint64_t giveway_back(struct giveway *g, uint64_t left_ns, uint64_t now_ns)
{
	uint64_t away = now_ns - left_ns;

	if (away < GIVEWAY_ALONE_NS) {
		g->gap_ns = min_u32(max_u32(g->gap_ns * 2, GIVEWAY_OFTEN_NS), GIVEWAY_RARELY_NS);
		g->at_ns = now_ns + g->gap_ns;
		return 0;
	}
	g->gap_ns = GIVEWAY_OFTEN_NS;
	g->at_ns = now_ns + g->gap_ns;
	if (away >= GIVEWAY_KEPT_NS) {
		bool again = g->bar > 0 && g->good < GIVEWAY_SOON * g->bar;

		g->bar = again ? min_u32(g->bar * GIVEWAY_BAR_TIMES, GIVEWAY_BAR_MAX) : GIVEWAY_BAR_MIN;
		g->barred = g->bar + 1;
		g->good = 0;
	}
	return away - GIVEWAY_ALONE_NS;
}
