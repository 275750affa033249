/* Writing into a socket's send ring, and the one contract of it: see write.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/write.h"
#include <errno.h>
#include <sys/socket.h>
#include "stack/chan/dgram.h"
#include "stack/chan/iov.h"
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"
#include "stack/chan/urgent.h"
#include "stack/chan/user.h"

/* What is published at once, and what a bad address in it takes back. */
enum { TX_RUN = 32768 };

void chan_tx_want(const struct chan_sock_a *a, struct chan_sock_b *b)
{
	uint32_t f = atomic_load_explicit(&b->flags, memory_order_relaxed);

	if (chan_lane_sends(a))
		atomic_store_explicit(&chan_lane_rec(a)->tx_want, 1, memory_order_seq_cst);
	for (;;) {
		bool waits = f & CHAN_B_TX_WAIT;
		bool woken = atomic_load_explicit(&a->flags, memory_order_acquire) & CHAN_A_TX_WAKE;

		if (waits != woken)
			break;
		if (atomic_compare_exchange_weak_explicit(&b->flags, &f, f ^ CHAN_B_TX_WAIT,
							  memory_order_seq_cst,
							  memory_order_relaxed))
			break;
	}
	atomic_thread_fence(memory_order_seq_cst);
}

/* Asks the engine for a larger ring; the caller holds tx_lock. */
static int tx_grow(struct chan_app *app, uint32_t id, uint32_t want, uint32_t tail)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_req req = { .op = CHAN_OP_TX_GROW, .sock = id,
				.gen = atomic_load_explicit(&a->gen, memory_order_relaxed),
				.arg = { want, tail } };

	return chan_call(app, a->worker, &req, NULL);
}

/* The send ring of a socket, under tx_lock: nobody else moves the tail. */
struct tx_ring {
	struct chan_app *app;
	const struct chan_sock_a *a;
	struct chan_sock_b *b;
	uint32_t id, tail;
};

static inline struct tx_ring tx_ring_of(struct chan_app *app, uint32_t id)
{
	struct tx_ring t = { app, chan_sock_a(app, id), chan_sock_b(app, id), id, 0 };

	t.tail = atomic_load_explicit(&t.b->tx_tail, memory_order_relaxed);
	return t;
}

/* The bytes at the tail are there. */
static inline void tx_publish(struct tx_ring *t, uint32_t n)
{
	t->tail += n;
	atomic_store_explicit(&t->b->tx_tail, t->tail, memory_order_release);
}

/* Contiguous room at the tail, in *p: 0 when the buffer is full or the ring is and can't grow. */
static inline ssize_t tx_span(const struct tx_ring *t, uint32_t want, uint8_t **p)
{
	const struct chan_sock_a *a = t->a;
	uint32_t tail = t->tail;

	for (int grown = 0; grown < 2; grown++) {
		uint32_t una = atomic_load_explicit(&a->tx_una, memory_order_acquire);
		uint32_t space = min_u32(chan_tx_space_of(a, t->b, tail - una), want);
		uint32_t n = atomic_load_explicit(&a->tx_nseg, memory_order_acquire);

		if (space == 0)
			return 0;
		if (n > 0) {
			struct chan_seg s = a->tx_seg[(n - 1) % CHAN_SEGS];
			uint32_t from = (int32_t)(una - s.start) > 0 ? una : s.start;
			uint32_t room = s.size - (tail - from), at = (tail - s.start) & (s.size - 1);

			if (room > 0 && (room >= space || grown)) {
				uint8_t *base = chan_extent(t->app, s.extent);
				if (!base)
					return -ENOBUFS;
				*p = base + s.off + at;
				return min_u32(min_u32(room, space), s.size - at);
			}
		}
		if (grown)
			break;
		int err = tx_grow(t->app, t->id, space, tail);
		if (err == -ENOTCONN)
			return err;
	}
	return 0;
}

/* As tx_span(), and when there is no room, asks for an event and looks once more. */
static ssize_t tx_span_late(const struct tx_ring *t, uint32_t want, uint8_t **p)
{
	chan_tx_want(t->a, t->b);
	return tx_span(t, want, p);
}
static inline ssize_t tx_span_want(const struct tx_ring *t, uint32_t want, uint8_t **p)
{
	ssize_t len = tx_span(t, want, p);

	return likely(len != 0) ? len : tx_span_late(t, want, p);
}

