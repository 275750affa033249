/* Samples of the delivery rate, computed by hand after draft-ietf-ccwg-bbr 4.1. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_rate.h"
#include "stack/tcp/tcp_bbr.h"
#include "stack/tcp/tcp_core.h"
#include "tests/unit/unit.h"

enum { MSS = 1000, RTT_US = 10000, T0 = 5000000 };

static struct tcp_model model;

static seq_t at(uint32_t n) { return (seq_t){ n }; }

static struct tcp_conn conn(bool modelled)
{
	struct tcp_conn c = { .mss = MSS, .cwnd = 100 * MSS, .snd_una = at(1), .snd_nxt = at(1),
			      .snd_end = at(1 << 20) };

	c.rtt.srtt_us = c.rtt.min_us = RTT_US;
	c.rate.marked_us = T0 - 2 * TCP_RATE_PERIOD_US;
	c.model = modelled ? &model : NULL;
	tcp_rate_init(&c);
	return c;
}

/* len bytes leave at us. */
static void send(struct tcp_conn *c, uint32_t us, uint32_t len)
{
	seq_t start = c->snd_nxt;

	c->snd_nxt = seq_add(start, len);
	tcp_sent_note(&c->sent, c->snd_nxt, us);
	tcp_rate_sent(c, start, us);
}

/* The next len bytes are acknowledged at us. */
static struct tcp_rate_sample ack(struct tcp_conn *c, uint32_t us, uint32_t len)
{
	struct tcp_rate_sample rs = { .acked = len };
	struct tcp_rate_pick pick = { .has = false };
	seq_t start = c->snd_una;
	uint32_t sent_us;

	c->snd_una = seq_add(start, len);
	tcp_sent_acked(&c->sent, c->snd_una, &sent_us);
	c->tx_bytes += len;
	c->rate.delivered_us = us;
	tcp_rate_arrived(c, &pick, start, c->snd_una, false, 0);
	tcp_rate_sample(c, &pick, us * NSEC_PER_USEC, &rs);
	return rs;
}

START_TEST(one_packet_alone) /* 1000 bytes in one round trip of 10 ms */
{
	struct tcp_conn c = conn(true);
	send(&c, T0, MSS);
	struct tcp_rate_sample rs = ack(&c, T0 + 10000, MSS);
	ck_assert(rs.has);
	ck_assert_uint_eq(rs.delivered, 1000);
	ck_assert_uint_eq(rs.rate, 100000);
	ck_assert_uint_eq(rs.flight, 1000);
}
END_TEST

/* Two packets in flight for ever, one acknowledged each 5 ms, and then the next leaves: 200 kB/s. What is
 * marked left when another was delivered, so that 2000 bytes arrive in 10 ms. */
START_TEST(the_slope_between_two_knees) /* 4.1.1.2.1 */
{
	struct tcp_conn c = conn(true);
	struct tcp_rate_sample rs = { 0 };
	send(&c, T0, MSS);
	send(&c, T0 + 5000, MSS);
	for (uint32_t i = 2; i < 20; i++) {
		rs = ack(&c, T0 + i * 5000, MSS);
		send(&c, T0 + i * 5000, MSS);
	}
	ck_assert_uint_eq(rs.delivered, 2000);
	ck_assert_uint_eq(rs.rate, 200000);
	ck_assert_uint_eq(tcp_rate_last(&c), 200000);
}
END_TEST

/* Ten packets leave one a millisecond; their ACKs come at once, in 1 ms. They were not delivered faster than
 * they left: 10 in 9 ms at least, and not in less than a round trip. */
START_TEST(compressed_acks_do_not_deceive) /* 4.1.1.2.2 */
{
	struct tcp_conn c = conn(true);
	struct tcp_rate_sample rs = { 0 };
	for (uint32_t i = 0; i < 20; i++)
		send(&c, T0 + i * 1000, MSS);
	for (uint32_t i = 0; i < 20; i++)
		rs = ack(&c, T0 + 29000 + i * 50, MSS);
	/* the last left 19 ms after the first, nothing was delivered in between */
	ck_assert_uint_eq(rs.delivered, 20000);
	ck_assert_uint_eq(rs.rate, 20000ull * 1000000 / 29950);
	for (uint32_t i = 0; i < 10; i++)
		send(&c, T0 + 40000 + i * 1000, MSS);
	for (uint32_t i = 0; i < 10; i++)
		rs = ack(&c, T0 + 50000 + i * 50, MSS);
	ck_assert_uint_le(rs.rate, 1000000);
}
END_TEST

START_TEST(samples_shorter_than_a_round_trip_say_nothing) /* GenerateRateSample() */
{
	struct tcp_conn c = conn(true);
	send(&c, T0, MSS);
	struct tcp_rate_sample rs = ack(&c, T0 + 3000, MSS);
	ck_assert(rs.has);
	ck_assert_uint_eq(rs.rate, 0);
	ck_assert_uint_eq(tcp_rate_last(&c), 0);
}
END_TEST

