/* Route table: longest prefix, sources, what the addresses of a port imply. */
// SPDX-License-Identifier: MIT
#include "stack/net/route.h"
#include <errno.h>
#include "tests/unit/unit.h"

static struct netif eth0 = { .name = "eth0", .mtu = 1500, .index = 0 };
static struct netif eth1 = { .name = "eth1", .mtu = 9000, .index = 1 };
static struct route_table t;

static struct netif_addr addr_of(const char *text)
{
	struct netif_addr a;

	ck_assert_int_eq(route_parse_prefix(text, &a.addr, &a.plen), 0);
	return a;
}

static struct ipaddr ip(const char *text) { return addr_of(text).addr; }

static void setup(void)
{
	memset(&t, 0xa5, sizeof(t));
	route_init(&t);
	eth0.n_addrs = 2;
	eth0.addr[0] = addr_of("10.77.0.2/24");
	eth0.addr[1] = addr_of("10.77.0.3/24");
	eth1.n_addrs = 1;
	eth1.addr[0] = addr_of("192.168.5.1/16");
	ck_assert_int_eq(route_add_netif(&t, &eth0), 0);
	ck_assert_int_eq(route_add_netif(&t, &eth1), 0);
}

static const struct route *look(const char *dst)
{
	struct ipaddr a = ip(dst);

	return route_lookup(&t, &a);
}

START_TEST(own_addresses_are_local)
{
	struct ipaddr a = ip("10.77.0.3"), b = ip("10.77.0.4");

	ck_assert_int_eq(look("10.77.0.2")->kind, ROUTE_LOCAL);
	ck_assert(route_is_local(&t, &a));
	ck_assert(!route_is_local(&t, &b));
}
END_TEST

START_TEST(subnet_is_on_link_with_its_broadcast)
{
	const struct route *r = look("10.77.0.200");

	ck_assert_int_eq(r->kind, ROUTE_ONLINK);
	ck_assert_ptr_eq(r->nif, &eth0);
	ck_assert_int_eq(look("10.77.0.255")->kind, ROUTE_BROADCAST);
	ck_assert_ptr_eq(look("192.168.77.7")->nif, &eth1);
	ck_assert_int_eq(look("192.168.255.255")->kind, ROUTE_BROADCAST);
}
END_TEST

START_TEST(elsewhere_needs_a_gateway)
{
	struct ipaddr gw = ip("10.77.0.1"), far = ip("8.8.8.8"), dst = ip("1.2.3.4"), src;

	ck_assert_ptr_null(look("8.8.8.8"));
	ck_assert(!route_source(&t, &dst, &src));
	ck_assert_int_eq(route_add_gateway(&t, &far), -ENETUNREACH);
	ck_assert_int_eq(route_add_gateway(&t, &gw), 0);
	ck_assert_int_eq(route_add_gateway(&t, &gw), -EEXIST);
	const struct route *r = look("8.8.8.8");
	ck_assert_int_eq(r->kind, ROUTE_GATEWAY);
	ck_assert(ipaddr_eq(route_next_hop(r, &dst), &gw));
	ck_assert(route_source(&t, &dst, &src));
	ck_assert(ipaddr_eq(&src, &eth0.addr[0].addr));
	/* An IPv4 default route is none for IPv6. */
	ck_assert_ptr_null(look("2001:db8::1"));
}
END_TEST

START_TEST(longest_prefix_wins_in_any_order_of_entry)
{
	struct route r = { .kind = ROUTE_GATEWAY, .nif = &eth1, .gateway = ip("192.168.0.9") };
	static const char *const prefix[] = { "10.0.0.0/8", "10.77.0.64/26", "10.77.0.64/27" };

	for (int i = 0; i < 3; i++) {
		struct netif_addr a = addr_of(prefix[i]);

		r.prefix = a.addr;
		r.plen = a.plen;
		ck_assert_int_eq(route_add(&t, &r), 0);
	}
	ck_assert_int_eq(look("10.77.0.65")->plen, 96 + 27);
	ck_assert_int_eq(look("10.77.0.100")->plen, 96 + 26);
	ck_assert_int_eq(look("10.77.0.5")->plen, 96 + 24);
	ck_assert_int_eq(look("10.78.0.5")->plen, 96 + 8);
}
END_TEST

START_TEST(bits_beyond_the_prefix_do_not_matter)
{
	struct netif_addr a = addr_of("172.16.255.255/12");
	struct route r = { .prefix = a.addr, .plen = a.plen, .kind = ROUTE_ONLINK, .nif = &eth1 };

	ck_assert_int_eq(route_add(&t, &r), 0);
	ck_assert_ptr_nonnull(look("172.16.0.1"));
	ck_assert_ptr_nonnull(look("172.31.1.1"));
	ck_assert_ptr_null(look("172.32.0.1"));
	ck_assert_int_eq(route_add(&t, &r), -EEXIST);
}
END_TEST

