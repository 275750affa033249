/* Sockets of two applications over one engine: connect, accept, data, close, and death. */
// SPDX-License-Identifier: MIT
#include "pair.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "../unit.h"
#include "stack/base/util.h"

/* One or two workers, by the loop index. */
START_TEST(hello_and_goodbye)
{
	char buf[16];
	uint16_t port;

	pair_up((uint32_t)_i);
	struct end l = rig_listen(&srv, 0, 8, &port);
	ck_assert_uint_eq(end_ready(l), 0);
	struct end c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	struct end s = rig_accept(l);
	ck_assert_uint_eq(end_a(s)->remote.port, end_a(c)->local.port);
	ck_assert_uint_eq(end_ready(c), EPOLLOUT | EPOLLWRNORM);
	rig_write(c, "hello", 5);
	ck_assert_uint_eq(rig_read(s, buf, 5), 5);
	ck_assert_mem_eq(buf, "hello", 5);
	rig_write(s, "world!", 6);
	ck_assert_uint_eq(rig_read(c, buf, 6), 6);
	rig_close(c);
	ck_assert_uint_eq(rig_read(s, buf, 1), 0);
	ck_assert_uint_eq(end_ready(s), EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLOUT |
						EPOLLWRNORM);
	rig_close(s);
	RIG_WAIT(atomic_load(&ccli->n_socks) == 0 && atomic_load(&csrv->n_socks) == 1);
	ck_assert_uint_eq(rig->rst, 0);
	rig_close(l);
	RIG_WAIT(atomic_load(&csrv->n_socks) == 0);
	pair_down();
}
END_TEST

struct bulk {
	struct end s;
	size_t n;
};
static void *bulk_write(void *arg)
{
	struct bulk *b = arg;
	static uint8_t buf[300000];

	for (size_t at = 0, step = 1; at < b->n; at += step) {
		step = step * 7 % 299993 + 1;
		if (step > b->n - at)
			step = b->n - at;
		pair_pattern(buf, step, (uint32_t)at);
		rig_write(b->s, buf, step);
	}
	return NULL;
}

START_TEST(bulk_data_arrives_unchanged)
{
	static uint8_t got[300000], want[300000];
	uint16_t port;
	pthread_t t;

	pair_up((uint32_t)_i);
	struct end l = rig_listen(&srv, 0, 8, &port);
	struct bulk b = { .n = 64 << 20 };
	b.s = rig_connect(&cli, port, NULL);
	rig_connected(b.s);
	struct end s = rig_accept(l);
	pthread_create(&t, NULL, bulk_write, &b);
	for (size_t at = 0, step = 1; at < b.n; at += step) {
		step = step * 7 % 299993 + 1;
		if (step > b.n - at)
			step = b.n - at;
		ck_assert_uint_eq(rig_read(s, got, step), step);
		pair_pattern(want, step, (uint32_t)at);
		ck_assert_mem_eq(got, want, step);
	}
	pthread_join(t, NULL);
	rig_close(b.s);
	ck_assert_uint_eq(rig_read(s, got, 1), 0);
	pair_down();
}
END_TEST

START_TEST(full_buffer_asks_for_one_event)
{
	static uint8_t buf[16 << 20];
	uint16_t port;

	pair_up(1);
	struct end l = rig_listen(&srv, 0, 8, &port);
	struct end c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	struct end s = rig_accept(l);
	struct iovec iov = { buf, sizeof(buf) };
	size_t total = 0;
	/* Nobody reads: window and buffer fill. */
	for (int quiet = 0; quiet < 50; quiet++) {
		ssize_t n = chan_tx_write(&cli, c.id, &iov, 1);
		ck_assert_int_ge(n, 0);
		total += (size_t)n;
		if (n)
			quiet = 0;
		rig_pause();
	}
	ck_assert(!(end_ready(c) & EPOLLOUT));
	ck_assert_uint_lt(total, sizeof(buf));
	uint32_t wait = end_b(c)->flags & CHAN_B_TX_WAIT, woken = end_a(c)->flags & CHAN_A_TX_WAKE;
	ck_assert(!wait != !woken);
	uint32_t seen = end_a(c)->evseq;
	ck_assert_uint_eq(rig_read(s, buf, total), total);
	RIG_WAIT(end_a(c)->evseq != seen);
	ck_assert(end_ready(c) & EPOLLOUT);
	RIG_WAIT(!(end_b(c)->flags & CHAN_B_TX_WAIT) == !(end_a(c)->flags & CHAN_A_TX_WAKE));
	pair_down();
}
END_TEST

