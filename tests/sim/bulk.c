/* sim bulk key=value...: one transfer over a stated path, measured on the virtual clock. Keys: mbit, rtt-ms,
 * queue (bytes), loss, reorder, dup (percent), mtu, bytes, cc (name), rcvbuf, sndbuf (0: they grow),
 * sack (0, 1), seeds: so many runs, of which the median is told. */
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/stats.h"
#include "stack/tcp/tcp_cc.h"
#include "tests/sim/sim.h"

enum { SEEDS_MAX = 101 };

struct path {
	double mbit, rtt_ms, queue, loss, reorder, dup, bytes, rcvbuf, sndbuf, sack, seeds, mtu;
	uint8_t cc;
};

struct result {
	double mbit;
	struct stats stats;
};

static bool set_key(struct path *p, const char *arg)
{
	static const char *const names[] = { "mbit", "rtt-ms", "queue", "loss", "reorder", "dup",
					     "bytes", "rcvbuf", "sndbuf", "sack", "seeds", "mtu" };
	double *const to[] = { &p->mbit, &p->rtt_ms, &p->queue, &p->loss, &p->reorder, &p->dup,
			       &p->bytes, &p->rcvbuf, &p->sndbuf, &p->sack, &p->seeds, &p->mtu };
	size_t n = strcspn(arg, "=");

	if (!arg[n])
		return false;
	if (n == 2 && !strncmp(arg, "cc", 2)) {
		int cc = tcp_cc_find(arg + 3);

		p->cc = (uint8_t)(cc + 1);
		return cc >= 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strlen(names[i]) == n && !strncmp(arg, names[i], n)) {
			*to[i] = strtod(arg + n + 1, NULL);
			return true;
		}
	}
	return false;
}

static void build_network(struct sim *s, const struct path *p)
{
	for (int to = 0; to < 2; to++) {
		if (p->loss > 0 && to == 1)
			sim_add(s, to, "loss", NULL)->loss.ppm = (uint32_t)(p->loss * 10000);
		if (p->dup > 0 && to == 1)
			sim_add(s, to, "dup", NULL)->loss.ppm = (uint32_t)(p->dup * 10000);
		struct sim_node *n = sim_add(s, to, "rate", NULL);
		n->rate.mbit = (uint32_t)p->mbit;
		n->rate.limit = (uint32_t)p->queue;
		n = sim_add(s, to, "delay", NULL);
		n->delay.us = (uint32_t)(p->rtt_ms * 500);
		if (p->reorder > 0 && to == 1) {
			n = sim_add(s, to, "reorder", NULL);
			n->reorder.ppm = (uint32_t)(p->reorder * 10000);
			n->reorder.us = (uint32_t)(p->rtt_ms * 250);
		}
		sim_end_chain(s, to);
	}
	s->strip_sack = p->sack == 0;
}

static struct result run_once(const struct path *p, uint64_t seed)
{
	static struct sim s;
	struct result r = { 0 };

	memset(&s, 0, sizeof(s));
	stats_this_thread = &r.stats;
	rng_seed(&s.rng, seed);
	s.now_ns = NSEC_PER_SEC;
	s.end_ns = s.now_ns + 3600 * NSEC_PER_SEC;
	build_network(&s, p);
	for (int i = 0; i < 2; i++) {
		struct sim_host *h = &s.h[i];

		h->sim = &s;
		rng_seed(&h->rng, rng_u64(&s.rng));
		h->mtu = (uint16_t)p->mtu;
		h->pause_us = 20;
		h->gulp = UINT32_MAX;
		/* as the engine's defaults, else fixed */
		h->opts.rcvbuf = p->rcvbuf > 0 ? (uint32_t)p->rcvbuf : 1 << 20;
		h->opts.rcvbuf_max = p->rcvbuf > 0 ? 0 : UINT16_MAX << 7;
		h->opts.sndbuf = (uint32_t)p->sndbuf;
		h->opts.cc = p->cc;
		h->env.tso_bytes = 64000;
		sim_host_init(h, 1 << 26);
	}
	s.h[0].total = (uint32_t)p->bytes;
	sim_open(&s, false);
	uint64_t start_ns = s.now_ns, done_ns = 0;
	while (!s.failed && !done_ns && s.now_ns < s.end_ns) {
		sim_step(&s);
		if (s.h[1].gone) /* it has read all, up to the end */
			done_ns = s.now_ns;
	}
	if (s.failed)
		printf("seed %llu: %s\n", (unsigned long long)seed, s.why);
	else
		r.mbit = p->bytes * 8e3 / (double)(max_u64(s.now_ns - start_ns, 1));
	s.failed = true; /* the connection is still there: no checks of the end */
	sim_free(&s);
	return r;
}

static int by_rate(const void *a, const void *b)
{
	double x = ((const struct result *)a)->mbit, y = ((const struct result *)b)->mbit;

	return (x > y) - (x < y);
}

int sim_bulk_main(int argc, char **argv)
{
	struct path p = { .mbit = 100, .rtt_ms = 20, .queue = 250000, .bytes = 20e6, .sack = 1,
			  .seeds = 5, .mtu = 1500 };
	static struct result r[SEEDS_MAX];

	for (int i = 1; i < argc; i++) {
		if (!set_key(&p, argv[i])) {
			fprintf(stderr, "sim bulk: what is %s?\n", argv[i]);
			return 2;
		}
	}
	int n = p.seeds >= 1 && p.seeds <= SEEDS_MAX ? (int)p.seeds : 1;
	for (int i = 0; i < n; i++)
		r[i] = run_once(&p, (uint64_t)i + 1);
	qsort(r, (size_t)n, sizeof(r[0]), by_rate);
	const struct result *m = &r[n / 2];
	printf("%.2f Mbit/s (%.2f .. %.2f)", m->mbit, r[0].mbit, r[n - 1].mbit);
	static const struct { const char *name; int stat; } told[] = {
		{ "rexmit", STAT_tcp_retrans_segs }, { "rto", STAT_tcp_rto_fired },
		{ "tlp", STAT_tcp_tlp_probe }, { "tlp-repaired", STAT_tcp_tlp_repaired },
		{ "fast", STAT_tcp_fast_retrans }, { "lost-again", STAT_tcp_lost_retrans },
		{ "head-again", STAT_tcp_tlp_head },
		{ "rack-timer", STAT_tcp_rack_timer }, { "frto", STAT_tcp_frto_spurious },
	};
	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		printf(" %s %llu", told[i].name, (unsigned long long)m->stats.v[told[i].stat]);
	printf("\n");
	return 0;
}
