/* Frames as text. Uses the parsers of this folder, so what it shows is what the stack saw. */
// SPDX-License-Identifier: MIT
#include "stack/wire/show.h"
#include "stack/base/checksum.h"
#include "stack/base/strbuf.h"
#include "stack/base/util.h"
#include "stack/wire/arp.h"
#include "stack/wire/eth.h"
#include "stack/wire/icmp.h"
#include "stack/wire/ip4.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"

static void show_arp(struct strbuf *s, const uint8_t *p, uint32_t n)
{
	struct arp_pkt a;

	if (arp_parse(&a, p, n) < 0) {
		strbuf_put(s, "ARP malformed (%u)", n);
		return;
	}
	if (a.op == ARP_OP_REQUEST)
		strbuf_put(s, "ARP who-has " IP4_FMT " tell " IP4_FMT " (" ETH_ADDR_FMT ")",
			   IP4_ARG(a.tpa), IP4_ARG(a.spa), ETH_ADDR_ARG(a.sha));
	else
		strbuf_put(s, "ARP reply " IP4_FMT " is-at " ETH_ADDR_FMT, IP4_ARG(a.spa),
			   ETH_ADDR_ARG(a.sha));
}

/* " bad csum" when a checksum over a pseudo header is wrong. */
static void show_csum(struct strbuf *s, const struct ip4 *ip, const uint8_t *p, uint32_t n)
{
	struct ipaddr src = ipaddr_v4(ip->src), dst = ipaddr_v4(ip->dst);

	if (csum_fold(csum_add(csum_pseudo(&src, &dst, ip->proto, n), p, n)) != 0)
		strbuf_put(s, " bad csum");
}

static void show_tcp(struct strbuf *s, const struct ip4 *ip, const uint8_t *p, uint32_t n)
{
	struct tcp_seg seg;

	if (tcp_seg_parse(&seg, p, n) < 0) {
		strbuf_put(s, IP4_FMT " > " IP4_FMT ": TCP malformed (%u)", IP4_ARG(ip->src),
			   IP4_ARG(ip->dst), n);
		return;
	}
	strbuf_put(s, IP4_FMT ".%u > " IP4_FMT ".%u: TCP ", IP4_ARG(ip->src), seg.sport,
		   IP4_ARG(ip->dst), seg.dport);
	s->len += tcp_seg_show(&seg, s->p + s->len, s->size - s->len);
	show_csum(s, ip, p, n);
}

static void show_udp(struct strbuf *s, const struct ip4 *ip, const uint8_t *p, uint32_t n)
{
	struct udp_dgram u;

	if (udp_parse(&u, p, n) < 0) {
		strbuf_put(s, IP4_FMT " > " IP4_FMT ": UDP malformed (%u)", IP4_ARG(ip->src),
			   IP4_ARG(ip->dst), n);
		return;
	}
	strbuf_put(s, IP4_FMT ".%u > " IP4_FMT ".%u: UDP %u", IP4_ARG(ip->src), u.sport,
		   IP4_ARG(ip->dst), u.dport, u.len);
	if (u.has_csum)
		show_csum(s, ip, p, (uint32_t)u.len + UDP_HDR_LEN);
}

static void show_icmp_error(struct strbuf *s, const struct icmp_msg *m)
{
	const struct icmp_quote *q = &m->orig;

	if (m->type == ICMP_T_UNREACH && m->code == ICMP_C_FRAG_NEEDED)
		strbuf_put(s, "fragmentation needed, mtu %u", m->mtu);
	else if (m->type == ICMP_T_UNREACH)
		strbuf_put(s, "unreachable, code %u", m->code);
	else if (m->type == ICMP_T_TIME_EXCEEDED)
		strbuf_put(s, "time exceeded, code %u", m->code);
	else
		strbuf_put(s, "parameter problem at %u", m->ptr);
	if (!q->has_ports) {
		strbuf_put(s, ", about " IP4_FMT " > " IP4_FMT " proto %u", IP4_ARG(q->ip.src),
			   IP4_ARG(q->ip.dst), q->ip.proto);
		return;
	}
	bool tcp = q->ip.proto == IP_PROTO_TCP;
	strbuf_put(s, ", about " IP4_FMT ".%u > " IP4_FMT ".%u %s", IP4_ARG(q->ip.src), q->sport,
		   IP4_ARG(q->ip.dst), q->dport, tcp ? "TCP" : "UDP");
	if (tcp)
		strbuf_put(s, " seq %u", q->tcp_seq);
}

