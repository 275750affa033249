/* Datagram (UDP) sockets as the application sees them: a kernel UDP socket sits at the program's number from
 * the start, and a socket of the stack (app, id) joins it when it gets something to do. names_*.c
 * hand sockets of type SOCK_DGRAM to the functions here.
 *
 * Who does what:
 *  - mode is SOCK_STACK, also while only the kernel works, until something that the stack can't do (a bind to
 *    an address of the kernel's, a filter) hands the socket over: SOCK_KERNEL then, without an object, for
 *    good.
 *  - options: setsockopt() goes to the kernel's socket first, which checks it exactly as Linux does and
 *    remembers it; what was accepted and concerns the stack is then noted in b->opts or in the dgram's own
 *    record. getsockopt() asks the kernel, except for what only the stack knows (ERROR, MEMINFO...).
 *  - bind() to any address: the port is taken on both sides (same number; port 0: kernel chooses, engine
 *    confirms, a few tries). To an address of the stack: the stack only, the kernel's stays unbound. To
 *    another address: the kernel only.
 *  - connect(): by route. To the stack: receives from the peer through the stack only; the kernel's half, if
 *    bound, is made deaf to others as Linux would (connected sockets hear their peer only). To the
 *    kernel: the opposite. AF_UNSPEC dissolves it. Without bind, only the side in question gets a port.
 *  - sendto() of an unconnected socket: by route of the destination; binds implicitly (both sides, as
 *    bind(any, 0) would) on first use.
 *  - recv(): both sides while both can receive; in turn, so that neither starves. Blocking with both:
 *    wait_mixed(); with the stack only: wait_sock().
 *  - readiness: the stack's chan_readiness(), together with IN, PRI and ERR of the kernel's, which is watched
 *    the same way as a listener's twin (SOCK_TWIN is set while the kernel's half may receive).
 *  - the engine gone: the stack's half ends, the kernel's lives on. The next engine gives it the same port,
 *    peer and groups again. */
// SPDX-License-Identifier: MIT
#pragma once
#include <sys/socket.h>
#include <sys/uio.h>
#include "shim/sock.h"

/* A new descriptor, or SOCK_TO_KERNEL (no engine: an ordinary kernel socket, counted). */
int dgram_open(int domain, int type, int protocol);
int dgram_bind(struct sock *s, int fd, const struct sockaddr *addr, socklen_t len);
int dgram_connect(struct sock *s, int fd, const struct sockaddr *addr, socklen_t len);
int dgram_shutdown(struct sock *s, int fd, int how);
int dgram_getname(struct sock *s, int fd, struct sockaddr *addr, socklen_t *len);
int dgram_getpeer(struct sock *s, int fd, struct sockaddr *addr, socklen_t *len);
int dgram_getopt(struct sock *s, int fd, int level, int name, void *val, socklen_t *len);
int dgram_setopt(struct sock *s, int fd, int level, int name, const void *val, socklen_t len);
int dgram_ioctl(struct sock *s, int fd, unsigned long req, void *arg);
int dgram_get_fl(struct sock *s, int fd);
int dgram_set_fl(struct sock *s, int fd, int fl);
/* One datagram (several with UDP_SEGMENT, never a part). All pointers are the program's and may be bad; what
 * is wrong with them the kernel says (SOCK_TO_KERNEL). Bytes or -errno. rwf: RWF_* of preadv2, pwritev2. */
ssize_t dgram_read(struct sock *s, int fd, void *buf, size_t n);
ssize_t dgram_readv(struct sock *s, int fd, const struct iovec *iov, int n, int rwf);
ssize_t dgram_recvfrom(struct sock *s, int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
		       socklen_t *len);
ssize_t dgram_recvmsg(struct sock *s, int fd, struct msghdr *msg, int flags);
int dgram_recvmmsg(struct sock *s, int fd, struct mmsghdr *msgs, unsigned int n, int flags,
		   struct timespec *timeout);
ssize_t dgram_write(struct sock *s, int fd, const void *buf, size_t n);
ssize_t dgram_writev(struct sock *s, int fd, const struct iovec *iov, int n, int rwf);
ssize_t dgram_sendto(struct sock *s, int fd, const void *buf, size_t n, int flags,
		     const struct sockaddr *addr, socklen_t len);
ssize_t dgram_sendmsg(struct sock *s, int fd, const struct msghdr *msg, int flags);
int dgram_sendmmsg(struct sock *s, int fd, struct mmsghdr *msgs, unsigned int n, int flags);
/* From a file, from and to a pipe. */
ssize_t dgram_sendfile(struct sock *s, int fd, int in, int64_t *offset, size_t count);
ssize_t dgram_splice_in(struct sock *s, int fd, int pipe, size_t n, unsigned int flags);
ssize_t dgram_splice_out(struct sock *s, int fd, int pipe, size_t n, unsigned int flags);
uint32_t dgram_readiness(const struct sock *s);
/* Before a fork: the stack's half exists from now on, so that parent and child share it. */
void dgram_settle(struct sock *s);
/* In the child of a fork: locks that other threads of the parent held are free. */
void dgram_after_fork(struct sock *s);
/* It had a port in an engine that has ended, and wants one in the next: see sock_revive(). */
bool dgram_is_orphan(const struct sock *s);
/* Its engine has ended or handed over: is there anything about s that the next one must have? */
bool dgram_must_move(const struct sock *s);
/* Has it there, if that can be now. Caller holds the lock. */
void dgram_move(struct sock *s, struct chan_app *app);
/* The last descriptor of this process is gone. */
void dgram_release(struct sock *s);
