/* Memberships of sockets in multicast groups with their source filters, and what all of them together want
 * to hear (RFC 3376 3). The rules of joining and leaving are Linux's, errno by errno. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/udp/udp_table.h"

static struct list *bucket_of(struct udp_env *env, const struct ipaddr *group)
{
	uint64_t h = (group->q[0] ^ group->q[1]) * 0x9e3779b97f4a7c15u;

	return &env->table->group[h >> 56];
}

static struct udp_group *find(const struct udp_sock *s, const struct ipaddr *group,
			      uint32_t ifindex)
{
	list_for_each(it, &s->groups) {
		struct udp_group *g = container_of(it, struct udp_group, link);

		if (g->ifindex == ifindex && ipaddr_eq(&g->group, group))
			return g;
	}
	return NULL;
}

static int find_source(const struct udp_group *g, const struct ipaddr *source)
{
	for (uint32_t i = 0; i < g->n_sources; i++) {
		if (ipaddr_eq(&g->source[i], source))
			return (int)i;
	}
	return -1;
}

static const struct udp_group *find_last(const struct udp_sock *s, const struct ipaddr *group)
{
	const struct udp_group *last = NULL;

	list_for_each(it, &s->groups) {
		const struct udp_group *g = container_of(it, struct udp_group, link);

		if (ipaddr_eq(&g->group, group))
			last = g;
	}
	return last;
}

uint32_t udp_group_interface(const struct udp_sock *s, const struct ipaddr *group)
{
	const struct udp_group *g = find_last(s, group);

	return g ? g->ifindex : 0;
}

/* Linux asks for the interface in ip_mc_sf_allow(), but not in inet6_mc_check(). */
bool udp_wants_source(const struct udp_sock *s, const struct ipaddr *group,
		      const struct ipaddr *source, uint32_t ifindex)
{
	bool v4 = ipaddr_is_v4(group);
	const struct udp_group *g = v4 ? find(s, group, ifindex) : find_last(s, group);

	/* IP_MULTICAST_ALL, IPV6_MULTICAST_ALL: groups that another socket of the host has joined. */
	if (!g)
		return v4 ? !s->mcast_own : !s->mcast_own6;
	return (find_source(g, source) >= 0) == g->include;
}

static int join(struct udp_env *env, struct udp_sock *s, const struct ipaddr *group,
		uint32_t ifindex, bool include)
{
	if (find(s, group, ifindex))
		return -EADDRINUSE;
	if (s->n_groups >= UDP_GROUPS)
		return -ENOBUFS;
	struct udp_group *g = pool_alloc(&env->table->groups);
	if (!g)
		return -ENOMEM;
	memset(g, 0, sizeof(*g));
	g->group = *group;
	g->ifindex = ifindex;
	g->include = include;
	list_push(&s->groups, &g->link);
	list_push(bucket_of(env, group), &g->same);
	s->n_groups++;
	return 0;
}

static void leave(struct udp_env *env, struct udp_sock *s, struct udp_group *g)
{
	list_del(&g->link);
	list_del(&g->same);
	s->n_groups--;
	pool_free(&env->table->groups, g);
}

void udp_leave_all(struct udp_env *env, struct udp_sock *s)
{
	while (!list_empty(&s->groups)) {
		struct udp_group *g = container_of(s->groups.next, struct udp_group, link);
		struct ipaddr group = g->group;
		uint32_t ifindex = g->ifindex;

		leave(env, s, g);
		env->ops->group_changed(env, &group, ifindex);
	}
}

static int add_source(struct udp_group *g, const struct ipaddr *source)
{
	if (g->n_sources == UDP_SOURCES)
		return -ENOBUFS;
	if (find_source(g, source) >= 0)
		return -EADDRNOTAVAIL;
	g->source[g->n_sources++] = *source;
	g->listed = true;
	return 0;
}

/* The last wanted source gone: nothing is wanted of the group any more. */
static int del_source(struct udp_env *env, struct udp_sock *s, struct udp_group *g,
		      const struct ipaddr *source)
{
	int at = find_source(g, source);

	if (at < 0)
		return -EADDRNOTAVAIL;
	if (g->include && g->n_sources == 1) {
		leave(env, s, g);
		return 0;
	}
	memmove(&g->source[at], &g->source[at + 1], (--g->n_sources - (uint32_t)at) * sizeof(g->source[0]));
	return 0;
}

