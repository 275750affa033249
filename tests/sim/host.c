/* One end: what the core asks of its host, and an application that writes, reads, waits, is slow, leaves. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/sim/sim.h"

enum { NAPS_MOST = 20 };

static struct sim_host *host_of(struct tcp_env *env) { return (struct sim_host *)env; }
static struct sim_host *peer_of(const struct sim_host *h)
{
	return &h->sim->h[h == &h->sim->h[0]];
}

/* ---- what the core asks ---- */

static void show(const struct sim_host *h, const struct tcp_seg *seg)
{
	char text[256];

	tcp_seg_show(seg, text, sizeof(text));
	fprintf(stderr, "%.6f %c %s%s\n", (double)h->sim->now_ns / 1e9, h == h->sim->h ? '>' : '<',
		text, seg->ecn == TCP_ECN_ECT0 ? " ECT" : "");
}

/* What is longer than a segment is cut as a port would. */
static void op_output(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		      struct tcp_conn *c, uint32_t tx_pos)
{
	struct sim_host *h = host_of(env);
	struct sim *s = h->sim;
	int to = h == &s->h[0];
	uint32_t mss = seg->mss ? seg->mss : TCP_DEFAULT_MSS;

	if (seg->len && (!c || tx_pos + seg->len > h->wrote))
		sim_fail(s, "sent bytes that the application has not written", tx_pos);
	if (c)
		sim_watch_output(h, seg);
	for (uint32_t off = 0; off == 0 || off < seg->len; off += mss) {
		struct tcp_seg piece = *seg;

		piece.seq = seq_add(seg->seq, off);
		piece.len = min_u32(seg->len - off, mss);
		if (off + mss < seg->len)
			piece.flags &= (uint8_t)~(TCPF_FIN | TCPF_PSH);
		if (s->show)
			show(h, &piece);
		s->segments++;
		struct sim_packet *p = sim_pack(h, flow, &piece, tx_pos + off);
		if (p->len > h->mtu)
			sim_fail(s, "a packet longer than the interface's MTU", p->len);
		sim_push(&s->node[to][0], p);
	}
}

static int op_rx_write(struct tcp_env *env, struct tcp_conn *c, uint32_t pos, const void *p,
		       uint32_t len)
{
	struct sim_host *h = host_of(env);
	uint32_t at = pos & (h->rx_size - 1), first = min_u32(len, h->rx_size - at);

	if (pos < tcp_rx_tail(c) || pos + len - c->rx_head > max_u32(c->opts.rcvbuf, UINT16_MAX)) {
		sim_fail(h->sim, "bytes stored outside the window", pos);
		return -EINVAL;
	}
	if (h->sim->no_mem && rng_below(&h->rng, 100000) < h->sim->no_mem)
		return -ENOMEM;
	memcpy(h->rx + at, p, first);
	memcpy(h->rx, (const uint8_t *)p + first, len - first);
	return 0;
}

static struct tcp_conn *op_conn_new(struct tcp_env *env, struct tcp_listener *l,
				    const struct tcp_flow *flow)
{
	struct sim_host *h = host_of(env);

	if (h->live || h->released)
		return NULL;
	h->live = true;
	return &h->c;
}

static void op_accepted(struct tcp_env *env, struct tcp_listener *l, struct tcp_conn *c) {}

static void op_released(struct tcp_env *env, struct tcp_conn *c)
{
	struct sim_host *h = host_of(env);

	if (!h->live || !h->gone)
		sim_fail(h->sim, "released without a close", 0);
	h->live = false;
	h->released = true;
	h->last.valid = false;
	memset(c, 0x5a, sizeof(*c));
}

/* Pointers that reach further than 16 bits name a byte on the way there. */
static void op_urgent(struct tcp_env *env, struct tcp_conn *c, uint32_t pos)
{
	struct sim_host *h = host_of(env);

	if (pos < tcp_rx_tail(c) || pos < h->urgent_told || pos >= peer_of(h)->urgent)
		sim_fail(h->sim, "wrong urgent pointer", pos);
	h->urgent_told = pos + 1;
}

