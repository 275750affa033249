/* TCP header <-> struct tcp_seg (host order, options decoded), RFC 9293 3.1, 7323, 2018.
 * Everything past this file handles struct tcp_seg only. */
// SPDX-License-Identifier: MIT
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "stack/base/be.h"
#include "stack/base/seq.h"

struct tcp_hdr {
	be16 sport, dport;
	be32 seq, ack;
	uint8_t off; /* data offset in the upper four bits, in 32-bit words */
	uint8_t flags;
	be16 wnd, csum, urg;
};
_Static_assert(sizeof(struct tcp_hdr) == 20, "RFC 9293 3.1");

enum {
	TCPF_FIN = 0x01,
	TCPF_SYN = 0x02,
	TCPF_RST = 0x04,
	TCPF_PSH = 0x08,
	TCPF_ACK = 0x10,
	TCPF_URG = 0x20,
	TCPF_ECE = 0x40,
	TCPF_CWR = 0x80,
};
enum { TCPO_END, TCPO_NOP, TCPO_MSS, TCPO_WSCALE, TCPO_SACK_OK, TCPO_SACK, TCPO_TS = 8, TCPO_FASTOPEN = 34 };
enum { TCP_ECN_ECT0 = 2, TCP_ECN_CE = 3 };
enum { TCP_HDR_MAX = 60, TCP_SACK_MAX = 4, TCP_FO_MAX = 16 };

struct tcp_sack_block {
	seq_t start, end;
};

/* A cookie of RFC 7413 2; `wanted`: the user of the struct says what, when len is 0. */
struct tcp_fo {
	uint8_t len; /* even, 4..16; 0: none */
	bool wanted;
	uint8_t b[TCP_FO_MAX];
};

/* One segment, without addresses. Zeroed memory is a valid start for a literal. */
struct tcp_seg {
	uint16_t sport, dport;
	seq_t seq, ack;
	uint8_t flags;	 /* TCPF_ */
	uint8_t wscale;	 /* valid with has_wscale; as on the wire, 0..14 after parsing */
	uint8_t n_sack;
	uint8_t ecn;	 /* the two bits of the IP header (RFC 3168 5), the caller's business */
	uint8_t ttl;	 /* of the IP header, likewise */
	bool has_mss : 1, has_wscale : 1, has_ts : 1, sack_ok : 1;
	bool has_fo : 1; /* Fast Open: with fo.len 0 a request for a cookie */
	uint16_t wnd; /* as on the wire, not scaled */
	uint16_t urg;
	uint16_t mss;
	uint32_t tsval, tsecr;
	uint32_t len; /* payload bytes */
	struct tcp_fo fo;
	struct tcp_sack_block sack[TCP_SACK_MAX];
};

/* As if zeroed, but for the bytes of which n_sack and fo.len say that there are none: these are more than all
 * the rest, and a segment is filled in for each one that comes or goes. */
static inline void tcp_seg_clear(struct tcp_seg *s)
{
	memset(s, 0, offsetof(struct tcp_seg, fo.b));
}

/* Sequence space a segment takes: payload, SYN and FIN (RFC 9293 3.4). */
static inline uint32_t tcp_seg_space(const struct tcp_seg *s)
{
	return s->len + !!(s->flags & TCPF_SYN) + !!(s->flags & TCPF_FIN);
}

/* Parses the TCP header at p with n bytes left in the packet (header and payload). Returns the
 * header length (the payload follows) or -EINVAL (short, data offset wrong, illegal option length:
 * RFC 9293 MUST-7). Does not check the checksum. */
int tcp_seg_parse(struct tcp_seg *s, const void *p, uint32_t n);

/* Timestamps alone in the layout of RFC 7323 appendix A: nearly every segment of a connection. */
enum { TCP_TS_ONLY_LEN = 12, TCP_TS_ONLY_WORD = TCPO_NOP << 24 | TCPO_NOP << 16 | TCPO_TS << 8 | 10 };

/* What is in every header, the one at b, with len bytes of payload; no options. */
static inline void tcp_seg_fixed(struct tcp_seg *s, const uint8_t *b, uint32_t len)
{
	tcp_seg_clear(s);
	s->sport = load_be16(b);
	s->dport = load_be16(b + 2);
	s->seq = seq_of(load_be32(b + 4));
	s->ack = seq_of(load_be32(b + 8));
	s->flags = b[13];
	s->wnd = load_be16(b + 14);
	s->urg = load_be16(b + 18);
	s->len = len;
}

/* tcp_seg_parse() of a header without options or with timestamps alone, n >= sizeof(struct tcp_hdr). -EINVAL:
 * it is another, or a wrong one. */
static inline __attribute__((always_inline)) int tcp_seg_parse_plain(struct tcp_seg *s, const void *p,
								     uint32_t n)
{
	const uint8_t *b = p, *opts = b + sizeof(struct tcp_hdr);
	const uint32_t ts_len = (uint32_t)sizeof(struct tcp_hdr) + TCP_TS_ONLY_LEN;
	uint32_t hdr_len = (b[12] >> 4) * 4u;
	bool ts = hdr_len == ts_len;

	if (ts ? n < ts_len || load_be32(opts) != TCP_TS_ONLY_WORD : hdr_len != sizeof(struct tcp_hdr))
		return -EINVAL;
	tcp_seg_fixed(s, b, n - hdr_len);
	if (ts) {
		s->has_ts = true;
		s->tsval = load_be32(opts + 4);
		s->tsecr = load_be32(opts + 8);
	}
	return (int)hdr_len;
}
/* Header length that tcp_seg_emit will write, 20..60. */
uint32_t tcp_seg_hdr_len(const struct tcp_seg *s);
/* Writes header and options at p (room for TCP_HDR_MAX bytes), checksum field zero; returns the
 * length. Option layout: MSS, SACK-permitted + timestamps, window scale, Fast Open, SACK blocks, padded by
 * NOP. */
uint32_t tcp_seg_emit(const struct tcp_seg *s, void *p);
/* Stores a checksum from csum_fold() in the header at p. */
static inline void tcp_store_csum(void *p, uint16_t folded)
{
	memcpy((uint8_t *)p + offsetof(struct tcp_hdr, csum), &folded, 2);
}
/* tcpdump-like text of the segment into buf: "S. 1:1(0) ack 2 win 65535 <mss 1460,...>". */
int tcp_seg_show(const struct tcp_seg *s, char *buf, int size);
