/* MSG_ZEROCOPY and the error queue: numbers, ranges, readiness, what MSG_ERRQUEUE gives and when. */
// SPDX-License-Identifier: MIT
#include <time.h>
#include <linux/errqueue.h>
#include "tests/shim/t.h"

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif

static void enable(int fd)
{
	int one = 1;

	t_res("SO_ZEROCOPY", setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)));
}

/* The kernel completes when the bytes have been acknowledged: wait until nothing is out and it is told. */
static void settle(int fd, int peer)
{
	char junk[4096];

	while (recv(peer, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	for (int i = 0, out = 1; i < 500; i++) {
		ioctl(fd, TIOCOUTQ, &out);
		if (out == 0 && t_poll(fd, 0) & POLLERR)
			break;
		t_sleep_ms(1);
	}
	t_sleep_ms(3);
}

static void errqueue(const char *what, int fd, size_t room, int flags)
{
	char control[256] = { 0 }, byte = '-';
	struct sockaddr_in6 from;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_control = control, .msg_controllen = room, .msg_name = &from,
			    .msg_namelen = sizeof(from), .msg_iov = &v, .msg_iovlen = 1 };
	ssize_t r = recvmsg(fd, &m, MSG_ERRQUEUE | flags);

	t_res(what, r);
	if (r < 0)
		return;
	t_out("flags %x namelen %u control %zu byte %c", (unsigned int)m.msg_flags, m.msg_namelen,
	      m.msg_controllen, byte);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct sock_extended_err ee;

		t_out("level %d type %d len %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
		if (c->cmsg_len < CMSG_LEN(sizeof(ee)))
			continue;
		memcpy(&ee, CMSG_DATA(c), sizeof(ee));
		t_out("errno %u origin %u type %u code %u: %u to %u", ee.ee_errno, ee.ee_origin, ee.ee_type,
		      ee.ee_code, ee.ee_info, ee.ee_data);
	}
}

static void one_send(void)
{
	int a, b;

	t_pair(&a, &b);
	enable(a);
	t_out("before %s", t_mask((uint32_t)t_poll(a, POLLIN | POLLOUT | POLLPRI)));
	errqueue("empty", a, 256, 0);
	t_res("send", send(a, "hello", 5, MSG_ZEROCOPY));
	settle(a, b);
	t_out("after %s", t_mask((uint32_t)t_poll(a, POLLIN | POLLOUT | POLLPRI)));
	t_out("asked for nothing %s", t_mask((uint32_t)t_poll(a, 0)));
	errqueue("first", a, 256, 0);
	errqueue("again", a, 256, 0);
	t_out("told %s", t_mask((uint32_t)t_poll(a, POLLIN | POLLOUT)));
	close(a);
	close(b);
}

static void ranges(void)
{
	int a, b;

	t_pair(&a, &b);
	enable(a);
	for (int i = 0; i < 5; i++)
		send(a, "hello", 5, MSG_ZEROCOPY);
	send(a, "plain", 5, 0);
	settle(a, b);
	errqueue("five", a, 256, 0);
	for (int i = 0; i < 3; i++)
		send(a, "hello", 5, MSG_ZEROCOPY | (i < 2 ? MSG_MORE : 0));
	settle(a, b);
	errqueue("three more", a, 256, MSG_DONTWAIT);
	errqueue("none", a, 256, MSG_DONTWAIT);
	close(a);
	close(b);
}

static void not_numbered(void)
{
	int a, b, off = 0;

	t_pair(&a, &b);
	t_res("without the option", send(a, "hello", 5, MSG_ZEROCOPY));
	t_sleep_ms(10);
	errqueue("nothing", a, 256, 0);
	enable(a);
	t_res("nothing", send(a, "", 0, MSG_ZEROCOPY));
	t_res("bad pointer", send(a, (void *)8, 5, MSG_ZEROCOPY));
	t_res("plain", send(a, "hello", 5, 0));
	t_sleep_ms(10);
	errqueue("nothing", a, 256, 0);
	t_res("write", write(a, "hello", 5));
	t_res("zerocopy", send(a, "hello", 5, MSG_ZEROCOPY));
	settle(a, b);
	errqueue("is number 0", a, 256, 0);
	t_res("off", setsockopt(a, SOL_SOCKET, SO_ZEROCOPY, &off, sizeof(off)));
	t_res("send", send(a, "hello", 5, MSG_ZEROCOPY));
	t_sleep_ms(10);
	errqueue("nothing", a, 256, 0);
	enable(a);
	t_res("send", send(a, "hello", 5, MSG_ZEROCOPY));
	settle(a, b);
	errqueue("goes on counting", a, 256, 0);
	close(a);
	close(b);
}

static void little_room(void)
{
	static const size_t room[] = { 0, 8, 16, 24, 32, 47, 48, 64 };
	int a, b;

	t_pair(&a, &b);
	enable(a);
	for (size_t i = 0; i < T_COUNT(room); i++) {
		char name[32];

		send(a, "hello", 5, MSG_ZEROCOPY);
		settle(a, b);
		snprintf(name, sizeof(name), "room for %zu", room[i]);
		errqueue(name, a, room[i], 0);
	}
	errqueue("all taken", a, 256, 0);
	close(a);
	close(b);
}

static void other_calls(void)
{
	struct iovec v = { "hello", 5 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct mmsghdr mm[3];
	int a, b;
	char buf[8];

	t_pair(&a, &b);
	enable(a);
	t_res("sendmsg", sendmsg(a, &m, MSG_ZEROCOPY));
	for (int i = 0; i < 3; i++)
		mm[i].msg_hdr = m;
	t_res("sendmmsg", sendmmsg(a, mm, 3, MSG_ZEROCOPY));
	t_res("sendto", sendto(a, "x", 1, MSG_ZEROCOPY, NULL, 0));
	settle(a, b);
	errqueue("all five", a, 256, 0);
	send(a, "hello", 5, MSG_ZEROCOPY);
	settle(a, b);
	t_res("recv takes it, too", recv(a, buf, sizeof(buf), MSG_ERRQUEUE));
	t_res("gone", recv(a, buf, sizeof(buf), MSG_ERRQUEUE));
	send(a, "hello", 5, MSG_ZEROCOPY);
	settle(a, b);
	t_res("peek takes it as well", recv(a, buf, sizeof(buf), MSG_ERRQUEUE | MSG_PEEK));
	t_res("SO_ERROR is no matter", recv(a, buf, sizeof(buf), MSG_ERRQUEUE));
	close(a);
	close(b);
}

static void while_pending(void)
{
	int a, b, err = 99;
	socklen_t len = sizeof(err);
	char buf[8];

	t_pair(&a, &b);
	enable(a);
	send(a, "hello", 5, MSG_ZEROCOPY);
	settle(a, b);
	t_res("SO_ERROR", getsockopt(a, SOL_SOCKET, SO_ERROR, &err, &len));
	t_out("is %d", err);
	t_res("send goes on", send(a, "x", 1, 0));
	t_res("recv", recv(a, buf, 1, MSG_DONTWAIT));
	send(b, "y", 1, 0);
	t_until(a, POLLIN);
	t_res("recv", recv(a, buf, 1, 0));
	t_out("still %s", t_mask((uint32_t)t_poll(a, POLLIN)));
	shutdown(a, SHUT_WR);
	errqueue("after shutdown", a, 256, 0);
	close(b);
	close(a);
}

static void unconnected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char buf[4];

	enable(fd);
	t_res("send", send(fd, "x", 1, MSG_ZEROCOPY | MSG_NOSIGNAL));
	errqueue("nothing", fd, 256, 0);
	t_res("recv", recv(fd, buf, 4, MSG_ERRQUEUE));
	t_res("two", setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &(int){ 2 }, sizeof(one)));
	t_res("minus", setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &(int){ -1 }, sizeof(one)));
	close(fd);
	fd = t_listen(1, NULL);
	t_res("listener", recv(fd, buf, 4, MSG_ERRQUEUE));
	close(fd);
}

