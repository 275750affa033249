/* How connections with a lane end: as those without one; and what a program does that writes nonsense
 * into the memory that others share with it. */
// SPDX-License-Identifier: MIT
#include "duo.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include "../unit.h"
#include "stack/base/rng.h"
#include "stack/base/util.h"

/* ---- the same with a lane and without ---- */
struct story {
	char text[4096];
	size_t len;
};

static void tell(struct story *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += (size_t)vsnprintf(t->text + t->len, sizeof(t->text) - t->len, fmt, ap);
	va_end(ap);
	ck_assert_uint_lt(t->len, sizeof(t->text));
}

static void look(struct story *t, const char *who, struct end e)
{
	if (!e.app)
		return;
	tell(t, "%s: state %u ready %x error %u pending %d eof %d unread %u\n", who, end_a(e)->state,
	     end_ready(e), end_a(e)->err, chan_has_error(end_a(e), end_b(e)),
	     chan_rx_eof(end_a(e), end_b(e)), chan_rx_avail(end_a(e), end_b(e)));
}

static void look_both(struct story *t, const struct duo *d)
{
	duo_settle();
	look(t, "c", d->c);
	look(t, "s", d->s);
}

/* As far as the engine is concerned the bytes are there, whichever way they went. */
static void put(struct duo *d, enum duo_way w, size_t n)
{
	duo_put(d, w, n);
	duo_settle();
}

static void write_to(struct story *t, struct end e, size_t n)
{
	static uint8_t buf[9000];
	struct iovec iov = { buf, n };
	size_t actual = 0;
	enum chan_status st;

	for (int i = 0; i < 2; i++) { /* who has just left a lane has to wait for the engine */
		st = chan_write(e.app, (struct chan_handle){ e.id, e.gen }, 0, &iov, 1, &actual);
		if (st != CHAN_SHOULD_WAIT)
			break;
		duo_settle();
	}
	tell(t, "write: %d, %zu\n", (int)st, actual);
	duo_settle();
}

static void read_from(struct story *t, struct end e)
{
	uint8_t buf[20000];
	struct iovec iov = { buf, sizeof(buf) };

	tell(t, "read: %zd\n", chan_rx_read(e.app, e.id, &iov, 1, 0, 0));
}

static void shut(struct end e, uint32_t how)
{
	atomic_fetch_or(&end_b(e)->flags, how);
	chan_mark(e.app, e.id);
}

static void close_now(struct end *e)
{
	duo_shut(e);
	duo_settle();
}

static void fin_behind_bytes(struct story *t, struct duo *d)
{
	put(d, TO_S, 3000);
	shut(d->c, CHAN_B_SHUT_WR);
	look_both(t, d);
	read_from(t, d->s);
	look_both(t, d);
	/* The other half goes on. */
	write_to(t, d->s, 500);
	read_from(t, d->c);
	shut(d->s, CHAN_B_SHUT_WR);
	look_both(t, d);
}

static void close_behind_bytes(struct story *t, struct duo *d)
{
	put(d, TO_S, 3000);
	close_now(&d->c);
	look_both(t, d);
	read_from(t, d->s);
	look_both(t, d);
	write_to(t, d->s, 10);
	look_both(t, d);
	write_to(t, d->s, 10);
	look_both(t, d);
}

static void close_with_unread_bytes(struct story *t, struct duo *d)
{
	put(d, TO_S, 3000);
	close_now(&d->s);
	look_both(t, d);
	write_to(t, d->c, 10);
	tell(t, "error %d\n", chan_take_error(end_a(d->c), end_b(d->c)));
	write_to(t, d->c, 10);
	look_both(t, d);
}

static void write_after_the_reader_has_closed(struct story *t, struct duo *d)
{
	put(d, TO_S, 3000);
	read_from(t, d->s);
	close_now(&d->s);
	look_both(t, d);
	write_to(t, d->c, 10);
	look_both(t, d);
	tell(t, "error %d\n", chan_take_error(end_a(d->c), end_b(d->c)));
	write_to(t, d->c, 10);
	look_both(t, d);
}

