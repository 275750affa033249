/* Parses and writes ICMPv4 messages. An error's quote comes from anyone on the path or off it: the
 * ports and the sequence number in it let the caller decide whether to believe it (RFC 5927). */
// SPDX-License-Identifier: MIT
#include "stack/wire/icmp.h"
#include <errno.h>
#include <string.h>
#include "stack/base/checksum.h"

/* The datagram quoted at p, n bytes. 0 or -EINVAL. */
static int parse_quote(struct icmp_quote *q, const uint8_t *p, uint32_t n)
{
	int hdr_len = ip4_parse_quoted(&q->ip, p, n);

	if (hdr_len < 0)
		return -EINVAL;
	bool tcp = q->ip.proto == IP_PROTO_TCP;
	if ((!tcp && q->ip.proto != IP_PROTO_UDP) || q->ip.frag_off)
		return 0;
	p += hdr_len;
	n -= (uint32_t)hdr_len;
	if (n < ICMP_QUOTE_BYTES)
		return -EINVAL;
	q->has_ports = true;
	q->sport = load_be16(p);
	q->dport = load_be16(p + 2);
	if (tcp)
		q->tcp_seq = load_be32(p + 4);
	return 0;
}

int icmp_parse(struct icmp_msg *m, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	if (n < ICMP_HDR_LEN)
		return -EINVAL;
	struct icmp_msg r = { .type = b[0], .code = b[1] };
	switch (r.type) {
	case ICMP_T_ECHO:
	case ICMP_T_ECHO_REPLY:
		r.id = load_be16(b + 4);
		r.seq = load_be16(b + 6);
		break;
	case ICMP_T_UNREACH:
		if (r.code == ICMP_C_FRAG_NEEDED)
			r.mtu = load_be16(b + 6); /* RFC 1191 4 */
		break;
	case ICMP_T_PARAM:
		r.ptr = b[4];
		break;
	}
	if (icmp_is_error(&r) && parse_quote(&r.orig, b + ICMP_HDR_LEN, n - ICMP_HDR_LEN) < 0)
		return -EINVAL;
	*m = r;
	return ICMP_HDR_LEN;
}

bool icmp_csum_ok(const void *p, uint32_t n) { return csum_fold(csum_add(0, p, n)) == 0; }

uint32_t icmp_emit(const struct icmp_msg *m, const void *data, uint32_t n, void *p)
{
	struct icmp_hdr h = { .type = m->type, .code = m->code };
	uint8_t *body = (uint8_t *)p + ICMP_HDR_LEN;

	switch (m->type) {
	case ICMP_T_ECHO:
	case ICMP_T_ECHO_REPLY:
		h.word0 = be16_of(m->id);
		h.word1 = be16_of(m->seq);
		break;
	case ICMP_T_UNREACH:
		if (m->code == ICMP_C_FRAG_NEEDED)
			h.word1 = be16_of(m->mtu);
		break;
	case ICMP_T_PARAM:
		h.word0 = be16_of((uint16_t)(m->ptr << 8));
		break;
	}
	if (n && data != body)
		memmove(body, data, n);
	h.csum.raw = csum_fold(csum_add(csum_add(0, &h, sizeof(h)), body, n));
	memcpy(p, &h, sizeof(h));
	return ICMP_HDR_LEN + n;
}
