/* Descriptors: numbers, copies, flags, closing in bulk, limits, and what stands behind a number. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/resource.h>
#include <sys/uio.h>
#include <dirent.h>

static void lowest_free(void)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);
	t_out("next %d", b - a);
	close(a);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	t_out("again %d", c == a);
	close(b);
	int p[2];
	t_res("pipe", pipe(p));
	t_out("pipe takes the hole %d", p[0] == b);
	close(p[0]);
	close(p[1]);
	close(c);
}

static void copies(void)
{
	int a, b;
	char buf[8] = "";
	t_pair(&a, &b);
	int d = dup(a), e = fcntl(a, F_DUPFD, 50), f = fcntl(a, F_DUPFD_CLOEXEC, 50), g = dup2(a, 70),
	    h = dup3(a, 71, O_CLOEXEC);
	t_out("%d %d %d %d %d", d > a, e, f, g, h);
	t_out("cloexec %d %d %d %d %d", fcntl(d, F_GETFD), fcntl(e, F_GETFD), fcntl(f, F_GETFD),
	      fcntl(g, F_GETFD), fcntl(h, F_GETFD));
	close(a);
	t_res("send through copy", send(d, "1", 1, 0));
	t_res("send through copy", send(g, "2", 1, 0));
	t_res("recv", (long)t_read_all(b, buf, 2));
	fcntl(e, F_SETFL, O_NONBLOCK);
	t_out("shared flags %d", !!(fcntl(h, F_GETFL) & O_NONBLOCK));
	t_res("recv through nonblocking", recv(h, buf, 1, 0));
	close(d);
	close(e);
	close(f);
	close(g);
	t_res("still open", send(h, "3", 1, 0));
	t_res("recv", recv(b, buf, 1, 0));
	close(h);
	t_res("eof after the last", recv(b, buf, 1, 0));
	t_res("closed", send(h, "x", 1, MSG_NOSIGNAL));
	t_res("closed dup", dup(h));
	t_res("close twice", close(h));
	close(b);
}

static void dup_errors(void)
{
	int a, b;
	t_pair(&a, &b);
	t_res("dup -1", dup(-1));
	t_res("dup2 bad", dup2(999, 5));
	t_res("dup2 same", dup2(a, a) == a);
	t_res("dup3 same", dup3(a, a, 0));
	t_res("dup3 flags", dup3(a, 60, 0x1234));
	t_res("dup2 negative", dup2(a, -1));
	t_res("dup2 huge", dup2(a, 1 << 30));
	t_res("dupfd huge", fcntl(a, F_DUPFD, 1 << 30));
	t_res("dupfd negative", fcntl(a, F_DUPFD, -1));
	close(a);
	close(b);
}

static void dup_over_socket(void)
{
	int a, b, p[2];
	char buf[4] = "";
	t_pair(&a, &b);
	pipe(p);
	t_res("pipe over socket", dup2(p[1], a) == a);
	t_res("peer sees eof", recv(b, buf, 1, 0));
	t_res("write goes to the pipe", write(a, "pp", 2));
	t_res("read", read(p[0], buf, 4));
	t_out("%s", buf);
	t_res("send is no socket", send(a, "x", 1, 0));
	t_res("socket over pipe", dup2(b, p[0]) == p[0]);
	t_res("recv", recv(p[0], buf, 1, 0));
	struct stat st;
	fstat(p[0], &st);
	t_out("is socket %d", S_ISSOCK(st.st_mode));
	close(a);
	close(b);
	close(p[0]);
	close(p[1]);
}

static void flags(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, zero = 0;
	t_out("fl %x", fcntl(fd, F_GETFL));
	t_res("set", fcntl(fd, F_SETFL, O_NONBLOCK | O_RDONLY));
	t_out("fl %x", fcntl(fd, F_GETFL));
	t_res("fionbio 0", ioctl(fd, FIONBIO, &zero));
	t_out("fl %x", fcntl(fd, F_GETFL));
	t_res("fionbio 1", ioctl(fd, FIONBIO, &one));
	t_out("fl %x", fcntl(fd, F_GETFL));
	t_res("fionbio fault", ioctl(fd, FIONBIO, NULL));
	t_res("append", fcntl(fd, F_SETFL, O_APPEND));
	t_out("fl %x", fcntl(fd, F_GETFL));
	t_res("direct", fcntl(fd, F_SETFL, O_DIRECT));
	t_res("cloexec", fcntl(fd, F_SETFD, FD_CLOEXEC));
	t_out("fd %d", fcntl(fd, F_GETFD));
	t_res("fioclex", ioctl(fd, FIONCLEX));
	t_out("fd %d", fcntl(fd, F_GETFD));
	t_res("bad cmd", fcntl(fd, 9999, 0));
	t_res("bad ioctl", ioctl(fd, 0x12345, &one));
	t_res("tty ioctl", ioctl(fd, 0x5401 /* TCGETS */, &one));
	t_res("isatty", isatty(fd));
	t_res("fsync", fsync(fd));
	t_res("ftruncate", ftruncate(fd, 0));
	t_res("lseek", lseek(fd, 0, SEEK_CUR));
	struct stat st;
	t_res("fstat", fstat(fd, &st));
	t_out("mode %o", st.st_mode & S_IFMT);
	close(fd);
}