/* Fills len bytes at `to` from as many pieces as it takes; what there was, or -EFAULT. */
static inline ssize_t tx_fill(uint8_t *to, uint32_t len, struct iov_cursor *c)
{
	uint8_t *from;
	uint32_t put = 0;
	size_t part;

	while (put < len && (part = iov_next(c, &from)) > 0) {
		part = part < len - put ? part : len - put;
		if (unlikely(user_get(to + put, from, part) < 0))
			return -EFAULT;
		c->done += part;
		put += (uint32_t)part;
	}
	return (ssize_t)put;
}

/* What goes by the lane, if there is one. Bytes, or -errno; *left comes down. *by_ring: the rest goes on by
 * the send ring, else it has to wait. */
static ssize_t lane_write(struct chan_app *app, uint32_t id, struct iov_cursor *c, size_t *left,
			  bool *by_ring)
{
	struct chan_lane_tx t;
	ssize_t total = 0, len = chan_lane_tx(&t, app, id);

	*by_ring = len == 0;
	if (len <= 0)
		return len;
	if (unlikely(!chan_lane_tx_fits(&t, *left))) {
		chan_lane_leave(app, id);
		*by_ring = true;
		return 0;
	}
	while (*left > 0) {
		uint8_t *to;

		len = chan_lane_tx_span(&t, &to);
		if (len <= 0)
			return total;
		len = tx_fill(to, (uint32_t)min_u64(min_u64((uint64_t)len, *left), TX_RUN), c);
		if (len <= 0)
			break;
		chan_lane_tx_put(&t, (uint32_t)len);
		total += len;
		*left -= (size_t)len;
	}
	return total > 0 ? total : len;
}

ssize_t chan_tx_write(struct chan_app *app, uint32_t id, const struct iovec *iov, int n)
{
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct iov_cursor c = { iov, n, 0 };
	size_t left = iov_size(iov, n);
	ssize_t total = 0, len = 0, by_lane = 0;
	bool by_ring = true;
	int err = chan_lock(&b->tx_lock);

	if (err)
		return err;
	if (chan_has_lane(chan_sock_a(app, id)))
		by_lane = lane_write(app, id, &c, &left, &by_ring);
	if (unlikely(!by_ring || by_lane < 0)) {
		chan_unlock(&b->tx_lock);
		return by_lane;
	}
	struct tx_ring t = tx_ring_of(app, id);
	while (left > 0) {
		uint8_t *to;

		len = tx_span_want(&t, left < INT32_MAX ? (uint32_t)left : INT32_MAX, &to);
		if (len <= 0)
			break;
		len = tx_fill(to, min_u32((uint32_t)len, TX_RUN), &c);
		if (len <= 0)
			break;
		tx_publish(&t, (uint32_t)len);
		total += len;
		left -= (size_t)len;
	}
	chan_unlock(&b->tx_lock);
	if (total > 0)
		chan_mark(app, id);
	total += by_lane;
	return total > 0 ? total : len < 0 ? len : 0;
}

/* ---- all or nothing ---- */
/* Room for n bytes in the newest segment, around its end, grown if need be: 0, -EAGAIN or -errno. */
static int tx_room(struct chan_app *app, uint32_t id, uint32_t n, struct chan_seg *seg)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	uint32_t tail = atomic_load_explicit(&chan_sock_b(app, id)->tx_tail, memory_order_relaxed);

	for (int grown = 0; grown < 2; grown++) {
		uint32_t una = atomic_load_explicit(&a->tx_una, memory_order_acquire);
		uint32_t count = atomic_load_explicit(&a->tx_nseg, memory_order_acquire);

		if (chan_tx_space(a, chan_sock_b(app, id)) < n)
			return -EAGAIN;
		if (count > 0) {
			*seg = a->tx_seg[(count - 1) % CHAN_SEGS];
			uint32_t from = (int32_t)(una - seg->start) > 0 ? una : seg->start;
			if (seg->size - (tail - from) >= n)
				return 0;
		}
		if (!grown && tx_grow(app, id, n, tail) == -ENOTCONN)
			return -ENOTCONN;
	}
	return -EAGAIN;
}

