/* A seed's world: a network, two hosts, their applications; the loop that moves it; how it must end. */
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/sim/sim.h"

enum { EVENTS_MAX = 20000000, LIMIT_S = 3 * 3600 };

void sim_fail(struct sim *s, const char *what, uint64_t detail)
{
	if (!s->failed)
		snprintf(s->why, sizeof(s->why), "%s (%llu) at %.6f s", what,
			 (unsigned long long)detail, (double)s->now_ns / 1e9);
	s->failed = true;
}

uint32_t sim_one_of(struct rng *r, const uint32_t *v, uint32_t n)
{
	return v[rng_below(r, n)];
}

/* ---- the loop ---- */

static uint64_t next_event_ns(const struct sim *s)
{
	uint64_t next_ns = sim_next_ns(s);

	for (int i = 0; i < 2; i++) {
		next_ns = min_u64(next_ns, tcp_next_ns(&s->h[i].env));
		if (s->h[i].live && !s->h[i].gone)
			next_ns = min_u64(next_ns, s->h[i].act_ns);
	}
	return next_ns;
}

void sim_step(struct sim *s)
{
	uint64_t next_ns = next_event_ns(s);
	struct sim_packet *p;

	if (next_ns == UINT64_MAX) {
		sim_fail(s, "nothing will ever happen again", 0);
		return;
	}
	s->now_ns = max_u64(s->now_ns, next_ns);
	while ((p = sim_take_due(s)))
		sim_push(p->at, p);
	for (int i = 0; i < 2; i++) {
		struct sim_host *h = &s->h[i];

		tcp_advance(&h->env, s->now_ns);
		if (h->act_ns <= s->now_ns)
			sim_app(h);
		tcp_flush(&h->env, s->now_ns);
	}
	sim_watch(s);
}

static bool over(const struct sim *s)
{
	return s->n_heap == 0 && s->h[0].env.n_conns + s->h[1].env.n_conns == 0 &&
	       s->h[0].env.n_synq + s->h[1].env.n_synq == 0 && (s->h[0].gone || !s->h[0].live) &&
	       (s->h[1].gone || !s->h[1].live);
}

void sim_loop(struct sim *s)
{
	uint32_t steps = 0;

	while (!s->failed && !over(s) && s->now_ns < s->end_ns) {
		sim_step(s);
		if (++steps > EVENTS_MAX)
			sim_fail(s, "does not end, steps", steps);
	}
}

/* ---- how it ends ---- */

/* No connection is left: only the records may still count down. */
static void must_be_empty(struct sim *s)
{
	if (!over(s))
		sim_fail(s, "does not end in time", LIMIT_S);
	for (int i = 0; i < 2 && !s->failed; i++) {
		struct sim_host *h = &s->h[i];
		uint64_t end_ns = s->now_ns + 200 * NSEC_PER_SEC;

		if (h->listens)
			tcp_unlisten(&h->env, &h->listener);
		for (uint64_t t; (t = tcp_next_ns(&h->env)) <= end_ns;)
			tcp_advance(&h->env, t);
		if (h->env.n_timewait || h->env.wheel.armed)
			sim_fail(s, "records or timers left", h->env.n_timewait);
	}
	if (!s->failed && s->packets)
		sim_fail(s, "packets left", s->packets);
}

void sim_free(struct sim *s)
{
	for (uint32_t i = 0; i < s->n_heap; i++)
		free(s->heap[i]);
	free(s->heap);
	for (int i = 0; i < 2; i++) {
		if (!s->failed) /* CHECKs that every record and every run is back */
			tcp_env_fini(&s->h[i].env);
		free(s->h[i].rx);
	}
}

/* ---- what a seed draws ---- */

/* Each kind at most once each way, in any order; both ways alike, or not. */
static void draw_network(struct sim *s)
{
	uint32_t kinds = sim_kinds(), order[16], n;

	s->black_hole = rng_below(&s->rng, 3) == 0;
	bool alike = rng_below(&s->rng, 2);
	uint64_t seed = rng_u64(&s->rng);

	for (int to = 0; to < 2; to++) {
		struct rng r;

		rng_seed(&r, alike ? seed : rng_u64(&s->rng));
		for (uint32_t i = 0; i < kinds; i++)
			order[i] = i;
		for (uint32_t i = kinds; i > 1; i--) {
			uint32_t k = rng_below(&r, i), t = order[k];

			order[k] = order[i - 1];
			order[i - 1] = t;
		}
		n = rng_below(&r, 6);
		for (uint32_t i = 0; i < n; i++) {
			if (strcmp(sim_kind_name(order[i]), "delay"))
				sim_add(s, to, sim_kind_name(order[i]), &r);
		}
		sim_add(s, to, "delay", &r);
		sim_end_chain(s, to);
	}
	s->strip_sack = rng_below(&s->rng, 4) == 0;
	s->strip_ts = rng_below(&s->rng, 4) == 0;
	s->strip_wscale = rng_below(&s->rng, 6) == 0;
	s->strip_ecn = rng_below(&s->rng, 6) == 0;
	s->no_mem = ONE_OF(&s->rng, 0, 0, 200);
}

