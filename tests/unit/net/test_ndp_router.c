/* Default routers that do not answer (RFC 4861 6.3.6, RFC 7048), preferences (RFC 4191), what a router says
 * of timers, and redirects (RFC 4861 8). */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <string.h>
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/ndp.h"
#include "stack/wire/icmp6.h"
#include "tests/unit/unit.h"

enum { HIGH = 1, MEDIUM = 0, RESERVED = 2, LOW = 3 }; /* RFC 4191 2.1 */
#define COUNT(name) stats.v[STAT_##name]
static const char far_away[] = "2001:db8:77::1";
static struct stats stats;
static struct netif nif[2];
static struct ndp *d;
static uint64_t now;
static uint32_t n_changed, n_asked;
static struct ipaddr asked;

static struct ipaddr a6(const char *text)
{
	struct ipaddr a;

	ck_assert_int_eq(inet_pton(AF_INET6, text, a.b), 1);
	return a;
}

static void on_probe(void *arg, struct netif *i, const struct ipaddr *target, const uint8_t n[ND_NONCE_LEN])
{
}
static void on_announce(void *arg, struct netif *i, const struct netif_addr *a) {}
static void on_rs(void *arg, struct netif *i) {}
static void on_ask(void *arg, struct netif *i, const struct ipaddr *target)
{
	n_asked++;
	asked = *target;
}
static void on_changed(void *arg) { n_changed++; }
static void on_group(void *arg, struct netif *i, const struct ipaddr *group, bool on) {}
static const struct ndp_ops ops = { on_probe, on_announce, on_rs, on_ask, on_changed, on_group };

static void start(bool redirects)
{
	const struct ndp_conf conf = { .autoconf = true, .redirects = redirects, .secret = { { 1, 2 } } };

	stats_this_thread = &stats;
	memset(&stats, 0, sizeof(stats));
	now = 100 * NSEC_PER_SEC;
	n_changed = n_asked = 0;
	d = ndp_new(&conf, &ops, NULL, 7, now);
	for (uint16_t i = 0; i < 2; i++) {
		nif[i] = (struct netif){ .name = "unit0", .index = i, .mac = { 2, [5] = (uint8_t)(2 + i) },
					 .mtu = 1500, .n_addrs = 1 };
		nif[i].addr[0] = (struct netif_addr){ .addr = a6(i ? "fe80::3" : "fe80::2"), .plen = 64 };
		ndp_add_netif(d, &nif[i], now);
	}
}
static void setup(void) { start(false); }
static void teardown(void) { ndp_free(d); }
/* Redirects are wanted. */
static void restart(void)
{
	teardown();
	start(true);
}

static void pass_s(uint64_t s)
{
	uint64_t end = now + s * NSEC_PER_SEC;

	ndp_apply(d);
	for (uint64_t t; (t = ndp_next_ns(d)) <= end;) {
		now = max_u64(now, t);
		ndp_advance(d, now);
		ndp_apply(d);
	}
	now = end;
}

static void ra_on(struct netif *i, const char *router, uint8_t preference)
{
	const struct nd_msg m = { .type = ICMP6_T_ND_RA, .router_lifetime_s = 9000,
				  .preference = preference };
	struct ipaddr a = a6(router);

	ndp_input(d, i, &a, &m, now);
}
static void ra(const char *router, uint8_t preference) { ra_on(&nif[0], router, preference); }

static void lose(const char *router)
{
	struct ipaddr a = a6(router);

	ndp_lost(d, &nif[0], &a, now);
}

static void na(const char *router, bool solicited, bool is_router)
{
	const struct nd_msg m = { .type = ICMP6_T_ND_NA, .target = a6(router), .solicited = solicited,
				  .router = is_router };

	ndp_input(d, &nif[0], &m.target, &m, now);
}

static const struct route *route_to(const char *dst)
{
	static struct route_table t;
	struct ipaddr a = a6(dst);

	ndp_apply(d);
	route_init(&t);
	route_add_netif(&t, &nif[0]);
	route_add_netif(&t, &nif[1]);
	ndp_add_routes(d, &t);
	return route_lookup(&t, &a);
}

static void expect(const char *router)
{
	const struct route *r = route_to(far_away);
	struct ipaddr a = a6(router);

	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(r->kind, ROUTE_GATEWAY);
	ck_assert(ipaddr_eq(&r->gateway, &a));
}

