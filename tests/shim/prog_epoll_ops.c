/* epoll_ctl and epoll_wait in the corners: arguments, nesting and its limits, several sets, reused numbers,
 * changes while another thread waits, signals in the middle of epoll_ctl, fork. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/mman.h>
#include <sys/time.h>

static struct epoll_event ev[16];

/* ---- arguments, one row each ---- */
static int ep, a, b, closed_fd, pipe_fd[2], file_fd, event_set;
static char *edge_of_memory; /* two events fit before the end of a page, nothing behind it */

static int ctl(int epfd, int op, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };
	return epoll_ctl(epfd, op, fd, &e);
}

static void prepare(void)
{
	char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(m + 4096, 4096, PROT_NONE);
	edge_of_memory = m + 4096 - 2 * sizeof(struct epoll_event);
	t_pair(&a, &b);
	ep = epoll_create1(0);
	event_set = epoll_create1(0);
	closed_fd = dup(a);
	close(closed_fd);
	if (pipe(pipe_fd) < 0)
		t_out("no pipe");
	file_fd = open("/dev/null", O_RDONLY);
}

static void ctl_arguments(void)
{
	prepare();
	enum { ADD = EPOLL_CTL_ADD, MOD = EPOLL_CTL_MOD, DEL = EPOLL_CTL_DEL };
	const struct {
		const char *what;
		int ep, op, fd;
		uint32_t events;
	} rows[] = {
		{ "add", ep, ADD, a, EPOLLIN }, { "add again", ep, ADD, a, EPOLLOUT },
		{ "mod", ep, MOD, a, EPOLLOUT }, { "mod to nothing", ep, MOD, a, 0 },
		{ "mod exclusive", ep, MOD, a, EPOLLIN | EPOLLEXCLUSIVE }, { "del", ep, DEL, a, 0 },
		{ "del again", ep, DEL, a, 0 }, { "mod of none", ep, MOD, a, EPOLLIN },
		{ "add nothing", ep, ADD, a, 0 }, { "del", ep, DEL, a, 0 },
		{ "add all bits", ep, ADD, a, 0xffffffffu & ~(uint32_t)EPOLLEXCLUSIVE },
		{ "del", ep, DEL, a, 0 },
		{ "add unknown bits", ep, ADD, a, 1u << 20 | EPOLLIN }, { "del", ep, DEL, a, 0 },
		{ "exclusive", ep, ADD, a, EPOLLIN | EPOLLEXCLUSIVE },
		{ "mod of exclusive", ep, MOD, a, EPOLLIN }, { "del exclusive", ep, DEL, a, 0 },
		{ "exclusive edge", ep, ADD, a, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLEXCLUSIVE },
		{ "del", ep, DEL, a, 0 },
		{ "exclusive wakeup", ep, ADD, a, EPOLLIN | EPOLLWAKEUP | EPOLLEXCLUSIVE },
		{ "del", ep, DEL, a, 0 },
		{ "exclusive oneshot", ep, ADD, a, EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE },
		{ "exclusive pri", ep, ADD, a, EPOLLPRI | EPOLLEXCLUSIVE },
		{ "exclusive rdhup", ep, ADD, a, EPOLLRDHUP | EPOLLEXCLUSIVE },
		{ "exclusive rdnorm", ep, ADD, a, EPOLLRDNORM | EPOLLEXCLUSIVE },
		{ "exclusive set", ep, ADD, event_set, EPOLLIN | EPOLLEXCLUSIVE },
		{ "wakeup", ep, ADD, a, EPOLLIN | EPOLLWAKEUP }, { "del", ep, DEL, a, 0 },
		{ "op 0", ep, 0, a, EPOLLIN }, { "op 4", ep, 4, a, EPOLLIN }, { "op -1", ep, -1, a, EPOLLIN },
		{ "op 4, absent fd", ep, 4, closed_fd, EPOLLIN },
		{ "fd -1", ep, ADD, -1, EPOLLIN }, { "fd closed", ep, ADD, closed_fd, EPOLLIN },
		{ "fd huge", ep, ADD, 0x7fffffff, EPOLLIN }, { "del closed", ep, DEL, closed_fd, 0 },
		{ "ep -1", -1, ADD, a, EPOLLIN }, { "ep closed", closed_fd, ADD, a, EPOLLIN },
		{ "ep a socket", b, ADD, a, EPOLLIN }, { "ep is fd", a, ADD, a, EPOLLIN },
		{ "ep a pipe", pipe_fd[0], ADD, a, EPOLLIN }, { "ep a file", file_fd, ADD, a, EPOLLIN },
		{ "file", ep, ADD, file_fd, EPOLLIN }, { "itself", ep, ADD, ep, EPOLLIN },
		{ "pipe", ep, ADD, pipe_fd[0], EPOLLIN }, { "pipe again", ep, ADD, pipe_fd[0], EPOLLIN },
		{ "del pipe", ep, DEL, pipe_fd[0], 0 }, { "set", ep, ADD, event_set, EPOLLIN },
		{ "set again", ep, ADD, event_set, EPOLLIN }, { "circle", event_set, ADD, ep, EPOLLIN },
		{ "mod set", ep, MOD, event_set, EPOLLIN | EPOLLET }, { "del set", ep, DEL, event_set, 0 },
	};
	for (size_t i = 0; i < T_COUNT(rows); i++)
		t_res(rows[i].what, ctl(rows[i].ep, rows[i].op, rows[i].fd, rows[i].events));
	t_res("no event, add", epoll_ctl(ep, ADD, a, NULL));
	t_res("bad event, add", epoll_ctl(ep, ADD, a, (void *)(edge_of_memory + 2 * sizeof(*ev))));
	t_res("event cut off", epoll_ctl(ep, ADD, a, (void *)(edge_of_memory + 2 * sizeof(*ev) - 4)));
	t_res("bad event, mod", epoll_ctl(ep, MOD, a, (void *)-8l));
	t_res("bad event, del of none", epoll_ctl(ep, DEL, a, (void *)8));
	t_res("bad event, closed fd", epoll_ctl(ep, ADD, closed_fd, (void *)8));
	t_res("bad event, bad op", epoll_ctl(ep, 9, a, (void *)8));
}

