/* When messages about groups are sent: at once when something changes, after a random delay when a router
 * asks, and in which version. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/gmp_int.h"

enum { GROUPS_PER_CHUNK = 4, MS_MAX = 4000000 /* microseconds in 32 bits */ };

struct gmp *gmp_new(const struct gmp_proto *proto, void *arg, uint64_t seed, uint64_t now_ns)
{
	struct gmp *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->proto = proto;
	m->arg = arg;
	rng_seed(&m->rng, seed);
	wheel_init(&m->wheel, now_ns);
	pool_init(&m->groups, sizeof(struct gmp_group), GROUPS_PER_CHUNK, MCAST_SLOTS,
		  &pool_mem_libc);
	for (int i = 0; i < NETIF_MAX; i++) {
		struct gmp_if *ifc = &m->ifc[i];

		*ifc = (struct gmp_if){ .m = m, .level = GMP_FULL, .robustness = GMP_ROBUSTNESS,
					 .query_interval_s = GMP_QUERY_INTERVAL_S };
		list_init(&ifc->groups);
		wheel_timer_init(&ifc->general, GMP_TM_GENERAL);
		wheel_timer_init(&ifc->change, GMP_TM_CHANGE);
	}
	return m;
}

void gmp_free(struct gmp *m)
{
	if (!m)
		return;
	pool_fini(&m->groups);
	free(m);
}

uint32_t gmp_groups(const struct gmp *m) { return m->groups.live; }
uint64_t gmp_next_ns(const struct gmp *m) { return wheel_next_ns(&m->wheel); }

uint64_t gmp_random_after(struct gmp *m, uint64_t now_ns, uint32_t ms)
{
	uint32_t us = min_u32(max_u32(ms, 1), MS_MAX) * 1000;

	return now_ns + (1 + rng_below(&m->rng, us)) * NSEC_PER_USEC;
}

/* ---- versions ---- */
/* RFC 3376 7.2.1, RFC 3810 8.2.1: with another version begins another conversation. */
static void set_level(struct gmp_if *ifc, enum gmp_level level)
{
	struct gmp *m = ifc->m;

	if (ifc->level == level)
		return;
	ifc->level = (uint8_t)level;
	wheel_disarm(&m->wheel, &ifc->general);
	wheel_disarm(&m->wheel, &ifc->change);
	list_for_each_safe(it, tmp, &ifc->groups) {
		struct gmp_group *g = container_of(it, struct gmp_group, link);

		wheel_disarm(&m->wheel, &g->timer);
		g->mode_left = g->n_changes = g->n_asked = g->reports_left = 0;
		if (!mcast_is_member(&g->now))
			gmp_forget(g);
	}
}

static struct gmp_if *if_of(struct gmp *m, struct netif *nif, uint64_t now_ns)
{
	struct gmp_if *ifc = &m->ifc[nif->index];

	ifc->nif = nif;
	set_level(ifc, now_ns < ifc->plain_until_ns ? GMP_PLAIN :
		       now_ns < ifc->old_until_ns   ? GMP_OLD : GMP_FULL);
	return ifc;
}

static struct gmp_group *find(const struct gmp_if *ifc, const struct ipaddr *group)
{
	list_for_each(it, &ifc->groups) {
		struct gmp_group *g = container_of(it, struct gmp_group, link);

		if (ipaddr_eq(&g->group, group))
			return g;
	}
	return NULL;
}

/* ---- changes here ---- */
/* RFC 2236 3, RFC 2710 4: a report at once and again; a leave if ours was the last report. */
static void change_old(struct gmp_group *g, bool member, uint64_t now_ns)
{
	struct wheel *wheel = &g->ifc->m->wheel;

	if (member) {
		g->reports_left = g->ifc->robustness;
		wheel_arm(wheel, &g->timer, now_ns);
		return;
	}
	wheel_disarm(wheel, &g->timer);
	if (g->ifc->level == GMP_OLD && g->last_reporter)
		gmp_send_leave(g);
}

static struct gmp_group *group_new(struct gmp_if *ifc, const struct ipaddr *group)
{
	struct gmp_group *g = pool_alloc(&ifc->m->groups);

