/* Fuzz target: the input is a program of frames for a data thread's receive path: ICMP errors about live
 * connections and UDP sockets, true, nearly true and torn, echo requests up to the size of several
 * fragments, packets that make us send errors, what the peer and the application do meanwhile, time. All that
 * leaves must be well-formed; limits hold; the connections keep their invariants; no buffer is lost. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/checksum.h"
#include "stack/net/ip4_frag.h"
#include "stack/net/neigh.h"
#include "stack/net/pmtu.h"
#include "stack/wire/udp.h"
#include "stack/worker/worker_int.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/mbufs.h"
#include "tests/pkt/invariant.h"

enum { CONNS = 3, SOCKS = 2, STEPS = 200, PORT = 80, PEER_PORT = 4000, UDP_PORT = 53, MTU = 1500 };
enum { FRAME_MAX = ETH_HDR_LEN + 4000, NEIGHS = 16 };
#define US 0x0a4d0002u
#define PEER 0x0a4d0001u
#define FAR 0xc0a80001u	/* behind the gateway */
#define DEAD 0x0a4d0063u /* on the link, silent */

struct conn {
	struct tcp_conn c; /* must stay first */
	uint32_t tx_tail;
	bool used;
};
/* What the peer of a connection has last seen. */
struct heard {
	seq_t seq, ack;
};

static struct worker w;
static struct netif nif, *nifs[1] = { &nif };
static struct route_table routes;
static struct ipaddr hosts[CONNS]; /* the peers */
static struct {
	struct conn conn[CONNS];
	struct heard heard[CONNS];
	struct tcp_listener l;
	struct tcp_sockopts opts;
	struct udp_sock sock[SOCKS];
	uint64_t start_ns;
	struct rte_mbuf *rx; /* what the port gives next */
	uint32_t echo_len;   /* of the request that is being answered */
	uint16_t echo_sum;
} f;
static uint8_t frame[FRAME_MAX];

/* ---- what leaves ---- */
static void icmp_left(const struct ip4 *h, const uint8_t *p, uint32_t n)
{
	struct icmp_msg m;

	if (ip4_is_fragment(h))
		return;
	CHECK(icmp_csum_ok(p, n) && icmp_parse(&m, p, n) == ICMP_HDR_LEN);
	if (m.type == ICMP_T_ECHO_REPLY) {
		CHECK(f.echo_len && n == f.echo_len);
		CHECK(csum_fold(csum_add(0, p + 4, n - 4)) == f.echo_sum);
		return;
	}
	/* RFC 1812 4.3.2.3, RFC 1122 3.2.2: not too long, about what was sent to us */
	CHECK(m.type == ICMP_T_UNREACH && (m.code == ICMP_C_PORT || m.code == ICMP_C_PROTO));
	CHECK(n + IP4_HDR_MIN <= 576 && m.orig.ip.src == h->dst && m.orig.ip.dst == US);
	CHECK(m.orig.ip.frag_off == 0 && m.orig.ip.proto != IP_PROTO_ICMP);
}

static void tx(void *arg, struct netif *n, struct rte_mbuf *m)
{
	static uint8_t copy[FRAME_MAX];
	uint32_t len = m->pkt_len;
	struct eth eth;
	struct ip4 h;

	CHECK(len <= MTU + ETH_HDR_LEN);
	const uint8_t *p = rte_pktmbuf_read(m, 0, len, copy);
	CHECK(eth_parse(&eth, p, len) == ETH_HDR_LEN && !eth_addr_is_zero(eth.dst));
	if (eth.type == ETH_TYPE_IP4) {
		int hdr_len = ip4_parse(&h, p + ETH_HDR_LEN, len - ETH_HDR_LEN);

		CHECK(hdr_len == IP4_HDR_MIN && h.total_len == len - ETH_HDR_LEN && h.src == US);
		CHECK(ip4_csum_ok(p + ETH_HDR_LEN, IP4_HDR_MIN));
		if (h.proto == IP_PROTO_ICMP)
			icmp_left(&h, p + ETH_HDR_LEN + IP4_HDR_MIN, h.total_len - IP4_HDR_MIN);
	}
	rte_pktmbuf_free(m);
}

