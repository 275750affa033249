/* File flags and ioctl() of a stream socket. */
// SPDX-License-Identifier: MIT
#include <asm/ioctls.h>
#include <errno.h>
#include <linux/sockios.h>
#include "shim/sock.h"
#include "shim/sock_async.h"
#include "shim/sock_urgent.h"
#include "stack/chan/lane.h"
#include "stack/chan/user.h"

int sock_get_fl(struct sock *s)
{
	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	return O_RDWR | (int)atomic_load(&s->b->file_flags);
}

static void change_fl(struct sock *s, uint32_t mask, uint32_t fl)
{
	uint32_t old = atomic_load(&s->b->file_flags);

	while (!atomic_compare_exchange_weak(&s->b->file_flags, &old, (old & ~mask) | (fl & mask)))
		;
}

static void change_async(struct sock *s, int fd, bool on)
{
	if (unlikely(on != !!(atomic_load(&s->b->file_flags) & O_ASYNC)))
		sock_async_switch(s, fd, on);
}

int sock_set_fl(struct sock *s, int fd, int fl)
{
	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (fl & O_DIRECT)
		return -EINVAL;
	change_async(s, fd, fl & O_ASYNC);
	change_fl(s, O_NONBLOCK | O_ASYNC | O_APPEND | O_NOATIME, (uint32_t)fl);
	return 0;
}

static int give_int(void *arg, uint32_t v)
{
	int i = (int)v;

	return user_put(arg, &i, sizeof(i));
}

int sock_ioctl(struct sock *s, int fd, unsigned long req, void *arg)
{
	bool idle = !sock_is_attached(s) || sock_mode(s) == SOCK_UNDECIDED;
	uint32_t bit = req == FIONBIO ? O_NONBLOCK : O_ASYNC;
	int on;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	switch (req) {
	case FIONBIO:
	case FIOASYNC:
		if (user_get(&on, arg, sizeof(on)) < 0)
			return -EFAULT;
		if (bit == O_ASYNC)
			change_async(s, fd, on);
		change_fl(s, bit, on ? bit : 0);
		return 0;
	case FIOSETOWN:
	case SIOCSPGRP:
		return sock_async_ioctl(s, fd, req, arg);
	case SIOCINQ: /* FIONREAD */
		if (sock_has(s, SOCK_LISTENING))
			return -EINVAL;
		return give_int(arg, idle ? 0 : sock_inq(s));
	case SIOCOUTQ: /* TIOCOUTQ */
	case SIOCOUTQNSD:
		if (sock_has(s, SOCK_LISTENING))
			return -EINVAL;
		if (req == SIOCOUTQNSD && !idle && !chan_lane_sends(s->a))
			return give_int(arg, atomic_load(&s->b->tx_tail) - atomic_load(&s->a->tx_nxt));
		return give_int(arg, idle ? 0 : chan_tx_unacked(s->a, s->b));
	case SIOCATMARK:
		return give_int(arg, (uint32_t)sock_at_mark(s));
	default:
		return SOCK_TO_KERNEL;
	}
}
