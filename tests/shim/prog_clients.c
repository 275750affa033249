/* Sockets of several clients in one process: those that programs started apart have given to it and its own,
 * in one epoll set, poll() or select(); each wakes, and who waits sleeps. */
// SPDX-License-Identifier: MIT
#include "tests/shim/pass.h"
#include <sys/resource.h>
#include <sys/select.h>

enum { LENT_MAX = 6 };
struct lender {
	pid_t pid;
	int via, fd;
};

/* Gives one end of a pair of its own away and echoes at the other. */
static int role_lend(int via)
{
	int a, b;
	t_pair(&a, &b);
	if (give(via, a) != 1)
		return 9;
	close(a);
	return echo(b);
}

static const struct pass_role roles[] = { { "lend", role_lend } };

static struct lender borrow(void)
{
	struct lender l;
	l.pid = start("lend", &l.via, false);
	l.fd = take(l.via);
	fcntl(l.fd, F_SETFD, FD_CLOEXEC);
	return l;
}

static void give_back(struct lender *l)
{
	close(l->fd);
	t_out("lender ends with %d", finish(l->pid));
	close(l->via);
}

static long switches(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_nvcsw;
}

static void wake(int ep, int to, int expect, const char *what)
{
	struct epoll_event ev = { 0 };
	char c;
	t_res(what, send(to, "w", 1, 0));
	int n = epoll_wait(ep, &ev, 1, 5000);
	t_out("%d event, the right one: %d", n, ev.data.fd == expect);
	t_res("read", read(expect, &c, 1));
}

/* Nothing happens for a while: whoever looked every two milliseconds would be seen. */
static void idle(int ep)
{
	struct epoll_event ev;
	long before = switches();
	int n = epoll_wait(ep, &ev, 1, 150);
	t_out("idle: %d events, few switches: %d", n, switches() - before < 20);
}

static void in_one_set(void)
{
	struct lender l = borrow();
	int a, b, ep = epoll_create1(EPOLL_CLOEXEC);
	pair_own(&a, &b);
	t_epoll_add(ep, b, EPOLLIN);
	t_epoll_add(ep, l.fd, EPOLLIN);
	for (int i = 0; i < 3; i++) {
		wake(ep, l.fd, l.fd, "the lender's");
		wake(ep, a, b, "our own");
	}
	idle(ep);
	t_res("one goes", epoll_ctl(ep, EPOLL_CTL_DEL, l.fd, NULL));
	wake(ep, a, b, "our own");
	t_epoll_add(ep, l.fd, EPOLLIN | EPOLLET);
	wake(ep, l.fd, l.fd, "edge-triggered");
	close(ep);
	close(a);
	close(b);
	give_back(&l);
}

static void only_borrowed(void)
{
	struct lender one = borrow(), two = borrow();
	int ep = epoll_create1(EPOLL_CLOEXEC);
	t_epoll_add(ep, one.fd, EPOLLIN);
	t_epoll_add(ep, two.fd, EPOLLIN);
	wake(ep, one.fd, one.fd, "one");
	wake(ep, two.fd, two.fd, "two");
	idle(ep);
	give_back(&two);
	wake(ep, one.fd, one.fd, "one");
	close(ep);
	give_back(&one);
}

/* More than there can be queues in a set. */
static void many(void)
{
	struct lender l[LENT_MAX];
	int a, b, ep = epoll_create1(EPOLL_CLOEXEC);
	pair_own(&a, &b);
	t_epoll_add(ep, b, EPOLLIN);
	for (int i = 0; i < LENT_MAX; i++) {
		l[i] = borrow();
		t_epoll_add(ep, l[i].fd, i % 2 ? EPOLLIN : EPOLLIN | EPOLLET);
	}
	for (int i = 0; i < 2 * LENT_MAX; i++)
		wake(ep, l[i % LENT_MAX].fd, l[i % LENT_MAX].fd, "lent");
	wake(ep, a, b, "our own");
	for (int i = 0; i < LENT_MAX; i++)
		give_back(&l[i]);
	wake(ep, a, b, "our own");
	idle(ep);
	close(ep);
	close(a);
	close(b);
}

static void by_poll(void)
{
	struct lender l = borrow();
	int a, b;
	char c;
	pair_own(&a, &b);
	struct pollfd p[2] = { { .fd = b, .events = POLLIN }, { .fd = l.fd, .events = POLLIN } };
	for (int i = 0; i < 4; i++) {
		t_res("send", send(i % 2 ? a : l.fd, "p", 1, 0));
		int n = poll(p, 2, 5000);
		t_out("poll: %d %d %d", n, p[0].revents, p[1].revents);
		t_res("read", read(i % 2 ? b : l.fd, &c, 1));
	}
	long before = switches();
	int n = poll(p, 2, 150);
	t_out("idle: %d, few switches: %d", n, switches() - before < 20);
	close(a);
	close(b);
	give_back(&l);
}

