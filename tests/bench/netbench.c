/* Small servers and clients for scripts/bench, plain sockets and epoll, one thread each; each client
 * prints one JSON line. They know nothing of fastnet: what carries them is decided outside.
 *   netbench echo|once|sink PORT [ADDRESS]
 *   netbench rr HOST PORT CONNS SECONDS SIZE [PAUSE_MS]  request and response on open connections, with a
 *                                               pause of all of them before each request
 *   netbench crr HOST PORT CONNS SECONDS        connect, request, response, close by the server
 *   netbench send HOST PORT CONNS SECONDS [CC]  bulk, counted by the receiver; CC: TCP_CONGESTION
 *   netbench acked HOST PORT CONNS SECONDS [CC] bulk, what the receiver had acknowledged in time */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNS = 4096, MAX_EVENTS = 256, CHUNK = 1 << 17, WARMUP_MS = 200 };
enum { HIST_SUB = 64, HIST_SIZE = 64 * HIST_SUB }; /* 64 buckets to each power of two of ns */

static char chunk[CHUNK];

struct conn {
	int fd;
	uint32_t got;	   /* bytes of the answer so far */
	uint64_t start_ns; /* when the request left */
	uint64_t moved;	   /* sink: bytes received */
	bool sent;
};

struct client {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	int epfd;
	uint32_t conns, size, pause_ms;
	uint64_t begin_ns, end_ns; /* what is counted happens between these */
	uint64_t done, errors;
	uint64_t hist[HIST_SIZE];
	struct conn conn[MAX_CONNS];
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "netbench: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* host is an address of either family. */
static socklen_t address_of(struct sockaddr_storage *addr, const char *host, const char *port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)addr;

	memset(addr, 0, sizeof *addr);
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)atoi(port));
		return sizeof *v6;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
		die("address");
	return sizeof *v4;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- latencies ---- */

static uint32_t hist_slot(uint64_t ns)
{
	if (ns < HIST_SUB)
		return (uint32_t)ns;
	uint32_t top = 63 - (uint32_t)__builtin_clzll(ns);
	uint32_t slot = (top - 5) * HIST_SUB + (uint32_t)((ns >> (top - 6)) & (HIST_SUB - 1));

	return slot < HIST_SIZE ? slot : HIST_SIZE - 1;
}

static double hist_us(uint32_t slot)
{
	if (slot < HIST_SUB)
		return slot / 1e3;
	uint32_t top = slot / HIST_SUB + 5;

	return (double)((1ull << top) + ((uint64_t)(slot % HIST_SUB) << (top - 6))) / 1e3;
}

static double hist_quantile_us(const struct client *c, double q)
{
	uint64_t want = (uint64_t)((double)c->done * q), seen = 0;

	for (uint32_t i = 0; i < HIST_SIZE; i++) {
		seen += c->hist[i];
		if (seen > want)
			return hist_us(i);
	}
	return 0;
}

static void count(struct client *c, uint64_t start, uint64_t now)
{
	if (now < c->begin_ns || now > c->end_ns)
		return;
	c->done++;
	c->hist[hist_slot(now - start)]++;
}

static int report(const struct client *c)
{
	double seconds = (double)(c->end_ns - c->begin_ns) / 1e9;

	printf("{\"rate\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"done\": %llu, "
	       "\"errors\": %llu}\n",
	       (double)c->done / seconds, hist_quantile_us(c, 0.50), hist_quantile_us(c, 0.99),
	       hist_quantile_us(c, 0.999), (unsigned long long)c->done, (unsigned long long)c->errors);
	return c->errors || !c->done;
}

/* ---- servers ---- */

enum mode { ECHO, ONCE, SINK };

static void watch(int epfd, int fd, uint32_t events, void *data)
{
	struct epoll_event ev = { .events = events, .data.ptr = data };

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

static void serve_accept(int epfd, int listener, bool sink)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
		struct conn *conn;

		if (fd < 0)
			return;
		conn = calloc(1, sizeof *conn);
		if (!conn)
			die("memory");
		conn->fd = fd;
		if (!sink)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		watch(epfd, fd, EPOLLIN, conn);
	}
}

