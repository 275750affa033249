/* setsockopt(): checks in Linux's order (length, pointer, state, value, privilege), then keeps. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <limits.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>
#include "shim/addr.h"
#include "shim/explain.h"
#include "shim/sock_limit.h"
#include "shim/sock_opt_int.h"
#include "shim/wait.h"

enum { SNDBUF_MIN = 4608, RCVBUF_MIN = 2304 };

static void set_flag(struct sock *s, uint32_t bit, bool on)
{
	uint32_t *flags = &s->b->opts.flags;

	if (on)
		__atomic_fetch_or(flags, bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(flags, ~bit, __ATOMIC_SEQ_CST);
}

static void set_field(struct sock *s, const struct opt *o, int v)
{
	char *p = (char *)&s->b->opts + o->arg;

	if (o->kind == OPT_FIELD8)
		*(uint8_t *)p = (uint8_t)v;
	else if (o->kind == OPT_FIELD16)
		*(uint16_t *)p = (uint16_t)v;
	else
		*(uint32_t *)p = (uint32_t)v;
}

/* A number, as each level takes it. IP: old programs give a byte, or nothing for 0. IPv6: no pointer is
 * 0 whatever the length. */
static int take_int(const struct opt_at *at, const void *val, socklen_t len, int *v)
{
	unsigned char byte = 0;
	int r = 0;

	*v = 0;
	if (at->level == IPPROTO_IP) {
		if (len >= sizeof(int))
			return opt_take(v, val, sizeof(int));
		if (len >= 1)
			r = opt_take(&byte, val, 1);
		else if (at->o->rule & OPT_BYTE)
			r = -EINVAL;
		*v = byte;
		return r;
	}
	if (at->level == IPPROTO_IPV6) {
		if (val && len >= sizeof(int) && opt_take(v, val, sizeof(int)) < 0)
			return -EFAULT;
		return len < sizeof(int) && !(at->o->rule & OPT_SHORT) ? -EINVAL : 0;
	}
	return len < sizeof(int) ? -EINVAL : opt_take(v, val, sizeof(int));
}

/* Those that come with a structure. */
static int set_linger(struct sock *s, const void *val, socklen_t len)
{
	struct linger l;
	int r = len < sizeof(int) ? -EINVAL : opt_take(&l, val, min_u32(len, sizeof(l)));

	if (r < 0 || len < sizeof(l))
		return r < 0 ? r : -EINVAL;
	if (l.l_onoff)
		s->b->opts.linger_s = (uint32_t)l.l_linger;
	set_flag(s, CHAN_O_LINGER, l.l_onoff != 0);
	return 0;
}

static int set_timeout(struct sock *s, const struct opt *o, const void *val, socklen_t len)
{
	_Atomic uint32_t *to = (_Atomic uint32_t *)((char *)s->b + o->arg);
	struct timeval tv;
	int first, r = len < sizeof(int) ? -EINVAL : opt_take(&first, val, sizeof(first));
	uint64_t ms;
	uint32_t tick;

	if (r < 0)
		return r;
	if (len < sizeof(tv))
		return -EINVAL;
	if (opt_take(&tv, val, sizeof(tv)) < 0)
		return -EFAULT;
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	tick = sock_tick_ms(s);
	ms = tv.tv_sec > INT_MAX / 1000 ? 0 :
		(uint64_t)tv.tv_sec * 1000 + ((uint64_t)tv.tv_usec + 999) / 1000;
	ms = (ms + tick - 1) / tick * tick;
	atomic_store(to, tv.tv_sec < 0 ? WAIT_NEVER_MS : (uint32_t)ms);
	return 0;
}

