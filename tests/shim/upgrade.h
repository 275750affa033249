/* A client of the servers that see an engine handed over, shared by prog_upgrade*.c. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/shim/pass.h"

/* A connection whose reads take 10 s at most, or -1. */
static inline int dial(const struct sockaddr_in *a)
{
	struct timeval tv = { 10, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One question and its answer. */
static inline int asked(int fd)
{
	char c = 0;
	return fd >= 0 && send(fd, "q", 1, MSG_NOSIGNAL) == 1 && read(fd, &c, 1) == 1 && c == 'q';
}

static inline int served(const struct sockaddr_in *a)
{
	int fd = dial(a), ok = asked(fd);
	close(fd);
	return ok;
}
