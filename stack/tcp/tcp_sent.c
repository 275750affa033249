/* The parts of the log of send times that only loss and large flights need. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_sent.h"

void tcp_sent_thin(struct tcp_sent *s)
{
	/* The later of each two stays: what is taken for sent later than it was is taken for lost
	 * later, never too early. */
	for (uint32_t i = 0; i < TCP_SENT_MARKS / 2; i++)
		*tcp_sent_at(s, i) = *tcp_sent_at(s, 2 * i + 1);
	s->n = TCP_SENT_MARKS / 2;
	s->step_us = (tcp_sent_at(s, s->n - 1u)->us - tcp_sent_at(s, 0)->us) / s->n;
}

uint32_t tcp_sent_when(const struct tcp_sent *s, seq_t end)
{
	uint32_t i = s->n ? s->n - 1u : 0;

	while (i > 0 && seq_ge(tcp_sent_at(s, i - 1)->end, end))
		i--;
	return tcp_sent_at(s, i)->us;
}

seq_t tcp_sent_until(const struct tcp_sent *s, uint32_t us, seq_t floor)
{
	for (uint32_t i = s->n; i-- > 0;) {
		if (!tcp_us_lt(us, tcp_sent_at(s, i)->us))
			return tcp_sent_at(s, i)->end;
	}
	return floor;
}
