/* Actions on options: get and set with right and wrong values, lengths and pointers. */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"
#include <sys/time.h>

enum { NOT_CONNECTED = 1, SIZES = 2 };
static const struct option {
	int level, name;
	const char *text;
	int how;
} options[] = {
#define O(level, name)                                                                             \
	{                                                                                          \
		level, name, #name, 0                                                              \
	}
	O(SOL_SOCKET, SO_ERROR),
	O(SOL_SOCKET, SO_ERROR),
	O(SOL_SOCKET, SO_TYPE),
	O(SOL_SOCKET, SO_DOMAIN),
	O(SOL_SOCKET, SO_PROTOCOL),
	O(SOL_SOCKET, SO_ACCEPTCONN),
	O(SOL_SOCKET, SO_REUSEADDR),
	O(SOL_SOCKET, SO_REUSEADDR),
	O(SOL_SOCKET, SO_REUSEPORT),
	O(SOL_SOCKET, SO_KEEPALIVE),
	O(SOL_SOCKET, SO_OOBINLINE),
	O(SOL_SOCKET, SO_BROADCAST),
	O(SOL_SOCKET, SO_DONTROUTE),
	O(SOL_SOCKET, SO_PRIORITY),
	O(SOL_SOCKET, SO_RCVLOWAT),
	O(SOL_SOCKET, SO_SNDLOWAT),
	O(SOL_SOCKET, SO_LINGER),
	O(SOL_SOCKET, SO_RCVTIMEO),
	O(SOL_SOCKET, SO_SNDTIMEO),
	{SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", SIZES},
	{SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF", SIZES},
	O(IPPROTO_TCP, TCP_NODELAY),
	O(IPPROTO_TCP, TCP_CORK),
	O(IPPROTO_TCP, TCP_KEEPIDLE),
	O(IPPROTO_TCP, TCP_KEEPINTVL),
	O(IPPROTO_TCP, TCP_KEEPCNT),
	O(IPPROTO_TCP, TCP_SYNCNT),
	O(IPPROTO_TCP, TCP_LINGER2),
	O(IPPROTO_TCP, TCP_USER_TIMEOUT),
	O(IPPROTO_TCP, TCP_DEFER_ACCEPT),
	O(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
	O(IPPROTO_IP, IP_TOS),
	O(IPPROTO_IP, IP_TTL),
	O(IPPROTO_IP, IP_RECVERR),
	O(IPPROTO_IP, IP_FREEBIND),
	O(IPPROTO_IP, IP_MTU_DISCOVER),
	O(IPPROTO_IPV6, IPV6_V6ONLY),
	O(IPPROTO_IPV6, IPV6_V6ONLY),
	O(IPPROTO_IPV6, IPV6_UNICAST_HOPS),
	O(IPPROTO_IPV6, IPV6_MULTICAST_HOPS),
	O(IPPROTO_IPV6, IPV6_MULTICAST_LOOP),
	O(IPPROTO_IPV6, IPV6_TCLASS),
	O(IPPROTO_IPV6, IPV6_RECVTCLASS),
	O(IPPROTO_IPV6, IPV6_RECVHOPLIMIT),
	O(IPPROTO_IPV6, IPV6_RECVPKTINFO),
	O(IPPROTO_IPV6, IPV6_RECVERR),
	O(IPPROTO_IPV6, IPV6_MTU_DISCOVER),
	O(IPPROTO_IPV6, IPV6_DONTFRAG),
	O(IPPROTO_IPV6, IPV6_FREEBIND),
	O(77, 1),
#undef O
};

static bool was_connected(int slot)
{
	return object_of(slot) && object_of(slot)->kind == K_CONNECTED;
}

static void do_get(struct dice *d)
{
	const struct option *o = &options[roll(d, T_COUNT(options))];
	int slot = pick_wild(d, K_SOCKET), r;
	union {
		int v[8];
		unsigned char byte[32];
	} val;
	socklen_t len = (socklen_t)ONE_OF(d, 4, 4, 4, 4, 16, 8, 1, 0, -1);
	int shown;

	/* Buffers that grow by themselves: each kernel's own numbers. */
	if (o->how & SIZES && was_connected(slot))
		return;
	memset(&val, 0x55, sizeof(val));
	tr(" %s getsockopt(%s, len %d)", slot_name(slot), o->text, (int)len);
	if (chance(d, 3)) {
		tr(" bad pointer");
		tr_res(getsockopt(fd_of(slot), o->level, o->name, (void *)8, &len));
		return;
	}
	r = getsockopt(fd_of(slot), o->level, o->name, &val, &len);
	tr_res(r);
	if (r < 0)
		return;
	tr(" len %d", (int)len);
	if (o->how & SIZES && w.small_buffers == false && object_of(slot)->kind != K_STREAM)
		return;
	shown = (int)len < 16 ? (int)len : 16;
	for (int i = 0; i < shown; i++)
		tr("%s%02x", i % 4 ? "" : " ", val.byte[i]);
	if ((int)len >= 0 && len < 32 && val.byte[len] != 0x55)
		tr(" OVERRUN");
}

/* A value that makes some sense, and lets the world go on: no keepalive within the test's life. */
static socklen_t some_value(struct dice *d, const struct option *o, void *to)
{
	int v = ONE_OF(d, 0, 1, 1, 1, 2, 5, 60, 100, 1000, -1, 300, 40000);
	struct linger l = {.l_onoff = (int)roll(d, 2), .l_linger = (int)roll(d, 2)};
	struct timeval t = {.tv_sec = ONE_OF(d, 0, 0, 0, 1, -1),
			    .tv_usec = ONE_OF(d, 0, 1, 5000, 10000, 1000000, -1)};

	if (o->level == SOL_SOCKET && o->name == SO_LINGER) {
		memcpy(to, &l, sizeof(l));
		tr(" {%d, %d}", l.l_onoff, l.l_linger);
		return sizeof(l);
	}
	if (o->level == SOL_SOCKET && (o->name == SO_RCVTIMEO || o->name == SO_SNDTIMEO)) {
		memcpy(to, &t, sizeof(t));
		tr(" {%ld, %ld}", t.tv_sec, t.tv_usec);
		return sizeof(t);
	}
	if (o->level == SOL_SOCKET && o->name == SO_RCVLOWAT)
		v = ONE_OF(d, 0, 1, 1, 2, 10, 100);
	if (o->level == IPPROTO_TCP && o->name == TCP_USER_TIMEOUT)
		v = ONE_OF(d, 0, 60000, -1);
	/* Below 0 a closed one resets when its FIN is acknowledged: each kernel's own time. */
	if (o->level == IPPROTO_TCP && o->name == TCP_LINGER2 && v < 0)
		v = 2;
	if (o->how & SIZES)
		v = ONE_OF(d, 0, 1, 4096, 20000, 100000);
	memcpy(to, &v, sizeof(v));
	tr(" %d", v);
	return sizeof(v);
}

static void do_set(struct dice *d)
{
	const struct option *o = &options[roll(d, T_COUNT(options))];
	int slot = pick_wild(d, K_SOCKET);
	unsigned char val[64] = {0};
	socklen_t len;

	if (o->how & SIZES && !chance(d, 20))
		return;
	/* An ended connection has unsent, in the kernel's eyes, what its peer's window was: with a low-water
	 * mark it has no room to send for ever. */
	if (o->level == IPPROTO_TCP && o->name == TCP_NOTSENT_LOWAT)
		return;
	/* One of datagrams whose half on the stack alone is bound still takes it, which Linux refuses. */
	if (o->level == IPPROTO_IPV6 && o->name == IPV6_V6ONLY && object_of(slot) &&
	    object_of(slot)->kind == K_DGRAM)
		return;
	tr(" %s setsockopt(%s,", slot_name(slot), o->text);
	len = some_value(d, o, val);
	if (chance(d, 8))
		len = (socklen_t)ONE_OF(d, 0, 1, 2, 8, 40, -1);
	tr(", len %d)", (int)len);
	if (chance(d, 3)) {
		tr(" bad pointer");
		tr_res(setsockopt(fd_of(slot), o->level, o->name, (void *)8, len));
		return;
	}
	if (o->how & SIZES)
		w.small_buffers = true;
	tr_res(setsockopt(fd_of(slot), o->level, o->name, val, len));
}

const struct action opt_actions[] = {
	{"getsockopt", 6, do_get},
	{"setsockopt", 6, do_set},
	{NULL},
};
