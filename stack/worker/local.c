/* Datagrams to our own addresses and groups never become frames: they wait here, with an IP header and no
 * checksum, and go to the sockets of their port in the same loop, or to the worker that has them. Nothing
 * recurses: what a datagram causes waits for the next round. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include <netinet/icmp6.h>
#include <rte_ring.h>
#include <stdlib.h>
#include "stack/net/pkt.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"
#include "stack/worker/local_ip.h"
#include "stack/worker/worker_int.h"

enum {
	NO_NIF = 0xffff, /* m->port of what came by loopback */
	BUF_BYTES = 1024,    /* of a packet buffer, at least */
	RING_BIG = STEER_SLOTS / 32, /* datagrams of many buffers another worker may be behind */
};

struct worker_local {
	uint32_t first, n, bufs;
	struct rte_mbuf *dgram[LOCAL_DGRAMS]; /* a ring */
};

int local_init(struct worker *w)
{
	w->local = calloc(1, sizeof(*w->local));
	return w->local ? 0 : -ENOMEM;
}

static struct rte_mbuf *pop(struct worker_local *l)
{
	struct rte_mbuf *m = l->dgram[l->first];

	l->first = (l->first + 1) % LOCAL_DGRAMS;
	l->n--;
	l->bufs -= m->nb_segs;
	return m;
}

void local_fini(struct worker *w)
{
	while (w->local && w->local->n)
		pkt_free(pop(w->local));
	free(w->local);
	w->local = NULL;
}

bool local_pending(const struct worker *w) { return w->local->n > 0; }

/* Another worker's ring also brings it frames: large datagrams may fill only part of it. */
static bool ring_takes(const struct worker *other, uint32_t n, bool big)
{
	uint32_t used = rte_ring_count(other->steered);

	return big ? used <= RING_BIG : used + n < STEER_SLOTS;
}

bool local_has_room(const struct worker *w, uint16_t dport, uint32_t n, uint32_t bytes)
{
	uint32_t to = chan_port_worker(dport, w->conf.n_workers);
	uint32_t bufs = n + bytes / BUF_BYTES;

	if (to != w->conf.number)
		return ring_takes(worker_set.w[to], n, bufs > n);
	return w->local->n + n <= LOCAL_DGRAMS &&
	       (w->local->bufs + bufs <= LOCAL_BUFS || w->local->n == 0);
}

static bool give(struct worker *w, uint32_t to, struct rte_mbuf *m, enum steer_kind kind)
{
	struct worker *other = worker_set.w[to];

	m->hash.usr = kind;
	if (!ring_takes(other, 1, m->nb_segs > 1) ||
	    rte_ring_mp_enqueue(other->steered, m) != 0) {
		STAT_INC(udp_drop_local);
		pkt_free(m);
		return false;
	}
	STAT_INC(worker_steered);
	worker_wake(other);
	return true;
}

int local_push(struct worker *w, struct netif *nif, struct rte_mbuf *m, uint16_t dport)
{
	struct worker_local *l = w->local;
	uint32_t to = chan_port_worker(dport, w->conf.n_workers);

	m->port = nif ? nif->index : NO_NIF;
	if (to != w->conf.number)
		return give(w, to, m, STEER_LOCAL) ? 0 : -ENOBUFS;
	if (l->n == LOCAL_DGRAMS || l->bufs + m->nb_segs > LOCAL_BUFS) {
		STAT_INC(udp_drop_local);
		pkt_free(m);
		return -ENOBUFS;
	}
	l->dgram[(l->first + l->n) % LOCAL_DGRAMS] = m;
	l->n++;
	l->bufs += m->nb_segs;
	return 0;
}

static uint32_t ifindex_of(const struct worker *w, const struct rte_mbuf *m)
{
	return m->port < w->conf.n_netif ? w->conf.netif[m->port]->ifindex : (uint32_t)NETIF_IFINDEX_LO;
}

static uint32_t zone_of(const struct worker *w, const struct rte_mbuf *m, const struct ipaddr *a)
{
	return ipaddr_has_zone(a) ? ifindex_of(w, m) : 0;
}

/* Headers that this stack has written: they parse. */
static bool read_dgram(struct worker *w, struct rte_mbuf *m, struct udp_rx *rx)
{
	const uint8_t *p = pkt_linear(m, w->scratch);
	struct local_ip h;
	struct udp_dgram u;
	int hdr_len = p ? local_ip_parse(&h, p, pkt_len(m)) : -1;

	if (hdr_len < 0 || udp_parse(&u, p + hdr_len, h.len) < 0)
		return false;
	*rx = (struct udp_rx){
		.from = { .addr = h.src, .port = u.sport },
		.to = { .addr = h.dst, .port = u.dport },
		.p = p + hdr_len + UDP_HDR_LEN,
		.len = u.len,
		.ifindex = ifindex_of(w, m),
		.ttl = h.ttl,
		.tos = h.tos,
		.flow = h.flow,
	};
	rx->multicast = ipaddr_is_multicast(&rx->to.addr);
	rx->broadcast = !rx->multicast && ipaddr_is_v4(&rx->to.addr) &&
			!route_is_local(w->conf.routes, &rx->to.addr);
	rx->from.scope = zone_of(w, m, &rx->from.addr);
	rx->to.scope = zone_of(w, m, &rx->to.addr);
	return true;
}

