/* Datagrams through whole workers: to and from the wire, in fragments, to ourselves, refused. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/udp_rig.h"
#include <errno.h>
#include "stack/base/checksum.h"
#include "stack/wire/icmp.h"

static struct udp_sock a, b, c;

static void setup(void)
{
	wrig_setup();
	udp_rig_start();
}
static void setup_two(void)
{
	wrig_setup_two();
	udp_rig_start();
}

/* The datagram that the frames from sent[at] on carry, its payload checked; how many frames. */
static uint32_t sent_dgram(uint32_t at, struct ip4 *h, struct udp_dgram *u, uint32_t n)
{
	static uint8_t l4[70000];
	uint32_t len = 0;

	do {
		const struct rig_frame *f = &rig.sent[at];

		ck_assert_int_eq(ip4_parse(h, f->b + ETH_HDR_LEN, f->len - ETH_HDR_LEN), 20);
		ck_assert(ip4_csum_ok(f->b + ETH_HDR_LEN, 20));
		ck_assert_uint_eq(h->frag_off, len);
		memcpy(l4 + len, f->b + 34, h->total_len - 20u);
		len += h->total_len - 20u;
		at++;
	} while (h->more_frags);
	ck_assert_int_eq(udp_parse(u, l4, len), UDP_HDR_LEN);
	ck_assert_uint_eq(u->len, n);
	ck_assert_uint_eq(len, UDP_HDR_LEN + n);
	udp_rig_check(l4 + UDP_HDR_LEN, n);
	struct ipaddr src = ipaddr_v4(h->src), dst = ipaddr_v4(h->dst);
	if (u->has_csum)
		ck_assert_uint_eq(csum_fold(csum_add(csum_pseudo(&src, &dst, IP_PROTO_UDP, len), l4,
						     len)), 0);
	return at;
}

START_TEST(a_datagram_reaches_its_socket)
{
	udp_rig_bind(&a, 0, 53);
	udp_rig_rx(RIG_PEER, RIG_US, 1234, 53, 100);
	udp_rig_rx(RIG_PEER, RIG_US, 1234, 53, 0);
	wrig_run();
	ck_assert_uint_eq(n_notes, 2);
	ck_assert_ptr_eq(note[0].s, &a);
	ck_assert_uint_eq(note[0].len, 100);
	ck_assert_uint_eq(note[0].from.port, 1234);
	ck_assert_uint_eq(ipaddr_get_v4(&note[0].from.addr), RIG_PEER);
	ck_assert_uint_eq(ipaddr_get_v4(&note[0].to.addr), RIG_US);
	ck_assert_uint_eq(note[0].ifindex, 7);
	ck_assert_uint_eq(note[0].ttl, 9);
	ck_assert_uint_eq(note[0].tos, 4);
	ck_assert(!note[0].multicast && !note[0].broadcast);
	ck_assert_uint_eq(note[1].len, 0);
	ck_assert_uint_eq(COUNT(0, udp_rx_dgrams), 2);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

/* RFC 768: the length field may end before the packet does, never behind it; checksum 0 is none. */
START_TEST(lengths_and_checksums_are_checked)
{
	static uint8_t p[200];
	uint32_t n = udp_rig_make(p, RIG_PEER, RIG_US, 5, 53, 100);

	udp_rig_bind(&a, 0, 53);
	wrig_rx_ip4(RIG_PEER, IP_PROTO_UDP, p, n + 20);
	wrig_run();
	ck_assert_uint_eq(n_notes, 1);
	ck_assert_uint_eq(note[0].len, 100);
	wrig_rx_ip4(RIG_PEER, IP_PROTO_UDP, p, n - 1);
	wrig_run();
	ck_assert_uint_eq(COUNT(0, udp_drop_header), 1);
	p[6] ^= 1;
	wrig_rx_ip4(RIG_PEER, IP_PROTO_UDP, p, n);
	wrig_run();
	ck_assert_uint_eq(COUNT(0, udp_drop_csum), 1);
	p[6] = p[7] = 0;
	wrig_rx_ip4(RIG_PEER, IP_PROTO_UDP, p, n);
	wrig_run();
	ck_assert_uint_eq(n_notes, 2);
}
END_TEST

START_TEST(a_datagram_goes_out)
{
	struct sock_udp_tx tx = { .ttl = 3, .tos = 8 };
	struct udp_dgram u;
	struct ip4 h;

	wrig_meet_peer();
	for (uint32_t n = 0; n <= 1472; n += n < 64 || n > 1400 ? 1 : 37) {
		rig.n_sent = 0;
		tx.flags = n == 7 ? CHAN_DG_NO_CSUM : n == 8 ? CHAN_DG_MAY_CUT : 0;
		ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, n), 0);
		wrig_run();
		ck_assert_uint_eq(rig.n_sent, 1);
		sent_dgram(0, &h, &u, n);
		ck_assert_uint_eq(u.has_csum, n != 7);
		ck_assert_uint_eq(h.dont_frag, n != 8);
	}
	ck_assert_uint_eq(h.src, RIG_US);
	ck_assert_uint_eq(h.dst, RIG_PEER);
	ck_assert_uint_eq(h.ttl, 3);
	ck_assert_uint_eq(h.tos, 8);
	ck_assert_uint_eq(u.sport, 53);
	ck_assert_uint_eq(u.dport, 99);
	ck_assert_uint_eq(h.total_len, 1500);
}
END_TEST

