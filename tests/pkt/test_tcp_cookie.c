/* SYN cookies: what a listener with a full queue still knows of a handshake. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

/* A listener with a full queue (or one that does so always). */
static struct rig *crowded(const struct rig_opts *o)
{
	struct rig *r = rig_make(o, TCPS_LISTEN);

	if (o->cookies == TCP_COOKIE_FULL) {
		r->listener.backlog = 1;
		IN(r, .seq = 900, .flags = S, .mss = 1460, .rport = 7);
		ck_assert_uint_eq(rig_drain(r), 1);
		ck_assert_uint_eq(r->env.n_synq, 1);
	}
	return r;
}
#define rig_crowded(...) crowded(RIG_OPTS(.cookies = TCP_COOKIE_FULL, __VA_ARGS__))
#define rig_always(...) crowded(RIG_OPTS(.cookies = TCP_COOKIE_ALWAYS, __VA_ARGS__))

/* The SYN-ACK that waits has a number of its own: from now on the test's numbers are relative to it. */
static void cookie_sent(struct rig *r)
{
	ck_assert_uint_eq(r->n_out - r->next_out, 1);
	r->iss = r->out[r->next_out].seg.seq.v;
}

START_TEST(full_queue_is_answered_by_a_cookie) /* RFC 4987 3.6 */
{
	struct rig *r = rig_crowded();
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	cookie_sent(r);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460, .ws = ZERO, .no_ts = true, .wnd = 65535);
	ck_assert_uint_eq(r->env.n_synq, 1); /* nothing is kept */
	rig_after_ms(r, 30000);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	ck_assert(rig_sock_of(r->c)->accepted);
	ck_assert_uint_eq(r->c->mss, rig_is_v6(r) ? 1440 : 1460);
	COUNT(r, tcp_cookie_sent, 1);
	COUNT(r, tcp_cookie_taken, 1);
	rig_send(r, 3);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 3);
	rig_free(r);
}
END_TEST

START_TEST(data_behind_the_lost_ack_brings_it) /* RFC 9293 3.10.7.4 */
{
	struct rig *r = rig_always();
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	cookie_sent(r);
	rig_drain(r);
	ck_assert_uint_eq(r->env.n_synq, 0);
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 100);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	rig_read_n(r, 100);
	rig_free(r);
}
END_TEST

START_TEST(segment_size_is_one_of_four) /* never more than the peer takes, but for the very small */
{
	static const struct { uint16_t said, told; } four[] = {
		{ 0, 536 }, { 100, 536 }, { 536, 536 }, { 1299, 536 }, { 1300, 1300 }, { 1439, 1300 },
		{ 1440, 1440 }, { 1459, 1440 }, { 1460, 1460 }, { 8960, 1460 } }, six[] = {
		{ 0, 1220 }, { 100, 1220 }, { 1220, 1220 }, { 1419, 1220 }, { 1420, 1420 }, { 1439, 1420 },
		{ 1440, 1440 }, { 8939, 1440 }, { 8940, 8940 }, { 8960, 8940 } }, *row;
	row = _i == RIG_V6 ? six : four;
	for (size_t i = 0; i < ARRAY_LEN(four); i++) {
		struct rig *r = rig_always(.path_mss = 9000);
		IN(r, .seq = 0, .flags = S, .mss = row[i].said);
		cookie_sent(r);
		OUT(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 9000);
		IN(r, .seq = 1, .ack = 1, .flags = A);
		STATE(r, ESTABLISHED);
		ck_assert_uint_eq(r->c->peer_mss, row[i].told);
		rig_free(r);
	}
}
END_TEST

START_TEST(options_come_back_in_the_timestamp) /* as Linux: bits 0-3 scale, 4 SACK, 5 ECN */
{
	for (int ws = 0; ws <= 15; ws++) { /* 0: no option */
		bool sack = ws % 2, ecn = ws % 3 == 0;
		struct rig *r = rig_always(.ts = true, .rcvbuf = 1 << 20);
		IN(r, .seq = 0, .flags = ecn ? S | E | W : S, .mss = 1460, .ws = ws, .ts = true,
		   .sack_ok = sack, .tsval = 123456);
		cookie_sent(r);
		ck_assert(r->out[0].seg.sack_ok == sack);
		OUT(r, .seq = 0, .ack = 1, .flags = ecn ? S | A | E : S | A, .ts = true,
		    .tsecr = 123456, .ws = ws ? tcp_choose_wscale(1 << 20) + 1 : ZERO);
		IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = 100, .tsval = 123457);
		STATE(r, ESTABLISHED);
		ck_assert(r->c->ts_ok && r->c->sack_ok == sack && r->c->ecn_ok == ecn);
		ck_assert_uint_eq(r->c->snd_wscale, ws ? ws - 1 : 0);
		ck_assert_uint_eq(r->c->rcv_wscale, ws ? tcp_choose_wscale(1 << 20) : 0);
		ck_assert_uint_eq(r->c->snd_wnd, 100u << (ws ? ws - 1 : 0));
		ck_assert_uint_eq(r->c->ts_recent, 123457);
		rig_send(r, 1); /* RFC 7323 5.2: our clock has not gone back */
		ck_assert_int_ge((int32_t)(r->out[0].seg.tsval - tcp_ts_now(r->c->ts_offset, r->now_ns)), 0);
		rig_drain(r);
		rig_free(r);
	}
}
END_TEST

