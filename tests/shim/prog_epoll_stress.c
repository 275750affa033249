/* Many threads in one epoll set, connections that come and go, sets inside sets: everything that is sent
 * must come back, and nobody may be left asleep. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

enum { SERVERS = 3, CLIENTS = 3, ROUNDS = 60, ECHOES = 8, STUCK_MS = 4000 };

static int ep, listener;
static struct sockaddr_in addr;
static _Atomic int served, accepted, stop;
static uint32_t mode;

static void take_new(void)
{
	int s;
	while ((s = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		accepted++;
		if (t_epoll_add(ep, s, EPOLLIN | mode) < 0)
			t_out("add: %s", t_errname(errno));
	}
}

/* Echoes what is there; closes at the end of the stream. */
static void serve(int fd)
{
	char buf[64];
	ssize_t n;
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) == n)
			served += (int)n;
	}
	if (n == 0) {
		close(fd);
	} else if (mode & EPOLLONESHOT) {
		if (t_epoll_mod(ep, fd, EPOLLIN | mode) < 0)
			t_out("mod: %s", t_errname(errno));
	}
}

static void *server(void *arg)
{
	struct epoll_event ev[4];
	while (!stop) {
		int n = epoll_wait(ep, ev, 1 + (int)(intptr_t)arg, 50);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == listener) {
				take_new();
				t_epoll_mod(ep, listener, EPOLLIN | EPOLLONESHOT);
			} else {
				serve(ev[i].data.fd);
			}
		}
	}
	return NULL;
}

static void *client(void *arg)
{
	struct epoll_event ev;
	int set = epoll_create1(0), outer = epoll_create1(0), good = 0;
	bool nested = (intptr_t)arg == 1;
	t_epoll_add(outer, set, EPOLLIN);
	for (int r = 0; r < ROUNDS; r++) {
		char out = (char)r, in;
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
			t_out("connect: %s", t_errname(errno));
			break;
		}
		t_epoll_add(set, fd, EPOLLIN | (r & 1 ? EPOLLET : 0));
		for (int i = 0; i < ECHOES; i++) {
			struct pollfd p = { .fd = fd, .events = POLLIN };
			send(fd, &out, 1, MSG_NOSIGNAL);
			int n = nested ? epoll_wait(outer, &ev, 1, STUCK_MS) :
				i % 3  ? epoll_wait(set, &ev, 1, STUCK_MS) :
					 poll(&p, 1, STUCK_MS);
			if (n != 1)
				t_out("stuck in round %d", r);
			in = ~out;
			good += recv(fd, &in, 1, MSG_DONTWAIT) == 1 && in == out;
		}
		close(fd);
	}
	close(outer);
	close(set);
	return (void *)(intptr_t)good;
}

static void run(const char *name, uint32_t flags)
{
	pthread_t s[SERVERS], c[CLIENTS];
	int good = 0;
	mode = flags;
	served = accepted = stop = 0;
	listener = t_listen(64, &addr);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	ep = epoll_create1(0);
	t_epoll_add(ep, listener, EPOLLIN | EPOLLONESHOT);
	for (intptr_t i = 0; i < SERVERS; i++)
		pthread_create(&s[i], NULL, server, (void *)i);
	for (intptr_t i = 0; i < CLIENTS; i++)
		pthread_create(&c[i], NULL, client, (void *)i);
	for (int i = 0; i < CLIENTS; i++) {
		void *r;
		pthread_join(c[i], &r);
		good += (int)(intptr_t)r;
	}
	stop = 1;
	for (int i = 0; i < SERVERS; i++)
		pthread_join(s[i], NULL);
	t_out("%s: accepted %d served %d good %d", name, accepted, served, good);
	close(ep);
	close(listener);
}

static void one_shot(void)
{
	run("oneshot", EPOLLONESHOT);
}

static void one_shot_edge(void)
{
	run("oneshot, edge", EPOLLONESHOT | EPOLLET);
}

static void *waiter(void *arg)
{
	struct epoll_event ev;
	int n = 0;
	while (epoll_wait(*(int *)arg, &ev, 1, STUCK_MS) == 1) {
		char c;
		if (recv(ev.data.fd, &c, 1, MSG_DONTWAIT) == 1) {
			if (c == 'q')
				break;
			n++;
		}
	}
	return (void *)(intptr_t)n;
}

/* Many sockets, few events at a time, several threads: each byte wakes someone. */
static void shared_level_set(void)
{
	enum { PAIRS = 16, BYTES = 2000, THREADS = 4 };
	int a[PAIRS], b[PAIRS], set = epoll_create1(0), total = 0;
	pthread_t t[THREADS];
	for (int i = 0; i < PAIRS; i++) {
		t_pair(&a[i], &b[i]);
		t_epoll_add(set, a[i], EPOLLIN);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, waiter, &set);
	for (int i = 0; i < BYTES; i++)
		send(b[(i * 7) % PAIRS], "x", 1, 0);
	for (int i = 0; i < THREADS; i++)
		send(b[i], "q", 1, 0);
	for (int i = 0; i < THREADS; i++) {
		void *r;
		pthread_join(t[i], &r);
		total += (int)(intptr_t)r;
	}
	for (int i = 0; i < PAIRS; i++) {
		char rest[64];
		ssize_t n;
		while ((n = recv(a[i], rest, sizeof(rest), MSG_DONTWAIT)) > 0)
			for (ssize_t k = 0; k < n; k++)
				total += rest[k] == 'x';
		close(a[i]);
		close(b[i]);
	}
	t_out("bytes %d", total);
	close(set);
}

static void *add_and_close(void *arg)
{
	int set = *(int *)arg;
	for (int i = 0; i < 150; i++) {
		int a, b;
		t_pair(&a, &b);
		int d = dup(a);
		t_epoll_add(set, a, EPOLLIN | EPOLLOUT);
		t_epoll_add(set, d, EPOLLIN | EPOLLET);
		send(b, "x", 1, MSG_NOSIGNAL);
		close(a);
		t_epoll_mod(set, d, EPOLLIN);
		if (i & 1)
			epoll_ctl(set, EPOLL_CTL_DEL, d, NULL);
		close(d);
		close(b);
	}
	return NULL;
}

static void changed_by_all(void)
{
	int set = epoll_create1(0);
	pthread_t t[3];
	struct epoll_event ev[8];
	uint64_t end;
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, add_and_close, &set);
	end = t_now_ms() + 300;
	while (t_now_ms() < end)
		epoll_wait(set, ev, 8, 10);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	t_out("left in the set: %d", epoll_wait(set, ev, 8, 20));
	close(set);
}

T_MAIN(T_CASE(one_shot), T_CASE(one_shot_edge), T_CASE(shared_level_set), T_CASE(changed_by_all))
