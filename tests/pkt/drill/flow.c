/* See flow.h. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "tests/pkt/drill/flow.h"

static struct flow flows[FLOWS];

void flow_init(uint32_t remote_isn)
{
	memset(flows, 0, sizeof(flows));
	for (int i = 1; i < FLOWS; i++) {
		flows[i].irs = remote_isn;
		flows[i].lport = DRILL_PORT;
		flows[i].rport = (uint16_t)(PEER_PORT + i);
		flows[i].renew = true;
	}
}

void flow_renew(void)
{
	for (int i = 1; i < FLOWS; i++)
		flows[i].renew = true;
}

/* The stream position of a segment's first byte: the SYN is not one of them. */
static uint64_t position(const struct pkt *k)
{
	return k->flags & PKT_S ? k->seq : k->seq - 1;
}

static uint32_t stamp_to_wire(const struct flow *f, uint32_t script)
{
	uint32_t n = min_u32(f->n_stamps, FLOW_STAMPS);

	if (script == 0 || n == 0)
		return script;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = (f->n_stamps - 1 - i) % FLOW_STAMPS;

		if (f->stamp[at].script == script)
			return f->stamp[at].wire;
	}
	return script - f->stamp[0].script + f->stamp[0].wire;
}

struct pkt flow_to_wire(const struct pkt *k, uint64_t *pos)
{
	struct flow *f = &flows[k->flow];
	struct pkt w = *k;

	f->known = true;
	w.sport = f->rport;
	w.dport = f->lport;
	*pos = position(k);
	if (k->proto == PKT_UDP) {
		*pos = 0;
		return w;
	}
	if (k->proto == PKT_ICMP) { /* it quotes what we have sent */
		w.sport = f->lport;
		w.dport = f->rport;
		w.seq += f->iss;
		return w;
	}
	if ((k->flags & (PKT_S | PKT_A)) == PKT_S)
		f->renew = true;
	w.seq += f->irs;
	if (k->flags & PKT_A)
		w.ack += f->iss;
	for (int i = 0; i < w.n_opts; i++) {
		struct pkt_opt *o = &w.opt[i];

		for (int b = 0; o->kind == OPT_SACK && b < 2 * o->n; b++)
			o->v[b] += f->iss;
		if (o->kind == OPT_TS)
			o->v[1] = stamp_to_wire(f, o->v[1]);
		if (o->kind == OPT_FO && o->any) {
			memcpy(o->bytes, f->cookie, f->n_cookie);
			o->n = f->n_cookie;
		}
	}
	return w;
}

static uint8_t find(const struct pkt *k)
{
	for (uint8_t i = 1; i < FLOWS; i++) {
		if (flows[i].known && flows[i].lport == k->sport && flows[i].rport == k->dport)
			return i;
	}
	return 0;
}

struct pkt flow_to_script(const struct pkt *k, const struct pkt *want)
{
	struct pkt s = *k;

	if (k->proto == PKT_ICMP) {
		s.flow = 1;
		return s;
	}
	s.flow = find(k);
	bool begins = k->proto == PKT_UDP || (k->flags & PKT_S);
	if (!s.flow && want && begins && flows[want->flow].renew) {
		s.flow = want->flow;
		flows[s.flow].known = true;
		flows[s.flow].lport = k->sport;
		flows[s.flow].rport = k->dport;
	}
	if (!s.flow || k->proto == PKT_UDP)
		return s;
	struct flow *f = &flows[s.flow];
	if ((k->flags & PKT_S) && f->renew && want) {
		f->renew = false;
		f->iss = k->seq - want->seq;
		f->n_stamps = 0;
	}
	s.seq -= f->iss;
	if (k->flags & PKT_A)
		s.ack -= f->irs;
	for (int i = 0; i < s.n_opts; i++) {
		struct pkt_opt *o = &s.opt[i];

		for (int b = 0; o->kind == OPT_SACK && b < 2 * o->n; b++)
			o->v[b] -= f->irs;
		if (o->kind == OPT_FO && o->n) {
			memcpy(f->cookie, o->bytes, o->n);
			f->n_cookie = o->n;
		}
	}
	return s;
}

static const struct pkt_opt *stamp_of(const struct pkt *k)
{
	for (int i = 0; i < k->n_opts; i++) {
		if (k->opt[i].kind == OPT_TS)
			return &k->opt[i];
	}
	return NULL;
}

void flow_note(const struct pkt *want, const struct pkt *wire)
{
	const struct pkt_opt *w = stamp_of(want), *got = stamp_of(wire);
	struct flow *f = &flows[want->flow];

	if (!w || !got || w->any)
		return;
	f->stamp[f->n_stamps % FLOW_STAMPS].script = w->v[0];
	f->stamp[f->n_stamps++ % FLOW_STAMPS].wire = got->v[0];
}

const char *flow_check_data(const struct pkt *k)
{
	uint64_t pos = k->proto == PKT_UDP ? 0 : position(k);

	if (k->proto == PKT_ICMP)
		return NULL;
	for (uint32_t i = 0; i < k->len; i++) {
		if (k->data[i] != call_byte(pos + i))
			return "the payload is not what was written";
	}
	return NULL;
}
