/* The receive path from top to bottom: Ethernet, then ARP or IPv4 (fragments are put together; IPv6: see
 * rx_ip6.c), then ICMP, UDP or TCP; a frame whose flow belongs to another worker goes there. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <rte_ring.h>
#include "stack/base/checksum.h"
#include "stack/net/arp.h"
#include "stack/net/ip4_frag.h"
#include "stack/net/pkt.h"
#include "stack/worker/worker_int.h"

enum { BURSTS_PER_LOOP = 4, PREFETCH = 3 };

static bool l4_csum_ok(const struct ip4_in *in)
{
	if (in->l4_csum != PKT_CSUM_UNKNOWN)
		return in->l4_csum == PKT_CSUM_GOOD;
	struct ipaddr src = ipaddr_v4(in->h.src), dst = ipaddr_v4(in->h.dst);
	uint32_t sum = csum_pseudo(&src, &dst, in->h.proto, in->len);
	return csum_fold(csum_add(sum, in->payload, in->len)) == 0;
}

static void rx_tcp(struct worker *w, const struct ip4_in *in)
{
	struct tcp_seg seg;

	/* RFC 1122 4.2.3.10: a segment to a broadcast address is dropped silently. */
	if (unlikely(!in->unicast)) {
		STAT_INC(ip4_drop_dst);
		return;
	}
	if (unlikely(!l4_csum_ok(in))) {
		STAT_INC(tcp_drop_csum);
		return;
	}
	int hdr_len = tcp_seg_parse(&seg, in->payload, in->len);
	if (unlikely(hdr_len < 0)) {
		STAT_INC(tcp_drop_header);
		return;
	}
	seg.ecn = in->h.tos & 3;
	seg.ttl = in->h.ttl;
	struct tcp_flow flow = {
		.local = { .addr = ipaddr_v4(in->h.dst), .port = seg.dport },
		.remote = { .addr = ipaddr_v4(in->h.src), .port = seg.sport },
	};
	if (unlikely(w->bridge) && bridge_takes_tcp(w, &flow, &seg))
		return;
	if (unlikely(w->chain))
		chain_tcp_input(w, &flow, &seg, in->payload + hdr_len);
	else
		tcp_input(&w->sock.tcp, &flow, &seg, in->payload + hdr_len, w->now_ns);
}

/* Linux ends a connection attempt on any error but "too big", fatal or not. */
static void rx_icmp(struct worker *w, const struct ip4_in *in)
{
	struct icmp4_error e;

	if (!icmp4_input(&w->net, in, &e))
		return;
	if (unlikely(w->bridge) && bridge_takes_error(w, &e))
		return;
	if (e.proto == IP_PROTO_UDP) {
		rx_udp_error(w, &e);
		return;
	}
	struct tcp_flow flow = {
		.local = { .addr = ipaddr_v4(e.local), .port = e.lport },
		.remote = { .addr = ipaddr_v4(e.remote), .port = e.rport },
	};
	STAT_INC(icmp_rx_error);
	if (!tcp_icmp_is_near(&w->sock.tcp, &flow, e.ttl))
		return;
	tcp_icmp_error(&w->sock.tcp, &flow, (seq_t){ e.tcp_seq }, e.err, e.err != EMSGSIZE, e.mtu,
		       w->now_ns);
}

static void rx_datagram(struct worker *w, const struct ip4_in *in)
{
	switch (in->h.proto) {
	case IP_PROTO_TCP:
		rx_tcp(w, in);
		break;
	case IP_PROTO_UDP:
		rx_udp(w, in);
		break;
	case IP_PROTO_ICMP:
		rx_icmp(w, in);
		break;
	case IP_PROTO_IGMP:
		rx_igmp(w, in);
		break;
	default:
		STAT_INC(ip4_drop_proto);
		icmp4_send_unreach(&w->net, in, ICMP_C_PROTO);
	}
}

/* A fragment; when it is the last one missing, the datagram takes the usual way. */
static void rx_fragment(struct worker *w, struct ip4_in *in)
{
	/* Each engine puts together for itself; one to many has been copied already. */
	if (unlikely(bridge_is_host(w)) && in->unicast)
		bridge_copy_frame(w);
	if (!ip4_reass_input(w->reass, &in->h, in->payload, in->len, &in->payload, &in->len,
			     w->now_ns))
		return;
	in->l4_csum = PKT_CSUM_UNKNOWN;
	uint32_t owner = steer_owner(w, in);
	if (owner != w->conf.number) {
		steer_datagram(w, owner, in);
		return;
	}
	if (unlikely(w->bridge))
		w->bridge->reass = true;
	rx_datagram(w, in);
}

/* True: m has gone to another worker. */
static bool rx_ip4(struct worker *w, struct netif *nif, struct rte_mbuf *m, const uint8_t *p,
		   uint32_t n, bool eth_unicast)
{
	struct ip4_in in;

	if (ip4_input(&w->net, nif, p, n, pkt_ip_csum(m), eth_unicast, &in) < 0)
		return false;
	in.l4_csum = pkt_l4_csum(m);
	if (w->conf.n_workers > 1) {
		uint32_t owner = steer_owner(w, &in);

		if (owner != w->conf.number) {
			steer_give(w, owner, nif, m, STEER_FRAME);
			return true;
		}
	}
	if (unlikely(ip4_is_fragment(&in.h)))
		rx_fragment(w, &in);
	else
		rx_datagram(w, &in);
	return false;
}

