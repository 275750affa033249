/* MLD as a host speaks it: RFC 3810 5.2 and 6, and with version 1 queriers 8. */
// SPDX-License-Identifier: MIT
#include "stack/net/mld.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/mld.h"
#include "tests/unit/unit.h"

static struct stats stats;
static struct netif nif = { .name = "unit0", .mtu = 1500 };
static struct mld *m;
static uint64_t now;
static struct {
	struct ipaddr dst;
	uint8_t b[1500];
	uint32_t n;
} sent[64];
static uint32_t n_sent;
static const struct ipaddr A = { .b = { 0xff, 2, [11] = 1, 0xff, 0, 0, 2 } };
static const struct ipaddr B = { .b = { 0xff, 2, [11] = 1, 0xff, 0, 0, 3 } };
static const struct ipaddr C = { .b = { 0xff, 5, [15] = 7 } };

static void on_send(void *arg, struct netif *i, const struct ipaddr *dst, void *p, uint32_t n)
{
	ck_assert_uint_lt(n_sent, ARRAY_LEN(sent));
	sent[n_sent].dst = *dst;
	sent[n_sent].n = n;
	memcpy(sent[n_sent++].b, p, n);
}
static const struct mld_ops ops = { .send = on_send };

static void setup(void)
{
	stats_this_thread = &stats;
	memset(&stats, 0, sizeof(stats));
	now = 100 * NSEC_PER_SEC;
	n_sent = 0;
	m = mld_new(&ops, NULL, 3, now);
}
static void teardown(void) { mld_free(m); }

static void pass_ms(uint64_t ms)
{
	uint64_t end = now + ms * NSEC_PER_MSEC;

	for (int i = 0; i < 1000 && mld_next_ns(m) <= end; i++) {
		now = max_u64(now, mld_next_ns(m));
		mld_advance(m, now);
	}
	now = end;
}

static uint16_t n_records(uint32_t i) { return load_be16(sent[i].b + 6); }
static bool is_record(uint32_t i, uint32_t k, enum gmp_record type, const struct ipaddr *group)
{
	const uint8_t *r = sent[i].b + GMP_REPORT_HDR + k * (GMP_RECORD_HDR + GMP_IP6);

	return sent[i].b[0] == ICMP6_T_MLD_REPORT2 && r[0] == type && memcmp(r + 4, group, 16) == 0;
}

static void query(uint8_t version, const struct ipaddr *group, uint16_t resp_ms)
{
	uint8_t b[MLD2_QUERY_MIN] = { ICMP6_T_MLD_QUERY };

	store_be16(b + 4, resp_ms);
	if (group)
		memcpy(b + 8, group, 16);
	b[24] = 3; /* robustness */
	mld_input(m, &nif, b, version == 1 ? MLD1_LEN : MLD2_QUERY_MIN, now);
}

/* A and B are joined, and that has been told. */
static void both_joined(void)
{
	mld_join(m, &nif, &A, now);
	mld_join(m, &nif, &B, now);
	pass_ms(20000);
	n_sent = 0;
}

START_TEST(a_join_is_told_twice)
{
	const struct ipaddr routers = ip6_link_group(0x16);

	mld_join(m, &nif, &A, now);
	mld_join(m, &nif, &A, now);
	pass_ms(0);
	ck_assert_uint_eq(n_sent, 1);
	ck_assert(ipaddr_eq(&sent[0].dst, &routers));
	ck_assert_uint_eq(n_records(0), 1);
	ck_assert(is_record(0, 0, GMP_TO_EX, &A));
	pass_ms(1000); /* RFC 3810 9.11 */
	ck_assert_uint_eq(n_sent, 2);
	ck_assert(is_record(1, 0, GMP_TO_EX, &A));
	pass_ms(100000);
	ck_assert_uint_eq(n_sent, 2);
}
END_TEST

START_TEST(the_last_leave_is_told_twice_and_forgotten)
{
	both_joined();
	mld_join(m, &nif, &A, now);
	mld_leave(m, &nif, &A, now);
	pass_ms(5000);
	ck_assert_uint_eq(n_sent, 0);
	mld_leave(m, &nif, &A, now);
	pass_ms(5000);
	ck_assert_uint_eq(n_sent, 2);
	ck_assert(is_record(0, 0, GMP_TO_IN, &A) && is_record(1, 0, GMP_TO_IN, &A));
	query(2, &A, 1000);
	pass_ms(5000);
	ck_assert_uint_eq(n_sent, 2);
	mld_leave(m, &nif, &A, now); /* one too many is none */
	pass_ms(5000);
	ck_assert_uint_eq(n_sent, 2);
}
END_TEST

