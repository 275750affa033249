/* Segments take the short way or the general one, and nothing else differs: the same frames, right or nearly
 * so, go through two lives of a worker. In the second each has a priority tag (IEEE 802.1Q, VLAN 0), which
 * means nothing and keeps it off the short way. In the place of sockets are connections alone. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/worker_rig.h"
#include "stack/base/checksum.h"
#include "stack/base/rng.h"
#include "stack/tcp/tcp_core.h"
#include "stack/worker/worker_int.h"
#include "tests/unit/net/rig6.h"

enum { PEERS = 6, FRAMES = 6000, PORT = 80, MOST = 1400, TAG = 4 };
#define STEP_NS (NSEC_PER_MSEC / 4)

struct life {
	struct stats stats;
	uint64_t digest;	/* of all that was sent, stored and told */
	uint64_t trace_n;
	uint32_t plain;		/* frames that took the short way */
	uint64_t after[FRAMES]; /* the digest then */
};
static struct life life[2], *me;
static struct rng rng;
static struct peer {
	uint32_t seq, wrote;
	struct tcp_conn *c; /* the worker's side */
	uint16_t port;
	bool v6, ts;
} peer[PEERS];

static void digest(const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		me->digest = (me->digest ^ b[i]) * 0x100000001b3;
}

/* ---- in the place of sockets ---- */
static void output(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		   struct tcp_conn *c, uint32_t tx_pos)
{
	static const uint8_t data[1 << 16];
	struct sock_piece piece = { data, seg->len };

	worker_host.tcp_output(&w[0], flow, seg, &piece, seg->len ? 1 : 0, c ? &c->opts : NULL);
}

static int rx_write(struct tcp_env *env, struct tcp_conn *c, uint32_t pos, const void *p, uint32_t len)
{
	digest(&pos, sizeof(pos));
	digest(p, len);
	return 0;
}

static struct tcp_conn *conn_new(struct tcp_env *env, struct tcp_listener *l, const struct tcp_flow *flow)
{
	struct tcp_conn *c = calloc(1, sizeof(*c));

	c->id = flow->remote.port;
	c->opts = (struct tcp_sockopts){ .rcvbuf = 1 << 20, .sndbuf = 1 << 20, .nodelay = true };
	for (int i = 0; i < PEERS; i++) {
		if (peer[i].port == flow->remote.port && !peer[i].c)
			peer[i].c = c;
	}
	return c;
}

static void accepted(struct tcp_env *env, struct tcp_listener *l, struct tcp_conn *c)
{
	c->listener = NULL;
	c->opts.minttl = c->flow.remote.port % 4 ? 0 : 9;
}

static void released(struct tcp_env *env, struct tcp_conn *c)
{
	for (int i = 0; i < PEERS; i++) {
		if (peer[i].c == c)
			peer[i].c = NULL;
	}
	free(c);
}

static uint16_t path_mss(struct tcp_env *env, const struct tcp_flow *flow)
{
	return MOST;
}

static void urgent(struct tcp_env *env, struct tcp_conn *c, uint32_t pos)
{
	digest(&pos, sizeof(pos));
}

static const struct tcp_ops ops = { .output = output, .rx_write = rx_write, .conn_new = conn_new,
				    .accepted = accepted, .released = released, .path_mss = path_mss,
				    .urgent = urgent };

/* ---- frames ---- */
static void store_csums(uint8_t *b, bool v6, uint32_t n)
{
	uint8_t *ip = b + ETH_HDR_LEN, *tcp = ip + (v6 ? IP6_HDR_LEN : IP4_HDR_MIN);
	struct ipaddr src, dst;

	if (v6) {
		memcpy(&src, ip + 8, 16);
		memcpy(&dst, ip + 24, 16);
	} else {
		uint16_t sum = 0;

		memcpy(ip + 10, &sum, 2);
		sum = csum_ip4(ip);
		memcpy(ip + 10, &sum, 2);
		src = ipaddr_v4(load_be32(ip + 12));
		dst = ipaddr_v4(load_be32(ip + 16));
	}
	tcp_store_csum(tcp, 0);
	tcp_store_csum(tcp, csum_fold(csum_add(csum_pseudo(&src, &dst, IP_PROTO_TCP, n), tcp, n)));
}

