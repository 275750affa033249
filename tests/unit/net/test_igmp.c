/* The host's side of IGMP: what is said, when, how often and in which version (RFC 3376, RFC 2236). */
// SPDX-License-Identifier: MIT
#include "stack/net/igmp.h"
#include <string.h>
#include "stack/base/be.h"
#include "stack/base/checksum.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/wire/igmp.h"
#include "tests/unit/unit.h"

#define G 0xef010203u
#define G2 0xef010204u
#define A 0x0a000001u
#define B 0x0a000002u
#define C 0x0a000003u

static struct stats stats;
static struct netif nif = { .index = 1, .mtu = 1500 };
static struct igmp *ig;
static uint64_t now;

/* What was sent, decoded: for version 3 one entry a record. */
static struct said {
	uint8_t type; /* IGMP_T_ of old versions, or GMP_IS_IN.. */
	uint32_t dst, group, n, src[64];
} said[1024];
static uint32_t n_said, n_packets;

static void on_send(void *arg, struct netif *on, uint32_t dst, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	ck_assert_ptr_eq(on, &nif);
	ck_assert_uint_le(n, 1476);
	ck_assert_uint_eq(csum_fold(csum_add(0, p, n)), 0);
	n_packets++;
	if (b[0] != IGMP_T_REPORT3) {
		ck_assert_uint_eq(n, 8);
		said[n_said++] = (struct said){ .type = b[0], .dst = dst, .group = load_be32(b + 4) };
		return;
	}
	ck_assert_uint_eq(dst, IGMP_V3_ROUTERS); /* RFC 3376 4.2.14 */
	uint32_t at = 8;
	for (uint32_t i = 0; i < load_be16(b + 6); i++) {
		struct said *s = &said[n_said++];

		*s = (struct said){ .type = b[at], .dst = dst, .n = load_be16(b + at + 2),
				    .group = load_be32(b + at + 4) };
		for (uint32_t k = 0; k < s->n && k < 64; k++)
			s->src[k] = load_be32(b + at + 8 + 4 * k);
		at += 8 + 4 * s->n;
	}
	ck_assert_uint_eq(at, n);
}

static const struct igmp_ops ops = { on_send };

static void setup(void)
{
	now = 1000 * NSEC_PER_SEC;
	n_said = n_packets = 0;
	stats_this_thread = &stats;
	ig = igmp_new(&ops, NULL, 7, now);
}
static void teardown(void) { igmp_free(ig); }

/* Time passes; how many entries were said meanwhile. */
static uint32_t after_ms(uint32_t ms)
{
	uint64_t end = now + ms * NSEC_PER_MSEC;

	n_said = n_packets = 0;
	igmp_advance(ig, now);
	while (igmp_next_ns(ig) <= end) {
		now = max_u64(now, igmp_next_ns(ig));
		igmp_advance(ig, now);
	}
	now = end;
	igmp_advance(ig, now);
	return n_said;
}

static void set(uint32_t group, bool include, uint32_t n, uint32_t s0, uint32_t s1)
{
	struct mcast_state s = { .include = include, .n = n, .src = { ipaddr_v4(s0), ipaddr_v4(s1) } };
	struct ipaddr g = ipaddr_v4(group);

	igmp_set(ig, &nif, &g, &s, now);
}
static void join(uint32_t group) { set(group, false, 0, 0, 0); }
static void leave(uint32_t group) { set(group, true, 0, 0, 0); }

/* A query; version 3 when version is 3, else 1 or 2. */
static void query(int version, uint32_t group, uint32_t dst, uint8_t code, uint32_t n, const uint32_t *src)
{
	uint8_t b[300] = { IGMP_T_QUERY, version == 1 ? 0 : code };
	uint32_t len = version == 3 ? 12 + 4 * n : 8;

	store_be32(b + 4, group);
	if (version == 3) {
		b[8] = 2;
		b[9] = 125;
		store_be16(b + 10, (uint16_t)n);
		for (uint32_t i = 0; i < n; i++)
			store_be32(b + 12 + 4 * i, src[i]);
	}
	uint16_t c = csum_fold(csum_add(0, b, len));
	memcpy(b + 2, &c, 2);
	igmp_input(ig, &nif, dst, b, len, now);
}

