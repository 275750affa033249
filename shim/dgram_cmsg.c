/* Control messages of datagram sockets: what Linux's ip_cmsg_send(), udp_cmsg_send() and sock_cmsg_send()
 * take, and what sock_recv_cmsgs(), udp_cmsg_recv() and ip_cmsg_recv() give, in their order. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <time.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>
#include "shim/addr.h"
#include "shim/dgram_int.h"
#include "shim/route.h"
#include "shim/sock_cmsg.h"

enum { N_IP_PROTOCOL = 52, N_IPV6_ORIGDSTADDR = 74, N_IPV6_FLOWINFO = 11 };

/* ---- in ---- */
static bool take_int(const struct cmsghdr *c, int *v)
{
	if (c->cmsg_len != CMSG_LEN(sizeof(*v)))
		return false;
	memcpy(v, CMSG_DATA(c), sizeof(*v));
	return true;
}

static int in_pktinfo(const struct cmsghdr *c, struct dgram_ask *ask)
{
	struct in_pktinfo info;

	if (c->cmsg_len != CMSG_LEN(sizeof(info)))
		return -EINVAL;
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	if (info.ipi_ifindex)
		ask->ifindex = (uint32_t)info.ipi_ifindex;
	ask->src = ipaddr_v4(be32_get((be32){ info.ipi_spec_dst.s_addr }));
	return 0;
}

static int in_pktinfo6(const struct cmsghdr *c, struct dgram_ask *ask)
{
	struct in6_pktinfo info;

	if (c->cmsg_len < CMSG_LEN(sizeof(info)))
		return -EINVAL;
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	if (!IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr))
		return -EINVAL;
	if (info.ipi6_ifindex)
		ask->ifindex = info.ipi6_ifindex;
	memcpy(ask->src.b, &info.ipi6_addr, sizeof(ask->src.b));
	return 0;
}

/* To an IPv6 destination: the address must be one of the other kind. */
static int in_pktinfo_six(const struct cmsghdr *c, struct dgram_ask *ask)
{
	struct in6_pktinfo info;

	if (c->cmsg_len < CMSG_LEN(sizeof(info)))
		return -EINVAL;
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	if (info.ipi6_ifindex)
		ask->ifindex = info.ipi6_ifindex;
	if (!IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr))
		memcpy(ask->src.b, &info.ipi6_addr, sizeof(ask->src.b));
	return 0;
}

/* What -1 stands for is the socket's own. */
static int in_byte(const struct cmsghdr *c, int max, int16_t *to)
{
	int v;

	if (!take_int(c, &v) || v < -1 || v > max)
		return -EINVAL;
	*to = (int16_t)v;
	return 0;
}

static int in_flowinfo(const struct cmsghdr *c, struct dgram_ask *ask)
{
	uint32_t v;

	if (c->cmsg_len < CMSG_LEN(sizeof(v)))
		return -EINVAL;
	memcpy(&v, CMSG_DATA(c), sizeof(v));
	v = be32_get((be32){ v });
	if (ask->flowinfo && v & ~(uint32_t)ADDR_FLOWINFO)
		return -EINVAL;
	ask->flowinfo = v & ADDR_FLOWINFO;
	return 0;
}

/* ip6_datagram_send_ctl(); headers of the program's own take privilege and the kernel. */
static int in_ip6(const struct cmsghdr *c, struct dgram_ask *ask)
{
	int v;

	switch (c->cmsg_type) {
	case IPV6_PKTINFO:
	case IPV6_2292PKTINFO:
		return in_pktinfo_six(c, ask);
	case IPV6_HOPLIMIT:
	case IPV6_2292HOPLIMIT:
		return in_byte(c, 255, &ask->ttl);
	case IPV6_TCLASS:
		return in_byte(c, 255, &ask->tos);
	case IPV6_DONTFRAG:
		if (!take_int(c, &v) || v < 0 || v > 1)
			return -EINVAL;
		ask->dontfrag = (int16_t)v;
		return 0;
	case N_IPV6_FLOWINFO:
		return in_flowinfo(c, ask);
	default:
		return -EINVAL;
	}
}

