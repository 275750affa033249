/* Lanes, the application's side: see lane.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/lane.h"
#include <errno.h>
#include <limits.h>
#include "stack/base/util.h"
#include "stack/chan/evq.h"
#include "stack/chan/lock.h"
#include "stack/chan/wait.h"

enum {
	LEAVE_US = 2000, /* the engine needs microseconds; this is for one that does not get the cpu */
	NO_BELL = -2,
	BELL_MISSES = 4,	   /* times that the engine rings before we ask for the bell */
	LANE_MARK_BYTES = 1 << 28, /* the engine looks at least so often */
	LANE_AHEAD = 1 << 30,	   /* ... and nobody goes further than this without */
	LANE_MAX = 1 << 20,	   /* a full lane of that size is left by nobody: stack/sock/sock_lane.c */
};

static inline uint32_t load(const _Atomic uint32_t *v)
{
	return atomic_load_explicit(v, memory_order_acquire);
}

/* ---- receiving ---- */
/* The epoch of the lane that is, or was, written for us; 0: none. Asked once in each look: the engine takes
 * it away when all has been read. */
static uint32_t rx_lane(const struct chan_sock_a *a, const struct chan_lane_rec *r)
{
	uint32_t epoch = load(&a->lane.rx_epoch);

	return epoch == load(&r->rx_on) ? epoch : 0;
}

/* Where its bytes end for now; *left: for good. */
static uint32_t lane_end(const struct chan_lane_rec *r, uint32_t epoch, bool *left)
{
	*left = load(&r->rx_left) == epoch;
	return load(&r->rx_tail);
}

uint32_t chan_lane_rx_end(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	const struct chan_lane_rec *r = chan_lane_rec(a);
	uint32_t epoch = rx_lane(a, r), tail = load(&a->rx_tail), end, begin;
	bool left;

	if (!epoch)
		return tail;
	begin = load(&r->rx_begin);
	/* The engine has still to bring what was written before. */
	if ((int32_t)(load(&b->rx_head) - begin) < 0 && (int32_t)(tail - begin) < 0)
		return tail;
	end = lane_end(r, epoch, &left);
	/* Before that its tail is an old one. */
	return left && load(&a->lane.rx_over) == epoch ? load(&a->rx_tail) : end;
}

int32_t chan_lane_span(const struct chan_sock_a *a, uint32_t pos, const uint8_t **p, uint32_t *end)
{
	const struct chan_lane_rec *r = chan_lane_rec(a);
	uint32_t epoch = rx_lane(a, r), begin, stop, n, at;
	bool left;

	if (!epoch)
		return -1;
	begin = load(&r->rx_begin);
	if ((int32_t)(pos - begin) < 0) {
		if ((int32_t)(*end - begin) > 0)
			*end = begin;
		return -1;
	}
	stop = lane_end(r, epoch, &left);
	n = stop - pos;
	if (left && (int32_t)n <= 0)
		return load(&a->lane.rx_over) == epoch ? -1 : 0;
	if (n == 0 || n > a->lane.rx_size)
		return 0;
	at = pos & (a->lane.rx_size - 1);
	*p = (const uint8_t *)((uintptr_t)a + (uintptr_t)a->lane.rx_ring) + at;
	return (int32_t)min_u32(n, a->lane.rx_size - at);
}

/* The peer's D; NULL: not to be had. */
static void *peer_d(struct chan_app *app, const struct chan_sock_a *a)
{
	uint32_t n = a->lane.peer_ext;

	/* In a sandbox that may be the end of us. */
	if (unlikely(chan_waits_plainly()) && (n >= CHAN_MAX_EXTENTS || !app->ext[n]))
		return NULL;
	return chan_extent(app, a->lane.peer_ext);
}

static struct chan_lane_rec *peer_rec(void *d, const struct chan_sock_a *a)
{
	return (void *)((char *)d + a->lane.peer_rec);
}

/* ---- kicks ---- */
/* The one of key, or a slot for it: its own, else whatever lies there. Under bell_lock. */
static struct chan_bell *bell_of(struct chan_app *app, uint64_t key, uint32_t opened)
{
	struct chan_bell *b = &app->bell[(key ^ key >> 32) % CHAN_BELLS];

