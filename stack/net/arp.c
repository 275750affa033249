/* RFC 826 with the checks of RFC 5227: who asks for one of our addresses gets an answer, senders are
 * learned only when they are on our link and do not claim to be us. */
// SPDX-License-Identifier: MIT
#include "stack/net/arp.h"
#include "stack/base/log.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/neigh.h"
#include "stack/net/pkt.h"
#include "stack/wire/arp.h"

static bool is_own(const struct netif *nif, uint32_t ip4)
{
	struct ipaddr a = ipaddr_v4(ip4);

	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		if (ipaddr_eq(&nif->addr[i].addr, &a))
			return true;
	}
	return false;
}

/* Is ip4 a station of the link of nif? Nobody else has a place in its neighbour cache. */
static bool is_onlink(const struct net_env *env, const struct netif *nif, uint32_t ip4)
{
	struct ipaddr a = ipaddr_v4(ip4);
	const struct route *r = route_lookup(env->routes, &a);

	return r && r->kind == ROUTE_ONLINK && r->nif == nif;
}

static void send_arp(struct net_env *env, struct netif *nif, const struct arp_pkt *a,
		     struct eth_addr dst)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(env->mbufs);
	uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, ETH_FRAME_MIN) : NULL;
	struct eth eth = { .dst = dst, .src = a->sha, .type = ETH_TYPE_ARP };

	if (unlikely(!p)) {
		pkt_free(m);
		STAT_INC(port_drop_nombuf);
		return;
	}
	memset(p, 0, ETH_FRAME_MIN);
	arp_emit(a, p + eth_emit(&eth, p));
	env->tx(env->arg, nif, m);
}

static struct eth_addr mac_of(const struct netif *nif)
{
	struct eth_addr a;

	memcpy(a.b, nif->mac, sizeof(a.b));
	return a;
}

/* An address of ours that suits target, so that it knows where to answer. */
static uint32_t source_for(const struct net_env *env, const struct netif *nif, uint32_t target)
{
	struct ipaddr dst = ipaddr_v4(target), src;

	if (route_source(env->routes, &dst, &src) && ipaddr_is_v4(&src))
		return ipaddr_get_v4(&src);
	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		if (ipaddr_is_v4(&nif->addr[i].addr))
			return ipaddr_get_v4(&nif->addr[i].addr);
	}
	return 0;
}

void arp_request(struct net_env *env, struct netif *nif, uint32_t target,
		 const struct eth_addr *mac)
{
	struct arp_pkt a = {
		.op = ARP_OP_REQUEST,
		.sha = mac_of(nif),
		.spa = source_for(env, nif, target),
		.tpa = target,
	};

	STAT_INC(arp_tx_request);
	send_arp(env, nif, &a, mac ? *mac : eth_addr_broadcast());
}

void arp_announce(struct net_env *env, struct netif *nif)
{
	for (uint32_t i = 0; i < nif->n_addrs; i++) {
		if (!ipaddr_is_v4(&nif->addr[i].addr))
			continue;
		uint32_t ip4 = ipaddr_get_v4(&nif->addr[i].addr);
		struct arp_pkt a = { .op = ARP_OP_REQUEST, .sha = mac_of(nif), .spa = ip4,
				     .tpa = ip4 };

		STAT_INC(arp_tx_request);
		send_arp(env, nif, &a, eth_addr_broadcast());
	}
}

static void answer_request(struct net_env *env, struct netif *nif, const struct arp_pkt *q)
{
	struct arp_pkt a = { .op = ARP_OP_REPLY, .sha = mac_of(nif), .spa = q->tpa, .tha = q->sha,
			     .tpa = q->spa };

	STAT_INC(arp_tx_reply);
	send_arp(env, nif, &a, q->sha);
}

void arp_input(struct net_env *env, struct netif *nif, const void *p, uint32_t n,
	       enum arp_answer answer)
{
	struct arp_pkt a;

	if (arp_parse(&a, p, n) < 0) {
		STAT_INC(arp_drop_bad);
		return;
	}
	if (eth_addr_eq(a.sha, mac_of(nif)))
		return; /* our own broadcast, back from the link */
	if (is_own(nif, a.spa)) {
		STAT_INC(arp_conflict);
		LOG(net, DEBUG, "event=address_conflict addr=" IP4_FMT " mac=" ETH_ADDR_FMT,
		    IP4_ARG(a.spa), ETH_ADDR_ARG(a.sha));
		return;
	}
	bool for_us = is_own(nif, a.tpa);
	if (a.spa && is_onlink(env, nif, a.spa)) {
		struct ipaddr sender = ipaddr_v4(a.spa);
		enum neigh_heard heard = NEIGH_HEARD_OTHER;

		if (for_us)
			heard = a.op == ARP_OP_REPLY ? NEIGH_HEARD_REPLY : NEIGH_HEARD_REQUEST;
		neigh_learn(env->neigh, nif, &sender, a.sha, heard, env->now_ns);
	}
	if (a.op == ARP_OP_REPLY) {
		STAT_INC(arp_rx_reply);
	} else if (for_us) {
		STAT_INC(arp_rx_request);
		if (answer == ARP_ANSWER)
			answer_request(env, nif, &a);
	}
}
