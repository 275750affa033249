/* See calls.h. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "tests/pkt/drill/calls.h"
#include "tests/pkt/drill/flow.h"

static int64_t number(const struct val *v, int line)
{
	if (v->kind != VAL_INT)
		script_fail(line, "a number is needed as an argument");
	return v->i;
}

static int64_t member(const struct val *v, const char *name, int line)
{
	for (uint32_t i = 0; i < v->n; i++) {
		if (strcmp(v->name[i], name) == 0)
			return number(v->item[i], line);
	}
	script_fail(line, "the member %s is missing", name);
}

/* The bytes of an option's value. */
static uint32_t option_bytes(const struct val *v, uint8_t *p, int line)
{
	if (v->kind == VAL_TEXT) {
		memcpy(p, v->text, strlen(v->text) + 1);
		return (uint32_t)strlen(v->text);
	}
	if (v->kind == VAL_STRUCT && strcmp(v->name[0], "onoff") == 0) {
		struct linger l = {(int)member(v, "onoff", line), (int)member(v, "linger", line)};

		memcpy(p, &l, sizeof(l));
		return sizeof(l);
	}
	if (v->kind == VAL_STRUCT) {
		struct timeval tv = {member(v, "sec", line), member(v, "usec", line)};

		memcpy(p, &tv, sizeof(tv));
		return sizeof(tv);
	}
	if (v->kind != VAL_LIST || v->n != 1)
		script_fail(line, "[number], {members} or \"text\" expected");
	int i = (int)number(v->item[0], line);
	memcpy(p, &i, sizeof(i));
	return sizeof(i);
}

static uint32_t poll_bytes(const struct val *v, uint8_t *p, int line)
{
	struct call_poll item[VAL_ITEMS];

	if (v->kind != VAL_LIST)
		script_fail(line, "a list of {fd=, events=, revents=} expected");
	for (uint32_t i = 0; i < v->n; i++) {
		const struct val *m = v->item[i];

		item[i] = (struct call_poll){(int)member(m, "fd", line),
					     (int)member(m, "events", line),
					     (int)member(m, "revents", line)};
	}
	memcpy(p, item, v->n * sizeof(item[0]));
	return (uint32_t)(v->n * sizeof(item[0]));
}

static void put_addr(struct call_req *q, const struct val *v, int line)
{
	q->addr = q->op == CALL_bind ? DRILL_US : DRILL_PEER;
	q->port = q->op == CALL_sendto ? PEER_PORT + 1 : DRILL_PORT;
	if (v->kind == VAL_INT)
		q->port = (uint16_t)v->i;
	else if (v->kind == VAL_LIST && v->n == 1 && v->item[0]->kind == VAL_INT)
		q->unspec = v->item[0]->i == AF_UNSPEC;
	else if (v->kind != VAL_ANY)
		script_fail(line, "an address is ..., a port, or [AF_UNSPEC]");
}

/* socket(..., SOCK_STREAM, ...), the length of an address */
static int64_t default_number(const struct call *c, uint32_t i)
{
	return c->name->op == CALL_socket && i == 0 ? AF_INET : 0;
}

struct call_req calls_request(const struct call *c, int line)
{
	struct call_req q = {.op = c->name->op, .fd = -1, .want_fd = -1};
	uint32_t n = 0;
	bool set = c->name->op == CALL_setsockopt;

	for (uint32_t i = 0; i < c->n; i++) {
		const struct val *v = c->arg[i];

		switch (c->name->args[i]) {
		case 'f':
			q.fd = (int32_t)number(v, line);
			break;
		case 'i':
			if (n < ARRAY_LEN(q.a))
				q.a[n++] =
					v->kind == VAL_ANY ? default_number(c, i) : number(v, line);
			break;
		case 'a':
			put_addr(&q, v, line);
			break;
		case 'o':
			if (set)
				q.len = option_bytes(v, q.data, line);
			break;
		case 'p':
			q.len = poll_bytes(v, q.data, line);
			break;
		default:
			break;
		}
	}
	if (c->name->op == CALL_socket || c->name->op == CALL_accept || c->name->op == CALL_accept4)
		q.want_fd = (int32_t)c->ret;
	if (c->name->op == CALL_connect)
		flow_renew();
	return q;
}

/* ---- the answer ---- */
static void show_bytes(const struct call_rep *rep, char *out, size_t n)
{
	int v = 0;

	memcpy(&v, rep->data, sizeof(v));
	if (rep->len == sizeof(v))
		snprintf(out, n, "[%d]", v);
	else
		snprintf(out, n, "%u bytes, the first number is %d", rep->len, v);
}

static void check_value(const struct val *v, const struct call_rep *rep, int line)
{
	uint8_t want[CALL_DATA] = {0};
	char got[64];

	if (v->kind == VAL_ANY)
		return;
	uint32_t n = option_bytes(v, want, line);
	if (v->kind == VAL_TEXT && n < rep->len) /* a name in a field of fixed size */
		n++;
	if ((v->kind != VAL_TEXT && n != rep->len) || memcmp(want, rep->data, n) != 0) {
		show_bytes(rep, got, sizeof(got));
		script_fail(line, "another value was expected, got %s", got);
	}
}

static void check_poll(const struct val *v, const struct call_rep *rep, int line)
{
	struct call_poll want[VAL_ITEMS], got[VAL_ITEMS];

	poll_bytes(v, (uint8_t *)want, line);
	memcpy(got, rep->data, v->n * sizeof(got[0]));
	for (uint32_t i = 0; i < v->n; i++) {
		if (want[i].revents != got[i].revents)
			script_fail(line, "fd %d: events 0x%x expected, got 0x%x", want[i].fd,
				    want[i].revents, got[i].revents);
	}
}

void calls_check(const struct call *c, const struct call_rep *rep, int line)
{
	if (*rep->note)
		script_fail(line, "%s(): %s", c->name->name, rep->note);
	if (!c->any_ret && rep->ret != c->ret)
		script_fail(line, "%s() = %lld expected, got %lld %s", c->name->name,
			    (long long)c->ret, (long long)rep->ret,
			    rep->ret < 0 ? errno_text(rep->err) : "");
	if (!c->any_ret && c->err && rep->err != c->err)
		script_fail(line, "%s() = -1 %s expected, got %s", c->name->name,
			    errno_text(c->err), errno_text(rep->err));
	if (rep->ret < 0)
		return;
	if (c->name->op == CALL_getsockopt)
		check_value(c->arg[3], rep, line);
	else if (c->name->op == CALL_ioctl)
		check_value(c->arg[2], rep, line);
	else if (c->name->op == CALL_poll)
		check_poll(c->arg[0], rep, line);
}
