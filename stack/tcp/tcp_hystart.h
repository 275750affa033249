/* HyStart++, RFC 9406: slow start ends when round trips get longer, before a queue overflows. A part of a
 * controller's state; knows no clock. Zeroed memory is the valid start. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/base/seq.h"

struct tcp_conn;

struct tcp_hystart {
	uint32_t last_us;    /* lastRoundMinRTT, 0 = infinite */
	uint32_t current_us; /* currentRoundMinRTT, 0 = infinite */
	uint32_t base_us;    /* cssBaselineMinRtt */
	seq_t round_end;     /* windowEnd */
	uint32_t flight;     /* when this round began */
	uint32_t train_us;   /* then a train of ACKs began ... */
	uint32_t train_acked, ack_us; /* ... that were for so many bytes up to then */
	uint8_t samples;     /* rttSampleCount, as far as it matters */
	uint8_t css_rounds;  /* of conservative slow start, 1 = the first; 0 = not in it */
	uint8_t started;     /* round_end is valid */
	uint8_t train_over;  /* it was long enough for an answer in this round */
	uint8_t left;	     /* congestion avoidance: it has done its work until a timeout */
};

void tcp_hystart_rtt(struct tcp_conn *c, struct tcp_hystart *h, uint32_t rtt_us);
/* acked bytes in slow start: how much cwnd grows. May end slow start by setting ssthresh. */
uint32_t tcp_hystart_grow(struct tcp_conn *c, struct tcp_hystart *h, uint32_t acked, uint64_t now_ns);
