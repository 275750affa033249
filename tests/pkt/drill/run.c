/* The events of a script, one after the other. */
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/pkt/drill/assert.h"
#include "tests/pkt/drill/calls.h"
#include "tests/pkt/drill/flow.h"
#include "tests/pkt/drill/run.h"

enum { SHOW = 512 };

static const struct world *world;
static const struct world_conf *conf;
static uint64_t base_ns;	    /* what + counts from */
static const struct event *pending; /* a call that has not returned */
static uint64_t pending_end_ns, pending_tolerance_ns, pending_late_ns;
static int info_fd = -1; /* the socket that assertions are about */

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static uint64_t tolerance(const struct event *e)
{
	return e->when.tolerance_ns ? e->when.tolerance_ns : world->tolerance_ns;
}

/* How late what is due at t may be: the kernel's timers are the coarser the longer they run. */
static uint64_t lateness(const struct event *e, uint64_t t)
{
	uint64_t slack = tolerance(e);

	return t > base_ns && world->timers_coarsen ? slack + (t - base_ns) / 8 : slack;
}

/* ---- packets that leave ---- */
static void parse_frame(const struct frame *f, struct pkt *k, int line)
{
	const char *wrong = packet_parse(k, f->b, f->len);

	if (wrong)
		script_fail(line, "at %.6f: a packet of %u bytes that is broken: %s",
			    seconds(f->time_ns), f->len, wrong);
}

static const struct pkt_opt *find_opt(const struct pkt *k, uint8_t kind)
{
	for (int i = 0; i < k->n_opts; i++) {
		if (k->opt[i].kind == kind)
			return &k->opt[i];
	}
	return NULL;
}

/* What is named must be there, and nothing else; the order and the padding are the sender's. */
static const char *compare_options(const struct pkt *want, const struct pkt *got)
{
	int n = 0;

	for (int i = 0; i < want->n_opts; i++) {
		const struct pkt_opt *w = &want->opt[i], *g = find_opt(got, w->kind);

		if (w->kind == OPT_NOP || w->kind == OPT_EOL)
			continue;
		n++;
		if (!g)
			return "a TCP option is missing";
		if (w->kind == OPT_TS && !w->any_ecr && w->v[1] != g->v[1])
			return "the timestamp echoed";
		if (w->kind == OPT_SACK &&
		    (w->n != g->n || memcmp(w->v, g->v, sizeof(w->v[0]) * 2 * w->n) != 0))
			return "the SACK blocks";
		if ((w->kind == OPT_MSS || w->kind == OPT_WSCALE) && !w->any && w->v[0] != g->v[0])
			return w->kind == OPT_MSS ? "the MSS" : "the window scale";
		if (w->kind == OPT_FO && !w->any &&
		    (w->n != g->n || memcmp(w->bytes, g->bytes, w->n) != 0))
			return "the Fast Open cookie";
		if (w->kind == OPT_FO && w->any && g->n == 0)
			return "a Fast Open cookie is missing";
	}
	return n == got->n_opts ? NULL : "there are other TCP options";
}

static const char *compare_tcp(const struct pkt *want, const struct pkt *got)
{
	/* Linux pushes with each packet that segmentation offload has cut. */
	if (want->flags != (got->flags & ~(world->pushes_more && got->len ? PKT_P & ~want->flags : 0)))
		return "the flags";
	if (want->seq != got->seq || want->len != got->len)
		return "the sequence numbers";
	if (want->has_ack && want->ack != got->ack)
		return "the acknowledgement";
	if (want->has_win && want->win != got->win)
		return "the window";
	if (want->urg != got->urg)
		return "the urgent pointer";
	return want->any_opts ? NULL : compare_options(want, got);
}

static const char *compare(const struct pkt *want, const struct pkt *got)
{
	if (want->proto != got->proto)
		return "the protocol";
	if (want->flow != got->flow)
		return "the connection";
	if (want->has_ecn && want->ecn != got->ecn)
		return "the ECN bits";
	if (want->has_ttl && want->ttl != got->ttl)
		return "the TTL";
	if (want->has_df && want->df != got->df)
		return "the don't-fragment bit";
	if (want->proto == PKT_TCP)
		return compare_tcp(want, got);
	if (want->proto == PKT_UDP)
		return want->len == got->len ? NULL : "the length";
	return want->icmp_type == got->icmp_type && want->icmp_code == got->icmp_code
		       ? NULL
		       : "the ICMP message";
}

/* The bounds of e's time. */
static void bounds(const struct event *e, uint64_t *lo, uint64_t *hi)
{
	uint64_t from = e->when.kind == WHEN_AFTER ? base_ns : 0;

	*lo = from + e->when.lo_ns;
	*hi = from + e->when.hi_ns;
	if (e->when.kind == WHEN_ANY) {
		*lo = 0;
		*hi = base_ns + 200 * NSEC_PER_SEC;
	}
}

