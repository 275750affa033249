/* The kinds of nodes that a network is made of. Each has its own sequence of random numbers, so that one
 * more packet through one node changes nothing in another. */
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stack/wire/icmp.h"
#include "tests/sim/sim.h"

static void on(struct sim_node *n, struct sim_packet *p, uint64_t delay_ns)
{
	/* never straight into a host: its peer's core is still at work */
	if (delay_ns || !n->next->next)
		sim_later(n->sim, p, n->next, delay_ns);
	else
		sim_push(n->next, p);
}

static struct sim_node *host_of(struct sim *s, int i)
{
	return &s->node[i][s->n_node[i] - 1];
}

static void drop(struct sim_node *n, struct sim_packet *p)
{
	if (n->sim->show)
		fprintf(stderr, "%.6f   %s drops %u bytes\n", (double)n->sim->now_ns / 1e9,
			n->kind->name, p->len);
	sim_packet_free(n->sim, p);
}

/* ---- delay, with jitter that never reorders by more than itself ---- */

static void delay_draw(struct sim_node *n, struct rng *r)
{
	n->delay.us = ONE_OF(r, 1, 50, 1000, 10000, 30000, 150000);
	n->delay.jitter_us = ONE_OF(r, 0, 0, 0, 10, 100, 5000, 60000);
}

static void delay_push(struct sim_node *n, struct sim_packet *p)
{
	uint64_t us = n->delay.us;

	if (n->delay.jitter_us)
		us += rng_below(&n->rng, n->delay.jitter_us);
	on(n, p, us * NSEC_PER_USEC);
}

/* ---- a bottleneck: a rate, and a queue that marks and drops at its tail ---- */

static void rate_draw(struct sim_node *n, struct rng *r)
{
	n->rate.mbit = ONE_OF(r, 1, 10, 100, 1000);
	n->rate.limit = ONE_OF(r, 12000, 30000, 100000, 1000000);
	n->rate.mark_at = rng_below(r, 2) ? n->rate.limit / ONE_OF(r, 2, 4, 10) : 0;
}

static void rate_push(struct sim_node *n, struct sim_packet *p)
{
	uint64_t now_ns = n->sim->now_ns, wait_ns = max_u64(n->rate.free_ns, now_ns) - now_ns;
	uint64_t queued = wait_ns * n->rate.mbit / 8000;

	/* an empty queue takes a packet of any size */
	if (queued && queued + p->len > n->rate.limit) {
		drop(n, p);
		return;
	}
	if (n->rate.mark_at && queued > n->rate.mark_at && sim_is_ect(n->sim, p))
		sim_mark_ce(n->sim, p);
	n->rate.free_ns = now_ns + wait_ns + p->len * 8000ull / n->rate.mbit;
	on(n, p, n->rate.free_ns - now_ns);
}

/* ---- each packet on its own ---- */

static void loss_draw(struct sim_node *n, struct rng *r)
{
	n->loss.ppm = ONE_OF(r, 1000, 10000, 30000, 60000, 100000);
}

static void loss_push(struct sim_node *n, struct sim_packet *p)
{
	if (sim_chance(&n->rng, n->loss.ppm))
		drop(n, p);
	else
		on(n, p, 0);
}

static void dup_push(struct sim_node *n, struct sim_packet *p)
{
	if (sim_chance(&n->rng, n->loss.ppm))
		on(n, sim_packet_copy(n->sim, p), 0);
	on(n, p, 0);
}

/* One bit is turned, or the tail is missing. */
static void corrupt_push(struct sim_node *n, struct sim_packet *p)
{
	if (sim_chance(&n->rng, n->loss.ppm)) {
		if (rng_below(&n->rng, 4))
			p->bytes[rng_below(&n->rng, p->len)] ^= (uint8_t)(1 << rng_below(&n->rng, 8));
		else
			p->len = rng_below(&n->rng, p->len);
		if (!p->len) {
			drop(n, p);
			return;
		}
	}
	on(n, p, 0);
}

/* ---- Gilbert-Elliott: losses come together; and once in a while the wire is dead ---- */

static void burst_draw(struct sim_node *n, struct rng *r)
{
	n->burst.start_ppm = ONE_OF(r, 500, 2000, 5000);
	n->burst.end_ppm = ONE_OF(r, 100000, 300000, 700000);
	n->burst.dead_ms = ONE_OF(r, 0, 0, 1, 100, 800);
}

static void burst_push(struct sim_node *n, struct sim_packet *p)
{
	uint64_t now_ns = n->sim->now_ns;

	if (n->burst.dead_ms && now_ns >= n->burst.dead_ns && sim_chance(&n->rng, 2000))
		n->burst.dead_ns = now_ns + (1 + rng_below(&n->rng, n->burst.dead_ms)) * NSEC_PER_MSEC;
	/* it ends by itself, or who sends one packet at a time would never get out of it */
	if (now_ns - n->burst.last_ns > 300 * NSEC_PER_MSEC)
		n->burst.bad = false;
	n->burst.last_ns = now_ns;
	n->burst.bad = n->burst.bad ? !sim_chance(&n->rng, n->burst.end_ppm) :
				      sim_chance(&n->rng, n->burst.start_ppm);
	if (n->burst.bad || now_ns < n->burst.dead_ns)
		drop(n, p);
	else
		on(n, p, 0);
}

