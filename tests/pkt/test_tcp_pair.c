/* Randomised: two cores, a bad wire, thousands of short connections. The seed is printed when one
 * fails; FASTNET_TEST_SEED=n runs that one alone, FASTNET_PAIR_END=0 or 1 only one of the tests,
 * FASTNET_PAIR_RUNS sets how many, FASTNET_PAIR_SHOW prints the segments. */
// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/pkt/pair.h"

enum { RUNS = 2500 };

static void run(enum pair_end end)
{
	const char *one = getenv("FASTNET_TEST_SEED"), *many = getenv("FASTNET_PAIR_RUNS");
	const char *only = getenv("FASTNET_PAIR_END");
	uint64_t first = one ? strtoull(one, NULL, 0) : 1;
	uint64_t runs = one ? 1 : many ? strtoull(many, NULL, 0) : RUNS;
	char why[PAIR_WHY];

	if (only && strtoul(only, NULL, 0) != end)
		return;
	for (uint64_t seed = first; seed < first + runs; seed++) {
		if (pair_run(seed, end, why))
			ck_abort_msg("seed %llu: %s", (unsigned long long)seed, why);
	}
	printf("%llu scenarios, %llu segments\n", (unsigned long long)runs,
	       (unsigned long long)pair_segments());
}

START_TEST(all_bytes_arrive_both_ways_on_a_bad_wire)
{
	run(PAIR_POLITE);
}
END_TEST

START_TEST(nothing_is_left_when_somebody_leaves_early)
{
	run(PAIR_RUDE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tcp_pair");
	TCase *tc = tcase_create("tcp_pair");

	tcase_add_test(tc, all_bytes_arrive_both_ways_on_a_bad_wire);
	tcase_add_test(tc, nothing_is_left_when_somebody_leaves_early);
	tcase_set_timeout(tc, 110);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
