/* IPv6 output: headers, next hops, fragments; and reassembly of what was cut. */
// SPDX-License-Identifier: MIT
#include "stack/net/icmp6.h"
#include "stack/net/ip6_frag.h"
#include "tests/unit/net/rig6.h"

static uint8_t data[66000];

static struct ip6_out out_to(const struct ipaddr *dst)
{
	return (struct ip6_out){ .src = RIG6_US, .dst = *dst, .proto = IP_PROTO_UDP };
}

static int send_n(const struct ip6_out *o, uint32_t n)
{
	struct iovec iov = { data, n };

	return ip6_send(&rig.net, o, &iov, 1);
}

START_TEST(a_packet_has_its_headers)
{
	struct ip6_out o = out_to(&RIG6_PEER);
	struct ip6 h;

	rig6_know_peer();
	o.flow = 0x12345;
	o.tclass = 0x2e;
	o.hops = 7;
	ck_assert_int_eq(send_n(&o, 100), 0);
	const uint8_t *p = rig6_sent(0, &h);
	ck_assert(ipaddr_eq(&h.src, &RIG6_US) && ipaddr_eq(&h.dst, &RIG6_PEER));
	ck_assert_uint_eq(h.flow, 0x12345);
	ck_assert_uint_eq(h.tclass, 0x2e);
	ck_assert_uint_eq(h.hops, 7);
	ck_assert_mem_eq(p, data, 100);
	ck_assert_mem_eq(rig.sent[0].b, rig_peer_mac().b, 6);
}
END_TEST

START_TEST(a_stranger_is_reached_by_the_gateway)
{
	struct ipaddr far = a6("2001:db8:1::1");
	struct ip6_out o = out_to(&far);

	rig6_know_peer();
	ck_assert_int_eq(send_n(&o, 1), 0);
	ck_assert_mem_eq(rig.sent[0].b, rig_peer_mac().b, 6);
	ck_assert_uint_eq(rig.sent[0].len, 14 + 41);
}
END_TEST

START_TEST(a_group_has_a_group_address)
{
	struct ipaddr group = a6("ff02::1:2345:6789");
	struct ip6_out o = out_to(&group);

	o.nif = &rig.nif;
	ck_assert_int_eq(send_n(&o, 1), 0);
	ck_assert_mem_eq(rig.sent[0].b, "\x33\x33\x23\x45\x67\x89", 6); /* RFC 2464 7 */
}
END_TEST

START_TEST(without_a_route_there_is_an_error)
{
	struct ipaddr far = a6("2001:db8:1::1"), us = RIG6_US;
	struct ip6_out o = out_to(&far);

	route_init(&rig.routes);
	ck_assert_int_eq(send_n(&o, 1), -ENETUNREACH);
	ck_assert_int_eq(route_add_netif(&rig.routes, &rig.nif), 0);
	o.dst = us;
	ck_assert_int_eq(send_n(&o, 1), -ENETUNREACH);
	ck_assert_uint_eq(STAT(ip6_drop_noroute), 2);
}
END_TEST

START_TEST(what_may_not_be_cut_is_refused)
{
	struct ip6_out o = out_to(&RIG6_PEER);

	rig6_know_peer();
	o.dont_frag = true;
	ck_assert_int_eq(send_n(&o, 1460), 0);
	ck_assert_int_eq(send_n(&o, 1461), -EMSGSIZE);
	o.dont_frag = false;
	ck_assert_int_eq(send_n(&o, 65536), -EMSGSIZE);
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

/* A frame that was sent comes back to us, from the peer. */
static int receive(uint32_t i, struct ip6_in *in)
{
	uint8_t *p = rig.sent[i].b + ETH_HDR_LEN;

	memcpy(p + 8, &RIG6_PEER, 16);
	memcpy(p + 24, &RIG6_US, 16);
	return ip6_input(&rig.net, &rig.nif, p, rig.sent[i].len - ETH_HDR_LEN, true, in);
}

START_TEST(fragments_become_the_packet_again)
{
	static const uint32_t sizes[] = { 1461, 3000, 65535 };
	struct ip6_reass *r = ip6_reass_new(&rig.net, 5);
	struct ip6_out o = out_to(&RIG6_PEER);
	struct ip6_in in;
	bool whole = false;

	rig6_know_peer();
	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 >> 3);
	ck_assert_int_eq(send_n(&o, sizes[_i]), 0);
	uint32_t n = rig.n_sent;
	ck_assert_uint_eq(n, (sizes[_i] + 1447) / 1448);
	for (uint32_t i = n; i-- > 0;) { /* the last one first */
		ck_assert_uint_le(rig.sent[i].len, 1514);
		ck_assert(!whole);
		ck_assert_int_eq(receive(i, &in), IP_PROTO_UDP);
		ck_assert(ip6_is_fragment(&in));
		whole = ip6_reass_input(r, &in);
	}
	ck_assert(whole);
	ck_assert_int_eq(ip6_input_whole(&rig.net, &in), IP_PROTO_UDP);
	ck_assert(in.was_fragment && in.unicast && !ip6_is_fragment(&in));
	ck_assert_uint_eq(in.len, sizes[_i]);
	ck_assert_mem_eq(in.payload, data, sizes[_i]);
	ck_assert_uint_eq(STAT(ip6_frag_ok), 1);
	ck_assert_uint_eq(ip6_reass_blocks(r), 0);
	ip6_reass_free(r);
}
END_TEST

