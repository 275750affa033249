/* Which file is it? Inodes and cookies of sockets: one each, the same for all who have it, in all calls that
 * tell. */
// SPDX-License-Identifier: MIT
#include <sys/syscall.h>
#include "tests/shim/t.h"

static uint64_t inode(int fd)
{
	struct stat st;
	return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

static uint64_t cookie(int fd)
{
	uint64_t v = 0;
	socklen_t len = sizeof(v);
	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &v, &len);
	return v;
}

static void same(const char *what, int a, int b)
{
	t_out("%s: inode %s, cookie %s", what, inode(a) == inode(b) ? "same" : "other",
	      cookie(a) == cookie(b) ? "same" : "other");
}

static void of_each(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	for (int i = 0; i < 2; i++) {
		int a = socket(AF_INET, types[i], 0), b = socket(AF_INET, types[i], 0), c = dup(a);
		int d = socket(AF_INET6, types[i], 0);
		t_out("type %d", types[i]);
		same("two", a, b);
		same("families", a, d);
		same("dup", a, c);
		close(a);
		int e = socket(AF_INET, types[i], 0);
		same("at the number of a closed one", c, e);
		close(b);
		close(c);
		close(d);
		close(e);
	}
}

static void pair_is_two(void)
{
	int a, b;
	t_pair(&a, &b);
	same("both ends", a, b);
	int c = dup(b);
	same("dup", b, c);
	close(a);
	close(b);
	close(c);
}

/* Whatever happens to it. */
static void for_life(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), s = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t was_l = inode(l), was_s = inode(s), c = cookie(s);
	struct sockaddr_in a = t_addr(0);
	socklen_t len = sizeof(a);
	bind(l, (struct sockaddr *)&a, len);
	t_out("bound: %s", inode(l) == was_l ? "same" : "other");
	listen(l, 4);
	t_out("listens: %s", inode(l) == was_l ? "same" : "other");
	getsockname(l, (struct sockaddr *)&a, &len);
	connect(s, (struct sockaddr *)&a, len);
	int got = accept(l, NULL, NULL);
	t_out("connected: %s, cookie %s", inode(s) == was_s ? "same" : "other",
	      cookie(s) == c ? "same" : "other");
	signal(SIGIO, SIG_IGN);
	fcntl(s, F_SETOWN, getpid());
	fcntl(s, F_SETFL, O_ASYNC);
	t_out("signals: %s", inode(s) == was_s ? "same" : "other");
	same("listener and accepted", l, got);
	same("client and accepted", s, got);
	close(got);
	shutdown(s, SHUT_RDWR);
	t_out("shut down: %s", inode(s) == was_s ? "same" : "other");
	close(s);
	close(l);
}

/* A child sees its parent's sockets as the parent does, and makes others. */
static void over_fork(void)
{
	int a, b, p[2], fresh = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t was[5], is[5];
	t_pair(&a, &b);
	if (pipe(p) < 0)
		t_out("no pipe");
	pid_t child = fork();
	if (child == 0) {
		int own = socket(AF_INET, SOCK_STREAM, 0);
		uint64_t v[5] = { inode(a), cookie(a), inode(fresh), cookie(fresh), inode(own) };
		_exit(write(p[1], v, sizeof(v)) != sizeof(v));
	}
	int own = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t v[5] = { inode(a), cookie(a), inode(fresh), cookie(fresh), inode(own) };
	memcpy(was, v, sizeof(was));
	if (read(p[0], is, sizeof(is)) != sizeof(is))
		t_out("child failed");
	waitpid(child, NULL, 0);
	for (int i = 0; i < 5; i++)
		t_out("%d: %s", i, was[i] == is[i] ? "same" : "other");
	close(own);
	close(fresh);
	close(a);
	close(b);
}

/* All that tell tell the same. */
static void every_call(void)
{
	struct stat st[4];
	struct statx x[3];
	int a, b;
	t_pair(&a, &b);
	t_res("fstat", fstat(a, &st[0]));
	t_res("fstatat", fstatat(a, "", &st[1], AT_EMPTY_PATH));
	t_res("syscall fstat", syscall(SYS_fstat, a, &st[2]));
	t_res("syscall newfstatat", syscall(SYS_newfstatat, a, "", &st[3], AT_EMPTY_PATH));
	t_res("statx", statx(a, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x[0]));
	t_res("statx inode", statx(a, "", AT_EMPTY_PATH, STATX_INO, &x[1]));
	t_res("syscall statx", syscall(SYS_statx, a, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x[2]));
	for (int i = 1; i < 4; i++)
		t_out("%d: %s, a socket %d", i, st[i].st_ino == st[0].st_ino ? "same" : "other",
		      S_ISSOCK(st[i].st_mode));
	for (int i = 0; i < 3; i++)
		t_out("statx %d: %s, a socket %d", i, x[i].stx_ino == st[0].st_ino ? "same" : "other",
		      S_ISSOCK(x[i].stx_mode));
	t_out("device: %s", inode(b) && st[0].st_dev == st[1].st_dev ? "same" : "other");
	t_res("no flag", fstatat(a, "", &st[1], 0));
	t_res("a path", fstatat(a, "x", &st[1], AT_EMPTY_PATH));
	t_res("bad path", syscall(SYS_newfstatat, a, (char *)16, &st[1], AT_EMPTY_PATH));
	t_res("bad buffer", syscall(SYS_fstat, a, (void *)16));
	t_res("bad buffer", syscall(SYS_statx, a, "", AT_EMPTY_PATH, STATX_INO, (void *)16));
	t_res("root", fstatat(a, "/", &st[1], 0));
	close(a);
	t_res("closed", fstat(a, &st[0]));
	close(b);
}

T_MAIN(T_CASE(of_each), T_CASE(pair_is_two), T_CASE(for_life), T_CASE(over_fork), T_CASE(every_call))
