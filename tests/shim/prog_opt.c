/* getsockopt and setsockopt on fresh, listening, connected and accepted sockets: values, lengths
 * and errors. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

struct opt {
	const char *name;
	int level, opt;
};
#define O(level, opt) { #opt, level, opt }
static const struct opt ints[] = {
	O(SOL_SOCKET, SO_REUSEADDR),	O(SOL_SOCKET, SO_REUSEPORT),
	O(SOL_SOCKET, SO_KEEPALIVE),	O(SOL_SOCKET, SO_OOBINLINE),
	O(SOL_SOCKET, SO_BROADCAST),	O(SOL_SOCKET, SO_DONTROUTE),
	O(SOL_SOCKET, SO_PRIORITY),	O(SOL_SOCKET, SO_RCVLOWAT),
	O(SOL_SOCKET, SO_SNDLOWAT),	O(SOL_SOCKET, SO_TYPE),
	O(SOL_SOCKET, SO_PROTOCOL),	O(SOL_SOCKET, SO_DOMAIN),
	O(SOL_SOCKET, SO_ERROR),	O(SOL_SOCKET, SO_ACCEPTCONN),
	O(IPPROTO_TCP, TCP_NODELAY),	O(IPPROTO_TCP, TCP_CORK),
	O(IPPROTO_TCP, TCP_KEEPIDLE),	O(IPPROTO_TCP, TCP_KEEPINTVL),
	O(IPPROTO_TCP, TCP_KEEPCNT),	O(IPPROTO_TCP, TCP_SYNCNT),
	O(IPPROTO_TCP, TCP_LINGER2),	O(IPPROTO_TCP, TCP_DEFER_ACCEPT),
	O(IPPROTO_TCP, TCP_USER_TIMEOUT), O(IPPROTO_TCP, TCP_FASTOPEN_CONNECT),
	O(IPPROTO_TCP, TCP_NOTSENT_LOWAT), O(IPPROTO_IP, IP_TOS),
	O(IPPROTO_IP, IP_TTL),		O(IPPROTO_IP, IP_FREEBIND),
	O(IPPROTO_IP, IP_MTU_DISCOVER),	O(IPPROTO_IP, IP_RECVERR),
	O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
};

static void show(int fd, const struct opt *o)
{
	int v = -77;
	socklen_t len = sizeof(v);
	int r = getsockopt(fd, o->level, o->opt, &v, &len);

	if (r < 0)
		t_out("%s %s", o->name, t_errname(errno));
	else
		t_out("%s %d len %u", o->name, v, len);
}

static void show_all(int fd)
{
	for (size_t i = 0; i < T_COUNT(ints); i++)
		show(fd, &ints[i]);
}

static void defaults_fresh(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct opt buf = O(SOL_SOCKET, SO_RCVBUF), snd = O(SOL_SOCKET, SO_SNDBUF),
		   mss = O(IPPROTO_TCP, TCP_MAXSEG), q = O(IPPROTO_TCP, TCP_QUICKACK);

	show_all(fd);
	show(fd, &buf);
	show(fd, &snd);
	show(fd, &mss);
	show(fd, &q);
	close(fd);
}

static void set_then_get(void)
{
	static const int values[] = { -5, -1, 0, 1, 2, 5, 7, 63, 64, 100, 255, 256, 3000, 70000 };
	for (size_t i = 0; i < T_COUNT(ints); i++) {
		if (ints[i].opt == SO_ERROR && ints[i].level == SOL_SOCKET)
			continue;
		for (size_t k = 0; k < T_COUNT(values); k++) {
			int fd = socket(AF_INET, SOCK_STREAM, 0);
			int v = values[k], r = setsockopt(fd, ints[i].level, ints[i].opt, &v, sizeof(v));

			if (r < 0)
				t_out("set %s %d %s", ints[i].name, v, t_errname(errno));
			else
				show(fd, &ints[i]);
			close(fd);
		}
	}
}

static void buffers(void)
{
	static const int values[] = { -1, 0, 1, 1000, 2304, 4608, 10000, 65536, 212992, 500000, 10000000 };
	for (size_t k = 0; k < T_COUNT(values); k++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0), v = values[k];
		struct opt rcv = O(SOL_SOCKET, SO_RCVBUF), snd = O(SOL_SOCKET, SO_SNDBUF);

		t_res("rcv", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
		show(fd, &rcv);
		t_res("snd", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)));
		show(fd, &snd);
		close(fd);
	}
}

static void times_and_linger(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	static const struct timeval tv[] = { { 1, 500000 }, { 0, 0 }, { 0, 1000 }, { 0, 1000000 },
					     { 0, -1 },	    { -1, 0 }, { 5, 0 },   { 0, 250000 } };
	for (size_t i = 0; i < T_COUNT(tv); i++) {
		struct timeval got;
		socklen_t len = sizeof(got);

		t_res("set", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv[i], sizeof(tv[i])));
		getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len);
		if (tv[i].tv_sec >= 0)
			t_out("%ld %ld len %u", got.tv_sec, got.tv_usec, len);
	}
	t_res("short", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv[0], 8));
	struct linger l = { 1, 7 }, got;
	socklen_t len = sizeof(got);
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len);
	t_out("linger %d %d len %u", got.l_onoff, got.l_linger, len);
	t_res("linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len);
	t_out("linger %d %d len %u", got.l_onoff, got.l_linger, len);
	l.l_onoff = 0;
	l.l_linger = 9;
	t_res("linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len);
	t_out("linger %d %d len %u", got.l_onoff, got.l_linger, len);
	t_res("linger short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4));
	close(fd);
}

static void lengths_and_faults(void)
{
	int a, b, one = 1;
	char buf[64];
	socklen_t len;
	t_pair(&a, &b);
	static const socklen_t lens[] = { 0, 1, 2, 3, 4, 5, 64 };
	for (size_t i = 0; i < T_COUNT(lens); i++) {
		len = lens[i];
		t_res("get nodelay", getsockopt(a, IPPROTO_TCP, TCP_NODELAY, buf, &len));
		t_out("len %u", len);
		len = lens[i];
		t_res("get type", getsockopt(a, SOL_SOCKET, SO_TYPE, buf, &len));
		t_out("len %u", len);
		len = lens[i];
		t_res("get ttl", getsockopt(a, IPPROTO_IP, IP_TTL, buf, &len));
		t_out("len %u", len);
		memset(buf, 1, sizeof(buf));
		t_res("set nodelay", setsockopt(a, IPPROTO_TCP, TCP_NODELAY, buf, lens[i]));
		t_res("set keepalive", setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, buf, lens[i]));
		t_res("set tos", setsockopt(a, IPPROTO_IP, IP_TOS, buf, lens[i]));
	}
	len = (socklen_t)-1;
	t_res("get negative", getsockopt(a, SOL_SOCKET, SO_TYPE, buf, &len));
	t_res("set negative", setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, &one, (socklen_t)-1));
	t_res("get null len", getsockopt(a, SOL_SOCKET, SO_TYPE, buf, NULL));
	len = 4;
	t_res("get null", getsockopt(a, SOL_SOCKET, SO_TYPE, NULL, &len));
	t_res("set null", setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, NULL, 4));
	t_res("set null tcp", setsockopt(a, IPPROTO_TCP, TCP_NODELAY, NULL, 4));
	t_res("unknown level", setsockopt(a, 9999, 1, &one, 4));
	t_res("get unknown level", getsockopt(a, 9999, 1, buf, &len));
	t_res("ipv6 level", setsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &one, 4));
	t_res("set so_type", setsockopt(a, SOL_SOCKET, SO_TYPE, &one, 4));
	t_res("set so_error", setsockopt(a, SOL_SOCKET, SO_ERROR, &one, 4));
	t_res("set tcp_info", setsockopt(a, IPPROTO_TCP, TCP_INFO, &one, 4));
	close(a);
	close(b);
}

static void connected_and_accepted(void)
{
	int a, b;
	t_pair(&a, &b);
	show_all(a);
	show_all(b);
	close(a);
	close(b);
}

static void inherited_by_accept(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr), one = 1, idle = 33;
	struct linger lg = { 1, 3 };
	struct timeval tv = { 2, 0 }, got;
	socklen_t len = sizeof(got);
	setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &one, 4);
	setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &one, 4);
	setsockopt(l, IPPROTO_TCP, TCP_KEEPIDLE, &idle, 4);
	setsockopt(l, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	int c = socket(AF_INET, SOCK_STREAM, 0);
	connect(c, (struct sockaddr *)&addr, sizeof(addr));
	int s = accept4(l, NULL, NULL, SOCK_NONBLOCK);
	show(s, &(struct opt)O(IPPROTO_TCP, TCP_NODELAY));
	show(s, &(struct opt)O(SOL_SOCKET, SO_KEEPALIVE));
	show(s, &(struct opt)O(IPPROTO_TCP, TCP_KEEPIDLE));
	show(s, &(struct opt)O(SOL_SOCKET, SO_REUSEADDR));
	getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &got, &len);
	t_out("rcvtimeo %ld %ld", got.tv_sec, got.tv_usec);
	t_out("nonblock %d", !!(fcntl(s, F_GETFL) & O_NONBLOCK));
	close(s);
	close(c);
	close(l);
}

static void tcp_info_states(void)
{
	int a, b, fd = socket(AF_INET, SOCK_STREAM, 0);
	struct tcp_info ti;
	socklen_t len = sizeof(ti);
	t_res("info fresh", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len));
	t_out("state %d", ti.tcpi_state);
	close(fd);
	fd = t_listen(3, NULL);
	len = sizeof(ti);
	t_res("info listening", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len));
	t_out("state %d", ti.tcpi_state);
	close(fd);
	t_pair(&a, &b);
	len = sizeof(ti);
	t_res("info connected", getsockopt(a, IPPROTO_TCP, TCP_INFO, &ti, &len));
	t_out("state %d mss>0 %d", ti.tcpi_state, ti.tcpi_snd_mss > 0);
	shutdown(a, SHUT_WR);
	t_until(b, POLLRDHUP);
	len = sizeof(ti);
	t_res("info close-wait", getsockopt(b, IPPROTO_TCP, TCP_INFO, &ti, &len));
	t_out("state %d", ti.tcpi_state);
	len = 8;
	t_res("info short", getsockopt(b, IPPROTO_TCP, TCP_INFO, &ti, &len));
	t_out("len %u", len);
	close(a);
	close(b);
}

static void v6only(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1;
	struct opt o = O(IPPROTO_IPV6, IPV6_V6ONLY);
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
	show(fd, &o);
	t_res("set", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, 4));
	show(fd, &o);
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	t_res("bind any", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	t_res("set after bind", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, 4));
	t_res("listen", listen(fd, 2));
	socklen_t len = sizeof(a);
	getsockname(fd, (struct sockaddr *)&a, &len);
	t_out("family %d any %d port %d len %u", a.sin6_family == AF_INET6,
	      IN6_IS_ADDR_UNSPECIFIED(&a.sin6_addr), a.sin6_port != 0, len);
	struct sockaddr_in to = t_addr(ntohs(a.sin6_port));
	int c = socket(AF_INET, SOCK_STREAM, 0);
	t_res("connect v4", connect(c, (struct sockaddr *)&to, sizeof(to)));
	len = sizeof(a);
	int s = accept(fd, (struct sockaddr *)&a, &len);
	t_ok("accept", s);
	t_out("mapped %d len %u", IN6_IS_ADDR_V4MAPPED(&a.sin6_addr), len);
	len = sizeof(a);
	getsockname(s, (struct sockaddr *)&a, &len);
	t_out("local mapped %d len %u", IN6_IS_ADDR_V4MAPPED(&a.sin6_addr), len);
	close(s);
	close(c);
	close(fd);
	/* a v4-mapped destination */
	struct sockaddr_in addr;
	int l = t_listen(2, &addr);
	memset(&a, 0, sizeof(a));
	a.sin6_family = AF_INET6;
	a.sin6_port = addr.sin_port;
	a.sin6_addr.s6_addr[10] = a.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&a.sin6_addr.s6_addr[12], &addr.sin_addr, 4);
	c = socket(AF_INET6, SOCK_STREAM, 0);
	t_res("connect mapped", connect(c, (struct sockaddr *)&a, sizeof(a)));
	len = sizeof(a);
	t_res("getpeername", getpeername(c, (struct sockaddr *)&a, &len));
	t_out("mapped %d len %u", IN6_IS_ADDR_V4MAPPED(&a.sin6_addr), len);
	t_res("again", connect(c, (struct sockaddr *)&a, sizeof(a)));
	close(c);
	close(l);
}

T_MAIN(T_CASE(defaults_fresh), T_CASE(set_then_get), T_CASE(buffers), T_CASE(times_and_linger),
       T_CASE(lengths_and_faults), T_CASE(connected_and_accepted), T_CASE(inherited_by_accept),
       T_CASE(tcp_info_states), T_CASE(v6only))
