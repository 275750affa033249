/* The parts of the log of send times that only loss and large flights need. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_sent.h"

void tcp_sent_thin(struct tcp_sent *s)
{
	/* The later of each two stays: what is taken for sent later than it was is taken for lost
	 * later, never too early. */
	for (uint32_t i = 0; i < TCP_SENT_MARKS / 2; i++) {
		uint32_t from_us = tcp_sent_at(s, 2 * i)->from_us;

		*tcp_sent_at(s, i) = *tcp_sent_at(s, 2 * i + 1);
		tcp_sent_at(s, i)->from_us = from_us;
	}
	s->n = TCP_SENT_MARKS / 2;
	s->step_us = (tcp_sent_at(s, s->n - 1u)->us - tcp_sent_at(s, 0)->us) / s->n;
}

bool tcp_sent_within(const struct tcp_sent *s, seq_t start, seq_t end, uint32_t *us)
{
	for (uint32_t i = s->n; i-- > 0;) {
		const struct tcp_sent_mark *m = tcp_sent_at(s, i);

		if (seq_gt(m->end, end))
			continue;
		*us = m->us;
		return seq_gt(m->end, start);
	}
	return false;
}

/* The mark that the byte before end belongs to. */
static const struct tcp_sent_mark *mark_of(const struct tcp_sent *s, seq_t end)
{
	uint32_t i = s->n ? s->n - 1u : 0;

	while (i > 0 && seq_ge(tcp_sent_at(s, i - 1)->end, end))
		i--;
	return tcp_sent_at(s, i);
}

uint32_t tcp_sent_when(const struct tcp_sent *s, seq_t end) { return mark_of(s, end)->us; }
uint32_t tcp_sent_since(const struct tcp_sent *s, seq_t end) { return mark_of(s, end)->from_us; }

seq_t tcp_sent_until(const struct tcp_sent *s, uint32_t us, seq_t floor)
{
	for (uint32_t i = s->n; i-- > 0;) {
		if (!tcp_us_lt(us, tcp_sent_at(s, i)->us))
			return tcp_sent_at(s, i)->end;
	}
	return floor;
}

uint32_t tcp_sent_guess(const struct tcp_sent *s, seq_t una)
{
	const struct tcp_sent_mark *from = &s->past, *to = tcp_sent_at(s, 0);
	uint32_t bytes = seq_diff(to->end, from->end), us = to->us - from->us;

	if (s->n == 0 || !seq_gt(una, from->end) || !seq_lt(una, to->end))
		return from->us;
	return from->us + (uint32_t)((uint64_t)us * seq_diff(una, from->end) / bytes);
}
