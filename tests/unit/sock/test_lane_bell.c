/* Lanes, and the kick of a queue whose program sleeps: asked for after some times that the engine was, and
 * for that queue alone. */
// SPDX-License-Identifier: MIT
#include "duo.h"
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../unit.h"
#include "stack/base/util.h"
#include "stack/chan/hello.h"

enum { MISSES = 4 }; /* times that the engine rings before it is asked for the kick */

static struct duo d;
static uint32_t evq;
static int doorbell;
/* The control thread: what it answers. */
static pthread_t control;
static int ctl[2];
static _Atomic int asked, refusal;
/* Descriptors that the program must not see: how many there are. */
static int hidden;

static int hide(int fd, _Atomic int *where)
{
	atomic_store(where, fd);
	hidden++;
	return 0;
}

static void unhide(_Atomic int *where)
{
	int fd = atomic_exchange(where, -1);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	hidden--;
}

static void *answer(void *arg)
{
	struct chan_msg m;

	while (chan_msg_recv(ctl[1], &m, NULL, NULL, NULL) == 1) {
		struct chan_msg r = { .type = m.type, .number = m.number };
		int fd = atomic_load(&refusal) ? -atomic_load(&refusal) : client_evq_kick(csrv, m.size);

		r.err = fd < 0 ? -fd : 0;
		atomic_fetch_add(&asked, 1);
		chan_msg_send(ctl[1], &r, &fd, fd >= 0);
	}
	return arg;
}

/* A queue of the server's program; `opened` is odd while one is. Returns its kick, our copy. */
static int open_queue(uint32_t opened)
{
	int kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), copy = dup(kick);
	int n = client_evq_open(csrv, 0, kick, &doorbell);

	ck_assert_int_ge(n, 0);
	evq = (uint32_t)n;
	srv.evq_b[evq].in_use = 1;
	chan_inbox(&srv, evq)->opened = opened;
	chan_subscribe(&srv, d.s.id, evq);
	duo_settle();
	return copy;
}

static void drain(void)
{
	uint32_t ids[256], overflow = 0;
	bool lost;

	while (chan_evq_drain(&srv, evq, ids, ARRAY_LEN(ids), &overflow, &lost) > 0)
		;
}

static void setup(void)
{
	d = duo_open(1);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ctl), 0);
	atomic_store(&asked, 0);
	atomic_store(&refusal, 0);
	hidden = 0;
	cli.fd = ctl[0];
	cli.hide = hide;
	cli.unhide = unhide;
	ck_assert_int_eq(pthread_create(&control, NULL, answer, NULL), 0);
	duo_pass(&d, TO_S, 1);
}

static void teardown(void)
{
	for (unsigned i = 0; i < CHAN_BELLS; i++) {
		if (cli.bell[i].key && atomic_load(&cli.bell[i].fd) >= 0)
			unhide(&cli.bell[i].fd);
	}
	ck_assert_int_eq(hidden, 0);
	cli.hide = NULL;
	shutdown(ctl[0], SHUT_RDWR);
	pthread_join(control, NULL);
	close(ctl[0]);
	close(ctl[1]);
	close(doorbell);
	duo_close(&d);
}

/* The server's program sleeps on its queue and the client's writes. True: by the kick, the engine heard of
 * nothing; false: the engine was asked, and rings the doorbell. */
static bool kicked(int kick)
{
	uint64_t n = 0;
	bool rang;

	drain();
	ck_assert(chan_evq_sleep(&srv, evq, 0));
	duo_put(&d, TO_S, 10);
	ck_assert(duo_direct(&d, TO_S));
	rang = read(kick, &n, sizeof(n)) == (ssize_t)sizeof(n);
	ck_assert(rang == !duo_marked(&cli));
	duo_settle();
	if (!rang)
		ck_assert_int_eq(rig_read_byte(doorbell), 1);
	chan_evq_awake(&srv, evq);
	chan_evq_heard(&srv, evq);
	ck_assert(chan_evq_pending(&srv, evq, 0));
	duo_take(&d, TO_S, 10);
	return rang;
}

static void engine_rings(int kick, int times)
{
	for (int i = 0; i < times; i++)
		ck_assert(!kicked(kick));
}

START_TEST(it_is_asked_for_after_some_times)
{
	int kick = open_queue(1);

	for (int i = 0; i < MISSES; i++) {
		ck_assert_int_eq(atomic_load(&asked), 0);
		ck_assert(!kicked(kick));
	}
	for (int i = 0; i < 20; i++)
		ck_assert(kicked(kick));
	ck_assert_int_eq(atomic_load(&asked), 1);
	ck_assert_int_eq(hidden, 1);
	close(kick);
}
END_TEST

START_TEST(who_is_awake_is_not_kicked)
{
	int kick = open_queue(1);
	uint64_t n;

	for (int i = 0; i <= MISSES; i++)
		kicked(kick);
	drain();
	for (int i = 0; i < 20; i++)
		duo_put(&d, TO_S, 10);
	ck_assert(duo_direct(&d, TO_S) && !duo_marked(&cli));
	ck_assert_int_eq(read(kick, &n, sizeof(n)), -1);
	close(kick);
}
END_TEST

START_TEST(a_queue_without_one_is_not_asked_about_again)
{
	int kick = open_queue(1);

	atomic_store(&refusal, ENOENT);
	engine_rings(kick, 10 * MISSES);
	ck_assert_int_eq(atomic_load(&asked), 1);
	close(kick);
}
END_TEST

START_TEST(after_another_error_it_is_asked_for_again)
{
	int kick = open_queue(1);

	atomic_store(&refusal, EMFILE);
	engine_rings(kick, 3 * MISSES);
	ck_assert_int_eq(atomic_load(&asked), 3);
	atomic_store(&refusal, 0);
	engine_rings(kick, MISSES);
	ck_assert(kicked(kick));
	close(kick);
}
END_TEST

/* The number is another queue's now, of which the kick that we have knows nothing. */
START_TEST(the_next_queue_of_that_number_has_its_own)
{
	int old = open_queue(1), kick;
	uint32_t number = evq;
	uint64_t n;

	for (int i = 0; i <= MISSES; i++)
		kicked(old);
	chan_unsubscribe(&srv, d.s.id, evq);
	chan_inbox(&srv, evq)->opened = 2;
	client_evq_close(csrv, 0, evq);
	close(doorbell);
	kick = open_queue(3);
	ck_assert_uint_eq(evq, number);
	engine_rings(kick, MISSES);
	ck_assert(kicked(kick));
	ck_assert_int_eq(read(old, &n, sizeof(n)), -1);
	ck_assert_int_eq(atomic_load(&asked), 2);
	ck_assert_int_eq(hidden, 1);
	close(old);
	close(kick);
}
END_TEST

/* A program that was not told how to hide descriptors. */
START_TEST(without_a_place_for_it_the_engine_rings)
{
	int kick = open_queue(1);

	cli.hide = NULL;
	engine_rings(kick, 3 * MISSES);
	ck_assert_int_eq(atomic_load(&asked), 0);
	close(kick);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("lane_bell");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, it_is_asked_for_after_some_times);
	tcase_add_test(tc, who_is_awake_is_not_kicked);
	tcase_add_test(tc, a_queue_without_one_is_not_asked_about_again);
	tcase_add_test(tc, after_another_error_it_is_asked_for_again);
	tcase_add_test(tc, the_next_queue_of_that_number_has_its_own);
	tcase_add_test(tc, without_a_place_for_it_the_engine_rings);
	return unit_run("lane_bell", tc);
}
