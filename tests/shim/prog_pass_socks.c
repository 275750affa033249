/* Sockets passed over AF_UNIX: to this process, to a child, to a program started apart. */
// SPDX-License-Identifier: MIT
#include "tests/shim/pass.h"

/* ---- programs ---- */
static int role_echo(int via)
{
	int fd = take(via);
	return fd < 0 ? 9 : echo(fd);
}

static int role_by_number(int via)
{
	by_number = true;
	return role_echo(via);
}

/* With sockets of its own, which go on. */
static int role_mixed(int via)
{
	struct epoll_event ev;
	char c = 0;
	int a, b;
	t_pair(&a, &b);
	int fd = take(via);
	if (send(a, "o", 1, 0) != 1 || t_read_all(b, &c, 1) != 1 || c != 'o')
		return 8;
	int r = echo(fd);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	t_epoll_add(ep, b, EPOLLIN);
	if (send(a, "p", 1, 0) != 1 || t_epoll_wait(ep, &ev, 1, 2000) != 1)
		return 7;
	return r;
}

/* Waits for one of its own and for the one it got together: first by epoll, then by poll. */
static int role_together(int via)
{
	struct epoll_event ev;
	char c;
	int a, b;
	t_pair(&a, &b);
	int fd = take(via), ep = epoll_create1(EPOLL_CLOEXEC);
	t_epoll_add(ep, b, EPOLLIN);
	t_epoll_add(ep, fd, EPOLLIN);
	send(a, "o", 1, 0);
	if (epoll_wait(ep, &ev, 1, 5000) != 1 || ev.data.fd != b || read(b, &c, 1) != 1)
		return 11;
	send(fd, "1", 1, 0);
	if (epoll_wait(ep, &ev, 1, 5000) != 1 || ev.data.fd != fd || read(fd, &c, 1) != 1)
		return 12;
	struct pollfd p[2] = { { .fd = b, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	send(a, "p", 1, 0);
	if (poll(p, 2, 5000) != 1 || !(p[0].revents & POLLIN) || read(b, &c, 1) != 1)
		return 13;
	send(fd, "2", 1, 0);
	if (poll(p, 2, 5000) != 1 || !(p[1].revents & POLLIN) || read(fd, &c, 1) != 1)
		return 14;
	return 0;
}

static int role_accept(int via)
{
	char c;
	int l = take(via);
	for (int i = 0; i < 2; i++) {
		int s = accept(l, NULL, NULL);
		if (s < 0 || read(s, &c, 1) != 1 || send(s, &c, 1, 0) != 1)
			return 1;
		close(s);
	}
	return 0;
}

static const struct pass_role roles[] = {
	{ "echo", role_echo }, { "mixed", role_mixed }, { "accept", role_accept },
	{ "together", role_together }, { "by_number", role_by_number },
};

/* ---- within this process ---- */
static void to_oneself(void)
{
	int via[2], a, b;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, via) < 0)
		return;
	t_pair(&a, &b);
	t_res("give", give(via[0], a));
	int got = take(via[1]);
	t_out("another number: %d", got >= 0 && got != a);
	t_res("set by one", fcntl(got, F_SETFL, O_NONBLOCK));
	t_out("seen by the other: %d", !!(fcntl(a, F_GETFL) & O_NONBLOCK));
	send(b, "xy", 2, 0);
	char c;
	t_until(a, POLLIN);
	t_res("one reads", read(a, &c, 1));
	t_res("the other reads", read(got, &c, 1));
	close(a);
	t_out("one closed: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	t_res("the other sends", send(got, "z", 1, 0));
	t_res("read", t_read_all(b, &c, 1));
	close(got);
	gone(b);
	close(b);
	close(via[0]);
	close(via[1]);
}

static void on_its_way(void)
{
	int via[2], a, b;
	char buf[16] = { 0 };
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, via) < 0)
		return;
	t_pair(&a, &b);
	send(b, "before", 6, 0);
	t_res("give", give(via[0], a));
	close(a);
	t_out("lives in the queue: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	send(b, "after", 5, 0);
	int got = take(via[1]);
	t_res("read", t_read_all(got, buf, 11));
	t_out("%s", buf);
	close(got);
	gone(b);
	close(b);
	t_pair(&a, &b);
	t_res("give", give(via[0], a));
	close(a);
	close(via[0]);
	close(via[1]);
	gone(b);
	close(b);
}

