/* IPv6 for the rig. */
// SPDX-License-Identifier: MIT
#include "tests/unit/net/rig6.h"
#include <arpa/inet.h>
#include "stack/base/checksum.h"
#include "stack/wire/udp.h"

const struct ipaddr rig6_us = { .b = { 0x20, 1, 0x0d, 0xb8, [15] = 2 } };
const struct ipaddr rig6_ll = { .b = { 0xfe, 0x80, [15] = 2 } };
const struct ipaddr rig6_peer = { .b = { 0x20, 1, 0x0d, 0xb8, [15] = 1 } };
const struct ipaddr rig6_peer_ll = { .b = { 0xfe, 0x80, [15] = 1 } };

struct ipaddr a6(const char *text)
{
	struct ipaddr a;

	ck_assert_int_eq(inet_pton(AF_INET6, text, a.b), 1);
	return a;
}

void rig6_add(void)
{
	struct ipaddr gw = RIG6_PEER;

	rig.nif.addr[rig.nif.n_addrs++] = (struct netif_addr){ .addr = RIG6_US, .plen = 64 };
	rig.nif.addr[rig.nif.n_addrs++] = (struct netif_addr){ .addr = RIG6_LL, .plen = 64 };
	route_init(&rig.routes);
	ck_assert_int_eq(route_add_netif(&rig.routes, &rig.nif), 0);
	ck_assert_int_eq(route_add_gateway(&rig.routes, &gw), 0);
}

void rig6_setup(void)
{
	rig_setup();
	rig6_add();
}

void rig6_know_peer(void)
{
	const struct ipaddr peers[] = { RIG6_PEER, RIG6_PEER_LL };

	for (uint32_t i = 0; i < ARRAY_LEN(peers); i++)
		neigh_learn(rig.net.neigh, &rig.nif, &peers[i], rig_peer_mac(), NEIGH_HEARD_REQUEST,
			    rig.net.now_ns);
}

uint32_t rig6_packet(void *p, const struct ipaddr *src, const struct ipaddr *dst, uint8_t next,
		     const void *payload, uint32_t n)
{
	const struct ip6 h = { .src = *src, .dst = *dst, .next = next, .hops = 64,
			       .payload_len = (uint16_t)n };

	ip6_emit(&h, p);
	memcpy((uint8_t *)p + IP6_HDR_LEN, payload, n);
	return IP6_HDR_LEN + n;
}

uint32_t rig6_udp(void *p, const struct ipaddr *src, const struct ipaddr *dst, const void *data,
		  uint16_t n)
{
	const struct udp_dgram u = { .sport = 1111, .dport = 2222, .len = n };
	uint8_t b[2048];
	uint32_t len = udp_emit(&u, b) + n;

	memcpy(b + UDP_HDR_LEN, data, n);
	udp_store_csum(b, csum_fold(csum_add(csum_pseudo(src, dst, IP_PROTO_UDP, len), b, len)));
	return rig6_packet(p, src, dst, IP_PROTO_UDP, b, len);
}

uint32_t rig6_icmp(void *p, const struct ipaddr *src, const struct ipaddr *dst, uint8_t hops,
		   const void *msg, uint32_t n)
{
	uint32_t len = rig6_packet(p, src, dst, IP_PROTO_ICMP6, msg, n);
	uint8_t *b = p;

	b[7] = hops;
	icmp6_put_csum(src, dst, b + IP6_HDR_LEN, n);
	return len;
}

const uint8_t *rig6_sent(uint32_t i, struct ip6 *h)
{
	const struct rig_frame *f = &rig.sent[i];
	struct eth eth;

	ck_assert_uint_lt(i, rig.n_sent);
	ck_assert_int_eq(eth_parse(&eth, f->b, f->len), ETH_HDR_LEN);
	ck_assert_uint_eq(eth.type, ETH_TYPE_IP6);
	ck_assert_int_eq(ip6_parse(h, f->b + ETH_HDR_LEN, f->len - ETH_HDR_LEN), IP6_HDR_LEN);
	ck_assert_uint_eq((uint32_t)h->payload_len + IP6_HDR_LEN + ETH_HDR_LEN, f->len);
	if (h->next == IP_PROTO_ICMP6)
		ck_assert(icmp6_csum_ok(&h->src, &h->dst, f->b + ETH_HDR_LEN + IP6_HDR_LEN,
					h->payload_len));
	return f->b + ETH_HDR_LEN + IP6_HDR_LEN;
}
