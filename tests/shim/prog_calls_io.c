/* The further rules of sending and receiving: counts that are cut, calls that end early, offsets of files
 * and of peeks, flags of preadv2 and pwritev2, many messages with a time. */
// SPDX-License-Identifier: MIT
#include <sys/mman.h>
#include <sys/sendfile.h>
#include "tests/shim/t.h"

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

static volatile sig_atomic_t pipes, alarms;
static void on_pipe(int sig) { pipes++; }
static void on_alarm(int sig) { alarms++; }

static void done(int a, int b)
{
	close(a);
	close(b);
}

/* ---- lengths ---- */
static void odd_lengths(void)
{
	static const struct {
		const char *name;
		size_t n;
	} rows[] = { { "0", 0 }, { "half", SIZE_MAX / 2 }, { "half and one", SIZE_MAX / 2 + 1 },
		     { "-1", SIZE_MAX }, { "2 GB", 1ul << 31 }, { "4 GB", 1ul << 32 } };
	static char room[64];
	int a, b;

	t_pair(&a, &b);
	send(a, "ab", 2, 0);
	t_until(b, POLLIN);
	/* A whole address space can't be the program's: only small heads of it are looked at here. */
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		struct iovec v = { room, rows[i].n }, two[2] = { { room, 1 }, { room + 1, rows[i].n } };
		char line[64];

		snprintf(line, sizeof(line), "recv peek %s", rows[i].name);
		t_res(line, recv(b, room, rows[i].n, MSG_PEEK | MSG_DONTWAIT));
		snprintf(line, sizeof(line), "recvmsg one %s", rows[i].name);
		t_res(line, recvmsg(b, &(struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 },
				    MSG_PEEK | MSG_DONTWAIT));
		snprintf(line, sizeof(line), "recvmsg two %s", rows[i].name);
		t_res(line, recvmsg(b, &(struct msghdr){ .msg_iov = two, .msg_iovlen = 2 },
				    MSG_PEEK | MSG_DONTWAIT));
		snprintf(line, sizeof(line), "write to a bad address %s", rows[i].name);
		t_res(line, write(a, (void *)8, rows[i].n));
		snprintf(line, sizeof(line), "send to a bad address %s", rows[i].name);
		t_res(line, send(a, (void *)8, rows[i].n, 0));
		snprintf(line, sizeof(line), "read to a bad address %s", rows[i].name);
		t_res(line, read(b, (void *)8, rows[i].n));
	}
	done(a, b);
}

static void vectors(void)
{
	static struct iovec v[1025];
	static char bytes[1025];
	int a, b;

	t_pair(&a, &b);
	for (int i = 0; i < 1025; i++)
		v[i] = (struct iovec){ bytes + i, 1 };
	for (int i = 0; i < 1024; i++)
		bytes[i] = (char)('a' + i % 26);
	t_res("writev 1023", writev(a, v, 1023));
	t_res("sendmsg 1024", sendmsg(a, &(struct msghdr){ .msg_iov = v, .msg_iovlen = 1024 }, 0));
	t_res("sendmsg 1025", sendmsg(a, &(struct msghdr){ .msg_iov = v, .msg_iovlen = 1025 }, 0));
	t_res("sendmsg very many", sendmsg(a, &(struct msghdr){ .msg_iov = v, .msg_iovlen = SIZE_MAX }, 0));
	t_res("pwritev2 1025", pwritev2(a, v, 1025, -1, 0));
	memset(bytes, 0, sizeof(bytes));
	t_res("recvmsg 1024", recvmsg(b, &(struct msghdr){ .msg_iov = v, .msg_iovlen = 1024 }, MSG_WAITALL));
	t_out("%.5s ... %.5s", bytes, bytes + 1018);
	t_res("recvmsg 1025", recvmsg(b, &(struct msghdr){ .msg_iov = v, .msg_iovlen = 1025 }, 0));
	t_res("readv 1024", readv(b, v, 1024));
	t_res("readv 1025", readv(b, v, 1025));
	t_res("readv -1", readv(b, v, -1));
	t_res("readv 0", readv(b, v, 0));
	t_res("recvmsg 0 parts", recvmsg(b, &(struct msghdr){ .msg_iov = NULL }, MSG_DONTWAIT));
	/* Empty parts between full ones. */
	struct iovec holes[5] = { { bytes, 0 }, { "ab", 2 }, { NULL, 0 }, { "cd", 2 }, { bytes, 0 } };
	t_res("with holes", writev(a, holes, 5));
	char in[8] = { 0 };
	struct iovec to[4] = { { NULL, 0 }, { in, 3 }, { in, 0 }, { in + 3, 5 } };
	t_until(b, POLLIN);
	t_res("into holes", readv(b, to, 4));
	t_out("%s", in);
	done(a, b);
}