START_TEST(stamp_is_never_of_the_future)
{
	struct rig *r = rig_new();
	for (uint32_t i = 0; i < 200; i++, r->now_ns += NSEC_PER_MSEC) {
		struct tcp_synq q = { .wscale_ok = true, .snd_wscale = i % 15, .sack_ok = i & 1,
				      .ecn_ok = i & 2, .ts_offset = i * 0x10000001u }, back = q;
		uint32_t stamp = tcp_cookie_stamp(&q, r->now_ns);
		uint32_t now = tcp_ts_now(q.ts_offset, r->now_ns);
		ck_assert_int_le((int32_t)(stamp - now), 0);
		ck_assert_int_gt((int32_t)(stamp - now), -128);
		ck_assert(tcp_cookie_unstamp(&back, stamp));
		ck_assert(back.wscale_ok && back.snd_wscale == q.snd_wscale);
		ck_assert(back.sack_ok == q.sack_ok && back.ecn_ok == q.ecn_ok);
	}
	rig_free(r);
}
END_TEST

START_TEST(without_timestamps_nothing_else_is_offered)
{
	struct rig *r = rig_always(.sack = true);
	IN(r, .seq = 0, .flags = S | E | W, .mss = 1460, .ws = 8, .sack_ok = true);
	cookie_sent(r);
	ck_assert(!r->out[0].seg.sack_ok && !r->out[0].seg.has_wscale);
	ck_assert_uint_eq(r->out[0].seg.flags, S | A);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A, .wnd = 500);
	STATE(r, ESTABLISHED);
	ck_assert(!r->c->sack_ok && !r->c->ecn_ok);
	ck_assert_uint_eq(r->c->snd_wnd, 500);
	rig_free(r);
}
END_TEST

START_TEST(cookie_lives_for_its_minute_and_the_next)
{
	for (int minutes = 0; minutes < 3; minutes++) {
		struct rig *r = rig_always();
		IN(r, .seq = 0, .flags = S, .mss = 1460);
		cookie_sent(r);
		rig_drain(r);
		rig_after_ms(r, (uint64_t)minutes * 60000);
		IN(r, .seq = 0, .flags = S, .mss = 1460, .rport = 9); /* so that they are looked for */
		rig_drain(r);
		IN(r, .seq = 1, .ack = 1, .flags = A);
		if (minutes < 2) {
			STATE(r, ESTABLISHED);
		} else {
			OUT(r, .seq = 1, .flags = R);
			ck_assert_ptr_null(r->c);
			COUNT(r, tcp_cookie_failed, 1);
		}
		rig_free(r);
	}
}
END_TEST

START_TEST(nobody_looks_for_cookies_that_were_not_sent)
{
	struct rig *r = rig_always();
	IN(r, .seq = 1, .ack = 77, .flags = A);
	OUT(r, .seq = 77, .flags = R);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	rig_drain(r);
	rig_after_ms(r, 120000); /* the last one was too long ago */
	IN(r, .seq = 1, .ack = 77, .flags = A);
	OUT(r, .seq = 77, .flags = R);
	COUNT(r, tcp_cookie_failed, 0);
	rig_free(r);
}
END_TEST

START_TEST(forged_ones_draw_a_reset) /* RFC 9293 3.10.7.2 second */
{
	struct rig *r = rig_always();
	struct rng rng;
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	cookie_sent(r);
	rig_drain(r);
	IN(r, .seq = 2, .ack = 1, .flags = A); /* another IRS */
	OUT(r, .seq = 1, .flags = R);
	IN(r, .seq = 1, .ack = 1, .flags = A, .rport = 9); /* another flow */
	OUT(r, .seq = 1, .flags = R, .rport = 9);
	IN(r, .seq = 1, .ack = 1, .flags = S | A);
	OUT(r, .seq = 1, .flags = R);
	IN(r, .seq = 1, .ack = 1, .flags = R | A);
	QUIET(r);
	COUNT(r, tcp_cookie_failed, 2);
	rng_seed(&rng, 4711 + (uint64_t)_i);
	for (int i = 0; i < 3000; i++)
		IN(r, .seq = 1, .ack = (uint32_t)rng_u64(&rng) | 1 << 20, .flags = A);
	ck_assert_uint_eq(rig_drain(r), 3000);
	ck_assert_ptr_null(r->c);
	COUNT(r, tcp_cookie_taken, 0);
	rig_free(r);
}
END_TEST

