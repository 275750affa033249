/* Readiness of datagram sockets: poll, select, epoll with levels and edges, in every state. */
// SPDX-License-Identifier: MIT
#include <sys/select.h>
#include "tests/shim/udp.h"

enum { ALL = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND };

static void states(void)
{
	struct sockaddr_in at;
	int b = udp_at(0, &at), a = udp();
	t_out("fresh %s", t_mask((uint32_t)t_poll(a, ALL)));
	t_out("bound %s", t_mask((uint32_t)t_poll(b, ALL)));
	connect(a, (void *)&at, sizeof(at));
	t_out("connected %s", t_mask((uint32_t)t_poll(a, ALL)));
	send(a, "x", 1, 0);
	udp_wait(b);
	t_out("readable %s", t_mask((uint32_t)t_poll(b, ALL)));
	t_out("only out %s", t_mask((uint32_t)t_poll(b, POLLOUT)));
	t_out("only pri %s", t_mask((uint32_t)t_poll(b, POLLPRI)));
	char c;
	recv(b, &c, 1, 0);
	t_out("read %s", t_mask((uint32_t)t_poll(b, ALL)));
	send(a, "", 0, 0);
	udp_wait(b);
	t_out("an empty one %s", t_mask((uint32_t)t_poll(b, ALL)));
	close(a);
	close(b);
}

static void select_sees(void)
{
	struct sockaddr_in at;
	int b = udp_at(0, &at), a = udp();
	for (int i = 0; i < 2; i++) {
		fd_set r, w, x;
		struct timeval tv = { .tv_usec = 20000 };
		FD_ZERO(&r);
		FD_ZERO(&w);
		FD_ZERO(&x);
		FD_SET(b, &r);
		FD_SET(b, &x);
		FD_SET(a, &r);
		if (i)
			FD_SET(a, &w);
		t_res("select", select((a > b ? a : b) + 1, &r, &w, &x, &tv));
		t_out("b readable %d, exceptional %d, a readable %d writable %d", FD_ISSET(b, &r) != 0,
		      FD_ISSET(b, &x) != 0, FD_ISSET(a, &r) != 0, FD_ISSET(a, &w) != 0);
		udp_sendto(a, "x", 1, &at);
		udp_wait(b);
	}
	close(a);
	close(b);
}

static void level(void)
{
	struct sockaddr_in at;
	struct epoll_event ev[4];
	int b = udp_at(0, &at), a = udp(), ep = epoll_create1(0);
	char c;
	t_res("add", t_epoll_add(ep, b, EPOLLIN));
	t_res("none", t_epoll_wait(ep, ev, 4, 0));
	udp_sendto(a, "x", 1, &at);
	udp_sendto(a, "y", 1, &at);
	t_out("got %s", t_mask(t_epoll_until(ep, b, EPOLLIN)));
	t_res("again", t_epoll_wait(ep, ev, 4, 0));
	udp_wait(b);
	recv(b, &c, 1, 0);
	udp_wait(b);
	t_res("one left", t_epoll_wait(ep, ev, 4, 0));
	recv(b, &c, 1, 0);
	t_res("none left", t_epoll_wait(ep, ev, 4, 0));
	t_res("mod", t_epoll_mod(ep, b, EPOLLIN | EPOLLOUT));
	t_res("writable", t_epoll_wait(ep, ev, 4, 0));
	t_out("%s", t_mask(ev[0].events));
	t_res("mod", t_epoll_mod(ep, b, EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM | EPOLLWRBAND |
						EPOLLPRI | EPOLLRDHUP));
	t_res("all", t_epoll_wait(ep, ev, 4, 0));
	t_out("%s", t_mask(ev[0].events));
	close(ep);
	close(a);
	close(b);
}

static void edges(void)
{
	struct sockaddr_in at;
	struct epoll_event ev[4];
	int b = udp_at(0, &at), a = udp(), ep = epoll_create1(0);
	char c;
	t_epoll_add(ep, b, EPOLLIN | EPOLLET);
	for (int i = 0; i < 3; i++) {
		udp_sendto(a, "x", 1, &at);
		t_res("each datagram is one", t_epoll_wait(ep, ev, 4, 1000));
		t_out("%s", t_mask(ev[0].events));
		t_res("once", t_epoll_wait(ep, ev, 4, 10));
	}
	t_res("taking one", recv(b, &c, 1, MSG_DONTWAIT));
	t_res("is none", t_epoll_wait(ep, ev, 4, 10));
	t_res("mod looks anew", t_epoll_mod(ep, b, EPOLLIN | EPOLLET));
	t_res("so it is", t_epoll_wait(ep, ev, 4, 10));
	close(ep);
	close(a);
	close(b);
}

static void oneshot(void)
{
	struct sockaddr_in at;
	struct epoll_event ev[4];
	int b = udp_at(0, &at), a = udp(), ep = epoll_create1(0);
	t_epoll_add(ep, b, EPOLLIN | EPOLLONESHOT);
	udp_sendto(a, "x", 1, &at);
	t_res("first", t_epoll_wait(ep, ev, 4, 1000));
	udp_sendto(a, "x", 1, &at);
	t_res("no more", t_epoll_wait(ep, ev, 4, 20));
	t_epoll_mod(ep, b, EPOLLIN | EPOLLONESHOT);
	t_res("armed again", t_epoll_wait(ep, ev, 4, 1000));
	close(ep);
	close(a);
	close(b);
}