/* RFC 768: a computed checksum of 0 is sent as all ones. */
START_TEST(no_datagram_pretends_to_have_no_checksum)
{
	struct sock_udp_tx tx = { .ttl = 3 };
	uint16_t port = 1;
	uint8_t d[10];

	wrig_meet_peer();
	while (port && (udp_rig_make(d, RIG_US, RIG_PEER, 53, port, 2), load_be16(d + 6) != 0xffff))
		port++;
	ck_assert_uint_ne(port, 0);
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, port, 2), 0);
	wrig_run();
	ck_assert_uint_eq(load_be16(rig.sent[0].b + 40), 0xffff);
}
END_TEST

START_TEST(a_port_with_offload_gets_the_pseudo_sum)
{
	struct ipaddr us = ipaddr_v4(RIG_US), peer = ipaddr_v4(RIG_PEER);
	struct sock_udp_tx tx = { .ttl = 3 };

	wrig_meet_peer();
	rig.nif.tx_csum_l4 = rig.nif.tx_csum_ip = true;
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, 500), 0);
	wrig_run();
	uint16_t want = csum_fold_plain(csum_pseudo(&us, &peer, IP_PROTO_UDP, 508));
	uint64_t marks = RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;

	ck_assert_mem_eq(rig.sent[0].b + 34 + 6, &want, 2);
	ck_assert_uint_eq(rig.sent[0].ol_flags & (marks | RTE_MBUF_F_TX_L4_MASK), marks);
}
END_TEST

START_TEST(the_largest_datagram_goes_out_in_fragments)
{
	struct sock_udp_tx tx = { .ttl = 3 };
	struct udp_dgram u;
	struct ip4 h;

	wrig_meet_peer();
	for (uint32_t n = 65507; n > 1472; n = n * 2 / 3) {
		rig.n_sent = 0;
		ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, n), 0);
		wrig_run();
		ck_assert_uint_eq(rig.n_sent, (n + 8 + 1479) / 1480);
		ck_assert_uint_eq(sent_dgram(0, &h, &u, n), rig.n_sent);
		ck_assert(u.has_csum && !h.dont_frag);
	}
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, 65508), -EMSGSIZE);
	tx.flags = CHAN_DG_DONT_FRAG;
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, 1473), -EMSGSIZE);
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, 1472), 0);
	wrig_run();
}
END_TEST

