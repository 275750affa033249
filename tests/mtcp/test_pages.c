/* The two pages of mTCP's manual that came with the task, sentence by sentence: each test names, in its
 * own words, the sentence that it is about.
 *
 * mtcp_socket
 *   makes an endpoint for a connection                      makes_an_endpoint
 *   is much like a BSD socket                               is_like_a_bsd_socket
 *   takes the context of a core                             belongs_to_a_context
 *   the domain is AF_INET, that is IPv4                     domain_is_ipv4
 *   the type is SOCK_STREAM: reliable, in order, both ways  stream_is_reliable_in_order_both_ways
 *   the protocol is taken to be 0                           protocol_is_zero
 *   must be ESTABLISHED before data can move                no_data_before_established
 *   mtcp_connect() makes a connection                       connect_makes_a_connection
 *   mtcp_read() and mtcp_write() exchange data              stream_is_reliable_in_order_both_ways
 *   mtcp_close() ends the session                           close_ends_the_session
 *   options by mtcp_setsockopt() and mtcp_getsockopt()      options_change_what_a_socket_does
 *   non-blocking unless told otherwise                      is_non_blocking_by_default
 *   returns a descriptor, or -1 and errno                   returns_a_descriptor_or_minus_one
 *   each context has a pool of its own                      each_context_has_its_own_pool
 *   EAFNOSUPPORT, EINVAL, ENFILE                            eafnosupport, einval, enfile
 * mtcp_write
 *   sends up to len bytes of buf                            sends_up_to_len_bytes
 *   to the socket that sockid names                         sends_to_the_socket_named
 *   may write less; the result is what was written          is_short_when_space_is_short
 *   takes the context of a core                             write_belongs_to_a_context
 *   returns the number of bytes, or -1 and errno            write_returns_bytes_or_minus_one
 *   EAGAIN: full, call again when there is space            eagain_until_there_is_space
 *   EBADF: not valid for writing                            ebadf
 *   ENOTCONN outside ESTABLISHED and CLOSE_WAIT             enotconn_by_state
 *   ENOTSOCK: not a socket                                  enotsock */
// SPDX-License-Identifier: MIT
#include "tests/mtcp/api.h"
#include "tests/unit/unit.h"

static int new_socket(void) { return mtcp_socket(api_ctx, AF_INET, SOCK_STREAM, 0); }

/* ---- mtcp_socket ---- */
START_TEST(makes_an_endpoint)
{
	struct sockaddr_in name = api_addr(9);
	socklen_t len = sizeof(name);
	int id = new_socket(), v = -1;

	ck_assert_int_ge(id, 0);
	ck_assert_int_eq(mtcp_getsockname(api_ctx, id, (struct sockaddr *)&name, &len), 0);
	ck_assert_int_eq(name.sin_port, 0);
	len = sizeof(v);
	ck_assert_int_eq(mtcp_getsockopt(api_ctx, id, SOL_SOCKET, SO_TYPE, &v, &len), 0);
	ck_assert_int_eq(v, SOCK_STREAM);
	ck_assert_int_eq(mtcp_close(api_ctx, id), 0);
}
END_TEST

START_TEST(is_like_a_bsd_socket)
{
	struct sockaddr_in at, peer;
	int l = api_listen(api_ctx, &at), a = new_socket(), b;
	socklen_t len = sizeof(peer);
	char word[6] = "";

	api_block(api_ctx, a, 1);
	ck_assert_int_eq(mtcp_connect(api_ctx, a, (struct sockaddr *)&at, sizeof(at)), 0);
	b = api_accept(api_ctx, l);
	ck_assert_int_eq(mtcp_getpeername(api_ctx, a, (struct sockaddr *)&peer, &len), 0);
	ck_assert_int_eq(peer.sin_port, at.sin_port);
	ck_assert_int_eq(peer.sin_addr.s_addr, at.sin_addr.s_addr);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "hello", 5), 5);
	ck_assert_int_eq(api_read(api_ctx, b, word, 5), 5);
	ck_assert_str_eq(word, "hello");
}
END_TEST

