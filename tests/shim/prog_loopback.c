/* 127/8 where it is the stack's: any of its addresses is the host, whoever of several sockets at a port hears
 * whom, and which source address the other side sees. Bare it is the kernel's loopback. */
// SPDX-License-Identifier: MIT
#include "tests/shim/udp.h"

static struct sockaddr_in at(const char *ip, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static int bound(int type, const char *ip, int port)
{
	struct sockaddr_in a = at(ip, port);
	int fd = socket(AF_INET, type, 0);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		t_out("bind %s: %s", ip, t_errname(errno));
	return fd;
}

static void name(const char *what, int fd)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);
	t_res(what, getsockname(fd, (struct sockaddr *)&a, &len));
	t_out("  %s port %d", inet_ntoa(a.sin_addr), a.sin_port != 0);
}

/* The next datagram: its bytes, who sent it, and which address it was for. */
static void next(const char *what, int fd)
{
	char buf[64], control[64];
	struct sockaddr_in from = { 0 };
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov,
			    .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct in_pktinfo info = { 0 };
	ssize_t n = udp_wait(fd) ? recvmsg(fd, &m, 0) : -1;
	char to[32] = "-";
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == IP_PKTINFO) {
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		snprintf(to, sizeof(to), "%s", inet_ntoa(info.ipi_addr));
	}
	t_out("%s: %.*s from %s for %s", what, n < 0 ? 1 : (int)n, n < 0 ? "-" : buf,
	      inet_ntoa(from.sin_addr), to);
}

static void addresses(void)
{
	static const char *const ips[] = { "127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254",
					   "0.0.0.0" };
	int port, s = bound(SOCK_DGRAM, "0.0.0.0", 0), c;
	port = t_port(s);
	udp_int(s, IPPROTO_IP, IP_PKTINFO, 1);
	for (int i = 0; i < 5; i++) {
		struct sockaddr_in to = at(ips[i], port);
		c = udp();
		t_res(ips[i], udp_sendto(c, ips[i], strlen(ips[i]), &to));
		next("unbound", s);
		name("unbound", c);
		close(c);
		c = udp();
		t_res("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
		name("connected", c);
		t_res("send", send(c, "hello", 5, 0));
		next("connected", s);
		close(c);
	}
	close(s);
}

/* Sockets at one port of several addresses: the exact one hears it, the others do not. */
static void exact_before_any(void)
{
	int a = bound(SOCK_DGRAM, "127.0.0.1", 0), port = t_port(a), b = bound(SOCK_DGRAM, "127.0.0.2", port);
	int s = bound(SOCK_DGRAM, "127.0.0.5", 0);
	static const char *const ips[] = { "127.0.0.1", "127.0.0.2", "127.0.0.3" };
	char buf[8];
	for (int i = 0; i < 3; i++) {
		struct sockaddr_in to = at(ips[i], port);
		t_res(ips[i], udp_sendto(s, ips[i], 9, &to));
	}
	next("first", a);
	next("second", b);
	t_res("first has no more", recv(a, buf, sizeof(buf), MSG_DONTWAIT));
	t_res("second has no more", recv(b, buf, sizeof(buf), MSG_DONTWAIT));
	int taken = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in any = at("0.0.0.0", port), same = at("127.0.0.2", port);
	t_res("any as well", bind(taken, (struct sockaddr *)&any, sizeof(any)));
	t_res("the same", bind(taken, (struct sockaddr *)&same, sizeof(same)));
	close(taken);
	close(s);
	close(b);
	close(a);
}

static void refused(void)
{
	char buf[8];
	struct sockaddr_in to = at("127.0.0.7", 9);
	int c = udp();
	connect(c, (struct sockaddr *)&to, sizeof(to));
	t_res("send", send(c, "x", 1, 0));
	t_out("told: %d", udp_wait(c));
	t_res("recv", recv(c, buf, sizeof(buf), MSG_DONTWAIT));
	close(c);
	/* Whom a connected socket hears. */
	int s = bound(SOCK_DGRAM, "127.0.0.3", 0);
	to = at("127.0.0.3", t_port(s));
	c = bound(SOCK_DGRAM, "127.0.0.4", 0);
	connect(c, (struct sockaddr *)&to, sizeof(to));
	struct sockaddr_in back = at("127.0.0.4", t_port(c));
	int stranger = bound(SOCK_DGRAM, "127.0.0.6", 0);
	udp_sendto(stranger, "stranger", 8, &back);
	udp_sendto(s, "peer", 4, &back);
	next("connected", c);
	t_res("no more", recv(c, buf, sizeof(buf), MSG_DONTWAIT));
	close(stranger);
	close(c);
	close(s);
}

static void large(void)
{
	static char out[65507], in[65507];
	int s = bound(SOCK_DGRAM, "127.0.0.1", 0), c = udp();
	struct sockaddr_in to = at("127.0.0.1", t_port(s));
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 >> 3);
	for (int n = 65505; n < 65509; n++) {
		long r = udp_sendto(c, out, (size_t)n, &to);
		t_res("send", r);
		if (r < 0)
			continue;
		t_out("wait %d", udp_wait(s));
		t_res("recv", recv(s, in, sizeof(in), MSG_DONTWAIT));
		t_out("same %d", memcmp(in, out, (size_t)n) == 0);
	}
	close(c);
	close(s);
}

static void streams(void)
{
	static const char *const ips[] = { "127.0.0.1", "127.9.8.7" };
	for (int i = 0; i < 2; i++) {
		int l = bound(SOCK_STREAM, ips[i], 0), c = socket(AF_INET, SOCK_STREAM, 0);
		struct sockaddr_in to = at(ips[i], t_port(l));
		char buf[8];
		listen(l, 1);
		t_res("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
		name("client", c);
		int s = accept(l, NULL, NULL);
		name("server", s);
		t_res("send", send(c, "hello", 5, 0));
		t_res("recv", recv(s, buf, sizeof(buf), 0));
		close(s);
		close(c);
		close(l);
		c = socket(AF_INET, SOCK_STREAM, 0);
		t_res("nobody there", connect(c, (struct sockaddr *)&to, sizeof(to)));
		close(c);
	}
}

T_MAIN(T_CASE(addresses), T_CASE(exact_before_any), T_CASE(refused), T_CASE(large), T_CASE(streams))
