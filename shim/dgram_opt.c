/* Options of datagram sockets. The kernel's half checks, keeps and reports them; what the stack acts on is
 * read back from there and noted. */
// SPDX-License-Identifier: MIT
#include <linux/net_tstamp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <sys/time.h>
#include "shim/addr.h"
#include "shim/dgram_int.h"
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/route.h"
#include "shim/sock_conn.h"
#include "shim/wait.h"
#include "stack/chan/user.h"

enum {
	N_IP_PROTOCOL = 52, /* of a datagram socket it is the port */
	N_SO_RCVTIMEO_NEW = 66, N_SO_SNDTIMEO_NEW = 67, N_SO_BINDTOIFINDEX = 62,
	N_IPV6_FLOWINFO = 11, N_IPV6_MULTICAST_ALL = 29, N_IPV6_FLOWINFO_SEND = 33, N_IPV6_ORIGDSTADDR = 74,
	PREFER_SRC_PUBLIC = 2,
	N_SO_ATTACH_BPF = 50, N_SO_ATTACH_REUSEPORT_CBPF = 51, N_SO_ATTACH_REUSEPORT_EBPF = 52,
};
enum kind {
	BIT,	   /* bit `arg` of opts.flags */
	BIT_OFF,   /* the same, set while the option is 0 */
	WANT,	   /* bit `arg` of dg_flags */
	WANT_OFF,
	STAMP,	   /* one of the SO_TIMESTAMP* */
	BUFFER,	   /* member of opts at offset `arg`: half of what the kernel says */
	FIELD8,
	MTU_DISC,
	MTU_DISC6,
	TIMEOUT,   /* milliseconds at offset `arg` of b */
	MCAST_TTL,
	SEGMENT,   /* UDP_SEGMENT */
	CORK,
	PEEK_OFF,
	MCAST_HOPS6,
	PREFER,	   /* IPV6_ADDR_PREFERENCES */
	FRAG,	   /* IPV6_MTU */
	DEVICE,
	ONLY_KERNEL, /* moves the socket to the kernel for good while that is possible */
};
struct row {
	int level, name;
	enum kind kind;
	uint32_t arg;
};
static const struct row table[] = {
	{ SOL_SOCKET, SO_REUSEADDR, BIT, CHAN_O_REUSEADDR },
	{ SOL_SOCKET, SO_REUSEPORT, BIT, CHAN_O_REUSEPORT },
	{ SOL_SOCKET, SO_BROADCAST, BIT, CHAN_O_BROADCAST },
	{ SOL_SOCKET, SO_RCVBUF, BUFFER, offsetof(struct chan_opts, rcvbuf) },
	{ SOL_SOCKET, SO_RCVBUFFORCE, BUFFER, offsetof(struct chan_opts, rcvbuf) },
	{ SOL_SOCKET, SO_SNDBUF, BUFFER, offsetof(struct chan_opts, sndbuf) },
	{ SOL_SOCKET, SO_SNDBUFFORCE, BUFFER, offsetof(struct chan_opts, sndbuf) },
	{ SOL_SOCKET, SO_RCVTIMEO, TIMEOUT, offsetof(struct chan_sock_b, rcvtimeo_ms) },
	{ SOL_SOCKET, SO_SNDTIMEO, TIMEOUT, offsetof(struct chan_sock_b, sndtimeo_ms) },
	{ SOL_SOCKET, N_SO_RCVTIMEO_NEW, TIMEOUT, offsetof(struct chan_sock_b, rcvtimeo_ms) },
	{ SOL_SOCKET, N_SO_SNDTIMEO_NEW, TIMEOUT, offsetof(struct chan_sock_b, sndtimeo_ms) },
	{ SOL_SOCKET, SO_NO_CHECK, WANT, DGRAM_S_NO_CHECK },
	{ SOL_SOCKET, SO_DONTROUTE, WANT, DGRAM_S_DONTROUTE },
	{ SOL_SOCKET, SO_ZEROCOPY, WANT, DGRAM_S_ZEROCOPY },
	{ SOL_SOCKET, SO_RXQ_OVFL, WANT, DGRAM_R_OVFL },
	{ SOL_SOCKET, SO_TIMESTAMP_OLD, STAMP, 0 },
	{ SOL_SOCKET, SO_TIMESTAMPNS_OLD, STAMP, 0 },
	{ SOL_SOCKET, SO_TIMESTAMP_NEW, STAMP, 0 },
	{ SOL_SOCKET, SO_TIMESTAMPNS_NEW, STAMP, 0 },
	{ SOL_SOCKET, SO_TIMESTAMPING_OLD, STAMP, 0 },
	{ SOL_SOCKET, SO_TIMESTAMPING_NEW, STAMP, 0 },
	{ SOL_SOCKET, SO_PEEK_OFF, PEEK_OFF, 0 },
	{ SOL_SOCKET, SO_BINDTODEVICE, DEVICE, 0 },
	{ SOL_SOCKET, N_SO_BINDTOIFINDEX, DEVICE, 0 },
	{ SOL_SOCKET, SO_ATTACH_FILTER, ONLY_KERNEL, 0 },
	{ SOL_SOCKET, N_SO_ATTACH_BPF, ONLY_KERNEL, 0 },
	{ SOL_SOCKET, N_SO_ATTACH_REUSEPORT_CBPF, ONLY_KERNEL, 0 },
	{ SOL_SOCKET, N_SO_ATTACH_REUSEPORT_EBPF, ONLY_KERNEL, 0 },
	{ IPPROTO_IP, IP_TTL, FIELD8, offsetof(struct chan_opts, ttl) },
	{ IPPROTO_IP, IP_TOS, FIELD8, offsetof(struct chan_opts, tos) },
	{ IPPROTO_IP, IP_MTU_DISCOVER, MTU_DISC, 0 },
	{ IPPROTO_IP, IP_RECVERR, BIT, CHAN_O_RECVERR },
	{ IPPROTO_IP, IP_FREEBIND, BIT, CHAN_O_FREEBIND },
	{ IPPROTO_IP, IP_MULTICAST_ALL, BIT_OFF, CHAN_O_MCAST_OWN },
	{ IPPROTO_IP, IP_MULTICAST_LOOP, WANT_OFF, DGRAM_S_LOOP_OFF },
	{ IPPROTO_IP, IP_MULTICAST_TTL, MCAST_TTL, 0 },
	{ IPPROTO_IP, IP_PKTINFO, WANT, DGRAM_R_PKTINFO },
	{ IPPROTO_IP, IP_RECVTTL, WANT, DGRAM_R_TTL },
	{ IPPROTO_IP, IP_RECVTOS, WANT, DGRAM_R_TOS },
	{ IPPROTO_IP, IP_RECVORIGDSTADDR, WANT, DGRAM_R_ORIGDST },
	{ IPPROTO_IPV6, IPV6_V6ONLY, BIT, CHAN_O_V6ONLY },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, FIELD8, offsetof(struct chan_opts, hops) },
	{ IPPROTO_IPV6, IPV6_TCLASS, FIELD8, offsetof(struct chan_opts, tclass) },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, MTU_DISC6, 0 },
	{ IPPROTO_IPV6, IPV6_DONTFRAG, WANT, DGRAM_S_DONTFRAG6 },
	{ IPPROTO_IPV6, IPV6_RECVERR, BIT, CHAN_O_RECVERR6 },
	{ IPPROTO_IPV6, IPV6_FREEBIND, BIT, CHAN_O_FREEBIND },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, WANT, DGRAM_R_PKTINFO6 },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, WANT, DGRAM_R_HOPLIMIT },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, WANT, DGRAM_R_TCLASS },
	{ IPPROTO_IPV6, IPV6_2292PKTINFO, WANT, DGRAM_R_PKTINFO6_OLD },
	{ IPPROTO_IPV6, IPV6_2292HOPLIMIT, WANT, DGRAM_R_HOPLIMIT_OLD },
	{ IPPROTO_IPV6, N_IPV6_ORIGDSTADDR, WANT, DGRAM_R_ORIGDST6 },
	{ IPPROTO_IPV6, N_IPV6_MULTICAST_ALL, BIT_OFF, CHAN_O_MCAST_OWN6 },
	{ IPPROTO_IPV6, IPV6_MULTICAST_LOOP, WANT_OFF, DGRAM_S_LOOP6_OFF },
	{ IPPROTO_IPV6, IPV6_MULTICAST_HOPS, MCAST_HOPS6, 0 },
	{ IPPROTO_IPV6, N_IPV6_FLOWINFO, WANT, DGRAM_R_FLOWINFO },
	{ IPPROTO_IPV6, N_IPV6_FLOWINFO_SEND, WANT, DGRAM_S_FLOWINFO },
	{ IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, BIT_OFF, CHAN_O_NO_LABEL },
	{ IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, PREFER, CHAN_O_SRC_PUBLIC },
	{ IPPROTO_IPV6, IPV6_RECVPATHMTU, WANT, DGRAM_R_PATHMTU },
	{ IPPROTO_IPV6, IPV6_MTU, FRAG, 0 },
	{ IPPROTO_UDP, UDP_CORK, CORK, 0 },
	{ IPPROTO_UDP, UDP_SEGMENT, SEGMENT, 0 },
	{ IPPROTO_UDP, UDP_GRO, BIT, CHAN_O_UDP_GRO },
	{ IPPROTO_UDP, UDP_ENCAP, ONLY_KERNEL, 0 },
};