/* What comes from p; returns the frame's length. */
static uint32_t make(const struct peer *p, const struct tcp_seg *seg, uint8_t *b)
{
	struct eth eth = { .src = rig_peer_mac(), .type = p->v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4 };
	uint32_t ip_len = p->v6 ? IP6_HDR_LEN : IP4_HDR_MIN;
	uint8_t *ip = b + ETH_HDR_LEN, *tcp = ip + ip_len;
	uint32_t hdr_len = tcp_seg_emit(seg, tcp), n = hdr_len + seg->len;
	uint8_t ecn = rng_below(&rng, 8) ? 0 : (uint8_t)rng_below(&rng, 4);

	memcpy(eth.dst.b, rig.nif.mac, 6);
	eth_emit(&eth, b);
	memset(tcp + hdr_len, (int)seg->seq.v, seg->len);
	if (p->v6) {
		struct ip6 h = { .src = RIG6_PEER, .dst = RIG6_US, .next = IP_PROTO_TCP, .tclass = ecn,
				 .payload_len = (uint16_t)n, .hops = (uint8_t)rng_below(&rng, 90) };
		ip6_emit(&h, ip);
	} else {
		struct ip4 h = { .src = RIG_PEER, .dst = RIG_US, .proto = IP_PROTO_TCP, .tos = ecn,
				 .ttl = (uint8_t)rng_below(&rng, 90), .dont_frag = true,
				 .total_len = (uint16_t)(IP4_HDR_MIN + n) };
		ip4_emit(&h, ip, IP4_CSUM_FILL);
	}
	store_csums(b, p->v6, n);
	return ETH_HDR_LEN + ip_len + n;
}

static struct tcp_seg next_of(const struct peer *p)
{
	struct tcp_seg s = { .sport = p->port, .dport = PORT, .seq = { p->seq }, .flags = TCPF_ACK,
			     .wnd = 0x7000, .has_ts = p->ts && rng_below(&rng, 40),
			     .tsval = (uint32_t)(now / NSEC_PER_MSEC) };

	if (!p->c) { /* a new one */
		s.flags = p->port % 3 ? TCPF_SYN | TCPF_ECE | TCPF_CWR : TCPF_SYN;
		s.has_mss = s.has_wscale = s.sack_ok = true;
		s.has_ts = p->ts;
		s.mss = MOST;
		return s;
	}
	s.ack = rng_below(&rng, 3) ? p->c->snd_nxt : p->c->snd_una;
	s.tsecr = s.tsval + p->c->ts_offset;
	s.len = rng_below(&rng, 3) ? rng_below(&rng, rng_below(&rng, 4) ? 100 : MOST) : 0;
	if (rng_below(&rng, 3) == 0)
		s.flags |= TCPF_PSH;
	if (rng_below(&rng, 60) == 0)
		s.flags ^= (uint8_t)(1u << rng_below(&rng, 8));
	if (rng_below(&rng, 30) == 0)
		s.seq.v += rng_below(&rng, 3000) - 1500;
	if (rng_below(&rng, 30) == 0)
		s.wnd = (uint16_t)rng_below(&rng, 1 << 16);
	if (rng_below(&rng, 40) == 0) {
		s.n_sack = 1;
		s.sack[0] = (struct tcp_sack_block){ seq_add(s.ack, 10), seq_add(s.ack, 20) };
	}
	return s;
}

