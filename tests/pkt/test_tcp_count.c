/* What is dropped, and where recovery stands, can be read afterwards: each segment that leads to nothing has
 * a counter, each change of the recovery state a trace record. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(segments_without_ack_count)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .flags = 0, .len = 5);
	IN(r, .seq = 1, .flags = F);
	QUIET(r);
	COUNT(r, tcp_drop_flags, 2);
	rig_free(r);
}
END_TEST

START_TEST(what_a_listener_has_no_use_for_counts)
{
	struct rig *r = rig_listening();
	IN(r, .seq = 0, .flags = S | F, .mss = 1460);
	IN(r, .seq = 0, .flags = 0, .len = 5);
	QUIET(r);
	COUNT(r, tcp_drop_flags, 2);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	rig_drain(r);
	IN(r, .seq = 1, .flags = P, .len = 5);
	QUIET(r);
	COUNT(r, tcp_drop_flags, 3);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	rig_drain(r);
	IN(r, .seq = 0, .flags = S, .mss = 1460); /* answered twice a second */
	QUIET(r);
	COUNT(r, tcp_oow_limited, 1);
	rig_free(r);
}
END_TEST

START_TEST(a_syn_without_a_way_back_counts)
{
	struct rig *r = rig_listening();
	r->opt.path_mss = 0;
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	QUIET(r);
	COUNT(r, tcp_drop_noroute, 1);
	rig_free(r);
}
END_TEST

START_TEST(what_does_not_answer_our_syn_counts)
{
	struct rig *r = rig_syn_sent();
	IN(r, .seq = 0, .flags = R);
	IN(r, .seq = 0, .flags = P, .len = 5);
	QUIET(r);
	COUNT(r, tcp_drop_rst, 1);
	COUNT(r, tcp_drop_flags, 1);
	STATE(r, SYN_SENT);
	rig_free(r);
}
END_TEST

START_TEST(a_reset_in_time_wait_counts) /* RFC 1337 */
{
	struct rig *r = rig_time_wait();
	IN(r, .seq = 2, .flags = R);
	QUIET(r);
	COUNT(r, tcp_drop_rst, 1);
	ck_assert_uint_eq(r->env.n_timewait, 1);
	rig_free(r);
}
END_TEST

START_TEST(unacceptable_acks_without_answer_count)
{
	struct rig *r = rig_established();
	for (int i = 0; i < 3; i++)
		IN(r, .seq = 200000, .ack = 1, .flags = A);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	QUIET(r);
	COUNT(r, tcp_drop_window, 3);
	COUNT(r, tcp_oow_limited, 2);
	rig_free(r);
}
END_TEST

/* The last change of the recovery state, as from << 8 | to. */
static uint32_t last_change(const struct trace_ring *t)
{
	for (uint64_t i = t->next; i-- > 0;) {
		const struct trace_rec *rec = &t->rec[i % TRACE_RECORDS];

		if (rec->kind == TRACE_TCP_RECOVERY)
			return rec->a << 8 | rec->b;
	}
	return UINT32_MAX;
}
#define CHANGE(from, to) (uint32_t)(TCPR_##from << 8 | TCPR_##to)

START_TEST(recovery_is_traced_from_beginning_to_end)
{
	struct trace_ring *t = calloc(1, sizeof(*t));
	struct rig *r = rig_established(.mss = 1000, .sack = true, .rtt_ms = 40);

	trace_this_thread = t;
	rig_send(r, 6000);
	rig_drain(r);
	rig_after_ms(r, 40);
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 2001 } });
	ck_assert_uint_eq(last_change(t), CHANGE(OPEN, DISORDER));
	IN(r, .seq = 1, .ack = 1, .flags = A, .sack = { { 1001, 6001 } });
	ck_assert_uint_eq(last_change(t), CHANGE(DISORDER, FAST));
	ck_assert_uint_eq(rig_drain(r), 1);
	rig_after_ms(r, 40);
	IN(r, .seq = 1, .ack = 6001, .flags = A);
	ck_assert_uint_eq(last_change(t), CHANGE(FAST, OPEN));
	COUNT(r, tcp_recovered, 1);
	rig_send(r, 1000);
	rig_drain(r);
	rig_after_ms(r, 2000);
	ck_assert_uint_ge(rig_drain(r), 2);
	ck_assert_uint_eq(last_change(t), CHANGE(DISORDER, LOSS)); /* by way of the probe */
	trace_this_thread = NULL;
	rig_free(r);
	free(t);
}
END_TEST

RIG_MAIN("tcp_count", { segments_without_ack_count }, { what_a_listener_has_no_use_for_counts },
	 { a_syn_without_a_way_back_counts }, { what_does_not_answer_our_syn_counts },
	 { a_reset_in_time_wait_counts }, { unacceptable_acks_without_answer_count },
	 { recovery_is_traced_from_beginning_to_end })
