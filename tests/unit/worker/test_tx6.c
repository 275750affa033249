/* What leaves a worker by IPv6: segments and datagrams of sockets, their headers, checksums, sizes. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/udp_rig.h"
#include <errno.h>
#include "stack/base/checksum.h"
#include "stack/wire/udp.h"

enum { ETH = 14, IP = 40, TCP_LEN = 32 /* with timestamps */, MTU = 1500 };

static struct ipaddr addr6(uint8_t last)
{
	return (struct ipaddr){ .b = { 0xfd, 0x77, [15] = last } };
}

/* We are fd77::2, and fd77::9 is known. */
static void setup(void)
{
	struct ipaddr peer = addr6(9);

	wrig_setup();
	rig.nif.addr[rig.nif.n_addrs++] = (struct netif_addr){ .addr = addr6(2), .plen = 64 };
	rig.routes.n = 0;
	ck_assert_int_eq(route_add_netif(&rig.routes, &rig.nif), 0);
	stats_this_thread = &w[0].stats;
	w[0].net.now_ns = now;
	neigh_learn(w[0].net.neigh, &rig.nif, &peer, rig_peer_mac(), NEIGH_HEARD_REQUEST, now);
	rig.n_sent = 0;
}

static struct tcp_flow flow_to(uint8_t last, uint16_t port)
{
	return (struct tcp_flow){ { addr6(2), .port = 81 }, { addr6(last), .port = port } };
}

static void send_tcp(uint32_t len, uint16_t port, const struct tcp_sockopts *opts)
{
	static uint8_t data[8000];
	struct tcp_flow flow = flow_to(9, port);
	struct tcp_seg seg = { .sport = 81, .dport = port, .seq = { 5 }, .flags = TCPF_ACK,
			       .has_ts = true, .tsval = 1, .tsecr = 2, .len = len, .mss = 1440, .ecn = 2 };
	struct sock_piece piece = { data, len };

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i >> 3 ^ i);
	worker_host.tcp_output(&w[0], &flow, &seg, &piece, len ? 1 : 0, opts);
	tx_flush(&w[0]);
}

static uint16_t sum_of(const uint8_t *ip, uint8_t proto, uint32_t len)
{
	struct ipaddr src, dst;

	memcpy(src.b, ip + 8, 16);
	memcpy(dst.b, ip + 24, 16);
	return csum_fold(csum_add(csum_pseudo(&src, &dst, proto, len), ip + IP, len));
}

START_TEST(a_segment_has_an_ipv6_header_and_a_checksum) /* RFC 8200 3, 8.1 */
{
	for (uint32_t len = 0; len < 1428; len += 51) {
		rig.n_sent = 0;
		send_tcp(len, 4000, NULL);
		ck_assert_uint_eq(rig.n_sent, 1);
		const uint8_t *ip = rig.sent[0].b + ETH;

		ck_assert_uint_eq(rig.sent[0].len, ETH + IP + TCP_LEN + len);
		ck_assert_uint_eq(load_be16(rig.sent[0].b + 12), ETH_TYPE_IP6);
		ck_assert_uint_eq(ip[0] >> 4, 6);
		ck_assert_uint_eq(load_be16(ip + 4), TCP_LEN + len);
		ck_assert_uint_eq(ip[6], IP_PROTO_TCP);
		ck_assert_uint_eq(ip[7], 64);
		ck_assert_uint_eq(load_be16(ip) >> 4 & 0xff, 2); /* ECT(0) */
		ck_assert_uint_eq(sum_of(ip, IP_PROTO_TCP, TCP_LEN + len), 0);
	}
}
END_TEST

START_TEST(the_options_of_ipv6_count_and_not_those_of_ipv4)
{
	const struct tcp_sockopts opts = { .ttl = 9, .tos = 8, .hops = 7, .tclass = 0xb8 };

	send_tcp(10, 4000, &opts);
	ck_assert_uint_eq(rig.sent[0].b[ETH + 7], 7);
	ck_assert_uint_eq(load_be16(rig.sent[0].b + ETH) >> 4 & 0xff, 0xb8 | 2);
}
END_TEST

static uint32_t label(int i) { return load_be32(rig.sent[i].b + ETH) & 0xfffff; }

START_TEST(a_flow_has_one_label_and_another_flow_has_another) /* RFC 6437 2, 3 */
{
	uint32_t others = 0;

	send_tcp(10, 4000, NULL);
	send_tcp(11, 4000, NULL);
	ck_assert_uint_ne(label(0), 0);
	ck_assert_uint_eq(label(0), label(1));
	for (uint16_t port = 4001; port < 4009; port++) {
		rig.n_sent = 0;
		send_tcp(10, port, NULL);
		others += label(0) != label(1);
	}
	ck_assert_uint_gt(others, 6);
}
END_TEST

