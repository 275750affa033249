/* Validates a received IPv4 packet: form, checksum, addresses. What it carries is the caller's. */
// SPDX-License-Identifier: MIT
#include "stack/net/ip4.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/mcast.h"

enum { NET_THIS = 0, NET_LOOPBACK = 127, CLASS_D = 0xe0 };
#define IP4_BROADCAST 0xffffffffu

/* A station's own address (RFC 1122 3.2.1.3): not multicast, not broadcast, not net 0 or 127, and not
 * one of ours, because our own packets to ourselves never reach a wire. */
static bool source_ok(const struct net_env *env, const struct ip4 *h)
{
	uint32_t src = h->src;
	uint8_t net = (uint8_t)(src >> 24);

	/* A station that has no address yet: DHCP, or who asks for members (RFC 3376 9.2, RFC 4541). */
	if (src == 0 && (h->dst == IP4_BROADCAST || h->proto == IP_PROTO_IGMP))
		return true;
	if (net == NET_THIS || net == NET_LOOPBACK || net >= CLASS_D)
		return false;
	struct ipaddr a = ipaddr_v4(src);
	const struct route *r = route_lookup(env->routes, &a);
	return !r || (r->kind != ROUTE_LOCAL && r->kind != ROUTE_BROADCAST);
}

/* IGMP is heard from any source in every group that we are in. */
static bool group_wanted(const struct net_env *env, const struct netif *nif, const struct ip4 *h)
{
	const struct ipaddr group = ipaddr_v4(h->dst), src = ipaddr_v4(h->src);

	if (h->proto == IP_PROTO_IGMP)
		return mcast_is_joined(env->groups, &group, nif->ifindex);
	return mcast_wants(env->groups, &group, nif->ifindex, &src);
}

enum dst_kind { DST_OTHER, DST_UNICAST, DST_BROADCAST, DST_MULTICAST };

static enum dst_kind classify_dst(const struct net_env *env, const struct netif *nif,
				  const struct ip4 *h)
{
	uint32_t dst = h->dst;

	if (dst == IP4_BROADCAST)
		return DST_BROADCAST;
	if (dst >> 28 == CLASS_D >> 4)
		return group_wanted(env, nif, h) ? DST_MULTICAST : DST_OTHER;
	/* Never from the wire, also when 127/8 is ours (RFC 1122 3.2.1.3 (g)). */
	if (dst >> 24 == NET_LOOPBACK)
		return DST_OTHER;
	struct ipaddr a = ipaddr_v4(dst);
	const struct route *r = route_lookup(env->routes, &a);
	if (r && r->kind == ROUTE_LOCAL)
		return DST_UNICAST;
	return r && r->kind == ROUTE_BROADCAST ? DST_BROADCAST : DST_OTHER;
}

int ip4_input(struct net_env *env, struct netif *nif, const void *p, uint32_t n,
	      enum pkt_csum ip_csum, bool eth_unicast, struct ip4_in *in)
{
	int hdr_len = ip4_parse(&in->h, p, n);

	if (unlikely(hdr_len < 0)) {
		STAT_INC(ip4_drop_header);
		return -1;
	}
	if (unlikely(ip_csum == PKT_CSUM_BAD ||
		     (ip_csum == PKT_CSUM_UNKNOWN && !ip4_csum_ok(p, (uint32_t)hdr_len)))) {
		STAT_INC(ip4_drop_csum);
		return -1;
	}
	/* A fragment that ends beyond the largest datagram, or a middle one of no whole 8 bytes. */
	uint32_t len = in->h.total_len - (uint32_t)hdr_len;
	if (unlikely(ip4_is_fragment(&in->h) &&
		     (in->h.frag_off + len > IP4_TOTAL_MAX - IP4_HDR_MIN || len == 0 ||
		      (in->h.more_frags && len % 8)))) {
		STAT_INC(ip4_frag_drop_limit);
		return -1;
	}
	bool seen = env->seen.src == in->h.src && env->seen.dst == in->h.dst && env->seen.nif == nif;
	if (unlikely(!seen && !source_ok(env, &in->h))) {
		STAT_INC(ip4_drop_src);
		return -1;
	}
	enum dst_kind dst = seen ? DST_UNICAST : classify_dst(env, nif, &in->h);
	if (unlikely(dst == DST_OTHER)) {
		STAT_INC(ip4_drop_dst);
		return -1;
	}
	if (!seen && dst == DST_UNICAST) {
		env->seen.nif = nif;
		env->seen.src = in->h.src;
		env->seen.dst = in->h.dst;
	}
	in->nif = nif;
	in->payload = (const uint8_t *)p + hdr_len;
	in->len = len;
	in->l4_csum = PKT_CSUM_UNKNOWN;
	in->unicast = dst == DST_UNICAST && eth_unicast;
	in->multicast = dst == DST_MULTICAST;
	in->broadcast = dst == DST_BROADCAST;
	return in->h.proto;
}
