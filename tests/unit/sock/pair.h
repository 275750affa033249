/* Two applications on one engine: a server's and a client's. For tests that need no more. */
// SPDX-License-Identifier: MIT
#pragma once
#include "rig.h"

extern struct rig *rig;
extern struct chan_app srv, cli;
extern struct client *csrv, *ccli;

void pair_up(uint32_t workers);
/* With programs that are somebody's: of the server and of the client. */
void pair_up_as(uint32_t workers, const struct client_conf *of_srv, const struct client_conf *of_cli);
/* Ends both, and asserts that nothing is left. */
void pair_down(void);
/* Bytes that are the same for a salt, and others for another. */
void pair_pattern(uint8_t *p, size_t n, uint32_t salt);
