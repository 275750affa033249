/* TCP, UDP and ICMPv6 errors over IPv6: from the packet to the cores. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include "stack/base/checksum.h"
#include "stack/base/stats.h"
#include "stack/net/icmp6.h"
#include "stack/net/ip6.h"
#include "stack/net/pmtu.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"
#include "stack/worker/worker_int.h"

/* Over len bytes of the payload. */
static bool csum_ok(const struct ip6_in *in, uint32_t len)
{
	if (in->l4_csum != PKT_CSUM_UNKNOWN)
		return in->l4_csum == PKT_CSUM_GOOD;
	uint32_t sum = csum_pseudo(&in->h.src, &in->h.dst, in->proto, len);
	return csum_fold(csum_add(sum, in->payload, len)) == 0;
}

/* An address or a group of a link means a zone as well (RFC 4007). */
static uint32_t scope_of(const struct ipaddr *a, const struct netif *nif)
{
	return nif && ipaddr_has_zone(a) ? nif->ifindex : 0;
}

void rx6_tcp(struct worker *w, const struct ip6_in *in)
{
	struct tcp_seg seg;

	/* RFC 9293 MUST-57 */
	if (unlikely(!in->unicast)) {
		STAT_INC(ip6_drop_dst);
		return;
	}
	if (unlikely(!csum_ok(in, in->len))) {
		STAT_INC(tcp_drop_csum);
		return;
	}
	int hdr_len = tcp_seg_parse(&seg, in->payload, in->len);
	if (unlikely(hdr_len < 0)) {
		STAT_INC(tcp_drop_header);
		return;
	}
	seg.ecn = in->h.tclass & 3;
	seg.ttl = in->h.hops;
	struct tcp_flow flow = {
		.local = { .addr = in->h.dst, .port = seg.dport,
			   .scope = scope_of(&in->h.dst, in->nif) },
		.remote = { .addr = in->h.src, .port = seg.sport,
			    .scope = scope_of(&in->h.src, in->nif) },
	};
	if (unlikely(w->bridge) && bridge_takes_tcp(w, &flow, &seg))
		return;
	if (unlikely(w->chain))
		chain_tcp_input(w, &flow, &seg, in->payload + hdr_len);
	else
		tcp_input(&w->sock.tcp, &flow, &seg, in->payload + hdr_len, w->now_ns);
}

void rx6_udp(struct worker *w, const struct ip6_in *in)
{
	struct udp_dgram u;

	if (unlikely(udp_parse(&u, in->payload, in->len) < 0)) {
		STAT_INC(udp_drop_header);
		return;
	}
	/* RFC 8200 8.1: over IPv6 there is no datagram without a checksum. */
	if (unlikely(!u.has_csum || !csum_ok(in, (uint32_t)UDP_HDR_LEN + u.len))) {
		STAT_INC(udp_drop_csum);
		return;
	}
	const struct udp_rx rx = {
		.from = { .addr = in->h.src, .port = u.sport, .scope = scope_of(&in->h.src, in->nif) },
		.to = { .addr = in->h.dst, .port = u.dport, .scope = scope_of(&in->h.dst, in->nif) },
		.p = in->payload + UDP_HDR_LEN,
		.len = u.len,
		.ifindex = in->nif->ifindex,
		.ttl = in->h.hops,
		.tos = in->h.tclass,
		.flow = in->h.flow,
		.multicast = in->multicast,
	};
	if (unlikely(w->bridge) && bridge_takes_udp(w, &rx))
		return;
	uint32_t n = udp_input(&w->sock.udp, &rx);
	STAT_ADD(udp_rx_dgrams, n);
	if (likely(n))
		return;
	if (in->multicast) {
		STAT_INC(udp_drop_nomember);
		return;
	}
	STAT_INC(udp_drop_noport);
	icmp6_send_unreach(&w->net, in, ICMP6_C_PORT); /* RFC 4443 3.1 */
}

static struct tcp_flow flow_of(const struct icmp6_error *e)
{
	return (struct tcp_flow){
		.local = { .addr = e->local, .port = e->lport, .scope = scope_of(&e->local, e->nif) },
		.remote = { .addr = e->remote, .port = e->rport, .scope = scope_of(&e->remote, e->nif) },
	};
}

void rx6_error(struct worker *w, const struct icmp6_error *e)
{
	const struct tcp_flow flow = flow_of(e);

	if (unlikely(w->bridge) && bridge_takes_error_of(w, e->proto, &flow))
		return;
	if (e->proto == IP_PROTO_TCP) {
		STAT_INC(icmp6_rx_error);
		if (!tcp_icmp_is_near(&w->sock.tcp, &flow, e->hops))
			return;
		tcp_icmp_error(&w->sock.tcp, &flow, (seq_t){ e->tcp_seq }, e->err, e->err != EMSGSIZE,
			       e->mtu, w->now_ns);
		return;
	}
	const struct udp_error ue = {
		.local = flow.local, .remote = flow.remote, .offender = e->offender, .err = e->err,
		/* "Too big" is told to every socket that wants to know the path's MTU. */
		.hard = e->hard || e->err == EMSGSIZE,
		.type = e->type, .code = e->code, .info = e->info, .p = e->p, .len = e->len,
	};
	if (!udp_icmp_error(&w->sock.udp, &ue)) {
		STAT_INC(icmp6_drop_bad);
		return;
	}
	STAT_INC(icmp6_rx_error);
	STAT_INC(udp_rx_error);
	if (e->err == EMSGSIZE)
		host_path_told(w, &flow.remote, e->mtu);
}

/* Linux's ndisc_error_report(): as if ourselves had sent "address unreachable". */
void rx6_neigh_unreachable(struct worker *w, const uint8_t *p, uint32_t n, struct netif *nif)
{
	struct icmp6_error e = { .err = EHOSTUNREACH, .type = ICMP6_T_UNREACH, .code = ICMP6_C_ADDR,
				 .hops = UINT8_MAX, .nif = nif };
	struct ip6_walk k;
	struct tcp_seg seg;
	struct ip6 h;

	if (ip6_parse_quoted(&h, p, n) < 0 || !ip6_walk_quoted(p, n, &h, &k) ||
	    n - k.off < ICMP6_QUOTE_BYTES)
		return;
	e.proto = k.proto;
	e.local = e.offender = h.src;
	e.remote = h.dst;
	e.lport = load_be16(p + k.off);
	e.rport = load_be16(p + k.off + 2);
	if (k.proto == IP_PROTO_UDP) {
		e.p = p + k.off + UDP_HDR_LEN;
		e.len = min_u32(n - k.off - UDP_HDR_LEN, UDP_QUOTE_MAX);
		rx6_error(w, &e);
	} else if (k.proto == IP_PROTO_TCP && tcp_seg_parse(&seg, p + k.off, n - k.off) > 0) {
		e.tcp_seq = seg.seq.v;
		rx6_error(w, &e);
	}
}
