/* Sleeping on one socket's evseq, or on any word of A, without missing the engine's end.
 *
 * The caller reads a->evseq (chan_sock_seq(): with a lane there is a second word, see chan/lane.h), finds
 * that it can't go on, and calls chan_sock_wait() with that value. The
 * application counts itself in b->waiters (a full barrier, A), then the futex compares evseq. The engine
 * stores the state and evseq, fences (E), loads waiters. If E precedes A the futex sees the new evseq
 * and does not sleep; else the engine sees the waiter and wakes. The count is taken back
 * afterwards; a thread that dies in between leaves it too high, which costs the engine needless wakes only.
 *
 * The engine's end: every sleeper also waits on engine.alive (futex_waitv). The kernel wakes one of
 * them; whoever finds FUTEX_OWNER_DIED wakes all the others. Where there is no futex_waitv (Linux < 5.16,
 * sandboxes), and in waits with a timeout, which must end with EINTR even for SA_RESTART handlers (as
 * SO_RCVTIMEO does, and FUTEX_WAIT with a timeout), the wait is cut into slices. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/chan/app.h"

#define CHAN_FOREVER UINT64_MAX

/* CLOCK_MONOTONIC. */
uint64_t chan_now_ns(void);
/* Until chan_sock_seq() != seen: 0 (perhaps spuriously), -ETIMEDOUT at deadline_ns (absolute, CHAN_FOREVER),
 * -EINTR, -EPIPE: the engine ended or threw us out. Spins up to CHAN_SPIN_US first, as far as it has paid
 * lately for this thread. intr (may be NULL) is a counter of signal handlers that have run: when it differs
 * from intr_seen before sleeping, -EINTR. */
int chan_sock_wait(struct chan_app *app, uint32_t id, uint32_t seen, uint64_t deadline_ns,
		   const _Atomic uint32_t *intr, uint32_t intr_seen);
/* Spins until *word != seen, or *word + *also if there is a second one: true, or false when it gave up.
 * worker: whose progress we wait for; beside it on the same cpu spinning is useless. The most covers what a
 * server that writes its answers together, at the end of a round of some tens of requests, keeps its clients
 * waiting: with less they sleep, answer late and all together themselves, and everybody goes on in that step
 * (1.4 to 1.8 times slower). */
enum { CHAN_SPIN_US = 200 };
bool chan_spin(const struct chan_app *app, uint32_t worker, const _Atomic uint32_t *word,
	       const _Atomic uint32_t *also, uint32_t seen);
/* The same for chan_sock_seq(). */
bool chan_sock_spin(const struct chan_app *app, uint32_t id, uint32_t seen);
/* The same for an event queue of an engine with one data thread. */
bool chan_evq_spin(const struct chan_app *app, uint32_t evq);
/* On Linux what was written to a socket of one's own is there when write() returns. Here the engine has
 * to carry it: a look that must not wait and finds nothing calls this and, if it is true, looks again. All
 * that this process had written, ended or closed before has then been carried out, between sockets of one
 * data thread; after SETTLE_MS we go on without. False at once when there was nothing of the kind. */
bool chan_settle(struct chan_app *app);
/* From now on this process sleeps by plain futexes only: a filter of system calls is about to be set, and
 * those that know futex do not all know futex_waitv. What they do with a stranger can't be tried. */
void chan_wait_plainly(void);
bool chan_waits_plainly(void);
/* Sleeps while *word == seen, as above without spinning and counting in. */
int chan_word_wait(struct chan_app *app, const _Atomic uint32_t *word, uint32_t seen,
		   uint64_t deadline_ns);
