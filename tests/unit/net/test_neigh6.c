/* What is IPv6's own in the neighbour cache: advertisements (RFC 4861 7.2.5) and UNREACHABLE (RFC 7048). */
// SPDX-License-Identifier: MIT
#include "stack/net/neigh.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

static struct netif nif = { .name = "eth0" };
static struct neigh_table *t;
static uint64_t now;
static const struct ipaddr HOST = { .b = { 0x20, 1, 0x0d, 0xb8, [15] = 9 } };
static const struct eth_addr MAC = { { 2, 0, 0, 0, 0, 9 } }, OTHER = { { 2, 0, 0, 0, 0, 8 } };
static int n_requests, n_unicast, n_sent, n_unreachable, n_lost;

static void on_request(void *arg, struct netif *n, const struct ipaddr *target,
		       const struct eth_addr *mac)
{
	n_requests++;
	n_unicast += mac != NULL;
}
static void on_send(void *arg, struct netif *n, void *pkt, const struct eth_addr *mac) { n_sent++; }
static void on_drop(void *arg, struct netif *n, void *pkt, bool unreachable) { n_unreachable += unreachable; }
static void on_lost(void *arg, struct netif *n, const struct ipaddr *addr)
{
	ck_assert(ipaddr_eq(addr, &HOST));
	n_lost++;
}
static const struct neigh_ops ops = { on_request, on_send, on_drop, on_lost };

static void setup(void)
{
	now = 1000 * NSEC_PER_SEC;
	n_requests = n_unicast = n_sent = n_unreachable = n_lost = 0;
	nif = (struct netif){ .name = "eth0" };
	t = neigh_new(64, 7, &ops, NULL, now);
}
static void teardown(void) { neigh_free(t); }

static void pass_ms(uint32_t ms)
{
	now += ms * NSEC_PER_MSEC;
	neigh_advance(t, now);
}

static struct neigh_row row(void)
{
	struct neigh_row r;
	uint32_t cursor = 0;

	ck_assert_uint_eq(neigh_rows(t, &cursor, &r, 1), 1);
	return r;
}

/* The entry in a state, with MAC. */
static void bring_to(enum neigh_state state)
{
	struct eth_addr mac;
	static int pkt;

	neigh_resolve(t, &nif, &HOST, &pkt, &mac, now);
	if (state == NEIGH_INCOMPLETE)
		return;
	neigh_advert(t, &nif, &HOST, &MAC, state != NEIGH_STALE, true, now);
	if (state == NEIGH_REACHABLE || state == NEIGH_STALE)
		return;
	pass_ms(60000);
	ck_assert(neigh_resolve(t, &nif, &HOST, NULL, &mac, now));
	if (state == NEIGH_DELAY)
		return;
	n_requests = n_unicast = 0;
	pass_ms(NEIGH_DELAY_MS + 1);
}

static const struct {
	enum neigh_state from;
	bool has_mac, other, solicited, override;
	enum neigh_state to;
	bool changes;
} adverts[] = {
	{ NEIGH_INCOMPLETE, false, false, true, true, NEIGH_INCOMPLETE, false },
	{ NEIGH_INCOMPLETE, true, false, true, false, NEIGH_REACHABLE, false },
	{ NEIGH_INCOMPLETE, true, false, false, true, NEIGH_STALE, false },
	{ NEIGH_REACHABLE, true, true, true, false, NEIGH_STALE, false },
	{ NEIGH_STALE, true, true, true, false, NEIGH_STALE, false },
	{ NEIGH_PROBE, true, true, true, false, NEIGH_PROBE, false },
	{ NEIGH_REACHABLE, true, true, false, true, NEIGH_STALE, true },
	{ NEIGH_REACHABLE, true, true, true, true, NEIGH_REACHABLE, true },
	{ NEIGH_STALE, true, false, true, false, NEIGH_REACHABLE, false },
	{ NEIGH_STALE, true, false, false, true, NEIGH_STALE, false },
	{ NEIGH_PROBE, true, false, true, true, NEIGH_REACHABLE, false },
	{ NEIGH_PROBE, false, false, true, false, NEIGH_REACHABLE, false },
	{ NEIGH_DELAY, false, false, false, true, NEIGH_DELAY, false },
};

START_TEST(an_advertisement_is_believed_by_its_flags)
{
	bring_to(adverts[_i].from);
	ck_assert_int_eq(row().state, adverts[_i].from);
	neigh_advert(t, &nif, &HOST, !adverts[_i].has_mac ? NULL : adverts[_i].other ? &OTHER : &MAC,
		     adverts[_i].solicited, adverts[_i].override, now);
	ck_assert_msg(row().state == adverts[_i].to, "case %d: %d", _i, row().state);
	if (adverts[_i].to != NEIGH_INCOMPLETE)
		ck_assert(eth_addr_eq(row().mac, adverts[_i].changes ? OTHER : MAC));
	ck_assert_int_eq(n_sent, adverts[_i].to != NEIGH_INCOMPLETE);
}
END_TEST

START_TEST(one_that_nobody_asked_for_makes_no_entry)
{
	neigh_advert(t, &nif, &HOST, &MAC, true, true, now);
	ck_assert_uint_eq(neigh_count(t), 0);
}
END_TEST

