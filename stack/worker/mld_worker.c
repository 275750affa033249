/* Data thread 0 speaks MLD for the ports: for the groups of their own addresses (RFC 4861 7.2.1), and for
 * those of all sockets (group.c). */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include "stack/base/stats.h"
#include "stack/net/mld.h"
#include "stack/wire/icmp6.h"
#include "stack/worker/worker_int.h"

/* RFC 3810 5.2.13: from an address of the link, or from none while there is none. */
static void on_send(void *arg, struct netif *nif, const struct ipaddr *dst, void *p, uint32_t n)
{
	struct worker *w = arg;
	struct ip6_out out = { .dst = *dst, .proto = IP_PROTO_ICMP6, .hops = 1 };

	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		if (ipaddr_is_link_local(&nif->addr[i].addr))
			out.src = nif->addr[i].addr;
	}
	icmp6_put_csum(&out.src, dst, p, n);
	ip6_send_alert(&w->net, nif, &out, p, n);
}

static const struct mld_ops mld_ops = { .send = on_send };

int mld_init(struct worker *w)
{
	if (w->conf.number != 0)
		return 0;
	w->mld = mld_new(&mld_ops, w, rng_u64(&w->rng), w->net.now_ns);
	return w->mld ? 0 : -ENOMEM;
}

void rx_mld(struct worker *w, const struct ip6_in *in)
{
	/* RFC 3810 6.2: anything else comes from afar, or is forged. */
	if (in->h.hops != 1 || !in->walk.alert || !ipaddr_is_link_local(&in->h.src) ||
	    in->l4_csum == PKT_CSUM_BAD || in->len < ICMP6_HDR_LEN ||
	    !icmp6_csum_ok(&in->h.src, &in->h.dst, in->payload, in->len)) {
		STAT_INC(mld_drop_bad);
		return;
	}
	if (w->mld)
		mld_input(w->mld, in->nif, in->payload, in->len, w->now_ns);
}
