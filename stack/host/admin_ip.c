/* What ip(8) shows of a kernel: the addresses, routes, neighbours, routers and groups of the ports. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/host/admin_int.h"
#include "stack/net/igmp.h"
#include "stack/net/mld.h"
#include "stack/net/ndp.h"
#include "stack/net/neigh.h"
#include "stack/wire/eth.h"
#include "stack/wire/ip6.h"

enum { ROWS = 256 };

static struct worker *worker_of(struct sock_env *env) { return container_of(env, struct worker, sock); }

static const char *port_name(const struct host *h, uint32_t index)
{
	return index < h->n_ports ? h->netif[index]->name : "?";
}

/* Bits of the address' own family. */
static unsigned plen_of(const struct ipaddr *a, uint8_t plen)
{
	return ipaddr_is_v4(a) && plen >= 96 ? plen - 96u : plen;
}

/* ---- addr ---- */
struct addr_arg {
	struct admin_portion p;
	struct ndp_addr_row row[NDP_ADDR_ROWS];
};

static void addr_fill(struct sock_env *env, void *arg)
{
	const struct worker *w = worker_of(env);
	struct addr_arg *a = arg;

	a->p.n = w->ndp ? ndp_addr_rows(w->ndp, a->row, w->now_ns) : 0;
}

struct printing {
	const struct host *h;
	FILE *out;
	uint32_t worker;
};

static void addr_print(const void *arg, void *ctx)
{
	static const char *const origins[] = { [NDP_STATIC] = "static", [NDP_LINKLOCAL] = "link",
					       [NDP_AUTO] = "router", [NDP_TEMPORARY] = "temporary" };
	const struct printing *p = ctx;
	const struct addr_arg *a = arg;

	for (uint32_t i = 0; i < a->p.n; i++) {
		const struct ndp_addr_row *r = &a->row[i];
		char text[ADMIN_ADDR_MAX], valid[ADMIN_WORD_MAX], preferred[ADMIN_WORD_MAX];
		bool old = !r->preferred_s || r->flags & NETIF_ADDR_DEPRECATED;

		fprintf(p->out, "%s/%u\t%s\t%s\t%s\t%s\t%s\n", admin_addr(&r->addr, text), r->plen,
			port_name(p->h, r->nif),
			r->flags & NETIF_ADDR_OPTIMISTIC ? "tentative" : old ? "deprecated" : "preferred",
			origins[r->origin], admin_lifetime(r->valid_s, valid),
			admin_lifetime(r->preferred_s, preferred));
	}
}

static void print_forever(FILE *out, const struct ipaddr *a, uint8_t plen, const char *port)
{
	char text[ADMIN_ADDR_MAX];

	fprintf(out, "%s/%u\t%s\tpreferred\tstatic\tforever\tforever\n", admin_addr(a, text),
		plen_of(a, plen), port);
}

/* IPv4's are those of the configuration, IPv6's are data thread 0's. */
static void list_addr(struct host *h, FILE *out)
{
	static const struct admin_table t = { sizeof(struct addr_arg), NDP_ADDR_ROWS + 1, addr_fill,
					      addr_print };
	struct printing p = { .h = h, .out = out };

	fprintf(out, "Address\tPort\tState\tOrigin\tValid\tPreferred\n");
	for (uint32_t i = 0; i < h->n_ports; i++) {
		const struct netif *nif = h->netif[i];

		for (uint16_t k = 0; k < nif->n_addrs; k++) {
			if (ipaddr_is_v4(&nif->addr[k].addr))
				print_forever(out, &nif->addr[k].addr, nif->addr[k].plen, nif->name);
		}
	}
	/* those of programs of this engine among each other */
	for (uint32_t i = 0; i < h->routes.n; i++) {
		const struct route *r = &h->routes.r[i];

		if (r->kind == ROUTE_LOCAL && !r->nif)
			print_forever(out, &r->prefix, r->plen, ipaddr_is_loopback(&r->prefix) ? "lo" : "-");
	}
	admin_each_portion(h->worker[0], &t, &p);
}

