/* When IGMP messages are sent: at once when something changes, after a random delay when a router asks, and
 * in which version. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/igmp_int.h"

enum { GROUPS_PER_CHUNK = 16 };

struct igmp *igmp_new(const struct igmp_ops *ops, void *arg, uint64_t seed, uint64_t now_ns)
{
	struct igmp *ig = calloc(1, sizeof(*ig));

	if (!ig)
		return NULL;
	ig->ops = ops;
	ig->arg = arg;
	rng_seed(&ig->rng, seed);
	wheel_init(&ig->wheel, now_ns);
	pool_init(&ig->groups, sizeof(struct igmp_group), GROUPS_PER_CHUNK, MCAST_SLOTS,
		  &pool_mem_libc);
	for (int i = 0; i < NETIF_MAX; i++) {
		struct igmp_if *ifc = &ig->ifc[i];

		*ifc = (struct igmp_if){ .ig = ig, .version = 3, .robustness = IGMP_ROBUSTNESS,
					 .query_interval_s = IGMP_QUERY_INTERVAL_S };
		list_init(&ifc->groups);
		wheel_timer_init(&ifc->general, IGMP_TM_GENERAL);
		wheel_timer_init(&ifc->change, IGMP_TM_CHANGE);
	}
	return ig;
}

void igmp_free(struct igmp *ig)
{
	if (!ig)
		return;
	pool_fini(&ig->groups);
	free(ig);
}

uint32_t igmp_groups(const struct igmp *ig) { return ig->groups.live; }
uint64_t igmp_next_ns(const struct igmp *ig) { return wheel_next_ns(&ig->wheel); }

uint64_t igmp_random_after(struct igmp *ig, uint64_t now_ns, uint32_t ms)
{
	return now_ns + (1 + rng_below(&ig->rng, max_u32(ms, 1) * 1000)) * NSEC_PER_USEC;
}

/* ---- versions ---- */
/* RFC 3376 7.2.1: with another version begins another conversation. */
static void set_version(struct igmp_if *ifc, uint8_t version)
{
	struct igmp *ig = ifc->ig;

	if (ifc->version == version)
		return;
	ifc->version = version;
	wheel_disarm(&ig->wheel, &ifc->general);
	wheel_disarm(&ig->wheel, &ifc->change);
	list_for_each_safe(it, tmp, &ifc->groups) {
		struct igmp_group *g = container_of(it, struct igmp_group, link);

		wheel_disarm(&ig->wheel, &g->timer);
		g->mode_left = g->n_changes = g->n_asked = g->reports_left = 0;
		if (!mcast_is_member(&g->now))
			igmp_forget(g);
	}
}

static struct igmp_if *if_of(struct igmp *ig, struct netif *nif, uint64_t now_ns)
{
	struct igmp_if *ifc = &ig->ifc[nif->index];

	ifc->nif = nif;
	set_version(ifc, now_ns < ifc->v1_until_ns ? 1 : now_ns < ifc->v2_until_ns ? 2 : 3);
	return ifc;
}

static struct igmp_group *find(struct igmp_if *ifc, uint32_t group)
{
	list_for_each(it, &ifc->groups) {
		struct igmp_group *g = container_of(it, struct igmp_group, link);

		if (g->group == group)
			return g;
	}
	return NULL;
}

/* ---- changes here ---- */
static void report_old(struct igmp_group *g)
{
	igmp_send_old(g, g->ifc->version == 1 ? IGMP_T_REPORT1 : IGMP_T_REPORT2);
	g->last_reporter = true;
}

/* RFC 2236 3: a report at once and again; a leave if ours was the last report (6). */
static void change_old(struct igmp_group *g, bool member, uint64_t now_ns)
{
	struct wheel *wheel = &g->ifc->ig->wheel;

	if (member) {
		g->reports_left = g->ifc->robustness;
		wheel_arm(wheel, &g->timer, now_ns);
		return;
	}
	wheel_disarm(wheel, &g->timer);
	if (g->ifc->version == 2 && g->last_reporter)
		igmp_send_old(g, IGMP_T_LEAVE);
}

