/* Options of stream sockets. What the stack acts on lives in b->opts; the rest is recorded, so that it
 * is reported as it was set and a kernel socket can be given the same. */
// SPDX-License-Identifier: MIT
#include "shim/sock_opt.h"
#include <limits.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "shim/addr.h"
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/sock.h"
#include "shim/sock_conn.h"
#include "shim/sock_limit.h"
#include "shim/wait.h"
#include "stack/chan/app.h"

enum kind {
	KEPT,	 /* recorded, reported, no meaning on the stack */
	KEPT_BOOL,
	FLAG,	 /* bit `arg` of opts.flags */
	FIELD8,	 /* member of opts at offset `arg`, 0 = default */
	FIELD16,
	FIELD32,
	BUFFER,	 /* SO_RCVBUF, SO_SNDBUF: reported doubled */
	TIMEOUT, /* struct timeval <-> milliseconds at offset `arg` of b */
	LINGER,
	LOWAT,
	DEFER,	 /* TCP_DEFER_ACCEPT: seconds, rounded up to retransmissions */
	NAME,	 /* TCP_CONGESTION */
	LINGER2,
	READ,	 /* can only be read: read_only() */
};
struct opt {
	int level, name;
	enum kind kind;
	uint32_t arg;
	int min, max; /* else EINVAL */
	int def;      /* reported while not set */
};
#define OPTS(member) offsetof(struct chan_opts, member)
/* Index = bit of draft->opt_set: at most SOCK_OPTS rows. Defaults and limits: Linux 6.1 to 6.18. */
static const struct opt table[] = {
	{ SOL_SOCKET, SO_REUSEADDR, FLAG, CHAN_O_REUSEADDR, INT_MIN, INT_MAX, 0 },
	{ SOL_SOCKET, SO_REUSEPORT, FLAG, CHAN_O_REUSEPORT, INT_MIN, INT_MAX, 0 },
	{ SOL_SOCKET, SO_KEEPALIVE, FLAG, CHAN_O_KEEPALIVE, INT_MIN, INT_MAX, 0 },
	{ SOL_SOCKET, SO_OOBINLINE, FLAG, CHAN_O_OOBINLINE, INT_MIN, INT_MAX, 0 },
	{ SOL_SOCKET, SO_RCVBUF, BUFFER, OPTS(rcvbuf), INT_MIN, INT_MAX, 131072 },
	{ SOL_SOCKET, SO_SNDBUF, BUFFER, OPTS(sndbuf), INT_MIN, INT_MAX, 16384 },
	{ SOL_SOCKET, SO_LINGER, LINGER },
	{ SOL_SOCKET, SO_RCVTIMEO, TIMEOUT, offsetof(struct chan_sock_b, rcvtimeo_ms) },
	{ SOL_SOCKET, SO_SNDTIMEO, TIMEOUT, offsetof(struct chan_sock_b, sndtimeo_ms) },
	{ SOL_SOCKET, SO_RCVLOWAT, LOWAT, 0, INT_MIN, INT_MAX, 1 },
	{ SOL_SOCKET, SO_BROADCAST, KEPT_BOOL, 0, INT_MIN, INT_MAX, 0 },
	{ SOL_SOCKET, SO_DONTROUTE, KEPT_BOOL, 0, INT_MIN, INT_MAX, 0 },
	{ SOL_SOCKET, SO_PRIORITY, KEPT, 0, INT_MIN, INT_MAX, 0 },
	{ SOL_SOCKET, SO_BUSY_POLL, KEPT, 0, 0, INT_MAX, 0 },
	{ SOL_SOCKET, SO_INCOMING_CPU, KEPT, 0, INT_MIN, INT_MAX, -1 },
	{ SOL_SOCKET, SO_MAX_PACING_RATE, KEPT, 0, INT_MIN, INT_MAX, -1 },
	{ SOL_SOCKET, SO_TYPE, READ },
	{ SOL_SOCKET, SO_PROTOCOL, READ },
	{ SOL_SOCKET, SO_DOMAIN, READ },
	{ SOL_SOCKET, SO_ERROR, READ },
	{ SOL_SOCKET, SO_ACCEPTCONN, READ },
	{ SOL_SOCKET, SO_SNDLOWAT, READ },
	{ IPPROTO_TCP, TCP_NODELAY, FLAG, CHAN_O_NODELAY, INT_MIN, INT_MAX, 0 },
	{ IPPROTO_TCP, TCP_CORK, FLAG, CHAN_O_CORK, INT_MIN, INT_MAX, 0 },
	{ IPPROTO_TCP, TCP_QUICKACK, FLAG, CHAN_O_QUICKACK, INT_MIN, INT_MAX, 1 },
	{ IPPROTO_TCP, TCP_MAXSEG, FIELD16, OPTS(user_mss), 88, 32767, 536 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, FIELD32, OPTS(keepidle_s), 1, 32767, 7200 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, FIELD32, OPTS(keepintvl_s), 1, 32767, 75 },
	{ IPPROTO_TCP, TCP_KEEPCNT, FIELD32, OPTS(keepcnt), 1, 127, 9 },
	{ IPPROTO_TCP, TCP_SYNCNT, FIELD32, OPTS(syncnt), 1, 127, 6 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, FIELD32, OPTS(user_timeout_ms), 0, INT_MAX, 0 },
	{ IPPROTO_TCP, TCP_LINGER2, LINGER2, 0, INT_MIN, INT_MAX, 60 },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, DEFER, 0, INT_MIN, INT_MAX, 0 },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, KEPT, 0, 0, INT_MAX, 0 },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, KEPT, 0, INT_MIN, INT_MAX, 0 },
	{ IPPROTO_TCP, TCP_FASTOPEN, KEPT, 0, 0, INT_MAX, 0 },
	{ IPPROTO_TCP, TCP_FASTOPEN_CONNECT, KEPT, 0, 0, 1, 0 },
	{ IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, KEPT, 0, 0, 1, 0 },
	{ IPPROTO_TCP, TCP_THIN_DUPACK, KEPT, 0, 0, 1, 0 },
	{ IPPROTO_TCP, TCP_CONGESTION, NAME },
	{ IPPROTO_TCP, TCP_INFO, READ },
	{ IPPROTO_IP, IP_TOS, FIELD8, OPTS(tos), INT_MIN, INT_MAX, 0 },
	{ IPPROTO_IP, IP_TTL, FIELD8, OPTS(ttl), 1, 255, 64 },
	{ IPPROTO_IP, IP_FREEBIND, FLAG, CHAN_O_FREEBIND, INT_MIN, INT_MAX, 0 },
	{ IPPROTO_IP, IP_MTU_DISCOVER, KEPT, 0, 0, 5, 1 },
	{ IPPROTO_IP, IP_RECVERR, KEPT_BOOL, 0, INT_MIN, INT_MAX, 0 },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, KEPT_BOOL, 0, INT_MIN, INT_MAX, 0 },
	{ IPPROTO_IP, IP_MTU, READ },
	{ IPPROTO_IPV6, IPV6_V6ONLY, FLAG, CHAN_O_V6ONLY, INT_MIN, INT_MAX, 0 },
	{ IPPROTO_IPV6, IPV6_TCLASS, KEPT, 0, -1, 255, 0 },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, KEPT, 0, -1, 255, 64 },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, KEPT, 0, 0, 5, 1 },
	{ IPPROTO_IPV6, IPV6_RECVERR, KEPT_BOOL, 0, INT_MIN, INT_MAX, 0 },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, KEPT_BOOL, 0, INT_MIN, INT_MAX, 0 },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, KEPT_BOOL, 0, INT_MIN, INT_MAX, 0 },
};
_Static_assert(ARRAY_LEN(table) <= SOCK_OPTS, "bits of opt_set");

