/* SIGKILL of a process inside each kind of call: what becomes of its sockets, and of those that it shared.
 * A killed process is looked at before it is reaped: its sockets go when it ends, not when somebody
 * asks for its status. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/prctl.h>

/* A child that has run `start` and then whatever blocks it. */
struct child {
	pid_t pid;
};

static struct child spawn(void (*run)(int fd, int ready), int fd, int other)
{
	int p[2];
	if (pipe(p) < 0)
		return (struct child){ -1 };
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(p[0]);
		if (other >= 0)
			close(other);
		run(fd, p[1]);
		pause();
		_exit(0);
	}
	close(p[1]);
	char c;
	if (read(p[0], &c, 1) != 1)
		t_out("the child did not start");
	close(p[0]);
	return (struct child){ pid };
}

static void go(int ready) { if (write(ready, "r", 1) != 1) _exit(1); }

/* Still a zombie when this returns. */
static void kill_now(struct child c)
{
	siginfo_t info;
	kill(c.pid, SIGKILL);
	waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOWAIT);
}

static void reap(struct child c)
{
	int status = -1;
	waitpid(c.pid, &status, 0);
	t_out("child: signal %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void tell_end(int fd)
{
	char buf[4096];
	ssize_t n, sum = 0;
	t_out("peer sees %s", t_mask((uint32_t)t_until(fd, POLLRDHUP)));
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sum += n;
	t_out("bytes before the end: %s", sum ? "some" : "none");
	t_res("read", n);
	t_res("send", send(fd, "x", 1, MSG_NOSIGNAL));
	t_until(fd, POLLHUP);
	t_res("send again", send(fd, "x", 1, MSG_NOSIGNAL));
	close(fd);
}

/* ---- one process, one connection ---- */
static void in_recv(int fd, int ready)
{
	char c;
	go(ready);
	read(fd, &c, 1);
}
static void in_send(int fd, int ready)
{
	static char buf[1 << 16];
	t_fill(fd);
	go(ready);
	while (send(fd, buf, sizeof(buf), 0) > 0)
		;
}
static void in_epoll(int fd, int ready)
{
	struct epoll_event ev;
	int ep = epoll_create1(0);
	t_epoll_add(ep, fd, EPOLLIN);
	go(ready);
	epoll_wait(ep, &ev, 1, -1);
}
static void in_poll(int fd, int ready)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	go(ready);
	poll(&p, 1, -1);
}
static void not_reading(int fd, int ready)
{
	t_until(fd, POLLIN);
	go(ready);
}
static void half_closed(int fd, int ready)
{
	shutdown(fd, SHUT_WR);
	go(ready);
}
static void lingering(int fd, int ready)
{
	struct linger lg = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	go(ready);
}
static void *recv_thread(void *arg)
{
	char c;
	read(*(int *)arg, &c, 1);
	return NULL;
}
static void in_threads(int fd, int ready)
{
	pthread_t t;
	for (int i = 0; i < 4; i++)
		pthread_create(&t, NULL, recv_thread, &fd);
	go(ready);
	pause();
}

static void one(void (*run)(int, int), const char *unread)
{
	int a, b;
	t_pair(&a, &b);
	if (unread)
		send(b, unread, strlen(unread), 0);
	struct child c = spawn(run, a, b);
	close(a);
	kill_now(c);
	tell_end(b);
	reap(c);
}

static void killed_in_recv(void) { one(in_recv, NULL); }
/* The end comes behind what was sent, so it shows when that has been read. */
static void killed_in_send(void)
{
	static char buf[1 << 16];
	ssize_t n, sum = 0;
	int a, b;
	t_pair(&a, &b);
	struct child c = spawn(in_send, a, b);
	close(a);
	kill_now(c);
	while ((n = read(b, buf, sizeof(buf))) > 0)
		sum += n;
	t_out("bytes before the end: %s", sum > 1 ? "many" : "too few");
	t_res("read", n);
	t_out("peer sees %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	close(b);
	reap(c);
}
static void killed_in_epoll_wait(void) { one(in_epoll, NULL); }
static void killed_in_poll(void) { one(in_poll, NULL); }
static void killed_with_unread_data(void) { one(not_reading, "unread"); }
static void killed_half_closed(void) { one(half_closed, NULL); }
static void killed_with_linger_0(void) { one(lingering, NULL); }
static void killed_with_threads(void) { one(in_threads, NULL); }

/* ---- listeners ---- */
static void in_accept(int fd, int ready)
{
	go(ready);
	accept(fd, NULL, NULL);
	pause();
}
static void never_accepts(int fd, int ready)
{
	go(ready);
}

static int bound_again(const struct sockaddr_in *addr)
{
	int one_ = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one_, sizeof(one_));
	t_res("the port again: bind", bind(fd, (const struct sockaddr *)addr, sizeof(*addr)));
	t_res("listen", listen(fd, 4));
	return fd;
}

static int dial(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	t_res("connect", connect(fd, (const struct sockaddr *)addr, sizeof(*addr)));
	return fd;
}

static void killed_in_accept(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	struct child c = spawn(in_accept, l, -1);
	close(l);
	kill_now(c);
	/* The engine hears of a death a moment after it. */
	int err = 0;
	for (uint64_t end = t_now_ms() + 1000; err != ECONNREFUSED && t_now_ms() < end;) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		err = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? errno : 0;
		close(fd);
	}
	t_out("connect: %s", t_errname(err));
	close(bound_again(&addr));
	reap(c);
}

