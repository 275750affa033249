/* getsockopt(): what was set, what is in force, and what can only be read. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "shim/addr.h"
#include "shim/engine.h"
#include "shim/sock_conn.h"
#include "shim/sock_opt_int.h"
#include "shim/wait.h"
#include "stack/chan/app.h"
#include "stack/chan/cc.h"
#include "stack/chan/info.h"
#include "stack/chan/stream.h"

enum { RCVBUF_DEFAULT = 131072 }; /* the middle one of Linux' tcp_rmem */

static bool is_connected(const struct sock *s)
{
	return sock_mode(s) == SOCK_STACK &&
	       atomic_load_explicit(&s->a->state, memory_order_acquire) == CHAN_ST_CONNECTED;
}

static ssize_t give(void *buf, size_t room, const void *from, size_t n)
{
	n = min_u64(room, n);
	memcpy(buf, from, n);
	return (ssize_t)n;
}

/* ---- what can only be read ---- */
/* struct tcp_info: the engine's for what it has, else the state alone. */
static struct tcp_info info_of(struct sock *s)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s->id, .gen = s->gen };
	struct chan_rep rep = { .len = 0 };
	struct tcp_info info = chan_info_closed();

	if (sock_is_attached(s) && sock_mode(s) == SOCK_STACK && !sock_is_dead(s) &&
	    chan_call(s->app, s->a->worker, &req, &rep) == 0)
		memcpy(&info, rep.payload, min_u64(rep.len, sizeof(info)));
	return info;
}

static ssize_t get_info(struct sock *s, void *buf, size_t room)
{
	const struct tcp_info info = info_of(s);

	return give(buf, room, &info, sizeof(info));
}

static const char *control_of(const struct sock *s)
{
	uint32_t cc = s->b->opts.cc;
	const char *name;

	if (!cc && sock_is_attached(s))
		cc = chan_engine_cc_of(atomic_load(&s->app->e->flags));
	name = opt_control_name(cc);
	return name ? name : opt_control_name(0);
}

/* BBR has something to tell, and zeros before there is a path. */
static ssize_t get_cc_info(struct sock *s, void *buf, size_t room)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s->id, .gen = s->gen,
				.arg = { CHAN_ARG_CC_INFO } };
	struct chan_rep rep = { .len = 0 };
	union tcp_cc_info info = { .bbr = { 0 } };
	bool has = sock_is_attached(s) && sock_mode(s) == SOCK_STACK && !sock_is_dead(s) &&
		   chan_call(s->app, s->a->worker, &req, &rep) == 0 && rep.len;

	if (has)
		memcpy(&info, rep.payload, min_u64(rep.len, sizeof(info)));
	else if (strcmp(control_of(s), "bbr") == 0)
		rep.len = sizeof(info.bbr);
	else
		return 0;
	return give(buf, room, &info, min_u64(rep.len, sizeof(info)));
}

static ssize_t get_meminfo(struct sock *s, void *buf, size_t room)
{
	struct opt_at at;
	uint32_t m[9] = { 0 }; /* SK_MEMINFO_* */
	int size = 0;

	if (is_connected(s)) {
		m[0] = chan_rx_avail(s->a, s->b);
		m[5] = chan_tx_unacked(s->a, s->b);
	}
	opt_find(s, SOL_SOCKET, SO_RCVBUF, &at);
	opt_get(s, &at, &size, sizeof(size));
	m[1] = (uint32_t)size;
	opt_find(s, SOL_SOCKET, SO_SNDBUF, &at);
	opt_get(s, &at, &size, sizeof(size));
	m[3] = (uint32_t)size;
	return give(buf, room, m, sizeof(m));
}

/* Unique among the kernel's, too: those count up from 1. */
static ssize_t get_cookie(struct sock *s, void *buf, size_t room)
{
	uint64_t mine = 1ull << 63 | s->number;

	return room < sizeof(mine) ? -EINVAL : give(buf, room, &mine, sizeof(mine));
}

static ssize_t get_peername(struct sock *s, void *buf, size_t room)
{
	struct sockaddr_storage ss;
	struct endpoint remote = { 0 };
	socklen_t len;

	if (sock_mode(s) == SOCK_STACK && !sock_has(s, SOCK_LISTENING))
		remote = s->a->remote;
	if (!remote.port)
		return -ENOTCONN;
	len = addr_emit(&ss, s->family, &remote);
	if (s->family == AF_INET6)
		((struct sockaddr_in6 *)&ss)->sin6_flowinfo = be32_of(sock_flowinfo(s)).raw;
	return room > len ? -EINVAL : give(buf, room, &ss, room);
}

