/* A cursor over an iovec that the program can't change any more. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct iov_cursor {
	const struct iovec *iov;
	int n;
	size_t done; /* of iov[0] */
};

/* The next piece, 0: none left. */
static inline size_t iov_next(struct iov_cursor *c, uint8_t **p)
{
	while (c->n > 0 && c->done == c->iov->iov_len) {
		c->iov++;
		c->n--;
		c->done = 0;
	}
	if (c->n <= 0)
		return 0;
	*p = (uint8_t *)c->iov->iov_base + c->done;
	return c->iov->iov_len - c->done;
}

static inline size_t iov_size(const struct iovec *iov, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}
