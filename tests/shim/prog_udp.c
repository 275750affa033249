/* Datagram sockets: names, bind, connect, dissolve, shutdown, sizes. */
// SPDX-License-Identifier: MIT
#include "tests/shim/udp.h"

static void show_name(const char *what, int fd)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);
	long r = getsockname(fd, (struct sockaddr *)&a, &len);
	t_out("%s: %ld %s len %u", what, r, t_addr_name(&a), len);
}

static void show_peer(const char *what, int fd)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);
	if (getpeername(fd, (struct sockaddr *)&a, &len) < 0)
		t_out("%s: %s", what, t_errname(errno));
	else
		t_out("%s: %s len %u", what, t_addr_name(&a), len);
}

static void made(void)
{
	static const struct {
		int domain, type, protocol;
	} rows[] = { { AF_INET, SOCK_DGRAM, 0 }, { AF_INET, SOCK_DGRAM, IPPROTO_UDP },
		     { AF_INET, SOCK_DGRAM, IPPROTO_TCP }, { AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0 },
		     { AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 17 }, { AF_INET6, SOCK_DGRAM, 0 },
		     { AF_INET, SOCK_DGRAM | 0x10000, 0 }, { AF_INET, SOCK_DGRAM, 99 } };
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		int fd = socket(rows[i].domain, rows[i].type, rows[i].protocol), v = -1;
		socklen_t len = sizeof(v);
		t_ok("socket", fd);
		if (fd < 0)
			continue;
		t_out("flags %#x fd flags %d", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len);
		t_out("type %d", v);
		getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &len);
		t_out("protocol %d", v);
		getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &len);
		t_out("domain %d", v);
		t_out("ready %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLRDHUP)));
		close(fd);
	}
}

