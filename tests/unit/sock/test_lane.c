/* Lanes: two programs pass bytes without the engine, which finds out later; only the time can tell. */
// SPDX-License-Identifier: MIT
#include "duo.h"
#include <string.h>
#include "../unit.h"
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "stack/chan/lock.h"
#include "stack/chan/urgent.h"

enum { MOST = 10900 }; /* of a write into the first lane: a third stays free */

static void leave(struct end e)
{
	ck_assert_int_eq(chan_lock(&end_b(e)->tx_lock), 0);
	chan_lane_leave(e.app, e.id);
	chan_unlock(&end_b(e)->tx_lock);
}

static void set_flags_b(struct end e, uint32_t flags)
{
	atomic_fetch_or(&end_b(e)->flags, flags);
	chan_mark(e.app, e.id);
	duo_settle();
}

/* ---- the offer ---- */
START_TEST(it_is_offered_after_some_writes)
{
	uint32_t after[] = { 1, 3, 32 };
	struct duo d = duo_open(after[_i]);

	for (uint32_t i = 0; i < after[_i]; i++) {
		ck_assert(!duo_may(&d, TO_S));
		ck_assert_int_eq(duo_put(&d, TO_S, 10), 10);
		ck_assert(duo_marked(&cli));
		duo_settle();
		ck_assert_uint_eq(duo_take(&d, TO_S, 100), 10);
	}
	ck_assert(duo_may(&d, TO_S));
	ck_assert(!duo_may(&d, TO_C));
	ck_assert(chan_has_lane(end_a(d.s)));
	ck_assert(!duo_direct(&d, TO_S));
	/* The next goes by it, and nobody hears. */
	ck_assert_int_eq(duo_put(&d, TO_S, 10), 10);
	ck_assert(duo_direct(&d, TO_S));
	ck_assert(!duo_marked(&cli));
	ck_assert_uint_eq(chan_rx_avail(end_a(d.s), end_b(d.s)), 10);
	ck_assert_uint_eq(duo_take(&d, TO_S, 100), 10);
	ck_assert(!duo_marked(&srv));
	ck_assert_uint_eq(chan_tx_unacked(end_a(d.c), end_b(d.c)), 0);
	duo_check_counts(&d);
	ck_assert_uint_eq(atomic_load(&rig->texts), 0);
	duo_close(&d);
}
END_TEST

START_TEST(zero_means_never)
{
	struct duo d = duo_open(0);
	struct sock_mail m;

	for (int i = 0; i < 300; i++) {
		duo_pass(&d, TO_S, 100);
		duo_pass(&d, TO_C, 100);
	}
	ck_assert(!chan_has_lane(end_a(d.c)) && !chan_has_lane(end_a(d.s)));
	ck_assert(!rig_control_mail(rig, SOCK_MAIL_PEER_WANTED, &m, 0));
	duo_close(&d);
}
END_TEST

static const struct client_realm realms[] = {
	{ 1000ull << 32 | 1000, 1, 2 }, { 1001ull << 32 | 1000, 1, 2 }, { 1000ull << 32 | 1001, 1, 2 },
	{ 1000ull << 32 | 1000, 3, 2 }, { 1000ull << 32 | 1000, 1, 3 }, { 0 },
};

