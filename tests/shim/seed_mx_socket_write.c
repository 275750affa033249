/* mx_socket_write (001_6b77fe3870e44b88.txt) as a program sees it: the statuses that chan_write() keeps
 * apart (tests/unit/chan/test_write.c has them one by one) arrive as the right result, errno and signal. Each
 * case paraphrases its sentence; the system's handles and rights are descriptors and open modes here. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static volatile sig_atomic_t pipes;
static void on_pipe(int sig) { pipes++; }

static void done(int a, int b)
{
	close(a);
	close(b);
}

/* "attempts to write size bytes to the socket specified by handle" and "returns OK on success" */
static void writes_the_bytes(void)
{
	char buf[8] = { 0 };
	int a, b;

	t_pair(&a, &b);
	t_res("write", write(a, "hello", 5));
	t_res("arrives", t_read_all(b, buf, 5));
	t_out("%s", buf);
	done(a, b);
}

/* "The pointer to bytes may be NULL if size is zero" */
static void null_with_size_zero(void)
{
	int a, b;

	t_pair(&a, &b);
	t_res("write", write(a, NULL, 0));
	t_res("send", send(a, NULL, 0, 0));
	t_res("sendto", sendto(a, NULL, 0, 0, NULL, 0));
	t_res("writev", writev(a, &(struct iovec){ NULL, 0 }, 1));
	t_res("sendmsg", sendmsg(a, &(struct msghdr){ 0 }, 0));
	t_out("peer %s", t_mask((uint32_t)t_poll(b, POLLIN)));
	done(a, b);
}

/* "If HALF_CLOSE is passed and size is 0, the endpoint is closed. Further writes will fail with BAD_STATE":
 * shutdown(SHUT_WR), then EPIPE. The other direction stays open. */
