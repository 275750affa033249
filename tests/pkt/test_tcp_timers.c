/* Retransmission, backoff, Karn, limits, keepalive, user timeout. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(timeout_repeats_with_backoff) /* RFC 6298 5.4 - 5.6 */
{
	struct rig *r = rig_established(.mss = 1000, .rtt_ms = 10);
	rig_send(r, 500);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 500);
	for (int i = 0; i < 5; i++) {
		rig_after_ms(r, (210u << i) - 1);
		QUIET(r);
		rig_after_ms(r, 1);
		OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 500);
	}
	COUNT(r, tcp_rto_fired, 5);
	COUNT(r, tcp_retrans_segs, 5);
	rig_free(r);
}
END_TEST

START_TEST(timeout_follows_the_round_trip) /* RFC 6298 2.2: SRTT + 4 * SRTT / 2 */
{
	struct rig *r = rig_established(.rtt_ms = 300);
	ck_assert_uint_eq(r->c->rtt.srtt_us, 300000);
	rig_send(r, 5);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 5);
	rig_after_ms(r, 899);
	QUIET(r);
	rig_after_ms(r, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 5);
	rig_free(r);
}
END_TEST

START_TEST(each_new_ack_restarts_the_timer) /* RFC 6298 5.3 */
{
	struct rig *r = rig_established(.mss = 1000, .rtt_ms = 10);
	rig_send(r, 3000);
	rig_drain(r);
	rig_after_ms(r, 150);
	IN(r, .seq = 1, .ack = 1001, .flags = A);
	rig_after_ms(r, 200);
	QUIET(r);
	IN(r, .seq = 1, .ack = 3001, .flags = A); /* 5.2: all acknowledged, off */
	rig_after_ms(r, 100000);
	QUIET(r);
	ck_assert(tcp_next_ns(&r->env) == UINT64_MAX);
	rig_free(r);
}
END_TEST

START_TEST(part_of_a_burst_ends_the_backoff) /* RFC 6298 5.7's note: until something is measured */
{
	struct rig *r = rig_established(.rtt_ms = 10);
	rig_send(r, 10 * 1460);
	rig_after_ms(r, 2000);
	for (uint32_t i = 1; i <= 10; i++) { /* each of them is sent again */
		rig_drain(r);
		IN(r, .seq = 1, .ack = 1 + i * 1460, .flags = A);
	}
	ck_assert_uint_gt(r->c->rtt.backoff, 0);
	rig_drain(r);
	rig_send(r, 2 * 1460);
	ck_assert_uint_eq(rig_drain(r), 2);
	rig_after_ms(r, 10);
	if (_i % 2) /* a duplicate: then it is the scoreboard's to say */
		IN(r, .seq = 1, .ack = 1 + 10 * 1460, .flags = A);
	IN(r, .seq = 1, .ack = 1 + 11 * 1460, .flags = A);
	ck_assert_uint_eq(r->c->rtt.backoff, 0);
	ck_assert_uint_eq(r->c->rtt.srtt_us, 10000);
	rig_free(r);
}
END_TEST

START_TEST(what_arrived_before_a_retransmission_gives_no_sample_with_it) /* Karn, RFC 6298 3; as Linux */
{
	struct rig *r = rig_established(.rtt_ms = 10, .sack = true);
	uint32_t srtt = r->c->rtt.srtt_us;
	for (int i = 0; i < 3; i++) {
		rig_send(r, 1460);
		rig_after_ms(r, 1);
	}
	rig_after_ms(r, 5000); /* what the peer has told of the others is lost */
	rig_drain(r);
	uint8_t backoff = r->c->rtt.backoff;
	ck_assert_uint_gt(backoff, 0);
	IN(r, .seq = 1, .ack = 1 + 3 * 1460, .flags = A);
	ck_assert_uint_eq(r->c->rtt.srtt_us, srtt);
	ck_assert_uint_eq(r->c->rtt.backoff, backoff);
	rig_free(r);
}
END_TEST

