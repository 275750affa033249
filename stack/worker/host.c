/* What sock/ asks of the worker: segments become frames here (or local segments), and questions about
 * addresses are answered from the route table. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include "stack/base/checksum.h"
#include "stack/net/flow.h"
#include "stack/net/ip6.h"
#include "stack/net/pkt.h"
#include "stack/worker/worker_int.h"

enum { TCP_HDR_MIN = 20, LARGE_FROM = 4096 };
#define IP4_BROADCAST 0xffffffffu

/* A piece at an odd offset has its bytes in the other halves of the 16-bit words: its sum is the
 * byte-swapped one (RFC 1071 2(B)). */
static uint32_t sum_at(uint32_t sum, uint32_t piece, uint32_t off)
{
	if (off & 1)
		piece = __builtin_bswap16(csum_fold_plain(piece));
	return csum_join(sum, piece);
}

uint32_t pieces_sum(const struct sock_piece *piece, unsigned n_pieces)
{
	uint32_t sum = 0, off = 0;

	for (unsigned i = 0; i < n_pieces; i++) {
		sum = sum_at(sum, csum_add(0, piece[i].p, piece[i].len), off);
		off += piece[i].len;
	}
	return sum;
}

bool pieces_copy(struct worker *w, struct rte_mbuf *m, const struct sock_piece *piece,
		 unsigned n_pieces, struct rte_mempool *large, uint32_t *sum)
{
	struct rte_mbuf *last = m;
	uint32_t off = 0;

	for (unsigned i = 0; i < n_pieces; i++) {
		const uint8_t *from = piece[i].p;
		uint32_t left = piece[i].len;

		while (left) {
			uint16_t n = (uint16_t)min_u32(left, rte_pktmbuf_tailroom(last));
			uint8_t *to = rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len);

			if (unlikely(n == 0)) {
				struct rte_mbuf *more = NULL;

				if (large && left > LARGE_FROM)
					more = rte_pktmbuf_alloc(large);
				if (!more)
					more = rte_pktmbuf_alloc(w->conf.mbufs);

				if (!more)
					return false;
				last = last->next = more;
				m->nb_segs++;
				continue;
			}
			if (sum)
				*sum = sum_at(*sum, csum_copy(to, from, n, 0), off);
			else
				memcpy(to, from, n);
			last->data_len += n;
			m->pkt_len += n;
			off += n;
			from += n;
			left -= n;
		}
	}
	return true;
}

static uint16_t mtu_mss(const struct netif *nif, bool v6)
{
	return v6 ? netif_mtu6(nif) - IP6_HDR_LEN - TCP_HDR_MIN : nif->mtu - IP4_HDR_MIN - TCP_HDR_MIN;
}

/* One segment in a buffer, from its TCP header on, for nif. NULL: no buffers. */
static inline struct rte_mbuf *segment_buf(struct worker *w, const struct netif *nif, bool v6,
					   const struct tcp_flow *flow, const struct tcp_seg *seg,
					   const struct sock_piece *piece, unsigned n_pieces)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->conf.mbufs);
	struct rte_mempool *large = nif->large_frames ? w->conf.mbufs_large : NULL;
	bool offload = nif->tx_csum_l4;
	uint32_t sum = 0;

	if (unlikely(!m)) {
		STAT_INC(port_drop_nombuf);
		return NULL;
	}
	uint8_t *hdr = pkt_data(m);
	uint32_t hdr_len = tcp_seg_emit(seg, hdr);
	m->data_len = (uint16_t)hdr_len;
	m->pkt_len = hdr_len;
	if (likely(n_pieces == 1 && !offload && piece->len <= rte_pktmbuf_tailroom(m))) {
		sum = csum_copy(hdr + hdr_len, piece->p, piece->len, 0);
		m->data_len += (uint16_t)piece->len;
		m->pkt_len += piece->len;
	} else if (unlikely(!pieces_copy(w, m, piece, n_pieces, large, offload ? NULL : &sum))) {
		STAT_INC(port_drop_nombuf);
		pkt_free(m);
		return NULL;
	}
	uint32_t room = mtu_mss(nif, v6) - (hdr_len - TCP_HDR_MIN);
	bool tso = offload && seg->len > room;
	/* To be cut: devices want the pseudo header without the length, which differs per segment. */
	uint32_t len = tso && !nif->tso_whole_len ? 0 : hdr_len + seg->len;
	uint32_t pseudo = csum_pseudo(&flow->local.addr, &flow->remote.addr, IP_PROTO_TCP, len);
	uint16_t csum;
	if (offload) {
		uint16_t cut = tso ? (uint16_t)min_u32(seg->mss, room) : 0;

		csum = csum_fold_plain(pseudo);
		if (v6)
			pkt_want_tcp6(m, (uint8_t)hdr_len, cut);
		else
			pkt_want_tcp(m, (uint8_t)hdr_len, cut);
	} else {
		pseudo = likely(hdr_len == 32) ? csum_32(pseudo, hdr) : csum_add(pseudo, hdr, hdr_len);
		csum = csum_fold(csum_join(pseudo, sum));
	}
	tcp_store_csum(hdr, csum);
	return m;
}

