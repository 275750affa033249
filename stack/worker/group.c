/* Multicast groups that this worker's sockets join and leave: told to the table that all workers read, and
 * from there, by worker 0, to the routers of the link. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include "stack/net/igmp.h"
#include "stack/net/mcast.h"
#include "stack/net/mld.h"
#include "stack/worker/worker_int.h"

struct netif *worker_netif(const struct worker *w, uint32_t ifindex)
{
	for (uint32_t i = 0; i < w->conf.n_netif; i++) {
		if (w->conf.netif[i]->ifindex == ifindex)
			return w->conf.netif[i];
	}
	return NULL;
}

uint32_t netif_addr4(const struct netif *nif)
{
	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		if (ipaddr_is_v4(&nif->addr[i].addr))
			return ipaddr_get_v4(&nif->addr[i].addr);
	}
	return 0;
}

void host_group_changed(void *arg, const struct ipaddr *group, uint32_t ifindex)
{
	struct worker *w = arg;
	struct mcast_state s = { .include = true };

	if (!w->conf.groups)
		return;
	udp_group_state(&w->sock.udp, group, ifindex, &s.include, s.src, MCAST_SOURCES, &s.n);
	if (mcast_set(w->conf.groups, w->conf.number, group, ifindex, &s) < 0)
		STAT_INC(igmp_drop_full);
	/* The one who tells the routers may sleep. */
	if (w->conf.number != 0)
		worker_wake(worker_set.w[0]);
}

/* RFC 3376 4: TTL 1, internetwork control, router alert. */
static void on_igmp_send(void *arg, struct netif *nif, uint32_t dst, const void *p, uint32_t n)
{
	struct worker *w = arg;
	const struct ip4_out out = { .src = netif_addr4(nif), .dst = dst, .proto = IP_PROTO_IGMP,
				     .ttl = 1, .tos = 0xc0 };

	ip4_send_alert(&w->net, nif, &out, p, n);
}

static const struct igmp_ops igmp_ops = { .send = on_igmp_send };

int group_init(struct worker *w)
{
	if (w->conf.number != 0 || !w->conf.groups)
		return 0;
	w->igmp = igmp_new(&igmp_ops, w, rng_u64(&w->rng), w->net.now_ns);
	return w->igmp ? 0 : -ENOMEM;
}

void group_fini(struct worker *w)
{
	igmp_free(w->igmp);
	w->igmp = NULL;
}

void group_poll(struct worker *w)
{
	struct mcast_change c;

	if (!w->igmp)
		return;
	while (mcast_next_change(w->conf.groups, &c)) {
		struct netif *nif = worker_netif(w, c.ifindex);

		if (nif && ipaddr_is_v4(&c.group))
			igmp_set(w->igmp, nif, &c.group, &c.state, w->now_ns);
		else if (nif)
			mld_set(w->mld, nif, &c.group, &c.state, w->now_ns);
	}
	igmp_advance(w->igmp, w->now_ns);
}

void rx_igmp(struct worker *w, const struct ip4_in *in)
{
	if (w->igmp)
		igmp_input(w->igmp, in->nif, in->h.dst, in->payload, in->len, w->now_ns);
}

bool group_pending(const struct worker *w) { return w->igmp && mcast_has_change(w->conf.groups); }

uint64_t group_next_ns(const struct worker *w)
{
	return w->igmp ? igmp_next_ns(w->igmp) : UINT64_MAX;
}
