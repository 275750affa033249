/* The receive path of IPv6: what rx.c does for IPv4, and neighbour discovery, which all data threads hear and
 * one answers, like ARP. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/base/stats.h"
#include "stack/net/icmp6.h"
#include "stack/net/ip6_frag.h"
#include "stack/net/nd.h"
#include "stack/net/ndp.h"
#include "stack/worker/worker_int.h"

static bool is_nd(const struct ip6_in *in)
{
	return in->proto == IP_PROTO_ICMP6 && !ip6_is_fragment(in) && in->len &&
	       icmp6_is_nd(in->payload[0]);
}

static void rx_icmp6(struct worker *w, const struct ip6_in *in, enum rx_from from)
{
	struct icmp6_error e;
	struct nd_msg nd;

	if (is_nd(in)) {
		bool copy = from == RX_ARP_COPY || from == RX_BRIDGED;

		if (nd_input(&w->net, in, copy ? ND_LEARN_ONLY : ND_ANSWER, &nd) && w->ndp)
			ndp_input(w->ndp, in->nif, &in->h.src, &nd, w->now_ns);
		return;
	}
	if (in->len && icmp6_is_mld(in->payload[0]))
		rx_mld(w, in);
	else if (icmp6_input(&w->net, in, &e))
		rx6_error(w, &e);
}

static void rx_packet6(struct worker *w, const struct ip6_in *in, enum rx_from from)
{
	switch (in->proto) {
	case IP_PROTO_TCP:
		rx6_tcp(w, in);
		break;
	case IP_PROTO_UDP:
		rx6_udp(w, in);
		break;
	case IP_PROTO_ICMP6:
		rx_icmp6(w, in, from);
		break;
	default:
		icmp6_send_no_proto(&w->net, in);
	}
}

/* A fragment; when it is the last one missing, the packet takes the usual way. */
static void rx_fragment6(struct worker *w, struct ip6_in *in, enum rx_from from)
{
	/* Each engine puts together for itself; one to many has been copied already. */
	if (unlikely(bridge_is_host(w)) && in->eth_unicast)
		bridge_copy_frame(w);
	if (!ip6_reass_input(w->reass6, in) || ip6_input_whole(&w->net, in) < 0)
		return;
	if (ip6_is_fragment(in)) {
		STAT_INC(ip6_frag_drop_limit); /* one inside another */
		return;
	}
	uint32_t owner = steer_owner6(w, in);
	if (owner != w->conf.number) {
		steer_packet6(w, owner, in);
		return;
	}
	if (unlikely(w->bridge))
		w->bridge->reass = true;
	rx_packet6(w, in, from);
}

bool rx_ip6(struct worker *w, struct netif *nif, struct rte_mbuf *m, const uint8_t *p, uint32_t n,
	    bool eth_unicast, enum rx_from from)
{
	struct ip6_in in;

	if (ip6_input(&w->net, nif, p, n, eth_unicast, &in) < 0)
		return false;
	in.l4_csum = pkt_l4_csum(m);
	if (unlikely(is_nd(&in))) {
		/* Before it is answered: the others need it as it came. */
		if ((from == RX_WIRE || from == RX_BRIDGED) && w->conf.n_workers > 1)
			steer_copy_all(w, nif, m);
		if (from == RX_WIRE && bridge_is_host(w) && eth_unicast)
			bridge_copy_frame(w);
	} else if (w->conf.n_workers > 1) {
		uint32_t owner = steer_owner6(w, &in);

		if (owner != w->conf.number) {
			steer_give(w, owner, nif, m, STEER_FRAME);
			return true;
		}
	}
	if (unlikely(ip6_is_fragment(&in)))
		rx_fragment6(w, &in, from);
	else
		rx_packet6(w, &in, from);
	return false;
}
