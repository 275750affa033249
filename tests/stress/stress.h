/* What the stress programs share. */
// SPDX-License-Identifier: MIT
#pragma once
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "stack/base/rng.h"
#include "stack/chan/app.h"
#include "stack/chan/wait.h"

enum { PUBLISHES = 1200000, SOCKS = 512, SILENCE_EVERY = 150000 };
/* When the publisher falls silent everything must be taken within SETTLE_NS without further help (on a
 * busy machine a thread that was woken may well wait a second for a core). No timed sleep of the
 * application is shorter than SLEEP_NS, so none hides a wake-up that was lost. */
#define SETTLE_NS 6000000000ull
#define SLEEP_NS 20000000000ull

static inline void pause_ns(uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };

	nanosleep(&ts, NULL);
}
/* Waits until all() says so; false: it did not within SETTLE_NS. */
static inline bool settles(bool (*all)(void))
{
	uint64_t end = chan_now_ns() + SETTLE_NS;

	while (!all()) {
		if (chan_now_ns() > end)
			return false;
		pause_ns(1000000);
	}
	return true;
}
static inline uint64_t stress_seed(void)
{
	const char *s = getenv("FASTNET_TEST_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : chan_now_ns();

	printf("FASTNET_TEST_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}
/* Now and then something takes longer. */
static inline void dawdle(struct rng *r)
{
	uint32_t k = rng_below(r, 1000);

	if (k < 600) {
		for (volatile uint32_t i = rng_below(r, 600); i > 0; i--)
			;
	} else if (k < 603) {
		pause_ns(rng_below(r, 100000));
	}
}
