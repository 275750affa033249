/* IPv4 header (RFC 791) <-> struct ip4 in host order. Options are skipped, never interpreted. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "stack/base/be.h"
#include "stack/base/checksum.h"

struct ip4_hdr {
	uint8_t ver_ihl, tos;
	be16 total_len, id, frag;
	uint8_t ttl, proto;
	be16 csum;
	be32 src, dst;
};
_Static_assert(sizeof(struct ip4_hdr) == 20, "RFC 791 3.1");

enum { IP4_HDR_MIN = 20, IP4_HDR_MAX = 60, IP4_TOTAL_MAX = 65535, IP4_TTL_DEFAULT = 64 };
enum { IP4_FRAG_DF = 0x4000, IP4_FRAG_MF = 0x2000, IP4_FRAG_OFF = 0x1fff }; /* of the field frag */
enum { IP_PROTO_ICMP = 1, IP_PROTO_IGMP = 2, IP_PROTO_TCP = 6, IP_PROTO_UDP = 17, IP_PROTO_ICMP6 = 58 };

struct ip4 {
	uint32_t src, dst; /* host order: 0x0a4d0002 is 10.77.0.2 */
	uint8_t proto, ttl, tos;
	uint8_t hdr_len; /* bytes, 20..60; ip4_emit() ignores it and writes 20 */
	uint16_t total_len;
	uint16_t id;
	uint16_t frag_off; /* bytes, a multiple of 8 */
	bool more_frags, dont_frag;
};

#define IP4_FMT "%u.%u.%u.%u"
#define IP4_ARG(a) (a) >> 24, (a) >> 16 & 0xff, (a) >> 8 & 0xff, (a) & 0xff

static inline bool ip4_is_fragment(const struct ip4 *h) { return h->more_frags || h->frag_off; }

/* Parses the header at p with n bytes left in the packet. Returns the header length, 20..60, or
 * -EINVAL: short, version not 4, header length below 20 or beyond n or the total length, total
 * length beyond n. The payload is total_len - hdr_len bytes; what follows is link padding. Does
 * not check the checksum. */
int ip4_parse(struct ip4 *h, const void *p, uint32_t n);
/* The same for the header quoted in an ICMP error (RFC 792): the total length is that of the
 * original datagram and may exceed n. */
int ip4_parse_quoted(struct ip4 *h, const void *p, uint32_t n);
/* Header checksum right? hdr_len is what ip4_parse() returned. Skipped when the port checked it. */
bool ip4_csum_ok(const void *p, uint32_t hdr_len);

enum ip4_csum {
	IP4_CSUM_ZERO, /* the port fills it in */
	IP4_CSUM_FILL,
};
/* Writes a header without options, 20 bytes at p, and returns 20. */
static inline uint32_t ip4_emit(const struct ip4 *h, void *p, enum ip4_csum csum)
{
	struct ip4_hdr w = {
		.ver_ihl = 4 << 4 | IP4_HDR_MIN / 4,
		.tos = h->tos,
		.total_len = be16_of(h->total_len),
		.id = be16_of(h->id),
		.frag = be16_of((uint16_t)(h->frag_off / 8 | (h->dont_frag ? IP4_FRAG_DF : 0) |
					   (h->more_frags ? IP4_FRAG_MF : 0))),
		.ttl = h->ttl,
		.proto = h->proto,
		.src = be32_of(h->src),
		.dst = be32_of(h->dst),
	};

	if (csum == IP4_CSUM_FILL)
		w.csum.raw = csum_ip4(&w);
	memcpy(p, &w, sizeof(w));
	return IP4_HDR_MIN;
}
/* The same with the router alert option (RFC 2113) and the checksum: 24 bytes. */
enum { IP4_HDR_ALERT = IP4_HDR_MIN + 4 };
uint32_t ip4_emit_alert(const struct ip4 *h, void *p);
