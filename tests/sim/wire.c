/* Segments as packets and back, with all checks that an engine makes before its core sees anything; the
 * middlebox that edits SYNs; ICMP errors. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "stack/base/checksum.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/ip4.h"
#include "stack/wire/ip6.h"
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

/* What both families say of a packet. */
struct ip {
	struct ipaddr src, dst;
	uint8_t proto, tos;
	uint32_t hdr_len, len; /* behind the header */
};

static uint32_t ip_emit(const struct sim *s, const struct ip *h, uint8_t *p)
{
	if (s->six) {
		const struct ip6 six = { .src = h->src, .dst = h->dst, .next = h->proto, .hops = 64,
					 .tclass = h->tos, .payload_len = (uint16_t)h->len };

		ip6_emit(&six, p);
		return IP6_HDR_LEN;
	}
	const struct ip4 four = {
		.src = ipaddr_get_v4(&h->src), .dst = ipaddr_get_v4(&h->dst), .proto = h->proto,
		.ttl = IP4_TTL_DEFAULT, .tos = h->tos, .dont_frag = true,
		.total_len = (uint16_t)(IP4_HDR_MIN + h->len),
	};
	ip4_emit(&four, p, IP4_CSUM_FILL);
	return IP4_HDR_MIN;
}

/* False: damaged. */
static bool ip_parse(const struct sim *s, const struct sim_packet *p, struct ip *h)
{
	struct ip4 four;
	struct ip6 six;

	if (s->six) {
		if (ip6_parse(&six, p->bytes, p->len) < 0)
			return false;
		*h = (struct ip){ six.src, six.dst, six.next, six.tclass, IP6_HDR_LEN, six.payload_len };
		return true;
	}
	int n = ip4_parse(&four, p->bytes, p->len);
	if (n < 0 || !ip4_csum_ok(p->bytes, (uint32_t)n))
		return false;
	*h = (struct ip){ ipaddr_v4(four.src), ipaddr_v4(four.dst), four.proto, four.tos, (uint32_t)n,
			  four.total_len - (uint32_t)n };
	return true;
}

struct sim_packet *sim_pack(struct sim_host *h, const struct tcp_flow *flow,
			    const struct tcp_seg *seg, uint32_t pos)
{
	struct tcp_seg t = edited(h->sim, seg);
	uint32_t hdr_len = tcp_seg_hdr_len(&t), ip_len = sim_hdrs(h->sim) - 20u;
	const struct ip ip = { .src = flow->local.addr, .dst = flow->remote.addr, .proto = IP_PROTO_TCP,
			       .tos = t.ecn, .len = hdr_len + t.len };
	struct sim_packet *p = sim_packet_new(h->sim, ip_len + ip.len);
	uint8_t *tcp = p->bytes + ip_emit(h->sim, &ip, p->bytes);

	tcp_seg_emit(&t, tcp);
	if (t.len)
		memcpy(tcp + hdr_len, sim_stream(h->salt, pos), t.len);
	uint32_t sum = csum_pseudo(&ip.src, &ip.dst, IP_PROTO_TCP, ip.len);
	tcp_store_csum(tcp, csum_fold(csum_add(sum, tcp, ip.len)));
	return p;
}

static void error4(uint8_t code, uint16_t mtu, const uint8_t *quote, uint32_t n, uint8_t *b)
{
	const struct icmp_msg m = { .type = ICMP_T_UNREACH, .code = code, .mtu = mtu };

	icmp_emit(&m, quote, n, b);
}

static void error6(const struct ip *h, uint8_t code, uint16_t mtu, const uint8_t *quote, uint32_t n,
		   uint8_t *b)
{
	uint8_t type = code == ICMP_C_FRAG_NEEDED ? ICMP6_T_TOO_BIG :
		       code == ICMP_C_PROTO	  ? ICMP6_T_PARAM : ICMP6_T_UNREACH;
	uint8_t code6 = code == ICMP_C_PORT ? ICMP6_C_PORT : code == ICMP_C_HOST ? ICMP6_C_ADDR :
			code == ICMP_C_PROTO ? ICMP6_C_NEXT : 0;

	icmp6_emit(&h->src, &h->dst, type, code6, type == ICMP6_T_TOO_BIG ? mtu : 0, quote, n, b);
}

