/* Options of stream sockets: one table (level, name) -> how it is checked, kept and reported. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

struct sock;
/* Gives kernel socket k every option that the program has set on s. */
void sock_opt_replay(struct sock *s, int k);
uint32_t sock_opt_default_sndbuf(void);
