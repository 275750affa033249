/* What a call costs on descriptors that are none of the stack's: files, pipes, kernel sockets, sets of
 * these. Prints "call<TAB>nanoseconds", of a batch that nothing disturbed (among the best 5 %);
 * scripts/bench-foreign runs it bare and preloaded and subtracts. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 400, BATCH = 250, BEST = 20 };

static int zero, null, pipe_r, pipe_w, unix_a, unix_b, tcp_a, tcp_b, udp, file, set, set_ready;
static char buf[64];

/* ---- the calls ---- */
static void call_read(void) { (void)!read(zero, buf, 1); }
static void call_write(void) { (void)!write(null, buf, 1); }
static void call_pread(void) { (void)!pread(file, buf, 1, 0); }
static void call_readv(void)
{
	struct iovec v[2] = { { buf, 1 }, { buf + 1, 1 } };

	(void)!readv(zero, v, 2);
}
static void call_writev(void)
{
	struct iovec v[2] = { { buf, 1 }, { buf + 1, 1 } };

	(void)!writev(null, v, 2);
}
static void call_pipe(void)
{
	(void)!write(pipe_w, buf, 1);
	(void)!read(pipe_r, buf, 1);
}
static void call_recv_empty(void) { recv(tcp_a, buf, 1, MSG_DONTWAIT); }
static void call_tcp(void)
{
	send(tcp_a, buf, 1, 0);
	recv(tcp_b, buf, 1, 0);
}
static void call_unix(void)
{
	send(unix_a, buf, 1, 0);
	recv(unix_b, buf, 1, 0);
}
static void call_recvfrom(void) { recvfrom(udp, buf, 1, MSG_DONTWAIT, NULL, NULL); }
static void call_recvmsg(void)
{
	struct iovec v = { buf, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	recvmsg(udp, &m, MSG_DONTWAIT);
}
static void call_getsockopt(void)
{
	int v;
	socklen_t len = sizeof(v);

	getsockopt(tcp_a, SOL_SOCKET, SO_TYPE, &v, &len);
}
static void call_fcntl(void) { fcntl(pipe_r, F_GETFL); }
static void call_dup_close(void) { close(dup(zero)); }
static void call_open_close(void) { close(open("/dev/null", O_RDONLY)); }
static void call_epoll_wait(void)
{
	struct epoll_event ev[8];

	epoll_wait(set, ev, 8, 0);
}
static void call_epoll_ready(void)
{
	struct epoll_event ev[8];

	epoll_wait(set_ready, ev, 8, 0);
}
/* The form that could sleep. */
static void call_epoll_sleep(void)
{
	struct epoll_event ev[8];

	epoll_wait(set_ready, ev, 8, -1);
}
static void call_epoll_ctl(void)
{
	struct epoll_event ev = { .events = EPOLLIN };

	epoll_ctl(set, EPOLL_CTL_MOD, pipe_r, &ev);
}
static void call_poll(void)
{
	struct pollfd p[2] = { { pipe_r, POLLIN, 0 }, { tcp_a, POLLIN, 0 } };

	poll(p, 2, 0);
}
static void call_select(void)
{
	struct timeval none = { 0 };
	fd_set r;

	FD_ZERO(&r);
	FD_SET(pipe_r, &r);
	FD_SET(tcp_a, &r);
	select((pipe_r > tcp_a ? pipe_r : tcp_a) + 1, &r, NULL, NULL, &none);
}
static void call_stdio(void)
{
	static FILE *f;

	if (!f)
		f = fdopen(dup(null), "w");
	fputc('x', f);
	fflush(f);
}

static const struct {
	const char *name;
	void (*run)(void);
	int calls; /* of libc, in one run */
} ops[] = {
	{ "read /dev/zero", call_read, 1 },
	{ "write /dev/null", call_write, 1 },
	{ "readv /dev/zero", call_readv, 1 },
	{ "writev /dev/null", call_writev, 1 },
	{ "pread of a file", call_pread, 1 },
	{ "fflush to /dev/null", call_stdio, 1 },
	{ "pipe: write, read", call_pipe, 2 },
	{ "AF_UNIX: send, recv", call_unix, 2 },
	{ "kernel TCP: send, recv", call_tcp, 2 },
	{ "kernel TCP: recv, empty", call_recv_empty, 1 },
	{ "kernel UDP: recvfrom, empty", call_recvfrom, 1 },
	{ "kernel UDP: recvmsg, empty", call_recvmsg, 1 },
	{ "getsockopt", call_getsockopt, 1 },
	{ "fcntl F_GETFL", call_fcntl, 1 },
	{ "epoll_wait, nothing", call_epoll_wait, 1 },
	{ "epoll_wait, one ready", call_epoll_ready, 1 },
	{ "epoll_wait without limit, one ready", call_epoll_sleep, 1 },
	{ "epoll_ctl MOD", call_epoll_ctl, 1 },
	{ "poll of 2", call_poll, 1 },
	{ "select of 2", call_select, 1 },
	{ "dup, close", call_dup_close, 2 },
	{ "open, close", call_open_close, 2 },
};

/* ---- set-up ---- */
static void need(const char *what, int ok)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

/* A connection that is the kernel's for sure: IPv6 loopback, else IPv4's. */
static void kernel_tcp(void)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *a = (struct sockaddr *)&a6;
	socklen_t len = sizeof(a6);
	int family = AF_INET6, l = socket(AF_INET6, SOCK_STREAM, 0);

	if (l < 0 || bind(l, a, len) < 0) {
		close(l);
		family = AF_INET;
		a = (struct sockaddr *)&a4;
		len = sizeof(a4);
		l = socket(AF_INET, SOCK_STREAM, 0);
		need("bind", bind(l, a, len) == 0);
	}
	need("listen", listen(l, 1) == 0 && getsockname(l, a, &len) == 0);
	tcp_a = socket(family, SOCK_STREAM, 0);
	need("connect", connect(tcp_a, a, len) == 0);
	tcp_b = accept(l, NULL, NULL);
	need("accept", tcp_b >= 0);
	close(l);
}