/* Added before it has a name, and used after. */
static void added_early(void)
{
	struct sockaddr_in at, me;
	socklen_t len = sizeof(me);
	struct epoll_event ev[4];
	int b = udp_at(0, &at), a = udp(), ep = epoll_create1(0);
	char c;
	t_res("add", t_epoll_add(ep, a, EPOLLIN | EPOLLOUT | EPOLLET));
	t_res("writable", t_epoll_wait(ep, ev, 4, 0));
	t_out("%s", t_mask(ev[0].events));
	t_res("connect", connect(a, (void *)&at, sizeof(at)));
	getsockname(a, (void *)&me, &len);
	udp_sendto(b, "x", 1, &me);
	t_out("got %s", t_mask(t_epoll_until(ep, a, EPOLLIN) & EPOLLIN));
	t_res("recv", recv(a, &c, 1, MSG_DONTWAIT));
	close(a);
	t_res("gone with it", t_epoll_wait(ep, ev, 4, 0));
	a = udp();
	t_epoll_add(ep, a, EPOLLIN);
	struct sockaddr_in any = { .sin_family = AF_INET };
	bind(a, (void *)&any, sizeof(any));
	at = t_addr(t_port(a));
	udp_sendto(b, "x", 1, &at);
	t_out("bound to any: %s", t_mask(t_epoll_until(ep, a, EPOLLIN)));
	close(ep);
	close(a);
	close(b);
}

static int woken, waker;
static struct sockaddr_in waker_to;

static void *wake(void *arg)
{
	t_until_asleep(woken);
	udp_sendto(waker, "x", 1, &waker_to);
	return NULL;
}

/* Each way of sleeping, on a socket of one address and on one of all. */
static void sleepers_are_woken(void)
{
	for (int how = 0; how < 8; how++) {
		struct sockaddr_in at = { .sin_family = AF_INET };
		struct epoll_event ev[2];
		pthread_t t;
		fd_set r;
		int fd, ep = epoll_create1(0), n = 0;
		if (how & 1) {
			fd = udp();
			bind(fd, (void *)&at, sizeof(at));
			waker_to = t_addr(t_port(fd));
		} else {
			fd = udp_at(0, &waker_to);
		}
		struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = 0 } };
		t_epoll_add(ep, fd, EPOLLIN);
		waker = udp();
		woken = t_self();
		pthread_create(&t, NULL, wake, NULL);
		switch (how / 2) {
		case 0:
			n = poll(p, 1, 2000);
			break;
		case 1:
			FD_ZERO(&r);
			FD_SET(fd, &r);
			n = select(fd + 1, &r, NULL, NULL, NULL);
			break;
		case 2:
			n = epoll_wait(ep, ev, 2, 2000);
			break;
		default:
			p[1] = (struct pollfd){ .fd = ep, .events = POLLIN };
			n = poll(p + 1, 1, 2000);
		}
		t_out("%d: %d", how, n);
		pthread_join(t, NULL);
		close(waker);
		close(ep);
		close(fd);
	}
}

static void in_two_sets(void)
{
	struct sockaddr_in at;
	struct epoll_event ev[4];
	int b = udp_at(0, &at), a = udp(), one = epoll_create1(0), two = epoll_create1(0), n;
	t_epoll_add(one, b, EPOLLIN);
	t_epoll_add(two, b, EPOLLIN | EPOLLET);
	t_epoll_add(one, two, EPOLLIN);
	udp_sendto(a, "x", 1, &at);
	udp_wait(b);
	t_sleep_ms(2); /* the datagram is there; both sets are told one after the other */
	n = t_epoll_wait(one, ev, 4, 1000);
	t_out("outer has %d", n);
	t_res("inner", t_epoll_wait(two, ev, 4, 1000));
	t_res("inner once", t_epoll_wait(two, ev, 4, 0));
	t_res("outer", t_epoll_wait(one, ev, 4, 0));
	int copy = dup(b);
	t_epoll_add(one, copy, EPOLLIN);
	t_res("two numbers", t_epoll_wait(one, ev, 4, 0));
	close(b);
	t_res("del", epoll_ctl(one, EPOLL_CTL_DEL, copy, NULL));
	close(copy);
	close(one);
	close(two);
	close(a);
}

static void many_sockets_one_set(void)
{
	enum { N = 100 };
	struct sockaddr_in at[N];
	struct epoll_event ev[N];
	int fd[N], a = udp(), ep = epoll_create1(0), got = 0, bad = 0;
	for (int i = 0; i < N; i++) {
		fd[i] = udp_at(0, &at[i]);
		t_epoll_add(ep, fd[i], EPOLLIN);
	}
	for (int i = 0; i < N; i += 3)
		udp_sendto(a, &i, sizeof(i), &at[i]);
	for (int round = 0; round < 100 && got < 34; round++) {
		int n = epoll_wait(ep, ev, N, 100);
		for (int k = 0; k < n; k++) {
			int v = -1;
			if (recv(ev[k].data.fd, &v, sizeof(v), MSG_DONTWAIT) < 0)
				continue;
			got++;
			bad += fd[v] != ev[k].data.fd;
		}
	}
	t_out("got %d, wrong %d", got, bad);
	for (int i = 0; i < N; i++)
		close(fd[i]);
	close(a);
	close(ep);
}

T_MAIN(T_CASE(states), T_CASE(select_sees), T_CASE(level), T_CASE(edges), T_CASE(oneshot),
       T_CASE(added_early), T_CASE(sleepers_are_woken), T_CASE(in_two_sets),
       T_CASE(many_sockets_one_set))
