/* The rules of the urgent mark, from the words of a and b alone. That they are Linux's is shown by
 * tests/shim/prog_urgent.c; here are positions that no test of two programs reaches. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <errno.h>
#include <string.h>
#include "stack/chan/stream.h"
#include "stack/chan/urgent.h"

static struct chan_engine eng;
static struct chan_a ca;
static struct chan_sock_a a;
static struct chan_sock_b b;
static uint8_t ext[8192];
static struct chan_app app = { .e = &eng, .a = &ca, .sock_a = &a, .sock_b = &b, .n_workers = 1 };

/* 100 bytes are there, numbered, from start on; none of them read. */
static void stream(uint32_t start)
{
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	a.state = CHAN_ST_CONNECTED;
	a.sndbuf = 1;
	a.rx_seg[0] = (struct chan_seg){ .start = start, .size = 4096, .extent = CHAN_EXT_PAYLOAD };
	a.rx_nseg = 1;
	a.rx_tail = start + 100;
	b.rx_head = start;
	app.ext[CHAN_EXT_PAYLOAD] = ext;
	for (uint32_t i = 0; i < 100; i++)
		ext[i] = (uint8_t)i;
}

static void urgent(uint32_t seq, uint32_t pos)
{
	a.urg_floor = b.rx_head; /* as the engine sees it when the pointer comes */
	a.urg = chan_urg_word((struct chan_urg){ seq, pos });
	a.flags |= CHAN_A_URGENT;
}

static ssize_t take(uint8_t *buf, size_t n, int flags)
{
	struct iovec v = { buf, n };

	return chan_rx_read(&app, 0, &v, 1, flags, 0);
}

static const uint32_t starts[] = { 0, 0xffffff9c, 0xffffffc4, 0x7fffffa0, 0xfffffff0 };

START_TEST(reading_stops_at_the_mark_and_goes_on_behind)
{
	uint32_t start = starts[_i];
	uint8_t buf[200], c;

	stream(start);
	urgent(1, start + 60);
	ck_assert_int_eq(take(buf, 200, 0), 60);
	ck_assert_int_eq(take(buf, 200, 0), 0);
	ck_assert(chan_urg_look(&a, &b).on && chan_urg_look(&a, &b).ahead == 0);
	ck_assert_int_eq(chan_urg_take(&app, 0, true, &c), 0);
	ck_assert_uint_eq(c, 60);
	ck_assert_int_eq(chan_urg_take(&app, 0, false, &c), 0);
	ck_assert_int_eq(chan_urg_take(&app, 0, false, &c), -EINVAL);
	ck_assert_int_eq(take(buf, 200, CHAN_RX_PAST_MARK | CHAN_RX_PEEK), 39);
	ck_assert_uint_eq(b.rx_head, start + 60);
	ck_assert_int_eq(take(buf, 5, CHAN_RX_PAST_MARK), 5);
	ck_assert_uint_eq(buf[0], 61);
	ck_assert_uint_eq(b.urg_past, 1);
	ck_assert(!chan_urg_look(&a, &b).on);
}
END_TEST

START_TEST(inline_it_is_read_as_text)
{
	uint32_t start = starts[_i];
	uint8_t buf[200], c;

	stream(start);
	b.opts.flags = CHAN_O_OOBINLINE;
	urgent(1, start + 60);
	ck_assert_int_eq(take(buf, 200, 0), 60);
	ck_assert_int_eq(chan_urg_take(&app, 0, false, &c), -EINVAL);
	ck_assert_int_eq(take(buf, 200, CHAN_RX_PAST_MARK), 40);
	ck_assert_uint_eq(buf[0], 60);
	ck_assert_uint_eq(b.urg_past, 1);
}
END_TEST

