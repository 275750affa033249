/* The engine's table of groups: filters of several workers merged (RFC 3376 3.2), changes told once, readers
 * beside writers. */
// SPDX-License-Identifier: MIT
#include "stack/net/mcast.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include "stack/base/util.h"
#include "tests/unit/unit.h"

#define G 0xef010203u
#define A 0x0a000001u
#define B 0x0a000002u

static struct mcast *m;
static void setup(void) { m = mcast_new(3, 5); }
static void teardown(void) { mcast_free(m); }

static int set(uint32_t worker, uint32_t group, bool include, uint32_t n, uint32_t s0, uint32_t s1)
{
	struct mcast_state s = { .include = include, .n = n, .src = { ipaddr_v4(s0), ipaddr_v4(s1) } };
	struct ipaddr g = ipaddr_v4(group);

	return mcast_set(m, worker, &g, 2, &s);
}

static bool wants_in(const struct mcast *table, uint32_t group, uint32_t ifindex, uint32_t src)
{
	struct ipaddr g = ipaddr_v4(group), a = ipaddr_v4(src);

	return mcast_wants(table, &g, ifindex, &a);
}
static bool wants(uint32_t group, uint32_t src) { return wants_in(m, group, 2, src); }

static bool is_joined(uint32_t group)
{
	struct ipaddr g = ipaddr_v4(group);

	return mcast_is_joined(m, &g, 2);
}

START_TEST(only_joined_groups_are_wanted)
{
	ck_assert(!wants(G, A));
	ck_assert(!wants_in(NULL, G, 2, A));
	ck_assert(wants(MCAST_ALL_HOSTS, A));
	ck_assert_int_eq(set(1, G, false, 0, 0, 0), 0);
	ck_assert(wants(G, A));
	ck_assert(!wants_in(m, G, 3, A));
	ck_assert(!wants(G + 1, A));
	ck_assert(is_joined(G));
	set(1, G, true, 0, 0, 0);
	ck_assert(!wants(G, A));
}
END_TEST

START_TEST(filters_of_workers_are_merged)
{
	set(0, G, true, 1, A, 0);
	ck_assert(wants(G, A) && !wants(G, B));
	set(1, G, true, 1, B, 0);
	ck_assert(wants(G, A) && wants(G, B));
	ck_assert(!wants(G, B + 1));
	set(2, G, false, 2, B, B + 1); /* B is wanted by worker 1 */
	ck_assert(wants(G, B) && !wants(G, B + 1));
	ck_assert(wants(G, B + 2));
	set(0, G, false, 1, B + 1, 0);
	ck_assert(!wants(G, B + 1));
	set(0, G, false, 1, B + 2, 0);
	ck_assert(wants(G, B + 1));
	set(2, G, true, 0, 0, 0);
	set(0, G, true, 0, 0, 0);
	ck_assert(wants(G, B) && !wants(G, A));
}
END_TEST

START_TEST(more_sources_than_can_be_told_are_all)
{
	struct mcast_state s = { .include = true, .n = MCAST_SOURCES };
	struct ipaddr g = ipaddr_v4(G);

	for (uint32_t w = 0; w < 2; w++) {
		for (uint32_t i = 0; i < MCAST_SOURCES; i++)
			s.src[i] = ipaddr_v4(A + w * MCAST_SOURCES + i);
		ck_assert_int_eq(mcast_set(m, w, &g, 2, &s), 0);
	}
	ck_assert(wants(G, 1));
}
END_TEST

START_TEST(changes_are_told_once)
{
	struct mcast_change c;

	ck_assert(!mcast_has_change(m) && !mcast_next_change(m, &c));
	set(0, G, false, 0, 0, 0);
	set(1, G, true, 1, A, 0);
	ck_assert(mcast_has_change(m));
	ck_assert(mcast_next_change(m, &c));
	ck_assert_uint_eq(ipaddr_get_v4(&c.group), G);
	ck_assert_uint_eq(c.ifindex, 2);
	ck_assert(!c.state.include && c.state.n == 0);
	ck_assert(!mcast_next_change(m, &c));
	set(0, G, true, 0, 0, 0);
	ck_assert(mcast_next_change(m, &c));
	ck_assert(c.state.include && c.state.n == 1);
	set(1, G, true, 0, 0, 0);
	ck_assert(mcast_next_change(m, &c));
	ck_assert(!mcast_is_member(&c.state));
	ck_assert(!is_joined(G));
}
END_TEST

