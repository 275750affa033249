/* A server: a listener, workers that share it and that it replaces when they die. Those of an even group
 * serve many connections each by epoll; those of an odd one accept in blocking calls and fork a handler
 * for every connection. Half of the odd ones never reap their handlers. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/chaos/chaos.h"

enum { WORKERS = 3, BUF = 16384, CONNS = 256 };

static uint32_t chain[CHAIN];
static int listener;

/* One connection: header and bytes come in, the welcome and their echo go out. */
struct conn {
	int fd;
	struct header h;
	uint32_t had;	/* bytes of the header */
	uint64_t pos;	/* verified */
	uint32_t out, out_at;
	uint8_t buf[BUF];
};

static bool is_excused(const struct conn *c)
{
	return c->h.quits || c->had < sizeof(c->h) || atomic_load(&table->family_killed[c->h.root % IDS]);
}

/* Takes n bytes of the stream: false, they are wrong. */
static bool take(struct conn *c, uint32_t n)
{
	if (!stream_check(c->buf, c->h.seed, c->pos, n)) {
		error("bytes from %llu on are wrong in stream %llx", (unsigned long long)c->pos,
		      (unsigned long long)c->h.seed);
		return false;
	}
	c->pos += n;
	for (uint32_t i = 0; i < n; i++)
		c->buf[i] ^= ECHO;
	c->out = n;
	c->out_at = 0;
	return true;
}

/* Reads once. 1: something, 0: the connection is over, -1: nothing yet. */
static int pull(struct conn *c)
{
	ssize_t n;

	if (c->had < sizeof(c->h)) {
		n = read(c->fd, (char *)&c->h + c->had, sizeof(c->h) - c->had);
		if (n > 0 && (c->had += (uint32_t)n) == sizeof(c->h)) {
			memcpy(c->buf, chain, sizeof(chain));
			c->out = sizeof(chain);
			c->out_at = 0;
		}
	} else {
		n = read(c->fd, c->buf, 1 + dice(BUF));
		if (n > 0 && !take(c, (uint32_t)n))
			return 0;
	}
	if (n > 0)
		return 1;
	if (n < 0 && errno == EAGAIN)
		return -1;
	if (n < 0 && errno == EINTR)
		return 1;
	if (n == 0 && c->pos != c->h.len && !is_excused(c))
		error("end of stream after %llu of %u bytes", (unsigned long long)c->pos, c->h.len);
	if (n < 0 && !is_excused(c))
		error("read: %s after %llu of %u bytes", strerror(errno),
		      (unsigned long long)c->pos, c->h.len);
	return 0;
}

static int push(struct conn *c)
{
	while (c->out_at < c->out) {
		ssize_t n = send(c->fd, c->buf + c->out_at, c->out - c->out_at, MSG_NOSIGNAL);

		if (n > 0)
			c->out_at += (uint32_t)n;
		else if (n < 0 && errno == EAGAIN)
			return -1;
		else if (n < 0 && errno == EINTR)
			continue;
		else {
			if (!is_excused(c))
				error("send: %s", strerror(errno));
			return 0;
		}
	}
	return 1;
}

/* ---- a process for each connection ---- */
static void handler(int fd)
{
	static struct conn c;

	c.fd = fd;
	chain[2] = my_id;
	while (pull(&c) == 1 && push(&c) == 1)
		;
	close(fd);
	table_leave();
	_exit(0);
}

static void die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
}

static void forking_worker(int group)
{
	pid_t me = getpid();

	signal(SIGCHLD, group % 4 == 1 ? SIG_DFL : SIG_IGN);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0) {
			if (errno != EINTR && errno != ECONNABORTED)
				error("accept: %s", strerror(errno));
			continue;
		}
		pid_t pid = fork();
		if (pid == 0) {
			die_with(me);
			table_join(my_root, group);
			close(listener);
			handler(fd);
		}
		atomic_fetch_add(&table->forks, 1);
		if (pid < 0)
			error("fork: %s", strerror(errno));
		close(fd);
	}
}

/* ---- many connections in one process ---- */
static struct conn *conns[CONNS];

static void arrived(int ep)
{
	for (;;) {
		int i = 0, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
				error("accept4: %s", strerror(errno));
			return;
		}
		while (i < CONNS && conns[i])
			i++;
		struct conn *c = i < CONNS ? calloc(1, sizeof(*c)) : NULL;
		if (!c) {
			error("too many connections");
			close(fd);
			return;
		}
		c->fd = fd;
		conns[i] = c;
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
			error("epoll_ctl: %s", strerror(errno));
	}
}

static void moved(int ep, uint32_t i, uint32_t events)
{
	struct conn *c = conns[i];
	int r = 1;

	if (!c)
		return;
	if (c->out_at < c->out)
		r = push(c);
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		r = pull(c) == 0 ? 0 : push(c);
	struct epoll_event ev = { .events = r < 0 ? EPOLLOUT : EPOLLIN, .data.u32 = i };
	if (r == 0) {
		close(c->fd);
		free(c);
		conns[i] = NULL;
	} else if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev) < 0) {
		error("epoll_ctl: %s", strerror(errno));
	}
}

static void epoll_worker(int group)
{
	struct epoll_event ev = { .events = EPOLLIN | (group % 4 ? 0u : EPOLLEXCLUSIVE),
				  .data.u32 = CONNS };
	int ep = epoll_create1(0);

	if (epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) < 0)
		error("epoll_ctl: %s", strerror(errno));
	for (;;) {
		struct epoll_event got[16];
		int n = epoll_wait(ep, got, 16, 1000);

		for (int i = 0; i < n; i++) {
			if (got[i].data.u32 == CONNS)
				arrived(ep);
			else
				moved(ep, got[i].data.u32, got[i].events);
		}
	}
}

/* ---- the server itself ---- */
static pid_t worker(int group)
{
	pid_t me = getpid(), pid = fork();

	if (pid)
		return pid;
	die_with(me);
	table_join(my_root, group);
	chain[1] = my_id;
	if (group % 2)
		forking_worker(group);
	else
		epoll_worker(group);
	_exit(0);
}

static int listen_on(int group)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)(PORT + group)) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | (group % 2 ? 0 : SOCK_NONBLOCK), 0);
	uint64_t end = now_ns() + 2000000000u;

	inet_pton(AF_INET, table->addr, &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Workers of the last server die with it, but not before it. */
	while (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0) {
		if (now_ns() > end) {
			error("can't listen on port %d: %s", PORT + group, strerror(errno));
			_exit(4);
		}
		usleep(1000);
	}
	atomic_store(&table->group_listens_ns[group], now_ns());
	return fd;
}

int server(int group)
{
	pid_t pid[WORKERS];

	chain[0] = table_join(0, group);
	listener = listen_on(group);
	for (int i = 0; i < WORKERS; i++)
		pid[i] = worker(group);
	while (!atomic_load(&table->closed)) {
		pid_t gone = waitpid(-1, NULL, WNOHANG);

		if (gone <= 0)
			usleep(2000);
		for (int i = 0; i < WORKERS && gone > 0; i++)
			if (pid[i] == gone)
				pid[i] = worker(group);
	}
	for (int i = 0; i < WORKERS; i++)
		kill(pid[i], SIGKILL);
	table_leave();
	return 0;
}
