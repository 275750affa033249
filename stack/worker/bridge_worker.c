/* The bridge to another engine on a data thread: what comes over it, what goes over it, and the question
 * whether a packet is known here. See bridge.h for the rules. */
// SPDX-License-Identifier: MIT
#include "stack/worker/bridge.h"
#include <errno.h>
#include <rte_ring.h>
#include <stdlib.h>
#include "stack/base/log.h"
#include "stack/net/flow.h"
#include "stack/net/pkt.h"
#include "stack/wire/udp.h"
#include "stack/worker/local_ip.h"
#include "stack/worker/worker_int.h"

enum { PIECES = 64, RECORDS_AT_ONCE = 256 };

void bridge_attach(struct worker *w, struct bridge *b)
{
	struct worker_bridge *old = w->bridge;

	if (old) {
		worker_del_fd(w, old->b->bell[old->b->side][w->conf.number]);
		w->bridge = NULL;
		free(old);
	}
	if (!b)
		return;
	struct worker_bridge *wb = calloc(1, sizeof(*wb));
	if (!wb || worker_add_fd(w, b->bell[b->side][w->conf.number], WORKER_FD_CLIENT) < 0) {
		LOG(worker, ERROR, "worker=%u can't reach the other engine", w->conf.number);
		free(wb);
		return;
	}
	wb->b = b;
	w->bridge = wb;
	if (b->side == BRIDGE_GUEST)
		w->sock.tcp.tso_bytes = 0;
}

static void put(struct worker *w, enum bridge_kind kind, uint16_t nif,
		const struct bridge_piece *piece, unsigned n)
{
	if (bridge_put(w->bridge->b, w->conf.number, kind, nif, piece, n))
		STAT_INC(bridge_tx);
	else
		STAT_INC(bridge_drop_full);
}

/* The bytes of m as pieces; 0: more than fit. */
static unsigned pieces_of(const struct rte_mbuf *m, struct bridge_piece *piece)
{
	unsigned n = 0;

	for (; m; m = m->next) {
		if (n == PIECES)
			return 0;
		piece[n++] = (struct bridge_piece){ rte_pktmbuf_mtod(m, const void *), m->data_len };
	}
	return n;
}

/* ---- the guest's ports ---- */
static struct bridge *guest_bridge;

static uint16_t guest_tx(struct netif *nif, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	struct bridge_piece piece[PIECES];

	for (uint16_t i = 0; i < n; i++) {
		unsigned k = pieces_of(m[i], piece);

		if (k && !bridge_put(guest_bridge, queue, BRIDGE_FRAME, nif->index, piece, k))
			return i;
		STAT_INC(bridge_tx);
		pkt_free(m[i]);
	}
	return n;
}

/* What the host has for us comes by bridge_poll(). */
static uint16_t guest_rx(struct netif *nif, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	return 0;
}

void bridge_take_port(struct netif *nif, struct bridge *b)
{
	static const struct netif_ops ops = { .rx_burst = guest_rx, .tx_burst = guest_tx };

	guest_bridge = b;
	nif->tx_csum_ip = nif->tx_csum_l4 = nif->rx_csum = false;
	nif->tso_bytes = 0;
	nif->ops = &ops;
}

/* ---- receiving ---- */
static struct rte_mbuf *to_mbuf(struct worker *w, const void *p, uint32_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->conf.mbufs);
	const struct sock_piece piece = { .p = p, .len = n };

	if (m && pieces_copy(w, m, &piece, 1, NULL, NULL))
		return m;
	STAT_INC(port_drop_nombuf);
	pkt_free(m);
	return NULL;
}

bool worker_inject(struct worker *w, const struct netif *nif, const void *frame, uint32_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->conf.mbufs);
	const struct sock_piece piece = { .p = frame, .len = n };

	if (!m || !pieces_copy(w, m, &piece, 1, NULL, NULL)) {
		pkt_free(m);
		return false;
	}
	m->port = nif->index;
	m->hash.usr = STEER_FRAME;
	if (rte_ring_mp_enqueue(w->steered, m) != 0) {
		pkt_free(m);
		return false;
	}
	worker_wake(w);
	return true;
}

/* The data thread whose sockets a local packet concerns; -1: no such packet was sent. */
static int owner_of_local(const struct worker *w, const uint8_t *p, uint32_t n, bool refused)
{
	struct local_ip h;
	int hdr_len = local_ip_parse(&h, p, n);

	if (hdr_len < 0 || h.len < UDP_HDR_LEN)
		return -1;
	uint16_t sport = load_be16(p + hdr_len), dport = load_be16(p + hdr_len + 2);
	if (h.proto == IP_PROTO_UDP)
		return (int)chan_port_worker(refused ? sport : dport, w->conf.n_workers);
	if (h.proto == IP_PROTO_TCP && !refused)
		return (int)flow_worker6(&h.src, &h.dst, sport, dport, w->conf.n_workers);
	return -1;
}

static void receive(struct worker *w, const struct bridge_record *r)
{
	const uint8_t *p = w->bridge->buf;
	struct netif *nif = r->nif < w->conf.n_netif ? w->conf.netif[r->nif] : NULL;
	bool refused = r->kind == BRIDGE_REFUSED;
	int owner = 0;

	STAT_INC(bridge_rx);
	if (r->kind == BRIDGE_LOCAL || refused)
		owner = owner_of_local(w, p, r->len, refused);
	else if (r->kind != BRIDGE_FRAME || !nif || r->len < ETH_HDR_LEN ||
		 r->len > (uint32_t)nif->mtu + ETH_HDR_LEN + 4)
		owner = -1;
	struct rte_mbuf *m = owner < 0 ? NULL : to_mbuf(w, p, r->len);
	if (!m) {
		STAT_INC(bridge_drop_bad);
		return;
	}
	if (r->kind != BRIDGE_FRAME) {
		m->port = nif ? nif->index : BRIDGE_NO_NIF;
		local_bridged(w, (uint32_t)owner, m, refused);
	} else if (w->bridge->b->side == BRIDGE_HOST) {
		tx_push(w, nif, m);
	} else {
		rx_bridged(w, nif, m);
	}
}

