/* Active and simultaneous open: SYN-SENT and SYN-RECEIVED of a connection that we opened. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(active_open_reaches_established) /* RFC 9293 3.5, figure 6 */
{
	struct rig *r = rig_syn_sent();
	QUIET(r);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .wnd = 65535);
	EVENTS(r, TCPE_CONNECTED | TCPE_WRITABLE);
	COUNT(r, tcp_active_open, 1);
	COUNT(r, tcp_established, 1);
	rig_free(r);
}
END_TEST

START_TEST(data_rides_on_the_ack_of_the_syn)
{
	struct rig *r = rig_syn_sent();
	rig_send(r, 10); /* queued before the handshake is done */
	QUIET(r);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	rig_free(r);
}
END_TEST

START_TEST(data_and_fin_in_the_syn_ack_are_taken) /* RFC 9293 3.10.7.3 fifth: sixth step */
{
	struct rig *r = rig_syn_sent();
	IN(r, .seq = 0, .ack = 1, .flags = S | A | F, .mss = 1460, .len = 0);
	STATE(r, CLOSE_WAIT);
	OUT(r, .seq = 1, .ack = 2, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(simultaneous_open_through_syn_received) /* RFC 9293 3.5 figure 7 */
{
	struct rig *r = rig_syn_sent();
	IN(r, .seq = 0, .flags = S, .mss = 1000);
	STATE(r, SYN_RCVD);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1000);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 1, .flags = A); /* ours may have been lost */
	EVENTS(r, TCPE_CONNECTED | TCPE_WRITABLE);
	ck_assert_uint_eq(r->c->mss, 1000);
	rig_free(r);
}
END_TEST

START_TEST(simultaneous_open_ends_by_plain_ack)
{
	struct rig *r = rig_syn_rcvd();
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	EVENTS(r, TCPE_CONNECTED | TCPE_WRITABLE);
	rig_free(r);
}
END_TEST

START_TEST(crossed_syn_is_not_scaled_but_later_windows_are) /* RFC 7323 2.2 */
{
	struct rig *r = rig_syn_rcvd(.ws = 4, .ts = true);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460, .ws = 4, .ts = true, .wnd = 8000);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_le(r->c->snd_wnd, 8000);
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = 9000);
	ck_assert_uint_eq(r->c->snd_wnd, 9000 << 3);
	rig_free(r);
}
END_TEST

START_TEST(syn_received_repeats_its_syn_ack)
{
	struct rig *r = rig_syn_rcvd();
	rig_after_ms(r, 999);
	QUIET(r);
	rig_after_ms(r, 1);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	rig_free(r);
}
END_TEST

START_TEST(syn_received_wrong_ack_draws_reset) /* RFC 9293 3.10.7.4 fifth, SYN-RECEIVED */
{
	struct rig *r = rig_syn_rcvd();
	IN(r, .seq = 1, .ack = 77, .flags = A);
	OUT(r, .seq = 77, .flags = R);
	STATE(r, SYN_RCVD);
	rig_free(r);
}
END_TEST

START_TEST(syn_received_reset_ends_the_open) /* RFC 9293 3.10.7.4 second; the error is Linux' */
{
	struct rig *r = rig_syn_rcvd();
	IN(r, .seq = 1, .ack = 1, .flags = R | A);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ECONNRESET);
	EVENTS(r, TCPE_ERROR | TCPE_CLOSED);
	rig_free(r);
}
END_TEST

START_TEST(close_in_syn_received_waits_for_established) /* RFC 9293 3.10.4 */
{
	struct rig *r = rig_syn_rcvd();
	rig_close(r);
	QUIET(r);
	STATE(r, SYN_RCVD);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, FIN_WAIT_1);
	OUT(r, .seq = 1, .ack = 1, .flags = F | A);
	rig_drain(r);
	rig_abort(r);
	rig_drain(r);
	rig_free(r);
}
END_TEST

START_TEST(close_in_syn_sent_deletes_it_silently) /* RFC 9293 3.10.4 SYN-SENT */
{
	struct rig *r = rig_syn_sent();
	rig_close(r);
	RELEASED(r);
	rig_free(r);
}
END_TEST

START_TEST(shutdown_in_syn_sent_disconnects)
{
	struct rig *r = rig_syn_sent();
	rig_shutdown(r);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ECONNRESET);
	rig_free(r);
}
END_TEST

START_TEST(stale_ack_in_syn_sent_draws_rst) /* RFC 9293 3.10.7.3 first, figure 9 */
{
	struct rig *r = rig_syn_sent();
	IN(r, .seq = 500, .ack = 300, .flags = A);
	OUT(r, .seq = 300, .flags = R);
	IN(r, .seq = 500, .ack = 0, .flags = S | A);
	OUT(r, .seq = 0, .flags = R);
	STATE(r, SYN_SENT);
	rig_free(r);
}
END_TEST

START_TEST(reset_in_syn_sent_needs_a_good_ack) /* RFC 9293 3.10.7.3 second */
{
	struct rig *r = rig_syn_sent();
	IN(r, .seq = 0, .flags = R);
	IN(r, .seq = 0, .ack = 5, .flags = R | A);
	STATE(r, SYN_SENT);
	QUIET(r);
	IN(r, .seq = 0, .ack = 1, .flags = R | A);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ECONNREFUSED);
	EVENTS(r, TCPE_ERROR | TCPE_CLOSED);
	rig_free(r);
}
END_TEST

START_TEST(plain_ack_without_syn_is_ignored_in_syn_sent) /* RFC 9293 3.10.7.3 fifth */
{
	struct rig *r = rig_syn_sent();
	IN(r, .seq = 0, .ack = 1, .flags = A);
	STATE(r, SYN_SENT);
	rig_free(r);
}
END_TEST

