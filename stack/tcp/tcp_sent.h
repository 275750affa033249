/* When was it sent? Marks over the bytes in flight, in the order in which they left the first time.
 * Every burst is a mark of its own, until there are too many: then bursts share one for a while, so
 * that a flight of any length is known to about a sixteenth. Knows no connection and no clock.
 *
 * What was sent again has its time in the scoreboard (tcp_run.h). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/seq.h"
#include "stack/base/util.h"

enum { TCP_SENT_MARKS = 32, TCP_SENT_FEW = 8 };

/* Zeroed memory is the empty log. Times are microseconds modulo 2^32. */
struct tcp_sent {
	uint8_t first, n; /* a ring */
	uint32_t step_us; /* so long a mark takes further bursts */
	struct tcp_sent_mark {
		seq_t end;	  /* what lies behind the mark before and before this left ... */
		uint32_t from_us; /* ... not before this */
		uint32_t us;	  /* ... nor after this */
	} past, mark[TCP_SENT_MARKS]; /* past: the last that was forgotten */
};

static inline uint32_t tcp_us(uint64_t now_ns) { return (uint32_t)(now_ns / NSEC_PER_USEC); }
/* Is time a before b? */
static inline bool tcp_us_lt(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }

static inline struct tcp_sent_mark *tcp_sent_at(const struct tcp_sent *s, uint32_t i)
{
	return (struct tcp_sent_mark *)&s->mark[(s->first + i) % TCP_SENT_MARKS];
}

/* The log is full: every second mark goes, and marks are further apart from now on. */
void tcp_sent_thin(struct tcp_sent *s);

/* Everything up to end, and not sent before, leaves now. */
static inline void tcp_sent_note(struct tcp_sent *s, seq_t end, uint32_t now_us)
{
	if (s->n) {
		struct tcp_sent_mark *last = tcp_sent_at(s, s->n - 1u);

		if (last->us == now_us || now_us - last->from_us < s->step_us) {
			last->end = end;
			last->us = now_us;
			return;
		}
		if (unlikely(s->n == TCP_SENT_MARKS))
			tcp_sent_thin(s);
	}
	*tcp_sent_at(s, s->n++) = (struct tcp_sent_mark){ end, now_us, now_us };
}

/* Forgets what lies before una. True: a mark was passed, *us is the time of the last one. */
static inline bool tcp_sent_acked(struct tcp_sent *s, seq_t una, uint32_t *us)
{
	bool passed = false;

	while (s->n && seq_le(s->mark[s->first].end, una)) {
		s->past = s->mark[s->first];
		s->first = (uint8_t)((s->first + 1) % TCP_SENT_MARKS);
		s->n--;
		passed = true;
	}
	*us = s->past.us;
	if (s->n < TCP_SENT_FEW)
		s->step_us = 0;
	if (s->n == 0) /* who has one burst under way at a time stays in the line of the first mark */
		s->first = 0;
	return passed;
}

/* When did the byte before una, the first that is remembered, leave? As if bytes that share a mark had left
 * evenly. */
uint32_t tcp_sent_guess(const struct tcp_sent *s, seq_t una);
/* Exactly when did the last burst leave that ended behind start and not behind end? False: none did. */
bool tcp_sent_within(const struct tcp_sent *s, seq_t start, seq_t end, uint32_t *us);
/* When the byte before end left for the first time, or a little later. */
uint32_t tcp_sent_when(const struct tcp_sent *s, seq_t end);
/* The same, or a little earlier. */
uint32_t tcp_sent_since(const struct tcp_sent *s, seq_t end);
/* Everything before the result left at us or earlier; floor: when nothing did. */
seq_t tcp_sent_until(const struct tcp_sent *s, uint32_t us, seq_t floor);
