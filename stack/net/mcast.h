/* The multicast groups that sockets of the stack have joined, per interface, of all data threads together:
 * what ip4_input() and ip6_input() accept and what IGMP and MLD report. Each thread says what its own sockets
 * want; reading takes no lock. Pure. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"

enum {
	MCAST_SLOTS = 2048,  /* groups on interfaces */
	MCAST_SOURCES = 64,  /* of a filter; a longer list of wanted ones means all */
};
#define MCAST_ALL_HOSTS 0xe0000001u /* 224.0.0.1 */
/* 224.0.0.1, ff01::1 and ff02::1: always received, never reported (RFC 3376 5, RFC 3810 6). */
bool mcast_is_everybody(const struct ipaddr *group);

/* A filter as in RFC 3376 2: hear only (include) or all but (not include) the n sources. Nobody is a member:
 * include with no sources. */
struct mcast_state {
	bool include;
	uint32_t n;
	struct ipaddr src[MCAST_SOURCES];
};
static inline bool mcast_is_member(const struct mcast_state *s) { return !s->include || s->n; }
static inline bool mcast_is_listed(const struct mcast_state *s, const struct ipaddr *src)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (ipaddr_eq(&s->src[i], src))
			return true;
	}
	return false;
}

/* A group as the port's routers know it, for `fastnet ip` and tests. */
struct mcast_row {
	struct ipaddr group;
	uint16_t nif;
	bool include;
	uint16_t n_sources;
};

struct mcast;
/* NULL: no memory. */
struct mcast *mcast_new(uint32_t n_workers, uint64_t seed);
void mcast_free(struct mcast *m);
/* What the sockets of a worker want of group on an interface is now *s. 0, or -ENOBUFS: too many groups; it
 * will not be heard. */
int mcast_set(struct mcast *m, uint32_t worker, const struct ipaddr *group, uint32_t ifindex,
	      const struct mcast_state *s);
/* Would any socket hear a datagram from src? Any thread; m may be NULL (everybody's groups only). */
bool mcast_wants(const struct mcast *m, const struct ipaddr *group, uint32_t ifindex,
		 const struct ipaddr *src);
/* Does any source of the group interest us? */
bool mcast_is_joined(const struct mcast *m, const struct ipaddr *group, uint32_t ifindex);
/* Takes one change off the list: the new state of a group. False: nothing has changed. For the one thread
 * that speaks IGMP and MLD. */
struct mcast_change {
	struct ipaddr group;
	uint32_t ifindex;
	struct mcast_state state;
};
bool mcast_next_change(struct mcast *m, struct mcast_change *c);
/* Cheap: is there one? */
bool mcast_has_change(const struct mcast *m);
