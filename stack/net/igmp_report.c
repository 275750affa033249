/* IGMP reports: changes with their repetitions (RFC 3376 5.1), states as answers (5.2), and the reports of
 * older versions. When they leave is igmp.c's decision. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/igmp_int.h"
#include "stack/wire/ip4.h"

enum { PACKET_MAX = 1500 };

/* A report being filled; sent when full and at the end. */
struct packet {
	struct igmp_if *ifc;
	struct igmp_report r;
	uint8_t b[PACKET_MAX];
};

static void packet_start(struct packet *p, struct igmp_if *ifc)
{
	p->ifc = ifc;
	igmp_report_init(&p->r, p->b, min_u32(PACKET_MAX, ifc->nif->mtu) - IP4_HDR_ALERT);
}

static void packet_send(struct packet *p)
{
	if (!p->r.n_records)
		return;
	uint32_t n = igmp_report_finish(&p->r);
	struct igmp *ig = p->ifc->ig;

	ig->ops->send(ig->arg, p->ifc->nif, IGMP_V3_ROUTERS, p->b, n);
	STAT_INC(igmp_tx_report);
	packet_start(p, p->ifc);
}

static void packet_add(struct packet *p, enum igmp_record type, uint32_t group, const uint32_t *src,
		       uint32_t n)
{
	uint32_t most = (p->r.size - IGMP3_REPORT_HDR - IGMP3_RECORD_HDR) / 4;

	/* RFC 3376 4.2.16: a list that does not fit into one report is cut short. */
	n = min_u32(n, most);
	if (igmp_report_add(&p->r, type, group, src, n))
		return;
	packet_send(p);
	igmp_report_add(&p->r, type, group, src, n);
}

/* ---- changes ---- */
static bool listed(const struct mcast_state *s, uint32_t src)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (s->src[i] == src)
			return true;
	}
	return false;
}

/* The list is full: the new mode with its whole list says the same. */
static void mode_instead(struct igmp_group *g)
{
	g->mode_left = g->ifc->robustness;
	g->n_changes = 0;
}

static void source_changed(struct igmp_group *g, uint32_t src, bool allow)
{
	uint32_t i = 0;

	while (i < g->n_changes && g->change[i].src != src)
		i++;
	if (i == IGMP_CHANGES) {
		mode_instead(g);
		return;
	}
	g->change[i] = (struct igmp_change){ src, g->ifc->robustness, allow };
	if (i == g->n_changes)
		g->n_changes++;
}

/* The table of RFC 3376 5.1. */
void igmp_note_change(struct igmp_group *g, const struct mcast_state *next)
{
	const struct mcast_state *old = &g->now;

	if (old->include != next->include) {
		mode_instead(g);
		return;
	}
	for (uint32_t i = 0; i < next->n; i++) {
		if (!listed(old, next->src[i]))
			source_changed(g, next->src[i], next->include);
	}
	for (uint32_t i = 0; i < old->n; i++) {
		if (!listed(next, old->src[i]))
			source_changed(g, old->src[i], !next->include);
	}
}

static void add_sources(struct packet *p, const struct igmp_group *g, bool allow)
{
	uint32_t src[IGMP_CHANGES], n = 0;

	for (uint32_t i = 0; i < g->n_changes; i++) {
		if (g->change[i].allow == allow)
			src[n++] = g->change[i].src;
	}
	if (n)
		packet_add(p, allow ? IGMP_ALLOW : IGMP_BLOCK, g->group, src, n);
}

/* One report has told it all once more. */
static void count_down(struct igmp_group *g)
{
	uint8_t keep = 0;

	if (g->mode_left)
		g->mode_left--;
	for (uint32_t i = 0; i < g->n_changes; i++) {
		if (--g->change[i].left)
			g->change[keep++] = g->change[i];
	}
	g->n_changes = keep;
}

void igmp_forget(struct igmp_group *g)
{
	wheel_disarm(&g->ifc->ig->wheel, &g->timer);
	list_del(&g->link);
	pool_free(&g->ifc->ig->groups, g);
}

void igmp_send_changes(struct igmp_if *ifc, uint64_t now_ns)
{
	struct packet p;
	bool more = false;

	packet_start(&p, ifc);
	list_for_each_safe(it, tmp, &ifc->groups) {
		struct igmp_group *g = container_of(it, struct igmp_group, link);

		if (!igmp_has_news(g))
			continue;
		if (g->mode_left) {
			packet_add(&p, g->now.include ? IGMP_TO_IN : IGMP_TO_EX, g->group,
				   g->now.src, g->now.n);
		} else {
			add_sources(&p, g, true);
			add_sources(&p, g, false);
		}
		count_down(g);
		more |= igmp_has_news(g);
		if (!igmp_has_news(g) && !mcast_is_member(&g->now))
			igmp_forget(g);
	}
	packet_send(&p);
	if (more)
		wheel_arm(&ifc->ig->wheel, &ifc->change,
			  igmp_random_after(ifc->ig, now_ns, IGMP_UNSOLICITED_MS));
}

/* ---- answers ---- */
static void add_state(struct packet *p, const struct igmp_group *g)
{
	if (mcast_is_member(&g->now))
		packet_add(p, g->now.include ? IGMP_IS_IN : IGMP_IS_EX, g->group, g->now.src,
			   g->now.n);
}

void igmp_send_all(struct igmp_if *ifc)
{
	struct packet p;

	packet_start(&p, ifc);
	list_for_each(it, &ifc->groups)
		add_state(&p, container_of(it, struct igmp_group, link));
	packet_send(&p);
}

/* RFC 3376 5.2: of the sources asked about those that are heard; nothing when it is none. */
void igmp_send_group(struct igmp_group *g)
{
	uint32_t src[MCAST_SOURCES], n = 0;
	struct packet p;

	packet_start(&p, g->ifc);
	for (uint32_t i = 0; i < g->n_asked; i++) {
		if (listed(&g->now, g->asked[i]) == g->now.include)
			src[n++] = g->asked[i];
	}
	if (!g->n_asked)
		add_state(&p, g);
	else if (n)
		packet_add(&p, IGMP_IS_IN, g->group, src, n);
	packet_send(&p);
	g->n_asked = 0;
}

/* RFC 2236 2.4 and 3: reports go to the group itself, leaves to all routers. */
void igmp_send_old(struct igmp_group *g, uint8_t type)
{
	struct igmp *ig = g->ifc->ig;
	uint8_t b[IGMP_MIN];
	uint32_t n = igmp_emit(type, g->group, b);

	ig->ops->send(ig->arg, g->ifc->nif, type == IGMP_T_LEAVE ? IGMP_ALL_ROUTERS : g->group, b,
		      n);
	STAT_INC(igmp_tx_report);
}
