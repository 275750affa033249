/* Answers the tool: each command writes a table, the first line naming its columns, tabs between.
 * What belongs to a data thread is read on that data thread, in small portions. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/trace.h"
#include "stack/base/util.h"
#include "stack/chan/reasons.h"
#include "stack/host/control_int.h"
#include "stack/host/upgrade.h"
#include "stack/tcp/tcp_state.h"

enum { ROWS = 256, RECORDS = 4096, CALL_WAIT_S = 2, ARGS_MAX = 4 };

/* ---- running something on a data thread ---- */
struct call {
	void (*fn)(struct sock_env *env, void *arg);
	sem_t done;
	_Atomic int refs; /* asker and data thread: whoever is last frees */
	_Alignas(16) char arg[];
};

static struct call *call_new(size_t arg_size)
{
	struct call *c = calloc(1, sizeof(*c) + arg_size);

	if (!c)
		return NULL;
	sem_init(&c->done, 0, 0);
	atomic_init(&c->refs, 1);
	return c;
}

static void call_put(struct call *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	sem_destroy(&c->done);
	free(c);
}

static void call_run(struct sock_env *env, void *p)
{
	struct call *c = p;

	c->fn(env, c->arg);
	sem_post(&c->done);
	call_put(c);
}

/* False: the data thread did not answer in time; c may only be put then. */
static bool call_wait(struct worker *w, struct call *c)
{
	const struct sock_mail m = { .type = SOCK_MAIL_CALL, .p = c, .fn = call_run };
	struct timespec until;
	int r;

	atomic_fetch_add(&c->refs, 1);
	if (!worker_mail(w, &m)) {
		atomic_fetch_sub(&c->refs, 1);
		return false;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CALL_WAIT_S;
	while ((r = sem_timedwait(&c->done, &until)) < 0 && errno == EINTR)
		;
	return r == 0;
}

/* ---- small things ---- */
static const char *process_name(uint32_t pid, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	FILE *f = pid ? fopen(path, "re") : NULL;
	if (!f || !fgets(buf, (int)size, f))
		snprintf(buf, size, "?");
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n\t")] = 0;
	return buf;
}

static const char *endpoint_text(const struct endpoint *e, char *buf, size_t size)
{
	char addr[INET6_ADDRSTRLEN];
	bool v4 = ipaddr_is_v4(&e->addr), any = ipaddr_is_any(&e->addr);

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? e->addr.b + 12 : e->addr.b, addr, sizeof(addr));
	if (e->port)
		snprintf(buf, size, v4 || any ? "%s:%u" : "[%s]:%u", any ? "*" : addr, e->port);
	else
		snprintf(buf, size, v4 || any ? "%s:*" : "[%s]:*", any ? "*" : addr);
	return buf;
}

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
	uint64_t cursor;
	uint32_t n;
	struct sock_row row[ROWS];
};

static void ss_portion(struct sock_env *env, void *arg)
{
	struct ss_arg *a = arg;

	a->n = sock_rows(env, &a->cursor, a->row, ROWS);
}

static void ss_print(FILE *out, const struct sock_row *r)
{
	char local[80], remote[80], name[32];
	uint32_t tx = r->state == TCPS_LISTEN ? r->backlog : r->tx_queue;

	fprintf(out, "%s\t%s\t%u\t%u\t%s\t%s\t%u\t%s\n", r->type == SOCK_DGRAM ? "udp" : "tcp",
		state_text(r->state), r->rx_queue, tx,
		endpoint_text(&r->local, local, sizeof(local)),
		endpoint_text(&r->remote, remote, sizeof(remote)), r->pid,
		process_name(r->pid, name, sizeof(name)));
}

static int run_ss(struct conn *conn, char **args, FILE *out)
{
	struct host *h = conn->ctl->h;

	fprintf(out, "Proto\tState\tRecv-Q\tSend-Q\tLocal\tPeer\tPID\tProcess\n");
	for (uint32_t w = 0; w < h->n_workers; w++) {
		struct call *c = call_new(sizeof(struct ss_arg));
		struct ss_arg *a = c ? (struct ss_arg *)c->arg : NULL;
		bool more = c != NULL;

		if (c)
			c->fn = ss_portion;
		while (more) {
			more = call_wait(h->worker[w], c);
			for (uint32_t i = 0; more && i < a->n; i++)
				ss_print(out, &a->row[i]);
			more = more && a->n == ROWS;
		}
		if (c)
			call_put(c);
	}
	return 0;
}

/* ---- stat ---- */
static void stat_host(struct conn *conn, FILE *out)
{
	const struct host *h = conn->ctl->h;
	unsigned long long socks = 0, bytes = 0;

	list_for_each(it, &conn->ctl->clients) {
		const struct client *c = container_of(it, struct attached, link)->c;

		socks += atomic_load_explicit(&c->n_socks, memory_order_relaxed);
		bytes += atomic_load_explicit(&c->n_bytes, memory_order_relaxed);
	}
	fprintf(out, "host_sockets\t%llu\tsockets of programs, orphans included\n", socks);
	fprintf(out, "host_ring_bytes\t%llu\tbytes of their rings\n", bytes);
	fprintf(out, "host_packets\t%u\tpacket buffers in use, those of devices included\n",
		eal_mbufs_used(h->mbufs));
	fprintf(out, "host_clients\t%u\tprograms attached or draining\n", conn->ctl->n_clients);
	fprintf(out, "host_uptime_s\t%lld\tseconds since the engine started\n",
		(long long)(time(NULL) - conn->ctl->started));
}

