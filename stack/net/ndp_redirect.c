/* Redirects (RFC 4861 8.3), for who wants them: a router knows a better first hop for a destination. That it
 * is the one in use for it, nd.c has seen. */
// SPDX-License-Identifier: MIT
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/ndp_int.h"

/* Its place, a free one, or that of the oldest. */
static struct ndp_redirect *place(struct ndp_if *f, const struct ipaddr *dst)
{
	struct ndp_redirect *use = &f->redirect[0];

	for (int i = 0; i < NDP_REDIRECTS; i++) {
		struct ndp_redirect *x = &f->redirect[i];

		if (x->until_ns && ipaddr_eq(&x->dst, dst))
			return x;
		if (x->until_ns < use->until_ns)
			use = x;
	}
	return use;
}

void ndp_redirect_input(struct ndp *d, struct ndp_if *f, const struct nd_msg *m, uint64_t now_ns)
{
	if (!d->conf.redirects) {
		STAT_INC(nd_redirect_ignored);
		return;
	}
	STAT_INC(nd_redirect);
	*place(f, &m->dst) = (struct ndp_redirect){
		.dst = m->dst, .target = m->target, .until_ns = now_ns + NDP_REDIRECT_S * NSEC_PER_SEC,
	};
	ndp_changed(d, now_ns);
}

/* RFC 4861 7.3.3: a first hop that does not answer is chosen anew. */
void ndp_redirect_lost(struct ndp *d, struct ndp_if *f, const struct ipaddr *target, uint64_t now_ns)
{
	for (int i = 0; i < NDP_REDIRECTS; i++) {
		struct ndp_redirect *x = &f->redirect[i];

		if (!x->until_ns || !ipaddr_eq(&x->target, target))
			continue;
		x->until_ns = 0;
		ndp_changed(d, now_ns);
	}
}

void ndp_redirect_advance(struct ndp *d, struct ndp_if *f, uint64_t now_ns)
{
	for (int i = 0; i < NDP_REDIRECTS; i++) {
		if (!f->redirect[i].until_ns || f->redirect[i].until_ns > now_ns)
			continue;
		f->redirect[i].until_ns = 0;
		ndp_changed(d, now_ns);
	}
}

uint64_t ndp_redirect_next_ns(const struct ndp_if *f)
{
	uint64_t t = UINT64_MAX;

	for (int i = 0; i < NDP_REDIRECTS; i++) {
		if (f->redirect[i].until_ns)
			t = min_u64(t, f->redirect[i].until_ns);
	}
	return t;
}

void ndp_redirect_routes(const struct ndp_if *f, struct route_table *t)
{
	for (int i = 0; i < NDP_REDIRECTS; i++) {
		const struct ndp_redirect *x = &f->redirect[i];
		const bool onlink = ipaddr_eq(&x->dst, &x->target);
		const struct route r = { .prefix = x->dst, .plen = 128, .nif = f->nif,
					 .kind = onlink ? ROUTE_ONLINK : ROUTE_GATEWAY,
					 .gateway = x->target };

		if (x->until_ns)
			(void)route_add(t, &r);
	}
}
