/* What would the kernel say? Options that the stack has not, values that depend on privilege or on the
 * kernel's version, and defaults that nobody can have changed: a kernel socket like ours is made, asked
 * and thrown away, so that the program gets the running kernel's own answer. Not for data paths. */
// SPDX-License-Identifier: MIT
#include <netinet/in.h>
#include <netinet/tcp.h>
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/sock_opt_int.h"

enum { N_TCP_AO_REPAIR = 42 };

static int like(const struct sock *s)
{
	int k = libc.socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, s->protocol);

	return k < 0 ? -errno : k;
}

/* Some answers depend on the state, and the socket that was asked is closed. */
static int in_state(const struct sock *s, int level, int name, int r)
{
	if (level == IPPROTO_TCP && name == N_TCP_AO_REPAIR && r == -ENOPROTOOPT &&
	    sock_has(s, SOCK_LISTENING))
		return -EPERM;
	return r;
}

int opt_ask_set(struct sock *s, int level, int name, const void *val, socklen_t len)
{
	int k = like(s), r;

	if (k < 0)
		return -ENOPROTOOPT;
	if (sock_mode(s) == SOCK_UNDECIDED)
		sock_opt_replay(s, k);
	r = libc.setsockopt(k, level, name, val, len) < 0 ? -errno : 0;
	libc.close(k);
	return in_state(s, level, name, r);
}

int opt_ask_get(struct sock *s, int level, int name, void *val, socklen_t *len)
{
	int k = like(s), r;

	if (k < 0)
		return -ENOPROTOOPT;
	r = libc.getsockopt(k, level, name, val, len) < 0 ? -errno : 0;
	libc.close(k);
	return in_state(s, level, name, r);
}

int opt_kernel_only(struct sock *s, int level, int name, const void *val, socklen_t len)
{
	bool device = level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX);
	enum chan_reason why = device ? CHAN_REASON_bind_device : CHAN_REASON_option_unsupported;
	int r = opt_ask_set(s, level, name, val, len);

	/* TCP_ULP asks for a connection, which we have and the kernel has not. */
	if (r < 0 && (r != -ENOTCONN || opt_is_idle(s)))
		return r;
	/* Bound to an address of the stack it can't go any more. */
	if (sock_mode(s) == SOCK_UNDECIDED && (!sock_has(s, SOCK_BOUND) || sock_has(s, SOCK_TWIN)))
		return sock_to_kernel(s, why);
	explain_kernel(why);
	return -ENOPROTOOPT;
}
