/* Lanes, and what comes late: the engine's look at them, a write that finds the lane gone, a waiter that is
 * left over, a position that comes round again. */
// SPDX-License-Identifier: MIT
#include "duo.h"
#include <sys/socket.h>
#include <unistd.h>
#include "../unit.h"
#include "stack/base/util.h"
#include "stack/chan/lock.h"

static void take_opts(struct end e)
{
	end_opts_changed(e);
	duo_settle();
}

static void no_lane_any_more(struct duo *d)
{
	end_b(d->s)->opts.flags |= CHAN_O_TIMESTAMP;
	take_opts(d->s);
	ck_assert(!duo_may(d, TO_S));
}

/* The engine turns only if somebody has asked for it: what nobody tells it, it does not find out. */
static void take_all_by_marks(struct duo *d, enum duo_way w, size_t n)
{
	for (int i = 0; i < 1000 && d->got[w] < d->sent[w]; i++) {
		duo_take(d, w, n);
		if (duo_marked(&srv) || duo_marked(&cli))
			duo_settle();
	}
	ck_assert_uint_eq(d->got[w], d->sent[w]);
}

/* ---- bytes ---- */
/* What is unread when the lane ends is more than the window: the engine hears of the reads that open it. */
START_TEST(a_small_buffer_while_much_is_unread)
{
	struct duo d = duo_open(1);

	duo_grow(&d, TO_S, DUO_RING_MAX);
	while (duo_put(&d, TO_S, 200 << 10) > 0)
		;
	end_b(d.s)->opts.rcvbuf = 64 << 10;
	take_opts(d.s);
	ck_assert(!duo_may(&d, TO_S));
	ck_assert(end_a(d.s)->flags & CHAN_A_WANT_HEAD);
	duo_take(&d, TO_S, 250 << 10);
	ck_assert(duo_marked(&srv));
	duo_settle();
	ck_assert_int_eq(duo_put(&d, TO_S, 1000), 0); /* it leaves */
	duo_settle();
	ck_assert_int_eq(duo_put(&d, TO_S, 1000), 1000);
	ck_assert(!duo_direct(&d, TO_S));
	duo_settle();
	take_all_by_marks(&d, TO_S, 100 << 10);
	duo_check_counts(&d);
	duo_close(&d);
}
END_TEST

/* The lane was written for positions that the stream comes to again. */
START_TEST(positions_come_round)
{
	struct duo d = duo_open(1);
	uint64_t end = (1ull << 32) - 3000;

	duo_pass(&d, TO_S, 1);
	duo_put(&d, TO_S, 5000);
	ck_assert(duo_direct(&d, TO_S));
	ck_assert_uint_eq(duo_take(&d, TO_S, 5000), 5000);
	no_lane_any_more(&d);
	duo_put(&d, TO_S, 1);
	duo_settle();
	while (d.sent[TO_S] < end) {
		uint32_t n = (uint32_t)min_u64(260 << 10, end - d.sent[TO_S]);

		ck_assert_int_gt(duo_send_chunk(&d, TO_S, n), 0);
		duo_settle();
		while (duo_skip(&d, TO_S, DUO_RING_MAX))
			;
		ck_assert_uint_eq(d.got[TO_S], d.sent[TO_S]);
	}
	for (int i = 0; i < 12; i++) {
		ck_assert_int_eq(duo_put(&d, TO_S, 1000), 1000);
		duo_settle();
		ck_assert_uint_eq(chan_rx_avail(end_a(d.s), end_b(d.s)), 1000);
		ck_assert_uint_eq(duo_take(&d, TO_S, 5000), 1000);
		ck_assert_uint_eq(chan_rx_avail(end_a(d.s), end_b(d.s)), 0);
	}
	ck_assert(!duo_direct(&d, TO_S));
	duo_check_counts(&d);
	duo_close(&d);
}
END_TEST

