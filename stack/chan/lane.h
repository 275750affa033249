/* Lanes: two programs of the same user, whose sockets are connected to each other on one data thread, copy
 * bytes into each other's memory and wake each other, and the engine rests. The application's side; the
 * engine offers lanes and accounts for what went by them (stack/sock/sock_lane.c).
 *
 * Each direction of a connection has a lane or not, a ring in the receiver's D. It is written for an
 * interval of stream positions, [rx_begin, rx_tail): what came before went by the send ring and the engine,
 * and what comes after it does so again. The engine offers (CHAN_A_LANE_TX, tx_epoch); the writer begins
 * with its next write, under tx_lock, and leaves for good when the engine takes the flag away, when it has
 * something that only segments carry (urgent bytes), or when the ring is too small and there is a larger one
 * to be had. The next offer, with another ring and the next epoch, comes when all of the last has been read.
 * Meanwhile b->tx_tail stands at rx_begin; leaving moves it to the end of the interval.
 *
 * The engine does not see bytes pass. It looks when anything else is to be done: a mark for whatever
 * reason, a FIN, an end, TCP_INFO. So nothing depends on where it has got to, except comparisons by sign,
 * for which LANE_MARK_BYTES ends its rest now and then.
 *
 * Who waits. A thread that waits for one socket sleeps on two words, a->evseq and rec->evseq; one that
 * waits for many has marks in the inbox of its event queue. Writer: rx_tail; evseq++ (full barrier); then
 * looks at waiters, sub and whether an inbox is armed. Waiter: counts itself in, arms (full barrier); then
 * looks at evseq or marks. One of them sees the other. Who takes `armed` back wakes the queue by its kick,
 * an eventfd that the engine passes on when that has been wanted some times; before that, and where there
 * is none, it marks its own socket, and the engine, which accounts for what has passed, rings the doorbell.
 *
 * Trust: D is written by every program that the engine has given it to, all of the same user and the same
 * namespaces, who could as well trace each other. Positions are checked for what they may index. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/chan/app.h"
#include "stack/chan/iov.h"
#include "stack/chan/layout_d.h"

static inline bool chan_has_lane(const struct chan_sock_a *a)
{
	return unlikely(atomic_load_explicit(&a->flags, memory_order_acquire) & CHAN_A_LANE);
}
/* Only with chan_has_lane(). Written by both, whoever has only read access to the rest of the half. */
static inline struct chan_lane_rec *chan_lane_rec(const struct chan_sock_a *a)
{
	return (void *)((uintptr_t)a + (uintptr_t)a->lane.rec);
}
static inline struct chan_inbox *chan_inbox_at(void *d, uint32_t evq)
{
	return (struct chan_inbox *)((char *)d + CHAN_D_OFF_INBOX) + evq;
}
static inline struct chan_inbox *chan_inbox(const struct chan_app *app, uint32_t evq)
{
	return chan_inbox_at(app->rd.base, evq);
}

/* ---- what waiters compare ---- */
/* Changes with each news about the socket, from the engine or from the other program. */
static inline uint32_t chan_sock_seq(const struct chan_sock_a *a)
{
	uint32_t seq = atomic_load_explicit(&a->evseq, memory_order_acquire);

	if (chan_has_lane(a))
		seq += atomic_load_explicit(&chan_lane_rec(a)->evseq, memory_order_acquire);
	return seq;
}

/* ---- receiving ---- */
uint32_t chan_lane_rx_end(const struct chan_sock_a *a, const struct chan_sock_b *b);
/* Position behind the last byte that can be read. */
static inline uint32_t chan_rx_end(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	if (chan_has_lane(a))
		return chan_lane_rx_end(a, b);
	return atomic_load_explicit(&a->rx_tail, memory_order_acquire);
}
/* Contiguous bytes in the lane from pos on, in *p; 0: none yet. -1: pos is not in a lane, and *end, the end
 * of what the receive ring has, comes down to where the lane begins. */
int32_t chan_lane_span(const struct chan_sock_a *a, uint32_t pos, const uint8_t **p, uint32_t *end);
/* rx_head is pos now: the other may write more. Under rx_lock, with chan_has_lane(). */
void chan_lane_read(struct chan_app *app, uint32_t id, uint32_t pos);
/* The same, after a full barrier: does it wait for that? */
void chan_lane_tell_room(struct chan_app *app, uint32_t id);

