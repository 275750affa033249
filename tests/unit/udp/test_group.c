/* Memberships: Linux's ip_mc_*() errno by errno, source filters (RFC 3376 2 and 3.2), IP_MULTICAST_ALL. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "stack/base/util.h"
#include "tests/unit/udp/rig.h"

#define G "239.1.2.3"
#define A "10.0.0.8"
#define B "10.0.0.9"
#define C "10.0.0.10"

static int op(int i, enum udp_group_op what, const char *source)
{
	struct ipaddr g = ip(G), src = ip(source);

	return udp_group_op(&u.env, &u.s[i], what, &g, &src, 2);
}

/* Joining, leaving, blocking in sequence, with Linux's answers (bare run of the same calls). */
static const struct {
	enum udp_group_op op;
	const char *source;
	int err;
} steps[] = {
	{ UDP_LEAVE, NULL, -EADDRNOTAVAIL },
	{ UDP_BLOCK, A, -EINVAL },
	{ UDP_LEAVE_SOURCE, A, -EINVAL },
	{ UDP_JOIN, NULL, 0 },
	{ UDP_JOIN, NULL, -EADDRINUSE },
	{ UDP_UNBLOCK, A, -EADDRNOTAVAIL },
	{ UDP_BLOCK, A, 0 },
	{ UDP_BLOCK, A, -EADDRNOTAVAIL },
	{ UDP_JOIN_SOURCE, B, -EINVAL },
	{ UDP_UNBLOCK, A, 0 },
	{ UDP_JOIN_SOURCE, B, -EINVAL }, /* the mode is settled */
	{ UDP_LEAVE, NULL, 0 },
	{ UDP_JOIN_SOURCE, A, 0 },
	{ UDP_JOIN_SOURCE, A, -EADDRNOTAVAIL },
	{ UDP_JOIN_SOURCE, B, 0 },
	{ UDP_BLOCK, C, -EINVAL },
	{ UDP_JOIN, NULL, -EADDRINUSE },
	{ UDP_LEAVE_SOURCE, C, -EADDRNOTAVAIL },
	{ UDP_LEAVE_SOURCE, A, 0 },
	{ UDP_LEAVE_SOURCE, B, 0 }, /* the last one: left */
	{ UDP_LEAVE, NULL, -EADDRNOTAVAIL },
	{ UDP_JOIN, NULL, 0 },
	{ UDP_JOIN_SOURCE, A, 0 }, /* before the first source the mode may change */
	{ UDP_LEAVE, NULL, 0 },
};

START_TEST(membership_calls_answer_as_linux)
{
	struct ipaddr unicast = ip(A), none = ip(NULL);

	for (uint32_t i = 0; i < ARRAY_LEN(steps); i++) {
		int err = op(0, steps[i].op, steps[i].source);

		ck_assert_msg(err == steps[i].err, "step %u: %d", i, err);
	}
	ck_assert_int_eq(udp_group_op(&u.env, &u.s[0], UDP_JOIN, &unicast, &none, 2), -EINVAL);
	ck_assert_uint_eq(u.s[0].n_groups, 0);
}
END_TEST

START_TEST(limits_are_enobufs)
{
	for (uint32_t i = 0; i < UDP_GROUPS; i++) {
		struct ipaddr g = ipaddr_v4(0xef000001 + i), none = ip(NULL);

		ck_assert_int_eq(udp_group_op(&u.env, &u.s[0], UDP_JOIN, &g, &none, 2), 0);
	}
	ck_assert_int_eq(op(0, UDP_JOIN, NULL), -ENOBUFS);
	ck_assert_int_eq(op(1, UDP_JOIN, NULL), 0);
	for (uint32_t i = 0; i < UDP_SOURCES; i++) {
		struct ipaddr g = ip(G), src = ipaddr_v4(0x0a000100 + i);

		ck_assert_int_eq(udp_group_op(&u.env, &u.s[1], UDP_BLOCK, &g, &src, 2), 0);
	}
	ck_assert_int_eq(op(1, UDP_BLOCK, A), -ENOBUFS);
}
END_TEST

START_TEST(a_member_hears_what_its_filter_lets_through)
{
	bound(0, NULL, 5353);
	u.s[0].mcast_own = true;
	ck_assert_uint_eq(dgram(A, 1, G, 5353), 0);
	op(0, UDP_JOIN, NULL);
	ck_assert_uint_eq(dgram(A, 1, G, 5353), 1);
	op(0, UDP_BLOCK, A);
	ck_assert_uint_eq(dgram(A, 1, G, 5353), 0);
	ck_assert_uint_eq(dgram(B, 1, G, 5353), 1);
	op(0, UDP_LEAVE, NULL);
	op(0, UDP_JOIN_SOURCE, A);
	ck_assert_uint_eq(dgram(A, 1, G, 5353), 1);
	ck_assert_uint_eq(dgram(B, 1, G, 5353), 0);
}
END_TEST

/* ip(7): IP_MULTICAST_ALL, on by default, gives a socket the groups that others joined. */
START_TEST(others_memberships_count_unless_own_ones_are_asked_for)
{
	struct ipaddr g = ip(G), none = ip(NULL);

	bound(0, NULL, 5353);
	bound(1, NULL, 5353);
	bound(2, G, 5353);
	bound(3, A, 5353);
	op(0, UDP_JOIN, NULL);
	ck_assert_uint_eq(dgram(B, 1, G, 5353), 3);
	u.s[1].mcast_own = true;
	ck_assert_uint_eq(dgram(B, 1, G, 5353), 2);
	/* a membership on another interface is none here */
	ck_assert_int_eq(udp_group_op(&u.env, &u.s[1], UDP_JOIN, &g, &none, 3), 0);
	ck_assert_uint_eq(dgram(B, 1, G, 5353), 2);
	connected(&u.s[0], NULL, A, 7);
	ck_assert_uint_eq(dgram(B, 1, G, 5353), 1);
}
END_TEST

