/* Options that only IPv6 has: which source address is preferred (RFC 5014), the path's MTU (RFC 3542 11). */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "shim/addr.h"
#include "shim/route.h"
#include "shim/sock_conn.h"
#include "shim/sock_opt_int.h"

/* linux/in6.h, which does not go together with netinet/in.h */
enum {
	PREFER_TMP = 0x0001, PREFER_PUBLIC = 0x0002, PREFER_PUBTMP_DEFAULT = 0x0100,
	PREFER_COA = 0x0004, PREFER_HOME = 0x0400,
	PREFER_CGA = 0x0008, PREFER_NONCGA = 0x0800,
};

/* More than one bit of mask in v: they contradict each other. */
static bool is_contradiction(int v, int mask)
{
	return (v & mask & ((v & mask) - 1)) != 0;
}

/* As Linux: what a value says nothing about is the default again. Home addresses (RFC 6275) and keys in
 * addresses (RFC 3972) are nobody's here. */
int opt_set_prefer(struct sock *s, const struct opt_at *at, int v)
{
	const int pubtmp = PREFER_TMP | PREFER_PUBLIC | PREFER_PUBTMP_DEFAULT;

	if (is_contradiction(v, pubtmp) || is_contradiction(v, PREFER_HOME | PREFER_COA) ||
	    is_contradiction(v, PREFER_CGA | PREFER_NONCGA))
		return -EINVAL;
	opt_record(s, at->index, v & (PREFER_TMP | PREFER_PUBLIC | PREFER_COA));
	if (v & PREFER_PUBLIC)
		__atomic_fetch_or(&s->b->opts.flags, CHAN_O_SRC_PUBLIC, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&s->b->opts.flags, ~(uint32_t)CHAN_O_SRC_PUBLIC, __ATOMIC_SEQ_CST);
	return 0;
}

int opt_get_prefer(const struct sock *s, const struct opt_at *at)
{
	int now = opt_recorded(s, at->index, 0);
	int v = now & PREFER_TMP ? PREFER_TMP : now & PREFER_PUBLIC ? PREFER_PUBLIC : PREFER_PUBTMP_DEFAULT;

	return v | (now & PREFER_COA ? PREFER_COA : PREFER_HOME);
}

int opt_came_in_by(const struct sock *s)
{
	struct endpoint remote = s->a->remote;
	struct chan_route route;

	if (!sock_is_attached(s) || !route_find_to(s->app, &remote, &route))
		return 0;
	return route.kind == CHAN_ROUTE_LOCAL ? 1 /* lo */ : (int)route.ifindex;
}

ssize_t opt_get_pathmtu(int mtu, void *buf, size_t room)
{
	const struct ip6_mtuinfo info = { .ip6m_mtu = (uint32_t)mtu };

	if (room < sizeof(info))
		return -EINVAL;
	if (!mtu)
		return -ENOTCONN;
	memcpy(buf, &info, sizeof(info));
	return sizeof(info);
}

uint32_t sock_flowinfo(const struct sock *s)
{
	return s->family == AF_INET6 && sock_opt_value(s, IPPROTO_IPV6, SOCK_IPV6_FLOWINFO_SEND) ?
		       s->b->opts.flowinfo : 0;
}

/* ECN is TCP's own (Linux: IP6_ECN_flow_init()). */
void sock_flowinfo_note(struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	const uint32_t ecn = 3u << 20;
	bool send = s->family == AF_INET6 && sock_opt_value(s, IPPROTO_IPV6, SOCK_IPV6_FLOWINFO_SEND);

	s->flowinfo = send ? addr_flowinfo(addr, len) & ~ecn : 0;
}
