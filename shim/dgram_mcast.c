/* Multicast options: memberships and IP_MULTICAST_IF, given to the side that has the interface. Each
 * option is brought into one form first (those of IPv6 in dgram_mcast6.c); what is malformed the kernel
 * refuses. */
// SPDX-License-Identifier: MIT
#include <stddef.h>
#include <string.h>
#include "shim/addr.h"
#include "shim/dgram_int.h"
#include "shim/libc.h"
#include "shim/route.h"
#include "shim/sock_conn.h"
#include "shim/sock_limit.h"
#include "stack/chan/user.h"

static uint32_t host(struct in_addr in)
{
	return be32_get((be32){ in.s_addr });
}

static struct ipaddr addr_of(struct in_addr in)
{
	return ipaddr_v4(host(in));
}

static bool is_source_name(int name)
{
	return name == IP_ADD_SOURCE_MEMBERSHIP || name == IP_DROP_SOURCE_MEMBERSHIP ||
	       name == IP_BLOCK_SOURCE || name == IP_UNBLOCK_SOURCE;
}

bool dgram_is_mcast_name(const struct sock *s, int level, int name)
{
	if (level == IPPROTO_IPV6)
		return s->family == AF_INET6 && dgram_is_mcast6_name(name);
	if (level != IPPROTO_IP)
		return false;
	return name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP || is_source_name(name) ||
	       name == IP_MSFILTER || (name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER);
}

/* ---- the forms ---- */
static bool from_mreq(struct dgram_member *m, const void *val, socklen_t len)
{
	struct ip_mreqn n = { 0 };

	if (len < sizeof(struct ip_mreq) ||
	    user_get(&n, val, len >= sizeof(n) ? sizeof(n) : sizeof(struct ip_mreq)) < 0)
		return false;
	*m = (struct dgram_member){ .group = addr_of(n.imr_multiaddr), .address = host(n.imr_address),
				    .ifindex = (uint32_t)n.imr_ifindex };
	return true;
}

static bool from_source(struct dgram_member *m, const void *val, socklen_t len)
{
	struct ip_mreq_source n;

	if (len != sizeof(n) || user_get(&n, val, sizeof(n)) < 0)
		return false;
	*m = (struct dgram_member){ .group = addr_of(n.imr_multiaddr), .source = addr_of(n.imr_sourceaddr),
				    .address = host(n.imr_interface) };
	return true;
}

static bool v4_of(const struct sockaddr_storage *ss, struct ipaddr *ip)
{
	*ip = addr_of(((const struct sockaddr_in *)ss)->sin_addr);
	return ss->ss_family == AF_INET;
}

static bool from_group(struct dgram_member *m, const void *val, socklen_t len)
{
	struct group_req n;

	if (len < sizeof(n) || user_get(&n, val, sizeof(n)) < 0)
		return false;
	*m = (struct dgram_member){ .ifindex = n.gr_interface };
	return v4_of(&n.gr_group, &m->group);
}

static bool from_group_source(struct dgram_member *m, const void *val, socklen_t len)
{
	struct group_source_req n;

	if (len != sizeof(n) || user_get(&n, val, sizeof(n)) < 0)
		return false;
	*m = (struct dgram_member){ .ifindex = n.gsr_interface };
	return v4_of(&n.gsr_group, &m->group) && v4_of(&n.gsr_source, &m->source);
}

/* ---- to the stack ---- */
/* Is the interface the stack's? Then its number is filled in. */
static bool is_stacks(const struct sock *s, const struct chan_app *app, struct dgram_member *m)
{
	struct ipaddr address = ipaddr_v4(m->address);
	struct chan_route route;

	if (!ipaddr_is_v4(&m->group)) /* 0: the engine chooses, the one by which it is joined or the first */
		return route_of_group6(app, m->ifindex, &route);
	if (m->ifindex)
		return route_has_interface(app, m->ifindex);
	if (m->address) {
		if (!route_find(app, &address, &route) || route.kind != CHAN_ROUTE_LOCAL)
			return false;
	} else if (!route_find(app, &m->group, &route)) {
		return sock_has(s, DGRAM_DEVICE);
	}
	m->ifindex = route.ifindex;
	return true;
}

