/* IPv4 output: header, route, neighbour, and fragments of datagrams that do not fit. */
// SPDX-License-Identifier: MIT
#include "stack/net/ip4.h"
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

/* The IPv4 header in front of m, then the Ethernet header, once the neighbour is known. */
static void emit(struct net_env *env, const struct route *r, const struct ip4 *h,
		 struct rte_mbuf *m)
{
	enum ip4_csum csum = r->nif->tx_csum_ip ? IP4_CSUM_ZERO : IP4_CSUM_FILL;
	uint8_t *p = pkt_push(m, ETH_HDR_LEN + IP4_HDR_MIN);
	struct eth_addr *to = eth_dst_at(p);
	struct ipaddr dst = ipaddr_v4(h->dst);

	ip4_emit(h, p + ETH_HDR_LEN, csum);
	if (csum == IP4_CSUM_ZERO)
		pkt_want_ip_csum(m);
	/* All of the Ethernet header but its first field: who waits for a neighbour needs that only. */
	eth_emit_rest(p, r->nif->mac, ETH_TYPE_IP4);
	if (r->kind == ROUTE_BROADCAST || h->dst == 0xffffffff)
		*to = eth_addr_broadcast();
	else if (h->dst >> 28 == 0xe)
		*to = eth_addr_of_group4(h->dst);
	else if (!neigh_resolve(env->neigh, r->nif, route_next_hop(r, &dst), m, to, env->now_ns))
		return;
	env->tx(env->arg, r->nif, m);
}

void ip4_output(struct net_env *env, const struct route *r, const struct ip4_out *o,
		struct rte_mbuf *m)
{
	struct ip4 h = {
		.src = o->src,
		.dst = o->dst,
		.proto = o->proto,
		.ttl = o->ttl ? o->ttl : IP4_TTL_DEFAULT,
		.tos = o->tos,
		.total_len = (uint16_t)(m->pkt_len + IP4_HDR_MIN),
		.id = env->ip_id++,
		.dont_frag = o->dont_frag,
	};

	emit(env, r, &h, m);
}

int ip4_send(struct net_env *env, const struct ip4_out *o, const struct iovec *iov, int n_iov)
{
	struct ipaddr dst = ipaddr_v4(o->dst);
	const struct route *r = route_lookup(env->routes, &dst);

	if (!r || !r->nif || r->kind == ROUTE_LOCAL) {
		STAT_INC(ip4_drop_noroute);
		return -ENETUNREACH;
	}
	return ip4_send_via(env, r, r->nif->mtu, o, iov, n_iov);
}

int ip4_send_via(struct net_env *env, const struct route *r, uint32_t mtu, const struct ip4_out *o,
		 const struct iovec *iov, int n_iov)
{
	size_t total = 0;

	for (int i = 0; i < n_iov; i++)
		total += iov[i].iov_len;
	uint32_t room = mtu - IP4_HDR_MIN;
	if (total > IP4_TOTAL_MAX - IP4_HDR_MIN || (o->dont_frag && total > room))
		return -EMSGSIZE;
	bool frags = total > room;
	uint32_t step = frags ? room & ~7u : (uint32_t)total;
	struct ip4 h = {
		.src = o->src,
		.dst = o->dst,
		.proto = o->proto,
		.ttl = o->ttl ? o->ttl : IP4_TTL_DEFAULT,
		.tos = o->tos,
		.id = env->ip_id++,
		.dont_frag = o->dont_frag,
	};
	size_t off = 0;
	do {
		uint32_t n = (uint32_t)min_u64(step, total - off);
		struct rte_mbuf *m = rte_pktmbuf_alloc(env->mbufs);

		if (!m || !pkt_fill(env->mbufs, m, iov, n_iov, off, n)) {
			rte_pktmbuf_free(m);
			STAT_INC(port_drop_nombuf);
			return -ENOBUFS;
		}
		h.total_len = (uint16_t)(n + IP4_HDR_MIN);
		h.frag_off = (uint16_t)off;
		off += n;
		h.more_frags = off < total;
		if (frags)
			STAT_INC(ip4_frag_tx);
		emit(env, r, &h, m);
	} while (off < total);
	return 0;
}

int ip4_send_alert(struct net_env *env, struct netif *nif, const struct ip4_out *o, const void *p,
		   uint32_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(env->mbufs);
	struct eth eth = { .dst = eth_addr_of_group4(o->dst), .src = mac_of(nif),
			   .type = ETH_TYPE_IP4 };
	const struct ip4 h = {
		.src = o->src, .dst = o->dst, .proto = o->proto, .ttl = o->ttl, .tos = o->tos,
		.total_len = (uint16_t)(IP4_HDR_ALERT + n), .id = env->ip_id++, .dont_frag = true,
	};

	if (!m || rte_pktmbuf_tailroom(m) < n) {
		rte_pktmbuf_free(m);
		STAT_INC(port_drop_nombuf);
		return -ENOBUFS;
	}
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), p, n);
	ip4_emit_alert(&h, pkt_push(m, IP4_HDR_ALERT));
	eth_emit(&eth, pkt_push(m, ETH_HDR_LEN));
	env->tx(env->arg, nif, m);
	return 0;
}
