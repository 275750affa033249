/* poll() and select() with descriptors of ours among them: looks at ours by shared memory, asks the kernel
 * for its own, and sleeps in the kernel's ppoll or pselect with a doorbell added. */
// SPDX-License-Identifier: MIT
#include "shim/poll.h"
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shim/fault.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/poll_ours.h"
#include "shim/signal.h"
#include "shim/sock.h"
#include "shim/wait.h"
#include "stack/chan/user.h"

/* Up to so many bytes of working memory are taken from the stack. */
enum { ON_STACK = 16384 };
enum { SLICE_NS = 2000000 }; /* sleeps while no event queue reports a socket */
/* A wait without limit that must still end with EINTR after any signal handler. */
#define LONG_NS 31536000000000000ull

struct scratch {
	void *mem;
	size_t len; /* mapped; 0: on the stack */
};

static struct timespec *left_until(uint64_t deadline, struct timespec *ts)
{
	uint64_t now = wait_now_ns(), left = deadline > now ? deadline - now : 0;

	if (deadline == WAIT_FOREVER)
		return NULL;
	ts->tv_sec = (time_t)(left / 1000000000u);
	ts->tv_nsec = (long)(left % 1000000000u);
	return ts;
}

static bool has_passed(uint64_t deadline)
{
	return deadline != WAIT_FOREVER && (deadline == 0 || wait_now_ns() >= deadline);
}

static uint64_t sleep_until(const struct poll_group *g, uint64_t deadline)
{
	uint64_t slice;

	if (!g->unheard)
		return deadline;
	slice = wait_now_ns() + SLICE_NS;
	return slice < deadline ? slice : deadline;
}

/* ---- poll ---- */
struct poll_call {
	struct poll_group g;
	struct pollfd *fds;  /* a copy of the program's */
	struct pollfd *kfds; /* the kernel's share: fd -1 where it is ours; POLL_BELLS more */
	nfds_t n;
	nfds_t n_kernel;
	struct scratch scratch;
};

static void poll_sort(struct poll_call *c)
{
	for (nfds_t i = 0; i < c->n; i++) {
		uint32_t want = (uint16_t)c->fds[i].events | POLLERR | POLLHUP;

		c->kfds[i] = (struct pollfd){ .fd = c->fds[i].fd, .events = c->fds[i].events };
		c->fds[i].revents = 0;
		if (c->fds[i].fd < 0)
			continue;
		if (poll_ours_add(&c->g, c->fds[i].fd, (uint32_t)i, want))
			c->kfds[i].fd = -1;
		else
			c->n_kernel++;
	}
}

/* Adds up what is there; the kernel's revents are in kfds. */
static int poll_sum(struct poll_call *c)
{
	int count = 0;

	for (nfds_t i = 0; i < c->n; i++)
		c->fds[i].revents = c->kfds[i].fd < 0 ? 0 : c->kfds[i].revents;
	for (uint32_t i = 0; i < c->g.n; i++)
		c->fds[c->g.ours[i].slot].revents = (short)c->g.ours[i].got;
	for (nfds_t i = 0; i < c->n; i++)
		count += c->fds[i].revents != 0;
	return count;
}

/* The kernel's own descriptors, without waiting and without being a cancellation point. With a mask the
 * kernel is always asked: a signal that it lets in ends even a call that does not wait. */
static int poll_ask(struct poll_call *c, const sigset_t *mask)
{
	struct timespec none = { 0 };
	int saved = errno, r = 0;

	if ((c->n_kernel || mask) &&
	    libc.syscall(SYS_ppoll, c->kfds, c->n, &none, mask, (size_t)_NSIG / 8) < 0) {
		r = errno == EINTR ? -EINTR : 0;
		for (nfds_t i = 0; i < c->n; i++)
			c->kfds[i].revents = 0;
	}
	errno = saved;
	return r;
}

static void poll_cancelled(void *arg)
{
	struct poll_call *c = arg;

	poll_ours_disarm(&c->g);
	poll_ours_drop(&c->g);
	if (c->scratch.len)
		munmap(c->scratch.mem, c->scratch.len);
}

