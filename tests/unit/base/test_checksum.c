/* Checksums: the example of RFC 1071, and both fast forms against a byte-by-byte sum. */
// SPDX-License-Identifier: MIT
#include "stack/base/checksum.h"
#include <string.h>
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

/* Straight from RFC 1071 1: 16-bit big-endian words, carries added at the end. */
static uint16_t naive(const uint8_t *p, size_t n, uint32_t start)
{
	uint64_t s = start;

	for (size_t i = 0; i < n; i++)
		s += i % 2 ? p[i] : (uint64_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

/* One's complement has two zeros; only their class is defined for a partial sum. */
static bool same(uint16_t a, uint16_t b) { return a % 0xffff == b % 0xffff; }

static uint16_t plain(uint32_t sum) { return be16_get((be16){ csum_fold_plain(sum) }); }

START_TEST(the_example_of_rfc_1071_section_3_sums_to_ddf2)
{
	const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	ck_assert_uint_eq(plain(csum_add(0, bytes, sizeof(bytes))), 0xddf2);
}
END_TEST

START_TEST(a_message_with_its_checksum_sums_to_zero)
{
	uint8_t h[20] = { 0x45, 0, 0,  0x54, 0x12, 0x34, 0x40, 0,  64, 1,
			  0,	0, 10, 77,   0,	   1,	 10,   77, 0,  2 };
	uint16_t c = csum_fold(csum_add(0, h, sizeof(h)));

	memcpy(h + 10, &c, 2);
	ck_assert_uint_eq(csum_fold(csum_add(0, h, sizeof(h))), 0);
	h[3] ^= 1;
	ck_assert_uint_ne(csum_fold(csum_add(0, h, sizeof(h))), 0);
}
END_TEST

START_TEST(a_known_tcp_checksum_over_ipv4_is_reproduced)
{
	/* SYN from 10.0.0.1:1 to 10.0.0.2:2, seq 1, window 1: summed by hand. */
	const uint8_t seg[20] = {
		0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0, 1, 0, 0, 0, 0
	};
	struct ipaddr src = ipaddr_v4(0x0a000001), dst = ipaddr_v4(0x0a000002);
	uint32_t sum = csum_add(csum_pseudo(&src, &dst, 6, 20), seg, 20);

	/* 0a00+0001+0a00+0002+0006+0014 + 0001+0002+0001+5002+0001 = 6424 */
	ck_assert_uint_eq(be16_get((be16){ csum_fold(sum) }), 0xffff - 0x6424);
}
END_TEST

START_TEST(the_pseudo_header_of_ipv6_counts_all_of_both_addresses)
{
	struct ipaddr src = { .b = { 0xfe, 0x80, [15] = 1 } },
		      dst = { .b = { 0xff, 0x02, [15] = 2 } };
	uint8_t bytes[40];

	memcpy(bytes, &src, 16);
	memcpy(bytes + 16, &dst, 16);
	store_be32(bytes + 32, 0x12345);
	store_be32(bytes + 36, 58);
	ck_assert(same(plain(csum_pseudo(&src, &dst, 58, 0x12345)), naive(bytes, 40, 0)));
}
END_TEST

START_TEST(fast_sums_and_copies_agree_with_the_naive_sum_at_every_length_and_alignment)
{
	static uint8_t from[700], to[700];
	struct rng r;

	rng_seed(&r, unit_seed());
	for (size_t n = 0; n <= 600; n++) {
		uint32_t a = rng_below(&r, 64), b = rng_below(&r, 64);
		bool ones = n % 3 == 0;

		for (size_t i = 0; i < sizeof(from); i++)
			from[i] = ones ? 0xff : (uint8_t)rng_u64(&r);
		memset(to, 0x5a, sizeof(to));
		uint16_t want = naive(from + a, n, 0);
		ck_assert_msg(same(plain(csum_add(0, from + a, n)), want), "add, n=%zu", n);
		ck_assert_msg(same(plain(csum_copy(to + b, from + a, n, 0)), want), "copy, n=%zu",
			      n);
		ck_assert_mem_eq(to + b, from + a, n);
		ck_assert(to[b + n] == 0x5a && (b == 0 || to[b - 1] == 0x5a));
	}
}
END_TEST

START_TEST(a_sum_in_even_pieces_equals_the_sum_in_one)
{
	static uint8_t from[65536], to[65536];
	struct rng r;

	rng_seed(&r, unit_seed());
	for (int round = 0; round < 200; round++) {
		size_t n = rng_below(&r, sizeof(from)) + 1, at = 0;
		uint32_t start = (uint32_t)rng_u64(&r), sum = start;

		for (size_t i = 0; i < n; i++)
			from[i] = round % 4 ? (uint8_t)rng_u64(&r) : 0xff;
		while (at < n) {
			size_t piece = min_u64(rng_below(&r, 3000) * 2u, n - at);

			sum = round % 2 ? csum_add(sum, from + at, piece) :
					  csum_copy(to + at, from + at, piece, sum);
			at += piece;
		}
		uint32_t words = (uint32_t)be16_get((be16){ csum_fold_plain(start) });
		ck_assert(same(plain(sum), naive(from, n, words)));
		ck_assert(
			same(plain(csum_join(csum_add(0, from, n), start)), naive(from, n, words)));
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("checksum");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_example_of_rfc_1071_section_3_sums_to_ddf2);
	tcase_add_test(tc, a_message_with_its_checksum_sums_to_zero);
	tcase_add_test(tc, a_known_tcp_checksum_over_ipv4_is_reproduced);
	tcase_add_test(tc, the_pseudo_header_of_ipv6_counts_all_of_both_addresses);
	tcase_add_test(tc,
		       fast_sums_and_copies_agree_with_the_naive_sum_at_every_length_and_alignment);
	tcase_add_test(tc, a_sum_in_even_pieces_equals_the_sum_in_one);
	return unit_run("base/checksum", tc);
}