START_TEST(a_general_query_is_answered_once_for_all)
{
	both_joined();
	query(2, NULL, 1000);
	query(2, NULL, 1000);
	query(2, &A, 5000); /* 6.2: the answer about all comes sooner, or says it twice */
	pass_ms(1000);
	ck_assert_uint_ge(n_sent, 1);
	ck_assert_uint_eq(n_records(0) + (n_sent > 1 ? n_records(1) : 0), n_sent > 1 ? 3 : 2);
	query(2, NULL, 1000);
	n_sent = 0;
	pass_ms(6000);
	ck_assert_uint_ge(n_sent, 1);
}
END_TEST

START_TEST(a_query_about_one_group_is_answered_for_it)
{
	both_joined();
	query(2, &B, 1000);
	pass_ms(1000);
	ck_assert_uint_eq(n_sent, 1);
	ck_assert_uint_eq(n_records(0), 1);
	ck_assert(is_record(0, 0, GMP_IS_EX, &B));
	query(2, &(struct ipaddr){ .b = { 0xff, 2, [15] = 77 } }, 1000);
	pass_ms(5000);
	ck_assert_uint_eq(n_sent, 1);
}
END_TEST

START_TEST(an_old_querier_is_answered_in_its_words)
{
	const struct ipaddr routers = ip6_link_group(2);

	both_joined();
	query(1, NULL, 1000);
	pass_ms(1000);
	ck_assert_uint_eq(n_sent, 2);
	ck_assert_int_eq(sent[0].b[0], ICMP6_T_MLD_REPORT1);
	/* RFC 2710 4: each after a time of its own */
	int a = ipaddr_eq(&sent[1].dst, &A);
	ck_assert(ipaddr_eq(&sent[a].dst, &A) && ipaddr_eq(&sent[!a].dst, &B));
	ck_assert_uint_eq(sent[0].n, MLD1_LEN);
	mld_leave(m, &nif, &A, now);
	pass_ms(20000);
	ck_assert_uint_eq(n_sent, 3);
	ck_assert_int_eq(sent[2].b[0], ICMP6_T_MLD_DONE);
	ck_assert(ipaddr_eq(&sent[2].dst, &routers)); /* RFC 2710 4 */
	pass_ms(600000); /* RFC 3810 9.12: it is not there any more */
	query(2, NULL, 1000);
	pass_ms(1000);
	ck_assert_int_eq(sent[3].b[0], ICMP6_T_MLD_REPORT2);
}
END_TEST

/* RFC 2710 4: who hears another member's report says nothing, and need not say "done" at the end. */
START_TEST(a_report_of_another_member_suppresses_ours)
{
	uint8_t b[MLD1_LEN];

	both_joined();
	query(1, NULL, 1000);
	mld_emit1(ICMP6_T_MLD_REPORT1, &A, b);
	mld_input(m, &nif, b, sizeof(b), now);
	pass_ms(1000);
	ck_assert_uint_eq(n_sent, 1);
	ck_assert(ipaddr_eq(&sent[0].dst, &B));
	mld_leave(m, &nif, &A, now);
	pass_ms(20000);
	ck_assert_uint_eq(n_sent, 1);
}
END_TEST

static struct mcast_state state(bool include, uint32_t n, uint8_t s0, uint8_t s1)
{
	return (struct mcast_state){
		.include = include, .n = n,
		.src = { { .b = { 0x20, 1, [15] = s0 } }, { .b = { 0x20, 1, [15] = s1 } } },
	};
}

static void set(bool include, uint32_t n, uint8_t s0, uint8_t s1)
{
	const struct mcast_state s = state(include, n, s0, s1);

	mld_set(m, &nif, &A, &s, now);
}

/* Report i has record k of this type and with these sources, in any order. */
static void is_told_of(uint32_t i, uint32_t at, enum gmp_record type, uint32_t n, uint8_t s0, uint8_t s1)
{
	const uint8_t *r = sent[i].b + GMP_REPORT_HDR + at;

	ck_assert_uint_lt(i, n_sent);
	ck_assert_uint_eq(r[0], type);
	ck_assert_uint_eq(load_be16(r + 2), n);
	ck_assert_mem_eq(r + 4, A.b, 16);
	if (n == 1)
		ck_assert_uint_eq(r[20 + 15], s0);
	if (n == 2)
		ck_assert_uint_eq(r[20 + 15] ^ r[36 + 15], s0 ^ s1);
}

