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
	struct netif *nif = r->nif;
	struct eth eth = { .src = mac_of(nif), .type = ETH_TYPE_IP4 };
	struct ipaddr dst = ipaddr_v4(h->dst);
	enum ip4_csum csum = nif->tx_csum_ip || m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM ?
				     IP4_CSUM_ZERO : IP4_CSUM_FILL;

	ip4_emit(h, pkt_push(m, IP4_HDR_MIN), csum);
	if (csum == IP4_CSUM_ZERO)
		pkt_want_ip_csum(m);
	/* The Ethernet header goes in first, with a hole: a packet that waits for its neighbour then
	 * needs the address only. */
	uint8_t *p = pkt_push(m, ETH_HDR_LEN);
	if (r->kind == ROUTE_BROADCAST || h->dst == 0xffffffff)
		eth.dst = eth_addr_broadcast();
	else if (h->dst >> 28 == 0xe)
		eth.dst = eth_addr_of_group4(h->dst);
	else
		eth.dst = (struct eth_addr){ { 0 } };
	bool known = !eth_addr_is_zero(eth.dst);
	eth_emit(&eth, p);
	if (!known) {
		struct eth_addr mac;

		if (!neigh_resolve(env->neigh, nif, route_next_hop(r, &dst), m, &mac, env->now_ns))
			return;
		memcpy(p, &mac, sizeof(mac));
	}
	env->tx(env->arg, nif, m);
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
