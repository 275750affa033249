/* IPv6 input: every way in which a packet can be bad, each with its counter and its answer. */
// SPDX-License-Identifier: MIT
#include "stack/net/icmp6.h"
#include "stack/net/mcast.h"
#include "tests/unit/net/rig6.h"

static uint8_t pkt[4096];
static uint32_t pkt_n;
static struct ip6_in in;

static int input(void) { return ip6_input(&rig.net, &rig.nif, pkt, pkt_n, true, &in); }

static void good(void)
{
	memset(pkt, 0xee, sizeof(pkt));
	pkt_n = rig6_udp(pkt, &RIG6_PEER, &RIG6_US, "payload", 7);
}

START_TEST(a_good_packet_is_described)
{
	good();
	pkt[0] = 0x6b; /* traffic class 0xb8, flow label 0xabcde */
	pkt[1] = 0x8a;
	pkt[2] = 0xbc;
	pkt[3] = 0xde;
	ck_assert_int_eq(input(), IP_PROTO_UDP);
	ck_assert_uint_eq(in.h.tclass, 0xb8);
	ck_assert_uint_eq(in.h.flow, 0xabcde);
	ck_assert_uint_eq(in.h.hops, 64);
	ck_assert_uint_eq(in.len, 15);
	ck_assert_ptr_eq(in.payload, pkt + 40);
	ck_assert(in.unicast && !in.multicast && !in.was_fragment);
}
END_TEST

START_TEST(link_padding_is_cut_off)
{
	good();
	pkt_n += 20;
	ck_assert_int_eq(input(), IP_PROTO_UDP);
	ck_assert_uint_eq(in.len, 15);
	ck_assert_uint_eq(in.packet_len, 55);
}
END_TEST

enum { HDR, SRC, DST };
static const struct {
	const char *name, *src, *dst;
	uint32_t n; /* 0: as it is */
	uint8_t first;
	int counter;
} bad[] = {
	{ "cut below the header", NULL, NULL, 39, 0x60, HDR },
	{ "version 4", NULL, NULL, 0, 0x45, HDR },
	{ "payload beyond the packet", NULL, NULL, 54, 0x60, HDR },
	{ "source is a group (RFC 4291 2.7)", "ff02::1", NULL, 0, 0x60, SRC },
	{ "source ::1 (RFC 4291 2.5.3)", "::1", NULL, 0, 0x60, SRC },
	{ "source v4-mapped (RFC 4942 2.2)", "::ffff:10.77.0.1", NULL, 0, 0x60, SRC },
	{ "source our own address", "2001:db8::2", NULL, 0, 0x60, SRC },
	{ "source unspecified to unicast", "::", NULL, 0, 0x60, SRC },
	{ "source unspecified, UDP to all nodes", "::", "ff02::1", 0, 0x60, SRC },
	{ "destination another host", NULL, "2001:db8::3", 0, 0x60, DST },
	{ "destination ::1", NULL, "::1", 0, 0x60, DST },
	{ "destination ::", NULL, "::", 0, 0x60, DST },
	{ "destination v4-mapped of ours", NULL, "::ffff:10.77.0.2", 0, 0x60, DST },
	{ "destination a group not joined", NULL, "ff02::1:3", 0, 0x60, DST },
	{ "destination a group of scope 1", NULL, "ff01::1", 0, 0x60, DST },
	{ "destination a group of scope 0", NULL, "ff00::1", 0, 0x60, DST },
};

