/* A set of half-open intervals [start, end) of uint32_t positions compared modulo 2^32: TCP
 * reassembly, SACK scoreboard, IP fragments. All members lie within 2^31 of each other.
 * Fixed capacity, no allocation: adding to a full set fails and leaves the set as it was. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { RANGES_MAX = 32 };

struct range {
	uint32_t start, end; /* end is not included */
};

/* Zeroed memory is the empty set. Sorted, disjoint, never touching, each non-empty. */
struct ranges {
	uint32_t n;
	struct range r[RANGES_MAX];
};

static inline bool ranges_empty(const struct ranges *s) { return s->n == 0; }
/* Adds [start, end), merging. False when the set is full (set unchanged). Empty input: true. */
bool ranges_add(struct ranges *s, uint32_t start, uint32_t end);
/* Drops everything before `upto`. */
void ranges_trim(struct ranges *s, uint32_t upto);
/* Removes [start, end) from the set. False when that would need a slot that is not there. */
bool ranges_remove(struct ranges *s, uint32_t start, uint32_t end);
/* True when every position of [start, end) is in the set. */
bool ranges_contain(const struct ranges *s, uint32_t start, uint32_t end);
/* True when any position of [start, end) is in the set. */
bool ranges_overlap(const struct ranges *s, uint32_t start, uint32_t end);
/* Sum of the lengths. */
uint32_t ranges_total(const struct ranges *s);