START_TEST(retransmission_gives_no_sample_without_timestamps) /* Karn, RFC 6298 3 */
{
	struct rig *r = rig_established(.rtt_ms = 10);
	uint32_t srtt = r->c->rtt.srtt_us;
	rig_send(r, 5);
	rig_drain(r);
	rig_after_ms(r, 210);
	rig_drain(r);
	rig_after_ms(r, 100);
	IN(r, .seq = 1, .ack = 6, .flags = A);
	ck_assert_uint_eq(r->c->rtt.srtt_us, srtt);
	ck_assert_uint_eq(r->c->rtt.backoff, 1); /* kept until a good sample */
	rig_send(r, 5);
	OUT(r, .seq = 6, .ack = 1, .flags = A, .len = 5);
	rig_after_ms(r, 20);
	IN(r, .seq = 1, .ack = 11, .flags = A);
	ck_assert_uint_eq(r->c->rtt.backoff, 0);
	ck_assert_uint_gt(r->c->rtt.srtt_us, srtt);
	rig_free(r);
}
END_TEST

START_TEST(only_an_ack_of_what_is_timed_is_a_sample) /* RFC 6298 3 */
{
	struct rig *r = rig_established(.mss = 1000, .rtt_ms = 10);
	uint32_t srtt = r->c->rtt.srtt_us;
	rig_send(r, 1000);
	rig_after_ms(r, 50);
	IN(r, .seq = 1, .ack = 1001, .flags = A);
	ck_assert_uint_gt(r->c->rtt.srtt_us, srtt);
	srtt = r->c->rtt.srtt_us;
	rig_send(r, 1000);
	rig_send(r, 1000);
	/* both are one burst, and timed together */
	rig_after_ms(r, 50);
	IN(r, .seq = 1, .ack = 2001, .flags = A);
	ck_assert_uint_eq(r->c->rtt.srtt_us, srtt);
	IN(r, .seq = 1, .ack = 3001, .flags = A);
	ck_assert_uint_ne(r->c->rtt.srtt_us, srtt);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(timestamps_measure_retransmissions_too) /* RFC 7323 4.1 */
{
	struct rig *r = rig_established(.rtt_ms = 10, .ts = true);
	rig_send(r, 5);
	rig_drain(r);
	rig_after_ms(r, 210);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 5, .ts = true);
	rig_after_ms(r, 30);
	IN(r, .seq = 1, .ack = 6, .flags = A);
	ck_assert_uint_eq(r->c->rtt.backoff, 0);
	ck_assert_uint_eq(r->c->rtt.srtt_us, (10000 * 7 + 30000) / 8);
	rig_free(r);
}
END_TEST

START_TEST(connection_gives_up_after_924_s) /* RFC 9293 3.8.3 R2, tcp_retries2 */
{
	struct rig *r = rig_established(.rtt_ms = 10);
	rig_send(r, 5);
	rig_after_ms(r, 924599);
	STATE(r, ESTABLISHED);
	ck_assert_uint_eq(rig_drain(r), 1 + 15);
	rig_events(r);
	rig_after_ms(r, 120000);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ETIMEDOUT);
	EVENTS(r, TCPE_ERROR | TCPE_CLOSED);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(soft_error_explains_the_timeout) /* RFC 1122 4.2.3.9 */
{
	struct rig *r = rig_established();
	rig_send(r, 5);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EHOSTUNREACH, false, 0, r->now_ns);
	rig_after_ms(r, 1200000);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, EHOSTUNREACH);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(user_timeout_ends_it_sooner) /* RFC 5482, TCP_USER_TIMEOUT */
{
	struct rig *r = rig_established(.o.user_timeout_ms = 3000);
	rig_send(r, 5);
	rig_after_ms(r, 2900);
	STATE(r, ESTABLISHED);
	rig_after_ms(r, 4000);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ETIMEDOUT);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(keepalive_probes_and_gives_up) /* RFC 9293 3.8.4 */
{
	struct rig *r = rig_established(.o.keepalive = true, .o.keepidle_s = 10,
					.o.keepintvl_s = 2, .o.keepcnt = 3);
	rig_after_ms(r, 9999);
	QUIET(r);
	rig_after_ms(r, 1);
	OUT(r, .seq = 0, .ack = 1, .flags = A);
	rig_after_ms(r, 2000);
	OUT(r, .seq = 0, .ack = 1, .flags = A);
	rig_after_ms(r, 2000);
	OUT(r, .seq = 0, .ack = 1, .flags = A);
	rig_after_ms(r, 1999);
	STATE(r, ESTABLISHED);
	rig_after_ms(r, 1);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ETIMEDOUT);
	OUT(r, .seq = 1, .ack = 1, .flags = R | A);
	COUNT(r, tcp_keepalive_probe, 3);
	rig_free(r);
}
END_TEST

