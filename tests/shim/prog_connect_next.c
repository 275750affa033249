/* What comes right behind a non-blocking connect(): any call, any way to wait, other threads that sleep, many
 * more of them, a fork. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/select.h>

enum { MANY = 150, THREADS = 4, EACH = 100 };

static struct sockaddr_in at;
static int l;

/* A listener, and somebody has been connected to it. */
static void begin(void)
{
	int c;

	l = t_listen(512, &at);
	c = t_connect_to(&at);
	close(accept(l, NULL, NULL));
	close(c);
}

static int asked(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = connect(fd, (void *)&at, sizeof(at));

	if (r == 0 || errno != EINPROGRESS)
		t_res("connect", r);
	return fd;
}

static int so_error(int fd)
{
	int v = -1;
	socklen_t len = sizeof(v);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len);
	return v;
}

static int no_delay(int fd)
{
	int v = -1;
	socklen_t len = sizeof(v);

	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len);
	return v;
}

/* The other end of fd: its name is the peer's of what accept() gives. */
static int other(int fd)
{
	int port = t_port(fd);

	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		int s = accept(l, (void *)&from, &len);

		if (s < 0 || ntohs(from.sin_port) == port)
			return s;
		close(s);
	}
}

/* A byte each way. */
static void talk(const char *what, int fd)
{
	int s = other(fd);
	char a = 0, b = 0;
	bool out = t_until(fd, POLLOUT) & POLLOUT && write(fd, "x", 1) == 1;
	bool back = t_read_all(s, &a, 1) == 1 && write(s, "y", 1) == 1;

	back = back && t_until(fd, POLLIN) & POLLIN && read(fd, &b, 1) == 1;
	t_out("%s: %d %d %c %c, error %d", what, out, back, a, b, so_error(fd));
	close(s);
	close(fd);
}

static void the_next_call_is_any(void)
{
	struct sockaddr_in me;
	socklen_t len = sizeof(me);
	int fd, two;

	begin();
	talk("nothing", asked());
	fd = asked();
	t_res("getsockname", getsockname(fd, (void *)&me, &len));
	t_out("a port: %d", me.sin_port != 0);
	talk("a name", fd);
	fd = asked();
	t_out("error %d", so_error(fd));
	talk("SO_ERROR", fd);
	fd = asked();
	two = dup(fd);
	close(fd);
	talk("dup", two);
	fd = asked();
	t_res("fcntl", fcntl(fd, F_SETFL, 0));
	t_res("write", write(fd, "x", 1));
	close(other(fd));
	close(fd);
	fd = asked();
	t_until(fd, POLLOUT);
	t_res("connect", connect(fd, (void *)&at, sizeof(at)));
	t_res("connect", connect(fd, (void *)&at, sizeof(at)));
	talk("connect twice", fd);
	fd = asked();
	t_until(fd, POLLOUT);
	t_res("shutdown", shutdown(fd, SHUT_WR));
	two = other(fd);
	t_gone(two);
	close(two);
	close(fd);
	close(l);
}

static void an_option_comes_between(void)
{
	int fd, one = 1, size = 8192;

	begin();
	fd = asked();
	t_res("TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	t_out("it is %d", no_delay(fd));
	talk("no delay", fd);
	fd = asked();
	t_res("SO_SNDBUF", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	t_out("no delay %d", no_delay(fd));
	talk("a buffer", fd);
	fd = asked();
	t_res("bad pointer", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (void *)1, sizeof(one)));
	t_res("bad length", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, 1));
	talk("no option", fd);
	close(l);
}

static void poll_and_select_see_it(void)
{
	struct timeval second = { .tv_sec = 1 };
	struct pollfd p[2];
	fd_set out;
	int fd;

	begin();
	p[0] = (struct pollfd){ .fd = asked(), .events = POLLOUT };
	p[1] = (struct pollfd){ .fd = asked(), .events = POLLOUT };
	while (poll(p, 2, 1000) == 1)
		;
	t_out("poll: %s, %s", t_mask((uint32_t)p[0].revents), t_mask((uint32_t)p[1].revents));
	talk("first", p[0].fd);
	talk("second", p[1].fd);
	fd = asked();
	FD_ZERO(&out);
	FD_SET(fd, &out);
	t_res("select", select(fd + 1, NULL, &out, NULL, &second));
	talk("select", fd);
	close(l);
}

