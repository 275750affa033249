/* The invariants of struct tcp_conn. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/invariant.h"
#include <string.h>

#define MUST(cond) \
	do { \
		if (!(cond)) \
			return #cond; \
	} while (0)

/* Sorted, disjoint, and the sums are those of the list. */
static const char *runs_wrong(const struct tcp_runs *l)
{
	uint32_t n = 0, bytes[TCP_RUN_STATES] = { 0 };

	for (const struct tcp_run *r = l->first; r; r = r->next, n++) {
		MUST(r->state < TCP_RUN_STATES && seq_lt(r->start, r->end));
		MUST(r->next ? seq_le(r->end, r->next->start) : r == l->last);
		bytes[r->state] += seq_diff(r->end, r->start);
	}
	MUST(n == l->n && memcmp(bytes, l->bytes, sizeof(bytes)) == 0);
	return NULL;
}

static const char *reass_wrong(const struct tcp_conn *c)
{
	const struct tcp_runs *l = &c->reass;

	if (!tcp_runs_empty(l)) {
		MUST(seq_gt(l->first->start, c->rcv_nxt));
		MUST(seq_le(l->last->end, c->rcv_adv));
		MUST(l->bytes[TCP_RUN_HELD] <= seq_diff(l->last->end, c->rcv_nxt));
	}
	for (uint32_t i = 0; i < c->n_sack; i++) { /* each block is a whole run */
		const struct tcp_run *r = tcp_runs_find(l, c->sack_recent[i].start);

		MUST(r && seq_eq(r->start, c->sack_recent[i].start));
		MUST(seq_eq(r->end, c->sack_recent[i].end));
	}
	return runs_wrong(l);
}

/* The scoreboard says something about what is out, and nothing where header prediction works. */
static const char *board_wrong(const struct tcp_conn *c)
{
	const struct tcp_runs *l = &c->board;
	uint32_t out = seq_diff(c->snd_nxt, c->snd_una);

	if (c->recovery == TCPR_OPEN) {
		MUST(tcp_runs_empty(l) && !c->dupacks && !c->reno_held && !c->tlp_out);
		MUST(!c->prr && !c->frto);
	}
	if (!tcp_runs_empty(l)) {
		MUST(seq_ge(l->first->start, c->snd_una) && seq_le(l->last->end, c->snd_nxt));
		MUST(c->sack_ok || l->bytes[TCP_RUN_HELD] == 0);
	}
	MUST(c->reno_held <= out && (!c->sack_ok || !c->reno_held));
	MUST(tcp_pipe(c) <= out);
	if (tcp_lost(c)) /* somebody repairs it, and finds it */
		MUST(c->recovery >= TCPR_FAST);
	for (const struct tcp_run *r = l->first; r; r = r->next) {
		if (r->state == TCP_RUN_LOST || r->state == TCP_RUN_LOST_AGAIN)
			MUST(seq_ge(r->start, c->lost_from));
		if (r->state == TCP_RUN_AGAIN)
			MUST(seq_le(r->end, c->again_to));
	}
	return runs_wrong(l);
}

static const char *space_wrong(const struct tcp_conn *c)
{
	MUST(c->node.pprev != NULL);
	MUST(seq_le(c->snd_una, c->snd_nxt));
	MUST(seq_diff(c->snd_nxt, c->iss) <= seq_diff(c->snd_end, c->iss) + c->fin_queued);
	MUST(!(c->fin_acked && !c->fin_sent) && !(c->fin_sent && !c->fin_queued));
	const char *wrong = board_wrong(c);
	if (wrong)
		return wrong;
	if (!c->syn_rcvd)
		return NULL;
	MUST(seq_le(c->rcv_nxt, seq_add(c->rcv_adv, 1)));
	MUST(seq_le(c->rcv_acked, c->rcv_nxt));
	MUST((int32_t)(tcp_rx_max(c) - tcp_rx_tail(c)) >= 0);
	wrong = reass_wrong(c);
	if (wrong)
		return wrong;
	MUST(tcp_rx_tail(c) - c->rx_head <= max_u32(c->opts.rcvbuf, UINT16_MAX));
	MUST((c->cwnd >= c->mss && c->cwnd <= 1u << 30) || !c->syn_acked);
	return NULL;
}

const char *conn_wrong(struct tcp_conn *c)
{
	if (c->events)
		MUST(!list_empty(&c->touch_link));
	if (tcp_is_closed(c)) {
		MUST(!c->timer.armed && !c->node.pprev && list_empty(&c->pend_link));
		MUST(!c->delack_ns && list_empty(&c->delack_link));
		return NULL;
	}
	MUST(!c->delack_ns == list_empty(&c->delack_link));
	for (int d = 0; d < TCPD_COUNT; d++) {
		if (c->deadline_ns[d])
			MUST(c->timer.armed && c->timer.due_ns <= c->deadline_ns[d]);
	}
	if (list_empty(&c->pend_link)) {
		bool waits = !seq_eq(c->snd_una, c->snd_nxt) || seq_lt(c->snd_nxt, c->snd_end) ||
			     (c->fin_queued && !c->fin_sent);

		waits &= !c->fo_held; /* for the application, not for the peer */
		/* whatever is owed to the peer has a timer behind it */
		if (waits)
			MUST(c->deadline_ns[TCPD_RTX] != 0);
		MUST(!c->ack_now);
		if (c->ack_delayed)
			MUST(c->delack_ns != 0);
	}
	return space_wrong(c);
}
