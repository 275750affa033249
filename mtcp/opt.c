/* Options of sockets: a row says where a value lives. An option without a row is ENOSYS, as in mTCP. */
// SPDX-License-Identifier: MIT
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include "mtcp/ctx.h"
#include "mtcp/export.h"
#include "stack/chan/stream.h"

enum opt_kind { OPT_BIT, OPT_FIELD, OPT_BUFFER, OPT_LINGER, OPT_READ };
static const struct opt {
	int level, name;
	enum opt_kind kind;
	uint32_t arg; /* bit, or offset of a 32-bit member of struct chan_opts */
	int min, max;
} table[] = {
	{ SOL_SOCKET, SO_ERROR, OPT_READ, 0, 0, 0 },
	{ SOL_SOCKET, SO_TYPE, OPT_READ, 0, 0, 0 },
	{ SOL_SOCKET, SO_ACCEPTCONN, OPT_READ, 0, 0, 0 },
	{ SOL_SOCKET, SO_REUSEADDR, OPT_BIT, CHAN_O_REUSEADDR, 0, 0 },
	{ SOL_SOCKET, SO_REUSEPORT, OPT_BIT, CHAN_O_REUSEPORT, 0, 0 },
	{ SOL_SOCKET, SO_KEEPALIVE, OPT_BIT, CHAN_O_KEEPALIVE, 0, 0 },
	{ SOL_SOCKET, SO_LINGER, OPT_LINGER, 0, 0, 0 },
	{ SOL_SOCKET, SO_SNDBUF, OPT_BUFFER, offsetof(struct chan_opts, sndbuf), 0, 1 << 30 },
	{ SOL_SOCKET, SO_RCVBUF, OPT_BUFFER, offsetof(struct chan_opts, rcvbuf), 0, 1 << 30 },
	{ IPPROTO_TCP, TCP_NODELAY, OPT_BIT, CHAN_O_NODELAY, 0, 0 },
	{ IPPROTO_TCP, TCP_CORK, OPT_BIT, CHAN_O_CORK, 0, 0 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, OPT_FIELD, offsetof(struct chan_opts, keepidle_s), 1, 32767 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, OPT_FIELD, offsetof(struct chan_opts, keepintvl_s), 1, 32767 },
	{ IPPROTO_TCP, TCP_KEEPCNT, OPT_FIELD, offsetof(struct chan_opts, keepcnt), 1, 127 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, OPT_FIELD, offsetof(struct chan_opts, user_timeout_ms), 0,
	  INT_MAX },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, OPT_FIELD, offsetof(struct chan_opts, notsent_lowat), 0,
	  INT_MAX },
};

static const struct opt *opt_of(int level, int name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].level == level && table[i].name == name)
			return &table[i];
	return NULL;
}

/* The error that ended the connection: told once, as on Linux. */
static int take_error(struct slot *s)
{
	int err;

	if (!s->link)
		return 0;
	err = chan_take_error(slot_a(s), slot_b(s));
	if (!err && s->flags & SLOT_CONNECTED && slot_is_dead(s) && !(s->flags & SLOT_DEAD_TOLD)) {
		s->flags |= SLOT_DEAD_TOLD;
		err = ECONNRESET;
	}
	return err;
}

static int read_only(struct slot *s, int name)
{
	switch (name) {
	case SO_TYPE:
		return SOCK_STREAM;
	case SO_ACCEPTCONN:
		return s->kind == MTCP_SOCK_LISTENER;
	default:
		return take_error(s);
	}
}

/* What fits; *optlen becomes that. */
static int give(void *optval, socklen_t *optlen, const void *v, socklen_t n)
{
	*optlen = min_u32(*optlen, n);
	memcpy(optval, v, *optlen);
	return 0;
}

EXPORT int mtcp_getsockopt(mctx_t mctx, int sockid, int level, int optname, void *optval, socklen_t *optlen)
{
	struct slot *s = sock_of(mctx, sockid);
	const struct opt *o = opt_of(level, optname);
	const struct chan_opts *opts;
	int v;

	if (!s)
		return -1;
	if (!o)
		return fail(ENOSYS);
	if (!optval || !optlen)
		return fail(EFAULT);
	if (o->kind == OPT_READ && *optlen < sizeof(v))
		return fail(EINVAL); /* an error that is taken must not be cut off */
	opts = slot_opts(s);
	if (o->kind == OPT_LINGER) {
		struct linger l = { !!(opts->flags & CHAN_O_LINGER), (int)opts->linger_s };

		return give(optval, optlen, &l, sizeof(l));
	}
	if (o->kind == OPT_READ)
		v = read_only(s, optname);
	else if (o->kind == OPT_BIT)
		v = !!(opts->flags & o->arg);
	else
		v = (int)*(const uint32_t *)((const char *)opts + o->arg);
	if (optname == SO_SNDBUF && level == SOL_SOCKET && !v && s->link)
		v = (int)slot_a(s)->sndbuf;
	return give(optval, optlen, &v, sizeof(v));
}

