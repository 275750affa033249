/* What the files of worker/ share among themselves. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/net/icmp4.h"
#include "stack/net/ip4.h"
#include "stack/net/ip6.h"
#include "stack/worker/bridge.h"
#include "stack/worker/worker.h"

enum {
	RX_BURST = 32,
	TX_BURST = 32,
	BURST_BYTES = 128 * 1024, /* a large part of a processor's own cache */
	BURST_LARGE = 4,	  /* frames that are as much */
	TX_QUEUE = 512,		/* frames a port may be behind */
	TX_TRIES = 4,		/* bursts offered before we go on with other work */
	TX_STUCK_US = 2000,	/* a port that takes nothing for so long loses what waits */
	LOOP_MSS = 16384,	/* payload of a segment to ourselves */
	LOOP_SEGS = 512,
	LOOP_PASSES = 8,	/* rounds of local input and output in one loop */
	LOCAL_DGRAMS = 1024,	/* datagrams to ourselves that wait, ... */
	LOCAL_BUFS = 1024,	/* ... and packet buffers in them */
	UDP_QUOTE_MAX = 520,	/* payload quoted in errors of our own: 576 in all (RFC 1812 4.3.2.3), */
	UDP_QUOTE_MAX6 = 1184,	/* ... by IPv6 1280 (RFC 4443 2.4 c) */
	MAIL_SLOTS = 1024,
	STEER_SLOTS = 4096,
};

/* tx.c: the transmit queues. */
int tx_init(struct worker *w);
void tx_fini(struct worker *w);
/* net_env.tx: queues m for nif, sends when a burst is full. */
void tx_push(void *arg, struct netif *nif, struct rte_mbuf *m);
/* Sends what waits. True: some of it still does. */
bool tx_flush(struct worker *w);
bool tx_pending(const struct worker *w);
/* Would so many more frames to nif find room in its queue? */
bool tx_has_room(const struct worker *w, const struct netif *nif, uint32_t frames);

/* bridge_worker.c: another engine shares our ports and addresses. All but the first two: w->bridge is not
 * NULL. */
struct worker_bridge {
	struct bridge *b;
	uint32_t told; /* records of ours that the other side has been woken for */
	const uint8_t *frame; /* being received */
	uint32_t frame_len;
	uint16_t nif;
	bool reass; /* ... it is a datagram put together from fragments */
	uint8_t buf[BRIDGE_RECORD_MAX];
};
static inline bool bridge_is_host(const struct worker *w)
{
	return w->bridge && w->bridge->b->side == BRIDGE_HOST;
}
/* Records from the other engine; how many. */
uint32_t bridge_poll(struct worker *w);
bool bridge_pending(const struct worker *w);
/* At the end of a loop: wakes who has got something. */
void bridge_flush(struct worker *w);
void bridge_asleep(struct worker *w, bool on);
void bridge_note_frame(struct worker *w, const struct netif *nif, const uint8_t *p, uint32_t n,
		       bool reass);
/* Gives the other engine a copy of the frame at hand. */
void bridge_copy_frame(struct worker *w);
/* True: it is unknown here, and not ours to answer: the other engine has got it. */
bool bridge_takes_tcp(struct worker *w, const struct tcp_flow *flow, const struct tcp_seg *seg);
bool bridge_takes_udp(struct worker *w, const struct udp_rx *rx);
bool bridge_takes_error_of(struct worker *w, uint8_t proto, const struct tcp_flow *flow);
bool bridge_takes_error(struct worker *w, const struct icmp4_error *e);
bool bridge_local_tcp(struct worker *w, const struct tcp_flow *flow, const struct tcp_seg *seg,
		      const void *payload);
/* Gives it a copy of a datagram with its IPv4 header. */
void bridge_local_udp(struct worker *w, const struct rte_mbuf *m, bool refused);

/* How a frame came to this worker. */
enum rx_from { RX_WIRE, RX_STEERED, RX_ARP_COPY, RX_REASS, RX_BRIDGED };

/* rx_ip6.c: an IPv6 packet of n bytes at p in the frame m. True: m has gone to another worker. */
bool rx_ip6(struct worker *w, struct netif *nif, struct rte_mbuf *m, const uint8_t *p, uint32_t n,
	    bool eth_unicast, enum rx_from from);
