/* Which ends of processes the data threads do not know of yet. See ends.h. */
// SPDX-License-Identifier: MIT
#include "stack/host/ends.h"
#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/util.h"
#include "stack/host/host.h"

enum { EVENTS = 64, MAIL_TRIES = 2000, MAIL_PAUSE_NS = 500000 };

static int set = -1;
static _Atomic uint32_t begun;			   /* ends that the control thread has seen */
static _Atomic uint32_t known[CHAN_MAX_WORKERS];   /* of these: data thread w has had the mail */
static _Atomic uint32_t hidden;
static uint32_t n_workers;

int ends_init(const struct host *h)
{
	n_workers = h->n_workers;
	set = epoll_create1(EPOLL_CLOEXEC);
	return set < 0 ? -errno : 0;
}

void ends_fini(void)
{
	if (set >= 0)
		close(set);
	set = -1;
}

void ends_watch(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) < 0 && errno != EEXIST)
		LOG(host, WARN, "can't watch for the end of a process: errno=%d", errno);
}

void ends_unwatch(int fd)
{
	epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
}

/* Before it leaves the set: whoever does not find it there any more finds this. */
void ends_begin(void)
{
	atomic_fetch_add(&begun, 1);
}

static void on_mail(struct sock_env *env, void *p)
{
	atomic_store_explicit(&known[env->worker], (uint32_t)(uintptr_t)p, memory_order_release);
}

void ends_hide(void)
{
	atomic_fetch_add(&hidden, 1);
}

void ends_show(void)
{
	atomic_fetch_sub(&hidden, 1);
}

/* Behind all mail about it. */
void ends_finish(struct host *h)
{
	const struct sock_mail m = { .type = SOCK_MAIL_CALL, .from = UINT32_MAX, .fn = on_mail,
				     .p = (void *)(uintptr_t)atomic_load(&begun) };
	const struct timespec pause = { .tv_nsec = MAIL_PAUSE_NS };

	for (uint32_t w = 0; w < n_workers; w++) {
		for (int i = 0; i < MAIL_TRIES && !worker_mail(h->worker[w], &m); i++)
			nanosleep(&pause, NULL);
	}
}

static bool all_know(uint32_t mark)
{
	for (uint32_t w = 0; w < n_workers; w++)
		if ((int32_t)(atomic_load_explicit(&known[w], memory_order_acquire) - mark) < 0)
			return false;
	return true;
}

/* Each process may show by two descriptors, so the mark can be too high: ends_known() does not wait for it
 * when there is nothing left at all. */
uint32_t ends_unknown(void)
{
	struct epoll_event ev[EVENTS];
	uint32_t now, not_seen = atomic_load(&hidden); /* before the set: what is shown meanwhile is there */
	int n = epoll_wait(set, ev, EVENTS, 0);

	now = atomic_load(&begun);
	if (n <= 0 && !not_seen && all_know(now))
		return 0;
	now += not_seen + (n > 0 ? (uint32_t)n : 0);
	return now ? now : 1;
}

bool ends_known(uint32_t mark)
{
	return all_know(mark) || ends_unknown() == 0;
}
