/* Exported: poll, select, epoll and their fortified twins. Asks "is one of them ours?" and turns timeouts
 * into deadlines; sets without a descriptor of ours go to the kernel as they are. */
// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <sys/time.h>
#include "shim/epoll.h"
#include "shim/fault.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/poll.h"
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

/* A time that the program gave, copied to *own; false: bad, which the kernel says best. *ts NULL: none. */
static bool take_ts(struct timespec *own, const struct timespec **ts)
{
	if (!*ts)
		return true;
	fault_arm(); /* an epoll set may be ours before the first socket is */
	if (user_get(own, *ts, sizeof(*own)) < 0)
		return false;
	*ts = own;
	return own->tv_sec >= 0 && own->tv_nsec >= 0 && own->tv_nsec < (long)NS_PER_S;
}

/* Can the signal mask be read? */
static bool has_mask(const sigset_t *mask)
{
	uint64_t word;

	if (!mask)
		return true;
	fault_arm();
	return user_get(&word, mask, sizeof(word)) == 0;
}

static uint64_t after_ts(const struct timespec *ts)
{
	if (!ts)
		return WAIT_FOREVER;
	if ((uint64_t)ts->tv_sec >= WAIT_FOREVER / NS_PER_S - 1)
		return WAIT_FOREVER - 1;
	return after_ns((uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec);
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

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	const struct timespec *given = timeout;
	struct timespec ts;

	if (likely(!poll_has_ours(fds, n)) || !take_ts(&ts, &timeout) || !has_mask(mask))
		return libc.ppoll(fds, n, given, mask);
	pthread_testcancel();
	return (int)to_errno(poll_mixed(fds, n, after_ts(timeout), mask));
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
	const struct timespec *given = timeout;
	struct timespec ts;

	if (len / sizeof(*fds) < n || likely(!poll_has_ours(fds, n)) || !take_ts(&ts, &timeout) ||
	    !has_mask(mask))
		return libc.__ppoll_chk(fds, n, given, mask, len);
	pthread_testcancel();
	return (int)to_errno(poll_mixed(fds, n, after_ts(timeout), mask));
}

/* ---- select ---- */
/* Linux writes the time that is left into the timeout. */
static void store_left(struct timeval *tv, uint64_t deadline)
{
	uint64_t now = wait_now_ns(), left = deadline > now ? deadline - now : 0;

	tv->tv_sec = (time_t)(left / NS_PER_S);
	tv->tv_usec = (suseconds_t)(left % NS_PER_S / 1000);
}

EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *timeout)
{
	struct timespec ts;
	uint64_t deadline;
	int res;

	if (likely(!select_has_ours(n, r, w, x)) ||
	    (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0)))
		return libc.select(n, r, w, x, timeout);
	pthread_testcancel();
	if (timeout) /* more than a second of microseconds is taken, as the kernel does */
		ts = (struct timespec){ timeout->tv_sec + timeout->tv_usec / 1000000,
					timeout->tv_usec % 1000000 * 1000 };
	deadline = after_ts(timeout ? &ts : NULL);
	res = select_mixed(n, r, w, x, deadline, NULL);
	if (timeout)
		store_left(timeout, deadline);
	return (int)to_errno(res);
}
EXPORT_ALIAS(__select, select);

EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *timeout,
		   const sigset_t *mask)
{
	const struct timespec *given = timeout;
	struct timespec ts;

	if (likely(!select_has_ours(n, r, w, x)) || !take_ts(&ts, &timeout) || !has_mask(mask))
		return libc.pselect(n, r, w, x, given, mask);
	pthread_testcancel();
	return (int)to_errno(select_mixed(n, r, w, x, after_ts(timeout), mask));
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

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	int r;

	if (likely(!fdtab_has(epfd) && !fdtab_has(fd)))
		return libc.epoll_ctl(epfd, op, fd, ev);
	r = epoll_set_ctl(epfd, op, fd, ev);
	return r == EPOLL_TO_KERNEL ? libc.epoll_ctl(epfd, op, fd, ev) : (int)to_errno(r);
}

/* The set behind epfd when the arguments are good; else the kernel says what is wrong with them. */
static inline struct epoll_set *waitable(int epfd, int max)
{
	struct epoll_set *set = epoll_set_get(epfd);

	if (!set)
		return NULL;
	if (likely(max > 0 && (size_t)max <= INT32_MAX / sizeof(struct epoll_event)))
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

EXPORT int epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout)
{
	struct epoll_set *set = waitable(epfd, max);

	if (likely(!set))
		return libc.epoll_wait(epfd, ev, max, timeout);
	return wait_in(set, epfd,
		       &(struct epoll_wait_args){ .events = ev, .max = max,
						  .deadline_ns = after_ms(timeout) });
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *ev, int max, int timeout, const sigset_t *mask)
{
	struct epoll_set *set = waitable(epfd, max);

	if (set && !has_mask(mask)) {
		epoll_set_put(set);
		set = NULL;
	}
	if (!set)
		return libc.epoll_pwait(epfd, ev, max, timeout, mask);
	return wait_in(set, epfd,
		       &(struct epoll_wait_args){ .events = ev, .max = max, .mask = mask,
						  .deadline_ns = after_ms(timeout) });
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout,
			const sigset_t *mask)
{
	const struct timespec *given = timeout;
	struct epoll_set *set = waitable(epfd, max);
	struct timespec ts;

	if (set && (!take_ts(&ts, &timeout) || !has_mask(mask))) {
		epoll_set_put(set);
		set = NULL;
	}
	if (!set)
		return libc.epoll_pwait2(epfd, ev, max, given, mask);
	return wait_in(set, epfd,
		       &(struct epoll_wait_args){ .events = ev, .max = max, .mask = mask,
						  .fine = true, .deadline_ns = after_ts(timeout) });
}
