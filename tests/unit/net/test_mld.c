/* MLD as a host speaks it: RFC 3810 5.2 and 6, and with version 1 queriers 8. */
// SPDX-License-Identifier: MIT
#include "stack/net/mld.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/mld.h"
#include "tests/unit/unit.h"

static struct stats stats;
static struct netif nif = { .name = "unit0" };
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
static bool is_record(uint32_t i, uint32_t k, enum mld_record type, const struct ipaddr *group)
{
	const uint8_t *r = sent[i].b + MLD2_REPORT_HDR + k * MLD2_RECORD_HDR;

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
	ck_assert(is_record(0, 0, MLD_TO_EX, &A));
	pass_ms(1000); /* RFC 3810 9.11 */
	ck_assert_uint_eq(n_sent, 2);
	ck_assert(is_record(1, 0, MLD_TO_EX, &A));
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
	ck_assert(is_record(0, 0, MLD_TO_IN, &A) && is_record(1, 0, MLD_TO_IN, &A));
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
	ck_assert(is_record(0, 0, MLD_IS_EX, &B));
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
	ck_assert(ipaddr_eq(&sent[0].dst, &A) && ipaddr_eq(&sent[1].dst, &B));
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

int main(void)
{
	TCase *tc = tcase_create("mld");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_join_is_told_twice);
	tcase_add_test(tc, the_last_leave_is_told_twice_and_forgotten);
	tcase_add_test(tc, a_general_query_is_answered_once_for_all);
	tcase_add_test(tc, a_query_about_one_group_is_answered_for_it);
	tcase_add_test(tc, an_old_querier_is_answered_in_its_words);
	tcase_add_test(tc, what_every_station_hears_is_not_told);
	tcase_add_test(tc, groups_have_a_limit);
	tcase_add_test(tc, bad_queries_are_dropped);
	return unit_run("mld", tc);
}
