/* IPv6 groups on one host, over an interface with a network: join and leave in every form, with and without
 * an interface, who hears what, names, ways of sending. Bare it is a veth's interface, preloaded the engine
 * drives one. Source filters: prog_v6_group_source.c. */
// SPDX-License-Identifier: MIT
#include <sys/wait.h>
#include "tests/shim/six_group.h"

enum { ORIGDST6 = 74 };

static void join_and_leave(void)
{
	int port, a = any_port(0, &port), s = six_socket(SOCK_DGRAM, -1);
	t_res("before", send_to(s, "early", "ff15::3", port, wire()));
	deaf("a", a);
	t_res("join", member(a, IPV6_JOIN_GROUP, "ff15::3", wire()));
	t_res("again", member(a, IPV6_JOIN_GROUP, "ff15::3", wire()));
	use_interface(s);
	send_to(s, "hello", "ff15::3", port, 0);
	heard("a", a);
	send_to(s, "other", "ff15::4", port, 0);
	deaf("a", a);
	t_res("leave another", member(a, IPV6_LEAVE_GROUP, "ff15::4", wire()));
	t_res("leave", member(a, IPV6_LEAVE_GROUP, "ff15::3", wire()));
	t_res("leave again", member(a, IPV6_LEAVE_GROUP, "ff15::3", wire()));
	send_to(s, "late", "ff15::3", port, 0);
	deaf("a", a);
	close(a);
	close(s);
}

static void forms(void)
{
	int fd = six_socket(SOCK_DGRAM, -1), four = socket(AF_INET, SOCK_DGRAM, 0);
	struct ipv6_mreq m = { .ipv6mr_multiaddr = six_of("ff15::11", 0).sin6_addr,
			       .ipv6mr_interface = wire() };
	t_res("mreq", setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof(m)));
	t_res("short", setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof(m) - 1));
	t_res("null", setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, NULL, sizeof(m)));
	t_res("IPv4 socket", setsockopt(four, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof(m)));
	t_res("no group", member(fd, IPV6_JOIN_GROUP, "fd77::9", wire()));
	t_res("IPv4 group", member(fd, IPV6_JOIN_GROUP, "::ffff:239.1.1.1", wire()));
	t_res("strange interface", member(fd, IPV6_JOIN_GROUP, "ff15::12", 9999));
	t_res("leave there", member(fd, IPV6_LEAVE_GROUP, "ff15::12", 9999));
	t_res("joined, by any", member(fd, IPV6_JOIN_GROUP, "ff15::11", 0));
	t_res("leave by any", member(fd, IPV6_LEAVE_GROUP, "ff15::11", 0));
	t_res("and again", member(fd, IPV6_LEAVE_GROUP, "ff15::11", 0));
	t_res("join by any", member(fd, IPV6_JOIN_GROUP, "ff15::13", 0));
	t_res("the same", member(fd, IPV6_JOIN_GROUP, "ff15::13", wire()));
	t_res("leave it", member(fd, IPV6_LEAVE_GROUP, "ff15::13", wire()));
	t_res("of a link by any", member(fd, IPV6_JOIN_GROUP, "ff02::113", 0));
	t_res("the same", member(fd, IPV6_JOIN_GROUP, "ff02::113", wire()));
	t_res("of this host", member(fd, IPV6_JOIN_GROUP, "ff01::113", wire()));
	t_res("all nodes", member(fd, IPV6_JOIN_GROUP, "ff02::1", wire()));
	t_res("all nodes again", member(fd, IPV6_JOIN_GROUP, "ff02::1", wire()));
	struct group_req g = { .gr_interface = wire() };
	struct sockaddr_in6 in = six_of("ff15::14", 0);
	memcpy(&g.gr_group, &in, sizeof(in));
	t_res("MCAST_JOIN_GROUP", setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_GROUP, &g, sizeof(g)));
	t_res("again", setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_GROUP, &g, sizeof(g)));
	t_res("short", setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_GROUP, &g, 20));
	t_res("level of IPv4", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)));
	t_res("MCAST_LEAVE_GROUP", setsockopt(fd, IPPROTO_IPV6, MCAST_LEAVE_GROUP, &g, sizeof(g)));
	t_res("again", setsockopt(fd, IPPROTO_IPV6, MCAST_LEAVE_GROUP, &g, sizeof(g)));
	g.gr_interface = 9999;
	t_res("strange number", setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_GROUP, &g, sizeof(g)));
	g.gr_group.ss_family = AF_INET;
	g.gr_interface = 0;
	t_res("IPv4 family", setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_GROUP, &g, sizeof(g)));
	close(fd);
	close(four);
}

