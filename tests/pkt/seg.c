/* Segments of packet tests: literals in, captured ones compared and shown as tcpdump would. */
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include "tests/pkt/rig.h"

enum { PEER_SALT = 77, SHOW = 256 };

static struct tcp_flow flow_of(const struct rig *r, const struct tseg *t)
{
	struct tcp_flow f = r->flow;

	if (t->rport)
		f.remote.port = t->rport;
	return f;
}

static uint16_t field_of(int v, uint16_t dflt)
{
	return v == ZERO ? 0 : v ? (uint16_t)v : dflt;
}

static void put_blocks(struct tcp_seg *seg, const struct tseg *t, uint32_t isn)
{
	seg->n_sack = 0;
	for (int i = 0; i < TCP_SACK_MAX && t->sack[i][1]; i++)
		seg->sack[seg->n_sack++] = (struct tcp_sack_block){
			seq_of(isn + t->sack[i][0]), seq_of(isn + t->sack[i][1]) };
}

/* As a port that has joined segments of the peer's MSS gives it. */
static bool in_pieces(struct rig *r, const struct tcp_flow *f, const struct tcp_seg *seg, const uint8_t *p,
		      uint32_t size)
{
	struct tcp_piece piece[64];
	uint32_t n = 0;

	for (uint32_t off = 0; off < seg->len; off += size) {
		ck_assert_uint_lt(n, ARRAY_LEN(piece));
		piece[n++] = (struct tcp_piece){ p + off, min_u32(size, seg->len - off) };
	}
	return tcp_input_pieces(&r->env, f, seg, piece, n, r->opt.mss, r->now_ns);
}

void rig_in(struct rig *r, const struct tseg *t, bool flush)
{
	struct tcp_flow f = flow_of(r, t);
	bool syn = t->flags & TCPF_SYN;
	bool ts = !t->no_ts && (syn ? t->ts : r->opt.ts);
	struct tcp_seg seg = {
		.sport = f.remote.port,
		.dport = f.local.port,
		.seq = seq_of(r->irs + t->seq),
		.flags = t->flags,
		.wnd = field_of(t->wnd, r->wnd),
		.urg = t->urg,
		.ecn = t->ecn,
		.has_mss = t->mss != 0,
		.mss = t->mss,
		.has_wscale = t->ws != 0,
		.wscale = (uint8_t)(t->ws ? t->ws - 1 : 0),
		.has_ts = ts,
		.sack_ok = syn && (t->sack_ok || r->opt.sack),
		.has_fo = t->fo != 0,
		.fo.len = (uint8_t)(t->fo ? t->fo - 1 : 0),
		.len = t->len,
	};

	if (t->cookie)
		memcpy(seg.fo.b, t->cookie, seg.fo.len);
	put_blocks(&seg, t, r->iss);
	uint8_t *p = malloc(t->len + 1);

	if (t->flags & TCPF_ACK)
		seg.ack = seq_of(r->iss + t->ack);
	if (ts) {
		uint32_t clock = (uint32_t)(r->now_ns / NSEC_PER_MSEC) + 7777;
		seg.tsval = t->tsval ? t->tsval : r->peer_tsval ? r->peer_tsval : clock;
		seg.tsecr = t->tsecr ? t->tsecr : t->flags & TCPF_ACK ? r->last_tsval : 0;
	}
	for (uint32_t i = 0; i < t->len; i++)
		p[i] = rig_byte(t->seq - !syn + i, PEER_SALT);
	if (!t->piece || !in_pieces(r, &f, &seg, p, t->piece))
		tcp_input(&r->env, &f, &seg, p, r->now_ns);
	free(p);
	if (flush)
		rig_after_us(r, 0);
}

/* The literal as a segment on the wire; fields that are not compared come from got. */
static struct tcp_seg wanted(const struct rig *r, const struct tseg *t, const struct tcp_seg *got)
{
	struct tcp_seg w = *got;
	bool lone_rst = t->flags == (TCPF_RST | TCPF_ACK) && t->seq == 0;