START_TEST(belongs_to_a_context)
{
	struct mtcp_conf conf;
	mctx_t other;
	int id, theirs;

	mtcp_getconf(&conf);
	conf.num_cores = 2;
	mtcp_setconf(&conf);
	ck_assert_ptr_nonnull(other = mtcp_create_context(1));
	id = new_socket();
	ck_assert_int_ge(new_socket(), 0);
	theirs = mtcp_socket(other, AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(theirs, id); /* the first of each */
	ck_assert_int_eq(mtcp_close(api_ctx, id), 0);
	ck_assert_int_eq(mtcp_close(other, theirs), 0);
	ck_assert_int_eq(mtcp_close(api_ctx, id + 1), 0);
	API_FAILS(mtcp_close(other, id + 1), EBADF);
	API_FAILS(mtcp_socket(NULL, AF_INET, SOCK_STREAM, 0), EINVAL);
	mtcp_destroy_context(other);
	API_FAILS(mtcp_socket(other, AF_INET, SOCK_STREAM, 0), EPERM);
}
END_TEST

START_TEST(domain_is_ipv4)
{
	struct sockaddr_in at, name;
	int l = api_listen(api_ctx, &at);
	socklen_t len = sizeof(name);

	ck_assert_int_eq(mtcp_getsockname(api_ctx, l, (struct sockaddr *)&name, &len), 0);
	ck_assert_int_eq(name.sin_family, AF_INET);
	ck_assert_int_eq(len, sizeof(name));
	ck_assert_int_eq(name.sin_addr.s_addr, api_addr(0).sin_addr.s_addr);
}
END_TEST

/* 4 MB each way at the same time; every byte, in its place. */
START_TEST(stream_is_reliable_in_order_both_ways)
{
	enum { TOTAL = 4 << 20, STEP = 30011 };
	static char out[2][TOTAL], in[2][TOTAL];
	size_t sent[2] = { 0 }, got[2] = { 0 };
	int end[2];

	api_pair(&end[0], &end[1]);
	for (size_t i = 0; i < TOTAL; i++) {
		out[0][i] = (char)(i * 31 + (i >> 12));
		out[1][i] = (char)(i * 17 + (i >> 10));
	}
	for (uint64_t stop = api_now_ms() + 60000; got[0] < TOTAL || got[1] < TOTAL;) {
		ck_assert_msg(api_now_ms() < stop, "%zu and %zu bytes in time", got[0], got[1]);
		for (int i = 0; i < 2; i++) {
			size_t n = TOTAL - sent[i] < STEP ? TOTAL - sent[i] : STEP;
			ssize_t r = n ? mtcp_write(api_ctx, end[i], out[i] + sent[i], n) : 0;

			ck_assert(r >= 0 || errno == EAGAIN);
			sent[i] += r > 0 ? (size_t)r : 0;
			r = mtcp_read(api_ctx, end[!i], in[i] + got[i], TOTAL - got[i] ? TOTAL - got[i] : 1);
			ck_assert(r > 0 || errno == EAGAIN);
			got[i] += r > 0 ? (size_t)r : 0;
		}
	}
	ck_assert_mem_eq(out[0], in[0], TOTAL);
	ck_assert_mem_eq(out[1], in[1], TOTAL);
}
END_TEST

START_TEST(protocol_is_zero)
{
	ck_assert_int_ge(mtcp_socket(api_ctx, AF_INET, SOCK_STREAM, 0), 0);
	ck_assert_int_ge(mtcp_socket(api_ctx, AF_INET, SOCK_STREAM, IPPROTO_TCP), 0);
	API_FAILS(mtcp_socket(api_ctx, AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
}
END_TEST

START_TEST(no_data_before_established)
{
	struct sockaddr_in nobody = api_addr(0);
	int id = new_socket();
	char c;

	API_FAILS(mtcp_write(api_ctx, id, "x", 1), ENOTCONN);
	API_FAILS(mtcp_read(api_ctx, id, &c, 1), ENOTCONN);
	ck_assert_int_eq(mtcp_bind(api_ctx, id, (struct sockaddr *)&nobody, sizeof(nobody)), 0);
	API_FAILS(mtcp_write(api_ctx, id, "x", 1), ENOTCONN);
	API_FAILS(mtcp_read(api_ctx, id, &c, 1), ENOTCONN);
}
END_TEST

START_TEST(connect_makes_a_connection)
{
	struct sockaddr_in at;
	int l = api_listen(api_ctx, &at), id = new_socket();
	socklen_t len = sizeof(at);

	API_FAILS(mtcp_connect(api_ctx, id, (struct sockaddr *)&at, sizeof(at)), EINPROGRESS);
	API_UNTIL(mtcp_getpeername(api_ctx, id, (struct sockaddr *)&at, &len) == 0);
	ck_assert_int_ge(api_accept(api_ctx, l), 0);
	API_FAILS(mtcp_connect(api_ctx, id, (struct sockaddr *)&at, sizeof(at)), EISCONN);
}
END_TEST

START_TEST(close_ends_the_session)
{
	int a, b;
	char c;

	api_pair(&a, &b);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "x", 1), 1);
	ck_assert_int_eq(mtcp_close(api_ctx, a), 0);
	ck_assert_int_eq(api_read(api_ctx, b, &c, 1), 1);
	ck_assert_int_eq(api_read(api_ctx, b, &c, 1), 0);
	API_FAILS(mtcp_write(api_ctx, a, "x", 1), EBADF);
	API_FAILS(mtcp_close(api_ctx, a), EBADF);
	ck_assert_int_eq(mtcp_close(api_ctx, b), 0);
}
END_TEST

START_TEST(options_change_what_a_socket_does)
{
	int a, b, v = 4096, one = 1;
	socklen_t len = sizeof(v);
	struct linger none = { 1, 0 };
	char c;

	api_pair(&a, &b);
	ck_assert_int_eq(mtcp_setsockopt(api_ctx, a, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)), 0);
	ck_assert_int_eq(mtcp_setsockopt(api_ctx, a, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)), 0);
	v = 0;
	ck_assert_int_eq(mtcp_getsockopt(api_ctx, a, SOL_SOCKET, SO_KEEPALIVE, &v, &len), 0);
	ck_assert_int_eq(v, 1);
	ck_assert_int_eq(mtcp_getsockopt(api_ctx, a, SOL_SOCKET, SO_SNDBUF, &v, &len), 0);
	ck_assert_int_eq(v, 4096);
	API_FAILS(mtcp_setsockopt(api_ctx, a, SOL_SOCKET, SO_PRIORITY, &v, sizeof(v)), ENOSYS);
	API_FAILS(mtcp_getsockopt(api_ctx, a, IPPROTO_IP, 1, &v, &len), ENOSYS);
	/* It does something: a close with no time to linger resets. */
	ck_assert_int_eq(mtcp_setsockopt(api_ctx, a, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	ck_assert_int_eq(mtcp_close(api_ctx, a), 0);
	API_UNTIL(mtcp_read(api_ctx, b, &c, 1) < 0 && errno == ENOTCONN);
	ck_assert_int_eq(mtcp_getsockopt(api_ctx, b, SOL_SOCKET, SO_ERROR, &v, &len), 0);
	ck_assert_int_eq(v, ECONNRESET);
	ck_assert_int_eq(mtcp_getsockopt(api_ctx, b, SOL_SOCKET, SO_ERROR, &v, &len), 0);
	ck_assert_int_eq(v, 0);
}
END_TEST

START_TEST(is_non_blocking_by_default)
{
	struct sockaddr_in at;
	int l = api_listen(api_ctx, &at), a = new_socket(), b;
	char c;

	API_FAILS(mtcp_accept(api_ctx, l, NULL, NULL), EAGAIN);
	API_FAILS(mtcp_connect(api_ctx, a, (struct sockaddr *)&at, sizeof(at)), EINPROGRESS);
	b = api_accept(api_ctx, l);
	API_FAILS(mtcp_read(api_ctx, b, &c, 1), EAGAIN);
	api_fill(api_ctx, b); /* ends with EAGAIN */
}
END_TEST

START_TEST(returns_a_descriptor_or_minus_one)
{
	int a = new_socket(), b = new_socket();

	ck_assert_int_ge(a, 0);
	ck_assert_int_ge(b, 0);
	ck_assert_int_ne(a, b);
	ck_assert_int_eq(mtcp_close(api_ctx, a), 0);
	ck_assert_int_eq(new_socket(), a);
	errno = 0;
	ck_assert_int_eq(mtcp_socket(api_ctx, -1, SOCK_STREAM, 0), -1);
	ck_assert_int_ne(errno, 0);
}
END_TEST

static mctx_t small_context(int cpu, int n)
{
	struct mtcp_conf conf;
	mctx_t m;

	mtcp_getconf(&conf);
	conf.num_cores = cpu + 1;
	conf.max_concurrency = n;
	ck_assert_int_eq(mtcp_setconf(&conf), 0);
	m = mtcp_create_context(cpu);
	ck_assert_ptr_nonnull(m);
	return m;
}

START_TEST(each_context_has_its_own_pool)
{
	mctx_t two = small_context(1, 2), three = small_context(2, 3);

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(mtcp_socket(two, AF_INET, SOCK_STREAM, 0), i);
	API_FAILS(mtcp_socket(two, AF_INET, SOCK_STREAM, 0), ENFILE);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(mtcp_socket(three, AF_INET, SOCK_STREAM, 0), i);
	API_FAILS(mtcp_socket(three, AF_INET, SOCK_STREAM, 0), ENFILE);
	ck_assert_int_ge(new_socket(), 0);
}
END_TEST

START_TEST(eafnosupport)
{
	static const int domains[] = { AF_UNSPEC, AF_UNIX, AF_INET6, 99, -1 };

	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++)
		API_FAILS(mtcp_socket(api_ctx, domains[i], SOCK_STREAM, 0), EAFNOSUPPORT);
}
END_TEST

