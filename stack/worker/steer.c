/* Frames that belong to another worker: who owns a flow, and the way there. The frame travels as it
 * came; the receiver reads it again from the Ethernet header on. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <rte_ring.h>
#include "stack/net/flow.h"
#include "stack/net/pkt.h"
#include "stack/net/pkt_fill.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"
#include "stack/worker/worker_int.h"

uint32_t steer_owner(const struct worker *w, const struct ip4_in *in)
{
	uint32_t n = w->conf.n_workers;
	struct icmp_msg m;

	/* All fragments of a datagram must meet: the ports are in the first one only. */
	if (ip4_is_fragment(&in->h))
		return flow_worker4(in->h.src, in->h.dst, 0, 0, n);
	switch (in->h.proto) {
	case IP_PROTO_UDP:
		/* All sockets of a port live with one worker: the ports are the first two fields. */
		if (in->len < 4)
			return w->conf.number;
		return chan_port_worker(load_be16(in->payload + 2), n);
	case IP_PROTO_TCP:
		if (in->len < 4)
			return w->conf.number;
		return flow_worker4(in->h.src, in->h.dst, load_be16(in->payload),
				    load_be16(in->payload + 2), n);
	case IP_PROTO_IGMP:
		return 0;
	case IP_PROTO_ICMP:
		/* Errors go where the flow lives that they are about. */
		if (icmp_parse(&m, in->payload, in->len) < 0 || !icmp_is_error(&m) ||
		    !m.orig.has_ports)
			return w->conf.number;
		if (m.orig.ip.proto == IP_PROTO_UDP)
			return chan_port_worker(m.orig.sport, n);
		return flow_worker4(m.orig.ip.src, m.orig.ip.dst, m.orig.sport, m.orig.dport, n);
	default:
		return w->conf.number;
	}
}

uint32_t steer_owner6(const struct worker *w, const struct ip6_in *in)
{
	uint32_t n = w->conf.n_workers;
	struct icmp6_msg m;

	if (ip6_is_fragment(in))
		return flow_worker6(&in->h.src, &in->h.dst, 0, 0, n);
	switch (in->proto) {
	case IP_PROTO_UDP:
		return in->len < 4 ? w->conf.number : chan_port_worker(load_be16(in->payload + 2), n);
	case IP_PROTO_TCP:
		if (in->len < 4)
			return w->conf.number;
		return flow_worker6(&in->h.src, &in->h.dst, load_be16(in->payload),
				    load_be16(in->payload + 2), n);
	case IP_PROTO_ICMP6:
		if (in->len && icmp6_is_mld(in->payload[0]))
			return 0;
		if (icmp6_parse(&m, in->payload, in->len) < 0 || !icmp6_is_error(&m) ||
		    !m.orig.has_ports)
			return w->conf.number;
		if (m.orig.proto == IP_PROTO_UDP)
			return chan_port_worker(m.orig.sport, n);
		return flow_worker6(&m.orig.ip.src, &m.orig.ip.dst, m.orig.sport, m.orig.dport, n);
	default:
		return w->conf.number;
	}
}

void steer_give(struct worker *w, uint32_t to, struct netif *nif, struct rte_mbuf *m,
		enum steer_kind kind)
{
	struct worker *other = worker_set.w[to];

	m->port = nif->index;
	m->hash.usr = kind;
	if (unlikely(rte_ring_mp_enqueue(other->steered, m) != 0)) {
		STAT_INC(port_drop_tx_full);
		pkt_free(m);
		return;
	}
	STAT_INC(worker_steered);
	worker_wake(other);
}

void steer_copy_all(struct worker *w, struct netif *nif, const struct rte_mbuf *m)
{
	for (uint32_t i = 0; i < w->conf.n_workers; i++) {
		if (i == w->conf.number)
			continue;
		struct rte_mbuf *copy = rte_pktmbuf_copy(m, w->conf.mbufs, 0, UINT32_MAX);
		if (!copy) {
			STAT_INC(port_drop_nombuf);
			return;
		}
		steer_give(w, i, nif, copy, STEER_ARP_COPY);
	}
}

/* hdr: the headers up to the payload. */
static void give_whole(struct worker *w, uint32_t to, struct netif *nif, void *hdr, uint32_t hdr_len,
		       const uint8_t *payload, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->conf.mbufs);
	const struct iovec iov[2] = { { hdr, hdr_len }, { (void *)payload, len } };

	if (m && pkt_fill(w->conf.mbufs, m, iov, 2, 0, hdr_len + len)) {
		steer_give(w, to, nif, m, STEER_REASS);
		return;
	}
	STAT_INC(port_drop_nombuf);
	pkt_free(m);
}

void steer_datagram(struct worker *w, uint32_t to, const struct ip4_in *in)
{
	uint8_t hdr[ETH_HDR_LEN + IP4_HDR_MIN];
	struct eth eth = { .type = ETH_TYPE_IP4 };

	memcpy(eth.dst.b, in->nif->mac, sizeof(eth.dst.b));
	ip4_emit(&in->h, hdr + eth_emit(&eth, hdr), IP4_CSUM_FILL);
	give_whole(w, to, in->nif, hdr, sizeof(hdr), in->payload, in->len);
}

void steer_packet6(struct worker *w, uint32_t to, const struct ip6_in *in)
{
	uint8_t hdr[ETH_HDR_LEN];
	struct eth eth = { .type = ETH_TYPE_IP6 };

	memcpy(eth.dst.b, in->nif->mac, sizeof(eth.dst.b));
	if (in->multicast)
		eth.dst = eth_addr_of_group6(in->h.dst.b + 12);
	give_whole(w, to, in->nif, hdr, eth_emit(&eth, hdr), in->packet, in->packet_len);
}
