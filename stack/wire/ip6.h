/* IPv6 header (RFC 8200) <-> struct ip6 in host order, and the walk over its extension headers. Options are
 * checked and skipped, never obeyed. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"

struct ip6_hdr {
	be32 ver_tc_flow;
	be16 payload_len;
	uint8_t next, hops;
	struct ipaddr src, dst;
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct ip6_hdr) == 40, "RFC 8200 3");

enum {
	IP6_HDR_LEN = 40,
	IP6_FRAG_LEN = 8,
	IP6_PAYLOAD_MAX = 65535,
	IP6_MTU_MIN = 1280,    /* RFC 8200 5 */
	IP6_HOPS_DEFAULT = 64,
	IP6_EXT_MAX = 8,       /* extension headers of a packet, ... */
	IP6_EXT_BYTES = 1024,  /* ... their length together, ... */
	IP6_OPT_MAX = 8,       /* ... options of one of them (RFC 8504 5.3) ... */
	IP6_PAD_MAX = 7,       /* ... and bytes of padding in a row (RFC 8504 5.3) */
};
/* Next headers (IP_PROTO_ICMP6 and the transports are in ip4.h). */
enum { IP6_HOPOPTS = 0, IP6_ROUTING = 43, IP6_FRAGMENT = 44, IP6_NONE = 59, IP6_DSTOPTS = 60 };

struct ip6 {
	struct ipaddr src, dst;
	uint32_t flow; /* 20 bits */
	uint16_t payload_len; /* bytes behind the 40 */
	uint8_t tclass, next, hops;
};

/* Parses the header at p with n bytes left in the packet. 40, or -EINVAL: short, version not 6, payload
 * beyond n. What follows the payload is link padding. */
int ip6_parse(struct ip6 *h, const void *p, uint32_t n);
/* The same for a packet quoted in an ICMPv6 error: the payload may exceed n. */
int ip6_parse_quoted(struct ip6 *h, const void *p, uint32_t n);
/* Writes 40 bytes at p, returns 40. */
uint32_t ip6_emit(const struct ip6 *h, void *p);
/* The header of a fragment at off (a multiple of 8): 8 bytes at p. */
uint32_t ip6_emit_frag(uint8_t next, uint32_t off, bool more, uint32_t id, void *p);

/* Where the walk came to. */
struct ip6_walk {
	uint8_t proto;	    /* of what lies at off */
	uint32_t off;	    /* from the start of the packet */
	uint32_t next_at;   /* offset of the byte that says proto */
	bool has_frag;	    /* there was a fragment header, also one of a whole packet (RFC 6946) */
	bool fragment;	    /* it is a real one: off is where its part begins, proto what begins the whole */
	bool more_frags;
	uint32_t frag_at;   /* offset of the fragment header */
	uint32_t frag_off, frag_id;
	bool alert;	    /* hop-by-hop router alert (RFC 2711) */
	uint32_t n_ext;
};
enum ip6_walk_end {
	IP6_WALK_OK,
	IP6_WALK_LIMIT,	  /* more than we look at: dropped (RFC 8504 5.3) */
	IP6_WALK_DROP,	  /* an option says so, or a header is cut off */
	IP6_WALK_PARAM,	  /* an ICMPv6 parameter problem is due: code and ptr */
};
struct ip6_param {
	uint8_t code;
	uint32_t ptr;
	bool multicast_too; /* also about a packet to a group (RFC 8200 4.2) */
};
/* Walks the headers of the packet p of n bytes (from the IPv6 header on) to the first that is no extension
 * header, or to a fragment's part. *k begins zeroed, with proto, off and next_at of the first. */
enum ip6_walk_end ip6_walk(const void *p, uint32_t n, struct ip6_walk *k, struct ip6_param *param);
/* Skips the extension headers of a quoted packet as far as they are there; false: cut off before the
 * transport header. */
bool ip6_walk_quoted(const void *p, uint32_t n, const struct ip6 *h, struct ip6_walk *k);

/* ff02::1, ff02::2 and ff02::16 by their last byte. */
static inline struct ipaddr ip6_link_group(uint8_t last)
{
	return (struct ipaddr){ .b = { 0xff, 2, [15] = last } };
}
/* RFC 4291 2.7.1: where those who have an address that ends like a listen. */
static inline struct ipaddr ip6_solicited_node(const struct ipaddr *a)
{
	return (struct ipaddr){ .b = { 0xff, 2, [11] = 1, 0xff, a->b[13], a->b[14], a->b[15] } };
}
static inline bool ip6_is_solicited_node(const struct ipaddr *a)
{
	return a->w[0] == be32_of(0xff020000).raw && a->w[1] == 0 && a->w[2] == be32_of(1).raw &&
	       a->b[12] == 0xff;
}
