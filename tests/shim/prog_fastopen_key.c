/* TCP_FASTOPEN_KEY: what is taken and what is read back, in all states of a socket, by who shares it. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/shim/t.h"

static char keys[40] = "0123456789abcdefGHIJKLMNOPQRSTUVxxxxxxx";

static void set(const char *what, int fd, const void *key, socklen_t len)
{
	t_out("%s, %d bytes: %s", what, (int)len,
	      setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, len) ? t_errname(errno) : "0");
}

static void reads(const char *what, int fd, socklen_t room)
{
	char b[48] = "";
	socklen_t len = room;
	int r = getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, b, &len);

	t_out("%s reads %d, %d of %d: %s", what, r, r ? 0 : (int)len, (int)room, b);
}

static void lengths(void)
{
	static const socklen_t all[] = { 0, 1, 4, 15, 16, 17, 31, 32, 33, 40 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	reads("none", fd, 32);
	for (size_t i = 0; i < T_COUNT(all); i++) {
		set("key", fd, keys, all[i]);
		reads("then", fd, 40);
	}
	set("nothing", fd, NULL, 16);
	set("negative", fd, keys, (socklen_t)-1);
	for (size_t i = 0; i < T_COUNT(all); i++)
		reads("room", fd, all[i]);
	set("one again", fd, keys, 16);
	reads("room", fd, 32);
	close(fd);
}

static void states(void)
{
	struct sockaddr_in addr = t_addr(0);
	int l = socket(AF_INET, SOCK_STREAM, 0), a, b;

	set("fresh", l, keys, 16);
	t_res("bind", bind(l, (struct sockaddr *)&addr, sizeof(addr)));
	reads("bound", l, 32);
	set("bound", l, keys + 1, 32);
	reads("bound", l, 32);
	t_res("listen", listen(l, 5));
	reads("listening", l, 32);
	set("listening", l, keys + 2, 16);
	reads("listening", l, 32);
	t_res("listen", listen(l, 6));
	reads("listening", l, 32);
	addr.sin_port = htons((uint16_t)t_port(l));
	a = t_connect_to(&addr);
	t_until(l, POLLIN);
	b = accept(l, NULL, NULL);
	reads("accepted", b, 32);
	set("accepted", b, keys + 3, 32);
	reads("accepted", b, 32);
	set("connected", a, keys + 4, 16);
	reads("connected", a, 32);
	t_res("shutdown", shutdown(l, SHUT_RD));
	reads("shut down", l, 32);
	t_res("listen", listen(l, 5));
	reads("listening", l, 32);
	close(a);
	close(b);
	close(l);
}

/* Processes that share a listener share its key. */
static void shared(void)
{
	struct sockaddr_in addr;
	int l = t_listen(5, &addr);
	pid_t pid;

	set("parent", l, keys, 16);
	pid = fork();
	if (pid == 0) {
		reads("child", l, 32);
		set("child", l, keys + 5, 32);
		_exit(0);
	}
	t_finish(pid);
	reads("parent", l, 32);
	close(l);
}

T_MAIN(T_CASE(lengths), T_CASE(states), T_CASE(shared))