/* ---- which one (RFC 4191 3.2) ---- */
START_TEST(of_two_the_preferred_one_is_used)
{
	ra("fe80::a", RESERVED); /* means medium (2.2) */
	ra("fe80::b", MEDIUM);
	expect("fe80::a");
	ra("fe80::c", HIGH);
	expect("fe80::c");
	ra("fe80::c", LOW);
	expect("fe80::a");
	ra("fe80::a", LOW);
	expect("fe80::b");
}
END_TEST

START_TEST(ports_are_compared_too)
{
	ra("fe80::a", MEDIUM);
	ra_on(&nif[1], "fe80::a", HIGH); /* the same address, another link */
	ck_assert_ptr_eq(route_to(far_away)->nif, &nif[1]);
	struct ipaddr a = a6("fe80::a");
	ndp_lost(d, &nif[1], &a, now);
	ck_assert_ptr_eq(route_to(far_away)->nif, &nif[0]);
}
END_TEST

/* ---- one that does not answer (RFC 4861 6.3.6) ---- */
START_TEST(one_that_does_not_answer_gives_way_to_a_lesser_one)
{
	ra("fe80::a", HIGH);
	ra("fe80::b", LOW);
	expect("fe80::a");
	n_changed = 0;
	lose("fe80::a");
	ck_assert_uint_eq(n_changed, 1);
	ck_assert_uint_eq(COUNT(nd_router_lost), 1);
	expect("fe80::b");
	ra("fe80::b", LOW);
	expect("fe80::b");
	lose("fe80::99"); /* nobody */
	ck_assert_uint_eq(COUNT(nd_router_lost), 1);
}
END_TEST

START_TEST(it_comes_back_when_it_answers)
{
	ra("fe80::a", HIGH);
	ra("fe80::b", LOW);
	lose("fe80::a");
	na("fe80::a", false, true); /* says nothing about the way to it (RFC 4861 7.3.1) */
	expect("fe80::b");
	na("fe80::a", true, true);
	expect("fe80::a");
	pass_s(200);
	ck_assert_uint_eq(n_asked, 0);
}
END_TEST

START_TEST(it_is_asked_once_a_minute) /* RFC 4191 3.2 */
{
	struct ipaddr a = a6("fe80::a");

	ra("fe80::a", HIGH);
	ra("fe80::b", LOW);
	lose("fe80::a");
	pass_s(59);
	ck_assert_uint_eq(n_asked, 0);
	pass_s(2);
	ck_assert_uint_eq(n_asked, 1);
	ck_assert(ipaddr_eq(&asked, &a));
	pass_s(600);
	ck_assert_uint_eq(n_asked, 11);
	/* It can be heard: that is a reason to ask, but once a second at most. */
	for (int i = 0; i < 5; i++)
		ra("fe80::a", HIGH);
	pass_s(1);
	ck_assert_uint_eq(n_asked, 12);
	expect("fe80::b");
}
END_TEST

START_TEST(when_none_answers_all_are_tried_in_turn)
{
	ra("fe80::a", HIGH);
	lose("fe80::a");
	expect("fe80::a"); /* there is no other */
	ra("fe80::b", LOW);
	expect("fe80::b");
	pass_s(1);
	lose("fe80::b");
	expect("fe80::a");
	pass_s(1);
	lose("fe80::a");
	expect("fe80::b");
	pass_s(1);
	lose("fe80::b");
	expect("fe80::a");
}
END_TEST

START_TEST(one_that_is_a_host_now_is_given_up) /* RFC 4861 7.2.5 */
{
	ra("fe80::a", HIGH);
	ra("fe80::b", LOW);
	na("fe80::a", true, false);
	expect("fe80::b");
	na("fe80::b", false, false);
	ck_assert_ptr_null(route_to(far_away));
}
END_TEST

START_TEST(the_one_that_is_lost_ends_with_its_lifetime)
{
	ra("fe80::a", HIGH);
	lose("fe80::a");
	pass_s(9001);
	ck_assert_ptr_null(route_to(far_away));
	n_asked = 0;
	pass_s(1000);
	ck_assert_uint_eq(n_asked, 0);
}
END_TEST

