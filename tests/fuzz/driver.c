/* Runs a fuzz target without libFuzzer: its own examples, whole and mutated, and random bytes, from
 * a printed seed.
 *	fuzz_x [-c dir] [-r runs] [-t seconds] [-s seed] [-o run]   -o repeats one run of a seed
 *	fuzz_x file...                                              replays inputs kept by libFuzzer
 *	fuzz_x -w dir                                               writes the examples there
 * -c: first what a directory holds, if there is one. */
// SPDX-License-Identifier: MIT
#include "tests/fuzz/fuzz.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "stack/base/rng.h"
#include "stack/base/util.h"
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

struct options {
	uint64_t runs, seed, only;
	double seconds;
	const char *corpus, *write_to;
};

static volatile uint64_t current_run;
static const char *volatile current_file; /* what is replayed, NULL: a run */

static void say_run(void)
{
	char line[4200];
	int n = current_file ? snprintf(line, sizeof(line), "failed in %s\n", current_file) :
			       snprintf(line, sizeof(line), "failed in run %llu\n",
					(unsigned long long)current_run);

	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

static void died(int sig)
{
	say_run();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* What goes wrong in parsers lives at the edges of fields. */
static uint8_t edge_byte(struct rng *r)
{
	static const uint8_t edges[] = { 0, 1,	2,    3,    4,	  5,	7,    8,
					 9, 10, 0x40, 0x45, 0x4f, 0x7f, 0x80, 0xff };

	return edges[rng_below(r, sizeof(edges))];
}

static size_t cut_out(uint8_t *buf, size_t n, size_t at, size_t len)
{
	len = min_u64(len, n - at);
	memmove(buf + at, buf + at + len, n - at - len);
	return n - len;
}

static size_t put_in(uint8_t *buf, size_t n, size_t at, size_t len, uint8_t byte)
{
	len = min_u64(len, FUZZ_MAX - n);
	memmove(buf + at + len, buf + at, n - at);
	memset(buf + at, byte, len);
	return n + len;
}

static size_t mutate(struct rng *r, uint8_t *buf, size_t n)
{
	for (uint32_t k = 1 + rng_below(r, 6); k > 0 && n > 0; k--) {
		uint32_t at = rng_below(r, (uint32_t)n);

		switch (rng_below(r, 6)) {
		case 0:
			buf[at] ^= (uint8_t)(1 << rng_below(r, 8));
			break;
		case 1:
			buf[at] = (uint8_t)rng_u64(r);
			break;
		case 2:
			buf[at] = edge_byte(r);
			break;
		case 3:
			n = at;
			break;
		case 4:
			n = cut_out(buf, n, at, rng_below(r, 8));
			break;
		default:
			n = put_in(buf, n, at, rng_below(r, 8), edge_byte(r));
			break;
		}
	}
	return n;
}

static void one_run(const struct options *o, uint64_t run, unsigned examples)
{
	static uint8_t buf[FUZZ_MAX];
	struct rng r;
	size_t n;

	current_run = run;
	rng_seed(&r, o->seed ^ run * 0x9e3779b97f4a7c15);
	if (run < examples) {
		n = fuzz_example((unsigned)run, buf);
	} else if (run % 8 == 0) {
		n = rng_below(&r, 128);
		for (size_t i = 0; i < n; i++)
			buf[i] = (uint8_t)rng_u64(&r);
	} else {
		n = mutate(&r, buf, fuzz_example(rng_below(&r, examples), buf));
	}
	/* An allocation of the exact size, so that AddressSanitizer sees one byte beyond. */
	uint8_t *exact = malloc(n + !n);
	memcpy(exact, buf, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
}

static int replay(const char *path)
{
	static uint8_t buf[FUZZ_MAX];
	FILE *f = fopen(path, "rb");

	if (!f) {
		perror(path);
		return EXIT_FAILURE;
	}
	size_t n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	current_file = path;
	uint8_t *exact = malloc(n + !n);
	memcpy(exact, buf, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	current_file = NULL;
	return EXIT_SUCCESS;
}

static int by_name(const struct dirent *e) { return e->d_name[0] != '.'; }

static int replay_dir(const char *dir)
{
	struct dirent **file;
	int n = scandir(dir, &file, by_name, alphasort), status = EXIT_SUCCESS;
	char path[4096];

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, file[i]->d_name);
		status |= replay(path);
		free(file[i]);
	}
	if (n >= 0)
		free(file);
	printf("%d inputs kept in %s\n", n > 0 ? n : 0, dir);
	return status;
}

static int write_examples(const char *dir)
{
	static uint8_t buf[FUZZ_MAX];
	char path[4096];
	size_t n;

	for (unsigned i = 0; (n = fuzz_example(i, buf)); i++) {
		snprintf(path, sizeof(path), "%s/example-%u", dir, i);
		FILE *f = fopen(path, "wb");

		if (!f || fwrite(buf, 1, n, f) != n || fclose(f)) {
			perror(path);
			return EXIT_FAILURE;
		}
	}
	return EXIT_SUCCESS;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run_all(const struct options *o)
{
	static uint8_t buf[FUZZ_MAX];
	unsigned examples = 0;
	uint64_t run = 0;
	double end = now_s() + o->seconds;

	while (fuzz_example(examples, buf))
		examples++;
	printf("seed %llu\n", (unsigned long long)o->seed);
	fflush(stdout);
	if (o->only != UINT64_MAX) {
		one_run(o, o->only, examples);
		return EXIT_SUCCESS;
	}
	for (; run < o->runs && (run % 256 || now_s() < end); run++)
		one_run(o, run, examples);
	printf("%llu runs\n", (unsigned long long)run);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct timespec ts;
	struct options o = { .runs = 1000000, .seconds = 3, .only = UINT64_MAX };
	int c, status = EXIT_SUCCESS;

	clock_gettime(CLOCK_REALTIME, &ts);
	o.seed = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
	while ((c = getopt(argc, argv, "c:r:t:s:o:w:")) != -1) {
		switch (c) {
		case 'c':
			o.corpus = optarg;
			break;
		case 'w':
			o.write_to = optarg;
			break;
		case 'r':
			o.runs = strtoull(optarg, NULL, 0);
			break;
		case 't':
			o.seconds = strtod(optarg, NULL);
			break;
		case 's':
			o.seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			o.only = strtoull(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	const int deadly[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
		signal(deadly[i], died);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_set_death_callback(say_run);
#endif
	if (o.write_to)
		return write_examples(o.write_to);
	if (o.corpus)
		status |= replay_dir(o.corpus);
	for (int i = optind; i < argc; i++)
		status |= replay(argv[i]);
	if (status)
		return status;
	return optind < argc ? status : run_all(&o);
}
