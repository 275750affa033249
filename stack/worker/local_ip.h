/* The IP header in front of a packet that never becomes a frame, of either family: written by one stack of
 * this host, read by another worker of it or by the other engine. No options, no checksum. */
// SPDX-License-Identifier: MIT
#pragma once
#include <errno.h>
#include <string.h>
#include "stack/base/ipaddr.h"
#include "stack/wire/ip4.h"

struct local_ip {
	struct ipaddr src, dst; /* of one family */
	uint8_t proto, ttl, tos;
	uint32_t len; /* bytes behind the header */
	uint32_t flow; /* IPv6: label */
};
enum { LOCAL_IP6_LEN = 40, LOCAL_IP_MAX = LOCAL_IP6_LEN };

/* Writes it at p; how many bytes. */
static inline uint32_t local_ip_emit(const struct local_ip *h, void *p)
{
	if (ipaddr_is_v4(&h->dst)) {
		const struct ip4 h4 = {
			.src = ipaddr_get_v4(&h->src), .dst = ipaddr_get_v4(&h->dst),
			.proto = h->proto, .ttl = h->ttl, .tos = h->tos,
			.total_len = (uint16_t)(IP4_HDR_MIN + h->len),
		};

		return ip4_emit(&h4, p, IP4_CSUM_ZERO);
	}
	uint8_t *b = p; /* RFC 8200 3 */
	store_be32(b, 6u << 28 | (uint32_t)h->tos << 20 | h->flow);
	store_be16(b + 4, (uint16_t)h->len);
	b[6] = h->proto;
	b[7] = h->ttl;
	memcpy(b + 8, h->src.b, 16);
	memcpy(b + 24, h->dst.b, 16);
	return LOCAL_IP6_LEN;
}

/* Its length, or -EINVAL: no such header is at p, or n bytes are less than it announces. */
static inline int local_ip_parse(struct local_ip *h, const void *p, uint32_t n)
{
	const uint8_t *b = p;
	struct ip4 h4;

	if (n >= LOCAL_IP6_LEN && b[0] >> 4 == 6) {
		*h = (struct local_ip){ .proto = b[6], .ttl = b[7], .tos = (uint8_t)(load_be16(b) >> 4),
					.len = load_be16(b + 4), .flow = load_be32(b) & 0xfffff };
		memcpy(h->src.b, b + 8, 16);
		memcpy(h->dst.b, b + 24, 16);
		/* In this form both would mean an IPv4 packet. */
		if (h->len > n - LOCAL_IP6_LEN || ipaddr_is_v4(&h->src) || ipaddr_is_v4(&h->dst))
			return -EINVAL;
		return LOCAL_IP6_LEN;
	}
	int len = ip4_parse(&h4, p, n);
	if (len < 0)
		return len;
	*h = (struct local_ip){ ipaddr_v4(h4.src), ipaddr_v4(h4.dst), h4.proto, h4.ttl, h4.tos,
				h4.total_len - (uint32_t)h4.hdr_len, 0 };
	return len;
}
