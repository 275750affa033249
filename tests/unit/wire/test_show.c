/* Frames as text: one line for each protocol, damaged frames, short buffers. */
// SPDX-License-Identifier: MIT
#include "stack/wire/show.h"
#include <string.h>
#include "stack/base/checksum.h"
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "stack/wire/arp.h"
#include "stack/wire/icmp.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"
#include "tests/unit/unit.h"

static uint8_t frame[256];
static char text[SHOW_MAX];

static const struct ip4 ip_template = {
	.src = 0x0a4d0001, .dst = 0x0a4d0002, .ttl = 64, .hdr_len = 20
};

static void eth_start(uint16_t type)
{
	struct eth e = { .dst = eth_addr_broadcast(),
			 .src = { { 2, 0, 0, 0, 0, 1 } },
			 .type = type };

	memset(frame, 0, sizeof(frame));
	eth_emit(&e, frame);
}

/* An IPv4 frame around n bytes already at frame + 34; the checksum of proto goes to csum_at. */
static uint32_t ip4_finish(uint8_t proto, uint32_t n, int csum_at)
{
	struct ip4 ip = ip_template;
	struct ipaddr src = ipaddr_v4(ip.src), dst = ipaddr_v4(ip.dst);

	ip.proto = proto;
	ip.total_len = (uint16_t)(20 + n);
	ip4_emit(&ip, frame + 14, IP4_CSUM_FILL);
	if (csum_at >= 0) {
		uint16_t c = csum_fold(csum_add(csum_pseudo(&src, &dst, proto, n), frame + 34, n));
		memcpy(frame + 34 + csum_at, &c, 2);
	}
	return 34 + n;
}

static void check_shows(uint32_t n, const char *want)
{
	ck_assert_int_eq(show_frame(frame, n, text, sizeof(text)), (int)strlen(text));
	ck_assert_str_eq(text, want);
}

static uint32_t tcp_frame(void)
{
	struct tcp_seg s = { .sport = 40000,
			     .dport = 80,
			     .flags = TCPF_SYN,
			     .seq = { 1 },
			     .wnd = 512,
			     .has_mss = true,
			     .mss = 1460 };

	eth_start(ETH_TYPE_IP4);
	return ip4_finish(IP_PROTO_TCP, tcp_seg_emit(&s, frame + 34), 16);
}

START_TEST(a_tcp_segment_shows_addresses_ports_and_options)
{
	uint32_t n = tcp_frame();

	check_shows(n, "10.77.0.1.40000 > 10.77.0.2.80: TCP S 1:1(0) win 512 <mss 1460>");
	frame[35] ^= 1;
	check_shows(n, "10.77.0.1.40001 > 10.77.0.2.80: TCP S 1:1(0) win 512 <mss 1460> bad csum");
	frame[35] ^= 1;
	frame[14 + 8]--;
	check_shows(n,
		    "10.77.0.1.40000 > 10.77.0.2.80: TCP S 1:1(0) win 512 <mss 1460> bad ip csum");
	ck_assert_int_gt(show_ip4(frame + 14, n - 14, text, sizeof(text)), 0);
	ck_assert_int_eq(strncmp(text, "10.77.0.1.40000 > ", 18), 0);
}
END_TEST

START_TEST(arp_shows_who_asks_and_who_answers)
{
	struct arp_pkt a = { .op = ARP_OP_REQUEST,
			     .sha = { { 2, 0, 0, 0, 0, 1 } },
			     .spa = 0x0a4d0001,
			     .tpa = 0x0a4d0002 };

	eth_start(ETH_TYPE_ARP);
	arp_emit(&a, frame + 14);
	check_shows(60, "ARP who-has 10.77.0.2 tell 10.77.0.1 (02:00:00:00:00:01)");
	a.op = ARP_OP_REPLY;
	arp_emit(&a, frame + 14);
	check_shows(60, "ARP reply 10.77.0.1 is-at 02:00:00:00:00:01");
	check_shows(41, "ARP malformed (27)");
}
END_TEST

START_TEST(udp_shows_its_payload_length)
{
	struct udp_dgram u = { .sport = 5353, .dport = 53, .len = 3 };

	eth_start(ETH_TYPE_IP4);
	udp_emit(&u, frame + 34);
	check_shows(ip4_finish(IP_PROTO_UDP, 11, -1), "10.77.0.1.5353 > 10.77.0.2.53: UDP 3");
	check_shows(ip4_finish(IP_PROTO_UDP, 11, 6), "10.77.0.1.5353 > 10.77.0.2.53: UDP 3");
	frame[40] ^= 1;
	check_shows(45, "10.77.0.1.5353 > 10.77.0.2.53: UDP 3 bad csum");
	check_shows(ip4_finish(IP_PROTO_UDP, 7, -1), "10.77.0.1 > 10.77.0.2: UDP malformed (7)");
}
END_TEST

