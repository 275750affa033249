/* mTCP's interface beside the two pages: listening, connecting, ending, options, vectors, pipes, several
 * contexts, signals, a fork. Events are test_epoll.c's, the configuration file test_conf.c's. */
// SPDX-License-Identifier: MIT
#include <linux/sockios.h>
#include "tests/mtcp/api.h"
#include "tests/unit/unit.h"

static int new_socket(void) { return mtcp_socket(api_ctx, AF_INET, SOCK_STREAM, 0); }

static mctx_t second_context(void)
{
	struct mtcp_conf conf;
	mctx_t m;

	mtcp_getconf(&conf);
	conf.num_cores = 2;
	mtcp_setconf(&conf);
	m = mtcp_create_context(1);
	ck_assert_ptr_nonnull(m);
	return m;
}

START_TEST(bind_refuses_what_mtcp_refuses)
{
	struct sockaddr_in at = api_addr(0), six = at, strange = at;
	int id = new_socket(), ep = mtcp_epoll_create(api_ctx, 1);

	six.sin_family = AF_INET6;
	strange.sin_addr.s_addr = inet_addr("192.0.2.77");
	API_FAILS(mtcp_bind(api_ctx, id, NULL, sizeof(at)), EINVAL);
	API_FAILS(mtcp_bind(api_ctx, id, (struct sockaddr *)&at, sizeof(at) - 1), EINVAL);
	API_FAILS(mtcp_bind(api_ctx, id, (struct sockaddr *)&six, sizeof(six)), EINVAL);
	API_FAILS(mtcp_bind(api_ctx, id, (struct sockaddr *)&strange, sizeof(strange)), EADDRNOTAVAIL);
	API_FAILS(mtcp_bind(api_ctx, ep, (struct sockaddr *)&at, sizeof(at)), ENOTSOCK);
	API_FAILS(mtcp_bind(api_ctx, 99, (struct sockaddr *)&at, sizeof(at)), EBADF);
	ck_assert_int_eq(mtcp_bind(api_ctx, id, (struct sockaddr *)&at, sizeof(at)), 0);
	API_FAILS(mtcp_bind(api_ctx, id, (struct sockaddr *)&at, sizeof(at)), EINVAL);
}
END_TEST

START_TEST(listen_refuses_what_mtcp_refuses)
{
	struct sockaddr_in at;
	int l = api_listen(api_ctx, &at), again = new_socket(), ep = mtcp_epoll_create(api_ctx, 1), a, b;

	API_FAILS(mtcp_listen(api_ctx, again, 0), EINVAL);
	API_FAILS(mtcp_listen(api_ctx, again, -1), EINVAL);
	API_FAILS(mtcp_listen(api_ctx, ep, 1), ENOTSOCK);
	API_FAILS(mtcp_listen(api_ctx, 99, 1), EBADF);
	ck_assert_int_eq(mtcp_listen(api_ctx, l, 7), 0);
	API_FAILS(mtcp_accept(api_ctx, again, NULL, NULL), EINVAL);
	API_FAILS(mtcp_accept(api_ctx, 99, NULL, NULL), EBADF);
	api_pair(&a, &b);
	API_FAILS(mtcp_listen(api_ctx, a, 1), EINVAL);
}
END_TEST

/* A port belongs to one listener of a context, and to one of every context. */
START_TEST(each_context_may_listen_on_a_port)
{
	enum { CONNS = 64 };
	mctx_t other = second_context(), ctx[2] = { api_ctx, other };
	struct sockaddr_in at;
	int l[2], again = new_socket(), taken[2] = { 0, 0 };

	l[0] = api_listen(api_ctx, &at);
	mtcp_close(api_ctx, l[0]);
	for (int i = 0; i < 2; i++) {
		l[i] = mtcp_socket(ctx[i], AF_INET, SOCK_STREAM, 0);
		ck_assert_int_eq(mtcp_bind(ctx[i], l[i], (struct sockaddr *)&at, sizeof(at)), 0);
		ck_assert_int_eq(mtcp_listen(ctx[i], l[i], CONNS), 0);
	}
	ck_assert_int_eq(mtcp_bind(api_ctx, again, (struct sockaddr *)&at, sizeof(at)), 0);
	API_FAILS(mtcp_listen(api_ctx, again, 1), EADDRINUSE);
	ck_assert_int_eq(mtcp_close(api_ctx, again), 0);
	for (int i = 0; i < CONNS; i++) {
		int id = new_socket();

		api_block(api_ctx, id, 1);
		ck_assert_int_eq(mtcp_connect(api_ctx, id, (struct sockaddr *)&at, sizeof(at)), 0);
	}
	API_UNTIL((taken[0] += mtcp_accept(ctx[0], l[0], NULL, NULL) >= 0,
		   taken[1] += mtcp_accept(ctx[1], l[1], NULL, NULL) >= 0,
		   taken[0] + taken[1] == CONNS));
	ck_assert_int_gt(taken[0], 0);
	ck_assert_int_gt(taken[1], 0);
}
END_TEST

