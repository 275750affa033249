/* Parses and writes TCP headers. What a segment means is tcp/'s job. */
// SPDX-License-Identifier: MIT
#include "stack/wire/tcp.h"
#include <errno.h>
#include <stddef.h>
#include "stack/base/strbuf.h"
#include "stack/base/util.h"
#include "stack/wire/tcp_opts.h"

_Static_assert(offsetof(struct tcp_hdr, off) == 12, "RFC 9293 3.1");
_Static_assert(offsetof(struct tcp_hdr, wnd) == 14, "RFC 9293 3.1");

enum {
	OPTS_MAX = TCP_HDR_MAX - (int)sizeof(struct tcp_hdr),
	MSS_DATA = 2,
	WSCALE_DATA = 1,
	TS_DATA = 8,
	SACK_BLOCK = 8,
	WSCALE_MAX = 14, /* RFC 7323 2.3 */
	FO_MIN = 4,	 /* RFC 7413 4.1.1 */
};

static void parse_sack(struct tcp_seg *s, const struct tcp_opt *o)
{
	s->n_sack = 0;
	for (uint32_t at = 0; at + SACK_BLOCK <= o->len && s->n_sack < TCP_SACK_MAX;
	     at += SACK_BLOCK) {
		s->sack[s->n_sack++] = (struct tcp_sack_block){
			.start = seq_of(load_be32(o->data + at)),
			.end = seq_of(load_be32(o->data + at + 4)),
		};
	}
}

/* One option; an unknown kind, or a known one of another length than its RFC gives, is skipped. */
static void parse_option(struct tcp_seg *s, const struct tcp_opt *o)
{
	bool syn = s->flags & TCPF_SYN;

	switch (o->kind) {
	case TCPO_MSS: /* RFC 9293 3.7.1: SYN only, as the next two */
		if (syn && o->len == MSS_DATA) {
			s->has_mss = true;
			s->mss = load_be16(o->data);
		}
		break;
	case TCPO_WSCALE: /* RFC 7323 2.3: more than 14 is taken as 14 */
		if (syn && o->len == WSCALE_DATA) {
			s->has_wscale = true;
			s->wscale = (uint8_t)min_u32(o->data[0], WSCALE_MAX);
		}
		break;
	case TCPO_SACK_OK: /* RFC 2018 2 */
		if (syn && o->len == 0)
			s->sack_ok = true;
		break;
	case TCPO_SACK: /* RFC 2018 3 */
		if (o->len > 0 && o->len % SACK_BLOCK == 0)
			parse_sack(s, o);
		break;
	case TCPO_FASTOPEN: /* RFC 7413 4.1.1 */
		if (syn && o->len % 2 == 0 && o->len <= TCP_FO_MAX && (o->len == 0 || o->len >= FO_MIN)) {
			s->has_fo = true;
			s->fo.len = o->len;
			memcpy(s->fo.b, o->data, o->len);
		}
		break;
	case TCPO_TS: /* RFC 7323 3.2 */
		if (o->len == TS_DATA) {
			s->has_ts = true;
			s->tsval = load_be32(o->data);
			s->tsecr = load_be32(o->data + 4);
		}
		break;
	}
}

/* Does the option list end without an illegal length? */
static bool options_ok(const uint8_t *p, uint32_t n)
{
	struct tcp_opts_it it = tcp_opts_begin(p, n);
	struct tcp_opt opt;

	while (tcp_opts_next(&it, &opt))
		;
	return !it.bad;
}

static void parse_options(struct tcp_seg *s, const uint8_t *p, uint32_t n)
{
	struct tcp_opts_it it = tcp_opts_begin(p, n);
	struct tcp_opt opt;

	while (tcp_opts_next(&it, &opt))
		parse_option(s, &opt);
}

int tcp_seg_parse(struct tcp_seg *s, const void *p, uint32_t n)
{
	const uint8_t *b = p, *opts = b + sizeof(struct tcp_hdr);

	if (n < sizeof(struct tcp_hdr))
		return -EINVAL;
	int plain = tcp_seg_parse_plain(s, p, n);
	if (plain > 0)
		return plain;
	uint32_t hdr_len = (b[12] >> 4) * 4u;
	if (hdr_len < sizeof(struct tcp_hdr) || hdr_len > n)
		return -EINVAL;
	uint32_t opts_len = hdr_len - (uint32_t)sizeof(struct tcp_hdr);
	if (!options_ok(opts, opts_len))
		return -EINVAL;
	tcp_seg_fixed(s, b, n - hdr_len);
	parse_options(s, opts, opts_len);
	return (int)hdr_len;
}

/* Options without the SACK blocks, padded: each of the three groups takes whole words. */
static uint32_t fixed_opts_len(const struct tcp_seg *s)
{
	uint32_t n = 0;

	if (s->has_mss)
		n += 4;
	if (s->has_ts)
		n += 12; /* SACK-permitted takes the place of two NOPs */
	else if (s->sack_ok)
		n += 4;
	if (s->has_wscale)
		n += 4;
	if (s->has_fo)
		n += (2u + s->fo.len + 3) / 4 * 4;
	return n;
}

/* How many SACK blocks there is room for: RFC 2018 3, four, or three next to timestamps. */
static uint32_t sack_fit(const struct tcp_seg *s)
{
	uint32_t room = OPTS_MAX - fixed_opts_len(s);

	return room < 4 + SACK_BLOCK ? 0 : min_u32(s->n_sack, (room - 4) / SACK_BLOCK);
}

uint32_t tcp_seg_hdr_len(const struct tcp_seg *s)
{
	uint32_t blocks = sack_fit(s);

	return (uint32_t)sizeof(struct tcp_hdr) + fixed_opts_len(s) +
	       (blocks ? 4 + blocks * SACK_BLOCK : 0);
}

