/* The program's iovecs and arrays of messages: copied once, checked as the kernel checks them, and walked in
 * as many steps as a blocking call takes. */
// SPDX-License-Identifier: MIT
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "stack/base/util.h"

enum { IOV_LIMIT = 1024 };   /* UIO_MAXIOV */
#define RW_LIMIT 0x7ffff000u /* MAX_RW_COUNT */

/* Copies n elements (0 to IOV_LIMIT) to `own`, the lengths cut to what one call moves. The bytes they
 * name, or -EFAULT, -EINVAL. */
ssize_t iov_load(struct iovec *own, const struct iovec *user, int n);
/* One buffer. whole: read() and write() look at all of n before they cut it, recv() and send() after. */
enum iov_check { IOV_CUT_FIRST, IOV_WHOLE };
int iov_one(struct iovec *own, const void *buf, size_t n, enum iov_check how);

/* Message i of sendmmsg() and recvmmsg(), whose address the program may have made up. */
static inline struct msghdr *mmsg_header(struct mmsghdr *msgs, unsigned int i)
{
	return (struct msghdr *)((uintptr_t)msgs + i * sizeof(*msgs));
}
/* Tells the length of the message with header h. 0 or -EFAULT. */
int mmsg_give_length(struct msghdr *h, ssize_t len);

static inline size_t iov_total(const struct iovec *iov, int n)
{
	size_t all = 0;

	for (int i = 0; i < n; i++)
		all += iov[i].iov_len;
	return all;
}

struct iov_walk {
	const struct iovec *iov;
	int n;
	struct iovec cur; /* rest of iov[0], once a step has ended inside it */
	bool inside;
};

void iov_advance(struct iov_walk *w, size_t done);
/* The next piece to hand over: the rest of one element, or all elements. */
static inline const struct iovec *iov_piece(const struct iov_walk *w, int *n)
{
	*n = w->inside ? 1 : w->n;
	return w->inside ? &w->cur : w->iov;
}