/* The sender's worker hears that nobody had the port, as by an ICMP error from ourselves. */
static void refused(struct worker *w, const struct udp_rx *rx)
{
	bool v6 = !ipaddr_is_v4(&rx->to.addr);
	const struct udp_error e = {
		.local = rx->from,
		.remote = rx->to,
		.offender = rx->to.addr,
		.err = ECONNREFUSED,
		.hard = true,
		.type = v6 ? ICMP6_DST_UNREACH : ICMP_T_UNREACH,
		.code = v6 ? ICMP6_DST_UNREACH_NOPORT : ICMP_C_PORT,
		.p = rx->p,
		.len = min_u32(rx->len, v6 ? (uint32_t)UDP_QUOTE_MAX6 : (uint32_t)UDP_QUOTE_MAX),
	};

	STAT_ADD(udp_rx_error, udp_icmp_error(&w->sock.udp, &e));
}

/* second: it comes from the other engine, which did not know it, or has it too. */
static void input(struct worker *w, struct rte_mbuf *m, bool second)
{
	struct udp_rx rx;

	if (!read_dgram(w, m, &rx)) {
		STAT_INC(udp_drop_header);
		pkt_free(m);
		return;
	}
	bool many = rx.multicast || rx.broadcast;
	if (unlikely(w->bridge) && !second &&
	    (many || !udp_knows(&w->sock.udp, &rx.to, &rx.from))) {
		bridge_local_udp(w, m, false);
		if (!many) {
			pkt_free(m);
			return;
		}
	}
	uint32_t n = udp_input(&w->sock.udp, &rx);
	STAT_ADD(udp_rx_dgrams, n);
	STAT_INC(udp_rx_local);
	if (n || many) {
		pkt_free(m);
		return;
	}
	STAT_INC(udp_drop_noport);
	if (second && w->bridge) {
		bridge_local_udp(w, m, true);
		pkt_free(m);
		return;
	}
	uint32_t to = chan_port_worker(rx.from.port, w->conf.n_workers);
	if (to != w->conf.number) {
		give(w, to, m, STEER_LOCAL_REFUSED);
		return;
	}
	refused(w, &rx);
	pkt_free(m);
}

/* A packet that the other engine has written: it parses, but who knows. */
static void second_look(struct worker *w, struct rte_mbuf *m)
{
	const uint8_t *p = pkt_linear(m, w->scratch);
	struct tcp_seg seg;
	struct local_ip h;
	int hdr_len = p ? local_ip_parse(&h, p, pkt_len(m)) : -1;

	if (hdr_len < 0) {
		pkt_free(m);
		return;
	}
	if (h.proto == IP_PROTO_UDP) {
		input(w, m, true);
		return;
	}
	int len = tcp_seg_parse(&seg, p + hdr_len, h.len);
	if (len >= 0) {
		const struct tcp_flow flow = {
			.local = { .addr = h.dst, .port = seg.dport, .scope = zone_of(w, m, &h.dst) },
			.remote = { .addr = h.src, .port = seg.sport, .scope = zone_of(w, m, &h.src) },
		};

		seg.ecn = h.tos & 3;
		tcp_input(&w->sock.tcp, &flow, &seg, p + hdr_len + len, w->now_ns);
	}
	pkt_free(m);
}

void local_bridged(struct worker *w, uint32_t to, struct rte_mbuf *m, bool refused_there)
{
	enum steer_kind kind = refused_there ? STEER_LOCAL_REFUSED : STEER_LOCAL_SECOND;

	m->hash.usr = kind;
	if (to == w->conf.number)
		local_steered(w, m);
	else
		give(w, to, m, kind);
}

void local_steered(struct worker *w, struct rte_mbuf *m)
{
	struct udp_rx rx;

	if (m->hash.usr == STEER_LOCAL) {
		input(w, m, false);
		return;
	}
	if (m->hash.usr == STEER_LOCAL_SECOND) {
		second_look(w, m);
		return;
	}
	if (read_dgram(w, m, &rx))
		refused(w, &rx);
	pkt_free(m);
}

uint32_t local_drain(struct worker *w)
{
	uint32_t n = w->local->n;

	for (uint32_t i = 0; i < n; i++)
		input(w, pop(w->local), false);
	return n;
}
