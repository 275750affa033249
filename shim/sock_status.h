/* From the status of a write to what a system call says: see the table in sock_status.c. */
// SPDX-License-Identifier: MIT
#pragma once
#include <sys/types.h>
#include "shim/sock.h"
#include "stack/chan/write.h"

enum { SOCK_ANSWER_WAIT = SOCK_TO_KERNEL + 1 };
/* May bytes be written to s now? As chan_write_state(), also for a socket that the engine does not
 * have yet. */
enum chan_status sock_write_state(struct sock *s);
/* May a call with these MSG_* (and SOCK_SEND_ALL) sleep? */
bool sock_may_wait(const struct sock *s, int flags);
/* What the call returns, done bytes having been sent: a count, -errno (SIGPIPE has been raised where it
 * belongs), or SOCK_ANSWER_WAIT: sleep, then try again. */
ssize_t sock_answer(struct sock *s, enum chan_status st, size_t done, int flags);
