/* Addresses from their first probe to their end. An address is in use while it is checked (RFC
 * 4429): those of the configuration have been probed once before the engine started, the others
 * are drawn from 2^64. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>
#include "stack/base/log.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/ndp_int.h"
#include "stack/wire/icmp6.h"

struct ndp *ndp_new(const struct ndp_conf *conf, const struct ndp_ops *ops, void *arg, uint64_t seed,
		    uint64_t now_ns)
{
	struct ndp *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->conf = *conf;
	d->ops = ops;
	d->arg = arg;
	rng_seed(&d->rng, seed);
	return d;
}

void ndp_free(struct ndp *d) { free(d); }

void ndp_changed(struct ndp *d, uint64_t now_ns)
{
	if (d->dirty && now_ns < d->told_ns + NSEC_PER_SEC)
		return;
	d->dirty = true;
	d->told_ns = now_ns;
	d->ops->changed(d->arg);
}

uint64_t ndp_until(uint32_t s, uint64_t now_ns)
{
	return s == ND_FOREVER ? UINT64_MAX : now_ns + s * NSEC_PER_SEC;
}

/* ---- addresses ---- */
/* The probe leaves a moment later, so that stations that start together do not speak at once (RFC
 * 4862 5.4.2). */
static void dad_start(struct ndp *d, struct ndp_if *f, struct ndp_addr *x, uint64_t now_ns)
{
	uint64_t random = rng_u64(&d->rng);
	const struct ipaddr group = ip6_solicited_node(&x->a.addr);

	x->a.flags |= NETIF_ADDR_OPTIMISTIC;
	x->dad = true;
	x->asked = false;
	x->dad_ns = now_ns + rng_below(&d->rng, NDP_RS_DELAY_MS) * NSEC_PER_MSEC;
	memcpy(x->nonce, &random, sizeof(x->nonce));
	d->ops->group(d->arg, f->nif, &group, true);
}

static struct ndp_addr *find(struct ndp_if *f, const struct ipaddr *a)
{
	for (int i = 0; i < NETIF_ADDRS; i++) {
		if (f->addr[i].origin && ipaddr_eq(&f->addr[i].a.addr, a))
			return &f->addr[i];
	}
	return NULL;
}

struct ndp_addr *ndp_addr_new(struct ndp *d, struct ndp_if *f, enum ndp_origin origin,
			      const struct ipaddr *a, uint8_t plen, uint64_t now_ns)
{
	if (find(f, a))
		return NULL;
	for (int i = 0; i < NETIF_ADDRS; i++) {
		struct ndp_addr *x = &f->addr[i];

		if (x->origin)
			continue;
		*x = (struct ndp_addr){
			.origin = (uint8_t)origin, .a = { .addr = *a, .plen = plen },
			.preferred_ns = UINT64_MAX, .valid_ns = UINT64_MAX, .renew_ns = UINT64_MAX,
		};
		if (origin == NDP_AUTO || origin == NDP_TEMPORARY)
			x->a.flags |= NETIF_ADDR_AUTO;
		if (origin == NDP_TEMPORARY)
			x->a.flags |= NETIF_ADDR_TEMPORARY;
		dad_start(d, f, x, now_ns);
		ndp_changed(d, now_ns);
		return x;
	}
	STAT_INC(nd_drop_full);
	return NULL;
}

void ndp_addr_end(struct ndp *d, struct ndp_if *f, struct ndp_addr *x, uint64_t now_ns)
{
	const struct ipaddr group = ip6_solicited_node(&x->a.addr);

	x->origin = NDP_FREE;
	d->ops->group(d->arg, f->nif, &group, false);
	ndp_changed(d, now_ns);
}

void ndp_temporary_new(struct ndp *d, struct ndp_if *f, const struct ndp_addr *stable,
		       uint64_t now_ns)
{
	struct ipaddr a = temporary_addr(&stable->a.addr, &d->rng);
	uint32_t desync_s = rng_below(&d->rng, NDP_TEMP_PREFERRED_S * 2 / 5);
	uint64_t preferred_ns = now_ns + (NDP_TEMP_PREFERRED_S - desync_s) * NSEC_PER_SEC;

	/* RFC 8981 3.4: not one that would be over before the next one. */
	if (stable->preferred_ns <= now_ns + NDP_TEMP_ADVANCE_S * NSEC_PER_SEC)
		return;
	struct ndp_addr *x = ndp_addr_new(d, f, NDP_TEMPORARY, &a, 64, now_ns);
	if (!x)
		return;
	x->born_ns = now_ns;
	x->preferred_ns = min_u64(preferred_ns, stable->preferred_ns);
	x->valid_ns = min_u64(now_ns + NDP_TEMP_VALID_S * NSEC_PER_SEC, stable->valid_ns);
	x->renew_ns = preferred_ns - NDP_TEMP_ADVANCE_S * NSEC_PER_SEC;
}

