/* Options, and one question to the engine. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "stack/chan/hello.h"
#include "stack/chan/start.h"
#include "stack/cli/cli.h"

enum { ANSWER_MS = 10000, ANSWER_MAX = 256 << 20 };

int cli_options_args(struct config *c, int argc, char **argv, int *i, const char *const *others)
{
	if (config_args(c, argc, argv, i, others) == 0)
		return CLI_OK;
	cli_say("%s", c->err);
	return CLI_USAGE;
}

int cli_options_rest(struct config *c)
{
	if (config_env(c, environ) == 0 && config_file(c) == 0)
		return CLI_OK;
	cli_say("%s", c->err);
	return CLI_USAGE;
}

int cli_options(struct config *c, int argc, char **argv, int *i, const char *const *others)
{
	int r = cli_options_args(c, argc, argv, i, others);

	return r ? r : cli_options_rest(c);
}

/* The connected socket, or -1 and it has been said. */
static int connect_engine(const struct config *c)
{
	struct chan_paths paths;
	int err = -ENOENT;

	chan_engine_paths(&paths, config_str(c, CONFIG_socket));
	for (uint32_t i = 0; i < paths.n; i++) {
		int fd = chan_connect(paths.path[i], ANSWER_MS);

		if (fd >= 0)
			return fd;
		if (fd != -ENOENT || i == 0)
			err = fd;
	}
	if (err == -ENOENT || err == -ECONNREFUSED)
		cli_say("no engine answers on %s; start one with fastnetd, or a program with "
			"fastnet run",
			paths.path[0]);
	else
		cli_say("can't reach the engine on %s: %s", paths.path[0], strerror(-err));
	return -1;
}

static int receive(int fd, char **out)
{
	char *text = NULL;
	size_t len = 0;
	struct chan_msg m;

	for (;;) {
		int r = chan_msg_recv(fd, &m, NULL, NULL, NULL);

		if (r == -EINTR)
			continue;
		if (r == 1 && m.type == CHAN_MSG_REFUSED) {
			cli_say("%.*s", (int)m.len, m.text);
			break;
		}
		if (r != 1 || m.type != CHAN_MSG_ADMIN || len + m.len > ANSWER_MAX) {
			cli_say("the engine broke off its answer%s%s", r < 0 ? ": " : "",
				r < 0 ? strerror(-r) : "");
			break;
		}
		char *more = realloc(text, len + m.len + 1);
		if (!more) {
			cli_say("out of memory");
			break;
		}
		text = more;
		memcpy(text + len, m.text, m.len);
		len += m.len;
		text[len] = 0;
		if (m.len == 0) {
			*out = text;
			return CLI_OK;
		}
	}
	free(text);
	return CLI_FAILED;
}

int cli_ask(const struct config *c, const char *command, char **out)
{
	struct chan_msg m = { .type = CHAN_MSG_ADMIN, .version = CHAN_VERSION };
	int fd = connect_engine(c);

	if (fd < 0)
		return CLI_FAILED;
	m.len = (uint32_t)strlen(command);
	memcpy(m.text, command, m.len);
	int err = chan_msg_send(fd, &m, NULL, 0);
	if (err)
		cli_say("can't ask the engine: %s", strerror(-err));
	int r = err ? CLI_FAILED : receive(fd, out);
	close(fd);
	return r;
}
