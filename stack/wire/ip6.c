/* Parses and writes IPv6 headers and walks extension headers (RFC 8200 4) within limits (RFC 8504 5.3):
 * whoever sends long chains only makes us stop early. */
// SPDX-License-Identifier: MIT
#include "stack/wire/ip6.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "stack/wire/icmp6.h"

_Static_assert(offsetof(struct ip6_hdr, hops) == 7, "RFC 8200 3");
_Static_assert(offsetof(struct ip6_hdr, dst) == 24, "RFC 8200 3");

enum { FRAG_MORE = 1, OPT_PAD1 = 0, OPT_PADN = 1, OPT_ALERT = 5, NEXT_AT = 6 };

int ip6_parse_quoted(struct ip6 *h, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	if (n < IP6_HDR_LEN || b[0] >> 4 != 6)
		return -EINVAL;
	uint32_t first = load_be32(b);
	h->flow = first & 0xfffff;
	h->tclass = (uint8_t)(first >> 20);
	h->payload_len = load_be16(b + 4);
	h->next = b[6];
	h->hops = b[7];
	memcpy(&h->src, b + 8, sizeof(h->src));
	memcpy(&h->dst, b + 24, sizeof(h->dst));
	return IP6_HDR_LEN;
}

int ip6_parse(struct ip6 *h, const void *p, uint32_t n)
{
	int r = ip6_parse_quoted(h, p, n);

	return r < 0 || h->payload_len > n - IP6_HDR_LEN ? -EINVAL : r;
}

uint32_t ip6_emit(const struct ip6 *h, void *p)
{
	const struct ip6_hdr w = {
		.ver_tc_flow = be32_of(6u << 28 | (uint32_t)h->tclass << 20 | (h->flow & 0xfffff)),
		.payload_len = be16_of(h->payload_len),
		.next = h->next,
		.hops = h->hops,
		.src = h->src,
		.dst = h->dst,
	};

	memcpy(p, &w, sizeof(w));
	return IP6_HDR_LEN;
}

uint32_t ip6_emit_frag(uint8_t next, uint32_t off, bool more, uint32_t id, void *p)
{
	uint8_t *b = p;

	b[0] = next;
	b[1] = 0;
	store_be16(b + 2, (uint16_t)(off | (more ? FRAG_MORE : 0)));
	store_be32(b + 4, id);
	return IP6_FRAG_LEN;
}

static enum ip6_walk_end problem(struct ip6_param *param, uint8_t code, uint32_t ptr)
{
	*param = (struct ip6_param){ .code = code, .ptr = ptr };
	return IP6_WALK_PARAM;
}

/* RFC 8200 4.2: the two highest bits say what becomes of a packet with an option unknown to us. */
static enum ip6_walk_end unknown_option(uint8_t type, uint32_t at, struct ip6_param *param)
{
	switch (type >> 6) {
	case 0:
		return IP6_WALK_OK;
	case 1:
		return IP6_WALK_DROP;
	default:
		problem(param, ICMP6_C_OPTION, at);
		param->multicast_too = type >> 6 == 2;
		return IP6_WALK_PARAM;
	}
}

/* The options between at and end. */
static enum ip6_walk_end walk_options(const uint8_t *b, uint32_t at, uint32_t end, struct ip6_walk *k,
				      bool hop_by_hop, struct ip6_param *param)
{
	uint32_t n_opts = 0, pad = 0;

	while (at < end) {
		uint8_t type = b[at];
		uint32_t len = type == OPT_PAD1 ? 1 : 2;

		if (at + len > end)
			return IP6_WALK_DROP;
		if (type != OPT_PAD1)
			len += b[at + 1];
		if (at + len > end)
			return IP6_WALK_DROP;
		if (type == OPT_PAD1 || type == OPT_PADN) {
			pad += len;
			if (pad > IP6_PAD_MAX)
				return IP6_WALK_LIMIT;
			at += len;
			continue;
		}
		pad = 0;
		if (++n_opts > IP6_OPT_MAX)
			return IP6_WALK_LIMIT;
		if (type == OPT_ALERT && hop_by_hop && len == 4) {
			k->alert = true;
		} else {
			enum ip6_walk_end e = unknown_option(type, at, param);

			if (e != IP6_WALK_OK)
				return e;
		}
		at += len;
	}
	return IP6_WALK_OK;
}

/* A fragment header. A whole packet in one fragment is nothing special (RFC 6946). */
static enum ip6_walk_end walk_fragment(const uint8_t *b, uint32_t n, struct ip6_walk *k,
				       struct ip6_param *param)
{
	uint16_t word = load_be16(b + k->off + 2);
	uint32_t at = k->off, len = n - at - IP6_FRAG_LEN;

