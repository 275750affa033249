/* The cores at both ends of the bottleneck, and the event loop. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/flows.h"
#include <linux/inet_diag.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include "stack/tcp/tcp_bbr.h"
#include "stack/tcp/tcp_core.h"

enum { RING = 1 << 16, LATE = 1 << 10, BACKLOG = 128 << 20, SNDBUF_MIN = 128 << 10, RCVBUF_MIN = 1 << 20,
       PORT = 1000 };

struct packet {
	uint64_t due_ns;
	struct tcp_seg seg;
	uint32_t flow;
};

/* First in, first out: all packets of one direction take equally long. */
struct ring {
	struct packet *p;
	uint32_t head, tail;
};

struct side {
	struct tcp_env env; /* must stay first */
	struct world *w;
	struct rng rng;
	struct tcp_conn c[FLOWS_MAX];
	uint32_t n_conns;
	struct tcp_sockopts opts[FLOWS_MAX];
	struct tcp_listener listener;
};

struct world {
	const struct flows_conf *conf;
	struct rng rng;
	uint64_t now_ns, start_ns, free_ns;
	uint32_t queue_bytes;
	struct side *s, *r;
	struct ring there, back;
	struct packet late[LATE]; /* overtaken by those in there; in no order */
	uint32_t n_late;
	bool running[FLOWS_MAX];
	uint32_t wrote[FLOWS_MAX], room[FLOWS_MAX];
	uint64_t write_ns[FLOWS_MAX];
	uint64_t before[FLOWS_MAX]; /* bytes received when measuring began */
	bool measuring;
	uint64_t queue_sum, queue_n, sent, resent;
	struct flows_result res;
};

static struct packet *ring_put(struct ring *q)
{
	if (q->tail - q->head == RING) {
		fprintf(stderr, "flows: more packets in flight than there is room for\n");
		abort();
	}
	return &q->p[q->tail++ % RING];
}

static uint64_t ring_next_ns(const struct ring *q)
{
	return q->head == q->tail ? UINT64_MAX : q->p[q->head % RING].due_ns;
}

static struct endpoint end_of(bool sender, uint32_t flow)
{
	return (struct endpoint){ .addr = ipaddr_v4(sender ? 0x0a000001 : 0x0a000002),
				  .port = (uint16_t)(sender ? PORT + 1 + flow : PORT) };
}

/* ---- the wire ---- */
static void send_data(struct world *w, struct tcp_seg *seg, uint32_t flow)
{
	const struct flows_conf *f = w->conf;
	uint32_t bytes = FLOWS_WIRE - FLOWS_MSS + seg->len;
	uint64_t wait_ns = max_u64(w->free_ns, w->now_ns) - w->now_ns;
	uint32_t queued = (uint32_t)(wait_ns * f->mbit / 8000);

	if (w->measuring) {
		w->queue_sum += queued;
		w->queue_n++;
		w->res.queue_max = max_u32(w->res.queue_max, queued);
	}
	if (queued + bytes > w->queue_bytes || rng_below(&w->rng, 1000000) < f->loss_ppm)
		return;
	if (f->mark_bytes && queued > f->mark_bytes && seg->ecn == TCP_ECN_ECT0)
		seg->ecn = TCP_ECN_CE;
	w->free_ns = w->now_ns + wait_ns + bytes * 8000ull / f->mbit;
	uint64_t due_ns = w->free_ns + f->rtt_us * 500ull;
	if (w->n_late < LATE && f->late_ppm && rng_below(&w->rng, 1000000) < f->late_ppm) {
		due_ns += rng_below(&w->rng, f->rtt_us * 250 + 10 * FLOWS_WIRE * 8000 / f->mbit);
		w->late[w->n_late++] = (struct packet){ due_ns, *seg, flow };
		return;
	}
	*ring_put(&w->there) = (struct packet){ due_ns, *seg, flow };
}

static void op_output(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		      struct tcp_conn *c, uint32_t tx_pos)
{
	struct world *w = ((struct side *)env)->w;

	if (env == &w->r->env) {
		*ring_put(&w->back) = (struct packet){ w->now_ns + w->conf->rtt_us * 500ull, *seg,
						       flow->remote.port - PORT - 1u };
		return;
	}
	for (uint32_t off = 0; off == 0 || off < seg->len; off += FLOWS_MSS) {
		struct tcp_seg piece = *seg;

		piece.seq = seq_add(seg->seq, off);
		piece.len = min_u32(seg->len - off, FLOWS_MSS);
		send_data(w, &piece, flow->local.port - PORT - 1u);
	}
}

