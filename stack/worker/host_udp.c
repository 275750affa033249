/* What sock/ asks of the worker for datagrams: where one goes (route, interface, source address), whether it
 * fits, and out it goes: as a frame, as fragments, to ourselves, or several of these. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include <time.h>
#include "stack/base/checksum.h"
#include "stack/net/ip6.h"
#include "stack/net/mcast.h"
#include "stack/net/pkt.h"
#include "stack/net/pmtu.h"
#include "stack/wire/udp.h"
#include "stack/worker/local_ip.h"
#include "stack/worker/worker_int.h"

enum { PIECES = 8, TTL_GROUP = 1, LOCAL_MTU = IP4_TOTAL_MAX, GSO_SEGS = 128 };
#define IP4_BROADCAST 0xffffffffu
#define IP4_LOOPBACK 0x7f000001u

/* Where the datagrams of one call go. */
struct plan {
	struct ipaddr src, dst;
	uint8_t ttl, tos;
	bool dont_frag;
	uint8_t ip_len;	      /* of an IP header of this family */
	struct route via;     /* to the wire, unless nif is NULL */
	struct netif *nif;    /* leaves by */
	struct netif *loop_nif; /* our copy came in by, NULL: loopback */
	bool loop;	      /* we get it, too (or only we) */
	uint32_t mtu;
	uint16_t sport, dport;
	uint32_t flags;
	uint32_t source;      /* enum route_source_flags */
	uint32_t label;	      /* IPv6 flow label */
};

/* ---- interfaces ---- */
/* The first one with an IPv6 address. */
static uint32_t first_six(const struct worker *w)
{
	for (uint32_t i = 0; i < w->conf.n_netif; i++) {
		const struct netif *nif = w->conf.netif[i];

		for (uint32_t k = 0; k < nif->n_addrs; k++) {
			if (!ipaddr_is_v4(&nif->addr[k].addr))
				return nif->ifindex;
		}
	}
	return 0;
}

uint32_t host_find_interface(void *arg, uint32_t ifindex, const struct ipaddr *addr,
			     const struct ipaddr *group)
{
	struct worker *w = arg;
	const struct route *r;

	if (ifindex == NETIF_IFINDEX_LO)
		return w->conf.loopback ? ifindex : 0;
	if (ifindex)
		return worker_netif(w, ifindex) ? ifindex : 0;
	if (addr && !ipaddr_is_any(addr)) {
		r = route_lookup(w->conf.routes, addr);
		if (!r || r->kind != ROUTE_LOCAL)
			return 0;
		return r->nif ? r->nif->ifindex : (uint32_t)NETIF_IFINDEX_LO;
	}
	r = group ? route_lookup(w->conf.routes, group) : NULL;
	if (r && r->nif)
		return r->nif->ifindex;
	if (group && !ipaddr_is_v4(group))
		return first_six(w);
	return w->conf.n_netif ? w->conf.netif[0]->ifindex : 0;
}

uint32_t host_path_mtu(void *arg, const struct endpoint *remote)
{
	struct worker *w = arg;
	const struct route *r = worker_route(w, remote);
	bool may_cut;

	if (r && r->kind == ROUTE_LOCAL)
		return LOCAL_MTU;
	if (!r && ipaddr_is_multicast(&remote->addr) && w->conf.n_netif)
		return w->conf.netif[0]->mtu;
	if (!r || !r->nif)
		return 0;
	const struct ipaddr key = endpoint_key(remote);
	if (!ipaddr_is_v4(&key))
		return pmtu_get6(w->pmtu, &key, netif_mtu6(r->nif), w->now_ns);
	return pmtu_get(w->pmtu, ipaddr_get_v4(&remote->addr), r->nif->mtu, &may_cut, w->now_ns);
}

void host_path_told(void *arg, const struct endpoint *remote, uint32_t mtu)
{
	struct worker *w = arg;
	const struct ipaddr key = endpoint_key(remote);

	if (ipaddr_is_v4(&key))
		pmtu_set(w->pmtu, ipaddr_get_v4(&key), mtu, w->now_ns);
	else
		pmtu_set6(w->pmtu, &key, mtu, w->now_ns);
}

