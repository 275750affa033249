/* Reads options from their three sources by the table config.def. */
// SPDX-License-Identifier: MIT
#include "stack/host/config.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "stack/base/strbuf.h"
#include "stack/base/util.h"

const struct config_info config_infos[CONFIG_COUNT] = {
#define CONFIG_DEF(id, name_, env_, type_, def_, min_, max_, words_, help_) \
	[CONFIG_##id] = { .name = name_, .env = env_, .type = CONFIG_##type_, .def = def_, \
			  .min = min_, .max = max_, .words = words_, .help = help_ },
#include "stack/host/config.def"
#undef CONFIG_DEF
};

enum { FILE_MAX = 64 * 1024 };

__attribute__((format(printf, 2, 3))) static int fail(struct config *c, const char *fmt, ...)
{
	struct strbuf s = strbuf_of(c->err, sizeof(c->err));
	va_list ap;

	va_start(ap, fmt);
	strbuf_vput(&s, fmt, ap);
	va_end(ap);
	for (char *p = c->err; *p; p++) {
		if ((unsigned char)*p < ' ')
			*p = '?';
	}
	return -EINVAL;
}

/* A whole string of decimal digits with an optional K, M or G. */
static bool parse_size(const char *s, bool suffix, uint64_t *out)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	uint64_t v = strtoull(s, &end, 10);
	unsigned shift = 0;
	if (suffix && *end) {
		shift = strchr("kK", *end)   ? 10
			: strchr("mM", *end) ? 20
			: strchr("gG", *end) ? 30
					     : 0;
		end += shift != 0;
	}
	if (errno || *end || (shift && v >> (64 - shift)))
		return false;
	*out = v << shift;
	return true;
}

/* Position of value among "a|b|c", or -1. */
static int word_index(const char *words, const char *value)
{
	size_t n = strlen(value);

	for (int i = 0; *words; i++) {
		size_t len = strcspn(words, "|");

		if (len == n && strncmp(words, value, n) == 0)
			return i;
		words += len + (words[len] == '|');
	}
	return -1;
}

static int word_index_bool(const char *value)
{
	static const char *const names[] = { "0", "1", "no", "yes", "off", "on", "false", "true" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcasecmp(value, names[i]) == 0)
			return (int)(i & 1);
	}
	return -1;
}

static bool valid_prefixes(const char *s)
{
	struct ipaddr a;
	uint8_t plen;

	while (*s) {
		if (!config_next_prefix(&s, &a, &plen))
			return false;
		s += *s == ';';
	}
	return true;
}

static bool valid_gateways(const char *s)
{
	char zone[CONFIG_ZONE_MAX];
	struct ipaddr a;

	while (*s) {
		if (!config_next_gateway(&s, &a, zone))
			return false;
	}
	return true;
}

static bool valid_ranges(const char *s, uint64_t max)
{
	uint64_t lo, hi;

	while (*s) {
		if (!config_next_range(&s, &lo, &hi) || hi > max)
			return false;
	}
	return true;
}

/* Checks value by the type of its option; the number goes to *num. NULL, or what would be right. */
static const char *check_value(const struct config_info *o, const char *s, uint64_t *num, char *buf,
			       int size)
{
	struct strbuf want = strbuf_of(buf, size);
	int word;

	*num = 0;
	switch (o->type) {
	case CONFIG_STR:
	case CONFIG_LIST:
		return NULL;
	case CONFIG_NUM:
	case CONFIG_SIZE:
		if (parse_size(s, o->type == CONFIG_SIZE, num) && *num >= o->min && *num <= o->max)
			return NULL;
		strbuf_put(&want, "a number from %" PRIu64 " to %" PRIu64, o->min, o->max);
		return buf;
	case CONFIG_BOOL:
	case CONFIG_WORD:
		word = o->type == CONFIG_BOOL ? word_index_bool(s) : word_index(o->words, s);
		*num = (uint64_t)word;
		if (word >= 0)
			return NULL;
		strbuf_put(&want, "one of %s", o->words);
		return buf;
	case CONFIG_PREFIXES:
		return valid_prefixes(s) ? NULL : "a list such as 10.0.0.2/24,fd00::2/64";
	case CONFIG_GATEWAYS:
		return valid_gateways(s) ? NULL : "a list of addresses such as 10.0.0.1,fd00::1 or "
						  "10.0.0.1,fe80::1%eth0";
	case CONFIG_CPUS:
		return valid_ranges(s, 1023) ? NULL : "a list of CPUs such as 0,2-3";
	case CONFIG_IDS:
		if (!strcmp(s, "all") || !strcmp(s, "root") || valid_ranges(s, UINT32_MAX))
			return NULL;
		return "all, root, or a list of numbers such as 33,1000-1999";
	}
	return "known";
}

