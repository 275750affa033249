/* Every field of an ARP packet is checked here, so that net/ can believe what it gets. */
// SPDX-License-Identifier: MIT
#include "stack/wire/arp.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

_Static_assert(offsetof(struct arp_hdr, sha) == 8, "RFC 826");
_Static_assert(offsetof(struct arp_hdr, tpa) == 24, "RFC 826");

enum { HTYPE_ETHERNET = 1 };

/* Multicast, class E and broadcast addresses belong to no single station. */
static bool is_station4(uint32_t ip4) { return ip4 < 0xe0000000; }

int arp_parse(struct arp_pkt *a, const void *p, uint32_t n)
{
	const uint8_t *b = p;
	struct arp_pkt r;

	if (n < ARP_LEN)
		return -EINVAL;
	if (load_be16(b) != HTYPE_ETHERNET || load_be16(b + 2) != ETH_TYPE_IP4)
		return -EINVAL;
	if (b[4] != 6 || b[5] != 4)
		return -EINVAL;
	r.op = load_be16(b + 6);
	if (r.op != ARP_OP_REQUEST && r.op != ARP_OP_REPLY)
		return -EINVAL;
	memcpy(&r.sha, b + 8, 6);
	r.spa = load_be32(b + 14);
	memcpy(&r.tha, b + 18, 6);
	r.tpa = load_be32(b + 24);
	if (eth_addr_is_multicast(r.sha) || eth_addr_is_zero(r.sha) || !is_station4(r.spa))
		return -EINVAL;
	*a = r;
	return ARP_LEN;
}

uint32_t arp_emit(const struct arp_pkt *a, void *p)
{
	uint8_t *b = p;

	store_be16(b, HTYPE_ETHERNET);
	store_be16(b + 2, ETH_TYPE_IP4);
	b[4] = 6;
	b[5] = 4;
	store_be16(b + 6, a->op);
	memcpy(b + 8, &a->sha, 6);
	store_be32(b + 14, a->spa);
	memcpy(b + 18, &a->tha, 6);
	store_be32(b + 24, a->tpa);
	return ARP_LEN;
}
