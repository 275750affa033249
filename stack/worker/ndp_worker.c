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
	.changed = on_changed, .group = on_group,
};

int ndp_init(struct worker *w)
{
	const struct ndp_conf conf = { .autoconf = w->conf.autoconf6, .temporary = w->conf.temporary6,
				       .secret = w->conf.secret6 };

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
