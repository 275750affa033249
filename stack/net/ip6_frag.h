/* IPv6 reassembly (RFC 8200 4.5, RFC 5722) on net/reass.c. One per data thread. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/net/ip6.h"
#include "stack/net/reass.h"

enum { IP6_REASS_TIMEOUT_MS = 60000 };

struct ip6_reass;
/* NULL: no memory. env: sends "time exceeded" (RFC 8200 4.5). */
struct ip6_reass *ip6_reass_new(struct net_env *env, uint64_t seed);
void ip6_reass_free(struct ip6_reass *r);
/* in: a fragment from ip6_input(). When it completes the packet: true, and *in is the whole behind its IPv6
 * header (the headers before the fragment header are gone), valid until the next call; go on with
 * ip6_input_whole(). */
bool ip6_reass_input(struct ip6_reass *r, struct ip6_in *in);
void ip6_reass_advance(struct ip6_reass *r, uint64_t now_ns);
uint64_t ip6_reass_next_ns(const struct ip6_reass *r);
/* In use, for tests. */
uint32_t ip6_reass_blocks(const struct ip6_reass *r);
