/* Threads and signals on one socket: handing connections over, several readers, EINTR, SA_RESTART,
 * cancellation, use in a signal handler. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/time.h>

struct queue {
	int fd[64];
	int head, tail;
	pthread_mutex_t lock;
	pthread_cond_t more;
};

static void *server(void *arg)
{
	struct queue *q = arg;
	char c;
	for (;;) {
		pthread_mutex_lock(&q->lock);
		while (q->head == q->tail)
			pthread_cond_wait(&q->more, &q->lock);
		int fd = q->fd[q->head++ % 64];
		pthread_mutex_unlock(&q->lock);
		if (fd < 0)
			return NULL;
		while (read(fd, &c, 1) == 1)
			send(fd, &c, 1, 0);
		close(fd);
	}
}

static void put(struct queue *q, int fd)
{
	pthread_mutex_lock(&q->lock);
	q->fd[q->tail++ % 64] = fd;
	pthread_cond_broadcast(&q->more);
	pthread_mutex_unlock(&q->lock);
}

static void accepted_here_served_there(void)
{
	enum { N = 4, CONNS = 40 };
	struct queue q = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };
	struct sockaddr_in addr;
	pthread_t t[N];
	int l = t_listen(64, &addr), good = 0;
	for (int i = 0; i < N; i++)
		pthread_create(&t[i], NULL, server, &q);
	for (int i = 0; i < CONNS; i++) {
		char c = (char)i, back = 0;
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		connect(fd, (struct sockaddr *)&addr, sizeof(addr));
		put(&q, accept(l, NULL, NULL));
		send(fd, &c, 1, 0);
		good += t_read_all(fd, &back, 1) == 1 && back == c;
		close(fd);
	}
	for (int i = 0; i < N; i++)
		put(&q, -1);
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	t_out("served %d of %d", good, CONNS);
	close(l);
}

static _Atomic int total;

static void *read_some(void *arg)
{
	char buf[100];
	ssize_t n;
	while ((n = recv(*(int *)arg, buf, sizeof(buf), 0)) > 0)
		total += (int)n;
	return NULL;
}

static void *write_some(void *arg)
{
	char buf[100] = { 0 };
	for (int i = 0; i < 500; i++)
		send(*(int *)arg, buf, sizeof(buf), 0);
	return NULL;
}

static void several_readers_and_writers(void)
{
	int a, b;
	pthread_t r[4], w[4];
	t_pair(&a, &b);
	total = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&r[i], NULL, read_some, &b);
	for (int i = 0; i < 4; i++)
		pthread_create(&w[i], NULL, write_some, &a);
	for (int i = 0; i < 4; i++)
		pthread_join(w[i], NULL);
	shutdown(a, SHUT_WR);
	for (int i = 0; i < 4; i++)
		pthread_join(r[i], NULL);
	t_out("bytes %d", total);
	close(a);
	close(b);
}

static volatile sig_atomic_t handled;
static int handler_fd;

static void count(int sig)
{
	handled++;
}

static void answer(int sig)
{
	handled++;
	if (send(handler_fd, "h", 1, MSG_DONTWAIT) != 1)
		handled += 100;
}

struct kick {
	pthread_t who;
	int then_fd;
	int tid;
};

static void *kick_then_send(void *arg)
{
	struct kick *k = arg;
	t_until_asleep(k->tid);
	pthread_kill(k->who, SIGUSR1);
	t_sleep_ms(30);
	if (k->then_fd >= 0)
		send(k->then_fd, "x", 1, 0);
	return NULL;
}

static void interrupted(const char *what, int flags, int fd, int peer, int op)
{
	struct sigaction sa = { .sa_handler = count, .sa_flags = flags };
	struct kick k = { pthread_self(), peer, t_self() };
	pthread_t t;
	char c;
	long r;
	handled = 0;
	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&t, NULL, kick_then_send, &k);
	if (op == 0)
		r = read(fd, &c, 1);
	else if (op == 1)
		r = recv(fd, &c, 1, MSG_WAITALL);
	else
		r = recv(fd, &c, 1, MSG_PEEK);
	t_res(what, r);
	pthread_join(t, NULL);
	t_out("%s: handled %d", what, handled);
	if (r < 0 || op == 2) { /* the byte is still to be taken, and perhaps to arrive */
		t_until(fd, POLLIN);
		recv(fd, &c, 1, MSG_DONTWAIT);
	}
}

static void *connect_later(void *arg)
{
	struct sockaddr_in *a = arg;
	t_sleep_ms(80);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	connect(fd, (struct sockaddr *)a, sizeof(*a));
	t_sleep_ms(20);
	close(fd);
	return NULL;
}