static void epoll_tells(void)
{
	struct epoll_event ev[2];
	int a, b, ep = epoll_create1(0);

	t_pair(&a, &b);
	enable(a);
	t_epoll_add(ep, a, EPOLLET);
	t_res("nothing", t_epoll_wait(ep, ev, 2, 0));
	send(a, "hello", 5, MSG_ZEROCOPY);
	t_out("edge %s", t_mask(t_epoll_until(ep, a, EPOLLERR)));
	settle(a, b);
	t_epoll_wait(ep, ev, 2, 0);
	t_res("no new edge", t_epoll_wait(ep, ev, 2, 0));
	errqueue("taken", a, 256, 0);
	t_epoll_mod(ep, a, EPOLLIN);
	t_res("nothing", t_epoll_wait(ep, ev, 2, 0));
	send(a, "hello", 5, MSG_ZEROCOPY);
	t_out("level %s", t_mask(t_epoll_until(ep, a, EPOLLERR)));
	t_out("still %s", t_mask(t_epoll_until(ep, a, EPOLLERR)));
	close(ep);
	close(a);
	close(b);
}

/* Both processes count on one socket. */
static void over_fork(void)
{
	int a, b;
	pid_t pid;

	t_pair(&a, &b);
	enable(a);
	send(a, "hello", 5, MSG_ZEROCOPY);
	pid = fork();
	if (pid == 0) {
		send(a, "child", 5, MSG_ZEROCOPY);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	settle(a, b);
	errqueue("both", a, 256, 0);
	close(a);
	close(b);
}

T_MAIN(T_CASE(one_send), T_CASE(ranges), T_CASE(not_numbered), T_CASE(little_room),
       T_CASE(other_calls), T_CASE(while_pending), T_CASE(unconnected), T_CASE(epoll_tells),
       T_CASE(over_fork))