static void counts(void)
{
	int a, b, n = -1;
	char buf[100];
	t_pair(&a, &b);
	t_res("fionread empty", ioctl(b, FIONREAD, &n));
	t_out("%d", n);
	send(a, buf, 37, 0);
	t_until(b, POLLIN);
	t_res("fionread", ioctl(b, FIONREAD, &n));
	t_out("%d", n);
	recv(b, buf, 7, 0);
	ioctl(b, FIONREAD, &n);
	t_out("%d", n);
	t_sleep_ms(100);
	t_res("outq", ioctl(a, 0x5411 /* TIOCOUTQ */, &n));
	t_out("%d", n);
	close(a);
	ioctl(b, FIONREAD, &n);
	t_out("after close %d", n);
	close(b);
	int l = t_listen(1, NULL);
	t_res("fionread listener", ioctl(l, FIONREAD, &n));
	close(l);
}

static void bulk_close(void)
{
	int a, b, c = socket(AF_INET, SOCK_STREAM, 0);
	char buf[4];
	t_pair(&a, &b);
	dup2(a, 100);
	dup2(c, 101);
	t_res("close_range", close_range(100, 101, 0));
	t_res("gone", fcntl(100, F_GETFD));
	t_res("gone", fcntl(101, F_GETFD));
	t_res("alive", send(a, "x", 1, 0));
	t_res("recv", recv(b, buf, 1, 0));
	dup2(a, 100);
	t_res("cloexec range", close_range(100, 100, 4 /* CLOSE_RANGE_CLOEXEC */));
	t_out("fd %d", fcntl(100, F_GETFD));
	t_res("bad range", close_range(5, 4, 0));
	t_res("bad flags", close_range(100, 100, 0x80));
	int lo = a < b ? a : b;
	lo = lo < c ? lo : c;
	closefrom(lo);
	t_res("closefrom", fcntl(a, F_GETFD));
	t_res("closefrom", fcntl(100, F_GETFD));
	/* the shim must still work */
	t_pair(&a, &b);
	t_res("new pair", send(a, "y", 1, 0));
	t_res("recv", recv(b, buf, 1, 0));
	for (int fd = lo; fd < 4096; fd++)
		close(fd);
	t_pair(&a, &b);
	t_res("pair after a close loop", send(a, "y", 1, 0));
	t_res("recv", recv(b, buf, 1, 0));
	close(a);
	close(b);
}

