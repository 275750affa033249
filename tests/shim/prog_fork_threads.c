/* fork() out of signal handlers and threads, while other threads are inside socket calls: the child finds the
 * sockets as they are, and the calls go on. */
// SPDX-License-Identifier: MIT
#include <stdatomic.h>
#include "tests/shim/t.h"

static volatile int signal_fd = -1;
static volatile pid_t forked_by_handler;
static void on_signal(int sig)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(send(signal_fd, "h", 1, 0) == 1 ? 5 : 6);
	forked_by_handler = pid;
}

struct blocked {
	int fd, result, tid;
	char got[8];
};
static void *reads_one(void *arg)
{
	struct blocked *w = arg;

	w->tid = t_self();
	w->result = (int)recv(w->fd, w->got, 1, 0);
	return NULL;
}

/* The handler runs on top of a blocked recv(), and forks there. */
static void out_of_a_signal_handler(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct blocked w = { 0 };
	pthread_t thread;
	int a, b, c, d;
	char got = 0;

	t_pair(&a, &b);
	t_pair(&c, &d);
	signal_fd = c;
	sigaction(SIGUSR1, &sa, NULL);
	w.fd = a;
	pthread_create(&thread, NULL, reads_one, &w);
	while (!*(volatile int *)&w.tid)
		t_sleep_ms(1);
	t_until_asleep(w.tid);
	pthread_kill(thread, SIGUSR1);
	t_res("the handler's child", t_read_all(d, &got, 1));
	t_out("said %c", got ? got : '-');
	while (!forked_by_handler)
		t_sleep_ms(1);
	t_out("it ends with %d", t_finish(forked_by_handler));
	send(b, "r", 1, 0);
	pthread_join(thread, NULL);
	t_out("the call goes on: %d %.1s", w.result, w.got);
	signal(SIGUSR1, SIG_DFL);
	close(a);
	close(b);
	close(c);
	close(d);
}

/* ---- threads ---- */
struct inside {
	pthread_t thread;
	_Atomic int tid;
	int kind, fd, peer, result;
	struct sockaddr_in addr;
};
enum { IN_RECV, IN_ACCEPT, IN_POLL, IN_SELECT, IN_EPOLL, IN_SEND, KINDS };
static const char *const kind_name[KINDS] = { "recv", "accept", "poll", "select", "epoll", "send" };

static void *inside(void *arg)
{
	struct inside *w = arg;
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	struct epoll_event e;
	fd_set set;
	char c;

	atomic_store(&w->tid, t_self());
	switch (w->kind) {
	case IN_RECV:
		w->result = (int)recv(w->fd, &c, 1, 0);
		break;
	case IN_ACCEPT:
		w->result = accept(w->fd, NULL, NULL) >= 0;
		break;
	case IN_POLL:
		w->result = poll(&p, 1, -1);
		break;
	case IN_SELECT:
		FD_ZERO(&set);
		FD_SET(w->fd, &set);
		w->result = select(w->fd + 1, &set, NULL, NULL, NULL);
		break;
	case IN_EPOLL: {
		int ep = epoll_create1(0);

		t_epoll_add(ep, w->fd, EPOLLIN);
		w->result = epoll_wait(ep, &e, 1, -1);
		close(ep);
		break;
	}
	case IN_SEND:
		w->result = (int)send(w->fd, "z", 1, 0);
		break;
	}
	return NULL;
}

static void inside_begin(struct inside *w, int kind)
{
	*w = (struct inside){ .kind = kind, .result = -100 };
	if (kind == IN_ACCEPT)
		w->fd = t_listen(8, &w->addr);
	else
		t_pair(&w->fd, &w->peer);
	if (kind == IN_SEND)
		t_fill(w->fd);
	pthread_create(&w->thread, NULL, inside, w);
	while (!atomic_load(&w->tid))
		t_sleep_ms(1);
	t_until_asleep(atomic_load(&w->tid));
}

/* The child uses the very sockets that the parent's threads sleep on: it finds nothing, and does not hang. */
static int look_at_all(struct inside *w)
{
	char c;

	for (int i = 0; i < KINDS; i++) {
		if (i == IN_ACCEPT || i == IN_SEND)
			continue;
		if (recv(w[i].fd, &c, 1, MSG_DONTWAIT) != -1 || errno != EAGAIN)
			return 10 + i;
		if (t_poll(w[i].fd, POLLIN))
			return 20 + i;
	}
	if (t_poll(w[IN_ACCEPT].fd, POLLIN) || send(w[IN_SEND].fd, "q", 1, MSG_DONTWAIT) != -1)
		return 30;
	return 0;
}

static int wake_all(struct inside *w)
{
	static char junk[1 << 16];

	for (int i = 0; i < KINDS; i++) {
		if (i == IN_ACCEPT)
			close(t_connect_to(&w[i].addr));
		else if (i == IN_SEND)
			while (recv(w[i].peer, junk, sizeof(junk), MSG_DONTWAIT) > 0)
				t_sleep_ms(1);
		else
			send(w[i].peer, "w", 1, 0);
	}
	return 0;
}

/* woken_by: the child or the parent */
static void threads_inside_calls(const char *who, bool by_child)
{
	struct inside w[KINDS];

	for (int i = 0; i < KINDS; i++)
		inside_begin(&w[i], i);
	pid_t pid = fork();
	if (pid == 0)
		_exit(look_at_all(w) ?: by_child ? wake_all(w) : 0);
	t_out("the child ends with %d", t_finish(pid));
	if (!by_child)
		wake_all(w);
	for (int i = 0; i < KINDS; i++) {
		pthread_join(w[i].thread, NULL);
		t_out("woken by the %s: %s = %d", who, kind_name[i], w[i].result);
		close(w[i].fd);
		if (i != IN_ACCEPT)
			close(w[i].peer);
	}
}