	if (likely(b->key == key && b->opened == opened))
		return b;
	if (b->key && atomic_load_explicit(&b->fd, memory_order_relaxed) >= 0)
		app->unhide(&b->fd);
	b->key = key;
	b->opened = opened;
	b->misses = 0;
	atomic_store_explicit(&b->fd, -1, memory_order_relaxed);
	return b;
}

static void fetch_bell(struct chan_app *app, struct chan_bell *b, uint32_t ext, uint32_t evq)
{
	struct chan_msg m = { .type = CHAN_MSG_BELL, .number = ext, .size = evq };
	int fd;

	b->misses = 0;
	if (chan_waits_plainly())
		return;
	int err = chan_request(app, &m, &fd);
	if (err == -ENOENT) /* it has none: never asked again for this queue */
		atomic_store_explicit(&b->fd, NO_BELL, memory_order_relaxed);
	if (err < 0)
		return;
	if (app->hide(fd, &b->fd) < 0)
		sys_close(fd);
}

/* Wakes who sleeps on queue evq of the peer. False: ask the engine. */
static bool ring(struct chan_app *app, uint32_t ext, uint32_t evq, uint32_t opened)
{
	struct chan_bell *b;
	bool rang = false;
	int fd;

	if (!app->hide || chan_lock(&app->bell_lock) < 0)
		return false;
	b = bell_of(app, ((uint64_t)ext << 32 | evq) + 1, opened);
	fd = atomic_load_explicit(&b->fd, memory_order_relaxed);
	if (unlikely(fd == -1) && ++b->misses >= BELL_MISSES)
		fetch_bell(app, b, ext, evq);
	else if (fd >= 0)
		rang = chan_kick(fd) > 0;
	chan_unlock(&app->bell_lock);
	return rang;
}

/* One queue of the peer. False: ask the engine. */
static bool tell_queue(struct chan_app *app, const struct chan_sock_a *a, void *d, uint32_t evq)
{
	struct chan_inbox *box = chan_inbox_at(d, evq);
	uint32_t opened = load(&box->opened);

	if (unlikely(!(opened & 1)))
		return false;
	chan_dirty_set(&box->marks, a->lane.peer_sock % CHAN_MAX_SOCKS);
	atomic_fetch_add_explicit(&box->seq, 1, memory_order_seq_cst);
	if (likely(!atomic_load_explicit(&box->armed, memory_order_relaxed)) ||
	    !atomic_exchange_explicit(&box->armed, 0, memory_order_seq_cst))
		return true;
	/* Read again: what was armed may be the next queue of this number. */
	return ring(app, a->lane.peer_ext, evq, load(&box->opened));
}

/* The state of the other end has changed by us. */
static void tell(struct chan_app *app, uint32_t id, void *d)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_lane_rec *peer = peer_rec(d, a);
	bool ask;

	atomic_fetch_add_explicit(&peer->evseq, 1, memory_order_seq_cst);
	if (unlikely(atomic_load_explicit(&peer->waiters, memory_order_relaxed)))
		sys_futex_wake(&peer->evseq, INT_MAX);
	ask = atomic_load_explicit(&peer->muffled, memory_order_relaxed);
	for (unsigned i = 0; i < CHAN_SUBS; i++) {
		uint32_t sub = atomic_load_explicit(&peer->sub[i], memory_order_relaxed);

		if (sub && sub <= CHAN_MAX_EVQS)
			ask |= !tell_queue(app, a, d, sub - 1);
	}
	if (ask)
		chan_mark(app, id);
}

void chan_lane_read(struct chan_app *app, uint32_t id, uint32_t pos)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	const struct chan_lane_rec *r = chan_lane_rec(a);
	void *d;

	if (!rx_lane(a, r) || (int32_t)(pos - load(&r->rx_begin)) < 0)
		return;
	d = peer_d(app, a);
	if (likely(d != NULL))
		atomic_store_explicit(&peer_rec(d, a)->tx_head, pos, memory_order_release);
	else
		chan_mark(app, id); /* the engine will say it */
}