static void wait_arguments(void)
{
	prepare();
	ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN);
	static const int sizes[] = { 0, -1, -0x7fffffff - 1, 0x7fffffff / 12 + 1, 0x7fffffff };
	for (size_t i = 0; i < T_COUNT(sizes); i++)
		t_res("size", epoll_wait(ep, ev, sizes[i], 0));
	t_res("set closed", epoll_wait(closed_fd, ev, 1, 0));
	t_res("set -1", epoll_wait(-1, ev, 1, 0));
	t_res("a socket", epoll_wait(a, ev, 1, 0));
	t_res("a pipe", epoll_wait(pipe_fd[0], ev, 1, 0));
	struct timespec bad[] = { { 0, -1 }, { 0, 1000000000 }, { -1, 0 } };
	for (size_t i = 0; i < T_COUNT(bad); i++)
		t_res("pwait2 time", epoll_pwait2(ep, ev, 1, &bad[i], NULL));
	t_res("pwait2 bad pointer", epoll_pwait2(ep, ev, 1, (void *)8, NULL));
	t_res("pwait bad mask", epoll_pwait(ep, ev, 1, 0, (void *)8));
	t_res("nothing ready, bad pointer", epoll_wait(ep, (void *)8, 1, 0));
	t_res("nothing ready, kernel pointer", epoll_wait(ep, (void *)-4096l, 1, 0));
	t_res("nothing ready for a while, bad pointer", epoll_wait(ep, (void *)8, 1, 5));
	send(b, "x", 1, 0);
	t_until(a, POLLIN);
	t_res("ready, bad pointer", epoll_wait(ep, (void *)8, 1, 0));
	t_res("ready, bad pointer, time", epoll_wait(ep, (void *)8, 1, 1000));
	t_res("ready still", epoll_wait(ep, ev, 4, 0));
	int c[3], d[3];
	for (int i = 0; i < 3; i++) {
		t_pair(&c[i], &d[i]);
		ctl(ep, EPOLL_CTL_ADD, c[i], EPOLLOUT);
	}
	t_res("room for two in memory", epoll_wait(ep, (struct epoll_event *)edge_of_memory, 4, 0));
	t_res("all four", epoll_wait(ep, ev, 4, 0));
	t_res("at most three", epoll_wait(ep, ev, 3, 0));
	t_res("huge but good size", epoll_wait(ep, ev, 16, 0));
}

