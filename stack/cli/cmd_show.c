/* The commands that ask the engine for a table and show it: ss, ip, stat, trace, engine. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <limits.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "stack/chan/start.h"
#include "stack/cli/cli.h"

/* Switches of these commands: --json, --help and single letters. */
struct show {
	struct config config;
	enum cli_format format;
	bool all, watch, listening, tcp, udp, groups, v4, v6;
	const char *count, *word[2], *engine, *drain;
	unsigned n_words;
};

enum { GO_ON = -1 };

static int usage(const char *text)
{
	printf("%s  --json         print JSON\n  --socket PATH  the engine's unix socket\n", text);
	return CLI_OK;
}

/* letters: those that the command knows; 'n' takes a value where count is true. */
static int parse(struct show *s, int argc, char **argv, const char *letters, bool count,
		 const char *help)
{
	static const char *const own[] = { "json", "help", "engine", "drain", NULL };

	config_init(&s->config);
	for (int i = 1; i < argc;) {
		int r = cli_options_args(&s->config, argc, argv, &i, own);

		if (r)
			return r;
		if (i >= argc)
			break;
		const char *a = argv[i++];
		if (!strcmp(a, "--help") || !strcmp(a, "-h"))
			return usage(help);
		if (!strcmp(a, "--json")) {
			s->format = CLI_JSON;
		} else if (strchr(letters, 'E') && i < argc &&
			   (!strcmp(a, "--engine") || !strcmp(a, "--drain"))) {
			*(a[2] == 'e' ? &s->engine : &s->drain) = argv[i++];
		} else if (count && !strcmp(a, "-n") && i < argc) {
			s->count = argv[i++];
		} else if (*a == '-' && a[1]) {
			for (const char *p = a + 1; *p; p++) {
				if (!strchr(letters, *p)) {
					cli_say("unknown option '%s'; --help lists them", a);
					return CLI_USAGE;
				}
				s->all |= *p == 'a';
				s->watch |= *p == 'w';
				s->listening |= *p == 'l';
				s->tcp |= *p == 't';
				s->udp |= *p == 'u';
				s->groups |= *p == 'g';
				s->v4 |= *p == '4';
				s->v6 |= *p == '6';
			}
		} else if (s->n_words < 2) {
			s->word[s->n_words++] = a;
		} else {
			cli_say("unexpected argument '%s'; --help tells more", a);
			return CLI_USAGE;
		}
	}
	int r = cli_options_rest(&s->config);
	return r ? r : GO_ON;
}

/* Asks and parses; CLI_OK or said. */
static int fetch(const struct show *s, const char *command, struct table *t)
{
	char *text;
	int r = cli_ask(&s->config, command, &text);

	if (r)
		return r;
	if (table_parse(t, text))
		return CLI_OK;
	free(text);
	cli_say("out of memory");
	return CLI_FAILED;
}

static int no_words(const struct show *s)
{
	if (!s->n_words)
		return CLI_OK;
	cli_say("unexpected argument '%s'; --help tells more", s->word[0]);
	return CLI_USAGE;
}

/* With -4 or -6: is it of that family? */
static bool keep_family(const struct show *s, bool v6)
{
	return s->v4 == s->v6 || v6 == s->v6;
}

/* The first column is an address, a network or a group. */
static bool keep_address(const struct table *t, unsigned row, void *arg)
{
	return keep_family(arg, strchr(table_cell(t, row, 0), ':') != NULL);
}

/* ---- ss ---- */
static bool keep_socket(const struct table *t, unsigned row, void *arg)
{
	const struct show *s = arg;
	const char *state = table_cell(t, row, 1), *local = table_cell(t, row, 4);
	bool udp = !strcmp(table_cell(t, row, 0), "udp");

	if ((s->tcp || s->udp) && !(udp ? s->udp : s->tcp))
		return false;
	/* As in ss(8) one that serves both families is of IPv6. */
	if (!keep_family(s, *local == '[' || *local == '*'))
		return false;
	/* As in ss(8) a datagram socket without a peer listens. */
	return !s->listening || !strcmp(state, "LISTEN") || !strcmp(state, "UNCONN");
}

int cmd_ss(int argc, char **argv)
{
	struct show s = { 0 };
	struct table t;
	int r = parse(
		&s, argc, argv, "tuanlpg46", false,
		"usage: fastnet ss [-l] [-t] [-u] [-4] [-6] [-g] [--json]\n"
		"The sockets on the stack: state, bytes received and not read, bytes not yet\n"
		"acknowledged or sent (a listener: connections waiting, and their limit),\n"
		"addresses, process.\n  -l             listening sockets only\n"
		"  -t, -u         TCP only, UDP only\n"
		"  -4, -6         sockets of IPv4 only, of IPv6 only (also those of both: *)\n"
		"  -g             the groups that sockets have joined instead\n"
		"  -a -n -p       accepted, as ss(8) has them\n");

	if (r != GO_ON)
		return r;
	r = no_words(&s);
	if (!r)
		r = fetch(&s, s.groups ? "groups" : "ss", &t);
	if (r)
		return r;
	table_print(&t, s.format, s.groups ? keep_address : keep_socket, &s);
	table_free(&t);
	return CLI_OK;
}

