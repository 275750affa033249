/* Counts per process why sockets were left to the kernel, where `fastnet explain` can read it. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/chan/reasons.h"

struct chan_app;
void explain_kernel(enum chan_reason why);
void explain_stack(void);
/* Attached to an engine, or the number changed (fork): the counts so far show up there too. */
void explain_attached(struct chan_app *app);
/* app is about to be unmapped. */
void explain_detached(struct chan_app *app);
/* Child of a fork: counts begin at 0, in a slot of its own. */
void explain_after_fork(void);