static void offsets(void)
{
	char c = 'x';
	struct iovec v = { &c, 1 };
	int a, b;

	t_pair(&a, &b);
	send(b, "1234", 4, 0);
	t_until(a, POLLIN);
	t_res("pread", pread(a, &c, 1, 0));
	t_res("pwrite", pwrite(a, &c, 1, 0));
	t_res("pread -1", pread(a, &c, 1, -1));
	t_res("preadv", preadv(a, &v, 1, 0));
	t_res("pwritev", pwritev(a, &v, 1, 0));
	t_res("preadv -1", preadv(a, &v, 1, -1));
	t_res("preadv2 0", preadv2(a, &v, 1, 0, 0));
	t_res("pwritev2 0", pwritev2(a, &v, 1, 0, 0));
	t_res("preadv2 -2", preadv2(a, &v, 1, -2, 0));
	t_res("pwritev2 -2", pwritev2(a, &v, 1, -2, 0));
	t_res("lseek", lseek(a, 0, SEEK_CUR));
	t_res("preadv2 -1", preadv2(a, &v, 1, -1, 0));
	t_res("pwritev2 -1", pwritev2(a, &v, 1, -1, 0));
	done(a, b);
}

static void rw_flags(void)
{
	static const struct {
		const char *name;
		int f;
	} rows[] = { { "0", 0 },	    { "HIPRI", 1 },	  { "DSYNC", 2 },
		     { "SYNC", 4 },	    { "NOWAIT", 8 },	  { "APPEND", 16 },
		     { "NOAPPEND", 32 },    { "ATOMIC", 64 },	  { "DONTCACHE", 128 },
		     { "0x100", 0x100 },    { "0x1000", 0x1000 }, { "APPEND|NOAPPEND", 48 },
		     { "HIPRI|NOWAIT", 9 }, { "all", 0x1f },	  { "negative", INT32_MIN } };
	char c = 'x';
	struct iovec v = { &c, 1 };
	int a, b;

	t_pair(&a, &b);
	send(b, "123456789012345678901234567890", 30, 0);
	t_until(a, POLLIN);
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		char line[64];

		snprintf(line, sizeof(line), "preadv2 %s", rows[i].name);
		t_res(line, preadv2(a, &v, 1, -1, rows[i].f));
		snprintf(line, sizeof(line), "pwritev2 %s", rows[i].name);
		t_res(line, pwritev2(a, &v, 1, -1, rows[i].f));
		snprintf(line, sizeof(line), "preadv2 of nothing %s", rows[i].name);
		t_res(line, preadv2(a, NULL, 0, -1, rows[i].f));
		snprintf(line, sizeof(line), "pwritev2 of nothing %s", rows[i].name);
		t_res(line, pwritev2(a, NULL, 0, -1, rows[i].f));
	}
	while (recv(a, &c, 1, MSG_DONTWAIT) > 0)
		;
	t_res("NOWAIT, nothing there", preadv2(a, &v, 1, -1, RWF_NOWAIT));
	done(a, b);
}

/* ---- calls that end early ---- */
static void half_done(void)
{
	struct timeval tv = { .tv_usec = 60000 };
	static char big[4 << 20];
	int a, b, small = 8192;
	ssize_t r;

	t_pair(&a, &b);
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	r = send(a, big, sizeof(big), 0);
	t_out("SNDTIMEO: a part %d", r > 0 && r < (ssize_t)sizeof(big));
	t_fill(a);
	/* A rest of the window that is less than a segment is used after a timeout only. */
	t_sleep_ms(300);
	t_fill(a);
	t_res("then nothing", send(a, big, sizeof(big), 0));
	t_res("writev", writev(a, &(struct iovec){ big, sizeof(big) }, 1));
	done(a, b);
}

