/* The flow hash against DPDK's Toeplitz over the same key, and its symmetry. */
// SPDX-License-Identifier: MIT
#include "stack/net/flow.h"
#include <rte_thash.h>
#include "stack/base/rng.h"
#include "tests/unit/unit.h"

static struct rng rng;

static void setup(void) { rng_seed(&rng, unit_seed()); }

START_TEST(equals_toeplitz_with_the_symmetric_key)
{
	uint8_t key[40];

	for (int i = 0; i < 40; i++)
		key[i] = i & 1 ? FLOW_RSS_KEY & 0xff : FLOW_RSS_KEY >> 8;
	for (int i = 0; i < 10000; i++) {
		uint32_t src = (uint32_t)rng_u64(&rng), dst = (uint32_t)rng_u64(&rng);
		uint16_t sport = (uint16_t)rng_u64(&rng), dport = (uint16_t)rng_u64(&rng);
		uint32_t tuple[3] = { src, dst, (uint32_t)sport << 16 | dport };

		ck_assert_uint_eq(flow_hash_fold(flow_fold4(src, dst, sport, dport)),
				  rte_softrss(tuple, 3, key));
	}
}
END_TEST

START_TEST(both_directions_and_both_forms_agree)
{
	for (int i = 0; i < 1000; i++) {
		uint32_t a = (uint32_t)rng_u64(&rng), b = (uint32_t)rng_u64(&rng);
		uint16_t p = (uint16_t)rng_u64(&rng), q = (uint16_t)rng_u64(&rng);
		struct ipaddr a6 = ipaddr_v4(a), b6 = ipaddr_v4(b);
		uint32_t w = flow_worker4(a, b, p, q, 5);

		ck_assert_uint_lt(w, 5);
		ck_assert_uint_eq(flow_worker4(b, a, q, p, 5), w);
		ck_assert_uint_eq(flow_worker6(&a6, &b6, p, q, 5), w);
	}
}
END_TEST

START_TEST(ports_in_a_row_spread_evenly)
{
	uint32_t n[4] = { 0 };

	for (uint16_t p = 40000; p < 44000; p++)
		n[flow_worker4(0x0a4d0001, 0x0a4d0002, p, 80, 4)]++;
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_gt(n[i], 800);
		ck_assert_uint_lt(n[i], 1200);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("flow");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, equals_toeplitz_with_the_symmetric_key);
	tcase_add_test(tc, both_directions_and_both_forms_agree);
	tcase_add_test(tc, ports_in_a_row_spread_evenly);
	return unit_run("flow", tc);
}