START_TEST(answered_keepalive_starts_over)
{
	struct rig *r = rig_established(.o.keepalive = true, .o.keepidle_s = 10,
					.o.keepintvl_s = 2, .o.keepcnt = 3);
	for (int i = 0; i < 20; i++) {
		rig_after_ms(r, 9999);
		QUIET(r);
		rig_after_ms(r, 2002);
		ck_assert_uint_ge(rig_drain(r), 1);
		IN(r, .seq = 1, .ack = 1, .flags = A);
	}
	STATE(r, ESTABLISHED);
	rig_free(r);
}
END_TEST

START_TEST(keepalive_can_be_switched_on_and_off)
{
	struct rig *r = rig_established(.o.keepidle_s = 10);
	rig_after_ms(r, 7000);
	r->c->opts.keepalive = true;
	rig_set_opts(r);
	rig_after_ms(r, 2999);
	QUIET(r);
	rig_after_ms(r, 1); /* ten seconds after the last segment */
	OUT(r, .seq = 0, .ack = 1, .flags = A);
	r->c->opts.keepalive = false;
	rig_set_opts(r);
	rig_after_ms(r, 100000);
	QUIET(r);
	ck_assert(tcp_next_ns(&r->env) == UINT64_MAX);
	rig_free(r);
}
END_TEST

START_TEST(keepalive_stays_quiet_while_data_is_in_flight)
{
	struct rig *r = rig_established(.o.keepalive = true, .o.keepidle_s = 1, .o.keepcnt = 1);
	rig_send(r, 5);
	rig_after_ms(r, 60000);
	STATE(r, ESTABLISHED);
	COUNT(r, tcp_keepalive_probe, 0);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(our_answer_to_a_keepalive_probe) /* RFC 9293 3.8.4 MUST: with and without a byte */
{
	struct rig *r = rig_established();
	IN(r, .seq = 0, .ack = 1, .flags = A);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 0, .ack = 1, .flags = A, .len = 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(timer_is_not_moved_for_every_ack) /* lazy arming: cheap, and nothing is lost */
{
	struct rig *r = rig_established(.mss = 1000, .rtt_ms = 10);
	for (uint32_t i = 0; i < 100; i++) {
		rig_send(r, 1000);
		OUT(r, .seq = 1 + 1000 * i, .ack = 1, .flags = A, .len = 1000);
		uint64_t due = r->c->timer.due_ns;
		rig_after_ms(r, 1);
		IN(r, .seq = 1, .ack = 1001 + 1000 * i, .flags = A);
		ck_assert(r->c->timer.due_ns == due);
	}
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_timers", { timeout_repeats_with_backoff }, { timeout_follows_the_round_trip },
	 { each_new_ack_restarts_the_timer },
	 { part_of_a_burst_ends_the_backoff },
	 { what_arrived_before_a_retransmission_gives_no_sample_with_it },
	 { retransmission_gives_no_sample_without_timestamps },
	 { only_an_ack_of_what_is_timed_is_a_sample },
	 { timestamps_measure_retransmissions_too }, { connection_gives_up_after_924_s },
	 { soft_error_explains_the_timeout }, { user_timeout_ends_it_sooner },
	 { keepalive_probes_and_gives_up }, { answered_keepalive_starts_over },
	 { keepalive_can_be_switched_on_and_off },
	 { keepalive_stays_quiet_while_data_is_in_flight }, { our_answer_to_a_keepalive_probe },
	 { timer_is_not_moved_for_every_ack })