/* ---- the end ---- */
/* Another connection, whose send ring is as small as they come. */
static void connect_anew(struct duo *d)
{
	rig_go(rig);
	duo_shut(&d->c);
	duo_shut(&d->s);
	*d = (struct duo){ .l = d->l, .c = rig_connect(&cli, end_a(d->l)->local.port, NULL) };
	rig_connected(d->c);
	d->s = rig_accept(d->l);
	duo_put(d, TO_S, 1); /* the engine gives it the ring */
	RIG_WAIT(chan_rx_avail(end_a(d->s), end_b(d->s)) == 1);
	rig_stop(rig);
	ck_assert_uint_eq(duo_take(d, TO_S, 1), 1);
	duo_settle();
}

/* A writer looked at the lane before the reader closed, and fills it after: more than the send ring could
 * hold. What is written behind that meets a connection that has ended, and is no crime. */
START_TEST(a_writer_is_late_for_the_close)
{
	struct duo d = duo_open(1);
	struct chan_lane_tx t;
	const uint32_t late = 60000;
	uint8_t *p;

	connect_anew(&d);
	duo_grow(&d, TO_S, 8 * DUO_RING);
	ck_assert_uint_lt(end_a(d.c)->tx_seg[(end_a(d.c)->tx_nseg - 1) % CHAN_SEGS].size, late);
	ck_assert_int_eq(chan_lock(&end_b(d.c)->tx_lock), 0);
	ck_assert_int_eq(chan_lane_tx(&t, &cli, d.c.id), 1);
	duo_shut(&d.s);
	duo_settle();
	ck_assert(!duo_may(&d, TO_S));
	for (uint32_t n = late, k; n; n -= k) {
		k = min_u32(chan_lane_tx_span(&t, &p), n);
		ck_assert_uint_gt(k, 0);
		chan_lane_tx_put(&t, k);
	}
	chan_lane_leave(&cli, d.c.id);
	chan_unlock(&end_b(d.c)->tx_lock);
	duo_settle();
	ck_assert_uint_eq(end_a(d.c)->state, CHAN_ST_CLOSED);
	ck_assert_int_gt(duo_put(&d, TO_S, 3 << 10), 0); /* by a thread that has looked before that */
	duo_settle();
	ck_assert_uint_eq(ccli->a->detached, 0);
	ck_assert_uint_eq(csrv->a->detached, 0);
	duo_close(&d);
}
END_TEST

/* Two ways at once: text in the send ring that finds no window, and behind it the lane. */
static void fill_window_then_ring_then_lane(struct duo *d)
{
	ssize_t room;

	while (chan_tx_unacked(end_a(d->c), end_b(d->c)) == 0) {
		ck_assert_int_gt(duo_put(d, TO_S, 40 << 10), 0);
		duo_settle();
	}
	while (chan_tx_unacked(end_a(d->c), end_b(d->c)) > 0) {
		duo_take(d, TO_S, 20 << 10);
		duo_settle();
	}
	rig->w[0].env.lane_after = 1;
	ck_assert_int_eq(duo_put(d, TO_S, 1), 1);
	room = duo_chunk_open(d, TO_S, 256 << 10); /* in the middle of a large write() ... */
	duo_settle();
	ck_assert(duo_may(d, TO_S)); /* ... the offer comes */
	duo_chunk_send(d, TO_S, room);
	duo_settle();
	ck_assert_uint_gt(chan_tx_unacked(end_a(d->c), end_b(d->c)), 0);
	ck_assert_int_eq(duo_put(d, TO_S, 10), 10);
	ck_assert(duo_direct(d, TO_S));
}