/* ---- route ---- */
/* The table changes on this thread only. */
static void list_route(struct host *h, FILE *out)
{
	static const char *const kinds[] = { [ROUTE_LOCAL] = "local", [ROUTE_ONLINK] = "link",
					     [ROUTE_GATEWAY] = "gateway",
					     [ROUTE_BROADCAST] = "broadcast" };

	fprintf(out, "Destination\tVia\tPort\tSource\tKind\n");
	for (uint32_t i = 0; i < h->routes.n; i++) {
		const struct route *r = &h->routes.r[i];
		char dst[ADMIN_ADDR_MAX], via[ADMIN_ADDR_MAX], src[ADMIN_ADDR_MAX];

		fprintf(out, "%s/%u\t%s\t%s\t%s\t%s\n", admin_addr(&r->prefix, dst),
			plen_of(&r->prefix, r->plen),
			r->kind == ROUTE_GATEWAY ? admin_addr(&r->gateway, via) : "-",
			r->nif ? r->nif->name : ipaddr_is_loopback(&r->prefix) ? "lo" : "-",
			ipaddr_is_any(&r->src) ? "-" : admin_addr(&r->src, src), kinds[r->kind]);
	}
}

/* ---- neigh ---- */
struct neigh_arg {
	struct admin_portion p;
	struct neigh_row row[ROWS];
};

static void neigh_fill(struct sock_env *env, void *arg)
{
	struct neigh_arg *a = arg;
	uint32_t cursor = (uint32_t)a->p.cursor;

	a->p.n = neigh_rows(worker_of(env)->neigh, &cursor, a->row, ROWS);
	a->p.cursor = cursor;
}

static void neigh_print(const void *arg, void *ctx)
{
	/* ip(8) has no word for the last one, which RFC 7048 has given it */
	static const char *const states[] = {
		[NEIGH_INCOMPLETE] = "INCOMPLETE", [NEIGH_REACHABLE] = "REACHABLE", [NEIGH_STALE] = "STALE",
		[NEIGH_DELAY] = "DELAY", [NEIGH_PROBE] = "PROBE", [NEIGH_FAILED] = "FAILED",
		[NEIGH_UNREACHABLE] = "UNREACHABLE",
	};
	const struct printing *p = ctx;
	const struct neigh_arg *a = arg;

	for (uint32_t i = 0; i < a->p.n; i++) {
		const struct neigh_row *r = &a->row[i];
		char text[ADMIN_ADDR_MAX], mac[24] = "-";

		if (!eth_addr_is_zero(r->mac))
			snprintf(mac, sizeof(mac), ETH_ADDR_FMT, ETH_ADDR_ARG(r->mac));
		fprintf(p->out, "%s\t%s\t%s\t%s\t%u\t%u\n", admin_addr(&r->addr, text),
			port_name(p->h, r->nif), mac, states[r->state], r->queued, p->worker);
	}
}

/* Each data thread has a cache of its own. */
static void list_neigh(struct host *h, FILE *out)
{
	static const struct admin_table t = { sizeof(struct neigh_arg), ROWS, neigh_fill, neigh_print };
	struct printing p = { .h = h, .out = out };

	fprintf(out, "Address\tPort\tLink-address\tState\tQueued\tThread\n");
	for (p.worker = 0; p.worker < h->n_workers; p.worker++)
		admin_each_portion(h->worker[p.worker], &t, &p);
}

/* ---- router ---- */
struct router_arg {
	struct admin_portion p;
	struct ndp_router_row row[NDP_ROUTER_ROWS];
};

static void router_fill(struct sock_env *env, void *arg)
{
	const struct worker *w = worker_of(env);
	struct router_arg *a = arg;

	a->p.n = w->ndp ? ndp_router_rows(w->ndp, a->row, w->now_ns) : 0;
}

static bool is_gateway(const struct host *h, const struct ndp_router_row *r)
{
	for (uint32_t i = 0; i < h->routes.n; i++) {
		const struct route *g = &h->routes.r[i];

		if (g->kind == ROUTE_GATEWAY && g->nif && g->nif->index == r->nif &&
		    ipaddr_eq(&g->gateway, &r->addr))
			return true;
	}
	return false;
}

