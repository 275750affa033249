/* IPv4 input: every way in which a packet can be bad, each with its counter. */
// SPDX-License-Identifier: MIT
#include "tests/unit/net/rig.h"
#include "stack/base/checksum.h"
#include "stack/net/ip4.h"

static uint8_t pkt[2048];
static uint32_t pkt_n;
static struct ip4_in in;

/* A good packet from the peer, to be spoiled. */
static void good(void)
{
	memset(pkt, 0xee, sizeof(pkt));
	pkt_n = rig_udp(pkt, RIG_PEER, RIG_US, "payload", 7);
}

static void fix_csum(void)
{
	memset(pkt + 10, 0, 2);
	uint16_t c = csum_fold(csum_add(0, pkt, (pkt[0] & 15) * 4u));
	memcpy(pkt + 10, &c, 2);
}

static int input(enum pkt_csum csum)
{
	return ip4_input(&rig.net, &rig.nif, pkt, pkt_n, csum, true, &in);
}

START_TEST(a_good_packet_is_described)
{
	good();
	ck_assert_int_eq(input(PKT_CSUM_UNKNOWN), IP_PROTO_UDP);
	ck_assert_uint_eq(in.h.src, RIG_PEER);
	ck_assert_uint_eq(in.len, 15);
	ck_assert_ptr_eq(in.payload, pkt + 20);
	ck_assert(in.unicast);
}
END_TEST

START_TEST(link_padding_is_cut_off)
{
	good();
	pkt_n = 46;
	ck_assert_int_eq(input(PKT_CSUM_UNKNOWN), IP_PROTO_UDP);
	ck_assert_uint_eq(in.len, 15);
}
END_TEST

START_TEST(options_are_skipped)
{
	good();
	memmove(pkt + 28, pkt + 20, pkt_n - 20);
	memset(pkt + 20, 1, 8);
	pkt[0] = 0x47;
	pkt_n += 8;
	store_be16(pkt + 2, (uint16_t)pkt_n);
	fix_csum();
	ck_assert_int_eq(input(PKT_CSUM_UNKNOWN), IP_PROTO_UDP);
	ck_assert_ptr_eq(in.payload, pkt + 28);
	ck_assert_uint_eq(in.len, 15);
}
END_TEST

enum { HDR, CSUM, SRC, DST, FRAG };
static const struct {
	const char *name;
	uint8_t off, len;
	uint8_t bytes[4];
	uint32_t n; /* 0: as it is */
	int counter;
} bad[] = {
	{ "cut below the header", 0, 0, { 0 }, 19, HDR },
	{ "empty", 0, 0, { 0 }, 1, HDR },
	{ "version 6", 0, 1, { 0x65 }, 0, HDR },
	{ "version 0", 0, 1, { 0x05 }, 0, HDR },
	{ "header of 16 bytes", 0, 1, { 0x44 }, 0, HDR },
	{ "header of 60 bytes beyond the packet", 0, 1, { 0x4f }, 0, HDR },
	{ "total length below the header", 2, 2, { 0, 19 }, 0, HDR },
	{ "total length beyond the packet", 2, 2, { 0, 200 }, 0, HDR },
	{ "source 0.0.0.0", 12, 4, { 0, 0, 0, 0 }, 0, SRC },
	{ "source 127.0.0.1", 12, 4, { 127, 0, 0, 1 }, 0, SRC },
	{ "source multicast", 12, 4, { 224, 0, 0, 1 }, 0, SRC },
	{ "source class E", 12, 4, { 240, 0, 0, 1 }, 0, SRC },
	{ "source broadcast", 12, 4, { 255, 255, 255, 255 }, 0, SRC },
	{ "source our subnet's broadcast", 12, 4, { 10, 77, 0, 255 }, 0, SRC },
	{ "source our own address", 12, 4, { 10, 77, 0, 2 }, 0, SRC },
	{ "destination another host", 16, 4, { 10, 77, 0, 3 }, 0, DST },
	{ "destination 127.0.0.1", 16, 4, { 127, 0, 0, 1 }, 0, DST },
	{ "destination multicast", 16, 4, { 224, 0, 0, 9 }, 0, DST },
	{ "destination 0.0.0.0", 16, 4, { 0, 0, 0, 0 }, 0, DST },
	{ "fragment beyond 65535 bytes", 6, 2, { 0x1f, 0xff }, 0, FRAG },
	{ "middle fragment of 15 bytes", 6, 2, { 0x20, 0x10 }, 0, FRAG },
};

START_TEST(bad_packets_are_dropped_and_counted)
{
	const uint64_t *counter[] = { &STAT(ip4_drop_header), &STAT(ip4_drop_csum),
				      &STAT(ip4_drop_src), &STAT(ip4_drop_dst),
				      &STAT(ip4_frag_drop_limit) };

	good();
	memcpy(pkt + bad[_i].off, bad[_i].bytes, bad[_i].len);
	if (bad[_i].n)
		pkt_n = bad[_i].n;
	else
		fix_csum();
	ck_assert_msg(input(PKT_CSUM_UNKNOWN) == -1, "%s", bad[_i].name);
	for (int i = 0; i < 5; i++)
		ck_assert_msg(*counter[i] == (i == bad[_i].counter), "%s: counter %d", bad[_i].name,
			      i);
}
END_TEST

START_TEST(the_header_checksum_counts_unless_the_port_checked_it)
{
	good();
	pkt[8]--;
	ck_assert_int_eq(input(PKT_CSUM_UNKNOWN), -1);
	ck_assert_int_eq(input(PKT_CSUM_GOOD), IP_PROTO_UDP);
	pkt[8]++;
	ck_assert_int_eq(input(PKT_CSUM_BAD), -1);
	ck_assert_uint_eq(STAT(ip4_drop_csum), 2);
}
END_TEST

START_TEST(broadcasts_are_no_unicast)
{
	good();
	store_be32(pkt + 16, 0xffffffff);
	fix_csum();
	ck_assert_int_eq(input(PKT_CSUM_UNKNOWN), IP_PROTO_UDP);
	ck_assert(!in.unicast);
	store_be32(pkt + 16, RIG_US | 0xff);
	fix_csum();
	ck_assert_int_eq(input(PKT_CSUM_UNKNOWN), IP_PROTO_UDP);
	ck_assert(!in.unicast);
	good();
	ck_assert_int_eq(ip4_input(&rig.net, &rig.nif, pkt, pkt_n, PKT_CSUM_UNKNOWN, false, &in),
			 IP_PROTO_UDP);
	ck_assert(!in.unicast);
}
END_TEST

START_TEST(fragments_pass_with_their_offset)
{
	good();
	store_be16(pkt + 6, 0x2000 | 2);
	store_be16(pkt + 2, 28);
	fix_csum();
	ck_assert_int_eq(input(PKT_CSUM_UNKNOWN), IP_PROTO_UDP);
	ck_assert(ip4_is_fragment(&in.h));
	ck_assert_uint_eq(in.h.frag_off, 16);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ip4_input");

	rig_eal();
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, a_good_packet_is_described);
	tcase_add_test(tc, link_padding_is_cut_off);
	tcase_add_test(tc, options_are_skipped);
	tcase_add_loop_test(tc, bad_packets_are_dropped_and_counted, 0, ARRAY_LEN(bad));
	tcase_add_test(tc, the_header_checksum_counts_unless_the_port_checked_it);
	tcase_add_test(tc, broadcasts_are_no_unicast);
	tcase_add_test(tc, fragments_pass_with_their_offset);
	return unit_run("ip4_input", tc);
}
