/* Multicast options of IPPROTO_IPV6: their forms, and IPV6_MULTICAST_IF. What they mean is carried out in
 * dgram_mcast.c. */
// SPDX-License-Identifier: MIT
#include <stddef.h>
#include <string.h>
#include "shim/dgram_int.h"
#include "shim/libc.h"
#include "shim/route.h"
#include "shim/sock_conn.h"
#include "stack/chan/user.h"

bool dgram_is_mcast6_name(int name)
{
	return name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP ||
	       (name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER && name != IP_MSFILTER);
}

static struct ipaddr addr_of(const struct in6_addr *in)
{
	struct ipaddr a;

	memcpy(a.b, in, sizeof(a.b));
	return a;
}

static struct ipaddr addr_in(const struct sockaddr_storage *ss)
{
	return addr_of(&((const struct sockaddr_in6 *)ss)->sin6_addr);
}

static bool from_mreq(struct dgram_member *m, const void *val, socklen_t len)
{
	struct ipv6_mreq n;

	if (len < sizeof(n) || user_get(&n, val, sizeof(n)) < 0)
		return false;
	*m = (struct dgram_member){ .group = addr_of(&n.ipv6mr_multiaddr), .ifindex = n.ipv6mr_interface };
	return true;
}

static bool from_group(struct dgram_member *m, const void *val, socklen_t len)
{
	struct group_req n;

	if (len < sizeof(n) || user_get(&n, val, sizeof(n)) < 0 || n.gr_group.ss_family != AF_INET6)
		return false;
	*m = (struct dgram_member){ .group = addr_in(&n.gr_group), .ifindex = n.gr_interface };
	return true;
}

static bool from_group_source(struct dgram_member *m, const void *val, socklen_t len)
{
	struct group_source_req n;

	if (len < sizeof(n) || user_get(&n, val, sizeof(n)) < 0 || n.gsr_group.ss_family != AF_INET6 ||
	    n.gsr_source.ss_family != AF_INET6)
		return false;
	*m = (struct dgram_member){ .group = addr_in(&n.gsr_group), .source = addr_in(&n.gsr_source),
				    .ifindex = n.gsr_interface };
	return true;
}

/* Linux does not look at the families here. */
static bool from_filter(struct dgram_filter *f, const void *val, socklen_t len)
{
	const size_t head = offsetof(struct group_filter, gf_slist);
	struct sockaddr_storage ss;
	struct group_filter h;

	if (len < head || user_get(&h, val, head) < 0 || dgram_too_many_sources(h.gf_numsrc, true) ||
	    len < head + h.gf_numsrc * sizeof(ss) || h.gf_fmode > MCAST_INCLUDE)
		return false;
	f->m = (struct dgram_member){ .group = addr_in(&h.gf_group), .ifindex = h.gf_interface };
	f->mode = h.gf_fmode;
	f->n = h.gf_numsrc;
	for (uint32_t i = 0; i < f->n; i++) {
		if (user_get(&ss, (const char *)val + head + i * sizeof(ss), sizeof(ss)) < 0)
			return false;
		f->src[i] = addr_in(&ss);
	}
	return true;
}

bool dgram_decode6(int name, const void *val, socklen_t len, struct dgram_filter *f)
{
	switch (name) {
	case IPV6_JOIN_GROUP:
	case IPV6_LEAVE_GROUP:
		return from_mreq(&f->m, val, len);
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		return from_group(&f->m, val, len);
	case MCAST_MSFILTER:
		return from_filter(f, val, len);
	default:
		return from_group_source(&f->m, val, len);
	}
}

bool dgram_question6(const void *val, socklen_t len, struct dgram_member *m, uint32_t *room)
{
	struct group_filter g;

	if (len < GROUP_FILTER_SIZE(0) || user_get(&g, val, GROUP_FILTER_SIZE(0)) < 0 ||
	    g.gf_group.ss_family != AF_INET6 || !g.gf_interface)
		return false;
	*m = (struct dgram_member){ .group = addr_in(&g.gf_group), .ifindex = g.gf_interface };
	*room = g.gf_numsrc;
	return true;
}

/* The kernel checks the value, but of the stack's interfaces it may know nothing. */
int dgram_mcast_if6(struct sock *s, int fd, const void *val, socklen_t len)
{
	struct chan_route route;
	uint32_t ifindex = 0, by;
	struct chan_app *app;
	enum chan_reason no;
	bool ours;
	int r;

	if (s->family != AF_INET6 || len < sizeof(ifindex) ||
	    (val && user_get(&ifindex, val, sizeof(ifindex)) < 0))
		return SOCK_TO_KERNEL;
	app = engine_get(&no);
	ours = app && ifindex && route_of_group6(app, ifindex, &route);
	if (app)
		engine_put(app);
	r = libc.setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, val, len) < 0 ? -errno : 0;
	if (r < 0 && (r != -ENODEV || !ours))
		return r;
	by = ours ? ifindex : ifindex ? DGRAM_MCAST_KERNEL : 0;
	atomic_store(&s->b->dg_mcast_if6, by);
	return 0;
}
