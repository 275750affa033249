/* What the random tester (tests/shim/random) has found about datagram sockets: each case is a difference
 * that was there. */
// SPDX-License-Identifier: MIT
#include <sys/sendfile.h>
#include "tests/shim/udp.h"

static void show_state(const char *what, int fd)
{
	t_out("%s: %s", what, t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLRDHUP)));
}

/* A connected one with a refusal that nobody has asked for yet. */
static int refused_one(void)
{
	struct sockaddr_in dead = udp_dead();
	int fd = udp();
	connect(fd, (struct sockaddr *)&dead, sizeof(dead));
	send(fd, "x", 1, 0);
	t_until(fd, POLLERR);
	return fd;
}

static void unspec_with_port_0(void)
{
	struct sockaddr_in to = t_addr(0);
	struct iovec iov = { "ab", 2 };
	struct msghdr m = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &iov, .msg_iovlen = 1 };
	int bound = udp_at(0, NULL), fd = udp(), conn = refused_one();
	to.sin_family = AF_UNSPEC;
	t_res("sendto", sendto(fd, "ab", 2, 0, (struct sockaddr *)&to, sizeof(to)));
	t_res("sendmsg", sendmsg(fd, &m, 0));
	t_res("bound, sendto", sendto(bound, "ab", 2, 0, (struct sockaddr *)&to, sizeof(to)));
	t_res("connected, sendto", sendto(conn, "ab", 2, 0, (struct sockaddr *)&to, sizeof(to)));
	show_state("then", fd);
	close(fd);
	close(bound);
	close(conn);
}

static void peer_of_port_0(void)
{
	struct sockaddr_in to = t_addr(0), me, a;
	socklen_t len = sizeof(a);
	int fd = udp(), other = udp_at(0, NULL);
	t_res("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	t_res("getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
	len = sizeof(me);
	t_res("getsockname", getsockname(fd, (struct sockaddr *)&me, &len));
	t_out("is %s, port %s", t_addr_name(&(struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr = me.sin_addr }), me.sin_port ? "some" : "none");
	t_res("send", send(fd, "ab", 2, 0));
	t_until(fd, POLLERR);
	show_state("after send", fd);
	t_res("send again", send(fd, "ab", 2, 0));
	t_res("write", write(fd, "ab", 2));
	t_until(fd, POLLERR);
	show_state("after write", fd);
	t_res("recv", recv(fd, &a, sizeof(a), MSG_DONTWAIT));
	/* The port of the sender does not matter. */
	t_res("another sends", udp_sendto(other, "hello", 5, &me));
	udp_show("heard", fd);
	t_res("shutdown", shutdown(fd, SHUT_WR));
	t_res("send after it", send(fd, "ab", 2, MSG_NOSIGNAL));
	to.sin_family = AF_UNSPEC;
	t_res("disconnect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	t_res("send without a peer", send(fd, "ab", 2, MSG_NOSIGNAL));
	close(fd);
	close(other);
}

/* Whatever a send() says, the socket has a port afterwards, and hears there. */
static void failed_calls_bind(void)
{
	static const char *const names[] = {
		"no address", "too long", "MSG_OOB", "port 0", "family 99", "length 8", "length 1",
		"no route", "connect to family 99", "connect, length 8", "connect, length 1",
		"connect to AF_UNSPEC", "connect without a route", "MSG_MORE, no address",
		"length 200", "sendfile", "shut down", "recv" };
	static char big[70000];
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < T_COUNT(names); i++) {
		struct sockaddr_in a = t_addr(9), me = { 0 }, any = { .sin_family = AF_INET };
		struct sockaddr *sa = (struct sockaddr *)&a;
		struct iovec iov = { "ab", 2 };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_name = big, .msg_namelen = 200 };
		socklen_t len = sizeof(me);
		int fd = udp(), from = udp();
		long r;
		if (i == 3)
			a.sin_port = 0;
		if (i == 4 || i == 8)
			a.sin_family = 99;
		if (i == 11)
			a.sin_family = AF_UNSPEC;
		if (i == 7 || i == 12)
			inet_pton(AF_INET, "192.0.2.1", &a.sin_addr);
		if (i == 16)
			shutdown(fd, SHUT_WR);
		r = i == 0    ? send(fd, "ab", 2, 0)
		    : i == 1  ? sendto(fd, big, sizeof(big), 0, sa, sizeof(a))
		    : i == 2  ? sendto(fd, "ab", 2, MSG_OOB, sa, sizeof(a))
		    : i == 5  ? sendto(fd, "ab", 2, 0, sa, 8)
		    : i == 6  ? sendto(fd, "ab", 2, 0, sa, 1)
		    : i == 8  ? connect(fd, sa, sizeof(a))
		    : i == 9  ? connect(fd, sa, 8)
		    : i == 10 ? connect(fd, sa, 1)
		    : i == 11 || i == 12 ? connect(fd, sa, sizeof(a))
		    : i == 13 ? send(fd, "ab", 2, MSG_MORE)
		    : i == 14 ? sendmsg(fd, &m, 0)
		    : i == 15 ? sendfile(fd, file, NULL, 10)
		    : i == 17 ? recv(fd, big, 1, MSG_DONTWAIT)
			      : sendto(fd, "ab", 2, MSG_NOSIGNAL, sa, sizeof(a));
		t_res(names[i], r);
		getsockname(fd, (struct sockaddr *)&me, &len);
		t_out("then %s", me.sin_port ? "bound" : "not bound");
		if (me.sin_port) {
			a = t_addr(ntohs(me.sin_port));
			t_res("sent to it", udp_sendto(from, "xyz", 3, &a));
			udp_show("it hears", fd);
		}
		t_res("bind", bind(fd, (struct sockaddr *)&any, sizeof(any)));
		close(fd);
		close(from);
	}
	close(file);
}

