/* RFC 4861 7.1 and 7.2, with the rules of RFC 4429 3 for addresses that are still being checked, and without
 * fragments (RFC 6980). */
// SPDX-License-Identifier: MIT
#include "stack/net/nd.h"
#include "stack/base/log.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/neigh.h"
#include "stack/wire/icmp6.h"

static struct eth_addr mac_of(const struct netif *nif)
{
	struct eth_addr a;

	memcpy(a.b, nif->mac, sizeof(a.b));
	return a;
}

/* A message without its checksum; b has ND_EMIT_MAX bytes. */
static void send_nd(struct net_env *env, struct netif *nif, const struct ipaddr *src,
		    const struct ipaddr *dst, const struct nd_msg *m, const struct eth_addr *mac)
{
	uint8_t b[ND_EMIT_MAX];
	uint32_t n = nd_emit(m, b);
	struct rte_mbuf *buf = rte_pktmbuf_alloc(env->mbufs);
	const struct ip6 h = { .src = *src, .dst = *dst, .payload_len = (uint16_t)n,
			       .next = IP_PROTO_ICMP6, .hops = ND_HOPS };
	struct eth eth = { .src = mac_of(nif), .type = ETH_TYPE_IP6 };

	if (unlikely(!buf)) {
		STAT_INC(port_drop_nombuf);
		return;
	}
	icmp6_put_csum(src, dst, b, n);
	memcpy(rte_pktmbuf_append(buf, (uint16_t)n), b, n);
	ip6_emit(&h, pkt_push(buf, IP6_HDR_LEN));
	eth.dst = mac ? *mac : eth_addr_of_group6(dst->b + 12);
	eth_emit(&eth, pkt_push(buf, ETH_HDR_LEN));
	env->tx(env->arg, nif, buf);
}

void nd_solicit(struct net_env *env, struct netif *nif, const struct ipaddr *target,
		const struct eth_addr *mac)
{
	struct nd_msg m = { .type = ICMP6_T_ND_NS, .target = *target, .slla = mac_of(nif) };
	struct ipaddr dst = mac ? *target : ip6_solicited_node(target), src;

	if (!route_source6(env->routes, target, nif, 0, &src))
		return;
	/* RFC 4429 3.2: what is not yet certain to be ours must not get into caches. */
	const struct netif_addr *a = netif_find_addr(nif, &src);
	m.has_slla = a && !(a->flags & NETIF_ADDR_OPTIMISTIC);
	STAT_INC(nd_tx_solicit);
	send_nd(env, nif, &src, &dst, &m, mac);
}

void nd_probe(struct net_env *env, struct netif *nif, const struct ipaddr *target,
	      const uint8_t nonce[ND_NONCE_LEN])
{
	struct nd_msg m = { .type = ICMP6_T_ND_NS, .target = *target, .has_nonce = true };
	const struct ipaddr any = { 0 }, dst = ip6_solicited_node(target);

	memcpy(m.nonce, nonce, ND_NONCE_LEN);
	STAT_INC(nd_tx_solicit);
	send_nd(env, nif, &any, &dst, &m, NULL);
}

void nd_announce(struct net_env *env, struct netif *nif, const struct netif_addr *a)
{
	const struct nd_msg m = { .type = ICMP6_T_ND_NA, .target = a->addr, .has_tlla = true,
				  .tlla = mac_of(nif),
				  .override = !(a->flags & NETIF_ADDR_OPTIMISTIC) };
	const struct ipaddr all = ip6_link_group(1);

	STAT_INC(nd_tx_advert);
	send_nd(env, nif, &a->addr, &all, &m, NULL);
}

void nd_announce_all(struct net_env *env, struct netif *nif)
{
	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		if (!ipaddr_is_v4(&nif->addr[i].addr) && !(nif->addr[i].flags & NETIF_ADDR_OPTIMISTIC))
			nd_announce(env, nif, &nif->addr[i]);
	}
}

void nd_ask_routers(struct net_env *env, struct netif *nif)
{
	struct nd_msg m = { .type = ICMP6_T_ND_RS, .slla = mac_of(nif) };
	const struct ipaddr all = ip6_link_group(2);
	struct ipaddr src = { 0 };

	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		const struct netif_addr *a = &nif->addr[i];

		if (!ipaddr_is_link_local(&a->addr))
			continue;
		src = a->addr;
		m.has_slla = !(a->flags & NETIF_ADDR_OPTIMISTIC);
	}
	STAT_INC(nd_tx_rs);
	send_nd(env, nif, &src, &all, &m, NULL);
}

/* Is a a station of the link of nif? Nobody else has a place in its neighbour cache. */
static bool is_onlink(const struct net_env *env, struct netif *nif, const struct ipaddr *a)
{
	const struct route *r = route_lookup_on(env->routes, a, nif);

	return r && r->kind == ROUTE_ONLINK && r->nif == nif;
}

