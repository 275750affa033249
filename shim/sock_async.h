/* Who gets signals about a socket: F_SETOWN and its relatives, F_SETSIG, O_ASYNC.
 *
 * All of it is state of the kernel's file, so the file at the program's number keeps it, and F_GETOWN ... are
 * answered by the kernel. That file is a copy of the anchor, the same for all sockets, until one of these is
 * used: then the socket gets a file of its own (SOCK_OWN_FILE), which is
 *   - a kernel socket without a name, as long as the engine does not know the socket,
 *   - then a signal line (stack/chan/line.h),
 *   - the kernel's half of a bound or listening socket (SOCK_TWIN), and of a datagram socket always; its line
 *     is kept aside, hidden, and set the same way, so that both halves send signals.
 * Whenever another file takes the numbers (sock_put_under()), it inherits the state; O_ASYNC is switched on
 * by the number that the program used, because that becomes si_fd.
 *
 * Over fork and dup the file is shared, as is the line's number in B. A file that got its own state only
 * after a fork is not the other process' file: it asks in vain there. (Linux would show it.) */
// SPDX-License-Identifier: MIT
#pragma once
#include "shim/sock.h"

/* fcntl(): is it one of them? Then sock_async_fcntl(): its result or -errno, or SOCK_TO_KERNEL. */
bool sock_async_is_fcntl(int cmd);
int sock_async_fcntl(struct sock *s, int fd, int cmd, void *arg);
/* FIOSETOWN, SIOCSPGRP. */
int sock_async_ioctl(struct sock *s, int fd, unsigned long req, void *arg);
/* O_ASYNC of the file has changed, by fd. */
void sock_async_switch(struct sock *s, int fd, bool on);

/* ---- told by sock*.c, with SOCK_OWN_FILE set ---- */
/* k is about to take the numbers; it has. */
void sock_async_inherit(struct sock *s, int k);
void sock_async_placed(struct sock *s);
/* s has got its place in the engine. */
void sock_async_attached(struct sock *s);
/* The kernel's half is about to take the numbers: the line goes aside. */
void sock_async_twin(struct sock *s);
/* The kernel's half is about to go: what takes the numbers instead. A descriptor or -errno. */
int sock_async_untwin(struct sock *s);
/* s is about to lose its place in the engine. */
void sock_async_leave(struct sock *s);

/* As wait_sock(), by a reader of a socket that has a line. */
int sock_async_wait(struct sock *s, uint32_t seen, uint64_t deadline_ns);