/* What is not sent stays where it was. */
static void files_of_failed_sends(void)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), p[2], held = -1, fd, b;
	off_t at = 7;
	fd = refused_one();
	t_res("sendfile", sendfile(fd, file, NULL, 10));
	t_out("position %lld", (long long)lseek(file, 0, SEEK_CUR));
	t_res("then", sendfile(fd, file, NULL, 10));
	t_out("position %lld", (long long)lseek(file, 0, SEEK_CUR));
	t_until(fd, POLLERR);
	t_res("with an offset", sendfile(fd, file, &at, 10));
	t_out("offset %lld", (long long)at);
	t_res("pipe", pipe2(p, O_NONBLOCK));
	t_res("written", write(p[1], "abcdef", 6));
	close(fd);
	fd = refused_one();
	t_res("splice", splice(p[0], NULL, fd, NULL, 4, 0));
	t_res("held", (ioctl(p[0], FIONREAD, &held), held));
	shutdown(fd, SHUT_WR);
	signal(SIGPIPE, SIG_IGN);
	t_res("splice, shut down", splice(p[0], NULL, fd, NULL, 4, 0));
	t_res("held", (ioctl(p[0], FIONREAD, &held), held));
	t_res("sendfile, shut down", sendfile(fd, file, &at, 10));
	t_out("offset %lld", (long long)at);
	close(fd);
	fd = udp();
	t_res("splice, no peer", splice(p[0], NULL, fd, NULL, 4, 0));
	t_res("held", (ioctl(p[0], FIONREAD, &held), held));
	t_res("sendfile, no peer", sendfile(fd, file, &at, 10));
	t_out("offset %lld", (long long)at);
	close(fd);
	udp_pair(&fd, &b);
	t_res("splice", splice(p[0], NULL, fd, NULL, 4, 0));
	udp_show("arrived", b);
	t_res("held", (ioctl(p[0], FIONREAD, &held), held));
	fcntl(fd, F_SETFL, O_APPEND);
	t_res("splice, O_APPEND", splice(p[0], NULL, fd, NULL, 4, 0));
	t_res("sendfile, O_APPEND", sendfile(fd, file, &at, 10));
	t_res("held", (ioctl(p[0], FIONREAD, &held), held));
	close(file);
	close(p[0]);
	close(p[1]);
	close(fd);
	close(b);
}

