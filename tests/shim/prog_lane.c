/* Streams between two processes and between two threads: much, in pieces of all sizes, both ways at
 * once, by every call that moves bytes and every way to wait. What arrives is checked byte by byte; what
 * is printed is how much. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/sendfile.h>

enum { CONNS = 8, BYTES = 1 << 20, LONGEST = 200 << 10, DEADLINE_MS = 30000 };

/* How an end waits. */
enum way { BLOCKING, LEVEL, EDGE, POLLING, WAYS };
/* One direction of one connection: bytes of a seed, of which so many have gone. */
struct stream {
	uint32_t seed, dice;
	size_t done, total;
	bool over;
};
struct conn {
	int fd;
	enum way way;
	struct stream out, in;
};

static int file; /* for sendfile(): the bytes of seed 0, from any position */

static uint32_t roll(uint32_t *dice, uint32_t n)
{
	*dice = *dice * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(*dice >> 4) * n >> 28);
}

static uint8_t byte_at(uint32_t seed, size_t pos)
{
	return (uint8_t)((pos + seed * 31) * 2654435761u >> 19);
}

static uint32_t some(uint32_t *dice)
{
	static const uint32_t most[] = { 1, 64, 1000, 4096, 20000, LONGEST };

	return 1 + roll(dice, most[roll(dice, T_COUNT(most))]);
}

static bool must_wait(ssize_t n) { return n < 0 && (errno == EAGAIN || errno == EINTR); }

/* ---- one step of a direction ---- */
static ssize_t send_some(struct conn *c, uint8_t *buf)
{
	struct stream *s = &c->out;
	size_t n = some(&s->dice), part = n / 3;
	struct iovec v[3] = { { buf, part }, { buf + part, part }, { buf + 2 * part, n - 2 * part } };
	off_t at = (off_t)s->done;

	if (n > s->total - s->done) {
		n = s->total - s->done;
		v[0].iov_len = v[1].iov_len = 0;
		v[2] = (struct iovec){ buf, n };
	}
	if (roll(&s->dice, 5) == 0 && s->seed == 0)
		return sendfile(c->fd, file, &at, n);
	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(s->seed, s->done + i);
	switch (roll(&s->dice, 4)) {
	case 0:
		return write(c->fd, buf, n);
	case 1:
		return writev(c->fd, v, 3);
	case 2:
		return send(c->fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	default:
		return send(c->fd, buf, n, MSG_NOSIGNAL);
	}
}

static void check(struct stream *s, const uint8_t *p, size_t n, const char *how)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != byte_at(s->seed, s->done + i)) {
			t_out("stream %u: wrong byte at %zu of %zu (%s)", s->seed, s->done + i, s->total,
			      how);
			exit(1);
		}
	}
}

static ssize_t receive_some(struct conn *c, uint8_t *buf)
{
	struct stream *s = &c->in;
	size_t n = some(&s->dice), part = n / 2;
	struct iovec v[2] = { { buf, part }, { buf + part, n - part } };
	ssize_t got;

	switch (roll(&s->dice, 4)) {
	case 0:
		got = recv(c->fd, buf, n, MSG_PEEK);
		if (got > 0)
			check(s, buf, (size_t)got, "peek");
		if (got <= 0)
			return got;
		/* fall through */
	case 1:
		got = readv(c->fd, v, 2);
		break;
	case 2:
		got = read(c->fd, buf, n);
		break;
	default:
		got = recv(c->fd, buf, n, 0);
	}
	if (got > 0)
		check(s, buf, (size_t)got, "read");
	return got;
}

static void out_step(struct conn *c, uint8_t *buf)
{
	ssize_t n = send_some(c, buf);

	if (n > 0)
		c->out.done += (size_t)n;
	else if (!must_wait(n))
		t_out("stream %u: sending ends at %zu: %s", c->out.seed, c->out.done, t_errname(errno));
	if ((n <= 0 && !must_wait(n)) || c->out.done == c->out.total) {
		shutdown(c->fd, SHUT_WR);
		c->out.over = true;
	}
}

static bool in_step(struct conn *c, uint8_t *buf)
{
	ssize_t n = receive_some(c, buf);

	if (n > 0)
		c->in.done += (size_t)n;
	else if (n < 0 && !must_wait(n))
		t_out("stream %u: receiving ends at %zu: %s", c->in.seed, c->in.done, t_errname(errno));
	if (n <= 0 && !must_wait(n))
		c->in.over = true;
	return n > 0;
}

/* ---- one side: all its ends until they are over ---- */
struct side {
	struct conn c[CONNS];
	int number;
};

