/* Reading byte streams, accept queues and readiness on the application's side: see stream.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/stream.h"
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/chan/dgram.h"
#include "stack/chan/iov.h"
#include "stack/chan/lock.h"
#include "stack/chan/urgent.h"
#include "stack/chan/user.h"

/* A copy that meets a bad address leaves its bytes in the stream: up to so many, as the kernel does with
 * what arrived in one packet. */
enum { RX_RUN = 65536 };

/* The receive segment that holds position pos: the last one whose start is <= pos. Segments from that
 * one on are alive, so the engine reuses none of the slots read here. */
static inline bool rx_seg_at(const struct chan_sock_a *a, uint32_t pos, struct chan_seg *seg,
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

/* The same in the receive ring, and not behind `until`. */
static inline ssize_t rx_ring_span(struct chan_app *app, const struct chan_sock_a *a, uint32_t pos,
				   uint32_t until, const uint8_t **p)
{
	struct chan_seg seg;
	uint32_t end;

	if (atomic_load_explicit(&a->rx_tail, memory_order_acquire) == pos)
		return 0;
	if (!rx_seg_at(a, pos, &seg, &end))
		return 0;
	if ((int32_t)(end - until) > 0)
		end = until;
	const uint8_t *base = chan_extent(app, seg.extent);
	if (!base)
		return -ENOBUFS;
	uint32_t at = (pos - seg.start) & (seg.size - 1);
	*p = base + seg.off + at;
	return min_u32(end - pos, seg.size - at);
}

static __attribute__((noinline)) ssize_t rx_lane_span(struct chan_app *app, const struct chan_sock_a *a,
						      uint32_t pos, const uint8_t **p)
{
	uint32_t lane_end = pos + INT32_MAX;
	int32_t n = chan_lane_span(a, pos, p, &lane_end);

	return n >= 0 ? n : rx_ring_span(app, a, pos, lane_end, p);
}

/* Contiguous bytes from pos on, in *p. 0: none; -ENOBUFS: can't map. */
static __attribute__((always_inline)) inline ssize_t rx_span(struct chan_app *app,
							     const struct chan_sock_a *a, uint32_t pos,
							     const uint8_t **p)
{
	if (chan_has_lane(a))
		return rx_lane_span(app, a, pos, p);
	return rx_ring_span(app, a, pos, pos + INT32_MAX, p);
}

static void rx_publish(struct chan_app *app, uint32_t id, uint32_t head)
{
	atomic_store_explicit(&chan_sock_b(app, id)->rx_head, head, memory_order_release);
	if (chan_has_lane(chan_sock_a(app, id)))
		chan_lane_read(app, id, head);
}
/* After a full barrier that follows rx_publish(): the engine wants to know (window was closed). */
static void rx_tell(struct chan_app *app, uint32_t id)
{
	uint32_t flags = atomic_load_explicit(&chan_sock_a(app, id)->flags, memory_order_relaxed);

	if (flags & CHAN_A_WANT_HEAD)
		chan_mark(app, id);
	if (unlikely(flags & CHAN_A_LANE))
		chan_lane_tell_room(app, id);
}

/* Copies from *pos on, and moves it. Bytes of whole runs of RX_RUN that got through, or -errno. */
static inline ssize_t rx_copy(struct chan_app *app, uint32_t id, uint32_t *pos, struct iov_cursor *c,
			      int flags)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	const struct chan_sock_b *b = chan_sock_b(app, id);
	ssize_t total = 0, whole = 0, len = 0;

	for (;;) {
		const uint8_t *from;
		uint8_t *to;
		size_t room = iov_next(c, &to);

		if (room == 0 || (len = rx_span(app, a, *pos + (uint32_t)total, &from)) <= 0)
			break;
		/* After the tail that the span was cut from: the pointer of any byte in it is there. */
		if (unlikely(chan_has_urgent(a))) {
			len = chan_urg_span(a, b, *pos + (uint32_t)total, len,
					    flags & CHAN_RX_PAST_MARK && total == 0);
			if (len == CHAN_URG_HOLE) {
				(*pos)++;
				continue;
			}
			if (len == 0)
				break;
		}
		size_t part = (size_t)len < room ? (size_t)len : room;
		if (part > RX_RUN)
			part = RX_RUN;
		if (!(flags & CHAN_RX_DISCARD) && unlikely(user_put(to, from, part) < 0)) {
			total = whole;
			len = -EFAULT;
			break;
		}
		c->done += part;
		total += (ssize_t)part;
		if (total - whole >= RX_RUN)
			whole = total;
	}
	*pos += (uint32_t)total;
	return total > 0 ? total : len < 0 ? len : 0;
}

