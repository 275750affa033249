/* TCP, UDP and ICMP headers, written and read without the code under test. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "tests/pkt/drill/ip.h"

enum { QUOTE_LEN = 8 };

static uint32_t write_option(const struct pkt_opt *o, uint8_t *p)
{
	uint32_t n = 2;

	p[0] = o->kind;
	switch (o->kind) {
	case OPT_EOL:
	case OPT_NOP:
		return 1;
	case OPT_MSS:
		put16(p + 2, o->v[0]);
		n = 4;
		break;
	case OPT_WSCALE:
		p[2] = (uint8_t)o->v[0];
		n = 3;
		break;
	case OPT_SACKOK:
		break;
	case OPT_SACK:
		for (uint32_t i = 0; i < 2u * o->n; i++, n += 4)
			put32(p + n, o->v[i]);
		break;
	case OPT_TS:
		put32(p + 2, o->v[0]);
		put32(p + 6, o->v[1]);
		n = 10;
		break;
	default:
		memcpy(p + 2, o->bytes, o->n);
		n += o->n;
	}
	p[1] = (uint8_t)n;
	return n;
}

static uint32_t write_tcp(const struct pkt *k, uint8_t *p)
{
	uint32_t n = 20;

	memset(p, 0, 20 + 256);
	put16(p, k->sport);
	put16(p + 2, k->dport);
	put32(p + 4, k->seq);
	put32(p + 8, k->ack);
	p[13] = k->flags;
	put16(p + 14, k->win);
	put16(p + 18, k->urg);
	for (uint32_t i = 0; i < k->n_opts && n < 200; i++)
		n += write_option(&k->opt[i], p + n);
	n = (n + 3) & ~3u;
	if (n > 60)
		script_fail(0, "options of %u bytes do not fit", n - 20);
	p[12] = (uint8_t)(n / 4 << 4);
	return n;
}

static uint32_t write_icmp(const struct pkt *k, uint8_t *p)
{
	memset(p, 0, 8);
	ip_write_icmp(k, p);
	if (!k->has_quote) {
		p[5] = 1; /* an echo's identifier: a sum of nothing but zeros has two checksums */
		return 8 + k->len;
	}
	/* what it is about: a segment from us to the peer */
	struct pkt orig = {.proto = PKT_TCP, .ttl = k->has_ttl ? k->ttl : 63};
	uint8_t *q = p + 8;

	ip_write(&orig, q, ip_len() + 20 + k->len, true);
	put16(q + ip_len(), k->sport);
	put16(q + ip_len() + 2, k->dport);
	put32(q + ip_len() + 4, k->seq);
	return 8 + ip_len() + QUOTE_LEN;
}

uint32_t packet_write(const struct pkt *k, uint64_t pos, uint8_t *b)
{
	uint8_t *p = b + ip_len();
	uint32_t head, n;

	if (k->proto == PKT_TCP) {
		head = write_tcp(k, p);
	} else if (k->proto == PKT_UDP) {
		head = 8;
		put16(p, k->sport);
		put16(p + 2, k->dport);
		put16(p + 4, head + k->len);
		put16(p + 6, 0);
	} else {
		head = write_icmp(k, p);
	}
	n = ip_len() + head + (k->proto == PKT_ICMP ? 0 : k->len);
	for (uint32_t i = 0; k->proto != PKT_ICMP && i < k->len; i++)
		p[head + i] = call_byte(pos + i);
	ip_write(k, b, n, false);
	put16(p + (k->proto == PKT_ICMP ? 2 : k->proto == PKT_TCP ? 16 : 6),
	      ip_csum(k->proto, b, n) ^ (k->badcsum ? 0x1111 : 0));
	return n;
}

void packet_give(const struct pkt *k, const uint8_t *b, uint32_t n,
		 void (*give)(const uint8_t *p, uint32_t n))
{
	if (k->frag)
		ip_fragments(k->frag, b, n, give);
	else
		give(b, n);
}

/* ---- reading ---- */
static const char *parse_option(struct pkt_opt *o, const uint8_t *p, uint32_t n)
{
	static const uint8_t lengths[] = {
		[OPT_MSS] = 4, [OPT_WSCALE] = 3, [OPT_SACKOK] = 2, [OPT_TS] = 10};

	*o = (struct pkt_opt){.kind = p[0]};
	if (p[0] < ARRAY_LEN(lengths) && lengths[p[0]] && lengths[p[0]] != n)
		return "a TCP option of the wrong length";
	switch (o->kind) {
	case OPT_MSS:
		o->v[0] = get16(p + 2);
		break;
	case OPT_WSCALE:
		o->v[0] = p[2];
		break;
	case OPT_SACKOK:
		break;
	case OPT_SACK:
		if ((n - 2) % 8 || n < 10 || n > 34)
			return "a SACK option of the wrong length";
		o->n = (uint8_t)((n - 2) / 8);
		for (uint32_t i = 0; i < 2u * o->n; i++)
			o->v[i] = get32(p + 2 + 4 * i);
		break;
	case OPT_TS:
		o->v[0] = get32(p + 2);
		o->v[1] = get32(p + 6);
		break;
	default:
		o->n = (uint8_t)min_u32(n - 2, PKT_COOKIE);
		memcpy(o->bytes, p + 2, o->n);
	}
	return NULL;
}

static const char *parse_options(struct pkt *k, const uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		if (*p == OPT_EOL)
			return NULL;
		if (*p == OPT_NOP) {
			p++;
			continue;
		}
		if (end - p < 2 || p[1] < 2 || p[1] > end - p || k->n_opts == PKT_OPTS)
			return "broken TCP options";
		const char *wrong = parse_option(&k->opt[k->n_opts++], p, p[1]);
		if (wrong)
			return wrong;
		p += p[1];
	}
	return NULL;
}

static const char *parse_tcp(struct pkt *k, const uint8_t *p, uint32_t n)
{
	uint32_t head = n < 20 ? 0 : (uint32_t)(p[12] >> 4) * 4;

	if (head < 20 || head > n)
		return "a TCP header that is too short";
	if (p[12] & 0x0e)
		return "reserved bits of the TCP header";
	k->seq = get32(p + 4);
	k->ack = get32(p + 8);
	k->flags = p[13];
	k->has_ack = k->flags & PKT_A;
	if (!k->has_ack && k->ack)
		return "an acknowledgement number without ACK";
	k->win = get16(p + 14);
	k->urg = get16(p + 18);
	k->data = p + head;
	k->len = n - head;
	return parse_options(k, p + 20, p + head);
}

const char *packet_parse(struct pkt *k, const uint8_t *b, uint32_t n)
{
	const uint8_t *p = b + ip_len();
	const char *wrong;

	*k = (struct pkt){.proto = 0};
	wrong = ip_read(k, b, n);
	if (wrong)
		return wrong;
	if (n < ip_len() + 8)
		return "a short packet";
	if (ip_csum(k->proto, b, n) != 0)
		return "a checksum";
	n -= ip_len();
	if (k->proto == PKT_ICMP) {
		ip_read_icmp(k, p);
		k->len = n - 8;
		return NULL;
	}
	k->sport = get16(p);
	k->dport = get16(p + 2);
	if (k->proto == PKT_UDP) {
		k->data = p + 8;
		k->len = n - 8;
		return get16(p + 4) == n ? NULL : "a UDP length";
	}
	return k->proto == PKT_TCP ? parse_tcp(k, p, n) : "a protocol";
}