static uint16_t rx_burst(struct netif *n, uint16_t q, struct rte_mbuf **m, uint16_t max)
{
	if (!f.rx)
		return 0;
	m[0] = f.rx;
	f.rx = NULL;
	return 1;
}
static const struct netif_ops nif_ops = { .rx_burst = rx_burst };

static void on_request(void *arg, struct netif *n, const struct ipaddr *target, const struct eth_addr *mac)
{
}
static void on_send(void *arg, struct netif *n, void *pkt, const struct eth_addr *mac)
{
	memcpy(rte_pktmbuf_mtod((struct rte_mbuf *)pkt, void *), mac, sizeof(*mac));
	tx(NULL, n, pkt);
}
static void on_drop(void *arg, struct netif *n, void *pkt, bool unreachable)
{
	if (unreachable)
		host_neigh_unreachable(&w, n, pkt);
	rte_pktmbuf_free(pkt);
}
static const struct neigh_ops neigh_ops = { on_request, on_send, on_drop };

/* ---- UDP ---- */
static void deliver(struct udp_env *env, struct udp_sock *s, const struct udp_rx *rx)
{
	CHECK(rx->to.port == s->local.port);
}
static void udp_error(struct udp_env *env, struct udp_sock *s, const struct udp_error *e)
{
	static volatile __attribute__((unused)) uint8_t sink;

	CHECK(e->local.port == s->local.port && e->err > 0);
	for (uint32_t i = 0; i < e->len; i++)
		sink = e->p[i];
}
static const struct udp_ops udp_ops = { deliver, udp_error, NULL };

/* ---- TCP ---- */
/* A frame of its own, so that it can wait for its neighbour and come back unreachable. */
static void output(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		   struct tcp_conn *c, uint32_t tx_pos)
{
	const struct route *r = route_lookup(&routes, &flow->remote.addr);
	struct ip4_out o = { .src = US, .dst = ipaddr_get_v4(&flow->remote.addr), .proto = IP_PROTO_TCP,
			     .dont_frag = c && !c->opts.may_cut };
	uint32_t i = flow->remote.port - PEER_PORT;
	static uint8_t text[MTU];

	CHECK(i < CONNS && seg->len <= sizeof(text));
	CHECK(!c || seg->len <= max_u32(c->mss, c->mtu_probing));
	f.heard[i].seq = seq_add(seg->seq, tcp_seg_space(seg));
	if (seg->flags & TCPF_ACK)
		f.heard[i].ack = seg->ack;
	uint32_t hdr = tcp_seg_emit(seg, text);
	if (r)
		ip4_output(&w.net, r, &o, fuzz_mbuf(text, min_u32(hdr + seg->len, MTU - IP4_HDR_MIN)));
}
static int rx_write(struct tcp_env *env, struct tcp_conn *c, uint32_t pos, const void *p, uint32_t len)
{
	return 0;
}
static struct tcp_conn *conn_new(struct tcp_env *env, struct tcp_listener *l, const struct tcp_flow *flow)
{
	struct conn *k = &f.conn[flow->remote.port - PEER_PORT];

	if (k->used)
		return NULL;
	memset(k, 0, sizeof(*k));
	k->used = true;
	return &k->c;
}
static void accepted(struct tcp_env *env, struct tcp_listener *l, struct tcp_conn *c) { }
static void released(struct tcp_env *env, struct tcp_conn *c) { ((struct conn *)c)->used = false; }
static void urgent(struct tcp_env *env, struct tcp_conn *c, uint32_t pos) { }
static uint16_t path_mss(struct tcp_env *env, const struct tcp_flow *flow) { return MTU - 40; }
static uint16_t path_known(struct tcp_env *env, const struct tcp_flow *flow)
{
	uint32_t mtu = host_path_mtu(&w, &flow->remote);

	CHECK(mtu >= PMTU_MIN && mtu <= MTU);
	return mtu < MTU ? (uint16_t)(mtu - 40) : 0;
}
static void path_told(struct tcp_env *env, const struct tcp_flow *flow, uint32_t mtu)
{
	host_path_told(&w, &flow->remote, mtu);
}
static const struct tcp_ops tcp_ops = {
	.output = output, .rx_write = rx_write, .conn_new = conn_new, .accepted = accepted,
	.released = released, .urgent = urgent, .path_mss = path_mss, .path_known = path_known,
	.path_told = path_told,
};