static void *interrupt_when_asleep(void *arg)
{
	t_until_asleep(*(int *)arg);
	kill(getpid(), SIGALRM);
	return NULL;
}

static void interrupted_half_way(void)
{
	static char big[4 << 20];
	struct sigaction sa = { .sa_handler = on_alarm };
	int a, b, small = 8192, me = t_self();
	sigset_t all, old;
	pthread_t t;
	ssize_t r;

	sigaction(SIGALRM, &sa, NULL);
	for (int part = 0; part < 2; part++) {
		t_pair(&a, &b);
		setsockopt(a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		if (part) {
			t_fill(a);
			t_sleep_ms(300); /* as above; and the engine may have had to wait for a processor */
			t_fill(a);
		}
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &old);
		pthread_create(&t, NULL, interrupt_when_asleep, &me);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		r = send(a, big, sizeof(big), 0);
		t_out("send, %s: %s", part ? "full" : "empty",
		      r < 0	? t_errname(errno) :
		      r < (ssize_t)sizeof(big) ? "a part" :
				  "all");
		pthread_join(t, NULL);
		done(a, b);
	}
	for (int part = 0; part < 2; part++) {
		t_pair(&a, &b);
		if (part)
			send(b, "abc", 3, 0);
		pthread_sigmask(SIG_BLOCK, &all, &old);
		pthread_create(&t, NULL, interrupt_when_asleep, &me);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		t_res(part ? "recv WAITALL, three there" : "recv WAITALL, nothing there",
		      recv(a, big, 10, MSG_WAITALL));
		pthread_join(t, NULL);
		done(a, b);
	}
	t_out("alarms %d", alarms);
}

/* ---- peeking at an offset ---- */
static void peek_at(const char *what, int fd, size_t n, int flags)
{
	char buf[32] = { 0 };
	int off = -99;
	socklen_t len = sizeof(off);
	ssize_t r = recv(fd, buf, n, flags | MSG_DONTWAIT);

	t_res(what, r);
	getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, &len);
	t_out("%s: '%s', offset %d", what, buf, off);
}

static void peek_offset(void)
{
	int a, b, off;

	t_pair(&a, &b);
	send(b, "0123456789", 10, 0);
	t_until(a, POLLIN);
	peek_at("off at first", a, 3, MSG_PEEK);
	off = 0;
	t_res("set 0", setsockopt(a, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)));
	peek_at("from 0", a, 3, MSG_PEEK);
	peek_at("from 3", a, 3, MSG_PEEK);
	peek_at("read one", a, 1, 0);
	peek_at("peek goes on", a, 3, MSG_PEEK);
	peek_at("to the end", a, 9, MSG_PEEK);
	peek_at("beyond", a, 3, MSG_PEEK);
	send(b, "abc", 3, 0);
	t_sleep_ms(10);
	peek_at("more has come", a, 2, MSG_PEEK);
	off = 5;
	t_res("set 5", setsockopt(a, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)));
	peek_at("from 5", a, 2, MSG_PEEK);
	peek_at("read much", a, 9, 0);
	peek_at("then", a, 9, MSG_PEEK);
	off = -1;
	t_res("off", setsockopt(a, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)));
	peek_at("all", a, 9, MSG_PEEK);
	peek_at("and again", a, 9, MSG_PEEK);
	off = 1;
	setsockopt(a, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off));
	peek_at("a count only", a, 9, MSG_PEEK | MSG_TRUNC);
	shutdown(b, SHUT_WR);
	t_until(a, POLLRDHUP);
	peek_at("beyond the end", a, 9, MSG_PEEK);
	done(a, b);
}

/* ---- peeking and waiting for all, at the end ---- */
static void waitall_at_the_end(void)
{
	char buf[16] = { 0 };
	int a, b;

	t_pair(&a, &b);
	send(b, "abc", 3, 0);
	shutdown(b, SHUT_WR);
	t_until(a, POLLRDHUP);
	t_res("peek all", recv(a, buf, 10, MSG_PEEK | MSG_WAITALL));
	t_res("count all", recv(a, NULL, 10, MSG_PEEK | MSG_WAITALL | MSG_TRUNC));
	t_res("take all", recv(a, buf, 10, MSG_WAITALL));
	t_res("then", recv(a, buf, 10, MSG_WAITALL));
	t_res("discard", recv(a, NULL, 10, MSG_TRUNC));
	done(a, b);
}