static void two_members_and_a_stranger(void)
{
	int port, a = any_port(0, &port), b = any_port(port, NULL), c = any_port(port, NULL);
	int s = six_socket(SOCK_DGRAM, -1);
	use_interface(s);
	member(a, IPV6_JOIN_GROUP, "ff15::3", wire());
	member(b, IPV6_JOIN_GROUP, "ff15::3", wire());
	set_int(c, MULTICAST_ALL, 0);
	send_to(s, "hello", "ff15::3", port, 0);
	heard("a", a);
	heard("b", b);
	deaf("c, only its own", c);
	set_int(c, MULTICAST_ALL, 1);
	t_res("that of IPv4", setsockopt(c, IPPROTO_IP, IP_MULTICAST_ALL, &(int){ 0 }, 4));
	send_to(s, "again", "ff15::3", port, 0);
	heard("a", a);
	heard("b", b);
	heard("c, all groups", c);
	close(a);
	send_to(s, "third", "ff15::3", port, 0);
	heard("b", b);
	heard("c", c);
	close(b);
	close(any_port(port, NULL)); /* its thread has done the close() when it answers */
	send_to(s, "fourth", "ff15::3", port, 0);
	deaf("c", c);
	close(c);
	close(s);
}

/* Every station is in it, so that only IPV6_MULTICAST_ALL decides. */
static void all_nodes(void)
{
	int port, a = any_port(0, &port), s = six_socket(SOCK_DGRAM, -1);
	send_to(s, "all", "ff02::1", port, wire());
	heard("nobody joined", a);
	set_int(a, MULTICAST_ALL, 0);
	send_to(s, "all", "ff02::1", port, wire());
	deaf("only own", a);
	member(a, IPV6_JOIN_GROUP, "ff02::1", wire());
	send_to(s, "all", "ff02::1", port, wire());
	heard("joined", a);
	close(a);
	close(s);
}

static void bound_to_the_group(void)
{
	int port, x = any_port(0, &port), a = shared(), b = shared(), l = shared();
	int s = six_socket(SOCK_DGRAM, -1);
	struct sockaddr_in6 one = six_of("ff15::3", port), two = six_of("ff15::4", port);
	struct sockaddr_in6 link = six_of("ff02::114", port);
	close(x);
	t_res("bind", bind(a, (void *)&one, sizeof(one)));
	t_res("bind", bind(b, (void *)&two, sizeof(two)));
	t_res("of a link", bind(l, (void *)&link, sizeof(link)));
	link.sin6_scope_id = 9999;
	t_res("of a strange one", bind(l, (void *)&link, sizeof(link)));
	link.sin6_scope_id = wire();
	t_res("of the interface", bind(l, (void *)&link, sizeof(link)));
	name_of("a", a);
	name_of("l", l);
	t_out("IPv6 only %d %d", get_int(a, IPV6_V6ONLY), get_int(l, IPV6_V6ONLY));
	for (int i = 0; i < 2; i++) {
		member(a, IPV6_JOIN_GROUP, i ? "ff15::4" : "ff15::3", wire());
		member(b, IPV6_JOIN_GROUP, i ? "ff15::4" : "ff15::3", wire());
	}
	member(l, IPV6_JOIN_GROUP, "ff02::114", wire());
	send_to(s, "one", "ff15::3", port, wire());
	heard("a", a);
	deaf("b", b);
	send_to(s, "two", "ff15::4", port, wire());
	deaf("a", a);
	heard("b", b);
	send_to(s, "link", "ff02::114", port, wire());
	heard("l", l);
	deaf("a", a);
	/* who is bound to a group answers from an address */
	t_res("from a", send_to(a, "from a", "ff02::114", port, wire()));
	heard("l", l);
	close(a);
	close(b);
	close(l);
	close(s);
}

