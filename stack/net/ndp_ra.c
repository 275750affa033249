/* Router advertisements: RFC 4861 6.3.4 (parameters, prefixes on the link; the router itself: ndp_router.c)
 * and RFC 4862 5.5.3 (addresses). What one link may make us remember is bounded. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/ndp_int.h"
#include "stack/wire/icmp6.h"

static struct ipaddr masked(const struct nd_prefix *p)
{
	struct ipaddr a = p->prefix;

	for (uint32_t i = 0; i < 16; i++) {
		uint32_t keep = p->plen > i * 8 ? min_u32(p->plen - i * 8, 8) : 0;

		a.b[i] &= (uint8_t)(0xff00 >> keep);
	}
	return a;
}

static void onlink_input(struct ndp *d, struct ndp_if *f, const struct nd_prefix *p, uint64_t now_ns)
{
	struct ipaddr prefix = masked(p);
	struct ndp_onlink *use = NULL;
	bool known = false;

	for (int i = 0; i < NDP_PREFIXES && !known; i++) {
		struct ndp_onlink *o = &f->onlink[i];

		known = o->until_ns && o->plen == p->plen && ipaddr_eq(&o->prefix, &prefix);
		if (known || (!use && !o->until_ns))
			use = o;
	}
	if (!known && !p->valid_s)
		return;
	if (!use) {
		STAT_INC(nd_drop_full);
		return;
	}
	*use = (struct ndp_onlink){ .prefix = prefix, .plen = p->plen,
				    .until_ns = p->valid_s ? ndp_until(p->valid_s, now_ns) : 0 };
	if (!known || !p->valid_s)
		ndp_changed(d, now_ns);
}

static bool same_prefix(const struct ndp_addr *x, const struct nd_prefix *p)
{
	return x->a.addr.q[0] == p->prefix.q[0];
}

/* RFC 4862 5.5.3 (e): a lifetime below two hours is not believed, so that a forged message does not end an
 * address at once. */
static void renew(struct ndp *d, struct ndp_addr *x, const struct nd_prefix *p, uint64_t now_ns)
{
	uint64_t told = ndp_until(p->valid_s, now_ns), two = ndp_until(NDP_TWO_HOURS_S, now_ns);
	uint64_t preferred = ndp_until(p->preferred_s, now_ns);

	if (x->origin == NDP_TEMPORARY) {
		/* RFC 8981 3.4: never longer than it was made for. */
		uint64_t most = x->born_ns + NDP_TEMP_VALID_S * NSEC_PER_SEC;

		told = min_u64(told, most);
		preferred = min_u64(preferred, x->born_ns + NDP_TEMP_PREFERRED_S * NSEC_PER_SEC);
		if (x->renew_ns == UINT64_MAX)
			preferred = min_u64(preferred, x->preferred_ns);
	}
	x->preferred_ns = preferred;
	if (told > two || told > x->valid_ns)
		x->valid_ns = told;
	else if (x->valid_ns > two)
		x->valid_ns = two;
}

static void auto_input(struct ndp *d, struct ndp_if *f, const struct nd_prefix *p, uint64_t now_ns)
{
	bool known = false;
	struct eth_addr mac;

	for (int i = 0; i < NETIF_ADDRS; i++) {
		struct ndp_addr *x = &f->addr[i];

		if ((x->origin != NDP_AUTO && x->origin != NDP_TEMPORARY) || !same_prefix(x, p))
			continue;
		renew(d, x, p, now_ns);
		known |= x->origin == NDP_AUTO;
	}
	if (known || !p->valid_s)
		return;
	memcpy(&mac, f->nif->mac, sizeof(mac));
	struct ipaddr a = stable_addr(&p->prefix, mac, 0, &d->conf.secret);
	struct ndp_addr *x = ndp_addr_new(d, f, NDP_AUTO, &a, 64, now_ns);
	if (!x)
		return;
	x->preferred_ns = ndp_until(p->preferred_s, now_ns);
	x->valid_ns = ndp_until(p->valid_s, now_ns);
	if (p->preferred_s == 0)
		x->a.flags |= NETIF_ADDR_DEPRECATED;
	if (d->conf.temporary)
		ndp_temporary_new(d, f, x, now_ns);
}

static void prefix_input(struct ndp *d, struct ndp_if *f, const struct nd_prefix *p, uint64_t now_ns)
{
	if (ipaddr_is_link_local(&p->prefix) || ipaddr_is_multicast(&p->prefix) ||
	    ipaddr_is_v4(&p->prefix))
		return;
	if (p->onlink)
		onlink_input(d, f, p, now_ns);
	/* RFC 4862 5.5.3: identifiers have 64 bits (RFC 4291 2.5.1). */
	if (p->autonomous && p->plen == 64 && p->preferred_s <= p->valid_s)
		auto_input(d, f, p, now_ns);
}

/* In milliseconds; 0: the router does not say. */
static uint32_t timer_of(uint32_t said, uint32_t before, uint32_t most)
{
	return said ? min_u32(max_u32(said, NDP_TIMER_MIN_MS), most) : before;
}

static void parameters_input(struct ndp *d, struct ndp_if *f, const struct nd_msg *m, uint64_t now_ns)
{
	uint32_t reachable = timer_of(m->reachable_ms, f->reachable_ms, NDP_REACHABLE_MAX_MS);
	uint32_t retrans = timer_of(m->retrans_ms, f->retrans_ms, NDP_RETRANS_MAX_MS);
	uint8_t hops6 = m->hop_limit ? m->hop_limit : f->hops6;
	uint16_t mtu6 = f->mtu6;

	/* RFC 4861 6.3.4: between the least of IPv6 and what the port takes. */
	if (m->mtu >= IP6_MTU_MIN && m->mtu <= f->nif->mtu)
		mtu6 = (uint16_t)m->mtu;
	if (mtu6 == f->mtu6 && hops6 == f->hops6 && reachable == f->reachable_ms &&
	    retrans == f->retrans_ms)
		return;
	f->mtu6 = mtu6;
	f->hops6 = hops6;
	f->reachable_ms = reachable;
	f->retrans_ms = retrans;
	ndp_changed(d, now_ns);
}

void ndp_ra_input(struct ndp *d, struct ndp_if *f, const struct ipaddr *src, const struct nd_msg *m,
		  uint64_t now_ns)
{
	parameters_input(d, f, m, now_ns);
	ndp_router_advertised(d, f, src, m, now_ns);
	for (uint32_t i = 0; i < m->n_prefixes; i++)
		prefix_input(d, f, &m->prefix[i], now_ns);
}
