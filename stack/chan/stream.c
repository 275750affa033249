/* Byte streams, accept queues and readiness on the application's side: see stream.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/stream.h"
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/chan/dgram.h"
#include "stack/chan/lock.h"

/* The receive segment that holds position pos: the last one whose start is <= pos. Segments from that
 * one on are alive, so the engine reuses none of the slots read here. */
static bool rx_seg_at(const struct chan_sock_a *a, uint32_t pos, struct chan_seg *seg,
		      uint32_t *end)
{
	/* The tail first: every segment of the bytes before it is then in the count. The other way
	 * round bytes of a segment opened in between would be looked for in the one before. */
	*end = atomic_load_explicit(&a->rx_tail, memory_order_acquire);
	uint32_t n = atomic_load_explicit(&a->rx_nseg, memory_order_acquire);

	for (uint32_t i = 0; i < CHAN_SEGS && i < n; i++) {
		*seg = a->rx_seg[(n - 1 - i) % CHAN_SEGS];
		if ((int32_t)(pos - seg->start) >= 0)
			return seg->size != 0;
		if ((int32_t)(seg->start - *end) < 0)
			*end = seg->start;
	}
	return false;
}

/* Contiguous bytes from pos on, in *p. 0: none; -ENOBUFS: can't map. */
static ssize_t rx_span(struct chan_app *app, const struct chan_sock_a *a, uint32_t pos,
		       const uint8_t **p)
{
	struct chan_seg seg;
	uint32_t end;

	if (atomic_load_explicit(&a->rx_tail, memory_order_acquire) == pos)
		return 0;
	if (!rx_seg_at(a, pos, &seg, &end))
		return 0;
	const uint8_t *base = chan_extent(app, seg.extent);
	if (!base)
		return -ENOBUFS;
	uint32_t at = (pos - seg.start) & (seg.size - 1);
	*p = base + seg.off + at;
	return min_u32(end - pos, seg.size - at);
}

/* A cursor over an iovec. */
struct cursor {
	const struct iovec *iov;
	int n;
	size_t done; /* of iov[0] */
};

static size_t cursor_next(struct cursor *c, uint8_t **p)
{
	while (c->n > 0 && c->done == c->iov->iov_len) {
		c->iov++;
		c->n--;
		c->done = 0;
	}
	if (c->n <= 0)
		return 0;
	*p = (uint8_t *)c->iov->iov_base + c->done;
	return c->iov->iov_len - c->done;
}

static void rx_publish(struct chan_app *app, uint32_t id, uint32_t head)
{
	atomic_store_explicit(&chan_sock_b(app, id)->rx_head, head, memory_order_release);
}
/* After a full barrier that follows rx_publish(): the engine wants to know (window was closed). */
static void rx_tell(struct chan_app *app, uint32_t id)
{
	if (atomic_load_explicit(&chan_sock_a(app, id)->flags, memory_order_relaxed) &
	    CHAN_A_WANT_HEAD)
		chan_mark(app, id);
}

ssize_t chan_rx_read(struct chan_app *app, uint32_t id, const struct iovec *iov, int n, int flags,
		     uint32_t offset)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct cursor c = { iov, n, 0 };
	ssize_t total = 0, len = 0;
	int err = chan_lock(&b->rx_lock);

	if (err)
		return err;
	uint32_t head = atomic_load_explicit(&b->rx_head, memory_order_relaxed), pos = head;
	uint32_t avail = atomic_load_explicit(&a->rx_tail, memory_order_acquire) - head;
	pos += min_u32(offset, avail);
	for (;;) {
		const uint8_t *from;
		uint8_t *to;
		size_t room = cursor_next(&c, &to);

		if (room == 0 || (len = rx_span(app, a, pos, &from)) <= 0)
			break;
		size_t part = (size_t)len < room ? (size_t)len : room;
		if (!(flags & CHAN_RX_DISCARD))
			memcpy(to, from, part);
		c.done += part;
		pos += (uint32_t)part;
		total += (ssize_t)part;
	}
	bool moved = total > 0 && !(flags & CHAN_RX_PEEK);
	if (moved)
		rx_publish(app, id, pos);
	chan_unlock(&b->rx_lock);
	if (moved)
		rx_tell(app, id);
	return total > 0 ? total : len < 0 ? len : 0;
}

