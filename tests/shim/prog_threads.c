/* Threads: cancellation of blocked calls, close() under a blocked call, many threads on many sockets. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <stdatomic.h>

static int fd_of[2];

static void *blocked_recv(void *arg)
{
	char c;
	(void)arg;
	recv(fd_of[0], &c, 1, 0);
	return NULL;
}
static void *blocked_read(void *arg)
{
	char c;
	(void)arg;
	while (read(fd_of[0], &c, 1) >= 0)
		;
	return NULL;
}
static void *blocked_accept(void *arg)
{
	(void)arg;
	accept(fd_of[0], NULL, NULL);
	return NULL;
}
static void *blocked_send(void *arg)
{
	static char buf[1 << 20];
	(void)arg;
	for (;;)
		send(fd_of[0], buf, sizeof(buf), 0);
	return NULL;
}
static void *blocked_poll(void *arg)
{
	struct pollfd p = { .fd = fd_of[0], .events = POLLIN };
	(void)arg;
	poll(&p, 1, -1);
	return NULL;
}

static void cancel(const char *name, void *(*fn)(void *))
{
	pthread_t t;
	void *r = NULL;
	pthread_create(&t, NULL, fn, NULL);
	t_sleep_ms(100);
	pthread_cancel(t);
	t_res(name, pthread_join(t, &r));
	t_out("%s cancelled %d", name, r == PTHREAD_CANCELED);
}

static void cancellation(void)
{
	char c;
	t_pair(&fd_of[0], &fd_of[1]);
	cancel("recv", blocked_recv);
	cancel("read", blocked_read);
	cancel("poll", blocked_poll);
	t_res("still works", send(fd_of[1], "x", 1, 0));
	t_res("recv", recv(fd_of[0], &c, 1, 0));
	cancel("send", blocked_send);
	/* nothing may keep the socket alive: the peer sees the end */
	close(fd_of[0]);
	while (recv(fd_of[1], &c, 1, 0) > 0)
		;
	t_res("end", recv(fd_of[1], &c, 1, 0));
	close(fd_of[1]);
	fd_of[0] = t_listen(1, NULL);
	cancel("accept", blocked_accept);
	close(fd_of[0]);
}

static void *slow_recv(void *arg)
{
	char c;
	(void)arg;
	return (void *)(long)recv(fd_of[0], &c, 1, 0);
}

/* Linux: the call keeps the file alive, and ends when data comes. */
static void close_under_recv(void)
{
	pthread_t t;
	t_pair(&fd_of[0], &fd_of[1]);
	pthread_create(&t, NULL, slow_recv, NULL);
	t_sleep_ms(100);
	t_res("close", close(fd_of[0]));
	t_res("number is gone", fcntl(fd_of[0], F_GETFD));
	t_sleep_ms(100);
	t_res("send", send(fd_of[1], "x", 1, MSG_NOSIGNAL));
	void *r;
	pthread_join(t, &r);
	t_res("recv under close", (long)r);
	char c;
	t_res("then the end", recv(fd_of[1], &c, 1, 0));
	close(fd_of[1]);
}

enum { THREADS = 6, ROUNDS = 150 };
static _Atomic int done;
static struct sockaddr_in server;

static void *client(void *arg)
{
	char buf[3000], back[3000];
	long n = (long)arg;
	for (int i = 0; i < ROUNDS; i++) {
		int c = socket(AF_INET, SOCK_STREAM, 0), d;
		if (connect(c, (struct sockaddr *)&server, sizeof(server)) < 0) {
			perror("connect");
			close(c);
			continue;
		}
		d = dup(c);
		memset(buf, (int)(n + i), sizeof(buf));
		if (i % 3 == 0)
			close(c);
		if (send(d, buf, sizeof(buf), MSG_NOSIGNAL) != sizeof(buf))
			perror("send");
		if (t_read_all(d, back, sizeof(back)) == sizeof(back) && !memcmp(buf, back, sizeof(buf)))
			done++;
		if (i % 3)
			close(c);
		close(d);
	}
	return NULL;
}

static void *serve(void *arg)
{
	int l = (int)(long)arg;
	char buf[3000];
	for (;;) {
		int s = accept(l, NULL, NULL);
		if (s < 0)
			return NULL;
		ssize_t n = t_read_all(s, buf, sizeof(buf));
		if (n > 0)
			send(s, buf, (size_t)n, MSG_NOSIGNAL);
		close(s);
	}
}

static void many(void)
{
	pthread_t c[THREADS], s[3];
	int l = t_listen(64, &server);
	for (long i = 0; i < 3; i++)
		pthread_create(&s[i], NULL, serve, (void *)(long)l);
	for (long i = 0; i < THREADS; i++)
		pthread_create(&c[i], NULL, client, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(c[i], NULL);
	t_out("exchanges %d", done);
	shutdown(l, SHUT_RD);
	for (int i = 0; i < 3; i++)
		pthread_join(s[i], NULL);
	close(l);
}

T_MAIN(T_CASE(cancellation), T_CASE(close_under_recv), T_CASE(many))