static void end_of_reading(struct story *t, struct duo *d)
{
	put(d, TO_S, 100);
	shut(d->s, CHAN_B_SHUT_RD);
	look_both(t, d);
	read_from(t, d->s);
	write_to(t, d->c, 100);
	look_both(t, d);
	read_from(t, d->s);
	write_to(t, d->s, 100);
	read_from(t, d->c);
	look_both(t, d);
}

static void both_shut_down(struct story *t, struct duo *d)
{
	put(d, TO_S, 100);
	put(d, TO_C, 200);
	shut(d->s, CHAN_B_SHUT_WR);
	shut(d->c, CHAN_B_SHUT_WR);
	look_both(t, d);
	read_from(t, d->s);
	read_from(t, d->c);
	look_both(t, d);
}

static void linger_zero(struct story *t, struct duo *d)
{
	put(d, TO_S, 100);
	end_b(d->c)->opts.flags |= CHAN_O_LINGER;
	end_b(d->c)->opts.linger_s = 0;
	atomic_fetch_add(&end_b(d->c)->opt_seq, 1);
	close_now(&d->c);
	look_both(t, d);
	write_to(t, d->s, 10);
	look_both(t, d);
}

static void (*const stories[])(struct story *t, struct duo *d) = {
	fin_behind_bytes, close_behind_bytes, close_with_unread_bytes, write_after_the_reader_has_closed,
	end_of_reading, both_shut_down, linger_zero,
};

static void tell_story(struct story *t, int which, uint32_t after)
{
	struct duo d = duo_open(after);

	for (int i = 0; i < 3; i++) {
		duo_pass(&d, TO_S, 100);
		duo_pass(&d, TO_C, 100);
	}
	ck_assert_int_eq(duo_direct(&d, TO_S) && duo_direct(&d, TO_C), after != 0);
	stories[which](t, &d);
	duo_close(&d);
}

START_TEST(they_end_alike)
{
	static struct story with, without;

	tell_story(&without, _i, 0);
	tell_story(&with, _i, 1);
	ck_assert_str_eq(with.text, without.text);
}
END_TEST

/* The engine hears of the close after the write: which came first it can't know, so it may be either
 * error. */
START_TEST(a_write_crosses_a_close)
{
	struct duo d = duo_open(1);
	int err;

	duo_pass(&d, TO_S, 100);
	duo_pass(&d, TO_S, 100);
	ck_assert(duo_direct(&d, TO_S));
	duo_shut(&d.s);
	duo_put(&d, TO_S, 100);
	duo_settle();
	ck_assert_uint_eq(end_a(d.c)->state, CHAN_ST_CLOSED);
	err = chan_take_error(end_a(d.c), end_b(d.c));
	ck_assert(err == EPIPE || err == ECONNRESET);
	duo_close(&d);
}
END_TEST

/* ---- what comes back ---- */
START_TEST(ring_and_record_come_back)
{
	struct duo d = duo_open(1);
	uint32_t rec = 0, ring = 0;

	for (int i = 0; i < 20; i++) {
		duo_pass(&d, TO_S, 100);
		duo_pass(&d, TO_C, 100);
		duo_put(&d, TO_S, 5000);
		ck_assert(duo_direct(&d, TO_S));
		if (i == 0) {
			rec = end_a(d.c)->lane.peer_rec;
			ring = end_a(d.c)->lane.tx_ring;
		}
		ck_assert_uint_eq(end_a(d.c)->lane.peer_rec, rec);
		ck_assert_uint_eq(end_a(d.c)->lane.tx_ring, ring);
		rig_go(rig);
		duo_shut(i & 1 ? &d.s : &d.c);
		duo_shut(i & 1 ? &d.c : &d.s);
		RIG_WAIT(atomic_load(&ccli->n_socks) == 0 && atomic_load(&csrv->n_socks) == 1);
		ck_assert_uint_eq(atomic_load(&ccli->n_bytes), 0);
		ck_assert_uint_eq(atomic_load(&csrv->n_bytes), 4096); /* the listener's */
		d = (struct duo){ .l = d.l, .c = rig_connect(&cli, end_a(d.l)->local.port, NULL) };
		rig_connected(d.c);
		d.s = rig_accept(d.l);
		rig_stop(rig);
		duo_settle();
	}
	duo_close(&d);
}
END_TEST

