/* Data thread 0 keeps the IPv6 addresses of the ports: what net/ndp.c wants is done here. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include "stack/net/mld.h"
#include "stack/net/nd.h"
#include "stack/net/ndp.h"
#include "stack/worker/worker_int.h"

static void on_probe(void *arg, struct netif *nif, const struct ipaddr *target,
		     const uint8_t nonce[ND_NONCE_LEN])
{
	struct worker *w = arg;

	nd_probe(&w->net, nif, target, nonce);
}

static void on_announce(void *arg, struct netif *nif, const struct netif_addr *a)
{
	struct worker *w = arg;

	nd_announce(&w->net, nif, a);
}

static void on_ask_routers(void *arg, struct netif *nif)
{
	struct worker *w = arg;

	nd_ask_routers(&w->net, nif);
}

static void on_ask(void *arg, struct netif *nif, const struct ipaddr *target)
{
	struct worker *w = arg;

	nd_solicit(&w->net, nif, target, NULL);
}

/* A mail that finds no room is written again by ndp in a second. */
static void on_changed(void *arg)
{
	const struct sock_mail m = { .type = SOCK_MAIL_ADDRS };

	if (worker_set.control_mail)
		(void)worker_set.control_mail(&m);
}

static void on_group(void *arg, struct netif *nif, const struct ipaddr *group, bool on)
{
	struct worker *w = arg;

	if (on)
		mld_join(w->mld, nif, group, w->now_ns);
	else
		mld_leave(w->mld, nif, group, w->now_ns);
}

static const struct ndp_ops ndp_ops = {
	.probe = on_probe, .announce = on_announce, .ask_routers = on_ask_routers,
	.ask = on_ask, .changed = on_changed, .group = on_group,
};

int ndp_init(struct worker *w)
{
	const struct ndp_conf conf = { .autoconf = w->conf.autoconf6, .temporary = w->conf.temporary6,
				       .redirects = w->conf.redirects6, .secret = w->conf.secret6 };

	if (w->conf.number != 0)
		return 0;
	w->ndp = ndp_new(&conf, &ndp_ops, w, rng_u64(&w->rng), w->net.now_ns);
	return w->ndp ? 0 : -ENOMEM;
}

void ndp_start(struct worker *w)
{
	for (uint32_t i = 0; w->ndp && i < w->conf.n_netif; i++)
		ndp_add_netif(w->ndp, w->conf.netif[i], w->now_ns);
}

/* Does a route lead by addr on nif, and by nothing else? */
static bool is_first_hop(const struct route_table *t, const struct netif *nif, const struct ipaddr *addr)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct route *r = &t->r[i];
		bool host = r->kind == ROUTE_ONLINK && r->plen == 128;

		if (r->nif == nif && ((r->kind == ROUTE_GATEWAY && ipaddr_eq(&r->gateway, addr)) ||
				      (host && ipaddr_eq(&r->prefix, addr))))
			return true;
	}
	return false;
}

void ndp_neigh_lost(void *arg, struct netif *nif, const struct ipaddr *addr)
{
	struct worker *w = arg;
	struct sock_mail m = { .type = SOCK_MAIL_NEIGH_LOST, .from = w->conf.number, .c = nif->index };

	if (!is_first_hop(w->conf.routes, nif, addr))
		return;
	m.a = addr->q[0];
	m.b = addr->q[1];
	if (w->ndp)
		ndp_lost(w->ndp, nif, addr, w->now_ns);
	else /* lost with a full mailbox: the neighbour fails again */
		(void)worker_mail(worker_set.w[0], &m);
}

void ndp_mail(struct worker *w, const struct sock_mail *m)
{
	const struct ipaddr addr = { .q = { m->a, m->b } };

	if (w->ndp && m->c < w->conf.n_netif)
		ndp_lost(w->ndp, w->conf.netif[m->c], &addr, w->now_ns);
}
