/* What a socket leaves behind when it moves away from an engine that hands over (CHAN_ENGINE_MOVED) but
 * goes on living: a listener's connections that wait for accept() there or are half-open, datagrams
 * that have not been read. The socket reads from its elder first, until that is empty for good. No
 * queue reports about elders: while there are any, who waits looks every two milliseconds
 * (sock_revive()). */
// SPDX-License-Identifier: MIT
#pragma once
#include "shim/sock.h"
#include "stack/chan/stream.h"

/* Sockets of this process that have one. */
extern _Atomic uint32_t elder_count;
static inline bool elder_any(void)
{
	return unlikely(atomic_load_explicit(&elder_count, memory_order_relaxed));
}
/* Where the elder of s is; false: s has none. */
bool elder_place(const struct sock *s, struct sock_place *p);
/* Something to read there: bytes of datagrams, or connections. */
uint32_t elder_avail(const struct sock *s);
/* Counts up with what arrives there, for who looks for edges. */
uint32_t elder_tail(const struct sock *s);

/* ---- all with the lock of s ---- */
/* The place of s is that of its elder, too, before s gets another one by sock_attach(). */
void elder_set(struct sock *s);
/* The elder that the program before this one has left, held with a reference of its own. */
void elder_take(struct sock *s, struct chan_app *app, uint32_t id, uint32_t gen);
/* elder_set() did not come about. */
void elder_unset(struct sock *s);
/* Lets go of it, if there is one: what it still has is closed with the last holder. */
void elder_drop(struct sock *s);
/* The same, if nothing more can come of it. */
void elder_retire(struct sock *s);
/* s stops listening, for all who share it. */
void elder_unlisten(struct sock *s);
