/* Readiness against Linux's tcp_poll() case by case, and reading across ring segments. The rest of the
 * stream is tested with an engine behind it in tests/unit/sock. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <errno.h>
#include <string.h>
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"

enum {
	IN = EPOLLIN | EPOLLRDNORM,
	OUT = EPOLLOUT | EPOLLWRNORM,
	FIN = CHAN_A_RX_FIN,
	WR = CHAN_B_SHUT_WR,
	RD = CHAN_B_SHUT_RD,
};
static const struct {
	const char *name;
	uint32_t state, fa, fb, unread, used, err, lowat, want;
} ready[] = {
	{ "fresh", CHAN_ST_OPEN, 0, 0, 0, 0, 0, 0, OUT | EPOLLHUP },
	{ "connecting", CHAN_ST_CONNECTING, 0, 0, 0, 0, 0, 0, 0 },
	{ "idle", CHAN_ST_CONNECTED, 0, 0, 0, 0, 0, 0, OUT },
	{ "data", CHAN_ST_CONNECTED, 0, 0, 1, 0, 0, 0, IN | OUT },
	{ "data below lowat", CHAN_ST_CONNECTED, 0, 0, 9, 0, 0, 10, OUT },
	{ "data at lowat", CHAN_ST_CONNECTED, 0, 0, 10, 0, 0, 10, IN | OUT },
	{ "a third free", CHAN_ST_CONNECTED, 0, 0, 0, 200, 0, 0, OUT },
	{ "less than a third free", CHAN_ST_CONNECTED, 0, 0, 0, 201, 0, 0, 0 },
	{ "full", CHAN_ST_CONNECTED, 0, 0, 0, 300, 0, 0, 0 },
	{ "over full", CHAN_ST_CONNECTED, 0, 0, 0, 400, 0, 0, 0 },
	{ "fin", CHAN_ST_CONNECTED, FIN, 0, 0, 0, 0, 0, IN | OUT | EPOLLRDHUP },
	{ "shut wr", CHAN_ST_CONNECTED, 0, WR, 0, 300, 0, 0, OUT },
	{ "shut rd", CHAN_ST_CONNECTED, 0, RD, 0, 0, 0, 0, IN | OUT | EPOLLRDHUP },
	{ "both shut", CHAN_ST_CONNECTED, FIN, WR, 0, 0, 0, 0,
	  IN | OUT | EPOLLRDHUP | EPOLLHUP },
	{ "closed", CHAN_ST_CLOSED, CHAN_A_TX_DONE, 0, 0, 300, 0, 0,
	  IN | OUT | EPOLLRDHUP | EPOLLHUP },
	{ "reset", CHAN_ST_CLOSED, CHAN_A_TX_DONE, 0, 0, 0, ECONNRESET, 0,
	  IN | OUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR },
	/* The engine has told the error and not yet the state, or has changed both in between. */
	{ "refused just now", CHAN_ST_CONNECTING, CHAN_A_TX_DONE | CHAN_A_ENDED, 0, 0, 0, ECONNREFUSED, 0,
	  IN | OUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR },
	{ "about to be refused", CHAN_ST_CONNECTING, CHAN_A_TX_DONE | CHAN_A_ENDED, 0, 0, 0, 0, 0, 0 },
	{ "told, not refused", CHAN_ST_CONNECTING, 0, 0, 0, 0, EHOSTUNREACH, 0, EPOLLERR },
	{ "listening", CHAN_ST_LISTENING, 0, 0, 0, 0, 0, 0, 0 },
	{ "acceptable", CHAN_ST_LISTENING, 0, 0, 1, 0, 0, 0, IN },
};

START_TEST(readiness_is_linux_s)
{
	struct chan_sock_a a = { .sndbuf = 300 };
	struct chan_sock_b b = { 0 };

	a.state = ready[_i].state;
	a.flags = ready[_i].fa;
	a.rx_tail = 0xfffffffeu + ready[_i].unread; /* across the wrap */
	b.rx_head = 0xfffffffeu;
	a.tx_una = 0xfffffff0u;
	b.tx_tail = 0xfffffff0u + ready[_i].used;
	b.flags = ready[_i].fb;
	b.rcvlowat = ready[_i].lowat;
	a.err = ready[_i].err;
	a.err_seq = ready[_i].err != 0;
	ck_assert_msg(chan_readiness(&a, &b) == ready[_i].want, "%s: %#x, not %#x", ready[_i].name,
		      chan_readiness(&a, &b), ready[_i].want);
	ck_assert_int_eq(chan_take_error(&a, &b), (int)ready[_i].err);
	ck_assert_int_eq(chan_take_error(&a, &b), 0);
}
END_TEST

