/* From the configuration to ports with addresses and routes. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "stack/base/log.h"
#include "stack/host/addr6.h"
#include "stack/host/host.h"
#include "stack/host/nl.h"
#include "stack/host/probe.h"
#include "stack/net/netif_wrap.h"

enum { REOPEN_TRIES = 50 };
static const struct timespec reopen_nap = { .tv_nsec = 10 * 1000000 };

/* The n-th item of a list separated by ';', empty when there are fewer. */
static const char *item_of(const char *list, uint32_t n, char *buf, size_t size)
{
	for (; n && *list; n--) {
		list += strcspn(list, ";");
		list += *list == ';';
	}
	size_t len = strcspn(list, ";");
	snprintf(buf, size, "%.*s", (int)len, list);
	return buf;
}

static const char *addr_text(const struct ipaddr *a, char *buf, size_t size)
{
	bool v4 = ipaddr_is_v4(a);

	return inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->b + 12 : a->b, buf, (socklen_t)size);
}

/* ---- addresses ---- */
struct occupied {
	uint32_t ip4;
	bool found;
};

static bool see_addr4(void *arg, uint32_t ip4, uint8_t plen)
{
	struct occupied *o = arg;

	o->found |= ip4 == o->ip4;
	return !o->found;
}

/* The kernel of this namespace would answer for it too: connections would meet the wrong one. */
static bool kernel_has(const struct ipaddr *a)
{
	struct occupied o = { .ip4 = ipaddr_is_v4(a) ? ipaddr_get_v4(a) : 0 };
	struct nl nl;

	if (!ipaddr_is_v4(a))
		return addr6_kernel_has(a);
	if (nl_open(&nl) != 0)
		return false;
	nl_each_addr4(&nl, see_addr4, &o);
	nl_close(&nl);
	return o.found;
}

/* The addresses of port n into out. How many, or -errno. */
static int addrs_of(struct host *h, uint32_t n, struct netif_addr *out)
{
	char list[CONFIG_TEXT_MAX], text[64];
	const char *p = item_of(config_str(&h->config, CONFIG_addr), n, list, sizeof(list));
	int count = 0;

	if (!*p && h->has_autoport && n == 0)
		p = h->autoport.addr;
	while (*p) {
		struct ipaddr a;
		uint8_t plen;

		if (!config_next_prefix(&p, &a, &plen))
			return host_fail(h, -EINVAL, "bad addr '%s'", list);
		addr_text(&a, text, sizeof(text));
		if (count == NETIF_ADDRS)
			return host_fail(h, -ENOSPC,
					 "more than %d addresses for one port; leave some out",
					 NETIF_ADDRS);
		if (kernel_has(&a))
			return host_fail(h, -EADDRINUSE,
					 "address %s is in use: the kernel has it; take it "
					 "from its interface (ip addr del), or choose another addr",
					 text);
		out[count++] = (struct netif_addr){ .addr = a, .plen = plen };
	}
	return count;
}

/* With port=none the addresses exist for programs of this engine among each other. */
static int add_portless(struct host *h, struct route_table *t)
{
	struct netif_addr addr[NETIF_ADDRS];
	int n = addrs_of(h, 0, addr);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		struct route r = { .prefix = addr[i].addr, .plen = 128, .kind = ROUTE_LOCAL,
				   .src = addr[i].addr };
		int err = route_add(t, &r);

		if (err)
			return host_fail(h, err, "can't add an address: %s", strerror(-err));
	}
	return 0;
}

/* The port that a zone names: as the engine calls it, or as the kernel does (RFC 4007 11). NULL: none. */
static struct netif *port_of_zone(struct host *h, const char *zone)
{
	char name[IF_NAMESIZE];

	for (uint32_t i = 0; i < h->n_ports; i++) {
		uint32_t ifindex = h->netif[i]->ifindex;

		if (!strcmp(zone, h->netif[i]->name))
			return h->netif[i];
		if (ifindex < NETIF_IFINDEX_BASE && if_indextoname(ifindex, name) && !strcmp(zone, name))
			return h->netif[i];
	}
	return NULL;
}

/* The first of the list at *p, which moves on. */
static int add_gateway(struct host *h, struct route_table *t, const char **p)
{
	char zone[CONFIG_ZONE_MAX], text[64];
	const struct netif *nif = NULL;
	struct ipaddr gw;

	if (!config_next_gateway(p, &gw, zone))
		return host_fail(h, -EINVAL, "bad gateway");
	addr_text(&gw, text, sizeof(text));
	if (*zone && !(nif = port_of_zone(h, zone)))
		return host_fail(h, -ENODEV, "gateway %s%%%s: no port has this name", text, zone);
	if (!nif && ipaddr_is_link_local(&gw) && !ipaddr_is_v4(&gw) && h->n_ports > 1)
		return host_fail(h, -EINVAL, "gateway %s: on which port? say %s%%%s, for example", text,
				 text, h->netif[0]->name);
	int err = route_add_gateway_on(t, &gw, nif);
	if (err == -EEXIST)
		return host_fail(h, err, "gateway %s: there is another one of its family; leave one out",
				 text);
	if (err)
		return host_fail(h, err, "gateway %s: %s; it must be on the network of a port's addr", text,
				 strerror(-err));
	return 0;
}