static void do_out(const struct event *e)
{
	uint64_t lo, hi, slack = tolerance(e), late;
	char a[SHOW], b[SHOW];
	struct pkt wire, got;

	bounds(e, &lo, &hi);
	late = lateness(e, hi);
	struct frame *f = world->next(hi + late);
	if (!f)
		script_fail(e->line, "nothing was sent until %.6f, expected\n    > %s",
			    seconds(hi + late), packet_show(&e->pkt, a, sizeof(a)));
	parse_frame(f, &wire, e->line);
	got = flow_to_script(&wire, &e->pkt);
	const char *wrong = compare(&e->pkt, &got);
	if (!wrong)
		wrong = flow_check_data(&got);
	if (wrong)
		script_fail(e->line,
			    "another packet at %.6f: %s\n    expected > %s\n    got      > %s",
			    seconds(f->time_ns), wrong, packet_show(&e->pkt, a, sizeof(a)),
			    packet_show(&got, b, sizeof(b)));
	if (f->time_ns + slack < lo || f->time_ns > hi + late)
		script_fail(e->line, "at %.6f instead of %.6f%s%.6f (%+.6f)\n    > %s",
			    seconds(f->time_ns), seconds(lo), lo == hi ? ", that is " : " to ",
			    seconds(hi), seconds(f->time_ns) - seconds(f->time_ns < lo ? lo : hi),
			    packet_show(&got, b, sizeof(b)));
	flow_note(&e->pkt, &wire);
	base_ns = lo == hi && f->time_ns <= hi + slack ? lo : f->time_ns;
}

static void quiet(int line, const char *when)
{
	struct frame *f = world->next(world->now_ns());
	struct pkt wire, got;
	char a[SHOW];

	if (!f)
		return;
	parse_frame(f, &wire, line);
	got = flow_to_script(&wire, NULL);
	script_fail(line, "%s: sent at %.6f, unexpected\n    > %s", when, seconds(f->time_ns),
		    packet_show(&got, a, sizeof(a)));
}

/* ---- calls ---- */
static void take_result(const struct event *e, uint64_t lo, uint64_t hi)
{
	struct call_rep rep;
	uint64_t at_ns;

	if (!world->result(&rep, &at_ns, hi))
		script_fail(e->line, "%s() blocks, at %.6f still", e->call.name->name, seconds(hi));
	calls_check(&e->call, &rep, e->line);
	if (at_ns < lo)
		script_fail(e->line, "%s() returned at %.6f, %.6f expected", e->call.name->name,
			    seconds(at_ns), seconds(lo));
}

static void finish_pending(void)
{
	if (!pending)
		return;
	uint64_t lo = pending_end_ns - min_u64(pending_end_ns, pending_tolerance_ns);

	take_result(pending, lo, pending_end_ns + pending_late_ns);
	pending = NULL;
}

static void do_call(const struct event *e)
{
	struct call_req q = calls_request(&e->call, e->line);

	finish_pending();
	if (e->call.name->op == CALL_accept || e->call.name->op == CALL_accept4)
		info_fd = (int)e->call.ret;
	else if (q.fd >= 0)
		info_fd = q.fd;
	world->call(&q);
	if (e->when.blocks) {
		pending = e;
		pending_tolerance_ns = tolerance(e);
		pending_end_ns = (e->when.end_kind == END_AFTER ? base_ns : 0) + e->when.end_ns;
		pending_late_ns = lateness(e, pending_end_ns);
		return;
	}
	take_result(e, 0, world->now_ns() + world->patience_ns);
}

static void do_assert(const struct event *e)
{
	struct call_req q = {.op = CALL_tcp_info, .fd = info_fd, .want_fd = -1};
	struct call_rep rep;
	uint64_t at_ns;

	finish_pending();
	world->call(&q);
	if (!world->result(&rep, &at_ns, world->now_ns() + world->patience_ns) || rep.ret < 0)
		script_fail(e->line, "no TCP_INFO: %s", errno_text(rep.err));
	assert_check(e->text, rep.data, rep.len, e->line);
}

/* ---- packets that arrive ---- */
static void do_in(const struct event *e)
{
	static uint8_t b[PACKET_MAX];
	uint64_t pos;
	struct pkt k = flow_to_wire(&e->pkt, &pos);

	world->gather(k.more);
	packet_give(&k, b, packet_write(&k, pos, b), world->inject);
}

static void run_event(const struct event *e)
{
	uint64_t lo, hi;

	if (e->kind == EVENT_OUT) {
		do_out(e);
		return;
	}
	bounds(e, &lo, &hi);
	base_ns = lo;
	world->until(lo);
	switch (e->kind) {
	case EVENT_IN:
		do_in(e);
		break;
	case EVENT_CALL:
		do_call(e);
		break;
	case EVENT_ASSERT:
		do_assert(e);
		break;
	default:
		quiet(e->line, "quiet was expected");
	}
}

void run_script(const struct script *s, const struct world *in, const struct world_conf *c)
{
	world = in;
	conf = c;
	flow_init(s->remote_isn);
	world->start(s, conf);
	for (uint32_t i = 0; i < s->n; i++) {
		if (conf->verbose)
			fprintf(stderr, "%.6f %s:%d\n", seconds(world->now_ns()), s->path,
				s->event[i].line);
		run_event(&s->event[i]);
	}
	finish_pending();
	quiet(s->n ? s->event[s->n - 1].line : 0, "after the last line");
	world->stop();
}