	/* a RST that answers a segment without ACK has the sequence number 0 itself */
	w.seq = lone_rst ? seq_of(0) : seq_of(r->iss + t->seq);
	w.ack = t->flags & TCPF_ACK ? seq_of(r->irs + t->ack) : got->ack;
	w.flags = (uint8_t)(t->flags | (got->flags & TCPF_PSH)); /* PSH is compared only if wanted */
	w.len = t->len;
	w.ecn = t->ecn;
	w.wnd = field_of(t->wnd, got->wnd);
	w.urg = t->flags & TCPF_URG ? t->urg : 0;
	if (t->mss) {
		w.has_mss = true;
		w.mss = t->mss;
	}
	if (t->ws) {
		w.has_wscale = t->ws != ZERO;
		w.wscale = (uint8_t)(t->ws == ZERO ? 0 : t->ws - 1);
	}
	if (t->ts || t->no_ts)
		w.has_ts = t->ts;
	if (r->opt.sack && !(t->flags & TCPF_RST)) {
		put_blocks(&w, t, r->irs);
		w.sack_ok = t->sack_ok || (t->flags & TCPF_SYN);
	}
	w.has_fo = t->fo != 0;
	w.fo.len = (uint8_t)(t->fo ? t->fo - 1 : 0);
	if (t->cookie)
		memcpy(w.fo.b, t->cookie, w.fo.len);
	if (t->tsval)
		w.tsval = t->tsval;
	if (t->tsecr)
		w.tsecr = t->tsecr;
	return w;
}

/* In relative numbers, as the test has them. */
static const char *show(const struct rig *r, const struct tcp_seg *seg, char *buf)
{
	struct tcp_seg s = *seg;

	s.seq = seq_sub(s.seq, r->iss);
	s.ack = seq_sub(s.ack, r->irs);
	for (int i = 0; i < s.n_sack; i++)
		s.sack[i] = (struct tcp_sack_block){ seq_sub(s.sack[i].start, r->irs),
						     seq_sub(s.sack[i].end, r->irs) };
	tcp_seg_show(&s, buf, SHOW);
	return buf;
}

static bool same(const struct tcp_seg *a, const struct tcp_seg *b)
{
	return a->seq.v == b->seq.v && a->ack.v == b->ack.v && a->flags == b->flags &&
	       a->len == b->len && a->wnd == b->wnd && a->urg == b->urg && a->has_mss == b->has_mss &&
	       a->mss == b->mss && a->has_wscale == b->has_wscale && a->wscale == b->wscale &&
	       a->has_ts == b->has_ts && a->tsval == b->tsval && a->tsecr == b->tsecr &&
	       a->has_fo == b->has_fo && a->fo.len == b->fo.len &&
	       memcmp(a->fo.b, b->fo.b, a->fo.len) == 0 && a->sack_ok == b->sack_ok &&
	       a->ecn == b->ecn && a->n_sack == b->n_sack &&
	       memcmp(a->sack, b->sack, a->n_sack * sizeof(a->sack[0])) == 0;
}

void rig_expect(struct rig *r, const struct tseg *t, const char *file, int line)
{
	struct tcp_seg none = { 0 };
	char a[SHOW], b[SHOW];

	if (r->next_out == r->n_out) {
		struct tcp_seg w = wanted(r, t, &none);
		ck_abort_msg("%s:%d: nothing was sent, expected\n   %s", file, line,
			     show(r, &w, a));
	}
	const struct rig_out *o = &r->out[r->next_out++];
	struct tcp_flow f = flow_of(r, t);
	struct tcp_seg w = wanted(r, t, &o->seg);
	if (!same(&o->seg, &w) || !tcp_flow_eq(&o->flow, &f))
		ck_abort_msg("%s:%d: sent to port %u\n   %s\nexpected to port %u\n   %s", file, line,
			     o->flow.remote.port, show(r, &o->seg, a), f.remote.port,
			     show(r, &w, b));
	if (r->next_out == r->n_out)
		r->next_out = r->n_out = 0;
}

void rig_quiet(struct rig *r, const char *file, int line)
{
	char a[SHOW];

	if (r->next_out != r->n_out)
		ck_abort_msg("%s:%d: expected silence, but sent (%u in all)\n   %s", file, line,
			     r->n_out - r->next_out, show(r, &r->out[r->next_out].seg, a));
}

uint32_t rig_drain(struct rig *r)
{
	uint32_t n = r->n_out - r->next_out;

	r->next_out = r->n_out = 0;
	return n;
}
