/* The engine's sign of life: a thread that only sleeps and owns engine.alive as a robust futex, so that
 * the kernel marks the word FUTEX_OWNER_DIED when the engine ends in any way, SIGKILL included, and
 * wakes one waiter (who wakes the others, see wait.h). Engine only. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/chan/layout.h"

/* Starts the thread; once per process, as long as it lives. 0 or -errno. When it returns, e->alive is
 * set. */
int engine_alive_arm(struct chan_engine *e);
