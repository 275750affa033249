/* Packets under way, ordered by when they arrive: a heap. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>
#include "tests/sim/sim.h"

struct sim_packet *sim_packet_new(struct sim *s, uint32_t len)
{
	struct sim_packet *p = malloc(sizeof(*p) + len);

	if (!p)
		abort();
	p->len = len;
	s->packets++;
	return p;
}

struct sim_packet *sim_packet_copy(struct sim *s, const struct sim_packet *p)
{
	struct sim_packet *q = sim_packet_new(s, p->len);

	memcpy(q->bytes, p->bytes, p->len);
	return q;
}

void sim_packet_free(struct sim *s, struct sim_packet *p)
{
	s->packets--;
	free(p);
}

static bool before(const struct sim_packet *a, const struct sim_packet *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

void sim_later(struct sim *s, struct sim_packet *p, struct sim_node *at, uint64_t delay_ns)
{
	p->at = at;
	p->due_ns = s->now_ns + delay_ns;
	p->order = s->order++;
	if (s->n_heap == s->heap_room) {
		s->heap_room = s->heap_room ? 2 * s->heap_room : 256;
		s->heap = realloc(s->heap, s->heap_room * sizeof(struct sim_packet *));
		if (!s->heap)
			abort();
	}
	uint32_t i = s->n_heap++;
	for (; i && before(p, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = p;
}

uint64_t sim_next_ns(const struct sim *s)
{
	return s->n_heap ? s->heap[0]->due_ns : UINT64_MAX;
}

struct sim_packet *sim_take_due(struct sim *s)
{
	if (!s->n_heap || s->heap[0]->due_ns > s->now_ns)
		return NULL;
	struct sim_packet *top = s->heap[0], *p = s->heap[--s->n_heap];
	uint32_t i = 0, k;

	for (; (k = 2 * i + 1) < s->n_heap; i = k) {
		if (k + 1 < s->n_heap && before(s->heap[k + 1], s->heap[k]))
			k++;
		if (!before(s->heap[k], p))
			break;
		s->heap[i] = s->heap[k];
	}
	if (s->n_heap)
		s->heap[i] = p;
	return top;
}