START_TEST(the_largest_datagram_comes_in_fragments)
{
	udp_rig_bind(&a, RIG_US, 53);
	udp_rig_rx(RIG_PEER, RIG_US, 4, 53, 65507);
	udp_rig_rx(RIG_PEER, RIG_US, 5, 53, 1473);
	wrig_run();
	ck_assert_uint_eq(n_notes, 2);
	ck_assert_uint_eq(note[0].len, 65507);
	ck_assert_uint_eq(note[1].len, 1473);
}
END_TEST

START_TEST(segments_are_cut)
{
	struct sock_udp_tx tx = { .gso = 1000 };
	struct udp_dgram u;
	struct ip4 h;

	wrig_meet_peer();
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, 3500), 0);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 4);
	for (uint32_t i = 0; i < 4; i++)
		sent_dgram(i, &h, &u, i < 3 ? 1000 : 500);
	tx.gso = 1473;
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, 3500), -EINVAL);
	tx.gso = 10;
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, 1281), -EINVAL);
	tx.gso = 100;
	tx.flags = CHAN_DG_NO_CSUM;
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, 641), -EINVAL);
	udp_rig_bind(&a, 0, 99);
	tx.flags = 0;
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_US, 99, 641), 0);
	wrig_run();
	ck_assert_uint_eq(n_notes, 7);
	ck_assert_uint_eq(note[6].len, 41);
}
END_TEST

START_TEST(what_can_not_be_sent_says_why)
{
	struct sock_udp_tx tx = { .ttl = 3 };

	rig.routes.n--; /* the default route */
	ck_assert_int_eq(udp_rig_send(&tx, 53, 0x08080808, 99, 5), -ENETUNREACH);
	rig.routes.n++;
	tx.flags = CHAN_DG_DONTROUTE;
	ck_assert_int_eq(udp_rig_send(&tx, 53, 0x08080808, 99, 5), -ENETUNREACH);
	tx.flags = 0;
	ck_assert_int_eq(udp_rig_send(&tx, 53, 0x0a4d00ff, 99, 5), -EACCES);
	ck_assert_int_eq(udp_rig_send(&tx, 53, 0xffffffff, 99, 5), -EACCES);
	tx.local.addr = ipaddr_v4(0x08080808);
	ck_assert_int_eq(udp_rig_send(&tx, 53, RIG_PEER, 99, 5), -EINVAL);
	ck_assert_uint_eq(COUNT(0, udp_tx_dgrams), 0);
}
END_TEST

START_TEST(broadcasts_go_out_and_to_ourselves)
{
	static const uint32_t dst[] = { 0x0a4d00ff, 0xffffffff };
	struct sock_udp_tx tx = { .flags = CHAN_DG_BROADCAST };
	struct udp_dgram u;
	struct ip4 h;

	udp_rig_bind(&a, 0, 99);
	udp_rig_bind(&b, RIG_US, 99);
	for (int i = 0; i < 2; i++) {
		n_notes = rig.n_sent = 0;
		ck_assert_int_eq(udp_rig_send(&tx, 53, dst[i], 99, 50), 0);
		wrig_run();
		ck_assert_uint_eq(rig.n_sent, 1);
		ck_assert(eth_addr_is_broadcast(*(struct eth_addr *)rig.sent[0].b));
		sent_dgram(0, &h, &u, 50);
		ck_assert_uint_eq(h.dst, dst[i]);
		ck_assert_uint_eq(h.src, RIG_US);
		ck_assert_uint_eq(n_notes, 1);
		ck_assert_ptr_eq(note[0].s, &a);
		ck_assert(note[0].broadcast);
		ck_assert_uint_eq(note[0].ifindex, 7);
	}
}
END_TEST

