/* Which data thread owns a flow: the Toeplitz hash with the key 0x6d5a repeated, which is symmetric
 * (both directions of a flow give the same value) and which ports with RSS can be told to use.
 *
 * With a key of period 16 every 16-bit word of the input meets the same key window, and the hash is
 * linear, so it equals the hash of the exclusive or of all words: one 16-bit value. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/base/ipaddr.h"

enum { FLOW_RSS_KEY = 0x6d5a, FLOW_RETA = 128 };

/* RSS hash of the folded input x. */
static inline uint32_t flow_hash_fold(uint16_t x)
{
	const uint32_t key = FLOW_RSS_KEY | (uint32_t)FLOW_RSS_KEY << 16;
	uint32_t h = 0;

	for (unsigned i = 0; i < 16; i++) {
		uint32_t window = i ? key << i | key >> (32 - i) : key;

		h ^= window & (uint32_t)-(int32_t)(x >> (15 - i) & 1);
	}
	return h;
}
static inline uint16_t flow_fold4(uint32_t a, uint32_t b, uint16_t sport, uint16_t dport)
{
	uint32_t x = a ^ b;

	return (uint16_t)(x >> 16 ^ x ^ sport ^ dport);
}
/* The 7 low bits index a redirection table of 128 entries, filled 0, 1, .., n - 1, 0, 1, ... */
static inline uint32_t flow_worker_of(uint32_t hash, uint32_t n_workers)
{
	return (hash & (FLOW_RETA - 1)) % n_workers;
}
/* Addresses in host order; ports 0 for what has none (fragments, ICMP echo). */
static inline uint32_t flow_worker4(uint32_t a, uint32_t b, uint16_t sport, uint16_t dport,
				    uint32_t n_workers)
{
	if (n_workers <= 1)
		return 0;
	return flow_worker_of(flow_hash_fold(flow_fold4(a, b, sport, dport)), n_workers);
}
/* The same for 128-bit addresses: the prefixes of two v4-mapped ones cancel out. */
static inline uint32_t flow_worker6(const struct ipaddr *a, const struct ipaddr *b, uint16_t sport,
				    uint16_t dport, uint32_t n_workers)
{
	uint32_t x = 0;

	for (int i = 0; i < 4; i++)
		x ^= a->w[i] ^ b->w[i];
	return flow_worker4(be32_get((be32){ x }), 0, sport, dport, n_workers);
}