/* Congestion control: opts.cc is the index; the stack's own default is the first. */
static const char *const cc_name[] = { "reno", "cubic", "bbr" };
enum { CC_NAME_MAX = 16, SNDBUF_MIN = 4608, RCVBUF_MIN = 2304 };

uint32_t sock_opt_default_sndbuf(void)
{
	return 16384;
}

static const struct opt *find(const struct sock *s, int level, int name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].level == level && table[i].name == name)
			return level == IPPROTO_IPV6 && s->family != AF_INET6 ? NULL : &table[i];
	return NULL;
}

static bool level_is_known(const struct sock *s, int level)
{
	return level == SOL_SOCKET || level == IPPROTO_TCP || level == IPPROTO_IP ||
	       (level == IPPROTO_IPV6 && s->family == AF_INET6);
}

/* ---- the record ---- */
static int32_t *record(struct sock *s, const struct opt *o)
{
	return s->draft ? s->draft->opt_val[o - table] : NULL;
}
static bool is_set(const struct sock *s, const struct opt *o)
{
	return s->draft && s->draft->opt_set >> (o - table) & 1;
}

/* What the program gave, in the form in which it is given to a kernel socket. An accepted socket has
 * no record until it needs one. */
static void remember(struct sock *s, const struct opt *o, const void *val, size_t len)
{
	int32_t *to;

	if (!s->draft)
		sock_draft_add(s);
	to = record(s, o);
	if (!to)
		return;
	memset(to, 0, sizeof(s->draft->opt_val[0]));
	memcpy(to, val, min_u64(len, sizeof(s->draft->opt_val[0])));
	s->draft->opt_set |= 1ull << (o - table);
}

