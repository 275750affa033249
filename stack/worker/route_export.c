/* The route table as applications see it: a sequence lock around the copy. */
// SPDX-License-Identifier: MIT
#include "stack/worker/route_export.h"

_Static_assert((int)ROUTE_LOCAL == (int)CHAN_ROUTE_LOCAL &&
	       (int)ROUTE_ONLINK == (int)CHAN_ROUTE_ONLINK &&
	       (int)ROUTE_GATEWAY == (int)CHAN_ROUTE_GATEWAY, "kinds are exported by number");

void route_export(const struct route_table *t, struct chan_engine *e)
{
	uint32_t seq = atomic_load_explicit(&e->route_seq, memory_order_relaxed);
	uint32_t n = 0;

	atomic_store_explicit(&e->route_seq, seq + 1, memory_order_relaxed);
	/* W2: a reader that sees new routes also sees the odd number, or the next even one. */
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < t->n && n < CHAN_MAX_ROUTES; i++) {
		const struct route *r = &t->r[i];

		/* A broadcast address is no destination of a connection: the kernel says so itself. */
		if (r->kind == ROUTE_BROADCAST)
			continue;
		e->route[n++] = (struct chan_route){
			.prefix = r->prefix, .plen = r->plen, .kind = r->kind,
			.mtu = r->kind == ROUTE_LOCAL ? UINT16_MAX :
			       ipaddr_is_v4(&r->prefix) ? r->nif->mtu : netif_mtu6(r->nif),
			.ifindex = r->nif ? r->nif->ifindex : (uint32_t)NETIF_IFINDEX_LO,
		};
	}
	e->n_routes = n;
	atomic_store_explicit(&e->route_seq, seq + 2, memory_order_release);
}
