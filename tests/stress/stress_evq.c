/* Event queues and doorbells (chan/evq.h): an engine thread publishes changes of many sockets, N threads
 * sleep in epoll on the queue's pipe, drain, and read the sockets' state. No change may stay unseen, no
 * sleeper asleep while there is something to take. One of the threads sleeps in an outer epoll set that
 * holds the inner one. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "stack/chan/evq.h"
#include "stack/chan/layout_d.h"
#include "stress.h"

enum { DOORBELL = 1, KICK = 2, MAX_THREADS = 8 };
struct counters {
	_Atomic uint64_t produced, consumed;
};
static struct chan_engine eng;
static struct chan_a ca;
static struct chan_sock_a sock_a[SOCKS];
static struct chan_sock_b sock_b[SOCKS];
static struct chan_evq_b evq_b;
static struct counters count[SOCKS];
static struct chan_app app;
static struct chan_evq_out out;
static uint32_t notified[SOCKS];
static int pipe_fd[2], kick_fd, epfd, outer;
static _Atomic uint64_t delivered, bells, sleeps, stuck;
static _Atomic uint32_t done;
static uint64_t seed;

/* ---- engine: what sock_event.c does ---- */
static void publish_burst(struct rng *r)
{
	uint32_t ids[4], n = 1 + rng_below(r, 4);
	bool pushed = false;

	for (uint32_t i = 0; i < n; i++) {
		ids[i] = rng_below(r, SOCKS);
		atomic_fetch_add_explicit(&count[ids[i]].produced, 1, memory_order_release);
	}
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < n; i++) {
		struct chan_sock_a *a = &sock_a[ids[i]];
		uint32_t *told = &notified[ids[i]];

		if (atomic_load_explicit(&sock_b[ids[i]].seen[0], memory_order_relaxed) != *told)
			continue;
		pushed = true;
		if (!chan_evq_has_room(&evq_b, 0, &out)) {
			chan_evq_overflow((void *)(uintptr_t)app.evq_a);
			continue;
		}
		atomic_store_explicit(&a->notified[0], ++*told, memory_order_release);
		chan_evq_push((void *)(uintptr_t)app.evq_a, 0, &out, ids[i]);
	}
	if (!pushed)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	if (chan_evq_must_ring(&evq_b, &out)) {
		atomic_fetch_add(&bells, 1);
		(void)!write(pipe_fd[1], "", 1);
	}
}

/* ---- application ---- */
static bool look(uint32_t id)
{
	uint64_t p = atomic_load_explicit(&count[id].produced, memory_order_acquire);
	uint64_t c = atomic_load(&count[id].consumed);

	/* Another thread may have seen more already. */
	while (c < p) {
		if (atomic_compare_exchange_weak(&count[id].consumed, &c, p)) {
			atomic_fetch_add(&delivered, 1);
			return true;
		}
	}
	return false;
}

static uint32_t drain(struct rng *r, uint32_t *overflow)
{
	uint32_t ids[16], n;
	bool lost;

	n = chan_evq_drain(&app, 0, ids, 1 + rng_below(r, 16), overflow, &lost);
	for (uint32_t i = 0; i < n; i++)
		look(ids[i]);
	for (uint32_t i = 0; lost && i < SOCKS; i++)
		look(i);
	/* More is there than one thread takes: help another one up. */
	if (n && chan_evq_pending(&app, 0, *overflow)) {
		uint64_t one = 1;

		atomic_thread_fence(memory_order_seq_cst);
		if (atomic_load(&evq_b.sleepers))
			(void)!write(kick_fd, &one, sizeof(one));
	}
	return n + lost;
}

static void heard(const struct epoll_event *ev, int n)
{
	char buf[256];
	uint64_t v;

	for (int i = 0; i < n; i++) {
		if (ev[i].data.u32 == DOORBELL) {
			while (read(pipe_fd[0], buf, sizeof(buf)) == sizeof(buf))
				;
			chan_evq_heard(&app, 0);
		} else if (ev[i].data.u32 == KICK) {
			(void)!read(kick_fd, &v, sizeof(v));
		}
	}
}