/* Who is somebody else's gets none, and is asked about once. */
START_TEST(the_control_thread_is_asked)
{
	struct client_conf a = { .low_ports = true, .realm = realms[0] };
	struct client_conf b = { .low_ports = true, .realm = realms[_i % 6], .sealed = _i == 6 };
	struct duo d = duo_open_as(20, &a, &b);
	struct sock_mail m;

	for (int i = 0; i < 40; i++)
		duo_pass(&d, TO_S, 100);
	ck_assert(!chan_has_lane(end_a(d.c)));
	ck_assert(rig_control_mail(rig, SOCK_MAIL_PEER_WANTED, &m, 0));
	ck_assert_ptr_eq(m.p, ccli);
	ck_assert_uint_eq(m.a, csrv->conf.number);
	duo_introduce();
	while (rig_control_mail(rig, SOCK_MAIL_PEER_WANTED, &m, 0))
		;
	for (int i = 0; i < 9; i++)
		duo_pass(&d, TO_S, 100);
	ck_assert_int_eq(duo_direct(&d, TO_S), _i == 0);
	ck_assert_int_eq(chan_has_lane(end_a(d.c)), _i == 0);
	for (int i = 0; i < 100; i++) {
		duo_pass(&d, TO_S, 100);
		duo_pass(&d, TO_C, 100);
	}
	ck_assert_int_eq(chan_has_lane(end_a(d.s)), _i == 0);
	ck_assert(!rig_control_mail(rig, SOCK_MAIL_PEER_WANTED, &m, 0));
	duo_check_counts(&d);
	duo_close(&d);
}
END_TEST

START_TEST(a_program_that_is_gone_can_not_be_asked_about)
{
	struct client_conf a = { .low_ports = true, .realm = realms[0] };
	struct duo d = duo_open_as(1, &a, &a);

	duo_pass(&d, TO_S, 100);
	client_peer_wanted(ccli, NULL, csrv->conf.number, 0);
	duo_settle();
	for (int i = 0; i < 50; i++)
		duo_pass(&d, TO_S, 100);
	ck_assert(!chan_has_lane(end_a(d.c)));
	duo_close(&d);
}
END_TEST

/* ---- the bytes ---- */
START_TEST(bytes_stay_in_order_around_the_end_of_the_ring)
{
	struct duo d = duo_open(1);
	struct rng r;

	rng_seed(&r, 7);
	duo_pass(&d, TO_S, 1);
	duo_pass(&d, TO_C, 1);
	for (int i = 0; i < 2000; i++) {
		size_t n = 1 + rng_below(&r, MOST);

		ck_assert_int_eq(duo_put(&d, (enum duo_way)(i & 1), n), (ssize_t)n);
		ck_assert(duo_direct(&d, (enum duo_way)(i & 1)));
		while (duo_take(&d, (enum duo_way)(i & 1), 3000 + rng_below(&r, 5000)))
			;
		ck_assert_uint_eq(d.got[i & 1], d.sent[i & 1]);
		ck_assert(!duo_marked(&cli) && !duo_marked(&srv));
	}
	ck_assert_uint_eq(end_a(d.c)->lane.tx_size, DUO_RING);
	ck_assert_uint_eq(end_a(d.c)->lane.tx_epoch, 1);
	duo_check_counts(&d);
	ck_assert_uint_eq(end_a(d.c)->tx_una, (uint32_t)d.sent[TO_S] + end_a(d.s)->rx_tail -
						      (uint32_t)d.got[TO_S]);
	duo_close(&d);
}
END_TEST

/* What had been written before the offer was seen goes the old way, and comes first. */
START_TEST(what_was_written_before_comes_first)
{
	struct duo d = duo_open(2);

	duo_pass(&d, TO_S, 10);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(duo_put(&d, TO_S, 1000), 1000);
	rig_turn(rig);
	ck_assert(duo_may(&d, TO_S));
	duo_put(&d, TO_S, 1000);
	ck_assert(duo_direct(&d, TO_S));
	ck_assert_uint_eq(duo_take(&d, TO_S, 2500), 2500);
	duo_put(&d, TO_S, 100);
	ck_assert_uint_eq(duo_take(&d, TO_S, 2500), 2500);
	ck_assert_uint_eq(duo_take(&d, TO_S, 9999), 1100);
	duo_check_counts(&d);
	duo_close(&d);
}
END_TEST