/* ---- ip ---- */
int cmd_ip(int argc, char **argv)
{
	struct show s = { 0 };
	struct table t;
	char command[64];
	int r = parse(&s, argc, argv, "46", false,
		      "usage: fastnet ip [addr|route|neigh|router|maddr] [-4] [-6] [--json]\n"
		      "What ip(8) shows of the kernel, of the stack:\n"
		      "  addr           addresses of the ports, their state and lifetimes in seconds\n"
		      "  route          routes, the most specific first\n"
		      "  neigh          neighbours, as each data thread knows them\n"
		      "  router         routers that have advertised themselves\n"
		      "  maddr          groups that the ports hear\n"
		      "  -4, -6         IPv4 only, IPv6 only\n");

	if (r != GO_ON)
		return r;
	const char *word = s.n_words ? s.word[0] : "addr";
	if (s.n_words > 1 || strspn(word, "abcdefghijklmnopqrstuvwxyz") != strlen(word) ||
	    strlen(word) > 32) {
		cli_say("ip takes one word; --help lists them");
		return CLI_USAGE;
	}
	snprintf(command, sizeof(command), "ip %s", word);
	r = fetch(&s, command, &t);
	if (r)
		return r;
	table_print(&t, s.format, keep_address, &s);
	table_free(&t);
	return CLI_OK;
}

/* ---- stat ---- */
static bool keep_counter(const struct table *t, unsigned row, void *arg)
{
	const struct show *s = arg;

	return s->all || strcmp(table_cell(t, row, 1), "0") != 0;
}

static void print_changes(const struct table *old, const struct table *t, const struct show *s,
			  double seconds)
{
	bool first = true;

	printf(s->format == CLI_JSON ? "{" : "--\n");
	for (unsigned row = 0; row < t->n_rows && row < old->n_rows; row++) {
		uint64_t now = strtoull(table_cell(t, row, 1), NULL, 10);
		uint64_t was = strtoull(table_cell(old, row, 1), NULL, 10);
		double rate = (double)(now - was) / seconds;

		if (now == was && !s->all)
			continue;
		if (s->format == CLI_JSON)
			printf("%s\"%s\": %.1f", first ? "" : ", ", table_cell(t, row, 0), rate);
		else
			printf("%16.1f/s  %-28s %s\n", rate, table_cell(t, row, 0),
			       table_cell(t, row, 2));
		first = false;
	}
	printf(s->format == CLI_JSON ? "}\n" : "");
	fflush(stdout);
}

/* Until the engine is gone or somebody interrupts. */
static int watch(const struct show *s)
{
	struct table old, t;
	int r = fetch(s, "stat", &old);

	while (!r) {
		sleep(1);
		r = fetch(s, "stat", &t);
		if (r)
			break;
		print_changes(&old, &t, s, 1.0);
		table_free(&old);
		old = t;
	}
	return r;
}

int cmd_stat(int argc, char **argv)
{
	struct show s = { 0 };
	struct table t;
	int r = parse(&s, argc, argv, "aw", false,
		      "usage: fastnet stat [-a] [-w] [--json]\n"
		      "The engine's counters that are not zero, all data threads together.\n"
		      "  -a             the zero ones too\n"
		      "  -w             every second what has changed, per second\n");

	if (r != GO_ON)
		return r;
	r = no_words(&s);
	if (!r && s.watch)
		return watch(&s);
	if (!r)
		r = fetch(&s, "stat", &t);
	if (r)
		return r;
	table_print(&t, s.format, keep_counter, &s);
	table_free(&t);
	return CLI_OK;
}

/* ---- trace ---- */
int cmd_trace(int argc, char **argv)
{
	struct show s = { 0 };
	struct table t;
	char command[160];
	int r = parse(
		&s, argc, argv, "", true,
		"usage: fastnet trace [-n COUNT] [ID | ADDRESS:PORT] [--json]\n"
		"The last events of the engine's trace ring (200 unless told), of all sockets,\n"
		"of the one with this id, or of those that fastnet ss shows with this address\n"
		"on either side: 10.0.0.2:80, [fd00::2]:80.\n");

	if (r != GO_ON)
		return r;
	const char *count = s.count ? s.count : "200", *id = s.n_words ? s.word[0] : "";
	bool number = strspn(id, "0123456789") == strlen(id) && strlen(id) <= 10;
	if (s.n_words > 1 || strspn(count, "0123456789") != strlen(count) || strlen(count) > 9 ||
	    !(number || (strchr(id, ':') && !strchr(id, ' ') && strlen(id) < 100))) {
		cli_say("trace takes a count and the number of a socket or its address and port, such as "
			"[fd00::2]:80; --help tells more");
		return CLI_USAGE;
	}
	snprintf(command, sizeof(command), "trace %s %s", count, id);
	r = fetch(&s, command, &t);
	if (r)
		return r;
	table_print(&t, s.format, NULL, NULL);
	table_free(&t);
	return CLI_OK;
}

