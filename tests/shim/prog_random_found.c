/* What the random tester (tests/shim/random) has found: each case is a difference that was there. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <linux/sockios.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>

static void state_of(const char *who, int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	t_out("%s: state %d, %s", who, info.tcpi_state,
	      t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLRDHUP)));
}

/* Address errors come after the socket's own state, but those of the system call itself before. */
static void connect_with_bad_addresses(void)
{
	struct sockaddr_in to;
	int a, b, fresh = socket(AF_INET, SOCK_STREAM, 0), l = t_listen(4, &to);
	static const socklen_t lens[] = { 0, 1, 2, 15, 16, 129, (socklen_t)-1 };
	t_pair(&a, &b);
	for (size_t i = 0; i < T_COUNT(lens); i++) {
		t_out("length %d", (int)lens[i]);
		t_res("of a connected one", connect(a, (struct sockaddr *)&to, lens[i]));
		t_res("of an accepted one", connect(b, (struct sockaddr *)&to, lens[i]));
		t_res("of a listener", connect(l, (struct sockaddr *)&to, lens[i]));
		if (lens[i] != 16)
			t_res("of a fresh one", connect(fresh, (struct sockaddr *)&to, lens[i]));
	}
	to.sin_family = 99;
	t_res("family 99 of a connected one", connect(a, (struct sockaddr *)&to, sizeof(to)));
	t_res("family 99 of a listener", connect(l, (struct sockaddr *)&to, sizeof(to)));
	t_res("family 99 of a fresh one", connect(fresh, (struct sockaddr *)&to, sizeof(to)));
	t_res("null", connect(a, NULL, sizeof(to)));
	close(a);
	close(b);
	close(l);
	close(fresh);
}

