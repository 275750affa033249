/* Interval sets: each operation on small tables, the limits, and everything against a bitmap. */
// SPDX-License-Identifier: MIT
#include "stack/base/ranges.h"
#include <string.h>
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

enum { ROW_MAX = 6 };

struct row {
	const char *name;
	struct range have[ROW_MAX];
	struct range arg;
	struct range want[ROW_MAX];
};

static const struct row add_rows[] = {
	{ "first", {}, { 10, 20 }, { { 10, 20 } } },
	{ "empty input", { { 10, 20 } }, { 30, 30 }, { { 10, 20 } } },
	{ "end before start", { { 10, 20 } }, { 30, 25 }, { { 10, 20 } } },
	{ "apart, after", { { 10, 20 } }, { 30, 40 }, { { 10, 20 }, { 30, 40 } } },
	{ "apart, before", { { 30, 40 } }, { 10, 20 }, { { 10, 20 }, { 30, 40 } } },
	{ "touching the end", { { 10, 20 } }, { 20, 30 }, { { 10, 30 } } },
	{ "touching the start", { { 20, 30 } }, { 10, 20 }, { { 10, 30 } } },
	{ "filling a hole", { { 10, 20 }, { 30, 40 } }, { 20, 30 }, { { 10, 40 } } },
	{ "inside", { { 10, 40 } }, { 20, 30 }, { { 10, 40 } } },
	{ "around", { { 20, 30 }, { 40, 50 } }, { 10, 60 }, { { 10, 60 } } },
	{ "across the wrap",
	  { { 0xfffffff0, 0xfffffffe } }, { 0xfffffff8, 4 }, { { 0xfffffff0, 4 } } },
	{ "after the wrap",
	  { { 0xfffffff0, 0xfffffffe } }, { 2, 4 }, { { 0xfffffff0, 0xfffffffe }, { 2, 4 } } },
	{ "before the wrap", { { 2, 4 } }, { 0xfffffff0, 0 }, { { 0xfffffff0, 0 }, { 2, 4 } } },
};

static const struct row remove_rows[] = {
	{ "from the empty set", {}, { 10, 20 }, {} },
	{ "nothing", { { 10, 20 } }, { 15, 15 }, { { 10, 20 } } },
	{ "all", { { 10, 20 } }, { 10, 20 }, {} },
	{ "the front", { { 10, 20 } }, { 5, 15 }, { { 15, 20 } } },
	{ "the back", { { 10, 20 } }, { 15, 25 }, { { 10, 15 } } },
	{ "the middle", { { 10, 20 } }, { 12, 15 }, { { 10, 12 }, { 15, 20 } } },
	{ "between two", { { 10, 20 }, { 30, 40 } }, { 20, 30 }, { { 10, 20 }, { 30, 40 } } },
	{ "parts of two", { { 10, 20 }, { 30, 40 } }, { 15, 35 }, { { 10, 15 }, { 35, 40 } } },
	{ "one of three", { { 1, 2 }, { 3, 4 }, { 5, 6 } }, { 2, 5 }, { { 1, 2 }, { 5, 6 } } },
	{ "across the wrap", { { 0xfffffff0, 16 } }, { 0xfffffffe, 2 },
	  { { 0xfffffff0, 0xfffffffe }, { 2, 16 } } },
};

static const struct row trim_rows[] = { /* arg.start is the position */
	{ "the empty set", {}, { 10 }, {} },
	{ "before all", { { 10, 20 } }, { 5 }, { { 10, 20 } } },
	{ "at the start", { { 10, 20 } }, { 10 }, { { 10, 20 } } },
	{ "inside", { { 10, 20 }, { 30, 40 } }, { 15 }, { { 15, 20 }, { 30, 40 } } },
	{ "at the end", { { 10, 20 }, { 30, 40 } }, { 20 }, { { 30, 40 } } },
	{ "in a hole", { { 10, 20 }, { 30, 40 } }, { 25 }, { { 30, 40 } } },
	{ "after all", { { 10, 20 }, { 30, 40 } }, { 40 }, {} },
	{ "past the wrap", { { 0xfffffff0, 0xfffffff8 }, { 0xfffffffc, 8 } }, { 2 }, { { 2, 8 } } },
};

static struct ranges load(const struct range *r)
{
	struct ranges s = { 0 };

	while (s.n < ROW_MAX && r[s.n].start != r[s.n].end) {
		s.r[s.n] = r[s.n];
		s.n++;
	}
	return s;
}

static void check_same(const char *name, const struct ranges *got, const struct range *want_rows)
{
	struct ranges want = load(want_rows);

	ck_assert_msg(got->n == want.n, "%s: %u ranges instead of %u", name, got->n, want.n);
	for (uint32_t i = 0; i < want.n; i++)
		ck_assert_msg(got->r[i].start == want.r[i].start && got->r[i].end == want.r[i].end,
			      "%s: range %u is [%u, %u)", name, i, got->r[i].start, got->r[i].end);
}

START_TEST(adding_merges_what_overlaps_or_touches)
{
	const struct row *r = &add_rows[_i];
	struct ranges s = load(r->have);

	ck_assert_msg(ranges_add(&s, r->arg.start, r->arg.end), "%s", r->name);
	check_same(r->name, &s, r->want);
}
END_TEST