/* The path's, whatever the peer takes and options leave of it; 0: there is none. */
static int path_mtu(struct sock *s)
{
	if (sock_mode(s) != SOCK_STACK || sock_has(s, SOCK_LISTENING) || !s->a->remote.port)
		return 0;
	int mtu = (int)info_of(s).tcpi_pmtu;

	return mtu ? mtu : 1500;
}

static ssize_t get_mtu(struct sock *s, void *buf, size_t room)
{
	int mtu = path_mtu(s);

	return mtu ? give(buf, room, &mtu, sizeof(mtu)) : -ENOTCONN;
}

/* Linux reads its port here (inet_num). */
static int local_port(const struct sock *s)
{
	return sock_is_attached(s) && !(sock_mode(s) == SOCK_STACK && opt_is_idle(s)) ?
		       s->a->local.port : 0;
}

/* What arrived with the connection, for those who asked (RFC 2292's way on IPv4): a struct cmsghdr each. */
static ssize_t get_pktoptions(const struct sock *s, void *buf, size_t room)
{
	struct in_pktinfo info = { 0 };
	char all[128];
	size_t used = 0;
	static const struct { int ask, type, size; } part[] = {
		{ IP_PKTINFO, IP_PKTINFO, sizeof(struct in_pktinfo) },
		{ IP_RECVTTL, IP_TTL, sizeof(int) },
		{ IP_RECVTOS, IP_TOS, sizeof(int) },
	};

	memset(all, 0, sizeof(all));
	if (sock_is_attached(s) && ipaddr_is_v4(&s->a->local.addr))
		info.ipi_addr.s_addr = info.ipi_spec_dst.s_addr =
			be32_of(ipaddr_get_v4(&s->a->local.addr)).raw;
	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		struct cmsghdr *c = (struct cmsghdr *)(all + used);

		if (!sock_opt_value(s, IPPROTO_IP, part[i].ask))
			continue;
		*c = (struct cmsghdr){ CMSG_LEN((size_t)part[i].size), IPPROTO_IP, part[i].type };
		if (part[i].ask == IP_PKTINFO)
			memcpy(CMSG_DATA(c), &info, sizeof(info));
		else if (part[i].ask == IP_RECVTTL)
			*(int *)CMSG_DATA(c) = sock_has(s, SOCK_ACCEPTED) ? 64 : 1;
		used += CMSG_SPACE((size_t)part[i].size);
	}
	return give(buf, room, all, used);
}

static int read_socket(struct sock *s, int name)
{
	switch (name) {
	case SO_TYPE:
		return SOCK_STREAM;
	case SO_PROTOCOL:
		return IPPROTO_TCP;
	case SO_DOMAIN:
		return s->family;
	case SO_ACCEPTCONN:
		return sock_has(s, SOCK_LISTENING);
	case SO_SNDLOWAT:
		return 1;
	case SO_ERROR:
		return sock_take_error(s);
	default: /* SO_INCOMING_NAPI_ID: not of a kernel's device */
		return 0;
	}
}

static ssize_t read_only(struct sock *s, const struct opt_at *at, void *buf, size_t room)
{
	int v = 0;

	if (at->level == SOL_SOCKET && at->name == SO_MEMINFO)
		return get_meminfo(s, buf, room);
	if (at->level == SOL_SOCKET && at->name == SO_COOKIE)
		return get_cookie(s, buf, room);
	if (at->level == SOL_SOCKET && at->name == SO_PEERNAME)
		return get_peername(s, buf, room);
	if (at->level == SOL_SOCKET)
		v = read_socket(s, at->name);
	else if (at->level == IPPROTO_TCP && at->name == TCP_INFO)
		return get_info(s, buf, room);
	else if (at->level == IPPROTO_TCP && at->name == TCP_CC_INFO)
		return get_cc_info(s, buf, room);
	else if (at->level == IPPROTO_IPV6 && at->name == IPV6_MULTICAST_IF)
		v = sock_has(s, SOCK_ACCEPTED) ? opt_came_in_by(s) : 0;
	else if (at->level == IPPROTO_IPV6 && at->name == IPV6_MULTICAST_HOPS)
		v = sock_has(s, SOCK_ACCEPTED) ? 64 : 1;
	else if (at->level == IPPROTO_IPV6 && at->name == IPV6_PATHMTU)
		return opt_get_pathmtu(path_mtu(s), buf, room);
	else if (at->name == (at->level == IPPROTO_IPV6 ? IPV6_MTU : IP_MTU) && at->level != IPPROTO_TCP)
		return get_mtu(s, buf, room);
	else if (at->level == IPPROTO_IP && at->name == IP_PKTOPTIONS)
		return get_pktoptions(s, buf, room);
	else if (at->level == IPPROTO_IP && at->name == IP_MULTICAST_TTL)
		v = sock_has(s, SOCK_ACCEPTED) ? 64 : 1; /* accepted: that of the handshake */
	else if (at->level == IPPROTO_IP)
		v = local_port(s);
	return give(buf, room, &v, sizeof(v));
}

