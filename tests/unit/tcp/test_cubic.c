/* CUBIC's arithmetic and HyStart++'s rounds, without a connection around them. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include "stack/base/util.h"
#include "stack/tcp/tcp_conn.h"
#include "tests/unit/unit.h"

enum { MSS = 1000, RTT_MS = 100 };

static uint64_t now_ns;

static struct tcp_conn conn(uint32_t cwnd, uint32_t ssthresh)
{
	struct tcp_conn c = { .mss = MSS, .cwnd = cwnd, .ssthresh = ssthresh, .cwnd_limited = true };

	now_ns = 77 * NSEC_PER_SEC;
	c.rtt.srtt_us = RTT_MS * 1000;
	tcp_cc_cubic.init(&c);
	return c;
}

/* A loss now: what fast recovery leaves behind. */
static void lose(struct tcp_conn *c)
{
	c->ssthresh = tcp_cc_cubic.ssthresh(c, c->cwnd, TCP_CC_LOSS);
	c->cwnd = c->ssthresh;
}

/* Round trips in which all of the window is acknowledged. */
static void rounds(struct tcp_conn *c, int n)
{
	while (n--) {
		uint32_t left = c->cwnd;

		now_ns += RTT_MS * NSEC_PER_MSEC;
		for (; left; left -= min_u32(left, 2 * MSS))
			tcp_cc_cubic.acked(c, min_u32(left, 2 * MSS), now_ns);
	}
}

START_TEST(loss_takes_three_tenths) /* RFC 9438 4.6 */
{
	struct tcp_conn c = conn(100 * MSS, 50 * MSS);
	ck_assert_uint_eq(tcp_cc_cubic.ssthresh(&c, 100 * MSS, TCP_CC_LOSS), 70 * MSS);
	ck_assert_uint_eq(tcp_cc_cubic.ssthresh(&c, MSS, TCP_CC_LOSS), 2 * MSS);
}
END_TEST

START_TEST(a_mark_takes_less_than_a_loss) /* RFC 8511 3 (ABE): 0.85, in congestion avoidance only */
{
	struct tcp_conn c = conn(100 * MSS, 50 * MSS);
	ck_assert_uint_eq(tcp_cc_cubic.ssthresh(&c, 100 * MSS, TCP_CC_ECN), 85 * MSS);
	ck_assert_uint_eq(tcp_cc_cubic.ssthresh(&c, MSS, TCP_CC_ECN), 2 * MSS);
	c = conn(100 * MSS, UINT32_MAX);
	ck_assert_uint_eq(tcp_cc_cubic.ssthresh(&c, 100 * MSS, TCP_CC_ECN), 70 * MSS);
}
END_TEST

START_TEST(the_maximum_is_reached_again_after_k) /* RFC 9438 4.2, Figure 2 */
{
	struct tcp_conn c = conn(1000 * MSS, 500 * MSS);
	lose(&c);
	rounds(&c, 1);
	/* K = cbrt(300 / 0.4) = 9.086 s */
	ck_assert_uint_ge(c.cc_state.cubic.k_ms, 9080);
	ck_assert_uint_le(c.cc_state.cubic.k_ms, 9090);
	rounds(&c, 45); /* half way: concave, most of it is done */
	ck_assert_uint_ge(c.cwnd, 940 * MSS);
	ck_assert_uint_lt(c.cwnd, 1000 * MSS);
	rounds(&c, 46);
	ck_assert_uint_ge(c.cwnd, 990 * MSS);
	ck_assert_uint_le(c.cwnd, 1010 * MSS);
	rounds(&c, 60); /* convex: 0.4 * 6^3 = 86 segments beyond */
	ck_assert_uint_ge(c.cwnd, 1060 * MSS);
	ck_assert_uint_le(c.cwnd, 1110 * MSS);
}
END_TEST

START_TEST(small_windows_grow_as_renos) /* RFC 9438 4.3 */
{
	struct tcp_conn c = conn(10 * MSS, 5 * MSS);
	lose(&c);
	uint32_t before = c.cwnd;
	rounds(&c, 10); /* alpha = 9/17 of a segment a round, until what was before is reached */
	ck_assert_uint_ge(c.cwnd, before + 3 * MSS);
	ck_assert_uint_le(c.cwnd, before + 8 * MSS);
	before = c.cwnd;
	rounds(&c, 10); /* then alpha = 1 */
	ck_assert_uint_ge(c.cwnd, before + 8 * MSS);
	ck_assert_uint_le(c.cwnd, before + 11 * MSS);
}
END_TEST