START_TEST(packets_are_never_cut_below_1280)
{
	struct ip6_out o = out_to(&RIG6_PEER);
	struct iovec iov = { data, 1240 };
	struct route tmp;
	const struct route *r = ip6_route(&rig.net, &RIG6_PEER, NULL, &tmp);

	rig6_know_peer();
	ck_assert_int_eq(ip6_send_via(&rig.net, r, 600, &o, &iov, 1), 0); /* RFC 8200 5 */
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

/* A fragment of n bytes at off of datagram 77. */
static bool fragment(struct ip6_reass *r, uint32_t off, uint32_t n, bool more, struct ip6_in *in)
{
	uint8_t body[2048], pkt[2100];

	ip6_emit_frag(IP_PROTO_UDP, off, more, 77, body);
	memcpy(body + 8, data + off, n);
	uint32_t len = rig6_packet(pkt, &RIG6_PEER, &RIG6_US, IP6_FRAGMENT, body, n + 8);
	ck_assert_int_eq(ip6_input(&rig.net, &rig.nif, pkt, len, true, in), IP_PROTO_UDP);
	return ip6_reass_input(r, in);
}

START_TEST(an_overlap_ends_the_packet)
{
	struct ip6_reass *r = ip6_reass_new(&rig.net, 5);
	struct ip6_in in;

	/* RFC 5722: all of it, also what is still to come */
	ck_assert(!fragment(r, 0, 80, true, &in));
	ck_assert(!fragment(r, 72, 80, true, &in));
	ck_assert(!fragment(r, 80, 80, false, &in));
	ck_assert(!fragment(r, 0, 80, true, &in));
	ck_assert_uint_eq(STAT(ip6_frag_drop_overlap), 1);
	ck_assert_uint_eq(ip6_reass_blocks(r), 0);
	ip6_reass_free(r);
}
END_TEST

START_TEST(who_waits_in_vain_says_so)
{
	struct ip6_reass *r = ip6_reass_new(&rig.net, 5);
	struct ip6_in in;
	struct ip6 h;

	rig6_know_peer();
	for (uint32_t i = 0; i < 2; i++) {
		/* RFC 8200 4.5: only if the first fragment has come */
		ck_assert(!fragment(r, i ? 0 : 80, 80, true, &in));
		rig.net.now_ns += 59 * NSEC_PER_SEC;
		ip6_reass_advance(r, rig.net.now_ns);
		ck_assert_uint_eq(STAT(ip6_frag_drop_timeout), i);
		rig.net.now_ns += 1 * NSEC_PER_SEC;
		ip6_reass_advance(r, rig.net.now_ns);
		ck_assert_uint_eq(STAT(ip6_frag_drop_timeout), i + 1);
		ck_assert_uint_eq(rig.n_sent, i);
	}
	const uint8_t *m = rig6_sent(0, &h);
	ck_assert_int_eq(m[0], ICMP6_T_TIME_EXCEEDED);
	ck_assert_int_eq(m[1], ICMP6_C_REASSEMBLY);
	ip6_reass_free(r);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ip6_output");

	rig_eal();
	tcase_add_checked_fixture(tc, rig6_setup, rig_teardown);
	tcase_add_test(tc, a_packet_has_its_headers);
	tcase_add_test(tc, a_stranger_is_reached_by_the_gateway);
	tcase_add_test(tc, a_group_has_a_group_address);
	tcase_add_test(tc, without_a_route_there_is_an_error);
	tcase_add_test(tc, what_may_not_be_cut_is_refused);
	tcase_add_loop_test(tc, fragments_become_the_packet_again, 0, 3);
	tcase_add_test(tc, packets_are_never_cut_below_1280);
	tcase_add_test(tc, an_overlap_ends_the_packet);
	tcase_add_test(tc, who_waits_in_vain_says_so);
	return unit_run("ip6_output", tc);
}
