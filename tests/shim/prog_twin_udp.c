/* A datagram socket that hears both the loopback interface, which is the kernel's, and this run's address:
 * receiving from both, sending to both, connecting to one after the other, waiting for either. */
// SPDX-License-Identifier: MIT
#include "tests/shim/udp.h"

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	return a;
}

static int udp_any(int *port)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = udp();
	bind(fd, (void *)&any, sizeof(any));
	*port = t_port(fd);
	return fd;
}

static void show_from(const char *what, int fd)
{
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof(from);
	char buf[32];
	udp_wait(fd);
	ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (void *)&from, &len);
	if (n < 0)
		t_out("%s: %s", what, t_errname(errno));
	else
		t_out("%s: %.*s from %s", what, (int)n, buf, t_addr_name(&from));
}

static void hears_both(void)
{
	int port, fd = udp_any(&port), near = udp(), far = udp();
	struct sockaddr_in lo = loopback(port), at = t_addr(port);
	for (int i = 0; i < 2; i++) {
		t_res("near", udp_sendto(near, "near", 4, &lo));
		show_from("heard", fd);
		t_res("far", udp_sendto(far, "far", 3, &at));
		show_from("heard", fd);
	}
	close(fd);
	close(near);
	close(far);
}

/* Neither side is heard only after the other has nothing more. */
static void in_turn(void)
{
	int port, fd = udp_any(&port), near = udp(), far = udp(), first[2] = { -1, -1 }, n[2] = { 0, 0 };
	struct sockaddr_in lo = loopback(port), at = t_addr(port);
	for (int i = 0; i < 20; i++) {
		udp_sendto(near, "n", 1, &lo);
		udp_sendto(far, "f", 1, &at);
	}
	t_sleep_ms(20);
	for (int i = 0; i < 40; i++) {
		char c = 0;
		recv(fd, &c, 1, MSG_DONTWAIT);
		if (first[c == 'f'] < 0)
			first[c == 'f'] = i;
		n[c == 'f']++;
	}
	t_out("near %d far %d, soon %d", n[0], n[1], first[0] < 4 && first[1] < 4);
	close(fd);
	close(near);
	close(far);
}

static void sends_to_both(void)
{
	int port, fd = udp_any(&port), near = udp(), far;
	struct sockaddr_in lo = loopback(0), at, from;
	socklen_t len = sizeof(lo);
	char c;
	bind(near, (void *)&lo, sizeof(lo));
	getsockname(near, (void *)&lo, &len);
	far = udp_at(0, &at);
	t_res("near", udp_sendto(fd, "n", 1, &lo));
	t_res("far", udp_sendto(fd, "f", 1, &at));
	len = sizeof(from);
	udp_wait(near);
	recvfrom(near, &c, 1, MSG_DONTWAIT, (void *)&from, &len);
	t_out("%c from %s, its port %d", c, t_addr_name(&from), ntohs(from.sin_port) == port);
	len = sizeof(from);
	udp_wait(far);
	recvfrom(far, &c, 1, MSG_DONTWAIT, (void *)&from, &len);
	t_out("%c from %s, its port %d", c, t_addr_name(&from), ntohs(from.sin_port) == port);
	close(fd);
	fd = udp();
	t_res("unbound, near first", udp_sendto(fd, "n", 1, &lo));
	port = t_port(fd);
	t_res("then far", udp_sendto(fd, "f", 1, &at));
	t_out("one port %d", port && port == t_port(fd));
	show_from("near", near);
	show_from("far", far);
	struct sockaddr_in self = t_addr(port);
	udp_sendto(far, "answer", 6, &self);
	show_from("far answers", fd);
	self = loopback(port);
	udp_sendto(near, "answer", 6, &self);
	show_from("near answers", fd);
	close(fd);
	close(near);
	close(far);
}

static void show_names(const char *what, int fd)
{
	struct sockaddr_in a = { 0 }, b = { 0 };
	socklen_t len = sizeof(a);
	getsockname(fd, (void *)&a, &len);
	len = sizeof(b);
	int r = getpeername(fd, (void *)&b, &len);
	t_out("%s: %s, peer %s", what, t_addr_name(&a), r < 0 ? t_errname(errno) : t_addr_name(&b));
}

