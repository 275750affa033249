/* What a host tells routers and switches of the groups that it hears, and when: the part that IGMP (RFC 3376)
 * and MLD (RFC 3810) have in common, also in the words of their older versions (RFC 2236, RFC 1112, RFC
 * 2710). Their messages are igmp.c's and mld.c's. Pure: time and chance are given. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/base/stats.h"
#include "stack/net/mcast.h"
#include "stack/net/netif.h"
#include "stack/wire/gmp.h"

/* What the querier on the link speaks. */
enum gmp_level {
	GMP_PLAIN = 1, /* IGMPv1: no leaves */
	GMP_OLD,       /* IGMPv2, MLDv1: one message a group */
	GMP_FULL,      /* IGMPv3, MLDv2: sources, many groups in a report */
};
enum {
	GMP_ROBUSTNESS = 2,	   /* RFC 3376 8.1, RFC 3810 9.1 */
	GMP_QUERY_INTERVAL_S = 125, /* 8.2, 9.2 */
	GMP_UNSOLICITED_MS = 1000, /* 8.11, 9.11 */
	GMP_UNSOLICITED_OLD_MS = 10000, /* RFC 2236 8.10, RFC 2710 7.10 */
};

struct gmp_proto {
	enum gmp_addr_len addr_len;
	uint32_t headers;	/* bytes in front of a report in its packet */
	uint32_t silent_ms;	/* when an old query says nothing about the time */
	enum stat_id tx, full;
	/* Sends what has been added to r. */
	void (*report)(void *arg, struct netif *nif, struct gmp_report *r);
	/* Older versions: membership in group, or its end. */
	void (*report_old)(void *arg, struct netif *nif, enum gmp_level level,
			   const struct ipaddr *group);
	void (*leave_old)(void *arg, struct netif *nif, const struct ipaddr *group);
};

struct gmp;
/* NULL: no memory. */
struct gmp *gmp_new(const struct gmp_proto *proto, void *arg, uint64_t seed, uint64_t now_ns);
void gmp_free(struct gmp *m);
/* What is heard of group on nif is now *s. Reports leave at the next gmp_advance(). */
void gmp_set(struct gmp *m, struct netif *nif, const struct ipaddr *group, const struct mcast_state *s,
	     uint64_t now_ns);
/* As set before; NULL: nobody is a member. */
const struct mcast_state *gmp_state(const struct gmp *m, const struct netif *nif,
				    const struct ipaddr *group);
struct gmp_query {
	enum gmp_level level;
	uint8_t qrv;	     /* GMP_FULL: 0: does not say */
	uint32_t max_resp_ms;
	uint32_t qqi_s;	     /* GMP_FULL: 0: does not say */
	struct ipaddr group; /* any: all */
	uint32_t n_sources;
	const uint8_t *sources;
};
void gmp_query(struct gmp *m, struct netif *nif, const struct gmp_query *q, uint64_t now_ns);
/* Another member has reported group in an older version. */
void gmp_heard(struct gmp *m, struct netif *nif, const struct ipaddr *group, uint64_t now_ns);
void gmp_advance(struct gmp *m, uint64_t now_ns);
uint64_t gmp_next_ns(const struct gmp *m);
/* Groups known, also those whose leaving is still to be told. For tests. */
uint32_t gmp_groups(const struct gmp *m);
/* Those that we are members of: at most n from position *cursor on; returns how many. */
uint32_t gmp_rows(const struct gmp *m, uint64_t *cursor, struct mcast_row *rows, uint32_t n);