START_TEST(accept_tells_who_it_is)
{
	struct sockaddr_in at, who, self;
	int l = api_listen(api_ctx, &at), a = new_socket();
	socklen_t len = sizeof(who);

	api_block(api_ctx, a, 1);
	ck_assert_int_eq(mtcp_connect(api_ctx, a, (struct sockaddr *)&at, sizeof(at)), 0);
	api_block(api_ctx, l, 1);
	ck_assert_int_ge(mtcp_accept(api_ctx, l, (struct sockaddr *)&who, &len), 0);
	ck_assert_int_eq(len, sizeof(who));
	len = sizeof(self);
	ck_assert_int_eq(mtcp_getsockname(api_ctx, a, (struct sockaddr *)&self, &len), 0);
	ck_assert_mem_eq(&who, &self, sizeof(who));
}
END_TEST

START_TEST(connect_refuses_what_mtcp_refuses)
{
	struct sockaddr_in at, six, far, closed = api_addr(1);
	int l = api_listen(api_ctx, &at), id = new_socket(), v = 0;
	socklen_t len = sizeof(v);

	six = far = at;
	six.sin_family = AF_INET6;
	far.sin_addr.s_addr = inet_addr("192.0.2.1");
	API_FAILS(mtcp_connect(api_ctx, l, (struct sockaddr *)&at, sizeof(at)), ENOTSOCK);
	API_FAILS(mtcp_connect(api_ctx, id, NULL, sizeof(at)), EFAULT);
	API_FAILS(mtcp_connect(api_ctx, id, (struct sockaddr *)&six, sizeof(six)), EAFNOSUPPORT);
	API_FAILS(mtcp_connect(api_ctx, id, (struct sockaddr *)&at, 4), EAFNOSUPPORT);
	API_FAILS(mtcp_connect(api_ctx, 99, (struct sockaddr *)&at, sizeof(at)), EBADF);
	API_FAILS(mtcp_connect(api_ctx, id, (struct sockaddr *)&far, sizeof(far)), ENETUNREACH);
	API_FAILS(mtcp_getpeername(api_ctx, id, (struct sockaddr *)&at, &len), ENOTCONN);
	API_FAILS(mtcp_connect(api_ctx, id, (struct sockaddr *)&closed, sizeof(closed)), EINPROGRESS);
	API_UNTIL(mtcp_getsockopt(api_ctx, id, SOL_SOCKET, SO_ERROR, &v, &len) == 0 && v);
	ck_assert_int_eq(v, ECONNREFUSED);
	API_FAILS(mtcp_connect(api_ctx, id, (struct sockaddr *)&closed, sizeof(closed)), EALREADY);
	id = new_socket();
	api_block(api_ctx, id, 1);
	API_FAILS(mtcp_connect(api_ctx, id, (struct sockaddr *)&closed, sizeof(closed)), ECONNREFUSED);
}
END_TEST

/* Whichever data thread of the engine the connection then belongs to. */
START_TEST(connect_begins_where_it_is_bound)
{
	struct sockaddr_in at, from, who;
	int l = api_listen(api_ctx, &at);
	socklen_t len = sizeof(from);

	api_block(api_ctx, l, 1);
	for (int i = 0; i < 16; i++) {
		int id = new_socket();

		from = api_addr(0);
		ck_assert_int_eq(mtcp_bind(api_ctx, id, (struct sockaddr *)&from, sizeof(from)), 0);
		ck_assert_int_eq(mtcp_getsockname(api_ctx, id, (struct sockaddr *)&from, &len), 0);
		api_block(api_ctx, id, 1);
		ck_assert_int_eq(mtcp_connect(api_ctx, id, (struct sockaddr *)&at, sizeof(at)), 0);
		ck_assert_int_ge(mtcp_accept(api_ctx, l, (struct sockaddr *)&who, &len), 0);
		ck_assert_int_eq(who.sin_port, from.sin_port);
	}
}
END_TEST

