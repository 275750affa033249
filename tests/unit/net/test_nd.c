/* ICMPv6 echo and errors (RFC 4443), and neighbour discovery (RFC 4861 7) as packets. */
// SPDX-License-Identifier: MIT
#include "stack/net/icmp6.h"
#include "stack/net/nd.h"
#include "tests/unit/net/rig6.h"

static uint8_t pkt[4096], msg[2048];
static struct ip6_in in;
static struct icmp6_error err;
static struct nd_msg nd;

/* An ICMPv6 message of n bytes in msg arrives. */
static void arrives(const struct ipaddr *src, const struct ipaddr *dst, uint8_t hops, uint32_t n)
{
	uint32_t len = rig6_icmp(pkt, src, dst, hops, msg, n);

	ck_assert_int_eq(ip6_input(&rig.net, &rig.nif, pkt, len, true, &in), IP_PROTO_ICMP6);
}

static bool icmp_arrives(const struct ipaddr *src, const struct ipaddr *dst, uint32_t n)
{
	arrives(src, dst, 64, n);
	return icmp6_input(&rig.net, &in, &err);
}

static bool nd_arrives(const struct ipaddr *src, const struct ipaddr *dst, const struct nd_msg *m)
{
	arrives(src, dst, 255, nd_emit(m, msg));
	return nd_input(&rig.net, &in, ND_ANSWER, &nd);
}

/* ---- echo ---- */
static uint32_t make_echo(uint32_t n)
{
	memset(msg, 0, 8);
	msg[0] = ICMP6_T_ECHO;
	store_be32(msg + 4, 0x12345678);
	memset(msg + 8, 'e', n);
	return 8 + n;
}

START_TEST(an_echo_request_is_answered)
{
	struct ip6 h;

	rig6_know_peer();
	ck_assert(!icmp_arrives(&RIG6_PEER, &RIG6_US, make_echo(1400)));
	const uint8_t *m = rig6_sent(0, &h);
	ck_assert(ipaddr_eq(&h.src, &RIG6_US) && ipaddr_eq(&h.dst, &RIG6_PEER));
	ck_assert_int_eq(m[0], ICMP6_T_ECHO_REPLY);
	ck_assert_mem_eq(m + 4, msg + 4, 1404);
	ck_assert_uint_eq(STAT(icmp6_rx_echo), 1);
}
END_TEST

START_TEST(one_to_all_nodes_gets_the_address_of_the_link)
{
	const struct ipaddr all = ip6_link_group(1);
	struct ip6 h;

	rig6_know_peer();
	icmp_arrives(&RIG6_PEER_LL, &all, make_echo(8));
	rig6_sent(0, &h);
	ck_assert(ipaddr_eq(&h.src, &RIG6_LL)); /* RFC 6724 5 rule 2 */
}
END_TEST

START_TEST(a_wrong_checksum_is_not_answered)
{
	uint32_t len = rig6_icmp(pkt, &RIG6_PEER, &RIG6_US, 64, msg, make_echo(8));

	pkt[45] ^= 1;
	ck_assert_int_eq(ip6_input(&rig.net, &rig.nif, pkt, len, true, &in), IP_PROTO_ICMP6);
	ck_assert(!icmp6_input(&rig.net, &in, &err));
	ck_assert_uint_eq(STAT(icmp6_drop_bad), 1);
	ck_assert_uint_eq(rig.n_sent, 0);
}
END_TEST

/* ---- errors ---- */
static const struct {
	uint8_t type, code;
	uint32_t word;
	int err;
	bool hard;
} errors[] = {
	{ ICMP6_T_UNREACH, 0, 0, ENETUNREACH, false },
	{ ICMP6_T_UNREACH, 1, 0, EACCES, true },
	{ ICMP6_T_UNREACH, 2, 0, EHOSTUNREACH, false },
	{ ICMP6_T_UNREACH, 3, 0, EHOSTUNREACH, false },
	{ ICMP6_T_UNREACH, 4, 0, ECONNREFUSED, true },
	{ ICMP6_T_UNREACH, 5, 0, EACCES, true },
	{ ICMP6_T_UNREACH, 6, 0, EACCES, true },
	{ ICMP6_T_UNREACH, 7, 0, EPROTO, true },
	{ ICMP6_T_TOO_BIG, 0, 1300, EMSGSIZE, false },
	{ ICMP6_T_TIME_EXCEEDED, 0, 0, EHOSTUNREACH, false },
	{ ICMP6_T_TIME_EXCEEDED, 1, 0, EHOSTUNREACH, false },
	{ ICMP6_T_PARAM, 1, 40, EPROTO, true },
	{ 100, 0, 0, EPROTO, true },
};

