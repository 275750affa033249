/* Both ends on one engine: bytes go from ring to ring without segments, and whatever is more than bytes takes
 * the way of segments; a program can't tell which it was. */
// SPDX-License-Identifier: MIT
#include "pair.h"
#include <errno.h>
#include <string.h>
#include "../unit.h"
#include "stack/base/rng.h"

struct pair {
	struct end l, c, s;
};

static struct pair pair_open(uint32_t workers)
{
	struct pair p;
	uint16_t port;

	pair_up(workers);
	p.l = rig_listen(&srv, 0, 8, &port);
	p.c = rig_connect(&cli, port, NULL);
	rig_connected(p.c);
	p.s = rig_accept(p.l);
	return p;
}

static void pair_close(struct pair p)
{
	rig_close(p.c);
	rig_close(p.s);
	rig_close(p.l);
	pair_down();
}

static void shut(struct end e)
{
	atomic_fetch_or(&end_b(e)->flags, CHAN_B_SHUT_WR);
	chan_mark(e.app, e.id);
}

/* Sends a pattern one way and takes it at the other end. */
static void carry(struct end from, struct end to, size_t n, uint32_t salt)
{
	static uint8_t buf[100000], got[sizeof(buf)];

	ck_assert_uint_le(n, sizeof(buf));
	pair_pattern(buf, n, salt);
	rig_write(from, buf, n);
	ck_assert_uint_eq(rig_read(to, got, n), n);
	ck_assert_mem_eq(got, buf, n);
}

START_TEST(no_segment_carries_the_text)
{
	struct pair p = pair_open(1);

	for (uint32_t i = 0; i < 200; i++) {
		carry(p.c, p.s, 1 + i * 31 % 70000, i);
		carry(p.s, p.c, 1 + i * 17 % 300, i + 1);
	}
	ck_assert_uint_eq(atomic_load(&rig->texts), 0);
	RIG_WAIT(atomic_load(&end_a(p.c)->tx_una) == atomic_load(&end_b(p.c)->tx_tail));
	ck_assert_uint_eq(atomic_load(&end_a(p.c)->tx_nxt), atomic_load(&end_b(p.c)->tx_tail));
	pair_close(p);
}
END_TEST

START_TEST(segments_do_when_they_must)
{
	struct pair p = pair_open(1);

	atomic_store(&rig->way, RIG_SEGMENTS);
	carry(p.c, p.s, 3000, 1);
	ck_assert_uint_gt(atomic_load(&rig->texts), 0);
	pair_close(p);
}
END_TEST

/* Unless SO_SNDBUF says otherwise. */
START_TEST(a_near_end_may_be_written_much_at_once)
{
	struct pair p = pair_open(1);

	ck_assert_uint_ge(end_a(p.c)->sndbuf, 512 << 10);
	ck_assert_uint_ge(end_a(p.s)->sndbuf, 512 << 10);
	end_b(p.c)->opts.sndbuf = 10000;
	end_opts_changed(p.c);
	RIG_WAIT(end_a(p.c)->sndbuf == 10000);
	carry(p.c, p.s, 50000, 1);
	ck_assert_uint_eq(end_a(p.c)->sndbuf, 10000);
	pair_close(p);
}
END_TEST

/* A reader that does not read stops the writer, and each read lets it go on. */
START_TEST(a_full_window_stops_and_goes_on)
{
	static uint8_t buf[64 << 10], got[sizeof(buf)];
	struct pair p = pair_open(1);
	size_t sent = 0, read = 0;

	end_b(p.s)->opts.rcvbuf = 100000;
	end_opts_changed(p.s);
	pair_pattern(buf, sizeof(buf), 5);
	for (int quiet = 0; quiet < 20; quiet++) {
		struct iovec iov = { buf + sent % sizeof(buf), sizeof(buf) - sent % sizeof(buf) };
		ssize_t n = chan_tx_write(&cli, p.c.id, &iov, 1);

		ck_assert_int_ge(n, 0);
		sent += (size_t)n;
		if (n > 0)
			quiet = 0;
		rig_pause();
	}
	uint32_t unread = chan_rx_avail(end_a(p.s), end_b(p.s));
	ck_assert_uint_lt(unread, 2 << 20);
	ck_assert_uint_lt(unread, sent);
	shut(p.c);
	while (read < sent) {
		size_t n = min_u64(sent - read, 7777), at = read % sizeof(buf), part = sizeof(buf) - at;

		ck_assert_uint_eq(rig_read(p.s, got, n), n);
		part = n < part ? n : part;
		ck_assert_mem_eq(got, buf + at, part);
		ck_assert_mem_eq(got + part, buf, n - part);
		read += n;
	}
	ck_assert_uint_eq(rig_read(p.s, got, 1), 0);
	pair_close(p);
}
END_TEST