static void loop_off(void)
{
	int port, a = any_port(0, &port), s = six_socket(SOCK_DGRAM, -1);
	use_interface(s);
	member(a, IPV6_JOIN_GROUP, "ff15::3", wire());
	set_int(s, IPV6_MULTICAST_LOOP, 0);
	t_res("send", send_to(s, "mute", "ff15::3", port, 0));
	deaf("a", a);
	set_int(s, IPV6_MULTICAST_LOOP, 1);
	t_res("send", send_to(s, "loud", "ff15::3", port, 0));
	heard("a", a);
	set_int(a, IPV6_MULTICAST_LOOP, 0);
	t_res("send", send_to(s, "still", "ff15::3", port, 0));
	heard("a", a);
	t_res("neither", setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &(int){ 2 }, 4));
	t_out("%d", get_int(s, IPV6_MULTICAST_LOOP));
	close(a);
	close(s);
}

static void control(const struct cmsghdr *c, const char *group)
{
	struct in6_addr want = six_of(group, 0).sin6_addr;
	struct in6_pktinfo info;
	struct sockaddr_in6 dst;
	int hops;
	memcpy(&hops, CMSG_DATA(c), sizeof(hops));
	if (c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		t_out("  to the group %d by the interface %d", !memcmp(&info.ipi6_addr, &want, 16),
		      info.ipi6_ifindex == wire());
	} else if (c->cmsg_type == ORIGDST6) {
		memcpy(&dst, CMSG_DATA(c), sizeof(dst));
		t_out("  meant for the group %d, scope of the interface %d",
		      !memcmp(&dst.sin6_addr, &want, 16), dst.sin6_scope_id == wire());
	} else {
		t_out("  type %d: %d", c->cmsg_type, hops);
	}
}

static void receive_all(int fd, const char *group)
{
	_Alignas(struct cmsghdr) char ctl[256];
	struct sockaddr_in6 from = { 0 };
	char buf[16];
	struct iovec v = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl,
			    .msg_controllen = sizeof(ctl), .msg_name = &from, .msg_namelen = sizeof(from) };
	t_until(fd, POLLIN);
	if (t_res("recvmsg", recvmsg(fd, &m, MSG_DONTWAIT)) < 0)
		return;
	t_out("  from %s", group_name(&from));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		control(c, group);
}

static void hops_and_names(void)
{
	static const int hops[] = { -2, 0, 1, 32, 255, 256, -1 };
	static const char *const groups[] = { "ff15::3", "ff02::115", "ff01::115" };
	int port, a = any_port(0, &port), s = six_socket(SOCK_DGRAM, -1);
	use_interface(s);
	t_out("at first %d", get_int(s, IPV6_MULTICAST_HOPS));
	set_int(a, IPV6_RECVHOPLIMIT, 1);
	set_int(a, IPV6_RECVPKTINFO, 1);
	set_int(a, ORIGDST6, 1);
	for (size_t g = 0; g < T_COUNT(groups); g++) {
		member(a, IPV6_JOIN_GROUP, groups[g], wire());
		t_res(groups[g], send_to(s, "x", groups[g], port, 0));
		receive_all(a, groups[g]);
	}
	for (size_t i = 0; i < T_COUNT(hops); i++) {
		t_res("hops", setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops[i], sizeof(int)));
		t_out("%d gives %d", hops[i], get_int(s, IPV6_MULTICAST_HOPS));
		send_to(s, "x", "ff15::3", port, 0);
		receive_all(a, "ff15::3");
	}
	set_int(s, IPV6_UNICAST_HOPS, 77); /* not of groups */
	send_to(s, "x", "ff15::3", port, 0);
	receive_all(a, "ff15::3");
	close(a);
	close(s);
}