static int poll_kernel(struct poll_call *c, uint64_t deadline, const sigset_t *mask)
{
	struct timespec ts;
	int r;

	for (uint32_t i = 0; i < c->g.n; i++)
		if (poll_ours_has_kernel_half(&c->g.ours[i]))
			c->kfds[c->g.ours[i].slot] = (struct pollfd){ .fd = c->g.ours[i].fd,
								      .events = POLLIN };
	for (uint32_t i = 0; i < c->g.n_queues; i++)
		c->kfds[c->n + i] = (struct pollfd){ .fd = poll_ours_doorbell(&c->g, i), .events = POLLIN };
	r = libc.ppoll(c->kfds, c->n + c->g.n_queues, left_until(sleep_until(&c->g, deadline), &ts), mask);
	r = r < 0 ? -errno : 0;
	for (uint32_t i = 0; r == 0 && i < c->g.n_queues; i++)
		c->g.rang |= (c->kfds[c->n + i].revents != 0) << i;
	for (uint32_t i = 0; i < c->g.n; i++)
		c->kfds[c->g.ours[i].slot].fd = -1;
	if (r < 0)
		for (nfds_t i = 0; i < c->n; i++)
			c->kfds[i].revents = 0;
	return r;
}

static int poll_sleep(struct poll_call *c, uint64_t deadline, const sigset_t *mask)
{
	volatile int r = 0; /* lives across the cancellation frame */

	if (poll_ours_is_one(&c->g) && c->n_kernel == 0 && !mask) {
		r = poll_ours_wait_one(&c->g, deadline == WAIT_FOREVER ? wait_now_ns() + LONG_NS :
									deadline);
		return r == -EAGAIN ? 0 : r;
	}
	if (poll_ours_spin(&c->g))
		return 0;
	pthread_cleanup_push(poll_cancelled, c);
	/* To open a queue may take a sleep, in which a handler may have run. */
	if (poll_ours_arm(&c->g))
		r = signal_interrupted(SIGNAL_ANY) ? -EINTR : poll_kernel(c, deadline, mask);
	poll_ours_disarm(&c->g);
	pthread_cleanup_pop(0);
	return r;
}

static int poll_loop(struct poll_call *c, uint64_t deadline, const sigset_t *mask)
{
	bool last = deadline == 0;
	int n, r = 0;

	signal_call_begins();
	poll_sort(c);
	for (bool first = true;; first = false) {
		bool some = poll_ours_look(&c->g);

		if (some || (last && first))
			r = poll_ask(c, some ? NULL : mask);
		n = poll_sum(c);
		if (n > 0 || r < 0)
			return n > 0 ? n : r;
		if (last && first && poll_ours_settle(&c->g))
			continue;
		if (last)
			return 0;
		r = signal_interrupted(SIGNAL_ANY) ? -EINTR :
						     poll_sleep(c, sock_revive(deadline), mask);
		last = has_passed(deadline);
	}
}

int poll_mixed(struct pollfd *fds, nfds_t n, uint64_t deadline_ns, const sigset_t *mask)
{
	struct poll_call c = { .n = n };
	size_t ours = n * sizeof(struct poll_ours), all = ours + (2 * n + POLL_BELLS) * sizeof(struct pollfd);
	char *mem;
	int r;

	if (all > ON_STACK) {
		mem = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mem == MAP_FAILED)
			return -ENOMEM;
		c.scratch = (struct scratch){ mem, all };
	} else {
		mem = __builtin_alloca(all);
	}
	c.g.ours = (struct poll_ours *)mem;
	c.kfds = (struct pollfd *)(mem + ours);
	c.fds = c.kfds + n + POLL_BELLS;
	r = user_get(c.fds, fds, n * sizeof(*fds));
	if (r == 0) {
		r = poll_loop(&c, deadline_ns, mask);
		/* Also after a signal: as the kernel, which writes nothing else. */
		for (nfds_t i = 0; i < n; i++)
			if (user_put(&fds[i].revents, &c.fds[i].revents, sizeof(short)) < 0)
				r = -EFAULT;
	}
	poll_ours_drop(&c.g);
	if (c.scratch.len)
		munmap(mem, all);
	return r;
}