/* One socket and one extent, by hand. */
static struct chan_engine eng;
static struct chan_a ca;
static struct chan_sock_a a;
static struct chan_sock_b b;
static uint8_t ext[8192];
static struct chan_app app = { .e = &eng, .a = &ca, .sock_a = &a, .sock_b = &b, .n_workers = 1 };

static void put(uint32_t start, uint32_t size, uint32_t off, uint32_t pos, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		ext[off + ((pos + i - start) & (size - 1))] = (uint8_t)(pos + i);
}

START_TEST(reading_crosses_segments_and_the_wrap)
{
	uint32_t at = 0xffffff80u; /* positions wrap after 128 bytes */
	uint8_t x[100], y[300];
	struct iovec iov[2] = { { x, sizeof(x) }, { y, sizeof(y) } };

	app.ext[0] = ext;
	a.state = CHAN_ST_CONNECTED;
	a.rx_seg[0] = (struct chan_seg){ at - 1000, 256, 0, 0 };
	a.rx_seg[1] = (struct chan_seg){ at + 200, 512, 0, 4096 };
	a.rx_nseg = 2;
	b.rx_head = at;
	a.rx_tail = at + 600;
	put(at - 1000, 256, 0, at, 200);
	put(at + 200, 512, 4096, at + 200, 400);
	ck_assert_int_eq(chan_rx_read(&app, 0, iov, 2, CHAN_RX_PEEK, 50), 400);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_uint_eq(x[i], (uint8_t)(at + 50 + i));
	for (uint32_t i = 0; i < 300; i++)
		ck_assert_uint_eq(y[i], (uint8_t)(at + 150 + i));
	ck_assert_uint_eq(b.rx_head, at);
	iov[0].iov_len = 10;
	ck_assert_int_eq(chan_rx_read(&app, 0, iov, 1, CHAN_RX_DISCARD, 0), 10);
	ck_assert_int_eq(chan_rx_read(&app, 0, iov, 2, 0, 0), 310);
	ck_assert_uint_eq(x[0], (uint8_t)(at + 10));
	ck_assert_uint_eq(y[299], (uint8_t)(at + 319));
	const void *p;
	ck_assert_uint_eq(chan_rx_chunk(&app, 0, &p), 280);
	ck_assert_ptr_eq(p, ext + 4096 + 120);
	iov[0].iov_len = 100;
	ck_assert_int_eq(chan_rx_read(&app, 0, iov, 2, 0, 0), 280);
	ck_assert_int_eq(chan_rx_read(&app, 0, iov, 2, 0, 0), 0);
	ck_assert(!chan_rx_eof(&a, &b));
	a.flags = CHAN_A_RX_FIN;
	ck_assert(chan_rx_eof(&a, &b));
}
END_TEST

START_TEST(a_handler_that_uses_the_interrupted_socket_would_block)
{
	struct iovec iov = { ext, 1 };

	chan_lock(&b.rx_lock);
	ck_assert_int_eq(chan_rx_read(&app, 0, &iov, 1, 0, 0), -EDEADLK);
	chan_unlock(&b.rx_lock);
	chan_lock(&b.tx_lock);
	ck_assert_int_eq(chan_tx_write(&app, 0, &iov, 1), -EDEADLK);
	chan_unlock(&b.tx_lock);
}
END_TEST

START_TEST(wanting_room_is_asked_once)
{
	struct chan_sock_a sa = { 0 };
	struct chan_sock_b sb = { 0 };

	chan_tx_want(&sa, &sb);
	ck_assert_uint_eq(sb.flags, CHAN_B_TX_WAIT);
	chan_tx_want(&sa, &sb);
	ck_assert_uint_eq(sb.flags, CHAN_B_TX_WAIT);
	sa.flags = CHAN_A_TX_WAKE; /* answered */
	chan_tx_want(&sa, &sb);
	ck_assert_uint_eq(sb.flags, 0);
	chan_tx_want(&sa, &sb);
	ck_assert_uint_eq(sb.flags, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("stream");

	tcase_add_loop_test(tc, readiness_is_linux_s, 0, sizeof(ready) / sizeof(ready[0]));
	tcase_add_test(tc, reading_crosses_segments_and_the_wrap);
	tcase_add_test(tc, a_handler_that_uses_the_interrupted_socket_would_block);
	tcase_add_test(tc, wanting_room_is_asked_once);
	return unit_run("stream", tc);
}