START_TEST(the_last_solicitation_is_believed_at_once)
{
	/* RFC 4861 7.2.3: no time in which the first one wins, other than for IPv4 */
	neigh_learn(t, &nif, &HOST, MAC, NEIGH_HEARD_REQUEST, now);
	neigh_learn(t, &nif, &HOST, OTHER, NEIGH_HEARD_REQUEST, now);
	ck_assert(eth_addr_eq(row().mac, OTHER));
	ck_assert_int_eq(row().state, NEIGH_STALE);
}
END_TEST

START_TEST(who_does_not_answer_is_still_used_and_asked_by_multicast)
{
	struct eth_addr mac;

	bring_to(NEIGH_PROBE);
	for (int i = 0; i < NEIGH_TRIES; i++)
		pass_ms(NEIGH_RETRANS_MS);
	ck_assert_int_eq(row().state, NEIGH_UNREACHABLE);
	ck_assert_int_eq(n_unicast, NEIGH_TRIES);
	ck_assert_int_eq(n_requests, NEIGH_TRIES + 1);
	ck_assert(neigh_resolve(t, &nif, &HOST, NULL, &mac, now)); /* RFC 7048 3 */
	/* 1, 3, 9 and 27 seconds apart, then it is over */
	pass_ms(1001);
	ck_assert_int_eq(n_requests, NEIGH_TRIES + 2);
	pass_ms(1500);
	ck_assert_int_eq(n_requests, NEIGH_TRIES + 2);
	pass_ms(1501);
	ck_assert_int_eq(n_requests, NEIGH_TRIES + 3);
	pass_ms(9001);
	ck_assert_int_eq(n_requests, NEIGH_TRIES + 4);
	ck_assert_int_eq(row().state, NEIGH_UNREACHABLE);
	pass_ms(27001);
	ck_assert_int_eq(row().state, NEIGH_FAILED);
	ck_assert_int_eq(n_requests, NEIGH_TRIES + 4);
}
END_TEST

START_TEST(one_that_answers_after_all_is_reachable)
{
	bring_to(NEIGH_PROBE);
	for (int i = 0; i < NEIGH_TRIES; i++)
		pass_ms(NEIGH_RETRANS_MS);
	neigh_advert(t, &nif, &HOST, &OTHER, true, true, now);
	ck_assert_int_eq(row().state, NEIGH_REACHABLE);
	ck_assert(eth_addr_eq(row().mac, OTHER));
}
END_TEST

START_TEST(who_does_not_answer_is_told_of_at_the_first_doubt) /* RFC 4861 7.3.3, RFC 7048 3 */
{
	bring_to(NEIGH_PROBE);
	for (int i = 0; i < NEIGH_TRIES; i++) {
		ck_assert_int_eq(n_lost, 0);
		pass_ms(NEIGH_RETRANS_MS);
	}
	ck_assert_int_eq(row().state, NEIGH_UNREACHABLE);
	ck_assert_int_eq(n_lost, 1);
	for (int i = 0; i < 50; i++)
		pass_ms(1000);
	ck_assert_int_eq(row().state, NEIGH_FAILED);
	ck_assert_int_eq(n_lost, 1);
	bring_to(NEIGH_INCOMPLETE);
	for (int i = 0; i < NEIGH_TRIES; i++)
		pass_ms(NEIGH_RETRANS_MS);
	ck_assert_int_eq(row().state, NEIGH_FAILED);
	ck_assert_int_eq(n_lost, 2);
}
END_TEST

START_TEST(the_timers_are_the_routers) /* RFC 4861 6.3.2, 6.3.4 */
{
	struct eth_addr mac;

	nif.reachable6_ms = 2000; /* from half of it to one and a half */
	nif.retrans6_ms = 300;
	bring_to(NEIGH_REACHABLE);
	pass_ms(999);
	neigh_resolve(t, &nif, &HOST, NULL, &mac, now);
	ck_assert_int_eq(row().state, NEIGH_REACHABLE);
	pass_ms(2002);
	neigh_resolve(t, &nif, &HOST, NULL, &mac, now);
	ck_assert_int_eq(row().state, NEIGH_DELAY);
	pass_ms(NEIGH_DELAY_MS);
	for (int i = 0; i < NEIGH_TRIES; i++) {
		ck_assert_int_eq(row().state, NEIGH_PROBE);
		pass_ms(300);
	}
	ck_assert_int_eq(row().state, NEIGH_UNREACHABLE);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("neigh6");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, an_advertisement_is_believed_by_its_flags, 0, ARRAY_LEN(adverts));
	tcase_add_test(tc, one_that_nobody_asked_for_makes_no_entry);
	tcase_add_test(tc, the_last_solicitation_is_believed_at_once);
	tcase_add_test(tc, who_does_not_answer_is_still_used_and_asked_by_multicast);
	tcase_add_test(tc, one_that_answers_after_all_is_reachable);
	tcase_add_test(tc, who_does_not_answer_is_told_of_at_the_first_doubt);
	tcase_add_test(tc, the_timers_are_the_routers);
	return unit_run("neigh6", tc);
}