static int in_ip(const struct cmsghdr *c, struct dgram_ask *ask)
{
	int v;

	switch (c->cmsg_type) {
	case IP_PKTINFO:
		return in_pktinfo(c, ask);
	case IP_TTL:
		if (!take_int(c, &v) || v < 1 || v > 255)
			return -EINVAL;
		ask->ttl = (int16_t)v;
		return 0;
	case IP_TOS:
		if (c->cmsg_len == CMSG_LEN(1))
			v = *(unsigned char *)CMSG_DATA(c);
		else if (!take_int(c, &v) || v < 0 || v > 255)
			return -EINVAL;
		ask->tos = (int16_t)v;
		return 0;
	case N_IP_PROTOCOL:
		return take_int(c, &v) && v >= 1 && v <= 255 ? 0 : -EINVAL;
	case IP_RETOPTS: /* there are none on the stack; none given is none wanted */
		return c->cmsg_len == CMSG_LEN(0) ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

static int in_socket(const struct cmsghdr *c)
{
	int v;

	switch (c->cmsg_type) {
	case SO_MARK:
	case SO_PRIORITY:
		if (!take_int(c, &v))
			return -EINVAL;
		if (c->cmsg_type == SO_PRIORITY && v >= 0 && v <= 6)
			return 0;
		return geteuid() ? -EPERM : 0;
	case SO_TIMESTAMPING_OLD:
	case SO_TIMESTAMPING_NEW:
		return take_int(c, &v) && !(v & ~SOF_TIMESTAMPING_TX_RECORD_MASK) ? 0 : -EINVAL;
	case SCM_RIGHTS:
	case SCM_CREDENTIALS:
		return 0; /* meant for AF_UNIX: passed over */
	default:
		return -EINVAL;
	}
}

static int in_one(const struct sock *s, const struct cmsghdr *c, bool six, struct dgram_ask *ask)
{
	if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT) {
		if (c->cmsg_len != CMSG_LEN(sizeof(uint16_t)))
			return -EINVAL;
		memcpy(&ask->gso, CMSG_DATA(c), sizeof(ask->gso));
		return 0;
	}
	if (c->cmsg_level == IPPROTO_UDP)
		return -EINVAL;
	if (c->cmsg_level == SOL_SOCKET)
		return in_socket(c);
	if (six)
		return c->cmsg_level == IPPROTO_IPV6 ? in_ip6(c, ask) : 0;
	if (c->cmsg_level == IPPROTO_IPV6 && s->family == AF_INET6 && c->cmsg_type == IPV6_PKTINFO)
		return in_pktinfo6(c, ask);
	return c->cmsg_level == IPPROTO_IP ? in_ip(c, ask) : 0;
}

int dgram_cmsg_in(const struct sock *s, const struct msghdr *msg, bool six, struct dgram_ask *ask)
{
	const char *end = (const char *)msg->msg_control + msg->msg_controllen;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
		int r;

		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > (size_t)(end - (const char *)c))
			return -EINVAL;
		r = in_one(s, c, six, ask);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- out: a bad address in them is passed over, as Linux does ---- */
static void put_int(struct cmsg_out *to, int level, int type, int v)
{
	cmsg_put(to, level, type, &v, sizeof(v));
}

static void finish(struct msghdr *msg, const struct cmsg_out *to)
{
	msg->msg_controllen = to->used;
	msg->msg_flags |= to->flags;
}

static void out_stamp(const struct sock *s, struct cmsg_out *to, uint64_t ns)
{
	uint32_t want = atomic_load_explicit(&s->b->dg_flags, memory_order_relaxed);
	bool fresh = want & DGRAM_R_STAMP_NEW;
	struct timespec three[3] = { { (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) } };
	int64_t pair[2] = { (int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC) };

	if (want & DGRAM_R_STAMPNS) {
		cmsg_put(to, SOL_SOCKET, fresh ? SO_TIMESTAMPNS_NEW : SO_TIMESTAMPNS_OLD, pair, sizeof(pair));
	} else if (want & DGRAM_R_STAMP) {
		pair[1] /= 1000;
		cmsg_put(to, SOL_SOCKET, fresh ? SO_TIMESTAMP_NEW : SO_TIMESTAMP_OLD, pair, sizeof(pair));
	}
	if (want & DGRAM_R_STAMPING)
		cmsg_put(to, SOL_SOCKET,
		    want & DGRAM_R_STAMPING_NEW ? SO_TIMESTAMPING_NEW : SO_TIMESTAMPING_OLD, three,
		    sizeof(three));
}

/* The address that an answer should come from: our own one also where a group was meant. */
static uint32_t spec_dst(const struct sock *s, const struct chan_dgram *h)
{
	uint32_t ip = ipaddr_is_v4(&h->to.addr) ? ipaddr_get_v4(&h->to.addr) : 0;

	if (h->flags & (CHAN_DG_MULTICAST | CHAN_DG_BROADCAST))
		return route_interface_ip(s->app, h->ifindex);
	return ip;
}

static void out_pktinfo(const struct sock *s, struct cmsg_out *to, const struct chan_dgram *h)
{
	struct in_pktinfo info = {
		.ipi_ifindex = (int)h->ifindex,
		.ipi_spec_dst = { be32_of(spec_dst(s, h)).raw },
		.ipi_addr = { be32_of(ipaddr_get_v4(&h->to.addr)).raw },
	};

	cmsg_put(to, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
}

/* ip_cmsg_recv_offset() */
static void out_ip(const struct sock *s, struct cmsg_out *to, const struct chan_dgram *h)
{
	uint32_t want = atomic_load_explicit(&s->b->dg_flags, memory_order_relaxed);
	struct sockaddr_storage ss;

	if (want & DGRAM_R_PKTINFO)
		out_pktinfo(s, to, h);
	if (want & DGRAM_R_TTL)
		put_int(to, IPPROTO_IP, IP_TTL, h->ttl);
	if (want & DGRAM_R_TOS)
		cmsg_put(to, IPPROTO_IP, IP_TOS, &h->tos, 1);
	if (want & DGRAM_R_ORIGDST) {
		socklen_t len = addr_emit(&ss, AF_INET, &h->to);

		cmsg_put(to, IPPROTO_IP, IP_ORIGDSTADDR, &ss, len);
	}
}

/* ip6_datagram_recv_common_ctl(): of datagrams of either family. */
static void out_common6(uint32_t want, struct cmsg_out *to, const struct chan_dgram *h)
{
	struct in6_pktinfo info = { .ipi6_ifindex = h->ifindex };

	if (!(want & DGRAM_R_PKTINFO6))
		return;
	memcpy(&info.ipi6_addr, h->to.addr.b, sizeof(info.ipi6_addr));
	cmsg_put(to, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
}

/* ip6_datagram_recv_specific_ctl() */
static void out_ip6(uint32_t want, struct cmsg_out *to, const struct chan_dgram *h)
{
	struct in6_pktinfo info = { .ipi6_ifindex = h->ifindex };
	struct sockaddr_storage ss;

	if (want & DGRAM_R_HOPLIMIT)
		put_int(to, IPPROTO_IPV6, IPV6_HOPLIMIT, h->ttl);
	if (want & DGRAM_R_TCLASS)
		put_int(to, IPPROTO_IPV6, IPV6_TCLASS, h->tos);
	if (want & DGRAM_R_FLOWINFO && (h->tos || h->flow))
		put_int(to, IPPROTO_IPV6, N_IPV6_FLOWINFO,
			(int)be32_of((uint32_t)h->tos << 20 | h->flow).raw);
	if (want & DGRAM_R_PKTINFO6_OLD) {
		memcpy(&info.ipi6_addr, h->to.addr.b, sizeof(info.ipi6_addr));
		cmsg_put(to, IPPROTO_IPV6, IPV6_2292PKTINFO, &info, sizeof(info));
	}
	if (want & DGRAM_R_HOPLIMIT_OLD)
		put_int(to, IPPROTO_IPV6, IPV6_2292HOPLIMIT, h->ttl);
	if (want & DGRAM_R_ORIGDST6) {
		socklen_t len = addr_emit(&ss, AF_INET6, &h->to);

		cmsg_put(to, IPPROTO_IPV6, N_IPV6_ORIGDSTADDR, &ss, len);
	}
}

void dgram_cmsg_out(const struct sock *s, struct msghdr *msg, const struct chan_dgram *h)
{
	uint32_t want = atomic_load_explicit(&s->b->dg_flags, memory_order_relaxed);
	uint32_t drops = atomic_load_explicit(&s->a->rx_drops, memory_order_relaxed);
	struct cmsg_out to = { .buf = msg->msg_control, .room = msg->msg_controllen };

	if (likely(!(want & DGRAM_R_ANY) && !h->gso)) {
		msg->msg_controllen = 0;
		return;
	}
	out_stamp(s, &to, h->time_ns);
	if (want & DGRAM_R_OVFL && drops)
		cmsg_put(&to, SOL_SOCKET, SO_RXQ_OVFL, &drops, sizeof(drops));
	if (h->gso)
		put_int(&to, IPPROTO_UDP, UDP_GRO, h->gso);
	out_common6(want, &to, h);
	if (ipaddr_is_v4(&h->to.addr))
		out_ip(s, &to, h);
	else
		out_ip6(want, &to, h);
	finish(msg, &to);
}

void dgram_cmsg_path(const struct sock *s, struct msghdr *msg, const struct endpoint *to, uint32_t mtu)
{
	struct cmsg_out out = { .buf = msg->msg_control, .room = msg->msg_controllen };
	struct ip6_mtuinfo info = { .ip6m_mtu = mtu };
	struct sockaddr_storage ss;
	const struct endpoint at = { .addr = to->addr, .scope = to->scope };
	struct timespec now;

	addr_emit(&ss, AF_INET6, &at);
	memcpy(&info.ip6m_addr, &ss, sizeof(info.ip6m_addr));
	clock_gettime(CLOCK_REALTIME, &now);
	out_stamp(s, &out, (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec);
	cmsg_put(&out, IPPROTO_IPV6, IPV6_PATHMTU, &info, sizeof(info));
	finish(msg, &out);
}

void dgram_cmsg_error(const struct sock *s, struct msghdr *msg, const struct chan_dgram *h)
{
	uint32_t want = atomic_load_explicit(&s->b->dg_flags, memory_order_relaxed);
	bool v6 = s->family == AF_INET6, by_v6 = h->origin == SO_EE_ORIGIN_ICMP6;
	struct cmsg_out to = { .buf = msg->msg_control, .room = msg->msg_controllen };
	struct {
		struct sock_extended_err ee;
		struct sockaddr_storage offender;
	} e = {
		.ee = {
			.ee_errno = h->err,
			.ee_origin = h->origin,
			.ee_type = h->type,
			.ee_code = h->code,
			.ee_info = h->info,
		},
	};
	struct endpoint offender = { .addr = h->from.addr, .scope = h->from.scope };
	size_t size = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (h->time_ns)
		out_stamp(s, &to, h->time_ns);
	/* Of the packet that told it: */
	if (h->origin == SO_EE_ORIGIN_ICMP || by_v6)
		addr_emit(&e.offender, s->family, &offender);
	if (by_v6) {
		out_common6(want, &to, h);
		out_ip6(want, &to, h);
	} else if (h->origin == SO_EE_ORIGIN_ICMP) {
		out_ip(s, &to, h);
	}
	cmsg_put(&to, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &e,
	    sizeof(e.ee) + size);
	finish(msg, &to);
}
