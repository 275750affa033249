/* Validates a received IPv6 packet: form, addresses, extension headers. What it carries is the caller's. */
// SPDX-License-Identifier: MIT
#include "stack/net/ip6.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/icmp6.h"
#include "stack/net/mcast.h"

/* ::1, and IPv4 in disguise, never come from a wire (RFC 4291 2.5.3, RFC 4942 2.2). */
static bool is_impossible(const struct ipaddr *a)
{
	return ipaddr_is_v4(a) || ipaddr_is_loopback(a);
}

/* Neither none, nor a group's, a link's, ::1 or IPv4 in disguise. */
static inline bool is_plain(const struct ipaddr *a) { return (uint8_t)(a->b[0] - 1) < 0xfe - 1; }

/* A station's own address (RFC 8200 3, RFC 4291 2.7): no group; none at all only from who looks for one; and
 * not one of ours, because our own packets to ourselves never reach a wire. */
static bool source_ok(const struct net_env *env, const struct netif *nif, const struct ip6 *h)
{
	if (likely(is_plain(&h->src)))
		return !route_is_local(env->routes, &h->src);
	if (ipaddr_is_any(&h->src))
		return ipaddr_is_multicast(&h->dst); /* of which only ICMPv6 is let through below */
	if (ipaddr_is_multicast(&h->src) || is_impossible(&h->src))
		return false;
	/* On another link somebody else may have an address of ours. */
	const struct route *r = route_lookup_on(env->routes, &h->src, nif);
	return !r || r->kind != ROUTE_LOCAL;
}

/* All nodes, those of addresses that end like something (whether ours is for neighbour discovery to say), and
 * what sockets have joined. Scopes 0 and 1 don't come from a wire (RFC 4291 2.7). MLD, behind its hop-by-hop
 * option, is heard from any source; the sockets have filters of their own. */
static bool group_wanted(const struct net_env *env, const struct netif *nif, const struct ip6 *h)
{
	if ((h->dst.b[1] & 0xf) < 2)
		return false;
	if (ip6_is_solicited_node(&h->dst))
		return true;
	if (unlikely(h->next == IP6_HOPOPTS))
		return mcast_is_joined(env->groups, &h->dst, nif->ifindex);
	return mcast_wants(env->groups, &h->dst, nif->ifindex, &h->src);
}

static bool dst_ok(const struct net_env *env, const struct netif *nif, struct ip6_in *in)
{
	const struct ip6 *h = &in->h;

	if (unlikely(!is_plain(&h->dst))) {
		if (ipaddr_is_multicast(&h->dst)) {
			in->multicast = group_wanted(env, nif, h);
			return in->multicast;
		}
		if (ipaddr_is_any(&h->dst) || is_impossible(&h->dst))
			return false;
	}
	/* An address of a link is one only there (RFC 4291 2.5.6). */
	const struct route *r = route_lookup_on(env->routes, &h->dst, nif);
	if (!r || r->kind != ROUTE_LOCAL)
		return false;
	in->unicast = in->eth_unicast;
	return true;
}

/* What in->walk has come to is the payload. */
static int found(struct ip6_in *in)
{
	in->proto = in->walk.proto;
	in->payload = in->packet + in->walk.off;
	in->len = in->packet_len - in->walk.off;
	in->l4_csum = PKT_CSUM_UNKNOWN;
	return in->proto;
}

/* Walks on from in->walk. */
static int walk_on(struct net_env *env, struct ip6_in *in)
{
	struct ip6_param param;

	switch (ip6_walk(in->packet, in->packet_len, &in->walk, &param)) {
	case IP6_WALK_OK:
		break;
	case IP6_WALK_LIMIT:
		STAT_INC(ip6_drop_limit);
		return -1;
	case IP6_WALK_DROP:
		STAT_INC(ip6_drop_header);
		return -1;
	case IP6_WALK_PARAM:
		STAT_INC(ip6_drop_header);
		icmp6_send_param(env, in, &param);
		return -1;
	}
	in->was_fragment |= in->walk.has_frag;
	found(in);
	/* Who has no address has nothing to say but ICMPv6 (RFC 4862 5.4.2, RFC 3590). */
	if (unlikely(ipaddr_is_any(&in->h.src)) && !ip6_is_fragment(in) && in->proto != IP_PROTO_ICMP6) {
		STAT_INC(ip6_drop_src);
		return -1;
	}
	return in->proto;
}

int ip6_input(struct net_env *env, struct netif *nif, const void *p, uint32_t n, bool eth_unicast,
	      struct ip6_in *in)
{
	*in = (struct ip6_in){ .nif = nif, .packet = p, .eth_unicast = eth_unicast };
	if (unlikely(ip6_parse(&in->h, p, n) < 0)) {
		STAT_INC(ip6_drop_header);
		return -1;
	}
	in->packet_len = (uint32_t)IP6_HDR_LEN + in->h.payload_len;
	bool seen = env->seen6.nif == nif && ipaddr_eq(&env->seen6.src, &in->h.src) &&
		    ipaddr_eq(&env->seen6.dst, &in->h.dst);
	if (unlikely(!seen && !source_ok(env, nif, &in->h))) {
		STAT_INC(ip6_drop_src);
		return -1;
	}
	if (unlikely(!seen && !dst_ok(env, nif, in))) {
		STAT_INC(ip6_drop_dst);
		return -1;
	}
	if (seen) {
		in->unicast = eth_unicast;
	} else if (!in->multicast) {
		env->seen6.nif = nif;
		env->seen6.src = in->h.src;
		env->seen6.dst = in->h.dst;
	}
	in->walk = (struct ip6_walk){ .proto = in->h.next, .off = IP6_HDR_LEN, .next_at = 6 };
	/* Most packets have nothing to walk over. */
	if (likely((in->h.next == IP_PROTO_TCP || in->h.next == IP_PROTO_UDP) && is_plain(&in->h.src)))
		return found(in);
	return walk_on(env, in);
}

int ip6_input_whole(struct net_env *env, struct ip6_in *in)
{
	/* It begins anew behind the IPv6 header, but hop-by-hop options had their place before. */
	in->walk = (struct ip6_walk){ .proto = in->h.next, .off = IP6_HDR_LEN, .next_at = 6,
				      .has_frag = true };
	if (in->h.next == IP6_HOPOPTS) {
		STAT_INC(ip6_drop_header);
		return -1;
	}
	return walk_on(env, in);
}
