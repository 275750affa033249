/* Groups and broadcasts on one host, over an interface with a network: join and leave in every form,
 * sources, loop, interface, who hears what. Bare it is a veth's interface, preloaded the engine drives
 * one. */
// SPDX-License-Identifier: MIT
#include <netinet/ip.h>
#include "tests/shim/udp.h"

static struct sockaddr_in group_at(const char *group, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	inet_pton(AF_INET, group, &a.sin_addr);
	return a;
}

static struct in_addr ip(const char *text)
{
	struct in_addr a;
	inet_pton(AF_INET, text, &a);
	return a;
}

static struct in_addr me(void)
{
	return t_addr(0).sin_addr;
}

/* Bound to any address, port 0: a new one, which is returned. */
static int udp_any(int port, int *got)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = udp();
	udp_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, (void *)&a, sizeof(a)) < 0)
		t_out("bind: %s", t_errname(errno));
	if (got)
		*got = t_port(fd);
	return fd;
}

static long member(int fd, int option, const char *group, struct in_addr ifc)
{
	struct ip_mreq m = { .imr_multiaddr = ip(group), .imr_interface = ifc };
	return setsockopt(fd, IPPROTO_IP, option, &m, sizeof(m));
}

static long source(int fd, int option, const char *group, const char *from)
{
	struct ip_mreq_source m = { .imr_multiaddr = ip(group), .imr_interface = me(),
				    .imr_sourceaddr = strcmp(from, "me") ? ip(from) : me() };
	return setsockopt(fd, IPPROTO_IP, option, &m, sizeof(m));
}

static void use_interface(int fd)
{
	struct in_addr a = me();
	if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)) < 0)
		t_out("IP_MULTICAST_IF: %s", t_errname(errno));
}

static void show(const char *who, int fd, int ms)
{
	char buf[64];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = poll(&p, 1, ms) > 0 ? recv(fd, buf, sizeof(buf), MSG_DONTWAIT) : -1;
	t_out("%s: %.*s", who, n < 0 ? 7 : (int)n, n < 0 ? "nothing" : buf);
}

static void heard(const char *who, int fd) { show(who, fd, 2000); }
static void deaf(const char *who, int fd) { show(who, fd, 40); }

static void join_and_leave(void)
{
	int port, a = udp_any(0, &port), s = udp();
	struct sockaddr_in to = group_at("239.1.2.3", port), other = group_at("239.1.2.4", port);
	use_interface(s);
	t_res("before", udp_sendto(s, "early", 5, &to));
	deaf("a", a);
	t_res("join", member(a, IP_ADD_MEMBERSHIP, "239.1.2.3", me()));
	t_res("again", member(a, IP_ADD_MEMBERSHIP, "239.1.2.3", me()));
	udp_sendto(s, "hello", 5, &to);
	heard("a", a);
	udp_sendto(s, "other", 5, &other);
	deaf("a", a);
	t_res("leave another", member(a, IP_DROP_MEMBERSHIP, "239.1.2.4", me()));
	t_res("leave", member(a, IP_DROP_MEMBERSHIP, "239.1.2.3", me()));
	t_res("leave again", member(a, IP_DROP_MEMBERSHIP, "239.1.2.3", me()));
	udp_sendto(s, "late", 4, &to);
	deaf("a", a);
	close(a);
	close(s);
}

static void forms(void)
{
	int fd = udp();
	struct ip_mreqn n = { .imr_multiaddr = ip("239.1.1.1"), .imr_address = me() };
	struct ip_mreq m = { .imr_multiaddr = ip("239.1.1.2"), .imr_interface = me() };
	t_res("mreqn", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)));
	t_res("mreq", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	t_res("short", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, 7));
	t_res("null", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, NULL, 8));
	m.imr_multiaddr = ip("10.1.1.1");
	t_res("no group", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	m.imr_multiaddr = ip("239.1.1.3");
	m.imr_interface = ip("10.99.99.99");
	t_res("strange interface", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	m.imr_interface.s_addr = 0;
	t_res("by route", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	t_res("the same", member(fd, IP_ADD_MEMBERSHIP, "239.1.1.3", me()));
	t_res("leave by route", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)));
	n.imr_ifindex = 9999;
	n.imr_multiaddr = ip("239.1.1.4");
	t_res("strange number", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)));
	n.imr_ifindex = 0;
	n.imr_multiaddr = ip("239.1.1.1");
	t_res("leave", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &n, sizeof(n)));
	struct group_req g = { 0 };
	struct sockaddr_in in = group_at("239.1.1.5", 0);
	memcpy(&g.gr_group, &in, sizeof(in));
	t_res("MCAST_JOIN_GROUP", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)));
	t_res("again", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)));
	t_res("short", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &g, 20));
	t_res("MCAST_LEAVE_GROUP", setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof(g)));
	t_res("again", setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof(g)));
	g.gr_interface = 9999;
	t_res("strange number", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)));
	g.gr_group.ss_family = AF_INET6;
	g.gr_interface = 0;
	t_res("IPv6 group", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)));
	close(fd);
}