static const struct row *find(int level, int name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].level == level && table[i].name == name)
			return &table[i];
	return NULL;
}

/* ---- notes ---- */
static int kernel_int(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int v = 0;

	return libc.getsockopt(fd, level, name, &v, &len) < 0 ? 0 : v;
}

static void note_bit(struct sock *s, uint32_t bit, bool on)
{
	if (on)
		__atomic_fetch_or(&s->b->opts.flags, bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&s->b->opts.flags, ~bit, __ATOMIC_SEQ_CST);
}

static void note_want(struct sock *s, uint32_t bit, bool on)
{
	if (on)
		atomic_fetch_or(&s->b->dg_flags, bit);
	else
		atomic_fetch_and(&s->b->dg_flags, ~bit);
}

void dgram_only_v6(struct sock *s, int fd)
{
	const int on = 1;

	libc.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	note_bit(s, CHAN_O_V6ONLY, true);
}

/* They exclude each other, so that all are asked for. */
static void note_stamps(struct sock *s, int fd)
{
	static const struct {
		int name;
		uint32_t bits;
	} stamps[] = {
		{ SO_TIMESTAMP_OLD, DGRAM_R_STAMP },
		{ SO_TIMESTAMPNS_OLD, DGRAM_R_STAMPNS },
		{ SO_TIMESTAMP_NEW, DGRAM_R_STAMP | DGRAM_R_STAMP_NEW },
		{ SO_TIMESTAMPNS_NEW, DGRAM_R_STAMPNS | DGRAM_R_STAMP_NEW },
	};
	const int soft = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE;
	uint32_t on = 0;

	for (size_t i = 0; i < ARRAY_LEN(stamps); i++)
		if (kernel_int(fd, SOL_SOCKET, stamps[i].name))
			on |= stamps[i].bits;
	if ((kernel_int(fd, SOL_SOCKET, SO_TIMESTAMPING_OLD) & soft) == soft)
		on |= DGRAM_R_STAMPING;
	if ((kernel_int(fd, SOL_SOCKET, SO_TIMESTAMPING_NEW) & soft) == soft)
		on |= DGRAM_R_STAMPING | DGRAM_R_STAMPING_NEW;
	note_want(s, DGRAM_R_STAMP | DGRAM_R_STAMPNS | DGRAM_R_STAMP_NEW | DGRAM_R_STAMPING |
		  DGRAM_R_STAMPING_NEW, false);
	note_want(s, on, true);
	note_bit(s, CHAN_O_TIMESTAMP, on != 0);
}