/* The pool of mtcp_init_rss(): addresses that are not the stack's are passed over. */
START_TEST(init_rss_chooses_source_addresses)
{
	struct sockaddr_in at, self;
	in_addr_t base;
	int l = api_listen(api_ctx, &at), id;
	socklen_t len = sizeof(self);

	base = htonl(ntohl(at.sin_addr.s_addr) - 1);
	API_FAILS(mtcp_init_rss(api_ctx, base, 0, at.sin_addr.s_addr, at.sin_port), EINVAL);
	ck_assert_int_eq(mtcp_init_rss(api_ctx, base, 3, at.sin_addr.s_addr, at.sin_port), 0);
	for (int i = 0; i < 4; i++) {
		id = new_socket();
		api_block(api_ctx, id, 1);
		ck_assert_int_eq(mtcp_connect(api_ctx, id, (struct sockaddr *)&at, sizeof(at)), 0);
		ck_assert_int_eq(mtcp_getsockname(api_ctx, id, (struct sockaddr *)&self, &len), 0);
		ck_assert_int_eq(self.sin_addr.s_addr, at.sin_addr.s_addr);
		mtcp_close(api_ctx, id);
		mtcp_close(api_ctx, api_accept(api_ctx, l));
	}
	ck_assert_int_eq(mtcp_init_rss(api_ctx, INADDR_ANY, 1, 0, 0), 0);
}
END_TEST

START_TEST(abort_resets)
{
	int a, b, v = 0, id = new_socket();
	socklen_t len = sizeof(v);
	char c;

	API_FAILS(mtcp_abort(api_ctx, id), ENOTCONN);
	API_FAILS(mtcp_abort(api_ctx, 99), EBADF);
	API_FAILS(mtcp_abort(api_ctx, mtcp_epoll_create(api_ctx, 1)), ENOTSOCK);
	api_pair(&a, &b);
	ck_assert_int_eq(mtcp_abort(api_ctx, a), 0);
	API_FAILS(mtcp_abort(api_ctx, a), EBADF);
	API_UNTIL(mtcp_read(api_ctx, b, &c, 1) < 0 && errno == ENOTCONN);
	ck_assert_int_eq(mtcp_getsockopt(api_ctx, b, SOL_SOCKET, SO_ERROR, &v, &len), 0);
	ck_assert_int_eq(v, ECONNRESET);
	ck_assert_int_eq(mtcp_close(api_ctx, b), 0);
}
END_TEST

START_TEST(shutdown_closes_a_half)
{
	int a, b;
	char c;

	api_pair(&a, &b);
	API_FAILS(mtcp_shutdown(api_ctx, a, 3), EINVAL);
	API_FAILS(mtcp_shutdown(api_ctx, new_socket(), SHUT_WR), ENOTCONN);
	ck_assert_int_eq(mtcp_shutdown(api_ctx, a, SHUT_RD), 0);
	ck_assert_int_eq(mtcp_read(api_ctx, a, &c, 1), 0);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "x", 1), 1);
	ck_assert_int_eq(mtcp_shutdown(api_ctx, a, SHUT_WR), 0);
	ck_assert_int_eq(api_read(api_ctx, b, &c, 1), 1);
	ck_assert_int_eq(api_read(api_ctx, b, &c, 1), 0);
}
END_TEST

START_TEST(vectors_are_one_stream)
{
	char out[3][4] = { "abc", "de", "fghi" }, in[2][8] = { "", "" };
	struct iovec w[] = { { out[0], 3 }, { out[1], 0 }, { out[1], 2 }, { out[2], 4 } };
	struct iovec r[] = { { in[0], 4 }, { in[1], 8 } };
	int a, b, avail = 0;

	api_pair(&a, &b);
	ck_assert_int_eq(mtcp_writev(api_ctx, a, w, 4), 9);
	API_UNTIL(mtcp_socket_ioctl(api_ctx, b, FIONREAD, &avail) == 0 && avail == 9);
	ck_assert_int_eq(mtcp_readv(api_ctx, b, r, 2), 9);
	ck_assert_mem_eq(in[0], "abcd", 4);
	ck_assert_mem_eq(in[1], "efghi", 5);
	API_FAILS(mtcp_readv(api_ctx, b, r, 2), EAGAIN);
	API_FAILS(mtcp_readv(api_ctx, b, r, -1), EINVAL);
	API_FAILS(mtcp_writev(api_ctx, 99, w, 4), EBADF);
	API_FAILS(mtcp_readv(api_ctx, new_socket(), r, 2), ENOTCONN);
}
END_TEST