/* ---- select ---- */
enum { BITS = 64, SETS = 3 }; /* read, write, except */
struct select_call {
	struct poll_group g;
	int n;		      /* as the program gave it, cut to what can exist */
	uint32_t words;	      /* of each bitmap, one bit more than n for the doorbell's number */
	uint64_t *user[SETS]; /* a copy of the program's, empty where it gave none */
	uint64_t *kernel[SETS]; /* the kernel's share */
	uint64_t *work[SETS];	/* for one call */
	uint32_t n_kernel, room; /* kernel's descriptors; most that can be ours */
	struct scratch scratch;
};
static const uint32_t asks[SETS] = { EPOLLIN | EPOLLRDNORM | EPOLLRDBAND | EPOLLHUP | EPOLLERR,
				     EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND | EPOLLERR, EPOLLPRI };

/* The kernel reads and writes whole longs. */
static inline size_t set_bytes(int n)
{
	return n > 0 ? (size_t)(n + BITS - 1) / BITS * sizeof(uint64_t) : 0;
}

/* The numbers in word i of any of the sets, below n. */
static uint64_t any(uint64_t *const map[SETS], int i, int n)
{
	uint64_t w = 0;

	for (int k = 0; k < SETS; k++)
		w |= map[k][i / BITS];
	return n - i < BITS ? w & ((1ull << (n - i)) - 1) : w;
}

static inline bool bit(const uint64_t *map, int fd)
{
	return map[fd / BITS] >> (fd % BITS) & 1;
}

/* How many of the numbers in the program's sets are ours, at most `enough`; 0 when they can't be read. */
static inline uint32_t count_ours(const uint64_t *const map[SETS], int n, uint32_t enough)
{
	uint32_t count = 0;
	int end = fdtab_end();

	n = n < end ? n : end;
	if (n > 0)
		fault_thread();
	for (int i = 0; i < n && count < enough; i += BITS) {
		uint64_t all = 0, one;

		for (int k = 0; k < SETS; k++) {
			if (!map[k])
				continue;
			if (unlikely(user_get64(&one, &map[k][i / BITS]) < 0))
				return 0;
			all |= one;
		}
		if (n - i < BITS)
			all &= (1ull << (n - i)) - 1;
		for (; all && count < enough; all &= all - 1)
			count += fdtab_has(i + __builtin_ctzll(all));
	}
	return count;
}

/* False: a number in the sets is one of the shim's own, that is: not open. */
static bool select_add(struct select_call *c, int fd)
{
	uint32_t want = 0;

	for (int k = 0; k < SETS; k++)
		want |= bit(c->user[k], fd) ? asks[k] : 0;
	if (c->g.n < c->room && poll_ours_add(&c->g, fd, want, want))
		return c->g.ours[c->g.n - 1].o != NULL;
	c->n_kernel++;
	for (int k = 0; k < SETS; k++)
		if (bit(c->user[k], fd))
			c->kernel[k][fd / BITS] |= 1ull << (fd % BITS);
	return true;
}

static bool select_sort(struct select_call *c)
{
	for (int i = 0; i < c->n; i += BITS)
		for (uint64_t w = any(c->user, i, c->n); w; w &= w - 1)
			if (!select_add(c, i + __builtin_ctzll(w)))
				return false;
	return true;
}

static void select_copy(struct select_call *c)
{
	for (int k = 0; k < SETS; k++)
		memcpy(c->work[k], c->kernel[k], c->words * sizeof(uint64_t));
}

static void select_clear(struct select_call *c)
{
	for (int k = 0; k < SETS; k++)
		memset(c->work[k], 0, c->words * sizeof(uint64_t));
}

/* Kernel results are in work; ours are put in. Writes the program's sets when there is something. */
static int select_sum(struct select_call *c)
{
	int count = 0;

	for (uint32_t i = 0; i < c->g.n; i++) {
		const struct poll_ours *p = &c->g.ours[i];

		for (int k = 0; k < SETS; k++)
			if (bit(c->user[k], p->fd) && p->got & asks[k])
				c->work[k][p->fd / BITS] |= 1ull << (p->fd % BITS);
	}
	for (int k = 0; k < SETS; k++)
		for (int i = 0; i < c->n; i += BITS) {
			uint64_t w = c->work[k][i / BITS];

			if (c->n - i < BITS)
				w &= (1ull << (c->n - i)) - 1;
			count += __builtin_popcountll(w);
		}
	return count;
}

static int select_store(const struct select_call *c, uint64_t *const map[SETS])
{
	for (int k = 0; k < SETS; k++)
		if (map[k] && user_put(map[k], c->work[k], set_bytes(c->n)) < 0)
			return -EFAULT;
	return 0;
}