/* val has been read by the kernel a moment ago: a negative time, which it reports as none, is no wait. */
static void note_timeout(struct sock *s, int fd, const struct row *o, const void *val)
{
	_Atomic uint32_t *to = (_Atomic uint32_t *)((char *)s->b + o->arg);
	bool rcv = o->arg == offsetof(struct chan_sock_b, rcvtimeo_ms);
	struct timeval tv = { 0 };
	socklen_t len = sizeof(tv);
	uint64_t ms;
	int64_t sec = 0;

	libc.getsockopt(fd, SOL_SOCKET, rcv ? SO_RCVTIMEO : SO_SNDTIMEO, &tv, &len);
	ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000;
	if (ms == 0 && user_get(&sec, val, sizeof(sec)) == 0 && sec < 0)
		ms = WAIT_NEVER_MS;
	atomic_store(to, (uint32_t)min_u64(ms, WAIT_NEVER_MS));
}

static void note_send(struct sock *s, uint32_t v, uint32_t mask)
{
	uint32_t old = atomic_load(&s->b->dg_send);

	while (!atomic_compare_exchange_weak(&s->b->dg_send, &old, (old & ~mask) | (v & mask)))
		;
}

static void note(struct sock *s, int fd, const struct row *o, const void *val)
{
	int v = kernel_int(fd, o->level, o->name);

	switch (o->kind) {
	case BIT:
	case BIT_OFF:
		note_bit(s, o->arg, (v != 0) == (o->kind == BIT));
		break;
	case WANT:
	case WANT_OFF:
		note_want(s, o->arg, (v != 0) == (o->kind == WANT));
		break;
	case STAMP:
		note_stamps(s, fd);
		break;
	case BUFFER:
		v = kernel_int(fd, SOL_SOCKET, o->arg == offsetof(struct chan_opts, rcvbuf) ?
						       SO_RCVBUF : SO_SNDBUF);
		*(uint32_t *)((char *)&s->b->opts + o->arg) = (uint32_t)v / 2;
		break;
	case FIELD8:
		*((uint8_t *)&s->b->opts + o->arg) = (uint8_t)v;
		break;
	case MTU_DISC:
		s->b->opts.mtu_disc = (uint8_t)(v + 1);
		break;
	case MTU_DISC6:
		s->b->opts.mtu_disc6 = (uint8_t)(v + 1);
		break;
	case TIMEOUT:
		note_timeout(s, fd, o, val);
		break;
	case MCAST_TTL:
		note_send(s, (uint32_t)v << 16, 0xff0000);
		note_want(s, DGRAM_S_TTL_SET, true);
		break;
	case MCAST_HOPS6:
		note_send(s, (uint32_t)v << 24, 0xff000000);
		note_want(s, DGRAM_S_HOPS6_SET, true);
		break;
	case SEGMENT:
		note_send(s, (uint32_t)v, 0xffff);
		break;
	case CORK:
		note_want(s, DGRAM_S_CORK, v != 0);
		break;
	case PEEK_OFF:
		atomic_store(&s->b->peek_off, v + 1);
		break;
	case PREFER:
		note_bit(s, o->arg, v & PREFER_SRC_PUBLIC);
		break;
	case FRAG: /* what is read is the path's */
		if (val && user_get(&v, val, sizeof(v)) == 0)
			atomic_store(&s->b->dg_frag, (uint32_t)v);
		else if (!val)
			atomic_store(&s->b->dg_frag, 0);
		break;
	default:
		break;
	}
}

