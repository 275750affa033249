/* The list of every libc name that the shim takes over: X(return type, name, parameters).
 * struct libc (libc.h), the first-call stubs (libc.c), the linker's --wrap list (CMakeLists.txt) and
 * preload.map (scripts/check-exports.sh) all come from here. LIBC_ALIASES are further names under
 * which glibc 2.36 exports the same function: Y(alias, name). */
// SPDX-License-Identifier: MIT
#pragma once

/* names_socket.c */
#define LIBC_SOCKET_CALLS(X) \
	X(int, socket, (int, int, int)) \
	X(int, socketpair, (int, int, int, int *)) \
	X(int, bind, (int, const struct sockaddr *, socklen_t)) \
	X(int, listen, (int, int)) \
	X(int, accept, (int, struct sockaddr *, socklen_t *)) \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int)) \
	X(int, connect, (int, const struct sockaddr *, socklen_t)) \
	X(int, shutdown, (int, int)) \
	X(int, getsockname, (int, struct sockaddr *, socklen_t *)) \
	X(int, getpeername, (int, struct sockaddr *, socklen_t *)) \
	X(int, getsockopt, (int, int, int, void *, socklen_t *)) \
	X(int, setsockopt, (int, int, int, const void *, socklen_t)) \
	X(int, sockatmark, (int)) \
	X(int, isfdtype, (int, int)) \
	X(int, getifaddrs, (struct ifaddrs **)) \
	X(int, getaddrinfo, (const char *, const char *, const struct addrinfo *, struct addrinfo **))

/* names_io.c */
#define LIBC_IO_CALLS(X) \
	X(ssize_t, read, (int, void *, size_t)) \
	X(ssize_t, __read_chk, (int, void *, size_t, size_t)) \
	X(ssize_t, readv, (int, const struct iovec *, int)) \
	X(ssize_t, recv, (int, void *, size_t, int)) \
	X(ssize_t, __recv_chk, (int, void *, size_t, size_t, int)) \
	X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *)) \
	X(ssize_t, __recvfrom_chk, (int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *)) \
	X(ssize_t, recvmsg, (int, struct msghdr *, int)) \
	X(int, recvmmsg, (int, struct mmsghdr *, unsigned int, int, struct timespec *)) \
	X(ssize_t, write, (int, const void *, size_t)) \
	X(ssize_t, writev, (int, const struct iovec *, int)) \
	X(ssize_t, send, (int, const void *, size_t, int)) \
	X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t)) \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int)) \
	X(int, sendmmsg, (int, struct mmsghdr *, unsigned int, int)) \
	X(ssize_t, pread, (int, void *, size_t, off_t)) \
	X(ssize_t, pread64, (int, void *, size_t, off64_t)) \
	X(ssize_t, __pread_chk, (int, void *, size_t, off_t, size_t)) \
	X(ssize_t, __pread64_chk, (int, void *, size_t, off64_t, size_t)) \
	X(ssize_t, pwrite, (int, const void *, size_t, off_t)) \
	X(ssize_t, pwrite64, (int, const void *, size_t, off64_t)) \
	X(ssize_t, preadv, (int, const struct iovec *, int, off_t)) \
	X(ssize_t, preadv64, (int, const struct iovec *, int, off64_t)) \
	X(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int)) \
	X(ssize_t, preadv64v2, (int, const struct iovec *, int, off64_t, int)) \
	X(ssize_t, pwritev, (int, const struct iovec *, int, off_t)) \
	X(ssize_t, pwritev64, (int, const struct iovec *, int, off64_t)) \
	X(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int)) \
	X(ssize_t, pwritev64v2, (int, const struct iovec *, int, off64_t, int)) \
	X(ssize_t, sendfile, (int, int, off_t *, size_t)) \
	X(ssize_t, sendfile64, (int, int, off64_t *, size_t)) \
	X(ssize_t, splice, (int, off64_t *, int, off64_t *, size_t, unsigned int)) \
	X(FILE *, fdopen, (int, const char *)) \
	X(int, fclose, (FILE *)) \
	X(int, dprintf, (int, const char *, ...)) \
	X(int, vdprintf, (int, const char *, va_list)) \
	X(int, __dprintf_chk, (int, int, const char *, ...)) \
	X(int, __vdprintf_chk, (int, int, const char *, va_list)) \
	X(int, aio_read, (struct aiocb *)) \
	X(int, aio_read64, (struct aiocb64 *)) \
	X(int, aio_write, (struct aiocb *)) \
	X(int, aio_write64, (struct aiocb64 *)) \
	X(int, aio_fsync, (int, struct aiocb *)) \
	X(int, aio_fsync64, (int, struct aiocb64 *)) \
	X(int, aio_cancel, (int, struct aiocb *)) \
	X(int, aio_cancel64, (int, struct aiocb64 *)) \
	X(int, lio_listio, (int, struct aiocb *const *, int, struct sigevent *)) \
	X(int, lio_listio64, (int, struct aiocb64 *const *, int, struct sigevent *))

