/* struct tcp_info as getsockopt(TCP_INFO) shows it. */
// SPDX-License-Identifier: MIT
#include <linux/tcp.h>
#include "tests/pkt/rig.h"

static struct tcp_info info(struct rig *r)
{
	struct tcp_info ti;

	memset(&ti, 0xa5, sizeof(ti));
	tcp_fill_info(&r->env, r->c, &ti, r->now_ns);
	return ti;
}

START_TEST(states_have_linux_numbers)
{
	static const struct {
		enum tcp_state state;
		int linux_value;
	} all[] = {
		{ TCPS_SYN_SENT, 2 }, { TCPS_SYN_RCVD, 3 }, { TCPS_ESTABLISHED, 1 },
		{ TCPS_CLOSE_WAIT, 8 }, { TCPS_FIN_WAIT_1, 4 }, { TCPS_CLOSING, 11 },
		{ TCPS_LAST_ACK, 9 }, { TCPS_FIN_WAIT_2, 5 }, { TCPS_TIME_WAIT, 7 },
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct rig *r = rig_make(RIG_OPTS(), all[i].state);
		ck_assert_int_eq(info(r).tcpi_state, all[i].linux_value);
		rig_free(r);
	}
}
END_TEST

START_TEST(numbers_of_a_transfer)
{
	struct rig *r = rig_established(.mss = 1000, .rtt_ms = 20, .ws = 6);
	rig_send(r, 12000);
	rig_drain(r);
	IN(r, .seq = 1, .ack = 2001, .flags = A, .len = 500);
	rig_drain(r);
	rig_after_ms(r, 5);
	struct tcp_info ti = info(r);
	ck_assert_uint_eq(ti.tcpi_snd_mss, 1000);
	ck_assert_uint_eq(ti.tcpi_snd_cwnd, 12);
	ck_assert_uint_eq(ti.tcpi_unacked, 10);
	ck_assert_uint_eq(ti.tcpi_bytes_acked, 2000);
	ck_assert_uint_eq(ti.tcpi_bytes_received, 500);
	ck_assert_uint_eq(ti.tcpi_snd_wscale, 5);
	ck_assert_uint_eq(ti.tcpi_rcv_wscale, 7);
	ck_assert_uint_eq(ti.tcpi_options, TCPI_OPT_WSCALE);
	ck_assert_uint_ge(ti.tcpi_rtt, 1);
	ck_assert_uint_eq(ti.tcpi_last_data_recv, 5);
	ck_assert_uint_eq(ti.tcpi_notsent_bytes, 0);
	ck_assert_uint_ge(ti.tcpi_rto, 200000);
	ck_assert_uint_eq(ti.tcpi_ca_state, 0);
	rig_after_ms(r, 300);
	rig_drain(r);
	ck_assert_uint_eq(info(r).tcpi_ca_state, 4);
	ck_assert_uint_eq(info(r).tcpi_total_retrans, 1);
	rig_free(r);
}
END_TEST

START_TEST(disorder_is_counted_both_ways) /* tcpi_rcv_ooopack, tcpi_reord_seen */
{
	struct rig *r = rig_established(.mss = 1000, .sack = true, .rtt_ms = 40);
	rig_send(r, 3000);
	rig_drain(r);
	IN(r, .seq = 11, .ack = 1, .flags = A, .len = 10, .sack = { { 1001, 2001 } });
	ck_assert_uint_eq(info(r).tcpi_rcv_ooopack, 1);
	ck_assert_uint_eq(info(r).tcpi_reord_seen, 0);
	IN(r, .seq = 1, .ack = 2001, .flags = A, .len = 10);
	ck_assert_uint_eq(info(r).tcpi_reord_seen, 1);
	ck_assert_uint_eq(info(r).tcpi_rcv_ooopack, 1);
	ck_assert_uint_eq(info(r).tcpi_rcv_ssthresh, 65535);
	rig_drain(r);
	rig_read_n(r, 20);
	rig_free(r);
}
END_TEST

