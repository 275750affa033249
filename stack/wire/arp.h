/* ARP packets (RFC 826) for Ethernet and IPv4 <-> struct arp_pkt. Does not resolve (net/). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/base/be.h"
#include "stack/wire/eth.h"

struct arp_hdr {
	be16 htype, ptype;
	uint8_t hlen, plen;
	be16 op;
	uint8_t sha[6], spa[4], tha[6], tpa[4];
};
_Static_assert(sizeof(struct arp_hdr) == 28, "RFC 826, Ethernet and IPv4");

enum { ARP_LEN = 28 };
enum arp_op { ARP_OP_REQUEST = 1, ARP_OP_REPLY = 2 };

struct arp_pkt {
	uint16_t op; /* ARP_OP_ */
	struct eth_addr sha, tha;
	uint32_t spa, tpa; /* host order */
};

/* Returns 28 (trailing padding is allowed) or -EINVAL: short, not Ethernet and IPv4, operation
 * neither request nor reply, or a sender address that no single station can have (group MAC
 * address, zero MAC address, multicast or broadcast IPv4 address). spa 0 is a probe (RFC 5227). */
int arp_parse(struct arp_pkt *a, const void *p, uint32_t n);
/* Writes 28 bytes at p and returns 28. */
uint32_t arp_emit(const struct arp_pkt *a, void *p);
