/* The host's side of IGMP: tells routers and switches which groups are heard here (RFC 3376), in the words of
 * older ones when such a querier is on the link (RFC 2236, RFC 1112). One for the engine, on one data thread.
 * Pure: time and chance are given, packets leave by ops. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/net/mcast.h"
#include "stack/net/netif.h"

enum {
	IGMP_ROBUSTNESS = 2,	      /* RFC 3376 8.1 */
	IGMP_QUERY_INTERVAL_S = 125,  /* 8.2 */
	IGMP_UNSOLICITED_MS = 1000,   /* 8.11 */
	IGMP_UNSOLICITED_V2_MS = 10000, /* RFC 2236 8.10 */
	IGMP_V1_RESP_MS = 10000,      /* RFC 2236 4 */
};
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
void igmp_set(struct igmp *ig, struct netif *nif, uint32_t group, const struct mcast_state *s,
	      uint64_t now_ns);
/* A message received on nif, addressed to dst. */
void igmp_input(struct igmp *ig, struct netif *nif, uint32_t dst, const void *p, uint32_t n,
		uint64_t now_ns);
void igmp_advance(struct igmp *ig, uint64_t now_ns);
uint64_t igmp_next_ns(const struct igmp *ig);
/* Groups known, also those whose leaving is still to be told. For tests. */
uint32_t igmp_groups(const struct igmp *ig);
