/* Memory that the engine writes, programs only read, and the engine can give back page by page: a file
 * of a tmpfs of the engine's own. A program gets a descriptor by a mount of it that is read-only, so that
 * neither what it does to the descriptor nor what it opens by /proc/self/fd can write, shorten or change
 * the file, whoever's program it is; the file has no name, the mounts are nowhere. The same by
 * F_SEAL_FUTURE_WRITE needs no privilege, but nobody can make holes in such a file.
 * Control thread only. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/chan/region.h"

/* 0, or -errno: mostly that we may not mount (CAP_SYS_ADMIN). On failure *r is untouched and nothing
 * leaks. */
int client_down_create(struct region *r, uint64_t size);