static void two_members_and_a_stranger(void)
{
	int port, a = udp_any(0, &port), b = udp_any(port, NULL), c = udp_any(port, NULL), s = udp();
	struct sockaddr_in to = group_at("239.1.2.3", port);
	use_interface(s);
	member(a, IP_ADD_MEMBERSHIP, "239.1.2.3", me());
	member(b, IP_ADD_MEMBERSHIP, "239.1.2.3", me());
	udp_int(c, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	udp_sendto(s, "hello", 5, &to);
	heard("a", a);
	heard("b", b);
	deaf("c, only its own", c);
	udp_int(c, IPPROTO_IP, IP_MULTICAST_ALL, 1);
	udp_sendto(s, "again", 5, &to);
	heard("a", a);
	heard("b", b);
	heard("c, all groups", c);
	close(a);
	udp_sendto(s, "third", 5, &to);
	heard("b", b);
	heard("c", c);
	close(b);
	close(udp_any(port, NULL)); /* its thread has done the close() when it answers */
	udp_sendto(s, "fourth", 6, &to);
	deaf("c", c);
	close(c);
	close(s);
}

static void bound_to_the_group(void)
{
	int port, x = udp_any(0, &port), a = udp(), b = udp(), s = udp();
	struct sockaddr_in one = group_at("239.1.2.3", port), two = group_at("239.1.2.4", port);
	close(x);
	use_interface(s);
	udp_int(a, SOL_SOCKET, SO_REUSEADDR, 1);
	udp_int(b, SOL_SOCKET, SO_REUSEADDR, 1);
	t_res("bind", bind(a, (void *)&one, sizeof(one)));
	t_res("bind", bind(b, (void *)&two, sizeof(two)));
	for (int i = 0; i < 2; i++) {
		member(a, IP_ADD_MEMBERSHIP, i ? "239.1.2.4" : "239.1.2.3", me());
		member(b, IP_ADD_MEMBERSHIP, i ? "239.1.2.4" : "239.1.2.3", me());
	}
	udp_sendto(s, "one", 3, &one);
	heard("a", a);
	deaf("b", b);
	udp_sendto(s, "two", 3, &two);
	deaf("a", a);
	heard("b", b);
	struct sockaddr_in name;
	socklen_t len = sizeof(name);
	getsockname(a, (void *)&name, &len);
	t_out("name %s", t_addr_name(&name));
	close(a);
	close(b);
	close(s);
}

static void loop_off(void)
{
	int port, a = udp_any(0, &port), s = udp();
	struct sockaddr_in to = group_at("239.1.2.3", port);
	use_interface(s);
	member(a, IP_ADD_MEMBERSHIP, "239.1.2.3", me());
	udp_int(s, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	t_res("send", udp_sendto(s, "mute", 4, &to));
	deaf("a", a);
	udp_int(s, IPPROTO_IP, IP_MULTICAST_LOOP, 1);
	t_res("send", udp_sendto(s, "loud", 4, &to));
	heard("a", a);
	udp_int(a, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	t_res("send", udp_sendto(s, "still", 5, &to));
	heard("a", a);
	close(a);
	close(s);
}

static void ttls_and_names(void)
{
	_Alignas(struct cmsghdr) char control[256];
	char buf[16];
	int port, a = udp_any(0, &port), s = udp();
	struct sockaddr_in to = group_at("239.1.2.3", port), from;
	static const int ttls[] = { -2, 0, 1, 32, 255, 256, -1 };
	use_interface(s);
	member(a, IP_ADD_MEMBERSHIP, "239.1.2.3", me());
	udp_int(a, IPPROTO_IP, IP_RECVTTL, 1);
	udp_int(a, IPPROTO_IP, IP_PKTINFO, 1);
	for (size_t i = 0; i < T_COUNT(ttls); i++) {
		struct iovec v = { buf, sizeof(buf) };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control), .msg_name = &from,
				    .msg_namelen = sizeof(from) };
		if (ttls[i] > -2)
			t_res("set", setsockopt(s, IPPROTO_IP, IP_MULTICAST_TTL, &ttls[i], sizeof(int)));
		udp_sendto(s, "x", 1, &to);
		if (!udp_wait(a) || recvmsg(a, &m, MSG_DONTWAIT) < 0)
			continue;
		t_out("from %s", t_addr_name(&from));
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			struct in_pktinfo info;
			int ttl;
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			if (c->cmsg_type == IP_TTL)
				t_out("ttl %d", ttl);
			else
				t_out("to the group %d, for me %d, interface %d",
				      info.ipi_addr.s_addr == to.sin_addr.s_addr,
				      info.ipi_spec_dst.s_addr == me().s_addr, info.ipi_ifindex > 1);
		}
	}
	close(a);
	close(s);
}

