/* Descriptor numbers: dup in all forms, close, close_range, fcntl flags, a number taken over by another
 * file, wrong kinds of descriptors in socket calls. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/resource.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

static void dup_forms(void)
{
	int a, b;
	char buf[16];
	t_pair(&a, &b);
	int d = dup(a);
	t_out("dup is another number %d", d != a && d >= 0);
	send(b, "one", 3, 0);
	t_res("read through the dup", t_read_all(d, buf, 3));
	t_res("dup2 onto itself", dup2(a, a) - a);
	t_res("dup3 onto itself", dup3(a, a, 0));
	t_res("dup3 bad flags", dup3(a, 50, 1));
	t_res("dup2 of a closed one", dup2(987, 50));
	t_res("dup2", dup2(a, 50));
	t_res("dup3 cloexec", dup3(a, 51, O_CLOEXEC));
	t_out("cloexec of each: %d %d %d", fcntl(a, F_GETFD), fcntl(50, F_GETFD),
	      fcntl(51, F_GETFD));
	int e = fcntl(a, F_DUPFD, 60), f = fcntl(a, F_DUPFD_CLOEXEC, 60);
	t_out("F_DUPFD %d %d, cloexec %d %d", e, f, fcntl(e, F_GETFD), fcntl(f, F_GETFD));
	close(a);
	close(d);
	send(b, "two", 3, 0);
	t_res("read through another", t_read_all(50, buf, 3));
	close(50);
	close(51);
	close(e);
	t_out("peer while one is left: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	close(f);
	t_out("peer after the last: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	close(b);
}

static void flags_are_shared(void)
{
	int a, b;
	t_pair(&a, &b);
	int d = dup(a);
	t_out("flags %x", (unsigned int)fcntl(a, F_GETFL));
	t_res("set nonblock", fcntl(a, F_SETFL, O_NONBLOCK));
	t_out("of the dup %x", (unsigned int)fcntl(d, F_GETFL));
	char c;
	t_res("read of the dup", read(d, &c, 1));
	t_res("set append, async, direct", fcntl(d, F_SETFL, O_APPEND | O_NONBLOCK));
	t_out("flags %x", (unsigned int)fcntl(a, F_GETFL));
	t_res("clear", fcntl(d, F_SETFL, 0));
	t_out("flags %x", (unsigned int)fcntl(a, F_GETFL));
	t_res("F_GETOWN", fcntl(a, F_GETOWN));
	t_res("bad command", fcntl(a, 9999, 0));
	t_res("F_SETFD", fcntl(a, F_SETFD, FD_CLOEXEC));
	t_out("own %d, dup's %d", fcntl(a, F_GETFD), fcntl(d, F_GETFD));
	close(a);
	close(b);
	close(d);
}

static void taken_over(void)
{
	int a, b, pfd[2];
	char buf[8];
	t_pair(&a, &b);
	if (pipe(pfd) < 0)
		return;
	t_res("dup2 of a pipe onto the socket", dup2(pfd[0], a) - a);
	t_out("the peer sees the end: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	t_res("write", write(pfd[1], "pipe", 4));
	t_res("read", read(a, buf, 8));
	t_res("send to it", send(a, "x", 1, MSG_NOSIGNAL));
	close(b);
	t_pair(&pfd[1], &b);
	t_res("dup2 of a socket onto the pipe", dup2(b, pfd[0]) - pfd[0]);
	send(pfd[1], "sock", 4, 0);
	t_res("read", t_read_all(pfd[0], buf, 4));
	close(pfd[0]);
	close(pfd[1]);
	close(a);
	close(b);
}

static void close_ranges(void)
{
	int a, b;
	char c;
	t_pair(&a, &b);
	t_res("dup2", dup2(a, 100));
	t_res("dup2", dup2(b, 101));
	t_res("close_range cloexec", close_range(100, 101, CLOSE_RANGE_CLOEXEC));
	t_out("cloexec %d %d", fcntl(100, F_GETFD), fcntl(101, F_GETFD));
	t_res("close_range", close_range(100, 200, 0));
	t_res("gone", fcntl(100, F_GETFD));
	t_res("bad range", close_range(5, 4, 0));
	t_res("bad flags", close_range(100, 101, 999));
	send(a, "x", 1, 0);
	t_res("the others live", t_read_all(b, &c, 1));
	dup2(a, 100);
	dup2(b, 101);
	closefrom(100);
	t_res("closefrom", fcntl(101, F_GETFD));
	send(a, "y", 1, 0);
	t_res("the others live", t_read_all(b, &c, 1));
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	t_res("all closed", send(a, "x", 1, MSG_NOSIGNAL));
	t_pair(&a, &b);
	send(a, "z", 1, 0);
	t_res("new ones work", t_read_all(b, &c, 1));
	close(a);
	close(b);
}

static void no_stranger_is_open(void)
{
	int open_ones = 0;
	int s = socket(AF_INET, SOCK_STREAM, 0);
	for (int fd = 3; fd < 1100; fd++)
		open_ones += fcntl(fd, F_GETFD) >= 0;
	t_out("open numbers from 3 on: %d", open_ones);
	close(s);
}

static void limit_of_numbers(void)
{
	struct rlimit old, low = { 40, 40 };
	getrlimit(RLIMIT_NOFILE, &old);
	low.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &low);
	int fds[64], n = 0;
	while (n < 64 && (fds[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
		n++;
	t_out("then %s", n < 64 ? t_errname(errno) : "no limit");
	t_out("at least 25 of them: %d", n >= 25);
	while (n > 0)
		close(fds[--n]);
	setrlimit(RLIMIT_NOFILE, &old);
}

static void wrong_kinds(void)
{
	int pfd[2], file = open("/etc/passwd", O_RDONLY);
	struct sockaddr_in a = t_addr(1);
	socklen_t len = sizeof(a);
	char c;
	int v = 0;
	if (pipe(pfd) < 0)
		return;
	int fds[3] = { pfd[0], file, 987 };
	for (int i = 0; i < 3; i++) {
		int fd = fds[i];
		t_res("bind", bind(fd, (struct sockaddr *)&a, sizeof(a)));
		t_res("listen", listen(fd, 1));
		t_res("accept", accept(fd, NULL, NULL));
		t_res("connect", connect(fd, (struct sockaddr *)&a, sizeof(a)));
		t_res("send", send(fd, &c, 1, 0));
		t_res("recv", recv(fd, &c, 1, 0));
		t_res("sendmsg", sendmsg(fd, &(struct msghdr){ 0 }, 0));
		t_res("recvmsg", recvmsg(fd, &(struct msghdr){ 0 }, 0));
		t_res("shutdown", shutdown(fd, SHUT_WR));
		t_res("getsockname", getsockname(fd, (struct sockaddr *)&a, &len));
		t_res("getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
		t_res("getsockopt", getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len));
		t_res("setsockopt", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)));
	}
	t_res("close -1", close(-1));
	t_res("close huge", close(1 << 30));
	t_res("dup -1", dup(-1));
	t_res("fcntl", fcntl(987, F_GETFL));
	t_res("ioctl", ioctl(987, FIONREAD, &v));
	close(file);
	close(pfd[0]);
	close(pfd[1]);
}

static void *close_it(void *arg)
{
	t_sleep_ms(20);
	t_res("close in another thread", close(*(int *)arg));
	return NULL;
}

static void close_under_a_reader(void)
{
	int a, b;
	char c;
	pthread_t thread;
	t_pair(&a, &b);
	struct timeval tv = { .tv_usec = 120000 };
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	pthread_create(&thread, NULL, close_it, &a);
	t_res("the reader goes on until its end", recv(a, &c, 1, 0));
	pthread_join(thread, NULL);
	t_out("then the peer sees it: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	close(b);
}

static void sendfile_both_ways(void)
{
	int a, b, file = memfd_create("x", 0);
	static char data[300000], back[300000];
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 31 >> 3);
	if (write(file, data, sizeof(data)) != (ssize_t)sizeof(data))
		return;
	t_pair(&a, &b);
	off_t off = 1000;
	t_res("with offset", sendfile(a, file, &off, 5000));
	t_out("offset %ld position %ld", (long)off, (long)lseek(file, 0, SEEK_CUR));
	t_res("arrived", t_read_all(b, back, 5000));
	t_out("same %d", memcmp(back, data + 1000, 5000) == 0);
	lseek(file, 250000, SEEK_SET);
	t_res("with the file's position", sendfile(a, file, NULL, 100000));
	t_out("position %ld", (long)lseek(file, 0, SEEK_CUR));
	t_res("arrived", t_read_all(b, back, 50000));
	t_out("same %d", memcmp(back, data + 250000, 50000) == 0);
	t_res("at the end", sendfile(a, file, NULL, 10));
	t_res("nothing", sendfile(a, file, NULL, 0));
	t_res("from a socket", sendfile(a, b, NULL, 10));
	t_res("from a closed one", sendfile(a, 987, NULL, 10));
	off = -1;
	t_res("negative offset", sendfile(a, file, &off, 10));
	close(b);
	close(a);
	close(file);
}

static void vectors(void)
{
	int a, b;
	char x[4] = { 0 }, y[8] = { 0 }, z[4] = { 0 };
	t_pair(&a, &b);
	struct iovec out[3] = { { "ab", 2 }, { "", 0 }, { "cdefgh", 6 } };
	struct iovec in[3] = { { x, 3 }, { y, 4 }, { z, 3 } };
	t_res("writev", writev(a, out, 3));
	t_until(b, POLLIN);
	t_sleep_ms(2);
	t_res("readv", readv(b, in, 3));
	t_out("%s %s %s", x, y, z);
	t_res("pwritev2 at -1", pwritev2(a, out, 3, -1, 0));
	t_until(b, POLLIN);
	t_sleep_ms(2);
	t_res("preadv2 at -1", preadv2(b, in, 3, -1, 0));
	t_res("preadv", preadv(b, in, 3, 0));
	t_res("pwritev", pwritev(a, out, 3, 0));
	t_res("preadv2 at 0", preadv2(b, in, 3, 0, 0));
	t_res("preadv2 nowait", preadv2(b, in, 3, -1, RWF_NOWAIT));
	t_res("preadv2 bad flag", preadv2(b, in, 3, -1, 0x4000));
	t_res("readv -1", readv(b, in, -1));
	t_res("readv 1025", readv(b, in, 1025));
	close(a);
	close(b);
}

T_MAIN(T_CASE(dup_forms), T_CASE(flags_are_shared), T_CASE(taken_over), T_CASE(close_ranges),
       T_CASE(no_stranger_is_open), T_CASE(limit_of_numbers), T_CASE(wrong_kinds),
       T_CASE(close_under_a_reader), T_CASE(sendfile_both_ways), T_CASE(vectors))