static void peeked(void)
{
	int via[2], a, b, one = -1;
	char c;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, via) < 0)
		return;
	t_pair(&a, &b);
	t_res("give", give(via[0], a));
	close(a);
	t_res("peek", take_many(via[1], &one, 1, MSG_PEEK, NULL));
	t_res("send", send(one, "1", 1, 0));
	int two = take(via[1]);
	t_res("send", send(two, "2", 1, 0));
	t_res("read", t_read_all(b, &c, 1));
	t_res("read", t_read_all(b, &c, 1));
	close(one);
	t_out("one closed: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	close(two);
	gone(b);
	close(b);
	close(via[0]);
	close(via[1]);
}

static void among_others(void)
{
	int via[2], a, b, c, d, p[2], got[FDS_MAX] = { -1, -1, -1, -1 }, flags = 0;
	char buf[8];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, via) < 0 || pipe(p) < 0)
		return;
	t_pair(&a, &b);
	t_pair(&c, &d);
	t_res("give", give_many(via[0], (int[]){ a, p[1], c }, 3));
	t_res("take", take_many(via[1], got, 4, MSG_CMSG_CLOEXEC, &flags));
	t_out("cloexec %d %d %d", fcntl(got[0], F_GETFD), fcntl(got[1], F_GETFD), fcntl(got[2], F_GETFD));
	send(got[0], "0", 1, 0);
	t_res("first", t_read_all(b, buf, 1));
	write(got[1], "1", 1);
	t_res("second", read(p[0], buf, 1));
	send(got[2], "2", 1, 0);
	t_res("third", t_read_all(d, buf, 1));
	for (int i = 0; i < 3; i++)
		close(got[i]);
	t_res("give two", give_many(via[0], (int[]){ a, c }, 2));
	t_res("room for one", take_many(via[1], got, 1, 0, &flags));
	t_out("cut %d cloexec %d", !!(flags & MSG_CTRUNC), fcntl(got[0], F_GETFD));
	send(got[0], "0", 1, 0);
	t_res("first", t_read_all(b, buf, 1));
	close(got[0]);
	t_res("give a closed one", give_many(via[0], (int[]){ a, 987 }, 2));
	close(a);
	gone(b);
	close(c);
	gone(d);
	close(b);
	close(d);
	close(p[0]);
	close(p[1]);
	close(via[0]);
	close(via[1]);
}

static void many_messages(void)
{
	char control[2][CMSG_SPACE(sizeof(int))] = { 0 }, byte[2], in[2][CMSG_SPACE(sizeof(int))];
	struct iovec v[2] = { { "x", 1 }, { "y", 1 } }, w[2] = { { byte, 1 }, { byte + 1, 1 } };
	struct mmsghdr m[2] = { 0 }, r[2] = { 0 };
	int via[2], a, b, fd;
	char c;
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, via) < 0)
		return;
	t_pair(&a, &b);
	for (int i = 0; i < 2; i++) {
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v[i], .msg_iovlen = 1,
						.msg_control = control[i],
						.msg_controllen = sizeof(control[i]) };
		struct cmsghdr *h = CMSG_FIRSTHDR(&m[i].msg_hdr);
		*h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(h), i ? &b : &a, sizeof(int));
		r[i].msg_hdr = (struct msghdr){ .msg_iov = &w[i], .msg_iovlen = 1,
						.msg_control = in[i], .msg_controllen = sizeof(in[i]) };
	}
	t_res("sendmmsg", sendmmsg(via[0], m, 2, 0));
	t_out("lengths %u %u", m[0].msg_len, m[1].msg_len);
	close(a);
	close(b);
	t_res("recvmmsg", recvmmsg(via[1], r, 2, 0, NULL));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&r[0].msg_hdr)), sizeof(int));
	a = fd;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&r[1].msg_hdr)), sizeof(int));
	b = fd;
	t_res("send", send(a, "1", 1, 0));
	t_res("read", t_read_all(b, &c, 1));
	close(a);
	gone(b);
	close(b);
	close(via[0]);
	close(via[1]);
}

static void state_goes_along(void)
{
	struct timeval tv = { .tv_usec = 252000 };
	int via[2], a, b, one = 1, v = 0;
	socklen_t len = sizeof(v);
	char c;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, via) < 0)
		return;
	t_pair(&a, &b);
	setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(a, SOL_SOCKET, SO_PRIORITY, (v = 5, &v), sizeof(v));
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	fcntl(a, F_SETFL, O_NONBLOCK);
	shutdown(a, SHUT_WR);
	t_until(b, POLLRDHUP);
	t_res("give", give(via[0], a));
	close(a);
	int got = take(via[1]);
	getsockopt(got, IPPROTO_TCP, TCP_NODELAY, &v, &len);
	t_out("nodelay %d nonblock %d", v, !!(fcntl(got, F_GETFL) & O_NONBLOCK));
	getsockopt(got, SOL_SOCKET, SO_PRIORITY, &v, &len);
	t_out("priority %d", v);
	len = sizeof(tv);
	getsockopt(got, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
	t_out("timeout %ld", tv.tv_usec / 1000);
	t_res("read", read(got, &c, 1));
	t_res("send", send(got, "x", 1, MSG_NOSIGNAL));
	send(b, "y", 1, 0);
	t_until(got, POLLIN);
	t_res("read", read(got, &c, 1));
	close(got);
	close(b);
	close(via[0]);
	close(via[1]);
}

