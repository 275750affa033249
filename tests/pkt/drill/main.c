/* Runs packet scripts: each file named, and each *.pkt of a directory, in a process of its own.
 *   drill --app PROGRAM (--shim LIBRARY [--first LIBRARY] | --kernel) [--six] [--jobs N] [-v] PATH ...
 * With --six over IPv6.
 * With --kernel, scripts that say "linux-differs:" must fail there, and are listed with the reason. */
// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/pkt/drill/ip.h"
#include "tests/pkt/drill/run.h"
#include "tests/pkt/drill/stack_eal.h"

enum { PATHS = 1000, LIMIT_S = 120, JOBS = 64, OUTPUT = 16384 };
enum outcome { PASSED, FAILED, SKIPPED, DIFFERED };

static char *paths[PATHS];
static uint32_t n_paths;
static struct world_conf conf;
static const struct world *world = &world_stack;
static uint32_t counts[4];

static void add_path(const char *path)
{
	if (n_paths == PATHS)
		exit(EXIT_FAILURE);
	paths[n_paths++] = strdup(path);
}

static int is_script(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' &&
	       (n <= 4 || !strchr(d->d_name, '.') || strcmp(d->d_name + n - 4, ".pkt") == 0);
}

static void add(const char *path)
{
	struct dirent **list;
	struct stat st;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (!S_ISDIR(st.st_mode)) {
		if (strstr(path, ".pkt"))
			add_path(path);
		return;
	}
	int n = scandir(path, &list, is_script, alphasort);
	for (int i = 0; i < n; i++) {
		char *sub;

		if (asprintf(&sub, "%s/%s", path, list[i]->d_name) < 0)
			exit(EXIT_FAILURE);
		add(sub);
		free(sub);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

/* ---- a script's own process ---- */
static void child(const char *path)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(LIMIT_S);
	struct script *s = script_read(path);

	if (s->cites == 0)
		script_fail(1, "the head cites neither an RFC nor a manual page");
	if (s->only && strncmp(s->only, world->name, strlen(world->name)) != 0) {
		printf("%s: only %s\n", path, s->only);
		fflush(stdout);
		_exit(SKIPPED);
	}
	if (ip_six ? s->only4 : s->only6) {
		printf("%s: only %s: %s\n", path, ip_six ? "IPv4" : "IPv6", ip_six ? s->only4 : s->only6);
		fflush(stdout);
		_exit(SKIPPED);
	}
	bool differs = s->differs && world == &world_kernel;
	if (differs) {
		printf("%s: Linux differs: %s\n", path, s->differs);
		fflush(stdout);
	}
	run_script(s, world, &conf);
	if (differs)
		script_fail(1, "says that Linux differs, but it does not");
	/* Nothing at exit: what the EAL has started is the parent's. The worlds look for leaks themselves. */
	fflush(stdout);
	_exit(PASSED);
}

struct job {
	pid_t pid;
	const char *path;
	FILE *out;
};

static void start_job(struct job *j, const char *path)
{
	*j = (struct job){.path = path, .out = tmpfile()};
	fflush(stdout);
	if (!j->out || (j->pid = fork()) < 0) {
		perror("drill");
		exit(EXIT_FAILURE);
	}
	if (j->pid == 0) {
		dup2(fileno(j->out), STDOUT_FILENO);
		child(path);
	}
}

static void end_job(struct job *j, int status)
{
	char buf[OUTPUT + 1] = {0};
	enum outcome o =
		WIFEXITED(status) && WEXITSTATUS(status) <= SKIPPED ? WEXITSTATUS(status) : FAILED;

	rewind(j->out);
	size_t n = fread(buf, 1, OUTPUT, j->out);
	fclose(j->out);
	j->pid = 0;
	if (o == FAILED && strstr(buf, ": Linux differs: ") && WIFEXITED(status) &&
	    !strstr(buf, "but it does not"))
		o = DIFFERED;
	counts[o]++;
	if (o == FAILED && n == 0)
		snprintf(buf, sizeof(buf), "%s: ended with status 0x%x\n", j->path, status);
	if (o == DIFFERED && strchr(buf, '\n'))
		*(strchr(buf, '\n') + 1) = 0;
	if (o != PASSED)
		fputs(buf, stdout);
	else if (conf.verbose)
		printf("%s: ok\n", j->path);
}

static void run_all(uint32_t n_jobs)
{
	struct job job[JOBS] = {0};
	uint32_t next = 0, running = 0;

	while (next < n_paths || running) {
		for (uint32_t i = 0; i < n_jobs && next < n_paths; i++) {
			if (!job[i].pid) {
				start_job(&job[i], paths[next++]);
				running++;
			}
		}
		int status;
		pid_t pid = wait(&status);
		for (uint32_t i = 0; i < n_jobs; i++) {
			if (job[i].pid == pid && pid > 0) {
				end_job(&job[i], status);
				running--;
			}
		}
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"app", required_argument, NULL, 'a'},	 {"shim", required_argument, NULL, 's'},
		{"first", required_argument, NULL, 'f'}, {"kernel", no_argument, NULL, 'k'},
		{"jobs", required_argument, NULL, 'j'},	 {"six", no_argument, NULL, '6'},
		{0},
	};
	uint32_t jobs = 1;

	for (int c; (c = getopt_long(argc, argv, "vj:", options, NULL)) != -1;) {
		if (c == 'a')
			conf.app = optarg;
		else if (c == 's')
			conf.shim = optarg;
		else if (c == 'f')
			conf.first = optarg;
		else if (c == 'k')
			world = &world_kernel;
		else if (c == 'j')
			jobs = min_u32((uint32_t)strtoul(optarg, NULL, 10), JOBS);
		else if (c == '6')
			ip_six = true;
		else if (c == 'v')
			conf.verbose = true;
		else
			return EXIT_FAILURE;
	}
	for (int i = optind; i < argc; i++)
		add(argv[i]);
	if (!conf.app || (world == &world_stack && !conf.shim) || !n_paths || !jobs) {
		fprintf(stderr,
			"usage: drill --app PROGRAM (--shim LIBRARY | --kernel) PATH ...\n");
		return EXIT_FAILURE;
	}
	signal(SIGPIPE, SIG_IGN);
	if (ip_six)
		setenv("DRILL_SIX", "1", 1); /* for the program */
	if (world == &world_stack)
		stack_eal();
	run_all(jobs);
	printf("%s%s: %u passed, %u failed", world->name, ip_six ? " over IPv6" : "", counts[PASSED],
	       counts[FAILED]);
	if (world == &world_kernel)
		printf(", %u differ as listed", counts[DIFFERED]);
	printf(", %u are not for it\n", counts[SKIPPED]);
	return counts[FAILED] ? EXIT_FAILURE : EXIT_SUCCESS;
}