START_TEST(a_write_too_large_leaves_for_a_larger_one)
{
	struct duo d = duo_open(1);
	uint32_t size = DUO_RING;

	duo_pass(&d, TO_S, 1);
	for (uint32_t epoch = 1; epoch <= 3; epoch++, size *= 8) {
		ck_assert(duo_may(&d, TO_S));
		ck_assert_uint_eq(end_a(d.c)->lane.tx_size, size);
		ck_assert_uint_eq(end_a(d.s)->lane.rx_size, size);
		ck_assert_uint_eq(end_a(d.c)->lane.tx_epoch, epoch);
		duo_put(&d, TO_S, 5000);
		ck_assert(duo_direct(&d, TO_S));
		if (epoch == 3)
			break;
		duo_put(&d, TO_S, size - 5001);
		ck_assert(!duo_direct(&d, TO_S));
		duo_settle();
		duo_pass(&d, TO_S, 30);
		duo_pass(&d, TO_S, 30);
	}
	/* There is none larger: it takes what fits. */
	for (int i = 0; i < 10; i++)
		duo_put(&d, TO_S, 250000);
	ck_assert(duo_direct(&d, TO_S));
	ck_assert_uint_eq(d.sent[TO_S] - d.got[TO_S], DUO_RING_MAX);
	while (duo_take(&d, TO_S, 77777))
		;
	duo_check_counts(&d);
	duo_close(&d);
}
END_TEST

/* No offer while something of the last is unread: its ring is still needed. */
START_TEST(the_next_waits_until_all_has_been_read)
{
	struct duo d = duo_open(1);

	duo_pass(&d, TO_S, 1);
	duo_put(&d, TO_S, 6000);
	leave(d.c);
	for (int i = 0; i < 20; i++) {
		duo_put(&d, TO_S, 10);
		duo_settle();
	}
	ck_assert_uint_eq(end_a(d.c)->lane.tx_epoch, 1);
	ck_assert(!duo_direct(&d, TO_S));
	while (duo_take(&d, TO_S, 1000))
		;
	duo_settle();
	duo_pass(&d, TO_S, 10);
	duo_pass(&d, TO_S, 10);
	ck_assert_uint_eq(end_a(d.c)->lane.tx_epoch, 2);
	duo_close(&d);
}
END_TEST

static void random_step(struct duo *d, struct rng *r)
{
	static const uint32_t most[] = { 10, 1000, 9000, 60000, 200000 };
	enum duo_way w = (enum duo_way)rng_below(r, 2);
	uint32_t n = 1 + rng_below(r, most[rng_below(r, ARRAY_LEN(most))]);

	switch (rng_below(r, 8)) {
	case 0:
	case 1:
		duo_put(d, w, n);
		break;
	case 2:
		duo_send_chunk(d, w, n);
		break;
	case 3:
	case 4:
		duo_take(d, w, n);
		break;
	case 5:
		for (int i = 0; i < 20 && duo_take(d, w, n); i++)
			;
		break;
	case 6:
		rig_turn(rig);
		break;
	default:
		if (rng_below(r, 16) == 0)
			leave(duo_from(d, w));
		else
			duo_settle();
	}
}

START_TEST(random_steps_keep_the_order)
{
	struct duo d = duo_open(1 + (uint32_t)_i % 3);
	struct rng r;

	rng_seed(&r, (uint64_t)_i);
	atomic_store(&rig->way, _i % 4 == 3 ? RIG_MIXED : RIG_JOINED);
	for (int i = 0; i < 2000; i++)
		random_step(&d, &r);
	for (int i = 0; i < 2000 && (d.got[0] < d.sent[0] || d.got[1] < d.sent[1]); i++) {
		duo_settle();
		duo_take(&d, TO_S, 100000);
		duo_take(&d, TO_C, 100000);
		if (i > 1000)
			rig_pause(); /* segments have timers */
	}
	ck_assert_uint_eq(d.got[TO_S], d.sent[TO_S]);
	ck_assert_uint_eq(d.got[TO_C], d.sent[TO_C]);
	duo_settle();
	ck_assert_uint_gt(end_a(d.c)->lane.tx_epoch + end_a(d.s)->lane.tx_epoch, 4);
	if (_i % 4 != 3)
		duo_check_counts(&d);
	duo_close(&d);
}
END_TEST

/* Beyond 2^32, with an engine that looks when it is asked to, or not before it must: nobody gets further
 * ahead of it than it can compare. */
