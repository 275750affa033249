/* What must hold after every event, of each end and between the two: nothing is taken back, nothing is
 * sent beyond the window, what is acknowledged has arrived, the sums are right. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/invariant.h"
#include "tests/sim/sim.h"

static const struct sim_host *peer_of(const struct sim_host *h)
{
	return &h->sim->h[h == &h->sim->h[0]];
}

static bool both_open(const struct sim_host *h)
{
	const struct sim_host *p = peer_of(h);

	return h->live && p->live && h->c.syn_rcvd && p->c.syn_rcvd && seq_eq(h->c.irs, p->c.iss) &&
	       seq_eq(p->c.irs, h->c.iss);
}

void sim_watch_output(struct sim_host *h, const struct tcp_seg *seg)
{
	struct tcp_conn *c = &h->c;
	const struct sim_host *p = peer_of(h);
	seq_t end = seq_add(seg->seq, seg->len);

	if (seg->flags & (TCPF_SYN | TCPF_RST))
		return;
	if (seg->len && both_open(h) && seq_gt(end, p->c.rcv_adv))
		sim_fail(h->sim, "sent beyond the peer's window", seq_diff(end, p->c.rcv_adv));
	/* RFC 9293 3.8.6: the edge moves left by rounding at most (RFC 7323 2.4) */
	seq_t edge = seq_add(seg->ack, (uint32_t)seg->wnd << c->rcv_wscale);
	if (h->last.valid && seq_lt(seq_add(edge, 1u << c->rcv_wscale), h->last.told))
		sim_fail(h->sim, "the window shrinks", seq_diff(h->last.told, edge));
	h->last.told = h->last.valid ? seq_max(h->last.told, edge) : edge;
}

/* Once more from the list. */
static uint32_t pipe_of(const struct tcp_conn *c)
{
	uint32_t out = seq_diff(c->snd_nxt, c->snd_una), not_there = c->reno_held;

	for (const struct tcp_run *r = c->board.first; r; r = r->next) {
		if (r->state != TCP_RUN_AGAIN)
			not_there += seq_diff(r->end, r->start);
	}
	return out - min_u32(out, not_there);
}

static void compare(struct sim_host *h)
{
	struct sim *s = h->sim;
	struct tcp_conn *c = &h->c;
	struct sim_last *l = &h->last;
	uint32_t flight = seq_diff(c->snd_nxt, c->snd_una);

	if (l->valid) {
		if (seq_lt(c->snd_una, l->snd_una) || seq_lt(c->snd_nxt, l->snd_nxt))
			sim_fail(s, "snd_una or snd_nxt moves back", c->snd_una.v);
		if (seq_lt(c->rcv_nxt, l->rcv_nxt) || seq_lt(c->rcv_adv, l->rcv_adv))
			sim_fail(s, "rcv_nxt or rcv_adv moves back", c->rcv_nxt.v);
	}
	l->flight_max = max_u32(l->flight_max, flight);
	if (tcp_pipe(c) != pipe_of(c))
		sim_fail(s, "the pipe is not what the scoreboard says", pipe_of(c));
	/* with a model of the path the window is what the path holds, used or not */
	if (c->syn_acked && !c->model && c->cwnd > 4ull * l->flight_max + 12ull * max_u32(c->mss, 1460))
		sim_fail(s, "cwnd grows without being used", c->cwnd);
	if (both_open(h)) {
		if (seq_gt(c->snd_una, peer_of(h)->c.rcv_nxt))
			sim_fail(s, "acknowledged before it arrived", c->snd_una.v);
		if (seq_lt(c->snd_nxt, peer_of(h)->c.rcv_nxt))
			sim_fail(s, "arrived before it was sent", c->snd_nxt.v);
	}
	l->snd_una = c->snd_una;
	l->snd_nxt = c->snd_nxt;
	l->rcv_nxt = c->rcv_nxt;
	l->rcv_adv = c->rcv_adv;
	if (!l->valid)
		l->told = c->rcv_adv;
	l->valid = true;
}

static void watch_host(struct sim_host *h)
{
	struct list *n;

	if (h->live) {
		const char *wrong = conn_wrong(&h->c);

		if (wrong)
			sim_fail(h->sim, wrong, (uint64_t)(h - h->sim->h));
		if (h->c.syn_rcvd && !tcp_is_closed(&h->c))
			compare(h);
	}
	while ((n = list_pop(&h->env.touched))) {
		container_of(n, struct tcp_conn, touch_link)->events = 0;
		sim_app_wake(h);
	}
}

void sim_watch(struct sim *s)
{
	watch_host(&s->h[0]);
	watch_host(&s->h[1]);
}
