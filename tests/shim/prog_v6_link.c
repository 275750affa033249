/* Link-local addresses: the scope id that bind(), connect() and sendto() want, and that the calls which give
 * addresses back show (ipv6(7), RFC 4007). */
// SPDX-License-Identifier: MIT
#include <net/if.h>
#include "tests/shim/six.h"

enum { LO = 1, NO_SUCH = 77 };

static unsigned link_index(void) { return if_nametoindex(getenv("FN_TEST_LINK")); }

/* The address of this run's interface, and one that is nobody's. */
static struct sockaddr_in6 link_addr(int port, unsigned scope)
{
	struct sockaddr_in6 a = six_of(getenv("FN_TEST_LINKLOCAL"), port);

	a.sin6_scope_id = scope;
	return a;
}
static struct sockaddr_in6 strange(int port, unsigned scope)
{
	struct sockaddr_in6 a = six_of("fe80::dead:beef", port);

	a.sin6_scope_id = scope;
	return a;
}

static const char *name(const struct sockaddr_in6 *a)
{
	static char buf[128];
	char text[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof(text));
	snprintf(buf, sizeof(buf), "[%s]:%s scope %s", text, a->sin6_port ? "port" : "0",
		 a->sin6_scope_id == link_index() ? "link" : a->sin6_scope_id ? "other" : "none");
	return buf;
}

static void names(const char *what, int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &len);
	t_out("%s: here %s", what, name(&a));
	len = sizeof(a);
	if (getpeername(fd, (struct sockaddr *)&a, &len) == 0)
		t_out("  there %s", name(&a));
}

static int bound(int type, struct sockaddr_in6 at)
{
	int fd = six_socket(type, -1);

	t_res("bind", bind(fd, (void *)&at, sizeof(at)));
	return fd;
}

static int connected(int type, struct sockaddr_in6 to)
{
	int fd = six_socket(type, -1);

	t_res("connect", connect(fd, (void *)&to, sizeof(to)));
	return fd;
}

static void talk(int l, int c)
{
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);
	char buf[4];
	int s = accept(l, (void *)&from, &len);

	t_ok("accept", s);
	t_out("from %s", name(&from));
	names("client", c);
	names("server", s);
	t_res("send", send(c, "ping", 4, 0));
	t_res("recv", t_read_all(s, buf, 4));
	t_res("send", send(s, "pong", 4, 0));
	t_res("recv", t_read_all(c, buf, 4));
	close(c);
	close(s);
}

static void binds(void)
{
	const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	const unsigned scopes[] = { 0, LO, NO_SUCH, link_index() };

	for (size_t t = 0; t < T_COUNT(types); t++) {
		for (size_t i = 0; i < T_COUNT(scopes); i++) {
			t_out("type %d scope %zu", types[t], i);
			int fd = bound(types[t], link_addr(0, scopes[i]));
			names("ours", fd);
			close(fd);
			close(bound(types[t], strange(0, scopes[i])));
		}
	}
}

static void streams(void)
{
	unsigned link = link_index();
	int l = bound(SOCK_STREAM, six_of(NULL, 0)), port = six_port(l);

	t_res("listen", listen(l, 4));
	talk(l, connected(SOCK_STREAM, link_addr(port, link)));
	close(connected(SOCK_STREAM, link_addr(port, 0)));
	close(l);
	l = bound(SOCK_STREAM, link_addr(0, link));
	port = six_port(l);
	t_res("listen", listen(l, 4));
	names("listener", l);
	talk(l, connected(SOCK_STREAM, link_addr(port, link)));
	struct sockaddr_in6 global = six_addr(port);
	close(connected(SOCK_STREAM, global)); /* it is not there */
	close(l);
	close(connected(SOCK_STREAM, link_addr(port, link)));
}

