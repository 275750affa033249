/* TCP option bytes (RFC 9293 3.1): a bounded iterator and a bounded writer. What the options mean
 * is tcp.c's job. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct tcp_opt {
	uint8_t kind;
	uint8_t len; /* bytes of data, without kind and length */
	const uint8_t *data;
};

struct tcp_opts_it {
	const uint8_t *p, *end;
	bool bad; /* stopped at an illegal length (RFC 9293 MUST-7) */
};

static inline struct tcp_opts_it tcp_opts_begin(const void *p, uint32_t n)
{
	const uint8_t *b = p;

	return (struct tcp_opts_it){ .p = b, .end = b + n };
}
/* The next option other than no-operation; false at the end of the list or on an illegal length. */
bool tcp_opts_next(struct tcp_opts_it *it, struct tcp_opt *opt);

struct tcp_opts_w {
	uint8_t *start, *p, *end;
};

static inline struct tcp_opts_w tcp_opts_writer(void *p, uint32_t room)
{
	uint8_t *b = p;

	return (struct tcp_opts_w){ .start = b, .p = b, .end = b + room };
}
/* Appends one option and returns where its data goes; NULL (nothing written) without the room. */
uint8_t *tcp_opts_put(struct tcp_opts_w *w, uint8_t kind, uint8_t data_len);
/* Appends up to n no-operation bytes, as far as there is room. */
void tcp_opts_nop(struct tcp_opts_w *w, uint32_t n);
/* Pads to a multiple of four bytes and returns the length of all options. */
uint32_t tcp_opts_finish(struct tcp_opts_w *w);
