/* Event queues, both sides; the argument stands in evq.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/evq.h"
#include "stack/base/util.h"
#include "stack/chan/lane.h"
#include "stack/chan/lock.h"

/* ---- application ---- */
static void mark_seen(const struct chan_sock_a *a, struct chan_sock_b *b, unsigned i)
{
	atomic_store_explicit(&b->seen[i],
			      atomic_load_explicit(&a->notified[i], memory_order_acquire),
			      memory_order_relaxed);
}

/* A place of a queue that is gone: its process ended without a word, and the engine has closed it. Its
 * number may be given out again at the same time, and its new owner count on this place: it is in use
 * before that one looks, so if it is not in use after we have taken the place, nobody does. */
static bool take_over(struct chan_app *app, uint32_t id, unsigned i, uint16_t me)
{
	struct chan_sock_b *b = chan_sock_b(app, id);
	uint16_t old = atomic_load_explicit(&b->sub[i], memory_order_relaxed);
	_Atomic uint32_t *in_use;

	if (old == 0 || old > CHAN_MAX_EVQS)
		return false;
	in_use = &app->evq_b[old - 1].in_use;
	if (atomic_load_explicit(in_use, memory_order_acquire) ||
	    !atomic_compare_exchange_strong_explicit(&b->sub[i], &old, me, memory_order_seq_cst,
						     memory_order_relaxed))
		return false;
	if (atomic_load_explicit(in_use, memory_order_seq_cst)) {
		atomic_fetch_or_explicit(&b->flags, CHAN_B_SUB_ALL, memory_order_seq_cst);
		chan_lane_muffle(chan_sock_a(app, id));
	}
	return true;
}

void chan_subscribe(struct chan_app *app, uint32_t id, uint32_t evq)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_sock_b *b = chan_sock_b(app, id);
	uint16_t me = (uint16_t)(evq + 1);

	atomic_thread_fence(memory_order_seq_cst); /* our in_use before the look at the places */
	for (unsigned i = 0; i < CHAN_SUBS; i++) {
		if (atomic_load_explicit(&b->sub[i], memory_order_relaxed) != me)
			continue;
		chan_lane_sub(a, i, me);
		/* Perhaps left behind by a dead process that had this number: what was told to it
		 * must not count as told to us. */
		mark_seen(a, b, i);
		atomic_thread_fence(memory_order_seq_cst);
		return;
	}
	for (unsigned i = 0; i < CHAN_SUBS; i++) {
		uint16_t none = 0;

		if (!atomic_compare_exchange_strong_explicit(&b->sub[i], &none, me,
							     memory_order_seq_cst,
							     memory_order_relaxed) &&
		    !take_over(app, id, i, me))
			continue;
		chan_lane_sub(a, i, me);
		mark_seen(a, b, i);
		atomic_thread_fence(memory_order_seq_cst);
		return;
	}
	atomic_fetch_or_explicit(&b->flags, CHAN_B_SUB_ALL, memory_order_seq_cst);
	chan_lane_muffle(a);
}

void chan_unsubscribe(struct chan_app *app, uint32_t id, uint32_t evq)
{
	struct chan_sock_b *b = chan_sock_b(app, id);

	for (unsigned i = 0; i < CHAN_SUBS; i++) {
		uint16_t me = (uint16_t)(evq + 1);

		if (atomic_compare_exchange_strong_explicit(&b->sub[i], &me, 0, memory_order_seq_cst,
							    memory_order_relaxed))
			chan_lane_unsub(chan_sock_a(app, id), i, (uint16_t)(evq + 1));
	}
}

static void mark_seen_by(struct chan_app *app, uint32_t id, uint16_t me)
{
	struct chan_sock_b *b = chan_sock_b(app, id);

	for (unsigned i = 0; i < CHAN_SUBS; i++) {
		if (atomic_load_explicit(&b->sub[i], memory_order_relaxed) == me)
			mark_seen(chan_sock_a(app, id), b, i);
	}
}

/* Marks each id seen before head moves: when this process dies in between, the entries are still there
 * for the others who share the queue. */
