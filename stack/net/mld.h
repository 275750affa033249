/* The host's side of MLD: tells routers and switches which IPv6 groups are heard on a port (RFC
 * 3810), in the words of version 1 when such a querier is on the link (RFC 2710). One for the engine, on data
 * thread 0. Pure: time and chance are given, packets leave by ops. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/net/mcast.h"
#include "stack/net/netif.h"

enum { MLD_GROUPS = 32 /* of a port's own addresses */ };

struct mld;
struct mld_ops {
	/* Sends n bytes of ICMPv6, without the checksum, to the group dst on nif, with hop limit 1 and the
	 * router alert option (RFC 3810 5). */
	void (*send)(void *arg, struct netif *nif, const struct ipaddr *dst, void *p, uint32_t n);
};
/* NULL: no memory. */
struct mld *mld_new(const struct mld_ops *ops, void *arg, uint64_t seed, uint64_t now_ns);
void mld_free(struct mld *m);
/* The port itself hears group, from all sources: one of its addresses asks for it. Each join needs a leave.
 * Reports leave at the next mld_advance(). */
void mld_join(struct mld *m, struct netif *nif, const struct ipaddr *group, uint64_t now_ns);
void mld_leave(struct mld *m, struct netif *nif, const struct ipaddr *group, uint64_t now_ns);
/* What sockets hear of group on nif is now *s. */
void mld_set(struct mld *m, struct netif *nif, const struct ipaddr *group, const struct mcast_state *s,
	     uint64_t now_ns);
/* A message whose checksum, source and router alert option are as they have to be. */
void mld_input(struct mld *m, struct netif *nif, const void *p, uint32_t n, uint64_t now_ns);
void mld_advance(struct mld *m, uint64_t now_ns);
uint64_t mld_next_ns(const struct mld *m);
/* Groups known, also those whose leaving is still to be told. For tests. */
uint32_t mld_groups(const struct mld *m);
/* As gmp_rows(). */
uint32_t mld_rows(const struct mld *m, uint64_t *cursor, struct mcast_row *rows, uint32_t n);
