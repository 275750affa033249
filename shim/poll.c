/* poll() and select() with descriptors of ours among them: looks at ours by shared memory, asks the kernel
 * for its own, and sleeps in the kernel's ppoll or pselect with a doorbell added. */
// SPDX-License-Identifier: MIT
#include "shim/poll.h"
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/poll_ours.h"
#include "shim/signal.h"
#include "shim/sock.h"
#include "shim/wait.h"
#include "stack/chan/user.h"

/* Up to so many bytes of working memory are taken from the stack. */
enum { ON_STACK = 16384 };
enum { SLICE_NS = 2000000 }; /* sleeps without an event queue */
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

	if (poll_ours_doorbell(g) >= 0)
		return deadline;
	slice = wait_now_ns() + SLICE_NS;
	return slice < deadline ? slice : deadline;
}

/* ---- poll ---- */
bool poll_has_ours(struct pollfd *fds, nfds_t n)
{
	struct pollfd some[16];
	struct rlimit lim;

	/* With nothing of ours there is nothing that catches bad pointers, either. */
	if (likely(fdtab_end() == 0))
		return false;
	/* More than there can be: the kernel says EINVAL without looking at them, and so may we not. */
	if (n > 256 && (getrlimit(RLIMIT_NOFILE, &lim) < 0 || n > lim.rlim_cur))
		return false;
	for (nfds_t i = 0; i < n; i += ARRAY_LEN(some)) {
		nfds_t part = min_u64(n - i, ARRAY_LEN(some));

		if (user_get(some, fds + i, part * sizeof(*some)) < 0)
			return false;
		for (nfds_t k = 0; k < part; k++)
			if (fdtab_has(some[k].fd))
				return true;
	}
	return false;
}

struct poll_call {
	struct poll_group g;
	struct pollfd *fds;  /* a copy of the program's */
	struct pollfd *kfds; /* the kernel's share: fd -1 where it is ours; one more for the doorbell */
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

/* The kernel's own descriptors, without waiting and without being a cancellation point. */
static void poll_ask(struct poll_call *c)
{
	int saved = errno;

	if (c->n_kernel && libc.syscall(SYS_poll, c->kfds, c->n, 0) < 0)
		for (nfds_t i = 0; i < c->n; i++)
			c->kfds[i].revents = 0;
	errno = saved;
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
	c->kfds[c->n] = (struct pollfd){ .fd = poll_ours_doorbell(&c->g), .events = POLLIN };
	r = libc.ppoll(c->kfds, c->n + 1, left_until(sleep_until(&c->g, deadline), &ts), mask);
	r = r < 0 ? -errno : 0;
	c->g.rang = r == 0 && c->kfds[c->n].revents;
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
	if (poll_ours_arm(&c->g))
		r = poll_kernel(c, deadline, mask);
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
		if (poll_ours_look(&c->g) || (last && first))
			poll_ask(c);
		n = poll_sum(c);
		if (n > 0 || r < 0)
			return n > 0 ? n : r;
		if (last)
			return 0;
		r = signal_interrupted(SIGNAL_ANY) ? -EINTR :
						     poll_sleep(c, sock_revive(deadline), mask);
		last = has_passed(deadline);
	}
}

/* Only the results go back. */
static int poll_store(const struct poll_call *c, struct pollfd *user)
{
	for (nfds_t i = 0; i < c->n; i++)
		if (user_put(&user[i].revents, &c->fds[i].revents, sizeof(user->revents)) < 0)
			return -EFAULT;
	return 0;
}