/* Something of the stack's in the table, so that the shim is wide awake: a listener on FN_TEST_ADDR. */
static void one_of_ours(void)
{
	const char *addr = getenv("FN_TEST_ADDR");
	struct sockaddr_in a = { .sin_family = AF_INET };
	int l;

	if (!addr || inet_pton(AF_INET, addr, &a.sin_addr) != 1)
		return;
	l = socket(AF_INET, SOCK_STREAM, 0);
	need("listener on FN_TEST_ADDR", bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 &&
						 listen(l, 1) == 0);
}

static void prepare(void)
{
	int p[2];
	struct epoll_event ev = { .events = EPOLLIN };

	one_of_ours();
	zero = open("/dev/zero", O_RDWR);
	null = open("/dev/null", O_RDWR);
	file = open("/proc/self/exe", O_RDONLY);
	need("files", zero >= 0 && null >= 0 && file >= 0);
	need("pipe", pipe(p) == 0);
	pipe_r = p[0];
	pipe_w = p[1];
	need("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	unix_a = p[0];
	unix_b = p[1];
	udp = socket(AF_INET6, SOCK_DGRAM, 0);
	kernel_tcp();
	set = epoll_create1(0);
	set_ready = epoll_create1(0);
	need("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, pipe_r, &ev) == 0 &&
				  epoll_ctl(set, EPOLL_CTL_ADD, tcp_a, &ev) == 0);
	ev.events = EPOLLOUT;
	need("epoll_ctl", epoll_ctl(set_ready, EPOLL_CTL_ADD, pipe_w, &ev) == 0);
}

/* ---- measuring ---- */
static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double measure(void (*run)(void), int calls)
{
	double ns[BATCHES];

	for (int k = 0; k < BATCHES; k++) {
		uint64_t t0 = now_ns();

		for (int i = 0; i < BATCH; i++)
			run();
		ns[k] = (double)(now_ns() - t0) / BATCH / calls;
	}
	qsort(ns, BATCHES, sizeof(ns[0]), by_value);
	return ns[BEST];
}

int main(int argc, char **argv)
{
	int *stub_on = dlsym(RTLD_DEFAULT, "foreignstub_on");

	prepare();
	call_stdio();
	if (stub_on)
		*stub_on = 1;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (argc < 2 || strstr(ops[i].name, argv[1]))
			printf("%s\t%.2f\n", ops[i].name, measure(ops[i].run, ops[i].calls));
	return 0;
}