static uint32_t drain_ring(struct chan_app *app, uint32_t evq, uint32_t w, uint32_t *ids,
			   uint32_t max)
{
	const struct chan_evq_a *a = chan_evq_a(app, evq);
	struct chan_evq_b *b = &app->evq_b[evq];
	uint32_t head = atomic_load_explicit(&b->head[w], memory_order_relaxed), n = 0;
	uint32_t tail = atomic_load_explicit(&a->tail[w], memory_order_acquire);

	if (head == tail)
		return 0;
	/* One of several processes may have closed and another opened this number anew. */
	if (tail - head > CHAN_EVQ_RING)
		head = tail - CHAN_EVQ_RING;
	for (; head != tail && n < max; head++) {
		uint32_t id = atomic_load_explicit(&a->ring[w * CHAN_EVQ_RING + head % CHAN_EVQ_RING],
						   memory_order_relaxed);

		if (id >= CHAN_MAX_SOCKS)
			continue;
		mark_seen_by(app, id, (uint16_t)(evq + 1));
		ids[n++] = id;
	}
	/* Release: the slots are read before the engine may fill them again. */
	atomic_store_explicit(&b->head[w], head, memory_order_release);
	return n;
}

uint32_t chan_evq_drain(struct chan_app *app, uint32_t evq, uint32_t *ids, uint32_t max,
			uint32_t *overflow, bool *lost)
{
	const struct chan_evq_a *a = chan_evq_a(app, evq);
	struct chan_evq_b *b = &app->evq_b[evq];
	uint32_t n = 0;
	uint32_t over = atomic_load_explicit(&a->overflow, memory_order_acquire);

	*lost = over != *overflow;
	*overflow = over;
	if (chan_lock(&b->lock) == 0) {
		if (chan_inbox_pending(app, evq) && max >= 64)
			n = chan_dirty_take(&chan_inbox(app, evq)->marks, ids, max);
		for (uint32_t w = 0; w < app->n_workers && n < max; w++)
			n += drain_ring(app, evq, w, ids + n, max - n);
		chan_unlock(&b->lock);
	}
	atomic_thread_fence(memory_order_seq_cst); /* A1 */
	return n;
}

bool chan_evq_pending(const struct chan_app *app, uint32_t evq, uint32_t overflow)
{
	const struct chan_evq_a *a = chan_evq_a(app, evq);
	const struct chan_evq_b *b = &app->evq_b[evq];

	if (chan_inbox_pending(app, evq))
		return true;
	for (uint32_t w = 0; w < app->n_workers; w++) {
		if (atomic_load_explicit(&a->tail[w], memory_order_acquire) !=
		    atomic_load_explicit(&b->head[w], memory_order_relaxed))
			return true;
	}
	return atomic_load_explicit(&a->overflow, memory_order_relaxed) != overflow;
}

void chan_evq_sleepers(struct chan_app *app, uint32_t evq, int32_t by)
{
	uint32_t was = atomic_fetch_add_explicit(&app->evq_b[evq].sleepers, (uint32_t)by,
						 memory_order_seq_cst);

	/* For those who are left, too: what came while one of them woke was told to nobody else. */
	if (was + (uint32_t)by)
		atomic_store_explicit(&chan_inbox(app, evq)->armed, 1, memory_order_seq_cst);
}

bool chan_evq_sleep(struct chan_app *app, uint32_t evq, uint32_t overflow)
{
	struct chan_evq_b *b = &app->evq_b[evq];

	atomic_fetch_add_explicit(&b->arm_seq, 1, memory_order_seq_cst);
	chan_evq_sleepers(app, evq, 1); /* A2 */
	return !chan_evq_pending(app, evq, overflow);
}

void chan_evq_awake(struct chan_app *app, uint32_t evq)
{
	chan_evq_sleepers(app, evq, -1);
}

void chan_evq_heard(struct chan_app *app, uint32_t evq)
{
	atomic_fetch_add_explicit(&app->evq_b[evq].arm_seq, 1, memory_order_seq_cst);
}

/* ---- engine ---- */
void chan_evq_overflow(struct chan_evq_a *a)
{
	atomic_fetch_add_explicit(&a->overflow, 1, memory_order_release);
}