static void killed_with_connections_waiting(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr), fd[3];
	struct child c = spawn(never_accepts, l, -1);
	close(l);
	for (int i = 0; i < 3; i++)
		fd[i] = dial(&addr);
	kill_now(c);
	for (int i = 0; i < 3; i++) {
		char x;
		t_out("waiting: %s", t_mask((uint32_t)t_until(fd[i], POLLHUP)));
		t_res("read", read(fd[i], &x, 1));
		close(fd[i]);
	}
	close(bound_again(&addr));
	reap(c);
}

static void killed_after_accept(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	struct child c = spawn(in_accept, l, -1);
	int fd = dial(&addr);
	t_sleep_ms(50); /* it has accepted; the parent has the listener as well */
	kill_now(c);
	t_out("its connection: %s", t_mask((uint32_t)t_until(fd, POLLRDHUP)));
	close(fd);
	fd = dial(&addr);
	int s = accept(l, NULL, NULL);
	t_ok("the parent accepts", s);
	t_res("send", send(s, "x", 1, 0));
	char x;
	t_res("read", read(fd, &x, 1));
	close(s);
	close(fd);
	close(l);
	reap(c);
}

/* Many processes in accept() of one listener, killed one after the other: each connection that somebody
 * alive accepts is answered. */
static void accepts_and_answers(int fd, int ready)
{
	go(ready);
	for (;;) {
		char x;
		int s = accept(fd, NULL, NULL);
		if (s < 0 || read(s, &x, 1) != 1 || send(s, &x, 1, 0) != 1)
			_exit(1);
		close(s);
	}
}

static void workers_killed_one_by_one(void)
{
	enum { N = 4 };
	struct sockaddr_in addr;
	int l = t_listen(64, &addr);
	struct child c[N];
	for (int i = 0; i < N; i++)
		c[i] = spawn(accepts_and_answers, l, -1);
	for (int i = 0; i < N; i++) {
		int good = 0;
		for (int k = 0; k < 20; k++) {
			char x = 0;
			int fd = socket(AF_INET, SOCK_STREAM, 0);
			if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
			    send(fd, "q", 1, 0) == 1 && read(fd, &x, 1) == 1 && x == 'q')
				good++;
			close(fd);
		}
		t_out("with %d workers: %d answers", N - i, good);
		kill_now(c[i]);
	}
	for (int i = 0; i < N; i++)
		reap(c[i]);
	close(l);
}