void config_init(struct config *c)
{
	memset(c, 0, sizeof(*c));
	for (int i = 0; i < CONFIG_COUNT; i++)
		config_set(c, config_infos[i].name, config_infos[i].def, CONFIG_FROM_DEFAULT, 0);
}

static int find_option(const char *name)
{
	for (int i = 0; i < CONFIG_COUNT; i++) {
		if (!strcmp(config_infos[i].name, name))
			return i;
	}
	return -1;
}

/* "command line", "environment", "file:line" as the tail of a message. */
static const char *source_text(const struct config *c, const struct config_info *o,
			       enum config_source from, uint32_t line, char *buf, int size)
{
	struct strbuf s = strbuf_of(buf, size);

	if (from == CONFIG_FROM_FILE)
		strbuf_put(&s, "%s:%u", c->v[CONFIG_config].text, line);
	else if (from == CONFIG_FROM_ENV)
		strbuf_put(&s, "environment variable %s", o->env);
	else
		strbuf_put(&s, "%s", from == CONFIG_FROM_ARGS ? "command line" : "default");
	return buf;
}

int config_set(struct config *c, const char *name, const char *value, enum config_source from,
	       uint32_t line)
{
	char want[128], where[CONFIG_TEXT_MAX + 32];
	uint64_t num;
	int id = find_option(name);

	if (id < 0)
		return fail(c, "unknown option '%s'; --help lists them", name);
	const struct config_info *o = &config_infos[id];
	struct config_value *v = &c->v[id];
	source_text(c, o, from, line, where, sizeof(where));
	/* A repeated LIST option of one source adds, any other replaces. */
	size_t have = o->type == CONFIG_LIST && from == v->from && from != CONFIG_FROM_DEFAULT ?
			      strlen(v->text) : 0;
	if (strlen(value) + have + 2 > sizeof(v->text))
		return fail(c, "%s: value too long (%s); shorten it to %d characters", name, where,
			    CONFIG_TEXT_MAX - 1);
	const char *wanted = check_value(o, value, &num, want, sizeof(want));
	if (wanted)
		return fail(c, "%s: '%s' is not %s (%s)", name, value, wanted, where);
	if (from < v->from)
		return 0;
	struct strbuf s = { .p = v->text, .size = sizeof(v->text), .len = (int)have };
	strbuf_put(&s, "%s%s", have ? ";" : "", value);
	if (!*value && !have)
		v->text[0] = 0;
	v->num = num;
	v->from = from;
	v->line = line;
	return 0;
}

int config_env(struct config *c, char *const *envp)
{
	for (; *envp; envp++) {
		const char *eq = strchr(*envp, '=');

		if (!eq || strncmp(*envp, "FASTNET_", 8) != 0)
			continue;
		for (int i = 0; i < CONFIG_COUNT; i++) {
			const struct config_info *o = &config_infos[i];

			if (strlen(o->env) != (size_t)(eq - *envp) ||
			    strncmp(o->env, *envp, (size_t)(eq - *envp)) != 0)
				continue;
			int err = config_set(c, o->name, eq + 1, CONFIG_FROM_ENV, 0);
			if (err)
				return err;
		}
	}
	return 0;
}

static bool is_listed(const char *const *names, const char *name)
{
	for (; names && *names; names++) {
		if (!strcmp(*names, name))
			return true;
	}
	return false;
}

int config_args(struct config *c, int argc, char *const *argv, int *i, const char *const *others)
{
	while (*i < argc) {
		char name[64];
		const char *arg = argv[*i];

		if (!strcmp(arg, "--")) {
			++*i;
			return 0;
		}
		if (strncmp(arg, "--", 2) != 0)
			return 0;
		size_t n = strcspn(arg + 2, "=");
		if (n >= sizeof(name))
			return fail(c, "unknown option '%s'; --help lists them", arg);
		memcpy(name, arg + 2, n);
		name[n] = 0;
		if (is_listed(others, name))
			return 0;
		if (find_option(name) < 0)
			return fail(c, "unknown option '--%s'; --help lists them", name);
		const char *value = arg[2 + n] ? arg + 3 + n : *i + 1 < argc ? argv[*i + 1] : NULL;
		if (!value)
			return fail(c, "option '--%s' needs a value; --help lists them", name);
		int err = config_set(c, name, value, CONFIG_FROM_ARGS, 0);
		if (err)
			return err;
		*i += arg[2 + n] ? 1 : 2;
	}
	return 0;
}

