/* send and its family: flags, zero lengths, errors, full buffers, SIGPIPE. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static volatile sig_atomic_t pipes;

static void count_pipe(int sig)
{
	pipes++;
}

static void catch_pipe(void)
{
	signal(SIGPIPE, count_pipe);
	pipes = 0;
}

static void flags_on_open_connection(void)
{
	static const struct {
		const char *name;
		int flags;
	} rows[] = { { "0", 0 },
		     { "MSG_DONTWAIT", MSG_DONTWAIT },
		     { "MSG_NOSIGNAL", MSG_NOSIGNAL },
		     { "MSG_MORE", MSG_MORE },
		     { "MSG_EOR", MSG_EOR },
		     { "MSG_DONTROUTE", MSG_DONTROUTE },
		     { "MSG_CONFIRM", MSG_CONFIRM },
		     { "MSG_WAITALL", MSG_WAITALL },
		     { "MSG_PEEK", MSG_PEEK },
		     { "MSG_TRUNC", MSG_TRUNC },
		     { "unknown bit", 0x80000 } };
	int a, b;
	char buf[64];
	t_pair(&a, &b);
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		t_res(rows[i].name, send(a, "abc", 3, rows[i].flags));
		if (rows[i].flags == MSG_MORE)
			send(a, "", 0, 0);
	}
	int one = 1;
	setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	t_res("arrived", t_read_all(b, buf, 3 * T_COUNT(rows)));
	t_out("%.33s", buf);
	close(a);
	close(b);
}

static void zero_lengths(void)
{
	int a, b;
	char buf[8];
	t_pair(&a, &b);
	struct iovec none = { .iov_base = buf, .iov_len = 0 };
	struct msghdr empty = { 0 }, zero = { .msg_iov = &none, .msg_iovlen = 1 };
	t_res("send 0", send(a, buf, 0, 0));
	t_res("send 0 null", send(a, NULL, 0, 0));
	t_res("write 0", write(a, buf, 0));
	t_res("writev of nothing", writev(a, NULL, 0));
	t_res("writev of an empty one", writev(a, &none, 1));
	t_res("sendmsg of nothing", sendmsg(a, &empty, 0));
	t_res("sendmsg of an empty one", sendmsg(a, &zero, 0));
	t_out("peer %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLOUT)));
	t_res("read 0", read(b, buf, 0));
	t_res("recv 0 dontwait", recv(b, buf, 0, MSG_DONTWAIT));
	t_res("readv of an empty one", readv(b, &none, 1));
	send(a, "x", 1, 0);
	t_until(b, POLLIN);
	t_res("read 0 with data", read(b, buf, 0));
	t_res("recv 0 with data", recv(b, buf, 0, 0));
	t_res("the byte is still there", read(b, buf, 8));
	close(a);
	close(b);
}

static void bad_arguments(void)
{
	int a, b;
	t_pair(&a, &b);
	static struct iovec many[2000];
	char c = 'x';
	for (size_t i = 0; i < T_COUNT(many); i++)
		many[i] = (struct iovec){ &c, 1 };
	struct msghdr m = { .msg_iov = many, .msg_iovlen = 1025 };
	t_res("writev 1024", writev(a, many, 1024));
	t_res("writev 1025", writev(a, many, 1025));
	t_res("writev -1", writev(a, many, -1));
	t_res("sendmsg 1025", sendmsg(a, &m, 0));
	m.msg_iovlen = 1024;
	t_res("sendmsg 1024", sendmsg(a, &m, 0));
	t_res("sendmsg null", sendmsg(a, NULL, 0));
	t_res("send fault", send(a, (void *)8, 10, 0));
	t_res("write fault", write(a, (void *)8, 10));
	struct iovec bad[2] = { { &c, 1 }, { (void *)8, 10 } };
	t_res("writev second part faulty", writev(a, bad, 2));
	struct iovec huge[2] = { { &c, SIZE_MAX / 2 }, { &c, SIZE_MAX / 2 } };
	t_res("writev too long", writev(a, huge, 2));
	struct sockaddr_in to = t_addr(1);
	t_res("sendto an address when connected",
	      sendto(a, &c, 1, 0, (struct sockaddr *)&to, sizeof(to)));
	close(a);
	close(b);
}

static void unconnected(void)
{
	catch_pipe();
	struct sockaddr_in to = t_addr(1);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	t_res("send", send(fd, "x", 1, 0));
	t_out("SIGPIPE %d", pipes);
	t_res("send nosignal", send(fd, "x", 1, MSG_NOSIGNAL));
	t_out("SIGPIPE %d", pipes);
	t_res("write", write(fd, "x", 1));
	t_out("SIGPIPE %d", pipes);
	t_res("send 0", send(fd, "x", 0, 0));
	t_res("sendto", sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	t_out("SIGPIPE %d", pipes);
	close(fd);
}

static void after_peer_closed(void)
{
	int a, b;
	catch_pipe();
	t_pair(&a, &b);
	close(b);
	t_until(a, POLLRDHUP);
	t_res("first send", send(a, "x", 1, 0));
	t_out("then %s", t_mask((uint32_t)t_until(a, POLLHUP)));
	t_res("second send", send(a, "x", 1, 0));
	t_out("SIGPIPE %d", pipes);
	t_res("third send", send(a, "x", 1, 0));
	t_out("SIGPIPE %d", pipes);
	t_res("writev", writev(a, &(struct iovec){ "y", 1 }, 1));
	t_out("SIGPIPE %d", pipes);
	t_res("nosignal", send(a, "x", 1, MSG_NOSIGNAL));
	t_out("SIGPIPE %d", pipes);
	close(a);
}

static void after_reset(void)
{
	int a, b;
	char c;
	catch_pipe();
	t_pair(&a, &b);
	t_reset(b);
	t_until(a, POLLHUP);
	t_res("send takes the error", send(a, "x", 1, 0));
	t_out("SIGPIPE %d", pipes);
	t_res("send then", send(a, "x", 1, 0));
	t_out("SIGPIPE %d", pipes);
	t_res("read then", read(a, &c, 1));
	close(a);
}

static void full_buffer(void)
{
	int a, b;
	static char buf[65536];
	t_pair(&a, &b);
	int small = 8192;
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)); /* no growth by itself */
	size_t sent = t_fill(a);
	t_out("something fits %d", sent > 0);
	t_out("full: %s", t_mask((uint32_t)t_poll(a, POLLIN | POLLOUT)));
	t_res("dontwait", send(a, buf, 1, MSG_DONTWAIT));
	fcntl(a, F_SETFL, O_NONBLOCK);
	t_res("nonblocking write", write(a, buf, 1));
	fcntl(a, F_SETFL, 0);
	struct timeval tv = { .tv_usec = 50000 };
	setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	uint64_t t0 = t_now_ms();
	t_res("with SNDTIMEO", send(a, buf, 1, 0));
	uint64_t took = t_now_ms() - t0;
	t_out("waited %s", took >= 45 && took < 500 ? "about 50 ms" : "wrongly");
	size_t got = 0;
	while (got < sent) {
		ssize_t r = recv(b, buf, sizeof(buf), 0);
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	t_out("all of it arrived %d", got == sent);
	t_out("room again: %s", t_mask((uint32_t)t_until(a, POLLOUT)));
	t_res("send", send(a, buf, 1, 0));
	close(a);
	close(b);
}