static void connected_to_a_group(void)
{
	int port, a = udp_any(0, &port), s = udp();
	struct sockaddr_in to = group_at("239.1.2.3", port), name;
	socklen_t len = sizeof(name);
	member(a, IP_ADD_MEMBERSHIP, "239.1.2.3", me());
	use_interface(s);
	t_res("connect", connect(s, (void *)&to, sizeof(to)));
	getsockname(s, (void *)&name, &len);
	t_out("name %s", t_addr_name(&name));
	len = sizeof(name);
	getpeername(s, (void *)&name, &len);
	t_out("peer %s", t_addr_name(&name));
	t_res("send", send(s, "conn", 4, 0));
	heard("a", a);
	close(a);
	close(s);
}

static void interfaces(void)
{
	int fd = udp();
	struct in_addr a;
	socklen_t len = sizeof(a);
	struct ip_mreqn n = { .imr_address = me() };
	t_res("get", getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, &len));
	t_out("%s len %u", inet_ntoa(a), len);
	a = ip("10.99.99.99");
	t_res("strange", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)));
	t_res("short", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, 3));
	t_res("mreqn", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &n, sizeof(n)));
	len = sizeof(a);
	getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, &len);
	t_out("mine %d len %u", a.s_addr == me().s_addr, len);
	n.imr_ifindex = 9999;
	t_res("strange number", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &n, sizeof(n)));
	a.s_addr = 0;
	t_res("none", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)));
	len = sizeof(a);
	getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, &len);
	t_out("%s len %u", inet_ntoa(a), len);
	close(fd);
}

static void sources(void)
{
	int port, a = udp_any(0, &port), s = udp();
	struct sockaddr_in to = group_at("232.1.2.3", port);
	use_interface(s);
	t_res("block before", source(a, IP_BLOCK_SOURCE, "232.1.2.3", "me"));
	t_res("only another", source(a, IP_ADD_SOURCE_MEMBERSHIP, "232.1.2.3", "10.77.0.9"));
	udp_sendto(s, "one", 3, &to);
	deaf("a", a);
	t_res("the same", source(a, IP_ADD_SOURCE_MEMBERSHIP, "232.1.2.3", "10.77.0.9"));
	t_res("and me", source(a, IP_ADD_SOURCE_MEMBERSHIP, "232.1.2.3", "me"));
	udp_sendto(s, "two", 3, &to);
	heard("a", a);
	t_res("any as well", member(a, IP_ADD_MEMBERSHIP, "232.1.2.3", me()));
	t_res("block", source(a, IP_BLOCK_SOURCE, "232.1.2.3", "me"));
	t_res("not me", source(a, IP_DROP_SOURCE_MEMBERSHIP, "232.1.2.3", "me"));
	t_res("never was", source(a, IP_DROP_SOURCE_MEMBERSHIP, "232.1.2.3", "10.77.0.8"));
	udp_sendto(s, "three", 5, &to);
	deaf("a", a);
	t_res("nor another", source(a, IP_DROP_SOURCE_MEMBERSHIP, "232.1.2.3", "10.77.0.9"));
	t_res("all but", member(a, IP_ADD_MEMBERSHIP, "232.1.2.3", me()));
	t_res("block me", source(a, IP_BLOCK_SOURCE, "232.1.2.3", "me"));
	t_res("twice", source(a, IP_BLOCK_SOURCE, "232.1.2.3", "me"));
	udp_sendto(s, "four", 4, &to);
	deaf("a", a);
	t_res("unblock", source(a, IP_UNBLOCK_SOURCE, "232.1.2.3", "me"));
	t_res("twice", source(a, IP_UNBLOCK_SOURCE, "232.1.2.3", "me"));
	udp_sendto(s, "five", 4, &to);
	heard("a", a);
	close(a);
	close(s);
}

static void filters(void)
{
	int port, a = udp_any(0, &port), s = udp();
	struct sockaddr_in to = group_at("232.1.2.3", port);
	char mem[IP_MSFILTER_SIZE(2)];
	struct ip_msfilter *f = (struct ip_msfilter *)mem;
	use_interface(s);
	*f = (struct ip_msfilter){ .imsf_multiaddr = to.sin_addr, .imsf_interface = me(),
				   .imsf_fmode = MCAST_EXCLUDE, .imsf_numsrc = 1 };
	f->imsf_slist[0] = me();
	t_res("not joined", setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(1)));
	member(a, IP_ADD_MEMBERSHIP, "232.1.2.3", me());
	t_res("exclude me", setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(1)));
	udp_sendto(s, "one", 3, &to);
	deaf("a", a);
	f->imsf_fmode = MCAST_INCLUDE;
	t_res("include me", setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(1)));
	udp_sendto(s, "two", 3, &to);
	heard("a", a);
	t_res("short", setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, 10));
	f->imsf_fmode = 7;
	t_res("strange mode", setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(1)));
	f->imsf_fmode = MCAST_INCLUDE;
	f->imsf_numsrc = 0;
	t_res("include none", setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(0)));
	t_res("left", member(a, IP_DROP_MEMBERSHIP, "232.1.2.3", me()));
	close(a);
	close(s);
}

