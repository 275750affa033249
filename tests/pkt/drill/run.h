/* Runs one script in one world. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/pkt/drill/world.h"
/* Returns when all went as written, else ends the process with a message. */
void run_script(const struct script *s, const struct world *world, const struct world_conf *conf);
