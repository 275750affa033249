/* Neighbour discovery messages and their options (RFC 4861 4) <-> structs in host order. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"
#include "stack/wire/eth.h"

enum { ND_HOPS = 255 }; /* RFC 4861 6.1, 7.1: what came over a router has less */
enum { ND_NS_LEN = 24, ND_NA_LEN = 24, ND_RS_LEN = 8, ND_RA_LEN = 16, ND_REDIRECT_LEN = 40 };
enum { ND_PREFIXES = 16, ND_OPTIONS_MAX = 64, ND_NONCE_LEN = 6, ND_EMIT_MAX = 40 };
#define ND_FOREVER 0xffffffffu

/* RFC 4861 4.6.2 */
struct nd_prefix {
	struct ipaddr prefix;
	uint8_t plen;
	bool onlink, autonomous;
	uint32_t valid_s, preferred_s; /* ND_FOREVER: no end */
};

struct nd_msg {
	uint8_t type; /* ICMP6_T_ND_ */
	struct ipaddr target;	   /* NS, NA, redirect */
	struct ipaddr dst;	   /* redirect: what it is about */
	bool router, solicited, override; /* NA */
	uint8_t hop_limit;	   /* RA: 0: does not say */
	bool managed, other;	   /* RA */
	uint8_t preference;	   /* RA (RFC 4191): 1 high, 0 medium, 3 low */
	uint16_t router_lifetime_s;
	uint32_t reachable_ms, retrans_ms; /* RA: 0: does not say */
	bool has_slla, has_tlla, has_nonce;
	struct eth_addr slla, tlla;
	uint8_t nonce[ND_NONCE_LEN]; /* RFC 3971 5.3.2, RFC 7527 */
	uint32_t mtu;		   /* RA: 0: does not say */
	uint32_t n_prefixes;
	struct nd_prefix prefix[ND_PREFIXES]; /* of an RA: the first so many */
};

/* Parses and checks (RFC 4861 6.1.1, 6.1.2, 7.1.1, 7.1.2, 8.1, except what the IPv6 header shows) the ICMPv6
 * message of n bytes at p. 0 or -EINVAL. */
int nd_parse(struct nd_msg *m, const void *p, uint32_t n);
/* Writes an NS, an NA or an RS at p (ND_EMIT_MAX bytes) without its checksum; returns the length. Takes type,
 * target, flags, and the options that has_* name. */
uint32_t nd_emit(const struct nd_msg *m, void *p);