static void connects_to_one_after_the_other(void)
{
	int port, fd, near = udp(), far;
	struct sockaddr_in lo = loopback(0), at;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t len = sizeof(lo);
	bind(near, (void *)&lo, sizeof(lo));
	getsockname(near, (void *)&lo, &len);
	far = udp_at(0, &at);
	for (int bound = 0; bound < 2; bound++) {
		fd = bound ? udp_any(&port) : udp();
		t_res("near", connect(fd, (void *)&lo, sizeof(lo)));
		show_names("near", fd);
		t_res("send", send(fd, "near", 4, 0));
		show_from("near", near);
		t_res("dissolve", connect(fd, &none, sizeof(none)));
		show_names("dissolved", fd);
		t_res("far", connect(fd, (void *)&at, sizeof(at)));
		show_names("far", fd);
		t_res("send", send(fd, "far", 3, 0));
		show_from("far", far);
		t_res("dissolve", connect(fd, &none, sizeof(none)));
		t_res("near again", connect(fd, (void *)&lo, sizeof(lo)));
		t_res("send", send(fd, "near", 4, 0));
		show_from("near", near);
		close(fd);
	}
	close(near);
	close(far);
}

static void connected_near_hears_nobody_else(void)
{
	int port, fd = udp_any(&port), near = udp(), far = udp_at(0, NULL);
	struct sockaddr_in lo = loopback(0), to = t_addr(port);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t len = sizeof(lo);
	bind(near, (void *)&lo, sizeof(lo));
	getsockname(near, (void *)&lo, &len);
	connect(fd, (void *)&lo, sizeof(lo));
	udp_sendto(far, "stranger", 8, &to);
	t_sleep_ms(20);
	t_out("ready %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT)));
	to = loopback(t_port(fd));
	udp_sendto(near, "peer", 4, &to);
	show_from("heard", fd);
	int named = udp();
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	close(fd);
	t_res("a named port", bind(named, (void *)&any, sizeof(any)));
	connect(named, (void *)&lo, sizeof(lo));
	to = t_addr(port);
	udp_sendto(far, "stranger", 8, &to);
	t_sleep_ms(20);
	t_res("dissolve", connect(named, &none, sizeof(none)));
	udp_sendto(far, "after", 5, &to);
	show_from("heard", named);
	to = loopback(port);
	udp_sendto(near, "near", 4, &to);
	show_from("heard", named);
	close(named);
	close(near);
	close(far);
}

static void refused_near(void)
{
	struct sockaddr_in lo = loopback(0);
	socklen_t len = sizeof(lo);
	int dead = udp(), fd = udp(), v = 0;
	char c;
	bind(dead, (void *)&lo, sizeof(lo));
	getsockname(dead, (void *)&lo, &len);
	close(dead);
	connect(fd, (void *)&lo, sizeof(lo));
	send(fd, "x", 1, 0);
	t_until(fd, POLLERR);
	t_res("recv", recv(fd, &c, 1, MSG_DONTWAIT));
	send(fd, "x", 1, 0);
	t_until(fd, POLLERR);
	len = sizeof(v);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len);
	t_out("SO_ERROR %s", t_errname(v));
	close(fd);
}

static void bound_near(void)
{
	struct sockaddr_in lo = loopback(0), at;
	int fd = udp(), far = udp_at(0, &at);
	t_res("bind", bind(fd, (void *)&lo, sizeof(lo)));
	show_names("bound", fd);
	t_res("to itself", udp_sendto(fd, "me", 2, (lo = loopback(t_port(fd)), &lo)));
	show_from("heard", fd);
	close(fd);
	close(far);
}

static int waker, woken;
static struct sockaddr_in waker_to;

static void *wake(void *arg)
{
	t_until_asleep(woken);
	udp_sendto(waker, arg, strlen(arg), &waker_to);
	return NULL;
}