void sock_opt_replay(struct sock *s, int k)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct opt *o = &table[i];
		const int32_t *val = record(s, o);
		socklen_t len = sizeof(int);

		if (!is_set(s, o))
			continue;
		if (o->kind == LINGER)
			len = sizeof(struct linger);
		else if (o->kind == TIMEOUT)
			len = sizeof(struct timeval);
		else if (o->kind == NAME)
			len = (socklen_t)strnlen((const char *)val, CC_NAME_MAX);
		/* Each was accepted once already; where the kernel differs, its defaults stay. */
		libc.setsockopt(k, o->level, o->name, val, len);
	}
}

/* ---- set ---- */
static void set_field(struct chan_opts *opts, const struct opt *o, int v)
{
	char *p = (char *)opts + o->arg;

	if (o->kind == FIELD8)
		*(uint8_t *)p = (uint8_t)v;
	else if (o->kind == FIELD16)
		*(uint16_t *)p = (uint16_t)v;
	else
		*(uint32_t *)p = (uint32_t)v;
}

static uint32_t get_field(const struct chan_opts *opts, const struct opt *o)
{
	const char *p = (const char *)opts + o->arg;

	if (o->kind == FIELD8)
		return *(const uint8_t *)p;
	return o->kind == FIELD16 ? *(const uint16_t *)p : *(const uint32_t *)p;
}

