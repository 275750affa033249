/* Two port tables of engines that share their addresses: what one has the other keeps off. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include "stack/base/util.h"
#include "stack/net/ports.h"
#include "tests/unit/unit.h"

enum { ALICE = 77, BOB = 78, US = 0x0a4d0002 };
static const uint64_t now = NSEC_PER_SEC;
static struct ports *old, *new;
static struct ports_view *old_view, *new_view;

static void setup(void)
{
	old = ports_new(65536, 1);
	new = ports_new(65536, 2);
	old_view = calloc(1, sizeof(*old_view));
	new_view = calloc(1, sizeof(*new_view));
}

static void share(void)
{
	ports_share(old, old_view, new_view, now);
	ports_share(new, new_view, old_view, now);
}

static void teardown(void)
{
	ck_assert_uint_eq(ports_count(old), 0);
	ck_assert_uint_eq(ports_count(new), 0);
	ports_free(old);
	ports_free(new);
	for (uint32_t i = 0; i < 65536; i++) {
		ck_assert(!ports_view_used(old_view, PORTS_TCP, (uint16_t)i));
		if (ports_view_used(new_view, PORTS_TCP, (uint16_t)i))
			ck_abort_msg("port %u is left over", i);
	}
	free(old_view);
	free(new_view);
}

static struct ports_req req(uint16_t port, uint32_t owner, uint32_t flags)
{
	return (struct ports_req){ .proto = PORTS_TCP, .flags = flags, .uid = 1000, .owner = owner,
				   .local = { .addr = ipaddr_v4(US), .port = port } };
}

static int bind_to(struct ports *p, struct ports_req r, struct port_hold **h)
{
	return ports_bind(p, &r, now, h);
}

START_TEST(a_port_of_the_other_engine_belongs_to_its_client)
{
	struct port_hold *a, *b, *c;

	ck_assert_int_eq(bind_to(old, req(80, ALICE, 0), &a), 0);
	share(); /* what was there before counts */
	ck_assert(ports_view_used(old_view, PORTS_TCP, 80));
	ck_assert(!ports_view_used(old_view, PORTS_UDP, 80));
	ck_assert_int_eq(bind_to(new, req(80, BOB, 0), &b), -EADDRINUSE);
	ck_assert_int_eq(bind_to(new, req(80, 0, 0), &b), -EADDRINUSE);
	ck_assert_int_eq(bind_to(new, req(80, ALICE, 0), &b), 0);
	ck_assert_int_eq(ports_listen(old, a, now), 0);
	ck_assert_int_eq(ports_listen(new, b, now), 0);
	ck_assert(ports_view_listens(new_view, 80));
	ports_unlisten(new, b);
	ck_assert(!ports_view_listens(new_view, 80));
	ports_put(old, a, 0);
	ck_assert(!ports_view_used(old_view, PORTS_TCP, 80));
	ports_put(new, b, 0);
	ck_assert_int_eq(bind_to(new, req(80, BOB, 0), &c), 0);
	/* And the other way round. */
	ck_assert_int_eq(bind_to(old, req(80, ALICE, 0), &a), -EADDRINUSE);
	ports_put(new, c, 0);
}
END_TEST

START_TEST(strangers_share_by_the_usual_rules)
{
	struct port_hold *a, *b;
	struct ports_req other = req(80, BOB, PORTS_REUSEPORT);

	share();
	ck_assert_int_eq(bind_to(old, req(80, ALICE, PORTS_REUSEPORT), &a), 0);
	ck_assert_int_eq(bind_to(new, other, &b), 0);
	ports_put(new, b, 0);
	other.uid = 5;
	ck_assert_int_eq(bind_to(new, other, &b), -EADDRINUSE);
	ports_put(old, a, 0);
	ck_assert_int_eq(bind_to(old, req(80, ALICE, PORTS_REUSEADDR), &a), 0);
	ck_assert_int_eq(bind_to(new, req(80, BOB, PORTS_REUSEADDR), &b), 0);
	ports_put(new, b, 0);
	ck_assert_int_eq(ports_listen(old, a, now), 0);
	ck_assert_int_eq(bind_to(new, req(80, BOB, PORTS_REUSEADDR), &b), -EADDRINUSE);
	ports_set_flags(old, a, 0);
	ports_unlisten(old, a);
	ck_assert_int_eq(bind_to(new, req(80, BOB, PORTS_REUSEADDR), &b), -EADDRINUSE);
	ports_put(old, a, 0);
}
END_TEST