static void child_wakes_the_parents_threads(void) { threads_inside_calls("child", true); }
static void child_looks_only(void) { threads_inside_calls("parent", false); }

/* A thread that is no more forked it: its child goes on. */
static void *forks_and_ends(void *arg)
{
	int *fd = arg;
	char c = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(read(fd[1], &c, 1) == 1 && send(fd[1], &c, 1, 0) == 1 ? 0 : 1);
	return (void *)(intptr_t)pid;
}

static void out_of_a_thread(void)
{
	int fd[2];
	pthread_t thread;
	void *pid;
	char c = 0;

	t_pair(&fd[0], &fd[1]);
	pthread_create(&thread, NULL, forks_and_ends, fd);
	pthread_join(thread, &pid);
	send(fd[0], "t", 1, 0);
	t_res("the thread's child", t_read_all(fd[0], &c, 1));
	t_out("it ends with %d", t_finish((pid_t)(intptr_t)pid));
	close(fd[0]);
	close(fd[1]);
}

static void *forks_often(void *arg)
{
	int *fd = arg;
	intptr_t bad = 0;

	for (int i = 0; i < 8; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			char c = 0;
			int a, b;

			t_pair(&a, &b);
			_exit(send(a, "m", 1, 0) == 1 && t_read_all(b, &c, 1) == 1 &&
					      send(fd[0], "m", 1, 0) == 1 ?
				      0 :
				      1);
		}
		bad += t_finish(pid) != 0;
	}
	return (void *)bad;
}

static void threads_fork_at_once(void)
{
	enum { N = 4 };
	pthread_t thread[N];
	int fd[2], bad = 0;
	char got[8 * N];

	t_pair(&fd[0], &fd[1]);
	for (int i = 0; i < N; i++)
		pthread_create(&thread[i], NULL, forks_often, fd);
	for (int i = 0; i < N; i++) {
		void *r;

		pthread_join(thread[i], &r);
		bad += (int)(intptr_t)r;
	}
	t_out("children that failed: %d", bad);
	t_res("all have spoken", t_read_all(fd[1], got, sizeof(got)));
	close(fd[0]);
	close(fd[1]);
	t_no_other_child();
}

static void *opens_and_closes(void *arg)
{
	volatile int *stop = arg;

	while (!*stop)
		close(t_listen(1, NULL));
	return NULL;
}

/* What a thread closes while another one forks is nothing to the child's own sockets. */
static void child_of_a_busy_process(void)
{
	int stop = 0, bad = 0;
	pthread_t thread[3];

	for (size_t i = 0; i < T_COUNT(thread); i++)
		pthread_create(&thread[i], NULL, opens_and_closes, &stop);
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			struct sockaddr_in at[8];
			int l[8];

			alarm(10); /* instead of waiting in accept() */
			for (size_t k = 0; k < T_COUNT(l); k++)
				l[k] = t_listen(1, &at[k]);
			for (size_t k = 0; k < T_COUNT(l); k++) {
				int c = t_connect_to(&at[k]), s = accept(l[k], NULL, NULL);
				char got = 0;

				if (s < 0 || send(c, "b", 1, 0) != 1 || read(s, &got, 1) != 1 || got != 'b')
					_exit(1);
			}
			_exit(0);
		}
		bad += t_finish(pid) != 0;
	}
	*(volatile int *)&stop = 1;
	for (size_t i = 0; i < T_COUNT(thread); i++)
		pthread_join(thread[i], NULL);
	t_out("children that failed: %d", bad);
}

/* Opens one kind of socket and closes it: nothing but that, so that a fork meets it half made. */
struct opener {
	pthread_t thread;
	int type;
	volatile int *stop;
};
static void *opens(void *arg)
{
	const struct opener *o = arg;

	while (!*o->stop)
		close(socket(AF_INET, o->type, 0));
	return NULL;
}

static void *accepts_and_closes(void *arg)
{
	const struct opener *o = arg;
	struct sockaddr_in at;
	int l = t_listen(8, &at);

	while (!*o->stop) {
		int c = t_connect_to(&at);

		close(accept(l, NULL, NULL));
		close(c);
	}
	close(l);
	return NULL;
}

/* Neither is what a thread has only begun to make when another one forks. */
static void sockets_half_made(void)
{
	volatile int stop = 0;
	struct opener o[] = { { .type = SOCK_STREAM }, { .type = SOCK_DGRAM }, { .type = 0 } };
	int bad = 0;

	for (size_t i = 0; i < T_COUNT(o); i++) {
		o[i].stop = &stop;
		pthread_create(&o[i].thread, NULL, o[i].type ? opens : accepts_and_closes, &o[i]);
	}
	for (int i = 0; i < 400; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		bad += t_finish(pid) != 0;
	}
	stop = 1;
	for (size_t i = 0; i < T_COUNT(o); i++)
		pthread_join(o[i].thread, NULL);
	t_out("children that did not end well: %d", bad);
}

T_MAIN(T_CASE(out_of_a_signal_handler), T_CASE(child_wakes_the_parents_threads), T_CASE(child_looks_only),
       T_CASE(out_of_a_thread), T_CASE(threads_fork_at_once), T_CASE(child_of_a_busy_process),
       T_CASE(sockets_half_made))
