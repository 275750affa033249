/* The worker, its port and the peers: see engine_rig.h. */
// SPDX-License-Identifier: MIT
#include "tests/bench/engine_rig.h"
#include <errno.h>
#include <rte_eal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "stack/base/bug.h"
#include "stack/base/checksum.h"
#include "stack/chan/evq.h"
#include "stack/chan/stream.h"
#include "stack/net/flow.h"
#include "stack/net/neigh.h"
#include "stack/net/pkt.h"
#include "stack/net/ports.h"
#include "stack/net/route.h"
#include "stack/sock/sock_int.h"
#include "stack/wire/eth.h"
#include "stack/wire/ip6.h"

enum { MBUFS = 4095, QUEUE = 2048, BATCH = 1024, PORT = 8000, PEER_PORT = 1024, STEP_NS = 10000,
       LETTERS = 64, TURNS = 100 };
#define US 0x0a4d0002u	    /* 10.77.0.2/24 */
#define GATEWAY 0x0a4d0001u
#define PEERS 0x0b000000u   /* 11.0.0.0 and on */
#define NET6 0xfd000000u    /* over IPv6 the same numbers end an address of fd00::/64 */

struct rig rig;
static struct netif nif, *nifs[1] = { &nif };
static struct route_table routes;
static struct rte_mempool *pool;
static struct region engine;
static struct ports *ports;
/* Of the port, one to a worker, with the time that it knows. */
static struct queue {
	_Alignas(64) struct rte_mbuf *in[QUEUE], *out[QUEUE];
	uint32_t n_in, at_in, n_out;
	uint64_t now_ns;
} queues[RIG_WORKERS];
static bool csum_offload, stopping;
static const struct eth_addr peer_mac = { { 2, 0, 0, 0, 0, 1 } };

static struct ipaddr addr_of(uint32_t number)
{
	return rig.v6 ? (struct ipaddr){ .w = { be32_of(NET6).raw, 0, 0, be32_of(number).raw } } :
			ipaddr_v4(number);
}

static uint32_t number_of(const struct ipaddr *a) { return load_be32(a->b + 12); }

/* ---- the port ---- */
static uint16_t rx_burst(struct netif *n, uint16_t queue, struct rte_mbuf **pkts, uint16_t room)
{
	struct queue *q = &queues[queue];
	uint16_t k = 0;

	while (k < room && q->at_in < q->n_in)
		pkts[k++] = q->in[q->at_in++];
	if (q->at_in == q->n_in)
		q->at_in = q->n_in = 0;
	return k;
}

static uint16_t tx_burst(struct netif *n, uint16_t queue, struct rte_mbuf **pkts, uint16_t count)
{
	struct queue *q = &queues[queue];
	uint16_t k = 0;

	while (k < count && q->n_out < QUEUE) /* full only when everything closes at once */
		q->out[q->n_out++] = pkts[k++];
	return k;
}

static const struct netif_ops port_ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