static void put_ts(struct tcp_opts_w *w, const struct tcp_seg *s)
{
	uint8_t *d = tcp_opts_put(w, TCPO_TS, TS_DATA);

	store_be32(d, s->tsval);
	store_be32(d + 4, s->tsecr);
}

static void put_fo(struct tcp_opts_w *w, const struct tcp_seg *s)
{
	uint8_t *d = tcp_opts_put(w, TCPO_FASTOPEN, s->fo.len);

	memcpy(d, s->fo.b, s->fo.len);
	tcp_opts_nop(w, (2 - s->fo.len) & 3);
}

static void put_sack(struct tcp_opts_w *w, const struct tcp_seg *s)
{
	uint32_t blocks = sack_fit(s);

	if (!blocks)
		return;
	tcp_opts_nop(w, 2);
	uint8_t *d = tcp_opts_put(w, TCPO_SACK, (uint8_t)(blocks * SACK_BLOCK));
	for (uint32_t i = 0; i < blocks; i++, d += SACK_BLOCK) {
		store_be32(d, s->sack[i].start.v);
		store_be32(d + 4, s->sack[i].end.v);
	}
}

/* The fixed groups take 40 bytes at most and sack_fit() keeps to the rest: nothing here fails. */
static uint32_t put_options(const struct tcp_seg *s, void *p)
{
	struct tcp_opts_w w = tcp_opts_writer(p, OPTS_MAX);
	uint8_t *b = p;

	if (s->has_ts && !s->has_mss && !s->sack_ok && !s->has_wscale && !s->has_fo && !s->n_sack) {
		store_be32(b, TCP_TS_ONLY_WORD);
		store_be32(b + 4, s->tsval);
		store_be32(b + 8, s->tsecr);
		return TCP_TS_ONLY_LEN;
	}
	if (s->has_mss)
		store_be16(tcp_opts_put(&w, TCPO_MSS, MSS_DATA), s->mss);
	if (s->has_ts || s->sack_ok) {
		if (s->sack_ok)
			tcp_opts_put(&w, TCPO_SACK_OK, 0);
		else
			tcp_opts_nop(&w, 2);
		if (s->has_ts)
			put_ts(&w, s);
		else
			tcp_opts_nop(&w, 2);
	}
	if (s->has_wscale) {
		tcp_opts_nop(&w, 1);
		*tcp_opts_put(&w, TCPO_WSCALE, WSCALE_DATA) = s->wscale;
	}
	if (s->has_fo)
		put_fo(&w, s);
	put_sack(&w, s);
	return tcp_opts_finish(&w);
}

uint32_t tcp_seg_emit(const struct tcp_seg *s, void *p)
{
	uint8_t *b = p;
	uint32_t hdr_len =
		(uint32_t)sizeof(struct tcp_hdr) + put_options(s, b + sizeof(struct tcp_hdr));

	store_be16(b, s->sport);
	store_be16(b + 2, s->dport);
	store_be32(b + 4, s->seq.v);
	store_be32(b + 8, s->ack.v);
	b[12] = (uint8_t)(hdr_len / 4 << 4);
	b[13] = s->flags;
	store_be16(b + 14, s->wnd);
	store_be16(b + 16, 0);
	store_be16(b + 18, s->urg);
	return hdr_len;
}

static void show_flags(struct strbuf *b, uint8_t flags)
{
	static const struct {
		uint8_t flag;
		char c;
	} names[] = {
		{ TCPF_FIN, 'F' }, { TCPF_SYN, 'S' }, { TCPF_RST, 'R' }, { TCPF_PSH, 'P' },
		{ TCPF_URG, 'U' }, { TCPF_ECE, 'E' }, { TCPF_CWR, 'W' }, { TCPF_ACK, '.' },
	};

	if (!flags)
		strbuf_put(b, "none");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (flags & names[i].flag)
			strbuf_put(b, "%c", names[i].c);
	}
}

static void show_options(struct strbuf *b, const struct tcp_seg *s)
{
	const char *sep = " <";

	if (s->has_mss) {
		strbuf_put(b, "%smss %u", sep, s->mss);
		sep = ",";
	}
	if (s->sack_ok) {
		strbuf_put(b, "%ssackOK", sep);
		sep = ",";
	}
	if (s->has_ts) {
		strbuf_put(b, "%sTS val %u ecr %u", sep, s->tsval, s->tsecr);
		sep = ",";
	}
	if (s->has_wscale) {
		strbuf_put(b, "%swscale %u", sep, s->wscale);
		sep = ",";
	}
	if (s->has_fo) {
		strbuf_put(b, s->fo.len ? "%sfastopen cookie %u" : "%sfastopen request", sep, s->fo.len);
		sep = ",";
	}
	if (s->n_sack) {
		strbuf_put(b, "%ssack", sep);
		sep = ",";
	}
	for (uint32_t i = 0; i < min_u32(s->n_sack, TCP_SACK_MAX); i++)
		strbuf_put(b, " %u:%u", s->sack[i].start.v, s->sack[i].end.v);
	if (sep[0] == ',')
		strbuf_put(b, ">");
}

int tcp_seg_show(const struct tcp_seg *s, char *buf, int size)
{
	struct strbuf b = strbuf_of(buf, size);

	show_flags(&b, s->flags);
	strbuf_put(&b, " %u:%u(%u)", s->seq.v, s->seq.v + s->len, s->len);
	if (s->flags & TCPF_ACK)
		strbuf_put(&b, " ack %u", s->ack.v);
	strbuf_put(&b, " win %u", s->wnd);
	if (s->flags & TCPF_URG)
		strbuf_put(&b, " urg %u", s->urg);
	show_options(&b, s);
	return b.len;
}
