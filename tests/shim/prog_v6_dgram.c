/* Datagrams over IPv6: names, both families in one socket, control messages both ways, options that show,
 * errors and their queue, sizes. */
// SPDX-License-Identifier: MIT
#include <time.h>
#include <linux/errqueue.h>
#include "tests/shim/six.h"

enum { ORIGDST6 = 74 };

static void set_int(int fd, int level, int name, int v)
{
	if (setsockopt(fd, level, name, &v, sizeof(v)) < 0)
		t_out("option %d: %s", name, t_errname(errno));
}

static int bound(const struct sockaddr_in6 *at, int v6only)
{
	int fd = six_socket(SOCK_DGRAM, v6only);
	t_res("bind", bind(fd, (const struct sockaddr *)at, sizeof(*at)));
	return fd;
}

static long send_to(int fd, const char *text, const struct sockaddr_in6 *to)
{
	return t_res("sendto", sendto(fd, text, strlen(text), 0, (const struct sockaddr *)to, sizeof(*to)));
}

/* One control message in words. */
static void control(const struct cmsghdr *c)
{
	struct in6_pktinfo info;
	struct sockaddr_in6 dst;
	int v = 0;
	if (c->cmsg_level == IPPROTO_IPV6 &&
	    (c->cmsg_type == IPV6_PKTINFO || c->cmsg_type == IPV6_2292PKTINFO)) {
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = info.ipi6_addr };
		t_out("  %d: %s by %u len %zu", c->cmsg_type, six_name(&a), info.ipi6_ifindex, c->cmsg_len);
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == ORIGDST6) {
		memcpy(&dst, CMSG_DATA(c), sizeof(dst));
		t_out("  %d: %s len %zu", c->cmsg_type, six_name(&dst), c->cmsg_len);
	} else if (c->cmsg_level == IPPROTO_IPV6 || c->cmsg_level == IPPROTO_IP) {
		memcpy(&v, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0) < 4 ? c->cmsg_len - CMSG_LEN(0) : 4);
		t_out("  level %d type %d: %d len %zu", c->cmsg_level, c->cmsg_type,
		      c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO ? -1 : v, c->cmsg_len);
	} else {
		t_out("  level %d type %d len %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
	}
}

/* The datagram or error that is there, with all that comes with it. */
static void look(const char *what, int fd, int flags)
{
	char buf[64], ctl[512];
	struct sockaddr_in6 from;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov,
			    .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	memset(&from, 0, sizeof(from));
	ssize_t n = recvmsg(fd, &m, flags | MSG_DONTWAIT);
	if (n < 0) {
		t_out("%s: %s", what, t_errname(errno));
		return;
	}
	t_out("%s: \"%.*s\" from %s len %u flags %x", what, (int)n, buf, six_name(&from), m.msg_namelen,
	      (unsigned)m.msg_flags);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct sock_extended_err ee;
		if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_RECVERR) {
			control(c);
			continue;
		}
		memcpy(&ee, CMSG_DATA(c), sizeof(ee));
		struct sockaddr_in6 off;
		memcpy(&off, CMSG_DATA(c) + sizeof(ee), sizeof(off));
		t_out("  error %s origin %u type %u code %u info %u from %s len %zu",
		      t_errname((int)ee.ee_errno),
		      ee.ee_origin, ee.ee_type, ee.ee_code, ee.ee_info,
		      off.sin6_family == AF_INET6 ? six_name(&off) : "nobody", c->cmsg_len);
	}
}

/* The next one, which must come. */
static void next(const char *what, int fd, int flags)
{
	t_until(fd, flags & MSG_ERRQUEUE ? POLLERR : POLLIN);
	look(what, fd, flags);
}

static void names(void)
{
	struct sockaddr_in6 at = six_addr(0), any = six_of(NULL, 0), to;
	int s = bound(&at, -1), c = six_socket(SOCK_DGRAM, -1), only = -1;
	socklen_t len = sizeof(only);
	six_names("bound", s);
	t_res("IPv6 only", getsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len));
	t_out("  %d", only);
	to = six_addr(six_port(s));
	send_to(c, "unbound", &to);
	six_names("client", c);
	next("first", s, 0);
	t_res("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	six_names("connected", c);
	t_res("send", send(c, "hello", 5, 0));
	next("second", s, 0);
	to = six_addr(six_port(c));
	send_to(s, "answer", &to);
	next("answer", c, 0);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	t_res("disconnect", connect(c, &none, sizeof(none)));
	six_names("disconnected", c);
	close(c);
	close(s);
	s = bound(&any, -1);
	six_names("any", s);
	close(s);
}