struct sim_packet *sim_icmp(struct sim *s, const struct sim_packet *p, uint8_t code, uint16_t mtu,
			    const uint32_t *forged_seq)
{
	uint8_t data[IP6_HDR_LEN + ICMP_QUOTE_BYTES];
	struct ip ip;

	if (!ip_parse(s, p, &ip) || ip.proto != IP_PROTO_TCP)
		return NULL;
	uint32_t quote = min_u32(p->len, ip.hdr_len + ICMP_QUOTE_BYTES);
	struct ip out = { .src = ip.dst, .dst = ip.src, .len = ICMP_HDR_LEN + quote,
			  .proto = s->six ? IP_PROTO_ICMP6 : IP_PROTO_ICMP };
	struct sim_packet *q = sim_packet_new(s, ip.hdr_len + out.len);

	memcpy(data, p->bytes, quote);
	if (forged_seq) {
		be32 seq = be32_of(*forged_seq);

		memcpy(data + ip.hdr_len + 4, &seq, sizeof(seq));
	}
	out.src.b[15] = 0xfe; /* a router */
	uint8_t *b = q->bytes + ip_emit(s, &out, q->bytes);
	if (s->six)
		error6(&out, code, mtu, data, quote, b);
	else
		error4(code, mtu, data, quote, b);
	return q;
}

static void tcp_arrives(struct sim_host *h, const struct ip *ip, const uint8_t *p, uint32_t n)
{
	struct tcp_seg seg;
	int hdr_len;

	if (csum_fold(csum_add(csum_pseudo(&ip->src, &ip->dst, IP_PROTO_TCP, n), p, n)) != 0)
		return;
	hdr_len = tcp_seg_parse(&seg, p, n);
	if (hdr_len < 0) {
		sim_fail(h->sim, "a segment of ours is malformed", n);
		return;
	}
	seg.ecn = ip->tos & 3;
	struct tcp_flow flow = { .local = { .addr = ip->dst, .port = seg.dport },
				 .remote = { .addr = ip->src, .port = seg.sport } };
	tcp_input(&h->env, &flow, &seg, p + hdr_len, h->sim->now_ns);
}

static void error_arrives(struct sim_host *h, const struct tcp_flow *flow, uint32_t seq, bool big,
			  uint32_t mtu)
{
	tcp_icmp_error(&h->env, flow, seq_of(seq), big ? EMSGSIZE : EHOSTUNREACH, !big, big ? mtu : 0,
		       h->sim->now_ns);
}

static void icmp_arrives(struct sim_host *h, const uint8_t *p, uint32_t n)
{
	struct icmp_msg m;

	if (!icmp_csum_ok(p, n) || icmp_parse(&m, p, n) < 0 || !icmp_is_error(&m) ||
	    m.orig.ip.proto != IP_PROTO_TCP || !m.orig.has_ports)
		return;
	const struct tcp_flow flow = {
		.local = { .addr = ipaddr_v4(m.orig.ip.src), .port = m.orig.sport },
		.remote = { .addr = ipaddr_v4(m.orig.ip.dst), .port = m.orig.dport },
	};
	error_arrives(h, &flow, m.orig.tcp_seq, m.code == ICMP_C_FRAG_NEEDED, m.mtu);
}

static void icmp6_arrives(struct sim_host *h, const struct ip *ip, const uint8_t *p, uint32_t n)
{
	struct icmp6_msg m;

	if (!icmp6_csum_ok(&ip->src, &ip->dst, p, n) || icmp6_parse(&m, p, n) < 0 || !icmp6_is_error(&m) ||
	    m.orig.proto != IP_PROTO_TCP || !m.orig.has_ports)
		return;
	const struct tcp_flow flow = {
		.local = { .addr = m.orig.ip.src, .port = m.orig.sport },
		.remote = { .addr = m.orig.ip.dst, .port = m.orig.dport },
	};
	error_arrives(h, &flow, m.orig.tcp_seq, m.type == ICMP6_T_TOO_BIG, m.word);
}

void sim_arrive(struct sim_host *h, struct sim_packet *p)
{
	struct ip ip;

	if (ip_parse(h->sim, p, &ip) && ipaddr_eq(&ip.dst, &h->addr)) {
		const uint8_t *body = p->bytes + ip.hdr_len;

		if (ip.proto == IP_PROTO_TCP)
			tcp_arrives(h, &ip, body, ip.len);
		else if (ip.proto == IP_PROTO_ICMP && !h->sim->six)
			icmp_arrives(h, body, ip.len);
		else if (ip.proto == IP_PROTO_ICMP6 && h->sim->six)
			icmp6_arrives(h, &ip, body, ip.len);
	}
	sim_packet_free(h->sim, p);
}

bool sim_is_ect(const struct sim *s, const struct sim_packet *p)
{
	return ((s->six ? p->bytes[1] >> 4 : p->bytes[1]) & 3) == TCP_ECN_ECT0;
}

void sim_mark_ce(struct sim *s, struct sim_packet *p)
{
	struct ip ip;

	if (!ip_parse(s, p, &ip))
		return;
	ip.tos |= TCP_ECN_CE;
	ip_emit(s, &ip, p->bytes);
}