/* ---- timers (RFC 4861 6.3.4) ---- */
START_TEST(timers_are_taken_within_limits)
{
	static const struct { uint32_t said, reachable, retrans; } row[] = {
		{ 0, 0, 0 }, { 1, 100, 100 }, { 5000, 5000, 5000 }, { 0, 5000, 5000 },
		{ 3600001, 3600000, 60000 }, { UINT32_MAX, 3600000, 60000 } };
	struct ipaddr a = a6("fe80::a");

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct nd_msg m = { .type = ICMP6_T_ND_RA, .reachable_ms = row[i].said,
					  .retrans_ms = row[i].said };

		ndp_input(d, &nif[0], &a, &m, now);
		ndp_apply(d);
		ck_assert_uint_eq(nif[0].reachable6_ms, row[i].reachable);
		ck_assert_uint_eq(nif[0].retrans6_ms, row[i].retrans);
		ck_assert_uint_eq(nif[1].retrans6_ms, 0);
	}
}
END_TEST

/* ---- redirects (RFC 4861 8) ---- */
static void redirect(const char *dst, const char *target)
{
	const struct nd_msg m = { .type = ICMP6_T_ND_REDIRECT, .dst = a6(dst), .target = a6(target) };
	struct ipaddr router = a6("fe80::a");

	ndp_input(d, &nif[0], &router, &m, now);
}

START_TEST(redirects_are_not_obeyed)
{
	ra("fe80::a", MEDIUM);
	n_changed = 0;
	redirect(far_away, "fe80::b");
	expect("fe80::a");
	ck_assert_uint_eq(n_changed, 0);
	ck_assert_uint_eq(COUNT(nd_redirect_ignored), 1);
}
END_TEST

START_TEST(redirects_are_obeyed_if_that_is_wanted)
{
	restart();
	ra("fe80::a", MEDIUM);
	redirect(far_away, "fe80::b");
	redirect("2001:db8:5::7", "2001:db8:5::7");
	ck_assert_uint_eq(COUNT(nd_redirect), 2);
	expect("fe80::b");
	ck_assert_int_eq(route_to("2001:db8:5::7")->kind, ROUTE_ONLINK); /* 8.3 */
	struct ipaddr a = a6("fe80::a");
	ck_assert(ipaddr_eq(&route_to("2001:db8:77::2")->gateway, &a));
	redirect(far_away, "fe80::c");
	expect("fe80::c");
	pass_s(601);
	expect("fe80::a");
}
END_TEST

START_TEST(a_redirect_to_nowhere_is_forgotten) /* RFC 4861 7.3.3 */
{
	restart();
	ra("fe80::a", MEDIUM);
	redirect(far_away, "fe80::b");
	lose("fe80::b");
	expect("fe80::a");
	ck_assert_uint_eq(COUNT(nd_router_lost), 0);
}
END_TEST

START_TEST(the_oldest_redirect_gives_way)
{
	char dst[40];

	restart();
	ra("fe80::a", MEDIUM);
	for (int i = 0; i < NDP_REDIRECTS + 4; i++) {
		snprintf(dst, sizeof(dst), "2001:db8:66::%x", i + 1);
		redirect(dst, "fe80::b");
		now += NSEC_PER_SEC;
	}
	struct ipaddr a = a6("fe80::a"), b = a6("fe80::b");
	ck_assert(ipaddr_eq(&route_to("2001:db8:66::4")->gateway, &a));
	ck_assert(ipaddr_eq(&route_to("2001:db8:66::5")->gateway, &b));
	ck_assert(ipaddr_eq(&route_to(dst)->gateway, &b));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ndp_router");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, of_two_the_preferred_one_is_used);
	tcase_add_test(tc, ports_are_compared_too);
	tcase_add_test(tc, one_that_does_not_answer_gives_way_to_a_lesser_one);
	tcase_add_test(tc, it_comes_back_when_it_answers);
	tcase_add_test(tc, it_is_asked_once_a_minute);
	tcase_add_test(tc, when_none_answers_all_are_tried_in_turn);
	tcase_add_test(tc, one_that_is_a_host_now_is_given_up);
	tcase_add_test(tc, the_one_that_is_lost_ends_with_its_lifetime);
	tcase_add_test(tc, timers_are_taken_within_limits);
	tcase_add_test(tc, redirects_are_not_obeyed);
	tcase_add_test(tc, redirects_are_obeyed_if_that_is_wanted);
	tcase_add_test(tc, a_redirect_to_nowhere_is_forgotten);
	tcase_add_test(tc, the_oldest_redirect_gives_way);
	return unit_run("ndp_router", tc);
}