static void router_print(const void *arg, void *ctx)
{
	static const char *const preferences[] = { "low", "medium", "high" };
	const struct printing *p = ctx;
	const struct router_arg *a = arg;

	for (uint32_t i = 0; i < a->p.n; i++) {
		const struct ndp_router_row *r = &a->row[i];
		char text[ADMIN_ADDR_MAX], left[ADMIN_WORD_MAX];

		fprintf(p->out, "%s\t%s\t%s\t%s\t%s%s\n", admin_addr(&r->addr, text),
			port_name(p->h, r->nif), preferences[r->preference + 1],
			admin_lifetime(r->lifetime_s, left), is_gateway(p->h, r) ? "used" : "spare",
			r->is_lost ? ", does not answer" : "");
	}
}

static void list_router(struct host *h, FILE *out)
{
	static const struct admin_table t = { sizeof(struct router_arg), NDP_ROUTER_ROWS + 1, router_fill,
					      router_print };
	struct printing p = { .h = h, .out = out };

	fprintf(out, "Address\tPort\tPreference\tLifetime\tState\n");
	admin_each_portion(h->worker[0], &t, &p);
}

/* ---- maddr ---- */
struct maddr_arg {
	struct admin_portion p;
	bool v6;
	struct mcast_row row[ROWS];
};

/* IGMP's, then MLD's. */
static void maddr_fill(struct sock_env *env, void *arg)
{
	const struct worker *w = worker_of(env);
	struct maddr_arg *a = arg;

	a->p.n = 0;
	if (!a->v6 && w->igmp)
		a->p.n = igmp_rows(w->igmp, &a->p.cursor, a->row, ROWS);
	if (a->p.n == ROWS || !w->mld)
		return;
	if (!a->v6) {
		a->v6 = true;
		a->p.cursor = 0;
	}
	a->p.n += mld_rows(w->mld, &a->p.cursor, a->row + a->p.n, ROWS - a->p.n);
}

static void maddr_row(FILE *out, const struct ipaddr *group, const char *port, bool include, uint32_t n)
{
	char text[ADMIN_ADDR_MAX];

	fprintf(out, "%s\t%s\t%s\t%u\n", admin_addr(group, text), port, include ? "include" : "exclude", n);
}

static void maddr_print(const void *arg, void *ctx)
{
	const struct printing *p = ctx;
	const struct maddr_arg *a = arg;

	for (uint32_t i = 0; i < a->p.n; i++)
		maddr_row(p->out, &a->row[i].group, port_name(p->h, a->row[i].nif), a->row[i].include,
			  a->row[i].n_sources);
}

/* What is heard without being told (mcast_is_everybody()), then what routers are told. */
static void list_maddr(struct host *h, FILE *out)
{
	static const struct admin_table t = { sizeof(struct maddr_arg), ROWS, maddr_fill, maddr_print };
	const struct ipaddr all4 = ipaddr_v4(MCAST_ALL_HOSTS), all6 = ip6_link_group(1);
	struct printing p = { .h = h, .out = out };

	fprintf(out, "Group\tPort\tMode\tSources\n");
	for (uint32_t i = 0; i < h->n_ports; i++) {
		bool has4 = false, has6 = false;

		for (uint16_t k = 0; k < h->netif[i]->n_addrs; k++) {
			has4 |= ipaddr_is_v4(&h->netif[i]->addr[k].addr);
			has6 |= !ipaddr_is_v4(&h->netif[i]->addr[k].addr);
		}
		if (has4)
			maddr_row(out, &all4, h->netif[i]->name, false, 0);
		if (has6)
			maddr_row(out, &all6, h->netif[i]->name, false, 0);
	}
	admin_each_portion(h->worker[0], &t, &p);
}

static const struct {
	const char *name;
	void (*list)(struct host *h, FILE *out);
} lists[] = {
	{ "addr", list_addr },	   { "route", list_route }, { "neigh", list_neigh },
	{ "router", list_router }, { "maddr", list_maddr },
};

int admin_ip(struct conn *conn, char **args, FILE *out)
{
	for (size_t i = 0; args[0] && i < ARRAY_LEN(lists); i++) {
		if (!strcmp(args[0], lists[i].name)) {
			lists[i].list(conn->ctl->h, out);
			return 0;
		}
	}
	fprintf(out, "ip needs one of addr, route, neigh, router, maddr");
	return EINVAL;
}
