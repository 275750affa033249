/* Generators: published vectors of SipHash-2-4 and xoshiro256**, and the bounds of rng_below. */
// SPDX-License-Identifier: MIT
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

/* Output for key 00 01 .. 0f and message 00 01 .. n-1; n = 15 is worked out in the paper's
 * appendix, the others are in the reference package. */
static const struct {
	uint32_t n;
	uint64_t want;
} vectors[] = {
	{ 0, 0x726fdb47dd0e0e31 }, { 1, 0x74f839c593dc67fd }, { 2, 0x0d6c8009d9a94f5a },
	{ 3, 0x85676696d7fb7e2d }, { 4, 0xcf2794e0277187b7 }, { 5, 0x18765564cd99a68d },
	{ 6, 0xcbc9466e58fee3ce }, { 7, 0xab0200f58b01d137 }, { 8, 0x93f5f5799a932462 },
	{ 15, 0xa129ca6149be45e5 },
};

START_TEST(siphash_gives_the_published_values)
{
	struct siphash_key key = { { 0x0706050403020100, 0x0f0e0d0c0b0a0908 } };
	uint8_t message[16];

	for (uint8_t i = 0; i < sizeof(message); i++)
		message[i] = i;
	ck_assert_uint_eq(siphash(&key, message, vectors[_i].n), vectors[_i].want);
}
END_TEST

START_TEST(siphash_does_not_depend_on_alignment)
{
	struct siphash_key key = { { 1, 2 } };
	uint8_t a[40] = "0123456789abcdefghijklm", b[40] = "-0123456789abcdefghijklm";

	for (uint32_t n = 0; n <= 23; n++)
		ck_assert_uint_eq(siphash(&key, a, n), siphash(&key, b + 1, n));
}
END_TEST

START_TEST(xoshiro_seeded_by_splitmix_of_zero_starts_as_published)
{
	struct rng r;

	rng_seed(&r, 0);
	ck_assert_uint_eq(r.s[0], 0xe220a8397b1dcdaf);
	ck_assert_uint_eq(r.s[1], 0x6e789e6aa1b965f4);
	ck_assert_uint_eq(rng_u64(&r), 0x99ec5f36cb75f2b4);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_sequence_and_another_does_not)
{
	struct rng a, b, c;

	rng_seed(&a, 42);
	rng_seed(&b, 42);
	rng_seed(&c, 43);
	for (int i = 0; i < 100; i++) {
		uint64_t v = rng_u64(&a);

		ck_assert_uint_eq(v, rng_u64(&b));
		ck_assert_uint_ne(v, rng_u64(&c));
	}
}
END_TEST

START_TEST(below_stays_below_and_reaches_every_value)
{
	struct rng r;
	uint32_t seen[7] = { 0 };

	rng_seed(&r, unit_seed());
	for (int i = 0; i < 70000; i++) {
		uint32_t v = rng_below(&r, 7);

		ck_assert_uint_lt(v, 7);
		seen[v]++;
	}
	for (int i = 0; i < 7; i++) /* 10 standard deviations: one run in 10^22 fails by chance */
		ck_assert(seen[i] > 9070 && seen[i] < 10930);
	ck_assert_uint_eq(rng_below(&r, 1), 0);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_lt(rng_below(&r, 0xffffffff), 0xffffffff);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("rng");

	tcase_add_loop_test(tc, siphash_gives_the_published_values, 0, ARRAY_LEN(vectors));
	tcase_add_test(tc, siphash_does_not_depend_on_alignment);
	tcase_add_test(tc, xoshiro_seeded_by_splitmix_of_zero_starts_as_published);
	tcase_add_test(tc, the_same_seed_gives_the_same_sequence_and_another_does_not);
	tcase_add_test(tc, below_stays_below_and_reaches_every_value);
	return unit_run("base/rng", tc);
}
