/* Urgent data: MSG_OOB, SO_OOBINLINE, the mark, what poll() and FIONREAD say around it. Most cases are a
 * line of steps on a fresh connection; each step waits until its bytes have arrived. */
// SPDX-License-Identifier: MIT
#include <linux/sockios.h>
#include "tests/shim/t.h"

/* Everything that a has sent is at the other side. */
static void settle(int a)
{
	uint64_t end = t_now_ms() + 2000;
	int left = 1;
	while (ioctl(a, SIOCOUTQ, &left) == 0 && left && t_now_ms() < end)
		t_sleep_ms(1);
}

static void show_recv(const char *what, int fd, size_t n, int flags)
{
	char buf[64] = { 0 };
	ssize_t r = recv(fd, buf, n, flags);
	if (r < 0)
		t_out("%s = -1 %s", what, t_errname(errno));
	else
		t_out("%s = %zd '%s'", what, r, buf);
}

static void show_state(const char *what, int fd)
{
	int mark = -1, inq = -1;
	ioctl(fd, SIOCATMARK, &mark);
	ioctl(fd, FIONREAD, &inq);
	t_out("%s: mark %d sockatmark %d inq %d %s", what, mark, sockatmark(fd), inq,
	      t_mask((uint32_t)t_poll(fd, POLLIN | POLLPRI | POLLRDBAND | POLLRDNORM | POLLRDHUP)));
}

/* s text: send; o text: with MSG_OOB; r n, p n, d n: receive, peek, discard; R n, P n, D n: the same
 * with MSG_OOB; i n: SO_OOBINLINE; l n: SO_RCVLOWAT; F: shut down sending; x: reset; ?: the state. */
static void step(int *a, int b, const char *op)
{
	int n = atoi(op + 1);
	char op_text[32];
	snprintf(op_text, sizeof(op_text), "%s", op);
	switch (op[0]) {
	case 's':
	case 'o':
		t_res(op_text, send(*a, op + 1, strlen(op + 1), op[0] == 'o' ? MSG_OOB : 0));
		settle(*a);
		break;
	case 'r':
		show_recv(op_text, b, (size_t)n, MSG_DONTWAIT);
		break;
	case 'p':
		show_recv(op_text, b, (size_t)n, MSG_DONTWAIT | MSG_PEEK);
		break;
	case 'd':
		show_recv(op_text, b, (size_t)n, MSG_DONTWAIT | MSG_TRUNC);
		break;
	case 'w':
		show_recv(op_text, b, (size_t)n, MSG_WAITALL);
		break;
	case 'W':
		show_recv(op_text, b, (size_t)n, MSG_WAITALL | MSG_PEEK);
		break;
	case 'R':
		show_recv(op_text, b, (size_t)n, MSG_OOB);
		break;
	case 'P':
		show_recv(op_text, b, (size_t)n, MSG_OOB | MSG_PEEK);
		break;
	case 'D':
		show_recv(op_text, b, (size_t)n, MSG_OOB | MSG_TRUNC);
		break;
	case 'i':
		t_res(op_text, setsockopt(b, SOL_SOCKET, SO_OOBINLINE, &n, sizeof(n)));
		break;
	case 'l':
		t_res(op_text, setsockopt(b, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof(n)));
		break;
	case 'k':
		t_res(op_text, setsockopt(b, SOL_SOCKET, SO_PEEK_OFF, &n, sizeof(n)));
		break;
	case 'F':
		shutdown(*a, SHUT_WR);
		t_until(b, POLLRDHUP);
		break;
	case 'S':
		t_res(op_text, shutdown(b, SHUT_RD));
		break;
	case 'x':
		t_reset(*a);
		*a = -1;
		t_until(b, POLLHUP);
		break;
	default:
		show_state(op_text, b);
	}
}

