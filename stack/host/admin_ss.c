/* The tables of sockets: states, groups, and what the trace rings have of them. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "stack/base/trace.h"
#include "stack/base/util.h"
#include "stack/host/admin_int.h"
#include "stack/tcp/tcp_state.h"

enum { ROWS = 256, RECORDS = 4096, IDS = 1024 };

/* Words as ss(8) has them. */
static const char *state_text(uint32_t state)
{
	static const char *const words[] = {
		[TCPS_CLOSED] = "UNCONN", [TCPS_LISTEN] = "LISTEN", [TCPS_SYN_SENT] = "SYN-SENT",
		[TCPS_SYN_RCVD] = "SYN-RECV", [TCPS_ESTABLISHED] = "ESTAB",
		[TCPS_CLOSE_WAIT] = "CLOSE-WAIT", [TCPS_FIN_WAIT_1] = "FIN-WAIT-1",
		[TCPS_CLOSING] = "CLOSING", [TCPS_LAST_ACK] = "LAST-ACK",
		[TCPS_FIN_WAIT_2] = "FIN-WAIT-2", [TCPS_TIME_WAIT] = "TIME-WAIT",
	};

	return state < ARRAY_LEN(words) && words[state] ? words[state] : "?";
}

/* ---- ss ---- */
struct ss_arg {
	struct admin_portion p;
	struct sock_row row[ROWS];
};

static void ss_fill(struct sock_env *env, void *arg)
{
	struct ss_arg *a = arg;

	a->p.n = sock_rows(env, &a->p.cursor, a->row, ROWS);
}

static void ss_row(FILE *out, const struct sock_row *r)
{
	char local[ADMIN_ENDPOINT_MAX], remote[ADMIN_ENDPOINT_MAX], name[32];
	uint32_t tx = r->state == TCPS_LISTEN ? r->backlog : r->tx_queue;

	fprintf(out, "%s\t%s\t%u\t%u\t%s\t%s\t%u\t%s\n", r->type == SOCK_DGRAM ? "udp" : "tcp",
		state_text(r->state), r->rx_queue, tx, admin_endpoint(&r->local, r->v6, r->v6only, local),
		admin_endpoint(&r->remote, r->v6, r->v6only, remote), r->pid,
		admin_process(r->pid, name, sizeof(name)));
}

static void ss_print(const void *arg, void *ctx)
{
	const struct ss_arg *a = arg;

	for (uint32_t i = 0; i < a->p.n; i++)
		ss_row(ctx, &a->row[i]);
}

int admin_ss(struct conn *conn, char **args, FILE *out)
{
	static const struct admin_table t = { sizeof(struct ss_arg), ROWS, ss_fill, ss_print };
	struct host *h = conn->ctl->h;

	fprintf(out, "Proto\tState\tRecv-Q\tSend-Q\tLocal\tPeer\tPID\tProcess\n");
	for (uint32_t w = 0; w < h->n_workers; w++)
		admin_each_portion(h->worker[w], &t, out);
	return 0;
}

/* ---- groups ---- */
struct groups_arg {
	struct admin_portion p;
	struct sock_group_row row[ROWS];
};

static void groups_fill(struct sock_env *env, void *arg)
{
	struct groups_arg *a = arg;

	a->p.n = sock_group_rows(env, &a->p.cursor, a->row, ROWS);
}

static void groups_print(const void *arg, void *ctx)
{
	const struct groups_arg *a = arg;

	for (uint32_t i = 0; i < a->p.n; i++) {
		const struct sock_group_row *r = &a->row[i];
		char group[ADMIN_ADDR_MAX], local[ADMIN_ENDPOINT_MAX], name[32], ifname[ADMIN_WORD_MAX];

		fprintf(ctx, "%s\t%s\t%s\t%u\t%s\t%u\t%s\n", admin_addr(&r->group, group),
			admin_ifname(r->ifindex, ifname), r->include ? "include" : "exclude", r->n_sources,
			admin_endpoint(&r->local, r->v6, r->v6only, local), r->pid,
			admin_process(r->pid, name, sizeof(name)));
	}
}

