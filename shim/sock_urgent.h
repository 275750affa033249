/* Urgent data for the calls of a program: recv() with MSG_OOB, the mark in the stream, SIOCATMARK, FIONREAD.
 * All return >= 0 or -errno; SOCK_TO_KERNEL as everywhere. */
// SPDX-License-Identifier: MIT
#pragma once
#include <sys/types.h>
#include <sys/uio.h>
#include "shim/sock.h"
#include "stack/chan/urgent.h"

/* MSG_OOB. *msg_flags (may be NULL): what recvmsg() reports. */
ssize_t sock_recv_oob(struct sock *s, const struct iovec *iov, size_t len, int flags, int *msg_flags);
/* recv() is about to look for bytes, copied having been taken so far, and the stream has had urgent data: a
 * result other than 0 is the call's. *rx: CHAN_RX_PAST_MARK may be added. */
ssize_t sock_urgent_before(struct sock *s, int flags, uint32_t skip, size_t copied, bool wait, int *rx);
/* Bytes from rx_head + skip on that recv() will not count. */
uint32_t sock_urgent_holes(const struct sock *s, uint32_t skip);
/* splice() does not pass the mark: is it right here, before bytes that have arrived? */
bool sock_urgent_blocks(const struct sock *s);
/* SIOCATMARK, and the bytes that SIOCINQ counts. */
int sock_at_mark(struct sock *s);
uint32_t sock_inq(const struct sock *s);