START_TEST(a_label_is_the_programs_or_changes_after_a_timeout) /* RFC 6437 3, RFC 6438 */
{
	const struct tcp_sockopts given = { .label = 0x12345 }, none = { .no_label = true };
	const struct tcp_sockopts both = { .no_label = true, .label = 0xfffff }, later = { .label_turn = 1 };
	const struct tcp_sockopts *opts[] = { NULL, &given, &none, &both, &later };

	for (size_t i = 0; i < ARRAY_LEN(opts); i++)
		send_tcp(10, 4000, opts[i]);
	ck_assert_uint_eq(label(1), 0x12345);
	ck_assert_uint_eq(label(2), 0);
	ck_assert_uint_eq(label(3), 0xfffff);
	ck_assert_uint_ne(label(4), label(0));
	ck_assert_uint_ne(label(4), 0);
	ck_assert_uint_eq(rig.sent[1].b[ETH] >> 4, 6); /* nothing but the label */
	ck_assert_uint_eq(load_be16(rig.sent[1].b + ETH) >> 4 & 0xff, 2);
}
END_TEST

START_TEST(a_port_with_offload_gets_marks_of_ipv6_and_cuts)
{
	uint64_t csum = RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM;
	uint64_t all = csum | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	struct tcp_flow flow = flow_to(9, 4000);

	rig.nif.tx_csum_l4 = rig.nif.tx_csum_ip = true;
	send_tcp(777, 4000, NULL);
	uint16_t want = csum_fold_plain(csum_pseudo(&flow.local.addr, &flow.remote.addr, IP_PROTO_TCP,
						    TCP_LEN + 777));
	ck_assert_mem_eq(rig.sent[0].b + ETH + IP + 16, &want, 2);
	ck_assert_uint_eq(rig.sent[0].ol_flags & all, csum);
}
END_TEST

START_TEST(sizes_leave_room_for_the_longer_header) /* RFC 8200 8.3, RFC 8201 4 */
{
	struct ipaddr peer = addr6(9), us = addr6(2), far = { .b = { 0x20, 1 } };

	ck_assert_uint_eq(worker_host.path_mss(&w[0], &AT(peer)), MTU - 60);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &AT(us)), LOOP_MSS);
	ck_assert_uint_eq(worker_host.path_mss(&w[0], &AT(far)), 0);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &AT(peer)), MTU);
	worker_host.path_told(&w[0], &AT(peer), 1400);
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &AT(peer)), 1400);
	worker_host.path_told(&w[0], &AT(peer), 500); /* discarded: no link is so small */
	ck_assert_uint_eq(worker_host.path_mtu(&w[0], &AT(peer)), 1400);
}
END_TEST

static int send_udp(struct sock_udp_tx tx, uint8_t last, uint32_t len)
{
	static uint8_t data[66000];
	struct sock_piece piece = { data, len };

	tx.local.port = 53;
	tx.remote = (struct endpoint){ .addr = addr6(last), .port = 9 };
	int r = worker_host.udp_output(&w[0], &tx, &piece, 1);
	tx_flush(&w[0]);
	return r;
}

START_TEST(a_datagram_has_the_label_that_is_asked_for)
{
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ 0 }, 9, 1), 0);
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ 0 }, 9, 2), 0);
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ .label = 0x54321 }, 9, 3), 0);
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ .no_label = true }, 9, 4), 0);
	ck_assert_uint_eq(rig.n_sent, 4);
	ck_assert_uint_ne(label(0), 0);
	ck_assert_uint_eq(label(0), label(1));
	ck_assert_uint_eq(label(2), 0x54321);
	ck_assert_uint_eq(label(3), 0);
}
END_TEST

START_TEST(a_datagram_is_cut_where_the_program_wants) /* IPV6_MTU */
{
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ .frag = 1280 }, 9, 1232), 0);
	ck_assert_uint_eq(rig.n_sent, 1);
	rig.n_sent = 0;
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ .frag = 1280 }, 9, 1233), 0);
	ck_assert_uint_eq(rig.n_sent, 2);
	ck_assert_uint_le(rig.sent[0].len, ETH + 1280);
	rig.n_sent = 0;
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ .frag = 1279 }, 9, 1300), 0); /* nonsense */
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ .frag = 1280, .flags = CHAN_DG_DONT_FRAG }, 9, 1233),
			 -EMSGSIZE);
}
END_TEST

START_TEST(a_temporary_source_is_a_matter_of_taste) /* RFC 6724 5 rule 7, RFC 5014 */
{
	struct ipaddr peer = addr6(9), stable = addr6(2), temporary = addr6(0xab), src;

	rig.nif.addr[rig.nif.n_addrs++] = (struct netif_addr){
		.addr = temporary, .plen = 64, .flags = NETIF_ADDR_TEMPORARY };
	ck_assert(worker_host.source_addr(&w[0], &AT(peer), false, &src) && ipaddr_eq(&src, &temporary));
	ck_assert(worker_host.source_addr(&w[0], &AT(peer), true, &src) && ipaddr_eq(&src, &stable));
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ 0 }, 9, 1), 0);
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ .src_public = true }, 9, 1), 0);
	ck_assert_mem_eq(rig.sent[0].b + ETH + 8, temporary.b, 16);
	ck_assert_mem_eq(rig.sent[1].b + ETH + 8, stable.b, 16);
}
END_TEST

