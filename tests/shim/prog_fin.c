/* MSG_FIN (MSG_EOF of other systems): send and half-close in one call. Linux ignores the flag when sending,
 * which is the difference that differences.txt declares. Everything around it is the same. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

enum { FIN = 0x200 };

static void done(int a, int b)
{
	close(a);
	close(b);
}

/* Has the peer seen the end? Waits for it only as long as is needed to be sure. */
static void ended(const char *what, int fd)
{
	int got = 0;

	for (int i = 0; i < 30 && !(got & POLLRDHUP); i++) {
		got = t_poll(fd, POLLRDHUP);
		t_sleep_ms(1);
	}
	t_out("%s: %s", what, got & POLLRDHUP ? "half-closed" : "open");
}

static void sent_and_closed(void)
{
	char buf[16] = { 0 };
	int a, b;

	t_pair(&a, &b);
	t_res("send", send(a, "last", 4, FIN));
	t_res("arrives", t_read_all(b, buf, 4));
	t_out("%s", buf);
	ended("peer", b);
	t_res("send after it", send(a, "more", 4, MSG_NOSIGNAL));
	t_res("the other way", send(b, "back", 4, 0));
	t_res("arrives", recv(a, buf, 4, 0));
	done(a, b);
}

static void of_nothing(void)
{
	int a, b;

	t_pair(&a, &b);
	t_res("send", send(a, "", 0, FIN));
	ended("peer", b);
	done(a, b);
}

static void not_when_it_failed(void)
{
	int a, b;

	t_pair(&a, &b);
	t_res("bad pointer", send(a, (void *)8, 4, FIN));
	t_res("bad address", sendto(a, "x", 1, FIN, (struct sockaddr *)&a, 4096));
	t_res("out of band", send(a, (void *)8, 1, FIN | MSG_DONTWAIT));
	ended("peer", b);
	t_res("goes on", send(a, "x", 1, 0));
	done(a, b);
}

/* A short one half-closes nothing: the rest is still to come. */
static void not_when_short(void)
{
	static char big[1 << 20];
	char buf[65536];
	size_t sent, got = 0;
	int a, b, small = 8192;
	ssize_t r;

	t_pair(&a, &b);
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	fcntl(a, F_SETFL, O_NONBLOCK);
	r = send(a, big, sizeof(big), FIN);
	t_out("short %d", r > 0 && r < (ssize_t)sizeof(big));
	sent = (size_t)r;
	sent += t_fill(a);
	t_res("and when nothing goes", send(a, "x", 1, FIN));
	while (got < sent && (r = recv(b, buf, sizeof(buf), 0)) > 0)
		got += (size_t)r;
	t_until(a, POLLOUT);
	t_res("goes on", send(a, "x", 1, MSG_NOSIGNAL));
	t_res("arrives", recv(b, buf, 1, 0));
	ended("peer", b);
	done(a, b);
}

static void nonblocking(void)
{
	int a, b;

	t_pair(&a, &b);
	fcntl(a, F_SETFL, O_NONBLOCK);
	t_res("send", send(a, "last", 4, FIN));
	ended("peer", b);
	done(a, b);
	t_pair(&a, &b);
	t_res("DONTWAIT", send(a, "last", 4, FIN | MSG_DONTWAIT));
	ended("peer", b);
	done(a, b);
}

static void messages(void)
{
	struct iovec v = { "msg", 3 };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &v, .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &v, .msg_iovlen = 1 } } };
	int a, b;

	t_pair(&a, &b);
	t_res("sendmsg", sendmsg(a, &m[0].msg_hdr, FIN));
	ended("peer", b);
	done(a, b);
	t_pair(&a, &b);
	t_res("sendmmsg", sendmmsg(a, m, 2, FIN | MSG_NOSIGNAL));
	ended("peer", b);
	done(a, b);
}

static void with_other_flags(void)
{
	int a, b;

	t_pair(&a, &b);
	t_res("MORE", send(a, "last", 4, FIN | MSG_MORE));
	ended("peer", b);
	done(a, b);
	t_pair(&a, &b);
	shutdown(b, SHUT_WR);
	t_until(a, POLLRDHUP);
	t_res("the peer first", send(a, "last", 4, FIN));
	ended("peer", b);
	t_out("both %s", t_mask((uint32_t)t_poll(a, POLLIN) & POLLHUP));
	done(a, b);
	t_pair(&a, &b);
	t_res("receiving ignores it", recv(a, &(char){ 0 }, 1, FIN | MSG_DONTWAIT));
	ended("peer", b);
	done(a, b);
}

T_MAIN(T_CASE(sent_and_closed), T_CASE(of_nothing), T_CASE(not_when_it_failed),
       T_CASE(not_when_short), T_CASE(nonblocking), T_CASE(messages), T_CASE(with_other_flags))
