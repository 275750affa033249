/* A call of a script in the program's words, and whether its answer is the expected one. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/pkt/drill/script.h"

struct call_req calls_request(const struct call *c, int line);
/* Ends the script unless the answer is as it should be. */
void calls_check(const struct call *c, const struct call_rep *rep, int line);
