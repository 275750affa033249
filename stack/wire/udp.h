/* UDP header (RFC 768) <-> struct udp_dgram in host order. */
// SPDX-License-Identifier: MIT
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/be.h"

struct udp_hdr {
	be16 sport, dport, len, csum;
};
_Static_assert(sizeof(struct udp_hdr) == 8, "RFC 768");

enum { UDP_HDR_LEN = 8 };

struct udp_dgram {
	uint16_t sport, dport;
	uint16_t len;  /* payload bytes */
	bool has_csum; /* false: the sender did not compute one (IPv4 only) */
};

/* Parses the header at p with n bytes left in the packet. Returns 8 or -EINVAL: short, or the
 * length field is below 8 or beyond n. Does not check the checksum. */
static inline int udp_parse(struct udp_dgram *u, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	if (n < UDP_HDR_LEN)
		return -EINVAL;
	uint16_t len = load_be16(b + 4);
	if (len < UDP_HDR_LEN || len > n)
		return -EINVAL;
	*u = (struct udp_dgram){
		.sport = load_be16(b),
		.dport = load_be16(b + 2),
		.len = len - UDP_HDR_LEN,
		.has_csum = load_be16(b + 6) != 0,
	};
	return UDP_HDR_LEN;
}

/* Writes 8 bytes at p, checksum field zero, and returns 8. u->len is at most 65527. */
static inline uint32_t udp_emit(const struct udp_dgram *u, void *p)
{
	uint8_t *b = p;

	store_be16(b, u->sport);
	store_be16(b + 2, u->dport);
	store_be16(b + 4, (uint16_t)(u->len + UDP_HDR_LEN));
	store_be16(b + 6, 0);
	return UDP_HDR_LEN;
}

/* Stores a computed checksum: 0 is sent as all ones, because 0 means "none" (RFC 768). */
static inline void udp_store_csum(void *p, uint16_t folded)
{
	folded = folded ? folded : 0xffff;
	memcpy((uint8_t *)p + 6, &folded, 2);
}