START_TEST(a_pause_of_the_application_is_told) /* 4.1.1.3, 4.1.2.4 */
{
	struct tcp_conn c = conn(true);
	send(&c, T0, MSS);
	ck_assert(!ack(&c, T0 + 10000, MSS).app_limited);
	tcp_rate_dry(&c);
	send(&c, T0 + 20000, MSS);
	send(&c, T0 + 21000, MSS);
	ck_assert(ack(&c, T0 + 30000, MSS).app_limited); /* the bubble is past with this one ... */
	send(&c, T0 + 30000, MSS);
	ck_assert(ack(&c, T0 + 31000, MSS).app_limited); /* ... but this left before */
	ck_assert(!ack(&c, T0 + 40000, MSS).app_limited);
}
END_TEST

START_TEST(what_was_sent_again_counts_from_then) /* 4.1.3.5 */
{
	struct tcp_conn c = conn(true);
	send(&c, T0, MSS);
	tcp_rate_mark(&c, at(1), at(1001), T0 + 30000, true);
	struct tcp_rate_pick pick = { .has = false };
	tcp_rate_arrived(&c, &pick, at(1), at(1001), true, T0 + 30000);
	ck_assert(pick.has);
	ck_assert_uint_eq(pick.mark.sent_us, T0 + 30000);
	/* the original cannot be told from it, and is not looked at a second time */
	pick.has = false;
	tcp_rate_arrived(&c, &pick, at(1), at(1001), false, 0);
	ck_assert(!pick.has);
}
END_TEST

START_TEST(a_copy_that_arrives_too_early_is_another_one)
{
	struct tcp_conn c = conn(true);
	struct tcp_rate_sample rs = { 0 };
	send(&c, T0, MSS);
	tcp_rate_mark(&c, at(1), at(1001), T0 + 30000, true);
	struct tcp_rate_pick pick = { .has = false };
	tcp_rate_arrived(&c, &pick, at(1), at(1001), true, T0 + 30000);
	c.tx_bytes += MSS;
	tcp_rate_sample(&c, &pick, (T0 + 32000) * NSEC_PER_USEC, &rs);
	ck_assert(!rs.has);
}
END_TEST

START_TEST(losses_and_flight_are_those_of_the_packet)
{
	struct tcp_conn c = conn(true);
	c.lost_bytes = 7000;
	send(&c, T0, 5 * MSS);
	send(&c, T0 + 1000, 3 * MSS);
	c.lost_bytes = 9000;
	struct tcp_rate_sample rs = ack(&c, T0 + 12000, 8 * MSS);
	ck_assert_uint_eq(rs.flight, 8000);
	ck_assert_uint_eq(rs.lost, 2000);
	ck_assert_uint_eq(rs.delivered, 8000);
}
END_TEST

START_TEST(without_a_model_one_packet_at_a_time_is_followed)
{
	struct tcp_conn c = conn(false);
	send(&c, T0, MSS);
	send(&c, T0 + 1000, MSS);
	ck_assert_uint_eq(c.rate.n, 1);
	ck_assert_uint_eq(ack(&c, T0 + 10000, MSS).rate, 100000);
	ck_assert(!ack(&c, T0 + 11000, MSS).has);
	send(&c, T0 + 9999, MSS);
	ck_assert_uint_eq(c.rate.n, 0); /* too soon */
	send(&c, T0 + 10000, MSS);
	ck_assert_uint_eq(c.rate.n, 1);
}
END_TEST

START_TEST(more_marks_than_room_forget_the_oldest)
{
	struct tcp_conn c = conn(true);
	for (uint32_t i = 0; i < 3 * TCP_RATE_MARKS; i++)
		send(&c, T0 + i * 1000, MSS);
	ck_assert_uint_eq(c.rate.n, TCP_RATE_MARKS);
	ck_assert_uint_eq(tcp_rate_near(&c, at(1))->end.v, 2 * TCP_RATE_MARKS * MSS + MSS + 1);
	seq_t last = c.snd_nxt;
	ck_assert_uint_eq(tcp_rate_near(&c, seq_sub(last, 400))->end.v, last.v);
	ck_assert_uint_eq(tcp_rate_near(&c, seq_sub(last, 600))->end.v, last.v - MSS);
	ck_assert_uint_eq(tcp_rate_near(&c, c.snd_nxt)->end.v, c.snd_nxt.v);
	struct tcp_rate_sample rs = ack(&c, T0 + 200000, 3 * TCP_RATE_MARKS * MSS);
	ck_assert(rs.has);
	ck_assert_uint_eq(c.rate.n, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp_rate");

	tcase_add_test(tc, one_packet_alone);
	tcase_add_test(tc, the_slope_between_two_knees);
	tcase_add_test(tc, compressed_acks_do_not_deceive);
	tcase_add_test(tc, samples_shorter_than_a_round_trip_say_nothing);
	tcase_add_test(tc, a_pause_of_the_application_is_told);
	tcase_add_test(tc, what_was_sent_again_counts_from_then);
	tcase_add_test(tc, a_copy_that_arrives_too_early_is_another_one);
	tcase_add_test(tc, losses_and_flight_are_those_of_the_packet);
	tcase_add_test(tc, without_a_model_one_packet_at_a_time_is_followed);
	tcase_add_test(tc, more_marks_than_room_forget_the_oldest);
	return unit_run("tcp/rate", tc);
}