static void many_groups(void)
{
	int fd = udp(), ok = 0;
	for (int i = 1; i <= 20; i++) {
		char g[32];
		snprintf(g, sizeof(g), "239.5.5.%d", i);
		ok += member(fd, IP_ADD_MEMBERSHIP, g, me()) == 0;
	}
	t_out("joined %d", ok);
	t_res("one more", member(fd, IP_ADD_MEMBERSHIP, "239.5.5.200", me()));
	close(fd);
}

static void broadcasts(void)
{
	int port, a = udp_any(0, &port), s = udp(), d = udp();
	struct sockaddr_in net = group_at("10.77.0.255", port), all = group_at("255.255.255.255", port);
	struct sockaddr_in name = t_addr(port);
	t_res("not allowed", udp_sendto(s, "x", 1, &net));
	t_res("nor to all", udp_sendto(s, "x", 1, &all));
	t_res("connect", connect(d, (void *)&net, sizeof(net)));
	udp_int(s, SOL_SOCKET, SO_BROADCAST, 1);
	t_res("net", udp_sendto(s, "net", 3, &net));
	heard("a", a);
	t_res("all", udp_sendto(s, "all", 3, &all));
	heard("a", a);
	udp_int(d, SOL_SOCKET, SO_BROADCAST, 1);
	t_res("connect", connect(d, (void *)&net, sizeof(net)));
	t_res("send", send(d, "conn", 4, 0));
	heard("a", a);
	int own = udp();
	udp_int(own, SOL_SOCKET, SO_REUSEADDR, 1);
	t_res("bind to the address", bind(own, (void *)&name, sizeof(name)));
	udp_sendto(s, "two", 3, &net);
	heard("a", a);
	deaf("bound to the address", own);
	close(own);
	own = udp();
	udp_int(own, SOL_SOCKET, SO_REUSEADDR, 1);
	t_res("bind to the broadcast address", bind(own, (void *)&net, sizeof(net)));
	udp_sendto(s, "three", 5, &net);
	heard("a", a);
	heard("bound to the broadcast address", own);
	close(own);
	close(a);
	close(s);
	close(d);
}

/* To a neighbour that is not there: what matters is the way to it. */
static void longer_than_the_wire(void)
{
	static const size_t rows[] = { 1472, 1473, 65507 };
	static char big[65536];
	struct sockaddr_in to = group_at("10.77.0.9", 9);
	for (int disc = IP_PMTUDISC_DONT; disc <= IP_PMTUDISC_OMIT; disc++) {
		int fd = udp(), v = 0, gso = 1473;
		socklen_t len = sizeof(v);
		udp_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, disc);
		udp_int(fd, IPPROTO_IP, IP_RECVERR, 1);
		t_out("discover %d", disc);
		for (size_t i = 0; i < T_COUNT(rows); i++)
			t_res("unconnected", udp_sendto(fd, big, rows[i], &to));
		t_res("connect", connect(fd, (void *)&to, sizeof(to)));
		getsockopt(fd, IPPROTO_IP, IP_MTU, &v, &len);
		t_out("mtu %d", v);
		for (size_t i = 0; i < T_COUNT(rows); i++)
			t_res("connected", send(fd, big, rows[i], 0));
		for (int i = 0; i < 2; i++) {
			_Alignas(struct cmsghdr) char control[256];
			struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };
			struct sock_extended_err ee;
			if (recvmsg(fd, &m, MSG_ERRQUEUE) < 0)
				continue;
			memcpy(&ee, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(ee));
			t_out("%s origin %u info %u", t_errname((int)ee.ee_errno), ee.ee_origin, ee.ee_info);
		}
		setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &gso, sizeof(gso));
		t_res("segments too long", send(fd, big, 3000, 0));
		gso = 1472;
		setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &gso, sizeof(gso));
		t_res("segments", send(fd, big, 3000, 0));
		close(fd);
	}
}

T_MAIN(T_CASE(join_and_leave), T_CASE(forms), T_CASE(two_members_and_a_stranger),
       T_CASE(bound_to_the_group), T_CASE(loop_off), T_CASE(ttls_and_names),
       T_CASE(connected_to_a_group), T_CASE(interfaces), T_CASE(sources), T_CASE(filters),
       T_CASE(many_groups), T_CASE(broadcasts), T_CASE(longer_than_the_wire))
