/* Byte order as a type: a big-endian field cannot be compared or added by accident.
 * Does not touch memory that may be unaligned; wire/ does that with load_be*(). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include <string.h>

typedef struct { uint16_t raw; } be16;
typedef struct { uint32_t raw; } be32;
_Static_assert(sizeof(be16) == 2 && sizeof(be32) == 4, "no padding");

static inline uint16_t be16_get(be16 v) { return __builtin_bswap16(v.raw); }
static inline uint32_t be32_get(be32 v) { return __builtin_bswap32(v.raw); }
static inline be16 be16_of(uint16_t v) { return (be16){ __builtin_bswap16(v) }; }
static inline be32 be32_of(uint32_t v) { return (be32){ __builtin_bswap32(v) }; }

/* Unaligned loads and stores of big-endian values, for wire/. */
static inline uint16_t load_be16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}
static inline uint32_t load_be32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}
static inline void store_be16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, 2);
}
static inline void store_be32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}
