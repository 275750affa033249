/* fastnet, the tool: finds the command. */
// SPDX-License-Identifier: MIT
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/cli/cli.h"

static const struct {
	const char *name, *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "run", "run a program on the stack", cmd_run },
	{ "ss", "list the sockets on the stack", cmd_ss },
	{ "ip", "show addresses, routes, neighbours, routers, groups", cmd_ip },
	{ "stat", "show the engine's counters", cmd_stat },
	{ "explain", "say which sockets went to the kernel, and why", cmd_explain },
	{ "trace", "show the last events of the engine", cmd_trace },
	{ "engine", "ask about the engine, start or stop it", cmd_engine },
};

void cli_say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "fastnet: %s\n", line);
}

static void usage(FILE *out)
{
	fprintf(out, "usage: fastnet COMMAND [--option value ...] [arguments]\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-9s%s\n", commands[i].name, commands[i].help);
	fprintf(out, "fastnet COMMAND --help tells more.\n");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return CLI_OK;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("fastnet %s\n", FASTNET_VERSION);
		return CLI_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	}
	cli_say("unknown command '%s'; fastnet --help lists them", argv[1]);
	return CLI_USAGE;
}
