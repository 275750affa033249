/* ICMP: echo, errors about our packets, errors about theirs, rate limits. */
// SPDX-License-Identifier: MIT
#include "tests/unit/net/rig.h"
#include <errno.h>
#include "stack/net/icmp4.h"
#include "stack/wire/tcp.h"

static uint8_t msg[9000];
static struct icmp4_error e;

static void setup(void)
{
	rig_setup();
	rig_know_peer();
	memset(&e, 0xa5, sizeof(e));
}

static struct ip4_in in_of(uint32_t n)
{
	return (struct ip4_in){ .h = { .src = RIG_PEER, .dst = RIG_US, .proto = IP_PROTO_ICMP,
				       .hdr_len = 20, .total_len = (uint16_t)(20 + n) },
				.nif = &rig.nif, .payload = msg, .len = n, .unicast = true };
}

static bool input(uint32_t n)
{
	struct ip4_in in = in_of(n);

	return icmp4_input(&rig.net, &in, &e);
}

static uint32_t echo(uint32_t n)
{
	struct icmp_msg m = { .type = ICMP_T_ECHO, .id = 77, .seq = 5 };

	for (uint32_t i = 0; i < n; i++)
		msg[ICMP_HDR_LEN + i] = (uint8_t)i;
	return icmp_emit(&m, msg + ICMP_HDR_LEN, n, msg);
}

START_TEST(echo_is_answered_with_its_data)
{
	uint32_t n = echo(56);
	struct icmp_msg m;

	ck_assert(!input(n));
	ck_assert_uint_eq(rig.n_sent, 1);
	const uint8_t *p = rig.sent[0].b + 34;
	ck_assert_uint_eq(rig.sent[0].len, 34 + n);
	ck_assert(icmp_csum_ok(p, n));
	ck_assert_int_eq(icmp_parse(&m, p, n), ICMP_HDR_LEN);
	ck_assert_uint_eq(m.type, ICMP_T_ECHO_REPLY);
	ck_assert_uint_eq(m.id, 77);
	ck_assert_uint_eq(m.seq, 5);
	ck_assert_mem_eq(p + ICMP_HDR_LEN, msg + ICMP_HDR_LEN, 56);
	ck_assert_uint_eq(STAT(icmp_rx_echo), 1);
}
END_TEST

START_TEST(odd_and_empty_and_large_echoes_too)
{
	ck_assert(!input(echo(0)));
	ck_assert(icmp_csum_ok(rig.sent[0].b + 34, 8));
	ck_assert(!input(echo(57)));
	ck_assert(icmp_csum_ok(rig.sent[1].b + 34, 65));
	ck_assert(!input(echo(8000)));
	ck_assert_uint_eq(rig.n_sent, 2 + 6);
}
END_TEST

