/* Routes: longest prefix first, next hop and source address. Built before the workers start (or while
 * they stand still), read by all of them. Pure: no packets, no clock. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"
#include "stack/net/netif.h"

enum { ROUTE_MAX = 64 };
enum route_kind {
	ROUTE_LOCAL = 1,     /* one of our own addresses (or 127/8 when claimed) */
	ROUTE_ONLINK = 2,    /* next hop is the destination itself */
	ROUTE_GATEWAY = 3,
	ROUTE_BROADCAST = 4, /* a subnet's broadcast address: received by us, never a TCP peer */
};

struct route {
	struct ipaddr prefix, mask; /* mask: made of plen by route_add() */
	uint8_t plen;	   /* of the 128-bit form: 10.77.0.0/24 is 120 */
	uint8_t kind;	   /* enum route_kind */
	struct netif *nif; /* NULL for loopback */
	struct ipaddr gateway;
	struct ipaddr src; /* source address of what we originate */
};

struct route_table {
	uint32_t n;
	struct route r[ROUTE_MAX]; /* longest prefix first, then in order of entry */
};

void route_init(struct route_table *t);
/* Adds one route; 0, -ENOSPC, -EEXIST (same prefix; fe80::/10: of the same port), -EINVAL.
 * Bits of prefix beyond plen are cleared. */
int route_add(struct route_table *t, const struct route *r);
/* Everything that follows from the addresses of nif: local, on-link, broadcast. 0 or -errno. */
int route_add_netif(struct route_table *t, struct netif *nif);
/* Default route of gateway's family; the gateway must be on-link (a link-local one: on nif's link, NULL: that
 * of the first port with IPv6). 0, -ENETUNREACH, or as route_add. */
int route_add_gateway_on(struct route_table *t, const struct ipaddr *gateway, const struct netif *nif);
static inline int route_add_gateway(struct route_table *t, const struct ipaddr *gateway)
{
	return route_add_gateway_on(t, gateway, NULL);
}
/* 127/8 and ::1 are addresses of ours. */
int route_add_loopback(struct route_table *t);
/* The route to dst, NULL when there is none. */
const struct route *route_lookup(const struct route_table *t, const struct ipaddr *dst);
/* The same for an address of one link, fe80::/10: every port has such a route, this is the one of
 * nif (NULL, or any other dst: as route_lookup()). */
const struct route *route_lookup_on(const struct route_table *t, const struct ipaddr *dst,
				    const struct netif *nif);
/* Where a packet of this route to dst goes: dst itself, or the gateway. */
static inline const struct ipaddr *route_next_hop(const struct route *r, const struct ipaddr *dst)
{
	return r->kind == ROUTE_GATEWAY ? &r->gateway : dst;
}
/* Is addr one of our own unicast addresses? */
bool route_is_local(const struct route_table *t, const struct ipaddr *addr);
/* Source address for dst (RFC 1122 3.3.4.3); dst itself when it is ours, 127.0.0.1 for all of 127/8 as on
 * Linux. False: no route. */
bool route_source(const struct route_table *t, const struct ipaddr *dst, struct ipaddr *src);
/* Source address for an IPv6 dst by RFC 6724 5, among the addresses of the port that the way to
 * dst leads out of (nif: as in route_lookup_on(); also that of a multicast dst). False: no route,
 * or no address. */
enum route_source_flags {
	ROUTE_SRC_PUBLIC = 1 << 0, /* rather no temporary address (IPV6_PREFER_SRC_PUBLIC) */
};
bool route_source6(const struct route_table *t, const struct ipaddr *dst, const struct netif *nif,
		   uint32_t flags, struct ipaddr *src);
/* "10.77.0.2/24" or "fe80::1/64" -> address and prefix length of the 128-bit form; without a length the
 * whole address. 0 or -EINVAL. */
int route_parse_prefix(const char *text, struct ipaddr *addr, uint8_t *plen);