/* Something is not as it was; true: the segment arrives all the same, perhaps. */
static void spoil(uint8_t *b, uint32_t *len, bool v6)
{
	uint32_t at = rng_below(&rng, min_u32(*len, 90)), headers = v6 ? 54 : 34;

	switch (rng_below(&rng, 6)) {
	case 0:
		b[at] ^= (uint8_t)(1u << rng_below(&rng, 8));
		break;
	case 1: /* and whoever did it has seen to the sums */
		b[at] ^= (uint8_t)(1u << rng_below(&rng, 8));
		if (*len > headers + 20)
			store_csums(b, v6, *len - headers);
		break;
	case 2:
		*len -= rng_below(&rng, *len - ETH_HDR_LEN);
		break;
	case 3: /* padding */
		memset(b + *len, 7, 30);
		*len += rng_below(&rng, 30);
		break;
	case 4:
		b[0] = (uint8_t)rng_below(&rng, 4);
		break;
	default:
		b[ETH_HDR_LEN + (v6 ? 4 : 2) + rng_below(&rng, 2)] ^= (uint8_t)(1u << rng_below(&rng, 8));
	}
}

static void receive(const uint8_t *b, uint32_t len, uint64_t csum, bool tagged)
{
	uint8_t t[2000];

	memcpy(t, b, 12);
	store_be16(t + 12, ETH_TYPE_VLAN);
	store_be16(t + 14, 0xe000); /* the highest priority, no VLAN */
	memcpy(t + 16, b + 12, len - 12);
	struct rte_mbuf *m = tagged ? rig_mbuf(t, len + TAG) : rig_mbuf(b, len);
	m->ol_flags = csum;
	if (rx_plain(&w[0], &rig.nif, m)) {
		ck_assert(!tagged);
		me->plain++;
		pkt_free(m);
		return;
	}
	wrig_rx(m);
	rx_ports(&w[0]);
}

static void note_conn(const struct tcp_conn *c)
{
	const uint32_t v[] = { c->state, c->snd_una.v, c->snd_nxt.v, c->snd_wnd, c->cwnd, c->rcv_nxt.v,
			       c->rcv_adv.v, c->ts_recent, c->rx_segs, c->rx_data_segs, c->recovery,
			       c->ack_now, c->ack_delayed, c->n_sack, c->rtt.srtt_us, c->events };

	digest(v, sizeof(v));
}

/* What the worker does after receiving, without its sockets. */
static void settle(void)
{
	struct tcp_env *tcp = &w[0].sock.tcp;
	struct list *it;

	tcp_advance(tcp, now);
	tcp_flush(tcp, now);
	while ((it = list_pop(&tcp->touched))) {
		struct tcp_conn *c = container_of(it, struct tcp_conn, touch_link);

		note_conn(c);
		c->events = 0;
		if (c->state == TCPS_CLOSED || c->state == TCPS_TIME_WAIT || c->fin_rcvd)
			tcp_close(tcp, c, now);
	}
	tcp_flush(tcp, now);
	tx_flush(&w[0]);
	for (uint32_t i = 0; i < rig.n_sent; i++)
		digest(rig.sent[i].b, rig.sent[i].len);
	rig.n_sent = 0;
	rig.tx_room = RIG_FRAMES;
}

static void app(struct peer *p)
{
	struct tcp_env *tcp = &w[0].sock.tcp;

	if (!p->c || p->c->state != TCPS_ESTABLISHED)
		return;
	if (rng_below(&rng, 2))
		tcp_app_read(tcp, p->c, tcp_rx_tail(p->c), now);
	if (rng_below(&rng, 3) == 0)
		tcp_app_wrote(tcp, p->c, tcp_tx_nxt(p->c) + rng_below(&rng, 5000), now);
}

