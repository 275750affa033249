/* The addresses and routers of the ports as rows of a table: states and what is left of their lifetimes. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/net/ndp_int.h"

/* Rounded up: what is not yet over has a second left. */
static uint32_t left_s(uint64_t until_ns, uint64_t now_ns)
{
	if (until_ns == UINT64_MAX)
		return ND_FOREVER;
	if (until_ns <= now_ns)
		return 0;
	return (uint32_t)min_u64((until_ns - now_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC, ND_FOREVER - 1u);
}

uint32_t ndp_addr_rows(const struct ndp *d, struct ndp_addr_row *rows, uint64_t now_ns)
{
	uint32_t n = 0;

	for (int i = 0; i < NETIF_MAX; i++) {
		const struct ndp_if *f = &d->ifc[i];

		for (int k = 0; f->nif && k < NETIF_ADDRS; k++) {
			const struct ndp_addr *x = &f->addr[k];

			if (!x->origin)
				continue;
			rows[n++] = (struct ndp_addr_row){
				.addr = x->a.addr, .plen = x->a.plen, .flags = x->a.flags,
				.origin = x->origin, .nif = f->nif->index,
				.preferred_s = left_s(x->preferred_ns, now_ns),
				.valid_s = left_s(x->valid_ns, now_ns),
			};
		}
	}
	return n;
}

uint32_t ndp_router_rows(const struct ndp *d, struct ndp_router_row *rows, uint64_t now_ns)
{
	uint32_t n = 0;

	for (int i = 0; i < NETIF_MAX; i++) {
		const struct ndp_if *f = &d->ifc[i];

		for (int k = 0; f->nif && k < NDP_ROUTERS; k++) {
			const struct ndp_router *r = &f->router[k];

			if (ipaddr_is_any(&r->addr))
				continue;
			rows[n++] = (struct ndp_router_row){
				.addr = r->addr, .nif = f->nif->index, .preference = r->rank - 1,
				.lifetime_s = left_s(r->until_ns, now_ns), .is_lost = r->lost_ns != 0,
			};
		}
	}
	return n;
}