/* RFC 4862 5.4.5, RFC 7217 6, RFC 8981 3.3.3: the next one is tried, of those that we have made ourselves. */
static void dad_failed(struct ndp *d, struct ndp_if *f, struct ndp_addr *x, uint64_t now_ns)
{
	struct ndp_addr old = *x;
	struct eth_addr mac;

	STAT_INC(nd_dad_failed);
	LOG(net, WARN, "port=%s: another station has an IPv6 address of ours; it is given up",
	    f->nif->name);
	ndp_addr_end(d, f, x, now_ns);
	if (old.origin == NDP_STATIC || old.attempt >= STABLE_TRIES)
		return;
	memcpy(&mac, f->nif->mac, sizeof(mac));
	struct ipaddr a = old.origin == NDP_TEMPORARY ?
				  temporary_addr(&old.a.addr, &d->rng) :
				  stable_addr(&old.a.addr, mac, old.attempt + 1, &d->conf.secret);
	struct ndp_addr *next = ndp_addr_new(d, f, old.origin, &a, old.a.plen, now_ns);
	if (!next)
		return;
	next->attempt = old.attempt + 1;
	next->preferred_ns = old.preferred_ns;
	next->valid_ns = old.valid_ns;
	next->born_ns = old.born_ns;
	next->renew_ns = old.renew_ns;
}

/* ---- ports ---- */
void ndp_add_netif(struct ndp *d, struct netif *nif, uint64_t now_ns)
{
	struct ndp_if *f = &d->ifc[nif->index];
	bool v6 = false;

	*f = (struct ndp_if){ .nif = nif, .rs_ns = UINT64_MAX };
	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		const struct netif_addr *a = &nif->addr[i];

		if (ipaddr_is_v4(&a->addr))
			continue;
		v6 = true;
		ndp_addr_new(d, f, ipaddr_is_link_local(&a->addr) ? NDP_LINKLOCAL : NDP_STATIC, &a->addr,
			     a->plen, now_ns);
	}
	if (v6 && d->conf.autoconf)
		f->rs_ns = now_ns + rng_below(&d->rng, NDP_RS_DELAY_MS) * NSEC_PER_MSEC;
}

static struct ndp_if *if_of(struct ndp *d, const struct netif *nif)
{
	struct ndp_if *f = &d->ifc[nif->index];

	return f->nif ? f : NULL;
}

void ndp_input(struct ndp *d, struct netif *nif, const struct ipaddr *src, const struct nd_msg *m,
	       uint64_t now_ns)
{
	struct ndp_if *f = if_of(d, nif);

	if (!f)
		return;
	switch (m->type) {
	case ICMP6_T_ND_RA:
		if (d->conf.autoconf)
			ndp_ra_input(d, f, src, m, now_ns);
		return;
	case ICMP6_T_ND_REDIRECT:
		ndp_redirect_input(d, f, m, now_ns);
		return;
	case ICMP6_T_ND_NA:
		ndp_router_neighbour(d, f, m, now_ns);
		break;
	case ICMP6_T_ND_NS:
		break;
	default:
		return;
	}
	struct ndp_addr *x = find(f, &m->target);
	if (!x || !x->dad || (m->type == ICMP6_T_ND_NS && !ipaddr_is_any(src)))
		return;
	/* RFC 7527 4.2: our own probe, back from the link. */
	if (m->type == ICMP6_T_ND_NS && m->has_nonce &&
	    memcmp(m->nonce, x->nonce, sizeof(x->nonce)) == 0)
		return;
	dad_failed(d, f, x, now_ns);
}

/* ---- time ---- */
static void dad_advance(struct ndp *d, struct ndp_if *f, struct ndp_addr *x, uint64_t now_ns)
{
	if (!x->dad || x->dad_ns > now_ns)
		return;
	if (!x->asked) {
		x->asked = true;
		x->dad_ns = now_ns + (f->retrans_ms ? f->retrans_ms : NDP_RETRANS_MS) * NSEC_PER_MSEC;
		d->ops->probe(d->arg, f->nif, &x->a.addr, x->nonce);
		return;
	}
	x->dad = false;
	x->a.flags &= (uint8_t)~NETIF_ADDR_OPTIMISTIC;
	d->ops->announce(d->arg, f->nif, &x->a); /* RFC 9131 */
	ndp_changed(d, now_ns);
}

/* RFC 8981 3.4 */
static void renew_temporary(struct ndp *d, struct ndp_if *f, struct ndp_addr *x, uint64_t now_ns)
{
	x->renew_ns = UINT64_MAX;
	for (int i = 0; i < NETIF_ADDRS; i++) {
		const struct ndp_addr *stable = &f->addr[i];

		if (stable->origin != NDP_AUTO || stable->a.addr.q[0] != x->a.addr.q[0])
			continue;
		ndp_temporary_new(d, f, stable, now_ns);
		break;
	}
}

