/* Shared by sock.c and sock_conn.c: locks, attaching, deciding. Not for other files. */
// SPDX-License-Identifier: MIT
#pragma once
#include "shim/sock.h"
#include "shim/sock_opt.h"
#include "stack/chan/app.h"
#include "stack/chan/lock.h"

enum { SOCK_IP_LOCAL_PORT_RANGE = 51, SOCK_IPV6_FLOWINFO_SEND = 33 };

/* bind, listen, connect and decisions of one socket exclude each other. A signal handler that does one
 * to the socket it interrupted gets -EALREADY. */
static inline int sock_lock(struct sock *s)
{
	return chan_lock(&s->lock) < 0 ? -EALREADY : 0;
}
static inline void sock_unlock(struct sock *s) { chan_unlock(&s->lock); }

/* Child of a fork: nobody is making the anchor. */
void sock_anchor_after_fork(void);
/* A new number that is a copy of the anchor, or -errno. flags: SOCK_CLOEXEC. */
int sock_placeholder(int flags);
/* A socket that is not published yet (object.h): whoever makes it does that when it is whole, or discards
 * it. NULL: no memory. */
struct sock *sock_new(uint16_t family, uint16_t protocol, enum sock_mode mode);
void sock_discard(struct sock *s);
/* Gives an accepted socket a draft, to record options in; false: no memory. */
bool sock_draft_add(struct sock *s);
/* Child of a fork: the engine has no such socket any more, so that nothing is given back. */
void sock_lost(struct sock *s);
/* s is socket id of app from now on: takes its own reference on app. What the draft has recorded
 * moves over. */
void sock_attach(struct sock *s, struct chan_app *app, uint32_t id, uint32_t gen);
/* The opposite: this process lets go of the engine's socket; lingers if so asked. */
void sock_detach(struct sock *s);
/* The same for one that the engine shall drop at once: its port is free when this returns. */
void sock_drop(struct sock *s);
/* Puts descriptor k under all numbers of s, each keeps its CLOEXEC. 0 or -errno; k stays. */
int sock_put_under(struct sock *s, int k);
/* sock_to_kernel() for who holds the lock: SOCK_TO_KERNEL or -errno. */
int sock_to_kernel_locked(struct sock *s, enum chan_reason why);
/* On the stack, was connected or connecting, and its engine has ended. */
bool sock_is_broken(const struct sock *s);
/* Does 127/8 belong to the stack? */
static inline bool sock_claims_loopback(const struct chan_app *app)
{
	return app->e->flags & CHAN_ENGINE_LOOPBACK;
}
/* The engine would not, though it is no matter of the address: the kernel may, for this reason. -1: tell
 * the program. */
int sock_refusal(int err);
/* The kernel's half of s goes, its numbers are placeholders again. */
void sock_twin_drop(struct sock *s);
/* IP_LOCAL_PORT_RANGE as set. */
static inline uint32_t sock_port_range(const struct sock *s)
{
	return (uint32_t)sock_opt_value(s, IPPROTO_IP, SOCK_IP_LOCAL_PORT_RANGE);
}
/* What names of its peer show as sin6_flowinfo; what the connect() that begins was given (both with
 * IPV6_FLOWINFO_SEND, else 0). */
uint32_t sock_flowinfo(const struct sock *s);
void sock_flowinfo_note(struct sock *s, const struct sockaddr *addr, socklen_t len);
/* MSG_FASTOPEN: connect(), and as many bytes of iov as the SYN takes along. 0: connected; -EINPROGRESS: not
 * waited for; *sent bytes are on their way either way. */
int sock_connect_fast(struct sock *s, const struct sockaddr *addr, socklen_t len, const struct iovec *iov,
		      int n, int flags, size_t *sent);
/* The same for the first bytes of a socket in SOCK_SYN_HELD. */
int sock_send_held(struct sock *s, const struct iovec *iov, int n, int flags, size_t *sent);
/* bind() for who holds the lock. */
int sock_bind_locked(struct sock *s, const struct endpoint *ep);
/* s, which only has a port at the engine, has the same on this data thread of it. 0, or -errno: somebody was
 * quick and has it, and s is not bound any more. */
int sock_bind_on(struct sock *s, uint32_t worker);
/* Once a connection is over, Linux's socket is in CLOSE and may be bound again, though not connected; what
 * poll() and SO_ERROR say stays. */
void sock_close_ended(struct sock *s);