static void ns_input(struct net_env *env, const struct ip6_in *in, const struct nd_msg *q,
		     enum nd_answer answer)
{
	const struct netif_addr *a = netif_find_addr(in->nif, &q->target);
	bool dad = ipaddr_is_any(&in->h.src);

	/* Ours, or that of another station whose last three bytes are the same. Who looks for an address
	 * that we are looking for ourselves meets ndp.c. */
	if (!a || (dad && a->flags & NETIF_ADDR_OPTIMISTIC))
		return;
	STAT_INC(nd_rx_solicit);
	if (!dad && q->has_slla && is_onlink(env, in->nif, &in->h.src))
		neigh_learn(env->neigh, in->nif, &in->h.src, q->slla, NEIGH_HEARD_REQUEST,
			    env->now_ns);
	if (answer != ND_ANSWER)
		return;
	if (dad) {
		nd_announce(env, in->nif, a);
		return;
	}
	const struct nd_msg m = { .type = ICMP6_T_ND_NA, .target = q->target, .solicited = true,
				  .override = !(a->flags & NETIF_ADDR_OPTIMISTIC), .has_tlla = true,
				  .tlla = mac_of(in->nif) };
	uint8_t b[ND_EMIT_MAX];
	struct iovec iov = { b, nd_emit(&m, b) };
	const struct ip6_out out = { .src = q->target, .dst = in->h.src, .proto = IP_PROTO_ICMP6,
				     .hops = ND_HOPS, .nif = in->nif };

	icmp6_put_csum(&out.src, &out.dst, b, (uint32_t)iov.iov_len);
	if (ip6_send(env, &out, &iov, 1) == 0)
		STAT_INC(nd_tx_advert);
}

static void na_input(struct net_env *env, const struct ip6_in *in, const struct nd_msg *m)
{
	STAT_INC(nd_rx_advert);
	if (netif_find_addr(in->nif, &m->target)) {
		STAT_INC(nd_conflict);
		LOG(net, DEBUG, "event=address_conflict family=6 port=%s", in->nif->name);
		return;
	}
	neigh_advert(env->neigh, in->nif, &m->target, m->has_tlla ? &m->tlla : NULL, m->solicited,
		     m->override, env->now_ns);
}

static void ra_input(struct net_env *env, const struct ip6_in *in, const struct nd_msg *m)
{
	STAT_INC(nd_rx_ra);
	if (m->has_slla && is_onlink(env, in->nif, &in->h.src))
		neigh_learn(env->neigh, in->nif, &in->h.src, m->slla, NEIGH_HEARD_REQUEST,
			    env->now_ns);
}

/* RFC 4861 6.1.1 to 8.1: what only the IPv6 header shows. */
static bool header_ok(const struct ip6_in *in, const struct nd_msg *m)
{
	bool dad = ipaddr_is_any(&in->h.src);

	switch (m->type) {
	case ICMP6_T_ND_NS:
		return !dad || (ip6_is_solicited_node(&in->h.dst) && !m->has_slla);
	case ICMP6_T_ND_NA:
		return !dad && !(m->solicited && in->multicast);
	case ICMP6_T_ND_RA:
	case ICMP6_T_ND_REDIRECT:
		return ipaddr_is_link_local(&in->h.src);
	default:
		return !dad || !m->has_slla;
	}
}

/* RFC 4861 8.1: from the router that is the first hop to that destination, and to a station of the link. */
static bool redirect_ok(const struct net_env *env, const struct ip6_in *in, const struct nd_msg *m)
{
	const struct route *r = route_lookup(env->routes, &m->dst);

	return !ipaddr_is_multicast(&m->dst) && !ipaddr_is_link_local(&m->dst) && r &&
	       r->kind == ROUTE_GATEWAY && r->nif == in->nif && ipaddr_eq(&r->gateway, &in->h.src) &&
	       (ipaddr_eq(&m->target, &m->dst) || ipaddr_is_link_local(&m->target)) &&
	       !netif_find_addr(in->nif, &m->target);
}

bool nd_input(struct net_env *env, const struct ip6_in *in, enum nd_answer answer, struct nd_msg *m)
{
	if (in->h.hops != ND_HOPS || in->was_fragment || in->l4_csum == PKT_CSUM_BAD ||
	    !icmp6_csum_ok(&in->h.src, &in->h.dst, in->payload, in->len) ||
	    nd_parse(m, in->payload, in->len) < 0 || !header_ok(in, m)) {
		STAT_INC(nd_drop_bad);
		return false;
	}
	switch (m->type) {
	case ICMP6_T_ND_NS:
		ns_input(env, in, m, answer);
		break;
	case ICMP6_T_ND_NA:
		na_input(env, in, m);
		break;
	case ICMP6_T_ND_RA:
		ra_input(env, in, m);
		break;
	case ICMP6_T_ND_REDIRECT:
		if (!redirect_ok(env, in, m)) {
			STAT_INC(nd_redirect_ignored);
			return false;
		}
		break;
	}
	return true;
}
