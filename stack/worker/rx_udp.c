/* UDP receive: datagrams off the wire to sockets, and ICMP errors about datagrams of ours. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include "stack/base/checksum.h"
#include "stack/net/pmtu.h"
#include "stack/wire/udp.h"
#include "stack/worker/worker_int.h"

/* Over what the UDP header says, which may be less than the packet (RFC 768: the length field counts). */
static bool csum_ok(const struct ip4_in *in, uint32_t len)
{
	if (in->l4_csum != PKT_CSUM_UNKNOWN)
		return in->l4_csum == PKT_CSUM_GOOD;
	struct ipaddr src = ipaddr_v4(in->h.src), dst = ipaddr_v4(in->h.dst);
	uint32_t sum = csum_pseudo(&src, &dst, IP_PROTO_UDP, len);
	return csum_fold(csum_add(sum, in->payload, len)) == 0;
}

void rx_udp(struct worker *w, const struct ip4_in *in)
{
	struct udp_dgram u;

	if (unlikely(udp_parse(&u, in->payload, in->len) < 0)) {
		STAT_INC(udp_drop_header);
		return;
	}
	if (unlikely(u.has_csum && !csum_ok(in, (uint32_t)UDP_HDR_LEN + u.len))) {
		STAT_INC(udp_drop_csum);
		return;
	}
	const struct udp_rx rx = {
		.from = { .addr = ipaddr_v4(in->h.src), .port = u.sport },
		.to = { .addr = ipaddr_v4(in->h.dst), .port = u.dport },
		.p = in->payload + UDP_HDR_LEN,
		.len = u.len,
		.ifindex = in->nif->ifindex,
		.ttl = in->h.ttl,
		.tos = in->h.tos,
		.multicast = in->multicast,
		.broadcast = in->broadcast,
	};
	if (unlikely(w->bridge) && bridge_takes_udp(w, &rx))
		return;
	uint32_t n = udp_input(&w->sock.udp, &rx);
	STAT_ADD(udp_rx_dgrams, n);
	if (likely(n))
		return;
	/* RFC 1122 4.1.3.1: who sends to a port without a socket is told; never about a group or a
	 * broadcast (3.2.2). */
	if (in->multicast || in->broadcast) {
		STAT_INC(udp_drop_nomember);
		return;
	}
	STAT_INC(udp_drop_noport);
	icmp4_send_unreach(&w->net, in, ICMP_C_PORT);
}

void rx_udp_error(struct worker *w, const struct icmp4_error *e)
{
	const struct udp_error ue = {
		.local = { .addr = ipaddr_v4(e->local), .port = e->lport },
		.remote = { .addr = ipaddr_v4(e->remote), .port = e->rport },
		.offender = ipaddr_v4(e->offender),
		.err = e->err,
		/* "Too big" is told to every socket that wants to know the path's MTU. */
		.hard = e->hard || e->err == EMSGSIZE,
		.type = e->type,
		.code = e->code,
		.info = e->info,
		.p = e->p,
		.len = e->len,
	};

	/* RFC 5927 4: an error is believed when the ports it quotes are those of a socket of ours. */
	if (!udp_icmp_error(&w->sock.udp, &ue)) {
		STAT_INC(icmp_drop_bad);
		return;
	}
	STAT_INC(icmp_rx_error);
	STAT_INC(udp_rx_error);
	if (e->err == EMSGSIZE)
		pmtu_set(w->pmtu, e->remote, e->mtu, w->now_ns);
}

/* Linux: arp_error_report() sends ourselves "host unreachable". */
void udp_neigh_unreachable(struct worker *w, const struct ip4 *h, const uint8_t *p, uint32_t n)
{
	if (h->frag_off || n < UDP_HDR_LEN)
		return;
	const struct udp_error e = {
		.local = { .addr = ipaddr_v4(h->src), .port = load_be16(p) },
		.remote = { .addr = ipaddr_v4(h->dst), .port = load_be16(p + 2) },
		.offender = ipaddr_v4(h->src),
		.err = EHOSTUNREACH,
		.type = ICMP_T_UNREACH,
		.code = ICMP_C_HOST,
		.p = p + UDP_HDR_LEN,
		.len = min_u32(n - UDP_HDR_LEN, UDP_QUOTE_MAX),
	};

	STAT_ADD(udp_rx_error, udp_icmp_error(&w->sock.udp, &e));
}