/* True while the connection lives. */
static bool serve_one(struct conn *conn, enum mode mode)
{
	ssize_t n = recv(conn->fd, chunk, sizeof chunk, 0);

	if (n < 0)
		return errno == EAGAIN;
	if (n == 0) {
		if (mode == SINK && send(conn->fd, &conn->moved, sizeof conn->moved, MSG_NOSIGNAL) < 0)
			fprintf(stderr, "netbench: count not sent\n");
		return false;
	}
	conn->moved += (uint64_t)n;
	if (mode == SINK)
		return true;
	if (send(conn->fd, chunk, (size_t)n, MSG_NOSIGNAL) != n)
		return false;
	return mode == ECHO;
}

static _Noreturn void serve(const char *host, const char *port, enum mode mode)
{
	struct sockaddr_storage addr;
	socklen_t addr_len = address_of(&addr, host, port);
	struct epoll_event events[MAX_EVENTS];
	int one = 1, epfd = epoll_create1(EPOLL_CLOEXEC);
	int listener = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (epfd < 0 || listener < 0)
		die("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&addr, addr_len) < 0 || listen(listener, 4096) < 0)
		die("listen");
	watch(epfd, listener, EPOLLIN, NULL);
	for (;;) {
		int n = epoll_wait(epfd, events, MAX_EVENTS, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct conn *conn = events[i].data.ptr;

			if (!conn) {
				serve_accept(epfd, listener, mode == SINK);
			} else if (!serve_one(conn, mode)) {
				close(conn->fd);
				free(conn);
			}
		}
	}
}

/* ---- clients ---- */

static void client_init(struct client *c, char **arg)
{
	double seconds = atof(arg[3]);

	c->addr_len = address_of(&c->addr, arg[0], arg[1]);
	c->conns = (uint32_t)atoi(arg[2]);
	if (c->conns < 1 || c->conns > MAX_CONNS)
		die("connections");
	c->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (c->epfd < 0)
		die("epoll_create1");
	c->begin_ns = now_ns() + WARMUP_MS * 1000000ull;
	c->end_ns = c->begin_ns + (uint64_t)(seconds * 1e9);
}

static int dial(const struct client *c, int flags)
{
	int fd = socket(c->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), one = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(fd, (const struct sockaddr *)&c->addr, c->addr_len) < 0 && errno != EINPROGRESS)
		die("connect");
	return fd;
}

static void request(struct client *c, struct conn *conn)
{
	conn->got = 0;
	conn->sent = true;
	if (send(conn->fd, chunk, c->size, MSG_NOSIGNAL) != (ssize_t)c->size)
		die("send");
}

static void rr_event(struct client *c, struct conn *conn)
{
	ssize_t n = recv(conn->fd, chunk, c->size, MSG_DONTWAIT);
	uint64_t now;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("recv");
	conn->got += (uint32_t)n;
	if (conn->got < c->size)
		return;
	now = now_ns();
	count(c, conn->start_ns, now);
	if (c->pause_ms) {
		usleep(c->pause_ms * 1000);
		now = now_ns();
	}
	conn->start_ns = now;
	request(c, conn);
}

static void crr_open(struct client *c, struct conn *conn)
{
	conn->start_ns = now_ns();
	conn->sent = false;
	conn->fd = dial(c, SOCK_NONBLOCK);
	watch(c->epfd, conn->fd, EPOLLOUT, conn);
}

static void crr_event(struct client *c, struct conn *conn)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = conn };
	ssize_t n;

	if (!conn->sent) {
		int err = 0;
		socklen_t len = sizeof err;

		getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		errno = err;
		if (err)
			die("connect");
		request(c, conn);
		epoll_ctl(c->epfd, EPOLL_CTL_MOD, conn->fd, &ev);
		return;
	}
	n = recv(conn->fd, chunk, c->size, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		die("recv");
	conn->got += (uint32_t)n;
	if (n > 0)
		return;
	if (conn->got != c->size)
		c->errors++;
	close(conn->fd);
	count(c, conn->start_ns, now_ns());
	crr_open(c, conn);
}

static int run_client(struct client *c, void (*event)(struct client *, struct conn *))
{
	struct epoll_event events[MAX_EVENTS];

	while (now_ns() < c->end_ns) {
		int n = epoll_wait(c->epfd, events, MAX_EVENTS, 100);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++)
			event(c, events[i].data.ptr);
	}
	return report(c);
}

static int run_rr(struct client *c)
{
	for (uint32_t i = 0; i < c->conns; i++) {
		struct conn *conn = &c->conn[i];

		conn->fd = dial(c, 0);
		watch(c->epfd, conn->fd, EPOLLIN, conn);
		conn->start_ns = now_ns();
		request(c, conn);
	}
	return run_client(c, rr_event);
}

