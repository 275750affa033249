/* The host's side of MLD: tells routers and switches which IPv6 groups are heard on a port (RFC
 * 3810), in the words of version 1 when such a querier is on the link (RFC 2710). Groups are heard
 * from all sources. One for the engine, on data thread 0. Pure: time and chance are given, packets
 * leave by ops. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/net/netif.h"

enum {
	MLD_GROUPS = 32,	    /* of a port */
	MLD_ROBUSTNESS = 2,	    /* RFC 3810 9.1 */
	MLD_QUERY_INTERVAL_S = 125, /* 9.2 */
	MLD_UNSOLICITED_MS = 1000,  /* 9.11 */
	MLD_UNSOLICITED_V1_MS = 10000, /* RFC 2710 7.10 */
};

struct mld;
struct mld_ops {
	/* Sends n bytes of ICMPv6, without the checksum, to the group dst on nif, with hop limit 1 and the
	 * router alert option (RFC 3810 5). */
	void (*send)(void *arg, struct netif *nif, const struct ipaddr *dst, void *p, uint32_t n);
};
/* NULL: no memory. */
struct mld *mld_new(const struct mld_ops *ops, void *arg, uint64_t seed, uint64_t now_ns);
void mld_free(struct mld *m);
/* Each join needs a leave. Reports leave at the next mld_advance(). */
void mld_join(struct mld *m, struct netif *nif, const struct ipaddr *group, uint64_t now_ns);
void mld_leave(struct mld *m, struct netif *nif, const struct ipaddr *group, uint64_t now_ns);
/* A message whose checksum, source and router alert option are as they have to be. */
void mld_input(struct mld *m, struct netif *nif, const void *p, uint32_t n, uint64_t now_ns);
void mld_advance(struct mld *m, uint64_t now_ns);
uint64_t mld_next_ns(const struct mld *m);
