/* Event queues: subscriptions, dedupe, overflow, doorbell decisions. Timing is tests/stress's. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <string.h>
#include <sys/mman.h>
#include "stack/chan/evq.h"
#include "stack/chan/layout_d.h"

enum { SOCKS = 4096, EVQS = 8 };
static struct chan_sock_a sock_a[SOCKS];
static struct chan_sock_b sock_b[SOCKS];
static struct chan_evq_b evq_b[EVQS];
static struct chan_app app;
static struct chan_evq_out out[EVQS];
static uint32_t notified[SOCKS][CHAN_SUBS];
static uint16_t pushed[SOCKS][CHAN_SUBS];

static void setup(void)
{
	memset(sock_a, 0, sizeof(sock_a));
	memset(sock_b, 0, sizeof(sock_b));
	memset(evq_b, 0, sizeof(evq_b));
	for (unsigned q = 0; q < EVQS; q++)
		evq_b[q].in_use = 1;
	memset(out, 0, sizeof(out));
	memset(notified, 0, sizeof(notified));
	memset(pushed, 0, sizeof(pushed));
	app = (struct chan_app){ .sock_a = sock_a, .sock_b = sock_b, .evq_b = evq_b,
				 .n_workers = 1, .evq_stride = chan_evq_stride(1),
				 .evq_a = calloc(EVQS, chan_evq_stride(1)),
				 .rd.base = mmap(NULL, CHAN_D_SIZE, PROT_READ | PROT_WRITE,
						 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) };
}

/* What the engine does for one changed socket (sock_event.c). */
static void event(uint32_t id)
{
	for (unsigned i = 0; i < CHAN_SUBS; i++) {
		uint16_t sub = sock_b[id].sub[i];
		struct chan_evq_a *a = (void *)(uintptr_t)chan_evq_a(&app, sub - 1u);

		if (!sub || (pushed[id][i] == sub && sock_b[id].seen[i] != notified[id][i]))
			continue;
		if (!chan_evq_has_room(&evq_b[sub - 1], 0, &out[sub - 1])) {
			chan_evq_overflow(a);
			continue;
		}
		pushed[id][i] = sub;
		sock_a[id].notified[i] = ++notified[id][i];
		chan_evq_push(a, 0, &out[sub - 1], id);
	}
}

static uint32_t drain(uint32_t evq, uint32_t *ids, uint32_t max, bool *lost)
{
	static uint32_t overflow[EVQS];

	return chan_evq_drain(&app, evq, ids, max, &overflow[evq], lost);
}

START_TEST(one_entry_until_it_is_taken)
{
	uint32_t ids[8];
	bool lost;

	setup();
	chan_subscribe(&app, 5, 2);
	chan_subscribe(&app, 5, 2);
	ck_assert_uint_eq(sock_b[5].sub[0], 3);
	ck_assert_uint_eq(sock_b[5].sub[1], 0);
	for (int round = 0; round < 3; round++) {
		event(5);
		event(5);
		event(5);
		ck_assert(chan_evq_pending(&app, 2, 0));
		ck_assert_uint_eq(drain(2, ids, 8, &lost), 1);
		ck_assert_uint_eq(ids[0], 5);
		ck_assert(!lost);
		ck_assert(!chan_evq_pending(&app, 2, 0));
	}
}
END_TEST

START_TEST(one_socket_in_several_queues)
{
	uint32_t ids[8];
	bool lost;

	setup();
	for (uint32_t q = 0; q < 4; q++)
		chan_subscribe(&app, 9, q);
	event(9);
	for (uint32_t q = 0; q < 4; q++)
		ck_assert_uint_eq(drain(q, ids, 8, &lost), 1);
	ck_assert_uint_eq(sock_b[9].flags & CHAN_B_SUB_ALL, 0);
	chan_subscribe(&app, 9, 4);
	ck_assert_uint_ne(sock_b[9].flags & CHAN_B_SUB_ALL, 0);
	chan_unsubscribe(&app, 9, 1);
	event(9);
	ck_assert_uint_eq(drain(1, ids, 8, &lost), 0);
	ck_assert_uint_eq(drain(2, ids, 8, &lost), 1);
}
END_TEST