START_TEST(broadcasts_come_in_and_draw_no_error)
{
	udp_rig_bind(&a, 0, 67);
	udp_rig_rx(0, 0xffffffff, 68, 67, 300); /* RFC 2131 4.1: a client without an address */
	udp_rig_rx(RIG_PEER, 0x0a4d00ff, 68, 67, 3000);
	udp_rig_rx(RIG_PEER, 0xffffffff, 68, 66, 3);
	wrig_run();
	ck_assert_uint_eq(n_notes, 2);
	ck_assert(note[0].broadcast && note[1].broadcast);
	ck_assert_uint_eq(note[1].len, 3000);
	ck_assert_uint_eq(COUNT(0, udp_drop_nomember), 1);
	ck_assert_uint_eq(rig.n_sent, 0); /* RFC 1122 3.2.2 */
}
END_TEST

START_TEST(datagrams_to_ourselves_stay_off_the_wire)
{
	struct sock_udp_tx tx = { .ttl = 3, .tos = 8 };

	udp_rig_bind(&a, 0, 53);
	udp_rig_bind(&b, 0, 54);
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_US, 53, 65507), 0);
	ck_assert_int_eq(udp_rig_send(&tx, 54, 0x7f000005, 53, 5), 0);
	ck_assert_int_eq(udp_rig_send(&tx, 54, 0, 53, 0), 0);
	ck_assert(local_pending(&w[worker_set.n - 1]) || worker_set.n > 1);
	ck_assert_uint_eq(n_notes, 0); /* later, not now */
	wrig_run();
	ck_assert_uint_eq(n_notes, 3);
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert_uint_eq(note[0].len, 65507);
	ck_assert_uint_eq(note[0].from.port, 54);
	ck_assert_uint_eq(ipaddr_get_v4(&note[0].from.addr), RIG_US);
	ck_assert_uint_eq(note[0].ifindex, 7); /* as on Linux: of the address */
	ck_assert_uint_eq(note[0].ttl, 3);
	ck_assert_uint_eq(note[0].tos, 8);
	ck_assert_uint_eq(ipaddr_get_v4(&note[1].to.addr), 0x7f000005);
	ck_assert_uint_eq(ipaddr_get_v4(&note[1].from.addr), 0x7f000001);
	ck_assert_uint_eq(note[1].ifindex, 1);
	ck_assert_uint_eq(ipaddr_get_v4(&note[2].to.addr), 0x7f000001);
}
END_TEST

START_TEST(two_sockets_that_echo_each_other_starve_nobody)
{
	struct sock_udp_tx tx = { .ttl = 3 };

	udp_rig_bind(&a, 0, 53);
	udp_rig_bind(&b, 0, 54);
	udp_rig_bind(&c, 0, 55);
	echo = true;
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_US, 53, 5), 0);
	for (int i = 0; i < 100; i++) {
		for (uint32_t k = 0; k < worker_set.n; k++)
			ck_assert(worker_poll(&w[k], now) || worker_set.n > 1);
	}
	ck_assert_uint_ge(n_notes, 90);
	ck_assert_uint_le(n_notes, 201);
	udp_rig_rx(RIG_PEER, RIG_US, 4, 55, 9);
	for (uint32_t k = 0; k < 2 * worker_set.n; k++)
		worker_poll(&w[k % worker_set.n], now);
	bool heard = false;
	for (uint32_t i = 0; i < n_notes; i++)
		heard |= note[i].s == &c;
	ck_assert(heard);
	udp_rig_unbind(&a);
	udp_rig_unbind(&b);
	udp_rig_unbind(&c);
	wrig_run();
}
END_TEST

START_TEST(too_many_datagrams_to_ourselves_are_refused)
{
	struct sock_udp_tx tx = { .ttl = 3 };
	uint32_t n = 0;

	udp_rig_bind(&a, 0, 53);
	while (n < 5000 && udp_rig_send(&tx, 54, RIG_US, 53, 10) == 0)
		n++;
	ck_assert_uint_eq(n, LOCAL_DGRAMS);
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_US, 53, 10), -ENOBUFS);
	ck_assert_uint_eq(COUNT(0, udp_drop_local), 2); /* both above */
	tx.may_wait = true;
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_US, 53, 10), -EAGAIN);
	ck_assert_uint_eq(COUNT(0, udp_drop_local), 2);
	wrig_run();
	ck_assert_uint_eq(n_notes, n);
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_US, 53, 10), 0);
	wrig_run();
}
END_TEST

