/* The two hosts, the wire between them and the event loop. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/pair.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/pkt/invariant.h"

enum { MAX_BYTES = 200000, WIRE_MAX = 4096, EVENTS_MAX = 400000, LIMIT_S = 3600 };

struct host {
	struct tcp_env env; /* must stay first */
	struct pair *pair;
	struct rng rng;
	struct tcp_listener listener;
	struct tcp_sockopts opts;
	bool listens, live, released, gone; /* gone: the application has closed */
	struct tcp_conn c;
	uint8_t *rx;
	uint8_t salt;
	uint16_t path_mss;
	uint32_t total, wrote, leave_at; /* bytes to send; rude: leaves after so many written or read */
	bool aborts, shut, reset;
	uint64_t act_ns;
	uint32_t pause_us, lazy;
	uint32_t urgent, urgent_told; /* behind our last urgent byte; as the peer told us of its */
};

struct packet {
	uint64_t due_ns, order;
	struct tcp_seg seg;
	struct tcp_flow flow; /* seen by the receiver */
	uint8_t *data;
	int to;
};

struct pair {
	struct rng rng;
	uint64_t now_ns;
	struct host h[2];
	struct packet wire[WIRE_MAX];
	uint32_t n_wire;
	uint64_t order;
	uint32_t loss, dup; /* per 1000 */
	uint32_t delay_us, jitter_us;
	uint32_t reorder;	/* per 1000: overtaken by what is sent within another delay */
	uint32_t burst_ms;	/* once in a while the wire is dead, up to so long */
	uint32_t rate_mbit, queue_bytes; /* a bottleneck each way with a queue, 0 = none */
	bool no_sack;		/* something on the way takes the option out of the SYNs */
	struct link { uint64_t free_ns, dead_ns; } link[2];
	char *why;
	bool failed;
};

static uint64_t segments;

uint64_t pair_segments(void) { return segments; }

static void fail(struct pair *p, const char *what, uint64_t detail)
{
	if (!p->failed)
		snprintf(p->why, PAIR_WHY, "%s (%llu)", what, (unsigned long long)detail);
	p->failed = true;
}

static uint8_t byte_at(uint32_t pos, uint8_t salt)
{
	return (uint8_t)((pos ^ pos >> 8 ^ pos >> 16) * 31 + salt);
}

/* ---- the wire ---- */

/* The packet stands in the queue of the bottleneck: marked when that is half full, lost when it is
 * full; *leaves_ns is when the last bit has left. */
static bool pass_queue(struct pair *p, struct packet *pkt, uint64_t *leaves_ns)
{
	struct link *l = &p->link[pkt->to];
	uint32_t bytes = 40 + pkt->seg.len;

	*leaves_ns = p->now_ns;
	if (!p->rate_mbit)
		return true;
	uint64_t wait_ns = max_u64(l->free_ns, p->now_ns) - p->now_ns;
	uint64_t queued = wait_ns * p->rate_mbit / 8000;
	if (queued + bytes > p->queue_bytes)
		return false;
	if (queued > p->queue_bytes / 2 && pkt->seg.ecn == TCP_ECN_ECT0)
		pkt->seg.ecn = TCP_ECN_CE;
	l->free_ns = p->now_ns + wait_ns + bytes * 8000ull / p->rate_mbit;
	*leaves_ns = l->free_ns;
	return true;
}

/* Alone, or with all that comes for a while. */
static bool is_lost(struct pair *p, struct link *l)
{
	if (p->burst_ms && p->now_ns >= l->dead_ns && rng_below(&p->rng, 300) == 0)
		l->dead_ns = p->now_ns + (1 + rng_below(&p->rng, p->burst_ms)) * NSEC_PER_MSEC;
	return p->now_ns < l->dead_ns || rng_below(&p->rng, 1000) < p->loss;
}

