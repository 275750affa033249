/* epoll with one thread: level, edge, one-shot, masks, errors, several sets, closing. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static int ep;
static struct epoll_event ev[16];

static int now(int fd, uint32_t *mask)
{
	int n = t_epoll_wait(ep, ev, 16, 0);
	*mask = 0;
	for (int i = 0; i < n; i++)
		if (ev[i].data.fd == fd)
			*mask = ev[i].events;
	return n;
}

static void show(const char *what, int fd)
{
	uint32_t mask;
	int n = now(fd, &mask);
	t_out("%s: n %d %s", what, n, t_mask(mask));
}

static void until(const char *what, int fd, uint32_t want)
{
	t_out("%s: %s", what, t_mask(t_epoll_until(ep, fd, want)));
}

/* Waits until fd has `want` without touching the set's edges. */
static void settle(int fd, int want)
{
	t_until(fd, want);
	t_sleep_ms(2);
}

/* Waits until our FIN is acknowledged and the connection is gone. On loopback the kernel does all of that
 * within shutdown(); over any wire it is a change of state of its own, and so an edge of its own. */
static void settle_closed(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	uint64_t end = t_now_ms() + 1000;

	while (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state != TCP_CLOSE && t_now_ms() < end)
		t_sleep_ms(1);
	t_sleep_ms(2);
}

static void fresh_socket(void)
{
	ep = epoll_create1(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	t_res("add", t_epoll_add(ep, fd, EPOLLIN | EPOLLOUT));
	show("fresh", fd);
	show("again", fd);
	t_res("mod to IN only", t_epoll_mod(ep, fd, EPOLLIN));
	show("HUP comes unasked", fd);
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	t_epoll_mod(ep, fd, EPOLLIN | EPOLLOUT);
	t_res("connect", connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	show("connected", fd);
	close(fd);
	show("closed", fd);
	close(l);
	close(ep);
}

static void nonblocking_connect(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	ep = epoll_create1(EPOLL_CLOEXEC);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	t_epoll_add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET);
	show("fresh edge", fd);
	show("no second one", fd);
	t_res("connect", connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	until("connected edge", fd, EPOLLOUT);
	t_epoll_add(ep, l, EPOLLIN);
	until("listener", l, EPOLLIN);
	show("listener stays ready", l);
	int s = accept(l, NULL, NULL);
	show("accepted", l);
	close(fd);
	close(s);
	close(l);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	t_epoll_add(ep, fd, EPOLLOUT);
	until("refused", fd, EPOLLERR);
	close(fd);
	close(ep);
}

static void level(void)
{
	int a, b;
	char buf[16];
	t_pair(&a, &b);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN);
	show("nothing", a);
	send(b, "123", 3, 0);
	until("data", a, EPOLLIN);
	show("again", a);
	recv(a, buf, 2, 0);
	show("part read", a);
	recv(a, buf, 2, 0);
	show("all read", a);
	t_epoll_mod(ep, a, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLRDNORM | EPOLLWRNORM);
	show("more bits", a);
	t_epoll_mod(ep, a, 0);
	show("mask 0", a);
	t_epoll_mod(ep, a, EPOLLOUT);
	show("OUT", a);
	shutdown(b, SHUT_WR);
	settle(a, POLLRDHUP);
	show("peer's FIN with OUT only", a);
	t_epoll_mod(ep, a, EPOLLIN | EPOLLRDHUP);
	show("with IN and RDHUP", a);
	shutdown(a, SHUT_WR);
	settle(a, POLLHUP);
	show("both FIN", a);
	t_epoll_mod(ep, a, 0);
	show("mask 0", a);
	close(a);
	close(b);
	t_pair(&a, &b);
	t_epoll_add(ep, a, EPOLLIN | EPOLLOUT);
	t_reset(b);
	settle(a, POLLHUP);
	show("peer's RST", a);
	t_res("read", read(a, buf, 1));
	show("error taken", a);
	close(a);
	close(ep);
}

static void edge(void)
{
	int a, b;
	char buf[16];
	t_pair(&a, &b);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP);
	show("add", a);
	show("again", a);
	send(b, "12345", 5, 0);
	until("data: full mask", a, EPOLLIN);
	show("not drained", a);
	send(b, "6", 1, 0);
	until("more data", a, EPOLLIN);
	show("not drained", a);
	recv(a, buf, 2, 0);
	show("part read", a);
	t_res("mod to the same", t_epoll_mod(ep, a, EPOLLIN | EPOLLET));
	show("mod re-arms", a);
	show("again", a);
	recv(a, buf, 16, 0);
	show("drained", a);
	shutdown(b, SHUT_WR);
	until("FIN", a, EPOLLIN);
	show("again", a);
	t_epoll_mod(ep, a, EPOLLIN | EPOLLRDHUP | EPOLLET);
	show("mod with RDHUP", a);
	shutdown(a, SHUT_WR);
	settle_closed(a);
	until("both", a, EPOLLHUP);
	show("again", a);
	close(a);
	close(b);
	t_pair(&a, &b);
	t_epoll_add(ep, a, EPOLLIN | EPOLLET);
	t_reset(b);
	until("RST", a, EPOLLHUP);
	show("again", a);
	close(a);
	close(ep);
}

