/* fastnet run: becomes the program, with the shim loaded and an engine there. */
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>
#include "stack/cli/cli.h"

static int usage(void)
{
	printf("usage: fastnet run [--option value ...] [--] PROGRAM [ARGUMENT ...]\n"
	       "Runs the program on fastnet's TCP/IP stack (LD_PRELOAD=libfastnet.so), with an\n"
	       "engine that is started if none answers. Options:\n");
	config_help(stdout);
	return CLI_OK;
}

int cmd_run(int argc, char **argv)
{
	static const char *const own[] = { "help", NULL };
	struct config c;
	int i = 1;

	config_init(&c);
	int r = cli_options_args(&c, argc, argv, &i, own);
	if (r)
		return r;
	if (i < argc && strcmp(argv[i - 1], "--") != 0) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return usage();
		if (*argv[i] == '-') {
			cli_say("unknown option '%s'; fastnet run --help lists them", argv[i]);
			return CLI_USAGE;
		}
	}
	if (i >= argc) {
		cli_say("run: no program given; fastnet run --help tells more");
		return CLI_USAGE;
	}
	r = cli_options_rest(&c);
	if (!r)
		r = cli_prepare(&c);
	return r ? r : cli_exec(argv + i);
}
