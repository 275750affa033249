/* Multicast options: memberships and IP_MULTICAST_IF, given to the side that has the interface. Each
 * option of the family is brought into one form first; what is malformed the kernel refuses. */
// SPDX-License-Identifier: MIT
#include <stddef.h>
#include <string.h>
#include "shim/dgram_int.h"
#include "shim/libc.h"
#include "shim/route.h"
#include "shim/sock_conn.h"
#include "shim/sock_limit.h"
#include "stack/chan/user.h"

/* A membership: of a group, on the interface with this number, or else with this address, or else of
 * the route to the group. */
struct member {
	uint32_t group, source, address; /* host order */
	uint32_t ifindex;
};

static uint32_t host(struct in_addr in)
{
	return be32_get((be32){ in.s_addr });
}

static bool is_source_name(int name)
{
	return name == IP_ADD_SOURCE_MEMBERSHIP || name == IP_DROP_SOURCE_MEMBERSHIP ||
	       name == IP_BLOCK_SOURCE || name == IP_UNBLOCK_SOURCE;
}

bool dgram_is_mcast_name(int name)
{
	return name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP || is_source_name(name) ||
	       name == IP_MSFILTER || (name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER);
}

/* ---- the forms ---- */
static bool from_mreq(struct member *m, const void *val, socklen_t len)
{
	struct ip_mreqn n = { 0 };

	if (len < sizeof(struct ip_mreq) ||
	    user_get(&n, val, len >= sizeof(n) ? sizeof(n) : sizeof(struct ip_mreq)) < 0)
		return false;
	*m = (struct member){ host(n.imr_multiaddr), 0, host(n.imr_address), (uint32_t)n.imr_ifindex };
	return true;
}

static bool from_source(struct member *m, const void *val, socklen_t len)
{
	struct ip_mreq_source n;

	if (len != sizeof(n) || user_get(&n, val, sizeof(n)) < 0)
		return false;
	*m = (struct member){ host(n.imr_multiaddr), host(n.imr_sourceaddr), host(n.imr_interface), 0 };
	return true;
}

static bool v4_of(const struct sockaddr_storage *ss, uint32_t *ip)
{
	*ip = host(((const struct sockaddr_in *)ss)->sin_addr);
	return ss->ss_family == AF_INET;
}

static bool from_group(struct member *m, const void *val, socklen_t len)
{
	struct group_req n;

	if (len < sizeof(n) || user_get(&n, val, sizeof(n)) < 0)
		return false;
	*m = (struct member){ .ifindex = n.gr_interface };
	return v4_of(&n.gr_group, &m->group);
}

static bool from_group_source(struct member *m, const void *val, socklen_t len)
{
	struct group_source_req n;

	if (len != sizeof(n) || user_get(&n, val, sizeof(n)) < 0)
		return false;
	*m = (struct member){ .ifindex = n.gsr_interface };
	return v4_of(&n.gsr_group, &m->group) && v4_of(&n.gsr_source, &m->source);
}

/* ---- to the stack ---- */
/* Is the interface the stack's? Then its number is filled in. */
static bool is_stacks(const struct sock *s, const struct chan_app *app, struct member *m)
{
	struct ipaddr address = ipaddr_v4(m->address), group = ipaddr_v4(m->group);
	struct chan_route route;

	if (m->ifindex)
		return route_has_interface(app, m->ifindex);
	if (m->address) {
		if (!route_find(app, &address, &route) || route.kind != CHAN_ROUTE_LOCAL)
			return false;
	} else if (!route_find(app, &group, &route)) {
		return sock_has(s, DGRAM_DEVICE);
	}
	m->ifindex = route.ifindex;
	return true;
}

static struct dgram_group *joined(struct dgram *d, const struct member *m)
{
	for (uint32_t i = 0; i < d->n_groups; i++)
		if (d->group[i].group == m->group && d->group[i].ifindex == m->ifindex)
			return &d->group[i];
	return NULL;
}