START_TEST(refused_then_connected_on_the_same_socket)
{
	uint16_t port;

	pair_up(1);
	struct end l = rig_listen(&srv, 0, 8, &port);
	struct end c = rig_connect(&cli, 9, NULL);
	RIG_WAIT(end_a(c)->state == CHAN_ST_CLOSED);
	ck_assert_uint_eq(end_ready(c), EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLHUP |
						EPOLLRDHUP | EPOLLERR);
	ck_assert_int_eq(chan_take_error(end_a(c), end_b(c)), ECONNREFUSED);
	ck_assert_int_eq(chan_take_error(end_a(c), end_b(c)), 0);
	struct chan_req req = { .op = CHAN_OP_CONNECT, .sock = c.id, .gen = c.gen,
				.remote = { .addr = RIG_ADDR, .port = port } };
	struct chan_rep rep;
	ck_assert_int_eq(chan_call(&cli, 0, &req, &rep), -EINPROGRESS);
	ck_assert_uint_eq(rep.sock, c.id);
	rig_connected(c);
	rig_accept(l);
	pair_down();
}
END_TEST

START_TEST(errors_of_bind_and_connect)
{
	struct chan_app low;
	struct client_conf conf = { .max_socks = 2 };
	uint16_t port;
	int err;

	pair_up(1);
	struct client *cl = rig_client(rig, &low, &conf);
	struct chan_req req = { .op = CHAN_OP_BIND, .type = 1,
				.local = { .addr = ipaddr_v4(0), .port = 80 } };
	struct chan_rep rep;
	ck_assert_int_eq(chan_call(&low, 0, &req, &rep), -EACCES);
	req.local.addr = ipaddr_v4(0xc0a80001);
	req.local.port = 8080;
	ck_assert_int_eq(chan_call(&low, 0, &req, &rep), -EADDRNOTAVAIL);
	rig_listen(&srv, 8080, 1, &port);
	req.local.addr = ipaddr_v4(0);
	ck_assert_int_eq(chan_call(&low, 0, &req, &rep), -EADDRINUSE);
	struct chan_req far = { .op = CHAN_OP_CONNECT, .sock = CHAN_SOCK_NEW, .type = 1,
				.remote = { .addr = ipaddr_v4(0xc0a80001), .port = 1 } };
	ck_assert_int_eq(chan_call(&low, 0, &far, &rep), -ENETUNREACH);
	struct end c = rig_connect(&low, port, NULL);
	rig_connect(&low, port, NULL);
	rig_connect(&low, port, &err); /* quota: 2 */
	ck_assert_int_eq(err, -ENOBUFS);
	req = (struct chan_req){ .op = CHAN_OP_LISTEN, .sock = 77, .gen = 1 };
	ck_assert_int_eq(chan_call(&low, 0, &req, &rep), -EBADF);
	req = (struct chan_req){ .op = 99, .sock = c.id, .gen = c.gen };
	ck_assert_int_eq(chan_call(&low, 0, &req, &rep), -EOPNOTSUPP);
	rig_client_end(rig, cl, &low);
	pair_down();
}
END_TEST

START_TEST(close_with_unread_data_resets)
{
	uint16_t port;

	pair_up(1);
	struct end l = rig_listen(&srv, 0, 8, &port);
	struct end c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	struct end s = rig_accept(l);
	rig_write(c, "unread", 6);
	RIG_WAIT(chan_rx_avail(end_a(s), end_b(s)) == 6);
	rig_close(s);
	RIG_WAIT(end_a(c)->state == CHAN_ST_CLOSED);
	ck_assert_int_eq(chan_take_error(end_a(c), end_b(c)), ECONNRESET);
	ck_assert_uint_ge(rig->rst, 1);
	pair_down();
}
END_TEST