/* Linux: the ICMP error that loopback would bring quotes 520 bytes. */
START_TEST(a_local_port_without_a_socket_refuses)
{
	struct sock_udp_tx tx = { .ttl = 3 };

	udp_rig_bind(&a, 0, 54);
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_US, 53, 3000), 0);
	wrig_run();
	ck_assert_uint_eq(n_errors, 1);
	ck_assert_ptr_eq(error_sock, &a);
	ck_assert_int_eq(last_error.err, ECONNREFUSED);
	ck_assert(last_error.hard);
	ck_assert_uint_eq(last_error.type, ICMP_T_UNREACH);
	ck_assert_uint_eq(last_error.code, ICMP_C_PORT);
	ck_assert_uint_eq(last_error.len, 520);
	ck_assert_uint_eq(last_quote[519], udp_rig_byte(519));
	ck_assert_uint_eq(last_error.remote.port, 53);
	ck_assert_uint_eq(ipaddr_get_v4(&last_error.offender), RIG_US);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

/* An ICMP error of the peer's about a datagram of n bytes from our port sport to its port 99. */
static void rx_error(uint8_t type, uint8_t code, uint16_t mtu, uint16_t sport, uint32_t n)
{
	static uint8_t quote[2000], m[2100];
	uint32_t len = udp_rig_make(quote + 20, RIG_US, RIG_PEER, sport, 99, n);
	struct ip4 h = { .src = RIG_US, .dst = RIG_PEER, .proto = IP_PROTO_UDP, .ttl = 1,
			 .total_len = (uint16_t)(20 + len) };
	struct icmp_msg msg = { .type = type, .code = code, .mtu = mtu };

	ip4_emit(&h, quote, IP4_CSUM_FILL);
	wrig_rx_ip4(RIG_PEER, IP_PROTO_ICMP, m, icmp_emit(&msg, quote, 20 + len, m));
	wrig_run();
}

START_TEST(an_icmp_error_reaches_the_sender)
{
	udp_rig_bind(&a, 0, 54);
	rx_error(ICMP_T_UNREACH, ICMP_C_PORT, 0, 54, 100);
	ck_assert_uint_eq(n_errors, 1);
	ck_assert_ptr_eq(error_sock, &a);
	ck_assert_int_eq(last_error.err, ECONNREFUSED);
	ck_assert(last_error.hard);
	ck_assert_uint_eq(last_error.local.port, 54);
	ck_assert_uint_eq(last_error.remote.port, 99);
	ck_assert_uint_eq(ipaddr_get_v4(&last_error.offender), RIG_PEER);
	ck_assert_uint_eq(last_error.len, 100);
	ck_assert_uint_eq(last_quote[99], udp_rig_byte(99));
	rx_error(ICMP_T_TIME_EXCEEDED, ICMP_C_TTL, 0, 54, 0);
	ck_assert_int_eq(last_error.err, EHOSTUNREACH);
	ck_assert(!last_error.hard);
	ck_assert_uint_eq(last_error.type, ICMP_T_TIME_EXCEEDED);
	ck_assert_uint_eq(last_error.len, 0);
	ck_assert_uint_eq(COUNT(0, udp_rx_error), 2);
	rx_error(ICMP_T_UNREACH, ICMP_C_PORT, 0, 56, 100);
	ck_assert_uint_eq(n_errors, 2);
}
END_TEST

/* RFC 1191: what a router says about the size is remembered, believed only about datagrams of ours, and
 * forgotten after a while. */
