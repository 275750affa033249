/* What the programs about passed sockets share: giving, taking, and this program again in a role. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/shim/t.h"
#include <sys/syscall.h>
#include <sys/uio.h>

extern char **environ;

/* Messages go and come by syscall(), as some runtimes do it. */
static bool by_number;

static inline int finish(pid_t pid)
{
	int status = -1;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

enum { FDS_MAX = 4 };
static inline ssize_t give_many(int via, const int *fds, int n)
{
	char control[CMSG_SPACE(sizeof(int) * FDS_MAX)] = { 0 };
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n);
	return by_number ? syscall(SYS_sendmsg, via, &m, 0) : sendmsg(via, &m, 0);
}

static inline ssize_t give(int via, int fd) { return give_many(via, &fd, 1); }

/* How many came; room: for so many. */
static inline int take_many(int via, int *fds, int room, int flags, int *msg_flags)
{
	char control[CMSG_SPACE(sizeof(int) * FDS_MAX)], byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = CMSG_LEN(sizeof(int) * (size_t)room) };
	struct cmsghdr *c;
	int n = 0;
	if ((by_number ? syscall(SYS_recvmsg, via, &m, flags) : recvmsg(via, &m, flags)) != 1)
		return -1;
	if (msg_flags)
		*msg_flags = m.msg_flags;
	c = CMSG_FIRSTHDR(&m);
	if (c) {
		n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), (size_t)n * sizeof(int));
	}
	return n;
}

static inline int take(int via)
{
	int fd = -1;
	return take_many(via, &fd, 1, 0, NULL) == 1 ? fd : -1;
}

static inline void ask(int b, const char *word)
{
	char buf[64] = { 0 };
	send(b, word, strlen(word), 0);
	t_res("answer", t_read_all(b, buf, strlen(word)));
	t_out("%s", buf);
}

static inline void gone(int b)
{
	t_out("nobody has it: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
}

static inline int echo(int fd)
{
	static char buf[65536];
	ssize_t n;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, w; at < n; at += w)
			if ((w = write(fd, buf + at, (size_t)(n - at))) <= 0)
				return 2;
	return n == 0 ? 0 : 1;
}

/* A program's part: via is its end of the pair. */
struct pass_role {
	const char *name;
	int (*run)(int via);
};

/* argv says which role: its exit status, -1: none. */
static inline int pass_role(const struct pass_role *roles, size_t n, int argc, char **argv)
{
	if (argc != 4 || strcmp(argv[1], "role") != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(argv[2], roles[i].name))
			return roles[i].run(atoi(argv[3]));
	return 97;
}

/* This program in that role, with one end of a pair; it inherits no other socket. */
static inline pid_t start(const char *role, int *via, bool bare)
{
	char num[16], *argv[] = { "prog_pass_socks", "role", (char *)role, num, NULL };
	char *none[] = { NULL };
	int pair[2];
	*via = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		snprintf(num, sizeof(num), "%d", fcntl(pair[1], F_DUPFD, 0));
		execve("/proc/self/exe", argv, bare ? none : environ);
		_exit(99);
	}
	close(pair[1]);
	*via = pair[0];
	return pid;
}

static inline void pair_own(int *a, int *b)
{
	t_pair(a, b);
	fcntl(*a, F_SETFD, FD_CLOEXEC);
	fcntl(*b, F_SETFD, FD_CLOEXEC);
}

static inline void to_a_program(const char *role, bool bare)
{
	int via, a, b;
	pid_t pid = start(role, &via, bare);
	pair_own(&a, &b);
	t_res("give", give(via, a));
	close(a);
	ask(b, "program");
	ask(b, "again");
	shutdown(b, SHUT_WR);
	t_out("ends with %d", finish(pid));
	gone(b);
	close(b);
	close(via);
}