static void rx_arp(struct worker *w, struct netif *nif, struct rte_mbuf *m, const uint8_t *p,
		   uint32_t n, enum rx_from from)
{
	/* Before it is answered: the others need it as it came. */
	if ((from == RX_WIRE || from == RX_BRIDGED) && w->conf.n_workers > 1)
		steer_copy_all(w, nif, m);
	arp_input(&w->net, nif, p, n,
		  from == RX_ARP_COPY || from == RX_BRIDGED ? ARP_LEARN_ONLY : ARP_ANSWER);
}

static bool rx_any(struct worker *w, struct netif *nif, struct rte_mbuf *m, enum rx_from from)
{
	struct eth eth;
	uint32_t n = pkt_len(m);
	w->chain = NULL;
	const uint8_t *p = likely(pkt_is_single(m)) ? pkt_data(m) : chain_begin(w, m);
	int hdr_len = p ? eth_parse(&eth, p, n) : -1;

	if (unlikely(hdr_len < 0)) {
		STAT_INC(eth_drop_short);
		return false;
	}
	bool unicast = memcmp(eth.dst.b, nif->mac, sizeof(eth.dst.b)) == 0;
	if (unlikely(!unicast && !eth_addr_is_multicast(eth.dst))) {
		STAT_INC(eth_drop_dst);
		return false;
	}
	if (unlikely(w->bridge)) {
		bridge_note_frame(w, nif, p, n, from == RX_REASS);
		/* To many: to the other engine as well. */
		if (from == RX_WIRE && bridge_is_host(w) && (!unicast || eth.type == ETH_TYPE_ARP))
			bridge_copy_frame(w);
	}
	p += hdr_len;
	n -= (uint32_t)hdr_len;
	if (eth.type == ETH_TYPE_IP4 && eth.vlan == 0)
		return rx_ip4(w, nif, m, p, n, unicast);
	if (eth.type == ETH_TYPE_IP6 && eth.vlan == 0)
		return rx_ip6(w, nif, m, p, n, unicast, from);
	if (eth.type == ETH_TYPE_ARP && eth.vlan == 0)
		rx_arp(w, nif, m, p, n, from);
	else
		STAT_INC(eth_drop_type);
	return false;
}

/* True: m has gone to another worker, else it stays the caller's. */
static inline bool rx_frame(struct worker *w, struct netif *nif, struct rte_mbuf *m, enum rx_from from)
{
	return !likely(rx_plain(w, nif, m)) && rx_any(w, nif, m, from);
}

void rx_bridged(struct worker *w, struct netif *nif, struct rte_mbuf *m)
{
	if (!rx_frame(w, nif, m, RX_BRIDGED))
		pkt_free(m);
}

static uint32_t rx_port(struct worker *w, struct netif *nif)
{
	struct rte_mbuf *m[RX_BURST];
	uint32_t total = 0, bytes = 0;

	for (int burst = 0; burst < BURSTS_PER_LOOP; burst++) {
		/* Of large frames only as many as stay in the cache until it is their turn. */
		uint16_t most = w->large[nif->index] ? BURST_LARGE : RX_BURST, done = 0;
		uint16_t n = nif->ops->rx_burst(nif, (uint16_t)w->conf.number, m, most);
		uint32_t before = bytes;

		rx_ahead(w, m, n);
		for (uint16_t i = 0; i < PREFETCH && i < n; i++)
			rte_prefetch0(pkt_data(m[i]));
		for (uint16_t i = 0; i < n; i++) {
			if (i + PREFETCH < n)
				rte_prefetch0(pkt_data(m[i + PREFETCH]));
			bytes += pkt_len(m[i]);
			if (likely(!rx_frame(w, nif, m[i], RX_WIRE)))
				m[done++] = m[i];
		}
		rte_pktmbuf_free_bulk(m, done);
		total += n;
		if (n)
			w->large[nif->index] = bytes - before >= n * (BURST_BYTES / BURST_LARGE / 2);
		if (n < most)
			break;
	}
	if (total) {
		STAT_ADD(port_rx_pkts, total);
		STAT_ADD(port_rx_bytes, bytes);
	}
	return total;
}

uint32_t rx_ports(struct worker *w)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < w->conf.n_netif; i++) {
		if (w->conf.number < w->conf.netif[i]->n_queues)
			total += rx_port(w, w->conf.netif[i]);
	}
	return total;
}

uint32_t rx_steered(struct worker *w)
{
	void *m[RX_BURST];
	uint32_t n = 0;

	/* With one worker only what changed hands with a port, see worker_inject(). */
	if (w->conf.n_workers > 1 || unlikely(!rte_ring_empty(w->steered)))
		n = rte_ring_sc_dequeue_burst(w->steered, m, RX_BURST, NULL);
	for (uint32_t i = 0; i < n; i++) {
		struct rte_mbuf *pkt = m[i];

		enum rx_from from = pkt->hash.usr == STEER_ARP_COPY ? RX_ARP_COPY :
				    pkt->hash.usr == STEER_REASS    ? RX_REASS : RX_STEERED;

		if (pkt->hash.usr == STEER_LOCAL || pkt->hash.usr == STEER_LOCAL_REFUSED ||
		    pkt->hash.usr == STEER_LOCAL_SECOND)
			local_steered(w, pkt);
		else if (!rx_frame(w, w->conf.netif[pkt->port], pkt, from))
			pkt_free(pkt);
	}
	return n;
}
