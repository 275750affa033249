/* Descriptors passed over an AF_UNIX socket: files as ever, sockets that nobody has bound yet. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static ssize_t give(int via, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(via, &m, 0);
}

static int take(int via)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int fd = -1;
	if (recvmsg(via, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

static void files(void)
{
	int pair[2], pfd[2];
	char buf[8] = { 0 };
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || pipe(pfd) < 0)
		return;
	t_res("give", give(pair[0], pfd[1]));
	int got = take(pair[1]);
	t_ok("take", got);
	t_res("write", write(got, "pipe", 4));
	t_res("read", read(pfd[0], buf, 8));
	t_out("%s", buf);
	t_res("give a closed one", give(pair[0], 987));
	close(got);
	close(pfd[0]);
	close(pfd[1]);
	close(pair[0]);
	close(pair[1]);
}

static void fresh_socket(void)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return;
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, v = 0;
	socklen_t len = sizeof(v);
	setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	t_res("give", give(pair[0], s));
	int got = take(pair[1]);
	t_ok("take", got);
	t_res("option", getsockopt(got, SOL_SOCKET, SO_KEEPALIVE, &v, &len));
	t_out("keepalive %d nonblock %d", v, !!(fcntl(got, F_GETFL) & O_NONBLOCK));
	t_res("set by one", fcntl(got, F_SETFL, 0));
	t_out("seen by the other: nonblock %d", !!(fcntl(s, F_GETFL) & O_NONBLOCK));
	close(got);
	close(s);
	close(pair[0]);
	close(pair[1]);
}

T_MAIN(T_CASE(files), T_CASE(fresh_socket))
