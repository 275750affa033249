/* Signals about a socket: see sock_async.h. */
// SPDX-License-Identifier: MIT
#include "shim/sock_async.h"
#include <asm/ioctls.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include "shim/libc.h"
#include "shim/sock_conn.h"
#include "shim/wait.h"
#include "stack/chan/line.h"

enum { CHILD_STACK = 4096 };

/* ---- the state of a file ---- */
static void copy_owner(int from, int to)
{
	struct f_owner_ex owner;
	int saved = errno, sig = libc.fcntl(from, F_GETSIG);

	if (libc.fcntl(from, F_GETOWN_EX, &owner) == 0 && owner.pid)
		libc.fcntl(to, F_SETOWN_EX, &owner);
	if (sig > 0)
		libc.fcntl(to, F_SETSIG, sig);
	errno = saved;
}

static bool is_async(const struct sock *s)
{
	return atomic_load(&s->b->file_flags) & O_ASYNC;
}

static void switch_async(int fd, int on)
{
	int saved = errno;

	libc.ioctl(fd, FIOASYNC, &on);
	errno = saved;
}

/* Switches O_ASYNC on for the hidden file `from` as if it were at number fd: signals name the number that
 * the call was made by. The number is another file's here, but not in a child that shares everything with
 * us except the descriptors. */
struct disguise {
	int from, fd;
};

static int disguised(void *arg)
{
	const struct disguise *d = arg;
	int on = 1;

	if (sys_dup3(d->from, d->fd, O_CLOEXEC) >= 0)
		sys_call3(SYS_ioctl, d->fd, FIOASYNC, (long)&on);
	return 0;
}

static void switch_on_as(int from, int fd)
{
	_Alignas(16) char stack[CHILD_STACK];
	struct disguise d = { from, fd };
	sigset_t all, old;
	int saved = errno, pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* no handler may run in it */
	pid = libc.clone(disguised, stack + sizeof(stack), CLONE_VM | CLONE_VFORK, &d);
	if (pid > 0)
		sys_call6(SYS_wait4, pid, 0, (int)__WCLONE, 0, 0, 0);
	else
		switch_async(from, 1);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved;
}

/* ---- whose file is at the numbers ---- */
/* The kernel's half, which stays there. */
static bool has_half(const struct sock *s)
{
	return sock_has(s, SOCK_TWIN) || sock_is_dgram(s);
}

void sock_async_inherit(struct sock *s, int k)
{
	int fd = sock_fd(s);

	if (fd >= 0)
		copy_owner(fd, k);
	s->line_here = false;
}

void sock_async_placed(struct sock *s)
{
	struct sock *now;
	int fd = s->async_fd;

	if (!is_async(s))
		return;
	now = sock_get(fd);
	if (now)
		sock_put(now);
	if (now != s)
		fd = sock_fd(s);
	if (fd >= 0)
		switch_async(fd, 1);
}

static int plain_file(void)
{
	int k = libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return k < 0 ? -errno : k;
}

/* k takes the numbers and is closed. */
static int place(struct sock *s, int k)
{
	int r = k < 0 ? k : sock_put_under(s, k);

	if (k >= 0)
		libc.close(k);
	return r;
}

/* A line from the engine: to the numbers, or aside. */
static int give_line(struct sock *s)
{
	uint32_t line;
	int k, r = chan_line_open(s->app, &line, &k);

	if (r < 0)
		return r;
	if (has_half(s)) {
		copy_owner(sock_fd(s), k);
		k = fdtab_hide(k, &s->line_fd);
		r = k < 0 ? k : 0;
		if (r == 0 && is_async(s))
			switch_on_as(k, s->async_fd);
	} else {
		r = place(s, k);
		s->line_here = r == 0;
	}
	if (r < 0)
		chan_line_close(s->app, line);
	else
		chan_line_use(s->app, s->id, line);
	return r;
}

void sock_async_attached(struct sock *s)
{
	int saved = errno;

	fdtab_hidden_close(&s->line_fd); /* of an engine that has ended */
	give_line(s);
	errno = saved;
}