ssize_t chan_rx_read(struct chan_app *app, uint32_t id, const struct iovec *iov, int n, int flags,
		     uint32_t offset)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct iov_cursor c = { iov, n, 0 };
	int err = chan_lock(&b->rx_lock);
	ssize_t r;

	if (err)
		return err;
	uint32_t head = atomic_load_explicit(&b->rx_head, memory_order_relaxed);
	uint32_t avail = chan_rx_end(a, b) - head;

	uint32_t pos = head + min_u32(offset, avail);

	r = rx_copy(app, id, &pos, &c, flags);
	bool moved = pos != head && !(flags & CHAN_RX_PEEK);
	if (moved) {
		if (unlikely(chan_has_urgent(a)))
			chan_urg_moved(a, b, pos);
		rx_publish(app, id, pos);
	}
	chan_unlock(&b->rx_lock);
	if (moved)
		rx_tell(app, id);
	return r;
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

int chan_rx_byte(struct chan_app *app, uint32_t id, uint32_t pos, uint8_t *byte)
{
	const uint8_t *from;

	if (rx_span(app, chan_sock_a(app, id), pos, &from) <= 0)
		return -ENOBUFS;
	*byte = *from;
	return 0;
}

bool chan_rx_eof(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	uint32_t flags = atomic_load_explicit(&a->flags, memory_order_acquire);
	uint32_t state = atomic_load_explicit(&a->state, memory_order_acquire);
	bool end = (flags & CHAN_A_RX_FIN) || state == CHAN_ST_CLOSED ||
		   (atomic_load_explicit(&b->flags, memory_order_relaxed) & CHAN_B_SHUT_RD);

	return end && chan_rx_avail(a, b) == 0;
}

/* ---- listener ---- */
/* The tail goes back when the listener does: then what was behind it is nobody's. */
static bool has_entry(const struct chan_sock_a *a, uint32_t head)
{
	return (int32_t)(atomic_load_explicit(&a->rx_tail, memory_order_acquire) - head) > 0;
}

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
	if (!has_entry(a, head) || !rx_seg_at(a, head, &seg, &end))
		goto out;
	const uint8_t *base = chan_extent(app, seg.extent);
	if (!base)
		goto out;
	uint32_t at = (head - seg.start) & (seg.size / sizeof(e) - 1);
	memcpy(&e, base + seg.off + at * sizeof(e), sizeof(e));
	if (e.sock < CHAN_MAX_SOCKS) {
		chan_hold(app, e.sock);
		/* Pairs with the fence in sock_unlisten(), which resets what nobody holds. */
		atomic_thread_fence(memory_order_seq_cst);
		if (!has_entry(a, head)) {
			chan_unhold(app, e.sock);
			goto out;
		}
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

int chan_accept_settle(struct chan_app *app, uint32_t listener)
{
	struct chan_sock_b *b = chan_sock_b(app, listener);
	int err = chan_lock(&b->rx_lock);

	if (!err)
		chan_unlock(&b->rx_lock);
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

/* An urgent byte for who is shut down both ways is answered with a reset, but Linux has noted it. */
static bool rx_urgent_refused(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	return atomic_load_explicit(&a->state, memory_order_acquire) == CHAN_ST_CLOSED &&
	       !(atomic_load_explicit(&a->flags, memory_order_acquire) & CHAN_A_RX_FIN) &&
	       atomic_load_explicit(&b->flags, memory_order_relaxed) & CHAN_B_SHUT_RD;
}

/* EPOLLIN and EPOLLPRI as far as bytes make them. */
static uint32_t rx_readable(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	uint32_t avail = chan_rx_avail(a, b), mask = 0;
	uint32_t lowat = atomic_load_explicit(&b->rcvlowat, memory_order_relaxed);

	if (unlikely(chan_has_urgent(a))) {
		struct chan_urg_view v;

		chan_urg_wait(a);
		v = chan_urg_look(a, b);
		avail = v.avail;
		if (v.on && v.ahead == 0 && !v.is_inline) /* the next byte is none to read() */
			lowat = (lowat ? lowat : 1) + 1;
		if (v.on && !v.taken && (v.here || rx_urgent_refused(a, b)))
			mask = EPOLLPRI;
	}
	return avail > 0 && avail >= lowat ? mask | EPOLLIN | EPOLLRDNORM : mask;
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
	if (state != CHAN_ST_CONNECTING || fa & CHAN_A_SYN_HELD) {
		mask |= rx_readable(a, b);
		/* An unconnected socket has an empty send buffer: writable. */
		if (shut_wr || state == CHAN_ST_OPEN || state == CHAN_ST_FREE ||
		    chan_tx_writable(a, b))
			mask |= EPOLLOUT | EPOLLWRNORM;
	}
	if (chan_has_error(a, b)) {
		mask |= EPOLLERR;
		/* The connection may have ended since its state was looked at, or be about to. */
		if ((state == CHAN_ST_CONNECTING || state == CHAN_ST_CONNECTED) &&
		    atomic_load_explicit(&a->flags, memory_order_acquire) & CHAN_A_ENDED)
			mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP | EPOLLOUT | EPOLLWRNORM;
	}
	if (chan_zc_pending(b) || ((fa & CHAN_A_ERRQ) && chan_errq_pending(a, b)))
		mask |= EPOLLERR;
	return mask;
}