static void show_icmp(struct strbuf *s, const struct ip4 *ip, const uint8_t *p, uint32_t n)
{
	struct icmp_msg m;

	strbuf_put(s, IP4_FMT " > " IP4_FMT ": ICMP ", IP4_ARG(ip->src), IP4_ARG(ip->dst));
	if (icmp_parse(&m, p, n) < 0) {
		strbuf_put(s, "malformed (%u)", n);
		return;
	}
	if (icmp_is_error(&m))
		show_icmp_error(s, &m);
	else if (m.type == ICMP_T_ECHO || m.type == ICMP_T_ECHO_REPLY)
		strbuf_put(s, "echo %s id %u seq %u (%u)",
			   m.type == ICMP_T_ECHO ? "request" : "reply", m.id, m.seq,
			   n - ICMP_HDR_LEN);
	else
		strbuf_put(s, "type %u code %u (%u)", m.type, m.code, n - ICMP_HDR_LEN);
	if (!icmp_csum_ok(p, n))
		strbuf_put(s, " bad csum");
}

static void show_ip4_to(struct strbuf *s, const uint8_t *p, uint32_t n)
{
	struct ip4 ip;
	int hdr_len = ip4_parse(&ip, p, n);

	if (hdr_len < 0) {
		strbuf_put(s, "IPv4 malformed (%u)", n);
		return;
	}
	const uint8_t *body = p + hdr_len;
	uint32_t body_len = ip.total_len - (uint32_t)hdr_len;
	/* A fragment's transport header, where there is one, has no checksum to check. */
	if (ip4_is_fragment(&ip))
		strbuf_put(s, IP4_FMT " > " IP4_FMT ": proto %u fragment id %u %u+%u%s",
			   IP4_ARG(ip.src), IP4_ARG(ip.dst), ip.proto, ip.id, ip.frag_off, body_len,
			   ip.more_frags ? " more" : "");
	else if (ip.proto == IP_PROTO_TCP)
		show_tcp(s, &ip, body, body_len);
	else if (ip.proto == IP_PROTO_UDP)
		show_udp(s, &ip, body, body_len);
	else if (ip.proto == IP_PROTO_ICMP)
		show_icmp(s, &ip, body, body_len);
	else
		strbuf_put(s, IP4_FMT " > " IP4_FMT ": proto %u (%u)", IP4_ARG(ip.src),
			   IP4_ARG(ip.dst), ip.proto, body_len);
	if (!ip4_csum_ok(p, (uint32_t)hdr_len))
		strbuf_put(s, " bad ip csum");
}

int show_ip4(const void *p, uint32_t n, char *buf, int size)
{
	struct strbuf s = strbuf_of(buf, size);

	show_ip4_to(&s, p, n);
	return s.len;
}

int show_frame(const void *p, uint32_t n, char *buf, int size)
{
	struct strbuf s = strbuf_of(buf, size);
	struct eth eth;
	int hdr_len = eth_parse(&eth, p, n);

	if (hdr_len < 0) {
		strbuf_put(&s, "frame malformed (%u)", n);
		return s.len;
	}
	const uint8_t *body = (const uint8_t *)p + hdr_len;
	uint32_t body_len = n - (uint32_t)hdr_len;
	if (eth.vlan)
		strbuf_put(&s, "vlan %u ", eth.vlan);
	if (eth.type == ETH_TYPE_IP4)
		show_ip4_to(&s, body, body_len);
	else if (eth.type == ETH_TYPE_IP6)
		show_ip6_to(&s, body, body_len);
	else if (eth.type == ETH_TYPE_ARP)
		show_arp(&s, body, body_len);
	else
		strbuf_put(&s, ETH_ADDR_FMT " > " ETH_ADDR_FMT " type %#06x (%u)",
			   ETH_ADDR_ARG(eth.src), ETH_ADDR_ARG(eth.dst), eth.type, body_len);
	return s.len;
}
