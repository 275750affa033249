/* Raw Linux system calls for x86-64: each returns its result or -errno and never touches errno, libc
 * or thread cancellation. For code that runs inside the shim, where read, write, syscall ... of libc are
 * names that the shim itself exports, and inside signal handlers. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <linux/futex.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
static inline long sys_call3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}
static inline long sys_call4(long nr, long a, long b, long c, long d)
{
	long ret;
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

/* ---- files ---- */
static inline long sys_read(int fd, void *p, size_t n)
{
	return sys_call3(SYS_read, fd, (long)p, (long)n);
}
static inline long sys_write(int fd, const void *p, size_t n)
{
	return sys_call3(SYS_write, fd, (long)p, (long)n);
}
static inline int sys_close(int fd) { return (int)sys_call3(SYS_close, fd, 0, 0); }
static inline int sys_open(const char *path, int flags, int mode)
{
	return (int)sys_call3(SYS_open, (long)path, flags, mode);
}
static inline int sys_fcntl(int fd, int cmd, long arg)
{
	return (int)sys_call3(SYS_fcntl, fd, cmd, arg);
}
static inline int sys_dup3(int fd, int to, int flags)
{
	return (int)sys_call3(SYS_dup3, fd, to, flags);
}
/* The kernel's struct stat is glibc's on x86-64. */
struct stat;
static inline int sys_stat(const char *path, struct stat *st)
{
	return (int)sys_call3(SYS_stat, (long)path, (long)st, 0);
}
static inline int sys_fstat(int fd, struct stat *st)
{
	return (int)sys_call3(SYS_fstat, fd, (long)st, 0);
}

/* ---- memory ---- */
/* The address, or -errno as a value that sys_is_err() recognises. */
static inline void *sys_mmap(void *at, size_t n, int prot, int flags, int fd, long off)
{
	return (void *)sys_call6(SYS_mmap, (long)at, (long)n, prot, flags, fd, off);
}
static inline int sys_is_err(const void *p) { return (unsigned long)p >= (unsigned long)-4095l; }
static inline int sys_munmap(void *p, size_t n)
{
	return (int)sys_call3(SYS_munmap, (long)p, (long)n, 0);
}
static inline int sys_madvise(void *p, size_t n, int advice)
{
	return (int)sys_call3(SYS_madvise, (long)p, (long)n, advice);
}

/* ---- sockets ---- */
static inline int sys_socket(int domain, int type, int proto)
{
	return (int)sys_call3(SYS_socket, domain, type, proto);
}
static inline int sys_connect(int fd, const void *addr, socklen_t len)
{
	return (int)sys_call3(SYS_connect, fd, (long)addr, len);
}
static inline long sys_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return sys_call3(SYS_sendmsg, fd, (long)m, flags);
}
static inline long sys_recvmsg(int fd, struct msghdr *m, int flags)
{
	return sys_call3(SYS_recvmsg, fd, (long)m, flags);
}
static inline long sys_send(int fd, const void *p, size_t n, int flags)
{
	return sys_call6(SYS_sendto, fd, (long)p, (long)n, flags, 0, 0);
}
static inline long sys_recv(int fd, void *p, size_t n, int flags)
{
	return sys_call6(SYS_recvfrom, fd, (long)p, (long)n, flags, 0, 0);
}
static inline int sys_shutdown(int fd, int how) { return (int)sys_call3(SYS_shutdown, fd, how, 0); }
static inline int sys_setsockopt(int fd, int level, int name, const void *p, socklen_t n)
{
	return (int)sys_call6(SYS_setsockopt, fd, level, name, (long)p, n, 0);
}

/* ---- processes and threads ---- */
static inline int sys_getpid(void) { return (int)sys_call3(SYS_getpid, 0, 0, 0); }
static inline int sys_gettid(void) { return (int)sys_call3(SYS_gettid, 0, 0, 0); }
static inline int sys_tgkill(int pid, int tid, int sig)
{
	return (int)sys_call3(SYS_tgkill, pid, tid, sig);
}
static inline void sys_sched_yield(void) { sys_call3(SYS_sched_yield, 0, 0, 0); }
/* sig 0: -ESRCH when no such thread lives. */
static inline int sys_tkill(int tid, int sig) { return (int)sys_call3(SYS_tkill, tid, sig, 0); }
/* Only of a process (the first thread's id); readable once all its threads have ended, reaped or not. */
static inline int sys_pidfd_open(int pid) { return (int)sys_call3(SYS_pidfd_open, pid, 0, 0); }
struct pollfd;
/* timeout NULL: for ever. */
static inline int sys_ppoll(struct pollfd *p, unsigned n, const struct timespec *timeout)
{
	return (int)sys_call6(SYS_ppoll, (long)p, n, (long)timeout, 0, 0, 0);
}
struct rlimit;
static inline int sys_getrlimit(int what, struct rlimit *r)
{
	return (int)sys_call4(SYS_prlimit64, 0, what, 0, (long)r);
}

/* ---- time ---- */
static inline int sys_clock_gettime(int clock, struct timespec *ts)
{
	return (int)sys_call3(SYS_clock_gettime, clock, (long)ts, 0);
}
static inline int sys_clock_nanosleep(int clock, int flags, const struct timespec *ts,
				      struct timespec *rem)
{
	return (int)sys_call4(SYS_clock_nanosleep, clock, flags, (long)ts, (long)rem);
}

/* ---- futexes: always the shared (not PRIVATE) kind ---- */
/* Waits while *word == val. timeout NULL: for ever; else CLOCK_MONOTONIC, absolute. A signal handler
 * ends a wait with a timeout (-EINTR) even with SA_RESTART; one without restarts as the handler says. */
static inline int sys_futex_wait(const _Atomic uint32_t *word, uint32_t val,
				 const struct timespec *timeout)
{
	return (int)sys_call6(SYS_futex, (long)word, FUTEX_WAIT_BITSET, val, (long)timeout, 0,
			      FUTEX_BITSET_MATCH_ANY);
}
static inline int sys_futex_wake(const _Atomic uint32_t *word, int n)
{
	return (int)sys_call3(SYS_futex, (long)word, FUTEX_WAKE, n);
}
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
struct sys_waitv {
	uint64_t val;
	uint64_t addr;
	uint32_t flags;
	uint32_t pad;
};
enum { SYS_WAITV_U32 = 2 /* FUTEX_32, shared */ };
/* Waits while every word has its value. The index of the woken word, -EAGAIN when one differed,
 * -EINTR, -ETIMEDOUT, -ENOSYS before Linux 5.16. timeout as above; restarts as the handler says. */
static inline int sys_futex_waitv(const struct sys_waitv *v, unsigned n,
				  const struct timespec *timeout)
{
	return (int)sys_call6(SYS_futex_waitv, (long)v, n, 0, (long)timeout, CLOCK_MONOTONIC, 0);
}