static void addr_advance(struct ndp *d, struct ndp_if *f, struct ndp_addr *x, uint64_t now_ns)
{
	bool old = x->a.flags & NETIF_ADDR_DEPRECATED;

	if (x->valid_ns <= now_ns) {
		ndp_addr_end(d, f, x, now_ns);
		return;
	}
	if (old != (x->preferred_ns <= now_ns)) {
		x->a.flags ^= NETIF_ADDR_DEPRECATED;
		ndp_changed(d, now_ns);
	}
	if (x->renew_ns <= now_ns)
		renew_temporary(d, f, x, now_ns);
	dad_advance(d, f, x, now_ns);
}

/* RFC 7559 2: longer and longer until a router answers. */
static void rs_advance(struct ndp *d, struct ndp_if *f, uint64_t now_ns)
{
	if (f->rs_ns > now_ns)
		return;
	uint32_t ms = f->rs_ms ? 2 * f->rs_ms : (uint32_t)NDP_RS_MS;

	f->rs_ms = min_u32(ms, NDP_RS_MAX_MS);
	ms = f->rs_ms * 9 / 10 + rng_below(&d->rng, f->rs_ms / 5);
	f->rs_ns = now_ns + ms * NSEC_PER_MSEC;
	d->ops->ask_routers(d->arg, f->nif);
}

static void if_advance(struct ndp *d, struct ndp_if *f, uint64_t now_ns)
{
	for (int i = 0; i < NETIF_ADDRS; i++) {
		if (f->addr[i].origin)
			addr_advance(d, f, &f->addr[i], now_ns);
	}
	ndp_router_advance(d, f, now_ns);
	ndp_redirect_advance(d, f, now_ns);
	for (int i = 0; i < NDP_PREFIXES; i++) {
		if (!f->onlink[i].until_ns || f->onlink[i].until_ns > now_ns)
			continue;
		f->onlink[i].until_ns = 0;
		ndp_changed(d, now_ns);
	}
	rs_advance(d, f, now_ns);
}

void ndp_advance(struct ndp *d, uint64_t now_ns)
{
	for (int i = 0; i < NETIF_MAX; i++) {
		if (d->ifc[i].nif)
			if_advance(d, &d->ifc[i], now_ns);
	}
	if (d->dirty && d->told_ns + NSEC_PER_SEC <= now_ns)
		ndp_changed(d, now_ns);
}

static uint64_t if_next_ns(const struct ndp_if *f)
{
	uint64_t t = min_u64(f->rs_ns, min_u64(ndp_router_next_ns(f), ndp_redirect_next_ns(f)));

	for (int i = 0; i < NETIF_ADDRS; i++) {
		const struct ndp_addr *x = &f->addr[i];

		if (!x->origin)
			continue;
		t = min_u64(t, min_u64(x->valid_ns, x->renew_ns));
		if (!(x->a.flags & NETIF_ADDR_DEPRECATED))
			t = min_u64(t, x->preferred_ns);
		if (x->dad)
			t = min_u64(t, x->dad_ns);
	}
	for (int i = 0; i < NDP_PREFIXES; i++) {
		if (f->onlink[i].until_ns)
			t = min_u64(t, f->onlink[i].until_ns);
	}
	return t;
}

uint64_t ndp_next_ns(const struct ndp *d)
{
	uint64_t t = d->dirty ? d->told_ns + NSEC_PER_SEC : UINT64_MAX;

	for (int i = 0; i < NETIF_MAX; i++) {
		if (d->ifc[i].nif)
			t = min_u64(t, if_next_ns(&d->ifc[i]));
	}
	return t;
}

/* ---- what the threads see ---- */
static void apply_if(const struct ndp_if *f)
{
	struct netif *nif = f->nif;
	uint16_t n = 0;

	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		if (ipaddr_is_v4(&nif->addr[i].addr))
			nif->addr[n++] = nif->addr[i];
	}
	for (int i = 0; i < NETIF_ADDRS && n < NETIF_ADDRS; i++) {
		if (f->addr[i].origin)
			nif->addr[n++] = f->addr[i].a;
	}
	nif->n_addrs = n;
	nif->mtu6 = f->mtu6;
	nif->hops6 = f->hops6;
	nif->reachable6_ms = f->reachable_ms;
	nif->retrans6_ms = f->retrans_ms;
}

void ndp_apply(struct ndp *d)
{
	for (int i = 0; i < NETIF_MAX; i++) {
		if (d->ifc[i].nif)
			apply_if(&d->ifc[i]);
	}
	d->dirty = false;
}

void ndp_add_routes(const struct ndp *d, struct route_table *t)
{
	for (int i = 0; i < NETIF_MAX; i++) {
		const struct ndp_if *f = &d->ifc[i];

		for (int k = 0; f->nif && k < NDP_PREFIXES; k++) {
			const struct route r = { .prefix = f->onlink[k].prefix,
						 .plen = f->onlink[k].plen, .kind = ROUTE_ONLINK,
						 .nif = f->nif };

			if (f->onlink[k].until_ns)
				(void)route_add(t, &r);
		}
		if (f->nif)
			ndp_redirect_routes(f, t);
	}
	ndp_router_route(d, t); /* one of the configuration has been there before */
}