/* names_fd.c, names_stat.c */
#define LIBC_FD_CALLS(X) \
	X(int, close, (int)) \
	X(int, dup, (int)) \
	X(int, dup2, (int, int)) \
	X(int, dup3, (int, int, int)) \
	X(int, fstat, (int, struct stat *)) \
	X(int, fstatat, (int, const char *, struct stat *, int)) \
	X(int, fstat64, (int, struct stat64 *)) \
	X(int, fstatat64, (int, const char *, struct stat64 *, int)) \
	X(int, __fxstat, (int, int, struct stat *)) \
	X(int, __fxstatat, (int, int, const char *, struct stat *, int)) \
	X(int, statx, (int, const char *, int, unsigned int, struct statx *)) \
	X(int, fcntl, (int, int, ...)) \
	X(int, fcntl64, (int, int, ...)) \
	X(int, ioctl, (int, unsigned long, ...)) \
	X(int, close_range, (unsigned int, unsigned int, int)) \
	X(void, closefrom, (int)) \
	X(int, open, (const char *, int, ...)) \
	X(int, open64, (const char *, int, ...)) \
	X(int, __open_2, (const char *, int)) \
	X(int, __open64_2, (const char *, int)) \
	X(int, openat, (int, const char *, int, ...)) \
	X(int, openat64, (int, const char *, int, ...)) \
	X(int, __openat_2, (int, const char *, int)) \
	X(int, __openat64_2, (int, const char *, int)) \
	X(int, creat, (const char *, mode_t)) \
	X(int, creat64, (const char *, mode_t)) \
	X(int, open_by_handle_at, (int, struct file_handle *, int)) \
	X(int, pipe, (int *)) \
	X(int, pipe2, (int *, int)) \
	X(int, eventfd, (unsigned int, int)) \
	X(int, timerfd_create, (int, int)) \
	X(int, signalfd, (int, const sigset_t *, int)) \
	X(int, inotify_init, (void)) \
	X(int, inotify_init1, (int)) \
	X(int, fanotify_init, (unsigned int, unsigned int)) \
	X(int, memfd_create, (const char *, unsigned int)) \
	X(int, pidfd_open, (pid_t, unsigned int)) \
	X(int, pidfd_getfd, (int, int, unsigned int))

/* names_poll.c */
#define LIBC_POLL_CALLS(X) \
	X(int, poll, (struct pollfd *, nfds_t, int)) \
	X(int, __poll_chk, (struct pollfd *, nfds_t, int, size_t)) \
	X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *)) \
	X(int, __ppoll_chk, \
	  (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t)) \
	X(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *)) \
	X(int, pselect, \
	  (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *)) \
	X(int, epoll_create, (int)) \
	X(int, epoll_create1, (int)) \
	X(int, epoll_ctl, (int, int, int, struct epoll_event *)) \
	X(int, epoll_wait, (int, struct epoll_event *, int, int)) \
	X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *)) \
	X(int, epoll_pwait2, \
	  (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))

