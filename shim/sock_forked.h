/* A socket that two processes share since before it was decided: what one of them makes of it, listener or
 * connection, the other learns from the engine. */
// SPDX-License-Identifier: MIT
#pragma once
#include "shim/sock.h"
#include "stack/base/util.h"

/* This process is about to share s, which has a port at the engine and neither listens nor is connected. */
static inline void sock_shares(struct sock *s)
{
	atomic_fetch_or(&s->flags, SOCK_FORKED);
}
/* What another process has made of it, CHAN_ST_OPEN: nothing yet, or it is not such a socket. */
uint32_t sock_made_elsewhere(const struct sock *s);
/* Makes of s in this process what it is in the other. No lock of the shim may be held. */
void sock_catch_up_slow(struct sock *s);
static inline void sock_catch_up(struct sock *s)
{
	if (unlikely(sock_has(s, SOCK_FORKED)))
		sock_catch_up_slow(s);
}
