/* TCP sequence numbers as a type, RFC 9293 3.4: comparisons are modulo 2^32, and a plain `<` does
 * not compile. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct { uint32_t v; } seq_t;

static inline seq_t seq_of(uint32_t v) { return (seq_t){ v }; }
static inline seq_t seq_add(seq_t a, uint32_t n) { return (seq_t){ a.v + n }; }
static inline seq_t seq_sub(seq_t a, uint32_t n) { return (seq_t){ a.v - n }; }
/* a - b; meaningful as a length only where the caller knows that b <= a. */
static inline uint32_t seq_diff(seq_t a, seq_t b) { return a.v - b.v; }
static inline bool seq_eq(seq_t a, seq_t b) { return a.v == b.v; }
static inline bool seq_lt(seq_t a, seq_t b) { return (int32_t)(a.v - b.v) < 0; }
static inline bool seq_le(seq_t a, seq_t b) { return (int32_t)(a.v - b.v) <= 0; }
static inline bool seq_gt(seq_t a, seq_t b) { return (int32_t)(a.v - b.v) > 0; }
static inline bool seq_ge(seq_t a, seq_t b) { return (int32_t)(a.v - b.v) >= 0; }
static inline seq_t seq_max(seq_t a, seq_t b) { return seq_ge(a, b) ? a : b; }
static inline seq_t seq_min(seq_t a, seq_t b) { return seq_le(a, b) ? a : b; }
/* start <= x < start + len */
static inline bool seq_in(seq_t x, seq_t start, uint32_t len) { return x.v - start.v < len; }