/* Blanks at both ends off; returns the new start. */
static char *trim(char *s)
{
	s += strspn(s, " \t\r");
	size_t n = strlen(s);
	while (n && strchr(" \t\r", s[n - 1]))
		s[--n] = 0;
	return s;
}

static int parse_line(struct config *c, char *s, const char *path, uint32_t line)
{
	s = trim(s);
	if (!*s || *s == '#' || *s == ';')
		return 0;
	if (*s == '[') {
		if (!strcmp(s, "[fastnet]"))
			return 0;
		return fail(c, "%s:%u: unknown section '%s'; the only one is [fastnet]", path, line,
			    s);
	}
	char *eq = strchr(s, '=');
	if (!eq)
		return fail(c, "%s:%u: '%s' has no '='; write: option = value", path, line, s);
	*eq = 0;
	const char *name = trim(s), *value = trim(eq + 1);
	int id = find_option(name);
	if (id < 0 || id == CONFIG_config)
		return fail(c, "%s:%u: unknown option '%s'; fastnetd --help lists them", path, line,
			    name);
	return config_set(c, name, value, CONFIG_FROM_FILE, line);
}

int config_parse(struct config *c, const char *text, size_t n, const char *path)
{
	uint32_t line = 1;

	for (size_t at = 0; at < n; line++) {
		char buf[CONFIG_TEXT_MAX + 128];
		const char *nl = memchr(text + at, '\n', n - at);
		size_t len = nl ? (size_t)(nl - text) - at : n - at;

		if (len >= sizeof(buf) || memchr(text + at, 0, len))
			return fail(c, "%s:%u: line too long or not text", path, line);
		memcpy(buf, text + at, len);
		buf[len] = 0;
		int err = parse_line(c, buf, path, line);
		if (err)
			return err;
		at += len + 1;
	}
	return 0;
}

int config_file(struct config *c)
{
	static const char remedy[] = "make it readable, or name another one with --config";
	const char *path = c->v[CONFIG_config].text;
	char text[FILE_MAX];
	size_t n = 0;

	if (!*path)
		return 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && errno == ENOENT && c->v[CONFIG_config].from == CONFIG_FROM_DEFAULT)
		return 0;
	if (fd < 0) {
		int err = -errno;

		fail(c, "can't read configuration file %s: %s; %s", path, strerror(-err), remedy);
		return err;
	}
	while (n < sizeof(text)) {
		ssize_t got = read(fd, text + n, sizeof(text) - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int err = -errno;

			close(fd);
			fail(c, "can't read configuration file %s: %s; %s", path, strerror(-err),
			     remedy);
			return err;
		}
		if (!got)
			break;
		n += (size_t)got;
	}
	close(fd);
	if (n == sizeof(text))
		return fail(c, "configuration file %s is larger than %d bytes", path, FILE_MAX - 1);
	return config_parse(c, text, n, path);
}

void config_help(FILE *out)
{
	for (int i = 0; i < CONFIG_COUNT; i++) {
		const struct config_info *o = &config_infos[i];
		char left[64];
		const char *h = o->help;

		snprintf(left, sizeof(left), "--%s %s", o->name, o->words);
		fprintf(out, "  %-34s", left);
		if (strlen(left) > 33)
			fprintf(out, "\n%36s", "");
		/* Help texts wrap at blanks, 62 columns wide. */
		while (strlen(h) > 62) {
			int n = 62;

			while (n && h[n] != ' ')
				n--;
			fprintf(out, "%.*s\n%36s", n, h, "");
			h += n + 1;
		}
		fprintf(out, "%s\n%36s[%s%s%s]\n", h, "", o->env, *o->def ? ", default " : "",
			o->def);
	}
}

void config_print(const struct config *c, FILE *out)
{
	static const char *const from[] = { "default", "file", "environment", "command line" };

	fprintf(out, "[fastnet]\n");
	for (int i = 0; i < CONFIG_COUNT; i++) {
		const struct config_value *v = &c->v[i];

		fprintf(out, "# from: %s\n%s%s = %s\n", from[v->from],
			i == CONFIG_config ? "# " : "", config_infos[i].name, v->text);
	}
}