static void start_eal(void)
{
	char prefix[32], *argv[] = { "bench", "--no-huge", "--no-shconf", "-m", "64", "--no-pci",
				     "--no-telemetry", "--log-level=error", "--file-prefix", prefix,
				     NULL };

	snprintf(prefix, sizeof(prefix), "fnbench%d", getpid());
	CHECK(rte_eal_init((int)ARRAY_LEN(argv) - 1, argv) >= 0);
	pool = rte_pktmbuf_pool_create("bench", MBUFS * rig.n_workers, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	CHECK(pool);
}

static void start_port(bool offload)
{
	struct ipaddr gw = addr_of(GATEWAY);

	csum_offload = offload;
	nif = (struct netif){ .ops = &port_ops, .name = "bench0", .mac = { 2, 0, 0, 0, 0, 2 },
			      .mtu = 1500, .n_queues = (uint16_t)rig.n_workers, .n_addrs = 1,
			      .tx_csum_ip = offload, .tx_csum_l4 = offload, .rx_csum = offload };
	nif.addr[0] = (struct netif_addr){ addr_of(US), 120 }; /* of 128 bits */
	route_init(&routes);
	CHECK(route_add_netif(&routes, &nif) == 0 && route_add_gateway(&routes, &gw) == 0);
}

/* ---- the control thread ---- */
static uint32_t n_gone;

static bool to_worker(void *arg, uint32_t worker, const struct sock_mail *m)
{
	sock_mail(&rig.w[worker].sock, m);
	return true;
}

static struct sock_mail letter[LETTERS];
static uint32_t n_letters;

static bool to_control(const struct sock_mail *m)
{
	CHECK(n_letters < LETTERS);
	letter[n_letters++] = *m;
	return true;
}

static void read_letters(void)
{
	while (n_letters) {
		struct sock_mail m = letter[--n_letters];

		CHECK(m.type != SOCK_MAIL_VIOLATION);
		if (m.type == SOCK_MAIL_EXTENT_WANTED)
			CHECK(client_extent_wanted(m.p, m.from, (enum region_kind)m.a) == 0);
		n_gone += m.type == SOCK_MAIL_CLIENT_GONE && client_gone(m.p);
	}
}

/* ---- programs ---- */
static struct chan_call_a *call(struct rig_program *p, const struct chan_req *r)
{
	struct chan_call_b *b = &p->c->call_b[0];
	struct chan_call_a *a = &p->c->call_a[0];

	b->op = r->op;
	b->proc = p->app.proc;
	b->sock = r->sock;
	b->gen = r->gen;
	b->type = r->type;
	b->v6 = rig.v6;
	memcpy(b->arg, r->arg, sizeof(b->arg));
	b->local = r->local;
	b->remote = r->remote;
	b->opts = r->opts;
	atomic_store(&b->seq, ++p->call_seq);
	chan_dirty_call(&p->app.b->dirty[p->worker], 0);
	for (int turn = 0; turn < TURNS && atomic_load(&a->seq) != p->call_seq; turn++)
		rig_poll(); /* several workers have to agree */
	CHECK(atomic_load(&a->seq) == p->call_seq);
	return a;
}

static void map(struct client *c, struct chan_app *app)
{
	app->e = engine.base;
	app->a = c->a;
	app->b = c->b;
	app->n_workers = rig.n_workers;
	app->call_a = c->call_a;
	app->sock_a = c->sock_a;
	app->evq_a = c->evq_a;
	app->evq_stride = c->evq_stride;
	app->held = c->held;
	app->call_b = c->call_b;
	app->evq_b = c->evq_b;
	app->sock_b = c->sock_b;
	app->rd = c->rd;
	for (uint32_t w = 0; w < rig.n_workers; w++)
		app->event_fd[w] = c->event_fd[w];
}

static void map_extents(struct rig_program *p)
{
	for (uint32_t i = 0; i < p->c->n_ext; i++)
		p->app.ext[i] = p->c->ext[i].r.base;
}

static void start_program(struct rig_program *p, uint32_t number)
{
	struct client_conf conf = { .number = number, .n_workers = rig.n_workers, .engine = &engine,
				    .mail = to_worker };
	int err, fd, evq;

	p->worker = number % rig.n_workers;
	p->c = client_new(&conf, &err);
	CHECK(p->c);
	map(p->c, &p->app);
	map_extents(p);
	p->app.proc = (uint32_t)client_add_proc(p->c);
	client_start(p->c);
	evq = client_evq_open(p->c, p->app.proc, -1, &fd);
	CHECK(evq >= 0);
	p->evq = (uint32_t)evq;
	atomic_store(&p->app.evq_b[evq].in_use, 1);
	struct chan_call_a *a = call(p, &(struct chan_req){
		.op = CHAN_OP_BIND, .type = SOCK_TYPE_STREAM,
		.local = { rig.v6 ? (struct ipaddr){ .b = { 0 } } : ipaddr_v4(0),
			   (uint16_t)(PORT + number) },
		.opts.flags = CHAN_O_NODELAY });
	CHECK(a->result == 0);
	p->listener = a->sock;
	chan_hold(&p->app, a->sock);
	a = call(p, &(struct chan_req){ .op = CHAN_OP_LISTEN, .sock = a->sock, .gen = a->gen,
					.arg = { 4096 } });
	CHECK(a->result == 0);
}

void rig_make_sender(struct rig_program *p, uint32_t id)
{
	if (p->app.sock_a[id].tx_nseg)
		return;
	for (int tries = 0; tries < 2; tries++) { /* one more extent may be on its way */
		struct chan_call_a *a = call(p, &(struct chan_req){
			.op = CHAN_OP_TX_GROW, .sock = id, .gen = p->app.sock_a[id].gen,
			.arg = { RIG_PAYLOAD, p->app.sock_b[id].tx_tail } });

		map_extents(p);
		if (a->result == 0)
			return;
	}
	CHECK(!"no ring to send from");
}

/* ---- peers ---- */
static struct endpoint peer_end(uint32_t i)
{
	return (struct endpoint){ .addr = addr_of(PEERS + i / RIG_PORTS),
				  .port = (uint16_t)(PEER_PORT + i % RIG_PORTS) };
}

static uint32_t worker_of(uint32_t i)
{
	struct endpoint me = peer_end(i);
	struct ipaddr us = addr_of(US);

	return flow_worker6(&me.addr, &us, me.port, (uint16_t)(PORT + i / RIG_PROGRAM_SOCKS), rig.n_workers);
}

bool rig_is_used(uint32_t i)
{
	return rig.n_workers == 1 || worker_of(i) == rig_program_of(i)->worker;
}

/* The IP header of n bytes of TCP, at b; returns its length. */
static uint32_t emit_ip(uint8_t *b, const struct ipaddr *src, const struct ipaddr *dst, uint32_t n)
{
	struct ip6 h6 = { .src = *src, .dst = *dst, .next = IP_PROTO_TCP, .hops = 64,
			  .payload_len = (uint16_t)n };

	if (rig.v6)
		return ip6_emit(&h6, b);
	struct ip4 h = { .src = ipaddr_get_v4(src), .dst = ipaddr_get_v4(dst), .proto = IP_PROTO_TCP,
			 .ttl = 64, .total_len = (uint16_t)(IP4_HDR_MIN + n), .dont_frag = true };
	ip4_emit(&h, b, IP4_CSUM_FILL);
	return IP4_HDR_MIN;
}

void rig_receive(uint32_t i, uint8_t flags, uint32_t len)
{
	struct rig_peer *p = &rig.peer[i];
	struct queue *q = &queues[rig_program_of(i)->worker];
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct endpoint me = peer_end(i);
	struct ipaddr us = addr_of(US);
	uint32_t ip_len = rig.v6 ? IP6_HDR_LEN : IP4_HDR_MIN;
	bool syn = flags & TCPF_SYN;
	struct tcp_seg s = { .sport = me.port, .dport = (uint16_t)(PORT + i / RIG_PROGRAM_SOCKS),
			     .seq = seq_of(p->seq), .ack = seq_of(p->ack), .flags = flags,
			     .wnd = 0x7fff, .has_ts = true, .tsecr = p->tsecr, .has_mss = syn,
			     .mss = 1460, .sack_ok = syn, .has_wscale = syn, .wscale = 7,
			     .tsval = (uint32_t)(rig.now_ns / NSEC_PER_MSEC) };
	struct eth eth = { .src = peer_mac, .type = rig.v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4 };

	CHECK(m && q->n_in < QUEUE);
	uint8_t *b = pkt_data(m), *tcp = b + ETH_HDR_LEN + ip_len;
	memcpy(eth.dst.b, nif.mac, 6);
	eth_emit(&eth, b);
	uint32_t hdr = tcp_seg_emit(&s, tcp), n = hdr + len;
	emit_ip(b + ETH_HDR_LEN, &me.addr, &us, n);
	memset(tcp + hdr, (int)('a' + i % 26), len);
	uint32_t sum = csum_pseudo(&me.addr, &us, IP_PROTO_TCP, n);
	tcp_store_csum(tcp, csum_fold(csum_add(sum, tcp, n)));
	m->data_len = (uint16_t)(ETH_HDR_LEN + ip_len + n);
	m->pkt_len = m->data_len;
	if (csum_offload)
		m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	p->seq += tcp_seg_space(&s) + len;
	q->in[q->n_in++] = m;
}

void rig_poll(void)
{
	rig.now_ns += STEP_NS;
	for (uint32_t w = 0; w < rig.n_workers; w++)
		worker_poll(&rig.w[w], queues[w].now_ns = rig.now_ns);
	if (unlikely(n_letters))
		read_letters();
}

void rig_thread(uint32_t worker)
{
	CHECK(rte_thread_register() == 0); /* for the pool's cache */
	stats_this_thread = &rig.w[worker].stats;
	trace_this_thread = rig.w[worker].trace;
}

void rig_poll_one(uint32_t worker)
{
	worker_poll(&rig.w[worker], queues[worker].now_ns += STEP_NS);
}

/* A frame's segment and which peer it is for; false: it is something else. */
static bool segment_of(struct rte_mbuf *m, struct tcp_seg *s, uint32_t *peer)
{
	const uint8_t *b = pkt_data(m) + ETH_HDR_LEN;
	uint32_t room = m->pkt_len - ETH_HDR_LEN, len, dst;
	struct ip4 h;
	struct ip6 h6;
	int n;

	if (rig.v6) {
		n = ip6_parse(&h6, b, room);
		if (n < 0 || h6.next != IP_PROTO_TCP)
			return false;
		len = h6.payload_len;
		dst = number_of(&h6.dst);
	} else {
		n = ip4_parse(&h, b, room);
		if (n < 0 || h.proto != IP_PROTO_TCP)
			return false;
		len = h.total_len - (uint32_t)n;
		dst = h.dst;
	}
	if (tcp_seg_parse(s, b + n, len) < 0)
		return false;
	*peer = (dst - PEERS) * RIG_PORTS + s->dport - PEER_PORT;
	return true;
}

void rig_deliver_of(uint32_t worker)
{
	struct queue *q = &queues[worker];

	for (uint32_t k = 0; k < q->n_out; k++) {
		struct tcp_seg s;
		uint32_t i;

		if (segment_of(q->out[k], &s, &i)) {
			struct rig_peer *p = &rig.peer[i];

			CHECK(!(s.flags & TCPF_RST) || stopping);
			p->ack = s.seq.v + tcp_seg_space(&s);
			p->tsecr = s.tsval;
		}
		pkt_free(q->out[k]);
	}
	q->n_out = 0;
}

void rig_deliver(void)
{
	for (uint32_t w = 0; w < rig.n_workers; w++)
		rig_deliver_of(w);
}

static void step(void)
{
	rig_poll();
	rig_deliver();
}

static void know_gateway(void)
{
	struct ipaddr gw = addr_of(GATEWAY);

	for (uint32_t w = 0; w < rig.n_workers; w++) {
		neigh_learn(rig.w[w].neigh, &nif, &gw, peer_mac, NEIGH_HEARD_REQUEST, rig.now_ns);
		neigh_confirm(rig.w[w].neigh, &nif, &gw, rig.now_ns);
	}
}

/* Connections come out of the queue in the order in which they were made. */
static void accept_all(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		struct rig_program *p = rig_program_of(i);
		uint32_t gen;

		if (!rig_is_used(i))
			continue;
		CHECK(chan_accept_pop(&p->app, p->listener, &rig.peer[i].sock, &gen) == 0);
		chan_subscribe(&p->app, rig.peer[i].sock, p->evq);
		chan_mark(&p->app, p->listener);
	}
	for (uint32_t i = 0; i < rig.n_programs; i++)
		map_extents(&rig.program[i]);
	step();
}

