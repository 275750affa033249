/* Tables as text with aligned columns, or as JSON. */
// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/cli/cli.h"

enum { COLS_MAX = 16 };

static unsigned count_char(const char *s, char c, char until)
{
	unsigned n = 0;

	for (; *s && *s != until; s++)
		n += *s == c;
	return n;
}

bool table_parse(struct table *t, char *text)
{
	unsigned lines = count_char(text, '\n', 0);

	*t = (struct table){ .text = text, .n_cols = count_char(text, '\t', '\n') + 1 };
	if (t->n_cols > COLS_MAX)
		t->n_cols = COLS_MAX;
	t->n_rows = lines ? lines - 1 : 0;
	t->cell = calloc((size_t)(t->n_rows + 1) * t->n_cols, sizeof(*t->cell));
	if (!t->cell)
		return false;
	char *p = text;
	for (unsigned row = 0; row <= t->n_rows; row++) {
		char *end = p + strcspn(p, "\n");
		char *next = *end ? end + 1 : end;

		*end = 0;
		for (unsigned col = 0; col < t->n_cols; col++) {
			char *tab = col + 1 < t->n_cols ? p + strcspn(p, "\t") : end;

			t->cell[(size_t)row * t->n_cols + col] = p;
			p = *tab ? tab + 1 : tab;
			*tab = 0;
		}
		p = next;
	}
	return true;
}

void table_free(struct table *t)
{
	free(t->text);
	free(t->cell);
	*t = (struct table){ 0 };
}

static bool is_number(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < 16 && strspn(s, "0123456789") == n && (n == 1 || *s != '0');
}

static void print_json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

/* Column names in lower case, '-' and ' ' as '_'. */
static void print_json_key(const char *name)
{
	putchar('"');
	for (; *name; name++)
		putchar(isalnum((unsigned char)*name) ? tolower((unsigned char)*name) : '_');
	printf("\": ");
}

static void print_json_row(const struct table *t, unsigned row)
{
	printf("{");
	for (unsigned col = 0; col < t->n_cols; col++) {
		const char *v = table_cell(t, row, col);

		if (col)
			printf(", ");
		print_json_key(t->cell[col]);
		if (is_number(v))
			printf("%s", v);
		else
			print_json_string(v);
	}
	printf("}");
}

typedef bool keep_fn(const struct table *t, unsigned row, void *arg);

static void print_json(const struct table *t, keep_fn *keep, void *arg)
{
	bool first = true;

	printf("[");
	for (unsigned row = 0; row < t->n_rows; row++) {
		if (keep && !keep(t, row, arg))
			continue;
		printf("%s\n  ", first ? "" : ",");
		print_json_row(t, row);
		first = false;
	}
	printf("%s]\n", first ? "" : "\n");
}

static bool column_is_numeric(const struct table *t, unsigned col)
{
	for (unsigned row = 0; row < t->n_rows; row++) {
		if (!is_number(table_cell(t, row, col)))
			return false;
	}
	return t->n_rows > 0;
}

static void print_text_row(const struct table *t, char **cells, const int *width, const bool *right)
{
	for (unsigned col = 0; col < t->n_cols; col++) {
		/* The last column is as long as it is. */
		if (col + 1 == t->n_cols)
			printf("%*s%s\n", right[col] ? width[col] - (int)strlen(cells[col]) : 0, "",
			       cells[col]);
		else
			printf("%*s  ", right[col] ? width[col] : -width[col], cells[col]);
	}
}

static void print_text(const struct table *t, keep_fn *keep, void *arg)
{
	int width[COLS_MAX] = { 0 };
	bool right[COLS_MAX] = { false };

	for (unsigned col = 0; col < t->n_cols; col++) {
		right[col] = column_is_numeric(t, col);
		width[col] = (int)strlen(t->cell[col]);
		for (unsigned row = 0; row < t->n_rows; row++) {
			if (!keep || keep(t, row, arg))
				width[col] = (int)max_u64((uint64_t)width[col],
							  strlen(table_cell(t, row, col)));
		}
	}
	print_text_row(t, t->cell, width, right);
	for (unsigned row = 0; row < t->n_rows; row++) {
		if (!keep || keep(t, row, arg))
			print_text_row(t, t->cell + (size_t)(row + 1) * t->n_cols, width, right);
	}
}

void table_print(const struct table *t, enum cli_format f, keep_fn *keep, void *arg)
{
	if (f == CLI_JSON)
		print_json(t, keep, arg);
	else
		print_text(t, keep, arg);
}
