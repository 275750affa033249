/* The part of a packet that the two families have differently: IP headers, fragments, ICMP's numbers. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/pkt/drill/packet.h"

/* --six: all scripts go over IPv6. What they call 10.88.0.1 is then fd88::10.88.0.1. */
extern bool ip_six;
void ip_addr6(uint32_t v4, uint8_t addr[16]);
static inline uint32_t ip_len(void) { return ip_six ? 40 : 20; }
/* The MTU that leaves room for the same segments. */
static inline uint32_t ip_mtu(uint32_t of_v4) { return of_v4 + (ip_six ? 20 : 0); }

/* The header of a packet of n bytes in all, from us to the peer or the other way. */
void ip_write(const struct pkt *k, uint8_t *b, uint32_t n, bool from_us);
/* Reads it. NULL, or what is wrong. */
const char *ip_read(struct pkt *k, const uint8_t *b, uint32_t n);
/* Over what lies behind the header of the packet at b, with the pseudo header if the protocol has one. */
uint16_t ip_csum(enum pkt_proto proto, const uint8_t *b, uint32_t n);
/* Scripts know the ICMP of IPv4; ICMPv6's words for it, and back. */
void ip_write_icmp(const struct pkt *k, uint8_t *p);
void ip_read_icmp(struct pkt *k, const uint8_t *p);
/* packet_give() */
void ip_fragments(uint32_t step, const uint8_t *b, uint32_t n, void (*give)(const uint8_t *p, uint32_t n));

/* ---- bytes ---- */
static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}
static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