START_TEST(echo_to_broadcast_is_ignored)
{
	struct ip4_in in = in_of(echo(8));

	in.unicast = false;
	ck_assert(!icmp4_input(&rig.net, &in, &e));
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

START_TEST(echo_rate_is_limited)
{
	uint32_t n = echo(8);

	for (int i = 0; i < ICMP4_ECHO_BURST + 100; i++) {
		input(n);
		rig.n_sent = 0;
	}
	ck_assert_uint_eq(STAT(icmp_tx_limited), 100);
	rig.net.now_ns += NSEC_PER_SEC / ICMP4_ECHO_RATE;
	input(n);
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(a_bad_checksum_is_dropped)
{
	uint32_t n = echo(8);

	msg[9] ^= 1;
	ck_assert(!input(n));
	ck_assert_uint_eq(rig.n_sent, 0);
	ck_assert_uint_eq(STAT(icmp_drop_bad), 1);
}
END_TEST

/* An error about a segment from 10.77.0.2:40000 to 10.77.0.1:80. */
static uint32_t error(uint8_t type, uint8_t code, uint16_t mtu, uint32_t src)
{
	uint8_t quote[28];
	struct tcp_seg seg = { .sport = 40000, .dport = 80, .seq = { 0x11223344 } };
	uint8_t hdr[TCP_HDR_MAX];
	struct ip4 h = { .src = src, .dst = RIG_PEER, .proto = IP_PROTO_TCP, .ttl = 64,
			 .total_len = 1500 };
	struct icmp_msg m = { .type = type, .code = code, .mtu = mtu };

	ip4_emit(&h, quote, IP4_CSUM_FILL);
	tcp_seg_emit(&seg, hdr);
	memcpy(quote + 20, hdr, 8);
	return icmp_emit(&m, quote, sizeof(quote), msg);
}

static const struct {
	uint8_t type, code;
	int err;
	bool hard;
} map[] = {
	{ ICMP_T_UNREACH, ICMP_C_NET, ENETUNREACH, false },
	{ ICMP_T_UNREACH, ICMP_C_HOST, EHOSTUNREACH, false },
	{ ICMP_T_UNREACH, ICMP_C_PROTO, ENOPROTOOPT, true },
	{ ICMP_T_UNREACH, ICMP_C_PORT, ECONNREFUSED, true },
	{ ICMP_T_UNREACH, ICMP_C_FRAG_NEEDED, EMSGSIZE, false },
	{ ICMP_T_UNREACH, ICMP_C_SRC_ROUTE, EOPNOTSUPP, false },
	{ ICMP_T_UNREACH, ICMP_C_NET_UNKNOWN, ENETUNREACH, true },
	{ ICMP_T_UNREACH, ICMP_C_HOST_UNKNOWN, EHOSTDOWN, true },
	{ ICMP_T_UNREACH, 8, ENONET, true },
	{ ICMP_T_UNREACH, ICMP_C_NET_PROHIBITED, ENETUNREACH, true },
	{ ICMP_T_UNREACH, ICMP_C_HOST_PROHIBITED, EHOSTUNREACH, true },
	{ ICMP_T_UNREACH, 11, ENETUNREACH, false },
	{ ICMP_T_UNREACH, 12, EHOSTUNREACH, false },
	{ ICMP_T_UNREACH, ICMP_C_ADMIN_PROHIBITED, EHOSTUNREACH, true },
	{ ICMP_T_UNREACH, 15, EHOSTUNREACH, true },
	{ ICMP_T_TIME_EXCEEDED, ICMP_C_TTL, EHOSTUNREACH, false },
	{ ICMP_T_PARAM, 0, EPROTO, true },
	{ ICMP_T_UNREACH, 16, 0, false },
	{ ICMP_T_UNREACH, 255, 0, false },
	{ ICMP_T_TIME_EXCEEDED, ICMP_C_REASSEMBLY, 0, false },
};

START_TEST(errors_map_as_on_linux)
{
	bool want = map[_i].err != 0;

	ck_assert_int_eq(input(error(map[_i].type, map[_i].code, 1400, RIG_US)), want);
	if (!want)
		return;
	ck_assert_int_eq(e.err, map[_i].err);
	ck_assert_int_eq(e.hard, map[_i].hard);
	ck_assert_uint_eq(e.proto, IP_PROTO_TCP);
	ck_assert_uint_eq(e.local, RIG_US);
	ck_assert_uint_eq(e.remote, RIG_PEER);
	ck_assert_uint_eq(e.lport, 40000);
	ck_assert_uint_eq(e.rport, 80);
	ck_assert_uint_eq(e.tcp_seq, 0x11223344);
	ck_assert_uint_eq(e.mtu, map[_i].err == EMSGSIZE ? 1400 : 0);
}
END_TEST

START_TEST(an_error_about_a_packet_that_is_not_ours_is_dropped)
{
	ck_assert(!input(error(ICMP_T_UNREACH, ICMP_C_PORT, 0, RIG_US + 1)));
	ck_assert_uint_eq(STAT(icmp_drop_bad), 1);
}
END_TEST

START_TEST(unreachable_quotes_the_packet)
{
	uint8_t pkt[100];
	struct ip4_in in;
	struct icmp_msg m;
	uint32_t n = rig_udp(pkt, RIG_PEER, RIG_US, "hello", 5);

	ck_assert_int_eq(ip4_input(&rig.net, &rig.nif, pkt, n, PKT_CSUM_UNKNOWN, true, &in),
			 IP_PROTO_UDP);
	icmp4_send_unreach(&rig.net, &in, ICMP_C_PORT);
	ck_assert_uint_eq(rig.n_sent, 1);
	const uint8_t *p = rig.sent[0].b + 34;
	ck_assert(icmp_csum_ok(p, 8 + n));
	ck_assert_int_eq(icmp_parse(&m, p, 8 + n), 8);
	ck_assert_uint_eq(m.type, ICMP_T_UNREACH);
	ck_assert_uint_eq(m.code, ICMP_C_PORT);
	ck_assert_mem_eq(p + 8, pkt, n);
	ck_assert_uint_eq(STAT(icmp_tx_error), 1);
}
END_TEST

START_TEST(no_error_about_broadcasts_and_later_fragments)
{
	struct ip4_in in = in_of(20);

	in.unicast = false;
	icmp4_send_unreach(&rig.net, &in, ICMP_C_PORT);
	in.unicast = true;
	in.h.frag_off = 8;
	icmp4_send_unreach(&rig.net, &in, ICMP_C_PORT);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

START_TEST(error_rate_is_limited)
{
	struct ip4_in in = in_of(20);

	for (int i = 0; i < ICMP4_ERROR_BURST + 30; i++)
		icmp4_send_unreach(&rig.net, &in, ICMP_C_PORT);
	ck_assert_uint_eq(rig.n_sent, ICMP4_ERROR_BURST);
	ck_assert_uint_eq(STAT(icmp_tx_limited), 30);
	rig.net.now_ns += NSEC_PER_SEC;
	for (int i = 0; i < ICMP4_ERROR_BURST + 30; i++)
		icmp4_send_unreach(&rig.net, &in, ICMP_C_PORT);
	ck_assert_uint_eq(rig.n_sent, 2 * ICMP4_ERROR_BURST);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("icmp4");

	rig_eal();
	tcase_add_checked_fixture(tc, setup, rig_teardown);
	tcase_add_test(tc, echo_is_answered_with_its_data);
	tcase_add_test(tc, odd_and_empty_and_large_echoes_too);
	tcase_add_test(tc, echo_to_broadcast_is_ignored);
	tcase_add_test(tc, echo_rate_is_limited);
	tcase_add_test(tc, a_bad_checksum_is_dropped);
	tcase_add_loop_test(tc, errors_map_as_on_linux, 0, ARRAY_LEN(map));
	tcase_add_test(tc, an_error_about_a_packet_that_is_not_ours_is_dropped);
	tcase_add_test(tc, unreachable_quotes_the_packet);
	tcase_add_test(tc, no_error_about_broadcasts_and_later_fragments);
	tcase_add_test(tc, error_rate_is_limited);
	return unit_run("icmp4", tc);
}