/* One program ends, with its memory, while the other still has its end. */
START_TEST(a_program_ends_before_the_other)
{
	struct duo d = duo_open(1);
	struct end left;
	uint8_t buf[100];

	duo_pass(&d, TO_S, 100);
	duo_pass(&d, TO_C, 100);
	duo_put(&d, TO_S, 50);
	duo_put(&d, TO_C, 50);
	ck_assert(duo_direct(&d, TO_S) && duo_direct(&d, TO_C));
	rig_go(rig);
	if (_i == 0) {
		rig_client_end(rig, csrv, &srv);
		left = d.c;
	} else {
		rig_client_end(rig, ccli, &cli);
		left = d.s;
	}
	RIG_WAIT(end_ready(left) & (EPOLLHUP | EPOLLRDHUP));
	ck_assert_uint_eq(rig_read(left, buf, 50), 50);
	struct iovec iov = { buf, 50 };
	ck_assert_int_ge(chan_tx_write(left.app, left.id, &iov, 1), 0);
	rig_close(left);
	if (_i == 0) {
		rig_client_end(rig, ccli, &cli);
	} else {
		rig_close(d.l);
		rig_client_end(rig, csrv, &srv);
	}
	rig_free(rig);
}
END_TEST

/* The writer is killed between two stores: what it had written before can be read, then comes the end. */
START_TEST(a_writer_dies_half_way)
{
	struct duo d = duo_open(1);
	struct chan_lane_rec *mine, *peer;
	uint8_t buf[5000];

	duo_pass(&d, TO_S, 100);
	duo_put(&d, TO_S, 1000);
	ck_assert(duo_direct(&d, TO_S));
	mine = chan_lane_rec(end_a(d.c));
	peer = chan_lane_rec(end_a(d.s));
	if (_i == 0) /* in chan_lane_tx_put() */
		atomic_fetch_add(&mine->tx_tail, 500);
	if (_i >= 1) /* in chan_lane_leave() */
		atomic_store(&end_b(d.c)->tx_tail, mine->tx_tail);
	if (_i == 2)
		atomic_store(&peer->rx_left, mine->tx_on);
	rig_go(rig);
	rig_client_end(rig, ccli, &cli);
	ck_assert_uint_ge(rig_read(d.s, buf, sizeof(buf)), 1000); /* until the end of file */
	rig_close(d.s);
	rig_close(d.l);
	rig_client_end(rig, csrv, &srv);
	rig_free(rig);
}
END_TEST

/* ---- nonsense ---- */
/* Who lies about positions can keep a connection from ending by itself. */
static const struct client_conf vandal = {
	.low_ports = true, .realm = { .ids = 7, .user_ns = 1, .pid_ns = 2 }, .drain_ns = NSEC_PER_SEC,
};

static struct duo vandals(void)
{
	struct duo d = duo_open_as(1, &vandal, &vandal);

	duo_introduce();
	return d;
}

static uint32_t value(struct rng *r, uint32_t near)
{
	switch (rng_below(r, 5)) {
	case 0:
		return rng_below(r, 8);
	case 1:
		return UINT32_MAX - rng_below(r, 8);
	case 2:
		return near + rng_below(r, 40000) - 20000;
	case 3:
		return near + (1u << 31) - 2 + rng_below(r, 4);
	default:
		return (uint32_t)rng_u64(r);
	}
}

