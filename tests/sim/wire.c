/* Segments as packets and back, with all checks that an engine makes before its core sees anything; the
 * middlebox that edits SYNs; ICMP errors. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "stack/base/checksum.h"
#include "stack/wire/icmp.h"
#include "stack/wire/ip4.h"
#include "tests/sim/sim.h"

enum { PERIOD = 65521, STREAM_MOST = 1 << 16 };

/* Bytes without a short period, and more than one period of them. */
const uint8_t *sim_stream(uint32_t salt, uint32_t pos)
{
	static uint8_t bytes[PERIOD + STREAM_MOST];
	static bool filled;

	if (!filled) {
		struct rng r;

		rng_seed(&r, 1);
		for (uint32_t i = 0; i < PERIOD; i++)
			bytes[i] = (uint8_t)rng_u64(&r);
		for (uint32_t i = PERIOD; i < sizeof(bytes); i++)
			bytes[i] = bytes[i - PERIOD];
		filled = true;
	}
	return bytes + ((uint64_t)pos + salt) % PERIOD;
}

/* What a middlebox between the two takes out of every SYN. */
static struct tcp_seg edited(const struct sim *s, const struct tcp_seg *seg)
{
	struct tcp_seg t = *seg;

	if (t.flags & TCPF_SYN) {
		t.sack_ok &= !s->strip_sack;
		t.has_ts &= !s->strip_ts;
		t.has_wscale &= !s->strip_wscale;
		if (s->strip_ecn)
			t.flags &= (uint8_t)~(TCPF_ECE | TCPF_CWR);
	}
	return t;
}

struct sim_packet *sim_pack(struct sim_host *h, const struct tcp_flow *flow,
			    const struct tcp_seg *seg, uint32_t pos)
{
	struct tcp_seg t = edited(h->sim, seg);
	uint32_t hdr_len = tcp_seg_hdr_len(&t);
	struct ip4 ip = {
		.src = ipaddr_get_v4(&flow->local.addr),
		.dst = ipaddr_get_v4(&flow->remote.addr),
		.proto = IP_PROTO_TCP,
		.ttl = IP4_TTL_DEFAULT,
		.tos = t.ecn,
		.total_len = (uint16_t)(IP4_HDR_MIN + hdr_len + t.len),
		.dont_frag = true,
	};
	struct sim_packet *p = sim_packet_new(h->sim, ip.total_len);
	uint8_t *tcp = p->bytes + IP4_HDR_MIN;

	ip4_emit(&ip, p->bytes, IP4_CSUM_FILL);
	tcp_seg_emit(&t, tcp);
	if (t.len)
		memcpy(tcp + hdr_len, sim_stream(h->salt, pos), t.len);
	uint32_t sum = csum_pseudo(&flow->local.addr, &flow->remote.addr, IP_PROTO_TCP,
				   hdr_len + t.len);
	tcp_store_csum(tcp, csum_fold(csum_add(sum, tcp, hdr_len + t.len)));
	return p;
}

struct sim_packet *sim_icmp(struct sim *s, const struct sim_packet *p, uint8_t code, uint16_t mtu,
			    const uint32_t *forged_seq)
{
	struct icmp_msg m = { .type = ICMP_T_UNREACH, .code = code, .mtu = mtu };
	uint32_t quote = min_u32(p->len, IP4_HDR_MIN + ICMP_QUOTE_BYTES);
	struct ip4 ip;

	if (ip4_parse(&ip, p->bytes, p->len) < 0 || ip.proto != IP_PROTO_TCP)
		return NULL;
	struct ip4 out = { .src = 0x0a0000fe, .dst = ip.src, .proto = IP_PROTO_ICMP, .ttl = 64,
			   .total_len = (uint16_t)(IP4_HDR_MIN + ICMP_HDR_LEN + quote) };
	struct sim_packet *q = sim_packet_new(s, out.total_len);
	uint8_t data[IP4_HDR_MIN + ICMP_QUOTE_BYTES];

	memcpy(data, p->bytes, quote);
	if (forged_seq) {
		be32 seq = be32_of(*forged_seq);

		memcpy(data + IP4_HDR_MIN + 4, &seq, sizeof(seq));
	}
	ip4_emit(&out, q->bytes, IP4_CSUM_FILL);
	icmp_emit(&m, data, quote, q->bytes + IP4_HDR_MIN);
	return q;
}

static struct tcp_flow flow_of(uint32_t local, uint16_t lport, uint32_t remote, uint16_t rport)
{
	return (struct tcp_flow){
		.local = { .addr = ipaddr_v4(local), .port = lport },
		.remote = { .addr = ipaddr_v4(remote), .port = rport },
	};
}

static void tcp_arrives(struct sim_host *h, const struct ip4 *ip, const uint8_t *p, uint32_t n)
{
	struct ipaddr src = ipaddr_v4(ip->src), dst = ipaddr_v4(ip->dst);
	struct tcp_seg seg;
	int hdr_len;

	if (csum_fold(csum_add(csum_pseudo(&src, &dst, IP_PROTO_TCP, n), p, n)) != 0)
		return;
	hdr_len = tcp_seg_parse(&seg, p, n);
	if (hdr_len < 0) {
		sim_fail(h->sim, "a segment of ours is malformed", n);
		return;
	}
	seg.ecn = ip->tos & 3;
	struct tcp_flow flow = flow_of(ip->dst, seg.dport, ip->src, seg.sport);
	tcp_input(&h->env, &flow, &seg, p + hdr_len, h->sim->now_ns);
}

static void icmp_arrives(struct sim_host *h, const uint8_t *p, uint32_t n)
{
	struct icmp_msg m;

	if (!icmp_csum_ok(p, n) || icmp_parse(&m, p, n) < 0 || !icmp_is_error(&m) ||
	    m.orig.ip.proto != IP_PROTO_TCP || !m.orig.has_ports)
		return;
	bool big = m.code == ICMP_C_FRAG_NEEDED;
	struct tcp_flow flow = flow_of(m.orig.ip.src, m.orig.sport, m.orig.ip.dst, m.orig.dport);

	tcp_icmp_error(&h->env, &flow, seq_of(m.orig.tcp_seq), big ? EMSGSIZE : EHOSTUNREACH, !big,
		       big ? m.mtu : 0, h->sim->now_ns);
}

void sim_arrive(struct sim_host *h, struct sim_packet *p)
{
	struct ip4 ip;
	int hdr_len = ip4_parse(&ip, p->bytes, p->len);

	if (hdr_len > 0 && ip4_csum_ok(p->bytes, (uint32_t)hdr_len) && ip.dst == h->addr) {
		const uint8_t *body = p->bytes + hdr_len;
		uint32_t n = ip.total_len - (uint32_t)hdr_len;

		if (ip.proto == IP_PROTO_TCP)
			tcp_arrives(h, &ip, body, n);
		else if (ip.proto == IP_PROTO_ICMP)
			icmp_arrives(h, body, n);
	}
	sim_packet_free(h->sim, p);
}

bool sim_is_ect(const struct sim_packet *p)
{
	return (p->bytes[1] & 3) == TCP_ECN_ECT0;
}

void sim_mark_ce(struct sim_packet *p)
{
	struct ip4 ip;

	if (ip4_parse(&ip, p->bytes, p->len) < 0)
		return;
	ip.tos |= TCP_ECN_CE;
	ip4_emit(&ip, p->bytes, IP4_CSUM_FILL);
}