static void half_close(void)
{
	char c;
	int a, b;

	signal(SIGPIPE, on_pipe);
	t_pair(&a, &b);
	t_res("half-close", shutdown(a, SHUT_WR));
	pipes = 0;
	t_res("write", write(a, "x", 1));
	t_out("SIGPIPE %d", pipes);
	t_res("of nothing", write(a, "x", 0));
	t_out("SIGPIPE %d", pipes);
	t_res("NOSIGNAL", send(a, "x", 1, MSG_NOSIGNAL));
	t_out("SIGPIPE %d", pipes);
	t_res("again", shutdown(a, SHUT_WR));
	t_out("peer %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	t_res("peer reads the end", read(b, &c, 1));
	t_res("peer writes", write(b, "y", 1));
	t_res("arrives", read(a, &c, 1));
	done(a, b);
}

/* "A STREAM write can be short if the socket does not have enough space for all of buffer. The amount
 * written is returned" */
static void a_short_write(void)
{
	static char big[4 << 20];
	int a, b;
	ssize_t r;

	t_pair(&a, &b);
	fcntl(a, F_SETFL, O_NONBLOCK);
	r = write(a, big, sizeof(big));
	t_out("short %d", r > 0 && r < (ssize_t)sizeof(big));
	r = writev(a, &(struct iovec){ big, sizeof(big) }, 1);
	t_out("short again or nothing %d", r < (ssize_t)sizeof(big));
	done(a, b);
}

/* "SHOULD_WAIT: The buffer underlying the socket is full" */
static void should_wait(void)
{
	int a, b, small = 8192;
	size_t sent, got = 0;
	char buf[65536];
	ssize_t r;

	t_pair(&a, &b);
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	sent = t_fill(a);
	fcntl(a, F_SETFL, O_NONBLOCK);
	t_res("write", write(a, "x", 1));
	t_res("of nothing", write(a, "x", 0));
	t_out("poll %s", t_mask((uint32_t)t_poll(a, POLLOUT)));
	while (got < sent && (r = recv(b, buf, sizeof(buf), 0)) > 0)
		got += (size_t)r;
	t_out("poll %s", t_mask((uint32_t)t_until(a, POLLOUT)));
	t_res("write", write(a, "x", 1));
	done(a, b);
}

/* "BAD_HANDLE: handle is not a valid handle" */
static void bad_handle(void)
{
	int a, b;

	t_pair(&a, &b);
	done(a, b);
	t_res("closed", write(a, "x", 1));
	t_res("closed, of nothing", write(a, "x", 0));
	t_res("-1", send(-1, "x", 1, 0));
	t_res("never opened", send(9999, "x", 1, 0));
}

/* "WRONG_TYPE: handle is not a socket handle" */
static void wrong_type(void)
{
	int p[2], f = open("/dev/null", O_RDWR), ep = epoll_create1(0);

	pipe(p);
	t_res("pipe", send(p[1], "x", 1, 0));
	t_res("file", send(f, "x", 1, 0));
	t_res("epoll", send(ep, "x", 1, 0));
	done(p[0], p[1]);
	done(f, ep);
}

/* "INVALID_ARGS: buffer is an invalid pointer" */
static void invalid_pointer(void)
{
	int a, b;

	t_pair(&a, &b);
	t_res("write", write(a, (void *)8, 5));
	t_res("NULL", write(a, NULL, 5));
	t_res("end of everything", write(a, (void *)UINTPTR_MAX, 5));
	t_res("afterwards", write(a, "x", 1));
	done(a, b);
}

/* "options was not 0 or HALF_CLOSE": Linux ignores what it does not know in send(), but not everywhere. */
static void unknown_options(void)
{
	int a, b;

	t_pair(&a, &b);
	t_res("send", send(a, "x", 1, 0x00400000));
	t_res("shutdown", shutdown(a, 7));
	t_res("shutdown", shutdown(a, -1));
	t_res("pwritev2", pwritev2(a, &(struct iovec){ "x", 1 }, 1, -1, 0x40000000));
	t_res("still open", send(a, "x", 1, 0));
	done(a, b);
}

/* "ACCESS_DENIED: handle does not have the right to write": sockets always have; other descriptors not. */
static void no_right_to_write(void)
{
	int p[2], a, b;
	char path[64];

	pipe(p);
	t_res("read end", write(p[0], "x", 1));
	t_pair(&a, &b);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", a);
	t_ok("a socket can't be opened anew", open(path, O_RDONLY));
	t_res("a copy of it writes", write(dup(a), "x", 1));
	done(p[0], p[1]);
	done(a, b);
}

/* "PEER_CLOSED: The other side of the socket is closed" */
static void peer_closed(void)
{
	int a, b;

	signal(SIGPIPE, on_pipe);
	t_pair(&a, &b);
	close(b);
	t_until(a, POLLRDHUP);
	t_res("the first draws a reset", write(a, "x", 1));
	t_until(a, POLLHUP);
	pipes = 0;
	t_res("then", write(a, "x", 1));
	t_out("SIGPIPE %d", pipes);
	t_res("of nothing", write(a, "x", 0));
	t_out("SIGPIPE %d", pipes);
	close(a);
	t_pair(&a, &b);
	t_reset(b);
	t_until(a, POLLHUP);
	pipes = 0;
	t_res("reset", write(a, "x", 1));
	t_out("SIGPIPE %d", pipes);
	t_res("then", write(a, "x", 1));
	t_out("SIGPIPE %d", pipes);
	close(a);
}

/* "A DATAGRAM write is never short" */
static void datagrams(void)
{
	struct sockaddr_in at = t_addr(0);
	socklen_t len = sizeof(at);
	static char big[70000];
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);

	bind(b, (struct sockaddr *)&at, sizeof(at));
	getsockname(b, (struct sockaddr *)&at, &len);
	t_res("connect", connect(a, (struct sockaddr *)&at, sizeof(at)));
	t_res("write", write(a, "hello", 5));
	t_res("of nothing", write(a, NULL, 0));
	t_res("too long", write(a, big, sizeof(big)));
	t_res("longest", write(a, big, 65507) == 65507);
	t_res("one byte more", write(a, big, 65508));
	done(a, b);
}

T_MAIN(T_CASE(writes_the_bytes), T_CASE(null_with_size_zero), T_CASE(half_close),
       T_CASE(a_short_write), T_CASE(should_wait), T_CASE(bad_handle), T_CASE(wrong_type),
       T_CASE(invalid_pointer), T_CASE(unknown_options), T_CASE(no_right_to_write),
       T_CASE(peer_closed), T_CASE(datagrams))
