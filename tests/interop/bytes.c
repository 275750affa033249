/* The bytes of a stream: of a seed, different at every position, cheap to make and to check. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "tests/interop/streams.h"

static uint64_t word(uint32_t seed, uint64_t i)
{
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull ^ (uint64_t)seed << 32;

	x = (x ^ x >> 31) * 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

/* Of the word at pos: how many of the n bytes are of it. */
static size_t part(uint64_t pos, size_t n)
{
	size_t left = 8 - pos % 8;

	return left < n ? left : n;
}

void stream_fill(uint8_t *buf, uint32_t seed, uint64_t pos, size_t n)
{
	for (size_t k; n; buf += k, pos += k, n -= k) {
		uint64_t w = word(seed, pos / 8);

		k = part(pos, n);
		if (k == 8)
			memcpy(buf, &w, 8);
		else
			memcpy(buf, (uint8_t *)&w + pos % 8, k);
	}
}

bool stream_check(const uint8_t *buf, uint32_t seed, uint64_t pos, size_t n)
{
	for (size_t k; n; buf += k, pos += k, n -= k) {
		uint64_t w = word(seed, pos / 8), there;

		k = part(pos, n);
		if (k == 8) {
			memcpy(&there, buf, 8);
			if (there != w)
				return false;
		} else if (memcmp(buf, (uint8_t *)&w + pos % 8, k) != 0) {
			return false;
		}
	}
	return true;
}