uint32_t bridge_poll(struct worker *w)
{
	struct bridge *b = w->bridge->b;
	struct bridge_record r;
	uint32_t n = 0;

	for (uint32_t i = w->conf.number; i < b->n_theirs; i += b->n_mine) {
		for (int k = 0; k < RECORDS_AT_ONCE; k++) {
			int got = bridge_get(b, i, &r, w->bridge->buf);

			if (got < 0)
				STAT_INC(bridge_drop_bad);
			if (got <= 0)
				break;
			receive(w, &r);
			n++;
		}
	}
	return n;
}

bool bridge_pending(const struct worker *w)
{
	const struct bridge *b = w->bridge->b;

	for (uint32_t i = w->conf.number; i < b->n_theirs; i += b->n_mine) {
		if (!bridge_is_empty(b, i))
			return true;
	}
	return false;
}

void bridge_flush(struct worker *w)
{
	struct bridge *b = w->bridge->b;

	if (b->fill[w->conf.number] == w->bridge->told)
		return;
	w->bridge->told = b->fill[w->conf.number];
	bridge_wake(b, w->conf.number);
}

void bridge_asleep(struct worker *w, bool on)
{
	struct bridge *b = w->bridge->b;

	atomic_store_explicit(&b->mem->thread[b->side][w->conf.number].asleep, on,
			      memory_order_relaxed);
}

/* ---- what is not known here ---- */
void bridge_note_frame(struct worker *w, const struct netif *nif, const uint8_t *p, uint32_t n,
		       bool reass)
{
	w->bridge->frame = p;
	w->bridge->frame_len = n;
	w->bridge->nif = nif->index;
	w->bridge->reass = reass;
}

void bridge_copy_frame(struct worker *w)
{
	const struct bridge_piece piece = { w->bridge->frame, w->bridge->frame_len };

	put(w, BRIDGE_FRAME, w->bridge->nif, &piece, 1);
}

/* The packet at hand is unknown. True: it is not ours to answer. */
static bool pass_on(struct worker *w)
{
	/* The fragments of it have been given to the guest one by one: who does not know the whole does
	 * not know that nobody else does. */
	if (w->bridge->reass)
		return true;
	if (!bridge_is_host(w))
		return false;
	bridge_copy_frame(w);
	return true;
}

bool bridge_takes_tcp(struct worker *w, const struct tcp_flow *flow, const struct tcp_seg *seg)
{
	return !tcp_knows(&w->sock.tcp, flow, seg, w->now_ns) && pass_on(w);
}

bool bridge_takes_udp(struct worker *w, const struct udp_rx *rx)
{
	/* To many: both have got it. */
	return !rx->multicast && !rx->broadcast && !udp_knows(&w->sock.udp, &rx->to, &rx->from) &&
	       pass_on(w);
}

bool bridge_takes_error_of(struct worker *w, uint8_t proto, const struct tcp_flow *flow)
{
	const struct tcp_seg none = { .flags = TCPF_ACK };
	bool known = proto == IP_PROTO_UDP ?
			     udp_knows(&w->sock.udp, &flow->local, &flow->remote) :
			     tcp_knows(&w->sock.tcp, flow, &none, w->now_ns);

	return !known && pass_on(w);
}

bool bridge_takes_error(struct worker *w, const struct icmp4_error *e)
{
	const struct tcp_flow flow = {
		.local = { .addr = ipaddr_v4(e->local), .port = e->lport },
		.remote = { .addr = ipaddr_v4(e->remote), .port = e->rport },
	};

	return bridge_takes_error_of(w, e->proto, &flow);
}

/* ---- to our own addresses ---- */
bool bridge_local_tcp(struct worker *w, const struct tcp_flow *flow, const struct tcp_seg *seg,
		      const void *payload)
{
	uint8_t hdr[LOCAL_IP_MAX + TCP_HDR_MAX], tcp[TCP_HDR_MAX];

	if (tcp_knows(&w->sock.tcp, flow, seg, w->now_ns))
		return false;
	uint32_t tcp_len = tcp_seg_emit(seg, tcp);
	const struct local_ip h = {
		.src = flow->remote.addr, .dst = flow->local.addr,
		.proto = IP_PROTO_TCP, .ttl = IP4_TTL_DEFAULT, .tos = seg->ecn,
		.len = tcp_len + seg->len,
	};
	uint32_t ip_len = local_ip_emit(&h, hdr);
	memcpy(hdr + ip_len, tcp, tcp_len);
	const struct bridge_piece piece[] = { { hdr, ip_len + tcp_len }, { payload, seg->len } };
	const struct netif *zone = worker_netif(w, flow->local.scope | flow->remote.scope);
	put(w, BRIDGE_LOCAL, zone ? zone->index : (uint16_t)BRIDGE_NO_NIF, piece, seg->len ? 2 : 1);
	return true;
}

void bridge_local_udp(struct worker *w, const struct rte_mbuf *m, bool refused)
{
	struct bridge_piece piece[PIECES];
	unsigned n = pieces_of(m, piece);

	if (n)
		put(w, refused ? BRIDGE_REFUSED : BRIDGE_LOCAL, m->port, piece, n);
	else
		STAT_INC(bridge_drop_full);
}