static void set_flag(struct sock *s, uint32_t bit, bool on)
{
	uint32_t *flags = &s->b->opts.flags;

	if (on)
		__atomic_fetch_or(flags, bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(flags, ~bit, __ATOMIC_SEQ_CST);
}

static int set_timeout(struct sock *s, const struct opt *o, const void *val, socklen_t len)
{
	_Atomic uint32_t *to = (_Atomic uint32_t *)((char *)s->b + o->arg);
	struct timeval tv;
	uint32_t tick;
	uint64_t ms;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	tick = sock_tick_ms(s);
	ms = tv.tv_sec > INT_MAX / 1000 ? 0 :
		(uint64_t)tv.tv_sec * 1000 + ((uint64_t)tv.tv_usec + 999) / 1000;
	ms = (ms + tick - 1) / tick * tick;
	atomic_store(to, tv.tv_sec < 0 ? WAIT_NEVER_MS : (uint32_t)ms);
	remember(s, o, &tv, sizeof(tv));
	return 0;
}

static int set_linger(struct sock *s, const struct opt *o, const void *val, socklen_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	if (l.l_onoff)
		s->b->opts.linger_s = (uint32_t)l.l_linger;
	set_flag(s, CHAN_O_LINGER, l.l_onoff != 0);
	remember(s, o, &l, sizeof(l));
	return 0;
}

static int set_name(struct sock *s, const struct opt *o, const void *val, socklen_t len)
{
	char name[CC_NAME_MAX] = { 0 };

	if (len < 1)
		return -EINVAL;
	memcpy(name, val, min_u32(len, CC_NAME_MAX - 1));
	for (size_t i = 0; i < ARRAY_LEN(cc_name); i++) {
		if (strcmp(name, cc_name[i]))
			continue;
		s->b->opts.cc = (uint8_t)i;
		remember(s, o, name, sizeof(name));
		return 0;
	}
	return -ENOENT;
}

static int set_int(struct sock *s, const struct opt *o, int v)
{
	int given = v;

	if (o->kind == FIELD8 && o->name == IP_TTL && v == -1)
		v = 0;
	else if (o->name == TCP_MAXSEG && o->level == IPPROTO_TCP && v == 0)
		v = 0;
	else if (v < o->min || v > o->max)
		return -EINVAL;
	if (o->name == SO_PRIORITY && o->level == SOL_SOCKET && (v < 0 || v > 6) && geteuid())
		return -EPERM;
	switch (o->kind) {
	case FLAG:
		if (o->level == IPPROTO_IPV6 && sock_has(s, SOCK_BOUND))
			return -EINVAL;
		set_flag(s, o->arg, v != 0);
		break;
	case FIELD8:
	case FIELD16:
	case FIELD32:
		set_field(&s->b->opts, o, o->name == IP_TOS && o->kind == FIELD8 ? v & 0xfc : v);
		break;
	case BUFFER:
		v = (uint32_t)v > (uint32_t)sock_buffer_max(o->name) ? sock_buffer_max(o->name) : v;
		v = (int)max_u32((uint32_t)v, (o->name == SO_SNDBUF ? SNDBUF_MIN : RCVBUF_MIN) / 2);
		*(uint32_t *)((char *)&s->b->opts + o->arg) = (uint32_t)v;
		break;
	case LOWAT:
		v = v < 0 || v > sock_lowat_max(s) ? sock_lowat_max(s) : v;
		atomic_store(&s->b->rcvlowat, (uint32_t)v);
		break;
	case LINGER2:
		s->b->opts.linger2_s = v < 0 ? -1 : v > 120 ? 120 : v;
		break;
	default:
		break;
	}
	remember(s, o, &given, sizeof(given));
	return 0;
}

static int get_given(const struct opt *o, const void *val, socklen_t len, int *v)
{
	*v = 0;
	if (len == 0 && o->level == IPPROTO_IP)
		return 0;
	if ((uintptr_t)val < 4096)
		return -EFAULT;
	if (len >= sizeof(int))
		memcpy(v, val, sizeof(int));
	else if (len >= 1 && o->level == IPPROTO_IP) /* old programs give a byte */
		*v = *(const unsigned char *)val;
	else
		return -EINVAL;
	return 0;
}

static int set_known(struct sock *s, const struct opt *o, const void *val, socklen_t len)
{
	int v, r;

	if (o->kind == READ)
		return -ENOPROTOOPT;
	if ((int)len < 0)
		return -EINVAL;
	if (o->kind == TIMEOUT || o->kind == LINGER || o->kind == NAME) {
		if ((uintptr_t)val < 4096 && len > 0)
			return -EFAULT;
		return o->kind == TIMEOUT ? set_timeout(s, o, val, len) :
		       o->kind == LINGER  ? set_linger(s, o, val, len) :
					    set_name(s, o, val, len);
	}
	r = get_given(o, val, len, &v);
	return r < 0 ? r : set_int(s, o, v);
}

/* Servers set options on each connection that they accept, and a mark may cost a system call: only what
 * has an effect before the next byte is sent needs one now. */
static void tell_engine(struct sock *s, const struct opt *o)
{
	bool pending = atomic_load(&s->b->tx_tail) != atomic_load(&s->a->tx_una);
	bool now = pending || o->kind == FIELD32 || o->name == SO_RCVBUF;

	if (!sock_is_attached(s) || o->kind == KEPT || o->kind == KEPT_BOOL || o->kind == TIMEOUT ||
	    o->kind == LOWAT || o->kind == DEFER)
		return;
	if (sock_mode(s) == SOCK_UNDECIDED || sock_has(s, SOCK_LISTENING))
		now = true; /* REUSEADDR of a bound one decides about others */
	if (o->kind == FLAG)
		now |= o->arg & (CHAN_O_KEEPALIVE | CHAN_O_CORK | CHAN_O_OOBINLINE);
	atomic_fetch_add(&s->b->opt_seq, 1);
	if (now)
		chan_mark(s->app, s->id);
}

int sock_setopt(struct sock *s, int level, int name, const void *val, socklen_t len)
{
	const struct opt *o;
	int r;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	o = find(s, level, name);
	if (!o) {
		if (!level_is_known(s, level))
			return -ENOPROTOOPT;
		if (sock_mode(s) == SOCK_UNDECIDED)
			return sock_to_kernel(s, level == SOL_SOCKET && name == SO_BINDTODEVICE ?
							 CHAN_REASON_bind_device :
							 CHAN_REASON_option_unsupported);
		explain_kernel(CHAN_REASON_option_unsupported);
		return -ENOPROTOOPT;
	}
	r = set_known(s, o, val, len);
	if (r < 0)
		return r;
	if (sock_has(s, SOCK_TWIN)) {
		int fd = sock_fd(s);

		if (fd >= 0)
			libc.setsockopt(fd, level, name, val, len);
	}
	tell_engine(s, o);
	return 0;
}

/* ---- get ---- */
/* Linux keeps DEFER_ACCEPT as a number of SYN-ACK retransmissions, one second doubling up to 120. */
static int defer_rounded(int seconds)
{
	int timeout = 1, period = 1;

	if (seconds <= 0)
		return 0;
	for (int n = 1; seconds > period && n < 255; n++) {
		timeout = timeout * 2 > 120 ? 120 : timeout * 2;
		period += timeout;
	}
	return period;
}

static bool is_connected(const struct sock *s)
{
	return sock_mode(s) == SOCK_STACK &&
	       atomic_load_explicit(&s->a->state, memory_order_acquire) == CHAN_ST_CONNECTED;
}

static int get_buffer(struct sock *s, const struct opt *o)
{
	uint32_t v = *(uint32_t *)((char *)&s->b->opts + o->arg);

	if (v)
		return (int)(2 * v);
	return o->name == SO_SNDBUF && is_connected(s) ? (int)(2 * s->a->sndbuf) : o->def;
}

static int get_int(struct sock *s, const struct opt *o)
{
	uint32_t v;

	switch (o->kind) {
	case FLAG:
		if (o->name == TCP_QUICKACK && o->level == IPPROTO_TCP && !is_set(s, o))
			return o->def;
		return (s->b->opts.flags & o->arg) != 0;
	case FIELD8:
	case FIELD16:
	case FIELD32:
		if (o->name == TCP_MAXSEG && o->level == IPPROTO_TCP && is_connected(s))
			return (int)s->a->mss;
		v = get_field(&s->b->opts, o);
		return v ? (int)v : o->def;
	case BUFFER:
		return get_buffer(s, o);
	case LOWAT:
		v = atomic_load(&s->b->rcvlowat);
		return v ? (int)v : 1;
	case LINGER2:
		return s->b->opts.linger2_s ? s->b->opts.linger2_s : o->def;
	case DEFER:
		return is_set(s, o) ? defer_rounded(record(s, o)[0]) : 0;
	case KEPT_BOOL:
		return is_set(s, o) ? record(s, o)[0] != 0 : o->def;
	default:
		return is_set(s, o) ? record(s, o)[0] : o->def;
	}
}

/* The numbers that can only be read; false: not a plain number. */
static int read_only(struct sock *s, int name, int *v)
{
	switch (name) {
	case SO_TYPE:
		*v = SOCK_STREAM;
		return 0;
	case SO_PROTOCOL:
		*v = IPPROTO_TCP;
		return 0;
	case SO_DOMAIN:
		*v = s->family;
		return 0;
	case SO_ACCEPTCONN:
		*v = sock_has(s, SOCK_LISTENING);
		return 0;
	case SO_SNDLOWAT:
		*v = 1;
		return 0;
	default: /* SO_ERROR */
		*v = sock_take_error(s);
		return 0;
	}
}

/* struct tcp_info: the engine's for what it has, else the state alone. */
static size_t get_info(struct sock *s, void *buf, size_t room)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s->id, .gen = s->gen };
	struct chan_rep rep = { .len = 0 };
	struct tcp_info info = { .tcpi_state = TCP_CLOSE };

	if (sock_is_attached(s) && sock_mode(s) == SOCK_STACK && !sock_is_dead(s) &&
	    chan_call(s->app, s->a->worker, &req, &rep) == 0)
		memcpy(&info, rep.payload, min_u64(rep.len, sizeof(info)));
	room = min_u64(room, sizeof(info));
	memcpy(buf, &info, room);
	return room;
}