static void put_on_wire(struct pair *p, struct packet *pkt)
{
	uint32_t delay_us = p->delay_us + (p->jitter_us ? rng_below(&p->rng, p->jitter_us) : 0);
	uint64_t leaves_ns;

	if (rng_below(&p->rng, 1000) < p->reorder)
		delay_us += rng_below(&p->rng, p->delay_us + 1);
	if (!pass_queue(p, pkt, &leaves_ns) || p->n_wire == WIRE_MAX)
		return; /* a full queue loses */
	struct packet *q = &p->wire[p->n_wire++];
	*q = *pkt;
	q->due_ns = leaves_ns + delay_us * NSEC_PER_USEC;
	q->order = p->order++;
	q->data = malloc(pkt->seg.len + 1);
	memcpy(q->data, pkt->data, pkt->seg.len);
}

/* One piece of at most MSS bytes, as a NIC would cut it. */
static void send_piece(struct host *h, struct packet *pkt, uint32_t tx_pos)
{
	struct pair *p = h->pair;
	uint8_t data[UINT16_MAX];

	for (uint32_t i = 0; i < pkt->seg.len; i++)
		data[i] = byte_at(tx_pos + i, h->salt);
	pkt->data = data;
	segments++;
	bool lost = is_lost(p, &p->link[pkt->to]);
	pkt->seg.sack_ok &= !p->no_sack;
	if (getenv("FASTNET_PAIR_SHOW")) { /* for a single seed */
		char text[256];

		tcp_seg_show(&pkt->seg, text, sizeof(text));
		fprintf(stderr, "%.6f %c %s%s\n", (double)p->now_ns / 1e9,
			h == &p->h[0] ? '>' : '<', text, lost ? " LOST" : "");
	}
	if (!lost)
		put_on_wire(p, pkt);
	if (rng_below(&p->rng, 1000) < p->dup)
		put_on_wire(p, pkt);
}

static void op_output(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		      struct tcp_conn *c, uint32_t tx_pos)
{
	struct host *h = (struct host *)env;
	uint32_t mss = seg->mss ? seg->mss : 536;

	if (seg->len && (!c || tx_pos + seg->len > h->wrote))
		fail(h->pair, "sent bytes that the application has not written", tx_pos);
	for (uint32_t off = 0; off == 0 || off < seg->len; off += mss) {
		struct packet pkt = {
			.seg = *seg,
			.flow = { .local = flow->remote, .remote = flow->local },
			.to = h == &h->pair->h[0],
		};

		pkt.seg.seq = seq_add(seg->seq, off);
		pkt.seg.len = min_u32(seg->len - off, mss);
		if (off + mss < seg->len)
			pkt.seg.flags &= (uint8_t)~(TCPF_FIN | TCPF_PSH);
		send_piece(h, &pkt, tx_pos + off);
	}
}

static int op_rx_write(struct tcp_env *env, struct tcp_conn *c, uint32_t pos, const void *p,
		       uint32_t len)
{
	struct host *h = (struct host *)env;

	if (pos + len > MAX_BYTES || pos < tcp_rx_tail(c) ||
	    pos + len - c->rx_head > max_u32(c->opts.rcvbuf, UINT16_MAX)) {
		fail(h->pair, "bytes stored outside the window", pos);
		return -1;
	}
	if (rng_below(&h->pair->rng, 500) == 0)
		return -1; /* no memory just now */
	memcpy(h->rx + pos, p, len);
	return 0;
}

static struct tcp_conn *op_conn_new(struct tcp_env *env, struct tcp_listener *l,
				    const struct tcp_flow *flow)
{
	struct host *h = (struct host *)env;

	if (h->live || h->released)
		return NULL;
	h->live = true;
	return &h->c;
}

static void op_accepted(struct tcp_env *env, struct tcp_listener *l, struct tcp_conn *c) {}

static void op_released(struct tcp_env *env, struct tcp_conn *c)
{
	struct host *h = (struct host *)env;

	if (!h->live || !h->gone)
		fail(h->pair, "released without a close", 0);
	h->live = false;
	h->released = true;
	memset(c, 0x5a, sizeof(*c));
}

/* Pointers that reach further than 16 bits name a byte on the way there. */
static void op_urgent(struct tcp_env *env, struct tcp_conn *c, uint32_t pos)
{
	struct host *h = (struct host *)env, *peer = &h->pair->h[h == &h->pair->h[0]];

	if (pos < tcp_rx_tail(c) || pos < h->urgent_told || pos >= peer->urgent)
		fail(h->pair, "wrong urgent pointer", pos);
	h->urgent_told = pos + 1;
}