static void by_select(void)
{
	struct lender l = borrow();
	int a, b;
	char c;
	pair_own(&a, &b);
	for (int i = 0; i < 5; i++) {
		struct timeval tv = { 5, 0 };
		fd_set set;
		FD_ZERO(&set);
		FD_SET(b, &set);
		FD_SET(l.fd, &set);
		long before = switches();
		if (i == 4)
			tv = (struct timeval){ 0, 150000 };
		else
			t_res("send", send(i % 2 ? a : l.fd, "p", 1, 0));
		int n = select((b > l.fd ? b : l.fd) + 1, &set, NULL, NULL, &tv);
		t_out("select: %d %d %d", n, !!FD_ISSET(b, &set), !!FD_ISSET(l.fd, &set));
		if (i < 4)
			t_res("read", read(i % 2 ? b : l.fd, &c, 1));
		else
			t_out("idle: few switches: %d", switches() - before < 20);
	}
	close(a);
	close(b);
	give_back(&l);
}

/* One set inside another, each with a socket of another client. */
static void nested(void)
{
	struct lender l = borrow();
	struct epoll_event ev = { 0 };
	char c;
	int a, b, in = epoll_create1(EPOLL_CLOEXEC), out = epoll_create1(EPOLL_CLOEXEC);
	pair_own(&a, &b);
	t_epoll_add(in, l.fd, EPOLLIN);
	t_epoll_add(out, in, EPOLLIN);
	t_epoll_add(out, b, EPOLLIN);
	for (int i = 0; i < 4; i++) {
		t_res("send", send(i % 2 ? a : l.fd, "n", 1, 0));
		int n = epoll_wait(out, &ev, 1, 5000);
		t_out("outer: %d, the right one: %d", n, ev.data.fd == (i % 2 ? b : in));
		t_res("read", read(i % 2 ? b : l.fd, &c, 1));
	}
	idle(out);
	close(in);
	close(out);
	close(a);
	close(b);
	give_back(&l);
}

struct adder {
	int tid, ep, fd;
};

static void *adds(void *arg)
{
	struct adder *w = arg;
	t_until_asleep(w->tid);
	t_epoll_add(w->ep, w->fd, EPOLLIN);
	send(w->fd, "t", 1, 0);
	return NULL;
}

/* The second queue opens while another thread sleeps in the set. */
static void added_while_asleep(void)
{
	struct lender l = borrow();
	struct epoll_event ev = { 0 };
	pthread_t t;
	char c;
	int a, b, ep = epoll_create1(EPOLL_CLOEXEC);
	struct adder w = { t_self(), ep, l.fd };
	pair_own(&a, &b);
	t_epoll_add(ep, b, EPOLLIN);
	pthread_create(&t, NULL, adds, &w);
	int n = epoll_wait(ep, &ev, 1, 5000);
	t_out("%d event, the lender's: %d", n, ev.data.fd == l.fd);
	pthread_join(t, NULL);
	t_res("read", read(l.fd, &c, 1));
	close(ep);
	close(a);
	close(b);
	give_back(&l);
}

static void in_a_child(void)
{
	struct lender l = borrow();
	int a, b, ep = epoll_create1(EPOLL_CLOEXEC);
	pair_own(&a, &b);
	t_epoll_add(ep, b, EPOLLIN);
	t_epoll_add(ep, l.fd, EPOLLIN);
	wake(ep, l.fd, l.fd, "before");
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		wake(ep, l.fd, l.fd, "child: the lender's");
		wake(ep, a, b, "child: our own");
		idle(ep);
		fflush(stdout);
		_exit(0);
	}
	t_out("child ends with %d", finish(pid));
	wake(ep, l.fd, l.fd, "after: the lender's");
	wake(ep, a, b, "after: our own");
	close(ep);
	close(a);
	close(b);
	give_back(&l);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(in_one_set), T_CASE(only_borrowed), T_CASE(many), T_CASE(by_poll),
		T_CASE(by_select), T_CASE(nested), T_CASE(added_while_asleep), T_CASE(in_a_child),
	};
	int r = pass_role(roles, T_COUNT(roles), argc, argv);

	return r >= 0 ? r : t_run(cases, T_COUNT(cases), argc, argv);
}