static int set_control(struct sock *s, const struct opt_at *at, const void *val, socklen_t len)
{
	char name[OPT_CONTROL_MAX] = { 0 };
	const char *ours;

	if (len < 1)
		return -EINVAL;
	/* A string: what follows its end may be anything. */
	for (uint32_t i = 0; i < min_u32(len, OPT_CONTROL_MAX - 1); i++) {
		if (opt_take(&name[i], (const char *)val + i, 1) < 0)
			return -EFAULT;
		if (!name[i])
			break;
	}
	for (uint32_t i = 1; (ours = opt_control_name(i)); i++)
		if (!strcmp(name, ours)) {
			s->b->opts.cc = (uint8_t)i;
			return 0;
		}
	if (sock_mode(s) == SOCK_UNDECIDED)
		return opt_kernel_only(s, at->level, at->name, val, len);
	explain_kernel(CHAN_REASON_option_unsupported);
	return -ENOENT;
}

/* Arrival times are kept for either option. */
static void stamps_changed(struct sock *s)
{
	set_flag(s, CHAN_O_TIMESTAMP, sock_opt_value(s, SOL_SOCKET, SO_TIMESTAMP_OLD) ||
		 sock_opt_value(s, SOL_SOCKET, SO_TIMESTAMPING_OLD) & SOF_TIMESTAMPING_RX_SOFTWARE);
}

/* One of the four is on, or none: its name is kept in the place of the first. */
static int set_stamp(struct sock *s, const struct opt_at *at, int v)
{
	struct opt_at first;

	opt_find(s, SOL_SOCKET, SO_TIMESTAMP_OLD, &first);
	opt_record(s, first.index, v ? at->name : 0);
	stamps_changed(s);
	return 0;
}

/* Software time stamps of what arrives are ours to give; the sender's are the kernel's. The old and the
 * new option share their value; the new one reads as 0 after the old. */
static int set_stamping(struct sock *s, const struct opt_at *at, const void *val, socklen_t len, int v)
{
	const int tx = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED |
		       SOF_TIMESTAMPING_TX_ACK;
	struct opt_at old, fresh;
	int asked[2] = { v, 0 }, r;

	if (len >= sizeof(asked) && opt_take(asked, val, sizeof(asked)) < 0)
		return -EFAULT;
	if (!opt_is_idle(s) && !sock_has(s, SOCK_LISTENING))
		asked[0] &= ~SOF_TIMESTAMPING_OPT_ID; /* would need a connection */
	len = len == sizeof(asked) ? len : sizeof(v);
	r = v & tx ? opt_kernel_only(s, at->level, at->name, asked, len) :
		     opt_ask_set(s, at->level, at->name, asked, len);
	if (r < 0)
		return r;
	opt_find(s, SOL_SOCKET, SO_TIMESTAMPING_OLD, &old);
	opt_find(s, SOL_SOCKET, SO_TIMESTAMPING_NEW, &fresh);
	opt_record(s, old.index, v);
	opt_record(s, fresh.index, at->name == SO_TIMESTAMPING_NEW);
	stamps_changed(s);
	return 0;
}

static int set_pacing(struct sock *s, const struct opt_at *at, const void *val, socklen_t len, int v)
{
	uint64_t rate = (uint32_t)v == UINT32_MAX ? UINT64_MAX : (uint32_t)v;

	if (len == sizeof(rate) && opt_take(&rate, val, sizeof(rate)) < 0)
		return -EFAULT;
	if (rate >= UINT32_MAX && rate != UINT64_MAX) /* beyond what the record holds */
		return opt_kernel_only(s, at->level, at->name, val, len);
	opt_record(s, at->index, rate == UINT64_MAX ? -1 : (int)(uint32_t)rate);
	atomic_store(&s->b->pacing, rate == UINT64_MAX ? 0 : (uint32_t)rate); /* 0: no pacing */
	return 0;
}

