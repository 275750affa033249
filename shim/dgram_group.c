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

static struct dgram_group *joined(const struct dgram *d, const struct dgram_member *m)
{
	for (uint32_t i = 0; i < d->n_groups; i++)
		if (d->group[i].group == m->group && d->group[i].ifindex == m->ifindex)
			return &d->group[i];
	return NULL;
}

static bool is_join(enum chan_mcast what)
{
	return what == CHAN_MC_JOIN || what == CHAN_MC_JOIN_SOURCE;
}

/* Room for one more: 0 or -errno. */
static int may_join(struct dgram *d)
{
	uint32_t max = min_u32((uint32_t)sock_groups_max(), DGRAM_GROUPS_MAX);
	long p;

	if (d->n_groups >= max)
		return -ENOBUFS;
	if (d->group)
		return 0;
	p = sys_call6(SYS_mmap, 0, GROUPS_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p > -4096)
		return -ENOBUFS;
	d->group = (struct dgram_group *)p;
	return 0;
}

static void forget(struct dgram *d, struct dgram_group *g)
{
	*g = d->group[--d->n_groups];
}

static void del_source(struct dgram_group *g, uint32_t source)
{
	for (uint32_t i = 0; i < g->n; i++) {
		if (g->source[i] != source)
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
		del_source(g, m->source);
	if (what == CHAN_MC_LEAVE || (what == CHAN_MC_LEAVE_SOURCE && g->n == 0))
		forget(d, g);
}

static int call(struct sock *s, enum chan_mcast what, const struct dgram_member *m, struct chan_rep *rep)
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

	return chan_call(s->app, s->a->worker, &req, rep);
}

int dgram_group_call(struct sock *s, enum chan_mcast what, const struct dgram_member *m)
{
	const struct dgram_group *g = joined(s->dgram, m);
	int r = !g && is_join(what) ? may_join(s->dgram) : 0;

	if (r < 0)
		return r;
	if (g && (what == CHAN_MC_JOIN_SOURCE || what == CHAN_MC_BLOCK) &&
	    g->n >= min_u32((uint32_t)sock_sources_max(), DGRAM_SOURCES_MAX))
		return -ENOBUFS;
	r = call(s, what, m, NULL);
	if (r == 0)
		record(s->dgram, what, m);
	return r;
}

int dgram_group_sources(struct sock *s, const struct dgram_member *m, uint32_t *src, uint32_t *n)
{
	struct chan_rep rep;
	int r = dgram_has_stack(s) ? call(s, CHAN_MC_READ, m, &rep) : -EADDRNOTAVAIL;

	if (r < 0)
		return r;
	*n = min_u32(rep.len / (uint32_t)sizeof(*src), DGRAM_SOURCES_MAX);
	memcpy(src, rep.payload, *n * sizeof(*src));
	return r;
}

static int rejoin(struct sock *s, const struct dgram_group *g)
{
	struct dgram_member m = { .group = g->group, .ifindex = g->ifindex };
	int r = g->include ? 0 : call(s, CHAN_MC_JOIN, &m, NULL);

	for (uint32_t i = 0; r == 0 && i < g->n; i++) {
		m.source = g->source[i];
		r = call(s, g->include ? CHAN_MC_JOIN_SOURCE : CHAN_MC_BLOCK, &m, NULL);
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
	if (n == 0 || n > DGRAM_GROUPS_MAX || may_join(d) < 0)
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