START_TEST(impossible_scale_is_not_ours)
{
	struct tcp_synq q = { .ts_offset = 5 };
	ck_assert(tcp_cookie_unstamp(&q, 64 + 14 + 5) && q.wscale_ok);
	ck_assert(tcp_cookie_unstamp(&q, 64 + 15 + 5) && !q.wscale_ok);
}
END_TEST

START_TEST(accept_queue_comes_first)
{
	struct rig *r = rig_always(.backlog = 1);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	cookie_sent(r);
	rig_drain(r);
	r->listener.n_acceptq = 2;
	IN(r, .seq = 0, .flags = S, .mss = 1460, .rport = 9);
	QUIET(r); /* no room: not even a cookie */
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	QUIET(r);
	COUNT(r, tcp_accept_overflow, 1);
	r->listener.n_acceptq = 1;
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 10);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	rig_read_n(r, 10);
	rig_free(r);
}
END_TEST

START_TEST(no_memory_for_the_connection_is_no_end)
{
	struct rig *r = rig_always();
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	cookie_sent(r);
	rig_drain(r);
	r->conn_fail = 1;
	IN(r, .seq = 1, .ack = 1, .flags = A);
	QUIET(r);
	COUNT(r, tcp_drop_nomem, 1);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	rig_free(r);
}
END_TEST

START_TEST(no_record_to_be_had_is_answered_by_a_cookie)
{
	struct rig *r = rig_listening(.max_synq = 1, .cookies = TCP_COOKIE_FULL);
	IN(r, .seq = 0, .flags = S, .mss = 1460, .rport = 7);
	rig_drain(r);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	cookie_sent(r);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	rig_free(r);
}
END_TEST

START_TEST(who_was_in_time_wait_needs_none) /* RFC 6191, RFC 1122 4.2.2.13 */
{
	struct rig *r = rig_make(RIG_OPTS(.cookies = TCP_COOKIE_ALWAYS), TCPS_TIME_WAIT);
	rig_close(r);
	RELEASED(r);
	rig_listen_start(r);
	IN(r, .seq = 3, .flags = S);
	OUT(r, .seq = 2 + 65537, .ack = 4, .flags = S | A);
	ck_assert_uint_eq(r->env.n_synq, 1);
	COUNT(r, tcp_cookie_sent, 0);
	rig_free(r);
}
END_TEST

START_TEST(flood_keeps_out_nobody) /* RFC 4987 2 */
{
	struct rig *r = rig_listening(.cookies = TCP_COOKIE_FULL, .backlog = 4);
	for (uint16_t p = 1; p < 2000; p++)
		IN(r, .seq = p * 7u, .flags = S, .rport = p);
	rig_drain(r);
	ck_assert_uint_eq(r->env.n_synq, 4);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	cookie_sent(r);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	COUNT(r, tcp_drop_backlog, 0);
	rig_after_ms(r, 70000);
	rig_drain(r);
	ck_assert_uint_eq(r->env.n_synq, 0);
	rig_free(r);
}
END_TEST

START_TEST(fin_may_come_with_it)
{
	struct rig *r = rig_always();
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	cookie_sent(r);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 1, .flags = A | F, .len = 5);
	STATE(r, CLOSE_WAIT);
	OUT(r, .seq = 1, .ack = 7, .flags = A);
	rig_read_n(r, 5);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_cookie", { full_queue_is_answered_by_a_cookie },
	 { data_behind_the_lost_ack_brings_it }, { segment_size_is_one_of_four },
	 { options_come_back_in_the_timestamp }, { stamp_is_never_of_the_future },
	 { without_timestamps_nothing_else_is_offered }, { cookie_lives_for_its_minute_and_the_next },
	 { nobody_looks_for_cookies_that_were_not_sent }, { forged_ones_draw_a_reset },
	 { impossible_scale_is_not_ours }, { accept_queue_comes_first },
	 { no_memory_for_the_connection_is_no_end }, { no_record_to_be_had_is_answered_by_a_cookie },
	 { who_was_in_time_wait_needs_none }, { flood_keeps_out_nobody }, { fin_may_come_with_it })