/* ---- epoll ---- */
static void epoll_sees_it(void)
{
	int ep = epoll_create1(0), outer = epoll_create1(0), fd;
	struct pollfd p = { .fd = ep, .events = POLLIN };

	begin();
	fd = asked();
	t_res("add", t_epoll_add(ep, fd, EPOLLOUT));
	t_out("after: %s", t_mask(t_epoll_until(ep, fd, EPOLLOUT)));
	talk("after", fd);
	fd = asked();
	t_res("add", t_epoll_add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET));
	t_out("edge: %s", t_mask(t_epoll_until(ep, fd, EPOLLOUT)));
	talk("edge", fd);
	fd = asked();
	t_res("add", t_epoll_add(ep, fd, EPOLLIN));
	t_res("mod", t_epoll_mod(ep, fd, EPOLLOUT | EPOLLONESHOT));
	t_out("one shot: %s", t_mask(t_epoll_until(ep, fd, EPOLLOUT)));
	talk("one shot", fd);
	fd = asked();
	t_res("add", t_epoll_add(ep, fd, EPOLLOUT));
	t_res("del", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	talk("deleted", fd);
	fd = asked();
	t_res("add", t_epoll_add(ep, fd, EPOLLOUT));
	t_res("poll", poll(&p, 1, 1000));
	talk("polled", fd);
	t_res("add", t_epoll_add(outer, ep, EPOLLIN));
	fd = asked();
	t_res("add", t_epoll_add(ep, fd, EPOLLOUT));
	t_out("in a set: %s", t_mask(t_epoll_until(outer, ep, EPOLLIN)));
	talk("in a set", fd);
	close(outer);
	close(ep);
	close(l);
}

static int shared_ep, sleeper;

static void *sleeps(void *arg)
{
	struct epoll_event ev = { 0 };
	bool polls = *(bool *)arg;

	sleeper = t_self();
	if (polls) {
		struct pollfd p = { .fd = shared_ep, .events = POLLIN };

		t_res("poll in a thread", poll(&p, 1, 5000));
	}
	t_res("epoll_wait in a thread", epoll_wait(shared_ep, &ev, 1, 5000));
	t_out("got %s", t_mask(ev.events));
	return NULL;
}

/* Who connects does nothing more; who sleeps has to be told. */
static void another_thread_sleeps(void)
{
	begin();
	for (int i = 0; i < 4; i++) {
		bool polls = i & 1;
		pthread_t t;
		int fd;

		shared_ep = epoll_create1(0);
		if (i >= 2) /* there is one of ours in it already */
			t_epoll_add(shared_ep, l, EPOLLPRI);
		sleeper = 0;
		pthread_create(&t, NULL, sleeps, &polls);
		while (!__atomic_load_n(&sleeper, __ATOMIC_ACQUIRE))
			t_sleep_ms(1);
		t_until_asleep(sleeper);
		fd = asked();
		if (t_epoll_add(shared_ep, fd, EPOLLOUT) < 0)
			t_out("add: %s", t_errname(errno));
		pthread_join(t, NULL);
		talk("asleep", fd);
		close(shared_ep);
	}
	close(l);
}

static _Atomic int n_seen, n_wrong;

static void *waits(void *arg)
{
	struct epoll_event ev[8];
	uint64_t until = t_now_ms() + 20000;

	(void)arg;
	while (n_seen < THREADS * EACH && t_now_ms() < until) {
		int n = epoll_wait(shared_ep, ev, 8, 100);

		for (int i = 0; i < n; i++) {
			int fd = (int)ev[i].data.u32;

			n_wrong += so_error(fd) != 0 || !(ev[i].events & EPOLLOUT);
			close(fd);
			n_seen++;
		}
	}
	return NULL;
}

static void *connects(void *arg)
{
	(void)arg;
	for (int i = 0; i < EACH; i++) {
		struct epoll_event ev = { .events = EPOLLOUT | EPOLLONESHOT };
		int one = 1, fd = asked();

		if (i % 3 == 0)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		ev.data.u32 = (uint32_t)fd;
		if (epoll_ctl(shared_ep, EPOLL_CTL_ADD, fd, &ev) < 0)
			n_wrong++;
		if (i % 7 == 0)
			t_sleep_ms(1);
	}
	return NULL;
}

