/* Exported: what makes, copies, closes and controls descriptors. Argument plumbing only. */
// SPDX-License-Identifier: MIT
#include <limits.h>
#include <linux/close_range.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "shim/dgram.h"
#include "shim/fdtab.h"
#include "shim/ifaddr.h"
#include "shim/libc.h"
#include "shim/sock.h"
#include "shim/sock_async.h"

/* ---- close ---- */
/* fd has an entry that is no hidden one: entry off, number free, then the reference (which may block). */
static int close_ours(int fd)
{
	struct object *o = fdtab_take(fd);
	int r = libc.close(fd);

	if (o)
		object_put(o);
	return r;
}

EXPORT int close(int fd)
{
	if (likely(!fdtab_has(fd)))
		return libc.close(fd);
	if (fdtab_is_hidden(fd))
		return libc.close(-1);
	return close_ours(fd);
}
EXPORT_ALIAS(__close, close);

/* Calls close_range around the hidden descriptors. */
static int close_but_hidden(unsigned first, unsigned last, int flags)
{
	unsigned from = first;
	int r = 0;

	for (int fd = fdtab_next((int)first); fd >= 0 && (unsigned)fd <= last;
	     fd = fdtab_next(fd + 1)) {
		if (!fdtab_is_hidden(fd)) {
			close_ours(fd);
			continue;
		}
		if (from < (unsigned)fd)
			r = libc.close_range(from, (unsigned)fd - 1, flags);
		from = (unsigned)fd + 1;
	}
	return r < 0 || from > last ? r : libc.close_range(from, last, flags);
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	if (first > last || first >= FDTAB_SIZE || flags & ~CLOSE_RANGE_UNSHARE || fdtab_bypass)
		return libc.close_range(first, last, flags);
	return close_but_hidden(first, last, flags);
}

EXPORT void closefrom(int low)
{
	unsigned first = low < 0 ? 0 : (unsigned)low;

	if (first >= FDTAB_SIZE || fdtab_bypass || close_but_hidden(first, UINT_MAX, 0) < 0)
		libc.closefrom(low);
}

/* ---- copies ---- */
/* n is a new number for what fd is; o: its object or NULL. Uses up the reference. */
static int copied(int n, struct object *o)
{
	if (!o)
		return n < 0 ? n : fdtab_fresh(n);
	if (n >= 0 && !fdtab_set(n, o)) {
		libc.close(n);
		errno = EMFILE;
		n = -1;
	}
	fdtab_put(o);
	return n;
}

/* The object behind fd; *fd = -1 for a hidden one. */
static struct object *enter(int *fd)
{
	struct object *o = fdtab_get(*fd);

	if (o && o->ops->type == OBJECT_HIDDEN) {
		fdtab_put(o);
		*fd = -1;
		return NULL;
	}
	return o;
}

EXPORT int dup(int fd)
{
	struct object *o = enter(&fd);

	return copied(libc.dup(fd), o);
}

/* flags < 0: dup2. */
static int dup_onto(int fd, int to, int flags)
{
	struct object *o = enter(&fd);
	int n;

	if (fd != to && fdtab_is_hidden(to) && fd >= 0)
		fdtab_hidden_move(to);
	n = flags < 0 ? libc.dup2(fd, to) : libc.dup3(fd, to, flags);
	if (n >= 0 && fd == to) {
		if (o)
			fdtab_put(o);
		return n;
	}
	return copied(n, o);
}

EXPORT int dup2(int fd, int to)
{
	return dup_onto(fd, to, -1);
}
EXPORT_ALIAS(__dup2, dup2);

EXPORT int dup3(int fd, int to, int flags)
{
	if (flags < 0)
		return libc.dup3(fd, to, flags);
	return dup_onto(fd, to, flags);
}

/* ---- control ---- */
static int fcntl_ours(int fd, struct object *o, int cmd, void *arg)
{
	struct sock *s = o->ops->type == OBJECT_SOCK ? sock_of(o) : NULL;
	int r = SOCK_TO_KERNEL;

	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return copied(libc.fcntl(fd, cmd, arg), o);
	if (s && cmd == F_GETFL)
		r = sock_is_dgram(s) ? dgram_get_fl(s, fd) : sock_get_fl(s);
	else if (s && cmd == F_SETFL)
		r = sock_is_dgram(s) ? dgram_set_fl(s, fd, (int)(intptr_t)arg) :
				       sock_set_fl(s, fd, (int)(intptr_t)arg);
	else if (s && sock_async_is_fcntl(cmd))
		r = sock_async_fcntl(s, fd, cmd, arg);
	fdtab_put(o);
	return r == SOCK_TO_KERNEL ? libc.fcntl(fd, cmd, arg) : (int)to_errno(r);
}

