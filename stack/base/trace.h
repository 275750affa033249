/* Per-thread binary ring of the last events, always on; decoded by `fastnet trace` and by
 * scripts/gdb.py from a core. The kinds are one list (TRACE_KINDS). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

/* X(name, "format of a b c") - id is a socket or connection id, a..c are the event's words. */
#define TRACE_KINDS(X) \
	X(TCP_STATE, "state %u -> %u") \
	X(TCP_RX, "rx seq=%u ack=%u len/flags=%#x") \
	X(TCP_TX, "tx seq=%u ack=%u len/flags=%#x") \
	X(TCP_RTO, "rto fired, backoff=%u rto_us=%u") \
	X(TCP_RECOVERY, "recovery state %u -> %u, cwnd=%u") \
	X(TCP_DROP, "segment dropped, reason=%u") \
	X(SOCK_OPEN, "socket opened, client=%u") \
	X(SOCK_LANE, "lane to sock=%u, bytes=%u, number=%u") \
	X(SOCK_CLOSE, "socket closed, reason=%u") \
	X(SOCK_EVENT, "readiness %#x") \
	X(CLIENT, "client %u event %u") \
	X(DROP, "packet dropped, reason=%u len=%u")
enum trace_kind {
#define X(name, fmt) TRACE_##name,
	TRACE_KINDS(X)
#undef X
	TRACE_KIND_COUNT
};

struct trace_rec {
	uint64_t now_ns;
	uint32_t id;
	uint16_t kind, pad;
	uint32_t a, b, c, pad2;
};
_Static_assert(sizeof(struct trace_rec) == 32, "two a cache line");
enum { TRACE_RECORDS = 1 << 15 };
struct trace_ring {
	uint64_t next; /* records written so far; slot = next % TRACE_RECORDS */
	struct trace_rec rec[TRACE_RECORDS];
};
/* The ring of this thread; NULL (nothing recorded) until its owner sets it. */
extern __thread struct trace_ring *trace_this_thread;

static inline void trace_put(uint16_t kind, uint32_t id, uint64_t now_ns, uint32_t a, uint32_t b,
			     uint32_t c)
{
	struct trace_ring *t = trace_this_thread;
	if (!t)
		return;
	t->rec[t->next++ % TRACE_RECORDS] =
		(struct trace_rec){ .now_ns = now_ns, .id = id, .kind = kind, .a = a, .b = b, .c = c };
}
#define TRACE(kind, id, now_ns, a, b, c) trace_put(TRACE_##kind, id, now_ns, a, b, c)
/* One record as text into buf; returns its length. */
int trace_format(const struct trace_rec *r, char *buf, int size);
