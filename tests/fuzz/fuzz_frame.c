/* Fuzz target: the input is an Ethernet frame, shown, and given to every parser of wire/. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/checksum.h"
#include "stack/base/util.h"
#include "stack/wire/arp.h"
#include "stack/wire/eth.h"
#include "stack/wire/icmp.h"
#include "stack/wire/ip4.h"
#include "stack/wire/show.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"
#include "tests/fuzz/fuzz.h"

static void parse_upper(const uint8_t *p, uint32_t n)
{
	struct tcp_seg seg;
	struct udp_dgram u;
	struct icmp_msg m;
	int len = tcp_seg_parse(&seg, p, n);

	CHECK(len < 0 || (len >= 20 && (uint32_t)len + seg.len == n));
	len = udp_parse(&u, p, n);
	CHECK(len < 0 || (uint32_t)u.len + UDP_HDR_LEN <= n);
	len = icmp_parse(&m, p, n);
	CHECK(len < 0 || n >= ICMP_HDR_LEN);
	if (len > 0 && icmp_is_error(&m))
		CHECK(n >= ICMP_HDR_LEN + m.orig.ip.hdr_len + (m.orig.has_ports ? 8u : 0u));
	icmp_csum_ok(p, n);
}

static void parse_ip4(const uint8_t *p, uint32_t n)
{
	struct ip4 h, again;
	uint8_t b[IP4_HDR_MIN];
	int len = ip4_parse(&h, p, n);

	if (len < 0)
		return;
	CHECK(len >= 20 && len <= 60 && h.hdr_len == len && h.total_len >= len && h.total_len <= n);
	ip4_csum_ok(p, (uint32_t)len);
	parse_upper(p + len, h.total_len - (uint32_t)len);
	ip4_emit(&h, b, IP4_CSUM_FILL);
	CHECK(ip4_csum_ok(b, IP4_HDR_MIN));
	CHECK(ip4_parse_quoted(&again, b, IP4_HDR_MIN) == IP4_HDR_MIN);
	CHECK(again.src == h.src && again.dst == h.dst && again.total_len == h.total_len);
	CHECK(again.frag_off == h.frag_off && again.more_frags == h.more_frags);
}

static void parse_arp(const uint8_t *p, uint32_t n)
{
	struct arp_pkt a;
	uint8_t b[ARP_LEN];

	if (arp_parse(&a, p, n) < 0)
		return;
	CHECK(arp_emit(&a, b) == ARP_LEN && memcmp(b, p, ARP_LEN) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char text[SHOW_MAX];
	struct eth e;

	if (n > FUZZ_MAX)
		return 0;
	int len = show_frame(p, (uint32_t)n, text, sizeof(text));
	CHECK(len > 0 && len < SHOW_MAX - 1 && strlen(text) == (size_t)len);
	len = eth_parse(&e, p, (uint32_t)n);
	if (len < 0)
		return 0;
	/* Whatever the type field says: a parser may trust nothing before it. */
	parse_arp(p + len, (uint32_t)n - (uint32_t)len);
	parse_ip4(p + len, (uint32_t)n - (uint32_t)len);
	parse_upper(p + len, (uint32_t)n - (uint32_t)len);
	return 0;
}

static uint32_t put_ip4(uint8_t *at, uint8_t proto, uint32_t n)
{
	struct ip4 ip = { .src = 0x0a4d0001, .dst = 0x0a4d0002, .proto = proto, .ttl = 64,
			  .total_len = (uint16_t)(20 + n) };

	return n + ip4_emit(&ip, at, IP4_CSUM_FILL);
}

static uint32_t put_tcp(uint8_t *at)
{
	struct tcp_seg s = { .sport = 80, .dport = 999, .flags = TCPF_SYN, .has_mss = true,
			     .has_ts = true, .has_wscale = true, .sack_ok = true };

	return put_ip4(at, IP_PROTO_TCP, tcp_seg_emit(&s, at + 20));
}

size_t fuzz_example(unsigned i, uint8_t *buf)
{
	struct eth e = { .type = i == 4 ? ETH_TYPE_ARP : ETH_TYPE_IP4, .src = { { 2 } } };
	struct udp_dgram u = { .sport = 53, .dport = 53, .len = 8 };
	struct icmp_msg echo = { .type = ICMP_T_ECHO },
			gone = { .type = ICMP_T_UNREACH, .code = 4 };
	struct arp_pkt arp = { .op = ARP_OP_REQUEST, .sha = { { 2 } }, .spa = 1, .tpa = 2 };
	uint8_t *body = buf + ETH_HDR_LEN, quote[128];

	memset(buf, 0, FUZZ_MAX);
	eth_emit(&e, buf);
	switch (i) {
	case 0:
		return ETH_HDR_LEN + put_tcp(body);
	case 1:
		udp_emit(&u, body + 20);
		return ETH_HDR_LEN + put_ip4(body, IP_PROTO_UDP, 16);
	case 2:
		return ETH_HDR_LEN +
		       put_ip4(body, IP_PROTO_ICMP, icmp_emit(&echo, "0123456", 7, body + 20));
	case 3:
		memset(quote, 0, sizeof(quote));
		return ETH_HDR_LEN + put_ip4(body, IP_PROTO_ICMP,
					     icmp_emit(&gone, quote, put_tcp(quote), body + 20));
	case 4:
		return ETH_HDR_LEN + arp_emit(&arp, body);
	}
	return 0;
}
