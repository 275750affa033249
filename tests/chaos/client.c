/* A client: one stream after the other, to any server, until it is told to stop. It forks in the midst of
 * a stream, gives up, or goes on in a new image, as chance will have it. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/chaos/chaos.h"

enum { BUF = 16384, STALL_MS = 20000, SPARE_MS = 3000 };

struct stream {
	int fd, group;
	struct header h;
	struct welcome w;
	uint32_t had;	   /* bytes of the welcome */
	uint64_t sent, got;
	uint64_t start_ns; /* of connect() */
	uint64_t fork_at, quit_at, exec_at; /* position sent, UINT64_MAX: not */
	bool shut;
};

/* ---- whose fault is it? ---- */
static bool server_died(const struct stream *s)
{
	uint64_t last = 0;

	if (s->had < sizeof(s->w)) { /* we don't know by whom we were served */
		last = atomic_load(&table->group_killed_ns[s->group]);
		return last + SPARE_MS * 1000000ull > s->start_ns;
	}
	for (int i = 0; i < CHAIN; i++) {
		uint64_t at = s->w.chain[i] < IDS ? atomic_load(&table->killed_ns[s->w.chain[i]]) : 0;

		last = at > last ? at : last;
	}
	if (last && !atomic_load(&table->was_stopped[my_id])) {
		uint32_t ms = (uint32_t)((now_ns() - last) / 1000000), worst = table->worst_ms;

		while (ms > worst &&
		       !atomic_compare_exchange_weak(&table->worst_ms, &worst, ms))
			;
	}
	return last != 0;
}

/* How many ms before connect() something was. */
static long long before(const struct stream *s, const _Atomic uint64_t *at)
{
	return (long long)(s->start_ns - atomic_load(at)) / 1000000;
}

/* The stream ended before its time. */
static int broken(const struct stream *s, const char *what)
{
	int err = errno;

	if (server_died(s)) {
		atomic_fetch_add(s->had < sizeof(s->w) ? &table->refused : &table->excused, 1);
		return 0;
	}
	error("%s: %s, group %d, sent %llu got %llu of %u, served by %u %u %u, %llu ms; before "
	      "connect(): killed %lld, started %lld, listening %lld ms", what,
	      strerror(err), s->group, (unsigned long long)s->sent, (unsigned long long)s->got,
	      s->h.len, s->w.chain[0], s->w.chain[1], s->w.chain[2],
	      (unsigned long long)((now_ns() - s->start_ns) / 1000000),
	      before(s, &table->group_killed_ns[s->group]),
	      before(s, &table->group_started_ns[s->group]),
	      before(s, &table->group_listens_ns[s->group]));
	return 1;
}

/* ---- the bytes ---- */
/* 1: go on, 0: nothing to be had now, -1: over. */
static int pull(struct stream *s)
{
	uint8_t buf[BUF];
	ssize_t n;

	if (s->had < sizeof(s->w)) {
		n = read(s->fd, (char *)&s->w + s->had, sizeof(s->w) - s->had);
		if (n > 0)
			s->had += (uint32_t)n;
	} else {
		n = read(s->fd, buf, 1 + dice(BUF));
		for (ssize_t i = 0; i < n; i++)
			buf[i] ^= ECHO;
		if (n > 0 && !stream_check(buf, s->h.seed, s->got, (size_t)n))
			error("wrong bytes from %llu on", (unsigned long long)s->got);
		if (n > 0)
			s->got += (uint64_t)n;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n > 0 ? 1 : -1;
}

static int push(struct stream *s)
{
	uint8_t buf[BUF];
	uint64_t left = s->h.len - s->sent;
	size_t n = 1 + dice(BUF);

	if (n > left)
		n = (size_t)left;
	if (n == 0) {
		if (!s->shut && shutdown(s->fd, SHUT_WR) < 0)
			return -1;
		s->shut = true;
		return 0;
	}
	stream_fill(buf, s->h.seed, s->sent, n);
	ssize_t r = send(s->fd, buf, n, MSG_NOSIGNAL);
	if (r > 0)
		s->sent += (uint64_t)r;
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return r > 0 ? 1 : -1;
}

static int carry(struct stream *s);

/* The rest of the stream is the child's; ours is only to wait. */
static int hand_to_child(struct stream *s)
{
	int status = 0;
	pid_t me = getpid(), pid = fork();

	s->fork_at = UINT64_MAX;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != me)
			_exit(0);
		table_join(my_root, -1);
		int r = carry(s);
		close(s->fd);
		table_leave();
		_exit(r);
	}
	if (pid < 0) {
		error("fork: %s", strerror(errno));
		return 1;
	}
	atomic_fetch_add(&table->forks, 1);
	close(s->fd);
	s->fd = -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/* In a new image, which inherits the socket. */