/* The arguments of splice() are looked at before the socket. */
static void splice_arguments(void)
{
	int a, b, p[2];
	udp_pair(&a, &b);
	t_res("pipe", pipe2(p, O_NONBLOCK));
	t_res("nothing into an empty one", splice(p[0], NULL, a, NULL, 0, SPLICE_F_NONBLOCK));
	t_res("from an empty one", splice(p[0], NULL, a, NULL, 10, SPLICE_F_NONBLOCK));
	t_res("nothing from it", splice(a, NULL, p[1], NULL, 0, 0));
	fcntl(a, F_SETFL, O_NONBLOCK);
	t_res("from it", splice(a, NULL, p[1], NULL, 10, 0));
	t_res("nothing from it, not blocking", splice(a, NULL, p[1], NULL, 0, 0));
	t_res("wrong flags", splice(a, NULL, p[1], NULL, 10, 0x100));
	t_res("wrong end", splice(a, NULL, p[0], NULL, 10, 0));
	t_res("wrong end, other way", splice(p[1], NULL, a, NULL, 10, 0));
	t_res("nothing, wrong end", splice(a, NULL, p[0], NULL, 0, 0x100));
	t_res("a datagram", send(b, "abc", 3, 0));
	t_until(a, POLLIN);
	t_res("nothing from it", splice(a, NULL, p[1], NULL, 0, 0));
	t_res("wrong end", splice(a, NULL, p[0], NULL, 10, 0));
	t_res("from it", splice(a, NULL, p[1], NULL, 2, 0));
	t_res("more from it", splice(a, NULL, p[1], NULL, 2, 0));
	t_res("an empty datagram", send(b, "abc", 0, 0));
	t_until(a, POLLIN);
	t_res("from it", splice(a, NULL, p[1], NULL, 10, 0));
	t_res("more from it", splice(a, NULL, p[1], NULL, 10, 0));
	shutdown(a, SHUT_RD);
	t_res("shut down", splice(a, NULL, p[1], NULL, 10, 0));
	close(a);
	close(b);
	close(p[0]);
	close(p[1]);
}

/* The first piece of a datagram hears of an error, later ones do not. */
static void errors_of_pieces(void)
{
	struct sockaddr_in dead = udp_dead(), at;
	int fd = refused_one(), b = udp_at(0, &at);
	t_res("first piece", send(fd, "ab", 2, MSG_MORE));
	t_res("first piece again", send(fd, "cd", 2, MSG_MORE));
	shutdown(fd, SHUT_WR);
	t_res("last piece, shut down", send(fd, "ef", 2, MSG_NOSIGNAL));
	t_until(fd, POLLERR);
	show_state("then", fd);
	t_res("first piece", send(fd, "ab", 2, MSG_MORE | MSG_NOSIGNAL));
	t_res("empty first piece", send(fd, "ab", 0, MSG_MORE | MSG_NOSIGNAL));
	t_res("first piece", send(fd, "ab", 2, MSG_MORE | MSG_NOSIGNAL));
	close(fd);
	fd = udp();
	t_res("nobody, MSG_MORE", send(fd, "ab", 2, MSG_MORE));
	t_res("to somebody", udp_sendto(fd, "named", 5, &at));
	udp_show("arrived", b);
	t_res("bad length, MSG_MORE", sendto(fd, "ab", 2, MSG_MORE, (struct sockaddr *)&at, 8));
	t_res("to somebody", udp_sendto(fd, "named", 5, &at));
	udp_show("arrived", b);
	t_res("pending", sendto(fd, "ab", 2, MSG_MORE, (struct sockaddr *)&at, sizeof(at)));
	t_res("then nobody", send(fd, "cd", 2, 0));
	udp_show("arrived", b);
	for (socklen_t len = 0; len < 3; len++) {
		t_res("pending", sendto(fd, "ab", 2, MSG_MORE, (struct sockaddr *)&at, sizeof(at)));
		t_res("then no address", sendto(fd, "cd", 2, 0, (struct sockaddr *)&at, len));
		udp_show("arrived", b);
	}
	t_res("empty, pending", sendto(fd, "ab", 0, MSG_MORE, (struct sockaddr *)&at, sizeof(at)));
	t_res("then", sendto(fd, "cd", 2, 0, (struct sockaddr *)&dead, sizeof(dead)));
	udp_show("arrived", b);
	close(fd);
	close(b);
}

static void errors_of_no_messages(void)
{
	struct mmsghdr m = { 0 };
	struct timespec bad = { .tv_nsec = -1 };
	int fd = refused_one();
	t_res("bad time", recvmmsg(fd, &m, 0, 0, &bad));
	t_res("recvmmsg of none", recvmmsg(fd, &m, 0, 0, NULL));
	t_res("again", recvmmsg(fd, &m, 0, 0, NULL));
	close(fd);
	fd = refused_one();
	t_res("of the error queue", recvmmsg(fd, &m, 0, MSG_ERRQUEUE, NULL));
	t_res("sendmmsg of none", sendmmsg(fd, &m, 0, 0));
	t_res("recvmmsg", recvmmsg(fd, &m, 1, MSG_DONTWAIT, NULL));
	t_res("again", recvmmsg(fd, &m, 1, MSG_DONTWAIT, NULL));
	close(fd);
}

