/* Datagrams in the rings of a socket, the application's side: see dgram.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/dgram.h"
#include <errno.h>
#include <linux/errqueue.h>
#include <string.h>
#include <sys/epoll.h>
#include "stack/base/util.h"
#include "stack/chan/lock.h"
#include "stack/chan/user.h"
#include "stack/chan/stream.h"

/* Where records lie: the receive ring, or the one segment of the error queue. */
struct source {
	struct chan_app *app;
	const struct chan_sock_a *a;
	_Atomic uint32_t *head;
	uint32_t pos, end;
	bool errq;
};

/* The segment of position pos: the last one that starts at or before it. *stop is where the next
 * one begins, or the end. Segments from that one on are alive (see rx_seg_at() in stream.c). */
static bool segment_of(const struct source *q, uint32_t pos, struct chan_seg *seg, uint32_t *stop)
{
	uint32_t n = atomic_load_explicit(&q->a->rx_nseg, memory_order_acquire);

	*stop = q->end;
	if (q->errq) {
		*seg = q->a->errq;
		return seg->size != 0;
	}
	for (uint32_t i = 0; i < CHAN_SEGS && i < n; i++) {
		*seg = q->a->rx_seg[(n - 1 - i) % CHAN_SEGS];
		if ((int32_t)(pos - seg->start) >= 0)
			return seg->size != 0;
		if ((int32_t)(seg->start - *stop) < 0)
			*stop = seg->start;
	}
	return false;
}

/* Contiguous bytes from pos on, 0: can't be reached. */
static uint32_t span_at(const struct source *q, uint32_t pos, const uint8_t **p)
{
	struct chan_seg seg;
	uint32_t stop;

	if (!segment_of(q, pos, &seg, &stop))
		return 0;
	const uint8_t *base = chan_extent(q->app, seg.extent);
	if (!base)
		return 0;
	uint32_t at = (pos - seg.start) & (seg.size - 1);
	*p = base + seg.off + at;
	return min_u32(stop - pos, seg.size - at);
}

static struct source source_of(struct chan_app *app, uint32_t id, bool errq)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct source q = { .app = app, .a = a, .errq = errq,
			    .head = errq ? &b->errq_head : &b->rx_head };

	q.end = atomic_load_explicit(errq ? &a->errq_tail : &a->rx_tail, memory_order_acquire);
	q.pos = atomic_load_explicit(q.head, memory_order_relaxed);
	return q;
}

/* The header at q->pos. 0, -EAGAIN: none there, -ENOBUFS: can't be reached. */
static int load_header(const struct source *q, struct chan_dgram *h)
{
	uint8_t *to = (uint8_t *)h;
	uint32_t left = sizeof(*h), pos = q->pos;

	if (q->pos == q->end)
		return -EAGAIN;
	while (left) {
		const uint8_t *from;
		uint32_t n = min_u32(span_at(q, pos, &from), left);

		if (n == 0)
			return -ENOBUFS;
		memcpy(to, from, n);
		to += n;
		pos += n;
		left -= n;
	}
	/* The engine is trusted, but a wild copy would be the program's crash. */
	if (h->size > q->end - q->pos || h->size < sizeof(*h) || h->len > h->size - sizeof(*h))
		return -ENOBUFS;
	return 0;
}

/* As many bytes of the payload, from offset `skip` on, as fit into iov. */
static ssize_t copy_out(const struct source *q, const struct chan_dgram *h, uint32_t skip,
			const struct iovec *iov, int n)
{
	uint32_t pos = q->pos + (uint32_t)sizeof(*h) + skip, left = h->len - skip;
	ssize_t total = 0;

	for (int i = 0; i < n && left; i++) {
		uint8_t *to = iov[i].iov_base;
		uint32_t room = iov[i].iov_len < left ? (uint32_t)iov[i].iov_len : left;

		left -= room;
		total += room;
		while (room) {
			const uint8_t *from;
			uint32_t part = min_u32(span_at(q, pos, &from), room);

			if (part == 0)
				return -ENOBUFS;
			if (unlikely(user_put(to, from, part) < 0))
				return -EFAULT;
			to += part;
			pos += part;
			room -= part;
		}
	}
	return total;
}

static bool is_icmp(const struct chan_dgram *h)
{
	return h->origin == SO_EE_ORIGIN_ICMP || h->origin == SO_EE_ORIGIN_ICMP6;
}

/* An ICMP error taken off the queue is no longer the pending one, unless the next record is one, too
 * (Linux's sock_dequeue_err_skb). */
static void settle_error(struct source *q, struct chan_sock_b *b)
{
	struct chan_dgram next;

	if (load_header(q, &next) == 0 && is_icmp(&next))
		return;
	chan_take_error(q->a, b);
}

/* Peeking at an offset looks past the datagrams that lie before it (SO_PEEK_OFF). */
static int peek_to(struct source *q, struct chan_dgram *h, uint32_t *skip)
{
	int err = load_header(q, h);

	while (err == 0 && *skip > 0 && *skip >= h->len) {
		*skip -= h->len;
		q->pos += h->size;
		err = load_header(q, h);
	}
	return err;
}

ssize_t chan_dgram_recv(struct chan_app *app, uint32_t id, struct chan_dgram *h,
			const struct iovec *iov, int n, int flags, int peek_off)
{
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct source q = source_of(app, id, flags & CHAN_DG_ERRQ);
	bool peek = flags & CHAN_DG_PEEK;
	uint32_t skip = peek && peek_off > 0 ? (uint32_t)peek_off : 0;

	/* The common "none" without the lock. */
	if (q.pos == q.end)
		return -EAGAIN;
	int err = chan_lock(&b->rx_lock);
	if (err)
		return err;
	q = source_of(app, id, flags & CHAN_DG_ERRQ);
	ssize_t r = peek_to(&q, h, &skip);
	if (r == 0)
		r = copy_out(&q, h, skip, iov, n);
	if (r != -EAGAIN && r != -ENOBUFS && !peek) {
		q.pos += h->size;
		atomic_store_explicit(q.head, q.pos, memory_order_release);
		if (q.errq && is_icmp(h))
			settle_error(&q, b);
	}
	chan_unlock(&b->rx_lock);
	return r;
}