/* Text before a half-close arrives before its end of file, and the other half goes on. */
START_TEST(a_half_close_follows_the_text)
{
	struct pair p = pair_open(1);
	uint8_t b[4];

	rig_write(p.c, "abc", 3);
	shut(p.c);
	ck_assert_uint_eq(rig_read(p.s, b, 4), 3);
	for (uint32_t i = 0; i < 20; i++)
		carry(p.s, p.c, 5000, i);
	shut(p.s);
	ck_assert_uint_eq(rig_read(p.c, b, 1), 0);
	ck_assert(!chan_has_error(end_a(p.c), end_b(p.c)));
	pair_close(p);
}
END_TEST

/* One thread has both ends: what it does to one is done when it writes to the other. */
START_TEST(a_shutdown_comes_before_what_is_written_later)
{
	struct pair p = pair_open(1);
	uint8_t b[1];

	shut(p.s);
	ck_assert_uint_eq(rig_read(p.c, b, 1), 0);
	atomic_fetch_or(&end_b(p.s)->flags, CHAN_B_SHUT_RD); /* its mark is still to come */
	ck_assert_int_eq(chan_tx_write(&cli, p.c.id, &(struct iovec){ "x", 1 }, 1), 1);
	RIG_WAIT(atomic_load(&rig->rst) >= 1);
	ck_assert_uint_eq(chan_rx_avail(end_a(p.s), end_b(p.s)), 0);
	rig_close(p.c);
	rig_close(p.s);
	rig_close(p.l);
	pair_down();
}
END_TEST

START_TEST(what_nobody_reads_is_reset)
{
	struct pair p = pair_open(1);

	rig_write(p.c, "abc", 3);
	RIG_WAIT(chan_rx_avail(end_a(p.s), end_b(p.s)) == 3);
	rig_close(p.s);
	RIG_WAIT(end_a(p.c)->state == CHAN_ST_CLOSED);
	ck_assert_int_eq(chan_take_error(end_a(p.c), end_b(p.c)), ECONNRESET);
	ck_assert_uint_ge(atomic_load(&rig->rst), 1);
	rig_close(p.c);
	rig_close(p.l);
	pair_down();
}
END_TEST

/* The text of who closes at once is complete. */
START_TEST(a_close_loses_nothing)
{
	static uint8_t buf[50000], got[sizeof(buf) + 1];
	struct pair p = pair_open(1);

	pair_pattern(buf, sizeof(buf), 9);
	rig_write(p.c, buf, sizeof(buf));
	rig_close(p.c);
	ck_assert_uint_eq(rig_read(p.s, got, sizeof(got)), sizeof(buf));
	ck_assert_mem_eq(got, buf, sizeof(buf));
	rig_close(p.s);
	rig_close(p.l);
	pair_down();
}
END_TEST

/* Urgent bytes are told by segments, and so is everything that the socket sends from then on. */
START_TEST(urgent_bytes_are_told)
{
	struct pair p = pair_open(1);
	struct iovec iov = { (void *)(uintptr_t)"xyz!", 4 };
	struct chan_handle h = { p.c.id, p.c.gen };
	size_t n;
	char b[8];

	carry(p.c, p.s, 100, 1);
	ck_assert_int_eq(chan_write(&cli, h, CHAN_WRITE_URGENT, &iov, 1, &n), CHAN_OK);
	ck_assert_uint_eq(n, 4);
	RIG_WAIT(end_ready(p.s) & EPOLLPRI);
	ck_assert_uint_eq(rig_read(p.s, b, 3), 3);
	ck_assert_mem_eq(b, "xyz", 3);
	carry(p.s, p.c, 100, 2);
	ck_assert_uint_eq(atomic_load(&rig->texts), 1);
	pair_close(p);
}
END_TEST

/* A corked writer's crumbs wait, for 200 ms at most: that is decided where segments are made. */
START_TEST(a_cork_holds)
{
	struct pair p = pair_open(1);
	uint64_t since_ns;
	char b[8];

	end_b(p.c)->opts.flags |= CHAN_O_CORK;
	atomic_fetch_add(&end_b(p.c)->opt_seq, 1);
	since_ns = chan_now_ns();
	rig_write(p.c, "abc", 3);
	ck_assert_uint_eq(rig_read(p.s, b, 3), 3);
	ck_assert_uint_ge(chan_now_ns() - since_ns, 150 * NSEC_PER_MSEC);
	ck_assert_uint_eq(atomic_load(&rig->texts), 1);
	end_b(p.c)->opts.flags &= ~(uint32_t)CHAN_O_CORK;
	atomic_fetch_add(&end_b(p.c)->opt_seq, 1);
	rig_write(p.c, "def", 3);
	ck_assert_uint_eq(rig_read(p.s, b, 3), 3);
	ck_assert_uint_eq(atomic_load(&rig->texts), 1);
	pair_close(p);
}
END_TEST

