/* The error queue of a stream (MSG_ERRQUEUE). Only completions of MSG_ZEROCOPY get there: the bytes are
 * copied at once, which the kernel, too, does over loopback (SO_EE_CODE_ZEROCOPY_COPIED). The
 * counters lie in the socket's B half, shared by its processes. */
// SPDX-License-Identifier: MIT
#pragma once
#include "shim/sock.h"
#include "shim/sock_cmsg.h"

/* A send with MSG_ZEROCOPY has queued bytes: numbered when the socket has SO_ZEROCOPY (which
 * of a datagram socket the caller knows). */
void errq_zerocopy_sent(struct sock *s);
/* recvmsg(MSG_ERRQUEUE): all completions as one range into c. 0 (which is the length), -EAGAIN: none,
 * -EFAULT. */
int errq_take(struct sock *s, struct cmsg_out *c);