static uint16_t op_path_mss(struct tcp_env *env, const struct tcp_flow *flow)
{
	return host_of(env)->mtu - sim_hdrs(host_of(env)->sim);
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

void sim_host_init(struct sim_host *h, uint32_t rx_size)
{
	h->lazy = 1;
	h->rx_size = rx_size;
	h->rx = malloc(rx_size);
	h->env.ops = &ops;
	h->env.rng = &h->rng;
	h->env.key = (struct siphash_key){ { rng_u64(&h->rng), rng_u64(&h->rng) } };
	h->env.max_conns = h->env.max_timewait = h->env.max_synq = 4;
	if (!h->rx || tcp_env_init(&h->env, h->sim->now_ns) < 0)
		abort();
	memset(h->rx, 0xa5, rx_size);
}

void sim_open(struct sim *s, bool crossed)
{
	struct endpoint ep[2];

	for (int i = 0; i < 2; i++) {
		struct ipaddr six = { .b = { 0xfd, [15] = (uint8_t)(1 + i) } };

		s->h[i].addr = s->six ? six : ipaddr_v4(0x0a000001 + (uint32_t)i);
		ep[i] = (struct endpoint){ .addr = s->h[i].addr, .port = (uint16_t)(1000 + i) };
	}
	for (int i = 0; i < 2; i++) {
		struct sim_host *h = &s->h[i];
		struct tcp_flow f = { .local = ep[i], .remote = ep[!i] };

		h->c.opts = h->opts;
		h->act_ns = s->now_ns;
		if (i == 0 || crossed) {
			h->live = true;
			if (tcp_connect(&h->env, &h->c, &f, s->now_ns) < 0)
				sim_fail(s, "connect", (uint64_t)i);
		} else {
			h->listener = (struct tcp_listener){
				.local = ep[i], .backlog = 1, .opts = &h->opts };
			h->listens = tcp_listen(&h->env, &h->listener) == 0;
		}
	}
	for (int i = 0; i < 2; i++) /* not before both can receive */
		tcp_flush(&s->h[i].env, s->now_ns);
}

/* ---- the application ---- */

static void app_read(struct sim_host *h)
{
	struct tcp_conn *c = &h->c;
	uint32_t avail = tcp_rx_tail(c) - c->rx_head;
	uint32_t n = avail ? 1 + rng_below(&h->rng, min_u32(avail, h->gulp)) : 0;

	for (uint32_t left = n, pos = c->rx_head; left;) {
		uint32_t at = pos & (h->rx_size - 1);
		uint32_t len = min_u32(min_u32(left, h->rx_size - at), 1 << 15);

		if (memcmp(h->rx + at, sim_stream(peer_of(h)->salt, pos), len) != 0)
			sim_fail(h->sim, "wrong bytes received at", pos);
		pos += len;
		left -= len;
	}
	if (n)
		tcp_app_read(&h->env, c, c->rx_head + n, h->sim->now_ns);
}

static void app_write(struct sim_host *h)
{
	struct tcp_conn *c = &h->c;
	uint32_t queued = h->wrote - tcp_tx_una(c), room = h->opts.sndbuf;

	if (!h->opts.sndbuf) /* it follows the window, as the host's does */
		room = max_u32(128 << 10, 2 * min_u32(c->cwnd, c->max_snd_wnd));
	if (h->lowat && seq_diff(c->snd_end, c->snd_nxt) >= h->lowat && c->syn_acked)
		return;
	uint32_t n = min_u32(h->total - h->wrote, room > queued ? room - queued : 0);
	if (!n)
		return;
	h->wrote += h->gulp == UINT32_MAX ? n : 1 + rng_below(&h->rng, n);
	tcp_app_wrote(&h->env, c, h->wrote, h->sim->now_ns);
	if (h->urgent_ok && rng_below(&h->rng, 4) == 0) {
		h->urgent = h->wrote;
		tcp_app_urgent(&h->env, c, h->wrote - 1);
	}
}

static void app_leave(struct sim_host *h)
{
	h->gone = true;
	if (h->aborts)
		tcp_abort(&h->env, &h->c, h->sim->now_ns);
	else
		tcp_close(&h->env, &h->c, h->sim->now_ns);
}

/* Our FIN, or the ACK of it, was lost for as long as the peer's TIME-WAIT lasts: what comes back in the
 * end is a reset, though nothing is missing anywhere (RFC 9293 3.10.7.1). In one of 286 000 runs. */
static bool fin_came_too_late(const struct sim_host *h)
{
	const struct sim_host *peer = peer_of(h);

	return h->c.error == ECONNRESET && h->shut && tcp_rx_fin(&h->c) && peer->gone &&
	       !peer->env.n_timewait;
}

/* Politely: both streams have ended, and are whole. */
static void app_end(struct sim_host *h)
{
	const struct sim_host *peer = peer_of(h);
	struct tcp_conn *c = &h->c;

	if (h->sim->end == SIM_POLITE) {
		if ((c->error && !fin_came_too_late(h)) || c->rx_head != peer->total)
			sim_fail(h->sim, "stream ended early, position and error",
				 c->rx_head * 1000ull + (uint64_t)c->error);
		if (h->urgent_told != peer->urgent)
			sim_fail(h->sim, "an urgent pointer was lost", peer->urgent);
	}
	h->aborts = false;
	app_leave(h);
}

void sim_app(struct sim_host *h)
{
	struct sim *s = h->sim;
	struct tcp_conn *c = &h->c;
	uint64_t pause_ns = h->pause_us * NSEC_PER_USEC;

	/* an application that finds nothing to do sleeps longer, until an event */
	h->act_ns = s->now_ns + (1 + rng_u64(&h->rng) % pause_ns) * h->lazy;
	h->lazy = min_u32(2 * h->lazy, 1 + 2000000 / h->pause_us);
	if (h->nap_ms && rng_below(&h->rng, 20) == 0 && h->naps++ < NAPS_MOST)
		h->act_ns = s->now_ns + (1 + rng_below(&h->rng, h->nap_ms)) * NSEC_PER_MSEC;
	if (!h->live || h->gone)
		return;
	app_read(h);
	if (tcp_may_send(c) && h->wrote < h->total)
		app_write(h);
	bool all_read = tcp_rx_tail(c) == c->rx_head;
	if (s->end == SIM_RUDE && h->wrote + c->rx_head >= h->leave_at) {
		app_leave(h);
		return;
	}
	if (h->wrote == h->total && !h->shut && c->state >= TCPS_ESTABLISHED) {
		tcp_shutdown(&h->env, c, s->now_ns);
		h->shut = true;
	}
	/* an orphan gives up sooner than a bad wire delivers: the polite wait for the last ACK */
	if ((h->shut && c->fin_acked && tcp_rx_fin(c) && all_read) || (tcp_is_closed(c) && all_read))
		app_end(h);
}

void sim_app_wake(struct sim_host *h)
{
	h->lazy = 1;
	if (!h->nap_ms || h->naps >= NAPS_MOST) /* else it may be asleep */
		h->act_ns = min_u64(h->act_ns, h->sim->now_ns + h->pause_us * NSEC_PER_USEC);
}
