/* Start of the shim in a process, and what a fork does to all of it. */
// SPDX-License-Identifier: MIT
#pragma once

/* In the child of a fork, after the channel's token has been taken over: locks, references and counts
 * of sock.c, engine.c and explain.c. */
void init_after_fork(void);