START_TEST(a_second_loss_below_the_maximum_leaves_room) /* RFC 9438 4.7 */
{
	struct tcp_conn c = conn(1000 * MSS, 500 * MSS);
	lose(&c);
	rounds(&c, 5);
	uint32_t cwnd = c.cwnd;
	lose(&c);
	ck_assert_uint_eq(c.cc_state.cubic.w_max, cwnd / 2 + (uint32_t)(cwnd * 7ull / 20));
}
END_TEST

START_TEST(a_timeout_starts_a_convex_stage) /* RFC 9438 4.8 */
{
	struct tcp_conn c = conn(1000 * MSS, 500 * MSS);
	c.ssthresh = tcp_cc_cubic.ssthresh(&c, c.cwnd, TCP_CC_TIMEOUT);
	c.cwnd = c.ssthresh;
	rounds(&c, 1);
	ck_assert_uint_eq(c.cc_state.cubic.k_ms, 0);
}
END_TEST

START_TEST(undo_gives_the_stage_back) /* RFC 9438 4.9.1 */
{
	struct tcp_conn c = conn(1000 * MSS, 500 * MSS);
	lose(&c);
	rounds(&c, 5);
	struct tcp_cubic before = c.cc_state.cubic;
	lose(&c);
	tcp_cc_cubic.undo(&c);
	ck_assert_uint_eq(c.cc_state.cubic.w_max, before.w_max);
	ck_assert_uint_eq(c.cc_state.cubic.epoch_ns, before.epoch_ns);
}
END_TEST

START_TEST(idle_time_is_no_time) /* RFC 9438 5.8 */
{
	struct tcp_conn c = conn(1000 * MSS, 500 * MSS), d;
	lose(&c);
	rounds(&c, 20);
	d = c;
	uint64_t then_ns = now_ns;
	rounds(&d, 1);
	now_ns = then_ns + 1000 * NSEC_PER_SEC;
	tcp_cc_cubic.restart(NULL, &c, now_ns, 1000 * NSEC_PER_SEC);
	rounds(&c, 1);
	ck_assert_uint_eq(c.cwnd, d.cwnd);
}
END_TEST

START_TEST(it_never_leaves_its_bounds)
{
	struct tcp_conn c = conn(TCP_CWND_MAX, TCP_CWND_MAX / 2);
	lose(&c);
	for (int i = 0; i < 1000; i++) {
		now_ns += 100 * NSEC_PER_SEC;
		tcp_cc_cubic.acked(&c, 1u << 30, now_ns);
		ck_assert_uint_le(c.cwnd, TCP_CWND_MAX);
	}
	c.mss = UINT16_MAX;
	lose(&c);
	tcp_cc_cubic.acked(&c, 1, now_ns);
	ck_assert_uint_le(c.cwnd, TCP_CWND_MAX);
}
END_TEST

/* One round of slow start with 20 samples of rtt_us. */
static void slow_round(struct tcp_conn *c, uint32_t rtt_us)
{
	uint32_t part = c->cwnd / 20;

	c->snd_nxt = seq_add(c->snd_una, c->cwnd);
	for (int i = 0; i < 20; i++) {
		c->snd_una = seq_add(c->snd_una, part);
		tcp_cc_cubic.rtt(c, rtt_us);
		tcp_cc_cubic.acked(c, part, now_ns);
		c->snd_nxt = seq_add(c->snd_una, c->cwnd);
	}
}

START_TEST(steady_round_trips_double_the_window) /* RFC 9406 4.2 */
{
	struct tcp_conn c = conn(10 * MSS, UINT32_MAX);
	for (int i = 0; i < 5; i++)
		slow_round(&c, 50000);
	ck_assert_uint_ge(c.cwnd, 300 * MSS);
	ck_assert_uint_eq(c.ssthresh, UINT32_MAX);
}
END_TEST

