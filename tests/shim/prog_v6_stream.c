/* Streams over IPv6: names, listeners of one family and of both, which binds exclude each other, and what
 * connect() makes of addresses. */
// SPDX-License-Identifier: MIT
#include "tests/shim/six.h"

static int listener(const struct sockaddr_in6 *at, int v6only, int *port)
{
	int l = six_socket(SOCK_STREAM, v6only), on = 1;
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(l, (const struct sockaddr *)at, sizeof(*at)) < 0 || listen(l, 8) < 0)
		t_out("listen: %s", t_errname(errno));
	*port = six_port(l);
	return l;
}

static int get_int(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);
	return getsockopt(fd, level, name, &v, &len) < 0 ? -errno : v;
}

/* A connection from c to what l accepts: names on both sides, bytes both ways. */
static void talk(int l, int c)
{
	struct sockaddr_in6 from = { 0 };
	socklen_t len = sizeof(from);
	char buf[8] = { 0 };
	int s = accept(l, (struct sockaddr *)&from, &len);
	t_ok("accept", s);
	t_out("from %s len %u", six_name(&from), len);
	six_names("client", c);
	six_names("server", s);
	t_out("domain %d v6only %d", get_int(s, SOL_SOCKET, SO_DOMAIN),
	      get_int(s, IPPROTO_IPV6, IPV6_V6ONLY));
	t_res("send", send(c, "ping", 4, 0));
	t_res("recv", t_read_all(s, buf, 4));
	t_res("send", send(s, "pong", 4, 0));
	t_res("recv", t_read_all(c, buf, 4));
	close(c);
	t_until(s, POLLRDHUP);
	t_res("end", recv(s, buf, sizeof(buf), 0));
	close(s);
}

static int connect6(const struct sockaddr_in6 *to)
{
	int c = six_socket(SOCK_STREAM, -1);
	t_res("connect", connect(c, (const struct sockaddr *)to, sizeof(*to)));
	return c;
}

static int connect4(int port)
{
	struct sockaddr_in to = t_addr(port);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	t_res("connect by IPv4", connect(c, (struct sockaddr *)&to, sizeof(to)));
	return c;
}

static void specific_address(void)
{
	struct sockaddr_in6 at = six_addr(0);
	int port, l = listener(&at, -1, &port);
	six_names("listener", l);
	at = six_addr(port);
	talk(l, connect6(&at));
	at.sin6_scope_id = 7; /* means nothing with such an address */
	at.sin6_flowinfo = htonl(0x12345);
	talk(l, connect6(&at));
	close(connect4(port));
	close(l);
	at = six_addr(port);
	close(connect6(&at));
}

static void both_families(void)
{
	struct sockaddr_in6 any = six_of(NULL, 0), at, mapped;
	int port, l = listener(&any, 0, &port);
	six_names("listener", l);
	at = six_addr(port);
	mapped = six_mapped(port);
	talk(l, connect6(&at));
	talk(l, connect4(port));
	talk(l, connect6(&mapped));
	close(l);
}

