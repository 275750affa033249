/* The thread that owns engine.alive: see alive.h. It has its own robust list (a list is per thread, and
 * glibc's would also have to know the entry), blocks all signals and sleeps until the process ends. */
// SPDX-License-Identifier: MIT
#include "stack/chan/alive.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include "stack/base/sys.h"

struct alive_start {
	struct chan_engine *e;
	_Atomic uint32_t armed;
};

/* The kernel finds the futex word at entry + futex_offset; word and entry need not be neighbours. One
 * engine page per process, so one static entry. It is read by the kernel at the thread's end. */
static struct {
	struct robust_list_head head;
	struct robust_list entry;
} robust;

static void *alive_main(void *arg)
{
	struct alive_start *s = arg;
	_Atomic uint32_t *word = &s->e->alive;
	struct timespec ages = { .tv_sec = 1 << 20 };

	robust.head.list.next = &robust.entry;
	robust.entry.next = &robust.head.list;
	robust.head.futex_offset = (char *)word - (char *)&robust.entry;
	robust.head.list_op_pending = NULL;
	/* FUTEX_WAITERS stands from the start: applications can't set it, E is read-only for them. */
	atomic_store_explicit(word, (uint32_t)sys_gettid() | FUTEX_WAITERS, memory_order_release);
	sys_call3(SYS_set_robust_list, (long)&robust.head, sizeof(robust.head), 0);
	atomic_store_explicit(&s->armed, 1, memory_order_release);
	sys_futex_wake(&s->armed, 1);
	for (;;)
		sys_clock_nanosleep(CLOCK_MONOTONIC, 0, &ages, NULL);
	return NULL;
}

int engine_alive_arm(struct chan_engine *e)
{
	struct alive_start s = { .e = e };
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t t;

	if (robust.head.list.next)
		return -EBUSY;
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&t, &attr, alive_main, &s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (err)
		return -err;
	while (!atomic_load_explicit(&s.armed, memory_order_acquire))
		sys_futex_wait(&s.armed, 0, NULL);
	return 0;
}