struct stream {
	struct end from, to;
	uint32_t salt;
	size_t sent, read, all;
};
enum { PERIOD = 65536 + 13 };
static uint8_t pattern[PERIOD * 2];

static bool stream_step(struct stream *t, struct rng *rng)
{
	static uint8_t got[PERIOD];
	size_t n = min_u64(t->all - t->sent, rng_below(rng, rng_below(rng, 8) ? 200 : PERIOD));
	struct iovec iov = { pattern + (t->sent + t->salt) % PERIOD, n };
	ssize_t r = n && rng_below(rng, 2) ? chan_tx_write(t->from.app, t->from.id, &iov, 1) : 0;

	ck_assert_int_ge(r, 0);
	t->sent += (size_t)r;
	if (t->sent == t->all && !(atomic_load(&end_b(t->from)->flags) & CHAN_B_SHUT_WR))
		shut(t->from);
	iov = (struct iovec){ got, rng_below(rng, rng_below(rng, 8) ? 300 : PERIOD) };
	if (rng_below(rng, 4) == 0)
		return true;
	r = chan_rx_read(t->to.app, t->to.id, &iov, 1, 0, 0);
	ck_assert_int_ge(r, 0);
	ck_assert_mem_eq(got, pattern + (t->read + t->salt) % PERIOD, (size_t)r);
	t->read += (size_t)r;
	if (t->read == t->all && chan_rx_eof(end_a(t->to), end_b(t->to)))
		return false;
	ck_assert(!(atomic_load(&end_a(t->to)->flags) & CHAN_A_RX_FIN) || t->sent == t->all);
	return true;
}

/* Now this way, now that, in both directions at once, with windows that close and buffers that change. */
START_TEST(both_ways_mix)
{
	static const uint32_t rcvbufs[] = { 0, 5000, 70000, 1 << 20 };
	struct rng rng;

	rng_seed(&rng, unit_seed());
	pair_pattern(pattern, PERIOD, 3);
	memcpy(pattern + PERIOD, pattern, PERIOD);
	for (int round = 0; round < 12; round++) {
		struct pair p = pair_open(1 + round % 2);
		struct stream a = { p.c, p.s, 0, .all = 1 + rng_below(&rng, 3000000) };
		struct stream b = { p.s, p.c, 77, .all = 1 + rng_below(&rng, 3000000) };
		bool more_a = true, more_b = true;

		atomic_store(&rig->way, round % 3 == 0 ? RIG_JOINED : RIG_MIXED);
		for (uint64_t end = chan_now_ns() + 30 * NSEC_PER_SEC; more_a || more_b;) {
			more_a = more_a && stream_step(&a, &rng);
			more_b = more_b && stream_step(&b, &rng);
			if (rng_below(&rng, 100) == 0) {
				end_b(p.s)->opts.rcvbuf = rcvbufs[rng_below(&rng, 4)];
				end_opts_changed(p.s);
			}
			ck_assert_msg(chan_now_ns() < end, "stuck: %zu of %zu, %zu of %zu", a.read, a.all,
				      b.read, b.all);
		}
		ck_assert(!chan_has_error(end_a(p.c), end_b(p.c)));
		ck_assert(!chan_has_error(end_a(p.s), end_b(p.s)));
		pair_close(p);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pipe");

	tcase_set_timeout(tc, 400);
	tcase_add_test(tc, no_segment_carries_the_text);
	tcase_add_test(tc, a_near_end_may_be_written_much_at_once);
	tcase_add_test(tc, segments_do_when_they_must);
	tcase_add_test(tc, a_full_window_stops_and_goes_on);
	tcase_add_test(tc, a_half_close_follows_the_text);
	tcase_add_test(tc, a_shutdown_comes_before_what_is_written_later);
	tcase_add_test(tc, what_nobody_reads_is_reset);
	tcase_add_test(tc, a_close_loses_nothing);
	tcase_add_test(tc, urgent_bytes_are_told);
	tcase_add_test(tc, a_cork_holds);
	tcase_add_test(tc, both_ways_mix);
	return unit_run("sock_pipe", tc);
}
