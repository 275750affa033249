/* Dirty marks: every mark is taken once, what does not fit stays, concurrent marks are never lost. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <pthread.h>
#include <string.h>
#include "stack/base/rng.h"
#include "stack/chan/dirty.h"

static struct chan_dirty d;

START_TEST(marks_are_taken_in_order_and_once)
{
	uint32_t ids[256];
	uint32_t want[] = { 0, 1, 63, 64, 4095, 4096, 70000, CHAN_MAX_SOCKS - 1 };

	memset(&d, 0, sizeof(d));
	ck_assert(!chan_dirty_any(&d));
	for (unsigned i = 0; i < 8; i++) {
		chan_dirty_set(&d, want[7 - i]);
		chan_dirty_set(&d, want[7 - i]);
	}
	ck_assert(chan_dirty_any(&d));
	ck_assert_uint_eq(chan_dirty_take(&d, ids, 256), 8);
	ck_assert_mem_eq(ids, want, sizeof(want));
	ck_assert_uint_eq(chan_dirty_take(&d, ids, 256), 0);
	ck_assert(!chan_dirty_any(&d));
}
END_TEST

START_TEST(what_does_not_fit_stays_marked)
{
	static uint8_t seen[CHAN_MAX_SOCKS];
	uint32_t ids[100], n, total = 0;

	memset(&d, 0, sizeof(d));
	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < CHAN_MAX_SOCKS; i += 3)
		chan_dirty_set(&d, i);
	while ((n = chan_dirty_take(&d, ids, 100)) > 0) {
		total += n;
		for (uint32_t i = 0; i < n; i++)
			ck_assert_uint_eq(seen[ids[i]]++, 0);
	}
	ck_assert_uint_eq(total, (CHAN_MAX_SOCKS + 2) / 3);
}
END_TEST

START_TEST(calls_have_their_own_bits)
{
	memset(&d, 0, sizeof(d));
	chan_dirty_call(&d, 0);
	chan_dirty_call(&d, CHAN_MAX_CALLS - 1);
	ck_assert(chan_dirty_any(&d));
	ck_assert_uint_eq(chan_dirty_take_calls(&d, 0), 1);
	ck_assert_uint_eq(chan_dirty_take_calls(&d, 3), 1ull << 63);
	ck_assert(!chan_dirty_any(&d));
}
END_TEST

/* Each marker counts in its own cell, then marks; the taker must end up having seen each final count. */
enum { MARKERS = 3, CELLS = 64, MARKS = 300000 };
static _Atomic uint32_t cell[MARKERS * CELLS];
static _Atomic int running;

static uint32_t id_of(uint32_t i) { return i * 2731 % CHAN_MAX_SOCKS; } /* over all levels */

static void *marker(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;
	struct rng r;

	rng_seed(&r, me);
	for (int i = 0; i < MARKS; i++) {
		uint32_t c = me * CELLS + rng_below(&r, CELLS);

		atomic_fetch_add_explicit(&cell[c], 1, memory_order_relaxed);
		chan_dirty_set(&d, id_of(c));
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

START_TEST(concurrent_marks_are_not_lost)
{
	static uint32_t saw[MARKERS * CELLS], back[CHAN_MAX_SOCKS];
	pthread_t t[MARKERS];
	uint32_t ids[128], n;

	memset(&d, 0, sizeof(d));
	for (uint32_t i = 0; i < MARKERS * CELLS; i++)
		back[id_of(i)] = i;
	running = MARKERS;
	for (uintptr_t i = 0; i < MARKERS; i++)
		pthread_create(&t[i], NULL, marker, (void *)i);
	do {
		int more = atomic_load(&running);

		n = chan_dirty_take(&d, ids, 128);
		for (uint32_t i = 0; i < n; i++)
			saw[back[ids[i]]] = atomic_load(&cell[back[ids[i]]]);
		if (!more && !n)
			break;
	} while (1);
	for (int i = 0; i < MARKERS; i++)
		pthread_join(t[i], NULL);
	for (uint32_t i = 0; i < MARKERS * CELLS; i++)
		ck_assert_uint_eq(saw[i], cell[i]);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("dirty");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, marks_are_taken_in_order_and_once);
	tcase_add_test(tc, what_does_not_fit_stays_marked);
	tcase_add_test(tc, calls_have_their_own_bits);
	tcase_add_test(tc, concurrent_marks_are_not_lost);
	return unit_run("dirty", tc);
}