START_TEST(longer_round_trips_end_slow_start_gently) /* RFC 9406 4.2: CSS, five rounds of it */
{
	struct tcp_conn c = conn(10 * MSS, UINT32_MAX);
	for (int i = 0; i < 3; i++)
		slow_round(&c, 50000);
	uint32_t cwnd = c.cwnd;
	for (int i = 0; i < 40 && c.ssthresh == UINT32_MAX; i++)
		slow_round(&c, 60000 + 2000 * (uint32_t)i);
	ck_assert_uint_ne(c.ssthresh, UINT32_MAX);
	ck_assert_uint_lt(c.cwnd, cwnd * 12); /* doubled 8 times it would be 256 */
}
END_TEST

START_TEST(a_window_that_is_not_used_takes_no_samples)
{
	struct tcp_conn c = conn(10 * MSS, UINT32_MAX);
	c.cwnd_limited = false;
	tcp_cc_cubic.rtt(&c, 50000);
	ck_assert_uint_eq(c.cc_state.cubic.hystart.samples, 0);
	c.cwnd_limited = true;
	tcp_cc_cubic.rtt(&c, 50000);
	ck_assert_uint_eq(c.cc_state.cubic.hystart.samples, 1);
}
END_TEST

START_TEST(jitter_does_not_end_it) /* RFC 9406 4.2: back to slow start below the baseline */
{
	struct tcp_conn c = conn(10 * MSS, UINT32_MAX);
	slow_round(&c, 50000);
	slow_round(&c, 50000);
	slow_round(&c, 60000);
	ck_assert_uint_ne(c.cc_state.cubic.hystart.css_rounds, 0);
	slow_round(&c, 51000);
	slow_round(&c, 51000);
	ck_assert_uint_eq(c.cc_state.cubic.hystart.css_rounds, 0);
	ck_assert_uint_eq(c.ssthresh, UINT32_MAX);
}
END_TEST

START_TEST(few_samples_say_nothing) /* RFC 9406 4.3: N_RTT_SAMPLE */
{
	struct tcp_conn c = conn(10 * MSS, UINT32_MAX);
	slow_round(&c, 50000);
	for (int i = 0; i < 7; i++)
		tcp_cc_cubic.rtt(&c, 90000);
	tcp_cc_cubic.acked(&c, MSS, now_ns);
	ck_assert_uint_eq(c.cc_state.cubic.hystart.css_rounds, 0);
}
END_TEST

/* FILLS: segments that fill the path of the trains below */
enum { ACK_US = 100, FILLS = 2 * RTT_MS * 1000 / ACK_US };

/* A window that has left in one go is acknowledged, two segments every ACK_US. */
static void train(struct tcp_conn *c)
{
	uint64_t end_ns = now_ns + RTT_MS * NSEC_PER_MSEC;

	c->snd_nxt = seq_add(c->snd_una, c->cwnd);
	for (uint32_t left = c->cwnd; left && c->ssthresh == UINT32_MAX; left -= min_u32(left, 2 * MSS)) {
		now_ns += ACK_US * NSEC_PER_USEC;
		c->snd_una = seq_add(c->snd_una, min_u32(left, 2 * MSS));
		c->rack.fack = seq_max(c->rack.fack, c->snd_una);
		tcp_cc_cubic.acked(c, min_u32(left, 2 * MSS), now_ns);
		c->snd_nxt = seq_add(c->snd_una, c->cwnd);
	}
	now_ns = max_u64(now_ns, end_ns);
}

static struct tcp_conn reordered(void)
{
	struct tcp_conn c = conn(10 * MSS, UINT32_MAX);

	c.rtt.min_us = RTT_MS * 1000;
	c.rack.reordered = true;
	c.recovery = TCPR_DISORDER;
	return c;
}

START_TEST(a_long_train_of_acks_ends_slow_start_where_order_is_lost) /* Ha and Rhee 2011, 4.1 */
{
	struct tcp_conn c = reordered();

	for (int i = 0; i < 12 && c.ssthresh == UINT32_MAX; i++)
		train(&c);
	ck_assert_uint_ge(c.ssthresh, FILLS * MSS);
	ck_assert_uint_le(c.ssthresh, FILLS * MSS * 3 / 2);
}
END_TEST

