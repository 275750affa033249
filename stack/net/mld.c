/* A group has what is still to be told about it (its coming or going, several times over, RFC 3810 6.1) and
 * perhaps an answer that is due (6.2). With a handful of groups a port all timers are one walk. */
// SPDX-License-Identifier: MIT
#include "stack/net/mld.h"
#include <stdlib.h>
#include <string.h>
#include "stack/base/rng.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/mld.h"

struct group {
	struct ipaddr addr; /* any: free */
	uint32_t refs;	    /* 0: leaving is still to be told */
	uint8_t news;	    /* reports that must still tell its state */
	uint64_t news_ns;
	uint64_t answer_ns; /* UINT64_MAX: none is due */
};
struct port {
	struct netif *nif; /* NULL: unused */
	uint8_t robustness;
	uint32_t interval_s;
	uint64_t v1_until_ns; /* RFC 3810 8.2.1: such a querier is present until then */
	uint64_t answer_ns;   /* to a general query */
	struct group group[MLD_GROUPS];
};
struct mld {
	const struct mld_ops *ops;
	void *arg;
	struct rng rng;
	struct port port[NETIF_MAX];
};

struct mld *mld_new(const struct mld_ops *ops, void *arg, uint64_t seed, uint64_t now_ns)
{
	struct mld *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->ops = ops;
	m->arg = arg;
	rng_seed(&m->rng, seed);
	return m;
}

void mld_free(struct mld *m) { free(m); }

static struct port *port_of(struct mld *m, struct netif *nif)
{
	struct port *p = &m->port[nif->index];

	if (!p->nif)
		*p = (struct port){ .nif = nif, .robustness = MLD_ROBUSTNESS, .answer_ns = UINT64_MAX,
				    .interval_s = MLD_QUERY_INTERVAL_S };
	return p;
}

static uint64_t within(struct mld *m, uint32_t ms, uint64_t now_ns)
{
	return now_ns + (ms ? rng_below(&m->rng, ms) : 0) * NSEC_PER_MSEC;
}

static struct group *find(struct port *p, const struct ipaddr *a)
{
	for (int i = 0; i < MLD_GROUPS; i++) {
		if (ipaddr_eq(&p->group[i].addr, a))
			return &p->group[i];
	}
	return NULL;
}

/* ---- what is sent ---- */
static void send_one(struct mld *m, struct port *p, uint8_t type, const struct ipaddr *group)
{
	const struct ipaddr routers = ip6_link_group(2);
	uint8_t b[MLD1_LEN];
	uint32_t n = mld_emit1(type, group, b);

	STAT_INC(mld_tx_report);
	m->ops->send(m->arg, p->nif, type == ICMP6_T_MLD_DONE ? &routers : group, b, n);
}

/* All groups for which want says a record type, in one report. */
struct report {
	uint8_t b[MLD2_REPORT_HDR + MLD_GROUPS * MLD2_RECORD_HDR];
	uint32_t n;
	uint16_t n_records;
};

static void report_add(struct report *r, enum mld_record type, const struct ipaddr *group)
{
	if (!r->n)
		r->n = MLD2_REPORT_HDR;
	r->n += mld_emit_record(type, group, r->b + r->n);
	r->n_records++;
}

static void report_send(struct mld *m, struct port *p, struct report *r)
{
	const struct ipaddr dst = ip6_link_group(0x16); /* RFC 3810 5.2.14 */

	if (!r->n_records)
		return;
	mld_emit_report(r->n_records, r->b);
	STAT_INC(mld_tx_report);
	m->ops->send(m->arg, p->nif, &dst, r->b, r->n);
}

/* One more time its state has been told. */
static void told(struct mld *m, struct port *p, struct group *g, bool v1, uint64_t now_ns)
{
	g->news--;
	if (v1 && !g->refs)
		g->news = 0; /* RFC 2710 4: "done" is said once */
	g->news_ns = within(m, v1 ? (uint32_t)MLD_UNSOLICITED_V1_MS : (uint32_t)MLD_UNSOLICITED_MS,
			    now_ns);
	if (!g->news && !g->refs)
		*g = (struct group){ 0 };
}

/* ---- what is wanted ---- */
/* RFC 3810 6: never about all nodes, nor about what does not leave the host. */
static bool is_told(const struct ipaddr *group)
{
	const struct ipaddr all = ip6_link_group(1);

	return (group->b[1] & 0xf) >= 2 && !ipaddr_eq(group, &all);
}

static void news(struct port *p, struct group *g, uint64_t now_ns)
{
	g->news = p->robustness;
	g->news_ns = now_ns;
}

