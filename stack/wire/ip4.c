/* Parses and writes IPv4 headers. Fragments, routes and options are not its business. */
// SPDX-License-Identifier: MIT
#include "stack/wire/ip4.h"
#include <errno.h>
#include <stddef.h>
#include "stack/base/checksum.h"

_Static_assert(offsetof(struct ip4_hdr, ttl) == 8, "RFC 791 3.1");
_Static_assert(offsetof(struct ip4_hdr, src) == 12, "RFC 791 3.1");

int ip4_parse_quoted(struct ip4 *h, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	if (n < IP4_HDR_MIN || b[0] >> 4 != 4)
		return -EINVAL;
	uint8_t hdr_len = (b[0] & 0xf) * 4;
	uint16_t total_len = load_be16(b + 2);
	if (hdr_len < IP4_HDR_MIN || hdr_len > n || total_len < hdr_len)
		return -EINVAL;
	uint16_t frag = load_be16(b + 6);
	*h = (struct ip4){
		.src = load_be32(b + 12),
		.dst = load_be32(b + 16),
		.proto = b[9],
		.ttl = b[8],
		.tos = b[1],
		.hdr_len = hdr_len,
		.total_len = total_len,
		.id = load_be16(b + 4),
		.frag_off = (uint16_t)((frag & IP4_FRAG_OFF) * 8),
		.more_frags = frag & IP4_FRAG_MF,
		.dont_frag = frag & IP4_FRAG_DF,
	};
	return hdr_len;
}

int ip4_parse(struct ip4 *h, const void *p, uint32_t n)
{
	if (n < IP4_HDR_MIN || load_be16((const uint8_t *)p + 2) > n)
		return -EINVAL;
	return ip4_parse_quoted(h, p, n);
}

bool ip4_csum_ok(const void *p, uint32_t hdr_len)
{
	return (hdr_len == IP4_HDR_MIN ? csum_ip4(p) : csum_fold(csum_add(0, p, hdr_len))) == 0;
}

uint32_t ip4_emit_alert(const struct ip4 *h, void *p)
{
	static const uint8_t alert[] = { 0x94, 4, 0, 0 };
	uint8_t *b = p;

	ip4_emit(h, b, IP4_CSUM_ZERO);
	b[0] = 4 << 4 | IP4_HDR_ALERT / 4;
	memcpy(b + IP4_HDR_MIN, alert, sizeof(alert));
	uint16_t csum = csum_fold(csum_add(0, b, IP4_HDR_ALERT));
	memcpy(b + offsetof(struct ip4_hdr, csum), &csum, sizeof(csum));
	return IP4_HDR_ALERT;
}
