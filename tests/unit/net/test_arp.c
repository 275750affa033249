/* ARP: who is answered, who is learned, what our own packets look like. */
// SPDX-License-Identifier: MIT
#include "tests/unit/net/rig.h"
#include "stack/net/arp.h"
#include "stack/wire/arp.h"

static const struct eth_addr OURS = { { 2, 0, 0, 0, 0, 2 } };

static struct arp_pkt request(uint32_t spa, uint32_t tpa)
{
	return (struct arp_pkt){ .op = ARP_OP_REQUEST, .sha = rig_peer_mac(), .spa = spa,
				 .tpa = tpa };
}

static void input(const struct arp_pkt *a, enum arp_answer answer)
{
	uint8_t p[ARP_LEN];

	arp_emit(a, p);
	arp_input(&rig.net, &rig.nif, p, sizeof(p), answer);
}

static bool known(uint32_t ip4)
{
	struct ipaddr a = ipaddr_v4(ip4);
	struct neigh_row rows[64];
	uint32_t cursor = 0, n = neigh_rows(rig.net.neigh, &cursor, rows, 64);

	for (uint32_t i = 0; i < n; i++) {
		if (ipaddr_eq(&rows[i].addr, &a))
			return rows[i].state != NEIGH_INCOMPLETE;
	}
	return false;
}

START_TEST(a_request_for_us_is_answered_and_learned)
{
	static const uint8_t want[ETH_FRAME_MIN] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 2, 10, 77, 0, 2,
		2, 0, 0, 0, 0, 1, 10, 77, 0, 1,
	};
	struct arp_pkt a = request(RIG_PEER, RIG_US);

	input(&a, ARP_ANSWER);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(rig.sent[0].len, ETH_FRAME_MIN);
	ck_assert_mem_eq(rig.sent[0].b, want, sizeof(want));
	ck_assert(known(RIG_PEER));
	ck_assert_uint_eq(STAT(arp_rx_request), 1);
}
END_TEST

START_TEST(a_copy_is_learned_but_not_answered)
{
	struct arp_pkt a = request(RIG_PEER, RIG_US);

	input(&a, ARP_LEARN_ONLY);
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert(known(RIG_PEER));
}
END_TEST

START_TEST(requests_for_others_teach_nothing_new)
{
	struct arp_pkt a = request(RIG_PEER, RIG_US + 1);

	input(&a, ARP_ANSWER);
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert(!known(RIG_PEER));
}
END_TEST

START_TEST(a_probe_is_answered_but_not_learned)
{
	struct arp_pkt a = request(0, RIG_US);

	input(&a, ARP_ANSWER);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_uint_eq(neigh_count(rig.net.neigh), 0);
}
END_TEST

START_TEST(strangers_to_the_link_are_not_learned)
{
	struct arp_pkt a = request(0x08080808, RIG_US);

	input(&a, ARP_ANSWER);
	ck_assert_uint_eq(neigh_count(rig.net.neigh), 0);
}
END_TEST

START_TEST(who_claims_our_address_is_counted_and_ignored)
{
	struct arp_pkt a = request(RIG_US, RIG_US);

	input(&a, ARP_ANSWER);
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert_uint_eq(STAT(arp_conflict), 1);
	/* Our own broadcast that comes back is no conflict. */
	a.sha = OURS;
	input(&a, ARP_ANSWER);
	ck_assert_uint_eq(STAT(arp_conflict), 1);
}
END_TEST

START_TEST(an_unasked_reply_teaches_nothing)
{
	struct arp_pkt a = { .op = ARP_OP_REPLY, .sha = rig_peer_mac(), .spa = RIG_PEER,
			     .tha = OURS, .tpa = RIG_US };

	input(&a, ARP_ANSWER);
	ck_assert_uint_eq(neigh_count(rig.net.neigh), 0);
	ck_assert_uint_eq(STAT(arp_rx_reply), 1);
}
END_TEST

START_TEST(a_reply_completes_a_resolution)
{
	struct arp_pkt a = { .op = ARP_OP_REPLY, .sha = rig_peer_mac(), .spa = RIG_PEER,
			     .tha = OURS, .tpa = RIG_US };
	struct ipaddr peer = ipaddr_v4(RIG_PEER);
	struct eth_addr mac;

	ck_assert(!neigh_resolve(rig.net.neigh, &rig.nif, &peer, NULL, &mac, RIG_NOW));
	ck_assert(!known(RIG_PEER));
	input(&a, ARP_ANSWER);
	ck_assert(known(RIG_PEER));
}
END_TEST

START_TEST(garbage_is_counted)
{
	uint8_t p[ARP_LEN] = { 0 };

	arp_input(&rig.net, &rig.nif, p, sizeof(p), ARP_ANSWER);
	arp_input(&rig.net, &rig.nif, p, 5, ARP_ANSWER);
	ck_assert_uint_eq(STAT(arp_drop_bad), 2);
}
END_TEST

START_TEST(requests_are_broadcast_or_to_the_known_station)
{
	struct eth_addr peer = rig_peer_mac();
	struct arp_pkt a;

	arp_request(&rig.net, &rig.nif, RIG_PEER, NULL);
	arp_request(&rig.net, &rig.nif, RIG_PEER, &peer);
	ck_assert_uint_eq(rig.n_sent, 2);
	ck_assert_uint_eq(rig.sent[0].b[0], 0xff);
	ck_assert_mem_eq(rig.sent[1].b, &peer, 6);
	ck_assert_int_eq(arp_parse(&a, rig.sent[0].b + 14, 46), ARP_LEN);
	ck_assert_uint_eq(a.spa, RIG_US);
	ck_assert_uint_eq(a.tpa, RIG_PEER);
	ck_assert(eth_addr_is_zero(a.tha));
}
END_TEST

START_TEST(our_addresses_are_announced)
{
	struct arp_pkt a;

	arp_announce(&rig.net, &rig.nif);
	ck_assert_uint_eq(rig.n_sent, 1);
	ck_assert_int_eq(arp_parse(&a, rig.sent[0].b + 14, 46), ARP_LEN);
	ck_assert_uint_eq(a.spa, RIG_US);
	ck_assert_uint_eq(a.tpa, RIG_US);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("arp");

	rig_eal();
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, a_request_for_us_is_answered_and_learned);
	tcase_add_test(tc, a_copy_is_learned_but_not_answered);
	tcase_add_test(tc, requests_for_others_teach_nothing_new);
	tcase_add_test(tc, a_probe_is_answered_but_not_learned);
	tcase_add_test(tc, strangers_to_the_link_are_not_learned);
	tcase_add_test(tc, who_claims_our_address_is_counted_and_ignored);
	tcase_add_test(tc, an_unasked_reply_teaches_nothing);
	tcase_add_test(tc, a_reply_completes_a_resolution);
	tcase_add_test(tc, garbage_is_counted);
	tcase_add_test(tc, requests_are_broadcast_or_to_the_known_station);
	tcase_add_test(tc, our_addresses_are_announced);
	return unit_run("arp", tc);
}