static void record(struct dgram *d, enum chan_mcast what, const struct member *m)
{
	struct dgram_group *g = joined(d, m);

	if (!g && (what == CHAN_MC_JOIN || what == CHAN_MC_JOIN_SOURCE)) {
		g = &d->group[d->n_groups++];
		*g = (struct dgram_group){ .group = m->group, .ifindex = m->ifindex };
	}
	if (!g)
		return;
	if (what == CHAN_MC_JOIN_SOURCE)
		g->sources++;
	if (what == CHAN_MC_LEAVE || (what == CHAN_MC_LEAVE_SOURCE && --g->sources == 0))
		*g = d->group[--d->n_groups];
}

static int call(struct sock *s, enum chan_mcast what, const struct member *m)
{
	struct chan_req req = {
		.op = CHAN_OP_MCAST,
		.sock = s->id,
		.gen = s->gen,
		.type = SOCK_DGRAM,
		.arg = { what, m->ifindex },
		.remote = { .addr = ipaddr_v4(m->group) },
		.local = { .addr = ipaddr_v4(m->source) },
	};
	uint32_t max = min_u32((uint32_t)sock_groups_max(), DGRAM_GROUPS_MAX);
	int r;

	if ((what == CHAN_MC_JOIN || what == CHAN_MC_JOIN_SOURCE) && !joined(s->dgram, m) &&
	    s->dgram->n_groups >= max)
		return -ENOBUFS;
	r = chan_call(s->app, s->a->worker, &req, NULL);
	if (r == 0)
		record(s->dgram, what, m);
	return r;
}

void dgram_rejoin(struct sock *s)
{
	struct dgram *d = s->dgram;
	uint32_t n = d->n_groups;
	struct dgram_group old[DGRAM_GROUPS_MAX];

	memcpy(old, d->group, n * sizeof(old[0]));
	d->n_groups = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct member m = { .group = old[i].group, .ifindex = old[i].ifindex };

		if (!old[i].sources) /* the others' sources only the engine knew */
			call(s, CHAN_MC_JOIN, &m);
	}
}

/* The whole of a filter at once: the membership is made anew. Linux asks for one that exists. */
static int call_filter(struct sock *s, const struct member *m, uint32_t mode, const struct in_addr *src,
		       uint32_t n)
{
	struct member one = *m;
	int r = call(s, CHAN_MC_LEAVE, m);

	if (r < 0)
		return r == -EADDRNOTAVAIL && (n || mode != MCAST_INCLUDE) ? -EINVAL : r;
	if (mode == MCAST_EXCLUDE)
		r = call(s, CHAN_MC_JOIN, m);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		one.source = host(src[i]);
		r = call(s, mode == MCAST_EXCLUDE ? CHAN_MC_BLOCK : CHAN_MC_JOIN_SOURCE, &one);
	}
	return r;
}

/* ---- IP_MSFILTER, MCAST_MSFILTER ---- */
enum { FILTER_MAX = 64 };
struct filter {
	struct member m;
	uint32_t mode, n;
	struct in_addr src[FILTER_MAX];
};

static bool from_msfilter(struct filter *f, const void *val, socklen_t len)
{
	struct ip_msfilter h;
	const size_t head = offsetof(struct ip_msfilter, imsf_slist);

	if (len < head || user_get(&h, val, head) < 0 || h.imsf_numsrc > FILTER_MAX ||
	    len < head + h.imsf_numsrc * sizeof(f->src[0]) ||
	    user_get(f->src, (const char *)val + head, h.imsf_numsrc * sizeof(f->src[0])) < 0)
		return false;
	f->m = (struct member){ .group = host(h.imsf_multiaddr), .address = host(h.imsf_interface) };
	f->mode = h.imsf_fmode;
	f->n = h.imsf_numsrc;
	return true;
}

