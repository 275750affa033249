/* Calls with a story: a connection to itself, a full queue, accept() that waits for data, senders kept short,
 * asynchronous input and output, descriptors closed in every way. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <aio.h>
#include <linux/close_range.h>
#include <netdb.h>

static int set(int fd, int level, int name, int v)
{
	return setsockopt(fd, level, name, &v, sizeof(v));
}

/* ---- connections ---- */
static void to_itself(void)
{
	struct sockaddr_in me = t_addr(0), peer;
	socklen_t len = sizeof(me);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char buf[8] = "";
	bind(fd, (struct sockaddr *)&me, sizeof(me));
	getsockname(fd, (struct sockaddr *)&me, &len);
	t_res("connect", connect(fd, (struct sockaddr *)&me, sizeof(me)));
	getpeername(fd, (struct sockaddr *)&peer, &len);
	t_out("same %d", peer.sin_port == me.sin_port && peer.sin_addr.s_addr == me.sin_addr.s_addr);
	t_res("send", send(fd, "echo", 4, 0));
	t_res("recv", t_read_all(fd, buf, 4));
	t_out("%s", buf);
	t_res("shutdown", shutdown(fd, SHUT_WR));
	t_until(fd, POLLHUP);
	t_res("recv", recv(fd, buf, 8, 0));
	t_res("send", send(fd, "x", 1, MSG_NOSIGNAL));
	close(fd);
}