/* Linux's SS_DISCONNECTING: a failed attempt that was shut down before its outcome was asked for. */
static void connect_after_failure_and_shutdown(void)
{
	struct sockaddr_in to = t_addr(9), none = { .sin_family = AF_UNSPEC };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	t_res("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	t_until(fd, POLLHUP);
	t_res("shutdown", shutdown(fd, SHUT_WR));
	t_res("connect again", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	t_res("and again", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	t_res("disconnect", connect(fd, (struct sockaddr *)&none, sizeof(none)));
	t_res("then", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	close(fd);
}

static void connect_after_reset(void)
{
	struct sockaddr_in to = t_addr(9);
	int a, b, one = 1;
	t_pair(&a, &b);
	setsockopt(b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	t_reset(a);
	t_until(b, POLLHUP);
	t_res("accepted one", connect(b, (struct sockaddr *)&to, sizeof(to)));
	state_of("accepted one", b);
	close(b);
	t_pair(&a, &b);
	t_reset(b);
	t_until(a, POLLHUP);
	t_res("connected one", connect(a, (struct sockaddr *)&to, sizeof(to)));
	close(a);
}

static void bind_twice_to_nobodys_address(void)
{
	struct sockaddr_in no = { .sin_family = AF_INET }, yes;
	int l = t_listen(4, &yes), fd = socket(AF_INET, SOCK_STREAM, 0);
	inet_pton(AF_INET, "10.99.9.9", &no.sin_addr);
	t_res("of a fresh one", bind(fd, (struct sockaddr *)&no, sizeof(no)));
	t_res("of a listener", bind(l, (struct sockaddr *)&no, sizeof(no)));
	t_res("of a listener, a good one", bind(l, (struct sockaddr *)&yes, sizeof(yes)));
	close(fd);
	close(l);
}

/* Text for a socket that has shut down both ways, but is open, resets the connection. */
static void data_after_shutdown_of_both(void)
{
	static const struct {
		const char *name;
		int first, second;
	} rows[] = { { "both at once", SHUT_RDWR, -1 },
		     { "writing, then reading", SHUT_WR, SHUT_RD },
		     { "reading, then writing", SHUT_RD, SHUT_WR },
		     { "only reading", SHUT_RD, -1 } };
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		int a, b, err = -1;
		socklen_t len = sizeof(err);
		t_pair(&a, &b);
		t_out("%s", rows[i].name);
		shutdown(b, rows[i].first);
		if (rows[i].second >= 0)
			shutdown(b, rows[i].second);
		t_until(a, rows[i].first == SHUT_RD && rows[i].second < 0 ? POLLOUT : POLLRDHUP);
		t_res("send", send(a, "x", 1, MSG_NOSIGNAL));
		if (rows[i].first != SHUT_RD || rows[i].second >= 0)
			t_until(a, POLLHUP);
		else
			t_sleep_ms(10);
		state_of("sender", a);
		state_of("receiver", b);
		getsockopt(b, SOL_SOCKET, SO_ERROR, &err, &len);
		t_out("receiver's error: %s", t_errname(err));
		getsockopt(a, SOL_SOCKET, SO_ERROR, &err, &len);
		t_out("sender's error: %s", t_errname(err));
		close(a);
		close(b);
	}
}

static void counts_of_a_listener_shut_down(void)
{
	int l = t_listen(4, NULL), n = -1;
	t_res("FIONREAD", ioctl(l, FIONREAD, &n));
	t_res("shutdown", shutdown(l, SHUT_RDWR));
	t_res("FIONREAD", ioctl(l, FIONREAD, &n));
	t_out("gives %d", n);
	t_res("SIOCOUTQ", ioctl(l, SIOCOUTQ, &n)); /* the kernel gives a number without meaning */
	t_res("shutdown again", shutdown(l, SHUT_WR));
	state_of("then", l);
	t_res("shutdown again", shutdown(l, SHUT_RDWR));
	state_of("then", l);
	close(l);
}

static void tell_error(const char *who, int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	t_out("%s's error: %s", who, t_errname(err));
}

/* connect(AF_UNSPEC) of a live connection leaves ECONNRESET behind, and the options as they were. */
static void disconnect_leaves_an_error(void)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC }, to;
	struct linger lg = { .l_onoff = 1, .l_linger = 7 };
	int l = t_listen(4, &to), a = socket(AF_INET, SOCK_STREAM, 0), b, one = 1;
	socklen_t len = sizeof(lg);
	setsockopt(a, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	connect(a, (struct sockaddr *)&to, sizeof(to));
	b = accept(l, NULL, NULL);
	t_res("disconnect", connect(a, (struct sockaddr *)&none, sizeof(none)));
	state_of("it", a);
	tell_error("its", a);
	state_of("it", a);
	t_until(b, POLLHUP);
	tell_error("its peer", b);
	memset(&lg, 0, sizeof(lg));
	getsockopt(a, SOL_SOCKET, SO_LINGER, &lg, &len);
	t_out("linger %d %d", lg.l_onoff, lg.l_linger);
	close(b);
	connect(a, (struct sockaddr *)&to, sizeof(to));
	b = accept(l, NULL, NULL);
	t_res("disconnect", connect(a, (struct sockaddr *)&none, sizeof(none)));
	t_res("connect anew", connect(a, (struct sockaddr *)&to, sizeof(to)));
	tell_error("its", a);
	close(b);
	close(a);
	close(l);
	a = socket(AF_INET, SOCK_STREAM, 0);
	t_res("disconnect a fresh one", connect(a, (struct sockaddr *)&none, sizeof(none)));
	tell_error("its", a);
	close(a);
}

static void name_after_a_failed_attempt(void)
{
	struct sockaddr_in to = t_addr(9), me = { 0 };
	socklen_t len = sizeof(me);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	getsockname(fd, (struct sockaddr *)&me, &len);
	t_out("before: %s", t_addr_name(&me));
	t_res("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	getsockname(fd, (struct sockaddr *)&me, &len);
	t_out("after: %s", t_addr_name(&me));
	close(fd);
}

static void shutdown_before_bind(void)
{
	struct sockaddr_in at = t_addr(0), to = t_addr(9);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	t_res("shutdown", shutdown(fd, SHUT_RD));
	state_of("then", fd);
	t_res("bind", bind(fd, (struct sockaddr *)&at, sizeof(at)));
	state_of("then", fd);
	t_res("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	state_of("then", fd);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	t_res("listen", listen(fd, 4));
	t_res("shutdown", shutdown(fd, SHUT_RDWR));
	t_res("again", shutdown(fd, SHUT_RDWR));
	t_res("bind", bind(fd, (struct sockaddr *)&at, sizeof(at)));
	state_of("then", fd);
	close(fd);
}

static void on_alarm(int sig)
{
}

/* recv() of nothing waits, but whatever ends the wait, the answer is 0. */
static void recv_of_nothing(void)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct timeval t = { .tv_usec = 10000 };
	struct itimerval it = { .it_value = { 0, 20000 } };
	struct msghdr m = { 0 };
	char c;
	int a, b;
	t_pair(&a, &b);
	t_res("non-blocking", recv(a, &c, 0, MSG_DONTWAIT));
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	t_res("ended by a signal", recv(a, &c, 0, 0));
	setitimer(ITIMER_REAL, &it, NULL);
	t_res("recvmsg ended by a signal", recvmsg(a, &m, 0));
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	t_res("ended by a timeout", recv(a, &c, 0, 0));
	t_res("one byte", recv(a, &c, 1, 0));
	t = (struct timeval){ .tv_sec = -1 };
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	t_res("with a timeout that has passed", recv(a, &c, 0, 0));
	close(a);
	close(b);
}

static void recv_after_early_shutdown(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), l = t_listen(4, NULL);
	char c;
	t_res("fresh", recv(fd, &c, 1, 0));
	t_res("fresh, out of band", recv(fd, &c, 1, MSG_OOB));
	t_res("listener, out of band", recv(l, &c, 1, MSG_OOB));
	shutdown(fd, SHUT_RD);
	t_res("shut down", recv(fd, &c, 1, 0));
	t_res("shut down, read", read(fd, &c, 1));
	shutdown(l, SHUT_RDWR);
	t_res("listener shut down", recv(l, &c, 1, 0));
	shutdown(l, SHUT_RDWR);
	t_res("listener shut down twice", recv(l, &c, 1, 0));
	close(fd);
	close(l);
}

/* Vectors without a byte never reach the socket, write() of nothing does. */
static void vectors_of_nothing(void)
{
	struct iovec v = { NULL, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	signal(SIGPIPE, SIG_IGN);
	t_res("write", write(fd, "", 0));
	t_res("writev", writev(fd, &v, 1));
	t_res("writev of none", writev(fd, NULL, 0));
	t_res("pwritev2 with bad flags", pwritev2(fd, &v, 1, -1, 0x40000000));
	t_res("preadv2 with bad flags", preadv2(fd, &v, 1, -1, 0x40000000));
	close(fd);
}

static void control_of_broken_sockets(void)
{
	union {
		struct cmsghdr h;
		char room[64];
	} bad = { .h = { .cmsg_len = 16, .cmsg_level = SOL_SOCKET, .cmsg_type = 77 } };
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &bad,
			    .msg_controllen = 16 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), a, b;
	t_res("fresh", sendmsg(fd, &m, MSG_NOSIGNAL));
	t_pair(&a, &b);
	t_res("connected", sendmsg(a, &m, MSG_NOSIGNAL));
	shutdown(a, SHUT_WR);
	t_res("shut down", sendmsg(a, &m, MSG_NOSIGNAL));
	t_reset(a);
	t_until(b, POLLHUP);
	t_res("reset", sendmsg(b, &m, MSG_NOSIGNAL));
	t_res("reset, again", sendmsg(b, &m, MSG_NOSIGNAL));
	close(b);
	close(fd);
}

static void splice_to_who_appends(void)
{
	int a, b, p[2], file = memfd_create("x", 0);
	t_pair(&a, &b);
	pipe2(p, O_NONBLOCK);
	write(p[1], "abc", 3);
	write(file, "abc", 3);
	lseek(file, 0, SEEK_SET);
	fcntl(a, F_SETFL, O_APPEND);
	t_res("sendfile", sendfile(a, file, NULL, 3));
	t_res("sendfile of nothing", sendfile(a, file, NULL, 0));
	t_res("sendfile from a bad number", sendfile(a, 999, NULL, 3));
	t_res("splice", splice(p[0], NULL, a, NULL, 3, 0));
	t_res("splice of nothing", splice(p[0], NULL, a, NULL, 0, 0));
	t_res("write", write(a, "abc", 3));
	fcntl(a, F_SETFL, 0);
	t_res("splice", splice(p[0], NULL, a, NULL, 3, 0));
	shutdown(a, SHUT_WR);
	t_res("splice from an empty pipe", splice(p[0], NULL, a, NULL, 3, 0));
	close(a);
	close(b);
	close(p[0]);
	close(p[1]);
	close(file);
}

static void disconnect_keeps_a_pending_error(void)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC };
	int a, b;
	t_pair(&a, &b);
	t_reset(b);
	t_until(a, POLLHUP);
	t_res("too long", connect(a, (struct sockaddr *)&none, 500));
	t_res("disconnect", connect(a, (struct sockaddr *)&none, sizeof(none)));
	state_of("it", a);
	tell_error("its", a);
	state_of("it", a);
	close(a);
}

/* A port that bind() did not ask for is free when its connection has ended, descriptor or not. */
static void port_of_an_ended_connection(void)
{
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in at;
		socklen_t len = sizeof(at);
		int a, b, fd = socket(AF_INET, SOCK_STREAM, 0);
		t_pair(&a, &b);
		getsockname(i ? a : b, (struct sockaddr *)&at, &len);
		t_res(i ? "the client's, alive" : "the listener's, alive",
		      bind(fd, (struct sockaddr *)&at, sizeof(at)));
		t_reset(i ? b : a);
		t_until(i ? a : b, POLLHUP);
		t_res("after a reset", bind(fd, (struct sockaddr *)&at, sizeof(at)));
		close(i ? a : b);
		close(fd);
	}
}

