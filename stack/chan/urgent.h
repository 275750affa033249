/* Urgent data (MSG_OOB), the application's side: Linux's rules about one byte that travels in the stream
 * and is read beside it.
 *
 * The engine publishes a->urg with each new pointer, before the rx_tail that covers its byte. While
 * b->urg_past is another number, the byte's position is a mark: reading stops there, then (without
 * SO_OOBINLINE) goes on behind the byte; whoever moves rx_head beyond it stores urg_past. These are
 * Linux's states of urg_data:
 *   0       urg_past == seq
 *   NOTYET  rx_tail has not passed the position
 *   VALID   it has
 *   READ    it has, and urg_taken == seq
 * A pointer that is replaced while its byte is here and the reader stands right before it takes that
 * byte along: the engine says so by a->urg_floor, which it alone can decide because it alone knows
 * what had arrived by then.
 *
 * SIGURG is sent before anything of this can be seen, so that a handler comes before the interrupted recv()
 * goes past the mark. But what the handler asks for must be there: CHAN_A_URG_BUSY is set before the signal
 * and cleared when the burst with the byte has been published; whoever looks waits for that, as in the
 * kernel for the lock of the socket.
 *
 * A stream that has never had urgent data has not CHAN_A_URGENT set, and none of this runs. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include "stack/chan/app.h"

static inline bool chan_has_urgent(const struct chan_sock_a *a)
{
	return atomic_load_explicit(&a->flags, memory_order_relaxed) & CHAN_A_URGENT;
}

/* Until the engine is done with an urgent pointer that it is about to publish. */
void chan_urg_wait(const struct chan_sock_a *a);

/* One look at a stream; all but avail is only meaningful with `on`. */
struct chan_urg_view {
	struct chan_urg u;
	uint32_t head;	/* position of the reader: Linux's copied_seq */
	uint32_t avail; /* bytes from there on */
	uint32_t ahead; /* from there to the urgent byte */
	bool on;	/* Linux: urg_data != 0 */
	bool here;	/* the byte has arrived */
	bool taken;	/* by MSG_OOB */
	bool is_inline;
};
struct chan_urg_view chan_urg_look(const struct chan_sock_a *a, const struct chan_sock_b *b);

/* For who copies, under b->rx_lock: of len bytes at `at` so many may be taken in one go. 0: the mark is
 * here, stop; CHAN_URG_HOLE: the byte at `at` is not part of the stream. past_mark: nothing has been taken
 * by this call yet and its caller knows that it starts at the mark. */
enum { CHAN_URG_HOLE = -1 };
ssize_t chan_urg_span(const struct chan_sock_a *a, const struct chan_sock_b *b, uint32_t at, ssize_t len,
		      bool past_mark);
/* rx_head is about to become this. */
void chan_urg_moved(const struct chan_sock_a *a, struct chan_sock_b *b, uint32_t head);
/* Bytes at `at` that chan_urg_span() would call holes. */
uint32_t chan_urg_holes(const struct chan_sock_a *a, const struct chan_sock_b *b, uint32_t at);

/* Receives the urgent byte beside the stream; peek leaves it. 0; -EINVAL: there is none, or not any more;
 * -EAGAIN: announced, not here; -EDEADLK, -ENOBUFS as chan_rx_read(). */
int chan_urg_take(struct chan_app *app, uint32_t id, bool peek, uint8_t *byte);

/* ---- send ---- */
/* The byte at pos, which is written and not yet published, is urgent. Caller holds b->tx_lock. */
void chan_urg_send(struct chan_sock_b *b, uint32_t pos);
/* Waits a moment until the engine has seen the last one: two in a row would be one to it. */
void chan_urg_settle(const struct chan_sock_a *a, const struct chan_sock_b *b);
