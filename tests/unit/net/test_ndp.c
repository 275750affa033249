/* Addresses and routers: duplicate address detection, router solicitations, advertisements, lifetimes. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <stdlib.h>
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/ndp.h"
#include "stack/wire/icmp6.h"
#include "tests/unit/unit.h"

#define START (100 * NSEC_PER_SEC)
#define COUNT(name) stats.v[STAT_##name]
static struct stats stats;
static struct netif nif;
static struct ndp *d;
static uint64_t now;
static uint32_t n_probes, n_announced, n_rs, n_changed;
static int n_groups;
static struct ipaddr probed;
static uint8_t nonce[ND_NONCE_LEN];
static struct ipaddr router;

static struct ipaddr a6(const char *text)
{
	struct ipaddr a;

	ck_assert_int_eq(inet_pton(AF_INET6, text, a.b), 1);
	return a;
}

static void on_probe(void *arg, struct netif *i, const struct ipaddr *target, const uint8_t n[ND_NONCE_LEN])
{
	n_probes++;
	probed = *target;
	memcpy(nonce, n, sizeof(nonce));
}
static void on_announce(void *arg, struct netif *i, const struct netif_addr *a) { n_announced++; }
static void on_rs(void *arg, struct netif *i) { n_rs++; }
static void on_ask(void *arg, struct netif *i, const struct ipaddr *target) {}
static void on_changed(void *arg) { n_changed++; }
static void on_group(void *arg, struct netif *i, const struct ipaddr *group, bool on)
{
	ck_assert(ip6_is_solicited_node(group));
	n_groups += on ? 1 : -1;
}
static const struct ndp_ops ops = { on_probe, on_announce, on_rs, on_ask, on_changed, on_group };

static void start(bool autoconf, bool temporary)
{
	const struct ndp_conf conf = { .autoconf = autoconf, .temporary = temporary,
				       .secret = { { 1, 2 } } };

	stats_this_thread = &stats;
	memset(&stats, 0, sizeof(stats));
	router = a6("fe80::99");
	now = START;
	n_groups = 0;
	n_probes = n_announced = n_rs = n_changed = 0;
	nif = (struct netif){ .name = "unit0", .mac = { 2, 0, 0, 0, 0, 2 }, .mtu = 1500, .n_addrs = 2 };
	nif.addr[0] = (struct netif_addr){ .addr = ipaddr_v4(0x0a4d0002), .plen = 120 };
	nif.addr[1] = (struct netif_addr){ .addr = a6("fe80::2"), .plen = 64 };
	d = ndp_new(&conf, &ops, NULL, 7, now);
	ndp_add_netif(d, &nif, now);
}
static void setup(void) { start(true, false); }
static void teardown(void) { ndp_free(d); }
static void restart(bool autoconf, bool temporary)
{
	teardown();
	start(autoconf, temporary);
}

/* Time passes as the data thread lets it; changes are applied. */
static void pass_s(uint64_t s)
{
	uint64_t end = now + s * NSEC_PER_SEC;

	for (int i = 0; i < 10000; i++) {
		uint64_t t = ndp_next_ns(d);

		ndp_apply(d);
		if (t > end)
			break;
		ck_assert_uint_ge(t, now);
		now = max_u64(now, t);
		ndp_advance(d, now);
	}
	now = end;
	ndp_apply(d);
}

static const struct netif_addr *with_prefix(const char *prefix, uint8_t flags)
{
	struct ipaddr p = a6(prefix);

	for (uint32_t i = 0; i < nif.n_addrs; i++) {
		if (nif.addr[i].addr.q[0] == p.q[0] &&
		    (nif.addr[i].flags & NETIF_ADDR_TEMPORARY) == (flags & NETIF_ADDR_TEMPORARY))
			return &nif.addr[i];
	}
	return NULL;
}

static struct nd_msg ra_of(const char *prefix, uint32_t valid_s, uint32_t preferred_s)
{
	struct nd_msg m = { .type = ICMP6_T_ND_RA, .router_lifetime_s = 1800, .n_prefixes = 1 };

	m.prefix[0] = (struct nd_prefix){ .prefix = a6(prefix), .plen = 64, .onlink = true,
					  .autonomous = true, .valid_s = valid_s,
					  .preferred_s = preferred_s };
	return m;
}

static void ra(const char *prefix, uint32_t valid_s, uint32_t preferred_s)
{
	struct nd_msg m = ra_of(prefix, valid_s, preferred_s);

	ndp_input(d, &nif, &router, &m, now);
	ndp_apply(d);
}

