/* From a script's text to its events: lines, times, the directives in its head. */
// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/pkt/drill/script.h"

/* The next line that says something, comments cut off; a call goes on until its parentheses close,
 * an assertion until its end mark. */
struct lines {
	const char *p;
	int line, first;
	char buf[SCRIPT_TEXT];
};

static int depth_after(const char *s)
{
	int depth = 0;

	for (; *s; s++)
		depth += (*s == '(' || *s == '{' || *s == '[') -
			 (*s == ')' || *s == '}' || *s == ']');
	return depth;
}

static bool next_line(struct lines *l)
{
	size_t n = 0;

	while (*l->p) {
		const char *end = strchrnul(l->p, '\n'),
			   *cut = memmem(l->p, (size_t)(end - l->p), "//", 2);
		size_t len = (size_t)((cut ? cut : end) - l->p);

		l->line++;
		if (n + len + 2 > sizeof(l->buf))
			script_fail(l->line, "too long");
		while (len && isspace((unsigned char)l->p[len - 1]))
			len--;
		if (n == 0)
			l->first = l->line;
		memcpy(l->buf + n, l->p, len);
		l->p = *end ? end + 1 : end;
		n += len;
		l->buf[n] = 0;
		if (strspn(l->buf, " \t") == n)
			n = 0;
		else if (depth_after(l->buf) <= 0)
			return true;
		else
			l->buf[n++] = ' ';
	}
	if (n)
		script_fail(l->first, "a bracket stays open");
	return false;
}

/* ---- the head ---- */
static bool directive(const char *line, const char *name, char **value)
{
	size_t n = strlen(name);

	if (strncmp(line, name, n) != 0)
		return false;
	line += n;
	line += strspn(line, " \t");
	*value = strndup(line, strcspn(line, "\n"));
	return true;
}

static void count_cites(struct script *s, const char *line)
{
	static const char *const marks[] = {"RFC ",	 "tcp(7)", "ip(7)",  "udp(7)",
					    "socket(7)", "(2)",	   "icmp(7)"};
	char *copy = strndup(line, strcspn(line, "\n"));

	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		s->cites += strstr(copy, marks[i]) != NULL;
	free(copy);
}

static void read_head(struct script *s, const char *text)
{
	char *v;

	for (const char *p = text; *p; p = strchrnul(p, '\n'), p += *p == '\n') {
		if (strncmp(p, "// ", 3) != 0)
			continue;
		p += 3;
		count_cites(s, p);
		if (directive(p, "only-ipv4:", &s->only4) || directive(p, "only-ipv6:", &s->only6) ||
		    directive(p, "only:", &s->only) || directive(p, "linux-differs:", &s->differs))
			continue;
		if (directive(p, "sysctl:", &v)) {
			if (s->n_sysctl == SCRIPT_SYSCTLS)
				script_fail(0, "too many sysctl lines");
			s->sysctl[s->n_sysctl++] = v;
		} else if (directive(p, "remote-isn:", &v)) {
			s->remote_isn = (uint32_t)strtoul(v, NULL, 0);
			free(v);
		} else if (directive(p, "mtu:", &v)) {
			s->mtu = (uint16_t)strtoul(v, NULL, 0);
			free(v);
		}
	}
}

/* ---- times ---- */
static void read_when(struct lex *x, struct when *w)
{
	*w = (struct when){.kind = WHEN_AT};
	lex_blank(x);
	if (lex_char(x, '*')) {
		w->kind = WHEN_ANY;
		return;
	}
	if (lex_char(x, '+'))
		w->kind = WHEN_AFTER;
	w->lo_ns = w->hi_ns = lex_seconds(x);
	if (strncmp(x->p, "...", 3) == 0) {
		x->p += 3;
		w->blocks = true;
		w->end_kind = lex_char(x, '+') ? END_AFTER : END_AT;
		w->end_ns = lex_seconds(x);
	} else if (*x->p == '~') {
		x->p++;
		if (*x->p == '+')
			x->p++;
		w->hi_ns = lex_seconds(x);
		if (w->hi_ns < w->lo_ns)
			script_fail(x->line, "the range of times is empty");
	}
}

static void read_event(struct script *s, struct lines *l)
{
	struct lex x = {l->buf, l->first};

	if (s->n == SCRIPT_EVENTS)
		script_fail(l->first, "more than %d events", SCRIPT_EVENTS);
	struct event *e = &s->event[s->n++];
	e->line = l->first;
	read_when(&x, &e->when);
	lex_blank(&x);
	if (lex_char(&x, '<')) {
		e->kind = EVENT_IN;
		read_packet(&x, &e->pkt, true);
	} else if (lex_char(&x, '>')) {
		e->kind = EVENT_OUT;
		read_packet(&x, &e->pkt, false);
	} else if (lex_word(&x, "quiet")) {
		e->kind = EVENT_QUIET;
	} else if (*x.p == '%') {
		const char *end = strstr(x.p, "}%");

		if (!end || x.p[1] != '{')
			script_fail(l->first, "%%{ ... }%% expected");
		e->kind = EVENT_ASSERT;
		e->text = strndup(x.p + 2, (size_t)(end - x.p) - 2);
		x.p = end + 2;
	} else {
		e->kind = EVENT_CALL;
		read_call(&x, &e->call);
	}
	if (e->when.kind == WHEN_ANY && e->kind != EVENT_OUT)
		script_fail(e->line, "* is for packets that are expected");
	if (e->when.blocks && e->kind != EVENT_CALL)
		script_fail(e->line, "... is for calls");
	lex_blank(&x);
	if (*x.p)
		script_fail(e->line, "not understood: \"%s\"", x.p);
}

struct script *script_read(const char *path)
{
	struct script *s = calloc(1, sizeof(*s));
	char *text = NULL;
	size_t room = 0;

	script_path = s->path = path;
	FILE *f = fopen(path, "r");
	if (!f || getdelim(&text, &room, 0, f) <= 0)
		script_fail(0, "can't be read");
	fclose(f);
	read_head(s, text);
	struct lines *l = calloc(1, sizeof(*l));
	l->p = text;
	while (next_line(l))
		read_event(s, l);
	free(l);
	free(text);
	return s;
}
