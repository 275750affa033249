/* Reassembly: order, overlaps, limits, time. */
// SPDX-License-Identifier: MIT
#include "stack/net/ip4_frag.h"
#include "stack/base/rng.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

enum { SRC = 0x0a4d0001, DST = 0x0a4d0002 };
static struct ip4_reass *r;
static struct stats counted;
static uint64_t now;
static uint8_t payload[65535];
static uint8_t tos; /* of the next fragments */
static const uint8_t *out;
static uint32_t out_len;
static struct ip4 out_h;

static void setup(void)
{
	tos = 0;
	memset(&counted, 0, sizeof(counted));
	stats_this_thread = &counted;
	now = NSEC_PER_SEC;
	r = ip4_reass_new(5, now);
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 251);
}
static void teardown(void) { ip4_reass_free(r); }

static bool frag_of(uint32_t src, uint16_t id, uint32_t off, uint32_t n, bool more)
{
	out_h = (struct ip4){ .src = src, .dst = DST, .id = id, .proto = IP_PROTO_UDP, .ttl = 64,
			      .tos = tos, .hdr_len = 20, .total_len = (uint16_t)(20 + n),
			      .frag_off = (uint16_t)off, .more_frags = more };
	return ip4_reass_input(r, &out_h, payload + off, n, &out, &out_len, now);
}
static bool frag(uint32_t off, uint32_t n, bool more) { return frag_of(SRC, 1, off, n, more); }

static void whole(uint32_t len)
{
	ck_assert_uint_eq(out_len, len);
	ck_assert_mem_eq(out, payload, len);
	ck_assert_uint_eq(out_h.total_len, len + 20);
	ck_assert(!ip4_is_fragment(&out_h));
	ck_assert_uint_eq(ip4_reass_blocks(r), 0);
	ck_assert_uint_eq(ip4_reass_datagrams(r), 0);
}

START_TEST(in_order)
{
	ck_assert(!frag(0, 1480, true));
	ck_assert(!frag(1480, 1480, true));
	ck_assert(frag(2960, 100, false));
	whole(3060);
	ck_assert_uint_eq(counted.v[STAT_ip4_frag_ok], 1);
}
END_TEST

START_TEST(backwards)
{
	ck_assert(!frag(2960, 100, false));
	ck_assert(!frag(1480, 1480, true));
	ck_assert(frag(0, 1480, true));
	whole(3060);
}
END_TEST

START_TEST(any_order_and_size_up_to_the_largest_datagram)
{
	struct rng rng;
	uint32_t off[4096], n = 0, max = IP4_TOTAL_MAX - 20;

	rng_seed(&rng, unit_seed());
	for (uint32_t at = 0; at < max;) {
		off[n++] = at;
		at += 8 * (32 + rng_below(&rng, 800));
	}
	off[n] = max;
	uint32_t order[4096], last = n - 1;
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t j = rng_below(&rng, i + 1), x = order[i];

		order[i] = order[j];
		order[j] = x;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = order[i];
		bool done = frag(off[k], off[k + 1] - off[k], k != last);

		ck_assert_int_eq(done, i == n - 1);
	}
	whole(max);
}
END_TEST

START_TEST(large_fragments_span_blocks)
{
	ck_assert(!frag(0, 8000, true));
	ck_assert_uint_eq(ip4_reass_blocks(r), 4);
	ck_assert(!frag(0, 8000, true)); /* repeated */
	ck_assert(frag(8000, 777, false));
	whole(8777);
}
END_TEST

static const struct {
	const char *name;
	uint32_t off, n;
	bool more;
} overlaps[] = {
	{ "the same start, shorter", 1480, 800, true },
	{ "the same start, longer", 1480, 2960, true },
	{ "inside", 1600, 80, true },
	{ "across the start", 1400, 800, true },
	{ "across the end", 2800, 1480, true },
	{ "around", 800, 4000, true },
	{ "the end inside", 1480, 400, false },
	{ "an end before what is there", 0, 800, false },
};

