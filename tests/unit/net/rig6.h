/* The rig with IPv6: 2001:db8::2/64 and fe80::2/64 on its port, the gateway 2001:db8::1. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/net/ip6.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/nd.h"
#include "tests/unit/net/rig.h"

struct ipaddr a6(const char *text);
extern const struct ipaddr rig6_us, rig6_ll, rig6_peer, rig6_peer_ll;
#define RIG6_US rig6_us	     /* 2001:db8::2 */
#define RIG6_LL rig6_ll	     /* fe80::2 */
#define RIG6_PEER rig6_peer  /* 2001:db8::1 */
#define RIG6_PEER_LL rig6_peer_ll

/* Gives the port its addresses; part of the fixture. */
void rig6_add(void);
/* Fixture; ends by rig_teardown(). */
void rig6_setup(void);
void rig6_know_peer(void);
/* An IPv6 packet at p; the n bytes at payload begin with what next says. Returns its length. */
uint32_t rig6_packet(void *p, const struct ipaddr *src, const struct ipaddr *dst, uint8_t next,
		     const void *payload, uint32_t n);
/* A UDP datagram with its checksum. */
uint32_t rig6_udp(void *p, const struct ipaddr *src, const struct ipaddr *dst, const void *data,
		  uint16_t n);
/* An ICMPv6 message (its bytes at msg without a checksum) with hop limit hops. */
uint32_t rig6_icmp(void *p, const struct ipaddr *src, const struct ipaddr *dst, uint8_t hops,
		   const void *msg, uint32_t n);
/* The i-th frame sent is an IPv6 packet with good lengths; its header; returns what lies behind it. */
const uint8_t *rig6_sent(uint32_t i, struct ip6 *h);