static void select_cancelled(void *arg)
{
	struct select_call *c = arg;

	poll_ours_disarm(&c->g);
	poll_ours_drop(&c->g);
	if (c->scratch.len)
		munmap(c->scratch.mem, c->scratch.len);
}

/* The number of doorbell i if the bitmaps have a bit for it; else, or without one, -1. */
static int bell_of(const struct select_call *c, uint32_t i)
{
	int bell = poll_ours_doorbell(&c->g, i);

	return bell >= 0 && (uint32_t)bell / BITS < c->words ? bell : -1;
}

static int select_kernel(struct select_call *c, uint64_t deadline, const sigset_t *mask)
{
	int n = c->n, r, bell;
	struct timespec ts;

	select_copy(c);
	for (uint32_t i = 0; i < c->g.n; i++)
		if (poll_ours_has_kernel_half(&c->g.ours[i]))
			c->work[0][c->g.ours[i].fd / BITS] |= 1ull << (c->g.ours[i].fd % BITS);
	for (uint32_t i = 0; (bell = bell_of(c, i)) >= 0; i++) {
		c->work[0][bell / BITS] |= 1ull << (bell % BITS);
		n = bell >= n ? bell + 1 : n;
	}
	r = libc.pselect(n, (fd_set *)c->work[0], (fd_set *)c->work[1], (fd_set *)c->work[2],
			 left_until(sleep_until(&c->g, deadline), &ts), mask);
	r = r < 0 ? -errno : r;
	if (r <= 0)
		select_clear(c);
	for (uint32_t i = 0; i < c->g.n; i++) /* halves: ours to judge */
		c->work[0][c->g.ours[i].fd / BITS] &= ~(1ull << (c->g.ours[i].fd % BITS));
	for (uint32_t i = 0; (bell = bell_of(c, i)) >= 0; i++) {
		c->g.rang |= (uint32_t)bit(c->work[0], bell) << i;
		c->work[0][bell / BITS] &= ~(1ull << (bell % BITS));
	}
	return r < 0 ? r : 0;
}

static int select_sleep(struct select_call *c, uint64_t deadline, const sigset_t *mask)
{
	volatile int r = 0; /* lives across the cancellation frame */

	select_clear(c);
	if (poll_ours_is_one(&c->g) && c->n_kernel == 0 && !mask) {
		r = poll_ours_wait_one(&c->g, deadline == WAIT_FOREVER ? wait_now_ns() + LONG_NS :
									deadline);
		return r == -EAGAIN ? 0 : r;
	}
	if (poll_ours_spin(&c->g))
		return 0;
	pthread_cleanup_push(select_cancelled, c);
	if (poll_ours_arm(&c->g))
		r = signal_interrupted(SIGNAL_ANY) ? -EINTR : select_kernel(c, deadline, mask);
	poll_ours_disarm(&c->g);
	pthread_cleanup_pop(0);
	return r;
}

/* As poll_ask(). */
static int select_ask(struct select_call *c, const sigset_t *mask)
{
	struct timespec none = { 0 };
	struct {
		const sigset_t *mask;
		size_t size;
	} with = { mask, (size_t)_NSIG / 8 };

	int saved = errno, r = 0;

	if (c->n_kernel == 0 && !mask)
		return 0;
	select_copy(c);
	/* A signal ends even a call that does not wait, and leaves the sets as they were given. */
	if (libc.syscall(SYS_pselect6, c->n, c->work[0], c->work[1], c->work[2], &none, &with) < 0) {
		r = -errno;
		select_clear(c);
	}
	errno = saved;
	return r;
}

static int select_loop(struct select_call *c, uint64_t deadline, const sigset_t *mask)
{
	bool last = deadline == 0;
	int n, r = 0;

	signal_call_begins();
	if (!select_sort(c))
		return -EBADF;
	for (bool first = true;; first = false) {
		bool some = poll_ours_look(&c->g);

		if (some || (last && first))
			r = select_ask(c, some ? NULL : mask);
		if (r == -EBADF)
			return r;
		n = select_sum(c);
		if (n == 0 && r >= 0 && last && first && poll_ours_settle(&c->g))
			continue;
		if (n > 0 || r < 0 || last)
			return n > 0 ? n : r;
		r = signal_interrupted(SIGNAL_ANY) ? -EINTR :
						     select_sleep(c, sock_revive(deadline), mask);
		last = has_passed(deadline);
	}
}

