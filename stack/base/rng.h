/* Randomness behind one struct, so that tests can seed it: xoshiro256** for choices without an
 * adversary, SipHash keys for what an adversary must not guess. Never reads the system itself:
 * the owner seeds it (host/ from getrandom(2), tests from a number). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

struct rng {
	uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, n), n >= 1. */
uint32_t rng_below(struct rng *r, uint32_t n);

struct siphash_key {
	uint64_t k[2];
};
/* SipHash-2-4 of n bytes. */
uint64_t siphash(const struct siphash_key *key, const void *p, uint32_t n);