static void *blocking_writer(void *arg)
{
	struct conn *c = arg;
	static __thread uint8_t buf[LONGEST + 64];

	while (!c->out.over)
		out_step(c, buf);
	return NULL;
}

/* The events of this end now; waits a little for some. */
static uint32_t wait_for(struct conn *c, int ep, bool is_add)
{
	uint32_t want = (c->in.over ? 0 : EPOLLIN) | (c->out.over ? 0 : EPOLLOUT);
	struct epoll_event e = { .events = want | (c->way == EDGE ? EPOLLET : 0) };
	struct pollfd p = { .fd = c->fd, .events = (short)want };

	if (c->way == POLLING)
		return poll(&p, 1, DEADLINE_MS) > 0 ? (uint32_t)p.revents : 0;
	if (is_add || c->way == LEVEL)
		epoll_ctl(ep, is_add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &e);
	return epoll_wait(ep, &e, 1, DEADLINE_MS) > 0 ? e.events : 0;
}

/* Both directions of an end that does not block: after an edge, until there is no more. */
static void run_waiting(struct conn *c, uint8_t *buf)
{
	int ep = epoll_create1(0);

	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	for (bool first = true; !c->in.over || !c->out.over; first = false) {
		uint32_t ev = wait_for(c, ep, first);
		size_t before;

		if (!ev) {
			t_out("stream %u, %u: nothing comes after %zu, %zu", c->out.seed, c->in.seed,
			      c->out.done, c->in.done);
			break;
		}
		do {
			before = c->in.done + c->out.done;
			if (!c->in.over && (ev & (EPOLLIN | EPOLLHUP | EPOLLERR) || c->way == EDGE))
				in_step(c, buf);
			if (!c->out.over && (ev & EPOLLOUT || c->way == EDGE))
				out_step(c, buf);
		} while (c->way == EDGE && c->in.done + c->out.done != before);
	}
	close(ep);
}

static void run_blocking(struct conn *c, uint8_t *buf)
{
	struct timeval tv = { DEADLINE_MS / 1000, 0 };
	pthread_t t;

	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	pthread_create(&t, NULL, blocking_writer, c);
	while (!c->in.over && (in_step(c, buf) || c->in.over))
		;
	pthread_join(t, NULL);
}

static void *run_end(void *arg)
{
	static __thread uint8_t buf[LONGEST + 64];
	struct conn *c = arg;

	if (c->way == BLOCKING)
		run_blocking(c, buf);
	else
		run_waiting(c, buf);
	return NULL;
}

static void *run_side(void *arg)
{
	struct side *s = arg;
	pthread_t t[CONNS];

	for (int i = 0; i < CONNS; i++)
		pthread_create(&t[i], NULL, run_end, &s->c[i]);
	for (int i = 0; i < CONNS; i++)
		pthread_join(t[i], NULL);
	return NULL;
}

static void print_side(const struct side *s)
{
	for (int i = 0; i < CONNS; i++) {
		const struct conn *c = &s->c[i];

		t_out("side %d, connection %d: sent %zu of %zu, received %zu of %zu", s->number, i,
		      c->out.done, c->out.total, c->in.done, c->in.total);
		close(c->fd);
	}
}

static void make_sides(struct side s[2])
{
	for (uint32_t i = 0; i < CONNS; i++) {
		struct stream there = { .seed = i, .dice = i, .total = BYTES + 1234 * i };
		struct stream back = { .seed = 100 + i, .dice = 50 + i, .total = BYTES - 4321 * i };

		s[0].c[i] = (struct conn){ .way = i % WAYS, .out = there, .in = back };
		s[1].c[i] = (struct conn){ .way = (i + i / WAYS) % WAYS, .out = back, .in = there };
		t_pair(&s[0].c[i].fd, &s[1].c[i].fd);
	}
	s[0].number = 0;
	s[1].number = 1;
}

static void make_file(void)
{
	static uint8_t all[BYTES];
	FILE *f = tmpfile();

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = byte_at(0, i);
	fwrite(all, 1, sizeof(all), f);
	fflush(f);
	file = fileno(f);
}

static void between_threads(void)
{
	static struct side s[2];
	pthread_t t;

	make_file();
	make_sides(s);
	pthread_create(&t, NULL, run_side, &s[1]);
	run_side(&s[0]);
	pthread_join(t, NULL);
	print_side(&s[0]);
	print_side(&s[1]);
}

