/* What the programs about datagram sockets share: sockets, receiving with everything that comes along,
 * printed without numbers that may differ. */
// SPDX-License-Identifier: MIT
#pragma once
#include <time.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include "tests/shim/t.h"

static inline int udp(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

/* Bound to this run's address; port 0: any. */
static inline int udp_at(int port, struct sockaddr_in *at)
{
	struct sockaddr_in a = t_addr(port);
	socklen_t len = sizeof(a);
	int fd = udp();
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		t_out("no socket: %s", t_errname(errno));
	if (at)
		*at = a;
	return fd;
}

/* *a is connected to *b, which is bound and connected to *a. */
static inline void udp_pair(int *a, int *b)
{
	struct sockaddr_in at_a, at_b;
	*a = udp_at(0, &at_a);
	*b = udp_at(0, &at_b);
	if (connect(*a, (struct sockaddr *)&at_b, sizeof(at_b)) < 0 ||
	    connect(*b, (struct sockaddr *)&at_a, sizeof(at_a)) < 0)
		t_out("no pair: %s", t_errname(errno));
}

/* A port of this run's address that nobody listens on. */
static inline struct sockaddr_in udp_dead(void)
{
	struct sockaddr_in a;
	close(udp_at(0, &a));
	return a;
}

/* Until something is there, at most a second. */
static inline bool udp_wait(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, 1000) > 0;
}

static inline long udp_sendto(int fd, const void *p, size_t n, const struct sockaddr_in *to)
{
	return sendto(fd, p, n, 0, (const struct sockaddr *)to, sizeof(*to));
}

/* The next datagram within a second: its length and first bytes. */
static inline void udp_show(const char *what, int fd)
{
	char buf[70000];
	ssize_t n;
	udp_wait(fd);
	n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0)
		t_out("%s: %s", what, t_errname(errno));
	else
		t_out("%s: %zd '%.*s'", what, n, n < 20 ? (int)n : 20, buf);
}

static inline void udp_int(int fd, int level, int name, int v)
{
	if (setsockopt(fd, level, name, &v, sizeof(v)) < 0)
		t_out("setsockopt %d %d: %s", level, name, t_errname(errno));
}
