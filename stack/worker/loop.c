/* Segments to our own addresses never become frames: they wait here, payload copied, and go back into
 * TCP as they are. No headers, no checksums, no port. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/pool.h"
#include "stack/base/stats.h"
#include "stack/worker/worker_int.h"

struct loop_seg {
	struct list link;
	struct tcp_flow flow; /* as the receiver sees it */
	struct tcp_seg seg;
	uint8_t data[];
};

struct worker_loop {
	struct list waiting;
	struct pool pool;
	uint32_t room; /* payload bytes of a segment */
	uint32_t n;
};

int loop_init(struct worker *w)
{
	struct worker_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	list_init(&l->waiting);
	l->room = max_u32(LOOP_MSS, w->sock.tcp.tso_bytes);
	pool_init(&l->pool, sizeof(struct loop_seg) + l->room, 16, LOOP_SEGS, &pool_mem_libc);
	w->loop = l;
	return 0;
}

void loop_fini(struct worker *w)
{
	struct list *it;

	if (!w->loop)
		return;
	while ((it = list_pop(&w->loop->waiting)))
		pool_free(&w->loop->pool, container_of(it, struct loop_seg, link));
	pool_fini(&w->loop->pool);
	free(w->loop);
	w->loop = NULL;
}

void loop_push(struct worker *w, const struct tcp_flow *flow, const struct tcp_seg *seg,
	       const struct sock_piece *piece, unsigned n_pieces)
{
	struct worker_loop *l = w->loop;
	struct loop_seg *s = seg->len <= l->room ? pool_alloc(&l->pool) : NULL;
	uint32_t off = 0;

	if (!s) {
		STAT_INC(port_drop_nombuf);
		return;
	}
	s->flow.local = flow->remote;
	s->flow.remote = flow->local;
	s->seg = *seg;
	for (unsigned i = 0; i < n_pieces; i++) {
		memcpy(s->data + off, piece[i].p, piece[i].len);
		off += piece[i].len;
	}
	list_push(&l->waiting, &s->link);
	l->n++;
}

uint32_t loop_drain(struct worker *w)
{
	struct worker_loop *l = w->loop;
	uint32_t n = l->n;

	for (uint32_t i = 0; i < n; i++) {
		struct loop_seg *s = container_of(list_pop(&l->waiting), struct loop_seg, link);

		l->n--;
		if (likely(!w->bridge) || !bridge_local_tcp(w, &s->flow, &s->seg, s->data))
			tcp_input(&w->sock.tcp, &s->flow, &s->seg, s->data, w->now_ns);
		pool_free(&l->pool, s);
	}
	return n;
}

bool loop_pending(const struct worker *w) { return w->loop->n > 0; }
