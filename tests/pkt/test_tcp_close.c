/* The end of connections: every path of RFC 9293 figure 5 from ESTABLISHED to CLOSED. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(active_close_walks_to_time_wait) /* RFC 9293 3.6 figure 12 */
{
	struct rig *r = rig_established();
	rig_shutdown(r);
	STATE(r, FIN_WAIT_1);
	OUT(r, .seq = 1, .ack = 1, .flags = F | A);
	IN(r, .seq = 1, .ack = 2, .flags = A);
	STATE(r, FIN_WAIT_2);
	EVENTS(r, TCPE_SENT_FIN_ACKED);
	IN(r, .seq = 1, .ack = 2, .flags = F | A);
	STATE(r, TIME_WAIT);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	EVENTS(r, TCPE_FIN | TCPE_READABLE | TCPE_CLOSED);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_close(r);
	RELEASED(r);
	rig_free(r);
}
END_TEST

START_TEST(passive_close_walks_to_closed) /* RFC 9293 3.6 figure 12, other side */
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = F | A);
	STATE(r, CLOSE_WAIT);
	OUT(r, .seq = 1, .ack = 2, .flags = A);
	EVENTS(r, TCPE_FIN | TCPE_READABLE);
	ck_assert(tcp_rx_fin(r->c));
	ck_assert(tcp_may_send(r->c));
	rig_close(r);
	STATE(r, LAST_ACK);
	OUT(r, .seq = 1, .ack = 2, .flags = F | A);
	IN(r, .seq = 2, .ack = 2, .flags = A);
	RELEASED(r);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	rig_free(r);
}
END_TEST

START_TEST(simultaneous_close_goes_through_closing) /* RFC 9293 3.6 figure 13 */
{
	struct rig *r = rig_established();
	rig_shutdown(r);
	OUT(r, .seq = 1, .ack = 1, .flags = F | A);
	IN(r, .seq = 1, .ack = 1, .flags = F | A);
	STATE(r, CLOSING);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	IN(r, .seq = 2, .ack = 2, .flags = A);
	STATE(r, TIME_WAIT);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_free(r);
}
END_TEST

