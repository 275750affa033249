/* The cursor that every reader of scripts moves. */
// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/pkt/drill/script.h"

const char *script_path = "?";

void script_fail(int line, const char *fmt, ...)
{
	va_list ap;

	printf("%s:%d: ", script_path, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(EXIT_FAILURE);
}

void lex_blank(struct lex *x)
{
	while (isspace((unsigned char)*x->p))
		x->p++;
}

bool lex_char(struct lex *x, char c)
{
	lex_blank(x);
	if (*x->p != c)
		return false;
	x->p++;
	return true;
}

void lex_want(struct lex *x, char c)
{
	if (!lex_char(x, c))
		script_fail(x->line, "'%c' expected before \"%s\"", c, x->p);
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

bool lex_word(struct lex *x, const char *word)
{
	size_t n = strlen(word);

	lex_blank(x);
	if (strncmp(x->p, word, n) != 0 || (is_word(word[n - 1]) && is_word(x->p[n])))
		return false;
	x->p += n;
	return true;
}

void lex_name(struct lex *x, char *buf, size_t n)
{
	size_t k = 0;

	lex_blank(x);
	while (is_word(x->p[k]) && k < n - 1) {
		buf[k] = x->p[k];
		k++;
	}
	buf[k] = 0;
	x->p += k;
	if (k == 0 || is_word(*x->p))
		script_fail(x->line, "a name expected before \"%s\"", x->p);
}

bool lex_is_int(struct lex *x)
{
	lex_blank(x);
	return isdigit((unsigned char)x->p[*x->p == '-']);
}

int64_t lex_int(struct lex *x)
{
	char *end;

	lex_blank(x);
	errno = 0;
	int64_t v = strtoll(x->p, &end, x->p[0] == '0' && x->p[1] == 'x' ? 16 : 10);
	if (end == x->p || errno)
		script_fail(x->line, "a number expected before \"%s\"", x->p);
	x->p = end;
	return v;
}

uint64_t lex_seconds(struct lex *x)
{
	uint64_t ns = 0, unit = NSEC_PER_SEC;

	lex_blank(x);
	if (!isdigit((unsigned char)*x->p) && !(*x->p == '.' && isdigit((unsigned char)x->p[1])))
		script_fail(x->line, "a time expected before \"%s\"", x->p);
	for (; isdigit((unsigned char)*x->p); x->p++)
		ns = ns * 10 + (uint64_t)(*x->p - '0') * NSEC_PER_SEC;
	if (x->p[0] != '.' || x->p[1] == '.')
		return ns;
	for (x->p++; isdigit((unsigned char)*x->p); x->p++)
		ns += (uint64_t)(*x->p - '0') * (unit /= 10);
	return ns;
}