START_TEST(errors_are_mapped_as_by_linux)
{
	uint8_t quote[1000];
	uint32_t n = rig6_udp(quote, &RIG6_US, &RIG6_PEER, "lost", 4);

	icmp6_emit(&RIG6_PEER, &RIG6_US, errors[_i].type, errors[_i].code, errors[_i].word, quote, n,
		   msg);
	ck_assert(icmp_arrives(&RIG6_PEER, &RIG6_US, 8 + n));
	ck_assert_int_eq(err.err, errors[_i].err);
	ck_assert_int_eq(err.hard, errors[_i].hard);
	ck_assert_uint_eq(err.info, errors[_i].word);
	ck_assert_uint_eq(err.mtu, errors[_i].type == ICMP6_T_TOO_BIG ? errors[_i].word : 0);
	ck_assert(err.proto == IP_PROTO_UDP && err.lport == 1111 && err.rport == 2222);
	ck_assert(ipaddr_eq(&err.remote, &RIG6_PEER) && ipaddr_eq(&err.local, &RIG6_US));
	ck_assert_uint_eq(err.len, 4);
	ck_assert_mem_eq(err.p, "lost", 4);
}
END_TEST

START_TEST(an_error_about_what_we_never_sent_is_dropped)
{
	uint8_t quote[1000];
	uint32_t n = rig6_udp(quote, &RIG6_PEER, &RIG6_US, "lost", 4);

	icmp6_emit(&RIG6_PEER, &RIG6_US, ICMP6_T_UNREACH, 4, 0, quote, n, msg);
	ck_assert(!icmp_arrives(&RIG6_PEER, &RIG6_US, 8 + n));
	ck_assert_uint_eq(STAT(icmp6_drop_bad), 1);
}
END_TEST

START_TEST(a_closed_port_is_told_within_1280_bytes)
{
	static uint8_t big[1400];
	struct ip6 h;

	rig6_know_peer();
	uint32_t n = rig6_udp(pkt, &RIG6_PEER, &RIG6_US, big, sizeof(big));
	ck_assert_int_eq(ip6_input(&rig.net, &rig.nif, pkt, n, true, &in), IP_PROTO_UDP);
	icmp6_send_unreach(&rig.net, &in, ICMP6_C_PORT);
	const uint8_t *m = rig6_sent(0, &h);
	ck_assert_uint_eq(h.payload_len, 1240); /* RFC 4443 2.4 (c) */
	ck_assert_int_eq(m[0], ICMP6_T_UNREACH);
	ck_assert_mem_eq(m + 8, pkt, 1232);
}
END_TEST

