/* mtcp_socket (002_d662378760e465f3.txt): what the page says, of socket() in POSIX. Each case paraphrases
 * its sentence. A pool of sockets per context has no counterpart here but the limits on descriptors; sockets
 * that are non-blocking by default are what that system's own interface gives. */
// SPDX-License-Identifier: MIT
#include <sys/resource.h>
#include "tests/shim/t.h"

/* "create a communication endpoint"; "behaves similar to a BSD socket"; "Returns a descriptor on success" */
static void makes_a_descriptor(void)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), low;
	struct stat st;

	t_out("two different ones %d", a >= 0 && b >= 0 && a != b);
	low = a;
	close(a);
	a = socket(AF_INET, SOCK_STREAM, 0);
	t_out("the lowest free number %d", a == low);
	t_out("a socket %d", fstat(a, &st) == 0 && S_ISSOCK(st.st_mode));
	t_out("open %x", (unsigned int)fcntl(a, F_GETFL));
	t_out("kept over exec %d", !(fcntl(a, F_GETFD) & FD_CLOEXEC));
	close(a);
	close(b);
}

/* "the only available protocol family is AF_INET, which represents IPv4" */
static void family_is_ipv4(void)
{
	struct sockaddr_in at = t_addr(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0), v = -1;
	socklen_t len = sizeof(v);

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &len);
	t_out("domain %d", v == AF_INET);
	t_res("bind", bind(fd, (struct sockaddr *)&at, sizeof(at)));
	len = sizeof(at);
	t_res("getsockname", getsockname(fd, (struct sockaddr *)&at, &len));
	t_out("%s length %u", t_addr_name(&at), len);
	close(fd);
}

/* "the only available type is SOCK_STREAM, which represents TCP's reliable, sequenced, full-duplex
 * communication"; "Sockets of type SOCK_STREAM are full-duplex bytestreams" */
static void type_is_a_full_duplex_stream(void)
{
	char x[8] = { 0 }, y[8] = { 0 };
	int a, b, v = -1;
	socklen_t len = sizeof(v);

	t_pair(&a, &b);
	getsockopt(a, SOL_SOCKET, SO_TYPE, &v, &len);
	t_out("type %d", v == SOCK_STREAM);
	getsockopt(a, SOL_SOCKET, SO_PROTOCOL, &v, &len);
	t_out("protocol %d", v == IPPROTO_TCP);
	t_res("there", write(a, "ab", 2));
	t_res("back", write(b, "12", 2));
	t_res("there", write(a, "cd", 2));
	t_res("back", write(b, "34", 2));
	t_res("no boundaries", t_read_all(b, x, 4));
	t_res("in order", t_read_all(a, y, 4));
	t_out("%s %s", x, y);
	close(a);
	close(b);
}

/* "this argument to be 0 (since it only supports single-protocol sockets)" */
static void protocols(void)
{
	static const int p[] = { 0, IPPROTO_TCP, IPPROTO_UDP, 255, 256, -1 };

	for (size_t i = 0; i < T_COUNT(p); i++) {
		char line[32];
		int fd = socket(AF_INET, SOCK_STREAM, p[i]);

		snprintf(line, sizeof(line), "protocol %d", p[i]);
		t_ok(line, fd);
		close(fd);
	}
}

/* "must be in ESTABLISHED state before data can be sent or received on it" */
static void not_before_it_is_connected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char c;

	t_res("send", send(fd, "x", 1, MSG_NOSIGNAL));
	t_res("recv", recv(fd, &c, 1, 0));
	t_res("recv DONTWAIT", recv(fd, &c, 1, MSG_DONTWAIT));
	t_res("read", read(fd, &c, 1));
	close(fd);
}

/* "A connection can be created with connect()"; "Once connected, data may be exchanged using read() and
 * write()"; "When a session needs to be terminated, close()" */
static void a_session(void)
{
	struct sockaddr_in at;
	int l = t_listen(1, &at), a = socket(AF_INET, SOCK_STREAM, 0), b;
	char buf[4] = { 0 };

	t_res("connect", connect(a, (struct sockaddr *)&at, sizeof(at)));
	t_ok("accept", b = accept(l, NULL, NULL));
	t_res("write", write(a, "hi", 2));
	t_res("read", t_read_all(b, buf, 2));
	t_res("close", close(a));
	t_res("end", read(b, buf, 1));
	t_res("close", close(b));
	t_res("close", close(l));
	t_res("twice", close(l));
}