static void tell_engine(struct sock *s, const struct row *o)
{
	const struct chan_req info = { .op = CHAN_OP_INFO, .sock = s->id, .gen = s->gen };
	const bool of_opts = o->kind == BIT || o->kind == BIT_OFF || o->kind == PREFER || o->kind == BUFFER ||
			     o->kind == FIELD8 || o->kind == MTU_DISC || o->kind == MTU_DISC6 ||
			     o->kind == STAMP;

	if (!dgram_has_stack(s) || !of_opts)
		return;
	atomic_fetch_add(&s->b->opt_seq, 1);
	chan_mark(s->app, s->id);
	/* What comes by way of another data thread may overtake the mark; not the answer behind it. */
	if (s->app->n_workers > 1)
		chan_call(s->app, s->a->worker, &info, NULL);
}

/* ---- what takes a side ---- */
/* Bound to an interface: to one of the stack, then the kernel hears nothing, or to one of the kernel's. */
static void take_device(struct sock *s, int fd)
{
	uint32_t ifindex = (uint32_t)kernel_int(fd, SOL_SOCKET, N_SO_BINDTOIFINDEX);
	enum chan_reason no;
	struct chan_app *app;

	dgram_set(s, 0, DGRAM_DEVICE);
	if (!ifindex || sock_has(s, DGRAM_ONLY_STACK))
		return;
	app = engine_get(&no);
	if (app && route_has_interface(app, ifindex))
		dgram_set(s, DGRAM_DEVICE, SOCK_TWIN);
	else
		dgram_to_kernel(s, CHAN_REASON_bind_device);
	if (app)
		engine_put(app);
}

