/* Signals and the seven calls that wait: a table of calls times one of situations. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/select.h>
#include <sys/time.h>

static int a, b, ep;
static volatile sig_atomic_t handled;

static void handler(int sig)
{
	handled++;
}

/* ---- the calls: wait for a to be readable, ms < 0: for ever ---- */
static int by_poll(int ms, const sigset_t *mask)
{
	struct pollfd p = { .fd = a, .events = POLLIN };
	return poll(&p, 1, ms);
}

static struct timespec *after(int ms, struct timespec *ts)
{
	*ts = (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
	return ms < 0 ? NULL : ts;
}

static int by_ppoll(int ms, const sigset_t *mask)
{
	struct pollfd p = { .fd = a, .events = POLLIN };
	struct timespec ts;
	return ppoll(&p, 1, after(ms, &ts), mask);
}

static int by_ppoll_of_two(int ms, const sigset_t *mask)
{
	struct pollfd p[2] = { { .fd = a, .events = POLLIN }, { .fd = 0, .events = 0 } };
	struct timespec ts;
	return ppoll(p, 2, after(ms, &ts), mask);
}

static int by_select(int ms, const sigset_t *mask)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	fd_set r;
	FD_ZERO(&r);
	FD_SET(a, &r);
	return select(a + 1, &r, NULL, NULL, ms < 0 ? NULL : &tv);
}

static int by_pselect(int ms, const sigset_t *mask)
{
	struct timespec ts;
	fd_set r;
	FD_ZERO(&r);
	FD_SET(a, &r);
	return pselect(a + 1, &r, NULL, NULL, after(ms, &ts), mask);
}

static int by_epoll_wait(int ms, const sigset_t *mask)
{
	struct epoll_event ev;
	return epoll_wait(ep, &ev, 1, ms);
}

static int by_epoll_pwait(int ms, const sigset_t *mask)
{
	struct epoll_event ev;
	return epoll_pwait(ep, &ev, 1, ms, mask);
}

static int by_epoll_pwait2(int ms, const sigset_t *mask)
{
	struct epoll_event ev;
	struct timespec ts;
	return epoll_pwait2(ep, &ev, 1, after(ms, &ts), mask);
}

static const struct {
	const char *name;
	int (*wait)(int ms, const sigset_t *mask);
	bool masks;
} calls[] = {
	{ "poll", by_poll, false },
	{ "ppoll", by_ppoll, true },
	{ "ppoll of two", by_ppoll_of_two, true },
	{ "select", by_select, false },
	{ "pselect", by_pselect, true },
	{ "epoll_wait", by_epoll_wait, false },
	{ "epoll_pwait", by_epoll_pwait, true },
	{ "epoll_pwait2", by_epoll_pwait2, true },
};

/* ---- situations ---- */
static pthread_t main_thread;
static int main_tid;

static void install(int flags, void (*fn)(int))
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };
	sigaction(SIGUSR1, &sa, NULL);
	handled = 0;
}

static void block(bool on)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void *kick(void *arg)
{
	t_until_asleep(main_tid);
	pthread_kill(main_thread, SIGUSR1);
	return NULL;
}

static void *kick_then_send(void *arg)
{
	kick(NULL);
	t_until_asleep(main_tid);
	send(b, "x", 1, 0);
	return NULL;
}

static void run(size_t i, const char *what, int ms, const sigset_t *mask, void *(*thread)(void *))
{
	pthread_t t;
	char c;
	uint64_t t0 = t_now_ms();
	errno = 0;
	if (thread)
		pthread_create(&t, NULL, thread, NULL);
	int r = calls[i].wait(ms, mask);
	int err = r < 0 ? errno : 0;
	if (thread)
		pthread_join(t, NULL);
	t_out("%s, %s: %d %s, handled %d%s", calls[i].name, what, r, err ? t_errname(err) : "-", handled,
	      t_now_ms() - t0 > 1500 ? ", late" : "");
	while (recv(a, &c, 1, MSG_DONTWAIT) == 1)
		;
}