START_TEST(linger_zero_resets)
{
	uint16_t port;

	pair_up(1);
	struct end l = rig_listen(&srv, 0, 8, &port);
	struct end c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	rig_accept(l);
	end_b(c)->opts.flags |= CHAN_O_LINGER;
	end_b(c)->opts.linger_s = 0;
	atomic_fetch_add(&end_b(c)->opt_seq, 1);
	rig_close(c);
	RIG_WAIT(rig->rst == 1 && atomic_load(&ccli->n_socks) == 0);
	pair_down();
}
END_TEST

START_TEST(queue_of_a_closed_listener_is_reset)
{
	struct end c[4];
	uint16_t port;

	pair_up((uint32_t)_i);
	struct end l = rig_listen(&srv, 0, 8, &port);
	for (int i = 0; i < 4; i++) {
		c[i] = rig_connect(&cli, port, NULL);
		rig_connected(c[i]);
	}
	RIG_WAIT(chan_rx_avail(end_a(l), end_b(l)) == 4);
	struct end s = rig_accept(l);
	rig_close(l);
	for (int i = 1; i < 4; i++)
		RIG_WAIT(end_a(c[i])->state == CHAN_ST_CLOSED || end_a(c[0])->state == CHAN_ST_CLOSED);
	RIG_WAIT(atomic_load(&csrv->n_socks) == 1); /* the accepted one lives */
	RIG_WAIT(rig->rst == 3);
	rig_write(s, "x", 1);
	pair_down();
}
END_TEST

START_TEST(backlog_bounds_the_queue)
{
	struct end c[8];
	uint16_t port;
	int up_n = 0;

	pair_up((uint32_t)_i);
	struct end l = rig_listen(&srv, 0, 2, &port);
	for (int i = 0; i < 8; i++)
		c[i] = rig_connect(&cli, port, NULL);
	RIG_WAIT(chan_rx_avail(end_a(l), end_b(l)) >= 3); /* backlog + 1, as Linux */
	for (int i = 0; i < 20; i++)
		rig_pause();
	/* however many data threads serve it; each may not have seen the last one of another */
	ck_assert_uint_le(chan_rx_avail(end_a(l), end_b(l)), 3 + (uint32_t)_i - 1);
	/* accept() makes room: the others get in when they try again */
	for (int i = 0; i < 8; i++) {
		rig_accept(l);
		up_n++;
	}
	ck_assert_int_eq(up_n, 8);
	for (int i = 0; i < 8; i++)
		rig_connected(c[i]);
	pair_down();
}
END_TEST

START_TEST(death_of_the_program_frees_port_and_resets)
{
	uint16_t port;
	char c1;

	pair_up((uint32_t)_i);
	struct end l = rig_listen(&srv, 7000, 8, &port);
	struct end a = rig_connect(&cli, port, NULL), b = rig_connect(&cli, port, NULL);
	rig_connected(a);
	rig_connected(b);
	struct end s = rig_accept(l);
	struct end s2 = rig_accept(l);
	/* one has unread data, the other has not */
	struct end with = end_a(s)->remote.port == end_a(a)->local.port ? a : b;
	struct end without = with.id == a.id && with.app == a.app ? b : a;
	(void)s2;
	rig_write(with, "data", 4);
	RIG_WAIT(chan_rx_avail(end_a(s), end_b(s)) == 4);
	client_proc_gone(csrv, srv.proc);
	client_del(csrv);
	RIG_WAIT(end_a(with)->state == CHAN_ST_CLOSED);
	ck_assert_int_eq(chan_take_error(end_a(with), end_b(with)), ECONNRESET);
	ck_assert_uint_eq(rig_read(without, &c1, 1), 0); /* a FIN */
	struct chan_app again;
	struct client *c2 = rig_client(rig, &again, NULL);
	rig_listen(&again, 7000, 8, &port);
	rig_close(without);
	rig_client_end(rig, ccli, &cli);
	rig_client_wait(rig, csrv, &srv);
	rig_client_end(rig, c2, &again);
	rig_free(rig);
}
END_TEST

