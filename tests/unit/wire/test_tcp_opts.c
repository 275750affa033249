/* TCP option bytes: the iterator on good and bad lists, the writer and its bounds. */
// SPDX-License-Identifier: MIT
#include "stack/wire/tcp_opts.h"
#include <string.h>
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "stack/wire/tcp.h"
#include "tests/unit/unit.h"

static const struct {
	const char *name;
	uint8_t bytes[16];
	uint32_t n;
	int options; /* before the end or the fault */
	bool bad;
} lists[] = {
	{ "empty", { 0 }, 0, 0, false },
	{ "end at once", { TCPO_END, 2, 4, 5 }, 4, 0, false },
	{ "padding only", { 1, 1, 1, 1 }, 4, 0, false },
	{ "MSS", { 2, 4, 5, 0xb4 }, 4, 1, false },
	{ "two with padding", { 1, 1, 4, 2, 1, 3, 3, 7 }, 8, 2, false },
	{ "unknown kind is passed over by its length", { 99, 4, 0, 0, 4, 2 }, 6, 2, false },
	{ "end hides what follows", { 4, 2, 0, 2, 0, 0, 0, 0 }, 8, 1, false },
	{ "length zero", { 2, 0, 0, 0 }, 4, 0, true },
	{ "length one", { 2, 1, 0, 0 }, 4, 0, true },
	{ "runs past the end", { 2, 9, 0, 0 }, 4, 0, true },
	{ "one byte past the end", { 2, 5, 0, 0 }, 4, 0, true },
	{ "kind without a length", { 1, 1, 1, 2 }, 4, 0, true },
	{ "largest length", { 254, 255, 0, 0 }, 4, 0, true },
	{ "bad after a good one", { 4, 2, 3, 0 }, 4, 1, true },
};

START_TEST(an_option_list_ends_at_its_end_or_at_its_first_fault)
{
	/* An allocation of exactly n bytes, so that AddressSanitizer sees a step beyond. */
	uint8_t *exact = malloc(lists[_i].n + !lists[_i].n);
	memcpy(exact, lists[_i].bytes, lists[_i].n);
	struct tcp_opts_it it = tcp_opts_begin(exact, lists[_i].n);
	struct tcp_opt opt;
	int n = 0;

	while (tcp_opts_next(&it, &opt))
		n++;
	ck_assert_msg(n == lists[_i].options, "%s: %d options", lists[_i].name, n);
	ck_assert_msg(it.bad == lists[_i].bad, "%s: bad=%d", lists[_i].name, it.bad);
	ck_assert(!tcp_opts_next(&it, &opt));
	free(exact);
}
END_TEST

START_TEST(an_option_has_its_kind_length_and_data)
{
	const uint8_t bytes[] = { 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct tcp_opts_it it = tcp_opts_begin(bytes, sizeof(bytes));
	struct tcp_opt opt;

	ck_assert(tcp_opts_next(&it, &opt));
	ck_assert_uint_eq(opt.kind, TCPO_TS);
	ck_assert_uint_eq(opt.len, 8);
	ck_assert_ptr_eq(opt.data, bytes + 3);
}
END_TEST

START_TEST(the_writer_pads_to_whole_words)
{
	const uint8_t want[] = { 3, 3, 7, 1, 4, 2, 1, 1 };
	uint8_t buf[40];
	struct tcp_opts_w w = tcp_opts_writer(buf, sizeof(buf));

	*tcp_opts_put(&w, TCPO_WSCALE, 1) = 7;
	tcp_opts_nop(&w, 1);
	ck_assert_ptr_nonnull(tcp_opts_put(&w, TCPO_SACK_OK, 0));
	ck_assert_uint_eq(tcp_opts_finish(&w), sizeof(want));
	ck_assert_mem_eq(buf, want, sizeof(want));
}
END_TEST

START_TEST(the_writer_refuses_what_does_not_fit_and_writes_nothing_then)
{
	uint8_t buf[16];
	struct tcp_opts_w w = tcp_opts_writer(buf, 8);

	memset(buf, 0xee, sizeof(buf));
	ck_assert_ptr_null(tcp_opts_put(&w, TCPO_TS, 8));
	ck_assert_uint_eq(buf[0], 0xee);
	ck_assert_ptr_nonnull(tcp_opts_put(&w, TCPO_SACK, 6));
	ck_assert_ptr_null(tcp_opts_put(&w, TCPO_SACK_OK, 0));
	tcp_opts_nop(&w, 100);
	ck_assert_uint_eq(tcp_opts_finish(&w), 8);
	ck_assert_uint_eq(buf[8], 0xee);
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
	struct rng r;

	rng_seed(&r, unit_seed());
	for (int round = 0; round < 5000; round++) {
		uint8_t buf[40], kinds[20], lens[20];
		struct tcp_opts_w w = tcp_opts_writer(buf, sizeof(buf));
		int n = 0;

		for (;;) {
			uint8_t kind = (uint8_t)(2 + rng_below(&r, 250)),
				len = (uint8_t)rng_below(&r, 12);
			uint8_t *d = tcp_opts_put(&w, kind, len);

			if (!d)
				break;
			memset(d, kind, len);
			kinds[n] = kind;
			lens[n++] = len;
			tcp_opts_nop(&w, rng_below(&r, 3));
		}
		struct tcp_opts_it it = tcp_opts_begin(buf, tcp_opts_finish(&w));
		struct tcp_opt opt;
		for (int i = 0; i < n; i++) {
			ck_assert(tcp_opts_next(&it, &opt));
			ck_assert(opt.kind == kinds[i] && opt.len == lens[i]);
			ck_assert(!opt.len || opt.data[opt.len - 1] == kinds[i]);
		}
		ck_assert(!tcp_opts_next(&it, &opt) && !it.bad);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp_opts");

	tcase_add_loop_test(tc, an_option_list_ends_at_its_end_or_at_its_first_fault, 0,
			    ARRAY_LEN(lists));
	tcase_add_test(tc, an_option_has_its_kind_length_and_data);
	tcase_add_test(tc, the_writer_pads_to_whole_words);
	tcase_add_test(tc, the_writer_refuses_what_does_not_fit_and_writes_nothing_then);
	tcase_add_test(tc, what_is_written_is_read_back);
	return unit_run("wire/tcp_opts", tc);
}