/* "can be manipulated using socket level options via setsockopt() and getsockopt()" */
static void socket_level_options(void)
{
	static const struct {
		const char *name;
		int opt;
	} rows[] = { { "SO_REUSEADDR", SO_REUSEADDR }, { "SO_KEEPALIVE", SO_KEEPALIVE },
		     { "SO_ERROR", SO_ERROR },	       { "SO_TYPE", SO_TYPE },
		     { "SO_BROADCAST", SO_BROADCAST }, { "SO_ACCEPTCONN", SO_ACCEPTCONN } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	for (size_t i = 0; i < T_COUNT(rows); i++) {
		int v = -1, one = 1;
		socklen_t len = sizeof(v);

		t_res(rows[i].name, setsockopt(fd, SOL_SOCKET, rows[i].opt, &one, sizeof(one)));
		t_res(rows[i].name, getsockopt(fd, SOL_SOCKET, rows[i].opt, &v, &len));
		t_out("%s is %d", rows[i].name, v);
	}
	close(fd);
}

/* "sockets run in non-blocking mode by default": POSIX ones when SOCK_NONBLOCK asks for it */
static void non_blocking_when_asked(void)
{
	static const struct {
		const char *name;
		int type;
	} rows[] = { { "plain", SOCK_STREAM },
		     { "NONBLOCK", SOCK_STREAM | SOCK_NONBLOCK },
		     { "CLOEXEC", SOCK_STREAM | SOCK_CLOEXEC },
		     { "both", SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC } };
	struct sockaddr_in at;
	int l = t_listen(4, &at);

	for (size_t i = 0; i < T_COUNT(rows); i++) {
		int fd = socket(AF_INET, rows[i].type, 0), r;
		char c;

		t_out("%s: fl %x fd %x", rows[i].name, (unsigned int)fcntl(fd, F_GETFL),
		      (unsigned int)fcntl(fd, F_GETFD));
		r = connect(fd, (struct sockaddr *)&at, sizeof(at));
		t_out("connect %d", r == 0 || errno == EINPROGRESS);
		t_until(fd, POLLOUT);
		t_res("recv", recv(fd, &c, 1, rows[i].type & SOCK_NONBLOCK ? 0 : MSG_DONTWAIT));
		close(fd);
	}
	close(l);
}

/* "EAFNOSUPPORT: domain is not supported" */
static void eafnosupport(void)
{
	static const int d[] = { AF_UNSPEC, 46, 99, -1, 1 << 20 };

	for (size_t i = 0; i < T_COUNT(d); i++) {
		char line[32];

		snprintf(line, sizeof(line), "domain %d", d[i]);
		t_res(line, socket(d[i], SOCK_STREAM, 0));
	}
}

/* "EINVAL: The socket type is invalid" */
static void einval(void)
{
	static const int type[] = { 0, 7, 11, 15, 16, 0x100, -1, SOCK_STREAM | 0x40000000 };

	for (size_t i = 0; i < T_COUNT(type); i++) {
		char line[32];

		snprintf(line, sizeof(line), "type %d", type[i]);
		t_res(line, socket(AF_INET, type[i], 0));
	}
}

/* "ENFILE: No socket descriptor is available in the pool": a process that is at its limit gets EMFILE,
 * and a number given back can be had again */
static void none_left(void)
{
	struct rlimit was, few;
	int fd[64], n = 0, r;

	getrlimit(RLIMIT_NOFILE, &was);
	few = was;
	few.rlim_cur = 32;
	setrlimit(RLIMIT_NOFILE, &few);
	while (n < 64 && (fd[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
		n++;
	r = fd[n < 64 ? n : 63];
	t_res("one too many", r);
	t_out("some were had %d", n > 10 && n < 32);
	close(fd[0]);
	t_ok("one given back", fd[0] = socket(AF_INET, SOCK_STREAM, 0));
	t_res("again one too many", socket(AF_INET, SOCK_STREAM, 0));
	while (n > 0)
		close(fd[--n]);
	setrlimit(RLIMIT_NOFILE, &was);
	t_ok("all given back", r = socket(AF_INET, SOCK_STREAM, 0));
	close(r);
}

T_MAIN(T_CASE(makes_a_descriptor), T_CASE(family_is_ipv4), T_CASE(type_is_a_full_duplex_stream),
       T_CASE(protocols), T_CASE(not_before_it_is_connected), T_CASE(a_session),
       T_CASE(socket_level_options), T_CASE(non_blocking_when_asked), T_CASE(eafnosupport),
       T_CASE(einval), T_CASE(none_left))