static const struct {
	const char *name, *steps;
} lines[] = {
	{ "nothing urgent", "?,R1,P1,sabc,?,R1,r9" },
	{ "one byte", "ox,?,P1,?,R1,?,R1,r9,?,R1" },
	{ "one byte unread is lost in band", "ox,r9,?,R1,sabc,?,r9" },
	{ "last byte of a send", "oabc,?,r9,?,R1,?,r9,?" },
	{ "text around", "sab,oX,scd,?,r1,?,r9,?,R1,?,r9,?" },
	{ "oob first, then text", "sab,oX,scd,R1,?,r9,?,r9,?" },
	{ "text first passes the mark", "sab,oX,scd,r9,r9,?,R1" },
	{ "stop at the mark though more fits", "sabc,oX,sdef,r9,r9,r9" },
	{ "short reads around it", "sab,oX,scd,r1,r1,?,r1,?,r1,?,r1" },
	{ "peek stops and skips", "sab,oX,scd,p9,?,r9,p9,?,R1,r9" },
	{ "peek at the mark leaves it", "oX,p9,?,R1,p9,r9,?" },
	{ "peek at the mark with text", "oX,sab,p1,p9,?,R1,?,r9" },
	{ "discard up to the mark", "sab,oX,scd,d9,?,d9,?" },
	{ "discard the urgent byte", "oX,D1,R1,?" },
	{ "oob read of nothing", "oX,R0,R1,?" },
	{ "oob peek of nothing", "oX,P0,R1" },
	{ "oob read takes one byte only", "sab,oXY,R9,r9,r9" },
	{ "two urgent bytes, the first read", "ox,R1,oy,?,R1,r9,?" },
	{ "two urgent bytes, at the first mark", "ox,oy,?,R1,?,r9,?" },
	{ "two urgent bytes, before the mark", "sa,ox,oy,?,r9,?,R1,r9,?" },
	{ "two urgent bytes with text between", "ox,sab,oy,?,r9,?,R1,r9" },
	{ "three at the mark", "ox,oy,oz,?,P1,r9,R1" },
	{ "three before the mark", "sa,ox,oy,oz,r9,R1,r9" },
	{ "two, peeked at the first", "ox,p9,oy,p9,r9,?,R1" },
	{ "the second arrives after the first mark was passed", "ox,sab,r1,oy,r9,R1,?" },
	{ "inline one byte", "i1,ox,?,R1,r9,?" },
	{ "inline among text", "i1,sab,oX,scd,r9,?,r9,?" },
	{ "inline last byte of a send", "i1,oabc,?,r9,?,r1,?" },
	{ "inline peek", "i1,sab,oX,scd,p9,r9,p9,?,r9" },
	{ "inline read beyond the mark", "i1,oX,sab,?,r9,?" },
	{ "inline two bytes", "i1,sa,ox,oy,?,r9,?,r9,?" },
	{ "inline two at the mark", "i1,ox,oy,?,r9,?,r9" },
	{ "inline switched on after the byte", "sa,ox,i1,R1,?,r9,r9,?" },
	{ "inline switched off again", "i1,sa,ox,i0,?,R1,r9,r9,?" },
	{ "inline on, taken before", "oX,R1,i1,?,r9,?" },
	{ "waitall ends at the mark", "sab,oX,scd,w9,?,w2" },
	{ "peek waitall ends at the mark", "sab,oX,scd,W9,w9,W2,?" },
	{ "lowat and the mark", "l3,sab,oX,?,r9,scd,?,r9" },
	{ "fin after the byte", "ox,F,?,R1,?,r9,R1" },
	{ "fin after text and byte", "sab,ox,F,?,r9,?,r9,?,R1" },
	{ "fin, text first", "oxyz,F,r9,r9,r9,?,R1" },
	{ "reading shut down", "ox,S,?,R1,r9" },
	{ "announced only, reading shut down", "S,ox,?,R1,R1" },
	{ "reset after the byte", "ox,x,?,R1,r9,R1" },
	{ "reset after text and byte", "sab,ox,x,?,r1,?,r9,?,r9,?" },
	{ "reads of nothing", "r0,ox,r0,p0,d0,?,R1,r0,sa,r0,r9,r0" },
	{ "reads of nothing, inline", "i1,r0,ox,r0,p0,d0,r9,r0" },
	{ "reset, nothing urgent", "x,R1,r9,R1" },
	{ "peek offset up to the mark", "k0,sab,oX,scd,p1,p9,p9,p9,r9,p9,R1" },
	{ "empty oob send", "o,?,R1,oa,?" },
};

static void steps(void)
{
	for (size_t i = 0; i < T_COUNT(lines); i++) {
		char text[128], *save = NULL;
		int a, b;
		t_out("-- %s", lines[i].name);
		t_pair(&a, &b);
		snprintf(text, sizeof(text), "%s", lines[i].steps);
		for (char *op = strtok_r(text, ",", &save); op; op = strtok_r(NULL, ",", &save))
			step(&a, b, op);
		if (a >= 0)
			close(a);
		close(b);
	}
}

