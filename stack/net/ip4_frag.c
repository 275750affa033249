/* What is IPv4's own about reassembly: what names a datagram, and the header of the whole. */
// SPDX-License-Identifier: MIT
#include "stack/net/ip4_frag.h"
#include <stdlib.h>
#include "stack/base/stats.h"

struct ip4_reass {
	struct reass *r;
};
_Static_assert(sizeof(struct ip4) <= REASS_NOTE_MAX, "the header is noted");

struct ip4_reass *ip4_reass_new(uint64_t seed, uint64_t now_ns)
{
	static const struct reass_conf conf = {
		.timeout_ms = IP4_REASS_TIMEOUT_MS,
		.stat = { STAT_ip4_frag_rx, STAT_ip4_frag_ok, STAT_ip4_frag_drop_overlap,
			  STAT_ip4_frag_drop_timeout, STAT_ip4_frag_drop_limit },
	};
	struct ip4_reass *x = malloc(sizeof(*x));

	if (!x)
		return NULL;
	x->r = reass_new(&conf, seed, now_ns);
	if (x->r)
		return x;
	free(x);
	return NULL;
}

void ip4_reass_free(struct ip4_reass *x)
{
	if (!x)
		return;
	reass_free(x->r);
	free(x);
}

bool ip4_reass_input(struct ip4_reass *x, struct ip4 *h, const void *p, uint32_t n,
		     const uint8_t **payload, uint32_t *len, uint64_t now_ns)
{
	const struct reass_frag f = {
		.key = { .src = ipaddr_v4(h->src), .dst = ipaddr_v4(h->dst), .id = h->id,
			 .proto = h->proto },
		.off = h->frag_off, .more = h->more_frags, .ecn = h->tos, .note = h,
		.note_len = sizeof(*h), .p = p, .n = n,
	};
	struct reass_whole whole;

	if (!reass_input(x->r, &f, &whole, now_ns))
		return false;
	*h = *(const struct ip4 *)whole.note;
	if (whole.ce)
		h->tos |= 3;
	h->hdr_len = IP4_HDR_MIN;
	h->total_len = (uint16_t)(whole.len + IP4_HDR_MIN);
	h->more_frags = false;
	h->dont_frag = false;
	*payload = whole.p;
	*len = whole.len;
	return true;
}

void ip4_reass_advance(struct ip4_reass *x, uint64_t now_ns) { reass_advance(x->r, now_ns); }
uint64_t ip4_reass_next_ns(const struct ip4_reass *x) { return reass_next_ns(x->r); }
uint32_t ip4_reass_blocks(const struct ip4_reass *x) { return reass_blocks(x->r); }
uint32_t ip4_reass_datagrams(const struct ip4_reass *x) { return reass_datagrams(x->r); }