static void while_asleep(void)
{
	for (size_t i = 0; i < T_COUNT(calls); i++) {
		install(0, handler);
		run(i, "handler", 3000, NULL, kick);
		install(SA_RESTART, handler);
		run(i, "handler with SA_RESTART", 3000, NULL, kick);
		install(SA_RESTART, handler);
		run(i, "no limit of time", -1, NULL, kick);
		install(0, SIG_IGN);
		run(i, "ignored", 3000, NULL, kick_then_send);
	}
}

static void while_blocked(void)
{
	sigset_t none;
	sigemptyset(&none);
	install(SA_RESTART, handler);
	block(true);
	for (size_t i = 0; i < T_COUNT(calls); i++) {
		handled = 0;
		run(i, "blocked", 3000, NULL, kick_then_send);
		run(i, "pending, no time", 0, NULL, NULL);
		run(i, "pending, some time", 20, NULL, NULL);
		block(false);
		block(true);
	}
}

static void by_the_mask(void)
{
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	install(SA_RESTART, handler);
	for (size_t i = 0; i < T_COUNT(calls); i++) {
		if (!calls[i].masks)
			continue;
		block(true);
		handled = 0;
		run(i, "opened while asleep", 3000, &none, kick);
		raise(SIGUSR1);
		run(i, "opened, pending", 3000, &none, NULL);
		raise(SIGUSR1);
		run(i, "opened, pending, no time", 0, &none, NULL);
		block(false);
		block(true);
		handled = 0;
		send(b, "x", 1, 0);
		t_until(a, POLLIN);
		raise(SIGUSR1);
		run(i, "opened, pending, but ready", 3000, &none, NULL);
		block(false);
		handled = 0;
		run(i, "closed by the mask", 3000, &all, kick_then_send);
		t_out("%s: after the call handled %d", calls[i].name, handled);
		sigset_t now;
		pthread_sigmask(SIG_BLOCK, NULL, &now);
		t_out("%s: mask restored %d", calls[i].name, !sigismember(&now, SIGUSR1));
	}
}

static volatile sig_atomic_t ticks;

static void tick(int sig)
{
	ticks++;
}

/* Many signals while events keep coming: every call ends with EINTR or an event, none hangs. */
static void storm(void)
{
	struct sigaction sa = { .sa_handler = tick, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 500 }, { 0, 500 } }, off = { { 0, 0 }, { 0, 0 } };
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (size_t i = 0; i < T_COUNT(calls); i++) {
		int bad = 0, events = 0;
		char c;
		for (int k = 0; k < 200; k++) {
			if (k % 4 == 0)
				send(b, "x", 1, 0);
			int r = calls[i].wait(k % 3 ? 1000 : -1, NULL);
			events += r == 1;
			bad += r != 1 && !(r == -1 && errno == EINTR);
			while (recv(a, &c, 1, MSG_DONTWAIT) == 1)
				;
		}
		t_out("%s: bad %d, events seen %d", calls[i].name, bad, events > 10);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	t_out("ticked %d", ticks > 0);
}

static void set_up(void)
{
	int on = 1;
	t_pair(&a, &b);
	setsockopt(b, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* single bytes, often */
	ep = epoll_create1(0);
	t_epoll_add(ep, a, EPOLLIN);
	main_thread = pthread_self();
	main_tid = t_self();
}

static void all_while_asleep(void) { set_up(); while_asleep(); }
static void all_while_blocked(void) { set_up(); while_blocked(); }
static void all_by_the_mask(void) { set_up(); by_the_mask(); }
static void all_in_a_storm(void) { set_up(); storm(); }

T_MAIN(T_CASE(all_while_asleep), T_CASE(all_while_blocked), T_CASE(all_by_the_mask),
       T_CASE(all_in_a_storm))
