/* The host's side of IGMP: tells routers and switches which groups are heard here (RFC 3376), in the words of
 * older ones when such a querier is on the link (RFC 2236, RFC 1112). One for the engine, on one data thread.
 * Pure: time and chance are given, packets leave by ops. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/net/mcast.h"
#include "stack/net/netif.h"

#define IGMP_ALL_ROUTERS 0xe0000002u /* 224.0.0.2 */
#define IGMP_V3_ROUTERS 0xe0000016u  /* 224.0.0.22 */

struct igmp;
struct igmp_ops {
	/* Sends n bytes to group dst on nif, with TTL 1 and the router alert option (RFC 2113). */
	void (*send)(void *arg, struct netif *nif, uint32_t dst, const void *p, uint32_t n);
};
/* NULL: no memory. */
struct igmp *igmp_new(const struct igmp_ops *ops, void *arg, uint64_t seed, uint64_t now_ns);
void igmp_free(struct igmp *ig);
/* What is heard of group on nif is now *s. Reports leave at the next igmp_advance(). */
void igmp_set(struct igmp *ig, struct netif *nif, const struct ipaddr *group,
	      const struct mcast_state *s, uint64_t now_ns);
/* A message received on nif, addressed to dst. */
void igmp_input(struct igmp *ig, struct netif *nif, uint32_t dst, const void *p, uint32_t n,
		uint64_t now_ns);
void igmp_advance(struct igmp *ig, uint64_t now_ns);
uint64_t igmp_next_ns(const struct igmp *ig);
/* Groups known, also those whose leaving is still to be told. For tests. */
uint32_t igmp_groups(const struct igmp *ig);
/* As gmp_rows(). */
uint32_t igmp_rows(const struct igmp *ig, uint64_t *cursor, struct mcast_row *rows, uint32_t n);
