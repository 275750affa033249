/* Neighbour cache on a fake clock: resolution, states, limits, who may teach it what. */
// SPDX-License-Identifier: MIT
#include "stack/net/neigh.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

static struct netif nif = { .name = "eth0" };
static struct neigh_table *t;
static uint64_t now;
static const struct ipaddr *const HOST = &(const struct ipaddr){ .b = { [10] = 0xff, 0xff, 10, 77, 0, 9 } };
static const struct eth_addr MAC = { { 2, 0, 0, 0, 0, 9 } }, OTHER = { { 2, 0, 0, 0, 0, 8 } };

static struct {
	int requests, unicast, sent, dropped, unreachable;
	void *last_sent, *last_dropped;
	struct eth_addr to;
} seen;

static void on_request(void *arg, struct netif *n, const struct ipaddr *target,
		       const struct eth_addr *mac)
{
	seen.requests++;
	seen.unicast += mac != NULL;
}
static void on_send(void *arg, struct netif *n, void *pkt, const struct eth_addr *mac)
{
	seen.sent++;
	seen.last_sent = pkt;
	seen.to = *mac;
}
static void on_drop(void *arg, struct netif *n, void *pkt, bool unreachable)
{
	seen.dropped++;
	seen.unreachable += unreachable;
	seen.last_dropped = pkt;
}
static const struct neigh_ops ops = { on_request, on_send, on_drop };

static void setup(void)
{
	memset(&seen, 0, sizeof(seen));
	now = 1000 * NSEC_PER_SEC;
	t = neigh_new(64, 7, &ops, NULL, now);
}

static void teardown(void)
{
	neigh_free(t);
}

static void after_ms(uint32_t ms)
{
	now += ms * NSEC_PER_MSEC;
	neigh_advance(t, now);
}

static bool resolve(void *pkt)
{
	struct eth_addr mac;
	bool known = neigh_resolve(t, &nif, HOST, pkt, &mac, now);

	if (known)
		ck_assert(eth_addr_eq(mac, MAC) || eth_addr_eq(mac, OTHER));
	return known;
}

static enum neigh_state state(void)
{
	struct neigh_row row;
	uint32_t cursor = 0;

	ck_assert_uint_eq(neigh_rows(t, &cursor, &row, 1), 1);
	return row.state;
}

static int pkts[16];

START_TEST(first_packet_asks_and_waits_for_the_answer)
{
	ck_assert(!resolve(&pkts[0]));
	ck_assert(!resolve(&pkts[1]));
	ck_assert_int_eq(seen.requests, 1);
	ck_assert_int_eq(seen.sent, 0);
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REPLY, now);
	ck_assert_int_eq(seen.sent, 2);
	ck_assert_ptr_eq(seen.last_sent, &pkts[1]);
	ck_assert(eth_addr_eq(seen.to, MAC));
	ck_assert(resolve(&pkts[2]));
	ck_assert_uint_eq(neigh_next_ns(t), UINT64_MAX);
}
END_TEST

START_TEST(three_requests_then_the_queue_is_unreachable)
{
	resolve(&pkts[0]);
	resolve(&pkts[1]);
	after_ms(1000);
	after_ms(1000);
	ck_assert_int_eq(seen.requests, 3);
	after_ms(999);
	ck_assert_int_eq(seen.unreachable, 0);
	after_ms(1);
	ck_assert_int_eq(seen.unreachable, 2);
	ck_assert_int_eq(state(), NEIGH_FAILED);
	ck_assert_uint_eq(neigh_next_ns(t), UINT64_MAX);
	/* The next packet starts again. */
	ck_assert(!resolve(&pkts[2]));
	ck_assert_int_eq(seen.requests, 4);
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REPLY, now);
	ck_assert_ptr_eq(seen.last_sent, &pkts[2]);
}
END_TEST

START_TEST(a_full_queue_drops_the_oldest)
{
	for (int i = 0; i < NEIGH_QUEUE; i++)
		resolve(&pkts[i]);
	ck_assert_int_eq(seen.dropped, 0);
	resolve(&pkts[NEIGH_QUEUE]);
	ck_assert_int_eq(seen.dropped, 1);
	ck_assert_int_eq(seen.unreachable, 0);
	ck_assert_ptr_eq(seen.last_dropped, &pkts[0]);
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REPLY, now);
	ck_assert_int_eq(seen.sent, NEIGH_QUEUE);
}
END_TEST

START_TEST(an_old_answer_is_used_but_probed_by_unicast)
{
	resolve(&pkts[0]);
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REPLY, now);
	after_ms(46000);
	ck_assert(resolve(&pkts[1]));
	ck_assert_int_eq(state(), NEIGH_DELAY);
	ck_assert_int_eq(seen.requests, 1);
	after_ms(4999);
	ck_assert_int_eq(seen.requests, 1);
	after_ms(1);
	ck_assert_int_eq(state(), NEIGH_PROBE);
	ck_assert_int_eq(seen.unicast, 1);
	ck_assert(resolve(&pkts[2])); /* used meanwhile */
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REPLY, now);
	ck_assert_int_eq(state(), NEIGH_REACHABLE);
	ck_assert_uint_eq(neigh_next_ns(t), UINT64_MAX);
}
END_TEST