static int set_buffer(struct sock *s, const struct opt_at *at, const void *val, socklen_t len, int v)
{
	bool tx = at->name == SO_SNDBUF || at->name == SO_SNDBUFFORCE;
	int r = 0;

	if (at->o->rule & OPT_ASK) {
		r = opt_ask_set(s, at->level, at->name, val, len);
		v = v < 0 ? 0 : min_u32((uint32_t)v, INT_MAX / 2);
	} else {
		v = (int)min_u32((uint32_t)v, (uint32_t)sock_buffer_max(at->name));
	}
	if (r < 0)
		return r;
	v = (int)max_u32((uint32_t)v, (tx ? SNDBUF_MIN : RCVBUF_MIN) / 2);
	*(uint32_t *)((char *)&s->b->opts + at->o->arg) = (uint32_t)v;
	return 0;
}

static int set_buf_lock(struct sock *s, int v)
{
	struct chan_opts *o = &s->b->opts;
	struct opt_at at;
	int now = 0;

	if (v & ~3)
		return -EINVAL;
	for (int bit = 1; bit <= 2; bit++) {
		uint32_t *size = bit == 1 ? &o->sndbuf : &o->rcvbuf;

		opt_find(s, SOL_SOCKET, bit == 1 ? SO_SNDBUF : SO_RCVBUF, &at);
		if (!(v & bit))
			*size = 0; /* it grows by itself again */
		else if (!*size && opt_get(s, &at, &now, sizeof(now)) > 0)
			*size = (uint32_t)now / 2;
	}
	return 0;
}

/* Bound to no device: what it is anyway. */
static int set_device(struct sock *s, const struct opt_at *at, const void *val, socklen_t len)
{
	char first = 0;
	int index = 0, r = opt_ask_set(s, at->level, at->name, val, len);

	if (r < 0)
		return r;
	if (at->level == SOL_SOCKET && at->name == SO_BINDTODEVICE ? len && opt_take(&first, val, 1) < 0 :
					  opt_take(&index, val, sizeof(index)) < 0)
		return -EFAULT;
	return first || index ? opt_kernel_only(s, at->level, at->name, val, len) : 0;
}

/* A v4-mapped connection becomes a plain IPv4 socket (RFC 2133 6.5). */
static int set_addrform(struct sock *s, int v)
{
	if (v != AF_INET)
		return -EINVAL;
	if (opt_is_idle(s) || sock_has(s, SOCK_LISTENING) || s->a->state != CHAN_ST_CONNECTED)
		return -ENOTCONN;
	if (s->b->opts.flags & CHAN_O_V6ONLY || !ipaddr_is_v4(&s->a->remote.addr))
		return -EADDRNOTAVAIL;
	s->family = AF_INET;
	return 0;
}

static int set_repair(struct sock *s, const struct opt_at *at, const void *val, socklen_t len, int v)
{
	if (at->o->kind == OPT_QUEUE_SEQ)
		return opt_is_idle(s) ? -EINVAL : -EPERM;
	if (sock_has(s, SOCK_LISTENING))
		return -EPERM;
	return v == 0 || v == -1 ? opt_ask_set(s, at->level, at->name, val, len) :
				   opt_kernel_only(s, at->level, at->name, val, len);
}

/* Linux acts on the low bit where an ACK is owed; that is when the peer's FIN has just come. */
static void set_quickack(struct sock *s, const struct opt_at *at, int v)
{
	bool on = v != 0;

	if (!opt_is_idle(s) && !sock_has(s, SOCK_LISTENING) &&
	    atomic_load(&s->a->flags) & CHAN_A_RX_FIN)
		on = v & 1;
	set_flag(s, CHAN_O_DELACK, !on);
	set_flag(s, CHAN_O_QUICKACK, on);
	opt_record(s, at->index, on);
}

/* Linux keeps TCP_DEFER_ACCEPT as a number of SYN-ACKs, one second doubling up to 120. */
static uint8_t opt_defer_count(int seconds)
{
	int n = 0;

	while (n < 255 && seconds > opt_defer_seconds(n))
		n++;
	return (uint8_t)n;
}

