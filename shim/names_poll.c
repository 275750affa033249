/* Exported: poll, select, epoll and their fortified twins. Asks "is one of them ours?" and turns timeouts
 * into deadlines; sets without a descriptor of ours go to the kernel as they are. */
// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <sys/time.h>
#include "shim/epoll.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/poll.h"
#include "shim/signal.h"
#include "shim/wait.h"
#include "stack/chan/user.h"

#define NS_PER_S 1000000000u

/* ---- timeouts ---- */
static uint64_t after_ns(uint64_t ns)
{
	uint64_t now;

	if (ns == 0)
		return 0;
	now = wait_now_ns();
	return ns >= WAIT_FOREVER - now ? WAIT_FOREVER - 1 : now + ns;
}

static uint64_t after_ms(int ms)
{
	return ms < 0 ? WAIT_FOREVER : after_ns((uint64_t)ms * 1000000u);
}

static bool is_valid(const struct timespec *ts)
{
	return !ts || (ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < (long)NS_PER_S);
}

static uint64_t after_ts(const struct timespec *ts)
{
	if (!ts)
		return WAIT_FOREVER;
	if ((uint64_t)ts->tv_sec >= WAIT_FOREVER / NS_PER_S - 1)
		return WAIT_FOREVER - 1;
	return after_ns((uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec);
}

/* A mask is copied first, as the kernel does. False: it can't be read. */
static bool mask_load(sigset_t *own, const sigset_t **mask)
{
	if (!*mask)
		return true;
	if (user_get(own, *mask, _NSIG / 8) < 0)
		return false;
	*mask = own;
	return true;
}

static bool time_load(struct timespec *own, const struct timespec **ts)
{
	if (!*ts)
		return true;
	if (user_get(own, *ts, sizeof(*own)) < 0)
		return false;
	*ts = own;
	return true;
}

/* ---- poll ---- */
EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (likely(!poll_has_ours(fds, n)))
		return libc.poll(fds, n, timeout);
	pthread_testcancel();
	return (int)to_errno(poll_mixed(fds, n, after_ms(timeout), NULL));
}
EXPORT_ALIAS(__poll, poll);

static int ppoll_ours(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		      const sigset_t *mask)
{
	struct timespec ts;
	sigset_t own;
	int r = -EINVAL;

	pthread_testcancel();
	if (!time_load(&ts, &timeout))
		r = -EFAULT;
	else if (is_valid(timeout))
		r = mask_load(&own, &mask) ? poll_mixed(fds, n, after_ts(timeout), mask) : -EFAULT;
	return (int)to_errno(r);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	if (likely(!poll_has_ours(fds, n)))
		return libc.ppoll(fds, n, timeout, mask);
	return ppoll_ours(fds, n, timeout, mask);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t len);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
		size_t len);

/* Too small an array: libc's own function reports it and ends the program. */
EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t len)
{
	if (len / sizeof(*fds) < n || likely(!poll_has_ours(fds, n)))
		return libc.__poll_chk(fds, n, timeout, len);
	pthread_testcancel();
	return (int)to_errno(poll_mixed(fds, n, after_ms(timeout), NULL));
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		       const sigset_t *mask, size_t len)
{
	if (len / sizeof(*fds) < n || likely(!poll_has_ours(fds, n)))
		return libc.__ppoll_chk(fds, n, timeout, mask, len);
	return ppoll_ours(fds, n, timeout, mask);
}

/* ---- select ---- */
/* Linux writes the time that is left into the timeout. */
static void store_left(struct timeval *tv, uint64_t deadline)
{
	uint64_t now = wait_now_ns(), left = deadline > now ? deadline - now : 0;

	tv->tv_sec = (time_t)(left / NS_PER_S);
	tv->tv_usec = (suseconds_t)(left % NS_PER_S / 1000);
}

static int select_ours(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *timeout)
{
	struct timespec ts = { 0 };
	struct timeval tv;
	uint64_t deadline = WAIT_FOREVER;
	int res;

	if (timeout) {
		if (user_get(&tv, timeout, sizeof(tv)) < 0)
			return -EFAULT;
		if (tv.tv_sec < 0 || tv.tv_usec < 0)
			return -EINVAL;
		/* more than a second of microseconds is taken, as the kernel does */
		ts = (struct timespec){ tv.tv_sec + tv.tv_usec / 1000000, tv.tv_usec % 1000000 * 1000 };
		deadline = after_ts(&ts);
	}
	res = select_mixed(n, r, w, x, deadline, NULL);
	if (timeout) {
		store_left(&tv, deadline);
		user_put(timeout, &tv, sizeof(tv)); /* read-only memory is no error here */
	}
	return res;
}

EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *timeout)
{
	if (likely(!select_has_ours(n, r, w, x)))
		return libc.select(n, r, w, x, timeout);
	pthread_testcancel();
	return (int)to_errno(select_ours(n, r, w, x, timeout));
}
EXPORT_ALIAS(__select, select);

EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *timeout,
		   const sigset_t *mask)
{
	struct timespec ts;
	sigset_t own;
	int res = -EINVAL;

	if (likely(!select_has_ours(n, r, w, x)))
		return libc.pselect(n, r, w, x, timeout, mask);
	pthread_testcancel();
	if (!time_load(&ts, &timeout))
		res = -EFAULT;
	else if (is_valid(timeout))
		res = mask_load(&own, &mask) ? select_mixed(n, r, w, x, after_ts(timeout), mask) : -EFAULT;
	return (int)to_errno(res);
}

/* ---- epoll ---- */
EXPORT int epoll_create(int size)
{
	return epoll_set_made(libc.epoll_create(size));
}

EXPORT int epoll_create1(int flags)
{
	return epoll_set_made(libc.epoll_create1(flags));
}

/* A set and a descriptor that have nothing to do with us: the kernel's call, and a count. */
static inline int ctl_plain(struct epoll_set *set, int epfd, int op, int fd, struct epoll_event *ev)
{
	int r = libc.epoll_ctl(epfd, op, fd, ev);

	if (op != EPOLL_CTL_MOD && r == 0)
		epoll_plain_add(&set->kernel_fds, op == EPOLL_CTL_ADD ? 1 : UINT32_MAX);
	return r;
}

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct epoll_set *set;
	int r;

	if (likely(!fdtab_has(fd))) {
		if (!fdtab_has(epfd))
			return libc.epoll_ctl(epfd, op, fd, ev);
		set = epoll_set_plain(epfd);
		if (set)
			return ctl_plain(set, epfd, op, fd, ev);
	}
	r = epoll_set_ctl(epfd, op, fd, ev);
	return r == EPOLL_TO_KERNEL ? libc.epoll_ctl(epfd, op, fd, ev) : (int)to_errno(r);
}

/* The set behind epfd when the arguments are good; else the kernel says what is wrong with them. */
static struct epoll_set *waitable(int epfd, const struct epoll_event *ev, int max)
{
	struct epoll_set *set = epoll_set_get(epfd);

	if (!set)
		return NULL;
	if (likely(max > 0 && (size_t)max <= INT32_MAX / sizeof(*ev) &&
		   user_ok(ev, (size_t)max * sizeof(*ev))))
		return set;
	epoll_set_put(set);
	return NULL;
}

static int wait_in(struct epoll_set *set, int epfd, const struct epoll_wait_args *args)
{
	int r;

	pthread_testcancel();
	r = epoll_set_wait(set, epfd, args);
	epoll_set_put(set);
	return (int)to_errno(r);
}

/* How the three calls differ. */
enum wait_kind { WAIT_MS, PWAIT_MS, PWAIT_TS };
struct wait_call {
	enum wait_kind kind;
	int epfd, max;
	struct epoll_event *ev;
	int ms;
	const struct timespec *ts;
	const sigset_t *mask;
};

static inline int wait_kernel(const struct wait_call *c)
{
	switch (c->kind) {
	case WAIT_MS:
		return libc.epoll_wait(c->epfd, c->ev, c->max, c->ms);
	case PWAIT_MS:
		return libc.epoll_pwait(c->epfd, c->ev, c->max, c->ms, c->mask);
	default:
		return libc.epoll_pwait2(c->epfd, c->ev, c->max, c->ts, c->mask);
	}
}

static uint64_t wait_after(const struct wait_call *c)
{
	return c->kind == PWAIT_TS ? after_ts(c->ts) : after_ms(c->ms);
}

static int wait_ours(const struct wait_call *c, struct epoll_set *set)
{
	struct epoll_wait_args args = { .events = c->ev, .max = c->max, .mask = c->mask,
					.fine = c->kind == PWAIT_TS };

	signal_call_begins();
	if (c->kind != PWAIT_TS && c->ms > 0) {
		args.deadline_ns = EPOLL_WAIT_LATER;
		args.wait_ns = (uint64_t)c->ms * 1000000u;
	} else {
		args.deadline_ns = wait_after(c);
	}
	return wait_in(set, c->epfd, &args);
}

