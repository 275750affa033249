/* Options of stream sockets: the doors, and the record of what the program has set. What the stack acts
 * on lives in b->opts, where all processes and the engine see it; the rest is recorded here, so
 * that it reads as it was set and a kernel socket can be given the same. */
// SPDX-License-Identifier: MIT
#include "shim/sock_opt.h"
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>
#include "shim/addr.h"
#include "shim/libc.h"
#include "shim/sock_conn.h"
#include "shim/sock_opt_int.h"
#include "shim/wait.h"
#include "stack/chan/app.h"
#include "stack/chan/user.h"
#include "stack/chan/dirty.h"
#include "stack/chan/lane.h"
#include "stack/chan/user.h"

/* Congestion control: opts.cc is 0 for the default, or 1 + the index into the engine's list. */
static const char *const controls[] = {
#define CC_DEF(name) #name,
#include "stack/base/cc.def"
#undef CC_DEF
};

const char *opt_control_name(uint32_t cc)
{
	uint32_t i = cc ? cc - 1 : 0;

	return i < ARRAY_LEN(controls) ? controls[i] : NULL;
}

uint32_t sock_opt_default_sndbuf(void)
{
	return 16384;
}

/* ---- the record ---- */
bool opt_is_set(const struct sock *s, uint32_t index)
{
	return s->draft && s->draft->opt_set[index / 64] >> (index % 64) & 1;
}

int opt_recorded(const struct sock *s, uint32_t index, int otherwise)
{
	return opt_is_set(s, index) ? s->draft->opt_val[index] : otherwise;
}

/* An accepted socket has no record until it needs one. */
void opt_record(struct sock *s, uint32_t index, int v)
{
	if (!s->draft && !sock_draft_add(s))
		return;
	s->draft->opt_val[index] = v;
	s->draft->opt_set[index / 64] |= 1ull << (index % 64);
}

void opt_forget(struct sock *s, uint32_t index)
{
	if (s->draft)
		s->draft->opt_set[index / 64] &= ~(1ull << (index % 64));
}

int sock_opt_value(const struct sock *s, int level, int name)
{
	struct opt_at at;

	return opt_find(s, level, name, &at) ? opt_recorded(s, at.index, at.o->def) : 0;
}

void sock_opt_inherit(struct sock *s, const struct sock *l)
{
	struct opt_at at;

	if (!l->draft)
		return;
	for (uint32_t w = 0; w < ARRAY_LEN(l->draft->opt_set); w++) {
		for (uint64_t set = l->draft->opt_set[w]; set; set &= set - 1) {
			uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(set);

			if (opt_nth(i, &at) && !(at.o->rule & OPT_ALONE))
				opt_record(s, i, l->draft->opt_val[i]);
		}
	}
}

/* ---- to a kernel socket ---- */
static void replay_int(int k, const struct opt_at *at, int v)
{
	/* Accepted once already; where the kernel differs, its default stays. */
	libc.setsockopt(k, at->level, at->name, &v, sizeof(v));
}

static void replay_time(int k, const struct opt_at *at, const struct chan_sock_b *b)
{
	uint32_t ms = atomic_load((const _Atomic uint32_t *)((const char *)b + at->o->arg));
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (ms == WAIT_NEVER_MS)
		tv = (struct timeval){ .tv_sec = -1 };
	if (ms)
		libc.setsockopt(k, at->level, at->name, &tv, sizeof(tv));
}

