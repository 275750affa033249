/* Frames of several segments that a port has joined, and frames in several buffers. The payload of a TCP
 * segment is taken from where it lies, buffer by buffer, as segments of the length that the port tells;
 * everything else is gathered first. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/net/pkt.h"
#include "stack/wire/ip6.h"
#include "stack/worker/worker_int.h"

enum {
	HEADERS = 256, /* Ethernet, IP and TCP with all their options, no IPv6 extensions */
	PIECES = 64,
	IP4_FRAG = 0x3fff, /* offset, or more of them */
};

/* TCP right behind the IP header. */
static bool is_tcp(const uint8_t *eth)
{
	const uint8_t *ip = eth + ETH_HDR_LEN;

	switch (load_be16(eth + 12)) {
	case ETH_TYPE_IP4:
		return ip[9] == IP_PROTO_TCP && !(load_be16(ip + 6) & IP4_FRAG);
	case ETH_TYPE_IP6:
		return ip[6] == IP_PROTO_TCP;
	default:
		return false;
	}
}

const uint8_t *chain_begin(struct worker *w, struct rte_mbuf *m)
{
	/* The other engine of an upgrade takes frames in one piece. */
	if (m->data_len < HEADERS || w->bridge || pkt_l4_csum(m) != PKT_CSUM_GOOD || !is_tcp(pkt_data(m)))
		return pkt_linear(m, w->scratch);
	w->chain = m;
	return pkt_data(m);
}

void chain_tcp_input(struct worker *w, const struct tcp_flow *flow, const struct tcp_seg *seg,
		     const uint8_t *p)
{
	uint16_t mss = w->chain->ol_flags & RTE_MBUF_F_RX_LRO ? w->chain->tso_segsz : 0;
	const uint32_t begin = (uint32_t)(p - pkt_data(w->chain));
	uint32_t n = 0, off = begin, left = seg->len;
	struct tcp_piece piece[PIECES];

	for (struct rte_mbuf *m = w->chain; m && left && n < PIECES; m = m->next, off = 0) {
		piece[n] = (struct tcp_piece){ pkt_data(m) + off, min_u32(m->data_len - off, left) };
		left -= piece[n].len;
		n += piece[n].len > 0;
	}
	if (left == 0 && tcp_input_pieces(&w->sock.tcp, flow, seg, piece, n, mss, w->now_ns))
		return;
	tcp_input(&w->sock.tcp, flow, seg, rte_pktmbuf_read(w->chain, begin, seg->len, w->scratch),
		  w->now_ns);
}