START_TEST(recv_may_peek)
{
	int a, b, avail = 0;
	char buf[8] = "";

	api_pair(&a, &b);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "peek", 4), 4);
	API_UNTIL(mtcp_socket_ioctl(api_ctx, b, FIONREAD, &avail) == 0 && avail == 4);
	ck_assert_int_eq(mtcp_recv(api_ctx, b, buf, 2, MSG_PEEK), 2);
	ck_assert_int_eq(mtcp_recv(api_ctx, b, buf, 8, 0), 4);
	ck_assert_str_eq(buf, "peek");
	api_block(api_ctx, b, 1);
	API_FAILS(mtcp_recv(api_ctx, b, buf, 8, MSG_DONTWAIT), EAGAIN);
	API_FAILS(mtcp_recv(api_ctx, b, buf, 8, MSG_OOB), EINVAL);
	API_FAILS(mtcp_recv(api_ctx, 99, buf, 8, 0), EBADF);
}
END_TEST

START_TEST(ioctl_knows_what_is_queued)
{
	int a, b, v = 0, ep = mtcp_epoll_create(api_ctx, 1);

	api_pair(&a, &b);
	API_FAILS(mtcp_socket_ioctl(api_ctx, a, FIONREAD, NULL), EFAULT);
	API_FAILS(mtcp_socket_ioctl(api_ctx, a, FIOCLEX, &v), EINVAL);
	API_FAILS(mtcp_socket_ioctl(api_ctx, ep, FIONREAD, &v), EBADF);
	API_FAILS(mtcp_socket_ioctl(api_ctx, 99, FIONREAD, &v), EBADF);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "12345", 5), 5);
	API_UNTIL(mtcp_socket_ioctl(api_ctx, a, SIOCOUTQ, &v) == 0 && v == 0);
	API_UNTIL(mtcp_socket_ioctl(api_ctx, b, FIONREAD, &v) == 0 && v == 5);
}
END_TEST

START_TEST(options_read_back)
{
	static const struct {
		int level, name, set;
	} row[] = {
		{ SOL_SOCKET, SO_REUSEADDR, 0 },    { SOL_SOCKET, SO_REUSEPORT, 1 },
		{ SOL_SOCKET, SO_RCVBUF, 65536 },   { IPPROTO_TCP, TCP_NODELAY, 0 },
		{ IPPROTO_TCP, TCP_CORK, 1 },	    { IPPROTO_TCP, TCP_KEEPIDLE, 9 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 3 },  { IPPROTO_TCP, TCP_KEEPCNT, 2 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 5000 },
	};
	int id = new_socket(), v = 0;
	socklen_t len = sizeof(v);

	ck_assert_int_eq(mtcp_getsockopt(api_ctx, id, IPPROTO_TCP, TCP_NODELAY, &v, &len), 0);
	ck_assert_int_eq(v, 1); /* mTCP has no Nagle */
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		ck_assert_int_eq(mtcp_setsockopt(api_ctx, id, row[i].level, row[i].name, &row[i].set,
						 sizeof(int)), 0);
		ck_assert_int_eq(mtcp_getsockopt(api_ctx, id, row[i].level, row[i].name, &v, &len), 0);
		ck_assert_int_eq(v, row[i].set);
	}
	v = 0;
	API_FAILS(mtcp_setsockopt(api_ctx, id, IPPROTO_TCP, TCP_KEEPCNT, &v, sizeof(v)), EINVAL);
	API_FAILS(mtcp_setsockopt(api_ctx, id, IPPROTO_TCP, TCP_NODELAY, &v, 1), EINVAL);
	API_FAILS(mtcp_setsockopt(api_ctx, id, SOL_SOCKET, SO_ERROR, &v, sizeof(v)), ENOPROTOOPT);
	API_FAILS(mtcp_getsockopt(api_ctx, id, SOL_SOCKET, SO_ERROR, NULL, &len), EFAULT);
	API_FAILS(mtcp_getsockopt(api_ctx, 99, SOL_SOCKET, SO_ERROR, &v, &len), EBADF);
}
END_TEST

START_TEST(accepted_sockets_inherit_options)
{
	struct sockaddr_in at;
	int l = api_listen(api_ctx, &at), a = new_socket(), b, v = 1;
	socklen_t len = sizeof(v);

	ck_assert_int_eq(mtcp_setsockopt(api_ctx, l, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)), 0);
	api_block(api_ctx, a, 1);
	ck_assert_int_eq(mtcp_connect(api_ctx, a, (struct sockaddr *)&at, sizeof(at)), 0);
	b = api_accept(api_ctx, l);
	v = 0;
	ck_assert_int_eq(mtcp_getsockopt(api_ctx, b, SOL_SOCKET, SO_KEEPALIVE, &v, &len), 0);
	ck_assert_int_eq(v, 1);
}
END_TEST

