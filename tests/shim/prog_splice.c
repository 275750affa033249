/* splice() between pipes and sockets, many messages in one call. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static void splice_to_pipe(void)
{
	int a, b, p[2];
	char buf[64] = "";
	t_pair(&a, &b);
	pipe(p);
	fcntl(b, F_SETFL, O_NONBLOCK);
	t_res("empty", splice(b, NULL, p[1], NULL, 10, 0));
	fcntl(b, F_SETFL, 0);
	send(a, "hello world", 11, 0);
	t_until(b, POLLIN);
	t_res("five", splice(b, NULL, p[1], NULL, 5, 0));
	t_res("read", read(p[0], buf, sizeof(buf)));
	t_out("%.5s", buf);
	t_res("rest", splice(b, NULL, p[1], NULL, 100, SPLICE_F_MOVE));
	t_res("read", read(p[0], buf, sizeof(buf)));
	t_out("%.6s", buf);
	close(a);
	t_until(b, POLLRDHUP);
	t_res("eof", splice(b, NULL, p[1], NULL, 100, 0));
	t_res("no pipe", splice(b, NULL, b, NULL, 100, 0));
	off64_t off = 0;
	t_res("offset on a socket", splice(b, &off, p[1], NULL, 100, 0));
	close(b);
	close(p[0]);
	close(p[1]);
}

static void splice_from_pipe(void)
{
	int a, b, p[2];
	char buf[64] = "";
	t_pair(&a, &b);
	pipe(p);
	write(p[1], "abcdefgh", 8);
	t_res("three", splice(p[0], NULL, a, NULL, 3, 0));
	t_res("rest", splice(p[0], NULL, a, NULL, 100, SPLICE_F_MORE));
	t_res("got", t_read_all(b, buf, 8));
	t_out("%.8s", buf);
	close(p[1]);
	t_res("pipe at its end", splice(p[0], NULL, a, NULL, 100, 0));
	close(a);
	close(b);
	close(p[0]);
}

static void relay(void)
{
	int a, b, c, d, p[2];
	static char out[200000], in[200000];
	size_t sent = 0, through = 0, got = 0;
	t_pair(&a, &b);
	t_pair(&c, &d);
	pipe(p);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + (i >> 8));
	while (got < sizeof(in)) {
		ssize_t r = send(a, out + sent, sizeof(out) - sent, MSG_DONTWAIT);
		fcntl(b, F_SETFL, O_NONBLOCK);
		sent += r > 0 ? (size_t)r : 0;
		r = splice(b, NULL, p[1], NULL, 65536, SPLICE_F_NONBLOCK);
		while (r > 0) {
			ssize_t w = splice(p[0], NULL, c, NULL, (size_t)r, 0);
			if (w <= 0)
				break;
			r -= w;
			through += (size_t)w;
			ssize_t g;
			while ((g = recv(d, in + got, sizeof(in) - got, MSG_DONTWAIT)) > 0)
				got += (size_t)g;
		}
		r = recv(d, in + got, sizeof(in) - got, MSG_DONTWAIT);
		got += r > 0 ? (size_t)r : 0;
	}
	t_out("relayed %zu equal %d", through, !memcmp(in, out, sizeof(in)));
	close(a);
	close(b);
	close(c);
	close(d);
	close(p[0]);
	close(p[1]);
}

static void many_messages(void)
{
	int a, b;
	char x[4] = "one", y[4] = "two", in1[3], in2[3], in3[8];
	struct iovec o[2] = { { x, 3 }, { y, 3 } }, i[3] = { { in1, 3 }, { in2, 3 }, { in3, 8 } };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &o[0], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &o[1], .msg_iovlen = 1 } } };
	struct mmsghdr r[3] = { { .msg_hdr = { .msg_iov = &i[0], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &i[1], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &i[2], .msg_iovlen = 1 } } };
	t_pair(&a, &b);
	t_res("sendmmsg", sendmmsg(a, m, 2, 0));
	t_out("lens %u %u", m[0].msg_len, m[1].msg_len);
	t_until(b, POLLIN);
	t_sleep_ms(50);
	t_res("recvmmsg", recvmmsg(b, r, 3, MSG_WAITFORONE, NULL));
	t_out("lens %u %u %.3s %.3s", r[0].msg_len, r[1].msg_len, in1, in2);
	t_res("recvmmsg empty", recvmmsg(b, r, 3, MSG_DONTWAIT, NULL));
	t_res("sendmmsg 0", sendmmsg(a, m, 0, 0));
	t_res("sendmmsg null", sendmmsg(a, NULL, 1, 0));
	t_res("preadv2 -1", preadv2(b, &i[0], 1, -1, RWF_NOWAIT));
	t_res("pwritev2 -1", pwritev2(a, &o[0], 1, -1, 0));
	t_until(b, POLLIN);
	t_res("preadv2 -1", preadv2(b, &i[0], 1, -1, 0));
	t_res("preadv2 0", preadv2(b, &i[0], 1, 0, 0));
	t_res("pwritev", pwritev(a, &o[0], 1, 0));
	close(a);
	close(b);
}

T_MAIN(T_CASE(splice_to_pipe), T_CASE(splice_from_pipe), T_CASE(relay), T_CASE(many_messages))