static int run_stat(struct conn *conn, char **args, FILE *out)
{
	struct host *h = conn->ctl->h;
	struct port_counters pc;

	fprintf(out, "Counter\tValue\tMeaning\n");
	for (int i = 0; i < STAT_COUNT; i++) {
		uint64_t sum = 0;

		/* Each is written by its own data thread; a value may be of a moment ago. */
		for (uint32_t w = 0; w < h->n_workers; w++)
			sum += __atomic_load_n(&h->worker[w]->stats.v[i], __ATOMIC_RELAXED);
		fprintf(out, "%s\t%llu\t%s\n", stat_infos[i].name, (unsigned long long)sum,
			stat_infos[i].help);
	}
	for (uint32_t i = 0; i < h->n_ports; i++) {
		const char *name = port_netif(h->port[i])->name;

		port_counters(h->port[i], &pc);
		const struct {
			const char *name, *help;
			uint64_t v;
		} rows[] = {
			{ "rx", "frames received by the device", pc.rx },
			{ "tx", "frames sent by the device", pc.tx },
			{ "rx_bytes", "bytes received by the device", pc.rx_bytes },
			{ "tx_bytes", "bytes sent by the device", pc.tx_bytes },
			{ "rx_missed", "frames lost: receive queue full", pc.rx_missed },
			{ "rx_errors", "frames lost: damaged", pc.rx_errors },
			{ "tx_errors", "frames that could not be sent", pc.tx_errors },
			{ "rx_nombuf", "frames lost: no packet buffer", pc.rx_nombuf },
		};
		for (size_t j = 0; j < ARRAY_LEN(rows); j++)
			fprintf(out, "port_%s_%s\t%llu\t%s\n", name, rows[j].name,
				(unsigned long long)rows[j].v, rows[j].help);
	}
	stat_host(conn, out);
	return 0;
}

/* ---- explain ---- */
static const char *const reason_text[CHAN_REASON_COUNT] = {
#define X(name, text) text,
	CHAN_REASONS(X)
#undef X
};

/* The table is the application's: numbers are only shown, never used. */
static void explain_proc(FILE *out, const struct conn *conn)
{
	const struct chan_proc_b *p = &conn->client->c->proc_b[conn->proc];
	char name[32];

	process_name(conn->pid, name, sizeof(name));
	fprintf(out, "%u\t%s\tstack\t%llu\t-\n", conn->pid, name,
		(unsigned long long)atomic_load_explicit(&p->on_stack, memory_order_relaxed));
	for (int i = 0; i < CHAN_REASON_COUNT; i++) {
		uint64_t n = atomic_load_explicit(&p->reason[i], memory_order_relaxed);

		if (n)
			fprintf(out, "%u\t%s\tkernel\t%llu\t%s\n", conn->pid, name,
				(unsigned long long)n, reason_text[i]);
	}
}

static int run_explain(struct conn *conn, char **args, FILE *out)
{
	fprintf(out, "PID\tProcess\tWhere\tSockets\tReason\n");
	list_for_each(it, &conn->ctl->conns) {
		const struct conn *p = container_of(it, struct conn, link);

		if (p->kind == CONN_PROC && p->client && !p->client->gone)
			explain_proc(out, p);
	}
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

/* trace [count [socket]] */
static int run_trace(struct conn *conn, char **args, FILE *out)
{
	struct host *h = conn->ctl->h;
	uint32_t want = args[0] ? (uint32_t)strtoul(args[0], NULL, 10) : 200, n = 0;
	struct trace_rec *all = calloc((size_t)h->n_workers * RECORDS, sizeof(*all));
	char line[256];

	if (!all)
		return ENOMEM;
	for (uint32_t w = 0; w < h->n_workers; w++) {
		struct call *c = call_new(sizeof(struct trace_arg));
		struct trace_arg *a = c ? (struct trace_arg *)c->arg : NULL;

		if (!c)
			continue;
		c->fn = trace_portion;
		a->want = RECORDS;
		if (call_wait(h->worker[w], c)) {
			memcpy(all + n, a->rec, a->n * sizeof(*all));
			n += a->n;
		}
		call_put(c);
	}
	qsort(all, n, sizeof(*all), by_time);
	uint32_t kept = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!args[0] || !args[1] || all[i].id == strtoul(args[1], NULL, 10))
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

/* ---- status, config, stop, log ---- */
static const char *addr_text(const struct ipaddr *a, char *buf)
{
	bool v4 = ipaddr_is_v4(a);

	return inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->b + 12 : a->b, buf, INET6_ADDRSTRLEN);
}

