/* Spinning and sleeping of application threads; the arguments stand in wait.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/wait.h"
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include "stack/base/giveway.h"
#include "stack/base/util.h"
#include "stack/chan/evq.h"
#include "stack/chan/lane.h"

enum { SLICE_MS = 100, SETTLE_MS = 200 };

/* How spinning went lately in this thread. */
enum {
	SPIN_GOOD = 8,
	SPIN_TRY_MIN = 16, /* a thread for which it does not pay tries each so many times, ... */
	SPIN_TRY_MAX = 512, /* ... ever more rarely */
	SPIN_SPARE_NS = 4000, /* beyond four times what answers have taken lately */
	SPIN_AWAY_NS = 10000, /* nothing but another thread on this processor takes so long */
	SPIN_LOOKS = 16,
};
static __thread struct {
	uint8_t score; /* 0 (never pays) to SPIN_GOOD */
	bool started;
	uint16_t every, missed;
	uint32_t usual_ns; /* until the answer came */
	struct giveway way;
} spin __attribute__((tls_model("initial-exec")));

/* Set when the kernel refuses futex_waitv, and when a filter might end us for sched_yield; one way. */
static _Atomic bool no_waitv, no_yield;

void chan_wait_plainly(void)
{
	atomic_store_explicit(&no_yield, true, memory_order_relaxed);
	atomic_store_explicit(&no_waitv, true, memory_order_relaxed);
}

bool chan_waits_plainly(void)
{
	return atomic_load_explicit(&no_yield, memory_order_relaxed);
}

uint64_t chan_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Not in a sandbox, nor beside somebody who keeps the processor. */
static bool spin_gives_way(void)
{
	return !giveway_barred(&spin.way) && !atomic_load_explicit(&no_yield, memory_order_relaxed);
}

/* What a spinner looks at: the sum differs when one of the two has moved. */
struct spin_on {
	const _Atomic uint32_t *word, *also; /* also may be NULL */
	uint32_t seen;
};

static inline bool has_moved(const struct spin_on *on)
{
	uint32_t v = atomic_load_explicit(on->word, memory_order_acquire);

	if (on->also)
		v += atomic_load_explicit(on->also, memory_order_acquire);
	return v != on->seen;
}

/* In *took how long it was, without the time that others were given; -1: somebody took the processor. */
static bool spin_until(const struct spin_on *on, uint64_t ns, int64_t *took)
{
	struct giveway *g = &spin.way;
	uint64_t start = chan_now_ns(), now = start, before = start;
	bool gives = spin_gives_way();

	giveway_begin(g, start);
	do {
		if (gives && giveway_due(g, now)) {
			sys_sched_yield();
			now = chan_now_ns();
			start += giveway_back(g, before, now);
			if (unlikely(giveway_barred(g)))
				break;
		} else if (unlikely(now - before > SPIN_AWAY_NS)) {
			*took = -1;
			return has_moved(on);
		}
		before = now;
		for (int i = 0; i < SPIN_LOOKS; i++) {
			if (has_moved(on)) {
				*took = (int64_t)(chan_now_ns() - start);
				return true;
			}
			cpu_relax();
		}
		now = chan_now_ns();
	} while ((int64_t)(now - start) < (int64_t)ns);
	*took = giveway_barred(g) ? -1 : (int64_t)ns;
	return has_moved(on);
}

static bool spin_pays(void)
{
	if (unlikely(!spin.started)) {
		spin.started = true;
		spin.score = SPIN_GOOD / 2;
		spin.every = SPIN_TRY_MIN;
		spin.usual_ns = CHAN_SPIN_US * NSEC_PER_USEC / 4;
	}
	return spin.score > 0 || ++spin.missed % spin.every == 0;
}

static void spin_learn(bool came, int64_t took)
{
	if (came) {
		if (spin.score < SPIN_GOOD)
			spin.score++;
		spin.every = SPIN_TRY_MIN;
		if (took >= 0)
			spin.usual_ns += (uint32_t)(((int64_t)took - (int64_t)spin.usual_ns) / 4);
		return;
	}
	if (spin.score == 0 && spin.every < SPIN_TRY_MAX)
		spin.every = (uint16_t)(spin.every * 2);
	spin.score = (uint8_t)(took < 0 ? spin.score / 2 : spin.score - (spin.score > 0));
}

static bool is_beside(const struct chan_app *app, uint32_t worker)
{
	return worker < app->n_workers &&
	       atomic_load_explicit(&app->e->worker[worker].cpu, memory_order_relaxed) ==
		       (uint32_t)sched_getcpu();
}

