/* Datagrams between an application and the rings of its socket: whole records in and out, the error
 * queue, readiness. The application's side, for shim/dgram*.c; the engine's is sock/sock_dgram.c.
 * No malloc, no system call except wake-ups, async-signal-safe like stream.h. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "stack/chan/app.h"

/* Bytes of a record with n bytes of payload. */
static inline uint32_t chan_dgram_size(uint32_t n)
{
	return (uint32_t)align_up(sizeof(struct chan_dgram) + n, CHAN_DGRAM_ALIGN);
}

/* Queues one datagram, all or nothing: h with size and len filled in here, then the bytes of iov. 0;
 * -EAGAIN: no room, chan_tx_want() has been done (wait with the evseq read before the call);
 * -EMSGSIZE: longer than CHAN_DGRAM_MAX, also with h->gso as on Linux; -EINVAL: iov;
 * -EDEADLK, -ENOTCONN (engine gone), -EFAULT (chan/user.h), -ENOBUFS: the ring is too small for it and
 * can't grow. A datagram larger than the whole send buffer goes when the buffer is empty, as on
 * Linux. Does not look at state, destination or permission. */
int chan_dgram_send(struct chan_app *app, uint32_t id, const struct chan_dgram *h,
		    const struct iovec *iov, int n);

/* sk_sndbuf: while less is under way the next datagram goes, however long it is. */
static inline uint32_t chan_dgram_sndbuf(const struct chan_sock_a *a)
{
	return 2 * *(volatile const uint32_t *)&a->sndbuf;
}
static inline bool chan_dgram_has_room(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	return atomic_load_explicit(&b->tx_tail, memory_order_relaxed) -
		       atomic_load_explicit(&a->tx_una, memory_order_acquire) <
	       chan_dgram_sndbuf(a);
}
/* Linux's sock_writeable(): less than half of sk_sndbuf is under way. */
static inline bool chan_dgram_writable(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	return atomic_load_explicit(&b->tx_tail, memory_order_relaxed) -
		       atomic_load_explicit(&a->tx_una, memory_order_acquire) <
	       *(volatile const uint32_t *)&a->sndbuf;
}

enum chan_dgram_recv_flags { CHAN_DG_PEEK = 1, CHAN_DG_ERRQ = 2 /* of the error queue */ };
/* Takes the oldest datagram: header in *h, as many bytes as fit into iov (the rest is lost; h->len says how
 * long it was). Bytes copied, -EAGAIN: none, -EDEADLK, -ENOBUFS (can't map), -EFAULT (a bad address: the
 * datagram is lost, as on Linux). With peek_off (>= 0) and CHAN_DG_PEEK copying starts at that
 * payload offset; datagrams that end before it are passed over, as SO_PEEK_OFF does. */
ssize_t chan_dgram_recv(struct chan_app *app, uint32_t id, struct chan_dgram *h,
			const struct iovec *iov, int n, int flags, int peek_off);
/* Payload bytes of the oldest datagram (FIONREAD), -EAGAIN: none. Takes the rx_lock for a moment. */
ssize_t chan_dgram_next_len(struct chan_app *app, uint32_t id);
static inline bool chan_errq_pending(const struct chan_sock_a *a, const struct chan_sock_b *b)
{
	return atomic_load_explicit(&a->errq_tail, memory_order_acquire) !=
	       atomic_load_explicit(&b->errq_head, memory_order_relaxed);
}
/* MSG_ZEROCOPY completions that the program has not read. */
static inline bool chan_zc_pending(const struct chan_sock_b *b)
{
	return atomic_load_explicit(&b->zc_next, memory_order_relaxed) !=
	       atomic_load_explicit(&b->zc_told, memory_order_relaxed);
}
/* EPOLL* bits as Linux's udp_poll(); chan_readiness() (stream.h) calls it for SOCK_DGRAM. */
uint32_t chan_dgram_readiness(const struct chan_sock_a *a, const struct chan_sock_b *b);