static void edge_on_interest_only(void)
{
	int a, b;
	t_pair(&a, &b);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLOUT | EPOLLET);
	show("OUT at once", a);
	send(b, "x", 1, 0);
	settle(a, POLLIN);
	show("data is no edge for OUT", a);
	t_epoll_mod(ep, a, EPOLLIN | EPOLLET);
	show("mod sees it", a);
	shutdown(a, SHUT_WR);
	t_sleep_ms(10);
	until("own shutdown wakes", a, EPOLLIN);
	close(a);
	close(b);
	close(ep);
}

static void oneshot(void)
{
	int a, b;
	char c;
	t_pair(&a, &b);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN | EPOLLONESHOT);
	send(b, "x", 1, 0);
	until("first", a, EPOLLIN);
	show("disarmed", a);
	send(b, "y", 1, 0);
	t_sleep_ms(5);
	show("more data", a);
	t_epoll_mod(ep, a, EPOLLIN | EPOLLONESHOT);
	show("armed again", a);
	show("disarmed", a);
	shutdown(b, SHUT_WR);
	settle(a, POLLRDHUP);
	show("not even the FIN", a);
	t_epoll_mod(ep, a, EPOLLIN | EPOLLONESHOT | EPOLLET);
	show("armed again", a);
	recv(a, &c, 1, 0);
	t_epoll_mod(ep, a, EPOLLIN | EPOLLONESHOT | EPOLLRDHUP);
	show("armed with RDHUP", a);
	close(b);
	shutdown(a, SHUT_WR);
	settle(a, POLLHUP);
	show("HUP while disarmed", a);
	close(a);
	close(ep);
}

static void out_edge(void)
{
	int a, b;
	static char buf[65536];
	t_pair(&a, &b);
	fcntl(a, F_SETFL, O_NONBLOCK);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLOUT | EPOLLET);
	show("at once", a);
	for (int round = 0; round < 3; round++) {
		size_t sent = t_fill(a), got = 0;
		show("full", a);
		uint32_t mask = 0;
		while (got < sent) {
			ssize_t r = recv(b, buf, sizeof(buf), 0);
			if (r <= 0)
				break;
			got += (size_t)r;
		}
		mask = t_epoll_until(ep, a, EPOLLOUT);
		t_out("drained: %s", t_mask(mask));
		t_sleep_ms(2);
		show("again", a);
	}
	close(a);
	close(b);
	close(ep);
}