uint32_t host_flow_label(const struct worker *w, const struct tcp_flow *flow, uint8_t turn)
{
	const struct siphash_key *key = &w->sock.udp.key;
	uint64_t ports = (uint64_t)turn << 32 | (uint64_t)flow->local.port << 16 | flow->remote.port;
	uint64_t h = (flow->local.addr.q[1] ^ key->k[0]) * 0x9e3779b97f4a7c15 +
		     (flow->remote.addr.q[0] ^ flow->remote.addr.q[1]) * 0xc2b2ae3d27d4eb4f;

	h = (h ^ h >> 29 ^ ports ^ key->k[1]) * 0xbf58476d1ce4e5b9;
	h >>= 44;
	return h ? (uint32_t)h : 1;
}

/* As Linux: the program's, else one of ours unless it wants none (auto_flowlabels 1). */
static uint32_t label_of(const struct worker *w, const struct tcp_flow *flow,
			 const struct tcp_sockopts *opts)
{
	if (unlikely(opts && (opts->label || opts->no_label)))
		return opts->label;
	return host_flow_label(w, flow, opts ? opts->label_turn : 0);
}

static void output6(struct worker *w, const struct route *r, const struct tcp_flow *flow,
		    const struct tcp_seg *seg, const struct sock_piece *piece, unsigned n_pieces,
		    const struct tcp_sockopts *opts)
{
	if (unlikely(!r || !r->nif)) {
		STAT_INC(ip6_drop_noroute);
		return;
	}
	struct ip6_out out = {
		.src = flow->local.addr, .dst = flow->remote.addr,
		.flow = label_of(w, flow, opts), .proto = IP_PROTO_TCP,
		.hops = opts ? opts->hops : 0,
		.tclass = (uint8_t)((opts ? opts->tclass & 0xfc : 0) | seg->ecn),
		.dont_frag = true,
	};
	struct rte_mbuf *m = segment_buf(w, r->nif, true, flow, seg, piece, n_pieces);
	if (likely(m))
		ip6_output(&w->net, r, &out, m);
}

static void host_tcp_output(void *arg, const struct tcp_flow *flow, const struct tcp_seg *seg,
			    const struct sock_piece *piece, unsigned n_pieces,
			    const struct tcp_sockopts *opts)
{
	struct worker *w = arg;
	const struct route *r = worker_route(w, &flow->remote);

	if (r && r->kind == ROUTE_LOCAL) {
		loop_push(w, flow, seg, piece, n_pieces);
		return;
	}
	if (!ipaddr_is_v4(&flow->remote.addr)) {
		output6(w, r, flow, seg, piece, n_pieces, opts);
		return;
	}
	if (unlikely(!r || r->kind == ROUTE_BROADCAST)) {
		STAT_INC(ip4_drop_noroute);
		return;
	}
	struct ip4_out out = {
		.src = ipaddr_get_v4(&flow->local.addr),
		.dst = ipaddr_get_v4(&flow->remote.addr),
		.proto = IP_PROTO_TCP,
		.ttl = opts ? opts->ttl : 0,
		.tos = (uint8_t)((opts ? opts->tos & 0xfc : 0) | seg->ecn),
		.dont_frag = !opts || !opts->may_cut, /* RFC 1191: TCP learns the path's MTU */
	};
	struct rte_mbuf *m = segment_buf(w, r->nif, false, flow, seg, piece, n_pieces);
	if (likely(m))
		ip4_output(&w->net, r, &out, m);
}

static uint16_t host_path_mss(void *arg, const struct endpoint *remote)
{
	struct worker *w = arg;
	const struct route *r = worker_route(w, remote);

	if (!r || r->kind == ROUTE_BROADCAST)
		return 0;
	if (r->kind == ROUTE_LOCAL)
		return LOOP_MSS;
	return mtu_mss(r->nif, !ipaddr_is_v4(&remote->addr));
}