static int set_clamp(struct sock *s, int v)
{
	if (!v && !opt_is_idle(s))
		return -EINVAL;
	if (v)
		v = v < OPT_CLAMP_MIN ? OPT_CLAMP_MIN : v;
	s->b->opts.window_clamp = (uint32_t)v;
	return 0;
}

static int set_tos(struct sock *s, int v)
{
	struct opt_at priority;

	v &= 0xfc; /* the ECN bits are TCP's own */
	if (v == s->b->opts.tos)
		return 0;
	s->b->opts.tos = (uint8_t)v;
	opt_find(s, SOL_SOCKET, SO_PRIORITY, &priority);
	opt_forget(s, priority.index); /* follows it again */
	return 0;
}

/* Is v allowed? 0, -errno, or SOCK_TO_KERNEL when it must go there. */
static int judge(struct sock *s, const struct opt_at *at, const void *val, socklen_t len, int v)
{
	const struct opt *o = at->o;
	bool usual = v >= o->min && v <= o->max;
	bool settled = o->rule & OPT_SETTLED && !opt_is_idle(s) && !sock_has(s, SOCK_LISTENING);
	int r = 0;

	if (o->rule & OPT_IDLE && !opt_is_idle(s))
		return -EINVAL;
	if (o->rule & OPT_IDLE_LISTEN && !opt_is_idle(s) && !sock_has(s, SOCK_LISTENING))
		return -EINVAL;
	if (o->rule & OPT_BEFORE_BIND && (sock_has(s, SOCK_BOUND) || !opt_is_idle(s)))
		return -EINVAL;
	usual |= (o->rule & OPT_OR_ZERO && v == 0) || (o->rule & OPT_OR_MINUS && v == -1);
	if (!usual && o->rule & OPT_ASK)
		r = opt_ask_set(s, at->level, at->name, val, len);
	else if (!usual)
		r = -EINVAL;
	if (r == 0 && o->rule & OPT_KERNEL && v != o->def && !settled)
		r = opt_kernel_only(s, at->level, at->name, val, len);
	return r;
}

static void set_byte(struct sock *s, const struct opt *o, int v)
{
	*((uint8_t *)&s->b->opts + o->arg) = (uint8_t)v;
}

static int set_number(struct sock *s, const struct opt_at *at, const void *val, socklen_t len)
{
	const struct opt *o = at->o;
	int v, r = take_int(at, val, len, &v);

	if (r < 0)
		return r;
	r = judge(s, at, val, len, v);
	if (r < 0)
		return r;
	if (o->kind == OPT_FASTOPEN) {
		v = (int)min_u32((uint32_t)v, (uint32_t)sock_backlog_max());
		s->b->opts.fastopen = (uint16_t)min_u32((uint32_t)v, UINT16_MAX);
	}
	if (o->rule & OPT_PLUS_1)
		v++;
	if (o->rule & OPT_OR_MINUS && v == -1)
		v = o->kind == OPT_FIELD8 ? 0 : o->def;
	switch (o->kind) {
	case OPT_BIT:
		if (o->arg == CHAN_O_CORK) /* what MSG_MORE has said is over */
			atomic_fetch_and(&s->flags, ~(uint32_t)SOCK_MORE);
		set_flag(s, o->arg, v != 0);
		return 0;
	case OPT_FIELD8:
		if (at->name == IP_TOS)
			return set_tos(s, v);
		set_field(s, o, v);
		return 0;
	case OPT_FIELD16:
	case OPT_FIELD32:
		set_field(s, o, v);
		return 0;
	case OPT_BOOL:
		v = v != 0;
		/* fall through */
	case OPT_INT:
		if (o->arg)
			set_flag(s, o->arg, !v);
		break;
	case OPT_CLASS:
		v = v < 0 ? 0 : v & 0xfc;
		set_byte(s, o, v);
		break;
	case OPT_HOPS:
		set_byte(s, o, v);
		break;
	case OPT_NOTHING:
	case OPT_WRITE:
		return 0;
	default:
		break;
	}
	opt_record(s, at->index, v);
	return 0;
}

