/* ICMP for IPv4 (RFC 792, 1191) <-> struct icmp_msg. Decides nothing: who answers is net/. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/be.h"
#include "stack/wire/ip4.h"

struct icmp_hdr {
	uint8_t type, code;
	be16 csum;
	be16 word0, word1; /* echo: id, seq; frag needed: 0, mtu; param problem: pointer, 0 */
};
_Static_assert(sizeof(struct icmp_hdr) == 8, "RFC 792");

enum { ICMP_HDR_LEN = 8, ICMP_QUOTE_BYTES = 8 };
enum icmp_type {
	ICMP_T_ECHO_REPLY = 0,
	ICMP_T_UNREACH = 3,
	ICMP_T_ECHO = 8,
	ICMP_T_TIME_EXCEEDED = 11,
	ICMP_T_PARAM = 12,
};
enum icmp_unreach {
	ICMP_C_NET = 0,
	ICMP_C_HOST = 1,
	ICMP_C_PROTO = 2,
	ICMP_C_PORT = 3,
	ICMP_C_FRAG_NEEDED = 4,
	ICMP_C_SRC_ROUTE = 5,
	ICMP_C_NET_UNKNOWN = 6,
	ICMP_C_HOST_UNKNOWN = 7,
	ICMP_C_NET_PROHIBITED = 9,
	ICMP_C_HOST_PROHIBITED = 10,
	ICMP_C_ADMIN_PROHIBITED = 13,
};
enum icmp_exceeded { ICMP_C_TTL = 0, ICMP_C_REASSEMBLY = 1 };

/* The datagram an error is about: its IPv4 header and the first 8 bytes behind it. */
struct icmp_quote {
	struct ip4 ip;
	bool has_ports; /* TCP or UDP, first fragment: the fields below are set */
	uint16_t sport, dport;
	uint32_t tcp_seq; /* TCP only, host order */
};

struct icmp_msg {
	uint8_t type, code;
	uint16_t id, seq;      /* echo and echo reply */
	uint16_t mtu;	       /* ICMP_C_FRAG_NEEDED: next-hop MTU, 0 from a pre-RFC 1191 router */
	uint8_t ptr;	       /* parameter problem: offset of the bad byte */
	struct icmp_quote orig; /* valid when icmp_is_error() */
};

/* One of the error types above, which carry a quoted datagram. */
static inline bool icmp_is_error(const struct icmp_msg *m)
{
	return m->type == ICMP_T_UNREACH || m->type == ICMP_T_TIME_EXCEEDED ||
	       m->type == ICMP_T_PARAM;
}

/* Parses the message of n bytes at p. Returns 8 (echo data or the quote follows) or -EINVAL: short,
 * or an error whose quote is not an IPv4 header plus, for TCP and UDP, 8 bytes (RFC 1122 3.2.2).
 * Unknown types parse; the caller drops them. Does not check the checksum. */
int icmp_parse(struct icmp_msg *m, const void *p, uint32_t n);
bool icmp_csum_ok(const void *p, uint32_t n);
/* Writes 8 bytes of header and n bytes of data (echo payload, or the quoted datagram) at p with the
 * checksum filled in and returns 8 + n. data may already lie at p + 8; ->orig is ignored. */
uint32_t icmp_emit(const struct icmp_msg *m, const void *data, uint32_t n, void *p);
