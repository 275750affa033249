/* The groups that a datagram socket has joined through the stack: the calls to the engine, and what this
 * process remembers of them, to join them again when the socket moves to another data thread or engine. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "shim/dgram_int.h"
#include "shim/sock_limit.h"
#include "stack/base/sys.h"

enum { GROUPS_SIZE = DGRAM_GROUPS_MAX * sizeof(struct dgram_group) };

/* Without an interface: by any. */
static struct dgram_group *joined(const struct dgram *d, const struct dgram_member *m)
{
	for (uint32_t i = d->n_groups; i-- > 0;)
		if (ipaddr_eq(&d->group[i].group, &m->group) &&
		    (!m->ifindex || d->group[i].ifindex == m->ifindex))
			return &d->group[i];
	return NULL;
}

static bool is_join(enum chan_mcast what)
{
	return what == CHAN_MC_JOIN || what == CHAN_MC_JOIN_SOURCE;
}

/* Memory for groups: 0 or -errno. */
static int groups_alloc(struct dgram *d)
{
	long p;

	if (d->group)
		return 0;
	p = sys_call6(SYS_mmap, 0, GROUPS_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p > -4096)
		return -ENOBUFS;
	d->group = (struct dgram_group *)p;
	return 0;
}

/* Room for one more: 0 or -errno. Linux counts the IPv4 groups of a socket; of IPv6 ones it looks at the
 * memory that they take. */
static int may_join(struct dgram *d, const struct dgram_member *m)
{
	bool v4 = ipaddr_is_v4(&m->group);
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->n_groups; i++)
		n += ipaddr_is_v4(&d->group[i].group);
	if (v4 && n >= (uint32_t)sock_groups_max())
		return -ENOBUFS;
	if (d->n_groups >= DGRAM_GROUPS_MAX)
		return v4 ? -ENOBUFS : -ENOMEM;
	return groups_alloc(d);
}

static void forget(struct dgram *d, struct dgram_group *g)
{
	*g = d->group[--d->n_groups];
}

static void del_source(struct dgram_group *g, const struct ipaddr *source)
{
	for (uint32_t i = 0; i < g->n; i++) {
		if (!ipaddr_eq(&g->source[i], source))
			continue;
		memmove(&g->source[i], &g->source[i + 1], (--g->n - i) * sizeof(g->source[0]));
		return;
	}
}

/* The engine has done it. */
static void record(struct dgram *d, enum chan_mcast what, const struct dgram_member *m)
{
	struct dgram_group *g = joined(d, m);

	if (!g && is_join(what)) {
		g = &d->group[d->n_groups++];
		g->group = m->group;
		g->ifindex = m->ifindex;
		g->n = 0;
	}
	if (!g)
		return;
	g->include = what == CHAN_MC_JOIN_SOURCE || what == CHAN_MC_LEAVE_SOURCE;
	if (what == CHAN_MC_JOIN_SOURCE || what == CHAN_MC_BLOCK)
		g->source[g->n++] = m->source;
	else
		del_source(g, &m->source);
	if (what == CHAN_MC_LEAVE || (what == CHAN_MC_LEAVE_SOURCE && g->n == 0))
		forget(d, g);
}

/* first: of the sources that are read. */
static int call(struct sock *s, enum chan_mcast what, const struct dgram_member *m, uint32_t first,
		struct chan_rep *rep)
{
	struct chan_req req = {
		.op = CHAN_OP_MCAST,
		.sock = s->id,
		.gen = s->gen,
		.type = SOCK_DGRAM,
		.arg = { what, (uint64_t)first << 32 | m->ifindex },
		.remote = { .addr = m->group },
		.local = { .addr = m->source },
	};

	return chan_call(s->app, s->a->worker, &req, rep);
}

int dgram_group_call(struct sock *s, enum chan_mcast what, const struct dgram_member *m)
{
	const struct dgram_group *g = joined(s->dgram, m);
	int r = !g && is_join(what) ? may_join(s->dgram, m) : 0;
	struct dgram_member done = *m;
	struct chan_rep rep;

	if (r < 0)
		return r;
	if (g && (what == CHAN_MC_JOIN_SOURCE || what == CHAN_MC_BLOCK) &&
	    dgram_too_many_sources(g->n + 1, !ipaddr_is_v4(&m->group)))
		return -ENOBUFS;
	r = call(s, what, m, 0, &rep);
	if (r < 0)
		return r;
	if (rep.len == sizeof(done.ifindex)) /* the one that was chosen */
		memcpy(&done.ifindex, rep.payload, sizeof(done.ifindex));
	record(s->dgram, what, &done);
	return 0;
}

int dgram_group_sources(struct sock *s, const struct dgram_member *m, struct ipaddr *src, uint32_t *n)
{
	uint32_t got = CHAN_MC_SOURCES;
	struct chan_rep rep;
	int r = -EADDRNOTAVAIL;

	*n = 0;
	if (!dgram_has_stack(s))
		return r;
	while (got == CHAN_MC_SOURCES && *n < DGRAM_SOURCES_MAX) {
		r = call(s, CHAN_MC_READ, m, *n, &rep);
		if (r < 0)
			return r;
		got = min_u32(rep.len / (uint32_t)sizeof(*src), CHAN_MC_SOURCES);
		got = min_u32(got, DGRAM_SOURCES_MAX - *n);
		memcpy(src + *n, rep.payload, got * sizeof(*src));
		*n += got;
	}
	return r;
}

static int rejoin(struct sock *s, const struct dgram_group *g)
{
	struct dgram_member m = { .group = g->group, .ifindex = g->ifindex };
	int r = g->include ? 0 : call(s, CHAN_MC_JOIN, &m, 0, NULL);

	for (uint32_t i = 0; r == 0 && i < g->n; i++) {
		m.source = g->source[i];
		r = call(s, g->include ? CHAN_MC_JOIN_SOURCE : CHAN_MC_BLOCK, &m, 0, NULL);
	}
	return r;
}

void dgram_rejoin(struct sock *s)
{
	struct dgram *d = s->dgram;

	for (uint32_t i = d->n_groups; i-- > 0;)
		if (rejoin(s, &d->group[i]) < 0)
			forget(d, &d->group[i]);
}

void dgram_groups_take(struct dgram *d, const void *p, uint32_t n)
{
	d->group = NULL;
	d->n_groups = 0;
	if (n == 0 || n > DGRAM_GROUPS_MAX || groups_alloc(d) < 0)
		return;
	memcpy(d->group, p, n * sizeof(d->group[0]));
	for (uint32_t i = 0; i < n; i++)
		d->group[i].n = min_u32(d->group[i].n, DGRAM_SOURCES_MAX);
	d->n_groups = n;
}

void dgram_groups_free(struct dgram *d)
{
	if (d->group)
		sys_call6(SYS_munmap, (long)d->group, GROUPS_SIZE, 0, 0, 0, 0);
}
