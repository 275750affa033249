/* Addresses that a port makes itself: stable ones that tell nothing about it (RFC 7217), and
 * temporary ones (RFC 8981). Pure. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/base/ipaddr.h"
#include "stack/base/rng.h"
#include "stack/wire/eth.h"

enum { STABLE_TRIES = 3 }; /* RFC 7217 6: IDGEN_RETRIES */

/* The address of a station under a prefix of 64 bits; attempt: how many of them others have had already. */
struct ipaddr stable_addr(const struct ipaddr *prefix, struct eth_addr mac, uint32_t attempt,
			  const struct siphash_key *secret);
/* One that nobody can foresee. */
struct ipaddr temporary_addr(const struct ipaddr *prefix, struct rng *rng);
