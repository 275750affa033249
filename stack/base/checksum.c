/* One's complement sums near memory speed: wide vector code in plain C, compiled once for every
 * x86-64 and once for AVX2, chosen at run time for pieces long enough to gain from it. */
// SPDX-License-Identifier: MIT
#include "stack/base/checksum.h"
#include <string.h>
#include "stack/base/be.h"

typedef uint64_t vec __attribute__((vector_size(32)));
enum { VEC = sizeof(vec), BLOCK = 4 * VEC, LANES = VEC / 8 };

/* Sums of 64-bit lanes: `all` modulo 2^64, `high` of their upper halves. 2^32 additions cannot
 * overflow `high`, and the sum of the lower halves is all - (high << 32): no carry is ever lost,
 * and none has to be propagated in the loop. */
struct acc {
	vec all, high;
};

/* Inlined into both forms of the loop, each of which compiles it for its own machine. */
#define FORCE_INLINE static inline __attribute__((always_inline))

/* Adds one vector from `from`, and stores it at `to` unless that is NULL. */
FORCE_INLINE void acc_take(struct acc *a, uint8_t *to, const uint8_t *from)
{
	vec v;

	memcpy(&v, from, sizeof(v));
	if (to)
		memcpy(to, &v, sizeof(v));
	a->all += v;
	a->high += v >> 32;
}

static uint64_t add_carry(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

FORCE_INLINE uint64_t acc_total(const struct acc *a)
{
	uint64_t total = 0;

	for (int i = 0; i < LANES; i++) {
		total = add_carry(total, a->high[i]);
		total = add_carry(total, a->all[i] - (a->high[i] << 32));
	}
	return total;
}

/* Sum of n bytes, n a multiple of BLOCK, copied to `to` unless that is NULL. */
FORCE_INLINE uint64_t sum_blocks(uint8_t *to, const uint8_t *from, size_t n)
{
	struct acc a0 = { 0 }, a1 = { 0 };

	for (size_t i = 0; i < n; i += BLOCK) {
		acc_take(&a0, to ? to + i : NULL, from + i);
		acc_take(&a1, to ? to + i + VEC : NULL, from + i + VEC);
		acc_take(&a0, to ? to + i + 2 * VEC : NULL, from + i + 2 * VEC);
		acc_take(&a1, to ? to + i + 3 * VEC : NULL, from + i + 3 * VEC);
	}
	return add_carry(acc_total(&a0), acc_total(&a1));
}

static uint64_t add_blocks(const uint8_t *from, size_t n) { return sum_blocks(NULL, from, n); }

static uint64_t copy_blocks(uint8_t *to, const uint8_t *from, size_t n)
{
	return sum_blocks(to, from, n);
}

__attribute__((target("avx2"))) static uint64_t add_blocks_avx2(const uint8_t *from, size_t n)
{
	return sum_blocks(NULL, from, n);
}

__attribute__((target("avx2"))) static uint64_t copy_blocks_avx2(uint8_t *to, const uint8_t *from,
								  size_t n)
{
	return sum_blocks(to, from, n);
}

static uint64_t word(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* Sum of fewer than BLOCK bytes; an odd last byte is the first of a word padded with zero. */
FORCE_INLINE uint64_t sum_rest(const uint8_t *p, size_t n)
{
	uint64_t total = 0;

	for (; n >= 32; n -= 32, p += 32) {
		total = add_carry(total, word(p));
		total = add_carry(total, word(p + 8));
		total = add_carry(total, word(p + 16));
		total = add_carry(total, word(p + 24));
	}
	for (; n >= 8; n -= 8, p += 8)
		total = add_carry(total, word(p));
	if (n & 4) {
		uint32_t v;

		memcpy(&v, p, 4);
		total = add_carry(total, v);
		p += 4;
	}
	if (n & 2) {
		uint16_t v;

		memcpy(&v, p, 2);
		total = add_carry(total, v);
		p += 2;
	}
	return n & 1 ? add_carry(total, *p) : total;
}

static uint32_t fold64(uint64_t s)
{
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffffffff) + (s >> 32);
	return (uint32_t)s;
}

/* Apart, so that short messages do not set up what only the vectors need. */
static __attribute__((noinline)) uint64_t add_bulk(const uint8_t *from, size_t n)
{
	return __builtin_cpu_supports("avx2") ? add_blocks_avx2(from, n) : add_blocks(from, n);
}

static __attribute__((noinline)) uint64_t copy_bulk(uint8_t *to, const uint8_t *from, size_t n)
{
	return __builtin_cpu_supports("avx2") ? copy_blocks_avx2(to, from, n) :
						copy_blocks(to, from, n);
}

static __attribute__((noinline)) uint32_t add_long(uint32_t sum, const uint8_t *p, size_t n)
{
	size_t bulk = n - n % BLOCK;
	uint64_t total = add_carry(add_bulk(p, bulk), sum_rest(p + bulk, n - bulk));

	return fold64(add_carry(total, sum));
}

uint32_t csum_add(uint32_t sum, const void *p, size_t n)
{
	/* Headers and small messages are most of what is summed. */
	return n < BLOCK ? fold64(add_carry(sum_rest(p, n), sum)) : add_long(sum, p, n);
}

uint32_t csum_copy(void *dst, const void *src, size_t n, uint32_t sum)
{
	const uint8_t *b = src;
	uint8_t *d = dst;
	size_t bulk = n - n % BLOCK;
	uint64_t total = bulk ? copy_bulk(d, b, bulk) : 0;

	/* What is summed is what was copied, also when an application changes it meanwhile. */
	memcpy(d + bulk, b + bulk, n - bulk);
	return fold64(add_carry(add_carry(total, sum_rest(d + bulk, n - bulk)), sum));
}

uint32_t csum_pseudo(const struct ipaddr *src, const struct ipaddr *dst, uint8_t proto,
		     uint32_t len)
{
	/* Protocol and length as they would lie in the pseudo header. The length is 16 bits wide
	 * for IPv4 and 32 for IPv6; as a sum of 16-bit words both are the same number. */
	uint64_t s = (uint64_t)be32_of(len).raw + be16_of(proto).raw;

	if (ipaddr_is_v4(src) && ipaddr_is_v4(dst))
		return fold64(s + src->w[3] + dst->w[3]);
	for (int i = 0; i < 4; i++)
		s += (uint64_t)src->w[i] + dst->w[i];
	return fold64(s);
}
