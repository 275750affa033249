/* The rings of a stream, engine's side: segments out of the client's payload extents, received bytes
 * in, pieces to send out. All positions used here are the engine's own checked copies. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

static uint32_t order_of(uint32_t size)
{
	return size <= 1u << BUDDY_SHIFT ? 0 : (uint32_t)__builtin_ctz(size) - BUDDY_SHIFT;
}

int sock_payload_add(struct client_worker *cw, enum region_kind kind, uint32_t number, void *base,
		     uint64_t bytes)
{
	struct sock_payload *p = &cw->payload[kind];

	if (p->n >= SOCK_PAYLOADS)
		return -ENOBUFS;
	int err = buddy_init(&p->ext[p->n].buddy, bytes);
	if (err)
		return err;
	p->ext[p->n].base = base;
	p->ext[p->n].number = number;
	p->n++;
	p->wanted = false;
	return 0;
}

/* More address space comes from the control thread. It is asked for while the last extent still has an
 * eighth, because who finds none has to do without: a handshake would wait for its next retransmission. */
static void want_extent(struct client_worker *cw, enum region_kind kind)
{
	struct sock_payload *p = &cw->payload[kind];
	struct sock_mail m = { .type = SOCK_MAIL_EXTENT_WANTED, .from = cw->env->worker,
			       .p = cw->client, .a = kind };

	if (!p->wanted && p->n < SOCK_PAYLOADS && !cw->deleting)
		p->wanted = cw->env->host->mail(cw->env->host_arg, UINT32_MAX, &m);
}

static int seg_alloc(struct client_worker *cw, enum region_kind kind, uint32_t size,
		     struct sock_seg *seg)
{
	struct client *c = cw->client;
	struct sock_payload *p = &cw->payload[kind];
	uint32_t order = order_of(size);
	uint64_t had = atomic_fetch_add_explicit(&c->n_bytes, size, memory_order_relaxed);

	if (c->conf.max_bytes && had + size > c->conf.max_bytes) {
		STAT_INC(chan_quota);
		goto fail;
	}
	for (uint32_t i = 0; i < p->n; i++) {
		uint32_t block = buddy_alloc(&p->ext[i].buddy, order);

		if (block == BUDDY_NONE)
			continue;
		p->used += 1u << order;
		p->peak = max_u32(p->peak, p->used);
		seg->s.size = size;
		seg->s.extent = p->ext[i].number;
		seg->s.off = block << BUDDY_SHIFT;
		seg->base = p->ext[i].base + seg->s.off;
		seg->ext = (uint8_t)i;
		seg->order = (uint8_t)order;
		if (unlikely(i + 1 == p->n && buddy_is_low(&p->ext[i].buddy)))
			want_extent(cw, kind);
		return 0;
	}
	want_extent(cw, kind);
fail:
	atomic_fetch_sub_explicit(&c->n_bytes, size, memory_order_relaxed);
	return -ENOBUFS;
}

static void seg_free(struct client_worker *cw, enum region_kind kind, const struct sock_seg *seg)
{
	struct sock_payload *p = &cw->payload[kind];

	buddy_free(&p->ext[seg->ext].buddy, seg->s.off >> BUDDY_SHIFT, seg->order);
	p->used -= 1u << seg->order;
	sock_shed_payload_look(cw, p);
	atomic_fetch_sub_explicit(&cw->client->n_bytes, seg->s.size, memory_order_relaxed);
}

static struct sock_ring *ring_of(struct sock *s, enum region_kind kind)
{
	return kind == REGION_DOWN ? &s->rx : &s->tx;
}

int sock_ring_open(struct sock *s, enum region_kind kind, uint32_t start, uint32_t size)
{
	struct sock_ring *r = ring_of(s, kind);
	struct sock_seg seg;

	if (r->n - r->first >= CHAN_SEGS)
		return -EAGAIN;
	int err = seg_alloc(s->cw, kind, size, &seg);
	if (err)
		return err;
	seg.s.start = start;
	r->seg[r->n % CHAN_SEGS] = seg;
	/* The slot is dead for the application: its position has passed that segment (stream.c). */
	if (kind == REGION_DOWN) {
		s->a->rx_seg[r->n % CHAN_SEGS] = seg.s;
		atomic_store_explicit(&s->a->rx_nseg, ++r->n, memory_order_release);
	} else {
		s->a->tx_seg[r->n % CHAN_SEGS] = seg.s;
		atomic_store_explicit(&s->a->tx_nseg, ++r->n, memory_order_release);
	}
	return 0;
}

/* Positions are compared with a segment's start by sign, which holds for 2 GB: the start of the only
 * segment follows the stream, by multiples of its size so that no byte changes its place. It stays
 * at or behind pos, which the application has passed. */
