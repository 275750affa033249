/* Ethernet II header <-> struct eth, with at most one 802.1Q tag on input. */
// SPDX-License-Identifier: MIT
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "stack/base/be.h"

struct eth_addr {
	uint8_t b[6];
};

struct eth_hdr {
	struct eth_addr dst, src;
	be16 type;
};
_Static_assert(sizeof(struct eth_hdr) == 14, "IEEE 802.3");

enum {
	ETH_HDR_LEN = 14,
	ETH_VLAN_LEN = 4,
	ETH_FRAME_MIN = 60, /* without the frame check sequence */
};
enum {
	ETH_TYPE_IP4 = 0x0800,
	ETH_TYPE_ARP = 0x0806,
	ETH_TYPE_VLAN = 0x8100,
	ETH_TYPE_IP6 = 0x86dd,
};

struct eth {
	struct eth_addr dst, src;
	uint16_t type; /* ETH_TYPE_, of the payload when there is a tag */
	uint16_t vlan; /* id of the tag, 0 when there is none or it carries priority only */
};

#define ETH_ADDR_FMT "%02x:%02x:%02x:%02x:%02x:%02x"
#define ETH_ADDR_ARG(a) (a).b[0], (a).b[1], (a).b[2], (a).b[3], (a).b[4], (a).b[5]

static inline bool eth_addr_eq(struct eth_addr a, struct eth_addr b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}
static inline struct eth_addr eth_addr_broadcast(void)
{
	return (struct eth_addr){ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
}
static inline bool eth_addr_is_broadcast(struct eth_addr a)
{
	return eth_addr_eq(a, eth_addr_broadcast());
}
/* Group bit; true for broadcast too. */
static inline bool eth_addr_is_multicast(struct eth_addr a) { return a.b[0] & 1; }
static inline bool eth_addr_is_zero(struct eth_addr a)
{
	return eth_addr_eq(a, (struct eth_addr){ { 0 } });
}
/* RFC 1112 6.4: the group's MAC address; ip4 in host order. */
static inline struct eth_addr eth_addr_of_group4(uint32_t ip4)
{
	return (struct eth_addr){ { 0x01, 0x00, 0x5e, (ip4 >> 16) & 0x7f, (uint8_t)(ip4 >> 8),
				    (uint8_t)ip4 } };
}
/* RFC 2464 7: the same for a group of IPv6, whose last four bytes are given. */
static inline struct eth_addr eth_addr_of_group6(const uint8_t last[4])
{
	return (struct eth_addr){ { 0x33, 0x33, last[0], last[1], last[2], last[3] } };
}

/* Returns the header length (14, or 18 with a tag) or -EINVAL when the frame is too short. */
static inline int eth_parse(struct eth *h, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	if (n < ETH_HDR_LEN)
		return -EINVAL;
	uint16_t type = load_be16(b + 12);
	if (type == ETH_TYPE_VLAN && n < ETH_HDR_LEN + ETH_VLAN_LEN)
		return -EINVAL;
	memcpy(&h->dst, b, 6);
	memcpy(&h->src, b + 6, 6);
	h->type = type;
	h->vlan = 0;
	if (type != ETH_TYPE_VLAN)
		return ETH_HDR_LEN;
	h->vlan = load_be16(b + 14) & 0xfff;
	h->type = load_be16(b + 16);
	return ETH_HDR_LEN + ETH_VLAN_LEN;
}

/* Where a header has its destination: bytes, in front. */
static inline struct eth_addr *eth_dst_at(uint8_t *p) { return (struct eth_addr *)p; }

/* Writes an untagged header but for the destination. */
static inline void eth_emit_rest(uint8_t *p, const uint8_t src[6], uint16_t type)
{
	memcpy(p + 6, src, 6);
	store_be16(p + 12, type);
}

/* Writes an untagged header, 14 bytes at p, and returns its length. */
static inline uint32_t eth_emit(const struct eth *h, void *p)
{
	uint8_t *b = p;

	memcpy(b, &h->dst, 6);
	memcpy(b + 6, &h->src, 6);
	store_be16(b + 12, h->type);
	return ETH_HDR_LEN;
}
