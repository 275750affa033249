/* Answers the tool: each command writes a table, the first line naming its columns, tabs between. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/util.h"
#include "stack/chan/reasons.h"
#include "stack/host/admin_int.h"
#include "stack/host/upgrade.h"

enum { ARGS_MAX = 4 };

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
		eal_mbufs_used(h->mbufs) + eal_mbufs_used(h->mbufs_large));
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

	admin_process(conn->pid, name, sizeof(name));
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

/* ---- status, config, stop, log ---- */
/* What nif has now, also what it has got from routers. */
static void put_addrs(const struct netif *nif, FILE *out)
{
	char text[ADMIN_ADDR_MAX];

	for (uint16_t j = 0; j < nif->n_addrs; j++) {
		const struct netif_addr *a = &nif->addr[j];

		fprintf(out, " addr %s/%u%s%s%s", admin_addr(&a->addr, text),
			ipaddr_is_v4(&a->addr) ? a->plen - 96u : a->plen,
			a->flags & NETIF_ADDR_OPTIMISTIC ? " (being checked)" : "",
			a->flags & NETIF_ADDR_TEMPORARY ? " (temporary)" : "",
			a->flags & NETIF_ADDR_DEPRECATED ? " (deprecated)" : "");
	}
}

static void put_gateways(const struct route_table *t, FILE *out)
{
	char text[ADMIN_ADDR_MAX];

	for (uint32_t i = 0; i < t->n; i++) {
		if (t->r[i].kind == ROUTE_GATEWAY)
			fprintf(out, "gateway\t%s port %s\n", admin_addr(&t->r[i].gateway, text),
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
	{ "ss", false, admin_ss },	   { "groups", false, admin_groups },
	{ "ip", false, admin_ip },	   { "stat", false, run_stat },
	{ "explain", false, run_explain }, { "status", false, run_status },
	{ "config", false, run_config },   { "trace", true, admin_trace },
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
