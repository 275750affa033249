/* Two whole TCP cores joined by a fake wire: seeded loss (alone, or a wire that is dead for a while),
 * duplication, reordering, delay and jitter, a bottleneck whose queue drops and marks; seeded
 * applications, controllers, ECN, pacing. One call is one scenario from open to the last timer. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

enum { PAIR_WHY = 256 };

/* How the scenario of a seed ends. */
enum pair_end {
	PAIR_POLITE,  /* both send all, shut down, read to EOF, close */
	PAIR_RUDE,    /* somebody closes or aborts in the middle */
};
/* NULL, or what went wrong, in why. */
const char *pair_run(uint64_t seed, enum pair_end end, char why[PAIR_WHY]);
/* Segments that crossed the wire so far, for the summary line. */
uint64_t pair_segments(void);