/* rx6_l4.c: its payload, and errors about ours. */
struct icmp6_error;
void rx6_tcp(struct worker *w, const struct ip6_in *in);
void rx6_udp(struct worker *w, const struct ip6_in *in);
void rx6_error(struct worker *w, const struct icmp6_error *e);
/* The packet of n bytes at p (from the IPv6 header on) waited in vain for its neighbour on nif. */
void rx6_neigh_unreachable(struct worker *w, const uint8_t *p, uint32_t n, struct netif *nif);

/* ndp_worker.c: worker 0 looks after the IPv6 addresses of the ports. */
int ndp_init(struct worker *w);
/* The addresses that they have at the start. On the data thread. */
void ndp_start(struct worker *w);
/* neigh_ops.lost: worker 0 is told of a first hop that does not answer; by SOCK_MAIL_NEIGH_LOST. */
void ndp_neigh_lost(void *arg, struct netif *nif, const struct ipaddr *addr);
void ndp_mail(struct worker *w, const struct sock_mail *m);

/* mld_worker.c: and speaks MLD for them. */
int mld_init(struct worker *w);
void rx_mld(struct worker *w, const struct ip6_in *in);

/* rx.c: frames from ports and from other workers. Return how many there were. */
uint32_t rx_ports(struct worker *w);
uint32_t rx_steered(struct worker *w);
/* A frame that the other engine has received for us. Consumes m. */
void rx_bridged(struct worker *w, struct netif *nif, struct rte_mbuf *m);

/* rx_plain.c: true: m was a plain TCP segment and has been dealt with, the buffer stays the caller's; false:
 * nothing has happened. */
bool rx_plain(struct worker *w, struct netif *nif, struct rte_mbuf *m);

/* chain.c: frames in several buffers. The first bytes of m, which hold the headers of a TCP segment whose
 * payload needs nobody to look at it as a whole: only these are one run of memory then, and w->chain is m.
 * Otherwise all of m, gathered in w->scratch, or NULL, which is too long. */
const uint8_t *chain_begin(struct worker *w, struct rte_mbuf *m);
/* The segment of w->chain, whose first bytes of payload are at p. */
void chain_tcp_input(struct worker *w, const struct tcp_flow *flow, const struct tcp_seg *seg,
		     const uint8_t *p);

/* ahead.c: asks for the memory that the frames of a burst are about. */
void rx_ahead(struct worker *w, struct rte_mbuf **m, uint16_t n);

/* steer.c: frames that belong to another worker. */
enum steer_kind {
	STEER_FRAME = 1,
	STEER_ARP_COPY,	     /* of ARP and of neighbour discovery */
	STEER_LOCAL,	     /* a datagram to ourselves, see local.c */
	STEER_LOCAL_REFUSED, /* nobody took it: its sender is told */
	STEER_LOCAL_SECOND,  /* a packet to ourselves that the other engine did not know */
	STEER_REASS,	     /* a frame made of a reassembled datagram */
};
/* Owner of a datagram; our own number for what any worker may serve. */
uint32_t steer_owner(const struct worker *w, const struct ip4_in *in);
uint32_t steer_owner6(const struct worker *w, const struct ip6_in *in);
/* Hands m, a whole frame received on nif, to worker `to`. Consumes m. */
void steer_give(struct worker *w, uint32_t to, struct netif *nif, struct rte_mbuf *m,
		enum steer_kind kind);
/* A copy for each of the others: their neighbour caches learn from it. */
void steer_copy_all(struct worker *w, struct netif *nif, const struct rte_mbuf *m);
/* A reassembled datagram has no frame any more: makes one. */
void steer_datagram(struct worker *w, uint32_t to, const struct ip4_in *in);
void steer_packet6(struct worker *w, uint32_t to, const struct ip6_in *in);

/* host.c: what sock/ asks of us. */
extern const struct sock_host worker_host;
void host_neigh_unreachable(struct worker *w, struct netif *nif, struct rte_mbuf *m);
/* Copies the pieces behind the header that m already has, into further buffers if need be (of `large` while
 * many bytes are left, unless it is NULL), and adds them to *sum unless it is NULL. False: no buffers. */
bool pieces_copy(struct worker *w, struct rte_mbuf *m, const struct sock_piece *piece,
		 unsigned n_pieces, struct rte_mempool *large, uint32_t *sum);
uint32_t pieces_sum(const struct sock_piece *piece, unsigned n_pieces);