/* ---- what can be set ---- */
static int get_field(const struct chan_opts *opts, const struct opt *o)
{
	const char *p = (const char *)opts + o->arg;

	if (o->kind == OPT_FIELD8)
		return *(const uint8_t *)p;
	return o->kind == OPT_FIELD16 ? *(const uint16_t *)p : *(const int32_t *)p;
}

/* The receive buffer grows with what is read; what comes by a lane the engine knows when it looks. */
static uint32_t rcvbuf_now(const struct sock *s)
{
	const struct chan_req look = { .op = CHAN_OP_INFO, .sock = s->id, .gen = s->gen };

	if (chan_has_lane(s->a))
		chan_call(s->app, s->a->worker, &look, NULL);
	return atomic_load(&s->a->rcvbuf);
}

static int get_buffer(const struct sock *s, const struct opt *o)
{
	bool tx = o->arg == offsetof(struct chan_opts, sndbuf);
	uint32_t v = tx ? s->b->opts.sndbuf : s->b->opts.rcvbuf;

	if (v)
		return (int)(2 * v);
	if (!tx)
		return (int)max_u32(RCVBUF_DEFAULT, rcvbuf_now(s));
	return is_connected(s) ? (int)(2 * s->a->sndbuf) : 16384;
}

int opt_defer_seconds(int n)
{
	int timeout = 1, period = n > 0;

	for (; n > 1; n--) {
		timeout = timeout * 2 > OPT_RTO_MAX_S ? OPT_RTO_MAX_S : timeout * 2;
		period += timeout;
	}
	return period;
}

/* While nobody has set it, it follows the type of service (rt_tos2priority). */
static int get_priority(const struct sock *s, const struct opt_at *at)
{
	static const uint8_t by_tos[16] = { 0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4 };

	return opt_recorded(s, at->index, by_tos[(s->b->opts.tos & 0x1e) >> 1]);
}

static int get_quickack(const struct sock *s, const struct opt_at *at)
{
	bool fin = is_connected(s) && atomic_load(&s->a->flags) & CHAN_A_RX_FIN;

	return opt_recorded(s, at->index, !fin);
}

static int get_incoming_cpu(const struct sock *s, const struct opt_at *at)
{
	if (is_connected(s) && !sock_is_dead(s))
		return (int)atomic_load(&s->app->e->worker[s->a->worker].cpu);
	return opt_recorded(s, at->index, at->o->def);
}

static int get_int(const struct sock *s, const struct opt_at *at)
{
	const struct opt *o = at->o;
	uint32_t v;

	switch (o->kind) {
	case OPT_BIT:
		if (o->arg == CHAN_O_CORK && sock_has(s, SOCK_MORE))
			return 0; /* MSG_MORE's, not the program's */
		return (s->b->opts.flags & o->arg) != 0;
	case OPT_FIELD16:
		if (is_connected(s))
			return (int)s->a->mss; /* TCP_MAXSEG is the only one */
		/* fall through */
	case OPT_FIELD8:
	case OPT_FIELD32:
		v = (uint32_t)get_field(&s->b->opts, o);
		return v ? (int)(v - !!(o->rule & OPT_PLUS_1)) : o->def;
	case OPT_BUFFER:
		return get_buffer(s, o);
	case OPT_BUF_LOCK:
		return (s->b->opts.sndbuf ? 1 : 0) | (s->b->opts.rcvbuf ? 2 : 0);
	case OPT_LOWAT:
		v = atomic_load(&s->b->rcvlowat);
		return v ? (int)v : 1;
	case OPT_PREFER:
		return opt_get_prefer(s, at);
	case OPT_LINGER2:
		return s->b->opts.linger2_s ? s->b->opts.linger2_s : 60;
	case OPT_QUICKACK:
		return get_quickack(s, at);
	case OPT_PEEK_OFF:
		return (int)((unsigned int)atomic_load(&s->b->peek_off) - 1);
	case OPT_DEFER:
		return opt_defer_seconds(s->b->opts.defer);
	case OPT_CLAMP:
		return (int)s->b->opts.window_clamp;
	case OPT_INT:
	case OPT_FASTOPEN:
		if (at->level == SOL_SOCKET && at->name == SO_PRIORITY)
			return get_priority(s, at);
		if (at->level == SOL_SOCKET && at->name == SO_INCOMING_CPU)
			return get_incoming_cpu(s, at);
		if (at->level == IPPROTO_IP && at->name == IP_MULTICAST_ALL && s->family == AF_INET6)
			return opt_recorded(s, at->index, 0);
		/* fall through */
	default:
		return opt_recorded(s, at->index, o->def);
	}
}

