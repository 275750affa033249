/* The end of a process that found its own bug: condition, place, last trace records, abort. */
// SPDX-License-Identifier: MIT
#include "stack/base/bug.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "stack/base/strbuf.h"
#include "stack/base/sys.h"
#include "stack/base/trace.h"
#include "stack/base/util.h"

enum { TRACE_TAIL = 16 };

static void put_line(const struct strbuf *s)
{
	/* Not write(3): in a program under the shim that name is the shim's own. */
	sys_write(STDERR_FILENO, s->p, (size_t)s->len);
}

static void put_trace_tail(const struct trace_ring *t)
{
	uint64_t n = min_u64(t->next, TRACE_TAIL);
	char line[256], text[200];

	for (uint64_t i = t->next - n; i < t->next; i++) {
		struct strbuf s = strbuf_of(line, sizeof(line));

		trace_format(&t->rec[i % TRACE_RECORDS], text, sizeof(text));
		strbuf_put(&s, "  %s\n", text);
		put_line(&s);
	}
}

void bug_abort(const char *what, const char *file, int line)
{
	char text[512];
	struct strbuf s = strbuf_of(text, sizeof(text));

	strbuf_put(&s, "%s: bug at %s:%d: %s\n", program_invocation_short_name, file, line, what);
	put_line(&s);
	if (trace_this_thread)
		put_trace_tail(trace_this_thread);
	abort();
}
