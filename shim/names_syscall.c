/* Exported: syscall(). libuv, node, python, the JVM and nginx make system calls by number: those that
 * concern a descriptor of ours go to the function of that name, the rest to the kernel with all six
 * arguments. */
// SPDX-License-Identifier: MIT
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/process.h"
#include "shim/sandbox.h"

extern int LIBC_OURS(execve)(const char *path, char *const argv[], char *const envp[]);
extern int LIBC_OURS(execveat)(int dirfd, const char *path, char *const argv[], char *const envp[],
			       int flags);
#define X(ret, name, params) extern ret LIBC_OURS(name) params;
LIBC_SOCKET_CALLS(X)
LIBC_IO_CALLS(X)
LIBC_FD_CALLS(X)
LIBC_POLL_CALLS(X)
#undef X

struct args {
	long a, b, c, d, e, f;
};
#define FD ((int)x->a)
#define PTR(v) ((void *)(v))

/* Calls whose first argument is a descriptor of ours. False: not one of these. */
static bool bytes_of_ours(long nr, const struct args *x, long *r)
{
	switch (nr) {
	case SYS_read: *r = LIBC_OURS(read)(FD, PTR(x->b), (size_t)x->c); return true;
	case SYS_write: *r = LIBC_OURS(write)(FD, PTR(x->b), (size_t)x->c); return true;
	case SYS_readv: *r = LIBC_OURS(readv)(FD, PTR(x->b), (int)x->c); return true;
	case SYS_writev: *r = LIBC_OURS(writev)(FD, PTR(x->b), (int)x->c); return true;
	case SYS_pread64: *r = LIBC_OURS(pread64)(FD, PTR(x->b), (size_t)x->c, x->d); return true;
	case SYS_pwrite64: *r = LIBC_OURS(pwrite64)(FD, PTR(x->b), (size_t)x->c, x->d); return true;
	case SYS_preadv: *r = LIBC_OURS(preadv64)(FD, PTR(x->b), (int)x->c, x->d); return true;
	case SYS_pwritev: *r = LIBC_OURS(pwritev64)(FD, PTR(x->b), (int)x->c, x->d); return true;
	case SYS_preadv2:
		*r = LIBC_OURS(preadv64v2)(FD, PTR(x->b), (int)x->c, x->d, (int)x->f);
		return true;
	case SYS_pwritev2:
		*r = LIBC_OURS(pwritev64v2)(FD, PTR(x->b), (int)x->c, x->d, (int)x->f);
		return true;
	case SYS_sendto:
		*r = LIBC_OURS(sendto)(FD, PTR(x->b), (size_t)x->c, (int)x->d, PTR(x->e),
				   (socklen_t)x->f);
		return true;
	case SYS_recvfrom:
		*r = LIBC_OURS(recvfrom)(FD, PTR(x->b), (size_t)x->c, (int)x->d, PTR(x->e), PTR(x->f));
		return true;
	case SYS_sendmsg: *r = LIBC_OURS(sendmsg)(FD, PTR(x->b), (int)x->c); return true;
	case SYS_recvmsg: *r = LIBC_OURS(recvmsg)(FD, PTR(x->b), (int)x->c); return true;
	case SYS_sendmmsg:
		*r = LIBC_OURS(sendmmsg)(FD, PTR(x->b), (unsigned)x->c, (int)x->d);
		return true;
	case SYS_recvmmsg:
		*r = LIBC_OURS(recvmmsg)(FD, PTR(x->b), (unsigned)x->c, (int)x->d, PTR(x->e));
		return true;
	default:
		return false;
	}
}