static void vandalise(struct duo *d, struct rng *r)
{
	struct end e = rng_below(r, 2) ? d->c : d->s;
	_Atomic uint32_t *w = (void *)chan_lane_rec(end_a(e));
	struct iovec iov = { (uint8_t[30000]){ 0 }, 1 + rng_below(r, 30000) };

	switch (rng_below(r, 8)) {
	case 0:
		atomic_store(&end_b(e)->rx_head, value(r, end_b(e)->rx_head));
		break;
	case 1:
		atomic_store(&end_b(e)->tx_tail, value(r, end_b(e)->tx_tail));
		break;
	case 2:
		chan_rx_read(e.app, e.id, &iov, 1, 0, 0);
		break;
	case 3:
		if (!duo_marked(&cli)) /* else it may wait for the engine */
			chan_tx_write(e.app, e.id, &iov, 1);
		break;
	default:
		w += rng_below(r, sizeof(struct chan_lane_rec) / 4);
		atomic_store(w, value(r, *w));
	}
	chan_mark(e.app, e.id);
}

START_TEST(nonsense_in_d_harms_nobody_else)
{
	struct duo d = vandals();
	struct chan_app good;
	struct client *cgood;
	struct end l, c, s;
	uint8_t in[100];
	uint16_t port;
	struct rng r;

	rng_seed(&r, (uint64_t)_i);
	duo_pass(&d, TO_S, 100);
	duo_pass(&d, TO_C, 100);
	duo_put(&d, TO_S, 5000);
	duo_put(&d, TO_C, 5000);
	if (_i & 1)
		duo_settle();
	rig_go(rig);
	for (int i = 0; i < 40 && !cli.a->detached && !srv.a->detached; i++)
		vandalise(&d, &r);
	cgood = rig_client(rig, &good, NULL);
	l = rig_listen(&good, 0, 4, &port);
	c = rig_connect(&good, port, NULL);
	rig_connected(c);
	s = rig_accept(l);
	for (int i = 0; i < 5; i++) {
		rig_write(c, "still here", 10);
		ck_assert_uint_eq(rig_read(s, in, 10), 10);
		ck_assert_mem_eq(in, "still here", 10);
	}
	rig_client_end(rig, cgood, &good);
	rig_stop(rig);
	duo_close(&d);
}
END_TEST

/* Each word by itself, with what is worst. */
START_TEST(an_absurd_position_at_most_detaches)
{
	static const uint32_t by[] = { 1, 0x7fffffff, 0x80000000, 0xfffffff0, DUO_RING + 1 };
	struct duo d = vandals();
	struct chan_lane_rec *rec;
	uint32_t word = (uint32_t)_i / ARRAY_LEN(by);
	_Atomic uint32_t *at[6];

	duo_pass(&d, TO_S, 100);
	duo_put(&d, TO_S, 3000);
	ck_assert(duo_direct(&d, TO_S));
	if (_i & 1)
		duo_settle();
	rec = chan_lane_rec(end_a(d.c));
	at[0] = &rec->tx_tail;
	at[1] = &rec->tx_on;
	at[2] = &rec->tx_begin;
	at[3] = &rec->tx_left;
	at[4] = &end_b(d.s)->rx_head;
	at[5] = &rec->tx_head;
	atomic_fetch_add(at[word], by[(uint32_t)_i % ARRAY_LEN(by)]);
	for (int i = 0; i < 3; i++) {
		chan_mark(&cli, d.c.id);
		chan_mark(&srv, d.s.id);
		duo_settle();
	}
	duo_close(&d);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("lane_end");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, they_end_alike, 0, (int)ARRAY_LEN(stories));
	tcase_add_test(tc, a_write_crosses_a_close);
	tcase_add_test(tc, ring_and_record_come_back);
	tcase_add_loop_test(tc, a_program_ends_before_the_other, 0, 2);
	tcase_add_loop_test(tc, a_writer_dies_half_way, 0, 3);
	tcase_add_loop_test(tc, nonsense_in_d_harms_nobody_else, 0, 40);
	tcase_add_loop_test(tc, an_absurd_position_at_most_detaches, 0, 30);
	return unit_run("lane_end", tc);
}
