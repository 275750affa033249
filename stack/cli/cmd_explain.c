/* fastnet explain: of the engine's programs; or of one program run for the purpose, which reports
 * through an inherited memory file whether it finds an engine or not. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "stack/chan/reasons.h"
#include "stack/cli/cli.h"

static const char *const reason_text[CHAN_REASON_COUNT] = {
#define X(name, text) text,
	CHAN_REASONS(X)
#undef X
};

static int usage(void)
{
	printf("usage: fastnet explain [--json]\n"
	       "       fastnet explain [--json] [--option value ...] -- PROGRAM [ARGUMENT ...]\n"
	       "How many sockets of each program are on the stack, how many were left to the\n"
	       "kernel, and why: of all programs on the engine, or of this program, when it has\n"
	       "ended (its output comes first, its exit status is kept).\n");
	return CLI_OK;
}

static int show(char *text, enum cli_format format)
{
	struct table t;

	if (!text || !table_parse(&t, text)) {
		free(text);
		cli_say("out of memory");
		return CLI_FAILED;
	}
	table_print(&t, format, NULL, NULL);
	table_free(&t);
	return CLI_OK;
}

/* ---- one program ---- */
static struct chan_explain *make_file(int *fd)
{
	char number[16];

	*fd = memfd_create("fastnet-explain", 0);
	if (*fd < 0 || ftruncate(*fd, sizeof(struct chan_explain)) < 0)
		return NULL;
	struct chan_explain *x = mmap(NULL, sizeof(*x), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (x == MAP_FAILED)
		return NULL;
	x->magic = CHAN_EXPLAIN_MAGIC;
	x->version = CHAN_VERSION;
	snprintf(number, sizeof(number), "%d", *fd);
	return setenv(CHAN_EXPLAIN_ENV, number, 1) == 0 ? x : NULL;
}

/* What a process wrote about itself: shown, not believed. */
static void list_proc(FILE *out, const struct chan_proc_b *p)
{
	char name[sizeof(p->name) + 1];

	memcpy(name, p->name, sizeof(p->name));
	name[sizeof(p->name)] = 0;
	for (char *c = name; *c; c++) {
		if ((unsigned char)*c < ' ')
			*c = '?';
	}
	fprintf(out, "%u\t%s\tstack\t%llu\t-\n", p->pid, name, (unsigned long long)p->on_stack);
	for (int i = 0; i < CHAN_REASON_COUNT; i++) {
		if (p->reason[i])
			fprintf(out, "%u\t%s\tkernel\t%llu\t%s\n", p->pid, name,
				(unsigned long long)p->reason[i], reason_text[i]);
	}
}

static char *list_all(const struct chan_explain *x)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out, "PID\tProcess\tWhere\tSockets\tReason\n");
	for (int i = 0; i < CHAN_EXPLAIN_PROCS; i++) {
		if (x->proc[i].pid)
			list_proc(out, &x->proc[i]);
	}
	fclose(out);
	return text;
}

/* The exit status as a shell gives it. */
static int run_child(char **argv)
{
	int status;
	pid_t pid = fork();

	if (pid < 0) {
		cli_say("can't start '%s': %s", argv[0], strerror(errno));
		return CLI_FAILED;
	}
	if (pid == 0)
		_exit(cli_exec(argv));
	/* Ctrl-C is the program's; we wait for what it makes of it. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return CLI_FAILED;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int explain_program(const struct config *c, char **argv, enum cli_format format)
{
	int fd, r = cli_prepare(c);

	if (r)
		return r;
	struct chan_explain *x = make_file(&fd);
	if (!x) {
		cli_say("can't make the file for the report: %s", strerror(errno));
		return CLI_FAILED;
	}
	fflush(stdout);
	int status = run_child(argv);
	r = show(list_all(x), format);
	return status ? status : r;
}

int cmd_explain(int argc, char **argv)
{
	static const char *const own[] = { "help", "json", NULL };
	enum cli_format format = CLI_TEXT;
	struct config c;
	char *text;
	int i = 1;

	config_init(&c);
	while (i < argc) {
		int r = cli_options_args(&c, argc, argv, &i, own);

		if (r)
			return r;
		if (i >= argc || !strcmp(argv[i - 1], "--") || *argv[i] != '-')
			break;
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return usage();
		if (strcmp(argv[i], "--json") != 0) {
			cli_say("unknown option '%s'; fastnet explain --help lists them", argv[i]);
			return CLI_USAGE;
		}
		format = CLI_JSON;
		i++;
	}
	int r = cli_options_rest(&c);
	if (r)
		return r;
	if (i < argc)
		return explain_program(&c, argv + i, format);
	r = cli_ask(&c, "explain", &text);
	return r ? r : show(text, format);
}