static void heard_report(uint8_t type, uint32_t group)
{
	uint8_t b[8];

	igmp_emit(type, group, b);
	igmp_input(ig, &nif, group, b, 8, now);
}

static void is_said(uint32_t i, uint8_t type, uint32_t group, uint32_t n, uint32_t s0, uint32_t s1)
{
	ck_assert_uint_lt(i, n_said);
	ck_assert_uint_eq(said[i].type, type);
	ck_assert_uint_eq(said[i].group, group);
	ck_assert_uint_eq(said[i].n, n);
	if (n > 0)
		ck_assert(said[i].src[0] == s0 || said[i].src[0] == s1);
	if (n > 1)
		ck_assert_uint_eq(said[i].src[0] ^ said[i].src[1], s0 ^ s1);
}

/* RFC 3376 5.1: at once, and [Robustness] - 1 times more within the unsolicited interval. */
START_TEST(a_join_is_told_twice)
{
	join(G);
	ck_assert_uint_eq(after_ms(0), 1);
	is_said(0, GMP_TO_EX, G, 0, 0, 0);
	ck_assert_uint_eq(after_ms(1001), 1);
	is_said(0, GMP_TO_EX, G, 0, 0, 0);
	ck_assert_uint_eq(after_ms(100000), 0);
	ck_assert_uint_eq(igmp_groups(ig), 1);
}
END_TEST

START_TEST(a_leave_is_told_twice_and_forgotten)
{
	join(G);
	after_ms(5000);
	leave(G);
	ck_assert_uint_eq(after_ms(0), 1);
	is_said(0, GMP_TO_IN, G, 0, 0, 0);
	ck_assert_uint_eq(igmp_groups(ig), 1);
	ck_assert_uint_eq(after_ms(1001), 1);
	ck_assert_uint_eq(igmp_groups(ig), 0);
	ck_assert_uint_eq(after_ms(100000), 0);
}
END_TEST

/* RFC 3376 5: 224.0.0.1 is never reported. */
START_TEST(all_hosts_is_not_reported)
{
	join(MCAST_ALL_HOSTS);
	ck_assert_uint_eq(after_ms(5000), 0);
	ck_assert_uint_eq(igmp_groups(ig), 0);
}
END_TEST

START_TEST(a_join_taken_back_before_the_repetition_is_a_leave)
{
	join(G);
	ck_assert_uint_eq(after_ms(0), 1);
	leave(G);
	ck_assert_uint_eq(after_ms(5000), 2);
	is_said(0, GMP_TO_IN, G, 0, 0, 0);
	is_said(1, GMP_TO_IN, G, 0, 0, 0);
}
END_TEST

/* The table of RFC 3376 5.1. */
static const struct {
	const char *name;
	bool inc1;
	uint32_t n1, a1, b1;
	bool inc2;
	uint32_t n2, a2, b2;
	struct {
		uint8_t type;
		uint32_t n, a, b;
	} want[2];
} changes[] = {
	{ "INCLUDE(A) to INCLUDE(B)", true, 1, A, 0, true, 1, B, 0,
	  { { GMP_ALLOW, 1, B, B }, { GMP_BLOCK, 1, A, A } } },
	{ "EXCLUDE(A) to EXCLUDE(B)", false, 1, A, 0, false, 1, B, 0,
	  { { GMP_ALLOW, 1, A, A }, { GMP_BLOCK, 1, B, B } } },
	{ "INCLUDE(A) to EXCLUDE(B)", true, 1, A, 0, false, 1, B, 0, { { GMP_TO_EX, 1, B, B } } },
	{ "EXCLUDE(A) to INCLUDE(B)", false, 1, A, 0, true, 1, B, 0, { { GMP_TO_IN, 1, B, B } } },
	{ "nobody to INCLUDE(A,B)", true, 0, 0, 0, true, 2, A, B, { { GMP_ALLOW, 2, A, B } } },
	{ "INCLUDE(A) to nobody", true, 1, A, 0, true, 0, 0, 0, { { GMP_BLOCK, 1, A, A } } },
	{ "INCLUDE(A,B) to INCLUDE(B)", true, 2, A, B, true, 1, B, 0, { { GMP_BLOCK, 1, A, A } } },
	{ "EXCLUDE() to EXCLUDE(A,B)", false, 0, 0, 0, false, 2, A, B, { { GMP_BLOCK, 2, A, B } } },
};

