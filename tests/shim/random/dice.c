/* The dice (splitmix64: each step has its own, so that dropping one leaves the others alone), and
 * the trace: one line a step. */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"
#include <stdarg.h>

static char line[4096];
static size_t line_len;

uint64_t roll64(struct dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint32_t roll(struct dice *d, uint32_t n)
{
	return n ? (uint32_t)(roll64(d) >> 32) % n : 0;
}

bool chance(struct dice *d, uint32_t percent)
{
	return roll(d, 100) < percent;
}

void tr(const char *fmt, ...)
{
	int err = errno;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line + line_len, sizeof(line) - line_len, fmt, ap);
	va_end(ap);
	if (n > 0)
		line_len += (size_t)n;
	if (line_len >= sizeof(line))
		line_len = sizeof(line) - 1;
	errno = err;
}

long tr_res(long value)
{
	if (value < 0)
		tr(" = %ld %s", value, t_errname(errno));
	else
		tr(" = %ld", value);
	return value;
}

int tr_fd(int fd)
{
	if (fd < 0)
		tr(" = %d %s", fd, t_errname(errno));
	else
		tr(" = fd+%d", fd - w.base_fd);
	return fd;
}

/* One write a line: after a crash or in a hang the last line shows where. */
void tr_flush(void)
{
	line[line_len] = '\n';
	if (write(STDOUT_FILENO, line, line_len + 1) < 0)
		_exit(3);
	line_len = 0;
}

static unsigned char pattern(uint32_t pos)
{
	return (unsigned char)(pos * 31 + (pos >> 8) * 17 + (pos >> 16) * 7 + 1);
}

void fill_pattern(unsigned char *to, uint32_t pos, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = pattern(pos + (uint32_t)i);
}

const char *check_pattern(const unsigned char *got, uint32_t pos, size_t n)
{
	static char text[64];

	for (size_t i = 0; i < n; i++) {
		if (got[i] == pattern(pos + (uint32_t)i))
			continue;
		snprintf(text, sizeof(text), "WRONG at %zu of %zu", i, n);
		return text;
	}
	return "good";
}