START_TEST(a_pointer_ahead_of_its_byte)
{
	uint32_t start = starts[_i];
	uint8_t buf[200], c;

	stream(start);
	urgent(7, start + 100);
	ck_assert_int_eq(chan_urg_take(&app, 0, false, &c), -EAGAIN);
	ck_assert(!(chan_readiness(&a, &b) & EPOLLPRI));
	ck_assert_int_eq(take(buf, 200, 0), 100);
	ck_assert(chan_urg_look(&a, &b).on && !chan_urg_look(&a, &b).here);
	ck_assert_uint_eq(chan_urg_holes(&a, &b, b.rx_head), 0);
	ext[100] = 'U';
	a.rx_tail++;
	ck_assert_uint_eq(chan_readiness(&a, &b) & (EPOLLPRI | EPOLLIN), EPOLLPRI);
	ck_assert_uint_eq(chan_urg_holes(&a, &b, b.rx_head), 1);
	ck_assert_int_eq(chan_urg_take(&app, 0, false, &c), 0);
	ck_assert_uint_eq(c, 'U');
	ck_assert_int_eq(take(buf, 200, CHAN_RX_PAST_MARK), 0);
	ck_assert_uint_eq(b.rx_head, start + 101);
}
END_TEST

/* The engine says that unread bytes before a position are no part of the stream. */
START_TEST(a_floor_takes_bytes_away)
{
	uint32_t start = starts[_i];
	uint8_t buf[200];

	stream(start);
	urgent(3, start + 5);
	a.urg_floor = start + 2;
	ck_assert_uint_eq(chan_urg_look(&a, &b).head, start + 2);
	ck_assert_uint_eq(chan_urg_look(&a, &b).ahead, 3);
	ck_assert_uint_eq(chan_urg_holes(&a, &b, start), 2);
	ck_assert_int_eq(take(buf, 200, 0), 3);
	ck_assert_uint_eq(buf[0], 2);
	ck_assert_uint_eq(b.rx_head, start + 5);
}
END_TEST

/* A floor may be told before the tail that covers it. */
START_TEST(a_floor_beyond_the_tail_waits)
{
	uint32_t start = starts[_i];
	uint8_t buf[200];

	stream(start);
	a.rx_tail = start;
	urgent(3, start + 9);
	a.urg_floor = start + 1;
	ck_assert_uint_eq(chan_urg_look(&a, &b).head, start);
	ck_assert_uint_eq(chan_urg_look(&a, &b).avail, 0);
	ck_assert_int_eq(take(buf, 200, 0), 0);
	ck_assert_uint_eq(b.rx_head, start);
	a.rx_tail = start + 1;
	ck_assert_int_eq(take(buf, 200, 0), 0);
	ck_assert_uint_eq(b.rx_head, start + 1);
}
END_TEST

/* Old news, 2 GB back and more: a passed pointer never counts again. */
START_TEST(a_passed_pointer_never_comes_back)
{
	uint8_t buf[200], c;

	stream(0x90000000);
	urgent(1, 5);
	a.urg_floor = 3;
	b.urg_past = 1;
	ck_assert(!chan_urg_look(&a, &b).on);
	ck_assert_int_eq(chan_urg_take(&app, 0, false, &c), -EINVAL);
	ck_assert_int_eq(take(buf, 200, 0), 100);
	ck_assert_int_eq(memcmp(buf, ext, 100), 0);
}
END_TEST

START_TEST(a_send_is_published_as_one_word)
{
	struct chan_urg u;

	stream(0);
	chan_urg_send(&b, 0xfffffffe);
	chan_urg_send(&b, 17);
	u = chan_urg_of(b.urg_tx);
	ck_assert_uint_eq(u.seq, 2);
	ck_assert_uint_eq(u.pos, 17);
	ck_assert(b.flags & CHAN_B_URGENT);
	a.urg_tx_seen = 2;
	chan_urg_settle(&a, &b);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("urgent");
	const int n = sizeof(starts) / sizeof(starts[0]);

	tcase_add_loop_test(tc, reading_stops_at_the_mark_and_goes_on_behind, 0, n);
	tcase_add_loop_test(tc, inline_it_is_read_as_text, 0, n);
	tcase_add_loop_test(tc, a_pointer_ahead_of_its_byte, 0, n);
	tcase_add_loop_test(tc, a_floor_takes_bytes_away, 0, n);
	tcase_add_loop_test(tc, a_floor_beyond_the_tail_waits, 0, n);
	tcase_add_test(tc, a_passed_pointer_never_comes_back);
	tcase_add_test(tc, a_send_is_published_as_one_word);
	return unit_run("urgent", tc);
}