static uint16_t op_path_mss(struct tcp_env *env, const struct tcp_flow *flow)
{
	return ((struct host *)env)->path_mss;
}

static const struct tcp_ops ops = {
	.output = op_output,
	.rx_write = op_rx_write,
	.conn_new = op_conn_new,
	.accepted = op_accepted,
	.released = op_released,
	.urgent = op_urgent,
	.path_mss = op_path_mss,
};

/* ---- the applications ---- */

static void app_read(struct pair *p, struct host *h, const struct host *peer)
{
	struct tcp_conn *c = &h->c;
	uint32_t avail = tcp_rx_tail(c) - c->rx_head;
	uint32_t n = avail ? 1 + rng_below(&h->rng, avail) : 0;

	for (uint32_t pos = c->rx_head; pos != c->rx_head + n; pos++) {
		if (h->rx[pos] != byte_at(pos, peer->salt))
			fail(p, "wrong byte received at", pos);
	}
	if (n)
		tcp_app_read(&h->env, c, c->rx_head + n, p->now_ns);
}

static void app_leave(struct pair *p, struct host *h)
{
	h->gone = true;
	if (h->aborts)
		tcp_abort(&h->env, &h->c, p->now_ns);
	else
		tcp_close(&h->env, &h->c, p->now_ns);
}

static void app_act(struct pair *p, int i, enum pair_end end)
{
	struct host *h = &p->h[i], *peer = &p->h[!i];
	struct tcp_conn *c = &h->c;

	/* an application that finds nothing to do sleeps longer, until an event */
	h->act_ns = p->now_ns + (1ull + rng_below(&h->rng, h->pause_us)) * NSEC_PER_USEC * h->lazy;
	h->lazy = min_u32(2 * h->lazy, 1 + 2000000 / h->pause_us);
	if (!h->live || h->gone)
		return;
	app_read(p, h, peer);
	if (tcp_may_send(c) && h->wrote < h->total) {
		uint32_t room = h->opts.sndbuf - (h->wrote - tcp_tx_una(c));
		uint32_t n = min_u32(h->total - h->wrote, room);

		h->wrote += n ? 1 + rng_below(&h->rng, n) : 0;
		tcp_app_wrote(&h->env, c, h->wrote, p->now_ns);
		if (n && rng_below(&h->rng, 4) == 0) {
			h->urgent = h->wrote;
			tcp_app_urgent(&h->env, c, h->wrote - 1);
		}
	}
	bool all_read = tcp_rx_tail(c) == c->rx_head;
	if (tcp_is_closed(c) && c->error)
		h->reset = true;
	if (end == PAIR_RUDE && h->wrote + c->rx_head >= h->leave_at) {
		app_leave(p, h);
		return;
	}
	if (h->wrote == h->total && !h->shut && c->state >= TCPS_ESTABLISHED) {
		tcp_shutdown(&h->env, c, p->now_ns);
		h->shut = true;
	}
	/* an orphan gives up sooner than a bad wire delivers: the polite wait for the last ACK */
	if ((h->shut && c->fin_acked && tcp_rx_fin(c) && all_read) || (tcp_is_closed(c) && all_read)) {
		if (end == PAIR_POLITE && (c->error || c->rx_head != peer->total))
			fail(p, "stream ended early, position and error",
			     c->rx_head * 1000ull + (uint64_t)c->error);
		if (end == PAIR_POLITE && h->urgent_told != peer->urgent)
			fail(p, "an urgent pointer was lost", peer->urgent);
		h->aborts = false;
		app_leave(p, h);
	}
}

/* ---- the loop ---- */

static void drain_touched(struct pair *p, struct host *h)
{
	struct list *n;

	while ((n = list_pop(&h->env.touched))) {
		container_of(n, struct tcp_conn, touch_link)->events = 0;
		h->lazy = 1;
		h->act_ns = min_u64(h->act_ns, p->now_ns + h->pause_us * NSEC_PER_USEC);
	}
}

static void check_hosts(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		const char *wrong = p->h[i].live ? conn_wrong(&p->h[i].c) : NULL;

		if (wrong)
			fail(p, wrong, (uint64_t)i);
		drain_touched(p, &p->h[i]);
	}
}