static void control_errors(void)
{
	int a, b, pfd[2];
	struct epoll_event e = { .events = EPOLLIN };
	t_pair(&a, &b);
	ep = epoll_create1(0);
	t_res("create flags", epoll_create1(1));
	t_res("create size 0", epoll_create(0));
	t_res("add", t_epoll_add(ep, a, EPOLLIN));
	t_res("add twice", t_epoll_add(ep, a, EPOLLIN));
	t_res("mod of another", t_epoll_mod(ep, b, EPOLLIN));
	t_res("del of another", epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL));
	t_res("del", epoll_ctl(ep, EPOLL_CTL_DEL, a, NULL));
	t_res("del twice", epoll_ctl(ep, EPOLL_CTL_DEL, a, NULL));
	t_res("bad op", epoll_ctl(ep, 77, a, &e));
	t_res("null event", epoll_ctl(ep, EPOLL_CTL_ADD, a, NULL));
	t_res("closed fd", epoll_ctl(ep, EPOLL_CTL_ADD, 987, &e));
	t_res("negative fd", epoll_ctl(ep, EPOLL_CTL_ADD, -1, &e));
	t_res("closed epfd", epoll_ctl(986, EPOLL_CTL_ADD, a, &e));
	t_res("epfd is a socket", epoll_ctl(b, EPOLL_CTL_ADD, a, &e));
	t_res("add itself", epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
	t_res("socket to itself", epoll_ctl(a, EPOLL_CTL_ADD, a, &e));
	int file = open("/etc/passwd", O_RDONLY);
	t_res("regular file", epoll_ctl(ep, EPOLL_CTL_ADD, file, &e));
	close(file);
	if (pipe(pfd) == 0)
		t_res("epfd is a pipe", epoll_ctl(pfd[0], EPOLL_CTL_ADD, a, &e));
	close(pfd[0]);
	close(pfd[1]);
	t_res("exclusive by mod", (t_epoll_add(ep, a, EPOLLIN),
				   t_epoll_mod(ep, a, EPOLLIN | EPOLLEXCLUSIVE)));
	epoll_ctl(ep, EPOLL_CTL_DEL, a, NULL);
	t_res("exclusive", t_epoll_add(ep, a, EPOLLIN | EPOLLEXCLUSIVE));
	t_res("mod of exclusive", t_epoll_mod(ep, a, EPOLLIN));
	epoll_ctl(ep, EPOLL_CTL_DEL, a, NULL);
	t_res("exclusive oneshot", t_epoll_add(ep, a, EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE));
	t_res("exclusive rdhup", t_epoll_add(ep, a, EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE));
	t_epoll_add(ep, a, EPOLLOUT);
	t_res("wait max 0", epoll_wait(ep, ev, 0, 0));
	t_res("wait max -1", epoll_wait(ep, ev, -1, 0));
	t_res("wait on a socket", epoll_wait(a, ev, 1, 0));
	t_res("wait on nothing", epoll_wait(987, ev, 1, 0));
	t_res("wait into nowhere", epoll_wait(ep, (struct epoll_event *)8, 1, 0));
	close(a);
	t_res("del after close", epoll_ctl(ep, EPOLL_CTL_DEL, a, NULL));
	close(b);
	close(ep);
}

static void dup_keeps_reporting(void)
{
	int a, b;
	char c;
	t_pair(&a, &b);
	ep = epoll_create1(0);
	int d = dup(a);
	t_epoll_add(ep, a, EPOLLIN);
	close(a);
	send(b, "x", 1, 0);
	until("closed number, dup alive", a, EPOLLIN);
	t_res("add the dup", t_epoll_add(ep, d, EPOLLIN));
	t_out("both: n %d", t_epoll_wait(ep, ev, 16, 100));
	recv(d, &c, 1, 0);
	close(d);
	send(b, "y", 1, MSG_NOSIGNAL);
	t_sleep_ms(10);
	t_out("all closed: n %d", t_epoll_wait(ep, ev, 16, 0));
	close(b);
	t_pair(&a, &b);
	d = dup(a);
	t_epoll_add(ep, a, EPOLLIN);
	t_epoll_add(ep, d, EPOLLOUT);
	t_out("two numbers, one socket: n %d", t_epoll_wait(ep, ev, 16, 0));
	int e = dup(ep);
	t_out("through a dup of the set: n %d", t_epoll_wait(e, ev, 16, 0));
	close(ep);
	t_out("original closed: n %d", t_epoll_wait(e, ev, 16, 0));
	t_res("del through the dup", epoll_ctl(e, EPOLL_CTL_DEL, d, NULL));
	t_out("n %d", t_epoll_wait(e, ev, 16, 0));
	close(e);
	close(a);
	close(b);
	close(d);
}

