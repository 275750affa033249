/* Text of trace records. Recording is inline in the header. */
// SPDX-License-Identifier: MIT
#include "stack/base/trace.h"
#include "stack/base/strbuf.h"
#include "stack/base/util.h"

__thread struct trace_ring *trace_this_thread;

static const struct {
	const char *name, *fmt;
} kinds[TRACE_KIND_COUNT] = {
#define X(kind_name, text) { #kind_name, text },
	TRACE_KINDS(X)
#undef X
};

int trace_format(const struct trace_rec *r, char *buf, int size)
{
	struct strbuf s = strbuf_of(buf, size);

	strbuf_put(&s, "%u.%09u #%u ", (unsigned)(r->now_ns / NSEC_PER_SEC),
		   (unsigned)(r->now_ns % NSEC_PER_SEC), r->id);
	/* A core dump or a torn record may hold anything. */
	if (r->kind >= TRACE_KIND_COUNT) {
		strbuf_put(&s, "kind %u: %u %u %u", r->kind, r->a, r->b, r->c);
		return s.len;
	}
	strbuf_put(&s, "%s ", kinds[r->kind].name);
	/* A format may use fewer words than it is given. */
	strbuf_put(&s, kinds[r->kind].fmt, r->a, r->b, r->c);
	return s.len;
}