/* ---- some are overtaken ---- */

static void reorder_draw(struct sim_node *n, struct rng *r)
{
	n->reorder.ppm = ONE_OF(r, 1000, 10000, 100000, 300000);
	n->reorder.us = ONE_OF(r, 20, 1000, 10000, 100000);
}

static void reorder_push(struct sim_node *n, struct sim_packet *p)
{
	uint64_t us = sim_chance(&n->rng, n->reorder.ppm) ? 1 + rng_below(&n->rng, n->reorder.us) : 0;

	on(n, p, us * NSEC_PER_USEC);
}

/* ---- a hop with a smaller MTU, that changes ---- */

static void mtu_draw(struct sim_node *n, struct rng *r)
{
	n->mtu.min = n->sim->six ? ONE_OF(r, 1280, 1400, 1500) : ONE_OF(r, 600, 1000, 1280, 1400, 1500);
	n->mtu.mtu = n->mtu.min + rng_below(r, 1501);
	n->mtu.every_ms = ONE_OF(r, 0, 100, 1000, 20000);
	n->mtu.silent = n->sim->black_hole;
	n->mtu.next_ns = n->sim->now_ns + n->mtu.every_ms * NSEC_PER_MSEC;
}

static void mtu_push(struct sim_node *n, struct sim_packet *p)
{
	uint64_t now_ns = n->sim->now_ns;

	if (n->mtu.every_ms && now_ns >= n->mtu.next_ns) {
		n->mtu.mtu = n->mtu.min + (rng_below(&n->rng, 2) ? rng_below(&n->rng, 1501) : 0);
		n->mtu.next_ns = now_ns + (1 + rng_below(&n->rng, 2 * n->mtu.every_ms)) * NSEC_PER_MSEC;
	}
	if (p->len <= n->mtu.mtu) {
		on(n, p, 0);
		return;
	}
	struct sim_packet *e = n->mtu.silent ? NULL :
			       sim_icmp(n->sim, p, ICMP_C_FRAG_NEEDED, (uint16_t)n->mtu.mtu, NULL);
	if (e) /* it goes back a way of its own */
		sim_later(n->sim, e, host_of(n->sim, !n->to),
			  rng_below(&n->rng, 20000) * NSEC_PER_USEC);
	drop(n, p);
}

/* ---- somebody off the path who guesses (RFC 5927) ---- */

static void liar_draw(struct sim_node *n, struct rng *r)
{
	n->liar.ppm = ONE_OF(r, 1000, 20000, 200000);
}

static void liar_push(struct sim_node *n, struct sim_packet *p)
{
	static const uint8_t codes[] = { ICMP_C_FRAG_NEEDED, ICMP_C_PORT, ICMP_C_HOST, ICMP_C_PROTO };
	const struct tcp_conn *c = &n->sim->h[!n->to].c;
	uint32_t seq = (uint32_t)rng_u64(&n->rng);

	/* a guess that is right can't be told from the truth */
	bool right = seq_ge(seq_of(seq), c->snd_una) && seq_le(seq_of(seq), c->snd_nxt);
	if (!right && sim_chance(&n->rng, n->liar.ppm)) {
		struct sim_packet *e = sim_icmp(n->sim, p, codes[rng_below(&n->rng, sizeof(codes))],
						(uint16_t)rng_below(&n->rng, 1500), &seq);
		if (e)
			sim_later(n->sim, e, host_of(n->sim, !n->to), 0);
	}
	on(n, p, 0);
}

static void host_push(struct sim_node *n, struct sim_packet *p)
{
	sim_arrive(&n->sim->h[n->to], p);
}

static const struct sim_node_kind kinds[] = {
	{ "delay", delay_draw, delay_push },
	{ "rate", rate_draw, rate_push },
	{ "loss", loss_draw, loss_push },
	{ "burst", burst_draw, burst_push },
	{ "reorder", reorder_draw, reorder_push },
	{ "dup", loss_draw, dup_push },
	{ "corrupt", loss_draw, corrupt_push },
	{ "mtu", mtu_draw, mtu_push },
	{ "liar", liar_draw, liar_push },
};
static const struct sim_node_kind host_kind = { "host", NULL, host_push };

uint32_t sim_kinds(void) { return ARRAY_LEN(kinds); }
const char *sim_kind_name(uint32_t i) { return kinds[i].name; }

void sim_push(struct sim_node *n, struct sim_packet *p) { n->kind->push(n, p); }

static struct sim_node *add(struct sim *s, int to, const struct sim_node_kind *kind)
{
	if (s->n_node[to] == SIM_NODES)
		abort();
	struct sim_node *n = &s->node[to][s->n_node[to]++];

	*n = (struct sim_node){ .kind = kind, .sim = s, .to = to, .next = n + 1 };
	rng_seed(&n->rng, rng_u64(&s->rng));
	return n;
}

struct sim_node *sim_add(struct sim *s, int to, const char *kind, struct rng *draw)
{
	for (uint32_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].name, kind))
			continue;
		struct sim_node *n = add(s, to, &kinds[i]);

		if (draw)
			kinds[i].draw(n, draw);
		return n;
	}
	abort();
}

void sim_end_chain(struct sim *s, int to)
{
	add(s, to, &host_kind)->next = NULL;
}
