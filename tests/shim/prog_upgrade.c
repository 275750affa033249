/* `fastnet engine upgrade` under a program that goes on: its listeners, bound sockets and datagram
 * sockets are served by the new engine, its connections by the old one, and it notices nothing. Bare,
 * nothing is upgraded.
 *
 * The cases run in one process: what `before` has set up is looked at by the others. */
// SPDX-License-Identifier: MIT
#include "tests/shim/upgrade.h"
#include <sys/resource.h>

static struct sockaddr_in addr_of(int fd)
{
	struct sockaddr_in a = t_addr(0);
	socklen_t len = sizeof(a);
	getsockname(fd, (struct sockaddr *)&a, &len);
	return a;
}

/* ---- servers ---- */
static int serve_one(int s)
{
	char c;
	ssize_t n = read(s, &c, 1);
	if (n == 1 && send(s, &c, 1, MSG_NOSIGNAL) == 1)
		return 1;
	close(s);
	return 0;
}

static void *by_blocking_accept(void *arg)
{
	for (;;) {
		int s = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC);
		if (s < 0)
			return NULL;
		while (serve_one(s))
			;
	}
}

static void by_epoll(int l, uint32_t how)
{
	struct epoll_event ev;
	int ep = epoll_create1(EPOLL_CLOEXEC), s;
	t_epoll_add(ep, l, EPOLLIN | how);
	while (epoll_wait(ep, &ev, 1, -1) == 1 || errno == EINTR) {
		if (ev.data.fd != l)
			serve_one(ev.data.fd);
		else
			while ((s = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
				t_epoll_add(ep, s, EPOLLIN);
	}
}

static void *by_edges(void *arg)
{
	by_epoll(*(int *)arg, EPOLLET);
	return NULL;
}

static void *by_poll(void *arg)
{
	struct pollfd p[2] = { { .fd = *(int *)arg, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	while (poll(p, 2, -1) > 0) {
		if (p[1].revents && !serve_one(p[1].fd))
			p[1].fd = -1;
		if (p[0].revents && p[1].fd < 0)
			p[1].fd = accept4(p[0].fd, NULL, NULL, SOCK_CLOEXEC);
	}
	return NULL;
}

static void *by_recvfrom(void *arg)
{
	struct sockaddr_in from;
	char buf[64];
	ssize_t n;
	for (;;) {
		socklen_t len = sizeof(from);
		n = recvfrom(*(int *)arg, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		if (n < 0)
			return NULL;
		sendto(*(int *)arg, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

static void start_thread(void *(*run)(void *), int *fd)
{
	pthread_t t;
	pthread_create(&t, NULL, run, fd);
	pthread_detach(t);
}

/* ---- what there is before ---- */
static int blocking, edges, polled, shared, udp, queued, alone, worker_only, bound, bound_any, unread,
	fresh_udp;
static struct sockaddr_in at_blocking, at_edges, at_polled, at_shared, at_udp, at_queued, at_alone, at_unread,
	at_worker, at_any;
static int old_a, old_b, waiting[3], by_two[2], udp_client;
static pid_t child, worker;

static int nonblock(int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int udp_bound(struct sockaddr_in *a)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	*a = t_addr(0);
	bind(fd, (struct sockaddr *)a, sizeof(*a));
	*a = addr_of(fd);
	return fd;
}

static pid_t child_serving(int l)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		by_epoll(nonblock(l), 0);
		_exit(0);
	}
	return pid;
}

static int bound_to(struct sockaddr_in a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bind(fd, (struct sockaddr *)&a, sizeof(a));
	return fd;
}

static void before(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	char word[8];
	t_upgrade_prepare();
	shared = t_listen(64, &at_shared);
	child = child_serving(shared);
	worker_only = t_listen(64, &at_worker);
	worker = child_serving(worker_only);
	close(worker_only);
	blocking = t_listen(64, &at_blocking);
	edges = nonblock(t_listen(64, &at_edges));
	polled = t_listen(64, &at_polled);
	queued = nonblock(t_listen(64, &at_queued));
	alone = t_listen(64, &at_alone);
	udp = udp_bound(&at_udp);
	unread = udp_bound(&at_unread);
	fresh_udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bound = bound_to(t_addr(0));
	bound_any = bound_to(any);
	at_any = addr_of(bound_any);
	start_thread(by_blocking_accept, &blocking);
	start_thread(by_edges, &edges);
	start_thread(by_poll, &polled);
	start_thread(by_recvfrom, &udp);
	t_pair(&old_a, &old_b);
	for (int i = 0; i < 3; i++) {
		waiting[i] = dial(&at_queued);
		send(waiting[i], &"abc"[i], 1, 0);
	}
	udp_client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	connect(udp_client, (struct sockaddr *)&at_udp, sizeof(at_udp));
	for (int i = 0; i < 3; i++) {
		snprintf(word, sizeof(word), "word %d", i);
		sendto(udp_client, word, 6, 0, (struct sockaddr *)&at_unread, sizeof(at_unread));
	}
	t_out("blocking %d edges %d polled %d shared %d worker %d udp %d", served(&at_blocking),
	      served(&at_edges), served(&at_polled), served(&at_shared), served(&at_worker),
	      asked(udp_client));
}

/* ---- meanwhile ---- */
static _Atomic bool over;
static _Atomic int tries, failures;

static void *storm(void *arg)
{
	const struct sockaddr_in *to[] = { &at_edges, &at_shared, &at_worker };
	while (!over) {
		failures += !served(to[tries % 3]);
		tries++;
	}
	return NULL;
}

static void upgrade(void)
{
	int keep = dial(&at_edges), good = 0;
	pthread_t t;
	pthread_create(&t, NULL, storm, NULL);
	t_out("upgraded: %d", t_upgrade());
	for (int i = 0; i < 20; i++) {
		good += asked(keep);
		t_sleep_ms(5);
	}
	over = true;
	pthread_join(t, NULL);
	t_out("connections meanwhile: %s, failures %d", tries > 0 ? "some" : "none", failures);
	t_out("answers on an old one: %d", good);
	close(keep);
}

/* ---- and after ---- */
static void connections_stay(void)
{
	char buf[4];
	t_res("send", send(old_a, "abcd", 4, 0));
	t_res("read", t_read_all(old_b, buf, 4));
	t_res("send", send(old_b, "abcd", 4, 0));
	t_res("read", t_read_all(old_a, buf, 4));
}

static void listeners_serve(void)
{
	t_out("blocking %d edges %d polled %d shared %d worker %d", served(&at_blocking),
	      served(&at_edges), served(&at_polled), served(&at_shared), served(&at_worker));
	int fd = dial(&at_alone);
	int s = accept(alone, NULL, NULL);
	t_ok("nobody slept on it: accept", s);
	t_res("send", send(fd, "x", 1, 0));
	char c;
	t_res("read", read(s, &c, 1));
	close(fd);
	close(s);
}

/* Those that wait in the queue since before, and one more. */
static void queues_are_kept(void)
{
	char c[2] = { 0 };
	int more = dial(&at_queued);
	send(more, "d", 1, 0);
	for (int i = 0; i < 4; i++) {
		t_out("readable: %d", !!(t_until(queued, POLLIN) & POLLIN));
		int s = accept(queued, NULL, NULL);
		t_ok("accept", s);
		fcntl(s, F_SETFL, 0);
		t_res("read", read(s, c, 1));
		t_out("%s", c);
		close(s);
	}
	t_res("none left: accept", accept(queued, NULL, NULL));
	close(more);
	for (int i = 0; i < 3; i++)
		close(waiting[i]);
}

static void datagrams_are_kept(void)
{
	char buf[16] = { 0 };
	t_out("the echo answers: %d", asked(udp_client));
	sendto(udp_client, "word 3", 6, 0, (struct sockaddr *)&at_unread, sizeof(at_unread));
	for (int i = 0; i < 4; i++) {
		t_out("readable: %d", !!(t_until(unread, POLLIN) & POLLIN));
		t_res("recv", recv(unread, buf, sizeof(buf), MSG_DONTWAIT));
		t_out("%s", buf);
	}
	t_res("no more: recv", recv(unread, buf, sizeof(buf), MSG_DONTWAIT));
	t_res("sendto", sendto(fresh_udp, "q", 1, 0, (struct sockaddr *)&at_udp, sizeof(at_udp)));
	t_until(fresh_udp, POLLIN);
	t_res("recv", recv(fresh_udp, buf, sizeof(buf), MSG_DONTWAIT));
}

static void bound_ones(void)
{
	struct sockaddr_in a = addr_of(bound);
	t_res("listen", listen(bound, 8));
	int fd = dial(&a);
	t_ok("accept", accept(bound, NULL, NULL));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	t_res("its port: bind", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
	/* From a given port it works if that is of the right data thread. */
	if (strcmp(getenv("FN_TEST_WORKERS") ?: "1", "1") != 0)
		return;
	a = at_edges;
	t_res("connect", connect(bound_any, (struct sockaddr *)&a, sizeof(a)));
	t_out("answers: %d, its port is kept: %d", asked(bound_any),
	      addr_of(bound_any).sin_port == at_any.sin_port);
	close(bound_any);
}

static void ports_are_taken(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	t_res("a listener's: bind", bind(fd, (struct sockaddr *)&at_edges, sizeof(at_edges)));
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	t_res("a datagram socket's: bind", bind(fd, (struct sockaddr *)&at_udp, sizeof(at_udp)));
	close(fd);
}

/* Sockets of both engines: in one set, inherited by a child, given to it. */
static void both_in_one_set(void)
{
	int a, b, ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { 0 };
	char c;
	t_pair(&a, &b);
	t_epoll_add(ep, b, EPOLLIN);
	t_epoll_add(ep, old_b, EPOLLIN);
	for (int i = 0; i < 6; i++) {
		t_res("send", send(i % 2 ? a : old_a, "s", 1, 0));
		int n = epoll_wait(ep, &ev, 1, 5000);
		t_out("%d event, the right one: %d", n, ev.data.fd == (i % 2 ? b : old_b));
		t_res("read", read(i % 2 ? b : old_b, &c, 1));
	}
	by_two[0] = a;
	by_two[1] = b;
	close(ep);
}

static void in_a_child(void)
{
	char c;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		int good = read(old_b, &c, 1) == 1 && send(old_b, &c, 1, 0) == 1 &&
			   read(by_two[1], &c, 1) == 1 && send(by_two[1], &c, 1, 0) == 1;
		_exit(good ? 0 : 1);
	}
	int old = asked(old_a), new = asked(by_two[0]);
	t_out("old %d new %d", old, new);
	t_out("child ends with %d", t_finish(pid));
}

static int role_echo(int via)
{
	int fd = take(via);
	return fd < 0 ? 9 : echo(fd);
}

static const struct pass_role roles[] = { { "echo", role_echo } };

static void given_away(void)
{
	for (int i = 0; i < 2; i++) {
		int via, mine = i ? by_two[0] : old_a, *its = i ? &by_two[1] : &old_b;
		fcntl(mine, F_SETFD, FD_CLOEXEC);
		fcntl(*its, F_SETFD, FD_CLOEXEC);
		pid_t pid = start("echo", &via, false);
		t_res("give", give(via, *its));
		close(*its);
		t_out("%s: %d", i ? "new" : "old", asked(mine));
		shutdown(mine, SHUT_WR);
		t_out("ends with %d", t_finish(pid));
		close(mine);
		close(via);
	}
}

/* A child killed now takes nothing along that the parent has, too. */
static void children_end(void)
{
	kill(child, SIGKILL);
	kill(worker, SIGKILL);
	t_out("%d %d", t_finish(child), t_finish(worker));
	int fd = dial(&at_shared);
	t_until(shared, POLLIN);
	int s = accept(shared, NULL, NULL);
	t_ok("the parent accepts", s);
	close(s);
	close(fd);
	fd = -1;
	for (uint64_t end = t_now_ms() + 1000; t_now_ms() < end; t_sleep_ms(2)) {
		fd = dial(&at_worker);
		if (fd < 0)
			break;
		close(fd);
	}
	t_out("the worker's port is closed: %d", fd < 0);
}

static void nothing_is_left_behind(void)
{
	t_out("%d", t_left_behind());
}

/* When nothing of the past is left to wait for, nobody looks for it. */
static void sleeps_again(void)
{
	struct pollfd p = { .fd = alone, .events = POLLIN };
	struct rusage u;
	long few = 0;
	for (int i = 0; i < 20 && !few; i++) {
		getrusage(RUSAGE_THREAD, &u);
		long was = u.ru_nvcsw;
		poll(&p, 1, 150);
		getrusage(RUSAGE_THREAD, &u);
		few = u.ru_nvcsw - was < 20;
	}
	t_out("few switches: %ld", few);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(before), T_CASE(upgrade), T_CASE(connections_stay), T_CASE(listeners_serve),
		T_CASE(queues_are_kept), T_CASE(datagrams_are_kept), T_CASE(bound_ones),
		T_CASE(ports_are_taken), T_CASE(both_in_one_set), T_CASE(in_a_child), T_CASE(given_away),
		T_CASE(nothing_is_left_behind), T_CASE(children_end), T_CASE(sleeps_again),
	};
	int r = pass_role(roles, T_COUNT(roles), argc, argv);

	return r >= 0 ? r : t_run(cases, T_COUNT(cases), argc, argv);
}
