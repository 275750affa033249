/* TCP Fast Open: the options, MSG_FASTOPEN and TCP_FASTOPEN_CONNECT, with and without a cookie, and what the
 * server sees. The first connection of a run has no cookie for the address yet. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static int get(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, IPPROTO_TCP, name, &v, &len) < 0 ? -errno : v;
}

static void set(const char *what, int fd, int name, int v)
{
	char text[80];

	snprintf(text, sizeof(text), "%s %d", what, v);
	t_res(text, setsockopt(fd, IPPROTO_TCP, name, &v, sizeof(v)));
}

static int server(struct sockaddr_in *addr)
{
	int l = t_listen(8, addr), n = 16;

	setsockopt(l, IPPROTO_TCP, TCP_FASTOPEN, &n, sizeof(n));
	return l;
}

static int client(int flags) { return socket(AF_INET, SOCK_STREAM | flags, 0); }

static long fast(int fd, const void *p, size_t n, int flags, const struct sockaddr_in *to)
{
	return sendto(fd, p, n, MSG_FASTOPEN | MSG_NOSIGNAL | flags, (const struct sockaddr *)to,
		      sizeof(*to));
}

static bool syn_data(int fd)
{
	struct tcp_info ti;
	socklen_t len = sizeof(ti);

	memset(&ti, 0, sizeof(ti));
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len);
	return ti.tcpi_options & TCPI_OPT_SYN_DATA;
}

/* What accept() gives: how many bytes, and did they come with the SYN? */
static void served(int l, size_t want)
{
	char b[4096];
	int s = accept(l, NULL, NULL);

	t_out("server got %zd", t_read_all(s, b, want));
	t_out("server: SYN data %d", syn_data(s));
	t_res("answer", send(s, "answer", 6, 0));
	close(s);
}

static void answered(int c)
{
	char b[8] = "";

	t_until(c, POLLIN);
	t_out("client got %zd %.6s", t_read_all(c, b, 6), b);
	t_out("client: SYN data %d", syn_data(c));
	close(c);
}

static void options(void)
{
	static const int vals[] = { 0, 1, 7, 5000, -1, 2 };
	struct sockaddr_in addr;
	int c = client(0), l = t_listen(3, &addr), a, b;

	for (size_t i = 0; i < T_COUNT(vals); i++) {
		set("TCP_FASTOPEN", c, TCP_FASTOPEN, vals[i]);
		t_out("reads %d", get(c, TCP_FASTOPEN));
		set("TCP_FASTOPEN_CONNECT", c, TCP_FASTOPEN_CONNECT, vals[i]);
		t_out("reads %d", get(c, TCP_FASTOPEN_CONNECT));
		set("TCP_FASTOPEN_NO_COOKIE", c, TCP_FASTOPEN_NO_COOKIE, vals[i]);
		t_out("reads %d", get(c, TCP_FASTOPEN_NO_COOKIE));
	}
	set("listener TCP_FASTOPEN", l, TCP_FASTOPEN, 9);
	t_out("reads %d", get(l, TCP_FASTOPEN));
	set("listener TCP_FASTOPEN_CONNECT", l, TCP_FASTOPEN_CONNECT, 1);
	set("listener TCP_FASTOPEN_NO_COOKIE", l, TCP_FASTOPEN_NO_COOKIE, 1);
	t_pair(&a, &b);
	set("connected TCP_FASTOPEN", a, TCP_FASTOPEN, 9);
	set("connected TCP_FASTOPEN_CONNECT", a, TCP_FASTOPEN_CONNECT, 1);
	set("connected TCP_FASTOPEN_NO_COOKIE", a, TCP_FASTOPEN_NO_COOKIE, 1);
	t_out("accepted reads %d %d %d", get(b, TCP_FASTOPEN), get(b, TCP_FASTOPEN_CONNECT),
	      get(b, TCP_FASTOPEN_NO_COOKIE));
	close(a);
	close(b);
	close(c);
	close(l);
}

/* The address has no cookie: a handshake as ever. Non-blocking first, since it leaves the least behind. */
static void without_a_cookie(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr), c = client(SOCK_NONBLOCK); /* a server that gives none */

	t_res("MSG_FASTOPEN", fast(c, "hello", 5, 0, &addr));
	t_out("until OUT %s", t_mask((uint32_t)t_until(c, POLLOUT)));
	t_res("send", send(c, "hello", 5, 0));
	served(l, 5);
	answered(c);
	c = client(0);
	t_res("MSG_FASTOPEN, blocking", fast(c, "hello", 5, 0, &addr));
	served(l, 5);
	answered(c);
	close(l);
}

static void with_a_cookie(void)
{
	struct sockaddr_in addr;
	char big[3000] = "";
	int l = server(&addr);

	for (int i = 0; i < 2; i++) { /* the first fetches it */
		int c = client(0);

		t_res("MSG_FASTOPEN", fast(c, "hello", 5, 0, &addr));
		served(l, 5);
		answered(c);
	}
	int c = client(SOCK_NONBLOCK);
	t_res("MSG_FASTOPEN, O_NONBLOCK", fast(c, big, sizeof(big), 0, &addr));
	served(l, sizeof(big));
	answered(c);
	c = client(0);
	t_res("MSG_FASTOPEN, MSG_DONTWAIT", fast(c, "hello", 5, MSG_DONTWAIT, &addr));
	served(l, 5);
	answered(c);
	c = client(0);
	t_res("MSG_FASTOPEN of nothing", fast(c, "", 0, 0, &addr));
	t_res("send", send(c, "hello", 5, 0));
	served(l, 5);
	answered(c);
	close(l);
}