/* host_udp.c: the same for datagrams. */
int host_udp_output(void *arg, const struct sock_udp_tx *tx, const struct sock_piece *piece,
		    unsigned n_pieces);
uint32_t host_find_interface(void *arg, uint32_t ifindex, const struct ipaddr *addr,
			     const struct ipaddr *group);
uint32_t host_path_mtu(void *arg, const struct endpoint *remote);
/* The same for all packets of a flow, and not to be guessed by strangers (RFC 6437 3); keyed apart from the
 * tables, whose buckets it must not tell. turn: another number, another label. Never 0. */
uint32_t host_flow_label(const struct worker *w, const struct tcp_flow *flow, uint8_t turn);
void host_path_told(void *arg, const struct endpoint *remote, uint32_t mtu);
uint64_t host_realtime_ns(void *arg);

/* group.c: multicast groups, told to the other workers and to routers. */
void host_group_changed(void *arg, const struct ipaddr *group, uint32_t ifindex);
/* Worker 0 speaks IGMP for all: memberships that have changed, reports that are due. */
int group_init(struct worker *w);
void group_fini(struct worker *w);
void group_poll(struct worker *w);
void rx_igmp(struct worker *w, const struct ip4_in *in);
bool group_pending(const struct worker *w);
uint64_t group_next_ns(const struct worker *w);
struct netif *worker_netif(const struct worker *w, uint32_t ifindex); /* NULL: none */
uint32_t netif_addr4(const struct netif *nif); /* the first IPv4 address, 0: none */
/* The way to ep; NULL: none, also for a link-local address without a zone, or of one that is no port of
 * ours. */
static inline const struct route *worker_route(const struct worker *w, const struct endpoint *ep)
{
	if (likely(!ipaddr_is_link_local(&ep->addr)))
		return route_lookup(w->conf.routes, &ep->addr);
	const struct netif *nif = worker_netif(w, ep->scope);
	return nif ? route_lookup_on(w->conf.routes, &ep->addr, nif) : NULL;
}

/* rx_udp.c: datagrams and ICMP errors about ours. */
void rx_udp(struct worker *w, const struct ip4_in *in);
void rx_udp_error(struct worker *w, const struct icmp4_error *e);
/* The datagram with header h and n bytes behind it waited in vain for its neighbour. */
void udp_neigh_unreachable(struct worker *w, const struct ip4 *h, const uint8_t *p, uint32_t n);

/* local.c: datagrams to ourselves. */
int local_init(struct worker *w);
void local_fini(struct worker *w);
/* Takes a datagram with its IPv4 header but without a frame around it; nif: it came in by, NULL: loopback.
 * Consumes m. 0 or -ENOBUFS. */
int local_push(struct worker *w, struct netif *nif, struct rte_mbuf *m, uint16_t dport);
/* Would n more datagrams to dport, of so many bytes together, find room? */
bool local_has_room(const struct worker *w, uint16_t dport, uint32_t n, uint32_t bytes);
/* A packet without a frame that the other engine did not know (refused: or returned); its owner among us is
 * `to`. Consumes m. */
void local_bridged(struct worker *w, uint32_t to, struct rte_mbuf *m, bool refused);
/* What another worker has pushed, or returned. Consumes m. */
void local_steered(struct worker *w, struct rte_mbuf *m);
/* Delivers what waited at the start of the call. Returns how many. */
uint32_t local_drain(struct worker *w);
bool local_pending(const struct worker *w);

/* loop.c: segments to our own addresses. */
int loop_init(struct worker *w);
void loop_fini(struct worker *w);
void loop_push(struct worker *w, const struct tcp_flow *flow, const struct tcp_seg *seg,
	       const struct sock_piece *piece, unsigned n_pieces);
/* Feeds what waited at the start of the call into TCP. Returns how many segments. */
uint32_t loop_drain(struct worker *w);
bool loop_pending(const struct worker *w);

/* mail.c */
int mail_init(struct worker *w);
void mail_fini(struct worker *w);
uint32_t mail_drain(struct worker *w);

/* idle.c: spinning and sleeping. */
int idle_init(struct worker *w);
void idle_fini(struct worker *w);
/* The thread that sleeps is the caller's: what belongs to it. */
void idle_thread_start(struct worker *w);
/* After each loop; busy: it had work. May sleep. */
void idle_step(struct worker *w, bool busy);
uint64_t worker_clock_ns(void);