START_TEST(icmp_shows_what_an_error_is_about)
{
	struct icmp_msg m = { .type = ICMP_T_ECHO, .id = 7, .seq = 1 };
	uint8_t quote[28];

	tcp_frame();
	memcpy(quote, frame + 14, sizeof(quote));
	eth_start(ETH_TYPE_IP4);
	icmp_emit(&m, "ping", 4, frame + 34);
	check_shows(ip4_finish(IP_PROTO_ICMP, 12, -1),
		    "10.77.0.1 > 10.77.0.2: ICMP echo request id 7 seq 1 (4)");
	m = (struct icmp_msg){ .type = ICMP_T_UNREACH, .code = ICMP_C_FRAG_NEEDED, .mtu = 1400 };
	icmp_emit(&m, quote, sizeof(quote), frame + 34);
	check_shows(ip4_finish(IP_PROTO_ICMP, 36, -1),
		    "10.77.0.1 > 10.77.0.2: ICMP fragmentation needed, mtu 1400, about "
		    "10.77.0.1.40000 > 10.77.0.2.80 TCP seq 1");
	m = (struct icmp_msg){ .type = ICMP_T_TIME_EXCEEDED, .code = ICMP_C_TTL };
	quote[9] = 99;
	icmp_emit(&m, quote, sizeof(quote), frame + 34);
	check_shows(
		ip4_finish(IP_PROTO_ICMP, 36, -1),
		"10.77.0.1 > 10.77.0.2: ICMP time exceeded, code 0, about 10.77.0.1 > 10.77.0.2 "
		"proto 99");
	check_shows(ip4_finish(IP_PROTO_ICMP, 20, -1),
		    "10.77.0.1 > 10.77.0.2: ICMP malformed (20)");
}
END_TEST

START_TEST(fragments_and_other_protocols_are_named)
{
	struct ip4 ip = ip_template;

	eth_start(ETH_TYPE_IP4);
	ip.proto = IP_PROTO_TCP;
	ip.total_len = 28;
	ip.frag_off = 1480;
	ip.more_frags = true;
	ip.id = 5;
	ip4_emit(&ip, frame + 14, IP4_CSUM_FILL);
	check_shows(42, "10.77.0.1 > 10.77.0.2: proto 6 fragment id 5 1480+8 more");
	check_shows(ip4_finish(132, 30, -1), "10.77.0.1 > 10.77.0.2: proto 132 (30)");
	eth_start(0x88cc);
	check_shows(60, "02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff type 0x88cc (46)");
}
END_TEST

START_TEST(damaged_frames_say_how_far_they_parse)
{
	uint32_t n = tcp_frame();

	check_shows(13, "frame malformed (13)");
	check_shows(33, "IPv4 malformed (19)");
	check_shows(n - 1, "IPv4 malformed (43)");
	frame[34 + 12] = 0x40;
	check_shows(n, "10.77.0.1 > 10.77.0.2: TCP malformed (24)");
}
END_TEST

START_TEST(a_short_buffer_cuts_the_line_and_stays_terminated)
{
	uint32_t n = tcp_frame();

	for (int size = 1; size < 80; size++) {
		memset(text, 'z', sizeof(text));
		int len = show_frame(frame, n, text, size);
		ck_assert(len < size && strlen(text) == (size_t)len && text[size] == 'z');
	}
}
END_TEST

START_TEST(the_longest_line_fits_show_max)
{
	struct tcp_seg s = { .sport = 65535, .dport = 65535, .flags = 0xff, .seq = { 0xfffffff0 },
			     .ack = { 0xfffffff0 }, .wnd = 65535, .urg = 65535, .n_sack = 4 };

	for (int i = 0; i < 4; i++)
		s.sack[i] = (struct tcp_sack_block){ { 0xffffffff }, { 0xffffffff } };
	eth_start(ETH_TYPE_IP4);
	uint32_t n = ip4_finish(IP_PROTO_TCP, tcp_seg_emit(&s, frame + 34), -1);
	ck_assert_int_lt(show_frame(frame, n, text, sizeof(text)), SHOW_MAX / 2);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("show");

	tcase_add_test(tc, a_tcp_segment_shows_addresses_ports_and_options);
	tcase_add_test(tc, arp_shows_who_asks_and_who_answers);
	tcase_add_test(tc, udp_shows_its_payload_length);
	tcase_add_test(tc, icmp_shows_what_an_error_is_about);
	tcase_add_test(tc, fragments_and_other_protocols_are_named);
	tcase_add_test(tc, damaged_frames_say_how_far_they_parse);
	tcase_add_test(tc, a_short_buffer_cuts_the_line_and_stays_terminated);
	tcase_add_test(tc, the_longest_line_fits_show_max);
	return unit_run("wire/show", tc);
}