START_TEST(syn_is_repeated_six_times_then_times_out) /* RFC 9293 3.8.3, tcp_syn_retries */
{
	struct rig *r = rig_syn_sent();
	for (int i = 0; i < 6; i++) {
		rig_after_ms(r, (1000u << i) - 1);
		QUIET(r);
		rig_after_ms(r, 1);
		OUT(r, .seq = 0, .flags = S, .mss = 1460);
	}
	rig_after_ms(r, 63999);
	STATE(r, SYN_SENT);
	rig_after_ms(r, 1);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ETIMEDOUT);
	COUNT(r, tcp_timeout, 1);
	rig_free(r);
}
END_TEST

START_TEST(syncnt_limits_the_repetitions)
{
	struct rig *r = rig_syn_sent(.o.syncnt = 1);
	rig_after_ms(r, 1000);
	OUT(r, .seq = 0, .flags = S);
	rig_after_ms(r, 2000);
	STATE(r, CLOSED);
	rig_free(r);
}
END_TEST

START_TEST(repeated_syn_gives_no_sample_and_rto_three_seconds) /* RFC 6298 5.7, Karn */
{
	struct rig *r = rig_syn_sent();
	rig_after_ms(r, 1000);
	OUT(r, .seq = 0, .flags = S);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_eq(r->c->rtt.srtt_us, 0);
	rig_send(r, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1);
	rig_after_ms(r, 2999);
	QUIET(r);
	rig_after_ms(r, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1);
	rig_free(r);
}
END_TEST

START_TEST(no_route_and_tuple_in_use_are_told)
{
	struct rig *r = rig_established();
	struct rig_sock *s = rig_new_sock(r);
	s->c.opts.rcvbuf = 65535;
	ck_assert(tcp_tuple_in_use(&r->env, &r->flow, r->now_ns));
	ck_assert_int_eq(tcp_connect(&r->env, &s->c, &r->flow, r->now_ns), -EADDRNOTAVAIL);
	struct tcp_flow f = r->flow;
	f.local.port = 81;
	r->opt.path_mss = UINT16_MAX;
	ck_assert_int_eq(tcp_connect(&r->env, &s->c, &f, r->now_ns), -ENETUNREACH);
	ck_assert(!s->c.counted);
	rig_free(r);
}
END_TEST

START_TEST(hard_icmp_error_ends_syn_sent_only) /* RFC 1122 4.2.3.9, RFC 5927 4 */
{
	struct rig *r = rig_syn_sent();
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 9), ECONNREFUSED, true, 0, r->now_ns);
	STATE(r, SYN_SENT); /* not in flight */
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss), EHOSTUNREACH, false, 0, r->now_ns);
	STATE(r, SYN_SENT);
	EVENTS(r, TCPE_SOFT_ERROR);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss), ECONNREFUSED, true, 0, r->now_ns);
	STATE(r, CLOSED);
	ck_assert_int_eq(r->c->error, ECONNREFUSED);
	rig_free(r);
	r = rig_established();
	rig_send(r, 1);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .len = 1);
	rig_events(r);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), ECONNREFUSED, true, 0, r->now_ns);
	STATE(r, ESTABLISHED);
	EVENTS(r, TCPE_SOFT_ERROR);
	ck_assert_int_eq(r->c->soft_error, ECONNREFUSED);
	rig_free(r);
}
END_TEST

START_TEST(self_connect_opens_with_itself) /* RFC 9293 3.5: simultaneous open, both ends one */
{
	struct rig *r = rig_new();
	struct tcp_flow f = r->flow;
	f.remote = f.local;
	r->c = &rig_new_sock(r)->c;
	r->c->opts.rcvbuf = 65535;
	ck_assert_int_eq(tcp_connect(&r->env, r->c, &f, r->now_ns), 0);
	for (int i = 0; i < 10; i++) {
		tcp_flush(&r->env, r->now_ns);
		uint32_t n = r->n_out;
		struct rig_out out[8];
		ck_assert_uint_lt(n, 8);
		memcpy(out, r->out, sizeof(out));
		rig_drain(r);
		for (uint32_t k = 0; k < n; k++)
			tcp_input(&r->env, &f, &out[k].seg, "", r->now_ns);
	}
	STATE(r, ESTABLISHED);
	rig_drain(r);
	rig_abort(r);
	rig_drain(r);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_connect", { active_open_reaches_established }, { data_rides_on_the_ack_of_the_syn },
	 { data_and_fin_in_the_syn_ack_are_taken }, { simultaneous_open_through_syn_received },
	 { simultaneous_open_ends_by_plain_ack },
	 { crossed_syn_is_not_scaled_but_later_windows_are }, { syn_received_repeats_its_syn_ack },
	 { syn_received_wrong_ack_draws_reset }, { syn_received_reset_ends_the_open },
	 { close_in_syn_received_waits_for_established },
	 { close_in_syn_sent_deletes_it_silently }, { shutdown_in_syn_sent_disconnects },
	 { stale_ack_in_syn_sent_draws_rst }, { reset_in_syn_sent_needs_a_good_ack },
	 { plain_ack_without_syn_is_ignored_in_syn_sent },
	 { syn_is_repeated_six_times_then_times_out }, { syncnt_limits_the_repetitions },
	 { repeated_syn_gives_no_sample_and_rto_three_seconds },
	 { no_route_and_tuple_in_use_are_told }, { hard_icmp_error_ends_syn_sent_only },
	 { self_connect_opens_with_itself })
