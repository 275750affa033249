/* Segments of somebody who guesses (RFC 5961), and noise: nothing may break. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

START_TEST(ack_of_the_future_is_challenged) /* RFC 9293 3.10.7.4 fifth, RFC 5961 5.2 */
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 2, .flags = A, .len = 10);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 0); /* the text is not taken */
	COUNT(r, tcp_drop_ack, 1);
	rig_free(r);
}
END_TEST

START_TEST(ack_older_than_a_window_is_challenged) /* RFC 5961 5.2 */
{
	struct rig *r = rig_established(.wnd = 1000);
	IN(r, .seq = 1, .ack = (uint32_t)-1000, .flags = A, .len = 10);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	COUNT(r, tcp_drop_ack, 1);
	IN(r, .seq = 1, .ack = (uint32_t)-998, .flags = A, .len = 10);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(segment_outside_the_window_is_answered) /* RFC 9293 3.10.7.4 first */
{
	struct rig *r = rig_established();
	IN(r, .seq = 70000, .ack = 1, .flags = A, .len = 10);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = (uint32_t)-70000, .ack = 1, .flags = A, .len = 10);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	COUNT(r, tcp_drop_window, 2);
	rig_free(r);
}
END_TEST

START_TEST(pure_acks_outside_the_window_cannot_start_a_war)
{
	struct rig *r = rig_established();
	for (int i = 0; i < 100; i++)
		IN(r, .seq = 70000, .ack = 1, .flags = A);
	ck_assert_uint_eq(rig_drain(r), 1);
	rig_after_ms(r, 500);
	IN(r, .seq = 70000, .ack = 1, .flags = A);
	ck_assert_uint_eq(rig_drain(r), 1);
	rig_free(r);
}
END_TEST

START_TEST(segment_without_ack_is_dropped) /* RFC 9293 3.10.7.4 fifth */
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .flags = 0, .len = 10);
	IN(r, .seq = 1, .flags = F, .len = 10);
	QUIET(r);
	STATE(r, ESTABLISHED);
	ck_assert_uint_eq(tcp_rx_tail(r->c), 0);
	rig_free(r);
}
END_TEST

START_TEST(urgent_data_is_read_in_band)
{
	struct rig *r = rig_established();
	IN(r, .seq = 1, .ack = 1, .flags = A | TCPF_URG, .len = 10);
	OUT(r, .seq = 1, .ack = 11, .flags = A);
	rig_read_n(r, 10);
	rig_free(r);
}
END_TEST

static void noise(struct rig *r, struct rng *rng, uint32_t n)
{
	static const uint8_t usual[] = { A, A, A, A | P, S, S | A, F | A, R, R | A, F, 0, 0xff };
	uint32_t near = r->c ? 2000 : 5;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t seq = rng_below(rng, near) - 500, ack = rng_below(rng, near) - 500;

		if (rng_below(rng, 4) == 0)
			seq = (uint32_t)rng_u64(rng);
		if (rng_below(rng, 4) == 0)
			ack = (uint32_t)rng_u64(rng);
		if (rng_below(rng, 3) == 0)
			seq = rng_below(rng, 3);
		if (rng_below(rng, 3) == 0)
			ack = rng_below(rng, 3);
		IN(r, .seq = seq, .ack = ack,
		   .flags = rng_below(rng, 5) ? usual[rng_below(rng, ARRAY_LEN(usual))] :
						(uint8_t)rng_u64(rng),
		   .len = rng_below(rng, 3) ? 0 : rng_below(rng, 1500),
		   .wnd = rng_below(rng, 3) ? 0 : ZERO, .ts = rng_below(rng, 2),
		   .ws = (int)rng_below(rng, 3) * 127, .mss = (uint16_t)rng_u64(rng),
		   .tsval = rng_below(rng, 2) ? (uint32_t)rng_u64(rng) : 0);
		if (rng_below(rng, 10) == 0)
			rig_after_ms(r, rng_below(rng, 3000));
		rig_drain(r);
		rig_events(r);
	}
}

START_TEST(noise_in_every_state_breaks_nothing)
{
	struct rng rng;
	rng_seed(&rng, 4711 + (uint64_t)_i);
	for (int round = 0; round < 12; round++) {
		for (enum tcp_state s = TCPS_LISTEN; s <= TCPS_TIME_WAIT; s++) {
			struct rig *r = rig_make(RIG_OPTS(.ts = round % 2, .ws = round % 3), s);
			noise(r, &rng, 60);
			rig_free(r);
		}
	}
}
END_TEST

RIG_MAIN("tcp_blind", { ack_of_the_future_is_challenged },
	 { ack_older_than_a_window_is_challenged },
	 { segment_outside_the_window_is_answered },
	 { pure_acks_outside_the_window_cannot_start_a_war }, { segment_without_ack_is_dropped },
	 { urgent_data_is_read_in_band }, { noise_in_every_state_breaks_nothing })