static void signals(void)
{
	int a, b;
	t_pair(&a, &b);
	interrupted("read", 0, a, b, 0);
	interrupted("read with SA_RESTART", SA_RESTART, a, b, 0);
	interrupted("waitall", 0, a, b, 1);
	interrupted("peek with SA_RESTART", SA_RESTART, a, b, 2);
	struct timeval tv = { .tv_sec = 1 };
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	interrupted("timeout and SA_RESTART", SA_RESTART, a, b, 0);
	close(a);
	close(b);
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	struct kick k = { pthread_self(), -1, t_self() };
	pthread_t t, u;
	struct sigaction sa = { .sa_handler = count };
	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&t, NULL, kick_then_send, &k);
	t_res("accept", accept(l, NULL, NULL));
	pthread_join(t, NULL);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&t, NULL, kick_then_send, &k);
	pthread_create(&u, NULL, connect_later, &addr);
	int s = accept(l, NULL, NULL);
	t_ok("accept with SA_RESTART", s);
	pthread_join(t, NULL);
	pthread_join(u, NULL);
	close(s);
	close(l);
}

static void alarm_ends_a_read(void)
{
	int a, b;
	char c;
	t_pair(&a, &b);
	struct sigaction sa = { .sa_handler = count };
	handled = 0;
	sigaction(SIGALRM, &sa, NULL);
	struct itimerval it = { .it_value.tv_usec = 40000 };
	setitimer(ITIMER_REAL, &it, NULL);
	t_res("read", read(a, &c, 1));
	t_out("handled %d", handled);
	static char big[4000000];
	setitimer(ITIMER_REAL, &it, NULL);
	ssize_t n = send(a, big, sizeof(big), 0);
	t_out("a blocked send is cut short: %d", n > 0 && n < (ssize_t)sizeof(big));
	t_out("handled %d", handled);
	close(a);
	close(b);
}

static void socket_used_in_a_handler(void)
{
	int a, b;
	char buf[8];
	t_pair(&a, &b);
	struct sigaction sa = { .sa_handler = answer, .sa_flags = SA_RESTART };
	handled = 0;
	handler_fd = a;
	sigaction(SIGUSR1, &sa, NULL);
	struct kick k = { pthread_self(), b, t_self() };
	pthread_t t;
	pthread_create(&t, NULL, kick_then_send, &k);
	t_res("read of the socket that the handler sends on", read(a, buf, 1));
	pthread_join(t, NULL);
	t_out("handled %d", handled);
	t_res("its byte arrived", t_read_all(b, buf, 1));
	close(a);
	close(b);
}

static _Atomic int cleaned;

static void cleanup(void *arg)
{
	cleaned++;
}

struct blocked {
	int fd;
	int op;
};

static void *block(void *arg)
{
	struct blocked *x = arg;
	char c;
	struct pollfd p = { .fd = x->fd, .events = POLLIN };
	struct epoll_event ev;
	int ep = epoll_create1(0);
	t_epoll_add(ep, x->fd, EPOLLIN);
	pthread_cleanup_push(cleanup, NULL);
	if (x->op == 0)
		(void)!read(x->fd, &c, 1);
	else if (x->op == 1)
		poll(&p, 1, -1);
	else if (x->op == 2)
		epoll_wait(ep, &ev, 1, -1);
	else
		accept(x->fd, NULL, NULL);
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancellation(void)
{
	static const char *const names[] = { "read", "poll", "epoll_wait", "accept" };
	int a, b, l = t_listen(1, NULL);
	t_pair(&a, &b);
	for (int op = 0; op < 4; op++) {
		struct blocked x = { op == 3 ? l : a, op };
		pthread_t t;
		void *ret = NULL;
		cleaned = 0;
		pthread_create(&t, NULL, block, &x);
		t_sleep_ms(30);
		pthread_cancel(t);
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 1;
		int r = pthread_timedjoin_np(t, &ret, &until);
		t_out("%s: join %d cancelled %d cleaned %d", names[op], r, ret == PTHREAD_CANCELED,
		      cleaned);
		if (r) {
			send(b, "x", 1, 0);
			shutdown(l, SHUT_RDWR);
			pthread_join(t, NULL);
		}
	}
	close(a);
	close(b);
	close(l);
}

T_MAIN(T_CASE(accepted_here_served_there), T_CASE(several_readers_and_writers), T_CASE(signals),
       T_CASE(alarm_ends_a_read), T_CASE(socket_used_in_a_handler), T_CASE(cancellation))
