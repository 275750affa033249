/* The configuration file in mTCP's form: "name = value" a line, '#' begins a comment. What has a meaning
 * here is taken, every other line is named in one warning, a bad value is an error. */
// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mtcp/ctx.h"

enum { LINE = 1024, BUF_MIN = 64, BUF_MAX = 1 << 30, SECONDS_MAX = 1 << 20 };

struct mtcp_conf mtcp_config = {
	.num_cores = 1,
	.max_concurrency = 10000,
	.max_num_buffers = 10000,
};

/* A program asks before mtcp_init() and starts so many threads. */
__attribute__((constructor)) static void count_cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	mtcp_config.num_cores = n < 1 ? 1 : n > MTCP_CONTEXTS ? MTCP_CONTEXTS : (int)n;
}

/* What applies; also numbers that programs ask for, though they change nothing (`idle`). */
static const struct key {
	char name[24];
	size_t at;
	int min, max;
	bool idle;
} keys[] = {
	{ "num_cores", offsetof(struct mtcp_conf, num_cores), 1, MTCP_CONTEXTS, false },
	{ "max_concurrency", offsetof(struct mtcp_conf, max_concurrency), 1, CHAN_MAX_SOCKS, false },
	{ "rcvbuf", offsetof(struct mtcp_conf, rcvbuf_size), BUF_MIN, BUF_MAX, false },
	{ "sndbuf", offsetof(struct mtcp_conf, sndbuf_size), BUF_MIN, BUF_MAX, false },
	{ "tcp_timeout", offsetof(struct mtcp_conf, tcp_timeout), -1, SECONDS_MAX, false },
	{ "max_num_buffers", offsetof(struct mtcp_conf, max_num_buffers), 1, INT32_MAX, true },
	{ "tcp_timewait", offsetof(struct mtcp_conf, tcp_timewait), -1, SECONDS_MAX, true },
};
/* mTCP's other names: the engine has ports, memory and threads of its own, see fastnet's options. */
static const char *const foreign[] = {
	"io", "port", "core_mask", "num_mem_ch", "stat_print", "multiprocess", "num_ip", "onvm_serv",
	"onvm_inst", "onvm_dest", "cc", "tcp_cc",
};

/* False when value is not a number in range. */
static bool take_number(struct mtcp_conf *conf, const struct key *k, const char *value)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(value, &end, 10);
	while (isspace((unsigned char)*end))
		end++;
	if (end == value || *end || errno || v < k->min || v > k->max)
		return false;
	*(int *)((char *)conf + k->at) = (int)v;
	return true;
}

static const struct key *key_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static bool is_foreign(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		if (!strcmp(foreign[i], name))
			return true;
	return false;
}

static __attribute__((format(printf, 2, 3))) void append(char *text, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + len, MTCP_CONF_TEXT - len, fmt, ap);
	va_end(ap);
}

struct reading {
	const char *path;
	int line;
	char *err, *warn;
	struct mtcp_conf conf; /* taken over when all of the file is good */
};

static int bad(const struct reading *r, const char *what, const char *text)
{
	snprintf(r->err, MTCP_CONF_TEXT, "%s:%d: %s: %.200s", r->path, r->line, what, text);
	return -EINVAL;
}

/* Cuts the comment and the blanks around what is left. */
static char *trim(char *line)
{
	char *end;

	line[strcspn(line, "#\r\n")] = 0;
	while (isspace((unsigned char)*line))
		line++;
	end = line + strlen(line);
	while (end > line && isspace((unsigned char)end[-1]))
		*--end = 0;
	return line;
}

static int take_line(struct reading *r, char *line)
{
	char *name = trim(line), *value;
	const struct key *k;

	if (!*name)
		return 0;
	value = name + strcspn(name, " \t=");
	if (!*value)
		return bad(r, "no value", name);
	*value++ = 0;
	value += strspn(value, " \t=");
	if (!*name || !*value)
		return bad(r, *name ? "no value" : "no name", *name ? name : value);
	k = key_of(name);
	if (k && !take_number(&r->conf, k, value)) {
		char range[64];

		snprintf(range, sizeof(range), "%s must be %d to %d, not", k->name, k->min, k->max);
		return bad(r, range, value);
	}
	if (k && !k->idle)
		return 0;
	if (!r->warn[0])
		append(r->warn, "%.200s: no effect here:", r->path);
	else
		append(r->warn, ",");
	append(r->warn, " %.40s (line %d%s)", name, r->line, k || is_foreign(name) ? "" : ", unknown");
	return 0;
}

int conf_read(const char *path, char err[MTCP_CONF_TEXT], char warn[MTCP_CONF_TEXT])
{
	struct reading r = { .path = path, .err = err, .warn = warn, .conf = mtcp_config };
	char line[LINE];
	FILE *f = fopen(path, "re");
	int ret = 0;

	err[0] = warn[0] = 0;
	if (!f) {
		ret = -errno;
		snprintf(err, MTCP_CONF_TEXT, "%.200s: %s", path, strerror(-ret));
		return ret;
	}
	while (ret == 0 && fgets(line, sizeof(line), f)) {
		r.line++;
		ret = take_line(&r, line);
	}
	fclose(f);
	if (ret < 0)
		return ret;
	/* mTCP's rule: one buffer's size stands for both. */
	if (!r.conf.sndbuf_size)
		r.conf.sndbuf_size = r.conf.rcvbuf_size;
	if (!r.conf.rcvbuf_size)
		r.conf.rcvbuf_size = r.conf.sndbuf_size;
	mtcp_config = r.conf;
	return 0;
}
