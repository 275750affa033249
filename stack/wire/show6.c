/* IPv6 packets as text, in the manner of show.c. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include "stack/base/checksum.h"
#include "stack/base/strbuf.h"
#include "stack/base/util.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/nd.h"
#include "stack/wire/show.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"

static void put_addr(struct strbuf *s, const struct ipaddr *a)
{
	char text[INET6_ADDRSTRLEN];

	strbuf_put(s, "%s", inet_ntop(AF_INET6, a->b, text, sizeof(text)));
}

static void put_ends(struct strbuf *s, const struct ipaddr *src, const struct ipaddr *dst)
{
	put_addr(s, src);
	strbuf_put(s, " > ");
	put_addr(s, dst);
}

static void put_ports(struct strbuf *s, const struct ip6 *h, uint16_t sport, uint16_t dport)
{
	put_addr(s, &h->src);
	strbuf_put(s, ".%u > ", sport);
	put_addr(s, &h->dst);
	strbuf_put(s, ".%u", dport);
}

static void show_csum(struct strbuf *s, const struct ip6 *h, uint8_t proto, const uint8_t *p, uint32_t n)
{
	if (csum_fold(csum_add(csum_pseudo(&h->src, &h->dst, proto, n), p, n)) != 0)
		strbuf_put(s, " bad csum");
}

static void show_tcp6(struct strbuf *s, const struct ip6 *h, const uint8_t *p, uint32_t n)
{
	struct tcp_seg seg;

	if (tcp_seg_parse(&seg, p, n) < 0) {
		put_ends(s, &h->src, &h->dst);
		strbuf_put(s, ": TCP malformed (%u)", n);
		return;
	}
	put_ports(s, h, seg.sport, seg.dport);
	strbuf_put(s, ": TCP ");
	s->len += tcp_seg_show(&seg, s->p + s->len, s->size - s->len);
	show_csum(s, h, IP_PROTO_TCP, p, n);
}

static void show_udp6(struct strbuf *s, const struct ip6 *h, const uint8_t *p, uint32_t n)
{
	struct udp_dgram u;

	if (udp_parse(&u, p, n) < 0) {
		put_ends(s, &h->src, &h->dst);
		strbuf_put(s, ": UDP malformed (%u)", n);
		return;
	}
	put_ports(s, h, u.sport, u.dport);
	strbuf_put(s, ": UDP %u", u.len);
	show_csum(s, h, IP_PROTO_UDP, p, (uint32_t)u.len + UDP_HDR_LEN);
}

static void show_nd(struct strbuf *s, const uint8_t *p, uint32_t n)
{
	static const char *const names[] = { "router solicitation", "router advertisement",
					     "neighbor solicitation", "neighbor advertisement",
					     "redirect" };
	struct nd_msg m;

	strbuf_put(s, "%s", names[p[0] - ICMP6_T_ND_RS]);
	if (nd_parse(&m, p, n) < 0) {
		strbuf_put(s, " malformed (%u)", n);
		return;
	}
	if (m.type >= ICMP6_T_ND_NS) {
		strbuf_put(s, " for ");
		put_addr(s, m.type == ICMP6_T_ND_REDIRECT ? &m.dst : &m.target);
	}
	if (m.type == ICMP6_T_ND_NA)
		strbuf_put(s, "%s%s%s", m.router ? " router" : "", m.solicited ? " solicited" : "",
			   m.override ? " override" : "");
	if (m.type == ICMP6_T_ND_RA)
		strbuf_put(s, " lifetime %u", m.router_lifetime_s);
	for (uint32_t i = 0; i < min_u32(m.n_prefixes, 4); i++) {
		strbuf_put(s, " ");
		put_addr(s, &m.prefix[i].prefix);
		strbuf_put(s, "/%u", m.prefix[i].plen);
	}
	if (m.has_slla || m.has_tlla) {
		struct eth_addr mac = m.has_slla ? m.slla : m.tlla;

		strbuf_put(s, " (" ETH_ADDR_FMT ")", ETH_ADDR_ARG(mac));
	}
}

static void show_error(struct strbuf *s, const struct icmp6_msg *m)
{
	const struct icmp6_quote *q = &m->orig;

	if (m->type == ICMP6_T_UNREACH)
		strbuf_put(s, "unreachable, code %u", m->code);
	else if (m->type == ICMP6_T_TOO_BIG)
		strbuf_put(s, "packet too big, mtu %u", m->word);
	else if (m->type == ICMP6_T_TIME_EXCEEDED)
		strbuf_put(s, "time exceeded, code %u", m->code);
	else if (m->type == ICMP6_T_PARAM)
		strbuf_put(s, "parameter problem, code %u, at %u", m->code, m->word);
	else
		strbuf_put(s, "error %u, code %u", m->type, m->code);
	strbuf_put(s, ", about ");
	if (!q->has_ports) {
		put_ends(s, &q->ip.src, &q->ip.dst);
		strbuf_put(s, " proto %u", q->proto);
		return;
	}
	put_ports(s, &q->ip, q->sport, q->dport);
	strbuf_put(s, " %s", q->proto == IP_PROTO_TCP ? "TCP" : "UDP");
	if (q->proto == IP_PROTO_TCP)
		strbuf_put(s, " seq %u", q->tcp_seq);
}

static void show_icmp6(struct strbuf *s, const struct ip6 *h, const uint8_t *p, uint32_t n)
{
	struct icmp6_msg m;

	put_ends(s, &h->src, &h->dst);
	strbuf_put(s, ": ICMPv6 ");
	if (icmp6_parse(&m, p, n) < 0) {
		strbuf_put(s, "malformed (%u)", n);
		return;
	}
	if (icmp6_is_error(&m))
		show_error(s, &m);
	else if (icmp6_is_nd(m.type))
		show_nd(s, p, n);
	else if (m.type == ICMP6_T_ECHO || m.type == ICMP6_T_ECHO_REPLY)
		strbuf_put(s, "echo %s id %u seq %u (%u)",
			   m.type == ICMP6_T_ECHO ? "request" : "reply", m.id, m.seq,
			   n - ICMP6_HDR_LEN);
	else
		strbuf_put(s, "type %u code %u (%u)", m.type, m.code, n - ICMP6_HDR_LEN);
	show_csum(s, h, IP_PROTO_ICMP6, p, n);
}

void show_ip6_to(struct strbuf *s, const uint8_t *p, uint32_t n)
{
	struct ip6_walk k = { .off = IP6_HDR_LEN, .next_at = 6 };
	struct ip6_param param;
	struct ip6 h;

	if (ip6_parse(&h, p, n) < 0) {
		strbuf_put(s, "IPv6 malformed (%u)", n);
		return;
	}
	n = (uint32_t)IP6_HDR_LEN + h.payload_len;
	k.proto = h.next;
	bool ok = ip6_walk(p, n, &k, &param) == IP6_WALK_OK;
	const uint8_t *body = p + k.off;
	uint32_t len = n - k.off;
	if (!ok) {
		put_ends(s, &h.src, &h.dst);
		strbuf_put(s, ": bad header %u at %u", k.proto, k.off);
	} else if (k.fragment) {
		put_ends(s, &h.src, &h.dst);
		strbuf_put(s, ": proto %u fragment id %u %u+%u%s", k.proto, k.frag_id, k.frag_off, len,
			   k.more_frags ? " more" : "");
	} else if (k.proto == IP_PROTO_TCP) {
		show_tcp6(s, &h, body, len);
	} else if (k.proto == IP_PROTO_UDP) {
		show_udp6(s, &h, body, len);
	} else if (k.proto == IP_PROTO_ICMP6) {
		show_icmp6(s, &h, body, len);
	} else {
		put_ends(s, &h.src, &h.dst);
		strbuf_put(s, ": proto %u (%u)", k.proto, len);
	}
}