/* ---- low-water mark ---- */
static void *feed(void *arg)
{
	int fd = *(int *)arg;

	t_sleep_ms(20);
	send(fd, "de", 2, 0);
	t_sleep_ms(20);
	send(fd, "fgh", 3, 0);
	return NULL;
}

static void low_water(void)
{
	char buf[16] = { 0 };
	int a, b, low = 5;
	pthread_t t;

	t_pair(&a, &b);
	setsockopt(a, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	send(b, "abc", 3, 0);
	t_sleep_ms(10);
	t_out("poll %s", t_mask((uint32_t)t_poll(a, POLLIN)));
	t_res("dontwait", recv(a, buf, 10, MSG_DONTWAIT | MSG_PEEK));
	t_res("fewer asked for", recv(a, buf, 2, MSG_PEEK));
	pthread_create(&t, NULL, feed, &b);
	t_res("waits for five", recv(a, buf, 10, 0));
	t_out("%s", buf);
	pthread_join(t, NULL);
	shutdown(b, SHUT_WR);
	t_until(a, POLLRDHUP);
	t_res("at the end what there is", recv(a, buf, 10, 0));
	done(a, b);
}

/* ---- many messages ---- */
static void many(void)
{
	enum { N = 4 };
	char buf[N][4];
	struct iovec v[N];
	struct mmsghdr m[N];
	struct timespec ts;
	int a, b;

	for (int i = 0; i < N; i++) {
		v[i] = (struct iovec){ buf[i], 2 };
		m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &v[i], .msg_iovlen = 1 } };
	}
	t_pair(&a, &b);
	send(a, "0123456789", 10, 0);
	t_until(b, POLLIN);
	t_res("WAITFORONE", recvmmsg(b, m, 2, MSG_WAITFORONE, NULL));
	t_res("all there is", recvmmsg(b, m, N, MSG_DONTWAIT, NULL));
	t_out("lengths %u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	t_res("none", recvmmsg(b, m, N, MSG_DONTWAIT, NULL));
	t_res("none asked for", recvmmsg(b, m, 0, 0, NULL));
	send(a, "01", 2, 0);
	t_until(b, POLLIN);
	t_res("WAITFORONE, one there", recvmmsg(b, m, N, MSG_WAITFORONE, NULL));
	static const struct timespec bad[] = { { -1, 0 }, { 0, -1 }, { 0, 1000000000 } };
	for (int i = 0; i < 3; i++) {
		ts = bad[i];
		t_res("bad time", recvmmsg(b, m, 1, 0, &ts));
	}
	send(a, "0123", 4, 0);
	t_until(b, POLLIN);
	t_sleep_ms(5);
	ts = (struct timespec){ 0, 0 };
	t_res("no time", recvmmsg(b, m, N, 0, &ts));
	t_out("left %ld %ld", (long)ts.tv_sec, ts.tv_nsec);
	ts = (struct timespec){ 5, 0 };
	t_res("time enough", recvmmsg(b, m, 1, 0, &ts));
	t_out("left %d", ts.tv_sec == 4 && ts.tv_nsec > 0);
	send(a, "01", 2, 0);
	shutdown(a, SHUT_WR);
	t_until(b, POLLRDHUP);
	t_res("at the end", recvmmsg(b, m, N, 0, NULL));
	t_out("lengths %u %u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len, m[3].msg_len);
	t_res("sendmmsg after the end", sendmmsg(a, m, 2, MSG_NOSIGNAL));
	t_res("none asked for", sendmmsg(a, m, 0, MSG_NOSIGNAL));
	done(a, b);

	t_pair(&a, &b);
	send(a, "01", 2, 0);
	t_until(b, POLLIN);
	t_reset(a);
	t_until(b, POLLHUP);
	t_res("an error goes first", recvmmsg(b, m, N, 0, NULL));
	t_res("then", recvmmsg(b, m, 1, 0, NULL));
	close(b);
}

/* ---- files ---- */
static int a_file(const char *text)
{
	int fd = memfd_create("t", 0);

	write(fd, text, strlen(text));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void send_files(void)
{
	char buf[64] = { 0 };
	int a, b, f = a_file("0123456789"), p[2], u[2];
	off_t off = 3;

	signal(SIGPIPE, on_pipe);
	t_pair(&a, &b);
	t_res("4 from 3", sendfile(a, f, &off, 4));
	t_out("offset %ld, file at %ld", (long)off, (long)lseek(f, 0, SEEK_CUR));
	t_res("own offset", sendfile(a, f, NULL, 4));
	t_out("file at %ld", (long)lseek(f, 0, SEEK_CUR));
	off = 8;
	t_res("past the end", sendfile(a, f, &off, 100));
	t_out("offset %ld", (long)off);
	t_res("at the end", sendfile(a, f, &off, 100));
	off = 1000;
	t_res("far behind", sendfile(a, f, &off, 100));
	t_out("offset %ld", (long)off);
	off = -1;
	t_res("negative", sendfile(a, f, &off, 1));
	t_res("nothing", sendfile(a, f, NULL, 0));
	t_res("huge", sendfile(a, f, NULL, SIZE_MAX));
	t_res("arrived", t_read_all(b, buf, 10));
	t_out("%s", buf);
	pipe(p);
	socketpair(AF_UNIX, SOCK_STREAM, 0, u);
	t_res("from a socket", sendfile(a, b, NULL, 1));
	t_res("from itself", sendfile(a, a, NULL, 1));
	t_res("from a unix socket", sendfile(a, u[0], NULL, 1));
	t_res("from nowhere", sendfile(a, 9999, NULL, 1));
	t_res("from a directory", sendfile(a, open("/", O_RDONLY), NULL, 1));
	t_res("from a write-only file", sendfile(a, open("/dev/null", O_WRONLY), NULL, 1));
	t_res("to a file", sendfile(f, a, NULL, 1));
	shutdown(a, SHUT_WR);
	off = 0;
	pipes = 0;
	t_res("after shutdown", sendfile(a, f, &off, 1));
	t_out("offset %ld, SIGPIPE %d", (long)off, pipes);
	done(a, b);
	a = socket(AF_INET, SOCK_STREAM, 0);
	pipes = 0;
	t_res("unconnected", sendfile(a, f, &off, 1));
	t_out("SIGPIPE %d", pipes);
	done(a, f);
	done(p[0], p[1]);
	done(u[0], u[1]);
}

static void splice_arguments(void)
{
	int a, b, p[2], f = a_file("file");
	loff_t off = 0;

	t_pair(&a, &b);
	pipe(p);
	write(p[1], "pipe", 4);
	t_res("offset on the socket", splice(p[0], NULL, a, &off, 1, 0));
	t_res("offset on the pipe", splice(p[0], &off, a, NULL, 1, 0));
	t_res("socket to socket", splice(a, NULL, b, NULL, 1, 0));
	t_res("file to socket", splice(f, NULL, a, NULL, 1, 0));
	t_res("unknown flags", splice(p[0], NULL, a, NULL, 1, 0x100));
	t_res("nothing", splice(p[0], NULL, a, NULL, 0, 0));
	t_res("wrong end", splice(p[1], NULL, a, NULL, 1, 0));
	t_res("wrong end", splice(a, NULL, p[0], NULL, 1, 0));
	t_res("two", splice(p[0], NULL, a, NULL, 2, 0));
	t_res("the rest", splice(p[0], NULL, a, NULL, 100, 0));
	t_res("empty", splice(p[0], NULL, a, NULL, 100, SPLICE_F_NONBLOCK));
	t_res("tee", tee(a, p[1], 1, 0));
	t_res("vmsplice", vmsplice(a, &(struct iovec){ "x", 1 }, 1, 0));
	shutdown(a, SHUT_WR);
	write(p[1], "x", 1);
	signal(SIGPIPE, on_pipe);
	pipes = 0;
	t_res("after shutdown", splice(p[0], NULL, a, NULL, 1, 0));
	t_out("SIGPIPE %d", pipes);
	t_until(b, POLLRDHUP); /* behind all the bytes */
	t_res("out", splice(b, NULL, p[1], NULL, 100, 0));
	t_res("at the end", splice(b, NULL, p[1], NULL, 100, 0));
	done(a, b);
	done(p[0], p[1]);
	close(f);
}

/* Reads and writes that name the wrong thing. */
static void wrong_descriptors(void)
{
	static const char *const names[] = { "closed", "-1", "9999", "file", "pipe" };
	int fds[5], p[2];
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct mmsghdr mm = { .msg_hdr = m };
	char c;

	pipe(p);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	close(fds[0]);
	fds[1] = -1;
	fds[2] = 9999;
	fds[3] = a_file("file");
	fds[4] = p[0];
	signal(SIGPIPE, on_pipe);
	for (int i = 0; i < 5; i++) {
		char line[64];

#define ROW(call) \
	snprintf(line, sizeof(line), "%s %.20s", names[i], #call); \
	t_res(line, call)
		ROW(send(fds[i], "x", 1, 0));
		ROW(sendto(fds[i], "x", 1, 0, NULL, 0));
		ROW(sendmsg(fds[i], &m, 0));
		ROW(sendmmsg(fds[i], &mm, 1, 0));
		ROW(recv(fds[i], &c, 1, MSG_DONTWAIT));
		ROW(recvfrom(fds[i], &c, 1, MSG_DONTWAIT, NULL, NULL));
		ROW(recvmsg(fds[i], &m, MSG_DONTWAIT));
		ROW(recvmmsg(fds[i], &mm, 1, MSG_DONTWAIT, NULL));
		ROW(shutdown(fds[i], SHUT_WR));
		ROW(listen(fds[i], 1));
	}
	close(fds[3]);
	done(p[0], p[1]);
}

/* What the kernel looks at in control data, even of a stream. */
static void control_data(void)
{
	static const struct {
		const char *name;
		int level, type;
		size_t len, extra;
	} rows[] = {
		{ "credentials", SOL_SOCKET, SCM_CREDENTIALS, 12, 0 },
		{ "timestamping", SOL_SOCKET, SO_TIMESTAMPING, 4, 0 },
		{ "timestamping, wrong size", SOL_SOCKET, SO_TIMESTAMPING, 8, 0 },
		{ "unknown", SOL_SOCKET, 99, 4, 0 },
		{ "another level", SOL_IP, 99, 4, 0 },
		{ "tcp level", SOL_TCP, 99, 4, 0 },
		{ "longer than there is", SOL_IP, 1, 4, 64 },
	};
	int a, b, u = socket(AF_INET, SOCK_STREAM, 0);

	t_pair(&a, &b);
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		_Alignas(struct cmsghdr) char room[128] = { 0 };
		struct cmsghdr *c = (struct cmsghdr *)(void *)room;
		struct iovec v = { "x", 1 };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room,
				    .msg_controllen = CMSG_SPACE(rows[i].len) };
		char line[64];

		*c = (struct cmsghdr){ CMSG_LEN(rows[i].len) + rows[i].extra, rows[i].level,
				       rows[i].type };
		t_res(rows[i].name, sendmsg(a, &m, 0));
		snprintf(line, sizeof(line), "unconnected, %s", rows[i].name);
		t_res(line, sendmsg(u, &m, MSG_NOSIGNAL));
		c->cmsg_len = 3;
		snprintf(line, sizeof(line), "too short, %s", rows[i].name);
		t_res(line, sendmsg(a, &m, 0));
		m.msg_controllen = 5;
		snprintf(line, sizeof(line), "no room for a header, %s", rows[i].name);
		t_res(line, sendmsg(a, &m, 0));
	}
	static char much[300000];
	struct msghdr big = { .msg_control = much, .msg_controllen = sizeof(much) };
	t_res("very much", sendmsg(a, &big, 0));
	close(u);
	done(a, b);
}

T_MAIN(T_CASE(odd_lengths), T_CASE(vectors), T_CASE(offsets), T_CASE(rw_flags),
       T_CASE(half_done), T_CASE(interrupted_half_way), T_CASE(peek_offset),
       T_CASE(waitall_at_the_end), T_CASE(low_water), T_CASE(many), T_CASE(send_files),
       T_CASE(splice_arguments), T_CASE(wrong_descriptors), T_CASE(control_data))
