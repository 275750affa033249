/* Bad pointers in the arguments of everything but the bytes: addresses, lengths, options, ioctl, poll,
 * select, epoll. */
// SPDX-License-Identifier: MIT
#include <sys/mman.h>
#include <sys/select.h>
#include "tests/shim/t.h"

enum { PAGE = 4096 };
static char *page, *none, *rdonly;

static const struct {
	const char *name;
	int which;
	long off;
} bad[] = {
	{ "NULL", 0, 0 },
	{ "8", 0, 8 },
	{ "no access", 1, 0 },
	{ "runs out", 2, PAGE - 2 },
	{ "not canonical", 0, 0x00008000000000ff },
	{ "kernel", 0, (long)0xffffffff81000000ul },
	{ "read-only", 3, 0 },
};
enum { BAD = T_COUNT(bad) };

static void *bad_pointer(size_t i)
{
	char *base = bad[i].which == 1 ? none : bad[i].which == 2 ? page :
					   bad[i].which == 3	  ? rdonly :
								    NULL;
	return (void *)((uintptr_t)base + (uintptr_t)bad[i].off);
}

/* A line for one call with each pointer; `skip` of the last ones can be read. */
#define EACH(what, skip, call) \
	do { \
		for (size_t i_ = 0; i_ < BAD - (skip); i_++) { \
			void *p = bad_pointer(i_); \
			char line_[96]; \
			snprintf(line_, sizeof(line_), "%s %s", what, bad[i_].name); \
			t_res(line_, call); \
		} \
	} while (0)

static void names(void)
{
	struct sockaddr_in addr;
	struct sockaddr *sa = (struct sockaddr *)&addr;
	socklen_t len = sizeof(addr);
	int a, b;

	t_pair(&a, &b);
	EACH("getsockname address", 0, (len = 16, getsockname(a, p, &len)));
	t_out("length %u", len);
	EACH("getsockname length", 0, getsockname(a, sa, p));
	EACH("getsockname nothing", 0, (len = 0, getsockname(a, p, &len)));
	t_out("length %u", len);
	EACH("getpeername address", 0, (len = 16, getpeername(a, p, &len)));
	EACH("getpeername length", 0, getpeername(a, sa, p));
	EACH("getpeername nothing", 0, (len = 0, getpeername(a, p, &len)));
	t_res("negative", (len = (socklen_t)-1, getpeername(a, sa, &len)));
	EACH("connect again", 1, connect(a, p, 16));
	close(a);
	close(b);
	a = socket(AF_INET, SOCK_STREAM, 0);
	EACH("getpeername unconnected", 0, getpeername(a, p, p));
	EACH("bind", 1, bind(a, p, 16));
	EACH("bind of nothing", 1, bind(a, p, 0));
	EACH("bind of two bytes", 2, bind(a, p, 2));
	EACH("bind too long", 1, bind(a, p, 200));
	EACH("connect", 1, connect(a, p, 16));
	EACH("connect of nothing", 1, connect(a, p, 0));
	EACH("connect of one byte", 1, connect(a, p, 1));
	close(a);
}