/* The table of RFC 3810 6.1. */
static const struct {
	bool inc1;
	uint32_t n1;
	uint8_t a1, b1;
	bool inc2;
	uint32_t n2;
	uint8_t a2, b2;
	struct {
		enum gmp_record type;
		uint32_t n;
		uint8_t a, b;
	} want[2];
} changes[] = {
	{ true, 1, 1, 0, true, 1, 2, 0, { { GMP_ALLOW, 1, 2, 0 }, { GMP_BLOCK, 1, 1, 0 } } },
	{ false, 1, 1, 0, false, 1, 2, 0, { { GMP_ALLOW, 1, 1, 0 }, { GMP_BLOCK, 1, 2, 0 } } },
	{ true, 1, 1, 0, false, 1, 2, 0, { { GMP_TO_EX, 1, 2, 0 } } },
	{ false, 1, 1, 0, true, 1, 2, 0, { { GMP_TO_IN, 1, 2, 0 } } },
	{ true, 0, 0, 0, true, 2, 1, 2, { { GMP_ALLOW, 2, 1, 2 } } },
	{ true, 1, 1, 0, true, 0, 0, 0, { { GMP_BLOCK, 1, 1, 0 } } },
	{ false, 0, 0, 0, false, 2, 1, 2, { { GMP_BLOCK, 2, 1, 2 } } },
};

START_TEST(source_changes_make_these_records)
{
	uint32_t n = changes[_i].want[1].type ? 2 : 1;

	set(changes[_i].inc1, changes[_i].n1, changes[_i].a1, changes[_i].b1);
	pass_ms(5000);
	n_sent = 0;
	set(changes[_i].inc2, changes[_i].n2, changes[_i].a2, changes[_i].b2);
	pass_ms(5000);
	ck_assert_uint_eq(n_sent, 2); /* robustness */
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t at = 0;

		ck_assert_uint_eq(n_records(i), n);
		for (uint32_t k = 0; k < n; k++) {
			is_told_of(i, at, changes[_i].want[k].type, changes[_i].want[k].n,
				   changes[_i].want[k].a, changes[_i].want[k].b);
			at += 20 + 16 * changes[_i].want[k].n;
		}
		ck_assert_uint_eq(sent[i].n, GMP_REPORT_HDR + at);
	}
}
END_TEST

/* RFC 3810 5.2.12: of the sources asked about those that are heard. */
START_TEST(a_query_about_sources_is_answered_for_them)
{
	uint8_t b[MLD2_QUERY_MIN + 32] = { ICMP6_T_MLD_QUERY };
	const struct mcast_state s = state(true, 2, 1, 2);

	set(true, 2, 1, 2);
	pass_ms(5000);
	n_sent = 0;
	store_be16(b + 4, 1000);
	memcpy(b + 8, A.b, 16);
	b[27] = 2;
	memcpy(b + 28, s.src[1].b, 16);
	memcpy(b + 44, A.b, 16); /* not a source of ours */
	mld_input(m, &nif, b, sizeof(b), now);
	pass_ms(1000);
	ck_assert_uint_eq(n_sent, 1);
	is_told_of(0, 0, GMP_IS_IN, 1, 2, 0);
}
END_TEST

/* A group that one of the port's addresses needs stays, whatever the sockets do. */
START_TEST(addresses_and_sockets_share_a_group)
{
	mld_join(m, &nif, &A, now);
	pass_ms(5000);
	n_sent = 0;
	set(true, 1, 1, 0);
	set(true, 0, 0, 0);
	set(true, 1, 1, 0);
	pass_ms(5000);
	ck_assert_uint_eq(n_sent, 0);
	mld_leave(m, &nif, &A, now); /* what a socket wants remains */
	pass_ms(0);
	ck_assert_uint_eq(n_sent, 1);
	is_told_of(0, 0, GMP_TO_IN, 1, 1, 0);
	pass_ms(5000);
	n_sent = 0;
	mld_join(m, &nif, &A, now);
	pass_ms(5000);
	is_told_of(0, 0, GMP_TO_EX, 0, 0, 0);
	set(true, 0, 0, 0);
	mld_leave(m, &nif, &A, now);
	pass_ms(5000);
	ck_assert_uint_eq(mld_groups(m), 0);
}
END_TEST

