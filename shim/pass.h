/* Descriptors passed over AF_UNIX sockets (SCM_RIGHTS). */
// SPDX-License-Identifier: MIT
#pragma once
#include <sys/socket.h>

/* libc's sendmsg and sendmmsg on a descriptor that is not ours: what they carry may be. An undecided
 * socket is made the kernel's first; one that lives on the stack goes as a ticket, or not at all: -1,
 * ETOOMANYREFS, counted. */
ssize_t pass_sendmsg(int fd, const struct msghdr *msg, int flags);
int pass_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags);
/* recvmsg and recvmmsg: numbers that arrive are new, and tickets among them become sockets. */
ssize_t pass_recvmsg(int fd, struct msghdr *msg, int flags);
int pass_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *timeout);