uint64_t host_realtime_ns(void *arg)
{
	struct worker *w = arg;
	struct timespec ts;

	if (w->real_at_ns != w->now_ns) {
		clock_gettime(CLOCK_REALTIME, &ts);
		w->real_ns = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
		w->real_at_ns = w->now_ns;
	}
	return w->real_ns;
}

/* ---- the way ---- */
static const struct ipaddr loopback6 = { .b = { [15] = 1 } };

static bool is_v6(const struct plan *p) { return p->ip_len == LOCAL_IP6_LEN; }

static bool is_all_ones(const struct ipaddr *a)
{
	return ipaddr_is_v4(a) && ipaddr_get_v4(a) == IP4_BROADCAST;
}

/* The source that was asked for; none (any) when it is a group or broadcast address that the socket is bound
 * to, as on Linux. -EINVAL: not ours. */
static int wanted_source(struct worker *w, const struct ipaddr *a, struct ipaddr *src)
{
	const struct route *r;

	if (ipaddr_is_any(a) || ipaddr_is_multicast(a) || is_all_ones(a))
		return 0;
	r = route_lookup(w->conf.routes, a);
	if (!r || (r->kind != ROUTE_LOCAL && r->kind != ROUTE_BROADCAST))
		return -EINVAL;
	if (r->kind == ROUTE_LOCAL)
		*src = *a;
	return 0;
}

static int plan_source(struct worker *w, struct netif *nif, struct plan *p)
{
	if (!ipaddr_is_any(&p->src))
		return 0;
	if (!is_v6(p)) {
		p->src = ipaddr_v4(nif ? netif_addr4(nif) : IP4_LOOPBACK);
		return 0;
	}
	p->src = loopback6;
	return !nif || route_source6(w->conf.routes, &p->dst, nif, p->source, &p->src) ? 0 : -EADDRNOTAVAIL;
}

/* Scopes 0 and 1: this host (RFC 4291 2.7). */
static bool stays_here(const struct plan *p) { return is_v6(p) && (p->dst.b[1] & 0xf) <= 1; }

/* To a group, or to 255.255.255.255: no route is needed, but an interface. */
static int plan_link(struct worker *w, const struct sock_udp_tx *tx, struct plan *p)
{
	uint32_t zone = ipaddr_has_zone(&p->dst) ? tx->remote.scope : 0;
	uint32_t ifindex = host_find_interface(w, tx->ifindex ? tx->ifindex : zone, &p->src, &p->dst);
	struct netif *nif = worker_netif(w, ifindex);

	if (!ifindex)
		return -ENETUNREACH;
	int err = plan_source(w, nif, p);
	if (err)
		return err;
	p->nif = p->loop_nif = nif;
	p->via = (struct route){ .kind = ROUTE_ONLINK, .nif = nif };
	p->mtu = !nif ? LOCAL_MTU : is_v6(p) ? netif_mtu6(nif) : nif->mtu;
	if (!ipaddr_is_multicast(&p->dst)) {
		p->loop = true;
		return tx->flags & CHAN_DG_BROADCAST ? 0 : -EACCES;
	}
	if (!p->ttl && !(tx->flags & CHAN_DG_HOST_ONLY))
		p->ttl = TTL_GROUP;
	if (tx->flags & CHAN_DG_HOST_ONLY || stays_here(p))
		p->nif = NULL;
	p->loop = tx->flags & CHAN_DG_MCAST_LOOP && mcast_wants(w->conf.groups, &p->dst, ifindex, &p->src);
	return 0;
}

static int plan_route6(struct worker *w, const struct sock_udp_tx *tx, const struct route *r,
		       struct plan *p)
{
	if (ipaddr_is_any(&p->src) &&
	    !route_source6(w->conf.routes, &p->dst, r->nif, p->source, &p->src))
		return -ENETUNREACH;
	/* RFC 4007 9: what has an address of a link does not leave it. */
	if (ipaddr_is_link_local(&p->src) && !netif_find_addr(r->nif, &p->src))
		return -ENETUNREACH;
	p->via = *r;
	p->nif = p->loop_nif = r->nif;
	const uint32_t zone = ipaddr_has_zone(&p->dst) ? tx->remote.scope : 0;
	const struct endpoint to = { .addr = p->dst, .scope = zone };
	const struct ipaddr key = endpoint_key(&to);

