/* ICMPv6 (RFC 4443) <-> struct icmp6_msg. Decides nothing: who answers is net/. Neighbour discovery is in
 * nd.h. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/wire/ip4.h" /* IP_PROTO_ */
#include "stack/wire/ip6.h"

enum { ICMP6_HDR_LEN = 8, ICMP6_QUOTE_BYTES = 8 };
enum icmp6_type {
	ICMP6_T_UNREACH = 1,
	ICMP6_T_TOO_BIG = 2,
	ICMP6_T_TIME_EXCEEDED = 3,
	ICMP6_T_PARAM = 4,
	ICMP6_T_ERRORS_END = 128, /* all below are errors (RFC 4443 2.1) */
	ICMP6_T_ECHO = 128,
	ICMP6_T_ECHO_REPLY = 129,
	ICMP6_T_MLD_QUERY = 130,
	ICMP6_T_MLD_REPORT1 = 131,
	ICMP6_T_MLD_DONE = 132,
	ICMP6_T_ND_RS = 133,
	ICMP6_T_ND_RA = 134,
	ICMP6_T_ND_NS = 135,
	ICMP6_T_ND_NA = 136,
	ICMP6_T_ND_REDIRECT = 137,
	ICMP6_T_MLD_REPORT2 = 143,
};
enum icmp6_unreach {
	ICMP6_C_NOROUTE = 0,
	ICMP6_C_PROHIBITED = 1,
	ICMP6_C_SCOPE = 2,
	ICMP6_C_ADDR = 3,
	ICMP6_C_PORT = 4,
	ICMP6_C_POLICY = 5,
	ICMP6_C_REJECT = 6,
};
enum icmp6_exceeded { ICMP6_C_HOPS = 0, ICMP6_C_REASSEMBLY = 1 };
enum icmp6_param {
	ICMP6_C_FIELD = 0,
	ICMP6_C_NEXT = 1,
	ICMP6_C_OPTION = 2,
	ICMP6_C_CHAIN = 3, /* RFC 7112 */
};

/* The packet that an error is about. */
struct icmp6_quote {
	struct ip6 ip;
	uint8_t proto;	/* behind its extension headers */
	bool has_ports; /* TCP or UDP, first fragment: the fields below are set */
	uint16_t sport, dport;
	uint32_t tcp_seq;
	uint32_t off;	/* of the transport header in the quote */
};

struct icmp6_msg {
	uint8_t type, code;
	uint16_t id, seq; /* echo and its reply */
	uint32_t word;	  /* MTU (packet too big), pointer (parameter problem) */
	struct icmp6_quote orig; /* valid when icmp6_is_error() */
};

static inline bool icmp6_is_error(const struct icmp6_msg *m) { return m->type < ICMP6_T_ERRORS_END; }
/* Neighbour discovery and MLD: never beyond the link. */
static inline bool icmp6_is_nd(uint8_t type)
{
	return type >= ICMP6_T_ND_RS && type <= ICMP6_T_ND_REDIRECT;
}
static inline bool icmp6_is_mld(uint8_t type)
{
	return (type >= ICMP6_T_MLD_QUERY && type <= ICMP6_T_MLD_DONE) || type == ICMP6_T_MLD_REPORT2;
}

/* Parses the message of n bytes at p: 8, or -EINVAL: short, or an error whose quote is no IPv6 header.
 * Does not check the checksum. */
int icmp6_parse(struct icmp6_msg *m, const void *p, uint32_t n);
bool icmp6_csum_ok(const struct ipaddr *src, const struct ipaddr *dst, const void *p, uint32_t n);
/* Writes type, code and word and n bytes of data (they may lie at p + 8 already) at p, with the checksum.
 * Echo: word is id << 16 | seq. Returns 8 + n. */
uint32_t icmp6_emit(const struct ipaddr *src, const struct ipaddr *dst, uint8_t type, uint8_t code,
		    uint32_t word, const void *data, uint32_t n, void *p);
/* The checksum into a message of n bytes at p. */
void icmp6_put_csum(const struct ipaddr *src, const struct ipaddr *dst, void *p, uint32_t n);
