/* Two workers: flows, fragments and ARP reach the one that needs them. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/worker_rig.h"
#include "stack/net/flow.h"

START_TEST(flows_are_served_by_their_owner)
{
	uint32_t n[2] = { 0, 0 };

	wrig_meet_peer();
	ck_assert_uint_eq(COUNT(1, arp_tx_reply), 0); /* one answer, both have learned */
	for (uint16_t port = 40000; port < 40064; port++) {
		struct tcp_seg seg = { .sport = port, .dport = 81, .flags = TCPF_SYN };
		struct tcp_flow flow = { { ipaddr_v4(RIG_US), .port = 81 },
					 { ipaddr_v4(RIG_PEER), .port = port } };
		struct tcp_flow back = { flow.remote, flow.local };

		n[flow_worker4(RIG_PEER, RIG_US, port, 81, 2)]++;
		ck_assert_uint_eq(worker_host.flow_worker(&w[0], &flow),
				  flow_worker4(RIG_PEER, RIG_US, port, 81, 2));
		ck_assert_uint_eq(worker_host.flow_worker(&w[1], &back),
				  worker_host.flow_worker(&w[0], &flow));
		wrig_rx_tcp(RIG_PEER, &seg);
	}
	wrig_run();
	ck_assert_uint_gt(n[0], 8);
	ck_assert_uint_gt(n[1], 8);
	ck_assert_uint_eq(COUNT(0, tcp_rx_segs), n[0]);
	ck_assert_uint_eq(COUNT(1, tcp_rx_segs), n[1]);
	ck_assert_uint_eq(COUNT(0, worker_steered), n[1] + 1);
	ck_assert_uint_eq(rig.n_sent, 64);
}
END_TEST

START_TEST(fragments_of_a_datagram_meet_at_one_worker)
{
	uint8_t b[5000];
	uint32_t n = wrig_make_echo(b, 4000), owner = flow_worker4(RIG_PEER, RIG_US, 0, 0, 2);

	wrig_meet_peer();
	wrig_rx_fragments(b, n, 1480);
	wrig_run();
	ck_assert_uint_eq(COUNT(owner, ip4_frag_ok), 1);
	ck_assert_uint_eq(COUNT(!owner, ip4_frag_rx), 0);
	ck_assert_uint_eq(rig.n_sent, 3);
}
END_TEST

/* A segment that came in fragments belongs to another worker than its fragments. */
START_TEST(a_reassembled_segment_goes_to_its_owner)
{
	struct tcp_seg seg = { .dport = 81, .flags = TCPF_SYN, .len = 1000 };
	uint32_t meeting = flow_worker4(RIG_PEER, RIG_US, 0, 0, 2);
	uint8_t b[1200], f[1200];

	wrig_meet_peer();
	for (seg.sport = 40000; flow_worker4(RIG_PEER, RIG_US, seg.sport, 81, 2) == meeting;)
		seg.sport++;
	uint32_t n = wrig_make_tcp(b, RIG_PEER, &seg);
	for (uint32_t off = 0; off < n; off += 512) {
		uint32_t take = min_u32(512, n - off);
		struct ip4 h = { .src = RIG_PEER, .dst = RIG_US, .proto = IP_PROTO_TCP, .ttl = 64,
				 .id = 3, .total_len = (uint16_t)(20 + take),
				 .frag_off = (uint16_t)off, .more_frags = off + take < n };

		ip4_emit(&h, f, IP4_CSUM_FILL);
		memcpy(f + 20, b + off, take);
		wrig_rx(wrig_frame_of(ETH_TYPE_IP4, f, 20 + take));
	}
	wrig_run();
	ck_assert_uint_eq(COUNT(meeting, ip4_frag_ok), 1);
	ck_assert_uint_eq(COUNT(!meeting, tcp_rx_segs), 1);
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("steer");

	rig_eal();
	tcase_add_checked_fixture(tc, wrig_setup_two, wrig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, flows_are_served_by_their_owner);
	tcase_add_test(tc, fragments_of_a_datagram_meet_at_one_worker);
	tcase_add_test(tc, a_reassembled_segment_goes_to_its_owner);
	return unit_run("steer", tc);
}
