/* A socket that is bound and nothing else yet when a fork shares it: either process makes it a listener or
 * a connection, and the other one has that, too. Also in two threads, one of which forks while the other is
 * between bind() and listen(). */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

/* The two take turns: a byte in a pipe says that the other may go on. */
static int to_child[2], to_parent[2];
static pid_t child;

static void turn(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		_exit(9);
}
static void parent_waits(void) { turn(to_parent[0]); }
static void child_waits(void) { turn(to_child[0]); }
static void parent_is_done(void) { write(to_child[1], "x", 1); }
static void child_is_done(void) { write(to_parent[1], "x", 1); }

static int bound(const struct sockaddr_in *to)
{
	struct sockaddr_in at = *to;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (void *)&at, sizeof(at)) < 0)
		t_out("bind: %s", t_errname(errno));
	return fd;
}

static bool forks(void)
{
	if (pipe(to_child) < 0 || pipe(to_parent) < 0)
		t_out("pipe: %s", t_errname(errno));
	fflush(stdout);
	child = fork();
	return child == 0;
}

static void over(void)
{
	t_out("the child ends with %d", t_finish(child));
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
}

static int is_listening(int fd)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &len) < 0 ? -1 : v;
}

/* A connection to l through accept() of this process. */
static int serves(int l)
{
	struct sockaddr_in at = t_addr(t_port(l));
	int c = t_connect_to(&at), s = accept(l, NULL, NULL);
	char got = 0;
	int ok = s >= 0 && send(c, "a", 1, 0) == 1 && t_read_all(s, &got, 1) == 1 && got == 'a';

	close(c);
	close(s);
	return ok;
}

static void other_listens(const struct sockaddr_in *to, bool parent)
{
	int fd = bound(to);

	if (forks()) {
		if (parent) {
			int before = is_listening(fd), early = accept(fd, NULL, NULL) < 0 ? errno : 0;

			child_is_done();
			child_waits();
			_exit(before * 8 + is_listening(fd) * 4 + serves(fd) * 2 + (early != EINVAL));
		}
		_exit(listen(fd, 4) < 0 ? 1 : 0);
	}
	if (parent) {
		parent_waits();
		t_res("listen", listen(fd, 4));
		parent_is_done();
		over();
	} else {
		over();
		t_out("listening: %d", is_listening(fd));
		t_out("poll: %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT)));
	}
	t_out("serves: %d", serves(fd));
	close(fd);
}

static struct sockaddr_in own(void) { return t_addr(0); }
static struct sockaddr_in any(void)
{
	struct sockaddr_in a = t_addr(0);

	a.sin_addr.s_addr = htonl(INADDR_ANY);
	return a;
}

static void parent_listens(void)
{
	struct sockaddr_in to[] = { own(), any() };

	for (size_t i = 0; i < T_COUNT(to); i++)
		other_listens(&to[i], true);
}

static void child_listens(void)
{
	struct sockaddr_in to[] = { own(), any() };

	for (size_t i = 0; i < T_COUNT(to); i++)
		other_listens(&to[i], false);
}

static void child_has_nothing_to_do_with_it(void)
{
	struct sockaddr_in to[] = { own(), any() };

	for (size_t i = 0; i < T_COUNT(to); i++) {
		int fd = bound(&to[i]);

		if (forks())
			_exit(0);
		over();
		t_res("listen", listen(fd, 4));
		t_out("serves: %d", serves(fd));
		close(fd);
	}
}

/* The daemon: binds, forks, and the first process ends. */
static void child_serves_alone(void)
{
	struct sockaddr_in to = own(), at;
	int fd = bound(&to);
	char c = 0;

	at = t_addr(t_port(fd));
	if (forks()) {
		child_waits();
		int s, bad = listen(fd, 4) < 0;

		child_is_done();
		s = accept(fd, NULL, NULL);
		_exit(bad || s < 0 || send(s, "d", 1, 0) != 1);
	}
	close(fd);
	parent_is_done();
	parent_waits();
	fd = t_connect_to(&at);
	t_read_all(fd, &c, 1);
	t_out("from the child: %c", c);
	close(fd);
	over();
}

static void both_listen(void)
{
	struct sockaddr_in to = own();
	int fd = bound(&to);

	if (forks()) {
		child_waits();
		_exit(listen(fd, 8) < 0 ? 1 : is_listening(fd) == 1 && serves(fd) ? 0 : 2);
	}
	t_res("listen", listen(fd, 4));
	parent_is_done();
	over();
	t_out("serves: %d", serves(fd));
	close(fd);
}

static void epoll_of_the_other(void)
{
	struct sockaddr_in to = own(), at;
	struct epoll_event ev = { 0 };
	int fd = bound(&to);

	at = t_addr(t_port(fd));
	if (forks()) {
		int ep = epoll_create1(0), n, s;

		t_epoll_add(ep, fd, EPOLLIN);
		n = epoll_wait(ep, &ev, 1, 0);
		if (n != 1 || !(ev.events & EPOLLHUP))
			_exit(1);
		child_is_done();
		child_waits();
		n = epoll_wait(ep, &ev, 1, 10000);
		if (n != 1 || ev.events != EPOLLIN)
			_exit(2);
		s = accept(fd, NULL, NULL);
		_exit(s < 0 || send(s, "e", 1, 0) != 1 ? 3 : 0);
	}
	char c = 0;

	parent_waits();
	t_res("listen", listen(fd, 4));
	int conn = t_connect_to(&at);
	parent_is_done();
	t_read_all(conn, &c, 1);
	t_out("got %c", c ? c : '-');
	over();
	close(conn);
	close(fd);
}

static void other_connects(void)
{
	struct sockaddr_in at, to[] = { own(), any() };
	int l = t_listen(4, &at);

	for (size_t i = 0; i < T_COUNT(to); i++) {
		int fd = bound(&to[i]), s;
		char c = 0;

		if (forks())
			_exit(connect(fd, (void *)&at, sizeof(at)) < 0 ? 1 : 0);
		over();
		s = accept(l, NULL, NULL);
		t_res("send", send(fd, "p", 1, 0));
		t_res("recv", t_read_all(s, &c, 1));
		t_res("connect", connect(fd, (void *)&at, sizeof(at)));
		t_out("poll: %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT)));
		close(fd);
		t_gone(s);
		close(s);
	}
	close(l);
}

static void *forks_and_reaps(void *arg)
{
	volatile int *stop = arg;
	intptr_t bad = 0;

	while (!*stop) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		bad += t_finish(pid) != 0;
	}
	return (void *)bad;
}

static void thread_forks_meanwhile(void)
{
	int stop = 0, good = 0;
	pthread_t thread;
	void *bad;

	pthread_create(&thread, NULL, forks_and_reaps, &stop);
	for (int i = 0; i < 200; i++) {
		struct sockaddr_in to = i % 2 ? own() : any();
		int fd = bound(&to);

		sched_yield();
		good += listen(fd, 4) == 0 && serves(fd);
		close(fd);
	}
	*(volatile int *)&stop = 1;
	pthread_join(thread, &bad);
	t_out("served: %d of 200", good);
	t_out("children that did not end well: %d", (int)(intptr_t)bad);
}

T_MAIN(T_CASE(parent_listens), T_CASE(child_listens), T_CASE(child_has_nothing_to_do_with_it),
       T_CASE(child_serves_alone), T_CASE(both_listen), T_CASE(epoll_of_the_other), T_CASE(other_connects),
       T_CASE(thread_forks_meanwhile))
