/* Reports about groups: changes with their repetitions (RFC 3376 5.1, RFC 3810 6.1), states as answers (5.2,
 * 6.2), and the messages of older versions. When they leave is gmp.c's decision. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/gmp_int.h"

enum { PACKET_MAX = 1500 };

/* A report being filled; sent when full and at the end. */
struct packet {
	struct gmp_if *ifc;
	struct gmp_report r;
	uint8_t b[PACKET_MAX];
};

static void packet_start(struct packet *p, struct gmp_if *ifc)
{
	const struct gmp_proto *proto = ifc->m->proto;

	p->ifc = ifc;
	gmp_report_init(&p->r, proto->addr_len, p->b, min_u32(PACKET_MAX, ifc->nif->mtu) - proto->headers);
}

static void packet_send(struct packet *p)
{
	struct gmp *m = p->ifc->m;

	if (!p->r.n_records)
		return;
	m->proto->report(m->arg, p->ifc->nif, &p->r);
	stats_this_thread->v[m->proto->tx]++;
	packet_start(p, p->ifc);
}

static void packet_add(struct packet *p, enum gmp_record type, const struct ipaddr *group,
		       const struct ipaddr *src, uint32_t n)
{
	/* RFC 3376 4.2.16, RFC 3810 5.2.15: a list that does not fit into one report is cut short. */
	n = min_u32(n, gmp_report_sources(&p->r));
	if (gmp_report_add(&p->r, type, group, src, n))
		return;
	packet_send(p);
	gmp_report_add(&p->r, type, group, src, n);
}

/* ---- changes ---- */
/* The list is full: the new mode with its whole list says the same. */
static void mode_instead(struct gmp_group *g)
{
	g->mode_left = g->ifc->robustness;
	g->n_changes = 0;
}

static void source_changed(struct gmp_group *g, const struct ipaddr *src, bool allow)
{
	uint32_t i = 0;

	while (i < g->n_changes && !ipaddr_eq(&g->change[i].src, src))
		i++;
	if (i == GMP_CHANGES) {
		mode_instead(g);
		return;
	}
	g->change[i] = (struct gmp_change){ *src, g->ifc->robustness, allow };
	if (i == g->n_changes)
		g->n_changes++;
}

/* The table of RFC 3376 5.1 and RFC 3810 6.1. */
void gmp_note_change(struct gmp_group *g, const struct mcast_state *next)
{
	const struct mcast_state *old = &g->now;

	if (old->include != next->include) {
		mode_instead(g);
		return;
	}
	for (uint32_t i = 0; i < next->n; i++) {
		if (!mcast_is_listed(old, &next->src[i]))
			source_changed(g, &next->src[i], next->include);
	}
	for (uint32_t i = 0; i < old->n; i++) {
		if (!mcast_is_listed(next, &old->src[i]))
			source_changed(g, &old->src[i], !next->include);
	}
}

static void add_sources(struct packet *p, const struct gmp_group *g, bool allow)
{
	struct ipaddr src[GMP_CHANGES];
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n_changes; i++) {
		if (g->change[i].allow == allow)
			src[n++] = g->change[i].src;
	}
	if (n)
		packet_add(p, allow ? GMP_ALLOW : GMP_BLOCK, &g->group, src, n);
}

/* One report has told it all once more. */
static void count_down(struct gmp_group *g)
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

void gmp_forget(struct gmp_group *g)
{
	wheel_disarm(&g->ifc->m->wheel, &g->timer);
	list_del(&g->link);
	pool_free(&g->ifc->m->groups, g);
}

void gmp_send_changes(struct gmp_if *ifc, uint64_t now_ns)
{
	struct packet p;
	bool more = false;

	packet_start(&p, ifc);
	list_for_each_safe(it, tmp, &ifc->groups) {
		struct gmp_group *g = container_of(it, struct gmp_group, link);

		if (!gmp_has_news(g))
			continue;
		if (g->mode_left) {
			packet_add(&p, g->now.include ? GMP_TO_IN : GMP_TO_EX, &g->group,
				   g->now.src, g->now.n);
		} else {
			add_sources(&p, g, true);
			add_sources(&p, g, false);
		}
		count_down(g);
		more |= gmp_has_news(g);
		if (!gmp_has_news(g) && !mcast_is_member(&g->now))
			gmp_forget(g);
	}
	packet_send(&p);
	if (more)
		wheel_arm(&ifc->m->wheel, &ifc->change,
			  gmp_random_after(ifc->m, now_ns, GMP_UNSOLICITED_MS));
}

/* ---- answers ---- */
static void add_state(struct packet *p, const struct gmp_group *g)
{
	if (mcast_is_member(&g->now))
		packet_add(p, g->now.include ? GMP_IS_IN : GMP_IS_EX, &g->group, g->now.src,
			   g->now.n);
}

void gmp_send_all(struct gmp_if *ifc)
{
	struct packet p;

	packet_start(&p, ifc);
	list_for_each(it, &ifc->groups)
		add_state(&p, container_of(it, struct gmp_group, link));
	packet_send(&p);
}

/* RFC 3376 5.2, RFC 3810 6.2: of the sources asked about those that are heard; nothing when it is none. */
void gmp_send_group(struct gmp_group *g)
{
	struct ipaddr src[MCAST_SOURCES];
	struct packet p;
	uint32_t n = 0;

	packet_start(&p, g->ifc);
	for (uint32_t i = 0; i < g->n_asked; i++) {
		if (mcast_is_listed(&g->now, &g->asked[i]) == g->now.include)
			src[n++] = g->asked[i];
	}
	if (!g->n_asked)
		add_state(&p, g);
	else if (n)
		packet_add(&p, GMP_IS_IN, &g->group, src, n);
	packet_send(&p);
	g->n_asked = 0;
}

void gmp_send_old(struct gmp_group *g)
{
	struct gmp *m = g->ifc->m;

	m->proto->report_old(m->arg, g->ifc->nif, (enum gmp_level)g->ifc->level, &g->group);
	stats_this_thread->v[m->proto->tx]++;
}

void gmp_send_leave(struct gmp_group *g)
{
	struct gmp *m = g->ifc->m;

	m->proto->leave_old(m->arg, g->ifc->nif, &g->group);
	stats_this_thread->v[m->proto->tx]++;
}
