/* Datagram sockets, their notes and their frames. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/udp_rig.h"
#include "stack/base/checksum.h"

struct udp_note note[UDP_NOTES];
uint32_t n_notes, n_errors;
struct udp_error last_error;
uint8_t last_quote[600];
struct udp_sock *error_sock;
bool echo;

static struct worker *worker_of(const struct udp_env *env)
{
	for (uint32_t i = 0; i < worker_set.n; i++) {
		if (&w[i].sock.udp == env)
			return &w[i];
	}
	ck_abort_msg("no such worker");
}

uint8_t udp_rig_byte(uint32_t i) { return (uint8_t)(i * i >> 3 ^ i); }

void udp_rig_check(const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		/* Check notes each assertion that holds, too: too slow for one a byte. */
		if (p[i] != udp_rig_byte(i))
			ck_abort_msg("byte %u of %u is %u", i, n, p[i]);
	}
}

static void deliver(struct udp_env *env, struct udp_sock *s, const struct udp_rx *rx)
{
	struct worker *me = worker_of(env);
	struct udp_note *n = &note[n_notes++ % UDP_NOTES];

	*n = (struct udp_note){
		.worker = me->conf.number, .s = s, .from = rx->from, .to = rx->to, .len = rx->len,
		.ifindex = rx->ifindex, .ttl = rx->ttl, .tos = rx->tos,
		.multicast = rx->multicast, .broadcast = rx->broadcast,
	};
	udp_rig_check(rx->p, rx->len);
	ck_assert_uint_eq(chan_port_worker(s->local.port, me->conf.n_workers), me->conf.number);
	if (echo) {
		struct sock_udp_tx tx = { .local = rx->to, .remote = rx->from };
		struct sock_piece piece = { rx->p, rx->len };

		worker_host.udp_output(me, &tx, &piece, 1);
	}
}

static void error(struct udp_env *env, struct udp_sock *s, const struct udp_error *e)
{
	n_errors++;
	error_sock = s;
	last_error = *e;
	ck_assert_uint_le(e->len, sizeof(last_quote));
	if (e->len)
		memcpy(last_quote, e->p, e->len);
}

static void changed(struct udp_env *env, const struct ipaddr *group, uint32_t ifindex)
{
	worker_host.group_changed(worker_of(env), group, ifindex);
}

static const struct udp_ops ops = { deliver, error, changed };

void udp_rig_start(void)
{
	n_notes = n_errors = 0;
	echo = false;
	rig.nif.ifindex = 7;
	ck_assert_int_eq(route_add_loopback(&rig.routes), 0);
	for (uint32_t i = 0; i < worker_set.n; i++)
		w[i].sock.udp.ops = &ops;
}

struct udp_sock *udp_rig_bind(struct udp_sock *s, uint32_t ip4, uint16_t port)
{
	memset(s, 0, sizeof(*s));
	udp_sock_init(s);
	s->local = (struct endpoint){ .addr = ipaddr_v4(ip4), .port = port };
	udp_bind(&w[chan_port_worker(port, worker_set.n)].sock.udp, s);
	return s;
}

void udp_rig_unbind(struct udp_sock *s)
{
	udp_unbind(&w[chan_port_worker(s->local.port, worker_set.n)].sock.udp, s);
}

int udp_rig_send(struct sock_udp_tx *tx, uint16_t sport, uint32_t dst, uint16_t dport, uint32_t n)
{
	static uint8_t data[70000];
	struct worker *me = &w[chan_port_worker(sport, worker_set.n)];
	uint32_t cut = n / 3 | (n > 2), cut2 = cut + (n / 5 | (n > 2));
	struct sock_piece piece[3] = { { data, cut }, { data + cut, cut2 - cut },
				       { data + cut2, n - cut2 } };

	ck_assert_uint_le(cut2, n);
	for (uint32_t i = 0; i < n; i++)
		data[i] = udp_rig_byte(tx->gso ? i % tx->gso : i);
	tx->local.port = sport;
	if (!tx->local.addr.q[1])
		tx->local.addr = ipaddr_v4(0);
	tx->remote = (struct endpoint){ .addr = ipaddr_v4(dst), .port = dport };
	stats_this_thread = &me->stats;
	me->now_ns = me->net.now_ns = now;
	return worker_host.udp_output(me, tx, piece, 3);
}

uint32_t udp_rig_make(uint8_t *p, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, uint32_t n)
{
	struct udp_dgram u = { .sport = sport, .dport = dport, .len = (uint16_t)n };
	struct ipaddr a = ipaddr_v4(src), b = ipaddr_v4(dst);
	uint32_t len = udp_emit(&u, p) + n;

	for (uint32_t i = 0; i < n; i++)
		p[UDP_HDR_LEN + i] = udp_rig_byte(i);
	udp_store_csum(p, csum_fold(csum_add(csum_pseudo(&a, &b, IP_PROTO_UDP, len), p, len)));
	return len;
}

static void rx_packet(const struct ip4 *h, const uint8_t *p, uint32_t n)
{
	uint8_t b[ETH_HDR_LEN + IP4_HDR_MIN + 1600];
	struct eth eth = { .src = rig_peer_mac(), .type = ETH_TYPE_IP4 };

	memcpy(eth.dst.b, rig.nif.mac, 6);
	if (h->dst >> 28 == 0xe)
		eth.dst = eth_addr_of_group4(h->dst);
	else if ((h->dst & 0xff) == 0xff)
		eth.dst = eth_addr_broadcast();
	eth_emit(&eth, b);
	ip4_emit(h, b + ETH_HDR_LEN, IP4_CSUM_FILL);
	memcpy(b + ETH_HDR_LEN + IP4_HDR_MIN, p, n);
	wrig_rx(rig_mbuf(b, ETH_HDR_LEN + IP4_HDR_MIN + n));
}

void udp_rig_rx(uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, uint32_t n)
{
	static uint8_t b[70000];
	static uint16_t id;
	uint32_t len = udp_rig_make(b, src, dst, sport, dport, n);

	id++;
	for (uint32_t off = 0; off < len; off += 1480) {
		uint32_t take = min_u32(1480, len - off);
		struct ip4 h = { .src = src, .dst = dst, .proto = IP_PROTO_UDP, .ttl = 9, .tos = 4,
				 .id = id, .total_len = (uint16_t)(IP4_HDR_MIN + take),
				 .frag_off = (uint16_t)off, .more_frags = off + take < len };

		rx_packet(&h, b + off, take);
	}
}