static const struct route *route_to(const char *dst)
{
	static struct route_table t;
	struct ipaddr a = a6(dst);

	route_init(&t);
	route_add_netif(&t, &nif);
	ndp_add_routes(d, &t);
	return route_lookup(&t, &a);
}

/* ---- duplicate address detection (RFC 4862 5.4) ---- */
START_TEST(an_address_is_probed_once_and_then_certain)
{
	ndp_apply(d);
	ck_assert(nif.addr[1].flags & NETIF_ADDR_OPTIMISTIC);
	ck_assert_uint_eq(n_probes, 0);
	pass_s(1);
	ck_assert_uint_eq(n_probes, 1);
	ck_assert(ipaddr_eq(&probed, &nif.addr[1].addr));
	pass_s(1);
	ck_assert(!(nif.addr[1].flags & NETIF_ADDR_OPTIMISTIC));
	ck_assert_uint_eq(n_announced, 1);
	pass_s(10000);
	ck_assert_uint_eq(n_probes, 1);
	ck_assert_uint_eq(nif.n_addrs, 2);
	ck_assert(ipaddr_is_v4(&nif.addr[0].addr));
}
END_TEST

/* Another one claims the address while it is checked: how. */
static void claim(const struct ipaddr *a, uint8_t type, const uint8_t *with_nonce)
{
	struct nd_msg m = { .type = type, .target = *a, .has_nonce = with_nonce != NULL };
	struct ipaddr any = { 0 };

	if (with_nonce)
		memcpy(m.nonce, with_nonce, sizeof(m.nonce));
	ndp_input(d, &nif, type == ICMP6_T_ND_NS ? &any : a, &m, now);
	ndp_apply(d);
}

START_TEST(an_address_that_is_taken_is_given_up)
{
	static const uint8_t types[] = { ICMP6_T_ND_NS, ICMP6_T_ND_NA };
	struct ipaddr a = a6("fe80::2"), first;

	pass_s(1);
	claim(&a, types[_i], NULL);
	ck_assert_uint_eq(COUNT(nd_dad_failed), 1);
	/* RFC 7217 6: the next of the same making */
	ck_assert_uint_eq(nif.n_addrs, 2);
	ck_assert(ipaddr_is_link_local(&nif.addr[1].addr) && !ipaddr_eq(&nif.addr[1].addr, &a));
	first = nif.addr[1].addr;
	for (int i = 0; i < STABLE_TRIES; i++)
		claim(&nif.addr[1].addr, types[_i], NULL);
	ck_assert_uint_eq(nif.n_addrs, 1);
	claim(&first, types[_i], NULL);
	ck_assert_uint_eq(COUNT(nd_dad_failed), 1 + STABLE_TRIES);
}
END_TEST

START_TEST(our_own_probe_is_no_conflict)
{
	const struct ipaddr a = a6("fe80::2");

	pass_s(1);
	claim(&a, ICMP6_T_ND_NS, nonce); /* RFC 7527 4.2 */
	ck_assert_uint_eq(COUNT(nd_dad_failed), 0);
	nonce[0] ^= 1;
	claim(&a, ICMP6_T_ND_NS, nonce);
	ck_assert_uint_eq(COUNT(nd_dad_failed), 1);
}
END_TEST

START_TEST(a_certain_address_is_kept)
{
	const struct ipaddr a = a6("fe80::2");

	pass_s(3);
	claim(&a, ICMP6_T_ND_NA, NULL);
	ck_assert_uint_eq(COUNT(nd_dad_failed), 0);
	ck_assert_uint_eq(nif.n_addrs, 2);
}
END_TEST

/* ---- routers (RFC 4861 6.3, RFC 7559) ---- */
START_TEST(routers_are_asked_less_and_less_often)
{
	pass_s(1);
	ck_assert_uint_eq(n_rs, 1);
	pass_s(5);
	ck_assert_uint_eq(n_rs, 2);
	pass_s(3600);
	ck_assert_uint_ge(n_rs, 9);
	ck_assert_uint_le(n_rs, 12);
	ra("2001:db8:5::", 86400, 14400);
	n_rs = 0;
	pass_s(7200);
	ck_assert_uint_eq(n_rs, 0);
}
END_TEST

START_TEST(a_router_becomes_the_default_until_its_lifetime_ends)
{
	ck_assert_ptr_null(route_to("2001:db8:77::1"));
	ra("2001:db8:5::", 86400, 14400);
	const struct route *r = route_to("2001:db8:77::1");
	ck_assert_ptr_nonnull(r);
	ck_assert(r->kind == ROUTE_GATEWAY && ipaddr_eq(&r->gateway, &router));
	pass_s(1799);
	ck_assert_ptr_nonnull(route_to("2001:db8:77::1"));
	pass_s(2);
	ck_assert_ptr_null(route_to("2001:db8:77::1"));
}
END_TEST