static bool in_list(const struct ipaddr *list, uint32_t n, const char *a)
{
	struct ipaddr want = ip(a);

	for (uint32_t i = 0; i < n; i++) {
		if (ipaddr_eq(&list[i], &want))
			return true;
	}
	return false;
}

/* RFC 3376 3.2, the example: s1 EXCLUDE {a,b,c}, s2 EXCLUDE {b,c,d}, s3 INCLUDE {d,e,f}, and without the
 * excluders. */
START_TEST(the_interface_state_is_merged)
{
	static const char *list[3][3] = { { "1.0.0.1", "1.0.0.2", "1.0.0.3" },
					  { "1.0.0.2", "1.0.0.3", "1.0.0.4" },
					  { "1.0.0.4", "1.0.0.5", "1.0.0.6" } };
	struct ipaddr g = ip(G), src[64];
	bool include;
	uint32_t n;

	ck_assert(!udp_group_state(&u.env, &g, 2, &include, src, 64, &n));
	ck_assert(include && n == 0);
	for (int i = 0; i < 3; i++) {
		if (i < 2)
			op(i, UDP_JOIN, NULL);
		for (int k = 0; k < 3; k++)
			ck_assert_int_eq(op(i, i < 2 ? UDP_BLOCK : UDP_JOIN_SOURCE, list[i][k]), 0);
	}
	ck_assert(udp_group_state(&u.env, &g, 2, &include, src, 64, &n));
	ck_assert(!include && n == 2);
	ck_assert(in_list(src, n, "1.0.0.2") && in_list(src, n, "1.0.0.3"));
	/* a wanted source is not blocked, though all excluders block it */
	op(2, UDP_JOIN_SOURCE, "1.0.0.2");
	ck_assert(udp_group_state(&u.env, &g, 2, &include, src, 64, &n));
	ck_assert(!include && n == 1 && in_list(src, n, "1.0.0.3"));
	op(0, UDP_LEAVE, NULL);
	op(1, UDP_LEAVE, NULL);
	op(1, UDP_JOIN_SOURCE, "1.0.0.4");
	op(1, UDP_JOIN_SOURCE, "1.0.0.9");
	ck_assert(udp_group_state(&u.env, &g, 2, &include, src, 64, &n));
	ck_assert(include && n == 5);
	/* more wanted than can be told: all are */
	ck_assert(udp_group_state(&u.env, &g, 2, &include, src, 4, &n));
	ck_assert(!include && n == 0);
	/* other interfaces have their own state */
	ck_assert(!udp_group_state(&u.env, &g, 3, &include, src, 64, &n));
}
END_TEST

/* As Linux's inet6_mc_check(): any membership in the group counts, of several the last one; which groups of
 * others are heard each family's option says. */
START_TEST(ipv6_groups_do_not_ask_for_the_interface)
{
	struct ipaddr g = ip("ff15::3"), none = ip("::"), a = ip("fd77::8");

	bound6(0, "::", 5353);
	u.s[0].mcast_own = u.s[0].mcast_own6 = true;
	ck_assert_uint_eq(dgram("fd77::8", 1, "ff15::3", 5353), 0);
	u.s[0].mcast_own6 = false;
	ck_assert_uint_eq(dgram("fd77::8", 1, "ff15::3", 5353), 1);
	u.s[0].mcast_own6 = true;
	ck_assert_uint_eq(udp_group_interface(&u.s[0], &g), 0);
	ck_assert_int_eq(udp_group_op(&u.env, &u.s[0], UDP_JOIN, &g, &none, 3), 0);
	ck_assert_uint_eq(dgram("fd77::8", 1, "ff15::3", 5353), 1);
	ck_assert_int_eq(udp_group_op(&u.env, &u.s[0], UDP_JOIN, &g, &none, 2), 0);
	ck_assert_int_eq(udp_group_op(&u.env, &u.s[0], UDP_BLOCK, &g, &a, 2), 0);
	ck_assert_uint_eq(udp_group_interface(&u.s[0], &g), 2);
	ck_assert_uint_eq(dgram("fd77::8", 1, "ff15::3", 5353), 0);
	ck_assert_uint_eq(dgram("fd77::9", 1, "ff15::3", 5353), 1);
}
END_TEST

START_TEST(the_host_hears_of_every_change)
{
	op(0, UDP_JOIN, NULL);
	ck_assert_uint_eq(u.n_changed, 1);
	op(0, UDP_BLOCK, A);
	ck_assert_uint_eq(u.n_changed, 2);
	bound(0, NULL, 53);
	udp_unbind(&u.env, &u.s[0]);
	ck_assert_uint_eq(u.n_changed, 3);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("group");

	tcase_add_checked_fixture(tc, urig_setup, urig_teardown);
	tcase_add_test(tc, membership_calls_answer_as_linux);
	tcase_add_test(tc, limits_are_enobufs);
	tcase_add_test(tc, a_member_hears_what_its_filter_lets_through);
	tcase_add_test(tc, others_memberships_count_unless_own_ones_are_asked_for);
	tcase_add_test(tc, the_interface_state_is_merged);
	tcase_add_test(tc, ipv6_groups_do_not_ask_for_the_interface);
	tcase_add_test(tc, the_host_hears_of_every_change);
	return unit_run("group", tc);
}