/* ---- nesting ---- */
static void nesting(void)
{
	enum { DEEP = 8 };
	int set[DEEP], n = 0;
	t_pair(&a, &b);
	for (int i = 0; i < DEEP; i++)
		set[i] = epoll_create1(0);
	ctl(set[0], EPOLL_CTL_ADD, a, EPOLLIN);
	for (int i = 1; i < DEEP; i++) {
		if (t_res("nest", ctl(set[i], EPOLL_CTL_ADD, set[i - 1], EPOLLIN)) < 0)
			break;
		n = i;
	}
	t_out("quiet %s, %d", t_mask((uint32_t)t_poll(set[n], POLLIN)), epoll_wait(set[n], ev, 1, 0));
	send(b, "x", 1, 0);
	t_out("outermost %d", epoll_wait(set[n], ev, 1, 1000));
	t_out("poll %s", t_mask((uint32_t)t_until(set[n], POLLIN)));
	for (int i = n; i >= 0; i--)
		t_out("level %d: %d", i, epoll_wait(set[i], ev, 1, 0));
	char c;
	recv(a, &c, 1, 0);
	t_out("drained, outermost %d", epoll_wait(set[n], ev, 1, 0));
	t_res("cut out", ctl(set[1], EPOLL_CTL_DEL, set[0], 0));
	send(b, "x", 1, 0);
	t_until(a, POLLIN);
	t_out("cut out, outermost %d", epoll_wait(set[n], ev, 1, 5));
	t_res("put back", ctl(set[1], EPOLL_CTL_ADD, set[0], EPOLLIN | EPOLLET));
	t_out("back, outermost %d", epoll_wait(set[n], ev, 1, 1000));
	close(set[0]);
	t_out("inner closed %d", epoll_wait(set[n], ev, 1, 5));
	for (int i = 1; i < DEEP; i++)
		close(set[i]);
	close(a);
	close(b);
}

static void circles(void)
{
	int set[3];
	t_pair(&a, &b);
	for (int i = 0; i < 3; i++) {
		set[i] = epoll_create1(0);
		ctl(set[i], EPOLL_CTL_ADD, a, EPOLLIN);
	}
	t_res("0 in 1", ctl(set[1], EPOLL_CTL_ADD, set[0], EPOLLIN));
	t_res("1 in 2", ctl(set[2], EPOLL_CTL_ADD, set[1], EPOLLIN));
	t_res("2 in 0", ctl(set[0], EPOLL_CTL_ADD, set[2], EPOLLIN));
	t_res("1 in 0", ctl(set[0], EPOLL_CTL_ADD, set[1], EPOLLIN));
	t_res("0 in 2, too", ctl(set[2], EPOLL_CTL_ADD, set[0], EPOLLIN));
	send(b, "x", 1, 0);
	t_until(a, POLLIN);
	t_out("of three %d", epoll_wait(set[2], ev, 16, 100));
	for (int i = 0; i < 3; i++)
		close(set[i]);
	close(a);
	close(b);
}

