/* Walks and writes TCP option bytes; never reads or writes outside the bounds it was given. */
// SPDX-License-Identifier: MIT
#include "stack/wire/tcp_opts.h"
#include <string.h>
#include "stack/wire/tcp.h"

bool tcp_opts_next(struct tcp_opts_it *it, struct tcp_opt *opt)
{
	while (it->p < it->end && *it->p == TCPO_NOP)
		it->p++;
	if (it->p == it->end || *it->p == TCPO_END)
		return false;
	/* The length counts the kind and itself: RFC 9293 MUST-7, a wrong one must not hang us. */
	if (it->end - it->p < 2 || it->p[1] < 2 || it->p[1] > it->end - it->p) {
		it->bad = true;
		it->end = it->p;
		return false;
	}
	*opt = (struct tcp_opt){ .kind = it->p[0], .len = it->p[1] - 2, .data = it->p + 2 };
	it->p += it->p[1];
	return true;
}

uint8_t *tcp_opts_put(struct tcp_opts_w *w, uint8_t kind, uint8_t data_len)
{
	uint8_t *at = w->p;

	if (w->end - at < data_len + 2)
		return NULL;
	at[0] = kind;
	at[1] = data_len + 2;
	w->p += data_len + 2;
	return at + 2;
}

void tcp_opts_nop(struct tcp_opts_w *w, uint32_t n)
{
	for (; n > 0 && w->p < w->end; n--)
		*w->p++ = TCPO_NOP;
}

uint32_t tcp_opts_finish(struct tcp_opts_w *w)
{
	tcp_opts_nop(w, (4 - (uint32_t)(w->p - w->start) % 4) % 4);
	return (uint32_t)(w->p - w->start);
}