START_TEST(a_router_that_says_so_is_none_any_more)
{
	struct nd_msg m = { .type = ICMP6_T_ND_RA };

	ra("2001:db8:5::", 86400, 14400);
	ndp_input(d, &nif, &router, &m, now); /* lifetime 0: 6.3.4 */
	ck_assert_ptr_null(route_to("2001:db8:77::1"));
}
END_TEST

START_TEST(the_preferred_router_is_used)
{
	struct ipaddr other = a6("fe80::98");
	struct nd_msg m = ra_of("2001:db8:5::", 86400, 14400);

	ndp_input(d, &nif, &other, &m, now);
	m.preference = 1; /* RFC 4191: high */
	ndp_input(d, &nif, &router, &m, now);
	ck_assert(ipaddr_eq(&route_to("2001:db8:77::1")->gateway, &router));
	m.preference = 3; /* low */
	ndp_input(d, &nif, &router, &m, now);
	ck_assert(ipaddr_eq(&route_to("2001:db8:77::1")->gateway, &other));
}
END_TEST

START_TEST(parameters_are_taken_within_limits)
{
	struct nd_msg m = { .type = ICMP6_T_ND_RA, .hop_limit = 99, .mtu = 1400 };

	ndp_input(d, &nif, &router, &m, now);
	ndp_apply(d);
	ck_assert_uint_eq(netif_mtu6(&nif), 1400);
	ck_assert_uint_eq(nif.hops6, 99);
	m.hop_limit = 0;
	m.mtu = 1279;
	ndp_input(d, &nif, &router, &m, now);
	m.mtu = 1501;
	ndp_input(d, &nif, &router, &m, now);
	ndp_apply(d);
	ck_assert_uint_eq(netif_mtu6(&nif), 1400);
	ck_assert_uint_eq(nif.hops6, 99);
}
END_TEST

/* ---- prefixes (RFC 4862 5.5.3) ---- */
START_TEST(a_prefix_gives_a_stable_address)
{
	ra("2001:db8:5::", 86400, 14400);
	const struct netif_addr *a = with_prefix("2001:db8:5::", 0);
	ck_assert_ptr_nonnull(a);
	struct ipaddr first = a->addr;
	ck_assert(a->flags & NETIF_ADDR_OPTIMISTIC);
	pass_s(3);
	ck_assert(!(with_prefix("2001:db8:5::", 0)->flags & NETIF_ADDR_OPTIMISTIC));
	ck_assert_ptr_null(with_prefix("2001:db8:5::", NETIF_ADDR_TEMPORARY));
	restart(true, false);
	ra("2001:db8:5::", 86400, 14400);
	ck_assert(ipaddr_eq(&with_prefix("2001:db8:5::", 0)->addr, &first)); /* RFC 7217 */
	ra("2001:db8:6::", 86400, 14400);
	ck_assert(with_prefix("2001:db8:6::", 0)->addr.q[1] != first.q[1]);
}
END_TEST

START_TEST(an_address_is_deprecated_and_then_ends)
{
	ra("2001:db8:5::", 10000, 4000);
	pass_s(3999);
	ck_assert(!(with_prefix("2001:db8:5::", 0)->flags & NETIF_ADDR_DEPRECATED));
	pass_s(2);
	ck_assert(with_prefix("2001:db8:5::", 0)->flags & NETIF_ADDR_DEPRECATED);
	pass_s(10000 - 4002);
	ck_assert_ptr_nonnull(with_prefix("2001:db8:5::", 0));
	ck_assert_int_eq(n_groups, 2);
	pass_s(2);
	ck_assert_ptr_null(with_prefix("2001:db8:5::", 0));
	ck_assert_int_eq(n_groups, 1);
}
END_TEST

START_TEST(two_hours_are_left_to_an_address)
{
	ra("2001:db8:5::", 86400, 14400);
	ra("2001:db8:5::", 1, 1); /* 5.5.3 (e) 3 */
	pass_s(7100);
	ck_assert_ptr_nonnull(with_prefix("2001:db8:5::", 0));
	ra("2001:db8:5::", 50, 50); /* (e) 2: ignored */
	pass_s(99);
	ck_assert_ptr_nonnull(with_prefix("2001:db8:5::", 0));
	ra("2001:db8:5::", 300, 300); /* (e) 1: longer than what remains */
	pass_s(299);
	ck_assert_ptr_nonnull(with_prefix("2001:db8:5::", 0));
	pass_s(2);
	ck_assert_ptr_null(with_prefix("2001:db8:5::", 0));
}
END_TEST

