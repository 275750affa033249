/* libc's own use of descriptors: streams, dprintf, aio, and system calls by number. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <aio.h>

static void streams(void)
{
	int a, b;
	char line[64];
	t_pair(&a, &b);
	FILE *f = fdopen(a, "r+"), *g = fdopen(b, "r+");
	t_out("fdopen %d %d, fileno right %d", f != NULL, g != NULL, fileno(f) == a);
	t_res("fprintf", fprintf(f, "hello %d\n", 42));
	t_res("fflush", fflush(f));
	t_out("fgets %s", fgets(line, sizeof(line), g) ? strtok(line, "\n") : "nothing");
	t_res("fputs", fputs("one\ntwo\nthree", g) < 0 ? -1 : 0);
	fflush(g);
	t_out("line %s", fgets(line, sizeof(line), f) ? strtok(line, "\n") : "nothing");
	char *dyn = NULL;
	size_t cap = 0;
	t_res("getline", getline(&dyn, &cap, f));
	free(dyn);
	t_res("fclose", fclose(g));
	t_res("rest", (long)fread(line, 1, sizeof(line), f));
	t_out("%.5s", line);
	t_res("eof", feof(f) != 0);
	t_res("error", ferror(f) != 0);
	t_res("fclose", fclose(f));
	t_res("closed", fcntl(a, F_GETFD));
	t_res("closed", fcntl(b, F_GETFD));
}

static void two_streams_on_dups(void)
{
	int a, b;
	char line[64];
	t_pair(&a, &b);
	FILE *in = fdopen(a, "r"), *out = fdopen(dup(a), "w");
	setvbuf(out, NULL, _IOLBF, 1024);
	fprintf(out, "question\n");
	t_res("read", t_read_all(b, line, 9));
	t_out("%.8s", line);
	send(b, "answer\n", 7, 0);
	t_out("fgets %s", fgets(line, sizeof(line), in) ? strtok(line, "\n") : "nothing");
	t_res("fclose out", fclose(out));
	t_out("peer %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLRDHUP)));
	t_res("fclose in", fclose(in));
	t_out("peer %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	close(b);
}

static void direct(void)
{
	int a, b;
	char buf[64] = { 0 };
	t_pair(&a, &b);
	t_res("dprintf", dprintf(a, "%s-%d", "dprintf", 7));
	t_res("read", t_read_all(b, buf, 9));
	t_out("%s", buf);
	FILE *f = fdopen(a, "w");
	setvbuf(f, NULL, _IONBF, 0);
	t_res("unbuffered", fwrite("abc", 1, 3, f));
	t_res("read", t_read_all(b, buf, 3));
	close(b);
	t_until(a, POLLRDHUP);
	signal(SIGPIPE, SIG_IGN);
	fwrite("x", 1, 1, f);
	t_until(a, POLLHUP);
	t_res("write to a closed peer", (long)fwrite("y", 1, 1, f));
	t_out("errno %s error %d", t_errname(errno), ferror(f) != 0);
	fclose(f);
	f = fopen("/proc/self/cmdline", "r");
	t_out("files still work %d", f && fgetc(f) != EOF);
	fclose(f);
}

static void asynchronous(void)
{
	int a, b;
	char buf[16] = { 0 };
	t_pair(&a, &b);
	struct aiocb w = { .aio_fildes = a, .aio_buf = "async", .aio_nbytes = 5 };
	struct aiocb r = { .aio_fildes = b, .aio_buf = buf, .aio_nbytes = 5 };
	const struct aiocb *list[1] = { &w };
	t_res("aio_write", aio_write(&w));
	t_res("aio_read", aio_read(&r));
	t_res("aio_suspend", aio_suspend(list, 1, &(struct timespec){ .tv_sec = 2 }));
	for (int i = 0; i < 1000 && aio_error(&r) == EINPROGRESS; i++)
		t_sleep_ms(1);
	t_out("errors %s %s", t_errname(aio_error(&w)), t_errname(aio_error(&r)));
	t_out("written %zd read %zd", aio_return(&w), aio_return(&r));
	t_out("%s", buf);
	close(a);
	close(b);
}

static void by_number(void)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	char buf[16] = { 0 };
	int l = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	addr = t_addr(0);
	t_res("bind", syscall(SYS_bind, l, &addr, sizeof(addr)));
	t_res("listen", syscall(SYS_listen, l, 5));
	t_res("getsockname", syscall(SYS_getsockname, l, &addr, &len));
	int c = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	t_res("connect", syscall(SYS_connect, c, &addr, sizeof(addr)));
	int s = (int)syscall(SYS_accept4, l, NULL, NULL, SOCK_CLOEXEC);
	t_ok("accept4", s);
	t_res("write", syscall(SYS_write, c, "number", 6));
	t_res("read", syscall(SYS_read, s, buf, 6));
	t_out("%s", buf);
	t_res("sendto", syscall(SYS_sendto, s, "back", 4, MSG_NOSIGNAL, NULL, 0));
	t_res("recvfrom", syscall(SYS_recvfrom, c, buf, 4, 0, NULL, NULL));
	struct iovec v = { buf, 4 };
	t_res("writev", syscall(SYS_writev, c, &v, 1));
	t_res("readv", syscall(SYS_readv, s, &v, 1));
	int ep = (int)syscall(SYS_epoll_create1, 0);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = s };
	t_res("epoll_ctl", syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, s, &ev));
	syscall(SYS_write, c, "e", 1);
	t_res("epoll_wait", syscall(SYS_epoll_wait, ep, &ev, 1, 1000));
	t_out("%s", t_mask(ev.events));
	struct pollfd p = { .fd = s, .events = POLLIN };
	t_res("poll", syscall(SYS_poll, &p, 1, 1000));
	struct timespec ts = { .tv_sec = 1 };
	t_res("ppoll", syscall(SYS_ppoll, &p, 1, &ts, NULL, 0));
	fd_set r;
	FD_ZERO(&r);
	FD_SET(s, &r);
	t_res("pselect6", syscall(SYS_pselect6, s + 1, &r, NULL, NULL, &ts, NULL));
	int d = (int)syscall(SYS_dup, s);
	t_res("read of a dup", syscall(SYS_read, d, buf, 1));
	t_res("fcntl", syscall(SYS_fcntl, s, F_SETFL, O_NONBLOCK));
	t_res("read, nothing", syscall(SYS_read, d, buf, 1));
	t_res("shutdown", syscall(SYS_shutdown, c, SHUT_WR));
	t_res("close", syscall(SYS_close, s));
	t_res("close", syscall(SYS_close, d));
	t_res("close again", syscall(SYS_close, d));
	t_out("peer %s", t_mask((uint32_t)t_until(c, POLLHUP)));
	int v1 = 0;
	len = sizeof(v1);
	t_res("getsockopt", syscall(SYS_getsockopt, c, SOL_SOCKET, SO_TYPE, &v1, &len));
	t_res("getpid is foreign", syscall(SYS_getpid) == getpid());
	int file = (int)syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
	t_res("a file", syscall(SYS_read, file, buf, 4));
	t_res("its lseek", syscall(SYS_lseek, file, 1, SEEK_SET));
	syscall(SYS_close, file);
	syscall(SYS_close, c);
	syscall(SYS_close, l);
	syscall(SYS_close, ep);
}

T_MAIN(T_CASE(streams), T_CASE(two_streams_on_dups), T_CASE(direct), T_CASE(asynchronous),
       T_CASE(by_number))