	p->mtu = netif_mtu6(r->nif);
	if (!(tx->flags & CHAN_DG_NO_PMTU))
		p->mtu = pmtu_get6(w->pmtu, &key, p->mtu, w->now_ns);
	return 0;
}

static int plan_route(struct worker *w, const struct sock_udp_tx *tx, struct plan *p)
{
	const struct endpoint to = { .addr = p->dst, .scope = tx->remote.scope };
	const struct route *r = worker_route(w, &to);
	bool may_cut = false;

	if (!r || (r->kind == ROUTE_GATEWAY && tx->flags & CHAN_DG_DONTROUTE))
		return -ENETUNREACH;
	if (r->kind == ROUTE_BROADCAST && !(tx->flags & CHAN_DG_BROADCAST))
		return -EACCES;
	if (is_v6(p) && r->kind != ROUTE_LOCAL)
		return plan_route6(w, tx, r, p);
	if (ipaddr_is_any(&p->src))
		p->src = r->src;
	if (r->kind == ROUTE_LOCAL) {
		p->loop = true;
		p->loop_nif = r->nif; /* Linux: by the interface of the address, though nothing passes it */
		p->mtu = LOCAL_MTU;
		return 0;
	}
	p->loop = r->kind == ROUTE_BROADCAST;
	p->nif = p->loop_nif = r->nif;
	p->via = *r;
	p->mtu = r->nif->mtu;
	if (!(tx->flags & CHAN_DG_NO_PMTU))
		p->mtu = pmtu_get(w->pmtu, ipaddr_get_v4(&p->dst), p->mtu, &may_cut, w->now_ns);
	p->dont_frag &= !may_cut;
	return 0;
}

/* What only IPv6 has. Its label is that of the flow, as auto_flowlabels 1 has it on Linux. */
static void plan_six(const struct worker *w, const struct sock_udp_tx *tx, struct plan *p)
{
	const struct tcp_flow flow = { .local = { .addr = p->src, .port = p->sport },
				       .remote = { .addr = p->dst, .port = p->dport } };

	p->flags &= ~(uint32_t)CHAN_DG_NO_CSUM; /* RFC 8200 8.1 */
	if (unlikely(tx->frag >= IP6_MTU_MIN))
		p->mtu = min_u32(p->mtu, tx->frag);
	p->label = tx->label;
	if (!tx->label && !tx->no_label)
		p->label = host_flow_label(w, &flow, 0);
}

static int plan_make(struct worker *w, const struct sock_udp_tx *tx, struct plan *p)
{
	*p = (struct plan){
		.dst = tx->remote.addr,
		.ttl = tx->ttl, .tos = tx->tos, .dont_frag = !(tx->flags & CHAN_DG_MAY_CUT),
		.sport = tx->local.port, .dport = tx->remote.port, .flags = tx->flags,
		.source = tx->src_public ? ROUTE_SRC_PUBLIC : 0,
	};
	int err = wanted_source(w, &tx->local.addr, &p->src);
	if (err)
		return err;
	/* Linux: any address is ourselves. */
	if (ipaddr_is_any(&p->dst) && !ipaddr_is_any(&p->src))
		p->dst = p->src;
	else if (ipaddr_is_any(&p->dst))
		p->dst = ipaddr_is_v4(&p->dst) ? ipaddr_v4(IP4_LOOPBACK) : loopback6;
	p->ip_len = ipaddr_is_v4(&p->dst) ? IP4_HDR_MIN : LOCAL_IP6_LEN;
	/* No packet has addresses of two families. */
	if (!ipaddr_is_any(&p->src) && ipaddr_is_v4(&p->src) == is_v6(p))
		return -ENETUNREACH;
	bool link = ipaddr_is_multicast(&p->dst) || is_all_ones(&p->dst);
	err = link ? plan_link(w, tx, p) : plan_route(w, tx, p);
	if (!err && is_v6(p))
		plan_six(w, tx, p);
	return err;
}

/* ---- out ---- */
static uint32_t emit_udp(const struct plan *p, uint32_t len, uint8_t *hdr)
{
	const struct udp_dgram u = { .sport = p->sport, .dport = p->dport, .len = (uint16_t)len };

	return udp_emit(&u, hdr);
}