START_TEST(fin_that_acknowledges_ours_skips_closing) /* RFC 9293 3.10.7.4 eighth, FIN-WAIT-1 */
{
	struct rig *r = rig_fin_wait_1();
	IN(r, .seq = 1, .ack = 2, .flags = F | A);
	STATE(r, TIME_WAIT);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(half_closed_connection_goes_on_receiving) /* RFC 9293 3.6 case 1 */
{
	struct rig *r = rig_fin_wait_2();
	ck_assert(!tcp_may_send(r->c));
	for (uint32_t i = 0; i < 3; i++) {
		IN(r, .seq = 1 + 100 * i, .ack = 2, .flags = A, .len = 100);
		OUT(r, .seq = 2, .ack = 101 + 100 * i, .flags = A);
	}
	rig_read_n(r, 300);
	IN(r, .seq = 301, .ack = 2, .flags = F | A, .len = 50);
	OUT(r, .seq = 2, .ack = 352, .flags = A);
	STATE(r, TIME_WAIT);
	rig_read_n(r, 50); /* still there for the application */
	rig_after_ms(r, 61000);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	STATE(r, TIME_WAIT);
	rig_close(r);
	RELEASED(r);
	rig_free(r);
}
END_TEST

START_TEST(close_wait_goes_on_sending) /* RFC 9293 3.6 case 2 */
{
	struct rig *r = rig_close_wait();
	rig_send(r, 100);
	OUT(r, .seq = 1, .ack = 2, .flags = A | P, .len = 100);
	IN(r, .seq = 2, .ack = 101, .flags = A);
	EVENTS(r, TCPE_WRITABLE);
	rig_send(r, 50);
	rig_shutdown(r);
	STATE(r, LAST_ACK);
	OUT(r, .seq = 101, .ack = 2, .flags = A, .len = 50);
	OUT(r, .seq = 151, .ack = 2, .flags = F | A);
	IN(r, .seq = 2, .ack = 152, .flags = A);
	STATE(r, CLOSED);
	EVENTS(r, TCPE_WRITABLE | TCPE_SENT_FIN_ACKED | TCPE_CLOSED);
	ck_assert_int_eq(r->c->error, 0);
	rig_free(r);
}
END_TEST

START_TEST(data_before_fin_is_acknowledged_in_parts) /* FIN-WAIT-1 stays until all is */
{
	struct rig *r = rig_established();
	rig_send(r, 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 100);
	rig_shutdown(r);
	OUT(r, .seq = 101, .ack = 1, .flags = F | A);
	IN(r, .seq = 1, .ack = 101, .flags = A);
	STATE(r, FIN_WAIT_1);
	ck_assert_uint_eq(tcp_tx_una(r->c), 100);
	IN(r, .seq = 1, .ack = 102, .flags = A);
	STATE(r, FIN_WAIT_2);
	ck_assert_uint_eq(tcp_tx_una(r->c), 100);
	rig_free(r);
}
END_TEST

START_TEST(last_ack_ignores_repeated_fin_but_answers) /* RFC 9293 3.10.7.4 eighth */
{
	struct rig *r = rig_last_ack();
	IN(r, .seq = 1, .ack = 1, .flags = F | A);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	STATE(r, LAST_ACK);
	IN(r, .seq = 2, .ack = 2, .flags = A);
	STATE(r, CLOSED);
	rig_free(r);
}
END_TEST

START_TEST(close_wait_answers_repeated_fin)
{
	struct rig *r = rig_close_wait();
	IN(r, .seq = 1, .ack = 1, .flags = F | A);
	OUT(r, .seq = 1, .ack = 2, .flags = A);
	STATE(r, CLOSE_WAIT);
	EVENTS(r, 0);
	rig_free(r);
}
END_TEST

START_TEST(closing_answers_repeated_fin_and_waits)
{
	struct rig *r = rig_closing();
	IN(r, .seq = 1, .ack = 1, .flags = F | A);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	STATE(r, CLOSING);
	IN(r, .seq = 2, .ack = 2, .flags = A);
	STATE(r, TIME_WAIT);
	rig_free(r);
}
END_TEST

START_TEST(ack_owed_leaves_before_the_record_takes_over)
{
	struct rig *r = rig_fin_wait_1();
	IN_MORE(r, .seq = 1, .ack = 1, .flags = F | A); /* one burst: FIN, then ACK of ours */
	IN_MORE(r, .seq = 2, .ack = 2, .flags = A);
	rig_after_us(r, 0);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	STATE(r, TIME_WAIT);
	rig_free(r);
}
END_TEST

START_TEST(lost_fin_is_repeated)
{
	struct rig *r = rig_fin_wait_1();
	rig_until_rto(r);
	QUIET(r);
	rig_after_us(r, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = F | A);
	rig_after_rto(r);
	OUT(r, .seq = 1, .ack = 1, .flags = F | A);
	IN(r, .seq = 1, .ack = 2, .flags = A);
	STATE(r, FIN_WAIT_2);
	rig_after_ms(r, 10000);
	rig_free(r);
}
END_TEST

START_TEST(fin_out_of_order_waits_for_the_data) /* RFC 9293 3.10.7.4 eighth */
{
	struct rig *r = rig_established();
	IN(r, .seq = 101, .ack = 1, .flags = F | A, .len = 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	IN(r, .seq = 201, .ack = 1, .flags = F | A); /* and without data */
	OUT(r, .seq = 1, .ack = 1, .flags = A, );
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	STATE(r, CLOSE_WAIT);
	OUT(r, .seq = 1, .ack = 202, .flags = A);
	rig_read_n(r, 200);
	rig_free(r);
}
END_TEST

START_TEST(bare_fin_out_of_order_is_kept)
{
	struct rig *r = rig_established();
	IN(r, .seq = 101, .ack = 1, .flags = F | A);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 100);
	STATE(r, CLOSE_WAIT);
	OUT(r, .seq = 1, .ack = 102, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(data_behind_the_fin_does_not_exist)
{
	struct rig *r = rig_close_wait();
	IN(r, .seq = 2, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 2, .flags = A);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 0);
	rig_free(r);
	r = rig_established(); /* it came before the FIN, out of order */
	IN(r, .seq = 51, .ack = 1, .flags = A, .len = 100);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 71, .ack = 1, .flags = F | A);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 50);
	OUT(r, .seq = 1, .ack = 72, .flags = A);
	STATE(r, CLOSE_WAIT);
	rig_read_n(r, 70);
	rig_free(r);
}
END_TEST

START_TEST(close_with_unread_data_resets) /* RFC 2525 2.17, RFC 9293 3.6.1 */
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	rig_close(r);
	OUT(r, .seq = 1, .ack = 11, .flags = R | A);
	RELEASED(r);
	COUNT(r, tcp_tx_rst, 1);
	rig_free(r);
}
END_TEST