START_TEST(more_than_four_gigabytes)
{
	struct duo d = duo_open(1);
	uint64_t end, seen;
	int waits = 0;

	duo_grow(&d, TO_S, DUO_RING_MAX);
	seen = d.sent[TO_S];
	for (end = seen + (9ull << 29); d.sent[TO_S] < end;) {
		if (_i == 1 && !duo_direct(&d, TO_S)) {
			duo_pass(&d, TO_S, 5000);
			continue;
		}
		if (duo_send_chunk(&d, TO_S, DUO_RING_MAX) <= 0) {
			ck_assert_int_eq(_i, 1);
			ck_assert(d.sent[TO_S] - seen > 1u << 30 && d.sent[TO_S] - seen < 1u << 31);
			duo_settle();
			seen = d.sent[TO_S];
			waits++;
			continue;
		}
		while (duo_skip(&d, TO_S, DUO_RING_MAX))
			;
		ck_assert_uint_eq(d.got[TO_S], d.sent[TO_S]);
		if (_i == 0 && duo_marked(&cli))
			duo_settle();
	}
	ck_assert_int_eq(waits, _i == 0 ? 0 : 4);
	duo_settle();
	duo_check_counts(&d);
	duo_pass(&d, TO_S, 5000);
	leave(d.c);
	duo_settle();
	for (int i = 0; i < 5; i++) {
		duo_pass(&d, TO_S, 5000);
		duo_pass(&d, TO_C, 5000);
	}
	ck_assert(duo_direct(&d, TO_S) && duo_direct(&d, TO_C));
	duo_close(&d);
}
END_TEST

/* ---- who waits ---- */
static void *waiter(void *arg)
{
	struct end *e = arg;

	for (;;) {
		uint32_t seen = chan_sock_seq(end_a(*e));

		if (chan_rx_avail(end_a(*e), end_b(*e)) > 0)
			return NULL;
		chan_sock_wait(e->app, e->id, seen, CHAN_FOREVER, NULL, 0);
	}
}

START_TEST(a_waiter_is_woken_by_the_other_program)
{
	struct duo d = duo_open(1);
	struct chan_lane_rec *rec;

	duo_pass(&d, TO_S, 1);
	rec = chan_lane_rec(end_a(d.s));
	for (int i = 0; i < 20; i++) {
		uint32_t seq = chan_sock_seq(end_a(d.s)), own = atomic_load(&end_a(d.s)->evseq);
		pthread_t t;

		pthread_create(&t, NULL, waiter, &d.s);
		RIG_WAIT(atomic_load(&rec->waiters) || atomic_load(&rec->muffled));
		duo_put(&d, TO_S, 10);
		ck_assert_int_eq(duo_marked(&cli), atomic_load(&rec->muffled) != 0);
		duo_settle();
		pthread_join(t, NULL);
		ck_assert_uint_ne(chan_sock_seq(end_a(d.s)), seq);
		ck_assert_uint_eq(atomic_load(&end_a(d.s)->evseq), own);
		duo_take(&d, TO_S, 100);
		ck_assert_uint_eq(atomic_load(&rec->waiters) + atomic_load(&rec->muffled), 0);
	}
	duo_close(&d);
}
END_TEST

/* A writer that met a full lane is told when a third of it is free, not before. */
START_TEST(a_full_lane_tells_of_room)
{
	struct duo d = duo_open(1);
	uint32_t seq;

	duo_grow(&d, TO_S, DUO_RING_MAX);
	while (duo_put(&d, TO_S, 200000))
		;
	ck_assert(!(end_ready(d.c) & EPOLLOUT));
	seq = chan_sock_seq(end_a(d.c));
	ck_assert_uint_eq(duo_take(&d, TO_S, 200000), 200000);
	ck_assert_uint_eq(chan_sock_seq(end_a(d.c)), seq);
	ck_assert(!(end_ready(d.c) & EPOLLOUT));
	ck_assert_uint_eq(duo_take(&d, TO_S, 160000), 160000);
	ck_assert_uint_ne(chan_sock_seq(end_a(d.c)), seq);
	ck_assert(end_ready(d.c) & EPOLLOUT);
	seq = chan_sock_seq(end_a(d.c));
	/* Nobody asks any more, so nobody is told. */
	duo_take(&d, TO_S, 200000);
	ck_assert_uint_eq(chan_sock_seq(end_a(d.c)), seq);
	ck_assert(!duo_marked(&cli) && !duo_marked(&srv));
	duo_close(&d);
}
END_TEST

