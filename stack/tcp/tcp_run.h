/* Runs: ordered, disjoint intervals of sequence numbers, each in one state, from a pool of the data
 * thread. What has arrived out of order, and the scoreboard of what was sent (RFC 2018, RFC 6675),
 * are such lists; a connection without loss has two empty ones. Knows no connection.
 *
 * The pool is bounded. A short list gets its runs first, so that one connection with many holes
 * can't take from the others the few that they need. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "stack/base/seq.h"

enum {
	TCP_RUNS_POOL = 1 << 17, /* of a data thread: 4 MB, touched as far as it is needed */
	TCP_RUNS_MOST = 8192,	 /* of a list: what a peer can make us search */
	TCP_RUNS_SHORT = 8,	 /* a list of so few may use up the pool */
};

enum tcp_run_state {
	TCP_RUN_HELD,	/* the receiver has it, out of order */
	TCP_RUN_LOST,	/* taken for lost, not sent again yet */
	TCP_RUN_AGAIN,	/* lost, sent again, under way */
	TCP_RUN_LOST_AGAIN, /* lost, sent again, lost again */
	TCP_RUN_STATES
};

struct tcp_run {
	struct tcp_run *next, *prev;
	seq_t start, end;   /* end is not included */
	uint32_t sent_us;   /* AGAIN, LOST_AGAIN: when it was sent again */
	uint8_t state;
};

/* Zeroed memory is the empty list. `first` is last: each segment looks at it, see struct tcp_conn. */
struct tcp_runs {
	struct tcp_run *last;
	uint32_t n;
	uint32_t bytes[TCP_RUN_STATES]; /* sums of the lengths */
	struct tcp_run *first;
};

struct tcp_run_pool {
	struct tcp_run *base, *free;
	uint32_t used; /* ever taken; the free list holds the returned */
	uint32_t live;
};

/* 0 or -ENOMEM. */
int tcp_run_pool_init(struct tcp_run_pool *p);
/* CHECKs that every run is back. */
void tcp_run_pool_fini(struct tcp_run_pool *p);

static inline bool tcp_runs_empty(const struct tcp_runs *l) { return l->first == NULL; }
/* First run that ends after seq, or NULL. */
struct tcp_run *tcp_runs_find(const struct tcp_runs *l, seq_t seq);
/* [start, end), not empty, is one run in that state, whatever it was before; joined with equal
 * neighbours. False: no runs left, nothing is changed. */
bool tcp_runs_put(struct tcp_run_pool *p, struct tcp_runs *l, seq_t start, seq_t end,
		  enum tcp_run_state state, uint32_t sent_us);
/* [start, end) is in no run any more. False: no run left for the second half of a split one. */
bool tcp_runs_erase(struct tcp_run_pool *p, struct tcp_runs *l, seq_t start, seq_t end);
/* Forgets everything before upto. */
void tcp_runs_trim(struct tcp_run_pool *p, struct tcp_runs *l, seq_t upto);
void tcp_runs_clear(struct tcp_run_pool *p, struct tcp_runs *l);
/* [start, end) lies in the gap behind prev (NULL: before the first): one run of it. NULL: none left. */
struct tcp_run *tcp_runs_fill(struct tcp_run_pool *p, struct tcp_runs *l, struct tcp_run *prev,
			      seq_t start, seq_t end, enum tcp_run_state state);
/* The whole of r changes its state, in its place. */
void tcp_runs_restate(struct tcp_runs *l, struct tcp_run *r, enum tcp_run_state state);
/* r is plainly in flight again. */
void tcp_runs_drop(struct tcp_run_pool *p, struct tcp_runs *l, struct tcp_run *r);
/* Will the next put succeed? */
bool tcp_runs_room(const struct tcp_run_pool *p, const struct tcp_runs *l);