START_TEST(data_after_close_draws_reset) /* RFC 9293 3.6.1, RFC 1122 4.2.2.13 */
{
	struct rig *r = rig_established();
	rig_close(r);
	OUT(r, .seq = 1, .ack = 1, .flags = F | A);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	OUT(r, .seq = 1, .flags = R);
	RELEASED(r);
	COUNT(r, tcp_drop_after_close, 1);
	rig_free(r);
}
END_TEST

START_TEST(data_after_half_close_is_welcome)
{
	struct rig *r = rig_fin_wait_1();
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	OUT(r, .seq = 2, .ack = 11, .flags = A);
	rig_read_n(r, 10);
	rig_free(r);
}
END_TEST

START_TEST(orphan_in_fin_wait_2_becomes_a_record)
{
	struct rig *r = rig_established();
	rig_close(r);
	OUT(r, .seq = 1, .ack = 1, .flags = F | A);
	IN(r, .seq = 1, .ack = 2, .flags = A);
	RELEASED(r);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	IN(r, .seq = 1, .ack = 2, .flags = F | A);
	OUT(r, .seq = 2, .ack = 2, .flags = A);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_free(r);
}
END_TEST

START_TEST(orphan_in_fin_wait_2_ends_after_60_s)
{
	struct rig *r = rig_fin_wait_2();
	rig_close(r);
	RELEASED(r);
	rig_after_ms(r, 59999);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_after_ms(r, 1);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	rig_free(r);
}
END_TEST

START_TEST(linger2_shortens_or_skips_fin_wait_2)
{
	struct rig *r = rig_fin_wait_2(.o.linger2_s = 3);
	rig_close(r);
	rig_after_ms(r, 3000);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	rig_free(r);
	r = rig_fin_wait_2(.o.linger2_s = -1);
	rig_close(r);
	RELEASED(r);
	OUT(r, .seq = 2, .ack = 1, .flags = R | A);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	rig_free(r);
}
END_TEST

START_TEST(fin_wait_2_record_resets_new_data) /* RFC 1122 4.2.2.13 */
{
	struct rig *r = rig_fin_wait_2();
	rig_close(r);
	IN(r, .seq = 1, .ack = 2, .flags = A, .len = 10);
	OUT(r, .seq = 2, .flags = R);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	rig_free(r);
}
END_TEST

START_TEST(fin_wait_2_record_obeys_exact_reset_only) /* RFC 5961 3.2 */
{
	struct rig *r = rig_fin_wait_2();
	rig_close(r);
	IN(r, .seq = 50, .flags = R);
	OUT(r, .seq = 2, .ack = 1, .flags = A);
	IN(r, .seq = 1, .flags = R);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	rig_free(r);
}
END_TEST

START_TEST(fin_wait_2_record_answers_old_and_early_segments)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	rig_read(r);
	rig_drain(r);
	rig_close(r);
	OUT(r, .seq = 1, .ack = 11, .flags = F | A);
	IN(r, .seq = 11, .ack = 2, .flags = A);
	RELEASED(r);
	IN(r, .seq = 1, .ack = 2, .flags = A, .len = 10); /* a repetition */
	OUT(r, .seq = 2, .ack = 11, .flags = A);
	IN(r, .seq = 15, .ack = 2, .flags = F | A); /* something is missing before it */
	OUT(r, .seq = 2, .ack = 11, .flags = A);
	IN(r, .seq = 11, .ack = 2, .flags = A);
	IN(r, .seq = 11, .flags = F);
	QUIET(r);
	IN(r, .seq = 1, .ack = 2, .flags = F | A, .len = 10); /* with the FIN in order */
	OUT(r, .seq = 2, .ack = 12, .flags = A);
	rig_after_ms(r, 59999);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_free(r);
}
END_TEST

START_TEST(fin_wait_2_with_an_application_has_no_limit)
{
	struct rig *r = rig_fin_wait_2();
	rig_after_ms(r, 3600 * 1000);
	STATE(r, FIN_WAIT_2);
	IN(r, .seq = 1, .ack = 2, .flags = A, .len = 5);
	OUT(r, .seq = 2, .ack = 6, .flags = A);
	rig_read(r);
	rig_free(r);
}
END_TEST

