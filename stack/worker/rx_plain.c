/* The short way of a TCP segment that looks like nearly all do: one buffer, to our MAC address, IPv4 without
 * options or IPv6 with nothing between, no fragment, between the addresses of the packet before, options none
 * or timestamps alone, checksums right. Whatever else it is takes the way of rx.c, from its start: nothing is
 * counted, kept or answered here, so that which way a segment takes can't be told from what becomes of it. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "stack/base/checksum.h"
#include "stack/base/util.h"
#include "stack/net/flow.h"
#include "stack/net/pkt.h"
#include "stack/wire/tcp.h"
#include "stack/worker/worker_int.h"

/* A call is a tenth of what this costs. */
#define INLINE static inline __attribute__((always_inline))
enum {
	TCP_MIN = sizeof(struct tcp_hdr),
	IP4_PLAIN = 0x45, /* version 4, no options */
	IP4_FRAG = 0x3fff, /* offset, or more of them */
};

static inline uint16_t raw16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t raw32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline bool is_ours(const struct netif *nif, const uint8_t *eth)
{
	return raw32(eth) == raw32(nif->mac) && raw16(eth + 4) == raw16(nif->mac + 4);
}

/* The n bytes of TCP at p, of which the pseudo header's sum is as given; flow has the addresses. */
INLINE bool plain_tcp(struct worker *w, const struct rte_mbuf *m, struct tcp_flow *flow,
			     uint64_t pseudo, const uint8_t *p, uint32_t n, uint8_t tos, uint8_t ttl)
{
	enum pkt_csum csum = pkt_l4_csum(m);
	struct tcp_seg seg;

	if (unlikely(csum == PKT_CSUM_BAD))
		return false;
	int hdr_len = tcp_seg_parse_plain(&seg, p, n);
	if (unlikely(hdr_len < 0))
		return false;
	if (unlikely(w->conf.n_workers > 1) &&
	    flow_worker6(&flow->remote.addr, &flow->local.addr, seg.sport, seg.dport, w->conf.n_workers) !=
		    w->conf.number)
		return false;
	if (csum == PKT_CSUM_UNKNOWN) {
		pseudo = (pseudo & UINT32_MAX) + (pseudo >> 32);
		uint32_t sum = csum_join((uint32_t)pseudo, (uint32_t)(pseudo >> 32));

		if (unlikely(csum_fold(csum_add(sum, p, n)) != 0))
			return false;
	}
	seg.ecn = tos & 3;
	seg.ttl = ttl;
	flow->local.port = seg.dport;
	flow->remote.port = seg.sport;
	tcp_input(&w->sock.tcp, flow, &seg, p + hdr_len, w->now_ns);
	return true;
}

/* The room bytes at ip. */
INLINE bool plain4(struct worker *w, struct netif *nif, struct rte_mbuf *m, const uint8_t *ip,
			  uint32_t room)
{
	uint32_t src = load_be32(ip + 12), dst = load_be32(ip + 16), total = load_be16(ip + 2);

	if (unlikely(ip[0] != IP4_PLAIN || ip[9] != IP_PROTO_TCP || (load_be16(ip + 6) & IP4_FRAG)))
		return false;
	if (unlikely(total > room || total < IP4_HDR_MIN + TCP_MIN))
		return false;
	if (unlikely(w->net.seen.src != src || w->net.seen.dst != dst || w->net.seen.nif != nif))
		return false;
	enum pkt_csum csum = pkt_ip_csum(m);
	if (csum != PKT_CSUM_GOOD && unlikely(csum == PKT_CSUM_BAD || csum_ip4(ip) != 0))
		return false;
	struct tcp_flow flow = {
		.local = { .addr = ipaddr_v4(dst) },
		.remote = { .addr = ipaddr_v4(src) },
	};
	uint32_t n = total - IP4_HDR_MIN;
	uint64_t pseudo = (uint64_t)raw32(ip + 12) + raw32(ip + 16) + be32_of(n).raw +
			  be16_of(IP_PROTO_TCP).raw;
	return plain_tcp(w, m, &flow, pseudo, ip + IP4_HDR_MIN, n, ip[1], ip[8]);
}

/* The same of IPv6. Addresses of one link need a zone. */
INLINE bool plain6(struct worker *w, struct netif *nif, struct rte_mbuf *m, const uint8_t *ip,
			  uint32_t room)
{
	uint32_t n = load_be16(ip + 4);

	if (unlikely(room < IP6_HDR_LEN + TCP_MIN || ip[0] >> 4 != 6 || ip[6] != IP_PROTO_TCP))
		return false;
	if (unlikely(n > room - IP6_HDR_LEN || n < TCP_MIN))
		return false;
	struct tcp_flow flow = { 0 };
	memcpy(&flow.remote.addr, ip + 8, sizeof(flow.remote.addr));
	memcpy(&flow.local.addr, ip + 24, sizeof(flow.local.addr));
	if (unlikely(w->net.seen6.nif != nif || !ipaddr_eq(&w->net.seen6.src, &flow.remote.addr) ||
		     !ipaddr_eq(&w->net.seen6.dst, &flow.local.addr)))
		return false;
	if (unlikely(ipaddr_has_zone(&flow.local.addr) || ipaddr_has_zone(&flow.remote.addr) ||
		     ipaddr_is_any(&flow.remote.addr)))
		return false;
	uint64_t pseudo = (uint64_t)be32_of(n).raw + be16_of(IP_PROTO_TCP).raw;
	for (int i = 0; i < 4; i++)
		pseudo += (uint64_t)flow.remote.addr.w[i] + flow.local.addr.w[i];
	return plain_tcp(w, m, &flow, pseudo, ip + IP6_HDR_LEN, n,
			 (uint8_t)(load_be16(ip) >> 4), ip[7]);
}

bool rx_plain(struct worker *w, struct netif *nif, struct rte_mbuf *m)
{
	const uint8_t *eth = pkt_data(m), *ip = eth + ETH_HDR_LEN;
	uint32_t n = pkt_len(m);

	if (unlikely(!pkt_is_single(m) || n < ETH_HDR_LEN + IP4_HDR_MIN + TCP_MIN || w->bridge ||
		     !is_ours(nif, eth)))
		return false;
	uint16_t type = raw16(eth + 12);
	if (type == be16_of(ETH_TYPE_IP4).raw)
		return plain4(w, nif, m, ip, n - ETH_HDR_LEN);
	return type == be16_of(ETH_TYPE_IP6).raw && plain6(w, nif, m, ip, n - ETH_HDR_LEN);
}
