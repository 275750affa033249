/* The names of the counters, and where a thread without counters of its own counts. */
// SPDX-License-Identifier: MIT
#include "stack/base/stats.h"

const struct stat_info stat_infos[STAT_COUNT] = {
#define STAT_DEF(name, help) { #name, help },
#include "stack/base/stats.def"
#undef STAT_DEF
};

/* Never read; threads may race on it. */
static struct stats discarded;
__thread struct stats *stats_this_thread = &discarded;