START_TEST(socket_that_never_connected_does_not_divide_by_zero)
{
	struct rig *r = rig_new();
	r->c = &rig_new_sock(r)->c;
	ck_assert_int_eq(info(r).tcpi_state, 7);
	rig_free(r);
}
END_TEST

/* Linux: the clocks of TCP_CHRONO_*. */
START_TEST(time_is_told_by_what_holds_the_sender)
{
	struct rig *r = rig_established(.mss = 1000, .rtt_ms = 20, .wnd = 3000);

	ck_assert_uint_eq(info(r).tcpi_busy_time, 0);
	rig_send(r, 8000);
	rig_drain(r);
	rig_after_ms(r, 30);
	ck_assert_uint_eq(info(r).tcpi_busy_time, 30000);
	ck_assert_uint_eq(info(r).tcpi_rwnd_limited, 30000);
	IN(r, .seq = 1, .ack = 3001, .flags = A, .wnd = 20000);
	rig_drain(r);
	rig_after_ms(r, 10);
	ck_assert_uint_eq(info(r).tcpi_busy_time, 40000);
	ck_assert_uint_eq(info(r).tcpi_rwnd_limited, 30000);
	IN(r, .seq = 1, .ack = 8001, .flags = A, .wnd = 20000);
	rig_after_ms(r, 50);
	ck_assert_uint_eq(info(r).tcpi_busy_time, 40000);
	ck_assert_uint_eq(info(r).tcpi_sndbuf_limited, 0);
	rig_free(r);
}
END_TEST

/* All that fits is on its way, and the program would write more. */
START_TEST(send_buffer_holds_the_sender)
{
	struct rig *r = rig_established(.mss = 1000, .rtt_ms = 20, .wnd = 60000);

	rig_send(r, 3000);
	tcp_app_waits(r->c, r->now_ns);
	rig_drain(r);
	rig_after_ms(r, 30);
	ck_assert_uint_eq(info(r).tcpi_sndbuf_limited, 30000);
	IN(r, .seq = 1, .ack = 2001, .flags = A, .wnd = 60000);
	tcp_app_has_room(r->c, r->now_ns);
	rig_drain(r);
	rig_after_ms(r, 10);
	ck_assert_uint_eq(info(r).tcpi_sndbuf_limited, 30000);
	ck_assert_uint_eq(info(r).tcpi_busy_time, 40000);
	ck_assert_uint_eq(info(r).tcpi_rwnd_limited, 0);
	/* It is the congestion window as long as that is full. */
	rig_send(r, 40000);
	tcp_app_waits(r->c, r->now_ns);
	rig_drain(r);
	rig_after_ms(r, 10);
	ck_assert_uint_eq(info(r).tcpi_sndbuf_limited, 30000);
	ck_assert_uint_eq(info(r).tcpi_busy_time, 50000);
	rig_free(r);
}
END_TEST

/* Without timestamps: a window of data takes a round trip at least. */
START_TEST(receiver_measures_a_window)
{
	struct rig *r = rig_established(.mss = 1000, .rtt_ms = 20, .rcvbuf = 3000);
	uint32_t seq = 1;

	ck_assert_uint_eq(info(r).tcpi_rcv_rtt, 0);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 3; i++, seq += 1000)
			IN(r, .seq = seq, .ack = 1, .flags = A, .len = 1000);
		rig_read_n(r, 3000);
		rig_drain(r);
		rig_after_ms(r, 20);
		rig_drain(r);
	}
	ck_assert_uint_ge(info(r).tcpi_rcv_rtt, 19000);
	ck_assert_uint_le(info(r).tcpi_rcv_rtt, 41000);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_info", { states_have_linux_numbers }, { numbers_of_a_transfer },
	 { disorder_is_counted_both_ways }, { time_is_told_by_what_holds_the_sender },
	 { send_buffer_holds_the_sender }, { receiver_measures_a_window },
	 { socket_that_never_connected_does_not_divide_by_zero })
