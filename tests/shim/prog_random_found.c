/* What the random tester (tests/shim/random) has found: each case is a difference that was there. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <linux/sockios.h>

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
}

T_MAIN(T_CASE(connect_with_bad_addresses), T_CASE(connect_after_failure_and_shutdown),
       T_CASE(connect_after_reset), T_CASE(bind_twice_to_nobodys_address),
       T_CASE(data_after_shutdown_of_both), T_CASE(counts_of_a_listener_shut_down),
       T_CASE(disconnect_leaves_an_error), T_CASE(name_after_a_failed_attempt),
       T_CASE(shutdown_before_bind))