/* The stack can't do it. What would the kernel say, of a socket like s? Its error, or that nobody has it. */
static int refuse(const struct sock *s, const struct row *o, const void *val, socklen_t len)
{
	int k = libc.socket(s->family, SOCK_DGRAM | SOCK_CLOEXEC, s->protocol), r;

	if (k < 0)
		return -ENOPROTOOPT;
	r = libc.setsockopt(k, o->level, o->name, val, len) < 0 ? -errno : 0;
	libc.close(k);
	if (r < 0)
		return r;
	explain_kernel(CHAN_REASON_option_unsupported);
	return -ENOPROTOOPT;
}

static bool is_off(const struct row *o, const void *val, socklen_t len)
{
	int v = 1;

	return o->name == UDP_ENCAP && o->level == IPPROTO_UDP && len >= sizeof(v) &&
	       user_get(&v, val, sizeof(v)) == 0 && v == 0;
}

static int set_side(struct sock *s, int fd, const struct row *o, const void *val, socklen_t len)
{
	int r = sock_lock(s);

	if (r < 0)
		return r;
	if (sock_mode(s) == SOCK_KERNEL) {
		r = SOCK_TO_KERNEL;
	} else if (is_off(o, val, len)) {
		r = SOCK_TO_KERNEL;
	} else if (o->kind == ONLY_KERNEL && dgram_stack_port(s)) {
		r = refuse(s, o, val, len);
	} else if (libc.setsockopt(fd, o->level, o->name, val, len) < 0) {
		r = -errno;
	} else if (o->kind == DEVICE) {
		take_device(s, fd);
	} else {
		dgram_to_kernel(s, CHAN_REASON_option_unsupported);
	}
	sock_unlock(s);
	return r;
}

/* An address that ipv6_setsockopt() would find bad. */
static bool is_bad_int(const void *val, socklen_t len)
{
	int v;

	return val && len >= sizeof(v) && user_get(&v, val, sizeof(v)) < 0;
}

/* IPV6_ADDRFORM of one that is connected to an IPv6 address through the stack. */
static bool asks_for_v4(const struct sock *s, const void *val, socklen_t len)
{
	struct endpoint remote;
	int v = 0;

	if (!dgram_is_stack_conn(s) || len < sizeof(v) || user_get(&v, val, sizeof(v)) < 0)
		return false;
	remote = s->a->remote;
	return v == AF_INET && !ipaddr_is_v4(&remote.addr);
}

int dgram_setopt(struct sock *s, int fd, int level, int name, const void *val, socklen_t len)
{
	const struct row *o = find(level, name);
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (dgram_is_mcast_name(s, level, name))
		return dgram_mcast_set(s, level, name, val, len);
	if (level == IPPROTO_IP && name == IP_MULTICAST_IF)
		return dgram_mcast_if(s, fd, val, len);
	if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_IF)
		return dgram_mcast_if6(s, fd, val, len);
	if (level == IPPROTO_IPV6 && name == IPV6_ADDRFORM && s->family == AF_INET6 &&
	    asks_for_v4(s, val, len))
		return -EADDRNOTAVAIL;
	if (!o)
		return SOCK_TO_KERNEL;
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && s->family == AF_INET6 && dgram_stack_port(s))
		return is_bad_int(val, len) ? -EFAULT : -EINVAL; /* the kernel's half may have no port */
	if (o->kind == DEVICE || o->kind == ONLY_KERNEL)
		return set_side(s, fd, o, val, len);
	r = libc.setsockopt(fd, level, name, val, len);
	if (r < 0)
		return -errno;
	note(s, fd, o, val);
	tell_engine(s, o);
	return o->kind == CORK && !dgram_flag(s, DGRAM_S_CORK) ? dgram_uncork(s) : 0;
}