EXPORT int fcntl(int fd, int cmd, ...)
{
	struct object *o = enter(&fd);
	va_list ap;
	void *arg;
	int r;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (o)
		return fcntl_ours(fd, o, cmd, arg);
	r = libc.fcntl(fd, cmd, arg);
	return (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) && r >= 0 ? fdtab_fresh(r) : r;
}
EXPORT_ALIAS(__fcntl, fcntl);
EXPORT_ALIAS(fcntl64, fcntl);

EXPORT int ioctl(int fd, unsigned long req, ...)
{
	struct sock *s = sock_enter(&fd);
	va_list ap;
	void *arg;
	int r;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (likely(!s))
		return libc.ioctl(fd, req, arg);
	if (ifaddr_is_ioctl(req))
		r = ifaddr_ioctl(fd, req, arg);
	else
		r = sock_is_dgram(s) ? dgram_ioctl(s, fd, req, arg) : sock_ioctl(s, fd, req, arg);
	sock_put(s);
	return r == SOCK_TO_KERNEL ? libc.ioctl(fd, req, arg) : (int)to_errno(r);
}

/* ---- calls that give a new number ---- */
static int fresh(int fd)
{
	return fd < 0 ? fd : fdtab_fresh(fd);
}

static int fresh_pair(int r, const int *fd)
{
	if (r == 0) {
		fresh(fd[0]);
		fresh(fd[1]);
	}
	return r;
}

/* The mode is read whether or not it was given, as libc itself does: it is then not used. */
#define OPEN_LIKE(name, params, before, last) \
	EXPORT int name params \
	{ \
		va_list ap; \
		mode_t mode; \
\
		va_start(ap, last); \
		mode = va_arg(ap, mode_t); \
		va_end(ap); \
		return fresh(libc.name before); \
	}
OPEN_LIKE(open, (const char *path, int flags, ...), (path, flags, mode), flags)
OPEN_LIKE(open64, (const char *path, int flags, ...), (path, flags, mode), flags)
OPEN_LIKE(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), flags)
OPEN_LIKE(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), flags)
EXPORT_ALIAS(__open, open);
EXPORT_ALIAS(__open64, open64);

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags);
int pidfd_open(pid_t pid, unsigned int flags);
int pidfd_getfd(int pidfd, int fd, unsigned int flags);
int fanotify_init(unsigned int flags, unsigned int event_flags);
int inotify_init(void);
int inotify_init1(int flags);
int signalfd(int fd, const sigset_t *mask, int flags);
int timerfd_create(int clock, int flags);
int memfd_create(const char *name, unsigned int flags);

#define FRESH(name, params, args) \
	EXPORT int name params { return fresh(libc.name args); }
FRESH(__open_2, (const char *path, int flags), (path, flags))
FRESH(__open64_2, (const char *path, int flags), (path, flags))
FRESH(__openat_2, (int at, const char *path, int flags), (at, path, flags))
FRESH(__openat64_2, (int at, const char *path, int flags), (at, path, flags))
FRESH(creat, (const char *path, mode_t mode), (path, mode))
FRESH(creat64, (const char *path, mode_t mode), (path, mode))
FRESH(open_by_handle_at, (int at, struct file_handle *h, int flags), (at, h, flags))
FRESH(eventfd, (unsigned int count, int flags), (count, flags))
FRESH(timerfd_create, (int clock, int flags), (clock, flags))
FRESH(signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))
FRESH(inotify_init, (void), ())
FRESH(inotify_init1, (int flags), (flags))
FRESH(fanotify_init, (unsigned int flags, unsigned int ev), (flags, ev))
FRESH(memfd_create, (const char *name, unsigned int flags), (name, flags))
FRESH(pidfd_open, (pid_t pid, unsigned int flags), (pid, flags))
FRESH(pidfd_getfd, (int pidfd, int fd, unsigned int flags), (pidfd, fd, flags))

EXPORT int pipe(int fd[2])
{
	return fresh_pair(libc.pipe(fd), fd);
}
EXPORT_ALIAS(__pipe, pipe);

EXPORT int pipe2(int fd[2], int flags)
{
	return fresh_pair(libc.pipe2(fd, flags), fd);
}

EXPORT int socketpair(int domain, int type, int protocol, int fd[2])
{
	return fresh_pair(libc.socketpair(domain, type, protocol, fd), fd);
}
