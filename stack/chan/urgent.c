/* Urgent data on the application's side: see urgent.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/urgent.h"
#include <errno.h>
#include <sched.h>
#include <sys/types.h>
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"
#include "stack/chan/wait.h"

/* Engines need microseconds; these are for one that does not get the cpu. */
enum { SETTLE_US = 2000, BUSY_US = 100000 };

static bool is_inline(const struct chan_sock_b *b)
{
	return __atomic_load_n(&b->opts.flags, __ATOMIC_RELAXED) & CHAN_O_OOBINLINE;
}

void chan_urg_wait(const struct chan_sock_a *a)
{
	uint64_t end = 0;

	while (unlikely(atomic_load_explicit(&a->flags, memory_order_acquire) & CHAN_A_URG_BUSY)) {
		uint64_t now = chan_now_ns();

		if (!end)
			end = now + BUSY_US * NSEC_PER_USEC;
		if (now >= end)
			break;
		sched_yield();
	}
}

/* False: no pointer, or the reader has passed it. */
static bool pointer(const struct chan_sock_a *a, const struct chan_sock_b *b, struct chan_urg *u)
{
	*u = chan_urg_of(atomic_load_explicit(&a->urg, memory_order_acquire));
	return u->seq != atomic_load_explicit(&b->urg_past, memory_order_relaxed);
}

struct chan_urg_view chan_urg_look(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	struct chan_urg_view v = { .is_inline = is_inline(b) };
	uint32_t tail = chan_rx_end(a, b), floor;

	v.head = atomic_load_explicit(&b->rx_head, memory_order_relaxed);
	v.on = chan_has_urgent(a) && pointer(a, b, &v.u);
	if (v.on) {
		floor = atomic_load_explicit(&a->urg_floor, memory_order_relaxed);
		if ((int32_t)(floor - v.head) > 0 && (int32_t)(tail - floor) >= 0)
			v.head = floor;
		v.ahead = v.u.pos - v.head;
		v.on = (int32_t)v.ahead >= 0; /* else another thread is just storing urg_past */
		v.here = (int32_t)(tail - v.u.pos) > 0;
		v.taken = atomic_load_explicit(&b->urg_taken, memory_order_relaxed) == v.u.seq;
	}
	v.avail = tail - v.head;
	return v;
}

ssize_t chan_urg_span(const struct chan_sock_a *a, const struct chan_sock_b *b, uint32_t at, ssize_t len,
		      bool past_mark)
{
	struct chan_urg u;
	uint32_t ahead;

	if (!pointer(a, b, &u))
		return len;
	if ((int32_t)(atomic_load_explicit(&a->urg_floor, memory_order_relaxed) - at) > 0)
		return CHAN_URG_HOLE;
	ahead = u.pos - at;
	if (ahead > 0)
		return (int32_t)ahead > 0 && (ssize_t)ahead < len ? (ssize_t)ahead : len;
	if (!past_mark)
		return 0;
	return is_inline(b) ? len : CHAN_URG_HOLE;
}

uint32_t chan_urg_holes(const struct chan_sock_a *a, const struct chan_sock_b *b, uint32_t at)
{
	uint32_t tail = chan_rx_end(a, b), n = 0;

	while ((int32_t)(tail - (at + n)) > 0 &&
	       chan_urg_span(a, b, at + n, 1, true) == CHAN_URG_HOLE)
		n++;
	return n;
}

void chan_urg_moved(const struct chan_sock_a *a, struct chan_sock_b *b, uint32_t head)
{
	struct chan_urg u;

	if (pointer(a, b, &u) && (int32_t)(head - u.pos) > 0)
		atomic_store_explicit(&b->urg_past, u.seq, memory_order_release);
}

int chan_urg_take(struct chan_app *app, uint32_t id, bool peek, uint8_t *byte)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct chan_urg_view v;
	int err = chan_lock(&b->rx_lock);

	if (err)
		return err;
	v = chan_urg_look(a, b);
	if (!v.on || v.taken || v.is_inline)
		err = -EINVAL;
	else if (!v.here)
		err = -EAGAIN;
	else
		err = chan_rx_byte(app, id, v.u.pos, byte);
	if (!err && !peek)
		atomic_store_explicit(&b->urg_taken, v.u.seq, memory_order_relaxed);
	chan_unlock(&b->rx_lock);
	return err;
}

/* ---- send ---- */
void chan_urg_send(struct chan_sock_b *b, uint32_t pos)
{
	struct chan_urg u = chan_urg_of(atomic_load_explicit(&b->urg_tx, memory_order_relaxed));

	u.seq++;
	u.pos = pos;
	atomic_store_explicit(&b->urg_tx, chan_urg_word(u), memory_order_release);
	atomic_fetch_or_explicit(&b->flags, CHAN_B_URGENT, memory_order_release);
}

/* Each byte was urgent in a segment of its own before the next one is, as from a kernel, which sends
 * at once. The engine needs microseconds; should it be stuck, later bytes speak for the earlier ones. */
void chan_urg_settle(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	uint32_t seq = chan_urg_of(atomic_load_explicit(&b->urg_tx, memory_order_relaxed)).seq;
	uint64_t end = 0;

	while (atomic_load_explicit(&a->urg_tx_seen, memory_order_acquire) != seq) {
		uint64_t now = chan_now_ns();

		if (!end)
			end = now + SETTLE_US * NSEC_PER_USEC;
		if (now >= end)
			break;
		sched_yield();
	}
}