int admin_groups(struct conn *conn, char **args, FILE *out)
{
	static const struct admin_table t = { sizeof(struct groups_arg), ROWS, groups_fill,
					      groups_print };
	struct host *h = conn->ctl->h;

	fprintf(out, "Group\tInterface\tMode\tSources\tLocal\tPID\tProcess\n");
	for (uint32_t w = 0; w < h->n_workers; w++)
		admin_each_portion(h->worker[w], &t, out);
	return 0;
}

/* ---- trace ---- */
struct trace_arg {
	uint32_t n, want; /* records */
	struct trace_rec rec[RECORDS];
};

static void trace_portion(struct sock_env *env, void *arg)
{
	struct trace_arg *a = arg;
	const struct trace_ring *t = trace_this_thread;
	uint64_t n = t ? min_u64(t->next, a->want) : 0;

	for (uint64_t i = 0; i < n; i++)
		a->rec[i] = t->rec[(t->next - n + i) % TRACE_RECORDS];
	a->n = (uint32_t)n;
}

static int by_time(const void *a, const void *b)
{
	const struct trace_rec *x = a, *y = b;

	return (x->now_ns > y->now_ns) - (x->now_ns < y->now_ns);
}

/* The sockets that are wanted: by number, or those that have this address. */
struct wanted {
	const char *text; /* NULL: all */
	uint32_t n, id[IDS];
};

static void wanted_add(const void *arg, void *ctx)
{
	const struct ss_arg *a = arg;
	struct wanted *w = ctx;
	char text[ADMIN_ENDPOINT_MAX];

	for (uint32_t i = 0; i < a->p.n && w->n < IDS; i++) {
		const struct sock_row *r = &a->row[i];

		if (!strcmp(w->text, admin_endpoint(&r->local, r->v6, r->v6only, text)) ||
		    !strcmp(w->text, admin_endpoint(&r->remote, r->v6, r->v6only, text)))
			w->id[w->n++] = r->sock;
	}
}

static void wanted_find(struct wanted *w, struct host *h, const char *text)
{
	static const struct admin_table t = { sizeof(struct ss_arg), ROWS, ss_fill, wanted_add };

	*w = (struct wanted){ .text = text };
	if (!text)
		return;
	if (!strchr(text, ':')) {
		w->id[w->n++] = (uint32_t)strtoul(text, NULL, 10);
		return;
	}
	for (uint32_t i = 0; i < h->n_workers; i++)
		admin_each_portion(h->worker[i], &t, w);
}

static bool is_wanted(const struct wanted *w, uint32_t id)
{
	bool found = !w->text;

	for (uint32_t i = 0; i < w->n && !found; i++)
		found = w->id[i] == id;
	return found;
}

/* All of the data threads into rec, in order of time; how many. */
static uint32_t trace_collect(struct host *h, struct trace_rec *rec)
{
	uint32_t n = 0;

	for (uint32_t w = 0; w < h->n_workers; w++) {
		struct admin_call *c = admin_call_new(trace_portion, sizeof(struct trace_arg));
		struct trace_arg *a = c ? (struct trace_arg *)c->arg : NULL;

		if (!c)
			continue;
		a->want = RECORDS;
		if (admin_call_wait(h->worker[w], c)) {
			memcpy(rec + n, a->rec, a->n * sizeof(*rec));
			n += a->n;
		}
		admin_call_put(c);
	}
	qsort(rec, n, sizeof(*rec), by_time);
	return n;
}

/* trace [count [socket | address:port]] */
int admin_trace(struct conn *conn, char **args, FILE *out)
{
	struct host *h = conn->ctl->h;
	uint32_t want = args[0] ? (uint32_t)strtoul(args[0], NULL, 10) : 200, kept = 0;
	struct trace_rec *all = calloc((size_t)h->n_workers * RECORDS, sizeof(*all));
	struct wanted w;
	char line[256];

	if (!all)
		return ENOMEM;
	wanted_find(&w, h, args[0] ? args[1] : NULL);
	uint32_t n = trace_collect(h, all);
	for (uint32_t i = 0; i < n; i++) {
		if (is_wanted(&w, all[i].id))
			all[kept++] = all[i];
	}
	fprintf(out, "Event\n");
	for (uint32_t i = kept > want ? kept - want : 0; i < kept; i++) {
		trace_format(&all[i], line, sizeof(line));
		fprintf(out, "%s\n", line);
	}
	free(all);
	return 0;
}