static uint32_t open_queue(struct client *c, struct chan_app *app, int *fd)
{
	int evq = client_evq_open(c, 0, -1, fd);

	ck_assert_int_ge(evq, 0);
	app->evq_b[evq].in_use = 1;
	chan_inbox(app, (uint32_t)evq)->opened = 1;
	return (uint32_t)evq;
}

static bool drain(uint32_t evq, uint32_t id)
{
	uint32_t ids[256], overflow = 0, n;
	bool lost, found = false;

	while ((n = chan_evq_drain(&srv, evq, ids, ARRAY_LEN(ids), &overflow, &lost)) > 0)
		for (uint32_t i = 0; i < n; i++)
			found |= ids[i] == id;
	return found;
}

/* With subscriptions from before there was a lane, and from later. */
START_TEST(a_queue_gets_marks)
{
	struct duo d = duo_open(1);
	uint32_t evq;
	int fd;

	if (_i == 0) {
		duo_pass(&d, TO_S, 1);
		ck_assert(chan_has_lane(end_a(d.s)));
	}
	evq = open_queue(csrv, &srv, &fd);
	chan_subscribe(&srv, d.s.id, evq);
	duo_pass(&d, TO_S, 1);
	duo_settle();
	drain(evq, d.s.id);
	for (int i = 0; i < 5; i++) {
		ck_assert(!chan_evq_pending(&srv, evq, 0));
		duo_put(&d, TO_S, 10);
		ck_assert(duo_direct(&d, TO_S));
		ck_assert(chan_evq_pending(&srv, evq, 0));
		ck_assert(!duo_marked(&cli)); /* nobody sleeps */
		ck_assert(drain(evq, d.s.id));
		ck_assert(chan_evq_sleep(&srv, evq, 0));
		duo_put(&d, TO_S, 10);
		ck_assert(duo_marked(&cli)); /* only the engine has the doorbell */
		duo_settle();
		ck_assert_int_eq(rig_read_byte(fd), 1);
		chan_evq_awake(&srv, evq);
		chan_evq_heard(&srv, evq);
		ck_assert(drain(evq, d.s.id));
	}
	chan_unsubscribe(&srv, d.s.id, evq);
	duo_put(&d, TO_S, 10);
	ck_assert(!chan_inbox_pending(&srv, evq) && !duo_marked(&cli));
	/* One that is closed, and opened anew by somebody who does not know lanes: the engine tells. */
	chan_subscribe(&srv, d.s.id, evq);
	chan_inbox(&srv, evq)->opened = 2;
	duo_put(&d, TO_S, 10);
	ck_assert(duo_marked(&cli));
	sys_close(fd);
	duo_close(&d);
}
END_TEST

/* More queues than a socket has places for: the engine tells them, so there is no lane any more. */
START_TEST(too_many_queues_end_it)
{
	struct duo d = duo_open(1);
	uint32_t evq[CHAN_SUBS + 1];
	int fd[CHAN_SUBS + 1];

	duo_pass(&d, TO_S, 1);
	for (unsigned i = 0; i <= CHAN_SUBS; i++) {
		evq[i] = open_queue(csrv, &srv, &fd[i]);
		chan_subscribe(&srv, d.s.id, evq[i]);
	}
	duo_put(&d, TO_S, 10);
	ck_assert(duo_marked(&cli));
	duo_settle();
	for (unsigned i = 0; i <= CHAN_SUBS; i++) {
		ck_assert(drain(evq[i], d.s.id));
		sys_close(fd[i]);
	}
	ck_assert(!duo_may(&d, TO_S));
	duo_pass(&d, TO_S, 10);
	ck_assert(!duo_direct(&d, TO_S));
	duo_check_counts(&d);
	duo_close(&d);
}
END_TEST