/* A process was killed; the engine has closed its queue, but nobody has taken it off the socket. */
START_TEST(the_place_of_a_dead_queue_is_taken_over)
{
	uint32_t ids[8];
	bool lost;

	setup();
	for (uint32_t q = 0; q < 4; q++)
		chan_subscribe(&app, 9, q);
	event(9);
	evq_b[2].in_use = 0;
	chan_subscribe(&app, 9, 5);
	ck_assert_uint_eq(sock_b[9].flags & CHAN_B_SUB_ALL, 0);
	event(9);
	ck_assert_uint_eq(drain(5, ids, 8, &lost), 1);
	ck_assert_uint_eq(ids[0], 9);
	ck_assert_uint_eq(drain(3, ids, 8, &lost), 1);
}
END_TEST

/* A slot changes hands while an entry for its old owner lies untaken. */
START_TEST(a_new_owner_of_a_slot_is_not_silenced)
{
	uint32_t ids[8];
	bool lost;

	setup();
	chan_subscribe(&app, 1, 0);
	event(1);
	chan_unsubscribe(&app, 1, 0);
	chan_subscribe(&app, 1, 3);
	event(1);
	ck_assert_uint_eq(drain(3, ids, 8, &lost), 1);
	/* the increment that crosses the change of hands */
	chan_unsubscribe(&app, 1, 3);
	chan_subscribe(&app, 1, 2);
	sock_a[1].notified[0] = ++notified[1][0]; /* meant for queue 3 */
	event(1);
	ck_assert_uint_eq(drain(2, ids, 8, &lost), 1);
	/* drained while nobody was subscribed, then the same queue again */
	event(1);
	chan_unsubscribe(&app, 1, 2);
	drain(2, ids, 8, &lost);
	chan_subscribe(&app, 1, 2);
	event(1);
	ck_assert_uint_eq(drain(2, ids, 8, &lost), 1);
	/* the number of a queue whose process died with an entry untaken, given out again */
	event(1);
	evq_b[2].head[0] = chan_evq_a(&app, 2)->tail[0];
	chan_subscribe(&app, 1, 2);
	event(1);
	ck_assert_uint_eq(drain(2, ids, 8, &lost), 1);
}
END_TEST

START_TEST(overflow_is_told_and_silences_nobody)
{
	static uint32_t ids[SOCKS];
	uint32_t n = 0, got;
	bool lost, any_lost = false;

	setup();
	for (uint32_t i = 0; i < SOCKS; i++) {
		chan_subscribe(&app, i, 0);
		event(i);
	}
	while ((got = drain(0, ids, 100, &lost)) > 0) {
		n += got;
		any_lost |= lost;
	}
	ck_assert_uint_eq(n, CHAN_EVQ_RING);
	ck_assert(any_lost);
	for (uint32_t i = 0; i < SOCKS; i++) {
		event(i);
		ck_assert_uint_eq(drain(0, ids, 100, &lost), 1);
		ck_assert_uint_eq(ids[0], i);
	}
}
END_TEST

START_TEST(nonsense_positions_overflow_and_do_no_harm)
{
	setup();
	chan_subscribe(&app, 1, 0);
	evq_b[0].head[0] = 0x80000000u;
	event(1);
	ck_assert_uint_eq(chan_evq_a(&app, 0)->overflow, 1);
}
END_TEST

START_TEST(doorbell_rings_once_per_sleep)
{
	setup();
	chan_subscribe(&app, 1, 0);
	ck_assert(!chan_evq_must_ring(&evq_b[0], &out[0]));
	ck_assert(chan_evq_sleep(&app, 0, 0));
	event(1);
	ck_assert(chan_evq_must_ring(&evq_b[0], &out[0]));
	ck_assert(!chan_evq_must_ring(&evq_b[0], &out[0]));
	ck_assert(!chan_evq_sleep(&app, 0, 0)); /* a second sleeper finds work */
	ck_assert(chan_evq_must_ring(&evq_b[0], &out[0]));
	chan_evq_awake(&app, 0);
	chan_evq_awake(&app, 0);
	chan_evq_heard(&app, 0);
	ck_assert(!chan_evq_must_ring(&evq_b[0], &out[0]));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("evq");

	tcase_add_test(tc, one_entry_until_it_is_taken);
	tcase_add_test(tc, one_socket_in_several_queues);
	tcase_add_test(tc, the_place_of_a_dead_queue_is_taken_over);
	tcase_add_test(tc, a_new_owner_of_a_slot_is_not_silenced);
	tcase_add_test(tc, overflow_is_told_and_silences_nobody);
	tcase_add_test(tc, nonsense_positions_overflow_and_do_no_harm);
	tcase_add_test(tc, doorbell_rings_once_per_sleep);
	return unit_run("evq", tc);
}