static const struct {
	const char *prefix;
	uint8_t plen;
	bool autonomous;
	uint32_t valid, preferred;
} no_addr[] = {
	{ "2001:db8:5::", 64, false, 86400, 14400 },
	{ "2001:db8:5::", 63, true, 86400, 14400 },
	{ "2001:db8:5::", 65, true, 86400, 14400 },
	{ "2001:db8:5::", 64, true, 0, 0 },
	{ "2001:db8:5::", 64, true, 100, 101 },
	{ "fe80::", 64, true, 86400, 14400 },
	{ "ff02::", 64, true, 86400, 14400 },
};

START_TEST(not_every_prefix_gives_an_address)
{
	struct nd_msg m = ra_of(no_addr[_i].prefix, no_addr[_i].valid, no_addr[_i].preferred);

	m.prefix[0].plen = no_addr[_i].plen;
	m.prefix[0].autonomous = no_addr[_i].autonomous;
	ndp_input(d, &nif, &router, &m, now);
	ndp_apply(d);
	ck_assert_uint_eq(nif.n_addrs, 2);
}
END_TEST

START_TEST(what_is_on_the_link_is_said_apart_from_addresses)
{
	struct nd_msg m = ra_of("2001:db8:5::", 86400, 14400);

	m.prefix[0].onlink = false;
	ndp_input(d, &nif, &router, &m, now);
	ndp_apply(d);
	ck_assert_int_eq(route_to("2001:db8:5::77")->kind, ROUTE_GATEWAY); /* RFC 5942 4 */
	m.prefix[0].onlink = true;
	ndp_input(d, &nif, &router, &m, now);
	ck_assert_int_eq(route_to("2001:db8:5::77")->kind, ROUTE_ONLINK);
	m.prefix[0].valid_s = m.prefix[0].preferred_s = 0;
	ndp_input(d, &nif, &router, &m, now);
	ck_assert_int_eq(route_to("2001:db8:5::77")->kind, ROUTE_GATEWAY);
}
END_TEST

START_TEST(a_flood_of_prefixes_finds_a_limit)
{
	char text[40];

	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "2001:db8:%x::", i + 16);
		ra(text, 86400, 14400);
	}
	ck_assert_uint_eq(nif.n_addrs, NETIF_ADDRS);
	ck_assert_uint_gt(COUNT(nd_drop_full), 1900);
	for (int i = 0; i < 100; i++) {
		struct nd_msg m = { .type = ICMP6_T_ND_RA, .router_lifetime_s = 100 };
		struct ipaddr r = a6("fe80::1:0");

		r.b[15] = (uint8_t)i;
		ndp_input(d, &nif, &r, &m, now);
	}
}
END_TEST

START_TEST(without_autoconf_routers_are_not_heard)
{
	restart(false, false);
	ra("2001:db8:5::", 86400, 14400);
	pass_s(100);
	ck_assert_uint_eq(n_rs, 0);
	ck_assert_uint_eq(nif.n_addrs, 2);
	ck_assert_ptr_null(route_to("2001:db8:77::1"));
}
END_TEST

/* ---- temporary addresses (RFC 8981) ---- */
START_TEST(a_temporary_address_is_replaced_before_it_is_deprecated)
{
	restart(true, true);
	ra("2001:db8:5::", 604800, 604800);
	const struct netif_addr *a = with_prefix("2001:db8:5::", NETIF_ADDR_TEMPORARY);
	ck_assert_ptr_nonnull(a);
	struct ipaddr first = a->addr;
	ck_assert(!ipaddr_eq(&first, &with_prefix("2001:db8:5::", 0)->addr));
	uint32_t fresh = 0;
	for (int h = 0; h < 48; h++) {
		pass_s(3600);
		fresh = 0;
		for (uint32_t i = 0; i < nif.n_addrs; i++)
			fresh += (nif.addr[i].flags & (NETIF_ADDR_TEMPORARY | NETIF_ADDR_DEPRECATED)) ==
				 NETIF_ADDR_TEMPORARY;
		ck_assert_uint_ge(fresh, 1);
	}
	pass_s(3600);
	for (uint32_t i = 0; i < nif.n_addrs; i++)
		ck_assert(!ipaddr_eq(&nif.addr[i].addr, &first)); /* 3.4: two days */
}
END_TEST