/* ---- to others ---- */
static void to_a_child(void)
{
	int via[2], a, b;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, via) < 0)
		return;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		close(via[0]);
		_exit(role_echo(via[1]));
	}
	close(via[1]);
	t_pair(&a, &b);
	t_res("give", give(via[0], a));
	close(a);
	ask(b, "child");
	shutdown(b, SHUT_WR);
	t_out("ends with %d", finish(pid));
	gone(b);
	close(b);
	close(via[0]);
}

static void to_another_program(void) { to_a_program("echo", false); }
static void to_one_with_sockets(void) { to_a_program("mixed", false); }

static void by_system_call(void)
{
	by_number = true;
	to_a_program("by_number", false);
	by_number = false;
}

static void waited_for_together(void)
{
	int via, a, b;
	char c = 0;
	pid_t pid = start("together", &via, false);
	pair_own(&a, &b);
	t_res("give", give(via, a));
	close(a);
	for (int i = 0; i < 2; i++) {
		if (t_read_all(b, &c, 1) != 1)
			break;
		t_sleep_ms(20); /* so that it waits */
		send(b, "x", 1, 0);
	}
	t_out("last %c, ends with %d", c, finish(pid));
	gone(b);
	close(b);
	close(via);
}

static void listener_to_a_program(void)
{
	struct sockaddr_in addr;
	int via, good = 0, l = t_listen(4, &addr);
	pid_t pid = start("accept", &via, false);
	fcntl(l, F_SETFD, FD_CLOEXEC);
	int early = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t_res("early", connect(early, (struct sockaddr *)&addr, sizeof(addr)));
	t_res("give", give(via, l));
	close(l);
	int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t_res("late", connect(late, (struct sockaddr *)&addr, sizeof(addr)));
	for (int i = 0; i < 2; i++) {
		char c = 0;
		int fd = i ? late : early;
		good += send(fd, "q", 1, 0) == 1 && t_read_all(fd, &c, 1) == 1 && c == 'q';
	}
	t_out("answered %d, ends with %d", good, finish(pid));
	close(early);
	close(late);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	for (int i = 0; i < 200 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0; i++) {
		close(fd); /* the listener ends a moment after its last process */
		fd = socket(AF_INET, SOCK_STREAM, 0);
		t_sleep_ms(5);
	}
	t_res("nobody listens", connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	close(fd);
	close(via);
}

static void datagram_socket(void)
{
	int via[2];
	char buf[16] = { 0 };
	struct sockaddr_in addr = t_addr(0);
	socklen_t len = sizeof(addr);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, via) < 0)
		return;
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
	bind(a, (struct sockaddr *)&addr, sizeof(addr));
	getsockname(a, (struct sockaddr *)&addr, &len);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		close(a);
		int fd = take(via[1]);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&addr, &len);
		_exit(n == 4 && sendto(fd, buf, 4, 0, (struct sockaddr *)&addr, len) == 4 ? 0 : 1);
	}
	t_res("connect", connect(b, (struct sockaddr *)&addr, sizeof(addr)));
	t_res("give", give(via[0], a));
	close(a);
	send(b, "ping", 4, 0);
	t_res("answer", recv(b, buf, sizeof(buf), 0));
	t_out("%s, ends with %d", buf, finish(pid));
	close(b);
	close(via[0]);
	close(via[1]);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(to_oneself), T_CASE(on_its_way), T_CASE(peeked), T_CASE(among_others),
		T_CASE(many_messages), T_CASE(state_goes_along), T_CASE(to_a_child),
		T_CASE(to_another_program), T_CASE(to_one_with_sockets), T_CASE(by_system_call),
		T_CASE(waited_for_together), T_CASE(listener_to_a_program), T_CASE(datagram_socket),
	};
	int r = pass_role(roles, T_COUNT(roles), argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 4096);
	return r >= 0 ? r : t_run(cases, T_COUNT(cases), argc, argv);
}
