/* One connection between two programs of one user, and an engine that stands still unless it is told to
 * go on: for tests of lanes (stack/chan/lane.h), where it matters what happens without it. */
// SPDX-License-Identifier: MIT
#pragma once
#include "pair.h"
#include <linux/tcp.h>
#include "stack/sock/sock_int.h"

enum duo_way { TO_S, TO_C };
struct duo {
	struct end l, c, s;
	uint64_t sent[2], got[2]; /* [enum duo_way] */
};
enum { DUO_RING = 16 << 10, DUO_RING_MAX = 1 << 20 };

/* The engine offers a lane after so many writes (0: never); c and s are connected, the engine rests. */
struct duo duo_open(uint32_t after);
/* The same, of these programs; what the control thread would answer is left to the caller. */
struct duo duo_open_as(uint32_t after, const struct client_conf *of_srv, const struct client_conf *of_cli);
/* Closes what is open, ends both programs, asserts that nothing is left. */
void duo_close(struct duo *d);
void duo_shut(struct end *e); /* close(), if it has not been yet */
/* The control thread's answer to SOCK_MAIL_PEER_WANTED of both. */
void duo_introduce(void);
/* The engine does what there is to do. */
void duo_settle(void);
/* Has the program asked the engine for a look? */
bool duo_marked(const struct chan_app *app);

static inline struct end duo_from(const struct duo *d, enum duo_way w) { return w == TO_S ? d->c : d->s; }
static inline struct end duo_to(const struct duo *d, enum duo_way w) { return w == TO_S ? d->s : d->c; }
static inline bool duo_may(const struct duo *d, enum duo_way w)
{
	return end_a(duo_from(d, w))->flags & CHAN_A_LANE_TX;
}
static inline bool duo_direct(const struct duo *d, enum duo_way w)
{
	return chan_lane_sends(end_a(duo_from(d, w)));
}
/* One write() of n more bytes of the pattern; what it took. */
ssize_t duo_put(struct duo *d, enum duo_way w, size_t n);
/* The same by the functions for sendfile(). */
ssize_t duo_send_chunk(struct duo *d, enum duo_way w, uint32_t n);
/* Its two halves: for what comes to pass between them. */
ssize_t duo_chunk_open(struct duo *d, enum duo_way w, uint32_t n);
void duo_chunk_send(struct duo *d, enum duo_way w, ssize_t room);
/* One read() of at most n; they must be the next of the pattern. */
size_t duo_take(struct duo *d, enum duo_way w, size_t n);
/* The same without looking at them. */
size_t duo_skip(struct duo *d, enum duo_way w, size_t n);
/* put, and take all of it, the engine doing its part. */
void duo_pass(struct duo *d, enum duo_way w, size_t n);
/* Writes until there is a lane of `size`, and it is in use. */
void duo_grow(struct duo *d, enum duo_way w, uint32_t size);
/* As CHAN_OP_INFO says; the engine rests again afterwards. */
struct tcp_info duo_info(struct end s);
/* What TCP has counted at both ends is what was written and read. */
void duo_check_counts(const struct duo *d);