/* What lies in b->opts. */
static void replay_shared(struct sock *s, int k, const struct opt_at *at)
{
	const struct chan_opts *o = &s->b->opts;
	const char *p = (const char *)o + at->o->arg;
	struct linger l = { .l_onoff = 1, .l_linger = (int)o->linger_s };
	int v = 0;

	switch (at->o->kind) {
	case OPT_BIT:
		v = (o->flags & at->o->arg) != 0;
		break;
	case OPT_FIELD8:
		v = *(const uint8_t *)p;
		if (v && at->o->rule & OPT_PLUS_1) { /* 0 is worth telling */
			replay_int(k, at, v - 1);
			v = 0;
		}
		break;
	case OPT_FIELD16:
		v = *(const uint16_t *)p;
		break;
	case OPT_FIELD32:
		v = *(const int32_t *)p;
		break;
	case OPT_BUFFER:
		v = at->name == SO_SNDBUF || at->name == SO_RCVBUF ? *(const int32_t *)p : 0;
		break;
	case OPT_LOWAT:
		v = (int)atomic_load(&s->b->rcvlowat);
		break;
	case OPT_DEFER:
		v = opt_defer_seconds(o->defer);
		break;
	case OPT_CLAMP:
		v = (int)o->window_clamp;
		break;
	case OPT_LINGER2:
		v = o->linger2_s;
		break;
	case OPT_LINGER:
		if (o->flags & CHAN_O_LINGER)
			libc.setsockopt(k, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		break;
	case OPT_TIMEOUT:
		replay_time(k, at, s->b);
		break;
	default:
		break;
	}
	if (v)
		replay_int(k, at, v);
}

/* The kernel's socket may be bound already: REUSEADDR does no harm there. */
void sock_opt_replay(struct sock *s, int k)
{
	for (uint32_t i = 0; i < SOCK_OPTS; i++) {
		struct opt_at at;

		if (!opt_nth(i, &at) || !opt_level_is_known(s, at.level))
			continue;
		if (at.o->kind == OPT_STAMP) {
			at.name = opt_recorded(s, i, 0);
			if (at.name)
				replay_int(k, &at, 1);
		} else if (at.o->kind == OPT_STAMPING) {
			if (at.name == SO_TIMESTAMPING_OLD && opt_recorded(s, i, 0))
				replay_int(k, &at, opt_recorded(s, i, 0));
		} else if (opt_is_set(s, i)) {
			replay_int(k, &at, opt_recorded(s, i, 0));
		} else {
			replay_shared(s, k, &at);
		}
	}
	if (s->draft && s->draft->fo_key_len)
		libc.setsockopt(k, IPPROTO_TCP, TCP_FASTOPEN_KEY, s->draft->fo_key, s->draft->fo_key_len);
	if (opt_control_name(s->b->opts.cc) && s->b->opts.cc)
		libc.setsockopt(k, IPPROTO_TCP, TCP_CONGESTION, opt_control_name(s->b->opts.cc),
				(socklen_t)strlen(opt_control_name(s->b->opts.cc)));
}

/* ---- states and values ---- */
bool opt_is_idle(const struct sock *s)
{
	uint32_t state;

	if (sock_mode(s) != SOCK_STACK)
		return true;
	state = atomic_load_explicit(&s->a->state, memory_order_acquire);
	return state == CHAN_ST_CLOSED || state == CHAN_ST_OPEN || state == CHAN_ST_FREE;
}

int opt_take(void *to, const void *from, size_t n)
{
	return user_get(to, from, n);
}

int opt_give(void *to, const void *from, size_t n)
{
	return user_put(to, from, n);
}

/* ---- the doors ---- */
/* Several data threads serve it: the option is in force on all of them when setsockopt() returns. */
static void settle_listener(struct sock *s)
{
	struct chan_req req = { .op = CHAN_OP_LISTEN, .sock = s->id, .gen = s->gen,
				.arg = { s->backlog }, .opts = s->b->opts };

	if (s->app->n_workers > 1 && s->backlog && !sock_is_dead(s))
		chan_call(s->app, s->a->worker, &req, NULL);
}

/* Servers set options on each connection that they accept, and a mark may cost a system call: only what
 * has an effect before the next byte is sent needs one now. */
static void tell_engine(struct sock *s, const struct opt *o)
{
	/* Where the engine sees no bytes pass there is no such call. */
	bool pending = chan_tx_unacked(s->a, s->b) || chan_has_lane(s->a);
	bool now = pending || o->kind == OPT_FIELD32 || o->kind == OPT_BUFFER;

	if (!sock_is_attached(s))
		return;
	switch (o->kind) {
	case OPT_BOOL:
	case OPT_INT:
		if (!o->arg)
			return;
		break;
	case OPT_PREFER: /* connect() takes them along */
		return;
	case OPT_BIT:
		now |= o->arg & (CHAN_O_RECVERR | CHAN_O_RECVERR6 | CHAN_O_KEEPALIVE |
				 CHAN_O_CORK | CHAN_O_OOBINLINE);
		break;
	case OPT_STAMP:
	case OPT_STAMPING:
	case OPT_CLAMP:
	case OPT_DEFER:
	case OPT_FASTOPEN:
	case OPT_QUICKACK: /* of what is received next */
	case OPT_CONTROL: /* TCP_CC_INFO may be asked next */
		now = true;
		break;
	case OPT_FIELD8:
	case OPT_HOPS:
		now |= o->arg == offsetof(struct chan_opts, minttl) || /* of what is received next */
		       o->arg == offsetof(struct chan_opts, minhops);
		break;
	case OPT_CLASS:
	case OPT_FIELD16:
	case OPT_FIELD32:
	case OPT_BUFFER:
	case OPT_BUF_LOCK:
	case OPT_LINGER:
	case OPT_LINGER2:
		break;
	default:
		return;
	}
	if (sock_mode(s) == SOCK_UNDECIDED || sock_has(s, SOCK_LISTENING))
		now = true; /* REUSEADDR of a bound one decides about others */
	atomic_fetch_add(&s->b->opt_seq, 1);
	if (now)
		chan_mark(s->app, s->id);
	if (sock_has(s, SOCK_LISTENING))
		settle_listener(s);
}

int sock_setopt(struct sock *s, int level, int name, const void *val, socklen_t len)
{
	struct opt_at at;
	int r, fd;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if ((int)len < 0)
		return -EINVAL;
	if (!opt_level_is_known(s, level))
		return -ENOPROTOOPT;
	if (!opt_find(s, level, name, &at))
		return opt_kernel_only(s, level, name, val, len);
	r = opt_set(s, &at, val, len);
	if (r < 0)
		return r;
	if (sock_has(s, SOCK_TWIN) && (fd = sock_fd(s)) >= 0)
		libc.setsockopt(fd, level, name, val, len);
	tell_engine(s, at.o);
	return 0;
}

/* How a value of our own goes out: IP tells one byte where there is no room for four and it fits, IPv6
 * takes a negative length for a large one. */
static int give_value(const struct opt_at *at, const void *buf, ssize_t n, void *val, socklen_t *len)
{
	socklen_t room = *len;
	int v;

	if (n == sizeof(v) && at->level == IPPROTO_IP && room > 0 && room < sizeof(v)) {
		memcpy(&v, buf, sizeof(v));
		if (v >= 0 && v <= 255)
			n = 1;
	}
	n = (ssize_t)min_u64((uint64_t)n, room);
	if (opt_give(val, buf, (size_t)n) < 0)
		return -EFAULT;
	return opt_give(len, &(socklen_t){ (socklen_t)n }, sizeof(*len));
}

int sock_getopt(struct sock *s, int level, int name, void *val, socklen_t *len)
{
	uint64_t buf[OPT_GET_MAX / sizeof(uint64_t)];
	struct opt_at at;
	socklen_t room;
	ssize_t n;

	if (sock_mode(s) == SOCK_KERNEL)
		return SOCK_TO_KERNEL;
	if (!opt_level_is_known(s, level))
		return s->family == AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP;
	if (!opt_find(s, level, name, &at) || at.o->kind == OPT_OPTIONS)
		return opt_ask_get(s, level, name, val, len);
	if (opt_take(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0 && level != IPPROTO_IPV6)
		return -EINVAL;
	/* IP looks at the whole number before it cuts. */
	room = level == IPPROTO_IP ? max_u32(room, sizeof(int)) : room;
	n = opt_get(s, &at, buf, min_u32(room, sizeof(buf)));
	return n < 0 ? (int)n : give_value(&at, buf, n, val, len);
}