START_TEST(a_slash_31_has_no_broadcast)
{
	eth0.n_addrs = 1;
	eth0.addr[0] = addr_of("10.9.9.0/31");
	ck_assert_int_eq(route_add_netif(&t, &eth0), 0);
	ck_assert_int_eq(look("10.9.9.1")->kind, ROUTE_ONLINK);
}
END_TEST

START_TEST(loopback_is_ours_when_claimed)
{
	struct ipaddr a = ip("127.0.0.5"), src;

	ck_assert(!route_is_local(&t, &a));
	ck_assert_int_eq(route_add_loopback(&t), 0);
	ck_assert(route_is_local(&t, &a));
	ck_assert(route_source(&t, &a, &src));
	/* as on Linux, whose local route of 127/8 has this source */
	a = ip("127.0.0.1");
	ck_assert(ipaddr_eq(&src, &a));
	a = ip("::1");
	ck_assert(route_is_local(&t, &a));
}
END_TEST

START_TEST(ipv6_prefixes_match_by_bit)
{
	eth1.n_addrs = 1;
	eth1.addr[0] = addr_of("2001:db8:1:2::1/63");
	ck_assert_int_eq(route_add_netif(&t, &eth1), 0);
	ck_assert_int_eq(look("2001:db8:1:3::9")->kind, ROUTE_ONLINK);
	ck_assert_ptr_null(look("2001:db8:1:4::9"));
}
END_TEST

START_TEST(table_is_bounded)
{
	int err = 0, n = 0;

	while (err == 0 && n < 1000) {
		struct route r = { .prefix = ipaddr_v4(0x01000000u + (uint32_t)n++ * 256),
				   .plen = 120, .kind = ROUTE_ONLINK, .nif = &eth0 };
		err = route_add(&t, &r);
	}
	ck_assert_int_eq(err, -ENOSPC);
	ck_assert_uint_eq(t.n, ROUTE_MAX);
}
END_TEST

static const char *const bad_prefix[] = { "", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/-1", "10.0.0/8",
					  "::1/129", "10.0.0.1/24x", "host",
					  "1111111111111111111111111111111111111111111111111::" };

START_TEST(bad_prefixes_are_refused)
{
	struct ipaddr a;
	uint8_t plen;

	ck_assert_int_eq(route_parse_prefix(bad_prefix[_i], &a, &plen), -EINVAL);
}
END_TEST

START_TEST(a_gateway_of_the_link_is_on_the_port_that_is_named)
{
	struct ipaddr gw = ip("fe80::9"), far = ip("2001:db8::1");

	eth0.addr[eth0.n_addrs++] = addr_of("fe80::1/64");
	eth1.addr[eth1.n_addrs++] = addr_of("fe80::2/64");
	route_init(&t);
	ck_assert_int_eq(route_add_gateway_on(&t, &gw, &eth1), -ENETUNREACH);
	ck_assert_int_eq(route_add_netif(&t, &eth0), 0);
	ck_assert_int_eq(route_add_gateway_on(&t, &gw, &eth1), -ENETUNREACH);
	ck_assert_int_eq(route_add_netif(&t, &eth1), 0);
	ck_assert_int_eq(route_add_gateway_on(&t, &gw, &eth1), 0);
	const struct route *r = look("2001:db8::1");
	ck_assert_ptr_eq(r->nif, &eth1);
	ck_assert(ipaddr_eq(route_next_hop(r, &far), &gw));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("route");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, own_addresses_are_local);
	tcase_add_test(tc, subnet_is_on_link_with_its_broadcast);
	tcase_add_test(tc, elsewhere_needs_a_gateway);
	tcase_add_test(tc, a_gateway_of_the_link_is_on_the_port_that_is_named);
	tcase_add_test(tc, longest_prefix_wins_in_any_order_of_entry);
	tcase_add_test(tc, bits_beyond_the_prefix_do_not_matter);
	tcase_add_test(tc, a_slash_31_has_no_broadcast);
	tcase_add_test(tc, loopback_is_ours_when_claimed);
	tcase_add_test(tc, ipv6_prefixes_match_by_bit);
	tcase_add_test(tc, table_is_bounded);
	tcase_add_loop_test(tc, bad_prefixes_are_refused, 0,
			    sizeof(bad_prefix) / sizeof(bad_prefix[0]));
	return unit_run("route", tc);
}