/* connect() turns what is pending to the new peer. */
static void connect_with_pieces(void)
{
	struct sockaddr_in at1, at2, none = { .sin_family = AF_UNSPEC };
	int one = udp_at(0, &at1), two = udp_at(0, &at2), fd = udp();
	t_res("to one", sendto(fd, "ab", 2, MSG_MORE, (struct sockaddr *)&at1, sizeof(at1)));
	t_res("connect to two", connect(fd, (struct sockaddr *)&at2, sizeof(at2)));
	t_res("the rest", send(fd, "cd", 2, 0));
	udp_show("two", two);
	t_res("one", recv(one, &at1, 1, MSG_DONTWAIT));
	t_res("to two", send(fd, "ab", 2, MSG_MORE));
	t_res("disconnect", connect(fd, (struct sockaddr *)&none, sizeof(none)));
	t_res("the rest", send(fd, "cd", 2, 0));
	udp_show("two", two);
	close(one);
	close(two);
	close(fd);
}

/* What has come in is still there when the peer is not. */
static void disconnect_keeps(void)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC }, me = { 0 }, any = { .sin_family = AF_INET };
	socklen_t len = sizeof(me);
	int a, b, err = refused_one();
	udp_pair(&a, &b);
	len = sizeof(me);
	getsockname(a, (struct sockaddr *)&me, &len);
	send(b, "one", 3, 0);
	send(b, "two", 3, 0);
	t_until(a, POLLIN);
	t_res("disconnect", connect(a, (struct sockaddr *)&none, sizeof(none)));
	show_state("then", a);
	t_res("sent to its old port", send(b, "three", 5, 0));
	t_until(b, POLLERR);
	show_state("the other", b);
	t_res("recv", recv(b, &any, 1, MSG_DONTWAIT));
	udp_show("first", a);
	t_res("bind again", bind(a, (struct sockaddr *)&any, sizeof(any)));
	udp_show("second", a);
	t_res("connect", connect(a, (struct sockaddr *)&me, sizeof(me)));
	t_res("disconnect", connect(a, (struct sockaddr *)&none, sizeof(none)));
	t_res("nothing", recv(a, &me, 1, MSG_DONTWAIT));
	len = sizeof(me);
	t_res("disconnect, with an error", connect(err, (struct sockaddr *)&none, sizeof(none)));
	getsockname(err, (struct sockaddr *)&me, &len);
	t_out("name %s", t_addr_name(&me));
	show_state("then", err);
	t_res("recv", recv(err, &me, 1, MSG_DONTWAIT));
	show_state("then", err);
	t_res("recv", recv(err, &me, 1, MSG_DONTWAIT));
	close(a);
	close(b);
	close(err);
}

/* With EPOLLET every datagram that has left is news about room to send. */
static void edges_of_sends(void)
{
	const uint32_t events[] = { EPOLLOUT | EPOLLET, EPOLLOUT | EPOLLET | EPOLLONESHOT, EPOLLIN | EPOLLET,
				    EPOLLWRNORM | EPOLLET, EPOLLOUT };
	const size_t sizes[] = { 1, 1400, 30000 };
	static char data[30000];
	struct epoll_event got[4];

	for (unsigned i = 0; i < T_COUNT(events); i++) {
		struct epoll_event ev = { .events = events[i] };
		int a, b, ep = epoll_create1(0), outer = epoll_create1(0);
		udp_pair(&a, &b);
		t_res("add", epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
		ev.events = EPOLLIN | EPOLLET;
		t_res("add the set", epoll_ctl(outer, EPOLL_CTL_ADD, ep, &ev));
		t_out("%x: at first %d, set %d", events[i], epoll_wait(ep, got, 4, 0),
		      epoll_wait(outer, got, 4, 0));
		for (unsigned n = 0; n < T_COUNT(sizes); n++) {
			t_res("send", send(a, data, sizes[n], 0));
			if (events[i] & EPOLLET)
				t_out("set %d", epoll_wait(outer, got, 4, 20));
			t_out("then %d", epoll_wait(ep, got, 4, 0));
			t_out("again %d", epoll_wait(ep, got, 4, 0));
		}
		close(outer);
		close(ep);
		close(a);
		close(b);
	}
}

T_MAIN(T_CASE(edges_of_sends), T_CASE(disconnect_keeps), T_CASE(unspec_with_port_0), T_CASE(peer_of_port_0),
       T_CASE(failed_calls_bind), T_CASE(files_of_failed_sends), T_CASE(splice_arguments),
       T_CASE(errors_of_pieces), T_CASE(errors_of_no_messages),
       T_CASE(connect_with_pieces))
