/* IPv6 output: header, route, neighbour, and fragments of packets that do not fit (RFC 8200 4.5). */
// SPDX-License-Identifier: MIT
#include "stack/net/ip6.h"
#include <errno.h>
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/neigh.h"
#include "stack/net/pkt_fill.h"

static struct eth_addr mac_of(const struct netif *nif)
{
	struct eth_addr a;

	memcpy(a.b, nif->mac, sizeof(a.b));
	return a;
}

/* RFC 4861 6.3.2: a router may recommend a hop limit. */
static struct ip6 header(const struct netif *nif, const struct ip6_out *o, uint32_t payload_len)
{
	uint8_t hops = nif->hops6 ? nif->hops6 : (uint8_t)IP6_HOPS_DEFAULT;

	return (struct ip6){
		.src = o->src, .dst = o->dst, .flow = o->flow, .tclass = o->tclass, .next = o->proto,
		.hops = o->hops ? o->hops : hops,
		.payload_len = (uint16_t)payload_len,
	};
}

/* The IPv6 header in front of m, then the Ethernet header, once the neighbour is known. */
static void emit(struct net_env *env, const struct route *r, const struct ip6 *h, struct rte_mbuf *m)
{
	struct netif *nif = r->nif;
	struct eth eth = { .src = mac_of(nif), .type = ETH_TYPE_IP6 };

	ip6_emit(h, pkt_push(m, IP6_HDR_LEN));
	/* The Ethernet header goes in first, with a hole: a packet that waits for its neighbour then
	 * needs the address only. */
	uint8_t *p = pkt_push(m, ETH_HDR_LEN);
	bool known = ipaddr_is_multicast(&h->dst);
	if (known)
		eth.dst = eth_addr_of_group6(h->dst.b + 12);
	eth_emit(&eth, p);
	if (!known) {
		struct eth_addr mac;

		if (!neigh_resolve(env->neigh, nif, route_next_hop(r, &h->dst), m, &mac, env->now_ns))
			return;
		memcpy(p, &mac, sizeof(mac));
	}
	env->tx(env->arg, nif, m);
}

void ip6_output(struct net_env *env, const struct route *r, const struct ip6_out *o,
		struct rte_mbuf *m)
{
	/* Of a TSO frame the port writes the length into each segment. */
	const struct ip6 h = header(r->nif, o, min_u32(m->pkt_len, IP6_PAYLOAD_MAX));

	emit(env, r, &h, m);
}

const struct route *ip6_route(const struct net_env *env, const struct ipaddr *dst, struct netif *nif,
			      struct route *tmp)
{
	if (ipaddr_is_multicast(dst)) {
		*tmp = (struct route){ .kind = ROUTE_ONLINK, .nif = nif };
		if (!nif && env->n_netif)
			tmp->nif = env->netif[0];
		return tmp->nif ? tmp : NULL;
	}
	const struct route *r = route_lookup_on(env->routes, dst, nif);
	return r && r->nif && r->kind != ROUTE_LOCAL ? r : NULL;
}

int ip6_send(struct net_env *env, const struct ip6_out *o, const struct iovec *iov, int n_iov)
{
	struct route tmp;
	const struct route *r = ip6_route(env, &o->dst, o->nif, &tmp);

	if (!r) {
		STAT_INC(ip6_drop_noroute);
		return -ENETUNREACH;
	}
	return ip6_send_via(env, r, netif_mtu6(r->nif), o, iov, n_iov);
}

int ip6_send_via(struct net_env *env, const struct route *r, uint32_t mtu, const struct ip6_out *o,
		 const struct iovec *iov, int n_iov)
{
	size_t total = 0;

	for (int i = 0; i < n_iov; i++)
		total += iov[i].iov_len;
	uint32_t room = max_u32(mtu, IP6_MTU_MIN) - IP6_HDR_LEN;
	if (total > IP6_PAYLOAD_MAX || (o->dont_frag && total > room))
		return -EMSGSIZE;
	bool frags = total > room;
	uint32_t step = frags ? (room - IP6_FRAG_LEN) & ~7u : (uint32_t)total;
	/* RFC 7739: a stranger must not know the next one. */
	uint32_t id = frags ? (uint32_t)rng_u64(&env->rng) : 0;
	size_t off = 0;
	do {
		uint32_t n = (uint32_t)min_u64(step, total - off);
		struct rte_mbuf *m = rte_pktmbuf_alloc(env->mbufs);
		struct ip6 h = header(r->nif, o, n + (frags ? IP6_FRAG_LEN : 0));

		if (!m || !pkt_fill(env->mbufs, m, iov, n_iov, off, n)) {
			rte_pktmbuf_free(m);
			STAT_INC(port_drop_nombuf);
			return -ENOBUFS;
		}
		if (frags) {
			ip6_emit_frag(o->proto, (uint32_t)off, off + n < total, id,
				      pkt_push(m, IP6_FRAG_LEN));
			h.next = IP6_FRAGMENT;
			STAT_INC(ip6_frag_tx);
		}
		off += n;
		emit(env, r, &h, m);
	} while (off < total);
	return 0;
}

int ip6_send_alert(struct net_env *env, struct netif *nif, const struct ip6_out *o, const void *p,
		   uint32_t n)
{
	/* Hop-by-hop options: router alert of MLD (RFC 2711 2.1), two bytes of padding. */
	static const uint8_t options[8] = { 0, 0, 5, 2, 0, 0, 1, 0 };
	struct rte_mbuf *m = rte_pktmbuf_alloc(env->mbufs);
	const struct route r = { .kind = ROUTE_ONLINK, .nif = nif };

	if (!m || rte_pktmbuf_tailroom(m) < n) {
		rte_pktmbuf_free(m);
		STAT_INC(port_drop_nombuf);
		return -ENOBUFS;
	}
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), p, n);
	uint8_t *ext = pkt_push(m, sizeof(options));
	memcpy(ext, options, sizeof(options));
	ext[0] = o->proto;
	struct ip6 h = header(nif, o, n + (uint32_t)sizeof(options));
	h.next = IP6_HOPOPTS;
	emit(env, &r, &h, m);
	return 0;
}