void mld_join(struct mld *m, struct netif *nif, const struct ipaddr *group, uint64_t now_ns)
{
	struct port *p = port_of(m, nif);
	struct group *g = find(p, group);
	const struct ipaddr none = { 0 };

	if (!is_told(group))
		return;
	if (!g && (g = find(p, &none)))
		*g = (struct group){ .addr = *group, .answer_ns = UINT64_MAX };
	if (!g) {
		STAT_INC(mld_drop_full);
		return;
	}
	if (g->refs++ == 0)
		news(p, g, now_ns);
}

void mld_leave(struct mld *m, struct netif *nif, const struct ipaddr *group, uint64_t now_ns)
{
	struct port *p = port_of(m, nif);
	struct group *g = find(p, group);

	if (!g || !is_told(group) || !g->refs || --g->refs)
		return;
	g->answer_ns = UINT64_MAX;
	news(p, g, now_ns);
}

/* ---- queries ---- */
void mld_input(struct mld *m, struct netif *nif, const void *b, uint32_t n, uint64_t now_ns)
{
	struct port *p = port_of(m, nif);
	struct mld_query q;

	if (((const uint8_t *)b)[0] != ICMP6_T_MLD_QUERY)
		return; /* RFC 3810 6: what other hosts report is not of interest */
	if (mld_parse_query(&q, b, n) < 0) {
		STAT_INC(mld_drop_bad);
		return;
	}
	STAT_INC(mld_rx_query);
	if (q.version == 1) /* RFC 3810 9.12 */
		p->v1_until_ns = now_ns + (uint64_t)p->robustness * p->interval_s * NSEC_PER_SEC +
				 q.max_resp_ms * NSEC_PER_MSEC;
	if (q.version == 2 && q.qrv)
		p->robustness = q.qrv;
	if (q.version == 2 && q.qqi_s)
		p->interval_s = q.qqi_s;
	uint64_t due = within(m, q.max_resp_ms, now_ns);
	if (ipaddr_is_any(&q.group)) {
		p->answer_ns = min_u64(p->answer_ns, due);
		return;
	}
	struct group *g = find(p, &q.group);
	/* 6.2: an answer about all groups that comes sooner says it as well. */
	if (g && g->refs && p->answer_ns > due)
		g->answer_ns = min_u64(g->answer_ns, due);
}

/* ---- time ---- */
static void advance_v1(struct mld *m, struct port *p, bool all, uint64_t now_ns)
{
	for (int i = 0; i < MLD_GROUPS; i++) {
		struct group *g = &p->group[i];
		bool is_news = g->news && g->news_ns <= now_ns;

		if (ipaddr_is_any(&g->addr))
			continue;
		if (g->refs && (all || g->answer_ns <= now_ns || is_news))
			send_one(m, p, ICMP6_T_MLD_REPORT1, &g->addr);
		else if (is_news)
			send_one(m, p, ICMP6_T_MLD_DONE, &g->addr);
		if (g->answer_ns <= now_ns)
			g->answer_ns = UINT64_MAX;
		if (is_news)
			told(m, p, g, true, now_ns);
	}
}

static void advance_v2(struct mld *m, struct port *p, bool all, uint64_t now_ns)
{
	struct report changes = { .n = 0 }, state = { .n = 0 };

	for (int i = 0; i < MLD_GROUPS; i++) {
		struct group *g = &p->group[i];
		struct ipaddr addr = g->addr;

		if (ipaddr_is_any(&addr))
			continue;
		if (g->refs && (all || g->answer_ns <= now_ns))
			report_add(&state, MLD_IS_EX, &addr);
		if (g->answer_ns <= now_ns)
			g->answer_ns = UINT64_MAX;
		if (g->news && g->news_ns <= now_ns) {
			report_add(&changes, g->refs ? MLD_TO_EX : MLD_TO_IN, &addr);
			told(m, p, g, false, now_ns);
		}
	}
	report_send(m, p, &changes);
	report_send(m, p, &state);
}

void mld_advance(struct mld *m, uint64_t now_ns)
{
	for (int i = 0; i < NETIF_MAX; i++) {
		struct port *p = &m->port[i];

		if (!p->nif)
			continue;
		bool all = p->answer_ns <= now_ns;
		if (all)
			p->answer_ns = UINT64_MAX;
		if (p->v1_until_ns > now_ns)
			advance_v1(m, p, all, now_ns);
		else
			advance_v2(m, p, all, now_ns);
	}
}

uint64_t mld_next_ns(const struct mld *m)
{
	uint64_t t = UINT64_MAX;

	for (int i = 0; i < NETIF_MAX; i++) {
		const struct port *p = &m->port[i];

		if (!p->nif)
			continue;
		t = min_u64(t, p->answer_ns);
		for (int k = 0; k < MLD_GROUPS; k++) {
			const struct group *g = &p->group[k];

			if (ipaddr_is_any(&g->addr))
				continue;
			t = min_u64(t, g->answer_ns);
			if (g->news)
				t = min_u64(t, g->news_ns);
		}
	}
	return t;
}