/* ---- get: what only the stack's half knows ---- */
/* IPv6 takes a negative length for a large one, the others refuse it. */
static int give_at(int level, void *val, socklen_t *len, const void *from, socklen_t n)
{
	socklen_t room;

	if (user_get(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0 && level != IPPROTO_IPV6)
		return -EINVAL;
	n = min_u32(n, room);
	return user_put(val, from, n) < 0 || user_put(len, &n, sizeof(n)) < 0 ? -EFAULT : 0;
}

static int give(void *val, socklen_t *len, const void *from, socklen_t n)
{
	return give_at(SOL_SOCKET, val, len, from, n);
}

static int give_int(void *val, socklen_t *len, int v)
{
	return give(val, len, &v, sizeof(v));
}

/* More room than the name needs is an error, as in the kernel. */
static int give_peer(void *val, socklen_t *len, const struct sockaddr_storage *peer, socklen_t n)
{
	socklen_t room;

	if (user_get(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	return (int)room < 0 || n < room ? -EINVAL : give(val, len, peer, n);
}

static int get_socket(struct sock *s, int fd, int name, void *val, socklen_t *len)
{
	struct sockaddr_storage peer;
	struct endpoint remote;
	int v;

	switch (name) {
	case SO_PEERNAME:
		if (!dgram_is_stack_conn(s))
			return SOCK_TO_KERNEL;
		remote = s->a->remote;
		v = (int)addr_emit(&peer, s->family, &remote);
		if (s->family == AF_INET6)
			((struct sockaddr_in6 *)&peer)->sin6_flowinfo = be32_of(dgram_flowinfo(s)).raw;
		return give_peer(val, len, &peer, (socklen_t)v);
	case SO_ERROR:
		v = sock_take_error(s);
		return v ? give_int(val, len, v) : SOCK_TO_KERNEL;
	case SO_PEEK_OFF:
		if (!dgram_hears_stack(s))
			return SOCK_TO_KERNEL;
		return give_int(val, len, atomic_load(&s->b->peek_off) - 1);
	default:
		return SOCK_TO_KERNEL;
	}
}

static uint32_t path_mtu(struct sock *s)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s->id, .gen = s->gen };

	chan_call(s->app, s->a->worker, &req, NULL);	/* looks at the path anew */
	uint32_t mtu = ((const volatile struct chan_sock_a *)s->a)->path_mtu;
	struct ipaddr to = s->a->remote.addr;
	struct chan_route route;

	if (!mtu && route_find(s->app, &to, &route))
		mtu = route.mtu;
	return mtu ? mtu : UINT16_MAX;
}

/* As ipv6_getsockopt(): the length before all else. */
static int get_pathmtu(struct sock *s, void *val, socklen_t *len)
{
	struct ip6_mtuinfo info = { 0 };
	socklen_t room;

	if (user_get(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	if (room < sizeof(info))
		return -EINVAL;
	info.ip6m_mtu = path_mtu(s);
	return give_at(IPPROTO_IPV6, val, len, &info, sizeof(info));
}

int dgram_getopt(struct sock *s, int fd, int level, int name, void *val, socklen_t *len)
{
	uint32_t ifindex = atomic_load(&s->b->dg_mcast_if), if6 = atomic_load(&s->b->dg_mcast_if6), ip;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (level == SOL_SOCKET)
		return get_socket(s, fd, name, val, len);
	if (level == IPPROTO_IP && name == N_IP_PROTOCOL && dgram_stack_port(s))
		return give_int(val, len, dgram_stack_port(s));
	if (((level == IPPROTO_IP && name == IP_MTU) ||
	     (level == IPPROTO_IPV6 && name == IPV6_MTU && s->family == AF_INET6)) &&
	    dgram_is_stack_conn(s))
		return give_at(level, val, len, &(int){ (int)path_mtu(s) }, sizeof(int));
	if (level == IPPROTO_IPV6 && name == IPV6_ADDRFORM && s->family == AF_INET6 &&
	    dgram_is_stack_conn(s))
		return give_at(level, val, len, &(int){ AF_INET6 }, sizeof(int));
	if (level == IPPROTO_IPV6 && name == IPV6_PATHMTU && s->family == AF_INET6 &&
	    dgram_is_stack_conn(s))
		return get_pathmtu(s, val, len);
	if ((level == IPPROTO_IP && name == IP_MSFILTER) ||
	    (name == MCAST_MSFILTER && dgram_is_mcast_name(s, level, name)))
		return dgram_filter_get(s, level, name, val, len);
	if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_IF && if6 && if6 != DGRAM_MCAST_KERNEL)
		return give_int(val, len, (int)if6);
	if (level == IPPROTO_IP && name == IP_MULTICAST_IF && ifindex && ifindex != DGRAM_MCAST_KERNEL) {
		ip = be32_of(atomic_load(&s->b->dg_mcast_ip)).raw;
		return give(val, len, &ip, sizeof(ip));
	}
	return SOCK_TO_KERNEL;
}