START_TEST(many_groups_take_several_reports)
{
	const struct mcast_state all = { .include = false };
	struct ipaddr g = A;

	for (int i = 0; i < 200; i++) {
		g.b[14] = (uint8_t)i;
		mld_set(m, &nif, &g, &all, now);
	}
	pass_ms(0);
	ck_assert_uint_eq(n_sent, 3); /* 72 records of 20 bytes fit beside the headers */
	ck_assert_uint_eq(n_records(0) + n_records(1) + n_records(2), 200);
	ck_assert_uint_le(sent[0].n, 1500 - 48);
}
END_TEST

START_TEST(what_every_station_hears_is_not_told)
{
	const struct ipaddr all = ip6_link_group(1), own = { .b = { 0xff, 1, [15] = 9 } };

	mld_join(m, &nif, &all, now);
	mld_join(m, &nif, &own, now);
	query(2, NULL, 10);
	pass_ms(5000);
	ck_assert_uint_eq(n_sent, 0);
}
END_TEST

START_TEST(groups_have_a_limit)
{
	struct ipaddr g = A;

	for (int i = 0; i < 100; i++) {
		g.b[15] = (uint8_t)i;
		mld_join(m, &nif, &g, now);
	}
	ck_assert_uint_eq(stats.v[STAT_mld_drop_full], 100 - MLD_GROUPS);
	pass_ms(0);
	ck_assert_uint_eq(n_records(0), MLD_GROUPS);
}
END_TEST

START_TEST(bad_queries_are_dropped)
{
	uint8_t b[64] = { ICMP6_T_MLD_QUERY };

	both_joined();
	mld_input(m, &nif, b, 23, now);
	mld_input(m, &nif, b, 25, now); /* RFC 3810 8.1: neither version */
	b[27] = 1; /* a source that is not there */
	mld_input(m, &nif, b, 28, now);
	b[27] = 0;
	b[8] = 0x20; /* no group */
	mld_input(m, &nif, b, 28, now);
	pass_ms(5000);
	ck_assert_uint_eq(n_sent, 0);
	ck_assert_uint_eq(stats.v[STAT_mld_drop_bad], 4);
}
END_TEST

START_TEST(rows_are_the_groups_that_are_heard)
{
	const struct mcast_state some = { .include = true, .n = 2, .src = { A, B } };
	struct mcast_row row[3];
	uint64_t cursor = 0;

	ck_assert_uint_eq(mld_rows(m, &cursor, row, 3), 0);
	both_joined();
	ck_assert_uint_eq(mld_rows(m, &cursor, row, 1), 1);
	ck_assert(ipaddr_eq(&row[0].group, &A) && !row[0].include && row[0].n_sources == 0);
	ck_assert_uint_eq(mld_rows(m, &cursor, row, 1), 1);
	ck_assert(ipaddr_eq(&row[0].group, &B));
	ck_assert_uint_eq(mld_rows(m, &cursor, row, 1), 0);
	mld_leave(m, &nif, &A, now); /* still to be told, but no longer heard */
	mld_set(m, &nif, &C, &some, now);
	cursor = 0;
	ck_assert_uint_eq(mld_rows(m, &cursor, row, 3), 2);
	ck_assert(ipaddr_eq(&row[1].group, &C) && row[1].include && row[1].n_sources == 2);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mld");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_join_is_told_twice);
	tcase_add_test(tc, the_last_leave_is_told_twice_and_forgotten);
	tcase_add_test(tc, rows_are_the_groups_that_are_heard);
	tcase_add_test(tc, a_general_query_is_answered_once_for_all);
	tcase_add_test(tc, a_query_about_one_group_is_answered_for_it);
	tcase_add_test(tc, an_old_querier_is_answered_in_its_words);
	tcase_add_test(tc, a_report_of_another_member_suppresses_ours);
	tcase_add_loop_test(tc, source_changes_make_these_records, 0, ARRAY_LEN(changes));
	tcase_add_test(tc, a_query_about_sources_is_answered_for_them);
	tcase_add_test(tc, addresses_and_sockets_share_a_group);
	tcase_add_test(tc, many_groups_take_several_reports);
	tcase_add_test(tc, what_every_station_hears_is_not_told);
	tcase_add_test(tc, groups_have_a_limit);
	tcase_add_test(tc, bad_queries_are_dropped);
	return unit_run("mld", tc);
}
