/* Parses and writes ICMPv6 messages. */
// SPDX-License-Identifier: MIT
#include "stack/wire/icmp6.h"
#include <errno.h>
#include <string.h>
#include "stack/base/checksum.h"

static int parse_quote(struct icmp6_quote *q, const uint8_t *p, uint32_t n)
{
	struct ip6_walk k;

	if (ip6_parse_quoted(&q->ip, p, n) < 0)
		return -EINVAL;
	bool whole = ip6_walk_quoted(p, n, &q->ip, &k);
	q->proto = k.proto;
	q->off = k.off;
	if (!whole || (k.proto != IP_PROTO_TCP && k.proto != IP_PROTO_UDP) ||
	    n - k.off < ICMP6_QUOTE_BYTES)
		return 0;
	q->has_ports = true;
	q->sport = load_be16(p + k.off);
	q->dport = load_be16(p + k.off + 2);
	if (k.proto == IP_PROTO_TCP)
		q->tcp_seq = load_be32(p + k.off + 4);
	return 0;
}

int icmp6_parse(struct icmp6_msg *m, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	if (n < ICMP6_HDR_LEN)
		return -EINVAL;
	*m = (struct icmp6_msg){ .type = b[0], .code = b[1], .word = load_be32(b + 4),
				 .id = load_be16(b + 4), .seq = load_be16(b + 6) };
	if (icmp6_is_error(m) && parse_quote(&m->orig, b + ICMP6_HDR_LEN, n - ICMP6_HDR_LEN) < 0)
		return -EINVAL;
	return ICMP6_HDR_LEN;
}

bool icmp6_csum_ok(const struct ipaddr *src, const struct ipaddr *dst, const void *p, uint32_t n)
{
	return csum_fold(csum_add(csum_pseudo(src, dst, IP_PROTO_ICMP6, n), p, n)) == 0;
}

void icmp6_put_csum(const struct ipaddr *src, const struct ipaddr *dst, void *p, uint32_t n)
{
	uint8_t *b = p;

	memset(b + 2, 0, 2);
	uint16_t csum = csum_fold(csum_add(csum_pseudo(src, dst, IP_PROTO_ICMP6, n), b, n));
	memcpy(b + 2, &csum, sizeof(csum));
}

uint32_t icmp6_emit(const struct ipaddr *src, const struct ipaddr *dst, uint8_t type, uint8_t code,
		    uint32_t word, const void *data, uint32_t n, void *p)
{
	uint8_t *b = p;

	b[0] = type;
	b[1] = code;
	store_be32(b + 4, word);
	if (n && data != b + ICMP6_HDR_LEN)
		memmove(b + ICMP6_HDR_LEN, data, n);
	icmp6_put_csum(src, dst, b, ICMP6_HDR_LEN + n);
	return ICMP6_HDR_LEN + n;
}
