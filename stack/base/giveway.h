/* Giving the processor away while spinning, because whom we wait for may need it: when, and when no more.
 * Knows times only; the caller reads the clock and makes the call. One of these to a thread.
 *
 * A processor that comes back at once was wanted by nobody: the next time is later. One that others
 * have used for a moment is shared with threads that give it back, most likely those we wait for:
 * then giving it away early is worth more than spinning. Who keeps it for GIVEWAY_KEPT_NS computes, and
 * takes a whole tick of the kernel each time: then it is better to sleep at once, because who sleeps and is
 * woken comes first. That can't be known beforehand, only made rare: for so many waits, and so long,
 * nothing is given away; for longer when it happens again as soon as that is over, else for less.
 *
 * What looks like somebody who computes is often none: a program that starts, or the host of a virtual
 * machine that takes the processor for some milliseconds. Whoever gives nothing away then holds up those he
 * waits for, which costs far more than a tick now and then. So the first bar is some waits, and the next
 * ones last about as long as it has been going on. */
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
	GIVEWAY_BAR_WAITS = 4,	 /* the least that a bar is */
	GIVEWAY_BAR_MIN_NS = 32000000, /* the second one's length, ... */
	GIVEWAY_BAR_TIMES = 4,		/* that of the ones after it, so many times the one before */
	GIVEWAY_BAR_MAX_NS = 512000000,
	GIVEWAY_SOON = 64, /* kept again within so many waits after a bar: he is still there */
};

/* Zeroed memory is the valid start state: alone as far as we know. */
struct giveway {
	uint64_t at_ns;	 /* next time */
	uint32_t gap_ns; /* from one time to the next */
	uint32_t barred; /* waits in which not to spin, and this one; 1: until until_ns */
	uint32_t good;	 /* waits since the last bar */
	uint32_t bar_ns; /* how long the last bar was, 0: it counted waits only */
	bool had_bar;
	uint64_t until_ns;
};

/* Somebody keeps the processor. */
static inline bool giveway_barred(const struct giveway *g) { return g->barred > 0; }
/* Another wait begins; now_ns is looked at only when barred. */
static inline void giveway_count(struct giveway *g, uint64_t now_ns)
{
	if (g->barred > 1 || (g->barred == 1 && now_ns >= g->until_ns))
		g->barred--;
	else if (g->barred == 0 && g->good < UINT32_MAX)
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
		if (g->had_bar && g->good < GIVEWAY_SOON)
			g->bar_ns = g->bar_ns ? min_u32(g->bar_ns * GIVEWAY_BAR_TIMES, GIVEWAY_BAR_MAX_NS) :
						GIVEWAY_BAR_MIN_NS;
		else
			g->bar_ns = g->bar_ns > GIVEWAY_BAR_MIN_NS ? g->bar_ns / GIVEWAY_BAR_TIMES : 0;
		g->until_ns = now_ns + g->bar_ns;
		g->barred = GIVEWAY_BAR_WAITS + 1;
		g->good = 0;
		g->had_bar = true;
	}
	return away - GIVEWAY_ALONE_NS;
}
