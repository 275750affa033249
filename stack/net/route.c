/* The table is an array sorted by prefix length, longest first: with the handful of routes of an end
 * host a linear walk over one or two cache lines beats any tree. */
// SPDX-License-Identifier: MIT
#include "stack/net/route.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/util.h"

enum { V4_BITS = 96 }; /* of ::ffff:0:0/96 */

static inline bool prefix_match(const struct route *r, const struct ipaddr *a)
{
	return (a->q[1] & r->mask.q[1]) == r->prefix.q[1] && /* where those of IPv4 differ */
	       (a->q[0] & r->mask.q[0]) == r->prefix.q[0];
}

static struct ipaddr mask_of(uint8_t plen)
{
	struct ipaddr m;

	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = plen > i * 8 ? min_u32(plen - i * 8, 8) : 0;

		m.b[i] = (uint8_t)(0xff00 >> keep);
	}
	return m;
}

static bool is_linklocal(const struct ipaddr *a) { return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80; }

void route_init(struct route_table *t) { *t = (struct route_table){ 0 }; }

int route_add(struct route_table *t, const struct route *r)
{
	struct route in = *r;
	uint32_t at = 0;

	if (in.plen > 128)
		return -EINVAL;
	in.mask = mask_of(in.plen);
	in.prefix.q[0] &= in.mask.q[0];
	in.prefix.q[1] &= in.mask.q[1];
	if (t->n == ROUTE_MAX)
		return -ENOSPC;
	for (; at < t->n && t->r[at].plen >= in.plen; at++) {
		if (t->r[at].plen == in.plen && ipaddr_eq(&t->r[at].prefix, &in.prefix) &&
		    (!is_linklocal(&in.prefix) || t->r[at].nif == in.nif))
			return -EEXIST;
	}
	memmove(&t->r[at + 1], &t->r[at], (t->n - at) * sizeof(in));
	t->r[at] = in;
	t->n++;
	return 0;
}

/* What one address of a port implies. A second address of the same subnet finds its on-link route
 * there already. */
static int add_addr(struct route_table *t, struct netif *nif, const struct netif_addr *a)
{
	struct route local = { .prefix = a->addr, .plen = 128, .kind = ROUTE_LOCAL, .nif = nif,
			       .src = a->addr };
	struct route onlink = { .prefix = a->addr, .plen = a->plen, .kind = ROUTE_ONLINK,
				.nif = nif, .src = a->addr };
	int err = route_add(t, &local);

	if (err < 0 || a->plen == 128 || a->flags & NETIF_ADDR_AUTO)
		return err;
	err = route_add(t, &onlink);
	if (err < 0)
		return err == -EEXIST ? 0 : err;
	/* RFC 3021: a /31 has no broadcast address. */
	if (!ipaddr_is_v4(&a->addr) || a->plen >= 127 || a->plen < V4_BITS)
		return 0;
	uint32_t host_bits = 0xffffffffu >> (a->plen - V4_BITS);
	struct route bcast = { .prefix = ipaddr_v4(ipaddr_get_v4(&a->addr) | host_bits),
			       .plen = 128, .kind = ROUTE_BROADCAST, .nif = nif, .src = a->addr };
	err = route_add(t, &bcast);
	return err == -EEXIST ? 0 : err;
}

int route_add_netif(struct route_table *t, struct netif *nif)
{
	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		int err = add_addr(t, nif, &nif->addr[i]);

		if (err < 0)
			return err;
	}
	return 0;
}

int route_add_gateway_on(struct route_table *t, const struct ipaddr *gateway, const struct netif *nif)
{
	const struct route *via = route_lookup_on(t, gateway, nif);
	bool v4 = ipaddr_is_v4(gateway);

	if (!via || via->kind != ROUTE_ONLINK)
		return -ENETUNREACH;
	struct route r = {
		.prefix = v4 ? ipaddr_v4(0) : (struct ipaddr){ .q = { 0, 0 } },
		.plen = v4 ? V4_BITS : 0,
		.kind = ROUTE_GATEWAY,
		.nif = via->nif,
		.gateway = *gateway,
		.src = via->src,
	};
	return route_add(t, &r);
}

int route_add_loopback(struct route_table *t)
{
	struct route v4 = { .prefix = ipaddr_v4(0x7f000000), .plen = V4_BITS + 8,
			    .kind = ROUTE_LOCAL, .src = ipaddr_v4(0x7f000001) };
	struct route v6 = { .plen = 128, .kind = ROUTE_LOCAL };
	int err = route_add(t, &v4);

	v6.prefix.b[15] = 1;
	v6.src = v6.prefix;
	return err < 0 ? err : route_add(t, &v6);
}

const struct route *route_lookup(const struct route_table *t, const struct ipaddr *dst)
{
	const struct route *r = t->r, *end = &t->r[t->n];

	while (r < end && !prefix_match(r, dst))
		r++;
	/* ::/0 is a route of IPv6: IPv4 has its own default, of 96 bits. */
	if (r == end || (r->plen < V4_BITS && ipaddr_is_v4(dst)))
		return NULL;
	return r;
}

const struct route *route_lookup_on(const struct route_table *t, const struct ipaddr *dst,
				    const struct netif *nif)
{
	if (!nif || !is_linklocal(dst))
		return route_lookup(t, dst);
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->r[i].nif == nif && prefix_match(&t->r[i], dst))
			return &t->r[i];
	}
	return NULL;
}

bool route_is_local(const struct route_table *t, const struct ipaddr *addr)
{
	const struct route *r = route_lookup(t, addr);

	return r && r->kind == ROUTE_LOCAL;
}

bool route_source(const struct route_table *t, const struct ipaddr *dst, struct ipaddr *src)
{
	const struct route *r = route_lookup(t, dst);

	if (!r)
		return false;
	if (!ipaddr_is_v4(dst) && r->kind != ROUTE_LOCAL)
		return route_source6(t, dst, r->nif, 0, src);
	*src = r->src;
	return true;
}

int route_parse_prefix(const char *text, struct ipaddr *addr, uint8_t *plen)
{
	char buf[INET6_ADDRSTRLEN + 1];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	struct in_addr v4;
	struct ipaddr a;
	unsigned long len = 128, base = 0;

	if (n >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, n);
	buf[n] = 0;
	if (inet_pton(AF_INET, buf, &v4) == 1) {
		a = ipaddr_v4(load_be32(&v4));
		base = V4_BITS;
	} else if (inet_pton(AF_INET6, buf, a.b) != 1) {
		return -EINVAL;
	}
	if (slash) {
		char *end;

		if (slash[1] < '0' || slash[1] > '9')
			return -EINVAL;
		len = strtoul(slash + 1, &end, 10);
		if (*end || len > 128 - base)
			return -EINVAL;
		len += base;
	}
	*addr = a;
	*plen = (uint8_t)len;
	return 0;
}