static void *accepts(void *arg)
{
	(void)arg;
	for (int i = 0; i < THREADS * EACH; i++)
		close(accept(l, NULL, NULL));
	return NULL;
}

static void threads_connect_and_threads_wait(void)
{
	pthread_t t[THREADS + 3];

	begin();
	shared_ep = epoll_create1(0);
	pthread_create(&t[0], NULL, accepts, NULL);
	pthread_create(&t[1], NULL, waits, NULL);
	pthread_create(&t[2], NULL, waits, NULL);
	for (int i = 3; i < THREADS + 3; i++)
		pthread_create(&t[i], NULL, connects, NULL);
	for (int i = 1; i < THREADS + 3; i++)
		pthread_join(t[i], NULL);
	pthread_join(t[0], NULL);
	t_out("%d seen, %d wrong", n_seen, n_wrong);
	close(shared_ep);
	close(l);
}

/* ---- many, none, and other processes ---- */
static void more_than_can_be_asked_for(void)
{
	static int fd[MANY], s[MANY];
	int ok = 0;

	begin();
	for (int i = 0; i < MANY; i++)
		fd[i] = asked();
	for (int i = 0; i < MANY; i++)
		s[i] = accept(l, NULL, NULL);
	for (int i = 0; i < MANY; i++)
		ok += t_until(fd[i], POLLOUT) == POLLOUT && so_error(fd[i]) == 0;
	t_out("%d of %d", ok, MANY);
	for (int i = 0; i < MANY; i++) {
		close(fd[i]);
		close(s[i]);
	}
	close(l);
}

static void it_is_closed_at_once(void)
{
	struct pollfd p;

	begin();
	for (int i = 0; i < 3; i++)
		close(asked());
	talk("the next", asked());
	/* What was closed has not stayed. */
	for (p = (struct pollfd){ .fd = l, .events = POLLIN }; poll(&p, 1, 50) == 1;) {
		int s = accept(l, NULL, NULL);
		char c;

		if (t_read_all(s, &c, 1) > 0)
			t_out("something has come");
		close(s);
	}
	close(l);
}

static void nobody_listens_any_more(void)
{
	int ep = epoll_create1(0), fd;

	begin();
	close(l);
	fd = asked();
	t_out("%s", t_mask((uint32_t)t_until(fd, POLLERR)));
	t_res("SO_ERROR", so_error(fd));
	close(fd);
	fd = asked();
	t_res("add", t_epoll_add(ep, fd, EPOLLIN));
	t_out("%s", t_mask(t_epoll_until(ep, fd, EPOLLERR)));
	t_res("read", read(fd, &ep, 1));
	close(fd);
	close(ep);
}

static void a_fork_comes_between(void)
{
	int fd;
	pid_t child;

	begin();
	fd = asked();
	fflush(stdout);
	child = fork();
	if (child == 0) {
		t_until(fd, POLLOUT);
		_exit(write(fd, "c", 1) == 1 ? 3 : 4);
	}
	t_out("the child ends with %d", t_finish(child));
	int s = other(fd);
	char c = 0;

	t_read_all(s, &c, 1);
	t_out("it has sent %c", c);
	close(s);
	close(fd);
	close(l);
}

static void a_program_is_begun_in_between(void)
{
	char number[16];
	char *argv[] = { "sh", "-c", "sleep 0.05; printf e >&$0", number, NULL };
	int fd, s;
	pid_t child;
	char c = 0;

	begin();
	fd = asked();
	snprintf(number, sizeof(number), "%d", fd);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		int own = asked();

		fcntl(own, F_SETFD, 0);
		snprintf(number, sizeof(number), "%d", own);
		execv("/bin/sh", argv);
		_exit(9);
	}
	talk("the parent's", fd);
	s = accept(l, NULL, NULL);
	t_read_all(s, &c, 1);
	t_out("it has sent %c", c);
	t_finish(child);
	close(s);
	close(l);
}

T_MAIN(T_CASE(the_next_call_is_any), T_CASE(an_option_comes_between), T_CASE(poll_and_select_see_it),
       T_CASE(epoll_sees_it), T_CASE(another_thread_sleeps), T_CASE(threads_connect_and_threads_wait),
       T_CASE(more_than_can_be_asked_for), T_CASE(it_is_closed_at_once),
       T_CASE(nobody_listens_any_more), T_CASE(a_fork_comes_between),
       T_CASE(a_program_is_begun_in_between))
