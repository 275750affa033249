/* IPv4 reassembly (RFC 791 3.2, RFC 1122 3.3.2) on net/reass.c. One per data thread. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/net/reass.h"
#include "stack/wire/ip4.h"

enum {
	IP4_REASS_TIMEOUT_MS = 30000,	/* Linux's; RFC 1122 asks for 60 to 120 s */
	IP4_REASS_BLOCK = REASS_BLOCK,
	IP4_REASS_BLOCKS = REASS_BLOCKS,
	IP4_REASS_SOURCE_BLOCKS = REASS_SOURCE_BLOCKS,
	IP4_REASS_DATAGRAMS = REASS_DATAGRAMS,
	IP4_REASS_FRAGS = REASS_FRAGS,
};

struct ip4_reass;
/* NULL: no memory. */
struct ip4_reass *ip4_reass_new(uint64_t seed, uint64_t now_ns);
void ip4_reass_free(struct ip4_reass *r);
/* One fragment with payload bytes at p. When it completes the datagram: true, *payload and *len are
 * the whole datagram's, valid until the next call, and *h is its header as if never fragmented. */
bool ip4_reass_input(struct ip4_reass *r, struct ip4 *h, const void *p, uint32_t n,
		     const uint8_t **payload, uint32_t *len, uint64_t now_ns);
/* Drops what has waited too long. */
void ip4_reass_advance(struct ip4_reass *r, uint64_t now_ns);
uint64_t ip4_reass_next_ns(const struct ip4_reass *r);
/* Blocks in use, for tests. */
uint32_t ip4_reass_blocks(const struct ip4_reass *r);
uint32_t ip4_reass_datagrams(const struct ip4_reass *r);