static struct tcp_flow flow_of(uint32_t i)
{
	return (struct tcp_flow){
		.local = { .addr = ipaddr_v4(US), .port = PORT },
		.remote = { .addr = hosts[i], .port = (uint16_t)(PEER_PORT + i) },
	};
}

/* ---- frames ---- */
/* The bytes behind ETH_HDR_LEN are an IPv4 packet of n bytes. */
static void receive(uint32_t n, uint8_t how)
{
	struct eth eth = { .type = ETH_TYPE_IP4, .src = { { 2, 0, 0, 0, 0, 1 } } };

	memcpy(&eth.dst, nif.mac, sizeof(eth.dst));
	if (how & 64)
		eth.dst = eth_addr_broadcast();
	eth_emit(&eth, frame);
	f.rx = fuzz_mbuf(frame, ETH_HDR_LEN + n);
	CHECK(f.rx);
	rx_ports(&w);
}

static void mend(uint8_t *p, uint32_t hdr_len)
{
	p[10] = p[11] = 0;
	uint16_t c = csum_fold(csum_add(0, p, hdr_len));
	memcpy(p + 10, &c, 2);
}

/* n bytes of payload are in place behind the header; longer than a frame, they come in fragments. */
static void receive_ip4(uint32_t src, uint32_t dst, uint8_t proto, uint32_t n, uint8_t how)
{
	struct ip4 h = { .src = src, .dst = dst, .proto = proto, .ttl = 64 };
	uint8_t *p = frame + ETH_HDR_LEN;
	uint32_t step = n > MTU - IP4_HDR_MIN || how & 32 ? max_u32(min_u32(n / 2 & ~7u, 1480), 8) : n;
	static uint8_t body[FRAME_MAX];

	memcpy(body, p + IP4_HDR_MIN, n);
	h.id = w.net.ip_id++;
	for (uint32_t off = 0; off == 0 || off < n; off += step) {
		uint32_t take = min_u32(step, n - off);

		h.frag_off = (uint16_t)off;
		h.more_frags = off + take < n;
		h.total_len = (uint16_t)(IP4_HDR_MIN + take);
		ip4_emit(&h, p, IP4_CSUM_FILL);
		memcpy(p + IP4_HDR_MIN, body + off, take);
		receive(IP4_HDR_MIN + take, how);
		if (!step)
			break;
	}
}

static uint8_t *payload(void) { return frame + ETH_HDR_LEN + IP4_HDR_MIN; }

static uint32_t address_in(struct input *in)
{
	static const uint32_t all[] = { PEER, PEER, PEER, FAR, DEAD, US, 0xffffffff, 0xe0000001, 0x7f000001,
					0, 0x0a4d00ff };

	return all[u8(in) % ARRAY_LEN(all)];
}

/* ---- what happens ---- */
/* A few bytes become others, or the end is cut off. */
static uint32_t tear(struct input *in, uint8_t *p, uint32_t n)
{
	uint8_t how = u8(in);

	for (uint32_t k = how & 3; k && n; k--) {
		uint32_t at = u8(in) % n;

		p[at] = u8(in);
	}
	return how & 4 ? u8(in) % (n + 1) : n;
}