static void ring_follow(struct sock *s, enum region_kind kind, uint32_t pos)
{
	struct sock_ring *r = ring_of(s, kind);
	struct chan_seg *seg = &ring_last(r)->s, *shown;

	if ((int32_t)(pos - seg->start) < SOCK_RING_NEAR)
		return;
	seg->start += (pos - seg->start) & ~(seg->size - 1);
	shown = kind == REGION_DOWN ? &s->a->rx_seg[(r->n - 1) % CHAN_SEGS] :
				      &s->a->tx_seg[(r->n - 1) % CHAN_SEGS];
	*(volatile uint32_t *)&shown->start = seg->start;
}

void sock_ring_trim_slow(struct sock *s, enum region_kind kind, uint32_t pos)
{
	struct sock_ring *r = ring_of(s, kind);

	while (r->n - r->first > 1 &&
	       (int32_t)(pos - r->seg[(r->first + 1) % CHAN_SEGS].s.start) >= 0)
		seg_free(s->cw, kind, &r->seg[r->first++ % CHAN_SEGS]);
	if (r->n - r->first == 1)
		ring_follow(s, kind, pos);
}

int sock_errq_open(struct sock *s, uint32_t size)
{
	struct sock_seg seg;
	int err = seg_alloc(s->cw, REGION_DOWN, size, &seg);

	if (err)
		return err;
	seg.s.start = 0;
	s->dg.errq = seg.base;
	s->dg.errq_off = seg.s.off;
	s->dg.errq_ext = seg.ext;
	s->a->errq = seg.s;
	sock_set_flag(s, CHAN_A_ERRQ, 0);
	return 0;
}

static void errq_free(struct sock *s)
{
	const struct sock_seg seg = { .s = { .off = s->dg.errq_off, .size = DGRAM_ERRQ_SIZE },
				      .ext = s->dg.errq_ext,
				      .order = (uint8_t)order_of(DGRAM_ERRQ_SIZE) };

	seg_free(s->cw, REGION_DOWN, &seg);
}

void sock_ring_free(struct sock *s)
{
	if (s->dgram && s->dg.errq)
		errq_free(s);
	for (; s->rx.first != s->rx.n; s->rx.first++)
		seg_free(s->cw, REGION_DOWN, &s->rx.seg[s->rx.first % CHAN_SEGS]);
	for (; s->tx.first != s->tx.n; s->tx.first++)
		seg_free(s->cw, REGION_UP, &s->tx.seg[s->tx.first % CHAN_SEGS]);
}

/* The segment that holds pos, NULL: none; *end is where its positions end (limit, or the next one's
 * start). */
static struct sock_seg *ring_at(struct sock_ring *r, uint32_t pos, uint32_t *end)
{
	for (uint32_t i = r->n; i != r->first; i--) {
		struct sock_seg *seg = &r->seg[(i - 1) % CHAN_SEGS];

		if ((int32_t)(pos - seg->s.start) >= 0)
			return seg;
		if ((int32_t)(seg->s.start - *end) < 0)
			*end = seg->s.start;
	}
	return NULL;
}

/* Eight times larger each time, so that CHAN_SEGS steps reach any size; the last free slot takes the
 * largest ring at once. */
static uint32_t grow_size(const struct sock_ring *r, uint32_t first, uint32_t need, uint32_t max)
{
	uint32_t cur = r->n != r->first ? r->seg[(r->n - 1) % CHAN_SEGS].s.size : 0;
	uint32_t size = cur ? cur * 8 : first;

	max = pow2_ceil(max);
	size = max_u32(size, pow2_ceil(need));
	if (r->n - r->first >= CHAN_SEGS - 1)
		size = max_u32(size, max);
	return max_u32(min_u32(size, max), 1u << BUDDY_SHIFT);
}

/* ---- receive ---- */
/* How much may be unread: SO_RCVBUF, or what the peer has been promised before that became smaller. */
static uint32_t stream_rx_max(const struct sock *s)
{
	const struct tcp_conn *c = &s->conn;
	int32_t promised = (int32_t)(seq_diff(c->rcv_adv, c->irs) - 1 - s->rx_head);

	return max_u32(c->opts.rcvbuf, promised > 0 ? (uint32_t)promised : 0);
}

/* Invariant: all positions stored in a segment lie within its size from the larger of its start and
 * rx_head. */
int sock_rx_room(struct sock *s, uint32_t end)
{
	if ((int32_t)(end - s->rx_end) <= 0)
		return 0;
	for (int pass = 0; pass < 2; pass++) {
		struct sock_seg *seg = s->rx.n ? ring_last(&s->rx) : NULL;

		if (seg) {
			uint32_t from = (int32_t)(s->rx_head - seg->s.start) > 0 ? s->rx_head :
										   seg->s.start;

			if ((int32_t)(end - from) <= (int32_t)seg->s.size)
				return 0;
		}
		/* Perhaps the application has read meanwhile. */
		if (pass == 0 && !sock_take_rx(s))
			return -ENOMEM;
	}
	uint32_t start = s->rx_end, need = end - start;
	if (need > 2 * SOCK_BUF_MAX)
		return -ENOMEM;
	uint32_t max = max_u32(s->dgram ? sock_dgram_rx_max(s) : stream_rx_max(s), need);
	uint32_t size = grow_size(&s->rx, SOCK_RX_FIRST, need, max);

	return sock_ring_open(s, REGION_DOWN, start, size) ? -ENOMEM : 0;
}

