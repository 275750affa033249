/* TIME-WAIT in a compact record: what it answers, when it ends, who may take its place. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

static struct rig *in_time_wait(const struct rig_opts *o)
{
	struct rig *r = rig_make(o, TCPS_TIME_WAIT);

	rig_close(r);
	RELEASED(r);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	return r;
}

START_TEST(time_wait_lasts_60_s) /* RFC 9293 3.6.1, 2 MSL as Linux */
{
	struct rig *r = in_time_wait(RIG_OPTS());
	ck_assert(tcp_tuple_in_use(&r->env, &r->flow, r->now_ns));
	rig_after_ms(r, 59999);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_after_ms(r, 1);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	ck_assert(!tcp_tuple_in_use(&r->env, &r->flow, r->now_ns));
	rig_free(r);
}
END_TEST

START_TEST(repeated_fin_is_answered_and_restarts_the_wait) /* RFC 9293 3.10.7.4 eighth */
{
	struct rig *r = in_time_wait(RIG_OPTS());
	rig_after_ms(r, 40000);
	IN(r, .seq = 1, .ack = 2, .flags = F | A);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	rig_after_ms(r, 59000);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_after_ms(r, 1000);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	rig_free(r);
}
END_TEST

START_TEST(reset_does_not_assassinate_it) /* RFC 1337 */
{
	struct rig *r = in_time_wait(RIG_OPTS());
	IN(r, .seq = 2, .flags = R);
	IN(r, .seq = 2, .ack = 2, .flags = R | A);
	QUIET(r);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_free(r);
}
END_TEST

START_TEST(stray_segments_are_answered_pure_acks_are_not)
{
	struct rig *r = in_time_wait(RIG_OPTS());
	IN(r, .seq = 2, .ack = 2, .flags = A);
	QUIET(r);
	IN(r, .seq = 2, .ack = 2, .flags = A, .len = 10);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	IN(r, .seq = 90000, .ack = 2, .flags = A);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(syn_with_a_higher_number_opens_again) /* RFC 1122 4.2.2.13 */
{
	struct rig *r = in_time_wait(RIG_OPTS());
	rig_listen_start(r);
	IN(r, .seq = 1, .flags = S); /* inside the old connection */
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	IN(r, .seq = 3, .flags = S);
	OUT(r, .seq = 2 + 65537, .ack = 4, .flags = S | A); /* beyond the old one's */
	ck_assert_uint_eq(r->env.n_timewait, 0);
	ck_assert_uint_eq(r->env.n_synq, 1);
	COUNT(r, tcp_timewait_reused, 1);
	rig_free(r);
}
END_TEST

START_TEST(syn_without_a_listener_leaves_the_record)
{
	struct rig *r = in_time_wait(RIG_OPTS());
	IN(r, .seq = 3, .flags = S);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_free(r);
}
END_TEST

START_TEST(newer_timestamp_opens_again_whatever_the_number) /* RFC 6191 */
{
	struct rig *r = in_time_wait(RIG_OPTS(.ts = true));
	rig_listen_start(r);
	rig_after_ms(r, 10);
	IN(r, .seq = 50000, .flags = S, .ts = true, .tsval = 1 + (uint32_t)(r->now_ns / 1000000));
	OUT(r, .seq = 2, .ack = 2, .flags = A); /* higher number, but an older timestamp */
	IN(r, .seq = (uint32_t)-5000, .flags = S, .ts = true);
	OUT(r, .seq = 2 + 65537, .ack = (uint32_t)-4999, .flags = S | A);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	rig_free(r);
}
END_TEST

START_TEST(repeated_fin_with_timestamps) /* RFC 7323 5.3: equal is new enough, older is not */
{
	struct rig *r = in_time_wait(RIG_OPTS(.ts = true));
	uint32_t ts = 7777 + (uint32_t)(r->now_ns / 1000000);
	rig_after_ms(r, 30000);
	IN(r, .seq = 1, .ack = 2, .flags = F | A, .tsval = ts - 1);
	OUT(r, .seq = 2, .ack = 2, .flags = A, .tsecr = ts);
	rig_after_ms(r, 500);
	IN(r, .seq = 2, .ack = 2, .flags = A, .tsval = ts - 1); /* answered only for being old */
	OUT(r, .seq = 2, .ack = 2, .flags = A, .tsecr = ts);
	rig_after_ms(r, 28500);
	IN(r, .seq = 1, .ack = 2, .flags = F | A, .tsval = ts);
	OUT(r, .seq = 2, .ack = 2, .flags = A, .tsecr = ts);
	rig_after_ms(r, 59000);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_after_ms(r, 1000);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	rig_free(r);
}
END_TEST

START_TEST(connect_may_reuse_it_after_a_second_of_timestamps) /* RFC 6191, tcp_tw_reuse */
{
	struct rig *r = in_time_wait(RIG_OPTS(.ts = true));
	struct rig_sock *s = rig_new_sock(r);
	s->c.opts.rcvbuf = 65535;
	ck_assert_int_eq(tcp_connect(&r->env, &s->c, &r->flow, r->now_ns), -EADDRNOTAVAIL);
	rig_after_ms(r, 1100);
	ck_assert(!tcp_tuple_in_use(&r->env, &r->flow, r->now_ns));
	ck_assert_int_eq(tcp_connect(&r->env, &s->c, &r->flow, r->now_ns), 0);
	r->c = &s->c;
	rig_after_us(r, 0);
	OUT(r, .seq = 2 + 65537, .flags = S, .ts = true);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	rig_free(r);
}
END_TEST

START_TEST(connect_may_not_reuse_it_without_timestamps)
{
	struct rig *r = in_time_wait(RIG_OPTS());
	rig_after_ms(r, 30000);
	ck_assert(tcp_tuple_in_use(&r->env, &r->flow, r->now_ns));
	rig_free(r);
}
END_TEST

START_TEST(full_pool_recycles_the_oldest)
{
	struct rig *r = rig_listening(.max_timewait = 3);
	for (uint16_t p = 1; p <= 10; p++) {
		IN(r, .seq = 0, .flags = S, .mss = 1460, .rport = p);
		struct tcp_seg sa = r->out[r->next_out].seg;
		uint32_t base = seq_diff(sa.seq, seq_of(r->iss));
		rig_drain(r);
		IN(r, .seq = 1, .ack = base + 1, .flags = A, .rport = p);
		r->listener.n_acceptq = 0;
		rig_close(r);
		rig_drain(r);
		IN(r, .seq = 1, .ack = base + 2, .flags = F | A, .rport = p);
		rig_drain(r);
		RELEASED(r);
		ck_assert_uint_le(r->env.n_timewait, 3);
	}
	ck_assert_uint_eq(r->env.n_timewait, 3);
	struct tcp_flow f = r->flow;
	f.remote.port = 10;
	ck_assert(tcp_tuple_in_use(&r->env, &f, r->now_ns));
	f.remote.port = 7;
	ck_assert(!tcp_tuple_in_use(&r->env, &f, r->now_ns));
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_timewait", { time_wait_lasts_60_s },
	 { repeated_fin_is_answered_and_restarts_the_wait },
	 { reset_does_not_assassinate_it }, { stray_segments_are_answered_pure_acks_are_not },
	 { syn_with_a_higher_number_opens_again }, { syn_without_a_listener_leaves_the_record },
	 { newer_timestamp_opens_again_whatever_the_number },
	 { repeated_fin_with_timestamps },
	 { connect_may_reuse_it_after_a_second_of_timestamps },
	 { connect_may_not_reuse_it_without_timestamps }, { full_pool_recycles_the_oldest })