static struct igmp_group *group_new(struct igmp_if *ifc, uint32_t group)
{
	struct igmp_group *g = pool_alloc(&ifc->ig->groups);

	if (!g) {
		STAT_INC(igmp_drop_full);
		return NULL;
	}
	memset(g, 0, sizeof(*g));
	g->ifc = ifc;
	g->group = group;
	g->now.include = true;
	wheel_timer_init(&g->timer, IGMP_TM_GROUP);
	list_push(&ifc->groups, &g->link);
	return g;
}

void igmp_set(struct igmp *ig, struct netif *nif, uint32_t group, const struct mcast_state *s,
	      uint64_t now_ns)
{
	struct igmp_if *ifc = if_of(ig, nif, now_ns);
	struct igmp_group *g = find(ifc, group);
	bool member = mcast_is_member(s);

	if (group == MCAST_ALL_HOSTS || (!g && !member))
		return;
	if (!g && !(g = group_new(ifc, group)))
		return;
	if (ifc->version == 3)
		igmp_note_change(g, s);
	else if (mcast_is_member(&g->now) != member)
		change_old(g, member, now_ns);
	g->now = *s;
	if (!member) {
		wheel_disarm(&ig->wheel, &g->timer);
		g->n_asked = 0;
	}
	if (igmp_has_news(g))
		wheel_arm(&ig->wheel, &ifc->change, now_ns);
	else if (!member)
		igmp_forget(g);
}

/* ---- questions ---- */
/* RFC 3376 5.2 4, 5: one answer, at the earlier time, about all that was asked. */
static void ask_group(struct igmp_group *g, const struct igmp_msg *m, uint64_t due_ns)
{
	bool pending = g->timer.armed;
	bool all = m->n_sources == 0 || (pending && g->n_asked == 0);

	for (uint32_t i = 0; i < m->n_sources && !all; i++) {
		uint32_t src = igmp_source(m, i), k = 0;

		while (k < g->n_asked && g->asked[k] != src)
			k++;
		if (k < g->n_asked)
			continue;
		/* More than can be remembered: then the answer is about all. */
		all = g->n_asked == MCAST_SOURCES;
		if (!all)
			g->asked[g->n_asked++] = src;
	}
	if (all)
		g->n_asked = 0;
	if (!pending || due_ns < g->timer.due_ns)
		wheel_arm(&g->ifc->ig->wheel, &g->timer, due_ns);
}

static void query_new(struct igmp_if *ifc, const struct igmp_msg *m, uint64_t now_ns)
{
	struct igmp *ig = ifc->ig;
	uint64_t due = igmp_random_after(ig, now_ns, m->max_resp_ms);

	ifc->robustness = m->qrv ? m->qrv : IGMP_ROBUSTNESS;
	ifc->query_interval_s = m->qqi_s ? m->qqi_s : IGMP_QUERY_INTERVAL_S;
	/* 1: an earlier answer to all says everything */
	if (ifc->general.armed && ifc->general.due_ns <= due)
		return;
	if (!m->group) { /* 2 */
		wheel_arm(&ig->wheel, &ifc->general, due);
		return;
	}
	struct igmp_group *g = find(ifc, m->group); /* 3 to 5 */
	if (g && mcast_is_member(&g->now))
		ask_group(g, m, due);
}

/* RFC 2236 3: each group has a delay of its own; a running one only becomes shorter. */
static void query_old(struct igmp_if *ifc, const struct igmp_msg *m, uint64_t now_ns)
{
	struct igmp *ig = ifc->ig;
	uint32_t ms = ifc->version == 1 || !m->max_resp_ms ? (uint32_t)IGMP_V1_RESP_MS :
							     m->max_resp_ms;

	list_for_each(it, &ifc->groups) {
		struct igmp_group *g = container_of(it, struct igmp_group, link);

		if (m->group && m->version > 1 && g->group != m->group)
			continue;
		if (!g->timer.armed || g->timer.due_ns > now_ns + ms * NSEC_PER_MSEC)
			wheel_arm(&ig->wheel, &g->timer, igmp_random_after(ig, now_ns, ms));
	}
}