static uint32_t pseudo_sum(const struct plan *p, uint32_t len)
{
	return csum_pseudo(&p->src, &p->dst, IP_PROTO_UDP, UDP_HDR_LEN + len);
}

static struct ip4_out out4(const struct plan *p)
{
	return (struct ip4_out){ .src = ipaddr_get_v4(&p->src), .dst = ipaddr_get_v4(&p->dst),
				 .proto = IP_PROTO_UDP, .ttl = p->ttl, .tos = p->tos,
				 .dont_frag = p->dont_frag };
}

static struct ip6_out out6(const struct plan *p)
{
	return (struct ip6_out){ .src = p->src, .dst = p->dst, .proto = IP_PROTO_UDP,
				 .hops = p->ttl, .tclass = p->tos, .nif = p->nif,
				 .flow = p->label };
}

static int send_frame(struct worker *w, const struct plan *p, const struct sock_piece *piece,
		      unsigned n, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->conf.mbufs);
	bool csum = !(p->flags & CHAN_DG_NO_CSUM), offload = csum && p->nif->tx_csum_l4;
	uint32_t sum = 0;

	if (unlikely(!m))
		goto nombuf;
	uint8_t *hdr = pkt_data(m);
	m->data_len = (uint16_t)emit_udp(p, len, hdr);
	m->pkt_len = m->data_len;
	if (unlikely(!pieces_copy(w, m, piece, n, NULL, csum && !offload ? &sum : NULL)))
		goto nombuf;
	if (offload) {
		uint16_t plain = csum_fold_plain(pseudo_sum(p, len));

		memcpy(hdr + 6, &plain, sizeof(plain));
		if (is_v6(p))
			pkt_want_udp6(m);
		else
			pkt_want_udp(m);
	} else if (csum) {
		sum = csum_join(csum_add(pseudo_sum(p, len), hdr, UDP_HDR_LEN), sum);
		udp_store_csum(hdr, csum_fold(sum));
	}
	if (is_v6(p)) {
		struct ip6_out out = out6(p);

		ip6_output(&w->net, &p->via, &out, m);
	} else {
		struct ip4_out out = out4(p);

		ip4_output(&w->net, &p->via, &out, m);
	}
	return 0;
nombuf:
	STAT_INC(port_drop_nombuf);
	pkt_free(m);
	return -ENOBUFS;
}

static int send_fragments(struct worker *w, const struct plan *p, const struct sock_piece *piece,
			  unsigned n, uint32_t len)
{
	uint8_t hdr[UDP_HDR_LEN];
	struct iovec iov[1 + PIECES] = { { hdr, sizeof(hdr) } };

	emit_udp(p, len, hdr);
	if (!(p->flags & CHAN_DG_NO_CSUM)) {
		uint32_t sum = csum_add(pseudo_sum(p, len), hdr, sizeof(hdr));

		udp_store_csum(hdr, csum_fold(csum_join(sum, pieces_sum(piece, n))));
	}
	for (unsigned i = 0; i < n; i++)
		iov[1 + i] = (struct iovec){ (void *)piece[i].p, piece[i].len };
	if (is_v6(p)) {
		struct ip6_out out = out6(p);

		return ip6_send_via(&w->net, &p->via, p->mtu, &out, iov, (int)n + 1);
	}
	struct ip4_out out = out4(p);
	out.dont_frag = false;
	return ip4_send_via(&w->net, &p->via, p->mtu, &out, iov, (int)n + 1);
}

static int send_local(struct worker *w, const struct plan *p, const struct sock_piece *piece,
		      unsigned n, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->conf.mbufs);
	const struct local_ip h = {
		.src = p->src, .dst = p->dst, .proto = IP_PROTO_UDP,
		.ttl = p->ttl || p->flags & CHAN_DG_HOST_ONLY ? p->ttl : IP4_TTL_DEFAULT,
		.tos = p->tos,
		.flow = p->label,
		.len = UDP_HDR_LEN + len,
	};

	if (m) {
		uint8_t *b = pkt_data(m);
		uint32_t hdr_len = local_ip_emit(&h, b);

		hdr_len += emit_udp(p, len, b + hdr_len);
		m->data_len = (uint16_t)hdr_len;
		m->pkt_len = hdr_len;
	}
	if (unlikely(!m || !pieces_copy(w, m, piece, n, NULL, NULL))) {
		STAT_INC(port_drop_nombuf);
		pkt_free(m);
		return -ENOBUFS;
	}
	return local_push(w, p->loop_nif, m, p->dport);
}

