/* What the engine costs a segment, by processor cycles: the whole way from the port's burst to the event of
 * the program and back, without a NIC or a system call; and what several data threads of one engine do at
 * once. For scripts/bench-engine and, where callgrind counts the instructions of the phase_ functions,
 * scripts/bench-instr. */
// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <rte_cycles.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "stack/base/bug.h"
#include "stack/chan/evq.h"
#include "stack/chan/stream.h"
#include "stack/wire/tcp.h"
#include "tests/bench/engine_rig.h"

enum phase { RX, TX, APP, PHASES };
enum { ROUNDS_MAX = 4096 };

static uint64_t spent[PHASES], segments[PHASES];
static double rounds[PHASES][ROUNDS_MAX];
static uint32_t n_rounds;
static uint64_t all_segments; /* those of the warm-up, too */

/* ---- what is measured ---- */
#define NOINLINE __attribute__((noinline))
void phase_rx(void);
void phase_tx(void);
void phase_app(uint32_t from, uint32_t n, bool answer);

NOINLINE void phase_rx(void) { rig_poll(); }
NOINLINE void phase_tx(void) { rig_poll(); }

/* As a program with epoll does it: takes the events, reads, perhaps writes as much. */
NOINLINE void phase_app(uint32_t from, uint32_t n, bool answer)
{
	struct rig_program *p = rig_program_of(from);
	uint32_t ids[RIG_BURST], over = 0;
	bool lost;
	uint32_t got = chan_evq_drain(&p->app, p->evq, ids, RIG_BURST, &over, &lost);

	for (uint32_t k = 0; k < got; k++) {
		uint8_t b[RIG_BURST * RIG_PAYLOAD];
		struct iovec iov = { b, sizeof(b) };
		struct chan_handle h = { .id = ids[k], .gen = p->app.sock_a[ids[k]].gen };
		size_t wrote;

		if (!(chan_readiness(&p->app.sock_a[ids[k]], &p->app.sock_b[ids[k]]) & EPOLLIN))
			continue;
		ssize_t len = chan_rx_read(&p->app, ids[k], &iov, 1, 0, 0);
		iov.iov_len = (size_t)len;
		CHECK(len > 0);
		if (answer)
			CHECK(chan_write(&p->app, h, 0, &iov, 1, &wrote) == CHAN_OK);
	}
}

static uint64_t timed(enum phase ph, uint32_t n, uint64_t since)
{
	uint64_t now = rte_rdtsc_precise();

	spent[ph] += now - since;
	segments[ph] += n;
	return now;
}

static uint32_t wrap(uint32_t at, uint32_t n) { return at < n ? at : at % n; }

/* Each of n peers asks, is answered, and asks again: its next segment acknowledges the answer. */
static void round_rr(uint32_t n, uint32_t burst)
{
	for (uint32_t at = 0; at < n; at += burst) {
		uint32_t k = min_u32(burst, n - at);

		for (uint32_t i = 0; i < k; i++)
			rig_receive(at + i, TCPF_ACK | TCPF_PSH, RIG_PAYLOAD);
		uint64_t t = rte_rdtsc_precise();
		phase_rx();
		t = timed(RX, k, t);
		phase_app(at, k, true);
		t = timed(APP, k, t);
		phase_tx();
		timed(TX, k, t);
		rig_deliver();
	}
}

/* One way in: bursts of segments, of n peers in turn. ACKs are part of it. */
static void round_in(uint32_t n, uint32_t burst)
{
	for (uint32_t at = 0; at < max_u32(n, burst); at += burst) {
		for (uint32_t i = 0; i < burst; i++)
			rig_receive(wrap(at + i, n), TCPF_ACK | TCPF_PSH, RIG_PAYLOAD);
		uint64_t t = rte_rdtsc_precise();
		phase_rx();
		t = timed(RX, burst, t);
		phase_app(wrap(at, n), burst, false);
		timed(APP, burst, t);
		rig_deliver();
	}
}

/* Both ends in one program on this engine, each answers what it gets: a turn takes one segment to its end. */
static void round_local(uint32_t n, uint32_t burst)
{
	uint64_t t = rte_rdtsc_precise();

	phase_rx();
	t = timed(RX, n, t);
	phase_app(0, n, true);
	timed(APP, n, t);
}

static void start_local(uint32_t n)
{
	struct rig_program *p = &rig.program[0];
	uint32_t ids[2 * RIG_BURST], old[4 * RIG_BURST], over = 0;
	uint8_t b[RIG_PAYLOAD] = { 0 };
	bool lost;

	rig_connect_local(ids, n);
	chan_evq_drain(&p->app, p->evq, old, ARRAY_LEN(old), &over, &lost);
	for (uint32_t i = 0; i < n; i++) {
		struct iovec iov = { b, sizeof(b) };

		CHECK(chan_tx_write(&p->app, ids[2 * i], &iov, 1) == RIG_PAYLOAD);
	}
}

