/* A 128-bit address: IPv6, or IPv4 in its v4-mapped form (RFC 4291 2.5.5.2), and an endpoint.
 * One form everywhere inside the engine and the channel; sockaddrs exist only in the shim. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "stack/base/be.h"

struct ipaddr {
	union {
		uint8_t b[16];
		uint32_t w[4];
		uint64_t q[2];
	};
};
_Static_assert(sizeof(struct ipaddr) == 16, "shared-memory ABI");

struct endpoint {
	struct ipaddr addr;
	uint16_t port; /* host order */
	uint16_t pad;
	uint32_t scope; /* IPv6 zone index, 0 for IPv4 */
};
_Static_assert(sizeof(struct endpoint) == 24, "shared-memory ABI");

/* ip4 in host order: 0x0a4d0002 is 10.77.0.2. */
static inline struct ipaddr ipaddr_v4(uint32_t ip4)
{
	struct ipaddr a = { .w = { 0, 0, be32_of(0xffff).raw, be32_of(ip4).raw } };
	return a;
}
static inline bool ipaddr_is_v4(const struct ipaddr *a)
{
	return a->q[0] == 0 && a->w[2] == be32_of(0xffff).raw;
}
/* Host-order IPv4 address of a v4-mapped address. */
static inline uint32_t ipaddr_get_v4(const struct ipaddr *a)
{
	return be32_get((be32){ a->w[3] });
}
static inline bool ipaddr_eq(const struct ipaddr *a, const struct ipaddr *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}
/* in6addr_any or v4-mapped 0.0.0.0. */
static inline bool ipaddr_is_any(const struct ipaddr *a)
{
	return a->q[0] == 0 && (a->q[1] == 0 || (ipaddr_is_v4(a) && a->w[3] == 0));
}
static inline bool ipaddr_is_loopback(const struct ipaddr *a)
{
	if (ipaddr_is_v4(a))
		return a->b[12] == 127;
	return a->q[0] == 0 && a->w[2] == 0 && a->w[3] == be32_of(1).raw;
}
/* fe80::/10: of one link, whose interface has to be said as well (RFC 4007). */
static inline bool ipaddr_is_link_local(const struct ipaddr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}
/* Does it mean something else on each interface? Link-local, and groups of interface or link. */
static inline bool ipaddr_has_zone(const struct ipaddr *a)
{
	uint8_t scope = a->b[1] & 0x0f;

	return ipaddr_is_link_local(a) || (a->b[0] == 0xff && (scope == 1 || scope == 2));
}
/* The same address, port and zone? All that is between them (pad) is 0. */
static inline bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	uint64_t ends[2];

	memcpy(&ends[0], (const char *)a + offsetof(struct endpoint, port), sizeof(ends[0]));
	memcpy(&ends[1], (const char *)b + offsetof(struct endpoint, port), sizeof(ends[1]));
	return ends[0] == ends[1] && ipaddr_eq(&a->addr, &b->addr);
}
/* The same address in the same zone, whatever the ports? */
static inline bool endpoint_same_addr(const struct endpoint *a, const struct endpoint *b)
{
	return a->scope == b->scope && ipaddr_eq(&a->addr, &b->addr);
}
/* The address to keep something by: one of a link has the zone where fe80::/64 has zeros. */
static inline struct ipaddr endpoint_key(const struct endpoint *e)
{
	struct ipaddr a = e->addr;

	a.w[1] ^= e->scope; /* 0 of an address without a zone */
	return a;
}
static inline bool ipaddr_is_multicast(const struct ipaddr *a)
{
	return ipaddr_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}
