/* Default routers: who they are (RFC 4861 6.3.4), which one is used (RFC 4861 6.3.6, RFC 4191 3.2), and what
 * follows when one does not answer any more. */
// SPDX-License-Identifier: MIT
#include "stack/base/log.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/ndp_int.h"
#include "stack/wire/icmp6.h"

static bool is_used(const struct ndp_router *r) { return !ipaddr_is_any(&r->addr); }

static struct ndp_router *find(struct ndp_if *f, const struct ipaddr *addr)
{
	for (int i = 0; i < NDP_ROUTERS; i++) {
		if (is_used(&f->router[i]) && ipaddr_eq(&f->router[i].addr, addr))
			return &f->router[i];
	}
	return NULL;
}

static void forget(struct ndp *d, struct ndp_router *r, uint64_t now_ns)
{
	*r = (struct ndp_router){ 0 };
	ndp_changed(d, now_ns);
}

/* RFC 4191 2.2: what is reserved means medium. */
static uint8_t rank_of(uint8_t preference)
{
	return preference == 1 ? 2 : preference == 3 ? 0 : 1;
}

static struct ndp_router *take_free(struct ndp_if *f)
{
	for (int i = 0; i < NDP_ROUTERS; i++) {
		if (!is_used(&f->router[i]))
			return &f->router[i];
	}
	STAT_INC(nd_drop_full);
	return NULL;
}

/* It has been asked a moment ago, or will be. */
static void ask_again(struct ndp_router *r, uint64_t now_ns)
{
	r->ask_ns = min_u64(r->ask_ns, max_u64(now_ns, r->asked_ns + NSEC_PER_SEC));
}

void ndp_router_advertised(struct ndp *d, struct ndp_if *f, const struct ipaddr *src,
			   const struct nd_msg *m, uint64_t now_ns)
{
	struct ndp_router *r = find(f, src);
	bool known = r != NULL;

	if (!m->router_lifetime_s) {
		if (known)
			forget(d, r, now_ns);
		return;
	}
	f->rs_ns = UINT64_MAX; /* RFC 4861 6.3.7 */
	if (!known && !(r = take_free(f)))
		return;
	uint8_t rank = rank_of(m->preference);
	if (!known)
		*r = (struct ndp_router){ .addr = *src, .ask_ns = UINT64_MAX };
	if (!known || r->rank != rank)
		ndp_changed(d, now_ns);
	r->rank = rank;
	r->until_ns = now_ns + m->router_lifetime_s * NSEC_PER_SEC;
	if (r->lost_ns) /* we hear it; does it hear us? */
		ask_again(r, now_ns);
}

void ndp_router_neighbour(struct ndp *d, struct ndp_if *f, const struct nd_msg *na, uint64_t now_ns)
{
	struct ndp_router *r = find(f, &na->target);

	if (!r)
		return;
	if (!na->router) { /* RFC 4861 7.2.5: it has become a host */
		forget(d, r, now_ns);
	} else if (r->lost_ns && na->solicited) {
		r->lost_ns = 0;
		r->ask_ns = UINT64_MAX;
		ndp_changed(d, now_ns);
	}
}

void ndp_lost(struct ndp *d, struct netif *nif, const struct ipaddr *addr, uint64_t now_ns)
{
	struct ndp_if *f = &d->ifc[nif->index];
	struct ndp_router *r = f->nif ? find(f, addr) : NULL;

	if (!f->nif)
		return;
	ndp_redirect_lost(d, f, addr, now_ns);
	if (!r)
		return;
	STAT_INC(nd_router_lost);
	LOG(net, WARN, "port=%s: a router does not answer", nif->name);
	if (!r->lost_ns) /* the neighbour cache goes on asking for a moment */
		r->ask_ns = now_ns + NDP_ROUTER_ASK_S * NSEC_PER_SEC;
	r->lost_ns = now_ns;
	ndp_changed(d, now_ns);
}

void ndp_router_advance(struct ndp *d, struct ndp_if *f, uint64_t now_ns)
{
	for (int i = 0; i < NDP_ROUTERS; i++) {
		struct ndp_router *r = &f->router[i];

		if (!is_used(r))
			continue;
		if (r->until_ns <= now_ns) {
			forget(d, r, now_ns);
		} else if (r->ask_ns <= now_ns) {
			/* RFC 4191 3.2 */
			r->asked_ns = now_ns;
			r->ask_ns = now_ns + NDP_ROUTER_ASK_S * NSEC_PER_SEC;
			d->ops->ask(d->arg, f->nif, &r->addr);
		}
	}
}

uint64_t ndp_router_next_ns(const struct ndp_if *f)
{
	uint64_t t = UINT64_MAX;

	for (int i = 0; i < NDP_ROUTERS; i++) {
		if (is_used(&f->router[i]))
			t = min_u64(t, min_u64(f->router[i].until_ns, f->router[i].ask_ns));
	}
	return t;
}

/* One that answers, of these the preferred one, of these the first; when none does, the one that has been
 * tried least lately: that goes round. */
static bool is_better(const struct ndp_router *a, const struct ndp_router *b)
{
	if (!a->lost_ns != !b->lost_ns)
		return !a->lost_ns;
	return a->lost_ns ? a->lost_ns < b->lost_ns : a->rank > b->rank;
}

void ndp_router_route(const struct ndp *d, struct route_table *t)
{
	struct route def = { .kind = ROUTE_GATEWAY };
	const struct ndp_router *best = NULL;

	for (int i = 0; i < NETIF_MAX; i++) {
		const struct ndp_if *f = &d->ifc[i];

		for (int k = 0; f->nif && k < NDP_ROUTERS; k++) {
			const struct ndp_router *r = &f->router[k];

			if (!is_used(r) || (best && !is_better(r, best)))
				continue;
			best = r;
			def.nif = f->nif;
			def.gateway = r->addr;
		}
	}
	if (best)
		(void)route_add(t, &def);
}
