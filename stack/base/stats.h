/* Counters: one list (stats.def), an array per data thread, summed when read. Adding one is a line
 * in stats.def and the place that counts it. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

enum stat_id {
#define STAT_DEF(name, help) STAT_##name,
#include "stack/base/stats.def"
#undef STAT_DEF
	STAT_COUNT
};
struct stats {
	uint64_t v[STAT_COUNT];
};
struct stat_info {
	const char *name, *help;
};
extern const struct stat_info stat_infos[STAT_COUNT];
/* The counters of this thread; points to a throw-away array until its owner sets it, never NULL. */
extern __thread struct stats *stats_this_thread;
#define STAT_INC(name) ((void)stats_this_thread->v[STAT_##name]++)
#define STAT_ADD(name, n) ((void)(stats_this_thread->v[STAT_##name] += (n)))
