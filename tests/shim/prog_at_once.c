/* What is written to a socket of one's own is there when the call returns: no look that follows, whatever
 * the call, may find nothing. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

enum { TIMES = 400 };
static int a, b, ep;
static struct epoll_event ev[4];

static int by_recv(void)
{
	char c;
	return recv(a, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
}

static int by_poll(void)
{
	struct pollfd p = { .fd = a, .events = POLLIN };
	return poll(&p, 1, 0) == 1 && p.revents == POLLIN;
}

static int by_select(void)
{
	struct timeval none = { 0, 0 };
	fd_set set;
	FD_ZERO(&set);
	FD_SET(a, &set);
	return select(a + 1, &set, NULL, NULL, &none) == 1 && FD_ISSET(a, &set);
}

static int by_epoll(void)
{
	return epoll_wait(ep, ev, 4, 0) == 1 && ev[0].events == EPOLLIN;
}

static const struct {
	const char *name;
	int (*look)(void);
} looks[] = { { "recv", by_recv }, { "poll", by_poll }, { "select", by_select }, { "epoll", by_epoll } };

static void open_pair(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int on = 1;
	t_pair(&a, &b);
	setsockopt(b, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, a, &e);
}

static void close_pair(void)
{
	close(a);
	close(b);
	close(ep);
}

static void bytes(void)
{
	open_pair();
	for (size_t l = 0; l < T_COUNT(looks); l++) {
		int missed = 0;
		char c = 'x';
		for (int i = 0; i < TIMES; i++) {
			if (i % 50 == 0) /* the engine sleeps */
				t_sleep_ms(2);
			send(b, &c, 1, 0);
			missed += !looks[l].look();
			t_until(a, POLLIN);
			recv(a, &c, 1, 0);
		}
		t_out("missed by %s: %d", looks[l].name, missed);
	}
	close_pair();
}

static void first_bytes(void)
{
	for (size_t l = 0; l < T_COUNT(looks); l++) {
		int missed = 0;
		for (int i = 0; i < 20; i++) {
			open_pair();
			send(b, "x", 1, 0);
			missed += !looks[l].look();
			close_pair();
		}
		t_out("missed by %s: %d", looks[l].name, missed);
	}
}

static void end_of_stream(void)
{
	int missed = 0;
	char c;
	for (int i = 0; i < 50; i++) {
		open_pair();
		shutdown(b, SHUT_WR);
		missed += recv(a, &c, 1, MSG_DONTWAIT) != 0;
		close_pair();
	}
	t_out("missed the end: %d", missed);
}

/* Nothing was written: nothing is found, and nothing is waited for. */
static void nothing(void)
{
	int found = 0;
	open_pair();
	for (size_t l = 0; l < T_COUNT(looks); l++)
		for (int i = 0; i < TIMES; i++)
			found += looks[l].look();
	t_out("found %d", found);
	close_pair();
}

/* What connect() has made can be accepted, however often such connections have been written to at once. */
static void connections(void)
{
	struct sockaddr_in at;
	int l = t_listen(8, &at), polled = 0, accepted = 0;

	fcntl(l, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < TIMES; i++) {
		struct pollfd p = { .fd = l, .events = POLLIN };
		int c = t_connect_to(&at), s;

		polled += poll(&p, 1, 0) == 1;
		s = accept(l, NULL, NULL);
		accepted += s >= 0;
		write(c, "x", 1);
		close(s);
		close(c);
	}
	t_out("polled: %d, accepted: %d of %d", polled, accepted, TIMES);
	close(l);
}

T_MAIN(T_CASE(connections), T_CASE(bytes), T_CASE(first_bytes), T_CASE(end_of_stream), T_CASE(nothing))
