/* The link-local address of a port and the secret that it comes from. */
// SPDX-License-Identifier: MIT
#include "stack/host/addr6.h"
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/host/upgrade.h"
#include "stack/net/ndp.h"
#include "stack/net/stable_addr.h"
#include "stack/wire/ip6.h"
#include "stack/worker/route_export.h"
#include "stack/worker/worker.h"

/* machine-id(5) is no secret on the machine, but is one to the link; without it addresses last as long as the
 * key of the engine's clients. */
struct siphash_key addr6_secret(const struct host *h)
{
	static const struct siphash_key salt = { { 0x666173746e657420, 0x7266632037323137 } };
	struct siphash_key key = h->secret;
	char id[64];
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, id, sizeof(id) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 32)
		return key;
	key.k[0] = siphash(&salt, id, (uint32_t)n);
	id[n] = '2';
	key.k[1] = siphash(&salt, id, (uint32_t)n + 1);
	return key;
}

void addr6_add_linklocal(struct host *h, struct netif *nif)
{
	const struct ipaddr prefix = { .b = { 0xfe, 0x80 } };
	struct siphash_key secret = addr6_secret(h);
	struct eth_addr mac;
	bool v6 = false;

	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		v6 |= !ipaddr_is_v4(&nif->addr[i].addr);
		if (ipaddr_is_link_local(&nif->addr[i].addr))
			return;
	}
	v6 |= config_num(&h->config, CONFIG_autoconf) != 0;
	if (!v6 || nif->n_addrs == NETIF_ADDRS)
		return;
	memcpy(&mac, nif->mac, sizeof(mac));
	nif->addr[nif->n_addrs++] = (struct netif_addr){
		.addr = stable_addr(&prefix, mac, 0, &secret), .plen = 64,
	};
}

bool addr6_kernel_has(const struct ipaddr *a)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		struct sockaddr_in6 sin6;

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET6)
			continue;
		memcpy(&sin6, i->ifa_addr, sizeof(sin6));
		found |= memcmp(&sin6.sin6_addr, a->b, sizeof(a->b)) == 0;
	}
	freeifaddrs(all);
	return found;
}

/* By each data thread, before it goes on. */
static void look_at_paths(struct worker *w, void *arg)
{
	sock_paths_changed(&w->sock);
}

void addr6_change(struct host *h)
{
	struct ndp *ndp = h->n_workers && h->worker[0] ? h->worker[0]->ndp : NULL;
	uint16_t mtu[NETIF_MAX];
	struct route_table t;

	if (!ndp)
		return;
	struct barrier *b = barrier_close(h);
	if (!b)
		return;
	for (uint32_t i = 0; i < h->n_ports; i++)
		mtu[i] = netif_mtu6(h->netif[i]);
	ndp_apply(ndp);
	route_init(&t);
	int err = host_routes(h, &t);
	/* A table that is too small keeps the routes of the configuration. */
	if (err)
		LOG(host, WARN, "the routes of a router are not taken: %s", strerror(-err));
	ndp_add_routes(ndp, &t);
	h->routes = t;
	route_export(&h->routes, h->engine.base);
	bool paths = h->n_ports > 1; /* then a route may lead elsewhere */
	for (uint32_t i = 0; i < h->n_ports; i++)
		paths |= mtu[i] != netif_mtu6(h->netif[i]);
	barrier_open(b, paths ? look_at_paths : NULL, NULL);
}