/* Index of the packet that arrives next, or -1. */
static int next_packet(const struct pair *p)
{
	int best = -1;

	for (uint32_t i = 0; i < p->n_wire; i++) {
		const struct packet *q = &p->wire[i], *b = &p->wire[best < 0 ? 0 : best];

		if (best < 0 || q->due_ns < b->due_ns ||
		    (q->due_ns == b->due_ns && q->order < b->order))
			best = (int)i;
	}
	return best;
}

static void deliver_due(struct pair *p)
{
	int i;

	while ((i = next_packet(p)) >= 0 && p->wire[i].due_ns <= p->now_ns) {
		struct packet pkt = p->wire[i];
		struct host *h = &p->h[pkt.to];

		p->wire[i] = p->wire[--p->n_wire];
		tcp_input(&h->env, &pkt.flow, &pkt.seg, pkt.data, p->now_ns);
		free(pkt.data);
	}
}

static bool over(const struct pair *p)
{
	return p->n_wire == 0 && p->h[0].env.n_conns + p->h[1].env.n_conns == 0 &&
	       p->h[0].env.n_synq + p->h[1].env.n_synq == 0 &&
	       (p->h[0].gone || !p->h[0].live) && (p->h[1].gone || !p->h[1].live);
}

static void step(struct pair *p, enum pair_end end)
{
	int k = next_packet(p);
	uint64_t next_ns = k >= 0 ? p->wire[k].due_ns : UINT64_MAX;

	for (int i = 0; i < 2; i++) {
		next_ns = min_u64(next_ns, tcp_next_ns(&p->h[i].env));
		if (p->h[i].live && !p->h[i].gone)
			next_ns = min_u64(next_ns, p->h[i].act_ns);
	}
	if (next_ns == UINT64_MAX) {
		fail(p, "nothing will ever happen again", p->now_ns);
		return;
	}
	p->now_ns = max_u64(p->now_ns, next_ns);
	deliver_due(p);
	for (int i = 0; i < 2; i++) {
		tcp_advance(&p->h[i].env, p->now_ns);
		if (p->h[i].act_ns <= p->now_ns)
			app_act(p, i, end);
		tcp_flush(&p->h[i].env, p->now_ns);
	}
	check_hosts(p);
}

static uint32_t one_of(struct rng *r, const uint32_t *v, uint32_t n)
{
	return v[rng_below(r, n)];
}
#define ONE_OF(r, ...) one_of(r, (uint32_t[]){ __VA_ARGS__ }, \
			      sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void host_init(struct pair *p, int i, enum pair_end end)
{
	struct host *h = &p->h[i];
	struct rng *r = &p->rng;

	h->pair = p;
	h->lazy = 1;
	h->salt = (uint8_t)(i ? 77 : 1);
	rng_seed(&h->rng, rng_u64(r));
	h->rx = malloc(MAX_BYTES);
	memset(h->rx, 0xa5, MAX_BYTES);
	h->path_mss = (uint16_t)ONE_OF(r, 48, 88, 536, 1000, 1460, 1460, 8960);
	h->total = ONE_OF(r, 0, 1, 100, 5000, 40000, rng_below(r, 100000));
	h->leave_at = rng_below(r, 1 + h->total + 2000);
	h->aborts = end == PAIR_RUDE && rng_below(r, 2);
	h->pause_us = ONE_OF(r, 10, 1000, 20000, 300000);
	if (h->path_mss < 100 || h->pause_us > 20000)
		h->total = min_u32(h->total, 3000);
	h->opts = (struct tcp_sockopts){
		.rcvbuf = ONE_OF(r, 500, 3000, 20000, 65535, 150000),
		.sndbuf = ONE_OF(r, 1, 1000, 30000, 100000),
		.nodelay = rng_below(r, 2),
		.cork = rng_below(r, 8) == 0,
		/* without it a lost RST leaves the reader waiting for ever, as it should */
		.keepalive = end == PAIR_RUDE || rng_below(r, 4) == 0,
		.keepidle_s = 1,
		.keepintvl_s = 1,
		.keepcnt = 50,
		.linger2_s = rng_below(r, 5) == 0 ? 5 : 0,
		.cc = (uint8_t)rng_below(r, 4),
		.pacing = ONE_OF(r, 0, 0, 0, 50000, 5000000),
	};
	if (h->opts.sndbuf == 1)
		h->total = min_u32(h->total, 100);
	h->env.ops = &ops;
	h->env.key = (struct siphash_key){ { rng_u64(r), rng_u64(r) } };
	h->env.rng = &h->rng;
	h->env.ecn = (enum tcp_ecn_mode)rng_below(r, 3);
	h->env.tso_bytes = ONE_OF(r, 0, 0, 16000, 64000);
	h->env.max_conns = h->env.max_timewait = h->env.max_synq = 4;
	if (tcp_env_init(&h->env, p->now_ns) < 0)
		abort();
}