static int hand_to_image(struct stream *s)
{
	char arg[sizeof(*s) * 2 + 1], root[16];
	char *argv[] = { "chaos", "resume", arg, root, NULL };

	s->exec_at = UINT64_MAX;
	for (size_t i = 0; i < sizeof(*s); i++)
		snprintf(arg + i * 2, 3, "%02x", ((uint8_t *)s)[i]);
	snprintf(root, sizeof(root), "%u", my_root);
	table_leave();
	atomic_fetch_add(&table->execs, 1);
	execv("/proc/self/exe", argv);
	error("exec: %s", strerror(errno));
	return 1;
}

/* Until the stream is over. 0: as it should be. */
static int carry(struct stream *s)
{
	for (;;) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN | (s->shut ? 0 : POLLOUT) };
		int n = poll(&p, 1, STALL_MS);

		if (n == 0) {
			error("nothing moves for %d s: group %d sent %llu got %llu of %u, served by "
			      "%u %u %u", STALL_MS / 1000, s->group, (unsigned long long)s->sent,
			      (unsigned long long)s->got, s->h.len, s->w.chain[0], s->w.chain[1],
			      s->w.chain[2]);
			return 1;
		}
		if (p.revents & (POLLIN | POLLHUP | POLLERR) && pull(s) < 0)
			break;
		if (p.revents & POLLOUT && push(s) < 0)
			break;
		if (s->sent >= s->quit_at)
			return 0;
		if (s->sent >= s->fork_at)
			return hand_to_child(s);
		if (s->sent >= s->exec_at)
			return hand_to_image(s);
		if (dice(64) == 0)
			usleep(dice(3000));
	}
	if (s->got == s->h.len && s->had == sizeof(s->w)) {
		atomic_fetch_add(&table->streams, 1);
		atomic_fetch_add(&table->bytes_kb, s->h.len / 1024);
		return 0;
	}
	return broken(s, "stream");
}

static int dial(struct stream *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)(PORT + s->group)) };

	inet_pton(AF_INET, table->addr, &a.sin_addr);
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	s->start_ns = now_ns();
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return broken(s, "connect") ? -1 : 1;
	if (send(s->fd, &s->h, sizeof(s->h), MSG_NOSIGNAL) != sizeof(s->h))
		return broken(s, "header") ? -1 : 1;
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	return 0;
}

/* One stream from its beginning. 0, or 1: failed. */
static int one(void)
{
	static uint32_t n;
	struct stream s = { .group = (int)dice(GROUPS), .fork_at = UINT64_MAX,
			    .quit_at = UINT64_MAX, .exec_at = UINT64_MAX };

	s.h.len = dice(8) ? dice(200000) : dice(4) ? dice(100) : 2000000;
	s.h.seed = (table->seed << 40) ^ (uint64_t)my_id << 20 ^ n++;
	s.h.root = my_root;
	if (dice(12) == 0) {
		s.quit_at = dice(s.h.len + 1);
		s.h.quits = 1;
	} else if (dice(8) == 0) {
		s.fork_at = dice(s.h.len + 1);
	} else if (dice(8) == 0) {
		s.exec_at = dice(s.h.len + 1);
	}
	int r = dial(&s);
	if (r == 0)
		r = carry(&s);
	else if (r > 0)
		r = 0;
	if (s.fd >= 0)
		close(s.fd);
	return r != 0;
}

static int go_on(void)
{
	int bad = 0;

	while (!atomic_load(&table->stop))
		bad |= one();
	table_leave();
	return bad;
}

int client(int number)
{
	(void)number;
	table_join(0, -1);
	return go_on();
}

int client_resume(char **argv)
{
	struct stream s;

	for (size_t i = 0; i < sizeof(s); i++) {
		unsigned int byte = 0;

		sscanf(argv[0] + i * 2, "%2x", &byte);
		((uint8_t *)&s)[i] = (uint8_t)byte;
	}
	table_join((uint32_t)strtoul(argv[1], NULL, 10), -1);
	int bad = carry(&s);
	if (s.fd >= 0)
		close(s.fd);
	return go_on() | bad;
}