START_TEST(source_changes_make_these_records)
{
	set(G, changes[_i].inc1, changes[_i].n1, changes[_i].a1, changes[_i].b1);
	after_ms(5000);
	set(G, changes[_i].inc2, changes[_i].n2, changes[_i].a2, changes[_i].b2);
	uint32_t n = changes[_i].want[1].type ? 2 : 1;

	for (int times = 0; times < 2; times++) {
		ck_assert_msg(after_ms(times ? 1001 : 0) == n, "%s", changes[_i].name);
		ck_assert_uint_eq(n_packets, 1);
		for (uint32_t i = 0; i < n; i++)
			is_said(i, changes[_i].want[i].type, G, changes[_i].want[i].n,
				changes[_i].want[i].a, changes[_i].want[i].b);
	}
	ck_assert_uint_eq(after_ms(5000), 0);
}
END_TEST

/* RFC 3376 5.1: changes between repetitions are merged, each told as often as it must. */
START_TEST(changes_in_a_row_are_merged)
{
	set(G, true, 1, A, 0);
	ck_assert_uint_eq(after_ms(0), 1);
	set(G, true, 2, A, B);
	ck_assert_uint_eq(after_ms(0), 1);
	is_said(0, GMP_ALLOW, G, 2, A, B); /* A for the second time */
	ck_assert_uint_eq(after_ms(1001), 1);
	is_said(0, GMP_ALLOW, G, 1, B, B);
	ck_assert_uint_eq(after_ms(5000), 0);
	/* a source taken back is blocked, not allowed any more */
	set(G, true, 3, A, B);
	after_ms(0);
	set(G, true, 2, A, B);
	ck_assert_uint_eq(after_ms(5000), 2);
	is_said(0, GMP_BLOCK, G, 1, 0, 0);
	/* a mode change says it all */
	set(G, false, 1, C, 0);
	ck_assert_uint_eq(after_ms(0), 1);
	set(G, false, 0, 0, 0);
	ck_assert_uint_eq(after_ms(0), 1);
	is_said(0, GMP_TO_EX, G, 0, 0, 0);
	ck_assert_uint_eq(after_ms(5000), 1);
	is_said(0, GMP_ALLOW, G, 1, C, C);
}
END_TEST

START_TEST(joins_of_one_moment_share_a_report)
{
	for (uint32_t i = 0; i < 300; i++)
		join(G + i);
	ck_assert_uint_eq(after_ms(0), 300);
	ck_assert_uint_eq(n_packets, 2); /* 8 bytes each, 1468 in the first */
}
END_TEST

/* RFC 3376 5.2: within the time that the querier gives, once, in one report. */
START_TEST(a_general_query_is_answered)
{
	join(G);
	set(G2, true, 1, A, 0);
	after_ms(5000);
	query(3, 0, MCAST_ALL_HOSTS, 100, 0, NULL);
	ck_assert_uint_gt(igmp_next_ns(ig), now);
	ck_assert_uint_eq(after_ms(10001), 2);
	ck_assert_uint_eq(n_packets, 1);
	is_said(0, GMP_IS_EX, G, 0, 0, 0);
	is_said(1, GMP_IS_IN, G2, 1, A, A);
	ck_assert_uint_eq(after_ms(100000), 0);
	/* 1: a second one while the answer is due soon */
	query(3, 0, MCAST_ALL_HOSTS, 1, 0, NULL);
	query(3, 0, MCAST_ALL_HOSTS, 100, 0, NULL);
	query(3, G, G, 100, 0, NULL);
	ck_assert_uint_le(after_ms(101), 3);
	ck_assert_uint_ge(n_said, 2);
	/* 9.1: a forged one */
	query(3, 0, G, 1, 0, NULL);
	ck_assert_uint_eq(after_ms(100000), 0);
}
END_TEST