/* The whole of a filter at once: the membership is made anew. Linux asks for one that exists. */
static int call_filter(struct sock *s, const struct dgram_filter *f)
{
	struct dgram_member one = f->m;
	bool none = f->mode == MCAST_INCLUDE && !f->n;
	int r;

	/* Of an IPv6 group the interface must be named, except to leave it. */
	if (!f->m.ifindex && !none)
		return -EINVAL;
	r = dgram_group_call(s, CHAN_MC_LEAVE, &f->m);
	if (r < 0)
		return r == -EADDRNOTAVAIL && !none ? -EINVAL : r;
	if (f->mode == MCAST_EXCLUDE)
		r = dgram_group_call(s, CHAN_MC_JOIN, &f->m);
	for (uint32_t i = 0; r == 0 && i < f->n; i++) {
		one.source = f->src[i];
		r = dgram_group_call(s, f->mode == MCAST_EXCLUDE ? CHAN_MC_BLOCK : CHAN_MC_JOIN_SOURCE,
				     &one);
	}
	return r;
}

/* ---- IP_MSFILTER, MCAST_MSFILTER ---- */
bool dgram_too_many_sources(uint32_t n, bool six)
{
	return n > min_u32((uint32_t)sock_sources_max(six), DGRAM_SOURCES_MAX);
}

static bool from_msfilter(struct dgram_filter *f, const void *val, socklen_t len)
{
	struct in_addr src[DGRAM_SOURCES_MAX];
	struct ip_msfilter h;
	const size_t head = offsetof(struct ip_msfilter, imsf_slist);

	if (len < head || user_get(&h, val, head) < 0 || dgram_too_many_sources(h.imsf_numsrc, false) ||
	    len < head + h.imsf_numsrc * sizeof(src[0]) ||
	    user_get(src, (const char *)val + head, h.imsf_numsrc * sizeof(src[0])) < 0)
		return false;
	for (uint32_t i = 0; i < h.imsf_numsrc; i++)
		f->src[i] = addr_of(src[i]);
	f->m = (struct dgram_member){ .group = addr_of(h.imsf_multiaddr),
				      .address = host(h.imsf_interface) };
	f->mode = h.imsf_fmode;
	f->n = h.imsf_numsrc;
	return true;
}

static bool from_group_filter(struct dgram_filter *f, const void *val, socklen_t len)
{
	const size_t head = offsetof(struct group_filter, gf_slist);
	struct group_filter h;
	struct sockaddr_storage ss;

	if (len < head || user_get(&h, val, head) < 0 || dgram_too_many_sources(h.gf_numsrc, false) ||
	    len < head + h.gf_numsrc * sizeof(ss))
		return false;
	f->m = (struct dgram_member){ .ifindex = h.gf_interface };
	f->mode = h.gf_fmode;
	f->n = h.gf_numsrc;
	for (uint32_t i = 0; i < f->n; i++) {
		if (user_get(&ss, (const char *)val + head + i * sizeof(ss), sizeof(ss)) < 0 ||
		    !v4_of(&ss, &f->src[i]))
			return false;
	}
	return v4_of(&h.gf_group, &f->m.group);
}

/* ---- the options ---- */
/* Into one form; false: malformed, or none of ours. */
static bool decode(int name, const void *val, socklen_t len, struct dgram_filter *f)
{
	switch (name) {
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
		return from_mreq(&f->m, val, len);
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		return from_group(&f->m, val, len);
	case IP_MSFILTER:
		return from_msfilter(f, val, len) && f->mode <= MCAST_INCLUDE;
	case MCAST_MSFILTER:
		return from_group_filter(f, val, len) && f->mode <= MCAST_INCLUDE;
	default:
		return is_source_name(name) ? from_source(&f->m, val, len) :
					      from_group_source(&f->m, val, len);
	}
}