void rig_connect(uint32_t from, uint32_t to)
{
	know_gateway();
	for (uint32_t at = from; at < to; at += BATCH) {
		uint32_t end = min_u32(at + BATCH, to);

		for (uint32_t i = at; i < end; i++) {
			rig.peer[i] = (struct rig_peer){ .seq = i * 977 };
			if (rig_is_used(i))
				rig_receive(i, TCPF_SYN, 0);
		}
		for (uint32_t i = 0; i <= BATCH / RIG_BURST; i++)
			step();
		for (uint32_t i = at; i < end; i++)
			if (rig_is_used(i))
				rig_receive(i, TCPF_ACK, 0);
		for (uint32_t i = 0; i <= BATCH / RIG_BURST; i++)
			step();
		accept_all(at, end);
	}
}

void rig_close(uint32_t from, uint32_t to)
{
	know_gateway();
	for (uint32_t at = from; at < to; at += BATCH) {
		uint32_t end = min_u32(at + BATCH, to);

		/* The peers first: the TIME-WAIT is theirs. */
		for (uint32_t i = at; i < end; i++)
			rig_receive(i, TCPF_FIN | TCPF_ACK, 0);
		for (uint32_t i = 0; i <= BATCH / RIG_BURST; i++)
			step();
		for (uint32_t i = at; i < end; i++)
			chan_unhold(&rig_program_of(i)->app, rig.peer[i].sock);
		for (uint32_t i = 0; i <= BATCH / RIG_BURST; i++)
			step();
		for (uint32_t i = at; i < end; i++)
			rig_receive(i, TCPF_ACK, 0);
		for (uint32_t i = 0; i <= BATCH / RIG_BURST; i++)
			step();
	}
}

