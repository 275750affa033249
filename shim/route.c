/* Where an address leads, by the engine's table of routes in E. */
// SPDX-License-Identifier: MIT
#include "shim/route.h"
#include <string.h>
#include "shim/engine.h"

static bool covers(const struct chan_route *r, const struct ipaddr *addr)
{
	unsigned whole = r->plen / 8, rest = r->plen % 8;

	if (r->plen > 128 || memcmp(r->prefix.b, addr->b, whole))
		return false;
	/* ::/0 is a route of IPv6: IPv4 has its own default, of 96 bits. */
	if (r->plen < 96 && ipaddr_is_v4(addr))
		return false;
	return !rest || ((r->prefix.b[whole] ^ addr->b[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

/* Is a better than *best (which may be none)? */
typedef bool (*chooser)(const struct chan_route *r, const struct chan_route *best, const void *arg);

static bool scan(const struct chan_engine *e, chooser better, const void *arg, struct chan_route *best)
{
	uint32_t n = min_u32(e->n_routes, CHAN_MAX_ROUTES);
	bool found = false;

	for (uint32_t i = 0; i < n; i++) {
		struct chan_route r = e->route[i];

		if (!better(&r, found ? best : NULL, arg))
			continue;
		*best = r;
		found = true;
	}
	return found;
}

/* The table may change under us: then once more. Bounded, as an engine that died while it wrote must not
 * hang us. */
static bool choose(const struct chan_app *app, chooser better, const void *arg, struct chan_route *best)
{
	const struct chan_engine *e = app->e;

	for (int tries = 0; tries < 1000; tries++) {
		uint32_t seq = atomic_load_explicit(&e->route_seq, memory_order_acquire);
		bool found;

		if (seq & 1)
			continue;
		found = scan(e, better, arg, best);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&e->route_seq, memory_order_relaxed) == seq)
			return found;
	}
	return false;
}

static bool is_longer(const struct chan_route *r, const struct chan_route *best, const void *addr)
{
	return (!best || r->plen > best->plen) && covers(r, addr);
}

bool route_find(const struct chan_app *app, const struct ipaddr *addr, struct chan_route *route)
{
	return choose(app, is_longer, addr, route);
}

uint32_t engine_route(const struct chan_app *app, const struct ipaddr *addr)
{
	struct chan_route r;

	return route_find(app, addr, &r) ? r.kind : 0;
}

static bool is_in_zone(const struct chan_route *r, const struct chan_route *best, const void *arg)
{
	const struct endpoint *ep = arg;

	return r->ifindex == ep->scope && is_longer(r, best, &ep->addr);
}

bool route_find_to(const struct chan_app *app, const struct endpoint *ep, struct chan_route *route)
{
	if (!ipaddr_has_zone(&ep->addr))
		return route_find(app, &ep->addr, route);
	return ep->scope && choose(app, is_in_zone, ep, route);
}

bool route_leads(const struct chan_app *app, const struct endpoint *ep)
{
	struct chan_route r;

	return route_find_to(app, ep, &r);
}

bool route_is_own(const struct chan_app *app, const struct endpoint *ep)
{
	struct chan_route r;

	return route_find_to(app, ep, &r) && r.kind == CHAN_ROUTE_LOCAL;
}

static bool is_six(const struct chan_route *r, const struct chan_route *best, const void *arg)
{
	(void)arg;
	return !best && !ipaddr_is_v4(&r->prefix);
}

bool route_has_v6(const struct chan_app *app)
{
	struct chan_route r;

	return choose(app, is_six, NULL, &r);
}

static bool is_on(const struct chan_route *r, const struct chan_route *best, const void *ifindex)
{
	return !best && r->ifindex == *(const uint32_t *)ifindex;
}

bool route_has_interface(const struct chan_app *app, uint32_t ifindex)
{
	struct chan_route r;

	return ifindex && choose(app, is_on, &ifindex, &r);
}

/* The link itself before other ways, because it knows the MTU. Loopback has no groups, as on Linux. */
static bool is_six_on(const struct chan_route *r, const struct chan_route *best, const void *ifindex)
{
	uint32_t on = *(const uint32_t *)ifindex;

	if (ipaddr_is_v4(&r->prefix) || ipaddr_is_loopback(&r->prefix) || (on && r->ifindex != on))
		return false;
	if (!best || r->ifindex != best->ifindex)
		return !best || r->ifindex < best->ifindex;
	return r->kind == CHAN_ROUTE_ONLINK && best->kind != CHAN_ROUTE_ONLINK;
}

bool route_of_group6(const struct chan_app *app, uint32_t ifindex, struct chan_route *route)
{
	return choose(app, is_six_on, &ifindex, route);
}

static bool is_own_on(const struct chan_route *r, const struct chan_route *best, const void *ifindex)
{
	return r->kind == CHAN_ROUTE_LOCAL && ipaddr_is_v4(&r->prefix) &&
	       !ipaddr_is_loopback(&r->prefix) && is_on(r, best, ifindex);
}

uint32_t route_interface_ip(const struct chan_app *app, uint32_t ifindex)
{
	struct chan_route r;

	return choose(app, is_own_on, &ifindex, &r) ? ipaddr_get_v4(&r.prefix) : 0;
}

static bool is_next_own(const struct chan_route *r, const struct chan_route *best, const void *after)
{
	if (r->kind != CHAN_ROUTE_LOCAL || !ipaddr_is_v4(&r->prefix) || ipaddr_is_loopback(&r->prefix))
		return false;
	return ipaddr_get_v4(&r->prefix) > *(const uint32_t *)after &&
	       (!best || ipaddr_get_v4(&r->prefix) < ipaddr_get_v4(&best->prefix));
}

bool route_next_own(const struct chan_app *app, uint32_t after, struct chan_route *route)
{
	return choose(app, is_next_own, &after, route);
}

static int order6(const struct chan_route *r, const struct ipaddr *addr, uint32_t ifindex)
{
	int c = memcmp(r->prefix.b, addr->b, sizeof(addr->b));

	return c ? c : r->ifindex < ifindex ? -1 : r->ifindex > ifindex;
}

static bool is_next_own6(const struct chan_route *r, const struct chan_route *best, const void *arg)
{
	const struct endpoint *after = arg;

	if (r->kind != CHAN_ROUTE_LOCAL || r->plen != 128 || ipaddr_is_v4(&r->prefix) ||
	    ipaddr_is_loopback(&r->prefix))
		return false;
	return order6(r, &after->addr, after->scope) > 0 &&
	       (!best || order6(r, &best->prefix, best->ifindex) < 0);
}

bool route_next_own6(const struct chan_app *app, const struct endpoint *after, struct chan_route *route)
{
	return choose(app, is_next_own6, after, route);
}

struct place {
	struct ipaddr addr;
	uint32_t ifindex;
};

static bool is_prefix_of(const struct chan_route *r, const struct chan_route *best, const void *arg)
{
	const struct place *p = arg;

	return r->kind == CHAN_ROUTE_ONLINK && r->ifindex == p->ifindex && r->plen > 96 &&
	       is_longer(r, best, &p->addr);
}

uint32_t route_netmask(const struct chan_app *app, uint32_t ip, uint32_t ifindex)
{
	struct place p = { ipaddr_v4(ip), ifindex };
	struct chan_route r;

	return choose(app, is_prefix_of, &p, &r) ? UINT32_MAX << (128 - r.plen) : UINT32_MAX;
}

static bool is_prefix6_of(const struct chan_route *r, const struct chan_route *best, const void *arg)
{
	const struct place *p = arg;

	return r->kind == CHAN_ROUTE_ONLINK && r->ifindex == p->ifindex && is_longer(r, best, &p->addr);
}

uint8_t route_plen6(const struct chan_app *app, const struct chan_route *own)
{
	struct place p = { own->prefix, own->ifindex };
	struct chan_route r;

	return choose(app, is_prefix6_of, &p, &r) ? r.plen : 128;
}

static bool ends_at(const struct chan_route *r, const struct chan_route *best, const void *addr)
{
	const struct ipaddr *a = addr;
	uint32_t hosts;

	if (best || r->kind != CHAN_ROUTE_ONLINK || r->plen < 97 || r->plen > 126 || !covers(r, a))
		return false;
	hosts = 0xffffffffu >> (r->plen - 96);
	return (ipaddr_get_v4(a) & hosts) == hosts;
}

bool route_is_broadcast(const struct chan_app *app, const struct ipaddr *addr)
{
	struct chan_route r;

	if (!ipaddr_is_v4(addr))
		return false;
	return ipaddr_get_v4(addr) == 0xffffffffu || choose(app, ends_at, addr, &r);
}
