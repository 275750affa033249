/* IPv4 output: header bytes, neighbour, gateway, fragments that reassemble to what was sent. */
// SPDX-License-Identifier: MIT
#include "tests/unit/net/rig.h"
#include <errno.h>
#include "stack/net/ip4.h"
#include "stack/net/ip4_frag.h"

static uint8_t data[70000];

static int send_to(uint32_t dst, uint32_t n, bool dont_frag)
{
	struct ip4_out o = { .src = RIG_US, .dst = dst, .proto = IP_PROTO_UDP,
			     .dont_frag = dont_frag };
	struct iovec iov[2] = { { data, n / 3 }, { data + n / 3, n - n / 3 } };

	return ip4_send(&rig.net, &o, iov, 2);
}

static void setup(void)
{
	rig_setup();
	rig_know_peer();
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i ^ i >> 8);
}

START_TEST(a_datagram_has_these_bytes)
{
	static const uint8_t want[] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 23, 0x12, 0x34, 0, 0, 64, 17, 0x53, 0xc5, 10, 77, 0, 2, 10, 77, 0, 1,
		0, 1, 2,
	};

	ck_assert_int_eq(send_to(RIG_PEER, 3, false), 0);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(rig.sent[0].len, sizeof(want));
	ck_assert(ip4_csum_ok(rig.sent[0].b + 14, 20));
	memcpy(rig.sent[0].b + 24, want + 24, 2); /* judged above */
	ck_assert_mem_eq(rig.sent[0].b, want, sizeof(want));
}
END_TEST

START_TEST(far_destinations_go_to_the_gateway)
{
	struct eth_addr gw = rig_peer_mac();

	ck_assert_int_eq(send_to(0x08080808, 3, false), 0);
	ck_assert_mem_eq(rig.sent[0].b, &gw, 6);
}
END_TEST

START_TEST(an_unknown_neighbour_is_waited_for)
{
	struct ipaddr host = ipaddr_v4(RIG_PEER + 7);
	struct eth_addr mac = { { 2, 0, 0, 0, 0, 8 } };

	ck_assert_int_eq(send_to(RIG_PEER + 7, 100, false), 0);
	ck_assert_uint_eq(rig.n_sent, 0);
	neigh_learn(rig.net.neigh, &rig.nif, &host, mac, NEIGH_HEARD_REPLY, rig.net.now_ns);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_mem_eq(rig.sent[0].b, &mac, 6);
	ck_assert_mem_eq(rig.sent[0].b + 34, data, 100);
}
END_TEST

START_TEST(broadcast_needs_no_neighbour)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };

	ck_assert_int_eq(send_to(RIG_US | 0xff, 3, false), 0);
	ck_assert_mem_eq(rig.sent[0].b, all, 6);
}
END_TEST

START_TEST(long_datagrams_leave_in_fragments)
{
	static const uint32_t sizes[] = { 1480, 1481, 1488, 2960, 2961, 8000, 65515 };
	struct ip4_reass *r = ip4_reass_new(1, RIG_NOW);
	uint32_t n = sizes[_i], frames = (n + 1479) / 1480, len = 0;
	const uint8_t *p = NULL;
	bool whole = false;

	ck_assert_int_eq(send_to(RIG_PEER, n, false), 0);
	ck_assert_uint_eq(rig.n_sent, frames);
	ck_assert_uint_eq(STAT(ip4_frag_tx), frames > 1 ? frames : 0);
	for (uint32_t i = 0; i < frames && frames > 1; i++) {
		struct ip4 h;
		uint8_t *b = rig.sent[i].b + 14;

		ck_assert_int_eq(ip4_parse(&h, b, rig.sent[i].len - 14), 20);
		ck_assert(ip4_csum_ok(b, 20));
		ck_assert(!whole);
		whole = ip4_reass_input(r, &h, b + 20, h.total_len - 20u, &p, &len, RIG_NOW);
	}
	if (frames > 1) {
		ck_assert(whole);
		ck_assert_uint_eq(len, n);
		ck_assert_mem_eq(p, data, n);
	}
	ip4_reass_free(r);
}
END_TEST

START_TEST(what_cannot_be_sent_says_why)
{
	ck_assert_int_eq(send_to(RIG_PEER, 1481, true), -EMSGSIZE);
	ck_assert_int_eq(send_to(RIG_PEER, 65516, false), -EMSGSIZE);
	rig.routes.n = 0;
	ck_assert_int_eq(send_to(RIG_PEER, 3, false), -ENETUNREACH);
	ck_assert_uint_eq(STAT(ip4_drop_noroute), 1);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

START_TEST(a_port_that_fills_in_checksums_gets_marks)
{
	rig.nif.tx_csum_ip = true;
	ck_assert_int_eq(send_to(RIG_PEER, 3, false), 0);
	ck_assert(rig.sent[0].ol_flags & RTE_MBUF_F_TX_IP_CKSUM);
	ck_assert_uint_eq(rig.sent[0].b[24], 0);
	ck_assert_uint_eq(rig.sent[0].b[25], 0);
}
END_TEST

START_TEST(without_buffers_nothing_leaks)
{
	static struct rte_mbuf *all[RIG_BUFS];
	uint32_t n = 0;

	while (n < RIG_BUFS - 2 && (all[n] = rte_pktmbuf_alloc(rig_pool)))
		n++;
	/* The first two fragments wait for their neighbour, the third finds no buffer. */
	ck_assert_int_eq(send_to(RIG_PEER + 7, 8000, false), -ENOBUFS);
	ck_assert_uint_eq(STAT(port_drop_nombuf), 1);
	for (uint32_t i = 0; i < n; i++)
		pkt_free(all[i]);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ip4_output");

	rig_eal();
	tcase_add_checked_fixture(tc, setup, rig_teardown);
	tcase_add_test(tc, a_datagram_has_these_bytes);
	tcase_add_test(tc, far_destinations_go_to_the_gateway);
	tcase_add_test(tc, an_unknown_neighbour_is_waited_for);
	tcase_add_test(tc, broadcast_needs_no_neighbour);
	tcase_add_loop_test(tc, long_datagrams_leave_in_fragments, 0, 7);
	tcase_add_test(tc, what_cannot_be_sent_says_why);
	tcase_add_test(tc, a_port_that_fills_in_checksums_gets_marks);
	tcase_add_test(tc, without_buffers_nothing_leaks);
	return unit_run("ip4_output", tc);
}