static int set_linger(struct chan_opts *opts, const void *optval, socklen_t optlen)
{
	struct linger l;

	if (optlen < sizeof(l))
		return fail(EINVAL);
	memcpy(&l, optval, sizeof(l));
	opts->linger_s = l.l_linger > 0 ? (uint32_t)l.l_linger : 0;
	opts->flags = l.l_onoff ? opts->flags | CHAN_O_LINGER : opts->flags & ~(uint32_t)CHAN_O_LINGER;
	return 0;
}

static int set_int(struct chan_opts *opts, const struct opt *o, const void *optval, socklen_t optlen)
{
	int v;

	if (optlen < sizeof(v))
		return fail(EINVAL);
	memcpy(&v, optval, sizeof(v));
	if (o->kind == OPT_BIT) {
		opts->flags = v ? opts->flags | o->arg : opts->flags & ~o->arg;
		return 0;
	}
	if (v < o->min || v > o->max)
		return fail(EINVAL);
	*(uint32_t *)((char *)opts + o->arg) = (uint32_t)v;
	return 0;
}

EXPORT int mtcp_setsockopt(mctx_t mctx, int sockid, int level, int optname, const void *optval,
			   socklen_t optlen)
{
	struct slot *s = sock_of(mctx, sockid);
	const struct opt *o = opt_of(level, optname);
	int r;

	if (!s)
		return -1;
	if (!o)
		return fail(ENOSYS);
	if (!optval)
		return fail(EFAULT);
	if (o->kind == OPT_READ)
		return fail(ENOPROTOOPT);
	if (o->kind == OPT_LINGER)
		r = set_linger(slot_opts(s), optval, optlen);
	else
		r = set_int(slot_opts(s), o, optval, optlen);
	if (r == 0 && s->link) {
		atomic_fetch_add(&slot_b(s)->opt_seq, 1);
		chan_mark(&s->link->app, s->id);
	}
	return r;
}

/* ---- blocking or not, and what is queued ---- */
/* The other threads that write to a pipe change flags of its reading end. */
static int set_nonblock(struct mtcp_context *m, struct slot *s, bool on)
{
	if (ctx_lock(m) < 0)
		return fail(EDEADLK);
	s->flags = on ? s->flags | SLOT_NONBLOCK : s->flags & (uint8_t)~SLOT_NONBLOCK;
	ctx_unlock(m);
	return 0;
}

EXPORT int mtcp_setsock_nonblock(mctx_t mctx, int sockid)
{
	struct mtcp_context *m = ctx_of(mctx);
	struct slot *s = m ? slot_of(m, sockid) : NULL;

	return s ? set_nonblock(m, s, true) : -1;
}

static uint32_t unacked(const struct slot *s)
{
	return s->link ? chan_tx_unacked(slot_a(s), slot_b(s)) : 0;
}

EXPORT int mtcp_socket_ioctl(mctx_t mctx, int sockid, int request, void *argp)
{
	struct mtcp_context *m = ctx_of(mctx);
	struct slot *s = m ? slot_of(m, sockid) : NULL;
	bool is_pipe;

	if (!s)
		return -1;
	is_pipe = s->kind == MTCP_SOCK_PIPE;
	if (s->kind == MTCP_SOCK_EPOLL || (s->kind == MTCP_SOCK_LISTENER && request != FIONBIO))
		return fail(EBADF);
	if (!argp)
		return fail(EFAULT);
	switch (request) {
	case FIONREAD:
		*(int *)argp = (int)(is_pipe ? pipe_bytes(s) :
				     s->link ? chan_rx_avail(slot_a(s), slot_b(s)) : 0);
		return 0;
	case FIONBIO:
		return set_nonblock(m, s, *(int *)argp != 0);
	case SIOCOUTQ:
		if (is_pipe)
			return fail(EINVAL);
		*(int *)argp = (int)unacked(s);
		return 0;
	default:
		return fail(EINVAL);
	}
}