static bool control_of_ours(long nr, const struct args *x, long *r)
{
	switch (nr) {
	case SYS_close: *r = LIBC_OURS(close)(FD); return true;
	case SYS_dup: *r = LIBC_OURS(dup)(FD); return true;
	case SYS_fcntl: *r = LIBC_OURS(fcntl)(FD, (int)x->b, x->c); return true;
	case SYS_ioctl: *r = LIBC_OURS(ioctl)(FD, (unsigned long)x->b, x->c); return true;
	case SYS_fstat: *r = LIBC_OURS(fstat)(FD, PTR(x->b)); return true;
	case SYS_newfstatat:
		*r = LIBC_OURS(fstatat)(FD, PTR(x->b), PTR(x->c), (int)x->d);
		return true;
	case SYS_statx:
		*r = LIBC_OURS(statx)(FD, PTR(x->b), (int)x->c, (unsigned)x->d, PTR(x->e));
		return true;
	case SYS_bind: *r = LIBC_OURS(bind)(FD, PTR(x->b), (socklen_t)x->c); return true;
	case SYS_connect: *r = LIBC_OURS(connect)(FD, PTR(x->b), (socklen_t)x->c); return true;
	case SYS_listen: *r = LIBC_OURS(listen)(FD, (int)x->b); return true;
	case SYS_accept: *r = LIBC_OURS(accept)(FD, PTR(x->b), PTR(x->c)); return true;
	case SYS_accept4: *r = LIBC_OURS(accept4)(FD, PTR(x->b), PTR(x->c), (int)x->d); return true;
	case SYS_shutdown: *r = LIBC_OURS(shutdown)(FD, (int)x->b); return true;
	case SYS_getsockname: *r = LIBC_OURS(getsockname)(FD, PTR(x->b), PTR(x->c)); return true;
	case SYS_getpeername: *r = LIBC_OURS(getpeername)(FD, PTR(x->b), PTR(x->c)); return true;
	case SYS_getsockopt:
		*r = LIBC_OURS(getsockopt)(FD, (int)x->b, (int)x->c, PTR(x->d), PTR(x->e));
		return true;
	case SYS_setsockopt:
		*r = LIBC_OURS(setsockopt)(FD, (int)x->b, (int)x->c, PTR(x->d), (socklen_t)x->e);
		return true;
	case SYS_epoll_wait:
		*r = LIBC_OURS(epoll_wait)(FD, PTR(x->b), (int)x->c, (int)x->d);
		return true;
	case SYS_epoll_pwait:
		*r = LIBC_OURS(epoll_pwait)(FD, PTR(x->b), (int)x->c, (int)x->d, PTR(x->e));
		return true;
	case SYS_epoll_pwait2:
		*r = LIBC_OURS(epoll_pwait2)(FD, PTR(x->b), (int)x->c, PTR(x->d), PTR(x->e));
		return true;
	default:
		return false;
	}
}

/* Calls that may concern ours by another argument, or make something of ours. */
static bool general(long nr, const struct args *x, long *r)
{
	const struct {
		const sigset_t *mask;
		size_t len;
	} *m = PTR(x->f);

	switch (nr) {
	case SYS_socket: *r = LIBC_OURS(socket)((int)x->a, (int)x->b, (int)x->c); return true;
	case SYS_epoll_create: *r = LIBC_OURS(epoll_create)((int)x->a); return true;
	case SYS_epoll_create1: *r = LIBC_OURS(epoll_create1)((int)x->a); return true;
	case SYS_epoll_ctl:
		*r = LIBC_OURS(epoll_ctl)(FD, (int)x->b, (int)x->c, PTR(x->d));
		return true;
	case SYS_dup2: *r = LIBC_OURS(dup2)(FD, (int)x->b); return true;
	case SYS_dup3: *r = LIBC_OURS(dup3)(FD, (int)x->b, (int)x->c); return true;
	case SYS_close_range:
		*r = LIBC_OURS(close_range)((unsigned)x->a, (unsigned)x->b, (int)x->c);
		return true;
	case SYS_poll: *r = LIBC_OURS(poll)(PTR(x->a), (nfds_t)x->b, (int)x->c); return true;
	case SYS_select:
		*r = LIBC_OURS(select)(FD, PTR(x->b), PTR(x->c), PTR(x->d), PTR(x->e));
		return true;
	case SYS_ppoll: *r = LIBC_OURS(ppoll)(PTR(x->a), (nfds_t)x->b, PTR(x->c), PTR(x->d)); return true;
	case SYS_pselect6:
		*r = LIBC_OURS(pselect)(FD, PTR(x->b), PTR(x->c), PTR(x->d), PTR(x->e),
				    m ? m->mask : NULL);
		return true;
	case SYS_sendfile:
		*r = LIBC_OURS(sendfile64)(FD, (int)x->b, PTR(x->c), (size_t)x->d);
		return true;
	case SYS_splice:
		*r = LIBC_OURS(splice)(FD, PTR(x->b), (int)x->c, PTR(x->d), (size_t)x->e,
				   (unsigned)x->f);
		return true;
	case SYS_execve: *r = LIBC_OURS(execve)(PTR(x->a), PTR(x->b), PTR(x->c)); return true;
	case SYS_execveat:
		*r = LIBC_OURS(execveat)(FD, PTR(x->b), PTR(x->c), PTR(x->d), (int)x->e);
		return true;
	default:
		return false;
	}
}

