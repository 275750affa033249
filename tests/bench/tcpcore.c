/* What the TCP core itself costs a segment: two of them joined by a function call, no wire, no loss,
 * no copies. "bulk" moves bytes one way, "rr" a byte there and back. Under valgrind
 * --tool=callgrind the instructions per segment are the figure, else nanoseconds: scripts/bench-instr builds
 * and counts. */
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "stack/tcp/tcp_core.h"

enum { QUEUE = 1 << 16, MSS = 1448 };

struct end {
	struct tcp_env env; /* must stay first */
	struct rng rng;
	struct tcp_conn c;
	struct end *peer;
	struct tcp_seg queue[QUEUE]; /* for the peer */
	uint32_t n;
	struct tcp_flow flow;
	struct tcp_listener l;
	struct tcp_sockopts opts;
};

static struct end *ends[2];
static uint64_t n_segs, now_ns = NSEC_PER_SEC;

static void op_output(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		      struct tcp_conn *c, uint32_t tx_pos)
{
	struct end *e = (struct end *)env;

	e->queue[e->n++ % QUEUE] = *seg;
	n_segs++;
}

static int op_rx_write(struct tcp_env *env, struct tcp_conn *c, uint32_t pos, const void *p,
		       uint32_t len)
{
	return 0;
}

static struct tcp_conn *op_conn_new(struct tcp_env *env, struct tcp_listener *l,
				    const struct tcp_flow *flow)
{
	return &((struct end *)env)->c;
}

static void op_accepted(struct tcp_env *env, struct tcp_listener *l, struct tcp_conn *c) {}
static void op_released(struct tcp_env *env, struct tcp_conn *c) {}
static void op_urgent(struct tcp_env *env, struct tcp_conn *c, uint32_t pos) {}
static uint16_t op_path_mss(struct tcp_env *env, const struct tcp_flow *flow) { return MSS + 12; }

static const struct tcp_ops ops = {
	.output = op_output,
	.rx_write = op_rx_write,
	.conn_new = op_conn_new,
	.accepted = op_accepted,
	.released = op_released,
	.urgent = op_urgent,
	.path_mss = op_path_mss,
};

static struct end *end_new(int i)
{
	struct end *e = calloc(1, sizeof(*e));
	struct endpoint ep[2] = {
		{ .addr = ipaddr_v4(0x0a000001), .port = 1000 },
		{ .addr = ipaddr_v4(0x0a000002), .port = 2000 },
	};

	e->flow = (struct tcp_flow){ .local = ep[i], .remote = ep[!i] };
	rng_seed(&e->rng, 7);
	e->env.ops = &ops;
	e->env.rng = &e->rng;
	e->env.max_conns = e->env.max_synq = e->env.max_timewait = 16;
	e->opts = (struct tcp_sockopts){ .rcvbuf = 4 << 20, .sndbuf = 4 << 20, .nodelay = true };
	e->c.opts = e->opts;
	if (tcp_env_init(&e->env, now_ns) < 0)
		abort();
	return e;
}

/* Everything that a has sent reaches b, in bursts of at most 32 as a port gives them. */
static void deliver(struct end *a, struct end *b)
{
	for (uint32_t i = 0; i < a->n;) {
		for (uint32_t k = 0; k < 32 && i < a->n; k++, i++)
			tcp_input(&b->env, &b->flow, &a->queue[i], NULL, now_ns);
		tcp_flush(&b->env, now_ns);
	}
	a->n = 0;
}

static void turn(void)
{
	now_ns += 10 * NSEC_PER_USEC;
	for (int i = 0; i < 2; i++) {
		struct list *n;

		tcp_advance(&ends[i]->env, now_ns);
		tcp_flush(&ends[i]->env, now_ns);
		deliver(ends[i], ends[!i]);
		while ((n = list_pop(&ends[i]->env.touched)))
			container_of(n, struct tcp_conn, touch_link)->events = 0;
	}
}

static void bulk(uint64_t bytes)
{
	struct tcp_conn *a = &ends[0]->c, *b = &ends[1]->c;
	uint32_t wrote = 0;

	while (b->rx_bytes < bytes) {
		uint32_t room = (1 << 20) - (wrote - tcp_tx_una(a));

		wrote += room;
		tcp_app_wrote(&ends[0]->env, a, wrote, now_ns);
		turn();
		tcp_app_read(&ends[1]->env, b, tcp_rx_tail(b), now_ns);
	}
}

static void rr(uint64_t rounds)
{
	struct tcp_conn *c[2] = { &ends[0]->c, &ends[1]->c };
	uint32_t wrote[2] = { 0 };

	while (rounds--) {
		for (int i = 0; i < 2; i++) {
			tcp_app_wrote(&ends[i]->env, c[i], ++wrote[i], now_ns);
			tcp_flush(&ends[i]->env, now_ns);
			deliver(ends[i], ends[!i]);
			tcp_app_read(&ends[!i]->env, c[!i], tcp_rx_tail(c[!i]), now_ns);
		}
		turn();
	}
}

int main(int argc, char **argv)
{
	bool is_rr = argc > 1 && strcmp(argv[1], "rr") == 0;
	uint64_t amount = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	struct timespec t0, t1;

	for (int i = 0; i < 2; i++)
		ends[i] = end_new(i);
	ends[0]->env.tso_bytes = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
	ends[1]->l = (struct tcp_listener){
		.local = ends[1]->flow.local, .backlog = 4, .opts = &ends[1]->opts };
	tcp_listen(&ends[1]->env, &ends[1]->l);
	tcp_connect(&ends[0]->env, &ends[0]->c, &ends[0]->flow, now_ns);
	for (int i = 0; i < 3; i++)
		turn();
	n_segs = 0;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	if (is_rr)
		rr(amount);
	else
		bulk(amount);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	double ns = (double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec);
	printf("%s: %llu segments, %.1f ns each\n", is_rr ? "rr" : "bulk",
	       (unsigned long long)n_segs, ns / (double)n_segs);
	return 0;
}