int sock_rx_store(struct sock *s, uint32_t pos, const void *p, uint32_t len)
{
	const uint8_t *from = p;
	uint32_t end = pos + len;

	while (pos != end) {
		uint32_t stop = end;
		struct sock_seg *seg = ring_at(&s->rx, pos, &stop);

		if (!seg)
			return -ENOMEM;
		uint32_t at = (pos - seg->s.start) & (seg->s.size - 1);
		uint32_t n = min_u32(stop - pos, seg->s.size - at);
		memcpy(seg->base + at, from, n);
		from += n;
		pos += n;
	}
	return 0;
}

bool sock_rx_load(struct sock *s, uint32_t pos, void *p, uint32_t len)
{
	uint32_t end = pos + len;
	uint8_t *to = p;

	while (pos != end) {
		uint32_t stop = end;
		struct sock_seg *seg = ring_at(&s->rx, pos, &stop);

		if (!seg)
			return false;
		uint32_t at = (pos - seg->s.start) & (seg->s.size - 1);
		uint32_t n = min_u32(stop - pos, seg->s.size - at);
		memcpy(to, seg->base + at, n);
		to += n;
		pos += n;
	}
	return true;
}

/* Where the next len bytes in order lie as one run of the newest segment that is free: nearly always. NULL:
 * not so. */
static inline void *rx_next(struct sock *s, uint32_t pos, uint32_t len)
{
	if (unlikely(pos != s->rx_end || s->rx.n == s->rx.first))
		return NULL;
	struct sock_seg *seg = ring_last(&s->rx);
	uint32_t off = pos - seg->s.start, at = off & (seg->s.size - 1);
	uint32_t kept = min_u32(off, pos - s->rx_head); /* as sock_rx_room() */

	if (unlikely((int32_t)off < 0 || kept + len > seg->s.size || at + len > seg->s.size))
		return NULL;
	return seg->base + at;
}

int sock_rx_write(struct tcp_env *tcp, struct tcp_conn *c, uint32_t pos, const void *p,
		  uint32_t len)
{
	struct sock *s = sock_of(c);
	uint32_t end = pos + len;
	void *to = rx_next(s, pos, len);

	if (likely(to)) {
		memcpy(to, p, len);
		s->rx_end = end;
		return 0;
	}
	if (sock_rx_room(s, end) < 0 || sock_rx_store(s, pos, p, len) < 0)
		return -ENOMEM;
	if ((int32_t)(end - s->rx_end) > 0)
		s->rx_end = end;
	return 0;
}

/* ---- send ---- */
unsigned sock_tx_pieces(struct sock *s, uint32_t pos, uint32_t len, struct sock_piece piece[8])
{
	uint32_t end = pos + len;
	unsigned n = 0;

	if (likely(len && s->tx.n != s->tx.first)) { /* one run of the newest segment: nearly always */
		const struct sock_seg *seg = ring_last(&s->tx);
		uint32_t off = pos - seg->s.start, at = off & (seg->s.size - 1);

		if (likely((int32_t)off >= 0 && at + len <= seg->s.size)) {
			piece[0] = (struct sock_piece){ seg->base + at, len };
			return 1;
		}
	}
	while (pos != end) {
		uint32_t stop = end;
		struct sock_seg *seg = ring_at(&s->tx, pos, &stop);

		if (!seg || n == 8)
			return 0;
		uint32_t at = (pos - seg->s.start) & (seg->s.size - 1);
		uint32_t part = min_u32(stop - pos, seg->s.size - at);
		piece[n++] = (struct sock_piece){ seg->base + at, part };
		pos += part;
	}
	return n;
}

int sock_tx_grow(struct sock *s, uint64_t want, uint32_t tail)
{
	uint32_t used, max, size;

	if (!sock_take_tx(s))
		return -EINVAL;
	if (tail != s->tx_tail)
		return -EINVAL;
	used = s->tx_tail - s->tx_una;
	max = s->dgram ? sock_dgram_tx_max(s) : s->a->sndbuf;
	size = grow_size(&s->tx, SOCK_TX_FIRST, (uint32_t)min_u64(want, max - min_u32(used, max)) + 1,
			 max);
	if (s->tx.n != s->tx.first && ring_last(&s->tx)->s.size >= size)
		return 0;
	int err = sock_ring_open(s, REGION_UP, s->tx_tail, size);
	/* What can't be had is not promised: else the socket would look writable and not be. */
	if (err && s->tx.n != s->tx.first)
		s->a->sndbuf = max_u32(ring_last(&s->tx)->s.size, 1u << BUDDY_SHIFT) >> s->dgram;
	if (!err && (s->started || s->dgram))
		sock_ring_trim(s, REGION_UP, s->tx_una);
	return err;
}