static void one_family(void)
{
	struct sockaddr_in6 any = six_of(NULL, 0), at;
	struct sockaddr_in any4 = { .sin_family = AF_INET };
	int port, l = listener(&any, 1, &port), on = 1;
	at = six_addr(port);
	talk(l, connect6(&at));
	close(connect4(port));
	/* Beside it the other family has the port to itself. */
	int l4 = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(l4, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	any4.sin_port = htons((uint16_t)port);
	t_res("bind 0.0.0.0", bind(l4, (struct sockaddr *)&any4, sizeof(any4)));
	t_res("listen", listen(l4, 1));
	int c = connect4(port), s = accept(l4, NULL, NULL);
	t_ok("accept", s);
	close(c);
	close(s);
	talk(l, connect6(&at));
	close(l4);
	close(l);
	/* IPv4 through an IPv6 socket, and nothing else. */
	struct sockaddr_in6 any_mapped = six_of("::ffff:0.0.0.0", 0), mapped;
	l = listener(&any_mapped, 0, &port);
	six_names("listener", l);
	at = six_addr(port);
	mapped = six_mapped(port);
	talk(l, connect6(&mapped));
	close(connect6(&at));
	close(l);
}

/* Everybody's port is the first one's. */
static void conflicts(void)
{
	struct { const char *name; int v6only; } who[] = {
		{ "::", 0 }, { "::", 1 }, { "::ffff:0.0.0.0", 0 }, { "server6", 0 }, { "server4", 0 },
		{ "0.0.0.0", -1 }, { "server", -1 },
	};
	for (size_t i = 0; i < T_COUNT(who); i++) {
		for (size_t k = 0; k < T_COUNT(who); k++) {
			int fd[2], port = 0, on = 0, r = 0;
			for (int n = 0; n < 2; n++) {
				size_t w = n ? k : i;
				struct sockaddr_in a4 = w == 6 ? t_addr(port) :
					(struct sockaddr_in){ AF_INET, htons((uint16_t)port), { 0 }, { 0 } };
				struct sockaddr_in6 a6 = w == 3 ? six_addr(port) : w == 4 ? six_mapped(port) :
					six_of(who[w].name, port);
				fd[n] = w < 5 ? six_socket(SOCK_STREAM, who[w].v6only) :
						socket(AF_INET, SOCK_STREAM, 0);
				setsockopt(fd[n], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
				r = w < 5 ? bind(fd[n], (void *)&a6, sizeof(a6)) :
					    bind(fd[n], (void *)&a4, sizeof(a4));
				if (!n)
					port = six_port(fd[0]); /* it is at the same place in both */
			}
			t_out("%s%s, then %s%s: %s", who[i].name, who[i].v6only > 0 ? " only" : "",
			      who[k].name, who[k].v6only > 0 ? " only" : "", r < 0 ? t_errname(errno) : "ok");
			close(fd[0]);
			close(fd[1]);
		}
	}
}

static void no_bind(void)
{
	int l = six_socket(SOCK_STREAM, -1);
	t_res("listen", listen(l, 1));
	six_names("listener", l);
	struct sockaddr_in6 at = six_addr(six_port(l));
	talk(l, connect6(&at));
	talk(l, connect4(six_port(l)));
	close(l);
}

static void bad_addresses(void)
{
	struct sockaddr_in6 at = six_addr(9), local = six_of("fe80::1", 9), mapped = six_mapped(9);
	static const socklen_t lens[] = { 2, 16, 23, 24, 27, 28, 29, 128, 129 };
	for (size_t i = 0; i < T_COUNT(lens); i++) {
		struct sockaddr_storage ss = { 0 };
		memcpy(&ss, &at, sizeof(at));
		((struct sockaddr_in6 *)&ss)->sin6_port = 0;
		int fd = six_socket(SOCK_STREAM, -1);
		t_out("length %u", lens[i]);
		t_res("bind", bind(fd, (struct sockaddr *)&ss, lens[i]));
		((struct sockaddr_in6 *)&ss)->sin6_port = htons(9);
		t_res("connect", connect(fd, (struct sockaddr *)&ss, lens[i]));
		close(fd);
	}
	int fd = six_socket(SOCK_STREAM, -1);
	t_res("bind to a link-local address without a link", bind(fd, (void *)&local, sizeof(local)));
	t_res("connect to one", connect(fd, (void *)&local, sizeof(local)));
	close(fd);
	struct sockaddr_in4 { struct sockaddr_in in; char more[12]; } four = { .in = t_addr(9) };
	fd = six_socket(SOCK_STREAM, -1);
	t_res("bind to an IPv4 address", bind(fd, (void *)&four, sizeof(four)));
	t_res("connect to one", connect(fd, (void *)&four, sizeof(four)));
	close(fd);
	fd = six_socket(SOCK_STREAM, 1);
	t_res("only IPv6: bind to IPv4", bind(fd, (void *)&mapped, sizeof(mapped)));
	t_res("only IPv6: connect to IPv4", connect(fd, (void *)&mapped, sizeof(mapped)));
	close(fd);
}

/* From one family to the other. */
static void mixed(void)
{
	struct sockaddr_in6 any = six_of(NULL, 0), from6 = six_addr(0), from4 = six_mapped(0), to;
	int port, l = listener(&any, 0, &port), c;
	c = six_socket(SOCK_STREAM, -1);
	t_res("bind to IPv4", bind(c, (void *)&from4, sizeof(from4)));
	to = six_addr(port);
	t_out("to IPv6: %d", connect(c, (void *)&to, sizeof(to)) < 0);
	close(c);
	c = six_socket(SOCK_STREAM, -1);
	t_res("bind to IPv4", bind(c, (void *)&from4, sizeof(from4)));
	to = six_mapped(port);
	t_res("to IPv4", connect(c, (void *)&to, sizeof(to)));
	talk(l, c);
	c = six_socket(SOCK_STREAM, -1);
	t_res("bind to IPv6", bind(c, (void *)&from6, sizeof(from6)));
	to = six_addr(port);
	t_res("to IPv6", connect(c, (void *)&to, sizeof(to)));
	talk(l, c);
	close(l);
}

static void this_host(void)
{
	struct sockaddr_in6 any = six_of(NULL, 0), to;
	if (!six_is_loopback()) /* elsewhere the kernel has the loopback addresses */
		return;
	int port, l = listener(&any, 0, &port);
	to = six_of(NULL, port);
	talk(l, connect6(&to));
	to = six_of("::ffff:0.0.0.0", port);
	talk(l, connect6(&to));
	to = six_of("::1", port);
	talk(l, connect6(&to));
	to = six_of("::ffff:127.0.0.9", port);
	talk(l, connect6(&to));
	close(l);
}

static void nonblocking(void)
{
	struct sockaddr_in6 any = six_of(NULL, 0), to;
	int port, l = listener(&any, 0, &port), ep = epoll_create1(0);
	int c = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	t_epoll_add(ep, l, EPOLLIN);
	to = six_addr(port);
	t_res("connect", connect(c, (void *)&to, sizeof(to)));
	t_out("listener %s", t_mask(t_epoll_until(ep, l, EPOLLIN)));
	t_out("client %s", t_mask((uint32_t)t_until(c, POLLOUT)));
	t_out("error %d", get_int(c, SOL_SOCKET, SO_ERROR));
	t_res("again", connect(c, (void *)&to, sizeof(to)));
	t_res("again", connect(c, (void *)&to, sizeof(to)));
	close(c);
	close(accept(l, NULL, NULL));
	close(l);
	c = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	t_res("nobody there", connect(c, (void *)&to, sizeof(to)));
	t_out("client %s", t_mask((uint32_t)t_until(c, POLLOUT)));
	t_out("error %d", get_int(c, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
	close(c);
	close(ep);
}

static void much(void)
{
	struct sockaddr_in6 any = six_of(NULL, 0), to;
	static char out[300000], in[300000];
	int port, l = listener(&any, 0, &port);
	to = six_addr(port);
	int c = connect6(&to), s = accept(l, NULL, NULL);
	size_t done = 0, got = 0;
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 13 >> 4);
	while (got < sizeof(in)) {
		ssize_t n = done < sizeof(out) ? send(c, out + done, sizeof(out) - done, MSG_DONTWAIT) : 0;
		done += n > 0 ? (size_t)n : 0;
		t_until(s, POLLIN);
		n = recv(s, in + got, sizeof(in) - got, 0);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	t_out("%zu bytes, same %d", got, memcmp(in, out, sizeof(in)) == 0);
	close(c);
	close(s);
	close(l);
}

T_MAIN(T_CASE(specific_address), T_CASE(both_families), T_CASE(one_family), T_CASE(conflicts),
       T_CASE(no_bind), T_CASE(bad_addresses), T_CASE(mixed), T_CASE(this_host), T_CASE(nonblocking),
       T_CASE(much))