/* Does the call concern a descriptor of ours, as far as its arguments show without being followed? */
static bool is_general_ours(long nr, const struct args *x)
{
	switch (nr) {
	case SYS_socket:
	case SYS_epoll_create:
	case SYS_epoll_create1:
	case SYS_close_range:
	case SYS_poll:
	case SYS_select:
	case SYS_ppoll:
	case SYS_pselect6:
	case SYS_execve:
	case SYS_execveat:
		return true; /* the functions look themselves, and a foreign call passes through them */
	case SYS_dup2:
	case SYS_dup3:
	case SYS_sendfile:
		return fdtab_has(FD) || fdtab_has((int)x->b);
	case SYS_epoll_ctl:
	case SYS_splice:
		return fdtab_has(FD) || fdtab_has((int)x->c);
	default:
		return false;
	}
}

/* What they carry may be ours where the descriptor is not: sendmsg() and its like look (pass.c). */
static bool may_carry_rights(long nr)
{
	return nr == SYS_sendmsg || nr == SYS_recvmsg || nr == SYS_sendmmsg || nr == SYS_recvmmsg;
}

/* A raw fork: memory is copied, so that the child needs a place in the engine. */
static bool is_copying_fork(long nr, const struct args *x)
{
	if (nr == SYS_fork || nr == SYS_vfork)
		return true;
	if (nr == SYS_clone)
		return !(x->a & CLONE_VM);
	if (nr == SYS_clone3 && x->a && (size_t)x->b >= sizeof(uint64_t))
		return !(((struct clone_args *)PTR(x->a))->flags & CLONE_VM);
	return false;
}

static long raw_fork(long nr, const struct args *x)
{
	long r;

	process_fork_prepare();
	/* vfork() shares the stack frame that it returns through; as a copy it works from anywhere. */
	r = libc.syscall(nr == SYS_vfork ? SYS_fork : nr, x->a, x->b, x->c, x->d, x->e, x->f);
	if (r == 0)
		process_fork_child();
	else
		process_fork_parent();
	return r;
}

static bool is_iouring_allowed(void)
{
	const char *v = getenv("FASTNET_IOURING");

	return v && !strcmp(v, "1");
}

EXPORT long syscall(long nr, ...)
{
	struct args args, *x = &args;
	va_list ap;
	long r;

	va_start(ap, nr);
	args.a = va_arg(ap, long);
	args.b = va_arg(ap, long);
	args.c = va_arg(ap, long);
	args.d = va_arg(ap, long);
	args.e = va_arg(ap, long);
	args.f = va_arg(ap, long);
	va_end(ap);
	if (fdtab_has(FD) && (bytes_of_ours(nr, x, &r) || control_of_ours(nr, x, &r)))
		return r;
	if (may_carry_rights(nr) && bytes_of_ours(nr, x, &r))
		return r;
	if (is_general_ours(nr, x) && general(nr, x, &r))
		return r;
	if (nr == SYS_seccomp || (nr == SYS_prctl && x->a == PR_SET_SECCOMP))
		sandbox_prepare();
	if (is_copying_fork(nr, x))
		return raw_fork(nr, x);
	/* A ring would work on the numbers behind our back. */
	if (nr == SYS_io_uring_setup && !is_iouring_allowed()) {
		errno = ENOSYS;
		return -1;
	}
	return libc.syscall(nr, args.a, args.b, args.c, args.d, args.e, args.f);
}
