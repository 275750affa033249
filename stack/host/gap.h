/* See gap.c. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/worker/worker.h"

/* Before the old engine closes the port: a descriptor, or -1. */
int gap_open(uint32_t ifindex);
/* The data threads run: gives w the frames, received on nif, and closes fd, which may be -1. How
 * many. */
uint32_t gap_close(int fd, struct worker *w, const struct netif *nif);