void chan_lane_tell_room(struct chan_app *app, uint32_t id)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	const struct chan_lane_rec *r = chan_lane_rec(a);
	struct chan_lane_rec *peer;
	uint32_t used;
	void *d;

	if (!rx_lane(a, r) || !(d = peer_d(app, a)))
		return;
	peer = peer_rec(d, a);
	if (likely(!atomic_load_explicit(&peer->tx_want, memory_order_relaxed)))
		return;
	used = load(&r->rx_tail) - load(&chan_sock_b(app, id)->rx_head);
	if (chan_lane_writable(used, a->lane.rx_size) &&
	    atomic_exchange_explicit(&peer->tx_want, 0, memory_order_seq_cst))
		tell(app, id, d);
}

/* ---- sending ---- */
static void leave(struct chan_lane_tx *t)
{
	struct chan_sock_b *b = chan_sock_b(t->app, t->id);
	uint32_t on = load(&t->rec->tx_on);

	atomic_store_explicit(&b->tx_tail, t->tail, memory_order_release);
	atomic_store_explicit(&t->peer->rx_left, on, memory_order_release);
	atomic_store_explicit(&t->rec->tx_left, on, memory_order_release);
	/* The engine has to account for it before it knows what of the send ring is free. */
	chan_mark(t->app, t->id);
}

/* The other end sees a lane that has begun. */
static void show(struct chan_lane_tx *t, uint32_t epoch)
{
	atomic_store_explicit(&t->peer->rx_begin, load(&t->rec->tx_begin), memory_order_relaxed);
	atomic_store_explicit(&t->peer->rx_tail, t->tail, memory_order_relaxed);
	atomic_store_explicit(&t->peer->rx_on, epoch, memory_order_release);
}

static void begin(struct chan_lane_tx *t, uint32_t epoch)
{
	const struct chan_sock_b *b = chan_sock_b(t->app, t->id);

	t->tail = atomic_load_explicit(&b->tx_tail, memory_order_relaxed);
	atomic_store_explicit(&t->rec->tx_tail, t->tail, memory_order_relaxed);
	atomic_store_explicit(&t->rec->tx_begin, t->tail, memory_order_relaxed);
	atomic_store_explicit(&t->rec->tx_head, t->tail, memory_order_relaxed);
	atomic_store_explicit(&t->rec->tx_on, epoch, memory_order_release);
	show(t, epoch);
	t->una = t->tail;
}

/* Until the engine has accounted for what has been left, but not long. */
static void left(struct chan_app *app, const struct chan_sock_a *a)
{
	uint64_t until = chan_now_ns() + LEAVE_US * NSEC_PER_USEC;

	while (chan_lane_closes(a) && chan_alive(app) && chan_now_ns() < until) {
		if (chan_waits_plainly())
			cpu_relax();
		else
			sys_sched_yield();
	}
}

/* Without the peer's memory: the engine says it there. */
static void leave_blind(struct chan_app *app, uint32_t id)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_lane_rec *rec = chan_lane_rec(a);

	atomic_store_explicit(&chan_sock_b(app, id)->tx_tail, load(&rec->tx_tail), memory_order_release);
	atomic_store_explicit(&rec->tx_left, load(&rec->tx_on), memory_order_release);
	chan_mark(app, id);
	left(app, a);
}

int chan_lane_tx_again(struct chan_lane_tx *t, struct chan_app *app, uint32_t id)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	void *d = peer_d(app, a);

	if (unlikely(!d))
		return -ENOBUFS;
	*t = (struct chan_lane_tx){ .app = app, .id = id, .size = a->lane.tx_size,
				    .rec = chan_lane_rec(a), .peer = peer_rec(d, a), .peer_d = d,
				    .ring = (uint8_t *)d + a->lane.tx_ring };
	t->tail = load(&t->rec->tx_tail);
	t->una = load(&a->tx_una);
	uint32_t on = load(&t->rec->tx_on);
	if (unlikely(load(&t->peer->rx_on) != on && on == load(&a->lane.tx_epoch)))
		show(t, on); /* who began was killed meanwhile */
	return 0;
}