static bool from_group_filter(struct filter *f, const void *val, socklen_t len)
{
	const size_t head = offsetof(struct group_filter, gf_slist);
	struct group_filter h;
	struct sockaddr_storage ss;
	uint32_t ip;

	if (len < head || user_get(&h, val, head) < 0 || h.gf_numsrc > FILTER_MAX ||
	    len < head + h.gf_numsrc * sizeof(ss))
		return false;
	f->m = (struct member){ .ifindex = h.gf_interface };
	f->mode = h.gf_fmode;
	f->n = h.gf_numsrc;
	for (uint32_t i = 0; i < f->n; i++) {
		if (user_get(&ss, (const char *)val + head + i * sizeof(ss), sizeof(ss)) < 0 ||
		    !v4_of(&ss, &ip))
			return false;
		f->src[i] = ((struct sockaddr_in *)&ss)->sin_addr;
	}
	return v4_of(&h.gf_group, &f->m.group);
}

/* ---- the options ---- */
/* Into one form; false: malformed, or none of ours. */
static bool decode(int name, const void *val, socklen_t len, struct filter *f)
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

static int carry_out(struct sock *s, int name, const struct filter *f)
{
	switch (name) {
	case IP_ADD_MEMBERSHIP:
	case MCAST_JOIN_GROUP:
		return call(s, CHAN_MC_JOIN, &f->m);
	case IP_DROP_MEMBERSHIP:
	case MCAST_LEAVE_GROUP:
		return call(s, CHAN_MC_LEAVE, &f->m);
	case IP_ADD_SOURCE_MEMBERSHIP:
	case MCAST_JOIN_SOURCE_GROUP:
		return call(s, CHAN_MC_JOIN_SOURCE, &f->m);
	case IP_DROP_SOURCE_MEMBERSHIP:
	case MCAST_LEAVE_SOURCE_GROUP:
		return call(s, CHAN_MC_LEAVE_SOURCE, &f->m);
	case IP_BLOCK_SOURCE:
	case MCAST_BLOCK_SOURCE:
		return call(s, CHAN_MC_BLOCK, &f->m);
	case IP_UNBLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE:
		return call(s, CHAN_MC_UNBLOCK, &f->m);
	default:
		return call_filter(s, &f->m, f->mode, f->src, f->n);
	}
}

int dgram_mcast_set(struct sock *s, int name, const void *val, socklen_t len)
{
	struct filter f = { .n = 0 };
	struct ipaddr group;
	struct chan_app *app;
	enum chan_reason no;
	int r;

	if (!decode(name, val, len, &f))
		return SOCK_TO_KERNEL;
	group = ipaddr_v4(f.m.group);
	if (!ipaddr_is_multicast(&group))
		return SOCK_TO_KERNEL;
	app = engine_get(&no);
	if (!app)
		return SOCK_TO_KERNEL;
	r = is_stacks(s, app, &f.m) ? sock_lock(s) : SOCK_TO_KERNEL;
	if (r == 0) {
		r = sock_mode(s) == SOCK_KERNEL ? SOCK_TO_KERNEL : dgram_attach(s);
		if (r == 0)
			r = carry_out(s, name, &f);
		sock_unlock(s);
	}
	engine_put(app);
	return r;
}

/* As Linux reads it: a number, an address, or the address in the second member. */
static bool from_if(struct member *m, const void *val, socklen_t len)
{
	struct in_addr in;

	if (len >= sizeof(struct ip_mreq))
		return from_mreq(m, val, len);
	if (len < sizeof(in) || user_get(&in, val, sizeof(in)) < 0)
		return false;
	*m = (struct member){ .address = host(in) };
	return true;
}

int dgram_mcast_if(struct sock *s, int fd, const void *val, socklen_t len)
{
	struct chan_app *app;
	enum chan_reason no;
	struct member m;
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
	atomic_store(&s->b->dg_mcast_if, ours ? m.ifindex : m.ifindex || m.address ? DGRAM_MCAST_KERNEL : 0);
	return 0;
}