/* names_process.c, spawn_actions.c, sandbox.c */
#define LIBC_PROCESS_CALLS(X) \
	X(pid_t, fork, (void)) \
	X(pid_t, _Fork, (void)) \
	X(pid_t, vfork, (void)) \
	X(int, clone, (int (*)(void *), void *, int, void *, ...)) \
	X(int, posix_spawn, \
	  (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, \
	   char *const *, char *const *)) \
	X(int, posix_spawnp, \
	  (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, \
	   char *const *, char *const *)) \
	X(int, posix_spawn_file_actions_init, (posix_spawn_file_actions_t *)) \
	X(int, posix_spawn_file_actions_destroy, (posix_spawn_file_actions_t *)) \
	X(int, posix_spawn_file_actions_addopen, \
	  (posix_spawn_file_actions_t *, int, const char *, int, mode_t)) \
	X(int, posix_spawn_file_actions_addclose, (posix_spawn_file_actions_t *, int)) \
	X(int, posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t *, int, int)) \
	X(int, posix_spawn_file_actions_addchdir_np, (posix_spawn_file_actions_t *, const char *)) \
	X(int, posix_spawn_file_actions_addfchdir_np, (posix_spawn_file_actions_t *, int)) \
	X(int, posix_spawn_file_actions_addclosefrom_np, (posix_spawn_file_actions_t *, int)) \
	X(int, posix_spawn_file_actions_addtcsetpgrp_np, (posix_spawn_file_actions_t *, int)) \
	X(int, system, (const char *)) \
	X(FILE *, popen, (const char *, const char *)) \
	X(int, daemon, (int, int)) \
	X(int, execve, (const char *, char *const *, char *const *)) \
	X(int, execv, (const char *, char *const *)) \
	X(int, execvp, (const char *, char *const *)) \
	X(int, execvpe, (const char *, char *const *, char *const *)) \
	X(int, execl, (const char *, const char *, ...)) \
	X(int, execlp, (const char *, const char *, ...)) \
	X(int, execle, (const char *, const char *, ...)) \
	X(int, execveat, (int, const char *, char *const *, char *const *, int)) \
	X(int, fexecve, (int, char *const *, char *const *)) \
	X(int, prctl, (int, ...)) \
	X(int, sigaction, (int, const struct sigaction *, struct sigaction *)) \
	X(sighandler_t, signal, (int, sighandler_t)) \
	X(int, pthread_sigmask, (int, const sigset_t *, sigset_t *)) \
	X(int, sigprocmask, (int, const sigset_t *, sigset_t *))

/* names_syscall.c */
#define LIBC_SYSCALL_CALLS(X) X(long, syscall, (long, ...))

#define LIBC_CALLS(X) \
	LIBC_SOCKET_CALLS(X) \
	LIBC_IO_CALLS(X) \
	LIBC_FD_CALLS(X) \
	LIBC_POLL_CALLS(X) \
	LIBC_PROCESS_CALLS(X) \
	LIBC_SYSCALL_CALLS(X)

#define LIBC_ALIASES(Y) \
	Y(__socket, socket) \
	Y(__connect, connect) \
	Y(__read, read) \
	Y(__recv, recv) \
	Y(__write, write) \
	Y(__send, send) \
	Y(__sendmmsg, sendmmsg) \
	Y(__pread64, pread64) \
	Y(__pwrite64, pwrite64) \
	Y(__close, close) \
	Y(__dup2, dup2) \
	Y(__fcntl, fcntl) \
	Y(__open, open) \
	Y(__open64, open64) \
	Y(__pipe, pipe) \
	Y(__poll, poll) \
	Y(__select, select) \
	Y(__fork, fork) \
	Y(__libc_fork, fork) \
	Y(__vfork, vfork) \
	Y(__clone, clone) \
	Y(__sigaction, sigaction) \
	Y(__fxstat64, __fxstat) \
	Y(__fxstatat64, __fxstatat)
