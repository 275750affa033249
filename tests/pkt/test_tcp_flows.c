/* What the controllers do with a bottleneck and with each other there (tests/pkt/flows.h). */
// SPDX-License-Identifier: MIT
#include "tests/pkt/flows.h"
#include "tests/unit/unit.h"

static void told(int line, const char *what, const struct flows_result *r)
{
	printf("%d: %s: shares %.3f %.3f %.3f %.3f, sum %.3f, Jain %.3f, queue %u at most, %u on average, "
	       "%u per mille sent again\n", line, what, r->share[0], r->share[1], r->share[2],
	       r->share[3], r->sum, r->jain, r->queue_max, r->queue_mean, r->resent_permille);
}
#define RUN(...) \
	({ struct flows_result r_ = flows_run(&(struct flows_conf){ __VA_ARGS__ }); \
	   told(__LINE__, #__VA_ARGS__, &r_); r_; })

START_TEST(bbr_fills_any_path_with_half_a_queue) /* draft-ietf-ccwg-bbr 3.1 */
{
	static const uint32_t mbit[] = { 10, 100, 1000 }, rtt_us[] = { 1000, 20000, 100000 };
	uint32_t bdp = mbit[_i / 3] * rtt_us[_i % 3] / 8;
	struct flows_result r = RUN(.mbit = mbit[_i / 3], .rtt_us = rtt_us[_i % 3], .n = 1,
				    .cc = { "bbr" }, .from_ms = 3000, .to_ms = 9000);

	ck_assert_double_ge(r.sum, 0.90);
	ck_assert_uint_le(r.queue_mean, bdp / 2 > 25000 ? bdp / 2 : 25000);
	ck_assert_uint_ge(r.bw, mbit[_i / 3] * 125000ull * 9 / 10);
	ck_assert_uint_le(r.bw, mbit[_i / 3] * 125000ull * 103 / 100);
	ck_assert_uint_ge(r.min_rtt_us, rtt_us[_i % 3]);
}
END_TEST

START_TEST(bbr_bears_random_loss) /* where CUBIC's window falls to nothing */
{
	static const uint32_t ppm[] = { 1000, 10000, 20000, 50000 };
	static const double least[] = { 0.92, 0.92, 0.92, 0.88 };
	struct flows_result r[2];

	for (int i = 0; i < 2; i++)
		r[i] = RUN(.mbit = 50, .rtt_us = 40000, .n = 1, .cc = { i ? "cubic" : "bbr" },
			   .loss_ppm = ppm[_i], .from_ms = 4000, .to_ms = 14000, .seed = 3);
	ck_assert_double_ge(r[0].sum, least[_i]);
	ck_assert_double_ge(r[0].sum, 2 * r[1].sum);
}
END_TEST

/* What is lost three times holds all behind it in the send buffer, for as many round trips. */
START_TEST(bbr_bears_random_loss_with_a_send_buffer)
{
	struct flows_result r = RUN(.mbit = 1000, .rtt_us = 20000, .n = 1, .cc = { "bbr" },
				    .loss_ppm = 50000, .sndbuf_max = 64 << 20, .from_ms = 1000,
				    .to_ms = 4000, .seed = 1);

	ck_assert_double_ge(r.sum, 0.85);
}
END_TEST

/* What is lost twice holds all behind it in the peer's window, which is hardly larger than what is under
 * way: that the rate does not rise then is no sign of a full path, and the window follows what can't be
 * read yet. */
START_TEST(bbr_bears_random_loss_with_a_receive_buffer)
{
	static const struct { uint32_t mbit, rtt_us; double least; } path[] = {
		{ 100, 100000, 0.75 }, { 1000, 20000, 0.7 } };
	struct flows_result r = RUN(.mbit = path[_i % 2].mbit, .rtt_us = path[_i % 2].rtt_us, .n = 1,
				    .cc = { "bbr" }, .loss_ppm = 50000, .sndbuf_max = 64 << 20,
				    .rcvbuf_max = 8 << 20, .to_ms = 5000, .seed = (uint64_t)_i);

	ck_assert_double_ge(r.sum, path[_i % 2].least);
}
END_TEST

/* Where the processor has other things to do now and then, the rate is kept all the same. */
START_TEST(bbr_makes_up_for_being_late)
{
	static const struct { uint32_t mbit, rtt_us, loss_ppm, stall_us, every_ms; double least; } path[] = {
		{ 100, 20000, 10000, 4000, 50, 0.95 },
		/* whole round trips gone, as on a machine whose processors are lent to others */
		{ 1000, 1000, 10000, 500, 10, 0.94 }, { 1000, 1000, 10000, 2000, 10, 0.74 },
		{ 1000, 1000, 10000, 0, 10, 0.96 },
	};
	struct flows_result r = RUN(.mbit = path[_i].mbit, .rtt_us = path[_i].rtt_us, .n = 1,
				    .cc = { "bbr" }, .queue_bytes = path[_i].rtt_us < 2000 ? 96000 : 0,
				    .loss_ppm = path[_i].loss_ppm, .stall_us = path[_i].stall_us,
				    .stall_every_ms = path[_i].every_ms,
				    .from_ms = path[_i].rtt_us / 20, .to_ms = 5000, .seed = 1);

	ck_assert_double_ge(r.sum, path[_i].least);
}
END_TEST

/* What is sent on top for what gets lost must not turn into a flood where a short queue polices the rate. */
START_TEST(bbr_finds_the_rate_of_a_short_queue)
{
	static const uint32_t loss_ppm[] = { 0, 10000 };
	struct flows_result r = RUN(.mbit = 100, .rtt_us = 20000, .n = 1, .cc = { "bbr" },
				    .queue_bytes = 15000, .loss_ppm = loss_ppm[_i], .to_ms = 10000);

	ck_assert_double_ge(r.sum, 0.9);
	ck_assert_uint_le(r.resent_permille, 20 + loss_ppm[_i] / 1000);
}
END_TEST

START_TEST(what_comes_late_is_not_lost) /* RFC 8985 3.3: nor slower for it, after the first surprise */
{
	static const char *const cc[] = { "cubic", "bbr" };
	static const struct { uint32_t mbit, rtt_us, late_ppm; } path[] = {
		{ 100, 20000, 10000 }, { 100, 20000, 30000 }, { 100, 20000, 100000 },
		{ 1000, 1000, 30000 }, { 10, 100000, 30000 }, { 10, 1000, 10000 }, { 10, 1000, 100000 },
	};
	int k = _i / 2;
	struct flows_result r = RUN(.mbit = path[k].mbit, .rtt_us = path[k].rtt_us, .n = 1,
				    .cc = { cc[_i % 2] }, .late_ppm = path[k].late_ppm,
				    .from_ms = 2000, .to_ms = 8000);

	ck_assert_double_ge(r.sum, 0.94);
}
END_TEST

/* An overflow at the end of slow start would be the first of many: what is sent again overtakes what comes
 * late, and PAWS throws that away. From the first byte on: for ten round trips little is sent. */
START_TEST(slow_start_ends_before_the_queue_overflows_where_order_is_lost)
{
	static const struct { uint32_t mbit, rtt_us, late_ppm, seed; double least; } path[] = {
		{ 1000, 20000, 10000, 2, 0.94 }, { 1000, 20000, 30000, 2, 0.94 },
		{ 1000, 20000, 100000, 2, 0.94 },
		{ 100, 20000, 30000, 3, 0.95 }, { 100, 20000, 100000, 3, 0.95 },
		{ 1000, 100000, 30000, 2, 0.75 }, { 1000, 100000, 100000, 1, 0.75 },
		{ 100, 100000, 30000, 2, 0.81 }, { 100, 100000, 100000, 1, 0.81 },
		{ 10, 100000, 30000, 1, 0.89 }, { 10, 100000, 100000, 3, 0.89 },
	};
	struct flows_result r = RUN(.mbit = path[_i].mbit, .rtt_us = path[_i].rtt_us, .n = 1,
				    .cc = { "cubic" }, .late_ppm = path[_i].late_ppm,
				    .seed = path[_i].seed, .to_ms = 5000);

	ck_assert_double_ge(r.sum, path[_i].least);
	ck_assert_uint_le(r.resent_permille, 2);
}
END_TEST

START_TEST(bbr_answers_marks) /* 3.7: marks are congestion; the queue stays where they begin */
{
	struct flows_result r = RUN(.mbit = 50, .rtt_us = 40000, .n = 1, .cc = { "bbr" },
				    .queue_bytes = 1000000, .mark_bytes = 60000, .from_ms = 4000,
				    .to_ms = 12000);

	ck_assert_double_ge(r.sum, 0.8);
	ck_assert_uint_le(r.queue_mean, 60000);
	ck_assert_uint_eq(r.resent_permille, 0);
}
END_TEST

START_TEST(a_program_that_writes_little_is_not_taken_for_a_slow_path) /* 4.1.1.3 */
{
	struct flows_result r = RUN(.mbit = 100, .rtt_us = 20000, .n = 1, .cc = { "bbr" },
				    .chunk = 5000, .every_ms = 10, .from_ms = 1000, .to_ms = 8000);

	ck_assert(r.in_startup);
	ck_assert_double_ge(r.sum, 0.039); /* 4 Mbit/s of 100, all of it */
	ck_assert_uint_eq(r.resent_permille, 0);
}
END_TEST

START_TEST(any_controller_knows_the_rate) /* TCP_INFO: tcpi_delivery_rate */
{
	static const char *const cc[] = { "cubic", "reno", "bbr" };
	struct flows_result r = RUN(.mbit = 20, .rtt_us = 20000, .n = 1, .cc = { cc[_i] },
				    .from_ms = 1000, .to_ms = 4000);

	ck_assert(!r.rate_limited);
	ck_assert_uint_ge(r.rate, 20 * 125000ull * 85 / 100);
	ck_assert_uint_le(r.rate, 20 * 125000ull);
}
END_TEST

/* Nobody starves: Jain's index of two flows is 1 when both get the same, 0.8 when one gets twice and more. */
START_TEST(two_flows_share)
{
	static const char *const cc[][2] = {
		{ "cubic", "cubic" }, { "cubic", "bbr" }, { "reno", "cubic" },
		{ "reno", "reno" }, { "bbr", "bbr" },
	};
	static const struct { uint32_t mbit, rtt_us, queue; } path[] = {
		{ 50, 20000, 0 }, { 20, 40000, 0 }, { 50, 20000, 250000 },
	};
	int i = _i / 3, k = _i % 3;
	double jain = 0;

	/* A few ms decide who leads for many seconds: what counts is what several starts come to. */
	for (uint32_t start = 0; start < 3; start++) {
		struct flows_result r = RUN(.mbit = path[k].mbit, .rtt_us = path[k].rtt_us,
					    .queue_bytes = path[k].queue, .n = 2,
					    .start_ms = { 0, 200 * start },
					    .cc = { cc[i][0], cc[i][1] }, .from_ms = 5000,
					    .to_ms = 25000);

		ck_assert_double_ge(r.sum, 0.95);
		jain += r.jain / 3;
	}
	ck_assert_double_ge(jain, 0.9);
}
END_TEST

START_TEST(who_comes_late_gets_a_share_too)
{
	static const char *const cc[] = { "cubic", "bbr" };
	struct flows_result r = RUN(.mbit = 20, .rtt_us = 20000, .n = 3, .cc = { cc[_i] },
				    .start_ms = { 0, 1000, 3000 }, .from_ms = 10000,
				    .to_ms = 40000);

	ck_assert_double_ge(r.jain, 0.85);
	ck_assert_double_ge(r.sum, 0.95);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp_flows");

	tcase_add_loop_test(tc, bbr_fills_any_path_with_half_a_queue, 0, 9);
	tcase_add_loop_test(tc, bbr_bears_random_loss, 0, 4);
	tcase_add_test(tc, bbr_bears_random_loss_with_a_send_buffer);
	tcase_add_loop_test(tc, bbr_bears_random_loss_with_a_receive_buffer, 0, 12);
	tcase_add_loop_test(tc, bbr_makes_up_for_being_late, 0, 4);
	tcase_add_loop_test(tc, bbr_finds_the_rate_of_a_short_queue, 0, 2);
	tcase_add_loop_test(tc, what_comes_late_is_not_lost, 0, 14);
	tcase_add_loop_test(tc, slow_start_ends_before_the_queue_overflows_where_order_is_lost, 0, 11);
	tcase_add_test(tc, bbr_answers_marks);
	tcase_add_test(tc, a_program_that_writes_little_is_not_taken_for_a_slow_path);
	tcase_add_loop_test(tc, any_controller_knows_the_rate, 0, 3);
	tcase_add_loop_test(tc, two_flows_share, 0, 15);
	tcase_add_loop_test(tc, who_comes_late_gets_a_share_too, 0, 2);
	tcase_set_timeout(tc, 60);
	return unit_run("tcp_flows", tc);
}
