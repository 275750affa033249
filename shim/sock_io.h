/* The further shapes of sending and receiving, for names_io.c; sock.h has the plain ones. All return
 * a count, -errno or SOCK_TO_KERNEL. */
// SPDX-License-Identifier: MIT
#pragma once
#include <sys/socket.h>
#include <sys/uio.h>
#include "shim/sock.h"

/* Buffers and iovecs of the program as they come: any pointer may be bad. rwf: RWF_* of preadv2 and
 * pwritev2. */
ssize_t sock_read(struct sock *s, void *buf, size_t n);
ssize_t sock_readv(struct sock *s, const struct iovec *iov, int n, int rwf);
ssize_t sock_recvfrom(struct sock *s, void *buf, size_t n, int flags, struct sockaddr *addr,
		      socklen_t *len);
ssize_t sock_write(struct sock *s, const void *buf, size_t n);
ssize_t sock_writev(struct sock *s, const struct iovec *iov, int n, int rwf);
ssize_t sock_sendto(struct sock *s, const void *buf, size_t n, int flags,
		    const struct sockaddr *addr, socklen_t len);

/* Nothing to read: why not? 0 end of file, -EAGAIN wait, or the error. */
int sock_recv_why(struct sock *s);

/* What readv() and writev() begin with: iov is copied into own, which has room, and *flags become MSG_*.
 * Bytes, 0: nothing is left to do, -errno or SOCK_TO_KERNEL. */
ssize_t sock_vector(struct sock *s, struct iovec *own, const struct iovec *iov, int n, int rwf,
		    int *flags);
/* The MSG_* for RWF_* flags, or -errno: not known. */
int sock_rwf(struct sock *s, int rwf);

/* ---- sock_msg.c ---- */
ssize_t sock_recvmsg(struct sock *s, struct msghdr *msg, int flags);
ssize_t sock_sendmsg(struct sock *s, const struct msghdr *msg, int flags);
int sock_sendmmsg(struct sock *s, struct mmsghdr *msgs, unsigned int n, int flags);
int sock_recvmmsg(struct sock *s, struct mmsghdr *msgs, unsigned int n, int flags,
		  struct timespec *timeout);

/* ---- what sending is made of, for sock_file.c ---- */
/* Beside MSG_*, a bit that means nothing in a program's send: wait for room whatever O_NONBLOCK says. */
enum { SOCK_SEND_ALL = MSG_WAITFORONE };
/* MSG_MORE is a cork that the next send without it pulls. The mark that tells the engine comes with
 * the bytes. */
void sock_send_more(struct sock *s, int flags);
/* send() with MSG_FASTOPEN. */
ssize_t sock_send_fast(struct sock *s, const struct iovec *iov, int n, size_t len, int flags,
		       const struct sockaddr *addr, socklen_t addr_len);
/* Sleeps until room or news; 0 or -errno. *deadline: 0 at first. */
int sock_send_wait(struct sock *s, uint32_t seen, uint64_t *deadline);

/* ---- sock_file.c ---- */
/* splice() between the stream and a pipe; flags: SPLICE_F_*. */
ssize_t sock_splice_out(struct sock *s, int pipe, size_t n, unsigned int flags);
ssize_t sock_splice_in(struct sock *s, int pipe, size_t n, unsigned int flags);