/* Linux keeps the address that bind() named, not the port that it did not. */
static void names_after_closing(void)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC }, at, me, any = { .sin_family = AF_INET };
	socklen_t len = sizeof(me);
	int l = t_listen(4, &at), fd = socket(AF_INET, SOCK_STREAM, 0), a, b;
	t_res("bind to a listener's port", bind(fd, (struct sockaddr *)&at, sizeof(at)));
	t_res("shutdown", shutdown(l, SHUT_RDWR));
	t_res("bind to its port", bind(fd, (struct sockaddr *)&at, sizeof(at)));
	getsockname(l, (struct sockaddr *)&me, &len);
	t_out("it is %s", t_addr_name(&me));
	t_res("listen again", listen(l, 4));
	getsockname(l, (struct sockaddr *)&me, &len);
	t_out("it is %s", t_addr_name(&me));
	t_res("shutdown", shutdown(l, SHUT_RDWR));
	close(fd);
	t_res("connect", connect(l, (struct sockaddr *)&at, sizeof(at)));
	getsockname(l, (struct sockaddr *)&me, &len);
	t_out("it is %s", t_addr_name(&me));
	t_res("bind", bind(l, (struct sockaddr *)&any, sizeof(any)));
	close(l);
	t_pair(&a, &b);
	t_res("disconnect an accepted one", connect(b, (struct sockaddr *)&none, sizeof(none)));
	getsockname(b, (struct sockaddr *)&me, &len);
	t_out("it is %s", t_addr_name(&me));
	close(a);
	close(b);
}

