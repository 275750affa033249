/* The log of send times: bursts, thinning, what an acknowledgement passes. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_sent.h"
#include "tests/unit/unit.h"

static seq_t at(uint32_t i) { return seq_of(UINT32_MAX - 20000 + i); }

START_TEST(a_burst_is_one_mark)
{
	struct tcp_sent s = { 0 };
	uint32_t us = 0;

	tcp_sent_note(&s, at(100), 5);
	tcp_sent_note(&s, at(200), 5);
	tcp_sent_note(&s, at(300), 9);
	ck_assert_uint_eq(s.n, 2);
	ck_assert_uint_eq(tcp_sent_when(&s, at(1)), 5);
	ck_assert_uint_eq(tcp_sent_when(&s, at(200)), 5);
	ck_assert_uint_eq(tcp_sent_when(&s, at(201)), 9);
	ck_assert(!tcp_sent_acked(&s, at(199), &us));
	ck_assert(tcp_sent_acked(&s, at(250), &us));
	ck_assert_uint_eq(us, 5);
	ck_assert(tcp_sent_acked(&s, at(300), &us));
	ck_assert_uint_eq(us, 9);
	ck_assert_uint_eq(s.n, 0);
}
END_TEST

START_TEST(any_flight_is_known_well_enough)
{
	enum { N = 1000 };
	struct tcp_sent s = { 0 };
	uint32_t start = UINT32_MAX - 300; /* the clock wraps, too */

	for (uint32_t i = 1; i <= N; i++)
		tcp_sent_note(&s, at(i), start + i);
	for (uint32_t i = 1; i <= N; i++) {
		uint32_t late = tcp_sent_when(&s, at(i)) - (start + i);

		uint32_t early = start + i - tcp_sent_since(&s, at(i));

		ck_assert_uint_le(late, N / 8);
		ck_assert_uint_le(early, N / 8);
	}
	ck_assert_uint_eq(tcp_sent_when(&s, at(N)), start + N);
	for (uint32_t i = 1; i <= N; i++) { /* never too early */
		seq_t until = tcp_sent_until(&s, start + i, at(0));

		ck_assert(seq_le(until, at(i)));
	}
	ck_assert(seq_eq(tcp_sent_until(&s, start + N, at(0)), at(N)));
	ck_assert(seq_eq(tcp_sent_until(&s, start - 1, at(7)), at(7)));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp_sent");

	tcase_add_test(tc, a_burst_is_one_mark);
	tcase_add_test(tc, any_flight_is_known_well_enough);
	return unit_run("tcp/sent", tc);
}