/* ---- numbers ---- */
static void numbers_come_back(void)
{
	int c, d;
	ep = epoll_create1(0);
	for (int i = 0; i < 30; i++) {
		t_pair(&a, &b);
		ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN | EPOLLOUT | (i % 2 ? EPOLLET : 0));
		close(a);
		close(b);
	}
	t_out("all closed %d", epoll_wait(ep, ev, 16, 5));
	t_pair(&a, &b);
	t_pair(&c, &d);
	ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN);
	int keep = dup(a), number = a;
	dup2(c, number);
	t_res("same number, another socket", ctl(ep, EPOLL_CTL_ADD, number, EPOLLIN));
	send(b, "x", 1, 0);
	send(d, "x", 1, 0);
	t_until(keep, POLLIN);
	t_until(number, POLLIN);
	t_out("both report %d", epoll_wait(ep, ev, 16, 100));
	t_res("del finds the new one", ctl(ep, EPOLL_CTL_DEL, number, 0));
	t_res("del finds no other", ctl(ep, EPOLL_CTL_DEL, number, 0));
	t_out("the old one still reports %d", epoll_wait(ep, ev, 16, 100));
	close(keep);
	t_out("its last number closed %d", epoll_wait(ep, ev, 16, 5));
	close(number);
	close(b);
	close(c);
	close(d);
	close(ep);
}

/* ---- another thread ---- */
static _Atomic int stop;

static void *toggle(void *arg)
{
	for (unsigned i = 0; !stop; i++) {
		ctl(ep, EPOLL_CTL_MOD, a, i % 2 ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLET);
		if (i % 5 == 0) {
			ctl(ep, EPOLL_CTL_DEL, a, 0);
			ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN);
		}
	}
	ctl(ep, EPOLL_CTL_MOD, a, EPOLLIN);
	return NULL;
}

static void changed_while_waiting(void)
{
	pthread_t t;
	char c;
	int on = 1, seen = 0;
	t_pair(&a, &b);
	setsockopt(b, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	ep = epoll_create1(0);
	ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN);
	stop = 0;
	pthread_create(&t, NULL, toggle, NULL);
	for (int i = 0; i < 300; i++) {
		uint64_t end = t_now_ms() + 2000;
		send(b, "x", 1, 0);
		while (t_now_ms() < end)
			if (epoll_wait(ep, ev, 1, 2000) == 1 && ev[0].events & EPOLLIN)
				break;
		seen += recv(a, &c, 1, MSG_DONTWAIT) == 1;
	}
	stop = 1;
	pthread_join(t, NULL);
	t_out("seen %d", seen);
	close(a);
	close(b);
	close(ep);
}

static void *wait_long(void *arg)
{
	return (void *)(intptr_t)epoll_wait(ep, ev, 1, 3000);
}

/* The first socket of the set is added while a thread sleeps in it; then taken out and put in again. */
static void first_one_while_asleep(void)
{
	pthread_t t;
	void *r;
	for (int i = 0; i < 4; i++) {
		uint64_t t0 = t_now_ms();
		t_pair(&a, &b);
		ep = epoll_create1(0);
		if (i & 1)
			ctl(ep, EPOLL_CTL_ADD, pipe_fd[0], EPOLLIN);
		pthread_create(&t, NULL, wait_long, NULL);
		t_sleep_ms(20);
		ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN);
		t_sleep_ms(5);
		if (i & 2) {
			ctl(ep, EPOLL_CTL_DEL, a, 0);
			ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN | EPOLLET);
		}
		send(b, "x", 1, 0);
		pthread_join(t, &r);
		t_out("woken %d, %s", (int)(intptr_t)r, t_now_ms() - t0 < 2000 ? "in time" : "late");
		close(a);
		close(b);
		close(ep);
	}
}

static void time_goes_on_while_one_is_added(void)
{
	pthread_t t;
	void *r;
	uint64_t t0 = t_now_ms();
	t_pair(&a, &b);
	ep = epoll_create1(0);
	pthread_create(&t, NULL, wait_long, NULL);
	t_sleep_ms(1500);
	ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN);
	pthread_join(t, &r);
	uint64_t took = t_now_ms() - t0;
	/* Begun anew it would be 4.5 s; a busy machine takes its own time. */
	t_out("%d after %s", (int)(intptr_t)r, took > 2900 && took < 4400 ? "3 s" : "another time");
	close(a);
	close(b);
	close(ep);
}

