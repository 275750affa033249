/* socket, bind, listen, getsockname: arguments, errors and the answers of a fresh socket. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static void socket_arguments(void)
{
	static const struct {
		const char *name;
		int family, type, proto;
	} rows[] = {
		{ "tcp", AF_INET, SOCK_STREAM, 0 },
		{ "tcp by number", AF_INET, SOCK_STREAM, IPPROTO_TCP },
		{ "stream udp", AF_INET, SOCK_STREAM, IPPROTO_UDP },
		{ "dgram", AF_INET, SOCK_DGRAM, 0 },
		{ "dgram tcp", AF_INET, SOCK_DGRAM, IPPROTO_TCP },
		{ "bad family", 9999, SOCK_STREAM, 0 },
		{ "negative family", -1, SOCK_STREAM, 0 },
		{ "bad type", AF_INET, 77, 0 },
		{ "bad flags", AF_INET, SOCK_STREAM | 0x100000, 0 },
		{ "seqpacket", AF_INET, SOCK_SEQPACKET, 0 },
		{ "negative proto", AF_INET, SOCK_STREAM, -1 },
		{ "huge proto", AF_INET, SOCK_STREAM, 100000 },
		{ "unknown proto", AF_INET, SOCK_STREAM, 200 },
		{ "unix", AF_UNIX, SOCK_STREAM, 0 },
		{ "tcp6", AF_INET6, SOCK_STREAM, 0 },
	};
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		int fd = socket(rows[i].family, rows[i].type, rows[i].proto);
		t_ok(rows[i].name, fd);
		if (fd >= 0)
			close(fd);
	}
}

static void socket_flags(void)
{
	static const int flags[] = { 0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC };
	for (size_t i = 0; i < T_COUNT(flags); i++) {
		int fd = socket(AF_INET, SOCK_STREAM | flags[i], 0);
		int fl = fcntl(fd, F_GETFL);
		t_out("flags %x: nonblock %d cloexec %d accmode %d rest %x", (unsigned int)flags[i],
		      !!(fl & O_NONBLOCK), !!(fcntl(fd, F_GETFD) & FD_CLOEXEC), fl & O_ACCMODE,
		      (unsigned int)(fl & ~(O_NONBLOCK | O_ACCMODE)));
		close(fd);
	}
}

static void socket_lowest_number(void)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	t_out("in a row: %d %d", b - a, c - b);
	close(b);
	int d = socket(AF_INET, SOCK_STREAM, 0);
	t_out("fills the hole: %d", d == b);
	close(a);
	int e = open("/dev/null", O_RDONLY);
	t_out("a file takes a socket's number: %d", e == a);
	t_out("and is a file: %zd", read(e, &a, 1));
	close(e);
	close(c);
	close(d);
}

static void fresh_answers(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct stat st;
	t_res("fstat", fstat(fd, &st));
	t_out("is a socket: %d", S_ISSOCK(st.st_mode));
	static const struct {
		const char *name;
		int opt;
	} rows[] = { { "SO_TYPE", SO_TYPE },	     { "SO_DOMAIN", SO_DOMAIN },
		     { "SO_PROTOCOL", SO_PROTOCOL }, { "SO_ACCEPTCONN", SO_ACCEPTCONN },
		     { "SO_ERROR", SO_ERROR } };
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		int v = -1;
		socklen_t len = sizeof(v);
		int r = getsockopt(fd, SOL_SOCKET, rows[i].opt, &v, &len);
		t_out("%s: %d value %d len %u", rows[i].name, r, v, len);
	}
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);
	t_res("getsockname", getsockname(fd, (struct sockaddr *)&a, &len));
	t_out("name %s len %u", t_addr_name(&a), len);
	t_res("getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
	t_res("read", read(fd, &a, 1));
	t_res("send", send(fd, "x", 1, MSG_NOSIGNAL));
	t_res("recv", recv(fd, &a, 1, 0));
	t_res("shutdown", shutdown(fd, SHUT_RDWR));
	t_res("accept", accept(fd, NULL, NULL));
	t_out("poll %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT)));
	t_res("lseek", lseek(fd, 0, SEEK_SET));
	char b;
	t_res("pread", pread(fd, &b, 1, 0));
	t_res("pwrite", pwrite(fd, &b, 1, 0));
	t_res("ftruncate", ftruncate(fd, 0));
	t_res("isatty", isatty(fd));
	t_res("close", close(fd));
	t_res("close again", close(fd));
}

static void bind_errors(void)
{
	struct sockaddr_in a = t_addr(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	t_res("short", bind(fd, (struct sockaddr *)&a, 8));
	t_res("length 0", bind(fd, (struct sockaddr *)&a, 0));
	t_res("negative length", bind(fd, (struct sockaddr *)&a, (socklen_t)-1));
	t_res("huge length", bind(fd, (struct sockaddr *)&a, 4096));
	t_res("fault", bind(fd, (struct sockaddr *)8, sizeof(a)));
	a.sin_family = AF_INET6;
	t_res("family inet6 on inet", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a.sin_family = AF_UNIX;
	t_res("family unix", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a = t_addr(0);
	inet_pton(AF_INET, "203.0.113.77", &a.sin_addr);
	t_res("foreign address", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a = t_addr(0);
	t_res("good", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	t_res("twice", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	socklen_t len = sizeof(a);
	t_res("getsockname", getsockname(fd, (struct sockaddr *)&a, &len));
	t_out("name %s", t_addr_name(&a));
	int other = socket(AF_INET, SOCK_STREAM, 0);
	t_res("same port", bind(other, (struct sockaddr *)&a, sizeof(a)));
	close(other);
	other = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1;
	setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	t_res("same port, only one with REUSEADDR", bind(other, (struct sockaddr *)&a, sizeof(a)));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	t_res("same port, both REUSEADDR", bind(other, (struct sockaddr *)&a, sizeof(a)));
	t_res("listen 1", listen(fd, 1));
	t_res("listen 2", listen(other, 1));
	close(other);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	t_res("port free again", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
}

static void getsockname_lengths(void)
{
	struct sockaddr_in a;
	int fd = t_listen(1, &a);
	static const socklen_t lens[] = { 0, 2, 8, 16, 100 };
	for (size_t i = 0; i < T_COUNT(lens); i++) {
		char buf[128];
		memset(buf, 0x5a, sizeof(buf));
		socklen_t len = lens[i];
		int r = getsockname(fd, (struct sockaddr *)buf, &len);
		size_t room = lens[i] < 16 ? lens[i] : 16, end = room;
		while (end < sizeof(buf) && buf[end] == 0x5a)
			end++;
		t_out("len %u: %d, len now %u, of the name %zu bytes %d, nothing behind %d", lens[i], r, len,
		      room, memcmp(buf, &a, room) == 0, end == sizeof(buf));
	}
	socklen_t len = (socklen_t)-1;
	t_res("negative", getsockname(fd, (struct sockaddr *)&a, &len));
	t_res("null length", getsockname(fd, (struct sockaddr *)&a, NULL));
	len = sizeof(a);
	t_res("null address", getsockname(fd, NULL, &len));
	close(fd);
}

static void listen_states(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	int v = 0;
	socklen_t len = sizeof(v);
	getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &v, &len);
	t_out("acceptconn %d", v);
	t_res("listen again", listen(l, 8));
	t_res("listen backlog 0", listen(l, 0));
	t_res("listen backlog -1", listen(l, -1));
	t_res("connect on listener", connect(l, (struct sockaddr *)&addr, sizeof(addr)));
	t_res("bind on listener", bind(l, (struct sockaddr *)&addr, sizeof(addr)));
	char b;
	t_res("read on listener", read(l, &b, 1));
	t_res("send on listener", send(l, &b, 1, MSG_NOSIGNAL));
	struct sockaddr_in peer;
	len = sizeof(peer);
	t_res("getpeername on listener", getpeername(l, (struct sockaddr *)&peer, &len));
	t_out("poll %s", t_mask((uint32_t)t_poll(l, POLLIN | POLLOUT | POLLRDHUP)));
	t_res("shutdown WR", shutdown(l, SHUT_WR));
	t_out("poll %s", t_mask((uint32_t)t_poll(l, POLLIN | POLLOUT | POLLRDHUP)));
	close(l);
	int a, c;
	t_pair(&a, &c);
	t_res("listen on connected", listen(a, 1));
	t_res("bind on connected", bind(a, (struct sockaddr *)&addr, sizeof(addr)));
	t_res("connect on connected", connect(a, (struct sockaddr *)&addr, sizeof(addr)));
	t_res("accept on connected", accept(a, NULL, NULL));
	close(a);
	close(c);
}

T_MAIN(T_CASE(socket_arguments), T_CASE(socket_flags), T_CASE(socket_lowest_number),
       T_CASE(fresh_answers), T_CASE(bind_errors), T_CASE(getsockname_lengths),
       T_CASE(listen_states))