/* The slower the world, the less it has to carry: a scenario is a few hundred segments. */
static uint32_t draw_total(const struct sim *s, const struct sim_host *h, struct rng *r)
{
	uint32_t total = ONE_OF(r, 0, 1, 100, 5000, 40000, rng_below(r, 100000), rng_below(r, 300000));

	if (h->mtu < 200 || h->pause_us > 20000)
		total = min_u32(total, 3000);
	if (h->opts.sndbuf == 1)
		total = min_u32(total, 100);
	return total;
}

static void draw_host(struct sim *s, struct sim_host *h)
{
	struct rng *r = &s->rng;
	enum { CONTROLLERS = 0
#define CC_DEF(name) + 1
#include "stack/base/cc.def"
#undef CC_DEF
	};

	h->sim = s;
	rng_seed(&h->rng, rng_u64(r));
	h->salt = rng_below(r, 60000);
	h->mtu = (uint16_t)(s->six ? ONE_OF(r, 1280, 1280, 1400, 1500, 1500, 9000) :
				     ONE_OF(r, 88, 128, 576, 1040, 1500, 1500, 1500, 9000));
	h->pause_us = ONE_OF(r, 10, 10, 1000, 20000, 300000);
	h->gulp = ONE_OF(r, 1u << 30, 1u << 30, 1u << 30, 3000, 100);
	h->nap_ms = ONE_OF(r, 0, 0, 0, 100, 5000, 60000);
	h->urgent_ok = rng_below(r, 3) == 0;
	h->lowat = ONE_OF(r, 0, 0, 1, 20000);
	h->opts = (struct tcp_sockopts){
		.rcvbuf = ONE_OF(r, 500, 3000, 20000, 65535, 150000, 1 << 20),
		.sndbuf = ONE_OF(r, 1, 1000, 30000, 100000, 0),
		.nodelay = rng_below(r, 2),
		.cork = rng_below(r, 8) == 0,
		/* without it a lost RST leaves the reader waiting for ever, as it should */
		.keepalive = s->end == SIM_RUDE || rng_below(r, 4) == 0,
		.keepidle_s = 1,
		.keepintvl_s = 1,
		.keepcnt = 50,
		.linger2_s = rng_below(r, 5) == 0 ? 5 : 0,
		.cc = (uint8_t)rng_below(r, CONTROLLERS + 1),
		.pacing = ONE_OF(r, 0, 0, 0, 50000, 5000000),
		.user_mss = (uint16_t)ONE_OF(r, 0, 0, 0, 60, 700),
	};
	h->opts.rcvbuf_max = rng_below(r, 2) ? 0 : h->opts.rcvbuf * ONE_OF(r, 2, 10);
	if (h->gulp == 100 || h->opts.rcvbuf == 500) /* many rounds for few bytes */
		h->pause_us = min_u32(h->pause_us, 1000);
	h->total = draw_total(s, h, r);
	h->leave_at = rng_below(r, 1 + h->total + 2000);
	h->aborts = s->end == SIM_RUDE && rng_below(r, 2);
	h->env.ecn = (enum tcp_ecn_mode)rng_below(r, 3);
	/* nobody else could find out that packets are too long */
	h->env.mtu_probing = s->black_hole ? TCP_MTU_BLACK_HOLE + rng_below(r, 2) : rng_below(r, 3);
	h->env.tso_bytes = ONE_OF(r, 0, 0, 16000, 64000);
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

bool sim_scenario(struct sim *s, uint64_t seed, bool show)
{
	memset(s, 0, sizeof(*s));
	s->show = show;
	rng_seed(&s->rng, seed);
	s->now_ns = NSEC_PER_SEC + rng_u64(&s->rng) % (1000 * NSEC_PER_SEC);
	s->end_ns = s->now_ns + LIMIT_S * NSEC_PER_SEC;
	s->end = rng_below(&s->rng, 3) ? SIM_POLITE : SIM_RUDE;
	s->six = rng_below(&s->rng, 3) == 0;
	draw_network(s);
	for (int i = 0; i < 2; i++)
		draw_host(s, &s->h[i]);
	for (int i = 0; i < 2; i++) {
		struct sim_host *h = &s->h[i];
		uint32_t wnd = max_u32(max_u32(h->opts.rcvbuf, h->opts.rcvbuf_max), UINT16_MAX + 1);

		/* no more than what can lie in the window, or what will ever come */
		sim_host_init(h, power_of_two(min_u32(wnd, s->h[!i].total + 1)));
	}
	sim_open(s, rng_below(&s->rng, 8) == 0);
	sim_loop(s);
	if (!s->failed)
		must_be_empty(s);
	sim_free(s);
	return !s->failed;
}