static void *consumer(void *arg)
{
	bool nested = (uintptr_t)arg == 2;
	struct epoll_event ev[4];
	uint32_t overflow = 0;
	struct rng r;

	rng_seed(&r, seed + (uintptr_t)arg);
	while (!atomic_load(&done)) {
		if (rng_below(&r, 16) == 0)
			heard(ev, epoll_wait(epfd, ev, 4, 0));
		if (drain(&r, &overflow)) {
			dawdle(&r);
			continue;
		}
		if (!chan_evq_sleep(&app, 0, overflow)) {
			chan_evq_awake(&app, 0);
			continue;
		}
		atomic_fetch_add(&sleeps, 1);
		int n = epoll_wait(nested ? outer : epfd, ev, 4, SLEEP_NS / 1000000);
		chan_evq_awake(&app, 0);
		if (n == 0)
			atomic_fetch_add(&stuck, 1);
		if (n > 0)
			heard(ev, nested ? epoll_wait(epfd, ev, 4, 0) : n);
	}
	return NULL;
}

static void watch(int ep, int fd, uint32_t events, uint32_t what)
{
	struct epoll_event ev = { .events = events, .data.u32 = what };

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		abort();
}

static void setup(void)
{
	app = (struct chan_app){ .e = &eng, .a = &ca, .sock_a = sock_a, .sock_b = sock_b,
				 .evq_b = &evq_b, .n_workers = 1,
				 .evq_a = calloc(1, chan_evq_stride(1)),
				 .evq_stride = chan_evq_stride(1),
				 .rd.base = mmap(NULL, CHAN_D_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) };
	kick_fd = eventfd(0, EFD_NONBLOCK);
	epfd = epoll_create1(0);
	outer = epoll_create1(0);
	if (pipe2(pipe_fd, O_NONBLOCK) < 0)
		abort();
	watch(epfd, pipe_fd[0], EPOLLIN | EPOLLET, DOORBELL);
	watch(epfd, kick_fd, EPOLLIN | EPOLLET, KICK);
	watch(outer, epfd, EPOLLIN, 0);
	for (uint32_t i = 0; i < SOCKS; i++)
		chan_subscribe(&app, i, 0);
}

static uint32_t unseen(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SOCKS; i++)
		n += atomic_load(&count[i].produced) != atomic_load(&count[i].consumed);
	return n;
}

static bool all_seen(void) { return unseen() == 0; }

/* Kicks the sleepers until this thread has seen that it is over. */
static void join(pthread_t t)
{
	uint64_t one = 1;

	while (pthread_tryjoin_np(t, NULL) == EBUSY) {
		(void)!write(kick_fd, &one, sizeof(one));
		pause_ns(1000000);
	}
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 2;
	pthread_t t[MAX_THREADS];
	uint32_t left = 0;
	struct rng r;

	seed = stress_seed();
	rng_seed(&r, seed);
	setup();
	for (uintptr_t i = 0; i < (uintptr_t)n; i++)
		pthread_create(&t[i], NULL, consumer, (void *)(i + 1));
	for (uint32_t i = 0; i < PUBLISHES; i++) {
		publish_burst(&r);
		dawdle(&r);
		if (i % SILENCE_EVERY == SILENCE_EVERY - 1 && !settles(all_seen))
			left += unseen();
	}
	settles(all_seen);
	left += unseen();
	atomic_store(&done, 1);
	for (int i = 0; i < n; i++)
		join(t[i]);
	printf("evq waiters=%d publishes=%d delivered=%llu doorbells=%llu sleeps=%llu stuck=%llu unseen=%u "
	       "sleepers=%u\n", n, PUBLISHES, (unsigned long long)delivered,
	       (unsigned long long)bells, (unsigned long long)sleeps, (unsigned long long)stuck, left,
	       evq_b.sleepers);
	return stuck || left || evq_b.sleepers ? EXIT_FAILURE : EXIT_SUCCESS;
}
