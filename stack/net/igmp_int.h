/* What the two files of IGMP share: the state of groups on interfaces. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/base/list.h"
#include "stack/base/pool.h"
#include "stack/base/rng.h"
#include "stack/base/wheel.h"
#include "stack/net/igmp.h"
#include "stack/wire/igmp.h"

enum { IGMP_CHANGES = 2 * MCAST_SOURCES };
enum igmp_timer { IGMP_TM_GENERAL, IGMP_TM_CHANGE, IGMP_TM_GROUP };

/* A source that came or went, and in how many reports that is still to be told. */
struct igmp_change {
	uint32_t src;
	uint8_t left;
	bool allow;
};

struct igmp_group {
	struct list link; /* igmp_if.groups */
	struct igmp_if *ifc;
	uint32_t group;
	struct mcast_state now;
	/* state changes to be told (RFC 3376 5.1) */
	uint8_t mode_left; /* reports that must still have the new filter mode */
	uint8_t n_changes;
	struct igmp_change change[IGMP_CHANGES];
	/* version 3: the answer to a query about this group; older: the next report */
	struct wheel_timer timer;
	uint8_t n_asked; /* version 3: sources asked about, 0: about all */
	uint32_t asked[MCAST_SOURCES];
	/* versions 1 and 2 */
	uint8_t reports_left; /* unsolicited ones */
	bool last_reporter;
};

struct igmp_if {
	struct igmp *ig;
	struct netif *nif; /* NULL: unused */
	struct list groups;
	struct wheel_timer general; /* answer to a general query */
	struct wheel_timer change;  /* next state-change report */
	uint8_t version;	    /* 3, or that of the oldest querier heard lately */
	uint8_t robustness;
	uint32_t query_interval_s;
	uint64_t v1_until_ns, v2_until_ns; /* RFC 3376 7.2.1: such a querier is present until then */
};

struct igmp {
	const struct igmp_ops *ops;
	void *arg;
	struct rng rng;
	struct wheel wheel;
	struct pool groups;
	struct igmp_if ifc[NETIF_MAX];
};

/* Between 1 us and ms after now. */
uint64_t igmp_random_after(struct igmp *ig, uint64_t now_ns, uint32_t ms);
/* igmp_report.c: what is sent. */
/* Changes of all groups of ifc; those that are gone and told are forgotten. Arms for the next repetition. */
void igmp_send_changes(struct igmp_if *ifc, uint64_t now_ns);
/* The state of all groups, or of one (RFC 3376 5.2), or a report of version 1 or 2. */
void igmp_send_all(struct igmp_if *ifc);
void igmp_send_group(struct igmp_group *g);
void igmp_send_old(struct igmp_group *g, uint8_t type);
void igmp_note_change(struct igmp_group *g, const struct mcast_state *next);
static inline bool igmp_has_news(const struct igmp_group *g)
{
	return g->mode_left || g->n_changes;
}
void igmp_forget(struct igmp_group *g);
