/* Ends of processes that the kernel knows of and the data threads do not yet. A program may learn of one (by
 * wait(), by an exec of its own) before the control thread gets its processor; what it does then must
 * find nothing left of the process (sock/sock_late.c).
 *
 * Whatever tells of an end - a pidfd, the unix socket of a program - is in one epoll set until the control
 * thread deals with it. Data threads look whether that set reports anything, and whether the mail of an
 * end that is being dealt with has arrived everywhere. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct host;

/* 0 or -errno. Before the data threads run. */
int ends_init(const struct host *h);
void ends_fini(void);

/* The control thread. An end shows by events (EPOLLIN, EPOLLRDHUP) on fd. */
void ends_watch(int fd, uint32_t events);
void ends_unwatch(int fd);
/* Around everything that is done about an end, the ends_unwatch() of its descriptors included. */
void ends_begin(void);
void ends_finish(struct host *h);

/* While we have a program's end of its unix socket ourselves, its closing shows nothing. */
void ends_hide(void);
void ends_show(void);

/* Any thread. 0: the data threads know of every end that there has been. Else a mark: ends_known(mark) is
 * true when they know of all that had been then. */
uint32_t ends_unknown(void);
bool ends_known(uint32_t mark);