/* The interface and the source that a control message names. */
static void asked(void)
{
	int port, a = any_port(0, &port), s = six_socket(SOCK_DGRAM, -1);
	struct sockaddr_in6 to = six_of("ff15::3", port);
	static const char *const from[] = { "::", "fd77::2", "fd77::99" };
	member(a, IPV6_JOIN_GROUP, "ff15::3", wire());
	set_int(a, IPV6_RECVPKTINFO, 1);
	for (size_t i = 0; i < 2 * T_COUNT(from); i++) {
		_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(struct in6_pktinfo))] = { 0 };
		struct iovec v = { "ask", 3 };
		struct msghdr m = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &v,
				    .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
		struct in6_pktinfo info = { six_of(from[i % T_COUNT(from)], 0).sin6_addr,
					    i < T_COUNT(from) ? wire() : 9999 };
		struct cmsghdr *h = (struct cmsghdr *)ctl;
		*h = (struct cmsghdr){ CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO };
		memcpy(CMSG_DATA(h), &info, sizeof(info));
		if (t_res(from[i % T_COUNT(from)], sendmsg(s, &m, 0)) > 0)
			receive_all(a, "ff15::3");
	}
	close(a);
	close(s);
}

static void connected_to_a_group(void)
{
	static const struct {
		const char *group;
		int scope, option; /* of connect(), of IPV6_MULTICAST_IF: 1 for the wire */
	} rows[] = {
		{ "ff15::3", 0, 0 }, { "ff15::3", 0, 1 }, { "ff02::116", 0, 0 }, { "ff02::116", 1, 0 },
		{ "ff02::116", 0, 1 },
	};
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		int port, a = any_port(0, &port), s = six_socket(SOCK_DGRAM, -1);
		struct sockaddr_in6 to = six_of(rows[i].group, port), peer = { 0 };
		socklen_t len = sizeof(peer);
		to.sin6_scope_id = rows[i].scope ? wire() : 0;
		member(a, IPV6_JOIN_GROUP, rows[i].group, wire());
		if (rows[i].option)
			use_interface(s);
		t_out("%s scope %d option %d", rows[i].group, rows[i].scope, rows[i].option);
		if (t_res("connect", connect(s, (void *)&to, sizeof(to))) == 0) {
			name_of("name", s);
			t_res("peer", getpeername(s, (void *)&peer, &len));
			t_out("  %s", group_name(&peer));
			t_res("send", send(s, "conn", 4, 0));
			heard("a", a);
		}
		close(a);
		close(s);
	}
}

static void interfaces(void)
{
	static const int values[] = { 9999, -1, 0 };
	int fd = six_socket(SOCK_DGRAM, -1), v = (int)wire();
	t_out("at first %d", get_int(fd, IPV6_MULTICAST_IF));
	t_res("wire", setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &v, sizeof(v)));
	t_out("it is %d", get_int(fd, IPV6_MULTICAST_IF) == v);
	t_res("short", setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &v, 3));
	for (size_t i = 0; i < T_COUNT(values); i++) {
		t_res("set", setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &values[i], sizeof(int)));
		t_out("it is %d", get_int(fd, IPV6_MULTICAST_IF) == v);
	}
	close(fd);
}

static void many_groups(void)
{
	int fd = six_socket(SOCK_DGRAM, -1), ok = 0, left = 0;
	char g[32];
	for (int i = 1; i <= 200; i++) {
		snprintf(g, sizeof(g), "ff15::5:%x", i);
		ok += member(fd, IPV6_JOIN_GROUP, g, wire()) == 0;
	}
	for (int i = 1; i <= 200; i += 2) {
		snprintf(g, sizeof(g), "ff15::5:%x", i);
		left += member(fd, IPV6_LEAVE_GROUP, g, 0) == 0;
	}
	t_out("joined %d, left %d", ok, left);
	close(fd);
}

