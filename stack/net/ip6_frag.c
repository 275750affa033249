/* What is IPv6's own about reassembly: the first fragment's header and what follows it make the packet; who
 * waits in vain says so. */
// SPDX-License-Identifier: MIT
#include "stack/net/ip6_frag.h"
#include <stdlib.h>
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/icmp6.h"

struct ip6_reass {
	struct reass *r;
	struct net_env *env;
};

/* Of the first fragment: its header, with what follows the fragment header as the next one. */
struct note {
	struct ip6 h;
	uint16_t nif;
	bool eth_unicast, unicast, multicast;
};
_Static_assert(sizeof(struct note) <= REASS_NOTE_MAX, "fits");

/* RFC 8200 4.5, RFC 4443 3.3: about the first fragment, if it came. */
static void expired(void *arg, const void *noted, const uint8_t *p, uint32_t n)
{
	struct ip6_reass *x = arg;
	const struct note *note = noted;
	static const uint32_t most = IP6_MTU_MIN;
	uint8_t packet[IP6_MTU_MIN];
	uint32_t len = min_u32(n, most - IP6_HDR_LEN);

	ip6_emit(&note->h, packet);
	memcpy(packet + IP6_HDR_LEN, p, len);
	const struct ip6_in in = {
		.h = note->h, .nif = x->env->netif[note->nif], .packet = packet,
		.packet_len = IP6_HDR_LEN + len, .proto = note->h.next, .payload = packet + IP6_HDR_LEN,
		.len = len, .eth_unicast = note->eth_unicast, .unicast = note->unicast,
		.multicast = note->multicast,
	};
	icmp6_send_exceeded(x->env, &in, ICMP6_C_REASSEMBLY);
}

struct ip6_reass *ip6_reass_new(struct net_env *env, uint64_t seed)
{
	struct ip6_reass *x = malloc(sizeof(*x));
	const struct reass_conf conf = {
		.timeout_ms = IP6_REASS_TIMEOUT_MS,
		.stat = { STAT_ip6_frag_rx, STAT_ip6_frag_ok, STAT_ip6_frag_drop_overlap,
			  STAT_ip6_frag_drop_timeout, STAT_ip6_frag_drop_limit },
		.expired = expired,
		.arg = x,
	};

	if (!x)
		return NULL;
	*x = (struct ip6_reass){ .env = env, .r = reass_new(&conf, seed, env->now_ns) };
	if (x->r)
		return x;
	free(x);
	return NULL;
}

void ip6_reass_free(struct ip6_reass *x)
{
	if (!x)
		return;
	reass_free(x->r);
	free(x);
}

/* As on Linux: what is of a link, or to many, comes together on that link only. */
static uint32_t zone_of(const struct ip6_in *in)
{
	bool zone = ipaddr_has_zone(&in->h.src) || ipaddr_has_zone(&in->h.dst) ||
		    ipaddr_is_multicast(&in->h.dst);

	return zone ? in->nif->index + 1u : 0;
}

bool ip6_reass_input(struct ip6_reass *x, struct ip6_in *in)
{
	struct note note = { .h = in->h, .nif = in->nif->index, .eth_unicast = in->eth_unicast,
			     .unicast = in->unicast, .multicast = in->multicast };
	const struct reass_frag f = {
		.key = { .src = in->h.src, .dst = in->h.dst, .id = in->walk.frag_id,
			 .zone = zone_of(in) },
		.off = in->walk.frag_off, .more = in->walk.more_frags, .ecn = in->h.tclass,
		.note = &note, .note_len = sizeof(note), .p = in->payload, .n = in->len,
	};
	struct reass_whole whole;

	note.h.next = in->proto;
	note.h.payload_len = (uint16_t)in->len;
	if (!reass_input(x->r, &f, &whole, x->env->now_ns))
		return false;
	memcpy(&note, whole.note, sizeof(note));
	note.h.payload_len = (uint16_t)whole.len;
	if (whole.ce)
		note.h.tclass |= 3;
	_Static_assert((int)REASS_HEADROOM >= (int)IP6_HDR_LEN, "the header has room");
	ip6_emit(&note.h, whole.p - IP6_HDR_LEN);
	*in = (struct ip6_in){
		.h = note.h, .nif = in->nif, .packet = whole.p - IP6_HDR_LEN,
		.packet_len = IP6_HDR_LEN + whole.len, .eth_unicast = note.eth_unicast,
		.unicast = note.unicast, .multicast = note.multicast, .was_fragment = true,
	};
	return true;
}

void ip6_reass_advance(struct ip6_reass *x, uint64_t now_ns) { reass_advance(x->r, now_ns); }
uint64_t ip6_reass_next_ns(const struct ip6_reass *x) { return reass_next_ns(x->r); }
uint32_t ip6_reass_blocks(const struct ip6_reass *x) { return reass_blocks(x->r); }
