/* Completions of MSG_ZEROCOPY: see sock_errq.h. */
// SPDX-License-Identifier: MIT
#include "shim/sock_errq.h"
#include <errno.h>
#include <linux/errqueue.h>
#include <sys/socket.h>
#include "shim/sock_opt.h"

void errq_zerocopy_sent(struct sock *s)
{
	if (!sock_is_dgram(s) && !sock_opt_value(s, SOL_SOCKET, SO_ZEROCOPY))
		return;
	atomic_fetch_add(&s->b->zc_next, 1);
	/* Whoever waits for POLLERR: by futex in other threads, in our sets. */
	sock_kick(s);
	if (s->epoll_items)
		epoll_sock_changed(s);
}

int errq_take(struct sock *s, struct cmsg_out *c)
{
	struct {
		struct sock_extended_err ee;
		struct sockaddr_in6 offender;
	} x = { .ee = { .ee_origin = SO_EE_ORIGIN_ZEROCOPY, .ee_code = SO_EE_CODE_ZEROCOPY_COPIED } };
	uint32_t first = atomic_load(&s->b->zc_told), next;
	bool v6 = s->family == AF_INET6;

	/* Read after the first number, so that it is never behind it. */
	do {
		next = atomic_load(&s->b->zc_next);
		if (first == next)
			return -EAGAIN;
	} while (!atomic_compare_exchange_weak(&s->b->zc_told, &first, next));
	x.ee.ee_info = first;
	x.ee.ee_data = next - 1;
	c->flags |= MSG_ERRQUEUE;
	cmsg_put(c, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &x,
		 sizeof(x.ee) + (v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)));
	return 0;
}