/* The set became live while the thread slept in the kernel's wait since about start_ns, with result r. */
static int wait_on(const struct wait_call *c, struct epoll_set *set, uint64_t start_ns, int r)
{
	struct epoll_wait_args args = { .events = c->ev, .max = c->max, .mask = c->mask, .slept = true,
					.fine = c->kind == PWAIT_TS, .result = r < 0 ? -errno : r };
	struct epoll_set *now = epoll_set_get(c->epfd);
	uint64_t deadline = wait_after(c);

	if (now != set) { /* closed meanwhile, and its count with it */
		if (now)
			epoll_set_put(now);
		return r;
	}
	args.deadline_ns = deadline == WAIT_FOREVER || !deadline ? deadline :
			   deadline - (wait_now_ns() - start_ns);
	return wait_in(set, c->epfd, &args);
}

/* Good to a timer tick, and cheap: seldom is it looked at. */
static uint64_t start_of_wait(void)
{
	struct timespec ts;

	if (__libc_single_threaded) /* only a signal handler can bring wait_on() about, which ends the call */
		return 0;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int wait_any(const struct wait_call *c)
{
	struct epoll_set *set = epoll_set_plain(c->epfd);
	uint32_t forks = atomic_load_explicit(&epoll_forks, memory_order_relaxed);
	uint64_t start_ns;
	int r;

	if (likely(set)) {
		signal_call_begins();
		start_ns = start_of_wait();
		if (epoll_plain_begin(set)) {
			r = wait_kernel(c);
			if (unlikely(atomic_load_explicit(&epoll_forks, memory_order_relaxed) != forks))
				return r; /* a handler has forked, and this is the child */
			return likely(epoll_plain_end(set)) ? r : wait_on(c, set, start_ns, r);
		}
	}
	set = waitable(c->epfd, c->ev, c->max);
	return likely(!set) ? wait_kernel(c) : wait_ours(c, set);
}

EXPORT int epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout)
{
	struct epoll_set *set = epoll_set_plain(epfd);
	uint32_t forks;
	int r;

	/* A call that does not sleep need not be counted. */
	if (likely(!fdtab_has(epfd) || (timeout == 0 && set)))
		return libc.epoll_wait(epfd, ev, max, timeout);
	/* wait_any() in short; with one thread there is nobody who could make the set live meanwhile but a
	 * signal handler, and that ends the call. */
	if (likely(set && __libc_single_threaded && epoll_plain_begin(set))) {
		forks = atomic_load_explicit(&epoll_forks, memory_order_relaxed);
		r = libc.epoll_wait(epfd, ev, max, timeout);
		if (likely(atomic_load_explicit(&epoll_forks, memory_order_relaxed) != forks ||
			   epoll_plain_end(set)))
			return r;
		r = wait_on(&(struct wait_call){ .kind = WAIT_MS, .epfd = epfd, .ev = ev, .max = max,
						 .ms = 0 }, set, 0, r);
		return r ? r : (int)to_errno(-EINTR);
	}
	return wait_any(&(struct wait_call){ .kind = WAIT_MS, .epfd = epfd, .ev = ev, .max = max,
					     .ms = timeout });
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *ev, int max, int timeout, const sigset_t *mask)
{
	struct wait_call c = { .kind = PWAIT_MS, .epfd = epfd, .ev = ev, .max = max, .ms = timeout,
			       .mask = mask };
	sigset_t own;

	if (fdtab_has(epfd) && !epoll_set_plain(epfd) && !mask_load(&own, &c.mask))
		return (int)to_errno(-EFAULT);
	return wait_any(&c);
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout,
			const sigset_t *mask)
{
	struct wait_call c = { .kind = PWAIT_TS, .epfd = epfd, .ev = ev, .max = max, .ts = timeout,
			       .mask = mask };
	struct timespec ts;
	sigset_t own;

	if (!fdtab_has(epfd) || epoll_set_plain(epfd))
		return wait_any(&c);
	if (!time_load(&ts, &c.ts))
		return (int)to_errno(-EFAULT);
	if (!is_valid(c.ts))
		return (int)to_errno(-EINVAL);
	if (!mask_load(&own, &c.mask))
		return (int)to_errno(-EFAULT);
	return wait_any(&c);
}