/* What we have sent, or nearly, as a router quotes it. */
static uint32_t quote_in(struct input *in, uint8_t *q, uint8_t what)
{
	uint32_t i = what % CONNS, hdr = what & 64 ? 24 : 20, body;
	struct ip4 h = { .src = US, .dst = ipaddr_get_v4(&hosts[i]), .ttl = 1, .dont_frag = true };

	memset(q, 0, 64);
	if (what & 32) {
		struct udp_dgram u = { .sport = (uint16_t)(UDP_PORT + (what & 1)),
				       .dport = (uint16_t)(UDP_PORT + (what & 1)), .len = u8(in) };

		h.proto = IP_PROTO_UDP;
		udp_emit(&u, q + hdr);
		body = UDP_HDR_LEN + u8(in) % 40u;
	} else {
		struct tcp_seg s = { .sport = PORT, .dport = (uint16_t)(PEER_PORT + i), .flags = TCPF_ACK };
		const struct conn *k = &f.conn[i];

		s.seq = k->used ? k->c.snd_una : f.heard[i].seq;
		s.seq = what & 16 ? seq_add(s.seq, (uint32_t)(int8_t)u8(in)) : s.seq;
		if (!k->used && !(what & 16))
			s.seq = seq_sub(s.seq, 1); /* of the SYN-ACK */
		h.proto = IP_PROTO_TCP;
		tcp_seg_emit(&s, q + hdr);
		body = what & 8 ? 20 : 8;
	}
	h.total_len = (uint16_t)(hdr + 20 + u16(in) % 1400);
	ip4_emit(&h, q, IP4_CSUM_FILL);
	if (hdr == 24)
		q[0] = 0x46;
	return hdr + body;
}

static void error_in(struct input *in, uint8_t what)
{
	static const uint8_t types[] = { ICMP_T_UNREACH, ICMP_T_UNREACH, ICMP_T_UNREACH,
					 ICMP_T_TIME_EXCEEDED, ICMP_T_PARAM };
	struct icmp_msg m = { .type = types[u8(in) % ARRAY_LEN(types)] };
	uint8_t quote[128], how = u8(in);

	m.code = how & 128 ? ICMP_C_FRAG_NEEDED : u8(in) % 18;
	m.mtu = (uint16_t)u16(in);
	if (m.mtu & 0x8000)
		m.mtu &= 0x7ff;
	m.ptr = (uint8_t)m.mtu;
	uint32_t n = quote_in(in, quote, what);
	if (how & 1)
		n = tear(in, quote, n);
	n = icmp_emit(&m, quote, n, payload());
	if (how & 2)
		payload()[2] ^= u8(in); /* the checksum */
	receive_ip4(how & 4 ? address_in(in) : FAR, how & 8 ? address_in(in) : US, IP_PROTO_ICMP, n, how);
}

static void echo_in(struct input *in)
{
	uint8_t how = u8(in);
	uint32_t n = how & 1 ? u16(in) % 3500 : u8(in);
	struct icmp_msg m = { .type = how & 2 ? u8(in) : ICMP_T_ECHO, .code = 0, .id = 7, .seq = how };
	uint32_t src = how & 4 ? address_in(in) : PEER;

	for (uint32_t i = 0; i < n; i++)
		payload()[ICMP_HDR_LEN + i] = (uint8_t)(i * how);
	n = icmp_emit(&m, payload() + ICMP_HDR_LEN, n, payload());
	f.echo_len = n;
	f.echo_sum = csum_fold(csum_add(0, payload() + 4, n - 4));
	receive_ip4(src, how & 8 ? address_in(in) : US, IP_PROTO_ICMP, n, how & 0xf0);
	f.echo_len = 0;
}

/* A datagram for nobody, or a protocol that we don't speak. */
static void odd_in(struct input *in)
{
	uint8_t how = u8(in), proto = how & 1 ? IP_PROTO_UDP : u8(in);
	struct udp_dgram u = { .sport = 9, .dport = (uint16_t)u16(in), .len = how & 2 ? u8(in) : 1000 };
	uint32_t repeat = how & 4 ? u8(in) : 1;

	proto = proto == IP_PROTO_IGMP ? 0 : proto; /* fuzz_udp */
	uint32_t src = how & 8 ? address_in(in) : PEER, dst = how & 16 ? address_in(in) : US;
	for (; repeat; repeat--) {
		memset(payload(), 0, UDP_HDR_LEN + u.len);
		udp_emit(&u, payload());
		receive_ip4(src, dst, proto, UDP_HDR_LEN + u.len, how & 0x60);
	}
}