void rig_connect_local(uint32_t *ids, uint32_t n)
{
	struct rig_program *p = &rig.program[0];
	const struct chan_req req = { .op = CHAN_OP_CONNECT, .sock = CHAN_SOCK_NEW,
				      .type = SOCK_TYPE_STREAM,
				      .remote = { addr_of(US), PORT },
				      .local = { .addr = rig.v6 ? (struct ipaddr){ .b = { 0 } } :
								  ipaddr_v4(0) },
				      .opts.flags = CHAN_O_NODELAY };

	for (uint32_t i = 0; i < n; i++) {
		struct chan_call_a *a = call(p, &req);
		uint32_t *id = &ids[2 * i], gen;

		CHECK(a->result == -EINPROGRESS);
		id[0] = a->sock;
		chan_hold(&p->app, id[0]);
		step();
		CHECK(chan_accept_pop(&p->app, p->listener, &id[1], &gen) == 0);
		chan_mark(&p->app, p->listener);
		for (int end = 0; end < 2; end++) {
			chan_subscribe(&p->app, id[end], p->evq);
			rig_make_sender(p, id[end]);
		}
	}
}

void rig_start(uint32_t n, bool offload)
{
	rig.n_workers = max_u32(rig.n_workers, 1);
	struct worker_conf conf = {
		.n_workers = rig.n_workers, .cpu = -1, .poll = WORKER_POLL_BUSY, .netif = nifs, .n_netif = 1,
		.routes = &routes, .max_conns = n + 1024, .seed = 77,
	};

	start_eal();
	start_port(offload);
	ports = ports_new(1 << 16, 1);
	rig.peer = calloc(n, sizeof(*rig.peer));
	CHECK(ports && rig.peer && client_engine_create(&engine, rig.n_workers) == 0);
	conf.mbufs = pool;
	conf.engine = engine.base;
	conf.ports = ports;
	rig.n_peers = n;
	worker_set.n = rig.n_workers;
	for (uint32_t w = 0; w < rig.n_workers; w++) {
		conf.number = w;
		CHECK(worker_init(&rig.w[w], &conf) == 0);
		worker_set.w[w] = &rig.w[w];
	}
	worker_set.control_mail = to_control;
	rig.now_ns = worker_clock_ns();
	know_gateway();
	rig.n_programs = (n + RIG_PROGRAM_SOCKS - 1) / RIG_PROGRAM_SOCKS;
	for (uint32_t i = 0; i < rig.n_programs; i++)
		start_program(&rig.program[i], i);
}

void rig_stop(void)
{
	stopping = true;
	for (uint32_t i = 0; i < rig.n_programs; i++) {
		client_proc_gone(rig.program[i].c, rig.program[i].app.proc);
		client_del(rig.program[i].c);
	}
	for (uint32_t i = 0; i < 1000000 && n_gone < rig.n_programs; i++) {
		rig.now_ns += NSEC_PER_MSEC; /* orphans drain */
		rig_poll();
		rig_deliver();
	}
	CHECK(n_gone == rig.n_programs);
	for (uint32_t i = 0; i < rig.n_programs; i++)
		client_free(rig.program[i].c);
	for (uint32_t w = 0; w < rig.n_workers; w++)
		worker_fini(&rig.w[w]);
	ports_free(ports);
	region_destroy(&engine);
	free(rig.peer);
}
