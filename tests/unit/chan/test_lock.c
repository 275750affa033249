/* Locks that outlive their owner. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "stack/chan/lock.h"

enum { THREADS = 4, TIMES = 200000 };
struct shared {
	_Atomic uint32_t lock;
	uint32_t count;
};
static struct shared *sh;

static void setup(void)
{
	sh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(sh, MAP_FAILED);
}

static void *counter(void *arg)
{
	for (int i = 0; i < TIMES; i++) {
		ck_assert_int_eq(chan_lock(&sh->lock), 0);
		sh->count++;
		chan_unlock(&sh->lock);
	}
	return NULL;
}

START_TEST(threads_exclude_each_other)
{
	pthread_t t[THREADS];

	setup();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, counter, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(sh->count, THREADS * TIMES);
	ck_assert_uint_eq(sh->lock, 0);
}
END_TEST

START_TEST(the_owner_itself_gets_edeadlk)
{
	setup();
	ck_assert_int_eq(chan_lock(&sh->lock), 0);
	ck_assert_int_eq(chan_lock(&sh->lock), -EDEADLK);
	ck_assert_int_eq(chan_trylock(&sh->lock), -EBUSY);
	chan_unlock(&sh->lock);
	ck_assert_int_eq(chan_trylock(&sh->lock), 0);
}
END_TEST

START_TEST(a_dead_process_lock_is_taken_over)
{
	int status;

	setup();
	pid_t pid = fork();
	if (pid == 0) {
		chan_tid_reset();
		chan_lock(&sh->lock);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_uint_eq(sh->lock, (uint32_t)pid);
	ck_assert_int_eq(chan_lock(&sh->lock), 0);
	chan_unlock(&sh->lock);
	ck_assert_uint_eq(sh->lock, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("lock");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, threads_exclude_each_other);
	tcase_add_test(tc, the_owner_itself_gets_edeadlk);
	tcase_add_test(tc, a_dead_process_lock_is_taken_over);
	return unit_run("lock", tc);
}
