/* shutdown in each state and what both sides see after it. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

enum { ALL = POLLIN | POLLOUT | POLLRDHUP };

static void look(const char *who, int fd)
{
	char buf[16];
	t_out("%s %s", who, t_mask((uint32_t)t_poll(fd, ALL)));
	t_res("  recv", recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	t_res("  send", send(fd, "s", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static void write_side(void)
{
	int a, b;
	char buf[8];
	t_pair(&a, &b);
	send(a, "abc", 3, 0);
	t_res("shutdown WR", shutdown(a, SHUT_WR));
	t_res("again", shutdown(a, SHUT_WR));
	t_until(b, POLLRDHUP);
	t_out("peer %s", t_mask((uint32_t)t_poll(b, ALL)));
	t_res("peer reads", t_read_all(b, buf, 3));
	look("peer", b);
	t_until(a, POLLIN);
	t_sleep_ms(5);
	look("own", a);
	t_res("peer shutdown WR", shutdown(b, SHUT_WR));
	t_out("own until HUP %s", t_mask((uint32_t)t_until(a, POLLHUP)));
	t_out("peer until HUP %s", t_mask((uint32_t)t_until(b, POLLHUP)));
	t_res("own read", read(a, buf, 8));
	t_res("own shutdown RD", shutdown(a, SHUT_RD));
	t_res("own shutdown RDWR", shutdown(a, SHUT_RDWR));
	close(a);
	close(b);
}

static void read_side(void)
{
	int a, b;
	char buf[8];
	t_pair(&a, &b);
	t_res("shutdown RD", shutdown(a, SHUT_RD));
	t_out("own %s", t_mask((uint32_t)t_poll(a, ALL)));
	t_res("own recv", recv(a, buf, 8, 0));
	t_res("own send", send(a, "x", 1, 0));
	t_until(b, POLLIN);
	t_res("peer recv", recv(b, buf, 8, 0));
	t_out("peer %s", t_mask((uint32_t)t_poll(b, ALL)));
	t_res("peer send", send(b, "late", 4, MSG_NOSIGNAL));
	t_sleep_ms(10);
	t_res("data after it still comes", recv(a, buf, 8, 0));
	t_res("then the end", recv(a, buf, 8, 0));
	close(a);
	close(b);
}

static void both_sides(void)
{
	int a, b;
	char buf[8];
	t_pair(&a, &b);
	t_res("shutdown RDWR", shutdown(a, SHUT_RDWR));
	t_out("own %s", t_mask((uint32_t)t_poll(a, ALL)));
	t_res("own recv", recv(a, buf, 8, 0));
	t_res("own send", send(a, "x", 1, MSG_NOSIGNAL));
	t_out("peer %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	t_res("peer recv", recv(b, buf, 8, 0));
	t_res("getpeername", getpeername(a, (struct sockaddr *)buf, &(socklen_t){ 8 }));
	close(b);
	t_sleep_ms(20);
	t_out("own later %s", t_mask((uint32_t)t_poll(a, ALL)));
	t_res("shutdown when both have closed", shutdown(a, SHUT_WR));
	close(a);
}

static void bad_how(void)
{
	int a, b;
	t_pair(&a, &b);
	t_res("3", shutdown(a, 3));
	t_res("-1", shutdown(a, -1));
	t_reset(b);
	t_until(a, POLLHUP);
	t_res("after reset", shutdown(a, SHUT_WR));
	t_res("after reset RD", shutdown(a, SHUT_RD));
	close(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in addr = t_addr(0);
	bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	t_res("bound", shutdown(fd, SHUT_WR));
	close(fd);
}

static void *shut_later(void *arg)
{
	t_sleep_ms(30);
	shutdown(*(int *)arg, SHUT_RDWR);
	return NULL;
}

static void wakes_a_reader(void)
{
	int a, b;
	char c;
	pthread_t thread;
	t_pair(&a, &b);
	pthread_create(&thread, NULL, shut_later, &a);
	t_res("read woken by own shutdown", read(a, &c, 1));
	pthread_join(thread, NULL);
	close(a);
	close(b);
}

static void wakes_an_acceptor(void)
{
	pthread_t thread;
	int l = t_listen(1, NULL);
	pthread_create(&thread, NULL, shut_later, &l);
	t_res("accept woken by shutdown", accept(l, NULL, NULL));
	pthread_join(thread, NULL);
	t_out("mask %s", t_mask((uint32_t)t_poll(l, ALL)));
	t_res("accept", accept(l, NULL, NULL));
	t_res("listen again", listen(l, 1));
	struct sockaddr_in addr = t_addr(t_port(l));
	int c = socket(AF_INET, SOCK_STREAM, 0);
	t_res("connect", connect(c, (struct sockaddr *)&addr, sizeof(addr)));
	close(c);
	close(l);
}

static void half_close_keeps_the_other_way(void)
{
	int a, b;
	char buf[8];
	t_pair(&a, &b);
	send(a, "request", 7, 0);
	shutdown(a, SHUT_WR);
	t_res("request", t_read_all(b, buf, 7));
	t_res("end of request", read(b, buf, 1));
	for (int i = 0; i < 3; i++)
		send(b, "answer", 6, 0);
	close(b);
	char all[32];
	t_res("answer", t_read_all(a, all, 32));
	t_out("%.18s", all);
	close(a);
}

/* The bytes before a reset are the peer's to read, however soon the reset follows them. */
static void data_before_a_reset(void)
{
	struct linger off = { .l_onoff = 1 };
	int a, b, good = 0;
	char buf[8];
	for (int i = 0; i < 50; i++) {
		t_pair(&a, &b);
		setsockopt(a, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
		send(a, "data", 4, 0);
		close(a);
		t_until(b, POLLHUP);
		good += recv(b, buf, 8, 0) == 4 && recv(b, buf, 8, 0) < 0 && errno == ECONNRESET &&
			recv(b, buf, 8, 0) == 0;
		close(b);
	}
	t_out("%d times data, then ECONNRESET once", good);
}

/* The same by a close() that leaves bytes unread. */
static void data_before_an_unread_close(void)
{
	int a, b, good = 0;
	char buf[8];
	for (int i = 0; i < 50; i++) {
		t_pair(&a, &b);
		send(b, "x", 1, 0);
		t_until(a, POLLIN);
		send(a, "data", 4, 0);
		close(a);
		t_until(b, POLLHUP);
		good += recv(b, buf, 8, 0) == 4 && recv(b, buf, 8, 0) < 0 && errno == ECONNRESET;
		close(b);
	}
	t_out("%d times data, then ECONNRESET", good);
}

T_MAIN(T_CASE(write_side), T_CASE(read_side), T_CASE(both_sides), T_CASE(bad_how),
       T_CASE(wakes_a_reader), T_CASE(wakes_an_acceptor), T_CASE(half_close_keeps_the_other_way),
       T_CASE(data_before_a_reset), T_CASE(data_before_an_unread_close))