static void message(void)
{
	struct sockaddr_in addr;
	struct iovec iov[3] = { { "one ", 4 }, { "", 0 }, { "two", 3 } };
	struct msghdr m = { .msg_name = &addr, .msg_namelen = sizeof(addr), .msg_iov = iov,
			    .msg_iovlen = 3 };
	int l = server(&addr), c = client(0);

	fast(c, "x", 1, 0, &addr);
	close(accept(l, NULL, NULL));
	close(c);
	c = client(0);
	t_res("sendmsg", sendmsg(c, &m, MSG_FASTOPEN));
	served(l, 7);
	answered(c);
	close(l);
}

static void more_than_a_segment(void)
{
	static char big[300000], in[300000];
	struct sockaddr_in addr;
	int l = server(&addr), c = client(0);

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 256);
	fast(c, "x", 1, 0, &addr);
	close(accept(l, NULL, NULL));
	close(c);
	c = client(SOCK_NONBLOCK);
	long n = fast(c, big, sizeof(big), 0, &addr);
	t_out("some but not all %d", n > 0 && n < (long)sizeof(big));
	int s = accept(l, NULL, NULL);
	t_out("all of that %d", t_read_all(s, in, (size_t)n) == n && !memcmp(big, in, (size_t)n));
	close(s);
	close(c);
	pid_t pid = fork();
	if (pid == 0) {
		c = client(0);
		n = fast(c, big, sizeof(big), 0, &addr);
		close(c);
		_exit(n == (long)sizeof(big) ? 0 : 1);
	}
	s = accept(l, NULL, NULL);
	n = t_read_all(s, in, sizeof(in));
	t_out("server got %ld, the same %d", n, !memcmp(big, in, sizeof(in)));
	t_out("all sent in one call: %d", t_finish(pid));
	close(s);
	close(l);
}

static void wrong_ways(void)
{
	struct sockaddr_in addr, gone, un = { .sin_family = AF_UNSPEC }, odd = { .sin_family = 77 };
	int l = server(&addr), c = client(0), a, b;

	t_res("AF_UNSPEC", fast(c, "x", 1, 0, &un));
	t_res("another family", fast(c, "x", 1, 0, &odd));
	t_res("no address", sendto(c, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, NULL, 0));
	t_res("short address", sendto(c, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&addr, 7));
	t_res("then", fast(c, "x", 1, 0, &addr));
	t_res("again", fast(c, "y", 1, 0, &addr));
	t_res("and again", fast(c, "y", 1, 0, &addr));
	t_res("no address, connected", sendto(c, "z", 1, MSG_FASTOPEN | MSG_NOSIGNAL, NULL, 0));
	close(accept(l, NULL, NULL));
	close(c);
	t_pair(&a, &b);
	t_res("connected", fast(a, "x", 1, 0, &addr));
	t_res("accepted", fast(b, "x", 1, 0, &addr));
	t_res("listening", fast(l, "x", 1, 0, &addr));
	close(a);
	close(b);
	close(l);
	l = t_listen(1, &gone);
	close(l);
	c = client(0);
	t_res("nobody there", fast(c, "x", 1, 0, &gone));
	t_res("send", send(c, "x", 1, MSG_NOSIGNAL));
	close(c);
}

static void connect_option(void)
{
	struct sockaddr_in addr, peer;
	socklen_t len = sizeof(peer);
	char b[8];
	int l = server(&addr), c;

	for (int i = 0; i < 4; i++) { /* the first may have to fetch the cookie */
		c = client(i == 3 ? SOCK_NONBLOCK : 0);
		set("TCP_FASTOPEN_CONNECT", c, TCP_FASTOPEN_CONNECT, 1);
		t_res("connect", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
		if (i) {
			t_out("poll %s", t_mask((uint32_t)t_poll(c, POLLIN | POLLOUT)));
			if (i == 3) /* else it waits for the handshake, which waits for data */
				t_res("connect again", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
			t_res("getpeername", getpeername(c, (struct sockaddr *)&peer, &len));
			t_res("recv", recv(c, b, 1, MSG_DONTWAIT));
		}
		if (i == 2) {
			int ep = epoll_create1(0);
			struct epoll_event ev;

			t_epoll_add(ep, c, EPOLLOUT | EPOLLET);
			t_out("epoll %d", t_epoll_wait(ep, &ev, 1, 1000));
			close(ep);
		}
		t_res("send", i == 2 ? write(c, "hello", 5) : send(c, "hello", 5, MSG_NOSIGNAL));
		served(l, 5);
		answered(c);
	}
	c = client(0);
	set("TCP_FASTOPEN_CONNECT", c, TCP_FASTOPEN_CONNECT, 1);
	t_res("connect and close", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	close(c);
	t_out("nobody came: %s", t_mask((uint32_t)t_poll(l, POLLIN)));
	close(l);
}

T_MAIN(T_CASE(options), T_CASE(without_a_cookie), T_CASE(with_a_cookie), T_CASE(message),
       T_CASE(more_than_a_segment), T_CASE(wrong_ways), T_CASE(connect_option))