static int run_crr(struct client *c)
{
	for (uint32_t i = 0; i < c->conns; i++)
		crr_open(c, &c->conn[i]);
	return run_client(c, crr_event);
}

static void set_controller(int fd, const char *name)
{
	if (name && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) < 0)
		die(name);
}

static void send_event(const struct conn *conn)
{
	ssize_t n = send(conn->fd, chunk, 1 << 16, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		die("send");
}

static void send_all(struct client *c, const char *controller)
{
	struct epoll_event events[MAX_EVENTS];

	for (uint32_t i = 0; i < c->conns; i++) {
		c->conn[i].fd = dial(c, 0);
		set_controller(c->conn[i].fd, controller);
		watch(c->epfd, c->conn[i].fd, EPOLLOUT, &c->conn[i]);
	}
	while (now_ns() < c->end_ns) {
		int n = epoll_wait(c->epfd, events, MAX_EVENTS, 100);

		for (int i = 0; i < n; i++)
			send_event(events[i].data.ptr);
	}
}

/* The receivers' counts are the result: bytes in kernel or stack buffers do not count before. */
static int run_send(struct client *c, const char *controller)
{
	uint64_t start = now_ns(), total = 0;

	c->end_ns = start + (c->end_ns - c->begin_ns);
	send_all(c, controller);
	for (uint32_t i = 0; i < c->conns; i++)
		shutdown(c->conn[i].fd, SHUT_WR);
	for (uint32_t i = 0; i < c->conns; i++) {
		uint64_t got = 0;

		if (recv(c->conn[i].fd, &got, sizeof got, MSG_WAITALL) != sizeof got)
			die("count");
		total += got;
	}
	printf("{\"gbit_s\": %.6f, \"bytes\": %llu}\n",
	       (double)total * 8 / (double)(now_ns() - start), (unsigned long long)total);
	return total == 0;
}

/* For slow wires: emptying buffers, of whatever size, is no part of the time. */
static int run_acked(struct client *c, const char *controller)
{
	uint64_t total = 0;

	c->end_ns -= WARMUP_MS * 1000000ull;
	c->begin_ns -= WARMUP_MS * 1000000ull;
	send_all(c, controller);
	for (uint32_t i = 0; i < c->conns; i++) {
		struct linger at_once = { .l_onoff = 1 };
		struct tcp_info info = { 0 };
		socklen_t len = sizeof info;

		if (getsockopt(c->conn[i].fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
			die("TCP_INFO");
		total += info.tcpi_bytes_acked;
		setsockopt(c->conn[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		close(c->conn[i].fd);
	}
	printf("{\"gbit_s\": %.6f, \"bytes\": %llu}\n", (double)total * 8 / (double)(c->end_ns - c->begin_ns),
	       (unsigned long long)total);
	return total == 0;
}

int main(int argc, char **argv)
{
	static struct client client;
	const char *what = argc > 2 ? argv[1] : "", *host = argc > 3 ? argv[3] : "0.0.0.0";

	if (!strcmp(what, "echo"))
		serve(host, argv[2], ECHO);
	if (!strcmp(what, "once"))
		serve(host, argv[2], ONCE);
	if (!strcmp(what, "sink"))
		serve(host, argv[2], SINK);
	if (argc < 6) {
		fprintf(stderr, "usage: netbench echo|once|sink PORT [ADDRESS]\n"
				"       netbench rr|crr|send|acked HOST PORT CONNS SECONDS [SIZE|CC] "
				"[PAUSE_MS]\n");
		return 2;
	}
	client.size = argc > 6 && *what != 's' && *what != 'a' ? (uint32_t)atoi(argv[6]) : 64;
	if (argc > 7 && !strcmp(what, "rr"))
		client.pause_ms = (uint32_t)atoi(argv[7]);
	if (client.size < 1 || client.size > CHUNK)
		die("size");
	client_init(&client, argv + 2);
	if (!strcmp(what, "rr"))
		return run_rr(&client);
	if (!strcmp(what, "crr"))
		return run_crr(&client);
	if (!strcmp(what, "send"))
		return run_send(&client, argc > 6 ? argv[6] : NULL);
	if (!strcmp(what, "acked"))
		return run_acked(&client, argc > 6 ? argv[6] : NULL);
	return 2;
}