START_TEST(a_datagram_always_has_a_checksum) /* RFC 8200 8.1 */
{
	const struct sock_udp_tx plain = { .ttl = 3, .tos = 0x20 }, none = { .flags = CHAN_DG_NO_CSUM };

	for (uint32_t len = 0; len < 1452; len += 13) {
		rig.n_sent = 0;
		ck_assert_int_eq(send_udp(len & 1 ? plain : none, 9, len), 0);
		ck_assert_uint_eq(rig.n_sent, 1);
		const uint8_t *ip = rig.sent[0].b + ETH;

		ck_assert_uint_eq(load_be16(ip + 4), UDP_HDR_LEN + len);
		ck_assert_uint_eq(ip[7], len & 1 ? 3 : 64);
		ck_assert_uint_ne(load_be16(ip + IP + 6), 0);
		ck_assert_uint_eq(sum_of(ip, IP_PROTO_UDP, UDP_HDR_LEN + len), 0);
	}
}
END_TEST

START_TEST(a_long_datagram_goes_in_fragments_of_the_path_mtu) /* RFC 8200 4.5, 5 */
{
	struct ipaddr peer = addr6(9);

	ck_assert_int_eq(send_udp((struct sock_udp_tx){ 0 }, 9, 1453), 0);
	ck_assert_uint_eq(rig.n_sent, 2);
	ck_assert_uint_eq(rig.sent[0].b[ETH + 6], 44);
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ .flags = CHAN_DG_DONT_FRAG }, 9, 1453), -EMSGSIZE);
	rig.n_sent = 0;
	worker_host.path_told(&w[0], &AT(peer), 1280);
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ 0 }, 9, 1400), 0);
	ck_assert_uint_eq(rig.n_sent, 2);
	ck_assert_uint_le(rig.sent[0].len, ETH + 1280);
	rig.n_sent = 0;
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ .flags = CHAN_DG_NO_PMTU }, 9, 1400), 0);
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(nothing_goes_from_one_family_to_the_other)
{
	struct sock_udp_tx tx = { .local = { .addr = ipaddr_v4(RIG_US) } };
	struct sock_piece piece = { "x", 1 };

	ck_assert_int_eq(send_udp(tx, 9, 1), -ENETUNREACH);
	tx.local = (struct endpoint){ .addr = addr6(2), .port = 53 };
	tx.remote = (struct endpoint){ .addr = ipaddr_v4(RIG_PEER), .port = 9 };
	ck_assert_int_eq(worker_host.udp_output(&w[0], &tx, &piece, 1), -ENETUNREACH);
	tx.local.addr = addr6(77); /* nobody's */
	ck_assert_int_eq(send_udp(tx, 9, 1), -EINVAL);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

START_TEST(what_is_for_ourselves_stays_here)
{
	struct tcp_flow flow = flow_to(2, 4000);
	struct tcp_seg seg = { .sport = 81, .dport = 4000, .flags = TCPF_SYN };

	worker_host.tcp_output(&w[0], &flow, &seg, NULL, 0, NULL);
	ck_assert(loop_pending(&w[0]));
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ 0 }, 2, 65527), 0);
	ck_assert(local_pending(&w[0]));
	wrig_run();
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert_uint_eq(COUNT(0, tcp_rx_segs), 2); /* the SYN and the reset that it drew */
	ck_assert_uint_eq(COUNT(0, udp_rx_local), 1);
	ck_assert_uint_eq(COUNT(0, udp_drop_noport), 1);
	/* More than the length field can say. */
	ck_assert_int_eq(send_udp((struct sock_udp_tx){ 0 }, 2, 65528), -EMSGSIZE);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tx6");

	rig_eal();
	tcase_add_checked_fixture(tc, setup, wrig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_segment_has_an_ipv6_header_and_a_checksum);
	tcase_add_test(tc, the_options_of_ipv6_count_and_not_those_of_ipv4);
	tcase_add_test(tc, a_flow_has_one_label_and_another_flow_has_another);
	tcase_add_test(tc, a_port_with_offload_gets_marks_of_ipv6_and_cuts);
	tcase_add_test(tc, sizes_leave_room_for_the_longer_header);
	tcase_add_test(tc, a_label_is_the_programs_or_changes_after_a_timeout);
	tcase_add_test(tc, a_datagram_has_the_label_that_is_asked_for);
	tcase_add_test(tc, a_datagram_is_cut_where_the_program_wants);
	tcase_add_test(tc, a_temporary_source_is_a_matter_of_taste);
	tcase_add_test(tc, a_datagram_always_has_a_checksum);
	tcase_add_test(tc, a_long_datagram_goes_in_fragments_of_the_path_mtu);
	tcase_add_test(tc, nothing_goes_from_one_family_to_the_other);
	tcase_add_test(tc, what_is_for_ourselves_stays_here);
	return unit_run("tx6", tc);
}