int poll_mixed(struct pollfd *fds, nfds_t n, uint64_t deadline_ns, const sigset_t *mask)
{
	struct poll_call c = { .n = n };
	size_t ours = n * sizeof(struct poll_ours);
	size_t all = ours + (2 * n + 1) * sizeof(struct pollfd);
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
	c.fds = c.kfds + n + 1;
	r = user_get(c.fds, fds, n * sizeof(*fds));
	if (r == 0) {
		r = poll_loop(&c, deadline_ns, mask);
		poll_ours_drop(&c.g);
		if (poll_store(&c, fds) < 0)
			r = -EFAULT;
	}
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
	uint64_t *user[SETS]; /* a copy of the program's; NULL: not given */
	uint64_t *kernel[SETS]; /* the kernel's share */
	uint64_t *work[SETS];	/* for one call */
	uint32_t n_kernel, room; /* kernel's descriptors; most that can be ours */
	struct scratch scratch;
};
static const uint32_t asks[SETS] = { EPOLLIN | EPOLLRDNORM | EPOLLRDBAND | EPOLLHUP | EPOLLERR,
				     EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND | EPOLLERR, EPOLLPRI };

/* The numbers in word i of any of the sets, below n. */
static uint64_t any(uint64_t *const map[SETS], int i, int n)
{
	uint64_t w = 0;

	for (int k = 0; k < SETS; k++)
		w |= map[k] ? map[k][i / BITS] : 0;
	return n - i < BITS ? w & ((1ull << (n - i)) - 1) : w;
}

static inline bool bit(const uint64_t *map, int fd)
{
	return map && map[fd / BITS] >> (fd % BITS) & 1;
}

/* How many of the numbers in the program's sets are ours; none when a set can't be read, which the kernel
 * then says. */
static uint32_t count_ours(uint64_t *const map[SETS], int n)
{
	enum { WORDS = 16 };
	uint64_t own[SETS][WORDS], *part[SETS] = { NULL };
	uint32_t count = 0;
	int end = fdtab_end();

	n = n < end ? n : end;
	for (int i = 0; i < n; i += WORDS * BITS) {
		int here = n - i < WORDS * BITS ? n - i : WORDS * BITS;
		size_t len = (size_t)(here + BITS - 1) / BITS * sizeof(uint64_t);

		for (int k = 0; k < SETS; k++) {
			part[k] = map[k] ? own[k] : NULL;
			if (map[k] && user_get(own[k], map[k] + i / BITS, len) < 0)
				return 0;
		}
		for (int j = 0; j < here; j += BITS)
			for (uint64_t w = any(part, j, here); w; w &= w - 1)
				count += fdtab_has(i + j + __builtin_ctzll(w));
	}
	return count;
}