static void not_connected(void)
{
	char c;
	int mark = 7;
	int s = socket(AF_INET, SOCK_STREAM, 0);
	signal(SIGPIPE, SIG_IGN);
	t_res("recv", recv(s, &c, 1, MSG_OOB));
	t_res("send", send(s, "x", 1, MSG_OOB));
	t_res("ioctl", ioctl(s, SIOCATMARK, &mark));
	t_out("mark %d, sockatmark %d", mark, sockatmark(s));
	t_res("bad pointer", ioctl(s, SIOCATMARK, (void *)8));
	close(s);
	s = t_listen(1, NULL);
	t_res("listening recv", recv(s, &c, 1, MSG_OOB));
	t_res("listening send", send(s, "x", 1, MSG_OOB));
	t_res("listening mark", sockatmark(s));
	close(s);
	t_res("closed", sockatmark(s));
	int p[2];
	pipe(p);
	t_res("pipe", sockatmark(p[0]));
	close(p[0]);
	close(p[1]);
}

static void message(void)
{
	int a, b;
	char buf[8] = { 0 };
	struct iovec v[3] = { { NULL, 0 }, { buf, 2 }, { buf + 2, 2 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 3 };
	t_pair(&a, &b);
	send(a, "abX", 3, MSG_OOB);
	settle(a);
	t_res("recvmsg", recvmsg(b, &m, MSG_OOB | MSG_PEEK));
	t_out("'%s' flags %#x", buf, m.msg_flags);
	m.msg_iovlen = 0;
	t_res("recvmsg of nothing", recvmsg(b, &m, MSG_OOB));
	t_out("flags %#x", m.msg_flags);
	t_res("taken", recvmsg(b, &m, MSG_OOB));
	m.msg_iovlen = 3;
	t_res("recvmsg", recvmsg(b, &m, 0));
	t_out("'%s' flags %#x", buf, m.msg_flags);
	v[0] = (struct iovec){ "cd", 2 };
	v[1] = (struct iovec){ "Y", 1 };
	m.msg_iovlen = 2;
	t_res("sendmsg", sendmsg(a, &m, MSG_OOB));
	settle(a);
	t_res("bad address", recv(b, (void *)8, 1, MSG_OOB));
	t_res("gone all the same", recv(b, buf, 1, MSG_OOB));
	t_res("text", recv(b, buf, 8, 0));
	close(a);
	close(b);
}

static void selects(void)
{
	int a, b;
	struct timeval tv = { .tv_sec = 2 };
	fd_set r, x;
	char c;
	t_pair(&a, &b);
	send(a, "x", 1, MSG_OOB);
	FD_ZERO(&r);
	FD_ZERO(&x);
	FD_SET(b, &x);
	t_res("select", select(b + 1, NULL, NULL, &x, &tv));
	t_out("except %d", FD_ISSET(b, &x) != 0);
	FD_SET(b, &r);
	tv = (struct timeval){ 0 };
	t_res("both", select(b + 1, &r, NULL, &x, &tv));
	t_out("read %d except %d", FD_ISSET(b, &r) != 0, FD_ISSET(b, &x) != 0);
	t_res("oob", recv(b, &c, 1, MSG_OOB));
	FD_SET(b, &r);
	FD_SET(b, &x);
	tv = (struct timeval){ 0 };
	t_res("none", select(b + 1, &r, NULL, &x, &tv));
	close(a);
	close(b);
}

static void epolls(void)
{
	static const uint32_t modes[] = { 0, EPOLLET };
	for (size_t i = 0; i < T_COUNT(modes); i++) {
		int a, b, ep = epoll_create1(0);
		struct epoll_event ev[4];
		char c;
		t_pair(&a, &b);
		t_out("mode %zu", i);
		t_epoll_add(ep, b, EPOLLPRI | modes[i]);
		t_res("quiet", t_epoll_wait(ep, ev, 4, 0));
		send(a, "ab", 2, 0);
		settle(a);
		t_res("text", t_epoll_wait(ep, ev, 4, 0));
		send(a, "x", 1, MSG_OOB);
		t_out("urgent %s", t_mask(t_epoll_until(ep, b, EPOLLPRI)));
		settle(a);
		t_res("again", t_epoll_wait(ep, ev, 4, 0));
		t_res("oob", recv(b, &c, 1, MSG_OOB));
		t_res("taken", t_epoll_wait(ep, ev, 4, 0));
		send(a, "y", 1, MSG_OOB);
		t_out("urgent %s", t_mask(t_epoll_until(ep, b, EPOLLPRI)));
		t_epoll_mod(ep, b, EPOLLIN | EPOLLPRI | modes[i]);
		t_out("both %s", t_mask(t_epoll_until(ep, b, EPOLLPRI)));
		close(a);
		close(b);
		close(ep);
	}
}

/* A pair with a small receive buffer from the beginning: its window can be filled and closes. */
static void small_pair(int *a, int *b)
{
	struct sockaddr_in addr;
	int l = t_listen(8, &addr), size = 16384;
	setsockopt(l, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	*a = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(*a, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		t_out("connect failed: %s", t_errname(errno));
	*b = accept(l, NULL, NULL);
	close(l);
}

/* Sends until the receiver's buffer is full; what was sent. */
static size_t fill_receiver(int a)
{
	static const char text[4096];
	int left = 0;
	size_t sent = 0;
	while (left == 0 && sent < 8 << 20) {
		ssize_t r = send(a, text, sizeof(text), MSG_DONTWAIT);
		if (r <= 0)
			break;
		sent += (size_t)r;
		uint64_t end = t_now_ms() + 300;
		while (ioctl(a, SIOCOUTQ, &left) == 0 && left && t_now_ms() < end)
			t_sleep_ms(1);
	}
	return sent;
}

/* The receiver's buffer is full: the byte is announced, but not here. */
static void announced(void)
{
	int a, b;
	char c, buf[65536];
	small_pair(&a, &b);
	size_t sent = fill_receiver(a), got = 0;
	t_res("queued", send(a, "x", 1, MSG_OOB | MSG_DONTWAIT));
	uint64_t end = t_now_ms() + 5000;
	while (recv(b, &c, 1, MSG_OOB | MSG_PEEK) < 0 && errno == EINVAL && t_now_ms() < end)
		t_sleep_ms(1);
	t_res("announced", recv(b, &c, 1, MSG_OOB));
	t_out("poll %s mark %d", t_mask((uint32_t)t_poll(b, POLLPRI)), sockatmark(b));
	while (sockatmark(b) == 0 && got <= sent) {
		ssize_t r = recv(b, buf, sizeof(buf), 0);
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	t_out("at the mark %d after all bytes %d", sockatmark(b), got == sent);
	t_until(b, POLLPRI);
	show_recv("oob", b, 1, MSG_OOB);
	show_recv("text", b, 1, MSG_DONTWAIT);
	close(a);
	close(b);
}

/* The sender's buffer is full, too: nothing is urgent. */
static void full(void)
{
	int a, b, out;
	char buf[65536];
	uint64_t end = t_now_ms() + 5000;
	/* The receiver first: else its kernel goes on making room for what we have queued. */
	small_pair(&a, &b);
	fill_receiver(a);
	t_fill(a);
	t_res("no room", send(a, "x", 1, MSG_OOB | MSG_DONTWAIT));
	do {
		t_sleep_ms(1);
		ioctl(a, SIOCOUTQ, &out);
		while (recv(b, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
	} while (out && t_now_ms() < end);
	show_state("after all", b);
	show_recv("oob", b, 1, MSG_OOB);
	close(a);
	close(b);
}

static void *send_later(void *arg)
{
	int fd = *(int *)arg;
	t_sleep_ms(20);
	send(fd, "x", 1, MSG_OOB);
	settle(fd);
	t_sleep_ms(20);
	send(fd, "text", 4, 0);
	return NULL;
}

static void blocked(void)
{
	for (int on = 0; on < 2; on++) {
		int a, b;
		pthread_t t;
		t_pair(&a, &b);
		setsockopt(b, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
		pthread_create(&t, NULL, send_later, &a);
		show_recv("waits beside it", b, 9, 0);
		pthread_join(t, NULL);
		t_until(b, POLLIN);
		show_recv("rest", b, 9, MSG_DONTWAIT);
		close(a);
		close(b);
	}
}

static void blocked_waitall(void)
{
	int a, b;
	pthread_t t;
	t_pair(&a, &b);
	send(a, "ab", 2, 0);
	pthread_create(&t, NULL, send_later, &a);
	show_recv("waitall is ended by the mark", b, 6, MSG_WAITALL);
	show_state("at it", b);
	pthread_join(t, NULL);
	show_recv("oob", b, 1, MSG_OOB);
	show_recv("rest", b, 9, 0);
	close(a);
	close(b);
}

/* One send() larger than the buffers: its last byte is the urgent one. */
static void *send_much(void *arg)
{
	static char buf[3 << 20];
	memset(buf, 'm', sizeof(buf));
	buf[sizeof(buf) - 1] = 'X';
	return (void *)send(*(int *)arg, buf, sizeof(buf), MSG_OOB);
}

static void large(void)
{
	static char buf[1 << 16];
	int a, b, on = 1;
	pthread_t t;
	void *sent;
	size_t got = 0;
	char last = 0;
	t_pair(&a, &b);
	setsockopt(b, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	pthread_create(&t, NULL, send_much, &a);
	while (got < 3 << 20) {
		ssize_t r = recv(b, buf, sizeof(buf), 0);
		if (r <= 0)
			break;
		got += (size_t)r;
		last = buf[r - 1];
		if (got == (3 << 20) - 1)
			t_out("at the mark %d", sockatmark(b));
	}
	pthread_join(t, &sent);
	t_out("sent %zd got %zu, last %c", (ssize_t)sent, got, last);
	close(a);
	close(b);
}

static void splices(void)
{
	int a, b, p[2];
	char buf[16] = { 0 };
	t_pair(&a, &b);
	pipe(p);
	send(a, "ab", 2, 0);
	send(a, "X", 1, MSG_OOB);
	send(a, "cd", 2, 0);
	settle(a);
	t_res("splice up to the mark", splice(b, NULL, p[1], NULL, 16, 0));
	t_res("splice at the mark", splice(b, NULL, p[1], NULL, 16, 0));
	t_res("in the pipe", read(p[0], buf, 16));
	show_recv("recv passes", b, 1, 0);
	t_res("splice behind it", splice(b, NULL, p[1], NULL, 16, 0));
	send(a, "Y", 1, MSG_OOB);
	settle(a);
	fcntl(b, F_SETFL, O_NONBLOCK);
	t_res("not blocking", splice(b, NULL, p[1], NULL, 16, 0));
	shutdown(a, SHUT_WR);
	t_until(b, POLLRDHUP);
	t_res("and ended", splice(b, NULL, p[1], NULL, 16, 0));
	close(p[0]);
	close(p[1]);
	close(a);
	close(b);
}

static void after_shutdown(void)
{
	int a, b;
	t_pair(&a, &b);
	signal(SIGPIPE, SIG_IGN);
	shutdown(a, SHUT_WR);
	t_res("send", send(a, "x", 1, MSG_OOB));
	t_res("other way", send(b, "y", 1, MSG_OOB));
	settle(b);
	show_recv("oob", a, 1, MSG_OOB);
	close(a);
	close(b);
	/* Answered with a reset, and announced all the same. */
	t_pair(&a, &b);
	shutdown(b, SHUT_RDWR);
	t_until(a, POLLRDHUP);
	t_res("send to nobody", send(a, "x", 1, MSG_OOB));
	t_until(a, POLLHUP);
	t_until(b, POLLERR);
	show_state("then", b);
	show_recv("oob", b, 1, MSG_OOB);
	show_recv("read", b, 1, 0);
	show_recv("read", b, 1, 0);
	show_recv("oob", b, 1, MSG_OOB);
	show_state("then", b);
	close(a);
	close(b);
}

/* A listener's option holds for what it accepts; read() and readv() stop at the mark as recv() does. */
static void inherited(void)
{
	struct sockaddr_in addr;
	int on = 1, l = t_listen(1, &addr);
	socklen_t len = sizeof(on);
	char buf[8] = { 0 };
	setsockopt(l, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	int a = socket(AF_INET, SOCK_STREAM, 0);
	connect(a, (struct sockaddr *)&addr, sizeof(addr));
	int b = accept(l, NULL, NULL);
	on = 7;
	getsockopt(b, SOL_SOCKET, SO_OOBINLINE, &on, &len);
	t_out("inline %d", on);
	send(a, "abX", 3, MSG_OOB);
	settle(a);
	t_res("read", read(b, buf, 8));
	struct iovec v[2] = { { buf, 1 }, { buf + 1, 7 } };
	t_res("readv", readv(b, v, 2));
	t_out("'%s'", buf);
	close(a);
	close(b);
	close(l);
}

T_MAIN(T_CASE(steps), T_CASE(not_connected), T_CASE(message), T_CASE(selects), T_CASE(epolls),
       T_CASE(announced), T_CASE(full), T_CASE(blocked), T_CASE(blocked_waitall), T_CASE(large),
       T_CASE(splices), T_CASE(after_shutdown), T_CASE(inherited))