static void raw_in(struct input *in)
{
	uint32_t want = u8(in), n = min_u32(want, (uint32_t)(in->end - in->p));
	uint8_t *p = frame + ETH_HDR_LEN;
	struct ip4 h;

	memcpy(p, in->p, n);
	in->p += n;
	int hdr_len = ip4_parse(&h, p, n);
	if (hdr_len > 0) {
		p[9] = p[9] == IP_PROTO_IGMP || p[9] == IP_PROTO_ICMP ? 0 : p[9];
		mend(p, (uint32_t)hdr_len);
	}
	receive(n, 0);
}

/* The peer goes on: SYN, SYN-ACK, ACK of what was heard, RST. */
static void segment_in(struct input *in, uint8_t what)
{
	static const uint8_t usual[] = { TCPF_SYN, TCPF_SYN | TCPF_ACK, TCPF_ACK, TCPF_ACK,
					 TCPF_FIN | TCPF_ACK, TCPF_RST };
	uint32_t i = what % CONNS;
	struct tcp_flow flow = flow_of(i);
	struct tcp_seg s = { .sport = flow.remote.port, .dport = PORT, .seq = f.heard[i].ack,
			     .ack = f.heard[i].seq, .wnd = 0xffff };

	s.flags = usual[u8(in) % ARRAY_LEN(usual)];
	if (s.flags & TCPF_SYN) {
		s.has_mss = true;
		s.mss = (uint16_t)u16(in);
		s.seq = seq_sub(s.seq, 1);
	}
	if (!(s.flags & TCPF_ACK))
		s.ack = seq_of(0);
	uint32_t n = tcp_seg_emit(&s, payload());
	uint32_t sum = csum_pseudo(&flow.remote.addr, &flow.local.addr, IP_PROTO_TCP, n);
	payload()[16] = payload()[17] = 0;
	uint16_t c = csum_fold(csum_add(sum, payload(), n));
	memcpy(payload() + 16, &c, 2);
	receive_ip4(ipaddr_get_v4(&hosts[i]), US, IP_PROTO_TCP, n, what & 32);
}

static void app(struct input *in, uint8_t what)
{
	uint32_t i = what % CONNS;
	struct conn *k = &f.conn[i];
	struct tcp_flow flow = flow_of(i);

	if (!k->used) {
		memset(k, 0, sizeof(*k));
		k->c.opts = (struct tcp_sockopts){ .rcvbuf = 65535, .sndbuf = 1 << 20,
						   .may_cut = what & 64, .nodelay = what & 128 };
		k->used = tcp_connect(&w.sock.tcp, &k->c, &flow, w.now_ns) == 0;
	} else if (what & 32) {
		k->tx_tail += 1 + u16(in) % 4000;
		tcp_app_wrote(&w.sock.tcp, &k->c, k->tx_tail, w.now_ns);
	} else if (what & 16) {
		tcp_close(&w.sock.tcp, &k->c, w.now_ns);
	}
}

static void after(struct input *in)
{
	uint64_t end = w.now_ns + ((uint64_t)1 << u8(in) % 41);

	for (int i = 0; i < 1000 && w.now_ns < end; i++) {
		uint64_t next = min_u64(tcp_next_ns(&w.sock.tcp), neigh_next_ns(w.neigh));

		w.now_ns = w.net.now_ns = max_u64(w.now_ns, min_u64(next, end));
		tcp_advance(&w.sock.tcp, w.now_ns);
		neigh_advance(w.neigh, w.now_ns);
		ip4_reass_advance(w.reass, w.now_ns);
		tcp_flush(&w.sock.tcp, w.now_ns);
	}
	w.now_ns = w.net.now_ns = max_u64(w.now_ns, end);
}

static void settle(void)
{
	uint64_t ms = (w.now_ns - f.start_ns) / NSEC_PER_MSEC + 1;
	struct list *n;

	tcp_flush(&w.sock.tcp, w.now_ns);
	while ((n = list_pop(&w.sock.tcp.touched)))
		container_of(n, struct tcp_conn, touch_link)->events = 0;
	for (int i = 0; i < CONNS; i++) {
		struct tcp_conn *c = &f.conn[i].c;
		const char *wrong = f.conn[i].used && c->counted ? conn_wrong(c) : NULL;

		if (wrong) {
			fprintf(stderr, "connection %d: %s\n", i, wrong);
			CHECK(!wrong);
		}
	}
	/* RFC 1812 4.3.2.8 */
	CHECK(w.stats.v[STAT_icmp_tx_error] <= ICMP4_ERROR_BURST + ms * ICMP4_ERROR_RATE / 1000);
}