START_TEST(einval)
{
	static const int types[] = { 0, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM | SOCK_NONBLOCK,
				     -1 };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		API_FAILS(mtcp_socket(api_ctx, AF_INET, types[i], 0), EINVAL);
}
END_TEST

/* Also by accept(), which leaves the connection for later. */
START_TEST(enfile)
{
	mctx_t m = small_context(1, 2);
	struct sockaddr_in at;
	int l = api_listen(m, &at), other, id, a = new_socket();

	other = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);
	API_FAILS(mtcp_socket(m, AF_INET, SOCK_STREAM, 0), ENFILE);
	API_FAILS(mtcp_epoll_create(m, 8), ENFILE);
	API_FAILS(mtcp_accept(m, l, NULL, NULL), EAGAIN);
	api_block(api_ctx, a, 1);
	ck_assert_int_eq(mtcp_connect(api_ctx, a, (struct sockaddr *)&at, sizeof(at)), 0);
	API_FAILS(mtcp_accept(m, l, NULL, NULL), ENFILE);
	ck_assert_int_eq(mtcp_close(m, other), 0);
	id = api_accept(m, l);
	ck_assert_int_eq(id, other);
	ck_assert_int_eq(mtcp_close(m, id), 0);
	ck_assert_int_eq(mtcp_socket(m, AF_INET, SOCK_STREAM, 0), other);
}
END_TEST