bool select_has_ours(int n, const fd_set *r, const fd_set *w, const fd_set *x)
{
	uint64_t *const map[SETS] = { (uint64_t *)r, (uint64_t *)w, (uint64_t *)x };

	return count_ours(map, n) > 0;
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

static int select_store(const struct select_call *c, uint64_t *const to[SETS])
{
	size_t len = (size_t)(c->n + BITS - 1) / BITS * sizeof(uint64_t);

	for (int k = 0; k < SETS; k++)
		if (to[k] && user_put(to[k], c->work[k], len) < 0)
			return -EFAULT;
	return 0;
}

/* The program's sets into memory of ours. */
static int select_load(struct select_call *c, uint64_t *const from[SETS], uint64_t *own)
{
	size_t len = (size_t)(c->n + BITS - 1) / BITS * sizeof(uint64_t);

	for (int k = 0; k < SETS; k++, own += c->words) {
		c->user[k] = from[k] ? own : NULL;
		if (from[k] && user_get(own, from[k], len) < 0)
			return -EFAULT;
	}
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

static int select_kernel(struct select_call *c, uint64_t deadline, const sigset_t *mask)
{
	int bell = poll_ours_doorbell(&c->g), n = bell >= c->n ? bell + 1 : c->n;
	struct timespec ts;
	int r;

	select_copy(c);
	for (uint32_t i = 0; i < c->g.n; i++)
		if (poll_ours_has_kernel_half(&c->g.ours[i]))
			c->work[0][c->g.ours[i].fd / BITS] |= 1ull << (c->g.ours[i].fd % BITS);
	if (bell >= 0 && (uint32_t)bell / BITS < c->words)
		c->work[0][bell / BITS] |= 1ull << (bell % BITS);
	r = libc.pselect(n, (fd_set *)c->work[0], (fd_set *)c->work[1], (fd_set *)c->work[2],
			 left_until(sleep_until(&c->g, deadline), &ts), mask);
	r = r < 0 ? -errno : r;
	if (r <= 0)
		select_clear(c);
	c->g.rang = bell >= 0 && (uint32_t)bell / BITS < c->words && bit(c->work[0], bell);
	for (uint32_t i = 0; i < c->g.n; i++) /* halves: ours to judge */
		c->work[0][c->g.ours[i].fd / BITS] &= ~(1ull << (c->g.ours[i].fd % BITS));
	if (bell >= 0 && (uint32_t)bell / BITS < c->words)
		c->work[0][bell / BITS] &= ~(1ull << (bell % BITS));
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
		r = select_kernel(c, deadline, mask);
	poll_ours_disarm(&c->g);
	pthread_cleanup_pop(0);
	return r;
}

static int select_ask(struct select_call *c)
{
	struct timeval none = { 0 };
	long r = 0;

	if (c->n_kernel == 0)
		return 0;
	select_copy(c);
	r = libc.syscall(SYS_select, c->n, c->work[0], c->work[1], c->work[2], &none);
	return r < 0 ? -errno : 0;
}

static int select_loop(struct select_call *c, uint64_t deadline, const sigset_t *mask)
{
	bool last = deadline == 0;
	int n, r = 0;

	signal_call_begins();
	if (!select_sort(c))
		return -EBADF;
	for (bool first = true;; first = false) {
		if ((poll_ours_look(&c->g) || (last && first)) && select_ask(c) == -EBADF)
			return -EBADF;
		n = select_sum(c);
		if (n == 0 && r < 0)
			return r;
		if (n > 0 || last)
			return n;
		r = signal_interrupted(SIGNAL_ANY) ? -EINTR :
						     select_sleep(c, sock_revive(deadline), mask);
		last = has_passed(deadline);
	}
}

int select_mixed(int n, fd_set *r, fd_set *w, fd_set *x, uint64_t deadline_ns,
		 const sigset_t *mask)
{
	uint64_t *const user[SETS] = { (uint64_t *)r, (uint64_t *)w, (uint64_t *)x };
	struct select_call c = { 0 };
	int end = fdtab_end(), res;
	size_t map, ours, all;
	char *mem;

	/* Numbers from `end` on are not ours, but may be the kernel's: up to the bits that were given.
	 * The doorbell's number lies below `end` when it is made, or a little above. */
	c.n = n < FDTAB_SIZE ? n : FDTAB_SIZE;
	c.words = (uint32_t)((c.n > end ? c.n : end) + 2 * BITS) / BITS + 1;
	map = c.words * sizeof(uint64_t);
	c.room = count_ours(user, c.n);
	ours = c.room * sizeof(struct poll_ours);
	all = ours + 3 * SETS * map;
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
		c.kernel[k] = (uint64_t *)(mem + ours + (size_t)k * map);
		c.work[k] = (uint64_t *)(mem + ours + (size_t)(SETS + k) * map);
	}
	res = select_load(&c, user, (uint64_t *)(mem + ours + 2 * SETS * map));
	if (res == 0) {
		res = select_loop(&c, deadline_ns, mask);
		poll_ours_drop(&c.g);
	}
	if (res >= 0 && select_store(&c, user) < 0)
		res = -EFAULT;
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
	struct pollfd kfds[2] = { { .fd = -1 }, { .fd = -1 } };
	struct poll_call c = { .g = { .ours = &one, .n = 1 }, .kfds = kfds, .n = 1 };
	volatile int r = 0; /* lives across the cancellation frame */

	if (!object_try_get(o)) /* poll_cancelled() drops one; the caller's leaks then, as its call does */
		return -EBADF;
	if (poll_ours_look(&c.g) == 0 && was_ended_by_signal(deadline_ns)) {
		r = -EINTR;
	} else if (poll_ours_look(&c.g) == 0) {
		pthread_cleanup_push(poll_cancelled, &c);
		if (poll_ours_arm(&c.g))
			r = poll_kernel(&c, deadline_ns, NULL);
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
