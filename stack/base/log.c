/* Log lines to stderr, one write(2) each, so that lines of several threads and processes do not
 * mix. Reads the clock itself, unlike the rest of base/: the rate limit is about real time. */
// SPDX-License-Identifier: MIT
#include "stack/base/log.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "stack/base/strbuf.h"
#include "stack/base/sys.h"
#include "stack/base/util.h"

enum { LOG_LINES_PER_SECOND = 20, LOG_LINE_MAX = 1024 };

static const char *const module_names[LOG_MODULE_COUNT] = {
#define X(name) #name,
	LOG_MODULES(X)
#undef X
};
static const char *const level_names[] = { "error", "warn", "info", "debug" };

/* Written by log_configure(), read by every thread; each byte is independent of the others. */
static uint8_t levels[LOG_MODULE_COUNT] = {
#define X(name) [LOG_##name] = LOG_LVL_WARN,
	LOG_MODULES(X)
#undef X
};

static int find_name(const char *const *names, size_t count, const char *p, size_t n)
{
	for (size_t i = 0; i < count; i++) {
		if (strlen(names[i]) == n && memcmp(names[i], p, n) == 0)
			return (int)i;
	}
	return -1;
}

/* One item of the list: "level" for all modules, or "module=level". */
static int configure_item(uint8_t *to, const char *p, size_t n)
{
	const char *eq = memchr(p, '=', n);
	const char *name = eq ? eq + 1 : p;
	int level = find_name(level_names, ARRAY_LEN(level_names), name, (size_t)(p + n - name));

	if (level < 0)
		return -EINVAL;
	if (!eq) {
		memset(to, level, LOG_MODULE_COUNT);
		return 0;
	}
	int module = find_name(module_names, LOG_MODULE_COUNT, p, (size_t)(eq - p));
	if (module < 0)
		return -EINVAL;
	to[module] = (uint8_t)level;
	return 0;
}

int log_configure(const char *spec)
{
	uint8_t next[LOG_MODULE_COUNT];

	for (int i = 0; i < LOG_MODULE_COUNT; i++)
		next[i] = __atomic_load_n(&levels[i], __ATOMIC_RELAXED);
	for (const char *p = spec;;) {
		size_t n = strcspn(p, ",");
		int err = configure_item(next, p, n);

		if (err)
			return err;
		if (!p[n])
			break;
		p += n + 1;
	}
	for (int i = 0; i < LOG_MODULE_COUNT; i++)
		__atomic_store_n(&levels[i], next[i], __ATOMIC_RELAXED);
	return 0;
}

bool log_enabled(enum log_module m, enum log_level l)
{
	return l <= __atomic_load_n(&levels[m], __ATOMIC_RELAXED);
}

/* True when the line may be written; *suppressed is what was held back in earlier seconds. Threads
 * that race here at the turn of a second may let a few lines more through, never lose the limit. */
static bool within_rate(struct log_site *site, uint32_t *suppressed)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	uint64_t now = (uint64_t)ts.tv_sec + 1; /* 0 is a site that has not logged */
	*suppressed = 0;
	if (__atomic_load_n(&site->second, __ATOMIC_RELAXED) != now) {
		__atomic_store_n(&site->second, now, __ATOMIC_RELAXED);
		__atomic_store_n(&site->count, 0, __ATOMIC_RELAXED);
		*suppressed = __atomic_exchange_n(&site->suppressed, 0, __ATOMIC_RELAXED);
	}
	if (__atomic_add_fetch(&site->count, 1, __ATOMIC_RELAXED) <= LOG_LINES_PER_SECOND)
		return true;
	__atomic_add_fetch(&site->suppressed, 1, __ATOMIC_RELAXED);
	return false;
}

/* Names and paths come from applications: a newline in one must not forge a second line. */
static void clean(char *p, int n)
{
	for (int i = 0; i < n; i++) {
		if ((unsigned char)p[i] < ' ' || p[i] == 0x7f)
			p[i] = '?';
	}
}

void log_line(enum log_module m, enum log_level l, struct log_site *site, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	uint32_t suppressed;
	int saved = errno;

	if (!within_rate(site, &suppressed))
		return;
	/* One byte is kept back for the newline. */
	struct strbuf s = strbuf_of(line, sizeof(line) - 1);
	strbuf_put(&s, "%s: %s %s: ", program_invocation_short_name, level_names[l],
		   module_names[m]);
	va_list ap;
	va_start(ap, fmt);
	strbuf_vput(&s, fmt, ap);
	va_end(ap);
	if (suppressed)
		strbuf_put(&s, " suppressed=%u", suppressed);
	clean(line, s.len);
	line[s.len++] = '\n';
	/* Not write(3): in a program under the shim that name is the shim's own. With stderr closed
	 * the line is lost: there is no other place for it. */
	sys_write(STDERR_FILENO, line, (size_t)s.len);
	errno = saved;
}