/* The change of one membership that an option of this level stands for; 0: it gives a whole filter. */
static enum chan_mcast change_of(int level, int name)
{
	if (level == IPPROTO_IPV6 && name == IPV6_JOIN_GROUP)
		return CHAN_MC_JOIN;
	if (level == IPPROTO_IPV6 && name == IPV6_LEAVE_GROUP)
		return CHAN_MC_LEAVE;
	switch (name) {
	case IP_ADD_MEMBERSHIP:
	case MCAST_JOIN_GROUP:
		return CHAN_MC_JOIN;
	case IP_DROP_MEMBERSHIP:
	case MCAST_LEAVE_GROUP:
		return CHAN_MC_LEAVE;
	case IP_ADD_SOURCE_MEMBERSHIP:
	case MCAST_JOIN_SOURCE_GROUP:
		return CHAN_MC_JOIN_SOURCE;
	case IP_DROP_SOURCE_MEMBERSHIP:
	case MCAST_LEAVE_SOURCE_GROUP:
		return CHAN_MC_LEAVE_SOURCE;
	case IP_BLOCK_SOURCE:
	case MCAST_BLOCK_SOURCE:
		return CHAN_MC_BLOCK;
	case IP_UNBLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE:
		return CHAN_MC_UNBLOCK;
	default:
		return 0;
	}
}

static int carry_out(struct sock *s, enum chan_mcast what, const struct dgram_filter *f)
{
	int r = what ? dgram_group_call(s, what, &f->m) : call_filter(s, f);

	/* By no interface of the stack's: perhaps by one of the kernel's. */
	if (r == -EADDRNOTAVAIL && what == CHAN_MC_LEAVE && !f->m.ifindex)
		return SOCK_TO_KERNEL;
	return r;
}

int dgram_mcast_set(struct sock *s, int level, int name, const void *val, socklen_t len)
{
	struct dgram_filter f = { .n = 0 };
	bool six = level == IPPROTO_IPV6;
	struct chan_app *app;
	enum chan_reason no;
	int r;

	if (!(six ? dgram_decode6(name, val, len, &f) : decode(name, val, len, &f)) ||
	    ipaddr_is_v4(&f.m.group) == six || !ipaddr_is_multicast(&f.m.group))
		return SOCK_TO_KERNEL;
	app = engine_get(&no);
	if (!app)
		return SOCK_TO_KERNEL;
	r = is_stacks(s, app, &f.m) ? sock_lock(s) : SOCK_TO_KERNEL;
	if (r == 0) {
		r = sock_mode(s) == SOCK_KERNEL ? SOCK_TO_KERNEL : dgram_attach(s);
		if (r == 0)
			r = carry_out(s, change_of(level, name), &f);
		sock_unlock(s);
	}
	engine_put(app);
	return r;
}

/* ---- reading a filter ---- */
/* IP_MSFILTER and MCAST_MSFILTER alike: the head of val names the group, and says how many sources there is
 * room for (*room). False: malformed, or none of ours. */
static bool from_question(struct dgram_member *m, int name, const void *val, socklen_t len, uint32_t *room)
{
	struct group_filter g;
	struct ip_msfilter h;

	if (name == IP_MSFILTER) {
		if (len < IP_MSFILTER_SIZE(0) || user_get(&h, val, IP_MSFILTER_SIZE(0)) < 0)
			return false;
		*m = (struct dgram_member){ .group = addr_of(h.imsf_multiaddr),
					    .address = host(h.imsf_interface) };
		*room = h.imsf_numsrc;
		return true;
	}
	if (len < GROUP_FILTER_SIZE(0) || user_get(&g, val, GROUP_FILTER_SIZE(0)) < 0)
		return false;
	*m = (struct dgram_member){ .ifindex = g.gf_interface };
	*room = g.gf_numsrc;
	return v4_of(&g.gf_group, &m->group) && m->ifindex;
}