static void between_processes(void)
{
	static struct side s[2];
	pid_t pid;

	make_file();
	make_sides(s);
	pid = fork();
	for (int i = 0; i < CONNS; i++)
		close(s[pid ? 1 : 0].c[i].fd);
	run_side(&s[pid ? 0 : 1]);
	if (pid)
		t_res("the other", t_finish(pid));
	print_side(&s[pid ? 0 : 1]);
	if (!pid)
		_exit(0);
}

/* ---- a socket that several processes write to ---- */
enum { THIRD = 400000 };

static void write_third(int fd, struct stream *s)
{
	static uint8_t buf[LONGEST];

	for (size_t end = s->done + THIRD; s->done < end;) {
		size_t n = some(&s->dice);

		n = n < end - s->done ? n : end - s->done;
		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(s->seed, s->done + i);
		if (write(fd, buf, n) != (ssize_t)n)
			t_out("write: %s", t_errname(errno));
		s->done += n;
	}
}

static pid_t fork_reader(int a, int b, size_t total)
{
	struct conn c = { .fd = b, .in = { .seed = 7, .total = total } };
	static uint8_t buf[LONGEST];
	pid_t pid = fork();

	if (pid)
		return pid;
	close(a);
	while (in_step(&c, buf))
		;
	_exit(c.in.done != total);
}

static void shared_by_fork(void)
{
	struct stream s = { .seed = 7, .dice = 1 };
	pid_t reader, pid;
	int a, b;

	t_pair(&a, &b);
	reader = fork_reader(a, b, 5 * THIRD);
	close(b);
	for (int i = 0; i < 5; i++) {
		pid = i & 1 ? fork() : 1;
		if (pid)
			s.dice = (uint32_t)i;
		if (!pid || !(i & 1))
			write_third(a, &s);
		if (!pid)
			_exit(0);
		if (i & 1) {
			t_res("writer", t_finish(pid));
			s.done += THIRD;
		}
	}
	shutdown(a, SHUT_WR);
	t_res("reader", t_finish(reader));
	close(a);
}

/* ---- words to and fro ---- */
static void many_words(int a, int b, int n)
{
	char word[100] = "word";

	for (int i = 0; i < n; i++) {
		if (send(a, word, sizeof(word), 0) != sizeof(word) ||
		    recv(b, word, sizeof(word), MSG_WAITALL) != sizeof(word))
			t_out("round %d fails", i);
		if (send(b, word, 50, 0) != 50 || recv(a, word, 50, MSG_WAITALL) != 50)
			t_out("round %d fails, back", i);
	}
}

static void low_water(void)
{
	int a, b, low = 150, n;
	char buf[200];

	t_pair(&a, &b);
	many_words(a, b, 100);
	setsockopt(b, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	send(a, buf, 100, 0);
	t_sleep_ms(5);
	t_out("100 bytes: %s", t_mask((uint32_t)t_poll(b, POLLIN)));
	send(a, buf, 50, 0);
	t_out("150 bytes: %s", t_mask((uint32_t)t_until(b, POLLIN)));
	ioctl(b, FIONREAD, &n);
	t_res("FIONREAD", n);
	t_res("peek", recv(b, buf, sizeof(buf), MSG_PEEK));
	t_res("read", recv(b, buf, sizeof(buf), 0));
	t_out("nothing: %s", t_mask((uint32_t)t_poll(b, POLLIN | POLLOUT)));
	close(a);
	close(b);
}

static void an_end_after_words(void)
{
	char buf[300];
	int a, b;

	t_pair(&a, &b);
	many_words(a, b, 100);
	send(a, buf, 100, 0);
	shutdown(a, SHUT_WR);
	t_out("poll: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	t_res("read", recv(b, buf, sizeof(buf), 0));
	t_res("end", recv(b, buf, sizeof(buf), 0));
	t_res("back", send(b, buf, 200, 0));
	t_res("read", recv(a, buf, sizeof(buf), 0));
	close(b);
	t_res("end", recv(a, buf, sizeof(buf), 0));
	close(a);
}

static void a_reset_after_words(void)
{
	char buf[300];
	int a, b;

	t_pair(&a, &b);
	many_words(a, b, 100);
	t_res("send", send(a, buf, 100, 0));
	t_until(b, POLLIN);
	close(b);
	t_until(a, POLLHUP);
	t_res("read", recv(a, buf, sizeof(buf), 0));
	t_res("send", send(a, buf, 100, MSG_NOSIGNAL));
	close(a);
}

T_MAIN(T_CASE(between_threads), T_CASE(between_processes), T_CASE(shared_by_fork), T_CASE(low_water),
       T_CASE(an_end_after_words), T_CASE(a_reset_after_words))