START_TEST(orphan_delivers_what_was_written)
{
	static uint8_t buf[1 << 20], got[1 << 20];
	uint16_t port;

	pair_up(1);
	struct end l = rig_listen(&srv, 0, 8, &port);
	struct end c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	struct end s = rig_accept(l);
	pair_pattern(buf, sizeof(buf), 1);
	/* As much as fits without anybody reading, then the program dies. */
	size_t total = 0;
	for (int quiet = 0; quiet < 20; quiet++) {
		struct iovec iov = { buf + total, sizeof(buf) - total };
		ssize_t n = chan_tx_write(&cli, c.id, &iov, 1);
		total += (size_t)n;
		quiet = n ? 0 : quiet;
		rig_pause();
	}
	client_proc_gone(ccli, cli.proc);
	client_del(ccli);
	ck_assert_uint_eq(rig_read(s, got, sizeof(got)), total);
	ck_assert_mem_eq(got, buf, total);
	rig_close(s);
	rig_client_wait(rig, ccli, &cli);
	rig_client_end(rig, csrv, &srv);
	rig_free(rig);
}
END_TEST

/* A forked child holds the parent's sockets by its own bits. */
START_TEST(sockets_live_until_the_last_holder_ends)
{
	uint16_t port;
	char x;

	pair_up(1);
	struct end l = rig_listen(&srv, 0, 8, &port);
	struct end c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	struct end s = rig_accept(l);
	uint32_t child = (uint32_t)client_add_proc(csrv);
	for (uint32_t i = 0; i < 4096 / 64; i++)
		srv.held[child].word[i] = atomic_load(&srv.held[srv.proc].word[i]);
	rig_close(s); /* parent closes, child still has it */
	rig_write(c, "a", 1);
	RIG_WAIT(chan_rx_avail(end_a(s), end_b(s)) == 1);
	client_proc_gone(csrv, child);
	RIG_WAIT(end_a(c)->state == CHAN_ST_CLOSED); /* unread: reset */
	ck_assert_uint_eq(end_a(l)->state, CHAN_ST_LISTENING); /* the parent holds it */
	struct end d = rig_connect(&cli, port, NULL);
	rig_connected(d);
	struct end e = rig_accept(l);
	rig_close(d);
	ck_assert_uint_eq(rig_read(e, &x, 1), 0);
	pair_down();
}
END_TEST

START_TEST(event_queue_tells_which)
{
	uint16_t port;
	uint32_t ids[8], overflow = 0;
	bool lost;
	int pfd;

	pair_up(1);
	struct end l = rig_listen(&srv, 0, 8, &port);
	int evq = client_evq_open(csrv, 0, -1, &pfd);
	ck_assert_int_ge(evq, 0);
	srv.evq_b[evq].in_use = 1;
	RIG_WAIT(atomic_load(&end_a(l)->evseq) == 1); /* listen() itself was a change */
	chan_subscribe(&srv, l.id, (uint32_t)evq);
	ck_assert(chan_evq_sleep(&srv, (uint32_t)evq, overflow));
	struct end c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	ck_assert_int_eq(rig_read_byte(pfd), 1);
	chan_evq_awake(&srv, (uint32_t)evq);
	chan_evq_heard(&srv, (uint32_t)evq);
	ck_assert_uint_eq(chan_evq_drain(&srv, (uint32_t)evq, ids, 8, &overflow, &lost), 1);
	ck_assert_uint_eq(ids[0], l.id);
	ck_assert(!lost);
	ck_assert_uint_eq(end_ready(l), EPOLLIN | EPOLLRDNORM);
	struct end s = rig_accept(l);
	chan_subscribe(&srv, s.id, (uint32_t)evq);
	for (int i = 0; i < 5; i++) {
		rig_write(c, "y", 1);
		RIG_WAIT(chan_evq_pending(&srv, (uint32_t)evq, overflow));
		rig_write(c, "z", 1);
		RIG_WAIT(chan_rx_avail(end_a(s), end_b(s)) == 2u * (uint32_t)(i + 1));
		ck_assert_uint_ge(chan_evq_drain(&srv, (uint32_t)evq, ids, 8, &overflow, &lost), 1);
		ck_assert_uint_eq(ids[0], s.id);
		while (chan_evq_drain(&srv, (uint32_t)evq, ids, 8, &overflow, &lost))
			;
	}
	chan_unsubscribe(&srv, s.id, (uint32_t)evq);
	client_evq_close(csrv, 0, (uint32_t)evq);
	ck_assert_int_eq(rig_read_byte(pfd), 0); /* the engine's end is closed */
	close(pfd);
	pair_down();
}
END_TEST