static void open_conn(struct pair *p)
{
	struct endpoint ep[2] = {
		{ .addr = ipaddr_v4(0x0a000001), .port = 1000 },
		{ .addr = ipaddr_v4(0x0a000002), .port = 2000 },
	};
	bool crossed = rng_below(&p->rng, 8) == 0;

	for (int i = 0; i < 2; i++) {
		struct host *h = &p->h[i];
		struct tcp_flow f = { .local = ep[i], .remote = ep[!i] };

		h->c.opts = h->opts;
		if (i == 0 || crossed) {
			h->live = true;
			if (tcp_connect(&h->env, &h->c, &f, p->now_ns) < 0)
				fail(p, "connect", (uint64_t)i);
		} else {
			h->listener = (struct tcp_listener){
				.local = ep[i], .backlog = 1, .opts = &h->opts };
			h->listens = true;
			tcp_listen(&h->env, &h->listener);
		}
		h->act_ns = p->now_ns;
		tcp_flush(&h->env, p->now_ns);
	}
}

/* No connection is left: only the records may still count down. */
static void finish(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		struct host *h = &p->h[i];
		uint64_t end_ns = p->now_ns + 200 * NSEC_PER_SEC;

		if (h->listens)
			tcp_unlisten(&h->env, &h->listener);
		for (uint64_t t; (t = tcp_next_ns(&h->env)) <= end_ns;)
			tcp_advance(&h->env, t);
		if (h->env.n_timewait || h->env.wheel.armed)
			fail(p, "records or timers left", h->env.n_timewait);
	}
}

static void clean_up(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		struct host *h = &p->h[i];

		if (!p->failed)
			tcp_env_fini(&h->env);
		free(h->rx);
	}
	for (uint32_t i = 0; i < p->n_wire; i++)
		free(p->wire[i].data);
	free(p);
}

const char *pair_run(uint64_t seed, enum pair_end end, char why[PAIR_WHY])
{
	struct pair *p = calloc(1, sizeof(*p));
	uint64_t limit_ns;
	uint32_t steps = 0;

	p->why = why;
	rng_seed(&p->rng, seed);
	p->now_ns = NSEC_PER_SEC + rng_u64(&p->rng) % (1000 * NSEC_PER_SEC);
	limit_ns = p->now_ns + LIMIT_S * NSEC_PER_SEC;
	p->loss = ONE_OF(&p->rng, 0, 0, 5, 30, 60, 100);
	p->dup = ONE_OF(&p->rng, 0, 0, 10, 100);
	p->delay_us = ONE_OF(&p->rng, 1, 50, 1000, 30000, 150000);
	p->jitter_us = ONE_OF(&p->rng, 0, 0, 100, 5000, 60000);
	p->reorder = ONE_OF(&p->rng, 0, 0, 0, 10, 100);
	p->burst_ms = ONE_OF(&p->rng, 0, 0, 0, 1, 100);
	p->rate_mbit = ONE_OF(&p->rng, 0, 0, 1, 10, 100);
	p->queue_bytes = ONE_OF(&p->rng, 12000, 30000, 100000);
	p->no_sack = rng_below(&p->rng, 4) == 0;
	for (int i = 0; i < 2; i++)
		host_init(p, i, end);
	open_conn(p);
	while (!p->failed && !over(p)) {
		step(p, end);
		if (++steps > EVENTS_MAX || p->now_ns > limit_ns)
			fail(p, "does not end, steps", steps);
	}
	if (!p->failed)
		finish(p);
	bool failed = p->failed;
	clean_up(p);
	return failed ? why : NULL;
}
