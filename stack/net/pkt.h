/* Access to packet buffers: the only place besides ports and workers where an rte_mbuf is looked
 * into. A received packet is looked at as one contiguous run of bytes. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/base/util.h" /* first: DPDK leaves a container_of alone that is there */
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/stats.h"
#include "stack/wire/eth.h"
#include "stack/wire/ip4.h"
#include "stack/wire/ip6.h"

enum { PKT_LINEAR_MAX = ETH_HDR_LEN + ETH_VLAN_LEN + 40 + 65535 /* IPv6, the longer one */ };

static inline uint32_t pkt_len(const struct rte_mbuf *m) { return m->pkt_len; }
/* One segment in one buffer: nobody has joined it from several, and it may be read as it lies. */
static inline bool pkt_is_single(const struct rte_mbuf *m)
{
	return m->nb_segs == 1 && !(m->ol_flags & RTE_MBUF_F_RX_LRO);
}
static inline uint8_t *pkt_data(struct rte_mbuf *m) { return rte_pktmbuf_mtod(m, uint8_t *); }
/* n more bytes in front; the headroom is large enough for all headers below TCP. */
static inline uint8_t *pkt_push(struct rte_mbuf *m, uint16_t n)
{
	return (uint8_t *)rte_pktmbuf_prepend(m, n);
}
static inline void pkt_free(struct rte_mbuf *m) { rte_pktmbuf_free(m); }

/* The bytes of m as one run: in place, or gathered into scratch (PKT_LINEAR_MAX bytes); NULL when
 * the packet is longer than that. */
static inline const uint8_t *pkt_linear(struct rte_mbuf *m, void *scratch)
{
	if (m->nb_segs == 1)
		return pkt_data(m);
	if (m->pkt_len > PKT_LINEAR_MAX)
		return NULL;
	return (const uint8_t *)rte_pktmbuf_read(m, 0, m->pkt_len, scratch);
}

/* What the port says about a checksum. NONE means: not in the packet, but the data is intact. */
enum pkt_csum { PKT_CSUM_UNKNOWN, PKT_CSUM_GOOD, PKT_CSUM_BAD };

static inline enum pkt_csum pkt_ip_csum(const struct rte_mbuf *m)
{
	switch (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) {
	case RTE_MBUF_F_RX_IP_CKSUM_GOOD:
	case RTE_MBUF_F_RX_IP_CKSUM_NONE:
		return PKT_CSUM_GOOD;
	case RTE_MBUF_F_RX_IP_CKSUM_BAD:
		return PKT_CSUM_BAD;
	default:
		return PKT_CSUM_UNKNOWN;
	}
}
static inline enum pkt_csum pkt_l4_csum(const struct rte_mbuf *m)
{
	switch (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
	case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
	case RTE_MBUF_F_RX_L4_CKSUM_NONE:
		return PKT_CSUM_GOOD;
	case RTE_MBUF_F_RX_L4_CKSUM_BAD:
		return PKT_CSUM_BAD;
	default:
		return PKT_CSUM_UNKNOWN;
	}
}

/* Marks for the port: it fills in the IPv4 header checksum. */
static inline void pkt_want_ip_csum(struct rte_mbuf *m)
{
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	m->l2_len = ETH_HDR_LEN;
	m->l3_len = IP4_HDR_MIN;
}
/* It finishes the UDP checksum; ip: RTE_MBUF_F_TX_IPV4 or _IPV6, and the length of that header. */
static inline void pkt_want_udp_of(struct rte_mbuf *m, uint64_t ip, uint8_t ip_len)
{
	m->ol_flags |= ip | RTE_MBUF_F_TX_UDP_CKSUM;
	m->l2_len = ETH_HDR_LEN;
	m->l3_len = ip_len;
}
static inline void pkt_want_udp(struct rte_mbuf *m)
{
	pkt_want_udp_of(m, RTE_MBUF_F_TX_IPV4, IP4_HDR_MIN);
}
static inline void pkt_want_udp6(struct rte_mbuf *m)
{
	pkt_want_udp_of(m, RTE_MBUF_F_TX_IPV6, IP6_HDR_LEN);
}
/* It finishes the TCP checksum, and cuts into segments of mss bytes when mss > 0: then the header of each is
 * its work as well. */
static inline void pkt_want_tcp(struct rte_mbuf *m, uint8_t tcp_len, uint16_t mss)
{
	m->ol_flags |= RTE_MBUF_F_TX_IPV4;
	m->l2_len = ETH_HDR_LEN;
	m->l3_len = IP4_HDR_MIN;
	m->l4_len = tcp_len;
	m->ol_flags |= mss ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_TX_TCP_CKSUM;
	m->tso_segsz = mss;
}
static inline void pkt_want_tcp6(struct rte_mbuf *m, uint8_t tcp_len, uint16_t mss)
{
	m->ol_flags |= RTE_MBUF_F_TX_IPV6 |
		       (mss ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_TX_TCP_CKSUM);
	m->l2_len = ETH_HDR_LEN;
	m->l3_len = IP6_HDR_LEN;
	m->l4_len = tcp_len;
	m->tso_segsz = mss;
}