/* ---- mtcp_write ---- */
START_TEST(sends_up_to_len_bytes)
{
	char in[16] = "";
	int a, b;

	api_pair(&a, &b);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "hello world", 5), 5);
	ck_assert_int_eq(mtcp_close(api_ctx, a), 0);
	ck_assert_int_eq(api_read(api_ctx, b, in, sizeof(in)), 5);
	ck_assert_str_eq(in, "hello");
}
END_TEST

START_TEST(sends_to_the_socket_named)
{
	int a, b, c, d;
	char in[2] = "";

	api_pair(&a, &b);
	api_pair(&c, &d);
	ck_assert_int_eq(mtcp_write(api_ctx, c, "c", 1), 1);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "a", 1), 1);
	ck_assert_int_eq(api_read(api_ctx, b, in, 1), 1);
	ck_assert_int_eq(in[0], 'a');
	ck_assert_int_eq(api_read(api_ctx, d, in, 1), 1);
	ck_assert_int_eq(in[0], 'c');
}
END_TEST

START_TEST(is_short_when_space_is_short)
{
	enum { TOTAL = 8 << 20 };
	static char out[TOTAL], in[TOTAL];
	int a, b, small = 8192;
	ssize_t sent;

	api_pair(&a, &b);
	mtcp_setsockopt(api_ctx, a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	mtcp_setsockopt(api_ctx, b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (size_t i = 0; i < TOTAL; i++)
		out[i] = (char)(i * 13 + (i >> 9));
	sent = mtcp_write(api_ctx, a, out, TOTAL);
	ck_assert_int_gt(sent, 0);
	ck_assert_int_lt(sent, TOTAL);
	ck_assert_int_eq(mtcp_close(api_ctx, a), 0);
	ck_assert_int_eq(api_read(api_ctx, b, in, TOTAL), sent);
	ck_assert_mem_eq(in, out, (size_t)sent);
}
END_TEST

START_TEST(write_belongs_to_a_context)
{
	mctx_t other = small_context(1, 64);
	int a, b;

	api_pair(&a, &b);
	API_FAILS(mtcp_write(NULL, a, "x", 1), EINVAL);
	API_FAILS(mtcp_write(other, a, "x", 1), EBADF);
	mtcp_destroy_context(other);
	API_FAILS(mtcp_write(other, a, "x", 1), EPERM);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "x", 1), 1);
}
END_TEST