/* One table, one rule for both families: an IPv6 group, its sources, and groups that differ in the last bit
 * or in the interface. */
START_TEST(ipv6_groups_are_told_apart)
{
	const struct ipaddr g = { .b = { 0xff, 5, [15] = 1 } }, h = { .b = { 0xff, 5, [14] = 1 } };
	const struct ipaddr a = { .b = { 0x20, 1, [15] = 1 } }, b = { .b = { 0x20, 1, [15] = 2 } };
	const struct ipaddr node = { .b = { 0xff, 1, [15] = 1 } }, link = { .b = { 0xff, 2, [15] = 1 } };
	const struct ipaddr mapped = ipaddr_v4(0xef000001);
	struct mcast_state s = { .include = true, .n = 1, .src = { a } };
	struct mcast_change c;

	ck_assert(!mcast_wants(m, &g, 2, &a));
	ck_assert_int_eq(mcast_set(m, 1, &g, 2, &s), 0);
	ck_assert(mcast_wants(m, &g, 2, &a) && !mcast_wants(m, &g, 2, &b));
	ck_assert(!mcast_wants(m, &h, 2, &a) && !mcast_wants(m, &g, 3, &a));
	ck_assert(!mcast_wants(m, &mapped, 2, &a));
	ck_assert(mcast_is_joined(m, &g, 2) && !mcast_is_joined(m, &h, 2));
	ck_assert(mcast_next_change(m, &c));
	ck_assert(ipaddr_eq(&c.group, &g) && c.ifindex == 2 && c.state.n == 1);
	ck_assert(ipaddr_eq(&c.state.src[0], &a));
	/* RFC 3810 6: all nodes, without anybody's doing */
	ck_assert(mcast_wants(NULL, &node, 2, &a) && mcast_wants(m, &link, 2, &a));
	ck_assert(mcast_is_joined(NULL, &link, 2));
}
END_TEST

/* Entries come and go without marks that would fill the table. */
START_TEST(the_table_does_not_wear_out)
{
	struct mcast_change c;

	for (uint32_t i = 0; i < 20 * MCAST_SLOTS; i++) {
		ck_assert_int_eq(set(0, G + i, false, 0, 0, 0), 0);
		ck_assert(wants(G + i, A));
		set(0, G + i, true, 0, 0, 0);
		ck_assert(mcast_next_change(m, &c));
	}
	uint32_t n = 0;
	while (n < MCAST_SLOTS && set(0, G + n, false, 0, 0, 0) == 0)
		n++;
	ck_assert_uint_gt(n, MCAST_SLOTS / 4);
	ck_assert_int_eq(set(0, G + n, false, 0, 0, 0), n < MCAST_SLOTS ? -ENOBUFS : 0);
}
END_TEST

static _Atomic bool stop;
static void *reader(void *arg)
{
	uint64_t wrong = 0;

	while (!atomic_load(&stop)) {
		/* The writer alternates between A and B wanted, and all but B + 1: A always is, and isn't
		 * in any mixture of the two. */
		wrong += !wants(G, A);
	}
	return (void *)(uintptr_t)wrong;
}

START_TEST(a_reader_sees_one_state_or_the_other)
{
	pthread_t th;
	void *wrong;

	set(0, G, true, 2, A, B);
	pthread_create(&th, NULL, reader, NULL);
	for (int i = 0; i < 200000; i++)
		set(0, G, i & 1, i & 1 ? 2 : 1, i & 1 ? A : B + 1, B);
	atomic_store(&stop, true);
	pthread_join(th, &wrong);
	ck_assert_ptr_null(wrong);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mcast");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, only_joined_groups_are_wanted);
	tcase_add_test(tc, filters_of_workers_are_merged);
	tcase_add_test(tc, more_sources_than_can_be_told_are_all);
	tcase_add_test(tc, changes_are_told_once);
	tcase_add_test(tc, ipv6_groups_are_told_apart);
	tcase_add_test(tc, the_table_does_not_wear_out);
	tcase_add_test(tc, a_reader_sees_one_state_or_the_other);
	return unit_run("mcast", tc);
}