/* What nif has now, also what it has got from routers. */
static void put_addrs(const struct netif *nif, FILE *out)
{
	char text[INET6_ADDRSTRLEN];

	for (uint16_t j = 0; j < nif->n_addrs; j++) {
		const struct netif_addr *a = &nif->addr[j];

		fprintf(out, " addr %s/%u%s%s%s", addr_text(&a->addr, text),
			ipaddr_is_v4(&a->addr) ? a->plen - 96u : a->plen,
			a->flags & NETIF_ADDR_OPTIMISTIC ? " (being checked)" : "",
			a->flags & NETIF_ADDR_TEMPORARY ? " (temporary)" : "",
			a->flags & NETIF_ADDR_DEPRECATED ? " (deprecated)" : "");
	}
}

static void put_gateways(const struct route_table *t, FILE *out)
{
	char text[INET6_ADDRSTRLEN];

	for (uint32_t i = 0; i < t->n; i++) {
		if (t->r[i].kind == ROUTE_GATEWAY)
			fprintf(out, "gateway\t%s port %s\n", addr_text(&t->r[i].gateway, text),
				t->r[i].nif->name);
	}
}

static int run_status(struct conn *conn, char **args, FILE *out)
{
	struct host *h = conn->ctl->h;

	fprintf(out, "Item\tValue\n");
	fprintf(out, "pid\t%d\nversion\t%s\nsocket\t%s\nmemory\t%s\n", getpid(), FASTNET_VERSION,
		h->socket_path, h->eal.text);
	fprintf(out, "started\t%s\nuptime_s\t%lld\nworkers\t%u\nprograms\t%u\n",
		h->autostarted ? "by a program" : "as a service",
		(long long)(time(NULL) - conn->ctl->started), h->n_workers, conn->ctl->n_clients);
	takeover_status(conn->ctl, out);
	for (uint32_t i = 0; i < h->n_ports; i++) {
		const struct netif *nif = port_netif(h->port[i]);
		const uint8_t *m = nif->mac;

		fprintf(out,
			"port\t%s driver %s mac %02x:%02x:%02x:%02x:%02x:%02x mtu %u queues %u",
			nif->name, port_driver(h->port[i]), m[0], m[1], m[2], m[3], m[4], m[5],
			nif->mtu, nif->n_queues);
		put_addrs(h->netif[i], out);
		fprintf(out, "\n");
	}
	put_gateways(&h->routes, out);
	return 0;
}

static int run_config(struct conn *conn, char **args, FILE *out)
{
	static const char *const from[] = { "default", "file", "environment", "command line" };
	const struct config *c = &conn->ctl->h->config;

	fprintf(out, "Option\tValue\tFrom\n");
	for (int i = 0; i < CONFIG_COUNT; i++)
		fprintf(out, "%s\t%s\t%s\n", config_infos[i].name, c->v[i].text,
			from[c->v[i].from]);
	return 0;
}

static int run_stop(struct conn *conn, char **args, FILE *out)
{
	control_stop(conn->ctl);
	fprintf(out, "Item\tValue\nstopped\t%d\n", getpid());
	return 0;
}

static int run_upgrade(struct conn *conn, char **args, FILE *out)
{
	int err = upgrade_start(conn, args, out);

	return err ? err : -EINPROGRESS;
}

static int run_log(struct conn *conn, char **args, FILE *out)
{
	if (!args[0] || log_configure(args[0]) != 0) {
		fprintf(out, "log needs levels such as warn,tcp=debug");
		return EINVAL;
	}
	fprintf(out, "Item\tValue\nlog\t%s\n", args[0]);
	return 0;
}

/* ---- the door ---- */
static const struct command {
	const char *name;
	bool owner_only;
	int (*run)(struct conn *conn, char **args, FILE *out);
} commands[] = {
	{ "ss", false, run_ss },	 { "stat", false, run_stat },
	{ "explain", false, run_explain }, { "status", false, run_status },
	{ "config", false, run_config },   { "trace", true, run_trace },
	{ "stop", true, run_stop },	   { "log", true, run_log },
	{ "upgrade", true, run_upgrade },
};

int admin_run(struct conn *conn, const char *line, char **text, size_t *len)
{
	char copy[2048], *args[ARGS_MAX + 1] = { NULL }, *save = NULL;
	FILE *out = open_memstream(text, len);
	int err = EINVAL;

	if (!out)
		return ENOMEM;
	snprintf(copy, sizeof(copy), "%s", line);
	char *name = strtok_r(copy, " ", &save);
	for (int i = 0; name && i < ARGS_MAX; i++)
		args[i] = strtok_r(NULL, " ", &save);
	const struct command *c = NULL;
	for (size_t i = 0; name && i < ARRAY_LEN(commands); i++) {
		if (!strcmp(commands[i].name, name))
			c = &commands[i];
	}
	if (!c) {
		fprintf(out, "the engine knows no command '%s'; is it of another version?", line);
	} else if (c->owner_only && conn->uid != 0 && conn->uid != geteuid()) {
		err = EACCES;
		fprintf(out, "only root and the engine's own user may do this");
	} else {
		err = c->run(conn, args, out);
	}
	fclose(out);
	return err;
}