static void both_families(void)
{
	struct sockaddr_in6 any = six_of(NULL, 0), to;
	int s = bound(&any, 0), c = six_socket(SOCK_DGRAM, -1), c4 = socket(AF_INET, SOCK_DGRAM, 0);
	set_int(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set_int(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	to = six_addr(six_port(s));
	send_to(c, "six", &to);
	next("by IPv6", s, 0);
	to = six_mapped(six_port(s));
	send_to(c, "mapped", &to);
	next("mapped", s, 0);
	struct sockaddr_in four = t_addr(six_port(s));
	t_res("sendto", sendto(c4, "four", 4, 0, (struct sockaddr *)&four, sizeof(four)));
	next("by IPv4", s, 0);
	t_res("IPv4 address", sendto(c, "v4", 2, 0, (struct sockaddr *)&four, sizeof(four)));
	next("IPv4 address", s, 0);
	close(c);
	close(c4);
	close(s);
	/* Only one. */
	s = bound(&any, 1);
	c = six_socket(SOCK_DGRAM, 1);
	to = six_addr(six_port(s));
	send_to(c, "six", &to);
	next("by IPv6", s, 0);
	to = six_mapped(six_port(s));
	send_to(c, "mapped", &to);
	t_res("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	close(c);
	close(s);
}

static void control_messages(void)
{
	struct sockaddr_in6 at = six_addr(0), to;
	static const int want[] = { IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_2292PKTINFO,
				    IPV6_2292HOPLIMIT, ORIGDST6 };
	int s = bound(&at, -1), c = six_socket(SOCK_DGRAM, -1);
	to = six_addr(six_port(s));
	for (size_t i = 0; i < T_COUNT(want); i++) {
		set_int(s, IPPROTO_IPV6, want[i], 1);
		send_to(c, "x", &to);
		next("alone", s, 0);
		set_int(s, IPPROTO_IPV6, want[i], 0);
	}
	for (size_t i = 0; i < T_COUNT(want); i++)
		set_int(s, IPPROTO_IPV6, want[i], 1);
	set_int(s, IPPROTO_IP, IP_RECVTTL, 1); /* of IPv4 only */
	send_to(c, "x", &to);
	next("all", s, 0);
	set_int(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7);
	set_int(c, IPPROTO_IPV6, IPV6_TCLASS, 0xb8);
	set_int(c, IPPROTO_IP, IP_TTL, 9);
	set_int(c, IPPROTO_IP, IP_TOS, 0x10);
	send_to(c, "set", &to);
	next("set", s, 0);
	set_int(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
	set_int(c, IPPROTO_IPV6, IPV6_TCLASS, -1);
	send_to(c, "reset", &to);
	next("reset", s, 0);
	close(c);
	close(s);
}

/* What sendmsg() asks for. */
static void asked(void)
{
	struct sockaddr_in6 at = six_addr(0), to;
	static const struct { int type, v; size_t len; } ask[] = {
		{ IPV6_HOPLIMIT, 3, 4 }, { IPV6_HOPLIMIT, -1, 4 }, { IPV6_HOPLIMIT, 255, 4 },
		{ IPV6_HOPLIMIT, 256, 4 }, { IPV6_HOPLIMIT, 1, 2 }, { IPV6_TCLASS, 0x20, 4 },
		{ IPV6_TCLASS, 256, 4 }, { IPV6_TCLASS, 255, 4 },
		{ IPV6_DONTFRAG, 1, 4 }, { IPV6_DONTFRAG, 2, 4 }, { IPV6_2292HOPLIMIT, 5, 4 }, { 999, 1, 4 },
	};
	int s = bound(&at, -1), c = six_socket(SOCK_DGRAM, -1);
	set_int(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set_int(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	to = six_addr(six_port(s));
	for (size_t i = 0; i < T_COUNT(ask); i++) {
		_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(16)] = { 0 };
		struct iovec iov = { "ask", 3 };
		struct msghdr m = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &iov,
				    .msg_iovlen = 1, .msg_control = ctl,
				    .msg_controllen = CMSG_LEN(ask[i].len) };
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		*h = (struct cmsghdr){ CMSG_LEN(ask[i].len), IPPROTO_IPV6, ask[i].type };
		memcpy(CMSG_DATA(h), &ask[i].v, ask[i].len);
		t_out("type %d value %d length %zu", ask[i].type, ask[i].v, ask[i].len);
		if (t_res("sendmsg", sendmsg(c, &m, 0)) > 0)
			next("got", s, 0);
	}
	static const char *const from[] = { NULL, "own", "2001:db8::99", "::ffff:10.9.9.9" };
	for (size_t i = 0; i < T_COUNT(from); i++) {
		_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(struct in6_pktinfo))] = { 0 };
		struct iovec iov = { "from", 4 };
		struct msghdr m = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &iov,
				    .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
		struct sockaddr_in6 src = i == 1 ? six_addr(0) : six_of(from[i], 0);
		struct in6_pktinfo info = { .ipi6_addr = src.sin6_addr };
		struct cmsghdr *h = (struct cmsghdr *)ctl;
		*h = (struct cmsghdr){ CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO };
		memcpy(CMSG_DATA(h), &info, sizeof(info));
		t_out("from %s", from[i] ? from[i] : "any");
		if (t_res("sendmsg", sendmsg(c, &m, 0)) > 0)
			next("got", s, 0);
	}
	close(c);
	close(s);
}

static void errors(void)
{
	struct sockaddr_in6 at = six_addr(0), to;
	char buf[8];
	int s = bound(&at, -1), port = six_port(s), c = six_socket(SOCK_DGRAM, -1);
	close(s);
	to = six_addr(port);
	t_res("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	t_res("send", send(c, "x", 1, 0));
	t_out("%s", t_mask((uint32_t)t_until(c, POLLERR)));
	t_res("recv", recv(c, buf, sizeof(buf), MSG_DONTWAIT));
	t_res("recv", recv(c, buf, sizeof(buf), MSG_DONTWAIT));
	close(c);
	for (int six = 0; six < 2; six++) { /* each family has its own option */
		c = six_socket(SOCK_DGRAM, -1);
		set_int(c, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVERR : IP_RECVERR, 1);
		t_out("option of %s", six ? "IPv6" : "IPv4");
		/* Of two errors one is told: that of the other family first, so that it is over. */
		struct sockaddr_in6 mapped = six_mapped(port);
		const struct sockaddr_in6 *first = six ? &mapped : &to, *second = six ? &to : &mapped;
		send_to(c, "other", first);
		send_to(c, "own", second);
		next("queue", c, MSG_ERRQUEUE);
		look("queue", c, MSG_ERRQUEUE);
		close(c);
	}
}

static void sizes(void)
{
	static char out[66000], in[66000];
	struct sockaddr_in6 at = six_addr(0), to;
	static const size_t n[] = { 0, 1, 1452, 1453, 65506, 65507, 65508, 65526, 65527, 65528, 65535,
				    65536 };
	int s = bound(&at, -1), c = six_socket(SOCK_DGRAM, -1), big = 400000;
	set_int(s, SOL_SOCKET, SO_RCVBUF, big);
	to = six_addr(six_port(s));
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 >> 3);
	for (size_t i = 0; i < T_COUNT(n); i++) {
		t_out("%zu bytes", n[i]);
		long r = t_res("sendto", sendto(c, out, n[i], 0, (struct sockaddr *)&to, sizeof(to)));
		if (r < 0)
			continue;
		t_until(s, POLLIN);
		t_res("recv", recv(s, in, sizeof(in), MSG_DONTWAIT));
		t_out("same %d", memcmp(in, out, n[i]) == 0);
	}
	close(c);
	close(s);
}

static void bad_destinations(void)
{
	struct sockaddr_in6 to = six_addr(0), local = six_of("fe80::1", 9);
	int c = six_socket(SOCK_DGRAM, -1);
	send_to(c, "port 0", &to);
	t_res("connect", connect(c, (struct sockaddr *)&local, sizeof(local)));
	to = six_addr(9);
	for (socklen_t len = 22; len < 30; len += 2)
		t_res("length", sendto(c, "x", 1, 0, (struct sockaddr *)&to, len));
	close(c);
	c = six_socket(SOCK_DGRAM, -1);
	t_res("nobody", send(c, "x", 1, 0));
	to = six_addr(9);
	t_res("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	to.sin6_port = 0;
	t_res("connect to port 0", connect(c, (struct sockaddr *)&to, sizeof(to)));
	six_names("port 0", c);
	close(c);
}

static void this_host(void)
{
	struct sockaddr_in6 any = six_of(NULL, 0), to;
	if (!six_is_loopback())
		return;
	int s = bound(&any, 0), c = six_socket(SOCK_DGRAM, -1);
	to = six_of(NULL, six_port(s));
	send_to(c, "any", &to);
	next("any", s, 0);
	t_res("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	six_names("connected", c);
	t_res("send", send(c, "any", 3, 0));
	next("connected", s, 0);
	close(c);
	close(s);
}

static void reuseport(void)
{
	struct sockaddr_in6 at = six_addr(0), to;
	int fd[3], c = six_socket(SOCK_DGRAM, -1), n = 0;
	for (int i = 0; i < 3; i++) {
		fd[i] = six_socket(SOCK_DGRAM, -1);
		set_int(fd[i], SOL_SOCKET, SO_REUSEPORT, 1);
		t_res("bind", bind(fd[i], (struct sockaddr *)&at, sizeof(at)));
		at = six_addr(six_port(fd[0]));
	}
	to = at;
	send_to(c, "one of them", &to);
	for (int i = 0; i < 3; i++) {
		char buf[16];
		for (int tries = 0; tries < 20 && i == 2 && !n; tries++) {
			for (int k = 0; k < 3; k++)
				n += recv(fd[k], buf, sizeof(buf), MSG_DONTWAIT) > 0;
			t_sleep_ms(n ? 0 : 10);
		}
	}
	t_out("%d of 3 got it", n);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	close(c);
}

T_MAIN(T_CASE(names), T_CASE(both_families), T_CASE(control_messages), T_CASE(asked), T_CASE(errors),
       T_CASE(sizes), T_CASE(bad_destinations), T_CASE(this_host), T_CASE(reuseport))