START_TEST(removing_cuts_and_splits)
{
	const struct row *r = &remove_rows[_i];
	struct ranges s = load(r->have);

	ck_assert_msg(ranges_remove(&s, r->arg.start, r->arg.end), "%s", r->name);
	check_same(r->name, &s, r->want);
}
END_TEST

START_TEST(trimming_drops_everything_before_a_position)
{
	const struct row *r = &trim_rows[_i];
	struct ranges s = load(r->have);

	ranges_trim(&s, r->arg.start);
	check_same(r->name, &s, r->want);
}
END_TEST

static struct ranges full_set(uint32_t base)
{
	struct ranges s = { 0 };

	for (uint32_t i = 0; i < RANGES_MAX; i++)
		ck_assert(ranges_add(&s, base + 10 * i, base + 10 * i + 5));
	ck_assert_uint_eq(s.n, RANGES_MAX);
	return s;
}

START_TEST(a_full_set_refuses_another_range_and_stays_as_it_was)
{
	struct ranges s = full_set(0xffffffa0), before = s;

	ck_assert(!ranges_add(&s, 0xffffffa6, 0xffffffa8));
	ck_assert(!ranges_add(&s, 0xffffff00, 0xffffff10));
	ck_assert(!ranges_remove(&s, 0xffffffa1, 0xffffffa2));
	ck_assert_mem_eq(&s, &before, sizeof(s));
}
END_TEST

START_TEST(a_full_set_still_grows_merges_and_shrinks)
{
	struct ranges s = full_set(0xffffffa0);

	ck_assert(ranges_add(&s, 0xffffffa5, 0xffffffa7));
	ck_assert_uint_eq(s.n, RANGES_MAX);
	ck_assert(ranges_add(&s, 0xffffffa7, 0xffffffaa));
	ck_assert_uint_eq(s.n, RANGES_MAX - 1);
	ck_assert(ranges_remove(&s, 0xffffffb4, 0xffffffbf));
	ck_assert_uint_eq(s.n, RANGES_MAX - 2);
	ck_assert(ranges_contain(&s, 0xffffffa0, 0xffffffaf));
}
END_TEST

/* The model: one byte a position, MODEL positions from `base`, which lies so that they wrap. */
enum { MODEL = 256 };

/* One assertion for all positions: Check's are too slow for a million of them. */
static void check_against(const struct ranges *s, const uint8_t *model, uint32_t base)
{
	uint32_t n = 0, total = 0;
	bool same = true;

	for (uint32_t i = 0; i < MODEL; i++) {
		total += model[i];
		if (model[i] && (i == 0 || !model[i - 1]))
			same &= n < s->n && s->r[n].start == base + i;
		if (model[i] && (i + 1 == MODEL || !model[i + 1])) {
			same &= n < s->n && s->r[n].end == base + i + 1;
			n++;
		}
	}
	ck_assert_msg(same && n == s->n, "ranges differ from the bitmap");
	ck_assert_uint_eq(total, ranges_total(s));
}

static uint32_t runs(const uint8_t *model)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < MODEL; i++)
		n += model[i] && (i == 0 || !model[i - 1]);
	return n;
}

static void model_step(struct ranges *s, uint8_t *model, uint32_t base, struct rng *r)
{
	uint32_t a = rng_below(r, MODEL), len = rng_below(r, rng_below(r, 4) ? 6 : 60);
	uint32_t b = min_u32(a + len, MODEL);
	uint8_t next[MODEL];
	uint32_t set = 0;

	for (uint32_t i = a; i < b; i++)
		set += model[i];
	ck_assert_int_eq(ranges_contain(s, base + a, base + b), set == b - a);
	ck_assert_int_eq(ranges_overlap(s, base + a, base + b), set > 0);
	memcpy(next, model, MODEL);
	uint32_t what = rng_below(r, 20);
	if (what == 0) {
		a = rng_below(r, 16);
		ranges_trim(s, base + a);
		memset(model, 0, a);
		return;
	}
	bool add = what < 11;
	memset(next + a, add, b - a);
	bool fits = runs(next) <= RANGES_MAX;
	bool done = add ? ranges_add(s, base + a, base + b) : ranges_remove(s, base + a, base + b);
	ck_assert_int_eq(done, fits);
	if (done)
		memcpy(model, next, MODEL);
}

START_TEST(random_operations_agree_with_a_bitmap)
{
	struct rng r;

	rng_seed(&r, unit_seed());
	for (int round = 0; round < 100; round++) {
		uint32_t base = round % 2 ? (uint32_t)-MODEL / 2 : (uint32_t)rng_u64(&r);
		struct ranges s = { 0 };
		uint8_t model[MODEL] = { 0 };

		for (int step = 0; step < 400; step++) {
			model_step(&s, model, base, &r);
			check_against(&s, model, base);
		}
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ranges");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, adding_merges_what_overlaps_or_touches, 0, ARRAY_LEN(add_rows));
	tcase_add_loop_test(tc, removing_cuts_and_splits, 0, ARRAY_LEN(remove_rows));
	tcase_add_loop_test(tc, trimming_drops_everything_before_a_position, 0,
			    ARRAY_LEN(trim_rows));
	tcase_add_test(tc, a_full_set_refuses_another_range_and_stays_as_it_was);
	tcase_add_test(tc, a_full_set_still_grows_merges_and_shrinks);
	tcase_add_test(tc, random_operations_agree_with_a_bitmap);
	return unit_run("base/ranges", tc);
}