int host_routes(struct host *h, struct route_table *t)
{
	const char *p = config_str(&h->config, CONFIG_gateway);
	int err = 0;

	for (uint32_t i = 0; !err && i < h->n_ports; i++)
		err = route_add_netif(t, h->netif[i]);
	if (!err && !h->n_ports)
		err = add_portless(h, t);
	if (!err && config_num(&h->config, CONFIG_loopback))
		err = route_add_loopback(t);
	if (err)
		return *h->err ? err
			       : host_fail(h, err,
					   "can't make the routes: %s; check that the "
					   "addresses do not overlap",
					   strerror(-err));
	while (!err && *p)
		err = add_gateway(h, t, &p);
	return err;
}

/* ---- ports ---- */
static int wrap(struct host *h, struct netif **nif)
{
	const char *fault = config_str(&h->config, CONFIG_fault);
	const char *pcap = config_str(&h->config, CONFIG_pcap);
	struct netif_fault f;
	int err;

	/* The file is inside the faults: it shows what was on the wire. */
	if (*pcap) {
		err = netif_wrap_pcap(*nif, pcap, h->takeover_fd >= 0, nif);
		if (err)
			return host_fail(h, err, "can't write the pcap file %s: %s", pcap,
					 strerror(-err));
	}
	if (!*fault)
		return 0;
	err = netif_fault_parse(fault, &f);
	if (err)
		return host_fail(h, err, "fault: '%s' is not like drop=1%%,dup=1%%,reorder=2%%,"
				 "corrupt=0.1%%,seed=7", fault);
	err = netif_wrap_fault(*nif, &f, h->mbufs, nif);
	return err ? host_fail(h, err, "can't inject faults: %s", strerror(-err)) : 0;
}

static int check_link(struct host *h, struct netif *nif)
{
	struct eth_addr owner;
	char text[64];
	int i = probe_addresses(nif, h->mbufs, &owner);

	if (i < 0)
		return 0;
	return host_fail(h, -EADDRINUSE,
			 "address %s is in use on the network of port %s, by " ETH_ADDR_FMT
			 "; choose another addr",
			 addr_text(&nif->addr[i].addr, text, sizeof(text)), nif->name,
			 ETH_ADDR_ARG(owner));
}

static int open_port(struct host *h, const char *devargs)
{
	struct port_conf pc = {
		.devargs = devargs, .n_workers = h->n_workers, .mbufs = h->mbufs,
		.mbufs_large = h->mbufs_large,
		.mtu = (uint16_t)config_num(&h->config, CONFIG_mtu),
	};
	struct netif_addr addr[NETIF_ADDRS];
	uint32_t n = h->n_ports;
	char err[PORT_ERR_MAX];

	int r = port_open(&pc, &h->port[n], err);
	/* The kernel takes a moment to let go of what the engine before us has closed. */
	for (int i = 0; r && h->takeover_fd >= 0 && i < REOPEN_TRIES; i++) {
		nanosleep(&reopen_nap, NULL);
		r = port_open(&pc, &h->port[n], err);
	}
	if (r)
		return host_fail(h, r, "%s", err);
	struct netif *nif = port_netif(h->port[n]);
	snprintf(h->devargs[n], sizeof(h->devargs[n]), "%s", devargs);
	h->netif[n] = nif;
	h->n_ports++;
	int n_addr = addrs_of(h, n, addr);
	if (n_addr < 0)
		return n_addr;
	if (n_addr == 0 && !config_num(&h->config, CONFIG_autoconf))
		return host_fail(h, -EADDRNOTAVAIL,
				 "port %s has no address; give it one with addr, such "
				 "as 10.0.0.2/24",
				 devargs);
	nif->index = (uint16_t)n;
	if (!nif->ifindex)
		nif->ifindex = NETIF_IFINDEX_BASE + 1 + n;
	nif->n_addrs = (uint16_t)n_addr;
	memcpy(nif->addr, addr, sizeof(addr));
	addr6_add_linklocal(h, nif);
	/* The engine whose place we take answers for our addresses. */
	r = h->takeover_fd < 0 ? check_link(h, nif) : 0;
	return r ? r : wrap(h, &h->netif[n]);
}

/* The engine's end of the pair: af_xdp, else af_packet. The af_xdp driver does not see the queues
 * of a veth, so several data threads share out the frames by af_packet's fanout. */