/* ---- pipes ---- */
START_TEST(pipe_carries_bytes)
{
	static char big[1 << 17];
	int p[2], n = 0;
	char buf[8] = "";

	ck_assert_int_eq(mtcp_pipe(api_ctx, p), 0);
	API_FAILS(mtcp_read(api_ctx, p[0], buf, 1), EAGAIN);
	ck_assert_int_eq(mtcp_write(api_ctx, p[1], "word", 4), 4);
	ck_assert_int_eq(mtcp_socket_ioctl(api_ctx, p[0], FIONREAD, &n), 0);
	ck_assert_int_eq(n, 4);
	ck_assert_int_eq(mtcp_read(api_ctx, p[0], buf, 8), 4);
	ck_assert_str_eq(buf, "word");
	API_FAILS(mtcp_read(api_ctx, p[1], buf, 1), EBADF);
	ck_assert_int_eq(mtcp_write(api_ctx, p[1], big, sizeof(big)), 65536);
	API_FAILS(mtcp_write(api_ctx, p[1], "x", 1), EAGAIN);
	ck_assert_int_eq(mtcp_read(api_ctx, p[0], big, sizeof(big)), 65536);
	ck_assert_int_eq(mtcp_write(api_ctx, p[1], "last", 4), 4);
	ck_assert_int_eq(mtcp_close(api_ctx, p[1]), 0);
	ck_assert_int_eq(mtcp_read(api_ctx, p[0], buf, 8), 4);
	ck_assert_int_eq(mtcp_read(api_ctx, p[0], buf, 8), 0);
	ck_assert_int_eq(mtcp_close(api_ctx, p[0]), 0);
	ck_assert_int_eq(mtcp_pipe(api_ctx, p), 0);
	ck_assert_int_eq(mtcp_close(api_ctx, p[0]), 0);
	API_FAILS(mtcp_write(api_ctx, p[1], "x", 1), EPIPE);
	API_FAILS(mtcp_pipe(api_ctx, NULL), EFAULT);
}
END_TEST

struct speaker {
	int id;
	uint32_t n;
};
static void *speak(void *arg)
{
	struct speaker *s = arg;

	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t word = i;

		while (mtcp_write(api_ctx, s->id, (char *)&word, sizeof(word)) != sizeof(word))
			sched_yield();
	}
	return NULL;
}

/* A blocking reader gets every word of another thread. */
START_TEST(pipe_is_for_other_threads)
{
	enum { WORDS = 50000 };
	pthread_t t;
	int p[2];
	struct speaker s = { .n = WORDS };

	ck_assert_int_eq(mtcp_pipe(api_ctx, p), 0);
	api_block(api_ctx, p[0], 1);
	s.id = p[1];
	ck_assert_int_eq(pthread_create(&t, NULL, speak, &s), 0);
	for (uint32_t i = 0; i < WORDS; i++) {
		uint32_t word = 0;

		ck_assert_int_eq(mtcp_read(api_ctx, p[0], (char *)&word, sizeof(word)), sizeof(word));
		ck_assert_uint_eq(word, i);
	}
	pthread_join(t, NULL);
}
END_TEST

/* ---- the library ---- */
static volatile sig_atomic_t heard;
static void hear(int sig) { heard = sig; }

/* Whichever thread gets the signal, who waits in the context is woken. */
START_TEST(a_signal_ends_a_wait)
{
	int ep = mtcp_epoll_create(api_ctx, 1), a, b;
	struct mtcp_epoll_event ev;
	struct itimerval soon = { .it_value.tv_usec = 20000 };
	char c;

	ck_assert(mtcp_register_signal(SIGALRM, hear) != SIG_ERR);
	ck_assert(mtcp_register_signal(SIGALRM, hear) == hear);
	setitimer(ITIMER_REAL, &soon, NULL);
	API_FAILS(mtcp_epoll_wait(api_ctx, ep, &ev, 1, 20000), EINTR);
	ck_assert_int_eq(heard, SIGALRM);
	ck_assert_int_eq(mtcp_epoll_wait(api_ctx, ep, &ev, 1, 0), 0); /* told once */
	api_pair(&a, &b);
	api_block(api_ctx, a, 1);
	setitimer(ITIMER_REAL, &soon, NULL);
	API_FAILS(mtcp_read(api_ctx, a, &c, 1), EINTR);
	/* One that came before the wait counts, too. */
	raise(SIGALRM);
	API_FAILS(mtcp_epoll_wait(api_ctx, ep, &ev, 1, 20000), EINTR);
	ck_assert(mtcp_register_signal(SIGALRM, SIG_DFL) == hear);
	ck_assert(mtcp_register_signal(SIGALRM, SIG_IGN) == SIG_DFL);
	ck_assert(mtcp_register_signal(0, hear) == SIG_ERR);
}
END_TEST