/* No descriptor that the program did not make may answer. */
static void invisible(void)
{
	int a, b, seen = 0;
	char c;
	t_pair(&a, &b);
	int top = a > b ? a : b;
	for (int fd = top + 1; fd < 20000; fd++)
		if (fcntl(fd, F_GETFD) >= 0 || write(fd, &c, 0) >= 0 || dup(fd) >= 0)
			seen++;
	t_out("foreign descriptors %d", seen);
	for (int fd = top + 1; fd < 2000; fd++)
		dup2(a, fd);
	t_res("send through 1500", send(1500, "z", 1, 0));
	t_res("recv", recv(b, &c, 1, 0));
	t_res("new socket", socket(AF_INET, SOCK_STREAM, 0) == 2000);
	close(2000);
	for (int fd = top + 1; fd < 2000; fd++)
		t_out("close %d", close(fd)), fd += 300;
	for (int fd = top + 1; fd < 2000; fd++)
		close(fd);
	t_res("send", send(a, "z", 1, 0));
	t_res("recv", recv(b, &c, 1, 0));
	close(a);
	close(b);
}

static void limit(void)
{
	struct rlimit lim = { 40, 40 }, old;
	int fds[64], n = 0, err = 0;
	getrlimit(RLIMIT_NOFILE, &old);
	int a, b;
	t_pair(&a, &b); /* attaches */
	lim.rlim_max = old.rlim_max;
	t_res("setrlimit", setrlimit(RLIMIT_NOFILE, &lim));
	while (n < 64 && (fds[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
		n++;
	err = errno;
	t_out("ends with %s, last %d", t_errname(err), n ? fds[n - 1] : -1);
	while (n)
		close(fds[--n]);
	setrlimit(RLIMIT_NOFILE, &old);
	close(a);
	close(b);
}

/* accept() without a free number: EMFILE, and the connection is there when one is free again. */
static void accept_limit(void)
{
	struct sockaddr_in addr;
	struct rlimit lim, old;
	int l = t_listen(4, &addr), c = socket(AF_INET, SOCK_STREAM, 0), fill[64], n = 0;
	connect(c, (struct sockaddr *)&addr, sizeof(addr));
	t_until(l, POLLIN);
	getrlimit(RLIMIT_NOFILE, &old);
	lim = old;
	lim.rlim_cur = 30;
	setrlimit(RLIMIT_NOFILE, &lim);
	while (n < 64 && (fill[n] = dup(0)) >= 0)
		n++;
	t_res("accept", accept(l, NULL, NULL));
	t_res("accept", accept(l, NULL, NULL));
	close(fill[--n]);
	t_ok("accept now", accept(l, NULL, NULL));
	while (n)
		close(fill[--n]);
	setrlimit(RLIMIT_NOFILE, &old);
	close(c);
	close(l);
}

static void stdio_on_sockets(void)
{
	int a, b;
	char line[64];
	t_pair(&a, &b);
	FILE *w = fdopen(dup(a), "w"), *r = fdopen(dup(b), "r");
	t_out("streams %d %d", w != NULL, r != NULL);
	t_out("fileno %d", fileno(w) > b);
	fprintf(w, "hello %d\n", 42);
	fprintf(w, "second\n");
	fflush(w);
	t_out("%s", fgets(line, sizeof(line), r) ? line : "none");
	t_out("%s", fgets(line, sizeof(line), r) ? line : "none");
	t_res("dprintf", dprintf(a, "%s-%05d\n", "dp", 7));
	t_out("%s", fgets(line, sizeof(line), r) ? line : "none");
	fclose(w);
	close(a);
	t_out("eof %d", fgets(line, sizeof(line), r) == NULL && feof(r));
	fclose(r);
	close(b);
}

T_MAIN(T_CASE(lowest_free), T_CASE(copies), T_CASE(dup_errors), T_CASE(dup_over_socket), T_CASE(flags),
       T_CASE(counts), T_CASE(bulk_close), T_CASE(invisible), T_CASE(limit), T_CASE(accept_limit),
       T_CASE(stdio_on_sockets))
