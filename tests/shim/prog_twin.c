/* A listener on every address: clients come to the server's address and over 127.0.0.1 at once. On the
 * stack these are two listeners behind one descriptor. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static int any_listener(int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int l = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l, 16) < 0)
		t_out("listen: %s", t_errname(errno));
	*port = t_port(l);
	return l;
}

static int client(int port, bool loopback)
{
	struct sockaddr_in a = t_addr(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (loopback)
		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		t_out("connect: %s", t_errname(errno));
	return fd;
}

static void talk(int c, int s)
{
	char buf[8] = { 0 };
	send(c, "ping", 4, 0);
	t_res("ping", t_read_all(s, buf, 4));
	send(s, "pong", 4, 0);
	t_res("pong", t_read_all(c, buf, 4));
}

static void both_ways(void)
{
	int port, l = any_listener(&port);
	struct sockaddr_in a;
	for (int i = 0; i < 4; i++) {
		socklen_t len = sizeof(a);
		int c = client(port, i & 1);
		int s = accept(l, (struct sockaddr *)&a, &len);
		t_ok("accept", s);
		t_out("from %s", t_addr_name(&a));
		len = sizeof(a);
		getsockname(s, (struct sockaddr *)&a, &len);
		t_out("local %s, same port %d", t_addr_name(&a), ntohs(a.sin_port) == port);
		talk(c, s);
		close(c);
		t_until(s, POLLRDHUP); /* a simultaneous close would leave TIME-WAIT on this port */
		close(s);
	}
	socklen_t len = sizeof(a);
	getsockname(l, (struct sockaddr *)&a, &len);
	t_out("listener %s", t_addr_name(&a));
	fcntl(l, F_SETFL, O_NONBLOCK);
	t_res("nobody left", accept(l, NULL, NULL));
	close(l);
	t_sleep_ms(50); /* until the last FIN is acknowledged: LAST-ACK holds the port, on Linux too */
	struct sockaddr_in again = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	l = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1;
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	t_res("port free again", bind(l, (struct sockaddr *)&again, sizeof(again)));
	close(l);
}

struct late {
	int port;
	bool loopback;
};

static void *client_later(void *arg)
{
	struct late *x = arg;
	t_sleep_ms(30);
	return (void *)(intptr_t)client(x->port, x->loopback);
}

static void blocked_accept_is_woken(void)
{
	int port, l = any_listener(&port);
	for (int i = 0; i < 4; i++) {
		struct late x = { port, i & 1 };
		pthread_t t;
		void *c;
		pthread_create(&t, NULL, client_later, &x);
		int s = accept(l, NULL, NULL);
		t_ok("accept", s);
		pthread_join(t, &c);
		talk((int)(intptr_t)c, s);
		close((int)(intptr_t)c);
		close(s);
	}
	struct timeval tv = { .tv_usec = 50000 };
	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	t_res("accept with a limit", accept(l, NULL, NULL));
	close(l);
}

static void polled(void)
{
	int port, l = any_listener(&port);
	struct pollfd p = { .fd = l, .events = POLLIN };
	t_res("poll, nobody", poll(&p, 1, 20));
	for (int i = 0; i < 4; i++) {
		struct late x = { port, i & 1 };
		pthread_t t;
		void *c;
		pthread_create(&t, NULL, client_later, &x);
		fd_set r;
		FD_ZERO(&r);
		FD_SET(l, &r);
		if (i < 2)
			t_res("poll", poll(&p, 1, 2000));
		else
			t_res("select", select(l + 1, &r, NULL, NULL, NULL));
		t_out("%s", t_mask((uint32_t)t_poll(l, POLLIN | POLLOUT)));
		pthread_join(t, &c);
		close(accept(l, NULL, NULL));
		t_out("accepted: %s", t_mask((uint32_t)t_poll(l, POLLIN | POLLOUT)));
		close((int)(intptr_t)c);
	}
	close(l);
}

static int wait_for(int ep, int ms)
{
	struct epoll_event ev[8];
	int n = t_epoll_wait(ep, ev, 8, ms);
	if (n > 0)
		t_out("  data %s mask %s", ev[0].data.u64 == 0x1234567890abcdef ? "right" : "wrong",
		      t_mask(ev[0].events));
	return n;
}

