/* The environment of a program that runs on the stack. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "stack/base/util.h"
#include "stack/chan/start.h"
#include "stack/cli/cli.h"

enum { START_MS = 10000, EXIT_NOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* libfastnet.so: named, near this program, or where it is installed. */
static bool find_library(char *buf, size_t size)
{
	static const char *const near[] = {
		"libfastnet.so", "../../shim/libfastnet.so", "../shim/libfastnet.so",
		"../lib/libfastnet.so", "../lib/x86_64-linux-gnu/libfastnet.so",
	};
	const char *named = getenv("FASTNET_LIB");
	char self[PATH_MAX], path[PATH_MAX + 64];

	if (named && *named) {
		snprintf(buf, size, "%s", named);
		return access(buf, R_OK) == 0;
	}
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = 0;
	char *slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < ARRAY_LEN(near); i++) {
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - self), self, near[i]);
		char *real = realpath(path, NULL);
		if (!real)
			continue;
		snprintf(buf, size, "%s", real);
		free(real);
		return true;
	}
	snprintf(buf, size, "%s", FASTNET_LIB_PATH);
	return access(buf, R_OK) == 0;
}

static int set_preload(void)
{
	char lib[PATH_MAX], all[2 * PATH_MAX];
	const char *old = getenv("LD_PRELOAD");

	if (!find_library(lib, sizeof(lib))) {
		cli_say("can't find libfastnet.so; install it, or name it in FASTNET_LIB");
		return CLI_FAILED;
	}
	if (strpbrk(lib, ": ")) {
		cli_say("the path of %s has a blank or a colon, which LD_PRELOAD can't express",
			lib);
		return CLI_FAILED;
	}
	bool has_old = old && *old;
	snprintf(all, sizeof(all), "%s%s%s", lib, has_old ? ":" : "", has_old ? old : "");
	if (setenv("LD_PRELOAD", all, 1) == 0)
		return CLI_OK;
	cli_say("out of memory");
	return CLI_FAILED;
}

/* An engine that runs already keeps its own port and addresses. */
static void say_ignored(const struct config *c)
{
	static const enum config_id engine_only[] = { CONFIG_port,    CONFIG_addr, CONFIG_gateway,
						      CONFIG_mtu,     CONFIG_workers, CONFIG_cpus,
						      CONFIG_loopback, CONFIG_pcap, CONFIG_fault };

	for (size_t i = 0; i < ARRAY_LEN(engine_only); i++) {
		if (c->v[engine_only[i]].from == CONFIG_FROM_ARGS) {
			cli_say("an engine runs already: --%s has no effect on it; stop it first, "
				"or use another --socket",
				config_infos[engine_only[i]].name);
			return;
		}
	}
}

static int have_engine(const struct config *c)
{
	char err[CHAN_START_ERR_MAX];
	struct chan_paths paths;
	const struct chan_start cs = {
		.engine = getenv("FASTNET_ENGINE"), .socket = config_str(c, CONFIG_socket),
		.envp = environ, .timeout_ms = START_MS,
	};

	chan_engine_paths(&paths, cs.socket);
	if (chan_engine_answers(&paths)) {
		say_ignored(c);
		return CLI_OK;
	}
	if (!config_num(c, CONFIG_autostart) || chan_engine_start(&cs, err) == 0)
		return CLI_OK;
	if (config_num(c, CONFIG_fallback)) {
		cli_say("no engine: %s", err);
		return CLI_FAILED;
	}
	/* Promise: a program is never broken by being accelerated. */
	cli_say("no engine: %s; the program uses the kernel's stack", err);
	return CLI_OK;
}

int cli_prepare(const struct config *c)
{
	for (int i = 0; i < CONFIG_COUNT; i++) {
		if (c->v[i].from == CONFIG_FROM_ARGS &&
		    setenv(config_infos[i].env, c->v[i].text, 1) != 0) {
			cli_say("out of memory");
			return CLI_FAILED;
		}
	}
	int r = have_engine(c);
	return r ? r : set_preload();
}

int cli_exec(char **argv)
{
	execvp(argv[0], argv);
	int err = errno;
	cli_say("can't run '%s': %s", argv[0], strerror(err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN;
}