enum { RR, IN, LOCAL, MODES };
static void (*const modes[MODES])(uint32_t n, uint32_t burst) = { round_rr, round_in, round_local };
static const char *const mode_names[MODES] = { "rr", "in", "local" };

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n ? v[n / 2] : 0;
}

/* Rounds over n connections for at least `segs` segments; the first ones only warm up. */
static void run(int mode, uint32_t n, uint32_t burst, uint64_t segs)
{
	uint64_t total = 0;

	n_rounds = 0;
	for (uint32_t r = 0; (total < segs || r < 6) && n_rounds < ROUNDS_MAX; r++) {
		memset(spent, 0, sizeof(spent));
		memset(segments, 0, sizeof(segments));
		for (uint32_t again = 0; again < max_u32(1, 1000 / n); again++)
			modes[mode](n, burst);
		total += segments[RX];
		all_segments += segments[RX];
		if (r < 3)
			continue;
		for (int ph = 0; ph < PHASES; ph++)
			rounds[ph][n_rounds] =
				segments[ph] ? (double)spent[ph] / (double)segments[ph] : 0;
		n_rounds++;
	}
}

static void show(int mode, uint32_t n, uint32_t burst)
{
	printf("{\"mode\": \"%s\", \"connections\": %u, \"burst\": %u", mode_names[mode], n, burst);
	for (int ph = 0; ph < PHASES; ph++) {
		static const char *const name[] = { "rx", "tx", "app" };

		printf(", \"%s\": %.0f", name[ph], median(rounds[ph], n_rounds));
	}
	printf(", \"segments\": %lu}\n", all_segments);
	fflush(stdout);
}

static void cost(int mode, uint32_t n, uint32_t burst, uint64_t segs)
{
	if (mode == LOCAL) {
		n = min_u32(n, RIG_BURST);
		start_local(n);
	} else {
		rig_connect(0, n);
		for (uint32_t i = 0; i < n; i++)
			rig_make_sender(rig_program_of(i), rig.peer[i].sock);
	}
	run(mode, n, mode == RR ? min_u32(burst, n) : burst, segs);
	show(mode, n, burst);
}

/* ---- memory ---- */
static uint64_t rss_kb(void)
{
	char line[128];
	uint64_t kb = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmRSS: %lu kB", &kb) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kb;
}

/* n connections that say nothing beside `active` ones that do. */
static void idle(uint32_t n, uint32_t active)
{
	uint64_t before = rss_kb();

	rig_connect(0, active);
	for (uint32_t i = 0; i < active; i++)
		rig_make_sender(rig_program_of(i), rig.peer[i].sock);
	for (int i = 0; i < 2; i++) {
		run(RR, active, RIG_BURST, 400000);
		printf("{\"mode\": \"idle\", \"connections\": %u, \"active\": %u, \"rss_mib\": %lu, "
		       "\"bytes\": %lu, \"rx\": %.0f, \"tx\": %.0f, \"app\": %.0f}\n",
		       rig.w[0].sock.tcp.n_conns, active, rss_kb() >> 10,
		       (rss_kb() - before) * 1024 / rig.w[0].sock.tcp.n_conns, median(rounds[RX], n_rounds),
		       median(rounds[TX], n_rounds), median(rounds[APP], n_rounds));
		fflush(stdout);
		if (i == 0 && n > active)
			rig_connect(active, n);
	}
	rig_close(0, n);
}

/* Everything opened, closed, and opened again: where does the memory go? */
static void churn(uint32_t n, uint32_t times)
{
	printf("{\"mode\": \"churn\", \"connections\": %u, \"rss_mib\": [%lu", n, rss_kb() >> 10);
	for (uint32_t i = 0; i < times; i++) {
		rig_connect(0, n);
		printf(", %lu", rss_kb() >> 10);
		rig_close(0, n);
		CHECK(rig.w[0].sock.tcp.n_conns == 0 && rig.w[0].sock.n_socks == rig.n_programs);
		printf(", %lu", rss_kb() >> 10);
	}
	printf("]}\n");
}

/* ---- several data threads ---- */
enum { THREADS_MOST = 20000 }; /* three peers are tried for each: half of all belong to the other thread */

struct data_thread {
	_Alignas(64) pthread_t id;
	uint32_t worker, n, *peer; /* the connections that it serves */
	uint64_t segments;
};
static pthread_barrier_t begin;
static _Atomic bool over;

