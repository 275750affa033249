/* Locks that outlive their owner. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "stack/chan/lock.h"

enum { THREADS = 4, TIMES = 200000 };
struct shared {
	_Atomic uint32_t lock;
	uint32_t count;
	_Atomic uint32_t done;
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

/* Its parent may be the very one that waits for the lock, and reaps it only afterwards. */
START_TEST(the_lock_of_a_process_that_nobody_has_reaped_is_taken_over)
{
	siginfo_t info;
	int status;

	setup();
	pid_t pid = fork();
	if (pid == 0) {
		chan_tid_reset();
		chan_lock(&sh->lock);
		_exit(0);
	}
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert_uint_eq(sh->lock, (uint32_t)pid);
	ck_assert_int_eq(chan_lock(&sh->lock), 0);
	chan_unlock(&sh->lock);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}
END_TEST

static void *lock_for_ever(void *arg)
{
	chan_lock(&sh->lock);
	pause();
	return NULL;
}

START_TEST(the_lock_of_a_thread_of_a_killed_process_is_taken_over)
{
	siginfo_t info;
	int status;

	setup();
	pid_t pid = fork();
	if (pid == 0) {
		pthread_t t;

		chan_tid_reset();
		pthread_create(&t, NULL, lock_for_ever, NULL);
		for (;;)
			pause();
	}
	while (!atomic_load(&sh->lock))
		sched_yield();
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(chan_lock(&sh->lock), 0);
	chan_unlock(&sh->lock);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}
END_TEST

/* A stopped one lives. */
START_TEST(the_lock_of_a_living_process_stays_its_own)
{
	int status;

	setup();
	pid_t pid = fork();
	if (pid == 0) {
		chan_tid_reset();
		chan_lock(&sh->lock);
		raise(SIGSTOP);
		atomic_store(&sh->done, 1);
		chan_unlock(&sh->lock);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	pid_t waker = fork();
	if (waker == 0) {
		usleep(3 * CHAN_LOCK_SLICE_MS * 1000);
		kill(pid, SIGCONT);
		_exit(0);
	}
	ck_assert_int_eq(chan_lock(&sh->lock), 0);
	ck_assert_uint_eq(sh->done, 1);
	chan_unlock(&sh->lock);
	waitpid(pid, &status, 0);
	waitpid(waker, &status, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("lock");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, threads_exclude_each_other);
	tcase_add_test(tc, the_owner_itself_gets_edeadlk);
	tcase_add_test(tc, a_dead_process_lock_is_taken_over);
	tcase_add_test(tc, the_lock_of_a_process_that_nobody_has_reaped_is_taken_over);
	tcase_add_test(tc, the_lock_of_a_thread_of_a_killed_process_is_taken_over);
	tcase_add_test(tc, the_lock_of_a_living_process_stays_its_own);
	return unit_run("lock", tc);
}