/* ---- in a signal handler ---- */
static volatile sig_atomic_t ran, failed;
static int other, other_set;

static void use_epoll(int sig)
{
	int saved = errno;
	ran++;
	failed += ctl(ep, EPOLL_CTL_ADD, other, EPOLLIN) < 0;
	failed += ctl(ep, EPOLL_CTL_MOD, other, EPOLLIN | EPOLLOUT) < 0;
	failed += ctl(ep, EPOLL_CTL_DEL, other, 0) < 0;
	failed += ctl(other_set, EPOLL_CTL_MOD, other, EPOLLOUT) < 0;
	struct epoll_event e;
	failed += epoll_wait(other_set, &e, 1, 0) != 1;
	errno = saved;
}

static void from_a_handler(void)
{
	struct sigaction sa = { .sa_handler = use_epoll, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 150 }, { 0, 150 } }, off = { { 0, 0 }, { 0, 0 } };
	int bad = 0, c, d;
	t_pair(&a, &b);
	t_pair(&c, &d);
	other = d;
	ep = epoll_create1(0);
	other_set = epoll_create1(0);
	ctl(other_set, EPOLL_CTL_ADD, other, EPOLLOUT);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (int i = 0; i < 6000; i++) {
		bad += ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN | EPOLLOUT) < 0;
		bad += ctl(ep, EPOLL_CTL_MOD, a, EPOLLOUT) < 0;
		int n = epoll_wait(ep, ev, 4, 0);
		bad += n < 1 && !(n < 0 && errno == EINTR);
		bad += ctl(ep, EPOLL_CTL_DEL, a, 0) < 0;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	t_out("handler ran %d, failed %d, the program's own failed %d", ran > 3, failed, bad);
	close(a);
	close(b);
	close(c);
	close(d);
	close(ep);
	close(other_set);
}

/* A handler that forks while its thread sleeps: the child goes on behind the call. */
static void fork_here(int sig)
{
	int saved = errno;
	pid_t pid = fork();
	if (pid == 0) {
		ran = -1;
	} else {
		int status;
		waitpid(pid, &status, 0);
		t_out("child ended %d", WEXITSTATUS(status));
	}
	errno = saved;
}

static void *kick(void *arg)
{
	t_until_asleep(*(int *)arg);
	kill(getpid(), SIGUSR1);
	return NULL;
}

static void fork_while_asleep(void)
{
	int tid = t_self();
	pthread_t t;
	sigset_t usr1;
	struct sigaction sa = { .sa_handler = fork_here };
	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	for (int live = 0; live < 2; live++) {
		t_pair(&a, &b);
		ep = epoll_create1(0);
		if (live)
			ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN);
		ran = 0;
		pthread_sigmask(SIG_BLOCK, &usr1, NULL);
		pthread_create(&t, NULL, kick, &tid);
		pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
		int r = epoll_wait(ep, ev, 4, 3000);
		if (ran == -1) {
			int good = r == -1 && errno == EINTR;
			ctl(ep, EPOLL_CTL_ADD, b, EPOLLOUT);
			good += epoll_wait(ep, ev, 4, 100) == 1;
			_exit(good);
		}
		pthread_join(t, NULL);
		t_res("parent", r);
		if (!live)
			ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN);
		epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL); /* the child's */
		send(b, "x", 1, 0);
		t_res("parent later", epoll_wait(ep, ev, 4, 1000));
		close(a);
		close(b);
		close(ep);
	}
}

T_MAIN(T_CASE(ctl_arguments), T_CASE(wait_arguments), T_CASE(nesting), T_CASE(circles),
       T_CASE(numbers_come_back), T_CASE(changed_while_waiting), T_CASE(first_one_while_asleep),
       T_CASE(time_goes_on_while_one_is_added), T_CASE(from_a_handler), T_CASE(fork_while_asleep))