START_TEST(a_fin_waits_for_ring_and_lane)
{
	struct duo d = duo_open(0);

	fill_window_then_ring_then_lane(&d);
	atomic_fetch_or(&end_b(d.c)->flags, CHAN_B_SHUT_WR);
	chan_mark(&cli, d.c.id);
	duo_settle();
	ck_assert(!(end_a(d.s)->flags & CHAN_A_RX_FIN));
	take_all_by_marks(&d, TO_S, 10000);
	duo_settle();
	ck_assert(chan_rx_eof(end_a(d.s), end_b(d.s)));
	ck_assert(!chan_has_error(end_a(d.c), end_b(d.c)));
	ck_assert_uint_eq(end_a(d.c)->state, CHAN_ST_CONNECTED);
	duo_put(&d, TO_C, 500); /* the other half goes on */
	duo_settle();
	ck_assert_uint_eq(duo_take(&d, TO_C, 9999), 500);
	duo_shut(&d.s);
	duo_settle();
	ck_assert(end_a(d.c)->flags & CHAN_A_RX_FIN);
	ck_assert(!chan_has_error(end_a(d.c), end_b(d.c)));
	ck_assert_uint_eq(atomic_load(&rig->rst), 0);
	duo_close(&d);
}
END_TEST

/* ---- who waits ---- */
/* Who has met "no room" and compares sees that there is some, though nothing has been read meanwhile. */
START_TEST(a_lane_that_is_over_makes_room)
{
	struct duo d = duo_open(1);
	uint32_t freed;

	duo_pass(&d, TO_S, 1);
	duo_put(&d, TO_S, 100);
	ck_assert(duo_direct(&d, TO_S));
	ck_assert_uint_eq(duo_take(&d, TO_S, 1000), 100);
	no_lane_any_more(&d);
	ck_assert_int_eq(duo_put(&d, TO_S, 100), 0);
	ck_assert(!chan_tx_writable(end_a(d.c), end_b(d.c)));
	freed = chan_tx_freed(end_a(d.c));
	duo_settle();
	ck_assert(chan_tx_writable(end_a(d.c), end_b(d.c)));
	ck_assert_uint_ne(chan_tx_freed(end_a(d.c)), freed);
	ck_assert_int_eq(duo_put(&d, TO_S, 100), 100);
	duo_settle();
	ck_assert_uint_eq(duo_take(&d, TO_S, 1000), 100);
	duo_close(&d);
}
END_TEST

static uint32_t open_queue(int *fd)
{
	int evq = client_evq_open(csrv, 0, -1, fd);

	ck_assert_int_ge(evq, 0);
	srv.evq_b[evq].in_use = 1;
	chan_inbox_open(&srv, (uint32_t)evq);
	return (uint32_t)evq;
}

/* Two threads sleep on one queue, and one of them wakes: the next news is for the other. */
START_TEST(the_other_sleeper_is_woken_too)
{
	struct duo d = duo_open(1);
	_Atomic uint32_t *armed;
	uint32_t evq, ids[1024], overflow = 0;
	bool lost;
	int fd;

	duo_pass(&d, TO_S, 1);
	evq = open_queue(&fd);
	armed = &chan_inbox(&srv, evq)->armed;
	chan_subscribe(&srv, d.s.id, evq);
	ck_assert(chan_evq_sleep(&srv, evq, 0));
	ck_assert(chan_evq_sleep(&srv, evq, 0));
	ck_assert_uint_eq(*armed, 1);
	for (int i = 0; i < 2; i++) {
		duo_put(&d, TO_S, 10);
		ck_assert(duo_direct(&d, TO_S));
		ck_assert_uint_eq(*armed, 0);
		ck_assert(duo_marked(&cli)); /* only the engine has the doorbell */
		duo_settle();
		ck_assert_int_eq(rig_read_byte(fd), 1);
		chan_evq_awake(&srv, evq);
		ck_assert_uint_eq(*armed, i == 0);
		chan_evq_heard(&srv, evq);
		ck_assert_uint_ge(chan_evq_drain(&srv, evq, ids, ARRAY_LEN(ids), &overflow, &lost), 1);
	}
	duo_put(&d, TO_S, 10); /* nobody is left */
	ck_assert(!duo_marked(&cli));
	sys_close(fd);
	duo_close(&d);
}
END_TEST

