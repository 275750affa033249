/* ARP packets and Ethernet headers: every field that can be wrong, wrong. */
// SPDX-License-Identifier: MIT
#include "stack/wire/arp.h"
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "tests/unit/unit.h"

static const uint8_t good[ARP_LEN] = {
	0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 77, 0, 1, 0, 0, 0, 0, 0, 0, 10, 77, 0, 2,
};

START_TEST(a_request_arrives_in_host_order)
{
	struct arp_pkt a;

	ck_assert_int_eq(arp_parse(&a, good, sizeof(good)), ARP_LEN);
	ck_assert_uint_eq(a.op, ARP_OP_REQUEST);
	ck_assert_uint_eq(a.sha.b[5], 1);
	ck_assert_uint_eq(a.spa, 0x0a4d0001);
	ck_assert_uint_eq(a.tpa, 0x0a4d0002);
	ck_assert(eth_addr_is_zero(a.tha));
}
END_TEST

START_TEST(emit_writes_what_parse_read)
{
	struct arp_pkt a;
	uint8_t b[ARP_LEN];

	ck_assert_int_eq(arp_parse(&a, good, sizeof(good)), ARP_LEN);
	ck_assert_uint_eq(arp_emit(&a, b), ARP_LEN);
	ck_assert_mem_eq(b, good, sizeof(good));
}
END_TEST

START_TEST(padding_to_the_minimum_frame_is_allowed)
{
	uint8_t b[46] = { 0 };
	struct arp_pkt a;

	memcpy(b, good, sizeof(good));
	ck_assert_int_eq(arp_parse(&a, b, sizeof(b)), ARP_LEN);
}
END_TEST

START_TEST(a_probe_with_sender_address_zero_is_allowed)
{
	uint8_t b[ARP_LEN];
	struct arp_pkt a;

	memcpy(b, good, sizeof(b));
	memset(b + 14, 0, 4);
	ck_assert_int_eq(arp_parse(&a, b, sizeof(b)), ARP_LEN);
	ck_assert_uint_eq(a.spa, 0);
}
END_TEST

static const struct {
	const char *name;
	int at, count;
	uint8_t byte;
	uint32_t n;
} bad[] = {
	{ "nothing", 0, 0, 0, 0 },
	{ "one byte short", 0, 0, 0, ARP_LEN - 1 },
	{ "hardware type not Ethernet", 1, 1, 6, ARP_LEN },
	{ "hardware type, high byte", 0, 1, 1, ARP_LEN },
	{ "protocol type not IPv4", 2, 1, 0x86, ARP_LEN },
	{ "hardware address length", 4, 1, 8, ARP_LEN },
	{ "protocol address length", 5, 1, 16, ARP_LEN },
	{ "operation 0", 7, 1, 0, ARP_LEN },
	{ "operation 3 (reverse ARP)", 7, 1, 3, ARP_LEN },
	{ "operation 257", 6, 1, 1, ARP_LEN },
	{ "sender MAC address zero", 8, 6, 0, ARP_LEN },
	{ "sender MAC address broadcast", 8, 6, 0xff, ARP_LEN },
	{ "sender MAC address multicast", 8, 1, 0x01, ARP_LEN },
	{ "sender IPv4 address multicast", 14, 1, 224, ARP_LEN },
	{ "sender IPv4 address broadcast", 14, 4, 255, ARP_LEN },
};

START_TEST(a_packet_with_one_wrong_field_is_refused)
{
	struct arp_pkt a, noise;
	uint8_t b[ARP_LEN];

	memcpy(b, good, sizeof(b));
	memset(b + bad[_i].at, bad[_i].byte, (size_t)bad[_i].count);
	uint8_t *exact = malloc(bad[_i].n + !bad[_i].n);
	memcpy(exact, b, bad[_i].n);
	memset(&noise, 0xa5, sizeof(noise));
	a = noise;
	ck_assert_msg(arp_parse(&a, exact, bad[_i].n) == -EINVAL, "%s", bad[_i].name);
	ck_assert_msg(memcmp(&a, &noise, sizeof(a)) == 0, "%s: output", bad[_i].name);
	free(exact);
}
END_TEST

START_TEST(an_ethernet_header_may_carry_one_tag)
{
	uint8_t b[18] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x81, 0, 0xe0, 5, 8, 0 };
	struct eth e;

	ck_assert_int_eq(eth_parse(&e, b, 13), -EINVAL);
	ck_assert_int_eq(eth_parse(&e, b, 17), -EINVAL);
	ck_assert_int_eq(eth_parse(&e, b, 18), 18);
	ck_assert(e.vlan == 5 && e.type == ETH_TYPE_IP4 && e.dst.b[0] == 1 && e.src.b[0] == 7);
	b[12] = 0x08;
	ck_assert_int_eq(eth_parse(&e, b, 14), 14);
	ck_assert(e.vlan == 0 && e.type == ETH_TYPE_IP4);
	uint8_t out[14];
	ck_assert_uint_eq(eth_emit(&e, out), 14);
	ck_assert_mem_eq(out, b, 14);
}
END_TEST

START_TEST(addresses_are_told_apart)
{
	struct eth_addr group = eth_addr_of_group4(0xe0ff0102);

	ck_assert(eth_addr_is_broadcast(eth_addr_broadcast()));
	ck_assert(eth_addr_is_multicast(eth_addr_broadcast()));
	ck_assert(eth_addr_is_multicast(group) && !eth_addr_is_broadcast(group));
	ck_assert(eth_addr_eq(group, (struct eth_addr){ { 1, 0, 0x5e, 0x7f, 1, 2 } }));
	ck_assert(!eth_addr_is_multicast((struct eth_addr){ { 2 } }));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("arp");

	tcase_add_test(tc, a_request_arrives_in_host_order);
	tcase_add_test(tc, emit_writes_what_parse_read);
	tcase_add_test(tc, padding_to_the_minimum_frame_is_allowed);
	tcase_add_test(tc, a_probe_with_sender_address_zero_is_allowed);
	tcase_add_loop_test(tc, a_packet_with_one_wrong_field_is_refused, 0, ARRAY_LEN(bad));
	tcase_add_test(tc, an_ethernet_header_may_carry_one_tag);
	tcase_add_test(tc, addresses_are_told_apart);
	return unit_run("wire/arp", tc);
}