START_TEST(without_reordering_the_train_is_not_looked_at) /* RFC 9406 4.3 */
{
	struct tcp_conn c = reordered();

	c.rack.reordered = false;
	for (int i = 0; i < 12; i++)
		train(&c);
	ck_assert_uint_eq(c.ssthresh, UINT32_MAX);
}
END_TEST

START_TEST(who_comes_late_is_no_part_of_the_train)
{
	struct tcp_conn c = reordered();

	for (int i = 0; i < 5; i++)
		train(&c);
	uint32_t cwnd = c.cwnd;
	ck_assert_uint_lt(cwnd, FILLS * MSS / 2);
	c.snd_nxt = seq_add(c.snd_una, cwnd);
	for (uint32_t left = cwnd; left; left -= MSS) { /* half at once, the others one after the other */
		now_ns += (left > cwnd / 2 ? ACK_US / 2 : 1000) * NSEC_PER_USEC;
		c.snd_una = seq_add(c.snd_una, MSS);
		tcp_cc_cubic.acked(&c, MSS, now_ns);
	}
	ck_assert_uint_eq(c.ssthresh, UINT32_MAX);
	ck_assert_uint_eq(c.cwnd, 2 * cwnd);
}
END_TEST

/* Here rounds end when the newest arrives: the late ones hold up snd_una all the time. */
START_TEST(the_late_ones_do_not_make_rounds_longer)
{
	struct tcp_conn c = reordered();

	c.snd_una = seq_add(c.snd_una, 10 * MSS);
	c.snd_nxt = seq_add(c.snd_una, 100 * MSS);
	c.rack.fack = c.snd_una;
	tcp_cc_cubic.acked(&c, MSS, now_ns);
	ck_assert(seq_eq(c.cc_state.cubic.hystart.round_end, c.snd_nxt));
	c.rack.fack = seq_add(c.snd_nxt, MSS);
	c.snd_nxt = seq_add(c.snd_nxt, 50 * MSS);
	tcp_cc_cubic.acked(&c, MSS, now_ns);
	ck_assert(seq_eq(c.cc_state.cubic.hystart.round_end, c.snd_nxt));
	ck_assert_uint_eq(c.cc_state.cubic.hystart.flight, 49 * MSS);
}
END_TEST

START_TEST(a_pause_ends_a_train)
{
	struct tcp_conn c = reordered();

	for (int i = 0; i < 7; i++)
		train(&c);
	c.snd_nxt = seq_add(c.snd_una, c.cwnd);
	for (int i = 0; i < 20; i++) { /* a window that has left in pieces */
		now_ns += 3 * NSEC_PER_MSEC;
		c.snd_una = seq_add(c.snd_una, MSS);
		tcp_cc_cubic.acked(&c, MSS, now_ns);
	}
	ck_assert_uint_eq(c.ssthresh, UINT32_MAX);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp_cubic");

	tcase_add_test(tc, loss_takes_three_tenths);
	tcase_add_test(tc, a_mark_takes_less_than_a_loss);
	tcase_add_test(tc, the_maximum_is_reached_again_after_k);
	tcase_add_test(tc, small_windows_grow_as_renos);
	tcase_add_test(tc, a_second_loss_below_the_maximum_leaves_room);
	tcase_add_test(tc, a_timeout_starts_a_convex_stage);
	tcase_add_test(tc, undo_gives_the_stage_back);
	tcase_add_test(tc, idle_time_is_no_time);
	tcase_add_test(tc, it_never_leaves_its_bounds);
	tcase_add_test(tc, steady_round_trips_double_the_window);
	tcase_add_test(tc, longer_round_trips_end_slow_start_gently);
	tcase_add_test(tc, jitter_does_not_end_it);
	tcase_add_test(tc, a_window_that_is_not_used_takes_no_samples);
	tcase_add_test(tc, few_samples_say_nothing);
	tcase_add_test(tc, a_long_train_of_acks_ends_slow_start_where_order_is_lost);
	tcase_add_test(tc, without_reordering_the_train_is_not_looked_at);
	tcase_add_test(tc, who_comes_late_is_no_part_of_the_train);
	tcase_add_test(tc, the_late_ones_do_not_make_rounds_longer);
	tcase_add_test(tc, a_pause_ends_a_train);
	return unit_run("tcp/cubic", tc);
}
