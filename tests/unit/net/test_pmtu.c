/* The path-MTU cache: RFC 1191 3 and 6.3. */
// SPDX-License-Identifier: MIT
#include "stack/net/pmtu.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

#define DST 0x0a000001u

static struct pmtu p;
static uint64_t now = NSEC_PER_SEC;
static bool cut;

START_TEST(an_error_lowers_and_never_raises)
{
	ck_assert_uint_eq(pmtu_get(&p, DST, 1500, &cut, now), 1500);
	pmtu_set(&p, DST, 1400, now);
	ck_assert_uint_eq(pmtu_get(&p, DST, 1500, &cut, now), 1400);
	ck_assert_uint_eq(pmtu_get(&p, DST, 1300, &cut, now), 1300);
	pmtu_set(&p, DST, 1450, now);
	ck_assert_uint_eq(pmtu_get(&p, DST, 1500, &cut, now), 1400);
	pmtu_set(&p, DST, 1000, now);
	ck_assert_uint_eq(pmtu_get(&p, DST, 1500, &cut, now), 1000);
	ck_assert(!cut);
	ck_assert_uint_eq(pmtu_get(&p, DST + 1, 1500, &cut, now), 1500);
}
END_TEST

START_TEST(it_is_forgotten_after_ten_minutes)
{
	pmtu_set(&p, DST, 1400, now);
	now += PMTU_EXPIRES_S * NSEC_PER_SEC - 1;
	ck_assert_uint_eq(pmtu_get(&p, DST, 1500, &cut, now), 1400);
	now++;
	ck_assert_uint_eq(pmtu_get(&p, DST, 1500, &cut, now), 1500);
	pmtu_set(&p, DST, 1450, now);
	ck_assert_uint_eq(pmtu_get(&p, DST, 1500, &cut, now), 1450);
}
END_TEST

START_TEST(less_than_the_minimum_lets_routers_cut)
{
	pmtu_set(&p, DST, 100, now);
	ck_assert_uint_eq(pmtu_get(&p, DST, 1500, &cut, now), PMTU_MIN);
	ck_assert(cut);
}
END_TEST

START_TEST(a_flood_only_makes_it_forget)
{
	pmtu_set(&p, DST, 1400, now);
	for (uint32_t i = 1; i < 100000; i++)
		pmtu_set(&p, DST + i, 1000, now + i);
	ck_assert_uint_eq(pmtu_get(&p, DST, 1500, &cut, now), 1500);
	ck_assert_uint_eq(pmtu_get(&p, DST + 99999, 1500, &cut, now + 100000), 1000);
}
END_TEST

START_TEST(paths_of_ipv6_have_1280_at_least)
{
	const struct ipaddr a = { .b = { 0x20, 1, [15] = 1 } }, b = { .b = { 0x20, 1, [15] = 2 } };

	ck_assert_uint_eq(pmtu_get6(&p, &a, 1500, now), 1500);
	pmtu_set6(&p, &a, 1279, now); /* RFC 8201 4 */
	ck_assert_uint_eq(pmtu_get6(&p, &a, 1500, now), 1500);
	pmtu_set6(&p, &a, 1400, now);
	pmtu_set6(&p, &a, 1450, now);
	ck_assert_uint_eq(pmtu_get6(&p, &a, 1500, now), 1400);
	pmtu_set6(&p, &a, 1280, now);
	ck_assert_uint_eq(pmtu_get6(&p, &a, 1500, now), 1280);
	ck_assert_uint_eq(pmtu_get6(&p, &b, 1500, now), 1500);
	ck_assert_uint_eq(pmtu_get6(&p, &a, 1500, now + PMTU_EXPIRES_S * NSEC_PER_SEC), 1500);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pmtu");

	tcase_add_test(tc, an_error_lowers_and_never_raises);
	tcase_add_test(tc, it_is_forgotten_after_ten_minutes);
	tcase_add_test(tc, less_than_the_minimum_lets_routers_cut);
	tcase_add_test(tc, paths_of_ipv6_have_1280_at_least);
	tcase_add_test(tc, a_flood_only_makes_it_forget);
	return unit_run("pmtu", tc);
}