/* Requests and answers of all its connections, with the work of their peers and of the program. */
static void *serve(void *arg)
{
	struct data_thread *me = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(me->worker, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	rig_thread(me->worker);
	pthread_barrier_wait(&begin);
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		for (uint32_t at = 0; at < me->n; at += RIG_BURST) {
			uint32_t k = min_u32(RIG_BURST, me->n - at);

			for (uint32_t i = 0; i < k; i++)
				rig_receive(me->peer[at + i], TCPF_ACK | TCPF_PSH, RIG_PAYLOAD);
			rig_poll_one(me->worker);
			phase_app(me->peer[0], k, true);
			rig_poll_one(me->worker);
			rig_deliver_of(me->worker);
			me->segments += k;
		}
	}
	return NULL;
}

/* n connections for each worker, of the peers whose flows end there. */
static void start_thread(struct data_thread *t, uint32_t worker, uint32_t n)
{
	uint32_t i = worker * RIG_PROGRAM_SOCKS;

	*t = (struct data_thread){ .worker = worker, .peer = calloc(n, sizeof(*t->peer)) };
	CHECK(t->peer);
	rig_connect(i, i + 3 * n);
	for (; t->n < n; i++) {
		CHECK(i < worker * RIG_PROGRAM_SOCKS + 3 * n);
		if (!rig_is_used(i))
			continue;
		t->peer[t->n++] = i;
		rig_make_sender(rig_program_of(i), rig.peer[i].sock);
	}
}

/* One of them, the other, then both: requests a second. */
static void threads(uint32_t n, uint32_t ms)
{
	static struct data_thread thread[RIG_WORKERS];
	struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };

	for (uint32_t w = 0; w < RIG_WORKERS; w++)
		start_thread(&thread[w], w, n);
	for (uint32_t mask = 1; mask < 1 << RIG_WORKERS; mask++) {
		uint32_t n_threads = (uint32_t)__builtin_popcount(mask);
		uint64_t all = 0;

		atomic_store(&over, false);
		pthread_barrier_init(&begin, NULL, n_threads + 1);
		for (uint32_t w = 0; w < RIG_WORKERS; w++) {
			thread[w].segments = 0;
			if (mask >> w & 1)
				CHECK(pthread_create(&thread[w].id, NULL, serve, &thread[w]) == 0);
		}
		pthread_barrier_wait(&begin);
		uint64_t from = rte_rdtsc_precise();

		nanosleep(&pause, NULL);
		uint64_t cycles = rte_rdtsc_precise() - from;

		atomic_store(&over, true);
		for (uint32_t w = 0; w < RIG_WORKERS; w++) {
			if (mask >> w & 1)
				pthread_join(thread[w].id, NULL);
			all += thread[w].segments;
		}
		printf("{\"mode\": \"threads\", \"connections\": %u, \"threads\": %u, \"rate\": %.0f}\n", n,
		       n_threads, (double)all * (double)rte_get_tsc_hz() / (double)cycles);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	uint32_t n = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
	uint32_t x = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
	uint64_t segs = argc > 4 ? strtoull(argv[4], NULL, 0) : 1000000;
	bool offload = false;

	for (int i = 5; i < argc; i++) {
		offload |= strcmp(argv[i], "offload") == 0;
		rig.v6 |= strcmp(argv[i], "v6") == 0;
	}
	bool several = strcmp(mode, "threads") == 0;

	if (argc < 3 || n == 0 || n > (several ? THREADS_MOST : RIG_PROGRAMS * RIG_PROGRAM_SOCKS)) {
		fprintf(stderr, "usage: engine rr|in|local CONNECTIONS BURST [SEGMENTS [offload] [v6]]\n"
				"       engine idle CONNECTIONS ACTIVE | churn CONNECTIONS TIMES\n"
				"       engine threads CONNECTIONS MILLISECONDS\n"
				"CONNECTIONS: at most %d, with threads %d of each\n",
			RIG_PROGRAMS * RIG_PROGRAM_SOCKS, THREADS_MOST);
		return 2;
	}
	if (several) {
		rig.n_workers = RIG_WORKERS;
		rig_start(RIG_PROGRAM_SOCKS + 3 * n, false);
		threads(n, x ? x : 1000);
		return 0; /* the clocks of the workers have come apart: nothing is closed */
	}
	rig_start(n, offload);
	if (strcmp(mode, "idle") == 0)
		idle(n, x ? x : 1000);
	else if (strcmp(mode, "churn") == 0)
		churn(n, x ? x : 3);
	else
		cost(strcmp(mode, "in") == 0 ? IN : strcmp(mode, "local") == 0 ? LOCAL : RR, n,
		     x ? min_u32(x, RIG_BURST) : RIG_BURST, segs);
	rig_stop();
	return 0;
}