uint32_t chan_rx_chunk(struct chan_app *app, uint32_t id, const void **p)
{
	const uint8_t *from = NULL;
	ssize_t len = rx_span(app, chan_sock_a(app, id),
			      atomic_load_explicit(&chan_sock_b(app, id)->rx_head,
						   memory_order_relaxed), &from);

	*p = from;
	return len > 0 ? (uint32_t)len : 0;
}

bool chan_rx_eof(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	uint32_t flags = atomic_load_explicit(&a->flags, memory_order_acquire);
	uint32_t state = atomic_load_explicit(&a->state, memory_order_acquire);
	bool end = (flags & CHAN_A_RX_FIN) || state == CHAN_ST_CLOSED ||
		   (atomic_load_explicit(&b->flags, memory_order_relaxed) & CHAN_B_SHUT_RD);

	return end && chan_rx_avail(a, b) == 0;
}

/* ---- send ---- */
void chan_tx_want(const struct chan_sock_a *a, struct chan_sock_b *b)
{
	uint32_t f = atomic_load_explicit(&b->flags, memory_order_relaxed);

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

/* Contiguous room at the tail, in *p: 0 when the buffer is full or the ring is and can't grow. */
static ssize_t tx_span(struct chan_app *app, uint32_t id, uint32_t want, uint8_t **p)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_sock_b *b = chan_sock_b(app, id);
	uint32_t tail = atomic_load_explicit(&b->tx_tail, memory_order_relaxed);

	for (int grown = 0; grown < 2; grown++) {
		uint32_t una = atomic_load_explicit(&a->tx_una, memory_order_acquire);
		uint32_t max = *(volatile const uint32_t *)&a->sndbuf, used = tail - una;
		uint32_t n = atomic_load_explicit(&a->tx_nseg, memory_order_acquire);

		if (used >= max)
			return 0;
		uint32_t space = min_u32(max - used, want);
		if (n > 0) {
			struct chan_seg s = a->tx_seg[(n - 1) % CHAN_SEGS];
			uint32_t from = (int32_t)(una - s.start) > 0 ? una : s.start;
			uint32_t room = s.size - (tail - from), at = (tail - s.start) & (s.size - 1);

			if (room > 0 && (room >= space || grown)) {
				uint8_t *base = chan_extent(app, s.extent);
				if (!base)
					return -ENOBUFS;
				*p = base + s.off + at;
				return min_u32(min_u32(room, space), s.size - at);
			}
		}
		if (grown)
			break;
		int err = tx_grow(app, id, space, tail);
		if (err == -ENOTCONN)
			return err;
	}
	return 0;
}

/* As tx_span(), and when there is no room, asks for an event and looks once more. */
static ssize_t tx_span_want(struct chan_app *app, uint32_t id, uint32_t want, uint8_t **p)
{
	ssize_t len = tx_span(app, id, want, p);

	if (len != 0)
		return len;
	chan_tx_want(chan_sock_a(app, id), chan_sock_b(app, id));
	return tx_span(app, id, want, p);
}

ssize_t chan_tx_write(struct chan_app *app, uint32_t id, const struct iovec *iov, int n)
{
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct cursor c = { iov, n, 0 };
	ssize_t total = 0, len = 0;
	size_t left = 0;
	int err = chan_lock(&b->tx_lock);

	if (err)
		return err;
	for (int i = 0; i < n; i++)
		left += iov[i].iov_len;
	for (;;) {
		uint8_t *from, *to;
		size_t part = cursor_next(&c, &from);

		if (part == 0)
			break;
		uint32_t want = left - (size_t)total < INT32_MAX ? (uint32_t)(left - (size_t)total) :
								   INT32_MAX;
		len = tx_span_want(app, id, want, &to);
		if (len <= 0)
			break;
		/* Fill the span from as many pieces as it takes. */
		uint32_t put = 0;
		while (put < (uint32_t)len && (part = cursor_next(&c, &from)) > 0) {
			part = part < (uint32_t)len - put ? part : (uint32_t)len - put;
			memcpy(to + put, from, part);
			c.done += part;
			put += (uint32_t)part;
		}
		atomic_fetch_add_explicit(&b->tx_tail, put, memory_order_release);
		total += put;
	}
	chan_unlock(&b->tx_lock);
	if (total > 0)
		chan_mark(app, id);
	return total > 0 ? total : len < 0 ? len : 0;
}

ssize_t chan_tx_chunk(struct chan_app *app, uint32_t id, uint32_t want, void **p)
{
	uint8_t *to = NULL;
	ssize_t len = tx_span_want(app, id, want, &to);

	*p = to;
	return len;
}