START_TEST(the_path_mtu_is_learned)
{
	struct ipaddr peer = ipaddr_v4(RIG_PEER), us = ipaddr_v4(RIG_US);
	struct sock_udp_tx tx = { .flags = CHAN_DG_DONT_FRAG };
	struct udp_dgram u;
	struct ip4 h;

	wrig_meet_peer();
	udp_rig_bind(&a, 0, 54);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &AT(us)), 65535);
	rx_error(ICMP_T_UNREACH, ICMP_C_FRAG_NEEDED, 1000, 56, 1400);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &AT(peer)), 1500);
	rx_error(ICMP_T_UNREACH, ICMP_C_FRAG_NEEDED, 1000, 54, 500);
	ck_assert_uint_eq(n_errors, 1);
	ck_assert_int_eq(last_error.err, EMSGSIZE);
	ck_assert(last_error.hard);
	ck_assert_uint_eq(last_error.info, 1000);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &AT(peer)), 1000);
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_PEER, 99, 973), -EMSGSIZE);
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_PEER, 99, 972), 0);
	tx.flags = CHAN_DG_DONT_FRAG | CHAN_DG_NO_PMTU;
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_PEER, 99, 1472), 0);
	wrig_run();
	rig.n_sent = 0;
	tx.flags = 0;
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_PEER, 99, 1400), 0);
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 2);
	ck_assert_uint_eq(sent_dgram(0, &h, &u, 1400), 2);
	/* less than anybody can mean: 552 bytes, and routers may cut */
	rx_error(ICMP_T_UNREACH, ICMP_C_FRAG_NEEDED, 0, 54, 500);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &AT(peer)), 552);
	rig.n_sent = 0;
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_PEER, 99, 500), 0);
	wrig_run();
	sent_dgram(0, &h, &u, 500);
	ck_assert(!h.dont_frag);
	now += 601 * NSEC_PER_SEC;
	worker_poll(&w[0], now);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &AT(peer)), 1500);
	wrig_run();
}
END_TEST

/* Linux's arp_error_report(). */
START_TEST(a_neighbour_that_does_not_answer_is_told_to_the_sender)
{
	struct sock_udp_tx tx = { .ttl = 3 };

	udp_rig_bind(&a, 0, 54);
	ck_assert_int_eq(udp_rig_send(&tx, 54, 0x0a4d0009, 99, 700), 0);
	for (int i = 0; i < 100 && !n_errors; i++) {
		now += 100 * NSEC_PER_MSEC;
		wrig_run();
	}
	ck_assert_uint_eq(n_errors, 1);
	ck_assert_ptr_eq(error_sock, &a);
	ck_assert_int_eq(last_error.err, EHOSTUNREACH);
	ck_assert(!last_error.hard);
	ck_assert_uint_eq(last_error.code, ICMP_C_HOST);
	ck_assert_uint_eq(last_error.len, 520);
}
END_TEST

/* All sockets of a port are on one worker: whoever receives, sends or answers. */
START_TEST(ports_live_on_their_worker)
{
	static struct udp_sock s[20];

	for (uint16_t i = 0; i < 20; i++)
		udp_rig_bind(&s[i], 0, (uint16_t)(1000 + i));
	for (uint16_t i = 0; i < 20; i++) {
		udp_rig_rx(RIG_PEER, RIG_US, (uint16_t)(77 * i), (uint16_t)(1000 + i), 10);
		udp_rig_rx(RIG_PEER, RIG_US, (uint16_t)(77 * i), (uint16_t)(1000 + i), 10000);
	}
	wrig_run();
	ck_assert_uint_eq(n_notes, 40);
	for (uint32_t i = 0; i < 40; i++)
		ck_assert_uint_eq(note[i].worker, note[i].s->local.port % 2);
	ck_assert_uint_eq(COUNT(0, udp_rx_dgrams), 20);
	ck_assert_uint_eq(COUNT(1, udp_rx_dgrams), 20);
}
END_TEST

