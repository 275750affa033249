/* printf appended to a fixed buffer: always terminated, silently cut at the end. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdarg.h>
#include <stdio.h>

struct strbuf {
	char *p;
	int size; /* bytes at p, at least 1 */
	int len;  /* characters so far, < size */
};

static inline struct strbuf strbuf_of(char *p, int size)
{
	p[0] = 0;
	return (struct strbuf){ .p = p, .size = size };
}

static inline void strbuf_vput(struct strbuf *s, const char *fmt, va_list ap)
{
	int n = vsnprintf(s->p + s->len, (size_t)(s->size - s->len), fmt, ap);

	if (n > 0)
		s->len = n < s->size - s->len ? s->len + n : s->size - 1;
}

__attribute__((format(printf, 2, 3))) static inline void strbuf_put(struct strbuf *s,
								     const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vput(s, fmt, ap);
	va_end(ap);
}