static int send_one(struct worker *w, const struct plan *p, const struct sock_piece *piece,
		    unsigned n, uint32_t len)
{
	bool fits = (uint32_t)p->ip_len + UDP_HDR_LEN + len <= p->mtu;
	int err = 0;

	/* Also when it stays here (TTL 0): Linux looks at the interface first. */
	if (!fits && p->flags & CHAN_DG_DONT_FRAG)
		return -EMSGSIZE;
	if (p->nif)
		err = fits ? send_frame(w, p, piece, n, len) : send_fragments(w, p, piece, n, len);
	/* A copy for ourselves that finds no room is lost like any other datagram. */
	if (p->loop) {
		int lost = send_local(w, p, piece, n, len);

		err = p->nif ? err : lost;
	}
	if (!err)
		STAT_INC(udp_tx_dgrams);
	return err;
}

/* len bytes from off on; how many pieces. */
static unsigned cut_pieces(const struct sock_piece *piece, unsigned n, uint32_t off, uint32_t len,
			   struct sock_piece *out)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n && len; i++) {
		if (off >= piece[i].len) {
			off -= piece[i].len;
			continue;
		}
		uint32_t take = min_u32(piece[i].len - off, len);
		out[k++] = (struct sock_piece){ (const uint8_t *)piece[i].p + off, take };
		len -= take;
		off = 0;
	}
	return k;
}

/* Linux's udp_send_skb(): at most UDP_MAX_SEGMENTS, each within the MTU, all with a checksum. */
static int send_segments(struct worker *w, const struct plan *p, const struct sock_piece *piece,
			 unsigned n, uint32_t total, uint16_t gso)
{
	struct sock_piece part[PIECES];
	int err = 0;

	if ((uint32_t)p->ip_len + UDP_HDR_LEN + gso > p->mtu || total > (uint32_t)gso * GSO_SEGS ||
	    p->flags & CHAN_DG_NO_CSUM)
		return -EINVAL;
	for (uint32_t off = 0; off < total && !err; off += gso) {
		uint32_t len = min_u32(gso, total - off);

		err = send_one(w, p, part, cut_pieces(piece, n, off, len, part), len);
		if (err && off)
			return 0; /* the rest is lost as on a full link */
	}
	return err;
}

/* An upper bound, never more than the queue is long. */
static uint32_t frames_of(const struct plan *p, uint32_t total, uint16_t gso)
{
	uint32_t room = p->mtu - p->ip_len - UDP_HDR_LEN, step = gso ? gso : max_u32(room, 1);

	return min_u32(total / step + 1, TX_QUEUE);
}

/* To the wire, or to ourselves only: a copy for ourselves of what goes out makes nobody wait. */
static bool has_room(const struct worker *w, const struct plan *p, uint32_t frames, uint32_t total)
{
	if (p->nif)
		return tx_has_room(w, p->nif, frames);
	return !p->loop || local_has_room(w, p->dport, frames, total);
}

int host_udp_output(void *arg, const struct sock_udp_tx *tx, const struct sock_piece *piece,
		    unsigned n_pieces)
{
	struct worker *w = arg;
	struct plan p;
	uint32_t total = 0;

	if (n_pieces > PIECES)
		return -EINVAL;
	for (unsigned i = 0; i < n_pieces; i++)
		total += piece[i].len;
	if (total > CHAN_DGRAM_MAX)
		return -EMSGSIZE;
	int err = plan_make(w, tx, &p);
	if (err) {
		STAT_ADD(ip4_drop_noroute, err == -ENETUNREACH);
		return err;
	}
	if (!tx->gso && p.ip_len == IP4_HDR_MIN && total > IP4_TOTAL_MAX - IP4_HDR_MIN - UDP_HDR_LEN)
		return -EMSGSIZE;
	if (tx->may_wait && !has_room(w, &p, frames_of(&p, total, tx->gso), total))
		return -EAGAIN;
	if (tx->gso && total > tx->gso)
		return send_segments(w, &p, piece, n_pieces, total, tx->gso);
	return send_one(w, &p, piece, n_pieces, total);
}
