/* Does any process have a descriptor of a socket? */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* ino: of a socket that this process has no descriptor of. Reads all of /proc/PID/fd that may be
 * read, some milliseconds: not often. False also for one that is on its way inside a message. */
bool whohas_socket(uint64_t ino);
