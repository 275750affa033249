/* mtcp_write (000_8027087cfe9e6b71.txt): what the page says, of write() on a POSIX socket. Each case
 * paraphrases its sentence. The per-core context argument has no counterpart here. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static volatile sig_atomic_t pipes;
static void on_pipe(int sig) { pipes++; }

static void done(int a, int b)
{
	close(a);
	close(b);
}

/* "sends up to len number of bytes from the buffer"; "sent to the socket using the descriptor" */
static void sends_up_to_len_bytes(void)
{
	char buf[16] = { 0 };
	int a, b;

	t_pair(&a, &b);
	t_res("5 of a longer buffer", write(a, "hello world", 5));
	shutdown(a, SHUT_WR);
	t_res("arrive, no more", t_read_all(b, buf, sizeof(buf)));
	t_out("%s", buf);
	done(a, b);
}

/* "may write less than len if there is insufficient space in the write buffer"; "the return value is the
 * actual number of bytes written" */
static void short_when_space_is_short(void)
{
	static char big[1 << 20], in[1 << 20];
	int a, b, small = 8192;
	ssize_t sent;
	size_t got;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 17 + (i >> 9));
	t_pair(&a, &b);
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	fcntl(a, F_SETFL, O_NONBLOCK);
	sent = write(a, big, sizeof(big));
	t_out("less than asked %d", sent > 0 && sent < (ssize_t)sizeof(big));
	shutdown(a, SHUT_WR);
	got = (size_t)t_read_all(b, in, sizeof(in));
	t_out("exactly those arrive %d, unchanged %d", got == (size_t)sent,
	      !memcmp(big, in, (size_t)sent));
	done(a, b);
}

/* "On success, the number of bytes dispatched via the socket" */
static void returns_the_number_of_bytes(void)
{
	static char buf[5000];
	static const size_t n[] = { 0, 1, 2, 100, 1448, 1460, 4096, 5000 };
	int a, b;

	t_pair(&a, &b);
	for (size_t i = 0; i < T_COUNT(n); i++) {
		t_res("write", write(a, buf, n[i]));
		t_res("read", t_read_all(b, buf, n[i]));
	}
	done(a, b);
}

/* "On error, -1 is returned and errno is set" */
static void error_is_minus_one(void)
{
	errno = 0;
	t_res("write", write(-1, "x", 1));
}

/* "EAGAIN: The write buffer of the socket is currently full. The user should call again once the write
 * buffer has space available" */
static void eagain_when_full(void)
{
	char buf[65536];
	int a, b, small = 8192;
	size_t sent, got = 0;
	ssize_t r;

	t_pair(&a, &b);
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	fcntl(a, F_SETFL, O_NONBLOCK);
	sent = t_fill(a);
	t_res("full", write(a, "x", 1));
	t_res("still", write(a, "x", 1));
	while (got < sent && (r = recv(b, buf, sizeof(buf), 0)) > 0)
		got += (size_t)r;
	t_out("space: %s", t_mask((uint32_t)t_until(a, POLLOUT)));
	t_res("again", write(a, "x", 1));
	done(a, b);
}

/* "EBADF: not a valid socket descriptor for writing" */
static void ebadf(void)
{
	int a, b, p[2];

	t_pair(&a, &b);
	done(a, b);
	t_res("closed", write(a, "x", 1));
	t_res("negative", write(-5, "x", 1));
	t_res("beyond all", write(1 << 20, "x", 1));
	pipe(p);
	t_res("not for writing", write(p[0], "x", 1));
	done(p[0], p[1]);
}

/* "ENOTCONN: The connection is neither in ESTABLISHED nor in CLOSE_WAIT". On Linux write() says EPIPE and
 * raises SIGPIPE there; in those two states it writes. */
static void outside_established_and_close_wait(void)
{
	struct sockaddr_in at;
	int a, b, l;

	signal(SIGPIPE, on_pipe);
	a = socket(AF_INET, SOCK_STREAM, 0);
	t_res("CLOSED", write(a, "x", 1));
	t_out("SIGPIPE %d", pipes);
	close(a);
	l = t_listen(1, &at);
	t_res("LISTEN", write(l, "x", 1));
	t_out("SIGPIPE %d", pipes);
	close(l);
	t_pair(&a, &b);
	t_res("ESTABLISHED", write(a, "x", 1));
	shutdown(b, SHUT_WR);
	t_until(a, POLLRDHUP);
	t_res("CLOSE_WAIT", write(a, "x", 1));
	shutdown(a, SHUT_WR);
	t_res("LAST_ACK", write(a, "x", 1));
	done(a, b);
	t_pair(&a, &b);
	shutdown(a, SHUT_WR);
	t_res("FIN_WAIT", write(a, "x", 1));
	shutdown(b, SHUT_WR);
	t_until(a, POLLHUP);
	t_res("TIME_WAIT", write(a, "x", 1));
	t_out("SIGPIPE %d", pipes);
	done(a, b);
}

/* "ENOTSOCK: The socket referred to is not valid": of send(); write() takes any file. */
static void enotsock(void)
{
	int p[2], f = open("/dev/null", O_WRONLY);

	pipe(p);
	t_res("send to a pipe", send(p[1], "x", 1, 0));
	t_res("send to a file", send(f, "x", 1, 0));
	t_res("write to a pipe", write(p[1], "x", 1));
	t_res("write to a file", write(f, "x", 1));
	done(p[0], p[1]);
	close(f);
}

T_MAIN(T_CASE(sends_up_to_len_bytes), T_CASE(short_when_space_is_short),
       T_CASE(returns_the_number_of_bytes), T_CASE(error_is_minus_one), T_CASE(eagain_when_full),
       T_CASE(ebadf), T_CASE(outside_established_and_close_wait), T_CASE(enotsock))