/* Who is bound to an address of a link stays on it. */
static void bound_streams(void)
{
	unsigned link = link_index(), scopes[] = { 0, link, LO };
	int l = bound(SOCK_STREAM, six_of(NULL, 0)), port = six_port(l);
	struct sockaddr_in6 to;

	t_res("listen", listen(l, 4));
	for (size_t i = 0; i < T_COUNT(scopes); i++) {
		int c = bound(SOCK_STREAM, link_addr(0, link));
		to = link_addr(port, scopes[i]);
		if (t_res("connect", connect(c, (void *)&to, sizeof(to))) == 0)
			talk(l, c);
		else
			close(c);
	}
	close(l);
}

static void again(void)
{
	unsigned link = link_index();
	int l = bound(SOCK_STREAM, link_addr(0, link)), port = six_port(l);
	int c = bound(SOCK_STREAM, link_addr(0, link));
	struct sockaddr_in6 to = link_addr(port, link);

	t_res("nobody listens", connect(c, (void *)&to, sizeof(to)));
	names("then", c);
	t_res("listen", listen(l, 1));
	t_res("again", connect(c, (void *)&to, sizeof(to)));
	talk(l, c);
	close(l);
}

static void recv_from(const char *what, int fd)
{
	struct sockaddr_in6 from = { 0 };
	socklen_t len = sizeof(from);
	char buf[16];

	t_until(fd, POLLIN);
	t_res(what, recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (void *)&from, &len));
	t_out("  from %s", name(&from));
}

static void datagrams(void)
{
	unsigned link = link_index();
	int s = bound(SOCK_DGRAM, six_of(NULL, 0)), c = six_socket(SOCK_DGRAM, -1);
	struct sockaddr_in6 to = link_addr(six_port(s), link);

	t_res("sendto", sendto(c, "one", 3, 0, (void *)&to, sizeof(to)));
	recv_from("recvfrom", s);
	names("sender", c);
	t_res("connect", connect(c, (void *)&to, sizeof(to)));
	names("connected", c);
	t_res("send", send(c, "two", 3, 0));
	recv_from("recvfrom", s);
	struct sockaddr un = { .sa_family = AF_UNSPEC };
	t_res("dissolved", connect(c, &un, sizeof(un)));
	names("dissolved", c);
	close(c);
	c = bound(SOCK_DGRAM, link_addr(0, link));
	names("bound", c);
	to.sin6_scope_id = 0; /* it is bound to one */
	t_res("sendto", sendto(c, "three", 5, 0, (void *)&to, sizeof(to)));
	recv_from("recvfrom", s);
	t_res("connect", connect(c, (void *)&to, sizeof(to)));
	names("connected", c);
	t_res("send", send(c, "four", 4, 0));
	recv_from("recvfrom", s);
	to = link_addr(six_port(c), link);
	t_res("answer", sendto(s, "five", 4, 0, (void *)&to, sizeof(to)));
	close(c);
	c = six_socket(SOCK_DGRAM, -1);
	to = link_addr(six_port(s), 0);
	t_res("connect without a scope", connect(c, (void *)&to, sizeof(to)));
	close(c);
	close(s);
}

static void told_where(void)
{
	unsigned link = link_index();
	int s = bound(SOCK_DGRAM, six_of(NULL, 0)), c = six_socket(SOCK_DGRAM, -1), on = 1;
	struct sockaddr_in6 to = link_addr(six_port(s), link), from;
	char buf[16];
	union {
		char b[256];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov,
			    .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof(ctl) };

	setsockopt(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	t_res("sendto", sendto(c, "x", 1, 0, (void *)&to, sizeof(to)));
	t_until(s, POLLIN);
	t_res("recvmsg", recvmsg(s, &m, MSG_DONTWAIT));
	t_out("from %s", name(&from));
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		struct in6_pktinfo info;
		char text[INET6_ADDRSTRLEN];
		memcpy(&info, CMSG_DATA(h), sizeof(info));
		inet_ntop(AF_INET6, &info.ipi6_addr, text, sizeof(text));
		t_out("to %s by %s", text, info.ipi6_ifindex == link ? "link" : "another");
	}
	close(s);
	close(c);
}

T_MAIN(T_CASE(binds), T_CASE(streams), T_CASE(bound_streams), T_CASE(again), T_CASE(datagrams),
       T_CASE(told_where))