START_TEST(orphan_with_data_delivers_it_first)
{
	struct rig *r = rig_established(.mss = 1000, .wnd = 1000);
	rig_send(r, 3000);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1000);
	rig_close(r);
	STATE(r, FIN_WAIT_1);
	IN(r, .seq = 1, .ack = 1001, .flags = A, .wnd = 9000);
	OUT(r, .seq = 1001, .ack = 1, .flags = A, .len = 1000);
	OUT(r, .seq = 2001, .ack = 1, .flags = A | F | P, .len = 1000);
	IN(r, .seq = 1, .ack = 3002, .flags = F | A);
	OUT(r, .seq = 3002, .ack = 2, .flags = A);
	RELEASED(r);
	rig_free(r);
}
END_TEST

START_TEST(orphan_gives_up_after_102_s) /* tcp_orphan_retries */
{
	struct rig *r = rig_established();
	rig_close(r);
	OUT(r, .seq = 1, .ack = 1, .flags = F | A);
	rig_after_ms(r, 240000);
	rig_drain(r);
	RELEASED(r);
	COUNT(r, tcp_timeout, 1);
	rig_free(r);
}
END_TEST

START_TEST(abort_resets_at_once) /* RFC 9293 3.10.5 */
{
	static const enum tcp_state all[] = { TCPS_SYN_RCVD, TCPS_ESTABLISHED, TCPS_CLOSE_WAIT,
		TCPS_FIN_WAIT_1, TCPS_FIN_WAIT_2, TCPS_CLOSING, TCPS_LAST_ACK };
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct rig *r = rig_make(RIG_OPTS(), all[i]);
		rig_abort(r);
		RELEASED(r);
		ck_assert_uint_eq(r->out[r->next_out].seg.flags, R | A);
		ck_assert_uint_eq(rig_drain(r), 1);
		rig_free(r);
	}
	struct rig *r = rig_syn_sent();
	rig_abort(r);
	RELEASED(r);
	QUIET(r);
	rig_free(r);
	r = rig_time_wait();
	rig_abort(r);
	RELEASED(r);
	QUIET(r);
	rig_free(r);
}
END_TEST

START_TEST(abort_sends_what_was_written_first) /* as if write() had sent it itself */
{
	struct rig *r = rig_established();
	rig_sock_of(r->c)->tx_tail = 10;
	tcp_app_wrote(&r->env, r->c, 10, r->now_ns); /* one burst with the abort */
	rig_abort(r);
	OUT(r, .seq = 1, .ack = 1, .flags = P | A, .len = 10);
	OUT(r, .seq = 11, .ack = 1, .flags = R | A);
	RELEASED(r);
	QUIET(r);
	rig_free(r);
}
END_TEST

START_TEST(calls_on_a_closed_connection_do_nothing)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = R | A);
	STATE(r, CLOSED);
	rig_send(r, 10);
	rig_shutdown(r);
	rig_set_opts(r);
	rig_read(r);
	QUIET(r);
	rig_close(r);
	RELEASED(r);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_close", { active_close_walks_to_time_wait }, { passive_close_walks_to_closed },
	 { simultaneous_close_goes_through_closing }, { fin_that_acknowledges_ours_skips_closing },
	 { half_closed_connection_goes_on_receiving }, { close_wait_goes_on_sending },
	 { data_before_fin_is_acknowledged_in_parts }, { last_ack_ignores_repeated_fin_but_answers },
	 { close_wait_answers_repeated_fin }, { closing_answers_repeated_fin_and_waits },
	 { ack_owed_leaves_before_the_record_takes_over }, { lost_fin_is_repeated },
	 { fin_out_of_order_waits_for_the_data }, { bare_fin_out_of_order_is_kept },
	 { data_behind_the_fin_does_not_exist }, { close_with_unread_data_resets },
	 { data_after_close_draws_reset }, { data_after_half_close_is_welcome },
	 { orphan_in_fin_wait_2_becomes_a_record }, { orphan_in_fin_wait_2_ends_after_60_s },
	 { linger2_shortens_or_skips_fin_wait_2 }, { fin_wait_2_record_resets_new_data },
	 { fin_wait_2_record_obeys_exact_reset_only },
	 { fin_wait_2_record_answers_old_and_early_segments },
	 { fin_wait_2_with_an_application_has_no_limit }, { orphan_with_data_delivers_it_first },
	 { orphan_gives_up_after_102_s }, { abort_resets_at_once },
	 { abort_sends_what_was_written_first },
	 { calls_on_a_closed_connection_do_nothing })
