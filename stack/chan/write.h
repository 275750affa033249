/* Writing to a socket, the application's side: one contract for streams and datagrams, with a status that
 * says what happened and nothing about errno, signals or blocking (shim/sock_status.c makes those).
 *
 *   write n bytes    a stream takes what fits: CHAN_OK with *actual <= n, CHAN_SHOULD_WAIT when
 *                    nothing does. A datagram (to the connected peer; with an address: chan/dgram.h),
 *                    and a stream with CHAN_WRITE_WHOLE, is never short: all of it, or CHAN_SHOULD_WAIT
 *                    with nothing written, or CHAN_TOO_LONG.
 *   write 0 bytes    CHAN_OK when bytes could be written (of a datagram: an empty one is). The buffer may
 *                    be NULL.
 *   half-close       an option of a write of 0 bytes: from then on CHAN_CLOSED_HERE.
 *
 * On any other status nothing was written and *actual is untouched; *actual may be NULL. After
 * CHAN_SHOULD_WAIT, and after a short count, an event is on its way for when there is room: sleep
 * with the evseq that was read before the call. */
// SPDX-License-Identifier: MIT
#pragma once
#include <sys/types.h>
#include <sys/uio.h>
#include "stack/chan/app.h"

enum chan_status {
	CHAN_OK,
	CHAN_SHOULD_WAIT,   /* full, or still connecting */
	CHAN_CLOSED_HERE,   /* by a half-close or shutdown() of ours */
	CHAN_CLOSED_THERE,  /* the other side is gone, its error (if any) has been taken */
	CHAN_RESET,	    /* an error is pending, or the engine has ended */
	CHAN_NOT_CONNECTED, /* never was, or listens */
	CHAN_TOO_LONG,	    /* a datagram that no empty buffer would take */
	CHAN_NO_MEMORY,
	CHAN_WRONG_TYPE,    /* neither a stream nor datagrams */
	CHAN_BAD_HANDLE,    /* no such socket (any more) */
	CHAN_ACCESS_DENIED, /* this process has no descriptor of it */
	CHAN_BAD_BUFFER,    /* the bytes can't be read */
	CHAN_INVALID,	    /* unknown options, or a half-close with bytes */
	CHAN_STATUSES,
};
enum chan_write_options {
	CHAN_WRITE_HALF_CLOSE = 1,
	CHAN_WRITE_WHOLE = 2,
	CHAN_WRITE_URGENT = 4, /* of a stream: the last byte taken is urgent (MSG_OOB) */
};
struct chan_handle {
	uint32_t id, gen;
};

enum chan_status chan_write(struct chan_app *app, struct chan_handle h, uint32_t options,
			    const struct iovec *iov, int n, size_t *actual);
/* Could bytes be written now, as far as the socket's state goes? CHAN_OK says nothing about room. */
enum chan_status chan_write_state(struct chan_app *app, uint32_t id);
/* The status for a result of the functions below: >= 0 or -errno. */
enum chan_status chan_status_of(ssize_t r);

/* ---- what it is made of: no look at state or shutdown ---- */
/* Queues as much as fits, growing the ring when allowed, and marks the socket. Bytes taken, 0 when
 * full, -EDEADLK, -ENOTCONN (engine gone), -EFAULT (a bad address near the beginning). A short count has
 * done chan_tx_want(): wait with the evseq that was read before the call. Does not check state or
 * shutdown. */
ssize_t chan_tx_write(struct chan_app *app, uint32_t id, const struct iovec *iov, int n);
/* Contiguous writable bytes at the tail, at most `want`, ring grown if allowed; chan_tx_commit()
 * publishes the first n of them. For sendfile: read(2) straight into the ring. Caller holds
 * b->tx_lock. 0: full (want is armed), or -errno. */
ssize_t chan_tx_chunk(struct chan_app *app, uint32_t id, uint32_t want, void **p);
void chan_tx_commit(struct chan_app *app, uint32_t id, uint32_t n);
/* Asks for an event when a third of the buffer is free. CHAN_B_TX_WAIT is a toggle: the request stands
 * while it differs from CHAN_A_TX_WAKE, which the engine makes equal when it delivers. So it is asked
 * once, told once, and neither side clears what the other has set. A full barrier: look at the
 * space again afterwards, then sleep. */
void chan_tx_want(const struct chan_sock_a *a, struct chan_sock_b *b);