static int set_lock_filter(struct sock *s, const struct opt_at *at, int v)
{
	if (!v && opt_recorded(s, at->index, 0))
		return -EPERM;
	opt_record(s, at->index, v != 0);
	return 0;
}

/* Those with rules of their own, once the number is known. */
static int set_special(struct sock *s, const struct opt_at *at, const void *val, socklen_t len)
{
	int v, r = take_int(at, val, len, &v);

	if (r < 0)
		return r;
	switch (at->o->kind) {
	case OPT_BUFFER:
		return set_buffer(s, at, val, len, v);
	case OPT_BUF_LOCK:
		return set_buf_lock(s, v);
	case OPT_LOWAT:
		v = v < 0 || v > sock_lowat_max(s) ? sock_lowat_max(s) : v;
		atomic_store(&s->b->rcvlowat, (uint32_t)v);
		return 0;
	case OPT_STAMP:
		return set_stamp(s, at, v);
	case OPT_STAMPING:
		return set_stamping(s, at, val, len, v);
	case OPT_PEEK_OFF:
		r = opt_ask_set(s, at->level, at->name, val, len); /* from Linux 6.9 on */
		if (r == 0)
			atomic_store(&s->b->peek_off, (int)((unsigned int)v + 1));
		return r;
	case OPT_PACING:
		return set_pacing(s, at, val, len, v);
	case OPT_TXTIME:
		return opt_kernel_only(s, at->level, at->name, val, len);
	case OPT_QUICKACK:
		set_quickack(s, at, v);
		return 0;
	case OPT_DEFER:
		s->b->opts.defer = opt_defer_count(v);
		return 0;
	case OPT_LINGER2:
		s->b->opts.linger2_s = v < 0 ? -1 : v > OPT_RTO_MAX_S ? OPT_RTO_MAX_S : v;
		return 0;
	case OPT_CLAMP:
		return set_clamp(s, v);
	case OPT_ADDRFORM:
		return set_addrform(s, v);
	case OPT_PREFER:
		return opt_set_prefer(s, at, v);
	case OPT_REPAIR:
	case OPT_QUEUE_SEQ:
		return set_repair(s, at, val, len, v);
	default: /* OPT_READ */
		return -ENOPROTOOPT;
	}
}

int opt_set(struct sock *s, const struct opt_at *at, const void *val, socklen_t len)
{
	int v;

	switch (at->o->kind) {
	case OPT_READ:
		/* IPV6_MTU sets nothing that IPv4 looks at. */
		return at->level == IPPROTO_IP || at->level == IPPROTO_IPV6 ?
			       opt_ask_set(s, at->level, at->name, val, len) :
			       set_special(s, at, val, len);
	case OPT_LINGER:
		return set_linger(s, val, len);
	case OPT_TIMEOUT:
		return set_timeout(s, at->o, val, len);
	case OPT_CONTROL:
		return set_control(s, at, val, len);
	case OPT_FO_KEY:
		return opt_set_fo_key(s, val, len);
	case OPT_DEVICE:
		return set_device(s, at, val, len);
	case OPT_OPTIONS:
		return len ? opt_kernel_only(s, at->level, at->name, val, len) :
			     opt_ask_set(s, at->level, at->name, val, len);
	case OPT_BOOL:
		if (at->level == SOL_SOCKET && at->name == SO_LOCK_FILTER) {
			int r = take_int(at, val, len, &v);

			return r < 0 ? r : set_lock_filter(s, at, v);
		}
		return set_number(s, at, val, len);
	case OPT_BIT:
	case OPT_FIELD8:
	case OPT_FIELD16:
	case OPT_FIELD32:
	case OPT_INT:
	case OPT_FASTOPEN:
	case OPT_CLASS:
	case OPT_HOPS:
	case OPT_NOTHING:
	case OPT_WRITE:
		return set_number(s, at, val, len);
	default:
		return set_special(s, at, val, len);
	}
}