START_TEST(answers_come_at_different_times)
{
	uint64_t first = 0, last = 0;

	join(G);
	after_ms(5000);
	for (int i = 0; i < 50; i++) {
		query(3, 0, MCAST_ALL_HOSTS, 100, 0, NULL);
		uint64_t delay = igmp_next_ns(ig) - now;

		first = i ? min_u64(first, delay) : delay;
		last = max_u64(last, delay);
		ck_assert_uint_eq(after_ms(10001), 1);
	}
	ck_assert_uint_lt(first, 2 * NSEC_PER_SEC);
	ck_assert_uint_gt(last, 7 * NSEC_PER_SEC);
}
END_TEST

/* RFC 3376 5.2 3 to 5. */
START_TEST(queries_about_a_group_and_its_sources_are_answered)
{
	const uint32_t ab[] = { A, B }, bc[] = { B, C }, c[] = { C };

	join(G);
	set(G2, true, 2, A, B);
	after_ms(5000);
	query(3, G, G, 10, 0, NULL);
	ck_assert_uint_eq(after_ms(1001), 1);
	is_said(0, GMP_IS_EX, G, 0, 0, 0);
	query(3, G2, G2, 10, 2, bc);
	ck_assert_uint_eq(after_ms(1001), 1);
	is_said(0, GMP_IS_IN, G2, 1, B, B);
	query(3, G2, G2, 10, 1, c); /* not heard: nothing to say */
	ck_assert_uint_eq(after_ms(1001), 0);
	query(3, G, G, 10, 2, ab); /* EXCLUDE: all that is not blocked */
	ck_assert_uint_eq(after_ms(1001), 1);
	is_said(0, GMP_IS_IN, G, 2, A, B);
	set(G, false, 1, A, 0);
	after_ms(5000);
	query(3, G, G, 10, 2, ab);
	query(3, G, G, 10, 1, c); /* 5: together */
	ck_assert_uint_eq(after_ms(1001), 1);
	is_said(0, GMP_IS_IN, G, 2, B, C);
	query(3, G, G, 10, 2, ab);
	query(3, G, G, 10, 0, NULL); /* 4: then about all */
	ck_assert_uint_eq(after_ms(1001), 1);
	is_said(0, GMP_IS_EX, G, 1, A, A);
	query(3, 0xef999999, 0xef999999, 10, 0, NULL);
	ck_assert_uint_eq(after_ms(5000), 0);
}
END_TEST

/* A forged query may name more sources than we remember. */
START_TEST(too_many_sources_are_answered_as_all)
{
	uint32_t many[70];

	for (uint32_t i = 0; i < 70; i++)
		many[i] = 0x0b000000 + i;
	join(G);
	after_ms(5000);
	query(3, G, G, 10, 70, many);
	ck_assert_uint_eq(after_ms(1001), 1);
	is_said(0, GMP_IS_EX, G, 0, 0, 0);
}
END_TEST

static void become_v2(void)
{
	query(2, 0, MCAST_ALL_HOSTS, 1, 0, NULL);
	after_ms(200);
}

/* RFC 2236 3 and 6, RFC 3376 7.2.1. */
START_TEST(with_an_old_querier_version_2_is_spoken)
{
	become_v2();
	join(G);
	ck_assert_uint_eq(after_ms(0), 1);
	is_said(0, IGMP_T_REPORT2, G, 0, 0, 0);
	ck_assert_uint_eq(said[0].dst, G);
	ck_assert_uint_eq(after_ms(10001), 1);
	set(G, false, 1, A, 0); /* sources have no words there */
	ck_assert_uint_eq(after_ms(10001), 0);
	query(2, 0, MCAST_ALL_HOSTS, 100, 0, NULL);
	ck_assert_uint_eq(after_ms(10001), 1);
	is_said(0, IGMP_T_REPORT2, G, 0, 0, 0);
	query(2, G2, G2, 100, 0, NULL);
	ck_assert_uint_eq(after_ms(10001), 0);
	query(3, G, G, 10, 0, NULL); /* a newer query meanwhile changes nothing */
	ck_assert_uint_eq(after_ms(1001), 1);
	is_said(0, IGMP_T_REPORT2, G, 0, 0, 0);
	leave(G);
	ck_assert_uint_eq(n_said, 2);
	is_said(1, IGMP_T_LEAVE, G, 0, 0, 0);
	ck_assert_uint_eq(said[1].dst, IGMP_ALL_ROUTERS);
	ck_assert_uint_eq(igmp_groups(ig), 0);
}
END_TEST