/* News of more sockets than a word has bits, and of one whose number is the largest. */
START_TEST(one_drain_brings_all)
{
	static const uint32_t first[] = { 0, 64, 4000, CHAN_MAX_SOCKS - 130 };
	struct duo d = duo_open(1);
	uint32_t evq, ids[1024], overflow = 0, n, step = (uint32_t)_i % 2 ? 40 : 1;
	bool lost, seen[CHAN_MAX_SOCKS] = { false };
	int fd;

	evq = open_queue(&fd);
	for (unsigned i = 0; i < ARRAY_LEN(first); i++)
		for (uint32_t j = 0; j < 130; j += step)
			chan_dirty_set(&chan_inbox(&srv, evq)->marks, first[i] + j);
	ck_assert(chan_evq_pending(&srv, evq, 0));
	n = chan_evq_drain(&srv, evq, ids, ARRAY_LEN(ids), &overflow, &lost);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_uint_lt(ids[i], CHAN_MAX_SOCKS);
		seen[ids[i]] = true;
	}
	for (unsigned i = 0; i < ARRAY_LEN(first); i++)
		for (uint32_t j = 0; j < 130; j += step)
			ck_assert_msg(seen[first[i] + j], "%u is missing", first[i] + j);
	ck_assert(!chan_evq_pending(&srv, evq, 0));
	ck_assert_uint_eq(chan_evq_drain(&srv, evq, ids, ARRAY_LEN(ids), &overflow, &lost), 0);
	sys_close(fd);
	duo_close(&d);
}
END_TEST

/* A socket with too many queues had them before it had a lane to write by: it hears of room from the engine,
 * which is asked. */
START_TEST(too_many_queues_from_before)
{
	struct duo d = duo_open(1);
	int fd[CHAN_SUBS + 1];

	for (unsigned i = 0; i <= CHAN_SUBS; i++)
		chan_subscribe(&srv, d.s.id, open_queue(&fd[i]));
	duo_grow(&d, TO_C, DUO_RING_MAX);
	while (duo_put(&d, TO_C, 200000))
		;
	duo_settle();
	while (!(end_ready(d.s) & EPOLLOUT))
		ck_assert_uint_gt(duo_take(&d, TO_C, 50000), 0);
	ck_assert(duo_marked(&cli));
	for (unsigned i = 0; i <= CHAN_SUBS; i++)
		sys_close(fd[i]);
	duo_close(&d);
}
END_TEST

/* ---- fork ---- */
/* A thread of the parent had the lock of the bells, and is not in the child. */
START_TEST(a_child_has_no_lock_of_the_parent)
{
	static struct chan_app app;
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	app.fd = sv[0];
	app.bell[3].key = 7;
	atomic_store(&app.bell[3].fd, -1);
	chan_app_child(&app, sv[0], 1);
	ck_assert_uint_eq(app.bell[3].key, 7);
	app.bell_lock = 12345;
	chan_app_child(&app, sv[0], 2);
	ck_assert_uint_eq(app.bell_lock, 0);
	ck_assert_uint_eq(app.bell[3].key, 0); /* it may have been in the middle of that one */
	ck_assert_uint_eq(app.proc, 2);
	close(sv[0]);
	close(sv[1]);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("lane_late");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_small_buffer_while_much_is_unread);
	tcase_add_test(tc, positions_come_round);
	tcase_add_test(tc, a_writer_is_late_for_the_close);
	tcase_add_test(tc, a_fin_waits_for_ring_and_lane);
	tcase_add_test(tc, a_lane_that_is_over_makes_room);
	tcase_add_test(tc, the_other_sleeper_is_woken_too);
	tcase_add_loop_test(tc, one_drain_brings_all, 0, 2);
	tcase_add_test(tc, too_many_queues_from_before);
	tcase_add_test(tc, a_child_has_no_lock_of_the_parent);
	return unit_run("lane_late", tc);
}