START_TEST(a_change_is_told_again_until_it_is_applied)
{
	n_changed = 0;
	for (int i = 0; i < 5; i++) {
		now += NSEC_PER_SEC;
		ck_assert_uint_le(ndp_next_ns(d), now);
		ndp_advance(d, now);
	}
	ck_assert_uint_ge(n_changed, 4);
	ndp_apply(d);
	n_changed = 0;
	pass_s(100);
	ck_assert_uint_le(n_changed, 2);
}
END_TEST

/* ---- what is shown ---- */
START_TEST(rows_tell_states_and_what_is_left)
{
	struct ndp_addr_row a[NDP_ADDR_ROWS];
	struct ndp_router_row r[NDP_ROUTER_ROWS];

	ck_assert_uint_eq(ndp_addr_rows(d, a, now), 1);
	ck_assert(ipaddr_eq(&a[0].addr, &nif.addr[1].addr) && a[0].plen == 64);
	ck_assert_int_eq(a[0].origin, NDP_LINKLOCAL);
	ck_assert(a[0].flags & NETIF_ADDR_OPTIMISTIC);
	ck_assert_uint_eq(a[0].valid_s, ND_FOREVER);
	ck_assert_uint_eq(a[0].preferred_s, ND_FOREVER);
	ck_assert_uint_eq(ndp_router_rows(d, r, now), 0);
	ra("2001:db8:5::", 86400, 14400);
	pass_s(100);
	ck_assert_uint_eq(ndp_addr_rows(d, a, now), 2);
	ck_assert_int_eq(a[1].origin, NDP_AUTO);
	ck_assert(!(a[1].flags & NETIF_ADDR_OPTIMISTIC));
	ck_assert_uint_eq(a[1].valid_s, 86300);
	ck_assert_uint_eq(a[1].preferred_s, 14300);
	ck_assert_uint_eq(ndp_addr_rows(d, a, now + 1), 2);
	ck_assert_uint_eq(a[1].valid_s, 86300);
	ck_assert_uint_eq(ndp_router_rows(d, r, now), 1);
	ck_assert(ipaddr_eq(&r[0].addr, &router) && !r[0].is_lost && r[0].preference == 0);
	ck_assert_uint_eq(r[0].lifetime_s, 1700);
	ndp_lost(d, &nif, &router, now);
	ck_assert_uint_eq(ndp_router_rows(d, r, now), 1);
	ck_assert(r[0].is_lost);
	pass_s(14301);
	ck_assert_uint_eq(ndp_router_rows(d, r, now), 0);
	ck_assert_uint_eq(ndp_addr_rows(d, a, now), 2);
	ck_assert_uint_eq(a[1].preferred_s, 0);
	ck_assert(a[1].flags & NETIF_ADDR_DEPRECATED);
	restart(true, true);
	ra("2001:db8:5::", 86400, 14400);
	ck_assert_uint_eq(ndp_addr_rows(d, a, now), 3);
	ck_assert_int_eq(a[2].origin, NDP_TEMPORARY);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ndp");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_address_is_probed_once_and_then_certain);
	tcase_add_loop_test(tc, an_address_that_is_taken_is_given_up, 0, 2);
	tcase_add_test(tc, our_own_probe_is_no_conflict);
	tcase_add_test(tc, rows_tell_states_and_what_is_left);
	tcase_add_test(tc, a_certain_address_is_kept);
	tcase_add_test(tc, routers_are_asked_less_and_less_often);
	tcase_add_test(tc, a_router_becomes_the_default_until_its_lifetime_ends);
	tcase_add_test(tc, a_router_that_says_so_is_none_any_more);
	tcase_add_test(tc, the_preferred_router_is_used);
	tcase_add_test(tc, parameters_are_taken_within_limits);
	tcase_add_test(tc, a_prefix_gives_a_stable_address);
	tcase_add_test(tc, an_address_is_deprecated_and_then_ends);
	tcase_add_test(tc, two_hours_are_left_to_an_address);
	tcase_add_loop_test(tc, not_every_prefix_gives_an_address, 0, ARRAY_LEN(no_addr));
	tcase_add_test(tc, what_is_on_the_link_is_said_apart_from_addresses);
	tcase_add_test(tc, a_flood_of_prefixes_finds_a_limit);
	tcase_add_test(tc, a_change_is_told_again_until_it_is_applied);
	tcase_add_test(tc, without_autoconf_routers_are_not_heard);
	tcase_add_test(tc, a_temporary_address_is_replaced_before_it_is_deprecated);
	return unit_run("ndp", tc);
}