	if (!g) {
		stats_this_thread->v[ifc->m->proto->full]++;
		return NULL;
	}
	memset(g, 0, sizeof(*g));
	g->ifc = ifc;
	g->group = *group;
	g->now.include = true;
	wheel_timer_init(&g->timer, GMP_TM_GROUP);
	list_push(&ifc->groups, &g->link);
	return g;
}

void gmp_set(struct gmp *m, struct netif *nif, const struct ipaddr *group, const struct mcast_state *s,
	     uint64_t now_ns)
{
	struct gmp_if *ifc = if_of(m, nif, now_ns);
	struct gmp_group *g = find(ifc, group);
	bool member = mcast_is_member(s);

	if (!g && !member)
		return;
	if (!g && !(g = group_new(ifc, group)))
		return;
	if (ifc->level == GMP_FULL)
		gmp_note_change(g, s);
	else if (mcast_is_member(&g->now) != member)
		change_old(g, member, now_ns);
	g->now = *s;
	if (!member) {
		wheel_disarm(&m->wheel, &g->timer);
		g->n_asked = 0;
	}
	if (gmp_has_news(g))
		wheel_arm(&m->wheel, &ifc->change, now_ns);
	else if (!member)
		gmp_forget(g);
}

const struct mcast_state *gmp_state(const struct gmp *m, const struct netif *nif,
				    const struct ipaddr *group)
{
	const struct gmp_group *g = find(&m->ifc[nif->index], group);

	return g && mcast_is_member(&g->now) ? &g->now : NULL;
}

/* ---- questions ---- */
static bool is_asked(const struct gmp_group *g, const struct ipaddr *src)
{
	for (uint32_t i = 0; i < g->n_asked; i++) {
		if (ipaddr_eq(&g->asked[i], src))
			return true;
	}
	return false;
}

/* RFC 3376 5.2 4, 5, RFC 3810 6.2 4, 5: one answer, at the earlier time, about all that was asked. */
static void ask_group(struct gmp_group *g, const struct gmp_query *q, uint64_t due_ns)
{
	enum gmp_addr_len len = g->ifc->m->proto->addr_len;
	bool pending = g->timer.armed;
	bool all = q->n_sources == 0 || (pending && g->n_asked == 0);

	for (uint32_t i = 0; i < q->n_sources && !all; i++) {
		struct ipaddr src = gmp_addr(len, q->sources + i * (size_t)len);

		if (is_asked(g, &src))
			continue;
		/* More than can be remembered: then the answer is about all. */
		all = g->n_asked == MCAST_SOURCES;
		if (!all)
			g->asked[g->n_asked++] = src;
	}
	if (all)
		g->n_asked = 0;
	if (!pending || due_ns < g->timer.due_ns)
		wheel_arm(&g->ifc->m->wheel, &g->timer, due_ns);
}

static void query_full(struct gmp_if *ifc, const struct gmp_query *q, uint64_t now_ns)
{
	struct gmp *m = ifc->m;
	uint64_t due = gmp_random_after(m, now_ns, q->max_resp_ms);

	ifc->robustness = q->qrv ? q->qrv : GMP_ROBUSTNESS;
	ifc->query_interval_s = q->qqi_s ? q->qqi_s : GMP_QUERY_INTERVAL_S;
	/* 1: an earlier answer to all says everything */
	if (ifc->general.armed && ifc->general.due_ns <= due)
		return;
	if (ipaddr_is_any(&q->group)) { /* 2 */
		wheel_arm(&m->wheel, &ifc->general, due);
		return;
	}
	struct gmp_group *g = find(ifc, &q->group); /* 3 to 5 */
	if (g && mcast_is_member(&g->now))
		ask_group(g, q, due);
}