static void bind_datagrams_twice(void)
{
	struct sockaddr_in no = { .sin_family = AF_INET }, yes = t_addr(0),
			   any = { .sin_family = AF_INET };
	static const char *const names[] = { "bound", "bound to any", "connected" };
	inet_pton(AF_INET, "10.99.9.9", &no.sin_addr);
	for (int i = 0; i < 3; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0);
		struct sockaddr_in to = t_addr(9), *first = i == 1 ? &any : &yes;
		t_out("%s", names[i]);
		t_res("first", i == 2 ? connect(fd, (struct sockaddr *)&to, sizeof(to)) :
					bind(fd, (struct sockaddr *)first, sizeof(*first)));
		t_res("to a good one", bind(fd, (struct sockaddr *)&yes, sizeof(yes)));
		t_res("to any", bind(fd, (struct sockaddr *)&any, sizeof(any)));
		t_res("to nobody's", bind(fd, (struct sockaddr *)&no, sizeof(no)));
		close(fd);
	}
}

/* The last acknowledgement, delayed by up to 40 ms, ends a close() that lingers. */
static void linger_ends_in_time(void)
{
	struct linger lg = { .l_onoff = 1, .l_linger = 4 };
	struct sockaddr_in none = { .sin_family = AF_UNSPEC }, to;
	int l = t_listen(8, &to);
	for (int i = 0; i < 6; i++) {
		int a = socket(AF_INET, SOCK_STREAM, 0), b;
		uint64_t start;
		setsockopt(a, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
		connect(a, (struct sockaddr *)&to, sizeof(to));
		b = accept(l, NULL, NULL);
		if (i & 1) {
			connect(a, (struct sockaddr *)&none, sizeof(none));
			connect(a, (struct sockaddr *)&to, sizeof(to));
			close(b);
			b = accept(l, NULL, NULL);
		}
		if (i & 2)
			write(a, "x", 1);
		if (i & 4)
			write(b, "x", 1);
		start = t_now_ms();
		t_res("close", close(a));
		t_out("in time: %d", t_now_ms() - start < 3500);
		close(b);
	}
	close(l);
}

/* TCP_LINGER2 below 0: closed, it resets as soon as its FIN is acknowledged. */
static void linger2_of_none(void)
{
	int a, b, none = -1;
	t_pair(&a, &b);
	setsockopt(a, IPPROTO_TCP, TCP_LINGER2, &none, sizeof(none));
	close(a);
	t_until(b, POLLHUP);
	state_of("peer", b);
	tell_error("peer", b);
	close(b);
}

static void connect_with_no_time(void)
{
	struct sockaddr_in to = t_addr(9);
	struct timeval t = { .tv_sec = -1 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	t_res("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	t_until(fd, POLLHUP);
	t_res("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	close(fd);
}

/* Whatever it says: an edge each time. */
static void shutdown_is_an_edge(void)
{
	static const int how[] = { SHUT_WR, SHUT_RD, SHUT_RDWR, 7, SHUT_WR };
	int fd = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0), l = t_listen(1, NULL);
	struct epoll_event ev;
	t_epoll_add(ep, fd, EPOLLET | EPOLLRDHUP);
	t_epoll_add(ep, l, EPOLLET | EPOLLOUT | EPOLLIN);
	t_out("at first %d", t_epoll_wait(ep, &ev, 1, 0));
	for (size_t i = 0; i < T_COUNT(how); i++) {
		t_res("shutdown", shutdown(fd, how[i]));
		t_out("%d events", t_epoll_wait(ep, &ev, 1, 0));
		t_res("of a listener", shutdown(l, how[i]));
		t_out("%d events", t_epoll_wait(ep, &ev, 1, 0));
	}
	close(fd);
	close(l);
	close(ep);
}

/* connect() of a datagram socket is none either; a stream that is disconnected has always one. */
static void disconnects_and_edges(void)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC }, to = t_addr(9);
	for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
		int fd = socket(AF_INET, type, 0), ep = epoll_create1(0);
		struct epoll_event ev;
		t_epoll_add(ep, fd, EPOLLET | EPOLLOUT | EPOLLIN | EPOLLRDHUP);
		t_out("type %d at first %d", type, t_epoll_wait(ep, &ev, 1, 0));
		for (int i = 0; i < 2; i++) {
			t_res("disconnect", connect(fd, (struct sockaddr *)&none, sizeof(none)));
			t_out("%d events", t_epoll_wait(ep, &ev, 1, 0));
		}
		if (type == SOCK_STREAM) {
			t_res("listen", listen(fd, 1));
			t_out("%d events", t_epoll_wait(ep, &ev, 1, 0));
		} else {
			t_res("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
			t_out("%d events", t_epoll_wait(ep, &ev, 1, 0));
		}
		t_res("disconnect", connect(fd, (struct sockaddr *)&none, sizeof(none)));
		t_out("%d events", t_epoll_wait(ep, &ev, 1, 0));
		close(fd);
		close(ep);
	}
}

/* bind() is no edge. */
static void bind_is_no_edge(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET }, at;
	for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
		int fd = socket(AF_INET, type, 0), ep = epoll_create1(0), other;
		struct epoll_event ev;
		t_epoll_add(ep, fd, EPOLLET | EPOLLOUT | EPOLLIN | EPOLLRDHUP);
		t_out("type %d at first %d", type, t_epoll_wait(ep, &ev, 1, 0));
		t_res("bind", bind(fd, (struct sockaddr *)&any, sizeof(any)));
		t_out("%d events", t_epoll_wait(ep, &ev, 1, 0));
		if (type == SOCK_STREAM) {
			t_res("shutdown", shutdown(fd, SHUT_WR));
			t_out("%d events", t_epoll_wait(ep, &ev, 1, 0));
		} else {
			at = t_addr(t_port(fd));
			other = socket(AF_INET, type, 0);
			sendto(other, "ab", 2, 0, (struct sockaddr *)&at, sizeof(at));
			t_out("%s", t_mask(t_epoll_until(ep, fd, EPOLLIN)));
			close(other);
		}
		t_out("%d events", t_epoll_wait(ep, &ev, 1, 0));
		close(fd);
		close(ep);
	}
}