START_TEST(an_unanswered_probe_fails_the_entry)
{
	resolve(&pkts[0]);
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REPLY, now);
	after_ms(46000);
	resolve(&pkts[1]);
	after_ms(5000);
	after_ms(1000);
	after_ms(1000);
	ck_assert_int_eq(seen.unicast, 3);
	after_ms(1000);
	ck_assert_int_eq(state(), NEIGH_FAILED);
	ck_assert(!resolve(&pkts[2]));
}
END_TEST

START_TEST(an_idle_entry_is_not_probed)
{
	resolve(&pkts[0]);
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REPLY, now);
	after_ms(3600 * 1000);
	ck_assert_int_eq(seen.requests, 1);
}
END_TEST

START_TEST(upper_layers_can_confirm)
{
	resolve(&pkts[0]);
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REPLY, now);
	after_ms(46000);
	resolve(&pkts[1]);
	neigh_confirm(t, &nif, HOST, now);
	after_ms(10000);
	ck_assert_int_eq(seen.requests, 1);
	ck_assert_int_eq(state(), NEIGH_REACHABLE);
}
END_TEST

START_TEST(only_a_request_to_us_makes_an_entry)
{
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REPLY, now);
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_OTHER, now);
	ck_assert_uint_eq(neigh_count(t), 0);
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REQUEST, now);
	ck_assert_uint_eq(neigh_count(t), 1);
	ck_assert_int_eq(state(), NEIGH_STALE);
	ck_assert(resolve(&pkts[0]));
}
END_TEST

START_TEST(a_new_address_is_believed_but_not_at_once_again)
{
	struct eth_addr mac;

	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REQUEST, now);
	neigh_learn(t, &nif, HOST, OTHER, NEIGH_HEARD_OTHER, now + 1);
	neigh_resolve(t, &nif, HOST, NULL, &mac, now);
	ck_assert(eth_addr_eq(mac, MAC));
	now += 2 * NSEC_PER_SEC;
	neigh_learn(t, &nif, HOST, OTHER, NEIGH_HEARD_OTHER, now);
	neigh_resolve(t, &nif, HOST, NULL, &mac, now);
	ck_assert(eth_addr_eq(mac, OTHER));
}
END_TEST

START_TEST(the_table_is_bounded_and_keeps_what_is_used)
{
	struct eth_addr mac;

	resolve(&pkts[0]);
	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REPLY, now);
	for (uint32_t i = 0; i < 1000; i++) {
		struct ipaddr a = ipaddr_v4(0x0a4d1000 + i);

		neigh_learn(t, &nif, &a, OTHER, NEIGH_HEARD_REQUEST, now);
		ck_assert(neigh_resolve(t, &nif, HOST, NULL, &mac, now));
	}
	ck_assert_uint_eq(neigh_count(t), 64);
	ck_assert_int_eq(seen.requests, 1);
}
END_TEST

START_TEST(a_scan_of_silent_hosts_is_bounded)
{
	struct eth_addr mac;

	for (uint32_t i = 0; i < 1000; i++) {
		struct ipaddr a = ipaddr_v4(0x0a4d1000 + i);

		ck_assert(!neigh_resolve(t, &nif, &a, &pkts[0], &mac, now));
	}
	ck_assert_uint_eq(neigh_count(t), 64);
	ck_assert_int_eq(seen.dropped, 1000 - 64);
	ck_assert_int_eq(seen.unreachable, 0);
}
END_TEST

START_TEST(two_ports_are_two_links)
{
	static struct netif second = { .name = "eth1", .index = 1 };
	struct eth_addr mac;

	neigh_learn(t, &nif, HOST, MAC, NEIGH_HEARD_REQUEST, now);
	ck_assert(!neigh_resolve(t, &second, HOST, &pkts[0], &mac, now));
	ck_assert(neigh_resolve(t, &nif, HOST, &pkts[0], &mac, now));
}
END_TEST

START_TEST(freeing_the_table_drops_what_waits)
{
	resolve(&pkts[0]);
	neigh_free(t);
	ck_assert_int_eq(seen.dropped, 1);
	t = NULL;
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("neigh");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, first_packet_asks_and_waits_for_the_answer);
	tcase_add_test(tc, three_requests_then_the_queue_is_unreachable);
	tcase_add_test(tc, a_full_queue_drops_the_oldest);
	tcase_add_test(tc, an_old_answer_is_used_but_probed_by_unicast);
	tcase_add_test(tc, an_unanswered_probe_fails_the_entry);
	tcase_add_test(tc, an_idle_entry_is_not_probed);
	tcase_add_test(tc, upper_layers_can_confirm);
	tcase_add_test(tc, only_a_request_to_us_makes_an_entry);
	tcase_add_test(tc, a_new_address_is_believed_but_not_at_once_again);
	tcase_add_test(tc, the_table_is_bounded_and_keeps_what_is_used);
	tcase_add_test(tc, a_scan_of_silent_hosts_is_bounded);
	tcase_add_test(tc, two_ports_are_two_links);
	tcase_add_test(tc, freeing_the_table_drops_what_waits);
	return unit_run("neigh", tc);
}
