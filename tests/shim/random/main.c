/* The random tester's program: reads lines "seed steps dropped,dropped..." and carries the seed's
 * steps out, one trace line each. The driver (random.py) runs one of it on the kernel and one
 * preloaded, and compares. */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"

enum { MAX_ACTIONS = 128, MAX_STEPS = 1000 };

static struct {
	const struct action *action;
	int weight;
} table[MAX_ACTIONS];
static int n_actions;

static void collect(void)
{
	static const struct action *const lists[] = {conn_actions,  name_actions,  send_actions,
						     recv_actions,  fd_actions,	   opt_actions,
						     ready_actions, thread_actions,
						     dgram_actions };
	for (size_t i = 0; i < T_COUNT(lists); i++)
		for (const struct action *a = lists[i]; a->name && n_actions < MAX_ACTIONS; a++)
			table[n_actions++].action = a;
}

/* Each seed leaves some actions out and prefers others: rare combinations get their seeds. */
static void choose_weights(uint64_t seed)
{
	struct dice d = {.state = seed * 0x2545f4914f6cdd1du + 1};

	for (int i = 0; i < n_actions; i++) {
		int factor = ONE_OF(&d, 0, 1, 1, 2, 2, 6);
		if (!w.udp && !strncmp(table[i].action->name, "dgram", 5))
			factor = 0;
		/* Without connections nothing happens at all. */
		if (!strcmp(table[i].action->name, "pair") && !factor)
			factor = 1;
		table[i].weight = table[i].action->weight * factor;
	}
}

static const struct action *choose(struct dice *d)
{
	int sum = 0, at;

	for (int i = 0; i < n_actions; i++)
		sum += table[i].weight;
	at = (int)roll(d, (uint32_t)sum);
	for (int i = 0; i < n_actions; i++) {
		at -= table[i].weight;
		if (at < 0)
			return table[i].action;
	}
	return table[0].action;
}

static void run_step(uint64_t seed, int step)
{
	struct dice d = {.state = seed * 1000003 + (uint64_t)step * 0x632be59bd9b4e019u};
	const struct action *a = choose(&d);
	int n;

	tr("%d %s:", step, a->name);
	pipes_seen();
	make_room(&d);
	settle();
	a->run(&d);
	n = pipes_seen();
	if (n)
		tr(" SIGPIPE %d", n);
	settle();
	tr_changes();
	tr_flush();
}

static void run_seed(uint64_t seed, int steps, const char *dropped, unsigned int turn)
{
	static bool drop[MAX_STEPS];

	memset(drop, 0, sizeof(drop));
	for (const char *p = dropped; *p; p += strcspn(p, ",") + (strchr(p, ',') != NULL)) {
		unsigned long n = strtoul(p, NULL, 10);
		if (n < MAX_STEPS)
			drop[n] = true;
	}
	choose_weights(seed);
	w.native = w.six && seed % 2 == 0 && getenv("FN_TEST_ADDR6");
	world_begin(seed, turn);
	for (int i = 0; i < steps && i < MAX_STEPS; i++)
		if (!drop[i])
			run_step(seed, i);
	world_end();
	tr("end %llu", (unsigned long long)seed);
	tr_flush();
}

int main(int argc, char **argv)
{
	char text[8192], dropped[8192];
	unsigned int turn = 0;

	for (int i = 1; i < argc; i++) {
		w.udp |= !strcmp(argv[i], "udp");
		w.oob |= !strcmp(argv[i], "oob");
		w.six |= !strcmp(argv[i], "six");
	}
	collect();
	guard_begin(true);
	guard_end();
	world_init();
	tr("ready");
	tr_flush();
	while (fgets(text, sizeof(text), stdin)) {
		unsigned long long seed;
		int steps;
		int n = sscanf(text, "%llu %d %8191s", &seed, &steps, dropped);
		if (n < 2)
			break;
		if (n < 3)
			dropped[0] = '\0';
		run_seed(seed, steps, dropped, turn++);
	}
	return 0;
}