static void deliver_one(struct world *w, struct packet *p, struct side *to)
{
	struct tcp_flow f = { .local = end_of(to == w->s, p->flow),
			      .remote = end_of(to != w->s, p->flow) };

	tcp_input(&to->env, &f, &p->seg, NULL, w->now_ns);
}

static void deliver(struct world *w, struct ring *q, struct side *to)
{
	while (ring_next_ns(q) <= w->now_ns)
		deliver_one(w, &q->p[q->head++ % RING], to);
}

static uint64_t late_next_ns(const struct world *w)
{
	uint64_t next_ns = UINT64_MAX;

	for (uint32_t i = 0; i < w->n_late; i++)
		next_ns = min_u64(next_ns, w->late[i].due_ns);
	return next_ns;
}

static void deliver_late(struct world *w)
{
	for (uint32_t i = 0; i < w->n_late;) {
		if (w->late[i].due_ns > w->now_ns) {
			i++;
			continue;
		}
		struct packet p = w->late[i];
		w->late[i] = w->late[--w->n_late];
		deliver_one(w, &p, w->r);
	}
}

/* ---- the hosts ---- */
static int op_rx_write(struct tcp_env *env, struct tcp_conn *c, uint32_t pos, const void *p,
		       uint32_t len)
{
	return 0;
}

static struct tcp_conn *op_conn_new(struct tcp_env *env, struct tcp_listener *l,
				    const struct tcp_flow *flow)
{
	struct side *h = (struct side *)env;

	h->n_conns++;
	return &h->c[flow->remote.port - PORT - 1u];
}