static void *drain(void *arg)
{
	static char buf[65536];
	int fd = *(int *)arg;
	size_t got = 0;
	for (;;) {
		ssize_t r = recv(fd, buf, sizeof(buf), 0);
		if (r <= 0)
			break;
		for (ssize_t i = 0; i < r; i++)
			if (buf[i] != (char)((got + (size_t)i) * 7 + ((got + (size_t)i) >> 12)))
				t_out("byte %zu wrong", got + (size_t)i);
		got += (size_t)r;
	}
	t_out("received %zu", got);
	return NULL;
}

static void blocking_send_is_complete(void)
{
	enum { N = 3000000 };
	int a, b;
	pthread_t thread;
	char *data = malloc(N);
	for (size_t i = 0; i < N; i++)
		data[i] = (char)(i * 7 + (i >> 12));
	t_pair(&a, &b);
	pthread_create(&thread, NULL, drain, &b);
	t_res("one send", send(a, data, N / 2, 0));
	struct iovec v[3] = { { data + N / 2, 1000 },
			      { data + N / 2 + 1000, 0 },
			      { data + N / 2 + 1000, N / 2 - 1000 } };
	t_res("one writev", writev(a, v, 3));
	close(a);
	pthread_join(thread, NULL);
	close(b);
	free(data);
}

static void many_messages(void)
{
	int a, b;
	char buf[64] = { 0 };
	t_pair(&a, &b);
	struct iovec v[3] = { { "one", 3 }, { "two", 3 }, { "three", 5 } };
	struct mmsghdr m[3];
	memset(m, 0, sizeof(m));
	for (int i = 0; i < 3; i++)
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v[i], .msg_iovlen = 1 };
	t_res("sendmmsg", sendmmsg(a, m, 3, 0));
	t_out("lengths %u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	t_res("read", t_read_all(b, buf, 11));
	t_out("%s", buf);
	t_res("sendmmsg of none", sendmmsg(a, m, 0, 0));
	send(a, "abcdef", 6, 0);
	t_until(b, POLLIN);
	t_sleep_ms(5);
	char in[2][4];
	struct iovec w[2] = { { in[0], 3 }, { in[1], 3 } };
	for (int i = 0; i < 2; i++)
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &w[i], .msg_iovlen = 1 };
	t_res("recvmmsg", recvmmsg(b, m, 2, MSG_DONTWAIT, NULL));
	t_out("lengths %u %u %.3s %.3s", m[0].msg_len, m[1].msg_len, in[0], in[1]);
	t_res("recvmmsg of an empty one", recvmmsg(b, m, 2, MSG_DONTWAIT, NULL));
	close(a);
	close(b);
}

T_MAIN(T_CASE(flags_on_open_connection), T_CASE(zero_lengths), T_CASE(bad_arguments),
       T_CASE(unconnected), T_CASE(after_peer_closed), T_CASE(after_reset), T_CASE(full_buffer),
       T_CASE(blocking_send_is_complete), T_CASE(many_messages))
