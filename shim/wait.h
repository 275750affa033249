/* Where a thread of the application blocks on one socket, and clocks for it. Many sources at once are
 * poll.c's and epoll.c's. No lock of the shim is held while sleeping. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "shim/object.h"

struct sock;
#define WAIT_FOREVER UINT64_MAX

/* CLOCK_MONOTONIC. */
uint64_t wait_now_ns(void);
/* Deadline of a SO_RCVTIMEO/SO_SNDTIMEO value: 0 = none; a negative time of the program's,
 * WAIT_NEVER_MS, is over at once. */
#define WAIT_NEVER_MS UINT32_MAX
uint64_t wait_deadline_ms(uint32_t timeo_ms);
/* Sleeps until s->a->evseq differs from seen (read before the condition was found false), its engine
 * ends, or: -EINTR a signal handler ran, -EAGAIN the deadline has passed. 0: look again (may be
 * spurious). Spins a little first. */
int wait_sock(struct sock *s, uint32_t seen, uint64_t deadline_ns);
/* Sleeps until the socket o has one of events (POLL*) or kernel_fd has (kernel_fd -1: none). 0, -EINTR or
 * -EAGAIN at the deadline. Implemented by poll.c; used by accept on a listener with a kernel twin. */
int wait_mixed(struct object *o, int kernel_fd, short events, uint64_t deadline_ns);