START_TEST(write_returns_bytes_or_minus_one)
{
	static const size_t n[] = { 1, 2, 64, 1448, 1460, 4096, 20000, 0 };
	static char buf[20000];
	int a, b;

	api_pair(&a, &b);
	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		ck_assert_int_eq(mtcp_write(api_ctx, a, buf, n[i]), (ssize_t)n[i]);
		ck_assert_int_eq(api_read(api_ctx, b, buf, n[i]), (ssize_t)n[i]);
	}
	errno = 0;
	ck_assert_int_eq(mtcp_write(api_ctx, -1, buf, 1), -1);
	ck_assert_int_ne(errno, 0);
}
END_TEST

START_TEST(eagain_until_there_is_space)
{
	static char buf[65536];
	int a, b, small = 8192;
	size_t sent, got = 0;

	api_pair(&a, &b);
	mtcp_setsockopt(api_ctx, a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	mtcp_setsockopt(api_ctx, b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	sent = api_fill(api_ctx, a);
	/* A probe of the closed window may make room once more. */
	for (int full = 0, tries = 0; full < 2; tries++) {
		ssize_t r = mtcp_write(api_ctx, a, "x", 1);

		ck_assert(r == 1 || (r == -1 && errno == EAGAIN));
		ck_assert_int_lt(tries, 10000);
		sent += r == 1;
		full = r == 1 ? 0 : full + 1;
	}
	while (got < sent) {
		ssize_t r = api_read(api_ctx, b, buf, sent - got < sizeof(buf) ? sent - got : sizeof(buf));

		ck_assert_int_gt(r, 0);
		got += (size_t)r;
	}
	API_UNTIL(mtcp_write(api_ctx, a, "x", 1) == 1);
	ck_assert_int_eq(api_read(api_ctx, b, buf, 1), 1);
}
END_TEST

START_TEST(ebadf)
{
	int a, b, p[2];

	api_pair(&a, &b);
	mtcp_close(api_ctx, a);
	API_FAILS(mtcp_write(api_ctx, a, "x", 1), EBADF);
	API_FAILS(mtcp_write(api_ctx, -1, "x", 1), EBADF);
	API_FAILS(mtcp_write(api_ctx, 1 << 30, "x", 1), EBADF);
	ck_assert_int_eq(mtcp_pipe(api_ctx, p), 0);
	API_FAILS(mtcp_write(api_ctx, p[0], "x", 1), EBADF); /* not for writing */
}
END_TEST

/* A socket in SYN-SENT: the listener has no place left, so that nobody answers. */
static int connecting(int l, const struct sockaddr_in *at)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	int id = -1;

	ck_assert_int_eq(mtcp_listen(api_ctx, l, 1), 0);
	for (int i = 0; i < 10; i++) {
		id = new_socket();
		API_FAILS(mtcp_connect(api_ctx, id, (const struct sockaddr *)at, sizeof(*at)), EINPROGRESS);
		for (uint64_t end = api_now_ms() + 200; api_now_ms() < end; usleep(1000))
			if (mtcp_getpeername(api_ctx, id, (struct sockaddr *)&peer, &len) == 0)
				break;
		if (mtcp_getpeername(api_ctx, id, (struct sockaddr *)&peer, &len) < 0)
			return id;
	}
	ck_abort_msg("a listener with a queue of 1 takes 10");
}

/* CLOSED, LISTEN, SYN-SENT, ESTABLISHED, FIN-WAIT, CLOSE-WAIT, LAST-ACK, TIME-WAIT, and after a reset. */
START_TEST(enotconn_by_state)
{
	struct sockaddr_in at;
	int a, b, id = new_socket(), l = api_listen(api_ctx, &at);
	char c;

	API_FAILS(mtcp_write(api_ctx, id, "x", 1), ENOTCONN);
	API_FAILS(mtcp_write(api_ctx, l, "x", 1), ENOTSOCK); /* mTCP: a listener is no end of a stream */
	id = connecting(l, &at);
	API_FAILS(mtcp_write(api_ctx, id, "x", 1), ENOTCONN);
	API_FAILS(mtcp_read(api_ctx, id, &c, 1), ENOTCONN);
	api_pair(&a, &b);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "x", 1), 1);
	ck_assert_int_eq(mtcp_shutdown(api_ctx, a, SHUT_WR), 0);
	API_FAILS(mtcp_write(api_ctx, a, "x", 1), ENOTCONN);
	ck_assert_int_eq(api_read(api_ctx, b, &c, 1), 1);
	ck_assert_int_eq(api_read(api_ctx, b, &c, 1), 0);
	ck_assert_int_eq(mtcp_write(api_ctx, b, "y", 1), 1); /* CLOSE-WAIT */
	ck_assert_int_eq(api_read(api_ctx, a, &c, 1), 1);
	ck_assert_int_eq(mtcp_shutdown(api_ctx, b, SHUT_WR), 0);
	API_FAILS(mtcp_write(api_ctx, b, "x", 1), ENOTCONN);
	ck_assert_int_eq(api_read(api_ctx, a, &c, 1), 0);
	API_FAILS(mtcp_write(api_ctx, a, "x", 1), ENOTCONN);
	api_pair(&a, &b);
	ck_assert_int_eq(mtcp_abort(api_ctx, a), 0);
	API_UNTIL(mtcp_write(api_ctx, b, "x", 1) < 0 && errno == ENOTCONN);
}
END_TEST

