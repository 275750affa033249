/* What the two files gmp*.c share: the state of groups on interfaces. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/base/list.h"
#include "stack/base/pool.h"
#include "stack/base/rng.h"
#include "stack/base/wheel.h"
#include "stack/net/gmp.h"

enum { GMP_CHANGES = 2 * MCAST_SOURCES };
enum gmp_timer { GMP_TM_GENERAL, GMP_TM_CHANGE, GMP_TM_GROUP };

/* A source that came or went, and in how many reports that is still to be told. */
struct gmp_change {
	struct ipaddr src;
	uint8_t left;
	bool allow;
};

struct gmp_group {
	struct list link; /* gmp_if.groups */
	struct gmp_if *ifc;
	struct ipaddr group;
	struct mcast_state now;
	/* state changes to be told (RFC 3376 5.1, RFC 3810 6.1) */
	uint8_t mode_left; /* reports that must still have the new filter mode */
	uint8_t n_changes;
	struct gmp_change change[GMP_CHANGES];
	/* GMP_FULL: the answer to a query about this group; older: the next report */
	struct wheel_timer timer;
	uint8_t n_asked; /* GMP_FULL: sources asked about, 0: about all */
	struct ipaddr asked[MCAST_SOURCES];
	/* older versions */
	uint8_t reports_left; /* unsolicited ones */
	bool last_reporter;
};

struct gmp_if {
	struct gmp *m;
	struct netif *nif; /* NULL: unused */
	struct list groups;
	struct wheel_timer general; /* answer to a general query */
	struct wheel_timer change;  /* next state-change report */
	uint8_t level;		    /* GMP_FULL, or that of the oldest querier heard lately */
	uint8_t robustness;
	uint32_t query_interval_s;
	/* Such a querier is present until then (RFC 3376 7.2.1, RFC 3810 8.2.1). */
	uint64_t plain_until_ns, old_until_ns;
};

struct gmp {
	const struct gmp_proto *proto;
	void *arg;
	struct rng rng;
	struct wheel wheel;
	struct pool groups;
	struct gmp_if ifc[NETIF_MAX];
};

/* Between 1 us and ms after now. */
uint64_t gmp_random_after(struct gmp *m, uint64_t now_ns, uint32_t ms);
/* gmp_report.c: what is sent. */
/* Changes of all groups of ifc; those that are gone and told are forgotten. Arms for the next repetition. */
void gmp_send_changes(struct gmp_if *ifc, uint64_t now_ns);
/* The state of all groups, or of one (RFC 3376 5.2, RFC 3810 6.2), or a message of an older version. */
void gmp_send_all(struct gmp_if *ifc);
void gmp_send_group(struct gmp_group *g);
void gmp_send_old(struct gmp_group *g);
void gmp_send_leave(struct gmp_group *g);
void gmp_note_change(struct gmp_group *g, const struct mcast_state *next);
static inline bool gmp_has_news(const struct gmp_group *g)
{
	return g->mode_left || g->n_changes;
}
void gmp_forget(struct gmp_group *g);
