/* Sequence numbers: modular order, also across the wrap. */
// SPDX-License-Identifier: MIT
#include "stack/base/seq.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

static const struct {
	const char *name;
	uint32_t a, b;
	bool lt, eq;
} pairs[] = {
	{ "equal", 5, 5, false, true },
	{ "next", 5, 6, true, false },
	{ "previous", 6, 5, false, false },
	{ "across the wrap", 0xffffffff, 0, true, false },
	{ "across the wrap, backwards", 0, 0xffffffff, false, false },
	{ "far across the wrap", 0xf0000000, 0x10000000, true, false },
	{ "largest forward distance", 7, 7 + 0x7fffffffu, true, false },
	{ "largest backward distance", 7 + 0x7fffffffu, 7, false, false },
};

START_TEST(order_is_modular)
{
	seq_t a = seq_of(pairs[_i].a), b = seq_of(pairs[_i].b);
	bool lt = pairs[_i].lt, eq = pairs[_i].eq;
	const char *name = pairs[_i].name;

	ck_assert_msg(seq_lt(a, b) == lt, "%s: lt", name);
	ck_assert_msg(seq_eq(a, b) == eq, "%s: eq", name);
	ck_assert_msg(seq_le(a, b) == (lt || eq), "%s: le", name);
	ck_assert_msg(seq_gt(a, b) == (!lt && !eq), "%s: gt", name);
	ck_assert_msg(seq_ge(a, b) == !lt, "%s: ge", name);
	ck_assert_msg(seq_eq(seq_max(a, b), lt ? b : a), "%s: max", name);
	ck_assert_msg(seq_eq(seq_min(a, b), lt || eq ? a : b), "%s: min", name);
}
END_TEST

START_TEST(adding_and_subtracting_wrap)
{
	seq_t a = seq_of(0xfffffff0);

	ck_assert_uint_eq(seq_add(a, 0x20).v, 0x10);
	ck_assert_uint_eq(seq_sub(seq_of(0x10), 0x20).v, 0xfffffff0);
	ck_assert_uint_eq(seq_diff(seq_of(0x10), a), 0x20);
}
END_TEST

START_TEST(a_window_is_half_open_and_may_span_the_wrap)
{
	seq_t start = seq_of(0xfffffffe);

	ck_assert(seq_in(start, start, 4));
	ck_assert(seq_in(seq_of(1), start, 4));
	ck_assert(!seq_in(seq_of(2), start, 4));
	ck_assert(!seq_in(seq_of(0xfffffffd), start, 4));
	ck_assert(!seq_in(start, start, 0));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("seq");

	tcase_add_loop_test(tc, order_is_modular, 0, ARRAY_LEN(pairs));
	tcase_add_test(tc, adding_and_subtracting_wrap);
	tcase_add_test(tc, a_window_is_half_open_and_may_span_the_wrap);
	return unit_run("base/seq", tc);
}