static void one(uint32_t i, bool tagged)
{
	static const uint64_t csums[] = {
		0, RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD,
		RTE_MBUF_F_RX_IP_CKSUM_BAD, RTE_MBUF_F_RX_L4_CKSUM_NONE,
	};
	/* Mostly the one before: the addresses of the last packet are what the short way goes by. */
	struct peer *p = &peer[rng_below(&rng, 4) ? i / 16 % PEERS : rng_below(&rng, PEERS)];
	uint32_t k = rng_below(&rng, 12);
	uint8_t b[2000];

	if (!p->c)
		p->port += PEERS;
	else if (p->c->state != TCPS_ESTABLISHED && rng_below(&rng, 4) == 0)
		tcp_abort(&w[0].sock.tcp, p->c, now);
	struct tcp_seg seg = next_of(p);
	uint32_t len = make(p, &seg, b);

	if (rng_below(&rng, 10) == 0)
		spoil(b, &len, p->v6);
	bool had = p->c != NULL;
	receive(b, len, csums[k < ARRAY_LEN(csums) ? k : 0], tagged);
	if (had && p->c && seq_gt(p->c->rcv_nxt, (seq_t){ p->seq }))
		p->seq = p->c->rcv_nxt.v;
	app(p);
	settle();
	if (!had && !p->c && (seg.flags & TCPF_SYN)) { /* the SYN-ACK's number is the worker's secret */
		struct tcp_flow f = { .local = { p->v6 ? RIG6_US : ipaddr_v4(RIG_US), .port = PORT },
				      .remote = { p->v6 ? RIG6_PEER : ipaddr_v4(RIG_PEER),
						  .port = p->port } };
		struct tcp_node *n = tcp_table_find(&w[0].sock.tcp, &f, tcp_flow_hash(&w[0].sock.tcp, &f));

		if (!n || n->kind != TCPN_SYN)
			return;
		seg.flags = TCPF_ACK;
		seg.seq.v++;
		seg.ack = seq_add(container_of(n, struct tcp_synq, node)->iss, 1);
		seg.has_mss = seg.has_wscale = seg.sack_ok = false;
		len = make(p, &seg, b);
		receive(b, len, 0, tagged);
		p->seq++;
		settle();
	}
	me->after[i] = me->digest;
}

static void live(struct life *l, bool tagged, uint64_t seed)
{
	struct tcp_sockopts o = { .rcvbuf = 1 << 20 };
	struct tcp_listener tl = { .local = { .port = PORT }, .backlog = 64, .opts = &o };
	struct wrig_listener listener;

	me = l;
	memset(me, 0, sizeof(*me));
	rng_seed(&rng, seed);
	wrig_setup();
	now = 10000000 * NSEC_PER_SEC; /* the same for both */
	rig6_add();
	wrig_meet_peer();
	neigh_learn(w[0].neigh, &rig.nif, &RIG6_PEER, rig_peer_mac(), NEIGH_HEARD_REQUEST, now);
	w[0].sock.tcp.ops = &ops;
	wrig_listen(0, &listener, &tl);
	for (uint16_t i = 0; i < PEERS; i++)
		peer[i] = (struct peer){ .port = 4000 + i, .v6 = i % 2, .ts = i < 4, .seq = i * 1000000u };
	for (uint32_t i = 0; i < FRAMES; i++) {
		now += STEP_NS;
		stats_this_thread = &w[0].stats;
		trace_this_thread = w[0].trace;
		w[0].now_ns = w[0].sock.now_ns = w[0].net.now_ns = now;
		one(i, tagged);
	}
	digest(w[0].trace->rec, sizeof(w[0].trace->rec));
	me->trace_n = w[0].trace->next;
	me->stats = w[0].stats;
	for (int i = 0; i < PEERS; i++) {
		if (peer[i].c)
			tcp_abort(&w[0].sock.tcp, peer[i].c, now);
	}
	wrig_unlisten(0, &listener);
	wrig_teardown();
}

START_TEST(the_short_way_leads_where_the_long_one_does)
{
	uint64_t seed = unit_seed();

	live(&life[0], false, seed);
	live(&life[1], true, seed);
	for (uint32_t i = 0; i < FRAMES; i++)
		ck_assert_msg(life[0].after[i] == life[1].after[i], "frame %u", i);
	for (int i = 0; i < STAT_COUNT; i++) {
		if (i != STAT_port_rx_bytes && i != STAT_port_rx_pkts)
			ck_assert_msg(life[0].stats.v[i] == life[1].stats.v[i], "%s", stat_infos[i].name);
	}
	ck_assert_uint_eq(life[0].trace_n, life[1].trace_n);
	ck_assert_uint_eq(life[0].digest, life[1].digest);
	ck_assert_uint_eq(life[1].plain, 0);
	ck_assert_uint_gt(life[0].plain, FRAMES / 3);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("rx_plain");

	rig_eal();
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_short_way_leads_where_the_long_one_does);
	return unit_run("rx_plain", tc);
}
