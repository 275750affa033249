/* %{ assert ... }%: what must hold of a socket's TCP_INFO. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/pkt/drill/script.h"

/* text: "assert a == 1 && b < c", several separated by commas or semicolons. */
void assert_check(const char *text, const uint8_t *info, uint32_t len, int line);
