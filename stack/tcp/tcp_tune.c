/* Buffers. That for receiving follows the bandwidth-delay product (dynamic right-sizing, as Linux does it):
 * what the application reads in a round trip, twice, is the window that lets the sender double. Nothing
 * shrinks again; memory is the host's and follows what really arrives. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

enum { RTT_GUESS_US = 100000, SPARE_SEGS = 16, WINDOWS = 2, MODEL_WINDOWS = 6 };

/* The window for who reads so much in a round trip. */
static uint64_t wanted(const struct tcp_conn *c, uint32_t read)
{
	return 2ull * read + (uint32_t)SPARE_SEGS * c->adv_mss;
}

static void grow(struct tcp_conn *c, uint64_t want)
{
	if (want <= c->opts.rcvbuf || c->opts.rcvbuf >= c->opts.rcvbuf_max)
		return;
	c->tuned.rcvbuf = (uint32_t)min_u64(want, c->opts.rcvbuf_max);
	c->opts.rcvbuf = max_u32(c->opts.rcvbuf, c->tuned.rcvbuf);
	STAT_INC(tcp_rcvbuf_grown);
}

/* A byte of window is two of buffer, as in SO_RCVBUF. */
uint32_t tcp_rcvbuf_told(const struct tcp_conn *c)
{
	return c->tune.space ? (uint32_t)(2 * min_u64(wanted(c, c->tune.space), c->opts.rcvbuf_max)) : 0;
}

void tcp_tune_read(struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_tune *t = &c->tune;
	uint64_t rtt_us = c->rtt.srtt_us ? c->rtt.srtt_us : RTT_GUESS_US;

	if (now_ns - t->since_ns < rtt_us * NSEC_PER_USEC)
		return;
	uint32_t read = c->rx_head - t->head;
	uint64_t want = wanted(c, read);
	/* A first look that comes late says nothing about a round trip. */
	if (t->since_ns)
		t->space = max_u32(t->space, read);
	if (t->since_ns)
		grow(c, want);
	t->head = c->rx_head;
	t->since_ns = now_ns;
}

/* So much was written and read without us, in less than the time between two looks. */
void tcp_tune_skip(struct tcp_conn *c, uint32_t n)
{
	c->tune.space = max_u32(c->tune.space, min_u32(n, INT32_MAX));
	grow(c, wanted(c, c->tune.space));
}

/* Nobody can read what lies behind a hole, and as long as it does it takes from the window what the sender
 * would need for the next round trip: as Linux since 6.17, that much comes on top. What has really come, not
 * how far it reaches: else a few bytes at the window's end would claim memory for a whole window. */
void tcp_tune_ahead(struct tcp_conn *c)
{
	grow(c, wanted(c, c->tune.space) + c->reass.bytes[TCP_RUN_HELD]);
}

/* ---- the send buffer ---- */
/* It follows the congestion window, as on Linux: twice what may be in flight. What is lost more than once
 * keeps all behind it in the buffer for as many round trips; a controller that sends on at its rate
 * meanwhile needs room for them (Linux gives BBR half as much again, and all twice as much, for
 * packets' own memory). */
uint32_t tcp_tune_sndbuf(const struct tcp_conn *c)
{
	uint64_t window = min_u32(c->cwnd, c->max_snd_wnd);

	return (uint32_t)min_u64(window * (c->model ? MODEL_WINDOWS : WINDOWS), UINT32_MAX / 2);
}

/* ---- the round trip as a receiver sees it, for TCP_INFO: who only receives has no other ---- */
/* What is a whole window behind what has just come can't be sent before that is acknowledged: of such times
 * the least counts. */
void tcp_tune_round(struct tcp_conn *c, uint64_t now_ns)
{
	struct tcp_tuned *d = &c->tuned;

	if (d->round_ns) {
		uint64_t us = max_u64((now_ns - d->round_ns) / NSEC_PER_USEC, 1);
		uint32_t us8 = (uint32_t)min_u64(us * 8, UINT32_MAX);

		d->rtt8_us = d->rtt8_us ? min_u32(d->rtt8_us, us8) : us8;
	}
	c->tune.round_end = seq_add(c->rcv_nxt, max_u32(seq_diff(c->rcv_adv, c->rcv_acked), 1));
	d->round_ns = now_ns;
}

/* RFC 7323 4.1 the other way round: a full segment left when our ACK came that it echoes. */
void tcp_tune_echo(struct tcp_conn *c, const struct tcp_seg *seg, uint64_t now_ns)
{
	struct tcp_tuned *d = &c->tuned;

	if (!c->ts_ok || !seg->has_ts)
		return;
	c->tune.tsecr = seg->tsecr;
	uint32_t ms = tcp_ts_now(c->ts_offset, now_ns) - seg->tsecr;
	if (seg->len < c->rcv_mss || ms > TCP_RTO_MAX_US / 1000)
		return;
	uint32_t us = max_u32(ms, 1) * 1000;
	d->rtt8_us = d->rtt8_us ? d->rtt8_us - d->rtt8_us / 8 + us : us * 8;
}

void tcp_tune_opts(struct tcp_conn *c)
{
	c->opts.rcvbuf = max_u32(c->opts.rcvbuf, min_u32(c->tuned.rcvbuf, c->opts.rcvbuf_max));
}
