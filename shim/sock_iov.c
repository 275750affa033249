/* Loading and walking the program's iovecs and arrays of messages: see sock_iov.h. */
// SPDX-License-Identifier: MIT
#include "shim/sock_iov.h"
#include <errno.h>
#include <stddef.h>
#include "stack/chan/user.h"

int iov_one(struct iovec *own, const void *buf, size_t n, enum iov_check how)
{
	size_t cut = min_u64(n, RW_LIMIT);

	*own = (struct iovec){ (void *)buf, cut };
	return likely(user_ok(buf, how == IOV_WHOLE ? n : cut)) ? 0 : -EFAULT;
}

ssize_t iov_load(struct iovec *own, const struct iovec *user, int n)
{
	size_t total = 0;

	if (user_get(own, user, (size_t)n * sizeof(*own)) < 0)
		return -EFAULT;
	for (int i = 0; i < n; i++)
		if ((ssize_t)own[i].iov_len < 0)
			return -EINVAL;
	for (int i = 0; i < n; i++) {
		/* A single element is cut before the look, several after it. */
		if (n == 1)
			own[i].iov_len = min_u64(own[i].iov_len, RW_LIMIT);
		if (!user_ok(own[i].iov_base, own[i].iov_len))
			return -EFAULT;
		own[i].iov_len = min_u64(own[i].iov_len, RW_LIMIT - total);
		total += own[i].iov_len;
	}
	return (ssize_t)total;
}

int mmsg_give_length(struct msghdr *h, ssize_t len)
{
	unsigned int n = (unsigned int)len;

	return user_put((void *)((uintptr_t)h + offsetof(struct mmsghdr, msg_len)), &n, sizeof(n));
}

void iov_advance(struct iov_walk *w, size_t done)
{
	while (w->n > 0) {
		const struct iovec *v = w->inside ? &w->cur : w->iov;

		if (done < v->iov_len) {
			w->cur = (struct iovec){ (char *)v->iov_base + done, v->iov_len - done };
			w->inside = true;
			return;
		}
		done -= v->iov_len;
		w->iov++;
		w->n--;
		w->inside = false;
	}
}