/* Under tx_lock. Nothing is published before all of it is there. */
static int tx_whole(struct chan_app *app, uint32_t id, struct iov_cursor *c, uint32_t n, bool urgent)
{
	struct chan_sock_b *b = chan_sock_b(app, id);
	uint32_t tail = atomic_load_explicit(&b->tx_tail, memory_order_relaxed);
	struct chan_seg seg;
	int err = tx_room(app, id, n, &seg);

	if (err == -EAGAIN) {
		chan_tx_want(chan_sock_a(app, id), b);
		err = tx_room(app, id, n, &seg);
	}
	if (err)
		return err;
	uint8_t *base = chan_extent(app, seg.extent);
	if (!base)
		return -ENOBUFS;
	for (uint32_t done = 0; done < n;) {
		uint32_t at = (tail + done - seg.start) & (seg.size - 1);
		ssize_t len = tx_fill(base + seg.off + at, min_u32(n - done, seg.size - at), c);

		if (len <= 0)
			return -EFAULT;
		done += (uint32_t)len;
	}
	if (urgent)
		chan_urg_send(b, tail + n - 1);
	atomic_fetch_add_explicit(&b->tx_tail, n, memory_order_release);
	return 0;
}

static enum chan_status write_whole(struct chan_app *app, uint32_t id, const struct iovec *iov, int n,
				    size_t size)
{
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct iov_cursor c = { iov, n, 0 };
	int err;

	if (size > *(volatile const uint32_t *)&chan_sock_a(app, id)->sndbuf)
		return CHAN_TOO_LONG;
	err = chan_lock(&b->tx_lock);
	if (!err) {
		chan_lane_leave(app, id);
		err = tx_whole(app, id, &c, (uint32_t)size, false);
		chan_unlock(&b->tx_lock);
	}
	if (!err)
		chan_mark(app, id);
	return chan_status_of(err);
}

/* What fits, as chan_tx_write(), but published at once: which byte is the last one, and urgent, must be
 * known before the engine sends any. */
static ssize_t write_urgent(struct chan_app *app, uint32_t id, const struct iovec *iov, int n, size_t size)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_sock_b *b = chan_sock_b(app, id);
	uint32_t fits = 0;
	int err = chan_lock(&b->tx_lock);

	if (err)
		return err;
	chan_lane_leave(app, id);
	chan_urg_settle(a, b);
	for (int tries = 0; tries < 2 && fits == 0; tries++) {
		fits = (uint32_t)min_u64(chan_tx_space(a, b), size);
		if (fits < size)
			chan_tx_want(a, b);
	}
	/* Less when the ring can't be had that large. */
	for (err = fits ? -EAGAIN : 0; err == -EAGAIN && fits > 0; fits = err ? fits / 2 : fits) {
		struct iov_cursor c = { iov, n, 0 };

		err = tx_whole(app, id, &c, fits, true);
	}
	chan_unlock(&b->tx_lock);
	if (err == 0 && fits > 0)
		chan_mark(app, id);
	return err < 0 && err != -EAGAIN ? err : (ssize_t)fits;
}

/* ---- the contract ---- */
enum chan_status chan_status_of(ssize_t r)
{
	switch (r) {
	case 0:
		return CHAN_OK;
	case -EAGAIN:
	case -EDEADLK: /* of this very thread, below us: it can't give it back while we run */
		return CHAN_SHOULD_WAIT;
	case -EFAULT:
		return CHAN_BAD_BUFFER;
	case -ENOTCONN:
		return CHAN_RESET;
	case -EMSGSIZE:
		return CHAN_TOO_LONG;
	case -EINVAL:
		return CHAN_INVALID;
	default:
		return r > 0 ? CHAN_OK : CHAN_NO_MEMORY;
	}
}

/* The order is that of Linux's tcp_sendmsg(): connecting, then the error, then the shut half. */
enum chan_status chan_write_state(struct chan_app *app, uint32_t id)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	const struct chan_sock_b *b = chan_sock_b(app, id);
	uint32_t state = atomic_load_explicit(&a->state, memory_order_acquire);

	if (unlikely(!chan_alive(app)))
		return CHAN_RESET;
	if (unlikely(state == CHAN_ST_CONNECTING))
		return CHAN_SHOULD_WAIT;
	if (unlikely(chan_has_error(a, b)))
		return CHAN_RESET;
	if (unlikely(atomic_load_explicit(&b->flags, memory_order_relaxed) & CHAN_B_SHUT_WR))
		return CHAN_CLOSED_HERE;
	if (unlikely(state == CHAN_ST_OPEN || state == CHAN_ST_LISTENING))
		return CHAN_NOT_CONNECTED;
	if (unlikely(state != CHAN_ST_CONNECTED ||
		     atomic_load_explicit(&a->flags, memory_order_acquire) & CHAN_A_TX_DONE))
		return CHAN_CLOSED_THERE;
	return CHAN_OK;
}