static int select_run(struct select_call *c, uint64_t *const map[SETS], uint64_t deadline_ns,
		      const sigset_t *mask)
{
	int res;

	for (int k = 0; k < SETS; k++)
		if (map[k] && user_get(c->user[k], map[k], set_bytes(c->n)) < 0)
			return -EFAULT;
	res = select_loop(c, deadline_ns, mask);
	poll_ours_drop(&c->g);
	return res >= 0 && select_store(c, map) < 0 ? -EFAULT : res;
}

int select_mixed(int n, fd_set *r, fd_set *w, fd_set *x, uint64_t deadline_ns,
		 const sigset_t *mask)
{
	uint64_t *const map[SETS] = { (uint64_t *)r, (uint64_t *)w, (uint64_t *)x };
	const uint64_t *const look[SETS] = { map[0], map[1], map[2] };
	struct select_call c = { .n = n < FDTAB_SIZE ? n : FDTAB_SIZE };
	int end = fdtab_end(), res;
	size_t bytes, ours, all;
	char *mem;

	/* Numbers from `end` on are not ours, but may be the kernel's: up to the bits that were given.
	 * The doorbell's number lies below `end` when it is made, or a little above. */
	c.words = (uint32_t)((c.n > end ? c.n : end) + 2 * BITS) / BITS + 1;
	c.room = count_ours(look, c.n, UINT32_MAX);
	bytes = c.words * sizeof(uint64_t);
	ours = c.room * sizeof(struct poll_ours);
	all = ours + 3 * SETS * bytes;
	if (all > ON_STACK) {
		mem = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mem == MAP_FAILED)
			return -ENOMEM;
		c.scratch = (struct scratch){ mem, all };
	} else {
		mem = __builtin_alloca(all);
		memset(mem, 0, all);
	}
	c.g.ours = (struct poll_ours *)mem;
	for (int k = 0; k < SETS; k++) {
		c.user[k] = (uint64_t *)(mem + ours + (size_t)(3 * k) * bytes);
		c.kernel[k] = c.user[k] + c.words;
		c.work[k] = c.kernel[k] + c.words;
	}
	res = select_run(&c, map, deadline_ns, mask);
	if (c.scratch.len)
		munmap(mem, all);
	return res;
}

/* ---- one socket and one kernel descriptor: blocking accept ---- */
/* Linux restarts accept() after a handler that was installed with SA_RESTART, but never poll(). */
static bool was_ended_by_signal(uint64_t deadline_ns)
{
	return signal_interrupted(deadline_ns == WAIT_FOREVER ? SIGNAL_ENDS : SIGNAL_ANY);
}

int wait_mixed(struct object *o, int kernel_fd, short events, uint64_t deadline_ns)
{
	struct poll_ours one = { .o = o, .fd = kernel_fd,
				 .want = (uint16_t)events | POLLERR | POLLHUP };
	struct pollfd kfds[1 + POLL_BELLS] = { { .fd = -1 } };
	struct poll_call c = { .g = { .ours = &one, .n = 1 }, .kfds = kfds, .n = 1 };
	uint64_t until = sock_revive(deadline_ns);
	volatile int r = 0; /* lives across the cancellation frame */

	if (!object_try_get(o)) /* poll_cancelled() drops one; the caller's leaks then, as its call does */
		return -EBADF;
	if (poll_ours_look(&c.g) == 0 && was_ended_by_signal(deadline_ns)) {
		r = -EINTR;
	} else if (poll_ours_look(&c.g) == 0) {
		pthread_cleanup_push(poll_cancelled, &c);
		if (poll_ours_arm(&c.g))
			r = was_ended_by_signal(deadline_ns) ? -EINTR : poll_kernel(&c, until, NULL);
		poll_ours_disarm(&c.g);
		pthread_cleanup_pop(0);
	}
	poll_ours_drop(&c.g);
	if (r == -EINTR && !was_ended_by_signal(deadline_ns) && signal_interrupted(SIGNAL_ANY))
		return 0;
	if (r == 0 && has_passed(deadline_ns))
		return -EAGAIN;
	return r;
}