static void query_input(struct igmp_if *ifc, uint32_t dst, const struct igmp_msg *m, uint64_t now_ns)
{
	uint32_t resp_ms = m->version == 1 ? (uint32_t)IGMP_V1_RESP_MS : m->max_resp_ms;
	/* RFC 3376 8.12 */
	uint64_t present = now_ns + (uint64_t)ifc->robustness * ifc->query_interval_s * NSEC_PER_SEC +
			   resp_ms * NSEC_PER_MSEC;

	/* RFC 3376 9.1: a general query to another address is forged. */
	if (!m->group && dst != MCAST_ALL_HOSTS) {
		STAT_INC(igmp_drop_bad);
		return;
	}
	STAT_INC(igmp_rx_query);
	if (m->version == 1)
		ifc->v1_until_ns = present;
	else if (m->version == 2)
		ifc->v2_until_ns = present;
	ifc = if_of(ifc->ig, ifc->nif, now_ns);
	if (ifc->version == 3)
		query_new(ifc, m, now_ns);
	else
		query_old(ifc, m, now_ns);
}

/* RFC 2236 3: somebody else has said it. */
static void report_input(struct igmp_if *ifc, uint32_t group)
{
	struct igmp_group *g = ifc->version < 3 ? find(ifc, group) : NULL;

	if (!g || !g->timer.armed)
		return;
	wheel_disarm(&ifc->ig->wheel, &g->timer);
	g->reports_left = 0;
	g->last_reporter = false;
}

void igmp_input(struct igmp *ig, struct netif *nif, uint32_t dst, const void *p, uint32_t n,
		uint64_t now_ns)
{
	struct igmp_if *ifc = if_of(ig, nif, now_ns);
	struct igmp_msg m;

	if (igmp_parse(&m, p, n) < 0) {
		STAT_INC(igmp_drop_bad);
		return;
	}
	switch (m.type) {
	case IGMP_T_QUERY:
		query_input(ifc, dst, &m, now_ns);
		break;
	case IGMP_T_REPORT1:
	case IGMP_T_REPORT2:
		report_input(ifc, m.group);
		break;
	default: /* RFC 3376 4: unknown types are ignored; the rest is for routers */
		break;
	}
}

/* ---- time ---- */
static void group_fired(struct igmp_group *g, uint64_t now_ns)
{
	struct igmp_if *ifc = g->ifc;

	if (ifc->version == 3) {
		igmp_send_group(g);
		return;
	}
	report_old(g);
	if (g->reports_left && --g->reports_left)
		wheel_arm(&ifc->ig->wheel, &g->timer,
			  igmp_random_after(ifc->ig, now_ns, IGMP_UNSOLICITED_V2_MS));
}

void igmp_advance(struct igmp *ig, uint64_t now_ns)
{
	struct wheel_timer *t;

	for (int i = 0; i < NETIF_MAX; i++) {
		if (ig->ifc[i].version != 3)
			if_of(ig, ig->ifc[i].nif, now_ns);
	}
	while ((t = wheel_pop_due(&ig->wheel, now_ns))) {
		switch ((enum igmp_timer)t->kind) {
		case IGMP_TM_GENERAL:
			igmp_send_all(container_of(t, struct igmp_if, general));
			break;
		case IGMP_TM_CHANGE:
			igmp_send_changes(container_of(t, struct igmp_if, change), now_ns);
			break;
		case IGMP_TM_GROUP:
			group_fired(container_of(t, struct igmp_group, timer), now_ns);
			break;
		}
	}
}