/* A wake-up from another core costs some 28 us, so spinning as long as that pays when the answer comes in
 * time. Mostly it comes sooner, or not at all: then four times the usual is enough. A thread for which it
 * does not come tries only now and then, the whole time. Beside the engine, or with anyone else on this
 * processor, it is the engine that must run: so a spinner gives the processor away again and again, and
 * where it can't it does not spin beside the engine at all. */
bool chan_spin(const struct chan_app *app, uint32_t worker, const _Atomic uint32_t *word,
	       const _Atomic uint32_t *also, uint32_t seen)
{
	const struct spin_on on = { word, also, seen };

	if (has_moved(&on))
		return true;
	giveway_count(&spin.way, unlikely(giveway_barred(&spin.way)) ? chan_now_ns() : 0);
	if (!spin_gives_way() && is_beside(app, worker))
		return false;
	if (!spin_pays())
		return false;
	uint64_t most = CHAN_SPIN_US * NSEC_PER_USEC;
	int64_t took;

	if (spin.score > 0)
		most = min_u64(most, 4ull * spin.usual_ns + SPIN_SPARE_NS);
	bool came = spin_until(&on, most, &took);
	spin_learn(came, took);
	return came;
}

bool chan_sock_spin(const struct chan_app *app, uint32_t id, uint32_t seen)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);

	return chan_spin(app, a->worker, &a->evseq, chan_has_lane(a) ? &chan_lane_rec(a)->evseq : NULL, seen);
}

bool chan_evq_spin(const struct chan_app *app, uint32_t evq)
{
	const struct chan_inbox *box = chan_inbox(app, evq);
	uint32_t seq = atomic_load_explicit(&box->seq, memory_order_acquire);

	/* The number first: marks that are there have been counted, or make a look come too early. */
	if (chan_inbox_pending(app, evq))
		return true;
	return chan_spin(app, 0, &chan_evq_a(app, evq)->tail[0], &box->seq,
			 seq + atomic_load_explicit(&app->evq_b[evq].head[0], memory_order_relaxed));
}

/* rounds moves at the end of each: after the second time one is over that began after our marks. A data
 * thread that sleeps and has no mark left has carried them out; it takes marks awake only. */
static void settle(struct chan_app *app, uint32_t worker)
{
	const struct chan_worker_e *e = &app->e->worker[worker];
	uint32_t from = atomic_load_explicit(&e->rounds, memory_order_acquire);
	uint64_t until = chan_now_ns() + SETTLE_MS * NSEC_PER_MSEC;

	while (atomic_load_explicit(&e->rounds, memory_order_acquire) - from < 2) {
		bool marked = chan_dirty_any(&app->b->dirty[worker]);

		atomic_thread_fence(memory_order_acquire);
		if (!marked && atomic_load_explicit(&e->sleeping, memory_order_acquire))
			return;
		if (chan_now_ns() >= until || !chan_alive(app))
			return;
		if (atomic_load_explicit(&no_yield, memory_order_relaxed))
			cpu_relax();
		else
			sys_sched_yield();
	}
}

bool chan_settle(struct chan_app *app)
{
	if (likely(!atomic_load_explicit(&app->unsettled, memory_order_relaxed)))
		return false;
	atomic_store_explicit(&app->unsettled, false, memory_order_relaxed);
	for (uint32_t w = 0; w < app->n_workers; w++)
		settle(app, w);
	return true;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) };
}

/* The engine ended: pass it on to those whom the kernel has not woken. */
static int engine_died(struct chan_app *app)
{
	sys_futex_wake(&app->e->alive, INT_MAX);
	return -EPIPE;
}

/* Words to sleep on: what is waited for, and perhaps a count of signal handlers. */
struct wait_on {
	const _Atomic uint32_t *word, *intr, *also; /* the last two may be NULL */
	uint32_t seen, intr_seen, also_seen;
};

static bool is_interrupted(const struct wait_on *w)
{
	return w->intr && atomic_load_explicit(w->intr, memory_order_relaxed) != w->intr_seen;
}

static int wait_slices(struct chan_app *app, const struct wait_on *w, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = chan_now_ns();
		uint64_t until = min_u64(deadline_ns, now + SLICE_MS * NSEC_PER_MSEC);
		struct timespec ts = timespec_of(until);

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (is_interrupted(w))
			return -EINTR;
		int err = sys_futex_wait(w->word, w->seen, &ts);
		if (!chan_alive(app))
			return engine_died(app);
		if (err == -ETIMEDOUT && until < deadline_ns)
			continue;
		return err == -EAGAIN ? 0 : err;
	}
}