static int open_auto(struct host *h)
{
	char devargs[128];
	int r;

	snprintf(devargs, sizeof(devargs), "net_af_xdp0,iface=%s", h->autoport.engine);
	/* Where we take over, as it has been. */
	if (h->n_workers == 1 && !h->ports_shareable) {
		r = open_port(h, devargs);
		if (!r || h->n_ports)
			return r;
		LOG(host, INFO, "%s; using af_packet", h->err);
		h->err[0] = 0;
	}
	snprintf(devargs, sizeof(devargs), "net_af_packet0,iface=%s,qpairs=%u", h->autoport.engine,
		 h->n_workers);
	return open_port(h, devargs);
}

static int make_auto(struct host *h)
{
	char err[AUTOPORT_ERR_MAX];
	int r = autoport_open(&h->autoport, h->n_workers, err);

	if (!r) {
		h->has_autoport = true;
		return 0;
	}
	if ((r == -EPERM || r == -EACCES || r == -EOPNOTSUPP) &&
	    h->config.v[CONFIG_port].from == CONFIG_FROM_DEFAULT) {
		LOG(host, INFO, "no port: %s", err);
		return 0;
	}
	return host_fail(h, r, "%s", err);
}

/* What the port option asks for. */
struct wanted {
	uint32_t n;
	bool autoport;
	char dev[NETIF_MAX][CONFIG_TEXT_MAX];
};

static int read_ports(struct host *h, struct wanted *w)
{
	const char *list = config_str(&h->config, CONFIG_port);
	char item[CONFIG_TEXT_MAX];

	for (uint32_t i = 0; *item_of(list, i, item, sizeof(item)); i++) {
		if (!strcmp(item, "none"))
			continue;
		if (w->n == NETIF_MAX)
			return host_fail(h, -ENOSPC, "more than %d ports; leave some out",
					 NETIF_MAX);
		if (!strcmp(item, "auto") && (w->autoport || w->n))
			return host_fail(h, -EINVAL,
					 "port auto must be the first and only auto port");
		w->autoport |= !strcmp(item, "auto");
		snprintf(w->dev[w->n++], CONFIG_TEXT_MAX, "%s", item);
	}
	return 0;
}

static int start_eal(struct host *h, const struct wanted *w)
{
	struct eal_conf ec = {
		.huge = (enum eal_huge)config_num(&h->config, CONFIG_hugepages),
		.memory = config_num(&h->config, CONFIG_memory),
	};
	uint32_t mtu = (uint32_t)config_num(&h->config, CONFIG_mtu);
	char err[EAL_ERR_MAX];

	for (uint32_t i = 0; i < w->n && ec.n_pci < EAL_PCI_MAX; i++) {
		if (eal_is_pci(w->dev[i]))
			ec.pci[ec.n_pci++] = w->dev[i];
	}
	int r = eal_start(&ec, &h->eal, err);
	if (r)
		return host_fail(h, r, "%s", err);
	h->eal_up = true;
	h->mbufs = eal_mbufs(ec.memory, (uint16_t)mtu, h->n_workers * (w->n ? w->n : 1), err);
	if (!h->mbufs)
		return host_fail(h, -ENOMEM, "%s", err);
	for (uint32_t i = 0; i < w->n && !h->mbufs_large; i++) {
		if (port_is_large(w->dev[i]))
			h->mbufs_large = eal_mbufs_large(ec.memory, h->n_workers);
	}
	return 0;
}

int host_dpdk_start(struct host *h)
{
	struct wanted *w = calloc(1, sizeof(*w));

	if (!w)
		return host_fail(h, -ENOMEM, "out of memory");
	int r = read_ports(h, w);
	/* The pair of an engine whose place we take comes from there. */
	if (!r && w->autoport && h->takeover_fd < 0)
		r = make_auto(h);
	if (!r)
		r = start_eal(h, w);
	free(w);
	return r;
}

int host_ports_open(struct host *h)
{
	struct wanted *w = calloc(1, sizeof(*w));

	if (!w)
		return host_fail(h, -ENOMEM, "out of memory");
	route_init(&h->routes);
	int r = read_ports(h, w);
	for (uint32_t i = 0; !r && i < w->n; i++) {
		bool is_auto = !strcmp(w->dev[i], "auto");

		if (!is_auto)
			r = open_port(h, w->dev[i]);
		else if (h->has_autoport)
			r = open_auto(h);
	}
	if (!r)
		r = host_routes(h, &h->routes);
	free(w);
	return r;
}

void host_ports_close(struct host *h)
{
	for (uint32_t i = h->n_ports; i-- > 0;) {
		struct netif *base = port_netif(h->port[i]);

		while (h->netif[i] != base)
			h->netif[i] = netif_unwrap(h->netif[i]);
		port_close(h->port[i]);
	}
	h->n_ports = 0;
	if (h->eal_up)
		eal_stop();
	h->eal_up = false;
	if (h->has_autoport)
		autoport_close(&h->autoport);
	h->has_autoport = false;
}