START_TEST(two_reservations_of_a_port_tell_what_both_allow)
{
	struct port_hold *a, *b, *c;

	share();
	ck_assert_int_eq(bind_to(old, req(80, ALICE, PORTS_REUSEADDR), &a), 0);
	ck_assert_int_eq(bind_to(old, req(80, BOB, PORTS_REUSEADDR), &b), 0);
	/* Of two clients: nobody's in particular. */
	ck_assert_int_eq(bind_to(new, req(80, ALICE, 0), &c), -EADDRINUSE);
	ck_assert_int_eq(bind_to(new, req(80, ALICE, PORTS_REUSEADDR), &c), 0);
	ports_put(new, c, 0);
	ports_put(old, b, 0);
	ck_assert_int_eq(bind_to(new, req(80, ALICE, 0), &c), 0);
	ports_put(new, c, 0);
	ports_put(old, a, 0);
}
END_TEST

static bool any_port(void *arg, uint16_t port) { return true; }

START_TEST(chosen_ports_are_nobodys)
{
	struct port_hold *a[8], *b, *c;
	const struct endpoint to = { .addr = ipaddr_v4(US), .port = 80 };
	struct ports_req r = req(0, ALICE, 0);

	share();
	r.lo = 40000;
	r.hi = 40008;
	for (int i = 0; i < 8; i++) /* all but one */
		ck_assert_int_eq(bind_to(old, r, &a[i]), 0);
	ck_assert_int_eq(bind_to(new, r, &b), 0);
	ck_assert(!ports_view_used(old_view, PORTS_TCP, ports_local(b).port));
	ck_assert_int_eq(bind_to(new, r, &c), -EADDRINUSE);
	ck_assert_int_eq(ports_connect(new, &r, &to, any_port, NULL, now, &c), -EADDRNOTAVAIL);
	for (int i = 0; i < 8; i++)
		ports_put(old, a[i], 0);
	/* Those of connections are for more than one. */
	r.hi = ports_local(b).port == 40000 ? 40001 : 40000;
	r.lo = r.hi;
	ck_assert_int_eq(ports_connect(old, &r, &to, any_port, NULL, now, &a[0]), 0);
	ck_assert_int_eq(ports_connect(new, &r, &to, any_port, NULL, now, &c), 0);
	ports_put(new, c, 0);
	ports_put(old, a[0], 0);
	ports_put(new, b, 0);
}
END_TEST

/* The 4-tuples of an engine: bit i of *arg says that it has one from port 40000 + i. */
static bool free_port(void *arg, uint16_t port) { return !(*(uint32_t *)arg >> (port - 40000) & 1); }

/* One 4-tuple at both would take the other's answers: shared ones are the last to be given out. */
START_TEST(connections_keep_apart_as_long_as_they_can)
{
	struct port_hold *a, *b[4];
	const struct endpoint to = { .addr = ipaddr_v4(US), .port = 80 };
	struct ports_req r = req(0, ALICE, 0);
	uint32_t used = 0;
	uint16_t taken;

	share();
	r.lo = 40000;
	r.hi = 40003;
	ck_assert_int_eq(ports_connect(old, &r, &to, any_port, NULL, now, &a), 0);
	taken = ports_local(a).port;
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(ports_connect(new, &r, &to, free_port, &used, now, &b[i]), 0);
		ck_assert_int_eq(ports_local(b[i]).port == taken, i == 3);
		used |= 1u << (ports_local(b[i]).port - 40000);
	}
	for (int i = 0; i < 4; i++)
		ports_put(new, b[i], 0);
	ports_put(old, a, 0);
}
END_TEST

START_TEST(time_wait_is_told_until_it_is_over)
{
	struct port_hold *a, *b;

	share();
	ck_assert_int_eq(bind_to(old, req(80, ALICE, 0), &a), 0);
	ports_put(old, a, 5 * NSEC_PER_SEC);
	ck_assert_int_eq(bind_to(new, req(80, BOB, 0), &b), -EADDRINUSE);
	ports_sweep(old, 6 * NSEC_PER_SEC);
	ck_assert_int_eq(bind_to(new, req(80, BOB, 0), &b), 0);
	ports_put(new, b, 0);
}
END_TEST

START_TEST(alone_again)
{
	struct port_hold *a, *b;

	share();
	ck_assert_int_eq(bind_to(old, req(80, ALICE, 0), &a), 0);
	ports_share(new, NULL, NULL, now);
	ck_assert_int_eq(bind_to(new, req(80, BOB, 0), &b), 0);
	ports_put(new, b, 0);
	ports_put(old, a, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ports_share");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_port_of_the_other_engine_belongs_to_its_client);
	tcase_add_test(tc, strangers_share_by_the_usual_rules);
	tcase_add_test(tc, two_reservations_of_a_port_tell_what_both_allow);
	tcase_add_test(tc, chosen_ports_are_nobodys);
	tcase_add_test(tc, connections_keep_apart_as_long_as_they_can);
	tcase_add_test(tc, time_wait_is_told_until_it_is_over);
	tcase_add_test(tc, alone_again);
	return unit_run("ports_share", tc);
}