static void start_net(void)
{
	struct ipaddr peer = ipaddr_v4(PEER);

	nif = (struct netif){ .ops = &nif_ops, .name = "fuzz0", .mac = { 2, 0, 0, 0, 0, 2 }, .mtu = MTU,
			      .n_queues = 1, .n_addrs = 1, .ifindex = 2 };
	nif.addr[0] = (struct netif_addr){ ipaddr_v4(US), 120 };
	route_init(&routes);
	CHECK(route_add_netif(&routes, &nif) == 0 && route_add_gateway(&routes, &peer) == 0);
	hosts[0] = peer;
	hosts[1] = ipaddr_v4(FAR);
	hosts[2] = ipaddr_v4(DEAD);
	w = (struct worker){
		.conf = { .n_workers = 1, .netif = nifs, .n_netif = 1, .routes = &routes,
			  .mbufs = fuzz_pool() },
		.now_ns = f.start_ns,
		.net = { .netif = nifs, .n_netif = 1, .routes = &routes, .mbufs = fuzz_pool(),
			 .now_ns = f.start_ns, .tx = tx },
		.reass = ip4_reass_new(1, f.start_ns), .pmtu = calloc(1, sizeof(struct pmtu)),
		.scratch = malloc(PKT_LINEAR_MAX),
	};
	w.neigh = w.net.neigh = neigh_new(NEIGHS, 1, &neigh_ops, NULL, f.start_ns);
	CHECK(w.reass && w.pmtu && w.scratch && w.neigh);
	neigh_learn(w.neigh, &nif, &peer, (struct eth_addr){ { 2, 0, 0, 0, 0, 1 } }, NEIGH_HEARD_REQUEST,
		    f.start_ns);
}

static void start(uint8_t mode)
{
	memset(&f, 0, sizeof(f));
	f.start_ns = 1000 * NSEC_PER_SEC;
	start_net();
	stats_this_thread = &w.stats;
	rng_seed(&w.rng, mode);
	w.sock.tcp = (struct tcp_env){
		.ops = &tcp_ops, .key = { { 1, 2 } }, .rng = &w.rng, .max_conns = CONNS, .max_timewait = 4,
		.max_synq = 4, .mtu_probing = mode % 3,
	};
	w.sock.udp = (struct udp_env){ .ops = &udp_ops, .key = { { 1, 2 } } };
	CHECK(tcp_env_init(&w.sock.tcp, f.start_ns) == 0 && udp_env_init(&w.sock.udp) == 0);
	f.opts = (struct tcp_sockopts){ .rcvbuf = 65535, .sndbuf = 1 << 20 };
	f.l = (struct tcp_listener){ .local = flow_of(0).local, .backlog = 8, .opts = &f.opts };
	CHECK(tcp_listen(&w.sock.tcp, &f.l) == 0);
	for (uint16_t i = 0; i < SOCKS; i++) {
		udp_sock_init(&f.sock[i]);
		f.sock[i].local = (struct endpoint){ .addr = ipaddr_v4(US), .port = UDP_PORT + i };
		if (i)
			f.sock[i].remote = (struct endpoint){ .addr = hosts[0], .port = UDP_PORT + i };
		udp_bind(&w.sock.udp, &f.sock[i]);
	}
}