static ssize_t get_time(const struct sock *s, const struct opt *o, void *buf, size_t room)
{
	uint32_t raw = atomic_load((_Atomic uint32_t *)((char *)s->b + o->arg));
	uint32_t ms = raw == WAIT_NEVER_MS ? 0 : raw;
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	return give(buf, room, &tv, sizeof(tv));
}

static ssize_t get_linger(const struct sock *s, void *buf, size_t room)
{
	struct linger l = {
		.l_onoff = (s->b->opts.flags & CHAN_O_LINGER) != 0,
		.l_linger = (int)s->b->opts.linger_s,
	};

	return give(buf, room, &l, sizeof(l));
}

/* Linux: eight bytes for who has room for eight. */
static ssize_t get_pacing(const struct sock *s, const struct opt_at *at, void *buf, size_t room)
{
	uint32_t set = atomic_load(&s->b->pacing);
	bool zero = opt_recorded(s, at->index, -1) == 0;
	uint64_t rate = set || zero ? set : UINT64_MAX;

	return give(buf, room, &rate, room >= sizeof(rate) ? sizeof(rate) : sizeof(uint32_t));
}

static ssize_t get_stamp(const struct sock *s, const struct opt_at *at, void *buf, size_t room)
{
	int v = sock_opt_value(s, SOL_SOCKET, SO_TIMESTAMP_OLD) == at->name;

	return give(buf, room, &v, sizeof(v));
}

static ssize_t get_pair(int first, void *buf, size_t room)
{
	int v[2] = { first, 0 };

	return give(buf, room, v, sizeof(v));
}

ssize_t opt_get(struct sock *s, const struct opt_at *at, void *buf, size_t room)
{
	char name[OPT_CONTROL_MAX] = { 0 };
	int v;

	switch (at->o->kind) {
	case OPT_READ:
		return read_only(s, at, buf, room);
	case OPT_WRITE:
		return -ENOPROTOOPT;
	case OPT_TIMEOUT:
		return get_time(s, at->o, buf, room);
	case OPT_LINGER:
		return get_linger(s, buf, room);
	case OPT_CONTROL:
		strcpy(name, control_of(s));
		return give(buf, room, name, sizeof(name));
	case OPT_PACING:
		return get_pacing(s, at, buf, room);
	case OPT_STAMP:
		return get_stamp(s, at, buf, room);
	case OPT_STAMPING:
		v = sock_opt_value(s, SOL_SOCKET, SO_TIMESTAMPING_OLD);
		if (at->name == SO_TIMESTAMPING_NEW && !opt_recorded(s, at->index, 0))
			v = 0;
		return get_pair(v, buf, room);
	case OPT_TXTIME:
		return get_pair(0, buf, room);
	case OPT_DEVICE:
		if (at->level == SOL_SOCKET && at->name == SO_BINDTODEVICE)
			return 0;
		/* fall through */
	case OPT_NOTHING:
		v = 0;
		return give(buf, room, &v, sizeof(v));
	case OPT_BUFFER:
		if (at->o->rule & OPT_ASK) /* the FORCE twins only set */
			return -ENOPROTOOPT;
		/* fall through */
	default:
		v = get_int(s, at);
		return give(buf, room, &v, sizeof(v));
	case OPT_ADDRFORM:
		v = s->family;
		return is_connected(s) ? give(buf, room, &v, sizeof(v)) : -ENOTCONN;
	case OPT_QUEUE_SEQ:
		return -EINVAL;
	case OPT_FO_KEY:
		return opt_get_fo_key(s, buf, room);
	}
}
