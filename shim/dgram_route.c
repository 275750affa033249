/* Which half of a datagram socket reaches a destination, and whether it may be sent to. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "shim/addr.h"
#include "shim/dgram_int.h"
#include "shim/route.h"

int dgram_parse(const struct sock *s, struct endpoint *ep, const struct sockaddr *addr, socklen_t len)
{
	bool v4 = len >= sizeof(addr->sa_family) && addr->sa_family == AF_INET;

	return addr_parse(ep, v4 ? AF_INET : s->family, addr, len, ADDR_CONNECT);
}

static enum dgram_side by_interface(const struct chan_app *app, uint32_t ifindex)
{
	return route_has_interface(app, ifindex) ? DGRAM_STACK : DGRAM_KERNEL;
}

/* A group leaves by IP_MULTICAST_IF, else like any address by the longest route. */
static enum dgram_side side_of_group(const struct sock *s, const struct chan_app *app, bool has_route)
{
	uint32_t ifindex = atomic_load_explicit(&s->b->dg_mcast_if, memory_order_relaxed);

	if (ifindex)
		return ifindex == DGRAM_MCAST_KERNEL ? DGRAM_KERNEL : by_interface(app, ifindex);
	return has_route ? DGRAM_STACK : DGRAM_KERNEL;
}

static bool is_stacks_own(const struct chan_app *app, const struct ipaddr *src)
{
	return engine_route(app, src) == CHAN_ROUTE_LOCAL ||
	       (ipaddr_is_loopback(src) && dgram_claims_loopback(app));
}

static enum dgram_side side_of(const struct sock *s, const struct chan_app *app,
			       const struct endpoint *to, const struct ipaddr *src, uint32_t ifindex,
			       const struct dgram_way *way)
{
	if (!ipaddr_is_any(src))
		return is_stacks_own(app, src) ? DGRAM_STACK : DGRAM_KERNEL;
	if (sock_has(s, DGRAM_ONLY_STACK | DGRAM_DEVICE))
		return DGRAM_STACK;
	if (ipaddr_is_loopback(&to->addr))
		return dgram_claims_loopback(app) ? DGRAM_STACK : DGRAM_KERNEL;
	if (ifindex)
		return by_interface(app, ifindex);
	if (way->group)
		return side_of_group(s, app, way->has_route);
	return way->has_route ? DGRAM_STACK : DGRAM_KERNEL;
}

/* No packet goes from one family to the other. */
static bool is_mixed(const struct ipaddr *to, const struct ipaddr *from)
{
	return !ipaddr_is_any(from) && ipaddr_is_v4(from) != ipaddr_is_v4(to);
}

/* Every interface has the route to an IPv6 group: it leaves by the one that is named, or by the stack's
 * first. */
static void way_of_group6(const struct sock *s, const struct chan_app *app, const struct endpoint *to,
			  const struct ipaddr *src, uint32_t ifindex, struct dgram_way *way)
{
	bool mixed = is_mixed(&to->addr, sock_has(s, DGRAM_ONLY_STACK) ? &s->bound.addr : src);
	bool bound = sock_has(s, DGRAM_ONLY_STACK | DGRAM_DEVICE);
	uint32_t by = ifindex ? ifindex : to->scope;

	if (!by)
		by = atomic_load_explicit(&s->b->dg_mcast_if6, memory_order_relaxed);
	way->group = !mixed;
	way->broadcast = false;
	way->has_route = !mixed && by != DGRAM_MCAST_KERNEL && route_of_group6(app, by, &way->route);
	way->side = bound || (way->has_route && (ipaddr_is_any(src) || is_stacks_own(app, src))) ?
			    DGRAM_STACK : DGRAM_KERNEL;
}

void dgram_way(const struct sock *s, const struct chan_app *app, struct endpoint *to,
	       const struct ipaddr *src, uint32_t ifindex, struct dgram_way *way)
{
	/* As Linux: any address is this host, by the name that the socket has. */
	if (ipaddr_is_any(&to->addr) && sock_has(s, DGRAM_ONLY_STACK))
		to->addr = s->bound.addr;
	else if (ipaddr_is_any(&to->addr))
		to->addr = ipaddr_is_v4(&to->addr) ? ipaddr_v4(0x7f000001) :
						     (struct ipaddr){ .b = { [15] = 1 } };
	if (ipaddr_has_zone(&to->addr) && !to->scope)
		to->scope = ifindex ? ifindex : s->bound.scope;
	if (unlikely(!ipaddr_is_v4(&to->addr) && ipaddr_is_multicast(&to->addr))) {
		way_of_group6(s, app, to, src, ifindex, way);
		return;
	}
	way->group = ipaddr_is_multicast(&to->addr);
	way->broadcast = route_is_broadcast(app, &to->addr);
	way->has_route = route_find_to(app, to, &way->route) &&
			 !is_mixed(&to->addr, sock_has(s, DGRAM_ONLY_STACK) ? &s->bound.addr : src);
	way->side = side_of(s, app, to, src, ifindex, way);
	if (!way->has_route && way->side == DGRAM_STACK && ipaddr_is_loopback(&to->addr) &&
	    dgram_claims_loopback(app)) {
		way->route = (struct chan_route){ .kind = CHAN_ROUTE_LOCAL };
		way->has_route = true;
	}
}

int dgram_zone_of_group6(const struct sock *s, struct endpoint *to)
{
	uint32_t by = atomic_load(&s->b->dg_mcast_if6);

	if (ipaddr_is_v4(&to->addr) || !ipaddr_is_multicast(&to->addr) || to->scope)
		return 0;
	if (by != DGRAM_MCAST_KERNEL)
		to->scope = by;
	return by || !ipaddr_has_zone(&to->addr) || sock_has(s, DGRAM_DEVICE) ? 0 : -EINVAL;
}

int dgram_way_check(const struct sock *s, const struct dgram_way *way)
{
	if (way->broadcast && !(s->b->opts.flags & CHAN_O_BROADCAST))
		return -EACCES;
	/* A group or a limited broadcast needs an interface only, which is known by now. */
	if (!way->has_route && !way->group && !way->broadcast)
		return -ENETUNREACH;
	return 0;
}