static void accepts(void)
{
	struct sockaddr_in addr, me;
	socklen_t len;
	int l = t_listen(8, &addr), c, n;

	for (size_t i = 0; i < BAD * 2; i++) {
		void *p = bad_pointer(i / 2);
		char line[64];

		c = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(c, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			t_out("connect failed");
		len = sizeof(me);
		n = i % 2 ? accept(l, p, &len) : accept4(l, (struct sockaddr *)&me, p, 0);
		snprintf(line, sizeof(line), "accept %s %s", i % 2 ? "address" : "length", bad[i / 2].name);
		t_ok(line, n);
		if (n >= 0)
			close(n);
		else
			t_out("the connection is gone: %s", t_mask((uint32_t)t_until(c, POLLIN) & ~POLLERR));
		close(c);
	}
	fcntl(l, F_SETFL, O_NONBLOCK);
	EACH("accept of none", 0, accept(l, p, p));
	close(l);
}

static void options(void)
{
	static const struct {
		const char *name;
		int level, opt, len;
	} rows[] = { { "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 4 },
		     { "SO_LINGER", SOL_SOCKET, SO_LINGER, 8 },
		     { "SO_RCVTIMEO", SOL_SOCKET, SO_RCVTIMEO, 16 },
		     { "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 4 },
		     { "TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, 8 },
		     { "IP_TOS", IPPROTO_IP, IP_TOS, 4 },
		     { "IP_TTL a byte", IPPROTO_IP, IP_TTL, 1 } };
	char name[64], buf[256];
	int a, b;

	t_pair(&a, &b);
	for (size_t r = 0; r < T_COUNT(rows); r++) {
		socklen_t len;

		snprintf(name, sizeof(name), "set %s", rows[r].name);
		EACH(name, rows[r].len < 2 ? 4 : 1,
		     setsockopt(a, rows[r].level, rows[r].opt, p, (socklen_t)rows[r].len));
		snprintf(name, sizeof(name), "get %s", rows[r].name);
		EACH(name, 0, (len = (socklen_t)rows[r].len > 2 ? (socklen_t)rows[r].len : 4,
			       getsockopt(a, rows[r].level, rows[r].opt, p, &len)));
		snprintf(name, sizeof(name), "length %s", rows[r].name);
		EACH(name, 0, getsockopt(a, rows[r].level, rows[r].opt, buf, p));
	}
	EACH("get TCP_INFO", 0, getsockopt(a, IPPROTO_TCP, TCP_INFO, p, &(socklen_t){ 104 }));
	close(a);
	close(b);
}

static void ioctls(void)
{
	static const struct {
		const char *name;
		unsigned long req;
	} rows[] = { { "FIONREAD", FIONREAD }, { "TIOCOUTQ", TIOCOUTQ } };
	int a, b;

	t_pair(&a, &b);
	for (size_t r = 0; r < T_COUNT(rows); r++)
		EACH(rows[r].name, 0, ioctl(a, rows[r].req, p));
	EACH("FIONBIO", 1, ioctl(a, FIONBIO, p));
	EACH("FIOASYNC", 1, ioctl(a, FIOASYNC, p));
	t_out("flags %x", (unsigned int)fcntl(a, F_GETFL));
	close(a);
	close(b);
}

static void polls(void)
{
	struct pollfd *at_end = (struct pollfd *)(void *)(page + PAGE - sizeof(struct pollfd));
	struct pollfd *fixed = (struct pollfd *)(void *)rdonly;
	fd_set set;
	int a, b;

	t_pair(&a, &b);
	EACH("poll", 1, poll(p, 1, 0));
	EACH("poll of none", 1, poll(p, 0, 0));
	*at_end = (struct pollfd){ .fd = a, .events = POLLOUT };
	t_res("poll, the second bad", poll(at_end, 2, 0));
	t_res("poll, only the first", poll(at_end, 1, 0));
	mprotect(rdonly, PAGE, PROT_READ | PROT_WRITE);
	*fixed = (struct pollfd){ .fd = a, .events = POLLOUT };
	mprotect(rdonly, PAGE, PROT_READ);
	t_res("poll, read-only", poll(fixed, 1, 0));
	FD_ZERO(&set);
	FD_SET(a, &set);
	EACH("select", 1, select(a + 1, p, NULL, NULL, &(struct timeval){ 0 }));
	EACH("select, second", 1,
	     (FD_SET(a, &set), select(a + 1, &set, p, NULL, &(struct timeval){ 0 })));
	mprotect(rdonly, PAGE, PROT_READ | PROT_WRITE);
	memset(rdonly, 0, PAGE);
	FD_SET(a, (fd_set *)(void *)rdonly);
	mprotect(rdonly, PAGE, PROT_READ);
	t_res("select, read-only", select(a + 1, NULL, (fd_set *)(void *)rdonly, NULL, NULL));
	close(a);
	close(b);
}

static void epolls(void)
{
	struct epoll_event ev[4], *at_end = (struct epoll_event *)(void *)(page + PAGE - sizeof(*ev));
	int a, b, c, d, ep = epoll_create1(0);

	t_pair(&a, &b);
	t_pair(&c, &d);
	EACH("add", 1, epoll_ctl(ep, EPOLL_CTL_ADD, a, p));
	EACH("add of a bad number", 1, epoll_ctl(ep, EPOLL_CTL_ADD, 9999, p));
	t_res("add", t_epoll_add(ep, a, EPOLLIN));
	EACH("mod", 1, epoll_ctl(ep, EPOLL_CTL_MOD, a, p));
	EACH("wait, nothing there", 0, epoll_wait(ep, p, 1, 0));
	send(b, "x", 1, 0);
	t_until(a, POLLIN);
	EACH("wait", 0, epoll_wait(ep, p, 1, 0));
	EACH("wait longer", 0, epoll_wait(ep, p, 1, 1000));
	t_res("still there", epoll_wait(ep, ev, 4, 0));
	t_res("edge", t_epoll_mod(ep, a, EPOLLIN | EPOLLET | EPOLLONESHOT));
	EACH("wait for the edge", 0, epoll_wait(ep, p, 1, 0));
	t_res("still there", epoll_wait(ep, ev, 4, 0));
	t_res("once", epoll_wait(ep, ev, 4, 0));
	t_epoll_mod(ep, a, EPOLLIN);
	send(d, "x", 1, 0);
	t_until(c, POLLIN);
	t_epoll_add(ep, c, EPOLLIN);
	t_res("room for one of two", epoll_wait(ep, at_end, 2, 0));
	t_res("both", epoll_wait(ep, ev, 4, 0));
	EACH("time", 1, epoll_pwait2(ep, ev, 1, p, NULL) * (p != NULL));
	EACH("del", 0, epoll_ctl(ep, EPOLL_CTL_DEL, 9999, p));
	t_res("del", epoll_ctl(ep, EPOLL_CTL_DEL, a, (void *)none));
	close(ep);
	close(a);
	close(b);
	close(c);
	close(d);
}

/* The kernel's own descriptors in a program that has sockets, too. */
static void others(void)
{
	int a, b, u[2], ep = epoll_create1(0);

	t_pair(&a, &b);
	socketpair(AF_UNIX, SOCK_STREAM, 0, u);
	EACH("sendmsg", 1, sendmsg(u[0], p, MSG_DONTWAIT));
	EACH("sendmmsg", 1, sendmmsg(u[0], p, 1, MSG_DONTWAIT));
	EACH("sendmsg control", 1,
	     sendmsg(u[0], &(struct msghdr){ .msg_control = p, .msg_controllen = 64 }, MSG_DONTWAIT));
	EACH("recvmsg", 0, recvmsg(u[0], p, MSG_DONTWAIT));
	EACH("epoll_ctl", 1, epoll_ctl(ep, EPOLL_CTL_ADD, u[0], p));
	EACH("poll", 1, poll(p, 3, 0));
	close(ep);
	close(u[0]);
	close(u[1]);
	close(a);
	close(b);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(names), T_CASE(accepts), T_CASE(options), T_CASE(ioctls),
		T_CASE(polls), T_CASE(epolls),	T_CASE(others),
	};

	page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(page + PAGE, PAGE, PROT_NONE);
	none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	rdonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return t_run(cases, T_COUNT(cases), argc, argv);
}
