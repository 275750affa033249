/* The engine's end is seen by every sleeper, whatever ends it. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "stack/chan/alive.h"
#include "stack/chan/region.h"
#include "stack/chan/wait.h"

enum { SLEEPERS = 6 };
static struct chan_app app;
static _Atomic uint32_t word, awake, asleep;

static void *sleeper(void *arg)
{
	atomic_fetch_add(&asleep, 1);
	int err;
	do {
		err = chan_word_wait(&app, &word, 0, arg ? chan_now_ns() + 5000000000ull : CHAN_FOREVER);
	} while (err == 0 || err == -EINTR);
	if (err == -EPIPE)
		atomic_fetch_add(&awake, 1);
	return NULL;
}

static void pause_ms(long ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000 };

	nanosleep(&ts, NULL);
}

/* _i: 0 killed, 1 exits by itself. */
START_TEST(every_sleeper_wakes_when_the_engine_ends)
{
	struct region r, m;
	struct chan_a a = { 0 };
	pthread_t t[SLEEPERS];
	int ready[2], go[2], status;
	char x;

	ck_assert_int_eq(region_create(&r, "engine", 1 << 16, REGION_DOWN), 0);
	ck_assert_int_eq(pipe(ready) | pipe(go), 0);
	pid_t pid = fork();
	if (pid == 0) {
		int err = engine_alive_arm(r.base);

		x = (char)err;
		(void)!write(ready[1], &x, 1);
		(void)!read(go[0], &x, 1);
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &x, 1), 1);
	ck_assert_int_eq(x, 0);
	ck_assert_int_eq(region_map(&m, r.fd, REGION_DOWN), 0); /* read-only, as an application's */
	app.e = m.base;
	app.a = &a;
	ck_assert(chan_alive(&app));
	ck_assert(atomic_load(&app.e->alive) & FUTEX_WAITERS);
	for (uintptr_t i = 0; i < SLEEPERS; i++)
		pthread_create(&t[i], NULL, sleeper, (void *)(uintptr_t)(i == SLEEPERS - 1));
	while (atomic_load(&asleep) < SLEEPERS)
		pause_ms(1);
	pause_ms(50);
	ck_assert_uint_eq(awake, 0);
	if (_i == 0)
		kill(pid, SIGKILL);
	else
		(void)!write(go[1], "x", 1);
	for (int i = 0; i < 3000 && atomic_load(&awake) < SLEEPERS; i++)
		pause_ms(1);
	ck_assert_uint_eq(awake, SLEEPERS);
	ck_assert(!chan_alive(&app));
	for (int i = 0; i < SLEEPERS; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("alive");

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, every_sleeper_wakes_when_the_engine_ends, 0, 2);
	return unit_run("alive", tc);
}