ssize_t chan_dgram_next_len(struct chan_app *app, uint32_t id)
{
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct chan_dgram h;

	if (chan_rx_avail(chan_sock_a(app, id), b) == 0)
		return -EAGAIN;
	int err = chan_lock(&b->rx_lock);
	if (err)
		return err;
	struct source q = source_of(app, id, false);
	err = load_header(&q, &h);
	chan_unlock(&b->rx_lock);
	return err ? err : (ssize_t)h.len;
}

/* ---- send ---- */
/* Room for one record. */
struct place {
	uint8_t *base; /* of the ring */
	uint32_t size, at;
};

static int grow(struct chan_app *app, uint32_t id, uint32_t want, uint32_t tail)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	struct chan_req req = { .op = CHAN_OP_TX_GROW, .sock = id,
				.gen = atomic_load_explicit(&a->gen, memory_order_relaxed),
				.arg = { want, tail } };

	return chan_call(app, a->worker, &req, NULL);
}

/* A place of size bytes at the tail, all in the newest segment. Linux takes a datagram of any length while
 * less than sk_sndbuf is under way. */
static int find_place(struct chan_app *app, uint32_t id, uint32_t size, uint32_t tail, struct place *p)
{
	const struct chan_sock_a *a = chan_sock_a(app, id);
	uint32_t used = 0;

	for (int pass = 0; pass < 2; pass++) {
		uint32_t una = atomic_load_explicit(&a->tx_una, memory_order_acquire);
		uint32_t n = atomic_load_explicit(&a->tx_nseg, memory_order_acquire);

		used = tail - una;
		if (used >= chan_dgram_sndbuf(a))
			return -EAGAIN;
		if (n > 0) {
			struct chan_seg s = a->tx_seg[(n - 1) % CHAN_SEGS];
			uint32_t from = (int32_t)(una - s.start) > 0 ? una : s.start;

			if (s.size - (tail - from) >= size) {
				uint8_t *base = chan_extent(app, s.extent);

				if (!base)
					return -ENOBUFS;
				*p = (struct place){ base + s.off, s.size,
						     (tail - s.start) & (s.size - 1) };
				return 0;
			}
		}
		if (pass == 0 && grow(app, id, size, tail) == -ENOTCONN)
			return -ENOTCONN;
	}
	return used ? -EAGAIN : -ENOBUFS;
}

/* 0 or -EFAULT: the bytes are the program's. */
static int put(struct place *p, const void *from, uint32_t n)
{
	uint32_t first = min_u32(n, p->size - p->at);

	if (unlikely(user_get(p->base + p->at, from, first) < 0 ||
		     user_get(p->base, (const uint8_t *)from + first, n - first) < 0))
		return -EFAULT;
	p->at = (p->at + n) & (p->size - 1);
	return 0;
}

/* Caller holds tx_lock. */
static int send_locked(struct chan_app *app, uint32_t id, struct chan_dgram *h,
		       const struct iovec *iov, int n)
{
	struct chan_sock_b *b = chan_sock_b(app, id);
	uint32_t tail = atomic_load_explicit(&b->tx_tail, memory_order_relaxed);
	uint32_t left = h->len;
	struct place p;
	int err = find_place(app, id, h->size, tail, &p);

	if (unlikely(err == -EAGAIN)) {
		chan_tx_want(chan_sock_a(app, id), b);
		err = find_place(app, id, h->size, tail, &p);
	}
	if (unlikely(err))
		return err;
	put(&p, h, sizeof(*h));
	for (int i = 0; i < n && left; i++) {
		uint32_t part = iov[i].iov_len < left ? (uint32_t)iov[i].iov_len : left;

		if (unlikely(part && put(&p, iov[i].iov_base, part) < 0))
			return -EFAULT;
		left -= part;
	}
	atomic_store_explicit(&b->tx_tail, tail + h->size, memory_order_release);
	return 0;
}

int chan_dgram_send(struct chan_app *app, uint32_t id, const struct chan_dgram *h,
		    const struct iovec *iov, int n)
{
	struct chan_sock_b *b = chan_sock_b(app, id);
	struct chan_dgram rec = *h;
	size_t len = 0;

	if (n < 0)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > CHAN_DGRAM_MAX - len)
			return -EMSGSIZE;
		len += iov[i].iov_len;
	}
	rec.len = (uint32_t)len;
	rec.size = chan_dgram_size(rec.len);
	int err = chan_lock(&b->tx_lock);
	if (err)
		return err;
	err = send_locked(app, id, &rec, iov, n);
	chan_unlock(&b->tx_lock);
	if (!err)
		chan_mark(app, id);
	return err;
}

/* ---- readiness ---- */
uint32_t chan_dgram_readiness(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	uint32_t fb = atomic_load_explicit(&b->flags, memory_order_relaxed);
	uint32_t mask = 0;

	if (chan_has_error(a, b) || chan_errq_pending(a, b) || chan_zc_pending(b))
		mask |= EPOLLERR;
	if (fb & CHAN_B_SHUT_RD)
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if ((fb & CHAN_B_SHUT_RD) && (fb & CHAN_B_SHUT_WR))
		mask |= EPOLLHUP;
	if (chan_rx_avail(a, b) > 0)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (chan_dgram_writable(a, b))
		mask |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	return mask;
}