/* backlog 1 takes two; the third sees nothing until accept() makes room. */
static void full_queue(void)
{
	struct sockaddr_in to;
	int l = t_listen(1, &to), c[3], s;
	for (int i = 0; i < 3; i++) {
		c[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		t_res("connect", connect(c[i], (struct sockaddr *)&to, sizeof(to)));
		if (i < 2)
			t_out("%s", t_mask((uint32_t)t_until(c[i], POLLOUT)));
	}
	t_sleep_ms(20); /* for the SYN that is dropped */
	t_out("third %s", t_mask((uint32_t)t_poll(c[2], POLLIN | POLLOUT)));
	s = accept(l, NULL, NULL);
	t_ok("accept", s);
	for (int i = 0; i < 3000 && !(t_poll(c[2], POLLOUT) & POLLOUT); i++)
		t_sleep_ms(1); /* its SYN comes again after a second */
	t_out("third %s", t_mask((uint32_t)t_poll(c[2], POLLIN | POLLOUT)));
	close(s);
	for (int i = 0; i < 3; i++)
		close(c[i]);
	close(l);
}

static void deferred(void)
{
	struct sockaddr_in to;
	int l = t_listen(4, &to), c = socket(AF_INET, SOCK_STREAM, 0), s, v = -1;
	socklen_t len = sizeof(v);
	t_res("set", set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5));
	t_res("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	t_sleep_ms(20);
	t_out("without data %s", t_mask((uint32_t)t_poll(l, POLLIN)));
	t_res("send", send(c, "hello", 5, 0));
	t_out("with data %s", t_mask((uint32_t)t_until(l, POLLIN)));
	s = accept(l, NULL, NULL);
	t_out("at once %s", t_mask((uint32_t)t_until(s, POLLIN)));
	getsockopt(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, &v, &len);
	t_out("its own %d", v);
	close(s);
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	connect(c, (struct sockaddr *)&to, sizeof(to));
	shutdown(c, SHUT_WR);
	t_out("a FIN will do %s", t_mask((uint32_t)t_until(l, POLLIN)));
	close(c);
	close(l);
}

/* Little may lie unsent while the peer reads nothing. */
static void unsent(void)
{
	int a, b;
	size_t some;
	int left = -1;
	t_pair(&a, &b);
	t_res("set", set(a, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1));
	t_out("%s", t_mask((uint32_t)t_poll(a, POLLOUT)));
	some = t_fill(a);
	t_res("unsent", ioctl(a, 0x894b /* SIOCOUTQNSD */, &left));
	/* Who sends had no cpu for a while, and there is room again. */
	for (int i = 0; i < 50 && left == 0; i++) {
		some += t_fill(a);
		ioctl(a, 0x894b, &left);
	}
	t_out("some %d, not much %d", left > 0, left <= 70000);
	t_out("%s", t_mask((uint32_t)t_poll(a, POLLOUT)));
	t_out("%s", send(a, "x", 1, MSG_DONTWAIT) < 0 ? t_errname(errno) : "sent");
	char *buf = malloc(some);
	t_res("read all", t_read_all(b, buf, some) == (ssize_t)some);
	free(buf);
	t_out("%s", t_mask((uint32_t)t_until(a, POLLOUT)));
	close(a);
	close(b);
}

static void window(void)
{
	int a, b;
	t_pair(&a, &b);
	t_res("clamp", set(b, IPPROTO_TCP, TCP_WINDOW_CLAMP, 20000));
	t_res("to zero", set(b, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0));
	t_res("send", send(a, "x", 1, 0));
	t_until(b, POLLIN);
	close(a);
	close(b);
}

/* ---- asynchronous ---- */
static void wait_for(struct aiocb *cb)
{
	const struct aiocb *list[] = { cb };
	struct timespec limit = { 2, 0 };
	while (aio_error(cb) == EINPROGRESS && aio_suspend(list, 1, &limit) == 0)
		;
}

static void asynchronous(void)
{
	int a, b;
	char in[16] = "", out[] = "asynchronous";
	t_pair(&a, &b);
	struct aiocb r = { .aio_fildes = b, .aio_buf = in, .aio_nbytes = sizeof(in) };
	struct aiocb w = { .aio_fildes = a, .aio_buf = out, .aio_nbytes = 12 };
	t_res("aio_read", aio_read(&r));
	t_out("error %s", t_errname(aio_error(&r)));
	t_res("aio_write", aio_write(&w));
	wait_for(&w);
	wait_for(&r);
	t_out("write %d %d", aio_error(&w), (int)aio_return(&w));
	t_out("read %d %d %s", aio_error(&r), (int)aio_return(&r), in);
	struct aiocb w2 = { .aio_fildes = a, .aio_buf = out, .aio_nbytes = 3, .aio_lio_opcode = LIO_WRITE };
	struct aiocb w3 = { .aio_fildes = b, .aio_buf = out, .aio_nbytes = 4, .aio_lio_opcode = LIO_WRITE };
	struct aiocb *list[] = { &w2, &w3 };
	t_res("lio_listio", lio_listio(LIO_WAIT, list, 2, NULL));
	t_out("%d %d", (int)aio_return(&w2), (int)aio_return(&w3));
	t_res("read", t_read_all(b, in, 3));
	t_res("read", t_read_all(a, in, 4));
	t_res("aio_fsync", aio_fsync(O_SYNC, &w));
	wait_for(&w);
	t_out("fsync %s", t_errname(aio_error(&w)));
	close(a);
	close(b);
}

static void resolver(void)
{
	struct addrinfo hint = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *ai = NULL;
	int r = getaddrinfo("10.77.0.2", "80", &hint, &ai);
	t_out("numeric %d family %d len %d", r, ai ? ai->ai_family : -1, ai ? (int)ai->ai_addrlen : -1);
	if (ai)
		freeaddrinfo(ai);
	t_out("text %d", getaddrinfo("not a host", NULL, &hint, &ai) == EAI_NONAME);
	hint.ai_flags = AI_CANONNAME;
	r = getaddrinfo("localhost", "80", &hint, &ai);
	for (struct addrinfo *i = r == 0 ? ai : NULL; i; i = i->ai_next) {
		char host[64] = "";

		getnameinfo(i->ai_addr, i->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
		t_out("localhost %s %s", host, i->ai_canonname ? i->ai_canonname : "-");
	}
	if (r == 0)
		freeaddrinfo(ai);
}

/* ---- closing ---- */
static int blocked_tid;
static int blocked_fd;
static void *blocked_accept(void *arg)
{
	__atomic_store_n(&blocked_tid, t_self(), __ATOMIC_SEQ_CST);
	int fd = accept(blocked_fd, NULL, NULL);
	*(const char **)arg = fd >= 0 ? "ok" : t_errname(errno);
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* The call goes on with the socket it began with. */
static void closed_under_accept(void)
{
	struct sockaddr_in to;
	const char *outcome = "?";
	pthread_t t;
	blocked_tid = 0;
	blocked_fd = t_listen(4, &to);
	pthread_create(&t, NULL, blocked_accept, &outcome);
	while (!__atomic_load_n(&blocked_tid, __ATOMIC_SEQ_CST))
		t_sleep_ms(1);
	t_until_asleep(blocked_tid);
	t_res("close", close(blocked_fd));
	int c = socket(AF_INET, SOCK_STREAM, 0);
	t_res("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	pthread_join(t, NULL);
	t_out("accept in the thread %s", outcome);
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	t_res("connect again", connect(c, (struct sockaddr *)&to, sizeof(to)));
	close(c);
}

static void ranges(void)
{
	int a, b, c;
	char x;
	t_pair(&a, &b);
	c = fcntl(b, F_DUPFD, 200);
	t_res("bad flags", close_range((unsigned int)c, (unsigned int)c, 1 << 9));
	t_res("backwards", close_range((unsigned int)c, (unsigned int)c - 1, 0));
	t_res("cloexec", close_range((unsigned int)c, (unsigned int)c, CLOSE_RANGE_CLOEXEC));
	t_out("fd flags %d", fcntl(c, F_GETFD));
	t_res("unshare", close_range((unsigned int)c, 300, CLOSE_RANGE_UNSHARE));
	t_out("%s", fcntl(c, F_GETFD) < 0 ? t_errname(errno) : "open");
	t_res("send", send(b, "x", 1, 0));
	t_res("recv", recv(a, &x, 1, 0));
	t_res("close", close_range((unsigned int)(a < b ? a : b), (unsigned int)(a < b ? b : a), 0));
	t_out("%s", send(b, "x", 1, 0) < 0 ? t_errname(errno) : "sent");
}

static void copies_onto(void)
{
	int a, b, file = open("/dev/null", O_RDWR), p[2];
	char x;
	t_pair(&a, &b);
	t_res("dup2 to itself", dup2(a, a) == a);
	t_res("dup3 to itself", dup3(a, a, 0));
	t_res("dup3 bad flags", dup3(a, file, 1));
	t_res("dup2 of nothing", dup2(999, a));
	t_res("still there", send(a, "1", 1, 0));
	t_ok("socket onto file", dup2(a, file));
	t_res("send by the copy", send(file, "2", 1, 0));
	pipe(p);
	t_ok("socket onto pipe", dup3(a, p[1], O_CLOEXEC));
	t_out("reader sees %s", t_mask((uint32_t)t_poll(p[0], POLLIN)));
	t_res("write by the copy", write(p[1], "3", 1));
	t_out("fd flags %d", fcntl(p[1], F_GETFD));
	t_ok("pipe onto socket", dup2(p[0], a));
	t_out("%s", send(a, "x", 1, 0) < 0 ? t_errname(errno) : "sent");
	close(file);
	t_out("peer %s", t_mask((uint32_t)t_until(b, POLLIN) & ~POLLOUT));
	close(p[1]);
	t_out("peer %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	t_res("recv", recv(b, &x, 1, 0));
	close(a);
	close(b);
	close(p[0]);
}

/* O_NDELAY is O_NONBLOCK, and FIONBIO the same flag. */
static void no_delay(void)
{
	int a, b, on = 1, off = 0;
	char x;
	t_pair(&a, &b);
	t_res("O_NDELAY", fcntl(a, F_SETFL, O_NDELAY));
	t_res("recv", recv(a, &x, 1, 0));
	t_res("FIONBIO off", ioctl(a, FIONBIO, &off));
	t_out("flags %x", fcntl(a, F_GETFL));
	t_res("FIONBIO on", ioctl(a, FIONBIO, &on));
	t_out("flags %x", fcntl(a, F_GETFL));
	t_res("recv", recv(a, &x, 1, 0));
	close(a);
	close(b);
}

T_MAIN(T_CASE(to_itself), T_CASE(full_queue), T_CASE(deferred), T_CASE(unsent), T_CASE(window),
       T_CASE(asynchronous), T_CASE(resolver), T_CASE(closed_under_accept), T_CASE(ranges),
       T_CASE(copies_onto), T_CASE(no_delay))