/* As Linux answers: how many there are, and as many as there is room for. */
static int give_filter(int name, void *val, socklen_t *len, uint32_t mode, const struct ipaddr *src,
		       uint32_t n, uint32_t room, bool six)
{
	uint32_t shown = min_u32(n, room);
	bool old = name == IP_MSFILTER;
	uint16_t family = six ? AF_INET6 : AF_INET;
	char *list = (char *)val + (old ? IP_MSFILTER_SIZE(0) : GROUP_FILTER_SIZE(0));
	char *head = (char *)val + (old ? offsetof(struct ip_msfilter, imsf_fmode) :
					  offsetof(struct group_filter, gf_fmode));
	socklen_t total = (socklen_t)(old ? IP_MSFILTER_SIZE(shown) : GROUP_FILTER_SIZE(shown));
	const uint32_t said[2] = { mode, n }; /* neighbours in both */
	int err = user_put(head, said, sizeof(said)) | user_put(len, &total, sizeof(total));

	for (uint32_t i = 0; i < shown && !err; i++) {
		const struct endpoint ep = { .addr = src[i] };
		struct sockaddr_storage ss;

		addr_emit(&ss, family, &ep);
		const struct in_addr *in = &((struct sockaddr_in *)&ss)->sin_addr;
		err = old ? user_put(list + i * sizeof(*in), in, sizeof(*in)) :
			    user_put(list + i * sizeof(ss), &ss, sizeof(ss));
	}
	return err ? -EFAULT : 0;
}

int dgram_filter_get(struct sock *s, int level, int name, void *val, socklen_t *len)
{
	struct ipaddr src[DGRAM_SOURCES_MAX];
	bool six = level == IPPROTO_IPV6;
	uint32_t n = 0, room;
	struct dgram_member m;
	struct chan_app *app;
	enum chan_reason no;
	socklen_t have;
	int r;

	if (user_get(&have, len, sizeof(have)) < 0 || (int)have < 0 ||
	    !(six ? dgram_question6(val, have, &m, &room) : from_question(&m, name, val, have, &room)) ||
	    ipaddr_is_v4(&m.group) == six)
		return SOCK_TO_KERNEL;
	app = ipaddr_is_multicast(&m.group) ? engine_get(&no) : NULL;
	if (!app)
		return SOCK_TO_KERNEL;
	r = is_stacks(s, app, &m) ? sock_lock(s) : SOCK_TO_KERNEL;
	if (r == 0) {
		r = sock_mode(s) == SOCK_KERNEL ? SOCK_TO_KERNEL : dgram_group_sources(s, &m, src, &n);
		sock_unlock(s);
	}
	engine_put(app);
	if (r < 0)
		return r;
	return give_filter(name, val, len, r == CHAN_FILTER_INCLUDE ? MCAST_INCLUDE : MCAST_EXCLUDE, src, n,
			   room, six);
}

/* As Linux reads it: a number, an address, or the address in the second member. */
static bool from_if(struct dgram_member *m, const void *val, socklen_t len)
{
	struct in_addr in;

	if (len >= sizeof(struct ip_mreq))
		return from_mreq(m, val, len);
	if (len < sizeof(in) || user_get(&in, val, sizeof(in)) < 0)
		return false;
	*m = (struct dgram_member){ .group = ipaddr_v4(0), .address = host(in) };
	return true;
}

int dgram_mcast_if(struct sock *s, int fd, const void *val, socklen_t len)
{
	struct chan_app *app;
	enum chan_reason no;
	struct dgram_member m;
	bool ours;

	if (!from_if(&m, val, len))
		return SOCK_TO_KERNEL;
	app = engine_get(&no);
	ours = app && (m.ifindex || m.address) && is_stacks(s, app, &m);
	if (app)
		engine_put(app);
	if (!ours && libc.setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, val, len) < 0)
		return -errno;
	atomic_store(&s->b->dg_mcast_ip, ours ? m.address : 0);
	atomic_store(&s->b->dg_mcast_if, ours ? m.ifindex :
					 m.ifindex || m.address ? DGRAM_MCAST_KERNEL : 0);
	return 0;
}
