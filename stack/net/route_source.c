/* Choice of an IPv6 source address: RFC 6724 5, rule by rule, each pair of candidates compared. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/net/route.h"

/* RFC 4007 5 */
enum scope { SCOPE_LINK = 2, SCOPE_SITE = 5, SCOPE_GLOBAL = 14 };

static uint8_t scope_of(const struct ipaddr *a)
{
	if (a->b[0] == 0xff)
		return a->b[1] & 0xf;
	if (ipaddr_is_loopback(a) || (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80))
		return SCOPE_LINK;
	if (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0xc0)
		return SCOPE_SITE;
	return SCOPE_GLOBAL;
}

/* The labels of the default policy table (2.1). */
static uint8_t label_of(const struct ipaddr *a)
{
	static const struct {
		uint8_t bytes[4], plen, label;
	} table[] = {
		{ { 0x20, 0x01, 0, 0 }, 32, 5 }, /* Teredo */
		{ { 0x20, 0x02 }, 16, 2 },	 /* 6to4 */
		{ { 0xfe, 0xc0 }, 10, 11 },	 /* site-local */
		{ { 0x3f, 0xfe }, 16, 12 },	 /* 6bone */
		{ { 0xfc }, 7, 13 },		 /* unique local */
	};
	uint32_t top = load_be32(a->b);

	if (ipaddr_is_loopback(a))
		return 0;
	for (uint32_t i = 0; i < ARRAY_LEN(table); i++) {
		uint32_t mask = 0xffffffffu << (32 - table[i].plen);

		if ((top & mask) == load_be32(table[i].bytes))
			return table[i].label;
	}
	return 1;
}

/* Bits that a and dst have in common, at most the prefix length of a (rule 8). */
static uint32_t common_bits(const struct netif_addr *a, const struct ipaddr *dst)
{
	uint32_t n = 0;

	for (int i = 0; i < 16; i++) {
		uint8_t x = a->addr.b[i] ^ dst->b[i];

		if (x) {
			n += (uint32_t)__builtin_clz(x) - 24;
			break;
		}
		n += 8;
	}
	return min_u32(n, a->plen);
}

/* Is a the better one? A rule that does not decide leaves it to the next. Rules 4 (home addresses) and 5 (all
 * candidates are of the port) have no cases here. */
static bool is_better(const struct netif_addr *a, const struct netif_addr *b, const struct ipaddr *dst,
		      uint32_t flags)
{
	uint8_t sa = scope_of(&a->addr), sb = scope_of(&b->addr), sd = scope_of(dst);
	bool da = a->flags & NETIF_ADDR_DEPRECATED, db = b->flags & NETIF_ADDR_DEPRECATED;
	bool oa = a->flags & NETIF_ADDR_OPTIMISTIC, ob = b->flags & NETIF_ADDR_OPTIMISTIC;
	bool ta = a->flags & NETIF_ADDR_TEMPORARY, tb = b->flags & NETIF_ADDR_TEMPORARY;
	bool la = label_of(&a->addr) == label_of(dst), lb = label_of(&b->addr) == label_of(dst);

	if (ipaddr_eq(&a->addr, dst) != ipaddr_eq(&b->addr, dst)) /* 1 */
		return ipaddr_eq(&a->addr, dst);
	if (sa != sb) /* 2 */
		return sa < sb ? sa >= sd : sb < sd;
	if (da != db) /* 3 */
		return db;
	if (oa != ob) /* RFC 4429 3.1 */
		return ob;
	if (la != lb) /* 6 */
		return la;
	if (ta != tb) /* 7 */
		return flags & ROUTE_SRC_PUBLIC ? tb : ta;
	return common_bits(a, dst) > common_bits(b, dst); /* 8 */
}

bool route_source6(const struct route_table *t, const struct ipaddr *dst, const struct netif *nif,
		   uint32_t flags, struct ipaddr *src)
{
	const struct netif_addr *best = NULL;

	if (!ipaddr_is_multicast(dst)) {
		const struct route *r = route_lookup_on(t, dst, nif);

		if (!r)
			return false;
		if (r->kind == ROUTE_LOCAL || !r->nif) {
			*src = r->kind == ROUTE_LOCAL ? *dst : r->src;
			return true;
		}
		nif = r->nif;
	}
	for (uint32_t i = 0; nif && i < nif->n_addrs; i++) {
		const struct netif_addr *a = &nif->addr[i];

		if (!ipaddr_is_v4(&a->addr) && (!best || is_better(a, best, dst, flags)))
			best = a;
	}
	if (best)
		*src = best->addr;
	return best != NULL;
}