static void names_before_and_after(void)
{
	struct sockaddr_in a, dead = udp_dead();
	int fd = udp(), peer = udp_at(0, &a);
	show_name("fresh", fd);
	show_peer("fresh peer", fd);
	t_res("connect", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	show_name("connected", fd);
	show_peer("connected peer", fd);
	t_res("connect elsewhere", connect(fd, (struct sockaddr *)&dead, sizeof(dead)));
	show_name("again", fd);
	show_peer("again peer", fd);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	t_res("dissolve", connect(fd, &none, sizeof(none)));
	show_name("dissolved", fd);
	show_peer("dissolved peer", fd);
	t_res("sendto", udp_sendto(fd, "x", 1, &a));
	show_name("after sendto", fd);
	udp_show("arrived", peer);
	close(fd);
	close(peer);
}

static void bind_any(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = udp();
	t_res("bind any 0", bind(fd, (struct sockaddr *)&any, sizeof(any)));
	show_name("name", fd);
	t_res("again", bind(fd, (struct sockaddr *)&any, sizeof(any)));
	struct sockaddr_in a = t_addr(t_port(fd));
	int other = udp();
	t_res("same port, this address", bind(other, (struct sockaddr *)&a, sizeof(a)));
	any.sin_port = a.sin_port;
	t_res("same port, any address", bind(other, (struct sockaddr *)&any, sizeof(any)));
	show_name("other is unbound", other);
	t_res("to it", udp_sendto(other, "hello", 5, &a));
	udp_show("arrived", fd);
	close(other);
	close(fd);
	fd = udp();
	t_res("port is free again", bind(fd, (struct sockaddr *)&any, sizeof(any)));
	close(fd);
}

static void bind_errors(void)
{
	struct sockaddr_in a = t_addr(0);
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	int fd = udp();
	t_res("short", bind(fd, (struct sockaddr *)&a, 8));
	t_res("null", bind(fd, NULL, sizeof(a)));
	t_res("null 0", bind(fd, NULL, 0));
	t_res("bad pointer", bind(fd, (struct sockaddr *)8, sizeof(a)));
	t_res("too long", bind(fd, (struct sockaddr *)&a, 200));
	t_res("IPv6", bind(fd, (struct sockaddr *)&six, sizeof(six)));
	a.sin_family = AF_UNIX;
	t_res("AF_UNIX", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a.sin_family = AF_UNSPEC;
	t_res("AF_UNSPEC with an address", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	inet_pton(AF_INET, "203.0.113.9", &a.sin_addr);
	a.sin_family = AF_INET;
	t_res("foreign", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	show_name("still unbound", fd);
	a = t_addr(0);
	t_res("good", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	show_name("bound", fd);
	t_res("twice", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a.sin_family = AF_UNSPEC;
	a.sin_addr.s_addr = 0;
	close(fd);
	fd = udp();
	t_res("AF_UNSPEC any", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
}

static void bind_shared(void)
{
	static const struct {
		const char *name;
		int first, second; /* bit 0: REUSEADDR, bit 1: REUSEPORT */
	} rows[] = { { "none none", 0, 0 },	 { "addr none", 1, 0 }, { "none addr", 0, 1 },
		     { "addr addr", 1, 1 },	 { "port none", 2, 0 }, { "none port", 0, 2 },
		     { "port port", 2, 2 },	 { "addr port", 1, 2 }, { "port addr", 2, 1 },
		     { "both addr", 3, 1 },	 { "both port", 3, 2 }, { "both both", 3, 3 } };
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		for (int any = 0; any < 2; any++) {
			struct sockaddr_in a = t_addr(0);
			socklen_t len = sizeof(a);
			int one = udp(), two = udp();
			if (any)
				a.sin_addr.s_addr = 0;
			for (int k = 0; k < 2; k++) {
				int how = k ? rows[i].second : rows[i].first;
				udp_int(k ? two : one, SOL_SOCKET, SO_REUSEADDR, how & 1);
				udp_int(k ? two : one, SOL_SOCKET, SO_REUSEPORT, how >> 1);
			}
			bind(one, (struct sockaddr *)&a, sizeof(a));
			getsockname(one, (struct sockaddr *)&a, &len);
			t_out("%s, %s: %s", any ? "any" : "address", rows[i].name,
			      bind(two, (struct sockaddr *)&a, sizeof(a)) < 0 ? t_errname(errno) :
										  "ok");
			close(one);
			close(two);
		}
	}
}

static void connect_errors(void)
{
	struct sockaddr_in a = udp_dead();
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	int fd = udp();
	t_res("short", connect(fd, (struct sockaddr *)&a, 8));
	t_res("one byte", connect(fd, (struct sockaddr *)&a, 1));
	t_res("null", connect(fd, NULL, sizeof(a)));
	t_res("bad pointer", connect(fd, (struct sockaddr *)8, sizeof(a)));
	t_res("IPv6", connect(fd, (struct sockaddr *)&six, sizeof(six)));
	a.sin_family = AF_UNIX;
	t_res("AF_UNIX", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	show_peer("no peer", fd);
	a.sin_family = AF_UNSPEC;
	t_res("dissolve nothing", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	a.sin_family = AF_INET;
	t_res("good", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	t_res("listen", listen(fd, 1));
	t_res("accept", accept(fd, NULL, NULL));
	t_res("short again", connect(fd, (struct sockaddr *)&a, 8));
	show_peer("still", fd);
	close(fd);
}

static void connected_hears_its_peer_only(void)
{
	struct sockaddr_in at, at_other;
	int server = udp_at(0, &at), peer = udp_at(0, NULL), other = udp_at(0, &at_other);
	struct sockaddr_in to_peer = t_addr(t_port(peer));
	udp_sendto(other, "early", 5, &at);
	t_out("early is there %d", udp_wait(server));
	t_res("connect", connect(server, (struct sockaddr *)&to_peer, sizeof(to_peer)));
	udp_sendto(other, "stranger", 8, &at);
	udp_sendto(peer, "friend", 6, &at);
	udp_show("first", server);
	udp_show("second", server);
	t_res("nothing more", recv(server, &at_other, 1, MSG_DONTWAIT));
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	t_res("dissolve", connect(server, &none, sizeof(none)));
	show_name("keeps its name", server);
	udp_sendto(other, "again", 5, &at);
	udp_show("heard", server);
	close(server);
	close(peer);
	close(other);
}

static void send_elsewhere_while_connected(void)
{
	struct sockaddr_in at_b, at_c;
	int a = udp(), b = udp_at(0, &at_b), c = udp_at(0, &at_c);
	connect(a, (struct sockaddr *)&at_b, sizeof(at_b));
	t_res("to the peer", send(a, "peer", 4, 0));
	t_res("to another", udp_sendto(a, "other", 5, &at_c));
	t_res("with its own name", udp_sendto(a, "named", 5, &at_b));
	udp_show("b", b);
	udp_show("b", b);
	udp_show("c", c);
	close(a);
	close(b);
	close(c);
}

static void to_port_zero_and_any(void)
{
	struct sockaddr_in a = t_addr(0), at;
	int fd = udp(), self = udp_at(0, &at);
	t_res("sendto port 0", udp_sendto(fd, "x", 1, &a));
	t_res("connect port 0", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	show_peer("peer", fd);
	at.sin_addr.s_addr = 0;
	t_res("any address is this host", udp_sendto(self, "me", 2, &at));
	udp_show("me", self);
	t_res("connect to any", connect(self, (struct sockaddr *)&at, sizeof(at)));
	show_peer("self", self);
	t_res("send", send(self, "me", 2, 0));
	udp_show("me again", self);
	close(fd);
	close(self);
}

static void shutdowns(void)
{
	static const int hows[] = { SHUT_RD, SHUT_WR, SHUT_RDWR, 3, -1 };
	for (size_t i = 0; i < T_COUNT(hows); i++) {
		int a, b;
		char buf[8];
		udp_pair(&a, &b);
		t_out("how %d", hows[i]);
		t_res("unconnected", shutdown(udp_at(0, NULL), hows[i]));
		send(b, "in", 2, 0);
		udp_wait(a);
		t_res("shutdown", shutdown(a, hows[i]));
		t_out("ready %s", t_mask((uint32_t)t_poll(a, POLLIN | POLLOUT | POLLRDHUP)));
		t_res("send", send(a, "out", 3, MSG_NOSIGNAL));
		t_res("send to", send(a, "", 0, MSG_NOSIGNAL));
		t_res("what was there", recv(a, buf, sizeof(buf), MSG_DONTWAIT));
		t_res("nothing", recv(a, buf, sizeof(buf), MSG_DONTWAIT));
		if (hows[i] == SHUT_RD || hows[i] == SHUT_RDWR)
			t_res("blocking", recv(a, buf, sizeof(buf), 0));
		send(b, "late", 4, 0);
		t_until(a, POLLIN);
		t_sleep_ms(20);
		t_res("late", recv(a, buf, sizeof(buf), MSG_DONTWAIT));
		t_res("again", shutdown(a, hows[i]));
		close(a);
		close(b);
	}
}

static void write_after_shutdown_raises_no_signal(void)
{
	int a, b;
	udp_pair(&a, &b);
	signal(SIGPIPE, SIG_DFL);
	shutdown(a, SHUT_WR);
	t_res("write", write(a, "x", 1));
	t_res("send", send(a, "x", 1, 0));
	signal(SIGPIPE, SIG_IGN);
	close(a);
	close(b);
}

static void sizes(void)
{
	static const size_t rows[] = { 0, 1, 8, 1471, 1472, 1473, 2944, 8972, 32768, 65506, 65507, 65508,
				       65535, 65536, 100000 };
	static char out[100000], in[70000];
	int a, b;
	udp_pair(&a, &b);
	udp_int(b, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + i / 251);
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		ssize_t n = send(a, out, rows[i], 0);
		if (n < 0) {
			t_out("%zu: %s", rows[i], t_errname(errno));
			continue;
		}
		udp_wait(b);
		ssize_t got = recv(b, in, sizeof(in), MSG_DONTWAIT);
		t_out("%zu: sent %zd, got %zd, %s", rows[i], n, got,
		      got >= 0 && !memcmp(in, out, (size_t)got) ? "same" : "different");
	}
	close(a);
	close(b);
}

static void order_is_kept(void)
{
	int a, b, bad = 0;
	udp_pair(&a, &b);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 50; i++)
			send(a, &i, sizeof(i), 0);
		for (int i = 0; i < 50; i++) {
			int got = -1;
			udp_wait(b);
			recv(b, &got, sizeof(got), MSG_DONTWAIT);
			bad += got != i;
		}
	}
	t_out("out of order %d", bad);
	close(a);
	close(b);
}

static void reuseport_spreads(void)
{
	enum { SOCKS = 4, SENDS = 200 };
	struct sockaddr_in at = t_addr(0);
	socklen_t len = sizeof(at);
	int fd[SOCKS], got = 0, used = 0;
	for (int i = 0; i < SOCKS; i++) {
		fd[i] = udp();
		udp_int(fd[i], SOL_SOCKET, SO_REUSEPORT, 1);
		if (bind(fd[i], (struct sockaddr *)&at, sizeof(at)) < 0)
			t_out("bind: %s", t_errname(errno));
		getsockname(fd[i], (struct sockaddr *)&at, &len);
	}
	for (int i = 0; i < SENDS; i++) {
		int c = udp();
		udp_sendto(c, "x", 1, &at);
		close(c);
	}
	t_sleep_ms(50);
	for (int i = 0; i < SOCKS; i++) {
		int n = 0;
		char b;
		while (recv(fd[i], &b, 1, MSG_DONTWAIT) == 1)
			n++;
		got += n;
		used += n > SENDS / SOCKS / 4;
		close(fd[i]);
	}
	t_out("arrived %d, on %d sockets", got, used);
}

/* One flow stays with one socket. */
static void reuseport_keeps_a_flow(void)
{
	struct sockaddr_in at = t_addr(0);
	socklen_t len = sizeof(at);
	int fd[4], c = udp(), used = 0, got = 0;
	for (int i = 0; i < 4; i++) {
		fd[i] = udp();
		udp_int(fd[i], SOL_SOCKET, SO_REUSEPORT, 1);
		bind(fd[i], (struct sockaddr *)&at, sizeof(at));
		getsockname(fd[i], (struct sockaddr *)&at, &len);
	}
	connect(c, (struct sockaddr *)&at, sizeof(at));
	for (int i = 0; i < 40; i++)
		send(c, "x", 1, 0);
	t_sleep_ms(30);
	for (int i = 0; i < 4; i++) {
		int n = 0;
		char b;
		while (recv(fd[i], &b, 1, MSG_DONTWAIT) == 1)
			n++;
		got += n;
		used += n > 0;
		close(fd[i]);
	}
	t_out("arrived %d, on %d sockets", got, used);
	close(c);
}

T_MAIN(T_CASE(made), T_CASE(names_before_and_after), T_CASE(bind_any), T_CASE(bind_errors),
       T_CASE(bind_shared), T_CASE(connect_errors), T_CASE(connected_hears_its_peer_only),
       T_CASE(send_elsewhere_while_connected), T_CASE(to_port_zero_and_any), T_CASE(shutdowns),
       T_CASE(write_after_shutdown_raises_no_signal), T_CASE(sizes), T_CASE(order_is_kept),
       T_CASE(reuseport_spreads), T_CASE(reuseport_keeps_a_flow))
