/* Lists of runs: search from the nearer end, split, join, exact sums. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_run.h"
#include <errno.h>
#include <stdlib.h>
#include "stack/base/bug.h"
#include "stack/base/util.h"

enum { PUT_MOST = 2 }; /* runs that a put, at most, needs: itself and half of what it splits */

int tcp_run_pool_init(struct tcp_run_pool *p)
{
	/* calloc leaves the pages untouched until a run is used */
	*p = (struct tcp_run_pool){ .base = calloc(TCP_RUNS_POOL, sizeof(struct tcp_run)) };
	return p->base ? 0 : -ENOMEM;
}

void tcp_run_pool_fini(struct tcp_run_pool *p)
{
	CHECK(p->live == 0);
	free(p->base);
}

/* May l grow by n runs? Then run_new() succeeds so often. */
static bool has_room(const struct tcp_run_pool *p, const struct tcp_runs *l, uint32_t n)
{
	uint32_t most = l->n + n <= TCP_RUNS_SHORT ? TCP_RUNS_POOL : TCP_RUNS_POOL / 4 * 3;

	return l->n + n <= TCP_RUNS_MOST && p->live + n <= most;
}

static struct tcp_run *run_new(struct tcp_run_pool *p)
{
	struct tcp_run *r = p->free;

	if (r)
		p->free = r->next;
	else
		r = &p->base[p->used++];
	p->live++;
	return r;
}

static uint32_t len_of(const struct tcp_run *r) { return seq_diff(r->end, r->start); }

/* r goes behind prev, NULL: to the front. */
static void link_run(struct tcp_runs *l, struct tcp_run *r, struct tcp_run *prev)
{
	struct tcp_run *next = prev ? prev->next : l->first;

	r->prev = prev;
	r->next = next;
	*(prev ? &prev->next : &l->first) = r;
	*(next ? &next->prev : &l->last) = r;
	l->n++;
	l->bytes[r->state] += len_of(r);
}

void tcp_runs_drop(struct tcp_run_pool *p, struct tcp_runs *l, struct tcp_run *r)
{
	*(r->prev ? &r->prev->next : &l->first) = r->next;
	*(r->next ? &r->next->prev : &l->last) = r->prev;
	l->n--;
	l->bytes[r->state] -= len_of(r);
	r->next = p->free;
	p->free = r;
	p->live--;
}

struct tcp_run *tcp_runs_find(const struct tcp_runs *l, seq_t seq)
{
	struct tcp_run *r = l->first;

	if (!r || seq_le(l->last->end, seq))
		return NULL;
	/* The newest news is about the end of the list, acknowledgements are about its front. */
	if (seq_lt(seq, r->end) || seq_diff(seq, r->start) < seq_diff(l->last->end, seq)) {
		while (seq_le(r->end, seq))
			r = r->next;
		return r;
	}
	for (r = l->last; r->prev && seq_lt(seq, r->prev->end);)
		r = r->prev;
	return r;
}

/* Takes [start, end) out of the list; *prev is the run before the gap, or NULL. There is room for
 * one more run. */
static void cut(struct tcp_run_pool *p, struct tcp_runs *l, seq_t start, seq_t end,
		struct tcp_run **prev)
{
	struct tcp_run *r = tcp_runs_find(l, start);

	*prev = r ? r->prev : l->last;
	if (r && seq_lt(r->start, start)) {
		if (seq_lt(end, r->end)) { /* in the middle of it */
			struct tcp_run *tail = run_new(p);

			*tail = *r;
			tail->start = end;
			l->bytes[r->state] -= seq_diff(r->end, start);
			r->end = start;
			link_run(l, tail, r);
			*prev = r;
			return;
		}
		l->bytes[r->state] -= seq_diff(r->end, start);
		r->end = start;
		*prev = r;
		r = r->next;
	}
	while (r && seq_le(r->end, end)) {
		struct tcp_run *next = r->next;

		tcp_runs_drop(p, l, r);
		r = next;
	}
	if (r && seq_lt(r->start, end)) {
		l->bytes[r->state] -= seq_diff(end, r->start);
		r->start = end;
	}
}

/* Do a and b, which may be NULL, touch and say the same? Then they become one. */
static void join(struct tcp_run_pool *p, struct tcp_runs *l, struct tcp_run *a, struct tcp_run *b)
{
	if (!a || !b || !seq_eq(a->end, b->start) || a->state != b->state ||
	    a->sent_us != b->sent_us)
		return;
	uint32_t len = len_of(b);
	a->end = b->end;
	tcp_runs_drop(p, l, b);
	l->bytes[a->state] += len;
}

bool tcp_runs_put(struct tcp_run_pool *p, struct tcp_runs *l, seq_t start, seq_t end,
		  enum tcp_run_state state, uint32_t sent_us)
{
	struct tcp_run *r = l->last;

	/* The common case, when things go wrong: the last one gets longer. */
	if (r && r->state == state && r->sent_us == sent_us && seq_eq(r->end, start)) {
		l->bytes[state] += seq_diff(end, start);
		r->end = end;
		return true;
	}
	if (!has_room(p, l, PUT_MOST))
		return false;
	cut(p, l, start, end, &r);
	struct tcp_run *new = run_new(p);
	*new = (struct tcp_run){ .start = start, .end = end, .sent_us = sent_us,
				 .state = (uint8_t)state };
	link_run(l, new, r);
	join(p, l, new, new->next);
	join(p, l, r, new);
	return true;
}

struct tcp_run *tcp_runs_fill(struct tcp_run_pool *p, struct tcp_runs *l, struct tcp_run *prev,
			      seq_t start, seq_t end, enum tcp_run_state state)
{
	if (!has_room(p, l, 1))
		return NULL;
	struct tcp_run *r = run_new(p);
	*r = (struct tcp_run){ .start = start, .end = end, .state = (uint8_t)state };
	link_run(l, r, prev);
	join(p, l, r, r->next);
	if (!prev || !seq_eq(prev->end, start) || prev->state != state || prev->sent_us)
		return r;
	join(p, l, prev, r);
	return prev;
}

void tcp_runs_restate(struct tcp_runs *l, struct tcp_run *r, enum tcp_run_state state)
{
	l->bytes[r->state] -= len_of(r);
	r->state = (uint8_t)state;
	l->bytes[r->state] += len_of(r);
}

bool tcp_runs_room(const struct tcp_run_pool *p, const struct tcp_runs *l)
{
	return has_room(p, l, PUT_MOST);
}

bool tcp_runs_erase(struct tcp_run_pool *p, struct tcp_runs *l, seq_t start, seq_t end)
{
	struct tcp_run *prev, *r = tcp_runs_find(l, start);

	if (!r || seq_le(end, r->start))
		return true;
	if (seq_lt(r->start, start) && seq_lt(end, r->end) && !has_room(p, l, 1))
		return false;
	cut(p, l, start, end, &prev);
	return true;
}

void tcp_runs_trim(struct tcp_run_pool *p, struct tcp_runs *l, seq_t upto)
{
	struct tcp_run *r;

	while ((r = l->first) && seq_le(r->end, upto))
		tcp_runs_drop(p, l, r);
	if (r && seq_lt(r->start, upto)) {
		l->bytes[r->state] -= seq_diff(upto, r->start);
		r->start = upto;
	}
}

void tcp_runs_clear(struct tcp_run_pool *p, struct tcp_runs *l)
{
	while (l->first)
		tcp_runs_drop(p, l, l->first);
}
