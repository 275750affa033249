/* IGMP's messages: what gmp.c has to say, and what queriers and other members say to it. */
// SPDX-License-Identifier: MIT
#include "stack/net/igmp.h"
#include <stdlib.h>
#include "stack/base/stats.h"
#include "stack/net/gmp.h"
#include "stack/wire/igmp.h"
#include "stack/wire/ip4.h"

enum { IGMP_V1_RESP_MS = 10000 /* RFC 2236 4 */ };

struct igmp {
	const struct igmp_ops *ops;
	void *arg;
	struct gmp *gmp;
};

static void on_report(void *arg, struct netif *nif, struct gmp_report *r)
{
	struct igmp *ig = arg;
	uint32_t n = igmp_report_finish(r);

	ig->ops->send(ig->arg, nif, IGMP_V3_ROUTERS, r->p, n);
}

/* RFC 2236 2.4 and 3: reports go to the group itself, leaves to all routers. */
static void send_old(struct igmp *ig, struct netif *nif, enum igmp_type type, uint32_t group)
{
	uint8_t b[IGMP_MIN];
	uint32_t n = igmp_emit((uint8_t)type, group, b);

	ig->ops->send(ig->arg, nif, type == IGMP_T_LEAVE ? IGMP_ALL_ROUTERS : group, b, n);
}

static void on_report_old(void *arg, struct netif *nif, enum gmp_level level, const struct ipaddr *group)
{
	send_old(arg, nif, level == GMP_PLAIN ? IGMP_T_REPORT1 : IGMP_T_REPORT2, ipaddr_get_v4(group));
}

static void on_leave_old(void *arg, struct netif *nif, const struct ipaddr *group)
{
	send_old(arg, nif, IGMP_T_LEAVE, ipaddr_get_v4(group));
}

static const struct gmp_proto proto = {
	.addr_len = GMP_IP4, .headers = IP4_HDR_ALERT, .silent_ms = IGMP_V1_RESP_MS,
	.tx = STAT_igmp_tx_report, .full = STAT_igmp_drop_full,
	.report = on_report, .report_old = on_report_old, .leave_old = on_leave_old,
};

struct igmp *igmp_new(const struct igmp_ops *ops, void *arg, uint64_t seed, uint64_t now_ns)
{
	struct igmp *ig = calloc(1, sizeof(*ig));

	if (!ig)
		return NULL;
	ig->ops = ops;
	ig->arg = arg;
	ig->gmp = gmp_new(&proto, ig, seed, now_ns);
	if (!ig->gmp) {
		free(ig);
		return NULL;
	}
	return ig;
}

void igmp_free(struct igmp *ig)
{
	if (!ig)
		return;
	gmp_free(ig->gmp);
	free(ig);
}

void igmp_set(struct igmp *ig, struct netif *nif, const struct ipaddr *group,
	      const struct mcast_state *s, uint64_t now_ns)
{
	if (!mcast_is_everybody(group))
		gmp_set(ig->gmp, nif, group, s, now_ns);
}

static void query_input(struct igmp *ig, struct netif *nif, uint32_t dst, const struct igmp_msg *m,
			uint64_t now_ns)
{
	const struct gmp_query q = {
		.level = m->version == 3 ? GMP_FULL : m->version == 2 ? GMP_OLD : GMP_PLAIN,
		.qrv = m->qrv, .max_resp_ms = m->max_resp_ms, .qqi_s = m->qqi_s,
		.group = ipaddr_v4(m->group), .n_sources = m->n_sources, .sources = m->sources,
	};

	/* RFC 3376 9.1: a general query to another address is forged. */
	if (!m->group && dst != MCAST_ALL_HOSTS) {
		STAT_INC(igmp_drop_bad);
		return;
	}
	STAT_INC(igmp_rx_query);
	gmp_query(ig->gmp, nif, &q, now_ns);
}

void igmp_input(struct igmp *ig, struct netif *nif, uint32_t dst, const void *p, uint32_t n,
		uint64_t now_ns)
{
	struct igmp_msg m;

	if (igmp_parse(&m, p, n) < 0) {
		STAT_INC(igmp_drop_bad);
		return;
	}
	struct ipaddr group = ipaddr_v4(m.group);
	switch (m.type) {
	case IGMP_T_QUERY:
		query_input(ig, nif, dst, &m, now_ns);
		break;
	case IGMP_T_REPORT1:
	case IGMP_T_REPORT2:
		gmp_heard(ig->gmp, nif, &group, now_ns);
		break;
	default: /* RFC 3376 4: unknown types are ignored; the rest is for routers */
		break;
	}
}

void igmp_advance(struct igmp *ig, uint64_t now_ns) { gmp_advance(ig->gmp, now_ns); }
uint64_t igmp_next_ns(const struct igmp *ig) { return gmp_next_ns(ig->gmp); }
uint32_t igmp_groups(const struct igmp *ig) { return gmp_groups(ig->gmp); }

uint32_t igmp_rows(const struct igmp *ig, uint64_t *cursor, struct mcast_row *rows, uint32_t n)
{
	return gmp_rows(ig->gmp, cursor, rows, n);
}
