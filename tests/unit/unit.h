/* What every Check program of tests/unit/ shares: the main function and a seed that is printed and
 * can be given as FASTNET_TEST_SEED. */
// SPDX-License-Identifier: MIT
#pragma once
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Runs the tests of one file; the status for main() to return. */
static inline int unit_run(const char *name, TCase *tc)
{
	Suite *s = suite_create(name);

	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline uint64_t unit_seed(void)
{
	const char *given = getenv("FASTNET_TEST_SEED");
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	uint64_t seed = given ? strtoull(given, NULL, 0) :
				(uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	printf("FASTNET_TEST_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}
