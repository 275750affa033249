/* epoll while sleeping: timeouts, signals, several threads, changes by another thread, nested sets. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static int ep;

static void *send_later(void *arg)
{
	t_sleep_ms(30);
	send(*(int *)arg, "x", 1, 0);
	return NULL;
}

static void timeouts(void)
{
	int a, b;
	struct epoll_event ev[4];
	static const int ms[] = { 0, 1, 40 };
	t_pair(&a, &b);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN);
	for (size_t i = 0; i < T_COUNT(ms); i++) {
		uint64_t t0 = t_now_ms();
		int n = epoll_wait(ep, ev, 4, ms[i]);
		uint64_t took = t_now_ms() - t0;
		t_out("epoll_wait %d = %d %s", ms[i], n,
		      took + 1 >= (uint64_t)ms[i] && took < (uint64_t)ms[i] + 300 ? "in time"
										   : "late");
	}
	struct timespec ts = { .tv_nsec = 30500000 };
	uint64_t t0 = t_now_ms();
	t_res("epoll_pwait2", epoll_pwait2(ep, ev, 4, &ts, NULL));
	uint64_t took = t_now_ms() - t0;
	t_out("%s", took >= 30 && took < 300 ? "in time" : "late");
	ts.tv_nsec = 1000000000;
	t_res("epoll_pwait2 bad time", epoll_pwait2(ep, ev, 4, &ts, NULL));
	pthread_t thread;
	pthread_create(&thread, NULL, send_later, &b);
	t_res("woken", epoll_wait(ep, ev, 4, -1));
	pthread_join(thread, NULL);
	close(a);
	close(b);
	close(ep);
}

static volatile sig_atomic_t handled;

static void handler(int sig)
{
	handled++;
}

static int main_tid;

static void *kick(void *arg)
{
	t_until_asleep(main_tid);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void signals(void)
{
	int a, b;
	struct epoll_event ev[4];
	pthread_t thread, self = pthread_self();
	sigset_t none, block;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };
	sigaction(SIGUSR1, &sa, NULL);
	t_pair(&a, &b);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN);
	main_tid = t_self();
	pthread_create(&thread, NULL, kick, &self);
	t_res("epoll_wait", epoll_wait(ep, ev, 4, 2000));
	t_out("handled %d", handled);
	pthread_join(thread, NULL);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	t_res("blocked", epoll_wait(ep, ev, 4, 20));
	t_res("epoll_pwait opens the mask", epoll_pwait(ep, ev, 4, 2000, &none));
	t_out("handled %d", handled);
	raise(SIGUSR1);
	send(b, "x", 1, 0);
	t_until(a, POLLIN);
	t_res("ready wins", epoll_pwait(ep, ev, 4, 2000, &none));
	t_out("handled %d", handled);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	t_out("handled %d", handled);
	close(a);
	close(b);
	close(ep);
}

static _Atomic int woken;

static void *wait_once(void *arg)
{
	struct epoll_event e;
	if (epoll_wait(ep, &e, 1, *(int *)arg) > 0)
		woken++;
	return NULL;
}

static int race(int threads, int ms, int fd)
{
	pthread_t t[16];
	woken = 0;
	for (int i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, wait_once, &ms);
	t_sleep_ms(50);
	send(fd, "x", 1, 0);
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	return woken;
}

static void several_threads(void)
{
	int a, b;
	char buf[16];
	t_pair(&a, &b);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN);
	t_out("level, never drained: %d of 4 woken", race(4, 300, b));
	recv(a, buf, 16, MSG_DONTWAIT);
	t_epoll_mod(ep, a, EPOLLIN | EPOLLET);
	t_out("edge: %d of 4 woken", race(4, 300, b));
	recv(a, buf, 16, MSG_DONTWAIT);
	t_epoll_mod(ep, a, EPOLLIN | EPOLLONESHOT);
	t_out("oneshot: %d of 4 woken", race(4, 300, b));
	close(a);
	close(b);
	close(ep);
}

struct change {
	int fd;
	uint32_t events;
	int op;
};

static void *change_later(void *arg)
{
	struct change *c = arg;
	struct epoll_event e = { .events = c->events, .data.fd = c->fd };
	t_sleep_ms(30);
	epoll_ctl(ep, c->op, c->fd, &e);
	return NULL;
}

static void changes_wake(void)
{
	int a, b;
	struct epoll_event ev[4];
	pthread_t thread;
	t_pair(&a, &b);
	ep = epoll_create1(0);
	struct change add = { a, EPOLLOUT, EPOLL_CTL_ADD };
	pthread_create(&thread, NULL, change_later, &add);
	t_res("add of a ready one while waiting on an empty set", epoll_wait(ep, ev, 4, 2000));
	pthread_join(thread, NULL);
	t_epoll_mod(ep, a, EPOLLIN);
	struct change mod = { a, EPOLLOUT, EPOLL_CTL_MOD };
	pthread_create(&thread, NULL, change_later, &mod);
	t_res("mod makes it ready", epoll_wait(ep, ev, 4, 2000));
	pthread_join(thread, NULL);
	t_epoll_mod(ep, a, EPOLLIN);
	struct change second = { b, EPOLLIN, EPOLL_CTL_ADD };
	pthread_create(&thread, NULL, change_later, &second);
	t_res("add of one that is not ready", epoll_wait(ep, ev, 4, 80));
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, send_later, &a);
	t_res("and then it is", epoll_wait(ep, ev, 4, 2000));
	t_out("right one %d", ev[0].data.fd == b);
	pthread_join(thread, NULL);
	close(a);
	close(b);
	close(ep);
}

static void *close_later(void *arg)
{
	t_sleep_ms(30);
	close(*(int *)arg);
	return NULL;
}

static void closed_while_waiting(void)
{
	int a, b;
	struct epoll_event ev[4];
	pthread_t thread;
	t_pair(&a, &b);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN);
	pthread_create(&thread, NULL, close_later, &a);
	t_res("no event for a close", epoll_wait(ep, ev, 4, 80));
	pthread_join(thread, NULL);
	t_out("peer %s", t_mask((uint32_t)t_until(b, POLLIN)));
	close(b);
	close(ep);
}

static void nested(void)
{
	int a, b, pfd[2];
	struct epoll_event ev[4];
	pthread_t thread;
	char c;
	t_pair(&a, &b);
	ep = epoll_create1(0);
	int outer = epoll_create1(0);
	t_res("inner into outer, empty", t_epoll_add(outer, ep, EPOLLIN));
	t_res("loop", t_epoll_add(ep, outer, EPOLLIN));
	t_epoll_add(ep, a, EPOLLIN);
	t_out("poll inner %s", t_mask((uint32_t)t_poll(ep, POLLIN | POLLOUT)));
	t_res("outer", epoll_wait(outer, ev, 4, 0));
	pthread_create(&thread, NULL, send_later, &b);
	t_res("outer woken", epoll_wait(outer, ev, 4, 2000));
	t_out("%s data %d", t_mask(ev[0].events), ev[0].data.fd == ep);
	pthread_join(thread, NULL);
	t_res("outer again", epoll_wait(outer, ev, 4, 0));
	t_out("poll inner %s", t_mask((uint32_t)t_poll(ep, POLLIN | POLLOUT)));
	t_res("inner", epoll_wait(ep, ev, 4, 0));
	recv(a, &c, 1, 0);
	t_out("drained: poll inner %s", t_mask((uint32_t)t_poll(ep, POLLIN | POLLOUT)));
	t_res("outer", epoll_wait(outer, ev, 4, 20));
	struct pollfd p = { .fd = ep, .events = POLLIN };
	pthread_create(&thread, NULL, send_later, &b);
	t_res("poll of the inner set woken", poll(&p, 1, 2000));
	pthread_join(thread, NULL);
	recv(a, &c, 1, 0);
	t_res("poll, nothing", poll(&p, 1, 20));
	p.fd = outer;
	pthread_create(&thread, NULL, send_later, &b);
	t_res("poll of the outer set woken", poll(&p, 1, 2000));
	pthread_join(thread, NULL);
	recv(a, &c, 1, 0);
	t_res("outer, nothing", epoll_wait(outer, ev, 4, 20));
	t_epoll_mod(outer, ep, EPOLLIN | EPOLLET);
	pthread_create(&thread, NULL, send_later, &b);
	t_res("edge outer woken", epoll_wait(outer, ev, 4, 2000));
	pthread_join(thread, NULL);
	t_res("edge outer again", epoll_wait(outer, ev, 4, 20));
	recv(a, &c, 1, 0);
	if (pipe(pfd) == 0) {
		t_epoll_add(ep, pfd[0], EPOLLIN);
		if (write(pfd[1], "x", 1) == 1)
			t_res("kernel's event inside", epoll_wait(outer, ev, 4, 1000));
		close(pfd[0]);
		close(pfd[1]);
	}
	fd_set r;
	FD_ZERO(&r);
	FD_SET(ep, &r);
	struct timeval tv = { .tv_sec = 2 };
	pthread_create(&thread, NULL, send_later, &b);
	t_res("select of the inner set", select(ep + 1, &r, NULL, NULL, &tv));
	pthread_join(thread, NULL);
	close(ep);
	t_res("inner closed", epoll_wait(outer, ev, 4, 20));
	close(outer);
	close(a);
	close(b);
}

static void *echo(void *arg)
{
	int fd = *(int *)arg, set = epoll_create1(0);
	struct epoll_event ev;
	char buf[64];
	t_epoll_add(set, fd, EPOLLIN | EPOLLET);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		if (epoll_wait(set, &ev, 1, 2000) <= 0)
			break;
		ssize_t n;
		while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
			send(fd, buf, (size_t)n, 0);
		if (n == 0)
			break;
	}
	close(set);
	return NULL;
}

static void ping_pong(void)
{
	int a, b, good = 0;
	struct epoll_event ev;
	pthread_t thread;
	char buf[64];
	t_pair(&a, &b);
	pthread_create(&thread, NULL, echo, &b);
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN);
	for (int i = 0; i < 2000; i++) {
		send(a, "ping", 4, 0);
		if (epoll_wait(ep, &ev, 1, 2000) != 1)
			break;
		good += recv(a, buf, sizeof(buf), MSG_DONTWAIT) == 4;
	}
	t_out("rounds %d", good);
	close(a);
	pthread_join(thread, NULL);
	close(b);
	close(ep);
}

T_MAIN(T_CASE(timeouts), T_CASE(signals), T_CASE(several_threads), T_CASE(changes_wake),
       T_CASE(closed_while_waiting), T_CASE(nested), T_CASE(ping_pong))