START_TEST(an_overlap_drops_the_datagram)
{
	ck_assert(!frag(1480, 1480, true));
	ck_assert_msg(!frag(overlaps[_i].off, overlaps[_i].n, overlaps[_i].more), "%s",
		      overlaps[_i].name);
	ck_assert_uint_eq(counted.v[STAT_ip4_frag_drop_overlap], 1);
	ck_assert_uint_eq(ip4_reass_blocks(r), 0);
	/* What is still to come does not start it again. */
	ck_assert(!frag(0, 1480, true));
	ck_assert(!frag(1480, 1480, true));
	ck_assert(!frag(2960, 8, false));
	ck_assert_uint_eq(ip4_reass_blocks(r), 0);
}
END_TEST

START_TEST(two_ends_do_not_agree)
{
	ck_assert(!frag(2960, 100, false));
	ck_assert(!frag(4000, 100, false));
	ck_assert_uint_eq(counted.v[STAT_ip4_frag_drop_overlap], 1);
}
END_TEST

START_TEST(nothing_lies_beyond_the_end)
{
	ck_assert(!frag(2960, 96, false));
	ck_assert(!frag(4000, 80, true));
	ck_assert_uint_eq(counted.v[STAT_ip4_frag_drop_overlap], 1);
}
END_TEST

START_TEST(a_repeated_fragment_is_harmless)
{
	ck_assert(!frag(0, 1480, true));
	ck_assert(!frag(0, 1480, true));
	ck_assert(frag(1480, 100, false));
	whole(1580);
}
END_TEST

/* The codepoints of three fragments, and that of the datagram; -1: none comes out. */
static const struct { uint8_t ecn[3]; int whole; } marks[] = {
	{ { 0, 0, 0 }, 0 },  { { 2, 2, 2 }, 2 }, { { 1, 1, 1 }, 1 },  { { 2, 1, 2 }, 2 }, { { 3, 3, 3 }, 3 },
	{ { 2, 2, 3 }, 3 },  { { 3, 1, 1 }, 3 }, { { 1, 3, 2 }, 3 },  { { 0, 0, 3 }, -1 },
	{ { 0, 2, 2 }, -1 }, { { 2, 2, 0 }, -1 }, { { 1, 0, 1 }, -1 }, { { 3, 2, 0 }, -1 },
};

START_TEST(one_mark_is_the_datagrams_and_odd_mixtures_are_dropped) /* RFC 3168 5.3; Linux's table */
{
	const uint8_t *ecn = marks[_i].ecn;

	tos = 0xb8 | ecn[0];
	ck_assert(!frag(0, 1480, true));
	tos = ecn[2];
	ck_assert(!frag(2960, 100, false));
	tos = ecn[1];
	ck_assert_int_eq(frag(1480, 1480, true), marks[_i].whole >= 0);
	ck_assert_uint_eq(counted.v[STAT_ip4_frag_drop_limit], marks[_i].whole < 0);
	ck_assert_uint_eq(ip4_reass_datagrams(r), 0);
	if (marks[_i].whole >= 0) {
		whole(3060);
		ck_assert_uint_eq(out_h.tos, 0xb8 | (uint8_t)marks[_i].whole);
	}
}
END_TEST

START_TEST(datagrams_are_told_apart)
{
	ck_assert(!frag_of(SRC, 1, 0, 80, true));
	ck_assert(!frag_of(SRC, 2, 80, 80, false));
	ck_assert(!frag_of(SRC + 1, 1, 80, 80, false));
	ck_assert(frag_of(SRC, 1, 80, 80, false));
	ck_assert_uint_eq(ip4_reass_datagrams(r), 2);
}
END_TEST

