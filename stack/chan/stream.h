/* Byte streams between an application and a connection, the application's side: copy into the send
 * ring, copy out of the receive ring, take connections from a listener, and what poll() would say.
 * The engine's side with its checks is stack/sock/sock_buf.c.
 *
 * Publication: the engine stores bytes, segments (rx_nseg), then rx_tail (release), then flags and err,
 * then evseq. The application stores bytes, then tx_tail (release); it reads bytes, then stores rx_head
 * (release). A reader that loads flags (acquire) before rx_tail therefore knows that with RX_FIN set
 * rx_tail is final. Functions here that copy take the direction's lock; -EDEADLK: this thread holds it
 * further down its stack (a signal handler used the socket it interrupted): treat as would block. */
// SPDX-License-Identifier: MIT
#pragma once
#include <sys/epoll.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "stack/chan/app.h"
#include "stack/chan/lane.h"
#include "stack/chan/write.h"

/* ---- receive ---- */
static inline uint32_t chan_rx_avail(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	return chan_rx_end(a, b) - atomic_load_explicit(&b->rx_head, memory_order_relaxed);
}
enum chan_rx_flags {
	CHAN_RX_PEEK = 1,    /* leave the bytes */
	CHAN_RX_DISCARD = 2, /* drop bytes instead of copying (MSG_TRUNC): iov gives the length only */
	CHAN_RX_PAST_MARK = 4, /* begin at the urgent mark if it is there: else it is an end of data */
};
/* Copies what is there, at most what fits into iov; offset skips so many readable bytes (peek only).
 * Bytes, 0 when there are none (look at chan_rx_eof()), or -EDEADLK, -ENOBUFS (can't map), -EFAULT: an
 * address is bad, and the bytes are still there (a part of iov may have been written). iov itself must
 * be ours, the memory it names the program's. */
ssize_t chan_rx_read(struct chan_app *app, uint32_t id, const struct iovec *iov, int n, int flags,
		     uint32_t offset);
/* The byte at pos, which has arrived and is not yet read. Caller holds b->rx_lock. 0 or -ENOBUFS. */
int chan_rx_byte(struct chan_app *app, uint32_t id, uint32_t pos, uint8_t *byte);
/* True when all bytes are read and the peer's FIN (or our shutdown of reading, or the end of the
 * connection) follows. */
bool chan_rx_eof(const struct chan_sock_a *a, const struct chan_sock_b *b);
/* Contiguous readable bytes at the head: *p is valid until they are consumed by chan_rx_read with
 * DISCARD; for sendfile and splice. Caller holds b->rx_lock. 0: none. */
uint32_t chan_rx_chunk(struct chan_app *app, uint32_t id, const void **p);

/* ---- send ---- */
enum { CHAN_NOTSENT_STEP = 32 << 10 };
/* TCP_NOTSENT_LOWAT: what may be queued until so much is unsent; 0: not before some has been sent. As
 * Linux looks only when it needs a buffer, one step more is taken. */
static inline uint32_t chan_tx_unsent_room(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	uint32_t most = *(volatile const uint32_t *)&b->opts.notsent_lowat, unsent;

	if (likely(!most))
		return UINT32_MAX;
	unsent = atomic_load_explicit(&b->tx_tail, memory_order_relaxed) -
		 atomic_load_explicit(&a->tx_nxt, memory_order_acquire);
	if ((int32_t)unsent < 0)
		unsent = 0;
	return unsent >= most ? 0 : most - unsent > INT32_MAX ? INT32_MAX : most - unsent + CHAN_NOTSENT_STEP;
}
/* Bytes the application may still queue in the send ring, when `used` are in the buffer. */
static inline uint32_t chan_tx_space_of(const struct chan_sock_a *a, const struct chan_sock_b *b,
					uint32_t used)
{
	uint32_t max = *(volatile const uint32_t *)&a->sndbuf;

	if (used >= max || chan_lane_closes(a))
		return 0;
	return min_u32(max - used, chan_tx_unsent_room(a, b));
}
static inline uint32_t chan_tx_space(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	if (chan_lane_sends(a)) {
		uint32_t used = chan_lane_used(a), size = a->lane.tx_size;

		return used < size ? size - used : 0;
	}
	return chan_tx_space_of(a, b, atomic_load_explicit(&b->tx_tail, memory_order_relaxed) -
					      atomic_load_explicit(&a->tx_una, memory_order_acquire));
}
/* Linux's sk_stream_is_writeable(): free >= used / 2, that is a third of the buffer. Of the send ring: what
 * the engine asks. */
static inline bool chan_tx_ring_writable(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	uint32_t used = atomic_load_explicit(&b->tx_tail, memory_order_relaxed) -
			atomic_load_explicit(&a->tx_una, memory_order_acquire);
	uint32_t max = *(volatile const uint32_t *)&a->sndbuf;

	return used < max && max - used >= used / 2 && chan_tx_unsent_room(a, b) > 0;
}
static inline bool chan_tx_writable(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	if (!chan_has_lane(a))
		return chan_tx_ring_writable(a, b);
	if (chan_lane_sends(a))
		return chan_lane_writable(chan_lane_used(a), a->lane.tx_size);
	return chan_tx_ring_writable(a, b) && !chan_lane_closes(a);
}
/* ---- listener ---- */
/* Takes the oldest connection: sets our held bit, then moves rx_head. 0, -EAGAIN: none; -EDEADLK. */
int chan_accept_pop(struct chan_app *app, uint32_t listener, uint32_t *id, uint32_t *gen);
/* The engine has ended listening: waits for those who are in the middle of chan_accept_pop(), so that the
 * next CHAN_OP_LISTEN finds what they have taken. 0 or -EDEADLK. */
int chan_accept_settle(struct chan_app *app, uint32_t listener);

/* ---- errors and readiness ---- */
static inline bool chan_has_error(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	return atomic_load_explicit(&a->err_seq, memory_order_acquire) !=
	       atomic_load_explicit(&b->err_seen, memory_order_relaxed);
}
/* Takes the pending error, 0: none. One taker gets it. */
int chan_take_error(const struct chan_sock_a *a, struct chan_sock_b *b);
/* EPOLL* bits exactly as Linux's tcp_poll(): IN OUT RDHUP HUP ERR and RDNORM, WRNORM. Pure. Where OUT is
 * missing and wanted: chan_tx_want(), then ask again. */
uint32_t chan_readiness(const struct chan_sock_a *a, const struct chan_sock_b *b);

/* ---- the engine's half of the positions ---- */
/* The application's position as last stored, checked: *pos moves on to it and true, or false when it
 * went back or further than room: hostile. */
static inline bool chan_take_value(uint32_t *pos, uint32_t v, uint32_t room)
{
	if (unlikely(v - *pos > room))
		return false;
	*pos = v;
	return true;
}
static inline bool chan_take_pos(uint32_t *pos, const _Atomic uint32_t *shared, uint32_t room)
{
	return chan_take_value(pos, atomic_load_explicit(shared, memory_order_acquire), room);
}