/* ---- what takes it away ---- */
START_TEST(urgent_bytes_leave)
{
	struct duo d = duo_open(1);
	struct chan_handle h = { d.c.id, d.c.gen };
	struct iovec iov = { "ab!", 3 };
	struct chan_urg_view v;
	uint8_t b[64];
	size_t n = 0;

	duo_pass(&d, TO_S, 1);
	duo_put(&d, TO_S, 20);
	ck_assert(duo_direct(&d, TO_S));
	rig_go(rig); /* it waits for the engine */
	for (int i = 0; i < 1000 && n == 0; i++) {
		if (chan_write(&cli, h, CHAN_WRITE_URGENT, &iov, 1, &n) == CHAN_SHOULD_WAIT)
			rig_pause();
	}
	ck_assert_uint_eq(n, 3);
	ck_assert(!duo_direct(&d, TO_S));
	RIG_WAIT(end_a(d.s)->flags & CHAN_A_URGENT);
	rig_stop(rig);
	v = chan_urg_look(end_a(d.s), end_b(d.s));
	ck_assert(v.on);
	ck_assert_uint_eq(duo_take(&d, TO_S, 20), 20);
	iov = (struct iovec){ b, sizeof(b) };
	ck_assert_int_eq(chan_rx_read(&srv, d.s.id, &iov, 1, 0, 0), 2);
	ck_assert_mem_eq(b, "ab", 2);
	duo_close(&d);
}
END_TEST

START_TEST(an_option_takes_it_away)
{
	struct duo d = duo_open(1);

	duo_pass(&d, TO_S, 1);
	duo_put(&d, TO_S, 100);
	ck_assert(duo_direct(&d, TO_S));
	if (_i == 0) {
		end_b(d.c)->opts.sndbuf = 10000;
		end_opts_changed(d.c);
		duo_settle();
	} else if (_i == 1) {
		end_b(d.s)->opts.flags |= CHAN_O_TIMESTAMP;
		end_opts_changed(d.s);
		duo_settle();
	} else {
		set_flags_b(d.s, CHAN_B_SIGNALS);
	}
	ck_assert(!duo_may(&d, TO_S));
	duo_put(&d, TO_S, 100);
	ck_assert(!duo_direct(&d, TO_S));
	duo_settle();
	for (int i = 0; i < 40; i++)
		duo_pass(&d, TO_S, 10);
	ck_assert(!duo_direct(&d, TO_S));
	ck_assert_uint_eq(d.got[TO_S], d.sent[TO_S]);
	duo_check_counts(&d);
	duo_close(&d);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("lane");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, it_is_offered_after_some_writes, 0, 3);
	tcase_add_test(tc, zero_means_never);
	tcase_add_loop_test(tc, the_control_thread_is_asked, 0, 7);
	tcase_add_test(tc, a_program_that_is_gone_can_not_be_asked_about);
	tcase_add_test(tc, bytes_stay_in_order_around_the_end_of_the_ring);
	tcase_add_test(tc, what_was_written_before_comes_first);
	tcase_add_test(tc, a_write_too_large_leaves_for_a_larger_one);
	tcase_add_test(tc, the_next_waits_until_all_has_been_read);
	tcase_add_loop_test(tc, random_steps_keep_the_order, 0, 12);
	tcase_add_loop_test(tc, more_than_four_gigabytes, 0, 2);
	tcase_add_test(tc, a_waiter_is_woken_by_the_other_program);
	tcase_add_test(tc, a_full_lane_tells_of_room);
	tcase_add_loop_test(tc, a_queue_gets_marks, 0, 2);
	tcase_add_test(tc, too_many_queues_end_it);
	tcase_add_test(tc, urgent_bytes_leave);
	tcase_add_loop_test(tc, an_option_takes_it_away, 0, 3);
	return unit_run("lane", tc);
}
