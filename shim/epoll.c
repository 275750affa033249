/* Epoll sets: their life, how their sleepers are woken, and what a fork does to them. Event queues are
 * epoll_queue.c's, items epoll_ctl.c's, waiting is epoll_wait.c's. */
// SPDX-License-Identifier: MIT
#include "shim/epoll.h"
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shim/engine.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/signal.h"
#include "shim/sock.h"
#include "shim/wait.h"
#include "stack/chan/lock.h"

_Atomic uint32_t epoll_lock;
_Atomic uint32_t epoll_forks;

static void set_release(struct object *o);
const struct object_ops epoll_set_ops = { .type = OBJECT_EPOLL, .release = set_release };
static struct object_pool set_pool = { .ops = &epoll_set_ops, .size = sizeof(struct epoll_set) };

static inline struct epoll_set *set_of(struct object *o)
{
	return container_of(o, struct epoll_set, obj);
}

struct epoll_set *epoll_set_get(int epfd)
{
	struct object *o = fdtab_get_type(epfd, OBJECT_EPOLL);

	return o ? set_of(o) : NULL;
}

int epoll_set_made(int fd)
{
	struct object *o;
	struct epoll_set *set;

	if (fd < 0)
		return fd;
	fdtab_fresh(fd);
	o = object_new(&set_pool);
	if (!o)
		return fd; /* it gets one when it must */
	set = set_of(o);
	for (unsigned i = 0; i < EPOLL_QUEUES; i++)
		atomic_store(&set->queue[i].doorbell, -1);
	atomic_store(&set->kick, -1);
	atomic_store(&set->hint_fd, fd);
	object_publish(o);
	fdtab_set(fd, o);
	object_put(o);
	return fd;
}

int epoll_set_fd(struct epoll_set *set)
{
	int fd = atomic_load_explicit(&set->hint_fd, memory_order_relaxed);

	if (fd >= 0 && atomic_load(&fdtab[fd]) == &set->obj)
		return fd;
	for (fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1))
		if (atomic_load(&fdtab[fd]) == &set->obj)
			break;
	atomic_store_explicit(&set->hint_fd, fd, memory_order_relaxed);
	return fd;
}

/* ---- life ---- */
/* The eventfd by which one thread of the program wakes another that sleeps in the same set. */
static int open_kick(struct epoll_set *set, int epfd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET,
				  .data.u64 = set->cookie + EPOLL_COOKIE_KICK };
	int fd = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	fd = fdtab_hide(fd, &set->kick);
	if (fd < 0)
		return fd;
	return libc.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void new_cookie(struct epoll_set *set)
{
	/* Unguessable is not needed, only different from what the program stores: pointers, small
	 * numbers. */
	if (getrandom(&set->cookie, sizeof(set->cookie), GRND_NONBLOCK) != sizeof(set->cookie))
		set->cookie = wait_now_ns() * 0x9e3779b97f4a7c15u ^ (uintptr_t)set << 20;
	set->cookie &= ~0xffffffffull; /* room for item numbers below */
}