START_TEST(errors_are_not_sent_about_errors_groups_and_nobody)
{
	const struct ipaddr all = ip6_link_group(1);
	uint32_t n;

	rig6_know_peer();
	/* RFC 4443 2.4 (e): 1, 3 and 6 */
	icmp6_emit(&RIG6_PEER, &RIG6_US, ICMP6_T_UNREACH, 4, 0, pkt, 0, msg);
	arrives(&RIG6_PEER, &RIG6_US, 64, 8);
	icmp6_send_unreach(&rig.net, &in, ICMP6_C_PORT);
	n = rig6_udp(pkt, &RIG6_PEER, &all, "x", 1);
	ck_assert_int_eq(ip6_input(&rig.net, &rig.nif, pkt, n, false, &in), IP_PROTO_UDP);
	icmp6_send_unreach(&rig.net, &in, ICMP6_C_PORT);
	ck_assert_uint_eq(rig.n_sent, 0);
	/* a parameter problem of code 2 is: exception to 3 */
	icmp6_send_param(&rig.net, &in,
			 &(struct ip6_param){ .code = ICMP6_C_OPTION, .multicast_too = true });
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(errors_are_rationed)
{
	rig6_know_peer();
	uint32_t n = rig6_udp(pkt, &RIG6_PEER, &RIG6_US, "x", 1);
	ck_assert_int_eq(ip6_input(&rig.net, &rig.nif, pkt, n, true, &in), IP_PROTO_UDP);
	for (int i = 0; i < 200; i++)
		icmp6_send_unreach(&rig.net, &in, ICMP6_C_PORT);
	ck_assert_uint_eq(STAT(icmp6_tx_error), 50);
	ck_assert_uint_eq(STAT(icmp6_tx_limited), 150); /* RFC 4443 2.4 (f) */
}
END_TEST

/* ---- neighbours ---- */
static struct nd_msg ns_for(const struct ipaddr *target)
{
	return (struct nd_msg){ .type = ICMP6_T_ND_NS, .target = *target, .has_slla = true,
				.slla = rig_peer_mac() };
}

START_TEST(who_asks_for_us_is_answered_and_learned)
{
	const struct nd_msg q = ns_for(&RIG6_US);
	const struct ipaddr group = ip6_solicited_node(&RIG6_US);
	struct nd_msg a;
	struct eth_addr mac;
	struct ip6 h;

	ck_assert(nd_arrives(&RIG6_PEER, &group, &q));
	const uint8_t *m = rig6_sent(0, &h);
	ck_assert_int_eq(nd_parse(&a, m, h.payload_len), 0);
	ck_assert_int_eq(a.type, ICMP6_T_ND_NA);
	ck_assert(a.solicited && a.override && !a.router && a.has_tlla);
	ck_assert(ipaddr_eq(&a.target, &RIG6_US) && ipaddr_eq(&h.dst, &RIG6_PEER));
	ck_assert_mem_eq(&a.tlla, rig.nif.mac, 6);
	ck_assert_uint_eq(h.hops, 255);
	ck_assert(neigh_resolve(rig.net.neigh, &rig.nif, &RIG6_PEER, NULL, &mac, rig.net.now_ns));
}
END_TEST

START_TEST(who_looks_for_our_address_hears_that_it_is_taken)
{
	struct nd_msg q = ns_for(&RIG6_US), a;
	const struct ipaddr group = ip6_solicited_node(&RIG6_US), all = ip6_link_group(1);
	const struct ipaddr any = { 0 };
	struct ip6 h;

	q.has_slla = false;
	ck_assert(nd_arrives(&any, &group, &q));
	const uint8_t *m = rig6_sent(0, &h);
	ck_assert_int_eq(nd_parse(&a, m, h.payload_len), 0);
	ck_assert(!a.solicited && ipaddr_eq(&h.dst, &all)); /* RFC 4861 7.2.4 */
}
END_TEST

START_TEST(an_optimistic_address_overrides_nobody)
{
	const struct nd_msg q = ns_for(&RIG6_US);
	const struct ipaddr group = ip6_solicited_node(&RIG6_US);
	struct nd_msg a;
	struct ip6 h;

	rig.nif.addr[1].flags = NETIF_ADDR_OPTIMISTIC;
	ck_assert(nd_arrives(&RIG6_PEER, &group, &q));
	const uint8_t *m = rig6_sent(0, &h);
	ck_assert_int_eq(nd_parse(&a, m, h.payload_len), 0);
	ck_assert(!a.override); /* RFC 4429 3.3 */
	nd_solicit(&rig.net, &rig.nif, &RIG6_PEER, NULL);
	m = rig6_sent(1, &h);
	ck_assert_int_eq(nd_parse(&a, m, h.payload_len), 0);
	ck_assert(!a.has_slla); /* 3.2 */
}
END_TEST

/* RFC 4861 7.1.1 and 7.1.2, RFC 6980 */
enum how {
	WELL, HOPS, CODE, SHORT, OPT0, GROUP, DAD_SLLA, DAD_UNICAST, NA_SOLICITED_GROUP, FRAG, CSUM,
	HOWS
};

START_TEST(bad_messages_are_not_heard)
{
	struct ipaddr src = RIG6_PEER, dst = RIG6_US;
	struct nd_msg q = ns_for(&RIG6_US);
	uint8_t hops = 255, body[100];
	uint32_t n;

	rig6_know_peer();
	if (_i == DAD_SLLA || _i == DAD_UNICAST)
		src = (struct ipaddr){ 0 };
	q.has_slla = _i != DAD_UNICAST;
	if (_i == DAD_SLLA)
		dst = ip6_solicited_node(&RIG6_US);
	if (_i == NA_SOLICITED_GROUP) {
		q = (struct nd_msg){ .type = ICMP6_T_ND_NA, .target = RIG6_PEER, .solicited = true };
		dst = ip6_link_group(1);
	}
	if (_i == GROUP)
		q.target = ip6_link_group(1);
	n = nd_emit(&q, msg);
	hops -= _i == HOPS;
	msg[1] = _i == CODE;
	if (_i == OPT0)
		msg[25] = 0;
	if (_i == SHORT)
		n = 20;
	uint32_t len = rig6_icmp(pkt, &src, &dst, hops, msg, n);
	if (_i == CSUM)
		pkt[42] ^= 1;
	if (_i == FRAG) {
		ip6_emit_frag(IP_PROTO_ICMP6, 0, false, 1, body);
		memcpy(body + 8, pkt + 40, n);
		len = rig6_packet(pkt, &src, &dst, IP6_FRAGMENT, body, n + 8);
		pkt[7] = 255;
	}
	int proto = ip6_input(&rig.net, &rig.nif, pkt, len, true, &in);
	if (_i == DAD_UNICAST) {
		ck_assert_int_eq(proto, -1);
		return;
	}
	ck_assert_int_eq(proto, IP_PROTO_ICMP6);
	ck_assert_msg(nd_input(&rig.net, &in, ND_ANSWER, &nd) == (_i == WELL), "case %d", _i);
	ck_assert_uint_eq(STAT(nd_drop_bad), _i != WELL);
	ck_assert_uint_eq(rig.n_sent, _i == WELL);
}
END_TEST

START_TEST(a_group_is_no_link_address)
{
	static const uint8_t bad[][6] = { { 0 }, { 0x33, 0x33, 0, 0, 0, 1 },
					  { 255, 255, 255, 255, 255, 255 } };
	struct nd_msg q = ns_for(&RIG6_US);

	rig6_know_peer();
	memcpy(&q.slla, bad[_i], 6);
	ck_assert(nd_arrives(&RIG6_PEER, &RIG6_US, &q));
	ck_assert(!nd.has_slla);
	ck_assert_mem_eq(rig.sent[0].b, rig_peer_mac().b, 6);
}
END_TEST

/* RFC 4861 8.1: from where, about whom, to whom; whether the first hop says so is the question here, not
 * whether it is obeyed. */
static const struct {
	const char *router, *dst, *target;
	bool good;
} redirects[] = {
	{ "fe80::1", "2001:db9::7", "fe80::5", true },
	{ "fe80::1", "2001:db9::7", "2001:db9::7", true },
	{ "fe80::2222", "2001:db9::7", "fe80::5", false },   /* not our router */
	{ "2001:db8::1", "2001:db9::7", "fe80::5", false },  /* not an address of the link */
	{ "fe80::1", "ff02::1", "fe80::5", false },
	{ "fe80::1", "2001:db8::7", "fe80::5", false },	     /* it is no hop on the way there */
	{ "fe80::1", "fe80::7", "fe80::5", false },
	{ "fe80::1", "2001:db9::7", "2001:db9::8", false },
	{ "fe80::1", "2001:db9::7", "fe80::2", false },	     /* to ourselves */
};

START_TEST(redirects_come_from_the_router_in_use)
{
	uint8_t m[40] = { ICMP6_T_ND_REDIRECT };
	struct ipaddr from = a6(redirects[_i].router), dst = a6(redirects[_i].dst);
	struct ipaddr target = a6(redirects[_i].target), gw = RIG6_PEER_LL;

	route_init(&rig.routes);
	ck_assert_int_eq(route_add_netif(&rig.routes, &rig.nif), 0);
	ck_assert_int_eq(route_add_gateway(&rig.routes, &gw), 0);
	memcpy(m + 8, &target, 16);
	memcpy(m + 24, &dst, 16);
	memcpy(msg, m, 40);
	arrives(&from, &RIG6_US, 255, 40);
	bool ok = nd_input(&rig.net, &in, ND_ANSWER, &nd);
	ck_assert_int_eq(ok, redirects[_i].good);
	ck_assert_uint_eq(STAT(nd_redirect_ignored) + STAT(nd_drop_bad), !ok);
	ck_assert_uint_eq(neigh_count(rig.net.neigh), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("nd");

	rig_eal();
	tcase_add_checked_fixture(tc, rig6_setup, rig_teardown);
	tcase_add_test(tc, an_echo_request_is_answered);
	tcase_add_test(tc, one_to_all_nodes_gets_the_address_of_the_link);
	tcase_add_test(tc, a_wrong_checksum_is_not_answered);
	tcase_add_loop_test(tc, errors_are_mapped_as_by_linux, 0, ARRAY_LEN(errors));
	tcase_add_test(tc, an_error_about_what_we_never_sent_is_dropped);
	tcase_add_test(tc, a_closed_port_is_told_within_1280_bytes);
	tcase_add_test(tc, errors_are_not_sent_about_errors_groups_and_nobody);
	tcase_add_test(tc, errors_are_rationed);
	tcase_add_test(tc, who_asks_for_us_is_answered_and_learned);
	tcase_add_test(tc, who_looks_for_our_address_hears_that_it_is_taken);
	tcase_add_test(tc, an_optimistic_address_overrides_nobody);
	tcase_add_loop_test(tc, bad_messages_are_not_heard, 0, HOWS);
	tcase_add_loop_test(tc, a_group_is_no_link_address, 0, 3);
	tcase_add_loop_test(tc, redirects_come_from_the_router_in_use, 0, ARRAY_LEN(redirects));
	return unit_run("nd", tc);
}
