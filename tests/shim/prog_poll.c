/* poll, ppoll, select, pselect: masks, timeouts, mixtures with pipes, bad descriptors, signals. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/resource.h>
#include <sys/select.h>

enum { ALL = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLRDBAND };

static void masks(void)
{
	int a, b;
	t_pair(&a, &b);
	t_out("open %s", t_mask((uint32_t)t_poll(a, ALL)));
	t_out("asked for nothing %s", t_mask((uint32_t)t_poll(a, 0)));
	send(b, "x", 1, 0);
	t_until(a, POLLIN);
	t_out("data %s", t_mask((uint32_t)t_poll(a, ALL)));
	t_out("only OUT asked %s", t_mask((uint32_t)t_poll(a, POLLOUT)));
	shutdown(b, SHUT_WR);
	t_until(a, POLLRDHUP);
	t_out("peer closed %s", t_mask((uint32_t)t_poll(a, ALL)));
	t_out("only IN asked %s", t_mask((uint32_t)t_poll(a, POLLIN)));
	t_out("asked for nothing %s", t_mask((uint32_t)t_poll(a, 0)));
	shutdown(a, SHUT_WR);
	t_until(a, POLLHUP);
	t_out("both closed %s", t_mask((uint32_t)t_poll(a, ALL)));
	t_out("asked for nothing %s", t_mask((uint32_t)t_poll(a, 0)));
	close(a);
	close(b);
	t_pair(&a, &b);
	t_reset(b);
	t_until(a, POLLHUP);
	t_out("reset %s", t_mask((uint32_t)t_poll(a, ALL)));
	t_out("asked for nothing %s", t_mask((uint32_t)t_poll(a, 0)));
	close(a);
}

static void timeouts(void)
{
	int a, b;
	t_pair(&a, &b);
	struct pollfd p[2] = { { .fd = a, .events = POLLIN }, { .fd = b, .events = POLLIN } };
	static const int ms[] = { 0, 1, 40 };
	for (size_t i = 0; i < T_COUNT(ms); i++) {
		uint64_t t0 = t_now_ms();
		int r = poll(p, 2, ms[i]);
		uint64_t took = t_now_ms() - t0;
		t_out("poll %d = %d %s", ms[i], r,
		      took + 1 >= (uint64_t)ms[i] && took < (uint64_t)ms[i] + 300 ? "in time"
										   : "late");
	}
	struct timespec ts = { .tv_nsec = 40000000 };
	uint64_t t0 = t_now_ms();
	t_res("ppoll", ppoll(p, 2, &ts, NULL));
	t_out("in time %d, timeout untouched %d", t_now_ms() - t0 < 300, ts.tv_nsec == 40000000);
	ts.tv_nsec = 2000000000;
	t_res("ppoll bad time", ppoll(p, 2, &ts, NULL));
	struct timeval tv = { .tv_usec = 40000 };
	fd_set r;
	FD_ZERO(&r);
	FD_SET(a, &r);
	t_res("select", select(a + 1, &r, NULL, NULL, &tv));
	t_out("time left %ld.%06ld set %d", (long)tv.tv_sec, (long)tv.tv_usec, !!FD_ISSET(a, &r));
	tv.tv_usec = -1;
	t_res("select bad time", select(a + 1, &r, NULL, NULL, &tv));
	t_res("select bad n", select(-1, NULL, NULL, NULL, NULL));
	FD_ZERO(&r);
	FD_SET(b, &r);
	tv = (struct timeval){ .tv_sec = 5 };
	send(a, "x", 1, 0);
	t_res("select data", select(b + 1, &r, NULL, NULL, &tv));
	t_out("time left %s", tv.tv_sec == 4 && tv.tv_usec > 500000 ? "about 5 s" : "wrong");
	close(a);
	close(b);
}

static void *send_later(void *arg)
{
	t_sleep_ms(30);
	send(*(int *)arg, "x", 1, 0);
	return NULL;
}

static void *write_later(void *arg)
{
	t_sleep_ms(30);
	if (write(*(int *)arg, "x", 1) != 1)
		t_out("pipe write failed");
	return NULL;
}

static void mixed_with_a_pipe(void)
{
	int a, b, pfd[2];
	char c;
	pthread_t thread;
	t_pair(&a, &b);
	if (pipe(pfd) < 0)
		return;
	struct pollfd p[4] = { { .fd = a, .events = POLLIN },
			       { .fd = pfd[0], .events = POLLIN },
			       { .fd = -1, .events = POLLIN },
			       { .fd = b, .events = POLLIN } };
	pthread_create(&thread, NULL, send_later, &b);
	t_res("poll woken by the socket", poll(p, 4, 2000));
	t_out("%s %s %s %s", t_mask((uint32_t)p[0].revents), t_mask((uint32_t)p[1].revents),
	      t_mask((uint32_t)p[2].revents), t_mask((uint32_t)p[3].revents));
	pthread_join(thread, NULL);
	t_res("recv", recv(a, &c, 1, 0));
	pthread_create(&thread, NULL, write_later, &pfd[1]);
	t_res("poll woken by the pipe", poll(p, 4, 2000));
	t_out("%s %s", t_mask((uint32_t)p[0].revents), t_mask((uint32_t)p[1].revents));
	pthread_join(thread, NULL);
	send(b, "y", 1, 0);
	t_until(a, POLLIN);
	p[3].events = POLLOUT;
	t_res("three at once", poll(p, 4, 2000));
	t_out("%s %s %s", t_mask((uint32_t)p[0].revents), t_mask((uint32_t)p[1].revents),
	      t_mask((uint32_t)p[3].revents));
	close(pfd[1]);
	t_res("read", read(pfd[0], &c, 1));
	t_res("read", read(a, &c, 1));
	p[3].events = 0;
	t_res("pipe hangs up", poll(p, 4, 2000));
	t_out("%s %s", t_mask((uint32_t)p[0].revents), t_mask((uint32_t)p[1].revents));
	close(a);
	close(b);
	close(pfd[0]);
}

static void select_mixed(void)
{
	int a, b, pfd[2];
	char c;
	pthread_t thread;
	t_pair(&a, &b);
	if (pipe(pfd) < 0)
		return;
	fd_set r, w, x;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(a, &r);
	FD_SET(pfd[0], &r);
	int max = (a > pfd[0] ? a : pfd[0]) + 1;
	pthread_create(&thread, NULL, send_later, &b);
	t_res("select woken by the socket", select(max, &r, NULL, &x, NULL));
	t_out("socket %d pipe %d", !!FD_ISSET(a, &r), !!FD_ISSET(pfd[0], &r));
	pthread_join(thread, NULL);
	t_res("recv", recv(a, &c, 1, 0));
	FD_SET(a, &r);
	FD_SET(pfd[0], &r);
	pthread_create(&thread, NULL, write_later, &pfd[1]);
	t_res("select woken by the pipe", select(max, &r, NULL, NULL, NULL));
	t_out("socket %d pipe %d", !!FD_ISSET(a, &r), !!FD_ISSET(pfd[0], &r));
	pthread_join(thread, NULL);
	FD_ZERO(&r);
	FD_SET(a, &r);
	FD_SET(a, &w);
	FD_SET(a, &x);
	send(b, "z", 1, 0);
	t_until(a, POLLIN);
	t_res("read and write counted twice", select(a + 1, &r, &w, &x, NULL));
	t_out("r %d w %d x %d", !!FD_ISSET(a, &r), !!FD_ISSET(a, &w), !!FD_ISSET(a, &x));
	t_reset(b);
	t_until(a, POLLHUP);
	FD_SET(a, &x);
	t_res("after reset", select(a + 1, &r, &w, &x, NULL));
	t_out("r %d w %d x %d", !!FD_ISSET(a, &r), !!FD_ISSET(a, &w), !!FD_ISSET(a, &x));
	close(a);
	FD_ZERO(&r);
	FD_SET(a, &r);
	t_res("closed descriptor", select(a + 1, &r, NULL, NULL, NULL));
	close(pfd[0]);
	close(pfd[1]);
}

static void bad_descriptors(void)
{
	int a, b;
	t_pair(&a, &b);
	struct pollfd p[3] = { { .fd = 987, .events = POLLIN },
			       { .fd = a, .events = POLLIN },
			       { .fd = -5, .events = POLLIN, .revents = 7 } };
	t_res("poll", poll(p, 3, 1000));
	t_out("%s %s %s", t_mask((uint32_t)p[0].revents), t_mask((uint32_t)p[1].revents),
	      t_mask((uint32_t)p[2].revents));
	close(a);
	p[0].fd = -1;
	t_res("closed one", poll(p, 3, 1000));
	t_out("%s", t_mask((uint32_t)p[1].revents));
	t_res("fault", poll((struct pollfd *)8, 1, 0));
	struct rlimit lim;
	getrlimit(RLIMIT_NOFILE, &lim);
	t_res("too many", poll(p, lim.rlim_cur + 1, 0));
	t_res("none", poll(NULL, 0, 0));
	close(b);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
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
	pthread_t thread, self = pthread_self();
	t_pair(&a, &b);
	struct pollfd p = { .fd = a, .events = POLLIN };
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	sigaction(SIGUSR1, &sa, NULL);
	main_tid = t_self();
	pthread_create(&thread, NULL, kick, &self);
	t_res("poll", poll(&p, 1, 2000));
	t_out("handler ran %d", alarms);
	pthread_join(thread, NULL);
	sigset_t block, none, pending;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	t_res("poll with it blocked", poll(&p, 1, 20));
	sigpending(&pending);
	t_out("pending %d", sigismember(&pending, SIGUSR1));
	struct timespec ts = { .tv_sec = 2 };
	t_res("ppoll opens the mask", ppoll(&p, 1, &ts, &none));
	t_out("handler ran %d", alarms);
	raise(SIGUSR1);
	fd_set r;
	FD_ZERO(&r);
	FD_SET(a, &r);
	t_res("pselect opens the mask", pselect(a + 1, &r, NULL, NULL, &ts, &none));
	t_out("handler ran %d", alarms);
	raise(SIGUSR1);
	send(b, "x", 1, 0);
	t_until(a, POLLIN);
	t_res("ready wins over a pending signal", ppoll(&p, 1, &ts, &none));
	t_out("handler ran %d", alarms);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	t_out("handler ran %d", alarms);
	close(a);
	close(b);
}

static void high_descriptor(void)
{
	struct rlimit lim = { 4096, 4096 }, old;
	getrlimit(RLIMIT_NOFILE, &old);
	if (old.rlim_cur < 4096) {
		lim.rlim_max = old.rlim_max > 4096 ? old.rlim_max : 4096;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	int a, b;
	t_pair(&a, &b);
	int high = fcntl(a, F_DUPFD, 2000);
	t_out("number %d", high);
	send(b, "x", 1, 0);
	t_out("poll %s", t_mask((uint32_t)t_until(high, POLLIN)));
	unsigned long bits[64] = { 0 };
	bits[high / 64] |= 1ul << (high % 64);
	struct timeval tv = { .tv_sec = 1 };
	t_res("select beyond FD_SETSIZE", select(high + 1, (fd_set *)bits, NULL, NULL, &tv));
	t_out("bit %d", (int)(bits[high / 64] >> (high % 64)) & 1);
	close(high);
	close(a);
	close(b);
}

static void many_sockets(void)
{
	enum { N = 60 };
	int a[N], b[N];
	struct pollfd p[N];
	for (int i = 0; i < N; i++) {
		t_pair(&a[i], &b[i]);
		p[i] = (struct pollfd){ .fd = a[i], .events = POLLIN };
	}
	t_res("none ready", poll(p, N, 5));
	for (int i = 0; i < N; i += 7) {
		send(b[i], "x", 1, 0);
		t_until(a[i], POLLIN);
	}
	t_res("every seventh", poll(p, N, 1000));
	pthread_t thread;
	char c;
	for (int i = 0; i < N; i += 7)
		recv(a[i], &c, 1, 0);
	pthread_create(&thread, NULL, send_later, &b[N - 1]);
	t_res("the last one", poll(p, N, 2000));
	t_out("%s", t_mask((uint32_t)p[N - 1].revents));
	pthread_join(thread, NULL);
	for (int i = 0; i < N; i++) {
		close(a[i]);
		close(b[i]);
	}
}

static void listener_and_connecting(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd p[2] = { { .fd = l, .events = POLLIN | POLLOUT },
			       { .fd = c, .events = POLLIN | POLLOUT } };
	t_res("before", poll(p, 2, 0));
	t_out("%s %s", t_mask((uint32_t)p[0].revents), t_mask((uint32_t)p[1].revents));
	connect(c, (struct sockaddr *)&addr, sizeof(addr));
	t_out("listener %s", t_mask((uint32_t)t_until(l, POLLIN)));
	t_out("connected %s", t_mask((uint32_t)t_until(c, POLLOUT)));
	int s = accept(l, NULL, NULL);
	t_out("listener %s", t_mask((uint32_t)t_poll(l, POLLIN | POLLOUT)));
	close(s);
	close(c);
	close(l);
}

T_MAIN(T_CASE(masks), T_CASE(timeouts), T_CASE(mixed_with_a_pipe), T_CASE(select_mixed),
       T_CASE(bad_descriptors), T_CASE(signals), T_CASE(high_descriptor), T_CASE(many_sockets),
       T_CASE(listener_and_connecting))