START_TEST(contexts_are_numbered)
{
	API_FAILS(mtcp_create_context(0) ? 0 : -1, EINVAL); /* there is one */
	API_FAILS(mtcp_create_context(-1) ? 0 : -1, EINVAL);
	API_FAILS(mtcp_create_context(1 << 20) ? 0 : -1, EINVAL);
	mtcp_destroy_context(api_ctx);
	ck_assert_ptr_eq(mtcp_create_context(0), api_ctx);
	ck_assert_int_ge(new_socket(), 0);
	ck_assert_int_eq(mtcp_core_affinitize(0), 0);
	API_FAILS(mtcp_core_affinitize(-1), EINVAL);
	mtcp_destroy();
	API_FAILS(new_socket(), EPERM);
	API_FAILS(mtcp_create_context(0) ? 0 : -1, EPERM);
	api_setup();
}
END_TEST

/* What a destroyed context had is closed. */
START_TEST(destroying_a_context_closes)
{
	mctx_t other = second_context();
	struct sockaddr_in at;
	int l = api_listen(api_ctx, &at), a = mtcp_socket(other, AF_INET, SOCK_STREAM, 0), b;
	char c;

	api_block(other, a, 1);
	ck_assert_int_eq(mtcp_connect(other, a, (struct sockaddr *)&at, sizeof(at)), 0);
	b = api_accept(api_ctx, l);
	ck_assert_int_eq(mtcp_write(other, a, "z", 1), 1);
	mtcp_destroy_context(other);
	ck_assert_int_eq(api_read(api_ctx, b, &c, 1), 1);
	ck_assert_int_eq(api_read(api_ctx, b, &c, 1), 0);
}
END_TEST

/* A child has no context, and the parent's are unharmed by its end. It may begin anew. */
START_TEST(a_fork_keeps_the_contexts_with_the_parent)
{
	int a, b, status;
	char c;
	pid_t pid;

	api_pair(&a, &b);
	pid = fork();
	if (pid == 0) {
		bool lost = mtcp_write(api_ctx, a, "x", 1) == -1 && errno == EPERM;
		bool anew = mtcp_init(NULL) == 0 && mtcp_create_context(0) && new_socket() >= 0;

		mtcp_destroy();
		_exit(!lost + 2 * !anew);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "y", 1), 1);
	ck_assert_int_eq(api_read(api_ctx, b, &c, 1), 1);
	ck_assert_int_eq(c, 'y');
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("calls");

	tcase_add_checked_fixture(t, api_setup, api_teardown);
	tcase_add_test(t, bind_refuses_what_mtcp_refuses);
	tcase_add_test(t, listen_refuses_what_mtcp_refuses);
	tcase_add_test(t, each_context_may_listen_on_a_port);
	tcase_add_test(t, accept_tells_who_it_is);
	tcase_add_test(t, connect_refuses_what_mtcp_refuses);
	tcase_add_test(t, connect_begins_where_it_is_bound);
	tcase_add_test(t, init_rss_chooses_source_addresses);
	tcase_add_test(t, abort_resets);
	tcase_add_test(t, shutdown_closes_a_half);
	tcase_add_test(t, vectors_are_one_stream);
	tcase_add_test(t, recv_may_peek);
	tcase_add_test(t, ioctl_knows_what_is_queued);
	tcase_add_test(t, options_read_back);
	tcase_add_test(t, accepted_sockets_inherit_options);
	tcase_add_test(t, pipe_carries_bytes);
	tcase_add_test(t, pipe_is_for_other_threads);
	tcase_add_test(t, a_signal_ends_a_wait);
	tcase_add_test(t, contexts_are_numbered);
	tcase_add_test(t, destroying_a_context_closes);
	tcase_add_test(t, a_fork_keeps_the_contexts_with_the_parent);
	return unit_run("mtcp_calls", t);
}
