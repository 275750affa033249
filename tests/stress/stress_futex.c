/* Sleeping on one socket (chan/wait.h): the engine publishes and wakes as sock_event.c does; N threads
 * wait. Nobody may be asleep while there is something to take, nothing may be taken twice or never. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include "stress.h"

static struct {
	struct chan_engine e;
	struct chan_a ca;
	struct chan_sock_a a;
	struct chan_sock_b b;
} *sh;
static struct chan_app app;
static _Atomic uint64_t taken, sleeps, stuck;
static uint64_t total;
static _Atomic uint32_t done;
static uint64_t seed;

/* Takes one unit: rx_head moves towards rx_tail. */
static bool take(void)
{
	uint32_t head = atomic_load(&sh->b.rx_head);

	while (head != atomic_load_explicit(&sh->a.rx_tail, memory_order_acquire)) {
		if (atomic_compare_exchange_weak(&sh->b.rx_head, &head, head + 1)) {
			atomic_fetch_add(&taken, 1);
			return true;
		}
	}
	return false;
}

static void *waiter(void *arg)
{
	struct rng r;

	rng_seed(&r, seed + (uintptr_t)arg);
	for (;;) {
		uint32_t seen = atomic_load_explicit(&sh->a.evseq, memory_order_acquire);

		if (take()) {
			if (rng_below(&r, 8) == 0)
				dawdle(&r);
			continue;
		}
		if (atomic_load(&done))
			return NULL;
		/* Half of the sleeps have a deadline: another system call. */
		uint64_t until = rng_below(&r, 2) ? chan_now_ns() + SLEEP_NS : CHAN_FOREVER;
		atomic_fetch_add(&sleeps, 1);
		if (chan_sock_wait(&app, 0, seen, until, NULL, 0) == -ETIMEDOUT)
			atomic_fetch_add(&stuck, 1);
	}
}

static void publish(uint32_t n)
{
	atomic_store_explicit(&sh->a.rx_tail, sh->a.rx_tail + n, memory_order_release);
	atomic_store_explicit(&sh->a.evseq, sh->a.evseq + 1, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&sh->b.waiters, memory_order_relaxed))
		sys_futex_wake(&sh->a.evseq, INT_MAX);
}

static bool all_taken(void) { return atomic_load(&taken) == total; }

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 2;
	pthread_t t[16];
	struct rng r;

	seed = stress_seed();
	rng_seed(&r, seed);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	app = (struct chan_app){ .e = &sh->e, .a = &sh->ca, .sock_a = &sh->a, .sock_b = &sh->b,
				 .n_workers = 1 };
	sh->e.alive = 1;
	sh->e.worker[0].cpu = UINT32_MAX;
	for (uintptr_t i = 0; i < (uintptr_t)n; i++)
		pthread_create(&t[i], NULL, waiter, (void *)(i + 1));
	for (uint32_t i = 0; i < PUBLISHES; i++) {
		uint32_t k = 1 + rng_below(&r, 3);

		publish(k);
		total += k;
		dawdle(&r);
		if (i % SILENCE_EVERY == SILENCE_EVERY - 1 && !settles(all_taken))
			atomic_fetch_add(&stuck, 1);
	}
	settles(all_taken);
	uint64_t got = atomic_load(&taken);
	atomic_store(&done, 1);
	publish(0);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	printf("futex waiters=%d publishes=%d units=%llu taken=%llu waits=%llu stuck=%llu left=%u\n",
	       n, PUBLISHES, (unsigned long long)total, (unsigned long long)got,
	       (unsigned long long)sleeps, (unsigned long long)stuck, sh->b.waiters);
	return got != total || stuck || sh->b.waiters ? EXIT_FAILURE : EXIT_SUCCESS;
}