START_TEST(enotsock)
{
	int ep = mtcp_epoll_create(api_ctx, 8);
	struct sockaddr_in at;
	int l = api_listen(api_ctx, &at);

	API_FAILS(mtcp_write(api_ctx, ep, "x", 1), ENOTSOCK);
	API_FAILS(mtcp_write(api_ctx, l, "x", 1), ENOTSOCK);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("pages");

	tcase_add_checked_fixture(t, api_setup, api_teardown);
	tcase_add_test(t, makes_an_endpoint);
	tcase_add_test(t, is_like_a_bsd_socket);
	tcase_add_test(t, belongs_to_a_context);
	tcase_add_test(t, domain_is_ipv4);
	tcase_add_test(t, stream_is_reliable_in_order_both_ways);
	tcase_add_test(t, protocol_is_zero);
	tcase_add_test(t, no_data_before_established);
	tcase_add_test(t, connect_makes_a_connection);
	tcase_add_test(t, close_ends_the_session);
	tcase_add_test(t, options_change_what_a_socket_does);
	tcase_add_test(t, is_non_blocking_by_default);
	tcase_add_test(t, returns_a_descriptor_or_minus_one);
	tcase_add_test(t, each_context_has_its_own_pool);
	tcase_add_test(t, eafnosupport);
	tcase_add_test(t, einval);
	tcase_add_test(t, enfile);
	tcase_add_test(t, sends_up_to_len_bytes);
	tcase_add_test(t, sends_to_the_socket_named);
	tcase_add_test(t, is_short_when_space_is_short);
	tcase_add_test(t, write_belongs_to_a_context);
	tcase_add_test(t, write_returns_bytes_or_minus_one);
	tcase_add_test(t, eagain_until_there_is_space);
	tcase_add_test(t, ebadf);
	tcase_add_test(t, enotconn_by_state);
	tcase_add_test(t, enotsock);
	return unit_run("mtcp_pages", t);
}