void sock_async_twin(struct sock *s)
{
	int k = s->line_here ? libc.fcntl(sock_fd(s), F_DUPFD_CLOEXEC, 0) : -1;

	if (k >= 0)
		fdtab_hide(k, &s->line_fd);
}

int sock_async_untwin(struct sock *s)
{
	int fd = atomic_load(&s->line_fd);
	int k = fd < 0 ? plain_file() : libc.fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0 || k < 0)
		return k < 0 ? -errno : k;
	fdtab_hidden_close(&s->line_fd);
	return k;
}

/* The engine closes its end of the line, which would be a signal to who still has the other. */
void sock_async_leave(struct sock *s)
{
	int saved = errno;

	fdtab_hidden_close(&s->line_fd);
	if (s->line_here && sock_fd(s) >= 0)
		place(s, plain_file());
	errno = saved;
}

/* The first of these calls on s: a file of its own. */
static int prepare(struct sock *s)
{
	int r = 0;

	if (sock_has(s, SOCK_OWN_FILE))
		return 0;
	r = sock_lock(s);
	if (r < 0)
		return r;
	if (sock_mode(s) == SOCK_KERNEL) {
		r = SOCK_TO_KERNEL;
	} else if (!sock_has(s, SOCK_OWN_FILE)) {
		r = -ENOTCONN;
		if (sock_is_attached(s) && !sock_is_dead(s))
			r = give_line(s);
		if (r < 0 && !has_half(s))
			r = place(s, plain_file());
		if (r >= 0 || has_half(s))
			atomic_fetch_or(&s->flags, SOCK_OWN_FILE);
	}
	sock_unlock(s);
	return r == SOCK_TO_KERNEL || !sock_has(s, SOCK_OWN_FILE) ? r : 0;
}

/* ---- the calls ---- */
bool sock_async_is_fcntl(int cmd)
{
	return cmd == F_SETOWN || cmd == F_SETOWN_EX || cmd == F_SETSIG;
}

int sock_async_fcntl(struct sock *s, int fd, int cmd, void *arg)
{
	int line, r = sock_mode(s) == SOCK_KERNEL ? SOCK_TO_KERNEL : prepare(s);

	if (r < 0)
		return r;
	r = libc.fcntl(fd, cmd, arg);
	line = atomic_load(&s->line_fd);
	if (r >= 0 && line >= 0)
		libc.fcntl(line, cmd, arg);
	return r < 0 ? -errno : r;
}

int sock_async_ioctl(struct sock *s, int fd, unsigned long req, void *arg)
{
	int line, r = sock_mode(s) == SOCK_KERNEL ? SOCK_TO_KERNEL : prepare(s);

	if (r < 0)
		return r;
	r = libc.ioctl(fd, req, arg);
	line = atomic_load(&s->line_fd);
	if (r >= 0 && line >= 0)
		libc.ioctl(line, req, arg);
	return r < 0 ? -errno : r;
}

void sock_async_switch(struct sock *s, int fd, bool on)
{
	int line;

	if (prepare(s) < 0)
		return;
	if (on)
		s->async_fd = fd;
	switch_async(fd, on);
	line = atomic_load(&s->line_fd);
	if (line >= 0 && on)
		switch_on_as(line, fd);
	else if (line >= 0)
		switch_async(line, 0);
}

/* ---- readers ---- */
static void awake(void *arg)
{
	struct chan_sock_b *b = arg;

	atomic_fetch_sub(&b->rx_sleepers, 1);
}

int sock_async_wait(struct sock *s, uint32_t seen, uint64_t deadline_ns)
{
	volatile int r = 0; /* lives across the cancellation frame */

	atomic_fetch_add(&s->b->rx_sleepers, 1);
	pthread_cleanup_push(awake, s->b);
	r = wait_sock(s, seen, deadline_ns);
	pthread_cleanup_pop(1);
	return r;
}