START_TEST(what_stays_incomplete_goes_after_30_s)
{
	ck_assert(!frag(0, 1480, true));
	ck_assert_uint_eq(ip4_reass_next_ns(r), now + 30 * NSEC_PER_SEC);
	now += 30 * NSEC_PER_SEC - 1;
	ip4_reass_advance(r, now);
	ck_assert_uint_eq(ip4_reass_datagrams(r), 1);
	now++;
	ip4_reass_advance(r, now);
	ck_assert_uint_eq(ip4_reass_datagrams(r), 0);
	ck_assert_uint_eq(ip4_reass_blocks(r), 0);
	ck_assert_uint_eq(counted.v[STAT_ip4_frag_drop_timeout], 1);
	ck_assert_uint_eq(ip4_reass_next_ns(r), UINT64_MAX);
}
END_TEST

START_TEST(one_source_is_limited)
{
	for (uint16_t id = 0; id < 1000; id++)
		frag_of(SRC, id, 0, 1480, true);
	ck_assert_uint_le(ip4_reass_blocks(r), IP4_REASS_SOURCE_BLOCKS);
	ck_assert_uint_gt(counted.v[STAT_ip4_frag_drop_limit], 0);
	/* Others are not. */
	ck_assert(!frag_of(SRC + 5, 1, 0, 80, true));
	ck_assert(frag_of(SRC + 5, 1, 80, 80, false));
}
END_TEST

START_TEST(all_sources_together_are_limited)
{
	for (uint32_t i = 0; i < 20000; i++)
		frag_of(SRC + i % 500, (uint16_t)i, 0, 8000, true);
	ck_assert_uint_le(ip4_reass_blocks(r), IP4_REASS_BLOCKS);
	ck_assert_uint_le(ip4_reass_datagrams(r), IP4_REASS_DATAGRAMS);
	/* The newest still get through. */
	ck_assert(!frag_of(0x01020304, 1, 0, 80, true));
	ck_assert(frag_of(0x01020304, 1, 80, 80, false));
}
END_TEST

START_TEST(tiny_fragments_do_not_take_all_memory)
{
	for (uint32_t off = 0; off < 60000; off += 8)
		frag(off, 8, true);
	ck_assert_uint_le(ip4_reass_blocks(r), IP4_REASS_SOURCE_BLOCKS);
}
END_TEST

START_TEST(random_fragments_never_break_it)
{
	struct rng rng;

	rng_seed(&rng, unit_seed());
	for (int i = 0; i < 200000; i++) {
		uint32_t n = 8 * (1 + rng_below(&rng, 400));
		uint32_t off = 8 * rng_below(&rng, (65512 - n) / 8);

		now += rng_below(&rng, 1000000);
		if (frag_of(SRC + rng_below(&rng, 20), (uint16_t)rng_below(&rng, 8), off, n,
			    rng_below(&rng, 8)))
			ck_assert_mem_eq(out, payload, out_len);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ip4_frag");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, in_order);
	tcase_add_test(tc, backwards);
	tcase_add_test(tc, any_order_and_size_up_to_the_largest_datagram);
	tcase_add_test(tc, large_fragments_span_blocks);
	tcase_add_loop_test(tc, an_overlap_drops_the_datagram, 0, ARRAY_LEN(overlaps));
	tcase_add_test(tc, two_ends_do_not_agree);
	tcase_add_test(tc, nothing_lies_beyond_the_end);
	tcase_add_test(tc, a_repeated_fragment_is_harmless);
	tcase_add_loop_test(tc, one_mark_is_the_datagrams_and_odd_mixtures_are_dropped, 0,
			    ARRAY_LEN(marks));
	tcase_add_test(tc, datagrams_are_told_apart);
	tcase_add_test(tc, what_stays_incomplete_goes_after_30_s);
	tcase_add_test(tc, one_source_is_limited);
	tcase_add_test(tc, all_sources_together_are_limited);
	tcase_add_test(tc, tiny_fragments_do_not_take_all_memory);
	tcase_add_test(tc, random_fragments_never_break_it);
	return unit_run("ip4_frag", tc);
}
