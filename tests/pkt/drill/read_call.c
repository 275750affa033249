/* Calls as scripts write them: "setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = 0". */
// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "tests/pkt/drill/script.h"

static const struct call_name call_names[] = {
#define X(name, args) {#name, args, CALL_##name},
	CALLS(X)
#undef X
};

static int64_t read_number(struct lex *x)
{
	int64_t all = 0;

	do {
		char name[64];
		int64_t v;

		if (lex_is_int(x)) {
			v = lex_int(x);
		} else {
			lex_name(x, name, sizeof(name));
			if (!name_value(name, &v))
				script_fail(x->line, "no such constant: %s", name);
		}
		all |= v;
	} while (lex_char(x, '|'));
	return all;
}

static struct val *read_val(struct lex *x);

static void add_item(struct lex *x, struct val *v, struct val *item)
{
	if (v->n == VAL_ITEMS)
		script_fail(x->line, "a list of more than %d", VAL_ITEMS);
	v->item[v->n++] = item;
}

static void read_list(struct lex *x, struct val *v)
{
	v->kind = VAL_LIST;
	if (lex_char(x, ']'))
		return;
	do
		add_item(x, v, read_val(x));
	while (lex_char(x, ','));
	lex_want(x, ']');
}

static void read_struct(struct lex *x, struct val *v)
{
	v->kind = VAL_STRUCT;
	do {
		if (v->n < VAL_ITEMS)
			lex_name(x, v->name[v->n], sizeof(v->name[0]));
		lex_want(x, '=');
		add_item(x, v, read_val(x));
	} while (lex_char(x, ','));
	lex_want(x, '}');
}

static struct val *read_val(struct lex *x)
{
	struct val *v = calloc(1, sizeof(*v));
	size_t n = 0;

	if (lex_word(x, "...")) {
		v->kind = VAL_ANY;
	} else if (lex_char(x, '[')) {
		read_list(x, v);
	} else if (lex_char(x, '{')) {
		read_struct(x, v);
	} else if (lex_char(x, '"')) {
		v->kind = VAL_TEXT;
		while (*x->p && *x->p != '"' && n < sizeof(v->text) - 1)
			v->text[n++] = *x->p++;
		lex_want(x, '"');
	} else {
		v->kind = VAL_INT;
		v->i = read_number(x);
	}
	return v;
}

static void read_result(struct lex *x, struct call *c)
{
	char name[32];
	int64_t v;

	lex_want(x, '=');
	if (lex_word(x, "...")) {
		c->any_ret = true;
		return;
	}
	c->ret = read_number(x);
	lex_blank(x);
	if (!isalpha((unsigned char)*x->p))
		return;
	lex_name(x, name, sizeof(name));
	if (!name_value(name, &v) || c->ret != -1)
		script_fail(x->line, "no such error: %s", name);
	c->err = (int)v;
	if (lex_char(x, '(')) {
		while (*x->p && *x->p != ')')
			x->p++;
		lex_want(x, ')');
	}
}

void read_call(struct lex *x, struct call *c)
{
	char name[32];

	*c = (struct call){0};
	lex_name(x, name, sizeof(name));
	for (size_t i = 0; i < ARRAY_LEN(call_names); i++) {
		if (strcmp(name, call_names[i].name) == 0)
			c->name = &call_names[i];
	}
	if (!c->name)
		script_fail(x->line, "no such call: %s", name);
	lex_want(x, '(');
	if (!lex_char(x, ')')) {
		do {
			if (c->n == VAL_ITEMS)
				script_fail(x->line, "too many arguments");
			c->arg[c->n++] = read_val(x);
		} while (lex_char(x, ','));
		lex_want(x, ')');
	}
	if (c->n != strlen(c->name->args))
		script_fail(x->line, "%s() takes %zu arguments", name, strlen(c->name->args));
	read_result(x, c);
}