static bool host_source_addr(void *arg, const struct endpoint *remote, bool public_first,
			     struct ipaddr *src)
{
	uint32_t flags = public_first ? ROUTE_SRC_PUBLIC : 0;
	struct worker *w = arg;
	const struct route *r;

	if (!ipaddr_is_v4(&remote->addr) && ipaddr_is_multicast(&remote->addr)) {
		uint32_t by = host_find_interface(w, remote->scope, NULL, &remote->addr);

		return route_source6(w->conf.routes, &remote->addr, worker_netif(w, by), flags, src);
	}
	r = worker_route(w, remote);
	if (!r)
		return false;
	if (ipaddr_is_v4(&remote->addr) || r->kind == ROUTE_LOCAL) {
		*src = r->src;
		return true;
	}
	return route_source6(w->conf.routes, &remote->addr, r->nif, flags, src);
}

static bool host_is_local(void *arg, const struct endpoint *ep)
{
	const struct route *r = worker_route(arg, ep);

	return r && r->kind == ROUTE_LOCAL;
}

static bool host_is_broadcast(void *arg, const struct ipaddr *addr)
{
	struct worker *w = arg;
	const struct route *r = route_lookup(w->conf.routes, addr);

	return (ipaddr_is_v4(addr) && ipaddr_get_v4(addr) == IP4_BROADCAST) ||
	       (r && r->kind == ROUTE_BROADCAST);
}

static bool host_is_settled(void *arg)
{
	return !loop_pending(arg);
}

static uint32_t host_flow_worker(void *arg, const struct tcp_flow *flow)
{
	struct worker *w = arg;

	return flow_worker6(&flow->local.addr, &flow->remote.addr, flow->local.port,
			    flow->remote.port, w->conf.n_workers);
}

static bool host_mail(void *arg, uint32_t to, const struct sock_mail *msg)
{
	if (to == UINT32_MAX)
		return worker_set.control_mail && worker_set.control_mail(msg);
	return to < worker_set.n && worker_mail(worker_set.w[to], msg);
}

static uint32_t host_ends_unknown(void *arg)
{
	return worker_set.ends_unknown ? worker_set.ends_unknown() : 0;
}

static bool host_ends_known(void *arg, uint32_t mark)
{
	return !worker_set.ends_known || worker_set.ends_known(mark);
}

static void host_udp_settle(void *arg)
{
	local_drain(arg);
}

const struct sock_host worker_host = {
	.tcp_output = host_tcp_output,
	.udp_output = host_udp_output,
	.udp_settle = host_udp_settle,
	.find_interface = host_find_interface,
	.path_mtu = host_path_mtu,
	.path_told = host_path_told,
	.realtime_ns = host_realtime_ns,
	.group_changed = host_group_changed,
	.path_mss = host_path_mss,
	.source_addr = host_source_addr,
	.is_local = host_is_local,
	.is_broadcast = host_is_broadcast,
	.is_settled = host_is_settled,
	.flow_worker = host_flow_worker,
	.mail = host_mail,
	.ends_unknown = host_ends_unknown,
	.ends_known = host_ends_known,
};

/* A frame waited in vain for its neighbour. TCP hears of it as of an ICMP error (Linux does the same
 * with dst_link_failure): a connection attempt fails with EHOSTUNREACH. */
void host_neigh_unreachable(struct worker *w, struct netif *nif, struct rte_mbuf *m)
{
	const uint8_t *p = pkt_data(m) + ETH_HDR_LEN;
	uint32_t n = m->data_len - ETH_HDR_LEN;
	struct ip4 h;
	struct tcp_seg seg;

	if (n && p[0] >> 4 == 6) {
		rx6_neigh_unreachable(w, p, n, nif);
		return;
	}
	int hdr_len = ip4_parse_quoted(&h, p, n);

	if (hdr_len > 0 && h.proto == IP_PROTO_UDP)
		udp_neigh_unreachable(w, &h, p + hdr_len, n - (uint32_t)hdr_len);
	if (hdr_len < 0 || h.proto != IP_PROTO_TCP || h.frag_off ||
	    tcp_seg_parse(&seg, p + hdr_len, n - (uint32_t)hdr_len) < 0)
		return;
	struct tcp_flow flow = {
		.local = { .addr = ipaddr_v4(h.src), .port = seg.sport },
		.remote = { .addr = ipaddr_v4(h.dst), .port = seg.dport },
	};
	tcp_icmp_error(&w->sock.tcp, &flow, seg.seq, EHOSTUNREACH, true, 0, w->now_ns);
}