void chan_tx_commit(struct chan_app *app, uint32_t id, uint32_t n)
{
	atomic_fetch_add_explicit(&chan_sock_b(app, id)->tx_tail, n, memory_order_release);
	chan_mark(app, id);
}

/* ---- listener ---- */
int chan_accept_pop(struct chan_app *app, uint32_t listener, uint32_t *id, uint32_t *gen)
{
	const struct chan_sock_a *a = chan_sock_a(app, listener);
	struct chan_sock_b *b = chan_sock_b(app, listener);
	struct chan_seg seg;
	struct chan_accept e;
	uint32_t end;

	/* The common "none" without the lock: many threads may wait for one listener. */
	if (chan_rx_avail(a, b) == 0)
		return -EAGAIN;
	int err = chan_lock(&b->rx_lock);
	if (err)
		return err;
	uint32_t head = atomic_load_explicit(&b->rx_head, memory_order_relaxed);
	err = -EAGAIN;
	if (atomic_load_explicit(&a->rx_tail, memory_order_acquire) == head ||
	    !rx_seg_at(a, head, &seg, &end))
		goto out;
	const uint8_t *base = chan_extent(app, seg.extent);
	if (!base)
		goto out;
	uint32_t at = (head - seg.start) & (seg.size / sizeof(e) - 1);
	memcpy(&e, base + seg.off + at * sizeof(e), sizeof(e));
	if (e.sock < CHAN_MAX_SOCKS) {
		chan_hold(app, e.sock);
		*id = e.sock;
		*gen = e.gen;
		err = 0;
	}
	rx_publish(app, listener, head + 1);
out:
	chan_unlock(&b->rx_lock);
	if (err == 0)
		rx_tell(app, listener);
	return err;
}

/* ---- errors and readiness ---- */
int chan_take_error(const struct chan_sock_a *a, struct chan_sock_b *b)
{
	uint32_t seq = atomic_load_explicit(&a->err_seq, memory_order_acquire);
	uint32_t seen = atomic_load_explicit(&b->err_seen, memory_order_relaxed);

	if (seq == seen)
		return 0;
	int err = (int)atomic_load_explicit(&a->err, memory_order_relaxed);
	if (!atomic_compare_exchange_strong_explicit(&b->err_seen, &seen, seq, memory_order_acq_rel,
						     memory_order_relaxed))
		return 0;
	return err;
}

static bool rx_readable(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	uint32_t avail = chan_rx_avail(a, b);
	uint32_t lowat = atomic_load_explicit(&b->rcvlowat, memory_order_relaxed);

	return avail > 0 && avail >= lowat;
}

uint32_t chan_readiness(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	uint32_t state = atomic_load_explicit(&a->state, memory_order_acquire);
	uint32_t fa = atomic_load_explicit(&a->flags, memory_order_acquire);
	uint32_t fb = atomic_load_explicit(&b->flags, memory_order_relaxed);
	uint32_t mask = 0;
	bool shut_rd = (fa & CHAN_A_RX_FIN) || (fb & CHAN_B_SHUT_RD);
	bool shut_wr = fb & CHAN_B_SHUT_WR;

	if (unlikely(fa & CHAN_A_DGRAM))
		return chan_dgram_readiness(a, b);
	if (state == CHAN_ST_LISTENING)
		return chan_rx_avail(a, b) ? EPOLLIN | EPOLLRDNORM : 0;
	if (state == CHAN_ST_CLOSED)
		shut_rd = shut_wr = true;
	if ((shut_rd && shut_wr) || state == CHAN_ST_OPEN || state == CHAN_ST_FREE ||
	    state == CHAN_ST_CLOSED)
		mask |= EPOLLHUP;
	if (shut_rd)
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (state != CHAN_ST_CONNECTING) {
		if (rx_readable(a, b))
			mask |= EPOLLIN | EPOLLRDNORM;
		/* An unconnected socket has an empty send buffer: writable. */
		if (shut_wr || state == CHAN_ST_OPEN || state == CHAN_ST_FREE ||
		    chan_tx_writable(a, b))
			mask |= EPOLLOUT | EPOLLWRNORM;
	}
	if (chan_has_error(a, b) || chan_zc_pending(b) ||
	    ((fa & CHAN_A_ERRQ) && chan_errq_pending(a, b)))
		mask |= EPOLLERR;
	return mask;
}