/* A change of the source list of an existing membership; its mode may change only before the first. */
static int change_source(struct udp_env *env, struct udp_sock *s, enum udp_group_op op,
			 const struct ipaddr *group, const struct ipaddr *source, uint32_t ifindex)
{
	struct udp_group *g = find(s, group, ifindex);
	bool include = op == UDP_JOIN_SOURCE || op == UDP_LEAVE_SOURCE;

	if (!g || (g->listed && g->include != include))
		return -EINVAL;
	g->include = include;
	if (op == UDP_JOIN_SOURCE || op == UDP_BLOCK)
		return add_source(g, source);
	return del_source(env, s, g, source);
}

static int join_source(struct udp_env *env, struct udp_sock *s, const struct ipaddr *group,
		       const struct ipaddr *source, uint32_t ifindex)
{
	int err = join(env, s, group, ifindex, true);

	if (err && err != -EADDRINUSE)
		return err;
	return change_source(env, s, UDP_JOIN_SOURCE, group, source, ifindex);
}

int udp_group_op(struct udp_env *env, struct udp_sock *s, enum udp_group_op op,
		 const struct ipaddr *group, const struct ipaddr *source, uint32_t ifindex)
{
	struct udp_group *g;
	int err;

	if (!ipaddr_is_multicast(group))
		return -EINVAL;
	switch (op) {
	case UDP_JOIN:
		err = join(env, s, group, ifindex, false);
		break;
	case UDP_LEAVE:
		g = find(s, group, ifindex);
		if (!g)
			return -EADDRNOTAVAIL;
		leave(env, s, g);
		err = 0;
		break;
	case UDP_JOIN_SOURCE:
		err = join_source(env, s, group, source, ifindex);
		break;
	case UDP_LEAVE_SOURCE:
	case UDP_BLOCK:
	case UDP_UNBLOCK:
		err = change_source(env, s, op, group, source, ifindex);
		break;
	default:
		return -EINVAL;
	}
	/* Also after an error: the mode may have changed. */
	env->ops->group_changed(env, group, ifindex);
	return err;
}

const struct ipaddr *udp_group_sources(const struct udp_sock *s, const struct ipaddr *group,
				       uint32_t ifindex, bool *include, uint32_t *n)
{
	const struct udp_group *g = find(s, group, ifindex);

	if (!g)
		return NULL;
	*include = g->include;
	*n = g->n_sources;
	return g->source;
}

/* ---- all memberships of a group together ---- */
struct merge {
	struct ipaddr *src;
	uint32_t n, max;
	bool full;
};

static int merge_find(const struct merge *m, const struct ipaddr *a)
{
	for (uint32_t i = 0; i < m->n; i++) {
		if (ipaddr_eq(&m->src[i], a))
			return (int)i;
	}
	return -1;
}

static void merge_add(struct merge *m, const struct ipaddr *a)
{
	if (merge_find(m, a) >= 0)
		return;
	if (m->n < m->max)
		m->src[m->n++] = *a;
	else
		m->full = true;
}

/* Blocked by all: what g does not block, too, goes from the list. */
static void merge_keep(struct merge *m, const struct udp_group *g)
{
	for (uint32_t i = m->n; i-- > 0;) {
		if ((find_source(g, &m->src[i]) >= 0) == g->include)
			m->src[i] = m->src[--m->n];
	}
}

bool udp_group_state(struct udp_env *env, const struct ipaddr *group, uint32_t ifindex,
		     bool *include, struct ipaddr *src, uint32_t max, uint32_t *n)
{
	struct merge m = { .src = src, .max = max };
	const struct udp_group *blocker = NULL;
	bool member = false;

	list_for_each(it, bucket_of(env, group)) {
		const struct udp_group *g = container_of(it, struct udp_group, same);

		if (g->ifindex != ifindex || !ipaddr_eq(&g->group, group))
			continue;
		member = true;
		if (!g->include)
			blocker = g;
	}
	/* RFC 3376 3.2: with one EXCLUDE the interface is in EXCLUDE mode; blocked is what every EXCLUDE list
	 * has and no INCLUDE list. Otherwise wanted is the union. */
	for (uint32_t i = 0; blocker && i < blocker->n_sources; i++)
		merge_add(&m, &blocker->source[i]);
	list_for_each(it, bucket_of(env, group)) {
		const struct udp_group *g = container_of(it, struct udp_group, same);

		if (g->ifindex != ifindex || !ipaddr_eq(&g->group, group))
			continue;
		if (blocker)
			merge_keep(&m, g);
		for (uint32_t i = 0; !blocker && i < g->n_sources; i++)
			merge_add(&m, &g->source[i]);
	}
	/* Wanted by more than fit: everything. The sockets have their own filters. */
	if (m.full && !blocker)
		m.n = 0;
	*include = !blocker && !m.full;
	*n = m.n;
	return member;
}