/* What disconnect left behind says SO_ERROR, not poll(). */
static void error_of_a_listener(void)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC }, at = t_addr(0), peer;
	socklen_t len = sizeof(int);
	int a, b, err = -1;
	t_pair(&a, &b);
	t_res("disconnect", connect(a, (struct sockaddr *)&none, sizeof(none)));
	t_out("%s", t_mask((uint32_t)t_poll(a, POLLIN | POLLOUT)));
	t_res("bind", bind(a, (struct sockaddr *)&at, sizeof(at)));
	t_res("listen", listen(a, 1));
	t_out("%s", t_mask((uint32_t)t_poll(a, POLLIN | POLLOUT)));
	close(b);
	len = sizeof(peer);
	getsockname(a, (struct sockaddr *)&peer, &len);
	b = socket(AF_INET, SOCK_STREAM, 0);
	t_res("connect", connect(b, (struct sockaddr *)&peer, sizeof(peer)));
	t_until(a, POLLIN);
	t_out("%s", t_mask((uint32_t)t_poll(a, POLLIN | POLLOUT)));
	t_ok("accept", accept(a, NULL, NULL));
	len = sizeof(err);
	t_res("SO_ERROR", getsockopt(a, SOL_SOCKET, SO_ERROR, &err, &len));
	t_out("%s", t_errname(err));
	close(a);
	close(b);
}

