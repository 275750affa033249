/* A limit on the rate: how much leaves, and when (SO_MAX_PACING_RATE of socket(7)). */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

#define LIMITED(rate) rig_established(.mss = 1000, .rtt_ms = 1, .o.pacing = (rate))

/* The first ten segments of a connection are not paced, as on Linux. */
static struct rig *after_the_first_ten(struct rig *r)
{
	rig_send(r, 10000);
	ck_assert_uint_eq(rig_drain(r), 10);
	rig_after_ms(r, 20);
	IN(r, .seq = 1, .ack = 10001, .flags = A);
	return r;
}

START_TEST(the_first_ten_segments_leave_at_once) /* RFC 6928 */
{
	struct rig *r = LIMITED(1000000);
	rig_send(r, 7000);
	ck_assert_uint_eq(rig_drain(r), 7);
	IN(r, .seq = 1, .ack = 5001, .flags = A);
	rig_send(r, 5000);
	ck_assert_uint_eq(rig_drain(r), 3);
	rig_after_us(r, 2100);
	ck_assert_uint_eq(rig_drain(r), 2);
	IN(r, .seq = 1, .ack = 12001, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(no_more_than_the_limit_leaves) /* 1 MB/s, two segments of 1000 bytes each 2 ms */
{
	struct rig *r = after_the_first_ten(LIMITED(1000000));
	rig_send(r, 10000);
	ck_assert_uint_eq(rig_drain(r), 2);
	rig_after_us(r, 1900);
	QUIET(r);
	rig_after_us(r, 200);
	ck_assert_uint_eq(rig_drain(r), 2);
	rig_after_ms(r, 6);
	ck_assert_uint_eq(rig_drain(r), 6);
	IN(r, .seq = 1, .ack = 20001, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(idle_time_gives_no_credit)
{
	struct rig *r = after_the_first_ten(LIMITED(1000000));
	rig_after_ms(r, 1000);
	rig_send(r, 8000);
	ck_assert_uint_eq(rig_drain(r), 2);
	rig_after_us(r, 2100);
	ck_assert_uint_eq(rig_drain(r), 2);
	rig_after_ms(r, 5);
	ck_assert_uint_eq(rig_drain(r), 4);
	IN(r, .seq = 1, .ack = 18001, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(the_limit_may_change_and_go) /* setsockopt() on a connection */
{
	struct rig *r = after_the_first_ten(LIMITED(100000));
	rig_send(r, 10000);
	ck_assert_uint_eq(rig_drain(r), 2);
	r->c->opts.pacing = 0;
	rig_set_opts(r);
	ck_assert_uint_eq(rig_drain(r), 8);
	IN(r, .seq = 1, .ack = 20001, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(what_is_sent_again_keeps_to_it_too)
{
	struct rig *r = rig_established(.mss = 1000, .rtt_ms = 1, .sack = true, .o.cc = RIG_RENO);
	rig_send(r, 10000);
	ck_assert_uint_eq(rig_drain(r), 10);
	rig_after_ms(r, 1);
	r->c->opts.pacing = 1000000;
	rig_set_opts(r);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 5001, 10001 } });
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 1001, .ack = 1, .flags = A, .len = 1000);
	QUIET(r);
	rig_after_us(r, 2100);
	OUT(r, .seq = 2001, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 3001, .ack = 1, .flags = A, .len = 1000);
	QUIET(r);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_pace", { the_first_ten_segments_leave_at_once },
	 { no_more_than_the_limit_leaves }, { idle_time_gives_no_credit },
	 { the_limit_may_change_and_go }, { what_is_sent_again_keeps_to_it_too })