static void finish(void)
{
	struct tcp_env *tcp = &w.sock.tcp;

	for (int i = 0; i < CONNS; i++) {
		if (f.conn[i].used && f.conn[i].c.listener)
			f.conn[i].c.listener = NULL;
	}
	tcp_unlisten(tcp, &f.l);
	for (int i = 0; i < CONNS; i++) {
		if (f.conn[i].used)
			tcp_abort(tcp, &f.conn[i].c, w.now_ns);
		CHECK(!f.conn[i].used);
	}
	for (uint64_t next, end = w.now_ns + 200 * NSEC_PER_SEC; (next = tcp_next_ns(tcp)) <= end;)
		tcp_advance(tcp, next);
	CHECK(tcp->n_conns == 0 && tcp->n_synq == 0 && tcp->wheel.armed == 0);
	tcp_env_fini(tcp);
	for (int i = 0; i < SOCKS; i++)
		udp_unbind(&w.sock.udp, &f.sock[i]);
	udp_env_fini(&w.sock.udp);
	neigh_free(w.neigh);
	ip4_reass_free(w.reass);
	free(w.pmtu);
	free(w.scratch);
	CHECK(rte_mempool_in_use_count(fuzz_pool()) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input in = { p, p + n };

	if (n > FUZZ_MAX)
		return 0;
	start(u8(&in));
	for (int i = 0; in.p < in.end && i < STEPS; i++) {
		uint8_t op = u8(&in);

		switch (op % 8) {
		case 0:
		case 1:
			error_in(&in, u8(&in));
			break;
		case 2:
			echo_in(&in);
			break;
		case 3:
			odd_in(&in);
			break;
		case 4:
			segment_in(&in, u8(&in));
			break;
		case 5:
			app(&in, u8(&in));
			break;
		case 6:
			after(&in);
			break;
		default:
			raw_in(&in);
			break;
		}
		settle();
	}
	finish();
	return 0;
}

size_t fuzz_example(unsigned i, uint8_t *buf)
{
	/* connect, SYN-ACK, write, "too big", time; a listener's handshake with an error in it; UDP; echo */
	static const uint8_t path[] = { 0, 5, 0, 4, 0, 1, 5, 180, 5, 32, 15, 160, 0, 0, 0, 128, 3, 232, 5, 0,
					6, 30, 4, 0, 2, 6, 40, 5, 32, 15, 160, 6, 30 };
	static const uint8_t synack[] = { 1, 4, 1, 0, 5, 180, 0, 1, 0, 0, 1, 0, 0, 0, 0, 4, 1, 2 };
	static const uint8_t soft[] = { 2, 5, 0, 4, 0, 1, 5, 180, 5, 32, 0, 99, 0, 8, 0, 0, 1, 0, 0, 0, 0,
					1, 0, 3, 0, 0, 0, 0, 0, 0, 16, 4, 0, 4, 0, 0, 5, 0, 0 };
	static const uint8_t udp[] = { 0, 0, 32, 0, 0, 3, 0, 0, 9, 30, 0, 0, 0, 33, 0, 128, 2, 0, 9, 30, 0, 0,
				       1, 97, 4, 0, 0, 0, 9, 30, 0, 0 };
	static const uint8_t echo[] = { 0, 2, 0, 56, 2, 1, 10, 0, 2, 4, 9, 3, 2, 8, 9, 6, 2, 32, 77 };
	static const uint8_t odd[] = { 0, 3, 3, 0, 7, 30, 3, 0, 99, 0, 7, 3, 7, 0, 7, 20, 200, 3, 9, 0, 9,
				       5 };
	static const uint8_t dead[] = { 0, 5, 2, 6, 33, 4, 2, 1, 5, 180, 5, 34, 1, 1, 6, 34 };
	static const uint8_t raw[] = { 0, 7, 28, 0x45, 0, 0, 28, 0, 7, 0, 0, 64, 17, 0, 0, 10, 77, 0, 1, 10,
				       77, 0, 2, 0, 9, 0, 53, 0, 8, 0, 0 };
	static const struct { const uint8_t *p; size_t n; } all[] = {
		{ path, sizeof(path) }, { synack, sizeof(synack) }, { soft, sizeof(soft) },
		{ udp, sizeof(udp) }, { echo, sizeof(echo) }, { odd, sizeof(odd) }, { dead, sizeof(dead) },
		{ raw, sizeof(raw) },
	};

	if (i >= ARRAY_LEN(all))
		return 0;
	memcpy(buf, all[i].p, all[i].n);
	return all[i].n;
}