/* ---- sending, under tx_lock ---- */
struct chan_lane_tx {
	struct chan_app *app;
	uint32_t id, size, tail, una; /* una: where the engine has got to */
	struct chan_lane_rec *rec, *peer;
	uint8_t *ring;
	void *peer_d;
};
/* 1: writes go by the lane, t says where; 0: by the send ring; -ENOBUFS. With chan_has_lane(). */
int chan_lane_tx(struct chan_lane_tx *t, struct chan_app *app, uint32_t id);
/* The same in the middle of something: chan_lane_sends() has been true since. 0 or -ENOBUFS. */
int chan_lane_tx_again(struct chan_lane_tx *t, struct chan_app *app, uint32_t id);
/* May n bytes more go by this lane? Not if the engine is far behind: it compares by sign. As long as it stays
 * writable by them, or is the largest: who finds another one too small leaves it, and gets a larger one. */
bool chan_lane_tx_fits(const struct chan_lane_tx *t, size_t n);
/* Contiguous room at t->tail in *p, 0: the lane is full (and room will be told of). */
uint32_t chan_lane_tx_span(struct chan_lane_tx *t, uint8_t **p);
/* n more bytes are there: published, and told. */
void chan_lane_tx_put(struct chan_lane_tx *t, uint32_t n);
/* From here on by the send ring, and the engine knows, if it gets to know in 2 ms. */
void chan_lane_leave(struct chan_app *app, uint32_t id);
/* Does the writer send by a lane now? Without a lock: for who looks. */
static inline bool chan_lane_sends(const struct chan_sock_a *a)
{
	if (!chan_has_lane(a))
		return false;
	const struct chan_lane_rec *r = chan_lane_rec(a);
	uint32_t on = atomic_load_explicit(&r->tx_on, memory_order_acquire);

	return on && on == atomic_load_explicit(&a->lane.tx_epoch, memory_order_relaxed) &&
	       on != atomic_load_explicit(&r->tx_left, memory_order_acquire);
}
/* Bytes in the lane that are not read, of lane.tx_size. Only with chan_lane_sends(). */
static inline uint32_t chan_lane_used(const struct chan_sock_a *a)
{
	const struct chan_lane_rec *r = chan_lane_rec(a);

	return atomic_load_explicit(&r->tx_tail, memory_order_relaxed) -
	       atomic_load_explicit(&r->tx_head, memory_order_acquire);
}
/* The writer has left a lane, and what the engine says of the send ring is from before. */
static inline bool chan_lane_closes(const struct chan_sock_a *a)
{
	if (!chan_has_lane(a))
		return false;
	uint32_t left = atomic_load_explicit(&chan_lane_rec(a)->tx_left, memory_order_acquire);

	return left && left != atomic_load_explicit(&a->lane.tx_over, memory_order_acquire);
}
/* A third is free, as for a send buffer. */
static inline bool chan_lane_writable(uint32_t used, uint32_t size)
{
	return used < size && size - used >= used / 2;
}
/* Moves when there may be more room to send. */
static inline uint32_t chan_tx_freed(const struct chan_sock_a *a)
{
	if (!chan_has_lane(a))
		return atomic_load_explicit(&a->tx_una, memory_order_acquire);
	/* A lane that is over made room by that, though all of it had been read. */
	return atomic_load_explicit(&a->lane.tx_over, memory_order_acquire) +
	       atomic_load_explicit(chan_lane_sends(a) ? &chan_lane_rec(a)->tx_head : &a->tx_una,
				    memory_order_acquire);
}
/* Bytes that the peer has not acknowledged (SIOCOUTQ): what is in a lane has arrived. */
uint32_t chan_tx_unacked(const struct chan_sock_a *a, const struct chan_sock_b *b);

/* ---- queues ---- */
/* Subscription i of the socket is `sub` now, or was and is free. */
void chan_lane_sub(const struct chan_sock_a *a, unsigned i, uint16_t sub);
void chan_lane_unsub(const struct chan_sock_a *a, unsigned i, uint16_t sub);
/* Somebody about this end is told by the engine only: it has to be asked each time from now on. */
void chan_lane_muffle(const struct chan_sock_a *a);
/* The queue of this number is ours now, and is no more. */
static inline void chan_inbox_open(struct chan_app *app, uint32_t evq)
{
	struct chan_inbox *box = chan_inbox(app, evq);

	atomic_store_explicit(&box->armed, 0, memory_order_relaxed);
	atomic_store_explicit(&box->opened,
			      (atomic_load_explicit(&box->opened, memory_order_relaxed) | 1) + 2,
			      memory_order_release);
}
static inline void chan_inbox_close(struct chan_app *app, uint32_t evq)
{
	atomic_fetch_and_explicit(&chan_inbox(app, evq)->opened, ~1u, memory_order_release);
}
static inline bool chan_inbox_pending(const struct chan_app *app, uint32_t evq)
{
	return atomic_load_explicit(&chan_inbox(app, evq)->marks.top, memory_order_relaxed) != 0;
}