static void op_accepted(struct tcp_env *env, struct tcp_listener *l, struct tcp_conn *c) {}
static void op_released(struct tcp_env *env, struct tcp_conn *c) {}
static void op_urgent(struct tcp_env *env, struct tcp_conn *c, uint32_t pos) {}
static uint16_t op_path_mss(struct tcp_env *env, const struct tcp_flow *flow)
{
	return FLOWS_MSS + 12;
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

static struct side *side_new(struct world *w)
{
	struct side *h = calloc(1, sizeof(*h));

	h->w = w;
	rng_seed(&h->rng, rng_u64(&w->rng));
	h->env.ops = &ops;
	h->env.rng = &h->rng;
	h->env.ecn = w->conf->mark_bytes ? TCP_ECN_ON : TCP_ECN_IF_ASKED;
	h->env.tso_bytes = 64000;
	h->env.max_conns = h->env.max_synq = h->env.max_timewait = 2 * FLOWS_MAX;
	for (uint32_t i = 0; i < w->conf->n; i++) {
		const char *cc = w->conf->cc[i] ? w->conf->cc[i] : w->conf->cc[0];

		h->opts[i] = (struct tcp_sockopts){ .rcvbuf = 512 << 20, .sndbuf = 512 << 20 };
		if (w->conf->rcvbuf_max) {
			h->opts[i].rcvbuf = RCVBUF_MIN;
			h->opts[i].rcvbuf_max = w->conf->rcvbuf_max;
		}
		h->opts[i].cc = cc ? (uint8_t)tcp_cc_find(cc) : 0;
	}
	if (tcp_env_init(&h->env, w->now_ns) < 0)
		abort();
	return h;
}

/* As much as there is room for; through a socket it is told of room when a third is free. */
static void write_on(struct world *w, uint32_t i)
{
	struct tcp_conn *c = &w->s->c[i];
	uint32_t used = w->wrote[i] - tcp_tx_una(c), room = BACKLOG;

	if (w->conf->sndbuf_max) {
		w->room[i] = max_u32(max_u32(w->room[i], SNDBUF_MIN),
				     min_u32(tcp_tune_sndbuf(c), w->conf->sndbuf_max));
		room = w->room[i];
	}
	if (used > room / 3 * 2)
		return;
	w->wrote[i] += room - used;
	tcp_app_wrote(&w->s->env, c, w->wrote[i], w->now_ns);
}

static void apps(struct world *w)
{
	const struct flows_conf *f = w->conf;
	struct list *n;

	for (uint32_t i = 0; i < f->n; i++) {
		struct tcp_conn *s = &w->s->c[i], *r = &w->r->c[i];
		uint64_t start_ns = w->start_ns + f->start_ms[i] * NSEC_PER_MSEC;

		if (!w->running[i] && w->now_ns >= start_ns) {
			struct tcp_flow flow = { .local = end_of(true, i),
						 .remote = end_of(false, i) };

			w->running[i] = true;
			s->opts = w->s->opts[i];
			tcp_connect(&w->s->env, s, &flow, w->now_ns);
		}
		if (w->running[i] && !f->chunk)
			write_on(w, i);
		if (w->running[i] && f->chunk && w->now_ns >= w->write_ns[i]) {
			w->wrote[i] += f->chunk;
			w->write_ns[i] = w->now_ns + f->every_ms * NSEC_PER_MSEC;
			tcp_app_wrote(&w->s->env, s, w->wrote[i], w->now_ns);
		}
		if (r->syn_rcvd)
			tcp_app_read(&w->r->env, r, tcp_rx_tail(r), w->now_ns);
	}
	while ((n = list_pop(&w->s->env.touched)))
		container_of(n, struct tcp_conn, touch_link)->events = 0;
	while ((n = list_pop(&w->r->env.touched)))
		container_of(n, struct tcp_conn, touch_link)->events = 0;
}

static void show(const struct world *w)
{
	for (uint32_t i = 0; i < w->conf->n; i++) {
		const struct tcp_conn *c = &w->s->c[i];

		fprintf(stderr, "%8.3f %u cwnd %u pipe %u ssthresh %d rtt %u state %u rate %lu",
			(double)(w->now_ns - w->start_ns) / 1e9, i, c->cwnd / FLOWS_MSS,
			tcp_pipe(c) / FLOWS_MSS, (int)(c->ssthresh / FLOWS_MSS), c->rtt.srtt_us,
			c->recovery, (unsigned long)(tcp_rate_last(c) / 125));
		if (c->model) {
			const struct tcp_bbr *s = bbr_of(c);

			fprintf(stderr, " bbr %u max %lu short %ld pace %lu long %d short %d min %u",
				s->state, (unsigned long)(bbr_max_bw(s) / 125),
				(long)(s->bw_shortterm == BBR_BW_INF ? -1 : (long)s->bw_shortterm / 125),
				(unsigned long)(c->pace_rate / 125), (int)s->inflight_longterm / FLOWS_MSS,
				(int)s->inflight_shortterm / FLOWS_MSS, s->min_rtt_us);
		}
		fprintf(stderr, "\n");
	}
}

/* ---- the loop ---- */
/* When can the senders' host do at t what it has to do then? */
static uint64_t awake_ns(const struct world *w, uint64_t t_ns)
{
	const struct flows_conf *f = w->conf;

	if (!f->stall_us)
		return t_ns;
	uint64_t since_ns = (t_ns - w->start_ns) % (f->stall_every_ms * NSEC_PER_MSEC);
	uint64_t stall_ns = f->stall_us * NSEC_PER_USEC;
	return since_ns < stall_ns ? t_ns - since_ns + stall_ns : t_ns;
}

static void step(struct world *w)
{
	const struct flows_conf *f = w->conf;
	uint64_t next_ns = min_u64(ring_next_ns(&w->back), tcp_next_ns(&w->s->env));

	if (awake_ns(w, w->now_ns) != w->now_ns)
		next_ns = awake_ns(w, w->now_ns);
	next_ns = min_u64(next_ns, ring_next_ns(&w->there));
	next_ns = min_u64(next_ns, late_next_ns(w));
	next_ns = min_u64(next_ns, tcp_next_ns(&w->r->env));
	for (uint32_t i = 0; i < f->n; i++) {
		if (!w->running[i])
			next_ns = min_u64(next_ns, w->start_ns + f->start_ms[i] * NSEC_PER_MSEC);
		else if (f->chunk)
			next_ns = min_u64(next_ns, w->write_ns[i]);
	}
	w->now_ns = max_u64(w->now_ns, next_ns);
	deliver(w, &w->there, w->r);
	deliver_late(w);
	tcp_advance(&w->r->env, w->now_ns);
	bool awake = awake_ns(w, w->now_ns) == w->now_ns;
	if (awake) {
		deliver(w, &w->back, w->s);
		tcp_advance(&w->s->env, w->now_ns);
	}
	apps(w);
	tcp_flush(&w->r->env, w->now_ns);
	if (awake)
		tcp_flush(&w->s->env, w->now_ns);
}

/* With what waits for a hole to be filled. */
static uint64_t received(const struct tcp_conn *c)
{
	return c->rx_bytes + c->reass.bytes[TCP_RUN_HELD];
}

static void measure(struct world *w)
{
	const struct flows_conf *f = w->conf;
	double all = (double)f->mbit * 125 * (f->to_ms - f->from_ms) * FLOWS_MSS / FLOWS_WIRE;
	double squares = 0;
	struct tcp_info ti;
	union tcp_cc_info info;

	for (uint32_t i = 0; i < f->n; i++) {
		w->res.share[i] = (double)(received(&w->r->c[i]) - w->before[i]) / all;
		w->res.sum += w->res.share[i];
		squares += w->res.share[i] * w->res.share[i];
		w->sent += w->s->c[i].tx_bytes;
		w->resent += w->s->c[i].rtx_total_bytes;
	}
	w->res.jain = w->res.sum * w->res.sum / (f->n * squares);
	w->res.queue_mean = w->queue_n ? (uint32_t)(w->queue_sum / w->queue_n) : 0;
	w->res.resent_permille = (uint32_t)(w->resent * 1000 / max_u64(w->sent, 1));
	tcp_fill_info(&w->s->env, &w->s->c[0], &ti, w->now_ns);
	w->res.rate = ti.tcpi_delivery_rate;
	w->res.rate_limited = ti.tcpi_delivery_rate_app_limited;
	if (w->s->c[0].cc->info && w->s->c[0].cc->info(&w->s->c[0], &info) == sizeof(info.bbr)) {
		w->res.bw = (uint64_t)info.bbr.bbr_bw_hi << 32 | info.bbr.bbr_bw_lo;
		w->res.min_rtt_us = info.bbr.bbr_min_rtt;
		w->res.in_startup = info.bbr.bbr_pacing_gain == BBR_STARTUP_PACING;
	}
}

static void clean_up(struct world *w)
{
	struct side *side[2] = { w->s, w->r };

	for (uint32_t k = 0; k < 2; k++) {
		for (uint32_t i = 0; i < w->conf->n; i++) {
			if (side[k]->c[i].counted)
				tcp_abort(&side[k]->env, &side[k]->c[i], w->now_ns);
		}
	}
	tcp_unlisten(&w->r->env, &w->r->listener);
	tcp_env_fini(&w->s->env);
	tcp_env_fini(&w->r->env);
	free(w->s);
	free(w->r);
	free(w->there.p);
	free(w->back.p);
}

struct flows_result flows_run(const struct flows_conf *conf)
{
	struct world w = { .conf = conf, .now_ns = 1000 * NSEC_PER_SEC };
	uint64_t bdp = (uint64_t)conf->mbit * conf->rtt_us / 8, show_ns = 0;

	w.start_ns = w.now_ns;
	w.queue_bytes = conf->queue_bytes ? conf->queue_bytes : (uint32_t)max_u64(bdp, 30000);
	rng_seed(&w.rng, conf->seed + 1);
	w.there.p = malloc(RING * sizeof(struct packet));
	w.back.p = malloc(RING * sizeof(struct packet));
	w.s = side_new(&w);
	w.r = side_new(&w);
	w.r->listener = (struct tcp_listener){
		.local = end_of(false, 0), .backlog = 100, .opts = &w.r->opts[0] };
	tcp_listen(&w.r->env, &w.r->listener);
	for (uint64_t end_ns = w.start_ns + conf->to_ms * NSEC_PER_MSEC; w.now_ns < end_ns;) {
		step(&w);
		if (!w.measuring && w.now_ns >= w.start_ns + conf->from_ms * NSEC_PER_MSEC) {
			w.measuring = true;
			for (uint32_t i = 0; i < conf->n; i++)
				w.before[i] = received(&w.r->c[i]);
		}
		if (getenv("FASTNET_FLOWS_SHOW") && w.now_ns >= show_ns) {
			show(&w);
			show_ns = w.now_ns + strtoull(getenv("FASTNET_FLOWS_SHOW"), NULL, 0) * 1000000;
		}
	}
	measure(&w);
	clean_up(&w);
	return w.res;
}