static size_t get_time(const struct sock *s, const struct opt *o, void *buf, size_t room)
{
	uint32_t raw = atomic_load((_Atomic uint32_t *)((char *)s->b + o->arg));
	uint32_t ms = raw == WAIT_NEVER_MS ? 0 : raw;
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	room = min_u64(room, sizeof(tv));
	memcpy(buf, &tv, room);
	return room;
}

static size_t get_linger(const struct sock *s, void *buf, size_t room)
{
	struct linger l = {
		.l_onoff = (s->b->opts.flags & CHAN_O_LINGER) != 0,
		.l_linger = (int)s->b->opts.linger_s,
	};

	room = min_u64(room, sizeof(l));
	memcpy(buf, &l, room);
	return room;
}

/* Writes the value, at most room bytes; the bytes or -errno. */
static ssize_t get_known(struct sock *s, const struct opt *o, void *buf, size_t room)
{
	char name[CC_NAME_MAX] = { 0 };
	int v;

	switch (o->kind) {
	case TIMEOUT:
		return (ssize_t)get_time(s, o, buf, room);
	case LINGER:
		return (ssize_t)get_linger(s, buf, room);
	case NAME:
		strcpy(name, cc_name[min_u32(s->b->opts.cc, ARRAY_LEN(cc_name) - 1)]);
		room = min_u64(room, sizeof(name));
		memcpy(buf, name, room);
		return (ssize_t)room;
	case READ:
		if (o->level == IPPROTO_TCP)
			return (ssize_t)get_info(s, buf, room);
		if (o->level == IPPROTO_IP && !is_connected(s))
			return -ENOTCONN;
		if (o->level == IPPROTO_IP)
			v = (int)s->a->mss + 40;
		else
			read_only(s, o->name, &v);
		break;
	default:
		v = get_int(s, o);
	}
	if (o->level == IPPROTO_IP && room < sizeof(int) && room > 0 && v >= 0 && v <= 255) {
		*(unsigned char *)buf = (unsigned char)v;
		return 1;
	}
	room = min_u64(room, sizeof(v));
	memcpy(buf, &v, room);
	return (ssize_t)room;
}

int sock_getopt(struct sock *s, int level, int name, void *val, socklen_t *len)
{
	const struct opt *o;
	ssize_t n;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	o = find(s, level, name);
	/* Never set on an undecided socket (that would have decided it): the placeholder has the
	 * kernel's default. */
	if (!o && sock_mode(s) == SOCK_UNDECIDED && s->family == AF_INET)
		return SOCK_TO_KERNEL;
	if (!o) {
		if (level_is_known(s, level) && sock_mode(s) == SOCK_STACK)
			explain_kernel(CHAN_REASON_option_unsupported);
		return level_is_known(s, level) || s->family == AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP;
	}
	if ((uintptr_t)len < 4096)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	if ((uintptr_t)val < 4096 && *len)
		return -EFAULT;
	n = get_known(s, o, val, *len);
	if (n < 0)
		return (int)n;
	*len = (socklen_t)n;
	return 0;
}