START_TEST(local_datagrams_and_refusals_cross_workers)
{
	struct sock_udp_tx tx = { .ttl = 3 };

	udp_rig_bind(&a, 0, 54);
	udp_rig_bind(&b, 0, 55);
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_US, 55, 65507), 0);
	ck_assert_int_eq(udp_rig_send(&tx, 55, RIG_US, 54, 10), 0);
	wrig_run();
	ck_assert_uint_eq(n_notes, 2);
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_US, 57, 1000), 0);
	wrig_run();
	ck_assert_uint_eq(n_errors, 1);
	ck_assert_ptr_eq(error_sock, &a);
	ck_assert_uint_eq(last_error.len, 520);
	rx_error(ICMP_T_UNREACH, ICMP_C_PORT, 0, 55, 100);
	ck_assert_ptr_eq(error_sock, &b);
}
END_TEST

START_TEST(another_worker_that_is_behind_loses_datagrams_not_the_pool)
{
	struct sock_udp_tx tx = { .ttl = 3 };
	uint32_t n = 0, free_before = rte_mempool_avail_count(rig_pool);

	udp_rig_bind(&b, 0, 55);
	tx.may_wait = true;
	while (n < 5000 && udp_rig_send(&tx, 54, RIG_US, 55, 20000) == 0)
		n++;
	ck_assert_uint_lt(n, 5000);
	ck_assert_uint_eq(COUNT(0, udp_drop_local), 0);
	tx.may_wait = false;
	ck_assert_int_eq(udp_rig_send(&tx, 54, RIG_US, 55, 20000), -ENOBUFS);
	ck_assert_uint_eq(COUNT(0, udp_drop_local), 1);
	ck_assert_uint_gt(rte_mempool_avail_count(rig_pool), free_before / 4);
	wrig_run();
	ck_assert_uint_eq(n_notes, n);
}
END_TEST

static void add_common(TCase *tc)
{
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, datagrams_to_ourselves_stay_off_the_wire);
	tcase_add_test(tc, two_sockets_that_echo_each_other_starve_nobody);
	tcase_add_test(tc, a_local_port_without_a_socket_refuses);
	tcase_add_test(tc, broadcasts_go_out_and_to_ourselves);
	tcase_add_test(tc, broadcasts_come_in_and_draw_no_error);
	tcase_add_test(tc, the_largest_datagram_comes_in_fragments);
}

static void add_one(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, wrig_teardown);
	add_common(tc);
	tcase_add_test(tc, a_datagram_reaches_its_socket);
	tcase_add_test(tc, lengths_and_checksums_are_checked);
	tcase_add_test(tc, a_datagram_goes_out);
	tcase_add_test(tc, no_datagram_pretends_to_have_no_checksum);
	tcase_add_test(tc, a_port_with_offload_gets_the_pseudo_sum);
	tcase_add_test(tc, the_largest_datagram_goes_out_in_fragments);
	tcase_add_test(tc, segments_are_cut);
	tcase_add_test(tc, what_can_not_be_sent_says_why);
	tcase_add_test(tc, too_many_datagrams_to_ourselves_are_refused);
	tcase_add_test(tc, an_icmp_error_reaches_the_sender);
	tcase_add_test(tc, the_path_mtu_is_learned);
	tcase_add_test(tc, a_neighbour_that_does_not_answer_is_told_to_the_sender);
}

int main(void)
{
	TCase *one = tcase_create("udp"), *two = tcase_create("two workers");

	rig_eal();
	add_one(one);
	tcase_add_checked_fixture(two, setup_two, wrig_teardown);
	add_common(two);
	tcase_add_test(two, ports_live_on_their_worker);
	tcase_add_test(two, local_datagrams_and_refusals_cross_workers);
	tcase_add_test(two, another_worker_that_is_behind_loses_datagrams_not_the_pool);
	int failed = unit_run("udp", one);
	return unit_run("udp two", two) || failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