START_TEST(queues_of_a_dead_process_are_closed)
{
	int fd[2];

	pair_up(1);
	uint32_t child = (uint32_t)client_add_proc(csrv);
	ck_assert_int_eq(client_evq_open(csrv, child, -1, &fd[0]), 0);
	ck_assert_int_eq(client_evq_open(csrv, 0, -1, &fd[1]), 1);
	close(fd[0]); /* as the kernel does at its end */
	client_proc_gone(csrv, child);
	RIG_WAIT(atomic_load(&csrv->evq_fd[0]) == 0);
	ck_assert(atomic_load(&csrv->evq_fd[1]) != 0);
	close(fd[1]);
	pair_down();
}
END_TEST

/* A process closes its doorbell and says so; before that is read, another one ends and a third opens a
 * queue: its number is its own. */
START_TEST(a_late_word_closes_no_other_queue)
{
	int fd[3];

	pair_up(1);
	uint32_t late = (uint32_t)client_add_proc(csrv), ends = (uint32_t)client_add_proc(csrv);
	ck_assert_int_eq(client_evq_open(csrv, late, -1, &fd[0]), 0);
	close(fd[0]);
	client_proc_gone(csrv, ends);
	int next = client_evq_open(csrv, 0, -1, &fd[1]);
	client_evq_close(csrv, late, 0);
	client_evq_close(csrv, late, (uint32_t)next);
	ck_assert_int_ne(client_evq_open(csrv, 0, -1, &fd[2]), next);
	ck_assert(atomic_load(&csrv->evq_fd[next]) != 0);
	close(fd[1]);
	close(fd[2]);
	pair_down();
}
END_TEST

START_TEST(a_line_is_closed_as_a_line_only)
{
	int line_fd, fd;

	pair_up(1);
	int line = client_line_open(csrv, &line_fd), evq = client_evq_open(csrv, 0, -1, &fd);
	client_line_close(csrv, (uint32_t)evq);
	client_evq_close(csrv, 0, (uint32_t)line);
	ck_assert(atomic_load(&csrv->evq_fd[evq]) != 0);
	ck_assert(atomic_load(&csrv->evq_fd[line]) != 0);
	client_line_close(csrv, (uint32_t)line);
	ck_assert(atomic_load(&csrv->evq_fd[line]) == 0);
	close(line_fd);
	close(fd);
	pair_down();
}
END_TEST

START_TEST(many_connections_come_and_go)
{
	uint16_t port;
	char buf[64];

	pair_up((uint32_t)_i);
	struct end l = rig_listen(&srv, 0, 512, &port);
	for (int round = 0; round < 300; round++) {
		struct end c[8], s[8];

		for (int i = 0; i < 8; i++)
			c[i] = rig_connect(&cli, port, NULL);
		for (int i = 0; i < 8; i++) {
			rig_connected(c[i]);
			rig_write(c[i], "request", 7);
		}
		for (int i = 0; i < 8; i++) {
			s[i] = rig_accept(l);
			ck_assert_uint_eq(rig_read(s[i], buf, 7), 7);
			rig_write(s[i], "response", 8);
			rig_close(s[i]);
		}
		for (int i = 0; i < 8; i++) {
			ck_assert_uint_eq(rig_read(c[i], buf, 20), 8);
			rig_close(c[i]);
		}
	}
	RIG_WAIT(atomic_load(&ccli->n_socks) == 0 && atomic_load(&csrv->n_socks) == 1);
	ck_assert_uint_eq(rig->rst, 0);
	pair_down();
}
END_TEST

