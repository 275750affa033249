/* What a process gets for its sockets before it confines itself with seccomp. */
// SPDX-License-Identifier: MIT
#pragma once

/* A filter of system calls is about to be set, and it may well kill for what it does not know (sshd's does).
 * What sockets that exist need of the engine and can't have afterwards is fetched now; then they get along
 * with read, write, poll and futex. */
void sandbox_prepare(void);