/* ---- shared connections ---- */
static void killed_sharer(void)
{
	int a, b;
	char x[4];
	t_pair(&a, &b);
	struct child one_ = spawn(in_recv, a, b), two = spawn(not_reading, a, b);
	kill_now(one_);
	t_out("two have it: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	send(b, "abc", 3, 0);
	t_res("the parent reads", t_read_all(a, x, 3));
	close(a);
	t_out("one has it: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	kill_now(two);
	tell_end(b);
	reap(one_);
	reap(two);
}

/* Whatever lock it holds when it is killed: the others go on. The zombie is not reaped before they have. */
static void hammers(int fd, int ready)
{
	char buf[64];
	go(ready);
	for (;;) {
		recv(fd, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);
		send(fd, "h", 1, MSG_DONTWAIT);
	}
}

static void killed_with_a_lock(void)
{
	int a, b, bad = 0;
	char buf[4096];
	t_pair(&a, &b);
	send(b, "0123456789", 10, 0);
	for (int i = 0; i < 40; i++) {
		struct child c = spawn(hammers, a, b);
		uint64_t start = t_now_ms();
		while (t_now_ms() - start < (uint64_t)(i % 4))
			;
		kill_now(c);
		if (recv(a, buf, 10, MSG_PEEK) != 10 || memcmp(buf, "0123456789", 10) != 0)
			bad++;
		while (recv(b, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
		if (send(a, "x", 1, 0) != 1)
			bad++;
		waitpid(c.pid, NULL, 0);
	}
	t_out("calls that failed afterwards: %d", bad);
	shutdown(a, SHUT_WR);
	ssize_t n;
	while ((n = read(b, buf, sizeof(buf))) > 0)
		;
	t_res("end of the stream", n);
	t_res("the other way", t_read_all(a, buf, 10));
	close(a);
	close(b);
}

/* ---- trees ---- */
static void with_grandchild(int fd, int ready)
{
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, 0);
		char x;
		go(ready);
		if (read(fd, &x, 1) == 1)
			send(fd, &x, 1, 0);
		_exit(0);
	}
	pause();
}

static void grandchild_outlives_child(void)
{
	int a, b;
	char x;
	t_pair(&a, &b);
	struct child c = spawn(with_grandchild, a, b);
	close(a);
	kill_now(c);
	reap(c);
	t_out("the grandchild has it: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	send(b, "g", 1, 0);
	t_res("it answers", read(b, &x, 1));
	t_out("and ends: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	close(b);
}

static void forks_for_ever(int fd, int ready)
{
	go(ready);
	for (;;) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

static void killed_in_fork(void)
{
	int good = 0;
	for (int i = 0; i < 20; i++) {
		int a, b;
		char x;
		t_pair(&a, &b);
		struct child c = spawn(forks_for_ever, a, b);
		close(a);
		t_sleep_ms(i % 5);
		kill_now(c);
		if (t_until(b, POLLRDHUP) & POLLRDHUP && read(b, &x, 1) == 0)
			good++;
		waitpid(c.pid, NULL, 0);
		close(b);
	}
	t_out("ended within a second: %d of 20", good);
}

static void cloexec_goes_at_exec(void)
{
	int a, b;
	t_pair(&a, &b);
	fcntl(a, F_SETFD, FD_CLOEXEC);
	pid_t pid = fork();
	if (pid == 0) {
		close(b);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/bin/sleep", "sleep", "100", (char *)NULL);
		_exit(99);
	}
	close(a);
	tell_end(b);
	t_out("the program runs: %d", kill(pid, 0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- stopped, not killed ---- */
static void stopped_with_a_full_window(void)
{
	int a, b, x, y;
	char c;
	t_pair(&a, &b);
	struct child kid = spawn(never_accepts, a, b);
	close(a);
	kill(kid.pid, SIGSTOP);
	t_out("much fits: %d", t_fill(b) > 10000);
	t_pair(&x, &y);
	send(x, "o", 1, 0);
	t_res("others go on", read(y, &c, 1));
	close(x);
	close(y);
	t_out("nothing happens to it: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	kill_now(kid);
	t_out("killed: %s", t_mask((uint32_t)t_until(b, POLLHUP)));
	t_res("read", read(b, &c, 1));
	close(b);
	reap(kid);
}

/* ---- datagrams ---- */
static void in_recvfrom(int fd, int ready)
{
	char c;
	go(ready);
	recvfrom(fd, &c, 1, 0, NULL, NULL);
}

static void datagram_port_comes_back(void)
{
	struct sockaddr_in addr = t_addr(0);
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	getsockname(fd, (struct sockaddr *)&addr, &len);
	struct child c = spawn(in_recvfrom, fd, -1);
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	t_res("taken", bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	kill_now(c);
	int r = -1;
	for (uint64_t end = t_now_ms() + 1000; r < 0 && t_now_ms() < end;)
		r = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	t_res("free", r);
	close(fd);
	reap(c);
}

T_MAIN(T_CASE(killed_in_recv), T_CASE(killed_in_send), T_CASE(killed_in_epoll_wait),
       T_CASE(killed_in_poll), T_CASE(killed_with_unread_data), T_CASE(killed_half_closed),
       T_CASE(killed_with_linger_0), T_CASE(killed_with_threads), T_CASE(killed_in_accept),
       T_CASE(killed_with_connections_waiting), T_CASE(killed_after_accept),
       T_CASE(workers_killed_one_by_one), T_CASE(killed_sharer), T_CASE(killed_with_a_lock),
       T_CASE(grandchild_outlives_child), T_CASE(killed_in_fork), T_CASE(cloexec_goes_at_exec),
       T_CASE(stopped_with_a_full_window), T_CASE(datagram_port_comes_back))
