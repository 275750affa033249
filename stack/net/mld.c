/* MLD's messages: what gmp.c has to say, and what queriers and other members say to it; and the groups of a
 * port's own addresses, which it hears whatever the sockets want. */
// SPDX-License-Identifier: MIT
#include "stack/net/mld.h"
#include <stdlib.h>
#include "stack/base/stats.h"
#include "stack/net/gmp.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/ip6.h"
#include "stack/wire/mld.h"

enum { ALERT_LEN = 8 /* hop-by-hop header with the option */ };

struct own {
	struct ipaddr addr; /* any: free */
	uint32_t refs;
	struct mcast_state sockets; /* what they want of it */
};
struct mld {
	const struct mld_ops *ops;
	void *arg;
	struct gmp *gmp;
	struct own own[NETIF_MAX][MLD_GROUPS];
};

/* ---- what is sent ---- */
static void on_report(void *arg, struct netif *nif, struct gmp_report *r)
{
	const struct ipaddr dst = ip6_link_group(0x16); /* RFC 3810 5.2.14 */
	struct mld *m = arg;
	uint32_t n = gmp_report_finish(r, ICMP6_T_MLD_REPORT2);

	m->ops->send(m->arg, nif, &dst, r->p, n);
}

/* RFC 2710 3.7, 4: reports go to the group itself, the end of membership to all routers. */
static void on_report_old(void *arg, struct netif *nif, enum gmp_level level, const struct ipaddr *group)
{
	struct mld *m = arg;
	uint8_t b[MLD1_LEN];
	uint32_t n = mld_emit1(ICMP6_T_MLD_REPORT1, group, b);

	(void)level;
	m->ops->send(m->arg, nif, group, b, n);
}

static void on_leave_old(void *arg, struct netif *nif, const struct ipaddr *group)
{
	const struct ipaddr routers = ip6_link_group(2);
	struct mld *m = arg;
	uint8_t b[MLD1_LEN];
	uint32_t n = mld_emit1(ICMP6_T_MLD_DONE, group, b);

	m->ops->send(m->arg, nif, &routers, b, n);
}

static const struct gmp_proto proto = {
	.addr_len = GMP_IP6, .headers = IP6_HDR_LEN + ALERT_LEN, .silent_ms = 1,
	.tx = STAT_mld_tx_report, .full = STAT_mld_drop_full,
	.report = on_report, .report_old = on_report_old, .leave_old = on_leave_old,
};

struct mld *mld_new(const struct mld_ops *ops, void *arg, uint64_t seed, uint64_t now_ns)
{
	struct mld *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->ops = ops;
	m->arg = arg;
	m->gmp = gmp_new(&proto, m, seed, now_ns);
	if (!m->gmp) {
		free(m);
		return NULL;
	}
	return m;
}

void mld_free(struct mld *m)
{
	if (!m)
		return;
	gmp_free(m->gmp);
	free(m);
}

/* ---- what is wanted ---- */
/* RFC 3810 6: never about all nodes, nor about what does not leave the host. */
static bool is_told(const struct ipaddr *group)
{
	return (group->b[1] & 0xf) >= 2 && !mcast_is_everybody(group);
}

static struct own *find(struct mld *m, const struct netif *nif, const struct ipaddr *group)
{
	for (int i = 0; i < MLD_GROUPS; i++) {
		if (ipaddr_eq(&m->own[nif->index][i].addr, group))
			return &m->own[nif->index][i];
	}
	return NULL;
}

void mld_join(struct mld *m, struct netif *nif, const struct ipaddr *group, uint64_t now_ns)
{
	static const struct mcast_state all = { .include = false };
	const struct ipaddr none = { .b = { 0 } };
	struct own *o = find(m, nif, group);

	if (!is_told(group))
		return;
	if (o) {
		o->refs++;
		return;
	}
	o = find(m, nif, &none);
	if (!o) {
		STAT_INC(mld_drop_full);
		return;
	}
	const struct mcast_state *s = gmp_state(m->gmp, nif, group);
	o->addr = *group;
	o->refs = 1;
	if (s)
		o->sockets = *s;
	else
		o->sockets = (struct mcast_state){ .include = true };
	gmp_set(m->gmp, nif, group, &all, now_ns);
}

void mld_leave(struct mld *m, struct netif *nif, const struct ipaddr *group, uint64_t now_ns)
{
	struct own *o = is_told(group) ? find(m, nif, group) : NULL;

	if (!o || --o->refs)
		return;
	o->addr = (struct ipaddr){ .b = { 0 } };
	gmp_set(m->gmp, nif, group, &o->sockets, now_ns);
}

void mld_set(struct mld *m, struct netif *nif, const struct ipaddr *group, const struct mcast_state *s,
	     uint64_t now_ns)
{
	struct own *o = is_told(group) ? find(m, nif, group) : NULL;

	if (o)
		o->sockets = *s;
	else if (is_told(group))
		gmp_set(m->gmp, nif, group, s, now_ns);
}

/* ---- what is heard ---- */
void mld_input(struct mld *m, struct netif *nif, const void *b, uint32_t n, uint64_t now_ns)
{
	struct ipaddr group;
	struct mld_query q;

	if (((const uint8_t *)b)[0] != ICMP6_T_MLD_QUERY) {
		/* RFC 3810 6: of interest only while version 1 is spoken */
		if (mld_parse_report1(&group, b, n))
			gmp_heard(m->gmp, nif, &group, now_ns);
		return;
	}
	if (mld_parse_query(&q, b, n) < 0) {
		STAT_INC(mld_drop_bad);
		return;
	}
	STAT_INC(mld_rx_query);
	const struct gmp_query about = {
		.level = q.version == 1 ? GMP_OLD : GMP_FULL, .qrv = q.qrv,
		.max_resp_ms = q.max_resp_ms, .qqi_s = q.qqi_s, .group = q.group,
		.n_sources = q.n_sources, .sources = q.sources,
	};
	gmp_query(m->gmp, nif, &about, now_ns);
}

void mld_advance(struct mld *m, uint64_t now_ns) { gmp_advance(m->gmp, now_ns); }
uint64_t mld_next_ns(const struct mld *m) { return gmp_next_ns(m->gmp); }
uint32_t mld_groups(const struct mld *m) { return gmp_groups(m->gmp); }

uint32_t mld_rows(const struct mld *m, uint64_t *cursor, struct mcast_row *rows, uint32_t n)
{
	return gmp_rows(m->gmp, cursor, rows, n);
}