/* RFC 2236 3: who hears another member's report says nothing, and at the end need not leave. */
START_TEST(a_report_of_another_member_suppresses_ours)
{
	become_v2();
	join(G);
	after_ms(20000);
	query(2, 0, MCAST_ALL_HOSTS, 100, 0, NULL);
	heard_report(IGMP_T_REPORT2, G);
	ck_assert_uint_eq(after_ms(10001), 0);
	leave(G);
	ck_assert_uint_eq(n_said, 0);
	/* never in version 3 */
	after_ms(300000);
	join(G);
	after_ms(5000);
	query(3, 0, MCAST_ALL_HOSTS, 100, 0, NULL);
	heard_report(IGMP_T_REPORT2, G);
	ck_assert_uint_eq(after_ms(10001), 1);
}
END_TEST

/* RFC 2236 4: version 1 knows no leaves and waits up to 10 s. */
START_TEST(with_a_version_1_querier_there_are_no_leaves)
{
	query(1, 0, MCAST_ALL_HOSTS, 0, 0, NULL);
	join(G);
	ck_assert_uint_eq(after_ms(10001), 2);
	is_said(0, IGMP_T_REPORT1, G, 0, 0, 0);
	query(2, 0, MCAST_ALL_HOSTS, 1, 0, NULL); /* version 1 wins, and its 10 s */
	uint32_t early = after_ms(150);
	ck_assert_uint_eq(early + after_ms(10001), 1);
	n_said = 0;
	leave(G);
	ck_assert_uint_eq(n_said, 0);
	ck_assert_uint_eq(igmp_groups(ig), 0);
}
END_TEST

/* RFC 3376 7.2.1 and 8.12: 2 * 125 s and the response time after the last old query. */
START_TEST(version_3_is_back_when_the_old_querier_is_gone)
{
	join(G);
	become_v2();
	ck_assert_uint_eq(after_ms(240000), 0);
	join(G2);
	ck_assert_uint_eq(after_ms(0), 1);
	is_said(0, IGMP_T_REPORT2, G2, 0, 0, 0);
	after_ms(11000);
	leave(G2);
	ck_assert_uint_eq(after_ms(0), 1);
	is_said(0, GMP_TO_IN, G2, 0, 0, 0);
}
END_TEST

START_TEST(a_change_of_version_cancels_what_was_pending)
{
	join(G);
	ck_assert_uint_eq(after_ms(0), 1);
	leave(G2);
	set(G2, true, 1, A, 0);
	leave(G2);
	query(2, G2, G2, 255, 0, NULL);
	ck_assert_uint_eq(after_ms(30000), 0);
	ck_assert_uint_eq(igmp_groups(ig), 1);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("igmp");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_join_is_told_twice);
	tcase_add_test(tc, a_leave_is_told_twice_and_forgotten);
	tcase_add_test(tc, all_hosts_is_not_reported);
	tcase_add_test(tc, a_join_taken_back_before_the_repetition_is_a_leave);
	tcase_add_loop_test(tc, source_changes_make_these_records, 0, ARRAY_LEN(changes));
	tcase_add_test(tc, changes_in_a_row_are_merged);
	tcase_add_test(tc, joins_of_one_moment_share_a_report);
	tcase_add_test(tc, a_general_query_is_answered);
	tcase_add_test(tc, answers_come_at_different_times);
	tcase_add_test(tc, queries_about_a_group_and_its_sources_are_answered);
	tcase_add_test(tc, too_many_sources_are_answered_as_all);
	tcase_add_test(tc, with_an_old_querier_version_2_is_spoken);
	tcase_add_test(tc, a_report_of_another_member_suppresses_ours);
	tcase_add_test(tc, with_a_version_1_querier_there_are_no_leaves);
	tcase_add_test(tc, version_3_is_back_when_the_old_querier_is_gone);
	tcase_add_test(tc, a_change_of_version_cancels_what_was_pending);
	return unit_run("igmp", tc);
}
