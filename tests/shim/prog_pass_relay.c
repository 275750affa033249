/* Sockets passed to programs that can't have them: without the shim, or another user's. The relay. */
// SPDX-License-Identifier: MIT
#include "tests/shim/pass.h"

static int role_echo(int via)
{
	int fd = take(via);
	return fd < 0 ? 9 : echo(fd);
}

static int role_events(int via)
{
	struct epoll_event ev;
	char c;
	int fd = take(via), ep = epoll_create1(0), n = 0;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	t_epoll_add(ep, fd, EPOLLIN | EPOLLRDHUP);
	for (;;) {
		if (epoll_wait(ep, &ev, 1, 5000) != 1)
			return 9;
		if (read(fd, &c, 1) != 1)
			return n;
		n++;
		send(fd, &c, 1, 0);
	}
}

static int role_hello(int via)
{
	int fd = take(via);
	return fd >= 0 && send(fd, "hello", 5, 0) == 5 && shutdown(fd, SHUT_WR) == 0 ? echo(fd) : 9;
}

/* Another user must not see the sender's memory. */
static int role_nobody(int via)
{
	return setgid(65534) == 0 && setuid(65534) == 0 ? role_echo(via) : 9;
}

static const struct pass_role roles[] = {
	{ "echo", role_echo }, { "events", role_events }, { "hello", role_hello },
	{ "nobody", role_nobody },
};

static void to_another_user(void) { to_a_program("nobody", false); }
static void to_a_stranger(void) { to_a_program("echo", true); }

static void stranger_waits_for_events(void)
{
	int via, a, b;
	pid_t pid = start("events", &via, true);
	pair_own(&a, &b);
	send(b, "e", 1, 0);
	t_res("give", give(via, a));
	close(a);
	char c = 0;
	t_res("answer", t_read_all(b, &c, 1));
	ask(b, "f");
	shutdown(b, SHUT_WR);
	t_out("events %d", finish(pid));
	gone(b);
	close(b);
	close(via);
}

static void stranger_speaks_first(void)
{
	int via, a, b;
	char buf[16] = { 0 };
	pid_t pid = start("hello", &via, true);
	pair_own(&a, &b);
	t_res("give", give(via, a));
	close(a);
	t_res("read", t_read_all(b, buf, 5));
	t_out("%s", buf);
	t_out("half closed: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	shutdown(b, SHUT_WR);
	t_out("ends with %d", finish(pid));
	close(b);
	close(via);
}

static void *writer(void *arg)
{
	static char block[16384];
	for (int i = 0; i < 128; i++)
		for (size_t at = 0; at < sizeof(block);) {
			ssize_t w = send(*(int *)arg, block + at, sizeof(block) - at, MSG_NOSIGNAL);
			if (w <= 0)
				return NULL;
			at += (size_t)w;
		}
	shutdown(*(int *)arg, SHUT_WR);
	return NULL;
}

static void much_through_a_stranger(void)
{
	static char buf[65536];
	int via, a, b;
	long total = 0;
	ssize_t n;
	pthread_t t;
	pid_t pid = start("echo", &via, true);
	pair_own(&a, &b);
	t_res("give", give(via, a));
	close(a);
	pthread_create(&t, NULL, writer, &b);
	while ((n = read(b, buf, sizeof(buf))) > 0)
		total += n;
	pthread_join(t, NULL);
	t_out("2 MB came back: %ld, ends with %d", total, finish(pid));
	close(b);
	close(via);
}

static void stranger_is_killed_or_reset(void)
{
	int via, a, b;
	pid_t pid = start("echo", &via, true);
	pair_own(&a, &b);
	t_res("give", give(via, a));
	close(a);
	ask(b, "x");
	kill(pid, SIGKILL);
	t_out("ends with %d", finish(pid));
	gone(b);
	close(b);
	close(via);
	pid = start("echo", &via, true);
	pair_own(&a, &b);
	t_res("give", give(via, a));
	close(a);
	ask(b, "y");
	t_reset(b);
	t_out("it has ended: %d", finish(pid) < 3);
	close(via);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(to_another_user), T_CASE(to_a_stranger), T_CASE(stranger_waits_for_events),
		T_CASE(stranger_speaks_first), T_CASE(much_through_a_stranger),
		T_CASE(stranger_is_killed_or_reset),
	};
	int r = pass_role(roles, T_COUNT(roles), argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 4096);
	return r >= 0 ? r : t_run(cases, T_COUNT(cases), argc, argv);
}
