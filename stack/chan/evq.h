/* Event queues: "something about these sockets changed", from the data threads to the threads of an
 * application that wait for many sources. The ring says only which sockets; the receiver reads the state.
 *
 * Engine, once per burst: publishes the state of all touched sockets; fence (E1); for each of them and
 * each subscription i: when seen[i] == notified[i] nothing is in the ring, so notified[i]++, then push
 * (slot, then tail: release; a receiver of the entry therefore sees the new count); when they differ an
 * entry is there and says enough. After all pushes: fence (E2), then rings the doorbell of each queue
 * pushed to, if sleepers > 0 and it has not been rung for this arm_seq already (one byte in the pipe
 * wakes; several sleepers are each woken).
 *
 * Application, a consumer under b->lock: takes ids off the ring; for each seen[i] = notified[i]; fence (A1);
 * then reads the state of the sockets.
 *   No event is lost: seen[i] is stored before A1, the state read after it; the engine stores the state
 *   before E1, loads seen[i] after it. If E1 precedes A1 the read sees the new state. If A1 precedes E1
 *   the engine sees seen == notified and pushes again.
 *
 * Before sleeping: arm_seq++, sleepers++, fence (A2), looks whether all rings are empty, then
 * sleeps on the pipe (through epoll).
 *   No sleeper is left: the engine stores tail before E2 and loads sleepers after it. If E2 precedes A2 the
 *   look sees the entry; else the engine sees the sleeper and rings. "Rung already" is safe because arm_seq
 *   moves before every sleep and after every drained pipe: an equal arm_seq means that the byte written for
 *   it is still in the pipe and the one sleeper has not looked since.
 *
 * Beside the rings a queue has an inbox, where programs that a socket has a lane to mark it themselves
 * (chan/lane.h): it is drained, looked at and counted in together with the rings.
 *
 * A subscription slot that is given to another queue: the new owner stores seen[i] = notified[i] after
 * it has the slot, then reads the state. The engine keeps privately for which queue it last counted
 * notified[i] up, and when that is not the present owner it pushes regardless. So an increment that
 * crosses the change of owner can't silence the new one. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include "stack/chan/app.h"

/* ---- application ---- */
static inline const struct chan_evq_a *chan_evq_a(const struct chan_app *app, uint32_t evq)
{
	return (const void *)(app->evq_a + (size_t)evq * app->evq_stride);
}
/* Socket id reports to evq from now on; read its readiness after this. Idempotent. */
void chan_subscribe(struct chan_app *app, uint32_t id, uint32_t evq);
void chan_unsubscribe(struct chan_app *app, uint32_t id, uint32_t evq);
/* Takes up to max ids of sockets that changed (an id may come twice). Read their readiness
 * afterwards, the barrier is in here.
 * *overflow is the caller's copy of the overflow count: when *lost comes back true, look at all sockets
 * that are subscribed. */
uint32_t chan_evq_drain(struct chan_app *app, uint32_t evq, uint32_t *ids, uint32_t max,
			uint32_t *overflow, bool *lost);
/* Anything to drain? overflow as above. */
bool chan_evq_pending(const struct chan_app *app, uint32_t evq, uint32_t overflow);
/* Counts this thread in. True: the queue is empty, sleep on the doorbell. False: drain first. Either
 * way chan_evq_awake() follows. */
bool chan_evq_sleep(struct chan_app *app, uint32_t evq, uint32_t overflow);
void chan_evq_awake(struct chan_app *app, uint32_t evq);
/* After the doorbell has been read empty. */
void chan_evq_heard(struct chan_app *app, uint32_t evq);
/* Nested sets: one more (or less) sleeper in an outer set. */
void chan_evq_sleepers(struct chan_app *app, uint32_t evq, int32_t by);
/* fd: an eventfd. */
static inline int chan_kick(int fd)
{
	static const uint64_t one = 1;

	return (int)sys_write(fd, &one, sizeof(one));
}

/* ---- engine, one data thread; b is hostile ---- */
struct chan_evq_out {
	uint32_t tail; /* private copy of a->tail[worker] */
	uint32_t rung; /* arm_seq that the doorbell was last rung for */
};
/* Is there room for an entry? It stays: only we push. A head that makes no sense looks full. */
static inline bool chan_evq_has_room(const struct chan_evq_b *b, uint32_t w, const struct chan_evq_out *out)
{
	return out->tail - atomic_load_explicit(&b->head[w], memory_order_acquire) < CHAN_EVQ_RING;
}
/* Instead of a push without room. notified[] is not counted up then, so that nothing goes silent. */
void chan_evq_overflow(struct chan_evq_a *a);
/* Enters id into worker w's ring. notified[i] has been counted up before. */
static inline void chan_evq_push(struct chan_evq_a *a, uint32_t w, struct chan_evq_out *out, uint32_t id)
{
	atomic_store_explicit(&a->ring[w * CHAN_EVQ_RING + out->tail % CHAN_EVQ_RING], id,
			      memory_order_relaxed);
	atomic_store_explicit(&a->tail[w], ++out->tail, memory_order_release);
}
/* After the fence that follows the last push: must the doorbell be rung? */
static inline bool chan_evq_must_ring(const struct chan_evq_b *b, struct chan_evq_out *out)
{
	uint32_t n = atomic_load_explicit(&b->sleepers, memory_order_relaxed);
	uint32_t arm = atomic_load_explicit(&b->arm_seq, memory_order_relaxed);

	if (n == 0 || (n == 1 && arm == out->rung))
		return false;
	out->rung = arm;
	return true;
}