static void number_reused(void)
{
	int a, b, c, d;
	t_pair(&a, &b);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN | EPOLLOUT);
	int was = a;
	close(a);
	t_pair(&c, &d);
	t_out("same number again: %d", dup2(c, was) == was);
	t_out("old registration gone: n %d", t_epoll_wait(ep, ev, 16, 0));
	t_res("add the new one", t_epoll_add(ep, was, EPOLLOUT));
	t_out("n %d", t_epoll_wait(ep, ev, 16, 0));
	close(was);
	close(b);
	close(c);
	close(d);
	close(ep);
}

static void several_sets(void)
{
	enum { N = 7 };
	int a, b, sets[N];
	char c;
	t_pair(&a, &b);
	for (int i = 0; i < N; i++) {
		sets[i] = epoll_create1(0);
		t_res("add", t_epoll_add(sets[i], a, EPOLLIN | (i % 2 ? EPOLLET : 0)));
	}
	send(b, "x", 1, 0);
	for (int i = 0; i < N; i++) {
		int n = t_epoll_wait(sets[i], ev, 16, 1000);
		int again = t_epoll_wait(sets[i], ev, 16, 0);
		t_out("set %d: n %d, again %d", i, n, again);
	}
	recv(a, &c, 1, 0);
	for (int i = 0; i < N; i++)
		t_out("set %d drained: n %d", i, t_epoll_wait(sets[i], ev, 16, 0));
	for (int i = 0; i < N; i++)
		close(sets[i]);
	close(a);
	close(b);
}

static void max_events_rotates(void)
{
	enum { N = 6 };
	int a[N], b[N], seen[N] = { 0 };
	ep = epoll_create1(0);
	for (int i = 0; i < N; i++) {
		t_pair(&a[i], &b[i]);
		t_epoll_add(ep, a[i], EPOLLIN);
		send(b[i], "x", 1, 0);
		t_until(a[i], POLLIN);
	}
	for (int round = 0; round < N / 2; round++) {
		int n = t_epoll_wait(ep, ev, 2, 100);
		for (int k = 0; k < n; k++)
			for (int i = 0; i < N; i++)
				seen[i] += ev[k].data.fd == a[i];
	}
	for (int i = 0; i < N; i++)
		t_out("socket %d seen %d", i, seen[i]);
	t_out("all: n %d", t_epoll_wait(ep, ev, 16, 0));
	for (int i = 0; i < N; i++) {
		close(a[i]);
		close(b[i]);
	}
	close(ep);
}

static void with_kernel_descriptors(void)
{
	int a, b, pfd[2];
	char c;
	t_pair(&a, &b);
	if (pipe(pfd) < 0)
		return;
	ep = epoll_create1(0);
	t_epoll_add(ep, pfd[0], EPOLLIN);
	t_epoll_add(ep, a, EPOLLIN);
	show("nothing", a);
	if (write(pfd[1], "x", 1) == 1)
		until("pipe", pfd[0], EPOLLIN);
	send(b, "y", 1, 0);
	until("socket", a, EPOLLIN);
	int both = 0;
	for (int i = 0; i < 40 && both != 3; i++) {
		int n = t_epoll_wait(ep, ev, 16, 100);
		for (int k = 0; k < n; k++)
			both |= ev[k].data.fd == a ? 1 : 2;
	}
	t_out("neither starves: %d", both);
	both = 0;
	for (int i = 0; i < 100 && both != 3; i++)
		if (t_epoll_wait(ep, ev, 1, 100) == 1)
			both |= ev[0].data.fd == a ? 1 : 2;
	t_out("one at a time: %d", both);
	recv(a, &c, 1, 0);
	until("pipe alone", pfd[0], EPOLLIN);
	if (read(pfd[0], &c, 1) == 1)
		show("nothing", a);
	close(pfd[1]);
	until("pipe hangs up", pfd[0], EPOLLHUP);
	close(pfd[0]);
	show("nothing", a);
	close(a);
	close(b);
	close(ep);
}

T_MAIN(T_CASE(fresh_socket), T_CASE(nonblocking_connect), T_CASE(level), T_CASE(edge),
       T_CASE(edge_on_interest_only), T_CASE(oneshot), T_CASE(out_edge), T_CASE(control_errors),
       T_CASE(dup_keeps_reporting), T_CASE(number_reused), T_CASE(several_sets),
       T_CASE(max_events_rotates), T_CASE(with_kernel_descriptors))