START_TEST(info_and_rows)
{
	struct sock_row rows[8];
	uint64_t cursor = 0;
	uint16_t port;

	pair_up(1);
	struct end l = rig_listen(&srv, 0, 5, &port);
	struct end c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	rig_accept(l);
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = c.id, .gen = c.gen };
	struct chan_rep rep;
	ck_assert_int_eq(chan_call(&cli, 0, &req, &rep), 0);
	ck_assert_uint_ge(rep.len, 104);
	ck_assert_uint_eq(rep.payload[0], 1); /* tcpi_state: ESTABLISHED */
	ck_assert_uint_eq(sock_rows(&rig->w[0].env, &cursor, rows, 8), 3);
	ck_assert_uint_eq(rows[0].local.port, port);
	ck_assert_uint_eq(sock_rows(&rig->w[0].env, &cursor, rows, 8), 0);
	pair_down();
}
END_TEST

/* Nobody should have to do without a ring while the control thread makes an extent. */
START_TEST(an_extent_is_asked_for_before_the_last_is_full)
{
	struct sock_mail m;
	uint16_t port;

	pair_up(1);
	rig_listen(&srv, 0, 64, &port);
	for (int i = 0; i < 60; i++) { /* of an extent's 64 */
		struct chan_req req = { .op = CHAN_OP_CONNECT, .sock = CHAN_SOCK_NEW, .type = 1,
					.remote = { .addr = RIG_ADDR, .port = port },
					.opts = { .sndbuf = 16 << 20 } };
		struct chan_rep rep;

		ck_assert_int_eq(chan_call(&cli, 0, &req, &rep), -EINPROGRESS);
		chan_hold(&cli, rep.sock);
		rig_connected((struct end){ &cli, rep.sock, rep.gen });
		req = (struct chan_req){ .op = CHAN_OP_TX_GROW, .sock = rep.sock, .gen = rep.gen,
					 .arg = { 15 << 20, 0 } };
		ck_assert_int_eq(chan_call(&cli, 0, &req, NULL), 0);
	}
	ck_assert(rig_control_mail(rig, SOCK_MAIL_EXTENT_WANTED, &m, 5000));
	pair_down();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("sock");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, hello_and_goodbye, 1, 3);
	tcase_add_loop_test(tc, bulk_data_arrives_unchanged, 1, 3);
	tcase_add_test(tc, full_buffer_asks_for_one_event);
	tcase_add_test(tc, refused_then_connected_on_the_same_socket);
	tcase_add_test(tc, errors_of_bind_and_connect);
	tcase_add_test(tc, close_with_unread_data_resets);
	tcase_add_test(tc, linger_zero_resets);
	tcase_add_loop_test(tc, queue_of_a_closed_listener_is_reset, 1, 3);
	tcase_add_loop_test(tc, backlog_bounds_the_queue, 1, 3);
	tcase_add_loop_test(tc, death_of_the_program_frees_port_and_resets, 1, 3);
	tcase_add_test(tc, orphan_delivers_what_was_written);
	tcase_add_test(tc, sockets_live_until_the_last_holder_ends);
	tcase_add_test(tc, event_queue_tells_which);
	tcase_add_test(tc, queues_of_a_dead_process_are_closed);
	tcase_add_test(tc, a_late_word_closes_no_other_queue);
	tcase_add_test(tc, a_line_is_closed_as_a_line_only);
	tcase_add_loop_test(tc, many_connections_come_and_go, 1, 3);
	tcase_add_test(tc, info_and_rows);
	tcase_add_test(tc, an_extent_is_asked_for_before_the_last_is_full);
	return unit_run("sock", tc);
}