/* An accepted socket keeps the address that it was reached at, over connect(AF_UNSPEC), for a listen(). */
static void accepted_listens(void)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC }, at = { 0 };
	socklen_t len = sizeof(at);
	int a, b;
	t_pair(&a, &b);
	t_res("disconnect", connect(b, (struct sockaddr *)&none, sizeof(none)));
	close(a);
	t_res("listen", listen(b, 5));
	getsockname(b, (struct sockaddr *)&at, &len);
	t_out("at the address of the server: %d, a port: %d", at.sin_addr.s_addr == t_addr(0).sin_addr.s_addr,
	      at.sin_port != 0);
	close(b);
}

T_MAIN(T_CASE(accepted_listens),
       T_CASE(bind_is_no_edge), T_CASE(error_of_a_listener), T_CASE(disconnects_and_edges),
       T_CASE(shutdown_is_an_edge), T_CASE(connect_with_bad_addresses),
       T_CASE(connect_after_failure_and_shutdown), T_CASE(connect_after_reset),
       T_CASE(bind_twice_to_nobodys_address), T_CASE(data_after_shutdown_of_both),
       T_CASE(counts_of_a_listener_shut_down), T_CASE(disconnect_leaves_an_error),
       T_CASE(name_after_a_failed_attempt), T_CASE(shutdown_before_bind), T_CASE(recv_of_nothing),
       T_CASE(recv_after_early_shutdown), T_CASE(vectors_of_nothing),
       T_CASE(control_of_broken_sockets), T_CASE(splice_to_who_appends),
       T_CASE(disconnect_keeps_a_pending_error), T_CASE(port_of_an_ended_connection),
       T_CASE(names_after_closing), T_CASE(bind_datagrams_twice), T_CASE(linger_ends_in_time),
       T_CASE(linger2_of_none), T_CASE(connect_with_no_time))
