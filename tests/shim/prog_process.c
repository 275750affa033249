/* fork and other programs: sharing sockets with a child, whose end must not harm the parent. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sched.h>
#include <spawn.h>

extern char **environ;

static void child_uses_the_parents_sockets(void)
{
	int a, b;
	char buf[16] = { 0 };
	t_pair(&a, &b);
	pid_t pid = fork();
	if (pid == 0) {
		ssize_t n = read(a, buf, 4);
		if (n == 4 && send(a, "child", 5, 0) == 5)
			_exit(7);
		_exit(1);
	}
	send(b, "ping", 4, 0);
	t_out("child ends with %d", t_finish(pid));
	t_res("answer", t_read_all(b, buf, 5));
	t_out("%s", buf);
	t_out("its exit closes nothing: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	send(a, "parent", 6, 0);
	t_res("parent goes on", t_read_all(b, buf, 6));
	t_out("%s", buf);
	close(a);
	t_out("parent closes: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	close(b);
}

static void parent_closes_child_serves(void)
{
	struct sockaddr_in addr;
	char buf[16] = { 0 };
	int l = t_listen(4, &addr);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	connect(c, (struct sockaddr *)&addr, sizeof(addr));
	int s = accept(l, NULL, NULL);
	pid_t pid = fork();
	if (pid == 0) {
		close(l);
		close(c);
		ssize_t n;
		while ((n = read(s, buf, sizeof(buf))) > 0)
			send(s, buf, (size_t)n, 0);
		_exit(n == 0 ? 0 : 1);
	}
	close(s);
	send(c, "echo", 4, 0);
	t_res("the child answers", t_read_all(c, buf, 4));
	t_out("%s", buf);
	shutdown(c, SHUT_WR);
	t_res("end", read(c, buf, 1));
	t_out("child ends with %d", t_finish(pid));
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	t_res("the listener lives", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	close(c);
	close(l);
}

static void children_accept(void)
{
	enum { N = 3, CLIENTS = 9 };
	struct sockaddr_in addr;
	int l = t_listen(16, &addr), good = 0;
	pid_t pid[N];
	for (int i = 0; i < N; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (int k = 0; k < CLIENTS / N; k++) {
			char c;
			int s = accept(l, NULL, NULL);
			if (s < 0 || read(s, &c, 1) != 1 || send(s, &c, 1, 0) != 1)
				_exit(1);
			close(s);
		}
		_exit(0);
	}
	for (int k = 0; k < CLIENTS; k++) {
		char c = (char)k, back = -1;
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
		    send(fd, &c, 1, 0) == 1 && t_read_all(fd, &back, 1) == 1 && back == c)
			good++;
		close(fd);
	}
	t_out("answered %d of %d", good, CLIENTS);
	for (int i = 0; i < N; i++)
		t_out("child %d ends with %d", i, t_finish(pid[i]));
	close(l);
}

static void killed_child(void)
{
	int a, b;
	char c;
	t_pair(&a, &b);
	pid_t pid = fork();
	if (pid == 0) {
		close(b);
		for (;;)
			pause();
	}
	close(a);
	t_out("the child still has it: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	kill(pid, SIGKILL);
	t_out("child ends with %d", t_finish(pid));
	t_out("now nobody has: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	t_res("read", read(b, &c, 1));
	close(b);
}

static void fresh_sockets_in_both(void)
{
	char c = 0;
	pid_t pid = fork();
	if (pid == 0) {
		int a, b;
		t_pair(&a, &b);
		send(a, "x", 1, 0);
		_exit(t_read_all(b, &c, 1) == 1 && c == 'x' ? 0 : 1);
	}
	int a, b;
	t_pair(&a, &b);
	send(a, "y", 1, 0);
	t_res("parent", t_read_all(b, &c, 1));
	t_out("child ends with %d", t_finish(pid));
	close(a);
	close(b);
}

static void other_programs(void)
{
	int a, b;
	char buf[64] = { 0 };
	t_pair(&a, &b);
	t_res("system", WEXITSTATUS(system("exit 3")));
	FILE *p = popen("echo from popen; exec 3>&- 4>&- 5>&- 6>&-", "r");
	t_out("%s", fgets(buf, sizeof(buf), p) ? strtok(buf, "\n") : "nothing");
	t_out("pclose %d", WEXITSTATUS(pclose(p)));
	pid_t pid;
	char *argv[] = { "sh", "-c", "exit 5", NULL };
	t_res("posix_spawn", posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ));
	t_out("ends with %d", t_finish(pid));
	posix_spawn_file_actions_t fa;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addclose(&fa, a);
	posix_spawn_file_actions_adddup2(&fa, 1, b);
	t_res("posix_spawnp with actions", posix_spawnp(&pid, "sh", &fa, NULL, argv, environ));
	posix_spawn_file_actions_destroy(&fa);
	t_out("ends with %d", t_finish(pid));
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 6", (char *)NULL);
		_exit(99);
	}
	t_out("fork and execl: %d", t_finish(pid));
	pid = vfork();
	if (pid == 0) {
		execlp("sh", "sh", "-c", "exit 8", (char *)NULL);
		_exit(99);
	}
	t_out("vfork and execlp: %d", t_finish(pid));
	pid = vfork();
	if (pid == 0)
		_exit(9);
	t_out("vfork and _exit: %d", t_finish(pid));
	pid = fork();
	if (pid == 0) {
		execve("/nonexistent", argv, environ);
		_exit(errno == ENOENT ? 10 : 99);
	}
	t_out("execve of nothing: %d", t_finish(pid));
	send(a, "alive", 5, 0);
	t_res("the sockets live", t_read_all(b, buf, 5));
	close(a);
	close(b);
}

static int in_clone(void *arg)
{
	int *fd = arg;
	char c;
	return read(fd[0], &c, 1) == 1 && c == 'c' ? 11 : 1;
}

static void odd_forks(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int fd[2];
	char c;
	t_pair(&fd[0], &fd[1]);
	pid_t pid = _Fork();
	if (pid == 0)
		_exit(send(fd[0], "f", 1, 0) == 1 ? 12 : 1);
	t_out("_Fork: %d", t_finish(pid));
	t_res("read", t_read_all(fd[1], &c, 1));
	send(fd[1], "c", 1, 0);
	pid = clone(in_clone, stack + sizeof(stack), SIGCHLD, fd);
	t_out("clone: %d", t_finish(pid));
	pid = (pid_t)syscall(SYS_fork);
	if (pid == 0)
		_exit(send(fd[0], "s", 1, 0) == 1 ? 13 : 1);
	t_out("fork by number: %d", t_finish(pid));
	t_res("read", t_read_all(fd[1], &c, 1));
	send(fd[0], "p", 1, 0);
	t_res("parent", t_read_all(fd[1], &c, 1));
	close(fd[0]);
	close(fd[1]);
}

static void inherited_epoll_set(void)
{
	int a, b, pfd[2];
	char c;
	struct epoll_event ev[4];
	t_pair(&a, &b);
	if (pipe(pfd) < 0)
		return;
	int ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN);
	t_epoll_add(ep, pfd[0], EPOLLIN);
	pid_t pid = fork();
	if (pid == 0) {
		if (epoll_wait(ep, ev, 4, 2000) != 1 || ev[0].data.fd != a || read(a, &c, 1) != 1)
			_exit(1);
		if (send(a, "1", 1, 0) != 1)
			_exit(2);
		if (epoll_wait(ep, ev, 4, 2000) != 1 || ev[0].data.fd != pfd[0])
			_exit(3);
		_exit(0);
	}
	send(b, "x", 1, 0);
	t_res("child has read", t_read_all(b, &c, 1));
	if (write(pfd[1], "p", 1) == 1)
		t_out("child ends with %d", t_finish(pid));
	t_res("parent's set: pipe", epoll_wait(ep, ev, 4, 1000));
	t_out("is the pipe %d", ev[0].data.fd == pfd[0]);
	if (read(pfd[0], &c, 1) == 1)
		send(b, "y", 1, 0);
	t_res("parent's set: socket", epoll_wait(ep, ev, 4, 1000));
	t_out("is the socket %d", ev[0].data.fd == a);
	pid = fork();
	if (pid == 0) {
		close(ep);
		close(a);
		_exit(0);
	}
	t_out("child closes all: %d", t_finish(pid));
	t_res("parent's set", epoll_wait(ep, ev, 4, 1000));
	close(ep);
	close(a);
	close(b);
	close(pfd[0]);
	close(pfd[1]);
}

static void as_standard_streams(void)
{
	int a, b;
	char buf[64] = { 0 };
	t_pair(&a, &b);
	fflush(stdout);
	int out = dup(1);
	dup2(a, 1);
	printf("printed to the socket\n");
	fflush(stdout);
	dup2(out, 1);
	close(out);
	t_res("arrived", t_read_all(b, buf, 22));
	t_out("%.21s", buf);
	int in = dup(0);
	dup2(a, 0);
	send(b, "line\n", 5, 0);
	t_res("read from 0", t_read_all(0, buf, 5));
	dup2(in, 0);
	close(in);
	close(a);
	close(b);
}

static void *churn(void *arg)
{
	_Atomic bool *stop = arg;
	while (!*stop) {
		int a, b;
		t_pair(&a, &b);
		send(a, "x", 1, 0);
		close(a);
		close(b);
	}
	return NULL;
}

static void fork_while_threads_work(void)
{
	_Atomic bool stop = false;
	pthread_t thread[2];
	int bad = 0, a, b;
	char c;
	t_pair(&a, &b);
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, churn, &stop);
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			int x, y;
			t_pair(&x, &y);
			_exit(send(x, "z", 1, 0) == 1 && t_read_all(y, &c, 1) == 1 ? 0 : 1);
		}
		bad += t_finish(pid) != 0;
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	t_out("children that failed: %d", bad);
	send(a, "q", 1, 0);
	t_res("parent", t_read_all(b, &c, 1));
	close(a);
	close(b);
}

static int handlers;
static void on_prepare(void)
{
	handlers = handlers * 10 + 1;
}
static void on_parent(void)
{
	handlers = handlers * 10 + 2;
}
static void on_child(void)
{
	handlers = handlers * 10 + 3;
}

static void atfork_handlers(void)
{
	int a, b;
	t_pair(&a, &b);
	pthread_atfork(on_prepare, on_parent, on_child);
	pid_t pid = fork();
	if (pid == 0)
		_exit(handlers);
	t_out("child %d parent %d", t_finish(pid), handlers);
	close(a);
	close(b);
}

T_MAIN(T_CASE(child_uses_the_parents_sockets), T_CASE(parent_closes_child_serves),
       T_CASE(children_accept), T_CASE(killed_child), T_CASE(fresh_sockets_in_both),
       T_CASE(other_programs), T_CASE(odd_forks), T_CASE(inherited_epoll_set),
       T_CASE(as_standard_streams), T_CASE(fork_while_threads_work), T_CASE(atfork_handlers))