/* ---- engine ---- */
/* The lock beside the unix socket of the engine that answers, and its file; path "": nobody answers. */
struct lock {
	char path[CHAN_PATH_MAX + sizeof(".lock")];
	ino_t ino;
};

static struct lock find_lock(const struct config *c)
{
	struct chan_paths paths, one = { .n = 1 };
	struct lock lock = { "", 0 };
	struct stat st;

	chan_engine_paths(&paths, config_str(c, CONFIG_socket));
	for (uint32_t i = 0; i < paths.n && !*lock.path; i++) {
		memcpy(one.path[0], paths.path[i], sizeof(one.path[0]));
		if (chan_engine_answers(&one))
			snprintf(lock.path, sizeof(lock.path), "%s.lock", one.path[0]);
	}
	if (*lock.path && stat(lock.path, &st) == 0)
		lock.ino = st.st_ino;
	return lock;
}

/* The answer says that it will end. Its last act is to remove the lock: then another one can start. */
static int wait_gone(const struct lock *lock)
{
	const struct timespec nap = { .tv_nsec = 20 * 1000000 };
	struct stat st;

	for (int i = 0; i < 250; i++) {
		if (!lock->ino || stat(lock->path, &st) < 0 || st.st_ino != lock->ino)
			return CLI_OK;
		nanosleep(&nap, NULL);
	}
	cli_say("the engine has not ended within 5 s");
	return CLI_FAILED;
}

static int start(const struct config *c)
{
	char err[CHAN_START_ERR_MAX];
	const struct chan_start cs = {
		.engine = getenv("FASTNET_ENGINE"), .socket = config_str(c, CONFIG_socket),
		.envp = environ, .timeout_ms = 10000,
	};

	if (chan_engine_start(&cs, err) == 0)
		return CLI_OK;
	cli_say("%s", err);
	return CLI_FAILED;
}

/* upgrade [--engine PATH] [--drain SECONDS] */
static int upgrade(const struct show *s)
{
	char command[PATH_MAX], *path = s->engine ? realpath(s->engine, NULL) : NULL;
	const char *drain = s->drain ? s->drain : "0";
	struct table t;

	if (s->engine && (!path || access(path, X_OK) < 0)) {
		cli_say("can't run '%s': %s", s->engine, strerror(errno));
		free(path);
		return CLI_FAILED;
	}
	if (strspn(drain, "0123456789") != strlen(drain) || strlen(drain) > 9 ||
	    (path && (strchr(path, ' ') || strlen(path) > 1024))) {
		cli_say("upgrade takes a number of seconds and a path without blanks");
		free(path);
		return CLI_USAGE;
	}
	snprintf(command, sizeof(command), "upgrade drain=%s %s", drain, path ? path : "");
	free(path);
	int r = fetch(s, command, &t);
	if (r)
		return r;
	table_print(&t, s->format, NULL, NULL);
	table_free(&t);
	return CLI_OK;
}

int cmd_engine(int argc, char **argv)
{
	struct show s = { 0 };
	struct table t;
	int r = parse(
		&s, argc, argv, "E", false,
		"usage: fastnet engine status|config|start|stop|upgrade|log LEVELS [--json]\n"
		"  status         ports, addresses, memory, programs\n"
		"  config         the options in force and where each comes from\n"
		"  start          start one as the first program would; it ends after the last\n"
		"  stop           end it: connections on the stack are closed\n"
		"  upgrade        start another one that takes over: listeners and programs move\n"
		"                 there, connections stay with the old one, which ends after the\n"
		"                 last of them\n"
		"    --engine PATH    the program to start instead of the same fastnetd\n"
		"    --drain SECONDS  how long connections may stay; 0: as long as they last\n"
		"  log LEVELS     change log levels: warn,tcp=debug\n");

	if (r != GO_ON)
		return r;
	const char *word = s.n_words ? s.word[0] : "status";
	char command[300];
	bool is_log = !strcmp(word, "log");
	if (s.n_words > (is_log ? 2u : 1u) || (is_log && s.n_words != 2)) {
		cli_say("engine takes one word; --help lists them");
		return CLI_USAGE;
	}
	if (!strcmp(word, "start"))
		return start(&s.config);
	if (!strcmp(word, "upgrade"))
		return upgrade(&s);
	if (strcmp(word, "status") && strcmp(word, "config") && strcmp(word, "stop") && !is_log) {
		cli_say("unknown word '%s'; fastnet engine --help lists them", word);
		return CLI_USAGE;
	}
	const struct lock lock = strcmp(word, "stop") ? (struct lock){ "", 0 } : find_lock(&s.config);
	snprintf(command, sizeof(command), "%s %s", word, is_log ? s.word[1] : "");
	r = fetch(&s, command, &t);
	if (r)
		return r;
	if (strcmp(word, "stop") != 0)
		table_print(&t, s.format, NULL, NULL);
	table_free(&t);
	return strcmp(word, "stop") ? CLI_OK : wait_gone(&lock);
}