int epoll_set_enliven(struct epoll_set *set)
{
	int epfd = epoll_set_fd(set), r;

	if (atomic_load(&set->live))
		return 0;
	if (epfd < 0)
		return -EBADF;
	set->by_fd = mmap(NULL, FDTAB_SIZE * sizeof(void *), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (set->by_fd == MAP_FAILED) {
		set->by_fd = NULL;
		return -ENOMEM;
	}
	new_cookie(set);
	r = open_kick(set, epfd);
	if (r < 0)
		goto fail;
	atomic_store_explicit(&set->live, 1, memory_order_release);
	/* Who waits by the kernel alone is a sleeper like any other from now on. */
	atomic_fetch_add(&set->sleeping, atomic_fetch_or(&set->plain, EPOLL_PLAIN_OVER));
	return 0;
fail:
	fdtab_hidden_close(&set->kick);
	munmap(set->by_fd, FDTAB_SIZE * sizeof(void *));
	set->by_fd = NULL;
	return r;
}

/* Every item of the set, by the sparse table: only at its end and after a fork. */
static void each_item(struct epoll_set *set, void (*f)(struct epoll_item *it))
{
	for (uint32_t i = 0;; i++) {
		struct epoll_item *it = epoll_item_nth(i);

		if (!it)
			break;
		if (it->set == set)
			f(it);
	}
}

static void set_release(struct object *o)
{
	struct epoll_set *set = set_of(o);
	bool locked;

	if (!atomic_load(&set->live)) {
		object_free(&set_pool, o);
		return;
	}
	locked = epoll_lock_take(&epoll_lock) == 0;
	while (set->outer_items) {
		struct epoll_item *it = set->outer_items;
		struct epoll_set *outer = it->set;
		bool got = epoll_lock_take(&outer->lock) == 0;

		epoll_item_remove(it);
		if (got)
			epoll_lock_give(&outer->lock);
	}
	/* Now nobody else has the set: its own lock is taken because removing items expects it. */
	atomic_store(&set->lock, chan_tid());
	each_item(set, epoll_item_remove);
	epoll_queues_close(set);
	fdtab_hidden_close(&set->kick);
	munmap(set->by_fd, FDTAB_SIZE * sizeof(void *));
	atomic_store(&set->lock, 0);
	if (locked)
		epoll_lock_give(&epoll_lock);
	object_free(&set_pool, o);
}

/* ---- ready list and waking ---- */
void epoll_item_queue(struct epoll_item *it)
{
	struct epoll_set *set = it->set;

	if (it->flags & ITEM_READY)
		return;
	it->flags |= ITEM_READY;
	it->next = NULL;
	it->prev = set->tail;
	if (set->tail)
		set->tail->next = it;
	else
		set->head = it;
	set->tail = it;
	set->n_ready++;
	set->edges++;
}

void epoll_item_unqueue(struct epoll_item *it)
{
	struct epoll_set *set = it->set;

	if (!(it->flags & ITEM_READY))
		return;
	it->flags &= ~(uint32_t)ITEM_READY;
	if (it->prev)
		it->prev->next = it->next;
	else
		set->head = it->next;
	if (it->next)
		it->next->prev = it->prev;
	else
		set->tail = it->prev;
	set->n_ready--;
}

void epoll_set_wake(struct epoll_set *set)
{
	static const uint64_t one = 1;
	int saved = errno;

	if (!set->head || !atomic_load(&set->sleeping))
		return;
	if (libc.syscall(SYS_write, atomic_load(&set->kick), &one, sizeof(one)) < 0)
		errno = saved;
}

void epoll_set_hush(struct epoll_set *set)
{
	int saved = errno, kick = atomic_load(&set->kick);
	uint64_t junk;

	EPOLL_EACH_QUEUE(q, set)
		epoll_queue_heard(q);
	if (kick >= 0)
		libc.syscall(SYS_read, kick, &junk, sizeof(junk));
	errno = saved;
}

/* ---- fork ---- */
static _Atomic uint32_t fork_locked; /* epoll_lock was free for us */

void epoll_fork_prepare(void)
{
	atomic_store(&fork_locked, 0);
	if (chan_lock(&epoll_lock) < 0)
		return; /* a signal handler forks inside our own code: the child only execs */
	atomic_store(&fork_locked, 1);
	signal_hold();
	for (uint32_t i = 0;; i++) {
		struct object *o = object_nth(&set_pool, i);

		if (!o)
			break;
		/* Free ones, too: their lock is free, and the list can't change under epoll_lock. */
		chan_lock(&set_of(o)->lock);
	}
}

static void unlock_all(void)
{
	for (uint32_t i = 0;; i++) {
		struct object *o = object_nth(&set_pool, i);

		if (!o)
			break;
		if ((atomic_load(&set_of(o)->lock) & ~(uint32_t)CHAN_LOCK_WAITERS) == chan_tid())
			chan_unlock(&set_of(o)->lock);
	}
	chan_unlock(&epoll_lock);
}

void epoll_fork_parent(void)
{
	if (!atomic_load(&fork_locked))
		return;
	unlock_all();
	signal_release();
}

void epoll_fork_child(void)
{
	for (uint32_t i = 0;; i++) {
		struct object *o = object_nth(&set_pool, i);
		struct epoll_set *set = o ? set_of(o) : NULL;

		if (!set)
			break;
		atomic_store(&set->lock, 0);
		atomic_store(&set->sleeping, 0);
		atomic_fetch_and(&set->plain, EPOLL_PLAIN_OVER);
		if (atomic_load(&set->live))
			atomic_store(&set->stale, 1);
	}
	atomic_fetch_add(&epoll_forks, 1);
	atomic_store(&epoll_lock, 0);
	signal_forget_kept();
	if (atomic_load(&fork_locked))
		signal_release();
}

/* One line of /proc/self/fdinfo of the inherited set: "tfd: 5 events: 19 data: 5 ...". Registers it in
 * the new set unless it is one of ours. */
static void copy_registration(struct epoll_set *set, int from, const char *line, uint64_t old_cookie)
{
	struct epoll_event ev;
	unsigned long long data;
	unsigned int events;
	int tfd;

	if (sscanf(line, "tfd: %d events: %x data: %llx", &tfd, &events, &data) != 3)
		return;
	if ((data & ~0xffffffffull) == old_cookie)
		return;
	ev.events = events;
	ev.data.u64 = data;
	if (libc.epoll_ctl(from, EPOLL_CTL_ADD, tfd, &ev) == 0)
		set->kernel_fds++;
}

static void copy_registrations(struct epoll_set *set, int epfd, int fresh)
{
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epfd);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		copy_registration(set, fresh, line, set->cookie);
	fclose(f);
}

static void readopt_item(struct epoll_item *it)
{
	it->flags &= ~(uint32_t)(ITEM_COOKIE | ITEM_UNHEARD);
	it->queue = NULL;
	if (it->inner || epoll_watches_twin(it->sock))
		epoll_item_cookie(it);
	if (it->sock && sock_is_attached(it->sock))
		epoll_item_subscribe(it);
	epoll_item_queue(it);
}

/* The kernel's set is shared with the parent, and so are its edges: what one process takes the other
 * never sees. So the child gets a copy of it at the same numbers. What this changes: registrations
 * made after the fork are not shared. */
int epoll_adopt(struct epoll_set *set)
{
	int epfd = epoll_set_fd(set);
	int fresh = libc.epoll_create1(EPOLL_CLOEXEC);
	int r;

	if (fresh < 0)
		return -errno;
	atomic_store(&set->stale, 0);
	set->kernel_fds = 0;
	copy_registrations(set, epfd, fresh);
	for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1)) {
		if (atomic_load(&fdtab[fd]) == &set->obj)
			libc.dup3(fresh, fd,
				  libc.fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0);
	}
	libc.close(fresh);
	epoll_queues_leave(set);
	fdtab_hidden_close(&set->kick);
	set->unheard = 0;
	new_cookie(set);
	r = open_kick(set, epfd);
	each_item(set, readopt_item);
	return r;
}