static void epolled(void)
{
	static const uint32_t modes[] = { EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT,
					  EPOLLIN | EPOLLEXCLUSIVE };
	for (size_t m = 0; m < T_COUNT(modes); m++) {
		int port, l = any_listener(&port), ep = epoll_create1(0);
		struct epoll_event ev = { .events = modes[m], .data.u64 = 0x1234567890abcdef };
		t_out("mode %zu", m);
		t_res("add", epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
		t_res("nobody", wait_for(ep, 20));
		for (int i = 0; i < 2; i++) {
			struct late x = { port, i & 1 };
			pthread_t t;
			void *c;
			pthread_create(&t, NULL, client_later, &x);
			t_res("woken", wait_for(ep, 2000));
			t_res("again", wait_for(ep, 20));
			pthread_join(t, &c);
			close(accept(l, NULL, NULL));
			t_res("accepted", wait_for(ep, 20));
			close((int)(intptr_t)c);
			if (modes[m] & EPOLLONESHOT)
				t_res("mod", epoll_ctl(ep, EPOLL_CTL_MOD, l, &ev));
		}
		t_res("del", epoll_ctl(ep, EPOLL_CTL_DEL, l, &ev));
		int c = client(port, true);
		t_res("deleted", wait_for(ep, 20));
		close(c);
		close(l);
		close(ep);
	}
}

static void added_before_bind(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 0x1234567890abcdef };
	int l = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
	t_res("add", epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
	t_res("fresh", wait_for(ep, 20));
	t_res("bind", bind(l, (struct sockaddr *)&a, sizeof(a)));
	t_res("bound", wait_for(ep, 20));
	t_res("listen", listen(l, 4));
	t_res("listening", wait_for(ep, 20));
	for (int i = 0; i < 2; i++) {
		int c = client(t_port(l), i & 1);
		t_res("client", wait_for(ep, 1000));
		close(accept(l, NULL, NULL));
		t_res("accepted", wait_for(ep, 20));
		close(c);
	}
	int d = dup(l);
	close(l);
	int c = client(t_port(d), true);
	t_res("closed number, dup alive", wait_for(ep, 1000));
	close(accept(d, NULL, NULL));
	close(c);
	close(d);
	t_res("all closed", wait_for(ep, 20));
	close(ep);
}

static void undecided_goes_to_the_kernel(void)
{
	int port, l = any_listener(&port), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLOUT | EPOLLET, .data.u64 = 0x1234567890abcdef };
	struct sockaddr_in a = t_addr(port);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, v = 0;
	socklen_t len = sizeof(v);
	setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	int d = dup(c);
	t_res("add", epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev));
	t_res("fresh", wait_for(ep, 20));
	t_res("connect", connect(c, (struct sockaddr *)&a, sizeof(a)));
	t_res("connected", wait_for(ep, 1000));
	getsockopt(d, IPPROTO_TCP, TCP_NODELAY, &v, &len);
	t_out("option kept %d, nonblock of the dup %d", v, !!(fcntl(d, F_GETFL) & O_NONBLOCK));
	int s = accept(l, NULL, NULL);
	ev.events = EPOLLIN;
	t_res("mod", epoll_ctl(ep, EPOLL_CTL_MOD, c, &ev));
	send(s, "x", 1, 0);
	t_res("data", wait_for(ep, 1000));
	t_res("read by the dup", t_read_all(d, &v, 1));
	t_res("del", epoll_ctl(ep, EPOLL_CTL_DEL, c, NULL));
	close(c);
	close(d);
	close(s);
	close(l);
	close(ep);
}

static void forked_acceptors(void)
{
	int port, l = any_listener(&port);
	pid_t pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 2; i++) {
			char c;
			int s = accept(l, NULL, NULL);
			if (s < 0 || read(s, &c, 1) != 1 || send(s, &c, 1, 0) != 1)
				_exit(1);
			close(s);
		}
		_exit(0);
	}
	for (int i = 0; i < 2; i++) {
		char c = 'k';
		int fd = client(port, i & 1);
		send(fd, &c, 1, 0);
		t_res("answer", t_read_all(fd, &c, 1));
		close(fd);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	t_out("child %d", WEXITSTATUS(status));
	close(l);
}

T_MAIN(T_CASE(both_ways), T_CASE(blocked_accept_is_woken), T_CASE(polled), T_CASE(epolled),
       T_CASE(added_before_bind), T_CASE(undecided_goes_to_the_kernel), T_CASE(forked_acceptors))