	if (k->has_frag)
		return IP6_WALK_DROP;
	k->has_frag = true;
	k->frag_at = at;
	k->frag_off = word & 0xfff8;
	k->more_frags = word & FRAG_MORE;
	k->frag_id = load_be32(b + at + 4);
	k->fragment = k->more_frags || k->frag_off;
	k->proto = b[at];
	k->next_at = at;
	k->off += IP6_FRAG_LEN;
	/* RFC 8200 4.5 */
	if (k->more_frags && len % 8)
		return problem(param, ICMP6_C_FIELD, offsetof(struct ip6_hdr, payload_len));
	if (k->frag_off + len > IP6_PAYLOAD_MAX)
		return problem(param, ICMP6_C_FIELD, at + 2);
	return IP6_WALK_OK;
}

/* RFC 5095, RFC 8200 4.4: we are the end of every source route. */
static enum ip6_walk_end walk_routing(const uint8_t *b, const struct ip6_walk *k,
				      struct ip6_param *param)
{
	bool segments_left = b[k->off + 3] != 0;

	return segments_left ? problem(param, ICMP6_C_FIELD, k->off + 2) : IP6_WALK_OK;
}

static bool is_ext(uint8_t proto)
{
	return proto == IP6_HOPOPTS || proto == IP6_ROUTING || proto == IP6_FRAGMENT ||
	       proto == IP6_DSTOPTS;
}

/* RFC 7112 5: the first fragment must have all headers, up to and with the transport's. */
static enum ip6_walk_end first_fragment(const uint8_t *b, uint32_t n, const struct ip6_walk *k,
					struct ip6_param *param)
{
	struct ip6_walk rest = { .proto = k->proto, .off = k->off, .n_ext = k->n_ext };
	static const uint8_t need[256] = { [6] = 20, [17] = 8, [58] = 8 };

	while (is_ext(rest.proto)) {
		uint32_t len = rest.off + 8 <= n ? (b[rest.off + 1] + 1u) * 8 : 0;

		if (rest.proto == IP6_FRAGMENT || rest.proto == IP6_HOPOPTS)
			return IP6_WALK_OK; /* the whole will be refused */
		if (!len || len > n - rest.off)
			return problem(param, ICMP6_C_CHAIN, 0);
		if (++rest.n_ext > IP6_EXT_MAX)
			return IP6_WALK_LIMIT;
		rest.proto = b[rest.off];
		rest.off += len;
	}
	return n - rest.off < need[rest.proto] ? problem(param, ICMP6_C_CHAIN, 0) : IP6_WALK_OK;
}

enum ip6_walk_end ip6_walk(const void *p, uint32_t n, struct ip6_walk *k, struct ip6_param *param)
{
	const uint8_t *b = p;
	uint32_t start = k->off;
	enum ip6_walk_end e = IP6_WALK_OK;

	while (is_ext(k->proto)) {
		/* RFC 8200 4.1: hop-by-hop options come first or not at all. */
		if (k->proto == IP6_HOPOPTS && k->next_at != NEXT_AT)
			return problem(param, ICMP6_C_NEXT, k->next_at);
		if (n - k->off < 8)
			return IP6_WALK_DROP;
		if (k->proto == IP6_FRAGMENT) {
			e = walk_fragment(b, n, k, param);
			if (e == IP6_WALK_OK && k->fragment && k->frag_off == 0)
				e = first_fragment(b, n, k, param);
			if (e != IP6_WALK_OK || k->fragment)
				return e;
			continue;
		}
		uint32_t len = (b[k->off + 1] + 1u) * 8;
		if (len > n - k->off)
			return IP6_WALK_DROP;
		if (++k->n_ext > IP6_EXT_MAX || k->off + len - start > IP6_EXT_BYTES)
			return IP6_WALK_LIMIT;
		if (k->proto == IP6_ROUTING)
			e = walk_routing(b, k, param);
		else
			e = walk_options(b, k->off + 2, k->off + len, k, k->proto == IP6_HOPOPTS,
					 param);
		if (e != IP6_WALK_OK)
			return e;
		k->proto = b[k->off];
		k->next_at = k->off;
		k->off += len;
	}
	return IP6_WALK_OK;
}

bool ip6_walk_quoted(const void *p, uint32_t n, const struct ip6 *h, struct ip6_walk *k)
{
	const uint8_t *b = p;

	*k = (struct ip6_walk){ .proto = h->next, .off = IP6_HDR_LEN };
	while (is_ext(k->proto)) {
		if (n - k->off < 8 || ++k->n_ext > IP6_EXT_MAX)
			return false;
		uint32_t len = k->proto == IP6_FRAGMENT ? IP6_FRAG_LEN : (b[k->off + 1] + 1u) * 8;
		if (len > n - k->off)
			return false;
		if (k->proto == IP6_FRAGMENT)
			k->frag_off = load_be16(b + k->off + 2) & 0xfff8;
		k->proto = b[k->off];
		k->off += len;
	}
	return k->frag_off == 0;
}
