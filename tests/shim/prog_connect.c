/* connect and accept: blocking, non-blocking, refused, repeated, with bad arguments. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static int so_error(int fd)
{
	int v = -1;
	socklen_t len = sizeof(v);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len);
	return v;
}

static void connect_blocking(void)
{
	struct sockaddr_in addr, a;
	socklen_t len = sizeof(a);
	int l = t_listen(4, &addr);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	t_res("connect", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	t_res("again", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	t_res("getpeername", getpeername(c, (struct sockaddr *)&a, &len));
	t_out("peer %s same port %d", t_addr_name(&a), a.sin_port == addr.sin_port);
	len = sizeof(a);
	t_res("getsockname", getsockname(c, (struct sockaddr *)&a, &len));
	t_out("local %s", t_addr_name(&a));
	int port = a.sin_port;
	len = sizeof(a);
	int s = accept(l, (struct sockaddr *)&a, &len);
	t_ok("accept", s);
	t_out("accepted from %s same port %d len %u", t_addr_name(&a), a.sin_port == port, len);
	len = sizeof(a);
	getsockname(s, (struct sockaddr *)&a, &len);
	t_out("accepted local %s same port %d", t_addr_name(&a), a.sin_port == addr.sin_port);
	t_out("poll client %s", t_mask((uint32_t)t_poll(c, POLLIN | POLLOUT | POLLRDHUP)));
	t_out("poll server %s", t_mask((uint32_t)t_poll(s, POLLIN | POLLOUT | POLLRDHUP)));
	t_out("SO_ERROR %d", so_error(c));
	close(c);
	close(s);
	close(l);
}

static void connect_refused(void)
{
	struct sockaddr_in addr, a;
	socklen_t len = sizeof(a);
	int l = t_listen(1, &addr);
	close(l);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	t_res("connect", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	t_out("SO_ERROR %d", so_error(c));
	t_out("poll %s", t_mask((uint32_t)t_poll(c, POLLIN | POLLOUT | POLLRDHUP)));
	char b;
	t_res("read", read(c, &b, 1));
	t_res("send", send(c, &b, 1, MSG_NOSIGNAL));
	t_res("getpeername", getpeername(c, (struct sockaddr *)&a, &len));
	l = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1;
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	t_res("bind again", bind(l, (struct sockaddr *)&addr, sizeof(addr)));
	listen(l, 1);
	t_res("connect the same socket again", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	close(c);
	close(l);
}

static void connect_nonblocking(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	t_res("connect", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	t_out("until OUT %s", t_mask((uint32_t)t_until(c, POLLOUT)));
	t_out("SO_ERROR %d", so_error(c));
	t_res("connect after", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	t_res("and again", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	char b;
	t_res("recv", recv(c, &b, 1, 0));
	close(c);
	close(l);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	t_res("refused: connect", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	t_out("until ERR %s", t_mask((uint32_t)t_until(c, POLLERR)));
	t_out("SO_ERROR %d", so_error(c));
	t_out("SO_ERROR then %d", so_error(c));
	t_out("poll after %s", t_mask((uint32_t)t_poll(c, POLLIN | POLLOUT | POLLRDHUP)));
	t_res("read after", read(c, &b, 1));
	t_res("connect again", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	t_sleep_ms(10);
	t_res("read takes the error", read(c, &b, 1));
	t_res("read then", read(c, &b, 1));
	close(c);
}

static void connect_arguments(void)
{
	struct sockaddr_in addr = t_addr(0);
	int l = t_listen(4, &addr);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = addr;
	t_res("short", connect(c, (struct sockaddr *)&a, 8));
	t_res("one byte", connect(c, (struct sockaddr *)&a, 1));
	t_res("negative", connect(c, (struct sockaddr *)&a, (socklen_t)-1));
	t_res("fault", connect(c, (struct sockaddr *)8, sizeof(a)));
	a.sin_family = AF_INET6;
	t_res("family inet6", connect(c, (struct sockaddr *)&a, sizeof(a)));
	a.sin_family = AF_UNIX;
	t_res("family unix", connect(c, (struct sockaddr *)&a, sizeof(a)));
	a.sin_family = AF_UNSPEC;
	t_res("unspec on fresh", connect(c, (struct sockaddr *)&a, sizeof(a)));
	t_res("good", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	int s = accept(l, NULL, NULL);
	t_res("unspec on connected", connect(c, (struct sockaddr *)&a, sizeof(a)));
	socklen_t len = sizeof(a);
	t_res("getpeername", getpeername(c, (struct sockaddr *)&a, &len));
	t_out("server sees %s", t_mask((uint32_t)t_until(s, POLLIN)));
	close(c);
	close(s);
	close(l);
}

static void accept_arguments(void)
{
	struct sockaddr_in addr, a;
	socklen_t len = sizeof(a);
	int l = t_listen(16, &addr);
	fcntl(l, F_SETFL, O_NONBLOCK);
	t_res("empty", accept(l, NULL, NULL));
	t_res("empty with address", accept(l, (struct sockaddr *)&a, &len));
	t_res("bad flags", accept4(l, NULL, NULL, 1));
	int c[8];
	for (int i = 0; i < 8; i++) {
		c[i] = socket(AF_INET, SOCK_STREAM, 0);
		connect(c[i], (struct sockaddr *)&addr, sizeof(addr));
	}
	t_until(l, POLLIN);
	static const int flags[] = { 0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC };
	for (int i = 0; i < 4; i++) {
		t_until(l, POLLIN);
		int s = accept4(l, NULL, NULL, flags[i]);
		t_out("flags %d: nonblock %d cloexec %d", i, !!(fcntl(s, F_GETFL) & O_NONBLOCK),
		      !!(fcntl(s, F_GETFD) & FD_CLOEXEC));
		close(s);
	}
	t_until(l, POLLIN);
	len = 4;
	int s = accept(l, (struct sockaddr *)&a, &len);
	t_out("short length: %s len %u", s < 0 ? t_errname(errno) : "ok", len);
	close(s);
	t_until(l, POLLIN);
	len = (socklen_t)-1;
	s = accept(l, (struct sockaddr *)&a, &len);
	t_out("negative length: %s", s < 0 ? t_errname(errno) : "ok");
	if (s >= 0)
		close(s);
	t_until(l, POLLIN);
	s = accept(l, (struct sockaddr *)&a, NULL);
	t_out("null length: %s", s < 0 ? t_errname(errno) : "ok");
	if (s >= 0)
		close(s);
	for (int i = 0; i < 8; i++)
		close(c[i]);
	close(l);
}

static void accept_after_peer_left(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	connect(c, (struct sockaddr *)&addr, sizeof(addr));
	send(c, "bye", 3, 0);
	close(c);
	int s = accept(l, NULL, NULL);
	t_ok("accept", s);
	char b[8];
	t_res("read", t_read_all(s, b, 3));
	t_res("read", read(s, b, 3));
	close(s);
	c = socket(AF_INET, SOCK_STREAM, 0);
	connect(c, (struct sockaddr *)&addr, sizeof(addr));
	t_until(l, POLLIN);
	t_reset(c);
	t_sleep_ms(20);
	s = accept(l, NULL, NULL);
	t_ok("accept a reset one", s);
	t_out("poll %s", t_mask((uint32_t)t_until(s, POLLHUP)));
	t_res("read", read(s, b, 3));
	t_res("read", read(s, b, 3));
	close(s);
	close(l);
}

static void close_listener_with_queue(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	connect(c, (struct sockaddr *)&addr, sizeof(addr));
	t_until(l, POLLIN);
	close(l);
	t_out("client %s", t_mask((uint32_t)t_until(c, POLLHUP)));
	char b;
	t_res("read", read(c, &b, 1));
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	t_res("connect to closed", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	close(c);
}

static void client_binds_first(void)
{
	struct sockaddr_in addr, a = t_addr(0);
	int l = t_listen(4, &addr);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	t_res("bind", bind(c, (struct sockaddr *)&a, sizeof(a)));
	int port = t_port(c);
	t_out("port %s", port > 0 ? "chosen" : "none");
	t_res("connect", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	t_out("port kept %d", t_port(c) == port);
	socklen_t len = sizeof(a);
	int s = accept(l, (struct sockaddr *)&a, &len);
	t_out("server sees it %d", ntohs(a.sin_port) == port);
	close(c);
	close(s);
	c = socket(AF_INET, SOCK_STREAM, 0);
	a = t_addr(0);
	a.sin_addr.s_addr = INADDR_ANY;
	t_res("bind any", bind(c, (struct sockaddr *)&a, sizeof(a)));
	len = sizeof(a);
	getsockname(c, (struct sockaddr *)&a, &len);
	t_out("name %s", t_addr_name(&a));
	port = t_port(c);
	t_res("connect", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	len = sizeof(a);
	getsockname(c, (struct sockaddr *)&a, &len);
	t_out("name %s same port %d", t_addr_name(&a), t_port(c) == port);
	close(c);
	close(l);
}

T_MAIN(T_CASE(connect_blocking), T_CASE(connect_refused), T_CASE(connect_nonblocking),
       T_CASE(connect_arguments), T_CASE(accept_arguments), T_CASE(accept_after_peer_left),
       T_CASE(close_listener_with_queue), T_CASE(client_binds_first))