/* RFC 2236 3, RFC 2710 4: each group has a delay of its own; a running one only becomes shorter. */
static void query_old(struct gmp_if *ifc, const struct gmp_query *q, uint64_t now_ns)
{
	struct gmp *m = ifc->m;
	uint32_t ms = ifc->level == GMP_PLAIN || !q->max_resp_ms ? m->proto->silent_ms : q->max_resp_ms;

	list_for_each(it, &ifc->groups) {
		struct gmp_group *g = container_of(it, struct gmp_group, link);

		if (!ipaddr_is_any(&q->group) && q->level != GMP_PLAIN && !ipaddr_eq(&g->group, &q->group))
			continue;
		if (!g->timer.armed || g->timer.due_ns > now_ns + ms * NSEC_PER_MSEC)
			wheel_arm(&m->wheel, &g->timer, gmp_random_after(m, now_ns, ms));
	}
}

void gmp_query(struct gmp *m, struct netif *nif, const struct gmp_query *q, uint64_t now_ns)
{
	struct gmp_if *ifc = if_of(m, nif, now_ns);
	uint32_t resp_ms = q->level == GMP_PLAIN ? m->proto->silent_ms : q->max_resp_ms;
	/* RFC 3376 8.12, RFC 3810 9.12 */
	uint64_t present = now_ns + (uint64_t)ifc->robustness * ifc->query_interval_s * NSEC_PER_SEC +
			   resp_ms * NSEC_PER_MSEC;

	if (q->level == GMP_PLAIN)
		ifc->plain_until_ns = present;
	else if (q->level == GMP_OLD)
		ifc->old_until_ns = present;
	ifc = if_of(m, nif, now_ns);
	if (ifc->level == GMP_FULL)
		query_full(ifc, q, now_ns);
	else
		query_old(ifc, q, now_ns);
}

/* RFC 2236 3, RFC 2710 4: somebody else has said it. */
void gmp_heard(struct gmp *m, struct netif *nif, const struct ipaddr *group, uint64_t now_ns)
{
	struct gmp_if *ifc = if_of(m, nif, now_ns);
	struct gmp_group *g = ifc->level != GMP_FULL ? find(ifc, group) : NULL;

	if (!g || !g->timer.armed)
		return;
	wheel_disarm(&m->wheel, &g->timer);
	g->reports_left = 0;
	g->last_reporter = false;
}

/* ---- time ---- */
static void group_fired(struct gmp_group *g, uint64_t now_ns)
{
	struct gmp_if *ifc = g->ifc;

	if (ifc->level == GMP_FULL) {
		gmp_send_group(g);
		return;
	}
	gmp_send_old(g);
	g->last_reporter = true;
	if (g->reports_left && --g->reports_left)
		wheel_arm(&ifc->m->wheel, &g->timer,
			  gmp_random_after(ifc->m, now_ns, GMP_UNSOLICITED_OLD_MS));
}

void gmp_advance(struct gmp *m, uint64_t now_ns)
{
	struct wheel_timer *t;

	for (int i = 0; i < NETIF_MAX; i++) {
		if (m->ifc[i].level != GMP_FULL)
			if_of(m, m->ifc[i].nif, now_ns);
	}
	while ((t = wheel_pop_due(&m->wheel, now_ns))) {
		switch ((enum gmp_timer)t->kind) {
		case GMP_TM_GENERAL:
			gmp_send_all(container_of(t, struct gmp_if, general));
			break;
		case GMP_TM_CHANGE:
			gmp_send_changes(container_of(t, struct gmp_if, change), now_ns);
			break;
		case GMP_TM_GROUP:
			group_fired(container_of(t, struct gmp_group, timer), now_ns);
			break;
		}
	}
}

/* The cursor counts groups in list order; one that goes in between shifts it by one, no worse. */
uint32_t gmp_rows(const struct gmp *m, uint64_t *cursor, struct mcast_row *rows, uint32_t n)
{
	uint64_t at = 0;
	uint32_t got = 0;

	for (int i = 0; i < NETIF_MAX; i++) {
		if (!m->ifc[i].nif)
			continue;
		list_for_each(it, &m->ifc[i].groups) {
			const struct gmp_group *g = container_of(it, struct gmp_group, link);

			if (at++ < *cursor || !mcast_is_member(&g->now))
				continue;
			if (got == n)
				return got;
			rows[got++] = (struct mcast_row){ .group = g->group, .nif = m->ifc[i].nif->index,
							  .include = g->now.include,
							  .n_sources = (uint16_t)g->now.n };
			*cursor = at;
		}
	}
	return got;
}