static enum chan_status half_close(struct chan_app *app, uint32_t id)
{
	atomic_fetch_or(&chan_sock_b(app, id)->flags, CHAN_B_SHUT_WR);
	chan_mark(app, id);
	return CHAN_OK;
}

enum chan_status chan_write(struct chan_app *app, struct chan_handle h, uint32_t options,
			    const struct iovec *iov, int n, size_t *actual)
{
	const struct chan_sock_a *a;
	enum chan_status st;
	size_t size;
	ssize_t r;

	if (unlikely(h.id >= CHAN_MAX_SOCKS))
		return CHAN_BAD_HANDLE;
	a = chan_sock_a(app, h.id);
	if (unlikely(atomic_load_explicit(&a->gen, memory_order_relaxed) != h.gen ||
		     atomic_load_explicit(&a->state, memory_order_relaxed) == CHAN_ST_FREE))
		return CHAN_BAD_HANDLE;
	if (unlikely(!chan_holds(app, h.id)))
		return CHAN_ACCESS_DENIED;
	if (unlikely(a->type != SOCK_STREAM && a->type != SOCK_DGRAM))
		return CHAN_WRONG_TYPE;
	size = iov_size(iov, n);
	if (unlikely(options & ~(uint32_t)(CHAN_WRITE_HALF_CLOSE | CHAN_WRITE_WHOLE | CHAN_WRITE_URGENT) ||
		     (options & CHAN_WRITE_HALF_CLOSE && size > 0)))
		return CHAN_INVALID;
	st = chan_write_state(app, h.id);
	if (unlikely(st != CHAN_OK))
		return st;
	if (unlikely(options & CHAN_WRITE_HALF_CLOSE))
		return half_close(app, h.id);
	if (unlikely(options & CHAN_WRITE_WHOLE || a->type == SOCK_DGRAM)) {
		st = a->type == SOCK_DGRAM ?
			     chan_status_of(chan_dgram_send(app, h.id, &(struct chan_dgram){ 0 }, iov, n)) :
			     write_whole(app, h.id, iov, n, size);
		if (st == CHAN_OK && actual)
			*actual = size;
		return st;
	}
	if (unlikely(!size && actual))
		*actual = 0;
	if (unlikely(!size))
		return CHAN_OK;
	if (unlikely(options & CHAN_WRITE_URGENT))
		r = write_urgent(app, h.id, iov, n, size);
	else
		r = chan_tx_write(app, h.id, iov, n);
	if (r > 0 && actual)
		*actual = (size_t)r;
	return r == 0 ? CHAN_SHOULD_WAIT : chan_status_of(r);
}

/* ---- for read(2) straight into the ring ---- */
ssize_t chan_tx_chunk(struct chan_app *app, uint32_t id, uint32_t want, void **p)
{
	struct chan_lane_tx lane;
	uint8_t *to = NULL;
	ssize_t len;

	if (chan_has_lane(chan_sock_a(app, id)) && chan_lane_tx(&lane, app, id) == 1) {
		if (likely(chan_lane_tx_fits(&lane, want))) {
			len = chan_lane_tx_span(&lane, &to);
			*p = to;
			return min_u32((uint32_t)len, want);
		}
		chan_lane_leave(app, id);
	}
	struct tx_ring t = tx_ring_of(app, id);
	len = tx_span_want(&t, want, &to);
	*p = to;
	return len;
}

void chan_tx_commit(struct chan_app *app, uint32_t id, uint32_t n)
{
	struct chan_lane_tx lane;

	/* Nobody but we could have left the lane since the chunk was given out, nor begun one. */
	if (chan_lane_sends(chan_sock_a(app, id)) && chan_lane_tx_again(&lane, app, id) == 0) {
		chan_lane_tx_put(&lane, n);
		return;
	}
	atomic_fetch_add_explicit(&chan_sock_b(app, id)->tx_tail, n, memory_order_release);
	chan_mark(app, id);
}

