/* poll() and select() of a listener on the stack and one of the kernel's, in a storm of signals: the
 * kernel tells of a signal even where it was told not to wait, and then says nothing about its
 * descriptors. */
// SPDX-License-Identifier: MIT
#include <stddef.h>
#include <sys/select.h>
#include <sys/un.h>
#include "tests/shim/t.h"

enum { ROUNDS = 3000 };
static void on_signal(int sig) { }

/* A listener that nobody connects to. */
static int quiet_listener(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	/* One byte: the kernel chooses an abstract name. */
	if (bind(fd, (struct sockaddr *)&a, offsetof(struct sockaddr_un, sun_path)) < 0 || listen(fd, 8) < 0)
		t_res("listen", -1);
	return fd;
}

/* A child that never lets the parent rest. */
static pid_t storm(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	while (getppid() == parent)
		kill(parent, SIGUSR1);
	_exit(0);
}

static int by_select(int ours, int quiet, bool *wrong)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(ours, &set);
	FD_SET(quiet, &set);
	int r = select((ours > quiet ? ours : quiet) + 1, &set, NULL, NULL, NULL);
	*wrong |= r > 0 && FD_ISSET(quiet, &set);
	return r > 0 && FD_ISSET(ours, &set);
}

static int by_poll(int ours, int quiet, bool *wrong)
{
	struct pollfd p[2] = { { ours, POLLIN, 0 }, { quiet, POLLIN, 0 } };
	int r = poll(p, 2, -1);

	*wrong |= r > 0 && p[1].revents;
	return r > 0 && p[0].revents;
}

static int by_epoll(int ours, int quiet, bool *wrong)
{
	static int ep = -1;
	struct epoll_event ev[2];

	if (ep < 0) {
		ep = epoll_create1(0);
		t_epoll_add(ep, ours, EPOLLIN);
		t_epoll_add(ep, quiet, EPOLLIN);
	}
	int r = epoll_wait(ep, ev, 2, -1), found = 0;
	for (int i = 0; i < r; i++) {
		*wrong |= ev[i].data.fd == quiet;
		found |= ev[i].data.fd == ours;
	}
	return found;
}

static void storm_over(int (*look)(int, int, bool *))
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	int a, b, quiet = quiet_listener(), found = 0;
	uint64_t end = t_now_ms() + 5000;
	bool wrong = false;
	char c;

	t_pair(&a, &b);
	sigaction(SIGUSR1, &sa, NULL);
	pid_t pid = storm();
	for (int i = 0; i < ROUNDS && t_now_ms() < end && !wrong; i++) {
		send(b, "x", 1, 0);
		while (!look(a, quiet, &wrong) && !wrong && t_now_ms() < end)
			;
		found = recv(a, &c, 1, 0) == 1;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	t_out("found %d, and the quiet one %d", found, wrong);
	signal(SIGUSR1, SIG_DFL);
	close(a);
	close(b);
	close(quiet);
}

static void with_select(void) { storm_over(by_select); }
static void with_poll(void) { storm_over(by_poll); }
static void with_epoll(void) { storm_over(by_epoll); }

T_MAIN(T_CASE(with_select), T_CASE(with_poll), T_CASE(with_epoll))
