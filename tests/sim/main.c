/* sim [--runs N | --minutes M] [--seed S] [--jobs J] [--show]: seeded scenarios, one after the other, in J
 * processes; the seed of one that fails is printed with the command that runs it alone.
 * sim bulk ...: one measured transfer, see bulk.c. */
// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#include "tests/sim/sim.h"

struct options {
	uint64_t runs, seed;
	unsigned minutes, jobs;
	bool show;
};

static volatile uint64_t current_seed;

static void say_seed(void)
{
	char line[96];
	int n = snprintf(line, sizeof(line), "died in seed %llu; alone: sim --seed %llu --runs 1 --show\n",
			 (unsigned long long)current_seed, (unsigned long long)current_seed);

	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

static void died(int sig)
{
	say_seed();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void watch_for_death(void)
{
	const int deadly[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };

	for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
		signal(deadly[i], died);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_set_death_callback(say_seed);
#endif
}

static uint64_t clock_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

/* Every jobs-th seed from the job's own on. */
static int run_job(const struct options *o, unsigned job)
{
	static struct sim s;
	uint64_t done = 0, segments = 0, end_s = o->minutes ? clock_s() + o->minutes * 60ull : 0;
	bool ok = true;

	watch_for_death();
	for (uint64_t i = job; ok && (o->minutes ? clock_s() < end_s : i < o->runs); i += o->jobs) {
		current_seed = o->seed + i;
		ok = sim_scenario(&s, current_seed, o->show);
		segments += s.segments;
		done++;
	}
	if (!ok)
		printf("seed %llu: %s\nalone: sim --seed %llu --runs 1 --show\n",
		       (unsigned long long)current_seed, s.why, (unsigned long long)current_seed);
	printf("%llu scenarios, %llu segments\n", (unsigned long long)done,
	       (unsigned long long)segments);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_jobs(const struct options *o)
{
	int status, failed = 0;

	for (unsigned job = 0; job < o->jobs; job++) {
		fflush(stdout);
		pid_t pid = fork();

		if (pid < 0) {
			perror("fork");
			return EXIT_FAILURE;
		}
		if (pid == 0)
			exit(run_job(o, job));
	}
	while (wait(&status) > 0)
		failed |= status;
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "runs", 1, NULL, 'r' }, { "minutes", 1, NULL, 'm' }, { "seed", 1, NULL, 's' },
		{ "jobs", 1, NULL, 'j' }, { "show", 0, NULL, 'v' },    { 0 },
	};
	struct options o = { .runs = 10000, .seed = 1, .jobs = 2 };
	int c;

	if (argc > 1 && !strcmp(argv[1], "bulk"))
		return sim_bulk_main(argc - 1, argv + 1);
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			o.runs = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			o.minutes = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 's':
			o.seed = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			o.jobs = max_u32((uint32_t)strtoul(optarg, NULL, 0), 1);
			break;
		case 'v':
			o.show = true;
			break;
		default:
			return 2;
		}
	}
	return o.jobs > 1 && o.runs > 1 ? run_jobs(&o) : run_job(&(struct options){
		.runs = o.runs, .minutes = o.minutes, .seed = o.seed, .jobs = 1, .show = o.show }, 0);
}
