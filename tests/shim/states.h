/* The states of a stream socket that the programs with a table of calls or options go through. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/shim/t.h"

static int peer = -1; /* the other end, if it is still there: the program closes it */

static inline int make_fresh(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static inline int make_v6(void) { return socket(AF_INET6, SOCK_STREAM, 0); }
static inline int make_bound(void)
{
	struct sockaddr_in a = t_addr(0);
	int fd = make_fresh();
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		t_out("bind: %s", t_errname(errno));
	return fd;
}
static inline int make_listening(void) { return t_listen(4, NULL); }
static inline int make_connected(void)
{
	int fd;
	t_pair(&fd, &peer);
	return fd;
}
static inline int make_accepted(void)
{
	int fd;
	t_pair(&peer, &fd);
	return fd;
}
/* By the peer. */
static inline int make_closed(void)
{
	int fd = make_connected();
	close(peer);
	peer = -1;
	t_until(fd, POLLRDHUP);
	return fd;
}
static inline int make_reset(void)
{
	int fd = make_connected();
	t_reset(peer);
	peer = -1;
	t_until(fd, POLLHUP);
	return fd;
}