START_TEST(bad_packets_are_dropped_and_counted)
{
	const uint64_t *counter[] = { &STAT(ip6_drop_header), &STAT(ip6_drop_src),
				      &STAT(ip6_drop_dst) };
	struct ipaddr a;

	good();
	pkt[0] = bad[_i].first;
	if (bad[_i].src) {
		a = a6(bad[_i].src);
		memcpy(pkt + 8, &a, 16);
	}
	if (bad[_i].dst) {
		a = a6(bad[_i].dst);
		memcpy(pkt + 24, &a, 16);
	}
	if (bad[_i].n)
		pkt_n = bad[_i].n;
	ck_assert_msg(input() == -1, "%s", bad[_i].name);
	for (int i = 0; i < 3; i++)
		ck_assert_msg(*counter[i] == (i == bad[_i].counter), "%s: counter %d", bad[_i].name,
			      i);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

static int input_to(const char *src, const char *dst)
{
	struct ipaddr a = a6(src);

	good();
	memcpy(pkt + 8, &a, 16);
	a = a6(dst);
	memcpy(pkt + 24, &a, 16);
	return input();
}

/* What sockets have joined, from whom they want to hear it; MLD from anybody (RFC 3810 5.1.15). */
START_TEST(joined_groups_are_heard)
{
	struct mcast_state s = { .include = false, .n = 1, .src = { a6("2001:db8::7") } };
	struct mcast *groups = mcast_new(1, 2);
	struct ipaddr g = a6("ff15::3");

	rig.net.groups = groups;
	rig.nif.ifindex = 3;
	ck_assert_int_eq(input_to("2001:db8::1", "ff15::3"), -1);
	mcast_set(groups, 0, &g, 3, &s);
	ck_assert_int_eq(input_to("2001:db8::1", "ff15::3"), IP_PROTO_UDP);
	ck_assert(in.multicast && !in.unicast);
	ck_assert_int_eq(input_to("2001:db8::7", "ff15::3"), -1);
	ck_assert_int_eq(input_to("2001:db8::1", "ff15::4"), -1);
	ck_assert_int_eq(input_to("2001:db8::1", "ff02::1"), IP_PROTO_UDP);
	rig.nif.ifindex = 4;
	ck_assert_int_eq(input_to("2001:db8::1", "ff15::3"), -1);
	rig.nif.ifindex = 3;
	uint8_t query[8 + 28] = { IP_PROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0, 130 };
	struct ipaddr from = a6("2001:db8::7");
	pkt_n = rig6_packet(pkt, &from, &g, IP6_HOPOPTS, query, sizeof(query));
	ck_assert_int_eq(input(), IP_PROTO_ICMP6);
	mcast_free(groups);
	rig.net.groups = NULL;
}
END_TEST

/* ---- extension headers (RFC 8200 4) ---- */
enum answer { PASS, LIMIT, DROP, PARAM };
static const struct {
	const char *name;
	uint8_t next, n; /* of the bytes, UDP behind them */
	uint8_t bytes[40];
	uint8_t answer, code, ptr;
} ext[] = {
	{ "hop-by-hop with padding", 0, 8, { 17, 0, 1, 4 }, PASS, 0, 0 },
	{ "hop-by-hop, then destination options", 0, 16, { 60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4 }, PASS,
	  0, 0 },
	{ "destination options, then hop-by-hop (4.1)", 60, 16,
	  { 0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4 }, PARAM, ICMP6_C_NEXT, 40 },
	{ "a header longer than the packet", 60, 8, { 17, 200, 1, 4 }, DROP, 0, 0 },
	{ "an option longer than its header", 60, 8, { 17, 0, 1, 5 }, DROP, 0, 0 },
	{ "an option without its length", 60, 8, { 17, 0, 1, 3, 0, 0, 0, 0x3e }, DROP, 0, 0 },
	{ "unknown option 00: skipped (4.2)", 60, 8, { 17, 0, 0x3e, 4 }, PASS, 0, 0 },
	{ "unknown option 01: dropped", 60, 8, { 17, 0, 0x7e, 4 }, DROP, 0, 0 },
	{ "unknown option 10: told", 60, 8, { 17, 0, 0xbe, 4 }, PARAM, ICMP6_C_OPTION, 42 },
	{ "unknown option 11: told", 60, 8, { 17, 0, 0xfe, 4 }, PARAM, ICMP6_C_OPTION, 42 },
	{ "jumbo payload (RFC 2675) is not known", 0, 8, { 17, 0, 0xc2, 4, 0, 1, 0, 0 }, PARAM,
	  ICMP6_C_OPTION, 42 },
	{ "router alert (RFC 2711)", 0, 8, { 17, 0, 5, 2, 0, 0, 1, 0 }, PASS, 0, 0 },
	{ "routing without segments left (4.4)", 43, 8, { 17, 0, 0, 0 }, PASS, 0, 0 },
	{ "routing type 0 (RFC 5095)", 43, 8, { 17, 0, 0, 1 }, PARAM, ICMP6_C_FIELD, 42 },
	{ "unknown routing type with segments", 43, 8, { 17, 0, 250, 1 }, PARAM, ICMP6_C_FIELD, 42 },
	{ "much padding (RFC 8504 5.3)", 60, 16, { 17, 1, 1, 12 }, LIMIT, 0, 0 },
	{ "one fragment is the whole (RFC 6946)", 44, 8, { 17, 0, 0, 0, 1, 2, 3, 4 }, PASS, 0, 0 },
	{ "two fragment headers", 44, 16, { 44, 0, 0, 0, 1, 2, 3, 4, 17, 0, 0, 0, 1, 2, 3, 4 }, DROP,
	  0, 0 },
	{ "a fragment of 15 bytes that is not the last (4.5)", 44, 8, { 17, 0, 0, 1, 1, 2, 3, 4 },
	  PARAM, ICMP6_C_FIELD, 4 },
	{ "a fragment beyond 65535 bytes (4.5)", 44, 8, { 17, 0, 0xff, 0xf8, 1, 2, 3, 4 }, PARAM,
	  ICMP6_C_FIELD, 42 },
	{ "encrypted payload: no protocol of ours", 50, 8, { 0 }, PASS, 0, 0 },
};

START_TEST(extension_headers_are_walked)
{
	uint8_t body[64] = { 0 };
	uint8_t udp[64];
	struct ip6 h;

	rig6_know_peer();
	uint32_t n = rig6_udp(udp, &RIG6_PEER, &RIG6_US, "payload", 7) - 40;
	memcpy(body, ext[_i].bytes, ext[_i].n);
	memcpy(body + ext[_i].n, udp + 40, n);
	pkt_n = rig6_packet(pkt, &RIG6_PEER, &RIG6_US, ext[_i].next, body, ext[_i].n + n);
	int r = input();
	ck_assert_msg((r >= 0) == (ext[_i].answer == PASS), "%s: %d", ext[_i].name, r);
	ck_assert_uint_eq(STAT(ip6_drop_limit), ext[_i].answer == LIMIT);
	if (ext[_i].answer != PARAM) {
		ck_assert_uint_eq(rig.n_sent, 0);
		return;
	}
	const uint8_t *m = rig6_sent(0, &h);
	ck_assert_int_eq(m[0], ICMP6_T_PARAM);
	ck_assert_msg(m[1] == ext[_i].code, "%s: code %u", ext[_i].name, m[1]);
	ck_assert_msg(load_be32(m + 4) == ext[_i].ptr, "%s: pointer %u", ext[_i].name,
		      load_be32(m + 4));
	ck_assert_mem_eq(m + 8, pkt, pkt_n); /* RFC 4443 3.4: the packet itself */
	ck_assert(ipaddr_eq(&h.dst, &RIG6_PEER));
}
END_TEST

START_TEST(a_long_chain_is_not_walked)
{
	uint8_t body[(IP6_EXT_MAX + 1) * 8 + 64] = { 0 };

	for (int more = 0; more < 2; more++) {
		uint32_t n = (uint32_t)IP6_EXT_MAX + (uint32_t)more;

		for (uint32_t i = 0; i < n; i++) {
			body[i * 8] = i + 1 < n ? IP6_DSTOPTS : IP6_NONE;
			body[i * 8 + 1] = 0;
			body[i * 8 + 2] = 1;
			body[i * 8 + 3] = 4;
		}
		pkt_n = rig6_packet(pkt, &RIG6_PEER, &RIG6_US, IP6_DSTOPTS, body, n * 8 + 4);
		ck_assert_int_eq(input(), more ? -1 : IP6_NONE);
	}
	ck_assert_uint_eq(STAT(ip6_drop_limit), 1);
}
END_TEST

START_TEST(the_first_fragment_has_all_headers)
{
	/* RFC 7112 5: destination options that go on in the next fragment */
	uint8_t body[24] = { 60, 0, 0, 1, 9, 9, 9, 9, 17, 3, 1, 4 };
	struct ip6 h;

	rig6_know_peer();
	pkt_n = rig6_packet(pkt, &RIG6_PEER, &RIG6_US, IP6_FRAGMENT, body, 24);
	ck_assert_int_eq(input(), -1);
	const uint8_t *m = rig6_sent(0, &h);
	ck_assert_int_eq(m[0], ICMP6_T_PARAM);
	ck_assert_int_eq(m[1], ICMP6_C_CHAIN);
}
END_TEST

START_TEST(groups_are_no_unicast)
{
	static const char *const group[] = { "ff02::1", "ff02::1:ff00:2", "ff02::1:ff12:3456" };

	for (int i = 0; i < 3; i++) {
		struct ipaddr g = a6(group[i]);

		pkt_n = rig6_udp(pkt, &RIG6_PEER, &g, "x", 1);
		ck_assert_int_eq(input(), IP_PROTO_UDP);
		ck_assert(in.multicast && !in.unicast);
	}
	good();
	ck_assert_int_eq(ip6_input(&rig.net, &rig.nif, pkt, pkt_n, false, &in), IP_PROTO_UDP);
	ck_assert(!in.unicast);
}
END_TEST

START_TEST(an_address_of_another_link_is_not_ours)
{
	struct netif other = rig.nif;

	other.index = 1;
	pkt_n = rig6_udp(pkt, &RIG6_PEER_LL, &RIG6_LL, "x", 1);
	ck_assert_int_eq(ip6_input(&rig.net, &other, pkt, pkt_n, true, &in), -1);
	ck_assert_int_eq(input(), IP_PROTO_UDP);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ip6_input");

	rig_eal();
	tcase_add_checked_fixture(tc, rig6_setup, rig_teardown);
	tcase_add_test(tc, a_good_packet_is_described);
	tcase_add_test(tc, link_padding_is_cut_off);
	tcase_add_test(tc, joined_groups_are_heard);
	tcase_add_loop_test(tc, bad_packets_are_dropped_and_counted, 0, ARRAY_LEN(bad));
	tcase_add_loop_test(tc, extension_headers_are_walked, 0, ARRAY_LEN(ext));
	tcase_add_test(tc, a_long_chain_is_not_walked);
	tcase_add_test(tc, the_first_fragment_has_all_headers);
	tcase_add_test(tc, groups_are_no_unicast);
	tcase_add_test(tc, an_address_of_another_link_is_not_ours);
	return unit_run("ip6_input", tc);
}
