/* Choice of a source address: the rules of RFC 6724 5 one by one, and scoped routes. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include "stack/base/util.h"
#include "stack/net/route.h"
#include "tests/unit/unit.h"

enum { D = NETIF_ADDR_DEPRECATED, T = NETIF_ADDR_TEMPORARY, O = NETIF_ADDR_OPTIMISTIC };
static const struct {
	const char *rule, *dst;
	struct {
		const char *addr;
		uint8_t flags;
	} have[3];
	const char *chosen;
	uint32_t flags;
} cases[] = {
	{ "1: the same address", "2001:db8:1::1", { { "2001:db8:1::2" }, { "2001:db8:1::1", D } },
	  "2001:db8:1::1" },
	{ "2: a scope that reaches", "2001:db8:1::1", { { "fe80::1" }, { "2001:db8:3::1" } },
	  "2001:db8:3::1" },
	{ "2: the smallest that does", "fe80::1", { { "2001:db8::2" }, { "fe80::2" } }, "fe80::2" },
	{ "2: of a link-local group", "ff02::1", { { "2001:db8::2" }, { "fe80::2" } }, "fe80::2" },
	{ "2: of a global group", "ff0e::1", { { "fe80::2" }, { "2001:db8::2" } }, "2001:db8::2" },
	{ "2: the larger one where none does", "2001:db8::1", { { "fec0::2" }, { "fe80::2" } },
	  "fec0::2" },
	{ "3: not deprecated", "2001:db8:1::1", { { "2001:db8:1::2", D }, { "2001:db8:2::2" } },
	  "2001:db8:2::2" },
	{ "RFC 4429 3.1: not optimistic", "2001:db8:1::1",
	  { { "2001:db8:1::2", O }, { "2001:db8:2::2" } }, "2001:db8:2::2" },
	{ "6: the same label", "2002:c633:6401::1", { { "2001:db8:1::2" }, { "2002:c633:6401::d5e3" } },
	  "2002:c633:6401::d5e3" },
	{ "6: unique local", "fd00:1::1", { { "2001:db8:1::2" }, { "fd00:2::2" } }, "fd00:2::2" },
	{ "7: temporary", "2001:db8:9::1", { { "2001:db8:1::2" }, { "2001:db8:1::d5e3", T } },
	  "2001:db8:1::d5e3" },
	{ "7: unless the public one is asked for", "2001:db8:9::1",
	  { { "2001:db8:1::2" }, { "2001:db8:1::d5e3", T } }, "2001:db8:1::2", ROUTE_SRC_PUBLIC },
	{ "8: longest prefix", "2001:db8:1::1", { { "2001:db8:3::2" }, { "2001:db8:1::2" } },
	  "2001:db8:1::2" },
	{ "8: but not beyond the prefix length", "2001:db8:1::1:0:0:0",
	  { { "2001:db8:1::9:0:0:0" }, { "2001:db8:1::1:0:0:9" } }, "2001:db8:1::9:0:0:0" },
};

static struct netif nif[2];
static struct route_table table;

static struct ipaddr a6(const char *text)
{
	struct ipaddr a;

	ck_assert_int_eq(inet_pton(AF_INET6, text, a.b), 1);
	return a;
}

static void have(struct netif *n, const char *addr, uint8_t flags)
{
	n->addr[n->n_addrs++] = (struct netif_addr){ .addr = a6(addr), .plen = 64, .flags = flags };
}

static void make_routes(void)
{
	const struct route def = { .kind = ROUTE_GATEWAY, .nif = &nif[0], .gateway = a6("fe80::99") };

	route_init(&table);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(route_add_netif(&table, &nif[i]), 0);
	ck_assert_int_eq(route_add(&table, &def), 0);
}

static void setup(void)
{
	for (int i = 0; i < 2; i++)
		nif[i] = (struct netif){ .index = (uint16_t)i, .ifindex = (uint32_t)i + 5 };
}

START_TEST(the_rules_choose)
{
	struct ipaddr dst = a6(cases[_i].dst), src;

	for (int k = 0; k < 2; k++) { /* the order of the candidates does not matter */
		setup();
		for (int i = 0; i < 3; i++) {
			int at = k ? 2 - i : i;

			if (cases[_i].have[at].addr)
				have(&nif[0], cases[_i].have[at].addr, cases[_i].have[at].flags);
		}
		make_routes();

		ck_assert(route_source6(&table, &dst, &nif[0], cases[_i].flags, &src));
		if (k && cases[_i].rule[0] == '8' && cases[_i].rule[3] == 'b')
			continue; /* equal: the first one */
		ck_assert_msg(memcmp(src.b, a6(cases[_i].chosen).b, 16) == 0, "%s", cases[_i].rule);
	}
}
END_TEST

START_TEST(a_link_has_its_own_addresses)
{
	struct ipaddr dst = a6("fe80::77"), src;

	have(&nif[0], "fe80::1:1", 0);
	have(&nif[1], "fe80::2:2", 0);
	make_routes();
	for (int i = 0; i < 2; i++) {
		const struct route *r = route_lookup_on(&table, &dst, &nif[i]);

		ck_assert_ptr_nonnull(r);
		ck_assert_ptr_eq(r->nif, &nif[i]);
		ck_assert(route_source6(&table, &dst, &nif[i], 0, &src));
		ck_assert(ipaddr_eq(&src, &nif[i].addr[0].addr));
		ck_assert(route_is_local(&table, &nif[i].addr[0].addr));
	}
	ck_assert_ptr_eq(route_lookup_on(&table, &dst, NULL)->nif, &nif[0]);
}
END_TEST

START_TEST(a_port_without_ipv6_has_no_source)
{
	struct ipaddr dst = a6("2001:db8::1"), src;

	nif[0].addr[nif[0].n_addrs++] = (struct netif_addr){ .addr = ipaddr_v4(0x0a4d0002), .plen = 120 };
	make_routes();
	ck_assert(!route_source6(&table, &dst, &nif[0], 0, &src));
	ck_assert(!route_source(&table, &dst, &src));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("route_source");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, the_rules_choose, 0, ARRAY_LEN(cases));
	tcase_add_test(tc, a_link_has_its_own_addresses);
	tcase_add_test(tc, a_port_without_ipv6_has_no_source);
	return unit_run("route_source", tc);
}