/* Blocked in each way, woken from each side. */
static void sleepers_are_woken(void)
{
	for (int how = 0; how < 10; how++) {
		int port, fd = udp_any(&port), ep = epoll_create1(0), n = 0;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct epoll_event ev[2];
		char buf[8] = { 0 };
		pthread_t t;
		fd_set r;
		waker = udp();
		woken = t_self();
		waker_to = how & 1 ? loopback(port) : t_addr(port);
		t_epoll_add(ep, fd, how >= 8 ? EPOLLIN | EPOLLET : EPOLLIN);
		pthread_create(&t, NULL, wake, how & 1 ? "near" : "far");
		switch (how / 2) {
		case 0:
			break;
		case 1:
			n = poll(&p, 1, 2000);
			break;
		case 2:
			FD_ZERO(&r);
			FD_SET(fd, &r);
			n = select(fd + 1, &r, NULL, NULL, NULL);
			break;
		default:
			n = epoll_wait(ep, ev, 2, 2000);
		}
		recv(fd, buf, sizeof(buf), 0);
		t_out("%d: %d %s", how, n, buf);
		pthread_join(t, NULL);
		close(waker);
		close(ep);
		close(fd);
	}
}

static void edges_from_both(void)
{
	int port, fd = udp_any(&port), ep = epoll_create1(0), s = udp();
	struct sockaddr_in lo = loopback(port), at = t_addr(port);
	struct epoll_event ev[2];
	t_epoll_add(ep, fd, EPOLLIN | EPOLLET);
	for (int i = 0; i < 4; i++) {
		udp_sendto(s, "x", 1, i & 1 ? &lo : &at);
		t_res("edge", t_epoll_wait(ep, ev, 2, 1000));
		t_res("once", t_epoll_wait(ep, ev, 2, 10));
	}
	close(ep);
	close(s);
	close(fd);
}

static void many_from_both(void)
{
	int port, fd = udp_any(&port), s = udp(), total = 0;
	struct sockaddr_in lo = loopback(port), at = t_addr(port);
	struct iovec v[8];
	struct mmsghdr m[8] = { 0 }, out[4] = { 0 };
	char buf[8][8];
	struct iovec o[4];
	for (int i = 0; i < 8; i++) {
		v[i] = (struct iovec){ buf[i], 8 };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v[i], .msg_iovlen = 1 };
	}
	for (int i = 0; i < 4; i++) {
		o[i] = (struct iovec){ "abcd", (size_t)i + 1 };
		out[i].msg_hdr = (struct msghdr){ .msg_iov = &o[i], .msg_iovlen = 1,
						  .msg_name = i & 1 ? &lo : &at,
						  .msg_namelen = sizeof(lo) };
	}
	t_res("sendmmsg", sendmmsg(s, out, 4, 0));
	t_sleep_ms(20);
	int n = recvmmsg(fd, m, 8, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		total += (int)m[i].msg_len;
	t_out("recvmmsg %d, %d bytes", n, total);
	t_res("FIONREAD", ioctl(fd, FIONREAD, &n));
	t_out("nothing left %d", n);
	close(fd);
	close(s);
}

static void forked(void)
{
	int port, fd = udp_any(&port), s = udp();
	struct sockaddr_in lo = loopback(port), at = t_addr(port);
	for (int i = 0; i < 2; i++) {
		fflush(stdout);
		pid_t pid = fork();
		if (!pid) {
			char c[8] = { 0 };
			recv(fd, c, sizeof(c), 0);
			t_out("child %s", c);
			fflush(stdout);
			_exit(0);
		}
		udp_sendto(s, i ? "near" : "far", i ? 4 : 3, i ? &lo : &at);
		waitpid(pid, NULL, 0);
	}
	udp_sendto(s, "near", 4, &lo);
	show_from("parent", fd);
	udp_sendto(s, "far", 3, &at);
	show_from("parent", fd);
	close(fd);
	close(s);
}

T_MAIN(T_CASE(hears_both), T_CASE(in_turn), T_CASE(sends_to_both),
       T_CASE(connects_to_one_after_the_other), T_CASE(connected_near_hears_nobody_else),
       T_CASE(refused_near), T_CASE(bound_near), T_CASE(sleepers_are_woken), T_CASE(edges_from_both),
       T_CASE(many_from_both), T_CASE(forked))