int chan_lane_tx(struct chan_lane_tx *t, struct chan_app *app, uint32_t id)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	bool may = atomic_load_explicit(&a->flags, memory_order_acquire) & CHAN_A_LANE_TX;
	bool in = chan_lane_sends(a);
	uint32_t epoch = load(&a->lane.tx_epoch);

	if (!in && (!may || !epoch || load(&chan_lane_rec(a)->tx_on) == epoch))
		return 0;
	if (unlikely(chan_lane_tx_again(t, app, id) < 0)) {
		if (in)
			leave_blind(app, id);
		return 0;
	}
	if (!in)
		begin(t, epoch);
	if (likely(may))
		return 1;
	leave(t);
	left(app, a);
	return 0;
}

static uint32_t room_of(const struct chan_lane_tx *t)
{
	uint32_t used = t->tail - load(&t->rec->tx_head);

	return used < t->size ? t->size - used : 0;
}

bool chan_lane_tx_fits(const struct chan_lane_tx *t, size_t n)
{
	uint32_t used = t->size - room_of(t);

	if (unlikely(t->tail - t->una > LANE_AHEAD))
		return false;
	return t->size >= LANE_MAX || (n < t->size - used && chan_lane_writable(used + (uint32_t)n, t->size));
}

uint32_t chan_lane_tx_span(struct chan_lane_tx *t, uint8_t **p)
{
	uint32_t room = room_of(t), at = t->tail & (t->size - 1);

	if (unlikely(!room)) {
		atomic_store_explicit(&t->rec->tx_want, 1, memory_order_seq_cst);
		room = room_of(t);
		if (!room)
			return 0;
	}
	*p = t->ring + at;
	return min_u32(room, t->size - at);
}

void chan_lane_tx_put(struct chan_lane_tx *t, uint32_t n)
{
	uint32_t before = t->tail;

	t->tail += n;
	atomic_store_explicit(&t->rec->tx_tail, t->tail, memory_order_release);
	atomic_store_explicit(&t->peer->rx_tail, t->tail, memory_order_release);
	/* Far behind, it would be ahead by sign. All that is not read lies behind this one. */
	if (unlikely(t->tail - load(&t->peer->rx_begin) > 2u * LANE_MARK_BYTES))
		atomic_store_explicit(&t->peer->rx_begin, t->tail - t->size, memory_order_release);
	tell(t->app, t->id, t->peer_d);
	if (unlikely((before ^ t->tail) & LANE_MARK_BYTES))
		chan_mark(t->app, t->id);
}

void chan_lane_leave(struct chan_app *app, uint32_t id)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_lane_tx t;

	if (!chan_lane_sends(a))
		return;
	if (chan_lane_tx_again(&t, app, id) < 0) {
		leave_blind(app, id);
		return;
	}
	leave(&t);
	left(app, a);
}

uint32_t chan_tx_unacked(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	if (chan_lane_sends(a))
		return 0;
	return atomic_load_explicit(&b->tx_tail, memory_order_relaxed) -
	       atomic_load_explicit(&a->tx_una, memory_order_acquire);
}

/* ---- queues ---- */
void chan_lane_sub(const struct chan_sock_a *a, unsigned i, uint16_t sub)
{
	if (chan_has_lane(a))
		atomic_store_explicit(&chan_lane_rec(a)->sub[i], sub, memory_order_seq_cst);
}

void chan_lane_unsub(const struct chan_sock_a *a, unsigned i, uint16_t sub)
{
	if (chan_has_lane(a))
		atomic_compare_exchange_strong_explicit(&chan_lane_rec(a)->sub[i], &sub, 0,
							memory_order_seq_cst, memory_order_relaxed);
}

void chan_lane_muffle(const struct chan_sock_a *a)
{
	if (chan_has_lane(a))
		atomic_fetch_add_explicit(&chan_lane_rec(a)->muffled, 1, memory_order_seq_cst);
}