/* The count of handlers is a word of the wait: a handler that runs before the kernel has put us to sleep
 * makes it differ, one that runs later ends the sleep. */
static int wait_words(struct chan_app *app, const struct wait_on *w, uint64_t deadline_ns)
{
	uint32_t alive = atomic_load_explicit(&app->e->alive, memory_order_acquire);
	bool forever = deadline_ns == CHAN_FOREVER;
	struct timespec ts = timespec_of(deadline_ns);

	if (!chan_alive(app))
		return engine_died(app);
	if ((!forever && !w->intr) || atomic_load_explicit(&no_waitv, memory_order_relaxed))
		return wait_slices(app, w, deadline_ns);
	struct sys_waitv v[4] = {
		{ .val = w->seen, .addr = (uintptr_t)w->word, .flags = SYS_WAITV_U32 },
		{ .val = alive, .addr = (uintptr_t)&app->e->alive, .flags = SYS_WAITV_U32 },
	};
	unsigned n = 2;

	if (w->intr)
		v[n++] = (struct sys_waitv){ .val = w->intr_seen, .addr = (uintptr_t)w->intr,
					     .flags = SYS_WAITV_U32 };
	if (w->also)
		v[n++] = (struct sys_waitv){ .val = w->also_seen, .addr = (uintptr_t)w->also,
					     .flags = SYS_WAITV_U32 };
	int err = sys_futex_waitv(v, n, forever ? NULL : &ts);

	if (err == -ENOSYS || err == -EPERM) {
		atomic_store_explicit(&no_waitv, true, memory_order_relaxed);
		if (w->also)
			return 0; /* of that one nobody tells: the caller comes back, and says so */
		return wait_slices(app, w, deadline_ns);
	}
	if (!chan_alive(app))
		return engine_died(app);
	/* News go before the signal, as in the kernel's own calls. */
	if (atomic_load_explicit(w->word, memory_order_acquire) != w->seen ||
	    (w->also && atomic_load_explicit(w->also, memory_order_acquire) != w->also_seen))
		return 0;
	if (is_interrupted(w))
		return -EINTR;
	return err >= 0 || err == -EAGAIN ? 0 : err;
}

int chan_word_wait(struct chan_app *app, const _Atomic uint32_t *word, uint32_t seen,
		   uint64_t deadline_ns)
{
	return wait_words(app, &(struct wait_on){ .word = word, .seen = seen }, deadline_ns);
}

/* Is there but one word to sleep on, the other program asks the engine to wake us. */
static bool hears_one(const struct wait_on *w, uint64_t deadline_ns)
{
	return (deadline_ns != CHAN_FOREVER && !w->intr) ||
	       atomic_load_explicit(&no_waitv, memory_order_relaxed);
}

/* w->seen is the sum of both words. */
static int lane_wait(struct chan_app *app, const struct chan_sock_a *a, struct wait_on *w,
		     uint64_t deadline_ns)
{
	struct chan_lane_rec *rec = chan_lane_rec(a);
	bool one = hears_one(w, deadline_ns);
	uint32_t sum = w->seen;
	int err = 0;

	atomic_fetch_add_explicit(one ? &rec->muffled : &rec->waiters, 1, memory_order_seq_cst);
	w->seen = atomic_load_explicit(&a->evseq, memory_order_acquire);
	w->also = &rec->evseq;
	w->also_seen = atomic_load_explicit(&rec->evseq, memory_order_acquire);
	if (w->seen + w->also_seen == sum)
		err = wait_words(app, w, deadline_ns);
	atomic_fetch_sub_explicit(one ? &rec->muffled : &rec->waiters, 1, memory_order_relaxed);
	return err;
}

int chan_sock_wait(struct chan_app *app, uint32_t id, uint32_t seen, uint64_t deadline_ns,
		   const _Atomic uint32_t *intr, uint32_t intr_seen)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct wait_on w = { .word = &a->evseq, .intr = intr, .seen = seen, .intr_seen = intr_seen };
	int err;

	if (chan_sock_spin(app, id, seen))
		return 0;
	if (is_interrupted(&w))
		return -EINTR;
	atomic_fetch_add_explicit(&b->waiters, 1, memory_order_seq_cst);
	if (chan_has_lane(a))
		err = lane_wait(app, a, &w, deadline_ns);
	else
		err = wait_words(app, &w, deadline_ns);
	atomic_fetch_sub_explicit(&b->waiters, 1, memory_order_relaxed);
	return err;
}