/* One socket, groups of both families. */
static void both_families(void)
{
	int port, a = any_port(0, &port), s = six_socket(SOCK_DGRAM, -1);
	int four = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct ip_mreqn m = { .imr_ifindex = (int)wire() };
	inet_pton(AF_INET, "239.1.2.3", &to.sin_addr);
	m.imr_multiaddr = to.sin_addr;
	t_res("IPv4 group", setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	t_res("IPv6 group", member(a, IPV6_JOIN_GROUP, "ff15::3", wire()));
	setsockopt(four, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m));
	t_res("by IPv4", sendto(four, "four", 4, 0, (void *)&to, sizeof(to)));
	heard("a", a);
	t_res("by IPv6", send_to(s, "six", "ff15::3", port, wire()));
	heard("a", a);
	t_res("leave", setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)));
	send_to(s, "six", "ff15::3", port, wire());
	heard("a", a);
	close(a);
	close(s);
	close(four);
}

/* A membership is the socket's, whoever has it; it ends with the last process. */
static void processes(void)
{
	int port, a = any_port(0, &port), c, s = six_socket(SOCK_DGRAM, -1), to[2], from[2];
	char word;
	member(a, IPV6_JOIN_GROUP, "ff15::3", wire());
	if (pipe(to) < 0 || pipe(from) < 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		char buf[16];
		write(from[1], "r", 1);
		word = recv(a, buf, sizeof(buf), 0) == 5 ? 'y' : 'n';
		write(from[1], &word, 1);
		read(to[0], &word, 1);
		_exit(0);
	}
	close(a);
	read(from[0], &word, 1);
	send_to(s, "child", "ff15::3", port, wire());
	read(from[0], &word, 1);
	t_out("the child hears it: %c", word);
	c = any_port(port, NULL);
	send_to(s, "other", "ff15::3", port, wire());
	heard("a stranger, too", c);
	write(to[1], "e", 1);
	waitpid(pid, NULL, 0);
	close(any_port(port, NULL));
	send_to(s, "late", "ff15::3", port, wire());
	deaf("the child has gone", c);
	for (int i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
	close(c);
	close(s);
}

/* Longer than the interface's MTU: in fragments, or refused. */
static void sizes(void)
{
	static char out[4000], in[4000];
	static const size_t n[] = { 0, 1452, 1453, 4000 };
	int port, a = any_port(0, &port), s = six_socket(SOCK_DGRAM, -1);
	struct sockaddr_in6 to = six_of("ff15::3", port);
	to.sin6_scope_id = 0;
	use_interface(s);
	member(a, IPV6_JOIN_GROUP, "ff15::3", wire());
	for (int whole = 0; whole < 2; whole++) {
		set_int(s, IPV6_DONTFRAG, whole);
		for (size_t i = 0; i < T_COUNT(n); i++) {
			memset(out, (int)i + 1, sizeof(out));
			if (t_res("send", sendto(s, out, n[i], 0, (void *)&to, sizeof(to))) < 0)
				continue;
			t_until(a, POLLIN);
			t_res("got", recv(a, in, sizeof(in), MSG_DONTWAIT));
			t_out("same %d", memcmp(in, out, n[i]) == 0);
		}
	}
	close(a);
	close(s);
}

T_MAIN(T_CASE(join_and_leave), T_CASE(forms), T_CASE(two_members_and_a_stranger), T_CASE(all_nodes),
       T_CASE(bound_to_the_group), T_CASE(loop_off), T_CASE(hops_and_names), T_CASE(asked),
       T_CASE(connected_to_a_group), T_CASE(interfaces), T_CASE(many_groups), T_CASE(both_families),
       T_CASE(processes), T_CASE(sizes))
